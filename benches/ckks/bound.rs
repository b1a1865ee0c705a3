//! Rotations that no schedule goes below.
//!
//! A straight line of `r` rotations reaches at most `2^r` distances between slots. With everything row by row, each
//! operand must reach every distance between where an element lies and where it is wanted in the result. Packed freely,
//! and with as few products as there are slots for, what is summed within a ciphertext takes its logarithm.

use std::collections::{BTreeMap, BTreeSet};

const SLOTS: i64 = 16384;

/// Rotations at least: row by row, and packed freely.
pub fn rotations(spec: &str, shapes: &[Vec<u64>]) -> (u32, u32) {
    let (inputs, output) = spec.split_once("->").expect("an einsum with an output");
    let inputs: Vec<Vec<char>> = inputs.split(',').map(|term| term.chars().collect()).collect();
    let output: Vec<char> = output.chars().collect();
    let mut extents: BTreeMap<char, i64> = BTreeMap::new();
    for (term, shape) in inputs.iter().zip(shapes) {
        extents.extend(term.iter().copied().zip(shape.iter().map(|extent| *extent as i64)));
    }
    let strides = |axes: &[char]| {
        let mut strides: BTreeMap<char, i64> = BTreeMap::new();
        let mut stride = 1;
        for axis in axes.iter().rev() {
            *strides.entry(*axis).or_default() += stride;
            stride *= (extents[axis] as u64).next_power_of_two() as i64;
        }
        strides
    };
    let wanted = strides(&output);
    let logarithm = |count: u64| count.max(1).next_power_of_two().ilog2();
    let mut rows = 0;
    for term in &inputs {
        let own = strides(term);
        let mut distances = BTreeSet::from([0i64]);
        for (axis, extent) in &extents {
            let step = own.get(axis).unwrap_or(&0) - wanted.get(axis).unwrap_or(&0);
            if step != 0 {
                distances = distances
                    .iter()
                    .flat_map(|d| (0..*extent).map(move |t| (d + t * step).rem_euclid(SLOTS)))
                    .collect();
            }
        }
        rows = rows.max(logarithm(distances.len() as u64));
    }
    let points: i64 = extents.values().product();
    let summed: i64 = extents.iter().filter(|(axis, _)| !output.contains(axis)).map(|(_, n)| *n).product();
    let ciphertexts = (points as u64).div_ceil(SLOTS as u64);
    (rows, logarithm((summed as u64).div_ceil(ciphertexts)))
}

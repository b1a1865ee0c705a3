//! How many rotations EinHops takes, by its rule: one working order, contracted axes (by first appearance) and then
//! the output's, row-major, extents padded to powers of two. An operand that lies at other strides is permuted by the
//! non-zero residues and quotients of its displacements by 128; it is replicated over every axis it lacks, and the
//! product is summed over the contracted ones, by doubling.
//!
//! Source: `baahl-nyu/einhops`, commit 6d19361b (arXiv 2507.07972), at 16384 slots.

use std::collections::{BTreeMap, BTreeSet};

const SLOTS: i64 = 16384;
const BABY: i64 = 128;

/// The levels of an einsum: one if any operand is permuted, those of a balanced tree of products, one for the last mask.
pub fn levels(spec: &str, shapes: &[Vec<u64>]) -> u32 {
    let (inputs, output) = spec.split_once("->").expect("an einsum with an output");
    let inputs: Vec<&str> = inputs.split(',').collect();
    let mut order = String::new();
    for axis in inputs.concat().chars().filter(|axis| !output.contains(*axis)).chain(output.chars()) {
        if !order.contains(axis) {
            order.push(axis);
        }
    }
    let mut extents: BTreeMap<char, u64> = BTreeMap::new();
    for (term, shape) in inputs.iter().zip(shapes) {
        extents.extend(term.chars().zip(shape.iter().map(|extent| extent.next_power_of_two())));
    }
    let stride = |axes: &str, axis: char| -> u64 {
        axes.chars().skip_while(|other| *other != axis).skip(1).map(|axis| extents[&axis]).product()
    };
    let still = |term: &&str| {
        term.chars().all(|axis| extents[&axis] == 1 || stride(term, axis) == stride(&order, axis))
    };
    u32::from(!inputs.iter().all(still)) + inputs.len().next_power_of_two().ilog2() + 1
}

/// The rotations of an einsum.
pub fn rotations(spec: &str, shapes: &[Vec<u64>]) -> u64 {
    let (inputs, output) = spec.split_once("->").expect("an einsum with an output");
    let inputs: Vec<Vec<char>> = inputs.split(',').map(|term| term.chars().collect()).collect();
    let output: Vec<char> = output.chars().collect();
    let mut extents: BTreeMap<char, i64> = BTreeMap::new();
    for (term, shape) in inputs.iter().zip(shapes) {
        extents
            .extend(term.iter().copied().zip(shape.iter().map(|extent| extent.next_power_of_two() as i64)));
    }
    let strides = |axes: &[char]| -> BTreeMap<char, i64> {
        let mut stride = 1;
        let mut strides = BTreeMap::new();
        for axis in axes.iter().rev() {
            strides.insert(*axis, stride);
            stride *= extents[axis];
        }
        strides
    };
    let mut order: Vec<char> = Vec::new();
    for axis in inputs.iter().flatten() {
        if !output.contains(axis) && !order.contains(axis) {
            order.push(*axis);
        }
    }
    let doublings = |axes: &[char]| axes.iter().map(|axis| u64::from(extents[axis].ilog2())).sum::<u64>();
    let mut count = doublings(&order);
    order.extend(&output);
    let working = strides(&order);
    for term in &inputs {
        let own = strides(term);
        let mut displacements = BTreeSet::from([0i64]);
        for axis in term {
            let step = own[axis] - working[axis];
            displacements =
                displacements.iter().flat_map(|d| (0..extents[axis]).map(move |t| d + t * step)).collect();
        }
        let displacements: BTreeSet<i64> = displacements.iter().map(|d| d.rem_euclid(SLOTS)).collect();
        let babies: BTreeSet<i64> = displacements.iter().map(|d| d % BABY).filter(|d| *d != 0).collect();
        let giants: BTreeSet<i64> = displacements.iter().map(|d| d / BABY).filter(|d| *d != 0).collect();
        count += (babies.len() + giants.len()) as u64;
        let lacking: Vec<char> = order.iter().copied().filter(|axis| !term.contains(axis)).collect();
        count += doublings(&lacking);
    }
    count
}

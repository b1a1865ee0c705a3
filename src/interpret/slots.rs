//! Runs programs over packed ciphertexts slot by slot: the judge of every schedule.
//!
//! A value is one `f64` for each slot. Where a packing says that the content of a slot is unknown, a large number from
//! a seed takes its place, so that a mask that is missing shows in the results; where it says zero, there must be one.

use crate::slots::{Cell, ClearId, Op, Packing, Slots, ValueId};
use std::collections::HashMap;
use std::sync::Arc;

/// The greatest difference from what a packing promises, against the largest number seen.
const TOLERANCE: f64 = 1e-9;

/// What a run gives: each output's elements in row-major order.
pub type Results = Vec<Vec<f64>>;

/// Runs the program on encrypted inputs (by name) and clear tensors, both row-major.
///
/// # Errors
/// A packing that is not true, or a tensor that is not there.
pub fn run_slots(
    program: &Slots,
    inputs: &dyn Fn(&str) -> Option<Vec<f64>>,
    clears: &dyn Fn(&str) -> Option<Vec<f64>>,
    seed: u64,
) -> Result<Results, String> {
    let slots = program.slots;
    let mut tensors: HashMap<&str, Vec<f64>> = HashMap::new();
    for (_, input) in program.inputs.iter() {
        let tensor = inputs(&input.name).ok_or_else(|| format!("no array for `{}`", input.name))?;
        tensors.insert(&input.name, tensor);
    }
    let mut clear_tensors: Vec<Vec<f64>> = Vec::new();
    for (_, clear) in program.clears.iter() {
        clear_tensors.push(clears(&clear.name).ok_or_else(|| format!("no array for `{}`", clear.name))?);
    }
    let element = |clear: ClearId, element: u32| clear_tensors[clear.0 as usize][element as usize];
    let plains: Vec<Vec<f64>> =
        program.plains.iter().map(|(_, plain)| plain.numbers(slots, &element)).collect();
    // When a value may be forgotten.
    let mut last: HashMap<ValueId, ValueId> = HashMap::new();
    for (id, value) in program.values.iter() {
        for operand in value.op.operands().into_iter().flatten() {
            last.insert(operand, id);
        }
    }
    for output in &program.outputs {
        for value in &output.values {
            last.remove(value);
        }
    }
    let mut values: HashMap<ValueId, Vec<f64>> = HashMap::new();
    let mut cells: HashMap<(*const Packing, u32), Arc<Vec<Cell>>> = HashMap::new();
    let mut noise = Noise(seed);
    let mut largest: f64 = 1.0;
    for (id, value) in program.values.iter() {
        let of = |a: ValueId| &values[&a];
        let zip = |a: ValueId, b: &[f64], f: fn(f64, f64) -> f64| -> Vec<f64> {
            of(a).iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
        };
        let map = |a: ValueId, f: &dyn Fn(f64) -> f64| -> Vec<f64> { of(a).iter().map(|x| f(*x)).collect() };
        let mut result = match value.op {
            Op::Input(input, k) => {
                let input = &program.inputs[input];
                let tensor = &tensors[input.name.as_str()];
                let cells = input.packing.cells(k, slots);
                let number = |cell: &Cell| match cell {
                    Cell::Element(element) => tensor.get(*element as usize).copied().unwrap_or(f64::NAN),
                    Cell::Zero | Cell::Unknown => 0.0,
                };
                cells.iter().map(number).collect()
            }
            Op::Add(a, b) => zip(a, of(b), |x, y| x + y),
            Op::Sub(a, b) => zip(a, of(b), |x, y| x - y),
            Op::Mul(a, b) => zip(a, of(b), |x, y| x * y),
            Op::MulPlain(a, plain) => zip(a, &plains[plain.0 as usize], |x, y| x * y),
            Op::AddPlain(a, plain) => zip(a, &plains[plain.0 as usize], |x, y| x + y),
            Op::Neg(a) => map(a, &|x| -x),
            Op::MulScalar(a, number) => map(a, &|x| x * number),
            Op::AddScalar(a, number) => map(a, &|x| x + number),
            Op::Rotate(a, by) => {
                let mut rotated = of(a).clone();
                rotated.rotate_left(by as usize);
                rotated
            }
            Op::Hoist(a) | Op::Relinearize(a) | Op::Rescale(a) | Op::Drop(a) | Op::Conjugate(a) => {
                of(a).clone()
            }
        };
        if let Some((packing, k)) = &value.place {
            let cells = cells
                .entry((Arc::as_ptr(packing), *k))
                .or_insert_with(|| Arc::new(packing.cells(*k, slots)))
                .clone();
            let mut seen: HashMap<u32, f64> = HashMap::new();
            for (slot, cell) in cells.iter().enumerate() {
                match cell {
                    Cell::Element(element) => {
                        largest = largest.max(result[slot].abs());
                        let first = *seen.entry(*element).or_insert(result[slot]);
                        if (first - result[slot]).abs() > TOLERANCE * largest {
                            let number = result[slot];
                            return Err(format!(
                                "{id}: slot {slot} holds {number}, and another copy of element {element} {first}"
                            ));
                        }
                    }
                    Cell::Zero if result[slot].abs() > TOLERANCE * largest => {
                        return Err(format!(
                            "{id}: slot {slot} holds {}, and {packing} says zero",
                            result[slot]
                        ));
                    }
                    Cell::Zero => {}
                    Cell::Unknown => result[slot] = noise.next(),
                }
            }
        }
        values.insert(id, result);
        for operand in value.op.operands().into_iter().flatten() {
            if last.get(&operand) == Some(&id) {
                values.remove(&operand);
            }
        }
    }
    let mut results = Vec::new();
    for output in &program.outputs {
        let elements = output.shape.iter().product::<u64>() as usize;
        let mut tensor: Vec<Option<f64>> = vec![None; elements];
        for (k, value) in output.values.iter().enumerate() {
            for (slot, cell) in output.packing.cells(k as u32, slots).into_iter().enumerate() {
                if let Cell::Element(element) = cell {
                    tensor[element as usize].get_or_insert(values[value][slot]);
                }
            }
        }
        let tensor: Option<Vec<f64>> = tensor.into_iter().collect();
        results.push(tensor.ok_or_else(|| format!("`{}` lacks elements in its packing", output.name))?);
    }
    Ok(results)
}

/// Large numbers that nobody may read.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        1e6 * (0.5 + unit)
    }
}

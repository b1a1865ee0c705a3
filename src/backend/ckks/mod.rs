//! From packed ciphertexts to a schedule that the runtime executes.
//!
//! Levels, rotations and scales are the same on both sides. A fresh ciphertext of the runtime has the highest level, so
//! an input that is wanted lower is dropped first; clear vectors are constants where the clear tensors are known, else
//! clear inputs of the schedule.

mod noise;
mod pack;

pub use noise::Noise;
pub use pack::{pack, unpack};

use crate::id::Id;
use crate::slots::{Op, PlainSource, Slots, ValueId};
use einc_runtime::ckks::schedule::{PlainId, Register, Values};
use einc_runtime::ckks::{Builder, CkksError, Parameters, Schedule};
use std::collections::BTreeMap;

/// The schedule of a program; `clears` gives the elements of its clear tensors by name, where they are known.
///
/// # Errors
/// Where the runtime refuses it: too few levels in the parameters, numbers that are not finite.
pub fn emit(
    slots: &Slots,
    parameters: Parameters,
    clears: &dyn Fn(&str) -> Option<Vec<f64>>,
) -> Result<Schedule, CkksError> {
    let top = parameters.levels();
    let mut b = Builder::new(parameters);
    let mut inputs: Vec<Vec<Register>> = Vec::new();
    for (number, (_, input)) in slots.inputs.iter().enumerate() {
        inputs.push(b.secret(&input_name(slots, number), input.packing.ciphertexts() as u32));
        let _ = input;
    }
    let tensors: Vec<Option<Vec<f64>>> = slots.clears.iter().map(|(_, clear)| clears(&clear.name)).collect();
    let mut unknown: BTreeMap<usize, usize> = BTreeMap::new();
    for (id, plain) in slots.plains.iter() {
        if let PlainSource::Clear(clear) = plain.source
            && tensors[clear.number()].is_none()
        {
            let next = unknown.len();
            unknown.insert(id.number(), next);
        }
    }
    let given = if unknown.is_empty() { Vec::new() } else { b.clear("clear_vectors", unknown.len() as u32) };
    let mut plains: Vec<PlainId> = Vec::new();
    for (id, plain) in slots.plains.iter() {
        plains.push(match unknown.get(&id.number()) {
            Some(number) => given[*number],
            None => {
                let element = |clear: crate::slots::ClearId, element: u32| {
                    let tensor = tensors[clear.number()].as_deref().unwrap_or_default();
                    tensor.get(element as usize).copied().unwrap_or(0.0)
                };
                b.constant(Values::from_dense(&plain.numbers(slots.slots, &element)))
            }
        });
    }
    let mut registers: Vec<Register> = Vec::new();
    let mut dropped: BTreeMap<(Register, u32), Register> = BTreeMap::new();
    for (_, value) in slots.values.iter() {
        let of = |id: ValueId| registers[id.number()];
        let register = match value.op {
            Op::Input(input, k) => {
                let fresh = inputs[input.number()][k as usize];
                match value.level == top {
                    true => fresh,
                    false => {
                        *dropped.entry((fresh, value.level)).or_insert_with(|| b.drop_to(fresh, value.level))
                    }
                }
            }
            Op::Add(x, y) => b.add(of(x), of(y)),
            Op::Sub(x, y) => b.sub(of(x), of(y)),
            Op::Neg(x) => b.neg(of(x)),
            Op::Mul(x, y) => b.mul(of(x), of(y)),
            Op::MulPlain(x, p) => b.mul_plain(of(x), plains[p.number()]),
            Op::AddPlain(x, p) => b.add_plain(of(x), plains[p.number()]),
            Op::MulScalar(x, number) => b.mul_scalar(of(x), number),
            Op::AddScalar(x, number) => {
                let plain = b.constant(Values::Splat(number));
                b.add_plain(of(x), plain)
            }
            Op::Hoist(x) => b.hoist(of(x)),
            Op::Rotate(x, by) => b.rotate(of(x), i64::from(by)),
            Op::Relinearize(x) => b.relinearize(of(x)),
            Op::Rescale(x) => b.rescale(of(x)),
            Op::Drop(x) => b.drop_to(of(x), value.level),
            Op::Conjugate(x) => b.conjugate(of(x)),
        };
        registers.push(register);
    }
    for (number, output) in slots.outputs.iter().enumerate() {
        let values: Vec<Register> = output.values.iter().map(|value| registers[value.number()]).collect();
        b.output(&word(&output.name, number), &values);
    }
    b.finish()
}

/// What the schedule calls an input: the tensor's name, with a number where it is packed in several ways.
pub fn input_name(slots: &Slots, number: usize) -> String {
    let names: Vec<&str> = slots.inputs.iter().map(|(_, input)| input.name.as_str()).collect();
    let before = names[..number].iter().filter(|name| **name == names[number]).count();
    match before {
        0 => word(names[number], number),
        _ => format!("{}.{before}", word(names[number], number)),
    }
}

/// The name as a word of the schedule.
pub fn word(name: &str, number: usize) -> String {
    let fits = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.len() <= 150
        && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if fits {
        return name.to_string();
    }
    let kept: String = name.chars().filter(|c| c.is_alphanumeric()).take(100).collect();
    format!("_{number}_{kept}")
}

//! From packed ciphertexts to a schedule that the runtime executes.
//!
//! Levels, rotations and scales are the same on both sides. A fresh ciphertext of the runtime has the highest level, so
//! an input that is wanted lower is dropped first; clear vectors are constants where the clear tensors are known, else
//! clear inputs of the schedule.

mod noise;
mod pack;

pub use noise::{Noise, Numbers, Stray};
pub use pack::{pack, unpack};

use crate::id::Id;
use crate::slots::{Cell, Op, Packing, Plain, PlainSource, Slots, ValueId};
use einc_runtime::ckks::schedule::{self, Layout, PlainId, Register, Values};
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
        let name = input_name(slots, number);
        inputs.push(b.secret(&name, input.packing.ciphertexts() as u32));
        b.input_layout(&name, layout(&input.name, &input.shape, &input.packing, slots.slots));
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
    let mut plains: Vec<PlainId> = Vec::new();
    for (id, plain) in slots.plains.iter() {
        plains.push(match unknown.get(&id.number()) {
            Some(number) => {
                let name = format!("clear.{number}");
                let given = b.clear(&name, 1);
                if let Some(layout) = clear_layout(slots, plain) {
                    b.input_layout(&name, layout);
                }
                given[0]
            }
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
        if let (Some(range), Some((packing, k))) = (value.range, &value.place) {
            let range = &slots.ranges[range];
            let cells = packing.cells(*k, slots.slots).into_iter().map(element_of).collect();
            let layout = Layout::from_slots(&word(&range.tensor, 0), &packing.shape, &[cells]);
            b.range(schedule::Range {
                value: register,
                function: range.function.clone(),
                ends: range.ends,
                layout,
            });
        }
        registers.push(register);
    }
    for (number, output) in slots.outputs.iter().enumerate() {
        let values: Vec<Register> = output.values.iter().map(|value| registers[value.number()]).collect();
        let name = word(&output.name, number);
        b.output(&name, &values);
        b.output_layout(&name, layout(&output.name, &output.shape, &output.packing, slots.slots));
    }
    b.finish()
}

fn element_of(cell: Cell) -> Option<u64> {
    match cell {
        Cell::Element(element) => Some(u64::from(element)),
        Cell::Zero | Cell::Unknown => None,
    }
}

/// Where the elements of a packed tensor lie, as the schedule says it.
fn layout(tensor: &str, shape: &[u64], packing: &Packing, slots: u32) -> Layout {
    let ciphertexts: Vec<Vec<Option<u64>>> = (0..packing.ciphertexts() as u32)
        .map(|k| packing.cells(k, slots).into_iter().map(element_of).collect())
        .collect();
    Layout::from_slots(tensor, shape, &ciphertexts)
}

/// Where the elements of a clear tensor lie in a vector, if they are in it as they are.
fn clear_layout(slots: &Slots, plain: &Plain) -> Option<Layout> {
    let PlainSource::Clear(clear) = plain.source else { return None };
    let mut elements = vec![None; slots.slots as usize];
    for (slot, element) in plain.pairs() {
        *elements.get_mut(slot as usize)? = Some(u64::from(element));
    }
    let clear = &slots.clears[clear];
    (plain.factor == 1.0).then(|| Layout::from_slots(&clear.name, &clear.shape, &[elements]))
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

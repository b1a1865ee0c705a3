//! Schedules as programs for OpenFHE, in Python and in C++: the same calls in the same order.
//!
//! Levels count up there, so a plaintext of our level `l` is made at level `top - l`; OpenFHE takes every scale as the
//! nominal one, so results agree with ours to about six digits.

mod cpp;
mod python;

use einc_runtime::ckks::Schedule;
use einc_runtime::ckks::schedule::{Instruction, Register};

/// The program in Python, for the package `openfhe`.
///
/// The schedule must have passed its check.
pub fn python(schedule: &Schedule) -> String {
    python::write(schedule)
}

/// The program in C++17.
///
/// The schedule must have passed its check.
pub fn cpp(schedule: &Schedule) -> String {
    cpp::write(schedule)
}

/// The numbers of a schedule that both languages need.
struct Numbers {
    ring: u32,
    slots: u32,
    levels: u32,
    scale_bits: u32,
    first_bits: u32,
    digits: u32,
    secure: bool,
    rotations: Vec<u32>,
}

impl Numbers {
    fn new(schedule: &Schedule) -> Numbers {
        let parameters = &schedule.parameters;
        Numbers {
            ring: parameters.ring,
            slots: parameters.slots(),
            levels: parameters.levels(),
            scale_bits: parameters.scale_bits,
            first_bits: parameters.primes.first().map_or(0, |prime| prime.ilog2() + 1),
            digits: parameters.digits,
            secure: !parameters.insecure_toy,
            rotations: schedule.keys.rotate.keys().copied().collect(),
        }
    }
}

/// For each instruction, the registers that nothing reads after it.
fn freed(schedule: &Schedule) -> Vec<Vec<Register>> {
    let count = schedule.instructions.len();
    let mut last: Vec<usize> = (0..count).collect();
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        instruction.operands().for_each(|operand| last[operand.0 as usize] = place);
    }
    for register in schedule.outputs.iter().flat_map(|output| &output.values) {
        last[register.0 as usize] = count;
    }
    let mut freed = vec![Vec::new(); count];
    for (register, &place) in last.iter().enumerate() {
        if place < count {
            freed[place].push(Register(register as u32));
        }
    }
    freed
}

/// `c3`, or `h3` for the digits of a value.
fn name(schedule: &Schedule, register: Register) -> String {
    match schedule.instructions.get(register.0 as usize) {
        Some(Instruction::Hoist(_)) => format!("h{}", register.0),
        _ => register.to_string(),
    }
}

/// The value that digits are of.
fn hoisted(schedule: &Schedule, digits: Register) -> Option<Register> {
    match schedule.instructions.get(digits.0 as usize) {
        Some(Instruction::Hoist(value)) => Some(*value),
        _ => None,
    }
}

/// As [`freed`], with values kept as long as their digits are rotated: OpenFHE needs both.
fn freed_with_digits(schedule: &Schedule) -> Vec<Vec<Register>> {
    let mut freed = freed(schedule);
    let mut place_of = vec![usize::MAX; schedule.instructions.len()];
    for (place, registers) in freed.iter().enumerate() {
        registers.iter().for_each(|register| place_of[register.0 as usize] = place);
    }
    let mut later: Vec<usize> = place_of.clone();
    for (place, instruction) in schedule.instructions.iter().enumerate() {
        if let Instruction::Hoist(value) = instruction {
            let value = value.0 as usize;
            if later[value] != usize::MAX {
                later[value] = later[value].max(place_of[place]);
            }
        }
    }
    freed.iter_mut().for_each(Vec::clear);
    for (register, &place) in later.iter().enumerate() {
        if place != usize::MAX {
            freed[place].push(Register(register as u32));
        }
    }
    freed
}

#[cfg(test)]
mod tests;

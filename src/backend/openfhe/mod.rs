//! Schedules as programs for OpenFHE, in Python and in C++: the same calls in the same order.
//!
//! Levels count up there, so a plaintext of our level `l` is made at level `top - l`; OpenFHE takes every scale as the
//! nominal one, so results agree with ours to about six digits.

mod cpp;
mod python;
mod walk;

use einc_runtime::ckks::Schedule;

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

#[cfg(test)]
mod tests;

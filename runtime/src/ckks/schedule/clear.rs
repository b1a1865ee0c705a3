//! A schedule on clear slots: what the owner of the data tries before encrypting.

use super::{Instruction, Plain, Schedule};
use crate::ckks::{CkksError, Code};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Beyond a range by this part of its half is rounding.
const TOLERANCE: f64 = 1e-9;

impl Schedule {
    /// Whether every value fits its primes and the arguments of approximated functions keep their ranges for these
    /// vectors of the inputs, each a number for each slot.
    ///
    /// # Errors
    /// What [`Schedule::check`] refuses; [`Code::Argument`] with the argument furthest beyond its range; [`Code::Range`]
    /// with the first value that outgrows its primes, whose decryption would be another number; [`Code::Input`] where an
    /// input is missing.
    pub fn try_inputs(&self, inputs: &BTreeMap<String, Vec<Vec<f64>>>) -> Result<(), CkksError> {
        let infos = self.check()?;
        let slots = self.parameters.slots();
        let scales = self.parameters.scales();
        let given = |input: u32, index: u32| -> Result<&[f64], CkksError> {
            let name = self.inputs.get(input as usize).map_or("", |input| &input.name);
            let vector = inputs.get(name).and_then(|vectors| vectors.get(index as usize));
            let vector = vector.filter(|vector| vector.len() == slots as usize);
            let missing =
                || CkksError::new(Code::Input, format!("vector {index} of the input {name} is missing"));
            vector.map(Vec::as_slice).ok_or_else(missing)
        };
        let plain = |number: u32| -> Result<Vec<f64>, CkksError> {
            Ok(match &self.plains[number as usize] {
                Plain::Constant(values) => values.to_dense(slots),
                Plain::Input { input, index } => given(*input, *index)?.to_vec(),
            })
        };
        // What neither an output nor an argument depends on is not computed.
        let mut needed = vec![false; self.instructions.len()];
        self.ranges.iter().for_each(|range| needed[range.value.0 as usize] = true);
        let outputs: BTreeSet<u32> =
            self.outputs.iter().flat_map(|output| &output.values).map(|value| value.0).collect();
        outputs.iter().for_each(|value| needed[*value as usize] = true);
        for (place, instruction) in self.instructions.iter().enumerate().rev() {
            if needed[place] {
                instruction.operands().for_each(|operand| needed[operand.0 as usize] = true);
            }
        }
        let last = self.last_uses();
        let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        let mut worst: Option<(f64, CkksError)> = None;
        let mut outgrown: Option<CkksError> = None;
        for (place, instruction) in self.instructions.iter().enumerate().filter(|(place, _)| needed[*place]) {
            let of = |register: super::Register| &values[&register.0];
            let zip = |a: super::Register, b: &[f64], f: fn(f64, f64) -> f64| -> Vec<f64> {
                of(a).iter().zip(b).map(|(x, y)| f(*x, *y)).collect()
            };
            let value = match *instruction {
                Instruction::Input { input, index } => given(input, index)?.to_vec(),
                Instruction::Add(a, b) => zip(a, of(b), |x, y| x + y),
                Instruction::Sub(a, b) => zip(a, of(b), |x, y| x - y),
                Instruction::Mul(a, b) => zip(a, of(b), |x, y| x * y),
                Instruction::AddPlain(a, p) => zip(a, &plain(p.0)?, |x, y| x + y),
                Instruction::MulPlain(a, p) => zip(a, &plain(p.0)?, |x, y| x * y),
                Instruction::Neg(a) => of(a).iter().map(|x| -x).collect(),
                Instruction::MulScalar(a, number) => of(a).iter().map(|x| x * number).collect(),
                Instruction::Rotate { value, by } => {
                    let mut rotated = of(value).clone();
                    rotated.rotate_left(by as usize);
                    rotated
                }
                Instruction::Hoist(a)
                | Instruction::Relinearize(a)
                | Instruction::Rescale(a)
                | Instruction::Drop { value: a, .. }
                | Instruction::Conjugate(a) => of(a).clone(),
            };
            for range in self.ranges.iter().filter(|range| range.value.0 as usize == place) {
                let (low, high) = range.ends;
                for (_, slot, element) in range.layout.places() {
                    let argument = low + (high - low) / 2.0 * (value[slot] + 1.0);
                    let beyond = (low - argument).max(argument - high);
                    let before = worst.as_ref().map_or(TOLERANCE * (high - low), |worst| worst.0);
                    // What is not a number is beyond any range.
                    if beyond > before || beyond.is_nan() {
                        let (function, tensor) = (&range.function, &range.layout.tensor);
                        let message = format!(
                            "`{function}` is approximated on ({low}, {high}), and the statement of `{tensor}` applies it \
                             to {argument:.6} at element {element}"
                        );
                        worst = Some((beyond, CkksError::new(Code::Argument, message)));
                    }
                }
            }
            let info = infos[place];
            // Decryption looks at two primes.
            let seen = if outputs.contains(&(place as u32)) { info.level.min(1) } else { info.level };
            let primes = &self.parameters.primes[..=seen as usize];
            let factors = if info.product { 2.0 } else { 1.0 };
            let room = primes.iter().map(|&prime| (prime as f64).log2()).sum::<f64>()
                - 1.0
                - factors * scales[info.level as usize].log2();
            let limit = room.exp2();
            // What is not a number fits nowhere.
            let beyond = value.iter().find(|x| !matches!(x.abs().partial_cmp(&limit), Some(Ordering::Less)));
            if let (Some(number), None) = (beyond, &outgrown) {
                let message = format!(
                    "c{place} has a value of {number:.3e}, which does not fit the primes: it must stay below {limit:.3e}"
                );
                outgrown = Some(CkksError::new(Code::Range, message));
            }
            values.insert(place as u32, value);
            for operand in instruction.operands().filter(|operand| last[operand.0 as usize] == place) {
                values.remove(&operand.0);
            }
        }
        // An argument outside its range may be why values outgrow their primes.
        worst.map(|worst| worst.1).or(outgrown).map_or(Ok(()), Err)
    }
}

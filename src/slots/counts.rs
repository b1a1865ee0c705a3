//! How many instructions of each kind a program has.

use super::{Op, Slots};
use std::fmt;

/// Numbers of instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rotations, hoisted ones included.
    pub rotations: u64,
    /// Rotations that share their digits with others.
    pub hoisted: u64,
    /// Relinearizations.
    pub relinearizations: u64,
    /// Keys: one for each amount of rotation, one to relinearize.
    pub keys: u64,
    /// Products of ciphertexts.
    pub mul: u64,
    /// Products of ciphertexts and clear vectors or numbers.
    pub mul_plain: u64,
    /// Rescales, those of drops included.
    pub rescales: u64,
    /// Sums and differences.
    pub add: u64,
    /// Levels that are spent.
    pub levels: u64,
    /// Ciphertexts that the client encrypts.
    pub inputs: u64,
    /// Ciphertexts that the client decrypts.
    pub outputs: u64,
}

impl Slots {
    /// Counts its instructions.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { levels: u64::from(self.levels), ..Counts::default() };
        for (_, value) in self.values.iter() {
            match value.op {
                Op::Input(..) => counts.inputs += 1,
                Op::Add(..) | Op::Sub(..) | Op::Neg(_) | Op::AddPlain(..) | Op::AddScalar(..) => {
                    counts.add += 1
                }
                Op::Mul(..) => counts.mul += 1,
                Op::MulPlain(..) | Op::MulScalar(..) => counts.mul_plain += 1,
                Op::Rotate(a, _) => {
                    counts.rotations += 1;
                    counts.hoisted += u64::from(self.is_hoist(a));
                }
                Op::Conjugate(_) => counts.rotations += 1,
                Op::Relinearize(_) => counts.relinearizations += 1,
                Op::Rescale(_) | Op::Drop(_) => counts.rescales += 1,
                Op::Hoist(_) => {}
            }
        }
        let conjugates = self.values.iter().any(|(_, value)| matches!(value.op, Op::Conjugate(_)));
        counts.keys =
            self.rotations().len() as u64 + u64::from(counts.relinearizations > 0) + u64::from(conjugates);
        counts.outputs = self.outputs.iter().map(|output| output.values.len() as u64).sum();
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { rotations, hoisted, relinearizations, keys, mul, mul_plain, rescales, levels, .. } =
            self;
        write!(
            f,
            "rotate {rotations} ({hoisted} hoisted), relinearize {relinearizations}, mul {mul}, mul_plain {mul_plain}, \
             rescale {rescales}, keys {keys}, levels {levels}"
        )
    }
}

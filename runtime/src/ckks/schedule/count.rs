//! How many operations of each kind a schedule has, and the memory it takes.

use super::{Instruction, Schedule};
use crate::ckks::CkksError;

/// Operations by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sums, differences, negations, and sums with clear vectors.
    pub add: u64,
    /// Products of two ciphertexts.
    pub mul: u64,
    /// Products with a clear vector.
    pub mul_plain: u64,
    /// Products with a number.
    pub mul_scalar: u64,
    /// Rotations, hoisted ones among them.
    pub rotate: u64,
    /// Rotations that share the digits of their value with others.
    pub rotate_hoisted: u64,
    /// Values whose digits are shared.
    pub hoist: u64,
    /// Relinearizations.
    pub relinearize: u64,
    /// Rescales.
    pub rescale: u64,
    /// Drops to a lower level.
    pub drop: u64,
    /// Conjugations.
    pub conjugate: u64,
}

impl Counts {
    /// Counts one more instruction; `hoisted` says whether what a rotation rotates is the digits of a value.
    pub(crate) fn add(&mut self, instruction: &Instruction, hoisted: bool) {
        let kind = match instruction {
            Instruction::Input { .. } => return,
            Instruction::Add(..) | Instruction::Sub(..) | Instruction::Neg(_) | Instruction::AddPlain(..) => {
                &mut self.add
            }
            Instruction::Mul(..) => &mut self.mul,
            Instruction::MulPlain(..) => &mut self.mul_plain,
            Instruction::MulScalar(..) => &mut self.mul_scalar,
            Instruction::Rotate { .. } => {
                self.rotate_hoisted += u64::from(hoisted);
                &mut self.rotate
            }
            Instruction::Hoist(_) => &mut self.hoist,
            Instruction::Relinearize(_) => &mut self.relinearize,
            Instruction::Rescale(_) => &mut self.rescale,
            Instruction::Drop { .. } => &mut self.drop,
            Instruction::Conjugate(_) => &mut self.conjugate,
        };
        *kind += 1;
    }
}

impl Schedule {
    /// The operations by kind.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for instruction in &self.instructions {
            counts.add(instruction, self.is_hoisted(instruction));
        }
        counts
    }

    /// Whether it rotates the digits of a value rather than a value.
    pub fn is_hoisted(&self, instruction: &Instruction) -> bool {
        match instruction {
            Instruction::Rotate { value, .. } => {
                matches!(self.instructions.get(value.0 as usize), Some(Instruction::Hoist(_)))
            }
            _ => false,
        }
    }

    /// The bytes of ciphertexts and digits that are held at once when the instructions run one by one, each register
    /// freed after its last use. Keys, clear vectors and the inputs not yet read are apart.
    pub fn register_bytes(&self) -> Result<u64, CkksError> {
        let infos = self.check()?;
        let last = self.last_uses();
        let (mut held, mut most) = (0u64, 0);
        for (place, instruction) in self.instructions.iter().enumerate() {
            held = held.saturating_add(infos[place].bytes(&self.parameters));
            most = most.max(held);
            let mut operands: Vec<usize> = instruction.operands().map(|operand| operand.0 as usize).collect();
            operands.dedup();
            operands.push(place);
            for register in operands.into_iter().filter(|&register| last[register] == place) {
                held -= infos[register].bytes(&self.parameters);
            }
        }
        Ok(most)
    }
}

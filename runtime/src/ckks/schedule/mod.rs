//! Schedules: what an encrypted program does, instruction by instruction, as plain data.
//!
//! ```text
//! ckks schedule 1
//! ring 32768, scale 2^40, digits 1, security 128: log QP 194 of 868
//! primes 18014398508400641 1099510054913 1099507695617
//! special 1152921504606584833
//! key relinearize level 2
//! key rotate 1 level 2
//! input secret A 1
//! layout input A = A 128x128: 0 0 0 16384*1,1
//! plain p0 = runs 128*1 16256*0
//! c0 = input A 0                       # level 2, scale 2^40, 2 parts
//! c1 = mul c0 c0                       # level 2, scale 2^80, 3 parts
//! c2 = relinearize c1                  # level 2, scale 2^80, 2 parts
//! c3 = rescale c2                      # level 1, scale 2^40, 2 parts
//! c4 = mul_plain c3 p0                 # level 1, scale 2^80, 2 parts
//! c5 = rescale c4                      # level 0, scale 2^40, 2 parts
//! range c3 sigmoid -8.0 8.0 = h 128: 0 0 0 128*128,1
//! output o = c5
//! checksum 0123456789abcdef
//! ```
//!
//! A register is the value of one instruction and is never written again: `c4` of instruction 4, `h4` if that is a
//! hoist. What follows `#` is told for the reader. [`Builder`] makes schedules, [`Schedule::check`] is their law.

mod build;
mod check;
mod clear;
mod count;
mod layout;
mod text;
mod values;

pub use build::Builder;
pub use check::ValueInfo;
pub use count::Counts;
pub use layout::{Layout, Piece, Step};
pub use values::Values;

use super::Parameters;
use std::collections::BTreeMap;
use std::fmt;

/// The most instructions, ciphertexts of an input, or plain operands of a schedule.
pub const MAX_ITEMS: usize = 1 << 22;

/// The value of an instruction: a ciphertext, or the digits of one (`hoist`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Register(pub u32);

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A plain operand of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlainId(pub u32);

impl fmt::Display for PlainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// One step of a schedule. Levels are rescales left; a product has its scale squared until it is rescaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instruction {
    /// A ciphertext of a secret input, at the highest level: the number of the input, and which ciphertext of it.
    Input {
        /// Which input, by its place in [`Schedule::inputs`].
        input: u32,
        /// Which of its ciphertexts, from 0.
        index: u32,
    },
    /// The sum of two values of one level, scale and number of parts.
    Add(Register, Register),
    /// The difference of two such values.
    Sub(Register, Register),
    /// The value negated.
    Neg(Register),
    /// The value plus a clear vector, which is encoded at the value's level and scale.
    AddPlain(Register, PlainId),
    /// The product of two values of one level, which are no products themselves; it has 3 parts.
    Mul(Register, Register),
    /// The product with a clear vector, which is encoded at the value's level; the value is no product itself.
    MulPlain(Register, PlainId),
    /// The product of every slot with one number; the value is no product itself.
    MulScalar(Register, f64),
    /// Slot `s` of the result is slot `s + by` of the value, cyclically; `by` is from 1 to the number of slots less 1.
    ///
    /// The value is a ciphertext of 2 parts, or the digits of one, which costs less.
    Rotate {
        /// What is rotated.
        value: Register,
        /// By how many slots, to the left.
        by: u32,
    },
    /// The digits of a value of 2 parts, which rotations share.
    Hoist(Register),
    /// The value with its 3 parts made 2.
    Relinearize(Register),
    /// A product at the next level, its scale that of the level.
    Rescale(Register),
    /// The value, which is no product, at that lower level.
    Drop {
        /// What is dropped.
        value: Register,
        /// The level of the result.
        level: u32,
    },
    /// Every slot conjugated.
    Conjugate(Register),
}

impl Instruction {
    /// The registers that are read.
    pub fn operands(&self) -> impl Iterator<Item = Register> + use<> {
        let pair = match *self {
            Instruction::Input { .. } => [None, None],
            Instruction::Add(a, b) | Instruction::Sub(a, b) | Instruction::Mul(a, b) => [Some(a), Some(b)],
            Instruction::Neg(a)
            | Instruction::AddPlain(a, _)
            | Instruction::MulPlain(a, _)
            | Instruction::MulScalar(a, _)
            | Instruction::Rotate { value: a, .. }
            | Instruction::Hoist(a)
            | Instruction::Relinearize(a)
            | Instruction::Rescale(a)
            | Instruction::Drop { value: a, .. }
            | Instruction::Conjugate(a) => [Some(a), None],
        };
        pair.into_iter().flatten()
    }

    /// The clear vector that is read.
    pub fn plain(&self) -> Option<PlainId> {
        match *self {
            Instruction::AddPlain(_, plain) | Instruction::MulPlain(_, plain) => Some(plain),
            _ => None,
        }
    }
}

/// An input: what it is called and how many vectors it is packed into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name, unique in the schedule: letters, digits, `_`, `.`, no digit first.
    pub name: String,
    /// Whether it comes encrypted; else as clear vectors, one number per slot.
    pub secret: bool,
    /// How many ciphertexts or clear vectors.
    pub count: u32,
    /// How a tensor lies in them, if that is known.
    pub layout: Option<Layout>,
}

/// A clear vector that instructions use.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    /// Known when the schedule was made.
    Constant(Values),
    /// A vector of a clear input.
    Input {
        /// Which input, by its place in [`Schedule::inputs`].
        input: u32,
        /// Which of its vectors, from 0.
        index: u32,
    },
}

/// An output: its name and the ciphertexts it is packed into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, unique among the outputs.
    pub name: String,
    /// Its ciphertexts: 2 parts, no product.
    pub values: Vec<Register>,
    /// How a tensor lies in them, if that is known.
    pub layout: Option<Layout>,
}

/// A promise of the owner of the data: the elements that a value holds, mapped from -1..1 to the range, are arguments of
/// a function that the schedule computes by a polynomial. [`Schedule::try_inputs`] tries it on clear numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The value.
    pub value: Register,
    /// The name of the function.
    pub function: String,
    /// The lower and the upper end of the range.
    pub ends: (f64, f64),
    /// Where the elements of the result lie in the value; its tensor is that of the statement.
    pub layout: Layout,
}

/// The keys that a schedule needs besides the secret one, each with the highest level it is used at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Relinearization.
    pub relinearize: Option<u32>,
    /// Rotations: amount to the left, level.
    pub rotate: BTreeMap<u32, u32>,
    /// Conjugation.
    pub conjugate: Option<u32>,
}

impl Keys {
    /// How many keys.
    pub fn count(&self) -> usize {
        self.rotate.len() + usize::from(self.relinearize.is_some()) + usize::from(self.conjugate.is_some())
    }

    /// The bytes of all keys in memory.
    pub fn bytes(&self, parameters: &Parameters) -> u64 {
        let levels = self.relinearize.iter().chain(self.rotate.values()).chain(&self.conjugate);
        levels.map(|&level| parameters.key_bytes(level)).sum()
    }
}

/// An encrypted program. Made by a [`Builder`] or read from text, both of which check it; after a change to its
/// fields, call [`Schedule::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The ring and its primes.
    pub parameters: Parameters,
    /// The keys that are needed.
    pub keys: Keys,
    /// The inputs.
    pub inputs: Vec<Input>,
    /// The clear vectors.
    pub plains: Vec<Plain>,
    /// The instructions; register `k` is the value of instruction `k`.
    pub instructions: Vec<Instruction>,
    /// The ranges that arguments of approximated functions must keep.
    pub ranges: Vec<Range>,
    /// The outputs.
    pub outputs: Vec<Output>,
}

impl Schedule {
    /// The place of an instruction after which each register is not read any more; outputs are read at the end.
    pub(crate) fn last_uses(&self) -> Vec<usize> {
        let mut last: Vec<usize> = (0..self.instructions.len()).collect();
        for (place, instruction) in self.instructions.iter().enumerate() {
            instruction.operands().for_each(|operand| last[operand.0 as usize] = place);
        }
        for register in self.outputs.iter().flat_map(|output| &output.values) {
            last[register.0 as usize] = usize::MAX;
        }
        last
    }
}

#[cfg(test)]
mod tests;

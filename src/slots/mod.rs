//! Packed ciphertexts: add, multiply, rotate, relinearize, rescale.
//!
//! A value is one ciphertext of `slots` numbers. Tensors lie in one or several of them by a [`Packing`]; programs are
//! straight lines. Rotations are to the left: slot `s` of the result is slot `s + by`. A level is how many rescales
//! are left. The scale of a value is counted in factors: a product of two values of one factor has two, and `rescale`
//! takes one of them away together with a level.
//!
//! ```text
//! slots matvec  slots 16384, levels 2
//! c0 = input A 0                         level 2  [i:128 k:128]
//! c1 = input b 0                         level 2  [*128 k:128]
//! c2 = mul c0 c1                         level 2, 2 factors, 3 parts
//! c3 = relinearize c2                    level 2, 2 factors
//! c4 = rescale c3                        level 1
//! c5 = rotate c4 left 64                 level 1
//! ```
//!
//! The laws are listed at [`Slots::verify`].

pub mod approx;
mod build;
mod counts;
mod hoist;
pub mod kernel;
mod keys;
pub mod layout;
pub mod linear;
pub mod lower;
mod packing;
pub mod params;
mod plain;
mod text;
mod verify;

pub use build::Builder;
pub use counts::Counts;
pub use packing::{Cell, Digit, Kind, Packing, Rest};
pub use plain::{Plain, PlainSource, Run};
pub use text::parse;

use crate::id::IdVec;
use crate::id_type;
use crate::source::Span;
use std::sync::Arc;

id_type! {
    /// Names a ciphertext, or the digits of one.
    pub struct ValueId = "c"
}

id_type! {
    /// Names a vector of clear numbers.
    pub struct PlainId = "p"
}

id_type! {
    /// Names an encrypted input in one packing.
    pub struct InputId = "in"
}

id_type! {
    /// Names a clear tensor.
    pub struct ClearId = "t"
}

id_type! {
    /// Names the range of an approximated function.
    pub struct RangeId = "r"
}

/// A program over packed ciphertexts.
#[derive(Clone, Debug, PartialEq)]
pub struct Slots {
    /// The name of the program.
    pub name: String,
    /// How many numbers a ciphertext holds, a power of two.
    pub slots: u32,
    /// The level of a fresh ciphertext that has the most.
    pub levels: u32,
    /// The clear tensors that vectors are filled from.
    pub clears: IdVec<ClearId, Clear>,
    /// What the client encrypts.
    pub inputs: IdVec<InputId, Input>,
    /// The vectors of clear numbers.
    pub plains: IdVec<PlainId, Plain>,
    /// The ranges that arguments of approximated functions must keep.
    pub ranges: IdVec<RangeId, Range>,
    /// Every value, in the order of its computation.
    pub values: IdVec<ValueId, Value>,
    /// What the client decrypts.
    pub outputs: Vec<Output>,
}

/// A clear tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Clear {
    /// Its name.
    pub name: String,
    /// Its extents.
    pub shape: Vec<u64>,
}

/// An encrypted tensor in one packing.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name of the tensor.
    pub name: String,
    /// Its extents.
    pub shape: Vec<u64>,
    /// Where its elements lie.
    pub packing: Arc<Packing>,
}

/// Where a polynomial stands for a function; outside it grows quickly.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The name of the function.
    pub function: String,
    /// The tensor of the statement that applies it.
    pub tensor: String,
    /// Its lower and upper end.
    pub ends: (f64, f64),
    /// How far the polynomial is from the function inside, at most.
    pub error: f64,
    /// The statement that applies it.
    pub span: Span,
}

impl Range {
    /// What the function is applied to where its argument, mapped to -1..1, is `t`.
    pub fn argument(&self, t: f64) -> f64 {
        let (low, high) = self.ends;
        low + (high - low) / 2.0 * (t + 1.0)
    }
}

/// A tensor that the client decrypts.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name of the tensor.
    pub name: String,
    /// Its extents.
    pub shape: Vec<u64>,
    /// Where its elements lie.
    pub packing: Arc<Packing>,
    /// Its ciphertexts, in the order of the packing.
    pub values: Vec<ValueId>,
}

/// One ciphertext and how it is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// How.
    pub op: Op,
    /// How many rescales are left.
    pub level: u32,
    /// How many factors its scale has: 1, or 2 after a product.
    pub factors: u32,
    /// How many polynomials it has: 2, or 3 after a product of ciphertexts.
    pub parts: u32,
    /// What is known of its slots: a packing and the number of the ciphertext in it.
    pub place: Option<(Arc<Packing>, u32)>,
    /// The range that its elements must keep, mapped to -1..1: it is the argument of a polynomial.
    pub range: Option<RangeId>,
    /// The function that it stands for: it is the result of a polynomial.
    pub approximates: Option<RangeId>,
    /// The statement that it is computed for.
    pub span: Span,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// A ciphertext of an input.
    ///
    /// ```text
    /// c0 = input A 0
    /// ```
    Input(InputId, u32),
    /// The sum; both have one level, scale and number of parts.
    Add(ValueId, ValueId),
    /// The difference; both have one level, scale and number of parts.
    Sub(ValueId, ValueId),
    /// The value times -1.
    Neg(ValueId),
    /// The product of two values of two parts and one factor, with three parts and two factors.
    Mul(ValueId, ValueId),
    /// The product with clear numbers, with two factors.
    MulPlain(ValueId, PlainId),
    /// The sum with clear numbers of the value's scale.
    AddPlain(ValueId, PlainId),
    /// The product with one number, with two factors.
    MulScalar(ValueId, f64),
    /// The sum with one number.
    AddScalar(ValueId, f64),
    /// The digits that all rotations of a value share.
    ///
    /// ```text
    /// h3 = hoist c2
    /// c4 = rotate h3 left 5
    /// ```
    Hoist(ValueId),
    /// Slot `s` of the result is slot `s + by`; of a value, or of its digits.
    Rotate(ValueId, u32),
    /// Back to two parts.
    Relinearize(ValueId),
    /// Drops a level and a factor.
    Rescale(ValueId),
    /// Drops a level and keeps the numbers: a product with 1 and a rescale.
    Drop(ValueId),
    /// The complex conjugate.
    Conjugate(ValueId),
}

impl Op {
    /// The values it reads.
    pub fn operands(self) -> [Option<ValueId>; 2] {
        match self {
            Op::Input(..) => [None, None],
            Op::Add(a, b) | Op::Sub(a, b) | Op::Mul(a, b) => [Some(a), Some(b)],
            Op::Neg(a)
            | Op::MulPlain(a, _)
            | Op::AddPlain(a, _)
            | Op::MulScalar(a, _)
            | Op::AddScalar(a, _)
            | Op::Hoist(a)
            | Op::Rotate(a, _)
            | Op::Relinearize(a)
            | Op::Rescale(a)
            | Op::Drop(a)
            | Op::Conjugate(a) => [Some(a), None],
        }
    }

    /// The same instruction with other operands.
    pub fn with_operands(self, mut other: impl FnMut(ValueId) -> ValueId) -> Op {
        match self {
            Op::Input(..) => self,
            Op::Add(a, b) => Op::Add(other(a), other(b)),
            Op::Sub(a, b) => Op::Sub(other(a), other(b)),
            Op::Mul(a, b) => Op::Mul(other(a), other(b)),
            Op::Neg(a) => Op::Neg(other(a)),
            Op::MulPlain(a, p) => Op::MulPlain(other(a), p),
            Op::AddPlain(a, p) => Op::AddPlain(other(a), p),
            Op::MulScalar(a, x) => Op::MulScalar(other(a), x),
            Op::AddScalar(a, x) => Op::AddScalar(other(a), x),
            Op::Hoist(a) => Op::Hoist(other(a)),
            Op::Rotate(a, by) => Op::Rotate(other(a), by),
            Op::Relinearize(a) => Op::Relinearize(other(a)),
            Op::Rescale(a) => Op::Rescale(other(a)),
            Op::Drop(a) => Op::Drop(other(a)),
            Op::Conjugate(a) => Op::Conjugate(other(a)),
        }
    }
}

impl Slots {
    /// The amounts that rotations use, each with the highest level at which it is used, ascending.
    pub fn rotations(&self) -> Vec<(u32, u32)> {
        let mut amounts = std::collections::BTreeMap::new();
        for (_, value) in self.values.iter() {
            if let Op::Rotate(_, by) = value.op {
                let level = amounts.entry(by).or_insert(value.level);
                *level = value.level.max(*level);
            }
        }
        amounts.into_iter().collect()
    }

    /// Whether a value is the digits of another.
    pub fn is_hoist(&self, id: ValueId) -> bool {
        matches!(self.values[id].op, Op::Hoist(_))
    }
}

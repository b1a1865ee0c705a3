//! From loops to code.

pub mod ckks;
#[cfg(feature = "cranelift")]
pub mod cranelift;
pub mod openfhe;

use crate::source::Span;

/// What a target cannot do, and where the program asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsupported {
    /// The statement.
    pub place: Span,
    /// What it asks for, as a message says it.
    pub what: String,
}

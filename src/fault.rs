//! What can go wrong while a compiled program runs.

use crate::source::Span;

/// An index that left its tensor at run time (`@bounds(checked)`, the default for computed indices).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The access in the source.
    pub place: Span,
    /// The tensor's name.
    pub tensor: String,
    /// Which dim the index is for.
    pub dim: usize,
    /// The extent of that dim.
    pub extent: u64,
    /// The value of the index.
    pub value: i64,
}

/// Why a program that was called gave no results.
#[derive(Clone, Debug, PartialEq)]
pub enum Stopped {
    /// An index left its tensor; where it did, by the names of the statement's indices, if that is known.
    Index(Fault, Vec<(String, u64)>),
    /// The tensors are not those that the program takes and gives.
    Misfit {
        /// The types and shapes of the tensors.
        given: String,
        /// Names, types and shapes of the inputs and results.
        wanted: String,
    },
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Stopped {
        Stopped::Index(fault, Vec::new())
    }
}

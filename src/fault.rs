//! What can go wrong while a compiled program runs.

use crate::source::Span;

/// What a value that is checked at run time stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// The index for that dim of the tensor.
    Index(usize),
    /// An end of a range, read from the tensor.
    End,
    /// How many values a range has whose ends are read from the tensor.
    Length,
}

/// An index that left its tensor at run time, or an end of a range that left the range it must stay in
/// (`@bounds(checked)`, the default for what is computed).
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The access in the source.
    pub place: Span,
    /// The tensor's name.
    pub tensor: String,
    /// What the value stands for.
    pub checked: Checked,
    /// The value must be at least 0 and below this.
    pub extent: u64,
    /// The value.
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

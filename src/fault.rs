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

//! Typed ids: a number that names one entry of one table.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

/// A `u32` that names an entry of an [`IdVec`] and prints with a letter of its own.
pub trait Id: Copy + Eq + fmt::Display {
    /// The id of that number.
    fn new(number: usize) -> Self;
    /// Its number.
    fn number(self) -> usize;
}

/// Declares an id type: `id_type! { /// Names an axis. pub struct AxisId = "x" }`.
#[macro_export]
macro_rules! id_type {
    ($(#[$meta:meta])* pub struct $name:ident = $letter:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);

        impl $crate::id::Id for $name {
            fn new(number: usize) -> Self {
                $name(u32::try_from(number).expect("fewer than 2^32 entries"))
            }

            fn number(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    };
}

/// A vector that only ids of one type index.
#[derive(Clone, Debug, PartialEq)]
pub struct IdVec<I, T> {
    entries: Vec<T>,
    ids: PhantomData<I>,
}

impl<I: Id, T> IdVec<I, T> {
    /// No entries.
    pub fn new() -> Self {
        IdVec { entries: Vec::new(), ids: PhantomData }
    }

    /// Adds an entry and names it.
    pub fn push(&mut self, entry: T) -> I {
        self.entries.push(entry);
        I::new(self.entries.len() - 1)
    }

    /// Keeps the first `len` entries.
    pub fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries with their ids, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> {
        self.entries.iter().enumerate().map(|(number, entry)| (I::new(number), entry))
    }

    /// The ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = I> + use<I, T> {
        (0..self.entries.len()).map(I::new)
    }
}

impl<I: Id, T> Default for IdVec<I, T> {
    fn default() -> Self {
        IdVec::new()
    }
}

impl<I: Id, T> Index<I> for IdVec<I, T> {
    type Output = T;

    fn index(&self, id: I) -> &T {
        &self.entries[id.number()]
    }
}

impl<I: Id, T> IndexMut<I> for IdVec<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.entries[id.number()]
    }
}

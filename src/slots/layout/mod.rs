//! A slot layout says where each element of a tensor sits: in which ciphertexts, in which slots.
//!
//! ```text
//! [i:8 | k:128 *4]      element (i, k) sits in ciphertext i, slots 4 k, 4 k + 1, 4 k + 2 and 4 k + 3
//! ```
//!
//! A layout is two mixed-radix numbers, slowest piece first. The pieces left of the bar choose the ciphertext, the
//! others the slot. A piece is one digit of its number:
//!
//! | piece | digit | what it is for |
//! |---|---|---|
//! | `i:8`, `i/4:8` | `i / 4 % 8` | a part of an axis |
//! | `*4` | any: the element is there for each value | copies |
//! | `_4`, `?4` | 0; the other slots hold zero (`_`) or nobody knows what (`?`) | gaps |
//! | `(i+j):8`, `(3i-5j):304` | the combination modulo the extent | skew, and the order of the Chinese remainders |
//!
//! Slots that no element reaches, past an axis's extent or past the last digit, are zero, or unknown if a lone `?` ends
//! the layout. A topmost slot piece that copies may run past the last slot; the copies there are left out.
//!
//! The law ([`Layout::contents`] checks it): no two elements share a slot, and every element has one.

mod bits;
mod text;

pub use bits::{Bit, Bits};
pub use text::ParseLayoutError;

/// A named range that pieces divide.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    /// Its name in the text of a layout.
    pub name: String,
    /// How many values it takes.
    pub extent: usize,
}

/// An axis times a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// The number of the axis in its layout.
    pub axis: usize,
    /// What its index is multiplied by.
    pub factor: i64,
}

/// One digit of the number of a ciphertext or of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Piece {
    /// `axis / div % extent`.
    Digit {
        /// The number of the axis in the layout.
        axis: usize,
        /// What its index is divided by.
        div: usize,
        /// How many values the digit takes.
        extent: usize,
    },
    /// The sum of the terms modulo the extent.
    Affine {
        /// What is added up.
        terms: Vec<Term>,
        /// How many values the digit takes.
        extent: usize,
    },
    /// Every value of the digit holds the same.
    Copy(usize),
    /// 0; the other values hold zeros.
    Zero(usize),
    /// 0; the other values hold what nobody may read.
    Unknown(usize),
}

impl Piece {
    /// How many values the digit takes.
    pub fn extent(&self) -> usize {
        match *self {
            Piece::Digit { extent, .. } | Piece::Affine { extent, .. } => extent,
            Piece::Copy(extent) | Piece::Zero(extent) | Piece::Unknown(extent) => extent,
        }
    }

    /// The digit of an element; 0 where it may be any.
    fn digit(&self, element: &[usize]) -> usize {
        match self {
            Piece::Digit { axis, div, extent } => element[*axis] / div % extent,
            Piece::Affine { terms, extent } => {
                let modulus = *extent as i128;
                let sum: i128 =
                    terms.iter().map(|term| i128::from(term.factor) * element[term.axis] as i128).sum();
                sum.rem_euclid(modulus) as usize
            }
            Piece::Copy(_) | Piece::Zero(_) | Piece::Unknown(_) => 0,
        }
    }
}

/// Where the elements of a tensor sit; elements are indices over the axes, row-major in the order of `axes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layout {
    /// What the pieces divide.
    pub axes: Vec<Axis>,
    /// The pieces that choose the ciphertext, slowest first.
    pub ciphertexts: Vec<Piece>,
    /// The pieces that choose the slot, slowest first.
    pub slots: Vec<Piece>,
    /// Whether slots that no element reaches hold what nobody may read, not zeros.
    pub unknown_rest: bool,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The element of that row-major position.
    Element(usize),
    /// Zero.
    Zero,
    /// What nobody may read.
    Garbage,
}

/// What every slot of every ciphertext holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    slots: usize,
    held: Vec<u32>,
}

const ZERO: u32 = u32::MAX;
const GARBAGE: u32 = u32::MAX - 1;

impl Contents {
    /// How many slots a ciphertext has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many ciphertexts there are.
    pub fn ciphertexts(&self) -> usize {
        self.held.len() / self.slots
    }

    /// What a slot holds.
    pub fn at(&self, ciphertext: usize, slot: usize) -> Held {
        match self.held[ciphertext * self.slots + slot] {
            ZERO => Held::Zero,
            GARBAGE => Held::Garbage,
            element => Held::Element(element as usize),
        }
    }

    /// The slots of a ciphertext that hold elements, ascending, each with the element's row-major position.
    pub fn elements(&self, ciphertext: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let held = &self.held[ciphertext * self.slots..][..self.slots];
        held.iter()
            .enumerate()
            .filter(|(_, held)| **held < GARBAGE)
            .map(|(slot, held)| (slot, *held as usize))
    }
}

/// Why a layout is none for a number of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// A piece of extent zero, or one that names no axis.
    Piece,
    /// More slots, ciphertexts or elements than can be counted here.
    TooLarge,
    /// The pieces need more slots than a ciphertext has.
    PastTheEnd,
    /// Two elements share a slot; their row-major positions.
    Collision(usize, usize),
}

/// Ciphertexts times slots that a layout may fill: 16 GiB of doubles.
const MOST_SLOTS: usize = 1 << 31;

impl Layout {
    /// Row-major order with every dim padded to a power of two; what does not fit into one ciphertext goes, highest
    /// part first, left of the bar.
    ///
    /// ```
    /// use einc::slots::layout::{Axis, Layout};
    ///
    /// let axes = [("i", 3), ("k", 8)].map(|(name, extent)| Axis { name: name.into(), extent });
    /// assert_eq!(Layout::row_major(&axes, 64).to_string(), "[_2 i:4 k:8]");
    /// assert_eq!(Layout::row_major(&axes, 16).to_string(), "[i/2:2 | i:2 k:8]");
    /// ```
    pub fn row_major(axes: &[Axis], slots: usize) -> Layout {
        let mut inner = Vec::new();
        let mut outer = Vec::new();
        let mut room = slots;
        for (axis, extent) in axes.iter().map(|axis| axis.extent).enumerate().rev() {
            let padded = extent.max(1).next_power_of_two();
            let inside = padded.min(room);
            if inside > 1 {
                inner.push(Piece::Digit { axis, div: 1, extent: inside });
            }
            if padded > inside {
                outer.push(Piece::Digit { axis, div: inside, extent: padded / inside });
            }
            room /= inside;
        }
        if room > 1 {
            inner.push(Piece::Zero(room));
        }
        inner.reverse();
        outer.reverse();
        Layout { axes: axes.to_vec(), ciphertexts: outer, slots: inner, unknown_rest: false }
    }

    /// How many ciphertexts it takes.
    pub fn ciphertext_count(&self) -> usize {
        self.ciphertexts.iter().map(Piece::extent).fold(1, usize::saturating_mul)
    }

    /// How many slots the pieces span.
    pub fn reach(&self) -> usize {
        self.slots.iter().map(Piece::extent).fold(1, usize::saturating_mul)
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.axes.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul)
    }

    /// The index of an element over the axes.
    pub fn index(&self, mut element: usize) -> Vec<usize> {
        let mut index = vec![0; self.axes.len()];
        for (place, axis) in index.iter_mut().zip(&self.axes).rev() {
            *place = element % axis.extent;
            element /= axis.extent;
        }
        index
    }

    /// Every (ciphertext, slot) that holds an element, ascending.
    pub fn places(&self, index: &[usize], slots: usize) -> Vec<(usize, usize)> {
        let (outer, inner) = (number(&self.ciphertexts, index), number(&self.slots, index));
        let copied = copies(&self.slots);
        let inside = || copied.iter().map(|copy| inner + copy).filter(|slot| *slot < slots);
        let ciphertexts = copies(&self.ciphertexts).into_iter().map(|copy| outer + copy);
        ciphertexts.flat_map(|ciphertext| inside().map(move |slot| (ciphertext, slot))).collect()
    }

    /// What every slot of ciphertexts of that many slots holds, or why this is no layout for them.
    ///
    /// Takes time and memory in proportion to ciphertexts times slots.
    pub fn contents(&self, slots: usize) -> Result<Contents, LayoutError> {
        let known = |piece: &Piece| match piece {
            Piece::Digit { axis, div, .. } => *axis < self.axes.len() && *div > 0,
            Piece::Affine { terms, .. } => terms.iter().all(|term| term.axis < self.axes.len()),
            _ => true,
        };
        let pieces = || self.ciphertexts.iter().chain(&self.slots);
        if slots == 0 || !pieces().all(|piece| piece.extent() > 0 && known(piece)) {
            return Err(LayoutError::Piece);
        }
        let total = self.ciphertext_count().checked_mul(slots).filter(|total| *total <= MOST_SLOTS);
        let total = total.filter(|_| self.elements() <= MOST_SLOTS).ok_or(LayoutError::TooLarge)?;
        let copied = matches!(self.slots.first(), Some(Piece::Copy(_)));
        let below = self.slots.iter().skip(usize::from(copied)).map(Piece::extent);
        if below.fold(1, usize::saturating_mul) > slots || self.elements() > total {
            return Err(LayoutError::PastTheEnd);
        }
        let mut held = Vec::with_capacity(total);
        for ciphertext in 0..self.ciphertext_count() {
            let outer = gap(&self.ciphertexts, ciphertext);
            held.extend((0..slots).map(|slot| {
                if slot >= self.reach() {
                    return self.rest();
                }
                outer.or_else(|| gap(&self.slots, slot)).unwrap_or(self.rest())
            }));
        }
        let copies = [copies(&self.ciphertexts), copies(&self.slots)];
        let mut index = vec![0; self.axes.len()];
        for element in 0..self.elements() {
            let (outer, inner) = (number(&self.ciphertexts, &index), number(&self.slots, &index));
            for ciphertext in copies[0].iter().map(|copy| outer + copy) {
                for slot in copies[1].iter().map(|copy| inner + copy).filter(|slot| *slot < slots) {
                    let place = &mut held[ciphertext * slots + slot];
                    if *place < GARBAGE {
                        return Err(LayoutError::Collision(*place as usize, element));
                    }
                    *place = element as u32;
                }
            }
            for (place, axis) in index.iter_mut().zip(&self.axes).rev() {
                *place += 1;
                if *place < axis.extent {
                    break;
                }
                *place = 0;
            }
        }
        Ok(Contents { slots, held })
    }

    /// The same places under other names.
    pub fn renamed(&self, names: &[String]) -> Layout {
        let mut layout = self.clone();
        for (axis, name) in layout.axes.iter_mut().zip(names) {
            axis.name.clone_from(name);
        }
        layout
    }

    fn rest(&self) -> u32 {
        if self.unknown_rest { GARBAGE } else { ZERO }
    }
}

/// What a number holds because one of its digits is a gap.
fn gap(pieces: &[Piece], mut number: usize) -> Option<u32> {
    let mut found = None;
    for piece in pieces.iter().rev() {
        let digit = number % piece.extent();
        number /= piece.extent();
        match piece {
            Piece::Zero(_) if digit > 0 => return Some(ZERO),
            Piece::Unknown(_) if digit > 0 => found = Some(GARBAGE),
            _ => {}
        }
    }
    found
}

/// The least number that holds an element.
fn number(pieces: &[Piece], index: &[usize]) -> usize {
    pieces.iter().fold(0, |number, piece| number * piece.extent() + piece.digit(index))
}

/// What copies add to the least number that holds an element, ascending.
fn copies(pieces: &[Piece]) -> Vec<usize> {
    pieces.iter().fold(vec![0], |numbers, piece| {
        let copies = if let Piece::Copy(copies) = piece { *copies } else { 1 };
        let each = |number: usize| (0..copies).map(move |copy| number * piece.extent() + copy);
        numbers.into_iter().flat_map(each).collect()
    })
}

#[cfg(test)]
mod tests;

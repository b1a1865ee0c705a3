//! Where the elements of a tensor lie in the slots of its ciphertexts.
//!
//! ```text
//! [i/4:2 | i:4 _2 k:16]
//! ```
//!
//! A packing is a mixed-radix number, slowest digit first; the digits left of the bar choose the ciphertext, the others
//! the slot. A digit is a part of an axis (`i/4:2` is `i / 4 % 2`), copies (`*4`), a gap of zeros (`_4`) or a gap of
//! unknown content (`?4`). Slots that no element reaches are zero.

use crate::expr::{Affine, AxisId};
use std::fmt;

/// One digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit {
    /// What it chooses.
    pub kind: Kind,
    /// How many values it takes.
    pub extent: u32,
}

/// What a digit chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `axis / by % extent`, of the packing's axis of that number.
    Axis {
        /// The number of the axis in the packing.
        axis: usize,
        /// What the axis is divided by.
        by: u32,
    },
    /// Nothing: every value of the digit holds the same.
    Copy,
    /// 0 only; the other slots are zero.
    Zero,
    /// 0 only; the other slots hold what nobody may read.
    Unknown,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// The element of that flat row-major position.
    Element(u32),
    /// Zero.
    Zero,
    /// What nobody may read.
    Unknown,
}

/// Where the elements of a tensor lie in slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Packing {
    /// The axes that the digits run over: names and extents.
    pub axes: Vec<(String, u64)>,
    /// The digits that choose the ciphertext, slowest first.
    pub outer: Vec<Digit>,
    /// The digits that choose the slot, slowest first.
    pub inner: Vec<Digit>,
    /// The position of each dim of the tensor; its axes are numbers in `axes`.
    pub access: Vec<Affine>,
    /// The tensor's extents.
    pub shape: Vec<u64>,
    /// What the slots hold that the digits do not reach.
    pub rest: Rest,
    /// What the slots hold where an axis is past its end.
    pub padding: Rest,
}

/// What slots without an element hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Zeros.
    Zero,
    /// What nobody may read.
    Unknown,
}

impl Rest {
    /// What such a slot holds.
    pub fn cell(self) -> Cell {
        match self {
            Rest::Zero => Cell::Zero,
            Rest::Unknown => Cell::Unknown,
        }
    }
}

impl Packing {
    /// How many ciphertexts it takes.
    pub fn ciphertexts(&self) -> usize {
        self.outer.iter().map(|digit| digit.extent as usize).product()
    }

    /// How many slots of each ciphertext the digits reach.
    pub fn reach(&self) -> usize {
        self.inner.iter().map(|digit| digit.extent as usize).product()
    }

    /// What each slot of a ciphertext holds.
    pub fn cells(&self, ciphertext: u32, slots: u32) -> Vec<Cell> {
        let mut base = vec![0u64; self.axes.len()];
        let mut gap = None;
        let mut rest = ciphertext;
        for digit in self.outer.iter().rev() {
            let value = rest % digit.extent;
            rest /= digit.extent;
            step(digit, value, &mut base, &mut gap);
        }
        let reach = self.reach();
        let strides = self.dim_strides();
        let outside = self.rest.cell();
        let mut axes = base.clone();
        (0..slots as usize)
            .map(|slot| {
                if slot >= reach {
                    return outside;
                }
                axes.copy_from_slice(&base);
                let mut gap = gap;
                let mut rest = slot as u32;
                for digit in self.inner.iter().rev() {
                    let value = rest % digit.extent;
                    rest /= digit.extent;
                    step(digit, value, &mut axes, &mut gap);
                }
                match gap {
                    Some(cell) => cell,
                    None => self.element(&axes, &strides),
                }
            })
            .collect()
    }

    /// The strides of the tensor's dims.
    fn dim_strides(&self) -> Vec<u64> {
        let mut strides = vec![1; self.shape.len()];
        for dim in (1..self.shape.len()).rev() {
            strides[dim - 1] = strides[dim] * self.shape[dim].max(1);
        }
        strides
    }

    /// The element at a point of the axes; zero where an axis or a position is past its end.
    fn element(&self, axes: &[u64], strides: &[u64]) -> Cell {
        if axes.iter().zip(&self.axes).any(|(value, axis)| *value >= axis.1) {
            return self.padding.cell();
        }
        let mut flat = 0;
        for ((index, stride), extent) in self.access.iter().zip(strides).zip(&self.shape) {
            let terms = index.terms.iter().map(|(axis, by)| axes[axis.0 as usize] as i64 * by);
            let position = index.constant + terms.sum::<i64>();
            if position < 0 || position as u64 >= *extent {
                return self.padding.cell();
            }
            flat += position as u64 * stride;
        }
        Cell::Element(flat as u32)
    }

    /// The access of a tensor of that rank by its own axes.
    pub fn own_access(rank: usize) -> Vec<Affine> {
        (0..rank).map(|dim| Affine { terms: vec![(AxisId(dim as u32), 1)], constant: 0 }).collect()
    }
}

/// Takes one digit's value into the axes, or into a gap.
fn step(digit: &Digit, value: u32, axes: &mut [u64], gap: &mut Option<Cell>) {
    match digit.kind {
        Kind::Axis { axis, by } => axes[axis] += u64::from(value) * u64::from(by),
        Kind::Copy => {}
        Kind::Zero if value > 0 && *gap != Some(Cell::Unknown) => *gap = Some(Cell::Zero),
        Kind::Unknown if value > 0 => *gap = Some(Cell::Unknown),
        Kind::Zero | Kind::Unknown => {}
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |digit: &Digit| match digit.kind {
            Kind::Axis { axis, by } => {
                let name = self.axes.get(axis).map_or("?", |axis| axis.0.as_str());
                match by {
                    1 => format!("{name}:{}", digit.extent),
                    _ => format!("{name}/{by}:{}", digit.extent),
                }
            }
            Kind::Copy => format!("*{}", digit.extent),
            Kind::Zero => format!("_{}", digit.extent),
            Kind::Unknown => format!("?{}", digit.extent),
        };
        let outer: Vec<String> = self.outer.iter().map(show).collect();
        let inner: Vec<String> = self.inner.iter().map(show).collect();
        match outer.is_empty() {
            true => write!(f, "[{}]", inner.join(" "))?,
            false => write!(f, "[{} | {}]", outer.join(" "), inner.join(" "))?,
        }
        if self.rest == Rest::Unknown {
            f.write_str(" ?")?;
        }
        if self.padding == Rest::Unknown {
            f.write_str(" padded ?")?;
        }
        Ok(())
    }
}

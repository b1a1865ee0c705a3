//! Where the elements of a tensor lie in the slots of its ciphertexts.
//!
//! ```text
//! [i/4:2 | i:4 _2 k:16]
//! ```
//!
//! A packing is a mixed-radix number, slowest digit first; the digits left of the bar choose the ciphertext, the others
//! the slot. A digit is a part of an axis (`i/4:2` is `i / 4 % 2`), a skewed one (`(k-i):4` is `(k - i) % 4`), copies
//! (`*4`), a gap of zeros (`_4`) or a gap of unknown content (`?4`). Slots that no element reaches are zero.

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
    /// `(axis - less) % extent`; other digits tell all of `less`, and the rest of `axis`.
    Skew {
        /// The number of the axis in the packing.
        axis: usize,
        /// The number of the axis that is taken away.
        less: usize,
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

    /// Fails unless the digits fit into so many slots and name axes that there are.
    ///
    /// # Errors
    /// The law that is broken.
    pub fn verify(&self, slots: u32) -> Result<(), String> {
        let digits = || self.outer.iter().chain(&self.inner);
        let known = |axis: usize| axis < self.axes.len();
        for digit in digits() {
            let told = |axis: usize| {
                digits().all(|other| !matches!(other.kind, Kind::Skew { axis: own, .. } if own == axis))
            };
            let lawful = match digit.kind {
                Kind::Axis { axis, by } => known(axis) && by > 0,
                Kind::Skew { axis, less } => known(axis) && known(less) && axis != less && told(less),
                Kind::Copy | Kind::Zero | Kind::Unknown => true,
            };
            if !lawful || digit.extent == 0 {
                return Err(format!("{self} has a digit that says nothing"));
            }
        }
        let reach = self.inner.iter().try_fold(1u64, |reach, digit| reach.checked_mul(digit.extent.into()));
        match reach {
            Some(reach) if reach <= u64::from(slots) => Ok(()),
            _ => Err(format!("{self} takes more than {slots} slots")),
        }
    }

    /// What each slot of a ciphertext holds.
    pub fn cells(&self, ciphertext: u32, slots: u32) -> Vec<Cell> {
        let mut base = vec![0u64; self.axes.len()];
        let mut skews = Vec::new();
        let mut gap = None;
        let mut rest = ciphertext;
        for digit in self.outer.iter().rev() {
            let value = rest % digit.extent;
            rest /= digit.extent;
            step(digit, value, &mut base, &mut gap, &mut skews);
        }
        let reach = self.reach();
        let strides = self.dim_strides();
        let outside = self.rest.cell();
        let mut axes = base.clone();
        let outer = skews.len();
        (0..slots as usize)
            .map(|slot| {
                if slot >= reach {
                    return outside;
                }
                axes.copy_from_slice(&base);
                skews.truncate(outer);
                let mut gap = gap;
                let mut rest = slot as u32;
                for digit in self.inner.iter().rev() {
                    let value = rest % digit.extent;
                    rest /= digit.extent;
                    step(digit, value, &mut axes, &mut gap, &mut skews);
                }
                for skew in &skews {
                    axes[skew.axis] += (skew.value + axes[skew.less]) % skew.extent;
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

/// The value of a skewed digit.
struct Skew {
    axis: usize,
    less: usize,
    value: u64,
    extent: u64,
}

/// Takes one digit's value into the axes, into a gap, or to the skewed ones.
fn step(digit: &Digit, value: u32, axes: &mut [u64], gap: &mut Option<Cell>, skews: &mut Vec<Skew>) {
    match digit.kind {
        Kind::Axis { axis, by } => axes[axis] += u64::from(value) * u64::from(by),
        Kind::Skew { axis, less } => {
            skews.push(Skew { axis, less, value: value.into(), extent: digit.extent.into() });
        }
        Kind::Copy => {}
        Kind::Zero if value > 0 && *gap != Some(Cell::Unknown) => *gap = Some(Cell::Zero),
        Kind::Unknown if value > 0 => *gap = Some(Cell::Unknown),
        Kind::Zero | Kind::Unknown => {}
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |axis: usize| self.axes.get(axis).map_or("?", |axis| axis.0.as_str());
        let show = |digit: &Digit| match digit.kind {
            Kind::Axis { axis, by: 1 } => format!("{}:{}", name(axis), digit.extent),
            Kind::Axis { axis, by } => format!("{}/{by}:{}", name(axis), digit.extent),
            Kind::Skew { axis, less } => format!("({}-{}):{}", name(axis), name(less), digit.extent),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::{Builder, Output, parse};
    use std::sync::Arc;

    fn matrix(inner: Vec<Digit>) -> Packing {
        Packing {
            axes: vec![("k".into(), 7), ("i".into(), 3)],
            outer: Vec::new(),
            inner,
            access: Packing::own_access(2),
            shape: vec![7, 3],
            rest: Rest::Zero,
            padding: Rest::Zero,
        }
    }

    fn digit(kind: Kind, extent: u32) -> Digit {
        Digit { kind, extent }
    }

    #[test]
    fn a_skewed_digit_is_the_difference_of_two_axes() {
        let skew = Kind::Skew { axis: 0, less: 1 };
        let (part, rows) = (Kind::Axis { axis: 0, by: 4 }, Kind::Axis { axis: 1, by: 1 });
        let packing = matrix(vec![digit(part, 2), digit(rows, 4), digit(Kind::Copy, 2), digit(skew, 4)]);
        assert_eq!(packing.to_string(), "[k/4:2 i:4 *2 (k-i):4]");
        assert_eq!(packing.verify(64), Ok(()));
        let cells = packing.cells(0, 64);
        for (slot, cell) in cells.into_iter().enumerate() {
            let (part, i, d) = (slot / 32, slot / 8 % 4, slot % 4);
            let held = (0..7).find(|k| k / 4 == part && (k + 4 - i) % 4 == d).filter(|_| i < 3);
            assert_eq!(cell, held.map_or(Cell::Zero, |k| Cell::Element((k * 3 + i) as u32)), "{slot}");
        }
    }

    #[test]
    fn a_schedule_with_a_skewed_input_is_read_back() {
        let skew = Kind::Skew { axis: 0, less: 1 };
        let rows = Kind::Axis { axis: 1, by: 1 };
        let packing = Arc::new(matrix(vec![digit(rows, 4), digit(Kind::Copy, 2), digit(skew, 8)]));
        let mut builder = Builder::new(64);
        let values = builder.input("a", &[7, 3], &packing);
        let output = Output { name: "o".into(), shape: vec![7, 3], packing, values };
        let slots = builder.finish("skewed", vec![output]);
        assert_eq!(slots.verify(), Ok(()));
        let read = parse(&slots.to_string()).unwrap();
        assert_eq!(read.inputs, slots.inputs);
        assert_eq!(read.outputs, slots.outputs);
    }

    #[test]
    fn digits_that_say_nothing_are_no_packing() {
        let skew = |axis, less| digit(Kind::Skew { axis, less }, 4);
        for digits in [
            vec![skew(0, 0)],
            vec![skew(0, 2)],
            vec![skew(0, 1), skew(1, 0)],
            vec![digit(Kind::Axis { axis: 2, by: 1 }, 4)],
            vec![digit(Kind::Axis { axis: 0, by: 0 }, 4)],
            vec![digit(Kind::Copy, 0)],
            vec![digit(Kind::Copy, 128)],
        ] {
            let packing = matrix(digits);
            assert!(packing.verify(64).is_err(), "{packing}");
        }
    }
}

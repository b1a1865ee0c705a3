//! Working layouts: one order of all axes of a product, in which its operands meet.
//!
//! ```text
//! [k/4:16 | k:4 i:64 j:64]
//! ```
//!
//! Axes outside the first slots' worth choose the ciphertext; an axis that straddles the border is cut.

use crate::expr::Affine;
use crate::slots::packing::Rest;
use crate::slots::{Digit, Kind, Packing};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An order of axes with the extents they are padded to.
#[derive(Clone, Debug, PartialEq)]
pub struct Working {
    /// The axes of the step: names and extents.
    pub axes: Arc<[(String, u64)]>,
    /// The digits that choose the ciphertext, slowest first.
    pub outer: Vec<Digit>,
    /// The digits that choose the slot, slowest first.
    pub inner: Vec<Digit>,
}

/// What the digits of axes that a tensor lacks become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Copies.
    Copy,
    /// Gaps of zeros.
    Zero,
}

/// The most ciphertexts that a working layout may take.
pub const MOST_CIPHERTEXTS: u64 = 1 << 10;

impl Working {
    /// The layout of that order (slowest first) with those padded extents; `fill` repeats it to fill the slots where
    /// that comes out even. `None` where it takes too many ciphertexts.
    pub fn new(
        axes: &Arc<[(String, u64)]>,
        order: &[usize],
        padded: &[u64],
        slots: u32,
        fill: bool,
    ) -> Option<Working> {
        let mut outer: Vec<Digit> = Vec::new();
        let mut inner: Vec<Digit> = Vec::new();
        let mut reach = 1u64;
        let mut ciphertexts = 1u64;
        for &axis in order.iter().rev() {
            let extent = padded[axis];
            if extent == 1 {
                continue;
            }
            let room = u64::from(slots) / reach;
            if outer.is_empty() && extent <= room {
                inner.insert(0, digit(axis, 1, extent)?);
                reach *= extent;
                continue;
            }
            // The largest part that leaves nothing over, or a power of two.
            let part = match outer.is_empty() {
                false => 1,
                true => (1..=room)
                    .rev()
                    .find(|part| extent.is_multiple_of(*part) && part * 4 > room * 3)
                    .unwrap_or(if room == 0 { 1 } else { 1 << room.ilog2() }),
            };
            if part > 1 {
                inner.insert(0, digit(axis, 1, part)?);
                reach *= part;
            }
            let count = extent.div_ceil(part);
            ciphertexts = ciphertexts.checked_mul(count).filter(|count| *count <= MOST_CIPHERTEXTS)?;
            outer.insert(0, digit(axis, part, count)?);
        }
        if fill && outer.is_empty() && reach.is_power_of_two() && reach < u64::from(slots) {
            let extent = slots / reach as u32;
            inner.insert(0, Digit { kind: Kind::Copy, extent });
        }
        Some(Working { axes: axes.clone(), outer, inner })
    }

    /// Where a tensor lies that is read at `access`; axes that it lacks become what `lacking` says.
    pub fn packing(
        &self,
        access: &[Affine],
        shape: &[u64],
        used: &BTreeSet<usize>,
        lacking: Lacking,
    ) -> Packing {
        let digit = |digit: &Digit, inner: bool| match digit.kind {
            Kind::Axis { axis, .. } if !used.contains(&axis) => Digit {
                kind: match lacking {
                    Lacking::Copy => Kind::Copy,
                    _ if !inner => Kind::Copy,
                    Lacking::Zero => Kind::Zero,
                },
                ..*digit
            },
            _ => *digit,
        };
        Packing {
            axes: self.axes.to_vec(),
            outer: self.outer.iter().map(|d| digit(d, false)).collect(),
            inner: self.inner.iter().map(|d| digit(d, true)).collect(),
            access: access.to_vec(),
            shape: shape.to_vec(),
            rest: Rest::Zero,
            padding: Rest::Zero,
        }
    }

    /// Whether some slots are past the end of an axis.
    pub fn pads(&self, axis: usize) -> bool {
        let own = |digit: &&Digit| matches!(digit.kind, Kind::Axis { axis: other, .. } if other == axis);
        let reach: u64 =
            self.outer.iter().chain(&self.inner).filter(own).map(|digit| u64::from(digit.extent)).product();
        reach > self.axes[axis].1
    }

    /// How many slots of each ciphertext it takes.
    pub fn reach(&self) -> usize {
        self.inner.iter().map(|digit| digit.extent as usize).product()
    }

    /// How many ciphertexts it takes.
    pub fn ciphertexts(&self) -> usize {
        self.outer.iter().map(|digit| digit.extent as usize).product()
    }
}

fn digit(axis: usize, by: u64, extent: u64) -> Option<Digit> {
    Some(Digit {
        kind: Kind::Axis { axis, by: u32::try_from(by).ok()? },
        extent: u32::try_from(extent).ok()?,
    })
}

/// The row-major packing of a tensor: dims padded to powers of two.
pub fn row_major(shape: &[u64], slots: u32) -> Option<Arc<Packing>> {
    let axes: Arc<[(String, u64)]> =
        shape.iter().enumerate().map(|(dim, extent)| (format!("d{dim}"), *extent)).collect();
    let padded: Vec<u64> = shape.iter().map(|extent| extent.next_power_of_two()).collect();
    let order: Vec<usize> = (0..shape.len()).collect();
    let working = Working::new(&axes, &order, &padded, slots, false)?;
    let access = Packing::own_access(shape.len());
    Some(Arc::new(working.packing(&access, shape, &order.iter().copied().collect(), Lacking::Zero)))
}

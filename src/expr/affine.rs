//! Affine forms of axes.

use super::{Axes, AxisId};

/// `constant + sum of coefficient * axis`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Affine {
    /// Axes with coefficients that are not zero, by axis.
    pub terms: Vec<(AxisId, i64)>,
    /// The constant part.
    pub constant: i64,
}

impl Affine {
    /// What an axis counts; 0 where it does not occur.
    pub fn coefficient(&self, axis: AxisId) -> i64 {
        self.terms.iter().find(|term| term.0 == axis).map_or(0, |term| term.1)
    }

    /// `self + other`, `None` on overflow.
    pub fn plus(&self, other: &Affine) -> Option<Affine> {
        let mut terms: std::collections::BTreeMap<AxisId, i64> = self.terms.iter().copied().collect();
        for &(axis, coefficient) in &other.terms {
            let entry = terms.entry(axis).or_insert(0);
            *entry = entry.checked_add(coefficient)?;
        }
        Some(Affine {
            terms: terms.into_iter().filter(|term| term.1 != 0).collect(),
            constant: self.constant.checked_add(other.constant)?,
        })
    }

    /// `factor * self`, `None` on overflow.
    pub fn scaled(&self, factor: i64) -> Option<Affine> {
        let mut terms = Vec::new();
        for &(axis, coefficient) in &self.terms {
            let scaled = coefficient.checked_mul(factor)?;
            if scaled != 0 {
                terms.push((axis, scaled));
            }
        }
        Some(Affine { terms, constant: self.constant.checked_mul(factor)? })
    }

    /// The single axis it is, if its coefficient is 1 and the constant 0.
    pub fn axis(&self) -> Option<AxisId> {
        match self.terms[..] {
            [(axis, 1)] if self.constant == 0 => Some(axis),
            _ => None,
        }
    }

    /// The least and greatest value over the axes' ranges; `None` if an axis is empty or on overflow.
    pub fn bounds(&self, axes: &Axes) -> Option<(i64, i64)> {
        let (mut low, mut high) = (self.constant, self.constant);
        for &(axis, coefficient) in &self.terms {
            let last = i64::try_from(axes[axis].extent.checked_sub(1)?).ok()?;
            let reach = coefficient.checked_mul(last)?;
            low = low.checked_add(reach.min(0))?;
            high = high.checked_add(reach.max(0))?;
        }
        Some((low, high))
    }
}

//! Indices that are clamped, or checked: where on an axis they need not be, loops are cut, and read what they say.
//!
//! ```text
//!                                        for l in 0..12 { .. x[min(max(l + r - 12, 0), 95)] .. }
//! sum[r](x[clamp(l + r - 12, 0, 95)])  =>  for l in 12..84 { .. x[l + r - 12] .. }
//!                                        for l in 84..96 { .. x[min(max(l + r - 12, 0), 95)] .. }
//! ```

use super::build::Builder;
use super::expr::Point;
use super::nest::Task;
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, Outside, Read};
use crate::plan::Source;

/// A limit of an index.
#[derive(Clone, Copy)]
enum Limit {
    Low(i64),
    High(i64),
}

/// An index with a limit: the index without it, and the limit.
fn limited(index: &Expr<Source>) -> Option<(&Expr<Source>, Limit)> {
    let Expr::Binary(op, a, b) = index else { return None };
    let number = |expr: &Expr<Source>| {
        expr.affine().filter(|affine| affine.terms.is_empty()).map(|affine| affine.constant)
    };
    let (inner, number) = match (number(a), number(b)) {
        (None, Some(number)) => (a, number),
        (Some(number), None) => (b, number),
        _ => return None,
    };
    match op {
        Binary::Max => Some((inner, Limit::Low(number))),
        Binary::Min => Some((inner, Limit::High(number))),
        _ => None,
    }
}

impl Builder {
    /// An index as an affine form that it equals at all values that the loops around take, in all lanes.
    pub(super) fn affine_at(&self, index: &Expr<Source>, point: &Point) -> Option<Affine> {
        let Some((inner, limit)) = limited(index) else { return index.affine() };
        let affine = self.affine_at(inner, point)?;
        let (low, high) = self.reach(&affine, point);
        let (passes, stops, number) = match limit {
            Limit::Low(number) => (low >= i128::from(number), high <= i128::from(number), number),
            Limit::High(number) => (high <= i128::from(number), low >= i128::from(number), number),
        };
        match (passes, stops) {
            (true, _) => Some(affine),
            (_, true) => Some(Affine { terms: Vec::new(), constant: number }),
            _ => None,
        }
    }
}

/// The values of an axis at which what is asked of indices holds.
struct Left {
    extent: i64,
    first: i128,
    last: i128,
}

impl Left {
    fn new(extent: u64) -> Option<Left> {
        let extent = i64::try_from(extent).ok()?;
        Some(Left { extent, first: 0, last: i128::from(extent) - 1 })
    }

    /// Those values `x` at which `low + by * x` is not less than a number.
    fn at_least(&mut self, by: i128, low: i128, number: i128) {
        match by {
            1.. => self.first = self.first.max(-(low - number).div_euclid(by)),
            0 => {}
            _ => self.last = self.last.min((low - number).div_euclid(-by)),
        }
    }

    /// Those values `x` at which `high + by * x` is not greater than a number.
    fn at_most(&mut self, by: i128, high: i128, number: i128) {
        self.at_least(-by, -high, -number);
    }

    /// The values, of which some are left out, and some not.
    fn part(&self) -> Option<(i64, i64)> {
        let partly = self.first > 0 || self.last < i128::from(self.extent) - 1;
        // Both are of the axis then.
        (partly && self.first <= self.last).then_some((self.first as i64, self.last as i64 + 1))
    }
}

/// Where on an axis no index of the reductions is clamped, whatever the other axes are; `None` where that is all or nothing.
pub(super) fn unclamped(
    task: &Task,
    axis: AxisId,
    axes: &Axes,
    outer: &Point,
    builder: &Builder,
) -> Option<(i64, i64)> {
    let mut left = Left::new(axes[axis].extent)?;
    for reduction in task.reductions {
        reduction.body.for_each_read(&mut |read| {
            for index in &read.indices {
                let (mut index, mut limits) = (index, Vec::new());
                while let Some((inner, limit)) = limited(index) {
                    index = inner;
                    limits.push(limit);
                }
                let Some(affine) = index.affine() else { continue };
                let (by, low, high) = builder.spread(&affine, axis, axes, outer);
                for limit in limits {
                    match limit {
                        Limit::Low(number) => left.at_least(by, low, number.into()),
                        Limit::High(number) => left.at_most(by, high, number.into()),
                    }
                }
            }
        });
    }
    left.part()
}

/// Where on an axis all checked indices stay inside, whatever the other axes are; `None` where that is all or nothing.
pub(super) fn inside_of(
    task: &Task,
    axis: AxisId,
    axes: &Axes,
    outer: &Point,
    builder: &Builder,
) -> Option<(i64, i64)> {
    let mut left = Left::new(axes[axis].extent)?;
    let mut visit = |read: &Read<Source>| {
        let Source::Operand(number) = read.source else { return };
        if matches!(read.outside, Outside::Never | Outside::Trust) {
            return;
        }
        for (index, dim) in read.indices.iter().zip(&task.operands[number as usize].dims) {
            if !index.free_axes().contains(&axis) {
                continue;
            }
            let Some(affine) = index.affine() else { continue };
            let (by, low, high) = builder.spread(&affine, axis, axes, outer);
            left.at_least(by, low, 0);
            left.at_most(by, high, i128::from(dim.0) - 1);
        }
    };
    task.reductions.iter().for_each(|reduction| reduction.body.for_each_read(&mut visit));
    task.value.for_each_read(&mut visit);
    left.part()
}

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

/// Where on an axis no index of the reductions is clamped, whatever the other axes are; `None` where that is all or nothing.
pub(super) fn unclamped(
    task: &Task,
    axis: AxisId,
    axes: &Axes,
    outer: &Point,
    builder: &Builder,
) -> Option<(i64, i64)> {
    let extent = i64::try_from(axes[axis].extent).ok()?;
    let (mut first, mut last) = (0, i128::from(extent) - 1);
    for reduction in task.reductions {
        reduction.body.for_each_read(&mut |read| {
            for index in &read.indices {
                let mut index = index;
                while let Some((inner, limit)) = limited(index) {
                    index = inner;
                    let mut innermost = inner;
                    while let Some((inner, _)) = limited(innermost) {
                        innermost = inner;
                    }
                    let Some(affine) = innermost.affine() else { continue };
                    let (by, low, high) = builder.spread(&affine, axis, axes, outer);
                    match (limit, by) {
                        (_, 0) => {}
                        (Limit::Low(number), 1..) => first = first.max(up(i128::from(number) - low, by)),
                        (Limit::Low(number), _) => {
                            last = last.min((low - i128::from(number)).div_euclid(-by))
                        }
                        (Limit::High(number), 1..) => {
                            last = last.min((i128::from(number) - high).div_euclid(by))
                        }
                        (Limit::High(number), _) => first = first.max(up(high - i128::from(number), -by)),
                    }
                }
            }
        });
    }
    let partly = first > 0 || last < i128::from(extent) - 1;
    // Both are of the axis then.
    (partly && first <= last).then_some((first as i64, last as i64 + 1))
}

/// Where on an axis all checked indices stay inside, whatever the other axes are; `None` where that is all or nothing.
pub(super) fn inside_of(
    task: &Task,
    axis: AxisId,
    axes: &Axes,
    outer: &Point,
    builder: &Builder,
) -> Option<(i64, i64)> {
    let extent = i64::try_from(axes[axis].extent).ok()?;
    let (mut first, mut last) = (0i64, extent - 1);
    let mut failed = false;
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
            let end = i128::from(dim.0) - 1;
            // low + by x >= 0 and high + by x <= end
            let (from, to) = if by > 0 {
                (-low.div_euclid(by), (end - high).div_euclid(by))
            } else if by < 0 {
                ((high - end + (-by - 1)).div_euclid(-by), low.div_euclid(-by))
            } else {
                continue;
            };
            match (i64::try_from(from.max(0)), i64::try_from(to.min(extent.into()))) {
                (Ok(from), Ok(to)) => (first, last) = (first.max(from), last.min(to)),
                _ => failed = true,
            }
        }
    };
    task.reductions.iter().for_each(|reduction| reduction.body.for_each_read(&mut visit));
    task.value.for_each_read(&mut visit);
    let partly = first > 0 || last < extent - 1;
    (!failed && partly && first <= last).then_some((first, last + 1))
}

/// The quotient by a positive number, rounded up.
fn up(value: i128, by: i128) -> i128 {
    -(-value).div_euclid(by)
}

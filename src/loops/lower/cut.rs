//! Loops in parts, in each of which a condition on their index holds or does not.
//!
//! ```text
//! for f in 0..2048 {                                          for f in 0..256 { y[f] = z[f] }
//!   y[f] = select(f < 256 or 2048 - f < 256, z[f], 0)   =>    for f in 256..1793 step 16 { y[f] = 0 }
//! }                                                           for f in 1793..2048 { y[f] = z[f] }
//! ```
//!
//! So for what stands in for elements outside of a tensor, where one index alone tells which these are.

use super::build::Builder;
use super::expr::Point;
use super::nest::Task;
use crate::expr::{Affine, AxisId, Binary, Expr, Outside, Unary};
use crate::loops::DType;
use crate::plan::Source;

/// Loops are cut so often at most.
const MOST_CUTS: usize = 4;

/// Loops of fewer values are not cut.
const LEAST_EXTENT: i64 = 64;

/// The difference of the sides of a comparison of affine indices.
fn difference(a: &Expr<Source>, b: &Expr<Source>) -> Option<Affine> {
    let integers = a.dtype() == DType::I64 && b.dtype() == DType::I64;
    a.affine().filter(|_| integers)?.plus(&b.affine()?.scaled(-1)?)
}

/// The value of an axis from which on it changes whether `by * axis + constant` is negative.
fn turn(by: i128, constant: i128) -> i128 {
    if by > 0 { -constant.div_euclid(by) } else { constant.div_euclid(-by) + 1 }
}

/// The values of an axis at which conditions of an expression change, if it is the only axis that they depend on.
fn turns(expr: &Expr<Source>, task: &Task, axis: AxisId, list: &mut Vec<i128>) {
    let alone = |affine: &Affine| match affine.terms[..] {
        [(own, by)] if own == axis => Some((i128::from(by), i128::from(affine.constant))),
        _ => None,
    };
    match expr {
        Expr::Binary(op, a, b) => {
            if let Some((by, constant)) = difference(a, b).and_then(|affine| alone(&affine)) {
                // A difference that is at most 0 is one that is less than 1.
                let (less, most) = (turn(by, constant), turn(by, constant - 1));
                match op {
                    Binary::Lt | Binary::Ge => list.push(less),
                    Binary::Le | Binary::Gt => list.push(most),
                    Binary::Eq | Binary::Ne => list.extend([less, most]),
                    _ => {}
                }
            }
        }
        Expr::Read(read) => {
            let Source::Operand(number) = read.source else { return };
            if let Outside::Else(_) = read.outside {
                for (index, dim) in read.indices.iter().zip(&task.operands[number as usize].dims) {
                    if let Some((by, constant)) = index.affine().and_then(|affine| alone(&affine)) {
                        list.extend([turn(by, constant), turn(by, constant - i128::from(dim.0))]);
                    }
                }
            }
            return;
        }
        _ => {}
    }
    expr.parts().into_iter().for_each(|part| turns(part, task, axis, list));
}

/// Whether only that axis tells which elements are outside of a tensor, wherever it has a say.
fn is_exact(task: &Task, axis: AxisId) -> bool {
    let mut exact = true;
    task.value.for_each_read(&mut |read| {
        if matches!(read.outside, Outside::Never | Outside::Trust) {
            return;
        }
        let fine = |index: &Expr<Source>| {
            !index.free_axes().contains(&axis)
                || index.affine().is_some_and(|affine| matches!(affine.terms[..], [(own, _)] if own == axis))
        };
        exact &= matches!(read.outside, Outside::Else(_)) && read.indices.iter().all(fine);
    });
    exact
}

/// Where a loop over so many values of an axis is cut, ascending, and whether every part may fill vectors.
pub(super) fn cuts(task: &Task, axis: AxisId, extent: i64) -> (Vec<i64>, bool) {
    let mut list = Vec::new();
    if task.reductions.is_empty() && extent >= LEAST_EXTENT {
        turns(task.value, task, axis, &mut list);
    }
    let inside = list.into_iter().filter(|&at| at > 0 && at < i128::from(extent));
    let mut cuts: Vec<i64> = inside.filter_map(|at| i64::try_from(at).ok()).collect();
    cuts.sort_unstable();
    cuts.dedup();
    if cuts.len() > MOST_CUTS {
        cuts.clear();
    }
    (cuts, is_exact(task, axis))
}

impl Builder {
    /// Whether a condition holds at all values that the loops around take, in all lanes, if that can be told.
    pub(super) fn decided(&self, condition: &Expr<Source>, point: &Point) -> Option<bool> {
        match condition {
            Expr::Unary(Unary::Not, a) => self.decided(a, point).map(|holds| !holds),
            Expr::Binary(op @ (Binary::And | Binary::Or), a, b) => {
                let ends = *op == Binary::Or;
                match (self.decided(a, point), self.decided(b, point)) {
                    (Some(x), _) | (_, Some(x)) if x == ends => Some(ends),
                    (Some(_), Some(_)) => Some(!ends),
                    _ => None,
                }
            }
            Expr::Binary(op, a, b) => {
                let (low, high) = self.reach(&difference(a, b)?, point);
                let (holds, fails) = match op {
                    Binary::Lt => (high < 0, low >= 0),
                    Binary::Le => (high <= 0, low > 0),
                    Binary::Gt => (low > 0, high <= 0),
                    Binary::Ge => (low >= 0, high < 0),
                    Binary::Eq => (low == 0 && high == 0, low > 0 || high < 0),
                    Binary::Ne => (low > 0 || high < 0, low == 0 && high == 0),
                    _ => return None,
                };
                if holds { Some(true) } else { fails.then_some(false) }
            }
            _ => None,
        }
    }
}

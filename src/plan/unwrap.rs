//! Cuts a loop nest where an index wraps round, so that the index is affine in every piece.
//!
//! ```text
//! nest[h,t] b2[h 7, t 1] = o0[h,((t + -3) % 4)]    =>    nest[h,t.0] b2[h 7, t.0 1] = o0[h,t.0 + 1]
//!                                                        nest[h,t.1] b2+3[h 7, t.1 1] = o0[h,t.1]
//! ```
//!
//! An index `(a t + c) % n` of one axis is `a t + c - q n` for as long as `q` stays. A short axis that is an exponent, as `l`
//! is in `o0[v * 2 ** l]`, is cut into its values, for each of which the index is affine too. Takes time linear in the
//! steps.

use super::{Nest, Plan, Source, Step};
use crate::expr::{Affine, Axes, Axis, AxisId, Binary, Expr};
use einc_runtime::{DType, Scalar};

/// The most pieces of an axis.
const PIECES: usize = 4;

/// The most values of an axis that is an exponent.
const VALUES: u64 = 8;

/// Cuts every loop nest of a plan.
pub(super) fn cut(mut plan: Plan) -> Plan {
    let Plan { steps, axes, .. } = &mut plan;
    *steps = cut_steps(std::mem::take(steps), axes);
    plan
}

fn cut_steps(steps: Vec<Step>, axes: &mut Axes) -> Vec<Step> {
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Nest(nest) if nest.wanted.is_none() => match exponent(&nest, axes) {
                Some(axis) => (0..axes[axis].extent).for_each(|value| {
                    cut_nest(at_value(nest.clone(), axis, value as i64), axes, &mut list);
                }),
                None => cut_nest(nest, axes, &mut list),
            },
            Step::Scan(mut scan) => {
                scan.body = cut_steps(std::mem::take(&mut scan.body), axes);
                list.push(Step::Scan(scan));
            }
            step => list.push(step),
        }
    }
    list
}

/// An index that wraps round: what is taken modulo `n`, which is positive.
struct Wrapped {
    by: i64,
    constant: i64,
    n: i64,
}

impl Wrapped {
    /// How often it has wrapped round at a value of the axis.
    fn turns(&self, at: i64) -> Option<i64> {
        Some(self.by.checked_mul(at)?.checked_add(self.constant)?.div_euclid(self.n))
    }

    /// The first value of the axis after `at` where it has wrapped round once more; `None` where numbers are too large.
    fn next(&self, at: i64) -> Option<i64> {
        let edge = self.turns(at)?.checked_mul(self.n)?;
        if self.by > 0 {
            let rest = edge.checked_add(self.n)?.checked_sub(self.constant)?;
            return rest.checked_add(self.by - 1).map(|rest| rest.div_euclid(self.by));
        }
        let rest = self.constant.checked_sub(edge)?;
        rest.div_euclid(self.by.checked_neg()?).checked_add(1)
    }
}

/// The expression as an index that wraps round along an axis, if it is one.
fn wrapped(expr: &Expr<Source>, axis: AxisId) -> Option<Wrapped> {
    let Expr::Binary(Binary::Rem, value, modulus) = expr else { return None };
    let Expr::Const(Scalar::Int(n), _) = **modulus else { return None };
    let Affine { terms, constant } = value.affine()?;
    match terms[..] {
        [(only, by)] if only == axis && n > 0 => Some(Wrapped { by, constant, n: i64::try_from(n).ok()? }),
        _ => None,
    }
}

fn collect(expr: &Expr<Source>, axis: AxisId, list: &mut Vec<Wrapped>) {
    match wrapped(expr, axis) {
        Some(found) => list.push(found),
        None => expr.parts().into_iter().for_each(|part| collect(part, axis, list)),
    }
}

/// Where the pieces of an axis start, and its extent; `None` where nothing wraps round along it, or too often.
fn edges(nest: &Nest, axis: AxisId, axes: &Axes) -> Option<Vec<i64>> {
    let extent = i64::try_from(axes[axis].extent).ok()?;
    let mut list = Vec::new();
    collect(&nest.value, axis, &mut list);
    if list.is_empty() || extent == 0 {
        return None;
    }
    let mut edges = vec![0];
    while let Some(&at) = edges.last().filter(|&&at| at < extent) {
        if edges.len() > PIECES {
            return None;
        }
        let mut next = extent;
        for one in &list {
            next = next.min(one.next(at)?);
        }
        edges.push(next);
    }
    Some(edges)
}

/// The expression in a piece that starts at a value of the axis: the axis is `start` plus another.
fn shifted(expr: &mut Expr<Source>, axis: AxisId, other: AxisId, start: i64) {
    let affine = match (wrapped(expr, axis), &*expr) {
        (Some(one), _) => {
            // The edges were found, so these numbers are small enough.
            let turns = one.turns(start).unwrap_or(0);
            Some((one.by, one.by * start + one.constant - turns * one.n))
        }
        (None, Expr::Index(id)) if *id == axis => Some((1, start)),
        _ => None,
    };
    match affine {
        Some((by, constant)) => {
            let index = Expr::Index(other);
            let index = if by == 1 { index } else { Expr::Product(vec![Expr::int(by), index]) };
            *expr = if constant == 0 { index } else { Expr::Sum(vec![index, Expr::int(constant)]) };
        }
        None => expr.parts_mut().into_iter().for_each(|part| shifted(part, axis, other, start)),
    }
}

fn cut_nest(nest: Nest, axes: &mut Axes, list: &mut Vec<Step>) {
    let found = match nest.reductions[..] {
        [] => nest.axes.iter().find_map(|&axis| Some((axis, edges(&nest, axis, axes)?))),
        _ => None,
    };
    let Some((axis, edges)) = found else { return list.push(Step::Nest(nest)) };
    for (number, ends) in edges.windows(2).enumerate() {
        let (start, extent) = (ends[0], ends[1] - ends[0]);
        let name = format!("{}.{number}", axes[axis].name);
        let other = axes.push(Axis { name, extent: extent.unsigned_abs() });
        let mut piece = nest.clone();
        piece.axes.iter_mut().filter(|own| **own == axis).for_each(|own| *own = other);
        shifted(&mut piece.value, axis, other, start);
        piece.out.offset = piece.out.offset.saturating_add(piece.out.stride(axis).saturating_mul(start));
        piece.out.strides.iter_mut().filter(|term| term.0 == axis).for_each(|term| term.0 = other);
        cut_nest(piece, axes, list);
    }
}

/// A short axis of a nest that is the exponent of a constant, if there is one.
fn exponent(nest: &Nest, axes: &Axes) -> Option<AxisId> {
    fn of(expr: &Expr<Source>) -> Option<AxisId> {
        let own = match expr {
            Expr::Binary(Binary::Pow, base, by)
                if matches!(**base, Expr::Const(Scalar::Int(_), DType::I64)) =>
            {
                by.affine().and_then(|by| by.axis())
            }
            _ => None,
        };
        own.or_else(|| expr.parts().into_iter().find_map(of))
    }
    let list = nest.reductions.iter().map(|reduction| &reduction.body).chain([&nest.value]);
    let axis = list.into_iter().find_map(of)?;
    (nest.axes.contains(&axis) && axes[axis].extent <= VALUES).then_some(axis)
}

/// A nest for one value of an axis.
fn at_value(mut nest: Nest, axis: AxisId, value: i64) -> Nest {
    nest.axes.retain(|own| *own != axis);
    nest.out.offset = nest.out.offset.saturating_add(nest.out.stride(axis).saturating_mul(value));
    nest.out.strides.retain(|stride| stride.0 != axis);
    let bodies = nest.reductions.iter_mut().map(|reduction| &mut reduction.body);
    bodies.chain([&mut nest.value]).for_each(|expr| fix(expr, axis, value));
    nest
}

/// Replaces an axis by a value, and powers and quotients of constants by what they are.
fn fix(expr: &mut Expr<Source>, axis: AxisId, value: i64) {
    expr.parts_mut().into_iter().for_each(|part| fix(part, axis, value));
    let number = |expr: &Expr<Source>| match *expr {
        Expr::Const(Scalar::Int(number), DType::I64) => i64::try_from(number).ok(),
        _ => None,
    };
    let known = match &*expr {
        Expr::Index(id) if *id == axis => Some(value),
        Expr::Binary(op, a, b) => match (op, number(a), number(b)) {
            (Binary::Pow, Some(a), Some(b)) => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            (Binary::FloorDiv, Some(a), Some(b)) if b > 0 => Some(a.div_euclid(b)),
            _ => None,
        },
        _ => None,
    };
    if let Some(known) = known {
        *expr = Expr::int(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_where_the_quotient_changes() {
        for by in [-3i64, -2, -1, 1, 2, 3] {
            for constant in -20..20 {
                for n in 1..9 {
                    let one = Wrapped { by, constant, n };
                    for at in 0..30 {
                        let turns = |at: i64| (by * at + constant).div_euclid(n);
                        let next = (at + 1..).find(|&later| turns(later) != turns(at));
                        assert_eq!((one.turns(at), one.next(at)), (Some(turns(at)), next));
                    }
                }
            }
        }
        assert_eq!(Wrapped { by: 2, constant: 0, n: 5 }.next(i64::MAX), None);
    }
}

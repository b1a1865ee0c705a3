//! The values that integer expressions can take.

use super::{Program, TensorId};
use crate::expr::{AlongOp, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use einc_runtime::{DType, Scalar};

/// The least and the greatest value.
pub(super) type Interval = (i128, i128);

/// Beyond every integer type: what larger magnitudes count as.
const FAR: i128 = 1 << 100;

/// The least and greatest value that an integer expression can take, where that is known: no operation in it wraps, or
/// it has a type of at most 16 bits, which bounds it in any case.
pub(super) fn interval(expr: &Expr<TensorId>, program: &Program) -> Option<Interval> {
    wrapped(unwrapped(expr, program, &|part| interval(part, program)), expr.dtype())
}

/// What is left of the values of an operation in a type that they may not fit.
pub(super) fn wrapped(values: Option<Interval>, dtype: DType) -> Option<Interval> {
    let (least, greatest) = match dtype {
        DType::Bool => (0, 1),
        _ => dtype.integer_range()?,
    };
    let known = values.filter(|&(low, high)| least <= low && high <= greatest);
    known.or_else(|| (dtype.bytes() <= 2).then_some((least, greatest)))
}

/// The values of an expression from those of its parts, as if its operation did not wrap; larger magnitudes than any
/// type has are cut.
pub(super) fn unwrapped(
    expr: &Expr<TensorId>,
    program: &Program,
    of: &dyn Fn(&Expr<TensorId>) -> Option<Interval>,
) -> Option<Interval> {
    let (low, high) = match expr {
        Expr::Const(Scalar::Int(value), _) => (*value, *value),
        Expr::Index(axis) => (0, i128::from(program.axes[*axis].extent.checked_sub(1)?)),
        Expr::Read(Read { source, dtype, outside, .. }) if dtype.is_integer() => {
            let known = match program.ranges.get(source) {
                Some(&range) => range,
                None if dtype.bytes() <= 2 => dtype.integer_range()?,
                None => return None,
            };
            match outside {
                Outside::Else(value) => join(known, of(value)?),
                _ => known,
            }
        }
        Expr::Cast(dtype, inner) if dtype.is_integer() => {
            let (low, high) = of(inner)?;
            let (least, greatest) = dtype.integer_range()?;
            if least <= low && high <= greatest { (low, high) } else { (least, greatest) }
        }
        Expr::Unary(op, a) => unary(*op, of(a), expr.dtype())?,
        Expr::Sum(parts) => parts.iter().try_fold((0i128, 0i128), |sum, part| {
            let (low, high) = of(part)?;
            Some(cut((sum.0 + low, sum.1 + high)))
        })?,
        Expr::Product(parts) => {
            parts.iter().try_fold((1i128, 1i128), |product, part| Some(times(product, of(part)?)))?
        }
        Expr::Binary(op, a, b) => binary(*op, of(a)?, of(b)?)?,
        Expr::Select(parts) => join(of(&parts[1])?, of(&parts[2])?),
        Expr::Reduce(reduce) => {
            let count = points(&reduce.axes, program);
            let many = i128::from(count.unwrap_or(u64::MAX));
            match reduce.op {
                ReduceOp::Sum => join((0, 0), times(of(&reduce.body)?, (many, many))),
                ReduceOp::Prod => powers(of(&reduce.body)?, count.unwrap_or(u64::MAX)),
                ReduceOp::Min | ReduceOp::Max if count? > 0 => of(&reduce.body)?,
                ReduceOp::ArgMin | ReduceOp::ArgMax => (0, i128::from(count?.saturating_sub(1))),
                _ => return None,
            }
        }
        Expr::Along(along) => {
            let count = points(&along.axes, program).unwrap_or(u64::MAX);
            match along.op {
                AlongOp::CumSum => times(of(&along.body)?, (count.min(1).into(), count.into())),
                AlongOp::CumProd => powers(of(&along.body)?, count),
                AlongOp::Sort | AlongOp::TopK => of(&along.body)?,
                AlongOp::ArgSort | AlongOp::ArgTopK => (0, i128::from(count.saturating_sub(1))),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some(cut((low, high)))
}

/// How many points some axes have together.
pub(super) fn points(axes: &[AxisId], program: &Program) -> Option<u64> {
    axes.iter().try_fold(1u64, |n, &axis| n.checked_mul(program.axes[axis].extent))
}

fn cut((low, high): Interval) -> Interval {
    (low.clamp(-FAR, FAR), high.clamp(-FAR, FAR))
}

fn join(a: Interval, b: Interval) -> Interval {
    (a.0.min(b.0), a.1.max(b.1))
}

fn times(a: Interval, b: Interval) -> Interval {
    let all = [(a.0, b.0), (a.0, b.1), (a.1, b.0), (a.1, b.1)].map(|(x, y)| x.saturating_mul(y));
    cut(all[1..].iter().fold((all[0], all[0]), |range, &value| join(range, (value, value))))
}

fn magnitude((low, high): Interval) -> i128 {
    low.abs().max(high.abs())
}

/// Products of any number of factors up to a count.
fn powers(factor: Interval, count: u64) -> Interval {
    let largest = power(magnitude(factor).max(1), count.into());
    (if factor.0 < 0 { -largest } else { 0 }, largest)
}

fn power(base: i128, exponent: i128) -> i128 {
    u32::try_from(exponent)
        .ok()
        .and_then(|exponent| base.checked_pow(exponent))
        .map_or(FAR, |value| value.min(FAR))
}

fn unary(op: Unary, a: Option<Interval>, dtype: DType) -> Option<Interval> {
    match op {
        Unary::Sign => return Some((-1, 1)),
        Unary::Popcount => return Some((0, 64)),
        Unary::Not if dtype == DType::Bool => return Some((0, 1)),
        _ => {}
    }
    let (low, high) = a?;
    match op {
        Unary::Neg => Some((-high, -low)),
        Unary::Not => Some((-1 - high, -1 - low)),
        Unary::Abs => {
            let least = if low <= 0 && 0 <= high { 0 } else { low.abs().min(high.abs()) };
            Some((least, magnitude((low, high))))
        }
        Unary::Relu => Some((low.max(0), high.max(0))),
        _ => None,
    }
}

fn binary(op: Binary, a: Interval, b: Interval) -> Option<Interval> {
    let ((low, high), (least, greatest)) = (a, b);
    // All bits up to the highest that either side has.
    let bits = || {
        let most = magnitude(a).max(magnitude(b)) as u128;
        (1i128 << (128 - most.leading_zeros()).min(100)) - 1
    };
    match op {
        Binary::Min => Some((low.min(least), high.min(greatest))),
        Binary::Max => Some((low.max(least), high.max(greatest))),
        Binary::Rem if least > 0 && low >= 0 && high < least => Some(a),
        Binary::Rem => Some(((least + 1).min(0), (greatest - 1).max(0))),
        Binary::FloorDiv if least > 0 => {
            let all = [(low, least), (low, greatest), (high, least), (high, greatest)];
            let all = all.map(|(x, y)| x.div_euclid(y));
            Some((*all.iter().min()?, *all.iter().max()?))
        }
        // A divisor of -1 negates, and division by zero gives 0.
        Binary::FloorDiv => Some((-magnitude(a), magnitude(a))),
        Binary::Pow if low >= 0 && least >= 0 => {
            let smallest = match (low, least, greatest) {
                (0, _, 0) => 1,
                (0, ..) => 0,
                _ => power(low, least),
            };
            Some((smallest, power(high, greatest).max(i128::from(least == 0))))
        }
        Binary::Pow => {
            // A negative exponent gives the reciprocal, truncated: -1, 0 or 1.
            let largest = power(magnitude(a).max(1), greatest.max(0));
            let even = least == greatest && least >= 0 && least % 2 == 0;
            Some((if low < 0 && !even { -largest } else { 0 }, largest))
        }
        Binary::BitAnd if low >= 0 || least >= 0 => {
            let most = [(low, high), (least, greatest)].into_iter().filter(|side| side.0 >= 0);
            Some((0, most.map(|side| side.1).min()?))
        }
        Binary::BitAnd | Binary::BitOr | Binary::BitXor => {
            Some((if low >= 0 && least >= 0 { 0 } else { -bits() - 1 }, bits()))
        }
        Binary::Shl if least >= 0 => {
            let most = power(2, greatest);
            Some(join((0, 0), times(a, (1, most))))
        }
        Binary::Shr => Some((low.min(0), high.max(0))),
        Binary::Within => Some(a),
        Binary::Shl | Binary::Div | Binary::Atan2 => None,
        Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => Some((0, 1)),
        Binary::And | Binary::Or => Some((0, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of `a` with every value of `b`, by the rules of integers that do not wrap.
    fn tried(op: Binary, a: Interval, b: Interval) -> Interval {
        let mut all = Vec::new();
        for x in a.0..=a.1 {
            for y in b.0..=b.1 {
                all.push(match op {
                    Binary::Min => x.min(y),
                    Binary::Max => x.max(y),
                    Binary::Rem if y == 0 => 0,
                    Binary::Rem => x - y * (x as f64 / y as f64).floor() as i128,
                    Binary::FloorDiv if y == 0 => 0,
                    Binary::FloorDiv => (x as f64 / y as f64).floor() as i128,
                    Binary::Pow if y >= 0 => x.pow(y as u32),
                    Binary::Pow if x == 0 => 0,
                    Binary::Pow => (1.0 / (x as f64).powi(-y as i32)).trunc() as i128,
                    Binary::BitAnd => x & y,
                    Binary::BitOr => x | y,
                    Binary::BitXor => x ^ y,
                    Binary::Shl if y >= 0 => x << y,
                    Binary::Shl => 0,
                    Binary::Shr if y >= 0 => x >> y,
                    _ => -i128::from(x < 0),
                });
            }
        }
        (*all.iter().min().unwrap(), *all.iter().max().unwrap())
    }

    #[test]
    fn intervals_hold_every_value() {
        let ops = [
            Binary::Min,
            Binary::Max,
            Binary::Rem,
            Binary::FloorDiv,
            Binary::Pow,
            Binary::BitAnd,
            Binary::BitOr,
            Binary::BitXor,
            Binary::Shl,
            Binary::Shr,
        ];
        let ranges: Vec<Interval> = (-5..=5).flat_map(|low| (low..=5).map(move |high| (low, high))).collect();
        for op in ops {
            for &a in &ranges {
                for &b in &ranges {
                    let Some(known) = binary(op, a, b) else { continue };
                    let real = tried(op, a, b);
                    assert!(known.0 <= real.0 && real.1 <= known.1, "{op:?} {a:?} {b:?}: {known:?} {real:?}");
                }
            }
        }
    }
}

//! Values that integer expressions can take: accesses stay inside, sums of small integers do not overflow.

use super::check::{Checker, Step};
use super::{Program, TensorId};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::HashMap;

/// Most points that are tried one by one where bounds alone do not prove an access.
const POINTS: u64 = 1 << 18;

/// The least and greatest value that an integer expression can take, where that is known.
///
/// Reads of types of at most 16 bits give the range of the type.
pub(super) fn interval(expr: &Expr<TensorId>, program: &Program) -> Option<(i128, i128)> {
    let of = |part: &Expr<TensorId>| interval(part, program);
    match expr {
        Expr::Const(Scalar::Int(value), _) => Some((*value, *value)),
        Expr::Index(axis) => {
            let last = i128::from(program.axes[*axis].extent.checked_sub(1)?);
            Some((0, last))
        }
        Expr::Read(Read { dtype, outside, .. }) if dtype.is_integer() && dtype.bytes() <= 2 => {
            let (low, high) = dtype.integer_range()?;
            match outside {
                Outside::Else(value) => {
                    let (a, b) = of(value)?;
                    Some((low.min(a), high.max(b)))
                }
                _ => Some((low, high)),
            }
        }
        Expr::Cast(dtype, inner) if dtype.is_integer() => {
            let (low, high) = of(inner)?;
            let (least, greatest) = dtype.integer_range()?;
            Some(if least <= low && high <= greatest { (low, high) } else { (least, greatest) })
        }
        Expr::Unary(Unary::Neg, a) => of(a).map(|(low, high)| (-high, -low)),
        Expr::Unary(Unary::Abs, a) => of(a).map(|(low, high)| {
            (if low <= 0 && 0 <= high { 0 } else { low.abs().min(high.abs()) }, low.abs().max(high.abs()))
        }),
        Expr::Unary(Unary::Relu, a) => of(a).map(|(low, high)| (low.max(0), high.max(0))),
        Expr::Unary(Unary::Sign, _) => Some((-1, 1)),
        Expr::Unary(Unary::Popcount, _) => Some((0, 64)),
        Expr::Sum(parts) => parts.iter().try_fold((0i128, 0i128), |sum, part| {
            let (low, high) = of(part)?;
            Some((sum.0.checked_add(low)?, sum.1.checked_add(high)?))
        }),
        Expr::Product(parts) => {
            parts.iter().try_fold((1i128, 1i128), |product, part| times(product, of(part)?))
        }
        Expr::Binary(Binary::Min, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            Some((a.0.min(b.0), a.1.min(b.1)))
        }
        Expr::Binary(Binary::Max, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            Some((a.0.max(b.0), a.1.max(b.1)))
        }
        Expr::Binary(Binary::Rem, a, b) => {
            let (low, high) = of(b)?;
            if low <= 0 {
                return None;
            }
            match of(a) {
                Some((first, last)) if first >= 0 && last < low => Some((first, last)),
                _ => Some((0, high - 1)),
            }
        }
        Expr::Binary(Binary::FloorDiv, a, b) => {
            let ((low, high), (least, greatest)) = (of(a)?, of(b)?);
            if least <= 0 {
                return None;
            }
            let all = [
                low.div_euclid(least),
                low.div_euclid(greatest),
                high.div_euclid(least),
                high.div_euclid(greatest),
            ];
            Some((all.into_iter().min()?, all.into_iter().max()?))
        }
        Expr::Binary(Binary::Pow, a, b) => {
            let ((low, high), (least, greatest)) = (of(a)?, of(b)?);
            if low < 0 || least < 0 {
                return None;
            }
            Some((
                low.checked_pow(u32::try_from(least).ok()?)?,
                high.checked_pow(u32::try_from(greatest).ok()?)?,
            ))
        }
        Expr::Binary(Binary::BitAnd, a, b) => {
            let ((low, high), (least, greatest)) = (of(a)?, of(b)?);
            (low >= 0 && least >= 0).then(|| (0, high.min(greatest)))
        }
        Expr::Select(parts) => {
            let (a, b) = (of(&parts[1])?, of(&parts[2])?);
            Some((a.0.min(b.0), a.1.max(b.1)))
        }
        Expr::Reduce(reduce) => {
            let count = points(&reduce.axes, program);
            match reduce.op {
                ReduceOp::Sum => {
                    let (low, high) = of(&reduce.body)?;
                    let count = i128::from(count?);
                    Some((low.checked_mul(count)?.min(0), high.checked_mul(count)?.max(0)))
                }
                ReduceOp::Min | ReduceOp::Max if count? > 0 => of(&reduce.body),
                ReduceOp::ArgMin | ReduceOp::ArgMax => Some((0, i128::from(count?.saturating_sub(1)))),
                _ => None,
            }
        }
        _ => None,
    }
}

fn times(a: (i128, i128), b: (i128, i128)) -> Option<(i128, i128)> {
    let all = [a.0.checked_mul(b.0)?, a.0.checked_mul(b.1)?, a.1.checked_mul(b.0)?, a.1.checked_mul(b.1)?];
    Some((all.into_iter().min()?, all.into_iter().max()?))
}

fn points(axes: &[AxisId], program: &Program) -> Option<u64> {
    axes.iter().try_fold(1u64, |n, &axis| n.checked_mul(program.axes[axis].extent))
}

/// The value of an expression of axes alone.
fn evaluate(expr: &Expr<TensorId>, values: &HashMap<AxisId, i64>) -> Option<i64> {
    let of = |part: &Expr<TensorId>| evaluate(part, values);
    match expr {
        Expr::Const(Scalar::Int(value), _) => i64::try_from(*value).ok(),
        Expr::Index(axis) => values.get(axis).copied(),
        Expr::Cast(DType::I64, inner) => of(inner),
        Expr::Unary(Unary::Neg, a) => of(a)?.checked_neg(),
        Expr::Unary(Unary::Abs, a) => of(a)?.checked_abs(),
        Expr::Sum(parts) => parts.iter().try_fold(0i64, |sum, part| sum.checked_add(of(part)?)),
        Expr::Product(parts) => parts.iter().try_fold(1i64, |product, part| product.checked_mul(of(part)?)),
        Expr::Binary(op, a, b) => {
            let (x, y) = (of(a)?, of(b)?);
            match op {
                Binary::Min => Some(x.min(y)),
                Binary::Max => Some(x.max(y)),
                Binary::FloorDiv => (y != 0).then(|| super::size::floor_div(x, y)),
                Binary::Rem => (y != 0).then(|| x - super::size::floor_div(x, y) * y),
                Binary::Pow => x.checked_pow(u32::try_from(y).ok()?),
                Binary::Eq => Some(i64::from(x == y)),
                Binary::Ne => Some(i64::from(x != y)),
                Binary::Lt => Some(i64::from(x < y)),
                Binary::Le => Some(i64::from(x <= y)),
                Binary::Gt => Some(i64::from(x > y)),
                Binary::Ge => Some(i64::from(x >= y)),
                Binary::And => Some(i64::from(x != 0 && y != 0)),
                Binary::Or => Some(i64::from(x != 0 || y != 0)),
                Binary::BitAnd => Some(x & y),
                Binary::BitOr => Some(x | y),
                Binary::BitXor => Some(x ^ y),
                Binary::Shl => x.checked_shl(u32::try_from(y).ok()?),
                Binary::Shr => x.checked_shr(u32::try_from(y).ok()?),
                _ => None,
            }
        }
        Expr::Select(parts) => {
            if of(&parts[0])? != 0 {
                of(&parts[1])
            } else {
                of(&parts[2])
            }
        }
        _ => None,
    }
}

impl Checker<'_> {
    /// Checks that reads stay inside where nothing says otherwise, and that sums of small integers fit.
    pub(super) fn check_reads(&mut self, value: &Expr<TensorId>) -> Step<()> {
        if !self.concrete {
            return Ok(());
        }
        self.check_within(value, &mut Vec::new())
    }

    fn check_within(&mut self, expr: &Expr<TensorId>, guards: &mut Vec<(Expr<TensorId>, bool)>) -> Step<()> {
        match expr {
            Expr::Read(read) => {
                if matches!(read.outside, Outside::Never) {
                    for (dim, index) in read.indices.iter().enumerate() {
                        let extent = self.program.tensors[read.source].shape[dim];
                        self.stays_inside(index, guards, extent, (read.source, dim), read.place)?;
                    }
                }
            }
            Expr::Reduce(reduce) if reduce.op == ReduceOp::Sum && reduce.body.dtype() == DType::I32 => {
                if let Some((low, high)) = interval(expr, &self.program)
                    && (low < i128::from(i32::MIN) || high > i128::from(i32::MAX))
                {
                    let place = first_place(&reduce.body);
                    let count = points(&reduce.axes, &self.program).unwrap_or(u64::MAX);
                    let each = interval(&reduce.body, &self.program).map_or(0, |(a, b)| a.abs().max(b.abs()));
                    return Err(self.report(
                        Diagnostic::error(
                            Code::AccumulatorOverflow,
                            format!("an i32 accumulator can overflow: {count} x {each} > 2^31 - 1"),
                        )
                        .label(place, "summed here")
                        .help("write `@acc(i64)` above the statement"),
                    ));
                }
            }
            Expr::Select(parts) => {
                self.check_within(&parts[0], guards)?;
                guards.push((parts[0].clone(), true));
                let then = self.check_within(&parts[1], guards);
                guards.pop();
                then?;
                guards.push((parts[0].clone(), false));
                let otherwise = self.check_within(&parts[2], guards);
                guards.pop();
                return otherwise;
            }
            _ => {}
        }
        for part in expr.parts() {
            self.check_within(part, guards)?;
        }
        Ok(())
    }

    /// Checks one index; conditions around the access are taken into account where the axes are few.
    fn stays_inside(
        &mut self,
        index: &Expr<TensorId>,
        guards: &[(Expr<TensorId>, bool)],
        extent: u64,
        (tensor, dim): (TensorId, usize),
        place: Span,
    ) -> Step<()> {
        let mut axes: Vec<AxisId> = index.free_axes().into_iter().collect();
        if axes.iter().any(|&axis| self.program.axes[axis].extent == 0) {
            return Ok(());
        }
        let range = match index.affine() {
            Some(affine) => affine.bounds(&self.program.axes).map(|(low, high)| (low.into(), high.into())),
            None => interval(index, &self.program),
        };
        if let Some((low, high)) = range
            && low >= 0
            && high < i128::from(extent)
        {
            return Ok(());
        }
        for (guard, _) in guards {
            for axis in guard.free_axes() {
                if !axes.contains(&axis) {
                    axes.push(axis);
                }
            }
        }
        let fixed = index.free_axes().is_empty();
        let total = points(&axes, &self.program).unwrap_or(u64::MAX);
        let mut worst = range;
        if total <= POINTS {
            worst = None;
            let mut values: HashMap<AxisId, i64> = axes.iter().map(|&axis| (axis, 0)).collect();
            for number in 0..total {
                let mut rest = number;
                for &axis in &axes {
                    let extent = self.program.axes[axis].extent;
                    values.insert(axis, (rest % extent) as i64);
                    rest /= extent;
                }
                let excluded = guards.iter().any(|(guard, wanted)| {
                    evaluate(guard, &values).is_some_and(|value| (value != 0) != *wanted)
                });
                if excluded {
                    continue;
                }
                match evaluate(index, &values) {
                    Some(value) if value >= 0 && (value as u64) < extent => {}
                    Some(value) => {
                        let value = i128::from(value);
                        worst = Some(
                            worst.map_or((value, value), |(low, high)| (low.min(value), high.max(value))),
                        );
                    }
                    None => return self.leaves(range, fixed, extent, (tensor, dim), place),
                }
            }
            if worst.is_none() {
                return Ok(());
            }
        }
        self.leaves(worst, fixed, extent, (tensor, dim), place)
    }

    fn leaves(
        &mut self,
        range: Option<(i128, i128)>,
        fixed: bool,
        extent: u64,
        (tensor, dim): (TensorId, usize),
        place: Span,
    ) -> Step<()> {
        let name = self.program.tensors[tensor].name.clone();
        let what = match range {
            Some((low, _)) if low < 0 => format!("reads index {low}"),
            Some((_, high)) => format!("reads index {high}"),
            None => "cannot be shown to stay inside".to_string(),
        };
        // One past the end and nowhere else: the name of a dim, where an index was meant.
        let help = if fixed && range.is_some_and(|(_, high)| high == i128::from(extent)) {
            "a dim inside an access is its value, and no index: give the index a name that no dim has"
        } else {
            "give a value for outside, `[.. else 0]`, wrap with `%`, or shorten the range with `where`"
        };
        Err(self.report(
            Diagnostic::error(
                Code::OutOfRange,
                format!("an access leaves `{name}`: it {what}, and dim {dim} is {extent} long"),
            )
            .label(place, "leaves the tensor")
            .help(help),
        ))
    }

    /// What a scatter with indices of axes alone does outside: nothing, for they stay inside.
    pub(super) fn affine_outside(
        &mut self,
        indices: &[Expr<TensorId>],
        tensor: TensorId,
        place: Span,
    ) -> Step<Outside<TensorId>> {
        if self.concrete {
            for (dim, index) in indices.iter().enumerate() {
                let extent = self.program.tensors[tensor].shape[dim];
                self.stays_inside(index, &[], extent, (tensor, dim), place)?;
            }
        }
        Ok(Outside::Never)
    }
}

/// The place of the first read.
fn first_place(expr: &Expr<TensorId>) -> Span {
    let mut place = None;
    expr.for_each_read(&mut |read| {
        place.get_or_insert(read.place);
    });
    place.unwrap_or_default()
}

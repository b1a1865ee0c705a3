//! Accesses stay inside their tensors, and what is computed of small integers fits.

use super::TensorId;
use super::check::{Checker, Step};
use super::interval::{Interval, interval, points, unwrapped, wrapped};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Affine, AlongOp, Axes, AxisId, Binary, Expr, Outside, ReduceOp, Unary};
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::HashMap;
use std::rc::Rc;

/// Most points that are tried one by one where bounds alone do not prove an access.
const POINTS: u64 = 1 << 18;

/// The value of an expression of axes alone, where no operation in it wraps.
fn evaluate(expr: &Expr<TensorId>, values: &HashMap<AxisId, i64>) -> Option<i64> {
    let of = |part: &Expr<TensorId>| evaluate(part, values);
    let value = match expr {
        Expr::Const(Scalar::Int(value), _) => return i64::try_from(*value).ok(),
        Expr::Index(axis) => return values.get(axis).copied(),
        Expr::Cast(DType::Bool, inner) => i64::from(of(inner)? != 0),
        Expr::Cast(_, inner) => of(inner)?,
        Expr::Unary(op, a) => {
            let a_value = of(a)?;
            match op {
                Unary::Not if a.dtype() == DType::Bool => i64::from(a_value == 0),
                Unary::Neg => a_value.checked_neg()?,
                Unary::Abs => a_value.checked_abs()?,
                Unary::Sign => a_value.signum(),
                Unary::Relu => a_value.max(0),
                _ => return None,
            }
        }
        Expr::Sum(parts) => parts.iter().try_fold(0i64, |sum, part| sum.checked_add(of(part)?))?,
        Expr::Product(parts) => {
            parts.iter().try_fold(1i64, |product, part| product.checked_mul(of(part)?))?
        }
        Expr::Binary(op, a, b) => {
            let (x, y) = (of(a)?, of(b)?);
            match op {
                Binary::Min => x.min(y),
                Binary::Max => x.max(y),
                Binary::FloorDiv if y != 0 => super::size::floor_div(x, y),
                Binary::Rem if y != 0 => x - super::size::floor_div(x, y) * y,
                Binary::Pow => x.checked_pow(u32::try_from(y).ok()?)?,
                Binary::Eq => i64::from(x == y),
                Binary::Ne => i64::from(x != y),
                Binary::Lt => i64::from(x < y),
                Binary::Le => i64::from(x <= y),
                Binary::Gt => i64::from(x > y),
                Binary::Ge => i64::from(x >= y),
                Binary::And => i64::from(x != 0 && y != 0),
                Binary::Or => i64::from(x != 0 || y != 0),
                Binary::BitAnd => x & y,
                Binary::BitOr => x | y,
                Binary::BitXor => x ^ y,
                Binary::Shl if (0..63).contains(&y) => x.checked_mul(1 << y)?,
                Binary::Shr if (0..64).contains(&y) => x >> y,
                _ => return None,
            }
        }
        Expr::Select(parts) => {
            let taken = if of(&parts[0])? != 0 { &parts[1] } else { &parts[2] };
            return of(taken);
        }
        _ => return None,
    };
    match expr.dtype() {
        DType::Bool => Some(value),
        dtype => {
            let (least, greatest) = dtype.integer_range()?;
            (least..=greatest).contains(&i128::from(value)).then_some(value)
        }
    }
}

/// Forms that are not negative where a condition has that value.
fn half_spaces(condition: &Expr<TensorId>, wanted: bool, axes: &Axes, list: &mut Vec<Affine>) {
    let mut both = |a: &Expr<TensorId>, b: &Expr<TensorId>| {
        half_spaces(a, wanted, axes, list);
        half_spaces(b, wanted, axes, list);
    };
    let (op, a, b) = match condition {
        Expr::Unary(Unary::Not, a) if a.dtype() == DType::Bool => return half_spaces(a, !wanted, axes, list),
        Expr::Binary(Binary::And, a, b) if wanted => return both(a, b),
        Expr::Binary(Binary::Or, a, b) if !wanted => return both(a, b),
        Expr::Binary(op, a, b) => (*op, a, b),
        _ => return,
    };
    let (Some(a), Some(b)) = (a.affine(), b.affine()) else { return };
    let one = |value: i64| Affine { terms: Vec::new(), constant: value };
    // `a - b + c` and `b - a + c`.
    let more = |c: i64| a.plus(&b.scaled(-1)?)?.plus(&one(c));
    let less = |c: i64| b.plus(&a.scaled(-1)?)?.plus(&one(c));
    let forms = match (op, wanted) {
        (Binary::Lt, true) | (Binary::Ge, false) => [less(-1), None],
        (Binary::Le, true) | (Binary::Gt, false) => [less(0), None],
        (Binary::Gt, true) | (Binary::Le, false) => [more(-1), None],
        (Binary::Ge, true) | (Binary::Lt, false) => [more(0), None],
        (Binary::Eq, true) | (Binary::Ne, false) => [more(0), less(0)],
        // What is not 0 and nowhere negative is positive.
        (Binary::Ne, true) | (Binary::Eq, false) => {
            let positive = |form: Option<Affine>, shifted: Option<Affine>| {
                form?.bounds(axes).filter(|bounds| bounds.0 >= 0).and(shifted)
            };
            [positive(more(0), more(-1)), positive(less(0), less(-1))]
        }
        _ => return,
    };
    list.extend(forms.into_iter().flatten());
}

/// How many half spaces are taken away from a form one after the other.
const STEPS: usize = 3;

/// Whether a form is nowhere negative where all of the half spaces hold: some multiples of them taken away, the rest is
/// nowhere negative anyhow.
fn is_nonnegative(form: &Affine, half_spaces: &[Affine], axes: &Axes, steps: usize) -> bool {
    if form.bounds(axes).is_some_and(|(low, _)| low >= 0) {
        return true;
    }
    steps > 0
        && half_spaces.iter().enumerate().any(|(at, half_space)| {
            half_space.terms.iter().any(|&(axis, coefficient)| {
                let own = form.coefficient(axis);
                let times = own.checked_div(coefficient).filter(|times| *times > 0);
                let rest = times.and_then(|times| form.plus(&half_space.scaled(times.checked_neg()?)?));
                rest.is_some_and(|rest| is_nonnegative(&rest, &half_spaces[at + 1..], axes, steps - 1))
            })
        })
}

impl Checker<'_> {
    /// Checks that reads stay inside where nothing says otherwise, and that what is computed of small integers fits.
    /// Reads that only conditions keep inside give 0 outside from here on: who computes both sides of a condition may.
    pub(super) fn check_reads(&mut self, value: &mut Expr<TensorId>, place: Span) -> Step<()> {
        if !self.concrete {
            return Ok(());
        }
        self.check_within(value, &mut Vec::new(), place).map(|_| ())
    }

    /// Gives the values that the expression can take.
    fn check_within(
        &mut self,
        expr: &mut Expr<TensorId>,
        guards: &mut Vec<(Rc<Expr<TensorId>>, bool)>,
        place: Span,
    ) -> Step<Option<Interval>> {
        let mut ranges = Vec::new();
        if let Expr::Select(parts) = expr {
            let [condition, then, otherwise] = &mut **parts;
            ranges.push(self.check_within(condition, guards, place)?);
            let condition = Rc::new(condition.clone());
            for (part, wanted) in [(then, true), (otherwise, false)] {
                guards.push((condition.clone(), wanted));
                let checked = self.check_within(part, guards, place);
                guards.pop();
                ranges.push(checked?);
            }
        } else {
            for part in expr.parts_mut() {
                ranges.push(self.check_within(part, guards, place)?);
            }
        }
        if let Expr::Read(read) = expr
            && matches!(read.outside, Outside::Never)
        {
            let mut always = true;
            for (dim, index) in read.indices.iter().enumerate() {
                let extent = self.program.tensors[read.source].shape[dim];
                always &= self.stays_inside(index, guards, extent, (read.source, dim), read.place)?;
            }
            if !always {
                read.outside = Outside::Else(Box::new(Expr::number(0.0, read.dtype)));
            }
        }
        let dtype = expr.dtype();
        if !dtype.is_integer() && dtype != DType::Bool {
            return Ok(None);
        }
        // What stands outside a read that a condition guards was put there just now, and is not among the parts.
        let known: HashMap<*const Expr<TensorId>, Option<Interval>> =
            expr.parts().into_iter().map(std::ptr::from_ref).zip(ranges).collect();
        let of = |part: &Expr<TensorId>| match known.get(&std::ptr::from_ref(part)) {
            Some(range) => *range,
            None => interval(part, &self.program),
        };
        let values = unwrapped(expr, &self.program, &of);
        self.check_range(expr, values, place)?;
        Ok(wrapped(values, dtype))
    }

    /// Checks that an `i32` made of smaller integers is what it says.
    fn check_range(&mut self, expr: &Expr<TensorId>, values: Option<Interval>, place: Span) -> Step<()> {
        let computes = matches!(
            expr,
            Expr::Sum(_)
                | Expr::Product(_)
                | Expr::Binary(..)
                | Expr::Unary(..)
                | Expr::Reduce(_)
                | Expr::Along(_)
        );
        if !computes || expr.dtype() != DType::I32 {
            return Ok(());
        }
        let Some((low, high)) = values else { return Ok(()) };
        if low >= i128::from(i32::MIN) && high <= i128::from(i32::MAX) {
            return Ok(());
        }
        let summed = match expr {
            Expr::Reduce(reduce) if reduce.op == ReduceOp::Sum => Some((&reduce.axes, &reduce.body)),
            Expr::Along(along) if along.op == AlongOp::CumSum => Some((&along.axes, &along.body)),
            _ => None,
        };
        let (message, label) = match summed {
            Some((axes, body)) => {
                let count = points(axes, &self.program).unwrap_or(u64::MAX);
                let each = interval(body, &self.program).map_or(0, |(a, b)| a.abs().max(b.abs()));
                let message = format!("an i32 accumulator can overflow: {count} x {each} > 2^31 - 1");
                (message, "summed here")
            }
            None => {
                let far = if low < i128::from(i32::MIN) { low } else { high };
                (format!("an i32 can overflow: a value can be {far}"), "computed from this")
            }
        };
        let help = match expr {
            Expr::Reduce(_) if summed.is_some() => "write `@acc(i64)` above the statement",
            _ => "write `as i64` behind a narrow integer; what is computed of it is an i64 then",
        };
        let place = first_place(expr).unwrap_or(place);
        Err(self.report(Diagnostic::error(Code::AccumulatorOverflow, message).label(place, label).help(help)))
    }

    /// Checks one index; conditions around the access are taken into account. Gives whether it stays inside without
    /// them.
    fn stays_inside(
        &mut self,
        index: &Expr<TensorId>,
        guards: &[(Rc<Expr<TensorId>>, bool)],
        extent: u64,
        (tensor, dim): (TensorId, usize),
        place: Span,
    ) -> Step<bool> {
        let mut axes: Vec<AxisId> = index.free_axes().into_iter().collect();
        if axes.iter().any(|&axis| self.program.axes[axis].extent == 0) {
            return Ok(true);
        }
        let affine = index.affine();
        let range = match &affine {
            Some(affine) => affine.bounds(&self.program.axes).map(|(low, high)| (low.into(), high.into())),
            None => interval(index, &self.program),
        };
        if let Some((low, high)) = range
            && low >= 0
            && high < i128::from(extent)
        {
            return Ok(true);
        }
        let mut known = Vec::new();
        for (guard, wanted) in guards {
            half_spaces(guard, *wanted, &self.program.axes, &mut known);
        }
        let last = Affine { terms: Vec::new(), constant: i64::try_from(extent).unwrap_or(i64::MAX) - 1 };
        if let Some(low) = affine
            && let Some(high) = low.scaled(-1).and_then(|form| form.plus(&last))
            && [low, high].iter().all(|form| is_nonnegative(form, &known, &self.program.axes, STEPS))
        {
            return Ok(false);
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
                // Without conditions every point was tried.
                return Ok(guards.is_empty());
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
    ) -> Step<bool> {
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
fn first_place(expr: &Expr<TensorId>) -> Option<Span> {
    let mut place = None;
    expr.for_each_read(&mut |read| {
        place.get_or_insert(read.place);
    });
    place
}

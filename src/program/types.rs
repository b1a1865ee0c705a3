//! Types of values: what adopts what, what is promoted to nothing, and what is refused.

use super::build::{Typed, complex, compute, converted};
use super::check::{Checker, Reported, Step};
use super::interval::interval;
use super::node::Ty;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Binary, Expr, Unary};
use crate::program::TensorId;
use crate::source::Span;
use einc_runtime::{DType, Scalar};

/// Functions that take complex numbers too.
const COMPLEX: [Unary; 9] = [
    Unary::Exp,
    Unary::Log,
    Unary::Sqrt,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Sinh,
    Unary::Cosh,
    Unary::Tanh,
];

/// Whether an integer type has at most 16 bits, so that arithmetic on it is done in `i32`.
fn is_narrow(dtype: DType) -> bool {
    dtype.is_integer() && dtype.bytes() <= 2
}

/// Whether an accumulator of that type can sum values of another: it has whatever kind of part they have.
pub(super) fn accumulates(accumulator: DType, terms: DType) -> bool {
    match terms {
        DType::Bool => false,
        _ if terms.is_complex() => accumulator.is_complex(),
        _ if terms.is_float() => accumulator.is_float() || accumulator.is_complex(),
        _ => accumulator != DType::Bool,
    }
}

impl Checker<'_> {
    /// The type that two sides have together.
    pub(super) fn joined(&mut self, a: (Ty, Span), b: (Ty, Span), span: Span) -> Step<Ty> {
        let rank = |ty| match ty {
            Ty::Int => 0,
            Ty::Real => 1,
            _ => 2,
        };
        match (a.0, b.0) {
            (x, y) if x == y => Ok(x),
            // Beside a sum of the statement's accumulator, what that holds becomes it.
            (Ty::Of(x), Ty::Of(y)) if self.acc.is_some_and(|acc| acc == x && accumulates(acc, y)) => Ok(a.0),
            (Ty::Of(x), Ty::Of(y)) if self.acc.is_some_and(|acc| acc == y && accumulates(acc, x)) => Ok(b.0),
            (Ty::Of(x), Ty::Of(y)) => Err(self.report(
                Diagnostic::error(Code::DTypeMismatch, format!("`{x}` meets `{y}`"))
                    .label(b.1, format!("`{y}`"))
                    .label(a.1, format!("`{x}`"))
                    .help(format!(
                        "write `as {x}` or `as {y}` behind one of them; nothing is promoted silently"
                    )),
            )),
            (Ty::Of(dtype), flexible) | (flexible, Ty::Of(dtype)) => {
                let fits = match flexible {
                    Ty::Int => dtype != DType::Bool,
                    _ => dtype.is_float() || dtype.is_complex(),
                };
                if fits {
                    let ty = Ty::Of(dtype);
                    return Ok(if flexible == Ty::Complex { complex(ty) } else { ty });
                }
                let what = flexible.text();
                let mut diagnostic =
                    Diagnostic::error(Code::DTypeMismatch, format!("{what} meets `{dtype}`"))
                        .label(span, "here");
                diagnostic.help = Some(match dtype {
                    DType::Bool => "use `if .. then .. else ..`, or `as` to make it a number".to_string(),
                    _ => format!("write `as f64` behind the `{dtype}`"),
                });
                Err(self.report(diagnostic))
            }
            (x, y) => Ok(if rank(x) > rank(y) { x } else { y }),
        }
    }

    /// A value of a type that the type joins into, converted to it.
    pub(super) fn adopted(&mut self, value: Typed, ty: Ty, span: Span) -> Step<Expr<TensorId>> {
        let (expr, own) = value;
        if matches!(own, Ty::Of(dtype) if dtype.is_float()) && ty == complex(own) {
            return Ok(converted(expr, ty.computed()));
        }
        let joined = self.joined((own, span), (ty, span), span)?;
        if joined != ty {
            return Err(self.error(
                Code::DTypeMismatch,
                format!("{} does not become {}", own.text(), ty.text()),
                span,
                "here",
            ));
        }
        if own.is_flexible()
            && let (Expr::Const(Scalar::Int(number), _), Ty::Of(dtype)) = (&expr, ty)
            && let Some((low, high)) = dtype.integer_range()
            && !(low..=high).contains(number)
        {
            let message = format!("{number} does not fit `{dtype}`, which holds {low} to {high}");
            return Err(self.error(Code::LiteralRange, message, span, "too large"));
        }
        if let Ty::Of(dtype) = ty {
            self.held((&expr, own), ty.computed(), span, &|| format!("write `as i64` behind the `{dtype}`"))?;
        }
        Ok(converted(expr, ty.computed()))
    }

    /// Checks that a number that adopts a type is one that the type holds: integers as they are, reals up to rounding.
    fn held(
        &mut self,
        (expr, own): (&Expr<TensorId>, Ty),
        dtype: DType,
        span: Span,
        help: &dyn Fn() -> String,
    ) -> Step<()> {
        if let Expr::Const(Scalar::Real(number), _) = expr
            && number.is_finite()
            && (dtype.is_float() || dtype.is_complex())
        {
            let kept = Scalar::Real(*number).cast(dtype.real_part()).re();
            if kept.is_infinite() || (kept == 0.0 && *number != 0.0) {
                let far = if kept == 0.0 { "small" } else { "large" };
                let message = format!("{number:?} is too {far} for `{dtype}`");
                return Err(self.error(Code::LiteralRange, message, span, "becomes another number"));
            }
        }
        let Some((least, greatest)) = dtype.integer_range() else { return Ok(()) };
        if !self.concrete || self.presuming || own != Ty::Int || dtype == DType::I64 {
            return Ok(());
        }
        let (message, label) = match interval(expr, &self.program) {
            Some((low, high)) if low < least || high > greatest => (
                format!(
                    "values from {low} to {high} do not fit `{dtype}`, which holds {least} to {greatest}"
                ),
                "computed of indices and sizes",
            ),
            Some(_) => return Ok(()),
            None => (
                format!("it is not known that these values fit `{dtype}`, which holds {least} to {greatest}"),
                "has no type of its own",
            ),
        };
        Err(self.report(Diagnostic::error(Code::LiteralRange, message).label(span, label).help(help())))
    }

    /// Both values in their joint type.
    pub(super) fn unified(
        &mut self,
        a: (Typed, Span),
        b: (Typed, Span),
        span: Span,
    ) -> Step<(Expr<TensorId>, Expr<TensorId>, Ty)> {
        // An index or what is computed of indices is no narrow integer: beside one, both are an `i32`.
        let is_index = |value: &Typed| value.1 == Ty::Int && !matches!(value.0, Expr::Const(..));
        let (a, b) = match (is_index(&a.0), is_index(&b.0)) {
            (false, true) => ((self.widened(a.0), a.1), b),
            (true, false) => (a, (self.widened(b.0), b.1)),
            _ => (a, b),
        };
        let ty = self.joined((a.0.1, a.1), (b.0.1, b.1), span)?;
        Ok((self.adopted(a.0, ty, a.1)?, self.adopted(b.0, ty, b.1)?, ty))
    }

    /// Small integers as `i32`.
    pub(super) fn widened(&mut self, value: Typed) -> Typed {
        match value.1 {
            Ty::Of(dtype) if is_narrow(dtype) => (converted(value.0, DType::I32), Ty::Of(DType::I32)),
            _ => value,
        }
    }

    /// Terms with their signs, added.
    pub(super) fn sum(&mut self, terms: Vec<(bool, Typed, Span)>) -> Step<Typed> {
        let (terms, ty) = self.all_unified(terms, "added")?;
        let mut parts = Vec::new();
        for (minus, value) in terms {
            parts.push(if minus { negative(value) } else { value });
        }
        let sum = if parts.len() == 1 { parts.remove(0) } else { Expr::Sum(parts) };
        Ok((sum, ty))
    }

    fn all_unified(
        &mut self,
        values: Vec<(bool, Typed, Span)>,
        verb: &str,
    ) -> Step<(Vec<(bool, Expr<TensorId>)>, Ty)> {
        let values: Vec<(bool, Typed, Span)> =
            values.into_iter().map(|(flag, value, span)| (flag, self.widened(value), span)).collect();
        let mut ty: Option<(Ty, Span)> = None;
        for (_, value, span) in &values {
            if value.1 == Ty::Of(DType::Bool) {
                return Err(self.report(
                    Diagnostic::error(Code::BadOperand, format!("a `bool` cannot be {verb}"))
                        .label(*span, "a `bool`")
                        .help("write `if .. then 1 else 0`, or `as` a number"),
                ));
            }
            ty = Some(match ty {
                None => (value.1, *span),
                Some(before) => (self.joined(before, (value.1, *span), before.1.to(*span))?, before.1),
            });
        }
        let Some((ty, _)) = ty else { return Err(Reported) };
        let mut all = Vec::new();
        for (flag, value, span) in values {
            all.push((flag, self.adopted(value, ty, span)?));
        }
        Ok((all, ty))
    }

    /// Factors and divisors, multiplied.
    pub(super) fn product_of(&mut self, factors: Vec<(bool, Typed, Span)>) -> Step<Typed> {
        let divides = factors.iter().any(|factor| factor.0);
        let factors = if divides {
            let mut all = Vec::new();
            for (flag, value, span) in factors {
                if let Ty::Of(dtype) = value.1
                    && dtype.is_integer()
                {
                    return Err(self.report(
                        Diagnostic::error(
                            Code::BadOperand,
                            format!("`/` does not divide integers (`{dtype}`)"),
                        )
                        .label(span, format!("`{dtype}`"))
                        .help("`//` rounds down; `as f64` makes it a real number"),
                    ));
                }
                let real =
                    if value.1 == Ty::Int { (converted(value.0, DType::F64), Ty::Real) } else { value };
                all.push((flag, real, span));
            }
            all
        } else {
            factors
        };
        let (factors, ty) = self.all_unified(factors, "multiplied")?;
        let join = |wanted: bool| {
            let mut parts: Vec<Expr<TensorId>> =
                factors.iter().filter(|factor| factor.0 == wanted).map(|factor| factor.1.clone()).collect();
            match parts.len() {
                0 => None,
                1 => Some(parts.remove(0)),
                _ => Some(Expr::Product(parts)),
            }
        };
        let above = join(false).unwrap_or_else(|| Expr::number(1.0, ty.computed()));
        Ok(match join(true) {
            None => (above, ty),
            Some(below) => (Expr::Binary(Binary::Div, Box::new(above), Box::new(below)), ty),
        })
    }

    pub(super) fn negated(&mut self, value: Typed, span: Span) -> Step<Typed> {
        let (expr, ty) = self.widened(value);
        self.numeric(ty, span, "-")?;
        if let Expr::Const(Scalar::Int(number), DType::U64) = expr
            && number == 1 << 63
        {
            // The one integer that only its sign makes an `i64`.
            return Ok((Expr::int(i64::MIN), Ty::Int));
        }
        if let Ty::Of(dtype) = ty
            && dtype.integer_range().is_some_and(|range| range.0 == 0)
        {
            return Err(self.report(
                Diagnostic::error(Code::BadOperand, format!("`{dtype}` has no negative numbers"))
                    .label(span, format!("`{dtype}`"))
                    .help("write `as i64` first"),
            ));
        }
        Ok((negative(expr), ty))
    }

    pub(super) fn numeric(&mut self, ty: Ty, span: Span, name: &str) -> Step<()> {
        match ty {
            Ty::Of(DType::Bool) => Err(self.error(
                Code::BadOperand,
                format!("`{name}` does not take a `bool`"),
                span,
                "a `bool`",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn ordered(&mut self, ty: Ty, span: Span, name: &str) -> Step<()> {
        if ty.computed().is_complex() {
            return Err(self.error(
                Code::BadOperand,
                format!("`{name}` compares, and complex numbers have no order"),
                span,
                "complex",
            ));
        }
        self.numeric(ty, span, name)
    }

    /// A real floating-point value.
    pub(super) fn floating(&mut self, value: Typed, span: Span, name: &str) -> Step<Typed> {
        let value = self.divisible(value, span, name)?;
        if value.1.computed().is_complex() {
            return Err(self.error(
                Code::BadOperand,
                format!("`{name}` does not take complex numbers"),
                span,
                "complex",
            ));
        }
        Ok(value)
    }

    /// A real or complex floating-point value.
    pub(super) fn divisible(&mut self, value: Typed, span: Span, name: &str) -> Step<Typed> {
        match value.1 {
            Ty::Int => Ok((converted(value.0, DType::F64), Ty::Real)),
            Ty::Of(dtype) if !dtype.is_float() && !dtype.is_complex() => Err(self.report(
                Diagnostic::error(Code::BadOperand, format!("`{name}` takes real numbers, not `{dtype}`"))
                    .label(span, format!("`{dtype}`"))
                    .help(match name {
                        "mean" | "var" => format!("cast what it takes: `{name}[..](.. as f64)`"),
                        _ => "write `as f64` or `as f32` behind it".to_string(),
                    }),
            )),
            _ => Ok(value),
        }
    }

    /// A function of one value.
    pub(super) fn unary(&mut self, op: Unary, value: Typed, span: Span) -> Step<Typed> {
        let ty = value.1;
        let apply = |value: Typed| (Expr::Unary(op, Box::new(value.0)), value.1);
        let real = |ty| match ty {
            Ty::Complex => Ty::Real,
            Ty::Of(dtype) => Ty::Of(dtype.real_part()),
            ty => ty,
        };
        match op {
            Unary::Neg => self.negated(value, span),
            Unary::Not => match ty {
                Ty::Of(DType::Bool) => Ok(apply(value)),
                _ => Err(self.error(
                    Code::NotBoolean,
                    format!("`not` takes a `bool`, not {}", ty.text()),
                    span,
                    "here",
                )),
            },
            Unary::Abs | Unary::Sign | Unary::Relu => {
                if op != Unary::Abs {
                    self.ordered(ty, span, op.name())?;
                }
                self.numeric(ty, span, op.name())?;
                let value = self.widened(value);
                let ty = real(value.1);
                Ok((apply(value).0, ty))
            }
            Unary::Floor | Unary::Ceil | Unary::Round if ty == Ty::Int => Ok(value),
            Unary::Popcount => match ty {
                Ty::Int => Ok(apply(value)),
                Ty::Of(dtype) if dtype.is_integer() => Ok(apply(value)),
                _ => {
                    let message = format!("`popcount` takes integers, not {}", ty.text());
                    Err(self.error(Code::BadOperand, message, span, "here"))
                }
            },
            Unary::Real | Unary::Conj | Unary::Imag | Unary::Arg => {
                let value = self.divisible(value, span, op.name())?;
                match (op, value.1.computed().is_complex()) {
                    (Unary::Real | Unary::Conj, false) => Ok(value),
                    (Unary::Imag, false) => Ok((Expr::number(0.0, value.0.dtype()), value.1)),
                    (Unary::Arg, false) => {
                        let help = "`arg` takes complex numbers";
                        Err(self.error(Code::BadOperand, help, span, "a real number"))
                    }
                    (Unary::Conj, true) => Ok(apply(value)),
                    _ => {
                        let ty = real(value.1);
                        Ok((apply(value).0, ty))
                    }
                }
            }
            _ if COMPLEX.contains(&op) => {
                let value = self.divisible(value, span, op.name())?;
                Ok(apply(value))
            }
            _ => {
                let value = self.floating(value, span, op.name())?;
                Ok(apply(value))
            }
        }
    }

    /// A function of two values.
    pub(super) fn binary(
        &mut self,
        op: Binary,
        a: (Typed, Span),
        b: (Typed, Span),
        span: Span,
    ) -> Step<Typed> {
        let pair = |x, y| Expr::Binary(op, Box::new(x), Box::new(y));
        match op {
            Binary::Pow => self.power(a, b, span),
            Binary::FloorDiv | Binary::Rem => {
                let (a, b) = ((self.widened(a.0), a.1), (self.widened(b.0), b.1));
                if matches!(b.0.0, Expr::Const(Scalar::Int(0), _)) {
                    return Err(self.error(Code::BadOperand, "division by zero", b.1, "this is 0"));
                }
                self.ordered(a.0.1, a.1, op.name())?;
                self.ordered(b.0.1, b.1, op.name())?;
                let (x, y, ty) = self.unified(a, b, span)?;
                Ok((pair(x, y), ty))
            }
            Binary::Min | Binary::Max => {
                self.ordered(a.0.1, a.1, op.name())?;
                self.ordered(b.0.1, b.1, op.name())?;
                let (x, y, ty) = self.unified(a, b, span)?;
                Ok((pair(x, y), ty))
            }
            Binary::Within => {
                let integer = |value: Typed| converted(value.0, DType::I64);
                match a.0.1 {
                    Ty::Of(dtype) if !dtype.is_integer() => {
                        let message = format!("the ends of a range are integers, not {}", a.0.1.text());
                        Err(self.error(Code::BadOperand, message, a.1, "not an integer"))
                    }
                    _ => Ok((pair(integer(a.0), integer(b.0)), Ty::Of(DType::I64))),
                }
            }
            Binary::BitAnd | Binary::BitOr | Binary::BitXor | Binary::Shl | Binary::Shr => {
                let own = a.0.1;
                let (x, y, ty) = self.unified(a, b, span)?;
                match ty {
                    // What is shifted keeps its type, however far an index shifts it.
                    _ if own != ty && matches!((op, own), (Binary::Shl | Binary::Shr, Ty::Of(_))) => {
                        Ok((converted(pair(x, y), own.computed()), own))
                    }
                    Ty::Int => Ok((pair(x, y), ty)),
                    Ty::Of(dtype) if dtype.is_integer() => Ok((pair(x, y), ty)),
                    _ => {
                        let message = format!("`{}` takes integers, not {}", op.name(), ty.text());
                        Err(self.error(Code::BadOperand, message, span, "here"))
                    }
                }
            }
            _ => {
                let a = (self.floating(a.0, a.1, op.name())?, a.1);
                let b = (self.floating(b.0, b.1, op.name())?, b.1);
                let (x, y, ty) = self.unified(a, b, span)?;
                Ok((pair(x, y), ty))
            }
        }
    }

    /// `a ** b`: of integers where both are integers and the exponent is not negative.
    fn power(&mut self, a: (Typed, Span), b: (Typed, Span), span: Span) -> Step<Typed> {
        let (mut a, b) = ((self.widened(a.0), a.1), (self.widened(b.0), b.1));
        self.numeric(a.0.1, a.1, "**")?;
        self.numeric(b.0.1, b.1, "**")?;
        if a.0.1 == Ty::Int && b.0.1 == Ty::Int {
            let low = interval(&b.0.0, &self.program).map(|range| range.0);
            // What is never evaluated is not negative.
            let never = b.0.0.free_axes().iter().any(|&axis| self.program.axes[axis].extent == 0);
            if low.is_none_or(|low| low < 0) && !never && self.concrete {
                a.0 = (converted(a.0.0, DType::F64), Ty::Real);
            }
        }
        let (x, y, ty) = self.unified(a, b, span)?;
        Ok((Expr::Binary(Binary::Pow, Box::new(x), Box::new(y)), ty))
    }

    /// `value as dtype`.
    pub(super) fn cast(&mut self, value: Typed, dtype: DType, span: Span) -> Step<Typed> {
        let (expr, ty) = value;
        if ty.computed().is_complex() && !dtype.is_complex() {
            return Err(self.report(
                Diagnostic::error(Code::BadOperand, format!("a complex number does not become `{dtype}`"))
                    .label(span, "complex")
                    .help("take `real(..)`, `imag(..)` or `abs(..)` of it"),
            ));
        }
        let target = Ty::Of(dtype);
        let half = matches!(dtype, DType::F16 | DType::Bf16);
        let expr = if half && ty != target {
            Expr::Cast(DType::F32, Box::new(Expr::Cast(dtype, Box::new(rounds_once(expr)))))
        } else {
            converted(expr, compute(dtype))
        };
        Ok((expr, target))
    }

    /// The value as a tensor of that dtype stores it.
    pub(super) fn stored(
        &mut self,
        value: Typed,
        dtype: DType,
        acc: bool,
        name: &str,
        span: Span,
    ) -> Step<Expr<TensorId>> {
        let (expr, ty) = value;
        let fits = match ty {
            Ty::Int => dtype != DType::Bool,
            Ty::Real => dtype.is_float() || dtype.is_complex(),
            Ty::Complex => dtype.is_complex(),
            Ty::Of(own) if own == dtype => true,
            Ty::Of(own) if own.is_float() && dtype.is_float() => {
                acc || dtype.bytes() == 2 || (own.bytes() == 2 && dtype == DType::F32)
            }
            Ty::Of(own) if own.is_complex() && dtype.is_complex() => acc,
            Ty::Of(own) => match (own.integer_range(), dtype.integer_range()) {
                (Some(a), Some(b)) if own != DType::Bool && dtype != DType::Bool => {
                    acc || (b.0 <= a.0 && a.1 <= b.1)
                }
                _ => false,
            },
        };
        if !fits {
            let integers = matches!(ty, Ty::Of(own) if own.is_integer() && dtype.is_integer());
            let code = if integers { Code::NarrowingStore } else { Code::DTypeMismatch };
            let mut diagnostic =
                Diagnostic::error(code, format!("`{name}` is `{dtype}`, but its value is {}", ty.text()))
                    .label(span, format!("{} here", ty.text()));
            diagnostic.help = Some(match ty {
                Ty::Complex | Ty::Of(DType::C64 | DType::C128) if !dtype.is_complex() => {
                    "take `real(..)`, `imag(..)` or `abs(..)` of it".to_string()
                }
                _ => format!("write `(..) as {dtype}`"),
            });
            return Err(self.report(diagnostic));
        }
        if let (Ty::Int, Expr::Const(Scalar::Int(number), _)) = (ty, &expr)
            && let Some((low, high)) = dtype.integer_range()
            && !(low..=high).contains(number)
        {
            let message = format!("{number} does not fit `{dtype}`, which holds {low} to {high}");
            return Err(self.error(Code::LiteralRange, message, span, "too large"));
        }
        self.held((&expr, ty), dtype, span, &|| {
            format!("write `(..) as {dtype}`, or another type for `{name}`")
        })?;
        let half = matches!(dtype, DType::F16 | DType::Bf16);
        let computed = if half { rounds_once(expr) } else { converted(expr, compute(dtype)) };
        Ok(if computed.dtype() == dtype { computed } else { Expr::Cast(dtype, Box::new(computed)) })
    }
}

/// A value from which a half-width float comes in one rounding: what `f32` may not hold as it is stays or becomes an
/// `f64`.
fn rounds_once(value: Expr<TensorId>) -> Expr<TensorId> {
    match value.dtype() {
        DType::F16 | DType::Bf16 | DType::F32 => value,
        dtype if dtype.bytes() <= 2 => converted(value, DType::F32),
        _ => converted(value, DType::F64),
    }
}

/// The negative value; constants at once.
fn negative(value: Expr<TensorId>) -> Expr<TensorId> {
    match value {
        Expr::Const(Scalar::Int(x), dtype) => Expr::Const(Scalar::Int(-x), dtype),
        Expr::Const(Scalar::Real(x), dtype) => Expr::Const(Scalar::Real(-x), dtype),
        Expr::Const(Scalar::Complex(re, im), dtype) => Expr::Const(Scalar::Complex(-re, -im), dtype),
        value => Expr::Unary(Unary::Neg, Box::new(value)),
    }
}

//! Resolved statements to typed expressions: sums are placed, types unified, reductions spelled out.

use super::check::{Checker, Reported, Step};
use super::node::{Kind, Node, Reduction, Ty, VarId};
use super::statement::Context;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Binary, Expr, Unary};
use crate::program::TensorId;
use crate::source::Span;
use einc_grammar::tree::{CompareOp, Number};
use einc_runtime::{DType, Scalar};

/// A value with its type.
pub(super) type Typed = (Expr<TensorId>, Ty);

impl Checker<'_> {
    /// The value of a whole right side: every index that nothing binds is summed.
    pub(super) fn build_sum(&mut self, context: &mut Context, node: &Node) -> Step<Typed> {
        let pending: Vec<VarId> = node.uses().into_iter().filter(|&var| context.vars[var].summed).collect();
        self.summed(context, node, &pending)
    }

    /// The value of a right side, as the declared dtype wants it.
    pub(super) fn build_stored(
        &mut self,
        context: &mut Context,
        node: &Node,
        dtype: DType,
        name: &str,
        span: Span,
    ) -> Step<Expr<TensorId>> {
        let value = self.build_sum(context, node)?;
        self.stored(value, dtype, context.options.acc.is_some(), name, span)
    }

    /// The value with every pending index summed: per additive term, over the smallest product that holds its uses.
    pub(super) fn summed(&mut self, context: &mut Context, node: &Node, pending: &[VarId]) -> Step<Typed> {
        if pending.is_empty() {
            return self.value(context, node);
        }
        match &node.kind {
            Kind::Sum(terms) => {
                let mut values = Vec::new();
                for (minus, term) in terms {
                    let own = within(pending, term);
                    let value = self.summed(context, term, &own)?;
                    values.push((*minus, value, term.span));
                }
                self.sum(values)
            }
            Kind::Negate(a) => {
                let value = self.summed(context, a, pending)?;
                self.negated(value, node.span)
            }
            Kind::Cast(dtype, a) => {
                let value = self.summed(context, a, pending)?;
                self.cast(value, *dtype, node.span)
            }
            Kind::Unary(op @ (Unary::Conj | Unary::Real | Unary::Imag), a) => {
                let value = self.summed(context, a, pending)?;
                self.unary(*op, value, a.span)
            }
            Kind::Product(factors) => {
                let parts: Vec<&Node> = factors.iter().map(|factor| &factor.1).collect();
                let (here, inner) = split(pending, &parts);
                for (k, vars) in inner.iter().enumerate() {
                    if let Some(&var) = vars.first()
                        && factors[k].0
                    {
                        return Err(self.ambiguous(context, var, &factors[k].1, "a divisor"));
                    }
                }
                // What is the same for every value of the summed indices is applied to the sum: scalars and divisors.
                let (mut inside, mut outside) = (Vec::new(), Vec::new());
                for (factor, own) in factors.iter().zip(&inner) {
                    let value = (factor.0, self.summed(context, &factor.1, own)?, factor.1.span);
                    let constant =
                        within(&here, &factor.1).is_empty() && (factor.0 || factor.1.uses().is_empty());
                    if constant && !here.is_empty() { outside.push(value) } else { inside.push(value) }
                }
                let product = self.product_of(inside)?;
                let sum = self.sum_over(context, product, &here, node.span)?;
                if outside.is_empty() {
                    return Ok(sum);
                }
                outside.insert(0, (false, sum, node.span));
                self.product_of(outside)
            }
            Kind::If(branches) => {
                let [condition, then, otherwise] = &**branches;
                let (here, inner) = split(pending, &[condition, then, otherwise]);
                if let Some(&var) = inner[0].first() {
                    return Err(self.ambiguous(context, var, condition, "a condition"));
                }
                let condition = self.boolean(context, condition)?;
                let then_value = self.summed(context, then, &inner[1])?;
                let other_value = self.summed(context, otherwise, &inner[2])?;
                let value = self.select(condition, then_value, other_value, node.span)?;
                self.sum_over(context, value, &here, node.span)
            }
            Kind::Reduce { op: Reduction::Sum, vars, conditions, body } => {
                if let Some(condition) = conditions.iter().find(|c| !within(pending, c).is_empty()) {
                    let var = within(pending, condition)[0];
                    return Err(self.ambiguous(context, var, condition, "a condition"));
                }
                let value = self.summed(context, body, pending)?;
                self.reduced_sum(context, value, vars, conditions, node.span)
            }
            Kind::Number(_)
            | Kind::Bool(_)
            | Kind::Size(_)
            | Kind::Var(_)
            | Kind::Extent(_)
            | Kind::Access { .. }
            | Kind::State { .. } => {
                let value = self.value(context, node)?;
                self.sum_over(context, value, pending, node.span)
            }
            Kind::Along { op: _, out, body, .. } => {
                let result: Vec<VarId> = pending.iter().copied().filter(|var| out.contains(var)).collect();
                if result.len() < pending.len() {
                    let var = pending.iter().copied().find(|var| !out.contains(var)).unwrap_or(pending[0]);
                    return Err(self.ambiguous(context, var, body, "a non-linear function"));
                }
                let value = self.value(context, node)?;
                self.sum_over(context, value, &result, node.span)
            }
            Kind::Unary(..) => Err(self.ambiguous(context, pending[0], node, "a non-linear function")),
            Kind::Binary(Binary::Pow, _) => Err(self.ambiguous(context, pending[0], node, "a power")),
            Kind::Binary(..) => Err(self.ambiguous(context, pending[0], node, "a non-linear function")),
            Kind::Compare(..) | Kind::And(_) | Kind::Or(_) => {
                Err(self.ambiguous(context, pending[0], node, "a condition"))
            }
            Kind::Reduce { .. } => Err(self.ambiguous(context, pending[0], node, "a reduction")),
            Kind::Element(_) => Err(self.ambiguous(context, pending[0], node, "a call")),
        }
    }

    pub(super) fn ambiguous(&mut self, context: &Context, var: VarId, node: &Node, what: &str) -> Reported {
        let name = &context.vars[var].name;
        self.report(
            Diagnostic::error(
                Code::AmbiguousSum,
                format!("`{name}` is summed, but all its uses lie inside {what}"),
            )
            .label(node.span, format!("`{name}` occurs only here"))
            .help(format!(
                "write the sum: `sum[{name}](..)` inside to sum first, or around it to sum the results"
            )),
        )
    }

    /// Sums a value over indices that nothing binds, with the conditions on them.
    pub(super) fn sum_over(
        &mut self,
        context: &mut Context,
        value: Typed,
        vars: &[VarId],
        span: Span,
    ) -> Step<Typed> {
        if vars.is_empty() {
            return Ok(value);
        }
        let mut conditions = Vec::new();
        for &var in vars {
            conditions.extend(context.vars[var].filters.clone());
        }
        for condition in context.conditions.clone() {
            let used: Vec<VarId> =
                condition.uses().into_iter().filter(|&var| context.vars[var].summed).collect();
            if used.iter().any(|var| vars.contains(var)) {
                if let Some(&other) = used.iter().find(|var| !vars.contains(var)) {
                    return Err(self.ambiguous(context, other, &condition, "a condition"));
                }
                conditions.push(condition);
            }
        }
        self.reduced_sum(context, value, vars, &conditions, span)
    }

    /// A condition: a `bool` expression.
    pub(super) fn boolean(&mut self, context: &mut Context, node: &Node) -> Step<Expr<TensorId>> {
        match self.value(context, node)? {
            (value, Ty::Of(DType::Bool)) => Ok(value),
            (_, ty) => Err(self.report(
                Diagnostic::error(Code::NotBoolean, format!("a condition is a `bool`, not {}", ty.text()))
                    .label(node.span, "compare it with something"),
            )),
        }
    }

    /// The value of a node without sums of its own.
    pub(super) fn value(&mut self, context: &mut Context, node: &Node) -> Step<Typed> {
        let span = node.span;
        match &node.kind {
            Kind::Number(Number::Int(value)) => match i64::try_from(*value) {
                Ok(value) => Ok((Expr::int(value), Ty::Int)),
                Err(_) => match u64::try_from(*value) {
                    Ok(value) => Ok((Expr::Const(Scalar::Int(value.into()), DType::U64), Ty::Of(DType::U64))),
                    Err(_) => {
                        Err(self.error(Code::LiteralRange, "no type holds this integer", span, "too large"))
                    }
                },
            },
            Kind::Number(Number::Real(value)) => {
                Ok((Expr::Const(Scalar::Real(*value), DType::F64), Ty::Real))
            }
            Kind::Number(Number::Imaginary(value)) => {
                Ok((Expr::Const(Scalar::Complex(0.0, *value), DType::C128), Ty::Complex))
            }
            Kind::Bool(value) => {
                Ok((Expr::Const(Scalar::Int((*value).into()), DType::Bool), Ty::Of(DType::Bool)))
            }
            Kind::Size(size) => Ok((self.size_value(size, span)?, Ty::Int)),
            Kind::Var(var) => Ok((self.index_value(context, *var)?, Ty::Int)),
            Kind::Extent(var) => {
                let extent = context.vars[*var].extent.clone().ok_or(Reported)?;
                Ok((self.size_value(&extent, span)?, Ty::Int))
            }
            Kind::Access { symbol, indices, otherwise, .. } => {
                self.read(context, symbol, indices, otherwise.as_deref(), span)
            }
            Kind::State { state, indices } => self.state_read(context, *state, indices, span),
            Kind::Unary(op, a) => {
                let value = self.value(context, a)?;
                self.unary(*op, value, a.span)
            }
            Kind::Negate(a) => {
                let value = self.value(context, a)?;
                self.negated(value, span)
            }
            Kind::Binary(op, pair) => {
                let a = self.value(context, &pair[0])?;
                let b = self.value(context, &pair[1])?;
                self.binary(*op, (a, pair[0].span), (b, pair[1].span), span)
            }
            Kind::Sum(terms) => {
                let mut values = Vec::new();
                for (minus, term) in terms {
                    values.push((*minus, self.value(context, term)?, term.span));
                }
                self.sum(values)
            }
            Kind::Product(factors) => {
                let mut values = Vec::new();
                for (divides, factor) in factors {
                    values.push((*divides, self.value(context, factor)?, factor.span));
                }
                self.product_of(values)
            }
            Kind::Cast(dtype, a) => {
                let value = self.value(context, a)?;
                self.cast(value, *dtype, a.span)
            }
            Kind::Compare(op, pair) => {
                let a = self.value(context, &pair[0])?;
                let b = self.value(context, &pair[1])?;
                self.compare(*op, (a, pair[0].span), (b, pair[1].span), span)
            }
            Kind::And(parts) | Kind::Or(parts) => {
                let op = if matches!(node.kind, Kind::And(_)) { Binary::And } else { Binary::Or };
                let mut all: Option<Expr<TensorId>> = None;
                for part in parts {
                    let part = self.boolean(context, part)?;
                    all = Some(match all {
                        None => part,
                        Some(all) => Expr::Binary(op, Box::new(all), Box::new(part)),
                    });
                }
                all.map(|all| (all, Ty::Of(DType::Bool))).ok_or(Reported)
            }
            Kind::If(branches) => {
                let condition = self.boolean(context, &branches[0])?;
                let then = self.value(context, &branches[1])?;
                let otherwise = self.value(context, &branches[2])?;
                self.select(condition, then, otherwise, span)
            }
            Kind::Reduce { op, vars, conditions, body } => {
                self.reduce(context, *op, vars, conditions, body, span)
            }
            Kind::Along { op, vars, out, conditions, body } => {
                self.along(context, *op, (vars, out), conditions, body, span)
            }
            Kind::Element(element) => self.element_value(context, element, span),
        }
    }

    /// The comparison of two values.
    pub(super) fn compare(
        &mut self,
        op: CompareOp,
        a: (Typed, Span),
        b: (Typed, Span),
        span: Span,
    ) -> Step<Typed> {
        let (x, y, ty) = self.unified(a, b, span)?;
        let equality = matches!(op, CompareOp::Eq | CompareOp::Ne);
        if ty.computed().is_complex() && !equality {
            return Err(self.error(Code::BadOperand, "complex numbers have no order", span, "compared here"));
        }
        let op = match op {
            CompareOp::Eq => Binary::Eq,
            CompareOp::Ne => Binary::Ne,
            CompareOp::Le => Binary::Le,
            CompareOp::Ge => Binary::Ge,
            CompareOp::Lt => Binary::Lt,
            CompareOp::Gt => Binary::Gt,
        };
        Ok((Expr::Binary(op, Box::new(x), Box::new(y)), Ty::Of(DType::Bool)))
    }

    pub(super) fn select(
        &mut self,
        condition: Expr<TensorId>,
        then: Typed,
        otherwise: Typed,
        span: Span,
    ) -> Step<Typed> {
        let (then, otherwise, ty) = self.unified((then, span), (otherwise, span), span)?;
        Ok((Expr::Select(Box::new([condition, then, otherwise])), ty))
    }
}

/// The dtype that values of a dtype are computed in.
pub(super) fn compute(dtype: DType) -> DType {
    Ty::Of(dtype).computed()
}

/// The complex type of a type.
pub(super) fn complex(ty: Ty) -> Ty {
    match ty {
        Ty::Int | Ty::Real | Ty::Complex => Ty::Complex,
        Ty::Of(DType::F64) => Ty::Of(DType::C128),
        Ty::Of(dtype) if dtype.is_complex() => ty,
        Ty::Of(_) => Ty::Of(DType::C64),
    }
}

/// The value in another dtype; constants convert at once.
pub(super) fn converted(value: Expr<TensorId>, dtype: DType) -> Expr<TensorId> {
    if value.dtype() == dtype {
        return value;
    }
    match (&value, dtype) {
        (Expr::Const(Scalar::Int(x), _), _) if dtype.is_float() => {
            Expr::Const(Scalar::Real(*x as f64), dtype)
        }
        (Expr::Const(Scalar::Int(x), _), _) if dtype.is_complex() => {
            Expr::Const(Scalar::Complex(*x as f64, 0.0), dtype)
        }
        (Expr::Const(Scalar::Real(x), _), _) if dtype.is_float() => Expr::Const(Scalar::Real(*x), dtype),
        (Expr::Const(Scalar::Real(x), _), _) if dtype.is_complex() => {
            Expr::Const(Scalar::Complex(*x, 0.0), dtype)
        }
        (Expr::Const(Scalar::Complex(re, im), _), _) if dtype.is_complex() => {
            Expr::Const(Scalar::Complex(*re, *im), dtype)
        }
        (Expr::Const(Scalar::Int(x), _), _)
            if dtype.integer_range().is_some_and(|(low, high)| (low..=high).contains(x))
                && dtype != DType::Bool =>
        {
            Expr::Const(Scalar::Int(*x), dtype)
        }
        _ => Expr::Cast(dtype, Box::new(value)),
    }
}

/// Those of the indices that a node uses.
fn within(pending: &[VarId], node: &Node) -> Vec<VarId> {
    let used = node.uses();
    pending.iter().copied().filter(|var| used.contains(var)).collect()
}

/// The indices that several parts use, and for each part those that it alone uses.
fn split(pending: &[VarId], parts: &[&Node]) -> (Vec<VarId>, Vec<Vec<VarId>>) {
    let used: Vec<Vec<VarId>> = parts.iter().map(|part| within(pending, part)).collect();
    let mut here = Vec::new();
    let mut inner = vec![Vec::new(); parts.len()];
    for &var in pending {
        let holders: Vec<usize> = (0..parts.len()).filter(|&k| used[k].contains(&var)).collect();
        match holders[..] {
            [only] => inner[only].push(var),
            _ => here.push(var),
        }
    }
    (here, inner)
}

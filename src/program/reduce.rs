//! Reductions and maps along indices as expressions.

use super::build::{Typed, complex, compute, converted};
use super::check::{Checker, Reported, Step};
use super::node::{Node, Reduction, Ty, VarId};
use super::size::Size;
use super::statement::Context;
use super::types::accumulates;
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Along, AlongOp, Axis, AxisId, Binary, Expr, Reduce, ReduceOp, Unary};
use crate::program::TensorId;
use crate::source::Span;
use einc_runtime::{DType, Scalar};

impl Checker<'_> {
    pub(super) fn reduced_sum(
        &mut self,
        context: &mut Context,
        value: Typed,
        vars: &[VarId],
        conditions: &[Node],
        span: Span,
    ) -> Step<Typed> {
        if value.1 == Ty::Of(DType::Bool) {
            return Err(self.report(
                Diagnostic::error(Code::BadOperand, "conditions are counted, not summed")
                    .label(span, "a `bool`")
                    .help("write `count[i](..)`"),
            ));
        }
        let (mut body, mut ty) = self.widened(value);
        if let Some(acc) = context.options.acc {
            if !accumulates(acc, body.dtype()) {
                let message = format!("an accumulator of `{acc}` cannot hold `{}`", body.dtype());
                return Err(self.error(Code::DTypeMismatch, message, span, "summed here"));
            }
            body = converted(body, compute(acc));
            ty = Ty::Of(acc);
        }
        let dtype = body.dtype();
        let body = self.filtered(context, conditions, body, Expr::number(0.0, dtype))?;
        let axes = self.axes(context, vars)?;
        Ok((Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes, body })), ty))
    }

    /// The body where the conditions hold, and the neutral value elsewhere.
    pub(super) fn filtered(
        &mut self,
        context: &mut Context,
        conditions: &[Node],
        body: Expr<TensorId>,
        neutral: Expr<TensorId>,
    ) -> Step<Expr<TensorId>> {
        match self.all_of(context, conditions)? {
            None => Ok(body),
            Some(condition) => Ok(Expr::Select(Box::new([condition, body, neutral]))),
        }
    }

    pub(super) fn all_of(
        &mut self,
        context: &mut Context,
        conditions: &[Node],
    ) -> Step<Option<Expr<TensorId>>> {
        let mut all: Option<Expr<TensorId>> = None;
        for condition in conditions {
            let condition = self.boolean(context, condition)?;
            all = Some(match all {
                None => condition,
                Some(all) => Expr::Binary(Binary::And, Box::new(all), Box::new(condition)),
            });
        }
        Ok(all)
    }

    /// The conditions of the statement that concern the left side only.
    pub(super) fn left_condition(
        &mut self,
        context: &mut Context,
        left: &[VarId],
    ) -> Step<Option<Expr<TensorId>>> {
        let mut conditions: Vec<Node> =
            left.iter().flat_map(|&var| context.vars[var].filters.clone()).collect();
        for condition in &conditions {
            if let Some(var) = condition.uses().into_iter().find(|&var| context.vars[var].summed) {
                let condition = condition.clone();
                return Err(self.ambiguous(context, var, &condition, "a condition on the left side"));
            }
        }
        for condition in &context.conditions {
            if condition.uses().iter().all(|&var| !context.vars[var].summed) {
                conditions.push(condition.clone());
            }
        }
        self.all_of(context, &conditions)
    }

    pub(super) fn axes(&mut self, context: &Context, vars: &[VarId]) -> Step<Vec<AxisId>> {
        vars.iter().map(|&var| context.vars[var].axis.ok_or(Reported)).collect()
    }

    pub(super) fn reduce(
        &mut self,
        context: &mut Context,
        op: Reduction,
        vars: &[VarId],
        conditions: &[Node],
        body: &Node,
        span: Span,
    ) -> Step<Typed> {
        let reduce = |op, axes, body| Expr::Reduce(Box::new(Reduce { op, axes, body }));
        if op == Reduction::Count {
            let condition = self.boolean(context, body)?;
            let one = Expr::Select(Box::new([condition, Expr::int(1), Expr::int(0)]));
            let one = self.filtered(context, conditions, one, Expr::int(0))?;
            let axes = self.axes(context, vars)?;
            return Ok((reduce(ReduceOp::Sum, axes, one), Ty::Int));
        }
        if matches!(op, Reduction::Any | Reduction::All) {
            let value = self.boolean(context, body)?;
            let neutral = Expr::Const(Scalar::Int((op == Reduction::All).into()), DType::Bool);
            let value = self.filtered(context, conditions, value, neutral)?;
            let axes = self.axes(context, vars)?;
            let op = if op == Reduction::Any { ReduceOp::Any } else { ReduceOp::All };
            return Ok((reduce(op, axes, value), Ty::Of(DType::Bool)));
        }
        let value = self.value(context, body)?;
        match op {
            Reduction::Sum => self.reduced_sum(context, value, vars, conditions, span),
            Reduction::Prod => {
                let (value, ty) = self.widened(value);
                self.numeric(ty, span, "prod")?;
                let dtype = value.dtype();
                let value = self.filtered(context, conditions, value, Expr::number(1.0, dtype))?;
                let axes = self.axes(context, vars)?;
                Ok((reduce(ReduceOp::Prod, axes, value), ty))
            }
            Reduction::Mean => self.mean(context, value, vars, conditions, span),
            Reduction::Var => self.variance(context, value, vars, conditions, span),
            Reduction::Min | Reduction::Max | Reduction::ArgMin | Reduction::ArgMax => {
                let (value, ty) = value;
                self.ordered(ty, span, op.name())?;
                let dtype = value.dtype();
                let least = matches!(op, Reduction::Max | Reduction::ArgMax);
                let value = self.filtered(context, conditions, value, extreme(dtype, least))?;
                let axes = self.axes(context, vars)?;
                match op {
                    Reduction::Min => Ok((reduce(ReduceOp::Min, axes, value), ty)),
                    Reduction::Max => Ok((reduce(ReduceOp::Max, axes, value), ty)),
                    _ => {
                        let op = if op == Reduction::ArgMin { ReduceOp::ArgMin } else { ReduceOp::ArgMax };
                        let position = reduce(op, axes, value);
                        let low = match vars {
                            [var] => context.vars[*var].low.clone(),
                            _ => Size::default(),
                        };
                        if low == Size::default() {
                            return Ok((position, Ty::Int));
                        }
                        Ok((Expr::Sum(vec![position, self.size_value(&low, span)?]), Ty::Int))
                    }
                }
            }
            Reduction::LogSumExp => {
                let (value, ty) = self.floating(value, span, "logsumexp")?;
                let dtype = value.dtype();
                let value =
                    self.filtered(context, conditions, value, Expr::number(f64::NEG_INFINITY, dtype))?;
                let axes = self.axes(context, vars)?;
                Ok((reduce(ReduceOp::LogSumExp, axes, value), ty))
            }
            Reduction::Any | Reduction::All | Reduction::Count => Err(Reported),
        }
    }

    pub(super) fn mean(
        &mut self,
        context: &mut Context,
        value: Typed,
        vars: &[VarId],
        conditions: &[Node],
        span: Span,
    ) -> Step<Typed> {
        let value = self.divisible(value, span, "mean")?;
        let dtype = value.0.dtype();
        let count = self.count(context, vars, conditions, dtype)?;
        let (sum, ty) = self.reduced_sum(context, value, vars, conditions, span)?;
        Ok((Expr::Binary(Binary::Div, Box::new(sum), Box::new(converted(count, ty.computed()))), ty))
    }

    /// How many points a reduction joins.
    pub(super) fn count(
        &mut self,
        context: &mut Context,
        vars: &[VarId],
        conditions: &[Node],
        dtype: DType,
    ) -> Step<Expr<TensorId>> {
        let axes = self.axes(context, vars)?;
        match self.all_of(context, conditions)? {
            None => {
                let count: f64 = axes.iter().map(|&axis| self.program.axes[axis].extent as f64).product();
                Ok(Expr::number(count, dtype))
            }
            Some(condition) => {
                let one =
                    Expr::Select(Box::new([condition, Expr::number(1.0, dtype), Expr::number(0.0, dtype)]));
                let (one, axes) = self.renamed(&one, &axes);
                Ok(Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes, body: one })))
            }
        }
    }

    /// `mean(|x - mean(x)|^2)`, the mean over axes of its own.
    pub(super) fn variance(
        &mut self,
        context: &mut Context,
        value: Typed,
        vars: &[VarId],
        conditions: &[Node],
        span: Span,
    ) -> Step<Typed> {
        let value = self.divisible(value, span, "var")?;
        let axes = self.axes(context, vars)?;
        let (mean, ty) = self.mean(context, value.clone(), vars, conditions, span)?;
        let mean = match mean {
            Expr::Binary(op, sum, count) => match *sum {
                Expr::Reduce(reduce) => {
                    let (body, axes) = self.renamed(&reduce.body, &axes);
                    let sum = Expr::Reduce(Box::new(Reduce { op: reduce.op, axes, body }));
                    Expr::Binary(op, Box::new(sum), count)
                }
                sum => Expr::Binary(op, Box::new(sum), count),
            },
            mean => mean,
        };
        let body = converted(value.0, mean.dtype());
        let deviation = Expr::Sum(vec![body, Expr::Unary(Unary::Neg, Box::new(mean))]);
        let square = if ty.computed().is_complex() {
            let size = Expr::Unary(Unary::Abs, Box::new(deviation));
            Expr::Product(vec![size.clone(), size])
        } else {
            Expr::Product(vec![deviation.clone(), deviation])
        };
        let ty = match ty {
            Ty::Complex => Ty::Real,
            Ty::Of(dtype) => Ty::Of(dtype.real_part()),
            ty => ty,
        };
        self.mean(context, (square, ty), vars, conditions, span)
    }

    /// The expression with fresh axes in place of bound ones.
    pub(super) fn renamed(
        &mut self,
        expr: &Expr<TensorId>,
        axes: &[AxisId],
    ) -> (Expr<TensorId>, Vec<AxisId>) {
        let fresh: Vec<AxisId> = axes
            .iter()
            .map(|&axis| {
                let Axis { name, extent } = self.program.axes[axis].clone();
                self.program.axes.push(Axis { name, extent })
            })
            .collect();
        let pairs: Vec<(AxisId, AxisId)> = axes.iter().copied().zip(fresh.iter().copied()).collect();
        (expr.with_axes(&pairs), fresh)
    }

    pub(super) fn along(
        &mut self,
        context: &mut Context,
        op: AlongOp,
        (vars, out): (&[VarId], &[VarId]),
        conditions: &[Node],
        body: &Node,
        span: Span,
    ) -> Step<Typed> {
        let value = self.value(context, body)?;
        let name = op.name();
        let (value, ty) = match op {
            AlongOp::Softmax | AlongOp::LogSoftmax => self.floating(value, span, name)?,
            AlongOp::Normalize => self.divisible(value, span, name)?,
            AlongOp::CumSum | AlongOp::CumProd => {
                let value = self.widened(value);
                self.numeric(value.1, span, name)?;
                value
            }
            AlongOp::Dft | AlongOp::Idft => {
                let value = self.divisible(value, span, name)?;
                let ty = complex(value.1);
                (converted(value.0, ty.computed()), ty)
            }
            AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK => {
                self.ordered(value.1, span, name)?;
                value
            }
        };
        let dtype = value.dtype();
        let neutral = match op {
            AlongOp::Softmax | AlongOp::LogSoftmax => Expr::number(f64::NEG_INFINITY, dtype),
            AlongOp::CumProd => Expr::number(1.0, dtype),
            AlongOp::Sort | AlongOp::ArgSort => extreme(dtype, false),
            AlongOp::TopK | AlongOp::ArgTopK => extreme(dtype, true),
            _ => Expr::number(0.0, dtype),
        };
        let body = self.filtered(context, conditions, value, neutral)?;
        let (axes, out) = (self.axes(context, vars)?, self.axes(context, out)?);
        if let ([axis], [result], AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK) =
            (&axes[..], &out[..], op)
        {
            let (all, some) = (self.program.axes[*axis].extent, self.program.axes[*result].extent);
            if self.concrete && some > all {
                let message = format!("`{name}` has {all} values to give, but its result is {some} long");
                return Err(self.error(Code::BadRange, message, span, "too long a result"));
            }
        }
        let ty = if matches!(op, AlongOp::ArgSort | AlongOp::ArgTopK) { Ty::Int } else { ty };
        Ok((Expr::Along(Box::new(Along { op, axes, out, body })), ty))
    }
}

/// The least value of a dtype (`-inf`), or the greatest.
pub(super) fn extreme(dtype: DType, least: bool) -> Expr<TensorId> {
    match dtype.integer_range() {
        Some((low, high)) => Expr::Const(Scalar::Int(if least { low } else { high }), dtype),
        None => Expr::number(if least { f64::NEG_INFINITY } else { f64::INFINITY }, dtype),
    }
}

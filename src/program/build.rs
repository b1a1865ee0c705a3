//! Resolved statements to typed expressions: sums are placed, types unified, reductions spelled out.

use super::check::{Checker, Reported, Step};
use super::node::{Kind, Node, Position, Reduction, Symbol, Ty, VarId};
use super::size::Size;
use super::statement::{Context, LeftDim};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Along, AlongOp, Axis, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
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
    fn summed(&mut self, context: &mut Context, node: &Node, pending: &[VarId]) -> Step<Typed> {
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
        }
    }

    fn ambiguous(&mut self, context: &Context, var: VarId, node: &Node, what: &str) -> Reported {
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
    fn sum_over(&mut self, context: &mut Context, value: Typed, vars: &[VarId], span: Span) -> Step<Typed> {
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

    fn reduced_sum(
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
            body = converted(body, compute(acc));
            ty = Ty::Of(acc);
        }
        let dtype = body.dtype();
        let body = self.filtered(context, conditions, body, Expr::number(0.0, dtype))?;
        let axes = self.axes(context, vars)?;
        Ok((Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes, body })), ty))
    }

    /// The body where the conditions hold, and the neutral value elsewhere.
    fn filtered(
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

    fn all_of(&mut self, context: &mut Context, conditions: &[Node]) -> Step<Option<Expr<TensorId>>> {
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

    fn axes(&mut self, context: &Context, vars: &[VarId]) -> Step<Vec<AxisId>> {
        vars.iter().map(|&var| context.vars[var].axis.ok_or(Reported)).collect()
    }

    /// A condition: a `bool` expression.
    fn boolean(&mut self, context: &mut Context, node: &Node) -> Step<Expr<TensorId>> {
        match self.value(context, node)? {
            (value, Ty::Of(DType::Bool)) => Ok(value),
            (_, ty) => Err(self.report(
                Diagnostic::error(Code::NotBoolean, format!("a condition is a `bool`, not {}", ty.text()))
                    .label(node.span, "compare it with something"),
            )),
        }
    }

    /// The value of a node without sums of its own.
    fn value(&mut self, context: &mut Context, node: &Node) -> Step<Typed> {
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
        }
    }

    fn size_value(&mut self, size: &Size, span: Span) -> Step<Expr<TensorId>> {
        match self.sizes.value(size) {
            Ok(Some(value)) => Ok(Expr::int(value)),
            Ok(None) => {
                // Where only signatures are checked, any value serves for the types.
                if self.concrete {
                    self.extent(size, span).map(|value| Expr::int(value as i64))
                } else {
                    Ok(Expr::int(1))
                }
            }
            Err(()) => Err(self.error(Code::SizeOverflow, "this size is too large to count", span, "here")),
        }
    }

    fn index_value(&mut self, context: &Context, var: VarId) -> Step<Expr<TensorId>> {
        let index = &context.vars[var];
        let axis = Expr::Index(index.axis.ok_or(Reported)?);
        if index.low == Size::default() {
            return Ok(axis);
        }
        let (low, place) = (index.low.clone(), index.place);
        Ok(Expr::Sum(vec![axis, self.size_value(&low, place)?]))
    }

    /// One integer expression for each position; and whether one of them reads a tensor.
    pub(super) fn build_positions(
        &mut self,
        context: &mut Context,
        positions: &[Position],
    ) -> Step<(Vec<Expr<TensorId>>, bool)> {
        let mut indices = Vec::new();
        let mut computed = false;
        for position in positions {
            indices.push(match position {
                Position::Unit => Expr::int(0),
                Position::Group(vars) => {
                    let mut flat: Option<Expr<TensorId>> = None;
                    for &var in vars {
                        let index = self.index_value(context, var)?;
                        let extent =
                            context.vars[var].axis.map_or(1, |axis| self.program.axes[axis].extent) as i64;
                        flat = Some(match flat {
                            None => index,
                            Some(flat) => {
                                Expr::Sum(vec![Expr::Product(vec![flat, Expr::int(extent)]), index])
                            }
                        });
                    }
                    flat.unwrap_or_else(|| Expr::int(0))
                }
                Position::Expr(node) => {
                    computed |= node.reads();
                    let (value, ty) = self.value(context, node)?;
                    match ty {
                        Ty::Int => value,
                        Ty::Of(dtype) if dtype.is_integer() => converted(value, DType::I64),
                        _ => {
                            let mut diagnostic = Diagnostic::error(
                                Code::BadOperand,
                                format!("an index is an integer, not {}", ty.text()),
                            )
                            .label(node.span, "here");
                            diagnostic.help = Some("`//` divides integers, `as i64` truncates".to_string());
                            return Err(self.report(diagnostic));
                        }
                    }
                }
            });
        }
        Ok((indices, computed))
    }

    fn read(
        &mut self,
        context: &mut Context,
        symbol: &Symbol,
        positions: &[Position],
        otherwise: Option<&Node>,
        span: Span,
    ) -> Step<Typed> {
        let (indices, computed) = self.build_positions(context, positions)?;
        let dtype = self.program.tensors[symbol.tensor].dtype;
        let mut ty = symbol.ty;
        let read = |indices, outside| {
            Expr::Read(Read { source: symbol.tensor, dtype, indices, outside, place: span })
        };
        let Some(otherwise) = otherwise else {
            let outside = if computed { context.options.bounds.outside() } else { Outside::Never };
            return Ok((converted(read(indices, outside), ty.computed()), ty));
        };
        let (mut value, other) = self.value(context, otherwise)?;
        if ty.is_flexible() {
            // A table of numbers takes the type of the value outside.
            let joined = self.joined((ty, span), (other, otherwise.span), span)?;
            let inner = read(indices.clone(), Outside::Else(Box::new(Expr::number(0.0, dtype))));
            if joined == ty {
                value = converted(value, dtype);
                return Ok((read(indices, Outside::Else(Box::new(value))), ty));
            }
            ty = joined;
            return Ok((converted(inner, ty.computed()), ty));
        }
        value = self.adopted((value, other), ty, otherwise.span)?;
        let value = converted(value, dtype);
        Ok((converted(read(indices, Outside::Else(Box::new(value))), ty.computed()), ty))
    }

    /// A read of a scan's state at an earlier step, or at this one where it is defined already.
    fn state_read(
        &mut self,
        context: &mut Context,
        state: usize,
        positions: &[Position],
        span: Span,
    ) -> Step<Typed> {
        let Some((time, reversed)) = context.time else { return Err(Reported) };
        let (mut indices, _) = self.build_positions(context, positions)?;
        let known = &context.states[state];
        let (name, defined, at) = (known.name.text.clone(), known.defined, known.time);
        let axis = context.vars[time].axis.ok_or(Reported)?;
        let mut previous = true;
        match at {
            Some(at) => {
                let step =
                    indices[at].affine().filter(|form| form.terms == [(axis, 1)]).map(|form| form.constant);
                let back = step.map(|step| if reversed { -step } else { step });
                match back {
                    Some(back) if back < 0 => {}
                    Some(0) if defined => previous = false,
                    Some(_) => {
                        return Err(self.report(
                            Diagnostic::error(
                                Code::BadScan,
                                format!("`{name}` is read before this step has defined it"),
                            )
                            .label(span, "not an earlier step")
                            .help(if reversed {
                                "a reversed scan reads later positions: `t + 1`"
                            } else {
                                "read an earlier step, `t - 1`, or write `scan[t reversed]`"
                            }),
                        ));
                    }
                    None => {
                        return Err(self.error(
                            Code::BadScan,
                            format!("`{name}` is read at a step that is not a fixed number of steps back"),
                            span,
                            "not of the form `t - 1`",
                        ));
                    }
                }
            }
            None => {
                previous = !defined;
                let step = if !previous {
                    0
                } else if reversed {
                    1
                } else {
                    -1
                };
                let index = if step == 0 {
                    Expr::Index(axis)
                } else {
                    Expr::Sum(vec![Expr::Index(axis), Expr::int(step)])
                };
                indices.insert(0, index);
            }
        }
        let known = &context.states[state];
        let Some(history) = known.history.clone() else { return Err(Reported) };
        let init = known.init.clone();
        let dtype = self.program.tensors[history.tensor].dtype;
        let outside = if previous {
            let Some(init) = init else {
                let message = format!("`{name}` has no value before the first step");
                return Err(self.error(Code::BadScan, message, span, "give one after `from`"));
            };
            let own: Vec<Position> = positions
                .iter()
                .enumerate()
                .filter(|(k, _)| Some(*k) != at)
                .map(|(_, p)| p.clone())
                .collect();
            let value = self.initial(context, &init, &own)?;
            Outside::Else(Box::new(converted(value, dtype)))
        } else {
            Outside::Never
        };
        let read = Expr::Read(Read { source: history.tensor, dtype, indices, outside, place: span });
        Ok((converted(read, history.ty.computed()), history.ty))
    }

    /// The initial value of a state at given positions: a tensor is read there.
    pub(super) fn initial(
        &mut self,
        context: &mut Context,
        init: &Node,
        positions: &[Position],
    ) -> Step<Expr<TensorId>> {
        if let Kind::Access { symbol, indices, otherwise: None, .. } = &init.kind
            && indices.is_empty()
            && !symbol.shape.is_empty()
        {
            let symbol = symbol.clone();
            return Ok(self.read(context, &symbol, positions, None, init.span)?.0);
        }
        Ok(self.value(context, init)?.0)
    }

    fn reduce(
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

    fn mean(
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
    fn count(
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
    fn variance(
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
    fn renamed(&mut self, expr: &Expr<TensorId>, axes: &[AxisId]) -> (Expr<TensorId>, Vec<AxisId>) {
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

    fn along(
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

    /// The shape and the tensor of a state's steps: the scan's index stands first unless the left side has it.
    pub(super) fn history(
        &mut self,
        context: &mut Context,
        state: usize,
        ty: Ty,
        prefix: &str,
    ) -> Step<Symbol> {
        let Some((time, _)) = context.time else { return Err(Reported) };
        let known = context.states[state].clone();
        let mut shape = self.left_shape(context, &known.left, known.name.span)?;
        let name = match known.time {
            Some(_) => format!("{prefix}{}", known.name),
            None => {
                shape.insert(0, context.vars[time].extent.clone().ok_or(Reported)?);
                format!("{prefix}{}.steps", known.name)
            }
        };
        self.add_tensor(&name, ty, ty.computed(), &shape, super::Role::Computed, known.name.span)
    }

    /// The axes of a state's steps.
    pub(super) fn history_dims(&mut self, context: &Context, state: usize) -> Step<Vec<Vec<AxisId>>> {
        let Some((time, _)) = context.time else { return Err(Reported) };
        let known = &context.states[state];
        let axis = |var: VarId| context.vars[var].axis.ok_or(Reported);
        let mut dims = Vec::new();
        if known.time.is_none() {
            dims.push(vec![axis(time)?]);
        }
        for dim in &known.left.dims {
            dims.push(match dim {
                LeftDim::Index(var) => vec![axis(*var)?],
                LeftDim::Group(vars) => vars.iter().map(|&var| axis(var)).collect::<Step<_>>()?,
                LeftDim::Unit => Vec::new(),
            });
        }
        Ok(dims)
    }

    /// The comparison of two values.
    fn compare(&mut self, op: CompareOp, a: (Typed, Span), b: (Typed, Span), span: Span) -> Step<Typed> {
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

    fn select(
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

/// The least value of a dtype (`-inf`), or the greatest.
fn extreme(dtype: DType, least: bool) -> Expr<TensorId> {
    match dtype.integer_range() {
        Some((low, high)) => Expr::Const(Scalar::Int(if least { low } else { high }), dtype),
        None => Expr::number(if least { f64::NEG_INFINITY } else { f64::INFINITY }, dtype),
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

//! Names to what they mean: syntax trees of statements become [`Node`]s, and calls are inlined on the way.

use super::check::{Checker, Reported, Step, plural};
use super::node::{Kind, Node, Reduction, Symbol, Ty, VarId};
use super::scope::{Scope, similar};
use super::size::Size;
use super::statement::{Bounds, Context, Options};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{AlongOp, Binary, Unary};
use crate::source::Span;
use einc_grammar::tree::{Argument, CompareOp, Expr, ExprKind, Index, Number, ProductOp};
use einc_runtime::DType;

/// Maps along indices, by name.
pub(super) const MAPS: [AlongOp; 11] = [
    AlongOp::Softmax,
    AlongOp::LogSoftmax,
    AlongOp::Normalize,
    AlongOp::CumSum,
    AlongOp::CumProd,
    AlongOp::Dft,
    AlongOp::Idft,
    AlongOp::Sort,
    AlongOp::ArgSort,
    AlongOp::TopK,
    AlongOp::ArgTopK,
];

/// Functions of two values, by name.
pub(super) const PAIRS: [(&str, Binary); 9] = [
    ("min", Binary::Min),
    ("max", Binary::Max),
    ("atan2", Binary::Atan2),
    ("pow", Binary::Pow),
    ("band", Binary::BitAnd),
    ("bor", Binary::BitOr),
    ("bxor", Binary::BitXor),
    ("shl", Binary::Shl),
    ("shr", Binary::Shr),
];

/// Dense linear algebra that is checked only.
pub(super) const LINEAR_ALGEBRA: [&str; 5] = ["inv", "det", "logdet", "cholesky", "eigvals"];

pub(super) fn map_named(name: &str) -> Option<AlongOp> {
    MAPS.into_iter().find(|op| op.name() == name)
}

pub(super) fn reduction_named(name: &str) -> Option<Reduction> {
    Reduction::ALL.into_iter().find(|entry| entry.1 == name).map(|entry| entry.0)
}

/// Whether a map gives its result another index, so that `t -> f` is written.
pub(super) fn renames(op: AlongOp) -> bool {
    !matches!(
        op,
        AlongOp::Softmax | AlongOp::LogSoftmax | AlongOp::Normalize | AlongOp::CumSum | AlongOp::CumProd
    )
}

/// The direct parts of an expression of the syntax tree, indices included.
pub(super) fn parts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Name(_) => Vec::new(),
        ExprKind::Access { base, indices, otherwise } => {
            let mut parts = vec![&**base];
            parts.extend(indices.iter().filter_map(|index| match index {
                Index::Expr(index) => Some(index),
                _ => None,
            }));
            parts.extend(otherwise.as_deref());
            parts
        }
        ExprKind::Field(base, _) => vec![base],
        ExprKind::Call { args, .. } => args.iter().map(|arg| &arg.value).collect(),
        ExprKind::Over { conditions, body, .. } => conditions.iter().chain([&**body]).collect(),
        ExprKind::Negate(a) | ExprKind::Not(a) | ExprKind::Cast(a, _) => vec![a],
        ExprKind::Sum(terms) => terms.iter().map(|term| &term.1).collect(),
        ExprKind::Product(factors) => factors.iter().map(|factor| &factor.1).collect(),
        ExprKind::Power(a, b) | ExprKind::Compare(_, a, b) | ExprKind::In(a, b) => vec![a, b],
        ExprKind::Range { start, end, .. } => vec![start, end],
        ExprKind::And(parts) | ExprKind::Or(parts) | ExprKind::Tuple(parts) => parts.iter().collect(),
        ExprKind::If(a, b, c) => vec![a, b, c],
    }
}

impl<'a> Checker<'a> {
    /// Notes which names the statement uses as indices.
    pub(super) fn note_indices(
        &mut self,
        scope: &Scope,
        context: &mut Context,
        left: &[Index],
        values: &[&Expr],
        conditions: &[Expr],
    ) {
        for index in left {
            match index {
                Index::Expr(Expr { kind: ExprKind::Name(name), .. }) => {
                    context.implied.insert(name.clone());
                }
                Index::Group(names, _) => context.implied.extend(names.iter().map(|name| name.text.clone())),
                Index::Expr(expr) => collect(scope, expr, &mut Vec::new(), context),
                _ => {}
            }
        }
        for value in values {
            collect(scope, value, &mut Vec::new(), context);
        }
        for condition in conditions {
            if let ExprKind::In(left, _) = &condition.kind
                && let ExprKind::Name(name) = &left.kind
                && !is_value(scope, name)
            {
                context.implied.insert(name.clone());
            }
            collect(scope, condition, &mut Vec::new(), context);
        }
    }

    /// The clauses after `where`: ranges of indices, conditions on sizes, filters.
    pub(super) fn conditions(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        conditions: &[Expr],
    ) -> Step<()> {
        let mut outcome = Ok(());
        for condition in conditions {
            match self.condition(scope, context, condition, None) {
                Ok(filter) => context.conditions.extend(filter),
                Err(reported) => outcome = Err(reported),
            }
        }
        outcome
    }

    /// Notes a range of an index, or checks a condition on sizes; gives the filter if it is one. A reduction gives ranges
    /// to the indices that it binds, and only filters those of what is around it; so does a second range of an index.
    pub(super) fn condition(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        condition: &Expr,
        bound: Option<&[VarId]>,
    ) -> Step<Option<Node>> {
        if let ExprKind::In(left, range) = &condition.kind
            && let ExprKind::Name(name) = &left.kind
            && let Some(var) = self.index(context, name, left.span)
        {
            let bounds = self.ends(range)?;
            if context.vars[var].explicit || bound.is_some_and(|bound| !bound.contains(&var)) {
                let (low, high) = self.bounds(scope, context, bounds)?;
                let span = condition.span;
                let both = between(low, Node { kind: Kind::Var(var), span }, CompareOp::Lt, high, span);
                return Ok(Some(Node { kind: Kind::And(both.into()), span }));
            }
            return self.range(scope, context, var, bounds, condition.span).map(|()| None);
        }
        let node = self.resolve(scope, context, condition)?;
        if node.uses().is_empty() && !node.reads() {
            self.size_conditions(scope, std::slice::from_ref(condition));
            return Ok(None);
        }
        Ok(Some(node))
    }

    /// The ends of the range after `in`, and whether the last one belongs to it.
    fn ends<'e>(&mut self, range: &'e Expr) -> Step<(&'e Expr, &'e Expr, bool)> {
        match &range.kind {
            ExprKind::Range { start, end, inclusive } => Ok((start, end, *inclusive)),
            _ => Err(self.error(Code::BadRange, "no range stands after `in`", range.span, "not a range")),
        }
    }

    /// The first value of a range, and the one past its last.
    fn bounds(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        (start, end, inclusive): (&Expr, &Expr, bool),
    ) -> Step<(Node, Node)> {
        let low = self.resolve(scope, context, start)?;
        let mut high = self.resolve(scope, context, end)?;
        if inclusive {
            let one = Node { kind: Kind::Number(Number::Int(1)), span: end.span };
            high = Node { span: high.span, kind: Kind::Sum(vec![(false, high), (false, one)]) };
        }
        Ok((low, high))
    }

    pub(super) fn range(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        var: VarId,
        bounds: (&Expr, &Expr, bool),
        span: Span,
    ) -> Step<()> {
        let (low, high) = self.bounds(scope, context, bounds)?;
        if let (Some(first), Some(past)) = (self.node_size(&low), self.node_size(&high)) {
            let extent = past.minus(&first);
            let Some(extent) = extent else {
                return Err(self.error(Code::SizeOverflow, "this size is too large to count", span, "here"));
            };
            if let Ok(Some(value)) = self.sizes.value(&extent)
                && value < 0
            {
                // A negative extent that was told already is why.
                if self.diagnostics.iter().any(|told| told.code == Code::BadExtent) {
                    return Err(Reported);
                }
                let message = format!("the range of `{}` has {value} values", context.vars[var].name);
                return Err(self.error(Code::BadRange, message, span, "ends before it starts"));
            }
            let index = &mut context.vars[var];
            index.low = first;
            index.explicit = true;
            index.fixed_by = Some((span, String::new()));
            index.extent = Some(extent);
            return Ok(());
        }
        let (low, high) = match context.options.bounds {
            Bounds::Checked => checked_ends(var, low, high),
            Bounds::Clamp | Bounds::Trust => (low, high),
        };
        let from_zero = self.node_size(&low) == Some(Size::default());
        let both = between(low, Node { kind: Kind::Var(var), span }, CompareOp::Lt, high, span);
        context.vars[var].filters.extend(both.into_iter().skip(usize::from(from_zero)));
        Ok(())
    }

    /// The index that a name means, made if the statement implies it.
    pub(super) fn index(&mut self, context: &mut Context, name: &str, span: Span) -> Option<VarId> {
        if let Some(var) = context.find(name) {
            return Some(var);
        }
        if !context.implied.contains(name) {
            return None;
        }
        let var = context.add(name, span, true);
        context.names[0].insert(name.to_string(), var);
        Some(var)
    }

    /// The node of an expression.
    pub(super) fn resolve(&mut self, scope: &mut Scope, context: &mut Context, expr: &Expr) -> Step<Node> {
        let span = expr.span;
        let boxed = |node| Box::new(node);
        let kind = match &expr.kind {
            ExprKind::Number(number) => Kind::Number(*number),
            ExprKind::String(_) => {
                return Err(self.error(
                    Code::BadOperand,
                    "a text stands where a value is needed",
                    span,
                    "a text",
                ));
            }
            ExprKind::Name(name) => return self.name(scope, context, name, span),
            ExprKind::Access { base, indices, otherwise } => {
                return self.access(scope, context, base, indices, otherwise.as_deref(), span);
            }
            ExprKind::Field(..) => {
                return Err(self.error(
                    Code::UnknownName,
                    "a module's name stands as a value",
                    span,
                    "not a value",
                ));
            }
            ExprKind::Call { function, args } => return self.call_node(scope, context, function, args, span),
            ExprKind::Over { function, binders, conditions, body } => {
                return self.over(scope, context, function, binders, conditions, body, span);
            }
            ExprKind::Negate(a) => Kind::Negate(boxed(self.resolve(scope, context, a)?)),
            ExprKind::Not(a) => Kind::Unary(Unary::Not, boxed(self.resolve(scope, context, a)?)),
            ExprKind::Sum(terms) => {
                let nodes = self.resolve_all(scope, context, terms.iter().map(|term| &term.1))?;
                Kind::Sum(terms.iter().map(|term| term.0).zip(nodes).collect())
            }
            ExprKind::Product(factors) => return self.product(scope, context, factors, span),
            ExprKind::Power(a, b) => {
                let [a, b] = self.resolve_each(scope, context, [a, b])?;
                Kind::Binary(Binary::Pow, boxed2(a, b))
            }
            ExprKind::Cast(a, name) => {
                let dtype = self.dtype(scope, name)?;
                Kind::Cast(dtype, boxed(self.resolve(scope, context, a)?))
            }
            ExprKind::Compare(op, a, b) => {
                let [a, b] = self.resolve_each(scope, context, [a, b])?;
                Kind::Compare(*op, boxed2(a, b))
            }
            ExprKind::In(value, range) => {
                let (start, end, inclusive) = self.ends(range)?;
                let [value, start, end] = self.resolve_each(scope, context, [value, start, end])?;
                let upper = if inclusive { CompareOp::Le } else { CompareOp::Lt };
                Kind::And(between(start, value, upper, end, span).into())
            }
            ExprKind::Range { .. } => {
                return Err(self.error(
                    Code::BadRange,
                    "a range stands after `in` only",
                    span,
                    "not a value",
                ));
            }
            ExprKind::And(list) | ExprKind::Or(list) => {
                let nodes = self.resolve_all(scope, context, list.iter())?;
                if matches!(expr.kind, ExprKind::And(_)) { Kind::And(nodes) } else { Kind::Or(nodes) }
            }
            ExprKind::If(a, b, c) => Kind::If(Box::new(self.resolve_each(scope, context, [a, b, c])?)),
            ExprKind::Tuple(_) => {
                return Err(self.error(Code::BadOperand, "a tuple is no value", span, "several values"));
            }
        };
        Ok(Node { kind, span })
    }

    /// The nodes of several expressions. One that fails hides no error of the others.
    pub(super) fn resolve_all<'e>(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        list: impl Iterator<Item = &'e Expr>,
    ) -> Step<Vec<Node>> {
        let nodes: Vec<Step<Node>> = list.map(|expr| self.resolve(scope, context, expr)).collect();
        nodes.into_iter().collect()
    }

    /// The same for a fixed number of expressions.
    fn resolve_each<const N: usize>(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        list: [&Expr; N],
    ) -> Step<[Node; N]> {
        self.resolve_all(scope, context, list.into_iter())?.try_into().map_err(|_| Reported)
    }

    /// Products: `%` and `//` take what stands on their left as one operand.
    pub(super) fn product(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        factors: &[(ProductOp, Expr)],
        span: Span,
    ) -> Step<Node> {
        let nodes = self.resolve_all(scope, context, factors.iter().map(|factor| &factor.1))?;
        let mut done: Vec<(bool, Node)> = Vec::new();
        for ((op, _), node) in factors.iter().zip(nodes) {
            match op {
                ProductOp::Mul => done.push((false, node)),
                ProductOp::Div => done.push((true, node)),
                ProductOp::Rem | ProductOp::FloorDiv => {
                    let left = one_product(std::mem::take(&mut done), span);
                    let op = if *op == ProductOp::Rem { Binary::Rem } else { Binary::FloorDiv };
                    let span = left.span.to(node.span);
                    done.push((false, Node { kind: Kind::Binary(op, boxed2(left, node)), span }));
                }
            }
        }
        Ok(one_product(done, span))
    }

    pub(super) fn name(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        name: &str,
        span: Span,
    ) -> Step<Node> {
        let node = |kind| Node { kind, span };
        if let Some(var) = self.index(context, name, span) {
            return Ok(node(Kind::Var(var)));
        }
        if let Some(state) = context.states.iter().position(|state| state.name.text == name) {
            return self.state(scope, context, state, &[], None, span);
        }
        if let Some(value) = scope.values.get(name) {
            return Ok(Node { span, ..value.clone() });
        }
        let dim = scope.dims.contains_key(name);
        match scope.tensors.get(name) {
            Some(symbol) if symbol.shape.is_empty() => {
                let kind = Kind::Access { symbol: symbol.clone(), indices: Vec::new(), otherwise: None };
                return Ok(node(kind));
            }
            Some(symbol) if !dim => {
                let count = symbol.shape.len();
                return Err(self.report(
                    Diagnostic::error(
                        Code::NeedsIndices,
                        format!("`{name}` has {count} {} and stands without indices", plural(count, "dim")),
                    )
                    .label(span, "needs indices")
                    .label(symbol.place, "defined here")
                    .help(format!("write `{name}[{}]`", ["i", "j", "k", "l"][..count.min(4)].join(", "))),
                ));
            }
            _ => {}
        }
        if let Some(constant) = scope.constants.get(name).cloned() {
            let value = self.unfold(name, span, |checker| {
                let mut inner = Context::new(&Options::default());
                checker.resolve(scope, &mut inner, &constant.value)
            })?;
            return match constant.dtype {
                None => Ok(value),
                Some(dtype) => {
                    let dtype = self.dtype(scope, &dtype)?;
                    Ok(node(Kind::Cast(dtype, Box::new(value))))
                }
            };
        }
        match name {
            "true" | "false" => return Ok(node(Kind::Bool(name == "true"))),
            "pi" if !dim => return Ok(node(Kind::Number(Number::Real(std::f64::consts::PI)))),
            "inf" if !dim => return Ok(node(Kind::Number(Number::Real(f64::INFINITY)))),
            "nan" if !dim => return Ok(node(Kind::Number(Number::Real(f64::NAN)))),
            _ => {}
        }
        if let Some(size) = self.dim(scope, name, span)? {
            return Ok(node(Kind::Size(size)));
        }
        Err(self.unknown_name(scope, context, name, span))
    }

    pub(super) fn unknown_name(
        &mut self,
        scope: &Scope,
        context: &Context,
        name: &str,
        span: Span,
    ) -> Reported {
        if scope.broken.contains(name) {
            return Reported;
        }
        if let Some(&later) = scope.later.get(name) {
            return self.report(
                Diagnostic::error(
                    Code::UsedBeforeDefinition,
                    format!("`{name}` is used before its definition"),
                )
                .label(span, "used here")
                .label(later, "defined here")
                .help("statements run from top to bottom: move the definition up"),
            );
        }
        if !self.unknown.insert(name.to_string()) {
            return Reported;
        }
        let mut diagnostic =
            Diagnostic::error(Code::UnknownName, format!("`{name}` stands for nothing here"))
                .label(span, "unknown");
        let indices = context.names.iter().flat_map(|names| names.keys().map(String::as_str));
        let known = scope
            .tensors
            .keys()
            .chain(scope.dims.keys())
            .chain(scope.constants.keys())
            .map(String::as_str)
            .chain(indices);
        diagnostic.help = Some(match similar(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.module.visible_function(scope.unit, name).is_some() => {
                format!("`{name}` is a function: call it, `{name}(..)`")
            }
            None if scope.declared.contains_key(name) => {
                "it is declared, but nothing defines it above".to_string()
            }
            None => format!(
                "declare it (`input {name}: f64[..]`), define it above, or give it a range if it is an index (`where {name} in 0..n`)"
            ),
        });
        self.report(diagnostic)
    }

    /// The size that a resolved expression stands for.
    pub(super) fn node_size(&mut self, node: &Node) -> Option<Size> {
        match &node.kind {
            Kind::Number(Number::Int(value)) => i64::try_from(*value).ok().map(Size::constant),
            Kind::Size(size) => Some(size.clone()),
            Kind::Negate(a) => Size::default().minus(&self.node_size(a)?),
            Kind::Sum(terms) => {
                let mut sum = Size::default();
                for (minus, term) in terms {
                    let size = self.node_size(term)?;
                    sum = if *minus { sum.minus(&size)? } else { sum.plus(&size)? };
                }
                Some(sum)
            }
            Kind::Product(factors) => {
                let mut product = Size::constant(1);
                for (divides, factor) in factors {
                    let size = self.node_size(factor)?;
                    product =
                        if *divides { self.sizes.div(&product, &size)? } else { product.times(&size)? };
                }
                Some(product)
            }
            Kind::Binary(op, pair) => {
                let (a, b) = (self.node_size(&pair[0])?, self.node_size(&pair[1])?);
                match op {
                    Binary::FloorDiv => self.sizes.div(&a, &b),
                    Binary::Rem => self.sizes.rem(&a, &b),
                    Binary::Pow => self.sizes.pow(&a, &b),
                    Binary::Min => Some(self.sizes.min(&a, &b)),
                    Binary::Max => Some(self.sizes.max(&a, &b)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// `einsum("ij,jk->ik", A, B)`.
    pub(super) fn einsum(&mut self, scope: &mut Scope, args: &[Argument], span: Span) -> Step<Symbol> {
        let Some((Argument { value: Expr { kind: ExprKind::String(text), span: place }, .. }, operands)) =
            args.split_first()
        else {
            return Err(self.error(
                Code::BadEinsum,
                "`einsum` takes a text and its operands",
                span,
                "write einsum(\"ij,jk->ik\", A, B)",
            ));
        };
        let mut symbols = Vec::new();
        for operand in operands {
            symbols.push(self.argument(scope, &operand.value)?);
        }
        self.einsum_of(scope, text, *place, &symbols, span)
    }
}

pub(super) fn boxed2(a: Node, b: Node) -> Box<[Node; 2]> {
    Box::new([a, b])
}

/// The two comparisons `low <= value` and `value < high` (or `<=`).
fn between(low: Node, value: Node, upper: CompareOp, high: Node, span: Span) -> [Node; 2] {
    [(CompareOp::Le, low, value.clone()), (upper, value, high)]
        .map(|(op, a, b)| Node { kind: Kind::Compare(op, boxed2(a, b)), span })
}

fn one_product(mut factors: Vec<(bool, Node)>, span: Span) -> Node {
    match &factors[..] {
        [(false, _)] => factors.remove(0).1,
        _ => {
            let span = match (factors.first(), factors.last()) {
                (Some(first), Some(last)) => first.1.span.to(last.1.span),
                _ => span,
            };
            Node { kind: Kind::Product(factors), span }
        }
    }
}

/// Whether a name alone at an index position is a value rather than an index: a dim, a constant, a rank-0 integer.
fn is_value(scope: &Scope, name: &str) -> bool {
    scope.dims.contains_key(name)
        || scope.constants.contains_key(name)
        || scope.tensors.get(name).is_some_and(|symbol| {
            symbol.shape.is_empty() && matches!(symbol.ty, Ty::Of(dtype) if DType::is_integer(dtype))
        })
}

/// Collects the names that stand alone at index positions and that nothing within the expression binds.
fn collect(scope: &Scope, expr: &Expr, bound: &mut Vec<String>, context: &mut Context) {
    if let ExprKind::Access { indices, .. } = &expr.kind {
        for index in indices {
            match index {
                Index::Expr(Expr { kind: ExprKind::Name(name), .. })
                    if !bound.contains(name) && !is_value(scope, name) =>
                {
                    context.implied.insert(name.clone());
                }
                Index::Group(names, _) => {
                    for name in names {
                        if !bound.contains(&name.text) {
                            context.implied.insert(name.text.clone());
                        }
                    }
                }
                _ => {}
            }
        }
    }
    let depth = bound.len();
    if let ExprKind::Over { function, binders, .. } = &expr.kind {
        if map_named(&function.text).is_none_or(renames) {
            bound.extend(binders.iter().map(|binder| binder.name.text.clone()));
        }
        for rename in binders.iter().filter_map(|binder| binder.rename.as_ref()) {
            context.implied.insert(rename.text.clone());
        }
    }
    for part in parts(expr) {
        collect(scope, part, bound, context);
    }
    bound.truncate(depth);
}

/// The ends of a range of an index as they are checked when the program runs: those read from tensors lie in 0 to the
/// index's extent, and two of them do not fall.
fn checked_ends(var: VarId, low: Node, high: Node) -> (Node, Node) {
    let within = |end: Node, limit: Node| {
        let span = end.span;
        Node { kind: Kind::Binary(Binary::Within, Box::new([end, limit])), span }
    };
    let inside = |end: Node| {
        let limit = Node { kind: Kind::Extent(var), span: end.span };
        if end.reads() { within(end, limit) } else { end }
    };
    let both = low.reads() && high.reads();
    let (low, high) = (inside(low), inside(high));
    (if both { within(low, high.clone()) } else { low }, high)
}

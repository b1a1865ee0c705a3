//! Names to what they mean: syntax trees of statements become [`Node`]s, and calls are inlined on the way.

use super::check::{Checker, Reported, Step, plural};
use super::node::{Kind, Node, Position, Reduction, Symbol, Ty, VarId};
use super::scope::{Scope, similar};
use super::size::Size;
use super::statement::{Context, Options, Use, ellipsis_count};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{AlongOp, Binary, Unary};
use crate::source::Span;
use einc_grammar::tree::{
    Argument, Binder, CompareOp, Expr, ExprKind, Function, Index, Name, Number, ProductOp,
};
use einc_runtime::DType;

/// Maps along indices, by name.
const MAPS: [AlongOp; 11] = [
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
const PAIRS: [(&str, Binary); 9] = [
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
const LINEAR_ALGEBRA: [&str; 5] = ["inv", "det", "logdet", "cholesky", "eigvals"];

fn map_named(name: &str) -> Option<AlongOp> {
    MAPS.into_iter().find(|op| op.name() == name)
}

fn reduction_named(name: &str) -> Option<Reduction> {
    Reduction::ALL.into_iter().find(|entry| entry.1 == name).map(|entry| entry.0)
}

/// Whether a map gives its result another index, so that `t -> f` is written.
fn renames(op: AlongOp) -> bool {
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
        for condition in conditions {
            if let Some(filter) = self.condition(scope, context, condition)? {
                context.conditions.push(filter);
            }
        }
        Ok(())
    }

    /// Notes a range of an index, or checks a condition on sizes; gives the filter if it is one.
    fn condition(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        condition: &Expr,
    ) -> Step<Option<Node>> {
        if let ExprKind::In(left, range) = &condition.kind
            && let ExprKind::Name(name) = &left.kind
            && let Some(var) = self.index(context, name, left.span)
        {
            let ExprKind::Range { start, end, inclusive } = &range.kind else {
                return Err(self.error(
                    Code::BadRange,
                    "no range stands after `in`",
                    range.span,
                    "not a range",
                ));
            };
            return self.range(scope, context, var, (start, end, *inclusive), condition.span).map(|()| None);
        }
        let node = self.resolve(scope, context, condition)?;
        if node.uses().is_empty() && !node.reads() {
            self.size_conditions(scope, std::slice::from_ref(condition));
            return Ok(None);
        }
        Ok(Some(node))
    }

    fn range(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        var: VarId,
        (start, end, inclusive): (&Expr, &Expr, bool),
        span: Span,
    ) -> Step<()> {
        let low = self.resolve(scope, context, start)?;
        let mut high = self.resolve(scope, context, end)?;
        if inclusive {
            let one = Node { kind: Kind::Number(Number::Int(1)), span: end.span };
            high = Node { span: high.span, kind: Kind::Sum(vec![(false, high), (false, one)]) };
        }
        if let (Some(first), Some(past)) = (self.node_size(&low), self.node_size(&high)) {
            let extent = past.minus(&first);
            let Some(extent) = extent else {
                return Err(self.error(Code::SizeOverflow, "this size is too large to count", span, "here"));
            };
            if let Ok(Some(value)) = self.sizes.value(&extent)
                && value < 0
            {
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
        let here = |kind| Node { kind, span };
        let index = here(Kind::Var(var));
        if self.node_size(&low) != Some(Size::default()) {
            context.vars[var]
                .filters
                .push(here(Kind::Compare(CompareOp::Le, Box::new([low, index.clone()]))));
        }
        context.vars[var].filters.push(here(Kind::Compare(CompareOp::Lt, Box::new([index, high]))));
        Ok(())
    }

    /// The index that a name means, made if the statement implies it.
    fn index(&mut self, context: &mut Context, name: &str, span: Span) -> Option<VarId> {
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
                let mut nodes = Vec::new();
                for (minus, term) in terms {
                    nodes.push((*minus, self.resolve(scope, context, term)?));
                }
                Kind::Sum(nodes)
            }
            ExprKind::Product(factors) => return self.product(scope, context, factors, span),
            ExprKind::Power(a, b) => Kind::Binary(
                Binary::Pow,
                boxed2(self.resolve(scope, context, a)?, self.resolve(scope, context, b)?),
            ),
            ExprKind::Cast(a, name) => {
                let dtype = self.dtype(scope, name)?;
                Kind::Cast(dtype, boxed(self.resolve(scope, context, a)?))
            }
            ExprKind::Compare(op, a, b) => {
                Kind::Compare(*op, boxed2(self.resolve(scope, context, a)?, self.resolve(scope, context, b)?))
            }
            ExprKind::In(value, range) => {
                let ExprKind::Range { start, end, inclusive } = &range.kind else {
                    return Err(self.error(
                        Code::BadRange,
                        "no range stands after `in`",
                        range.span,
                        "not a range",
                    ));
                };
                let value = self.resolve(scope, context, value)?;
                let start = self.resolve(scope, context, start)?;
                let end = self.resolve(scope, context, end)?;
                let upper = if *inclusive { CompareOp::Le } else { CompareOp::Lt };
                let at = |kind| Node { kind, span };
                Kind::And(vec![
                    at(Kind::Compare(CompareOp::Le, boxed2(start, value.clone()))),
                    at(Kind::Compare(upper, boxed2(value, end))),
                ])
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
                let mut nodes = Vec::new();
                for part in list {
                    nodes.push(self.resolve(scope, context, part)?);
                }
                if matches!(expr.kind, ExprKind::And(_)) { Kind::And(nodes) } else { Kind::Or(nodes) }
            }
            ExprKind::If(a, b, c) => Kind::If(Box::new([
                self.resolve(scope, context, a)?,
                self.resolve(scope, context, b)?,
                self.resolve(scope, context, c)?,
            ])),
            ExprKind::Tuple(_) => {
                return Err(self.error(Code::BadOperand, "a tuple is no value", span, "several values"));
            }
        };
        Ok(Node { kind, span })
    }

    /// Products: `%` and `//` take what stands on their left as one operand.
    fn product(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        factors: &[(ProductOp, Expr)],
        span: Span,
    ) -> Step<Node> {
        let mut done: Vec<(bool, Node)> = Vec::new();
        for (op, factor) in factors {
            let node = self.resolve(scope, context, factor)?;
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

    fn name(&mut self, scope: &mut Scope, context: &mut Context, name: &str, span: Span) -> Step<Node> {
        let node = |kind| Node { kind, span };
        if let Some(var) = self.index(context, name, span) {
            return Ok(node(Kind::Var(var)));
        }
        if let Some(state) = context.states.iter().position(|state| state.name.text == name) {
            return self.state(scope, context, state, &[], None, span);
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
            self.depth += 1;
            let value = if self.depth > 64 {
                Err(self.error(
                    Code::Recursion,
                    format!("the value of `{name}` refers to itself"),
                    span,
                    "here",
                ))
            } else {
                let mut inner = Context::new(&Options::default());
                self.resolve(scope, &mut inner, &constant.value)
            };
            self.depth -= 1;
            let value = value?;
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

    fn unknown_name(&mut self, scope: &Scope, context: &Context, name: &str, span: Span) -> Reported {
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

    /// The tensor that the base of an access stands for.
    fn base(&mut self, scope: &mut Scope, context: &Context, base: &Expr) -> Step<(Symbol, String)> {
        match &base.kind {
            ExprKind::Name(name) => match scope.tensors.get(name) {
                Some(symbol) => Ok((symbol.clone(), name.clone())),
                None if self.module.visible_function(scope.unit, name).is_some() => Err(self.error(
                    Code::WrongArguments,
                    format!("`{name}` is a function"),
                    base.span,
                    "call it",
                )),
                None => Err(self.unknown_name(scope, context, name, base.span)),
            },
            ExprKind::Call { function, args } => {
                if matches!(&function.kind, ExprKind::Name(name) if name == "einsum") {
                    return Ok((self.einsum(scope, args, base.span)?, "einsum".to_string()));
                }
                let Some(target) = self.called(scope, function)? else {
                    return Err(self.error(
                        Code::WrongArguments,
                        "the result of this function has no indices",
                        base.span,
                        "not a tensor",
                    ));
                };
                let name = target.1.name.text.clone();
                let mut results = self.call(scope, target, args, base.span)?;
                if results.len() != 1 {
                    let message = format!("`{name}` has {} results; name them first", results.len());
                    return Err(self.error(Code::WrongArguments, message, base.span, "several results"));
                }
                Ok((results.remove(0), name))
            }
            _ => Err(self.error(
                Code::BadOperand,
                "only tensors and calls have indices",
                base.span,
                "not a tensor",
            )),
        }
    }

    /// The function that a call means, unless it is one of the language.
    pub(super) fn called(&mut self, scope: &Scope, function: &Expr) -> Step<Option<(usize, &'a Function)>> {
        match &function.kind {
            ExprKind::Name(name) => Ok(self.module.visible_function(scope.unit, name)),
            ExprKind::Field(base, name) => {
                let ExprKind::Name(alias) = &base.kind else {
                    return Err(self.error(Code::UnknownFunction, "no such module", base.span, "unknown"));
                };
                let Some(unit) = self.module.alias(scope.unit, alias) else {
                    let message = format!("no module is imported as `{alias}`");
                    return Err(self.error(Code::UnknownFunction, message, base.span, "unknown module"));
                };
                match self.module.function(unit, &name.text) {
                    Some(function) => Ok(Some((unit, function))),
                    None => {
                        let message = format!("`{alias}` has no function `{name}`");
                        Err(self.error(Code::UnknownFunction, message, name.span, "unknown function"))
                    }
                }
            }
            _ => Err(self.error(
                Code::UnknownFunction,
                "this cannot be called",
                function.span,
                "not a function",
            )),
        }
    }

    fn access(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        base: &Expr,
        indices: &[Index],
        otherwise: Option<&Expr>,
        span: Span,
    ) -> Step<Node> {
        if let ExprKind::Name(name) = &base.kind
            && let Some(state) = context.states.iter().position(|state| state.name.text == *name)
        {
            return self.state(scope, context, state, indices, otherwise, span);
        }
        let (symbol, name) = self.base(scope, context, base)?;
        let positions =
            self.positions(scope, context, indices, &symbol.shape, &name, span, otherwise.is_some())?;
        let otherwise = match otherwise {
            Some(value) => Some(Box::new(self.resolve(scope, context, value)?)),
            None => None,
        };
        Ok(Node { kind: Kind::Access { symbol, indices: positions, otherwise }, span })
    }

    /// A read of a state of the scan at hand.
    fn state(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        state: usize,
        indices: &[Index],
        otherwise: Option<&Expr>,
        span: Span,
    ) -> Step<Node> {
        let (left, name) = (context.states[state].left.clone(), context.states[state].name.clone());
        if otherwise.is_some() {
            return Err(self.error(
                Code::BadScan,
                format!("a read of the state `{name}` has its value before the first step after `from`"),
                span,
                "`else` stands here",
            ));
        }
        let positions = self.expand(scope, context, indices, left.dims.len(), &name.text, span)?;
        for (position, dim) in positions.iter().zip(&left.dims) {
            let (Some(var), super::statement::LeftDim::Index(own)) = (position.var(), dim) else { continue };
            if Some(*own) != context.time.map(|time| time.0) {
                context.links.push((*own, var));
            }
        }
        Ok(Node { kind: Kind::State { state, indices: positions }, span })
    }

    /// Index positions of an access, noted where they meet extents.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn positions(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        indices: &[Index],
        shape: &[Size],
        name: &str,
        span: Span,
        guarded: bool,
    ) -> Step<Vec<Position>> {
        let positions = self.expand(scope, context, indices, shape.len(), name, span)?;
        for (dim, (position, extent)) in positions.iter().zip(shape).enumerate() {
            let place = match position {
                Position::Expr(node) => node.span,
                _ => span,
            };
            if matches!(position, Position::Unit)
                && self.sizes.same(extent, &Size::constant(1)) == super::size::Sameness::Different
            {
                let text = self.sizes.described(extent);
                let message = format!("`_` stands at dim {dim} of `{name}`, which is {text} long");
                return Err(self.error(Code::ExtentMismatch, message, span, "`_` is a dim of extent 1"));
            }
            context.uses.push(Use {
                position: position.clone(),
                extent: extent.clone(),
                tensor: name.to_string(),
                dim,
                span: place,
                guarded,
            });
        }
        Ok(positions)
    }

    fn expand(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        indices: &[Index],
        rank: usize,
        name: &str,
        span: Span,
    ) -> Step<Vec<Position>> {
        let ellipses = indices.iter().filter(|index| matches!(index, Index::Ellipsis(..))).count();
        let plain = indices.len() - ellipses;
        if ellipses > 1 {
            return Err(self.error(
                Code::BadEllipsis,
                "an access has one ellipsis at most",
                span,
                "two here",
            ));
        }
        if plain > rank || (ellipses == 0 && plain != rank) {
            let symbol = scope.tensors.get(name).map(|symbol| symbol.place);
            let got = if plain == 1 { "index" } else { "indices" };
            let mut diagnostic = Diagnostic::error(
                Code::RankMismatch,
                format!("`{name}` has {rank} {}, not {plain}", plural(rank, "dim")),
            )
            .label(span, format!("{plain} {got} here"));
            if let Some(place) = symbol {
                diagnostic = diagnostic.label(place, format!("{rank} {}", plural(rank, "dim")));
            }
            return Err(self.report(diagnostic));
        }
        let mut positions = Vec::new();
        for index in indices {
            match index {
                Index::Unit(_) => positions.push(Position::Unit),
                Index::Group(names, _) => {
                    let mut vars = Vec::new();
                    for name in names {
                        match self.index(context, &name.text, name.span) {
                            Some(var) => vars.push(var),
                            None => return Err(self.unknown_name(scope, context, &name.text, name.span)),
                        }
                    }
                    positions.push(Position::Group(vars));
                }
                Index::Ellipsis(label, place) => {
                    let key = label.as_ref().map_or("", |label| label.text.as_str());
                    let count = rank - plain;
                    let vars = self.ellipsis(context, key, count, *place)?;
                    positions.extend(
                        vars.into_iter()
                            .map(|var| Position::Expr(Node { kind: Kind::Var(var), span: *place })),
                    );
                }
                Index::Expr(expr) => positions.push(Position::Expr(self.resolve(scope, context, expr)?)),
            }
        }
        Ok(positions)
    }

    /// The indices that an ellipsis stands for.
    fn ellipsis(&mut self, context: &mut Context, key: &str, count: usize, span: Span) -> Step<Vec<VarId>> {
        match context.ellipses.get(key) {
            Some(vars) if vars.len() == count => Ok(vars.clone()),
            Some(vars) => {
                let message = format!("`...{key}` stands for {} dims, and for {count} here", vars.len());
                Err(self.error(Code::BadEllipsis, message, span, "another number of dims"))
            }
            None => {
                let vars: Vec<VarId> =
                    (0..count).map(|k| context.add(&format!("{key}{k}"), span, true)).collect();
                context.ellipses.insert(key.to_string(), vars.clone());
                Ok(vars)
            }
        }
    }

    fn call_node(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        function: &Expr,
        args: &[Argument],
        span: Span,
    ) -> Step<Node> {
        let node = |kind| Node { kind, span };
        let ExprKind::Name(name) = &function.kind else {
            return self.user_call(scope, context, function, args, span);
        };
        if self.module.visible_function(scope.unit, name).is_some() || name == "einsum" {
            return self.user_call(scope, context, function, args, span);
        }
        let unary =
            Unary::ALL.iter().find(|entry| entry.1 == name && !matches!(entry.0, Unary::Neg | Unary::Not));
        let pair = PAIRS.iter().find(|entry| entry.0 == name);
        let want = match (unary, pair) {
            (Some(_), _) => 1..=1,
            _ if matches!(name.as_str(), "min" | "max") => 2..=usize::MAX,
            (_, Some(_)) => 2..=2,
            _ if name == "clamp" => 3..=3,
            _ => return Err(self.no_function(scope, name, args, function.span)),
        };
        if !want.contains(&args.len()) || args.iter().any(|arg| arg.name.is_some()) {
            let count = *want.start();
            let message = format!("`{name}` takes {count} {}, not {}", plural(count, "argument"), args.len());
            return Err(self.error(Code::WrongArguments, message, span, "here"));
        }
        let mut nodes = Vec::new();
        for arg in args {
            nodes.push(self.resolve(scope, context, &arg.value)?);
        }
        let mut nodes = nodes.into_iter();
        let mut next = || nodes.next().expect("the arguments are counted");
        if let Some((op, _)) = unary {
            return Ok(node(Kind::Unary(*op, Box::new(next()))));
        }
        if name == "clamp" {
            let (value, low, high) = (next(), next(), next());
            let raised = node(Kind::Binary(Binary::Max, boxed2(value, low)));
            return Ok(node(Kind::Binary(Binary::Min, boxed2(raised, high))));
        }
        let Some((_, op)) = pair else { return Err(Reported) };
        let first = next();
        let rest: Vec<Node> = nodes.collect();
        Ok(rest.into_iter().fold(first, |a, b| node(Kind::Binary(*op, boxed2(a, b)))))
    }

    fn no_function(&mut self, scope: &Scope, name: &str, args: &[Argument], span: Span) -> Reported {
        if LINEAR_ALGEBRA.contains(&name) {
            return self.error(
                Code::LinearAlgebra,
                format!("`{name}` is checked but cannot be computed yet"),
                span,
                "linear algebra",
            );
        }
        let indices: Vec<&str> = args
            .iter()
            .filter_map(|arg| match &arg.value.kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let mut diagnostic =
            Diagnostic::error(Code::UnknownFunction, format!("no function is called `{name}`"))
                .label(span, "unknown");
        let functions = self.module.units[scope.unit].tree.items.iter().filter_map(|item| match &item.kind {
            einc_grammar::tree::ItemKind::Function(function) => Some(function.name.text.as_str()),
            _ => None,
        });
        let known = Unary::ALL
            .iter()
            .map(|entry| entry.1)
            .chain(PAIRS.iter().map(|entry| entry.0))
            .chain(["clamp", "einsum"])
            .chain(functions);
        diagnostic.help = if scope.tensors.contains_key(name) {
            Some(format!("`{name}` is a tensor: write `{name}[{}]`", indices.join(", ")))
        } else if reduction_named(name).is_some() || map_named(name).is_some() {
            Some(format!("name the indices it runs over: `{name}[i](..)`"))
        } else {
            similar(name, known).map(|near| format!("did you mean `{near}`?"))
        };
        self.report(diagnostic)
    }

    /// A call of a `fn` as a value: of rank 0.
    fn user_call(
        &mut self,
        scope: &mut Scope,
        context: &Context,
        function: &Expr,
        args: &[Argument],
        span: Span,
    ) -> Step<Node> {
        let call =
            Expr { kind: ExprKind::Call { function: Box::new(function.clone()), args: args.to_vec() }, span };
        let (symbol, name) = self.base(scope, context, &call)?;
        if !symbol.shape.is_empty() {
            let count = symbol.shape.len();
            let message =
                format!("the result of `{name}` has {count} {} and needs indices", plural(count, "dim"));
            return Err(self.error(Code::NeedsIndices, message, span, "write indices behind the call"));
        }
        Ok(Node { kind: Kind::Access { symbol, indices: Vec::new(), otherwise: None }, span })
    }

    #[allow(clippy::too_many_arguments)]
    fn over(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        function: &Name,
        binders: &[Binder],
        conditions: &[Expr],
        body: &Expr,
        span: Span,
    ) -> Step<Node> {
        let name = function.text.as_str();
        let reduction = reduction_named(name);
        let map = map_named(name);
        if LINEAR_ALGEBRA.contains(&name) {
            return Err(self.no_function(scope, name, &[], function.span));
        }
        if reduction.is_none() && map.is_none() {
            let known = Reduction::ALL.iter().map(|entry| entry.1).chain(MAPS.iter().map(|op| op.name()));
            let mut diagnostic =
                Diagnostic::error(Code::UnknownFunction, format!("no reduction or map is called `{name}`"))
                    .label(function.span, "unknown");
            diagnostic.help = match similar(name, known) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None if scope.tensors.contains_key(name) => Some("write `*` between the factors".to_string()),
                None => None,
            };
            return Err(self.report(diagnostic));
        }
        let renaming = map.is_some_and(renames);
        for binder in binders {
            if binder.rename.is_some() != renaming {
                let (message, help) = if renaming {
                    (
                        format!("`{name}` gives its result another index"),
                        format!("write `{name}[{} -> k](..)`", binder.name),
                    )
                } else {
                    (format!("`{name}` has no arrow"), format!("write `{name}[{}](..)`", binder.name))
                };
                return Err(self.report(
                    Diagnostic::error(Code::WrongArguments, message)
                        .label(binder.name.span, "here")
                        .help(help),
                ));
            }
        }
        if (renaming || matches!(map, Some(AlongOp::CumSum | AlongOp::CumProd))) && binders.len() != 1 {
            return Err(self.error(
                Code::WrongArguments,
                format!("`{name}` runs along one index"),
                function.span,
                "here",
            ));
        }
        let keeps = map.is_some() && !renaming;
        let mut vars = Vec::new();
        let mut out = Vec::new();
        let saved = context.ellipses.clone();
        for binder in binders {
            if let Some(rename) = &binder.rename {
                match self.index(context, &rename.text, rename.span) {
                    Some(var) => out.push(var),
                    None => return Err(self.unknown_name(scope, context, &rename.text, rename.span)),
                }
            }
        }
        if keeps {
            for binder in binders {
                if binder.ellipsis {
                    let key = binder.name.text.as_str();
                    let count = ellipsis_count(scope, body, key).or(context.ellipses.get(key).map(Vec::len));
                    let Some(count) = count else { return Err(self.no_ellipsis(&binder.name)) };
                    vars.extend(self.ellipsis(context, key, count, binder.name.span)?);
                } else {
                    context.implied.insert(binder.name.text.clone());
                    vars.extend(self.index(context, &binder.name.text, binder.name.span));
                }
            }
            out = vars.clone();
        } else {
            context.names.push(Default::default());
            for binder in binders {
                let key = binder.name.text.as_str();
                if binder.ellipsis {
                    let Some(count) = ellipsis_count(scope, body, key) else {
                        return Err(self.no_ellipsis(&binder.name));
                    };
                    let fresh: Vec<VarId> = (0..count)
                        .map(|k| context.add(&format!("{key}{k}"), binder.name.span, false))
                        .collect();
                    context.ellipses.insert(key.to_string(), fresh.clone());
                    vars.extend(fresh);
                } else {
                    if context.names.last().is_some_and(|names| names.contains_key(key)) {
                        let message = format!("`{key}` is bound twice");
                        return Err(self.error(
                            Code::DuplicateDefinition,
                            message,
                            binder.name.span,
                            "again",
                        ));
                    }
                    let var = context.add(key, binder.name.span, false);
                    context.bind(key, var);
                    vars.push(var);
                }
            }
        }
        let mut filters = Vec::new();
        for condition in conditions {
            filters.extend(self.condition(scope, context, condition)?);
        }
        let body = self.resolve(scope, context, body)?;
        if !keeps {
            context.names.pop();
            context.ellipses = saved;
        }
        for &var in &vars {
            filters.append(&mut context.vars[var].filters);
        }
        let used = body.uses();
        for &var in &vars {
            if !used.contains(&var) && context.vars[var].extent.is_none() {
                let message =
                    format!("`{}` does not occur in what `{name}` is applied to", context.vars[var].name);
                return Err(self.error(
                    Code::UnusedIndex,
                    message,
                    context.vars[var].place,
                    "no use, so no range",
                ));
            }
        }
        if renaming {
            context.renamed.extend(vars.iter().copied().zip(out.iter().copied()));
        }
        let body = Box::new(body);
        let kind = match (reduction, map) {
            (Some(op), _) => Kind::Reduce { op, vars, conditions: filters, body },
            (None, Some(op)) => Kind::Along { op, vars, out, conditions: filters, body },
            (None, None) => return Err(Reported),
        };
        Ok(Node { kind, span })
    }

    fn no_ellipsis(&mut self, name: &Name) -> Reported {
        self.error(
            Code::BadEllipsis,
            format!("nothing says for how many dims `...{name}` stands"),
            name.span,
            "no access has it",
        )
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

fn boxed2(a: Node, b: Node) -> Box<[Node; 2]> {
    Box::new([a, b])
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

//! Accesses of tensors and states: what stands at each position, and for how many dims an ellipsis stands.

use super::check::{Checker, Step, plural};
use super::element::on_elements;
use super::node::{Kind, Node, Position, Symbol, VarId};
use super::scope::Scope;
use super::size::Size;
use super::statement::{Context, Use};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{Expr, ExprKind, Function, Index};

impl<'a> Checker<'a> {
    /// The tensor that the base of an access stands for.
    pub(super) fn base(
        &mut self,
        scope: &mut Scope,
        context: &Context,
        base: &Expr,
    ) -> Step<(Symbol, String)> {
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
                if on_elements(scope, context, args) {
                    return Err(self.report(
                        Diagnostic::error(
                            Code::WrongArguments,
                            format!("`{name}` is applied to single elements, so its result has no indices"),
                        )
                        .label(base.span, "depends on indices of this statement or states of the scan")
                        .help("whole tensors are arguments by name, without indices"),
                    ));
                }
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

    pub(super) fn access(
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
        // An error in one of both hides none in the other.
        let positions =
            self.positions(scope, context, indices, &symbol.shape, &name, span, otherwise.is_some());
        let otherwise = otherwise.map(|value| self.resolve(scope, context, value)).transpose()?.map(Box::new);
        let positions = positions?;
        Ok(Node { kind: Kind::Access { symbol, indices: positions, otherwise }, span })
    }

    /// A read of a state of the scan at hand.
    pub(super) fn state(
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

    pub(super) fn expand(
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
    pub(super) fn ellipsis(
        &mut self,
        context: &mut Context,
        key: &str,
        count: usize,
        span: Span,
    ) -> Step<Vec<VarId>> {
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
}

//! Functions, reductions and maps of the language by name.

use super::check::{Checker, Reported, Step, plural};
use super::element::on_elements;
use super::node::{Kind, Node, Reduction, VarId};
use super::resolve::{LINEAR_ALGEBRA, MAPS, PAIRS, boxed2, map_named, reduction_named, renames};
use super::scope::{Scope, similar};
use super::statement::{Context, ellipsis_count};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{AlongOp, Binary, Unary};
use crate::source::Span;
use einc_grammar::tree::{Argument, Binder, Expr, ExprKind, Name};
use einc_runtime::DType;

impl<'a> Checker<'a> {
    pub(super) fn call_node(
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
            let least = if *want.end() > count { "at least " } else { "" };
            let message =
                format!("`{name}` takes {least}{count} {}, not {}", plural(count, "argument"), args.len());
            let mut diagnostic = Diagnostic::error(Code::WrongArguments, message).label(span, "here");
            if !least.is_empty() {
                diagnostic = diagnostic.help(format!("of all elements it is a reduction: `{name}[i](..)`"));
            }
            return Err(self.report(diagnostic));
        }
        let nodes = self.resolve_all(scope, context, args.iter().map(|arg| &arg.value))?;
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
        // In pairs, so that any number of arguments nests only a little.
        let mut level: Vec<Node> = nodes.collect();
        while level.len() > 1 {
            let mut rest = level.into_iter();
            level = Vec::new();
            while let Some(a) = rest.next() {
                level.push(match rest.next() {
                    Some(b) => node(Kind::Binary(*op, boxed2(a, b))),
                    None => a,
                });
            }
        }
        level.pop().ok_or(Reported)
    }

    pub(super) fn no_function(
        &mut self,
        scope: &Scope,
        name: &str,
        args: &[Argument],
        span: Span,
    ) -> Reported {
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
        } else if let Some(dtype) =
            super::scope::foreign_dtype(name).or(DType::from_name(name).map(DType::name))
        {
            Some(format!("a value becomes another type by a cast: `.. as {dtype}`"))
        } else {
            similar(name, known).map(|near| format!("did you mean `{near}`?"))
        };
        self.report(diagnostic)
    }

    /// A call of a `fn` as a value: of rank 0.
    pub(super) fn user_call(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        function: &Expr,
        args: &[Argument],
        span: Span,
    ) -> Step<Node> {
        if let Some(target) = self.called(scope, function)?
            && on_elements(scope, context, args)
        {
            return self.element_call(scope, context, target, args, span);
        }
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
    pub(super) fn over(
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
        let own: Vec<VarId> = vars.iter().chain(&out).copied().collect();
        let mut filters = Vec::new();
        for condition in conditions {
            filters.extend(self.condition(scope, context, condition, Some(&own))?);
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

    pub(super) fn no_ellipsis(&mut self, name: &Name) -> Reported {
        self.error(
            Code::BadEllipsis,
            format!("nothing says for how many dims `...{name}` stands"),
            name.span,
            "no access has it",
        )
    }
}

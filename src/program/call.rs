//! Calls: functions are inlined, their dims bound afresh from the arguments' shapes.

use super::bind::{dim_names, ellipsis_of, expr_names};
use super::check::{Checker, Reported, Step, plural};
use super::element::element_type;
use super::node::{Element, Kind, Node, Symbol, Ty};
use super::scope::{Dim, Scope};
use super::size::{Sameness, Size};
use super::statement::Context;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{Argument, Expr, Function, Index, ItemKind, Name, Type};
use einc_runtime::DType;
use std::collections::{HashMap, HashSet};

/// How deep functions call one another.
const DEPTH_LIMIT: usize = 64;

/// Most calls that one program inlines, whatever they define.
pub(super) const CALLS_LIMIT: usize = 4_000;

impl<'a> Checker<'a> {
    /// Runs a function's statements; gives its results by name.
    pub(super) fn body(&mut self, scope: &mut Scope, function: &Function) -> Step<Vec<(String, Symbol)>> {
        for (name, ty) in &function.results {
            if let Some(name) = name {
                self.declare_result(scope, name, ty);
            }
        }
        self.note_later(scope, &function.body);
        // The accumulator of the statement that calls comes back afterwards.
        let acc = self.acc;
        let mut returned: Option<(&Vec<Expr>, Span)> = None;
        for item in &function.body {
            match &item.kind {
                ItemKind::Dim { conditions, .. } => {
                    self.declare_names(scope, item);
                    self.size_conditions(scope, conditions);
                }
                ItemKind::Const { .. } => self.declare_names(scope, item),
                ItemKind::Return(values) => returned = Some((values, item.span)),
                _ if returned.is_some() => {
                    self.error(
                        Code::MisplacedItem,
                        "this statement stands after `return`",
                        item.span,
                        "never reached",
                    );
                }
                _ => {
                    let _ = self.statement(scope, item);
                }
            }
        }
        self.acc = acc;
        let mut results = Vec::new();
        match returned {
            Some((values, span)) => {
                if values.len() != function.results.len() {
                    let (want, got) = (function.results.len(), values.len());
                    let message =
                        format!("`{}` has {want} {}, {got} returned", function.name, plural(want, "result"));
                    return Err(self.error(Code::WrongArguments, message, span, "here"));
                }
                for (value, (name, ty)) in values.iter().zip(&function.results) {
                    let text = name.as_ref().map_or_else(|| "result".to_string(), |name| name.text.clone());
                    let symbol = self.returned(scope, &text, value, ty)?;
                    results.push((text, symbol));
                }
            }
            None => {
                for (name, ty) in &function.results {
                    let Some(name) = name else {
                        let message = format!("`{}` returns nothing", function.name);
                        return Err(self.error(
                            Code::UndefinedOutput,
                            message,
                            ty.span,
                            "has no name and no `return`",
                        ));
                    };
                    match scope.tensors.get(&name.text) {
                        Some(symbol) => results.push((name.text.clone(), symbol.clone())),
                        None if scope.broken.contains(&name.text) => return Err(Reported),
                        None => {
                            let message = format!("no statement defines `{name}`");
                            return Err(self.error(
                                Code::UndefinedOutput,
                                message,
                                name.span,
                                "declared here",
                            ));
                        }
                    }
                }
            }
        }
        Ok(results)
    }

    /// Inlines a call of a function; gives its results.
    pub(super) fn call(
        &mut self,
        caller: &mut Scope,
        target: (usize, &'a Function),
        args: &[Argument],
        span: Span,
    ) -> Step<Vec<Symbol>> {
        // What is called in a scan's step does not depend on the step, and stands above the scan.
        let in_scan = std::mem::replace(&mut self.in_scan, false);
        let results = self.enter(caller, &mut None, target, args, span).and_then(|mut scope| {
            self.calls.push((target.0, target.1.name.text.clone()));
            let results = self.body(&mut scope, target.1);
            self.calls.pop();
            results
        });
        self.in_scan = in_scan;
        Ok(results?.into_iter().map(|result| result.1).collect())
    }

    /// The scope of a function's body at one call. With the context of the caller's statement, arguments of rank 0 are
    /// elements that depend on its indices.
    pub(super) fn enter(
        &mut self,
        caller: &mut Scope,
        context: &mut Option<&mut Context>,
        (unit, function): (usize, &'a Function),
        args: &[Argument],
        span: Span,
    ) -> Step<Scope> {
        let key = (unit, function.name.text.clone());
        if self.calls.contains(&key) {
            let message = format!("`{}` calls itself", function.name);
            return Err(self.error(Code::Recursion, message, span, "called here"));
        }
        self.inlined += 1;
        if self.calls.len() >= DEPTH_LIMIT || self.inlined > CALLS_LIMIT {
            let message =
                format!("more than {DEPTH_LIMIT} calls within one another, or {CALLS_LIMIT} in all");
            return Err(self.error(Code::TooBig, message, span, "this call is one too many"));
        }
        let ordered = self.ordered_args(function, args, span)?;
        let mut scope = self.file_scope(unit);
        scope.prefix = format!("{}{}.", caller.prefix, function.name);
        if unit == caller.unit {
            let names: Vec<String> = scope.dims.keys().cloned().collect();
            for name in names {
                if let Some(dim) = caller.dims.get(&name) {
                    scope.dims.insert(name, dim.clone());
                }
            }
            scope.types = caller.types.clone();
        }
        let mut symbols: Vec<Option<Symbol>> = Vec::new();
        let mut unbound: HashSet<String> = HashSet::new();
        for (_, ty) in &function.params {
            for name in dim_names(ty) {
                let fixed = matches!(scope.dims.get(&name.text), Some(Dim::Computed(_)))
                    || scope.constants.contains_key(&name.text);
                if !fixed {
                    unbound.insert(name.text.clone());
                }
            }
        }
        let inherited: HashMap<String, Dim> =
            unbound.iter().filter_map(|name| Some((name.clone(), scope.dims.remove(name)?))).collect();
        let mut elements: Vec<(usize, Node)> = Vec::new();
        for (number, ((name, ty), arg)) in function.params.iter().zip(&ordered).enumerate() {
            let is_size = ty.dims.is_empty()
                && DType::from_name(&ty.dtype.text).is_some_and(DType::is_integer)
                && (unbound.contains(&name.text) || scope.dims.contains_key(&name.text));
            if is_size {
                let size = self.size(caller, arg)?;
                scope.dims.insert(name.text.clone(), Dim::Bound(size));
                unbound.remove(&name.text);
                symbols.push(None);
            } else if ty.dims.is_empty()
                && let Some(context) = context.as_deref_mut()
            {
                elements.push((number, self.resolve(caller, context, arg)?));
                symbols.push(None);
            } else {
                self.refuse_state(caller, context.as_deref(), arg)?;
                symbols.push(Some(self.argument(caller, arg)?));
            }
        }
        let mut bound_types = HashSet::new();
        for (number, (_, ty)) in function.params.iter().enumerate() {
            let variable = &ty.dtype.text;
            let Some(choices) = self.type_choices.get(&(unit, variable.clone())) else { continue };
            let element = elements.iter().find(|element| element.0 == number);
            let dtype = match (&symbols[number], element, &*context) {
                (Some(Symbol { ty: Ty::Of(dtype), .. }), ..) => Some(*dtype),
                (_, Some((_, node)), Some(context)) => element_type(node, caller, context, choices),
                _ => None,
            };
            if let Some(dtype) = dtype
                && bound_types.insert(variable.clone())
            {
                scope.types.insert(variable.clone(), dtype);
            }
        }
        self.bind_call(&mut scope, function, &symbols, &ordered, unbound, inherited)?;
        self.size_conditions(&scope, &function.conditions);
        for (number, (name, ty)) in function.params.iter().enumerate() {
            let Some(symbol) = &symbols[number] else { continue };
            let symbol = self.fitted(&scope, symbol, name, ty, ordered[number].span)?;
            scope.tensors.insert(name.text.clone(), symbol);
        }
        for (number, node) in elements {
            let (name, ty) = &function.params[number];
            let dtype = self.declared(&scope, ty)?.ty;
            let (text, place) = (name.text.clone(), ty.span);
            let span = node.span;
            let element =
                Element { body: node, sums: Vec::new(), dtype: Some((dtype, text, place)), exact: true };
            scope.values.insert(name.text.clone(), Node { kind: Kind::Element(Box::new(element)), span });
        }
        Ok(scope)
    }

    pub(super) fn ordered_args<'e>(
        &mut self,
        function: &Function,
        args: &'e [Argument],
        span: Span,
    ) -> Step<Vec<&'e Expr>> {
        let mut ordered: Vec<Option<&Expr>> = vec![None; function.params.len()];
        for (number, arg) in args.iter().enumerate() {
            let position = match &arg.name {
                None => Some(number),
                Some(name) => function.params.iter().position(|param| param.0.text == name.text),
            };
            match position.and_then(|position| ordered.get_mut(position)) {
                Some(slot) if slot.is_none() => *slot = Some(&arg.value),
                _ => {
                    let want = function.params.len();
                    let message = format!("`{}` takes {want} {}", function.name, plural(want, "argument"));
                    return Err(self.error(Code::WrongArguments, message, arg.value.span, "one too many"));
                }
            }
        }
        match ordered.iter().position(Option::is_none) {
            Some(missing) => {
                let message =
                    format!("`{}` needs its argument `{}`", function.name, function.params[missing].0);
                Err(self.error(Code::WrongArguments, message, span, "missing here"))
            }
            None => Ok(ordered.into_iter().flatten().collect()),
        }
    }

    /// Binds the dims of a signature from the arguments' shapes.
    pub(super) fn bind_call(
        &mut self,
        scope: &mut Scope,
        function: &Function,
        symbols: &[Option<Symbol>],
        args: &[&Expr],
        mut unbound: HashSet<String>,
        mut inherited: HashMap<String, Dim>,
    ) -> Step<()> {
        let mut equations: Vec<(&Expr, Size)> = Vec::new();
        for (number, (name, ty)) in function.params.iter().enumerate() {
            let Some(symbol) = &symbols[number] else { continue };
            let rank = symbol.shape.len();
            let wrong = |checker: &mut Self, want: usize| {
                let message =
                    format!("`{name}` has {want} {}, but the argument has {rank}", plural(want, "dim"));
                checker.report(
                    Diagnostic::error(Code::RankMismatch, message)
                        .label(args[number].span, format!("{rank} {}", plural(rank, "dim")))
                        .label(ty.span, "declared here"),
                )
            };
            let mut at = 0;
            let ellipsis = ellipsis_of(ty);
            let plain = ty.dims.len() - usize::from(ellipsis.is_some());
            if rank < plain || (ellipsis.is_none() && rank != plain) {
                return Err(wrong(self, plain));
            }
            for dim in &ty.dims {
                match dim {
                    Index::Expr(expr) => {
                        equations.push((expr, symbol.shape[at].clone()));
                        at += 1;
                    }
                    Index::Ellipsis(..) => {
                        let count = rank - plain;
                        let key = ellipsis.as_ref().map(|e| e.1.clone()).unwrap_or_default();
                        scope.ellipses.entry(key).or_insert_with(|| symbol.shape[at..at + count].to_vec());
                        at += count;
                    }
                    Index::Unit(_) | Index::Group(..) => at += 1,
                }
            }
        }
        let mut pending: Vec<(&Expr, Size)> = equations;
        loop {
            let before = pending.len();
            let mut left = Vec::new();
            for (expr, target) in pending {
                let mut names = Vec::new();
                expr_names(expr, &mut names);
                names.retain(|name| unbound.contains(name));
                names.sort();
                names.dedup();
                match &names[..] {
                    [] => {}
                    [name] => {
                        let dim = self.sizes.dim(name);
                        scope.dims.insert(name.clone(), Dim::Bound(dim.clone()));
                        let pattern = self.size(scope, expr)?;
                        match self.sizes.solve(&pattern, &dim, &target) {
                            Some(size) => {
                                scope.dims.insert(name.clone(), Dim::Bound(size));
                                unbound.remove(name);
                            }
                            None => {
                                scope.dims.remove(name);
                                left.push((expr, target));
                            }
                        }
                    }
                    _ => left.push((expr, target)),
                }
            }
            pending = left;
            if pending.len() == before || pending.is_empty() {
                if pending.is_empty() || unbound.is_empty() {
                    break;
                }
                // What the shapes leave open may be a dim of the whole file.
                let names: Vec<String> = unbound.drain().collect();
                for name in names {
                    match inherited.remove(&name) {
                        Some(dim) => {
                            scope.dims.insert(name, dim);
                        }
                        None => {
                            let message = format!("the arguments of `{}` do not fix `{name}`", function.name);
                            return Err(self.error(
                                Code::UnboundDim,
                                message,
                                function.name.span,
                                "introduced here",
                            ));
                        }
                    }
                }
                break;
            }
        }
        for (name, dim) in inherited {
            if unbound.contains(&name) {
                scope.dims.insert(name, dim);
            }
        }
        Ok(())
    }

    /// The argument as the parameter's type wants it.
    pub(super) fn fitted(
        &mut self,
        scope: &Scope,
        symbol: &Symbol,
        name: &Name,
        ty: &Type,
        span: Span,
    ) -> Step<Symbol> {
        let declared = self.declared(scope, ty)?;
        if declared.shape.len() != symbol.shape.len() {
            let message =
                format!("`{name}` has {} dims, the argument {}", declared.shape.len(), symbol.shape.len());
            return Err(self.error(Code::RankMismatch, message, span, "this argument"));
        }
        for (d, (want, got)) in declared.shape.iter().zip(&symbol.shape).enumerate() {
            if self.sizes.same(want, got) == Sameness::Different {
                let (want, got) = (self.sizes.described(want), self.sizes.described(got));
                return Err(self.report(
                    Diagnostic::error(
                        Code::ShapeMismatch,
                        format!("dim {d} of `{name}` is {want}, the argument has {got}"),
                    )
                    .label(span, format!("dim {d} is {got} long"))
                    .label(ty.span, format!("declared as {want}")),
                ));
            }
        }
        match symbol.ty {
            Ty::Of(dtype) if dtype == declared.ty => Ok(Symbol { place: name.span, ..symbol.clone() }),
            Ty::Of(dtype) => {
                let message = format!("`{name}` is `{}`, the argument `{dtype}`", declared.ty);
                Err(self.report(
                    Diagnostic::error(Code::DTypeMismatch, message)
                        .label(span, format!("this is `{dtype}`"))
                        .label(ty.span, format!("declared as `{}`", declared.ty)),
                ))
            }
            _ => {
                let name = format!("{}{name}", scope.prefix);
                self.converted(symbol, &name, declared.ty, span)
            }
        }
    }
}

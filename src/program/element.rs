//! Functions of single elements: a call whose arguments depend on the statement's indices, `y[i] = f(x[i])`, or on the
//! states of a scan, is inlined as an expression.

use super::build::{Typed, converted};
use super::call::CALLS_LIMIT;
use super::check::{Checker, Reported, Step};
use super::node::{Element, Kind, Node, Ty, VarId};
use super::resolve::parts;
use super::scope::Scope;
use super::statement::Context;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{Argument, Expr, ExprKind, Function, Index, Item, ItemKind, Name};
use einc_runtime::DType;
use std::collections::HashMap;

/// Most nodes of an inlined expression: a name that is used twice stands there twice.
const NODES_LIMIT: usize = 1 << 16;

/// Whether arguments depend on indices of the statement at hand, or on states of its scan.
pub(super) fn on_elements(scope: &Scope, context: &Context, args: &[Argument]) -> bool {
    args.iter().any(|arg| first_dependency(scope, context, &arg.value).is_some())
}

/// The first index of the statement, or state of its scan, that an expression depends on.
pub(super) fn first_dependency<'e>(scope: &Scope, context: &Context, expr: &'e Expr) -> Option<&'e str> {
    depends(scope, context, expr, &mut Vec::new())
}

fn depends<'e>(
    scope: &Scope,
    context: &Context,
    expr: &'e Expr,
    bound: &mut Vec<&'e str>,
) -> Option<&'e str> {
    let known = |name: &'e str, bound: &[&str]| {
        let known = scope.values.contains_key(name)
            || context.implied.contains(name)
            || context.find(name).is_some()
            || context.states.iter().any(|state| state.name.text == name);
        (known && !bound.contains(&name)).then_some(name)
    };
    let here = match &expr.kind {
        ExprKind::Name(name) => known(name, bound),
        ExprKind::Access { indices, .. } => indices.iter().find_map(|index| match index {
            Index::Group(names, _) => names.iter().find_map(|name| known(&name.text, bound)),
            Index::Ellipsis(name, _) => {
                let name = name.as_ref().map_or("", |name| name.text.as_str());
                (context.ellipses.contains_key(name) && !bound.contains(&name)).then_some("...")
            }
            Index::Expr(_) | Index::Unit(_) => None,
        }),
        _ => None,
    };
    let depth = bound.len();
    if let ExprKind::Over { binders, .. } = &expr.kind {
        bound.extend(binders.iter().map(|binder| binder.name.text.as_str()));
    }
    let within =
        here.or_else(|| parts(expr).into_iter().find_map(|part| depends(scope, context, part, bound)));
    bound.truncate(depth);
    within
}

/// The dtype of an element, as far as it shows before types are known: that of the first tensor it reads that a dtype
/// variable can stand for.
pub(super) fn element_type(node: &Node, scope: &Scope, context: &Context, choices: &[Name]) -> Option<DType> {
    let mut found = None;
    node.walk(&mut |part| {
        let ty = match &part.kind {
            Kind::Access { symbol, .. } => symbol.ty,
            Kind::State { state, .. } => {
                let state = &context.states[*state];
                match (scope.declared.get(&state.name.text), &state.init) {
                    (Some(declared), _) => Ty::Of(declared.ty),
                    (None, Some(Node { kind: Kind::Access { symbol, .. }, .. })) => symbol.ty,
                    _ => return,
                }
            }
            _ => return,
        };
        if let Ty::Of(dtype) = ty
            && choices.iter().any(|choice| choice.text == dtype.name())
        {
            found = found.or(Some(dtype));
        }
    });
    found
}

impl<'a> Checker<'a> {
    /// Inlines a call whose arguments are elements.
    pub(super) fn element_call(
        &mut self,
        caller: &mut Scope,
        context: &mut Context,
        target: (usize, &'a Function),
        args: &[Argument],
        span: Span,
    ) -> Step<Node> {
        let function = target.1;
        let mut scope = self.enter(caller, &mut Some(&mut *context), target, args, span)?;
        let names = std::mem::replace(&mut context.names, vec![HashMap::new()]);
        let implied = std::mem::take(&mut context.implied);
        let ellipses = std::mem::take(&mut context.ellipses);
        let states = std::mem::take(&mut context.states);
        self.calls.push((target.0, function.name.text.clone()));
        let node = self.element_body(&mut scope, context, function, span);
        self.calls.pop();
        context.names = names;
        context.implied = implied;
        context.ellipses = ellipses;
        context.states = states;
        Ok(Node { span, ..node? })
    }

    fn element_body(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        function: &'a Function,
        call: Span,
    ) -> Step<Node> {
        let [(result, ty)] = &function.results[..] else {
            return Err(self.not_elementwise(function, call, function.name.span, "several results"));
        };
        if !ty.dims.is_empty() {
            return Err(self.not_elementwise(function, call, ty.span, "a result with dims"));
        }
        let declared = self.declared(scope, ty)?;
        let name = result.as_ref().map_or("result", |name| name.text.as_str());
        let mut returned = None;
        for item in &function.body {
            match &item.kind {
                ItemKind::Dim { conditions, .. } => {
                    self.declare_names(scope, item);
                    self.size_conditions(scope, conditions);
                }
                ItemKind::Const { .. } => self.declare_names(scope, item),
                _ if returned.is_some() => {
                    self.error(
                        Code::MisplacedItem,
                        "this statement stands after `return`",
                        item.span,
                        "never reached",
                    );
                }
                ItemKind::Return(values) if values.len() == 1 => {
                    let dtype = Some((declared.ty, name.to_string(), ty.span));
                    returned = Some(self.element(scope, context, &values[0], &[], dtype, item)?);
                }
                ItemKind::Define { targets, value, conditions }
                    if item.attributes.is_empty() && targets.len() == 1 && targets[0].indices.is_none() =>
                {
                    let target = &targets[0].name;
                    if scope.values.contains_key(&target.text) {
                        let message = format!("`{target}` is defined twice");
                        return Err(self.error(
                            Code::DuplicateDefinition,
                            message,
                            target.span,
                            "defined again here",
                        ));
                    }
                    self.definable(scope, target)?;
                    let dtype = (result.as_ref().is_some_and(|result| result.text == target.text))
                        .then(|| (declared.ty, name.to_string(), ty.span));
                    let node = self.element(scope, context, value, conditions, dtype, item)?;
                    scope.values.insert(target.text.clone(), node);
                }
                _ => return Err(self.not_elementwise(function, call, item.span, "not a single value")),
            }
        }
        match returned.or_else(|| scope.values.get(name).cloned()) {
            Some(node) => Ok(node),
            None => {
                let message = format!("no statement defines `{name}`");
                Err(self.error(Code::UndefinedOutput, message, ty.span, "declared here"))
            }
        }
    }

    fn not_elementwise(&mut self, function: &Function, call: Span, place: Span, label: &str) -> Reported {
        let message =
            format!("`{}` is called for single elements, but it works on whole tensors", function.name);
        self.report(
            Diagnostic::error(Code::WrongArguments, message)
                .label(call, "the arguments depend on indices of this statement")
                .label(place, label)
                .help("such a function has one result of rank 0 and names without indices in its body"),
        )
    }

    /// One value in the body of a function of single elements.
    fn element(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        value: &Expr,
        conditions: &[Expr],
        dtype: Option<(DType, String, Span)>,
        item: &Item,
    ) -> Step<Node> {
        let (first, filters) = (context.vars.len(), context.conditions.len());
        context.names = vec![HashMap::new()];
        context.implied.clear();
        self.note_indices(scope, context, &[], &[value], conditions);
        self.conditions(scope, context, conditions)?;
        let body = self.resolve(scope, context, value)?;
        let sums: Vec<VarId> =
            body.uses().into_iter().filter(|&var| var >= first && context.vars[var].summed).collect();
        for filter in &context.conditions[filters..] {
            if !filter.uses().iter().any(|var| sums.contains(var)) {
                return Err(self.error(
                    Code::BadRange,
                    "this condition limits no index that is summed here",
                    filter.span,
                    "write `if .. then .. else ..`",
                ));
            }
        }
        let mut nodes = 0;
        body.walk(&mut |_| nodes += 1);
        self.inlined += nodes / 1024;
        if nodes > NODES_LIMIT || self.inlined > CALLS_LIMIT {
            return Err(self.error(
                Code::TooBig,
                "an inlined expression is too large",
                item.span,
                "too many uses of uses",
            ));
        }
        let span = value.span;
        Ok(Node { kind: Kind::Element(Box::new(Element { body, sums, dtype, exact: false })), span })
    }

    /// The value of an argument, a name or a result of a function of single elements.
    pub(super) fn element_value(
        &mut self,
        context: &mut Context,
        element: &Element,
        span: Span,
    ) -> Step<Typed> {
        let value = self.summed(context, &element.body, &element.sums)?;
        let Some((dtype, name, place)) = &element.dtype else { return Ok(value) };
        if element.exact
            && let Ty::Of(found) = value.1
            && found != *dtype
        {
            let message = format!("`{name}` is `{dtype}`, the argument `{found}`");
            return Err(self.report(
                Diagnostic::error(Code::DTypeMismatch, message)
                    .label(element.body.span, format!("this is `{found}`"))
                    .label(*place, format!("declared as `{dtype}`")),
            ));
        }
        let ty = Ty::Of(*dtype);
        if value.1 == ty && ty.computed() == *dtype {
            return Ok(value);
        }
        let stored = self.stored(value, *dtype, context.options.acc.is_some(), name, span)?;
        Ok((converted(stored, ty.computed()), ty))
    }

    /// Refuses a state of the scan at hand as an argument that stands for a whole tensor.
    pub(super) fn refuse_state(&mut self, scope: &Scope, context: Option<&Context>, arg: &Expr) -> Step<()> {
        let Some(context) = context else { return Ok(()) };
        if first_dependency(scope, context, arg).is_none() {
            return Ok(());
        }
        Err(self.report(
            Diagnostic::error(
                Code::WrongArguments,
                "this argument stands for a whole tensor, and depends on an index of the statement or a state of the scan",
            )
            .label(arg.span, "not a tensor of its own")
            .help("functions in a scan's step take single elements, `f(h[t - 1, n])`, and tensors defined above the scan"),
        ))
    }
}

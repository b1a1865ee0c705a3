//! Recurrences: `scan[t] h[t, n] = f(h[t - 1, n]) from 0`, and blocks with several states.
//!
//! Every tensor that a scan defines keeps all its steps; one whose left side lacks the scan's index gets a dim for it
//! in front, and its last step afterwards is what the rest of the program reads.

use super::build::converted;
use super::check::{Checker, Reported, Step};
use super::element::on_elements;
use super::node::{Kind, Node, Position, Symbol, Ty, VarId};
use super::scope::{Declared, Scope};
use super::statement::{Context, LeftDim, Options, State, Use};
use super::{Define, Scan, Statement, TensorId};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Expr as Value, Outside, Read};
use crate::source::Span;
use einc_grammar::tree::{self, Expr, ItemKind, Name, Target};

/// One statement of a scan, resolved.
struct Clause {
    state: usize,
    node: Node,
    conditions: Vec<Node>,
    options: Options,
    span: Span,
}

impl Checker<'_> {
    /// Checks a scan and adds it to the program.
    pub(super) fn scan(
        &mut self,
        scope: &mut Scope,
        scan: &tree::Scan,
        options: &Options,
        span: Span,
    ) -> Step<()> {
        if self.in_scan {
            return Err(self.error(Code::BadScan, "a scan stands inside a scan", span, "not supported"));
        }
        self.in_scan = true;
        let outcome = self.scan_inner(scope, scan, options, span);
        self.in_scan = false;
        outcome
    }

    fn scan_inner(
        &mut self,
        scope: &mut Scope,
        scan: &tree::Scan,
        options: &Options,
        span: Span,
    ) -> Step<()> {
        let mut context = Context::new(options);
        let time = context.add(&scan.axis.text, scan.axis.span, false);
        context.bind(&scan.axis.text, time);
        context.time = Some((time, scan.reversed));
        let mut definitions: Vec<(&Target, &Expr, &[Expr], Options, Span)> = Vec::new();
        for item in &scan.body {
            let ItemKind::Define { targets, value, conditions } = &item.kind else {
                return Err(self.error(
                    Code::BadScan,
                    "a scan has definitions only",
                    item.span,
                    "not a definition",
                ));
            };
            let [target] = &targets[..] else {
                return Err(self.error(
                    Code::BadScan,
                    "a step defines one tensor at a time",
                    item.span,
                    "several",
                ));
            };
            self.definable_state(scope, &target.name)?;
            let own = if item.attributes.is_empty() { options.clone() } else { self.options(scope, item)? };
            definitions.push((target, value, conditions, own, item.span));
        }
        self.add_states(scope, &mut context, &definitions, &scan.conditions, time)?;
        self.add_initial_values(scope, &mut context, scan)?;
        // A condition on indices of a step's statement stands with it; one on the scan's index alone with all of them.
        let mut placed = vec![false; scan.conditions.len()];
        let mut clauses: Vec<Clause> = Vec::new();
        for (state, (target, value, conditions, own, span)) in definitions.iter().enumerate() {
            let indices = target.indices.as_deref().unwrap_or(&[]);
            context.names.push(context.states[state].names.clone());
            context.ellipses = context.states[state].ellipses.clone();
            context.implied.clear();
            self.note_indices(scope, &mut context, indices, &[value], conditions);
            self.conditions(scope, &mut context, conditions)?;
            for (condition, placed) in scan.conditions.iter().zip(&mut placed) {
                if mentions(condition, &context, &scan.axis.text) {
                    *placed = true;
                    self.note_indices(scope, &mut context, &[], &[], std::slice::from_ref(condition));
                    self.conditions(scope, &mut context, std::slice::from_ref(condition))?;
                }
            }
            context.states[state].defined = false;
            let node = self.resolve(scope, &mut context, value)?;
            // What one statement sums is no index of the next one.
            context.names.pop();
            let kept = context.names[0].get(&scan.axis.text).copied();
            context.names[0].clear();
            if let Some(var) = kept {
                context.bind_first(&scan.axis.text, var);
            }
            context.ellipses.clear();
            let conditions = std::mem::take(&mut context.conditions);
            clauses.push(Clause { state, node, conditions, options: own.clone(), span: *span });
        }
        for (condition, _) in scan.conditions.iter().zip(&placed).filter(|pair| !*pair.1) {
            self.conditions(scope, &mut context, std::slice::from_ref(condition))?;
        }
        let shared = std::mem::take(&mut context.conditions);
        for clause in &mut clauses {
            clause.conditions.extend(shared.iter().cloned());
        }
        self.solve(&mut context)?;
        self.store_initial_values(scope, &mut context)?;
        let body = self.scan_body(scope, &mut context, clauses)?;
        let axis = context.vars[time].axis.ok_or(Reported)?;
        self.program.statements.push(Statement::Scan(Scan {
            axis,
            reversed: scan.reversed,
            body,
            place: span,
        }));
        self.last_steps(scope, &mut context, span)
    }

    fn definable_state(&mut self, scope: &Scope, name: &Name) -> Step<()> {
        if let Some(symbol) = scope.tensors.get(&name.text) {
            let first = symbol.place;
            return Err(self.report(
                Diagnostic::error(Code::DuplicateDefinition, format!("`{name}` is defined twice"))
                    .label(name.span, "defined again here")
                    .label(first, "first here"),
            ));
        }
        Ok(())
    }

    /// Reads the left sides.
    fn add_states(
        &mut self,
        scope: &Scope,
        context: &mut Context,
        definitions: &[(&Target, &Expr, &[Expr], Options, Span)],
        conditions: &[Expr],
        time: VarId,
    ) -> Step<()> {
        for (target, value, own, ..) in definitions {
            let mut inner = Context::new(&context.options);
            std::mem::swap(&mut inner.vars, &mut context.vars);
            inner.uses = std::mem::take(&mut context.uses);
            inner.links = std::mem::take(&mut context.links);
            let all: Vec<Expr> = own.iter().chain(conditions).cloned().collect();
            let left = self.prepare(scope, &mut inner, target, &[value], &all);
            context.vars = inner.vars;
            context.uses = inner.uses;
            context.links = inner.links;
            let mut left = left?;
            if let Some((copy, _)) = left.diagonal.first() {
                let place = context.vars[*copy].place;
                return Err(self.error(
                    Code::BadScan,
                    "a state has no diagonal",
                    place,
                    "the same index again",
                ));
            }
            let mut at = None;
            for (k, dim) in left.dims.iter_mut().enumerate() {
                if let LeftDim::Index(var) = dim
                    && context.vars[*var].name == context.vars[time].name
                {
                    context.links.push((time, *var));
                    *dim = LeftDim::Index(time);
                    at = Some(k);
                }
            }
            if context.states.iter().any(|state| state.name.text == target.name.text) {
                let message = format!("`{}` is defined twice in a step", target.name);
                return Err(self.error(
                    Code::DuplicateDefinition,
                    message,
                    target.span,
                    "defined again here",
                ));
            }
            let mut names = inner.names.pop().unwrap_or_default();
            for var in names.values_mut().filter(|var| context.vars[**var].name == context.vars[time].name) {
                *var = time;
            }
            context.states.push(State {
                name: target.name.clone(),
                left,
                names,
                ellipses: inner.ellipses,
                time: at,
                init: None,
                defined: false,
                history: None,
            });
        }
        Ok(())
    }

    /// The values after `from`; whole tensors there also tell the states' extents.
    fn add_initial_values(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        scan: &tree::Scan,
    ) -> Step<()> {
        for init in &scan.init {
            let state = match &init.name {
                None if context.states.len() == 1 => 0,
                Some(name) => match context.states.iter().position(|state| state.name.text == name.text) {
                    Some(state) => state,
                    None => {
                        let message = format!("the scan has no state `{name}`");
                        return Err(self.error(
                            Code::BadScan,
                            message,
                            name.span,
                            "not defined in its block",
                        ));
                    }
                },
                None => {
                    return Err(self.error(
                        Code::BadScan,
                        "several states need their initial values by name: `from m = m0, P = P0`",
                        init.value.span,
                        "whose value is this?",
                    ));
                }
            };
            let left = context.states[state].left.clone();
            let own: Vec<VarId> =
                left.vars().into_iter().filter(|var| Some(*var) != context.time.map(|time| time.0)).collect();
            let whole = match &init.value.kind {
                tree::ExprKind::Name(name) => {
                    scope.tensors.get(name).filter(|symbol| !symbol.shape.is_empty()).cloned()
                }
                tree::ExprKind::Call { .. } if !self.initial_element(scope, context, state, init) => self
                    .whole(scope, &init.value, 1)?
                    .map(|mut results| results.remove(0))
                    .filter(|symbol| !symbol.shape.is_empty()),
                _ => None,
            };
            let span = init.value.span;
            let node = match whole {
                Some(symbol) => {
                    if symbol.shape.len() != own.len() {
                        let message = format!(
                            "the initial value of `{}` has {} dims, not {}",
                            context.states[state].name,
                            symbol.shape.len(),
                            own.len()
                        );
                        return Err(self.error(Code::RankMismatch, message, span, "this value"));
                    }
                    for (dim, (&var, extent)) in own.iter().zip(&symbol.shape).enumerate() {
                        context.uses.push(Use {
                            position: Position::Expr(Node { kind: Kind::Var(var), span }),
                            extent: extent.clone(),
                            tensor: self.program.tensors[symbol.tensor].name.clone(),
                            dim,
                            span,
                            guarded: false,
                        });
                    }
                    Node { kind: Kind::Access { symbol, indices: Vec::new(), otherwise: None }, span }
                }
                None => {
                    let node = self.initial_value(scope, context, state, &init.value)?;
                    if let Some((time, _)) = context.time
                        && node.uses().contains(&time)
                    {
                        return Err(self.report(
                            Diagnostic::error(Code::BadScan, "an initial value is the same for every step")
                                .label(span, format!("depends on `{}`", context.vars[time].name))
                                .help("it may use the other indices of the state: `from h0[n]`"),
                        ));
                    }
                    node
                }
            };
            context.states[state].init = Some(node);
        }
        Ok(())
    }

    /// Whether an initial value depends on indices of its state.
    fn initial_element(
        &self,
        scope: &Scope,
        context: &mut Context,
        state: usize,
        init: &tree::Argument,
    ) -> bool {
        context.names.push(context.states[state].names.clone());
        let depends = on_elements(scope, context, std::slice::from_ref(init));
        context.names.pop();
        depends
    }

    /// An initial value in terms of the other indices of its state.
    fn initial_value(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        state: usize,
        value: &Expr,
    ) -> Step<Node> {
        let names = vec![context.states[state].names.clone()];
        let names = std::mem::replace(&mut context.names, names);
        let ellipses = context.states[state].ellipses.clone();
        let ellipses = std::mem::replace(&mut context.ellipses, ellipses);
        let states = std::mem::take(&mut context.states);
        context.implied.clear();
        self.note_indices(scope, context, &[], &[value], &[]);
        let node = self.resolve(scope, context, value);
        context.names = names;
        context.ellipses = ellipses;
        context.states = states;
        context.implied.clear();
        node
    }

    /// Gives each initial value that is computed from indices a tensor of its own, above the scan.
    fn store_initial_values(&mut self, scope: &Scope, context: &mut Context) -> Step<()> {
        for state in 0..context.states.len() {
            let known = context.states[state].clone();
            let Some(init) = known.init.filter(|init| !init.uses().is_empty()) else {
                continue;
            };
            let mut left = known.left.clone();
            if let Some(at) = known.time {
                left.dims.remove(at);
            }
            let name = Name { text: format!("{}.first", known.name), span: known.name.span };
            let declared = scope.declared.get(&known.name.text);
            let declared = match declared {
                Some(declared) => {
                    Some(Declared { shape: self.left_shape(context, &left, init.span)?, ..declared.clone() })
                }
                None => None,
            };
            let span = init.span;
            let (statement, symbol) =
                self.build_define(scope, context, &name, &left, &init, declared.as_ref(), span)?;
            self.program.statements.push(Statement::Define(statement));
            let kind = Kind::Access { symbol, indices: Vec::new(), otherwise: None };
            context.states[state].init = Some(Node { kind, span });
        }
        Ok(())
    }

    /// Builds the statements of a step.
    fn scan_body(&mut self, scope: &Scope, context: &mut Context, clauses: Vec<Clause>) -> Step<Vec<Define>> {
        for state in context.states.iter_mut() {
            state.defined = false;
        }
        let types = self.state_types(scope, context, &clauses)?;
        for (state, ty) in types.iter().enumerate() {
            let symbol = self.history(context, state, *ty, &scope.prefix)?;
            context.states[state].history = Some(symbol);
        }
        let mut body = Vec::new();
        for clause in clauses {
            context.conditions = clause.conditions;
            context.options = clause.options;
            let symbol = context.states[clause.state].history.clone().ok_or(Reported)?;
            let dtype = self.program.tensors[symbol.tensor].dtype;
            let name = context.states[clause.state].name.text.clone();
            let value = match types[clause.state] {
                Ty::Of(ty) => {
                    converted(self.build_stored(context, &clause.node, ty, &name, clause.span)?, dtype)
                }
                _ => {
                    let value = self.build_sum(context, &clause.node)?;
                    converted(value.0, dtype)
                }
            };
            let mut value = match self.left_condition(context, &context.states[clause.state].left.vars())? {
                Some(condition) => Value::Select(Box::new([condition, value, Value::number(0.0, dtype)])),
                None => value,
            };
            self.check_reads(&mut value, clause.span)?;
            let dims = self.history_dims(context, clause.state)?;
            body.push(Define {
                target: symbol.tensor,
                dims,
                value,
                keep_order: context.options.keep_order,
                place: clause.span,
            });
            context.states[clause.state].defined = true;
        }
        Ok(body)
    }

    /// The type of every state: declared, or that of its initial value, or that of its first step, found with the
    /// states still unknown taken for numbers that adopt any type.
    fn state_types(&mut self, scope: &Scope, context: &mut Context, clauses: &[Clause]) -> Step<Vec<Ty>> {
        let mut types: Vec<Option<Ty>> = context
            .states
            .iter()
            .map(|state| match (scope.declared.get(&state.name.text), &state.init) {
                (Some(declared), _) => Some(Ty::Of(declared.ty)),
                (None, Some(Node { kind: Kind::Access { symbol, .. }, .. })) if !symbol.ty.is_flexible() => {
                    Some(symbol.ty)
                }
                _ => None,
            })
            .collect();
        for _ in 0..=clauses.len() {
            let mut changed = false;
            for clause in clauses {
                if types[clause.state].is_none_or(Ty::is_flexible) {
                    let ty = self.trial(context, clause, &types)?;
                    changed |= ty.is_some() && ty != types[clause.state];
                    types[clause.state] = ty.or(types[clause.state]);
                }
                context.states[clause.state].defined = true;
            }
            for state in context.states.iter_mut() {
                state.defined = false;
            }
            if !changed {
                break;
            }
        }
        Ok(types.into_iter().map(|ty| ty.unwrap_or(Ty::Real)).collect())
    }

    /// The type of a step's value where the states have the presumed types; leaves no trace.
    fn trial(&mut self, context: &mut Context, clause: &Clause, types: &[Option<Ty>]) -> Step<Option<Ty>> {
        let tensors = self.program.tensors.len();
        for (state, ty) in types.iter().enumerate() {
            let symbol = self.history(context, state, ty.unwrap_or(Ty::Int), "")?;
            context.states[state].history = Some(symbol);
        }
        context.conditions = clause.conditions.clone();
        context.options = clause.options.clone();
        let before = self.diagnostics.len();
        self.presuming = true;
        let value = self.build_sum(context, &clause.node);
        self.presuming = false;
        if value.is_err() {
            // The statement is built again with the types found; what is wrong then is told then.
            self.forget_since(before);
        }
        self.program.tensors.truncate(tensors);
        Ok(value.ok().map(|value| value.1))
    }

    /// Makes the results of a scan readable.
    fn last_steps(&mut self, scope: &mut Scope, context: &mut Context, span: Span) -> Step<()> {
        let (time, reversed) = context.time.ok_or(Reported)?;
        let axis = context.vars[time].axis.ok_or(Reported)?;
        let steps = self.program.axes[axis].extent;
        for state in 0..context.states.len() {
            let known = context.states[state].clone();
            let name = known.name.text.clone();
            let history = known.history.clone().ok_or(Reported)?;
            if known.time.is_some() {
                if let Some(declared) = scope.declared.get(&name).cloned() {
                    self.same_shape(&name, &history.shape, &declared, known.name.span)?;
                }
                scope.tensors.insert(name, Symbol { place: known.name.span, ..history });
                continue;
            }
            let shape = self.left_shape(context, &known.left, known.name.span)?;
            if let Some(declared) = scope.declared.get(&name).cloned() {
                self.same_shape(&name, &shape, &declared, known.name.span)?;
            }
            let mut dims = self.history_dims(context, state)?;
            dims.remove(0);
            let dtype = self.program.tensors[history.tensor].dtype;
            let last = if reversed || steps == 0 { 0 } else { steps as i64 - 1 };
            let mut indices: Vec<Value<TensorId>> = vec![Value::int(last)];
            for dim in &dims {
                indices.push(match dim[..] {
                    [] => Value::int(0),
                    [axis] => Value::Index(axis),
                    _ => {
                        let mut flat = Value::Index(dim[0]);
                        for &axis in &dim[1..] {
                            let extent = self.program.axes[axis].extent as i64;
                            flat = Value::Sum(vec![
                                Value::Product(vec![flat, Value::int(extent)]),
                                Value::Index(axis),
                            ]);
                        }
                        flat
                    }
                });
            }
            let outside = match (&known.init, steps) {
                (Some(init), 0) if self.concrete => {
                    let positions = known.left.positions(span);
                    let value = self.initial(context, init, &positions)?;
                    Outside::Else(Box::new(converted(value, dtype)))
                }
                _ => Outside::Never,
            };
            let value = Value::Read(Read { source: history.tensor, dtype, indices, outside, place: span });
            let full = format!("{}{name}", scope.prefix);
            let symbol =
                self.add_tensor(&full, history.ty, dtype, &shape, super::Role::Computed, known.name.span)?;
            self.program.statements.push(Statement::Define(Define {
                target: symbol.tensor,
                dims,
                value,
                keep_order: false,
                place: span,
            }));
            scope.tensors.insert(name, symbol);
        }
        Ok(())
    }
}

/// Whether an expression mentions an index of the statement at hand other than the scan's.
fn mentions(expr: &Expr, context: &Context, axis: &str) -> bool {
    let own = |name: &str| name != axis && (context.implied.contains(name) || context.find(name).is_some());
    match &expr.kind {
        tree::ExprKind::Name(name) => own(name),
        _ => super::resolve::parts(expr).into_iter().any(|part| mentions(part, context, axis)),
    }
}

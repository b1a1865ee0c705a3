//! Checks a module for given sizes and types, or for all of them, and yields the program of one entry point.

use super::load::Module;
use super::node::{Symbol, Ty};
use super::scope::{Declared, Dim, Scope, similar};
use super::size::{Sameness, Size, Sizes};
use super::statement::Options;
use super::{Program, Role, Tensor, TensorId};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Axes;
use crate::id::IdVec;
use crate::source::Span;
use einc_grammar::tree::{
    CompareOp, DimKind, Expr, ExprKind, Function, Index, Item, ItemKind, Name, Qualifier, Type,
};
use einc_runtime::DType;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a caller gives to an entry point: from it follow all sizes and types.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    /// Values of dims (`--set K=3`).
    pub dims: BTreeMap<String, i64>,
    /// Values of dtype variables (`--set F=f32`).
    pub dtypes: BTreeMap<String, DType>,
    /// The arrays, by the names of the inputs.
    pub args: BTreeMap<String, ArgInfo>,
}

/// What the checker needs to know of an array.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgInfo {
    /// Its element type.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<u64>,
    /// The value of a rank-0 integer, which may size the program.
    pub value: Option<i128>,
}

/// An error was reported; whatever depended on it is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

pub(super) type Step<T> = Result<T, Reported>;

/// Most statements of a program, after inlining.
const STATEMENTS_LIMIT: usize = 200_000;

/// Most axes of a program.
const AXES_LIMIT: usize = 1_000_000;

/// How deep functions call one another.
const CALLS_LIMIT: usize = 64;

/// The program of one entry point for given sizes; `None` if there are errors.
///
/// The entry point is `main` for the file's own statements or the name of a function. Diagnostics may be warnings
/// only, in which case there is a program.
pub fn check(module: &Module, entry: &str, bindings: &Bindings) -> (Option<Program>, Vec<Diagnostic>) {
    let mut checker = Checker::new(module, Some(bindings));
    let outcome = checker.entry(entry);
    checker.report_free_dims();
    let diagnostics = sorted(checker.diagnostics);
    let failed =
        outcome.is_err() || diagnostics.iter().any(|d| d.severity == crate::diagnostic::Severity::Error);
    ((!failed).then_some(checker.program), diagnostics)
}

/// Everything that is wrong for any sizes, in all functions and in the file's own statements.
pub fn check_all(module: &Module) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut checker = Checker::new(module, None);
    let names = module.units[0].tree.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Function(function) => Some(function.name.text.clone()),
        _ => None,
    });
    for entry in names.chain(["main".to_string()]) {
        let _ = checker.entry(&entry);
        checker.program = Program::empty(&entry);
    }
    diagnostics.append(&mut checker.diagnostics);
    sorted(diagnostics)
}

fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|d| d.labels.first().map(|label| label.0));
    diagnostics
}

impl Program {
    fn empty(name: &str) -> Program {
        Program {
            name: name.to_string(),
            axes: Axes::new(),
            tensors: IdVec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            statements: Vec::new(),
            memory_limit: None,
        }
    }
}

pub(super) struct Checker<'a> {
    pub module: &'a Module,
    pub sizes: Sizes,
    pub program: Program,
    pub diagnostics: Vec<Diagnostic>,
    reported: HashSet<(Code, Option<Span>, String)>,
    /// Whether sizes must have values.
    pub concrete: bool,
    bindings: Bindings,
    /// Dims that were needed and have no value.
    pub free_dims: Vec<String>,
    /// Choices of dtype variables by file and name.
    pub type_choices: HashMap<(usize, String), Vec<Name>>,
    pub file_scopes: Vec<Option<Scope>>,
    calls: Vec<(usize, String)>,
    /// Nesting of constants and computed dims.
    pub depth: usize,
    /// Whether a scan's body is being checked.
    pub in_scan: bool,
}

/// An input of an entry point.
struct Parameter<'t> {
    name: &'t Name,
    ty: &'t Type,
    role: Role,
}

impl<'a> Checker<'a> {
    fn new(module: &'a Module, bindings: Option<&Bindings>) -> Self {
        Checker {
            module,
            sizes: Sizes::default(),
            program: Program::empty("main"),
            diagnostics: Vec::new(),
            reported: HashSet::new(),
            concrete: bindings.is_some(),
            bindings: bindings.cloned().unwrap_or_default(),
            free_dims: Vec::new(),
            type_choices: HashMap::new(),
            file_scopes: vec![None; module.units.len()],
            calls: Vec::new(),
            depth: 0,
            in_scan: false,
        }
    }

    /// Takes back the diagnostics of a trial.
    pub(super) fn forget_since(&mut self, count: usize) {
        for diagnostic in self.diagnostics.split_off(count) {
            let place = diagnostic.labels.first().map(|label| label.0);
            self.reported.remove(&(diagnostic.code, place, diagnostic.message.clone()));
        }
    }

    /// Adds a diagnostic, once.
    pub(super) fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        let place = diagnostic.labels.first().map(|label| label.0);
        if self.reported.insert((diagnostic.code, place, diagnostic.message.clone())) {
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    pub(super) fn error(
        &mut self,
        code: Code,
        message: impl Into<String>,
        span: Span,
        label: &str,
    ) -> Reported {
        self.report(Diagnostic::error(code, message).label(span, label))
    }

    fn report_free_dims(&mut self) {
        if self.free_dims.is_empty() {
            return;
        }
        let names: Vec<String> = self.free_dims.iter().map(|name| format!("`{name}`")).collect();
        let plural = if names.len() == 1 { "dim has" } else { "dims have" };
        let flags: Vec<String> = self.free_dims.iter().map(|name| format!("--set {name}=..")).collect();
        self.report(
            Diagnostic::error(
                Code::UnboundDim,
                format!("{} {plural} no value: {}", names.len(), names.join(", ")),
            )
            .help(format!("no array's shape fixes it; give `{}`", flags.join(" "))),
        );
    }

    fn entry(&mut self, entry: &str) -> Step<()> {
        self.program.name = entry.to_string();
        let module = self.module;
        if entry == "main" && module.function(0, "main").is_none() {
            return self.main();
        }
        match module.function(0, entry) {
            Some(function) => self.function_entry(function),
            None => {
                let names = module.units[0].tree.items.iter().filter_map(|item| match &item.kind {
                    ItemKind::Function(function) => Some(function.name.text.as_str()),
                    _ => None,
                });
                let mut diagnostic =
                    Diagnostic::error(Code::UnknownEntry, format!("the file has no function `{entry}`"));
                diagnostic.help = Some(match similar(entry, names.clone()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has: {}", names.collect::<Vec<_>>().join(", ")),
                });
                Err(self.report(diagnostic))
            }
        }
    }

    /// The file's own statements.
    fn main(&mut self) -> Step<()> {
        let mut scope = self.file_scope(0);
        let items = &self.module.units[0].tree.items;
        let mut parameters = Vec::new();
        for item in items {
            if let ItemKind::Declare { qualifiers, names, ty, .. } = &item.kind {
                for (qualifier, span) in qualifiers {
                    if *qualifier == Qualifier::Secret {
                        self.error(
                            Code::Secret,
                            "encrypted inputs are checked but no target computes on them yet",
                            *span,
                            "secret",
                        );
                    }
                }
                let has = |q| qualifiers.iter().any(|(qualifier, _)| *qualifier == q);
                let role = if has(Qualifier::Param) { Role::Param } else { Role::Input };
                if has(Qualifier::Input) || has(Qualifier::Param) || has(Qualifier::Inout) {
                    parameters.extend(names.iter().map(|name| Parameter { name, ty, role }));
                }
            }
        }
        self.bind(&mut scope, &parameters, &[])?;
        let conditions = items.iter().filter_map(|item| match &item.kind {
            ItemKind::Dim { conditions, .. } => Some(conditions),
            _ => None,
        });
        for conditions in conditions {
            self.size_conditions(&scope, conditions);
        }
        self.add_inputs(&mut scope, &parameters);
        let mut results: Vec<(&Name, bool)> = Vec::new();
        for item in items {
            match &item.kind {
                ItemKind::Declare { qualifiers, names, ty, init } => {
                    let has = |q| qualifiers.iter().any(|(qualifier, _)| *qualifier == q);
                    if has(Qualifier::Output) {
                        for name in names {
                            self.declare_result(&mut scope, name, ty);
                            results.push((name, false));
                        }
                    }
                    if has(Qualifier::Inout) {
                        results.extend(names.iter().map(|name| (name, true)));
                    }
                    if let Some(init) = init {
                        self.default_value(&mut scope, names, init);
                    }
                }
                ItemKind::Target { name, settings } => self.target(name, settings),
                _ => {}
            }
        }
        self.note_later(&mut scope, items);
        for item in items {
            match &item.kind {
                ItemKind::Return(_) => {
                    self.error(
                        Code::MisplacedItem,
                        "`return` stands outside a function",
                        item.span,
                        "not in a `fn`",
                    );
                }
                ItemKind::Import { .. }
                | ItemKind::Dim { .. }
                | ItemKind::TypeVariable { .. }
                | ItemKind::Declare { .. }
                | ItemKind::Const { .. }
                | ItemKind::Function(_)
                | ItemKind::Target { .. } => {}
                _ => {
                    let _ = self.statement(&mut scope, item);
                }
            }
        }
        if results.is_empty() {
            let mut defined = Vec::new();
            for item in items {
                for target in targets(item) {
                    if !defined.iter().any(|name: &&Name| name.text == target.text) {
                        defined.push(target);
                    }
                }
            }
            results = defined.into_iter().map(|name| (name, false)).collect();
        }
        self.finish(&scope, results.iter().map(|(name, _)| (name.text.clone(), name.span)).collect())
    }

    /// Notes the outputs of the program.
    fn finish(&mut self, scope: &Scope, results: Vec<(String, Span)>) -> Step<()> {
        for (name, span) in results {
            match scope.tensors.get(&name) {
                Some(symbol) => self.program.outputs.push((name, symbol.tensor)),
                None if scope.broken.contains(&name) => return Err(Reported),
                None => {
                    let mut diagnostic =
                        Diagnostic::error(Code::UndefinedOutput, format!("no statement defines `{name}`"))
                            .label(span, "declared here");
                    let known = scope.tensors.keys().map(String::as_str);
                    diagnostic.help =
                        similar(&name, known).map(|near| format!("a statement defines `{near}`"));
                    self.report(diagnostic);
                }
            }
        }
        Ok(())
    }

    fn function_entry(&mut self, function: &Function) -> Step<()> {
        let mut scope = self.file_scope(0);
        let parameters: Vec<_> =
            function.params.iter().map(|(name, ty)| Parameter { name, ty, role: Role::Input }).collect();
        self.calls.push((0, function.name.text.clone()));
        let types: Vec<&Type> = function
            .params
            .iter()
            .map(|(_, ty)| ty)
            .chain(function.results.iter().map(|(_, ty)| ty))
            .collect();
        self.bind(&mut scope, &parameters, &types)?;
        let items = &self.module.units[0].tree.items;
        for item in items {
            if let ItemKind::Dim { conditions, .. } = &item.kind {
                self.size_conditions(&scope, conditions);
            }
        }
        self.size_conditions(&scope, &function.conditions);
        self.add_inputs(&mut scope, &parameters);
        let results = self.body(&mut scope, function);
        self.calls.pop();
        self.program.outputs = results?.into_iter().map(|(name, symbol)| (name, symbol.tensor)).collect();
        Ok(())
    }

    /// Finds the sizes and dtypes that the arrays fix; the dims of the types in `introduce` are declared by them.
    fn bind(&mut self, scope: &mut Scope, parameters: &[Parameter], introduce: &[&Type]) -> Step<()> {
        let bindings = self.bindings.clone();
        for (name, &dtype) in &bindings.dtypes {
            match self.type_choices.get(&(0, name.clone())) {
                Some(choices) if choices.iter().any(|choice| choice.text == dtype.name()) => {
                    scope.types.insert(name.clone(), dtype);
                }
                Some(_) => {
                    self.report(Diagnostic::error(
                        Code::InputType,
                        format!("`{name}` cannot be `{dtype}`: the file declares other choices"),
                    ));
                }
                None => {
                    self.report(Diagnostic::error(
                        Code::UnknownType,
                        format!("no dtype variable is called `{name}`"),
                    ));
                }
            }
        }
        for name in introduce.iter().flat_map(|ty| dim_names(ty)) {
            if !scope.dims.contains_key(&name.text) && !scope.constants.contains_key(&name.text) {
                let dim = self.sizes.dim(&name.text);
                scope.dims.insert(name.text.clone(), Dim::Bound(dim));
            }
        }
        for (name, &value) in &bindings.dims {
            match scope.dims.get(name) {
                Some(Dim::Bound(size)) => {
                    let size = size.clone();
                    self.sizes.set(&size, value);
                }
                Some(Dim::Computed(value)) => {
                    let span = value.span;
                    self.error(
                        Code::UnboundDim,
                        format!("`{name}` is computed and cannot be set"),
                        span,
                        "its value",
                    );
                }
                None => {
                    let known = scope.dims.keys().map(String::as_str);
                    let mut diagnostic =
                        Diagnostic::error(Code::UnknownDim, format!("no dim is called `{name}`"));
                    diagnostic.help = similar(name, known).map(|near| format!("did you mean `{near}`?"));
                    self.report(diagnostic);
                }
            }
        }
        for parameter in parameters {
            if let Some(arg) = bindings.args.get(&parameter.name.text) {
                if let (Some(size), Some(value)) = (sizing(scope, parameter.name, parameter.ty), arg.value) {
                    match i64::try_from(value) {
                        Ok(value) if value.abs() <= super::size::LIMIT => self.sizes.set(&size, value),
                        _ => {
                            self.error(
                                Code::SizeOverflow,
                                "a size is too large",
                                parameter.ty.span,
                                "its value",
                            );
                        }
                    }
                }
                self.bind_dtype(scope, parameter, arg.dtype);
            }
        }
        let mut equations: Vec<(Size, u64, usize, usize)> = Vec::new();
        for (number, parameter) in parameters.iter().enumerate() {
            let arg = bindings.args.get(&parameter.name.text);
            self.bind_ellipsis(scope, parameter, arg)?;
            let Some(arg) = arg else { continue };
            let shape = self.shape(scope, parameter.ty)?;
            if shape.len() != arg.shape.len() {
                let (name, want, got) = (&parameter.name.text, shape.len(), arg.shape.len());
                let message = format!("`{name}` has {want} {}, but the array has {got}", plural(want, "dim"));
                return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
            }
            equations
                .extend(shape.into_iter().zip(&arg.shape).enumerate().map(|(d, (s, &e))| (s, e, number, d)));
        }
        self.solve_dims(scope, &equations);
        for (size, extent, number, dim) in &equations {
            let parameter = &parameters[*number];
            match self.sizes.value(size) {
                Ok(Some(value)) if value == *extent as i64 => {}
                Ok(Some(value)) => {
                    let text = self.sizes.text(size);
                    let is = if text == value.to_string() { String::new() } else { format!("`{text}` = ") };
                    let name = &parameter.name.text;
                    let mut diagnostic = Diagnostic::error(
                        Code::InputExtent,
                        format!("dim {dim} of `{name}` is {is}{value}, but the array has {extent}"),
                    )
                    .label(parameter.ty.span, "declared here");
                    if let Some(other) = equations
                        .iter()
                        .find(|other| other.2 != *number && other.0 == *size && other.1 != *extent)
                    {
                        let other_name = &parameters[other.2].name.text;
                        diagnostic = diagnostic.label(
                            parameters[other.2].ty.span,
                            format!("dim {} of `{other_name}` is {} long", other.3, other.1),
                        );
                    }
                    self.report(diagnostic);
                }
                Ok(None) => {}
                Err(()) => {
                    self.error(Code::SizeOverflow, "a size is too large to count", parameter.ty.span, "here");
                }
            }
        }
        self.check_dim_ranges(scope);
        if self.diagnostics.iter().any(|d| d.severity == crate::diagnostic::Severity::Error) && self.concrete
        {
            return Err(Reported);
        }
        Ok(())
    }

    /// Solves the equations for the dims that occur alone in one of them.
    fn solve_dims(&mut self, scope: &Scope, equations: &[(Size, u64, usize, usize)]) {
        loop {
            let mut changed = false;
            for (size, extent, ..) in equations {
                let [name] = &self.sizes.unknown_dims(size)[..] else { continue };
                let Some(Dim::Bound(dim)) = scope.dims.get(name) else { continue };
                let target = Size::constant(*extent as i64);
                if let Some(value) =
                    self.sizes.solve(size, dim, &target).and_then(|value| value.as_constant())
                {
                    self.sizes.set(dim, value);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    fn bind_dtype(&mut self, scope: &mut Scope, parameter: &Parameter, dtype: DType) {
        let variable = &parameter.ty.dtype;
        let Some(choices) = self.type_choices.get(&(scope.unit, variable.text.clone())) else { return };
        let name = &parameter.name.text;
        if DType::from_name(&variable.text).is_some() || sizing(scope, parameter.name, parameter.ty).is_some()
        {
            return;
        }
        if !choices.iter().any(|choice| choice.text == dtype.name()) {
            let listed: Vec<&str> = choices.iter().map(|choice| choice.text.as_str()).collect();
            let message = format!("`{name}` is {}, but the array is {dtype}", listed.join(" or "));
            self.error(Code::InputType, message, parameter.ty.span, "declared here");
            return;
        }
        match scope.types.get(&variable.text) {
            Some(&bound) if bound != dtype => {
                let message =
                    format!("`{name}` has element type `{variable}` = {bound}, but the array is {dtype}");
                self.error(Code::InputType, message, parameter.ty.span, "declared here");
            }
            _ => {
                scope.types.insert(variable.text.clone(), dtype);
            }
        }
    }

    fn bind_ellipsis(&mut self, scope: &mut Scope, parameter: &Parameter, arg: Option<&ArgInfo>) -> Step<()> {
        let Some((position, key)) = ellipsis_of(parameter.ty) else { return Ok(()) };
        let others = parameter.ty.dims.len() - 1;
        match arg {
            Some(arg) => {
                let Some(count) = arg.shape.len().checked_sub(others) else {
                    let message = format!(
                        "`{}` has at least {others} {}, but the array has {}",
                        parameter.name,
                        plural(others, "dim"),
                        arg.shape.len()
                    );
                    return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
                };
                let extents = &arg.shape[position..position + count];
                match scope.ellipses.get(&key).cloned() {
                    None => {
                        let dims = extents.iter().enumerate().map(|(k, &extent)| {
                            let dim = self.sizes.dim(&format!("{key}{k}"));
                            self.sizes.set(&dim, extent as i64);
                            dim
                        });
                        let dims = dims.collect();
                        scope.ellipses.insert(key, dims);
                    }
                    Some(dims) if dims.len() == count => {}
                    Some(dims) => {
                        let message =
                            format!("`...{key}` stands for {} dims, and for {count} here", dims.len());
                        return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
                    }
                }
            }
            None => {
                // Any number of dims is allowed; one stands for all where only signatures are checked.
                let count = usize::from(!self.concrete);
                let (name, sizes) = (format!("{key}0"), &mut self.sizes);
                scope.ellipses.entry(key).or_insert_with(|| (0..count).map(|_| sizes.dim(&name)).collect());
            }
        }
        Ok(())
    }

    /// Checks `dim K in 1..=4096`.
    fn check_dim_ranges(&mut self, scope: &Scope) {
        for item in &self.module.units[scope.unit].tree.items {
            let ItemKind::Dim { specs, .. } = &item.kind else { continue };
            for spec in specs {
                let (DimKind::Within(range), Some(Dim::Bound(dim))) =
                    (&spec.kind, scope.dims.get(&spec.name.text))
                else {
                    continue;
                };
                let ExprKind::Range { start, end, inclusive } = &range.kind else { continue };
                let (Ok(start), Ok(end)) = (self.size(scope, start), self.size(scope, end)) else { continue };
                let values = (self.sizes.value(dim), self.sizes.value(&start), self.sizes.value(&end));
                if let (Ok(Some(value)), Ok(Some(low)), Ok(Some(high))) = values
                    && (value < low || value > high || (value == high && !inclusive))
                {
                    let message = format!("`{}` = {value} lies outside its range", spec.name);
                    self.error(Code::SizeCondition, message, range.span, "the declared range");
                }
            }
        }
    }

    /// Checks conditions on sizes; those that equate sizes are taken for granted where values are missing.
    pub(super) fn size_conditions(&mut self, scope: &Scope, conditions: &[Expr]) {
        for condition in conditions {
            if let Ok(Some(false)) = self.size_condition(scope, condition) {
                let message = "the sizes break this condition";
                self.error(Code::SizeCondition, message, condition.span, "does not hold");
            }
        }
    }

    /// Whether a condition on sizes holds, if that is known.
    pub(super) fn size_condition(&mut self, scope: &Scope, condition: &Expr) -> Step<Option<bool>> {
        let all = |checker: &mut Self, parts: &[Expr], stop: bool| -> Step<Option<bool>> {
            let mut known = Some(!stop);
            for part in parts {
                match checker.size_condition(scope, part)? {
                    Some(value) if value == stop => return Ok(Some(stop)),
                    Some(_) => {}
                    None => known = None,
                }
            }
            Ok(known)
        };
        match &condition.kind {
            ExprKind::And(parts) => all(self, parts, false),
            ExprKind::Or(parts) => all(self, parts, true),
            ExprKind::Not(part) => Ok(self.size_condition(scope, part)?.map(|value| !value)),
            ExprKind::Compare(op, a, b) => {
                let (a, b) = (self.size(scope, a)?, self.size(scope, b)?);
                let values = (self.sizes.value(&a), self.sizes.value(&b));
                let (Ok(Some(x)), Ok(Some(y))) = values else {
                    if *op == CompareOp::Eq {
                        self.sizes.equate(&a, &b);
                    }
                    return Ok(None);
                };
                Ok(Some(match op {
                    CompareOp::Eq => x == y,
                    CompareOp::Ne => x != y,
                    CompareOp::Le => x <= y,
                    CompareOp::Ge => x >= y,
                    CompareOp::Lt => x < y,
                    CompareOp::Gt => x > y,
                }))
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
                let (value, start, end) =
                    (self.size(scope, value)?, self.size(scope, start)?, self.size(scope, end)?);
                let values = (self.sizes.value(&value), self.sizes.value(&start), self.sizes.value(&end));
                Ok(match values {
                    (Ok(Some(v)), Ok(Some(low)), Ok(Some(high))) => {
                        Some(v >= low && (v < high || (*inclusive && v == high)))
                    }
                    _ => None,
                })
            }
            _ => Err(self.error(
                Code::NotBoolean,
                "a condition on sizes compares them",
                condition.span,
                "not a comparison of sizes",
            )),
        }
    }

    /// Adds the inputs to the program and to the scope; those that only size the program are left out.
    fn add_inputs(&mut self, scope: &mut Scope, parameters: &[Parameter]) {
        for parameter in parameters {
            if sizing(scope, parameter.name, parameter.ty).is_some() {
                continue;
            }
            let name = &parameter.name.text;
            if scope.tensors.contains_key(name) || scope.broken.contains(name) {
                self.error(
                    Code::DuplicateDefinition,
                    format!("`{name}` is declared twice"),
                    parameter.name.span,
                    "declared again here",
                );
                continue;
            }
            let symbol = self.declared(scope, parameter.ty).and_then(|declared| {
                let place = parameter.name.span;
                self.add_tensor(
                    name,
                    Ty::Of(declared.ty),
                    declared.ty,
                    &declared.shape,
                    parameter.role,
                    place,
                )
            });
            match symbol {
                Ok(symbol) => {
                    self.program.inputs.push(symbol.tensor);
                    scope.tensors.insert(name.clone(), symbol);
                }
                Err(Reported) => {
                    scope.broken.insert(name.clone());
                }
            }
        }
    }

    /// Adds a tensor to the program.
    pub(super) fn add_tensor(
        &mut self,
        name: &str,
        ty: Ty,
        dtype: DType,
        shape: &[Size],
        role: Role,
        place: Span,
    ) -> Step<Symbol> {
        let extents = self.extents(name, Ty::Of(dtype), shape, place)?;
        let tensor = Tensor { name: name.to_string(), dtype, shape: extents, role, place };
        let tensor: TensorId = self.program.tensors.push(tensor);
        Ok(Symbol { tensor, ty, shape: shape.to_vec(), place })
    }

    fn declare_result(&mut self, scope: &mut Scope, name: &Name, ty: &Type) {
        if scope.tensors.contains_key(&name.text) || scope.declared.contains_key(&name.text) {
            self.error(
                Code::DuplicateDefinition,
                format!("`{name}` is declared twice"),
                name.span,
                "declared again here",
            );
            return;
        }
        match self.declared(scope, ty) {
            Ok(declared) => {
                scope
                    .declared
                    .insert(name.text.clone(), Declared { place: name.span.to(ty.span), ..declared });
            }
            Err(Reported) => {
                scope.broken.insert(name.text.clone());
            }
        }
    }

    /// `input x: f64 = 0.5`: the value where no array is given.
    fn default_value(&mut self, scope: &mut Scope, names: &[Name], init: &Expr) {
        for name in names {
            let given = self.bindings.args.contains_key(&name.text);
            let Some(symbol) = scope.tensors.get(&name.text).cloned().filter(|_| self.concrete && !given)
            else {
                continue;
            };
            let Ty::Of(dtype) = symbol.ty else { continue };
            self.program.inputs.retain(|&input| input != symbol.tensor);
            scope.tensors.remove(&name.text);
            scope
                .declared
                .insert(name.text.clone(), Declared { ty: dtype, shape: symbol.shape, place: symbol.place });
            let _ = self.define_scalar(scope, name, init);
        }
    }

    fn note_later(&mut self, scope: &mut Scope, items: &[Item]) {
        for item in items {
            for target in targets(item) {
                scope.later.entry(target.text.clone()).or_insert(target.span);
            }
        }
    }

    /// Checks one statement; its targets are broken if it fails.
    pub(super) fn statement(&mut self, scope: &mut Scope, item: &Item) -> Step<()> {
        if self.program.statements.len() > STATEMENTS_LIMIT || self.program.axes.len() > AXES_LIMIT {
            return Err(self.error(Code::TooBig, "the program is too large", item.span, "here"));
        }
        let outcome =
            self.options(scope, item).and_then(|options| self.statement_with(scope, item, &options));
        for target in targets(item) {
            scope.later.remove(&target.text);
            if outcome.is_err() && !scope.tensors.contains_key(&target.text) {
                scope.broken.insert(target.text.clone());
            }
        }
        outcome
    }

    fn statement_with(&mut self, scope: &mut Scope, item: &Item, options: &Options) -> Step<()> {
        match &item.kind {
            ItemKind::Define { targets, value, conditions } => {
                self.define(scope, targets, value, conditions, options, item.span)
            }
            ItemKind::Accumulate { target, value, conditions } => {
                self.accumulate(scope, target, value, conditions, options, item.span)
            }
            ItemKind::Scan(scan) => self.scan(scope, scan, options, item.span),
            ItemKind::Decompose { .. } | ItemKind::Solve { .. } | ItemKind::Grad { .. } => {
                self.refuse(scope, item)
            }
            // Checks are verified by a test of the file, not by a run of it.
            ItemKind::Check(_) => Ok(()),
            _ => Err(self.error(Code::MisplacedItem, "this cannot stand here", item.span, "not a statement")),
        }
    }

    /// Runs a function's statements; gives its results by name.
    fn body(&mut self, scope: &mut Scope, function: &Function) -> Step<Vec<(String, Symbol)>> {
        for (name, ty) in &function.results {
            if let Some(name) = name {
                self.declare_result(scope, name, ty);
            }
        }
        self.note_later(scope, &function.body);
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
        (unit, function): (usize, &'a Function),
        args: &[einc_grammar::tree::Argument],
        span: Span,
    ) -> Step<Vec<Symbol>> {
        let key = (unit, function.name.text.clone());
        if self.calls.contains(&key) || self.calls.len() >= CALLS_LIMIT {
            let message = format!("`{}` calls itself", function.name);
            return Err(self.error(Code::Recursion, message, span, "called here"));
        }
        if self.in_scan {
            return Err(self.error(
                Code::BadScan,
                format!("`{}` is called inside a scan", function.name),
                span,
                "functions cannot be called in each step yet",
            ));
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
        for ((name, ty), arg) in function.params.iter().zip(&ordered) {
            let is_size = ty.dims.is_empty()
                && DType::from_name(&ty.dtype.text).is_some_and(DType::is_integer)
                && (unbound.contains(&name.text) || scope.dims.contains_key(&name.text));
            if is_size {
                let size = self.size(caller, arg)?;
                scope.dims.insert(name.text.clone(), Dim::Bound(size));
                unbound.remove(&name.text);
                symbols.push(None);
            } else {
                symbols.push(Some(self.argument(caller, arg)?));
            }
        }
        let mut bound_types = HashSet::new();
        for ((_, ty), symbol) in function.params.iter().zip(&symbols) {
            let variable = &ty.dtype.text;
            if let Some(Symbol { ty: Ty::Of(dtype), .. }) = symbol
                && self.type_choices.contains_key(&(unit, variable.clone()))
                && bound_types.insert(variable.clone())
            {
                scope.types.insert(variable.clone(), *dtype);
            }
        }
        self.bind_call(&mut scope, function, &symbols, &ordered, unbound, inherited)?;
        self.size_conditions(&scope, &function.conditions);
        for (number, (name, ty)) in function.params.iter().enumerate() {
            let Some(symbol) = &symbols[number] else { continue };
            let symbol = self.fitted(&scope, symbol, name, ty, ordered[number].span)?;
            scope.tensors.insert(name.text.clone(), symbol);
        }
        self.calls.push(key);
        let results = self.body(&mut scope, function);
        self.calls.pop();
        Ok(results?.into_iter().map(|result| result.1).collect())
    }

    fn ordered_args<'e>(
        &mut self,
        function: &Function,
        args: &'e [einc_grammar::tree::Argument],
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
    fn bind_call(
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
    fn fitted(&mut self, scope: &Scope, symbol: &Symbol, name: &Name, ty: &Type, span: Span) -> Step<Symbol> {
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

/// `dim` or `dims`.
pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_string() } else { format!("{word}s") }
}

/// The dim that a rank-0 integer input stands for.
fn sizing(scope: &Scope, name: &Name, ty: &Type) -> Option<Size> {
    let integer = DType::from_name(&ty.dtype.text).is_some_and(DType::is_integer);
    match scope.dims.get(&name.text) {
        Some(Dim::Bound(size)) if ty.dims.is_empty() && integer => Some(size.clone()),
        _ => None,
    }
}

/// Position and name of the ellipsis of a type.
fn ellipsis_of(ty: &Type) -> Option<(usize, String)> {
    ty.dims.iter().enumerate().find_map(|(k, dim)| match dim {
        Index::Ellipsis(name, _) => {
            Some((k, name.as_ref().map_or_else(String::new, |name| name.text.clone())))
        }
        _ => None,
    })
}

/// The names in the dims of a type.
fn dim_names(ty: &Type) -> Vec<Name> {
    let mut names = Vec::new();
    for dim in &ty.dims {
        match dim {
            Index::Expr(expr) => {
                let mut found = Vec::new();
                expr_names(expr, &mut found);
                names.extend(found.into_iter().map(|text| Name { text, span: expr.span }));
            }
            Index::Group(group, _) => names.extend(group.iter().cloned()),
            _ => {}
        }
    }
    names
}

fn expr_names(expr: &Expr, names: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name.clone()),
        ExprKind::Negate(inner) => expr_names(inner, names),
        ExprKind::Sum(terms) => terms.iter().for_each(|term| expr_names(&term.1, names)),
        ExprKind::Product(factors) => factors.iter().for_each(|factor| expr_names(&factor.1, names)),
        ExprKind::Power(a, b) => {
            expr_names(a, names);
            expr_names(b, names);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| expr_names(&arg.value, names)),
        _ => {}
    }
}

/// The tensors that a statement defines.
pub(super) fn targets(item: &Item) -> Vec<&Name> {
    match &item.kind {
        ItemKind::Define { targets, .. } => targets.iter().map(|target| &target.name).collect(),
        ItemKind::Accumulate { target, .. } => vec![&target.name],
        ItemKind::Scan(scan) => scan.body.iter().flat_map(targets).collect(),
        ItemKind::Grad { pairs, .. } => pairs.iter().map(|pair| &pair.1).collect(),
        ItemKind::Solve { unknown, .. } => vec![&unknown.name],
        _ => Vec::new(),
    }
}

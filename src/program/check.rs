//! Checks a module for given sizes and types, or for all of them, and yields the program of one entry point.

use super::bind::dim_names;
use super::call::CALLS_LIMIT;
use super::load::Module;
use super::node::{Symbol, Ty};
use super::scope::{Declared, Scope, similar};
use super::size::{Size, Sizes};
use super::statement::Options;
use super::{Program, Role, Tensor, TensorId};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Axes;
use crate::id::IdVec;
use crate::source::Span;
use einc_grammar::tree::{Expr, Function, Item, ItemKind, Name, Qualifier, Type, is_given};
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
        checker.program = Program::new(&entry);
        if checker.inlined > CALLS_LIMIT {
            break;
        }
        checker.inlined = 0;
    }
    diagnostics.append(&mut checker.diagnostics);
    sorted(diagnostics)
}

fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(|d| d.labels.first().map(|label| label.0));
    diagnostics
}

impl Program {
    /// A program that computes nothing.
    pub fn new(name: &str) -> Program {
        Program {
            name: name.to_string(),
            axes: Axes::new(),
            tensors: IdVec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            statements: Vec::new(),
            memory_limit: None,
            secrets: Vec::new(),
            approximations: Vec::new(),
            cpu: Default::default(),
            encryption: Vec::new(),
            plans: Vec::new(),
            bound: Bindings::default(),
            dim_ranges: BTreeMap::new(),
            ranges: HashMap::new(),
        }
    }
}

pub(super) struct Checker<'a> {
    pub module: &'a Module,
    pub sizes: Sizes,
    pub program: Program,
    pub diagnostics: Vec<Diagnostic>,
    reported: HashSet<(Code, Option<Span>, String)>,
    /// Names in the statement at hand that stand for nothing, each told once.
    pub unknown: HashSet<String>,
    /// Whether types are presumed, so that not all is known of values yet.
    pub presuming: bool,
    /// Whether sizes must have values.
    pub concrete: bool,
    pub bindings: Bindings,
    /// Dims that were needed and have no value.
    pub free_dims: Vec<String>,
    /// Choices of dtype variables by file and name.
    pub type_choices: HashMap<(usize, String), Vec<Name>>,
    pub file_scopes: Vec<Option<Scope>>,
    pub calls: Vec<(usize, String)>,
    /// The constants and computed dims that are being worked out, outermost first.
    pub unfolding: Vec<String>,
    /// How many were worked out.
    pub unfolded: usize,
    /// The accumulator of the statement at hand, where it names one.
    pub acc: Option<DType>,
    /// Whether a scan's body is being checked.
    pub in_scan: bool,
    /// How many calls were inlined.
    pub inlined: usize,
}

/// An input of an entry point.
pub(super) struct Parameter<'t> {
    pub name: &'t Name,
    pub ty: &'t Type,
    pub role: Role,
}

impl<'a> Checker<'a> {
    pub(super) fn new(module: &'a Module, bindings: Option<&Bindings>) -> Self {
        Checker {
            module,
            sizes: Sizes::default(),
            program: Program::new("main"),
            diagnostics: Vec::new(),
            reported: HashSet::new(),
            unknown: HashSet::new(),
            presuming: false,
            concrete: bindings.is_some(),
            bindings: bindings.cloned().unwrap_or_default(),
            free_dims: Vec::new(),
            type_choices: HashMap::new(),
            file_scopes: vec![None; module.units.len()],
            calls: Vec::new(),
            unfolding: Vec::new(),
            unfolded: 0,
            acc: None,
            in_scan: false,
            inlined: 0,
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

    pub(super) fn report_free_dims(&mut self) {
        if self.free_dims.is_empty() {
            return;
        }
        let names: Vec<String> = self.free_dims.iter().map(|name| format!("`{name}`")).collect();
        let plural = if names.len() == 1 { "dim has" } else { "dims have" };
        let flags: Vec<String> = self.free_dims.iter().map(|name| format!("--set {name}=..")).collect();
        let mut diagnostic = Diagnostic::error(
            Code::UnboundDim,
            format!("{} {plural} no value: {}", names.len(), names.join(", ")),
        );
        for name in &self.free_dims {
            if let Some(place) = self.introduction(name) {
                diagnostic = diagnostic.label(place, format!("`{name}` is introduced here"));
            }
        }
        for (name, arg) in
            self.free_dims.iter().filter_map(|name| Some((name, self.bindings.args.get(name)?)))
        {
            let shape: Vec<String> = arg.shape.iter().map(u64::to_string).collect();
            diagnostic = diagnostic.note(format!(
                "the array `{name}` is {}[{}]; a dim takes the value of an array of integers without dims",
                arg.dtype,
                shape.join(", ")
            ));
        }
        self.report(diagnostic.help(format!("no array's shape fixes it; give `{}`", flags.join(" "))));
    }

    /// Where the signature at hand or the file introduces a dim.
    fn introduction(&self, name: &str) -> Option<Span> {
        let in_type = |ty: &Type| dim_names(ty).into_iter().find(|dim| dim.text == name).map(|dim| dim.span);
        let items = &self.module.units[0].tree.items;
        let signature = self.module.function(0, &self.program.name).and_then(|function| {
            function.params.iter().find_map(|(_, ty)| in_type(ty)).or_else(|| {
                let mut declared = function.body.iter().flat_map(|item| match &item.kind {
                    ItemKind::Dim { specs, .. } => specs.as_slice(),
                    _ => &[],
                });
                let declared = declared.find(|spec| spec.name.text == name).map(|spec| spec.name.span);
                declared.or_else(|| function.results.iter().find_map(|(_, ty)| in_type(ty)))
            })
        });
        let mut declared = items.iter().flat_map(|item| match &item.kind {
            ItemKind::Dim { specs, .. } => specs.as_slice(),
            _ => &[],
        });
        signature.or_else(|| declared.find(|spec| spec.name.text == name).map(|spec| spec.name.span))
    }

    pub(super) fn entry(&mut self, entry: &str) -> Step<()> {
        self.program.name = entry.to_string();
        let module = self.module;
        if entry == "main" && module.function(0, "main").is_none() {
            return self.main();
        }
        match module.function(0, entry) {
            Some(function) => self.function_entry(function),
            None => {
                let functions = module.units[0].tree.items.iter().filter_map(|item| match &item.kind {
                    ItemKind::Function(function) => Some(&function.name),
                    _ => None,
                });
                let names = functions.clone().map(|name| name.text.as_str());
                let mut diagnostic =
                    Diagnostic::error(Code::UnknownEntry, format!("the file has no function `{entry}`"));
                let near = similar(entry, names.clone());
                for name in functions.filter(|name| near.is_none_or(|near| name.text == near)).take(8) {
                    diagnostic = diagnostic.label(name.span, format!("`{name}` is one"));
                }
                diagnostic.help = Some(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if names.clone().next().is_none() => {
                        "it has none, only statements of its own: leave the name out".to_string()
                    }
                    None => format!("it has: {}", names.collect::<Vec<_>>().join(", ")),
                });
                Err(self.report(diagnostic))
            }
        }
    }

    /// The file's own statements.
    pub(super) fn main(&mut self) -> Step<()> {
        let mut scope = self.file_scope(0);
        let items = &self.module.units[0].tree.items;
        let mut parameters = Vec::new();
        let mut secrets = Vec::new();
        for item in items {
            if let ItemKind::Declare { qualifiers, names, ty, .. } = &item.kind {
                let has = |q| qualifiers.iter().any(|(qualifier, _)| *qualifier == q);
                if has(Qualifier::Secret) {
                    secrets.extend(names.iter().map(|name| name.text.as_str()));
                }
                let role = if has(Qualifier::Param) { Role::Param } else { Role::Input };
                if is_given(qualifiers) {
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
        let is_secret = |id: &TensorId| secrets.contains(&self.program.tensors[*id].name.as_str());
        self.program.secrets = self.program.inputs.iter().copied().filter(is_secret).collect();
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
            let mut defined = HashSet::new();
            let names = items.iter().flat_map(targets);
            results = names.filter(|name| defined.insert(&name.text)).map(|name| (name, false)).collect();
        }
        self.finish(&scope, results.iter().map(|(name, _)| (name.text.clone(), name.span)).collect())
    }

    /// Notes the outputs of the program.
    pub(super) fn finish(&mut self, scope: &Scope, results: Vec<(String, Span)>) -> Step<()> {
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

    pub(super) fn function_entry(&mut self, function: &Function) -> Step<()> {
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
        let module = self.module;
        for item in module.units[0].declarations() {
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

    pub(super) fn declare_result(&mut self, scope: &mut Scope, name: &Name, ty: &Type) {
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
    pub(super) fn default_value(&mut self, scope: &mut Scope, names: &[Name], init: &Expr) {
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

    pub(super) fn note_later(&mut self, scope: &mut Scope, items: &[Item]) {
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
        // Where the declaration of what it defines is wrong, that is told already, and the statement says nothing more.
        let declared_wrong =
            |name: &Name| scope.broken.contains(&name.text) && !scope.tensors.contains_key(&name.text);
        if targets(item).into_iter().any(declared_wrong) {
            return Err(Reported);
        }
        self.unknown.clear();
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

    pub(super) fn statement_with(&mut self, scope: &mut Scope, item: &Item, options: &Options) -> Step<()> {
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
}

/// `dim` or `dims`.
pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_string() } else { format!("{word}s") }
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

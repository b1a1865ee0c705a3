//! All stages in order: from a file to something that can be called.
//!
//! ```text
//! text -> tree -> program -> graph -> plan -> loops -> native code
//!                    |
//!                    +--> interpreter
//! ```

mod arguments;
pub mod ckks;
mod locate;
mod phase;
mod ranges;
pub mod show_slots;

pub use arguments::{Arrays, arguments, bindings, random, take_sizes};
pub use phase::{Phase, enter, phase};
pub use ranges::{declare_ranges, over_ranges};

use crate::backend::Unsupported;
#[cfg(feature = "cranelift")]
use crate::backend::cranelift;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::fault::{Checked, Fault, Stopped};
use crate::graph::{self, Graph};
use crate::interpret;
#[cfg(feature = "cranelift")]
use crate::loops;
#[cfg(feature = "cranelift")]
use crate::machine::Machine;
use crate::pass;
use crate::plan::{self, Locked, Plan, show_bytes};
use crate::program::einsum::{self, EinsumError};
use crate::program::{self, Bindings, Module, Program};
use crate::source::{Sources, Span};
use einc_runtime::{DType, Tensor, pool};
use std::fmt;
use std::sync::Arc;

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The interpreter: slow, exact.
    Interpret,
    /// The plan in an interpreter: slow; shows whether graph and plan are right without a back end.
    InterpretPlan,
    /// Native code for this machine.
    #[cfg(feature = "cranelift")]
    Cranelift,
}

impl Target {
    /// Every target of this build.
    pub const ALL: &[Target] = &[
        Target::Interpret,
        Target::InterpretPlan,
        #[cfg(feature = "cranelift")]
        Target::Cranelift,
    ];
}

/// How to compile.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What runs the program. If not given, the fastest target that can express it.
    pub target: Option<Target>,
    /// The most bytes a run may take for tensors; 80 % of what is free if not given.
    pub memory: Option<u64>,
    /// How many threads run it. If not given, as many as the program says, else as the pool has.
    pub threads: Option<usize>,
    /// Whether results depend on program, inputs and kind of machine alone: not on the threads, on what memory is free,
    /// or on speeds and orders found before. A program may ask for it too.
    pub deterministic: bool,
    /// How contraction orders are found; its memory limit does not count.
    pub plan: plan::Settings,
}

/// A program that can be called.
pub struct Executable {
    program: Program,
    engine: Engine,
    /// How many threads run it, where that is said.
    threads: Option<usize>,
    /// What kept it from the fastest target.
    hindrance: Option<Unsupported>,
}

enum Engine {
    Program,
    Plan(Box<Plan>),
    #[cfg(feature = "cranelift")]
    Native(Box<cranelift::Compiled>),
}

impl fmt::Debug for Executable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executable").field("program", &self.program.name).finish_non_exhaustive()
    }
}

/// Compiles a checked program; `dump` gets the text of every stage.
///
/// # Errors
/// Where the program does not fit the memory, or the target that is asked for cannot express it.
pub fn compile(
    program: Program,
    settings: &Settings,
    dump: &mut dyn FnMut(Phase, &dyn Fn() -> String),
) -> Result<Executable, Vec<Diagnostic>> {
    let secrets = ckks::refuse_secrets(&program);
    if !secrets.is_empty() {
        return Err(secrets);
    }
    let threads = settings.threads.or(program.cpu.threads.map(usize::from));
    dump(Phase::Program, &|| program.to_string());
    dump(Phase::Graph, &|| graph(&program).to_string());
    if settings.target == Some(Target::Interpret) {
        check_memory(&program, settings)?;
        return Ok(Executable { program, engine: Engine::Program, threads, hindrance: None });
    }
    let plan = plan(&program, settings).map_err(|diagnostic| vec![diagnostic])?;
    // Fewer than asked for where there is no memory for more.
    let threads =
        if threads.unwrap_or_else(pool::threads) > plan.threads { Some(plan.threads) } else { threads };
    dump(Phase::Plan, &|| plan.to_string());
    let interpreted = |program, plan, hindrance| {
        Ok(Executable { program, engine: Engine::Plan(Box::new(plan)), threads, hindrance })
    };
    if settings.target == Some(Target::InterpretPlan) {
        return interpreted(program, plan, None);
    }
    match native(&plan, settings, dump) {
        Ok(engine) => Ok(Executable { program, engine, threads, hindrance: None }),
        Err(hindrance) if settings.target.is_none() => interpreted(program, plan, Some(hindrance)),
        Err(hindrance) => Err(vec![unsupported_diagnostic(&hindrance)]),
    }
}

#[cfg(feature = "cranelift")]
fn native(
    plan: &Plan,
    settings: &Settings,
    dump: &mut dyn FnMut(Phase, &dyn Fn() -> String),
) -> Result<Engine, Unsupported> {
    enter("native code");
    let machine = Machine::host();
    let compiled = cranelift::compile(plan, &machine)?.among(settings.plan.processes.clone());
    dump(Phase::Loops, &|| loops::lower(plan, &machine).to_string());
    dump(Phase::Clif, &|| cranelift::clif(plan, &machine).unwrap_or_else(|hindrance| hindrance.what));
    Ok(Engine::Native(Box::new(compiled)))
}

#[cfg(not(feature = "cranelift"))]
fn native(
    _: &Plan,
    _: &Settings,
    _: &mut dyn FnMut(Phase, &dyn Fn() -> String),
) -> Result<Engine, Unsupported> {
    let what = "native code: this build has no feature `cranelift`".to_string();
    Err(Unsupported { place: Span::default(), what })
}

/// What a target cannot do as the user reads it.
pub fn unsupported_diagnostic(hindrance: &Unsupported) -> Diagnostic {
    let diagnostic = Diagnostic::error(Code::Unsupported, format!("there is no {} yet", hindrance.what));
    match hindrance.place == Span::default() {
        true => diagnostic,
        false => diagnostic.label(hindrance.place, "asked for here"),
    }
}

/// Refuses programs whose tensors do not fit the memory all together: the interpreter keeps them all.
fn check_memory(program: &Program, settings: &Settings) -> Result<(), Vec<Diagnostic>> {
    let limit = settings.memory.unwrap_or_else(default_memory);
    let limit = program.memory_limit.map_or(limit, |own| own.min(limit));
    let needed = program.tensors.iter().try_fold(0u64, |sum, (_, tensor)| {
        let bytes = Tensor::bytes_needed(tensor.dtype, &tensor.shape)?;
        sum.checked_add(bytes as u64)
    });
    if needed.is_some_and(|needed| needed <= limit) {
        return Ok(());
    }
    let needed = needed.map_or("more than can be counted".to_string(), show_bytes);
    let message = format!("the tensors of the program need {needed}, and the limit is {}", show_bytes(limit));
    Err(vec![
        Diagnostic::error(Code::MemoryLimit, message)
            .help("raise the limit with `--memory`, or make the sizes smaller"),
    ])
}

/// The graph of a program, after its passes.
///
/// Every pass is followed by the verifier in debug builds; a broken law is a bug of ours and ends in its report.
pub fn graph(program: &Program) -> Graph {
    enter("graph");
    let verify = |name: &'static str, graph: &Graph| {
        if cfg!(debug_assertions)
            && let Err(law) = graph.verify()
        {
            panic!("bug in pass `{name}`: {law}\n{graph}");
        }
    };
    let built = Graph::new(program);
    verify("build", &built);
    pass::run(built, graph::PASSES, &mut |name, graph| verify(name, graph))
}

/// The contraction orders that `@plan("file")` gives.
fn given_orders(program: &Program) -> Result<Option<Locked>, Box<Diagnostic>> {
    let mut orders: Option<Locked> = None;
    for given in &program.plans {
        let read = Locked::read(&given.text, false).map_err(|reason| {
            Diagnostic::error(Code::LockedPlan, format!("the file is no plan: {reason}"))
                .label(given.place, "the plan to take")
        })?;
        orders = Some(orders.map_or(read.clone(), |orders| orders.and(read)));
    }
    Ok(orders)
}

/// The plan of a program.
///
/// # Errors
/// Where it does not fit the memory, or does not fit a plan that is given.
pub fn plan(program: &Program, settings: &Settings) -> Result<Plan, Diagnostic> {
    let graph = graph(program);
    enter("plan");
    let limit = settings.memory.unwrap_or_else(default_memory);
    let mut planning = plan::Settings { memory_limit: Some(limit), ..settings.plan.clone() };
    let threads = settings.threads.or(program.cpu.threads.map(usize::from)).unwrap_or_else(pool::threads);
    let deterministic = settings.deterministic || program.cpu.deterministic;
    if deterministic {
        // What is free decides whether the plan runs, and nothing about it.
        planning.memory_limit = settings.memory;
        planning.rates = Default::default();
        planning.cache = None;
        planning.late = None;
    }
    if let Some(given) = given_orders(program).map_err(|diagnostic| *diagnostic)? {
        let locked = planning.locked.take().map_or(given.clone(), |locked| (*locked).clone().and(given));
        planning.locked = Some(Arc::new(locked));
    }
    let settings = planning;
    let mut plan = plan::plan(&graph, &settings)?;
    plan.run_on(threads, program.memory_limit.map_or(limit, |own| own.min(limit)));
    if deterministic {
        plan::fits(&plan, limit)?;
    }
    if cfg!(debug_assertions)
        && let Err(law) = plan.verify()
    {
        panic!("bug in the planner: {law}\n{plan}");
    }
    Ok(plan)
}

/// Bytes of memory that are free, as the system says; 8 GiB where it does not say.
pub fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(8 << 30, |kib| kib.saturating_mul(1024))
}

/// 80 % of the free memory.
fn default_memory() -> u64 {
    free_memory() / 5 * 4
}

impl Executable {
    /// The program it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// How many threads it runs on, as native code.
    pub fn threads(&self) -> usize {
        self.threads.unwrap_or_else(pool::threads)
    }

    /// What runs it, in words.
    pub fn target_text(&self) -> String {
        match &self.engine {
            Engine::Program => "the interpreter".to_string(),
            Engine::Plan(_) => "the interpreter of plans".to_string(),
            #[cfg(feature = "cranelift")]
            Engine::Native(_) => match self.threads() {
                1 => "native code on one thread".to_string(),
                threads => format!("native code on {threads} threads"),
            },
        }
    }

    /// What kept the program from native code, if it is interpreted for want of a better target.
    pub fn hindrance(&self) -> Option<&Unsupported> {
        self.hindrance.as_ref()
    }

    /// Tensors for the results; until a run they hold anything. `None` where there is no memory for them.
    pub fn results(&self) -> Option<Vec<Tensor>> {
        let outputs = self.program.outputs.iter();
        outputs
            .map(|(_, id)| &self.program.tensors[*id])
            .map(|t| Tensor::unwritten(t.dtype, &t.shape))
            .collect()
    }

    /// Runs it on tensors of the program's types and shapes, in the order of its inputs, into such of its outputs.
    ///
    /// # Errors
    /// Tensors of another type or shape, or the first computed index that left its tensor.
    pub fn run(&self, inputs: &[&Tensor], results: &mut [Tensor]) -> Result<(), Stopped> {
        let fits = |tensor: &Tensor, id: program::TensorId| {
            let declared = &self.program.tensors[id];
            tensor.dtype() == declared.dtype && tensor.shape() == declared.shape
        };
        let all = inputs.len() == self.program.inputs.len()
            && results.len() == self.program.outputs.len()
            && inputs.iter().zip(&self.program.inputs).all(|(tensor, id)| fits(tensor, *id))
            && results.iter().zip(&self.program.outputs).all(|(tensor, (_, id))| fits(tensor, *id));
        if !all {
            return Err(self.misfit(inputs, results));
        }
        let located = |fault: Fault| {
            let at = locate::locate(&self.program, inputs, &fault);
            Stopped::Index(fault, at.unwrap_or_default())
        };
        let computed = match &self.engine {
            Engine::Program => interpret::run(&self.program, inputs),
            Engine::Plan(plan) => interpret::run_plan(plan, inputs),
            #[cfg(feature = "cranelift")]
            Engine::Native(compiled) => {
                return compiled.run(inputs, results, self.threads()).map_err(located);
            }
        };
        let computed = computed.map_err(located)?;
        for (result, computed) in results.iter_mut().zip(computed) {
            result.bytes_mut().copy_from_slice(computed.bytes());
        }
        Ok(())
    }

    fn misfit(&self, inputs: &[&Tensor], results: &[Tensor]) -> Stopped {
        let text = |dtype: DType, shape: &[u64]| format!("{dtype}{shape:?}");
        let given = inputs.iter().copied().chain(results);
        let given: Vec<String> = given.map(|tensor| text(tensor.dtype(), tensor.shape())).collect();
        let program = &self.program;
        let inputs = program.inputs.iter().map(|&id| (&program.tensors[id].name, id));
        let wanted: Vec<String> = inputs
            .chain(program.outputs.iter().map(|(name, id)| (name, *id)))
            .map(|(name, id)| {
                format!("{name}: {}", text(program.tensors[id].dtype, &program.tensors[id].shape))
            })
            .collect();
        Stopped::Misfit { given: given.join(", "), wanted: wanted.join(", ") }
    }
}

/// Everything that is wrong with a module for any sizes; where an entry point's sizes are all written in the source,
/// also what is wrong for these.
pub fn check_all(module: &Module, sources: &Sources) -> Vec<Diagnostic> {
    enter("check");
    let diagnostics = program::check_all(module);
    let fails = |list: &[Diagnostic]| list.iter().any(|one| one.severity == Severity::Error);
    if fails(&diagnostics) {
        return diagnostics;
    }
    let mut all = diagnostics;
    for entry in program::entries(module, sources) {
        let (program, mut found) = program::check(module, &entry.name, &Bindings::default());
        if let Some(Err(diagnostic)) = program.as_ref().map(given_orders) {
            found.push(*diagnostic);
        }
        let needs_sizes = |one: &Diagnostic| matches!(one.code, Code::UnboundDim | Code::InputType);
        if !found.iter().any(needs_sizes) {
            let new = |one: &Diagnostic| {
                all.iter().all(|other| (one.code, &one.labels) != (other.code, &other.labels))
            };
            let found: Vec<Diagnostic> = found.into_iter().filter(new).collect();
            all.extend(found);
        }
    }
    all
}

/// Checks an entry point for given sizes; warnings come beside the program.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(
    module: &Module,
    entry: &str,
    bindings: &Bindings,
) -> Result<(Program, Vec<Diagnostic>), Vec<Diagnostic>> {
    enter("check");
    let (program, mut diagnostics) = program::check(module, entry, bindings);
    if let Some(Err(diagnostic)) = program.as_ref().map(given_orders) {
        diagnostics.push(*diagnostic);
    }
    match program {
        Some(program) if diagnostics.iter().all(|d| d.severity == Severity::Warning) => {
            Ok((program, diagnostics))
        }
        _ => Err(diagnostics),
    }
}

/// The program of an einsum string for these operands; warnings come beside it.
///
/// # Errors
/// A string that does not fit, or operands of several element types.
pub fn einsum(spec: &str, operands: &[&Tensor]) -> Result<(Program, Vec<Diagnostic>), Diagnostic> {
    enter("check");
    let wrong = |message: String| Diagnostic::error(Code::BadEinsum, message);
    let dtypes: Vec<DType> = operands.iter().map(|tensor| tensor.dtype()).collect();
    let Some(&dtype) = dtypes.first() else {
        return Err(wrong(format!("the einsum \"{spec}\" has no operands")));
    };
    if let Some(k) = dtypes.iter().position(|other| *other != dtype) {
        return Err(Diagnostic::error(
            Code::DTypeMismatch,
            format!("operand 0 has elements of type {dtype}, and operand {k} of type {}", dtypes[k]),
        )
        .help("nothing is promoted silently; convert one of them"));
    }
    let shapes: Vec<Vec<u64>> = operands.iter().map(|tensor| tensor.shape().to_vec()).collect();
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    let refused = |error: EinsumError| {
        let diagnostic = wrong(format!("einsum \"{spec}\": {error}"));
        match error.position {
            Some(position) => diagnostic.note(format!("at byte {position} of the string")),
            None => diagnostic,
        }
    };
    let parsed = einsum::parse(spec, &ranks).map_err(refused)?;
    let made = einsum::program(&parsed, dtype, &shapes).map_err(refused)?;
    let warning = |text: String| Diagnostic::warning(Code::SizeOneBroadcast, text);
    Ok((made.program, made.warnings.into_iter().map(warning).collect()))
}

/// Why a run stopped, as the user reads it.
pub fn stopped_diagnostic(stopped: &Stopped, sources: &Sources) -> Diagnostic {
    let (Fault { tensor, checked, extent, value, place }, at) = match stopped {
        Stopped::Index(fault, at) => (fault, at),
        Stopped::Misfit { given, wanted } => {
            return Diagnostic::error(Code::InputExtent, format!("the tensors are {given}"))
                .note(format!("the program needs {wanted}"));
        }
    };
    let (message, label, help) = match checked {
        Checked::Index(dim) => (
            format!("index {value} is outside `{tensor}`: its dim {dim} has {extent} elements"),
            format!("index {value} for dim {dim}"),
            "`@bounds(clamp)` above the statement takes the nearest element instead",
        ),
        Checked::End => (
            format!(
                "a range read from `{tensor}` ends at {value}, outside 0 to {}",
                extent.saturating_sub(1)
            ),
            format!("an end is {value}"),
            "`@bounds(clamp)` above the statement cuts such ranges instead",
        ),
        Checked::Length => (
            format!("a range read from `{tensor}` ends {} before it starts", value.unsigned_abs()),
            "the ends fall here".to_string(),
            "`@bounds(clamp)` above the statement takes such ranges as empty instead",
        ),
    };
    let error = Diagnostic::error(Code::IndexFault, message);
    let known = (place.file as usize) < sources.files().len() && place.end > place.start;
    let error = if known { error.label(*place, label) } else { error };
    let at: Vec<String> = at.iter().map(|(index, value)| format!("`{index}` = {value}")).collect();
    let error = if at.is_empty() { error } else { error.note(format!("there, {}", at.join(", "))) };
    error.help(help)
}

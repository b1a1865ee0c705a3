//! `einc plan`: how a program or a tensor network is contracted, and what that costs.

use super::args::{Objective, PlanArgs, PlanFormat};
use super::failure::Failure;
use super::open::{self, Opened};
use super::{Told, arrays, encrypted, planning, progress};
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::{self, Phase};
use crate::plan::network::{self, Named};
use crate::plan::search::{self, MemoryLimit, Options, Plan, Progress, Refusal, StepTime};
use crate::plan::{self, Goal, cost, flops_as_written};
use crate::program::Role;
use crate::source::Sources;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs the command.
pub fn plan(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    let cancel = planning::interruptible();
    let text = match Path::new(&args.program).extension().is_some_and(|extension| extension == "json") {
        true => contraction(args, told, &cancel),
        false => program(args, told, &cancel),
    };
    planning::uninterruptible();
    if cancel.load(Ordering::Relaxed) && !told.quiet {
        eprintln!("note: interrupted; this is the best plan found so far");
    }
    match (&args.output, text?) {
        (Some(path), text) => arrays::write_text(path, &text).map(|()| (0, String::new())),
        (None, text) => Ok((0, text)),
    }
}

fn goal(objective: Objective) -> Goal {
    match objective {
        Objective::Time => Goal::Time,
        Objective::Flops => Goal::Macs,
        Objective::Ops => Goal::Flops,
        Objective::Memory => Goal::Peak,
        Objective::Write => Goal::Write,
        Objective::Size => Goal::Size,
        Objective::Combo => Goal::Combo,
    }
}

fn program(args: &PlanArgs, told: &Told, cancel: &Arc<AtomicBool>) -> Result<String, Failure> {
    let (encryption, sizes) = match encrypted::wanted(&args.cipher) {
        true => {
            let (settings, sizes) = encrypted::settings(&args.cipher, &args.sizes)?;
            (Some(settings), sizes)
        }
        false => (None, args.sizes.clone()),
    };
    let phases = open::phases(&args.dump)?;
    let (dims, dtypes) = open::sizes(&sizes)?;
    let Opened { sources, module, entry } = open::file(&args.program)?;
    let bindings = pipeline::bindings(dims, dtypes, std::iter::empty());
    let (program, warnings) = match pipeline::check(&module, &entry, &bindings) {
        Ok(checked) => checked,
        Err(diagnostics) => return Err(Failure::Diagnostics(diagnostics, sources)),
    };
    told.warn(warnings, &sources)?;
    if let Some(encryption) = encryption {
        let compiled = encrypted::compile(program, &encryption, told, &sources)?;
        if phases.contains(&Phase::Slots) {
            return Ok(open::dumped(Phase::Slots, &compiled.slots.to_string()));
        }
        return match args.cipher.emit {
            Some(emitted) => Ok(encrypted::emitted(&compiled, &BTreeMap::new(), emitted, &sources)?),
            None => Ok(encrypted::plan(&compiled, args.format)),
        };
    }
    let settings = pipeline::Settings {
        memory: args.machine.memory,
        deterministic: args.machine.deterministic,
        plan: plan::Settings {
            seed: args.seed,
            objective: goal(args.objective),
            work: args.work,
            seconds: args.time_limit,
            cancel: Some(cancel.clone()),
            // A search of a length that is asked for is one for the very sizes.
            late: match (args.work, args.time_limit) {
                (None, None) => planning::late(&module, &program),
                _ => None,
            },
            ..planning::settings(&args.planning)?
        },
        ..pipeline::Settings::default()
    };
    let input = |name: &String| program.inputs.iter().any(|&id| program.tensors[id].name == *name);
    if let Some(name) = args.params.iter().find(|name| !input(name)) {
        let message = format!("`--params` names `{name}`, and `{}` has no such input", program.name);
        return Err(Failure::of(Diagnostic::error(Code::UnknownName, message)));
    }
    let plan = {
        let _progress = progress::Progress::start(told.progress, "planning");
        match pipeline::plan(&program, &settings) {
            Ok(plan) => plan,
            Err(diagnostic) => return Err(Failure::Diagnostics(vec![diagnostic], sources)),
        }
    };
    let parameters = program
        .inputs
        .iter()
        .map(|&id| &program.tensors[id])
        .filter(|tensor| tensor.role == Role::Param || args.params.contains(&tensor.name))
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum();
    // Pictures do not show them.
    let ranged = match args.format {
        PlanFormat::Json | PlanFormat::Text => {
            pipeline::over_ranges(&module, &program, &plan, &settings.plan)
        }
        PlanFormat::Svg | PlanFormat::Html => Vec::new(),
    };
    let report = plan::report::Report {
        plan: &plan,
        cost: &cost(&plan, &settings.plan.rates),
        written: flops_as_written(&program),
        parameters,
        limit: [args.machine.memory, program.memory_limit].into_iter().flatten().min(),
        ranged: &ranged,
    };
    Ok(match args.format {
        PlanFormat::Json => plan::report::json(&report),
        PlanFormat::Text => plan::report::text(&report),
        PlanFormat::Svg => plan::report::svg(&report),
        PlanFormat::Html => plan::report::html(&report),
    })
}

fn contraction(args: &PlanArgs, told: &Told, cancel: &Arc<AtomicBool>) -> Result<String, Failure> {
    let wrong = |message: String| {
        Failure::of(Diagnostic::error(Code::File, format!("`{}`: {message}", args.program)).help(
            "a network is `{\"inputs\": [[0, 1], [1, 2]], \"output\": [0, 2], \"sizes\": [4, 5, 6]}`: axes by number",
        ))
    };
    let text = open::read_file(Path::new(&args.program))?;
    let Named { name, network } = network::read(&text).map_err(wrong)?;
    let rates = planning::rates();
    // The network has no element type; eight bytes are those of an f64.
    let time = StepTime::new(&rates, 8);
    let objective = goal(args.objective).of(&time);
    let plan = match &args.planning.locked_plan {
        Some(path) => given(path, &network, &objective)?,
        None => {
            let progress = progress::Progress::start(told.progress, "searching");
            let mut report = |found: &Progress| {
                let share = 100.0 * found.work as f64 / found.budget.max(1) as f64;
                progress
                    .say(format!("searching: log2 {:.3} after {share:.0} % of the work", found.log2_value));
            };
            let mut options = Options {
                objective,
                memory: args.machine.memory.map(|bytes| MemoryLimit::Total(bytes as f64 / 8.0)),
                seed: args.seed,
                work: args.work,
                seconds: args.time_limit,
                frugal: false,
                progress: Some(&mut report),
                cancel: Some(cancel),
            };
            let found =
                planning::cache(&args.planning).optimize(&network, &mut options, &format!("{rates:?} 8"));
            found.map_err(|refusal| refused(refusal, wrong))?
        }
    };
    if let Some(factor) = overhead(&network, &plan).filter(|factor| *factor > 2.0) {
        let message = format!("slicing multiplies the work by {factor:.1}");
        let warning = Diagnostic::warning(Code::MemoryLimit, message).help("more memory needs fewer slices");
        told.warn(vec![warning], &Sources::default())?;
    }
    let report = network::report::Report {
        name: &name,
        network: &network,
        plan: &plan,
        limit: args.machine.memory,
        rates,
    };
    Ok(match args.format {
        PlanFormat::Json => network::report::json(&report),
        PlanFormat::Text => network::report::text(&report),
        PlanFormat::Svg => network::report::svg(&report),
        PlanFormat::Html => network::report::html(&report),
    })
}

/// How many times as much a plan does as its order without slices.
fn overhead(network: &search::Network, plan: &Plan) -> Option<f64> {
    let whole = search::evaluate(network, &plan.path, &[]).ok().filter(|_| !plan.slices.is_empty())?;
    Some(10f64.powf(plan.cost.macs.log10() - whole.macs.log10()))
}

fn refused(refusal: Refusal, wrong: impl Fn(String) -> Failure) -> Failure {
    match &refusal {
        Refusal::Memory { best, .. } => Failure::of(
            Diagnostic::error(Code::MemoryLimit, refusal.to_string())
                .note(format!(
                    "it has {} slices, and its largest intermediate has 2^{:.1} elements",
                    best.slices.len(),
                    best.cost.size.log2()
                ))
                .help("allow more with `--memory`"),
        ),
        other => wrong(other.to_string()),
    }
}

/// The plan of a file.
fn given(path: &Path, network: &search::Network, objective: &search::Objective<'_>) -> Result<Plan, Failure> {
    let no_plan = |reason: String| {
        let message = format!("`{}` is no plan of this network: {reason}", path.display());
        Failure::of(Diagnostic::error(Code::LockedPlan, message))
    };
    let (pairs, slices) = network::read_plan(&open::read_file(path)?, network).map_err(no_plan)?;
    search::restore(network, &pairs, &slices, objective).map_err(|refusal| no_plan(refusal.to_string()))
}

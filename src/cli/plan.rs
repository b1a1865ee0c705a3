//! `einc plan`: how a program or a tensor network is contracted, and what that costs.

use super::args::{Objective, PlanArgs, PlanFormat};
use super::failure::Failure;
use super::open::{self, Opened};
use super::{Told, progress};
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline;
use crate::plan::network::{self, report};
use crate::plan::search::{self, MemoryLimit, Options, Refusal};
use crate::plan::{Step, cost, flops_as_written, show_bytes};
use crate::program::Role;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Runs the command.
pub fn plan(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    match Path::new(&args.program).extension().is_some_and(|extension| extension == "json") {
        true => contraction(args, told),
        false => program(args, told),
    }
}

fn program(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    let (dims, dtypes) = open::sizes(&args.sizes)?;
    let Opened { sources, module, entry } = open::file(&args.program)?;
    let bindings = pipeline::bindings(dims, dtypes, std::iter::empty());
    let (program, warnings) = match pipeline::check(&module, &entry, &bindings) {
        Ok(checked) => checked,
        Err(diagnostics) => return Err(Failure::Diagnostics(diagnostics, sources)),
    };
    told.warn(&warnings, &sources);
    let _progress = progress::Progress::start(told.progress, "planning");
    let settings = pipeline::Settings { memory: args.machine.memory, ..pipeline::Settings::default() };
    let plan = match pipeline::plan(&program, &settings) {
        Ok(plan) => plan,
        Err(diagnostic) => return Err(Failure::Diagnostics(vec![diagnostic], sources)),
    };
    let cost = cost(&plan);
    let written = flops_as_written(&program);
    let input = |name: &String| program.inputs.iter().any(|&id| program.tensors[id].name == *name);
    if let Some(name) = args.params.iter().find(|name| !input(name)) {
        let message = format!("`--params` names `{name}`, and `{}` has no such input", program.name);
        return Err(Failure::of(Diagnostic::error(Code::UnknownName, message)));
    }
    let parameters: u64 = program
        .inputs
        .iter()
        .map(|&id| &program.tensors[id])
        .filter(|tensor| tensor.role == Role::Param || args.params.contains(&tensor.name))
        .map(|tensor| tensor.shape.iter().product::<u64>())
        .sum();
    let (contractions, others) = count(&plan.steps);
    let text = match args.format {
        PlanFormat::Json => {
            let steps: Vec<Value> = cost
                .steps
                .iter()
                .map(|step| {
                    json!({ "name": step.name, "kind": step.kind, "flops": step.flops, "bytes": step.bytes })
                })
                .collect();
            let value = json!({
                "name": plan.name,
                "contractions": contractions,
                "other_steps": others,
                "steps": steps,
                "flops_as_written": written,
                "flops": cost.flops,
                "bytes_moved": cost.bytes,
                "parameters": parameters,
                "arena_bytes": plan.arena,
                "memory_bytes": cost.peak,
                "plan": plan.to_string().lines().collect::<Vec<_>>(),
            });
            format!("{value:#}\n")
        }
        PlanFormat::Svg => {
            return Err(Failure::of(
                Diagnostic::error(Code::Unsupported, "a plan is drawn of networks (`NETWORK.json`) only")
                    .help("`einc graph FILE --format svg` draws a program"),
            ));
        }
        PlanFormat::Text => {
            let mut out = format!("{plan}\n");
            for step in &cost.steps {
                let (flops, bytes) = (short(step.flops), short(step.bytes));
                let _ = writeln!(out, "{:9} {flops:>9}flop {bytes:>9}B  {}", step.kind, step.name);
            }
            let _ = write!(
                out,
                "\nas written {}flop, planned {}flop, {}B moved\n\
                 {contractions} contractions, {others} other steps\n\
                 memory {}, of which intermediates {}\n",
                short(written),
                short(cost.flops),
                short(cost.bytes),
                show_bytes(cost.peak),
                show_bytes(plan.arena)
            );
            if parameters > 0 {
                let _ = writeln!(out, "parameters {parameters}");
            }
            out
        }
    };
    Ok((0, text))
}

/// How many contractions and other steps there are, scans not counted but what is in them.
fn count(steps: &[Step]) -> (u64, u64) {
    steps.iter().fold((0, 0), |(contractions, others), step| match step {
        Step::Contract(_) => (contractions + 1, others),
        Step::Scan(scan) => {
            let inner = count(&scan.body);
            (contractions + inner.0, others + inner.1)
        }
        _ => (contractions, others + 1),
    })
}

/// `33.6 M`, `512 `.
fn short(number: f64) -> String {
    let units = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = number;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number} ") } else { format!("{value:.1} {}", units[unit]) }
}

/// What a multiply-add weighs against an element that is written, in the objectives that have both.
const WRITE_WEIGHT: f64 = 64.0;

fn contraction(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    let wrong = |message: String| {
        Failure::of(Diagnostic::error(Code::File, format!("`{}`: {message}", args.program)).help(
            "a network is `{\"inputs\": [[0, 1], [1, 2]], \"output\": [0, 2], \"sizes\": [4, 5, 6]}`: axes by number",
        ))
    };
    let text = open::read_file(Path::new(&args.program))?;
    let network = network::read(&text).map_err(wrong)?.network;
    let mut options = Options {
        objective: match args.objective {
            Objective::Flops => search::Objective::Flops,
            Objective::Memory => search::Objective::Peak,
            Objective::Write => search::Objective::Write,
            Objective::Size => search::Objective::Size,
            Objective::Time | Objective::Combo => search::Objective::Combo(WRITE_WEIGHT),
        },
        // The network has no element type; eight bytes are those of an f64.
        memory: args.machine.memory.map(|bytes| MemoryLimit::Total(bytes as f64 / 8.0)),
        seed: args.seed,
        seconds: args.time_limit,
        ..Options::default()
    };
    let found = {
        let _progress = progress::Progress::start(told.progress, "searching");
        search::optimize(&network, &mut options)
    };
    let plan = found.map_err(|refusal| match refusal {
        Refusal::Memory { .. } => Failure::of(
            Diagnostic::error(Code::MemoryLimit, refusal.to_string()).help("allow more with `--memory`"),
        ),
        other => wrong(other.to_string()),
    })?;
    let text = match args.format {
        PlanFormat::Json => report::json(&network, &plan),
        PlanFormat::Text => report::text(&network, &plan),
        PlanFormat::Svg => report::svg(&network, &plan),
    };
    Ok((0, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(512.0), "512 ");
        assert_eq!(short(33_600_000.0), "33.6 M");
    }
}

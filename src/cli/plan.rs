//! `einc plan`: how a program or a tensor network is contracted, and what that costs.

use super::args::{Objective, PlanArgs, PlanFormat};
use super::failure::Failure;
use super::open::{self, Opened};
use super::{Told, progress};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::AxisId;
use crate::pipeline;
use crate::plan::search::{self, MemoryLimit, Network, Options, Refusal};
use crate::plan::{Plan, Step, show_bytes};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Runs the command.
pub fn plan(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    match Path::new(&args.program).extension().is_some_and(|extension| extension == "json") {
        true => network(args, told),
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
    let work = Work::of(&plan);
    let text = match args.format {
        PlanFormat::Json => {
            let steps = json!({ "contractions": work.contractions, "others": work.others });
            let value = json!({
                "name": plan.name,
                "steps": steps,
                "contraction_flops": work.flops,
                "other_points": work.points,
                "arena_bytes": plan.arena,
                "memory_bytes": plan.memory(),
                "plan": plan.to_string().lines().collect::<Vec<_>>(),
            });
            format!("{value:#}\n")
        }
        PlanFormat::Text => {
            let mut out = plan.to_string();
            let _ = write!(
                out,
                "\n{} contractions, {}flop; {} other steps over {} points\n\
                 memory {}, of which intermediates {}\n",
                work.contractions,
                short(work.flops),
                work.others,
                short(work.points).trim_end(),
                show_bytes(plan.memory()),
                show_bytes(plan.arena)
            );
            out
        }
    };
    Ok((0, text))
}

/// What a plan does, added up.
#[derive(Debug, Default, PartialEq)]
struct Work {
    contractions: u64,
    /// A multiply-add is two.
    flops: f64,
    others: u64,
    /// Points of the loops of all other steps.
    points: f64,
}

impl Work {
    fn of(plan: &Plan) -> Work {
        let mut work = Work::default();
        work.add(plan, &plan.steps, 1.0);
        work
    }

    fn add(&mut self, plan: &Plan, steps: &[Step], times: f64) {
        let points = |axes: &mut dyn Iterator<Item = AxisId>| -> f64 {
            let distinct: BTreeSet<AxisId> = axes.collect();
            distinct.into_iter().map(|axis| plan.axes[axis].extent as f64).product()
        };
        for step in steps {
            match step {
                Step::Contract(contract) => {
                    let both = contract.a.strides.iter().chain(&contract.b.strides).map(|(axis, _)| *axis);
                    self.contractions += 1;
                    self.flops += 2.0 * times * points(&mut both.into_iter());
                }
                Step::Nest(nest) => {
                    let inner: f64 = nest
                        .reductions
                        .iter()
                        .map(|reduction| points(&mut reduction.axes.iter().copied()))
                        .sum::<f64>()
                        .max(1.0);
                    self.others += 1;
                    self.points += times * inner * points(&mut nest.axes.iter().copied());
                }
                Step::Along(along) => {
                    self.others += 1;
                    self.points += times * points(&mut along.rows.iter().chain(&along.axes).copied());
                }
                Step::Scatter(scatter) => {
                    self.others += 1;
                    self.points += times * points(&mut scatter.axes.iter().copied());
                }
                Step::Scan(scan) => self.add(plan, &scan.body, times * plan.axes[scan.axis].extent as f64),
            }
        }
    }
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

fn network(args: &PlanArgs, told: &Told) -> Result<(i32, String), Failure> {
    let wrong = |message: String| {
        Failure::of(Diagnostic::error(Code::File, format!("`{}`: {message}", args.program)).help(
            "a network is `{\"inputs\": [[0, 1], [1, 2]], \"output\": [0, 2], \"sizes\": [4, 5, 6]}`: axes by number",
        ))
    };
    let text = open::read_file(Path::new(&args.program))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let network = parse(&value).map_err(wrong)?;
    let mut options = Options {
        objective: match args.objective {
            Objective::Flops => search::Objective::Flops,
            Objective::Memory => search::Objective::Peak,
            Objective::Write => search::Objective::Write,
            Objective::Size => search::Objective::Size,
            Objective::Time | Objective::Combo => search::Objective::Combo(WRITE_WEIGHT),
        },
        // The network has no element type; eight bytes are those of an f64.
        memory: args.machine.memory.map(|bytes| MemoryLimit::Peak(bytes as f64 / 8.0)),
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
    let cost = &plan.cost;
    let text = match args.format {
        PlanFormat::Json => {
            let value = json!({
                "operands": network.inputs().len(),
                "path": plan.path,
                "slices": plan.slices,
                "log10_macs": cost.macs.log10(),
                "log2_size": cost.size.log2(),
                "log10_write": cost.write.log10(),
                "log2_peak": cost.peak.log2(),
                "runs": cost.runs.value(),
                "proven": plan.proven,
            });
            format!("{value}\n")
        }
        PlanFormat::Text => {
            let mut out = format!(
                "{} operands, {} axes\n\
                 multiply-adds  10^{:.2}\n\
                 largest step   2^{:.1} elements\n\
                 alive at once  2^{:.1} elements\n\
                 written        10^{:.2} elements\n",
                network.inputs().len(),
                network.extents().len(),
                cost.macs.log10(),
                cost.size.log2(),
                cost.peak.log2(),
                cost.write.log10()
            );
            if !plan.slices.is_empty() {
                let _ = writeln!(out, "slices         {:?}, {} runs", plan.slices, cost.runs.value());
            }
            let how = if plan.proven { "no order is cheaper" } else { "the best found" };
            let _ = writeln!(out, "order          {how}");
            for (k, (a, b)) in plan.path.iter().enumerate() {
                let _ = writeln!(out, "  {} = {a} {b}", network.inputs().len() + k);
            }
            out
        }
    };
    Ok((0, text))
}

/// A network from its JSON form.
fn parse(value: &Value) -> Result<Network, String> {
    let axis = |value: &Value| {
        value
            .as_u64()
            .and_then(|axis| u32::try_from(axis).ok())
            .ok_or_else(|| format!("`{value}` is no axis"))
    };
    let axes = |value: &Value| -> Result<Vec<u32>, String> {
        value.as_array().ok_or_else(|| format!("`{value}` is no list of axes"))?.iter().map(axis).collect()
    };
    let field = |name: &str| value.get(name).ok_or_else(|| format!("there is no `{name}`"));
    let list = |name: &str| field(name)?.as_array().ok_or_else(|| format!("`{name}` is no list"));
    let inputs = list("inputs")?.iter().map(axes).collect::<Result<Vec<_>, String>>()?;
    let sizes = list("sizes")?.iter().map(|size| size.as_u64().ok_or_else(|| format!("`{size}` is no size")));
    let sizes = sizes.collect::<Result<Vec<u64>, String>>()?;
    Network::new(inputs, axes(field("output")?)?, sizes).map_err(|refusal| refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_refused() {
        let network =
            parse(&json!({ "inputs": [[0, 1], [1, 2]], "output": [0, 2], "sizes": [4, 5, 6] })).unwrap();
        assert_eq!(network.extents(), [4, 5, 6]);
        for wrong in [
            json!([]),
            json!({ "inputs": [[0]], "output": [] }),
            json!({ "inputs": [[7]], "output": [], "sizes": [2] }),
            json!({ "inputs": [[0]], "output": [0, 0], "sizes": [2] }),
            json!({ "inputs": [[-1]], "output": [], "sizes": [2] }),
            json!({ "inputs": 3, "output": [], "sizes": [2] }),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(512.0), "512 ");
        assert_eq!(short(33_600_000.0), "33.6 M");
    }
}

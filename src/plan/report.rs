//! The plan of a program for people and for programs: as text, as JSON, as a picture, and as a page with everything.

use super::picture::{self, Node, Page};
use super::search::Amount;
use super::{Cost, Place, Plan, Ranged, Step, StepCost, show_bytes};
use crate::plan::network::report::short_time;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A plan, and what a report about it can say.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it costs.
    pub cost: &'a Cost,
    /// The operations of the program as it is written.
    pub written: f64,
    /// The elements of its parameters.
    pub parameters: u64,
    /// The bytes that it may take.
    pub limit: Option<u64>,
    /// The orders over the ranges that the program declares for sizes.
    pub ranged: &'a [Ranged],
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
    if unit == 0 { format!("{} ", number.round()) } else { format!("{value:.1} {}", units[unit]) }
}

fn time(seconds: f64) -> String {
    short_time(Amount::new(seconds))
}

/// Operations, and functions where there are any.
fn work(flops: f64, functions: f64) -> String {
    match functions > 0.0 {
        true => format!("{}flop and {}functions", short(flops), short(functions)),
        false => format!("{}flop", short(flops)),
    }
}

/// The plan, its steps and the sums.
pub fn text(report: &Report<'_>) -> String {
    let Report { plan, cost, .. } = report;
    let mut out = format!("{plan}\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{:9} {:6} {:>13} {:>9} {:>10} {:>10} {:>10}  result",
        "step", "kernel", "work", "functions", "moved", "time", "alive"
    );
    for step in &cost.steps {
        let (flops, bytes) = (short(step.flops), short(step.bytes));
        let _ = writeln!(
            out,
            "{:9} {:6} {flops:>9}flop {:>9} {bytes:>9}B {:>10} {:>10}  {}",
            step.kind,
            step.kernel,
            if step.functions > 0.0 { short(step.functions) } else { String::new() },
            time(step.seconds),
            show_bytes(step.alive),
            step.name
        );
    }
    for order in &plan.orders {
        let path: Vec<String> = order.path.iter().map(|(a, b)| format!("{a}*{b}")).collect();
        let how = if path.is_empty() { "one loop nest".to_string() } else { path.join(" ") };
        let _ = write!(out, "order of `{}`: {how}", order.name);
        if !order.slices.is_empty() {
            let slices: Vec<&str> = order
                .slices
                .iter()
                .filter_map(|&axis| Some(order.axes.get(axis as usize)?.as_str()))
                .collect();
            let _ = write!(out, ", sliced along {}", slices.join(", "));
        }
        out.push('\n');
    }
    report.ranged.iter().for_each(|ranged| out.push_str(&ranged.text()));
    let (contractions, others) = count(&plan.steps);
    let _ = write!(
        out,
        "\nas written {}flop, planned {}, {}B moved, {} predicted on one thread\n\
         {contractions} contractions, {others} other steps\n\
         memory {}, of which intermediates {}",
        short(report.written),
        work(cost.flops, cost.functions),
        short(cost.bytes),
        time(cost.seconds),
        show_bytes(cost.peak),
        show_bytes(plan.arena)
    );
    if let Some(limit) = report.limit {
        let _ = write!(out, "; the limit is {}", show_bytes(limit));
    }
    out.push('\n');
    if report.parameters > 0 {
        let _ = writeln!(out, "parameters {}", report.parameters);
    }
    out
}

/// The plan as JSON. `orders` is what `--locked-plan` and `@plan` read.
pub fn json(report: &Report<'_>) -> String {
    let Report { plan, cost, .. } = report;
    let step = |step: &StepCost| {
        json!({
            "name": step.name,
            "kind": step.kind,
            "kernel": step.kernel,
            "flops": step.flops,
            "functions": step.functions,
            "bytes": step.bytes,
            "seconds": step.seconds,
            "alive_bytes": step.alive,
        })
    };
    let (contractions, others) = count(&plan.steps);
    let value = json!({
        "name": plan.name,
        "contractions": contractions,
        "other_steps": others,
        "steps": cost.steps.iter().map(step).collect::<Vec<Value>>(),
        "orders": plan.orders.iter().map(|order| order.json()).collect::<Vec<Value>>(),
        "ranges": report.ranged.iter().map(Ranged::json).collect::<Vec<Value>>(),
        "flops_as_written": report.written,
        "flops": cost.flops,
        "functions": cost.functions,
        "bytes_moved": cost.bytes,
        "predicted_seconds": cost.seconds,
        "parameters": report.parameters,
        "arena_bytes": plan.arena,
        "memory_bytes": cost.peak,
        "memory_limit": report.limit,
        "plan": plan.to_string().lines().collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

/// Inputs and steps as nodes of a picture.
fn nodes(plan: &Plan, cost: &Cost) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    // What holds the value of each buffer now.
    let mut holder: BTreeMap<super::BufferId, usize> = BTreeMap::new();
    let log = |value: f64| value.max(1.0).log2();
    for (step, measured) in plan.steps.iter().zip(&cost.steps) {
        let mut operands = Vec::new();
        step.for_each_buffer(&mut |id| {
            let buffer = &plan.buffers[id];
            if !holder.contains_key(&id) && matches!(buffer.place, Place::Input(_) | Place::Constant(_)) {
                holder.insert(id, nodes.len());
                nodes.push(Node {
                    operands: Vec::new(),
                    label: buffer.name.clone(),
                    title: format!("{} {} {}", buffer.name, buffer.dtype, buffer.elems),
                    size: log(buffer.elems as f64),
                    work: None,
                });
            }
            if let Some(&node) = holder.get(&id)
                && !operands.contains(&node)
            {
                operands.push(node);
            }
        });
        let mut elems = 0;
        step.for_each_result(&mut |id| {
            holder.insert(id, nodes.len());
            elems = elems.max(plan.buffers[id].elems);
        });
        nodes.push(Node {
            operands,
            label: measured.name.clone(),
            title: format!(
                "{} {}: {}, {}B, {}",
                measured.kind,
                measured.name,
                work(measured.flops, measured.functions),
                short(measured.bytes),
                time(measured.seconds)
            ),
            size: log(elems as f64),
            work: Some(log(measured.flops + measured.functions)),
        });
    }
    nodes
}

/// Draws which step feeds which.
pub fn svg(report: &Report<'_>) -> String {
    picture::tree(&nodes(report.plan, report.cost))
}

/// A page with everything: sums, the steps as a picture and as a table, memory over time, the plan itself.
pub fn html(report: &Report<'_>) -> String {
    let Report { plan, cost, .. } = report;
    let (contractions, others) = count(&plan.steps);
    let mut facts = vec![
        ["as written".to_string(), format!("{}flop", short(report.written))],
        [
            "planned".to_string(),
            format!("{}, {}B moved", work(cost.flops, cost.functions), short(cost.bytes)),
        ],
        ["predicted".to_string(), format!("{} on one thread", time(cost.seconds))],
        ["steps".to_string(), format!("{contractions} contractions, {others} others")],
        [
            "memory".to_string(),
            format!("{}, of which intermediates {}", show_bytes(cost.peak), show_bytes(plan.arena)),
        ],
    ];
    if let Some(limit) = report.limit {
        facts.push(["limit".to_string(), show_bytes(limit)]);
    }
    // What the limit leaves for intermediates.
    let fixed = cost.peak.saturating_sub(plan.arena);
    let row = |(number, step): (usize, &StepCost)| {
        vec![
            number.to_string(),
            step.name.clone(),
            step.kind.to_string(),
            step.kernel.to_string(),
            short(step.flops),
            short(step.functions),
            short(step.bytes),
            time(step.seconds),
            show_bytes(step.alive),
        ]
    };
    picture::html(&Page {
        title: plan.name.clone(),
        facts,
        nodes: nodes(plan, cost),
        alive: cost.steps.iter().map(|step| step.alive as f64).collect(),
        limit: report.limit.map(|limit| limit.saturating_sub(fixed) as f64),
        heads: vec!["step", "result", "kind", "kernel", "flop", "functions", "bytes", "time", "alive"],
        rows: cost.steps.iter().enumerate().map(row).collect(),
        text: plan.to_string(),
    })
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

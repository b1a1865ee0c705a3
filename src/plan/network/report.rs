//! A plan for people and for programs: as text, as JSON, as a picture of its tree, and as a page with everything.

use crate::plan::picture::{self, Node, Page};
use crate::plan::search::{
    Amount, Kernel, Network, Plan, Rates, Step, StepTime, evaluate, memory_over_time, steps,
};
use serde_json::{Value, json};
use std::fmt::Write;

use super::to_linear;

/// Up to this many steps are all listed; of longer plans only as many, the most expensive ones.
const LISTED: usize = 60;

/// Beyond so many operands a network is not measured as written: the results of such an order have too many axes.
const WRITTEN: usize = 2000;

/// Bytes of an element: networks have no element type, so that of `f64` is taken.
const ELEMENT: f64 = 8.0;

/// A plan, and what a report about it can say.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// How the network is called; may be empty.
    pub name: &'a str,
    /// The network.
    pub network: &'a Network,
    /// The plan.
    pub plan: &'a Plan,
    /// The bytes that inputs, output and results may take together.
    pub limit: Option<u64>,
    /// The machine whose times are predicted.
    pub rates: Rates,
}

/// What a report is made of.
struct Facts {
    steps: Vec<Step>,
    memory: Vec<Amount>,
    /// The predicted seconds of each step, within one run.
    seconds: Vec<Amount>,
}

impl Facts {
    /// The predicted seconds of the whole plan.
    fn time(&self, plan: &Plan) -> Amount {
        self.seconds.iter().copied().sum::<Amount>() * plan.cost.runs
    }
}

/// Measures a plan; none if it is not a plan of the network.
fn facts(report: &Report<'_>) -> Option<Facts> {
    let Report { network, plan, .. } = report;
    let steps = steps(network, &plan.path, &plan.slices).ok()?;
    let time = StepTime::new(&report.rates, ELEMENT as u64);
    Some(Facts {
        seconds: steps.iter().map(|step| Amount::from_log2(time.log2_seconds(&step.shape))).collect(),
        memory: memory_over_time(network, &plan.path, &plan.slices).ok()?,
        steps,
    })
}

/// What a step becomes in native code.
fn kernel(step: &Step) -> &'static str {
    let shape = &step.shape;
    Kernel::of(shape.left_free(), shape.right_free(), shape.contracted()).name()
}

/// The bytes that a step reads and writes.
fn bytes(step: &Step) -> Amount {
    let shape = &step.shape;
    let elems = [shape.left, shape.right, shape.result].map(Amount::from_log2).into_iter().sum::<Amount>();
    elems * Amount::new(ELEMENT)
}

/// A number as people read it: whole while it is short, then three digits and a power of ten.
fn short(amount: Amount) -> String {
    let value = amount.value();
    if value < 1e6 {
        return if value.fract() == 0.0 { amount.to_string() } else { format!("{value:.0}") };
    }
    let log = amount.log10();
    let exponent = log.floor();
    let mantissa = Amount::from_log2((log - exponent) * std::f64::consts::LOG2_10).value();
    format!("{mantissa:.2}e{exponent}")
}

/// A time as people read it.
pub fn short_time(seconds: Amount) -> String {
    let value = seconds.value();
    match value {
        _ if value < 1e-3 => format!("{:.1} us", value * 1e6),
        _ if value < 1.0 => format!("{:.1} ms", value * 1e3),
        _ if value < 1e5 => format!("{value:.1} s"),
        _ => format!("10^{:.1} s", seconds.log10()),
    }
}

fn axes(list: &[u32]) -> String {
    let names: Vec<String> = list.iter().map(u32::to_string).collect();
    format!("[{}]", names.join(","))
}

/// The share of the whole, in percent.
fn percent(part: Amount, whole: Amount) -> f64 {
    let log = part.log2() - whole.log2();
    if log.is_finite() { 100.0 * Amount::from_log2(log).value() } else { 0.0 }
}

/// One operand after the other.
fn as_written(inputs: usize) -> Vec<(usize, usize)> {
    (1..inputs).map(|k| (if k == 1 { 0 } else { inputs + k - 2 }, k)).collect()
}

/// What is said first, by names of at most nine letters.
fn summary(report: &Report<'_>, facts: &Facts) -> Vec<[String; 2]> {
    let Report { network, plan, .. } = report;
    let cost = &plan.cost;
    let inputs = network.inputs().len();
    let mut list = Vec::new();
    let mut add = |name: &str, value: String| list.push([name.to_string(), value]);
    let name = if report.name.is_empty() { String::new() } else { format!("{}, ", report.name) };
    add(
        "network",
        format!(
            "{name}{inputs} operands, {} axes, output {}",
            network.extents().len(),
            axes(network.output())
        ),
    );
    if (2..=WRITTEN).contains(&inputs)
        && let Ok(written) = evaluate(network, &as_written(inputs), &[])
    {
        add(
            "written",
            format!(
                "one operand after the other: {} multiply-adds, log10 {:.4}; largest log2 {:.2}",
                short(written.macs),
                written.macs.log10(),
                written.size.log2()
            ),
        );
    }
    add("work", format!("{} multiply-adds, log10 {:.4}", short(cost.macs), cost.macs.log10()));
    add("ops", format!("{}, log10 {:.4}", short(cost.ops), cost.ops.log10()));
    add("largest", format!("{} elements, log2 {:.2}", short(cost.size), cost.size.log2()));
    add("results", format!("{} elements, log2 {:.2}", short(cost.write), cost.write.log2()));
    let mut peak = format!("{} elements, log2 {:.2}, without the inputs", short(cost.peak), cost.peak.log2());
    if let Some(limit) = report.limit {
        let _ = write!(peak, "; the limit for everything is {}", crate::plan::show_bytes(limit));
    }
    add("peak", peak);
    add("time", format!("{} predicted, in f64 on one thread", short_time(facts.time(plan))));
    if plan.slices.is_empty() {
        add("slices", "none".into());
    } else {
        let mut text = format!("{}, {} runs", axes(&plan.slices), short(cost.runs));
        if let Ok(whole) = evaluate(network, &plan.path, &[]) {
            let factor = Amount::from_log2(cost.macs.log2() - whole.macs.log2()).value();
            let _ = write!(text, ", {factor:.2} times the multiply-adds of the same order without slices");
        }
        add("slices", text);
    }
    if plan.proven {
        add("optimum", "proven: no binary tree is better".into());
    } else if plan.log2_bound.is_finite() {
        let gap = plan.log2_value - plan.log2_bound;
        add(
            "optimum",
            format!(
                "at least log2 {:.2}; the plan has {:.2}, a gap of {gap:.2}",
                plan.log2_bound, plan.log2_value
            ),
        );
    } else {
        add("optimum", "unknown".into());
    }
    let capped = if plan.capped { ", ended by the clock before the work was done" } else { "" };
    add(
        "search",
        format!("{} units of work, {} rounds, {:.3} s{capped}", plan.work, plan.rounds, plan.seconds),
    );
    list
}

/// The heads of the table of steps.
const HEADS: [&str; 8] = ["step", "operands", "kernel", "result", "flops", "bytes", "time", "alive"];

/// The steps to list, the most expensive ones, in the order they run.
fn listed(facts: &Facts) -> Vec<usize> {
    let mut listed: Vec<usize> = (0..facts.steps.len()).collect();
    listed.sort_by(|&a, &b| facts.steps[b].shape.all.total_cmp(&facts.steps[a].shape.all).then(a.cmp(&b)));
    listed.truncate(LISTED);
    listed.sort_unstable();
    listed
}

/// The row of a step in the table.
fn row(report: &Report<'_>, facts: &Facts, number: usize) -> Vec<String> {
    let step = &facts.steps[number];
    let flops = if step.sums { step.macs * Amount::new(2.0) } else { step.macs };
    vec![
        (report.network.inputs().len() + number).to_string(),
        format!("{} * {}", step.operands.0, step.operands.1),
        kernel(step).to_string(),
        short(step.size),
        short(flops),
        short(bytes(step)),
        short_time(facts.seconds[number]),
        short(facts.memory[number]),
    ]
}

/// Describes a plan: what it costs, how near it is to the optimum, and its steps with the memory they need.
pub fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, report);
    out
}

fn write_text(out: &mut String, report: &Report<'_>) -> std::fmt::Result {
    let Some(facts) = facts(report) else { return writeln!(out, "not a plan of this network") };
    for [name, value] in summary(report, &facts) {
        writeln!(out, "{name:<10}{value}")?;
    }
    if facts.steps.is_empty() {
        return Ok(());
    }
    let listed = listed(&facts);
    writeln!(out)?;
    if listed.len() < facts.steps.len() {
        writeln!(out, "the {} most expensive of {} steps", listed.len(), facts.steps.len())?;
    }
    let line = |out: &mut String, cells: &[String], last: &str| {
        let [step, operands, kernel, rest @ ..] = cells else { return Ok(()) };
        write!(out, "{step:>6}  {operands:<15} {kernel:<6}")?;
        rest.iter().try_for_each(|cell| write!(out, " {cell:>9}"))?;
        writeln!(out, "  {last}")
    };
    line(out, &HEADS.map(String::from), "memory")?;
    for &number in &listed {
        let bar =
            (percent(facts.memory[number], report.plan.cost.peak) / 5.0).round().clamp(0.0, 20.0) as usize;
        line(out, &row(report, &facts, number), &"#".repeat(bar))?;
    }
    if facts.steps.len() <= LISTED {
        writeln!(out)?;
        tree(out, report.network, &facts.steps)?;
    }
    Ok(())
}

/// Draws the tree with lines, the root first.
fn tree(out: &mut String, network: &Network, steps: &[Step]) -> std::fmt::Result {
    let inputs = network.inputs().len();
    let mut stack = vec![(inputs + steps.len() - 1, String::new(), "")];
    while let Some((id, indent, branch)) = stack.pop() {
        match id.checked_sub(inputs) {
            None => writeln!(out, "{indent}{branch}{id} {}", axes(&network.inputs()[id]))?,
            Some(number) => {
                let step = &steps[number];
                writeln!(out, "{indent}{branch}{id} {} work {}", axes(&step.axes), short(step.macs))?;
                let below = match branch {
                    "" => indent,
                    "|- " => format!("{indent}|  "),
                    _ => format!("{indent}   "),
                };
                stack.push((step.operands.1, below.clone(), "`- "));
                stack.push((step.operands.0, below, "|- "));
            }
        }
    }
    Ok(())
}

/// A logarithm, or null where there is none.
fn log(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

/// The plan as JSON: costs as logarithms, slices, and the path in both numberings.
pub fn json(report: &Report<'_>) -> String {
    let Report { network, plan, .. } = report;
    let cost = &plan.cost;
    let seconds = facts(report).map_or(Amount::ZERO, |facts| facts.time(plan));
    let value = json!({
        "log10_macs": log(cost.macs.log10()),
        "log10_ops": log(cost.ops.log10()),
        "log2_size": log(cost.size.log2()),
        "log2_write": log(cost.write.log2()),
        "log2_peak": log(cost.peak.log2()),
        "log2_max_step": log(cost.max_step.log2()),
        "log2_value": log(plan.log2_value),
        "log2_bound": log(plan.log2_bound),
        "log10_predicted_seconds": log(seconds.log10()),
        "proven": plan.proven,
        "slices": plan.slices,
        "path": plan.path,
        "opt_einsum_path": to_linear(network.inputs().len(), &plan.path),
        "work": plan.work,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "capped": plan.capped,
    });
    format!("{value}\n")
}

/// The tree as nodes of a picture.
fn nodes(network: &Network, facts: &Facts) -> Vec<Node> {
    let size = |list: &[u32]| network.elems(list).log2();
    let inputs = network.inputs().iter().enumerate().map(|(id, list)| Node {
        operands: Vec::new(),
        label: id.to_string(),
        title: format!("{id} {}", axes(list)),
        size: size(list),
        work: None,
    });
    let inputs: Vec<Node> = inputs.collect();
    let count = inputs.len();
    let steps = facts.steps.iter().enumerate().map(|(number, step)| Node {
        operands: vec![step.operands.0, step.operands.1],
        label: (count + number).to_string(),
        title: format!(
            "{} {} {} work {}, {}",
            count + number,
            axes(&step.axes),
            kernel(step),
            short(step.macs),
            short_time(facts.seconds[number])
        ),
        size: step.shape.result,
        work: Some(step.shape.all),
    });
    inputs.iter().cloned().chain(steps).collect()
}

/// Draws the tree: lines as wide as the logarithm of what flows along them, steps in colours from pale to red by their
/// share of the work.
pub fn svg(report: &Report<'_>) -> String {
    picture::tree(&facts(report).map_or(Vec::new(), |facts| nodes(report.network, &facts)))
}

/// A page with everything: the summary, the tree, memory over time against the limit, the steps.
pub fn html(report: &Report<'_>) -> String {
    let Some(facts) = facts(report) else { return picture::html(&Page::default()) };
    let network = report.network;
    let unit = report.plan.cost.peak;
    let relative = |amount: Amount| percent(amount, unit);
    // What a limit on everything leaves for results.
    let limit = report.limit.map(|limit| {
        let fixed = network.inputs().iter().map(|axes| network.elems(axes)).sum::<Amount>();
        (limit as f64 / ELEMENT - fixed.value()).max(0.0)
    });
    picture::html(&Page {
        title: if report.name.is_empty() { "A contraction order".into() } else { report.name.into() },
        facts: summary(report, &facts),
        nodes: nodes(network, &facts),
        alive: facts.memory.iter().map(|&amount| relative(amount)).collect(),
        limit: limit.map(|limit| relative(Amount::new(limit))),
        heads: HEADS.to_vec(),
        rows: listed(&facts).into_iter().map(|number| row(report, &facts, number)).collect(),
        text: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::{MemoryLimit, Options, generate, optimize};

    fn report<'a>(network: &'a Network, plan: &'a Plan) -> Report<'a> {
        Report { name: "net", network, plan, limit: Some(1 << 20), rates: Rates::SHIPPED }
    }

    fn plans() -> Vec<(Network, Plan)> {
        let mut plans = Vec::new();
        for network in [
            generate::empty(),
            generate::chain(1, 3, 3, 1),
            generate::chain(5, 2, 9, 1),
            generate::lattice(&[9, 9], 2, false),
        ] {
            let mut options = Options { work: Some(100_000), ..Options::default() };
            plans.push((network.clone(), optimize(&network, &mut options).unwrap()));
        }
        let network = generate::lattice(&[5, 5], 2, false);
        let memory = Some(MemoryLimit::Largest(8.0));
        let mut options = Options { memory, work: Some(1_000_000), ..Options::default() };
        plans.push((network.clone(), optimize(&network, &mut options).unwrap()));
        plans
    }

    #[test]
    fn a_small_plan_is_told_in_full() {
        let network =
            Network::new(vec![vec![0, 1], vec![1, 2], vec![2, 3]], vec![0, 3], vec![10, 20, 30, 40]).unwrap();
        let plan = optimize(&network, &mut Options::default()).unwrap();
        let text = text(&report(&network, &plan));
        for line in [
            "network   net, 3 operands, 4 axes, output [0,3]",
            "written   one operand after the other: 18000 multiply-adds, log10 4.2553; largest log2 8.64",
            "work      18000 multiply-adds, log10 4.2553",
            "slices    none",
            "optimum   proven: no binary tree is better",
            "     3  0 * 1           loops        300     12000      8800 TIME       300  #########",
            "     4  2 * 3           gemm         400     24000     15200 TIME       700  ####################",
            "4 [0,3] work 12000",
            "2 [2,3]",
            "3 [0,2] work 6000",
            "0 [0,1]",
            "1 [1,2]",
        ] {
            // Which of two operands comes first is up to the search.
            let swapped = line.replace("2 * 3", "3 * 2");
            let bare = |have: &str| {
                // The ninth to the first letter before the last column is a time, which depends on the rates.
                let have = have.trim_end().trim_start_matches(['|', '`', '-', ' ']);
                let timed = have.contains("us") && have.contains('#');
                if timed { format!("{} TIME{}", &have[..55], &have[65..]) } else { have.to_string() }
            };
            let found = text.lines().map(bare).any(|have| have == bare(line) || have == bare(&swapped));
            assert!(found, "{line}\n{text}");
        }
        assert!(text.contains("`- ") && text.contains("|- "));
    }

    #[test]
    fn json_says_what_the_plan_is() {
        for (network, plan) in plans() {
            let value: Value = serde_json::from_str(&json(&report(&network, &plan))).unwrap();
            assert_eq!(value["proven"], plan.proven);
            assert_eq!(value["path"].as_array().unwrap().len(), plan.path.len());
            let (path, slices) = super::super::read_plan(&json(&report(&network, &plan)), &network).unwrap();
            assert_eq!((path, slices), (plan.path.clone(), plan.slices.clone()));
            if !plan.path.is_empty() {
                assert_eq!(value["log10_macs"].as_f64().unwrap(), plan.cost.macs.log10());
            }
        }
    }

    #[test]
    fn pictures_and_texts_are_whole() {
        for (network, plan) in plans() {
            let picture = svg(&report(&network, &plan));
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
            assert_eq!(picture.matches("<circle").count(), network.inputs().len() + plan.path.len());
            assert_eq!(picture.matches("<line").count(), 2 * plan.path.len());
            assert!(!picture.contains("NaN") && !picture.contains("inf"));
            let text = text(&report(&network, &plan));
            assert!(!text.contains("NaN"), "{text}");
            assert_eq!(text.contains("runs"), !plan.slices.is_empty());
            let page = html(&report(&network, &plan));
            assert!(page.ends_with("</html>\n") && !page.contains("NaN"));
            assert_eq!(page.matches("<circle").count(), network.inputs().len() + plan.path.len());
        }
    }
}

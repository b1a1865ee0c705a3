//! A plan for people and for programs: as text, as JSON, and as a picture of its tree.

use crate::plan::search::{Amount, Network, Plan, Step, memory_over_time, steps};
use serde_json::{Value, json};
use std::fmt::Write;

use super::to_linear;

/// Up to this many steps are all listed; of longer plans only as many, the most expensive ones.
const LISTED: usize = 60;

/// What a report is made of.
struct Facts {
    steps: Vec<Step>,
    memory: Vec<Amount>,
}

/// Measures a plan; none if it is not a plan of the network.
fn facts(network: &Network, plan: &Plan) -> Option<Facts> {
    Some(Facts {
        steps: steps(network, &plan.path, &plan.slices).ok()?,
        memory: memory_over_time(network, &plan.path, &plan.slices).ok()?,
    })
}

/// A number as people read it: whole while it is short, then three digits and a power of ten.
fn short(amount: Amount) -> String {
    if amount.value() < 1e6 {
        return amount.to_string();
    }
    let log = amount.log10();
    let exponent = log.floor();
    let mantissa = Amount::from_log2((log - exponent) * std::f64::consts::LOG2_10).value();
    format!("{mantissa:.2}e{exponent}")
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

/// Describes a plan: what it costs, how near it is to the optimum, and its steps with the memory they need.
pub fn text(network: &Network, plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, network, plan);
    out
}

fn write_text(out: &mut String, network: &Network, plan: &Plan) -> std::fmt::Result {
    let Some(facts) = facts(network, plan) else { return writeln!(out, "not a plan of this network") };
    let cost = &plan.cost;
    writeln!(
        out,
        "network   {} operands, {} axes, output {}",
        network.inputs().len(),
        network.extents().len(),
        axes(network.output())
    )?;
    writeln!(out, "work      {} multiply-adds, log10 {:.4}", short(cost.macs), cost.macs.log10())?;
    writeln!(out, "ops       {}, log10 {:.4}", short(cost.ops), cost.ops.log10())?;
    writeln!(out, "largest   {} elements, log2 {:.2}", short(cost.size), cost.size.log2())?;
    writeln!(out, "written   {} elements, log2 {:.2}", short(cost.write), cost.write.log2())?;
    writeln!(
        out,
        "peak      {} elements, log2 {:.2}, without the inputs",
        short(cost.peak),
        cost.peak.log2()
    )?;
    if plan.slices.is_empty() {
        writeln!(out, "slices    none")?;
    } else {
        writeln!(out, "slices    {}, {} runs", axes(&plan.slices), short(cost.runs))?;
    }
    if plan.proven {
        writeln!(out, "optimum   proven: no binary tree is better")?;
    } else if plan.log2_bound.is_finite() {
        let gap = plan.log2_value - plan.log2_bound;
        writeln!(
            out,
            "optimum   at least log2 {:.2}; the plan has {:.2}, {gap:.2} more",
            plan.log2_bound, plan.log2_value
        )?;
    } else {
        writeln!(out, "optimum   unknown")?;
    }
    writeln!(
        out,
        "search    {} units of work, {} rounds, {:.3} s{}",
        plan.work,
        plan.rounds,
        plan.seconds,
        if plan.capped { ", ended by the clock" } else { "" }
    )?;
    if facts.steps.is_empty() {
        return Ok(());
    }
    // The most expensive steps, in the order they run.
    let mut listed: Vec<usize> = (0..facts.steps.len()).collect();
    listed.sort_by(|&a, &b| facts.steps[b].shape.all.total_cmp(&facts.steps[a].shape.all).then(a.cmp(&b)));
    listed.truncate(LISTED);
    listed.sort_unstable();
    writeln!(out)?;
    if listed.len() < facts.steps.len() {
        writeln!(out, "the {} most expensive of {} steps", listed.len(), facts.steps.len())?;
    }
    let inputs = network.inputs().len();
    let once = facts.steps.iter().map(|step| step.macs).sum::<Amount>();
    writeln!(
        out,
        "{:>6}  {:<15} {:>10} {:>10} {:>6} {:>10}  memory",
        "step", "operands", "result", "work", "%", "alive"
    )?;
    for &number in &listed {
        let step = &facts.steps[number];
        let alive = facts.memory[number];
        let bar = (percent(alive, cost.peak) / 5.0).round().clamp(0.0, 20.0) as usize;
        writeln!(
            out,
            "{:>6}  {:<15} {:>10} {:>10} {:>6.2} {:>10}  {}",
            inputs + number,
            format!("{} * {}", step.operands.0, step.operands.1),
            short(step.size),
            short(step.macs),
            percent(step.macs, once),
            short(alive),
            "#".repeat(bar)
        )?;
    }
    if facts.steps.len() <= LISTED {
        writeln!(out)?;
        tree(out, network, &facts.steps)?;
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
pub fn json(network: &Network, plan: &Plan) -> String {
    let cost = &plan.cost;
    let value = json!({
        "log10_macs": log(cost.macs.log10()),
        "log10_ops": log(cost.ops.log10()),
        "log2_size": log(cost.size.log2()),
        "log2_write": log(cost.write.log2()),
        "log2_peak": log(cost.peak.log2()),
        "log2_max_step": log(cost.max_step.log2()),
        "log2_value": log(plan.log2_value),
        "log2_bound": log(plan.log2_bound),
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

/// Draws the tree: leaves at the bottom, lines as wide as the logarithm of what flows along them, steps in colours from
/// pale to red by their share of the work.
pub fn svg(network: &Network, plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_svg(&mut out, network, plan);
    out
}

fn write_svg(out: &mut String, network: &Network, plan: &Plan) -> std::fmt::Result {
    let inputs = network.inputs().len();
    let steps = facts(network, plan).map(|facts| facts.steps).unwrap_or_default();
    let count = inputs + steps.len();
    // Places: leaves in the order of the tree, steps above the middle of their operands.
    let mut x = vec![0.0f64; count];
    let mut height = vec![0usize; count];
    let mut next = 0.0;
    let mut stack: Vec<usize> = if steps.is_empty() { (0..inputs).collect() } else { vec![count - 1] };
    while let Some(id) = stack.pop() {
        match id.checked_sub(inputs) {
            None => {
                x[id] = next;
                next += 1.0;
            }
            Some(number) => stack.extend([steps[number].operands.1, steps[number].operands.0]),
        }
    }
    for (number, step) in steps.iter().enumerate() {
        let (a, b) = step.operands;
        x[inputs + number] = (x[a] + x[b]) / 2.0;
        height[inputs + number] = 1 + height[a].max(height[b]);
    }
    let levels = height.iter().copied().max().unwrap_or(0);
    let step_x = (1600.0 / next.max(1.0)).clamp(2.0, 48.0);
    let step_y = (1000.0 / levels.max(1) as f64).clamp(6.0, 48.0);
    let margin = 24.0;
    let at = |id: usize| (margin + x[id] * step_x, margin + (levels - height[id]) as f64 * step_y);
    let (wide, high) = (2.0 * margin + next * step_x, 2.0 * margin + levels as f64 * step_y);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">"
    )?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(out, "<g stroke=\"#8899aa\" stroke-linecap=\"round\">")?;
    for (number, step) in steps.iter().enumerate() {
        let (x2, y2) = at(inputs + number);
        for (id, size) in [(step.operands.0, step.shape.left), (step.operands.1, step.shape.right)] {
            let (x1, y1) = at(id);
            let width = 0.5 + size.clamp(0.0, 60.0) / 6.0;
            writeln!(
                out,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke-width=\"{width:.1}\"/>"
            )?;
        }
    }
    writeln!(out, "</g>")?;
    let most = steps.iter().map(|step| step.shape.all).fold(f64::NEG_INFINITY, f64::max);
    let radius = (step_x / 3.0).clamp(1.5, 7.0);
    let labelled = next <= 80.0;
    for id in 0..count {
        let (cx, cy) = at(id);
        let (fill, title) = match id.checked_sub(inputs) {
            None => ("#ffffff".to_string(), format!("{id} {}", axes(&network.inputs()[id]))),
            Some(number) => {
                let step = &steps[number];
                // White at a millionth of the most expensive step, red at that step.
                let heat = (1.0 - (most - step.shape.all) / 20.0).clamp(0.0, 1.0);
                let pale = (235.0 * (1.0 - heat)).round() as u8;
                let title = format!("{id} {} work {}", axes(&step.axes), short(step.macs));
                (format!("#eb{pale:02x}{pale:02x}"), title)
            }
        };
        writeln!(
            out,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{radius:.1}\" fill=\"{fill}\" stroke=\"#334455\"><title>{title}</title></circle>"
        )?;
        if labelled {
            let y = cy + if id < inputs { radius + 11.0 } else { 3.0 };
            let shift = if id < inputs { 0.0 } else { radius + 4.0 };
            let anchor = if id < inputs { "middle" } else { "start" };
            writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{y:.1}\" font-size=\"9\" font-family=\"sans-serif\" text-anchor=\"{anchor}\">{id}</text>",
                cx + shift
            )?;
        }
    }
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::{MemoryLimit, Options, generate, optimize};

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
        let text = text(&network, &plan);
        for line in [
            "network   3 operands, 4 axes, output [0,3]",
            "work      18000 multiply-adds, log10 4.2553",
            "slices    none",
            "optimum   proven: no binary tree is better",
            "     3  0 * 1                  300       6000  33.33        300  #########",
            "     4  2 * 3                  400      12000  66.67        700  ####################",
            "4 [0,3] work 12000",
            "2 [2,3]",
            "3 [0,2] work 6000",
            "0 [0,1]",
            "1 [1,2]",
        ] {
            // Which of two operands comes first is up to the search.
            let swapped = line.replace("2 * 3", "3 * 2");
            let bare = |have: &str| have.trim_end().trim_start_matches(['|', '`', '-', ' ']).to_string();
            let found = text.lines().map(bare).any(|have| have == bare(line) || have == bare(&swapped));
            assert!(found, "{line}\n{text}");
        }
        assert!(text.contains("`- ") && text.contains("|- "));
    }

    #[test]
    fn json_says_what_the_plan_is() {
        for (network, plan) in plans() {
            let value: Value = serde_json::from_str(&json(&network, &plan)).unwrap();
            assert_eq!(value["proven"], plan.proven);
            assert_eq!(value["path"].as_array().unwrap().len(), plan.path.len());
            let (path, slices) = super::super::read_plan(&json(&network, &plan), &network).unwrap();
            assert_eq!((path, slices), (plan.path.clone(), plan.slices.clone()));
            if !plan.path.is_empty() {
                assert_eq!(value["log10_macs"].as_f64().unwrap(), plan.cost.macs.log10());
            }
        }
    }

    #[test]
    fn pictures_and_texts_are_whole() {
        for (network, plan) in plans() {
            let picture = svg(&network, &plan);
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
            assert_eq!(picture.matches("<circle").count(), network.inputs().len() + plan.path.len());
            assert_eq!(picture.matches("<line").count(), 2 * plan.path.len());
            assert!(!picture.contains("NaN") && !picture.contains("inf"));
            let text = text(&network, &plan);
            assert!(!text.contains("NaN"), "{text}");
            assert_eq!(text.contains("runs"), !plan.slices.is_empty());
        }
    }
}

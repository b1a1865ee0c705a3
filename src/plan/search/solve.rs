//! The whole search: reduces the network, searches each component, joins the parts.

use super::budget::Budget;
use super::canonical::Canonical;
use super::cost::{self, Objective};
use super::exact::{self, SmallAxis, Tables};
use super::math;
use super::problem::Problem;
use super::search;
use super::{EXACT_OPERANDS, Network, Options, Plan, Progress, Refusal};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Finds a cheap contraction order.
///
/// ```
/// use einc::plan::search::{Network, Options, optimize};
/// // a b c abcx -> abcx: the three vectors first.
/// let inputs = vec![vec![0], vec![1], vec![2], vec![0, 1, 2, 3]];
/// let network = Network::new(inputs, vec![0, 1, 2, 3], vec![8, 8, 8, 8]).unwrap();
/// let plan = optimize(&network, &mut Options::default()).unwrap();
/// assert!(plan.proven);
/// assert_eq!(plan.cost.macs.value(), 64.0 + 512.0 + 4096.0);
/// ```
///
/// # Errors
/// [`Refusal::Memory`] when no order within the memory limit was found.
pub fn optimize(network: &Network, options: &mut Options<'_>) -> Result<Plan, Refusal> {
    let start = Instant::now();
    let count = network.inputs().len();
    if count <= EXACT_OPERANDS {
        let path = small(network, &options.objective);
        let outcome = Outcome { path, work: 0, rounds: 0, capped: false };
        return finish(network, options, outcome, true, start);
    }
    let outcome = large(network, options, start);
    finish(network, options, outcome, false, start)
}

/// Measures a path and makes it a plan.
fn finish(
    network: &Network,
    options: &Options<'_>,
    outcome: Outcome,
    proven: bool,
    start: Instant,
) -> Result<Plan, Refusal> {
    let path = cost::best_order(network, &outcome.path, &[])?;
    let cost = cost::evaluate(network, &path, &[])?;
    let log2_value = options.objective.log2_value(network, &path, &[])?;
    Ok(Plan {
        path,
        slices: Vec::new(),
        cost,
        log2_value,
        proven,
        log2_bound: if proven { log2_value } else { f64::NEG_INFINITY },
        work: outcome.work,
        rounds: outcome.rounds,
        seconds: start.elapsed().as_secs_f64(),
        capped: outcome.capped,
    })
}

/// The optimum of a network of few operands.
fn small(network: &Network, objective: &Objective<'_>) -> Vec<(usize, usize)> {
    let count = network.inputs().len();
    match count {
        0 | 1 => return Vec::new(),
        2 => return vec![(0, 1)],
        _ => {}
    }
    let extents = network.extents();
    let mut masks = vec![0u32; extents.len()];
    for (operand, axes) in network.inputs().iter().enumerate() {
        axes.iter().for_each(|&axis| masks[axis as usize] |= 1 << operand);
    }
    let mut kept = vec![false; extents.len()];
    network.output().iter().for_each(|&axis| kept[axis as usize] = true);
    let axes: Vec<SmallAxis> = (0..extents.len())
        // An axis of one operand only is summed beforehand, one of extent 0 or 1 does not matter.
        .filter(|&k| extents[k] > 1 && (kept[k] || masks[k].count_ones() > 1))
        .map(|k| SmallAxis {
            operands: masks[k],
            kept: kept[k],
            log2: math::log2(extents[k] as f64),
            extent: extents[k] as f64,
        })
        .collect();
    exact::solve(count, &axes, objective, u32::MAX, &mut Tables::default()).path
}

/// What a search of a large network came to.
struct Outcome {
    path: Vec<(usize, usize)>,
    work: u64,
    rounds: u64,
    capped: bool,
}

/// A good order of a network of many operands.
fn large(network: &Network, options: &mut Options<'_>, start: Instant) -> Outcome {
    let inputs = network.inputs().len();
    let deadline = options.seconds.map(|seconds| start + Duration::from_secs_f64(seconds.clamp(0.0, 1e9)));
    let limit = match (options.work, options.seconds) {
        (Some(work), _) => work,
        (None, Some(seconds)) => (seconds.clamp(0.0, 1e9) * 1e9) as u64,
        (None, None) => (inputs as u64 * 1_000_000).min(1_000_000_000),
    };
    let canonical = Canonical::new(network, true);
    let components = canonical.components();
    let mut path = Vec::with_capacity(inputs - 1);
    let mut outcome = Outcome { path: Vec::new(), work: 0, rounds: 0, capped: false };
    let mut parts: BinaryHeap<(Reverse<i64>, Reverse<usize>)> = BinaryHeap::new();
    let everything: u64 = components.iter().map(|part| weight(part.len())).sum();
    for (number, component) in components.iter().enumerate() {
        let problem = Problem::new(&canonical, component);
        let share = (limit as f64 * weight(component.len()) as f64 / everything as f64) as u64;
        let mut budget = Budget::new(share, deadline, options.cancel);
        let done = outcome.work;
        let progress = &mut options.progress;
        let mut report = |log2_value: f64, work: u64| {
            if let Some(progress) = progress {
                progress(&Progress { log2_value, work: done + work, budget: limit });
            }
        };
        let seed = options.seed.wrapping_add(number as u64);
        let steps = match problem.count() {
            1 => Vec::new(),
            2 => vec![(0, 1)],
            count if count <= EXACT_OPERANDS => exact_path(&problem, &options.objective),
            _ => {
                let (path, rounds) =
                    search::search(&problem, options.objective, seed, &mut budget, &mut report);
                outcome.rounds += rounds;
                path
            }
        };
        outcome.work += budget.work;
        outcome.capped |= budget.capped;
        let first = inputs + path.len();
        let count = problem.count();
        let id = |k: u32| {
            let k = k as usize;
            if k < count { component[k] } else { first + k - count }
        };
        path.extend(steps.iter().map(|&(a, b)| (id(a), id(b))));
        let root = if steps.is_empty() { component[0] } else { inputs + path.len() - 1 };
        let size: f64 = problem.output.iter().map(|&axis| problem.logs[axis as usize]).sum();
        parts.push((Reverse(math::order_key(size)), Reverse(root)));
    }
    // Products of components, smallest first; the sizes of the results only grow.
    let mut sizes: std::collections::HashMap<usize, f64> = std::collections::HashMap::new();
    while let (Some(a), Some(b)) = (parts.pop(), parts.pop()) {
        path.push((a.1.0, b.1.0));
        let size = |part: &(Reverse<i64>, Reverse<usize>)| {
            sizes.get(&part.1.0).copied().unwrap_or_else(|| math::order_value(part.0.0))
        };
        let joint = size(&a) + size(&b);
        let tensor = inputs + path.len() - 1;
        sizes.insert(tensor, joint);
        parts.push((Reverse(math::order_key(joint)), Reverse(tensor)));
    }
    outcome.path = path;
    outcome
}

/// How much of the work a component of so many leaves should get.
fn weight(leaves: usize) -> u64 {
    if leaves <= EXACT_OPERANDS { 0 } else { leaves as u64 }
}

/// The optimum of a component of few leaves.
fn exact_path(problem: &Problem, objective: &Objective<'_>) -> Vec<(u32, u32)> {
    let axes: Vec<SmallAxis> = problem
        .carriers
        .iter()
        .enumerate()
        .map(|(axis, leaves)| SmallAxis {
            operands: leaves.iter().fold(0, |mask, &leaf| mask | 1 << leaf),
            kept: problem.kept[axis],
            log2: problem.logs[axis],
            extent: math::exp2(problem.logs[axis]),
        })
        .collect();
    let inputs = problem.is_input.iter().enumerate().fold(0, |mask, (k, &is)| mask | u32::from(is) << k);
    let solution = exact::solve(problem.count(), &axes, objective, inputs, &mut Tables::default());
    solution.path.iter().map(|&(a, b)| (a as u32, b as u32)).collect()
}

//! The whole search: reduces the network, searches each component, joins the parts.

use super::bound;
use super::budget::{Budget, CLOCK_PER_SECOND, WORK_PER_SECOND};
use super::canonical::Canonical;
use super::cost::{self, Objective};
use super::exact::{self, SmallAxis, Tables};
use super::math;
use super::problem::Problem;
use super::{EXACT_OPERANDS, Network, Options, Plan, Progress, Refusal};
use super::{memory, rounds};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::Ordering;
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
    let mut outcome = if count <= EXACT_OPERANDS {
        let path = small(network, &options.objective);
        Outcome { path, slices: Vec::new(), work: 0, rounds: 0, capped: false, proven: true }
    } else if count <= exact::LIMIT && options.memory.is_none() {
        medium(network, options, start)?
    } else {
        large(network, options, start, 1.0)
    };
    if let Some(limit) = options.memory {
        memory::slice(network, options, limit, &mut outcome, start)?;
    }
    let plan = finish(network, options, outcome, start)?;
    match options.memory {
        Some(limit) if memory::needs(network, &plan.cost, &plan.slices, limit) > memory::allowed(limit) => {
            let needed = memory::needs(network, &plan.cost, &plan.slices, limit);
            Err(Refusal::Memory { needed, best: Box::new(plan) })
        }
        _ => Ok(plan),
    }
}

/// Measures a path and makes it a plan.
fn finish(
    network: &Network,
    options: &Options<'_>,
    outcome: Outcome,
    start: Instant,
) -> Result<Plan, Refusal> {
    let path = cost::best_order(network, &outcome.path, &outcome.slices)?;
    let cost = cost::evaluate(network, &path, &outcome.slices)?;
    let log2_value = options.objective.log2_value(network, &path, &outcome.slices)?;
    let log2_bound =
        if outcome.proven { log2_value } else { lower_bound(network, &options.objective).min(log2_value) };
    Ok(Plan {
        path,
        slices: outcome.slices,
        cost,
        log2_value,
        proven: outcome.proven,
        log2_bound,
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
    exact::solve(count, &small_axes(network), objective, u32::MAX, &mut Tables::default()).path
}

/// The axes of a network of few operands.
pub(super) fn small_axes(network: &Network) -> Vec<SmallAxis> {
    let extents = network.extents();
    let mut masks = vec![0u32; extents.len()];
    for (operand, axes) in network.inputs().iter().enumerate() {
        axes.iter().for_each(|&axis| masks[axis as usize] |= 1 << operand);
    }
    let mut kept = vec![false; extents.len()];
    network.output().iter().for_each(|&axis| kept[axis as usize] = true);
    (0..extents.len())
        // An axis of one operand only is summed beforehand, one of extent 0 or 1 does not matter.
        .filter(|&k| extents[k] > 1 && (kept[k] || masks[k].count_ones() > 1))
        .map(|k| SmallAxis {
            operands: masks[k],
            kept: kept[k],
            log2: math::log2(extents[k] as f64),
            extent: extents[k] as f64,
        })
        .collect()
}

/// The most work, and the largest share of it, for a first tree where the optimum may be in reach.
const FIRST: (u64, f64) = (3_000_000, 0.1);

/// The optimum of a network of more operands, if that is not too much work once some tree is known; a good tree if it is.
fn medium(network: &Network, options: &mut Options<'_>, start: Instant) -> Result<Outcome, Refusal> {
    let everything = budget(network, options);
    let share = FIRST.1.min(FIRST.0 as f64 / everything.max(1) as f64);
    let first = large(network, options, start, share);
    let known = options.objective.log2_value(network, &first.path, &[])?;
    let left = everything.saturating_sub(first.work);
    let count = network.inputs().len();
    // Filling the tables is work, too.
    let tables = (count as u64) << count;
    // Where the search decides itself, proving the optimum may take as long as running the plan, or as long as nobody minds.
    let quick = !matches!(options.objective, Objective::Peak | Objective::Custom(_));
    let left = if !quick || options.work.is_some() || options.seconds.is_some() {
        left
    } else if count <= PROVEN && !options.frugal {
        left.max(PROOF)
    } else {
        left.max(cost::evaluate(network, &first.path, &[])?.macs.value().min(PROOF as f64) as u64)
    };
    let cancelled = options.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed));
    let late = deadline(options, start, 1.0).is_some_and(|deadline| Instant::now() >= deadline);
    if 2 * tables <= left && !cancelled && !late {
        let axes = small_axes(network);
        let limit = (known, (left - tables) / WORK_PER_SPLIT);
        let memory = &mut Tables::default();
        if let Some(found) = exact::solve_below(count, &axes, &options.objective, u32::MAX, memory, limit) {
            let better = options.objective.log2_value(network, &found.path, &[])? < known;
            let path = if better { found.path } else { first.path };
            return Ok(Outcome { path, work: first.work + tables, capped: false, proven: true, ..first });
        }
    }
    let second = large(network, options, start, 1.0 - share);
    let work = first.work + second.work;
    let better = options.objective.log2_value(network, &second.path, &[])? <= known;
    Ok(Outcome { work, ..if better { second } else { first } })
}

/// The most work for a proof that nobody has asked for: all splits of sixteen operands, some forty milliseconds.
const PROOF: u64 = 90_000_000;

/// Up to so many operands it is never more than that.
const PROVEN: usize = 16;

/// What a split costs in units of work.
const WORK_PER_SPLIT: u64 = 4;

/// A lower bound of an objective: some step makes the output, every operand is read by a step, and some step is as large
/// as the treewidth says.
fn lower_bound(network: &Network, objective: &Objective<'_>) -> f64 {
    if network.inputs().len() < 2 || network.extents().contains(&0) {
        return f64::NEG_INFINITY;
    }
    let canonical = Canonical::new(network, false);
    let size = |axes: &[u32]| axes.iter().map(|&axis| canonical.logs[axis as usize]).sum::<f64>();
    let output = size(&canonical.output);
    match objective {
        Objective::Size | Objective::Write | Objective::Peak => output,
        Objective::Macs | Objective::Flops | Objective::Combo(_) => {
            let largest = canonical.lists.iter().map(|axes| size(axes)).fold(output, f64::max);
            // A step reads two operands at most, and does at least as much as the larger one has elements.
            let read =
                canonical.lists.iter().fold(f64::NEG_INFINITY, |sum, axes| math::log2_add(sum, size(axes)));
            largest.max(read - 1.0).max(bound::largest_step(&canonical))
        }
        Objective::Custom(_) => f64::NEG_INFINITY,
    }
}

/// What a search came to.
pub(super) struct Outcome {
    pub(super) path: Vec<(usize, usize)>,
    pub(super) slices: Vec<u32>,
    pub(super) work: u64,
    pub(super) rounds: u64,
    pub(super) capped: bool,
    pub(super) proven: bool,
}

/// A good order of a network of many operands, for that share of the work.
fn large(network: &Network, options: &mut Options<'_>, start: Instant, share: f64) -> Outcome {
    let inputs = network.inputs().len();
    // Under a memory limit most of the work, and of the time, goes into slicing.
    let share = if options.memory.is_some() { 0.25 } else { share };
    let deadline = deadline(options, start, if options.memory.is_some() { share } else { 1.0 });
    let limit = (share * budget(network, options) as f64) as u64;
    let canonical = Canonical::new(network, true);
    let components = canonical.components();
    let mut path = Vec::with_capacity(inputs - 1);
    let mut outcome =
        Outcome { path: Vec::new(), slices: Vec::new(), work: 0, rounds: 0, capped: false, proven: false };
    let mut parts: BinaryHeap<(Reverse<i64>, Reverse<usize>)> = BinaryHeap::new();
    let everything: u64 = components.iter().map(|part| weight(part.len())).sum();
    for (number, component) in components.iter().enumerate() {
        let problem = Problem::new(&canonical, component);
        let share = (limit as f64 * weight(component.len()) as f64 / everything as f64) as u64;
        let mut budget = new_budget(options, share, deadline);
        budget.frugal = options.work.is_none() && options.seconds.is_none();
        let done = outcome.work;
        let progress = &mut options.progress;
        let mut least = f64::INFINITY;
        let mut report = |log2_value: f64, work: u64| {
            if let Some(progress) = progress
                && log2_value < least
            {
                least = log2_value;
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
                    rounds::search(&problem, options.objective, seed, &mut budget, &mut report);
                outcome.rounds += rounds;
                path
            }
        };
        outcome.work += budget.done();
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

/// A budget of so much work; time counts where the caller has said how much of it, and not how much work.
pub(super) fn new_budget<'a>(options: &Options<'a>, work: u64, deadline: Option<Instant>) -> Budget<'a> {
    let budget = Budget::new(work, deadline, options.cancel);
    if options.work.is_none() && options.seconds.is_some() { budget.paced() } else { budget }
}

/// When the search has to end, or a part of it that may take that share of the time.
pub(super) fn deadline(options: &Options<'_>, start: Instant, share: f64) -> Option<Instant> {
    let seconds = share * options.seconds?.clamp(0.0, 1e9);
    Some(start + Duration::from_secs_f64(seconds))
}

/// The effort that options allow, in units of work; none to speak of where the search decides.
pub fn effort(options: &Options<'_>) -> f64 {
    match (options.work, options.seconds) {
        (Some(work), _) => work as f64,
        (None, Some(seconds)) => seconds.clamp(0.0, 1e9) * WORK_PER_SECOND,
        (None, None) if options.frugal => 0.0,
        (None, None) => 1.0,
    }
}

/// A plan from a path that is known: its steps in the order that needs the least memory, with what they cost.
///
/// # Errors
/// [`Refusal::InvalidPath`] and [`Refusal::InvalidSlice`].
pub fn restore(
    network: &Network,
    path: &[(usize, usize)],
    slices: &[u32],
    objective: &Objective<'_>,
) -> Result<Plan, Refusal> {
    let outcome = Outcome {
        path: path.to_vec(),
        slices: slices.to_vec(),
        work: 0,
        rounds: 0,
        capped: false,
        proven: false,
    };
    finish(network, &Options { objective: *objective, ..Options::default() }, outcome, Instant::now())
}

/// The work that the options allow.
pub(super) fn budget(network: &Network, options: &Options<'_>) -> u64 {
    match (options.work, options.seconds) {
        (Some(work), _) => work,
        (None, Some(seconds)) => (seconds.clamp(0.0, 1e9) * CLOCK_PER_SECOND) as u64,
        (None, None) => (network.inputs().len() as u64 * 1_000_000).min(1_000_000_000),
    }
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

//! The whole search: reduces the network, searches each component, joins the parts.

use super::canonical::Canonical;
use super::cost::{self, Objective};
use super::exact::{self, SmallAxis, Tables};
use super::greedy::{Taste, greedy};
use super::math::{self, Random};
use super::problem::Problem;
use super::{Amount, EXACT_OPERANDS, Network, Options, Plan, Refusal};
use std::collections::BinaryHeap;
use std::time::Instant;

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
    let (path, proven, work) = if count <= EXACT_OPERANDS {
        (small(network, &options.objective), true, 0)
    } else {
        large(network, options)
    };
    finish(network, options, path, proven, work, start)
}

/// Measures a path and makes it a plan.
fn finish(
    network: &Network,
    options: &Options<'_>,
    path: Vec<(usize, usize)>,
    proven: bool,
    work: u64,
    start: Instant,
) -> Result<Plan, Refusal> {
    let cost = cost::evaluate(network, &path, &[])?;
    let log2_value = options.objective.log2_value(network, &path, &[])?;
    Ok(Plan {
        path,
        slices: Vec::new(),
        cost,
        log2_value,
        proven,
        log2_bound: if proven { log2_value } else { f64::NEG_INFINITY },
        work,
        rounds: 0,
        seconds: start.elapsed().as_secs_f64(),
        capped: false,
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

/// A good order of a network of many operands.
fn large(network: &Network, options: &mut Options<'_>) -> (Vec<(usize, usize)>, bool, u64) {
    let inputs = network.inputs().len();
    let canonical = Canonical::new(network, true);
    let mut path = canonical.prefix.clone();
    let mut work = 0;
    let mut random = Random::new(options.seed, 0);
    let mut parts: BinaryHeap<(std::cmp::Reverse<u64>, std::cmp::Reverse<usize>)> = BinaryHeap::new();
    for component in canonical.components() {
        let problem = Problem::new(&canonical, &component, inputs);
        let steps = greedy(&problem, Taste::PLAIN, &mut random, &mut work);
        let first = inputs + path.len();
        let count = problem.count();
        let id = |k: u32| {
            let k = k as usize;
            if k < count { canonical.leaves[component[k]] } else { first + k - count }
        };
        path.extend(steps.iter().map(|&(a, b)| (id(a), id(b))));
        let root = if steps.is_empty() { canonical.leaves[component[0]] } else { inputs + path.len() - 1 };
        let size: f64 = problem.output.iter().map(|&axis| problem.logs[axis as usize]).sum();
        parts.push((std::cmp::Reverse((size * 1e6) as u64), std::cmp::Reverse(root)));
    }
    while let (Some(a), Some(b)) = (parts.pop(), parts.pop()) {
        path.push((a.1.0, b.1.0));
        parts.push((std::cmp::Reverse(a.0.0 + b.0.0), std::cmp::Reverse(inputs + path.len() - 1)));
    }
    (path, false, work)
}

//! The best few trees of a network: for those who choose among them by what the search does not know.

use super::exact::{self, Tables};
use super::solve::small_axes;
use super::{EXACT_OPERANDS, Network, Options, Plan, Refusal, optimize, restore};
use std::collections::BTreeSet;

/// Finds distinct trees, the cheapest first, `count` of them if there are so many.
///
/// Up to [`EXACT_OPERANDS`] operands these are the cheapest of all binary trees under the objective. Beyond, they are the
/// results of searches with the seeds from `options.seed` on, which share the work; no two steps lists are the same, but
/// there may be fewer. Under a memory limit, all keep within it.
///
/// ```
/// use einc::plan::search::{Network, Options, several};
/// let network = Network::new(vec![vec![0, 1], vec![1, 2], vec![2, 3]], vec![0, 3], vec![2, 3, 4, 5]).unwrap();
/// let macs: Vec<f64> = several(&network, &mut Options::default(), 9)
///     .unwrap()
///     .iter()
///     .map(|plan| plan.cost.macs.value())
///     .collect();
/// assert_eq!(macs, [64.0, 90.0, 240.0]);
/// ```
///
/// # Errors
/// As [`optimize`].
pub fn several(network: &Network, options: &mut Options<'_>, count: usize) -> Result<Vec<Plan>, Refusal> {
    if network.inputs().len() <= EXACT_OPERANDS && options.memory.is_none() {
        return exact(network, options, count);
    }
    let seed = options.seed;
    let (work, seconds) = (options.work, options.seconds);
    let share = count.max(1) as u64;
    options.work = work.map(|work| work / share);
    options.seconds = seconds.map(|seconds| seconds / share as f64);
    let mut plans: Vec<Plan> = Vec::new();
    let mut refusal = None;
    for number in 0..share {
        options.seed = seed.wrapping_add(number);
        match optimize(network, options) {
            Ok(plan)
                if plans.iter().all(|known| (&known.path, &known.slices) != (&plan.path, &plan.slices)) =>
            {
                plans.push(plan);
            }
            Ok(_) => {}
            Err(error) => refusal = Some(error),
        }
    }
    (options.seed, options.work, options.seconds) = (seed, work, seconds);
    plans.sort_by(|a, b| a.log2_value.total_cmp(&b.log2_value));
    plans.truncate(count);
    match (plans.is_empty(), refusal) {
        (true, Some(refusal)) => Err(refusal),
        _ => Ok(plans),
    }
}

/// A tree as the sets of operands that its steps join, the whole one left out.
type Sets = BTreeSet<u32>;

/// The best tree that has some sets and lacks others.
struct Candidate {
    log2: f64,
    path: Vec<(usize, usize)>,
    with: Vec<u32>,
    without: Vec<u32>,
}

/// The cheapest of all trees: every tree but the best lacks one of its sets. The next best is the best of those that lack
/// the first, of those that have the first and lack the second, and so on (after Lawler, Management Science 18, 1972).
fn exact(network: &Network, options: &Options<'_>, count: usize) -> Result<Vec<Plan>, Refusal> {
    let operands = network.inputs().len();
    let axes = small_axes(network);
    let mut tables = Tables::default();
    let mut best = |with: Vec<u32>, without: Vec<u32>| -> Option<Candidate> {
        (tables.with, tables.without) = (with.clone(), without.clone());
        let found = exact::solve(operands, &axes, &options.objective, u32::MAX, &mut tables);
        // Where there is no such tree, one that is not like that is given instead.
        let sets = sets(operands, &found.path);
        let fits = with.iter().all(|set| sets.contains(set)) && without.iter().all(|set| !sets.contains(set));
        fits.then_some(Candidate { log2: found.log2, path: found.path, with, without })
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut plans = Vec::new();
    candidates.extend(best(Vec::new(), Vec::new()));
    while plans.len() < count {
        let least = (0..candidates.len()).min_by(|&a, &b| {
            let (a, b) = (&candidates[a], &candidates[b]);
            a.log2.total_cmp(&b.log2).then_with(|| a.path.cmp(&b.path))
        });
        let Some(least) = least else { break };
        let Candidate { path, mut with, without, .. } = candidates.swap_remove(least);
        let mut plan = restore(network, &path, &[], &options.objective)?;
        plan.proven = plans.is_empty();
        if plan.proven {
            plan.log2_bound = plan.log2_value;
        }
        plans.push(plan);
        for set in sets(operands, &path) {
            if with.contains(&set) {
                continue;
            }
            let lacking = without.iter().copied().chain([set]).collect();
            candidates.extend(best(with.clone(), lacking));
            with.push(set);
        }
    }
    Ok(plans)
}

/// The sets of operands that the steps of a path join, without the whole one.
fn sets(operands: usize, path: &[(usize, usize)]) -> Sets {
    let mut of: Vec<u32> = (0..operands).map(|k| 1 << k).collect();
    for &(a, b) in path {
        of.push(of[a] | of[b]);
    }
    let last = of.len().saturating_sub(1);
    of.into_iter().enumerate().filter(|&(k, _)| k >= operands && k < last).map(|(_, set)| set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::search::{Objective, generate};
    use std::collections::BTreeMap;

    /// The costs of all trees, by joining every two tensors in every order.
    fn all(network: &Network, objective: &Objective<'_>) -> Vec<f64> {
        let count = network.inputs().len();
        let mut found: BTreeMap<Sets, f64> = BTreeMap::new();
        let mut todo: Vec<(Vec<usize>, Vec<(usize, usize)>)> = vec![((0..count).collect(), Vec::new())];
        while let Some((live, path)) = todo.pop() {
            if live.len() == 1 {
                let value = objective.log2_value(network, &path, &[]).unwrap();
                found.insert(sets(count, &path), value);
                continue;
            }
            for a in 0..live.len() {
                for b in a + 1..live.len() {
                    let mut rest: Vec<usize> =
                        (0..live.len()).filter(|&k| k != a && k != b).map(|k| live[k]).collect();
                    rest.push(count + path.len());
                    let path = path.iter().copied().chain([(live[a], live[b])]).collect();
                    todo.push((rest, path));
                }
            }
        }
        let mut values: Vec<f64> = found.into_values().collect();
        values.sort_by(f64::total_cmp);
        values
    }

    #[test]
    fn the_cheapest_trees_of_small_networks_are_found_in_order() {
        for network in [
            generate::chain(5, 2, 9, 4),
            generate::random_hypergraph(5, 8, 3, 2),
            Network::new(vec![vec![0], vec![1], vec![2], vec![0, 1, 2, 3]], vec![0, 3], vec![2, 3, 4, 5])
                .unwrap(),
        ] {
            for objective in [Objective::Macs, Objective::Write, Objective::Combo(64.0), Objective::Flops] {
                let wanted = all(&network, &objective);
                let mut options = Options { objective, ..Options::default() };
                for count in [1, 7, 1000] {
                    let found = several(&network, &mut options, count).unwrap();
                    assert_eq!(found.len(), count.min(wanted.len()));
                    for (plan, wanted) in found.iter().zip(&wanted) {
                        assert!((plan.log2_value - wanted).abs() < 1e-6, "{objective:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn large_networks_and_limits_have_several_trees() {
        let network = generate::random_regular(40, 3, 2, 5);
        let mut options = Options { work: Some(4_000_000), ..Options::default() };
        let plans = several(&network, &mut options, 3).unwrap();
        assert!(plans.len() > 1 && plans.windows(2).all(|pair| pair[0].log2_value <= pair[1].log2_value));
        assert!(plans[0].path != plans[1].path && options.work == Some(4_000_000));
        options.memory = Some(super::super::MemoryLimit::Total(1.0));
        assert!(matches!(several(&network, &mut options, 2), Err(Refusal::Memory { .. })));
        assert!(several(&generate::chain(1, 2, 2, 1), &mut Options::default(), 4).unwrap().len() == 1);
        assert!(several(&generate::chain(5, 2, 2, 1), &mut Options::default(), 0).unwrap().is_empty());
    }
}

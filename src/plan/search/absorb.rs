//! Which leaves of a large problem are joined before it is searched.

use super::budget::Budget;
use super::cost::Objective;
use super::problem::{Absorbed, Problem};
use super::rounds::{Search, sweep_work};
use super::tree::Tree;

/// Up to this many leaves a problem is searched as it is; larger ones are first reduced by absorption.
const ABSORB: usize = 256;

/// Where there is work for more sweeps than this over a problem, it is searched with more of its leaves apart.
const SWEEPS: u64 = 200_000;

/// The part of the work that each of two ways to join leaves gets where it is tried which is better.
const TRIALS: u64 = 16;

/// Joins leaves of a large problem, if that makes it smaller, and says how many rounds of annealing that took.
///
/// Few axes that are all neighbours meet in some step of every tree, so that joining what is over them costs no
/// multiply-adds to speak of. But it may cost elements written, where they are more axes than one tensor joins: whether it
/// does is tried.
pub(super) fn absorb(
    problem: &Problem,
    objective: Objective<'_>,
    seed: u64,
    budget: &mut Budget<'_>,
) -> Option<(Absorbed, u64)> {
    if problem.count() <= ABSORB {
        return None;
    }
    let cliques = budget.limit / SWEEPS < sweep_work(problem);
    let joined = problem.absorb(cliques);
    if Tree::is_too_large(problem) {
        return Some((joined, 0));
    }
    let count = joined.problem.count();
    if cliques && count > 2 && !budget.frugal && !matches!(objective, Objective::Macs | Objective::Flops) {
        let apart = problem.absorb(false);
        if 4 * count < 3 * apart.problem.count() {
            let [first, second] =
                [&joined, &apart].map(|absorbed| trial(problem, absorbed, objective, seed, budget));
            let best = if second.0 < first.0 { apart } else { joined };
            return Some((best, first.1 + second.1));
        }
    }
    (count < problem.count()).then_some((joined, 0))
}

/// The logarithm of the objective of what a short search for a tree of some joined leaves finds, and its rounds.
fn trial(
    problem: &Problem,
    absorbed: &Absorbed,
    objective: Objective<'_>,
    seed: u64,
    budget: &mut Budget<'_>,
) -> (f64, u64) {
    let limit = budget.limit;
    budget.limit = limit.min(budget.work + limit / TRIALS);
    let mut silent = |_: f64, _: u64| {};
    let mut search = Search::new(&absorbed.problem, objective, seed, budget, &mut silent);
    search.run();
    let (path, rounds) = search.outcome();
    budget.limit = limit;
    let mut search = Search::new(problem, objective, seed, budget, &mut silent);
    (search.offer_path(absorbed.expand(&path)).0, rounds)
}

#[cfg(test)]
mod tests {
    use crate::plan::search::{Network, Objective, Options, optimize};

    /// Where intervals begin and end: as axes, they share a matrix with all that they overlap.
    #[rustfmt::skip]
    const INTERVALS: [(u32, u32); 60] = [
        (14, 18), (39, 41), (8, 12), (38, 44), (14, 22), (47, 54), (34, 41), (10, 17), (59, 66), (16, 23),
        (34, 36), (34, 38), (23, 28), (31, 40), (53, 56), (4, 9), (10, 14), (35, 39), (38, 40), (34, 41),
        (55, 58), (45, 47), (50, 54), (34, 38), (16, 18), (18, 27), (56, 62), (13, 22), (48, 54), (33, 35),
        (56, 60), (18, 26), (2, 4), (22, 29), (4, 9), (27, 30), (51, 59), (50, 52), (18, 23), (54, 59),
        (52, 56), (12, 15), (5, 7), (56, 58), (18, 26), (4, 7), (33, 40), (42, 46), (40, 45), (32, 34),
        (44, 46), (4, 8), (27, 31), (57, 60), (48, 55), (32, 39), (42, 48), (8, 11), (37, 40), (38, 40),
    ];

    #[test]
    fn neighbours_stay_apart_where_joining_them_makes_more_to_write() {
        let overlap = |a: (u32, u32), b: (u32, u32)| a.0 <= b.1 && b.0 <= a.1;
        let mut pairs = Vec::new();
        for (a, &first) in (0..).zip(&INTERVALS) {
            let others = (a + 1..).zip(&INTERVALS[a as usize + 1..]);
            pairs.extend(others.filter(|other| overlap(first, *other.1)).map(|other| vec![a, other.0]));
        }
        let network = Network::new(pairs, vec![], vec![4; INTERVALS.len()]).unwrap();
        let objective = Objective::Write;
        let values = (0..3).map(|seed| {
            let mut options = Options { objective, seed, work: Some(160_000_000), ..Options::default() };
            optimize(&network, &mut options).unwrap().log2_value
        });
        let least = values.fold(f64::INFINITY, f64::min);
        // Joined, they come to 21.48 at best.
        assert!(least < 20.7, "{least}");
    }
}

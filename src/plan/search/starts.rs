//! The ways to make a tree from nothing, and how the work is shared among them.

use super::eliminate::{Rule, eliminate, eliminate_in_order, fill_order};
use super::greedy::{Taste, greedy};
use super::line::line;
use super::partition::{arrange, partition};
use super::rounds::Search;

/// A way to make a tree.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// Axis by axis, by the score of the bucket.
    Eliminate,
    /// Operand by operand, with a narrow boundary.
    Line,
    /// Axis by axis, with few new pairs.
    Fill,
    /// Operand by operand, in an order made by cutting.
    Arrange,
    /// By cutting.
    Partition,
    /// Pair by pair.
    Greedy,
}

/// Every way, in the order in which they are tried first.
pub(super) const WAYS: [Way; 6] =
    [Way::Eliminate, Way::Line, Way::Fill, Way::Arrange, Way::Greedy, Way::Partition];

impl Search<'_, '_> {
    /// Draws starts until the work reaches a limit, more of those that have done well.
    pub(super) fn starts(&mut self, limit: u64) {
        let mut spent = [0u64; WAYS.len()];
        let mut tries = [0usize; WAYS.len()];
        let mut best = [f64::INFINITY; WAYS.len()];
        // The tastes that have done best, for the ways that have one.
        let mut tastes: [Vec<(f64, Taste)>; WAYS.len()] = [const { Vec::new() }; WAYS.len()];
        while !self.budget.over() && self.budget.work < limit {
            // Every way once; then the best gets most of the work and the worst least.
            let number = (0..WAYS.len()).find(|&k| tries[k] == 0).unwrap_or_else(|| {
                let rank = |k: usize| best.iter().filter(|&&other| other < best[k]).count() as u32;
                (0..WAYS.len()).min_by_key(|&k| (spent[k] << (2 * rank(k)), k)).unwrap_or(0)
            });
            let before = self.budget.work;
            let (random, work) = (&mut self.random, &mut self.budget.work);
            let known = &tastes[number];
            let taste = if tries[number] == 0 {
                Taste::PLAIN
            } else if known.len() >= 4 && random.below(2) == 0 {
                known[random.below(4)].1.near(random)
            } else {
                Taste::draw(random)
            };
            let path = match WAYS[number] {
                Way::Greedy => greedy(self.problem, taste, random, work),
                Way::Eliminate => {
                    let rule = [Rule::Gain, Rule::Degree][tries[number] % 2];
                    eliminate(self.problem, rule, taste, random, work)
                }
                Way::Line => {
                    let noise = if tries[number] < 3 { 0.01 } else { 0.5 * random.unit() * random.unit() };
                    line(self.problem, noise, random, work)
                }
                Way::Arrange => {
                    let share = 0.6 + 0.15 * random.unit();
                    arrange(self.problem, (share, 3), random, work)
                }
                Way::Partition => {
                    let share = 0.52 + 0.4 * random.unit() * random.unit();
                    partition(self.problem, share, random, work)
                }
                Way::Fill => {
                    let noise = if tries[number] == 0 { 0.0 } else { 0.3 * random.unit() * random.unit() };
                    let most = *work + (limit - *work) / 6;
                    match fill_order(self.problem, noise, random, work, most) {
                        Some(order) => eliminate_in_order(self.problem, &order, work),
                        None => {
                            // Too much work for this problem: never again.
                            tries[number] += 1;
                            spent[number] = u64::MAX >> (2 * WAYS.len());
                            continue;
                        }
                    }
                }
            };
            tries[number] += 1;
            let (value, shape) = self.offer_path(path);
            if value < best[number] {
                best[number] = value;
                self.firsts[number] = Some((value, shape));
            }
            if matches!(WAYS[number], Way::Greedy | Way::Eliminate) {
                let known = &mut tastes[number];
                known.push((value, taste));
                known.sort_by(|a, b| a.0.total_cmp(&b.0));
                known.truncate(4);
            }
            spent[number] += self.budget.work - before;
        }
    }
}

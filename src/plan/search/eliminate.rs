//! Trees made by removing one axis after the other: all tensors that carry it are joined, and it is summed.
//!
//! Where many operands share an axis this sees what pairwise greed does not.

use super::greedy::Taste;
use super::math::{self, Random};
use super::problem::Problem;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How a bucket, all tensors that carry an axis, is scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// By the elements of its result.
    Degree,
    /// By the pairs of axes that come together for the first time.
    Fill,
    /// As greed scores a pair: the result less the operands.
    Gain,
}

struct State<'a> {
    problem: &'a Problem,
    lists: Vec<Vec<u32>>,
    sizes: Vec<f64>,
    carriers: Vec<Vec<u32>>,
    path: Vec<(u32, u32)>,
    mark: Vec<u32>,
    stamp: u32,
    work: u64,
}

impl State<'_> {
    /// The score of the bucket of an axis; small is good.
    fn score(&mut self, axis: u32, rule: Rule, taste: Taste, random: &mut Random) -> f64 {
        self.stamp += 1;
        let (mut size, mut degree, mut pairs, mut operands) = (0.0, 0usize, 0usize, f64::NEG_INFINITY);
        for &tensor in &self.carriers[axis as usize] {
            let list = &self.lists[tensor as usize];
            self.work += 10 + list.len() as u64;
            let mut fresh = 0;
            for &other in list {
                if self.mark[other as usize] != self.stamp {
                    self.mark[other as usize] = self.stamp;
                    size += self.problem.logs[other as usize];
                    fresh += 1;
                }
            }
            degree += fresh;
            // Pairs within one tensor are together already; those of later tensors only as far as they are new.
            pairs += fresh * fresh.saturating_sub(1) / 2 + fresh * (list.len() - fresh).saturating_sub(1);
            operands = math::log2_add(operands, self.sizes[tensor as usize]);
        }
        let size = size - self.problem.logs[axis as usize];
        let degree = degree.saturating_sub(1);
        let disturb = taste.temperature * random.gumbel();
        match rule {
            Rule::Degree => size - disturb,
            Rule::Fill => {
                let fill =
                    (degree * degree.saturating_sub(1) / 2).saturating_sub(pairs.saturating_sub(degree));
                math::log2(1.0 + fill as f64) + 1e-3 * size - disturb
            }
            Rule::Gain => {
                let log = math::log2(taste.favour);
                let (gain, loss) = (size - log, operands + log);
                let score = if gain > loss {
                    (gain + math::log2((1.0 - math::exp2(loss - gain)).max(1e-9))).max(0.0)
                } else {
                    -(loss + math::log2((1.0 - math::exp2(gain - loss)).max(1e-9))).max(0.0)
                };
                score - disturb
            }
        }
    }

    /// Joins two tensors, keeping every axis that something else has, and returns the new one.
    fn join(&mut self, a: u32, b: u32) -> u32 {
        let tensor = (self.problem.count() + self.path.len()) as u32;
        self.path.push((a, b));
        let mut joined = std::mem::take(&mut self.lists[a as usize]);
        joined.extend(std::mem::take(&mut self.lists[b as usize]));
        joined.sort_unstable();
        joined.dedup();
        joined.retain(|&axis| {
            let carriers = &mut self.carriers[axis as usize];
            carriers.retain(|&k| k != a && k != b);
            let stays = self.problem.kept[axis as usize] || !carriers.is_empty();
            if stays {
                carriers.push(tensor);
            }
            stays
        });
        self.work += 50 + 10 * joined.len() as u64;
        self.sizes.push(joined.iter().map(|&axis| self.problem.logs[axis as usize]).sum());
        self.lists.push(joined);
        tensor
    }

    /// Joins tensors pairwise, smallest first.
    fn join_all(&mut self, tensors: &[u32]) {
        let mut heap: BinaryHeap<Reverse<(i64, u32)>> =
            tensors.iter().map(|&k| Reverse((math::order_key(self.sizes[k as usize]), k))).collect();
        while let (Some(Reverse((_, a))), Some(Reverse((_, b)))) = (heap.pop(), heap.pop()) {
            let joined = self.join(a, b);
            heap.push(Reverse((math::order_key(self.sizes[joined as usize]), joined)));
        }
    }
}

/// Removes the axes of a connected problem in the order a rule gives and returns the path, adding to `work` what it
/// took.
pub(super) fn eliminate(
    problem: &Problem,
    rule: Rule,
    taste: Taste,
    random: &mut Random,
    work: &mut u64,
) -> Vec<(u32, u32)> {
    let axes = problem.logs.len();
    let mut state = State {
        problem,
        lists: problem.lists.clone(),
        sizes: problem
            .lists
            .iter()
            .map(|list| list.iter().map(|&axis| problem.logs[axis as usize]).sum())
            .collect(),
        carriers: problem.carriers.clone(),
        path: Vec::with_capacity(problem.count()),
        mark: vec![0; axes],
        stamp: 0,
        work: 0,
    };
    let mut scores = vec![0i64; axes];
    let mut heap = BinaryHeap::with_capacity(2 * axes);
    for axis in 0..axes as u32 {
        if !problem.kept[axis as usize] {
            scores[axis as usize] = math::order_key(state.score(axis, rule, taste, random));
            heap.push(Reverse((scores[axis as usize], axis)));
        }
    }
    while let Some(Reverse((score, axis))) = heap.pop() {
        let bucket = state.carriers[axis as usize].clone();
        if scores[axis as usize] != score || bucket.len() < 2 {
            continue;
        }
        state.join_all(&bucket);
        let Some(list) = state.lists.last().cloned() else { continue };
        for other in list {
            if !problem.kept[other as usize] {
                let score = math::order_key(state.score(other, rule, taste, random));
                if scores[other as usize] != score {
                    scores[other as usize] = score;
                    heap.push(Reverse((score, other)));
                }
            }
        }
    }
    // What is left shares only axes of the output.
    let mut used = vec![false; problem.count() + state.path.len()];
    state.path.iter().for_each(|&(a, b)| {
        used[a as usize] = true;
        used[b as usize] = true;
    });
    let rest: Vec<u32> = (0..used.len() as u32).filter(|&k| !used[k as usize]).collect();
    state.join_all(&rest);
    *work += state.work;
    state.path
}

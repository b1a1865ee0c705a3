//! Trees made by removing one axis after the other: all tensors that carry it are joined, and it is summed.
//!
//! Where many operands share an axis this sees what pairwise greed does not.

use super::greedy::Taste;
use super::math::{self, LogTable, Random};
use super::problem::Problem;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How a bucket, all tensors that carry an axis, is scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// By the elements of its result.
    Degree,
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
    table: &'static LogTable,
    work: u64,
}

impl State<'_> {
    fn new(problem: &Problem) -> State<'_> {
        State {
            problem,
            lists: problem.lists.clone(),
            sizes: problem
                .lists
                .iter()
                .map(|list| list.iter().map(|&axis| problem.logs[axis as usize]).sum())
                .collect(),
            carriers: problem.carriers.clone(),
            path: Vec::with_capacity(problem.count()),
            mark: vec![0; problem.logs.len()],
            stamp: 0,
            table: LogTable::get(),
            work: 0,
        }
    }

    /// Joins what is left, which shares only axes of the output.
    fn finish(mut self, work: &mut u64) -> Vec<(u32, u32)> {
        let mut used = vec![false; self.problem.count() + self.path.len()];
        self.path.iter().for_each(|&(a, b)| {
            used[a as usize] = true;
            used[b as usize] = true;
        });
        let rest: Vec<u32> = (0..used.len() as u32).filter(|&k| !used[k as usize]).collect();
        self.join_all(&rest);
        *work += self.work;
        self.path
    }

    /// The score of the bucket of an axis; small is good.
    fn score(&mut self, axis: u32, rule: Rule, taste: Taste, random: &mut Random) -> f64 {
        self.stamp += 1;
        let (mut size, mut operands) = (0.0, f64::NEG_INFINITY);
        for &tensor in &self.carriers[axis as usize] {
            let list = &self.lists[tensor as usize];
            self.work += 20 + 2 * list.len() as u64;
            for &other in list {
                if self.mark[other as usize] != self.stamp {
                    self.mark[other as usize] = self.stamp;
                    size += self.problem.logs[other as usize];
                }
            }
            operands = self.table.add(operands, self.sizes[tensor as usize]);
        }
        let size = size - self.problem.logs[axis as usize];
        self.work += 40;
        let disturb = taste.temperature * random.gumbel();
        match rule {
            Rule::Degree => size - disturb,
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
    let mut state = State::new(problem);
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
    state.finish(work)
}

/// Removes the axes in the given order and returns the path, adding to `work` what it took.
pub(super) fn eliminate_in_order(problem: &Problem, order: &[u32], work: &mut u64) -> Vec<(u32, u32)> {
    let mut state = State::new(problem);
    for &axis in order {
        let bucket = state.carriers[axis as usize].clone();
        if bucket.len() > 1 {
            state.join_all(&bucket);
        }
    }
    state.finish(work)
}

/// The most words that all rows of [`fill_order`] may take.
const ROWS: usize = 1 << 20;

/// An order of the axes that always removes one whose neighbours need the fewest new pairs to be all together; none
/// for very many axes, or when `work` passes `limit`.
///
/// `noise` disturbs the counts by factors of about `2^noise`.
pub(super) fn fill_order(
    problem: &Problem,
    noise: f64,
    random: &mut Random,
    work: &mut u64,
    limit: u64,
) -> Option<Vec<u32>> {
    let axes = problem.logs.len();
    let words = axes.div_ceil(64);
    if axes * words > ROWS {
        return None;
    }
    // The row of an axis: those that share a tensor with it, and itself.
    let mut rows = vec![0u64; axes * words];
    for list in &problem.lists {
        for &axis in list {
            let row = &mut rows[axis as usize * words..(axis as usize + 1) * words];
            list.iter().for_each(|&other| row[other as usize / 64] |= 1 << (other % 64));
        }
    }
    let members = |row: &[u64]| {
        let mut members = Vec::new();
        for (word, &bits) in row.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                members.push((word * 64) as u32 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        members
    };
    let fill = |rows: &[u64], axis: usize, work: &mut u64| -> u64 {
        let row = &rows[axis * words..(axis + 1) * words];
        let neighbours = members(row);
        *work += 60 + (neighbours.len() * (words + 4)) as u64;
        let mut missing = 0;
        for &other in &neighbours {
            let theirs = &rows[other as usize * words..(other as usize + 1) * words];
            missing += row.iter().zip(theirs).map(|(&a, &b)| u64::from((a & !b).count_ones())).sum::<u64>();
        }
        missing / 2
    };
    let mut heap: BinaryHeap<Reverse<(i64, i64, u32)>> = BinaryHeap::new();
    let mut scores = vec![(0i64, 0i64); axes];
    let score = |rows: &[u64], axis: usize, random: &mut Random, work: &mut u64| {
        let count = (1 + fill(rows, axis, work)) as f64;
        let count = if noise > 0.0 { count * math::exp2(noise * random.gumbel()) } else { count };
        // Among equals a random one, which is what makes one order differ from the next.
        (math::order_key(count), (random.next() >> 1) as i64)
    };
    let removable = |axis: usize| !problem.kept[axis];
    for axis in (0..axes).filter(|&axis| removable(axis)) {
        scores[axis] = score(&rows, axis, random, work);
        heap.push(Reverse((scores[axis].0, scores[axis].1, axis as u32)));
    }
    let mut order = Vec::with_capacity(axes);
    let mut gone = vec![false; axes];
    while let Some(Reverse((first, second, axis))) = heap.pop() {
        let removed = axis as usize;
        if gone[removed] || scores[removed] != (first, second) {
            continue;
        }
        if *work > limit {
            return None;
        }
        gone[removed] = true;
        order.push(axis);
        let row: Vec<u64> = rows[removed * words..(removed + 1) * words].to_vec();
        let neighbours = members(&row);
        // Counts change where a neighbour is, or may become, a neighbour.
        let mut changed = vec![0u64; words];
        let clique = neighbours.iter().all(|&other| {
            let theirs = &rows[other as usize * words..(other as usize + 1) * words];
            row.iter().zip(theirs).all(|(&a, &b)| a & !b == 0)
        });
        for &other in &neighbours {
            let theirs = &mut rows[other as usize * words..(other as usize + 1) * words];
            for (word, (theirs, &own)) in theirs.iter_mut().zip(&row).enumerate() {
                if !clique {
                    changed[word] |= *theirs;
                }
                *theirs |= own;
            }
            theirs[removed / 64] &= !(1 << (removed % 64));
        }
        if clique {
            changed.copy_from_slice(&row);
        }
        *work += (2 * neighbours.len() * words) as u64;
        for other in members(&changed) {
            if !gone[other as usize] && removable(other as usize) {
                let fresh = score(&rows, other as usize, random, work);
                scores[other as usize] = fresh;
                heap.push(Reverse((fresh.0, fresh.1, other)));
            }
        }
    }
    Some(order)
}

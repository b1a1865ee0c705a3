//! Trees that take in one operand after the other: the network is swept from one end to the other.
//!
//! On lattices, and on anything longer than it is wide, the boundary of what has been taken in stays narrow.

use super::math::{self, Random};
use super::problem::Problem;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What has been taken in.
struct Sweep<'a> {
    problem: &'a Problem,
    inside: Vec<bool>,
    /// How many operands of each axis are taken in.
    taken: Vec<u32>,
    /// When the first one was.
    opened: Vec<u32>,
    order: Vec<u32>,
    mark: Vec<u32>,
    counts: Vec<u32>,
    stamp: u32,
}

impl Sweep<'_> {
    fn is_open(&self, axis: usize) -> bool {
        self.taken[axis] > 0 && (self.taken[axis] as usize) < self.problem.carriers[axis].len()
    }

    fn take(&mut self, leaf: u32) {
        self.inside[leaf as usize] = true;
        self.order.push(leaf);
        for &axis in &self.problem.lists[leaf as usize] {
            self.taken[axis as usize] += 1;
            if self.taken[axis as usize] == 1 {
                self.opened[axis as usize] = self.order.len() as u32;
            }
        }
    }

    /// By how much the boundary grows when every operand of an axis is taken in.
    fn growth(&mut self, axis: usize, work: &mut u64) -> f64 {
        self.stamp += 1;
        let mut touched: Vec<u32> = Vec::with_capacity(16);
        for &leaf in &self.problem.carriers[axis] {
            if self.inside[leaf as usize] {
                continue;
            }
            for &other in &self.problem.lists[leaf as usize] {
                if self.mark[other as usize] != self.stamp {
                    self.mark[other as usize] = self.stamp;
                    self.counts[other as usize] = 0;
                    touched.push(other);
                }
                self.counts[other as usize] += 1;
            }
        }
        *work += 20 + 8 * touched.len() as u64;
        let mut change = 0.0;
        for &other in &touched {
            let other = other as usize;
            let before = self.taken[other];
            let all = before + self.counts[other] == self.problem.carriers[other].len() as u32;
            let stays = self.problem.kept[other] || !all;
            match (before > 0, stays) {
                (false, true) => change += self.problem.logs[other],
                (true, false) => change -= self.problem.logs[other],
                _ => {}
            }
        }
        change
    }
}

/// Sweeps a connected problem, always taking in all operands of the axis that leaves the smallest boundary, and
/// returns the path, adding to `work` what it took. Scores are disturbed by about `noise` powers of two.
pub(super) fn line(problem: &Problem, noise: f64, random: &mut Random, work: &mut u64) -> Vec<(u32, u32)> {
    let count = problem.count();
    let axes = problem.logs.len();
    let start = far(problem, random.below(count));
    let start = if random.below(2) == 0 { far(problem, start) } else { start };
    let mut sweep = Sweep {
        problem,
        inside: vec![false; count],
        taken: vec![0; axes],
        opened: vec![0; axes],
        order: Vec::with_capacity(count),
        mark: vec![0; axes],
        counts: vec![0; axes],
        stamp: 0,
    };
    let mut scores = vec![(i64::MAX, 0u32); axes];
    let mut heap: BinaryHeap<Reverse<((i64, u32), u32)>> = BinaryHeap::new();
    let mut seen = vec![0u32; axes];
    let mut fresh = vec![start as u32];
    let mut round = 0;
    let mut rest = 0;
    while sweep.order.len() < count {
        round += 1;
        // Scores change for axes that share an operand with an axis of what is new.
        let mut changed: Vec<u32> = Vec::new();
        for &leaf in &fresh {
            sweep.take(leaf);
        }
        for &leaf in &fresh {
            for &axis in &problem.lists[leaf as usize] {
                if problem.carriers[axis as usize].len() > 32 {
                    continue;
                }
                for &other in &problem.carriers[axis as usize] {
                    for &near in &problem.lists[other as usize] {
                        if std::mem::replace(&mut seen[near as usize], round) != round {
                            changed.push(near);
                        }
                    }
                }
            }
        }
        *work += 4 * changed.len() as u64;
        for axis in changed {
            if sweep.is_open(axis as usize) {
                let mut change = sweep.growth(axis as usize, work);
                if noise > 0.0 {
                    change -= noise * random.gumbel();
                }
                let score = (math::order_key(change), sweep.opened[axis as usize]);
                scores[axis as usize] = score;
                heap.push(Reverse((score, axis)));
            }
        }
        fresh.clear();
        while let Some(Reverse((score, axis))) = heap.pop() {
            if scores[axis as usize] == score && sweep.is_open(axis as usize) {
                fresh.extend(
                    problem.carriers[axis as usize].iter().filter(|&&leaf| !sweep.inside[leaf as usize]),
                );
                break;
            }
        }
        // Without an open axis, what is left shares no axis with what was taken in.
        while fresh.is_empty() && rest < count {
            if !sweep.inside[rest] {
                fresh.push(rest as u32);
            }
            rest += 1;
        }
        if fresh.is_empty() {
            break;
        }
    }
    let order = sweep.order;
    let mut path = Vec::with_capacity(count.saturating_sub(1));
    let mut whole = order[0];
    for &leaf in &order[1..] {
        path.push((whole, leaf));
        whole = (count + path.len() - 1) as u32;
    }
    path
}

/// One of the operands farthest from one.
fn far(problem: &Problem, from: usize) -> usize {
    let mut seen = vec![false; problem.count()];
    let mut used = vec![false; problem.logs.len()];
    let mut queue = std::collections::VecDeque::from([from]);
    seen[from] = true;
    let mut last = from;
    while let Some(leaf) = queue.pop_front() {
        last = leaf;
        for &axis in &problem.lists[leaf] {
            if std::mem::replace(&mut used[axis as usize], true) {
                continue;
            }
            for &other in &problem.carriers[axis as usize] {
                if !std::mem::replace(&mut seen[other as usize], true) {
                    queue.push_back(other as usize);
                }
            }
        }
    }
    last
}

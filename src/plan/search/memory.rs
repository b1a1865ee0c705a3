//! Plans within a memory limit: some axes are sliced, and the tree is changed to suit.
//!
//! A sliced axis leaves every tensor, so a sliced network is a smaller network, and the tree is annealed as such
//! while results above the limit are penalised. Slices are added where the tree still exceeds the limit, each where
//! it raises the cost least, and given back when the tree has changed so that it fits without them. Trees that are good
//! with slices are others than those that are good without, so that several ways to make them are tried, and which axes
//! are sliced is a matter of trying others, too.

use super::canonical::Canonical;
use super::cost::{Cost, evaluate, steps};
use super::math;
use super::problem::Problem;
use super::rounds::{SHALLOW, Search, TRIAL};
use super::solve::{self, Outcome};
use super::tree::{Shape, Tree};
use super::{Amount, MemoryLimit, Network, Objective, Options, Progress, Refusal};
use std::time::Instant;

/// The part of the work for slices that goes into starts.
const STARTS: u64 = 20;

/// The parts of it that the rounds of each start and the first round after them get.
const ROUNDS: (u64, u64) = (24, 12);

/// The part of a round that goes into other choices of slices, as a fraction.
const EXCHANGE: (u64, u64) = (2, 5);

/// Sweeps after another choice, and the inverse temperature at which they begin.
const SUIT: (u64, f64) = (60, 4.0);

/// How many powers of two worse a choice may be that is gone on with, at most.
const WORSE: f64 = 0.02;

/// How much chance there is in the choice of slices: of the powers of two that each costs.
const CHANCE: (f64, f64) = (0.02, 0.1);

/// A limit as the search of one component sees it.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// The binary logarithm of the elements.
    pub(super) log2: f64,
    /// Whether the elements alive at once count, not only the largest result.
    pub(super) peak: bool,
}

impl Limit {
    /// The logarithm of what a tree needs.
    pub(super) fn needs(&self, tree: &Tree) -> f64 {
        if self.peak { tree.peak() } else { tree.largest() }
    }
}

/// The elements that a plan needs, counted as the limit is.
pub(super) fn needs(network: &Network, cost: &Cost, slices: &[u32], limit: MemoryLimit) -> Amount {
    match limit {
        MemoryLimit::Largest(_) => cost.size,
        MemoryLimit::Peak(_) => cost.peak,
        MemoryLimit::Total(_) => cost.peak + fixed(network, !slices.is_empty()),
    }
}

/// The elements of the inputs, and of the output when the results of slices are gathered in it.
fn fixed(network: &Network, sliced: bool) -> Amount {
    let inputs: Amount = network.inputs().iter().map(|axes| network.elems(axes)).sum();
    if sliced { inputs + network.elems(network.output()) } else { inputs }
}

/// The elements that a limit allows.
pub(super) fn allowed(limit: MemoryLimit) -> Amount {
    match limit {
        MemoryLimit::Largest(elems) | MemoryLimit::Peak(elems) | MemoryLimit::Total(elems) => {
            Amount::new(elems)
        }
    }
}

/// Brings a plan within a limit, if it can.
pub(super) fn slice(
    network: &Network,
    options: &mut Options<'_>,
    limit: MemoryLimit,
    outcome: &mut Outcome,
    start: Instant,
) -> Result<(), Refusal> {
    let cost = evaluate(network, &outcome.path, &[])?;
    if needs(network, &cost, &[], limit) <= allowed(limit) {
        return Ok(());
    }
    outcome.proven = false;
    let log2 = match limit {
        MemoryLimit::Largest(elems) | MemoryLimit::Peak(elems) => math::log2(elems),
        MemoryLimit::Total(elems) => math::log2(elems - fixed(network, true).value()),
    };
    if log2 >= 0.0 {
        search(
            network,
            options,
            Limit { log2, peak: !matches!(limit, MemoryLimit::Largest(_)) },
            outcome,
            start,
        );
    }
    fall_back(network, &options.objective, limit, outcome)
}

/// Searches trees and slices of a connected network, starting with the tree that is there.
fn search(network: &Network, options: &mut Options<'_>, limit: Limit, outcome: &mut Outcome, start: Instant) {
    let canonical = Canonical::new(network, false);
    let components = canonical.components();
    if components.len() != 1 || components[0].len() < 2 {
        return;
    }
    let problem = Problem::new(&canonical, &components[0]);
    if Tree::is_too_large(&problem) {
        return;
    }
    let everything = solve::budget(network, options);
    let left = everything - outcome.work.min(everything);
    let mut budget = solve::new_budget(options, left, solve::deadline(options, start, 1.0));
    let done = outcome.work;
    let progress = &mut options.progress;
    let mut report = |log2_value: f64, work: u64| {
        if let Some(progress) = progress {
            progress(&Progress { log2_value, work: done + work, budget: everything });
        }
    };
    let mut search = Search::new(&problem, options.objective, options.seed, &mut budget, &mut report);
    search.limit = Some(limit);
    search.energy.limit = limit.log2;
    search.energy.penalty = 1.0;
    let path = outcome.path.iter().map(|&(a, b)| (a as u32, b as u32)).collect();
    search.slice_rounds(Shape { path, sliced: Vec::new() });
    outcome.rounds += search.rounds;
    if let Some((_, shape)) = search.pool.first() {
        outcome.path = shape.path.iter().map(|&(a, b)| (a as usize, b as usize)).collect();
        let members = |axis: &u32| canonical.members[problem.axes[*axis as usize] as usize].iter().copied();
        outcome.slices = shape.sliced.iter().flat_map(members).collect();
        outcome.slices.sort_unstable();
    }
    outcome.work += budget.done();
    outcome.capped |= budget.capped;
}

impl Search<'_, '_> {
    /// Anneals trees, slices them, and gives slices back, in rounds of growing length.
    fn slice_rounds(&mut self, start: Shape) {
        let total = self.budget.left();
        // Not where a round would be too short to show what a start is worth.
        if total / ROUNDS.0 >= TRIAL * self.sweep_work() {
            self.starts(self.budget.work + total / STARTS);
        }
        let mut firsts: Vec<(f64, Shape)> = self.firsts.iter().flatten().cloned().collect();
        firsts.sort_by(|a, b| a.0.total_cmp(&b.0));
        let starts: Vec<Shape> =
            std::iter::once(start).chain(firsts.into_iter().map(|(_, shape)| shape)).collect();
        let mut share = total / ROUNDS.0;
        let mut round = 0;
        loop {
            if round == starts.len() {
                share = total / ROUNDS.1;
            }
            let mut shape = match self.pool.first() {
                _ if round < starts.len() => starts[round].clone(),
                Some((_, best)) if round % 4 != 3 => best.clone(),
                _ => starts[self.random.below(starts.len())].clone(),
            };
            // Some slices are taken back before the round, and chosen anew after it.
            let kept = [1.0, 0.5, 0.8, 0.0][round % 4];
            let random = &mut self.random;
            shape.sliced.retain(|_| random.unit() < kept);
            let mut tree = self.tree(&shape);
            let sweep = tree.visit_work() * tree.count as u64;
            let hot = [2.0, 4.0, 1.0][round % 3];
            self.slice_tree(&mut tree, (hot, CHANCE.0), share / 2 / sweep);
            // Trees with other slices have other costs.
            self.forest = None;
            self.plant(&tree);
            self.round(&mut tree, (hot, 18.0), f64::INFINITY, share / 2);
            self.plant(&tree);
            tree = self.harvest(tree);
            self.slice_tree(&mut tree, (18.0, CHANCE.0), 0);
            self.give_back(&mut tree);
            self.windows_within(&mut tree);
            self.give_back(&mut tree);
            self.offer(&tree);
            self.exchange(&mut tree, share / EXCHANGE.1 * EXCHANGE.0);
            round += 1;
            if self.budget.over() {
                break;
            }
            share = (share * 5 / 4).min(self.budget.left().max(total / 12));
        }
    }

    /// Slices other axes than some of those that are sliced, and suits the tree to them, until so much work is done.
    fn exchange(&mut self, tree: &mut Tree, share: u64) {
        let end = self.budget.work + share;
        let mut value = if self.fits(tree) { self.value(tree) } else { f64::INFINITY };
        while !self.budget.over() && self.budget.work < end && !tree.sliced.is_empty() {
            let mut other = tree.clone();
            for _ in 0..(1 + self.random.below(2)).min(tree.sliced.len()) {
                let place = self.random.below(other.sliced.len());
                other.sliced.swap_remove(place);
            }
            other.fill(self.problem, &self.measure, &self.energy);
            self.budget.work += 2 * tree.visit_work() * tree.count as u64;
            let chance = CHANCE.1 * self.random.unit();
            self.slice_tree(&mut other, (SUIT.1, chance), 0);
            let (floor, ratio) = (other.total() - SHALLOW, math::log2(18.0 / SUIT.1));
            for sweep in 0..SUIT.0 {
                if self.budget.over() {
                    break;
                }
                let beta = SUIT.1 * math::exp2(ratio * sweep as f64 / SUIT.0 as f64);
                self.budget.work +=
                    other.sweep(&self.measure, &self.energy, (beta, floor), &mut self.random, self.table);
            }
            self.slice_tree(&mut other, (18.0, chance), 0);
            self.give_back(&mut other);
            if self.fits(&other) && self.value(&other) < value + WORSE * self.random.unit() {
                self.windows_within(&mut other);
                value = self.value(&other);
                *tree = other;
                self.offer(tree);
            }
        }
    }

    /// Slices axes until the tree fits, with some chance in the choice; `sweeps` are spread over the steps on the way.
    fn slice_tree(&mut self, tree: &mut Tree, (beta, chance): (f64, f64), sweeps: u64) {
        let excess = self.limit.map_or(0.0, |limit| limit.needs(tree) - limit.log2);
        let each = sweeps / (excess.ceil().max(1.0) as u64 + 1);
        let floor = f64::NEG_INFINITY;
        while !self.fits(tree) {
            if self.budget.over() && (self.budget.capped || !self.pool.is_empty()) {
                break;
            }
            let Some(axis) = self.best_slice(tree, chance) else { break };
            tree.sliced.push(axis);
            tree.fill(self.problem, &self.measure, &self.energy);
            for sweep in 0..each {
                let beta = beta + (12.0 - beta) * sweep as f64 / each as f64;
                if sweep % 16 == 15 && self.budget.over() {
                    break;
                }
                self.budget.work +=
                    tree.sweep(&self.measure, &self.energy, (beta, floor), &mut self.random, self.table);
            }
        }
    }

    /// The axis of one of the results that are too large whose slicing costs least.
    fn best_slice(&mut self, tree: &Tree, chance: f64) -> Option<u32> {
        let words = tree.words;
        let largest = tree.largest();
        let nodes = tree.count..2 * tree.count - 1;
        let bound = self.limit.map_or(largest, |limit| limit.log2.min(largest - 0.5));
        let mut wanted = vec![0u64; words];
        for node in nodes.clone().filter(|&node| tree.size[node] >= bound) {
            for (want, &have) in wanted.iter_mut().zip(&tree.sets[node * words..(node + 1) * words]) {
                *want |= have;
            }
        }
        // What the steps cost that touch each axis, and how many results that are too large have it.
        let most = tree.total();
        let mut touched = vec![0.0; self.problem.logs.len()];
        let mut relieved = vec![0.0; self.problem.logs.len()];
        let mut all = 0.0;
        for node in nodes {
            let set = |node: usize| &tree.sets[node * words..(node + 1) * words];
            let (left, right) = (set(tree.left[node] as usize), set(tree.right[node] as usize));
            let weight = math::exp2(tree.energy[node] - most);
            let relief = f64::from(u8::from(tree.size[node] >= bound));
            all += weight;
            for word in 0..words {
                let mut bits = (left[word] | right[word]) & wanted[word];
                while bits != 0 {
                    let axis = word * 64 + bits.trailing_zeros() as usize;
                    touched[axis] += weight;
                    relieved[axis] += relief * f64::from((set(node)[word] >> (axis % 64) & 1) as u8);
                    bits &= bits - 1;
                }
            }
        }
        self.budget.work += (30 + 4 * words as u64) * tree.count as u64;
        let mut best: Option<(f64, u32)> = None;
        for axis in (0..self.problem.logs.len()).filter(|&axis| wanted[axis / 64] >> (axis % 64) & 1 != 0) {
            let log = self.problem.logs[axis];
            // With the axis: the steps that lack it are repeated. The rest costs the same as before.
            let (repeated, relieved) = ((all - touched[axis]).max(0.0), relieved[axis]);
            // The same relief for less: longer axes relieve more, but cost more.
            let cost = math::log2(1.0 + repeated * (math::exp2(log) - 1.0)) / log
                - 0.02 * math::log2(1.0 + relieved);
            let cost = cost + chance * self.random.unit();
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, axis as u32));
            }
        }
        best.map(|(_, axis)| axis)
    }

    /// Takes slices back as long as the tree fits without them.
    fn give_back(&mut self, tree: &mut Tree) {
        let mut place = 0;
        while place < tree.sliced.len() {
            let axis = tree.sliced.remove(place);
            tree.fill(self.problem, &self.measure, &self.energy);
            self.budget.work += 2 * tree.visit_work() * tree.count as u64;
            if !self.fits(tree) {
                tree.sliced.insert(place, axis);
                place += 1;
            }
        }
        tree.fill(self.problem, &self.measure, &self.energy);
    }

    /// Makes windows optimal where that keeps within the limit.
    fn windows_within(&mut self, tree: &mut Tree) {
        let before = (tree.clone(), self.value(tree));
        self.windows(tree, 8, u64::MAX);
        if !self.fits(tree) || self.value(tree) > before.1 {
            *tree = before.0;
        }
    }
}

/// Slices a plan axis by axis, wherever the largest result is, until it fits or nothing is left to slice.
fn fall_back(
    network: &Network,
    objective: &Objective<'_>,
    limit: MemoryLimit,
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    loop {
        let cost = evaluate(network, &outcome.path, &outcome.slices)?;
        if needs(network, &cost, &outcome.slices, limit) <= allowed(limit) {
            return Ok(());
        }
        let steps = steps(network, &outcome.path, &outcome.slices)?;
        let largest = steps.iter().max_by(|a, b| a.shape.result.total_cmp(&b.shape.result));
        let Some(largest) = largest else { return Ok(()) };
        let mut best: Option<(f64, u32)> = None;
        // Trying an axis takes time linear in the network, so of large ones not all are tried.
        let tries = if network.inputs().len() > 2000 { 8 } else { usize::MAX };
        for &axis in largest.axes.iter().rev().take(tries) {
            if network.extents()[axis as usize] < 2 || outcome.slices.contains(&axis) {
                continue;
            }
            outcome.slices.push(axis);
            let value = objective.log2_value(network, &outcome.path, &outcome.slices)?;
            outcome.slices.pop();
            if best.is_none_or(|(least, _)| value < least) {
                best = Some((value, axis));
            }
        }
        let Some((_, axis)) = best else { return Ok(()) };
        outcome.slices.push(axis);
    }
}

//! The search for a tree of one connected problem: starts, rounds of annealing, exact windows.

use super::budget::Budget;
use super::cost::Objective;
use super::eliminate::{Rule, eliminate};
use super::exact::Tables;
use super::greedy::{Taste, greedy};
use super::math::{self, LogTable, Random};
use super::partition::partition;
use super::problem::Problem;
use super::tree::{Energy, Measure, Shape, Tree};
use super::{interval, window};

/// How many starts are kept.
const POOL: usize = 8;

/// One search.
pub(super) struct Search<'a, 'b> {
    problem: &'a Problem,
    objective: Objective<'a>,
    energy: Energy<'a>,
    measure: Measure,
    extents: Vec<f64>,
    random: Random,
    table: LogTable,
    tables: Tables,
    budget: &'a mut Budget<'b>,
    /// The best trees found, best first, with the logarithm of their objective.
    pool: Vec<(f64, Shape)>,
    pub(super) rounds: u64,
    report: &'a mut dyn FnMut(f64, u64),
}

impl<'a, 'b> Search<'a, 'b> {
    pub(super) fn new(
        problem: &'a Problem,
        objective: Objective<'a>,
        seed: u64,
        budget: &'a mut Budget<'b>,
        report: &'a mut dyn FnMut(f64, u64),
    ) -> Search<'a, 'b> {
        // The largest of all results is no sum; few elements altogether is what leads there.
        let smooth = if objective.is_largest() { Objective::Write } else { objective };
        Search {
            problem,
            objective,
            energy: Energy { objective: smooth, limit: f64::INFINITY, penalty: 0.0 },
            measure: Measure::new(&problem.logs),
            extents: problem.logs.iter().map(|&log| math::exp2(log)).collect(),
            random: Random::new(seed, 7),
            table: LogTable::new(),
            tables: Tables::default(),
            budget,
            pool: Vec::new(),
            rounds: 0,
            report,
        }
    }

    /// The best path found and the logarithm of its objective.
    pub(super) fn run(&mut self) -> (f64, Shape) {
        let plain = greedy(self.problem, Taste::PLAIN, &mut self.random, &mut self.budget.work);
        self.offer_path(plain);
        let limit = self.budget.work + self.budget.left() / 6;
        self.starts(limit);
        self.anneal();
        self.pool.swap_remove(0)
    }

    /// Improves a given tree without making others.
    pub(super) fn polish(&mut self, path: Vec<(u32, u32)>) -> (f64, Shape) {
        self.offer_path(path);
        let mut tree = self.tree(&self.pool[0].1.clone());
        self.descend(&mut tree);
        self.pool.swap_remove(0)
    }

    fn tree(&self, shape: &Shape) -> Tree {
        Tree::new(self.problem, &self.measure, &self.energy, shape)
    }

    /// The logarithm of the objective of a tree.
    fn value(&self, tree: &Tree) -> f64 {
        match self.objective {
            Objective::Size => tree.largest() + 1e-6 * tree.total(),
            Objective::Peak => tree.peak() + 1e-6 * tree.total(),
            _ => tree.total(),
        }
    }

    fn offer_path(&mut self, path: Vec<(u32, u32)>) {
        let shape = Shape { path, sliced: Vec::new() };
        let tree = self.tree(&shape);
        self.budget.work += 4 * tree.visit_work() * tree.count as u64;
        self.offer(&tree);
    }

    /// Keeps a tree if it is among the best.
    fn offer(&mut self, tree: &Tree) {
        let value = self.value(tree);
        if self.pool.len() >= POOL && self.pool.last().is_some_and(|last| value >= last.0) {
            return;
        }
        if self.pool.iter().any(|known| (known.0 - value).abs() < 1e-9) {
            return;
        }
        let place = self.pool.partition_point(|known| known.0 <= value);
        self.pool.insert(place, (value, tree.shape()));
        self.pool.truncate(POOL);
        if place == 0 {
            (self.report)(value, self.budget.work);
        }
    }

    /// Draws starts until the work reaches a limit.
    fn starts(&mut self, limit: u64) {
        let mut spent = [0u64; 3];
        let mut number = 0;
        while !self.budget.over() && self.budget.work < limit {
            // Each way gets the same share of the work.
            let way = (0..3).min_by_key(|&way| spent[way]).unwrap_or(0);
            let before = self.budget.work;
            let (random, work) = (&mut self.random, &mut self.budget.work);
            let path = match way {
                0 => {
                    let taste = Taste::draw(random);
                    greedy(self.problem, taste, random, work)
                }
                1 => {
                    let taste = if number < 6 { Taste::PLAIN } else { Taste::draw(random) };
                    let rule = [Rule::Degree, Rule::Fill, Rule::Gain][number % 3];
                    eliminate(self.problem, rule, taste, random, work)
                }
                _ => {
                    let share = 0.52 + 0.4 * random.unit() * random.unit();
                    partition(self.problem, share, random, work)
                }
            };
            number += 1;
            self.offer_path(path);
            spent[way] += self.budget.work - before;
        }
    }

    /// Anneals in rounds of growing length.
    fn anneal(&mut self) {
        let sweep = self.problem.count() as u64 * (30 + 3 * self.problem.logs.len().div_ceil(64) as u64);
        let starts: Vec<Shape> = self.pool.iter().map(|(_, shape)| shape.clone()).collect();
        let total = self.budget.left();
        let mut share = total / 24;
        let mut round = 0;
        while !self.budget.over() {
            let sweeps = (share / sweep.max(1)).clamp(1, 1 << 20);
            let shape = if round < 4 { starts[round % starts.len()].clone() } else { self.pool[0].1.clone() };
            let (hot, cold) = if round < 4 { (1.0, 16.0) } else { (2.0 + 2.0 * (round % 3) as f64, 18.0) };
            let mut tree = self.tree(&shape);
            self.round(&mut tree, hot, cold, sweeps);
            self.descend(&mut tree);
            round += 1;
            if round >= 4 {
                share = (share * 3 / 2).min(self.budget.left().max(total / 24));
            }
        }
    }

    /// One round: so many sweeps while the inverse temperature goes from `hot` to `cold`.
    fn round(&mut self, tree: &mut Tree, hot: f64, cold: f64, sweeps: u64) {
        self.rounds += 1;
        let work = tree.visit_work() * tree.count as u64;
        let check = (sweeps / 40).max(4);
        let ratio = math::log2(cold / hot);
        for sweep in 0..sweeps {
            let beta = hot * math::exp2(ratio * sweep as f64 / sweeps as f64);
            tree.sweep(&self.measure, &self.energy, beta, &mut self.random, &self.table);
            self.budget.work += work;
            if sweep % 16 == 0 && self.budget.over() {
                break;
            }
            if sweep * 2 > sweeps && sweep % check == 0 {
                self.offer(tree);
            }
        }
        self.offer(tree);
    }

    /// Goes down to a tree that neither moves nor windows nor intervals improve.
    fn descend(&mut self, tree: &mut Tree) {
        let work = tree.visit_work() * tree.count as u64;
        let mut value = self.value(tree);
        for _ in 0..4 {
            for _ in 0..6 {
                tree.sweep(&self.measure, &self.energy, 1e4, &mut self.random, &self.table);
                self.budget.work += work;
            }
            self.windows(tree, 9);
            if let Some(better) = self.intervals(tree) {
                *tree = better;
            }
            self.offer(tree);
            let after = self.value(tree);
            if after > value - 1e-6 || self.budget.over() {
                break;
            }
            value = after;
        }
    }

    /// Makes windows below the expensive nodes optimal.
    fn windows(&mut self, tree: &mut Tree, limit: usize) {
        let count = tree.count;
        let total = tree.total();
        let mut nodes: Vec<u32> = (count as u32..2 * count as u32 - 1)
            .filter(|&node| tree.energy[node as usize] > total - 16.0)
            .collect();
        nodes.sort_by(|&a, &b| tree.energy[b as usize].total_cmp(&tree.energy[a as usize]).then(a.cmp(&b)));
        for node in nodes {
            window::improve(
                tree,
                &self.measure,
                &self.extents,
                &self.problem.logs,
                &self.energy,
                (node, limit),
                &mut self.tables,
                &mut self.budget.work,
            );
            if self.budget.over() {
                break;
            }
        }
    }

    /// The best tree with the leaves in the same order, if that is better.
    fn intervals(&mut self, tree: &Tree) -> Option<Tree> {
        let write = match self.energy.objective {
            Objective::Macs => 0.0,
            Objective::Combo(weight) => weight,
            _ => return None,
        };
        let n = tree.count as u64;
        if tree.count > interval::LIMIT || n * n * n / 6 + 60 * n * n > self.budget.left() {
            return None;
        }
        self.budget.work += n * n * n / 6 + 60 * n * n;
        let path = interval::best_path(self.problem, tree, &tree.leaf_order(), write)?;
        let better = self.tree(&Shape { path, sliced: tree.sliced.clone() });
        (self.value(&better) < self.value(tree) - 1e-9).then_some(better)
    }
}

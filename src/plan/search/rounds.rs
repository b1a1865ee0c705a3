//! The search for a tree of one connected problem: starts, rounds of annealing, exact windows.

use super::absorb::absorb;
use super::budget::Budget;
use super::cost::Objective;
use super::exact::Tables;
use super::forest::Forest;
use super::greedy::{Taste, greedy};
use super::math::{self, LogTable, Random};
use super::memory::Limit;
use super::problem::Problem;
use super::starts::WAYS;
use super::tree::{Energy, Measure, Shape, Tree};
use super::{interval, window};

/// How many starts are kept.
const POOL: usize = 16;

/// Steps this many powers of two below the whole do not matter.
const DEPTH: f64 = 60.0;

/// Most sweeps go no deeper than this: cheap steps need fewer visits.
pub(super) const SHALLOW: f64 = 20.0;

/// How many trees are annealed apart at first, at most.
const ISLANDS: usize = 16;

/// More than this many are not unless each gets several times what it needs to show what it is worth.
const FEW_ISLANDS: (usize, u64) = (8, 4);

/// How many times the work of a level goes into the next one: the best of few trees that are annealed for long ends lower
/// than the best of many.
const LATER: u64 = 2;

/// Sweeps that a tree needs to show what it is worth.
pub(super) const TRIAL: u64 = 80;

/// Inverse temperatures at which rounds start, hottest first.
const HOTS: [f64; 5] = [0.2, 0.4, 0.8, 1.6, 4.0];

/// By how many powers of two a tree that is annealed apart may get worse on the way: what suits depends on the network,
/// so the trees differ in it.
const RISES: [f64; 3] = [1.0, 4.0, 16.0];

/// What a round that has led to nothing better counts for: as if it had ended so many powers of two above the best.
const FAILURE: f64 = 0.05;

/// From which part of a round on its trees are remembered: before, they are too hot for any part to be good.
const GATHER: f64 = 0.35;

/// How many rounds run at once, on any number of threads.
const AT_ONCE: usize = 2;

/// By how much rounds get longer, as a fraction.
const GROWTH: (u64, u64) = (9, 5);

/// Finds a path of a connected problem, and says how many rounds that took.
pub(super) fn search(
    problem: &Problem,
    objective: Objective<'_>,
    seed: u64,
    budget: &mut Budget<'_>,
    report: &mut dyn FnMut(f64, u64),
) -> (Vec<(u32, u32)>, u64) {
    let Some((absorbed, tried)) = absorb(problem, objective, seed, budget) else {
        let mut search = Search::new(problem, objective, seed, budget, report);
        search.run();
        return search.outcome();
    };
    let limit = budget.limit;
    budget.limit = limit - limit / 8;
    let (path, rounds) = if absorbed.problem.count() == 2 {
        (vec![(0, 1)], 0)
    } else if Tree::is_too_large(&absorbed.problem) {
        (greedy(&absorbed.problem, Taste::PLAIN, &mut Random::new(seed, 7), &mut budget.work), 0)
    } else {
        let mut search = Search::new(&absorbed.problem, objective, seed, budget, report);
        search.run();
        search.outcome()
    };
    // A frugal search may have lowered the limit.
    if budget.limit == limit - limit / 8 {
        budget.limit = limit;
    }
    if Tree::is_too_large(problem) {
        return (absorbed.expand(&path), tried + rounds);
    }
    let mut search = Search::new(problem, objective, seed, budget, report);
    search.polish(absorbed.expand(&path));
    let (path, more) = search.outcome();
    (path, tried + rounds + more)
}

/// The work of a sweep over a whole tree.
pub(super) fn sweep_work(problem: &Problem) -> u64 {
    (30 + 3 * problem.logs.len().div_ceil(64) as u64) * problem.count() as u64
}

/// One search.
pub(super) struct Search<'a, 'b> {
    pub(super) problem: &'a Problem,
    pub(super) objective: Objective<'a>,
    pub(super) energy: Energy<'a>,
    pub(super) measure: Measure,
    pub(super) extents: Vec<f64>,
    pub(super) random: Random,
    pub(super) seed: u64,
    /// How many parts of the search have run apart so far.
    pub(super) parts: u64,
    pub(super) table: &'static LogTable,
    pub(super) tables: Tables,
    pub(super) budget: &'a mut Budget<'b>,
    /// The best trees found, best first, with the logarithm of their objective.
    pub(super) pool: Vec<(f64, Shape)>,
    /// The best start of each way to make them.
    pub(super) firsts: [Option<(f64, Shape)>; WAYS.len()],
    pub(super) rounds: u64,
    /// Parts of trees that were met, where they are put together.
    pub(super) forest: Option<Forest>,
    /// What every tree that is kept stays within.
    pub(super) limit: Option<Limit>,
    pub(super) report: &'a mut dyn FnMut(f64, u64),
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
            energy: Energy::new(smooth),
            measure: Measure::new(&problem.logs),
            extents: problem.logs.iter().map(|&log| math::exp2(log)).collect(),
            random: Random::new(seed, 7),
            seed,
            parts: 0,
            table: LogTable::get(),
            tables: Tables::default(),
            budget,
            pool: Vec::new(),
            firsts: [const { None }; WAYS.len()],
            rounds: 0,
            forest: None,
            limit: None,
            report,
        }
    }

    /// Finds starts and improves them.
    pub(super) fn run(&mut self) {
        let plain = greedy(self.problem, Taste::PLAIN, &mut self.random, &mut self.budget.work);
        let (_, shape) = self.offer_path(plain);
        let macs = self.tree(&shape).all.iter().fold(f64::NEG_INFINITY, |sum, &all| math::log2_add(sum, all));
        self.budget.save(macs);
        self.stand_in();
        let limit = self.budget.work + self.budget.left() / 5;
        self.starts(limit);
        self.anneal(&HOTS);
    }

    /// The best path and the number of rounds.
    pub(super) fn outcome(mut self) -> (Vec<(u32, u32)>, u64) {
        (std::mem::take(&mut self.pool[0].1.path), self.rounds)
    }

    /// Improves a given tree without making others.
    fn polish(&mut self, path: Vec<(u32, u32)>) {
        self.offer_path(path);
        let mut tree = self.tree(&self.pool[0].1.clone());
        self.descend(&mut tree, self.budget.left() / 8);
        self.anneal(&HOTS[3..]);
    }

    pub(super) fn tree(&self, shape: &Shape) -> Tree {
        Tree::new(self.problem, &self.measure, &self.energy, shape)
    }

    /// Remembers the parts of a tree.
    pub(super) fn plant(&mut self, tree: &Tree) {
        let forest = self
            .forest
            .get_or_insert_with(|| Forest::new(self.problem, &self.energy.objective, tree.total()));
        forest.add(tree, &mut self.budget.work);
    }

    /// The best tree made of what is remembered, if that is better than a tree that was planted.
    pub(super) fn harvest(&mut self, tree: Tree) -> Tree {
        let work = &mut self.budget.work;
        let Some(shape) = self.forest.as_mut().and_then(|forest| forest.shape(&tree.sliced, work)) else {
            return tree;
        };
        let joint = self.tree(&shape);
        self.offer(&joint);
        if self.value(&joint) < self.value(&tree) && self.fits(&joint) { joint } else { tree }
    }

    /// The logarithm of the objective of a tree.
    pub(super) fn value(&self, tree: &Tree) -> f64 {
        match self.objective {
            Objective::Size => tree.largest() + 1e-6 * tree.total(),
            Objective::Peak => tree.peak() + 1e-6 * tree.total(),
            _ => tree.total() + tree.sliced.iter().map(|&axis| self.problem.logs[axis as usize]).sum::<f64>(),
        }
    }

    pub(super) fn offer_path(&mut self, path: Vec<(u32, u32)>) -> (f64, Shape) {
        let shape = Shape { path, sliced: Vec::new() };
        let tree = self.tree(&shape);
        self.budget.work += 4 * tree.visit_work() * tree.count as u64;
        self.offer(&tree);
        (self.value(&tree), shape)
    }

    /// Whether a tree is within the memory limit.
    pub(super) fn fits(&self, tree: &Tree) -> bool {
        self.limit.is_none_or(|limit| limit.needs(tree) <= limit.log2 + 1e-9)
    }

    /// Keeps a tree if it is among the best.
    pub(super) fn offer(&mut self, tree: &Tree) {
        if !self.fits(tree) {
            return;
        }
        let value = self.value(tree);
        self.keep(value, || tree.shape());
    }

    /// Keeps a tree of that value if it is among the best.
    pub(super) fn keep(&mut self, value: f64, shape: impl FnOnce() -> Shape) {
        if self.pool.len() >= POOL && self.pool.last().is_some_and(|last| value >= last.0) {
            return;
        }
        if self.pool.iter().any(|known| (known.0 - value).abs() < 1e-9) {
            return;
        }
        let place = self.pool.partition_point(|known| known.0 <= value);
        self.pool.insert(place, (value, shape()));
        self.pool.truncate(POOL);
        if place == 0 {
            (self.report)(value, self.budget.work);
        }
    }

    /// Anneals in rounds of growing length, which start at one of some inverse temperatures.
    fn anneal(&mut self, hots: &[f64]) {
        // What costs least at first is not what can be improved most, so every way to make starts gets a round; but
        // those far behind will not catch up.
        let least = self.pool[0].0;
        let mut firsts: Vec<(f64, Shape)> =
            self.firsts.iter().flatten().filter(|(value, _)| *value < 1.7 * least + 1.0).cloned().collect();
        if hots.len() == HOTS.len()
            && let Some(last) = self.islands()
        {
            firsts.retain(|(value, _)| *value > last);
        }
        let total = self.budget.left();
        let least_share = total / 48;
        let mut share = least_share;
        // One more arm stands for rounds on regions of the best tree.
        let arms = hots.len() + 1;
        // How far above the best tree each arm has ended, and how often in a row it has not led to a better one.
        let mut gap = vec![0.0; arms];
        let mut fails = vec![0u32; arms];
        let mut round = 0;
        while !self.budget.over() {
            let mut rounds: Vec<(usize, Shape)> = Vec::with_capacity(AT_ONCE);
            for round in round..round + AT_ONCE {
                let rest = round.max(firsts.len()) - firsts.len();
                let arm = if round < firsts.len() {
                    hots.len() - 2
                } else if rest < arms {
                    arms - 1 - rest
                } else if self.random.below(5) == 0 {
                    self.random.below(arms)
                } else {
                    let score = |arm: usize| gap[arm] + FAILURE * f64::from(fails[arm]);
                    let arm = (0..arms).min_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0);
                    // Until it is known how it ends: others may be as good.
                    fails[arm] += 1;
                    arm
                };
                let shape = if round < firsts.len() {
                    firsts[round].1.clone()
                } else if arm < hots.len() && self.random.below(4) == 0 {
                    self.pool[self.random.below(self.pool.len())].1.clone()
                } else {
                    self.pool[0].1.clone()
                };
                rounds.push((arm, shape));
            }
            let (before, best) = self.pool[0].clone();
            let found = self.apart(rounds.len(), &|search, k| {
                let (arm, shape) = &rounds[k];
                search.plant(&search.tree(&best));
                let mut tree = search.tree(shape);
                search.plant(&tree);
                match hots.get(*arm) {
                    Some(&hot) => search.round(&mut tree, (hot, 18.0), f64::INFINITY, share),
                    None => search.regions(&mut tree, share),
                }
                search.descend(&mut tree, share / 3);
                let value = search.value(&tree);
                search.plant(&tree);
                let mut tree = search.harvest(tree);
                if search.value(&tree) < value.min(before) - 1e-6 {
                    search.descend(&mut tree, share / 9);
                }
                (value, search.value(&tree))
            });
            // Old results fade: what a short round found is no measure of long ones.
            gap.iter_mut().for_each(|gap| *gap *= 0.8);
            for ((arm, _), (value, joint)) in rounds.iter().zip(found) {
                gap[*arm] = (value - before).max(0.0);
                if joint < before - 1e-6 {
                    fails[*arm] = 0;
                }
            }
            let first = round < firsts.len() + arms;
            round += AT_ONCE;
            if !first {
                let most = self.budget.left() / AT_ONCE as u64;
                share = (share * GROWTH.0 / GROWTH.1).min(most.max(least_share));
            }
        }
    }

    /// The work of a sweep over a whole tree.
    pub(super) fn sweep_work(&self) -> u64 {
        sweep_work(self.problem)
    }

    /// Anneals several starts apart, each for more and more work, and drops the worse half every time: which start a
    /// tree comes from decides more than how long it is annealed.
    ///
    /// Does nothing where there is too little work for that; gives the value of the worst start that took part.
    fn islands(&mut self) -> Option<f64> {
        // One of every way to make starts, unless it is far behind, as what costs least at first is often not what can be
        // improved most; then the best.
        let least = self.pool[0].0;
        let near = self.firsts.iter().flatten().filter(|(value, _)| *value < 1.7 * least + 1.0);
        let mut trees: Vec<(f64, Shape)> = Vec::with_capacity(ISLANDS);
        for (value, shape) in near.chain(&self.pool) {
            if trees.len() < ISLANDS && trees.iter().all(|known| known.0 != *value) {
                trees.push((*value, shape.clone()));
            }
        }
        trees.sort_by(|a, b| a.0.total_cmp(&b.0));
        let trial =
            |trees: usize| TRIAL * self.sweep_work() * if trees > FEW_ISLANDS.0 { FEW_ISLANDS.1 } else { 1 };
        let work = self.budget.left() / 4 * 3;
        let levels = |trees: usize| u64::from(usize::BITS - trees.leading_zeros());
        while trees.len() > 1 && work / (trees.len() as u64 * levels(trees.len())) < trial(trees.len()) {
            trees.truncate(trees.len() / 2);
        }
        if trees.len() < 2 {
            return None;
        }
        let last = trees.last()?.0;
        let mut each = work / (0..levels(trees.len())).map(|level| LATER.pow(level as u32)).sum::<u64>();
        // Each with its place in the list of rises.
        let mut islands: Vec<(f64, Shape, usize)> = trees
            .into_iter()
            .enumerate()
            .map(|(k, (value, shape))| (value, shape, k % RISES.len()))
            .collect();
        // What has been found on the way: parts of it may be better than those of what wins.
        let mut known: Vec<Shape> = Vec::new();
        loop {
            let share = each / islands.len() as u64;
            islands = self.apart(islands.len(), &|search, k| {
                let (before, shape, rise) = &islands[k];
                let mut tree = search.tree(shape);
                search.plant(&tree);
                search.cross(&mut tree, &known, share);
                // Few sweeps only spoil a tree when they start hot.
                let sweeps = (share / search.sweep_work()).max(1) as f64;
                let hot = (1.2 * math::exp2(0.5 * math::log2(1000.0 / sweeps))).clamp(HOTS[2], HOTS[4]);
                search.round(&mut tree, (hot, 18.0), RISES[*rise], share / 3 * 2);
                search.descend(&mut tree, share / 9);
                let value = search.value(&tree);
                let (value, shape, rise) = if value < *before {
                    (value, tree.shape(), *rise)
                } else {
                    (*before, shape.clone(), (rise + 1) % RISES.len())
                };
                let tree = search.tree(&shape);
                search.plant(&tree);
                let mut tree = search.harvest(tree);
                search.regions(&mut tree, share / 9 * 2);
                search.descend(&mut tree, share / 9);
                search.plant(&tree);
                let tree = search.harvest(tree);
                let after = search.value(&tree);
                if after < value { (after, tree.shape(), rise) } else { (value, shape, rise) }
            });
            if islands.len() == 1 || self.budget.over() {
                return Some(last);
            }
            islands.sort_by(|a, b| a.0.total_cmp(&b.0));
            known.extend(islands.iter().map(|(_, shape, _)| shape.clone()));
            islands.truncate(islands.len() / 2);
            each *= LATER;
        }
    }

    /// One round: so much work while the inverse temperature goes from `hot` to `cold`.
    pub(super) fn round(&mut self, tree: &mut Tree, (hot, cold): (f64, f64), rise: f64, share: u64) {
        self.rounds += 1;
        let start = self.budget.work;
        let mut ratio = math::log2(cold / hot);
        let mut hot = hot;
        let mut total = f64::NEG_INFINITY;
        let mut first = f64::INFINITY;
        let mut next_offer = share / 2;
        for sweep in 0.. {
            self.budget.tick();
            let done = self.budget.work - start;
            // At least a few sweeps, however large the tree.
            let part = (done as f64 / share.max(1) as f64).min(0.25 * f64::from(sweep));
            if part >= 1.0 || sweep % 16 == 15 && self.budget.over() {
                break;
            }
            if sweep % 8 == 0 {
                total = tree.total();
                self.budget.work += 20 * tree.count as u64;
                first = if sweep == 0 { total } else { first };
                if sweep % 16 == 0
                    && part > GATHER
                    && let Some(forest) = &mut self.forest
                {
                    forest.add(tree, &mut self.budget.work);
                }
                if total > first + rise && hot < 0.5 * cold {
                    // Too hot: what the tree has is being lost.
                    hot *= 1.25;
                    ratio = math::log2(cold / hot);
                }
            }
            let floor = total - if sweep % 4 == 0 { DEPTH } else { SHALLOW };
            let beta = hot * math::exp2(ratio * part);
            self.budget.work +=
                tree.sweep(&self.measure, &self.energy, (beta, floor), &mut self.random, self.table);
            if done > next_offer {
                next_offer = done + share / 80;
                self.offer(tree);
            }
        }
        self.offer(tree);
    }

    /// Goes down to a tree that neither moves nor other places of leaves nor windows nor intervals improve.
    ///
    /// Ends early when so much work is done.
    pub(super) fn descend(&mut self, tree: &mut Tree, share: u64) {
        let end = self.budget.work.saturating_add(share);
        let mut value = self.value(tree);
        for _ in 0..4 {
            let floor = tree.total() - DEPTH;
            for _ in 0..6 {
                self.budget.work +=
                    tree.sweep(&self.measure, &self.energy, (1e4, floor), &mut self.random, self.table);
            }
            if self.relocates() {
                self.relocate(tree, end);
            }
            self.windows(tree, 9, end);
            if let Some(better) = self.intervals(tree) {
                *tree = better;
            }
            self.offer(tree);
            let after = self.value(tree);
            if after > value - 1e-6 || self.budget.work > end || self.budget.over() {
                break;
            }
            value = after;
        }
    }

    /// Makes windows below the expensive nodes optimal.
    pub(super) fn windows(&mut self, tree: &mut Tree, limit: usize, end: u64) {
        let total = tree.total();
        let mut nodes = tree.costly();
        nodes.retain(|&node| tree.energy[node as usize] > total - 16.0);
        let context = window::Context {
            measure: &self.measure,
            extents: &self.extents,
            logs: &self.problem.logs,
            energy: &self.energy,
        };
        for node in nodes {
            window::improve(tree, &context, (node, limit), &mut self.tables, &mut self.budget.work);
            if self.budget.work > end || self.budget.over() {
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
        let work = n * n * n / 6 + 60 * n * n;
        if tree.count > interval::LIMIT || work > self.budget.limit / 100 {
            return None;
        }
        self.budget.work += work;
        let path = interval::best_path(self.problem, tree, &tree.leaves(tree.root), write)?;
        let better = self.tree(&Shape { path, sliced: tree.sliced.clone() });
        (self.value(&better) < self.value(tree) - 1e-9).then_some(better)
    }
}

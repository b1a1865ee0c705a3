//! Improves a tree by searching again for parts of it: dozens of operands around an expensive step.
//!
//! A part is a small network of its own, so that hot annealing and fresh starts cost little, and what they find takes
//! the place of the part if it is better.

use super::eliminate::{Rule, eliminate};
use super::greedy::{Taste, greedy};
use super::math;
use super::partition::partition;
use super::rounds::Search;
use super::tree::{Measure, Shape, Tree};
use super::window::frontier;

impl Search<'_, '_> {
    /// Searches regions of a tree until so much work is done.
    pub(super) fn regions(&mut self, tree: &mut Tree, share: u64) {
        let end = self.budget.work + share;
        let count = tree.count;
        let mut costly: Vec<u32> = Vec::new();
        let mut since = usize::MAX;
        while !self.budget.over() && self.budget.work < end {
            if since > 20 {
                since = 0;
                costly = tree.costly();
                self.budget.work += 20 * count as u64;
            }
            since += 1;
            // Mostly one of the most expensive steps, and some way above it.
            let most = costly.len().min(4 + count / 4);
            let rank = (most as f64 * self.random.unit() * self.random.unit()) as usize;
            let mut top = costly[rank];
            for _ in 0..self.random.below(8) {
                if tree.parent[top as usize] != u32::MAX {
                    top = tree.parent[top as usize];
                }
            }
            let limit = 12 + self.random.below(90.min(count));
            self.region(tree, top, limit);
        }
        self.offer(tree);
    }

    /// Searches the part of a tree below a node, and keeps what is better.
    fn region(&mut self, tree: &mut Tree, top: u32, limit: usize) {
        let words = tree.words;
        let (leaves, mut inner) = frontier(tree, top, limit);
        if leaves.len() < 6 {
            self.budget.work += 100;
            return;
        }
        let span = |node: u32| node as usize * words..(node as usize + 1) * words;
        let operands: Vec<(&[u64], bool)> =
            leaves.iter().map(|&leaf| (&tree.sets[span(leaf)], tree.leaf_input(leaf))).collect();
        let part = self.problem.part(&operands, &tree.sets[span(top)]);
        let measure = Measure::new(&part.logs);
        let before = inner
            .iter()
            .fold(f64::NEG_INFINITY, |sum, &node| math::log2_add(sum, tree.energy[node as usize]));
        inner.reverse();

        let (random, work) = (&mut self.random, &mut self.budget.work);
        *work += (leaves.len() * (100 + 20 * words + 10 * part.logs.len())) as u64;
        let (path, hot) = match random.below(6) {
            0 => (greedy(&part, Taste::draw(random), random, work), 2.0),
            1 => (eliminate(&part, Rule::Gain, Taste::draw(random), random, work), 2.0),
            2 if leaves.len() > 16 => (partition(&part, 0.55 + 0.3 * random.unit(), random, work), 2.0),
            _ => {
                // The tree as it is: its nodes in the numbering of the part.
                let mut number = std::collections::HashMap::new();
                leaves.iter().enumerate().for_each(|(k, &leaf)| {
                    number.insert(leaf, k as u32);
                });
                let mut path = Vec::with_capacity(inner.len());
                for &node in &inner {
                    let (l, r) = (tree.left[node as usize], tree.right[node as usize]);
                    let (Some(&l), Some(&r)) = (number.get(&l), number.get(&r)) else { return };
                    number.insert(node, (leaves.len() + path.len()) as u32);
                    path.push((l, r));
                }
                (path, [0.3, 0.6, 1.2][random.below(3)])
            }
        };
        let mut small = Tree::new(&part, &measure, &self.energy, &Shape { path, sliced: Vec::new() });
        let sweeps = 100 + random.below(200) as u64;
        let ratio = math::log2(18.0 / hot);
        let mut best: Option<(f64, Shape)> = None;
        for sweep in 0..sweeps + 8 {
            let beta =
                if sweep < sweeps { hot * math::exp2(ratio * sweep as f64 / sweeps as f64) } else { 1e4 };
            *work += small.sweep(&measure, &self.energy, (beta, f64::NEG_INFINITY), random, self.table);
            if sweep >= sweeps - 20 {
                let value = small.total();
                if value < before - 1e-7 && best.as_ref().is_none_or(|(least, _)| value < *least) {
                    best = Some((value, small.shape()));
                }
            }
        }
        let Some((_, shape)) = best else { return };
        let small = Tree::new(&part, &measure, &self.energy, &shape);
        for (step, &(a, b)) in shape.path.iter().enumerate() {
            let id = |k: u32| {
                let k = k as usize;
                if k < leaves.len() { leaves[k] } else { inner[k - leaves.len()] }
            };
            let from =
                &small.sets[(small.count + step) * small.words..(small.count + step + 1) * small.words];
            let node = inner[step];
            let set = &mut tree.sets[node as usize * words..(node as usize + 1) * words];
            set.fill(0);
            for (word, &bits) in from.iter().enumerate() {
                let mut bits = bits;
                while bits != 0 {
                    let axis = part.axes[word * 64 + bits.trailing_zeros() as usize];
                    set[axis as usize / 64] |= 1 << (axis % 64);
                    bits &= bits - 1;
                }
            }
            tree.join(node, id(a), id(b), &self.measure, &self.energy);
        }
    }
}

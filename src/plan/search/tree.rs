//! A contraction tree on flat arrays, and its improvement by simulated annealing.
//!
//! A move turns `((A, B), C)` into `((A, C), B)`. Only the axes of one node and the costs of two steps change: the
//! axes of `(A, C)` are those of `A` or `C` that the parent or `B` has, too. Since the axes that vanish are in both
//! `A` and `C`, all sizes follow from those of `A`, `B` and `C` and from the overlaps of their sets, which are small.

use super::cost::{Objective, StepShape};
use super::math::{self, LogTable, Random};
use super::problem::Problem;

/// No node.
pub(super) const NONE: u32 = u32::MAX;

/// Sums the logarithms of the axes of a set, word by word.
pub(super) struct Measure {
    logs: Vec<f64>,
    /// The logarithm of every axis of a word, if they are all the same.
    flat: Vec<f64>,
    /// The logarithm of every axis, if they are all the same.
    uniform: Option<f64>,
}

impl Measure {
    pub(super) fn new(logs: &[f64]) -> Measure {
        let flat = logs
            .chunks(64)
            .map(|word| if word.iter().all(|&log| log == word[0]) { word[0] } else { -1.0 })
            .collect();
        let uniform = logs.first().copied().filter(|&first| logs.iter().all(|&log| log == first));
        Measure { logs: logs.to_vec(), flat, uniform }
    }

    /// For sets of `a`, `b`, `c` and of the parent `p` of all three: the sums for what `a` and `c` share, for the
    /// part of that which neither `b` nor `p` has, and for what `b` shares with `a` or `c`.
    #[inline]
    fn overlaps(&self, a: &[u64], b: &[u64], c: &[u64], p: &[u64]) -> (f64, f64, f64) {
        let sets = || {
            a.iter().zip(b).zip(c).zip(p).map(|(((&a, &b), &c), &p)| (a & c, a & c & !(p | b), (a | c) & b))
        };
        if let Some(log) = self.uniform {
            let (mut overlap, mut gone, mut above) = (0, 0, 0);
            if a.len() <= 31 {
                // Bits are counted by bytes first, eight at most for each word.
                for (x, y, z) in sets() {
                    overlap += count_bytes(x);
                    gone += count_bytes(y);
                    above += count_bytes(z);
                }
                (overlap, gone, above) = (sum_bytes(overlap), sum_bytes(gone), sum_bytes(above));
            } else {
                for (x, y, z) in sets() {
                    overlap += u64::from(x.count_ones());
                    gone += u64::from(y.count_ones());
                    above += u64::from(z.count_ones());
                }
            }
            (overlap as f64 * log, gone as f64 * log, above as f64 * log)
        } else {
            let (mut overlap, mut gone, mut above) = (0.0, 0.0, 0.0);
            for (word, (x, y, z)) in sets().enumerate() {
                overlap += self.word(word, x);
                gone += self.word(word, y);
                above += self.word(word, z);
            }
            (overlap, gone, above)
        }
    }

    /// The sum for a part of a set: the bits of one word.
    #[inline]
    pub(super) fn word(&self, word: usize, mut bits: u64) -> f64 {
        if bits == 0 {
            return 0.0;
        }
        let flat = self.flat[word];
        if flat >= 0.0 {
            return f64::from(bits.count_ones()) * flat;
        }
        let logs = &self.logs[word * 64..];
        let mut sum = 0.0;
        while bits != 0 {
            sum += logs[bits.trailing_zeros() as usize];
            bits &= bits - 1;
        }
        sum
    }

    /// The sum for a whole set.
    pub(super) fn set(&self, set: &[u64]) -> f64 {
        set.iter().enumerate().map(|(word, &bits)| self.word(word, bits)).sum()
    }
}

/// The number of bits set in each byte of a word.
#[inline]
fn count_bytes(x: u64) -> u64 {
    let x = x - ((x >> 1) & 0x5555_5555_5555_5555);
    let x = (x & 0x3333_3333_3333_3333) + ((x >> 2) & 0x3333_3333_3333_3333);
    (x + (x >> 4)) & 0x0f0f_0f0f_0f0f_0f0f
}

/// The sum of the bytes of a word.
#[inline]
fn sum_bytes(x: u64) -> u64 {
    let pairs = (x & 0x00ff_00ff_00ff_00ff) + ((x >> 8) & 0x00ff_00ff_00ff_00ff);
    pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48
}

/// What the annealing has little of: the logarithm of a step's part of it.
#[derive(Clone, Copy)]
pub(super) struct Energy<'a> {
    pub(super) objective: Objective<'a>,
    /// Results larger than this, as a logarithm, are penalised.
    pub(super) limit: f64,
    /// By how much for each unit of the excess.
    pub(super) penalty: f64,
    /// The logarithm of what an element written counts beside multiply-adds.
    written: f64,
    table: &'static LogTable,
}

impl<'a> Energy<'a> {
    /// The energy without a limit.
    pub(super) fn new(objective: Objective<'a>) -> Energy<'a> {
        let written = if let Objective::Combo(weight) = objective { math::log2(weight) } else { 0.0 };
        Energy { objective, limit: f64::INFINITY, penalty: 0.0, written, table: LogTable::get() }
    }

    /// By how much the sum for a few steps may differ from the exact one.
    pub(super) fn inexact(&self) -> f64 {
        if let Objective::Combo(_) = self.objective { 5e-5 } else { 1e-7 }
    }

    #[inline]
    pub(super) fn step(&self, left: f64, right: f64, result: f64, all: f64, inputs: (bool, bool)) -> f64 {
        let plain = match self.objective {
            Objective::Macs => all,
            Objective::Combo(_) => self.table.add(all, result + self.written),
            _ => {
                let shape =
                    StepShape { left, right, result, all, left_input: inputs.0, right_input: inputs.1 };
                self.objective.step(&shape)
            }
        };
        if result > self.limit { plain + (result - self.limit) * self.penalty } else { plain }
    }
}

/// A binary tree over the leaves of a problem. Nodes `0..count` are the leaves.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) count: usize,
    pub(super) words: usize,
    pub(super) left: Vec<u32>,
    pub(super) right: Vec<u32>,
    pub(super) parent: Vec<u32>,
    pub(super) root: u32,
    /// The axes of every node without those that are sliced.
    pub(super) sets: Vec<u64>,
    /// The logarithm of the elements of every node.
    pub(super) size: Vec<f64>,
    /// The logarithm of the multiply-adds of every step.
    pub(super) all: Vec<f64>,
    /// The logarithm of the part of the energy of every step.
    pub(super) energy: Vec<f64>,
    /// The sliced axes.
    pub(super) sliced: Vec<u32>,
    is_input: Vec<bool>,
}

/// The shape of a tree without its numbers: enough to build it again.
#[derive(Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) path: Vec<(u32, u32)>,
    pub(super) sliced: Vec<u32>,
}

impl Tree {
    /// Whether the sets of a tree of a problem would take more than half a gibibyte.
    pub(super) fn is_too_large(problem: &Problem) -> bool {
        2 * problem.count() * problem.logs.len().div_ceil(64) > 1 << 26
    }

    /// Builds the tree of a path; at least two leaves.
    pub(super) fn new(problem: &Problem, measure: &Measure, energy: &Energy<'_>, shape: &Shape) -> Tree {
        let count = problem.count();
        let nodes = 2 * count - 1;
        let words = problem.logs.len().div_ceil(64).max(1);
        let mut tree = Tree {
            count,
            words,
            left: vec![NONE; nodes],
            right: vec![NONE; nodes],
            parent: vec![NONE; nodes],
            root: nodes as u32 - 1,
            sets: vec![0; nodes * words],
            size: vec![0.0; nodes],
            all: vec![f64::NEG_INFINITY; nodes],
            energy: vec![f64::NEG_INFINITY; nodes],
            sliced: shape.sliced.clone(),
            is_input: problem.is_input.clone(),
        };
        for (step, &(a, b)) in shape.path.iter().enumerate() {
            let node = count + step;
            tree.left[node] = a;
            tree.right[node] = b;
            tree.parent[a as usize] = node as u32;
            tree.parent[b as usize] = node as u32;
        }
        tree.fill(problem, measure, energy);
        tree
    }

    /// Computes all sets and numbers from the leaves.
    pub(super) fn fill(&mut self, problem: &Problem, measure: &Measure, energy: &Energy<'_>) {
        let words = self.words;
        let mut is_sliced = vec![false; problem.logs.len()];
        self.sliced.iter().for_each(|&axis| is_sliced[axis as usize] = true);
        // How many tensors still carry an axis, the output being one.
        let mut carriers: Vec<u32> = problem.carriers.iter().map(|leaves| leaves.len() as u32).collect();
        problem.output.iter().for_each(|&axis| carriers[axis as usize] += 1);
        for (leaf, list) in problem.lists.iter().enumerate() {
            let set = &mut self.sets[leaf * words..(leaf + 1) * words];
            set.fill(0);
            for &axis in list.iter().filter(|&&axis| !is_sliced[axis as usize]) {
                set[axis as usize / 64] |= 1 << (axis % 64);
            }
            self.size[leaf] = measure.set(set);
        }
        for node in self.post_order() {
            let node = node as usize;
            let (a, b) = (self.left[node] as usize, self.right[node] as usize);
            let (mut both, mut gone) = (0.0, 0.0);
            for word in 0..words {
                let (x, y) = (self.sets[a * words + word], self.sets[b * words + word]);
                let shared = x & y;
                let mut dead = 0u64;
                let mut bits = shared;
                while bits != 0 {
                    let bit = bits.trailing_zeros();
                    bits &= bits - 1;
                    let left = &mut carriers[word * 64 + bit as usize];
                    *left -= 1;
                    if *left == 1 {
                        dead |= 1 << bit;
                    }
                }
                both += measure.word(word, shared);
                gone += measure.word(word, dead);
                self.sets[node * words + word] = (x | y) & !dead;
            }
            self.all[node] = self.size[a] + self.size[b] - both;
            self.size[node] = self.all[node] - gone;
            self.weigh(node, energy);
        }
    }

    /// Makes `node`, whose set is there already, the product of two nodes.
    pub(super) fn join(&mut self, node: u32, a: u32, b: u32, measure: &Measure, energy: &Energy<'_>) {
        let words = self.words;
        let span = |k: u32| k as usize * words..(k as usize + 1) * words;
        self.left[node as usize] = a;
        self.right[node as usize] = b;
        self.parent[a as usize] = node;
        self.parent[b as usize] = node;
        let (x, y) = (&self.sets[span(a)], &self.sets[span(b)]);
        let shared =
            x.iter().zip(y).enumerate().map(|(word, (&x, &y))| measure.word(word, x & y)).sum::<f64>();
        self.all[node as usize] = self.size[a as usize] + self.size[b as usize] - shared;
        self.size[node as usize] = measure.set(&self.sets[span(node)]);
        self.weigh(node as usize, energy);
    }

    fn weigh(&mut self, node: usize, energy: &Energy<'_>) {
        let (a, b) = (self.left[node], self.right[node]);
        self.energy[node] = energy.step(
            self.size[a as usize],
            self.size[b as usize],
            self.size[node],
            self.all[node],
            (self.leaf_input(a), self.leaf_input(b)),
        );
    }

    #[inline]
    pub(super) fn leaf_input(&self, node: u32) -> bool {
        (node as usize) < self.count && self.is_input[node as usize]
    }

    /// Joins a leaf beside another node, not the step that joins it now; sets and numbers are left to [`Tree::fill`].
    pub(super) fn move_leaf(&mut self, leaf: u32, beside: u32) {
        let joint = self.parent[leaf as usize];
        let other = self.left[joint as usize] ^ self.right[joint as usize] ^ leaf;
        self.replace(joint, other);
        self.replace(beside, joint);
        (self.left[joint as usize], self.right[joint as usize]) = (beside, leaf);
        self.parent[beside as usize] = joint;
    }

    /// Puts a node where another one is.
    fn replace(&mut self, old: u32, new: u32) {
        let parent = self.parent[old as usize];
        self.parent[new as usize] = parent;
        if parent == NONE {
            self.root = new;
        } else if self.left[parent as usize] == old {
            self.left[parent as usize] = new;
        } else {
            self.right[parent as usize] = new;
        }
    }

    /// The inner nodes, every node after its children.
    pub(super) fn post_order(&self) -> Vec<u32> {
        let mut order = Vec::with_capacity(self.count);
        let mut stack = vec![self.root];
        while let Some(node) = stack.pop() {
            if node as usize >= self.count {
                order.push(node);
                stack.push(self.left[node as usize]);
                stack.push(self.right[node as usize]);
            }
        }
        order.reverse();
        order
    }

    /// The leaves below a node from left to right.
    pub(super) fn leaves(&self, top: u32) -> Vec<u32> {
        let mut order = Vec::new();
        let mut stack = vec![top];
        while let Some(node) = stack.pop() {
            if (node as usize) < self.count {
                order.push(node);
            } else {
                stack.push(self.right[node as usize]);
                stack.push(self.left[node as usize]);
            }
        }
        order
    }

    /// The inner nodes, the most expensive first.
    pub(super) fn costly(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = (self.count as u32..2 * self.count as u32 - 1).collect();
        let energy = |node: u32| self.energy[node as usize];
        nodes.sort_by(|&a, &b| energy(b).total_cmp(&energy(a)).then(a.cmp(&b)));
        nodes
    }

    /// The tree as a path.
    pub(super) fn shape(&self) -> Shape {
        let mut number: Vec<u32> = (0..self.left.len() as u32).collect();
        let mut path = Vec::with_capacity(self.count);
        for node in self.post_order() {
            let pair =
                (number[self.left[node as usize] as usize], number[self.right[node as usize] as usize]);
            number[node as usize] = (self.count + path.len()) as u32;
            path.push(pair);
        }
        Shape { path, sliced: self.sliced.clone() }
    }

    /// The logarithm of the energy of the whole tree, without the repetitions by slices.
    pub(super) fn total(&self) -> f64 {
        let inner = &self.energy[self.count..];
        let most = inner.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !most.is_finite() {
            return most;
        }
        let sum: f64 = inner.iter().filter(|&&e| e > most - 50.0).map(|&e| math::exp2(e - most)).sum();
        most + math::log2(sum)
    }

    /// The logarithm of the largest result.
    pub(super) fn largest(&self) -> f64 {
        self.size[self.count..].iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// The logarithm of the elements alive at once in the best post-order.
    pub(super) fn peak(&self) -> f64 {
        let mut peaks = vec![f64::NEG_INFINITY; self.left.len()];
        let alive = |node: usize| if node < self.count { f64::NEG_INFINITY } else { self.size[node] };
        for node in self.post_order() {
            let node = node as usize;
            let (l, r) = (self.left[node] as usize, self.right[node] as usize);
            let forward = peaks[l].max(math::log2_add(alive(l), peaks[r]));
            let backward = peaks[r].max(math::log2_add(alive(r), peaks[l]));
            let step = math::log2_add(math::log2_add(alive(l), alive(r)), self.size[node]);
            peaks[node] = forward.min(backward).max(step);
        }
        peaks[self.root as usize]
    }

    /// What one visit of a node costs in units of work.
    pub(super) fn visit_work(&self) -> u64 {
        30 + 3 * self.words as u64
    }

    /// Proposes one move at every inner node whose energy is above `floor`; the inverse temperature is `beta`.
    ///
    /// Returns the work.
    pub(super) fn sweep(
        &mut self,
        measure: &Measure,
        energy: &Energy<'_>,
        (beta, floor): (f64, f64),
        random: &mut Random,
        table: &LogTable,
    ) -> u64 {
        let words = self.words;
        let count = self.count;
        let cold = 1.0 / beta;
        let mut visits = 0;
        for node in count..2 * count - 1 {
            if self.energy[node] < floor {
                continue;
            }
            visits += 1;
            let (l, r) = (self.left[node], self.right[node]);
            let choice = random.next();
            // The child that is taken apart.
            let (inner, other) = match ((l as usize) < count, (r as usize) < count) {
                (true, true) => continue,
                (false, true) => (l, r),
                (true, false) => (r, l),
                (false, false) => {
                    if choice & 1 == 0 {
                        (l, r)
                    } else {
                        (r, l)
                    }
                }
            };
            let (x, y) = (self.left[inner as usize], self.right[inner as usize]);
            // `stay` joins `other` below; `rise` takes its place above.
            let (stay, rise) = if choice & 2 == 0 { (x, y) } else { (y, x) };
            let span = |k: u32| k as usize * words..(k as usize + 1) * words;
            let (overlap, gone, above) = measure.overlaps(
                &self.sets[span(stay)],
                &self.sets[span(rise)],
                &self.sets[span(other)],
                &self.sets[span(node as u32)],
            );
            let (sa, sb, sc) =
                (self.size[stay as usize], self.size[rise as usize], self.size[other as usize]);
            let inner_all = sa + sc - overlap;
            let inner_size = inner_all - gone;
            let node_all = inner_size + sb - above;
            let inner_energy =
                energy.step(sa, sc, inner_size, inner_all, (self.leaf_input(stay), self.leaf_input(other)));
            let node_energy =
                energy.step(inner_size, sb, self.size[node], node_all, (false, self.leaf_input(rise)));
            let old = table.add(self.energy[node], self.energy[inner as usize]);
            let bar = old + Random::exponential_of(choice) * cold;
            if inner_energy > bar || node_energy > bar || table.add(inner_energy, node_energy) > bar {
                continue;
            }
            for word in 0..words {
                let a = self.sets[stay as usize * words + word];
                let b = self.sets[rise as usize * words + word];
                let c = self.sets[other as usize * words + word];
                let p = self.sets[node * words + word];
                self.sets[inner as usize * words + word] = (a | c) & (p | b);
            }
            self.left[inner as usize] = stay;
            self.right[inner as usize] = other;
            self.left[node] = inner;
            self.right[node] = rise;
            self.parent[other as usize] = inner;
            self.parent[rise as usize] = node as u32;
            self.size[inner as usize] = inner_size;
            self.all[inner as usize] = inner_all;
            self.all[node] = node_all;
            self.energy[inner as usize] = inner_energy;
            self.energy[node] = node_energy;
        }
        visits * self.visit_work() + 2 * count as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energies_of_combinations_are_near_the_objective() {
        let objective = Objective::Combo(20.0);
        let energy = Energy::new(objective);
        for place in 0..400 {
            let (result, all) = (30.0, 15.0 + 0.1 * f64::from(place));
            let shape =
                StepShape { left: 1.0, right: 1.0, result, all, left_input: false, right_input: false };
            let off = energy.step(1.0, 1.0, result, all, (false, false)) - objective.step(&shape);
            assert!(off.abs() < 0.5 * energy.inexact(), "{off}");
        }
    }
}

//! Puts the best parts of many trees together in one.
//!
//! What a subtree costs depends on its leaves and on how they are joined, not on the rest of the tree. So for all trees
//! that were met the ways in which they split sets of leaves are remembered, and the best tree that can be made of these
//! follows by dynamic programming. It is at least as good as each of the trees, and often better, as it takes every part
//! from the tree where that part came out best.

use super::cost::Objective;
use super::math::{self, Random};
use super::problem::Problem;
use super::tree::{NONE, Shape, Tree};

/// How many sets of leaves are remembered at most.
const LIMIT: usize = 1 << 17;

/// A set of leaves.
struct Set {
    /// The numbers of the leaves, combined by exclusive or.
    key: u128,
    leaves: u32,
    /// The last of the known ways to split it.
    split: u32,
    /// The least that it costs, and the split that does.
    best: f64,
    choice: u32,
}

/// A way to split a set in two.
struct Split {
    left: u32,
    right: u32,
    /// Another way to split the same set.
    next: u32,
    /// What the step costs, in units of the reference.
    cost: f64,
}

/// The splits of many trees.
pub(super) struct Forest {
    /// A random number for each leaf.
    keys: Vec<u128>,
    /// The leaves first.
    sets: Vec<Set>,
    splits: Vec<Split>,
    /// Places in the list of sets, found by their keys.
    slots: Vec<u32>,
    /// The leaf that all trees are hung from, if the root may be anywhere.
    pin: Option<u32>,
    /// The logarithm of a cost of about the size of those of whole trees.
    reference: f64,
}

impl Forest {
    /// A forest without trees, for trees that cost about `2^reference`.
    pub(super) fn new(problem: &Problem, objective: &Objective<'_>, reference: f64) -> Forest {
        let count = problem.count();
        let mut random = Random::new(count as u64, 23);
        let mut key = || u128::from(random.next()) << 64 | u128::from(random.next());
        let size = |leaf: usize| -> f64 {
            problem.lists[leaf].iter().map(|&axis| problem.logs[axis as usize]).sum()
        };
        // Without output, a step that joins `a` and `b` costs as many multiply-adds as one that joins `a` with what is
        // outside of both: the root can be put on the way to any leaf, best to the smallest.
        let free = problem.output.is_empty() && matches!(objective, Objective::Macs);
        let pin = (0..count).filter(|_| free).min_by(|&a, &b| size(a).total_cmp(&size(b)).then(a.cmp(&b)));
        let mut forest = Forest {
            keys: (0..count).map(|_| key()).collect(),
            sets: Vec::new(),
            splits: Vec::new(),
            slots: Vec::new(),
            pin: pin.map(|leaf| leaf as u32),
            reference,
        };
        forest.clear();
        forest
    }

    /// Forgets all trees.
    fn clear(&mut self) {
        self.sets.clear();
        self.splits.clear();
        self.slots.clear();
        self.slots.resize((8 * self.keys.len()).next_power_of_two(), NONE);
        for leaf in 0..self.keys.len() {
            self.set(self.keys[leaf], 1);
        }
    }

    /// The number of a set of leaves.
    fn set(&mut self, key: u128, leaves: u32) -> u32 {
        let slot = place(&self.slots, &self.sets, key);
        if self.slots[slot] != NONE {
            return self.slots[slot];
        }
        let number = self.sets.len() as u32;
        self.slots[slot] = number;
        self.sets.push(Set { key, leaves, split: NONE, best: f64::INFINITY, choice: NONE });
        if 2 * self.sets.len() > self.slots.len() {
            let room = 2 * self.slots.len();
            self.slots.clear();
            self.slots.resize(room, NONE);
            for number in 0..self.sets.len() {
                let slot = place(&self.slots, &self.sets, self.sets[number].key);
                self.slots[slot] = number as u32;
            }
        }
        number
    }

    /// Remembers that two sets can be joined, and for which energy; gives what that makes.
    fn join(&mut self, a: u32, b: u32, energy: f64) -> u32 {
        let (left, right) = (a.min(b), a.max(b));
        let (first, second) = (&self.sets[left as usize], &self.sets[right as usize]);
        let set = self.set(first.key ^ second.key, first.leaves + second.leaves);
        let mut split = self.sets[set as usize].split;
        while split != NONE {
            let known = &self.splits[split as usize];
            if (known.left, known.right) == (left, right) {
                return set;
            }
            split = known.next;
        }
        let next = std::mem::replace(&mut self.sets[set as usize].split, self.splits.len() as u32);
        self.splits.push(Split { left, right, next, cost: math::exp2(energy - self.reference) });
        set
    }

    /// Remembers the splits of a tree, and adds to `work` what that took.
    pub(super) fn add(&mut self, tree: &Tree, work: &mut u64) {
        if self.sets.len() > LIMIT || self.splits.len() > 2 * LIMIT {
            self.clear();
        }
        *work += 80 * tree.count as u64;
        let mut sets: Vec<u32> = (0..2 * tree.count as u32 - 1).collect();
        // The steps between the pinned leaf and the root, and what else they join: they are turned round.
        let mut turned: Vec<(u32, u32)> = Vec::new();
        let mut node = self.pin.unwrap_or(tree.root);
        while node != tree.root {
            let parent = tree.parent[node as usize];
            let (left, right) = (tree.left[parent as usize], tree.right[parent as usize]);
            turned.push((parent, if left == node { right } else { left }));
            sets[parent as usize] = NONE;
            node = parent;
        }
        for node in tree.post_order().into_iter().map(|node| node as usize) {
            if sets[node] != NONE {
                let (left, right) = (sets[tree.left[node] as usize], sets[tree.right[node] as usize]);
                sets[node] = self.join(left, right, tree.energy[node]);
            }
        }
        // Seen from the leaf the root is no step: what it joins are the two sides of one edge.
        let mut above = NONE;
        for (node, sibling) in turned.into_iter().rev() {
            let sibling = sets[sibling as usize];
            above =
                if above == NONE { sibling } else { self.join(sibling, above, tree.energy[node as usize]) };
        }
    }

    /// The best path that can be made of the splits; none if no tree was added. Adds to `work` what that took.
    pub(super) fn best(&mut self, work: &mut u64) -> Option<Vec<(u32, u32)>> {
        *work += 20 * self.splits.len() as u64;
        let count = self.keys.len();
        let (key, leaves) = self
            .keys
            .iter()
            .enumerate()
            .filter(|(leaf, _)| self.pin != Some(*leaf as u32))
            .fold((0, 0), |(key, leaves), (_, leaf)| (key ^ leaf, leaves + 1));
        let top = self.set(key, leaves);
        // Small sets first: the larger ones are made of them.
        let mut order: Vec<u32> = (count as u32..self.sets.len() as u32).collect();
        order.sort_by_key(|&set| self.sets[set as usize].leaves);
        self.sets[..count].iter_mut().for_each(|leaf| leaf.best = 0.0);
        for set in order {
            let (mut least, mut choice) = (f64::INFINITY, NONE);
            let mut split = self.sets[set as usize].split;
            while split != NONE {
                let Split { left, right, next, cost } = self.splits[split as usize];
                let cost = cost + self.sets[left as usize].best + self.sets[right as usize].best;
                if cost < least {
                    (least, choice) = (cost, split);
                }
                split = next;
            }
            let set = &mut self.sets[set as usize];
            (set.best, set.choice) = (least, choice);
        }
        let mut path = Vec::with_capacity(count - 1);
        let mut made: Vec<u32> = Vec::new();
        let mut stack = vec![(top, false)];
        while let Some((set, ready)) = stack.pop() {
            if (set as usize) < count {
                made.push(set);
            } else if ready {
                let (right, left) = (made.pop()?, made.pop()?);
                made.push((count + path.len()) as u32);
                path.push((left, right));
            } else {
                let split = self.splits.get(self.sets[set as usize].choice as usize)?;
                stack.extend([(set, true), (split.right, false), (split.left, false)]);
            }
        }
        if let Some(pin) = self.pin {
            path.push((pin, made.pop()?));
        }
        Some(path)
    }

    /// The best shape that can be made of trees in which these axes are sliced.
    pub(super) fn shape(&mut self, sliced: &[u32], work: &mut u64) -> Option<Shape> {
        self.best(work).map(|path| Shape { path, sliced: sliced.to_vec() })
    }
}

/// Where a set stands in the slots, or would stand.
fn place(slots: &[u32], sets: &[Set], key: u128) -> usize {
    let mask = slots.len() - 1;
    let mut slot = key as usize & mask;
    while slots[slot] != NONE && sets[slots[slot] as usize].key != key {
        slot = (slot + 1) & mask;
    }
    slot
}

#[cfg(test)]
mod tests {
    use super::super::canonical::Canonical;
    use super::super::tree::{Energy, Measure};
    use super::super::{Network, Options, evaluate, generate, optimize};
    use super::*;

    /// The best path of a forest of the trees of some paths, and the logarithm of its multiply-adds.
    fn joint(network: &Network, paths: &[Vec<(u32, u32)>]) -> f64 {
        let canonical = Canonical::new(network, false);
        let leaves: Vec<usize> = (0..network.inputs().len()).collect();
        let problem = Problem::new(&canonical, &leaves);
        let (measure, objective) = (Measure::new(&problem.logs), Objective::Macs);
        let energy = Energy::new(objective);
        let mut forest = Forest::new(&problem, &objective, 10.0);
        assert!(forest.best(&mut 0).is_none());
        for path in paths {
            let shape = Shape { path: path.clone(), sliced: Vec::new() };
            forest.add(&Tree::new(&problem, &measure, &energy, &shape), &mut 0);
        }
        macs(network, &forest.best(&mut 0).unwrap())
    }

    fn macs(network: &Network, path: &[(u32, u32)]) -> f64 {
        let path: Vec<(usize, usize)> = path.iter().map(|&(a, b)| (a as usize, b as usize)).collect();
        evaluate(network, &path, &[]).unwrap().macs.log2()
    }

    /// Joins random pairs.
    fn any_path(count: usize, random: &mut Random) -> Vec<(u32, u32)> {
        let mut left: Vec<u32> = (0..count as u32).collect();
        (count as u32..2 * count as u32 - 1)
            .map(|step| {
                let a = left.swap_remove(random.below(left.len()));
                let b = left.swap_remove(random.below(left.len()));
                left.push(step);
                (a, b)
            })
            .collect()
    }

    #[test]
    fn each_part_comes_from_the_tree_where_it_is_best() {
        // Two chains that meet at the end: the first tree is good on the left, the second on the right.
        let inputs = vec![vec![0, 1], vec![1, 2], vec![2, 3], vec![3, 4], vec![4, 5], vec![5, 6]];
        let network = Network::new(inputs, vec![0, 6], vec![2, 30, 40, 3, 30, 40, 2]).unwrap();
        let first = vec![(0, 1), (6, 2), (3, 4), (8, 5), (7, 9)];
        let second = vec![(1, 2), (0, 6), (4, 5), (3, 8), (7, 9)];
        let both = joint(&network, &[first.clone(), second.clone()]);
        let expected = vec![(0, 1), (6, 2), (4, 5), (3, 8), (7, 9)];
        assert_eq!(both, macs(&network, &expected));
        assert!(both < macs(&network, &first).min(macs(&network, &second)));
    }

    #[test]
    fn splits_of_all_trees_give_the_optimum() {
        for seed in 0..20 {
            // The root of a tree without output may be at an operand of `4^3` elements.
            let (network, root) = match seed % 2 {
                0 => (generate::random_regular(6, 3, 4, seed), 64.0),
                _ => (generate::chain(6, 2, 30, seed), 0.0),
            };
            let mut random = Random::new(seed, 3);
            let paths: Vec<_> = (0..5000).map(|_| any_path(6, &mut random)).collect();
            let best = optimize(&network, &mut Options::default()).unwrap().cost.macs.value();
            let joint = joint(&network, &paths).exp2();
            assert!((best - 1e-6..=best + root + 1e-6).contains(&joint), "{seed} {joint} {best}");
        }
    }

    #[test]
    fn joint_trees_cost_no_more_than_any_of_those_they_are_made_of() {
        for seed in 0..10 {
            for network in [
                generate::random_regular(30, 3, 2, seed),
                generate::random_hypergraph(24, 30, 3, seed),
                generate::chain(24, 2, 30, seed),
            ] {
                let count = network.inputs().len();
                let mut random = Random::new(seed, 4);
                let paths: Vec<_> = (0..60).map(|_| any_path(count, &mut random)).collect();
                let best = paths.iter().map(|path| macs(&network, path)).fold(f64::INFINITY, f64::min);
                // The root is elsewhere where there is no output, at an operand: a step of no account.
                assert!(joint(&network, &paths) <= best + 1e-3, "{seed}");
            }
        }
    }

    #[test]
    fn a_full_forest_begins_anew() {
        let network = generate::random_regular(60, 3, 2, 1);
        let mut random = Random::new(1, 4);
        let paths: Vec<_> = (0..3000).map(|_| any_path(60, &mut random)).collect();
        assert!(joint(&network, &paths) <= macs(&network, &paths[2999]) + 1e-3);
    }
}

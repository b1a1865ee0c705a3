//! Improves a tree by moving single leaves to where they cost least.
//!
//! A leaf that is joined elsewhere changes the steps above its old and its new place, and those only by its own axes. So
//! all places are weighed in one pass over the nodes that have one of these below them: every step has a cost with the
//! leaf below its left operand, its right one, or none, and the cost of a place is the sum of what changes on the way from
//! there to the top. The moves of annealing reach the same trees, but join the leaf to all that lies between.

use super::cost::Objective;
use super::math;
use super::rounds::Search;
use super::tree::{NONE, Tree};

/// Leaves with more axes than this stay where they are.
const AXES: usize = 6;

/// Where axes have fewer leaves than this on average, annealing alone moves leaves as well.
const CARRIERS: usize = 3;

/// Moves that gain less than this part of the whole are not made.
const LEAST: f64 = 1e-7;

/// A node as it is where the leaf is not below it, and where it is.
#[derive(Clone, Copy, Default)]
struct Sides {
    /// How many leaves below it have each of the leaf's axes.
    counts: [u32; AXES],
    /// Those of the leaf's axes that the node has in either case, as bits.
    masks: [u8; 2],
    /// Logarithms of the elements.
    sizes: [f64; 2],
    /// What the steps above cost more where the leaf is below the node, as a part of the whole.
    way: f64,
}

/// Memory that is kept between leaves.
struct Scratch {
    sides: Vec<Sides>,
    /// The number of the leaf that a node was last looked at for.
    marks: Vec<u32>,
    mark: u32,
    /// The nodes above what shares an axis with the leaf, every node before those below.
    nodes: Vec<u32>,
}

impl Scratch {
    fn new(nodes: usize) -> Scratch {
        Scratch { sides: vec![Sides::default(); nodes], marks: vec![0; nodes], mark: 0, nodes: Vec::new() }
    }

    /// Finds the nodes that are, or have below them, any of these.
    fn collect<'a>(
        &mut self,
        tree: &Tree,
        wanted: impl Iterator<Item = &'a u32>,
        children: impl Fn(u32) -> (u32, u32),
        root: u32,
    ) {
        let Scratch { marks, mark, nodes, .. } = self;
        *mark += 1;
        for &wanted in wanted {
            let mut node = wanted;
            while node != NONE && marks[node as usize] != *mark {
                marks[node as usize] = *mark;
                node = tree.parent[node as usize];
            }
        }
        nodes.clear();
        nodes.push(root);
        let mut next = 0;
        while next < nodes.len() {
            let node = nodes[next];
            next += 1;
            if node as usize >= tree.count {
                let (l, r) = children(node);
                nodes.extend([l, r].into_iter().filter(|&child| marks[child as usize] == *mark));
            }
        }
    }
}

impl Search<'_, '_> {
    /// Whether it is worth the work to look for other places of leaves: where few leaves have an axis, annealing alone does
    /// as well.
    pub(super) fn relocates(&self) -> bool {
        let carriers: usize = self.problem.carriers.iter().map(Vec::len).sum();
        matches!(
            self.energy.objective,
            Objective::Macs | Objective::Flops | Objective::Combo(_) | Objective::Custom(_)
        ) && carriers >= CARRIERS * self.problem.carriers.len()
    }

    /// Moves leaves as long as that makes the tree cheaper and not so much work is done.
    pub(super) fn relocate(&mut self, tree: &mut Tree, end: u64) {
        let mut scratch = Scratch::new(tree.left.len());
        let mut leaf = self.random.below(tree.count);
        let mut since = 0;
        let mut total = tree.total();
        while since < tree.count && self.budget.work < end {
            if since % 64 == 63 && self.budget.over() {
                break;
            }
            leaf = (leaf + 1) % tree.count;
            since += 1;
            let better = self.better_place(tree, (leaf, total), &mut scratch);
            self.budget.work += 40 + 50 * scratch.nodes.len() as u64;
            let Some((from, to)) = better else { continue };
            tree.move_leaf(leaf as u32, to);
            tree.fill(self.problem, &self.measure, &self.energy);
            self.budget.work += tree.visit_work() * tree.count as u64;
            let after = tree.total();
            if after < total {
                (total, since) = (after, 0);
            } else {
                // What is gained is lost in the rounding of large sums.
                tree.move_leaf(leaf as u32, from);
                tree.fill(self.problem, &self.measure, &self.energy);
            }
        }
    }

    /// The node that a leaf is beside, and the one beside which it costs least, if that is another.
    fn better_place(
        &self,
        tree: &Tree,
        (leaf, total): (usize, f64),
        scratch: &mut Scratch,
    ) -> Option<(u32, u32)> {
        let words = tree.words;
        let bit =
            |node: usize, axis: u32| (tree.sets[node * words + axis as usize / 64] >> (axis % 64)) as u8 & 1;
        scratch.nodes.clear();
        let mut axes = [0u32; AXES];
        let mut few = 0;
        for &axis in self.problem.lists[leaf].iter().filter(|&&axis| bit(leaf, axis) != 0) {
            *axes.get_mut(few)? = axis;
            few += 1;
        }
        let axes = &axes[..few];
        let joint = tree.parent[leaf];
        if few == 0 || joint == NONE || tree.count < 3 {
            return None;
        }
        let mut logs = [0.0; 1 << AXES];
        for mask in 1..1usize << few {
            let low = mask.trailing_zeros() as usize;
            logs[mask] = logs[mask & (mask - 1)] + self.problem.logs[axes[low] as usize];
        }
        let mask_of = |node: u32| (0..few).fold(0u8, |mask, k| mask | bit(node as usize, axes[k]) << k);
        let beside = tree.left[joint as usize] ^ tree.right[joint as usize] ^ leaf as u32;
        // The step that joins the leaf is none where it is taken out.
        let child = |node: u32| if node == joint { beside } else { node };
        let children = |node: u32| (child(tree.left[node as usize]), child(tree.right[node as usize]));
        let carriers = axes.iter().flat_map(|&axis| &self.problem.carriers[axis as usize]);
        scratch.collect(tree, carriers.chain([&beside]), children, child(tree.root));
        let Scratch { sides, marks, mark, nodes } = scratch;
        let side = |node: u32, counts: [u32; AXES]| {
            let mut masks = [0u8; 2];
            for (k, &axis) in axes.iter().enumerate() {
                let all = self.problem.carriers[axis as usize].len();
                let stays = self.problem.kept[axis as usize] || counts[k] as usize + 1 < all;
                masks[0] |= u8::from(counts[k] > 0) << k;
                masks[1] |= u8::from(stays) << k;
            }
            let rest = tree.size[node as usize] - logs[mask_of(node) as usize];
            Sides { counts, masks, sizes: masks.map(|mask| rest + logs[mask as usize]), way: 0.0 }
        };
        for &node in nodes.iter().rev() {
            let mut counts = [0; AXES];
            if (node as usize) < tree.count {
                (0..few).for_each(|k| counts[k] = u32::from(bit(node as usize, axes[k])));
            } else {
                let (l, r) = children(node);
                for other in [l, r] {
                    if marks[other as usize] != *mark {
                        sides[other as usize] = side(other, [0; AXES]);
                    }
                    (0..few).for_each(|k| counts[k] += sides[other as usize].counts[k]);
                }
            }
            sides[node as usize] = side(node, counts);
        }
        let part = |left: f64, right: f64, result: f64, all: f64, inputs: (bool, bool)| {
            math::exp2(self.energy.step(left, right, result, all, inputs) - total)
        };
        let own = tree.size[leaf];
        let (mut least, mut now) = ((f64::INFINITY, NONE), f64::INFINITY);
        for &node in nodes.iter() {
            let Sides { masks, sizes, way, .. } = sides[node as usize];
            let all = sizes[0] - logs[masks[0] as usize] + own;
            let value = way
                + part(sizes[0], own, sizes[1], all, (tree.leaf_input(node), tree.leaf_input(leaf as u32)));
            if value < least.0 {
                least = (value, node);
            }
            if node == beside {
                now = value;
            }
            if (node as usize) < tree.count {
                continue;
            }
            let (l, r) = children(node);
            let (a, b) = (sides[l as usize], sides[r as usize]);
            let there = mask_of(tree.left[node as usize]) | mask_of(tree.right[node as usize]);
            let rest = tree.all[node as usize] - logs[there as usize];
            let inputs = (tree.leaf_input(l), tree.leaf_input(r));
            let all = |x: u8, y: u8| rest + logs[(x | y) as usize];
            let mut out = None;
            for (child, other, left) in [(l, r, true), (r, l, false)] {
                let (below, other) = (sides[child as usize], sides[other as usize]);
                let mut more = 0.0;
                if below.masks[0] != below.masks[1] || masks[0] != masks[1] {
                    let without = *out.get_or_insert_with(|| {
                        part(a.sizes[0], b.sizes[0], sizes[0], all(a.masks[0], b.masks[0]), inputs)
                    });
                    let all = all(below.masks[1], other.masks[0]);
                    let with = if left {
                        part(below.sizes[1], other.sizes[0], sizes[1], all, (false, inputs.1))
                    } else {
                        part(other.sizes[0], below.sizes[1], sizes[1], all, (inputs.0, false))
                    };
                    more = with - without;
                }
                sides[child as usize].way = way + more;
            }
        }
        (least.0 < now - LEAST).then_some((beside, least.1))
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::super::canonical::Canonical;
    use super::super::greedy::{Taste, greedy};
    use super::super::problem::Problem;
    use super::super::time::{Rates, StepTime};
    use super::super::tree::Shape;
    use super::super::{Network, generate};
    use super::*;

    #[test]
    fn no_leaf_is_better_elsewhere_in_the_end() {
        let time = StepTime::new(&Rates::SHIPPED, 8);
        let networks = [
            generate::random_hypergraph(14, 10, 3, 1),
            generate::random_hypergraph(16, 24, 2, 2),
            generate::model_counting(6, 12, 3, 3),
            generate::tree(12, 4, 4),
            Network::new(
                vec![vec![0, 1], vec![1, 2], vec![2, 3], vec![0, 3], vec![1, 3], vec![0, 2, 4], vec![4]],
                vec![0, 4],
                vec![2, 3, 4, 5, 6],
            )
            .unwrap(),
        ];
        let mut moved = 0;
        for (seed, network) in (0..).zip(&networks) {
            let canonical = Canonical::new(network, false);
            let problem = Problem::new(&canonical, &canonical.components()[0]);
            let count = problem.count();
            for objective in [Objective::Combo(16.0), Objective::Custom(&time), Objective::Write] {
                let mut budget = Budget::new(u64::MAX, None, None);
                let mut silent = |_: f64, _: u64| {};
                let mut search = Search::new(&problem, objective, seed, &mut budget, &mut silent);
                // Any two tensors in every step.
                let mut live: Vec<u32> = (0..count as u32).collect();
                let mut path = Vec::new();
                while live.len() > 1 {
                    let a = live.swap_remove(search.random.below(live.len()));
                    let b = live.swap_remove(search.random.below(live.len()));
                    live.push((count + path.len()) as u32);
                    path.push((a, b));
                }
                let mut tree = search.tree(&Shape { path, sliced: Vec::new() });
                let before = tree.total();
                search.relocate(&mut tree, u64::MAX);
                let after = search.tree(&tree.shape()).total();
                assert!((tree.total() - after).abs() < 1e-9 && after <= before);
                moved += usize::from(after < before - 1e-3);
                for leaf in 0..count as u32 {
                    let joint = tree.parent[leaf as usize];
                    for place in (0..tree.left.len() as u32).filter(|&place| place != leaf && place != joint)
                    {
                        let mut other = tree.clone();
                        other.move_leaf(leaf, place);
                        let value = search.tree(&other.shape()).total();
                        // Places that share no axis with the leaf are not looked at.
                        let shares = problem.lists[leaf as usize].iter().any(|axis| {
                            tree.leaves(place)
                                .iter()
                                .any(|&below| below != leaf && problem.lists[below as usize].contains(axis))
                        });
                        assert!(value > after - 1e-5 || !shares, "{leaf} beside {place}: {value} {after}");
                    }
                }
            }
        }
        assert!(moved > 10, "{moved}");
    }

    #[test]
    fn what_is_gone_down_from_has_its_leaves_where_they_cost_least() {
        let time = StepTime::new(&Rates::SHIPPED, 8);
        let mut better = 0;
        for seed in 0..6 {
            let network = generate::model_counting(60, 150, 2, seed);
            let canonical = Canonical::new(&network, false);
            let problem = Problem::new(&canonical, &canonical.components()[0]);
            for objective in [Objective::Combo(16.0), Objective::Custom(&time)] {
                let mut budget = Budget::new(u64::MAX, None, None);
                let mut silent = |_: f64, _: u64| {};
                let mut search = Search::new(&problem, objective, 1, &mut budget, &mut silent);
                let path = greedy(&problem, Taste::PLAIN, &mut search.random, &mut search.budget.work);
                let mut tree = search.tree(&Shape { path, sliced: Vec::new() });
                search.descend(&mut tree, u64::MAX);
                let (total, mut scratch) = (tree.total(), Scratch::new(tree.left.len()));
                let place = |leaf| search.better_place(&tree, (leaf, total), &mut scratch);
                better += (0..problem.count()).filter_map(place).count();
            }
        }
        // Windows come last.
        assert!(better < 12, "{better}");
    }
}

//! Crosses trees: a part of one gets the order that its leaves have in another.
//!
//! Trees that were annealed apart cut a network in other places, so that they have few sets of leaves in common. But
//! whatever is below an edge of one tree has an order in every other: what is left of that when all other leaves are taken
//! away. With such parts a forest of the first tree finds out which of its sides are done better elsewhere, and so what is
//! good in a tree that loses is kept.

use super::rounds::Search;
use super::tree::{NONE, Shape, Tree};

/// The part of the work of a round that goes into crossing, as a fraction.
const SHARE: (u64, u64) = (3, 20);

/// Fewer crossings than this are not worth their work.
const LEAST: u64 = 64;

/// Sweeps after a crossing: where the parts meet, some steps are out of place.
const SWEEPS: u64 = 4;

/// Where the sweeps begin to cool.
const COOL: f64 = 8.0;

/// A crossed tree by this many powers of two above the best is not swept.
const FAR: f64 = 8.0;

/// Steps this many powers of two below the whole are not swept.
const DEPTH: f64 = 12.0;

impl Search<'_, '_> {
    /// Gives parts of a tree the order that they have in others, for a part of the work of a round.
    pub(super) fn cross(&mut self, tree: &mut Tree, others: &[Shape], round: u64) {
        let share = round / SHARE.1 * SHARE.0;
        let one = (4 + SWEEPS) * tree.visit_work() * tree.count as u64;
        let own = tree.shape();
        let others: Vec<Tree> =
            others.iter().filter(|shape| **shape != own).map(|shape| self.tree(shape)).collect();
        if others.is_empty() || share < LEAST * one {
            return;
        }
        let end = self.budget.work + share;
        let mut best = self.value(tree);
        while !self.budget.over() && self.budget.work < end {
            let other = self.random.below(others.len());
            self.budget.work += 4 * tree.visit_work() * tree.count as u64;
            let Some(shape) = self.crossed(tree, &others[other]) else { continue };
            let mut crossed = self.tree(&shape);
            let total = crossed.total();
            if total > best + FAR {
                continue;
            }
            for sweep in 0..SWEEPS {
                self.budget.work += crossed.sweep(
                    &self.measure,
                    &self.energy,
                    (COOL + sweep as f64, total - DEPTH),
                    &mut self.random,
                    self.table,
                );
            }
            self.plant(&crossed);
            let value = self.value(&crossed);
            if value < best - 1e-9 {
                best = value;
                *tree = crossed;
            }
        }
        *tree = self.harvest(tree.clone());
        self.offer(tree);
    }

    /// A tree in which the leaves on one side of some edge have the order of another tree.
    fn crossed(&mut self, tree: &Tree, other: &Tree) -> Option<Shape> {
        let count = tree.count;
        let costly = tree.costly();
        let most = costly.len().min(8 + count / 16);
        let mut top = costly[(most as f64 * self.random.unit() * self.random.unit()) as usize];
        for _ in 0..self.random.below(4) {
            if tree.parent[top as usize] != NONE {
                top = tree.parent[top as usize];
            }
        }
        if top == tree.root {
            return None;
        }
        let below = tree.leaves(top);
        if self.random.below(2) == 0 {
            Some(inner_of(tree, other, top, &below))
        } else {
            let place = below[self.random.below(below.len())];
            Some(outer_of(tree, other, top, &below, place))
        }
    }
}

/// The tree where what is below a node has the order of another tree.
fn inner_of(tree: &Tree, other: &Tree, top: u32, below: &[u32]) -> Shape {
    let inside = marks(tree.count, below);
    let mut path = Vec::with_capacity(tree.count - 1);
    let part = restrict(other, other.root, &mut path, None, |leaf| inside[leaf as usize]);
    restrict(tree, tree.root, &mut path, part.map(|part| (top, part)), |_| true);
    Shape { path, sliced: tree.sliced.clone() }
}

/// The tree where what is not below a node has the order of another tree, in which the node is where that has one of the
/// leaves below.
fn outer_of(tree: &Tree, other: &Tree, top: u32, below: &[u32], place: u32) -> Shape {
    let inside = marks(tree.count, below);
    let mut path = Vec::with_capacity(tree.count - 1);
    let part = restrict(tree, top, &mut path, None, |_| true);
    let part = part.map(|part| (place, part));
    restrict(other, other.root, &mut path, part, |leaf| !inside[leaf as usize]);
    Shape { path, sliced: tree.sliced.clone() }
}

/// Which of so many leaves are in a list.
fn marks(count: usize, list: &[u32]) -> Vec<bool> {
    let mut marks = vec![false; count];
    list.iter().for_each(|&leaf| marks[leaf as usize] = true);
    marks
}

/// Adds the steps of a tree below a node to a path, with those leaves alone that are wanted, and with a tensor of the path
/// in the place of a node that is given; tells the last tensor, if there is any.
fn restrict(
    tree: &Tree,
    top: u32,
    path: &mut Vec<(u32, u32)>,
    given: Option<(u32, u32)>,
    wanted: impl Fn(u32) -> bool,
) -> Option<u32> {
    let mut made: Vec<Option<u32>> = Vec::new();
    let mut stack = vec![(top, false)];
    while let Some((node, ready)) = stack.pop() {
        if let Some((place, tensor)) = given
            && place == node
        {
            made.push(Some(tensor));
        } else if (node as usize) < tree.count {
            made.push(wanted(node).then_some(node));
        } else if ready {
            let (right, left) = (made.pop()?, made.pop()?);
            made.push(match (left, right) {
                (Some(left), Some(right)) => {
                    path.push((left, right));
                    Some((tree.count + path.len() - 1) as u32)
                }
                (one, other) => one.or(other),
            });
        } else {
            stack.extend([
                (node, true),
                (tree.right[node as usize], false),
                (tree.left[node as usize], false),
            ]);
        }
    }
    made.pop()?
}

#[cfg(test)]
mod tests {
    use super::super::canonical::Canonical;
    use super::super::cost::Objective;
    use super::super::math::Random;
    use super::super::problem::Problem;
    use super::super::tree::{Energy, Measure};
    use super::super::{Network, evaluate, generate};
    use super::*;

    /// The tree of a path of a chain of matrices.
    fn tree(network: &Network, path: &[(u32, u32)]) -> Tree {
        let canonical = Canonical::new(network, false);
        let problem = Problem::new(&canonical, &(0..network.inputs().len()).collect::<Vec<_>>());
        let energy = Energy::new(Objective::Macs);
        let shape = Shape { path: path.to_vec(), sliced: Vec::new() };
        Tree::new(&problem, &Measure::new(&problem.logs), &energy, &shape)
    }

    #[test]
    fn one_side_of_an_edge_has_the_order_of_the_other_tree() {
        let network = generate::chain(6, 2, 9, 1);
        // ((0 1) 2) ((3 4) 5) and ((0 (1 2)) (3 (4 5))).
        let first = tree(&network, &[(0, 1), (6, 2), (3, 4), (8, 5), (7, 9)]);
        let second = tree(&network, &[(1, 2), (0, 6), (4, 5), (3, 8), (7, 9)]);
        let inner = inner_of(&first, &second, 7, &[0, 1, 2]);
        assert_eq!(inner.path, [(1, 2), (0, 6), (3, 4), (8, 5), (7, 9)]);
        let outer = outer_of(&first, &second, 7, &[0, 1, 2], 1);
        assert_eq!(outer.path, [(0, 1), (6, 2), (4, 5), (3, 8), (7, 9)]);
    }

    #[test]
    fn crossed_trees_have_every_leaf_once() {
        let network = generate::random_regular(20, 3, 2, 1);
        let mut random = Random::new(1, 4);
        let mut any = || {
            let mut left: Vec<u32> = (0..20).collect();
            let path: Vec<(u32, u32)> = (20..39)
                .map(|step| {
                    let a = left.swap_remove(random.below(left.len()));
                    let b = left.swap_remove(random.below(left.len()));
                    left.push(step);
                    (a, b)
                })
                .collect();
            tree(&network, &path)
        };
        for _ in 0..50 {
            let (first, second) = (any(), any());
            for top in 20..38 {
                let below = first.leaves(top);
                for shape in [
                    inner_of(&first, &second, top, &below),
                    outer_of(&first, &second, top, &below, below[below.len() / 2]),
                ] {
                    let path: Vec<_> = shape.path.iter().map(|&(a, b)| (a as usize, b as usize)).collect();
                    assert!(evaluate(&network, &path, &[]).is_ok());
                }
            }
        }
    }
}

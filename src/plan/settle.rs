//! One order for the short axes of all intermediates of a product, so that vectors have runs of several of them.
//!
//! The order begins as the one that suits readers: what is summed soon is innermost. A descent then moves one axis at a time
//! for as long as the large pairs get cheaper: a result whose innermost axes all come from one operand is written by whole
//! vectors, one whose innermost axes are in both operands is written element by element, and an operand is packed by runs of
//! axes that are summed, or kept, together. Takes time cubic in the number of axes that are moved, of which there are few.

use crate::expr::{Axes, AxisId, points};
use std::collections::BTreeSet;

/// Elements of all intermediates from which on the order matters.
const LARGE: f64 = 262_144.0;

/// The most axes that are moved, and the most pairs that say where.
const MOVED: usize = 40;
const PAIRS: usize = 16;

/// The most rounds in which every axis is moved.
const ROUNDS: usize = 4;

/// One pair of a product: the axes of what it reads and writes, where their order is open.
pub(super) struct Pair<'a> {
    /// The axes of both operands, and whether each is an intermediate.
    pub operands: [(&'a BTreeSet<AxisId>, bool); 2],
    /// The axes of the result, and whether it is an intermediate.
    pub result: (&'a BTreeSet<AxisId>, bool),
}

/// A tensor of a pair: its axes by their place among those that are moved, with what each is to the pair.
struct Tensor {
    elements: f64,
    axes: Vec<(usize, Kind)>,
    is_result: bool,
}

/// What an axis is to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    Batch,
    Summed,
}

/// Puts axes, outermost first, in an order that suits the large ones of these pairs, which are matrix products. `None` where
/// all are small.
pub(super) fn settle(order: &[AxisId], pairs: &[Pair<'_>], axes: &Axes) -> Option<Vec<AxisId>> {
    let elements = |set: &BTreeSet<AxisId>| points(axes, set) as f64;
    let size = |pair: &Pair<'_>| {
        pair.operands.iter().map(|operand| elements(operand.0)).sum::<f64>() + elements(pair.result.0)
    };
    let mut large: Vec<(f64, &Pair<'_>)> = pairs.iter().map(|pair| (size(pair), pair)).collect();
    large.sort_by(|a, b| b.0.total_cmp(&a.0));
    if large.iter().map(|pair| pair.0).sum::<f64>() < LARGE {
        return None;
    }
    let mut moved: BTreeSet<AxisId> = BTreeSet::new();
    let mut chosen = Vec::new();
    for (_, pair) in large.into_iter().take(PAIRS) {
        let more: BTreeSet<AxisId> = pair.operands.iter().flat_map(|operand| operand.0).copied().collect();
        if moved.union(&more).count() > MOVED {
            break;
        }
        moved.extend(more);
        chosen.push(pair);
    }
    let places: Vec<usize> = (0..order.len()).filter(|&at| moved.contains(&order[at])).collect();
    let list: Vec<AxisId> = places.iter().map(|&at| order[at]).collect();
    let tensors = tensors(&chosen, &list, axes);
    let extents: Vec<f64> = list.iter().map(|&axis| axes[axis].extent as f64).collect();
    let best = descend(&tensors, &extents);
    let mut settled = order.to_vec();
    places.iter().zip(best).for_each(|(&at, axis)| settled[at] = list[axis]);
    Some(settled)
}

fn tensors(pairs: &[&Pair<'_>], list: &[AxisId], axes: &Axes) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for pair in pairs {
        let [(left, _), (right, _)] = pair.operands;
        let kind =
            |axis: &AxisId| match (left.contains(axis), right.contains(axis), pair.result.0.contains(axis)) {
                (_, _, false) => Kind::Summed,
                (true, true, _) => Kind::Batch,
                (true, false, _) => Kind::Left,
                _ => Kind::Right,
            };
        let own = pair.operands.iter().map(|operand| (operand, false));
        for (&(set, is_open), is_result) in own.chain([(&pair.result, true)]) {
            if is_open {
                let places = list.iter().enumerate().filter(|(_, axis)| set.contains(axis));
                tensors.push(Tensor {
                    elements: points(axes, set) as f64,
                    axes: places.map(|(at, axis)| (at, kind(axis))).collect(),
                    is_result,
                });
            }
        }
    }
    tensors
}

/// The order of the axes, outermost first, that no move of one axis makes better.
fn descend(tensors: &[Tensor], extents: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..extents.len()).collect();
    let mut rank = order.clone();
    let mut cost = |order: &[usize]| {
        order.iter().enumerate().for_each(|(place, &axis)| rank[axis] = place);
        tensors.iter().map(|tensor| tensor.elements * for_element(tensor, &rank, extents)).sum::<f64>()
    };
    let mut best = cost(&order);
    for _ in 0..ROUNDS {
        let before = best;
        for axis in 0..extents.len() {
            let from = order.iter().position(|&other| other == axis).expect("it is an order of all axes");
            order.remove(from);
            let mut found = (best, from);
            for to in (0..=order.len()).filter(|&to| to != from) {
                order.insert(to, axis);
                let cost = cost(&order);
                order.remove(to);
                // What is not clearly better stays.
                if cost < found.0 * (1.0 - 1e-9) {
                    found = (cost, to);
                }
            }
            order.insert(found.1, axis);
            best = found.0;
        }
        if best == before {
            break;
        }
    }
    order
}

/// What an element of a tensor costs to read or write: by how many innermost elements are of one kind.
fn for_element(tensor: &Tensor, rank: &[usize], extents: &[f64]) -> f64 {
    let mut run = 1.0;
    let mut below = usize::MAX;
    let mut first = None;
    while run < 8.0 {
        let next = tensor.axes.iter().filter(|axis| rank[axis.0] < below).max_by_key(|axis| rank[axis.0]);
        let Some(&(axis, kind)) = next else { break };
        if *first.get_or_insert(kind) != kind {
            break;
        }
        run *= extents[axis];
        below = rank[axis];
    }
    match (tensor.is_result, first) {
        (true, Some(Kind::Batch)) => 4.0,
        (true, _) => 1.0 + 4.0 / run.clamp(1.0, 8.0),
        (false, _) => 1.0 + 1.0 / run.clamp(1.0, 4.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Axis;

    fn axes(extents: &[u64]) -> (Axes, Vec<AxisId>) {
        let mut axes = Axes::new();
        let ids = (0..)
            .zip(extents)
            .map(|(k, &extent)| axes.push(Axis { name: format!("a{k}"), extent }))
            .collect();
        (axes, ids)
    }

    /// `C[0..20] = sum[20,21] A B`, where axis 19, which both have, would be innermost: axes that only one operand has are.
    #[test]
    fn large_results_end_in_axes_of_one_operand() {
        let (axes, ids) = axes(&[2; 22]);
        let set = |has: &dyn Fn(usize) -> bool| -> BTreeSet<AxisId> {
            ids.iter().enumerate().filter(|(k, _)| has(*k)).map(|(_, &id)| id).collect()
        };
        // Every third axis is in both; the others take turns.
        let left = set(&|k| k >= 20 || k % 3 != 2);
        let right = set(&|k| k >= 20 || k % 3 != 0 || k == 18);
        let result = set(&|k| k < 20);
        let pair = Pair { operands: [(&left, true), (&right, true)], result: (&result, true) };
        let settled = settle(&ids, &[pair], &axes).expect("the result has 2^20 elements");
        assert_eq!(settled.iter().copied().collect::<BTreeSet<_>>(), ids.iter().copied().collect());
        let inner: Vec<AxisId> =
            settled.iter().rev().filter(|axis| result.contains(axis)).take(3).copied().collect();
        let only = |this: &BTreeSet<AxisId>, other: &BTreeSet<AxisId>| {
            inner.iter().all(|axis| this.contains(axis) && !other.contains(axis))
        };
        assert!(only(&left, &right) || only(&right, &left), "{inner:?}");
    }

    #[test]
    fn small_products_and_fixed_tensors_stay_as_they_are() {
        let (few, ids) = axes(&[2; 9]);
        let all: BTreeSet<AxisId> = ids.iter().copied().collect();
        let pair = |is_open| Pair { operands: [(&all, is_open), (&all, is_open)], result: (&all, is_open) };
        assert_eq!(settle(&ids, &[pair(true)], &few), None);
        let (many, ids) = axes(&[4; 12]);
        assert_eq!(settle(&ids, &[pair(false)], &many), Some(ids));
    }
}

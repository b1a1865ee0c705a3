//! One order for the short axes of all intermediates of a product, so that vectors have runs of several of them.
//!
//! The order begins as the one that suits readers: what is summed soon is innermost. A descent then moves one axis at a time
//! for as long as the large pairs get cheaper: products of a batch find little side by side where the axes of the batch are
//! near, a result whose innermost axes all come from one operand is written by whole vectors, an operand is packed by runs of
//! axes that are summed, or kept, together, and what a fixed result is written from is read along its rows.
//! Takes time cubic in the number of axes that are moved, of which there are few.

use crate::expr::{Axes, AxisId, points};
use std::collections::BTreeSet;

/// Elements of all intermediates from which on the order matters.
const LARGE: f64 = 262_144.0;

/// The most axes that are moved, and the most pairs that say where.
const MOVED: usize = 64;
const PAIRS: usize = 32;

/// The most rounds in which every axis is moved.
const ROUNDS: usize = 4;

/// What is added to the cost of an element, 1, as measured on products of many short axes in random orders: where vectors run
/// along the batch; for every doubling of how many products of the batch have elements among 64 side by side, and then
/// among 512; for every halving of runs shorter than 8; for every halving of what is side by side in an operand and a fixed
/// result, of up to 64.
const ALONG_BATCH: f64 = 0.75;
const NEAR_BATCH: f64 = 0.2;
const FAR_BATCH: f64 = 0.05;
const SHORT_RUN: f64 = 0.05;
const ACROSS: f64 = 0.6;

/// One pair of a product: the axes of what it reads and writes, where their order is open.
pub(super) struct Pair<'a> {
    /// The axes of both operands, and whether each is an intermediate.
    pub operands: [(&'a BTreeSet<AxisId>, bool); 2],
    /// The axes of the result, and whether it is an intermediate; what is none has its axes in the order to begin with.
    pub result: (&'a BTreeSet<AxisId>, bool),
    /// Whether it is a matrix product. Every other is a loop nest, which goes along the rows of its result.
    pub contracts: bool,
}

/// A pair: what each of the moved axes is to it, and its tensors whose order is open.
struct Product {
    kinds: Kinds,
    tensors: Vec<Tensor>,
    contracts: bool,
    /// The axes of a result whose order is fixed, innermost first.
    fixed: Vec<usize>,
}

/// A tensor of a pair.
struct Tensor {
    elements: f64,
    kinds: Kinds,
}

/// What each of the moved axes is to a pair, if it is there.
type Kinds = Vec<Option<Kind>>;

/// What an axis is to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    Batch,
    Summed,
}

/// Puts axes, outermost first, in an order that suits the large ones of these pairs. `None` where all are small.
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
    for (_, pair) in large {
        if chosen.len() == PAIRS {
            break;
        }
        let more: BTreeSet<AxisId> = pair.operands.iter().flat_map(|operand| operand.0).copied().collect();
        if moved.union(&more).count() <= MOVED {
            moved.extend(more);
            chosen.push(pair);
        }
    }
    let places: Vec<usize> = (0..order.len()).filter(|&at| moved.contains(&order[at])).collect();
    let list: Vec<AxisId> = places.iter().map(|&at| order[at]).collect();
    let products = products(&chosen, &list, axes);
    let extents: Vec<f64> = list.iter().map(|&axis| axes[axis].extent as f64).collect();
    let best = descend(&products, &extents);
    let mut settled = order.to_vec();
    places.iter().zip(best).for_each(|(&at, axis)| settled[at] = list[axis]);
    Some(settled)
}

fn products(pairs: &[&Pair<'_>], list: &[AxisId], axes: &Axes) -> Vec<Product> {
    let product = |pair: &&Pair<'_>| {
        let [(left, _), (right, _)] = pair.operands;
        let kind =
            |axis: &AxisId| match (left.contains(axis), right.contains(axis), pair.result.0.contains(axis)) {
                (_, _, false) => Kind::Summed,
                (true, true, _) => Kind::Batch,
                (true, false, _) => Kind::Left,
                _ => Kind::Right,
            };
        let of = |has: &dyn Fn(&AxisId) -> bool| -> Kinds {
            list.iter().map(|axis| has(axis).then(|| kind(axis))).collect()
        };
        let open = pair.operands.iter().chain([&pair.result]).filter(|tensor| tensor.1);
        Product {
            kinds: of(&|axis| left.contains(axis) || right.contains(axis)),
            tensors: open
                .map(|(set, _)| Tensor {
                    elements: points(axes, *set) as f64,
                    kinds: of(&|axis| set.contains(axis)),
                })
                .collect(),
            contracts: pair.contracts,
            fixed: match pair.result {
                (_, true) => Vec::new(),
                (set, false) => (0..list.len()).rev().filter(|&at| set.contains(&list[at])).collect(),
            },
        }
    };
    pairs.iter().map(product).collect()
}

/// The order of the axes, outermost first, that no move of one axis makes better.
fn descend(products: &[Product], extents: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..extents.len()).collect();
    for _ in 0..ROUNDS {
        let mut moved = false;
        for axis in 0..extents.len() {
            // Others are not changed by a move.
            let changed: Vec<&Product> =
                products.iter().filter(|product| product.kinds[axis].is_some()).collect();
            let cost =
                |order: &[usize]| changed.iter().map(|product| cost(product, order, extents)).sum::<f64>();
            let best = cost(&order);
            let from = order.iter().position(|&other| other == axis).expect("it is an order of all axes");
            order.remove(from);
            let mut found = (best, from);
            // A move past what shares no product with the axis changes nothing.
            let shares = |at: usize| changed.iter().any(|product| product.kinds[order[at]].is_some());
            let inwards = (from + 1..=order.len()).filter(|&to| shares(to - 1));
            let places: Vec<usize> = (0..from).filter(|&to| shares(to)).chain(inwards).collect();
            for to in places {
                order.insert(to, axis);
                let cost = cost(&order);
                order.remove(to);
                // What is not clearly better stays.
                if cost < found.0 * (1.0 - 1e-9) {
                    found = (cost, to);
                }
            }
            order.insert(found.1, axis);
            moved |= found.1 != from;
        }
        if !moved {
            break;
        }
    }
    order
}

/// What the tensors of a product cost to read and write, more or less: products of a batch run at a distance from one
/// another where its axes are near, and each finds little side by side, unless vectors run along the batch. Operands of a
/// result whose order is fixed are read across their rows where theirs is another.
fn cost(product: &Product, order: &[usize], extents: &[f64]) -> f64 {
    let whole = Inside::of(&product.kinds, order, extents);
    let strips = whole.kind == Some(Kind::Batch) && whole.run >= 8.0;
    let for_element = |tensor: &Tensor| {
        let kinds = &tensor.kinds;
        let inside = match (product.contracts, strips) {
            (false, _) => 0.0,
            (true, true) => ALONG_BATCH,
            (true, false) => {
                let Inside { run, near, far, .. } = Inside::of(kinds, order, extents);
                NEAR_BATCH * near.log2() + FAR_BATCH * (far / near).log2() + SHORT_RUN * (8.0 / run).log2()
            }
        };
        let across = match product.fixed.is_empty() {
            true => 0.0,
            false => (64.0 / common_run(kinds, &product.fixed, order, extents).min(64.0)).log2(),
        };
        1.0 + inside + ACROSS * across
    };
    product.tensors.iter().map(|tensor| tensor.elements * for_element(tensor)).sum()
}

/// Axes from the innermost on.
fn inwards<'a>(kinds: &'a [Option<Kind>], order: &'a [usize]) -> impl Iterator<Item = (usize, Kind)> + 'a {
    order.iter().rev().filter_map(|&axis| Some((axis, kinds[axis]?)))
}

/// What is side by side in a tensor.
struct Inside {
    /// The kind of the innermost axis.
    kind: Option<Kind>,
    /// How many elements are side by side along it and others of its kind, of up to 8.
    run: f64,
    /// How many products of the batch have elements among 64 that are side by side, and among 512.
    near: f64,
    far: f64,
}

impl Inside {
    fn of(kinds: &[Option<Kind>], order: &[usize], extents: &[f64]) -> Inside {
        let (mut inside, mut all) = (Inside { kind: None, run: 1.0, near: 1.0, far: 1.0 }, 1.0);
        for (axis, kind) in inwards(kinds, order) {
            let extent = extents[axis];
            if *inside.kind.get_or_insert(kind) == kind && inside.run == f64::min(all, 8.0) {
                inside.run = (inside.run * extent).min(8.0);
            }
            if kind == Kind::Batch {
                inside.near *= extent.min(64.0 / all).max(1.0);
                inside.far *= extent.min(512.0 / all);
            }
            all *= extent;
            if all >= 512.0 {
                break;
            }
        }
        inside
    }
}

/// How many elements are side by side in a tensor and in a result, apart from axes that only one of them has.
fn common_run(kinds: &[Option<Kind>], fixed: &[usize], order: &[usize], extents: &[f64]) -> f64 {
    let own = inwards(kinds, order).filter(|axis| axis.1 != Kind::Summed).map(|axis| axis.0);
    let of_result = fixed.iter().copied().filter(|&axis| kinds[axis].is_some());
    own.zip(of_result).take_while(|(a, b)| a == b).map(|axis| extents[axis.0]).product()
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
        let pair =
            Pair { operands: [(&left, true), (&right, true)], result: (&result, true), contracts: true };
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
        let pair = |is_open| Pair {
            operands: [(&all, is_open), (&all, is_open)],
            result: (&all, is_open),
            contracts: true,
        };
        assert_eq!(settle(&ids, &[pair(true)], &few), None);
        let (many, ids) = axes(&[4; 12]);
        assert_eq!(settle(&ids, &[pair(false)], &many), Some(ids));
    }

    /// `C[b,m,n] = sum[k] A[b,m,k] B[b,k,n]`, all of them several axes: those of the batch leave the innermost places.
    #[test]
    fn axes_of_the_batch_are_outside() {
        let (axes, ids) = axes(&[3; 16]);
        let set = |has: &dyn Fn(usize) -> bool| -> BTreeSet<AxisId> {
            ids.iter().enumerate().filter(|(k, _)| has(*k)).map(|(_, &id)| id).collect()
        };
        // Axes in turn: rows, columns, batch, sums.
        let left = set(&|k| k % 4 != 1);
        let right = set(&|k| k % 4 != 0);
        let result = set(&|k| k % 4 != 3);
        let pair =
            Pair { operands: [(&left, true), (&right, true)], result: (&result, true), contracts: true };
        let settled = settle(&ids, &[pair], &axes).expect("the result has 3^12 elements");
        for tensor in [&left, &right, &result] {
            let inner = settled.iter().rev().filter(|axis| tensor.contains(axis)).take(4);
            for axis in inner {
                assert_ne!(ids.iter().position(|id| id == axis).map(|k| k % 4), Some(2), "{settled:?}");
            }
        }
    }

    /// An operand that is copied to a fixed result lies as it does, however a product before it would have it.
    #[test]
    fn what_a_fixed_result_is_read_from_lies_alike() {
        let (axes, ids) = axes(&[2; 22]);
        let set = |has: &dyn Fn(usize) -> bool| -> BTreeSet<AxisId> {
            ids.iter().enumerate().filter(|(k, _)| has(*k)).map(|(_, &id)| id).collect()
        };
        let (left, right) = (set(&|k| k >= 20 || k % 2 == 0), set(&|k| k >= 20 || k % 3 != 0));
        let (whole, vector) = (set(&|k| k < 20), set(&|k| k == 4));
        let product =
            Pair { operands: [(&left, true), (&right, true)], result: (&whole, true), contracts: true };
        let nest =
            Pair { operands: [(&whole, true), (&vector, true)], result: (&whole, false), contracts: false };
        let settled = settle(&ids, &[product, nest], &axes).expect("the result has 2^20 elements");
        let kept: Vec<AxisId> = settled.into_iter().filter(|axis| whole.contains(axis)).collect();
        assert_eq!(kept[14..], ids[14..20]);
    }
}

//! What the pairs of an order are to each other: which are contractions, which read whose result, and how a result lies best
//! for its reader.

use super::contraction::Factor;
use super::{View, settle};
use crate::expr::{Axes, AxisId};
use std::collections::{BTreeMap, BTreeSet};

/// Below this extent an axis is too short to be the innermost one of a loop nest.
const SHORT: u64 = 8;

/// Up to so many products in each sum writing the results counts most, and vectors of them are worth operands that lie so.
const FEW_SUMS: u64 = 32;

/// One pair of an order.
pub(super) struct Joint {
    /// The axes of its result.
    pub kept: BTreeSet<AxisId>,
    /// Whether it sums an axis and keeps one that only one operand has: a matrix product. Every other is a loop nest.
    pub contracts: bool,
    /// Whether its reader multiplies its operands itself: a loop nest over the very same axes, which reads every
    /// element of the product once.
    pub waits: bool,
    /// Its operands, factors first, then results.
    operands: (usize, usize),
    /// The pair that reads its result, and that pair's other operand.
    reader: Option<(usize, usize)>,
}

/// The pairs of an order.
pub(super) struct Joints {
    list: Vec<Joint>,
    factors: usize,
    /// The place of each axis in an order that suits all pairs: those of the result, then those that are summed late, or as
    /// is best for large intermediates.
    rank: BTreeMap<AxisId, usize>,
    /// Whether intermediates are large.
    settled: bool,
}

impl Joints {
    /// The pairs of a product of factors whose result has the axes `loops`.
    pub fn new(factors: &[Factor], pairs: &[(usize, usize)], loops: &[AxisId], extents: &Axes) -> Joints {
        let wanted: BTreeSet<AxisId> = loops.iter().copied().collect();
        let mut axes: Vec<BTreeSet<AxisId>> = factors.iter().map(|factor| factor.axes.clone()).collect();
        let mut waiting: BTreeSet<usize> = (0..factors.len()).collect();
        let mut list = Vec::with_capacity(pairs.len());
        let mut summed: Vec<AxisId> = Vec::new();
        let mut all = Vec::with_capacity(pairs.len());
        for (k, &(a, b)) in pairs.iter().enumerate() {
            waiting.remove(&a);
            waiting.remove(&b);
            let union: BTreeSet<AxisId> = axes[a].union(&axes[b]).copied().collect();
            let needed = |axis: &AxisId| {
                wanted.contains(axis) || waiting.iter().any(|&other| axes[other].contains(axis))
            };
            let kept: BTreeSet<AxisId> = union.iter().copied().filter(needed).collect();
            summed.extend(union.difference(&kept));
            let sums = union.len() > kept.len();
            let free = axes[a].symmetric_difference(&axes[b]).any(|axis| kept.contains(axis));
            let number = factors.len() + k;
            let reader = (k + 1..pairs.len()).find_map(|next| match pairs[next] {
                (x, y) if x == number => Some((next, y)),
                (x, y) if y == number => Some((next, x)),
                _ => None,
            });
            list.push(Joint {
                kept: kept.clone(),
                contracts: sums && free,
                waits: false,
                operands: (a, b),
                reader,
            });
            all.push(union);
            axes.push(kept);
            waiting.insert(number);
        }
        for k in 0..list.len() {
            let reads_all = |(next, _): (usize, usize)| !list[next].contracts && all[next] == list[k].kept;
            list[k].waits = all[k] == list[k].kept && list[k].reader.is_some_and(reads_all);
        }
        let ranks: Vec<AxisId> = loops.iter().copied().chain(summed.into_iter().rev()).collect();
        let is_open = |operand: usize| operand >= factors.len() && operand + 1 < axes.len();
        let is_short = |set: &BTreeSet<AxisId>| set.iter().all(|&axis| extents[axis].extent < SHORT);
        let products = list
            .iter()
            .enumerate()
            .filter(|(_, joint)| (joint.contracts || joint.reader.is_none()) && is_short(&joint.kept));
        let pairs: Vec<settle::Pair<'_>> = products
            .map(|(k, joint)| {
                let (a, b) = joint.operands;
                let result = factors.len() + k;
                settle::Pair {
                    contracts: joint.contracts,
                    operands: [(&axes[a], is_open(a)), (&axes[b], is_open(b))],
                    result: (&axes[result], is_open(result)),
                }
            })
            .collect();
        let settled = settle::settle(&ranks, &pairs, extents);
        drop(pairs);
        let is_settled = settled.is_some();
        let rank =
            settled.unwrap_or(ranks).into_iter().enumerate().map(|(rank, axis)| (axis, rank)).collect();
        Joints { list, factors: factors.len(), rank, settled: is_settled }
    }

    pub fn get(&self, pair: usize) -> &Joint {
        &self.list[pair]
    }

    /// The order of the axes of a pair's result. `live` holds the factors of all operands that are there already.
    pub fn order(
        &self,
        pair: usize,
        operands: &[Factor],
        live: &[Vec<Factor>],
        loops: &[AxisId],
        axes: &Axes,
    ) -> Vec<AxisId> {
        let joint = self.get(pair);
        // Only runs of several short axes are long: where all tensors have them in one order, such runs are there.
        let are_short = joint.kept.iter().all(|&axis| axes[axis].extent < SHORT);
        let own = if are_short { self.ranked(&joint.kept) } else { own_order(&joint.kept, operands) };
        let is_nest = |(reader, _): (usize, usize)| !self.get(reader).contracts;
        if are_short && joint.reader.is_some_and(|reader| self.settled || is_nest(reader)) {
            return own;
        }
        if !joint.contracts {
            // A loop nest writes as it reads; a contraction packs its operands anyway, best by vectors of its result.
            let liked = self.liked(joint, live, loops, axes);
            return contiguous(own, operands, &[], &liked, axes);
        }
        let Some((reader, partner)) = joint.reader else { return loops.to_vec() };
        let mut partners = Vec::new();
        self.gather(partner, live, &mut partners);
        let mut order = for_partner(own, partners.first(), loops);
        // Vectors run along such a batch axis; the reader packs its operands anyway.
        let is_unit = |axis: AxisId| operands.iter().all(|factor| factor.view.stride(axis) == 1);
        if let Some(at) = order.iter().position(|&axis| axes[axis].extent >= SHORT && is_unit(axis)) {
            let axis = order.remove(at);
            order.push(axis);
        }
        // Products of a batch that is apart in all operands are written each in one place.
        let is_batch =
            |axis: AxisId| operands.len() > 1 && operands.iter().all(|factor| factor.axes.contains(&axis));
        let is_apart =
            |axis: AxisId| operands.iter().all(|factor| factor.view.stride(axis).unsigned_abs() > 1);
        if let Some(&inner) = order.last()
            && is_batch(inner)
            && is_apart(inner)
            && order.iter().any(|&axis| !is_batch(axis) && axes[axis].extent >= SHORT)
        {
            let (batch, rest): (Vec<AxisId>, Vec<AxisId>) = order.iter().partition(|axis| is_batch(**axis));
            order = batch.into_iter().chain(rest).collect();
        }
        // So they do where the reader's result has one innermost and its other operand has, or is yet to be written.
        let last = self.get(reader);
        let few =
            joint.kept.difference(&last.kept).map(|&axis| axes[axis].extent).product::<u64>() <= FEW_SUMS;
        let is_strip = |axis: AxisId| partners.iter().all(|factor| factor.view.stride(axis) == 1);
        if let Some(axis) = loops.last().copied().filter(|&axis| few && is_strip(axis) && last.contracts)
            && reader + 1 == self.list.len()
            && self.has(partner, live, axis)
            && let Some(at) = order.iter().position(|&other| other == axis)
        {
            order.remove(at);
            order.push(axis);
        }
        // Long rows of windows are multiplied where they lie.
        for Factor { view, axes: held } in operands {
            let is_window = |axis: AxisId| {
                let by = view.stride(axis);
                by != 0 && held.iter().any(|other| !joint.kept.contains(other) && view.stride(*other) == by)
            };
            let is_row = |&axis: &AxisId| view.stride(axis) == 1 && axes[axis].extent >= 2 * SHORT;
            let (mut windows, rest): (Vec<AxisId>, Vec<AxisId>) =
                order.iter().partition(|axis| is_window(**axis));
            if windows.iter().any(is_row) {
                windows.sort_by_key(|&axis| std::cmp::Reverse(view.stride(axis)));
                order = rest.into_iter().chain(windows).collect();
            }
        }
        let written = if reader + 1 == self.list.len() { loops } else { &[] };
        if self.get(reader).contracts { order } else { contiguous(order, &partners, written, &[], axes) }
    }

    /// The axes of a loop nest's result one of which is innermost in the result of the contraction that reads it, as that one's
    /// reader needs it: then its columns are packed as they lie. Empty where that is not known.
    fn liked(&self, nest: &Joint, live: &[Vec<Factor>], loops: &[AxisId], axes: &Axes) -> Vec<AxisId> {
        let Some((contraction, other)) = nest.reader.filter(|&(reader, _)| self.get(reader).contracts) else {
            return Vec::new();
        };
        let Joint { kept, reader, .. } = self.get(contraction);
        let mut partners = Vec::new();
        let mut written = loops;
        if let &Some((reader, partner)) = reader {
            if self.get(reader).contracts {
                return Vec::new();
            }
            self.gather(partner, live, &mut partners);
            written = if reader + 1 == self.list.len() { loops } else { &[] };
        }
        let cost = |&&axis: &&AxisId| (axes[axis].extent < SHORT, strided(axis, &partners, written));
        let Some(least) = kept.iter().map(|axis| cost(&axis)).min() else { return Vec::new() };
        let is_free = |&&axis: &&AxisId| nest.kept.contains(&axis) && !self.has(other, live, axis);
        kept.iter().filter(|axis| cost(axis) == least).filter(is_free).copied().collect()
    }

    /// Whether an operand has an axis.
    fn has(&self, operand: usize, live: &[Vec<Factor>], axis: AxisId) -> bool {
        match live.get(operand) {
            Some(factors) => factors.iter().any(|factor| factor.axes.contains(&axis)),
            None => self.get(operand - self.factors).kept.contains(&axis),
        }
    }

    /// Axes in the order that suits all pairs.
    fn ranked(&self, kept: &BTreeSet<AxisId>) -> Vec<AxisId> {
        let mut order: Vec<AxisId> = kept.iter().copied().collect();
        order.sort_by_key(|axis| self.rank.get(axis));
        order
    }

    /// The factors that an operand is or will be the product of, as far as they are there.
    fn gather(&self, operand: usize, live: &[Vec<Factor>], list: &mut Vec<Factor>) {
        if let Some(factors) = live.get(operand) {
            list.extend(factors.iter().cloned());
        } else if self.get(operand - self.factors).waits {
            let (a, b) = self.get(operand - self.factors).operands;
            self.gather(a, live, list);
            self.gather(b, live, list);
        }
    }
}

/// The order of an intermediate's axes that its consumer likes: batch axes, then those that are kept, then those
/// that are summed with the partner, in the partner's order.
fn for_partner(own: Vec<AxisId>, partner: Option<&Factor>, loops: &[AxisId]) -> Vec<AxisId> {
    let position = |list: &[AxisId], axis: &AxisId| list.iter().position(|other| other == axis);
    let partner_order = partner.map_or(Vec::new(), |partner| by_stride(&partner.axes, &partner.view));
    let mut order = own.clone();
    order.sort_by_key(|axis| {
        let shared = position(&partner_order, axis);
        let wanted = position(loops, axis);
        let group = match (shared, wanted) {
            (Some(_), Some(_)) => 0,
            (Some(_), None) => 2,
            _ => 1,
        };
        let within = if group == 2 { shared } else { wanted };
        (group, within.unwrap_or(usize::MAX), position(&own, axis))
    });
    order
}

/// In how many of these factors of a loop nest, and its result if its order is known, elements along an axis lie apart.
fn strided(axis: AxisId, factors: &[Factor], written: &[AxisId]) -> usize {
    let read = factors.iter().filter(|factor| factor.view.stride(axis).unsigned_abs() > 1).count();
    read + usize::from(written.contains(&axis) && written.last() != Some(&axis))
}

/// The order with that axis moved to its end along which most of these factors of a loop nest, and its result if its order is
/// known, are contiguous or constant; one that is liked, if there are any; the last such axis of the order.
fn contiguous(
    mut order: Vec<AxisId>,
    factors: &[Factor],
    written: &[AxisId],
    liked: &[AxisId],
    axes: &Axes,
) -> Vec<AxisId> {
    let key = |&at: &usize| {
        let axis = order[at];
        let apart = strided(axis, factors, written);
        (axes[axis].extent < SHORT, apart, !liked.contains(&axis), std::cmp::Reverse(at))
    };
    if let Some(best) = (0..order.len()).min_by_key(key) {
        let axis = order.remove(best);
        order.push(axis);
    }
    order
}

/// Axes in the order in which operands have them, the first one's before.
fn own_order(kept: &BTreeSet<AxisId>, operands: &[Factor]) -> Vec<AxisId> {
    let mut order: Vec<AxisId> = Vec::with_capacity(kept.len());
    for factor in operands {
        for axis in by_stride(&factor.axes, &factor.view) {
            if kept.contains(&axis) && !order.contains(&axis) {
                order.push(axis);
            }
        }
    }
    order
}

/// Axes in the order of their strides in a view, greatest first.
pub(super) fn by_stride<'a>(axes: impl IntoIterator<Item = &'a AxisId>, view: &View) -> Vec<AxisId> {
    let stride = |axis: &AxisId| view.strides.iter().find(|s| s.0 == *axis).map_or(0, |s| s.1.unsigned_abs());
    let mut order: Vec<AxisId> = axes.into_iter().copied().collect();
    order.sort_by_key(|axis| (std::cmp::Reverse(stride(axis)), *axis));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Axis;
    use crate::id::{Id, IdVec};

    /// A tensor of these axes, with a stride for each.
    fn factor(strides: Vec<(AxisId, i64)>) -> Factor {
        Factor {
            axes: strides.iter().map(|term| term.0).collect(),
            view: View { buffer: Id::new(0), offset: 0, strides },
        }
    }

    /// A tensor whose axes, all of one extent, lie in this order.
    fn row_major(list: &[AxisId], extent: i64) -> Factor {
        let stride = |k: usize| extent.pow((list.len() - 1 - k) as u32);
        factor(list.iter().enumerate().map(|(k, &axis)| (axis, stride(k))).collect())
    }

    /// `Q[k,l] = A[i,j] A[i,k] A[i,l] A[j,k] A[j,l]`: of the pairs (j,l)(i,j), (j,k)6, (i,l)(i,k) and 7*8 the third waits
    /// for the last, whose other operand has `l` innermost, as `Q` and `A[i,l]` do.
    #[test]
    fn a_product_waits_and_its_partner_lies_as_the_reader_needs_it() {
        let mut axes: Axes = IdVec::new();
        let [i, j, k, l] =
            ["i", "j", "k", "l"].map(|name| axes.push(Axis { name: name.to_string(), extent: 38 }));
        let edges = [[i, j], [i, k], [i, l], [j, k], [j, l]];
        let factors: Vec<Factor> = edges.map(|[from, to]| factor(vec![(from, 38), (to, 1)])).into();
        let pairs = [(4, 0), (3, 5), (2, 1), (6, 7)];
        let joints = Joints::new(&factors, &pairs, &[k, l], &axes);
        let told: Vec<(bool, bool)> =
            joints.list.iter().map(|joint| (joint.contracts, joint.waits)).collect();
        assert_eq!(told, [(false, false), (true, false), (false, true), (false, false)]);
        let mut live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
        let order = |pair: usize, operands: [&Factor; 2], live: &[Vec<Factor>]| {
            joints.order(pair, &operands.map(Factor::clone), live, &[k, l], &axes)
        };
        assert_eq!(order(0, [&factors[4], &factors[0]], &live), [j, i, l]);
        let stored = factor(vec![(j, 38 * 38), (i, 38), (l, 1)]);
        live.push(vec![stored.clone()]);
        assert_eq!(order(1, [&factors[3], &stored], &live), [k, i, l]);
    }

    /// `q[k] = A[k,l] A[i,j] A[i,k] A[i,l] A[j,k] A[j,l]`: the product `A[i,l] A[i,j]` may lie either way, and lies as the
    /// result of the contraction with `A[i,k]`, whose reader has `l` innermost in both other operands.
    #[test]
    fn a_product_lies_as_what_is_contracted_with_it() {
        let mut axes: Axes = IdVec::new();
        let [i, j, k, l] =
            ["i", "j", "k", "l"].map(|name| axes.push(Axis { name: name.to_string(), extent: 38 }));
        let edges = [[k, l], [i, j], [i, k], [i, l], [j, k], [j, l]];
        let factors: Vec<Factor> = edges.map(|[from, to]| factor(vec![(from, 38), (to, 1)])).into();
        let pairs = [(3, 1), (2, 6), (0, 5), (7, 8), (4, 9)];
        let joints = Joints::new(&factors, &pairs, &[k], &axes);
        let live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
        let operands = [factors[3].clone(), factors[1].clone()];
        assert_eq!(joints.order(0, &operands, &live, &[k], &axes), [i, j, l]);
    }

    /// `Z[c,a] = A[a,e,b] B[b,c,d] C[d,e]`, and with nothing but `b` summed: the axes of the result come first, in its order,
    /// then those that are summed late.
    #[test]
    fn short_axes_lie_in_one_order_in_all_tensors() {
        let mut axes: Axes = IdVec::new();
        let [a, b, c, d, e] =
            ["a", "b", "c", "d", "e"].map(|name| axes.push(Axis { name: name.to_string(), extent: 2 }));
        let factor = |list: &[AxisId]| row_major(list, 2);
        let factors = [factor(&[a, e, b]), factor(&[b, c, d]), factor(&[d, e])];
        let live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
        // A contraction reads the result, and likes best what it sums in one place.
        let joints = Joints::new(&factors, &[(0, 2), (3, 1)], &[c, a], &axes);
        let operands = [factors[0].clone(), factors[2].clone()];
        assert_eq!(joints.order(0, &operands, &live, &[c, a], &axes), [a, b, d]);
        // A loop nest reads it.
        let loops = [e, c, a, d];
        let joints = Joints::new(&factors, &[(0, 1), (3, 2)], &loops, &axes);
        assert_eq!(joints.order(0, &factors[..2], &live, &loops, &axes), loops);
    }

    /// `Z[b,o,y,q] = A[b,r,p,q] B[o,r,p,q] C[y,p]`: the sums over `r` are strips along `q`, though their reader sums `p`.
    #[test]
    fn strips_stay_innermost() {
        let mut axes: Axes = IdVec::new();
        let [b, o, r, p, q, y] =
            ["b", "o", "r", "p", "q", "y"].map(|name| axes.push(Axis { name: name.to_string(), extent: 16 }));
        let factor = |list: &[AxisId]| row_major(list, 16);
        let order = |tables: [&[AxisId]; 3]| {
            let factors = tables.map(factor);
            let live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
            let loops = [b, o, y, q];
            let joints = Joints::new(&factors, &[(0, 1), (3, 2)], &loops, &axes);
            joints.order(0, &factors[..2], &live, &loops, &axes)
        };
        assert_eq!(order([&[b, r, p, q], &[o, r, p, q], &[y, p]]), [b, o, p, q]);
        // One operand lies otherwise.
        assert_eq!(order([&[b, r, q, p], &[o, r, p, q], &[y, p]]), [b, o, q, p]);
    }

    /// `Z[n,l,m] = sum[t,f](P[t,l,m] E[f,m] G[n,t,f])`: of few sums over `t` vectors run along `m`, the last axis of the result.
    #[test]
    fn few_sums_run_along_the_last_axis_of_the_result() {
        let mut axes: Axes = IdVec::new();
        let [n, l, m, t, f] = [("n", 1000), ("l", 7), ("m", 13), ("t", 7), ("f", 13)]
            .map(|(name, extent)| axes.push(Axis { name: name.to_string(), extent }));
        let table = factor(vec![(t, 91), (l, 13), (m, 1)]);
        let (e, g) = (factor(vec![(f, 13), (m, 1)]), factor(vec![(n, 91), (t, 13), (f, 1)]));
        let order = |table: Factor| {
            let factors = [table, e.clone(), g.clone()];
            let live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
            let joints = Joints::new(&factors, &[(1, 2), (0, 3)], &[n, l, m], &axes);
            joints.order(0, &factors[1..], &live, &[n, l, m], &axes)
        };
        assert_eq!(order(table), [n, t, m]);
        // A table that lies otherwise is no strip.
        assert_eq!(order(factor(vec![(m, 49), (l, 7), (t, 1)])), [m, n, t]);
    }

    /// `Y[b,p,i,j] = M[b,o,i,k] N[b,o,k,j] W[o,p]`: the products of the batch `o`, which the reader sums, lie each in one place.
    #[test]
    fn products_of_a_batch_lie_in_one_place() {
        let mut axes: Axes = IdVec::new();
        let [b, o, p, i, j, k] =
            ["b", "o", "p", "i", "j", "k"].map(|name| axes.push(Axis { name: name.to_string(), extent: 16 }));
        let factor = |list: &[AxisId]| row_major(list, 16);
        let factors = [&[b, o, i, k][..], &[b, o, k, j], &[o, p]].map(factor);
        let live: Vec<Vec<Factor>> = factors.iter().map(|factor| vec![factor.clone()]).collect();
        let loops = [b, p, i, j];
        let joints = Joints::new(&factors, &[(0, 1), (3, 2)], &loops, &axes);
        assert_eq!(joints.order(0, &factors[..2], &live, &loops, &axes), [b, o, i, j]);
    }

    /// Without its reader's other operand at hand a contraction's result lies as its operands do, and an axis of few
    /// elements is not innermost.
    #[test]
    fn short_axes_are_not_innermost() {
        let mut axes: Axes = IdVec::new();
        let [i, j] =
            [("i", 100), ("j", 2)].map(|(name, extent)| axes.push(Axis { name: name.to_string(), extent }));
        assert_eq!(contiguous(vec![i, j], &[], &[], &[], &axes), [j, i]);
        assert_eq!(contiguous(vec![j, i], &[], &[], &[], &axes), [j, i]);
    }
}

//! Contracts factors that a product holds more than once a single time, one at a time, for a planner that tells whether it
//! pays.
//!
//! ```text
//! n1 q = sum[i,j,k,l] n0[i,j] * n0[j,k] * n0[k,l] * n0[l,i]      =>      n2[p,r] = sum[s] n0[p,s] * n0[s,r]
//!                                                                        n1 q = sum[i,k] n2[i,k] * n2[k,i]
//! ```
//!
//! Why that is right: of factors `P(v, x)` and all others `Q(x, y)`, where only `P` has the axes `v`, the sum over `v` can be
//! drawn in front of the others, `sum_v sum_x P(v, x) Q(x, y) = sum_x C(x) Q(x, y)` with `C(x) = sum_v P(v, x)`; then `C` is a
//! contraction that the others hold too, see [`super::share_contraction`].

use super::share_contraction::{matched, matches, share};
use super::{Access, Graph, Node, NodeId, Op, Term, rewrite};
use crate::expr::{Affine, AxisId};
use std::collections::{BTreeMap, BTreeSet};

/// Products of more factors are not searched: all their subsets would be.
const MOST_FACTORS: usize = 12;

/// Factors of a term that its other factors hold too.
#[derive(Clone, Debug)]
pub struct Repeat {
    reader: NodeId,
    term: usize,
    factors: Vec<usize>,
}

/// Where factors occur more than once in a product: for each number of factors those with the smallest contraction, few
/// factors first. One that is larger than its factors is none: slices of the whole product would keep it in the cache.
pub fn repeats(graph: &Graph) -> Vec<Repeat> {
    let mut found = Vec::new();
    for (reader, number, term) in graph.reorderable_terms() {
        let count = term.operands.len();
        if !(4..=MOST_FACTORS).contains(&count) {
            continue;
        }
        for size in 2..=count / 2 {
            let sets = (1u32..1 << count).filter(|set| set.count_ones() as usize == size);
            let sets = sets.map(|set| (0..count).filter(|at| set >> at & 1 == 1).collect::<Vec<usize>>());
            let best = sets
                .filter(|factors| occurs_twice(term, factors))
                .filter_map(|factors| {
                    let part = Part::of(term, &factors)?;
                    let reads = part.inner.operands.iter().map(|operand| graph.node(operand.node).elems());
                    let points = graph.points(&part.kept);
                    if points > reads.max().unwrap_or(0) {
                        return None;
                    }
                    let rest = part.rest(term, &factors, reader);
                    matches(graph, &part.inner, &rest, graph.node(reader).axes()).map(|_| (points, factors))
                })
                .min_by_key(|(points, _)| *points);
            found.extend(best.map(|(_, factors)| Repeat { reader, term: number, factors }));
        }
    }
    found
}

/// The graph in which those factors are a contraction of their own, read wherever the product holds it.
pub fn share_repeats(graph: &Graph, place: &Repeat) -> Option<Graph> {
    let mut graph = graph.clone();
    if !graph.contains(place.reader) {
        return None;
    }
    let node = graph.node(place.reader).clone();
    let Op::Contract(terms) = &node.op else { return None };
    let term = terms.get(place.term)?;
    let part = Part::of(term, &place.factors)?;
    let renamed: BTreeMap<AxisId, AxisId> =
        part.kept.iter().chain(&part.inner.sum).map(|&axis| (axis, graph.fresh_axis(axis))).collect();
    let rename = |index: &Affine| Affine {
        terms: index.terms.iter().map(|&(axis, by)| (renamed[&axis], by)).collect(),
        constant: index.constant,
    };
    let operands = part
        .inner
        .operands
        .iter()
        .map(|operand| Access { node: operand.node, indices: operand.indices.iter().map(rename).collect() });
    let inner = Term {
        scale: rewrite::scalar_of(1, node.dtype),
        sum: part.inner.sum.iter().map(|axis| renamed[axis]).collect(),
        operands: operands.collect(),
    };
    let known = graph.add(Node {
        name: format!("{}.part", node.name),
        dtype: node.dtype,
        shape: part.kept.iter().map(|&axis| graph.axes[axis].extent).collect(),
        dims: part.kept.iter().map(|axis| vec![renamed[axis]]).collect(),
        op: Op::Contract(vec![inner]),
        scan: None,
        keep_order: false,
        place: node.place,
    });
    let rest = part.rest(term, &place.factors, known);
    let Op::Contract(terms) = &mut graph.node_mut(place.reader).op else { return None };
    terms[place.term] = rest;
    graph.link();
    while let Some(shared) = matched(&graph, known, (place.reader, place.term)) {
        graph = share(&graph, &shared)?;
    }
    Some(graph)
}

/// Factors of a term as a contraction.
struct Part {
    inner: Term,
    /// The axes of its value.
    kept: Vec<AxisId>,
}

impl Part {
    /// `None` where the factors have nothing to sum alone.
    fn of(term: &Term, factors: &[usize]) -> Option<Part> {
        let others = term.operands.iter().enumerate().filter(|(at, _)| !factors.contains(at));
        let shared: BTreeSet<AxisId> = others.flat_map(|(_, operand)| operand.axes()).collect();
        let operands: Vec<Access> = factors.iter().map(|&at| term.operands[at].clone()).collect();
        let (mut sum, mut kept) = (Vec::new(), Vec::new());
        for axis in operands.iter().flat_map(|operand| operand.axes()) {
            let list = if term.sum.contains(&axis) && !shared.contains(&axis) { &mut sum } else { &mut kept };
            if !list.contains(&axis) {
                list.push(axis);
            }
        }
        let inner = Term { scale: term.scale, sum, operands };
        (!inner.sum.is_empty()).then_some(Part { inner, kept })
    }

    /// The term that reads a node in the place of the factors.
    fn rest(&self, term: &Term, factors: &[usize], node: NodeId) -> Term {
        let index = |&axis: &AxisId| Affine { terms: vec![(axis, 1)], constant: 0 };
        let others = term.operands.iter().enumerate().filter(|(at, _)| !factors.contains(at));
        let mut operands: Vec<Access> = others.map(|(_, operand)| operand.clone()).collect();
        operands.push(Access { node, indices: self.kept.iter().map(index).collect() });
        let sum = term.sum.iter().copied().filter(|axis| !self.inner.sum.contains(axis)).collect();
        Term { scale: term.scale, sum, operands }
    }
}

/// Whether a term reads what the factors read at least twice as often as these do.
fn occurs_twice(term: &Term, factors: &[usize]) -> bool {
    factors.iter().all(|&at| {
        let reads = |other: &&Access| other.node == term.operands[at].node;
        let inside = factors.iter().map(|&at| &term.operands[at]).filter(reads).count();
        term.operands.iter().filter(reads).count() >= 2 * inside
    })
}

//! Reads a contraction that exists anyway in the place of the factors it is made of, one at a time, for a planner that
//! tells whether it pays.
//!
//! ```text
//! n4 G[t,s] = sum[v] n2[t,v,s] * n3[t,v]                                    n4 G[t,s] = sum[v] n2[t,v,s] * n3[t,v]
//! n5 imp[i] = sum[t,s,v] n0[t,i,s] * n1[t,i] * n2[t,v,s] * n3[t,v]    =>    n5 imp[i] = sum[t,s] n0[t,i,s] * n1[t,i] * n4[t,s]
//! ```
//!
//! Why that is right: let the factors of a term be `P(v, x) Q(x, y)`, where `P` are the factors that match those of a
//! contraction `C(x) = sum_v P(v, x)` under one renaming of axes, and no other factor, nor the value, has an axis of `v`.
//! Then `sum_v sum_x P(v, x) Q(x, y) = sum_x (sum_v P(v, x)) Q(x, y) = sum_x C(x) Q(x, y)`, by the law of distribution.

use super::{Access, Graph, NodeId, Op, Term, is_one};
use crate::expr::{Affine, AxisId};
use std::collections::{BTreeMap, BTreeSet};

/// A contraction, the term of another, and the factors of the term that it can stand for.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The contraction that is read.
    known: NodeId,
    /// The contraction that reads it then, and its term.
    reader: (NodeId, usize),
    /// The operands of the term that go.
    gone: Vec<usize>,
    /// The axis of the term that stands for each axis of the contraction.
    axes: BTreeMap<AxisId, AxisId>,
}

/// Where a contraction can stand for factors of another, at most one place for each pair of contraction and term.
pub fn shareable(graph: &Graph) -> Vec<Shared> {
    let contractions: Vec<NodeId> = graph
        .ids()
        .into_iter()
        .filter(|&id| {
            let node = graph.node(id);
            matches!(node.op, Op::Contract(_)) && node.scan.is_none() && !node.keep_order
        })
        .collect();
    let mut found = Vec::new();
    for &known in &contractions {
        for &reader in contractions.iter().filter(|&&reader| reader != known) {
            let Op::Contract(terms) = &graph.node(reader).op else { continue };
            found.extend((0..terms.len()).filter_map(|number| matched(graph, known, (reader, number))));
        }
    }
    found
}

/// The graph with a contraction read in the place of factors; `None` where it needs the reader's value itself.
pub fn share(graph: &Graph, place: &Shared) -> Option<Graph> {
    let mut graph = graph.clone();
    let (reader, number) = place.reader;
    if !graph.contains(place.known) || !graph.contains(reader) {
        return None;
    }
    let known = graph.node(place.known);
    let indices = known.dims.iter().map(|dim| match dim[..] {
        [] => Some(Affine::default()),
        [axis] => Some(Affine { terms: vec![(*place.axes.get(&axis)?, 1)], constant: 0 }),
        _ => None,
    });
    let access = Access { node: place.known, indices: indices.collect::<Option<Vec<Affine>>>()? };
    let Op::Contract(mine) = &known.op else { return None };
    let summed: BTreeSet<AxisId> = mine[0].sum.iter().map(|axis| place.axes[axis]).collect();
    let Op::Contract(terms) = &mut graph.node_mut(reader).op else { return None };
    let term = terms.get_mut(number)?;
    let mut kept = 0..;
    term.operands.retain(|_| !kept.next().is_some_and(|at| place.gone.contains(&at)));
    term.operands.insert(place.gone[0].min(term.operands.len()), access);
    term.sum.retain(|axis| !summed.contains(axis));
    graph.link();
    graph.order().is_some().then_some(graph)
}

/// How a contraction can stand for factors of a term.
pub(super) fn matched(graph: &Graph, known: NodeId, reader: (NodeId, usize)) -> Option<Shared> {
    let (own, other) = (graph.node(known), graph.node(reader.0));
    let (Op::Contract(mine), Op::Contract(theirs)) = (&own.op, &other.op) else { return None };
    let ([mine], term) = (&mine[..], &theirs[reader.1]) else { return None };
    let plain = own.dtype == other.dtype && is_one(&mine.scale) && own.dims.iter().all(|dim| dim.len() < 2);
    if !plain || mine.operands.len() < 2 || mine.operands.len() > term.operands.len() || mine.sum.is_empty() {
        return None;
    }
    let (gone, axes) = matches(graph, mine, term, other.axes())?;
    Some(Shared { known, reader, gone, axes })
}

/// The operands of a term that those of another match, and the axes of the term that its axes become; `value` holds the axes
/// of the value of the term.
pub(super) fn matches(
    graph: &Graph,
    mine: &Term,
    term: &Term,
    value: Vec<AxisId>,
) -> Option<(Vec<usize>, BTreeMap<AxisId, AxisId>)> {
    let mut search = Search { graph, mine, term, value, gone: Vec::new(), axes: BTreeMap::new() };
    search.run().then(|| {
        search.gone.sort_unstable();
        (search.gone, search.axes)
    })
}

/// A search for factors, one operand of the contraction after the other.
struct Search<'a> {
    graph: &'a Graph,
    mine: &'a Term,
    term: &'a Term,
    /// The axes of the reader's value.
    value: Vec<AxisId>,
    gone: Vec<usize>,
    axes: BTreeMap<AxisId, AxisId>,
}

impl Search<'_> {
    fn run(&mut self) -> bool {
        let Some(wanted) = self.mine.operands.get(self.gone.len()) else { return self.is_closed() };
        for (number, operand) in self.term.operands.iter().enumerate() {
            if self.gone.contains(&number) || operand.node != wanted.node {
                continue;
            }
            let before = self.axes.clone();
            self.gone.push(number);
            if self.rename(wanted, operand) && self.run() {
                return true;
            }
            self.gone.pop();
            self.axes = before;
        }
        false
    }

    /// Makes the axes of one access those of another; only single axes are renamed.
    fn rename(&mut self, from: &Access, to: &Access) -> bool {
        from.indices.iter().zip(&to.indices).all(|(from, to)| {
            if from.terms.is_empty() || to.terms.is_empty() {
                return from == to;
            }
            let (&[(a, by)], &[(b, times)]) = (&from.terms[..], &to.terms[..]) else { return false };
            let extent = |axis: AxisId| self.graph.axes[axis].extent;
            by == times
                && from.constant == to.constant
                && extent(a) == extent(b)
                && *self.axes.entry(a).or_insert(b) == b
        })
    }

    /// Whether what the contraction sums is summed by the term too, and occurs in none of its other factors.
    fn is_closed(&self) -> bool {
        let summed: BTreeSet<AxisId> =
            self.mine.sum.iter().filter_map(|axis| self.axes.get(axis)).copied().collect();
        let others = self.term.operands.iter().enumerate().filter(|(at, _)| !self.gone.contains(at));
        let used: BTreeSet<AxisId> = others.flat_map(|(_, operand)| operand.axes()).collect();
        // Two axes that became one are a diagonal, which a sum over both is not.
        let targets: BTreeSet<AxisId> = self.axes.values().copied().collect();
        summed.len() == self.mine.sum.len()
            && targets.len() == self.axes.len()
            && summed.iter().all(|axis| {
                self.term.sum.contains(axis) && !used.contains(axis) && !self.value.contains(axis)
            })
    }
}

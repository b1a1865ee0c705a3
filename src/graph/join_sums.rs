//! Makes one value of several convolutions that are only added.
//!
//! ```text
//! n4[o,i] = sum[c,r] n1[o,c,r] * n0[c,i + r]                n4[o,i] = sum[c,r] n1[o,c,r] * n0[c,i + r]
//! n5[o,i] = sum[c,r] n2[o,c,r] * n3[c,i + r]          =>            + sum[c,r] n2[o,c,r] * n3[c,i + r]
//! n6[t,o] = n4[o,t // 2] + n5[o,t // 2]                     n6[t,o] = n4[o,t // 2]
//! ```
//!
//! They are read nowhere else, and at equal places, which need not be affine. Takes time linear in the text.

use super::rewrite::{map_parts, substitute_affine};
use super::{Graph, NodeId, Op, drop_unused};
use crate::expr::{Affine, AxisId, Expr, Outside};
use std::collections::BTreeMap;

/// Makes one value of several convolutions that are only added.
pub fn join_sums(graph: &Graph) -> Graph {
    // What nothing needs any more must not count as a reader.
    let mut graph = drop_unused(graph);
    let uses = graph.uses();
    for id in graph.ids() {
        if !graph.contains(id) || !graph.node(id).dtype.is_float() {
            continue;
        }
        if let Op::Map(value) = graph.node(id).op.clone() {
            let joined = join(&mut graph, &value, &uses);
            graph.node_mut(id).op = Op::Map(joined);
        }
    }
    graph.link();
    graph
}

/// The expression with sums of reads joined.
fn join(graph: &mut Graph, expr: &Expr<NodeId>, uses: &BTreeMap<NodeId, usize>) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| join(graph, part, uses));
    let Expr::Sum(_) = &expr else { return expr };
    let mut parts = Vec::new();
    flatten(&expr, &mut parts);
    let mut kept: Vec<Expr<NodeId>> = Vec::new();
    for part in &parts {
        let joined = kept.iter().any(|other| join_two(graph, other, part, uses).is_some());
        if !joined {
            kept.push(part.clone());
        }
    }
    if kept.len() == parts.len() {
        return expr;
    }
    if kept.len() == 1 { kept.remove(0) } else { Expr::Sum(kept) }
}

fn flatten(expr: &Expr<NodeId>, parts: &mut Vec<Expr<NodeId>>) {
    match expr {
        Expr::Sum(list) => list.iter().for_each(|part| flatten(part, parts)),
        other => parts.push(other.clone()),
    }
}

/// Adds the terms of one value to another's, if both are convolutions that are read at one place.
fn join_two(
    graph: &mut Graph,
    a: &Expr<NodeId>,
    b: &Expr<NodeId>,
    uses: &BTreeMap<NodeId, usize>,
) -> Option<()> {
    let (Expr::Read(a), Expr::Read(b)) = (a, b) else { return None };
    let same = a.source != b.source && a.indices == b.indices;
    let plain = a.outside == Outside::Never && b.outside == Outside::Never;
    if !same || !plain || ![a.source, b.source].iter().all(|&id| is_convolution(graph, id, uses)) {
        return None;
    }
    let (to, from) = (graph.node(a.source), graph.node(b.source));
    let shaped = to.dtype == from.dtype && to.shape == from.shape && to.dims.len() == from.dims.len();
    let alike = to.dims.iter().zip(&from.dims).all(|(to, from)| {
        let extents = |dim: &[AxisId]| dim.iter().map(|&axis| graph.axes[axis].extent).collect::<Vec<_>>();
        extents(to) == extents(from)
    });
    if !shaped || !alike {
        return None;
    }
    let by: BTreeMap<AxisId, Affine> = from
        .axes()
        .into_iter()
        .zip(to.axes())
        .map(|(from, to)| (from, Affine { terms: vec![(to, 1)], constant: 0 }))
        .collect();
    let Op::Contract(terms) = &from.op else { return None };
    let mut terms = terms.clone();
    for index in terms.iter_mut().flat_map(|term| &mut term.operands).flat_map(|operand| &mut operand.indices)
    {
        *index = substitute_affine(index, &by)?;
    }
    let Op::Contract(list) = &mut graph.node_mut(a.source).op else { return None };
    list.extend(terms);
    // Nothing reads it any more once the sum is written anew.
    graph.remove(b.source);
    Some(())
}

/// Whether a node is a contraction with windows that one place reads.
fn is_convolution(graph: &Graph, id: NodeId, uses: &BTreeMap<NodeId, usize>) -> bool {
    if !graph.contains(id) {
        return false;
    }
    let node = graph.node(id);
    let Op::Contract(terms) = &node.op else { return false };
    let windows = terms.iter().all(|term| {
        term.operands.iter().any(|operand| operand.indices.iter().any(|index| index.terms.len() > 1))
    });
    windows && node.scan.is_none() && !node.keep_order && uses.get(&id) == Some(&1)
}

//! Multiplies sums out, one at a time, for a planner that tells whether it pays.
//!
//! ```text
//! n4[o,i] = n1[o,i] + sum[r] n2[o,r] * n3[r,i]      =>
//! n5[n,o] = sum[i] n0[n,i] * n4[o,i]                    n5[n,o] = sum[i] n0[n,i] * n1[o,i]
//!                                                               + sum[i,r] n0[n,i] * n2[o,r] * n3[r,i]
//! ```

use super::flatten_contraction::{absorb, is_absorbable, moved};
use super::product::{collect_products, in_place};
use super::rewrite::{multiply, scalar_of};
use super::{Access, Graph, NodeId, Op, Term};
use crate::expr::AxisId;
use std::collections::BTreeSet;

/// The longest sum that is multiplied out.
const MOST_TERMS: usize = 8;

/// The places where a contraction reads a sum that nothing else reads: the contraction, its term, the operand.
pub fn distributable(graph: &Graph) -> Vec<(NodeId, usize, usize)> {
    let uses = graph.uses();
    let mut places = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let Op::Contract(terms) = &node.op else { continue };
        for (t, term) in terms.iter().enumerate() {
            for (o, operand) in term.operands.iter().enumerate() {
                if operand.node != id
                    && is_absorbable(graph, operand.node, node, &uses)
                    && summands(graph, operand.node)
                        .is_some_and(|list| (2..=MOST_TERMS).contains(&list.len()))
                {
                    places.push((id, t, o));
                }
            }
        }
    }
    places
}

/// The terms whose sum a node is; their axes may be fewer than the node's.
fn summands(graph: &Graph, id: NodeId) -> Option<Vec<Term>> {
    let node = graph.node(id);
    match &node.op {
        Op::Contract(terms) => Some(terms.clone()),
        Op::Map(value) => {
            let mut products = Vec::new();
            collect_products(value, scalar_of(1, node.dtype), node.dtype, &mut products)?;
            products
                .into_iter()
                .map(|product| {
                    let operands: Option<Vec<Access>> = product
                        .factors
                        .iter()
                        .map(|factor| {
                            in_place(graph, factor).filter(|a| graph.node(a.node).dtype == node.dtype)
                        })
                        .collect();
                    Some(Term { scale: product.scale, sum: Vec::new(), operands: operands? })
                })
                .collect()
        }
        _ => None,
    }
}

/// The graph with the sum at a place of [`distributable`] multiplied out. `None` where a product would lack an axis of
/// the value.
pub fn distribute(graph: &Graph, place: (NodeId, usize, usize)) -> Option<Graph> {
    let mut graph = graph.clone();
    let (id, t, o) = place;
    let node = graph.node(id).clone();
    let Op::Contract(terms) = &node.op else { return None };
    let term = &terms[t];
    let operand = term.operands[o].clone();
    let scan = graph.scan_axis(&node);
    let wanted: BTreeSet<AxisId> = node.axes().into_iter().filter(|&axis| Some(axis) != scan).collect();
    let mut products = Vec::new();
    for inner in summands(&graph, operand.node)? {
        let (scale, sum, operands) = moved(&mut graph, &operand, &inner)?;
        let mut all = term.operands.clone();
        all.splice(o..=o, operands);
        if all.is_empty() {
            return None;
        }
        let used: BTreeSet<AxisId> = all.iter().flat_map(Access::axes).collect();
        if !wanted.is_subset(&used) {
            return None;
        }
        let mut scale = multiply(term.scale, scale, node.dtype)?;
        let mut kept = Vec::new();
        for &axis in term.sum.iter().chain(&sum) {
            if used.contains(&axis) {
                kept.push(axis);
            } else {
                let extent = i64::try_from(graph.axes[axis].extent).ok()?;
                scale = multiply(scale, scalar_of(extent, node.dtype), node.dtype)?;
            }
        }
        products.push(Term { scale, sum: kept, operands: all });
    }
    if let Op::Contract(terms) = &mut graph.node_mut(id).op {
        terms.splice(t..=t, products);
    }
    graph.remove(operand.node);
    let uses = graph.uses();
    while absorb(&mut graph, id, &uses) {}
    graph.link();
    Some(graph)
}

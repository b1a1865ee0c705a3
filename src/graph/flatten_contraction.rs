//! Makes one contraction of several, so that one order is found for all their operands.
//!
//! ```text
//! n3[i,k] = sum[j] n0[i,j] * n1[j,k]      =>
//! n4[i,l] = sum[k] n3[i,k] * n2[k,l]          n4[i,l] = sum[j,k] n0[i,j] * n1[j,k] * n2[k,l]
//! ```
//!
//! What goes in is a product, summed or not, that nothing else reads and that has the reader's dtype, so that no
//! rounding to a narrower type is lost. A formula that multiplies or adds contractions becomes one contraction with a
//! term for each. Statements under `@order(keep)` stay apart. Takes time linear in the text for each level.

use super::inline::axis_affines;
use super::product::{Product, collect_products, in_place};
use super::rewrite::{multiply, scalar_of, substitute_affine};
use super::{Access, Graph, Node, NodeId, Op, Term, Unit};
use crate::expr::{Affine, AxisId, Expr, Outside, Read};
use einc_runtime::DType;
use std::collections::{BTreeMap, BTreeSet};

/// Makes one contraction of several, so that one order is found for all their operands.
pub fn flatten_contraction(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    for unit in units {
        let nodes = match unit {
            Unit::Node(id) => vec![id],
            Unit::Scan(_, nodes) => nodes,
        };
        for id in nodes {
            let uses = graph.uses();
            gather_terms(&mut graph, id, &uses);
            let uses = graph.uses();
            while absorb(&mut graph, id, &uses) {}
        }
    }
    graph.link();
    graph
}

/// Whether a node may be computed as a part of its only reader.
pub(super) fn is_absorbable(
    graph: &Graph,
    id: NodeId,
    reader: &Node,
    uses: &BTreeMap<NodeId, usize>,
) -> bool {
    let node = graph.node(id);
    let history = graph.scan_axis(node).is_some_and(|axis| node.axes().contains(&axis));
    uses.get(&id) == Some(&1)
        && !graph.outputs.iter().any(|(_, output)| *output == id)
        && node.scan == reader.scan
        && !history
        && !node.keep_order
        && !reader.keep_order
        && node.dtype == reader.dtype
}

/// Makes a contraction of a formula that multiplies and adds contractions.
fn gather_terms(graph: &mut Graph, id: NodeId, uses: &BTreeMap<NodeId, usize>) {
    let node = graph.node(id).clone();
    let Op::Map(value) = &node.op else { return };
    let dtype = node.dtype;
    let mut products = Vec::new();
    if dtype == DType::Bool || collect_products(value, scalar_of(1, dtype), dtype, &mut products).is_none() {
        return;
    }
    let mut terms = Vec::new();
    let mut rest = Vec::new();
    for product in products {
        match contracting_term(graph, &node, &product, uses) {
            Some(term) => terms.push(term),
            None => rest.push(product),
        }
    }
    if rest.is_empty() {
        graph.node_mut(id).op = Op::Contract(terms);
    } else if terms.len() > 1 {
        let scan = graph.scan_axis(&node);
        let axes: Vec<AxisId> = node.axes().into_iter().filter(|&axis| Some(axis) != scan).collect();
        let sum = graph.add(Node {
            name: format!("{}.sum", node.name),
            dtype,
            shape: axes.iter().map(|&axis| graph.axes[axis].extent).collect(),
            dims: axes.iter().map(|&axis| vec![axis]).collect(),
            op: Op::Contract(terms),
            scan: node.scan,
            keep_order: false,
            place: node.place,
        });
        let indices = axes.into_iter().map(Expr::Index).collect();
        let read = Read { source: sum, dtype, indices, outside: Outside::Never, place: node.place };
        let mut parts = vec![Expr::Read(read)];
        parts.extend(rest.into_iter().map(|product| product.expr(dtype)));
        graph.node_mut(id).op = Op::Map(Expr::Sum(parts));
        graph.link();
        let uses = graph.uses();
        while absorb(graph, sum, &uses) {}
    }
}

/// The term that a product is, if one of its factors is a contraction that nothing else reads.
fn contracting_term(
    graph: &Graph,
    node: &Node,
    product: &Product,
    uses: &BTreeMap<NodeId, usize>,
) -> Option<Term> {
    let term = plain_term(graph, node, product)?;
    term.operands
        .iter()
        .any(|operand| {
            matches!(graph.node(operand.node).op, Op::Contract(_))
                && is_absorbable(graph, operand.node, node, uses)
        })
        .then_some(term)
}

/// The term of a product of reads in place that has all axes of a node.
fn plain_term(graph: &Graph, node: &Node, product: &Product) -> Option<Term> {
    let operands: Option<Vec<Access>> = product
        .factors
        .iter()
        .map(|factor| in_place(graph, factor).filter(|a| has_dtype(graph, a, node)))
        .collect();
    let operands = operands.filter(|operands| !operands.is_empty())?;
    let used: BTreeSet<AxisId> = operands.iter().flat_map(Access::axes).collect();
    let scan = graph.scan_axis(node);
    let covers = node.axes().iter().all(|axis| Some(*axis) == scan || used.contains(axis));
    covers.then_some(Term { scale: product.scale, sum: Vec::new(), operands })
}

fn has_dtype(graph: &Graph, access: &Access, node: &Node) -> bool {
    graph.node(access.node).dtype == node.dtype
}

/// Puts one product that an operand of a contraction is in the operand's place; whether there was one.
pub(super) fn absorb(graph: &mut Graph, id: NodeId, uses: &BTreeMap<NodeId, usize>) -> bool {
    let node = graph.node(id).clone();
    let Op::Contract(terms) = &node.op else { return false };
    for (t, term) in terms.iter().enumerate() {
        for (o, operand) in term.operands.iter().enumerate() {
            if operand.node == id || !is_absorbable(graph, operand.node, &node, uses) {
                continue;
            }
            let Some(inner) = product_of(graph, operand.node) else { continue };
            let operand = operand.clone();
            let mut term = term.clone();
            let dtype = node.dtype;
            let Some((scale, sum, operands)) = moved(graph, &operand, &inner) else { continue };
            let Some(scale) = multiply(term.scale, scale, dtype) else { continue };
            term.scale = scale;
            term.sum.extend(sum);
            term.operands.splice(o..=o, operands);
            if let Op::Contract(terms) = &mut graph.node_mut(id).op {
                terms[t] = term;
            }
            // Nothing reads it any more, and what it reads must not be counted twice.
            graph.remove(operand.node);
            return true;
        }
    }
    false
}

/// The product that a node is, if it is one.
fn product_of(graph: &Graph, id: NodeId) -> Option<Term> {
    let node = graph.node(id);
    match &node.op {
        Op::Contract(terms) if terms.len() == 1 => Some(terms[0].clone()),
        Op::Map(value) => {
            let mut products = Vec::new();
            collect_products(value, scalar_of(1, node.dtype), node.dtype, &mut products)?;
            match &products[..] {
                [product] if product.factors.len() > 1 => plain_term(graph, node, product),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A term at the indices where its node is read, with axes of its own. `None` where the read is through a window,
/// which no order could undo, and where an axis of the read would be lost.
pub(super) fn moved(
    graph: &mut Graph,
    operand: &Access,
    inner: &Term,
) -> Option<(einc_runtime::Scalar, Vec<AxisId>, Vec<Access>)> {
    let mut by: BTreeMap<AxisId, Affine> = axis_affines(graph, graph.node(operand.node), &operand.indices)?;
    let plain = |index: &Affine| index.axis().is_some() || index.terms.is_empty();
    if !by.values().all(plain) {
        return None;
    }
    let mut sum = Vec::new();
    for &axis in &inner.sum {
        let fresh = graph.fresh_axis(axis);
        by.insert(axis, Affine { terms: vec![(fresh, 1)], constant: 0 });
        sum.push(fresh);
    }
    let mut operands = Vec::new();
    for access in &inner.operands {
        let indices: Option<Vec<Affine>> =
            access.indices.iter().map(|index| substitute_affine(index, &by)).collect();
        operands.push(Access { node: access.node, indices: indices? });
    }
    // An axis of extent 1 may read a dim without axes; it must not be lost.
    let left: BTreeSet<AxisId> = operands.iter().flat_map(Access::axes).collect();
    operand.axes().is_subset(&left).then_some((inner.scale, sum, operands))
}

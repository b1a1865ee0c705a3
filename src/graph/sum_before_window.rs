//! Sums over an index of an operand before its windows are opened, one at a time, for a planner that tells whether it
//! pays.
//!
//! ```text
//! n4[o,y,x] = sum[a,i,u,v] n0[i,y + u,x + v] * n1[i,a] * n2[o,a,u,v]      =>
//!     n5[a,p,q] = sum[i] n0[i,p,q] * n1[i,a]
//!     n4[o,y,x] = sum[a,u,v] n5[a,y + u,x + v] * n2[o,a,u,v]
//! ```
//!
//! Why that is right: of all factors only `X[i, p]` and `U[i, a]` have the axis `i`, so the sum over it can be drawn in
//! front of the others, `sum_i X[i, w(y)] U[i, a] = M[a, w(y)]` with `M[a, p] = sum_i X[i, p] U[i, a]` for every `p` that
//! the tensor has, hence for every `p = w(y)` that is read. In the contraction itself the windows make the operand as
//! large as all positions times all offsets; `M` has but one value for each position.

use super::{Access, Graph, Node, NodeId, Op, Term};
use crate::expr::{Affine, Axis, AxisId};
use std::collections::{BTreeMap, BTreeSet};

/// A term of a contraction, its operand with windows, and the operand that it is summed with.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    reader: NodeId,
    term: usize,
    window: usize,
    partner: usize,
}

/// Where an operand with windows shares summed axes with just one other operand.
pub fn open_windows(graph: &Graph) -> Vec<Window> {
    let mut found = Vec::new();
    for (reader, number, term) in graph.reorderable_terms() {
        // Two operands are one sum already.
        let many = term.operands.len() > 2;
        let windows = term
            .operands
            .iter()
            .enumerate()
            .filter(|(_, operand)| many && operand.indices.iter().any(|index| index.terms.len() > 1));
        for (window, _) in windows {
            for partner in (0..term.operands.len()).filter(|&partner| partner != window) {
                if shared(term, window, partner).is_some() {
                    found.push(Window { reader, term: number, window, partner });
                }
            }
        }
    }
    found
}

/// The axes that two operands share and are summed over, if no other operand has them, each is a dim of both, and
/// the operands share nothing else.
fn shared(term: &Term, window: usize, partner: usize) -> Option<BTreeSet<AxisId>> {
    let (own, other) = (&term.operands[window], &term.operands[partner]);
    let common: BTreeSet<AxisId> = own.axes().intersection(&other.axes()).copied().collect();
    let rest: BTreeSet<AxisId> = term
        .operands
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != window && *at != partner)
        .flat_map(|(_, operand)| operand.axes())
        .collect();
    let alone = |access: &Access, axis: AxisId| {
        let mut uses = access.indices.iter().filter(|index| index.terms.iter().any(|term| term.0 == axis));
        uses.next().is_some_and(|index| index.axis() == Some(axis)) && uses.next().is_none()
    };
    let fits = !common.is_empty()
        && other.indices.iter().all(|index| index.terms.is_empty() || index.axis().is_some())
        && common.iter().all(|&axis| {
            term.sum.contains(&axis) && !rest.contains(&axis) && alone(own, axis) && alone(other, axis)
        });
    fits.then_some(common)
}

/// The graph in which one operand with windows is summed before they are opened.
pub fn sum_before_window(graph: &Graph, place: &Window) -> Option<Graph> {
    let mut graph = graph.clone();
    let node = graph.node(place.reader).clone();
    let Op::Contract(terms) = &node.op else { return None };
    let term = terms.get(place.term)?.clone();
    let summed = shared(&term, place.window, place.partner)?;
    let (own, other) = (term.operands[place.window].clone(), term.operands[place.partner].clone());
    let free: Vec<AxisId> = other.axes().into_iter().filter(|axis| !summed.contains(axis)).collect();
    let shape = graph.node(own.node).shape.clone();
    // The new value has an axis for each dim that stays, and in the place of the first that goes the partner's own.
    let mut axes = Vec::new();
    let mut inner = Vec::new();
    let mut outer = Vec::new();
    let mut renamed: BTreeMap<AxisId, AxisId> = BTreeMap::new();
    let mut placed = false;
    for (index, &extent) in own.indices.iter().zip(&shape) {
        if let Some(axis) = index.axis().filter(|axis| summed.contains(axis)) {
            let fresh = graph.fresh_axis(axis);
            renamed.insert(axis, fresh);
            inner.push(Affine { terms: vec![(fresh, 1)], constant: 0 });
            if !std::mem::replace(&mut placed, true) {
                for &axis in &free {
                    let fresh = graph.fresh_axis(axis);
                    renamed.insert(axis, fresh);
                    axes.push(fresh);
                    outer.push(Affine { terms: vec![(axis, 1)], constant: 0 });
                }
            }
            continue;
        }
        let name = index.terms.first().map_or("p".to_string(), |term| graph.axes[term.0].name.clone());
        let fresh = graph.axes.push(Axis { name, extent });
        axes.push(fresh);
        inner.push(Affine { terms: vec![(fresh, 1)], constant: 0 });
        outer.push(index.clone());
    }
    let partner = other
        .indices
        .iter()
        .map(|index| match index.axis() {
            Some(axis) => Affine { terms: vec![(renamed[&axis], 1)], constant: 0 },
            None => index.clone(),
        })
        .collect();
    let sum = summed.iter().map(|axis| renamed[axis]).collect();
    let one = super::rewrite::scalar_of(1, node.dtype);
    let operands =
        vec![Access { node: own.node, indices: inner }, Access { node: other.node, indices: partner }];
    let before = graph.add(Node {
        name: format!("{}.before", node.name),
        dtype: node.dtype,
        shape: axes.iter().map(|&axis| graph.axes[axis].extent).collect(),
        dims: axes.iter().map(|&axis| vec![axis]).collect(),
        op: Op::Contract(vec![Term { scale: one, sum, operands }]),
        scan: None,
        keep_order: false,
        place: node.place,
    });
    let Op::Contract(terms) = &mut graph.node_mut(place.reader).op else { return None };
    let term = &mut terms[place.term];
    term.operands[place.window] = Access { node: before, indices: outer };
    term.operands.remove(place.partner);
    term.sum.retain(|axis| !summed.contains(axis));
    graph.link();
    Some(graph)
}

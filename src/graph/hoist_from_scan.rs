//! Takes out of scans what does not depend on earlier steps.
//!
//! ```text
//! scan[t] {                                        n5[t,n] = sum[k] n0[n,k] * n1[t,k]
//!   n5[n] = sum[k] n0[n,k] * n1[t,k]         =>    scan[t] {
//!   n6[t,n] = tanh(n5[n] + n6[t - 1,n else 0])       n6[t,n] = tanh(n5[t,n] + n6[t - 1,n else 0])
//! }                                                }
//! ```
//!
//! One product over all steps is a matrix product where each step has only a vector. It is done for what has all steps
//! in memory anyway, for what is the same at each step, and for contractions whose values are not much larger than
//! their operands. Takes time linear in the text for each scan.

use super::rewrite::map_parts;
use super::{Graph, NodeId, Op, ScanId, Unit};
use crate::expr::{Affine, AxisId, Expr, Read};

/// How many times the elements of its operands the values of all steps may take.
const GROWTH: u64 = 4;

/// Takes out of scans what does not depend on earlier steps.
pub fn hoist_from_scan(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    for unit in units {
        let Unit::Scan(scan, nodes) = unit else { continue };
        for id in nodes {
            if may_leave(&graph, scan, id) {
                leave(&mut graph, scan, id);
                graph.link();
            }
        }
    }
    graph
}

fn may_leave(graph: &Graph, scan: ScanId, id: NodeId) -> bool {
    let node = graph.node(id);
    let inside = |other: NodeId| graph.node(other).scan == Some(scan);
    if node.sources().into_iter().any(inside) {
        return false;
    }
    let axis = graph.scans[scan].axis;
    if node.axes().contains(&axis) {
        return true;
    }
    // A value without history is the last step's for whoever reads it outside.
    let read_inside = graph.readers(id).into_iter().all(inside);
    let output = graph.outputs.iter().any(|(_, output)| *output == id);
    if !read_inside || output {
        return false;
    }
    if !mentions(&node.op, axis) {
        return true;
    }
    let operands: u64 =
        node.sources().into_iter().fold(0, |sum, source| sum.saturating_add(graph.node(source).elems()));
    let steps = graph.axes[axis].extent;
    matches!(&node.op, Op::Contract(_))
        && node.elems().saturating_mul(steps) <= operands.saturating_mul(GROWTH)
}

/// Whether an operation depends on an axis.
fn mentions(op: &Op, axis: AxisId) -> bool {
    match op {
        Op::Input(_) | Op::Constant(_) => false,
        Op::Contract(terms) => {
            terms.iter().flat_map(|term| &term.operands).any(|operand| operand.axes().contains(&axis))
        }
        Op::Map(value) => value.free_axes().contains(&axis),
        Op::Along(along) => along.body.free_axes().contains(&axis),
        Op::Scatter(_) => true,
    }
}

fn leave(graph: &mut Graph, scan: ScanId, id: NodeId) {
    let axis = graph.scans[scan].axis;
    let extent = graph.axes[axis].extent;
    let node = graph.node(id);
    let history = node.axes().contains(&axis);
    let steps = !history && mentions(&node.op, axis);
    let readers = graph.readers(id);
    let node = graph.node_mut(id);
    node.scan = None;
    if !steps {
        return;
    }
    node.dims.insert(0, vec![axis]);
    node.shape.insert(0, extent);
    for reader in readers {
        let mut op = graph.node(reader).op.clone();
        match &mut op {
            Op::Contract(terms) => {
                for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                    if operand.node == id {
                        operand.indices.insert(0, Affine { terms: vec![(axis, 1)], constant: 0 });
                    }
                }
            }
            Op::Map(value) => *value = at_step(value, id, axis),
            Op::Along(along) => along.body = at_step(&along.body, id, axis),
            Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => {}
        }
        graph.node_mut(reader).op = op;
    }
}

/// The expression with reads of a node at the scan's own step.
fn at_step(expr: &Expr<NodeId>, id: NodeId, axis: AxisId) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| at_step(part, id, axis));
    match expr {
        Expr::Read(Read { source, dtype, mut indices, outside, place }) if source == id => {
            indices.insert(0, Expr::Index(axis));
            Expr::Read(Read { source, dtype, indices, outside, place })
        }
        other => other,
    }
}

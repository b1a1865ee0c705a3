//! Drops values that no output depends on.
//!
//! ```text
//! n2[j,i] = n0[i,j]                       =>
//! n3[i,k] = sum[j] n0[i,j] * n1[j,k]          n3[i,k] = sum[j] n0[i,j] * n1[j,k]
//! ```
//!
//! Inputs stay, they are the signature. Takes time linear in nodes plus edges.

use super::{Graph, NodeId, Op};
use std::collections::BTreeSet;

/// Drops values that no output depends on.
pub fn drop_unused(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let mut used: BTreeSet<NodeId> = BTreeSet::new();
    let mut todo: Vec<NodeId> = graph.outputs.iter().map(|(_, node)| *node).collect();
    while let Some(id) = todo.pop() {
        if used.insert(id) {
            todo.extend(graph.node(id).sources());
        }
    }
    let inputs: BTreeSet<NodeId> =
        graph.ids().into_iter().filter(|&id| matches!(graph.node(id).op, Op::Input(_))).collect();
    graph.retain(|id| used.contains(&id) || inputs.contains(&id));
    graph
}

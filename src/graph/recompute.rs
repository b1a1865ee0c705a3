//! Computes a value once more for one of its readers, so that it need not be kept until then.
//!
//! ```text
//! n1[i] = exp(n0[i])                     n1[i] = exp(n0[i])
//! n2 = sum[i] n1[i]                      n2 = sum[i] n1[i]
//! n3 = ..                         =>     n3 = ..
//! n4[i] = n1[i] / (n2 + n3)              n5[i] = exp(n0[i])
//!                                        n4[i] = n5[i] / (n2 + n3)
//! ```
//!
//! It is no pass of its own: the planner asks for it where a plan does not fit its memory.

use super::{Graph, NodeId};
use std::collections::BTreeMap;

/// The graph in which one reader of a value has its own copy. `None` where that cannot be, or nobody else reads it.
pub fn recompute(graph: &Graph, id: NodeId, reader: NodeId) -> Option<Graph> {
    let node = graph.node(id);
    let readers = graph.readers(id);
    let apart = node.scan.is_none() && graph.node(reader).scan.is_none() && !node.is_source();
    if !apart || readers.len() < 2 || !readers.contains(&reader) {
        return None;
    }
    let mut graph = graph.clone();
    let copy = graph.add(graph.node(id).clone());
    let to: BTreeMap<NodeId, NodeId> = [(id, copy)].into();
    graph.node_mut(reader).rename_sources(&to);
    graph.link();
    graph.order().is_some().then_some(graph)
}

//! Finds the contractions that appeared inside formulas.
//!
//! ```text
//! n2[i,k] = sum[j](n0[i,j] * n1[j,k])     =>    n2[i,k] = sum[j] n0[i,j] * n1[j,k]
//! ```
//!
//! Such products come from one statement that multiplies and another that sums. Takes time linear in the text.

use super::rewrite::has_reduction;
use super::{Graph, Op};

/// Finds the contractions that appeared inside formulas.
pub fn find_contractions(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.ids() {
        let node = graph.node(id);
        if matches!(&node.op, Op::Map(value) if has_reduction(value)) {
            graph = graph.extract(id);
        }
    }
    graph.link();
    graph
}

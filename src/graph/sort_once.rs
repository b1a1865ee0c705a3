//! Takes sorted values from where their positions say they are, if these are computed too.
//!
//! ```text
//! n1[t,r] = argtopk[n -> r](n0[t,n])    =>    n1[t,r] = argtopk[n -> r](n0[t,n])
//! n2[t,r] = topk[n -> r](n0[t,n])             n2[t,r] = n0[t,n1[t,r]]
//! ```
//!
//! `topk` and `sort` give, by definition, the values at the positions that `argtopk` and `argsort` of the same values give, so
//! the results have the same bits. Values are the same if they are equal elements of one node. Nodes of scans are left
//! alone. Takes time quadratic in the nodes that sort.

use super::{Along, Graph, Node, NodeId, Op, Unit};
use crate::expr::{AlongOp, Expr, Outside, Read};
use einc_runtime::{DType, Scalar};

/// Sorts once for positions and values.
pub fn sort_once(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    let nodes: Vec<NodeId> = units
        .into_iter()
        .filter_map(|unit| match unit {
            Unit::Node(id) => Some(id),
            Unit::Scan(..) => None,
        })
        .collect();
    let found: Vec<(NodeId, Expr<NodeId>)> = nodes
        .iter()
        .filter_map(|&id| {
            let value = nodes
                .iter()
                .find_map(|&positions| taken(graph.node(id), (positions, graph.node(positions))))?;
            Some((id, value))
        })
        .collect();
    for (id, value) in found {
        graph.node_mut(id).op = Op::Map(value);
    }
    graph.link();
    graph
}

/// What a node sorts, if it is elements of another one along one axis: the read, and which of its indices is that axis.
fn sorted(node: &Node) -> Option<(&Along, &Read<NodeId>, usize)> {
    let Op::Along(along) = &node.op else { return None };
    let (Expr::Read(read), [axis]) = (&along.body, &along.axes[..]) else { return None };
    let place = read.indices.iter().position(|index| *index == Expr::Index(*axis))?;
    let are_plain = read.indices.iter().all(|index| matches!(index, Expr::Index(_)));
    let is_once = read.indices.iter().filter(|index| **index == Expr::Index(*axis)).count() == 1;
    (are_plain && is_once && read.outside == Outside::Never).then_some((along, read, place))
}

/// The values of a node that sorts, as elements at the positions that another node computes.
fn taken(values: &Node, (id, positions): (NodeId, &Node)) -> Option<Expr<NodeId>> {
    let (along, read, place) = sorted(values)?;
    let (by, other, other_place) = sorted(positions)?;
    let fits =
        matches!((along.op, by.op), (AlongOp::TopK, AlongOp::ArgTopK) | (AlongOp::Sort, AlongOp::ArgSort));
    if !fits || read.source != other.source || place != other_place || values.shape != positions.shape {
        return None;
    }
    // The dim that each index of the values goes to; the sorted one goes to that of its place.
    let dim_of = |node: &Node, along: &Along, index: &Expr<NodeId>| {
        let Expr::Index(axis) = index else { return None };
        let axis = if along.axes[..] == [*axis] { *along.out.first()? } else { *axis };
        node.dims.iter().position(|dim| dim[..] == [axis])
    };
    let alike = read.indices.iter().zip(&other.indices).all(|(index, twin)| {
        let dim = dim_of(values, along, index);
        dim.is_some() && dim == dim_of(positions, by, twin)
    });
    let indices = values.dims.iter().map(|dim| match dim[..] {
        [] => Some(Expr::Const(Scalar::Int(0), DType::I64)),
        [axis] => Some(Expr::Index(axis)),
        _ => None,
    });
    let at = Read {
        source: id,
        dtype: DType::I64,
        indices: indices.collect::<Option<_>>()?,
        outside: Outside::Never,
        place: read.place,
    };
    let mut value = read.clone();
    value.indices[place] = Expr::Read(at);
    value.outside = Outside::Trust;
    alike.then_some(Expr::Read(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sample::{Sample, along};

    #[test]
    fn values_are_taken_from_the_positions_of_the_same_values() {
        let mut s = Sample::new(DType::F32);
        let [t, n, r] = [("t", 3), ("n", 8), ("r", 2)].map(|(name, extent)| s.axis(name, extent));
        let x = s.input("x", &[3, 8]);
        let y = s.input("y", &[3, 8]);
        let top = s.define("top", &[t, r], along(AlongOp::ArgTopK, &[n], &[r], s.at(x, &[t, n])));
        let best = s.define("best", &[t, r], along(AlongOp::TopK, &[n], &[r], s.at(x, &[t, n])));
        let other = s.define("other", &[t, r], along(AlongOp::TopK, &[n], &[r], s.at(y, &[t, n])));
        for tensor in [top, best, other] {
            s.output(tensor);
        }
        let text = sort_once(&Graph::new(&s.program)).to_string();
        assert!(text.contains("= n0[t,n2[t,r]"), "{text}");
        assert_eq!(text.matches("= topk").count(), 1, "{text}");
    }
}

//! Reads through nodes that only rename, permute, slice or repeat another one.
//!
//! ```text
//! n2[j,i] = n0[i,j]                       =>
//! n3[j,k] = sum[i] n2[j,i] * n1[i,k]          n3[j,k] = sum[i] n0[i,j] * n1[i,k]
//! ```
//!
//! Nodes of scans stay. Takes time linear in the text.

use super::inline::{axis_affines, axis_values};
use super::product::in_place;
use super::rewrite::{affine_expr, map_parts, substitute, substitute_affine};
use super::{Access, Graph, NodeId, Op, Unit};
use crate::expr::{Affine, AxisId, Expr, Outside, Read};
use std::collections::{BTreeMap, BTreeSet};

/// Reads through nodes that only rename, permute, slice or repeat another one.
pub fn fold_copies(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    let mut copies: BTreeMap<NodeId, Access> = BTreeMap::new();
    let ids: Vec<NodeId> = units
        .into_iter()
        .flat_map(|unit| match unit {
            Unit::Node(id) => vec![id],
            Unit::Scan(_, nodes) => nodes,
        })
        .collect();
    for id in ids {
        // Sources come first, so what is found here is not a copy of a copy.
        let op = read_through(&graph, &copies, graph.node(id).op.clone());
        if graph.node(id).scan.is_none()
            && let Op::Map(value) = &op
            && let Some(access) = in_place(&graph, value)
        {
            copies.insert(id, access);
        }
        graph.node_mut(id).op = op;
    }
    let mut outputs = std::mem::take(&mut graph.outputs);
    for (_, output) in &mut outputs {
        // An output that is a whole other value is that value.
        if let Some(copy) = copies.get(output)
            && is_whole(graph.node(*output), copy)
            && graph.node(*output).shape == graph.node(copy.node).shape
        {
            *output = copy.node;
        }
    }
    graph.outputs = outputs;
    graph.link();
    graph
}

/// Whether an access is at the node's own axes, dim by dim.
fn is_whole(node: &super::Node, access: &Access) -> bool {
    node.dims.len() == access.indices.len()
        && node.dims.iter().zip(&access.indices).all(|(dim, index)| match dim[..] {
            [axis] => index.axis() == Some(axis),
            _ => false,
        })
}

fn read_through(graph: &Graph, copies: &BTreeMap<NodeId, Access>, mut op: Op) -> Op {
    let rewrite = |expr: &mut Expr<NodeId>| *expr = through(graph, copies, expr);
    match &mut op {
        Op::Input(_) | Op::Constant(_) => {}
        Op::Contract(terms) => {
            for term in terms {
                for number in 0..term.operands.len() {
                    let operand = &term.operands[number];
                    if let Some(copy) = copies.get(&operand.node)
                        && let Some(access) = compose(graph, operand, copy)
                    {
                        let before = std::mem::replace(&mut term.operands[number], access);
                        // A value that is repeated along an axis may be the only one that has it.
                        let left: BTreeSet<AxisId> = term.operands.iter().flat_map(Access::axes).collect();
                        if !before.axes().is_subset(&left) {
                            term.operands[number] = before;
                        }
                    }
                }
            }
        }
        Op::Map(value) => rewrite(value),
        Op::Along(along) => rewrite(&mut along.body),
        Op::Scatter(scatter) => {
            scatter.indices.iter_mut().for_each(rewrite);
            rewrite(&mut scatter.value);
        }
    }
    op
}

/// The access of what was copied.
fn compose(graph: &Graph, operand: &Access, copy: &Access) -> Option<Access> {
    let by = axis_affines(graph, graph.node(operand.node), &operand.indices)?;
    let indices: Option<Vec<Affine>> =
        copy.indices.iter().map(|index| substitute_affine(index, &by)).collect();
    Some(Access { node: copy.node, indices: indices? })
}

fn through(graph: &Graph, copies: &BTreeMap<NodeId, Access>, expr: &Expr<NodeId>) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| through(graph, copies, part));
    let Expr::Read(read) = &expr else { return expr };
    let Some(copy) = copies.get(&read.source) else { return expr };
    let node = graph.node(read.source);
    let indices: Vec<Expr<NodeId>> = match &read.outside {
        Outside::Never => {
            let by = axis_values(graph, node, &read.indices);
            copy.indices
                .iter()
                .map(|index| {
                    let index = substitute(&affine_expr(index), &by);
                    index.affine().map_or(index, |index| affine_expr(&index))
                })
                .collect()
        }
        // Outside means the same where every dim keeps its extent.
        _ => {
            let dims: Option<Vec<usize>> = copy
                .indices
                .iter()
                .zip(&graph.node(copy.node).shape)
                .map(|(index, &extent)| {
                    let axis = index.axis()?;
                    let dim = node.dims.iter().position(|dim| dim[..] == [axis])?;
                    (node.shape[dim] == extent).then_some(dim)
                })
                .collect();
            match dims {
                Some(dims) if dims.iter().copied().collect::<BTreeSet<_>>().len() == node.dims.len() => {
                    dims.into_iter().map(|dim| read.indices[dim].clone()).collect()
                }
                _ => return expr,
            }
        }
    };
    Expr::Read(Read { source: copy.node, indices, ..read.clone() })
}

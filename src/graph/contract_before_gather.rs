//! Contracts all rows of two tensors before tables pick pairs of them, one product at a time, for a planner that tells
//! whether it pays.
//!
//! ```text
//! n3[b,r] = sum[d](n0[b,n1[r],d checked] * n0[b,n2[r],d checked])      n1, n2 constants
//!     =>
//! n4[b,f,g] = sum[d] n0[b,f,d] * n0[b,g,d]
//! n3[b,r] = n4[b,n1[r],n2[r]]
//! ```
//!
//! Why that is right: the sum over `d` at `r` is that of the rows `f = T[r]` and `g = U[r]`, and `n4[b,f,g]` is this sum
//! for every `f` and `g` that the tensors have; what no table names is not read, so that its value has no effect. The
//! tables are known and lie inside, hence neither form can fail.

use super::rewrite::{map_parts, scalar_of};
use super::{Access, Graph, Node, NodeId, Op, Term};
use crate::expr::{Affine, Axis, AxisId, Expr, Outside, Read, Reduce, ReduceOp};
use einc_runtime::Scalar;
use std::collections::BTreeMap;

/// How many times as many pairs there may be as are picked.
const MOST: u64 = 4;

/// The nodes in which tables pick the rows of a product.
pub fn gathered_products(graph: &Graph) -> Vec<NodeId> {
    let has_any = |id: &NodeId| {
        let node = graph.node(*id);
        let Op::Map(value) = &node.op else { return false };
        node.scan.is_none() && !node.keep_order && first(value, &|sum| Picked::new(graph, sum)).is_some()
    };
    graph.ids().into_iter().filter(has_any).collect()
}

/// The graph in which the first such product of a node is contracted before its rows are picked.
pub fn contract_before_gather(graph: &Graph, id: NodeId) -> Option<Graph> {
    let node = graph.node(id).clone();
    let Op::Map(value) = &node.op else { return None };
    let (sum, picked) = first(value, &|sum| Picked::new(graph, sum).map(|picked| (sum.clone(), picked)))?;
    let mut graph = graph.clone();
    let fresh: BTreeMap<AxisId, AxisId> =
        picked.plain.iter().chain(&sum.axes).map(|&axis| (axis, graph.fresh_axis(axis))).collect();
    let rows: Vec<AxisId> = picked
        .tables
        .iter()
        .map(|(_, extent)| graph.axes.push(Axis { name: "row".to_string(), extent: *extent }))
        .collect();
    let axes: Vec<AxisId> = picked.plain.iter().map(|axis| fresh[axis]).chain(rows.iter().copied()).collect();
    let of_axis = |axis: AxisId| Affine { terms: vec![(axis, 1)], constant: 0 };
    let access = |read: &Read<NodeId>| {
        let indices = read.indices.iter().map(|index| match index {
            Expr::Index(axis) => of_axis(fresh[axis]),
            table => {
                of_axis(rows[picked.tables.iter().position(|known| known.0 == *table).expect("a table")])
            }
        });
        Access { node: read.source, indices: indices.collect() }
    };
    let operands: Vec<Access> = picked.factors.iter().map(access).collect();
    let dtype = sum.body.dtype();
    let all = graph.add(Node {
        name: format!("{}.all", node.name),
        dtype,
        shape: axes.iter().map(|&axis| graph.axes[axis].extent).collect(),
        dims: axes.iter().map(|&axis| vec![axis]).collect(),
        op: Op::Contract(vec![Term {
            scale: scalar_of(1, dtype),
            sum: sum.axes.iter().map(|axis| fresh[axis]).collect(),
            operands,
        }]),
        scan: None,
        keep_order: false,
        place: node.place,
    });
    let indices = picked.plain.iter().map(|&axis| Expr::Index(axis));
    let read = Expr::Read(Read {
        source: all,
        dtype,
        indices: indices.chain(picked.tables.into_iter().map(|table| table.0)).collect(),
        outside: Outside::Never,
        place: node.place,
    });
    graph.node_mut(id).op = Op::Map(replaced(value, &sum, &read));
    graph.link();
    Some(graph)
}

/// What is found first in the sums of an expression.
fn first<T>(expr: &Expr<NodeId>, find: &dyn Fn(&Reduce<NodeId>) -> Option<T>) -> Option<T> {
    let own = match expr {
        Expr::Reduce(reduce) => find(reduce),
        _ => None,
    };
    own.or_else(|| expr.parts().into_iter().find_map(|part| first(part, find)))
}

/// The expression with a value in place of a sum.
fn replaced(expr: &Expr<NodeId>, sum: &Reduce<NodeId>, by: &Expr<NodeId>) -> Expr<NodeId> {
    match expr {
        Expr::Reduce(reduce) if **reduce == *sum => by.clone(),
        _ => map_parts(expr, &mut |part| replaced(part, sum, by)),
    }
}

/// A sum of a product of two rows that tables pick.
struct Picked {
    factors: [Read<NodeId>; 2],
    /// The indices that pick, each once, and the extent of the dim.
    tables: Vec<(Expr<NodeId>, u64)>,
    /// The axes that are neither summed nor pick.
    plain: Vec<AxisId>,
}

impl Picked {
    fn new(graph: &Graph, sum: &Reduce<NodeId>) -> Option<Picked> {
        let (ReduceOp::Sum, Expr::Product(factors)) = (sum.op, &sum.body) else { return None };
        let [Expr::Read(a), Expr::Read(b)] = &factors[..] else { return None };
        if !a.dtype.is_float() && !a.dtype.is_complex() {
            return None;
        }
        let mut picked = Picked { factors: [a.clone(), b.clone()], tables: Vec::new(), plain: Vec::new() };
        let mut in_table: Vec<AxisId> = Vec::new();
        let mut alone = [0; 2];
        for (number, read) in [a, b].into_iter().enumerate() {
            if !matches!(read.outside, Outside::Never | Outside::Checked)
                || graph.node(read.source).scan.is_some()
            {
                return None;
            }
            for (index, &extent) in read.indices.iter().zip(&graph.node(read.source).shape) {
                match index {
                    Expr::Index(axis) if graph.axes[*axis].extent <= extent => {
                        if !sum.axes.contains(axis) && !picked.plain.contains(axis) {
                            picked.plain.push(*axis);
                        }
                    }
                    _ if lies_within(graph, index, extent) => {
                        in_table.extend(index.free_axes());
                        alone[number] += 1;
                        if picked.tables.iter().all(|(known, _)| known != index) {
                            picked.tables.push((index.clone(), extent));
                        }
                    }
                    _ => return None,
                }
            }
        }
        in_table.sort_unstable();
        in_table.dedup();
        let clash = |axis: &AxisId| sum.axes.contains(axis) || picked.plain.contains(axis);
        // Rows that only one of them has, on both sides: a product of matrices.
        let is_product = alone.iter().all(|&count| count > 0) && picked.tables.len() == alone[0] + alone[1];
        let every = picked.tables.iter().try_fold(1u64, |n, table| n.checked_mul(table.1))?;
        let pays = every <= MOST.saturating_mul(graph.points(&in_table));
        (is_product && pays && !in_table.iter().any(clash)).then_some(picked)
    }
}

/// Whether an index is an element of a table that is known, all of whose values lie within an extent.
fn lies_within(graph: &Graph, index: &Expr<NodeId>, extent: u64) -> bool {
    let Expr::Read(read) = index else { return false };
    let Op::Constant(table) = &graph.node(read.source).op else { return false };
    let inside =
        |value: Scalar| matches!(value, Scalar::Int(value) if (0..i128::from(extent)).contains(&value));
    read.outside == Outside::Never
        && read.indices.iter().all(|index| index.affine().is_some())
        && (0..table.elems()).all(|at| inside(table.get(at)))
}

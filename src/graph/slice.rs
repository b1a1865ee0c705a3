//! Computes a large value and what it feeds slice by slice, so that never more than one slice exists.
//!
//! ```text
//! n3[i,j] = sum[d] n0[i,d] * n1[j,d]               scan[i] {
//! n4[i,j] = softmax[j](n3[i,j])              =>      n3[j] = sum[d] n0[i,d] * n1[j,d]
//! n5[i,d] = sum[j] n4[i,j] * n2[j,d]                 n4[j] = softmax[j](n3[j])
//!                                                    n5[i,d] = sum[j] n4[j] * n2[j,d]
//!                                                  }
//! ```
//!
//! It is no pass of its own: the planner asks for it where a plan does not fit its memory.

use super::rewrite::{map_parts, substitute, substitute_affine};
use super::{Access, Graph, NodeId, Op, Scan};
use crate::expr::{Affine, AxisId, Expr, Outside, Read};
use std::collections::BTreeMap;

/// How a node takes part in slices.
#[derive(Clone, Copy)]
struct Part {
    /// Its axis that is sliced.
    axis: AxisId,
    /// The dim that the axis is.
    dim: usize,
    /// Whether only a slice of it exists; others are written slice by slice.
    inner: bool,
}

/// The graph in which a node exists only in slices along one of its axes. `None` where something needs more of it at
/// once.
pub fn slice(graph: &Graph, id: NodeId, axis: AxisId) -> Option<Graph> {
    let parts = collect(graph, id, axis)?;
    let mut graph = graph.clone();
    let step = graph.fresh_axis(axis);
    let place = graph.node(id).place;
    let scan = graph.scans.push(Scan { axis: step, reversed: false, place });
    for (&part_id, part) in &parts {
        let mut op = graph.node(part_id).op.clone();
        rename(&mut op, part.axis, step)?;
        for (&source, other) in parts.iter().filter(|(_, other)| other.inner) {
            drop_index(&mut op, source, other.dim);
        }
        let node = graph.node_mut(part_id);
        node.op = op;
        node.scan = Some(scan);
        if part.inner {
            node.dims.remove(part.dim);
            node.shape.remove(part.dim);
        } else {
            node.dims[part.dim] = vec![step];
        }
    }
    graph.link();
    graph.order().is_some().then_some(graph)
}

/// The nodes that are computed in slices together with one.
fn collect(graph: &Graph, id: NodeId, axis: AxisId) -> Option<BTreeMap<NodeId, Part>> {
    let large = graph.node(id).elems() / 4;
    let mut parts: BTreeMap<NodeId, Part> = BTreeMap::new();
    parts.insert(id, part(graph, id, axis, true)?);
    let mut todo = vec![id];
    while let Some(next) = todo.pop() {
        let own = parts[&next];
        if !own.inner {
            continue;
        }
        for reader in graph.readers(next) {
            let along = axis_read_at(graph, reader, next, own.dim)?;
            if let Some(known) = parts.get(&reader) {
                if known.axis != along {
                    return None;
                }
                continue;
            }
            let inner = graph.node(reader).elems() > large && !is_output(graph, reader);
            parts.insert(reader, part(graph, reader, along, inner)?);
            todo.push(reader);
        }
        // Large values that only these nodes read need not exist whole either.
        for source in graph.node(next).sources() {
            let node = graph.node(source);
            if parts.contains_key(&source) || node.is_source() || node.scan.is_some() || node.elems() <= large
            {
                continue;
            }
            let Some((dim, from)) = dim_read_by(graph, next, source, own.axis) else { continue };
            let all_inside = graph.readers(source).into_iter().all(|reader| {
                parts
                    .get(&reader)
                    .is_some_and(|part| axis_read_at(graph, reader, source, dim) == Some(part.axis))
            });
            if let Some(part) = part(graph, source, from, true).filter(|_| all_inside) {
                parts.insert(source, part);
                todo.push(source);
            }
        }
    }
    Some(parts)
}

fn is_output(graph: &Graph, id: NodeId) -> bool {
    graph.outputs.iter().any(|(_, output)| *output == id)
}

/// How a node can be sliced along one of its axes.
fn part(graph: &Graph, id: NodeId, axis: AxisId, inner: bool) -> Option<Part> {
    let node = graph.node(id);
    let dim = node.dims.iter().position(|dim| dim[..] == [axis])?;
    let fits = match &node.op {
        Op::Map(_) | Op::Contract(_) => true,
        Op::Along(along) => !along.axes.contains(&axis) && !along.out.contains(&axis),
        Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => false,
    };
    (fits && node.scan.is_none() && !(inner && is_output(graph, id))).then_some(Part { axis, dim, inner })
}

/// The one axis of a reader at which it reads a dim of another node, everywhere.
fn axis_read_at(graph: &Graph, reader: NodeId, source: NodeId, dim: usize) -> Option<AxisId> {
    let mut found: Vec<Option<AxisId>> = Vec::new();
    graph.node(reader).for_each_source(&mut |other, read, access| {
        if other == source {
            found.push(index_axis(read, access, dim));
        }
    });
    let first = found.first().copied().flatten()?;
    found.iter().all(|axis| *axis == Some(first)).then_some(first)
}

fn index_axis(read: Option<&Read<NodeId>>, access: Option<&Access>, dim: usize) -> Option<AxisId> {
    match (read, access) {
        (Some(read), _) if read.outside == Outside::Never => read.indices.get(dim)?.affine()?.axis(),
        (_, Some(access)) => access.indices.get(dim)?.axis(),
        _ => None,
    }
}

/// The dim of a source that a node reads at an axis, and the source's own axis there.
fn dim_read_by(graph: &Graph, reader: NodeId, source: NodeId, axis: AxisId) -> Option<(usize, AxisId)> {
    let dims = &graph.node(source).dims;
    (0..dims.len()).find_map(|dim| match dims[dim][..] {
        [own] if axis_read_at(graph, reader, source, dim) == Some(axis) => Some((dim, own)),
        _ => None,
    })
}

fn rename(op: &mut Op, from: AxisId, to: AxisId) -> Option<()> {
    let expr_by: BTreeMap<AxisId, Expr<NodeId>> = [(from, Expr::Index(to))].into();
    let affine_by: BTreeMap<AxisId, Affine> = [(from, Affine { terms: vec![(to, 1)], constant: 0 })].into();
    match op {
        Op::Map(value) => *value = substitute(value, &expr_by),
        Op::Along(along) => along.body = substitute(&along.body, &expr_by),
        Op::Contract(terms) => {
            for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                for index in &mut operand.indices {
                    *index = substitute_affine(index, &affine_by)?;
                }
            }
        }
        Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => return None,
    }
    Some(())
}

/// Leaves out one index wherever a node is read.
fn drop_index(op: &mut Op, source: NodeId, dim: usize) {
    match op {
        Op::Map(value) => *value = without_index(value, source, dim),
        Op::Along(along) => along.body = without_index(&along.body, source, dim),
        Op::Contract(terms) => {
            for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                if operand.node == source {
                    operand.indices.remove(dim);
                }
            }
        }
        Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => {}
    }
}

fn without_index(expr: &Expr<NodeId>, source: NodeId, dim: usize) -> Expr<NodeId> {
    let mut expr = map_parts(expr, &mut |part| without_index(part, source, dim));
    if let Expr::Read(read) = &mut expr
        && read.source == source
    {
        read.indices.remove(dim);
    }
    expr
}

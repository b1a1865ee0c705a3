//! Keeps only the last value of a large recurrence, where nothing needs its history.
//!
//! ```text
//! scan[t] {                                            scan[t] {
//!   n3[t,d] = n0[t,d] * n3[t - 1,d else 0] + 1    =>     n3[d] = n0[t,d] * select(t > 0, n3[d], 0) + 1
//! }                                                      n4[t] = sum[d] n1[d] * n3[d]
//! n4[u] = sum[d] n1[d] * n3[u,d]                       }
//! ```
//!
//! A value that reads the history step by step moves into the scan; a read of the last step reads what is left after
//! the scan. The recurrence must read its own last value at its own place and no other, so that one piece of memory
//! holds both. In a scan, a value without history that reads itself means its value after the step before. Takes time
//! linear in the text for each recurrence.

use super::rewrite::{map_parts, substitute, substitute_affine};
use super::{Access, Graph, NodeId, Op, ScanId};
use crate::expr::{Affine, AxisId, Binary, Expr, Outside, Read};
use std::collections::BTreeMap;

/// The smallest history, in bytes, that is worth forgetting: what a core's own caches hold.
const LARGE: u64 = 1 << 19;

/// Keeps only the last value of a large recurrence, where nothing needs its history.
pub fn keep_state(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.ids() {
        if graph.contains(id)
            && let Some(smaller) = without_history(&graph, id)
        {
            graph = smaller;
        }
    }
    graph
}

/// The graph in which a node keeps no history; `None` where something needs it.
fn without_history(graph: &Graph, id: NodeId) -> Option<Graph> {
    let node = graph.node(id);
    let scan = node.scan?;
    let Op::Map(_) = &node.op else { return None };
    let axis = graph.scans[scan].axis;
    let dim = node.dims.iter().position(|dim| dim[..] == [axis])?;
    let bytes = node.bytes();
    let plain = node.dims.iter().all(|dim| dim.len() == 1);
    if bytes < LARGE || !plain || graph.outputs.iter().any(|(_, output)| *output == id) {
        return None;
    }
    let mut graph = graph.clone();
    for reader in graph.readers(id) {
        let outside = graph.node(reader).scan != Some(scan);
        if outside && !reads_last(&graph, reader, id, scan, dim) {
            sink(&mut graph, reader, id, scan, dim)?;
        }
    }
    graph.link();
    for reader in graph.readers(id) {
        forget(&mut graph, reader, id, scan, dim)?;
    }
    let node = graph.node_mut(id);
    node.dims.remove(dim);
    node.shape.remove(dim);
    graph.link();
    graph.order()?;
    Some(graph)
}

/// The index of the last step.
fn last(graph: &Graph, scan: ScanId) -> Option<i64> {
    let scan = &graph.scans[scan];
    let extent = i64::try_from(graph.axes[scan.axis].extent).ok()?;
    Some(if scan.reversed { 0 } else { extent - 1 })
}

/// Whether a node reads another only at the last step of the scan.
fn reads_last(graph: &Graph, reader: NodeId, id: NodeId, scan: ScanId, dim: usize) -> bool {
    let mut only = true;
    graph.node(reader).for_each_source(&mut |source, read, access| {
        if source == id {
            let index = index_of(read, access, dim);
            only &= index
                .is_some_and(|index| index.terms.is_empty() && Some(index.constant) == last(graph, scan));
        }
    });
    only
}

fn index_of(read: Option<&Read<NodeId>>, access: Option<&Access>, dim: usize) -> Option<Affine> {
    match (read, access) {
        (Some(read), _) if read.outside == Outside::Never => read.indices.get(dim)?.affine(),
        (_, Some(access)) => access.indices.get(dim).cloned(),
        _ => None,
    }
}

/// Moves a node into the scan whose history it reads step by step.
fn sink(graph: &mut Graph, reader: NodeId, id: NodeId, scan: ScanId, dim: usize) -> Option<()> {
    let node = graph.node(reader);
    if node.scan.is_some() || matches!(node.op, Op::Scatter(_)) {
        return None;
    }
    // The reader's axis that runs along the history.
    let mut axes: Vec<Option<AxisId>> = Vec::new();
    node.for_each_source(&mut |source, read, access| {
        if source == id {
            axes.push(index_of(read, access, dim).and_then(|index| index.axis()));
        } else if graph.node(source).scan == Some(scan) {
            // Other values of the scan are not all there yet.
            axes.push(None);
        }
    });
    let from = axes.first().copied().flatten()?;
    let mut dims = node.dims.clone();
    let own = dims.iter_mut().find(|dim| dim[..] == [from])?;
    if axes.iter().any(|axis| *axis != Some(from)) || node.elems() > graph.node(id).elems() / 4 {
        return None;
    }
    let to = graph.scans[scan].axis;
    own[0] = to;
    let expr_by: BTreeMap<AxisId, Expr<NodeId>> = [(from, Expr::Index(to))].into();
    let affine_by: BTreeMap<AxisId, Affine> = [(from, Affine { terms: vec![(to, 1)], constant: 0 })].into();
    let mut op = node.op.clone();
    match &mut op {
        Op::Map(value) => *value = substitute(value, &expr_by),
        Op::Along(along) if !along.axes.contains(&from) && !along.out.contains(&from) => {
            along.body = substitute(&along.body, &expr_by);
        }
        Op::Contract(terms) => {
            for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                for index in &mut operand.indices {
                    *index = substitute_affine(index, &affine_by)?;
                }
            }
        }
        _ => return None,
    }
    let node = graph.node_mut(reader);
    node.op = op;
    node.dims = dims;
    node.scan = Some(scan);
    Some(())
}

/// Makes a reader read the state instead of the history.
fn forget(graph: &mut Graph, reader: NodeId, id: NodeId, scan: ScanId, dim: usize) -> Option<()> {
    let axis = graph.scans[scan].axis;
    let now = |index: &Affine| index.axis() == Some(axis);
    let at_end = |index: &Affine| index.terms.is_empty() && Some(index.constant) == last(graph, scan);
    let inside = graph.node(reader).scan == Some(scan);
    let there = |index: &Affine| if inside { now(index) } else { at_end(index) };
    let mut op = graph.node(reader).op.clone();
    let mut fine = true;
    match &mut op {
        Op::Contract(terms) => {
            for operand in terms.iter_mut().flat_map(|term| &mut term.operands) {
                if operand.node == id {
                    let index = operand.indices.remove(dim);
                    fine &= there(&index);
                }
            }
        }
        Op::Map(value) if reader == id => *value = own_reads(graph, value, id, scan, dim, &mut fine),
        Op::Map(value) => *value = other_reads(value, id, dim, &there, &mut fine),
        Op::Along(along) => along.body = other_reads(&along.body, id, dim, &there, &mut fine),
        Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => fine = false,
    }
    graph.node_mut(reader).op = op;
    fine.then_some(())
}

/// The expression with reads of the history's one possible step made reads of the state.
fn other_reads(
    expr: &Expr<NodeId>,
    id: NodeId,
    dim: usize,
    there: &dyn Fn(&Affine) -> bool,
    fine: &mut bool,
) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| other_reads(part, id, dim, there, fine));
    match expr {
        Expr::Read(mut read) if read.source == id => {
            let index = read.indices.remove(dim);
            *fine &= read.outside == Outside::Never && index.affine().is_some_and(|index| there(&index));
            Expr::Read(read)
        }
        other => other,
    }
}

/// The recurrence's own expression with reads of the step before made guarded reads of the state.
fn own_reads(
    graph: &Graph,
    expr: &Expr<NodeId>,
    id: NodeId,
    scan: ScanId,
    dim: usize,
    fine: &mut bool,
) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| own_reads(graph, part, id, scan, dim, fine));
    let Expr::Read(read) = &expr else { return expr };
    if read.source != id {
        return expr;
    }
    let Scanned { axis, reversed, extent } = scanned(graph, scan);
    let before = Affine { terms: vec![(axis, 1)], constant: if reversed { 1 } else { -1 } };
    let node = graph.node(id);
    let in_place = node.dims.iter().zip(&read.indices).enumerate().all(|(k, (own, index))| {
        let index = index.affine();
        if k == dim {
            index.as_ref() == Some(&before)
        } else {
            index.and_then(|i| i.axis()) == own.first().copied()
        }
    });
    let Outside::Else(start) = &read.outside else {
        *fine = false;
        return expr;
    };
    *fine &= in_place;
    let mut indices = read.indices.clone();
    indices.remove(dim);
    let state = Expr::Read(Read { indices, outside: Outside::Never, ..read.clone() });
    let condition = if reversed {
        Expr::Binary(Binary::Lt, Box::new(Expr::Index(axis)), Box::new(Expr::int(extent - 1)))
    } else {
        Expr::Binary(Binary::Gt, Box::new(Expr::Index(axis)), Box::new(Expr::int(0)))
    };
    Expr::Select(Box::new([condition, state, (**start).clone()]))
}

/// What a recurrence needs to know of its scan.
struct Scanned {
    axis: AxisId,
    reversed: bool,
    extent: i64,
}

fn scanned(graph: &Graph, scan: ScanId) -> Scanned {
    let scan = &graph.scans[scan];
    let extent = i64::try_from(graph.axes[scan.axis].extent).unwrap_or(i64::MAX);
    Scanned { axis: scan.axis, reversed: scan.reversed, extent }
}

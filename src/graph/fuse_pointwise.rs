//! Computes pointwise values where they are read, if that is no more work than a trip through memory.
//!
//! ```text
//! n2[i,j] = exp(n0[i,j])                  =>
//! n3[i] = max[j](n2[i,j])                     n3[i] = max[j](exp(n0[i,j]))
//! ```
//!
//! Operands of contractions stay values. Takes time linear in the text, which it can lengthen.

use super::inline::axis_values;
use super::rewrite::{freshen, has_reduction, map_parts, substitute, work};
use super::{Graph, NodeId, Op, Unit, When};
use crate::expr::{AxisId, Expr, Outside, Read};
use std::collections::BTreeSet;

/// What writing and reading an element costs, in multiply-adds.
const MEMORY: u64 = 12;

/// The longest formula, in multiply-adds at a point, that grows by fusion.
const LONGEST: u64 = 4096;

/// Computes pointwise values where they are read, if that is no more work than a trip through memory.
pub fn fuse_pointwise(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    let outputs: BTreeSet<NodeId> = graph.outputs.iter().map(|(_, node)| *node).collect();
    for unit in units {
        let nodes = match unit {
            Unit::Node(id) => vec![id],
            Unit::Scan(_, nodes) => nodes,
        };
        for id in nodes {
            if !outputs.contains(&id) {
                fuse(&mut graph, id);
            }
        }
    }
    graph.link();
    graph
}

/// Where a node is read.
struct Site {
    /// How often the read is evaluated.
    times: u64,
    /// Whether it is evaluated only under a condition.
    conditional: bool,
    /// Whether it is inside a reduction, or where none may be.
    no_reductions: bool,
    /// Whether it is at the reader's own step of the scan and never outside.
    plain: bool,
}

fn fuse(graph: &mut Graph, id: NodeId) {
    let Op::Map(value) = &graph.node(id).op else { return };
    let readers: Vec<NodeId> = graph.readers(id).into_iter().collect();
    if readers.is_empty() || readers.contains(&id) {
        return;
    }
    let mut sites = Vec::new();
    for &reader in &readers {
        if !collect_sites(graph, id, reader, &mut sites) {
            return;
        }
    }
    let each = work(graph, value);
    let checked = value.can_fail();
    let reduces = has_reduction(value);
    let fits = sites
        .iter()
        .all(|site| site.plain && !(checked && site.conditional) && !(reduces && site.no_reductions));
    let times = sites.iter().fold(0u64, |sum, site| sum.saturating_add(site.times));
    let inlined = times.saturating_mul(each);
    let apart = graph.node(id).elems().saturating_mul(each.saturating_add(MEMORY)).saturating_add(times);
    let long = !reduces && each > LONGEST;
    if !fits || inlined > apart || long {
        return;
    }
    let value = value.clone();
    for reader in readers {
        let mut op = graph.node(reader).op.clone();
        match &mut op {
            Op::Map(expr) => *expr = inlined_in(graph, id, &value, expr),
            Op::Along(along) => along.body = inlined_in(graph, id, &value, &along.body),
            Op::Scatter(scatter) => {
                for index in &mut scatter.indices {
                    *index = inlined_in(graph, id, &value, index);
                }
                scatter.value = inlined_in(graph, id, &value, &scatter.value);
            }
            Op::Input(_) | Op::Constant(_) | Op::Contract(_) => {}
        }
        graph.node_mut(reader).op = op;
    }
    graph.link();
}

/// Lists where a reader reads the node; `false` where it does so in a way that no formula can replace.
fn collect_sites(graph: &Graph, id: NodeId, reader: NodeId, sites: &mut Vec<Site>) -> bool {
    let (from, to) = (graph.node(id), graph.node(reader));
    if from.scan.is_some() && from.scan != to.scan {
        return false;
    }
    let mut axes: BTreeSet<AxisId> = to.axes().into_iter().collect();
    axes.extend(graph.scan_axis(to));
    let mut walk = Walk { graph, id, reader, sites };
    match &to.op {
        Op::Input(_) | Op::Constant(_) | Op::Contract(_) => return false,
        Op::Map(value) => walk.expr(value, graph.points(&axes), false, false),
        Op::Along(along) => {
            along.out.iter().for_each(|axis| {
                axes.remove(axis);
            });
            axes.extend(&along.axes);
            walk.expr(&along.body, graph.points(&axes), false, true);
        }
        Op::Scatter(scatter) => {
            if scatter.base == Some(id) {
                return false;
            }
            let times = graph.points(&scatter.axes);
            scatter
                .indices
                .iter()
                .chain([&scatter.value])
                .for_each(|expr| walk.expr(expr, times, false, true));
        }
    }
    true
}

struct Walk<'a> {
    graph: &'a Graph,
    id: NodeId,
    reader: NodeId,
    sites: &'a mut Vec<Site>,
}

impl Walk<'_> {
    fn expr(&mut self, expr: &Expr<NodeId>, times: u64, conditional: bool, no_reductions: bool) {
        match expr {
            Expr::Read(read) => {
                if read.source == self.id {
                    let now = self.graph.when(self.reader, self.id, Some(read), None) == When::Now;
                    let plain = read.outside == Outside::Never && now;
                    self.sites.push(Site { times, conditional, no_reductions, plain });
                }
                read.indices.iter().for_each(|index| self.expr(index, times, conditional, no_reductions));
                if let Outside::Else(value) = &read.outside {
                    self.expr(value, times, true, no_reductions);
                }
            }
            Expr::Select(parts) => {
                self.expr(&parts[0], times, conditional, no_reductions);
                self.expr(&parts[1], times, true, no_reductions);
                self.expr(&parts[2], times, true, no_reductions);
            }
            Expr::Reduce(reduce) => {
                let times = times.saturating_mul(self.graph.points(&reduce.axes));
                self.expr(&reduce.body, times, conditional, true);
            }
            _ => {
                expr.parts().into_iter().for_each(|part| self.expr(part, times, conditional, no_reductions));
            }
        }
    }
}

/// The expression with the node's formula in the place of its reads.
fn inlined_in(graph: &mut Graph, id: NodeId, value: &Expr<NodeId>, expr: &Expr<NodeId>) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| inlined_in(graph, id, value, part));
    match &expr {
        Expr::Read(Read { source, indices, .. }) if *source == id => {
            let fresh = freshen(graph, value);
            let by = axis_values(graph, graph.node(id), indices);
            tidy(&substitute(&fresh, &by))
        }
        _ => expr,
    }
}

/// The expression with nested sums and products flattened and affine indices in their shortest form.
fn tidy(expr: &Expr<NodeId>) -> Expr<NodeId> {
    match expr {
        Expr::Read(read) => {
            let index = |index: &Expr<NodeId>| {
                index.affine().map_or_else(|| tidy(index), |index| super::rewrite::affine_expr(&index))
            };
            let indices = read.indices.iter().map(index).collect();
            Expr::Read(Read { indices, ..read.clone() })
        }
        _ => map_parts(expr, &mut tidy),
    }
}

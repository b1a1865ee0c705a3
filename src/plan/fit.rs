//! Makes plans smaller until they fit their memory.

use super::lower::Lowering;
use super::order::Orders;
use super::{Plan, Settings, arena, in_place};
use crate::graph::{Graph, NodeId, slice};

/// How many values are computed in slices at most.
const ROUNDS: usize = 8;

/// How many of the largest values are tried in each round.
const CANDIDATES: usize = 4;

/// The plan of a graph, within so many elements of intermediates for each contraction if there is a limit.
fn lower(graph: &Graph, settings: &Settings, orders: &Orders<'_>, limit: Option<f64>) -> Plan {
    arena::assign(in_place::reuse(Lowering::new(graph, settings, orders, limit).run()))
}

/// The plan of a graph, if possible within so many bytes; the smallest that was found if not.
///
/// What does not fit at first is tried with smaller intermediates in its contractions, then with its largest values
/// computed slice by slice, along short axes first.
pub(super) fn plan(graph: &Graph, settings: &Settings, orders: &Orders<'_>, allowed: u64) -> Plan {
    let mut best = lower(graph, settings, orders, None);
    if best.memory() <= allowed {
        return best;
    }
    let mut graph = graph.clone();
    for _ in 0..ROUNDS {
        contract_within(&graph, settings, orders, allowed, &mut best);
        if best.memory() <= allowed {
            return best;
        }
        let Some((sliced, plan)) = slice_one(&graph, settings, orders, allowed, best.memory()) else { break };
        (graph, best) = (sliced, plan);
        if best.memory() <= allowed {
            return best;
        }
    }
    best
}

/// Tries contractions with less and less memory.
fn contract_within(graph: &Graph, settings: &Settings, orders: &Orders<'_>, allowed: u64, best: &mut Plan) {
    let widest = graph.ids().into_iter().map(|id| graph.node(id).dtype.bytes()).max().unwrap_or(8);
    let mut share = 1.0;
    while best.memory() > allowed && share > 0.1 {
        let Some(rest) = allowed.checked_sub(best.memory() - best.arena) else { return };
        let smaller = lower(graph, settings, orders, Some(share * rest as f64 / widest as f64));
        if smaller.memory() < best.memory() {
            *best = smaller;
        }
        share /= 2.0;
    }
}

/// The graph with one large value in slices, and its plan, if that needs less memory.
fn slice_one(
    graph: &Graph,
    settings: &Settings,
    orders: &Orders<'_>,
    allowed: u64,
    memory: u64,
) -> Option<(Graph, Plan)> {
    let mut large: Vec<NodeId> = graph
        .ids()
        .into_iter()
        .filter(|&id| !graph.node(id).is_source() && graph.node(id).scan.is_none())
        .filter(|&id| !graph.outputs.iter().any(|(_, output)| *output == id))
        .collect();
    large.sort_by_key(|&id| (std::cmp::Reverse(graph.node(id).elems()), id));
    let mut best: Option<(Graph, Plan)> = None;
    for id in large.into_iter().take(CANDIDATES) {
        let mut axes = graph.node(id).axes();
        axes.sort_by_key(|&axis| (graph.axes[axis].extent, axis));
        for axis in axes.into_iter().filter(|&axis| graph.axes[axis].extent > 1) {
            let Some(sliced) = slice(graph, id, axis) else { continue };
            let plan = lower(&sliced, settings, orders, None);
            let least = best.as_ref().map_or(memory, |(_, plan)| plan.memory());
            if plan.memory() < least {
                let fits = plan.memory() <= allowed;
                best = Some((sliced, plan));
                if fits {
                    return best;
                }
            }
        }
    }
    best
}

//! Makes plans smaller until they fit their memory, or where values that no cache holds need not exist whole.

use super::cost::{cost, far_time};
use super::lower::Lowering;
use super::order::Orders;
use super::spread::{PARTS, Room};
use super::{
    Plan, Settings, arena, band, batch_sum, blocks, expand, factors, in_place, real_parts, unwrap, wanted,
};
use crate::graph::{Graph, NodeId, recompute, slice};

/// How many values are computed in slices at most.
const ROUNDS: usize = 8;

/// How many of the largest values are tried in each round.
const CANDIDATES: usize = 4;

/// Values of so many bytes are in no cache.
const FAR: u64 = 64 << 20;

/// How many times the predicted seconds computing values again may take.
const MORE_SECONDS: f64 = 1.25;

/// What share of the time a plan in slices may take.
const WORTH: f64 = 0.8;

/// The plan of a graph, within so many elements of intermediates for each contraction if there is a limit.
fn lower(graph: &Graph, settings: &Settings, orders: &Orders<'_>, limit: Option<f64>, room: Room) -> Plan {
    let mut lowering = Lowering::new(graph, settings, orders, limit);
    lowering.room = room;
    let plan = wanted::choose(real_parts::contract_reals(lowering.run()));
    let plan = band::contract_bands(plan);
    let plan = expand::expand(unwrap::cut(in_place::reuse(plan)));
    let plan = batch_sum::add_one_by_one(factors::order(plan), batch_sum::FAR);
    let mut plan = arena::assign(blocks::block(plan, blocks::Limits::default()));
    // What more threads take has no say in what the plan is: its results do not depend on their number.
    plan.run_on(1, u64::MAX);
    plan
}

/// The plan of a graph, if possible within so many bytes; the smallest that was found if not.
///
/// What does not fit at first is tried with large values computed again where they are read late, if that is little
/// work; then with smaller intermediates in its contractions, and with its largest values computed slice by slice, along
/// short axes first.
pub(super) fn plan(graph: &Graph, settings: &Settings, orders: &Orders<'_>, allowed: u64) -> Plan {
    let mut best = lower(graph, settings, orders, None, Room::default());
    if best.memory() > allowed {
        best = lower(graph, settings, orders, None, Room::NONE);
        if best.memory() <= allowed {
            best = at_once(graph, settings, orders, allowed, (best, None));
        }
    }
    if best.memory() <= allowed {
        return near(graph, settings, orders, allowed, best);
    }
    if let Some(plan) = recomputed(graph, settings, orders, allowed, &best) {
        return plan;
    }
    let mut limit = None;
    let memory = |plan: &Plan| plan.memory() as f64;
    let mut graph = graph.clone();
    for _ in 0..ROUNDS {
        contract_within(&graph, settings, orders, allowed, (&mut best, &mut limit));
        if best.memory() <= allowed {
            break;
        }
        let bounds = (allowed as f64, best.memory() as f64);
        let Some((sliced, plan)) = slice_one(&graph, settings, orders, &memory, bounds, Room::NONE) else {
            break;
        };
        (graph, best, limit) = (sliced, plan, None);
        if best.memory() <= allowed {
            break;
        }
    }
    at_once(&graph, settings, orders, allowed, (best, limit))
}

/// A plan that fits because it computes large values again for their last readers, where that is little work.
fn recomputed(
    graph: &Graph,
    settings: &Settings,
    orders: &Orders<'_>,
    allowed: u64,
    whole: &Plan,
) -> Option<Plan> {
    let most = MORE_SECONDS * cost(whole, &settings.rates).seconds;
    let (mut graph, mut memory) = (graph.clone(), whole.memory());
    for _ in 0..ROUNDS {
        let mut large: Vec<NodeId> =
            intermediates(&graph).into_iter().filter(|&id| graph.readers(id).len() > 1).collect();
        large.sort_by_key(|&id| (std::cmp::Reverse(graph.node(id).elems()), id));
        let pairs = large.iter().take(CANDIDATES).filter_map(|&id| Some((id, *graph.readers(id).last()?)));
        let smaller = pairs
            .filter_map(|(id, reader)| recompute(&graph, id, reader))
            .map(|graph| (lower(&graph, settings, orders, None, Room::NONE), graph))
            .filter(|(plan, _)| plan.memory() < memory && cost(plan, &settings.rates).seconds <= most)
            .min_by_key(|(plan, _)| plan.memory());
        let (plan, next) = smaller?;
        if plan.memory() <= allowed {
            return Some(plan);
        }
        (graph, memory) = (next, plan.memory());
    }
    None
}

/// The plan with as many slices at once as there is memory for.
fn at_once(
    graph: &Graph,
    settings: &Settings,
    orders: &Orders<'_>,
    allowed: u64,
    (best, limit): (Plan, Option<f64>),
) -> Plan {
    let rest = allowed.saturating_sub(best.memory()) as f64;
    let sizes = std::iter::successors(Some(PARTS), |parts| Some(parts / 2)).take_while(|&parts| parts > 1);
    sizes
        .map(|parts| lower(graph, settings, orders, limit, Room { parts, bytes: rest }))
        .find(|plan| plan.memory() <= allowed)
        .unwrap_or(best)
}

/// Tries contractions with less and less memory.
fn contract_within(
    graph: &Graph,
    settings: &Settings,
    orders: &Orders<'_>,
    allowed: u64,
    (best, limit): (&mut Plan, &mut Option<f64>),
) {
    let widest = graph.ids().into_iter().map(|id| graph.node(id).dtype.bytes()).max().unwrap_or(8);
    let mut share = 1.0;
    while best.memory() > allowed && share > 0.1 {
        // Smaller intermediates make matrix products smaller, too, which then take less.
        let fixed = best.memory().saturating_sub(best.arena.saturating_add(best.workspace));
        let Some(rest) = allowed.checked_sub(fixed) else { return };
        let elems = share * rest as f64 / widest as f64;
        let smaller = lower(graph, settings, orders, Some(elems), Room::NONE);
        if smaller.memory() < best.memory() {
            (*best, *limit) = (smaller, Some(elems));
        }
        share /= 2.0;
    }
}

/// The graph with one large value in slices, and its plan, if that measures less; the first that is small enough.
fn slice_one(
    graph: &Graph,
    settings: &Settings,
    orders: &Orders<'_>,
    measure: &dyn Fn(&Plan) -> f64,
    (enough, now): (f64, f64),
    room: Room,
) -> Option<(Graph, Plan)> {
    let mut large: Vec<NodeId> = intermediates(graph);
    large.sort_by_key(|&id| (std::cmp::Reverse(graph.node(id).elems()), id));
    let mut best: Option<(Graph, Plan)> = None;
    let mut least = now;
    for id in large.into_iter().take(CANDIDATES) {
        let mut axes = graph.node(id).axes();
        axes.sort_by_key(|&axis| (graph.axes[axis].extent, axis));
        for axis in axes.into_iter().filter(|&axis| graph.axes[axis].extent > 1) {
            let Some(sliced) = slice(graph, id, axis) else { continue };
            let plan = lower(&sliced, settings, orders, None, room);
            let size = measure(&plan);
            if size < least {
                least = size;
                best = Some((sliced, plan));
                if size <= enough {
                    return best;
                }
            }
        }
    }
    best
}

/// The values outside scans that are neither given nor wanted.
fn intermediates(graph: &Graph) -> Vec<NodeId> {
    graph
        .ids()
        .into_iter()
        .filter(|&id| !graph.node(id).is_source() && graph.node(id).scan.is_none())
        .filter(|&id| !graph.outputs.iter().any(|(_, output)| *output == id))
        .collect()
}

/// A plan that computes values slice by slice which no cache holds, where their way to memory and back costs more than
/// that.
fn near(graph: &Graph, settings: &Settings, orders: &Orders<'_>, allowed: u64, mut best: Plan) -> Plan {
    let far = |plan: &Plan| far_time(plan, &settings.rates);
    let mut graph = graph.clone();
    for _ in 0..ROUNDS {
        if !intermediates(&graph).into_iter().any(|id| graph.node(id).bytes() >= FAR) {
            break;
        }
        let now = far(&best) * WORTH;
        let Some((sliced, plan)) = slice_one(&graph, settings, orders, &far, (0.0, now), Room::default())
        else {
            break;
        };
        if plan.memory() > allowed {
            break;
        }
        (graph, best) = (sliced, plan);
    }
    best
}

//! Decides which rewrites of contractions pay, by planning with and without each: which sums inside products are
//! multiplied out (`X (W + s B A)` is one product with a merged matrix or two with thin factors), which contractions
//! are read in others, which factors that a product repeats are contracted once, which operands of windows are summed
//! before the windows are opened, and which rows are multiplied before tables pick them.

use super::cost::cost;
use super::lower::Lowering;
use super::order::Orders;
use super::{Plan, Settings, limit};
use crate::graph::{
    Graph, contract_before_gather, distributable, distribute, gathered_products, open_windows, repeats,
    share, share_repeats, shareable, sum_before_window,
};

/// How many plans are compared at most for each kind of rewrite.
const TRIALS: usize = 24;

/// The graph with those rewrites made that make its plan cheaper.
pub(super) fn decide(graph: &Graph, settings: &Settings, orders: &Orders<'_>) -> Graph {
    // Slices move no more and compute no more, and would only blur the comparison. With a product that a locked plan
    // has no order for, a graph is no choice.
    let plan = |graph: &Graph| {
        orders.missing.take();
        let lowering = Lowering { whole: true, ..Lowering::new(graph, settings, orders, None) };
        let plan = lowering.run();
        orders.missing.take().is_none().then_some(plan)
    };
    let time = |graph: &Graph| plan(graph).map_or(f64::INFINITY, |plan| cost(&plan, &settings.rates).seconds);
    // Here a value is stored that was not.
    let time_if_it_fits = |graph: &Graph| {
        let allowed = limit::allowed(graph, settings);
        let fits = |plan: &Plan| plan.memory() <= allowed;
        plan(graph).filter(fits).map_or(f64::INFINITY, |plan| cost(&plan, &settings.rates).seconds)
    };
    let graph = improve(graph.clone(), &time, &distributable, &mut |graph, place| distribute(graph, *place));
    let graph = improve(graph, &time, &shareable, &mut share);
    let graph = improve(graph, &time_if_it_fits, &repeats, &mut share_repeats);
    let graph = improve(graph, &time, &open_windows, &mut sum_before_window);
    improve(graph, &time_if_it_fits, &gathered_products, &mut |graph, place| {
        contract_before_gather(graph, *place)
    })
}

/// Makes one rewrite after the other, as long as some make the plan cheaper.
fn improve<P>(
    mut best: Graph,
    time: &dyn Fn(&Graph) -> f64,
    list: &dyn Fn(&Graph) -> Vec<P>,
    rewrite: &mut dyn FnMut(&Graph, &P) -> Option<Graph>,
) -> Graph {
    let mut places = list(&best);
    if places.is_empty() {
        return best;
    }
    let mut least = time(&best);
    let mut trials = 0;
    while let Some(place) = places.pop() {
        if trials == TRIALS {
            break;
        }
        trials += 1;
        let Some(other) = rewrite(&best, &place) else { continue };
        let cheaper = time(&other);
        if cheaper < least {
            (best, least) = (other, cheaper);
            // What has changed may hold further places.
            places = list(&best);
        }
    }
    best
}

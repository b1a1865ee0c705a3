//! Decides which sums inside products are multiplied out: `X (W + s B A)` is one product with a merged matrix or two
//! with thin factors, whichever the plan is faster with.

use super::Settings;
use super::cost::cost;
use super::lower::Lowering;
use super::order::Orders;
use crate::graph::{Graph, distributable, distribute};

/// How many plans are compared at most.
const TRIALS: usize = 24;

/// The graph with those sums multiplied out that make its plan cheaper.
pub(super) fn decide(graph: &Graph, settings: &Settings, orders: &Orders<'_>) -> Graph {
    let mut best = graph.clone();
    let mut places = distributable(&best);
    if places.is_empty() {
        return best;
    }
    // With a product that a locked plan has no order for, a graph is no choice.
    let time = |graph: &Graph| {
        orders.missing.take();
        let plan = Lowering::new(graph, settings, orders, None).run();
        let missing = orders.missing.take().is_some();
        if missing { f64::INFINITY } else { cost(&plan, &settings.rates).seconds }
    };
    let mut least = time(&best);
    let mut trials = 0;
    while let Some(place) = places.pop() {
        if trials == TRIALS {
            break;
        }
        trials += 1;
        let Some(other) = distribute(&best, place) else { continue };
        let cheaper = time(&other);
        if cheaper < least {
            (best, least) = (other, cheaper);
            // What was multiplied out may hold further sums.
            places = distributable(&best);
        }
    }
    best
}

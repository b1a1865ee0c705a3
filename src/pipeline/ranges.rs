//! What the planner is told of the sizes that are to come.

use super::graph;
use crate::plan::search::{Network, Options, Range, StepTime};
use crate::plan::{self, Chosen, Late, Plan, Ranged, Size};
use crate::program::{self, Module, Program};
use std::sync::Arc;

/// The products of a program with one of its dims at the ends of its declared range (`dim N in 2..=64`).
///
/// What cannot be checked or planned at an end, where another condition forbids it say, is left out.
struct Ends {
    name: String,
    low: Vec<Network>,
    high: Vec<Network>,
}

fn ends(module: &Module, program: &Program) -> Vec<Ends> {
    let at = |name: &String, value: i64| -> Vec<Network> {
        let mut bindings = program.bound.clone();
        bindings.dims.insert(name.clone(), value);
        let program = program::check(module, &program.name, &bindings).0;
        let products = program.map_or(Vec::new(), |program| products(&program));
        products.into_iter().map(|product| product.network).collect()
    };
    let ranges = program.dim_ranges.iter().filter(|(_, (low, high))| low < high);
    ranges
        .map(|(name, &(low, high))| Ends { name: name.clone(), low: at(name, low), high: at(name, high) })
        .collect()
}

/// The products of a program, in whatever order is found first.
fn products(program: &Program) -> Vec<Chosen> {
    let settings = plan::Settings { work: Some(1), ..plan::Settings::default() };
    plan::plan(&graph(program), &settings).map_or(Vec::new(), |plan| plan.orders)
}

/// Lets the planner see the products of a program at the ends of the ranges that its dims are declared with, so that it
/// finds orders for all of a range at once.
pub fn declare_ranges(module: &Arc<Module>, program: &Program, late: &Late) {
    if program.dim_ranges.is_empty() {
        return;
    }
    let module = Arc::clone(module);
    let program = Program { statements: Vec::new(), ..program.clone() };
    late.declare(move || {
        ends(&module, &program).into_iter().flat_map(|ends| [ends.low, ends.high]).flatten().collect()
    });
}

/// The orders of a plan over the ranges that its program declares for sizes. Sliced products, and those that are other
/// products at an end of a range, are left out.
pub fn over_ranges(
    module: &Module,
    program: &Program,
    plan: &Plan,
    settings: &plan::Settings,
) -> Vec<Ranged> {
    let ends = ends(module, program);
    let mut told = Vec::new();
    for chosen in plan.orders.iter().filter(|chosen| chosen.path.len() > 1 && chosen.slices.is_empty()) {
        let sizes: Vec<Size> = ends.iter().filter_map(|ends| size(ends, &chosen.network)).collect();
        let time = StepTime::new(&settings.rates, chosen.element_bytes);
        let mut options = Options {
            objective: settings.objective.of(&time),
            seed: settings.seed,
            work: Some(settings.work.map_or(Late::WORK, |work| work.min(Late::WORK))),
            cancel: settings.cancel.as_deref(),
            ..Options::default()
        };
        if !sizes.is_empty()
            && let Ok(ranged) = Ranged::new(chosen, sizes, settings, &mut options)
        {
            told.push(ranged);
        }
    }
    told
}

/// The axes of a product that a dim makes longer, with their extents at the ends; none where it makes none longer.
fn size<'a>(ends: &'a Ends, network: &Network) -> Option<Size> {
    let extents_at = |end: &'a [Network]| Some(end.iter().find(|end| end.is_like(network))?.extents());
    let (low, high) = (extents_at(&ends.low)?, extents_at(&ends.high)?);
    let axes: Vec<u32> =
        (0..).zip(low).zip(high).filter(|((_, low), high)| low < high).map(|((axis, _), _)| axis).collect();
    let first = *axes.first()? as usize;
    let range = Range { low: low[first], high: high[first], axes };
    let alike = |&axis: &u32| (low[axis as usize], high[axis as usize]) == (range.low, range.high);
    (range.low > 0 && range.axes.iter().all(alike)).then(|| Size { name: ends.name.clone(), range })
}

//! What the planner is told of the sizes that are to come.

use super::graph;
use crate::plan::{self, Chosen, Late};
use crate::program::{self, Module, Program};
use std::sync::Arc;

/// Lets the planner see the products of a program at the ends of the ranges that its dims are declared with
/// (`dim N in 2..=64`), so that it finds orders for all of a range at once.
///
/// What cannot be checked or planned at an end of a range, where another condition forbids it say, is left out.
pub fn declare_ranges(module: &Arc<Module>, program: &Program, late: &Late) {
    if program.dim_ranges.is_empty() {
        return;
    }
    let (module, entry) = (Arc::clone(module), program.name.clone());
    let (bound, ranges) = (program.bound.clone(), program.dim_ranges.clone());
    late.declare(move || {
        let ranges = ranges.iter().filter(|(_, (low, high))| low < high);
        let ends = ranges.flat_map(|(name, &(low, high))| [(name, low), (name, high)]);
        let programs = ends.filter_map(|(name, value)| {
            let mut bindings = bound.clone();
            bindings.dims.insert(name.clone(), value);
            program::check(&module, &entry, &bindings).0
        });
        programs.flat_map(|program| products(&program)).map(|product| product.network).collect()
    });
}

/// The products of a program, in whatever order is found first.
fn products(program: &Program) -> Vec<Chosen> {
    let settings = plan::Settings { work: Some(1), ..plan::Settings::default() };
    plan::plan(&graph(program), &settings).map_or(Vec::new(), |plan| plan.orders)
}

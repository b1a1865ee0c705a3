//! Runs a [`Graph`] as the program that it stands for.

use crate::fault::Fault;
use crate::graph::{Graph, to_program};
use einc_runtime::Tensor;

/// Runs a graph. Results come in the order of its outputs.
///
/// # Errors
/// The first access that left its tensor where the program asks for a check.
///
/// # Panics
/// Where a value depends on itself, which no graph does that keeps its laws, and where memory is short.
pub fn run_graph(graph: &Graph, inputs: &[&Tensor]) -> Result<Vec<Tensor>, Fault> {
    let (program, constants) = to_program(graph).expect("no value of a graph depends on itself");
    let arguments =
        graph.inputs_read().into_iter().map(|number| inputs[number]).chain(constants.iter().map(|c| &**c));
    super::run(&program, &arguments.collect::<Vec<_>>())
}

//! Runs checked programs slowly and exactly: the judge of every target.
//!
//! Every result here is computed as the documentation of [`crate::expr`] and [`crate::program`] says, in the widest
//! arithmetic there is; see [`value`] for what that means for each dtype. Nothing is shared with the targets but the
//! tensors themselves.

mod along;
mod contract;
mod eval;
mod graph;
mod join;
mod loops;
mod plan;
mod program;
mod slots;
#[cfg(test)]
mod tests;
pub mod value;

pub use graph::run_graph;
pub use loops::run_loops;
pub use plan::run_plan;
pub use program::run;
pub use slots::run_slots;

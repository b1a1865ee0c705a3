//! The order in which a product of many tensors is contracted: the search for cheap ones.
//!
//! A [`Network`] of operands goes in, a [`Plan`] comes out: pairs of tensors in SSA numbering and the axes to slice.
//! Up to [`EXACT_OPERANDS`] operands the plan is the optimum over all binary trees under the objective.
//!
//! Equal networks, objectives, seeds and work give equal plans on every machine and any number of threads: the search
//! reads no clock to decide anything but when to stop (unless its budget is seconds alone), computes its own logarithms, and what runs at once is chosen and
//! put together without regard to who runs it.

mod absorb;
mod amount;
mod apart;
mod bound;
mod budget;
mod canonical;
mod cost;
mod cross;
mod eliminate;
mod exact;
mod forest;
pub mod generate;
mod greedy;
mod interval;
mod line;
mod math;
mod memory;
mod neighbours;
mod network;
mod partition;
mod problem;
mod region;
mod relocate;
mod rounds;
mod several;
mod solve;
mod stand_in;
mod starts;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod variants;
mod window;

pub use amount::Amount;
pub use cost::{Cost, Objective, Step, StepCost, StepShape, best_order, evaluate, memory_over_time, steps};
pub(crate) use network::Mark;
pub use network::{Network, Refusal};
pub use several::several;
pub use solve::{effort, optimize, restore};
pub use time::{Kernel, Rates, StepTime};
pub(in crate::plan) use variants::variants_by;
pub use variants::{Range, Variants, variants};

use std::sync::atomic::AtomicBool;

/// Plans are kept under this number: it changes when the search finds other plans.
pub const VERSION: u32 = 16;

/// Networks of at most this many operands get the optimum over all trees.
pub const EXACT_OPERANDS: usize = 12;

/// How much memory a plan may need, in elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryLimit {
    /// The largest result of a step.
    Largest(f64),
    /// The results alive at once.
    Peak(f64),
    /// The results alive at once, the inputs and the output.
    Total(f64),
}

/// What a search has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The binary logarithm of the objective of the best plan so far, of the connected part that is searched.
    pub log2_value: f64,
    /// The work done.
    pub work: u64,
    /// The work there is to do.
    pub budget: u64,
}

/// What a search should find and how long it may take.
#[derive(Default)]
pub struct Options<'a> {
    /// What to have little of.
    pub objective: Objective<'a>,
    /// What must not be exceeded.
    pub memory: Option<MemoryLimit>,
    /// Where random choices start.
    pub seed: u64,
    /// How much to search, about a nanosecond each; none lets the search stop when more is not worth it.
    pub work: Option<u64>,
    /// When to stop at the latest. Without `work`, also how long to search: then the clock sets the pace, and plans
    /// may differ from run to run.
    pub seconds: Option<f64>,
    /// Whether a search that is given neither work nor time should take no longer than running what it finds. Else it
    /// proves the optimum of up to sixteen operands in any case, within some fifty milliseconds.
    pub frugal: bool,
    /// Is told when something better is found.
    pub progress: Option<&'a mut dyn FnMut(&Progress)>,
    /// Ends the search when it becomes true; what has been found is returned.
    pub cancel: Option<&'a AtomicBool>,
}

/// A contraction order, and what the search knows about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Pairs of tensors: inputs are `0..n`, step `k` makes tensor `n + k`. The steps are in the order that needs the
    /// least memory.
    pub path: Vec<(usize, usize)>,
    /// The axes to slice: the path runs once for each of their indices, and the results are added or stored apart.
    pub slices: Vec<u32>,
    /// What it costs, slices included.
    pub cost: Cost,
    /// The binary logarithm of the objective.
    pub log2_value: f64,
    /// Whether no binary tree has a lower objective.
    pub proven: bool,
    /// A lower bound of the objective over all trees, as a binary logarithm.
    pub log2_bound: f64,
    /// The work done.
    pub work: u64,
    /// How many rounds of annealing were run.
    pub rounds: u64,
    /// How long the search took.
    pub seconds: f64,
    /// Whether the time ended the search before the work was done.
    pub capped: bool,
}

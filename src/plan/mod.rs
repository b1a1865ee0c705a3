//! What runs in which order over which memory: the plan.
//!
//! A plan is a list of steps over buffers. Every intermediate has its place in one arena, every operand is a strided
//! view of a buffer, every contraction has two operands and an order. Back ends translate plans, they do not decide.
//!
//! ```text
//! plan chain, arena 0 B
//! b0 A: f32 131072 input 0
//! b1 B: f32 32768 input 1
//! b2 C: f32 65536 output 0
//! contract b2[i 128, k 1] = b0[i 256, j 1] * b1[j 128, k 1]
//! ```

mod arena;
mod band;
mod batch_sum;
pub(crate) mod blocks;
pub mod cache;
mod contraction;
mod convolution;
mod cost;
mod distribute;
mod expand;
mod factors;
mod fit;
mod in_place;
mod joint;
mod late;
mod limit;
mod lower;
pub mod network;
mod order;
pub mod picture;
mod product;
#[cfg(test)]
pub(crate) mod random_tests;
mod ranged;
mod real_parts;
pub mod report;
pub mod search;
mod settle;
mod show;
mod spread;
#[cfg(test)]
mod tests;
mod unwrap;
mod verify;
mod wanted;
mod windows;

pub use convolution::LongSum;
pub use cost::{Cost, StepCost, cost, flops_as_written};
pub use late::Late;
pub use limit::{fits, show_bytes};
pub use lower::plan;
pub use order::{Chosen, Goal, Locked};
pub use ranged::{Ranged, Size};
pub use search::{evaluate, optimize};

use crate::expr::{AlongOp, Axes, AxisId, Expr, ReduceOp};
use crate::id::IdVec;
use crate::id_type;
use crate::source::Span;
use einc_runtime::DType;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

id_type! {
    /// Names a buffer of the plan.
    pub struct BufferId = "b"
}

/// What a plan is made for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The bytes that inputs, outputs, constants and intermediates may take together.
    pub memory_limit: Option<u64>,
    /// Where the search for an order begins; equal seeds give equal plans.
    pub seed: u64,
    /// Whether every product is contracted as written, left to right.
    pub keep_order: bool,
    /// How fast the machine is that runs the plan.
    pub rates: search::Rates,
    /// What orders should have little of.
    pub objective: Goal,
    /// How much to search for each order, in units of work; none lets the search stop when more is not worth it.
    pub work: Option<u64>,
    /// How long to search for each order at most.
    pub seconds: Option<f64>,
    /// Ends searches when it becomes true; what has been found is taken.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Orders that were found before.
    pub cache: Option<Arc<cache::Cache>>,
    /// Orders of the same products at other sizes.
    pub late: Option<Arc<Late>>,
    /// Orders that are given.
    pub locked: Option<Arc<Locked>>,
    /// The processes that run slices together, if there are several.
    pub processes: Option<Arc<dyn Processes>>,
}

/// Processes that run one program together: all run the same steps, and slices are shared among them.
pub trait Processes: fmt::Debug + Send + Sync {
    /// The number of this process.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn count(&self) -> usize;

    /// Puts together, bit by bit, what the processes have made of memory that was zero: all get all of it.
    ///
    /// Called by all processes in the same order.
    fn join(&self, bytes: &mut [u8]);
}

/// Steps over buffers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of the program.
    pub name: String,
    /// Every axis of every step.
    pub axes: Axes,
    /// Every buffer.
    pub buffers: IdVec<BufferId, Buffer>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Bytes of the arena.
    pub arena: u64,
    /// On how many threads it should run.
    pub threads: usize,
    /// Bytes that matrix products, and values of which every worker has its own, take while it runs on these.
    pub workspace: u64,
    /// The orders of its products of three and more operands.
    pub orders: Vec<Chosen>,
}

/// A piece of memory, 64-byte aligned.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The tensor it holds, as the source calls it.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// How many elements it has.
    pub elems: u64,
    /// Where it is.
    pub place: Place,
}

impl Buffer {
    /// The bytes it takes; saturates.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes_of(self.elems)
    }
}

/// Where a buffer is.
#[derive(Clone, Debug)]
pub enum Place {
    /// The caller's argument of that number; read only.
    Input(usize),
    /// The caller's result of that number.
    Output(usize),
    /// Computed when the plan was made.
    Constant(Arc<einc_runtime::Tensor>),
    /// That many bytes into the arena (a multiple of 64).
    Arena(u64),
    /// That many bytes into memory of which every worker has its own: made anew for each value of the scan around, which
    /// runs apart.
    Worker(u64),
}

/// A strided view of a buffer: what a step reads or writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// The memory.
    pub buffer: BufferId,
    /// Elements before the first one.
    pub offset: i64,
    /// Extent and stride (in elements) of each dim.
    pub dims: Vec<(u64, i64)>,
}

/// What an expression of a step reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An operand of the step, with one index for each dim.
    Operand(u32),
    /// The result of a reduction of the step, without indices.
    Reduced(u32),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Operand(k) => write!(f, "o{k}"),
            Source::Reduced(k) => write!(f, "r{k}"),
        }
    }
}

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// A contraction of two operands.
    Contract(Contract),
    /// A loop nest.
    Nest(Nest),
    /// A map along axes: softmax, cumsum, sort and so on.
    Along(AlongStep),
    /// Additions at computed places.
    Scatter(ScatterStep),
    /// Steps that run once for every value of an axis, in order.
    Scan(ScanStep),
}

/// `out = scale * sum(a * b)`, or `out += ..`: every operand dim is one axis.
///
/// A contraction of reals may have views of complex buffers, which count real and imaginary parts.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The first operand, `dtype`.
    pub a: View,
    /// The second operand.
    pub b: View,
    /// The result; its axes are distinct.
    pub out: View,
    /// The dtype of all three, or of the parts of those that are complex.
    pub dtype: DType,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// The `bool`s that say which elements of the result are wanted: the others hold anything afterwards.
    pub wanted: Option<View>,
    /// Which sums are taken, if not all are.
    pub band: Option<Band>,
    /// The statement's place.
    pub place: Span,
}

/// Which sums of a contraction are taken: those at which `free + first <= summed < free + end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// An axis of the result and of one operand.
    pub free: AxisId,
    /// The only axis that is summed over.
    pub summed: AxisId,
    /// The first sum where `free` is 0; no less than minus the extent of `free`, no more than that of `summed`.
    pub first: i64,
    /// The one behind the last, within the same bounds.
    pub end: i64,
}

/// Memory addressed by axes: element `offset + sum of stride * axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The memory.
    pub buffer: BufferId,
    /// Elements before the first one.
    pub offset: i64,
    /// Stride of each axis (an axis that does not occur has stride 0); no axis twice, no stride 0.
    pub strides: Vec<(AxisId, i64)>,
}

impl View {
    /// The stride of an axis, 0 where it does not occur.
    pub fn stride(&self, axis: AxisId) -> i64 {
        self.strides.iter().find(|stride| stride.0 == axis).map_or(0, |stride| stride.1)
    }
}

/// For every point of `axes`: compute the reductions, then store `value` to `out`.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The loops, outermost first: the axes of the result.
    pub axes: Vec<AxisId>,
    /// What the expressions read.
    pub operands: Vec<Operand>,
    /// Reductions over inner axes, in order; a later one may read an earlier one's result.
    pub reductions: Vec<Reduction>,
    /// The value, of the result's dtype; contains no reduction and no map along axes.
    pub value: Expr<Source>,
    /// Where it goes.
    pub out: View,
    /// The `bool`s that say which elements of the result are wanted: the others hold anything afterwards.
    pub wanted: Option<View>,
    /// The statement's place.
    pub place: Span,
}

/// One reduction of a nest.
#[derive(Clone, Debug)]
pub struct Reduction {
    /// How values are joined.
    pub op: ReduceOp,
    /// The loops.
    pub axes: Vec<AxisId>,
    /// The joined values; its dtype is the accumulator's.
    pub body: Expr<Source>,
}

/// For every point of `rows`: evaluate `body` along `axes` and store `op` of it along `out_axes`.
#[derive(Clone, Debug)]
pub struct AlongStep {
    /// The map.
    pub op: AlongOp,
    /// The axes that are kept.
    pub rows: Vec<AxisId>,
    /// The axes it runs along.
    pub axes: Vec<AxisId>,
    /// The axes of the result in their place (equal to `axes` for maps that keep their indices).
    pub out_axes: Vec<AxisId>,
    /// What the body reads.
    pub operands: Vec<Operand>,
    /// The values, over `rows` and `axes`.
    pub body: Expr<Source>,
    /// Where the result goes, over `rows` and `out_axes`.
    pub out: View,
    /// The dtype of the result: of an inverse transform that of real numbers where only real parts are computed.
    pub dtype: DType,
    /// The statement's place.
    pub place: Span,
}

/// For every point of `axes`: `out[indices] += value`, in order.
#[derive(Clone, Debug)]
pub struct ScatterStep {
    /// The loops, outermost first.
    pub axes: Vec<AxisId>,
    /// What the expressions read.
    pub operands: Vec<Operand>,
    /// One `i64` expression for each dim of `out`.
    pub indices: Vec<Expr<Source>>,
    /// What happens outside: `Checked`, `Clamp`, `Trust`, or `Never`.
    pub outside: crate::expr::Outside<Source>,
    /// What is added.
    pub value: Expr<Source>,
    /// What is added to; its buffer holds the base values already.
    pub out: Operand,
    /// The statement's place.
    pub place: Span,
}

/// Steps that run once for every value of an axis, in order. The axis occurs in the views and expressions of the
/// body like any other.
#[derive(Clone, Debug)]
pub struct ScanStep {
    /// The axis.
    pub axis: AxisId,
    /// Whether it runs from the end.
    pub reversed: bool,
    /// Whether no step of one value reads or writes what another value's steps write, so that they may run at once.
    pub apart: bool,
    /// The buffer that processes put together after it, where each runs a part of the values; it is zero before.
    pub shared: Option<BufferId>,
    /// The steps.
    pub body: Vec<Step>,
    /// The statement's place.
    pub place: Span,
}

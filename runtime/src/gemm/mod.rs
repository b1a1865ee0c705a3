//! Contractions of two strided operands.
//!
//! Axes come in four groups, told apart by where they occur: *batch* in A, B and C, *m* in A and C, *n* in B and C, *k*
//! in A and B. A plan joins axes that are one in memory, makes the operand with the innermost axis of C the one whose
//! columns fill vectors, and cuts the rest into blocks; running it packs the blocks straight from the strided operands
//! and multiplies the packs in registers. No operand is ever permuted as a whole, and nothing is allocated. Where both
//! operands are one and the result is therefore its own transpose, half of it is computed; windows of three by three with
//! many sums and rows are multiplied by Winograd's transforms; few rows that meet many columns are packed instead of these
//! where both lie along their sums; zeros at the ends of packed rows and columns, such as those beside the diagonal of a
//! banded or triangular matrix, are not multiplied; of a product in a [`Band`] nothing is that is outside of it, whatever
//! stands there.
//!
//! ```
//! use einc_runtime::gemm::{Axis, Gemm, GemmPlan, gemm};
//! use einc_runtime::DType;
//!
//! // C[i,k] = sum over j of A[i,j] * B[k,j], 2 by 3 by 2, all row-major.
//! let plan = GemmPlan::new(&Gemm {
//!     dtype: DType::F64,
//!     batch: vec![],
//!     m: vec![Axis { extent: 2, a: 3, b: 0, c: 2 }],
//!     n: vec![Axis { extent: 2, a: 0, b: 3, c: 1 }],
//!     k: vec![Axis { extent: 3, a: 1, b: 1, c: 0 }],
//!     accumulate: false,
//!     wanted: vec![],
//!     band: None,
//! })
//! .unwrap();
//! let (a, b, mut c) = ([1f64, 2.0, 3.0, 4.0, 5.0, 6.0], [1f64, 0.0, 1.0, 0.0, 2.0, 0.0], [0f64; 4]);
//! let mut workspace = vec![0u64; plan.workspace_bytes(1).div_ceil(8) + 8];
//! // SAFETY: the arrays are as long as the axes reach, and the workspace as long as asked for.
//! unsafe { gemm(&plan, a.as_ptr().cast(), b.as_ptr().cast(), c.as_mut_ptr().cast(), workspace.as_mut_ptr().cast(), 1) };
//! assert_eq!(c, [4.0, 4.0, 10.0, 10.0]);
//! ```
//!
//! # Source
//! Springer and Bientinesi, "Design of a high-performance GEMM-like tensor-tensor multiplication", arXiv 1607.00145;
//! Van Zee and van de Geijn, "BLIS: a framework for rapidly instantiating BLAS functionality", 2015.

mod drive;
mod groups;
mod kernel;
mod machine;
mod mirror;
mod pack;
mod panels;
mod plan;
mod span;
#[cfg(test)]
mod tests;
mod thin;
mod turn;
mod winograd;

use crate::{DType, pool};
use drive::{Part, Work};
use machine::{HasKernels, Level};
use num_complex::Complex;
use panels::Panels;
use plan::{Ready, Way};
use std::ops::Range;
use turn::Turn;
use winograd::Operands;

/// An axis of a contraction: its extent, and its stride in each tensor in elements, 0 where it does not occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// How many values it takes.
    pub extent: u64,
    /// Stride in the first operand.
    pub a: i64,
    /// Stride in the second operand.
    pub b: i64,
    /// Stride in the result.
    pub c: i64,
}

/// `c = sum over k of a * b`, or `c += ..`.
///
/// Which group an axis is listed in does not matter: its strides tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gemm {
    /// The element type of all three: `f32`, `f64`, `c64`, `c128`, `i32` or `i64` (which wrap).
    pub dtype: DType,
    /// Axes of both operands and the result.
    pub batch: Vec<Axis>,
    /// Axes of the first operand and the result.
    pub m: Vec<Axis>,
    /// Axes of the second operand and the result.
    pub n: Vec<Axis>,
    /// Axes of the operands only, which are summed over.
    pub k: Vec<Axis>,
    /// Whether the result is added to what is there.
    pub accumulate: bool,
    /// The stride of each axis, batch, m, n and k, in a tensor of bytes: elements of the result where its byte is 0 are not
    /// wanted, and are not written. Empty where all are.
    pub wanted: Vec<i64>,
    /// Which sums are taken, if not all are; there is one axis of sums then, and all is wanted.
    pub band: Option<Band>,
}

/// Sums that move along with an axis of rows or columns: at its index `t`, those from `t + first` on and before `t + end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// The number of the axis among those of batch, m, n and k.
    pub axis: usize,
    /// The first sum at index 0.
    pub first: i64,
    /// The one behind the last.
    pub end: i64,
}

impl Band {
    /// The sums at an index, of so many.
    pub fn sums(&self, index: usize, len: usize) -> Range<usize> {
        let place = |by: i64| by.saturating_add(index as i64).clamp(0, len as i64) as usize;
        place(self.first)..place(self.end).max(place(self.first))
    }
}

/// A contraction made ready to run on this machine.
#[derive(Clone, Debug)]
pub struct GemmPlan {
    dtype: DType,
    level: Level,
    ready: Ready,
    /// How the result is turned when it is whole, where it is computed in another order.
    turn: Option<Turn>,
}

/// Multiply-adds below which one thread does it all.
const WORTH_A_THREAD: usize = 1 << 20;

macro_rules! with_elements {
    ($dtype:expr, $element:ident => $body:expr, else $none:expr) => {
        match $dtype {
            DType::F32 => {
                type $element = f32;
                $body
            }
            DType::F64 => {
                type $element = f64;
                $body
            }
            DType::I32 => {
                type $element = i32;
                $body
            }
            DType::I64 => {
                type $element = i64;
                $body
            }
            DType::C64 => {
                type $element = Complex<f32>;
                $body
            }
            DType::C128 => {
                type $element = Complex<f64>;
                $body
            }
            _ => $none,
        }
    };
}

impl GemmPlan {
    /// Makes a contraction ready. `None` where there are no kernels for its element type, or an operand is larger than
    /// memory can be.
    pub fn new(gemm: &Gemm) -> Option<GemmPlan> {
        GemmPlan::at_level(gemm, Level::of_machine())
    }

    fn at_level(gemm: &Gemm, level: Level) -> Option<GemmPlan> {
        with_elements!(
            gemm.dtype,
            T => {
                let kernels = <T>::kernels(level);
                let ready = Ready::new(gemm, kernels, None)?;
                let (ready, turn) = match Turn::of(gemm, &ready) {
                    Some((turned, turn)) => (Ready::new(&turned, kernels, Some(!ready.swapped))?, Some(turn)),
                    None => (ready, None),
                };
                Some(GemmPlan { dtype: gemm.dtype, level, ready, turn })
            },
            else None
        )
    }

    /// Whether windows of three by three are multiplied by Winograd's transforms.
    pub fn transforms_windows(&self) -> bool {
        self.ready.winograd.is_some()
    }

    /// How much it takes of one multiply-add for each index of all axes, if both operands are `one` or not: less where
    /// windows are transformed, about half where the result is its own transpose.
    pub fn share(&self, one: bool) -> f64 {
        match &self.ready.winograd {
            Some(windows) => windows.share,
            None if one && self.ready.mirrored => mirror::share(&self.ready),
            None => 1.0,
        }
    }

    /// How many bytes of workspace [`gemm`] needs with that many threads, 64-byte aligned.
    pub fn workspace_bytes(&self, threads: usize) -> usize {
        if self.ready.listed.is_some() && self.turn.is_none() {
            return 0;
        }
        let ready = &self.ready;
        let all = with_elements!(
            self.dtype,
            T => match ready.way {
                Way::Blocks => drive::workspace_bytes::<T>(ready).saturating_mul(threads.max(1)),
                Way::Winograd => {
                    ready.winograd.as_ref().map_or(0, |windows| windows.workspace_bytes::<T>(threads.max(1)))
                }
                Way::Strips | Way::Sweeps | Way::Runs => thin::strip_bytes(ready).saturating_mul(threads.max(1)),
                Way::Dots if thin::pieces(ready) == 1 => 0,
                Way::Dots => thin::pieces(ready) * ready.rows_len * ready.columns_len * size_of::<T>(),
            },
            else 0
        );
        all.saturating_add(self.turned_bytes()).saturating_add(64)
    }

    /// Bytes of the result in another order.
    fn turned_bytes(&self) -> usize {
        let bytes = |turn: &Turn| turn.elements.saturating_mul(self.dtype.bytes()).next_multiple_of(64);
        self.turn.as_ref().map_or(0, bytes)
    }
}

/// Runs a contraction on at most that many threads (and no more than the pool has).
///
/// # Safety
/// `a`, `b` and `c` point to the elements of index 0, aligned for their type, and are good for every index of the
/// plan's axes; elements of `a` and `b` are initialised, and those of `c` too if the plan accumulates. No two indices of
/// the result's axes name one element of `c`, and `c` overlaps neither operand. `workspace` is good for
/// [`GemmPlan::workspace_bytes`] of as many threads and used by nobody else meanwhile.
pub unsafe fn gemm(
    plan: &GemmPlan,
    a: *const u8,
    b: *const u8,
    c: *mut u8,
    workspace: *mut u8,
    threads: usize,
) {
    assert!(!plan.ready.chooses, "what is wanted has to be told");
    // SAFETY: the caller's promise; nothing is read of what is wanted.
    unsafe { gemm_where(plan, [a, b], c, std::ptr::null(), workspace, threads) };
}

/// [`gemm`] of a plan that computes only what is wanted.
///
/// # Safety
/// As [`gemm`], and `wanted` points to the byte of index 0, good for every index of the plan's axes, if the plan has such
/// strides.
pub unsafe fn gemm_where(
    plan: &GemmPlan,
    [a, b]: [*const u8; 2],
    c: *mut u8,
    wanted: *const u8,
    workspace: *mut u8,
    threads: usize,
) {
    let (a, b) = if plan.ready.swapped { (b, a) } else { (a, b) };
    let aligned = workspace.wrapping_add(workspace.align_offset(64));
    let result = if plan.turn.is_some() { aligned } else { c };
    let workspace = aligned.wrapping_add(plan.turned_bytes());
    with_elements!(
        plan.dtype,
        // SAFETY: the caller's promise; the workspace begins with room for a result that is turned.
        T => unsafe { run::<T>(plan, [a.cast(), b.cast()], result.cast(), wanted, workspace, threads) },
        else unreachable!("plans have kernels")
    );
    if let Some(turn) = &plan.turn {
        // SAFETY: the caller's promise; the result is whole.
        unsafe { turn.back.run(result, c, threads) };
    }
}

/// A pointer that threads share; they write to disjoint parts.
#[derive(Clone, Copy)]
struct Shared<T>(*mut T);

// SAFETY: whoever makes one keeps the threads' parts disjoint.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// A method, so that closures capture the whole and not the pointer.
    fn get(&self) -> *mut T {
        self.0
    }
}

unsafe fn run<T: HasKernels>(
    plan: &GemmPlan,
    [a, b]: [*const T; 2],
    c: *mut T,
    wanted: *const u8,
    workspace: *mut u8,
    threads: usize,
) {
    let ready = &plan.ready;
    let kernels = T::kernels(plan.level);
    if ready.batch_len == 0 || ready.rows_len == 0 || ready.columns_len == 0 {
        return;
    }
    if ready.lanes_len == 0 {
        return;
    }
    let work_of_one = ready.rows_len.saturating_mul(ready.columns_len).saturating_mul(ready.sums_len.max(1));
    let work_of_one = work_of_one.saturating_mul(ready.lanes_len);
    let work = work_of_one.saturating_mul(ready.batch_len);
    let threads = threads.min(pool::threads()).min(work / WORTH_A_THREAD).max(1);
    let whole = Part {
        rows: 0..ready.rows_len,
        panels: 0..ready.panels_len(),
        sums: 0..ready.sums_len,
        accumulate: ready.accumulate,
    };
    let bytes_of_one = drive::workspace_bytes::<T>(ready);
    let aligned = workspace.align_offset(64);
    let (shared_c, space) = (Shared(c), Shared(workspace.wrapping_add(aligned)));
    let (shared_a, shared_b) = (Shared(a.cast_mut()), Shared(b.cast_mut()));
    let shared_wanted = Shared(wanted.cast_mut());
    // The operands and the place in C for each index of a part of the batch, and what is wanted there: null where all is.
    let places = |range: Range<usize>| {
        Places::new(&ready.batch, range).map(|[a, b, c, wanted]| {
            // SAFETY: the caller's promise: batch offsets stay within the operands.
            unsafe {
                let operands = [shared_a.get().offset(a).cast_const(), shared_b.get().offset(b).cast_const()];
                let wanted = shared_wanted.get().cast_const().wrapping_offset(wanted);
                (operands, shared_c.get().offset(c), wanted)
            }
        })
    };
    let by_batch = ready.batch_len >= threads || ready.listed.is_some();
    let mirrored = ready.mirrored && std::ptr::eq(a, b);
    match ready.way {
        Way::Blocks => {
            // SAFETY, throughout: the caller's promise: each thread has its own share of the workspace, and parts of
            // different threads or batch indices are disjoint in C.
            let some = |thread: usize, batch: Range<usize>, part: &Part| {
                if ready.listed.is_some() {
                    for (operands, c, _) in places(batch) {
                        unsafe { drive::run_listed(ready, kernels, operands, c) };
                    }
                    return;
                }
                let memory = space.get().wrapping_add(thread * bytes_of_one);
                let mut work = unsafe { Work::new(ready, kernels, part, memory) };
                for (operands, c, wanted) in places(batch) {
                    unsafe { work.run(operands, c, wanted) };
                    if mirrored && by_batch {
                        unsafe { mirror::copy_near(ready, kernels, c) };
                    }
                }
            };
            spread(threads, &|thread| {
                if by_batch {
                    return some(thread, share(ready.batch_len, 1, threads, thread), &whole);
                }
                let by_panels = whole.panels.len() >= threads * 2
                    && whole.panels.len() * ready.panel_columns * 2 >= ready.rows_len;
                let mut part = whole.clone();
                let (of_columns, of_rows): (Share, Share) =
                    if mirrored { (mirror::share_of_columns, mirror::share_of_rows) } else { (share, share) };
                if by_panels {
                    part.panels = of_columns(whole.panels.len(), panels_together(ready), threads, thread);
                } else {
                    part.rows = of_rows(ready.rows_len, ready.tile_rows, threads, thread);
                }
                some(thread, 0..ready.batch_len, &part);
            });
            if mirrored && !by_batch {
                for (_, c, _) in places(0..ready.batch_len) {
                    unsafe { mirror::copy_near(ready, kernels, c) };
                }
            }
        }
        Way::Winograd => {
            let windows = ready.winograd.as_ref().expect("there are windows");
            for ([a, b], c, _) in places(0..ready.batch_len) {
                let (a, b, c) = (Shared(a.cast_mut()), Shared(b.cast_mut()), Shared(c));
                // SAFETY, throughout: the caller's promise: threads have groups, blocks and memory of their own.
                unsafe { windows.place_sums::<T>(space.get()) };
                spread(threads, &|thread| {
                    let groups = share(windows.groups(), 1, threads, thread);
                    unsafe { windows.transform_weights(kernels, &ready.rows, a.get(), groups, space.get()) };
                });
                spread(threads, &|thread| {
                    let blocks = share(windows.blocks(), 1, threads, thread);
                    let operands =
                        Operands { rows: &ready.rows, b: b.get(), c: c.get(), accumulate: ready.accumulate };
                    unsafe { windows.run(kernels, &operands, blocks, (space.get(), thread)) };
                });
            }
        }
        Way::Strips => spread(threads, &|thread| {
            let mine = |len, chosen| if chosen { share(len, 1, threads, thread) } else { 0..len };
            for (operands, c, _) in places(mine(ready.batch_len, by_batch)) {
                // SAFETY: as above.
                unsafe {
                    let memory = space.get().add(thread * thin::strip_bytes(ready));
                    let rows = mine(ready.rows_len, !by_batch);
                    thin::run_strips(ready, kernels, operands, c, rows, memory);
                }
            }
        }),
        Way::Sweeps => spread(threads, &|thread| {
            let mine = |len, unit, chosen| if chosen { share(len, unit, threads, thread) } else { 0..len };
            for (operands, c, _) in places(mine(ready.batch_len, 1, by_batch)) {
                // SAFETY: as above.
                unsafe {
                    let memory = space.get().add(thread * thin::strip_bytes(ready));
                    let columns = mine(ready.columns_len, 64, !by_batch);
                    thin::run_sweeps(ready, kernels, operands, c, columns, memory);
                }
            }
        }),
        Way::Runs => spread(threads, &|thread| {
            let mine = |len, chosen| if chosen { share(len, 1, threads, thread) } else { 0..len };
            for (operands, c, _) in places(mine(ready.batch_len, by_batch)) {
                // SAFETY: as above.
                unsafe {
                    let memory = space.get().add(thread * thin::strip_bytes(ready));
                    let runs = mine(thin::runs_len(ready), !by_batch);
                    thin::run_runs(ready, kernels, operands, c, runs, memory);
                }
            }
        }),
        Way::Dots => {
            let pieces = thin::pieces(ready);
            let put = |c: *mut T, offset: isize, value: T, accumulate: bool| {
                // SAFETY: the caller's promise: the offset is that of an index.
                unsafe {
                    let place = c.offset(offset);
                    *place = if accumulate { (*place).plus(value) } else { value };
                }
            };
            if pieces == 1 {
                return spread(threads, &|thread| {
                    let mine = |len, chosen| if chosen { share(len, 1, threads, thread) } else { 0..len };
                    for (operands, c, _) in places(mine(ready.batch_len, by_batch)) {
                        let columns = mine(ready.columns_len, !by_batch);
                        let mut put = |offset, value| put(c, offset, value, ready.accumulate);
                        // SAFETY: as above.
                        unsafe {
                            thin::run_dots(ready, kernels, operands, columns, 0..ready.sums_len, &mut put)
                        };
                    }
                });
            }
            let results = ready.rows_len * ready.columns_len;
            let partial: Shared<T> = Shared(space.get().cast());
            for (operands, c, _) in places(0..ready.batch_len) {
                let operands = [Shared(operands[0].cast_mut()), Shared(operands[1].cast_mut())];
                spread(threads, &|thread| {
                    for piece in share(pieces, 1, threads, thread) {
                        let mut next = piece * results;
                        let mut put = |_, value| {
                            // SAFETY: every piece has its own places in the workspace.
                            unsafe { *partial.get().add(next) = value };
                            next += 1;
                        };
                        let sums = share(ready.sums_len, 1, pieces, piece);
                        let operands = [&operands[0], &operands[1]].map(|operand| operand.get().cast_const());
                        // SAFETY: as above.
                        unsafe {
                            thin::run_dots(ready, kernels, operands, 0..ready.columns_len, sums, &mut put);
                        }
                    }
                });
                let mut next = 0;
                let mut sum = |offset, _| {
                    // SAFETY: the pieces have been written.
                    let value = |piece| unsafe { *partial.get().add(piece * results + next) };
                    let total = (1..pieces).fold(value(0), |sum, piece| sum.plus(value(piece)));
                    next += 1;
                    put(c, offset, total, ready.accumulate);
                };
                // SAFETY: no sums are read, only places are named, in the same order.
                unsafe {
                    let operands = [&operands[0], &operands[1]].map(|operand| operand.get().cast_const());
                    thin::run_dots(ready, kernels, operands, 0..ready.columns_len, 0..0, &mut sum);
                }
            }
        }
    }
}

/// The offsets in A, B, C and what is wanted of indices of the batch, one after another.
struct Places<'a> {
    axes: &'a [groups::Shared],
    /// The index of each axis; there are fewer than bits of a number, as each has two values at least.
    indices: [usize; usize::BITS as usize],
    at: [isize; 4],
    left: usize,
}

impl Places<'_> {
    fn new(axes: &[groups::Shared], range: Range<usize>) -> Places<'_> {
        let mut places = Places { axes, indices: [0; usize::BITS as usize], at: [0; 4], left: range.len() };
        let mut rest = range.start;
        for (axis, index) in axes.iter().zip(&mut places.indices) {
            *index = rest % axis.extent;
            rest /= axis.extent;
            let strides = [axis.a, axis.b, axis.c, axis.wanted];
            places.at.iter_mut().zip(strides).for_each(|(at, stride)| *at += *index as isize * stride);
        }
        places
    }
}

impl Iterator for Places<'_> {
    type Item = [isize; 4];

    fn next(&mut self) -> Option<[isize; 4]> {
        self.left = self.left.checked_sub(1)?;
        let at = self.at;
        for (axis, index) in self.axes.iter().zip(&mut self.indices) {
            let strides = [axis.a, axis.b, axis.c, axis.wanted];
            *index += 1;
            let steps = if *index < axis.extent { 1 } else { 1 - *index as isize };
            self.at.iter_mut().zip(strides).for_each(|(at, stride)| *at += steps * stride);
            if steps == 1 {
                break;
            }
            *index = 0;
        }
        Some(at)
    }
}

/// Runs on one thread or several.
fn spread(threads: usize, work: &(dyn Fn(usize) + Sync)) {
    if threads == 1 { work(0) } else { pool::parallel(threads, work) }
}

/// How many panels a share is a multiple of, if there are enough.
fn panels_together(ready: &Ready) -> usize {
    match ready.panels {
        Panels::Runs { beside, .. } if beside >= 8 && ready.panels_len() >= 256 => 32,
        Panels::Runs { of_run, .. } if ready.panels_len() / of_run >= 8 => of_run,
        _ => 1,
    }
}

/// Which of `len` things are those of one of so many threads, in multiples of a unit.
type Share = fn(len: usize, unit: usize, threads: usize, thread: usize) -> Range<usize>;

/// The share of one thread of `len` things, in multiples of `unit`.
fn share(len: usize, unit: usize, threads: usize, thread: usize) -> Range<usize> {
    let units = len.div_ceil(unit);
    let start = units * thread / threads * unit;
    let end = units * (thread + 1) / threads * unit;
    start.min(len)..end.min(len)
}

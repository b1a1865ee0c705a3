//! Contractions that are no matrix product at heart: few rows with sums side by side in memory (dot products), batches
//! side by side in memory (products element by element), a vector times a matrix of rows (sums of rows), and a vector times
//! windows of a tensor (sums of runs).

use super::drive::{free, offsets, shared};
use super::kernel::Kernels;
use super::machine::HasKernels;
use super::plan::Ready;
use crate::vector::Vector;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Dot products: `out[i * columns + j] += sum over p below k of a[rows[i] + p] * b[columns[j] + p]`.
pub(super) type Dots<T> =
    unsafe fn(k: usize, a: *const T, rows: *const isize, b: *const T, columns: *const isize, out: *mut T);

/// Element by element: `c[rows[i] + columns[j] + lane] (+)= sum over p of a[..] * b[..]` for up to a vector of lanes.
#[derive(Clone, Copy)]
pub(super) struct Strip<T> {
    pub k: usize,
    pub a: *const T,
    pub a_rows: *const isize,
    pub a_sums: *const isize,
    pub b: *const T,
    pub b_columns: *const isize,
    pub b_sums: *const isize,
    pub c: *mut T,
    pub c_rows: *const isize,
    pub c_columns: *const isize,
    /// From lane to lane of C.
    pub c_lane: isize,
    /// How many lanes there are, at least 1 and at most a vector's.
    pub lanes: usize,
    pub accumulate: bool,
}

pub(super) type Strips<T> = unsafe fn(&Strip<T>);

/// Rows added up: `c[j] (+)= sum over p of a[a_sums[p]] * b[b_sums[p] + j]` for `j` below `len`.
#[derive(Clone, Copy)]
pub(super) struct Sweep<T> {
    pub k: usize,
    pub a: *const T,
    pub a_sums: *const isize,
    pub b: *const T,
    pub b_sums: *const isize,
    pub c: *mut T,
    pub len: usize,
    pub accumulate: bool,
}

pub(super) type Sweeps<T> = unsafe fn(&Sweep<T>);

/// Runs added up: `c[c_runs[i] + j] (+)= sum over p of a[a_sums[p]] * b[b_sums[p] + b_runs[i] + j]`.
#[derive(Clone, Copy)]
pub(super) struct Run<T> {
    pub k: usize,
    pub a: *const T,
    pub a_sums: *const isize,
    pub b: *const T,
    pub b_sums: *const isize,
    pub b_runs: *const isize,
    pub c: *mut T,
    pub c_runs: *const isize,
    /// Columns of the last vector, at least 1.
    pub last: usize,
    pub accumulate: bool,
}

pub(super) type Runs<T> = unsafe fn(&Run<T>);

/// The most runs, and vectors of each, that are added up at once.
pub(super) const RUNS: usize = 6;
pub(super) const VECTORS: usize = 2;

/// Rows that are added up before the sums are written.
const TOGETHER: usize = 8;

/// Columns that are added up before the next ones: their sums stay near.
const COLUMNS_NEAR: usize = 4096;

/// The most rows and columns of a tile of dot products or strips.
pub(super) const ROWS: usize = 4;
pub(super) const COLUMNS: usize = 2;

/// Sums that are added up before their sum is: pieces do not depend on the number of threads.
const PIECE: usize = 1 << 15;

/// The most pieces.
const PIECES: usize = 64;

/// # Safety
/// All places named by the arguments must be good, and the machine must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn dots<V: Vector, const ROWS: usize, const COLUMNS: usize>(
    k: usize,
    a: *const V::Elem,
    rows: *const isize,
    b: *const V::Elem,
    columns: *const isize,
    out: *mut V::Elem,
) {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        // Few dot products take turns with several sums each, as additions have to wait for each other.
        let turns = if ROWS * COLUMNS < 4 { 4 } else { 1 };
        let mut sums = [[[V::zero(); COLUMNS]; ROWS]; 4];
        let step = turns * V::LANES;
        let whole = k / step * step;
        let mut p = 0;
        while p < whole {
            for (turn, sums) in sums.iter_mut().enumerate().take(turns) {
                let at = p + turn * V::LANES;
                let mut right = [V::zero(); COLUMNS];
                for (j, right) in right.iter_mut().enumerate() {
                    *right = V::load(b.offset(*columns.add(j)).add(at));
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let left = V::load(a.offset(*rows.add(i)).add(at));
                    for j in 0..COLUMNS {
                        sums[j] = left.mul_add(right[j], sums[j]);
                    }
                }
            }
            p += step;
        }
        while p < k {
            let mask = V::mask(V::LANES.min(k - p));
            for (i, sums) in sums[0].iter_mut().enumerate() {
                let left = V::load_part(a.offset(*rows.add(i)).add(p), mask);
                for (j, sum) in sums.iter_mut().enumerate() {
                    let right = V::load_part(b.offset(*columns.add(j)).add(p), mask);
                    *sum = left.mul_add(right, *sum);
                }
            }
            p += V::LANES;
        }
        let [first, rest @ ..] = sums;
        for (i, sums) in first.into_iter().enumerate() {
            for (j, mut sum) in sums.into_iter().enumerate() {
                for more in &rest[..turns - 1] {
                    sum = sum.add(more[i][j]);
                }
                let at = out.add(i * COLUMNS + j);
                *at = V::plus(*at, sum.sum());
            }
        }
    }
}

/// # Safety
/// All places named by the strip must be good, and the machine must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn strips<V: Vector, const ROWS: usize, const COLUMNS: usize>(strip: &Strip<V::Elem>) {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        let mask = V::mask(strip.lanes);
        let mut sums = [[V::zero(); COLUMNS]; ROWS];
        for p in 0..strip.k {
            let a = strip.a.offset(*strip.a_sums.add(p));
            let b = strip.b.offset(*strip.b_sums.add(p));
            let mut right = [V::zero(); COLUMNS];
            for (j, right) in right.iter_mut().enumerate() {
                *right = V::load_part(b.offset(*strip.b_columns.add(j)), mask);
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let left = V::load_part(a.offset(*strip.a_rows.add(i)), mask);
                for j in 0..COLUMNS {
                    sums[j] = left.mul_add(right[j], sums[j]);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let at = strip.c.offset(*strip.c_rows.add(i) + *strip.c_columns.add(j));
                if strip.c_lane != 1 {
                    let mut lanes = [const { MaybeUninit::<V::Elem>::uninit() }; 16];
                    sum.store_part(lanes.as_mut_ptr().cast(), mask);
                    for (lane, value) in lanes.iter().enumerate().take(strip.lanes) {
                        let (at, value) = (at.offset(lane as isize * strip.c_lane), value.assume_init());
                        *at = if strip.accumulate { V::plus(*at, value) } else { value };
                    }
                    continue;
                }
                let sum = if strip.accumulate { V::load_part(at, mask).add(sum) } else { sum };
                sum.store_part(at, mask);
            }
        }
    }
}

/// # Safety
/// All places named by the sweep must be good, and the machine must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn sweep<V: Vector>(sweep: &Sweep<V::Elem>) {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        let whole = sweep.k / TOGETHER * TOGETHER;
        let mut accumulate = sweep.accumulate;
        if sweep.k == 0 && !accumulate {
            return some_rows::<V, 0>(sweep, 0, false);
        }
        for p in (0..whole).step_by(TOGETHER) {
            some_rows::<V, TOGETHER>(sweep, p, accumulate);
            accumulate = true;
        }
        for p in whole..sweep.k {
            some_rows::<V, 1>(sweep, p, accumulate);
            accumulate = true;
        }
    }
}

/// The part of a sweep that adds `N` rows.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn some_rows<V: Vector, const N: usize>(sweep: &Sweep<V::Elem>, p: usize, accumulate: bool) {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        let mut factors = [V::zero(); N];
        let mut rows = [sweep.b; N];
        for (q, (factor, row)) in factors.iter_mut().zip(&mut rows).enumerate() {
            *factor = V::splat(*sweep.a.offset(*sweep.a_sums.add(p + q)));
            *row = sweep.b.offset(*sweep.b_sums.add(p + q));
        }
        let whole = sweep.len / V::LANES * V::LANES;
        for j in (0..whole).step_by(V::LANES) {
            let mut sum = if accumulate { V::load(sweep.c.add(j)) } else { V::zero() };
            for (&factor, &row) in factors.iter().zip(&rows) {
                sum = factor.mul_add(V::load(row.add(j)), sum);
            }
            sum.store(sweep.c.add(j));
        }
        if whole < sweep.len {
            let mask = V::mask(sweep.len - whole);
            let to = sweep.c.add(whole);
            let mut sum = if accumulate { V::load_part(to, mask) } else { V::zero() };
            for (&factor, &row) in factors.iter().zip(&rows) {
                sum = factor.mul_add(V::load_part(row.add(whole), mask), sum);
            }
            sum.store_part(to, mask);
        }
    }
}

/// # Safety
/// All places named by the run must be good, and the machine must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn runs<V: Vector, const ROWS: usize, const VECTORS: usize>(run: &Run<V::Elem>) {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        let mask = V::mask(run.last);
        let mut sums = [[V::no_sum(); VECTORS]; ROWS];
        for p in 0..run.k {
            let factor = V::splat(*run.a.offset(*run.a_sums.add(p)));
            let b = run.b.offset(*run.b_sums.add(p));
            for (i, sums) in sums.iter_mut().enumerate() {
                let row = b.offset(*run.b_runs.add(i));
                for (j, sum) in sums.iter_mut().enumerate() {
                    let at = row.add(j * V::LANES);
                    let value = if j + 1 == VECTORS { V::load_part(at, mask) } else { V::load(at) };
                    *sum = value.sum_up(factor, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let row = run.c.offset(*run.c_runs.add(i));
            for (j, &sum) in sums.iter().enumerate() {
                let (at, sum) = (row.add(j * V::LANES), V::summed(sum));
                if j + 1 == VECTORS {
                    let sum = if run.accumulate { V::load_part(at, mask).add(sum) } else { sum };
                    sum.store_part(at, mask);
                } else {
                    let sum = if run.accumulate { V::load(at).add(sum) } else { sum };
                    sum.store(at);
                }
            }
        }
    }
}

/// How many pieces a contraction's sums are cut into.
pub(super) fn pieces(ready: &Ready) -> usize {
    if ready.rows_len.saturating_mul(ready.columns_len) > 64 {
        return 1;
    }
    (ready.sums_len / PIECE).clamp(1, PIECES)
}

/// Dot products of some columns with all rows, over some of the sums.
///
/// # Safety
/// The operands must be good for every index, and nobody else may use those columns of C meanwhile.
pub(super) unsafe fn run_dots<T: HasKernels>(
    ready: &Ready,
    kernels: &'static Kernels<T>,
    [a, b]: [*const T; 2],
    columns: Range<usize>,
    sums: Range<usize>,
    put: &mut dyn FnMut(isize, T),
) {
    let (mut row_a, mut row_c) = ([0; ROWS], [0; ROWS]);
    let (mut column_b, mut column_c) = ([0; COLUMNS], [0; COLUMNS]);
    let run = ready.sums.first().map_or(1, |axis| axis.extent);
    for first_row in (0..ready.rows_len).step_by(ROWS) {
        let rows = ROWS.min(ready.rows_len - first_row);
        // SAFETY: the arrays are as long as a tile, throughout; the rest is the caller's promise.
        unsafe {
            let range = first_row..first_row + rows;
            offsets(free(&ready.rows), range, row_a.as_mut_ptr(), row_c.as_mut_ptr());
            for first in columns.clone().step_by(COLUMNS) {
                let width = COLUMNS.min(columns.end - first);
                let range = first..first + width;
                offsets(free(&ready.columns), range, column_b.as_mut_ptr(), column_c.as_mut_ptr());
                let mut out = [T::default(); ROWS * COLUMNS];
                let mut p = sums.start;
                while p < sums.end {
                    let len = (run - p % run).min(sums.end - p);
                    let (mut at_a, mut at_b) = (0, 0);
                    offsets(shared(&ready.sums), p..p + 1, &mut at_a, &mut at_b);
                    let dots = kernels.dots[rows - 1][width - 1];
                    dots(
                        len,
                        a.offset(at_a),
                        row_a.as_ptr(),
                        b.offset(at_b),
                        column_b.as_ptr(),
                        out.as_mut_ptr(),
                    );
                    p += len;
                }
                for i in 0..rows {
                    for j in 0..width {
                        put(row_c[i] + column_c[j], out[i * width + j]);
                    }
                }
            }
        }
    }
}

/// The strips of some rows.
///
/// # Safety
/// The operands must be good for every index, `memory` for [`strip_bytes`], and nobody else may use those rows of C
/// meanwhile.
pub(super) unsafe fn run_strips<T: HasKernels>(
    ready: &Ready,
    kernels: &'static Kernels<T>,
    [a, b]: [*const T; 2],
    c: *mut T,
    rows: Range<usize>,
    memory: *mut u8,
) {
    let (mut row_a, mut row_c) = ([0; ROWS], [0; ROWS]);
    let (mut column_b, mut column_c) = ([0; COLUMNS], [0; COLUMNS]);
    let sum_a: *mut isize = memory.cast();
    // SAFETY: the caller's promise: there is room for the offsets of a block of sums in both operands.
    let sum_b = unsafe { sum_a.add(ready.sums_block) };
    for first_row in rows.clone().step_by(ROWS) {
        let height = ROWS.min(rows.end - first_row);
        // SAFETY: the arrays are as long as a tile, throughout; the rest is the caller's promise.
        unsafe {
            let range = first_row..first_row + height;
            offsets(free(&ready.rows), range, row_a.as_mut_ptr(), row_c.as_mut_ptr());
            for first in (0..ready.columns_len).step_by(COLUMNS) {
                let width = COLUMNS.min(ready.columns_len - first);
                let range = first..first + width;
                offsets(free(&ready.columns), range, column_b.as_mut_ptr(), column_c.as_mut_ptr());
                let mut p = 0;
                loop {
                    let k = ready.sums_block.min(ready.sums_len - p);
                    offsets(shared(&ready.sums), p..p + k, sum_a, sum_b);
                    for lane in (0..ready.lanes_len).step_by(kernels.strip_lanes) {
                        let strip = Strip {
                            k,
                            a: a.add(lane),
                            a_rows: row_a.as_ptr(),
                            a_sums: sum_a,
                            b: b.add(lane),
                            b_columns: column_b.as_ptr(),
                            b_sums: sum_b,
                            c: c.offset(lane as isize * ready.c_lane),
                            c_rows: row_c.as_ptr(),
                            c_columns: column_c.as_ptr(),
                            c_lane: ready.c_lane,
                            lanes: kernels.strip_lanes.min(ready.lanes_len - lane),
                            accumulate: ready.accumulate || p > 0,
                        };
                        kernels.strips[height - 1][width - 1](&strip);
                    }
                    p += k;
                    if p >= ready.sums_len {
                        break;
                    }
                }
            }
        }
    }
}

/// The sums of rows of some columns.
///
/// # Safety
/// The operands must be good for every index, `memory` for [`strip_bytes`], and nobody else may use those columns of C
/// meanwhile.
pub(super) unsafe fn run_sweeps<T: HasKernels>(
    ready: &Ready,
    kernels: &'static Kernels<T>,
    [a, b]: [*const T; 2],
    c: *mut T,
    columns: Range<usize>,
    memory: *mut u8,
) {
    let a_sums: *mut isize = memory.cast();
    // SAFETY: the caller's promise, throughout: there is room for the offsets of a block of sums in both operands.
    unsafe {
        let b_sums = a_sums.add(ready.sums_block);
        for first in columns.clone().step_by(COLUMNS_NEAR) {
            let len = COLUMNS_NEAR.min(columns.end - first);
            let mut p = 0;
            loop {
                let k = ready.sums_block.min(ready.sums_len - p);
                offsets(shared(&ready.sums), p..p + k, a_sums, b_sums);
                (kernels.sweep)(&Sweep {
                    k,
                    a,
                    a_sums,
                    b: b.add(first),
                    b_sums,
                    c: c.add(first),
                    len,
                    accumulate: ready.accumulate || p > 0,
                });
                p += k;
                if p >= ready.sums_len {
                    break;
                }
            }
        }
    }
}

/// The sums of some runs: the columns of the innermost axis, for every index of the others.
///
/// # Safety
/// The operands must be good for every index, `memory` for [`strip_bytes`], and nobody else may use those runs of C
/// meanwhile.
pub(super) unsafe fn run_runs<T: HasKernels>(
    ready: &Ready,
    kernels: &'static Kernels<T>,
    [a, b]: [*const T; 2],
    c: *mut T,
    runs: Range<usize>,
    memory: *mut u8,
) {
    let (mut b_runs, mut c_runs) = ([0; RUNS], [0; RUNS]);
    let len = ready.columns.first().map_or(1, |axis| axis.extent);
    let outer = ready.columns.get(1..).unwrap_or(&[]);
    let tiles = runs.len().div_ceil(RUNS);
    let a_sums: *mut isize = memory.cast();
    // SAFETY: the caller's promise, throughout: there is room for the offsets of a block of sums in both operands.
    unsafe {
        let b_sums = a_sums.add(ready.sums_block);
        let mut p = 0;
        loop {
            let k = ready.sums_block.min(ready.sums_len - p);
            offsets(shared(&ready.sums), p..p + k, a_sums, b_sums);
            for tile in 0..tiles {
                // As even as can be.
                let [start, end] = [tile, tile + 1].map(|tile| runs.start + runs.len() * tile / tiles);
                offsets(free(outer), start..end, b_runs.as_mut_ptr(), c_runs.as_mut_ptr());
                for first in (0..len).step_by(VECTORS * kernels.strip_lanes) {
                    let columns = (len - first).min(VECTORS * kernels.strip_lanes);
                    let run = Run {
                        k,
                        a,
                        a_sums,
                        b: b.add(first),
                        b_sums,
                        b_runs: b_runs.as_ptr(),
                        c: c.add(first),
                        c_runs: c_runs.as_ptr(),
                        last: (columns - 1) % kernels.strip_lanes + 1,
                        accumulate: ready.accumulate || p > 0,
                    };
                    kernels.runs[end - start - 1][columns.div_ceil(kernels.strip_lanes) - 1](&run);
                }
            }
            p += k;
            if p >= ready.sums_len {
                break;
            }
        }
    }
}

/// How many runs there are.
pub(super) fn runs_len(ready: &Ready) -> usize {
    ready.columns.iter().skip(1).map(|axis| axis.extent).product()
}

/// Bytes of workspace that one thread needs for strips, or for sums of rows or runs.
pub(super) fn strip_bytes(ready: &Ready) -> usize {
    (2 * ready.sums_block * size_of::<isize>()).next_multiple_of(64)
}

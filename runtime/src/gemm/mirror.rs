//! Products of an operand with itself, `C[i,j] = sum over k of A[i,k] * A[j,k]`, whose result is its own transpose: tiles
//! below the diagonal are not computed but copied from above it.
//!
//! A tile is computed if any of its elements `(i, j)` has `i <= j`. Elements *far* below the diagonal are in no such tile
//! whatever its shape, so that they are written as soon as those above are whole, while these are in the cache. Those *near*
//! it may be in tiles that are computed; they are written when all tiles are. Either way `C[j,i]` is `C[i,j]`, bit by bit.

use super::kernel::{Kernels, MOST_COLUMNS, MOST_ROWS};
use super::panels::Panel;
use super::plan::{Ready, Way};
use std::ops::Range;

/// Rows, and sums, below which copying is no cheaper than computing.
const LEAST_ROWS: usize = 96;
const LEAST_SUMS: usize = 32;

/// Rows that are copied at once.
const SQUARE: usize = 8;

/// Whether the result is its own transpose where both operands are one.
pub(super) fn is_mirrored(ready: &Ready) -> bool {
    let ([row], [column]) = (&ready.rows[..], &ready.columns[..]) else { return false };
    ready.way == Way::Blocks
        && ready.listed.is_none()
        && !ready.chooses
        && ready.band.is_none()
        && !ready.accumulate
        && ready.rows_len >= LEAST_ROWS
        && ready.sums_len >= LEAST_SUMS
        && (row.extent, row.from) == (column.extent, column.from)
        && ready.sums.iter().chain(&ready.batch).all(|axis| axis.a == axis.b)
}

/// The share of all elements that is computed: those above the diagonal, and below it those of tiles that it crosses.
pub(super) fn share(ready: &Ready) -> f64 {
    (0.5 + MOST_COLUMNS as f64 / (2.0 * ready.rows_len as f64)).min(1.0)
}

/// The first row that is near the diagonal in that panel, if rows are counted as columns are; earlier ones are far.
fn near(panel: &Panel) -> usize {
    panel.first.saturating_sub(MOST_COLUMNS + MOST_ROWS) / SQUARE * SQUARE
}

/// Writes what is far below the diagonal from some rows of a panel, which are whole.
///
/// # Safety
/// `c` is good for every index of the plan, and nobody else uses these elements of both triangles meanwhile.
pub(super) unsafe fn copy_far<T: Copy>(
    ready: &Ready,
    kernels: &Kernels<T>,
    c: *mut T,
    rows: Range<usize>,
    panel: &Panel,
) {
    let rows = rows.start..rows.end.min(near(panel));
    // SAFETY: the caller's promise; these rows are before all columns of the panel.
    unsafe { copy(ready, kernels, c, rows, panel.first..panel.first + panel.columns) };
}

/// Writes what is near below the diagonal, where all tiles are whole.
///
/// # Safety
/// `c` is good for every index of the plan, and nobody else uses it meanwhile.
pub(super) unsafe fn copy_near<T: Copy>(ready: &Ready, kernels: &Kernels<T>, c: *mut T) {
    for panel in (0..ready.panels_len()).map(|number| ready.panel(number)) {
        let end = panel.first + panel.columns;
        for start in (panel.first..end).step_by(SQUARE) {
            let columns = start..end.min(start + SQUARE);
            // SAFETY: the caller's promise; first what is before all columns, then the corner.
            unsafe {
                copy(ready, kernels, c, near(&panel)..start, columns.clone());
                for j in columns {
                    copy(ready, kernels, c, start..j, j..j + 1);
                }
            }
        }
    }
}

/// Writes `C[j,i] = C[i,j]` for some rows i and columns j, all rows before all columns.
///
/// # Safety
/// `c` is good for both.
unsafe fn copy<T: Copy>(
    ready: &Ready,
    kernels: &Kernels<T>,
    c: *mut T,
    rows: Range<usize>,
    columns: Range<usize>,
) {
    let (row, column) = (ready.rows[0].c, ready.columns[0].c);
    let place = |i: usize, j: usize| c.wrapping_offset(i as isize * row + j as isize * column);
    let squares = if column == 1 { rows.len() / SQUARE * SQUARE } else { 0 };
    let by: [isize; SQUARE] = std::array::from_fn(|at| at as isize * row);
    for first in columns.clone().step_by(SQUARE) {
        let columns = first..columns.end.min(first + SQUARE);
        let straight = if columns.len() == SQUARE { squares } else { 0 };
        for i in (rows.start..rows.start + straight).step_by(SQUARE) {
            // SAFETY: throughout, the caller's promise.
            unsafe { (kernels.transpose)(place(i, first), by.as_ptr(), 1, place(first, i), row) };
        }
        for i in rows.start + straight..rows.end {
            for j in columns.clone() {
                unsafe { *place(j, i) = *place(i, j) };
            }
        }
    }
}

/// The share of one thread of columns, in multiples of `unit`: of column j as many rows are computed as are before it.
pub(super) fn share_of_columns(len: usize, unit: usize, threads: usize, thread: usize) -> Range<usize> {
    let start = |thread: usize| (len as f64 * (thread as f64 / threads as f64).sqrt()) as usize / unit * unit;
    start(thread)..if thread + 1 == threads { len } else { start(thread + 1) }
}

/// The share of one thread of rows, in multiples of `unit`: of row i the columns behind it are computed.
pub(super) fn share_of_rows(len: usize, unit: usize, threads: usize, thread: usize) -> Range<usize> {
    let start = |thread: usize| {
        let left = (threads - thread) as f64 / threads as f64;
        (len as f64 * (1.0 - left.sqrt())) as usize / unit * unit
    };
    start(thread)..if thread + 1 == threads { len } else { start(thread + 1) }
}

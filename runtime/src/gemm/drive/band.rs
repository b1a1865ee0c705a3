//! Tiles each of whose rows takes sums of its own.

use super::{Block, Work, offsets};
use crate::gemm::Band;
use crate::gemm::kernel::{Kernel, MOST_ROWS, Tile};
use crate::gemm::machine::HasKernels;
use std::ops::Range;

impl<T: HasKernels> Work<'_, T> {
    /// Writes the index of each row of a block that its sums go by.
    ///
    /// # Safety
    /// The area has room for the rows.
    pub(super) unsafe fn place_band(&self, rows: &Range<usize>) {
        if self.ready.band.is_some() {
            let axes = self.ready.rows.iter().map(|axis| (axis.extent, axis.band, axis.band));
            // SAFETY: the caller's promise.
            unsafe { offsets(axes, rows.clone(), self.space.row_band, self.space.row_band) };
        }
    }

    /// The sums of a block that one of its rows takes, counted from the block's first one.
    ///
    /// # Safety
    /// `place_band` has been called for the rows of the block.
    unsafe fn taken(&self, band: &Band, block: &Block, row: usize) -> Range<usize> {
        // SAFETY: the caller's promise.
        let all = band.sums(unsafe { *self.space.row_band.add(row) } as usize, self.ready.sums_len);
        let within = |sum: usize| sum.saturating_sub(block.first_sum).min(block.sums);
        within(all.start)..within(all.end)
    }

    /// The sums of a block from the first to the last that any of some of its rows takes.
    ///
    /// # Safety
    /// As [`Work::taken`].
    pub(super) unsafe fn taken_by_any(&self, block: &Block, rows: Range<usize>) -> Range<usize> {
        let Some(band) = &self.ready.band else { return 0..block.sums };
        // SAFETY: the caller's promise.
        let taken = rows.map(|row| unsafe { self.taken(band, block, row) });
        let both = |all: Range<usize>, one: Range<usize>| all.start.min(one.start)..all.end.max(one.end);
        taken.filter(|sums| !sums.is_empty()).reduce(both).unwrap_or(0..0)
    }

    /// Computes a tile: the sums that neighbouring rows all take at once, the others row by row. What is not taken is not
    /// multiplied, as it need not be a number.
    ///
    /// # Safety
    /// The tile and its kernels must be good for these rows and all sums of the block, and `place_band` has been called.
    pub(super) unsafe fn compute_band(
        &self,
        band: &Band,
        tile: &Tile<T>,
        kernels: &[Kernel<T>],
        block: &Block,
        rows: Range<usize>,
    ) {
        // SAFETY, throughout: the caller's promise: a part of the tile's rows and sums is within the tile.
        let index = |row: usize| unsafe { *self.space.row_band.add(row) };
        let taken = |row: usize| unsafe { self.taken(band, block, row) };
        let compute = |row: usize, height: usize, sums: &Range<usize>, accumulate: bool| {
            let below = row - rows.start;
            let part = Tile {
                k: sums.len(),
                a: tile.a.wrapping_offset(below as isize * tile.a_row + sums.start as isize * tile.a_k),
                far: tile.far.wrapping_offset(sums.start as isize * tile.far_step),
                b_sums: tile.b_sums.wrapping_add(sums.start),
                c_rows: tile.c_rows.wrapping_add(below),
                accumulate,
                ..*tile
            };
            unsafe { kernels[height - 1](&part) };
        };
        let mut start = rows.start;
        while start < rows.end {
            let is_near = |row: &usize| index(*row).abs_diff(index(start)) < MOST_ROWS;
            let end = start + (start..rows.end).take_while(is_near).count();
            let both = |all: Range<usize>, one: Range<usize>| all.start.max(one.start)..all.end.min(one.end);
            let common = (start..end).map(taken).fold(0..block.sums, both);
            let common = common.start..common.end.max(common.start);
            if !common.is_empty() || !tile.accumulate {
                compute(start, end - start, &common, tile.accumulate);
            }
            for row in start..end {
                let all = taken(row);
                let before = all.start..all.end.min(common.start);
                let behind = all.start.max(common.end)..all.end;
                for rest in [before, behind].into_iter().filter(|rest| !rest.is_empty()) {
                    compute(row, 1, &rest, true);
                }
            }
            start = end;
        }
    }
}

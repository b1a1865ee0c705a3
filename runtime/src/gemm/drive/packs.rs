//! Packs the blocks that tiles are computed of.

use super::{Block, START, Work};
use super::{free, offsets};
use crate::gemm::machine::HasKernels;
use crate::gemm::pack;
use crate::gemm::panels::{Panel, Panels};
use crate::gemm::span::Lines;
use std::ops::Range;

impl<T: HasKernels> Work<'_, T> {
    /// The columns of a panel, from its start in B.
    ///
    /// # Safety
    /// The offsets of the block must have been written.
    pub(super) unsafe fn panel_columns(&self, panel: &Panel, number: usize) -> &[isize] {
        let at = if self.ready.panels == Panels::Flat { number * self.ready.panel_columns } else { 0 };
        // SAFETY: `place_columns` has written them.
        unsafe { std::slice::from_raw_parts(self.space.column_b.add(at), panel.columns) }
    }

    /// Writes the offsets of a block of columns.
    pub(super) unsafe fn place_columns(&self, panels: &Range<usize>) {
        let (ready, space) = (self.ready, &self.space);
        // SAFETY: the areas are as long as `Ready` says, throughout.
        match ready.panels {
            Panels::Flat => {
                let start = panels.start * ready.panel_columns;
                let end = (panels.end * ready.panel_columns).min(ready.columns_len);
                unsafe { offsets(free(&ready.columns), start..end, space.column_b, space.column_c) };
            }
            Panels::Runs { .. } => {
                let stride = ready.columns.first().map_or(0, |axis| axis.from);
                (0..ready.panel_columns)
                    .for_each(|j| unsafe { *space.column_b.add(j) = j as isize * stride });
            }
        }
    }

    /// Packs a block of columns, whose offsets have been written.
    pub(super) unsafe fn pack_panels(&self, panels: &Range<usize>, sums: &Range<usize>) {
        let (ready, space) = (self.ready, &self.space);
        if ready.b_unpacked {
            return;
        }
        // SAFETY: the areas are as long as `Ready` says, throughout; places in B are those of the part.
        let offsets_of_sums = unsafe { std::slice::from_raw_parts(space.sum_b, sums.len()) };
        let transpose = self.kernels.transpose;
        let area = ready.panel_columns * ready.sums_block;
        let mut number = 0;
        while number < panels.len() {
            let panel = ready.panel(panels.start + number);
            let to = unsafe { space.b.add(number * area) };
            let from = unsafe { self.b.offset(panel.b) };
            let columns = unsafe { self.panel_columns(&panel, number) };
            if ready.b_run >= 8 {
                unsafe {
                    pack::columns_of_runs(
                        transpose,
                        from,
                        columns,
                        offsets_of_sums,
                        ready.b_run,
                        sums.start,
                        panel.room,
                        to,
                    );
                }
            } else if let Panels::Runs { beside: beside @ 2.., .. } = ready.panels {
                // The panels that follow are side by side in B, as far as that axis goes.
                let left = beside - (panels.start + number) % beside;
                let count = left.min(panels.len() - number);
                unsafe {
                    pack::columns_of_panels(
                        transpose,
                        from,
                        columns,
                        offsets_of_sums,
                        panel.room,
                        to,
                        count,
                        area,
                    );
                }
                number += count;
                continue;
            } else {
                unsafe { (self.kernels.pack_columns)(from, columns, offsets_of_sums, panel.room, to) };
            }
            number += 1;
        }
        if ready.spans {
            for (number, panel) in panels.clone().enumerate() {
                let lines = Lines::of_sums(ready.panel(panel).room);
                unsafe {
                    *space.column_spans.add(number) = lines.span(space.b.add(number * area), sums.len())
                };
            }
        }
    }

    /// Where the rows of a tile lie: the first one, where its sums start from there, the strides of rows and sums.
    ///
    /// # Safety
    /// The offsets of the block must have been written.
    pub(super) unsafe fn tile_rows(
        &self,
        block: &Block,
        start: usize,
        height: usize,
    ) -> (*const T, *const isize, isize, isize) {
        let (ready, space) = (self.ready, &self.space);
        let at = block.slot * ready.a_block();
        // SAFETY: the caller's promise; the areas are as long as `Ready` says.
        unsafe {
            if ready.a_unpacked {
                let row = ready.rows.first().map_or(0, |axis| axis.from);
                let sum = ready.sums.first().map_or(0, |axis| axis.a);
                (self.a.offset(*space.row_a.add(start)), space.sum_a.cast_const(), row, sum)
            } else if ready.a_runs {
                let stride = ready.a_stride();
                (space.a.add(at + start * stride).cast_const(), &raw const START, stride as isize, 1)
            } else {
                let a = space.a.add(at + start * block.sums).cast_const();
                (a, &raw const START, 1, height as isize)
            }
        }
    }

    /// The rows of a tile as they are looked at for zeros.
    ///
    /// # Safety
    /// As [`Work::tile_rows`].
    unsafe fn tile_lines(&self, block: &Block, start: usize) -> (*const T, Lines) {
        let height = self.ready.tile_rows.min(block.rows - start);
        // SAFETY: the caller's promise; sums start at an offset that has been written.
        let (a, row) = unsafe {
            let (a, sums, row, _) = self.tile_rows(block, start, height);
            (a.offset(*sums), row)
        };
        match self.ready.a_unpacked || self.ready.a_runs {
            true => (a, Lines { count: height, stride: row, width: 1 }),
            false => (a, Lines::of_sums(height)),
        }
    }

    /// Packs a block of rows, unless they are read where they are, and looks for zeros.
    pub(super) unsafe fn pack_rows(&self, block: &Block) {
        let (ready, space) = (self.ready, &self.space);
        if ready.a_unpacked && !ready.spans {
            return;
        }
        // SAFETY: the areas are as long as `Ready` says, throughout; places in A are those of the part.
        let sums = unsafe { std::slice::from_raw_parts(space.sum_a, block.sums) };
        for start in (0..block.rows).step_by(ready.tile_rows) {
            let height = ready.tile_rows.min(block.rows - start);
            unsafe {
                if !ready.a_unpacked {
                    let rows = std::slice::from_raw_parts(space.row_a.add(start), height);
                    let (to, _, _, by) = self.tile_rows(block, start, height);
                    let taken = self.taken_by_any(block, start..start + height);
                    let to = to.cast_mut().offset(taken.start as isize * by);
                    self.pack_tile(rows, &sums[taken.clone()], block.first_sum + taken.start, to);
                }
                if ready.spans {
                    let (a, lines) = self.tile_lines(block, start);
                    *space.row_spans.add(ready.span(block.slot, start)) = lines.span(a, block.sums);
                }
            }
        }
    }

    /// Packs the rows of a tile.
    unsafe fn pack_tile(&self, rows: &[isize], sums: &[isize], first_sum: usize, to: *mut T) {
        let ready = self.ready;
        // SAFETY: the areas are as long as `Ready` says; places in A are those of the part.
        unsafe {
            if let Some(cut) = ready.a_box {
                let transpose = self.kernels.transpose;
                pack::rows_of_boxes(transpose, self.a, rows, sums, cut, to, ready.a_stride());
            } else if ready.a_runs {
                pack::rows_of_runs(self.a, rows, sums, ready.a_run, first_sum, to, ready.a_stride());
            } else {
                (self.kernels.pack_rows)(self.a, rows, sums, to);
            }
        }
    }

    /// The sums that count for a tile: those at which neither its rows nor its columns are all zeros, where what they are
    /// multiplied with instead is known to be finite.
    ///
    /// # Safety
    /// Both have been packed, or rows be good where they are.
    pub(super) unsafe fn sums_of(
        &self,
        block: &Block,
        start: usize,
        number: usize,
        room: usize,
    ) -> Range<usize> {
        let (ready, space, sums) = (self.ready, &self.space, block.sums);
        let mut range = 0..sums;
        if !ready.spans {
            return range;
        }
        // SAFETY: the caller's promise; spans have been found where packs were made.
        unsafe {
            let rows = &mut *space.row_spans.add(ready.span(block.slot, start));
            let columns = &mut *space.column_spans.add(number);
            if rows.is_short(sums) {
                let lines = Lines::of_sums(room);
                let b = space.b.add(number * ready.panel_columns * ready.sums_block);
                if *columns.finite.get_or_insert_with(|| lines.is_finite(b, sums)) {
                    range = rows.range();
                }
            }
            if columns.is_short(sums) {
                let is_finite = || {
                    let (a, lines) = self.tile_lines(block, start);
                    lines.is_finite(a, sums)
                };
                if *rows.finite.get_or_insert_with(is_finite) {
                    let columns = columns.range();
                    range = range.start.max(columns.start)..range.end.min(columns.end);
                }
            }
        }
        range.start..range.end.max(range.start)
    }
}

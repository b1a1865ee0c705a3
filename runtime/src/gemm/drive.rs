//! Runs a contraction that is ready: packs blocks and calls kernels on them.

mod band;
mod packs;

use super::groups::{Free, Shared};
use super::kernel::{AHEAD, Kernels, MOST_COLUMNS, MOST_ROWS, Tile};
use super::machine::HasKernels;
use super::mirror;
use super::panels::Panels;
use super::plan::Ready;
use super::span::Span;
use std::ops::Range;
use std::ptr::{null, null_mut};

/// What one thread computes of one contraction of the batch.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub rows: Range<usize>,
    pub panels: Range<usize>,
    pub sums: Range<usize>,
    pub accumulate: bool,
}

/// The memory one thread packs into.
struct Workspace<T> {
    a: *mut T,
    b: *mut T,
    tile: *mut T,
    row_a: *mut isize,
    row_c: *mut isize,
    row_wanted: *mut isize,
    row_band: *mut isize,
    sum_a: *mut isize,
    sum_b: *mut isize,
    sum_packed: *mut isize,
    column_b: *mut isize,
    column_c: *mut isize,
    /// Which sums count for the rows of each tile of packed A, and for each packed panel.
    row_spans: *mut Span,
    column_spans: *mut Span,
}

/// Every area starts at a multiple of this.
const ALIGN: usize = 64;

/// Bytes one thread needs.
pub(super) fn workspace_bytes<T>(ready: &Ready) -> usize {
    let elements = ready.areas().into_iter().map(|len| (len * size_of::<T>()).next_multiple_of(ALIGN));
    let offsets = ready.offsets().into_iter().map(|len| (len * size_of::<isize>()).next_multiple_of(ALIGN));
    let spans = ready.spans().into_iter().map(|len| (len * size_of::<Span>()).next_multiple_of(ALIGN));
    elements.chain(offsets).chain(spans).sum()
}

impl<T> Workspace<T> {
    /// # Safety
    /// `memory` must be good for [`workspace_bytes`].
    unsafe fn new(ready: &Ready, memory: *mut u8) -> Workspace<T> {
        let mut at = 0;
        let mut area = |bytes: usize| {
            // SAFETY: the areas together are as long as `workspace_bytes` says.
            let area = unsafe { memory.add(at) };
            at += bytes.next_multiple_of(ALIGN);
            area
        };
        let [a, b, tile] = ready.areas().map(|len| area(len * size_of::<T>()).cast());
        let [row_a, row_c, row_wanted, row_band, sum_a, sum_b, sum_packed, column_b, column_c] =
            ready.offsets().map(|len| area(len * size_of::<isize>()).cast());
        let [row_spans, column_spans] = ready.spans().map(|len| area(len * size_of::<Span>()).cast());
        Workspace {
            a,
            b,
            tile,
            row_a,
            row_c,
            row_wanted,
            row_band,
            sum_a,
            sum_b,
            sum_packed,
            column_b,
            column_c,
            row_spans,
            column_spans,
        }
    }
}

/// Writes the offsets of positions `range` of the index space of some axes, by two strides of each.
///
/// # Safety
/// `first` and `second` must be good for as many offsets as the range is long.
pub(super) unsafe fn offsets(
    axes: impl Iterator<Item = (usize, isize, isize)> + Clone,
    range: Range<usize>,
    first: *mut isize,
    second: *mut isize,
) {
    let (mut at, len) = (0, range.len());
    let inner = axes.clone().next().unwrap_or((usize::MAX, 0, 0));
    while at < len {
        let mut rest = range.start + at;
        let (mut first_at, mut second_at) = (0, 0);
        for (extent, first_stride, second_stride) in axes.clone() {
            let index = (rest % extent) as isize;
            rest /= extent;
            first_at += index * first_stride;
            second_at += index * second_stride;
        }
        let run = (inner.0 - (range.start + at) % inner.0).min(len - at);
        for _ in 0..run {
            // SAFETY: the caller's promise.
            unsafe {
                *first.add(at) = first_at;
                *second.add(at) = second_at;
            }
            first_at += inner.1;
            second_at += inner.2;
            at += 1;
        }
    }
}

pub(super) fn free(axes: &[Free]) -> impl Iterator<Item = (usize, isize, isize)> + Clone {
    axes.iter().map(|axis| (axis.extent, axis.from, axis.c))
}

pub(super) fn shared(axes: &[Shared]) -> impl Iterator<Item = (usize, isize, isize)> + Clone {
    axes.iter().map(|axis| (axis.extent, axis.a, axis.b))
}

/// A part of contractions at work, for one index of the batch after another.
pub(super) struct Work<'a, T: 'static> {
    ready: &'a Ready,
    kernels: &'static Kernels<T>,
    part: &'a Part,
    a: *const T,
    b: *const T,
    c: *mut T,
    space: Workspace<T>,
    /// Whether the offsets in `space` are those of the whole part, which is one block.
    known: bool,
    /// Whether the result is its own transpose, of which one half is computed.
    mirrored: bool,
}

/// A block of C: so many rows from the first on, and so many sums of each element.
#[derive(Clone, Copy)]
struct Block {
    first_row: usize,
    rows: usize,
    first_sum: usize,
    sums: usize,
    /// Which of the packed blocks of A its rows are.
    slot: usize,
    accumulate: bool,
    /// Whether these sums are the last.
    is_last: bool,
}

/// A range cut into blocks.
fn blocks(range: &Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    range.clone().step_by(len.max(1)).map(move |start| start..end.min(start + len))
}

impl<'a, T: HasKernels> Work<'a, T> {
    /// Computes a part, in that memory.
    ///
    /// # Safety
    /// `memory` must be good for [`workspace_bytes`], and nobody else may use it as long as this is used.
    pub unsafe fn new(
        ready: &'a Ready,
        kernels: &'static Kernels<T>,
        part: &'a Part,
        memory: *mut u8,
    ) -> Work<'a, T> {
        let (a, b, c) = (null(), null(), null_mut());
        // SAFETY: the caller's promise.
        let space = unsafe { Workspace::new(ready, memory) };
        Work { ready, kernels, part, a, b, c, space, known: false, mirrored: false }
    }

    /// Computes the part for one index of the batch.
    ///
    /// # Safety
    /// The operands must be good for every index of the part, and nobody else may use the part's elements of C meanwhile.
    /// So must `wanted` be where what is wanted is chosen.
    pub unsafe fn run(&mut self, [a, b]: [*const T; 2], c: *mut T, wanted: *const u8) {
        (self.a, self.b, self.c) = (a, b, c);
        let (ready, part) = (self.ready, self.part);
        self.mirrored = ready.mirrored && std::ptr::eq(a, b);
        // SAFETY: the caller's promise.
        if ready.chooses && !unsafe { self.wants_any(&part.rows, wanted) } {
            return;
        }
        let stays = ready.a_stays(part.rows.len(), part.sums.len());
        let mut packed = false;
        for panels in blocks(&part.panels, ready.panels_block) {
            // Where there is nothing to sum, kernels still write the zeros.
            let none = part.sums.is_empty().then(|| part.sums.clone());
            let columns_end = || {
                let last = ready.panel(panels.end - 1);
                last.first + last.columns
            };
            let rows_end = if self.mirrored { columns_end() } else { ready.rows_len };
            for (number, sums) in blocks(&part.sums, ready.sums_block).chain(none).enumerate() {
                let accumulate = part.accumulate || sums.start > part.sums.start;
                if !self.known {
                    // SAFETY: the caller's promise; blocks lie within the part.
                    unsafe { offsets(shared(&ready.sums), sums.clone(), self.space.sum_a, self.space.sum_b) };
                }
                for (turn, panels) in blocks(&panels, ready.panels_packed).enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        if !self.known {
                            self.place_columns(&panels);
                        }
                        self.pack_panels(&panels, &sums);
                    }
                    for rows in blocks(&part.rows, ready.rows_block) {
                        // SAFETY: as above.
                        unsafe {
                            if !self.known {
                                offsets(free(&ready.rows), rows.clone(), self.space.row_a, self.space.row_c);
                                self.place_band(&rows);
                            }
                            let mut count =
                                if ready.chooses { self.choose(rows.clone(), wanted) } else { rows.len() };
                            if !stays {
                                count = count.min(rows_end.saturating_sub(rows.start));
                            }
                            let block = Block {
                                first_row: rows.start,
                                rows: count,
                                first_sum: sums.start,
                                sums: sums.len(),
                                slot: if stays { number } else { 0 },
                                accumulate,
                                is_last: sums.end == part.sums.end,
                            };
                            // Where several panels are packed in turns, all rows are one block.
                            if !(stays && packed || turn > 0) {
                                self.pack_rows(&block);
                            }
                            self.tiles(block, &panels);
                        }
                    }
                }
            }
            packed = stays;
        }
        self.known = !ready.chooses
            && part.panels.len() <= ready.panels_packed
            && part.sums.len() <= ready.sums_block
            && part.rows.len() <= ready.rows_block;
    }

    /// Whether any row is wanted.
    ///
    /// # Safety
    /// `wanted` is good for the rows.
    unsafe fn wants_any(&self, rows: &Range<usize>, wanted: *const u8) -> bool {
        blocks(rows, self.ready.rows_block).any(|rows| {
            // SAFETY: the caller's promise; each area has room for the rows of a block.
            unsafe {
                offsets(free(&self.ready.rows), rows.clone(), self.space.row_a, self.space.row_c);
                self.choose(rows, wanted) > 0
            }
        })
    }

    /// Keeps the offsets of the rows of a block that are wanted; how many there are.
    ///
    /// # Safety
    /// The offsets of the rows must have been written, and `wanted` is good for them.
    unsafe fn choose(&self, rows: Range<usize>, wanted: *const u8) -> usize {
        let Workspace { row_a, row_c, row_wanted, .. } = self.space;
        let axes = self.ready.rows.iter().map(|axis| (axis.extent, axis.wanted, axis.wanted));
        let mut kept = 0;
        // SAFETY: the caller's promise; each area has room for the rows of a block.
        unsafe {
            offsets(axes, rows.clone(), row_wanted, row_wanted);
            for at in 0..rows.len() {
                if *wanted.offset(*row_wanted.add(at)) != 0 {
                    (*row_a.add(kept), *row_c.add(kept)) = (*row_a.add(at), *row_c.add(at));
                    kept += 1;
                }
            }
        }
        kept
    }

    /// Computes a block of C by its panels.
    unsafe fn tiles(&self, block: Block, panels: &Range<usize>) {
        let Block { first_row, sums, accumulate, .. } = block;
        let (ready, space) = (self.ready, &self.space);
        let k = ready.runs.map_or(sums, |runs| runs.sums.min(sums));
        let tile_runs = sums.checked_div(k).unwrap_or(0);
        let row_run = ready.runs.map_or(usize::MAX, |runs| runs.rows);
        let area = ready.panel_columns * ready.sums_block;
        let is_far = !ready.b_unpacked
            && self.part.rows.len() > ready.rows_block
            && panels.len() * area * size_of::<T>() > FAR;
        let mut room = 0;
        for number in 0..panels.len() {
            let panel = ready.panel(panels.start + number);
            let (b, b_sums) = unsafe {
                if ready.b_unpacked {
                    (self.b.offset(panel.b), space.sum_b)
                } else {
                    if room != panel.room {
                        room = panel.room;
                        (0..sums).for_each(|p| *space.sum_packed.add(p) = (p * room) as isize);
                    }
                    (space.b.add(number * area).cast_const(), space.sum_packed)
                }
            };
            let (c, scattered) = match ready.panels {
                Panels::Runs { .. } => (unsafe { self.c.offset(panel.c) }, None),
                Panels::Flat => {
                    let at = number * ready.panel_columns;
                    // SAFETY: `place_columns` has written them.
                    let columns =
                        unsafe { std::slice::from_raw_parts(space.column_c.add(at), panel.columns) };
                    match columns.iter().enumerate().all(|(j, &column)| column == columns[0] + j as isize) {
                        true => (unsafe { self.c.offset(columns[0]) }, None),
                        false => (self.c, Some(columns)),
                    }
                }
            };
            let kernels = self.kernels.of_columns(panel.columns);
            let last = self.kernels.last(panel.columns);
            // No tile of a mirrored result starts below the diagonal.
            let end = match self.mirrored {
                true => block.rows.min((panel.first + panel.columns).saturating_sub(first_row)),
                false => block.rows,
            };
            // The tiles of this panel ask for the next one, or for the first one, which the next rows are multiplied with.
            let far = space.b.wrapping_add((number + 1) % panels.len() * area).cast_const();
            let tiles = end.div_ceil(ready.tile_rows).max(1);
            let far_step = if is_far { ready.panel_columns.div_ceil(tiles) } else { 0 };
            let mut next = 0;
            while next < end {
                let start = next;
                // Rows of a tile are all one stride apart.
                let left = row_run - (first_row + start) % row_run;
                let height = ready.tile_rows.min(block.rows - start).min(left);
                next += height;
                // SAFETY: the offsets are those of the block, and its places are good by the promise to `run`.
                let ((a, a_sums, a_row, a_k), counted) = unsafe {
                    (self.tile_rows(&block, start, height), self.sums_of(&block, start, number, panel.room))
                };
                let k = if counted.len() < sums { counted.len() } else { k };
                let mut tile = Tile {
                    runs: tile_runs,
                    k,
                    a: a.wrapping_offset(counted.start as isize * a_k),
                    a_sums,
                    a_row,
                    a_k,
                    far: far.wrapping_add(start / ready.tile_rows * sums * far_step),
                    far_step: far_step as isize,
                    b,
                    b_sums: b_sums.wrapping_add(counted.start),
                    ahead: if ready.b_unpacked { 0 } else { AHEAD * panel.room },
                    last,
                    c,
                    c_rows: unsafe { space.row_c.add(start) },
                    accumulate,
                };
                let compute = |tile: &Tile<T>| unsafe {
                    match &ready.band {
                        None => kernels[height - 1](tile),
                        Some(band) => self.compute_band(band, tile, kernels, &block, start..start + height),
                    }
                };
                match scattered {
                    None => compute(&tile),
                    Some(columns) => unsafe {
                        tile.c = space.tile;
                        tile.c_rows = TILE_ROWS.as_ptr();
                        tile.accumulate = false;
                        compute(&tile);
                        self.scatter(start, height, columns, accumulate);
                    },
                }
            }
            if self.mirrored && block.is_last {
                // SAFETY: these rows are whole; nobody computes what is far below the diagonal.
                unsafe { mirror::copy_far(ready, self.kernels, self.c, first_row..first_row + next, &panel) };
            }
        }
    }

    /// Moves a tile to its places in C.
    unsafe fn scatter(&self, start: usize, height: usize, columns: &[isize], accumulate: bool) {
        for i in 0..height {
            // SAFETY: the tile has just been computed, and its places are good by the promise to `run`.
            unsafe {
                let row = self.c.offset(*self.space.row_c.add(start + i));
                let tile = self.space.tile.add(i * MOST_COLUMNS);
                for (j, &column) in columns.iter().enumerate() {
                    let (at, value) = (row.offset(column), *tile.add(j));
                    *at = if accumulate { (*at).plus(value) } else { value };
                }
            }
        }
    }
}

/// Bytes of packed columns that are far away again when the next block of rows is multiplied with them.
const FAR: usize = 1 << 20;

/// Where packed sums start.
static START: isize = 0;

/// Where the rows of a tile start in the area of a tile.
static TILE_ROWS: [isize; MOST_ROWS] = {
    let mut rows = [0; MOST_ROWS];
    let mut i = 0;
    while i < MOST_ROWS {
        rows[i] = (i * MOST_COLUMNS) as isize;
        i += 1;
    }
    rows
};

/// Computes a contraction whose tiles are listed.
///
/// # Safety
/// The operands must be good for every index, and nobody else may use C meanwhile.
pub(super) unsafe fn run_listed<T: HasKernels>(
    ready: &Ready,
    kernels: &'static Kernels<T>,
    [a, b]: [*const T; 2],
    c: *mut T,
) {
    let row = ready.rows.first().map_or(0, |axis| axis.from);
    let sum = ready.sums.first().map_or(0, |axis| axis.a);
    for listed in ready.listed.iter().flatten() {
        // SAFETY: the caller's promise; tiles lie within C.
        unsafe {
            let tile = Tile {
                runs: 1,
                k: ready.sums_len,
                a: a.offset(listed.a),
                a_sums: &raw const START,
                a_row: row,
                a_k: sum,
                far: null(),
                far_step: 0,
                b: b.offset(listed.b),
                b_sums: ready.listed_sums.as_ptr(),
                ahead: 0,
                last: listed.last,
                c: c.offset(listed.c),
                c_rows: ready.listed_rows.as_ptr(),
                accumulate: ready.accumulate,
            };
            let table = if listed.last == kernels.lanes { kernels.whole } else { kernels.partial };
            table[listed.vectors - 1][listed.rows - 1](&tile);
        }
    }
}

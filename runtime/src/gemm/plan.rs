//! By which loops a contraction is computed, and how its rows, columns and sums are cut into panels and blocks.

use super::groups::{Free, Groups, Shared, fill, product, reach, run_of, split_box};
use super::kernel::{Kernels, MOST_COLUMNS};
use super::mirror;
use super::panels::Panels;
use super::thin::ROWS;
use super::winograd::Winograd;
use super::{Band, Gemm};

/// How many times as many rows as a block has otherwise make one block, if there are no more.
const ONE_BLOCK: usize = 2;

/// Panels for which rows are not packed if they need not be.
const PANELS_UNPACKED: usize = 96;

/// Panels for which rows from memory are not packed though they share few sets of the cache.
const PANELS_CLOSE: usize = 6;

/// Bytes of an operand that comes from memory.
pub(super) const FAR: usize = 8 << 20;

/// Bytes of packed columns that stay near while all rows pass, read where they are, and the most sums of these.
const STREAMED: usize = 512 << 10;
const MOST_STREAMED: usize = 4096;

/// Panels for which rows that are no single axis are not packed.
const FEW_PANELS: usize = 2;

/// Sums from which it is worth while to look for zeros.
const LEAST_SPANNED: usize = 32;

/// How many sums side by side are worth an offset of their own.
const LEAST_RUN: usize = 16;

/// Rows from which windows are packed all the same: so many are multiplied with each that packing them counts little.
const MANY_ROWS: usize = 192;

/// Bytes of a panel that is read through windows and of a tile's rows that stay in the nearest cache, of 48 KiB, beside C.
const NEAR: f64 = 41.0 * 1024.0;

/// Bytes of C up to which it stays in the cache while it is written in any order.
const C_STAYS: usize = 1 << 19;

/// Sums that are multiplied at once however far they reach: C is read and written as often as there are blocks of them.
const LEAST_NEARBY: usize = 128;

/// Sums up to which writing C counts more than multiplying.
const FEW_SUMS: f64 = 32.0;

/// Rows and sums that are read where they are though neither are one axis: tiles end with runs of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RowRuns {
    /// How many rows that follow each other are one stride apart.
    pub rows: usize,
    /// How many sums that follow each other are side by side in A.
    pub sums: usize,
}

/// One tile of a contraction so small that it is listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub rows: usize,
    pub vectors: usize,
    /// Columns of the last vector.
    pub last: usize,
    pub a: isize,
    pub b: isize,
    pub c: isize,
}

/// Which loops compute a contraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// Packed blocks, or listed tiles.
    Blocks,
    /// Dot products.
    Dots,
    /// Strips of the batch.
    Strips,
    /// Sums of rows.
    Sweeps,
    /// Sums of runs.
    Runs,
    /// Products of transformed windows.
    Winograd,
}

/// A contraction made ready: `a` holds the rows, `b` the columns.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub way: Way,
    /// Whether the caller's operands change places.
    pub swapped: bool,
    pub accumulate: bool,
    /// Whether only rows that are wanted are computed.
    pub chooses: bool,
    /// Which sums of each row are taken, if not all are.
    pub band: Option<Band>,
    /// Whether the result is its own transpose where both operands are one.
    pub mirrored: bool,
    pub batch: Vec<Shared>,
    pub rows: Vec<Free>,
    pub columns: Vec<Free>,
    pub sums: Vec<Shared>,
    pub batch_len: usize,
    pub rows_len: usize,
    pub columns_len: usize,
    pub sums_len: usize,
    /// Extent of the batch axis that strips run along, which is not in `batch` then, and its stride in C.
    pub lanes_len: usize,
    pub c_lane: isize,
    pub panels: Panels,
    /// Columns a panel may have.
    pub panel_columns: usize,
    /// Elements of a vector.
    pub lanes: usize,
    /// Rows of a tile.
    pub tile_rows: usize,
    /// Rows, sums, panels of a block.
    pub rows_block: usize,
    pub sums_block: usize,
    pub panels_block: usize,
    /// Panels that are packed at once.
    pub panels_packed: usize,
    /// Elements that packed A may take.
    pub a_area: usize,
    /// Whether kernels read rows or columns where they are.
    pub a_unpacked: bool,
    pub b_unpacked: bool,
    /// The runs of rows and sums, where kernels read rows where they are by runs.
    pub runs: Option<RowRuns>,
    /// How many sums that follow each other are side by side in A, and in B.
    pub a_run: usize,
    pub b_run: usize,
    /// Whether packed rows of A keep their sums side by side.
    pub a_runs: bool,
    /// Whether zeros at the ends of packs are looked for, see [`super::span`].
    pub spans: bool,
    /// The extent of the innermost sums, where those of B are side by side and the next ones of A.
    pub a_box: Option<usize>,
    /// How windows are multiplied by transforms.
    pub winograd: Option<Winograd>,
    /// The tiles, if they are few and need no packing.
    pub listed: Option<Vec<Listed>>,
    /// Where the rows of a tile start in C, for listed tiles.
    pub listed_rows: Vec<isize>,
    /// Where the sums are in B, for listed tiles.
    pub listed_sums: Vec<isize>,
}

impl Ready {
    /// Makes a contraction ready for those kernels, where that is settled with operands that change places or do not. `None`
    /// where it is too large to address.
    pub fn new<T>(gemm: &Gemm, kernels: &Kernels<T>, swapped: Option<bool>) -> Option<Ready> {
        let mut groups = Groups::of(gemm)?;
        let chooses = !gemm.wanted.is_empty();
        let turned = if chooses { groups.choose() } else { groups.put_band_in_rows() };
        // Packed blocks alone know how to leave something out.
        let in_blocks = chooses || gemm.band.is_some();
        groups.merge();
        let lanes = kernels.lanes;
        let score = |axes: &[Free]| {
            let (filled, side_by_side) = fill(axes, lanes);
            // Columns apart in C are stored one by one, which costs about as much as half-empty vectors.
            filled * if side_by_side { 1.0 } else { 0.6 }
        };
        let sums_len = groups.sums.iter().map(|axis| axis.extent as f64).product::<f64>();
        // Instructions for an element of C: few sums are soon added up, and leave the stores to count.
        let cost = |axes: &[Free]| {
            let (filled, side_by_side) = fill(axes, lanes);
            sums_len / (filled * lanes as f64) + if side_by_side { 1.0 / lanes as f64 } else { 1.5 }
        };
        let len = |axes: &[Free]| axes.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul);
        let (rows_len, columns_len) = (len(&groups.rows), len(&groups.columns));
        let has_runs = |axis: &Shared| axis.a == 1 && axis.b == 1 && axis.extent >= 16;
        let has_strips = |axis: &Shared| axis.a == 1 && axis.b == 1 && axis.c == 1 && axis.extent >= 4;
        // Lanes apart in C are written one by one: where many sums are behind each, and where packing would be for little.
        let are_few = rows_len.min(columns_len) <= 2 * ROWS && sums_len >= 8.0;
        let has_apart = |axis: &Shared| are_few && axis.a == 1 && axis.b == 1 && axis.extent >= 8;
        let has_runs_of_columns = |rows: &[Free], columns: &[Free]| {
            rows.is_empty()
                && columns.len() > 1
                && columns.iter().any(|axis| (axis.from, axis.c) == (1, 1) && axis.extent >= 4)
        };
        let runs_as_is = has_runs_of_columns(&groups.rows, &groups.columns);
        let is_swept = |rows: &[Free], columns: &[Free]| {
            rows.is_empty() && matches!(columns, [axis] if (axis.from, axis.c) == (1, 1) && axis.extent >= 16)
        };
        let swept_as_is = is_swept(&groups.rows, &groups.columns);
        let way = if in_blocks {
            Way::Blocks
        } else if rows_len.min(columns_len) <= ROWS && groups.sums.iter().any(has_runs) {
            Way::Dots
        } else if swept_as_is || is_swept(&groups.columns, &groups.rows) {
            Way::Sweeps
        } else if groups.batch.iter().any(has_strips) || groups.batch.iter().any(has_apart) {
            Way::Strips
        } else if runs_as_is || has_runs_of_columns(&groups.columns, &groups.rows) {
            Way::Runs
        } else {
            Way::Blocks
        };
        let better = || match way {
            _ if in_blocks => false,
            Way::Dots => rows_len > columns_len,
            Way::Sweeps => !swept_as_is,
            Way::Runs => !runs_as_is,
            _ => score(&groups.rows) > score(&groups.columns) && cost(&groups.rows) < cost(&groups.columns),
        };
        let swapped = swapped.filter(|_| way == Way::Blocks).unwrap_or_else(better);
        if swapped {
            groups.swap();
        }
        let batch_len = groups.batch.iter().map(|axis| axis.extent).fold(1, usize::saturating_mul);
        let elements = [rows_len, columns_len, batch_len].into_iter().fold(1, usize::saturating_mul);
        let is_large = elements.saturating_mul(size_of::<T>()) > C_STAYS;
        if way == Way::Blocks && !in_blocks && is_large && sums_len <= FEW_SUMS {
            groups.gather(sums_len as usize);
        }
        groups.order();
        let Groups { mut batch, rows, mut columns, mut sums } = groups;
        let (mut lanes_len, mut c_lane) = (1, 1);
        match way {
            Way::Dots => {
                let at = sums.iter().position(has_runs).expect("there are runs");
                sums.swap(0, at);
            }
            Way::Strips => {
                let at = batch.iter().position(has_strips).or_else(|| batch.iter().position(has_apart));
                let axis = batch.remove(at.expect("there are strips"));
                (lanes_len, c_lane) = (axis.extent, axis.c);
            }
            Way::Runs => {
                let at = columns.iter().position(|axis| (axis.from, axis.c) == (1, 1));
                columns.swap(0, at.expect("there are runs"));
            }
            Way::Blocks | Way::Sweeps | Way::Winograd => {}
        }
        let a_box = match way {
            Way::Blocks if columns.iter().all(|axis| axis.from != 1) => {
                split_box(&mut sums, kernels.sums_packed / 8)
            }
            _ => None,
        };
        let a_run = run_of(sums.iter().map(|axis| (axis.extent, axis.a)));
        let b_run = run_of(sums.iter().map(|axis| (axis.extent, axis.b)));
        let rows_apart = rows.first().is_none_or(|axis| axis.from != 1 || axis.extent < 8);
        let batch_len = product(batch.iter().map(|axis| axis.extent))?;
        let rows_len = product(rows.iter().map(|axis| axis.extent))?;
        let columns_len = product(columns.iter().map(|axis| axis.extent))?;
        let sums_len = product(sums.iter().map(|axis| axis.extent))?;
        [batch_len, rows_len, columns_len, lanes_len].into_iter().try_fold(1usize, usize::checked_mul)?;
        let mut ready = Ready {
            way,
            lanes_len,
            c_lane,
            swapped: swapped || turned,
            accumulate: gemm.accumulate,
            chooses,
            band: gemm.band,
            mirrored: false,
            batch_len,
            rows_len,
            columns_len,
            sums_len,
            panels: Panels::Flat,
            panel_columns: kernels.vectors * lanes,
            lanes,
            tile_rows: kernels.rows,
            rows_block: 0,
            sums_block: 0,
            panels_block: 0,
            panels_packed: 0,
            a_area: 0,
            a_unpacked: false,
            b_unpacked: false,
            runs: None,
            a_run,
            b_run,
            a_runs: a_box.is_some() || a_run >= 8 || a_run > 1 && rows_apart,
            a_box,
            spans: false,
            winograd: None,
            listed: None,
            listed_rows: Vec::new(),
            listed_sums: Vec::new(),
            batch,
            rows,
            columns,
            sums,
        };
        ready.cut(kernels);
        if way == Way::Blocks && !in_blocks {
            ready.list();
            if ready.listed.is_none() && ready.batch_len <= 1 {
                ready.winograd = Winograd::of(&ready.rows, &ready.columns, &ready.sums, kernels);
            }
        }
        if ready.winograd.is_some() {
            ready.way = Way::Winograd;
        }
        ready.mirrored = mirror::is_mirrored(&ready);
        Some(ready)
    }

    /// Chooses panels and blocks.
    fn cut<T>(&mut self, kernels: &Kernels<T>) {
        let run = self.columns.first().map_or(1, |axis| axis.extent);
        let side_by_side = self.columns.first().is_none_or(|axis| axis.c == 1);
        let few_rows = self.sums.len() <= 1 && self.rows_len <= 2 * kernels.rows;
        if side_by_side
            && (run * 4 >= self.lanes * 3 || run == self.columns_len)
            && (few_rows || self.is_whole::<T>(run, kernels.vectors) || !self.runs_on(run, kernels))
        {
            let vectors = run.div_ceil(self.lanes);
            let inner = self.columns.first().map_or(1, |axis| axis.from);
            let beside =
                self.columns.get(1).filter(|axis| axis.from == 1 && inner != 1).map_or(1, |axis| axis.extent);
            self.panels = Panels::Runs { of_run: vectors.div_ceil(kernels.vectors).max(1), vectors, beside };
        }
        let heights = [kernels.rows, kernels.rows - 1, kernels.rows - 2, kernels.rows - 3];
        let divides =
            |&height: &usize| height * 8 >= kernels.rows * 5 && self.rows_len.is_multiple_of(height);
        self.tile_rows = heights.into_iter().find(divides).unwrap_or(kernels.rows);
        let is_in_place = self.way == Way::Blocks
            && self.columns.first().is_none_or(|axis| axis.from == 1)
            && matches!(self.panels, Panels::Runs { .. });
        let has_windows = is_in_place && self.overlaps::<T>();
        // Rows that keep their sums side by side are read as well where they are, but for strides that are multiples of
        // a page: those would share few sets of the cache. Where they come from memory all the same, this matters less.
        let row_bytes = self.rows.first().map_or(0, |axis| axis.from.unsigned_abs() * size_of::<T>());
        let spread_out = !row_bytes.is_multiple_of(4096) || self.rows_len <= 1;
        let panels = match spread_out {
            true => PANELS_UNPACKED,
            false if row_bytes.saturating_mul(self.rows_len) >= FAR => PANELS_CLOSE,
            false => FEW_PANELS,
        };
        let reads_well = self.a_runs && self.panels_len() <= panels;
        let one_after_another = self.sums.len() <= 1 || self.a_run == self.sums_len;
        self.a_unpacked = !self.chooses
            && one_after_another
            && self.rows.len() <= 1
            && (self.panels_len() <= 2 || reads_well);
        let most_sums = if has_windows {
            self.sums_nearby::<T>(kernels.sums_packed)
        } else if self.a_unpacked && self.a_run == self.sums_len {
            // Memory is faster along longer pieces of rows.
            let columns = self.columns_len.next_multiple_of(self.lanes);
            (STREAMED / (columns * size_of::<T>()).max(1)).min(MOST_STREAMED).max(kernels.sums_packed)
        } else {
            kernels.sums_packed
        };
        let sums_blocks = self.sums_len.div_ceil(most_sums).max(1);
        self.sums_block = self.sums_len.div_ceil(sums_blocks).next_multiple_of(8).max(8);
        if let Some(cut) = self.a_box {
            let whole = self.sums_len.next_multiple_of(cut);
            self.sums_block = whole.min(kernels.sums_packed / (8 * cut) * (8 * cut));
        }
        // Rows that fit one block are packed once for all panels of a block.
        let rows_blocks = match self.rows_len <= ONE_BLOCK * kernels.rows_packed {
            true => 1,
            false => self.rows_len.div_ceil(kernels.rows_packed),
        };
        self.rows_block = self.rows_len.div_ceil(rows_blocks).next_multiple_of(self.tile_rows);
        // Where all rows fit one block, packed columns are read once: few of them, so that they stay in the cache. Columns
        // that are read where they are need no turns.
        let columns_block = if rows_blocks > 1 || has_windows {
            kernels.columns_packed
        } else {
            (kernels.columns_packed * 64 / self.sums_block)
                .clamp(16 * self.panel_columns / 3, kernels.columns_packed)
        };
        let block = (columns_block / self.panel_columns).max(1);
        self.panels_packed = match self.panels {
            Panels::Runs { beside, .. } if beside >= 8 => {
                // Two lines of B at a time; where the packs are read once, few enough sums that they stay in the cache.
                if self.rows_len <= kernels.rows_packed {
                    self.sums_block = self.sums_block.min(64);
                }
                block.max(32)
            }
            Panels::Runs { of_run, .. } if of_run <= block => block / of_run * of_run,
            Panels::Runs { of_run, .. } => block.min(of_run),
            Panels::Flat => block,
        };
        self.panels_packed = self.panels_packed.min(self.panels_len().max(1));
        let columns = self.panels_packed * self.panel_columns;
        let turns = if rows_blocks == 1 { (kernels.columns_packed / columns).max(1) } else { 1 };
        self.panels_block = self.panels_packed * turns;
        let few_rows = self.rows_len <= 2 * self.tile_rows;
        self.b_unpacked = has_windows || is_in_place && self.sums.len() <= 1 && few_rows;
        if self.b_unpacked && few_rows && self.sums.len() <= 1 && self.panels_len() > 3 {
            // Little is used twice but C: go along the rows of B, a few at once, as far as C stays in the cache.
            self.sums_block = self.sums_block.min(if self.rows_len <= 2 { 4 } else { 64 });
            let columns = if self.rows_len <= 2 { 8192 } else { 65536 / self.rows_len };
            self.panels_packed = (columns / self.panel_columns).min(self.panels_len());
            self.panels_block = self.panels_packed;
        }
        let all = self.a_block().saturating_mul(self.sums_len.div_ceil(self.sums_block).max(1));
        self.a_area = all.min(kernels.rows_packed * kernels.sums_packed * 5 / 4).max(self.a_block());
        if !self.a_unpacked && spread_out {
            self.read_by_runs(kernels);
        }
        let lies_side_by_side = self.runs.is_none() && self.a_run == self.sums_len;
        self.spans = self.band.is_none()
            && !self.b_unpacked
            && (!self.a_unpacked || lies_side_by_side)
            && self.sums_len >= LEAST_SPANNED;
    }

    /// Lets kernels read rows where they are by runs: where few columns are computed for each, to pack them is a good part of
    /// the work.
    fn read_by_runs<T>(&mut self, kernels: &Kernels<T>) {
        let rows = self.rows.first().map_or(1, |axis| axis.extent);
        let sums = self.a_run;
        let tiles = rows.div_ceil(kernels.rows);
        let is_worth = self.way == Way::Blocks
            && !self.chooses
            && self.band.is_none()
            && self.panels_len() <= FEW_PANELS
            && sums >= LEAST_RUN
            && sums <= kernels.sums_packed
            && rows * 2 >= tiles * kernels.rows;
        if !is_worth {
            return;
        }
        (self.a_unpacked, self.runs) = (true, Some(RowRuns { rows, sums }));
        // Tiles as even as can be, and blocks of whole runs.
        self.tile_rows = rows.div_ceil(tiles);
        self.rows_block = match rows <= kernels.rows_packed {
            true => kernels.rows_packed / rows * rows,
            false => self.rows_block.next_multiple_of(self.tile_rows),
        };
        self.sums_block = kernels.sums_packed / sums * sums;
    }

    /// Whether B is read through windows: packed it would be larger, by far, than it is. No stride of its sums is one of
    /// pages, which would share few sets of the cache.
    fn overlaps<T>(&self) -> bool {
        let all = self.columns.iter().map(|axis| (axis.extent, axis.from));
        let all = all.chain(self.sums.iter().map(|axis| (axis.extent, axis.b)));
        let is_page = |axis: &Shared| axis.b != 0 && (axis.b * size_of::<T>() as isize) % 4096 == 0;
        reach(all).saturating_mul(2) <= self.sums_len.saturating_mul(self.columns_len)
            && self.sums.len() > 1
            && !self.sums.iter().any(|axis| axis.extent > 4 && is_page(axis))
    }

    /// How many sums, at most so many, a panel that is read through windows is multiplied with while it stays in the nearest
    /// cache: all tiles of a block read it, while their rows pass.
    fn sums_nearby<T>(&self, most: usize) -> usize {
        let columns = match self.panels {
            Panels::Runs { of_run, vectors, .. } => vectors.div_ceil(of_run) * self.lanes,
            Panels::Flat => self.panel_columns,
        };
        // What sums read side by side, one behind another or overlapping, and how many such pieces there are.
        let (mut piece, mut pieces) = (columns, 1.0);
        for axis in &self.sums {
            match axis.b.unsigned_abs() {
                near if near <= piece => piece = piece.saturating_add(near.saturating_mul(axis.extent - 1)),
                _ => pieces *= axis.extent as f64,
            }
        }
        // A piece begins and ends in the midst of a line.
        let bytes = pieces * (piece as f64 * size_of::<T>() as f64 + 64.0);
        let each = bytes / self.sums_len.max(1) as f64 + (self.tile_rows * size_of::<T>()) as f64;
        most.min((NEAR / each) as usize).max(LEAST_NEARBY)
    }

    /// Whether runs are whole vectors, several of them, that are multiplied where they lie: those that fill tiles, and
    /// others unless packing them is little beside the rows that they are multiplied with.
    fn is_whole<T>(&self, run: usize, vectors: usize) -> bool {
        run >= 2 * self.lanes
            && run.is_multiple_of(self.lanes)
            && (fills(run, vectors * self.lanes) || self.rows_len < MANY_ROWS)
            && self.overlaps::<T>()
    }

    /// Whether runs of columns follow each other in C, while cut on their own they leave vectors or tiles half empty.
    fn runs_on<T>(&self, run: usize, kernels: &Kernels<T>) -> bool {
        let joined = run_of(self.columns.iter().map(|axis| (axis.extent, axis.c)));
        let tile = self.lanes * kernels.vectors;
        // Tiles with columns of two such stretches are written one by one.
        let are_few = joined.is_multiple_of(tile) || joined >= 8 * tile;
        let is_unit = self.columns.first().is_some_and(|axis| axis.from == 1);
        let is_short = run < tile || !fills(run, tile) && self.rows_len >= MANY_ROWS;
        is_unit && joined > run && are_few && is_short && run * 10 < run.next_multiple_of(tile) * 9
    }

    /// Lists the tiles, if they are few and can be read where they are.
    fn list(&mut self) {
        let Panels::Runs { .. } = self.panels else { return };
        let work = self.rows_len.saturating_mul(self.columns_len).saturating_mul(self.sums_len);
        let tiles = self.rows_len.div_ceil(self.tile_rows).saturating_mul(self.panels_len());
        let is_straight = self.sums.len() <= 1
            && self.rows.len() <= 1
            && self.columns.first().is_none_or(|axis| axis.from == 1);
        if !is_straight || work > 64 * 64 * 64 || tiles > 64 || work == 0 {
            return;
        }
        let row = self.rows.first().copied().unwrap_or(Free { extent: 1, ..Free::default() });
        let mut listed = Vec::with_capacity(tiles);
        for panel in 0..self.panels_len() {
            let panel = self.panel(panel);
            for i in (0..self.rows_len).step_by(self.tile_rows) {
                listed.push(Listed {
                    rows: self.tile_rows.min(self.rows_len - i),
                    vectors: panel.columns.div_ceil(self.lanes),
                    last: (panel.columns - 1) % self.lanes + 1,
                    a: i as isize * row.from,
                    b: panel.b,
                    c: i as isize * row.c + panel.c,
                });
            }
        }
        self.listed_rows = (0..self.tile_rows.min(self.rows_len) as isize).map(|i| i * row.c).collect();
        let sum = self.sums.first().map_or(0, |axis| axis.b);
        self.listed_sums = (0..self.sums_len as isize).map(|p| p * sum).collect();
        self.listed = Some(listed);
    }

    /// Whether packed A of a part with that many rows and sums fits its area as a whole.
    pub fn a_stays(&self, rows: usize, sums: usize) -> bool {
        let blocks = sums.div_ceil(self.sums_block).max(1);
        rows <= self.rows_block && self.a_block().saturating_mul(blocks) <= self.a_area
    }

    /// Elements of one packed block of A.
    pub fn a_block(&self) -> usize {
        self.rows_block * self.a_stride()
    }

    /// The row stride of A packed as runs: past the end of the block, and no multiple of a page.
    pub fn a_stride(&self) -> usize {
        self.sums_block + 16
    }

    /// Elements of the packing areas of one thread: A, B, a tile.
    pub fn areas(&self) -> [usize; 3] {
        let a = if self.a_unpacked { 0 } else { self.a_area };
        let b = if self.b_unpacked { 0 } else { self.panels_packed * self.panel_columns * self.sums_block };
        [a, b, 8 * MOST_COLUMNS]
    }

    /// Spans one thread keeps: of the tiles of packed rows, of packed panels.
    pub fn spans(&self) -> [usize; 2] {
        let slots = if self.spans { self.a_area / self.a_block() } else { 0 };
        [self.span(slots, 0), if self.spans { self.panels_packed } else { 0 }]
    }

    /// Which span is that of the rows of a tile from `start` on, of one of the packed blocks of A.
    pub fn span(&self, slot: usize, start: usize) -> usize {
        slot * self.rows_block.div_ceil(self.tile_rows) + start / self.tile_rows
    }

    /// Offsets one thread keeps: rows of A, of C, of what is wanted and of a band, sums of A, B and packed B, columns of B
    /// and C.
    pub fn offsets(&self) -> [usize; 9] {
        let columns = match self.panels {
            Panels::Runs { .. } => self.panel_columns,
            Panels::Flat => self.panels_packed * self.panel_columns,
        };
        let (rows, sums) = (self.rows_block, self.sums_block);
        let wanted = if self.chooses { rows } else { 0 };
        let band = if self.band.is_some() { rows } else { 0 };
        [rows, rows, wanted, band, sums, sums, sums, columns, columns]
    }
}

/// Whether a run cut into tiles fills most of them.
fn fills(run: usize, tile: usize) -> bool {
    run * 4 >= run.next_multiple_of(tile) * 3
}

//! Products with windows of three by three, of which tiles of two by two results take 16 multiplications for 36 where they
//! step by one, and 25 where they step by two.
//!
//! A tile reads four by four or five by five places of B. `Y = Aᵀ ((G g Gᵀ) ∘ (Bᵀ d B)) A`, where `d` are these places, `g`
//! the nine weights and `∘` multiplies element by element, with
//!
//! ```text
//! Bᵀ = 1  0 -1  0     G =  1    0    0     Aᵀ = 1  1  1  0        step by one
//!      0  1  1  0         1/2  1/2  1/2         0  1 -1 -1
//!      0 -1  1  0         1/2 -1/2  1/2
//!      0  1  0 -1          0    0    1
//!
//! Bᵀ = 1  0 -1  0  0  G =  1    0    0     Aᵀ = 1  1  1  0  0     step by two
//!      0  1  0  0  0       0    1    0          0  0  1  1  1
//!      0  0  1  0  0       1    0    1
//!      0  0  0  1  0       0    1    0
//!      0  0 -1  0  1       0    0    1
//! ```
//!
//! so that over all sums there are 16 or 25 products of matrices, rows by sums times sums by tiles. Such of them as are
//! everywhere added to each other, the first two and the last two of five, are summed up as one product of more terms. The
//! weights are transformed as a whole; tiles by blocks whose places stay in the cache, in which the products of some rows are
//! made and put together at once.
//!
//! A result is made of the places that its own window reads and of no others, so that what is not a number spreads no
//! further; but it has rounding errors of the largest of them times the sum of its weights' magnitudes, also where weights
//! are zero, and infinite places make results that are not numbers where the sum would be infinite.
//!
//! # Source
//! Lavin and Gray, "Fast algorithms for convolutional neural networks", arXiv 1509.09308; Winograd, "Arithmetic complexity
//! of computations", 1980.

mod transform;

use super::drive::{free, offsets, shared};
use super::groups::{Free, Shared, product, reach};
use super::kernel::{Kernels, Tile};
use super::machine::HasKernels;
use super::pack::{columns_of_runs, run_of};
use std::ops::Range;
use transform::{MOST_TERMS, factors, terms};
pub(super) use transform::{Places, Results, Transforms, places, results, weights};

/// Bytes that the transformed places of a block should take, in the second cache.
const BLOCK: usize = 3 << 18;

/// The most sums of a block, where windows step by one and by two: all weights are read for each block of tiles, so that more
/// tiles are better than more sums.
const MOST_SUMS: [usize; 2] = [96, 48];

/// Rows whose products are made and put together at once.
const ROWS: usize = 32;

/// Sums whose weights are packed before they are transformed.
const SUMS_TRANSFORMED: usize = 16;

/// The most rows that are side by side in transformed weights.
const MOST_TOGETHER: usize = 16;

/// What the transforms take for each weight, for a tile of places, and for a tile of results and a block of sums, in
/// multiply-adds.
const WEIGHT: f64 = 300.0;
const PLACES: f64 = 100.0;
const RESULTS: f64 = 120.0;

/// How a contraction is computed so.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    /// By how many places windows step.
    step: usize,
    /// The windows: places of results and of weights, along rows of B and from row to row.
    x: Free,
    y: Free,
    s: Shared,
    r: Shared,
    /// Other columns, and other sums.
    columns: Vec<Free>,
    sums: Vec<Shared>,
    rows_len: usize,
    sums_len: usize,
    /// Rows that are side by side in transformed weights, and in how many tiles these are multiplied.
    together: usize,
    parts: usize,
    /// Strips of all columns, of a row of results, and of a block.
    strips: usize,
    of_row: usize,
    of_block: usize,
    /// The most tiles of a strip.
    strip_tiles: usize,
    sums_block: usize,
    lanes: usize,
    vectors: usize,
    /// What it takes, transforms included, of one multiply-add for each index of all axes.
    pub share: f64,
}

/// What windows are multiplied with, where they are, and where the products go.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a, T> {
    pub rows: &'a [Free],
    pub b: *const T,
    pub c: *mut T,
    pub accumulate: bool,
}

/// What is transformed, and where.
struct Areas<T> {
    sums_a: *mut isize,
    sums_b: *mut isize,
    weights: *mut T,
    places: *mut T,
    products: *mut T,
    /// Where the sums of all terms of a product are in transformed weights and places.
    terms_a: *mut isize,
    terms_b: *mut isize,
}

/// Every area starts at a multiple of this.
const ALIGN: usize = 64;

impl Winograd {
    /// How a contraction with such windows is computed, if it has them and it pays.
    pub fn of<T>(rows: &[Free], columns: &[Free], sums: &[Shared], kernels: &Kernels<T>) -> Option<Winograd> {
        kernels.winograd.as_ref()?;
        [1, 2].into_iter().find_map(|step| Winograd::that_steps(step, rows, columns, sums, kernels))
    }

    /// The same for windows that step by so many places.
    fn that_steps<T>(
        step: usize,
        rows: &[Free],
        columns: &[Free],
        sums: &[Shared],
        kernels: &Kernels<T>,
    ) -> Option<Winograd> {
        // Each is taken by its place: others may be like it.
        let three = |place: isize| sums.iter().position(|axis| axis.extent == 3 && axis.b == place);
        let at_x = columns.iter().position(|axis| (axis.from, axis.c) == (step as isize, 1))?;
        let at_s = three(1)?;
        let (at_y, at_r) = columns.iter().enumerate().find_map(|(at, axis)| {
            let row = axis.from / step as isize;
            let has_rows = row != 1 && row * step as isize == axis.from;
            Some((at, three(row).filter(|_| has_rows)?))
        })?;
        let (x, y, s, r) = (columns[at_x], columns[at_y], sums[at_s], sums[at_r]);
        let columns = without(columns, [at_x, at_y]);
        let sums = without(sums, [at_s, at_r]);
        let rows_len = product(rows.iter().map(|axis| axis.extent))?;
        let sums_len = product(sums.iter().map(|axis| axis.extent))?;
        let images = product(columns.iter().map(|axis| axis.extent))?;
        // Transformed weights are as many as these are: there is memory for them where these have memory of their own.
        let of_rows = rows.iter().map(|axis| (axis.extent, axis.from));
        let reach = reach(of_rows.chain(sums.iter().chain([&r, &s]).map(|axis| (axis.extent, axis.a))));
        let has_own = rows_len.saturating_mul(sums_len).saturating_mul(9) <= reach;
        if !has_own || [rows_len, sums_len, images, x.extent, y.extent].contains(&0) {
            return None;
        }

        let lanes = kernels.lanes;
        let row_tiles = x.extent.div_ceil(2);
        let sums_block = sums_len.div_ceil(sums_len.div_ceil(MOST_SUMS[step - 1]));
        let factors = factors(step).pow(2);
        let most_tiles = BLOCK / (factors * size_of::<T>() * sums_block);
        let most_tiles = most_tiles.max(kernels.vectors * lanes) / lanes * lanes;
        let of_row = row_tiles.div_ceil(most_tiles);
        let strip_tiles =
            if of_row == 1 { row_tiles } else { row_tiles.div_ceil(of_row).next_multiple_of(lanes) };
        let of_row = row_tiles.div_ceil(strip_tiles);
        let strips = images.checked_mul(y.extent.div_ceil(2))?.checked_mul(of_row)?;
        // As many strips as fill vectors best.
        let filled = |strips: usize| {
            let tiles = strips * strip_tiles;
            tiles as f64 / tiles.next_multiple_of(lanes) as f64
        };
        let most = if of_row == 1 { (most_tiles / strip_tiles).clamp(1, strips) } else { 1 };
        let of_block = (1..=most).max_by(|&one, &other| filled(one).total_cmp(&filled(other))).unwrap_or(1);
        // Blocks of like sizes, if they fill vectors as well.
        let even = strips.div_ceil(strips.div_ceil(of_block));
        let of_block = if filled(even) >= filled(of_block) { even } else { of_block };

        let results = (images * y.extent) as f64 * x.extent as f64;
        let tiles = strips as f64 * strip_tiles as f64;
        let [rows, sums_of_rows, padded] = [rows_len as f64, sums_len as f64, tiles / filled(of_block)];
        let direct = 9.0 * rows * sums_of_rows * results;
        let products = factors as f64 * rows * sums_of_rows * padded;
        let blocks = sums_len.div_ceil(sums_block) as f64;
        let transforms =
            WEIGHT * rows * sums_of_rows + (PLACES * sums_of_rows + RESULTS * rows * blocks) * tiles;
        let together = kernels.rows.next_multiple_of(lanes);
        let share = (products + transforms) / direct;
        (share < 0.9 && together <= MOST_TOGETHER).then(|| Winograd {
            step,
            x,
            y,
            s,
            r,
            columns,
            sums,
            rows_len,
            sums_len,
            together,
            parts: together.div_ceil(kernels.rows),
            strips,
            of_row,
            of_block,
            strip_tiles,
            sums_block,
            lanes,
            vectors: kernels.vectors,
            share,
        })
    }

    /// The transforms of such windows.
    fn transforms<T>(&self, kernels: &'static Kernels<T>) -> &'static Transforms<T> {
        &kernels.winograd.as_ref().expect("there are transforms")[self.step - 1]
    }

    /// How many blocks of tiles there are.
    pub fn blocks(&self) -> usize {
        self.strips.div_ceil(self.of_block)
    }

    /// How many groups of rows, whose weights are transformed together.
    pub fn groups(&self) -> usize {
        self.rows_len.div_ceil(self.together)
    }

    /// Tiles of a block, to whole vectors.
    fn tiles(&self) -> usize {
        (self.of_block * self.strip_tiles).next_multiple_of(self.lanes)
    }

    /// From one sum to the next in transformed places: the last vector of a strip may reach past the tiles.
    fn places_stride(&self) -> usize {
        self.tiles() + self.lanes
    }

    /// From one product to the next in transformed weights, places and in products: a line more than a multiple of a page.
    fn planes(&self) -> [usize; 3] {
        let weights = self.groups() * self.together * self.sums_len;
        let places = self.sums_block * self.places_stride();
        let products = ROWS * self.tiles();
        [weights, places, products].map(|plane| plane.next_multiple_of(1024) + self.lanes)
    }

    /// Bytes of the offsets of sums, of which there are two, of transformed weights, places, products and of the offsets of
    /// terms, of which there are two: the latter three are each thread's own.
    fn bytes<T>(&self) -> [usize; 5] {
        let [weights, places, products] = self.planes().map(|plane| plane * size_of::<T>());
        let (factors, products_of_tile) = (factors(self.step).pow(2), terms(self.step).len().pow(2));
        [
            self.sums_len * size_of::<isize>(),
            factors * weights,
            factors * places,
            products_of_tile * products,
            MOST_TERMS * self.sums_block * size_of::<isize>(),
        ]
        .map(|bytes| bytes.next_multiple_of(ALIGN))
    }

    /// Bytes that so many threads need.
    pub fn workspace_bytes<T>(&self, threads: usize) -> usize {
        let [sums, weights, places, products, terms] = self.bytes::<T>();
        (places + products + 2 * terms).saturating_mul(threads).saturating_add(2 * sums + weights)
    }

    /// # Safety
    /// `memory` must be good for [`Winograd::workspace_bytes`] of more than that many threads.
    unsafe fn areas<T>(&self, memory: *mut u8, thread: usize) -> Areas<T> {
        let [sums, weights, places, products, terms] = self.bytes::<T>();
        // SAFETY: these areas are what `workspace_bytes` counts.
        unsafe {
            let mine = memory.add(2 * sums + weights + thread * (places + products + 2 * terms));
            Areas {
                sums_a: memory.cast(),
                sums_b: memory.add(sums).cast(),
                weights: memory.add(2 * sums).cast(),
                places: mine.cast(),
                products: mine.add(places).cast(),
                terms_a: mine.add(places + products).cast(),
                terms_b: mine.add(places + products + terms).cast(),
            }
        }
    }

    /// Writes where sums are: before all else.
    ///
    /// # Safety
    /// `memory` is good for the workspace, and nobody else uses it meanwhile.
    pub unsafe fn place_sums<T>(&self, memory: *mut u8) {
        // SAFETY: the areas are as long as there are sums.
        unsafe {
            let areas = self.areas::<T>(memory, 0);
            offsets(shared(&self.sums), 0..self.sums_len, areas.sums_a, areas.sums_b);
        }
    }

    /// Transforms the weights of some groups of rows.
    ///
    /// # Safety
    /// `a` is good for all indices, the sums have been placed, and nobody else writes these groups.
    pub unsafe fn transform_weights<T: HasKernels>(
        &self,
        kernels: &'static Kernels<T>,
        rows: &[Free],
        a: *const T,
        groups: Range<usize>,
        memory: *mut u8,
    ) {
        let transforms = self.transforms(kernels);
        let plane = self.planes()[0];
        // SAFETY: the caller's promise; offsets are those of rows, sums and weights.
        unsafe {
            let areas = self.areas::<T>(memory, 0);
            for group in groups {
                let first = group * self.together;
                let count = self.together.min(self.rows_len - first);
                let (mut places, mut unused) = ([0; MOST_TOGETHER], [0; MOST_TOGETHER]);
                offsets(free(rows), first..first + count, places.as_mut_ptr(), unused.as_mut_ptr());
                for start in (0..self.sums_len).step_by(SUMS_TRANSFORMED) {
                    let sums = SUMS_TRANSFORMED.min(self.sums_len - start);
                    let mut of_sums = [0; 9 * SUMS_TRANSFORMED];
                    for (at, place) in of_sums[..9 * sums].iter_mut().enumerate() {
                        let (y, x) = (at % 9 / 3, at % 3);
                        *place =
                            *areas.sums_a.add(start + at / 9) + y as isize * self.r.a + x as isize * self.s.a;
                    }
                    let mut packed = [T::default(); 9 * SUMS_TRANSFORMED * MOST_TOGETHER];
                    self.pack_weights(kernels, a, &places[..count], &of_sums[..9 * sums], &mut packed);
                    for p in 0..sums {
                        let from = packed.as_ptr().add(9 * p * self.together);
                        let to = (group * self.sums_len + start + p) * self.together;
                        (transforms.weights)(from, self.together, areas.weights.add(to), plane);
                    }
                }
            }
        }
    }

    /// Packs the weights of some rows: where they lie side by side, by blocks of eight rows.
    unsafe fn pack_weights<T: HasKernels>(
        &self,
        kernels: &Kernels<T>,
        a: *const T,
        rows: &[isize],
        sums: &[isize],
        to: &mut [T],
    ) {
        let run = match run_of(sums, 1) {
            run if run == sums.len() => run,
            run if run >= 9 => 9,
            run if run >= 3 => 3,
            _ => 1,
        };
        // SAFETY: the caller's promise; what is packed has room for so many sums of all rows that are together.
        unsafe { columns_of_runs(kernels.transpose, a, rows, sums, run, 0, self.together, to.as_mut_ptr()) };
    }

    /// Computes the columns of some blocks.
    ///
    /// # Safety
    /// `b` is good for all indices, the weights have been transformed, and nobody else uses these columns of C or what is
    /// this thread's of the workspace.
    pub unsafe fn run<T: HasKernels>(
        &self,
        kernels: &'static Kernels<T>,
        operands: &Operands<T>,
        blocks: Range<usize>,
        (memory, thread): (*mut u8, usize),
    ) {
        // SAFETY: the caller's promise, throughout.
        let areas = unsafe { self.areas::<T>(memory, thread) };
        let transforms = self.transforms(kernels);
        for block in blocks {
            let strips = block * self.of_block..self.strips.min((block + 1) * self.of_block);
            for start in (0..self.sums_len).step_by(self.sums_block) {
                let sums = start..self.sums_len.min(start + self.sums_block);
                unsafe { self.place_terms(&areas, sums.len()) };
                for (number, strip) in strips.clone().map(|strip| self.strip(strip)).enumerate() {
                    unsafe {
                        (transforms.places)(&Places {
                            from: operands.b.offset(strip.b),
                            row: self.r.b,
                            rows: (self.step * (strip.rows.min(2) - 1)) + 3,
                            len: self.step * (strip.results - 1) + 3,
                            tiles: strip.results.div_ceil(2),
                            sums: areas.sums_b.add(sums.start),
                            sums_len: sums.len(),
                            to: areas.places.add(number * self.strip_tiles),
                            stride: self.places_stride(),
                            plane: self.planes()[1],
                        });
                    }
                }
                let operands = Operands { accumulate: operands.accumulate || start > 0, ..*operands };
                for first in (0..self.rows_len).step_by(ROWS) {
                    let these = first..self.rows_len.min(first + ROWS);
                    unsafe {
                        self.multiply(kernels, &areas, these.clone(), sums.clone(), strips.len());
                        self.put_together(transforms, &areas, &operands, these, strips.clone());
                    }
                }
            }
        }
    }

    /// Writes where so many sums of each term are.
    unsafe fn place_terms<T>(&self, areas: &Areas<T>, sums: usize) {
        let [weights, places, _] = self.planes();
        for term in 0..MOST_TERMS {
            for p in 0..sums {
                // SAFETY: there are so many terms of at most so many sums.
                unsafe {
                    *areas.terms_a.add(term * sums + p) = (term * weights + p * self.together) as isize;
                    *areas.terms_b.add(term * sums + p) = (term * places + p * self.places_stride()) as isize;
                }
            }
        }
    }

    /// The products of some rows, whose first one starts a group, with the places of a block.
    unsafe fn multiply<T: HasKernels>(
        &self,
        kernels: &'static Kernels<T>,
        areas: &Areas<T>,
        rows: Range<usize>,
        sums: Range<usize>,
        strips: usize,
    ) {
        let [weights, places, products] = self.planes();
        let stride = self.tiles();
        let vectors = (strips * self.strip_tiles).div_ceil(self.lanes);
        let panels = vectors.div_ceil(self.vectors);
        let height = self.together.div_ceil(self.parts);
        let tile_rows: [isize; super::kernel::MOST_ROWS] = std::array::from_fn(|row| (row * stride) as isize);
        let of_axis = terms(self.step);
        let place = |factor: usize, row: usize| {
            let (group, within) = (row / self.together, row % self.together);
            factor * weights + (group * self.sums_len + sums.start) * self.together + within
        };
        let mut factor = 0;
        for (product, runs) in of_axis.iter().flat_map(|y| of_axis.iter().map(move |x| y * x)).enumerate() {
            for start in rows.clone().step_by(height) {
                let within = start % self.together;
                let count = height.min(rows.end - start).min(self.together - within);
                // SAFETY: the areas are as long as the planes, throughout.
                let a = unsafe { areas.weights.add(place(factor, start)).cast_const() };
                let next = start - within + self.together;
                let next = match next < rows.end {
                    true => place(factor, next),
                    false => place(factor + runs, rows.start),
                };
                let far = areas.weights.wrapping_add(next).cast_const();
                let far_step = if within == 0 { self.together as isize } else { 0 };
                let mut column = 0;
                for panel in 0..panels {
                    // The first panels take one vector more, if they do not come out even.
                    let width = (vectors / panels + usize::from(panel < vectors % panels)) * self.lanes;
                    unsafe {
                        let tile = Tile {
                            runs,
                            k: sums.len(),
                            a,
                            a_sums: areas.terms_a,
                            a_row: 1,
                            a_k: self.together as isize,
                            b: areas.places.add(factor * places + column),
                            b_sums: areas.terms_b,
                            far,
                            far_step: if panel == 0 { far_step } else { 0 },
                            ahead: 0,
                            last: self.lanes,
                            c: areas
                                .products
                                .add(product * products + (start - rows.start) * stride + column),
                            c_rows: tile_rows.as_ptr(),
                            accumulate: false,
                        };
                        kernels.of_columns(width)[count - 1](&tile);
                    }
                    column += width;
                }
            }
            factor += runs;
        }
    }

    /// Puts the products of some rows together.
    unsafe fn put_together<T: HasKernels>(
        &self,
        transforms: &Transforms<T>,
        areas: &Areas<T>,
        operands: &Operands<T>,
        rows: Range<usize>,
        strips: Range<usize>,
    ) {
        let (mut places, mut unused) = ([0; ROWS], [0; ROWS]);
        // SAFETY: there are at most so many rows; the rest is the caller's promise.
        unsafe { offsets(free(operands.rows), rows.clone(), unused.as_mut_ptr(), places.as_mut_ptr()) };
        for (row, &place) in places[..rows.len()].iter().enumerate() {
            let ahead = places[(row + 2).min(rows.len() - 1)] - place;
            for (number, strip) in strips.clone().map(|strip| self.strip(strip)).enumerate() {
                unsafe {
                    (transforms.results)(&Results {
                        from: areas.products.add(row * self.tiles() + number * self.strip_tiles),
                        plane: self.planes()[2],
                        to: operands.c.offset(place + strip.c),
                        ahead,
                        row: self.y.c,
                        has_second: strip.rows > 1,
                        len: strip.results,
                        tiles: strip.results.div_ceil(2),
                        accumulate: operands.accumulate,
                    });
                }
            }
        }
    }

    /// Where a strip is.
    fn strip(&self, number: usize) -> Strip {
        let (row, part) = (number / self.of_row, number % self.of_row);
        let pairs = self.y.extent.div_ceil(2);
        let (mut rest, pair) = (row / pairs, row % pairs);
        let (first, start) = (2 * pair, 2 * part * self.strip_tiles);
        let mut strip = Strip {
            b: first as isize * self.y.from + start as isize * self.x.from,
            c: first as isize * self.y.c + start as isize,
            rows: self.y.extent - first,
            results: (self.x.extent - start).min(2 * self.strip_tiles),
        };
        for axis in &self.columns {
            let index = (rest % axis.extent) as isize;
            rest /= axis.extent;
            strip.b += index * axis.from;
            strip.c += index * axis.c;
        }
        strip
    }
}

/// The axes that are not at two places.
fn without<T: Copy>(axes: &[T], places: [usize; 2]) -> Vec<T> {
    axes.iter().enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, &axis)| axis).collect()
}

/// Tiles side by side: where their places and their results are, how many rows there are from the first one on, and how many
/// results in a row.
struct Strip {
    b: isize,
    c: isize,
    rows: usize,
    results: usize,
}

//! The register loops: a tile of C as the product of a few rows of A and a few vectors of B.
//!
//! One generic body serves every vector type; [`Kernels`] holds its instances for every height and width of a tile,
//! so that edges cost what they compute.

use super::thin::{COLUMNS, Dots, ROWS, RUNS, Runs, Strips, Sweeps, VECTORS};
use super::winograd::Transforms;
use crate::vector::Vector;

/// What a kernel computes: `c[i][j] (+)= sum over p of a[i][p] * b[p][j]`, strides in elements.
#[derive(Clone, Copy)]
pub(super) struct Tile<T> {
    /// How many runs of sums there are, and how many products of each an element sums.
    pub runs: usize,
    pub k: usize,
    pub a: *const T,
    /// Where each sum is, from `a`; only the first one of a run is read, the others are `a_k` apart.
    pub a_sums: *const isize,
    pub a_row: isize,
    pub a_k: isize,
    /// Where what is multiplied later and is far away starts, of which each step asks for `far_step` elements; 0 for none.
    pub far: *const T,
    pub far_step: isize,
    /// Columns of B are side by side.
    pub b: *const T,
    /// Where the columns of each sum start, from `b`.
    pub b_sums: *const isize,
    /// How many elements behind those that are multiplied are fetched: a part of packed columns, else 0.
    pub ahead: usize,
    /// How many columns of the last vector exist, at least 1.
    pub last: usize,
    /// Columns of C are side by side.
    pub c: *mut T,
    /// Where each row of C starts, from `c`.
    pub c_rows: *const isize,
    /// Whether the products are added to what is there.
    pub accumulate: bool,
}

pub(super) type Kernel<T> = unsafe fn(&Tile<T>);

/// The kernels of one element type on one machine.
pub(super) struct Kernels<T: 'static> {
    /// The most rows of a tile.
    pub rows: usize,
    /// The most vectors of a row.
    pub vectors: usize,
    /// Elements of a vector.
    pub lanes: usize,
    /// By vectors - 1, then rows - 1: kernels for whole vectors.
    pub whole: &'static [&'static [Kernel<T>]],
    /// The same where the last vector has columns that do not exist.
    pub partial: &'static [&'static [Kernel<T>]],
    /// Moves a block of 8 rows to 8 columns, see [`super::pack`].
    pub transpose: super::pack::Transpose<T>,
    /// Packs columns and rows that are copied as they lie.
    pub pack_columns: super::pack::Columns<T>,
    pub pack_rows: super::pack::Rows<T>,
    /// By rows - 1, then columns - 1.
    pub dots: [[Dots<T>; COLUMNS]; ROWS],
    pub strips: [[Strips<T>; COLUMNS]; ROWS],
    pub sweep: Sweeps<T>,
    /// By runs - 1, then vectors - 1.
    pub runs: [[Runs<T>; VECTORS]; RUNS],
    /// Where windows can be multiplied by transforms: those for windows that step by one, and by two.
    pub winograd: Option<[Transforms<T>; 2]>,
    /// Elements of a strip.
    pub strip_lanes: usize,
    /// Rows, sums and columns that are packed at once.
    pub rows_packed: usize,
    pub sums_packed: usize,
    pub columns_packed: usize,
}

impl<T> Kernels<T> {
    /// The kernels for tiles of that many columns, by rows - 1.
    pub fn of_columns(&self, columns: usize) -> &'static [Kernel<T>] {
        let table = if columns.is_multiple_of(self.lanes) { self.whole } else { self.partial };
        table[columns.div_ceil(self.lanes) - 1]
    }

    /// How many columns of the last vector of that many columns exist.
    pub fn last(&self, columns: usize) -> usize {
        (columns - 1) % self.lanes + 1
    }
}

/// The same number, of which the compiler knows nothing: it stays in a register, if there is one.
#[inline(always)]
fn held(number: isize) -> isize {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut number = number;
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) number, options(pure, nomem, nostack, preserves_flags));
        }
        number
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    number
}

/// # Safety
/// The tile's pointers must be good for what its extents say, and the machine must have what `V` needs.
#[inline(always)]
pub(super) unsafe fn real<V: Vector, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(
    tile: &Tile<V::Elem>,
) {
    // SAFETY: the caller's promise; offsets stay within the tile.
    unsafe {
        let mask = V::mask(tile.last);
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        // C is far away as a rule, and needed when the sums are done.
        for i in 0..ROWS {
            let row = tile.c.offset(*tile.c_rows.add(i));
            for j in 0..VECTORS {
                V::prefetch(row.wrapping_add(j * V::LANES));
            }
            V::prefetch(row.wrapping_add(VECTORS * V::LANES - 1));
        }
        // What would be added up anew at every step: the units that add also multiply.
        let steps: [isize; ROWS] =
            std::array::from_fn(|i| if i == 0 { 0 } else { held(i as isize * tile.a_row) });
        let ahead = tile.b.wrapping_offset(held(tile.ahead as isize));
        let mut far = tile.far;
        for run in 0..tile.runs {
            let first = run * tile.k;
            let mut a = tile.a.offset(*tile.a_sums.add(first));
            for p in first..first + tile.k {
                let place = *tile.b_sums.add(p);
                let b = tile.b.offset(place);
                if tile.far_step != 0 {
                    V::prefetch_far(far);
                    far = far.wrapping_offset(tile.far_step);
                }
                let mut columns = [V::zero(); VECTORS];
                for (j, column) in columns.iter_mut().enumerate() {
                    let at = b.add(j * V::LANES);
                    if tile.ahead > 0 {
                        V::prefetch(ahead.wrapping_offset(place).wrapping_add(j * V::LANES));
                    }
                    *column = if PARTIAL && j + 1 == VECTORS { V::load_part(at, mask) } else { V::load(at) };
                }
                for (i, sum) in sums.iter_mut().enumerate() {
                    let row = V::factor(a.offset(steps[i]));
                    for j in 0..VECTORS {
                        sum[j] = columns[j].times_add(row, sum[j]);
                    }
                }
                a = a.offset(tile.a_k);
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            let row = tile.c.offset(*tile.c_rows.add(i));
            for (j, &sum) in sum.iter().enumerate() {
                let at = row.add(j * V::LANES);
                if PARTIAL && j + 1 == VECTORS {
                    let sum = if tile.accumulate { V::load_part(at, mask).add(sum) } else { sum };
                    sum.store_part(at, mask);
                } else {
                    let sum = if tile.accumulate { V::load(at).add(sum) } else { sum };
                    sum.store(at);
                }
            }
        }
    }
}

/// By how many sums packed columns are fetched before they are multiplied.
pub(super) const AHEAD: usize = 16;

/// The most columns a tile has.
pub(super) const MOST_COLUMNS: usize = 48;

/// The most rows a tile has.
pub(super) const MOST_ROWS: usize = 8;

//! Discrete Fourier transforms of rows, and convolutions of rows by way of them.
//!
//! Rows are transformed one by one or side by side, whatever fills vectors. A row of real numbers is a complex one of half
//! its length, whose transform is taken apart; and the other way round where only real parts are wanted. No row has the
//! rounding errors of another, nor its infinities.
//!
//! ```
//! use einc_runtime::DType;
//! use einc_runtime::fourier::{Transform, TransformPlan};
//!
//! let transform = Transform { real: true, ..Transform::new(DType::C128, 4, 1) };
//! let plan = TransformPlan::new(&transform).unwrap();
//! let (from, mut to) = ([1f64, 0.0, 0.0, 0.0], [0f64; 8]);
//! let mut work = vec![0f64; transform.work_elems().unwrap() as usize];
//! // SAFETY: the arrays are as long as the transform says.
//! unsafe { plan.run(from.as_ptr().cast(), to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
//! assert_eq!(to, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
//! ```

// Loops over lanes index several arrays at once.
#![allow(clippy::needless_range_loop)]

mod beside;
mod columns;
mod convolve;
mod halves;
mod lines;
#[cfg(test)]
mod real_tests;
mod row;
mod rows;
#[cfg(test)]
mod tests;

pub use convolve::{Convolution, ConvolutionPlan};

use crate::DType;
use halves::Half;
use lines::{Lines, Real};
use row::{Memory, Row};

/// Bytes of rows that are transformed in one call: a part of the second cache.
const MOST_BYTES: u64 = 256 << 10;

/// A transform of rows that lie one after the other, into rows that do: `X(f) = sum of x(t) exp(-2 pi i f t / len)`, or the
/// inverse with its `1 / len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    /// `c64` or `c128`: what is written, or has the real parts that are.
    pub dtype: DType,
    /// Elements of a row.
    pub len: u64,
    /// How many rows are transformed.
    pub rows: u64,
    /// Whether the elements read are real numbers.
    pub real: bool,
    /// Whether it is the inverse transform.
    pub inverse: bool,
    /// Whether only the real parts of the result are written, as real numbers: of inverse transforms of complex numbers
    /// without factors.
    pub real_parts: bool,
    /// How many elements of each row of the result are written: the first ones.
    pub kept: u64,
    /// Where rows do not lie one after the other but side by side, as the columns of a matrix: how far apart their
    /// elements are in what is read and in what is written. Only for lengths that [`Transform::has_columns`] has.
    pub columns: Option<[u64; 2]>,
    /// What elements are multiplied by first, if by anything, which [`Transform::takes_factors`] has to allow: how far apart
    /// the factors of a row and the next are, and those of an element and the next.
    pub factors: Option<[u64; 2]>,
}

impl Transform {
    /// The transform of so many complex rows of a length.
    pub fn new(dtype: DType, len: u64, rows: u64) -> Transform {
        let (real, inverse, real_parts) = (false, false, false);
        let (columns, factors) = (None, None);
        Transform { dtype, len, rows, real, inverse, real_parts, kept: len, columns, factors }
    }

    /// Whether as much is written as is read, so that both may be one place.
    pub fn fits_in_place(&self) -> bool {
        !self.real && !self.real_parts && self.kept == self.len
    }

    /// How many rows of a length are best transformed at once.
    pub fn best_rows(dtype: DType, len: u64) -> u64 {
        let bytes = len.max(1).saturating_mul(dtype.bytes() as u64);
        // As many as lie side by side in lanes.
        let line = if dtype == DType::C64 { f32::LINE } else { f64::LINE } as u64;
        let side_by_side = if bytes <= MOST_BYTES { line } else { 1 };
        (MOST_BYTES / bytes).clamp(1, 64).max(side_by_side)
    }

    /// Whether rows of a length are transformed where they lie side by side.
    pub fn has_columns(dtype: DType, len: u64) -> bool {
        // Two arrays of lines stay in the cache, about.
        let fits = len > 0 && len.saturating_mul(2 * 128) <= 2 * MOST_BYTES;
        matches!(dtype, DType::C64 | DType::C128) && fits && lines::radices(len as usize).is_some()
    }

    /// Whether factors may be that far apart: side by side along rows that lie one after the other, along columns side by
    /// side or alike.
    pub fn takes_factors(&self, by: [u64; 2]) -> bool {
        let (dtype, len) = (self.dtype, self.len);
        let is_beside = || match dtype {
            DType::C64 => self.is_beside::<f32>(len as usize),
            _ => self.is_beside::<f64>(len as usize),
        };
        !self.real
            && !self.real_parts
            && match self.columns {
                Some(_) => by[0] <= 1,
                None => by[1] == 1 && Transform::has_columns(dtype, len) && is_beside(),
            }
    }

    /// How many real numbers of working memory a run needs; `None` where no memory holds them or there is no such transform.
    pub fn work_elems(&self) -> Option<u64> {
        self.rows.checked_mul(self.len)?.checked_mul(4)?;
        let len =
            usize::try_from(self.len).ok().filter(|&len| len > 0 && len < isize::MAX as usize / 4096)?;
        if !(1..=self.len).contains(&self.kept) || self.real_parts && (self.real || !self.inverse) {
            return None;
        }
        if let Some([row, element]) = self.factors {
            let reach = row.checked_mul(self.rows)?.checked_add(element.checked_mul(self.len)?)?;
            reach.checked_mul(32).filter(|_| self.takes_factors([row, element]))?;
        }
        if let Some(by) = self.columns {
            let reach = |by: u64| by.checked_mul(self.len)?.checked_add(self.rows)?.checked_mul(32);
            reach(by[0])?;
            reach(by[1])?;
            Some(()).filter(|()| Transform::has_columns(self.dtype, self.len))?;
        }
        let elems = match self.dtype {
            DType::C64 => self.elems::<f32>(len),
            _ => self.elems::<f64>(len),
        };
        Some(elems as u64)
    }

    fn elems<T: Real>(&self, len: usize) -> usize {
        match self.inner::<T>(len) {
            (inner, true) => beside::elems::<T>(inner, len),
            (inner, false) => Memory::<T>::elems(row::room::<T>(inner)),
        }
    }

    /// The length of the complex rows that are transformed, and whether it is done side by side.
    fn inner<T: Real>(&self, len: usize) -> (usize, bool) {
        let is_beside = |len: usize| self.columns.is_some() || self.is_beside::<T>(len);
        let (half, is_real) = (len / 2, self.real || self.real_parts);
        // A few rows would leave lanes empty.
        let is_alone = || {
            is_beside(half) && !is_beside(len) && row::is_straight::<T>(len) && self.rows * 2 < T::LINE as u64
        };
        match is_real && len.is_multiple_of(2) && !is_alone() {
            true => (half, is_beside(half)),
            false => (len, is_beside(len)),
        }
    }

    /// Whether rows of a length are best transformed side by side.
    fn is_beside<T: Real>(&self, len: usize) -> bool {
        // A chirp costs about five times as much as the lane of a block.
        let is_filled = len < T::LINE * T::LINE || self.rows.saturating_mul(5) >= T::LINE as u64;
        !row::is_straight::<T>(len) && lines::radices(len).is_some() && is_filled
    }
}

/// A transform made ready.
#[derive(Clone, Debug)]
pub struct TransformPlan {
    transform: Transform,
    tables: Tables,
}

#[derive(Clone, Debug)]
enum Tables {
    Single(Way<f32>),
    Double(Way<f64>),
}

/// How rows are transformed: real ones by halves, perhaps.
#[derive(Clone, Debug)]
enum Way<T> {
    /// One by one.
    Row(Row<T>, Option<Half<T>>),
    /// Side by side.
    Beside(Lines<T>, Option<Half<T>>),
}

impl<T: Real> Way<T> {
    fn new(transform: &Transform, len: usize) -> Way<T> {
        let (inner, is_beside) = transform.inner::<T>(len);
        let half = (inner != len).then(|| Half::new(inner));
        match Lines::new(inner).filter(|_| is_beside) {
            Some(lines) => Way::Beside(lines, half),
            None => Way::Row(Row::new(inner), half),
        }
    }

    unsafe fn run(&self, spec: &Transform, [from, factors]: [*const u8; 2], to: *mut u8, work: *mut u8) {
        let (from, to, work) = (from.cast(), to.cast(), work.cast());
        match self {
            // SAFETY: the caller's promise.
            Way::Row(row, half) => unsafe { rows::run(spec, (row, half.as_ref()), from, to, work) },
            // SAFETY: the caller's promise.
            Way::Beside(lines, half) => unsafe {
                beside::run(spec, (lines, half.as_ref()), [from, factors.cast()], to, work)
            },
        }
    }
}

impl TransformPlan {
    /// Makes a transform ready. `None` where its rows have no elements or no memory holds them, or for other types.
    pub fn new(transform: &Transform) -> Option<TransformPlan> {
        transform.work_elems()?;
        let len = usize::try_from(transform.len).ok()?;
        let tables = match transform.dtype {
            DType::C64 => Tables::Single(Way::new(transform, len)),
            DType::C128 => Tables::Double(Way::new(transform, len)),
            _ => return None,
        };
        Some(TransformPlan { transform: *transform, tables })
    }

    /// Transforms the rows at `from` into those at `to`, which may be the same rows where [`Transform::fits_in_place`].
    ///
    /// # Safety
    /// `from` is good for all elements of the rows and `to` for those that are kept, both aligned for their types; they
    /// are one, with elements as far apart, or do not overlap. `work` is good for [`Transform::work_elems`] real numbers,
    /// aligned for them, and used by nobody else meanwhile.
    pub unsafe fn run(&self, from: *const u8, to: *mut u8, work: *mut u8) {
        assert!(self.transform.factors.is_none(), "factors have to be told");
        // SAFETY: the caller's promise; no factors are read.
        unsafe { self.run_with([from, std::ptr::null()], to, work) };
    }

    /// [`TransformPlan::run`] of a transform that has factors, which come second, or has none.
    ///
    /// # Safety
    /// As of [`TransformPlan::run`]; the factors are good for all elements of the rows if the transform has any, and do not
    /// overlap `to`.
    pub unsafe fn run_with(&self, operands: [*const u8; 2], to: *mut u8, work: *mut u8) {
        match &self.tables {
            // SAFETY: the caller's promise.
            Tables::Single(way) => unsafe { way.run(&self.transform, operands, to, work) },
            // SAFETY: the caller's promise.
            Tables::Double(way) => unsafe { way.run(&self.transform, operands, to, work) },
        }
    }
}

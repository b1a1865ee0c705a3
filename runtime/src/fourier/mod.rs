//! Discrete Fourier transforms of rows, and convolutions of rows by way of them.
//!
//! Rows are transformed one by one or side by side, whatever fills vectors. Two rows of real numbers are one row of
//! complex ones, whose transform is taken apart again: of `z = x + i y` the transforms are
//! `X(f) = (Z(f) + conj Z(-f)) / 2` and `Y(f) = (Z(f) - conj Z(-f)) / 2i`.
//!
//! ```
//! use einc_runtime::DType;
//! use einc_runtime::fourier::{Transform, TransformPlan};
//!
//! let transform = Transform { dtype: DType::C128, len: 4, rows: 1, real: true, inverse: false, columns: None, factors: None };
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
mod convolve;
mod lines;
mod row;
#[cfg(test)]
mod tests;

pub use convolve::{Convolution, ConvolutionPlan};

use crate::DType;
use crate::vector::VectorFloat;
use lines::{Lines, Pair, Real, with_vectors};
use row::{Memory, Planes, Row};

/// Bytes of rows that are transformed in one call: a part of the second cache.
const MOST_BYTES: u64 = 256 << 10;

/// A transform of rows that lie one after the other, into rows that do: `X(f) = sum of x(t) exp(-2 pi i f t / len)`, or the
/// inverse with its `1 / len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    /// `c64` or `c128`: what is written.
    pub dtype: DType,
    /// Elements of a row.
    pub len: u64,
    /// How many rows are transformed.
    pub rows: u64,
    /// Whether the elements read are real numbers.
    pub real: bool,
    /// Whether it is the inverse transform.
    pub inverse: bool,
    /// Where rows do not lie one after the other but side by side, as the columns of a matrix: how far apart their
    /// elements are in what is read and in what is written. Only for complex numbers and lengths that
    /// [`Transform::has_columns`] has.
    pub columns: Option<[u64; 2]>,
    /// What elements are multiplied by first, if by anything, which [`Transform::takes_factors`] has to allow: how far apart
    /// the factors of a row and the next are, and those of an element and the next.
    pub factors: Option<[u64; 2]>,
}

impl Transform {
    /// How many rows of a length are best transformed at once.
    pub fn best_rows(dtype: DType, len: u64, real: bool) -> u64 {
        let bytes = len.max(1).saturating_mul(dtype.bytes() as u64);
        // As many as lie side by side in lanes, or two real ones.
        let line = if dtype == DType::C64 { f32::LINE } else { f64::LINE } as u64;
        let side_by_side = if bytes <= MOST_BYTES { line } else { 1 };
        let rows = (MOST_BYTES / bytes).clamp(1, 64).max(side_by_side);
        if real { rows.max(side_by_side * 2) / 2 * 2 } else { rows }
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
            && match self.columns {
                Some(_) => by[0] <= 1,
                None => by[1] == 1 && Transform::has_columns(dtype, len) && is_beside(),
            }
    }

    /// How many real numbers of working memory a run needs; `None` where no memory holds them.
    pub fn work_elems(&self) -> Option<u64> {
        self.rows.checked_mul(self.len)?.checked_mul(4)?;
        let len =
            usize::try_from(self.len).ok().filter(|&len| len > 0 && len < isize::MAX as usize / 4096)?;
        if let Some([row, element]) = self.factors {
            let reach = row.checked_mul(self.rows)?.checked_add(element.checked_mul(self.len)?)?;
            reach.checked_mul(32).filter(|_| self.takes_factors([row, element]))?;
        }
        if let Some(by) = self.columns {
            let reach = |by: u64| by.checked_mul(self.len)?.checked_add(self.rows)?.checked_mul(32);
            reach(by[0])?;
            reach(by[1])?;
            return (!self.real && Transform::has_columns(self.dtype, self.len)).then(|| match self.dtype {
                DType::C64 => beside::elems::<f32>(len) as u64,
                _ => beside::elems::<f64>(len) as u64,
            });
        }
        let elems = match self.dtype {
            DType::C64 => elems::<f32>(len, self.is_beside::<f32>(len)),
            _ => elems::<f64>(len, self.is_beside::<f64>(len)),
        };
        Some(elems as u64)
    }

    /// Whether rows are best transformed side by side.
    fn is_beside<T: Real>(&self, len: usize) -> bool {
        let lanes = if self.real { self.rows.div_ceil(2) } else { self.rows };
        // A chirp costs about five times as much as the lane of a block.
        let is_filled = len < T::LINE * T::LINE || lanes * 5 >= T::LINE as u64;
        !row::is_straight::<T>(len) && lines::radices(len).is_some() && is_filled
    }
}

fn elems<T: Real>(len: usize, beside: bool) -> usize {
    if beside { beside::elems::<T>(len) } else { Memory::<T>::elems(row::room::<T>(len)) }
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

/// How rows are transformed.
#[derive(Clone, Debug)]
enum Way<T> {
    /// One by one, or two real ones at once.
    Row(Row<T>),
    /// Side by side.
    Beside(Lines<T>),
}

impl<T: Real> Way<T> {
    fn new(transform: &Transform, len: usize) -> Way<T> {
        let is_beside = transform.columns.is_some() || transform.is_beside::<T>(len);
        match Lines::new(len).filter(|_| is_beside) {
            Some(lines) => Way::Beside(lines),
            None => Way::Row(Row::new(len)),
        }
    }

    unsafe fn run(&self, spec: &Transform, [from, factors]: [*const u8; 2], to: *mut u8, work: *mut u8) {
        let (from, to, work) = (from.cast(), to.cast(), work.cast());
        match self {
            // SAFETY: the caller's promise.
            Way::Row(row) => unsafe { one_by_one(spec, row, from, to, work) },
            // SAFETY: the caller's promise.
            Way::Beside(lines) => unsafe { beside::run(spec, lines, [from, factors.cast()], to, work) },
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

    /// Transforms the rows at `from` into those at `to`, which may be the same rows if they are complex.
    ///
    /// # Safety
    /// `from` is good for all elements of the rows and `to` for as many complex ones, both aligned for their types; they
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

unsafe fn one_by_one<T: Real>(spec: &Transform, row: &Row<T>, from: *const T, to: *mut T, work: *mut T) {
    with_vectors!(each_row::<T>(spec: &Transform, row: &Row<T>, from: *const T, to: *mut T, work: *mut T))
}

#[inline(always)]
unsafe fn each_row<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    row: &Row<T>,
    from: *const T,
    to: *mut T,
    work: *mut T,
) {
    let (len, rows) = (row.len, spec.rows as usize);
    // SAFETY: the caller's promise.
    unsafe {
        let memory = Memory::new(work, row.room());
        let scale = T::of(if spec.inverse { 1.0 / len as f64 } else { 1.0 });
        let mut first = 0;
        // Rows before this one are transformed alone.
        let mut alone = 0;
        while first < rows {
            let to = to.add(2 * first * len);
            if !spec.real {
                // Real and imaginary parts exchanged, a transform is the inverse one.
                let swap = usize::from(spec.inverse);
                bring_complex::<T, V>(from.add(2 * first * len), len, memory.lines, swap);
                row.run(memory);
                let planes = if spec.inverse { memory.planes.swapped() } else { memory.planes };
                put_complex::<T, V>(planes, len, scale, to);
                first += 1;
                continue;
            }
            let is_pair = first >= alone && first + 1 < rows;
            bring_real::<T, V>(from.add(first * len), len, memory.lines);
            match is_pair {
                true => bring_real::<T, V>(from.add((first + 1) * len), len, memory.lines.add(T::LINE)),
                false => clear::<T, V>(len, memory.lines.add(T::LINE)),
            }
            row.run(memory);
            let Planes { re, im } = memory.planes;
            // What is not finite in one row of a pair would spread to the other.
            if is_pair && !is_finite(*re + *im) {
                alone = first + 2;
                continue;
            }
            // Of real numbers the inverse is the transform, conjugate.
            let half = scale * T::of(0.5);
            let by = [half, if spec.inverse { -half } else { half }];
            // Frequency `len` is frequency 0.
            (*re.add(len), *im.add(len)) = (*re, *im);
            put_apart::<T, V, false>(re, im, len, by, to);
            if is_pair {
                put_apart::<T, V, true>(re, im, len, by, to.add(2 * len));
            }
            first += 1 + usize::from(is_pair);
        }
    }
}

/// Whether a sum of numbers is finite, such as frequency 0: then all of them are.
fn is_finite<T: Real>(sum: T) -> bool {
    sum * T::default() == T::default()
}

/// Brings a row of complex numbers to lines, its real parts to the first part or, `swap` being 1, to the second.
#[inline(always)]
unsafe fn bring_complex<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    len: usize,
    lines: *mut T,
    swap: usize,
) {
    let (line, whole) = (2 * T::LINE, len / T::LINE * T::LINE);
    let (re, im) = (swap * T::LINE, (1 - swap) * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..whole).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let from = from.add(2 * (first + lane));
                let [x, y] = V::load(from).unzip(V::load(from.add(V::LANES)));
                let to = lines.add(first / T::LINE * line + lane);
                x.store(to.add(re));
                y.store(to.add(im));
            }
        }
        for i in whole..len {
            let to = lines.add(whole / T::LINE * line + i - whole);
            (*to.add(re), *to.add(im)) = (*from.add(2 * i), *from.add(2 * i + 1));
        }
    }
}

/// Brings a row of real numbers to one part of lines.
#[inline(always)]
unsafe fn bring_real<T: Real, V: VectorFloat<Elem = T>>(from: *const T, len: usize, lines: *mut T) {
    let (line, whole) = (2 * T::LINE, len / T::LINE * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..whole).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                V::load(from.add(first + lane)).store(lines.add(first / T::LINE * line + lane));
            }
        }
        for i in whole..len {
            *lines.add(whole / T::LINE * line + i - whole) = *from.add(i);
        }
    }
}

/// Zeros in one part of lines.
#[inline(always)]
unsafe fn clear<T: Real, V: VectorFloat<Elem = T>>(len: usize, lines: *mut T) {
    for at in 0..len.div_ceil(T::LINE) {
        for lane in (0..T::LINE).step_by(V::LANES) {
            // SAFETY: the caller's promise.
            unsafe { V::zero().store(lines.add(at * 2 * T::LINE + lane)) };
        }
    }
}

/// Writes planes as a row of complex numbers.
#[inline(always)]
unsafe fn put_complex<T: Real, V: VectorFloat<Elem = T>>(
    planes: Planes<T>,
    len: usize,
    scale: T,
    to: *mut T,
) {
    let Planes { re, im } = planes;
    let whole = len / V::LANES * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        let by = V::splat(scale);
        for f in (0..whole).step_by(V::LANES) {
            let [x, y] = V::load(re.add(f)).mul(by).zip(V::load(im.add(f)).mul(by));
            x.store(to.add(2 * f));
            y.store(to.add(2 * f + V::LANES));
        }
        for f in whole..len {
            (*to.add(2 * f), *to.add(2 * f + 1)) = (*re.add(f) * scale, *im.add(f) * scale);
        }
    }
}

/// Writes the transform of the first row of a pair, or of the second, times a factor for real and one for imaginary
/// parts.
#[inline(always)]
unsafe fn put_apart<T: Real, V: VectorFloat<Elem = T>, const SECOND: bool>(
    re: *const T,
    im: *const T,
    len: usize,
    [re_by, im_by]: [T; 2],
    to: *mut T,
) {
    let whole = len / V::LANES * V::LANES;
    // SAFETY: the caller's promise; behind the last frequency there is the first one again.
    unsafe {
        let by = Pair(V::splat(re_by), V::splat(im_by));
        for f in (0..whole).step_by(V::LANES) {
            let mirror = len + 1 - f - V::LANES;
            let (a, b) = (V::load(re.add(f)), V::load(im.add(f)));
            let (c, d) = (V::load(re.add(mirror)).reverse(), V::load(im.add(mirror)).reverse());
            let (x, y) = if SECOND { (b.add(d), c.sub(a)) } else { (a.add(c), b.sub(d)) };
            let [x, y] = x.mul(by.0).zip(y.mul(by.1));
            x.store(to.add(2 * f));
            y.store(to.add(2 * f + V::LANES));
        }
        for f in whole..len {
            let (a, b, c, d) = (*re.add(f), *im.add(f), *re.add(len - f), *im.add(len - f));
            let (x, y) = if SECOND { (b + d, c - a) } else { (a + c, b - d) };
            (*to.add(2 * f), *to.add(2 * f + 1)) = (x * re_by, y * im_by);
        }
    }
}

//! Discrete Fourier transforms of rows, and convolutions of rows by way of them.
//!
//! Several rows are transformed side by side. Two rows of real numbers are one row of complex ones, whose transform is
//! taken apart again: of `z = x + i y` the transforms are `X(f) = (Z(f) + conj Z(-f)) / 2` and `Y(f) = (Z(f) - conj Z(-f)) / 2i`.
//!
//! ```
//! use einc_runtime::DType;
//! use einc_runtime::fourier::{Transform, TransformPlan};
//!
//! let transform = Transform { dtype: DType::C128, len: 4, rows: 1, real: true, inverse: false };
//! let plan = TransformPlan::new(&transform).unwrap();
//! let (from, mut to) = ([1f64, 0.0, 0.0, 0.0], [0f64; 8]);
//! let mut work = vec![0f64; transform.work_elems().unwrap() as usize];
//! // SAFETY: the arrays are as long as the transform says.
//! unsafe { plan.run(from.as_ptr().cast(), to.as_mut_ptr().cast(), work.as_mut_ptr().cast()) };
//! assert_eq!(to, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
//! ```

// Loops over lanes index several lines at once.
#![allow(clippy::needless_range_loop)]

mod convolve;
mod stages;
#[cfg(test)]
mod tests;

pub use convolve::{Convolution, ConvolutionPlan};

use crate::DType;
use stages::{Planes, Real, Stages, WIDTH};

/// Elements of rows that are brought to their planes at once.
const TILE: usize = 16;

/// Bytes of working memory that rows side by side may take: a part of the last cache.
const MOST_BYTES: u64 = 4 << 20;

/// A transform of rows that lie one after the other, into rows that do: `X(f) = sum of x(t) exp(-2 pi i f t / len)`, or the
/// inverse with its `1 / len`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    /// `c64` or `c128`: what is written.
    pub dtype: DType,
    /// Elements of a row.
    pub len: u64,
    /// How many rows are transformed side by side.
    pub rows: u64,
    /// Whether the elements read are real numbers.
    pub real: bool,
    /// Whether it is the inverse transform.
    pub inverse: bool,
}

impl Transform {
    /// How many rows of a length are best transformed side by side.
    pub fn best_rows(dtype: DType, len: u64, real: bool) -> u64 {
        let bytes = len.max(1).saturating_mul(2 * dtype.bytes() as u64);
        let most = (MOST_BYTES / bytes).clamp(1, WIDTH as u64);
        if real { 2 * most } else { most }
    }

    /// Rows of complex numbers.
    fn lanes(&self) -> u64 {
        if self.real { self.rows.div_ceil(2) } else { self.rows }
    }

    /// How many real numbers of working memory a run needs; `None` where no memory holds them.
    pub fn work_elems(&self) -> Option<u64> {
        let len = usize::try_from(self.len).ok().filter(|&len| len < isize::MAX as usize / 256)?;
        (stages::room(len) as u64).checked_mul(self.lanes())?.checked_mul(4)
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
    Single(Stages<f32>),
    Double(Stages<f64>),
}

impl TransformPlan {
    /// Makes a transform ready. `None` where its rows have no elements or no memory holds them, or for other types.
    pub fn new(transform: &Transform) -> Option<TransformPlan> {
        transform.work_elems()?;
        let len = usize::try_from(transform.len).ok().filter(|&len| len > 0)?;
        let tables = match transform.dtype {
            DType::C64 => Tables::Single(Stages::new(len)),
            DType::C128 => Tables::Double(Stages::new(len)),
            _ => return None,
        };
        Some(TransformPlan { transform: *transform, tables })
    }

    /// Transforms the rows at `from` into those at `to`, which may be the same rows if they are complex.
    ///
    /// # Safety
    /// `from` is good for all elements of the rows and `to` for as many complex ones, both aligned for their types; they
    /// are one or do not overlap. `work` is good for [`Transform::work_elems`] real numbers, aligned for them, and used
    /// by nobody else meanwhile.
    pub unsafe fn run(&self, from: *const u8, to: *mut u8, work: *mut u8) {
        match &self.tables {
            // SAFETY: the caller's promise.
            Tables::Single(stages) => unsafe { transform(&self.transform, stages, from, to, work) },
            // SAFETY: the caller's promise.
            Tables::Double(stages) => unsafe { transform(&self.transform, stages, from, to, work) },
        }
    }
}

/// Calls a function with the widest vectors that the machine has.
macro_rules! with_vectors {
    ($each:ident::<$t:ident>($($argument:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$t: Real>($($argument: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { $each::<$t, true>($($argument),*) }
            }

            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
            unsafe fn avx512<$t: Real>($($argument: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { $each::<$t, true>($($argument),*) }
            }

            match crate::math::level() {
                // SAFETY: the machine has been asked; the rest is the caller's promise.
                2 => return unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                1 => return unsafe { avx2($($argument),*) },
                _ => {}
            }
        }
        // SAFETY: the caller's promise.
        unsafe { $each::<$t, { cfg!(target_arch = "aarch64") }>($($argument),*) }
    }};
}
use with_vectors;

unsafe fn transform<T: Real>(
    spec: &Transform,
    stages: &Stages<T>,
    from: *const u8,
    to: *mut u8,
    work: *mut u8,
) {
    with_vectors!(each::<T>(spec: &Transform, stages: &Stages<T>, from: *const u8, to: *mut u8, work: *mut u8))
}

/// Four planes of that many elements.
///
/// # Safety
/// The memory is good for four times as many elements and used by nobody else for as long as the planes live.
unsafe fn planes<'a, T: Real>(work: *mut T, elems: usize) -> [Planes<'a, T>; 2] {
    // SAFETY: the caller's promise; whatever bits are there are numbers.
    let part = |number: usize| unsafe { std::slice::from_raw_parts_mut(work.add(number * elems), elems) };
    [Planes { re: part(0), im: part(1) }, Planes { re: part(2), im: part(3) }]
}

/// Which elements of rows in memory are meant, and how many.
#[derive(Clone, Copy)]
struct Elements {
    /// From row to row, and from element to element.
    by: [isize; 2],
    rows: usize,
    count: usize,
}

/// Brings elements of rows to a plane of `lanes` rows.
///
/// # Safety
/// `from` is good for all the elements.
#[inline(always)]
unsafe fn bring<T: Real>(from: *const T, elements: Elements, plane: &mut [T], lanes: usize) {
    let Elements { by: [row_by, by], rows, count } = elements;
    assert!(rows <= lanes && plane.len() >= count * lanes);
    let to = plane.as_mut_ptr();
    for first in (0..count).step_by(TILE) {
        let last = (first + TILE).min(count);
        for row in (0..rows).step_by(TILE) {
            // SAFETY: the caller's promise for `from`; the plane has been asked.
            unsafe {
                if by == 1 && row + TILE <= rows && first + TILE <= count {
                    let mut tile = [[T::default(); TILE]; TILE];
                    for (lane, line) in tile.iter_mut().enumerate() {
                        let from = from.offset((row + lane) as isize * row_by + first as isize);
                        *line = from.cast::<[T; TILE]>().read_unaligned();
                    }
                    for i in 0..TILE {
                        let mut line = [T::default(); TILE];
                        for lane in 0..TILE {
                            line[lane] = tile[lane][i];
                        }
                        to.add((first + i) * lanes + row).cast::<[T; TILE]>().write_unaligned(line);
                    }
                    continue;
                }
                for lane in row..(row + TILE).min(rows) {
                    for i in first..last {
                        *to.add(i * lanes + lane) = *from.offset(lane as isize * row_by + i as isize * by);
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn each<T: Real, const FMA: bool>(
    spec: &Transform,
    stages: &Stages<T>,
    from: *const u8,
    to: *mut u8,
    work: *mut u8,
) {
    let (len, rows, lanes) = (stages.len, spec.rows as usize, spec.lanes() as usize);
    let (from, to) = (from.cast::<T>(), to.cast::<T>());
    // SAFETY: the caller's promise.
    let [mut data, mut other] = unsafe { planes(work.cast::<T>(), stages::room(len) * lanes) };
    let by = len as isize;
    let elements = |by: [isize; 2], rows: usize| Elements { by, rows, count: len };
    // SAFETY: the caller's promise.
    unsafe {
        if spec.real {
            // Two rows are the two parts of one.
            bring(from, elements([2 * by, 1], lanes), data.re, lanes);
            data.im[..len * lanes].fill(T::default());
            if rows > 1 {
                bring(from.offset(by), elements([2 * by, 1], rows / 2), data.im, lanes);
            }
        } else {
            bring(from, elements([2 * by, 2], rows), data.re, lanes);
            bring(from.add(1), elements([2 * by, 2], rows), data.im, lanes);
        }
    }
    if spec.inverse && !spec.real {
        // Real and imaginary parts exchanged, a transform is the inverse one.
        let (data, other) = (data.again(), other.again());
        let (data, other) = (Planes { re: data.im, im: data.re }, Planes { re: other.im, im: other.re });
        stages.run::<FMA>(lanes, data, other);
    } else {
        // Of real numbers the inverse is the transform, conjugate.
        stages.run::<FMA>(lanes, data.again(), other.again());
    }
    let scale = T::of(if spec.inverse { 1.0 / len as f64 } else { 1.0 });
    let (half, sign) = (scale * T::of(0.5), T::of(if spec.inverse { -0.5 } else { 0.5 }) * scale);
    let (re, im) = (&data.re[..len * lanes], &data.im[..len * lanes]);
    for start in (0..len).step_by(TILE) {
        let end = (start + TILE).min(len);
        for row in 0..rows {
            // SAFETY: the caller's promise.
            let place = unsafe { to.add(2 * row * len) };
            for f in start..end {
                let (x, y) = if spec.real {
                    let lane = row / 2;
                    let (at, mirror) =
                        (f * lanes + lane, if f == 0 { lane } else { (len - f) * lanes + lane });
                    match row % 2 {
                        0 => ((re[at] + re[mirror]) * half, (im[at] - im[mirror]) * sign),
                        _ => ((im[at] + im[mirror]) * half, (re[mirror] - re[at]) * sign),
                    }
                } else {
                    (re[f * lanes + row] * scale, im[f * lanes + row] * scale)
                };
                // SAFETY: the caller's promise.
                unsafe {
                    *place.add(2 * f) = x;
                    *place.add(2 * f + 1) = y;
                }
            }
        }
    }
}

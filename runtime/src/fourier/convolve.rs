//! Convolutions of long rows by way of their transforms, a block of each row at a time (overlap-save).
//!
//! Rounding errors are those of the largest values of a row, not of each result; numbers that are not finite would
//! spread over a block. Where a result is not finite, its row is summed term by term instead.

use super::stages::{Planes, Real, Stages, WIDTH, lanes_at, put_lanes, smooth_length};
use super::{Elements, MOST_BYTES, TILE, bring, planes, with_vectors};
use crate::DType;

/// `y[r, t] = sum over s of k[r, s] * x[r, t + s]`, or `x[r, t - s]`: rows `r` side by side, all of them real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// `f32` or `f64`.
    pub dtype: DType,
    /// How many rows.
    pub rows: u64,
    /// Results of a row.
    pub points: u64,
    /// Terms of a sum.
    pub taps: u64,
    /// Whether `x` runs back with `s`.
    pub backward: bool,
    /// Strides of `x` from row to row and from point to point.
    pub x: [i64; 2],
    /// Strides of `k` from row to row and from term to term.
    pub k: [i64; 2],
    /// Strides of `y` from row to row and from point to point.
    pub y: [i64; 2],
    /// Whether results are added to what is there.
    pub accumulate: bool,
}

impl Convolution {
    /// How many rows are best convolved side by side.
    pub fn best_rows(dtype: DType, points: u64, taps: u64) -> u64 {
        let (block, _) = block(points, taps);
        2 * (MOST_BYTES / (block.saturating_mul(6 * dtype.bytes() as u64)).max(1)).clamp(1, WIDTH as u64)
    }

    /// Multiply-adds of a row by way of its transforms, about: to compare with `points * taps`.
    pub fn work(points: u64, taps: u64) -> f64 {
        block(points, taps).1
    }

    /// How many real numbers of working memory a run needs; `None` where no memory holds them.
    pub fn work_elems(&self) -> Option<u64> {
        let length = self.points.checked_add(self.taps)?;
        if length >= 1 << 40 {
            return None;
        }
        block(self.points, self.taps).0.checked_mul(self.rows.div_ceil(2))?.checked_mul(6)
    }
}

/// The length of a block that costs least, and what it costs.
fn block(points: u64, taps: u64) -> (u64, f64) {
    let whole = points.saturating_add(taps).saturating_sub(1);
    let cost = |len: u64| {
        let blocks = points.div_ceil((len + 1).saturating_sub(taps).max(1)) as f64;
        // Transforms of two rows at once, and the product.
        (2.0 * blocks + 1.0) * 1.25 * len as f64 * (len as f64).log2().max(1.0) + 8.0 * blocks * len as f64
    };
    let lengths = (1..=5).map(|shift| taps.saturating_mul(1 << shift)).chain([whole]);
    let lengths =
        lengths.filter(|&len| len <= whole && len >= taps).map(|len| smooth_length(len as usize) as u64);
    let mut best = (smooth_length(whole as usize) as u64, f64::INFINITY);
    for len in lengths {
        let cost = cost(len);
        if cost < best.1 {
            best = (len, cost);
        }
    }
    best
}

/// A convolution made ready.
#[derive(Clone, Debug)]
pub struct ConvolutionPlan {
    spec: Convolution,
    tables: Tables,
}

#[derive(Clone, Debug)]
enum Tables {
    Single(Stages<f32>),
    Double(Stages<f64>),
}

impl ConvolutionPlan {
    /// Makes a convolution ready. `None` where it is empty or no memory holds it, or for other types.
    pub fn new(spec: &Convolution) -> Option<ConvolutionPlan> {
        spec.work_elems()?;
        if spec.points == 0 || spec.taps == 0 {
            return None;
        }
        let len = block(spec.points, spec.taps).0 as usize;
        let tables = match spec.dtype {
            DType::F32 => Tables::Single(Stages::new(len)),
            DType::F64 => Tables::Double(Stages::new(len)),
            _ => return None,
        };
        Some(ConvolutionPlan { spec: *spec, tables })
    }

    /// Convolves the rows; the pointers are those of `r = t = s = 0`.
    ///
    /// # Safety
    /// `x`, `k` and `y` are good for every index of the rows, aligned for their type, and `y` overlaps neither operand.
    /// `work` is good for [`Convolution::work_elems`] numbers, aligned for them, and used by nobody else meanwhile.
    pub unsafe fn run(&self, x: *const u8, k: *const u8, y: *mut u8, work: *mut u8) {
        match &self.tables {
            // SAFETY: the caller's promise.
            Tables::Single(stages) => unsafe {
                convolve(&self.spec, stages, x.cast(), k.cast(), y.cast(), work.cast())
            },
            // SAFETY: the caller's promise.
            Tables::Double(stages) => unsafe {
                convolve(&self.spec, stages, x.cast(), k.cast(), y.cast(), work.cast())
            },
        }
    }
}

unsafe fn convolve<T: Real>(
    spec: &Convolution,
    stages: &Stages<T>,
    x: *const T,
    k: *const T,
    y: *mut T,
    work: *mut T,
) {
    with_vectors!(blocks::<T>(spec: &Convolution, stages: &Stages<T>, x: *const T, k: *const T, y: *mut T, work: *mut T))
}

/// Brings elements `first..first + count` of each row to the planes, zeros behind them.
///
/// # Safety
/// `from` is good for every index of the rows.
#[inline(always)]
unsafe fn fill<T: Real>(
    from: *const T,
    [row_by, by]: [isize; 2],
    rows: usize,
    count: usize,
    len: usize,
    planes: Planes<'_, T>,
) {
    let lanes = rows.div_ceil(2);
    let elements = |rows: usize| Elements { by: [2 * row_by, by], rows, count };
    // SAFETY: the caller's promise.
    unsafe {
        bring(from, elements(lanes), planes.re, lanes);
        if rows % 2 == 1 {
            planes.im[..count * lanes].fill(T::default());
        }
        if rows > 1 {
            bring(from.offset(row_by), elements(rows / 2), planes.im, lanes);
        }
    }
    planes.re[count * lanes..len * lanes].fill(T::default());
    planes.im[count * lanes..len * lanes].fill(T::default());
}

#[inline(always)]
unsafe fn blocks<T: Real, const FMA: bool>(
    spec: &Convolution,
    stages: &Stages<T>,
    x: *const T,
    k: *const T,
    y: *mut T,
    work: *mut T,
) {
    let (len, rows) = (stages.len, spec.rows as usize);
    let lanes = rows.div_ceil(2);
    let (points, taps) = (spec.points as usize, spec.taps as usize);
    let [x_by, k_by, y_by] = [spec.x, spec.k, spec.y].map(|by| by.map(|by| by as isize));
    // SAFETY: the caller's promise.
    let [mut data, mut other] = unsafe { planes(work, len * lanes) };
    // SAFETY: as above; these are the last two parts of six.
    let [filter_re, filter_im] = [4, 5]
        .map(|number| unsafe { std::slice::from_raw_parts_mut(work.add(number * len * lanes), len * lanes) });
    // In the planes the sum is `y[t] = sum over s of filter[s] * x[t + taps - 1 - s]`, counted from the first `x` read.
    let last = taps as isize - 1;
    // SAFETY: the caller's promise: elements of `k`, the last one first if `x` runs on; the first `x` read.
    let (k_first, k_step, x) = unsafe {
        match spec.backward {
            true => (k, k_by, x.offset(-last * x_by[1])),
            false => (k.offset(last * k_by[1]), [k_by[0], -k_by[1]], x),
        }
    };
    let mut filter = Planes { re: filter_re, im: filter_im };
    // SAFETY: the caller's promise.
    unsafe { fill(k_first, k_step, rows, taps, len, filter.again()) };
    stages.run::<FMA>(lanes, filter.again(), other.again());
    let step = len + 1 - taps;
    for first in (0..points).step_by(step) {
        let wanted = step.min(points - first);
        // SAFETY: the caller's promise: results `first..first + wanted` read so many elements.
        unsafe {
            fill(x.offset(first as isize * x_by[1]), x_by, rows, wanted + taps - 1, len, data.again());
        }
        stages.run::<FMA>(lanes, data.again(), other.again());
        product(lanes, len, data.again(), filter.again());
        {
            // Real and imaginary parts exchanged, a transform is the inverse one.
            let (data, other) = (data.again(), other.again());
            stages.run::<FMA>(
                lanes,
                Planes { re: data.im, im: data.re },
                Planes { re: other.im, im: other.re },
            );
        }
        let found = (taps - 1) * lanes..(wanted + taps - 1) * lanes;
        let (re, im) = (&data.re[found.clone()], &data.im[found]);
        let spoiled = re.iter().chain(im).filter(|value| !value.is_finite()).count() > 0;
        for start in (0..wanted).step_by(TILE) {
            let end = (start + TILE).min(wanted);
            for row in 0..rows {
                let plane = if row % 2 == 0 { re } else { im };
                for i in start..end {
                    let t = (first + i) as isize;
                    // SAFETY: the caller's promise; the planes have `wanted` lines of `lanes`.
                    unsafe {
                        let mut value = *plane.get_unchecked(i * lanes + row / 2);
                        if spoiled {
                            value = (0..taps as isize).fold(T::default(), |sum, s| {
                                let a = *k_first.offset(row as isize * k_step[0] + s * k_step[1]);
                                sum + a * *x.offset(row as isize * x_by[0] + (t + last - s) * x_by[1])
                            });
                        }
                        let place = y.offset(row as isize * y_by[0] + t * y_by[1]);
                        *place = if spec.accumulate { *place + value } else { value };
                    }
                }
            }
        }
    }
}

/// Multiplies the transforms of both rows of every pair with those of their filters, and scales for the way back.
#[inline(always)]
fn product<T: Real>(lanes: usize, len: usize, data: Planes<'_, T>, filter: Planes<'_, T>) {
    let scale = T::of(0.25 / len as f64);
    for f in 0..=len / 2 {
        let g = if f == 0 { 0 } else { len - f };
        for lane in (0..lanes).step_by(WIDTH) {
            let count = WIDTH.min(lanes - lane);
            let [at, mirror] = [f, g].map(|at| at * lanes + lane);
            let [re, im, re_g, im_g] =
                [(&data.re, at), (&data.im, at), (&data.re, mirror), (&data.im, mirror)]
                    .map(|(plane, at)| lanes_at(plane, at, count));
            let [kre, kim, kre_g, kim_g] =
                [(&filter.re, at), (&filter.im, at), (&filter.re, mirror), (&filter.im, mirror)]
                    .map(|(plane, at)| lanes_at(plane, at, count));
            let [mut out_re, mut out_im, mut out_re_g, mut out_im_g] = [[T::default(); WIDTH]; 4];
            for l in 0..WIDTH {
                // Twice the transforms of both rows, and of both filters.
                let (ar, ai, br, bi) = (re[l] + re_g[l], im[l] - im_g[l], im[l] + im_g[l], re_g[l] - re[l]);
                let (cr, ci, dr, di) =
                    (kre[l] + kre_g[l], kim[l] - kim_g[l], kim[l] + kim_g[l], kre_g[l] - kre[l]);
                let (pr, pi) = ((ar * cr - ai * ci) * scale, (ar * ci + ai * cr) * scale);
                let (qr, qi) = ((br * dr - bi * di) * scale, (br * di + bi * dr) * scale);
                (out_re[l], out_im[l], out_re_g[l], out_im_g[l]) = (pr - qi, pi + qr, pr + qi, qr - pi);
            }
            put_lanes(&out_re_g, data.re, mirror, count);
            put_lanes(&out_im_g, data.im, mirror, count);
            put_lanes(&out_re, data.re, at, count);
            put_lanes(&out_im, data.im, at, count);
        }
    }
}

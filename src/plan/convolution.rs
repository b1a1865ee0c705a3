//! Which contractions are long convolutions that run faster by way of Fourier transforms.
//!
//! Of `out[.., t] = sum over s of k[.., s] * x[.., t + s]` (or `t - s`) every other axis counts rows, whether both
//! operands have it or one. Transforms pay where the sum is long; where several rows share an operand the sums may be a
//! matrix product, which takes a longer one.

use super::{Contract, View};
use crate::expr::{Axes, AxisId};
use einc_runtime::DType;
use einc_runtime::fourier::Convolution;

/// Terms of a sum below which it is never a convolution by transforms.
const LEAST_TAPS: u64 = 32;

/// How much faster a matrix product does a multiply-add than transforms do.
const PRODUCT: f64 = 5.0;

/// A contraction that is a convolution.
#[derive(Clone, Debug)]
pub struct LongSum<'a> {
    /// The operand that is read at `t + s` or `t - s`.
    pub x: &'a View,
    /// The other one.
    pub k: &'a View,
    /// The axis of the points of a row, `t`.
    pub time: AxisId,
    /// The axis that is summed over, `s`.
    pub tap: AxisId,
    /// The axes that count rows.
    pub rows: Vec<AxisId>,
}

impl LongSum<'_> {
    /// The multiply-adds of all rows by way of transforms, about.
    pub fn work(&self, axes: &Axes) -> f64 {
        let rows = self.rows.iter().fold(1.0, |n, &axis| n * axes[axis].extent as f64);
        rows * Convolution::work(axes[self.time].extent, axes[self.tap].extent)
    }
}

/// Whether an operand is read at places that a kept axis and a long summed one move alike: such a product is a convolution,
/// and transforms take many of its rows at once.
pub(super) fn reads_windows(view: &View, kept: &dyn Fn(AxisId) -> bool, axes: &Axes) -> bool {
    let moves = |axis: AxisId| view.stride(axis).abs();
    let of_view = || view.strides.iter().map(|&(axis, _)| axis).filter(|&axis| moves(axis) != 0);
    let mut taps = of_view().filter(|&axis| !kept(axis) && axes[axis].extent >= LEAST_TAPS);
    taps.any(|tap| of_view().any(|time| kept(time) && moves(time) == moves(tap)))
}

impl Contract {
    /// The convolution that it is, if transforms are the faster way; the axes of scans around are held.
    pub fn long_sum(&self, axes: &Axes, held: &dyn Fn(AxisId) -> bool) -> Option<LongSum<'_>> {
        if !matches!(self.dtype, DType::F32 | DType::F64) || self.wanted.is_some() || self.band.is_some() {
            return None;
        }
        let extent = |axis: AxisId| axes[axis].extent;
        let mut free: Vec<AxisId> = Vec::new();
        let mut summed: Vec<AxisId> = Vec::new();
        for &(axis, _) in [&self.out, &self.a, &self.b].into_iter().flat_map(|view| &view.strides) {
            if held(axis) || extent(axis) == 1 || free.contains(&axis) || summed.contains(&axis) {
                continue;
            }
            if self.out.stride(axis) == 0 { summed.push(axis) } else { free.push(axis) }
        }
        let &[tap] = &summed[..] else { return None };
        let taps = extent(tap);
        if taps < LEAST_TAPS {
            return None;
        }
        let (x, k, time) = [(&self.a, &self.b), (&self.b, &self.a)].into_iter().find_map(|(x, k)| {
            let along = x.stride(tap);
            let fits = |axis: &AxisId| k.stride(*axis) == 0 && x.stride(*axis).abs() == along.abs();
            let time = free.iter().copied().find(|axis| along != 0 && k.stride(tap) != 0 && fits(axis))?;
            Some((x, k, time))
        })?;
        let points = extent(time);
        let rows: Vec<AxisId> = free.into_iter().filter(|&axis| axis != time).collect();
        let shares = |view: &View| rows.iter().any(|&axis| view.stride(axis) == 0 && extent(axis) >= 4);
        let rate = if shares(x) || shares(k) { PRODUCT } else { 1.0 };
        (Convolution::work(points, taps) * rate < points as f64 * taps as f64).then_some(LongSum {
            x,
            k,
            time,
            tap,
            rows,
        })
    }
}

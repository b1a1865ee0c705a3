//! Contractions in slices: the pairs run once for every value of the sliced axes, many of these values at once.
//!
//! Which slices run at once does not depend on how many threads there are. Each of them, called a part, has
//! intermediates of its own. Parts that add to the same elements have a partial sum each, and the partial sums are added
//! in order, so that the result has the same bits on any number of threads.
//!
//! ```text
//! y[i] = sum[s,..] A[s,..] B[i,s,..] ..     =>     nest   p[s,i] = 0
//!                                                  scan[s apart] { scan[t] { .. contract p[s,i] += .. } }
//!                                                  nest   y[i] = sum[s] p[s,i]
//! ```

use super::contraction::{Factor, Scale, Site};
use super::lower::Lowering;
use super::{ScanStep, Step, View};
use crate::expr::{Axis, AxisId};
use std::collections::BTreeSet;

/// How much slices that run at once may take.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// How many there may be.
    pub parts: u64,
    /// The bytes that all of them may take beyond what one takes.
    pub bytes: f64,
}

/// Slices run at once in at most so many parts.
pub(super) const PARTS: u64 = 16;

impl Default for Room {
    fn default() -> Room {
        Room { parts: PARTS, bytes: 67_108_864.0 }
    }
}

impl Room {
    /// Slice after slice.
    pub const NONE: Room = Room { parts: 1, bytes: 0.0 };
}

/// Multiply-adds of a part for each element of its partial sum, so that adding it costs little.
const WORTH: f64 = 16.0;

/// A sliced axis as blocks of equal length.
struct Split {
    axis: AxisId,
    block: AxisId,
    within: AxisId,
    length: i64,
}

/// How the sliced axes are run through.
#[derive(Default)]
struct Spread {
    /// The axes whose values run at once.
    apart: Vec<AxisId>,
    /// Those whose values run one after the other.
    rest: Vec<AxisId>,
    splits: Vec<Split>,
    /// Those of `apart` that the result lacks.
    gathered: Vec<AxisId>,
}

impl Split {
    fn apply(&self, view: &mut View) {
        let Some(at) = view.strides.iter().position(|term| term.0 == self.axis) else { return };
        let stride = view.strides[at].1;
        view.strides[at] = (self.block, stride.saturating_mul(self.length));
        view.strides.insert(at + 1, (self.within, stride));
    }
}

impl Lowering<'_> {
    /// Adds the steps of an order of pairs that runs in slices.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn sliced(
        &mut self,
        mut site: Site,
        loops: &[AxisId],
        mut factors: Vec<Factor>,
        (pairs, slices): (&[(usize, usize)], &[AxisId]),
        scale: Scale,
        mut out: View,
        accumulate: bool,
    ) {
        for factor in &mut factors {
            factor.axes.retain(|axis| !slices.contains(axis));
        }
        let spread = self.spread(&site, loops, &factors, pairs, slices);
        let mut whole: Vec<AxisId> = loops.to_vec();
        for split in &spread.splits {
            factors.iter_mut().for_each(|factor| split.apply(&mut factor.view));
            split.apply(&mut out);
            if let Some(at) = whole.iter().position(|&axis| axis == split.axis) {
                whole[at] = split.block;
                whole.insert(at + 1, split.within);
            }
        }
        let is_summed = slices.iter().any(|axis| !loops.contains(axis));
        let shares = self.settings.processes.is_some() && !spread.apart.is_empty();
        // What processes put together holds nothing else.
        let is_apart = !spread.gathered.is_empty() || shares && (accumulate || !site.fixed.is_empty());
        let sum_axes: Vec<AxisId> = spread.gathered.iter().chain(&whole).copied().collect();
        let sum = if is_apart { self.scratch(&site, &sum_axes) } else { out.clone() };
        let adds = accumulate && !is_apart;
        if shares || is_summed && !adds {
            self.zero(&site, &sum_axes, sum.clone());
        }
        let before = std::mem::take(&mut self.steps);
        let around = site.fixed.clone();
        site.fixed.extend(spread.apart.iter().chain(&spread.rest));
        site.apart = spread.apart.clone();
        let kept: Vec<AxisId> = whole.iter().copied().filter(|axis| !site.fixed.contains(axis)).collect();
        self.pairwise(&site, &kept, factors, pairs, scale, sum.clone(), is_summed || adds);
        let mut body = std::mem::replace(&mut self.steps, before);
        let axes = spread.apart.iter().map(|&axis| (axis, true));
        for (axis, apart) in axes.chain(spread.rest.iter().map(|&axis| (axis, false))).rev() {
            let place = site.place;
            body = vec![Step::Scan(ScanStep { axis, reversed: false, apart, shared: None, body, place })];
        }
        if let (true, [Step::Scan(outermost)]) = (shares, &mut body[..]) {
            outermost.shared = Some(sum.buffer);
        }
        self.steps.extend(body);
        if is_apart {
            site.fixed = around;
            site.apart.clear();
            let sums = Factor { view: sum, axes: sum_axes.into_iter().collect() };
            self.product_nest(&site, &whole, &[sums], Scale::one(site.dtype), out, accumulate);
        }
    }

    /// Chooses which slices run at once: those of the result's axes first, for they need no partial sums.
    fn spread(
        &mut self,
        site: &Site,
        loops: &[AxisId],
        factors: &[Factor],
        pairs: &[(usize, usize)],
        slices: &[AxisId],
    ) -> Spread {
        let volume = |axes: &mut dyn Iterator<Item = AxisId>| {
            axes.fold(1.0, |n, axis| n * self.plan.axes[axis].extent as f64)
        };
        let result = volume(&mut loops.iter().copied());
        let wanted: BTreeSet<AxisId> = loops.iter().copied().filter(|axis| !slices.contains(axis)).collect();
        // What one slice holds and does.
        let (mut held, mut macs) = (0.0, 0.0);
        let mut live: Vec<Option<BTreeSet<AxisId>>> =
            factors.iter().map(|factor| Some(factor.axes.clone())).collect();
        for &(a, b) in pairs {
            let (Some(a), Some(b)) = (live[a].take(), live[b].take()) else { continue };
            let both: BTreeSet<AxisId> = a.union(&b).copied().collect();
            macs += volume(&mut both.iter().copied());
            let needed: BTreeSet<AxisId> = live.iter().flatten().flatten().chain(&wanted).copied().collect();
            let kept: BTreeSet<AxisId> = both.intersection(&needed).copied().collect();
            held += volume(&mut kept.iter().copied());
            live.push(Some(kept));
        }
        let all = macs * volume(&mut slices.iter().copied());
        let bytes = site.dtype.bytes() as f64;
        let (room, mut most) = (self.room, self.room.parts);
        loop {
            let spread = self.parts(loops, slices, most);
            let count = |axes: &[AxisId]| -> f64 {
                axes.iter().fold(1.0, |n, &axis| n * self.plan.axes[axis].extent as f64)
            };
            let (parts, sums) = (count(&spread.apart), count(&spread.gathered));
            let gathers = !spread.gathered.is_empty();
            let extra = held * (parts - 1.0) + if gathers { result * sums } else { 0.0 };
            let cheap = !gathers || result * sums * WORTH <= all;
            if most <= 1 || extra * bytes <= room.bytes && cheap {
                return spread;
            }
            most /= 2;
        }
    }

    /// At most so many parts of some slices.
    fn parts(&mut self, loops: &[AxisId], slices: &[AxisId], most: u64) -> Spread {
        let mut spread = Spread::default();
        let mut parts = 1;
        let (own, summed): (Vec<AxisId>, Vec<AxisId>) = slices.iter().partition(|axis| loops.contains(axis));
        for (axis, is_own) in
            own.into_iter().map(|axis| (axis, true)).chain(summed.into_iter().map(|axis| (axis, false)))
        {
            let Axis { name, extent } = self.plan.axes[axis].clone();
            let left = (most / parts).min(extent);
            let count = (1..=left).rev().find(|count| extent.is_multiple_of(*count)).unwrap_or(1);
            parts *= count;
            let block = match count {
                1 => {
                    spread.rest.push(axis);
                    continue;
                }
                _ if count == extent => axis,
                _ => {
                    let block = self.plan.axes.push(Axis { name: format!("{name}.block"), extent: count });
                    let length = extent / count;
                    let within = self.plan.axes.push(Axis { name: name.clone(), extent: length });
                    let length = i64::try_from(length).unwrap_or(i64::MAX);
                    spread.splits.push(Split { axis, block, within, length });
                    spread.rest.push(within);
                    block
                }
            };
            spread.apart.push(block);
            if !is_own {
                spread.gathered.push(block);
            }
        }
        spread
    }
}

//! Reductions over ranges that are known when the program runs.

use super::{BLOCK, Sums, Term};
use crate::expr::{Axes, AxisId, Binary, ReduceOp};
use crate::loops::lower::build::Builder;
use crate::loops::lower::expr::{Point, Val};
use crate::loops::lower::ranges::Range;
use crate::loops::*;

/// How a range of the innermost axis is joined.
struct Run {
    innermost: AxisId,
    lanes: u8,
    copies: usize,
    /// Lanes of the accumulators.
    wide: u8,
    dtype: DType,
    op: ReduceOp,
}

impl Builder {
    /// Joins over axes of which some run over ranges that are known when the program runs.
    pub(super) fn join_ranged(
        &mut self,
        sums: &Sums,
        innermost: AxisId,
        outer: &[AxisId],
        op: ReduceOp,
        term: Term,
    ) -> Vec<Val> {
        let axes = sums.scopes[0].axes;
        let dtype = sums.reduction.body.dtype();
        let own = sums.points[0].vector.map_or(1, |vector| vector.1);
        let lanes = sums.vector.map_or(1, |vector| vector.1);
        let tile = sums.points.len();
        let wide = own.max(lanes);
        let totals: Vec<Val> = (0..tile).map(|_| self.accumulator(op, dtype, wide)).collect();
        let rests: Vec<Val> = match lanes {
            1 => Vec::new(),
            _ => (0..tile).map(|_| self.accumulator(op, dtype, 1)).collect(),
        };
        let copies = (8 / tile).clamp(1, 4);
        self.each_within(outer, axes, &sums.ranges, sums.points.to_vec(), &mut |builder, points| {
            let run = Run { innermost, lanes, copies, wide, dtype, op };
            builder.run_within(&run, sums, &points, &totals, &rests, term);
        });
        if lanes == 1 {
            return totals;
        }
        let both = totals.into_iter().zip(rests);
        both.map(|(total, rest)| {
            let total = Val::One(self.across(op, total.one()));
            self.joined(op, total, rest)
        })
        .collect()
    }

    /// Joins one range of the innermost axis to the totals: in blocks of several vectors, then of one, then one by one.
    fn run_within(
        &mut self,
        run: &Run,
        sums: &Sums,
        points: &[Point],
        totals: &[Val],
        rests: &[Val],
        term: Term,
    ) {
        let axes = sums.scopes[0].axes;
        let name = axes[run.innermost].name.clone();
        let extent = i64::try_from(axes[run.innermost].extent).unwrap_or(i64::MAX);
        let range = sums.ranges.iter().find(|range| range.axis == run.innermost);
        let (zero, end) = (self.int(0), self.int(extent));
        let from = range.and_then(|range| range.from).map_or(zero, |from| self.lang(Binary::Max, from, zero));
        let to = range.and_then(|range| range.to).map_or(end, |to| self.lang(Binary::Min, to, end));
        let group = i64::from(run.lanes) * run.copies as i64;
        let block = group * BLOCK;
        // Long sums are cut, so that their error grows with the blocks.
        self.looped_within(&name, (0, extent, block), (Some(from), Some(to)), &mut |builder, at| {
            let start = builder.index(&at);
            let stop = builder.index(&at.shifted(block));
            let stop = builder.lang(Binary::Min, stop, to);
            let sums: Vec<Vec<Val>> = points
                .iter()
                .map(|_| (0..run.copies).map(|_| builder.accumulator(run.op, run.dtype, run.wide)).collect())
                .collect();
            let mut first = start;
            let widths = [(run.lanes, run.copies), (run.lanes, 1)];
            let distinct = if group == i64::from(run.lanes) { 1 } else { 2 };
            for &(lanes, copies) in &widths[..distinct] {
                let step = i64::from(lanes) * copies as i64;
                let ahead = builder.int(step - 1);
                let last = builder.sub(stop, ahead);
                let bounds = (Some(first), Some(last));
                builder.looped_within(&name, (0, extent - step + 1, step), bounds, &mut |builder, at| {
                    for (copy, ahead) in (0..copies).map(|copy| (copy, copy as i64 * i64::from(lanes))) {
                        let at = at.shifted(ahead);
                        for (k, point) in points.iter().enumerate() {
                            let mut point = point.with(run.innermost, at.clone());
                            if lanes > 1 {
                                point = point.along(run.innermost, lanes);
                            }
                            let sum = term(builder, k, &point, sums[k][copy]);
                            builder.assign(sums[k][copy], sum);
                        }
                    }
                });
                let length = builder.sub(stop, first);
                let whole = builder.int(-step);
                let whole = builder.lang(Binary::BitAnd, length, whole);
                first = builder.add(first, whole);
            }
            if run.lanes > 1 {
                builder.looped_within(
                    &name,
                    (0, extent, 1),
                    (Some(first), Some(stop)),
                    &mut |builder, at| {
                        for (k, point) in points.iter().enumerate() {
                            let sum = term(builder, k, &point.with(run.innermost, at.clone()), rests[k]);
                            builder.assign(rests[k], sum);
                        }
                    },
                );
            }
            let results = builder.tree(run.op, &sums);
            for (total, result) in totals.iter().zip(results) {
                let sum = builder.joined(run.op, *total, result);
                builder.assign(*total, sum);
            }
        });
    }

    /// Runs `body` at all values of some axes that lie in their ranges.
    fn each_within(
        &mut self,
        list: &[AxisId],
        axes: &Axes,
        ranges: &[Range],
        points: Vec<Point>,
        body: &mut dyn FnMut(&mut Builder, Vec<Point>),
    ) {
        let Some((&axis, inner)) = list.split_first() else { return body(self, points) };
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let range = ranges.iter().find(|range| range.axis == axis);
        let bounds = range.map_or((None, None), |range| (range.from, range.to));
        self.looped_within(&axes[axis].name.clone(), (0, extent, 1), bounds, &mut |builder, at| {
            let points = points.iter().map(|point| point.with(axis, at.clone())).collect();
            builder.each_within(inner, axes, ranges, points, body);
        });
    }
}

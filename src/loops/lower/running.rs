//! Running sums and products along an axis whose neighbours lie far apart: many rows at once, side by side.
//!
//! ```text
//! for n0 in 0..448 step 56 parallel {        the rows of a block have their sums in scratch memory
//!   for k0 in 0..512 {
//!     for n1 in 0..56 { for c0 in 0..14 step 4 {
//!       sum[n1,c0..+4] += body;  out[k0,n0 + n1,c0..+4] = sum[n1,c0..+4] } } } }
//! ```
//!
//! A sum of `f32` keeps what its additions lose (Kahan, Comm. ACM 8, 40, 1965), so that a long one is as good as one in
//! `f64` that is rounded in the end.

use super::build::{Builder, Lin};
use super::expr::{Point, Scope, Val, view_at};
use super::nest::{PARALLEL_WORK, lanes_of, size_of};
use crate::expr::{AlongOp, Axes, AxisId, Binary, Unary};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::AlongStep;

/// How many rows run side by side at most: their sums stay in the cache.
const ROWS: u64 = 1 << 14;

/// How many blocks the rows are cut into for threads.
const BLOCKS: i64 = 8;

/// A row axis inside a block: where the block starts, and how many of its values the block has.
type Side = (AxisId, Lin, i64);

/// What all points of a block share.
struct Block<'a> {
    step: &'a AlongStep,
    scope: Scope<'a>,
    lanes: u8,
    state: BufferId,
    /// What additions lost, of `f32`.
    lost: Option<BufferId>,
}

impl Builder {
    /// Writes a running sum or product for many rows side by side; `false` where one row after the other is better.
    pub(super) fn running_rows(
        &mut self,
        step: &AlongStep,
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) -> bool {
        let dtype = step.dtype;
        let known = match step.op {
            AlongOp::CumSum => matches!(dtype, DType::F64 | DType::F32 | DType::I64 | DType::I32),
            AlongOp::CumProd => matches!(dtype, DType::F64 | DType::I64 | DType::I32),
            _ => false,
        };
        let Some(lanes) = lanes_of(&step.body, machine) else { return false };
        let extent = |axis: AxisId| axes[axis].extent;
        let beside =
            |axis: &&AxisId| step.out.strides.contains(&(**axis, 1)) && extent(**axis) >= u64::from(lanes);
        let (Some(&last), true) = (step.rows.iter().find(beside), known && step.body.dtype() == dtype) else {
            return false;
        };
        if step.axes.len() != 1 || extent(last) > ROWS || extent(step.axes[0]) < 2 {
            return false;
        }
        let mut outer: Vec<AxisId> = step.rows.iter().copied().filter(|&axis| axis != last).collect();
        let mut inner = vec![last];
        let mut volume = extent(last);
        while let Some(&axis) = outer.last() {
            if volume.saturating_mul(extent(axis)) > ROWS {
                break;
            }
            volume *= extent(axis);
            inner.insert(0, axis);
            outer.pop();
        }
        let points = step.rows.iter().chain(&step.axes).fold(1u64, |n, &axis| n.saturating_mul(extent(axis)));
        let work = points.saturating_mul(size_of(&step.body) as u64 + 4);
        let parallel = work >= PARALLEL_WORK && !self.in_parallel();
        let state = self.scratch("running", dtype, volume);
        let lost = (dtype == DType::F32).then(|| self.scratch("lost", dtype, volume));
        let scope = Scope { axes, operands: &step.operands, reduced: Vec::new() };
        let block = Block { step, scope, lanes, state, lost };
        let whole =
            |axis: AxisId| (axis, Lin::default(), i64::try_from(axes[axis].extent).unwrap_or(i64::MAX));
        let sides: Vec<Side> = inner.iter().map(|&axis| whole(axis)).collect();
        match outer.split_first() {
            Some((&first, rest)) => {
                let (_, start, end) = whole(first);
                self.looped(&axes[first].name.clone(), (0, end, 1), parallel, &mut |builder, at| {
                    let point = point.with(first, start.plus(&at, 1));
                    builder.running_outer(&block, rest, &sides, &point);
                });
            }
            None if parallel && inner.len() > 1 && sides[0].2 >= 2 * BLOCKS => {
                let (axis, _, end) = sides[0].clone();
                let size = (end + BLOCKS - 1) / BLOCKS;
                let cut = end / size * size;
                for (from, to) in [(0, cut), (cut, end)] {
                    self.looped(&axes[axis].name.clone(), (from, to, size), true, &mut |builder, at| {
                        let mut sides = sides.clone();
                        sides[0] = (axis, at, size.min(to - from));
                        builder.running_block(&block, &sides, point);
                    });
                }
            }
            None => self.running_block(&block, &sides, point),
        }
        true
    }

    fn running_outer(&mut self, block: &Block, outer: &[AxisId], sides: &[Side], point: &Point) {
        let Some((&axis, rest)) = outer.split_first() else { return self.running_block(block, sides, point) };
        let axes = block.scope.axes;
        let end = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        self.looped(&axes[axis].name.clone(), (0, end, 1), false, &mut |builder, at| {
            builder.running_outer(block, rest, sides, &point.with(axis, at));
        });
    }

    /// Runs along the axis with all rows of a block.
    fn running_block(&mut self, block: &Block, sides: &[Side], point: &Point) {
        let axes = block.scope.axes;
        let step = block.step;
        let first = if step.op == AlongOp::CumSum { 0.0 } else { 1.0 };
        self.each_row(block, sides, point, &Lin::default(), &mut |builder, point, at| {
            let ty = Type { dtype: step.dtype, lanes: point.vector.map_or(1, |vector| vector.1) };
            for (buffer, start) in [(Some(block.state), first), (block.lost, 0.0)] {
                let Some(buffer) = buffer else { continue };
                let value = builder.number(ty, start);
                builder.store(address(buffer, at), value);
            }
        });
        let (axis, out_axis) = (step.axes[0], step.out_axes[0]);
        let length = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        self.looped(&axes[axis].name.clone(), (0, length, 1), false, &mut |builder, at| {
            let point = point.with(axis, at.clone()).with(out_axis, at);
            builder.each_row(block, sides, &point, &Lin::default(), &mut |builder, point, at| {
                builder.running_point(block, point, at);
            });
        });
    }

    /// Adds to one row, or to as many as there are lanes.
    fn running_point(&mut self, block: &Block, point: &Point, at: &Lin) {
        let step = block.step;
        let ty = Type { dtype: step.dtype, lanes: point.vector.map_or(1, |vector| vector.1) };
        let value = self.value(&step.body, &block.scope, point).one();
        let value = self.widen(value, ty.lanes);
        let old = self.make(ty, Op::Load(ty.dtype, address(block.state, at)));
        let next = match block.lost {
            Some(lost) => {
                let before = self.make(ty, Op::Load(ty.dtype, address(lost, at)));
                let value = self.sub(value, before);
                let next = self.add(old, value);
                let moved = self.sub(next, old);
                let gone = self.sub(moved, value);
                // Of infinities nothing is lost.
                let (size, inf) = (self.unary(Unary::Abs, gone), self.number(ty, f64::INFINITY));
                let finite = self.lang(Binary::Lt, size, inf);
                let zero = self.number(ty, 0.0);
                let gone = self.select(finite, gone, zero);
                self.store(address(lost, at), gone);
                next
            }
            None if step.op == AlongOp::CumSum => self.add(old, value),
            None => self.mul(old, value),
        };
        self.store(address(block.state, at), next);
        let (lin, along) = view_at(point, step.out.offset, &step.out.strides);
        self.write(BufferId(step.out.buffer.0), &lin, along, None, Val::One(next));
    }

    /// Runs `body` at all rows of a block, with the row's place in scratch memory.
    fn each_row(
        &mut self,
        block: &Block,
        sides: &[Side],
        point: &Point,
        at: &Lin,
        body: &mut dyn FnMut(&mut Builder, &Point, &Lin),
    ) {
        let Some(((axis, start, length), inner)) = sides.split_first() else { return body(self, point, at) };
        let name = block.scope.axes[*axis].name.clone();
        let stride = inner.iter().fold(1i64, |n, side| n * side.2);
        let lanes = if inner.is_empty() { block.lanes } else { 1 };
        let whole = length / i64::from(lanes) * i64::from(lanes);
        for (from, to, lanes) in [(0, whole, lanes), (whole, *length, 1)] {
            self.looped(&name, (from, to, lanes.into()), false, &mut |builder, local| {
                let point = point.with(*axis, start.plus(&local, 1));
                let point = if lanes > 1 { point.along(*axis, lanes) } else { point };
                builder.each_row(block, inner, &point, &at.plus(&local, stride), body);
            });
        }
    }
}

fn address(buffer: BufferId, at: &Lin) -> Address {
    Address { buffer, offset: at.offset, terms: at.terms.clone(), dynamic: None }
}

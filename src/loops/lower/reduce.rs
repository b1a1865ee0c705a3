//! Reductions: accumulators in registers, several of them, joined as a tree.
//!
//! A long sum of floats is cut into blocks that are summed for themselves, so that its error grows with the block and
//! with the number of blocks, not with the length.

mod ranged;

use super::build::{Builder, Lin};
use super::expr::{Point, Scope, Val};
use super::nest::size_of;
use super::ranges::Range;
use crate::expr::{Axes, AxisId, Binary, ReduceOp, Unary};
use crate::loops::*;
use crate::plan::Reduction;

/// Additions in a row after which a sum of floats is cut.
const BLOCK: i64 = 32;

/// A reduction at the points of one tile.
pub(super) struct Sums<'a> {
    pub(super) reduction: &'a Reduction,
    pub(super) points: &'a [Point],
    pub(super) scopes: &'a [Scope<'a>],
    /// The reduction's axis that runs along the lanes, if the points have no vector of their own.
    pub(super) vector: Option<(AxisId, u8)>,
    /// What is known of the ranges of the reduction's axes.
    pub(super) ranges: Vec<Range>,
}

/// Adds the value at a point (of the tile's point of that number) to an accumulator.
type Term<'a> = &'a mut dyn FnMut(&mut Builder, usize, &Point, Val) -> Val;

/// How values are joined, whatever they are.
struct Join<'a> {
    op: ReduceOp,
    dtype: DType,
    /// Lanes of the accumulators.
    lanes: u8,
    axes: &'a Axes,
    inner: Inner,
    /// Whether long sums are cut into blocks.
    cut: bool,
}

/// The loop along the innermost axis: `copies` accumulators, `unroll` groups of lanes in each pass.
struct Inner {
    axis: AxisId,
    lanes: u8,
    copies: usize,
    unroll: i64,
}

impl Builder {
    /// The result at each point.
    pub(super) fn reduce(&mut self, sums: &Sums) -> Vec<Val> {
        match self.ranged(sums.reduction, &sums.scopes[0], sums.points) {
            Some((reduction, ranges)) => self.reduce_within(&Sums { reduction: &reduction, ranges, ..*sums }),
            None => self.reduce_within(sums),
        }
    }

    fn reduce_within(&mut self, sums: &Sums) -> Vec<Val> {
        let reduction = sums.reduction;
        match reduction.op {
            ReduceOp::ArgMin | ReduceOp::ArgMax => {
                (0..sums.points.len()).map(|k| Val::One(self.arg_reduce(sums, k))).collect()
            }
            ReduceOp::LogSumExp => {
                let body = &reduction.body;
                let greatest = self.join_all(sums, ReduceOp::Max, &mut |builder, k, point, most| {
                    let value = builder.value(body, &sums.scopes[k], point);
                    builder.joined(ReduceOp::Max, most, value)
                });
                // Where the greatest is infinite or NaN, shifting by it would make NaN of the rest.
                let shifts: Vec<ValueId> = greatest
                    .into_iter()
                    .map(|most| {
                        let most = most.one();
                        let ty = self.ty(most);
                        let (size, inf) = (self.unary(Unary::Abs, most), self.number(ty, f64::INFINITY));
                        let (finite, zero) = (self.lang(Binary::Lt, size, inf), self.number(ty, 0.0));
                        self.select(finite, most, zero)
                    })
                    .collect();
                let totals = self.join_all(sums, ReduceOp::Sum, &mut |builder, k, point, sum| {
                    let value = builder.value(body, &sums.scopes[k], point).one();
                    let lanes = builder.ty(value).lanes.max(builder.ty(shifts[k]).lanes);
                    let (value, shift) = (builder.widen(value, lanes), builder.widen(shifts[k], lanes));
                    let value = builder.sub(value, shift);
                    let value = builder.unary(Unary::Exp, value);
                    builder.joined(ReduceOp::Sum, sum, Val::One(value))
                });
                totals
                    .into_iter()
                    .zip(shifts)
                    .map(|(total, shift)| {
                        let log = self.unary(Unary::Log, total.one());
                        Val::One(self.add(log, shift))
                    })
                    .collect()
            }
            ReduceOp::Sum => self.join_all(sums, ReduceOp::Sum, &mut |builder, k, point, sum| {
                builder.add_chosen(sum, &reduction.body, &sums.scopes[k], point)
            }),
            op => self.join_all(sums, op, &mut |builder, k, point, result| {
                let value = builder.value(&reduction.body, &sums.scopes[k], point);
                builder.joined(op, result, value)
            }),
        }
    }

    /// Two results of a reduction as one.
    pub(super) fn joined(&mut self, op: ReduceOp, a: Val, b: Val) -> Val {
        match op {
            ReduceOp::Sum | ReduceOp::LogSumExp => self.plus(a, b),
            ReduceOp::Prod => self.times(a, b),
            op => {
                let lanes = self.ty(a.one()).lanes.max(self.ty(b.one()).lanes);
                let (a, b) = (self.widen(a.one(), lanes), self.widen(b.one(), lanes));
                Val::One(self.lang(
                    match op {
                        ReduceOp::Min => Binary::Min,
                        ReduceOp::Max => Binary::Max,
                        ReduceOp::Any => Binary::Or,
                        _ => Binary::And,
                    },
                    a,
                    b,
                ))
            }
        }
    }

    /// What a reduction starts from.
    fn identity(&mut self, op: ReduceOp, ty: Type) -> ValueId {
        let number = match op {
            ReduceOp::Sum | ReduceOp::Any | ReduceOp::LogSumExp => 0.0,
            ReduceOp::Prod | ReduceOp::All => 1.0,
            ReduceOp::Min | ReduceOp::ArgMin => f64::INFINITY,
            ReduceOp::Max | ReduceOp::ArgMax => f64::NEG_INFINITY,
        };
        match ty.dtype.integer_range() {
            Some((low, high)) if number.is_infinite() => {
                let end = if number > 0.0 { high } else { low };
                self.make(ty, Op::Const(Number::Int(end as i64)))
            }
            _ => self.number(ty, number),
        }
    }

    /// An accumulator with its starting value.
    pub(super) fn accumulator(&mut self, op: ReduceOp, dtype: DType, lanes: u8) -> Val {
        let ty = Type { dtype: dtype.real_part(), lanes };
        let first = self.identity(op, ty);
        let re = self.register(ty);
        self.set(re, Op::Copy(first));
        if !dtype.is_complex() {
            return Val::One(re);
        }
        let zero = self.number(ty, 0.0);
        let im = self.register(ty);
        self.set(im, Op::Copy(zero));
        Val::Pair(re, im)
    }

    pub(super) fn assign(&mut self, register: Val, value: Val) {
        match (register, value) {
            (Val::Pair(re, im), Val::Pair(new_re, new_im)) => {
                self.set(re, Op::Copy(new_re));
                self.set(im, Op::Copy(new_im));
            }
            _ => {
                let lanes = self.ty(register.one()).lanes;
                let value = self.widen(value.one(), lanes);
                self.set(register.one(), Op::Copy(value));
            }
        }
    }

    fn join_all(&mut self, sums: &Sums, op: ReduceOp, term: Term) -> Vec<Val> {
        let Some(scope) = sums.scopes.first() else { return Vec::new() };
        let axes = scope.axes;
        let dtype = sums.reduction.body.dtype();
        let extent = |axis: AxisId| i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let mut outer = sums.reduction.axes.clone();
        let points: Vec<Point> = sums.points.to_vec();
        let own = points[0].vector.map_or(1, |vector| vector.1);
        let innermost = sums.vector.map(|vector| vector.0).or(outer.last().copied());
        let Some(innermost) = innermost.filter(|_| outer.iter().all(|&axis| extent(axis) > 0)) else {
            let mut results: Vec<Val> = points.iter().map(|_| self.accumulator(op, dtype, own)).collect();
            if outer.is_empty() {
                results =
                    results.iter().enumerate().map(|(k, &start)| term(self, k, &points[k], start)).collect();
            }
            return results;
        };
        outer.retain(|&axis| axis != innermost);
        let lanes = sums.vector.map_or(1, |vector| i64::from(vector.1));
        if !sums.ranges.is_empty() {
            return self.join_ranged(sums, innermost, &outer, op, term);
        }
        let groups = extent(innermost) / lanes;
        let tile = points.len() as i64;
        let size = size_of(&sums.reduction.body) as i64;
        let small = groups.saturating_mul(tile).saturating_mul(size) <= 128;
        let most = if size <= 16 { 4 } else { 2 };
        let copies = (8 / tile).clamp(1, most).min(groups.max(1));
        let unroll = if small { groups.max(1) } else { copies.max(2).min(groups) };
        let whole = groups * lanes;
        let join = Join {
            op,
            dtype,
            lanes: own.max(lanes as u8),
            axes,
            inner: Inner { axis: innermost, lanes: lanes as u8, copies: copies as usize, unroll },
            cut: op == ReduceOp::Sum && !dtype.is_integer() && dtype != DType::Bool,
        };
        let results = self.join_outer(&join, &outer, whole, &points, term);
        if whole == extent(innermost) && lanes == 1 {
            return results;
        }
        // The lanes become one value, to which the rest of the axis is added.
        let results: Vec<Val> =
            results.into_iter().map(|result| Val::One(self.across(op, result.one()))).collect();
        if whole == extent(innermost) {
            return results;
        }
        let registers: Vec<Val> = results
            .into_iter()
            .map(|result| {
                let register = Val::One(self.register(Type { lanes: 1, ..self.ty(result.one()) }));
                self.assign(register, result);
                register
            })
            .collect();
        let rest: Vec<AxisId> = outer.clone();
        self.each(&rest, axes, points, &mut |builder, points| {
            let name = axes[innermost].name.clone();
            builder.looped(&name, (whole, extent(innermost), 1), false, &mut |builder, at| {
                for (k, point) in points.iter().enumerate() {
                    let sum = term(builder, k, &point.with(innermost, at.clone()), registers[k]);
                    builder.assign(registers[k], sum);
                }
            });
        });
        registers
    }

    /// Runs `body` at all values of some axes.
    pub(super) fn each(
        &mut self,
        list: &[AxisId],
        axes: &Axes,
        points: Vec<Point>,
        body: &mut dyn FnMut(&mut Builder, Vec<Point>),
    ) {
        let Some((&axis, inner)) = list.split_first() else { return body(self, points) };
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        self.looped(&axes[axis].name.clone(), (0, extent, 1), false, &mut |builder, at| {
            let points = points.iter().map(|point| point.with(axis, at.clone())).collect();
            builder.each(inner, axes, points, body);
        });
    }

    /// Joins over `outer` and over the first `whole` values of the innermost axis.
    fn join_outer(
        &mut self,
        join: &Join,
        outer: &[AxisId],
        whole: i64,
        points: &[Point],
        term: Term,
    ) -> Vec<Val> {
        match outer.split_first() {
            Some((&axis, rest)) if join.cut => {
                let extent = i64::try_from(join.axes[axis].extent).unwrap_or(i64::MAX);
                self.join_range(join, axis, Some(rest), (Lin::default(), extent), whole, points, term)
            }
            None if join.cut => {
                self.join_range(join, join.inner.axis, None, (Lin::default(), whole), whole, points, term)
            }
            _ => {
                let sums = self.accumulators(join, points.len());
                self.each(outer, join.axes, points.to_vec(), &mut |builder, points| {
                    builder.pass(&points, join, whole, &Lin::default(), &sums, term);
                });
                self.tree(join.op, &sums)
            }
        }
    }

    /// Joins over a part of one axis and over all of the axes inside it; `None` stands for the innermost axis.
    #[allow(clippy::too_many_arguments)]
    fn join_range(
        &mut self,
        join: &Join,
        axis: AxisId,
        rest: Option<&[AxisId]>,
        (start, length): (Lin, i64),
        whole: i64,
        points: &[Point],
        term: Term,
    ) -> Vec<Val> {
        let group = i64::from(join.inner.lanes) * join.inner.copies as i64;
        // Additions to one accumulator for each value of the axis, and how many values belong together.
        let (each, unit) = match rest {
            None => (1, group),
            Some(rest) => {
                let inside = rest.iter().fold((whole / group).max(1), |n, &axis| {
                    n.saturating_mul(i64::try_from(join.axes[axis].extent).unwrap_or(i64::MAX))
                });
                (inside, 1)
            }
        };
        let count = length / unit;
        if count.saturating_mul(each) <= 2 * BLOCK {
            let sums = self.accumulators(join, points.len());
            let Some(rest) = rest else {
                self.pass(points, join, length, &start, &sums, term);
                return self.tree(join.op, &sums);
            };
            self.looped(&join.axes[axis].name.clone(), (0, length, 1), false, &mut |builder, at| {
                let at = start.plus(&at, 1);
                let points: Vec<Point> = points.iter().map(|point| point.with(axis, at.clone())).collect();
                builder.each(rest, join.axes, points, &mut |builder, points| {
                    builder.pass(&points, join, whole, &Lin::default(), &sums, term);
                });
            });
            return self.tree(join.op, &sums);
        }
        let totals: Vec<Val> =
            points.iter().map(|_| self.accumulator(join.op, join.dtype, join.lanes)).collect();
        let add = |builder: &mut Builder, results: Vec<Val>| {
            for (total, result) in totals.iter().zip(results) {
                let sum = builder.joined(join.op, *total, result);
                builder.assign(*total, sum);
            }
        };
        let name = join.axes[axis].name.clone();
        if let Some(rest) = rest.filter(|_| each > BLOCK / 4 && count <= 2 * BLOCK) {
            self.looped(&name, (0, length, 1), false, &mut |builder, at| {
                let at = start.plus(&at, 1);
                let points: Vec<Point> = points.iter().map(|point| point.with(axis, at.clone())).collect();
                let results = builder.join_outer(join, rest, whole, &points, term);
                add(builder, results);
            });
            return totals;
        }
        let mut block = (BLOCK / each).max(1);
        while block < count / (2 * BLOCK) {
            block *= BLOCK;
        }
        // Whole passes only, so that no block has a rest of its own.
        let pass = if rest.is_none() { (join.inner.unroll / join.inner.copies as i64).max(1) } else { 1 };
        let block = ((block + pass - 1) / pass * pass * unit).min(length);
        if rest.is_none() && block == length {
            let sums = self.accumulators(join, points.len());
            self.pass(points, join, length, &start, &sums, term);
            return self.tree(join.op, &sums);
        }
        let end = length / block * block;
        self.looped(&name, (0, end, block), false, &mut |builder, at| {
            let part = (start.plus(&at, 1), block);
            let results = builder.join_range(join, axis, rest, part, whole, points, term);
            add(builder, results);
        });
        if end < length {
            let part = (start.shifted(end), length - end);
            let results = self.join_range(join, axis, rest, part, whole, points, term);
            add(self, results);
        }
        totals
    }

    fn accumulators(&mut self, join: &Join, tile: usize) -> Vec<Vec<Val>> {
        let (op, dtype, lanes, copies) = (join.op, join.dtype, join.lanes, join.inner.copies);
        (0..tile).map(|_| (0..copies).map(|_| self.accumulator(op, dtype, lanes)).collect()).collect()
    }

    /// One run over `length` values of the innermost axis, from `start` on.
    fn pass(
        &mut self,
        points: &[Point],
        join: &Join,
        length: i64,
        start: &Lin,
        sums: &[Vec<Val>],
        term: Term,
    ) {
        let (inner, axes) = (&join.inner, join.axes);
        let lanes = i64::from(inner.lanes);
        let whole = length / (lanes * inner.unroll) * (lanes * inner.unroll);
        let name = axes[inner.axis].name.clone();
        for (from, to, unroll) in [(0, whole, inner.unroll), (whole, length, 1)] {
            self.looped(&name, (from, to, lanes * unroll), false, &mut |builder, at| {
                let at = start.plus(&at, 1);
                let mut current: Vec<Vec<Val>> = sums.to_vec();
                for group in 0..unroll {
                    let copy = group as usize % inner.copies;
                    let at = at.shifted(group * lanes);
                    for (k, point) in points.iter().enumerate() {
                        let mut point = point.with(inner.axis, at.clone());
                        if inner.lanes > 1 {
                            point = point.along(inner.axis, inner.lanes);
                        }
                        current[k][copy] = term(builder, k, &point, current[k][copy]);
                    }
                }
                for (registers, values) in sums.iter().zip(&current) {
                    for (&register, &value) in registers.iter().zip(values) {
                        if register != value {
                            builder.assign(register, value);
                        }
                    }
                }
            });
        }
    }

    /// The copies of each accumulator, joined in pairs.
    fn tree(&mut self, op: ReduceOp, sums: &[Vec<Val>]) -> Vec<Val> {
        sums.iter()
            .map(|copies| {
                let mut list = copies.clone();
                while list.len() > 1 {
                    list = list
                        .chunks(2)
                        .map(|pair| match pair {
                            [a, b] => self.joined(op, *a, *b),
                            _ => pair[0],
                        })
                        .collect();
                }
                list[0]
            })
            .collect()
    }

    /// The lanes of a value, joined in pairs.
    fn across(&mut self, op: ReduceOp, value: ValueId) -> ValueId {
        let ty = self.ty(value);
        let mut list: Vec<Val> = (0..ty.lanes)
            .map(|lane| match ty.lanes {
                1 => Val::One(value),
                _ => Val::One(self.make(Type::scalar(ty.dtype), Op::Lane(value, lane))),
            })
            .collect();
        while list.len() > 1 {
            let half = list.len() / 2;
            list = (0..half).map(|k| self.joined(op, list[k], list[k + half])).collect();
        }
        list[0].one()
    }

    /// The flat row-major position of the least or greatest value at one point.
    fn arg_reduce(&mut self, sums: &Sums, number: usize) -> ValueId {
        let reduction = sums.reduction;
        let scope = &sums.scopes[number];
        let Val::One(best) = self.accumulator(reduction.op, reduction.body.dtype(), 1) else {
            unreachable!("complex numbers have no order")
        };
        let position = self.register(Type::scalar(DType::I64));
        self.set(position, Op::Const(Number::Int(0)));
        self.each(&reduction.axes, scope.axes, vec![sums.points[number].clone()], &mut |builder, points| {
            let point = &points[0];
            let flat = reduction.axes.iter().fold(Lin::default(), |flat, &axis| {
                let extent = i64::try_from(scope.axes[axis].extent).unwrap_or(i64::MAX);
                Lin::default().plus(&flat, extent).plus(point.axis(axis), 1)
            });
            let value = builder.value(&reduction.body, scope, point).one();
            let not_better = if reduction.op == ReduceOp::ArgMax { Binary::Le } else { Binary::Ge };
            // Also true where the value is NaN, which wins unless the best is NaN already.
            let worse = builder.lang(not_better, value, best);
            let better = builder.unary(Unary::Not, worse);
            let number = builder.lang(Binary::Eq, best, best);
            let better = builder.lang(Binary::And, better, number);
            let at = builder.index(&flat);
            let (value, at) = (builder.select(better, value, best), builder.select(better, at, position));
            builder.set(best, Op::Copy(value));
            builder.set(position, Op::Copy(at));
        });
        position
    }
}

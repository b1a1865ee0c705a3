//! Masks as loop bounds: a value that is nothing outside of a range need not be computed there.
//!
//! ```text
//! sum[e](select(o0[i] <= e and e < o0[i + 1], o1[e], 0))    =>    for e in max(0, v0)..min(Z, v1) { .. o1[e] .. }
//! ```
//!
//! A comparison of an axis, plus or minus what does not depend on it, with a value that does not depend on it bounds the
//! axis. Where the value is the same at all points that are computed together, the loop says all that the comparison
//! says, and the comparison goes. Where it is affine and differs between these points, the loop runs over the union of
//! their ranges, and the comparison stays.
//!
//! What a loop leaves out is the select's other value. That is safe where it is neutral: joining it changes no result,
//! but for the sign of a zero. Bounds are clamped to the axis before a strict one is made of them, so that no integer
//! overflows.

use super::build::{Builder, Lin};
use super::expr::{Point, Scope};
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, ReduceOp};
use crate::loops::*;
use crate::plan::{Reduction, Source};
use einc_runtime::Scalar;
use std::collections::BTreeSet;

/// What a comparison says about an axis: it is at least, or at most, a value.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) axis: AxisId,
    /// Whether the axis is at least the value.
    pub(super) low: bool,
    /// The value, without the axis.
    pub(super) value: Expr<Source>,
    /// What is added to the value; without the axis.
    add: Affine,
}

/// The range of an axis, as far as it is known when the program runs: the first value, and the one after the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) axis: AxisId,
    pub(super) from: Option<ValueId>,
    pub(super) to: Option<ValueId>,
}

/// What a comparison says about an axis.
fn bounds_of(comparison: &Expr<Source>, axis: AxisId) -> Vec<Bound> {
    let Expr::Binary(op, a, b) = comparison else { return Vec::new() };
    if a.dtype() != DType::I64 || b.dtype() != DType::I64 {
        return Vec::new();
    }
    let has = |expr: &Expr<Source>| expr.free_axes().contains(&axis);
    let (own, other, op) = match (has(a), has(b)) {
        (true, false) => (a, b, *op),
        (false, true) => {
            let turned = match op {
                Binary::Lt => Binary::Gt,
                Binary::Le => Binary::Ge,
                Binary::Gt => Binary::Lt,
                Binary::Ge => Binary::Le,
                op => *op,
            };
            (b, a, turned)
        }
        _ => return Vec::new(),
    };
    let Some(mut rest) = own.affine() else { return Vec::new() };
    // Of `axis + rest op other`, what is on the right becomes `other - rest`.
    let Some(at) = rest.terms.iter().position(|term| *term == (axis, 1)) else { return Vec::new() };
    rest.terms.remove(at);
    let bound = |low: bool, by: i64| {
        let add = rest.scaled(-1)?.plus(&Affine { terms: Vec::new(), constant: by })?;
        Some(Bound { axis, low, value: (**other).clone(), add })
    };
    let found = match op {
        Binary::Lt => vec![bound(false, -1)],
        Binary::Le => vec![bound(false, 0)],
        Binary::Gt => vec![bound(true, 1)],
        Binary::Ge => vec![bound(true, 0)],
        Binary::Eq => vec![bound(true, 0), bound(false, 0)],
        _ => return Vec::new(),
    };
    found.into_iter().collect::<Option<Vec<Bound>>>().unwrap_or_default()
}

impl Bound {
    /// The bound as a form of axes, where it is one.
    fn affine(&self) -> Option<Affine> {
        self.value.affine()?.plus(&self.add)
    }

    /// The axes it depends on.
    pub(super) fn axes(&self) -> BTreeSet<AxisId> {
        let mut axes = self.value.free_axes();
        axes.extend(self.add.terms.iter().map(|term| term.0));
        axes
    }

    /// Whether it can be computed before the loop over its axis, inside loops over all but `inner`.
    fn is_known(&self, inner: &[AxisId]) -> bool {
        let mut own = true;
        self.value.for_each_read(&mut |read| own &= matches!(read.source, Source::Operand(_)));
        own && self.axes().iter().all(|axis| !inner.contains(axis))
    }
}

/// Whether an expression is what a reduction starts from.
fn is_neutral(expr: &Expr<Source>, op: ReduceOp) -> bool {
    let Expr::Const(value, _) = expr else { return false };
    let real = match *value {
        Scalar::Int(value) => value as f64,
        Scalar::Real(value) => value,
        Scalar::Complex(re, 0.0) => re,
        Scalar::Complex(..) => return false,
    };
    match op {
        ReduceOp::Sum | ReduceOp::Any => real == 0.0,
        ReduceOp::Prod | ReduceOp::All => real == 1.0,
        ReduceOp::Max | ReduceOp::LogSumExp => real == f64::NEG_INFINITY,
        ReduceOp::Min => real == f64::INFINITY,
        ReduceOp::ArgMin | ReduceOp::ArgMax => false,
    }
}

/// The bounds that a reduction's mask sets on its axes.
pub(super) fn mask_of(reduction: &Reduction) -> Vec<Bound> {
    match &reduction.body {
        Expr::Select(parts) if is_neutral(&parts[2], reduction.op) => bounds(&parts[0], &reduction.axes),
        _ => Vec::new(),
    }
}

/// The bounds that a condition sets on some axes, from what does not depend on any of them.
fn bounds(condition: &Expr<Source>, axes: &[AxisId]) -> Vec<Bound> {
    let all =
        condition.conjuncts().into_iter().flat_map(|one| axes.iter().flat_map(|&axis| bounds_of(one, axis)));
    all.filter(|bound| bound.is_known(axes)).collect()
}

/// Whether every part of a condition bounds one of some loops, and none that is fixed; loops whose bounds depend on
/// others are moved inside these.
pub(super) fn is_bounds(condition: &Expr<Source>, order: &mut Vec<AxisId>, fixed: &[AxisId]) -> bool {
    let mut bounded = Vec::new();
    for one in condition.conjuncts() {
        let mut free = order.iter().rev().copied().filter(|axis| !fixed.contains(axis));
        let Some(bound) = free.find_map(|axis| bounds(one, &[axis]).pop()) else { return false };
        bounded.push(bound);
    }
    for bound in &bounded {
        let needed = bound.axes();
        let at = order.iter().position(|&axis| axis == bound.axis);
        let last = order.iter().rposition(|axis| needed.contains(axis));
        if let (Some(at), Some(last)) = (at, last.filter(|last| Some(*last) > at)) {
            order.remove(at);
            order.insert(last, bound.axis);
        }
    }
    // No part may wait for a loop that another part moved inside its own, or for lanes.
    let place = |axis: &AxisId| order.iter().position(|other| other == axis);
    bounded.iter().all(|bound| {
        let inside = |axis: &AxisId| place(axis).is_none_or(|at| Some(at) < place(&bound.axis));
        bound.axes().iter().all(inside)
    })
}

/// The axes on which bounds depend that are read from memory: these are not computed together.
pub(super) fn pinned(reductions: &[Reduction]) -> BTreeSet<AxisId> {
    let read = |bound: &Bound| bound.value.affine().is_none();
    reductions.iter().flat_map(mask_of).filter(read).flat_map(|bound| bound.axes()).collect()
}

impl Builder {
    /// A reduction with its mask as ranges of its axes, at points that are computed together.
    pub(super) fn ranged(
        &mut self,
        reduction: &Reduction,
        scope: &Scope,
        points: &[Point],
    ) -> Option<(Reduction, Vec<Range>)> {
        let axes = scope.axes;
        let Expr::Select(parts) = &reduction.body else { return None };
        let empty = |axis: &AxisId| axes[*axis].extent == 0;
        if !is_neutral(&parts[2], reduction.op) || reduction.axes.iter().any(empty) {
            return None;
        }
        let varying = varying(points);
        let mut ranges: Vec<Range> = Vec::new();
        let mut kept = Vec::new();
        for one in parts[0].conjuncts() {
            let found: Vec<Bound> = reduction
                .axes
                .iter()
                .flat_map(|&axis| bounds_of(one, axis))
                .filter(|bound| bound.is_known(&reduction.axes))
                .collect();
            let same = found.iter().all(|bound| bound.axes().is_disjoint(&varying));
            for bound in &found {
                self.narrow(bound, same, scope, points, &mut ranges);
            }
            if found.is_empty() || !same {
                kept.push(one.clone());
            }
        }
        if ranges.is_empty() {
            return None;
        }
        let body = match Expr::all_of(kept) {
            None => parts[1].clone(),
            Some(condition) => Expr::Select(Box::new([condition, parts[1].clone(), parts[2].clone()])),
        };
        Some((Reduction { body, ..reduction.clone() }, ranges))
    }

    /// The range of one axis, from the parts of a condition whose other axes are known at a point.
    pub(super) fn range_of(
        &mut self,
        condition: &Expr<Source>,
        axis: AxisId,
        scope: &Scope,
        point: &Point,
    ) -> Option<Range> {
        let mut ranges = Vec::new();
        let known = |axis: &AxisId| point.axes.iter().any(|known| known.0 == *axis);
        for bound in bounds(condition, &[axis]).into_iter().filter(|bound| bound.axes().iter().all(known)) {
            self.narrow(&bound, true, scope, std::slice::from_ref(point), &mut ranges);
        }
        ranges.pop()
    }

    /// Takes a bound into account; one that differs between the points does so only if it is affine.
    fn narrow(
        &mut self,
        bound: &Bound,
        same: bool,
        scope: &Scope,
        points: &[Point],
        ranges: &mut Vec<Range>,
    ) {
        let value = match (same, bound.affine()) {
            (true, Some(affine)) => self.index(&points[0].lin(&affine)),
            (true, None) => {
                let value = self.value(&bound.value, scope, &points[0].of_lane(0)).one();
                let value = self.clamped(value, &bound.add, scope.axes);
                let add = self.index(&points[0].lin(&bound.add));
                self.add(value, add)
            }
            (false, Some(affine)) => {
                let ends: Vec<Lin> = points.iter().flat_map(|point| ends_of(&affine, point)).collect();
                let pick = if bound.low { Binary::Min } else { Binary::Max };
                let mut values: Vec<ValueId> = ends.iter().map(|lin| self.index(lin)).collect();
                let first = values.remove(0);
                values.into_iter().fold(first, |a, b| self.lang(pick, a, b))
            }
            (false, None) => return,
        };
        let at = match ranges.iter().position(|range| range.axis == bound.axis) {
            Some(at) => at,
            None => {
                ranges.push(Range { axis: bound.axis, from: None, to: None });
                ranges.len() - 1
            }
        };
        if bound.low {
            let from = ranges[at].from.map_or(value, |known| self.lang(Binary::Max, known, value));
            ranges[at].from = Some(from);
        } else {
            let last = self.int(i64::MAX - 1);
            let value = self.lang(Binary::Min, value, last);
            let one = self.int(1);
            let value = self.add(value, one);
            ranges[at].to = Some(ranges[at].to.map_or(value, |known| self.lang(Binary::Min, known, value)));
        }
    }

    /// A computed value, no further from 0 than lets what is added to it be added.
    fn clamped(&mut self, value: ValueId, add: &Affine, axes: &Axes) -> ValueId {
        if add.terms.is_empty() && add.constant == 0 {
            return value;
        }
        let (low, high) = add.bounds(axes).unwrap_or((i64::MIN / 4, i64::MAX / 4));
        let (least, most) = (self.int(i64::MIN - low.min(0)), self.int(i64::MAX - high.max(0)));
        let value = self.lang(Binary::Max, value, least);
        self.lang(Binary::Min, value, most)
    }
}

/// The axes that have different values at different points, or in different lanes.
fn varying(points: &[Point]) -> BTreeSet<AxisId> {
    let first = &points[0];
    let other = |axis: AxisId, at: &Lin| points.iter().any(|point| point.axis(axis) != at);
    let mut axes: BTreeSet<AxisId> =
        first.axes.iter().filter(|(axis, at)| other(*axis, at)).map(|known| known.0).collect();
    axes.extend(first.vector.map(|vector| vector.0));
    axes
}

/// An affine form at a point: in the first lane, and in the last.
fn ends_of(affine: &Affine, point: &Point) -> Vec<Lin> {
    let first = point.lin(affine);
    match point.vector {
        None => vec![first],
        Some((axis, lanes)) => {
            let by = affine.coefficient(axis);
            let last = first.shifted(by.saturating_mul(i64::from(lanes) - 1));
            vec![first, last]
        }
    }
}

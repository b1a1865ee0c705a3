//! Additions at computed places, in order.

use super::build::{Builder, Lin};
use super::expr::{Point, Scope, Val};
use super::nest::{PARALLEL_WORK, lanes_of, size_of};
use crate::expr::{Axes, AxisId, Expr, Outside, points};
use crate::fault::Checked;
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{ScatterStep, Source};

/// The loops of additions.
struct ScatterLoops<'a> {
    step: &'a ScatterStep,
    scope: &'a Scope<'a>,
    vector: Option<(AxisId, u8)>,
    /// What the ranges of the loops come from, if all of it does.
    condition: Option<&'a Expr<Source>>,
}

impl Builder {
    pub(super) fn scatter(&mut self, step: &ScatterStep, axes: &Axes, point: &Point, machine: &Machine) {
        if step.axes.iter().any(|&axis| axes[axis].extent == 0) {
            return;
        }
        // Different values of such an axis land on different elements, whatever the other axes are: its loop may stand
        // anywhere, and its iterations may run at the same time.
        let apart: Vec<AxisId> = step.axes.iter().copied().filter(|&axis| lands_apart(step, axis)).collect();
        let mut order = step.axes.clone();
        let lanes = lanes_of(&step.value, machine)
            .filter(|&lanes| vector_lanes(step.value.dtype()) == lanes && step.value.dtype() != DType::Bool);
        let vector = lanes.and_then(|lanes| {
            let along = |axis: AxisId| {
                step.indices.iter().zip(&step.out.dims).any(|(index, dim)| {
                    dim.1 == 1
                        && axes[axis].extent <= dim.0
                        && index.affine().is_some_and(|affine| affine.axis() == Some(axis))
                })
            };
            let axis =
                apart.iter().copied().find(|&axis| along(axis) && axes[axis].extent >= lanes.into())?;
            Some((axis, lanes))
        });
        if let Some((axis, _)) = vector {
            order.retain(|&other| other != axis);
            order.push(axis);
        }
        let points = points(axes, &step.axes);
        let work = points.saturating_mul(size_of(&step.value) as u64 + 4);
        let spread = (work >= PARALLEL_WORK && !self.in_parallel())
            .then(|| apart.iter().copied().filter(|&axis| axes[axis].extent >= 8))
            .and_then(|mut wide| wide.find(|&axis| vector.is_none_or(|vector| vector.0 != axis)));
        if let Some(axis) = spread {
            order.retain(|&other| other != axis);
            order.insert(0, axis);
        }
        let fixed: Vec<AxisId> = vector.map(|vector| vector.0).into_iter().chain(spread).collect();
        let mask = unmasked(step, &mut order, &fixed);
        let (step, condition) = mask.as_ref().map_or((step, None), |(step, mask)| (step, Some(mask)));
        let scope = Scope { axes, operands: &step.operands, reduced: Vec::new() };
        let loops = ScatterLoops { step, scope: &scope, vector, condition };
        self.scatter_loops(&loops, &order, spread.is_some(), point);
    }

    fn scatter_loops(&mut self, loops: &ScatterLoops, order: &[AxisId], parallel: bool, point: &Point) {
        let Some((&axis, inner)) = order.split_first() else {
            return self.scatter_one(loops.step, loops.scope, point);
        };
        let axes = loops.scope.axes;
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let name = axes[axis].name.clone();
        let range = match loops.condition {
            Some(condition) if !parallel => self.range_of(condition, axis, loops.scope, point),
            _ => None,
        };
        if let Some(range) = range {
            let bounds = (range.from, range.to);
            return self.looped_within(&name, (0, extent, 1), bounds, &mut |builder, at| {
                builder.scatter_loops(loops, inner, false, &point.with(axis, at));
            });
        }
        let lanes = loops.vector.filter(|vector| vector.0 == axis).map_or(1, |vector| vector.1);
        let whole = extent / i64::from(lanes) * i64::from(lanes);
        for (start, end, lanes) in [(0, whole, lanes), (whole, extent, 1)] {
            self.looped(&name, (start, end, lanes.into()), parallel, &mut |builder, at| {
                let point = point.with(axis, at);
                let point = if lanes > 1 { point.along(axis, lanes) } else { point };
                builder.scatter_loops(loops, inner, false, &point);
            });
        }
    }

    fn scatter_one(&mut self, step: &ScatterStep, scope: &Scope, point: &Point) {
        let value = self.value(&step.value, scope, point);
        let buffer = BufferId(step.out.buffer.0);
        let dtype = step.value.dtype();
        let first = point.of_lane(0);
        let mut lin = Lin::constant(step.out.offset);
        let mut computed: Option<ValueId> = None;
        for (dim, (index, &(extent, stride))) in step.indices.iter().zip(&step.out.dims).enumerate() {
            let affine = index.affine();
            let fits = affine.as_ref().is_some_and(|affine| self.inside(affine, extent, point));
            let trusted = matches!(step.outside, Outside::Never | Outside::Trust | Outside::Else(_));
            if let (true, Some(affine)) = (fits, &affine) {
                lin = lin.plus(&first.lin(affine), stride);
                continue;
            }
            let mut at = self.value(index, scope, &first).one();
            if matches!(step.outside, Outside::Clamp) && extent > 0 {
                at = self.clamp(at, extent);
            } else if !trusted {
                let tensor = self.loops.buffers[buffer].name.clone();
                let site =
                    self.site(Site { place: step.place, tensor, checked: Checked::Index(dim), extent });
                self.check(at, extent, site);
            }
            let by = self.int(stride);
            let part = self.mul(at, by);
            computed = Some(computed.map_or(part, |sum| self.add(sum, part)));
        }
        let lanes = match value {
            Val::One(_) => point.vector.map_or(1, |vector| vector.1),
            Val::Pair(..) => 1,
        };
        let old = if lanes > 1 {
            let address = Address { buffer, offset: lin.offset, terms: lin.terms.clone(), dynamic: computed };
            Val::One(self.make(Type { dtype, lanes }, Op::Load(dtype, address)))
        } else {
            self.load(dtype, buffer, lin.clone(), computed)
        };
        let sum = self.plus(old, value);
        self.write(buffer, &lin, 1, computed, sum);
    }
}

/// Whether one index is the axis, shifted or scaled, and no other index depends on it.
fn lands_apart(step: &ScatterStep, axis: AxisId) -> bool {
    let mut uses = step.indices.iter().filter(|index| index.free_axes().contains(&axis));
    let (Some(index), None) = (uses.next(), uses.next()) else { return false };
    let own = |index: &Expr<_>| index.affine().is_some_and(|affine| affine.terms.len() == 1);
    own(index) && !matches!(step.outside, Outside::Clamp)
}

/// The step without its mask, and the mask, if the ranges of loops say all that it says. Loops whose ranges depend on
/// others are moved inside these.
fn unmasked(
    step: &ScatterStep,
    order: &mut Vec<AxisId>,
    fixed: &[AxisId],
) -> Option<(ScatterStep, Expr<Source>)> {
    let Expr::Select(parts) = &step.value else { return None };
    let condition = &parts[0];
    let mut moved = order.clone();
    if !parts[2].is_zero() || !super::ranges::is_bounds(condition, &mut moved, fixed) {
        return None;
    }
    let inner = |index: &Expr<Source>| match index {
        Expr::Select(parts) if parts[0] == *condition => parts[1].clone(),
        other => other.clone(),
    };
    let indices = step.indices.iter().map(inner).collect();
    *order = moved;
    Some((ScatterStep { indices, value: parts[1].clone(), ..step.clone() }, condition.clone()))
}

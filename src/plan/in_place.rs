//! Lets a loop nest or a map along axes write where the value lies that it reads for the last time.
//!
//! ```text
//! contract b3[..] = ..                              contract b4[..] = ..
//! nest[i,k] b4[i 8, k 1] = relu(o0[i,k])      =>    nest[i,k] b4[i 8, k 1] = relu(o0[i,k])
//!   o0 = b3(12 by 8, 8 by 1)                          o0 = b4(12 by 8, 8 by 1)
//! ```
//!
//! Both values then have one buffer: the caller's result if one of them is that. It is safe where every read of the
//! old value is at the very element that is written, and no reduction reads it. Takes time linear in the steps.

use super::{BufferId, Operand, Place, Plan, Source, Step, View, arena};
use crate::expr::{Affine, AxisId, Expr, Outside};
use crate::id::{Id, IdVec};

/// Lets loop nests and maps along axes write where the value lies that they read for the last time.
pub(super) fn reuse(mut plan: Plan) -> Plan {
    for number in 0..plan.steps.len() {
        let lives = arena::lives(&plan);
        let Some(write) = Write::of(&plan.steps[number]) else { continue };
        let new = write.out.buffer;
        let first_writer = lives[new.number()].is_some_and(|life| life.0 == number);
        let dying = |old: BufferId| {
            let (from, to) = (&plan.buffers[old], &plan.buffers[new]);
            lives[old.number()].is_some_and(|life| life.0 < number && life.1 == number)
                && matches!(from.place, Place::Arena(_))
                && matches!(to.place, Place::Arena(_) | Place::Output(_))
                && from.dtype == to.dtype
                && from.elems == to.elems
        };
        let old = write
            .operands
            .iter()
            .map(|operand| operand.buffer)
            .find(|&old| old != new && first_writer && dying(old) && write.reads_only_here(old));
        if let Some(old) = old {
            let to = &mut |buffer| if buffer == old { new } else { buffer };
            plan.steps.iter_mut().for_each(|step| step.map_buffers(to));
        }
    }
    drop_unused(plan)
}

/// What a step reads and where it writes the value that it computes from it.
struct Write<'a> {
    operands: &'a [Operand],
    /// Evaluated at the element that is written; for a map along axes, at the element of its row.
    value: &'a Expr<Source>,
    /// Evaluated at many points for each element.
    inner: Vec<&'a Expr<Source>>,
    out: &'a View,
    /// The element that is written, over the axes of `value`.
    written: Option<Affine>,
}

impl Write<'_> {
    fn of(step: &Step) -> Option<Write<'_>> {
        let address = |view: &View, rename: &dyn Fn(AxisId) -> AxisId| {
            let start = Affine { terms: Vec::new(), constant: view.offset };
            view.strides.iter().try_fold(start, |sum, &(axis, stride)| {
                sum.plus(&Affine { terms: vec![(rename(axis), stride)], constant: 0 })
            })
        };
        match step {
            Step::Nest(nest) => Some(Write {
                operands: &nest.operands,
                value: &nest.value,
                inner: nest.reductions.iter().map(|reduction| &reduction.body).collect(),
                out: &nest.out,
                written: address(&nest.out, &|axis| axis),
            }),
            // A whole row is read before it is written.
            Step::Along(along) if along.axes.len() == along.out_axes.len() => {
                let rename = |axis: AxisId| {
                    let place = along.out_axes.iter().position(|&out| out == axis);
                    place.map_or(axis, |place| along.axes[place])
                };
                Some(Write {
                    operands: &along.operands,
                    value: &along.body,
                    inner: Vec::new(),
                    out: &along.out,
                    written: address(&along.out, &rename),
                })
            }
            _ => None,
        }
    }

    /// Whether every read of a buffer is at the element that the step writes.
    fn reads_only_here(&self, old: BufferId) -> bool {
        let is_old = |source: Source| match source {
            Source::Operand(k) => self.operands[k as usize].buffer == old,
            Source::Reduced(_) => false,
        };
        let mut fine = self.written.is_some();
        for expr in &self.inner {
            expr.for_each_read(&mut |read| fine &= !is_old(read.source));
        }
        self.value.for_each_read(&mut |read| {
            let Source::Operand(k) = read.source else { return };
            let operand = &self.operands[k as usize];
            if operand.buffer != old {
                return;
            }
            let mut address = Some(Affine { terms: Vec::new(), constant: operand.offset });
            for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
                let part = index.affine().and_then(|index| index.scaled(stride));
                address = address.zip(part).and_then(|(sum, part)| sum.plus(&part));
            }
            fine &= read.outside == Outside::Never && address == self.written;
        });
        fine
    }
}

/// The plan without the intermediates that no step touches.
fn drop_unused(mut plan: Plan) -> Plan {
    let lives = arena::lives(&plan);
    let mut kept = IdVec::new();
    let mut renamed: Vec<Option<BufferId>> = Vec::with_capacity(lives.len());
    for ((_, buffer), life) in plan.buffers.iter().zip(&lives) {
        let keep = life.is_some() || !matches!(buffer.place, Place::Arena(_));
        renamed.push(keep.then(|| kept.push(buffer.clone())));
    }
    plan.buffers = kept;
    for step in &mut plan.steps {
        step.map_buffers(&mut |buffer| renamed[buffer.number()].unwrap_or(buffer));
    }
    plan
}

impl Step {
    /// Makes the step use other buffers.
    fn map_buffers(&mut self, to: &mut dyn FnMut(BufferId) -> BufferId) {
        match self {
            Step::Contract(step) => {
                for view in [&mut step.a, &mut step.b, &mut step.out].into_iter().chain(&mut step.wanted) {
                    view.buffer = to(view.buffer);
                }
            }
            Step::Nest(step) => {
                step.operands.iter_mut().for_each(|operand| operand.buffer = to(operand.buffer));
                step.wanted.iter_mut().for_each(|wanted| wanted.buffer = to(wanted.buffer));
                step.out.buffer = to(step.out.buffer);
            }
            Step::Along(step) => {
                step.operands.iter_mut().for_each(|operand| operand.buffer = to(operand.buffer));
                step.out.buffer = to(step.out.buffer);
            }
            Step::Scatter(step) => {
                step.operands.iter_mut().for_each(|operand| operand.buffer = to(operand.buffer));
                step.out.buffer = to(step.out.buffer);
            }
            Step::Scan(step) => {
                step.shared = step.shared.map(&mut *to);
                step.body.iter_mut().for_each(|inner| inner.map_buffers(to));
            }
        }
    }
}

//! Lets a loop nest write where the value lies that it reads for the last time.
//!
//! ```text
//! contract b3[..] = ..                              contract b4[..] = ..
//! nest[i,k] b4[i 8, k 1] = relu(o0[i,k])      =>    nest[i,k] b4[i 8, k 1] = relu(o0[i,k])
//!   o0 = b3(12 by 8, 8 by 1)                          o0 = b4(12 by 8, 8 by 1)
//! ```
//!
//! Both values then have one buffer: the caller's result if one of them is that. It is safe where every read of the
//! old value is at the very element that is written, and no reduction reads it. Takes time linear in the steps.

use super::{BufferId, Nest, Place, Plan, Source, Step, arena};
use crate::expr::{Affine, Expr, Outside};
use crate::id::{Id, IdVec};

/// Lets loop nests write where the value lies that they read for the last time.
pub(super) fn reuse(mut plan: Plan) -> Plan {
    for number in 0..plan.steps.len() {
        let lives = arena::lives(&plan);
        let Step::Nest(nest) = &plan.steps[number] else { continue };
        let new = nest.out.buffer;
        let first_writer = lives[new.number()].is_some_and(|life| life.0 == number);
        let dying = |old: BufferId| {
            let (from, to) = (&plan.buffers[old], &plan.buffers[new]);
            lives[old.number()].is_some_and(|life| life.0 < number && life.1 == number)
                && matches!(from.place, Place::Arena(_))
                && matches!(to.place, Place::Arena(_) | Place::Output(_))
                && from.dtype == to.dtype
                && from.elems == to.elems
        };
        let old = nest
            .operands
            .iter()
            .map(|operand| operand.buffer)
            .find(|&old| old != new && first_writer && dying(old) && reads_only_here(nest, old));
        if let Some(old) = old {
            let to = &mut |buffer| if buffer == old { new } else { buffer };
            plan.steps.iter_mut().for_each(|step| step.map_buffers(to));
        }
    }
    drop_unused(plan)
}

/// Whether every read of a buffer is at the element that the step writes.
fn reads_only_here(nest: &Nest, old: BufferId) -> bool {
    let is_old = |source: Source| match source {
        Source::Operand(k) => nest.operands[k as usize].buffer == old,
        Source::Reduced(_) => false,
    };
    let mut fine = true;
    for reduction in &nest.reductions {
        reduction.body.for_each_read(&mut |read| fine &= !is_old(read.source));
    }
    let written = Affine {
        terms: Affine::default()
            .plus(&Affine { terms: nest.out.strides.clone(), constant: 0 })
            .map_or(Vec::new(), |sum| sum.terms),
        constant: nest.out.offset,
    };
    nest.value.for_each_read(&mut |read| {
        let Source::Operand(k) = read.source else { return };
        let operand = &nest.operands[k as usize];
        if operand.buffer != old {
            return;
        }
        let mut address = Some(Affine { terms: Vec::new(), constant: operand.offset });
        for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
            let part = Expr::affine(index).and_then(|index| index.scaled(stride));
            address = address.zip(part).and_then(|(sum, part)| sum.plus(&part));
        }
        fine &= read.outside == Outside::Never && address.as_ref() == Some(&written);
    });
    fine
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
                for view in [&mut step.a, &mut step.b, &mut step.out] {
                    view.buffer = to(view.buffer);
                }
            }
            Step::Nest(step) => {
                step.operands.iter_mut().for_each(|operand| operand.buffer = to(operand.buffer));
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
            Step::Scan(step) => step.body.iter_mut().for_each(|inner| inner.map_buffers(to)),
        }
    }
}

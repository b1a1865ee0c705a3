//! Places for intermediates: one arena, shared by values that do not live at the same time.

use super::{BufferId, Place, Plan, Step, View};
use crate::id::Id;

/// Every place in the arena starts at a multiple of this.
const ALIGN: u64 = 64;

/// Gives every intermediate its place in the arena.
///
/// Values live from the step that writes them first to the step that reads them last; what a scan's body touches lives
/// as long as the scan. Larger values choose first, each the lowest place that is free for its whole life.
pub(super) fn assign(mut plan: Plan) -> Plan {
    let lives = lives(&plan);
    let mut order: Vec<BufferId> = plan
        .buffers
        .iter()
        .filter(|(id, buffer)| matches!(buffer.place, Place::Arena(_)) && lives[id.number()].is_some())
        .map(|(id, _)| id)
        .collect();
    let bytes = |plan: &Plan, id: BufferId| {
        let buffer = &plan.buffers[id];
        let bytes = buffer.elems.saturating_mul(buffer.dtype.bytes() as u64);
        bytes.div_ceil(ALIGN).saturating_mul(ALIGN)
    };
    order.sort_by_key(|&id| (std::cmp::Reverse(bytes(&plan, id)), id));
    // Where each placed buffer lies, and when it lives.
    let mut placed: Vec<(u64, u64, (usize, usize))> = Vec::new();
    let mut arena = 0;
    for id in order {
        let Some(life) = lives[id.number()] else { continue };
        let size = bytes(&plan, id);
        let mut taken: Vec<(u64, u64)> = placed
            .iter()
            .filter(|(_, _, other)| other.0 <= life.1 && life.0 <= other.1)
            .map(|&(start, end, _)| (start, end))
            .collect();
        taken.sort_unstable();
        let mut offset = 0u64;
        for (start, end) in taken {
            if offset.saturating_add(size) <= start {
                break;
            }
            offset = offset.max(end);
        }
        let end = offset.saturating_add(size);
        placed.push((offset, end, life));
        arena = arena.max(end);
        plan.buffers[id].place = Place::Arena(offset);
    }
    plan.arena = arena;
    plan
}

/// The first and the last top-level step that touches each buffer.
pub(super) fn lives(plan: &Plan) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; plan.buffers.len()];
    for (number, step) in plan.steps.iter().enumerate() {
        step.for_each_buffer(&mut |id| {
            let life: &mut Option<(usize, usize)> = &mut lives[id.number()];
            *life = Some(life.map_or((number, number), |(first, _)| (first, number)));
        });
    }
    lives
}

impl Step {
    /// Calls `visit` on every buffer that the step touches, with multiplicity.
    pub fn for_each_buffer(&self, visit: &mut dyn FnMut(BufferId)) {
        match self {
            Step::Contract(step) => {
                [&step.a, &step.b, &step.out].into_iter().for_each(|view: &View| visit(view.buffer));
            }
            Step::Nest(step) => {
                step.operands.iter().for_each(|operand| visit(operand.buffer));
                visit(step.out.buffer);
            }
            Step::Along(step) => {
                step.operands.iter().for_each(|operand| visit(operand.buffer));
                visit(step.out.buffer);
            }
            Step::Scatter(step) => {
                step.operands.iter().for_each(|operand| visit(operand.buffer));
                visit(step.out.buffer);
            }
            Step::Scan(step) => step.body.iter().for_each(|inner| inner.for_each_buffer(visit)),
        }
    }

    /// Calls `visit` on every buffer that the step writes.
    pub fn for_each_result(&self, visit: &mut dyn FnMut(BufferId)) {
        match self {
            Step::Contract(step) => visit(step.out.buffer),
            Step::Nest(step) => visit(step.out.buffer),
            Step::Along(step) => visit(step.out.buffer),
            Step::Scatter(step) => visit(step.out.buffer),
            Step::Scan(step) => step.body.iter().for_each(|inner| inner.for_each_result(visit)),
        }
    }
}

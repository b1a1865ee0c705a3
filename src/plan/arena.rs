//! Places for intermediates: one arena, shared by values that do not live at the same time.

use super::{BufferId, Operand, Place, Plan, ScanStep, Step, View};
use crate::expr::AxisId;
use crate::id::Id;

/// Every place in the arena starts at a multiple of this.
const ALIGN: u64 = 64;

/// Gives every intermediate its place in the arena.
///
/// Values live from the step that writes them first to the step that reads them last. What a scan's body touches lives
/// as long as the scan, unless each of its values makes it anew. Larger values choose first, each the lowest place that
/// is free for its whole life.
pub(super) fn assign(mut plan: Plan) -> Plan {
    let lives = moments(&plan).lives;
    let mut order: Vec<BufferId> = plan
        .buffers
        .iter()
        .filter(|(id, buffer)| matches!(buffer.place, Place::Arena(_)) && lives[id.number()].is_some())
        .map(|(id, _)| id)
        .collect();
    let bytes = |plan: &Plan, id: BufferId| plan.buffers[id].bytes().div_ceil(ALIGN).saturating_mul(ALIGN);
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

/// When values live, counted in the steps of scans' bodies.
pub(super) struct Moments {
    /// The first and the last moment of each buffer.
    pub lives: Vec<Option<(usize, usize)>>,
    /// The first and the last moment of each top-level step.
    pub steps: Vec<(usize, usize)>,
}

/// When the buffers of a plan live.
pub(super) fn moments(plan: &Plan) -> Moments {
    let mut moments = Moments { lives: vec![None; plan.buffers.len()], steps: Vec::new() };
    let mut touches = vec![0usize; plan.buffers.len()];
    plan.steps.iter().for_each(|step| step.for_each_buffer(&mut |id| touches[id.number()] += 1));
    let mut now = 0;
    for step in &plan.steps {
        let start = now;
        moments.visit(plan, step, &touches, &mut now);
        moments.steps.push((start, now - 1));
    }
    moments
}

impl Moments {
    fn note(&mut self, id: BufferId, (first, last): (usize, usize)) {
        let life = &mut self.lives[id.number()];
        *life = Some(life.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
    }

    fn visit(&mut self, plan: &Plan, step: &Step, touches: &[usize], now: &mut usize) {
        let start = *now;
        let Step::Scan(scan) = step else {
            step.for_each_buffer(&mut |id| self.note(id, (start, start)));
            *now += 1;
            return;
        };
        for inner in &scan.body {
            self.visit(plan, inner, touches, now);
        }
        *now = (*now).max(start + 1);
        // Where values of the axis run at once, one may be in a later step than another.
        let mut seen: Vec<BufferId> = Vec::new();
        step.for_each_buffer(&mut |id| {
            if !seen.contains(&id) {
                seen.push(id);
            }
        });
        for id in seen {
            if scan.apart || !is_made_anew(plan, scan, id, touches) {
                self.note(id, (start, *now - 1));
            }
        }
    }
}

/// Whether every step of a scan writes all of a buffer before anything reads it, and nothing else touches it.
fn is_made_anew(plan: &Plan, scan: &ScanStep, id: BufferId, touches: &[usize]) -> bool {
    let mut inside = 0;
    scan.body.iter().for_each(|step| step.for_each_buffer(&mut |other| inside += usize::from(other == id)));
    inside == touches[id.number()] && begins_whole(plan, scan, id, &mut Vec::new())
}

/// Whether the first step of a scan's body that touches a buffer writes all of it, whatever the values of these axes and
/// the scan's own.
fn begins_whole(plan: &Plan, scan: &ScanStep, id: BufferId, axes: &mut Vec<AxisId>) -> bool {
    axes.push(scan.axis);
    let touches = |step: &&Step| {
        let mut touches = false;
        step.for_each_buffer(&mut |other| touches |= other == id);
        touches
    };
    let is_whole = |out: &View, axes: &[AxisId]| {
        let points = out.strides.iter().fold(1u64, |n, term| n.saturating_mul(plan.axes[term.0].extent));
        let fixed = out.strides.iter().all(|term| !axes.contains(&term.0));
        out.buffer == id && points == plan.buffers[id].elems && fixed
    };
    let unread = |operands: &[Operand]| operands.iter().all(|operand| operand.buffer != id);
    match scan.body.iter().find(touches) {
        Some(Step::Contract(step)) => {
            let unread = step.a.buffer != id && step.b.buffer != id;
            unread && !step.accumulate && is_whole(&step.out, axes)
        }
        Some(Step::Nest(step)) => unread(&step.operands) && is_whole(&step.out, axes),
        Some(Step::Along(step)) => unread(&step.operands) && is_whole(&step.out, axes),
        Some(Step::Scan(inner)) => !inner.apart && begins_whole(plan, inner, id, axes),
        Some(Step::Scatter(_)) | None => false,
    }
}

impl Step {
    /// Calls `visit` on every buffer that the step touches, with multiplicity.
    pub fn for_each_buffer(&self, visit: &mut dyn FnMut(BufferId)) {
        match self {
            Step::Contract(step) => {
                let views = [&step.a, &step.b].into_iter().chain(&step.wanted).chain([&step.out]);
                views.for_each(|view: &View| visit(view.buffer));
            }
            Step::Nest(step) => {
                step.operands.iter().for_each(|operand| visit(operand.buffer));
                step.wanted.iter().for_each(|wanted| visit(wanted.buffer));
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

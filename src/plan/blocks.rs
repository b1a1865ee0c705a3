//! Computes values that leave the near cache block by block: the steps that make and read them run for some rows at a time.
//!
//! ```text
//! nest[a,n] b2[a 10000, n 1] = cos(o0[n])       scan[n.block apart] {
//! contract b4[n 20, r 1] = b2[n 1, a 10000]       nest[a,n] b2[a 50, n 1] = cos(o0[50 * n.block + n])
//!                          * b3[r 1, a 20]  =>    contract b4[n.block 1000, n 20, r 1] = b2[n 1, a 50] * b3[r 1, a 20]
//!                                               }
//! ```
//!
//! Steps that follow one another are a group along an axis, the row, where all of them have it in their results, and
//! whatever they write is read by them at the row that is written; a scan joins if all steps of its body do, and then runs for
//! one block after another. What only they touch then exists for a block of rows, once for each worker, and blocks run at
//! once. What others touch too stays where it is; maps along axes that read it after one another, a transform of several
//! factors, and the steps of a scan find a block of it near. Results are those of the steps as they were: what is
//! computed for a row does not change. Takes time quadratic in the steps of a group.

mod access;
mod rewrite;
#[cfg(test)]
pub(super) mod tests;

use super::{AlongStep, BufferId, Contract, Nest, Place, Plan, ScanStep, Step, View};
use crate::expr::{AlongOp, Axes, AxisId, points};
use access::Rows;
use std::collections::{BTreeMap, BTreeSet};

/// When and how much is computed at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a group's own values, and of others each time that they are read again, that are worth it.
    pub far: u64,
    /// Bytes that a block of all these values may take.
    pub near: u64,
    /// The fewest blocks: so many threads have something to do.
    pub blocks: u64,
    /// Rows of a block where vectors or products run along them.
    pub rows: u64,
    /// How many times what it costs it has to save.
    pub worth: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { far: 4 << 20, near: 1 << 20, blocks: 8, rows: 48, worth: 2.0 }
    }
}

/// The most steps of a group.
const STEPS: usize = 64;

/// Seconds that a byte costs which is written and read out of the near cache, that one costs which is read again there and
/// written over, that an element costs which is packed for each block anew, and that a step costs for each block.
const FAR: f64 = 0.15e-9;
const AGAIN: f64 = 0.02e-9;
const PACKED: f64 = 0.5e-9;
const STARTED: f64 = 0.2e-6;

/// A plan of which all that can be runs in blocks of a few rows.
#[cfg(test)]
pub(crate) fn in_small_blocks(plan: &Plan) -> Plan {
    let limits = Limits { far: 0, near: 1 << 20, blocks: 4, rows: 1, worth: 0.0 };
    super::arena::assign(block(plan.clone(), limits))
}

/// A step that runs block by block.
struct Member {
    number: usize,
    /// The axes that count rows: the step's, or of a scan those of the steps in it.
    axes: Vec<AxisId>,
}

/// Steps that run block by block.
struct Group {
    members: Vec<Member>,
    /// Steps between them that run before.
    before: Vec<usize>,
    extent: u64,
    /// What the steps write, with the stride from row to row.
    written: BTreeMap<BufferId, i64>,
    read: BTreeSet<BufferId>,
}

/// How a group is cut.
struct Cut {
    /// Rows of a block.
    rows: u64,
    /// The values that only the group touches.
    own: BTreeSet<BufferId>,
    /// The seconds that it saves.
    gain: f64,
}

/// Runs groups of a plan's steps block by block.
pub(super) fn block(mut plan: Plan, limits: Limits) -> Plan {
    let mut written = 0u64;
    plan.steps.iter().for_each(|step| {
        step.for_each_result(&mut |id| written = written.saturating_add(plan.buffers[id].bytes()));
    });
    if written < limits.far {
        return plan;
    }
    let mut start = 0;
    while start < plan.steps.len() {
        match best(&plan, start, limits) {
            Some((group, cut)) => start = rewrite::apply(&mut plan, &group, &cut),
            None => start += 1,
        }
    }
    plan
}

/// The group from a step on that saves most, if any is worth it.
fn best(plan: &Plan, start: usize, limits: Limits) -> Option<(Group, Cut)> {
    let mut touches: BTreeMap<BufferId, usize> = BTreeMap::new();
    for step in &plan.steps {
        step.for_each_buffer(&mut |id| *touches.entry(id).or_default() += 1);
    }
    let mut best: Option<(Group, Cut)> = None;
    for axis in kept(&plan.steps[start]) {
        let mut group = Group::new(plan.axes[axis].extent);
        if !group.take(plan, start, axis) {
            continue;
        }
        // A scan alone goes over what it writes again and again.
        let alone = matches!(plan.steps[start], Step::Scan(_)).then(|| group.cut(plan, &touches, limits));
        let mut found: Option<(usize, usize, Cut)> = alone.flatten().map(|cut| (1, 0, cut));
        for next in start + 1..plan.steps.len() {
            let candidates = group.candidates(&plan.axes, &kept(&plan.steps[next]));
            let joins = candidates.into_iter().any(|axis| group.take(plan, next, axis));
            if joins {
                if let Some(cut) = group.cut(plan, &touches, limits)
                    && found.as_ref().is_none_or(|(_, _, known)| cut.gain > known.gain)
                {
                    found = Some((group.members.len(), group.before.len(), cut));
                }
            } else if !group.passes(plan, next) {
                break;
            }
            if group.members.len() >= STEPS {
                break;
            }
        }
        if let Some((members, before, cut)) = found
            && best.as_ref().is_none_or(|(_, known)| cut.gain > known.gain)
        {
            group.members.truncate(members);
            group.before.truncate(before);
            best = Some((group, cut));
        }
    }
    best
}

/// The axes of a step's result along which it may be cut.
fn kept(step: &Step) -> Vec<AxisId> {
    match step {
        Step::Contract(step) if step.wanted.is_none() => {
            // What is summed at a row of a band depends on its number.
            let in_band = |axis: AxisId| step.band.is_some_and(|band| band.free == axis);
            step.out.strides.iter().map(|stride| stride.0).filter(|&axis| !in_band(axis)).collect()
        }
        Step::Nest(step) if step.wanted.is_none() => step.axes.clone(),
        Step::Along(step) => step.rows.clone(),
        Step::Scan(scan) if !scan.apart => {
            let mut axes = scan.body.first().map_or(Vec::new(), kept);
            axes.retain(|&axis| axis != scan.axis);
            axes
        }
        _ => Vec::new(),
    }
}

/// The steps in a step that count rows: those of a scan, else it alone.
fn parts(step: &Step) -> &[Step] {
    match step {
        Step::Scan(scan) => &scan.body,
        _ => std::slice::from_ref(step),
    }
}

/// Whether a scan writes other elements of a buffer at each step.
fn keeps_history(scan: &ScanStep, id: BufferId) -> bool {
    scan.body.iter().any(|part| match part {
        Step::Contract(Contract { out, .. })
        | Step::Nest(Nest { out, .. })
        | Step::Along(AlongStep { out, .. }) => out.buffer == id && out.stride(scan.axis) != 0,
        Step::Scatter(_) | Step::Scan(_) => false,
    })
}

/// How often the parts of a step run.
fn times(step: &Step, axes: &Axes) -> u64 {
    match step {
        Step::Scan(scan) => axes[scan.axis].extent,
        _ => 1,
    }
}

impl Group {
    fn new(extent: u64) -> Group {
        let (members, before) = (Vec::new(), Vec::new());
        Group { members, before, extent, written: BTreeMap::new(), read: BTreeSet::new() }
    }

    /// Those of some axes of a step that may count the group's rows, likely ones first.
    fn candidates(&self, axes: &Axes, kept: &[AxisId]) -> Vec<AxisId> {
        let mut list = kept.to_vec();
        list.retain(|&axis| axes[axis].extent == self.extent);
        let own: BTreeSet<AxisId> = self.members.iter().flat_map(|member| &member.axes).copied().collect();
        let names: BTreeSet<&str> = own.iter().map(|&axis| &*axes[axis].name).collect();
        list.sort_by_key(|axis| (!own.contains(axis), !names.contains(&*axes[*axis].name)));
        list
    }

    /// Takes a step into the group, if its rows are the group's; `axis` is that of its first part.
    fn take(&mut self, plan: &Plan, number: usize, axis: AxisId) -> bool {
        let step = &plan.steps[number];
        let mut written = self.written.clone();
        let mut axes: Vec<AxisId> = Vec::with_capacity(parts(step).len());
        let of_part = |part: &Step, axis: AxisId, written: &BTreeMap<BufferId, i64>| {
            Rows { plan, axis, extent: self.extent, written }.of_step(part)
        };
        for part in parts(step) {
            let choices = if axes.is_empty() { vec![axis] } else { self.candidates(&plan.axes, &kept(part)) };
            let found = choices.into_iter().find_map(|axis| Some((axis, of_part(part, axis, &written)?)));
            let Some((axis, (out, by))) = found else { return false };
            // What was read before may have been read at other rows.
            if !self.written.contains_key(&out) && self.read.contains(&out) {
                return false;
            }
            written.insert(out, by);
            axes.push(axis);
        }
        // A scan reads what a later part of it has written one step before.
        let again = matches!(step, Step::Scan(_));
        if again
            && !parts(step).iter().zip(&axes).all(|(part, &axis)| of_part(part, axis, &written).is_some())
        {
            return false;
        }
        self.written = written;
        step.for_each_buffer(&mut |id| {
            self.read.insert(id);
        });
        self.members.push(Member { number, axes });
        true
    }

    /// Whether a step that is no member may run before the group.
    fn passes(&mut self, plan: &Plan, number: usize) -> bool {
        let step = &plan.steps[number];
        let mut passes = true;
        step.for_each_buffer(&mut |id| passes &= !self.written.contains_key(&id));
        step.for_each_result(&mut |id| passes &= !self.read.contains(&id));
        if passes {
            self.before.push(number);
        }
        passes
    }

    /// How the group is best cut, if that is worth it.
    fn cut(&self, plan: &Plan, touches: &BTreeMap<BufferId, usize>, limits: Limits) -> Option<Cut> {
        let mut inside: BTreeMap<BufferId, usize> = BTreeMap::new();
        for &Member { number, .. } in &self.members {
            plan.steps[number].for_each_buffer(&mut |id| *inside.entry(id).or_default() += 1);
        }
        let mut own: BTreeSet<BufferId> = self.written.keys().copied().collect();
        own.retain(|&id| {
            let whole = u64::try_from(self.written[&id]).unwrap_or(0).saturating_mul(self.extent);
            matches!(plan.buffers[id].place, Place::Arena(_))
                && touches.get(&id) == inside.get(&id)
                && whole > 0
                && plan.buffers[id].elems.is_multiple_of(whole)
        });
        let again = self.read_again(plan, &own);
        let renewed = self.renewed(plan);
        let bytes = |&id: &BufferId| plan.buffers[id].bytes();
        let sum = |counts: &BTreeMap<BufferId, u64>, least: u64| {
            let far = counts.iter().filter(|(id, _)| bytes(id) >= least);
            far.map(|(id, &count)| bytes(id).saturating_mul(count)).fold(0, u64::saturating_add)
        };
        let all = own.iter().map(bytes).fold(0, u64::saturating_add);
        // What the caches hold is not as far.
        let (more, far) = (sum(&again, 0).saturating_add(sum(&renewed, 0)), sum(&renewed, limits.far));
        let near: BTreeSet<BufferId> = again.keys().chain(renewed.keys()).chain(&own).copied().collect();
        if all.saturating_add(more) < limits.far || !self.ends_in(plan, &near) {
            return None;
        }
        let block = near.iter().map(bytes).fold(0, u64::saturating_add);
        let most = (limits.near.saturating_mul(self.extent) / block.max(1)).min(self.extent / limits.blocks);
        let rows = (1..=most).rev().find(|&rows| self.extent.is_multiple_of(rows))?;
        let count = self.extent / rows;
        let mut lost = 0.0;
        for Member { number, axes } in &self.members {
            let step = &plan.steps[*number];
            let times = times(step, &plan.axes);
            for (part, &axis) in parts(step).iter().zip(axes) {
                if rows < least_rows(part, axis, &plan.axes, limits.rows).min(self.extent) {
                    return None;
                }
                lost += STARTED * count as f64 * times as f64;
                lost += PACKED * (count - 1) as f64 * shared(part, axis, &plan.axes);
            }
        }
        let saved = FAR * all.saturating_add(far) as f64 + AGAIN * (more - far) as f64;
        let gain = saved - limits.worth * lost;
        (gain > 0.0).then_some(Cut { rows, own, gain })
    }

    /// How often maps along axes read what one of them has written, of values that only such maps of the group touch and that
    /// are not its own: products go over their results block by block themselves.
    fn read_again(&self, plan: &Plan, own: &BTreeSet<BufferId>) -> BTreeMap<BufferId, u64> {
        let (mut written, mut again) = (BTreeSet::new(), BTreeMap::new());
        for &Member { number, .. } in &self.members {
            if let Step::Along(step) = &plan.steps[number] {
                let read: BTreeSet<BufferId> = step.operands.iter().map(|operand| operand.buffer).collect();
                for &id in read.intersection(&written) {
                    *again.entry(id).or_default() += 1;
                }
                written.insert(step.out.buffer);
            }
        }
        again.retain(|id, _| !own.contains(id));
        let others = self.members.iter().map(|member| &plan.steps[member.number]);
        for step in others.filter(|step| !matches!(step, Step::Along(_))) {
            step.for_each_buffer(&mut |id| {
                again.remove(&id);
            });
        }
        again
    }

    /// How often the loop nests of scans go over values once more that they have written before.
    fn renewed(&self, plan: &Plan) -> BTreeMap<BufferId, u64> {
        let mut renewed = BTreeMap::new();
        for member in &self.members {
            let step = &plan.steps[member.number];
            for part in parts(step) {
                let (Step::Scan(scan), Step::Nest(nest)) = (step, part) else { continue };
                let read: BTreeSet<BufferId> = nest.operands.iter().map(|operand| operand.buffer).collect();
                for &id in
                    read.iter().filter(|&&id| self.written.contains_key(&id) && !keeps_history(scan, id))
                {
                    *renewed.entry(id).or_default() += plan.axes[scan.axis].extent.saturating_sub(1);
                }
            }
        }
        renewed.retain(|_, count| *count > 0);
        renewed
    }

    /// Whether the first and the last step touch values that are nearer in blocks: others need not be in the group.
    fn ends_in(&self, plan: &Plan, near: &BTreeSet<BufferId>) -> bool {
        let touches = |member: &Member| {
            let mut touches = false;
            plan.steps[member.number].for_each_buffer(&mut |id| touches |= near.contains(&id));
            touches
        };
        self.members.first().is_some_and(touches) && self.members.last().is_some_and(touches)
    }
}

/// The elements that a step reads for every block, packed anew each time.
fn shared(step: &Step, axis: AxisId, axes: &Axes) -> f64 {
    let Step::Contract(step) = step else { return 0.0 };
    let own = |view: &View| points(axes, view.strides.iter().map(|stride| &stride.0)) as f64;
    [&step.a, &step.b].into_iter().filter(|view| view.stride(axis) == 0).map(own).sum()
}

/// The fewest rows of a block with which a step runs about as fast as with all.
fn least_rows(step: &Step, axis: AxisId, axes: &Axes, most: u64) -> u64 {
    // So many elements of a block lie side by side.
    let along = |view: &View| most.div_ceil(view.stride(axis).unsigned_abs().max(1));
    match step {
        Step::Contract(step) => {
            let has = |view: &View| view.stride(axis) != 0;
            // Rows of a product are all that only this operand and the result have.
            let beside = match (has(&step.a), has(&step.b)) {
                (true, false) => Some((&step.a, &step.b)),
                (false, true) => Some((&step.b, &step.a)),
                _ => None,
            };
            let product = beside.map_or(1, |(own, other)| {
                let with = own.strides.iter().map(|stride| &stride.0);
                let alone =
                    with.filter(|&&id| id != axis && step.out.stride(id) != 0 && other.stride(id) == 0);
                most.div_ceil(points(axes, alone).max(1))
            });
            product.max(along(&step.out))
        }
        Step::Along(step) if matches!(step.op, AlongOp::Dft | AlongOp::Idft) => {
            // So many are transformed at once: of these or of others that lie inside of each.
            let by = |axis: AxisId| step.out.stride(axis);
            let inside = step.rows.iter().filter(|&&other| other != axis && by(other) < by(axis));
            let side_by_side = inside.map(|&other| axes[other].extent).max().unwrap_or(1);
            along(&step.out).max(most.min(16).div_ceil(side_by_side.max(1)))
        }
        Step::Along(step) => along(&step.out),
        Step::Nest(step) => along(&step.out),
        Step::Scatter(_) | Step::Scan(_) => 1,
    }
}

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
//! whatever they write is read by them at the row that is written. What only they touch then exists for a block of rows, once
//! for each worker, and blocks run at once. What others touch too stays where it is; maps along axes that read it after one
//! another, a transform of several factors, find a block of it near. Results are those of the steps as they were: what is
//! computed for a row does not change. Takes time quadratic in the steps of a group.

mod access;
mod rewrite;
#[cfg(test)]
mod tests;

use super::{BufferId, Place, Plan, Step, View};
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
const PACKED: f64 = 0.25e-9;
const STARTED: f64 = 0.2e-6;

/// A plan of which all that can be runs in blocks of a few rows.
#[cfg(test)]
pub(crate) fn in_small_blocks(plan: &Plan) -> Plan {
    let limits = Limits { far: 0, near: 1 << 20, blocks: 4, rows: 1, worth: 0.0 };
    super::arena::assign(block(plan.clone(), limits))
}

/// Steps that run block by block.
struct Group {
    /// The steps, each with its axis that counts rows.
    members: Vec<(usize, AxisId)>,
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
        let mut found: Option<(usize, usize, Cut)> = None;
        for next in start + 1..plan.steps.len() {
            let joins = group.candidates(plan, next).into_iter().any(|axis| group.take(plan, next, axis));
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
        _ => Vec::new(),
    }
}

impl Group {
    fn new(extent: u64) -> Group {
        let (members, before) = (Vec::new(), Vec::new());
        Group { members, before, extent, written: BTreeMap::new(), read: BTreeSet::new() }
    }

    /// The axes of a step that may count the group's rows, likely ones first.
    fn candidates(&self, plan: &Plan, number: usize) -> Vec<AxisId> {
        let mut list = kept(&plan.steps[number]);
        list.retain(|&axis| plan.axes[axis].extent == self.extent);
        let own: BTreeSet<AxisId> = self.members.iter().map(|member| member.1).collect();
        let names: BTreeSet<&str> = own.iter().map(|&axis| &*plan.axes[axis].name).collect();
        list.sort_by_key(|axis| (!own.contains(axis), !names.contains(&*plan.axes[*axis].name)));
        list
    }

    /// Takes a step into the group, if its rows are the group's.
    fn take(&mut self, plan: &Plan, number: usize, axis: AxisId) -> bool {
        let rows = Rows { plan, axis, extent: self.extent, written: &self.written };
        let Some((out, by)) = rows.of_step(&plan.steps[number]) else { return false };
        // What was read before may have been read at other rows.
        if !self.written.contains_key(&out) && self.read.contains(&out) {
            return false;
        }
        self.written.insert(out, by);
        plan.steps[number].for_each_buffer(&mut |id| {
            self.read.insert(id);
        });
        self.members.push((number, axis));
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
        for &(number, _) in &self.members {
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
        let bytes = |&id: &BufferId| plan.buffers[id].bytes();
        let all = own.iter().map(bytes).fold(0, u64::saturating_add);
        let more =
            again.iter().map(|(id, &count)| bytes(id).saturating_mul(count)).fold(0, u64::saturating_add);
        if all.saturating_add(more) < limits.far || !self.ends_in(plan, &own, &again) {
            return None;
        }
        let block = again.keys().map(bytes).fold(all, u64::saturating_add);
        let most = (limits.near.saturating_mul(self.extent) / block.max(1)).min(self.extent / limits.blocks);
        let rows = (1..=most).rev().find(|&rows| self.extent.is_multiple_of(rows))?;
        let count = self.extent / rows;
        let mut lost = 0.0;
        for &(number, axis) in &self.members {
            let step = &plan.steps[number];
            if rows < least_rows(step, axis, &plan.axes, limits.rows).min(self.extent) {
                return None;
            }
            lost += STARTED * count as f64 + PACKED * (count - 1) as f64 * shared(step, axis, &plan.axes);
        }
        let saved = FAR * all as f64 + AGAIN * more as f64;
        let gain = saved - limits.worth * lost;
        (gain > 0.0).then_some(Cut { rows, own, gain })
    }

    /// How often maps along axes read what one of them has written, of values that only such maps of the group touch and that
    /// are not its own: products go over their results block by block themselves.
    fn read_again(&self, plan: &Plan, own: &BTreeSet<BufferId>) -> BTreeMap<BufferId, u64> {
        let (mut written, mut again) = (BTreeSet::new(), BTreeMap::new());
        for &(number, _) in &self.members {
            if let Step::Along(step) = &plan.steps[number] {
                let read: BTreeSet<BufferId> = step.operands.iter().map(|operand| operand.buffer).collect();
                for &id in read.intersection(&written) {
                    *again.entry(id).or_default() += 1;
                }
                written.insert(step.out.buffer);
            }
        }
        again.retain(|id, _| !own.contains(id));
        let others = self.members.iter().map(|member| &plan.steps[member.0]);
        for step in others.filter(|step| !matches!(step, Step::Along(_))) {
            step.for_each_buffer(&mut |id| {
                again.remove(&id);
            });
        }
        again
    }

    /// Whether the first and the last step touch values that are nearer in blocks: others need not be in the group.
    fn ends_in(&self, plan: &Plan, own: &BTreeSet<BufferId>, again: &BTreeMap<BufferId, u64>) -> bool {
        let touches = |&(number, _): &(usize, AxisId)| {
            let mut touches = false;
            let is_nearer = |id: &BufferId| own.contains(id) || again.contains_key(id);
            plan.steps[number].for_each_buffer(&mut |id| touches |= is_nearer(&id));
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

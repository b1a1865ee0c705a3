//! From a plan to loops: every decision about order, vectors, unrolling and threads is made here.

mod access;
mod along;
mod apart;
mod build;
mod clamped;
mod columns;
mod contract;
mod copies;
mod cut;
mod expr;
mod fourier;
mod hoist;
mod join;
mod nest;
mod permute;
mod ranges;
mod reduce;
mod running;
mod scatter;
mod strip;

use crate::expr::{Axes, AxisId, points};
use crate::id::IdVec;
use crate::loops::{Buffer, BufferId, DType, Loops, Place, Stmt};
use crate::machine::Machine;
use crate::plan::{self, Nest, Plan, Step, View};
use build::{Builder, Lin};
use copies::Copies;
use expr::{Point, view_at};
use nest::{PARALLEL_WORK, Task, size_of};

/// The loops of a plan. Equal plans and machines give equal loops.
pub fn lower(plan: &Plan, machine: &Machine) -> Loops {
    let mut buffers = IdVec::new();
    for (_, buffer) in plan.buffers.iter() {
        let mut name = buffer.name.clone();
        if let plan::Place::Worker(_) = buffer.place {
            // Apart from the names of scratch memory that is made below.
            name.insert_str(0, "own ");
        }
        buffers.push(Buffer {
            name,
            dtype: buffer.dtype,
            elems: buffer.elems,
            place: match &buffer.place {
                plan::Place::Input(number) => Place::Input(*number),
                plan::Place::Output(number) => Place::Output(*number),
                plan::Place::Constant(tensor) => Place::Constant(tensor.clone()),
                plan::Place::Arena(at) => Place::Arena(*at),
                plan::Place::Worker(at) => Place::Scratch(*at),
            },
        });
    }
    let mut builder = Builder::new(&plan.name, buffers, plan.arena);
    builder.loops.scratch = plan.worker_bytes().next_multiple_of(64);
    builder.copies = Copies::of(plan);
    for step in &plan.steps {
        builder.step(&mut |builder| builder.plan_step(step, &plan.axes, &Point::new(), machine));
    }
    builder.finish()
}

impl Builder {
    /// Writes the loops of a nest over the axes that choose what is wanted, and inside them the others under a condition.
    fn wanted_rows(
        &mut self,
        nest: &Nest,
        wanted: &View,
        (chosen, rest): (&[AxisId], &[AxisId]),
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) {
        if let Some((&axis, inner)) = chosen.split_first() {
            let work = points(axes, &nest.axes).saturating_mul(size_of(&nest.value) as u64);
            let parallel = !self.in_parallel() && work >= PARALLEL_WORK;
            let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
            return self.looped(&axes[axis].name, (0, extent, 1), parallel, &mut |builder, at| {
                builder.wanted_rows(nest, wanted, (inner, rest), axes, &point.with(axis, at), machine);
            });
        }
        let (place, _) = view_at(point, wanted.offset, &wanted.strides);
        let condition = self.load(DType::Bool, BufferId(wanted.buffer.0), place, None).one();
        self.open();
        let task = Task { axes: rest, alone: true, ..Task::of(nest) };
        self.nest(&task, axes, point, machine);
        let rows = self.close();
        self.push(Stmt::If(condition, rows, Vec::new()));
        self.forget();
    }

    fn plan_step(&mut self, step: &Step, axes: &Axes, point: &Point, machine: &Machine) {
        match step {
            Step::Nest(nest) => match &nest.wanted {
                Some(wanted) => {
                    let (chosen, rest): (Vec<AxisId>, Vec<AxisId>) =
                        nest.axes.iter().partition(|&&axis| wanted.stride(axis) != 0);
                    self.wanted_rows(nest, wanted, (&chosen, &rest), axes, point, machine);
                }
                None => self.nest(&Task::of(nest), axes, point, machine),
            },
            Step::Contract(contract) => self.contract(contract, axes, point, machine),
            Step::Along(along) => self.along(along, axes, point, machine),
            Step::Scatter(scatter) => self.scatter(scatter, axes, point, machine),
            Step::Scan(scan) if scan.apart && !self.in_parallel() => self.apart(scan, axes, point, machine),
            Step::Scan(scan) => {
                let extent = i64::try_from(axes[scan.axis].extent).unwrap_or(i64::MAX);
                self.looped(&axes[scan.axis].name, (0, extent, 1), false, &mut |builder, at| {
                    let at = if scan.reversed { Lin::constant(extent - 1).plus(&at, -1) } else { at };
                    let point = point.with(scan.axis, at);
                    scan.body.iter().for_each(|step| builder.plan_step(step, axes, &point, machine));
                });
            }
        }
    }
}

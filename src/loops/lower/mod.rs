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

use crate::expr::Axes;
use crate::id::IdVec;
use crate::loops::{Buffer, Loops, Place};
use crate::machine::Machine;
use crate::plan::{self, Plan, Step};
use build::{Builder, Lin};
use copies::Copies;
use expr::Point;
use nest::Task;

/// The loops of a plan. Equal plans and machines give equal loops.
pub fn lower(plan: &Plan, machine: &Machine) -> Loops {
    let mut buffers = IdVec::new();
    for (_, buffer) in plan.buffers.iter() {
        buffers.push(Buffer {
            name: buffer.name.clone(),
            dtype: buffer.dtype,
            elems: buffer.elems,
            place: match &buffer.place {
                plan::Place::Input(number) => Place::Input(*number),
                plan::Place::Output(number) => Place::Output(*number),
                plan::Place::Constant(tensor) => Place::Constant(tensor.clone()),
                plan::Place::Arena(at) => Place::Arena(*at),
            },
        });
    }
    let mut builder = Builder::new(&plan.name, buffers, plan.arena);
    builder.copies = Copies::of(plan);
    for step in &plan.steps {
        builder.step(&mut |builder| builder.plan_step(step, &plan.axes, &Point::new(), machine));
    }
    builder.finish()
}

impl Builder {
    fn plan_step(&mut self, step: &Step, axes: &Axes, point: &Point, machine: &Machine) {
        match step {
            Step::Nest(nest) => {
                let task = Task {
                    axes: &nest.axes,
                    operands: &nest.operands,
                    reductions: &nest.reductions,
                    value: &nest.value,
                    out: &nest.out,
                    accumulate: false,
                    given: &[],
                    alone: false,
                };
                self.nest(&task, axes, point, machine);
            }
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

//! From a plan to loops: every decision about order, vectors, unrolling and threads is made here.

mod build;
mod expr;
mod nest;
mod reduce;

use crate::expr::{Axes, AxisId, Expr, Outside, Read, ReduceOp};
use crate::id::IdVec;
use crate::loops::{Buffer, Loops, Place};
use crate::machine::Machine;
use crate::plan::{self, Contract, Operand, Plan, Reduction, Source, Step, View};
use build::Builder;
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
                };
                self.nest(&task, axes, point, machine);
            }
            Step::Contract(contract) => self.contract(contract, axes, point, machine),
            Step::Along(_) | Step::Scatter(_) | Step::Scan(_) => {}
        }
    }

    /// A contraction as a nest: axes of the result outside, all others summed.
    fn contract(&mut self, contract: &Contract, axes: &Axes, point: &Point, machine: &Machine) {
        let held = |axis: &AxisId| point.axes.iter().any(|known| known.0 == *axis);
        let free: Vec<AxisId> =
            contract.out.strides.iter().map(|stride| stride.0).filter(|axis| !held(axis)).collect();
        let mut summed: Vec<AxisId> = Vec::new();
        for (axis, _) in contract.a.strides.iter().chain(&contract.b.strides) {
            if !free.contains(axis) && !summed.contains(axis) && !held(axis) {
                summed.push(*axis);
            }
        }
        let operand = |view: &View| Operand {
            buffer: view.buffer,
            offset: view.offset,
            dims: view.strides.iter().map(|&(axis, stride)| (axes[axis].extent, stride)).collect(),
        };
        let read = |number: u32, view: &View| {
            Expr::Read(Read {
                source: Source::Operand(number),
                dtype: contract.dtype,
                indices: view.strides.iter().map(|&(axis, _)| Expr::Index(axis)).collect(),
                outside: Outside::Never,
                place: contract.place,
            })
        };
        let body = Expr::Product(vec![read(0, &contract.a), read(1, &contract.b)]);
        let sum = Expr::Read(Read {
            source: Source::Reduced(0),
            dtype: contract.dtype,
            indices: Vec::new(),
            outside: Outside::Never,
            place: contract.place,
        });
        let operands = [operand(&contract.a), operand(&contract.b)];
        let reductions = [Reduction { op: ReduceOp::Sum, axes: summed, body }];
        let task = Task {
            axes: &free,
            operands: &operands,
            reductions: &reductions,
            value: &sum,
            out: &contract.out,
            accumulate: contract.accumulate,
        };
        self.nest(&task, axes, point, machine);
    }
}

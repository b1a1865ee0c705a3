//! Contractions: large ones of gemm's shape call a matrix product, all others are nests.

use super::build::{Builder, Lin};
use super::expr::Point;
use super::nest::Task;
use crate::expr::{Axes, AxisId, Expr, Outside, Read, ReduceOp};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{Contract, Operand, Reduction, Source, View};

impl Builder {
    pub(super) fn contract(&mut self, contract: &Contract, axes: &Axes, point: &Point, machine: &Machine) {
        if self.convolution(contract, axes, point) {
            return;
        }
        let held = |axis: AxisId| point.axes.iter().any(|known| known.0 == axis);
        let (free, summed) = contract.free_and_summed(&held);
        if let Some(gemm) = contract.product(axes, (&free, &summed)) {
            let address = |view: &View| {
                let held = view.strides.iter().filter(|stride| held(stride.0));
                let lin =
                    held.fold(Lin::constant(view.offset), |sum, &(axis, by)| sum.plus(point.axis(axis), by));
                Address {
                    buffer: BufferId(view.buffer.0),
                    offset: lin.offset,
                    terms: lin.terms,
                    dynamic: None,
                }
            };
            let addresses = [&contract.a, &contract.b, &contract.out].map(address);
            let wanted = contract.wanted.as_ref().map(address);
            let known = self.loops.gemms.iter().find(|(_, known)| **known == gemm).map(|(id, _)| id);
            let id = known.unwrap_or_else(|| self.loops.gemms.push(gemm));
            self.push(Stmt::Gemm(id, addresses, wanted));
            self.forget();
            return;
        }
        self.contract_loops(contract, &free, summed, axes, point, machine);
    }

    /// A contraction as a nest: axes of the result outside, all others summed.
    fn contract_loops(
        &mut self,
        contract: &Contract,
        free: &[AxisId],
        summed: Vec<AxisId>,
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) {
        let operand = |view: &View| Operand {
            buffer: view.buffer,
            offset: view.offset,
            dims: view.strides.iter().map(|&(axis, stride)| (axes[axis].extent, stride)).collect(),
        };
        let read = |source: Source, view: Option<&View>| {
            Expr::Read(Read {
                source,
                dtype: contract.dtype,
                indices: view.map_or(Vec::new(), |view| {
                    view.strides.iter().map(|&(axis, _)| Expr::Index(axis)).collect()
                }),
                outside: Outside::Never,
                place: contract.place,
            })
        };
        let factors =
            vec![read(Source::Operand(0), Some(&contract.a)), read(Source::Operand(1), Some(&contract.b))];
        let operands = [operand(&contract.a), operand(&contract.b)];
        let product = Expr::Product(factors);
        let body = match &contract.band {
            Some(band) => {
                let zero = Expr::number(0.0, contract.dtype);
                Expr::Select(Box::new([band.condition(axes), product, zero]))
            }
            None => product,
        };
        let reductions = [Reduction { op: ReduceOp::Sum, axes: summed, body }];
        let task = Task {
            axes: free,
            operands: &operands,
            reductions: &reductions,
            value: &read(Source::Reduced(0), None),
            out: &contract.out,
            accumulate: contract.accumulate,
            given: &[],
            alone: false,
        };
        self.nest(&task, axes, point, machine);
    }
}

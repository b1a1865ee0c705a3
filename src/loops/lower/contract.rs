//! Contractions: large ones of gemm's shape call a matrix product, all others are nests.

use super::build::{Builder, Lin};
use super::expr::Point;
use super::nest::Task;
use crate::expr::{Axes, AxisId, Expr, Outside, Read, ReduceOp};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{Contract, Operand, Reduction, Source, View};
use einc_runtime::gemm::Axis;

/// Multiply-adds for one index of the batch above which packing pays.
const GEMM_WORK: u64 = 8192;

/// The same for plain matrices of `f64`, which the library multiplies where they are; of `f32`, twice as many.
const PLAIN_WORK: u64 = 512;

/// The same where one operand is a vector.
const VECTOR_WORK: u64 = 1 << 18;

/// The same where the other operand's rows are added up, or windows of it.
const SWEEP_WORK: u64 = 1 << 13;

/// The same for complex numbers, of which nests make no vectors.
const COMPLEX_WORK: u64 = 64;

impl Builder {
    pub(super) fn contract(&mut self, contract: &Contract, axes: &Axes, point: &Point, machine: &Machine) {
        if self.convolution(contract, axes, point) {
            return;
        }
        let held = |axis: &AxisId| point.axes.iter().any(|known| known.0 == *axis);
        let listed = [&contract.out, &contract.a, &contract.b].into_iter().flat_map(|view| &view.strides);
        let mut list: Vec<AxisId> = Vec::new();
        for (axis, _) in listed {
            if !list.contains(axis) && !held(axis) {
                list.push(*axis);
            }
        }
        let (free, summed): (Vec<AxisId>, Vec<AxisId>) =
            list.into_iter().partition(|&axis| contract.out.stride(axis) != 0);
        let gemm = gemm_of(contract, axes, free.iter().chain(&summed));
        if is_worth_packing(&gemm) {
            let addresses = [&contract.a, &contract.b, &contract.out].map(|view| {
                let held = view.strides.iter().filter(|stride| held(&stride.0));
                let lin =
                    held.fold(Lin::constant(view.offset), |sum, &(axis, by)| sum.plus(point.axis(axis), by));
                Address {
                    buffer: BufferId(view.buffer.0),
                    offset: lin.offset,
                    terms: lin.terms,
                    dynamic: None,
                }
            });
            let known = self.loops.gemms.iter().find(|(_, known)| **known == gemm).map(|(id, _)| id);
            let id = known.unwrap_or_else(|| self.loops.gemms.push(gemm));
            self.push(Stmt::Gemm(id, addresses));
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
        let reductions = [Reduction { op: ReduceOp::Sum, axes: summed, body: Expr::Product(factors) }];
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

fn gemm_of<'a>(contract: &Contract, axes: &Axes, list: impl Iterator<Item = &'a AxisId>) -> Gemm {
    // Wrapping products do not depend on the sign.
    let dtype = match contract.dtype {
        DType::U32 => DType::I32,
        DType::U64 => DType::I64,
        dtype => dtype,
    };
    let accumulate = contract.accumulate;
    let mut gemm = Gemm { dtype, batch: vec![], m: vec![], n: vec![], k: vec![], accumulate };
    for &id in list {
        let [a, b, c] = [&contract.a, &contract.b, &contract.out].map(|view| view.stride(id));
        let axis = Axis { extent: axes[id].extent, a, b, c };
        match (a != 0, b != 0, c != 0) {
            (_, _, false) => &mut gemm.k,
            (true, false, true) => &mut gemm.m,
            (false, true, true) => &mut gemm.n,
            _ => &mut gemm.batch,
        }
        .push(axis);
    }
    gemm
}

fn is_worth_packing(gemm: &Gemm) -> bool {
    let volume = |axes: &[Axis]| axes.iter().fold(1u64, |n, axis| n.saturating_mul(axis.extent));
    let [m, n, k] = [&gemm.m, &gemm.n, &gemm.k].map(|axes| volume(axes));
    let known =
        matches!(gemm.dtype, DType::F32 | DType::F64 | DType::C64 | DType::C128 | DType::I32 | DType::I64);
    // Axes that only one operand has are summed by a nest at less cost.
    let shaped = gemm.k.iter().all(|axis| axis.a != 0 && axis.b != 0)
        && gemm.batch.iter().all(|axis| axis.a != 0 && axis.b != 0);
    let work = m.saturating_mul(n).saturating_mul(k);
    // A matrix and a vector: the vectors of the library are wider.
    let is_vector = m.min(n) == 1 && m.max(n) >= 16 && k >= 16 && work >= VECTOR_WORK;
    let least = match gemm.dtype {
        DType::F64 if is_plain(gemm) => PLAIN_WORK,
        DType::F32 if is_plain(gemm) => 2 * PLAIN_WORK,
        _ => GEMM_WORK + 1,
    };
    let is_swept = m.min(n) == 1 && k >= 16 && work >= SWEEP_WORK && is_swept(gemm);
    let is_opened = k >= 3 && work >= SWEEP_WORK && has_runs(gemm);
    let is_complex = matches!(gemm.dtype, DType::C64 | DType::C128) && k >= 2 && work >= COMPLEX_WORK;
    known
        && shaped
        && (m.min(n).min(k) >= 4 && work >= least || is_vector || is_swept || is_opened || is_complex)
}

/// Whether rows, columns and sums are one axis each, and columns lie side by side in their operand and the result.
fn is_plain(gemm: &Gemm) -> bool {
    match (&gemm.m[..], &gemm.n[..], &gemm.k[..]) {
        ([m], [n], [_]) => (n.b, n.c) == (1, 1) || (m.a, m.c) == (1, 1),
        _ => false,
    }
}

/// Whether one operand is a vector, and runs of the other lie side by side as they do in the result.
fn has_runs(gemm: &Gemm) -> bool {
    match (&gemm.m[..], &gemm.n[..]) {
        ([], n) => n.iter().any(|axis| (axis.b, axis.c) == (1, 1) && axis.extent >= 8),
        (m, []) => m.iter().any(|axis| (axis.a, axis.c) == (1, 1) && axis.extent >= 8),
        _ => false,
    }
}

/// Whether the result is a sum of rows that lie side by side.
fn is_swept(gemm: &Gemm) -> bool {
    match (&gemm.m[..], &gemm.n[..]) {
        ([], [n]) => (n.b, n.c) == (1, 1) && n.extent >= 16,
        ([m], []) => (m.a, m.c) == (1, 1) && m.extent >= 16,
        _ => false,
    }
}

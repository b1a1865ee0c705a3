//! Which contractions are matrix products of the library, and the memory that these take while they run.

use super::{Band, Contract, Plan, Step};
use crate::expr::{Axes, AxisId};
use einc_runtime::DType;
use einc_runtime::gemm::{self, Axis, Gemm, GemmPlan};

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

impl Contract {
    /// Whether it is one of reals and counts real and imaginary parts in views of buffers of that dtype.
    pub fn counts_parts_of(&self, dtype: DType) -> bool {
        dtype.is_complex() && dtype.real_part() == self.dtype
    }

    /// Whether both operands start at the same element.
    pub fn is_square(&self) -> bool {
        (self.a.buffer, self.a.offset) == (self.b.buffer, self.b.offset)
    }

    /// The axes that the result has and those that it lacks; the axes of scans around are held.
    pub fn free_and_summed(&self, held: &dyn Fn(AxisId) -> bool) -> (Vec<AxisId>, Vec<AxisId>) {
        let listed = [&self.out, &self.a, &self.b].into_iter().flat_map(|view| &view.strides);
        let mut list: Vec<AxisId> = Vec::new();
        for &(axis, _) in listed {
            if !list.contains(&axis) && !held(axis) {
                list.push(axis);
            }
        }
        list.into_iter().partition(|&axis| self.out.stride(axis) != 0)
    }

    /// The matrix product that it is, if packing its operands pays.
    pub fn product(&self, axes: &Axes, (free, summed): (&[AxisId], &[AxisId])) -> Option<Gemm> {
        let gemm = gemm_of(self, axes, free.iter().chain(summed));
        is_worth_packing(&gemm).then_some(gemm)
    }
}

/// The matrix product that a contraction is, ready to run; the axes of scans around are held.
pub(super) fn ready(contract: &Contract, axes: &Axes, held: &dyn Fn(AxisId) -> bool) -> Option<GemmPlan> {
    let (free, summed) = contract.free_and_summed(held);
    GemmPlan::new(&contract.product(axes, (&free, &summed))?)
}

/// Bytes of memory that the matrix products of a plan take on so many threads: as much as the one that takes most.
pub(super) fn workspace(plan: &Plan, threads: usize) -> u64 {
    let all = plan.steps.iter().map(|step| step_workspace(plan, step, &mut Vec::new(), (threads, false)));
    all.max().unwrap_or(0)
}

/// The same of a step; inside a scan whose values run at once, every thread runs products of its own.
fn step_workspace(plan: &Plan, step: &Step, held: &mut Vec<AxisId>, (threads, alone): (usize, bool)) -> u64 {
    match step {
        Step::Contract(contract) => {
            let is_held = |axis: AxisId| held.contains(&axis);
            if contract.long_sum(&plan.axes, &is_held).is_some() {
                return 0;
            }
            let ready = ready(contract, &plan.axes, &is_held);
            let bytes =
                |threads: usize| ready.as_ref().map_or(0, |ready| ready.workspace_bytes(threads) as u64);
            if alone { bytes(1).saturating_mul(threads as u64) } else { bytes(threads) }
        }
        Step::Scan(scan) => {
            held.push(scan.axis);
            let how = (threads, alone || scan.apart);
            let most = scan.body.iter().map(|step| step_workspace(plan, step, held, how)).max();
            held.pop();
            most.unwrap_or(0)
        }
        Step::Nest(_) | Step::Along(_) | Step::Scatter(_) => 0,
    }
}

fn gemm_of<'a>(contract: &Contract, axes: &Axes, list: impl Iterator<Item = &'a AxisId>) -> Gemm {
    let list: Vec<AxisId> = list.copied().collect();
    // Wrapping products do not depend on the sign.
    let dtype = match contract.dtype {
        DType::U32 => DType::I32,
        DType::U64 => DType::I64,
        dtype => dtype,
    };
    let accumulate = contract.accumulate;
    let mut gemm = Gemm {
        dtype,
        batch: vec![],
        m: vec![],
        n: vec![],
        k: vec![],
        accumulate,
        wanted: vec![],
        band: None,
    };
    for &id in &list {
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
    // In the order of the groups, as the axes were put there.
    let group = |id: AxisId| {
        let [a, b, c] = [&contract.a, &contract.b, &contract.out].map(|view| view.stride(id) != 0);
        match (a, b, c) {
            (_, _, false) => 3,
            (true, false, true) => 1,
            (false, true, true) => 2,
            _ => 0,
        }
    };
    let ordered = || (0..4).flat_map(|number| list.iter().filter(move |&&id| group(id) == number));
    if let Some(wanted) = &contract.wanted {
        gemm.wanted.extend(ordered().map(|&id| wanted.stride(id)));
    }
    if let Some(Band { free, first, end, .. }) = contract.band {
        let axis = ordered().position(|&id| id == free);
        gemm.band = axis.map(|axis| gemm::Band { axis, first, end });
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

//! What a plan costs, and what a program would cost if it ran as written.
//!
//! Work is counted in operations on elements: an addition, a multiplication, a comparison and a function of one value
//! count one each, so that a multiply-add counts two. Moving is counted in bytes that steps read and write, each
//! operand once for each step.

use super::product::ready;
use super::search::{Kernel, Rates, StepShape, StepTime};
use super::{Operand, Place, Plan, Source, Step, View, arena};
use crate::expr::{AlongOp, Axes, AxisId, Binary, Expr};
use crate::program::{Program, Statement};
use std::collections::BTreeSet;

/// What a plan costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Operations of all steps.
    pub flops: f64,
    /// Bytes that all steps read and write.
    pub bytes: f64,
    /// Bytes of memory: inputs, outputs, constants and the arena.
    pub peak: u64,
    /// The seconds that it takes on one thread, as predicted.
    pub seconds: f64,
    /// The steps in order; a scan is one.
    pub steps: Vec<StepCost>,
}

/// What a step costs.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// What it computes, as the source calls it.
    pub name: String,
    /// What it is: `contract`, `nest`, `along`, `scatter` or `scan`.
    pub kind: &'static str,
    /// Its operations.
    pub flops: f64,
    /// The bytes that it reads and writes.
    pub bytes: f64,
    /// What it becomes in native code: what the products of the search are called, `winograd` for such with windows that are
    /// transformed, `transform` or `loops`.
    pub kernel: &'static str,
    /// The seconds that it takes on one thread, as predicted.
    pub seconds: f64,
    /// The bytes of intermediates alive while it runs.
    pub alive: u64,
}

/// What a plan costs on a machine of such rates.
pub fn cost(plan: &Plan, rates: &Rates) -> Cost {
    let mut steps: Vec<StepCost> = plan.steps.iter().map(|step| step_cost(plan, step, &[], rates)).collect();
    for (step, alive) in steps.iter_mut().zip(memory_over_time(plan)) {
        step.alive = alive;
    }
    Cost {
        seconds: steps.iter().map(|step| step.seconds).sum(),
        flops: steps.iter().map(|step| step.flops).sum(),
        bytes: steps.iter().map(|step| step.bytes).sum(),
        peak: plan.memory(),
        steps,
    }
}

/// The bytes of intermediates that are alive while each step runs.
fn memory_over_time(plan: &Plan) -> Vec<u64> {
    let arena::Moments { lives, steps } = arena::moments(plan);
    // What begins and what has ended at each moment.
    let mut changes = vec![(0u64, 0u64); steps.last().map_or(0, |step| step.1 + 1) + 1];
    for (life, (_, buffer)) in lives.iter().zip(plan.buffers.iter()) {
        if let (Some((first, last)), Place::Arena(_)) = (life, &buffer.place) {
            let bytes = buffer.bytes();
            changes[*first].0 = changes[*first].0.saturating_add(bytes);
            changes[*last + 1].1 = changes[*last + 1].1.saturating_add(bytes);
        }
    }
    let mut alive = 0u64;
    let alive: Vec<u64> = changes
        .iter()
        .map(|&(begun, ended)| {
            alive = alive.saturating_sub(ended).saturating_add(begun);
            alive
        })
        .collect();
    steps.iter().map(|&(first, last)| alive[first..=last].iter().copied().max().unwrap_or(0)).collect()
}

/// The operations of a program that runs as written: every term at every point of its whole index space.
pub fn flops_as_written(program: &Program) -> f64 {
    let axes = &program.axes;
    let define =
        |define: &crate::program::Define| points(axes, &define.axes()) * operations(&define.value, axes);
    program
        .statements
        .iter()
        .map(|statement| match statement {
            Statement::Define(statement) => define(statement),
            Statement::Scatter(scatter) => {
                points(axes, &scatter.axes) * (operations(&scatter.value, axes) + 1.0)
            }
            Statement::Scan(scan) => {
                let extent = axes[scan.axis].extent as f64;
                let inside = |statement: &crate::program::Define| {
                    let whole = statement.axes().contains(&scan.axis);
                    define(statement) * if whole { 1.0 } else { extent }
                };
                scan.body.iter().map(inside).sum()
            }
        })
        .sum()
}

/// A time that counts only the bytes of tensors which leave the caches, and more for products that are too thin for
/// their operands to be packed.
pub(super) fn far_time(plan: &Plan, rates: &Rates) -> f64 {
    let mut far = plan.clone();
    let ids: Vec<super::BufferId> = far.buffers.iter().map(|(id, _)| id).collect();
    for id in ids {
        let buffer = &mut far.buffers[id];
        if buffer.bytes() <= CACHES {
            buffer.elems = 0;
        }
    }
    let cost = cost(&far, rates);
    let thin: f64 = plan.steps.iter().map(|step| thin_flops(plan, step, &[], rates)).sum();
    cost.flops + THIN * thin + FLOPS_PER_BYTE * cost.bytes
}

/// How much longer an operation of a thin product takes.
const THIN: f64 = 7.0;

/// The operations of contractions that are matrix times vector, or nearly so.
fn thin_flops(plan: &Plan, step: &Step, fixed: &[AxisId], rates: &Rates) -> f64 {
    match step {
        Step::Contract(contract) => {
            let moves = |view: &View, axis: AxisId| view.strides.iter().any(|stride| stride.0 == axis);
            let all: BTreeSet<AxisId> = [&contract.a, &contract.b]
                .iter()
                .flat_map(|view| view.strides.iter().map(|stride| stride.0))
                .filter(|axis| !fixed.contains(axis))
                .collect();
            let volume = |wanted: [bool; 3]| {
                let own = |axis: &AxisId| {
                    [&contract.a, &contract.b, &contract.out].map(|view| moves(view, *axis)) == wanted
                };
                points(&plan.axes, &all.iter().copied().filter(own).collect::<Vec<_>>())
            };
            let sides = [[true, false, true], [false, true, true], [true, true, false]].map(volume);
            let thin = sides.into_iter().fold(f64::INFINITY, f64::min) < 4.0;
            if thin { step_cost(plan, step, fixed, rates).flops } else { 0.0 }
        }
        Step::Scan(scan) => {
            let inner: Vec<AxisId> = fixed.iter().copied().chain([scan.axis]).collect();
            let body: f64 = scan.body.iter().map(|step| thin_flops(plan, step, &inner, rates)).sum();
            plan.axes[scan.axis].extent as f64 * body
        }
        _ => 0.0,
    }
}

/// The bytes that all caches together hold, about.
const CACHES: u64 = 8 << 20;

/// How many operations a core does while a byte comes from memory.
const FLOPS_PER_BYTE: f64 = 4.0;

fn points(axes: &Axes, list: &[AxisId]) -> f64 {
    list.iter().fold(1.0, |n, &axis| n * axes[axis].extent as f64)
}

/// The operations of an expression at one point.
fn operations<S>(expr: &Expr<S>, axes: &Axes) -> f64 {
    let parts = || expr.parts().into_iter().map(|part| operations(part, axes)).sum::<f64>();
    match expr {
        Expr::Const(..) | Expr::Index(_) => 0.0,
        // Working out where to read is not counted.
        Expr::Read(_) => 0.0,
        Expr::Unary(..) | Expr::Binary(..) | Expr::Select(_) => 1.0 + parts(),
        Expr::Cast(..) => parts(),
        Expr::Sum(list) | Expr::Product(list) => list.len() as f64 - 1.0 + parts(),
        Expr::Reduce(reduce) => points(axes, &reduce.axes) * (1.0 + operations(&reduce.body, axes)),
        // One element of the result, its share of the whole row.
        Expr::Along(along) => {
            let body = operations(&along.body, axes) + along_operations(along.op, &along.axes, axes);
            body * points(axes, &along.axes) / points(axes, &along.out).max(1.0)
        }
    }
}

/// The operations of a map along axes at one element.
fn along_operations(op: AlongOp, along: &[AxisId], axes: &Axes) -> f64 {
    let length = points(axes, along).max(2.0);
    match op {
        AlongOp::Softmax | AlongOp::LogSoftmax => 4.0,
        AlongOp::Normalize => 3.0,
        AlongOp::CumSum | AlongOp::CumProd => 1.0,
        AlongOp::Dft | AlongOp::Idft => 5.0 * length.log2(),
        AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK => length.log2(),
    }
}

/// What a step costs while the axes of the scans around it are fixed.
fn step_cost(plan: &Plan, step: &Step, fixed: &[AxisId], rates: &Rates) -> StepCost {
    // Loops over single elements, twice as many operations as multiply-adds.
    let loops = |name: String, kind: &'static str, flops: f64, bytes: f64| StepCost {
        name,
        kind,
        flops,
        bytes,
        kernel: "loops",
        seconds: rates.seconds_of_loops(flops / 2.0, bytes),
        alive: 0,
    };
    let named = |buffer: super::BufferId| plan.buffers[buffer].name.clone();
    match step {
        Step::Contract(step) => {
            let mut all: Vec<AxisId> =
                step.a.strides.iter().chain(&step.b.strides).map(|stride| stride.0).collect();
            all.retain(|axis| !fixed.contains(axis));
            all.sort_unstable();
            all.dedup();
            let each = step.dtype.bytes() as f64;
            // A view may count the parts of complex numbers.
            let bytes = |view: &View| {
                let whole = plan.buffers[view.buffer].dtype.bytes() as f64;
                view_elems(plan, view, fixed, whole / each) * each
            };
            let moved: f64 = [&step.a, &step.b, &step.out].map(bytes).iter().sum();
            let again = if step.accumulate { bytes(&step.out) } else { 0.0 };
            let [left, right, result] = [&step.a, &step.b, &step.out].map(|view| bytes(view) / each);
            if let Some(sum) = step.long_sum(&plan.axes, &|axis| fixed.contains(&axis)) {
                let flops = 2.0 * sum.work(&plan.axes);
                let cost = loops(named(step.out.buffer), "contract", flops, moved + again);
                return StepCost { kernel: "transform", ..cost };
            }
            let macs = points(&plan.axes, &all);
            let ready = ready(step, &plan.axes, &|axis| fixed.contains(&axis));
            let taken = step.band.map_or(1.0, |band| band.share(&plan.axes));
            let macs = macs * taken;
            let share = ready.as_ref().map_or(1.0, |ready| ready.share(step.is_square()));
            let shape = StepShape::of(left, right, result, macs * share);
            let kernel = match ready.is_some_and(|ready| ready.transforms_windows()) {
                true => "winograd",
                false => Kernel::of(shape.left_free(), shape.right_free(), shape.contracted()).name(),
            };
            let in_parts = [&step.a, &step.b, &step.out]
                .iter()
                .any(|view| step.counts_parts_of(plan.buffers[view.buffer].dtype));
            StepCost {
                name: named(step.out.buffer),
                kind: "contract",
                // Operations on complex numbers, as everywhere.
                flops: if in_parts { macs } else { 2.0 * macs },
                bytes: moved + again,
                kernel,
                seconds: StepTime::new(rates, step.dtype.bytes() as u64).seconds(&shape),
                alive: 0,
            }
        }
        Step::Nest(step) => {
            let outer = points(&plan.axes, &step.axes);
            let reductions: f64 = step
                .reductions
                .iter()
                .map(|reduction| {
                    let (share, body) = masked(&reduction.body, &reduction.axes, &step.axes, &plan.axes);
                    share * points(&plan.axes, &reduction.axes) * (1.0 + operations(body, &plan.axes))
                })
                .sum();
            let inner = step.reductions.iter().map(|r| points(&plan.axes, &r.axes)).fold(1.0, f64::max);
            loops(
                named(step.out.buffer),
                "nest",
                outer * (operations(&step.value, &plan.axes) + reductions),
                view_bytes(plan, &step.out, fixed) + operand_bytes(plan, &step.operands, outer * inner),
            )
        }
        Step::Along(step) => {
            let rows = points(&plan.axes, &step.rows);
            let length = points(&plan.axes, &step.axes);
            let each = operations(&step.body, &plan.axes) + along_operations(step.op, &step.axes, &plan.axes);
            loops(
                named(step.out.buffer),
                "along",
                rows * length * each,
                view_bytes(plan, &step.out, fixed) + operand_bytes(plan, &step.operands, rows * length),
            )
        }
        Step::Scatter(step) => {
            let (share, value) = masked(&step.value, &step.axes, &step.axes, &plan.axes);
            let outer = share * points(&plan.axes, &step.axes);
            let each = plan.buffers[step.out.buffer].dtype.bytes() as f64;
            loops(
                named(step.out.buffer),
                "scatter",
                outer * (1.0 + operations::<Source>(value, &plan.axes)),
                2.0 * outer * each + operand_bytes(plan, &step.operands, outer),
            )
        }
        Step::Scan(scan) => {
            let times = plan.axes[scan.axis].extent as f64;
            let mut inner = fixed.to_vec();
            inner.push(scan.axis);
            let body: Vec<StepCost> =
                scan.body.iter().map(|step| step_cost(plan, step, &inner, rates)).collect();
            let name = body.last().map_or(String::new(), |step| step.name.clone());
            StepCost {
                name,
                kind: "scan",
                flops: times * body.iter().map(|step| step.flops).sum::<f64>(),
                bytes: times * body.iter().map(|step| step.bytes).sum::<f64>(),
                kernel: body
                    .iter()
                    .map(|step| step.kernel)
                    .find(|&kernel| kernel == "gemm" || kernel == "winograd")
                    .unwrap_or("loops"),
                seconds: times * body.iter().map(|step| step.seconds).sum::<f64>(),
                alive: 0,
            }
        }
    }
}

/// The share of its points at which a masked value is computed, and what is computed there: loops run over ranges only.
///
/// Where the ends of a range are read from memory, the ranges are taken to be those that part the axis: `p[i]` to
/// `p[i + 1]` for all `i` together run over it once.
fn masked<'a>(
    body: &'a Expr<Source>,
    inner: &[AxisId],
    outer: &[AxisId],
    axes: &Axes,
) -> (f64, &'a Expr<Source>) {
    let Expr::Select(parts) = body else { return (1.0, body) };
    let mut list = vec![&parts[0]];
    let mut owners: BTreeSet<AxisId> = BTreeSet::new();
    while let Some(condition) = list.pop() {
        let Expr::Binary(op, a, b) = condition else { continue };
        match op {
            Binary::And => list.extend([&**a, &**b]),
            Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => {
                for (own, other) in [(a, b), (b, a)] {
                    let single =
                        own.affine().is_some_and(|form| form.terms.iter().any(|t| inner.contains(&t.0)));
                    if single && other.affine().is_none() {
                        owners.extend(other.free_axes().into_iter().filter(|axis| outer.contains(axis)));
                    }
                }
            }
            _ => {}
        }
    }
    match owners.is_empty() {
        true => (1.0, body),
        false => (1.0 / points(axes, &owners.into_iter().collect::<Vec<_>>()).max(1.0), &parts[1]),
    }
}

/// The bytes of the elements that a view reaches, without those of a scan's other steps.
fn view_bytes(plan: &Plan, view: &View, fixed: &[AxisId]) -> f64 {
    view_elems(plan, view, fixed, 1.0) * plan.buffers[view.buffer].dtype.bytes() as f64
}

/// The elements of a view, of whose buffer each counts as so many.
fn view_elems(plan: &Plan, view: &View, fixed: &[AxisId], parts: f64) -> f64 {
    let moving = view.strides.iter().filter(|(axis, _)| !fixed.contains(axis));
    let reached = moving.fold(1.0, |n, &(axis, _)| n * plan.axes[axis].extent as f64);
    reached.min(plan.buffers[view.buffer].elems as f64 * parts)
}

/// The bytes of operands that are read at so many points.
fn operand_bytes(plan: &Plan, operands: &[Operand], times: f64) -> f64 {
    operands
        .iter()
        .map(|operand| {
            let buffer = &plan.buffers[operand.buffer];
            let reached = operand.dims.iter().fold(1.0, |n, &(extent, _)| n * extent as f64);
            reached.min(buffer.elems as f64).min(times) * buffer.dtype.bytes() as f64
        })
        .sum()
}

//! What a plan costs, and what a program would cost if it ran as written.
//!
//! Work is counted in operations on elements: an addition, a multiplication, a division, a root and a comparison count
//! one each, so that a multiply-add counts two. Functions such as `exp` are counted apart. Conditions on indices alone, and
//! choosing between two values, are not counted. Moving is counted in bytes that steps read and write, each operand once
//! for each step.

use super::factors::same_along;
use super::product::ready;
use super::search::{Kernel, Rates, StepShape, StepTime};
use super::{Operand, Place, Plan, Source, Step, View, arena};
use crate::expr::{AlongOp, Axes, AxisId, Binary, Expr};
use crate::program::{Program, Statement};
use einc_runtime::DType;
use std::collections::BTreeSet;
use std::iter::Sum;
use std::ops::{Add, Mul};

/// What a plan costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Operations of all steps, without functions.
    pub flops: f64,
    /// Functions such as `exp` that all steps compute.
    pub functions: f64,
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
    /// Its operations, without functions.
    pub flops: f64,
    /// The functions such as `exp` that it computes.
    pub functions: f64,
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
        functions: steps.iter().map(|step| step.functions).sum(),
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

/// The operations of a program that runs as written, without functions: every term at every point of its whole index
/// space.
pub fn flops_as_written(program: &Program) -> f64 {
    let axes = &program.axes;
    let define = |define: &crate::program::Define| {
        points(axes, &define.axes()) * operations(&define.value, axes, None).flops
    };
    program
        .statements
        .iter()
        .map(|statement| match statement {
            Statement::Define(statement) => define(statement),
            Statement::Scatter(scatter) => {
                points(axes, &scatter.axes) * (operations(&scatter.value, axes, None).flops + 1.0)
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
    cost.flops + cost.functions + THIN * thin + FLOPS_PER_BYTE * cost.bytes
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

/// Operations on elements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Work {
    /// Those of arithmetic.
    flops: f64,
    /// Functions such as `exp`.
    functions: f64,
}

impl Work {
    const FUNCTION: Work = Work { flops: 0.0, functions: 1.0 };

    fn flops(flops: f64) -> Work {
        Work { flops, functions: 0.0 }
    }

    fn all(self) -> f64 {
        self.flops + self.functions
    }
}

impl Add for Work {
    type Output = Work;

    fn add(self, other: Work) -> Work {
        Work { flops: self.flops + other.flops, functions: self.functions + other.functions }
    }
}

impl Mul<f64> for Work {
    type Output = Work;

    fn mul(self, times: f64) -> Work {
        Work { flops: self.flops * times, functions: self.functions * times }
    }
}

impl Sum for Work {
    fn sum<I: Iterator<Item = Work>>(parts: I) -> Work {
        parts.fold(Work::default(), Work::add)
    }
}

/// The operations of an expression at one point; factors that are the same along the innermost loop are multiplied once
/// for all of it.
fn operations<S>(expr: &Expr<S>, axes: &Axes, inner: Option<AxisId>) -> Work {
    let own = match expr {
        // Working out where to read is not counted.
        Expr::Const(..) | Expr::Index(_) | Expr::Read(_) => return Work::default(),
        Expr::Reduce(reduce) => {
            return (Work::flops(1.0) + operations(&reduce.body, axes, reduce.axes.last().copied()))
                * points(axes, &reduce.axes);
        }
        // One element of the result, its share of the whole row.
        Expr::Along(along) => {
            let row = operations(&along.body, axes, None) + along_operations(along.op, &along.axes, axes);
            return row * (points(axes, &along.axes) / points(axes, &along.out).max(1.0));
        }
        Expr::Select(_) | Expr::Cast(..) => Work::default(),
        Expr::Unary(op, _) if op.is_function() => Work::FUNCTION,
        Expr::Binary(Binary::Pow, _, exponent) => match exponent.small_exponent() {
            Some(small) => Work::flops((small.ilog2() + small.count_ones() - 1).into()),
            None => Work::FUNCTION,
        },
        Expr::Binary(Binary::Atan2, ..) => Work::FUNCTION,
        Expr::Unary(..) | Expr::Binary(..) => Work::flops(1.0),
        Expr::Sum(list) => Work::flops(list.len() as f64 - 1.0),
        Expr::Product(list) => {
            let saved = inner.map_or(0.0, |axis| {
                let once = same_along(list, axis).saturating_sub(1) as f64;
                once - once / (axes[axis].extent as f64).max(1.0)
            });
            Work::flops(list.len() as f64 - 1.0 - saved)
        }
    };
    // Nor are conditions on indices.
    let mut reads = false;
    if expr.dtype() == DType::Bool {
        expr.for_each_read(&mut |_| reads = true);
        if !reads {
            return Work::default();
        }
    }
    own + expr.parts().into_iter().map(|part| operations(part, axes, inner)).sum()
}

/// The operations of a map along axes at one element.
fn along_operations(op: AlongOp, along: &[AxisId], axes: &Axes) -> Work {
    let length = points(axes, along).max(2.0);
    match op {
        AlongOp::Softmax | AlongOp::LogSoftmax => Work::flops(3.0) + Work::FUNCTION,
        AlongOp::Normalize => Work::flops(3.0),
        AlongOp::CumSum | AlongOp::CumProd => Work::flops(1.0),
        AlongOp::Dft | AlongOp::Idft => Work::flops(5.0 * length.log2()),
        AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK => Work::flops(length.log2()),
    }
}

/// What a step costs while the axes of the scans around it are fixed.
fn step_cost(plan: &Plan, step: &Step, fixed: &[AxisId], rates: &Rates) -> StepCost {
    // Loops over single elements, twice as many operations as multiply-adds.
    let loops = |name: String, kind: &'static str, work: Work, bytes: f64| StepCost {
        name,
        kind,
        flops: work.flops,
        functions: work.functions,
        bytes,
        kernel: "loops",
        seconds: rates.seconds_of_loops(work.all() / 2.0, bytes),
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
                let work = Work::flops(2.0 * sum.work(&plan.axes));
                let cost = loops(named(step.out.buffer), "contract", work, moved + again);
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
                functions: 0.0,
                bytes: moved + again,
                kernel,
                seconds: StepTime::new(rates, step.dtype.bytes() as u64).seconds(&shape),
                alive: 0,
            }
        }
        Step::Nest(step) => {
            let outer = points(&plan.axes, &step.axes);
            let reductions: Work = step
                .reductions
                .iter()
                .map(|reduction| {
                    let (share, body) = masked(&reduction.body, &reduction.axes, &step.axes, &plan.axes);
                    let times = share * points(&plan.axes, &reduction.axes);
                    (Work::flops(1.0) + operations(body, &plan.axes, reduction.axes.last().copied())) * times
                })
                .sum();
            let inner = step.reductions.iter().map(|r| points(&plan.axes, &r.axes)).fold(1.0, f64::max);
            loops(
                named(step.out.buffer),
                "nest",
                (operations(&step.value, &plan.axes, step.axes.last().copied()) + reductions) * outer,
                view_bytes(plan, &step.out, fixed) + operand_bytes(plan, &step.operands, outer * inner),
            )
        }
        Step::Along(step) => {
            let rows = points(&plan.axes, &step.rows);
            let length = points(&plan.axes, &step.axes);
            let each =
                operations(&step.body, &plan.axes, None) + along_operations(step.op, &step.axes, &plan.axes);
            loops(
                named(step.out.buffer),
                "along",
                each * (rows * length),
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
                (Work::flops(1.0) + operations::<Source>(value, &plan.axes, None)) * outer,
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
                functions: times * body.iter().map(|step| step.functions).sum::<f64>(),
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
    let mut owners: BTreeSet<AxisId> = BTreeSet::new();
    for condition in parts[0].conjuncts() {
        let Expr::Binary(Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge, a, b) = condition else {
            continue;
        };
        for (own, other) in [(a, b), (b, a)] {
            let single = own.affine().is_some_and(|form| form.terms.iter().any(|t| inner.contains(&t.0)));
            if single && other.affine().is_none() {
                owners.extend(other.free_axes().into_iter().filter(|axis| outer.contains(axis)));
            }
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

//! Writes small operands of loop nests over many short axes out along the innermost ones, so that these are one axis in
//! every operand.
//!
//! ```text
//! nest[a,b,c,d,e,f] b2[a 32, .., f 1] = o0[a,..,f] * o1[b,d,f]    =>    nest[b,c,d,e,f] b3[b 16, c 8, d 4, e 2, f 1] = o0[b,d,f]
//!                                                                     nest[a,..,f] b2[..] = o0[a,..,f] * o1[b,c,d,e,f]
//! ```
//!
//! Axes of two and three values leave nothing to vectors, and a loop around every element. What is written out is a small
//! part of what the nest writes. Takes time linear in the steps.

use super::joint::by_stride;
use super::lower::row_major;
use super::{Buffer, Nest, Operand, Place, Plan, Source, Step, View};
use crate::expr::{AxisId, Expr, Outside, Read, points};

/// Elements side by side that a loop can be content with.
const ENOUGH: u64 = 16;

/// The most elements side by side that are worth more memory.
const MOST: u64 = 256;

/// How many times as many elements the nest writes as are written out: at least, and for each doubling of a run.
const LESS: u64 = 16;

/// Expands operands in every loop nest of a plan.
pub(super) fn expand(mut plan: Plan) -> Plan {
    plan.steps = expand_steps(std::mem::take(&mut plan.steps), &mut plan);
    plan
}

fn expand_steps(steps: Vec<Step>, plan: &mut Plan) -> Vec<Step> {
    let mut list = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            Step::Nest(mut nest) => {
                if let Some(run) = worth(&nest, plan) {
                    write_out(&mut nest, &run, plan, &mut list);
                }
                list.push(Step::Nest(nest));
            }
            Step::Scan(mut scan) => {
                scan.body = expand_steps(std::mem::take(&mut scan.body), plan);
                list.push(Step::Scan(scan));
            }
            step => list.push(step),
        }
    }
    list
}

/// The innermost axes of the result, outermost first, along which operands are to be written out, and which operands.
struct Run {
    axes: Vec<AxisId>,
    operands: Vec<usize>,
}

fn worth(nest: &Nest, plan: &Plan) -> Option<Run> {
    let axes = &plan.axes;
    if !nest.reductions.is_empty() || nest.wanted.is_some() || nest.value.can_fail() {
        return None;
    }
    let views = (0..nest.operands.len()).map(|k| read_view(nest, k)).collect::<Option<Vec<View>>>()?;
    // The innermost axes that follow each other in the result.
    let mut chain: Vec<AxisId> = Vec::new();
    for axis in by_stride(&nest.axes, &nest.out).into_iter().rev() {
        let run = points(axes, &chain);
        if run >= MOST || nest.out.stride(axis) != i64::try_from(run).ok()? {
            break;
        }
        chain.push(axis);
    }
    let elements = points(axes, &nest.axes);
    // As they are, how many elements every operand has side by side, or has only one of.
    let joined = |view: &View, chain: &[AxisId]| {
        chain.iter().all(|&axis| view.stride(axis) == nest.out.stride(axis))
            || chain.iter().all(|&axis| view.stride(axis) == 0)
    };
    let own = (1..=chain.len()).take_while(|&len| views.iter().all(|view| joined(view, &chain[..len])));
    if points(axes, &chain[..own.last().unwrap_or(0)]) >= ENOUGH {
        return None;
    }
    (1..=chain.len()).rev().find_map(|len| {
        let chain = &chain[..len];
        let run = points(axes, chain);
        let operands: Vec<usize> = (0..views.len()).filter(|&k| !joined(&views[k], chain)).collect();
        let written =
            operands.iter().map(|&k| points(axes, &expanded(&views[k], chain))).fold(0, u64::saturating_add);
        let is_worth = run >= ENOUGH && written.saturating_mul(LESS) <= elements;
        is_worth.then(|| Run { axes: chain.iter().rev().copied().collect(), operands })
    })
}

/// The axes of an operand and the run, in no order.
fn expanded(view: &View, run: &[AxisId]) -> Vec<AxisId> {
    let outer = view.strides.iter().map(|stride| stride.0).filter(|axis| !run.contains(axis));
    outer.chain(run.iter().copied()).collect()
}

/// What a nest reads of an operand, if it is one element at every point, whose indices are different axes.
fn read_view(nest: &Nest, operand: usize) -> Option<View> {
    let mut found = None;
    let mut is_only = true;
    nest.value.for_each_read(&mut |read| {
        if read.source == Source::Operand(operand as u32) {
            is_only &= found.is_none();
            found = Some(read);
        }
    });
    let read = found.filter(|read| is_only && read.outside == Outside::Never)?;
    let Operand { buffer, offset, dims } = &nest.operands[operand];
    let mut strides: Vec<(AxisId, i64)> = Vec::new();
    for (index, &(_, stride)) in read.indices.iter().zip(dims) {
        let Expr::Index(axis) = index else { return None };
        if strides.iter().any(|stride| stride.0 == *axis) {
            return None;
        }
        strides.push((*axis, stride));
    }
    Some(View { buffer: *buffer, offset: *offset, strides })
}

/// Pushes steps that write operands out, and makes the nest read what they write.
fn write_out(nest: &mut Nest, run: &Run, plan: &mut Plan, list: &mut Vec<Step>) {
    for &k in &run.operands {
        let view = read_view(nest, k).expect("it was read before");
        let mut order = by_stride(&nest.axes, &nest.out);
        let all = expanded(&view, &run.axes);
        order.retain(|axis| all.contains(axis) && !run.axes.contains(axis));
        order.extend(&run.axes);
        let old = &plan.buffers[view.buffer];
        let (dtype, name) = (old.dtype, format!("{}.wide", old.name));
        let buffer = plan.buffers.push(Buffer {
            name,
            dtype,
            elems: points(&plan.axes, &order),
            place: Place::Arena(0),
        });
        let dims = row_major(&order.iter().map(|&axis| plan.axes[axis].extent).collect::<Vec<u64>>());
        let strides = order.iter().zip(&dims).map(|(&axis, dim)| (axis, dim.1)).collect();
        let out = View { buffer, offset: 0, strides };
        let wide = Operand { buffer, offset: 0, dims };
        let narrow = std::mem::replace(&mut nest.operands[k], wide);
        let mut value = None;
        redirect(&mut nest.value, k, &order, &mut value);
        list.push(Step::Nest(Nest {
            axes: order,
            operands: vec![narrow],
            reductions: Vec::new(),
            value: value.expect("it was read before"),
            out,
            wanted: None,
            place: nest.place,
        }));
    }
}

/// Makes the read of an operand one with these indices; what it was, as a read of the first operand, goes to `old`.
fn redirect(expr: &mut Expr<Source>, operand: usize, order: &[AxisId], old: &mut Option<Expr<Source>>) {
    if let Expr::Read(read) = expr
        && read.source == Source::Operand(operand as u32)
    {
        *old = Some(Expr::Read(Read { source: Source::Operand(0), ..read.clone() }));
        read.indices = order.iter().map(|&axis| Expr::Index(axis)).collect();
        return;
    }
    expr.parts_mut().into_iter().for_each(|part| redirect(part, operand, order, old));
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_of;
    use super::*;
    use crate::graph::sample::*;
    use einc_runtime::DType;

    /// `X[..] * Y[some] + Z[others]` over axes of such extents; how many operands are written out.
    fn written(dtype: DType, extents: &[u64], y: &[usize], z: &[usize]) -> usize {
        let mut sample = Sample::new(dtype);
        let axes: Vec<AxisId> =
            (0..).zip(extents).map(|(k, &extent)| sample.axis(&format!("a{k}"), extent)).collect();
        let mut operand = |name: &str, places: &[usize]| {
            let shape: Vec<u64> = places.iter().map(|&k| extents[k]).collect();
            let id = sample.input(name, &shape);
            sample.at(id, &places.iter().map(|&k| axes[k]).collect::<Vec<_>>())
        };
        let all: Vec<usize> = (0..extents.len()).collect();
        let (x, y, z) = (operand("X", &all), operand("Y", y), operand("Z", z));
        let out = sample.define("out", &axes, add([mul([x, y]), z]));
        sample.output(out);
        // What the plan computes is compared with the program.
        let plan = plan_of(&sample.program);
        plan.buffers.iter().filter(|(_, buffer)| buffer.name.ends_with(".wide")).count()
    }

    #[test]
    fn operands_with_some_of_the_short_axes_are_written_out() {
        for dtype in [DType::F64, DType::F32, DType::I32] {
            assert_eq!(written(dtype, &[2; 12], &[1, 3, 11], &[0, 10]), 2);
            assert_eq!(written(dtype, &[3, 2, 3, 2, 3, 2, 3, 2, 3], &[8, 1, 6], &[]), 1);
        }
    }

    #[test]
    fn operands_that_vectors_read_stay() {
        // The innermost axes are long enough as they are: all of them, none of them, or one long axis.
        assert_eq!(written(DType::F64, &[2; 12], &[1, 3, 5], &[8, 9, 10, 11]), 0);
        assert_eq!(written(DType::F64, &[2, 2, 2, 2, 2, 2, 2, 2, 2, 32], &[1, 3, 5, 9], &[9]), 0);
        // As large as the result, in another order.
        assert_eq!(written(DType::F64, &[2; 8], &[7, 6, 5, 4, 3, 2, 1, 0], &[]), 0);
        // Written out they would be most of the result.
        assert_eq!(written(DType::F64, &[2; 8], &[0, 1, 2, 3, 4, 6], &[]), 0);
    }
}

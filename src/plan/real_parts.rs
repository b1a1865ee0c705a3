//! Contracts complex tensors with real ones as reals, and computes no imaginary part that nobody reads.
//!
//! ```text
//! nest[b,y] b2[b 8, y 1] = c64(o0[b,y])                        contract b3[b 12, q 2, part 1] =
//! contract b3[b 6, q 1] = b2[b 8, y 1] * b1[q 8, y 1]    =>      b0[b 8, y 1] * b1[q 16, y 2, part 1]
//!
//! contract b3[b 6, q 1] = b2[b 8, y 1] * b1[q 8, y 1]          nest[q,y] b4[q 16, y 1] = real(o0[q,y])
//! nest[b,q] b4[b 6, q 1] = real(o0[b,q])                 =>    nest[q,y] b4+8[q 16, y 1] = -(imag(o0[q,y]))
//!                                                              contract b5[b 6, q 1] =
//!                                                                b2[b 16, y 2, part 1] * b4[q 16, part 8, y 1]
//! ```
//!
//! Both are half of the multiply-adds, and the second stores half of the result. A view of a complex buffer in a
//! contraction of reals counts real and imaginary parts, along an axis of extent 2.
//!
//! Why that is right: `(u + iv) x = ux + i vx` for a real `x`, where the complex product with `x + 0i` also adds
//! `0 u` and `0 v`, which are zeros unless `u` or `v` is infinite or no number; and the real part of
//! `(u + iv) (x + iy)` is `ux - vy`. Takes time quadratic in the steps.

use super::joint::by_stride;
use super::{Buffer, BufferId, Contract, Nest, Operand, Place, Plan, Source, Step, View};
use crate::expr::{Axis, AxisId, Expr, Outside, Read, Unary};

/// How many multiply-adds an element of the table that is written for a real result must have part in.
const USES: u64 = 16;

/// Contracts reals where the other parts of complex numbers are zeros or are not read.
pub(super) fn contract_reals(mut plan: Plan) -> Plan {
    let mut number = 0;
    while number < plan.steps.len() {
        match cast_of(&plan, number).and_then(|cast| with_real_operand(&plan, number, &cast)) {
            Some(other) => plan = other,
            None => number += 1,
        }
    }
    for number in (0..plan.steps.len()).rev() {
        if let Some(other) = with_real_result(&plan, number) {
            plan = other;
        }
    }
    plan
}

/// Calls `visit` on every contraction of a list of steps, with the axes of the scans around.
fn for_each_contract(
    steps: &mut [Step],
    held: &mut Vec<AxisId>,
    visit: &mut dyn FnMut(&mut Contract, &[AxisId]),
) {
    for step in steps {
        match step {
            Step::Contract(contract) => visit(contract, held),
            Step::Scan(scan) => {
                held.push(scan.axis);
                for_each_contract(&mut scan.body, held, visit);
                held.pop();
            }
            Step::Nest(_) | Step::Along(_) | Step::Scatter(_) => {}
        }
    }
}

/// How often steps touch a buffer.
fn uses(steps: &[Step], buffer: BufferId) -> usize {
    let mut count = 0;
    steps.iter().for_each(|step| step.for_each_buffer(&mut |other| count += usize::from(other == buffer)));
    count
}

/// Whether a step writes a buffer.
fn writes(step: &Step, buffer: BufferId) -> bool {
    let mut found = false;
    step.for_each_result(&mut |other| found |= other == buffer);
    found
}

/// Real values that a step makes complex: where they lie, and the buffer that it writes, with as many elements in between.
struct Cast {
    from: BufferId,
    to: BufferId,
    ahead: i64,
}

/// The cast that a step is, if it keeps the layout.
fn cast_of(plan: &Plan, number: usize) -> Option<Cast> {
    let Step::Nest(Nest { operands, reductions, value: Expr::Cast(dtype, inner), out, .. }) =
        &plan.steps[number]
    else {
        return None;
    };
    let (Expr::Read(read), [operand], []) = (&**inner, &operands[..], &reductions[..]) else { return None };
    let keeps = |(index, &(extent, stride)): (&Expr<Source>, &(u64, i64))| match index {
        Expr::Index(axis) => plan.axes[*axis].extent == extent && out.stride(*axis) == stride,
        _ => false,
    };
    let is_plain = read.outside == Outside::Never
        && read.indices.len() == out.strides.len()
        && read.indices.iter().zip(&operand.dims).all(keeps);
    let dtypes = dtype.is_complex() && plan.buffers[operand.buffer].dtype == dtype.real_part();
    let own = matches!(plan.buffers[out.buffer].place, Place::Arena(_));
    let stays = plan.steps[number..].iter().all(|step| !writes(step, operand.buffer));
    (is_plain && dtypes && own && stays).then_some(Cast {
        from: operand.buffer,
        to: out.buffer,
        ahead: operand.offset - out.offset,
    })
}

/// The plan without that cast, if all of its readers are contractions with complex tensors.
fn with_real_operand(plan: &Plan, number: usize, cast: &Cast) -> Option<Plan> {
    let mut plan = plan.clone();
    plan.steps.remove(number);
    let readers = uses(&plan.steps, cast.to);
    let mut steps = std::mem::take(&mut plan.steps);
    let (mut made, mut results) = (0, Vec::new());
    for_each_contract(&mut steps, &mut Vec::new(), &mut |contract, held| {
        if [contract.a.buffer, contract.b.buffer] == [cast.to; 2] {
            return;
        }
        if let Some(other) = real_operand(&mut plan, contract, cast, held) {
            *contract = other;
            made += 1;
            let complex = if contract.a.buffer == cast.from { &contract.b } else { &contract.a };
            let own =
                complex.strides.iter().map(|stride| stride.0).filter(|&axis| contract.out.stride(axis) != 0);
            results.push((contract.out.buffer, own.collect::<Vec<_>>()));
        }
    });
    plan.steps = steps;
    if made == 0 || made != readers {
        return None;
    }
    for (buffer, inner) in results {
        lay_inside(&mut plan, buffer, &inner);
    }
    Some(plan)
}

/// Lays a value that only contractions touch anew, with those axes innermost: they lie beside the parts then.
fn lay_inside(plan: &mut Plan, buffer: BufferId, inner: &[AxisId]) {
    let all = uses(&plan.steps, buffer);
    let mut steps = std::mem::take(&mut plan.steps);
    let mut views: Vec<Vec<(AxisId, i64)>> = Vec::new();
    let mut starts = true;
    for_each_contract(&mut steps, &mut Vec::new(), &mut |contract, _| {
        let scale = if contract.dtype.is_complex() { 1 } else { 2 };
        for view in [&contract.a, &contract.b, &contract.out].into_iter().filter(|view| view.buffer == buffer)
        {
            let whole = view.strides.iter().filter(|stride| stride.1 >= scale);
            let mut whole: Vec<(AxisId, i64)> = whole.map(|&(axis, stride)| (axis, stride / scale)).collect();
            whole.sort_unstable();
            starts &= view.offset == 0;
            views.push(whole);
        }
    });
    let of = |plan: &Plan, order: &[AxisId]| -> Option<Vec<(AxisId, i64)>> {
        let mut stride = 1i64;
        let mut strides = Vec::new();
        for &axis in order.iter().rev() {
            strides.push((axis, stride));
            stride = stride.checked_mul(i64::try_from(plan.axes[axis].extent).ok()?)?;
        }
        strides.sort_unstable();
        (u64::try_from(stride).ok()? == plan.buffers[buffer].elems).then_some(strides)
    };
    let same = views.iter().all(|view| *view == views[0]) && views.len() == all && starts;
    if let (true, Some(view), Place::Arena(_)) = (same, views.first(), &plan.buffers[buffer].place) {
        let mut order: Vec<AxisId> = view.iter().map(|stride| stride.0).collect();
        let stride = |axis: AxisId| view.iter().find(|stride| stride.0 == axis).map_or(0, |stride| stride.1);
        order.sort_by_key(|&axis| std::cmp::Reverse(stride(axis)));
        let dense = of(plan, &order).is_some_and(|strides| strides == *view);
        order.sort_by_key(|axis| inner.contains(axis));
        if let (true, Some(strides)) = (dense, of(plan, &order)) {
            for_each_contract(&mut steps, &mut Vec::new(), &mut |contract, _| {
                let scale = if contract.dtype.is_complex() { 1 } else { 2 };
                for view in [&mut contract.a, &mut contract.b, &mut contract.out] {
                    for own in view.strides.iter_mut().filter(|_| view.buffer == buffer) {
                        if let Some(known) = strides.iter().find(|known| known.0 == own.0) {
                            own.1 = known.1 * scale;
                        }
                    }
                }
            });
        }
    }
    plan.steps = steps;
}

/// The contraction with the real values in place of the complex ones.
fn real_operand(plan: &mut Plan, contract: &Contract, cast: &Cast, held: &[AxisId]) -> Option<Contract> {
    let mut other = contract.clone();
    let real = [&mut other.a, &mut other.b].into_iter().find(|view| view.buffer == cast.to)?;
    real.buffer = cast.from;
    real.offset = real.offset.checked_add(cast.ahead)?;
    if !contract.dtype.is_complex() {
        return None;
    }
    let part = plan.axes.push(Axis { name: "part".to_string(), extent: 2 });
    for view in [&mut other.a, &mut other.b, &mut other.out] {
        if view.buffer != cast.from {
            *view = in_parts(view, part)?;
        }
    }
    other.dtype = contract.dtype.real_part();
    is_product(plan, &other, held).then_some(other)
}

/// A view that counts real and imaginary parts.
fn in_parts(view: &View, part: AxisId) -> Option<View> {
    let twice = |&(axis, stride): &(AxisId, i64)| Some((axis, stride.checked_mul(2)?));
    let mut strides = view.strides.iter().map(twice).collect::<Option<Vec<_>>>()?;
    strides.push((part, 1));
    Some(View { buffer: view.buffer, offset: view.offset.checked_mul(2)?, strides })
}

/// Whether a contraction is a product of matrices of the library.
pub(super) fn is_product(plan: &Plan, contract: &Contract, held: &[AxisId]) -> bool {
    let is_held = |axis: AxisId| held.contains(&axis);
    let (free, summed) = contract.free_and_summed(&is_held);
    contract.long_sum(&plan.axes, &is_held).is_none()
        && contract.product(&plan.axes, (&free, &summed)).is_some()
}

/// The plan in which the contraction of that number gives its real part alone, if nothing else is read.
fn with_real_result(plan: &Plan, number: usize) -> Option<Plan> {
    let Step::Contract(contract) = &plan.steps[number] else { return None };
    let old = contract.out.buffer;
    let is_own = matches!(plan.buffers[old].place, Place::Arena(_)) && !contract.accumulate;
    let reader = plan.steps.iter().rposition(
        |step| matches!(step, Step::Nest(nest) if nest.operands.iter().any(|o| o.buffer == old)),
    )?;
    if !is_own || !contract.dtype.is_complex() || uses(&plan.steps, old) != 2 || reader < number {
        return None;
    }
    let dtype = contract.dtype.real_part();
    let mut plan = plan.clone();
    let mut contract = contract.clone();
    let (name, elems) = (plan.buffers[old].name.clone(), plan.buffers[old].elems);
    let new = plan.buffers.push(Buffer { name, dtype, elems, place: Place::Arena(0) });
    let Step::Nest(nest) = &mut plan.steps[reader] else { return None };
    let operand = nest.operands.iter().position(|operand| operand.buffer == old)?;
    let source = Source::Operand(operand as u32);
    let bodies = nest.reductions.iter_mut().map(|reduction| &mut reduction.body);
    if !bodies.chain([&mut nest.value]).all(|expr| read_as_real(expr, source)) {
        return None;
    }
    nest.operands[operand].buffer = new;
    contract.out.buffer = new;
    let points = |view: &View| {
        view.strides.iter().fold(1u64, |n, &(axis, _)| n.saturating_mul(plan.axes[axis].extent))
    };
    let all = {
        let (free, summed) = contract.free_and_summed(&|_| false);
        free.iter().chain(&summed).fold(1u64, |n, &axis| n.saturating_mul(plan.axes[axis].extent))
    };
    let first = points(&contract.a) <= points(&contract.b);
    let small = if first { contract.a.clone() } else { contract.b.clone() };
    let large = if first { contract.b.clone() } else { contract.a.clone() };
    if points(&small).saturating_mul(USES) > all {
        return None;
    }
    let part = plan.axes.push(Axis { name: "part".to_string(), extent: 2 });
    let order = by_stride(small.strides.iter().map(|stride| &stride.0), &small);
    let (table, nests) = signed_parts(&mut plan, &contract, &small, (&order, part))?;
    let large = in_parts(&large, part)?;
    (contract.a, contract.b) = if first { (table, large) } else { (large, table) };
    contract.dtype = dtype;
    if !is_product(&plan, &contract, &[]) {
        return None;
    }
    plan.steps[number] = Step::Contract(contract);
    plan.steps.splice(number..number, nests);
    Some(plan)
}

/// Makes an expression read an operand that holds the real parts alone; false where it reads more of it.
fn read_as_real(expr: &mut Expr<Source>, source: Source) -> bool {
    if let Expr::Unary(Unary::Real, inner) = expr
        && let Expr::Read(read) = &mut **inner
        && read.source == source
        && read.outside == Outside::Never
    {
        let dtype = read.dtype.real_part();
        *expr = Expr::Read(Read { dtype, ..read.clone() });
    }
    if let Expr::Read(read) = expr
        && read.source == source
    {
        return !read.dtype.is_complex() && read.indices.iter_mut().all(|index| read_as_real(index, source));
    }
    expr.parts_mut().into_iter().all(|part| read_as_real(part, source))
}

/// A table of the real parts and the negated imaginary parts of an operand, and the steps that write it.
fn signed_parts(
    plan: &mut Plan,
    contract: &Contract,
    from: &View,
    (order, part): (&[AxisId], AxisId),
) -> Option<(View, [Step; 2])> {
    let dtype = contract.dtype.real_part();
    // The parts lie around the innermost axis, so that its elements stay side by side.
    let (inner, outer) = order.split_last()?;
    let (mut stride, mut strides) = (1i64, Vec::new());
    for &axis in [*inner, part].iter().chain(outer.iter().rev()) {
        strides.push((axis, stride));
        stride = stride.checked_mul(i64::try_from(plan.axes[axis].extent).ok()?)?;
    }
    let name = format!("{}.parts", plan.buffers[contract.out.buffer].name);
    let elems = u64::try_from(stride).ok()?;
    let buffer = plan.buffers.push(Buffer { name, dtype, elems, place: Place::Arena(0) });
    let table = View { buffer, offset: 0, strides };
    let dims = order.iter().map(|&axis| (plan.axes[axis].extent, from.stride(axis))).collect();
    let operand = Operand { buffer: from.buffer, offset: from.offset, dims };
    let read = Expr::Read(Read {
        source: Source::Operand(0),
        dtype: contract.dtype,
        indices: order.iter().map(|&axis| Expr::Index(axis)).collect(),
        outside: Outside::Never,
        place: contract.place,
    });
    let step = |offset: i64, value: Expr<Source>| {
        let strides = table.strides.iter().copied().filter(|stride| stride.0 != part).collect();
        Step::Nest(Nest {
            axes: order.to_vec(),
            operands: vec![operand.clone()],
            reductions: Vec::new(),
            value,
            out: View { buffer, offset, strides },
            wanted: None,
            place: contract.place,
        })
    };
    let real = step(0, Expr::Unary(Unary::Real, Box::new(read.clone())));
    let imaginary = Expr::Unary(Unary::Imag, Box::new(read));
    let imaginary = step(table.stride(part), Expr::Unary(Unary::Neg, Box::new(imaginary)));
    Some((table, [real, imaginary]))
}

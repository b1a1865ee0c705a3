//! Leaves out of matrix products, and of loop nests behind them, what only a condition would read where it does not hold.
//!
//! ```text
//! contract b2[b 600, t 4, e 1, f 9] = ..             nest[b,t,e] b4[b 30, t 3, e 1] = (o0[b,t,e] != 0)
//! nest[b,t,e,f] b6[..] = gelu(o0[b,t,e,f])           contract b2[b 600, ..] = .. where b4[b 30, t 3, e 1]
//! contract b3[b 90, t 3, e 1] = b6[..] * ..     =>   nest[b,t,e,f] b6[..] = gelu(o0[b,t,e,f]) where b4[..]
//! nest[b,t] b5[b 30, t 1] = r0                       contract b3[..] = b6[..] * .. where b4[..]
//!   r0 = sum[e](select(o1[b,t,e] != 0, o2[b,t,e], 0))  ..
//! ```
//!
//! It is safe where every read of a value is under one condition on its indices, or makes an element of a value that is
//! read so: where the condition does not hold, nothing that is read depends on what is left out. The condition itself is
//! read from values that are there before. Takes time quadratic in the steps.

use super::lower::row_major;
use super::real_parts::is_product;
use super::{Buffer, BufferId, Contract, Nest, Operand, Place, Plan, Source, Step, View};
use crate::expr::{AxisId, Expr, points};

/// How many multiply-adds there must be for each value of a condition: fewer are soon done.
const LEAST_WORK: u64 = 512;

/// How many elements of a loop nest there must be for each.
const LEAST_ROW: u64 = 16;

/// Which elements of a value are read: those where a condition of a nest holds.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    /// The step that has the condition.
    nest: usize,
    condition: Expr<Source>,
    /// For each axis of the condition its stride in the value.
    strides: Vec<(AxisId, i64)>,
}

/// Makes contractions compute only what is wanted of them.
pub(super) fn choose(mut plan: Plan) -> Plan {
    // What is computed first for each condition.
    let mut found: Vec<(Choice, Vec<(usize, View)>)> = Vec::new();
    for number in 0..plan.steps.len() {
        let Step::Contract(contract) = &plan.steps[number] else { continue };
        let Some(choice) = worth(&plan, contract, number) else { continue };
        let Some(axes) = placed(&plan, &choice, &contract.out) else { continue };
        let same =
            |known: &(Choice, _)| (known.0.nest, &known.0.condition) == (choice.nest, &choice.condition);
        // The place in the mask is that of the condition's axes, in their order.
        let view = View { buffer: contract.out.buffer, offset: 0, strides: axes };
        match found.iter_mut().find(|known| same(known)) {
            Some(known) => known.1.push((number, view)),
            None => found.push((choice, vec![(number, view)])),
        }
    }
    // Functions of what is left out are left out too.
    for number in 0..plan.steps.len() {
        let Step::Nest(nest) = &plan.steps[number] else { continue };
        let elems = points(&plan.axes, &nest.axes);
        // What may end the program is computed.
        let is_own = nest.reductions.is_empty()
            && !nest.value.can_fail()
            && plan.buffers[nest.out.buffer].dtype.is_float();
        let Some(choice) = wanted(&plan, nest.out.buffer, number).filter(|_| is_own) else { continue };
        let Some(axes) = placed(&plan, &choice, &nest.out) else { continue };
        let rows = points(&plan.axes, axes.iter().map(|(axis, _)| axis));
        let known = found.iter_mut().find(|(known, readers)| {
            (known.nest, &known.condition) == (choice.nest, &choice.condition)
                && readers.iter().any(|reader| reader.0 < number)
        });
        if let Some(known) = known.filter(|_| elems / rows.max(1) >= LEAST_ROW) {
            known.1.push((number, View { buffer: nest.out.buffer, offset: 0, strides: axes }));
        }
    }
    let mut masks: Vec<(usize, Step)> = Vec::new();
    for (choice, readers) in found {
        let Step::Nest(nest) = &plan.steps[choice.nest] else { continue };
        let axes: Vec<AxisId> = choice.strides.iter().map(|term| term.0).collect();
        let (operands, place) = (nest.operands.clone(), nest.place);
        let elems = points(&plan.axes, &axes);
        let name = format!("{}.wanted", plan.buffers[nest.out.buffer].name);
        let dtype = einc_runtime::DType::Bool;
        let mask = plan.buffers.push(Buffer { name, dtype, elems, place: Place::Arena(0) });
        let out = View { buffer: mask, offset: 0, strides: strides(&plan, &axes) };
        let first = readers.iter().map(|reader| reader.0).min().unwrap_or(0);
        for (number, view) in readers {
            let view = Some(View { buffer: mask, ..view });
            match &mut plan.steps[number] {
                Step::Contract(contract) => contract.wanted = view,
                Step::Nest(nest) => nest.wanted = view,
                _ => {}
            }
        }
        let mut operands = operands;
        let value = compact(&choice.condition, &mut operands);
        let nest = Nest { axes, operands, reductions: Vec::new(), value, out, wanted: None, place };
        masks.push((first, Step::Nest(nest)));
    }
    masks.sort_by_key(|mask| mask.0);
    for (at, mask) in masks.into_iter().rev() {
        plan.steps.insert(at, mask);
    }
    plan
}

/// A condition with no more operands than it reads.
fn compact(condition: &Expr<Source>, operands: &mut Vec<Operand>) -> Expr<Source> {
    let all = std::mem::take(operands);
    condition.map_reads(&mut |read, indices, outside| {
        let mut read = read.clone();
        if let Source::Operand(number) = read.source {
            let operand = &all[number as usize];
            let at = operands.iter().position(|known| known == operand).unwrap_or_else(|| {
                operands.push(operand.clone());
                operands.len() - 1
            });
            read.source = Source::Operand(at as u32);
        }
        Expr::Read(crate::expr::Read { indices, outside, ..read })
    })
}

/// The strides of axes that lie one inside the other.
fn strides(plan: &Plan, axes: &[AxisId]) -> Vec<(AxisId, i64)> {
    let shape: Vec<u64> = axes.iter().map(|&axis| plan.axes[axis].extent).collect();
    axes.iter().copied().zip(row_major(&shape).into_iter().map(|(_, stride)| stride)).collect()
}

/// What is wanted of a contraction, if to leave the rest out is worth it.
fn worth(plan: &Plan, contract: &Contract, number: usize) -> Option<Choice> {
    let own = matches!(plan.buffers[contract.out.buffer].place, Place::Arena(_)) && !contract.accumulate;
    let whole = contract.dtype == plan.buffers[contract.out.buffer].dtype;
    if !own || !whole || !contract.dtype.is_float() || !is_product(plan, contract, &[]) {
        return None;
    }
    let choice = wanted(plan, contract.out.buffer, number)?;
    let (free, summed) = contract.free_and_summed(&|_| false);
    let chosen: Vec<AxisId> = choice.strides.iter().map(|term| term.0).collect();
    let each = points(&plan.axes, &free) / points(&plan.axes, &chosen).max(1);
    // It is known before the contraction.
    let Step::Nest(nest) = &plan.steps[choice.nest] else { return None };
    let mut known = true;
    choice.condition.for_each_read(&mut |read| match read.source {
        Source::Operand(operand) => {
            let buffer = nest.operands[operand as usize].buffer;
            known &= plan.steps[number..].iter().all(|step| {
                let mut writes = false;
                step.for_each_result(&mut |other| writes |= other == buffer);
                !writes
            });
        }
        Source::Reduced(_) => known = false,
    });
    (known && each.saturating_mul(points(&plan.axes, &summed)) >= LEAST_WORK).then_some(choice)
}

/// The elements of a buffer that later steps read, if a condition says so; only the step of that number writes it.
fn wanted(plan: &Plan, buffer: BufferId, writer: usize) -> Option<Choice> {
    if !matches!(plan.buffers[buffer].place, Place::Arena(_)) {
        return None;
    }
    let mut found: Option<Choice> = None;
    for (number, step) in plan.steps.iter().enumerate() {
        let mut touches = false;
        step.for_each_buffer(&mut |other| touches |= other == buffer);
        if !touches || number == writer {
            continue;
        }
        let choice = if number > writer { of_reader(plan, step, number, buffer)? } else { return None };
        if found.as_ref().is_some_and(|known| *known != choice) {
            return None;
        }
        found = Some(choice);
    }
    found
}

/// What a step reads of a buffer.
fn of_reader(plan: &Plan, step: &Step, number: usize, buffer: BufferId) -> Option<Choice> {
    match step {
        Step::Contract(contract) => {
            if contract.out.buffer == buffer || contract.accumulate {
                return None;
            }
            let choice = wanted(plan, contract.out.buffer, number)?;
            let axes = placed(plan, &choice, &contract.out)?;
            let views = [&contract.a, &contract.b];
            let view = views.into_iter().find(|view| view.buffer == buffer)?;
            let both = contract.a.buffer == contract.b.buffer;
            if both || view.offset != 0 {
                return None;
            }
            through(&choice, &axes, view)
        }
        Step::Nest(nest) => {
            if nest.out.buffer == buffer {
                return None;
            }
            if let Some(choice) = under_condition(nest, number, buffer) {
                return Some(choice);
            }
            if !nest.reductions.is_empty() {
                return None;
            }
            let choice = wanted(plan, nest.out.buffer, number)?;
            let axes = placed(plan, &choice, &nest.out)?;
            let view = read_of(nest, &nest.value, buffer)?;
            through(&choice, &axes, &view)
        }
        Step::Along(_) | Step::Scatter(_) | Step::Scan(_) => None,
    }
}

/// For each axis of the condition, in its order, the axis of a view that has its stride, with the stride of the mask; `None`
/// where the view has no such axis.
fn placed(plan: &Plan, choice: &Choice, out: &View) -> Option<Vec<(AxisId, i64)>> {
    if out.offset != 0 {
        return None;
    }
    let axes: Vec<AxisId> = choice.strides.iter().map(|term| term.0).collect();
    let mask = strides(plan, &axes);
    let find = |(&(axis, stride), &(_, by)): (&(AxisId, i64), &(AxisId, i64))| {
        let extent = plan.axes[axis].extent;
        let mut fitting =
            out.strides.iter().filter(|term| term.1 == stride && plan.axes[term.0].extent == extent);
        match (fitting.next(), fitting.next()) {
            (Some(&(own, _)), None) => Some((own, by)),
            _ => None,
        }
    };
    choice.strides.iter().zip(&mask).map(find).collect()
}

/// The choice of a value that a view reads, the result's being known: `axes` are those of the step, in the order of the
/// condition's.
fn through(choice: &Choice, axes: &[(AxisId, i64)], view: &View) -> Option<Choice> {
    let strides = choice.strides.iter().zip(axes).map(|(&(axis, _), &(own, _))| {
        let by = view.stride(own);
        (by != 0).then_some((axis, by))
    });
    Some(Choice { strides: strides.collect::<Option<Vec<_>>>()?, ..choice.clone() })
}

/// The one way in which an expression reads a buffer, as a view over its axes.
fn read_of(nest: &Nest, expr: &Expr<Source>, buffer: BufferId) -> Option<View> {
    let mut views: Vec<Option<View>> = Vec::new();
    expr.for_each_read(&mut |read| {
        let Source::Operand(number) = read.source else { return };
        let operand = &nest.operands[number as usize];
        if operand.buffer != buffer {
            return;
        }
        views.push(operand.view(read).filter(|view| view.offset == 0));
    });
    let first = views.first()?.clone()?;
    views.iter().all(|view| view.as_ref() == Some(&first)).then_some(first)
}

/// The choice of a nest whose reads of a buffer are all under one condition.
fn under_condition(nest: &Nest, number: usize, buffer: BufferId) -> Option<Choice> {
    let is_read = |expr: &Expr<Source>| {
        let mut read = false;
        expr.for_each_read(&mut |other| {
            read |=
                matches!(other.source, Source::Operand(at) if nest.operands[at as usize].buffer == buffer);
        });
        read
    };
    let bodies = nest.reductions.iter().map(|reduction| &reduction.body).chain([&nest.value]);
    let mut choices = Vec::new();
    for body in bodies.filter(|body| is_read(body)) {
        let Expr::Select(parts) = body else { return None };
        if is_read(&parts[0]) || is_read(&parts[2]) {
            return None;
        }
        let view = read_of(nest, &parts[1], buffer)?;
        let condition = parts[0].clone();
        let axes = condition.free_axes();
        let strides = axes.into_iter().map(|axis| {
            let by = view.stride(axis);
            (by != 0).then_some((axis, by))
        });
        let strides = strides.collect::<Option<Vec<_>>>()?;
        choices.push(Choice { nest: number, condition, strides });
    }
    let first = choices.first()?.clone();
    let plain = !first.strides.is_empty() && !first.condition.can_fail();
    (plain && choices.iter().all(|choice| *choice == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan_of;
    use super::*;
    use crate::expr::{Binary, Unary};
    use crate::graph::sample::*;
    use einc_runtime::DType;

    /// How many contractions of `y[t,d] = sum[e where c](m[t,e] * sum[f](V[e,f,d] * tanh(sum[d](W[e,d,f] * x[t,d]))))` leave
    /// something out, and how many there are; the plan computes what the program does, whatever stands where nothing is
    /// wanted.
    fn left_out(
        condition: impl Fn(&Sample, [AxisId; 2], [crate::program::TensorId; 2]) -> E,
        kept: bool,
    ) -> (usize, usize) {
        let mut s = Sample::new(DType::F64);
        let (t, e, f) = (s.axis("t", 9), s.axis("e", 3), s.axis("f", 24));
        let (d, c) = (s.axis("d", 24), s.axis("c", 24));
        let (x, m) = (s.input("x", &[9, 24]), s.input("m", &[9, 3]));
        let (w, v) = (s.input("W", &[3, 24, 24]), s.input("V", &[3, 24, 24]));
        let h = unary(Unary::Tanh, sum(&[d], mul([s.at(w, &[e, d, f]), s.at(x, &[t, d])])));
        let h = s.define("h", &[t, e, f], h);
        let inner = sum(&[f], mul([s.at(v, &[e, f, c]), s.at(h, &[t, e, f])]));
        let choice = condition(&s, [t, e], [m, h]);
        let parts = [choice, mul([s.at(m, &[t, e]), inner]), Expr::number(0.0, DType::F64)];
        let y = s.define("y", &[t, c], sum(&[e], Expr::Select(Box::new(parts))));
        s.output(y);
        if kept {
            s.output(h);
        }
        let plan = plan_of(&s.program);
        let nests =
            plan.steps.iter().filter(|step| matches!(step, Step::Nest(nest) if nest.wanted.is_some()));
        let nests = nests.count();
        let contracts = plan.steps.iter().filter_map(|step| match step {
            Step::Contract(contract) => Some(contract.wanted.is_some()),
            _ => None,
        });
        let list: Vec<bool> = contracts.collect();
        let count = list.iter().filter(|&&wanted| wanted).count();
        assert_eq!(nests, usize::from(count == 2), "the function of what is left out is too: {plan}");
        (count, list.len())
    }

    #[test]
    fn products_under_a_condition_are_computed_where_it_holds() {
        let zero = || Expr::number(0.0, DType::F64);
        let chosen =
            |s: &Sample, [t, e]: [AxisId; 2], [m, _]: [_; 2]| binary(Binary::Ne, s.at(m, &[t, e]), zero());
        assert_eq!(left_out(chosen, false), (2, 2));
        // The caller reads `h` where it is not under the condition.
        assert_eq!(left_out(chosen, true), (1, 2));
        // A condition on one index, on indices alone, and one that needs the value itself.
        assert_eq!(left_out(|s, [_, e], [m, _]| binary(Binary::Gt, s.at(m, &[e, e]), zero()), false), (2, 2));
        assert_eq!(left_out(|_, [t, e], _| binary(Binary::Lt, ix(t), ix(e)), false), (2, 2));
        let own =
            |s: &Sample, [t, e]: [AxisId; 2], [_, h]: [_; 2]| binary(Binary::Gt, s.at(h, &[t, e, e]), zero());
        assert_eq!(left_out(own, false), (1, 2));
    }
}

//! Adds up what is computed from a batch of products one product at a time, so that only one of them exists at once.
//!
//! ```text
//! contract b2[n 64, i 8, j 1] =                    scan[n] {
//!     b0[n 40, i 5, t 1] * b1[n 40, j 5, t 1]        contract b2[i 8, j 1] = b0[n 40, i 5, t 1] * b1[n 40, j 5, t 1]
//! nest[i,j] b3[i 8, j 1] = r0 / 9           =>       nest[i,j] b3[i 8, j 1] = select(n > 0, o1[i,j], 0) + o0[i,j] ** 2
//!   r0 = sum[n](o0[n,i,j] ** 2)                    }
//!                                                  nest[i,j] b3[i 8, j 1] = o0[i,j] / 9
//! ```
//!
//! For sums that no cache holds: a product of the batch is read while it is near, and is written over. The terms of each sum
//! are added in the same order. Takes time linear in the steps for each such sum.

use super::{BufferId, Contract, Nest, Operand, Place, Plan, Reduction, ScanStep, Source, Step, View};
use crate::expr::{Axes, AxisId, Binary, Expr, Outside, Read, ReduceOp};
use crate::source::Span;
use einc_runtime::{DType, Scalar};
use std::collections::BTreeSet;

/// Products of so many bytes together are in no cache of a core's own.
pub(super) const FAR: u64 = 4 << 20;

/// How many times as large as the sums the products together must be: sums are read and written once for each.
const WORTH: u64 = 8;

/// Adds up batches of products one by one, if they take so many bytes and far more than their sum.
pub(super) fn add_one_by_one(mut plan: Plan, far: u64) -> Plan {
    let mut at = 0;
    while at + 1 < plan.steps.len() {
        if let Some(steps) = split(&plan, at, far) {
            let count = steps.list.len();
            plan.buffers[steps.products].elems /= plan.axes[steps.batch].extent;
            plan.steps.splice(at..at + 2, steps.list);
            at += count;
        } else {
            at += 1;
        }
    }
    plan
}

/// What takes the place of a contraction and of the nest behind it.
struct Split {
    list: Vec<Step>,
    /// What holds the products, and the axis that counts them.
    products: BufferId,
    batch: AxisId,
}

/// The step at a place and the next one as a scan, if the next one alone reads what the step writes and adds it up.
fn split(plan: &Plan, at: usize, far: u64) -> Option<Split> {
    let [Step::Contract(contract), Step::Nest(nest)] = &plan.steps[at..at + 2] else { return None };
    let products = contract.out.buffer;
    let buffer = &plan.buffers[products];
    let is_whole = matches!(buffer.place, Place::Arena(_)) && contract.out.offset == 0;
    let is_plain = !contract.accumulate && contract.wanted.is_none() && contract.band.is_none();
    let is_long = contract.long_sum(&plan.axes, &|_| false).is_some();
    let [Reduction { op: ReduceOp::Sum, axes, body }] = &nest.reductions[..] else { return None };
    let (&[summed], None) = (&axes[..], &nest.wanted) else { return None };
    let sums = &plan.buffers[nest.out.buffer];
    let is_alone = nest.operands.iter().all(|operand| operand.buffer != nest.out.buffer);
    let of_sums = matches!(sums.dtype, DType::F32 | DType::F64) && sums.dtype == body.dtype();
    if !is_whole || !is_plain || is_long || !is_alone || !of_sums || body.can_fail() {
        return None;
    }
    let extent = plan.axes[summed].extent;
    if buffer.bytes() < far || extent < 2 || buffer.bytes() / WORTH < sums.bytes() {
        return None;
    }
    // Products lie one behind the other.
    let by = i64::try_from(buffer.elems / extent).ok()?;
    let batch = contract.out.strides.iter().find(|term| **term == (term.0, by))?.0;
    let counts_them = plan.axes[batch].extent == extent && buffer.elems.is_multiple_of(extent);
    let number = nest.operands.iter().position(|operand| operand.buffer == products)?;
    let dim = nest.operands[number].dims.iter().position(|&dim| dim == (extent, by))?;
    if !counts_them || nest.axes.contains(&batch) || nest.operands[number].offset != 0 {
        return None;
    }
    let mut touched = 0;
    plan.steps.iter().for_each(|step| step.for_each_buffer(&mut |id| touched += usize::from(id == products)));
    if touched != 2 {
        return None;
    }
    let fold = Fold { nest, number: number as u32, dim, summed, batch };
    let (product, sum) = (fold.product(contract), fold.sum(body, &plan.axes)?);
    let scan = Step::Scan(ScanStep {
        axis: batch,
        reversed: false,
        apart: false,
        shared: None,
        body: vec![product, sum],
        place: nest.place,
    });
    let list = [scan].into_iter().chain(fold.rest(&plan.axes)).collect();
    Some(Split { list, products, batch })
}

/// The parts of a nest that adds up products.
struct Fold<'a> {
    nest: &'a Nest,
    /// Its operand that holds the products, and the dim of it that counts them.
    number: u32,
    dim: usize,
    /// The axis that it sums over, and the contraction's axis that becomes the scan's.
    summed: AxisId,
    batch: AxisId,
}

impl Fold<'_> {
    /// The contraction of one product.
    fn product(&self, contract: &Contract) -> Step {
        let mut contract = contract.clone();
        contract.out.strides.retain(|term| term.0 != self.batch);
        Step::Contract(contract)
    }

    /// The nest that adds what one product gives to the sums; `None` where it reads several at once.
    fn sum(&self, body: &Expr<Source>, axes: &Axes) -> Option<Step> {
        let mut nest = self.nest.clone();
        let mut one = body.clone();
        self.at_one(&mut one)?;
        nest.operands[self.number as usize].dims.remove(self.dim);
        let before = self.sums(nest.operands.len(), body.dtype());
        nest.operands.push(view_operand(&nest.out, &nest.axes, axes));
        let is_later = Expr::Binary(Binary::Gt, Box::new(Expr::Index(self.batch)), Box::new(Expr::int(0)));
        let zero = Expr::Const(Scalar::Real(0.0), body.dtype());
        nest.value = Expr::Sum(vec![Expr::Select(Box::new([is_later, before, zero])), one]);
        nest.reductions.clear();
        keep_read(&mut nest);
        Some(Step::Nest(nest))
    }

    /// What is computed from the sums, if they are not the result themselves.
    fn rest(&self, axes: &Axes) -> Option<Step> {
        let mut nest = self.nest.clone();
        if matches!(&nest.value, Expr::Read(read) if read.source == Source::Reduced(0)) {
            return None;
        }
        let sums = self.sums(nest.operands.len(), nest.reductions[0].body.dtype());
        nest.operands.push(view_operand(&nest.out, &nest.axes, axes));
        replace_sum(&mut nest.value, &sums);
        nest.reductions.clear();
        keep_read(&mut nest);
        Some(Step::Nest(nest))
    }

    /// A read of the sums so far, at the point of the result.
    fn sums(&self, operand: usize, dtype: DType) -> Expr<Source> {
        let indices = self.nest.axes.iter().map(|&axis| Expr::Index(axis)).collect();
        let source = Source::Operand(operand as u32);
        Expr::Read(Read { source, dtype, indices, outside: Outside::Never, place: Span::default() })
    }

    /// Makes an expression over all products one over the scan's.
    fn at_one(&self, expr: &mut Expr<Source>) -> Option<()> {
        if *expr == Expr::Index(self.summed) {
            *expr = Expr::Index(self.batch);
            return Some(());
        }
        if let Expr::Read(read) = expr
            && read.source == Source::Operand(self.number)
        {
            let index = read.indices.remove(self.dim);
            if index != Expr::Index(self.summed) || read.outside != Outside::Never {
                return None;
            }
        }
        expr.parts_mut().into_iter().try_for_each(|part| self.at_one(part))
    }
}

/// Leaves a nest without reductions the operands that it reads.
fn keep_read(nest: &mut Nest) {
    let mut read = BTreeSet::new();
    nest.value.for_each_read(&mut |one| {
        read.insert(one.source);
    });
    rename(&mut nest.value, &read);
    let all = std::mem::take(&mut nest.operands).into_iter().enumerate();
    nest.operands =
        all.filter(|(at, _)| read.contains(&Source::Operand(*at as u32))).map(|one| one.1).collect();
}

/// Makes a read of one of some operands that of its place among these.
fn rename(expr: &mut Expr<Source>, read: &BTreeSet<Source>) {
    if let Expr::Read(Read { source, .. }) = expr {
        *source = Source::Operand(read.range(..*source).count() as u32);
    }
    expr.parts_mut().into_iter().for_each(|part| rename(part, read));
}

fn replace_sum(expr: &mut Expr<Source>, sums: &Expr<Source>) {
    match expr {
        Expr::Read(read) if read.source == Source::Reduced(0) => *expr = sums.clone(),
        _ => expr.parts_mut().into_iter().for_each(|part| replace_sum(part, sums)),
    }
}

/// What a view reaches, as an operand with a dim for each axis.
fn view_operand(view: &View, list: &[AxisId], axes: &Axes) -> Operand {
    let dims = list.iter().map(|&axis| (axes[axis].extent, view.stride(axis))).collect();
    Operand { buffer: view.buffer, offset: view.offset, dims }
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::assert_same;
    use super::super::tests::plan_of;
    use super::*;
    use crate::graph::sample::*;
    use crate::program::Program;

    /// `f[i,j] = 0.5 * sum[n]((v[n] + sum[t](x[n,t,i] * y[n,t,j])) ** 2) + v[0]`, where products are read at `n + shift`.
    fn squares(shift: i64, others: bool) -> Program {
        let mut s = Sample::new(DType::F32);
        let [n, t, i, j] =
            [("n", 40), ("t", 24), ("i", 20), ("j", 16)].map(|(name, extent)| s.axis(name, extent));
        let (x, y, v) = (s.input("x", &[40, 24, 20]), s.input("y", &[40, 24, 16]), s.input("v", &[40]));
        let product = sum(&[t], mul([s.at(x, &[n, t, i]), s.at(y, &[n, t, j])]));
        let products = s.define("p", &[n, i, j], product);
        let turned = binary(Binary::Rem, affine(&[(1, n)], shift), Expr::int(40));
        let index = if shift == 0 { ix(n) } else { turned };
        let one = add([s.at(v, &[n]), s.read(products, vec![index, ix(i), ix(j)], Outside::Never)]);
        let half = Expr::Const(Scalar::Real(0.5), DType::F32);
        let total = mul([half, sum(&[n], mul([one.clone(), one]))]);
        let first = s.read(v, vec![Expr::int(0)], Outside::Never);
        let total = s.define("f", &[i, j], add([total, first]));
        s.output(total);
        if others {
            s.output(products);
        }
        s.program
    }

    #[test]
    fn products_are_added_up_one_by_one() {
        let plan = plan_of(&squares(0, false));
        let split = super::super::arena::assign(add_one_by_one(plan.clone(), 1024));
        assert_same(&plan, &split, "squares");
        let [Step::Scan(scan), Step::Nest(rest)] = &split.steps[..] else { panic!("{split}") };
        assert!(!scan.apart && scan.body.len() == 2, "{split}");
        assert_eq!(rest.operands.len(), 2, "{split}");
        assert_eq!(split.arena * 40, plan.arena, "{split}");
        // Small ones are left.
        assert_eq!(add_one_by_one(plan.clone(), 1 << 20).to_string(), plan.to_string());
    }

    #[test]
    fn products_that_others_need_too_stay() {
        for (shift, others) in [(1, false), (0, true)] {
            let plan = plan_of(&squares(shift, others));
            assert_eq!(add_one_by_one(plan.clone(), 1024).to_string(), plan.to_string());
        }
    }
}

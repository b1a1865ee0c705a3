//! Where the steps of a group read and write.

use super::super::{BufferId, Operand, Plan, Source, Step, View};
use crate::expr::{AxisId, Expr, Outside, Read};
use std::collections::BTreeMap;

/// The rows of a step.
pub(super) struct Rows<'a> {
    pub plan: &'a Plan,
    pub axis: AxisId,
    pub extent: u64,
    /// What is written row by row already, with its stride from row to row.
    pub written: &'a BTreeMap<BufferId, i64>,
}

/// How a buffer of which some dims are outside the rows and others inside is read or written: the stride from row to row.
/// `None` where elements of different rows are mixed.
pub(super) fn stride(
    offset: i64,
    (by, extent): (i64, u64),
    others: impl Iterator<Item = (u64, i64)>,
) -> Option<i64> {
    let whole = by.checked_mul(i64::try_from(extent).ok()?)?;
    if by <= 0 || offset < 0 {
        return None;
    }
    let mut reach = offset % whole;
    for (extent, stride) in others.filter(|dim| dim.0 > 1) {
        if stride < 0 {
            return None;
        }
        if stride % whole != 0 {
            reach = reach.checked_add(stride.checked_mul(i64::try_from(extent - 1).ok()?)?)?;
        }
    }
    (reach < by).then_some(by)
}

/// The dim of a read at which its index is an axis.
pub(super) fn row_dim(read: &Read<Source>, axis: AxisId) -> Option<usize> {
    read.indices.iter().position(|index| *index == Expr::Index(axis))
}

impl Rows<'_> {
    /// What a step writes, with the stride from row to row; `None` where rows are not its own or are needed by others.
    pub fn of_step(&self, step: &Step) -> Option<(BufferId, i64)> {
        let out = match step {
            Step::Contract(step) => {
                let held = |axis: AxisId| axis == self.axis;
                let is_long = step.long_sum(&self.plan.axes, &|_| false).is_some()
                    || step.long_sum(&self.plan.axes, &held).is_some();
                let fits = |view: &View| match self.known(view.buffer, &step.out) {
                    Some(by) => self.view(view) == Some(by),
                    None => true,
                };
                let parts = [&step.a, &step.b, &step.out]
                    .iter()
                    .any(|view| step.counts_parts_of(self.plan.buffers[view.buffer].dtype));
                if is_long || parts || step.wanted.is_some() || !fits(&step.a) || !fits(&step.b) {
                    return None;
                }
                &step.out
            }
            Step::Nest(step) => {
                let own = step.axes.contains(&self.axis) && step.wanted.is_none();
                let bodies = step.reductions.iter().map(|reduction| &reduction.body);
                let exprs: Vec<&Expr<Source>> = bodies.chain([&step.value]).collect();
                if !own || !self.reads(&exprs, &step.operands, &step.out) {
                    return None;
                }
                &step.out
            }
            Step::Along(step) => {
                if !step.rows.contains(&self.axis) || !self.reads(&[&step.body], &step.operands, &step.out) {
                    return None;
                }
                &step.out
            }
            Step::Scatter(_) | Step::Scan(_) => return None,
        };
        let by = self.view(out)?;
        (self.written.get(&out.buffer).is_none_or(|&known| known == by)).then_some((out.buffer, by))
    }

    /// The stride from row to row that accesses of a buffer must have: it is written by rows.
    fn known(&self, buffer: BufferId, out: &View) -> Option<i64> {
        match buffer == out.buffer {
            true => self.view(out),
            false => self.written.get(&buffer).copied(),
        }
    }

    fn view(&self, view: &View) -> Option<i64> {
        let others = view.strides.iter().filter(|term| term.0 != self.axis);
        let others = others.map(|&(axis, by)| (self.plan.axes[axis].extent, by));
        stride(view.offset, (view.stride(self.axis), self.extent), others)
    }

    /// Whether expressions read what is written by rows at their own row, and other tensors at indices that are affine in
    /// the row; the row is nothing else to them.
    fn reads(&self, exprs: &[&Expr<Source>], operands: &[Operand], out: &View) -> bool {
        let mut seen = vec![false; operands.len()];
        // Which of two faults comes first is said by the order of the steps.
        let fits = exprs.iter().all(|expr| !expr.can_fail() && self.expr(expr, operands, out, &mut seen));
        let all_seen = operands
            .iter()
            .zip(seen)
            .all(|(operand, seen)| seen || self.known(operand.buffer, out).is_none());
        fits && all_seen
    }

    fn expr(&self, expr: &Expr<Source>, operands: &[Operand], out: &View, seen: &mut [bool]) -> bool {
        match expr {
            Expr::Index(axis) => *axis != self.axis,
            Expr::Read(read) => {
                let Source::Operand(k) = read.source else { return true };
                seen[k as usize] = true;
                let operand = &operands[k as usize];
                let inner = match &read.outside {
                    Outside::Else(value) => self.expr(value, operands, out, seen),
                    _ => true,
                };
                inner
                    && match self.known(operand.buffer, out) {
                        Some(by) => {
                            let at = row_dim(read, self.axis);
                            at.is_some_and(|at| self.operand(operand, at) == Some(by))
                                && self.others(read, at, operands, out, seen)
                        }
                        None => self.indices(read, operands, out, seen),
                    }
            }
            _ => expr.parts().into_iter().all(|part| self.expr(part, operands, out, seen)),
        }
    }

    fn operand(&self, operand: &Operand, at: usize) -> Option<i64> {
        let (extent, by) = operand.dims[at];
        let others = operand.dims.iter().enumerate().filter(|dim| dim.0 != at).map(|dim| *dim.1);
        stride(operand.offset, (by, self.extent), others).filter(|_| extent == self.extent)
    }

    /// Whether no other index has to do with the row.
    fn others(
        &self,
        read: &Read<Source>,
        at: Option<usize>,
        operands: &[Operand],
        out: &View,
        seen: &mut [bool],
    ) -> bool {
        let mut others = read.indices.iter().enumerate().filter(|index| Some(index.0) != at);
        others.all(|(_, index)| self.expr(index, operands, out, seen))
    }

    /// Whether the indices of another tensor may depend on the row as they do.
    fn indices(&self, read: &Read<Source>, operands: &[Operand], out: &View, seen: &mut [bool]) -> bool {
        read.indices.iter().all(|index| {
            let affine = match read.outside {
                Outside::Never => index.affine().is_some(),
                _ => *index == Expr::Index(self.axis),
            };
            affine || self.expr(index, operands, out, seen)
        })
    }
}

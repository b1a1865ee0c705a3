//! Makes the steps of a group run for a block of rows.

use super::super::{BufferId, Operand, Place, Plan, ScanStep, Source, Step, View};
use super::access::row_dim;
use super::{Cut, Group};
use crate::expr::{Axis, AxisId, Expr, Outside};
use crate::source::Span;
use std::collections::BTreeMap;

/// The axes that a row's axis becomes: the scan runs over blocks.
struct Rewrite {
    block: AxisId,
    row: AxisId,
    /// Rows of a block.
    rows: u64,
    own: BTreeMap<BufferId, Own>,
}

/// A value of the group's own: extent and stride of its rows, and the stride around them as it was and as it is.
#[derive(Clone, Copy)]
struct Own {
    dim: (u64, i64),
    whole: i64,
    now: i64,
}

impl Own {
    fn stride(&self, by: i64) -> i64 {
        if by % self.whole == 0 { by / self.whole * self.now } else { by }
    }

    fn offset(&self, at: i64) -> i64 {
        at / self.whole * self.now + at % self.whole
    }
}

fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Puts a scan in the place of a group; gives the number of the step behind it.
pub(super) fn apply(plan: &mut Plan, group: &Group, cut: &Cut) -> usize {
    let (first, axis) = (group.members[0].number, group.members[0].axes[0]);
    let last = group.members[group.members.len() - 1].number;
    let name = plan.axes[axis].name.clone();
    let block = plan.axes.push(Axis { name: format!("{name}.block"), extent: group.extent / cut.rows });
    let row = plan.axes.push(Axis { name, extent: cut.rows });
    let (mut own, mut at) = (BTreeMap::new(), 0u64);
    for &id in &cut.own {
        let by = group.written[&id];
        let (whole, now) = (by * int(group.extent), by * int(cut.rows));
        own.insert(id, Own { dim: (group.extent, by), whole, now });
        let buffer = &mut plan.buffers[id];
        buffer.elems = buffer.elems / group.extent * cut.rows;
        buffer.place = Place::Worker(at);
        at = at.saturating_add(buffer.bytes()).next_multiple_of(64);
    }
    let rewrite = Rewrite { block, row, rows: cut.rows, own };
    let (mut list, mut body) =
        (Vec::with_capacity(plan.steps.len()), Vec::with_capacity(group.members.len()));
    for (number, mut step) in std::mem::take(&mut plan.steps).into_iter().enumerate() {
        match group.members.iter().find(|member| member.number == number) {
            Some(member) => {
                let parts = match &mut step {
                    Step::Scan(scan) => &mut scan.body[..],
                    other => std::slice::from_mut(other),
                };
                parts.iter_mut().zip(&member.axes).for_each(|(part, &axis)| rewrite.step(part, axis));
                body.push(step);
            }
            None => list.push(step),
        }
        if number == last {
            list.push(rewrite.scan(std::mem::take(&mut body)));
        }
    }
    plan.steps = list;
    first + group.before.len() + 1
}

fn place(step: &Step) -> Span {
    match step {
        Step::Contract(step) => step.place,
        Step::Nest(step) => step.place,
        Step::Along(step) => step.place,
        Step::Scatter(step) => step.place,
        Step::Scan(step) => step.place,
    }
}

impl Rewrite {
    /// The steps for all blocks.
    fn scan(&self, body: Vec<Step>) -> Step {
        let place = body.first().map(place).unwrap_or_default();
        Step::Scan(ScanStep { axis: self.block, reversed: false, apart: true, shared: None, body, place })
    }

    fn step(&self, step: &mut Step, axis: AxisId) {
        match step {
            Step::Contract(step) => {
                [&mut step.a, &mut step.b, &mut step.out].into_iter().for_each(|view| self.view(view, axis));
            }
            Step::Nest(step) => {
                let bodies = step.reductions.iter_mut().map(|reduction| &mut reduction.body);
                bodies.chain([&mut step.value]).for_each(|expr| self.expr(expr, &step.operands, axis));
                step.operands.iter_mut().for_each(|operand| self.operand(operand));
                self.view(&mut step.out, axis);
                step.axes.iter_mut().filter(|own| **own == axis).for_each(|own| *own = self.row);
            }
            Step::Along(step) => {
                self.expr(&mut step.body, &step.operands, axis);
                step.operands.iter_mut().for_each(|operand| self.operand(operand));
                self.view(&mut step.out, axis);
                step.rows.iter_mut().filter(|own| **own == axis).for_each(|own| *own = self.row);
            }
            Step::Scatter(_) | Step::Scan(_) => {}
        }
    }

    fn view(&self, view: &mut View, axis: AxisId) {
        let Some(at) = view.strides.iter().position(|term| term.0 == axis) else { return };
        let by = view.strides[at].1;
        view.strides[at] = (self.row, by);
        match self.own.get(&view.buffer) {
            Some(own) => {
                view.offset = own.offset(view.offset);
                view.strides.iter_mut().for_each(|term| term.1 = own.stride(term.1));
            }
            None => view.strides.insert(at, (self.block, by.saturating_mul(int(self.rows)))),
        }
    }

    fn operand(&self, operand: &mut Operand) {
        let Some(own) = self.own.get(&operand.buffer) else { return };
        operand.offset = own.offset(operand.offset);
        for dim in &mut operand.dims {
            *dim = if *dim == own.dim { (self.rows, dim.1) } else { (dim.0, own.stride(dim.1)) };
        }
    }

    /// An expression of a step whose operands are still as they were.
    fn expr(&self, expr: &mut Expr<Source>, operands: &[Operand], axis: AxisId) {
        if let Expr::Read(read) = expr
            && let Source::Operand(k) = read.source
            && self.own.contains_key(&operands[k as usize].buffer)
        {
            let at = row_dim(read, axis);
            for (dim, index) in read.indices.iter_mut().enumerate() {
                match at == Some(dim) {
                    true => *index = Expr::Index(self.row),
                    false => self.expr(index, operands, axis),
                }
            }
            if let Outside::Else(value) = &mut read.outside {
                self.expr(value, operands, axis);
            }
            return;
        }
        if *expr == Expr::Index(axis) {
            let first = Expr::Product(vec![Expr::int(int(self.rows)), Expr::Index(self.block)]);
            *expr = Expr::Sum(vec![first, Expr::Index(self.row)]);
            return;
        }
        expr.parts_mut().into_iter().for_each(|part| self.expr(part, operands, axis));
    }
}

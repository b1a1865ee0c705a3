//! What is the same along the innermost axis of a nest and takes more than a few instructions is computed outside of it.
//!
//! ```text
//! y[i, j] = (x[i, j] - m[i]) * rsqrt(v[i] + 1e-5)
//!   for i { r = rsqrt(v[i] + 1e-5)   for j { y[i, j] = (x[i, j] - m[i]) * r } }
//! ```

use super::build::Builder;
use super::expr::{Point, Scope, Val};
use super::nest::{Piece, Task};
use crate::expr::{Axes, AxisId, Binary, Expr, Outside, Read, Unary};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::Source;
use crate::source::Span;

/// What is hoisted out of a nest.
struct Hoisted<'a> {
    values: Vec<Expr<Source>>,
    /// What the nest computes with them.
    rest: Expr<Source>,
    task: &'a Task<'a>,
    machine: &'a Machine,
}

impl Builder {
    /// Writes a nest without reductions with its inner loop apart, if that saves work; whether it does.
    pub(super) fn hoist(
        &mut self,
        task: &Task,
        axes: &Axes,
        outer: &Point,
        (order, parallel): (&[AxisId], bool),
        machine: &Machine,
    ) -> bool {
        let Some((&inner, order)) = order.split_last() else { return false };
        if !task.reductions.is_empty() || order.is_empty() || axes[inner].extent < 8 {
            return false;
        }
        let mut values = Vec::new();
        let rest = extract(task.value, inner, task.given.len(), &mut values);
        if values.is_empty() {
            return false;
        }
        let hoisted = Hoisted { values, rest, task, machine };
        self.hoisted_loops(&hoisted, axes, order, inner, parallel, outer);
        true
    }

    fn hoisted_loops(
        &mut self,
        hoisted: &Hoisted,
        axes: &Axes,
        order: &[AxisId],
        inner: AxisId,
        parallel: bool,
        point: &Point,
    ) {
        let Some((&axis, rest)) = order.split_first() else {
            return self.hoisted_row(hoisted, axes, inner, point);
        };
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        let name = axes[axis].name.clone();
        self.looped(&name, (0, extent, 1), parallel, &mut |builder, at| {
            builder.hoisted_loops(hoisted, axes, rest, inner, false, &point.with(axis, at));
        });
    }

    fn hoisted_row(&mut self, hoisted: &Hoisted, axes: &Axes, inner: AxisId, point: &Point) {
        let task = hoisted.task;
        let scope = Scope { axes, operands: task.operands, reduced: task.given.to_vec() };
        let mut given: Vec<Val> = task.given.to_vec();
        for value in &hoisted.values {
            given.push(self.value(value, &scope, point));
        }
        let row = Task {
            axes: &[inner],
            operands: task.operands,
            reductions: &[],
            value: &hoisted.rest,
            out: task.out,
            accumulate: task.accumulate,
            given: &given,
            alone: true,
        };
        let extent = i64::try_from(axes[inner].extent).unwrap_or(i64::MAX);
        let piece =
            Piece { axis: inner, start: Default::default(), extent, inside: None, cuts: Default::default() };
        self.one_piece(&row, axes, piece, point, hoisted.machine);
    }
}

/// The expression with parts that do not vary along an axis replaced by values given before; these parts.
fn extract(expr: &Expr<Source>, axis: AxisId, given: usize, values: &mut Vec<Expr<Source>>) -> Expr<Source> {
    let dtype = expr.dtype();
    if matches!(dtype, DType::F32 | DType::F64) && is_dear(expr) && !expr.free_axes().contains(&axis) {
        let number = values.iter().position(|known| known == expr).unwrap_or_else(|| {
            values.push(expr.clone());
            values.len() - 1
        });
        let source = Source::Reduced((given + number) as u32);
        let (indices, outside) = (Vec::new(), Outside::Never);
        return Expr::Read(Read { source, dtype, indices, outside, place: Span::default() });
    }
    let mut again = |part: &Expr<Source>| extract(part, axis, given, values);
    match expr {
        Expr::Unary(op, a) => Expr::Unary(*op, Box::new(again(a))),
        Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(again(a))),
        Expr::Binary(op, a, b) => {
            let (a, b) = (again(a), again(b));
            Expr::Binary(*op, Box::new(a), Box::new(b))
        }
        Expr::Sum(parts) => Expr::Sum(parts.iter().map(again).collect()),
        Expr::Product(parts) => Expr::Product(parts.iter().map(again).collect()),
        // What a condition guards is computed only where it holds.
        _ => expr.clone(),
    }
}

/// Whether an expression takes long to compute and cannot fail.
fn is_dear(expr: &Expr<Source>) -> bool {
    let mut plain = !expr.can_fail();
    expr.for_each_read(&mut |read| plain &= matches!(read.outside, Outside::Never));
    plain && has_dear(expr)
}

fn has_dear(expr: &Expr<Source>) -> bool {
    let own = match expr {
        Expr::Unary(op, _) => !matches!(
            op,
            Unary::Neg | Unary::Not | Unary::Abs | Unary::Relu | Unary::Real | Unary::Imag | Unary::Conj
        ),
        Expr::Binary(op, ..) => matches!(op, Binary::Div | Binary::Pow | Binary::Atan2 | Binary::Rem),
        _ => false,
    };
    own || expr.parts().into_iter().any(has_dear)
}

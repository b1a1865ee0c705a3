//! Short rows that lie end to end are one long row: their loop and the one around it become one.
//!
//! ```text
//! for w in 0..W { for c in 0..3 { b[3*w + c] = f(a[3*w + c]) } }    =>    for c in 0..3*W { b[c] = f(a[c]) }
//! ```
//!
//! That holds where the result and every read move along both axes as along one, and nothing else depends on them.

use super::nest::Task;
use crate::expr::{Affine, Axes, AxisId, Expr, Outside};
use crate::plan::{Operand, Source, View};

/// Rows from which on a vector loop has enough to do.
const LONG: u64 = 32;

/// A nest with one loop for two.
pub(super) struct Joined {
    pub(super) axes: Axes,
    pub(super) order: Vec<AxisId>,
    pub(super) value: Expr<Source>,
    pub(super) out: View,
}

/// The two axes that become one; the inner one stays.
struct Pair {
    outer: AxisId,
    inner: AxisId,
    /// The extent of the inner one.
    row: i64,
}

/// The nest with its short rows as one long row, if they lie so.
pub(super) fn short_rows(task: &Task, axes: &Axes) -> Option<Joined> {
    if !task.reductions.is_empty() {
        return None;
    }
    let axis = |stride: i64| {
        task.axes.iter().copied().find(|&axis| task.out.stride(axis) == stride && axes[axis].extent > 1)
    };
    let inner = axis(1)?;
    let row = axes[inner].extent;
    if row >= LONG {
        return None;
    }
    let row = i64::try_from(row).ok()?;
    let pair = Pair { outer: axis(row)?, inner, row };
    let value = pair.joined(task.value, task.operands)?;
    let mut joined = Joined { axes: axes.clone(), order: task.axes.to_vec(), value, out: task.out.clone() };
    joined.axes[inner].extent = axes[inner].extent.checked_mul(axes[pair.outer].extent)?;
    joined.order.retain(|&axis| axis != pair.outer);
    joined.out.strides.retain(|stride| stride.0 != pair.outer);
    Some(joined)
}

impl Pair {
    fn joined(&self, expr: &Expr<Source>, operands: &[Operand]) -> Option<Expr<Source>> {
        let free = expr.free_axes();
        if !free.contains(&self.outer) && !free.contains(&self.inner) {
            return Some(expr.clone());
        }
        let mut joined = expr.clone();
        match &mut joined {
            Expr::Index(_) => return None,
            Expr::Read(read) => {
                let Source::Operand(number) = read.source else { return None };
                if read.outside != Outside::Never {
                    return None;
                }
                let mut address = Affine::default();
                for (index, &(_, stride)) in read.indices.iter().zip(&operands[number as usize].dims) {
                    address = address.plus(&index.affine()?.scaled(stride)?)?;
                }
                let step =
                    |axis: AxisId| address.terms.iter().find(|term| term.0 == axis).map_or(0, |term| term.1);
                if step(self.outer) != step(self.inner).checked_mul(self.row)? {
                    return None;
                }
                read.indices.iter_mut().for_each(|index| leave_out(index, self.outer));
            }
            _ => {
                for part in joined.parts_mut() {
                    *part = self.joined(part, operands)?;
                }
            }
        }
        Some(joined)
    }
}

/// Puts an axis at 0.
fn leave_out(expr: &mut Expr<Source>, axis: AxisId) {
    match expr {
        Expr::Index(own) if *own == axis => *expr = Expr::int(0),
        _ => expr.parts_mut().into_iter().for_each(|part| leave_out(part, axis)),
    }
}

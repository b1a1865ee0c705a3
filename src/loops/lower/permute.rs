//! Nests that only copy elements into another order.

use super::build::Builder;
use super::expr::{Point, view_at};
use super::nest::Task;
use crate::expr::{Axes, AxisId, Expr, Outside, points};
use crate::loops::*;
use crate::plan::Source;

/// Elements below which a call does not pay.
const WORTH_A_CALL: u64 = 2048;

impl Builder {
    /// Writes a nest as a copy, if it is one; whether it was.
    pub(super) fn permute(&mut self, task: &Task, axes: &Axes, outer: &Point) -> bool {
        let (Expr::Read(read), true) = (task.value, task.reductions.is_empty()) else { return false };
        let elems = points(axes, task.axes);
        let Source::Operand(number) = read.source else { return false };
        if elems < WORTH_A_CALL || task.accumulate || task.alone || self.in_parallel() {
            return false;
        }
        let operand = &task.operands[number as usize];
        let (from, to) = (BufferId(operand.buffer.0), BufferId(task.out.buffer.0));
        if !matches!(read.outside, Outside::Never) || !self.are_apart(from, to) {
            return false;
        }
        let mut strides: Vec<(AxisId, i64)> = Vec::new();
        let mut offset = operand.offset;
        for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
            let Some(affine) = index.affine() else { return false };
            offset += affine.constant * stride;
            for (axis, by) in affine.terms {
                match strides.iter_mut().find(|known| known.0 == axis) {
                    Some(known) => known.1 += by * stride,
                    None => strides.push((axis, by * stride)),
                }
            }
        }
        let of = |list: &[(AxisId, i64)], axis: AxisId| {
            list.iter().find(|known| known.0 == axis).map_or(0, |known| known.1)
        };
        let copied: Vec<CopyAxis> = task
            .axes
            .iter()
            .map(|&axis| CopyAxis {
                extent: axes[axis].extent,
                from: of(&strides, axis),
                to: of(&task.out.strides, axis),
            })
            .collect();
        // The first element: all axes of the copy at 0.
        let held = |list: &[(AxisId, i64)]| -> Vec<(AxisId, i64)> {
            list.iter().copied().filter(|known| !task.axes.contains(&known.0)).collect()
        };
        let address = |buffer: BufferId, offset: i64, strides: &[(AxisId, i64)]| {
            let (lin, _) = view_at(outer, offset, &held(strides));
            Address { buffer, offset: lin.offset, terms: lin.terms, dynamic: None }
        };
        let addresses = [address(from, offset, &strides), address(to, task.out.offset, &task.out.strides)];
        let permute = Permute { dtype: read.dtype, axes: copied };
        let known = self.loops.permutes.iter().find(|(_, known)| **known == permute).map(|(id, _)| id);
        let id = known.unwrap_or_else(|| self.loops.permutes.push(permute));
        self.push(Stmt::Permute(id, addresses));
        self.forget();
        true
    }

    /// Whether two buffers share no memory.
    pub(super) fn are_apart(&self, a: BufferId, b: BufferId) -> bool {
        if a == b {
            return false;
        }
        let range = |id: BufferId| match self.loops.buffers[id].place {
            Place::Arena(at) => {
                let buffer = &self.loops.buffers[id];
                Some((at, at.saturating_add(buffer.bytes())))
            }
            _ => None,
        };
        match (range(a), range(b)) {
            (Some(a), Some(b)) => a.1 <= b.0 || b.1 <= a.0,
            _ => true,
        }
    }
}

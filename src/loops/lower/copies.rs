//! Buffers whose rows are copies of parts of other rows, and which of these repeat themselves.
//!
//! ```text
//! nest[h,t.0] b2[h 7, t.0 1] = o0[h,t.0 + 1]      rows of 7 in b2 are elements 1, 2, 3 and 0, 1, 2, 3 of rows of 4:
//! nest[h,t.1] b2+3[h 7, t.1 1] = o0[h,t.1]        they repeat themselves after 4
//! ```

use crate::expr::{Affine, Axes, AxisId, Expr, Outside};
use crate::plan::{self, Nest, Plan, Source, Step};
use std::collections::BTreeMap;

/// A part of every row: elements from `start` on are elements of the source from `start + shift` on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    start: i64,
    extent: i64,
    shift: i64,
}

/// What the parts of a row have in common.
#[derive(Clone, Debug, PartialEq)]
struct Rows {
    source: plan::BufferId,
    /// The axes that count rows, with their strides in the result and in the source.
    axes: Vec<(AxisId, i64, i64)>,
}

/// The copies of a plan, by the buffer that they are written to; `None` where something else is written there too.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<plan::BufferId, Option<(Rows, Vec<Part>)>>);

/// A nest as a copy of a part of each row, if it is one along an axis that lies side by side in both.
fn copy_of(nest: &Nest, axes: &Axes) -> Option<(Rows, Part)> {
    let Expr::Read(read) = &nest.value else { return None };
    let (Source::Operand(number), Outside::Never) = (read.source, &read.outside) else { return None };
    let operand = nest.operands.get(number as usize)?;
    let mut place = Affine { terms: Vec::new(), constant: operand.offset };
    for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
        place = place.plus(&index.affine()?.scaled(stride)?)?;
    }
    let by = |axis: AxisId| place.coefficient(axis);
    let along = nest.axes.iter().copied().find(|&axis| nest.out.stride(axis) == 1 && by(axis) == 1)?;
    let rest = nest.axes.iter().copied().filter(|&axis| axis != along && axes[axis].extent != 1);
    let mut axes_of_rows: Vec<_> = rest.map(|axis| (axis, nest.out.stride(axis), by(axis))).collect();
    axes_of_rows.sort();
    let part = Part {
        start: nest.out.offset,
        extent: i64::try_from(axes[along].extent).ok()?,
        shift: place.constant.checked_sub(nest.out.offset)?,
    };
    Some((Rows { source: operand.buffer, axes: axes_of_rows }, part))
}

impl Copies {
    pub(super) fn of(plan: &Plan) -> Copies {
        let mut copies = Copies::default();
        for step in &plan.steps {
            match step {
                Step::Nest(nest) => copies.add(nest, &plan.axes),
                step => copies.spoil(step),
            }
        }
        copies
    }

    fn add(&mut self, nest: &Nest, axes: &Axes) {
        let copy = copy_of(nest, axes).filter(|_| nest.reductions.is_empty() && nest.wanted.is_none());
        let before = self.0.remove(&nest.out.buffer);
        let all = match (before, copy) {
            (None, Some((rows, part))) => Some((rows, vec![part])),
            (Some(Some((rows, mut parts))), Some((same, part))) if rows == same => {
                parts.push(part);
                Some((rows, parts))
            }
            _ => None,
        };
        self.0.insert(nest.out.buffer, all);
    }

    fn spoil(&mut self, step: &Step) {
        let buffer = match step {
            Step::Nest(nest) => nest.out.buffer,
            Step::Contract(contract) => contract.out.buffer,
            Step::Along(along) => along.out.buffer,
            Step::Scatter(scatter) => scatter.out.buffer,
            Step::Scan(scan) => return scan.body.iter().for_each(|step| self.spoil(step)),
        };
        self.0.insert(buffer, None);
    }

    /// Whether every row of a buffer repeats itself after so many elements.
    pub(super) fn repeat(&self, buffer: plan::BufferId, after: i64) -> bool {
        let Some(Some((_, parts))) = self.0.get(&buffer) else { return false };
        after > 0
            && parts.iter().all(|part| {
                parts.iter().all(|later| {
                    let start = part.start.saturating_add(after).max(later.start);
                    let end = part.start.saturating_add(after).saturating_add(part.extent);
                    let overlap = start < end.min(later.start.saturating_add(later.extent));
                    !overlap || later.shift.checked_add(after) == Some(part.shift)
                })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_repeat_where_later_elements_are_those_before() {
        let rows = Rows { source: plan::BufferId(0), axes: Vec::new() };
        let copies =
            |parts: Vec<Part>| Copies(BTreeMap::from([(plan::BufferId(1), Some((rows.clone(), parts)))]));
        let part = |start, extent, shift| Part { start, extent, shift };
        let round = copies(vec![part(0, 3, 1), part(3, 4, -3)]);
        assert!(round.repeat(plan::BufferId(1), 4));
        assert!(!round.repeat(plan::BufferId(1), 3) && !round.repeat(plan::BufferId(1), 0));
        assert!(!round.repeat(plan::BufferId(0), 4));
        // Elements 1, 2, 3 and then 1, 2, 3, or 1, 2, 3, 4.
        assert!(copies(vec![part(0, 3, 1), part(3, 3, -2)]).repeat(plan::BufferId(1), 3));
        assert!(!copies(vec![part(0, 3, 1), part(3, 4, -2)]).repeat(plan::BufferId(1), 3));
        assert!(!copies(vec![part(0, 3, 1), part(3, 4, -2)]).repeat(plan::BufferId(1), 4));
    }
}

//! The pieces of a convolution: positions whose windows leave a tensor by the same taps.

use super::super::View;
use super::super::contraction::{Factor, Scale, Site};
use super::super::lower::Lowering;
use crate::expr::{Affine, Axis, AxisId};
use crate::graph::{Access, Graph, Term};
use std::ops::Range;

/// The most positions along an axis that are looked at.
const LONGEST: i64 = 65_536;

/// A term that is contracted in pieces.
#[derive(Clone)]
pub(in crate::plan) struct Cut {
    /// The operand with windows, and what is read in its place.
    pub(super) operand: usize,
    pub(super) access: Access,
    pub(super) splits: Vec<Split>,
}

/// The pieces of an axis of the result, each with its taps: values of a summed axis.
#[derive(Clone)]
pub(super) struct Split {
    pub(super) own: AxisId,
    tap: AxisId,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    own: Range<i64>,
    taps: Range<i64>,
}

impl Split {
    /// What share of all pairs of a position and a tap is inside.
    pub(super) fn share(&self, graph: &Graph) -> f64 {
        let length = |range: &Range<i64>| (range.end - range.start) as f64;
        let inside: f64 = self.pieces.iter().map(|piece| length(&piece.own) * length(&piece.taps)).sum();
        inside / graph.points([&self.own, &self.tap]) as f64
    }

    /// The length of the shortest piece.
    pub(super) fn least(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.own.end.abs_diff(piece.own.start)).min().unwrap_or(0)
    }
}

/// The pieces of an index `p * own + q * tap + c` with positive `p` and `q`, where it is to stay inside; `None` where a
/// position has no tap inside.
pub(super) fn split(
    graph: &Graph,
    index: &Affine,
    inside: Range<i64>,
    is_tap: impl Fn(AxisId) -> bool,
) -> Option<Split> {
    let &[one, other] = &index.terms[..] else { return None };
    let ((own, by), (tap, step)) = if is_tap(one.0) { (other, one) } else { (one, other) };
    let length = |axis: AxisId| i64::try_from(graph.axes[axis].extent).ok();
    let (positions, taps) = (length(own)?, length(tap)?);
    if by < 1 || step < 1 || positions > LONGEST {
        return None;
    }
    let mut pieces: Vec<Piece> = Vec::new();
    for at in 0..positions {
        let first = by.checked_mul(at)?.checked_add(index.constant)?;
        let edge = |end: i64| {
            let rest = end.checked_sub(first)?.checked_add(step - 1)?;
            Some(rest.div_euclid(step).clamp(0, taps))
        };
        let range = edge(inside.start)?..edge(inside.end)?;
        match pieces.last_mut() {
            _ if range.is_empty() => return None,
            Some(piece) if piece.taps == range => piece.own.end = at + 1,
            _ => pieces.push(Piece { own: at..at + 1, taps: range }),
        }
    }
    Some(Split { own, tap, pieces })
}

/// A part of an axis, as an axis.
#[derive(Clone, Copy)]
struct Part {
    axis: AxisId,
    part: AxisId,
    start: i64,
}

impl Part {
    fn apply(&self, view: &mut View) {
        for term in view.strides.iter_mut().filter(|term| term.0 == self.axis) {
            view.offset = view.offset.saturating_add(term.1.saturating_mul(self.start));
            term.0 = self.part;
        }
    }

    fn rename(&self, axis: AxisId) -> AxisId {
        if axis == self.axis { self.part } else { axis }
    }
}

impl Lowering<'_> {
    fn part(&mut self, axis: AxisId, range: &Range<i64>) -> Part {
        let Axis { name, extent } = self.plan.axes[axis].clone();
        let length = range.end.abs_diff(range.start);
        let part = if length == extent { axis } else { self.plan.axes.push(Axis { name, extent: length }) };
        Part { axis, part, start: range.start }
    }

    /// Adds the steps of a term that is contracted in pieces.
    pub(in crate::plan) fn in_pieces(
        &mut self,
        site: &Site,
        loops: &[AxisId],
        term: &Term,
        cut: &Cut,
        out: &View,
        accumulate: bool,
    ) {
        let mut accesses: Vec<&Access> = term.operands.iter().collect();
        accesses[cut.operand] = &cut.access;
        let factor = |access: &&Access| Factor {
            view: self.access_view(access.node, &access.indices),
            axes: access.axes(),
        };
        let factors: Vec<Factor> = accesses.iter().map(factor).collect();
        let mut all: Vec<Vec<Part>> = vec![Vec::new()];
        for split in &cut.splits {
            let parts: Vec<[Part; 2]> = split
                .pieces
                .iter()
                .map(|piece| [self.part(split.own, &piece.own), self.part(split.tap, &piece.taps)])
                .collect();
            all =
                all.iter().flat_map(|before| parts.iter().map(|more| [&before[..], more].concat())).collect();
        }
        for parts in all {
            let (mut factors, mut out, mut loops) = (factors.clone(), out.clone(), loops.to_vec());
            for part in &parts {
                for factor in &mut factors {
                    part.apply(&mut factor.view);
                    factor.axes = factor.axes.iter().map(|&axis| part.rename(axis)).collect();
                }
                part.apply(&mut out);
                loops.iter_mut().for_each(|axis| *axis = part.rename(*axis));
            }
            self.pairwise(site, &loops, factors, &[(0, 1)], Scale::one(site.dtype), out, accumulate);
        }
    }
}

//! Operands of contractions that are read through windows and are no reads in place.

use super::super::rewrite::{affine_expr, map_parts};
use super::super::{Access, NodeId, Op};
use super::Builder;
use crate::expr::{Affine, Axis, Binary, Expr, Outside, Read};

/// The window of a dim: what its index is a function of, and the least and greatest value of that.
pub(super) type Window = (Affine, i64, i64);

impl Builder {
    /// The window of each dim of a read that leaves its tensor or wraps. `None` where a padded copy is no smaller than the
    /// read.
    pub(super) fn windows(&self, factor: &Expr<NodeId>) -> Option<Vec<Window>> {
        let Expr::Read(read) = factor else { return None };
        let (windows, copied) = self.windows_of(read)?;
        let points = self.graph.points(&factor.free_axes());
        (copied <= points.saturating_mul(2)).then_some(windows)
    }

    /// The windows of a function of values that are all read at one place. `None` where there are as many places as there
    /// are points, or the function fails at places that are in no window.
    pub(super) fn windows_of_function(&self, factor: &Expr<NodeId>) -> Option<Vec<Window>> {
        let mut found = None;
        if factor.can_fail() || !self.is_at_one_place(factor, &mut found) {
            return None;
        }
        let (windows, copied) = found?;
        (copied < self.graph.points(&factor.free_axes())).then_some(windows)
    }

    /// Whether an expression depends on no axis but by reads through the windows that were found, or are now.
    fn is_at_one_place(&self, expr: &Expr<NodeId>, found: &mut Option<(Vec<Window>, u64)>) -> bool {
        match expr {
            Expr::Const(..) => true,
            Expr::Index(_) | Expr::Reduce(_) | Expr::Along(_) => false,
            Expr::Read(read) if read.indices.is_empty() => read.outside == Outside::Never,
            Expr::Read(read) => {
                // What stays inside by a condition around need not do so at every place.
                if read.outside == Outside::Never && !self.is_inside(read) {
                    return false;
                }
                let own = self.windows_of(read);
                if found.is_none() {
                    *found = own.clone();
                }
                own.is_some() && own == *found
            }
            _ => expr.parts().into_iter().all(|part| self.is_at_one_place(part, found)),
        }
    }

    /// Whether a read is inside its tensor whatever the values of its axes.
    fn is_inside(&self, read: &Read<NodeId>) -> bool {
        let shape = &self.graph.node(read.source).shape;
        read.indices.iter().zip(shape).all(|(index, &extent)| {
            let bounds = match index {
                Expr::Binary(Binary::Rem, _, by) => by.affine().map(|by| (0, by.constant.saturating_sub(1))),
                _ => index.affine().and_then(|index| index.bounds(&self.graph.axes)),
            };
            bounds.is_some_and(|(low, high)| low >= 0 && u64::try_from(high).is_ok_and(|high| high < extent))
        })
    }

    /// The window of each dim of a read, and how many places there are in all.
    fn windows_of(&self, read: &Read<NodeId>) -> Option<(Vec<Window>, u64)> {
        match &read.outside {
            Outside::Never | Outside::Clamp => {}
            Outside::Else(value) if value.free_axes().is_empty() => {}
            _ => return None,
        }
        let scan = self.context.scan_axis;
        let mut windows = Vec::new();
        let mut copied = 1u64;
        for index in &read.indices {
            let inner = match index {
                Expr::Binary(Binary::Rem, a, b) if b.affine()?.terms.is_empty() => a.affine()?,
                _ => index.affine()?,
            };
            let (low, high) = inner.bounds(&self.graph.axes)?;
            if inner.terms.iter().any(|term| Some(term.0) == scan) {
                return None;
            }
            copied = copied.checked_mul(u64::try_from(high.checked_sub(low)?).ok()?.checked_add(1)?)?;
            windows.push((inner, low, high));
        }
        Some((windows, copied))
    }

    /// Makes the padded copy that windows describe, of the product of factors whose reads all have these windows.
    pub(super) fn pad(&mut self, factors: &[&Expr<NodeId>], windows: Vec<Window>) -> Option<Access> {
        let mut axes = Vec::new();
        let mut places = Vec::new();
        let mut accesses = Vec::new();
        for (inner, low, high) in windows {
            let extent = u64::try_from(high.checked_sub(low)?.checked_add(1)?).ok()?;
            let name =
                inner.terms.first().map_or("p".to_string(), |term| self.graph.axes[term.0].name.clone());
            let axis = self.graph.axes.push(Axis { name, extent });
            places.push(affine_expr(&Affine { terms: vec![(axis, 1)], constant: low }));
            axes.push(axis);
            accesses.push(inner.plus(&Affine { terms: Vec::new(), constant: low.checked_neg()? })?);
        }
        let dtype = factors.first()?.dtype();
        let mut factors: Vec<Expr<NodeId>> = factors.iter().map(|factor| moved(factor, &places)).collect();
        let value = if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) };
        match self.part(axes, Op::Map(value), dtype) {
            Expr::Read(copy) => Some(Access { node: copy.source, indices: accesses }),
            _ => None,
        }
    }
}

/// An expression whose reads are at other places, each index the remainder of it that it was.
fn moved(expr: &Expr<NodeId>, places: &[Expr<NodeId>]) -> Expr<NodeId> {
    let Expr::Read(read) = expr else { return map_parts(expr, &mut |part| moved(part, places)) };
    let index = |(index, place): (&Expr<NodeId>, &Expr<NodeId>)| match index {
        Expr::Binary(op, _, b) => Expr::Binary(*op, Box::new(place.clone()), b.clone()),
        _ => place.clone(),
    };
    let indices = read.indices.iter().zip(places).map(index).collect();
    Expr::Read(Read { indices, ..read.clone() })
}

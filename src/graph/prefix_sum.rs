//! Sums over all earlier positions as running sums.
//!
//! ```text
//! L[k,n] = sum[d](select(d <= k, f[n,d] * w[d], 0))        =>    L[k,n] = cumsum[k](f[n,k] * w[k])
//! y = sum[p,q](select(p < q, e[p] * e[q], 0))              =>    y = sum[q](e[q] * cumsum[q](e[q-1] or 0))
//! ```
//!
//! The factors of the masked product are those that depend on the earlier position, `a`, and the others, `b`, which may
//! depend on the later one. Then `sum over p <= q of a(p) b(q)` is `b(q)` times the running sum of `a` at `q`, because
//! multiplication distributes over addition. A strict mask takes the running sum one position before, which is 0 at
//! the first. It is done where it takes less than half of the work that the masked product takes in its best order.
//! Sums change their order, as they do in any contraction.

use super::rewrite::{freshen, map_parts, multiply, scalar_of, substitute};
use super::{Graph, NodeId};
use crate::expr::{Along, AlongOp, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use einc_runtime::{DType, Scalar};
use std::collections::{BTreeMap, BTreeSet};

/// How many factors a masked product may have; all orders of them are compared.
const MOST_FACTORS: usize = 5;

/// A product under masks, taken apart.
struct Masked {
    scale: Scalar,
    factors: Vec<Expr<NodeId>>,
    masks: Vec<Expr<NodeId>>,
    sums: Vec<AxisId>,
    dtype: DType,
}

/// The sum with a running sum inside, if it is a sum over earlier positions and cheaper so.
pub fn prefix_sum(graph: &mut Graph, reduce: &Reduce<NodeId>) -> Option<Expr<NodeId>> {
    let dtype = reduce.body.dtype();
    if reduce.op != ReduceOp::Sum || dtype == DType::Bool || !has_mask(&reduce.body) {
        return None;
    }
    let whole = freshen(graph, &Expr::Reduce(Box::new(reduce.clone())));
    let mut parts = Masked {
        scale: scalar_of(1, dtype),
        factors: Vec::new(),
        masks: Vec::new(),
        sums: Vec::new(),
        dtype,
    };
    parts.take(&whole)?;
    let [mask] = &parts.masks[..] else { return None };
    let (early, late, strict) = positions(mask)?;
    let extent = graph.axes[early].extent;
    if early == late || !parts.sums.contains(&early) || graph.axes[late].extent != extent || extent < 2 {
        return None;
    }
    let (of_early, others): (Vec<_>, Vec<_>) =
        parts.factors.iter().cloned().partition(|factor| factor.free_axes().contains(&early));
    let early_axes = axes_of(&of_early);
    if of_early.is_empty() || early_axes.contains(&late) || parts.factors.len() > MOST_FACTORS {
        return None;
    }
    let other_axes = axes_of(&others);
    let (alone, rest): (Vec<AxisId>, Vec<AxisId>) = parts
        .sums
        .iter()
        .copied()
        .filter(|&axis| axis != early)
        .partition(|axis| *axis != late && early_axes.contains(axis) && !other_axes.contains(axis));
    // What it costs as it is, mask included, and with a running sum.
    let kept: BTreeSet<AxisId> = whole.free_axes();
    let mut sets: Vec<BTreeSet<AxisId>> = parts.factors.iter().map(Expr::free_axes).collect();
    sets.push([early, late].into());
    let before = least_cost(graph, &sets, &kept);
    let mut running: BTreeSet<AxisId> =
        early_axes.iter().copied().filter(|axis| !alone.contains(axis)).collect();
    running.remove(&early);
    running.insert(late);
    let mut sets: Vec<BTreeSet<AxisId>> = others.iter().map(Expr::free_axes).collect();
    sets.push(running);
    let after = points(graph, &early_axes) * of_early.len() as f64 + least_cost(graph, &sets, &kept);
    if after * 2.0 > before {
        return None;
    }

    let zero = Expr::Const(scalar_of(0, dtype), dtype);
    let mut body = product(of_early);
    if !alone.is_empty() {
        body = Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: alone, body }));
    }
    let shift = if strict { Expr::Sum(vec![Expr::Index(late), Expr::int(-1)]) } else { Expr::Index(late) };
    let by: BTreeMap<AxisId, Expr<NodeId>> = [(early, shift)].into();
    let mut body = if strict { guarded(&body, early) } else { body };
    body = substitute(&body, &by);
    if strict {
        let started = Expr::Binary(Binary::Gt, Box::new(Expr::Index(late)), Box::new(Expr::int(0)));
        body = Expr::Select(Box::new([started, body, zero]));
    }
    let running = Along { op: AlongOp::CumSum, axes: vec![late], out: vec![late], body };
    let mut factors = others;
    factors.push(Expr::Along(Box::new(running)));
    if parts.scale != scalar_of(1, dtype) {
        factors.insert(0, Expr::Const(parts.scale, dtype));
    }
    let value = product(factors);
    Some(match rest.is_empty() {
        true => value,
        false => Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: rest, body: value })),
    })
}

impl Masked {
    /// Takes an expression apart; `None` where a constant factor cannot be told.
    fn take(&mut self, expr: &Expr<NodeId>) -> Option<()> {
        match expr {
            Expr::Product(list) => list.iter().try_for_each(|part| self.take(part))?,
            Expr::Const(value, _) => self.scale = multiply(self.scale, *value, self.dtype)?,
            Expr::Unary(Unary::Neg, a) => {
                self.scale = multiply(self.scale, scalar_of(-1, self.dtype), self.dtype)?;
                self.take(a)?;
            }
            Expr::Select(parts) if parts[2].is_zero() && positions(&parts[0]).is_some() => {
                self.masks.push(parts[0].clone());
                self.take(&parts[1])?;
            }
            Expr::Reduce(reduce) if reduce.op == ReduceOp::Sum => {
                self.sums.extend(&reduce.axes);
                self.take(&reduce.body)?;
            }
            _ => self.factors.push(expr.clone()),
        }
        Some(())
    }
}

/// Whether there is a mask among the factors; a quick look before anything is copied.
fn has_mask(expr: &Expr<NodeId>) -> bool {
    match expr {
        Expr::Product(list) => list.iter().any(has_mask),
        Expr::Unary(Unary::Neg, a) => has_mask(a),
        Expr::Reduce(reduce) => reduce.op == ReduceOp::Sum && has_mask(&reduce.body),
        Expr::Select(parts) => parts[2].is_zero() && positions(&parts[0]).is_some(),
        _ => false,
    }
}

/// The earlier and the later axis that a condition compares, and whether they must differ.
fn positions(condition: &Expr<NodeId>) -> Option<(AxisId, AxisId, bool)> {
    let Expr::Binary(op, a, b) = condition else { return None };
    let (a, b) = (a.affine()?.axis()?, b.affine()?.axis()?);
    match op {
        Binary::Lt => Some((a, b, true)),
        Binary::Le => Some((a, b, false)),
        Binary::Gt => Some((b, a, true)),
        Binary::Ge => Some((b, a, false)),
        _ => None,
    }
}

fn axes_of(factors: &[Expr<NodeId>]) -> BTreeSet<AxisId> {
    factors.iter().flat_map(Expr::free_axes).collect()
}

fn points(graph: &Graph, axes: &BTreeSet<AxisId>) -> f64 {
    axes.iter().fold(1.0, |n, &axis| n * graph.axes[axis].extent as f64)
}

/// The multiply-adds of a product in its best order of pairs.
fn least_cost(graph: &Graph, operands: &[BTreeSet<AxisId>], kept: &BTreeSet<AxisId>) -> f64 {
    match operands {
        [] => 0.0,
        [only] => points(graph, only),
        [a, b] => points(graph, &a.union(b).copied().collect()),
        _ => {
            let mut least = f64::INFINITY;
            for a in 0..operands.len() {
                for b in a + 1..operands.len() {
                    let mut rest: Vec<BTreeSet<AxisId>> = operands
                        .iter()
                        .enumerate()
                        .filter(|(k, _)| *k != a && *k != b)
                        .map(|(_, set)| set.clone())
                        .collect();
                    let all: BTreeSet<AxisId> = operands[a].union(&operands[b]).copied().collect();
                    let needed =
                        |axis: &AxisId| kept.contains(axis) || rest.iter().any(|set| set.contains(axis));
                    let left: BTreeSet<AxisId> = all.iter().copied().filter(needed).collect();
                    rest.push(left);
                    least = least.min(points(graph, &all) + least_cost(graph, &rest, kept));
                }
            }
            least
        }
    }
}

/// The expression with reads that depend on an axis giving 0 outside, where its value may be -1.
fn guarded(expr: &Expr<NodeId>, axis: AxisId) -> Expr<NodeId> {
    let expr = map_parts(expr, &mut |part| guarded(part, axis));
    match expr {
        Expr::Read(read)
            if read.outside == Outside::Never
                && read.indices.iter().any(|index| index.free_axes().contains(&axis)) =>
        {
            let zero = Expr::Const(scalar_of(0, read.dtype), read.dtype);
            Expr::Read(Read { outside: Outside::Else(Box::new(zero)), ..read })
        }
        other => other,
    }
}

fn product(mut factors: Vec<Expr<NodeId>>) -> Expr<NodeId> {
    if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) }
}

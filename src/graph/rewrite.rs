//! Small tools for rewriting expressions.

use super::{Graph, NodeId};
use crate::expr::{Affine, Along, AxisId, Expr, Outside, Read, Reduce, Unary};
use einc_runtime::{DType, Scalar};
use std::collections::BTreeMap;

/// The same expression with each direct part replaced.
pub fn map_parts<S: Clone>(expr: &Expr<S>, f: &mut dyn FnMut(&Expr<S>) -> Expr<S>) -> Expr<S> {
    match expr {
        Expr::Const(..) | Expr::Index(_) => expr.clone(),
        Expr::Read(read) => Expr::Read(Read {
            source: read.source.clone(),
            dtype: read.dtype,
            indices: read.indices.iter().map(&mut *f).collect(),
            outside: match &read.outside {
                Outside::Else(value) => Outside::Else(Box::new(f(value))),
                other => other.clone(),
            },
            place: read.place,
        }),
        Expr::Unary(op, a) => Expr::Unary(*op, Box::new(f(a))),
        Expr::Binary(op, a, b) => {
            let a = f(a);
            Expr::Binary(*op, Box::new(a), Box::new(f(b)))
        }
        Expr::Sum(parts) => Expr::Sum(parts.iter().map(f).collect()),
        Expr::Product(parts) => Expr::Product(parts.iter().map(f).collect()),
        Expr::Select(parts) => Expr::Select(Box::new([f(&parts[0]), f(&parts[1]), f(&parts[2])])),
        Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(f(a))),
        Expr::Reduce(reduce) => {
            Expr::Reduce(Box::new(Reduce { op: reduce.op, axes: reduce.axes.clone(), body: f(&reduce.body) }))
        }
        Expr::Along(along) => Expr::Along(Box::new(Along {
            op: along.op,
            axes: along.axes.clone(),
            out: along.out.clone(),
            body: f(&along.body),
        })),
    }
}

/// The expression with free axes replaced by expressions.
///
/// No axis that is bound inside may be among the keys or inside the replacements.
pub fn substitute<S: Clone>(expr: &Expr<S>, by: &BTreeMap<AxisId, Expr<S>>) -> Expr<S> {
    match expr {
        Expr::Index(axis) => by.get(axis).cloned().unwrap_or_else(|| expr.clone()),
        _ => map_parts(expr, &mut |part| substitute(part, by)),
    }
}

/// The affine expression with axes replaced; `None` on overflow.
pub fn substitute_affine(index: &Affine, by: &BTreeMap<AxisId, Affine>) -> Option<Affine> {
    let mut sum = Affine { terms: Vec::new(), constant: index.constant };
    for &(axis, coefficient) in &index.terms {
        let term = match by.get(&axis) {
            Some(replacement) => replacement.scaled(coefficient)?,
            None => Affine { terms: vec![(axis, coefficient)], constant: 0 },
        };
        sum = sum.plus(&term)?;
    }
    Some(sum)
}

/// An affine expression as an expression.
pub fn affine_expr<S>(index: &Affine) -> Expr<S> {
    let mut parts: Vec<Expr<S>> = index
        .terms
        .iter()
        .map(|&(axis, coefficient)| match coefficient {
            1 => Expr::Index(axis),
            _ => Expr::Product(vec![Expr::int(coefficient), Expr::Index(axis)]),
        })
        .collect();
    if index.constant != 0 || parts.is_empty() {
        parts.push(Expr::int(index.constant));
    }
    if parts.len() == 1 { parts.remove(0) } else { Expr::Sum(parts) }
}

/// The expression with every axis that a reduction inside binds replaced by a fresh one, so that it can stand beside
/// a copy of itself.
pub fn freshen(graph: &mut Graph, expr: &Expr<NodeId>) -> Expr<NodeId> {
    match expr {
        Expr::Reduce(reduce) => {
            let body = freshen(graph, &reduce.body);
            let axes: Vec<AxisId> = reduce.axes.iter().map(|&axis| graph.fresh_axis(axis)).collect();
            let by = reduce.axes.iter().copied().zip(axes.iter().map(|&axis| Expr::Index(axis))).collect();
            Expr::Reduce(Box::new(Reduce { op: reduce.op, axes, body: substitute(&body, &by) }))
        }
        _ => map_parts(expr, &mut |part| freshen(graph, part)),
    }
}

/// Whether a reduction or a map along axes is somewhere inside.
pub fn has_reduction<S>(expr: &Expr<S>) -> bool {
    matches!(expr, Expr::Reduce(_) | Expr::Along(_)) || expr.parts().into_iter().any(has_reduction)
}

/// How much work an expression is at one point, in units of a multiply-add; reductions count their whole loops.
pub fn work(graph: &Graph, expr: &Expr<NodeId>) -> u64 {
    let own = match expr {
        Expr::Const(..) | Expr::Index(_) => 0,
        Expr::Reduce(reduce) => {
            return work(graph, &reduce.body).max(1).saturating_mul(graph.points(&reduce.axes));
        }
        Expr::Unary(op, _) => match op {
            Unary::Neg | Unary::Not | Unary::Abs | Unary::Relu | Unary::Real | Unary::Imag | Unary::Conj => 1,
            Unary::Sqrt | Unary::Rsqrt | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Sign => 4,
            _ => 16,
        },
        Expr::Binary(op, _, _) => match op {
            crate::expr::Binary::Pow | crate::expr::Binary::Atan2 => 20,
            crate::expr::Binary::Div | crate::expr::Binary::FloorDiv | crate::expr::Binary::Rem => 5,
            _ => 1,
        },
        Expr::Read(_) | Expr::Select(_) | Expr::Cast(..) => 1,
        Expr::Sum(parts) | Expr::Product(parts) => parts.len() as u64 - 1,
        Expr::Along(_) => 64,
    };
    expr.parts().into_iter().fold(own, |sum, part| sum.saturating_add(work(graph, part)))
}

/// The product of two scalars of one dtype, rounded or wrapped as that dtype does; `None` where it cannot be told.
pub fn multiply(a: Scalar, b: Scalar, dtype: DType) -> Option<Scalar> {
    Some(match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => wrap(a.wrapping_mul(b), dtype),
        (Scalar::Real(a), Scalar::Real(b)) => Scalar::Real(a * b),
        (Scalar::Complex(a, b), Scalar::Complex(c, d)) => Scalar::Complex(a * c - b * d, a * d + b * c),
        _ => return None,
    })
}

/// The integer that a dtype keeps of it.
pub fn wrap(value: i128, dtype: DType) -> Scalar {
    match dtype.integer_range() {
        Some((low, high)) => Scalar::Int(value.wrapping_sub(low).rem_euclid(high - low + 1) + low),
        None => Scalar::Int(value),
    }
}

/// A scalar of that dtype with an integer value.
pub fn scalar_of(value: i64, dtype: DType) -> Scalar {
    if dtype.is_complex() {
        Scalar::Complex(value as f64, 0.0)
    } else if dtype.is_float() {
        Scalar::Real(value as f64)
    } else {
        wrap(value.into(), dtype)
    }
}

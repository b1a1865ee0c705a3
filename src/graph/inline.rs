//! What the axes of a node are where it is read: the first step of putting its formula in the place of a read.

use super::{Graph, Node};
use crate::expr::{Affine, AxisId, Binary, Expr};
use std::collections::BTreeMap;

/// For each axis of a node its value at indices; a flattened dim is taken apart with `//` and `%` if need be.
pub fn axis_values<S: Clone>(graph: &Graph, node: &Node, indices: &[Expr<S>]) -> BTreeMap<AxisId, Expr<S>> {
    let mut values = BTreeMap::new();
    for (dim, index) in node.dims.iter().zip(indices) {
        match dim[..] {
            [] => {}
            [axis] => {
                values.insert(axis, index.clone());
            }
            _ => {
                if let Some(parts) = index.affine().and_then(|index| split(graph, dim, &index)) {
                    let parts = parts.iter().map(super::rewrite::affine_expr);
                    values.extend(dim.iter().copied().zip(parts));
                    continue;
                }
                let mut inner = 1u64;
                for (k, &axis) in dim.iter().enumerate().rev() {
                    let extent = graph.axes[axis].extent;
                    let constant = |value: u64| Box::new(Expr::int(i64::try_from(value).unwrap_or(i64::MAX)));
                    let mut value = index.clone();
                    if inner > 1 {
                        value = Expr::Binary(Binary::FloorDiv, Box::new(value), constant(inner));
                    }
                    if k > 0 {
                        value = Expr::Binary(Binary::Rem, Box::new(value), constant(extent));
                    }
                    values.insert(axis, value);
                    inner = inner.saturating_mul(extent);
                }
            }
        }
    }
    values
}

/// For each axis of a node its value at affine indices; `None` where a flattened dim does not come apart.
pub fn axis_affines(graph: &Graph, node: &Node, indices: &[Affine]) -> Option<BTreeMap<AxisId, Affine>> {
    let mut values = BTreeMap::new();
    for (dim, index) in node.dims.iter().zip(indices) {
        match dim[..] {
            [] => {}
            [axis] => {
                values.insert(axis, index.clone());
            }
            _ => values.extend(dim.iter().copied().zip(split(graph, dim, index)?)),
        }
    }
    Some(values)
}

/// Takes an index of a flattened dim apart into one for each of its axes, each inside its extent.
fn split(graph: &Graph, dim: &[AxisId], index: &Affine) -> Option<Vec<Affine>> {
    let mut parts = vec![Affine::default(); dim.len()];
    let mut strides = vec![1i64; dim.len()];
    for k in (0..dim.len().saturating_sub(1)).rev() {
        let extent = i64::try_from(graph.axes[dim[k + 1]].extent).ok()?;
        strides[k] = strides[k + 1].checked_mul(extent)?;
    }
    let mut rest = index.constant;
    for (k, &stride) in strides.iter().enumerate() {
        if stride == 0 {
            return None;
        }
        parts[k].constant = rest.div_euclid(stride);
        rest = rest.rem_euclid(stride);
    }
    for &(axis, coefficient) in &index.terms {
        // The outermost part whose stride divides the coefficient.
        let k = strides.iter().position(|stride| coefficient % stride == 0)?;
        parts[k].terms.push((axis, coefficient / strides[k]));
    }
    for (part, &axis) in parts.iter().zip(dim) {
        let (low, high) = part.bounds(&graph.axes)?;
        if low < 0 || u64::try_from(high).is_ok_and(|high| high >= graph.axes[axis].extent) {
            return None;
        }
    }
    Some(parts)
}

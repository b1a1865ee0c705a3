//! Makes Fourier transforms of products with tables of roots of unity.
//!
//! ```text
//! n4[k,l] = sum[m,n] n1[k,m] * n2[l,n] * n3[k,n] * n0[m,n]   =>   n5[k,n] = dft[m -> k](n0[m,n])
//!                                                                n4[k,l] = dft[n -> l](n3[k,n] * n5[k,n])
//! ```
//!
//! Here `n1` and `n2` are constants whose elements are `exp(-2 pi i k m / len)`, to the last digits, where `len` is the
//! extent of both axes: so a sum over `m` is a transform of the product of all other factors that have `m`. Fires where every
//! sum of a contraction is one, the lengths have small factors alone, and no product on the way has more elements than the
//! result or than an operand. Takes time linear in the elements of constants.

use super::{Access, Along, Graph, Node, NodeId, Op, Term};
use crate::expr::{Affine, AlongOp, AxisId, Expr};
use einc_runtime::fourier::Transform;
use einc_runtime::{DType, Scalar, Tensor};
use std::collections::BTreeSet;
use std::f64::consts::TAU;

/// The shortest sum that is better a transform than a product.
const LEAST: u64 = 8;

/// Makes Fourier transforms of products with tables of roots of unity.
pub fn find_transforms(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    // A limit of memory may ask for slices, which transforms do not have.
    if graph.memory_limit.is_some() {
        return graph;
    }
    for id in graph.ids() {
        let node = graph.node(id);
        let Op::Contract(terms) = &node.op else { continue };
        let ([term], DType::C64 | DType::C128, None, false) =
            (&terms[..], node.dtype, node.scan, node.keep_order)
        else {
            continue;
        };
        if let Some(steps) = Steps::of(&graph, node, term) {
            steps.write(&mut graph, id);
        }
    }
    graph.link();
    graph
}

/// A transform from one axis to another by a table, and whether it is the inverse one, but for its factor.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Table {
    operand: usize,
    from: AxisId,
    to: AxisId,
    inverse: bool,
}

/// The transforms of a contraction, in order.
struct Steps {
    list: Vec<Table>,
    term: Term,
}

impl Steps {
    /// `None` where not every sum is a transform.
    fn of(graph: &Graph, node: &Node, term: &Term) -> Option<Steps> {
        let mut tables: Vec<Table> = Vec::new();
        for &axis in &term.sum {
            let table = (0..term.operands.len()).find_map(|operand| table_of(graph, term, operand, axis))?;
            let is_new = tables.iter().all(|other| other.operand != table.operand && other.to != table.to);
            // Each axis of the result comes from one sum.
            tables.push(Some(table).filter(|_| is_new)?);
        }
        let points = |axes: &BTreeSet<AxisId>| graph.points(axes);
        let rest = (0..term.operands.len()).filter(|at| tables.iter().all(|table| table.operand != *at));
        let mut parts: Vec<BTreeSet<AxisId>> = rest.map(|at| term.operands[at].axes()).collect();
        let most = parts.iter().map(points).chain([node.elems()]).max()?;
        let mut list = Vec::new();
        while !tables.is_empty() {
            // The one whose product has the fewest elements comes first.
            let product = |table: &Table| -> BTreeSet<AxisId> {
                parts.iter().filter(|part| part.contains(&table.from)).flatten().copied().collect()
            };
            let next = (0..tables.len())
                .filter(|&at| !product(&tables[at]).contains(&tables[at].to))
                .min_by_key(|&at| points(&product(&tables[at])))?;
            let table = tables.remove(next);
            let mut joined = product(&table);
            if joined.is_empty() || points(&joined) > most {
                return None;
            }
            parts.retain(|part| !part.contains(&table.from));
            joined.remove(&table.from);
            joined.insert(table.to);
            parts.push(joined);
            list.push(table);
        }
        (!list.is_empty()).then(|| Steps { list, term: term.clone() })
    }

    /// Puts the transforms in the place of the contraction.
    fn write(self, graph: &mut Graph, id: NodeId) {
        let node = graph.node(id).clone();
        let is_table = |at: usize| self.list.iter().any(|table| table.operand == at);
        let all = self.term.operands.iter().enumerate();
        let mut parts: Vec<Access> = all.filter(|(at, _)| !is_table(*at)).map(|(_, o)| o.clone()).collect();
        let mut scale =
            Some(self.term.scale).filter(|scale| *scale != super::rewrite::scalar_of(1, node.dtype));
        for (number, table) in self.list.iter().enumerate() {
            let (mut inside, outside): (Vec<Access>, Vec<Access>) =
                parts.into_iter().partition(|part| part.axes().contains(&table.from));
            // Its axes are those of the largest factor, in order, and what others have besides.
            inside.sort_by_key(|part| graph.points(&part.axes()));
            let mut axes: Vec<AxisId> = Vec::new();
            for axis in inside.iter().rev().flat_map(axes_in_order) {
                if !axes.contains(&axis) {
                    axes.push(axis);
                }
            }
            let mut factors: Vec<Expr<NodeId>> = Vec::new();
            let len = graph.axes[table.from].extent as f64;
            let by = if table.inverse { Some(Scalar::Complex(len, 0.0)) } else { None };
            let known = [by, scale.take()].into_iter().flatten();
            factors.extend(known.map(|value| Expr::Const(value, node.dtype)));
            factors.extend(inside.iter().map(|part| part.read(node.dtype, node.place)));
            let body = if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) };
            let op = if table.inverse { AlongOp::Idft } else { AlongOp::Dft };
            let along = Op::Along(Along { op, axes: vec![table.from], out: vec![table.to], body });
            axes.iter_mut().filter(|axis| **axis == table.from).for_each(|axis| *axis = table.to);
            let is_last = number + 1 == self.list.len() && outside.is_empty();
            let has_all = axes.iter().collect::<BTreeSet<_>>() == node.axes().iter().collect();
            if is_last && has_all {
                graph.node_mut(id).op = along;
                return;
            }
            let known = graph.add(Node {
                name: format!("{}.{}", node.name, graph.axes[table.to].name),
                dtype: node.dtype,
                shape: axes.iter().map(|&axis| graph.axes[axis].extent).collect(),
                dims: axes.iter().map(|&axis| vec![axis]).collect(),
                op: along,
                scan: None,
                keep_order: false,
                place: node.place,
            });
            let index = |&axis: &AxisId| Affine { terms: vec![(axis, 1)], constant: 0 };
            parts = outside;
            parts.push(Access { node: known, indices: axes.iter().map(index).collect() });
        }
        let scale = super::rewrite::scalar_of(1, node.dtype);
        graph.node_mut(id).op = Op::Contract(vec![Term { scale, sum: Vec::new(), operands: parts }]);
    }
}

/// The axes of an operand as they come in its indices.
fn axes_in_order(access: &Access) -> Vec<AxisId> {
    access.indices.iter().flat_map(|index| index.terms.iter().map(|term| term.0)).collect()
}

/// The transform of a summed axis that an operand is.
fn table_of(graph: &Graph, term: &Term, operand: usize, axis: AxisId) -> Option<Table> {
    let access = &term.operands[operand];
    let Op::Constant(values) = &graph.node(access.node).op else { return None };
    let [a, b] = &access.indices[..] else { return None };
    let (a, b) = (a.axis()?, b.axis()?);
    let to = if a == axis { b } else { a };
    let len = graph.axes[axis].extent;
    let square = values.shape() == [len, len] && graph.axes[to].extent == len;
    let fits = len >= LEAST && Transform::has_columns(values.dtype(), len);
    if a == b || (a != axis && b != axis) || term.sum.contains(&to) || !square || !fits {
        return None;
    }
    let is = |inverse: bool| holds_roots(values, len as usize, inverse);
    let inverse = is(true);
    (inverse || is(false)).then_some(Table { operand, from: axis, to, inverse })
}

/// Whether element `[k, n]` is `exp(-2 pi i k n / len)`, or its inverse, within what rounding leaves of an angle.
fn holds_roots(values: &Tensor, len: usize, inverse: bool) -> bool {
    let epsilon = if values.dtype() == DType::C64 { f64::from(f32::EPSILON) } else { 0.0 };
    let bound = 2.0 * epsilon + 2.0 * TAU * len as f64 * f64::EPSILON;
    let sign = if inverse { 1.0 } else { -1.0 };
    (0..len * len).all(|at| {
        let turn = (at / len) * (at % len) % len;
        let (sin, cos) = (sign * TAU * turn as f64 / len as f64).sin_cos();
        let Scalar::Complex(re, im) = values.get(at) else { return false };
        (re - cos).abs() <= bound && (im - sin).abs() <= bound
    })
}

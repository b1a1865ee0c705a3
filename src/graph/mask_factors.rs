//! Takes conditions of a sum of products of two factors to one of them where the other, a softmax, is zero without them.
//!
//! ```text
//! n2[t,s] = softmax[s](select((s <= t) and (n1[s] > 0), .., -inf))
//! n3[t,f] = sum[s](select((s <= t) and (n1[s] > 0), n2[t,s] * n0[s,f], 0))
//!     =>
//! n4[s,f] = select(n1[s] > 0, n0[s,f], 0)
//! n3[t,f] = sum[s](select(s <= t, n2[t,s] * n4[s,f], 0))
//! ```
//!
//! What is left is a contraction, or one in a band. Why that is right: all that the sum demands, the softmax demands as well.
//! So where a row of weights is finite, each is zero where what is taken away does not hold, and there `n4` is zero too:
//! zeros are added to the same products. Otherwise the whole row is NaN, for some weight that the softmax takes is; the sum
//! is over whole rows and takes that weight too, and is NaN with or without the rest. A row that takes none is zero. A third
//! factor could be infinite or NaN where the sum leaves it out.
//!
//! Fires where the conditions that are left compare indices, as those of a band do, and where the factor is used for several
//! rows. Takes time linear in the text.

use super::rewrite::{has_reduction, map_parts, scalar_of, substitute};
use super::{Graph, Node, NodeId, Op};
use crate::expr::{AlongOp, AxisId, Binary, Expr, Outside, Read, Reduce, ReduceOp};
use einc_runtime::{DType, Scalar};
use std::collections::{BTreeMap, BTreeSet};

/// Takes conditions of sums to a factor where the other is zero without them.
pub fn mask_factors(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.ids() {
        let node = graph.node(id);
        let (Op::Map(value), None) = (&node.op, node.scan) else { continue };
        if has_reduction(value) {
            let value = value.clone();
            graph.node_mut(id).op = Op::Map(masked_in(&mut graph, &value));
        }
    }
    graph.link();
    graph
}

fn masked_in(graph: &mut Graph, expr: &Expr<NodeId>) -> Expr<NodeId> {
    if let Expr::Reduce(reduce) = expr
        && let Some(change) = Change::of(graph, reduce)
    {
        return change.write(graph, reduce);
    }
    map_parts(expr, &mut |part| masked_in(graph, part))
}

/// What is taken from a sum.
struct Change {
    weights: Expr<NodeId>,
    /// The factor that is masked.
    factor: Read<NodeId>,
    moved: Vec<Expr<NodeId>>,
    left: Vec<Expr<NodeId>>,
}

impl Change {
    fn of(graph: &Graph, reduce: &Reduce<NodeId>) -> Option<Change> {
        let (ReduceOp::Sum, Expr::Select(parts)) = (reduce.op, &reduce.body) else { return None };
        let Expr::Product(factors) = &parts[1] else { return None };
        if !parts[2].is_zero() || parts[0].can_fail() {
            return None;
        }
        let [a, b] = &factors[..] else { return None };
        let conditions = conditions(&parts[0]);
        [(a, b), (b, a)].into_iter().find_map(|(weights, factor)| {
            let known = zero_unless(graph, weights, &reduce.axes)?;
            let (axes, Expr::Read(factor)) = (plain_axes(graph, factor)?, factor) else { return None };
            let is_own = |one: &Expr<NodeId>| one.free_axes().iter().all(|axis| axes.contains(axis));
            let (moved, left): (Vec<_>, Vec<_>) = conditions.iter().cloned().partition(is_own);
            let rows = weights.free_axes();
            let fires = conditions.iter().all(|one| known.contains(one))
                && !moved.is_empty()
                && left.iter().all(compares_indices)
                && graph.points(rows.iter().filter(|axis| !axes.contains(axis))) > 1;
            fires.then(|| Change { weights: weights.clone(), factor: factor.clone(), moved, left })
        })
    }

    fn write(self, graph: &mut Graph, reduce: &Reduce<NodeId>) -> Expr<NodeId> {
        let read = self.factor;
        let zero = |dtype: DType| Expr::Const(scalar_of(0, dtype), dtype);
        let (fresh, by): (Vec<AxisId>, BTreeMap<AxisId, Expr<NodeId>>) = read
            .indices
            .iter()
            .flat_map(Expr::free_axes)
            .map(|axis| {
                let fresh = graph.fresh_axis(axis);
                (fresh, (axis, Expr::Index(fresh)))
            })
            .unzip();
        let condition = Expr::all_of(self.moved).expect("some condition is moved");
        let own = Expr::Read(read.clone());
        let value = Expr::Select(Box::new([condition, own, zero(read.dtype)]));
        let node = graph.node(read.source);
        let masked = Node {
            name: format!("{}.masked", node.name),
            dtype: read.dtype,
            shape: fresh.iter().map(|&axis| graph.axes[axis].extent).collect(),
            dims: fresh.iter().map(|&axis| vec![axis]).collect(),
            op: Op::Map(substitute(&value, &by)),
            scan: None,
            keep_order: false,
            place: node.place,
        };
        let source = graph.add(masked);
        let product = Expr::Product(vec![self.weights, Expr::Read(Read { source, ..read })]);
        let dtype = product.dtype();
        let body = match Expr::all_of(self.left) {
            Some(condition) => Expr::Select(Box::new([condition, product, zero(dtype)])),
            None => product,
        };
        Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: reduce.axes.clone(), body }))
    }
}

/// The conditions that an expression joins by `and`. Where a read stands in the source makes no difference.
fn conditions(expr: &Expr<NodeId>) -> Vec<Expr<NodeId>> {
    let placeless = |condition: &Expr<NodeId>| {
        condition.map_reads(&mut |read, indices, outside| {
            let place = Default::default();
            Expr::Read(Read { source: read.source, dtype: read.dtype, indices, outside, place })
        })
    };
    expr.conjuncts().into_iter().map(placeless).collect()
}

/// The conditions without which a factor is zero, or its whole row NaN, if it is a softmax over whole rows that are summed.
fn zero_unless(graph: &Graph, factor: &Expr<NodeId>, summed: &[AxisId]) -> Option<Vec<Expr<NodeId>>> {
    let axes = plain_axes(graph, factor)?;
    let Expr::Read(read) = factor else { return None };
    let node = graph.node(read.source);
    let Op::Along(along) = &node.op else { return None };
    let Expr::Select(parts) = &along.body else { return None };
    let Expr::Const(Scalar::Real(least), _) = parts[2] else { return None };
    if along.op != AlongOp::Softmax || least != f64::NEG_INFINITY {
        return None;
    }
    let mut by: BTreeMap<AxisId, Expr<NodeId>> = BTreeMap::new();
    for (dim, &axis) in node.dims.iter().zip(&axes) {
        let &[own] = &dim[..] else { return None };
        let along_axis = along.out.iter().position(|&out| out == own).map(|number| along.axes[number]);
        if along_axis.is_some()
            && !(summed.contains(&axis) && graph.axes[axis].extent == graph.axes[own].extent)
        {
            return None;
        }
        by.insert(along_axis.unwrap_or(own), Expr::Index(axis));
    }
    Some(conditions(&substitute(&parts[0], &by)))
}

/// The axes of a read of a value outside scans that has one of its own for each dim.
fn plain_axes(graph: &Graph, factor: &Expr<NodeId>) -> Option<Vec<AxisId>> {
    let Expr::Read(read) = factor else { return None };
    let axis = |index: &Expr<NodeId>| match index {
        Expr::Index(axis) => Some(*axis),
        _ => None,
    };
    let axes: Vec<AxisId> = read.indices.iter().map(axis).collect::<Option<_>>()?;
    let distinct: BTreeSet<AxisId> = axes.iter().copied().collect();
    let is_plain = read.outside == Outside::Never && graph.node(read.source).scan.is_none();
    (is_plain && distinct.len() == axes.len()).then_some(axes)
}

/// Whether a condition compares indices alone.
fn compares_indices(condition: &Expr<NodeId>) -> bool {
    match condition {
        Expr::Binary(Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge, a, b) => {
            [a, b].iter().all(|side| side.dtype() == DType::I64 && side.affine().is_some())
        }
        _ => false,
    }
}

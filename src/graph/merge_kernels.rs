//! Makes one convolution of several of one operand.
//!
//! ```text
//! n5[o,y] = sum[c,r] n1[o,c,r] * n0[c,y + r] + sum[c,s] n2[o,c,s] * n4[c,y + s]    n4[c,y] = n0[c,y - 1 else 0]
//!     =>
//! n6[o,c,s] = n2[o,c,s] + n1[o,c,s - 1 else 0]
//! n5[o,y] = sum[c,s] n6[o,c,s] * n4[c,y + s]
//! ```
//!
//! Why that is right: let `z` be the operand, zero outside of its extents, and let term `t` be the sum over `r` of
//! `s_t K_t[r] z[y + r + a_t]`. With `R = r + a_t - a` it is the sum over `R` of `s_t K_t[R + a - a_t] z[y + R + a]`, where
//! `K_t` is zero outside of its extents. If every `R` lies in the range of the term with the widest windows, whose offset
//! is `a`, the sum of all terms is the sum over that range of `(sum_t s_t K_t[R + a - a_t]) z[y + R + a]`: one
//! convolution, whose kernel is the sum of the shifted kernels. It has as many taps as the widest has.
//!
//! Takes time linear in the text for each pair of terms.

use super::rewrite::{affine_expr, scalar_of, substitute_affine};
use super::{Access, Graph, Node, NodeId, Op, Term};
use crate::expr::{Affine, AxisId, Expr, Outside, Read};
use einc_runtime::Scalar;
use std::collections::BTreeMap;

/// Makes one convolution of several of one operand.
pub fn merge_kernels(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for id in graph.ids() {
        while merge(&mut graph, id).is_some() {}
    }
    graph.link();
    graph
}

/// A term as a convolution.
#[derive(Clone)]
struct Convolution {
    term: usize,
    scale: Scalar,
    /// The operand without padding.
    source: NodeId,
    kernel: Access,
    dims: Vec<Dim>,
}

/// How a term reads a dim of its operand.
#[derive(Clone, PartialEq)]
struct Dim {
    /// The axes of the value, with their coefficients.
    own: Vec<(AxisId, i64)>,
    /// The summed axis, and how many values it has.
    summed: Option<(AxisId, u64)>,
    /// Where the windows start.
    offset: i64,
}

impl Dim {
    /// The least and greatest offset.
    fn range(&self) -> (i64, i64) {
        let length = self.summed.map_or(1, |(_, extent)| i64::try_from(extent).unwrap_or(i64::MAX));
        (self.offset, self.offset.saturating_add(length - 1))
    }
}

/// Merges two terms of a contraction; `None` where no two can be.
fn merge(graph: &mut Graph, id: NodeId) -> Option<()> {
    let node = graph.node(id).clone();
    let Op::Contract(terms) = &node.op else { return None };
    if node.keep_order || node.scan.is_some() || !node.dtype.is_float() || terms.len() < 2 {
        return None;
    }
    let found: Vec<Convolution> = terms
        .iter()
        .enumerate()
        .filter_map(|(number, term)| convolution(graph, &node, number, term))
        .collect();
    for wide in &found {
        let copies = (0..terms.len()).flat_map(|number| unfolded(graph, &node, wide, number, &terms[number]));
        let all: Vec<Convolution> = found.iter().cloned().chain(copies).collect();
        for narrow in &all {
            if wide.term != narrow.term
                && let Some(kernel) = joint_kernel(graph, &node, wide, narrow)
            {
                let kernel = graph.add(kernel);
                let Op::Contract(terms) = &mut graph.node_mut(id).op else { return None };
                let term = &mut terms[wide.term];
                term.scale = scalar_of(1, node.dtype);
                for operand in &mut term.operands {
                    if *operand == wide.kernel {
                        operand.node = kernel;
                    }
                }
                terms.remove(narrow.term);
                graph.link();
                return Some(());
            }
        }
    }
    None
}

/// A term as a convolution of an operand that may be padded with zeros.
fn convolution(graph: &Graph, node: &Node, number: usize, term: &Term) -> Option<Convolution> {
    let [a, b] = &term.operands[..] else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(window, kernel)| {
        if kernel.indices.iter().any(|index| index.axis().is_none()) || kernel == window {
            return None;
        }
        let (source, shifts) = padded(graph, window.node);
        let value = node.axes();
        let dims: Option<Vec<Dim>> = window
            .indices
            .iter()
            .zip(shifts)
            .map(|(index, shift)| {
                let (own, summed): (Vec<_>, Vec<_>) =
                    index.terms.iter().partition(|term| value.contains(&term.0));
                let summed = match summed[..] {
                    [] => None,
                    [(axis, 1)] => Some((axis, graph.axes[axis].extent)),
                    _ => return None,
                };
                Some(Dim { own, summed, offset: index.constant.checked_add(shift)? })
            })
            .collect();
        let dims = dims?;
        // Windows move with the value; a kernel has every summed axis, each of one dim.
        let moves = dims.iter().any(|dim| !dim.own.is_empty() && dim.summed.is_some());
        let all = term.sum.iter().all(|axis| {
            let once = dims.iter().filter(|dim| dim.summed.is_some_and(|summed| summed.0 == *axis)).count();
            let kernel = kernel.indices.iter().filter(|index| index.axis() == Some(*axis)).count();
            once == 1 && kernel == 1
        });
        (moves && all).then(|| Convolution {
            term: number,
            scale: term.scale,
            source,
            kernel: kernel.clone(),
            dims,
        })
    })
}

/// A term that reads what the operand of another is a copy of, as a convolution of that operand without an offset.
///
/// Which summed axis moves which dim is found by trying: the access must be what the copy reads there.
fn unfolded(graph: &Graph, node: &Node, wide: &Convolution, number: usize, term: &Term) -> Vec<Convolution> {
    let from = graph.node(wide.source);
    let (Op::Map(Expr::Read(read)), [a, b]) = (&from.op, &term.operands[..]) else { return Vec::new() };
    let moved: Vec<usize> = (0..wide.dims.len()).filter(|&dim| wide.dims[dim].summed.is_some()).collect();
    let plain = from.dims.iter().all(|dim| dim.len() == 1) && from.scan.is_none() && from.dtype == node.dtype;
    if !plain || moved.len() != term.sum.len() || moved.len() > MOST_DIMS {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (window, kernel) in [(a, b), (b, a)] {
        if window.node != read.source || kernel.indices.iter().any(|index| index.axis().is_none()) {
            continue;
        }
        for order in orders(&term.sum) {
            let mut dims = wide.dims.clone();
            for (&dim, &axis) in moved.iter().zip(&order) {
                dims[dim].summed = Some((axis, graph.axes[axis].extent));
            }
            dims.iter_mut().for_each(|dim| dim.offset = 0);
            if reads_at(graph, from, read, &dims, window) {
                let (source, kernel, scale) = (wide.source, kernel.clone(), term.scale);
                found.push(Convolution { term: number, scale, source, kernel, dims });
            }
        }
    }
    found
}

/// How many dims are matched by trying.
const MOST_DIMS: usize = 4;

/// All orders of some axes.
fn orders(axes: &[AxisId]) -> Vec<Vec<AxisId>> {
    if axes.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, &first) in axes.iter().enumerate() {
        let rest: Vec<AxisId> = [&axes[..at], &axes[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

/// Whether an access is what a copy reads at these places, all inside of the copy.
fn reads_at(graph: &Graph, copy: &Node, read: &Read<NodeId>, dims: &[Dim], access: &Access) -> bool {
    let mut by: BTreeMap<AxisId, Affine> = BTreeMap::new();
    for ((dim, own), &extent) in dims.iter().zip(&copy.dims).zip(&copy.shape) {
        let mut terms = dim.own.clone();
        terms.extend(dim.summed.map(|(axis, _)| (axis, 1)));
        terms.sort_unstable();
        let index = Affine { terms, constant: dim.offset };
        let inside = index
            .bounds(&graph.axes)
            .is_some_and(|(low, high)| low >= 0 && u64::try_from(high).is_ok_and(|high| high < extent));
        if !inside {
            return false;
        }
        by.insert(own[0], index);
    }
    let there = read.indices.iter().zip(&access.indices).all(|(index, wanted)| {
        let at = index.affine().and_then(|index| substitute_affine(&index, &by));
        at.as_ref() == Some(wanted)
    });
    there && read.indices.len() == access.indices.len()
}

/// What a node is a copy of with zeros around, and what is added to each index; the node itself otherwise.
pub(crate) fn padded(graph: &Graph, id: NodeId) -> (NodeId, Vec<i64>) {
    let node = graph.node(id);
    let itself = (id, vec![0; node.shape.len()]);
    let Op::Map(Expr::Read(read)) = &node.op else { return itself };
    let zero = match &read.outside {
        Outside::Else(value) => matches!(**value, Expr::Const(Scalar::Real(0.0), _)),
        Outside::Never => true,
        _ => false,
    };
    let from = graph.node(read.source);
    if !zero || from.dtype != node.dtype || from.scan.is_some() || read.indices.len() != node.dims.len() {
        return itself;
    }
    let shifts: Option<Vec<i64>> = read
        .indices
        .iter()
        .zip(&node.dims)
        .map(|(index, dim)| {
            let index = index.affine()?;
            match (&index.terms[..], &dim[..]) {
                (&[(axis, 1)], &[own]) if axis == own => Some(index.constant),
                _ => None,
            }
        })
        .collect();
    shifts.map_or(itself, |shifts| (read.source, shifts))
}

/// The kernel that stands for two, in the place of the one with the wider windows.
fn joint_kernel(graph: &mut Graph, node: &Node, wide: &Convolution, narrow: &Convolution) -> Option<Node> {
    if wide.source != narrow.source || wide.dims.len() != narrow.dims.len() {
        return None;
    }
    // The axes of the wide term that the narrow term's stand for, and what is added to the wide one's.
    let mut axes: BTreeMap<AxisId, (AxisId, i64)> = BTreeMap::new();
    for (a, b) in wide.dims.iter().zip(&narrow.dims) {
        let ((low, high), (least, most)) = (a.range(), b.range());
        if a.own != b.own || least < low || most > high {
            return None;
        }
        match (a.summed, b.summed) {
            (Some((to, _)), Some((from, _))) => {
                axes.insert(from, (to, low.checked_sub(least)?));
            }
            (None, None) => {}
            // Without an axis of its own, the narrow term has no place to say which tap is its own.
            _ => return None,
        }
    }
    let kernel = graph.node(wide.kernel.node).clone();
    let order: Vec<AxisId> = wide.kernel.indices.iter().filter_map(Affine::axis).collect();
    let fresh: Vec<AxisId> = order.iter().map(|&axis| graph.fresh_axis(axis)).collect();
    let renamed = |axis: AxisId| order.iter().position(|&own| own == axis).map(|at| fresh[at]);
    let distinct = order.iter().enumerate().all(|(at, axis)| !order[..at].contains(axis));
    let whole = fresh.iter().zip(&kernel.shape).all(|(&axis, &extent)| graph.axes[axis].extent == extent);
    if !distinct || !whole || kernel.dtype != node.dtype {
        return None;
    }
    let dtype = node.dtype;
    let read = |access: &Access, indices: Vec<Expr<NodeId>>, outside, scale: Scalar| {
        let read = Expr::Read(Read { source: access.node, dtype, indices, outside, place: node.place });
        match scale == scalar_of(1, dtype) {
            true => read,
            false => Expr::Product(vec![Expr::Const(scale, dtype), read]),
        }
    };
    let own = fresh.iter().map(|&axis| Expr::Index(axis)).collect();
    let other: Option<Vec<Expr<NodeId>>> = narrow
        .kernel
        .indices
        .iter()
        .map(|index| {
            let axis = index.axis()?;
            let (to, by) = axes.get(&axis).copied().unwrap_or((axis, 0));
            Some(affine_expr(&Affine { terms: vec![(renamed(to)?, 1)], constant: by }))
        })
        .collect();
    let zero = Outside::Else(Box::new(Expr::number(0.0, dtype)));
    let value = Expr::Sum(vec![
        read(&wide.kernel, own, Outside::Never, wide.scale),
        read(&narrow.kernel, other?, zero, narrow.scale),
    ]);
    Some(Node {
        name: format!("{}.kernel", node.name),
        dtype,
        shape: kernel.shape.clone(),
        dims: fresh.iter().map(|&axis| vec![axis]).collect(),
        op: Op::Map(value),
        scan: None,
        keep_order: false,
        place: node.place,
    })
}

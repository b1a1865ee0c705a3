//! Contractions that read an operand through windows: which intermediates lie with their channels innermost for them, and
//! which zeros they leave out.
//!
//! ```text
//! n4[b,c,y,x] = n0[b,c,y - 1,x - 1 else 0]                        contract n5[b,o,y=0,x=0] = n3[o,c,u=1..3,v=1..3] * n0[..]
//! n5[b,o,y,x] = sum[c,u,v] n3[o,c,u,v] * n4[b,c,y + u,x + v]  =>  contract n5[b,o,y=0,x=1..X-1] = n3[o,c,u=1..3,v] * n0[..]
//!                                                                 ..
//! ```
//!
//! With the channels `c` of windows innermost a window's sums are runs that a product reads where they are, and with the
//! filters `o` of the result innermost they fill vectors, however short rows of places are. So lie intermediates, and those
//! that functions of single elements join to them. Places whose windows leave the operand by the same taps are a piece; each
//! piece is a contraction over the taps inside. Where every window is cut so, the copy with zeros around need not exist, nor
//! the copy that it is made from.
//!
//! Zeros that are left out would make no numbers of weights that are infinite; as everywhere, what a condition excludes is
//! not read. Takes time linear in the graph, and in the positions along axes.

mod pieces;

pub(super) use pieces::Cut;

use super::lower::row_major;
use crate::expr::{Affine, AxisId, Expr};
use crate::graph::{Access, Graph, Node, NodeId, Op, Term, in_place, is_one, padded, substitute_affine};
use pieces::{Split, split};
use std::collections::{BTreeMap, BTreeSet};

/// Sums side by side in a window from which on it is read where it is.
const RUN: u64 = 16;

/// The fewest channels.
const CHANNELS: u64 = 4;

/// Bytes of a vector.
const VECTOR: u64 = 64;

/// Bytes of the filters of an element up to which packing windows would be a good part of the work.
const FILTERS: u64 = 384;

/// The most pieces of a contraction.
const PIECES: usize = 32;

/// The fewest rows of a piece.
const ROWS: u64 = 4;

/// What share of the multiply-adds must be zeros for a copy that is there to be read in pieces.
const ZEROS: f64 = 1.0 / 16.0;

/// What is decided about windows before a graph is lowered.
#[derive(Default)]
pub(super) struct Windows {
    /// The order in which the dims of intermediates lie, outermost first, where that is decided.
    orders: BTreeMap<NodeId, Vec<usize>>,
    /// The terms that are contracted in pieces, by node and number.
    cuts: BTreeMap<(NodeId, usize), Cut>,
    /// The values that nothing reads any more.
    gone: BTreeSet<NodeId>,
}

/// A term with windows, and what the dims of its operands are.
struct Convolution {
    /// The operand with windows.
    operand: usize,
    /// The order of its dims, of the kernel's and of the value's, with channels and filters innermost.
    window: Vec<usize>,
    kernel: Vec<usize>,
    value: Vec<usize>,
    /// The axes of the value that windows lie along, and the channels, outermost first.
    places: Vec<AxisId>,
    channels: Vec<AxisId>,
    /// Dims with an axis of the value and a summed one.
    moved: Vec<usize>,
}

impl Convolution {
    /// The convolution that a term is, if channels and filters are as many as vectors need.
    fn of(graph: &Graph, node: &Node, term: &Term) -> Option<Convolution> {
        let [a, b] = &term.operands[..] else { return None };
        let moves = |access: &Access| access.indices.iter().any(|index| index.terms.len() > 1);
        let (operand, window, kernel) = match (moves(a), moves(b)) {
            (true, false) => (0, a, b),
            (false, true) => (1, b, a),
            _ => return None,
        };
        let own = node.axes();
        let (mut batch, mut moved, mut channels) = (Vec::new(), Vec::new(), Vec::new());
        let (mut places, mut points, mut taps, mut summed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (dim, index) in window.indices.iter().enumerate() {
            match index.terms[..] {
                [] => batch.push(dim),
                [(axis, 1)] if own.contains(&axis) => {
                    batch.push(dim);
                    places.push(axis);
                }
                [(axis, 1)] => {
                    channels.push(dim);
                    summed.push(axis);
                }
                [one, other] => {
                    let (point, tap) = if own.contains(&one.0) { (one.0, other.0) } else { (other.0, one.0) };
                    if !own.contains(&point) || own.contains(&tap) {
                        return None;
                    }
                    moved.push(dim);
                    taps.push(tap);
                    points.push(point);
                }
                _ => return None,
            }
        }
        places.append(&mut points);
        let filters: Vec<AxisId> = own.iter().copied().filter(|axis| !places.contains(axis)).collect();
        let dims_of = |node: &Node, order: &[AxisId]| -> Option<Vec<usize>> {
            let find = |axis: &AxisId| node.dims.iter().position(|dim| dim[..] == [*axis]);
            (node.dims.len() == order.len()).then(|| order.iter().map(find).collect()).flatten()
        };
        let value = dims_of(node, &[&places[..], &filters].concat())?;
        let inner: Vec<AxisId> = [&taps[..], &summed, &filters].concat();
        let find = |axis: &AxisId| kernel.indices.iter().position(|index| index.axis() == Some(*axis));
        let kernel_dims: Vec<usize> = inner.iter().map(find).collect::<Option<_>>()?;
        let distinct = |axes: &[AxisId]| axes.iter().collect::<BTreeSet<_>>().len() == axes.len();
        let all = [&places[..], &inner].concat();
        let whole = kernel.indices.len() == kernel_dims.len() && term.sum.len() == taps.len() + summed.len();
        let row = node.dtype.bytes_of(graph.points(places.last()));
        let found = Convolution {
            operand,
            places,
            window: [&batch[..], &moved, &channels].concat(),
            kernel: kernel_dims,
            value,
            channels: summed,
            moved,
        };
        let bytes = node.dtype.bytes() as u64;
        let filled = graph.points(&filters).saturating_mul(bytes);
        let run = graph.points(found.channels.iter().chain(taps.last()));
        let fits = filled <= FILTERS && filled * 4 >= filled.next_multiple_of(VECTOR) * 3;
        let deep = graph.points(&found.channels) >= CHANNELS && run >= RUN;
        // Rows of whole vectors are multiplied where they lie.
        let is_row = row >= 2 * VECTOR && row.is_multiple_of(VECTOR);
        let lies = found.value.is_sorted() && found.window.is_sorted();
        (distinct(&all) && whole && fits && deep && (lies || !is_row) && node.dtype.is_float())
            .then_some(found)
    }
}

impl Windows {
    /// What is decided about the windows of a graph.
    pub fn of(graph: &Graph) -> Windows {
        let mut windows = Windows::default();
        for (id, number, term) in graph.reorderable_terms() {
            if let Some(found) = Convolution::of(graph, graph.node(id), term) {
                windows.add(graph, (id, number), term, &found);
            }
        }
        windows.drop_unread(graph);
        windows.follow(graph);
        windows
    }

    /// The order in which the dims of a node lie, where it is not their own.
    pub fn order(&self, id: NodeId) -> Option<&[usize]> {
        self.orders.get(&id).map(|order| &order[..])
    }

    /// Whether nothing reads a node any more.
    pub fn is_gone(&self, id: NodeId) -> bool {
        self.gone.contains(&id)
    }

    /// How a term is contracted in pieces, if it is.
    pub fn cut(&self, id: NodeId, number: usize) -> Option<&Cut> {
        self.cuts.get(&(id, number))
    }

    /// Whether the dims of a node may lie, or lie, in that order.
    fn may_lie(&self, graph: &Graph, id: NodeId, order: &[usize]) -> bool {
        match self.orders.get(&id) {
            Some(known) => known == order,
            None => order.is_sorted() || is_open(graph, id),
        }
    }

    fn lay(&mut self, graph: &Graph, id: NodeId, order: &[usize]) {
        if is_open(graph, id) {
            self.orders.insert(id, order.to_vec());
        }
    }

    fn add(&mut self, graph: &Graph, (id, number): (NodeId, usize), term: &Term, found: &Convolution) {
        let (window, kernel) = (&term.operands[found.operand], term.operands[1 - found.operand].node);
        if !self.may_lie(graph, id, &found.value) {
            return;
        }
        let packs = self.may_lie(graph, kernel, &found.kernel);
        let cut = if packs && is_one(&term.scale) { self.cut_of(graph, window, found) } else { None };
        let (read, order) = match &cut {
            Some((cut, order)) => (cut.access.node, order),
            None => (window.node, &found.window),
        };
        if !self.may_lie(graph, read, order) {
            return;
        }
        self.lay(graph, read, order);
        if packs {
            self.lay(graph, kernel, &found.kernel);
        }
        self.lay(graph, id, &found.value);
        self.cuts.extend(cut.map(|(cut, _)| ((id, number), cut)));
    }

    /// The pieces of a convolution whose windows leave a tensor, and what they read: the tensor itself where they are all
    /// inside, the copy with zeros around it otherwise; and the order in which the dims of that lie.
    fn cut_of(&self, graph: &Graph, window: &Access, found: &Convolution) -> Option<(Cut, Vec<usize>)> {
        let (source, shifts) = padded(graph, window.node);
        if source == window.node || graph.node(window.node).scan.is_some() {
            return None;
        }
        let copy = graph.node(window.node);
        let mut splits = Vec::new();
        let mut is_whole = true;
        for (dim, (index, &shift)) in window.indices.iter().zip(&shifts).enumerate() {
            let extent = i64::try_from(graph.node(source).shape[dim]).ok()?;
            let inside = shift.checked_neg()?..extent.checked_sub(shift)?;
            if found.moved.contains(&dim) {
                let split = split(graph, index, inside, |axis| found.is_tap(axis));
                is_whole &= split.is_some();
                splits.extend(split);
            } else {
                is_whole &=
                    inside.start <= 0 && i64::try_from(copy.shape[dim]).is_ok_and(|end| inside.end >= end);
            }
        }
        let around = graph.points(&found.places).max(1);
        let fits = |splits: &[Split]| {
            let pieces = splits.iter().map(|split| split.pieces.len()).fold(1, usize::saturating_mul);
            let least = splits
                .iter()
                .fold(around, |rows, split| rows / graph.axes[split.own].extent.max(1) * split.least());
            pieces <= PIECES && least >= ROWS
        };
        if is_whole
            && fits(&splits)
            && let Some((access, order)) = self.beneath(graph, window, (source, &shifts), found)
        {
            return Some((Cut { operand: found.operand, access, splits }, order));
        }
        splits.sort_by(|a, b| a.share(graph).total_cmp(&b.share(graph)));
        let mut chosen: Vec<Split> = Vec::new();
        for split in splits.into_iter().filter(|split| split.share(graph) <= 1.0 - ZEROS) {
            chosen.push(split);
            if !fits(&chosen) {
                chosen.pop();
            }
        }
        let access = window.clone();
        let cut = Cut { operand: found.operand, access, splits: chosen };
        (!cut.splits.is_empty()).then(|| (cut, found.window.clone()))
    }

    /// What windows read of the tensor that an operand is a copy of with zeros around, or of what that tensor is a copy of; it
    /// lies, or may lie, with the channels innermost.
    fn beneath(
        &self,
        graph: &Graph,
        window: &Access,
        (source, shifts): (NodeId, &[i64]),
        found: &Convolution,
    ) -> Option<(Access, Vec<usize>)> {
        let shifted =
            |(index, &shift): (&Affine, &i64)| index.plus(&Affine { terms: Vec::new(), constant: shift });
        let indices: Vec<Affine> = window.indices.iter().zip(shifts).map(shifted).collect::<Option<_>>()?;
        let node = graph.node(source);
        let own = match &node.op {
            Op::Map(value) if node.scan.is_none() => in_place(graph, value),
            _ => None,
        };
        let Some(copied) = own else {
            let order = found.window.clone();
            return self.may_lie(graph, source, &order).then_some((Access { node: source, indices }, order));
        };
        let mut by: BTreeMap<AxisId, Affine> = BTreeMap::new();
        for (dim, index) in node.dims.iter().zip(indices) {
            match dim[..] {
                [] => {}
                [axis] => {
                    by.insert(axis, index);
                }
                _ => return None,
            }
        }
        let indices =
            copied.indices.iter().map(|index| substitute_affine(index, &by)).collect::<Option<_>>()?;
        let access = Access { node: copied.node, indices };
        let dims = laid(&graph.node(access.node).shape, self.order(access.node));
        let mut run = 1;
        let side_by_side = found.channels.iter().rev().all(|&channel| {
            let by = |(index, dim): (&Affine, &(u64, i64))| {
                let coefficient = index.coefficient(channel);
                coefficient.saturating_mul(dim.1)
            };
            let stride: i64 = access.indices.iter().zip(&dims).map(by).fold(0, i64::saturating_add);
            let is_next = stride == run;
            run = run.saturating_mul(i64::try_from(graph.axes[channel].extent).unwrap_or(i64::MAX));
            is_next
        });
        // A scan fixes what it reads of one of its values.
        let apart = graph.node(access.node).scan.is_none();
        let order = self.order(access.node).map_or((0..dims.len()).collect(), <[usize]>::to_vec);
        (side_by_side && apart).then_some((access, order))
    }

    /// Finds the copies that nothing reads any more.
    fn drop_unread(&mut self, graph: &Graph) {
        let mut copies: BTreeSet<NodeId> = BTreeSet::new();
        for (&(id, number), cut) in &self.cuts {
            let Op::Contract(terms) = &graph.node(id).op else { continue };
            let mut copy = terms[number].operands[cut.operand].node;
            // From the copy with zeros to what is read in its place.
            while copy != cut.access.node {
                copies.insert(copy);
                let Op::Map(Expr::Read(read)) = &graph.node(copy).op else { break };
                copy = read.source;
            }
        }
        let is_read = |windows: &Windows, id: NodeId| {
            graph.outputs.iter().any(|(_, output)| *output == id)
                || graph.readers(id).into_iter().any(|reader| windows.reads(graph, reader, id))
        };
        while let Some(&id) = copies.iter().find(|&&id| !is_read(self, id)) {
            copies.remove(&id);
            self.gone.insert(id);
        }
    }

    /// Whether a node still reads another.
    fn reads(&self, graph: &Graph, reader: NodeId, id: NodeId) -> bool {
        let Op::Contract(terms) = &graph.node(reader).op else { return !self.is_gone(reader) };
        terms.iter().enumerate().any(|(number, term)| {
            let cut = self.cut(reader, number);
            term.operands.iter().enumerate().any(|(at, operand)| match cut {
                Some(cut) if cut.operand == at => cut.access.node == id,
                _ => operand.node == id,
            })
        })
    }

    /// Lays functions of single elements as what reads them, or as what they read.
    fn follow(&mut self, graph: &Graph) {
        let mut left: Vec<NodeId> = graph
            .ids()
            .into_iter()
            .filter(|&id| is_open(graph, id) && matches!(graph.node(id).op, Op::Map(_)))
            .collect();
        loop {
            let before = left.len();
            left.retain(|&id| {
                let known = self.orders.contains_key(&id) || self.is_gone(id);
                let found = if known { None } else { self.alike(graph, id) };
                let stays = !known && found.is_none();
                self.orders.extend(found.map(|order| (id, order)));
                stays
            });
            if left.len() == before {
                return;
            }
        }
    }

    /// The order of a map's dims in which a neighbour has the same axes.
    fn alike(&self, graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
        let node = graph.node(id);
        let own: Vec<AxisId> = node.axes();
        let by_reader = graph.readers(id).into_iter().find_map(|reader| {
            let order = self.orders.get(&reader).filter(|_| !self.is_gone(reader))?;
            let axes = graph.node(reader).axes();
            let indices = read_at(graph.node(reader), id)?;
            sorted(&indices, &order.iter().map(|&dim| axes[dim]).collect::<Vec<_>>())
        });
        by_reader.or_else(|| {
            node.sources().into_iter().find_map(|source| {
                let order = self.orders.get(&source)?;
                let indices = read_at(node, source)?;
                let there: Vec<AxisId> = order.iter().map(|&dim| indices[dim]).collect();
                sorted(&own, &there)
            })
        })
    }
}

impl Convolution {
    /// Whether an axis is summed.
    fn is_tap(&self, axis: AxisId) -> bool {
        !self.places.contains(&axis)
    }
}

/// Whether a node is an intermediate whose dims may lie in any order.
fn is_open(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    matches!(node.op, Op::Map(_) | Op::Contract(_))
        && node.scan.is_none()
        && node.dims.iter().all(|dim| dim.len() == 1)
        && !graph.outputs.iter().any(|(_, output)| *output == id)
}

/// The axis of each dim at which a map reads a node, if it reads it in one way, by one axis each.
fn read_at(reader: &Node, id: NodeId) -> Option<Vec<AxisId>> {
    let Op::Map(value) = &reader.op else { return None };
    let mut found: Option<Vec<AxisId>> = None;
    let mut is_one = true;
    value.for_each_read(&mut |read| {
        if read.source == id {
            let axis = |index: &Expr<NodeId>| match index.affine()?.terms[..] {
                [(axis, 1)] => Some(axis),
                _ => None,
            };
            let axes: Option<Vec<AxisId>> = read.indices.iter().map(axis).collect();
            is_one &= axes.is_some() && (found.is_none() || found == axes);
            found = axes;
        }
    });
    found.filter(|_| is_one)
}

/// The places of axes in the order of others; `None` where they are not the same ones.
fn sorted(axes: &[AxisId], order: &[AxisId]) -> Option<Vec<usize>> {
    let places =
        order.iter().map(|axis| axes.iter().position(|own| own == axis)).collect::<Option<Vec<_>>>()?;
    let distinct: BTreeSet<usize> = places.iter().copied().collect();
    (distinct.len() == axes.len() && places.len() == axes.len()).then_some(places)
}

/// Extent and stride of each dim of a shape that lies in an order, outermost first.
pub(super) fn laid(shape: &[u64], order: Option<&[usize]>) -> Vec<(u64, i64)> {
    let Some(order) = order else { return row_major(shape) };
    let sorted: Vec<u64> = order.iter().map(|&dim| shape[dim]).collect();
    let mut dims = vec![(0, 0); shape.len()];
    order.iter().zip(row_major(&sorted)).for_each(|(&dim, there)| dims[dim] = there);
    dims
}

#[cfg(test)]
mod tests;

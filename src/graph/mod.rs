//! Which value feeds which, without an order yet.
//!
//! A node is a tensor and how it is computed. Contractions keep all their operands; what is read through a permute,
//! a diagonal, a slice, a stride, a reversal or a window is read in place, so none of these is ever a node. Sums of
//! contractions are one node with several terms.
//!
//! ```text
//! graph chain
//! n0 = input 0 A: f32[512,256]
//! n1 = input 1 B: f32[256,128]
//! n2 C[i,k]: f32[512,128] = sum[j] n0[i,j] * n1[j,k]
//! output C = n2
//! ```
//!
//! The laws that every pass keeps are listed at [`Graph::verify`].

mod build;
mod contract_before_gather;
mod distribute;
mod drop_unused;
mod find_contractions;
mod find_transforms;
mod flatten_contraction;
mod fold_constants;
mod fold_copies;
mod fuse_pointwise;
mod hoist_from_scan;
mod inline;
mod join_sums;
mod keep_state;
mod mask_factors;
mod merge_kernels;
mod narrow_transforms;
mod prefix_sum;
mod product;
mod program;
mod recompute;
mod rewrite;
#[cfg(test)]
pub(crate) mod sample;
mod share_common;
mod share_contraction;
mod share_repeats;
mod show;
mod slice;
mod sort_once;
mod sum_before_window;
mod verify;

pub use contract_before_gather::{contract_before_gather, gathered_products};
pub use distribute::{distributable, distribute};
pub use drop_unused::drop_unused;
pub use find_contractions::find_contractions;
pub use find_transforms::find_transforms;
pub use flatten_contraction::flatten_contraction;
pub use fold_constants::fold_constants;
pub use fold_copies::fold_copies;
pub use fuse_pointwise::fuse_pointwise;
pub use hoist_from_scan::hoist_from_scan;
pub use join_sums::join_sums;
pub use keep_state::keep_state;
pub use mask_factors::mask_factors;
pub use merge_kernels::merge_kernels;
pub(crate) use merge_kernels::padded;
pub use narrow_transforms::narrow_transforms;
pub(crate) use product::in_place;
pub use program::to_program;
pub use recompute::recompute;
pub(crate) use rewrite::substitute_affine;
pub use share_common::share_common;
pub use share_contraction::{Shared, share, shareable};
pub use share_repeats::{Repeat, repeats, share_repeats};
pub(crate) use show::is_one;
pub use slice::slice;
pub use sort_once::sort_once;
pub use sum_before_window::{Window, open_windows, sum_before_window};

use crate::expr::{self, Affine, AlongOp, Axes, AxisId, Expr, Outside, Read};
use crate::id::{Id, IdVec};
use crate::id_type;
use crate::pass::Pass;
use crate::source::Span;
use einc_runtime::{DType, Scalar, Tensor};
use petgraph::Direction;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{EdgeRef, IntoEdgeReferences};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

id_type! {
    /// Names a node of the graph.
    pub struct NodeId = "n"
}

id_type! {
    /// Names a scan of the graph.
    pub struct ScanId = "s"
}

/// The passes that every graph goes through, in order.
pub const PASSES: &[Pass<Graph>] = &[
    Pass { name: "fold-constants", run: fold_constants },
    Pass { name: "share-common", run: share_common },
    Pass { name: "sort-once", run: sort_once }, // equal values are one node now
    Pass { name: "narrow-transforms", run: narrow_transforms }, // their readers may be copies then
    Pass { name: "fold-copies", run: fold_copies },
    Pass { name: "fuse-pointwise", run: fuse_pointwise },
    Pass { name: "mask-factors", run: mask_factors }, // conditions are in the sums, and masked factors are not fused again
    Pass { name: "find-contractions", run: find_contractions }, // products that were fused into their sums
    Pass { name: "flatten-contraction", run: flatten_contraction },
    Pass { name: "find-transforms", run: find_transforms }, // once all factors of a sum are known
    Pass { name: "join-sums", run: join_sums },
    Pass { name: "merge-kernels", run: merge_kernels }, // sums of contractions are one node now
    Pass { name: "hoist-from-scan", run: hoist_from_scan },
    Pass { name: "keep-state", run: keep_state }, // after what could leave the scan has left it
    Pass { name: "drop-unused", run: drop_unused }, // what the others left without a reader
];

/// Values and how they are computed from each other.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The name of the program.
    pub name: String,
    /// Every axis of every node; a node's axes mean nothing outside it, except the axis of its scan.
    pub axes: Axes,
    /// What the caller gets, in order.
    pub outputs: Vec<(String, NodeId)>,
    /// The loops that run in order.
    pub scans: IdVec<ScanId, Scan>,
    /// The limit of `@memory(limit = ..)`, in bytes.
    pub memory_limit: Option<u64>,
    /// The nodes; an edge leads from what is read to its reader.
    nodes: StableDiGraph<Node, When>,
}

/// Which step of a scan a read refers to; outside scans it is always [`When::Now`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The value must be there before the reader runs.
    Now,
    /// The value of an earlier step of the scan that both are in.
    Earlier,
}

/// A loop over an axis whose nodes run in order, once for each of its values.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The axis that runs.
    pub axis: AxisId,
    /// Whether it runs from the end to the start.
    pub reversed: bool,
    /// The statement's place.
    pub place: Span,
}

/// A tensor and how it is computed.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the source calls it; intermediates have a dot in their names.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its extents.
    pub shape: Vec<u64>,
    /// The axes of each dim (several are a flattened dim, first slowest; none is a dim of extent 1). Empty for
    /// inputs, constants and scatters, which have no axes of their own.
    pub dims: Vec<Vec<AxisId>>,
    /// How it is computed.
    pub op: Op,
    /// The scan that it is computed in.
    pub scan: Option<ScanId>,
    /// Whether products are contracted as written.
    pub keep_order: bool,
    /// Where it was written.
    pub place: Span,
}

/// How a value is computed.
#[derive(Clone, Debug)]
pub enum Op {
    /// The caller's argument of that number.
    ///
    /// ```text
    /// n0 = input 0 A: f32[512,256]
    /// ```
    Input(usize),
    /// A value that is known when compiling.
    ///
    /// ```text
    /// n1 = constant dft: c64[8,8]
    /// ```
    Constant(Arc<Tensor>),
    /// A sum of products, each summed over its own axes.
    ///
    /// An axis of the value is a *batch* axis if every operand has it, and a *free* axis otherwise; the axes summed
    /// over are *contracted*.
    ///
    /// ```text
    /// n2[i,k] = sum[j] n0[i,j] * n1[j,k]
    /// ```
    Contract(Vec<Term>),
    /// An expression at every point of the value's axes, with reductions inside.
    ///
    /// ```text
    /// n3[i] = relu(n2[i] + max[j](n0[i,j]))
    /// ```
    Map(Expr<NodeId>),
    /// A map along axes, such as softmax or sort. Of an inverse transform that is real the real part is meant.
    ///
    /// ```text
    /// n4[i,j] = softmax[j](n3[i,j])
    /// ```
    Along(Along),
    /// Additions at computed places, in order.
    ///
    /// ```text
    /// n5 = n1 with [n0[b]] += 1.0 over b
    /// ```
    Scatter(Box<Scatter>),
}

/// A product summed over axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// A factor of every product.
    pub scale: Scalar,
    /// The axes summed over; each occurs in an operand.
    pub sum: Vec<AxisId>,
    /// The factors, at least one.
    pub operands: Vec<Access>,
}

/// An operand of a product: an element of a node at affine places that are proved to lie inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// What is read.
    pub node: NodeId,
    /// The index of each dim.
    pub indices: Vec<Affine>,
}

/// A map along axes.
#[derive(Clone, Debug)]
pub struct Along {
    /// The map.
    pub op: AlongOp,
    /// The axes it runs along.
    pub axes: Vec<AxisId>,
    /// The axes of the result in their place.
    pub out: Vec<AxisId>,
    /// The values, without reductions and maps along axes.
    pub body: Expr<NodeId>,
}

/// Additions at computed places.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// What is added to; zeros if none.
    pub base: Option<NodeId>,
    /// The points that add.
    pub axes: Vec<AxisId>,
    /// One `i64` expression for each dim, without reductions.
    pub indices: Vec<Expr<NodeId>>,
    /// What happens outside: `Checked`, `Clamp`, `Trust` or `Never`.
    pub outside: Outside<NodeId>,
    /// What is added, without reductions.
    pub value: Expr<NodeId>,
}

/// What runs as a whole: one node, or a scan with all of its nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Unit {
    /// A node outside scans.
    Node(NodeId),
    /// A scan and its nodes in the order of one step.
    Scan(ScanId, Vec<NodeId>),
}

impl Access {
    /// The axes it depends on.
    pub fn axes(&self) -> BTreeSet<AxisId> {
        self.indices.iter().flat_map(|index| index.terms.iter().map(|term| term.0)).collect()
    }
}

impl Node {
    /// The axes of all dims, in memory order.
    pub fn axes(&self) -> Vec<AxisId> {
        self.dims.iter().flatten().copied().collect()
    }

    /// How many elements it has; saturates.
    pub fn elems(&self) -> u64 {
        self.shape.iter().fold(1, |n, &extent| n.saturating_mul(extent))
    }

    /// The bytes it takes; saturates.
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes_of(self.elems())
    }

    /// Whether it is handed over or known, not computed.
    pub fn is_source(&self) -> bool {
        matches!(self.op, Op::Input(_) | Op::Constant(_))
    }

    /// The expressions it evaluates, except the operands of contractions.
    pub fn exprs(&self) -> Vec<&Expr<NodeId>> {
        match &self.op {
            Op::Input(_) | Op::Constant(_) | Op::Contract(_) => Vec::new(),
            Op::Map(value) => vec![value],
            Op::Along(along) => vec![&along.body],
            Op::Scatter(scatter) => scatter.indices.iter().chain([&scatter.value]).collect(),
        }
    }

    /// Every read of another node, with multiplicity: the node and its indices if they are known as expressions.
    fn for_each_source(&self, visit: &mut dyn FnMut(NodeId, Option<&Read<NodeId>>, Option<&Access>)) {
        if let Op::Contract(terms) = &self.op {
            terms.iter().flat_map(|term| &term.operands).for_each(|o| visit(o.node, None, Some(o)));
        }
        if let Op::Scatter(scatter) = &self.op
            && let Some(base) = scatter.base
        {
            visit(base, None, None);
        }
        for expr in self.exprs() {
            expr.for_each_read(&mut |read| visit(read.source, Some(read), None));
        }
    }

    /// The nodes it reads, with multiplicity, in the order of its text.
    pub fn sources(&self) -> Vec<NodeId> {
        let mut sources = Vec::new();
        self.for_each_source(&mut |node, _, _| sources.push(node));
        sources
    }
}

impl Graph {
    /// A graph without nodes.
    pub fn empty(name: &str, axes: Axes) -> Graph {
        Graph {
            name: name.to_string(),
            axes,
            outputs: Vec::new(),
            scans: IdVec::new(),
            memory_limit: None,
            nodes: StableDiGraph::new(),
        }
    }

    /// The node of that id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[NodeIndex::new(id.number())]
    }

    /// The node of that id, to change; [`Graph::link`] must follow if what it reads changes.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[NodeIndex::new(id.number())]
    }

    /// Adds a node; [`Graph::link`] must follow.
    pub fn add(&mut self, node: Node) -> NodeId {
        NodeId::new(self.nodes.add_node(node).index())
    }

    /// Removes a node that nothing reads.
    pub(super) fn remove(&mut self, id: NodeId) -> Node {
        self.nodes.remove_node(NodeIndex::new(id.number())).expect("the graph has the node")
    }

    /// The ids of all nodes, ascending.
    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.node_indices().map(|index| NodeId::new(index.index())).collect()
    }

    /// The numbers of the inputs that are in the graph, ascending: one that nothing reads may have left it.
    pub fn inputs_read(&self) -> Vec<usize> {
        let number = |id| match self.node(id).op {
            Op::Input(number) => Some(number),
            _ => None,
        };
        let mut numbers: Vec<usize> = self.ids().into_iter().filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether the graph has a node of that id.
    pub fn contains(&self, id: NodeId) -> bool {
        self.nodes.contains_node(NodeIndex::new(id.number()))
    }

    /// Keeps only the nodes that `keep` says.
    pub fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.nodes.retain_nodes(|_, index| keep(NodeId::new(index.index())));
    }

    /// Draws the edges anew from what the nodes read.
    pub fn link(&mut self) {
        self.nodes.clear_edges();
        for id in self.ids() {
            let mut edges: Vec<(NodeId, When)> = Vec::new();
            self.node(id).for_each_source(&mut |source, read, access| {
                let edge = (source, self.when(id, source, read, access));
                if !edges.contains(&edge) {
                    edges.push(edge);
                }
            });
            for (source, when) in edges {
                self.nodes.add_edge(NodeIndex::new(source.number()), NodeIndex::new(id.number()), when);
            }
        }
    }

    /// Whether a read must see this step's value of what it reads.
    ///
    /// It refers to an earlier step where both are in one scan, what is read keeps its history, and the index along
    /// the history is not the scan's own position; and where a value without history reads itself.
    fn when(
        &self,
        reader: NodeId,
        source: NodeId,
        read: Option<&Read<NodeId>>,
        access: Option<&Access>,
    ) -> When {
        let (from, to) = (self.node(source), self.node(reader));
        let Some(scan) = to.scan.filter(|_| from.scan == to.scan) else { return When::Now };
        let axis = self.scans[scan].axis;
        let Some(dim) = from.dims.iter().position(|dim| dim.contains(&axis)) else {
            return if reader == source { When::Earlier } else { When::Now };
        };
        let index = match (read, access) {
            (Some(read), _) => read.indices.get(dim).and_then(Expr::affine),
            (_, Some(access)) => access.indices.get(dim).cloned(),
            _ => None,
        };
        match index {
            Some(index) if index.constant == 0 && index.terms.iter().any(|term| term.0 == axis) => When::Now,
            _ => When::Earlier,
        }
    }

    /// The nodes that read a node.
    pub fn readers(&self, id: NodeId) -> BTreeSet<NodeId> {
        let index = NodeIndex::new(id.number());
        self.nodes
            .neighbors_directed(index, Direction::Outgoing)
            .map(|reader| NodeId::new(reader.index()))
            .collect()
    }

    /// How often each node is read, outputs included.
    pub fn uses(&self) -> BTreeMap<NodeId, usize> {
        let mut uses = BTreeMap::new();
        for id in self.ids() {
            self.node(id).sources().into_iter().for_each(|source| *uses.entry(source).or_insert(0) += 1);
        }
        self.outputs.iter().for_each(|(_, node)| *uses.entry(*node).or_insert(0) += 1);
        uses
    }

    /// Everything in an order in which reads follow writes, as close to the order of ids as that allows. `None`
    /// where there is a cycle.
    ///
    /// Takes `O((nodes + edges) log nodes)`.
    pub fn order(&self) -> Option<Vec<Unit>> {
        // A unit is named by its least node; the nodes of one scan form one unit.
        let mut first: BTreeMap<ScanId, NodeId> = BTreeMap::new();
        let mut unit_of: BTreeMap<NodeId, NodeId> = BTreeMap::new();
        for id in self.ids() {
            let unit = self.node(id).scan.map_or(id, |scan| *first.entry(scan).or_insert(id));
            unit_of.insert(id, unit);
        }
        let mut waits: BTreeMap<NodeId, usize> = unit_of.values().map(|&unit| (unit, 0)).collect();
        let mut after: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for edge in self.nodes.edge_references() {
            let from = unit_of[&NodeId::new(edge.source().index())];
            let to = unit_of[&NodeId::new(edge.target().index())];
            if from != to {
                after.entry(from).or_default().push(to);
                *waits.get_mut(&to)? += 1;
            }
        }
        let sorted = sort(waits, &after)?;
        let mut units = Vec::new();
        for unit in sorted {
            match self.node(unit).scan {
                None => units.push(Unit::Node(unit)),
                Some(scan) => units.push(Unit::Scan(scan, self.order_within(scan)?)),
            }
        }
        Some(units)
    }

    /// The nodes of one step of a scan, in order.
    fn order_within(&self, scan: ScanId) -> Option<Vec<NodeId>> {
        let inside = |id: NodeId| self.node(id).scan == Some(scan);
        let mut waits: BTreeMap<NodeId, usize> =
            self.ids().into_iter().filter(|&id| inside(id)).map(|id| (id, 0)).collect();
        let mut after: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for edge in self.nodes.edge_references() {
            let (from, to) = (NodeId::new(edge.source().index()), NodeId::new(edge.target().index()));
            if *edge.weight() == When::Now && inside(from) && inside(to) {
                after.entry(from).or_default().push(to);
                *waits.get_mut(&to)? += 1;
            }
        }
        sort(waits, &after)
    }

    /// A new axis with the name and extent of another.
    pub fn fresh_axis(&mut self, like: AxisId) -> AxisId {
        let axis = self.axes[like].clone();
        self.axes.push(axis)
    }

    /// The axis of the scan that a node is in.
    pub fn scan_axis(&self, node: &Node) -> Option<AxisId> {
        node.scan.map(|scan| self.scans[scan].axis)
    }

    /// The product of the extents of axes; saturates.
    pub fn points<'a>(&self, axes: impl IntoIterator<Item = &'a AxisId>) -> u64 {
        expr::points(&self.axes, axes)
    }

    /// The terms of all contractions whose operands may be multiplied in any order: the node, the term's number, the term.
    pub(crate) fn reorderable_terms(&self) -> impl Iterator<Item = (NodeId, usize, &Term)> {
        self.ids().into_iter().flat_map(|id| {
            let node = self.node(id);
            let terms = match &node.op {
                Op::Contract(terms) if node.scan.is_none() && !node.keep_order => &terms[..],
                _ => &[],
            };
            terms.iter().enumerate().map(move |(number, term)| (id, number, term))
        })
    }
}

/// Kahn's algorithm with the least id first; `None` where there is a cycle.
fn sort(mut waits: BTreeMap<NodeId, usize>, after: &BTreeMap<NodeId, Vec<NodeId>>) -> Option<Vec<NodeId>> {
    let mut ready: BTreeSet<NodeId> =
        waits.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    let mut sorted = Vec::with_capacity(waits.len());
    while let Some(id) = ready.pop_first() {
        sorted.push(id);
        for next in after.get(&id).into_iter().flatten() {
            let count = waits.get_mut(next)?;
            *count -= 1;
            if *count == 0 {
                ready.insert(*next);
            }
        }
    }
    (sorted.len() == waits.len()).then_some(sorted)
}

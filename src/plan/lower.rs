//! From a graph to steps over buffers.

use super::order::{Orders, Product};
use super::spread::Room;
use super::windows::{Windows, laid};
use super::{
    AlongStep, Buffer, BufferId, Nest, Operand, Place, Plan, Reduction, ScanStep, ScatterStep, Settings,
    Source, Step, View, distribute, fit, limit,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, Outside, Read};
use crate::graph::{Graph, Node, NodeId, Op, Unit};
use crate::id::IdVec;
use einc_runtime::DType;
use std::collections::BTreeMap;

/// Plans a graph: an order for every contraction, a place for every value.
///
/// Fails with `EIN0501` where the plan needs more memory than the settings or the program allow; nothing is allocated
/// for it before it runs.
pub fn plan(graph: &Graph, settings: &Settings) -> Result<Plan, Diagnostic> {
    let orders = Orders::new(settings);
    let graph = &distribute::decide(graph, settings, &orders);
    let allowed = limit::allowed(graph, settings);
    let plan = fit::plan(graph, settings, &orders, allowed);
    if let Some(product) = orders.missing.take() {
        return Err(missing(&product));
    }
    limit::fits(&plan, allowed)?;
    Ok(plan)
}

/// A product without an order where all orders are given.
fn missing(product: &Product) -> Diagnostic {
    let operands: Vec<String> = product.operands.iter().map(|axes| format!("{axes:?}")).collect();
    Diagnostic::error(
        Code::LockedPlan,
        format!("the locked plan has no order for the product {}", operands.join(" * ")),
    )
    .note(format!("its axes are {:?} long", product.extents))
    .help("plan again for these sizes with `einc plan --format json`, or do without `--locked-plan`")
}

/// Where a value lies.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub buffer: BufferId,
    /// Extent and stride of each dim of the node.
    pub dims: Vec<(u64, i64)>,
}

/// A plan in the making.
pub(super) struct Lowering<'a> {
    pub graph: &'a Graph,
    pub settings: &'a Settings,
    pub plan: Plan,
    pub values: BTreeMap<NodeId, Value>,
    /// The steps of the unit at hand.
    pub steps: Vec<Step>,
    /// How many elements the intermediates of one contraction may have at once.
    pub limit: Option<f64>,
    /// Whether no contraction is sliced for the sake of caches.
    pub whole: bool,
    /// How slices are spread over threads.
    pub room: Room,
    pub orders: &'a Orders<'a>,
    pub windows: Windows,
}

/// The strides of a row-major shape; they fit because every buffer's size in bytes was checked.
pub(super) fn row_major(shape: &[u64]) -> Vec<(u64, i64)> {
    let mut stride = 1i64;
    let mut dims: Vec<(u64, i64)> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let dim = (extent, stride);
            stride = stride.saturating_mul(i64::try_from(extent).unwrap_or(i64::MAX).max(1));
            dim
        })
        .collect();
    dims.reverse();
    dims
}

impl<'a> Lowering<'a> {
    pub fn new(
        graph: &'a Graph,
        settings: &'a Settings,
        orders: &'a Orders<'a>,
        limit: Option<f64>,
    ) -> Lowering<'a> {
        let plan = Plan {
            name: graph.name.clone(),
            axes: graph.axes.clone(),
            buffers: IdVec::new(),
            steps: Vec::new(),
            arena: 0,
            threads: 1,
            workspace: 0,
            orders: Vec::new(),
        };
        Lowering {
            graph,
            settings,
            plan,
            values: BTreeMap::new(),
            steps: Vec::new(),
            limit,
            whole: false,
            room: Room::default(),
            orders,
            windows: Windows::of(graph),
        }
    }

    pub fn run(mut self) -> Plan {
        let units = self.graph.order().expect("a verified graph has no cycle");
        for unit in units {
            match unit {
                Unit::Node(id) => {
                    if self.windows.is_gone(id) {
                        continue;
                    }
                    self.place(id);
                    self.node(id);
                    let steps = std::mem::take(&mut self.steps);
                    self.plan.steps.extend(steps);
                }
                Unit::Scan(scan, nodes) => {
                    nodes.iter().for_each(|&id| self.place(id));
                    nodes.iter().for_each(|&id| self.node(id));
                    let body = std::mem::take(&mut self.steps);
                    let scan = &self.graph.scans[scan];
                    self.plan.steps.push(Step::Scan(ScanStep {
                        axis: scan.axis,
                        reversed: scan.reversed,
                        apart: false,
                        shared: None,
                        body,
                        place: scan.place,
                    }));
                }
            }
        }
        self.outputs();
        self.plan
    }

    /// Gives a node its buffer.
    fn place(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let output = self.graph.outputs.iter().position(|(_, output)| *output == id);
        let place = match (&node.op, output) {
            (Op::Input(number), _) => Place::Input(*number),
            (Op::Constant(tensor), _) => Place::Constant(tensor.clone()),
            (_, Some(number)) => Place::Output(number),
            _ => Place::Arena(0),
        };
        let buffer = self.buffer(&node.name, node.dtype, node.elems(), place);
        let dims = laid(&node.shape, self.windows.order(id));
        self.values.insert(id, Value { buffer, dims });
    }

    /// A new buffer.
    pub fn buffer(&mut self, name: &str, dtype: DType, elems: u64, place: Place) -> BufferId {
        self.plan.buffers.push(Buffer { name: name.to_string(), dtype, elems, place })
    }

    /// Outputs that are no value of their own get a copy.
    fn outputs(&mut self) {
        for (number, (name, id)) in self.graph.outputs.iter().enumerate() {
            let node = self.graph.node(*id);
            let first = self.graph.outputs.iter().position(|(_, output)| output == id);
            if !node.is_source() && first == Some(number) {
                continue;
            }
            let buffer = self.buffer(name, node.dtype, node.elems(), Place::Output(number));
            let axes: Vec<AxisId> = node
                .shape
                .iter()
                .enumerate()
                .map(|(dim, &extent)| {
                    self.plan.axes.push(crate::expr::Axis { name: format!("d{dim}"), extent })
                })
                .collect();
            let read = Expr::Read(Read {
                source: *id,
                dtype: node.dtype,
                indices: axes.iter().map(|&axis| Expr::Index(axis)).collect(),
                outside: Outside::Never,
                place: node.place,
            });
            let strides = axes.iter().copied().zip(row_major(&node.shape).into_iter().map(|dim| dim.1));
            let out = View { buffer, offset: 0, strides: strides.collect() };
            self.nest(axes, &read, out, node);
        }
        let steps = std::mem::take(&mut self.steps);
        self.plan.steps.extend(steps);
    }

    fn node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        if node.elems() == 0 {
            return;
        }
        let scan = self.graph.scan_axis(node);
        let loops: Vec<AxisId> = node.axes().into_iter().filter(|&axis| Some(axis) != scan).collect();
        match &node.op {
            Op::Input(_) | Op::Constant(_) => {}
            Op::Map(value) => {
                let out = self.out_view(id);
                self.nest(loops, value, out, node);
            }
            Op::Contract(terms) => {
                for (k, term) in terms.iter().enumerate() {
                    self.term(id, k, term);
                }
            }
            Op::Along(along) => {
                let out = self.out_view(id);
                let mut parts = Parts::default();
                let body = self.expr(&along.body, &mut parts);
                self.steps.push(Step::Along(AlongStep {
                    op: along.op,
                    rows: loops.into_iter().filter(|axis| !along.out.contains(axis)).collect(),
                    axes: along.axes.clone(),
                    out_axes: along.out.clone(),
                    operands: parts.operands,
                    body,
                    out,
                    dtype: node.dtype,
                    place: node.place,
                }));
            }
            Op::Scatter(_) => self.scatter(id),
        }
    }

    fn scatter(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let Op::Scatter(scatter) = &node.op else { return };
        let value = self.values[&id].clone();
        let axes: Vec<AxisId> = node
            .shape
            .iter()
            .enumerate()
            .map(|(dim, &extent)| self.plan.axes.push(crate::expr::Axis { name: format!("d{dim}"), extent }))
            .collect();
        let start = match scatter.base {
            Some(base) => Expr::Read(Read {
                source: base,
                dtype: node.dtype,
                indices: axes.iter().map(|&axis| Expr::Index(axis)).collect(),
                outside: Outside::Never,
                place: node.place,
            }),
            None => Expr::number(0.0, node.dtype),
        };
        let strides = axes.iter().copied().zip(value.dims.iter().map(|dim| dim.1)).collect();
        self.nest(axes, &start, View { buffer: value.buffer, offset: 0, strides }, node);
        let mut parts = Parts::default();
        let indices = scatter.indices.iter().map(|index| self.expr(index, &mut parts)).collect();
        let added = self.expr(&scatter.value, &mut parts);
        let outside = match &scatter.outside {
            Outside::Never => Outside::Never,
            Outside::Clamp => Outside::Clamp,
            Outside::Trust => Outside::Trust,
            Outside::Checked | Outside::Else(_) => Outside::Checked,
        };
        self.steps.push(Step::Scatter(ScatterStep {
            axes: scatter.axes.clone(),
            operands: parts.operands,
            indices,
            outside,
            value: added,
            out: Operand { buffer: value.buffer, offset: 0, dims: value.dims },
            place: node.place,
        }));
    }

    /// The view that a node's value is written through: its axes, and its scan's.
    pub fn out_view(&self, id: NodeId) -> View {
        let node = self.graph.node(id);
        let value = &self.values[&id];
        let mut strides = Vec::new();
        for (dim, &(_, stride)) in node.dims.iter().zip(&value.dims) {
            let mut stride = stride;
            let mut within: Vec<(AxisId, i64)> = Vec::new();
            for &axis in dim.iter().rev() {
                within.push((axis, stride));
                let extent = i64::try_from(self.graph.axes[axis].extent).unwrap_or(i64::MAX).max(1);
                stride = stride.saturating_mul(extent);
            }
            strides.extend(within.into_iter().rev());
        }
        View { buffer: value.buffer, offset: 0, strides }
    }

    /// Adds the step `out = value` for every point of `axes`.
    pub fn nest(&mut self, axes: Vec<AxisId>, value: &Expr<NodeId>, out: View, node: &Node) {
        if axes.iter().any(|&axis| self.plan.axes[axis].extent == 0) {
            return;
        }
        let mut parts = Parts::default();
        let value = self.expr(value, &mut parts);
        self.steps.push(Step::Nest(Nest {
            axes,
            operands: parts.operands,
            reductions: parts.reductions,
            value,
            out,
            wanted: None,
            place: node.place,
        }));
    }

    /// The expression with operands for nodes and its reductions taken out.
    fn expr(&self, expr: &Expr<NodeId>, parts: &mut Parts) -> Expr<Source> {
        match expr {
            Expr::Const(value, dtype) => Expr::Const(*value, *dtype),
            Expr::Index(axis) => Expr::Index(*axis),
            Expr::Read(read) => {
                let mut indices: Vec<Expr<Source>> =
                    read.indices.iter().map(|index| self.expr(index, parts)).collect();
                let value = &self.values[&read.source];
                let mut dims = value.dims.clone();
                if matches!(read.outside, Outside::Never) {
                    join_dims(&mut indices, &mut dims);
                }
                let outside = match &read.outside {
                    Outside::Never => Outside::Never,
                    Outside::Else(value) => Outside::Else(Box::new(self.expr(value, parts))),
                    Outside::Checked => Outside::Checked,
                    Outside::Clamp => Outside::Clamp,
                    Outside::Trust => Outside::Trust,
                };
                let source = parts.add(Operand { buffer: value.buffer, offset: 0, dims });
                Expr::Read(Read { source, dtype: read.dtype, indices, outside, place: read.place })
            }
            Expr::Unary(op, a) => Expr::Unary(*op, Box::new(self.expr(a, parts))),
            Expr::Binary(op, a, b) => {
                let a = self.expr(a, parts);
                Expr::Binary(*op, Box::new(a), Box::new(self.expr(b, parts)))
            }
            Expr::Sum(list) => Expr::Sum(list.iter().map(|part| self.expr(part, parts)).collect()),
            Expr::Product(list) => Expr::Product(list.iter().map(|part| self.expr(part, parts)).collect()),
            Expr::Select(list) => Expr::Select(Box::new([0, 1, 2].map(|k| self.expr(&list[k], parts)))),
            Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(self.expr(a, parts))),
            Expr::Reduce(reduce) => {
                let dtype = expr.dtype();
                let body = self.expr(&reduce.body, parts);
                let reduction = Reduction { op: reduce.op, axes: reduce.axes.clone(), body };
                reduced(parts.reduction(reduction, &self.plan.axes), dtype)
            }
            Expr::Along(_) => unreachable!("law 5 of the graph: no map along axes inside an expression"),
        }
    }

    /// What an access of a contraction reads, as a view over axes.
    pub fn access_view(&self, node: NodeId, indices: &[Affine]) -> View {
        let value = &self.values[&node];
        let mut offset = 0i64;
        let mut strides: BTreeMap<AxisId, i64> = BTreeMap::new();
        for (index, &(_, stride)) in indices.iter().zip(&value.dims) {
            // Accesses are inside their buffers; only a plan that is refused for its size saturates.
            offset = offset.saturating_add(index.constant.saturating_mul(stride));
            for &(axis, coefficient) in &index.terms {
                let entry = strides.entry(axis).or_insert(0);
                *entry = entry.saturating_add(coefficient.saturating_mul(stride));
            }
        }
        View { buffer: value.buffer, offset, strides: strides.into_iter().filter(|s| s.1 != 0).collect() }
    }
}

/// Joins dims that are read at `e // n` and `e % n`, the second one `n` long and right inside the first: there stands
/// element `e` of both together.
fn join_dims(indices: &mut Vec<Expr<Source>>, dims: &mut Vec<(u64, i64)>) {
    let mut at = 0;
    while at + 1 < indices.len() {
        let ((outer, outer_by), (inner, by)) = (dims[at], dims[at + 1]);
        let joined = match (&indices[at], &indices[at + 1]) {
            (Expr::Binary(Binary::FloorDiv, e, n), Expr::Binary(Binary::Rem, same, m)) => {
                let constant = n.affine().filter(|n| n.terms.is_empty()).map(|n| n.constant);
                let fits = constant == i64::try_from(inner).ok() && e == same && n == m;
                (fits && by.checked_mul(constant.unwrap_or(0)) == Some(outer_by)).then(|| (**e).clone())
            }
            _ => None,
        };
        match (joined, outer.checked_mul(inner)) {
            (Some(index), Some(extent)) => {
                (indices[at], dims[at]) = (index, (extent, by));
                indices.remove(at + 1);
                dims.remove(at + 1);
            }
            _ => at += 1,
        }
    }
}

/// The read of a reduction's result.
pub(super) fn reduced(number: usize, dtype: DType) -> Expr<Source> {
    let source = Source::Reduced(number as u32);
    Expr::Read(Read {
        source,
        dtype,
        indices: Vec::new(),
        outside: Outside::Never,
        place: Default::default(),
    })
}

/// What an expression of a step refers to.
#[derive(Default)]
pub(super) struct Parts {
    pub operands: Vec<Operand>,
    pub reductions: Vec<Reduction>,
}

impl Parts {
    /// The number of a reduction; one that differs from another in the names of its axes alone is that.
    fn reduction(&mut self, reduction: Reduction, axes: &Axes) -> usize {
        let same = |other: &Reduction| {
            let pairs: Vec<(AxisId, AxisId)> =
                other.axes.iter().copied().zip(reduction.axes.iter().copied()).collect();
            let extent = |axis: AxisId| axes[axis].extent;
            other.op == reduction.op
                && other.axes.len() == reduction.axes.len()
                && pairs.iter().all(|&(a, b)| extent(a) == extent(b))
                && other.body.with_axes(&pairs) == reduction.body
        };
        self.reductions.iter().position(same).unwrap_or_else(|| {
            self.reductions.push(reduction);
            self.reductions.len() - 1
        })
    }

    /// The operand, once.
    pub fn add(&mut self, operand: Operand) -> Source {
        let number = self.operands.iter().position(|other| *other == operand).unwrap_or_else(|| {
            self.operands.push(operand);
            self.operands.len() - 1
        });
        Source::Operand(number as u32)
    }
}

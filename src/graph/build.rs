//! From a checked program to a graph: one node per tensor, and nodes for what inside an expression must be a value of
//! its own.
//!
//! Inside the expression of a statement these become nodes:
//!
//! - a sum of products in which some factor lacks an axis of the others, so that its order can matter (a contraction);
//! - a factor of such a product that is more than a read in place: a function of a tensor, a gather, a mask. It is
//!   computed once over its own axes, or before windows are opened, once at every place (`exp(x[s+u])`). A read with a
//!   value outside (`x[s+u-1 else 0]`) becomes a read in place of a padded copy, which is hardly larger than the tensor;
//! - a reduction that would otherwise be computed again at points that it does not depend on;
//! - a reduction inside another whose axes it uses, and every map along axes.

mod windows;

use super::prefix_sum::prefix_sum;
use super::product::{Product, collect_products, in_place};
use super::rewrite::{map_parts, multiply, scalar_of};
use super::{Access, Along, Graph, Node, NodeId, Op, Scan, ScanId, Scatter, Term};
use crate::expr::{AlongOp, AxisId, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use crate::program::{Define, Program, Role, Statement, TensorId};
use crate::source::Span;
use einc_runtime::DType;
use std::collections::{BTreeMap, BTreeSet};
use windows::Window;

/// How often a computed factor of a product must be reused to be worth a node of its own.
const REUSE: u64 = 4;

/// Sums of this many products stay inside an expression that goes on to use them.
const SHORT: u64 = 4;

/// How often a long function may be computed again rather than kept.
const REPEATS: u64 = 16;

/// How much repeated work of a small reduction is cheaper than a value in memory.
const SMALL: u64 = 32;

impl Graph {
    /// The graph of a program, before any pass.
    ///
    /// Every tensor of the program that is not folded into another is a node of its name.
    pub fn new(program: &Program) -> Graph {
        let mut graph = Graph::empty(&program.name, program.axes.clone());
        graph.memory_limit = program.memory_limit;
        let mut builder =
            Builder { graph, nodes: BTreeMap::new(), context: Context::default(), last_part: None };
        for (number, &id) in program.inputs.iter().enumerate() {
            let tensor = &program.tensors[id];
            debug_assert!(tensor.role != Role::Computed);
            let node = builder.graph.add(Node {
                name: tensor.name.clone(),
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                dims: Vec::new(),
                op: Op::Input(number),
                scan: None,
                keep_order: false,
                place: tensor.place,
            });
            builder.nodes.insert(id, node);
        }
        for statement in &program.statements {
            match statement {
                Statement::Define(define) => builder.define(program, define),
                Statement::Scatter(scatter) => builder.scatter(program, scatter),
                Statement::Scan(scan) => builder.scan(program, scan),
            }
        }
        builder.graph.outputs =
            program.outputs.iter().map(|(name, id)| (name.clone(), builder.nodes[id])).collect();
        builder.graph.link();
        builder.graph
    }
}

impl Graph {
    /// The graph with the parts of a map's formula that should be values of their own made so.
    pub(super) fn extract(self, id: NodeId) -> Graph {
        let node = self.node(id).clone();
        let Op::Map(value) = &node.op else { return self };
        let context = Context {
            name: node.name.clone(),
            scan: node.scan,
            scan_axis: self.scan_axis(&node),
            keep_order: node.keep_order,
            place: node.place,
            parts: 0,
        };
        let mut builder = Builder { graph: self, nodes: BTreeMap::new(), context, last_part: None };
        let op = builder.value(&node.dims, value);
        builder.graph.node_mut(id).op = op;
        builder.graph
    }
}

struct Builder {
    graph: Graph,
    nodes: BTreeMap<TensorId, NodeId>,
    context: Context,
    /// The node made last for a part of a statement.
    last_part: Option<NodeId>,
}

/// The statement at hand.
#[derive(Clone, Default)]
struct Context {
    name: String,
    scan: Option<ScanId>,
    scan_axis: Option<AxisId>,
    keep_order: bool,
    place: Span,
    parts: usize,
}

/// The loops around an expression.
#[derive(Clone)]
struct Loops {
    /// The axes of the value, without the scan's.
    outer: Vec<AxisId>,
    /// The axes of reductions around.
    bound: BTreeSet<AxisId>,
    /// Whether a reduction may stay where it is.
    may_reduce: bool,
}

impl Builder {
    fn define(&mut self, program: &Program, define: &Define) {
        let (mut node, value) = self.start(program, define);
        node.op = self.value(&node.dims, &value);
        let id = self.graph.add(node);
        self.nodes.insert(define.target, id);
    }

    /// A node without its operation yet, and the value with reads of nodes.
    fn start(&mut self, program: &Program, define: &Define) -> (Node, Expr<NodeId>) {
        let tensor = &program.tensors[define.target];
        self.context.name = tensor.name.clone();
        self.context.keep_order = define.keep_order;
        self.context.place = define.place;
        self.context.parts = 0;
        let node = Node {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            dims: define.dims.clone(),
            op: Op::Contract(Vec::new()),
            scan: self.context.scan,
            keep_order: define.keep_order,
            place: define.place,
        };
        let value = self.resolve(&define.value);
        (node, value)
    }

    /// The expression with tensors replaced by their nodes, and with numbers for what is made of numbers.
    fn resolve(&self, expr: &Expr<TensorId>) -> Expr<NodeId> {
        let expr = fold_numbers(expr);
        expr.map_reads(&mut |read, indices, outside| {
            Expr::Read(Read {
                source: self.nodes[&read.source],
                dtype: read.dtype,
                indices,
                outside,
                place: read.place,
            })
        })
    }

    fn scatter(&mut self, program: &Program, scatter: &crate::program::Scatter) {
        let tensor = &program.tensors[scatter.target];
        self.context = Context { name: tensor.name.clone(), place: scatter.place, ..Context::default() };
        let loops = Loops { outer: scatter.axes.clone(), bound: BTreeSet::new(), may_reduce: false };
        let mut lowered = |expr: &Expr<TensorId>| {
            let expr = self.resolve(expr);
            self.lower(&expr, &loops)
        };
        let indices = scatter.indices.iter().map(&mut lowered).collect();
        let value = lowered(&scatter.value);
        let outside = match &scatter.outside {
            Outside::Never => Outside::Never,
            Outside::Clamp => Outside::Clamp,
            Outside::Trust => Outside::Trust,
            Outside::Checked | Outside::Else(_) => Outside::Checked,
        };
        let base = scatter.base.map(|base| self.nodes[&base]);
        let op = Op::Scatter(Box::new(Scatter { base, axes: scatter.axes.clone(), indices, outside, value }));
        let id = self.graph.add(Node {
            name: tensor.name.clone(),
            dtype: tensor.dtype,
            shape: tensor.shape.clone(),
            dims: Vec::new(),
            op,
            scan: None,
            keep_order: false,
            place: scatter.place,
        });
        self.nodes.insert(scatter.target, id);
    }

    fn scan(&mut self, program: &Program, scan: &crate::program::Scan) {
        let id = self.graph.scans.push(Scan { axis: scan.axis, reversed: scan.reversed, place: scan.place });
        self.context = Context { scan: Some(id), scan_axis: Some(scan.axis), ..Context::default() };
        // The targets exist before their values, which may read earlier steps of all of them.
        for define in &scan.body {
            let tensor = &program.tensors[define.target];
            let node = self.graph.add(Node {
                name: tensor.name.clone(),
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                dims: define.dims.clone(),
                op: Op::Contract(Vec::new()),
                scan: Some(id),
                keep_order: define.keep_order,
                place: define.place,
            });
            self.nodes.insert(define.target, node);
        }
        for define in &scan.body {
            let (node, value) = self.start(program, define);
            let op = self.value(&node.dims, &value);
            let target = self.nodes[&define.target];
            self.graph.node_mut(target).op = op;
        }
        self.context = Context::default();
    }

    /// The operation of a node with these dims and that value.
    fn value(&mut self, dims: &[Vec<AxisId>], value: &Expr<NodeId>) -> Op {
        let scan = self.context.scan_axis;
        let outer = dims.iter().flatten().copied().filter(|&axis| Some(axis) != scan).collect();
        let mut loops = Loops { outer, bound: BTreeSet::new(), may_reduce: true };
        if let Expr::Along(along) = value
            && along.out.iter().all(|axis| loops.outer.contains(axis))
        {
            loops.outer.retain(|axis| !along.out.contains(axis));
            loops.outer.extend(&along.axes);
            loops.may_reduce = false;
            let body = self.lower(&along.body, &loops);
            return Op::Along(Along { op: along.op, axes: along.axes.clone(), out: along.out.clone(), body });
        }
        let value = self.lower(value, &loops);
        self.take_part(&loops.outer, &value).unwrap_or(Op::Map(value))
    }

    /// The contraction or map along axes that a value only repeats at its own axes, taken out of the node just made
    /// for it.
    fn take_part(&mut self, outer: &[AxisId], value: &Expr<NodeId>) -> Option<Op> {
        let Expr::Read(read) = value else { return None };
        let part = self.graph.node(read.source);
        let own: Vec<Expr<NodeId>> = part.axes().into_iter().map(Expr::Index).collect();
        let whole = own.len() == outer.len() && own == read.indices;
        let taken = matches!(part.op, Op::Contract(_) | Op::Along(_));
        if !whole || !taken || self.last_part != Some(read.source) {
            return None;
        }
        self.last_part = None;
        Some(self.graph.remove(read.source).op)
    }

    /// A node for a part of the statement at hand over its own axes, and the read that stands for it.
    fn part(&mut self, axes: Vec<AxisId>, op: Op, dtype: DType) -> Expr<NodeId> {
        self.context.parts += 1;
        let node = Node {
            name: format!("{}.{}", self.context.name, self.context.parts),
            dtype,
            shape: axes.iter().map(|&axis| self.graph.axes[axis].extent).collect(),
            dims: axes.iter().map(|&axis| vec![axis]).collect(),
            op,
            scan: self.context.scan,
            keep_order: self.context.keep_order,
            place: self.context.place,
        };
        let source = self.graph.add(node);
        self.last_part = Some(source);
        let indices = axes.into_iter().map(Expr::Index).collect();
        let place = self.context.place;
        Expr::Read(Read { source, dtype, indices, outside: Outside::Never, place })
    }

    /// A map along axes computed once; running sums and products in the order of axes in which they are read, since
    /// they can run along any.
    fn materialise_along(
        &mut self,
        expr: &Expr<NodeId>,
        along: &crate::expr::Along<NodeId>,
        outer: &[AxisId],
    ) -> Expr<NodeId> {
        let mut axes = self.own_axes(expr);
        let anywhere = matches!(along.op, AlongOp::CumSum | AlongOp::CumProd);
        if !anywhere || axes.iter().any(|axis| !outer.contains(axis)) {
            return self.materialise(expr);
        }
        axes.sort_by_key(|axis| outer.iter().position(|other| other == axis));
        let dims: Vec<Vec<AxisId>> = axes.iter().map(|&axis| vec![axis]).collect();
        let op = self.value(&dims, expr);
        self.part(axes, op, expr.dtype())
    }

    /// An expression computed once over its own axes.
    fn materialise(&mut self, expr: &Expr<NodeId>) -> Expr<NodeId> {
        let axes = self.own_axes(expr);
        let dims: Vec<Vec<AxisId>> = axes.iter().map(|&axis| vec![axis]).collect();
        let op = self.value(&dims, expr);
        if let Op::Map(read) = &op
            && in_place(&self.graph, read).is_some()
        {
            // The value is a node already.
            return read.clone();
        }
        self.part(axes, op, expr.dtype())
    }

    /// The free axes of an expression in the order of their first use, without the scan's.
    ///
    /// A function of one tensor then has the tensor's layout.
    fn own_axes(&self, expr: &Expr<NodeId>) -> Vec<AxisId> {
        let mut free = expr.free_axes();
        if let Some(scan) = self.context.scan_axis {
            free.remove(&scan);
        }
        let mut axes = Vec::with_capacity(free.len());
        // A map along axes keeps its place among the axes that it does not run along.
        if let Expr::Along(along) = expr {
            first_uses(&along.body, &mut axes);
            if along.out.len() == along.axes.len() {
                for axis in &mut axes {
                    if let Some(k) = along.axes.iter().position(|other| other == axis) {
                        *axis = along.out[k];
                    }
                }
            }
        } else {
            first_uses(expr, &mut axes);
        }
        axes.retain(|axis| free.remove(axis));
        axes.extend(free);
        axes
    }

    /// The expression with everything that must be a value of its own replaced by a read of a new node.
    fn lower(&mut self, expr: &Expr<NodeId>, loops: &Loops) -> Expr<NodeId> {
        match expr {
            Expr::Along(along) => self.materialise_along(expr, along, &loops.outer),
            Expr::Reduce(reduce) => self.reduce(expr, reduce, loops),
            Expr::Unary(..) if self.is_repeated(expr, loops) => self.materialise(expr),
            _ => map_parts(expr, &mut |part| self.lower(part, loops)),
        }
    }

    /// Whether a function takes long and would be computed again at many points that it does not depend on.
    fn is_repeated(&self, expr: &Expr<NodeId>, loops: &Loops) -> bool {
        let Expr::Unary(op, _) = expr else { return false };
        let own = expr.free_axes();
        let around = loops.outer.iter().chain(&loops.bound).filter(|axis| !own.contains(axis));
        let scan = self.context.scan_axis;
        !expr.can_fail()
            && !own.is_empty()
            && scan.is_none_or(|scan| !own.contains(&scan))
            && own.iter().all(|axis| loops.outer.contains(axis) || loops.bound.contains(axis))
            && is_long(*op)
            && self.graph.points(around) >= REPEATS
    }

    fn reduce(&mut self, expr: &Expr<NodeId>, reduce: &Reduce<NodeId>, loops: &Loops) -> Expr<NodeId> {
        if !self.context.keep_order
            && let Some(value) = prefix_sum(&mut self.graph, reduce)
        {
            return self.lower(&value, loops);
        }
        if reduce.op == ReduceOp::Sum
            && let Some(value) = self.contract(reduce, loops)
        {
            return value;
        }
        let own: BTreeSet<AxisId> = self.own_axes(expr).into_iter().collect();
        if !loops.may_reduce || own.iter().any(|axis| loops.bound.contains(axis)) {
            return self.materialise(expr);
        }
        let repeats = self.graph.points(loops.outer.iter().filter(|axis| !own.contains(axis)));
        let length = self.graph.points(&reduce.axes);
        if repeats > 1 && repeats.saturating_mul(length) > SMALL {
            return self.materialise(expr);
        }
        let mut inner = loops.clone();
        inner.bound.extend(&reduce.axes);
        let body = self.lower(&reduce.body, &inner);
        Expr::Reduce(Box::new(Reduce { op: reduce.op, axes: reduce.axes.clone(), body }))
    }

    /// A sum of products as contractions, where their order can matter; `None` where one loop nest is as good.
    fn contract(&mut self, reduce: &Reduce<NodeId>, loops: &Loops) -> Option<Expr<NodeId>> {
        let dtype = reduce.body.dtype();
        if dtype == DType::Bool {
            return None;
        }
        let mut products = Vec::new();
        collect_products(&reduce.body, scalar_of(1, dtype), dtype, &mut products)?;
        let kinds: Vec<bool> = products.iter().map(|product| self.is_contraction(product, reduce)).collect();
        if !kinds.contains(&true) {
            return None;
        }
        let mut values = Vec::new();
        let inline = |product: &Product| {
            loops.may_reduce
                && loops.bound.is_empty()
                && product.factors.len() == 2
                && self.graph.points(&reduce.axes) <= SHORT
                && product.factors.iter().all(|factor| in_place(&self.graph, factor).is_some())
        };
        if products.iter().all(inline) {
            return None;
        }
        for (product, contracts) in products.into_iter().zip(kinds) {
            let value = if contracts {
                self.contract_product(product, reduce, loops)?
            } else {
                let body = product.expr(dtype);
                let term =
                    Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: reduce.axes.clone(), body }));
                self.lower(&term, loops)
            };
            values.push(value);
        }
        Some(if values.len() == 1 { values.remove(0) } else { Expr::Sum(values) })
    }

    /// Whether a product summed over the reduction's axes is better a contraction than a loop nest.
    fn is_contraction(&self, product: &Product, reduce: &Reduce<NodeId>) -> bool {
        let sets: Vec<BTreeSet<AxisId>> = product.factors.iter().map(Expr::free_axes).collect();
        let all: BTreeSet<AxisId> = sets.iter().flatten().copied().collect();
        let real = |axis: &AxisId| self.graph.axes[*axis].extent != 1;
        let lacks = |set: &BTreeSet<AxisId>| all.iter().any(|axis| real(axis) && !set.contains(axis));
        if sets.len() < 2 || !sets.iter().any(lacks) {
            return false;
        }
        if reduce.axes.iter().any(|axis| self.graph.axes[*axis].extent == 0) {
            return false;
        }
        let points = self.graph.points(&all);
        product.factors.iter().zip(&sets).all(|(factor, set)| {
            in_place(&self.graph, factor).is_some()
                || self.windows(factor).is_some()
                || points / self.graph.points(set).max(1) >= REUSE
        })
    }

    fn contract_product(
        &mut self,
        product: Product,
        reduce: &Reduce<NodeId>,
        loops: &Loops,
    ) -> Option<Expr<NodeId>> {
        let dtype = reduce.body.dtype();
        let mut operands = Vec::new();
        let mut padded: Vec<Vec<Window>> = Vec::new();
        for factor in &product.factors {
            let operand = match (in_place(&self.graph, factor), self.windows(factor), factor) {
                (Some(access), _, _) => access,
                (None, Some(windows), Expr::Read(_)) => {
                    if padded.contains(&windows) {
                        continue;
                    }
                    // What is read at the same places is multiplied there, once for each.
                    let alike: Vec<&Expr<NodeId>> = product
                        .factors
                        .iter()
                        .filter(|other| in_place(&self.graph, other).is_none())
                        .filter(|other| self.windows(other).as_ref() == Some(&windows))
                        .collect();
                    padded.push(windows.clone());
                    self.pad(&alike, windows)?
                }
                _ => match self.windows_of_function(factor) {
                    Some(windows) => self.pad(&[factor], windows)?,
                    None => match self.materialise(factor) {
                        Expr::Read(read) => in_place(&self.graph, &Expr::Read(read))?,
                        _ => return None,
                    },
                },
            };
            operands.push(operand);
        }
        let used: BTreeSet<AxisId> = operands.iter().flat_map(Access::axes).collect();
        let mut scale = product.scale;
        let mut sum = Vec::new();
        for &axis in &reduce.axes {
            if used.contains(&axis) {
                sum.push(axis);
            } else {
                // Summing what does not depend on the axis is a multiplication.
                let times = i64::try_from(self.graph.axes[axis].extent).ok()?;
                scale = multiply(scale, scalar_of(times, dtype), dtype)?;
            }
        }
        let summed: BTreeSet<AxisId> = sum.iter().copied().collect();
        let mut own: Vec<AxisId> = used
            .iter()
            .copied()
            .filter(|&axis| !summed.contains(&axis) && Some(axis) != self.context.scan_axis)
            .collect();
        // The loops around come first, so that the value's own order is kept where the axes are its dims; before them
        // the axes of a reduction around that count products of their own.
        own.sort_by_key(|axis| {
            let counts = loops.bound.contains(axis) && operands.iter().all(|one| one.axes().contains(axis));
            let place = loops.outer.iter().position(|outer| outer == axis).unwrap_or(usize::MAX);
            (!counts, place, *axis)
        });
        let one = scalar_of(1, dtype);
        let read = self.part(own, Op::Contract(vec![Term { scale: one, sum, operands }]), dtype);
        Some(if scale == one { read } else { Expr::Product(vec![Expr::Const(scale, dtype), read]) })
    }
}

/// Whether a function of one value takes many operations.
fn is_long(op: Unary) -> bool {
    use Unary::*;
    !matches!(op, Neg | Not | Abs | Relu | Real | Imag | Conj | Sqrt | Rsqrt | Floor | Ceil | Round | Sign)
}

/// The axes of an expression in the order of their first use, bound ones too.
fn first_uses(expr: &Expr<NodeId>, axes: &mut Vec<AxisId>) {
    if let Expr::Index(axis) = expr
        && !axes.contains(axis)
    {
        axes.push(*axis);
    }
    expr.parts().into_iter().for_each(|part| first_uses(part, axes));
}

/// The expression with every part that is made of numbers alone replaced by its value.
fn fold_numbers(expr: &Expr<TensorId>) -> Expr<TensorId> {
    let expr = map_parts(expr, &mut fold_numbers);
    let parts = expr.parts();
    let numbers = !parts.is_empty() && parts.iter().all(|part| matches!(part, Expr::Const(..)));
    let plain = !matches!(expr, Expr::Read(_) | Expr::Reduce(_) | Expr::Along(_));
    if !numbers || !plain {
        return expr;
    }
    let dtype = expr.dtype();
    match super::fold_constants::number(&expr) {
        Some(value) => Expr::Const(value, dtype),
        None => expr,
    }
}

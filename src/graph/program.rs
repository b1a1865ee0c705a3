//! From a graph back to a program, so that whatever runs programs can run graphs: the judge of every pass, and the
//! evaluation of constants.

use super::rewrite::{affine_expr, scalar_of};
use super::{Graph, Node, NodeId, Op, Term, Unit};
use crate::expr::{Along, AlongOp, Axis, Expr, Outside, Read, Reduce, ReduceOp, Unary};
use crate::program::{Define, Program, Role, Scan, Scatter, Statement, Tensor, TensorId};
use einc_runtime::DType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The program that a graph is, and the constants that follow the arguments among its inputs.
///
/// `None` where a value depends on itself.
pub fn to_program(graph: &Graph) -> Option<(Program, Vec<Arc<einc_runtime::Tensor>>)> {
    let mut program = Program::new(&graph.name);
    program.axes = graph.axes.clone();
    let mut tensors: BTreeMap<NodeId, TensorId> = BTreeMap::new();
    let mut arguments: Vec<(usize, TensorId)> = Vec::new();
    let mut constants = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let role = if node.is_source() { Role::Input } else { Role::Computed };
        let (name, shape) = (node.name.clone(), node.shape.clone());
        let tensor = program.tensors.push(Tensor { name, dtype: node.dtype, shape, role, place: node.place });
        tensors.insert(id, tensor);
        match &node.op {
            Op::Input(number) => arguments.push((*number, tensor)),
            Op::Constant(value) => constants.push((value.clone(), tensor)),
            _ => {}
        }
    }
    arguments.sort_unstable();
    program.inputs = arguments.iter().map(|argument| argument.1).collect();
    program.inputs.extend(constants.iter().map(|constant| constant.1));
    for unit in graph.order()? {
        match unit {
            Unit::Node(id) => statement(graph, id, &tensors, &mut program),
            Unit::Scan(scan, nodes) => {
                let body = nodes.iter().map(|&id| define(graph, id, &tensors)).collect();
                let scan = &graph.scans[scan];
                let (axis, reversed, place) = (scan.axis, scan.reversed, scan.place);
                program.statements.push(Statement::Scan(Scan { axis, reversed, body, place }));
            }
        }
    }
    for (number, (name, id)) in graph.outputs.iter().enumerate() {
        let mut output = tensors[id];
        if graph.node(*id).is_source() {
            // Results are tensors of their own.
            let node = graph.node(*id);
            let axes: Vec<_> = node
                .shape
                .iter()
                .map(|&extent| program.axes.push(Axis { name: format!("d{number}"), extent }))
                .collect();
            let (name, shape) = (name.clone(), node.shape.clone());
            let (dtype, place) = (node.dtype, node.place);
            let target = program.tensors.push(Tensor { name, dtype, shape, role: Role::Computed, place });
            let indices = axes.iter().copied().map(Expr::Index).collect();
            let value = Expr::Read(Read { source: output, dtype, indices, outside: Outside::Never, place });
            let dims = axes.into_iter().map(|axis| vec![axis]).collect();
            program.statements.push(Statement::Define(Define {
                target,
                dims,
                value,
                keep_order: false,
                place,
            }));
            output = target;
        }
        program.outputs.push((name.clone(), output));
    }
    Some((program, constants.into_iter().map(|constant| constant.0).collect()))
}

fn statement(graph: &Graph, id: NodeId, tensors: &BTreeMap<NodeId, TensorId>, program: &mut Program) {
    let node = graph.node(id);
    match &node.op {
        Op::Input(_) | Op::Constant(_) => {}
        Op::Scatter(scatter) => program.statements.push(Statement::Scatter(Scatter {
            target: tensors[&id],
            base: scatter.base.map(|base| tensors[&base]),
            axes: scatter.axes.clone(),
            indices: scatter.indices.iter().map(|index| resolve(index, tensors)).collect(),
            outside: match &scatter.outside {
                Outside::Never => Outside::Never,
                Outside::Clamp => Outside::Clamp,
                Outside::Trust => Outside::Trust,
                Outside::Checked | Outside::Else(_) => Outside::Checked,
            },
            value: resolve(&scatter.value, tensors),
            place: node.place,
        })),
        _ => program.statements.push(Statement::Define(define(graph, id, tensors))),
    }
}

fn define(graph: &Graph, id: NodeId, tensors: &BTreeMap<NodeId, TensorId>) -> Define {
    let node = graph.node(id);
    Define {
        target: tensors[&id],
        dims: node.dims.clone(),
        value: resolve(&value(node), tensors),
        keep_order: node.keep_order,
        place: node.place,
    }
}

/// The value of a node that is not a source or a scatter, as one expression.
pub fn value(node: &Node) -> Expr<NodeId> {
    match &node.op {
        Op::Map(value) => value.clone(),
        Op::Along(along) => {
            let value = Expr::Along(Box::new(Along {
                op: along.op,
                axes: along.axes.clone(),
                out: along.out.clone(),
                body: along.body.clone(),
            }));
            match along.op == AlongOp::Idft && !node.dtype.is_complex() {
                true => Expr::Unary(Unary::Real, Box::new(value)),
                false => value,
            }
        }
        Op::Contract(terms) => {
            let mut terms: Vec<Expr<NodeId>> = terms.iter().map(|term| term_value(node, term)).collect();
            if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(terms) }
        }
        Op::Input(_) | Op::Constant(_) | Op::Scatter(_) => Expr::number(0.0, node.dtype),
    }
}

fn term_value(node: &Node, term: &Term) -> Expr<NodeId> {
    let dtype = node.dtype;
    let mut factors: Vec<Expr<NodeId>> =
        term.operands.iter().map(|operand| operand.read(dtype, node.place)).collect();
    let product = if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) };
    let sum = match term.sum.is_empty() {
        true => product,
        false => Expr::Reduce(Box::new(Reduce { op: ReduceOp::Sum, axes: term.sum.clone(), body: product })),
    };
    if term.scale == scalar_of(1, dtype) {
        sum
    } else {
        Expr::Product(vec![Expr::Const(term.scale, dtype), sum])
    }
}

impl super::Access {
    /// The read of an expression that it is.
    pub fn read(&self, dtype: DType, place: crate::source::Span) -> Expr<NodeId> {
        let indices = self.indices.iter().map(affine_expr).collect();
        Expr::Read(Read { source: self.node, dtype, indices, outside: Outside::Never, place })
    }
}

fn resolve(expr: &Expr<NodeId>, tensors: &BTreeMap<NodeId, TensorId>) -> Expr<TensorId> {
    expr.map_reads(&mut |read, indices, outside| {
        let source = tensors[&read.source];
        Expr::Read(Read { source, dtype: read.dtype, indices, outside, place: read.place })
    })
}

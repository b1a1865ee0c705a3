//! Evaluates once what depends on nothing but sizes: tables from index formulas, and what is computed from them.
//!
//! ```text
//! n1 dft[k,n]: c64[8,8] = exp(...)    =>    n1 = constant dft: c64[8,8]
//! ```
//!
//! Formulas that are cheap at every point and read only by loop nests stay formulas, where they cost no memory; tables
//! that would take long to evaluate here are left to the compiled program. Takes time linear in the elements folded.

use super::rewrite::{has_reduction, work};
use super::{Graph, NodeId, Op, Unit, program};
use crate::expr::Expr;
use crate::program::{Define, Program, Role, Statement, TensorId};
use crate::source::Span;
use einc_runtime::Tensor;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How much work a table may be, in multiply-adds.
const LIMIT: u64 = 1 << 20;

/// How much work at each point is less than a read from memory.
const CHEAP: u64 = 8;

/// Evaluates once what depends on nothing but sizes.
pub fn fold_constants(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    let Some(units) = graph.order() else { return graph };
    let contracted: BTreeSet<NodeId> = graph
        .ids()
        .into_iter()
        .filter_map(|id| match &graph.node(id).op {
            Op::Contract(terms) => Some(terms.iter().flat_map(|term| &term.operands).map(|o| o.node)),
            _ => None,
        })
        .flatten()
        .chain(graph.outputs.iter().map(|(_, node)| *node))
        .collect();
    for unit in units {
        let Unit::Node(id) = unit else { continue };
        if let Some(table) =
            foldable(&graph, id, contracted.contains(&id)).then(|| evaluate(&graph, id)).flatten()
        {
            let node = graph.node_mut(id);
            node.op = Op::Constant(Arc::new(table));
            node.dims = Vec::new();
        }
    }
    graph.link();
    graph
}

fn foldable(graph: &Graph, id: NodeId, wanted: bool) -> bool {
    let node = graph.node(id);
    let known = |source: NodeId| matches!(graph.node(source).op, Op::Constant(_));
    if node.is_source() || !node.sources().into_iter().all(known) {
        return false;
    }
    let each = match &node.op {
        Op::Map(value) => work(graph, value),
        Op::Contract(terms) => terms
            .iter()
            .map(|term| graph.points(&term.sum).saturating_mul(term.operands.len() as u64))
            .fold(0, u64::saturating_add),
        Op::Along(along) => {
            work(graph, &along.body).saturating_add(8).saturating_mul(graph.points(&along.axes))
        }
        // Faults belong to the run.
        Op::Scatter(_) | Op::Input(_) | Op::Constant(_) => return false,
    };
    let formula = matches!(&node.op, Op::Map(value) if !has_reduction(value) && each <= CHEAP);
    let checked = node.exprs().into_iter().any(|expr| {
        let mut found = expr.can_fail();
        expr.for_each_read(&mut |read| found |= !matches!(read.outside, crate::expr::Outside::Never));
        found
    });
    !checked && (wanted || !formula) && node.elems().saturating_mul(each.max(1)) <= LIMIT
}

/// The value of one node whose sources are constants.
fn evaluate(graph: &Graph, id: NodeId) -> Option<Tensor> {
    let mut alone = graph.clone();
    let sources: BTreeSet<NodeId> = graph.node(id).sources().into_iter().collect();
    alone.retain(|other| other == id || sources.contains(&other));
    alone.outputs = vec![(String::new(), id)];
    alone.link();
    let (program, constants) = program::to_program(&alone)?;
    let inputs: Vec<&Tensor> = constants.iter().map(Arc::as_ref).collect();
    crate::interpret::run(&program, &inputs).ok()?.pop()
}

/// The value of an expression without axes and reads.
pub(super) fn number(expr: &Expr<TensorId>) -> Option<einc_runtime::Scalar> {
    let mut program = Program::new("");
    let place = Span::default();
    let target = program.tensors.push(crate::program::Tensor {
        name: String::new(),
        dtype: expr.dtype(),
        shape: Vec::new(),
        role: Role::Computed,
        place,
    });
    let value = expr.clone();
    let define = Define { target, dims: Vec::new(), value, keep_order: false, place };
    program.statements.push(Statement::Define(define));
    program.outputs.push((String::new(), target));
    crate::interpret::run(&program, &[]).ok()?.pop().map(|value| value.get(0))
}

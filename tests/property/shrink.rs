//! Makes a failing program smaller while it keeps failing.

use super::generate::Case;
use einc::expr::{AxisId, Expr, Outside};
use einc::id::Id;
use einc::interpret;
use einc::program::{Program, Role, Statement, TensorId};
use einc_runtime::Tensor;
use std::collections::BTreeSet;

type E = Expr<TensorId>;

/// The smallest failing case that a few hundred tries find.
pub fn shrink(case: &Case, fails: &dyn Fn(&Case) -> bool) -> Case {
    let mut best = case.clone();
    let mut tries = 400;
    'search: loop {
        for smaller in candidates(&best) {
            tries -= 1;
            if fails(&smaller) {
                best = smaller;
                continue 'search;
            }
            if tries == 0 {
                return best;
            }
        }
        return best;
    }
}

fn candidates(case: &Case) -> Vec<Case> {
    let mut list = Vec::new();
    let outputs = &case.program.outputs;
    if outputs.len() > 1 {
        for output in outputs {
            let mut smaller = case.clone();
            smaller.program.outputs = vec![output.clone()];
            list.push(without_unused(smaller));
        }
    }
    for number in 0..case.program.statements.len() {
        list.extend(given(case, number));
    }
    for number in 0..case.program.statements.len() {
        list.extend(simpler(case, number).into_iter().map(without_unused));
    }
    list
}

fn target(statement: &Statement) -> TensorId {
    match statement {
        Statement::Define(define) => define.target,
        Statement::Scatter(scatter) => scatter.target,
        Statement::Scan(scan) => scan.body[0].target,
    }
}

fn values(statement: &Statement) -> Vec<&E> {
    match statement {
        Statement::Define(define) => vec![&define.value],
        Statement::Scatter(scatter) => scatter.indices.iter().chain([&scatter.value]).collect(),
        Statement::Scan(scan) => scan.body.iter().map(|define| &define.value).collect(),
    }
}

/// Drops the statements and inputs that no output needs.
fn without_unused(mut case: Case) -> Case {
    let mut needed: BTreeSet<TensorId> = case.program.outputs.iter().map(|output| output.1).collect();
    let mut kept = Vec::new();
    for statement in case.program.statements.drain(..).rev() {
        if needed.contains(&target(&statement)) {
            for value in values(&statement) {
                value.for_each_read(&mut |read| {
                    needed.insert(read.source);
                });
            }
            if let Statement::Scatter(scatter) = &statement {
                needed.extend(scatter.base);
            }
            kept.push(statement);
        }
    }
    kept.reverse();
    case.program.statements = kept;
    let inputs = case.program.inputs.drain(..).zip(case.inputs.drain(..));
    let (ids, tensors) = inputs.filter(|(id, _)| needed.contains(id)).unzip();
    (case.program.inputs, case.inputs) = (ids, tensors);
    case
}

/// The same with the result of a statement handed over as an input.
fn given(case: &Case, number: usize) -> Option<Case> {
    let id = target(&case.program.statements[number]);
    if case.program.outputs.iter().any(|output| output.1 == id) {
        return None;
    }
    let mut until = case.program.clone();
    until.outputs = vec![("value".to_string(), id)];
    let inputs: Vec<&Tensor> = case.inputs.iter().collect();
    let value = interpret::run(&until, &inputs).ok()?.remove(0);
    let mut smaller = case.clone();
    smaller.program.statements.remove(number);
    smaller.program.tensors[id].role = Role::Input;
    smaller.program.inputs.push(id);
    smaller.inputs.push(value);
    Some(without_unused(smaller))
}

/// The same with a part of a statement's value in place of the whole.
fn simpler(case: &Case, number: usize) -> Vec<Case> {
    let Statement::Define(define) = &case.program.statements[number] else { return Vec::new() };
    let allowed: BTreeSet<AxisId> = define.axes().into_iter().collect();
    let mut list = Vec::new();
    for value in smaller_exprs(&define.value) {
        if value.dtype() == define.value.dtype() && value.free_axes().is_subset(&allowed) {
            let mut smaller = case.clone();
            if let Statement::Define(define) = &mut smaller.program.statements[number] {
                define.value = value;
            }
            list.push(smaller);
        }
    }
    list
}

/// Expressions with one node replaced by a part of it or by 1, or with one term less, outermost first.
fn smaller_exprs(expr: &E) -> Vec<E> {
    let dtype = expr.dtype();
    let mut list: Vec<E> = expr.parts().into_iter().filter(|part| part.dtype() == dtype).cloned().collect();
    let fewer = |parts: &[E], make: fn(Vec<E>) -> E| {
        let without = |skip: usize| {
            let kept = parts.iter().enumerate().filter(|(k, _)| *k != skip).map(|(_, part)| part.clone());
            make(kept.collect())
        };
        if parts.len() > 2 { (0..parts.len()).map(without).collect() } else { Vec::new() }
    };
    match expr {
        Expr::Sum(parts) => list.extend(fewer(parts, Expr::Sum)),
        Expr::Product(parts) => list.extend(fewer(parts, Expr::Product)),
        Expr::Const(..) | Expr::Index(_) => return list,
        _ => {}
    }
    list.push(Expr::number(1.0, dtype));
    // Each part replaced by each smaller one.
    for (place, part) in expr.parts().into_iter().enumerate() {
        for smaller in smaller_exprs(part) {
            list.push(with_part(expr, place, smaller));
        }
    }
    list
}

fn with_part(expr: &E, place: usize, part: E) -> E {
    let mut result = expr.clone();
    let slot = match &mut result {
        Expr::Unary(_, a) | Expr::Cast(_, a) => &mut **a,
        Expr::Binary(_, a, b) => {
            if place == 0 {
                &mut **a
            } else {
                &mut **b
            }
        }
        Expr::Sum(parts) | Expr::Product(parts) => &mut parts[place],
        Expr::Select(parts) => &mut parts[place],
        Expr::Reduce(reduce) => &mut reduce.body,
        Expr::Along(along) => &mut along.body,
        Expr::Read(read) if place < read.indices.len() => &mut read.indices[place],
        Expr::Read(read) => match &mut read.outside {
            Outside::Else(value) => &mut **value,
            _ => unreachable!("a read has no other parts"),
        },
        Expr::Const(..) | Expr::Index(_) => unreachable!("leaves have no parts"),
    };
    *slot = part;
    result
}

/// The program and the values of its inputs, as a bug report shows them.
pub fn show(case: &Case) -> String {
    let mut text = case.program.to_string();
    text += &format!("extents {}\n", extents(&case.program));
    for (id, tensor) in case.program.inputs.iter().zip(&case.inputs) {
        let values: Vec<_> = (0..tensor.elems().min(32)).map(|k| tensor.get(k)).collect();
        text += &format!("{id} = {values:?}\n");
    }
    text
}

fn extents(program: &Program) -> String {
    let axes = program.axes.iter().map(|(id, axis)| format!("{}#{}={}", axis.name, id.number(), axis.extent));
    axes.collect::<Vec<_>>().join(" ")
}

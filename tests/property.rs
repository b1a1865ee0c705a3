//! Random programs: every way to run a program agrees with the interpreter.
//!
//! Integers must be equal. Reals may differ by what [`bound`] shows possible. A failure prints its seed, the smallest
//! program that still fails, and its inputs. `EINC_PROPERTY_CASES` multiplies the number of programs.

mod bound;
mod generate;
mod shrink;

#[cfg(feature = "cranelift")]
use einc::backend::cranelift;
use einc::graph::{Graph, PASSES};
#[cfg(feature = "cranelift")]
use einc::loops;
#[cfg(feature = "cranelift")]
use einc::machine::Machine;
use einc::plan::{Settings, plan};
use einc::{interpret, pass};
use einc_runtime::{DType, Scalar, Tensor};
use generate::{Case, generate};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A way to run a program: the results, flat or not, or why there are none.
type Way = fn(&Case) -> Result<Vec<Tensor>, String>;

fn inputs(case: &Case) -> Vec<&Tensor> {
    case.inputs.iter().collect()
}

fn graph(case: &Case) -> Result<Graph, String> {
    let graph = Graph::new(&case.program);
    graph.verify().map_err(|law| format!("the graph breaks a law: {law}\n{graph}"))?;
    let mut broken = None;
    let graph = pass::run(graph, PASSES, &mut |name, graph| {
        if let Err(law) = graph.verify() {
            broken.get_or_insert(format!("after pass `{name}` the graph breaks a law: {law}\n{graph}"));
        }
    });
    broken.map_or(Ok(graph), Err)
}

fn by_graph(case: &Case) -> Result<Vec<Tensor>, String> {
    let graph = graph(case)?;
    interpret::run_graph(&graph, &inputs(case)).map_err(|fault| format!("{fault:?}\n{graph}"))
}

#[cfg(feature = "cranelift")]
fn by_loops(case: &Case) -> Result<Vec<Tensor>, String> {
    let plan = plan(&graph(case)?, &Settings::default()).map_err(|diagnostic| diagnostic.message)?;
    let loops = loops::lower(&plan, &Machine::host());
    loops::verify(&loops).map_err(|law| format!("the loops break a law: {law}\n{plan}\n{loops}"))?;
    interpret::run_loops(&loops, &inputs(case)).map_err(|fault| format!("{fault:?}\n{loops}"))
}

fn by_plan(case: &Case) -> Result<Vec<Tensor>, String> {
    let graph = graph(case)?;
    let plan = plan(&graph, &Settings::default()).map_err(|diagnostic| diagnostic.message)?;
    plan.verify().map_err(|law| format!("the plan breaks a law: {law}\n{graph}\n{plan}"))?;
    let run = || interpret::run_plan(&plan, &inputs(case));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|fault| format!("{fault:?}\n{plan}")),
        Err(panic) => Err(format!("{}\n{graph}\n{plan}", message(panic))),
    }
}

#[cfg(feature = "cranelift")]
fn by_cranelift(case: &Case) -> Result<Vec<Tensor>, String> {
    let graph = graph(case)?;
    let plan = plan(&graph, &Settings::default()).map_err(|diagnostic| diagnostic.message)?;
    let compiled = cranelift::compile(&plan, &Machine::host()).map_err(|unsupported| unsupported.what)?;
    let outputs = case.program.outputs.iter().map(|(_, id)| {
        let declared = &case.program.tensors[*id];
        Tensor::zeros(declared.dtype, &declared.shape).expect("small")
    });
    let mut outputs: Vec<Tensor> = outputs.collect();
    match compiled.run(&inputs(case), &mut outputs, 2) {
        Ok(()) => Ok(outputs),
        Err(fault) => Err(format!("{fault:?}\n{plan}")),
    }
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
}

/// What is wrong with a way to run a case, if anything. A case that the judge itself refuses, as attempts to make a
/// failing one smaller may be, is not wrong.
fn wrong(case: &Case, way: Way) -> Option<String> {
    let judge = || interpret::run(&case.program, &inputs(case)).expect("accesses stay inside");
    let expected = catch_unwind(AssertUnwindSafe(judge)).ok()?;
    let found = match catch_unwind(AssertUnwindSafe(|| way(case))) {
        Ok(Ok(found)) => found,
        Ok(Err(problem)) => return Some(problem),
        Err(panic) => return Some(message(panic)),
    };
    let magnitudes = bound::magnitudes(&case.program);
    let sizes: Vec<Tensor> = case.inputs.iter().map(bound::magnitudes_of).collect();
    let sizes = interpret::run(&magnitudes, &sizes.iter().collect::<Vec<_>>()).expect("accesses stay inside");
    let operations = bound::operations(&case.program);
    for (number, ((expected, found), size)) in expected.iter().zip(&found).zip(&sizes).enumerate() {
        if (expected.dtype(), expected.elems()) != (found.dtype(), found.elems()) {
            return Some(format!("output {number} has another type or size"));
        }
        let unit = bound::unit(expected.dtype()) * operations;
        for position in 0..expected.elems() {
            let (a, b) = (expected.get(position), found.get(position));
            let size = size.get(position).re();
            let tolerance = unit * size;
            // Where an intermediate value may overflow, anything may follow.
            if size < bound::greatest(expected.dtype()) && !agree(a, b, tolerance) {
                return Some(format!(
                    "element {position} of output {number}: {b:?}, not {a:?} (+- {tolerance:e})"
                ));
            }
        }
    }
    None
}

fn agree(a: Scalar, b: Scalar, tolerance: f64) -> bool {
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance;
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => a == b,
        (a, b) => close(a.re(), b.re()) && close(a.im(), b.im()),
    }
}

fn check(way: Way, dtype: DType, count: u64) {
    let factor =
        std::env::var("EINC_PROPERTY_CASES").ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
    for seed in 0..count * factor {
        let case = generate(seed, dtype);
        interpret::run(&case.program, &inputs(&case)).expect("accesses stay inside");
        if let Some(problem) = wrong(&case, way) {
            let small = shrink::shrink(&case, &|case| wrong(case, way).is_some());
            let why = wrong(&small, way).unwrap_or_default();
            panic!("seed {seed} of {dtype}: {problem}\n\nsmallest: {why}\n\n{}", shrink::show(&small));
        }
    }
}

#[test]
fn graphs_agree() {
    check(by_graph, DType::I64, 150);
    check(by_graph, DType::U8, 50);
    check(by_graph, DType::F64, 100);
    check(by_graph, DType::C128, 50);
}

#[test]
#[cfg(feature = "cranelift")]
fn loops_agree() {
    check(by_loops, DType::I64, 60);
    check(by_loops, DType::U8, 30);
    check(by_loops, DType::F64, 60);
    check(by_loops, DType::F32, 30);
    check(by_loops, DType::C128, 30);
}

#[test]
fn plans_agree_in_integers() {
    check(by_plan, DType::I64, 300);
    check(by_plan, DType::I32, 100);
    check(by_plan, DType::U8, 100);
}

#[test]
fn plans_agree_in_reals() {
    check(by_plan, DType::F64, 200);
    check(by_plan, DType::F32, 100);
}

#[test]
fn plans_agree_in_complex_values() {
    check(by_plan, DType::C128, 100);
}

#[test]
#[cfg(feature = "cranelift")]
fn native_code_agrees_in_integers() {
    check(by_cranelift, DType::I64, 100);
    check(by_cranelift, DType::I32, 40);
    check(by_cranelift, DType::U8, 40);
}

#[test]
#[cfg(feature = "cranelift")]
fn native_code_agrees_in_reals() {
    check(by_cranelift, DType::F64, 100);
    check(by_cranelift, DType::F32, 60);
}

#[test]
#[cfg(feature = "cranelift")]
fn native_code_agrees_in_complex_values() {
    check(by_cranelift, DType::C128, 40);
}

#[test]
fn programs_are_varied() {
    let text: String = (0..300).map(|seed| generate(seed, DType::F64).program.to_string()).collect();
    for form in [
        "sum[",
        "max[",
        "softmax[",
        "topk[",
        "+=",
        "scan[",
        "select(",
        " else ",
        "clamp",
        "checked",
        "logsumexp[",
    ] {
        assert!(text.contains(form), "no program has `{form}`");
    }
    let again: String = (0..300).map(|seed| generate(seed, DType::F64).program.to_string()).collect();
    assert_eq!(text, again);
}

/// The interpreter with the last element changed where a program has a sum of products.
fn broken(case: &Case) -> Result<Vec<Tensor>, String> {
    let mut results = interpret::run(&case.program, &inputs(case)).map_err(|fault| format!("{fault:?}"))?;
    let last = results.last_mut().expect("a result");
    if case.program.to_string().contains("sum[") && last.elems() > 0 {
        let place = last.elems() - 1;
        last.set(place, Scalar::Int(last.get(place).int() + 1));
    }
    Ok(results)
}

#[test]
fn a_wrong_result_is_found_and_made_small() {
    let found = (0..100).map(|seed| generate(seed, DType::I64)).find(|case| wrong(case, broken).is_some());
    let small =
        shrink::shrink(&found.expect("most programs have a sum"), &|case| wrong(case, broken).is_some());
    assert_eq!(small.program.statements.len(), 1, "{}", shrink::show(&small));
    assert!(shrink::show(&small).contains("sum["));
    assert!(wrong(&small, broken).is_some_and(|problem| problem.contains("of output 0")));
}

//! Random programs, against the interpreter of plans.

#[path = "../../../../tests/property/bound.rs"]
mod bound;

use crate::backend::cranelift::{compile, compile_loops};
use crate::fault::Fault;
use crate::graph::{Graph, PASSES};
use crate::loops::lower;
use crate::machine::Machine;
use crate::pass;
use crate::plan::blocks::in_small_blocks;
use crate::plan::random_tests::{banded_program, random_program};
use crate::plan::{Place, Plan, Settings, plan};
use crate::program::Program;
use einc_runtime::{DType, Scalar, Tensor};

/// Small integers, other ones for each input.
pub fn inputs(plan: &Plan) -> Vec<Tensor> {
    let mut seed = 11u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as i64 % 7 - 3
    };
    let mut list = Vec::new();
    for (_, buffer) in plan.buffers.iter() {
        if let Place::Input(number) = buffer.place {
            let mut tensor = Tensor::zeros(buffer.dtype, &[buffer.elems]).unwrap();
            for k in 0..tensor.elems() {
                let value = next();
                let scalar = if buffer.dtype.is_complex() {
                    Scalar::Complex(value as f64, next() as f64)
                } else if buffer.dtype.is_float() {
                    Scalar::Real(value as f64)
                } else {
                    Scalar::Int(value.into())
                };
                tensor.set(k, scalar);
            }
            list.push((number, tensor));
        }
    }
    list.sort_by_key(|input| input.0);
    list.into_iter().map(|input| input.1).collect()
}

/// Whether two results differ by no more than rounding among values as large as `scale` explains.
fn close(a: Scalar, b: Scalar, slack: f64, scale: f64) -> bool {
    let near = |a: f64, b: f64| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack * (1.0 + b.abs().max(scale))
    };
    match (a, b) {
        (Scalar::Real(a), Scalar::Real(b)) => near(a, b),
        (Scalar::Complex(a, b), Scalar::Complex(c, d)) => near(a, c) && near(b, d),
        (a, b) => a == b,
    }
}

/// Whether two results differ by no more than that.
fn within(a: Scalar, b: Scalar, slack: f64) -> bool {
    let near = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack;
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => a == b,
        (a, b) => slack.is_infinite() || (near(a.re(), b.re()) && near(a.im(), b.im())),
    }
}

/// What rounding explains for each element of a program's outputs, from the magnitudes that lead there.
fn slack(program: &Program, plan: &Plan) -> Option<Slack> {
    let sizes: Vec<Tensor> = inputs(plan)
        .iter()
        .zip(&program.inputs)
        .map(|(tensor, &id)| {
            let shaped = Tensor::from_bytes(tensor.dtype(), &program.tensors[id].shape, tensor.bytes());
            bound::magnitudes_of(&shaped.expect("as many elements as the program says"))
        })
        .collect();
    let magnitudes = bound::magnitudes(program);
    let sizes = crate::interpret::run(&magnitudes, &sizes.iter().collect::<Vec<_>>()).ok()?;
    let operations = bound::operations(program);
    let outputs = program.outputs.iter().zip(&sizes).map(|((_, id), sizes)| {
        let dtype = program.tensors[*id].dtype;
        let of = |size: f64| match size < bound::greatest(dtype) {
            true => bound::unit(dtype) * operations * size,
            false => f64::INFINITY,
        };
        (0..sizes.elems()).map(|k| of(sizes.get(k).re())).collect()
    });
    Some(outputs.collect())
}

/// How far each element of each output may be off; infinite where an intermediate value may overflow.
type Slack = Vec<Vec<f64>>;

/// Compiles a plan, runs it and compares with the interpreter.
pub fn assert_agrees(plan: &Plan, note: &str) {
    assert_within(plan, None, note);
}

/// The same, with an own bound for each element.
fn assert_within(plan: &Plan, slack: Option<&Slack>, note: &str) {
    let tensors = inputs(plan);
    let references: Vec<&Tensor> = tensors.iter().collect();
    let wanted = crate::interpret::run_plan(plan, &references);
    let loops = lower(plan, &Machine::host());
    let text = loops.to_string();
    if let Err(broken) = crate::loops::verify(&loops) {
        panic!("{note}: {broken}\n{plan}\n{text}");
    }
    let slow = crate::interpret::run_loops(&loops, &references);
    let compiled =
        compile_loops(loops, &Machine::host()).unwrap_or_else(|error| panic!("{note}: {error:?}\n{plan}"));
    let mut outputs = Vec::new();
    for (_, buffer) in plan.buffers.iter() {
        if let Place::Output(number) = buffer.place {
            outputs.push((number, Tensor::zeros(buffer.dtype, &[buffer.elems]).unwrap()));
        }
    }
    outputs.sort_by_key(|output| output.0);
    let mut outputs: Vec<Tensor> = outputs.into_iter().map(|output| output.1).collect();
    let found = compiled.run(&references, &mut outputs, 1);
    assert_same(slow, &wanted, slack, &format!("{note}: loops\n{plan}\n{text}"));
    assert_same(found.map(|()| outputs), &wanted, slack, &format!("{note}: code\n{plan}\n{text}"));
}

fn assert_same(
    found: Result<Vec<Tensor>, Fault>,
    wanted: &Result<Vec<Tensor>, Fault>,
    bounds: Option<&Slack>,
    note: &str,
) {
    match (found, wanted) {
        (Ok(found), Ok(wanted)) => {
            for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                let slack = match found.dtype() {
                    DType::F64 | DType::C128 => 1e-11,
                    DType::F16 => 4e-3,
                    DType::Bf16 => 3e-2,
                    _ => 2e-4,
                };
                // Terms of large magnitude may cancel in some elements, never in all.
                let finite =
                    (0..wanted.elems()).map(|k| wanted.get(k)).map(|w| w.re().abs().max(w.im().abs()));
                let scale = finite.filter(|size| size.is_finite()).fold(0.0, f64::max);
                for k in 0..wanted.elems() {
                    let (a, b) = (found.get(k), wanted.get(k));
                    let near = match bounds {
                        Some(bounds) => within(a, b, bounds[number][k]),
                        None => close(a, b, slack, scale),
                    };
                    assert!(near, "output {number}[{k}] is {a:?}, not {b:?}\n{note}");
                }
            }
        }
        (found, wanted) => assert_eq!(found.err().as_ref(), wanted.as_ref().err(), "{note}"),
    }
}

fn random(seeds: std::ops::Range<u64>, dtype: DType, extents: &[u64]) {
    for seed in seeds {
        let program = random_program(seed, dtype, extents);
        let graph = pass::run(Graph::new(&program), PASSES, &mut |_, _| {});
        let plan = plan(&graph, &Settings::default()).unwrap();
        let slack = slack(&program, &plan);
        assert_within(&plan, slack.as_ref(), &format!("seed {seed} {dtype}"));
        let blocks = in_small_blocks(&plan);
        if blocks.steps.len() != plan.steps.len() {
            assert_within(&blocks, slack.as_ref(), &format!("seed {seed} {dtype} in blocks"));
        }
    }
}

#[test]
fn random_integer_programs() {
    random(0..60, DType::I64, &[1, 2, 3, 4, 5, 9]);
    random(100..140, DType::I32, &[1, 3, 4, 5, 9, 17]);
    random(200..220, DType::I8, &[1, 4, 5, 9]);
    random(300..320, DType::U16, &[1, 4, 5, 9]);
}

#[test]
fn random_float_programs() {
    random(400..440, DType::F64, &[1, 2, 3, 4, 5, 9]);
    random(500..560, DType::F32, &[1, 3, 4, 5, 9, 17]);
    random(600..610, DType::F16, &[1, 4, 5]);
    random(700..710, DType::Bf16, &[1, 4, 5]);
}

#[test]
fn random_sums_in_bands() {
    for (seed, dtype) in (0..60).zip([DType::F32, DType::F64, DType::I32, DType::C64].into_iter().cycle()) {
        let program = banded_program(seed, dtype);
        let graph = pass::run(Graph::new(&program), PASSES, &mut |_, _| {});
        let plan = plan(&graph, &Settings::default()).unwrap();
        assert_agrees(&plan, &format!("seed {seed} {dtype}"));
        assert_agrees(&in_small_blocks(&plan), &format!("seed {seed} {dtype} in blocks"));
    }
}

#[test]
fn the_text_of_code_does_not_depend_on_the_host() {
    let program = random_program(3, DType::F32, &[4, 8]);
    let graph = pass::run(Graph::new(&program), PASSES, &mut |_, _| {});
    let plan = plan(&graph, &Settings::default()).unwrap();
    for name in ["x86_64", "x86_64-v3"] {
        let machine = Machine::named(name).unwrap();
        let text = crate::backend::cranelift::clif(&plan, &machine).unwrap();
        assert_eq!(text, crate::backend::cranelift::clif(&plan, &machine).unwrap());
        assert!(text.contains("function %step0("), "{text}");
    }
    compile(&plan, &Machine::host()).unwrap();
}

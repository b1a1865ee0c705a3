//! The einsum expressions of the test suites of NumPy, opt_einsum, PyTorch, JAX and einops.
//!
//! `einsum_cases.json` holds facts: expressions, shapes, whether the suite expects them to work, and numbers that pin
//! the result down. Element `k` (row-major) of operand `n` is `((31k + 17n + 7) mod 7) - 3`; `ref_sum` is the sum of
//! the result, `ref_wsum` the sum of `(k mod 7 + 1) * out[k]`, and `ref_absmax` the largest magnitude.

use einc::interpret;
use einc::program::einsum::{self, EinsumError, EinsumProgram, Label};
use einc_runtime::{DType, Scalar, Tensor};
use serde_json::Value;

fn cases() -> Vec<Value> {
    let text = include_str!("einsum_cases.json");
    let mut file: Value = serde_json::from_str(text).expect("the cases are JSON");
    match file["cases"].take() {
        Value::Array(cases) => cases,
        other => panic!("cases are a list, not {other}"),
    }
}

fn shapes(case: &Value) -> Vec<Vec<u64>> {
    let list = case["shapes"].as_array().expect("shapes");
    let shape = |shape: &Value| shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    list.iter().map(shape).collect()
}

fn labels(list: &Value) -> Vec<Label> {
    let label = |label: &Value| match label {
        Value::String(text) if text == "..." => Label::Ellipsis,
        Value::String(text) => Label::Name(text.clone()),
        other => Label::Number(other.as_i64().expect("a number")),
    };
    list.as_array().expect("labels").iter().map(label).collect()
}

fn program(case: &Value, dtype: DType) -> Result<EinsumProgram, EinsumError> {
    let shapes = shapes(case);
    let ranks: Vec<usize> = shapes.iter().map(Vec::len).collect();
    let text = case["einsum"].as_str().unwrap_or("");
    let spec = match case["form"].as_str().expect("a form") {
        "string" => einsum::parse(text, &ranks)?,
        "named" => einsum::parse_named(text, &ranks)?,
        _ => {
            let operands: Vec<Vec<Label>> = case["subs"].as_array().unwrap().iter().map(labels).collect();
            let output = case["outsub"].as_array().map(|_| labels(&case["outsub"]));
            einsum::from_labels(&operands, output.as_deref(), &ranks)?
        }
    };
    einsum::program(&spec, dtype, &shapes)
}

fn operand(number: usize, dtype: DType, shape: &[u64]) -> Tensor {
    let mut tensor = Tensor::zeros(dtype, shape).expect("memory");
    for k in 0..tensor.elems() {
        let value = (31 * k as i128 + 17 * number as i128 + 7) % 7 - 3;
        tensor.set(k, Scalar::Int(value));
    }
    tensor
}

fn result(program: &EinsumProgram) -> Tensor {
    let program = &program.program;
    let inputs: Vec<Tensor> = program
        .inputs
        .iter()
        .enumerate()
        .map(|(number, &id)| operand(number, program.tensors[id].dtype, &program.tensors[id].shape))
        .collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    interpret::run(program, &inputs).expect("no access can fail").remove(0)
}

/// What is wrong with the result of a case in that dtype, if anything.
fn wrong(case: &Value, dtype: DType) -> Option<String> {
    let made = match program(case, dtype) {
        Ok(made) => made,
        Err(error) => return Some(error.message),
    };
    let out = result(&made);
    let expected = case["out_shape"].as_array()?;
    let expected: Vec<u64> = expected.iter().map(|n| n.as_u64().unwrap()).collect();
    if out.shape() != expected {
        return Some(format!("the shape is {:?}, not {expected:?}", out.shape()));
    }
    let values: Vec<i128> = (0..out.elems()).map(|k| out.get(k).int()).collect();
    let weighted = values.iter().enumerate().map(|(k, value)| (k as i128 % 7 + 1) * value);
    let found = [
        values.iter().sum::<i128>(),
        weighted.sum(),
        values.iter().map(|value| value.abs()).max().unwrap_or(0),
    ];
    let expected = ["ref_sum", "ref_wsum", "ref_absmax"].map(|key| i128::from(case[key].as_i64().unwrap()));
    (found != expected).then(|| format!("sums are {found:?}, not {expected:?}"))
}

fn check(dtype: DType, suits: impl Fn(&Value) -> bool) {
    let mut failures = Vec::new();
    let mut count = 0;
    for case in cases().iter().filter(|case| case["expect"] == "ok" && suits(case)) {
        count += 1;
        if let Some(problem) = wrong(case, dtype) {
            let text = if case["einsum"].is_string() { &case["einsum"] } else { &case["subs"] };
            failures.push(format!("{} {text} {}: {problem}", case["id"], case["shapes"]));
        }
    }
    assert!(count > 800, "only {count} cases were run");
    assert!(failures.is_empty(), "{} of {count} in {dtype}:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn cases_hold_in_i64() {
    check(DType::I64, |_| true);
}

#[test]
fn cases_hold_in_f64() {
    check(DType::F64, |_| true);
}

#[test]
fn cases_hold_in_f32_where_it_is_exact() {
    // Operands of millions of elements are left to the other two.
    let small = |case: &Value| shapes(case).iter().all(|shape| shape.iter().product::<u64>() < 1 << 20);
    let exact = |case: &Value| case["ref_absmax"].as_u64().is_some_and(|most| most < 1 << 24);
    check(DType::F32, |case| exact(case) && small(case));
}

#[test]
fn what_the_suites_refuse_is_refused() {
    let cases = cases();
    let refused: Vec<&Value> = cases.iter().filter(|case| case["expect"] == "error").collect();
    assert_eq!((cases.len(), refused.len()), (963, 42));
    let accepted: Vec<&Value> =
        refused.into_iter().filter(|case| program(case, DType::F64).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

#[test]
fn stretching_a_named_index_gives_a_warning() {
    let mut warned = 0;
    for case in cases().iter().filter(|case| case["expect"] == "ok") {
        let flags = case["flags"].as_array().expect("flags");
        let stretches = flags.iter().any(|flag| flag == "broadcast_size1_named");
        let warns = !program(case, DType::F64).expect("accepted").warnings.is_empty();
        assert!(warns || !stretches, "{}", case["id"]);
        warned += u32::from(warns);
    }
    // The 13 of the flag and two with `...ij,...jk->...ik` for (1,5) and (1,5).
    assert_eq!(warned, 15);
}

#[test]
fn a_dot_of_narrow_integers_does_not_wrap() {
    let spec = einsum::parse("i,i->", &[1, 1]).unwrap();
    let made = einsum::program(&spec, DType::I8, &[vec![100], vec![100]]).unwrap();
    let hundreds = Tensor::from_slice(&[100], &[100i8; 100]).unwrap();
    let out = interpret::run(&made.program, &[&hundreds, &hundreds]).unwrap().remove(0);
    assert_eq!((out.dtype(), out.get(0)), (DType::I64, Scalar::Int(1_000_000)));
}

#[test]
fn booleans_are_joined_by_or_and_and() {
    let spec = einsum::parse("ij,jk", &[2, 2]).unwrap();
    let made = einsum::program(&spec, DType::Bool, &[vec![2, 2], vec![2, 2]]).unwrap();
    let bools = |values: [i128; 4]| {
        let mut tensor = Tensor::zeros(DType::Bool, &[2, 2]).unwrap();
        values.iter().enumerate().for_each(|(k, &value)| tensor.set(k, Scalar::Int(value)));
        tensor
    };
    let (a, b) = (bools([1, 1, 0, 1]), bools([1, 0, 1, 0]));
    assert_eq!(interpret::run(&made.program, &[&a, &b]).unwrap()[0], bools([1, 0, 1, 0]));
}

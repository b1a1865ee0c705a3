//! Whole ways from programs to plans.

use super::{Plan, Settings, Step, plan};
use crate::expr::{AlongOp, Binary, Expr, Outside, ReduceOp, Unary};
use crate::graph::sample::*;
use crate::graph::{Graph, PASSES, to_program};
use crate::pass;
use crate::program::Program;
use einc_runtime::{DType, Scalar, Tensor};

/// Small integers, other ones for each input, in the inputs' dtypes.
fn inputs(program: &Program) -> Vec<Tensor> {
    let mut seed = 7u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as i64 % 5 - 2
    };
    let mut tensors = Vec::new();
    for &id in &program.inputs {
        let declared = &program.tensors[id];
        let mut tensor = Tensor::zeros(declared.dtype, &declared.shape).expect("tests are small");
        for k in 0..tensor.elems() {
            let value = next();
            tensor.set(
                k,
                if declared.dtype.is_float() {
                    Scalar::Real(value as f64)
                } else {
                    Scalar::Int(value.into())
                },
            );
        }
        tensors.push(tensor);
    }
    tensors
}

fn assert_close(
    program: &Program,
    found: &[Tensor],
    wanted: &[Tensor],
    stage: &str,
    text: &dyn std::fmt::Display,
) {
    for ((name, _), (found, wanted)) in program.outputs.iter().zip(found.iter().zip(wanted)) {
        assert_eq!(found.elems(), wanted.elems(), "{stage}: {name}\n{text}");
        for k in 0..wanted.elems() {
            let near = match (found.get(k), wanted.get(k)) {
                (Scalar::Real(a), Scalar::Real(b)) => a == b || (a - b).abs() <= 1e-5 * (1.0 + b.abs()),
                (a, b) => a == b,
            };
            assert!(near, "{stage}: {name}[{k}] is {:?}, not {:?}\n{text}", found.get(k), wanted.get(k));
        }
    }
}

/// Runs a graph in the interpreter of programs.
fn run_graph(graph: &Graph, arguments: &[Tensor]) -> Vec<Tensor> {
    let (program, constants) = to_program(graph).expect("no value depends on itself");
    let inputs: Vec<&Tensor> = arguments.iter().chain(constants.iter().map(|table| &**table)).collect();
    crate::interpret::run(&program, &inputs).expect("no access leaves its tensor")
}

/// The graph after all passes. Each of them must leave a lawful graph of the same values.
fn graph_of(program: &Program) -> Graph {
    let arguments = inputs(program);
    let references: Vec<&Tensor> = arguments.iter().collect();
    let wanted = crate::interpret::run(program, &references).expect("no access leaves its tensor");
    let check = |name: &str, graph: &Graph| {
        graph.verify().unwrap_or_else(|law| panic!("bug in `{name}`: {law}\n{graph}"));
        assert_close(program, &run_graph(graph, &arguments), &wanted, name, graph);
    };
    let graph = Graph::new(program);
    check("build", &graph);
    pass::run(graph, PASSES, &mut |name, graph| check(name, graph))
}

/// The plan of a program, which is lawful and computes the program's values.
pub(super) fn plan_of(program: &Program) -> Plan {
    plan_with(program, &Settings::default())
}

fn plan_with(program: &Program, settings: &Settings) -> Plan {
    let graph = graph_of(program);
    let plan = plan(&graph, settings).expect("the plan fits");
    plan.verify().unwrap_or_else(|law| panic!("{law}\n{graph}\n{plan}"));
    let arguments = inputs(program);
    let references: Vec<&Tensor> = arguments.iter().collect();
    let wanted = crate::interpret::run(program, &references).expect("no access leaves its tensor");
    let found = crate::interpret::run_plan(&plan, &references).expect("no access leaves its tensor");
    assert_close(program, &found, &wanted, "plan", &format!("{graph}\n{plan}"));
    plan
}

fn contracts(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Contract(_))).count()
}

#[test]
fn matmul_is_one_contraction() {
    let mut s = Sample::new(DType::F32);
    let (i, j, k) = (s.axis("i", 12), s.axis("j", 10), s.axis("k", 8));
    let (a, b) = (s.input("A", &[12, 10]), s.input("B", &[10, 8]));
    let c = s.define("C", &[i, k], sum(&[j], mul([s.at(a, &[i, j]), s.at(b, &[j, k])])));
    s.output(c);
    let text = graph_of(&s.program).to_string();
    assert_eq!(
        text,
        "graph sample\n\
         n0 = input 0 A: f32[12,10]\n\
         n1 = input 1 B: f32[10,8]\n\
         n2 C[i,k]: f32[12,8] = sum[j] n0[i,j] * n1[j,k]\n\
         output C = n2\n"
    );
    assert_eq!(
        plan_of(&s.program).to_string(),
        "plan sample, arena 0 B\n\
         b0 A: f32 120 input 0\n\
         b1 B: f32 80 input 1\n\
         b2 C: f32 96 output 0\n\
         contract b2[i 8, k 1] = b0[i 10, j 1] * b1[j 8, k 1]\n"
    );
}

/// `D[i,l] = A[i,j] * B[j,k] * C[k,l]` with a thin end: the cheap order is from the right.
#[test]
fn chain_is_ordered() {
    let mut s = Sample::new(DType::F64);
    let (i, j, k, l) = (s.axis("i", 16), s.axis("j", 16), s.axis("k", 16), s.axis("l", 2));
    let (a, b, c) = (s.input("A", &[16, 16]), s.input("B", &[16, 16]), s.input("C", &[16, 2]));
    let value = mul([s.at(a, &[i, j]), s.at(b, &[j, k]), s.at(c, &[k, l])]);
    let d = s.define("D", &[i, l], sum(&[j, k], value));
    s.output(d);
    let plan = plan_of(&s.program);
    assert_eq!(contracts(&plan), 2);
    assert_eq!(plan.arena, 16 * 2 * 8);
}

#[test]
fn attention_is_two_contractions_and_a_softmax() {
    let mut s = Sample::new(DType::F32);
    let (h, i, j, d) = (s.axis("h", 4), s.axis("i", 32), s.axis("j", 32), s.axis("d", 16));
    let (q, k, v) = (s.input("q", &[4, 32, 16]), s.input("k", &[4, 32, 16]), s.input("v", &[4, 32, 16]));
    let score = binary(
        Binary::Div,
        sum(&[d], mul([s.at(q, &[h, i, d]), s.at(k, &[h, j, d])])),
        Expr::number(4.0, DType::F32),
    );
    let score = s.define("score", &[h, i, j], score);
    let p = s.define("p", &[h, i, j], along(AlongOp::Softmax, &[j], &[j], s.at(score, &[h, i, j])));
    let o = s.define("o", &[h, i, d], sum(&[j], mul([s.at(p, &[h, i, j]), s.at(v, &[h, j, d])])));
    s.output(o);
    let plan = plan_of(&s.program);
    assert_eq!(contracts(&plan), 2, "{plan}");
    assert_eq!(plan.steps.len(), 3, "the scale is a part of the map along axes: {plan}");
    assert_eq!(plan.arena, 4 * 4 * 32 * 32, "which works in place: {plan}");
}

/// A window that leaves the image becomes a padded copy and a contraction that reads it in place.
#[test]
fn padded_convolution_reads_windows_in_place() {
    let mut s = Sample::new(DType::F32);
    let (o, i, x, u) = (s.axis("o", 8), s.axis("i", 4), s.axis("x", 16), s.axis("u", 3));
    let (image, w) = (s.input("image", &[4, 16]), s.input("W", &[8, 4, 3]));
    let padding = Outside::Else(Box::new(Expr::number(0.0, DType::F32)));
    let window = s.read(image, vec![ix(i), affine(&[(1, x), (1, u)], -1)], padding);
    let y = s.define("y", &[o, x], sum(&[i, u], mul([window, s.at(w, &[o, i, u])])));
    s.output(y);
    let plan = plan_of(&s.program);
    assert_eq!(contracts(&plan), 1, "{plan}");
    assert_eq!(plan.arena, 320, "4 rows of 18, in whole 64 bytes: {plan}");
}

/// What a contraction of windows leaves for another keeps the places of the windows innermost: windows are multiplied where
/// they lie.
#[test]
fn long_rows_of_windows_stay_innermost() {
    let mut s = Sample::new(DType::F32);
    let (o, r, i) = (s.axis("o", 40), s.axis("r", 3), s.axis("i", 4));
    let (y, x, u, v) = (s.axis("y", 5), s.axis("x", 16), s.axis("u", 3), s.axis("v", 3));
    let (image, k, w) = (s.input("image", &[4, 7, 18]), s.input("K", &[3, 4, 3, 3]), s.input("W", &[40, 3]));
    let indices = vec![ix(i), affine(&[(1, y), (1, u)], 0), affine(&[(1, x), (1, v)], 0)];
    let window = s.read(image, indices, Outside::Never);
    let factors = [window, s.at(k, &[r, i, u, v]), s.at(w, &[o, r])];
    let z = s.define("z", &[o, y, x], sum(&[r, i, u, v], mul(factors)));
    s.output(z);
    let plan = plan_of(&s.program);
    let Some(Step::Contract(first)) = plan.steps.first() else { panic!("{plan}") };
    let strides = [r, y, x].map(|axis| first.out.stride(axis));
    assert_eq!(strides, [80, 16, 1], "{plan}");
}

/// A number scales the smaller operand of a contraction, or a result that is smaller still.
#[test]
fn numbers_scale_the_smallest_tensor() {
    for (rows, count) in [(40, 256), (5, 80)] {
        let mut s = Sample::new(DType::F64);
        let (n, a, b) = (s.axis("n", rows), s.axis("a", 16), s.axis("b", 16));
        let (x, y) = (s.input("x", &[rows, 16]), s.input("y", &[rows, 16]));
        let product = mul([Expr::number(0.25, DType::F64), s.at(x, &[n, a]), s.at(y, &[n, b])]);
        let z = s.define("z", &[a, b], sum(&[n], product));
        s.output(z);
        let plan = plan_of(&s.program);
        let nests = plan.steps.iter().filter_map(|step| match step {
            Step::Nest(nest) => Some(nest.axes.iter().map(|&axis| plan.axes[axis].extent).product::<u64>()),
            _ => None,
        });
        assert_eq!(nests.collect::<Vec<_>>(), [count], "{plan}");
        assert_eq!(contracts(&plan), 1, "{plan}");
    }
}

/// A gated convolution too large for the cache keeps all its rows in one step, where transforms take many at once.
#[test]
fn gated_convolutions_are_not_sliced() {
    let mut s = Sample::new(DType::F32);
    let (rows, points) = (768, 1024);
    let (h, t, u) = (s.axis("h", rows), s.axis("t", points), s.axis("u", points));
    let [x, gate, out_gate, k] = ["x", "gate", "out", "k"].map(|name| s.input(name, &[rows, points]));
    let window = |s: &Sample, tensor| {
        let zero = Outside::Else(Box::new(Expr::number(0.0, DType::F32)));
        s.read(tensor, vec![ix(h), affine(&[(1, t), (-1, u)], 0)], zero)
    };
    let reads = [s.at(out_gate, &[h, t]), s.at(k, &[h, u]), window(&s, gate), window(&s, x)];
    let y = s.define("y", &[h, t], sum(&[u], mul(reads)));
    s.output(y);
    // Too large to be computed here as other tests do.
    let graph = pass::run(Graph::new(&s.program), PASSES, &mut |_, _| ());
    let plan = plan(&graph, &Settings::default()).expect("the plan fits");
    let held = |_| false;
    let long = |step: &Step| matches!(step, Step::Contract(it) if it.long_sum(&plan.axes, &held).is_some());
    assert_eq!(plan.steps.iter().filter(|step| long(step)).count(), 1, "{plan}");
}

#[test]
fn a_map_is_one_nest() {
    let mut s = Sample::new(DType::F64);
    let i = s.axis("i", 10);
    let x = s.input("x", &[10]);
    let y = s.define("y", &[i], unary(Unary::Exp, s.at(x, &[i])));
    s.output(y);
    let plan = plan_of(&s.program);
    assert_eq!(plan.steps.len(), 1, "{plan}");
}

/// The mean is computed once for each row, not at every column.
#[test]
fn a_reduction_is_not_repeated_where_it_does_not_depend() {
    let mut s = Sample::new(DType::F64);
    let (t, d, e) = (s.axis("t", 8), s.axis("d", 32), s.axis("e", 32));
    let x = s.input("x", &[8, 32]);
    let largest = reduce(ReduceOp::Max, &[e], s.at(x, &[t, e]));
    let y = s.define("y", &[t, d], binary(Binary::Div, s.at(x, &[t, d]), largest));
    s.output(y);
    let plan = plan_of(&s.program);
    assert_eq!(plan.steps.len(), 2, "{plan}");
}

/// `h[t,n] = tanh(W[n,m] * h[t-1,m] + x[t,n])` from 0.
#[test]
fn a_scan_runs_its_contraction_inside() {
    let mut s = Sample::new(DType::F64);
    let (t, n, m) = (s.axis("t", 5), s.axis("n", 6), s.axis("m", 6));
    let (w, x) = (s.input("W", &[6, 6]), s.input("x", &[5, 6]));
    let (wr, xr) = (s.at(w, &[n, m]), s.at(x, &[t, n]));
    let define = s.prepare("h", &[t, n], |h| {
        let start = Outside::Else(Box::new(Expr::number(0.0, DType::F64)));
        let before = Expr::Read(crate::expr::Read {
            source: h,
            dtype: DType::F64,
            indices: vec![affine(&[(1, t)], -1), ix(m)],
            outside: start,
            place: Default::default(),
        });
        unary(Unary::Tanh, add([sum(&[m], mul([wr, before])), xr]))
    });
    let h = define.target;
    s.scan(t, false, vec![define]);
    s.output(h);
    let plan = plan_of(&s.program);
    let Some(Step::Scan(scan)) = plan.steps.first() else { panic!("{plan}") };
    assert!(scan.body.iter().any(|step| matches!(step, Step::Contract(_))), "{plan}");
}

#[test]
fn too_much_memory_is_refused() {
    let mut s = Sample::new(DType::F64);
    let (i, j) = (s.axis("i", 1000), s.axis("j", 1000));
    let x = s.input("x", &[1000]);
    let y = s.define("y", &[i, j], mul([s.at(x, &[i]), s.at(x, &[j])]));
    s.output(y);
    let settings = Settings { memory_limit: Some(1 << 20), ..Settings::default() };
    let error = plan(&graph_of(&s.program), &settings).expect_err("8 MB do not fit 1 MiB");
    assert_eq!(error.code, crate::diagnostic::Code::MemoryLimit);
    assert_eq!(error.message, "no plan fits 1.0 MiB: the smallest found needs 7.6 MiB");
}

/// Statements of a chain are ordered together.
#[test]
fn chains_over_several_statements_are_one_contraction() {
    let mut s = Sample::new(DType::F64);
    let (i, j, k, l) = (s.axis("i", 16), s.axis("j", 16), s.axis("k", 16), s.axis("l", 2));
    let (a, b, c) = (s.input("A", &[16, 16]), s.input("B", &[16, 16]), s.input("C", &[16, 2]));
    let ab = s.define("AB", &[i, k], sum(&[j], mul([s.at(a, &[i, j]), s.at(b, &[j, k])])));
    let d = s.define("D", &[i, l], sum(&[k], mul([s.at(ab, &[i, k]), s.at(c, &[k, l])])));
    s.output(d);
    let text = graph_of(&s.program).to_string();
    assert!(text.contains("= sum[k,j] n0[i,j] * n1[j,k] * n2[k,l]"), "{text}");
    assert_eq!(plan_of(&s.program).arena, 16 * 2 * 8);
}

/// A permuted copy is read in place, a scale and a bias are applied where their values are written.
#[test]
fn copies_and_pointwise_values_are_folded() {
    let mut s = Sample::new(DType::F64);
    let (i, j, k) = (s.axis("i", 6), s.axis("j", 7), s.axis("k", 8));
    let (a, b, bias) = (s.input("A", &[7, 6]), s.input("B", &[7, 8]), s.input("bias", &[8]));
    let t = s.define("T", &[i, j], s.at(a, &[j, i]));
    let c = s.define("C", &[i, k], sum(&[j], mul([s.at(t, &[i, j]), s.at(b, &[j, k])])));
    let scaled = s.define("S", &[i, k], mul([Expr::number(3.0, DType::F64), s.at(c, &[i, k])]));
    let shifted = s.define("H", &[i, k], add([s.at(scaled, &[i, k]), s.at(bias, &[k])]));
    let y = s.define("y", &[i, k], unary(Unary::Relu, s.at(shifted, &[i, k])));
    s.output(y);
    let plan = plan_of(&s.program);
    assert_eq!((contracts(&plan), plan.steps.len()), (1, 2), "{plan}");
    assert_eq!(plan.arena, 0, "the sums are made where the result goes: {plan}");
    let cost = super::cost(&plan, &super::search::Rates::SHIPPED);
    assert_eq!(cost.steps[0].flops, 2.0 * 6.0 * 7.0 * 8.0);
    assert_eq!(cost.steps[0].bytes, 8.0 * (42.0 + 56.0 + 48.0));
    assert_eq!(cost.peak, 8 * (42 + 56 + 8 + 48));
    // Products and sums, the scale, the bias and the function.
    assert_eq!(super::flops_as_written(&s.program), 48.0 * (2.0 * 7.0 + 1.0 + 1.0 + 1.0));
}

/// `X (W + 2 B A)` written in one statement and as a sum of two products.
#[test]
fn sums_of_contractions_are_terms_of_one() {
    let mut s = Sample::new(DType::F64);
    let (n, i, o, r) = (s.axis("n", 9), s.axis("i", 8), s.axis("o", 7), s.axis("r", 2));
    let (x, w) = (s.input("X", &[9, 8]), s.input("W", &[7, 8]));
    let (b, a) = (s.input("B", &[7, 2]), s.input("A", &[2, 8]));
    let base = sum(&[i], mul([s.at(x, &[n, i]), s.at(w, &[o, i])]));
    let (i2, two) = (s.axis("i", 8), Expr::number(2.0, DType::F64));
    let lora = mul([s.at(x, &[n, i2]), s.at(b, &[o, r]), s.at(a, &[r, i2]), two]);
    let y = s.define("Y", &[n, o], add([base, sum(&[i2, r], lora)]));
    s.output(y);
    let graph = graph_of(&s.program);
    assert!(
        graph.to_string().contains("sum[i] n0[n,i] * n1[o,i] + sum[i,r] 2.0 * n0[n,i] * n2[o,r] * n3[r,i]"),
        "{graph}"
    );
    assert_eq!(contracts(&plan_of(&s.program)), 3);
}

/// A table is computed here, an equal value once.
#[test]
fn tables_are_constants_and_equal_values_one() {
    let mut s = Sample::new(DType::F64);
    let (k, n, m) = (s.axis("k", 4), s.axis("n", 4), s.axis("m", 4));
    let x = s.input("x", &[4]);
    let angle = Expr::Cast(DType::F64, Box::new(mul([ix(k), ix(n)])));
    let table = s.define("dct", &[k, n], unary(Unary::Cos, angle));
    let y = s.define("y", &[k], sum(&[n], mul([s.at(table, &[k, n]), s.at(x, &[n])])));
    let z = s.define("z", &[k], sum(&[m], mul([s.at(table, &[k, m]), s.at(x, &[m])])));
    s.output(y);
    s.output(z);
    let graph = graph_of(&s.program);
    let text = graph.to_string();
    assert!(text.contains("constant dct: f64[4,4]"), "{text}");
    assert_eq!(graph.outputs[0].1, graph.outputs[1].1, "{text}");
    assert_eq!(plan_of(&s.program).steps.len(), 2, "one product and one copy");
}

/// `T[i,j,k] = A[i,j] B[j,k]` summed in another statement never exists.
#[test]
fn a_product_summed_later_is_a_contraction() {
    let mut s = Sample::new(DType::F64);
    let (i, j, k) = (s.axis("i", 6), s.axis("j", 6), s.axis("k", 6));
    let (a, b) = (s.input("A", &[6, 6]), s.input("B", &[6, 6]));
    let t = s.define("T", &[i, j, k], mul([s.at(a, &[i, j]), s.at(b, &[j, k])]));
    let c = s.define("C", &[i, k], sum(&[j], s.at(t, &[i, j, k])));
    s.output(c);
    let plan = plan_of(&s.program);
    assert_eq!((contracts(&plan), plan.arena), (1, 0), "{plan}");
}

/// Flattened dims are taken apart where they are read.
#[test]
fn flattened_dims_are_read_through() {
    let mut s = Sample::new(DType::F64);
    let (p, r, q, k) = (s.axis("p", 3), s.axis("r", 4), s.axis("q", 12), s.axis("k", 5));
    let (a, b) = (s.input("A", &[4, 3]), s.input("B", &[12, 5]));
    let mut define = s.prepare("F", &[p, r], |_| Expr::number(0.0, DType::F64));
    define.dims = vec![vec![p, r]];
    define.value = s.at(a, &[r, p]);
    s.program.tensors[define.target].shape = vec![12];
    let f = define.target;
    s.program.statements.push(crate::program::Statement::Define(define));
    let y = s.define("y", &[k], sum(&[q], mul([s.at(f, &[q]), s.at(b, &[q, k])])));
    s.output(y);
    assert_eq!(contracts(&plan_of(&s.program)), 1);
}

/// `cnt[tok[b]] += w[b]` from a base, then read.
#[test]
fn a_scatter_adds_to_a_copy_of_its_base() {
    let mut s = Sample::new(DType::I64);
    let (b, v) = (s.axis("b", 6), s.axis("v", 4));
    let (base, w, tok) = (s.input("base", &[4]), s.input("w", &[6]), s.input("tok", &[6]));
    let index = binary(Binary::Rem, s.at(tok, &[b]), Expr::int(4));
    let count = s.scatter("cnt", Some(base), &[4], &[b], vec![index], s.at(w, &[b]));
    let y = s.define("y", &[v], mul([s.at(count, &[v]), s.at(base, &[v])]));
    s.output(count);
    s.output(y);
    let plan = plan_of(&s.program);
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Scatter(_))), "{plan}");
}

/// `X (W + B A)`: multiplied out for few rows of `X`, merged for many.
#[test]
fn sums_are_multiplied_out_where_that_is_cheaper() {
    for (rows, products) in [(2, 3), (64, 2)] {
        let mut s = Sample::new(DType::F64);
        let (n, i, o, r) = (s.axis("n", rows), s.axis("i", 16), s.axis("o", 16), s.axis("r", 8));
        let (x, w) = (s.input("X", &[rows, 16]), s.input("W", &[16, 16]));
        let (b, a) = (s.input("B", &[16, 8]), s.input("A", &[8, 16]));
        let lora = sum(&[r], mul([s.at(b, &[o, r]), s.at(a, &[r, i])]));
        let merged = s.define("M", &[o, i], add([s.at(w, &[o, i]), lora]));
        let y = s.define("Y", &[n, o], sum(&[i], mul([s.at(x, &[n, i]), s.at(merged, &[o, i])])));
        s.output(y);
        let plan = plan_of(&s.program);
        assert_eq!(contracts(&plan), products, "{rows} rows: {plan}");
    }
}

/// What a scan does not carry is computed for all steps at once.
#[test]
fn products_with_the_input_leave_the_scan() {
    let mut s = Sample::new(DType::F64);
    let (t, n, k) = (s.axis("t", 5), s.axis("n", 4), s.axis("k", 6));
    let (u, x) = (s.input("U", &[4, 6]), s.input("x", &[5, 6]));
    let fed = sum(&[k], mul([s.at(u, &[n, k]), s.at(x, &[t, k])]));
    let define = s.prepare("h", &[t, n], |h| {
        let before = Expr::Read(crate::expr::Read {
            source: h,
            dtype: DType::F64,
            indices: vec![affine(&[(1, t)], -1), ix(n)],
            outside: Outside::Else(Box::new(Expr::number(0.0, DType::F64))),
            place: Default::default(),
        });
        unary(Unary::Tanh, add([before, fed]))
    });
    let h = define.target;
    s.scan(t, false, vec![define]);
    s.output(h);
    let plan = plan_of(&s.program);
    assert_eq!(contracts(&plan), 1, "{plan}");
    let Some(Step::Scan(scan)) = plan.steps.last() else { panic!("{plan}") };
    assert_eq!(scan.body.len(), 1, "{plan}");
}

/// A contraction that needs more memory than there is runs in slices.
#[test]
fn contractions_are_sliced_to_fit() {
    let mut s = Sample::new(DType::F64);
    let e = 12;
    let axes: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(|name| s.axis(name, e)).collect();
    let [a, b, c, d, f] = axes[..] else { unreachable!() };
    let names = ["P", "Q", "R", "S"];
    let ids: Vec<_> = names.into_iter().map(|name| s.input(name, &[e, e, e])).collect();
    let value = mul([
        s.at(ids[0], &[a, b, c]),
        s.at(ids[1], &[a, d, f]),
        s.at(ids[2], &[b, d, c]),
        s.at(ids[3], &[f, c, a]),
    ]);
    let y = s.define("y", &[], sum(&[a, b, c, d, f], value));
    s.output(y);
    let free = plan_with(&s.program, &Settings::default());
    let limit = free.memory() - free.arena / 2;
    let settings = Settings { memory_limit: Some(limit), ..Settings::default() };
    let sliced = plan_with(&s.program, &settings);
    assert!(sliced.memory() <= limit, "{free}\n{sliced}");
    assert!(sliced.steps.iter().any(|step| matches!(step, Step::Scan(_))), "{sliced}");
}

/// Intermediates of slices share memory where one is needed no more when the next is made.
#[test]
fn intermediates_of_slices_share_memory() {
    let mut s = Sample::new(DType::F64);
    let e = 12;
    let axes: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(|name| s.axis(name, e)).collect();
    let matrices: Vec<_> = (0..5).map(|k| s.input(&format!("M{k}"), &[e, e, e])).collect();
    let (slice, ring) = (axes[5], &axes[..5]);
    let reads: Vec<E> = (0..5).map(|k| s.at(matrices[k], &[slice, ring[k], ring[(k + 1) % 5]])).collect();
    let y = s.define("y", &[], sum(&axes, mul(reads)));
    s.output(y);
    let order = "{\"inputs\": [[0,1,5],[1,2,5],[2,3,5],[3,4,5],[0,4,5]], \"output\": [], \
                 \"sizes\": [12,12,12,12,12,12], \"path\": [[0,1],[2,5],[3,6],[4,7]], \"slices\": [5]}";
    let locked = Some(std::sync::Arc::new(super::Locked::read(order, true).unwrap()));
    let free = plan_with(&s.program, &Settings { locked: locked.clone(), ..Settings::default() });
    let limit = Some(free.memory() - free.arena + 2 * 8 * 12 * 12);
    // Two matrices at a time, not three.
    let plan = plan_with(&s.program, &Settings { locked, memory_limit: limit, ..Settings::default() });
    assert!(plan.arena <= 2 * 8 * 12 * 12, "{plan}");
}

/// `h[t,d] = x[t,d] h[t-1,d] + 1`, of which only `y[t] = w[d] h[t,d]` and the last row are wanted.
#[test]
fn a_recurrence_keeps_only_its_state() {
    let (steps, width) = (16, 4200);
    let mut s = Sample::new(DType::F64);
    let (t, d, u, e) = (s.axis("t", steps), s.axis("d", width), s.axis("u", steps), s.axis("e", width));
    let (x, w) = (s.input("x", &[steps, width]), s.input("w", &[width]));
    let xr = s.at(x, &[t, d]);
    let define = s.prepare("h", &[t, d], |h| {
        let before = Expr::Read(crate::expr::Read {
            source: h,
            dtype: DType::F64,
            indices: vec![affine(&[(1, t)], -1), ix(d)],
            outside: Outside::Else(Box::new(Expr::number(2.0, DType::F64))),
            place: Default::default(),
        });
        add([mul([xr, before]), Expr::number(1.0, DType::F64)])
    });
    let h = define.target;
    s.scan(t, false, vec![define]);
    let y = s.define("y", &[u], sum(&[e], mul([s.at(w, &[e]), s.at(h, &[u, e])])));
    let last = s.read(h, vec![Expr::int(steps as i64 - 1), ix(d)], Outside::Never);
    let last = s.define("last", &[d], last);
    s.output(y);
    s.output(last);
    let plan = plan_of(&s.program);
    assert!(plan.arena <= 8 * width + 128, "{plan}");
}

/// Attention whose scores do not fit is computed head by head.
#[test]
fn large_values_are_sliced_to_fit() {
    let mut s = Sample::new(DType::F64);
    let (h, i, j, d) = (s.axis("h", 4), s.axis("i", 8), s.axis("j", 8), s.axis("d", 2));
    let (q, k, v) = (s.input("q", &[4, 8, 2]), s.input("k", &[4, 8, 2]), s.input("v", &[4, 8, 2]));
    let score = sum(&[d], mul([s.at(q, &[h, i, d]), s.at(k, &[h, j, d])]));
    let score = s.define("score", &[h, i, j], score);
    let p = s.define("p", &[h, i, j], along(AlongOp::Softmax, &[j], &[j], s.at(score, &[h, i, j])));
    let o = s.define("o", &[h, i, d], sum(&[j], mul([s.at(p, &[h, i, j]), s.at(v, &[h, j, d])])));
    s.output(o);
    let free = plan_with(&s.program, &Settings::default());
    let limit = free.memory() - free.arena + 8 * 8 * 8 * 2;
    let settings = Settings { memory_limit: Some(limit), ..Settings::default() };
    let sliced = plan_with(&s.program, &settings);
    assert!(free.arena > sliced.arena, "{free}\n{sliced}");
    assert!(matches!(sliced.steps[..], [Step::Scan(_)]), "{sliced}");
}

/// A value that is read early and late is computed twice rather than kept while something large is alive.
#[test]
fn values_are_computed_again_where_memory_is_short() {
    let mut s = Sample::new(DType::F64);
    let n = 40;
    let (i, j, k) = (s.axis("i", n), s.axis("j", n), s.axis("k", n));
    let (x, a, b) = (s.input("x", &[n, n]), s.input("A", &[n, n]), s.input("B", &[n, n]));
    let big = s.define("big", &[i, j], unary(Unary::Exp, s.at(x, &[i, j])));
    let first = s.define("first", &[i, k], sum(&[j], mul([s.at(big, &[i, j]), s.at(a, &[j, k])])));
    let wide = unary(Unary::Tanh, s.at(first, &[i, k]));
    let wide = s.define("wide", &[i, k], along(AlongOp::Sort, &[k], &[k], wide));
    let second = s.define("second", &[i, j], sum(&[k], mul([s.at(wide, &[i, k]), s.at(b, &[k, j])])));
    let sorted = along(AlongOp::CumSum, &[j], &[j], s.at(second, &[i, j]));
    let sorted = s.define("sorted", &[i, j], sorted);
    let last = s.define("y", &[i, k], sum(&[j], mul([s.at(big, &[i, j]), s.at(sorted, &[j, k])])));
    s.output(last);
    let free = plan_with(&s.program, &Settings::default());
    let limit = free.memory() - 1;
    let fitted = plan_with(&s.program, &Settings { memory_limit: Some(limit), ..Settings::default() });
    assert!(fitted.memory() <= limit && fitted.steps.len() > free.steps.len(), "{free}\n{fitted}");
    let twice = fitted.steps.iter().filter(|step| matches!(step, Step::Scan(_))).count();
    assert_eq!(twice, 0, "nothing is sliced\n{fitted}");
}

fn mask(op: Binary, a: crate::expr::AxisId, b: crate::expr::AxisId, value: E) -> E {
    Expr::Select(Box::new([binary(op, ix(a), ix(b)), value, Expr::number(0.0, DType::F64)]))
}

/// Sums over `d <= k`, over pairs `p < q`, and causal linear attention are running sums.
#[test]
fn sums_over_earlier_positions_are_running_sums() {
    let mut s = Sample::new(DType::F64);
    let (k, n, d) = (s.axis("k", 16), s.axis("n", 3), s.axis("d", 16));
    let (p, q, e) = (s.axis("p", 16), s.axis("q", 16), s.axis("e", 3));
    let (i, j) = (s.axis("i", 16), s.axis("j", 16));
    let (c, f) = (s.axis("c", 2), s.axis("f", 2));
    let (x, w) = (s.input("x", &[3, 16]), s.input("w", &[16]));
    let (query, key, value) = (s.input("Q", &[16, 2]), s.input("K", &[16, 2]), s.input("V", &[16, 2]));
    let prefix = mask(Binary::Le, d, k, mul([s.at(x, &[n, d]), s.at(w, &[d])]));
    let y = s.define("y", &[k, n], sum(&[d], prefix));
    let pair = sum(&[e], mul([s.at(x, &[e, p]), s.at(x, &[e, q])]));
    let z = s.define("z", &[], sum(&[p, q], mask(Binary::Lt, p, q, pair)));
    let score = mask(Binary::Ge, i, j, sum(&[c], mul([s.at(query, &[i, c]), s.at(key, &[j, c])])));
    let o = s.define("o", &[i, f], sum(&[j], mul([score, s.at(value, &[j, f])])));
    [y, z, o].into_iter().for_each(|id| s.output(id));
    let plan = plan_of(&s.program);
    let running = plan.steps.iter().filter(|step| matches!(step, Step::Along(_))).count();
    assert_eq!(running, 3, "{plan}");
    assert!(
        super::cost(&plan, &super::search::Rates::SHIPPED).flops * 2.0 < super::flops_as_written(&s.program),
        "{plan}"
    );
}

//! Whole ways from programs to plans.

use super::{Plan, Settings, Step, plan};
use crate::expr::{AlongOp, Binary, Expr, Outside, ReduceOp, Unary};
use crate::graph::sample::*;
use crate::graph::{Graph, PASSES};
use crate::pass;
use crate::program::Program;
use einc_runtime::DType;

/// The graph after all passes, each of which must leave a lawful graph.
fn graph_of(program: &Program) -> Graph {
    let graph = Graph::new(program);
    graph.verify().unwrap_or_else(|law| panic!("bug in build: {law}\n{graph}"));
    pass::run(graph, PASSES, &mut |name, graph| {
        graph.verify().unwrap_or_else(|law| panic!("bug in pass `{name}`: {law}\n{graph}"));
    })
}

fn plan_of(program: &Program) -> Plan {
    let graph = graph_of(program);
    let plan = plan(&graph, &Settings::default()).expect("the plan fits");
    plan.verify().unwrap_or_else(|law| panic!("{law}\n{graph}\n{plan}"));
    plan
}

fn contracts(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Contract(_))).count()
}

#[test]
fn matmul_is_one_contraction() {
    let mut s = Sample::new(DType::F32);
    let (i, j, k) = (s.axis("i", 512), s.axis("j", 256), s.axis("k", 128));
    let (a, b) = (s.input("A", &[512, 256]), s.input("B", &[256, 128]));
    let c = s.define("C", &[i, k], sum(&[j], mul([s.at(a, &[i, j]), s.at(b, &[j, k])])));
    s.output(c);
    let text = graph_of(&s.program).to_string();
    assert_eq!(
        text,
        "graph sample\n\
         n0 = input 0 A: f32[512,256]\n\
         n1 = input 1 B: f32[256,128]\n\
         n2 C[i,k]: f32[512,128] = sum[j] n0[i,j] * n1[j,k]\n\
         output C = n2\n"
    );
    assert_eq!(
        plan_of(&s.program).to_string(),
        "plan sample, arena 0 B\n\
         b0 A: f32 131072 input 0\n\
         b1 B: f32 32768 input 1\n\
         b2 C: f32 65536 output 0\n\
         contract b2[i 128, k 1] = b0[i 256, j 1] * b1[j 128, k 1]\n"
    );
}

/// `D[i,l] = A[i,j] * B[j,k] * C[k,l]` with a thin end: the cheap order is from the right.
#[test]
fn chain_is_ordered() {
    let mut s = Sample::new(DType::F64);
    let (i, j, k, l) = (s.axis("i", 64), s.axis("j", 64), s.axis("k", 64), s.axis("l", 2));
    let (a, b, c) = (s.input("A", &[64, 64]), s.input("B", &[64, 64]), s.input("C", &[64, 2]));
    let value = mul([s.at(a, &[i, j]), s.at(b, &[j, k]), s.at(c, &[k, l])]);
    let d = s.define("D", &[i, l], sum(&[j, k], value));
    s.output(d);
    let plan = plan_of(&s.program);
    assert_eq!(contracts(&plan), 2);
    assert_eq!(plan.arena, 64 * 2 * 8);
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
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Along(_))), "{plan}");
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

//! Rewrites of graphs that a planner asks for: each, made wherever it can be, changes no result, and is found where it
//! should be.
//!
//! Inputs are small integers, so that sums are exact in any order and results must be equal.

use crate::support::{Invocation, Opened, open};
use einc::graph::{
    Graph, Op, contract_before_gather, distributable, distribute, gathered_products, open_windows, repeats,
    share, share_repeats, shareable, sum_before_window,
};
use einc::plan::{self, Settings, cost, plan};
use einc::program::Program;
use einc::{interpret, pipeline};
use einc_runtime::{DType, Scalar, Tensor};
use std::collections::BTreeMap;

/// The program of a text at some sizes, and inputs of small integers.
fn program(text: &str, sizes: &[(&str, i64)]) -> (Program, Vec<Tensor>) {
    let opened: Opened = open("rewrite.ein", None, text);
    let dims: BTreeMap<String, i64> = sizes.iter().map(|&(name, size)| (name.to_string(), size)).collect();
    let invocation = Invocation { entry: "f".to_string(), dims, ..Invocation::default() };
    let (program, _) = match opened.program(&invocation) {
        Ok(checked) => checked,
        Err(diagnostics) => panic!("{}", opened.text(&diagnostics)),
    };
    let mut state = 7u64;
    let inputs = program.inputs.iter().map(|&id| {
        let declared = &program.tensors[id];
        let mut tensor = Tensor::zeros(declared.dtype, &declared.shape).expect("small");
        for at in 0..tensor.elems() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let value = (state >> 33) % 7;
            let value = if declared.dtype == DType::I64 {
                Scalar::Int(value.into())
            } else if declared.dtype.is_complex() {
                Scalar::Complex(value as f64 - 3.0, (state >> 40) as f64 % 5.0 - 2.0)
            } else {
                Scalar::Real(value as f64 - 3.0)
            };
            tensor.set(at, value);
        }
        tensor
    });
    let inputs = inputs.collect();
    (program, inputs)
}

/// Checks a rewrite at every place in a program; gives how many there are, and the flops without and with the first.
fn check<P>(
    text: &str,
    sizes: &[(&str, i64)],
    list: impl Fn(&Graph) -> Vec<P>,
    rewrite: impl Fn(&Graph, &P) -> Option<Graph>,
) -> (usize, f64, f64) {
    let (program, inputs) = program(text, sizes);
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let expected = interpret::run(&program, &inputs).expect("indices inside");
    let graph = pipeline::graph(&program);
    let settings = Settings::default();
    let flops = |graph: &Graph| cost(&plan(graph, &settings).expect("small"), &settings.rates).flops;
    let mut made = 0;
    let mut after = f64::INFINITY;
    for place in list(&graph) {
        let Some(other) = rewrite(&graph, &place) else { continue };
        other.verify().unwrap_or_else(|law| panic!("{law}\n{other}"));
        let plan = plan(&other, &settings).expect("small");
        plan.verify().unwrap_or_else(|law| panic!("{law}\n{plan}"));
        let found = interpret::run_plan(&plan, &inputs).expect("indices inside");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.bytes(), expected.bytes(), "{sizes:?}\n{graph}\n{other}");
        }
        made += 1;
        after = after.min(flops(&other));
    }
    (made, flops(&graph), after)
}

const SIZES: [i64; 5] = [1, 2, 3, 5, 8];

#[test]
fn contractions_are_shared_with_named_tensors() {
    let text =
        "fn f(z: f64[T, I, S], e: f64[T, I], y: f64[T, V, S], d: f64[T, V]) -> (G: f64[T, S], imp: f64[I]) {
        G[t,s] = y[t,v,s] * d[t,v]
        imp[i] = z[t,i,s] * e[t,i] * y[t,v,s] * d[t,v]
    }";
    for t in SIZES {
        for v in SIZES {
            let sizes = [("T", t), ("I", 4), ("S", 3), ("V", v)];
            check(text, &sizes, shareable, share);
        }
    }
    let (made, before, after) = check(text, &[("T", 9), ("I", 40), ("S", 30), ("V", 50)], shareable, share);
    assert!(made == 1 && after <= before, "{made}: {before} to {after}");
    // Diagonals, sums that another factor needs too, and other extents are not the same contraction.
    let other = "fn f(A: f64[N, N], B: f64[N, N], x: f64[N]) -> (C: f64[N, N], d: f64[N], g: f64[N, N]) {
        C[i,k] = A[i,j] * B[j,k]
        d[i] = A[i,j] * B[j,i] * x[i]
        g[i,k] = A[i,j] * B[j,k] * x[j]
    }";
    for n in SIZES {
        let (made, ..) = check(other, &[("N", n)], shareable, share);
        assert!(made == 0 || n == 1);
    }
}

#[test]
fn factors_that_a_product_repeats_are_contracted_once() {
    let cycle = "fn f(A: f64[B, N, N]) -> (q: f64[B]) {
        q[b] = A[b,i,j] * A[b,j,k] * A[b,k,l] * A[b,l,m] * A[b,m,p] * A[b,p,i]
    }";
    for n in SIZES {
        check(cycle, &[("B", 2), ("N", n)], repeats, share_repeats);
    }
    let (made, before, after) = check(cycle, &[("B", 2), ("N", 12)], repeats, share_repeats);
    // The planner finds it: two products of matrices and a sum over their elements, for each of the batch.
    let least = 2.0 * (2.0 * 2.0 * 12f64.powi(3) + 2.0 * 12.0 * 12.0);
    assert!(made == 2 && before <= least && after <= least, "{made}: {before} and {after}");
    // Factors that are read in other places, complex ones, and several of different tensors.
    let other = "fn f(A: c128[N, N], x: c128[N, 2], y: c128[N]) -> (g: c128[2, 2], h: c128) {
        g[a,b] = x[i,a] * A[i,j] * y[j] * x[k,b] * A[k,l] * y[l]
        h = A[i,j] * A[i,j] * x[i,0] * x[j,1] * A[k,l] * A[k,l] * x[k,0] * x[l,1]
    }";
    for n in SIZES {
        let (made, ..) = check(other, &[("N", n)], repeats, share_repeats);
        assert!(made > 0 || n == 1);
    }
    // What else reads the index that is summed is no part of the same contraction, nor is a transpose.
    let none = "fn f(A: f64[N, N], B: f64[N, N], x: f64[N]) -> (q: f64, r: f64[N, N]) {
        q = A[i,j] * B[j,k] * x[j] * A[k,l] * B[i,l]
        r[i,l] = A[i,j] * B[k,j] * A[k,m] * B[m,l]
    }";
    let (made, ..) = check(none, &[("N", 5)], repeats, share_repeats);
    assert_eq!(made, 0);
}

#[test]
fn sums_are_drawn_in_front_of_windows() {
    let text =
        "fn f(X: f64[N, I, H, W], U: f64[I, A], K: f64[A, B, 3, 2], V: f64[B, O]) -> (Y: f64[N, O, H, W]) {
        Y[n,o,y,x] = X[n,i, y + u - 1, x + v else 0] * U[i,a] * K[a,b,u,v] * V[b,o]
    }";
    for i in SIZES {
        for h in SIZES {
            let sizes = [("N", 2), ("I", i), ("H", h), ("W", 4), ("A", 2), ("B", 3), ("O", 4)];
            check(text, &sizes, open_windows, sum_before_window);
        }
    }
    let sizes = [("N", 1), ("I", 16), ("H", 6), ("W", 6), ("A", 2), ("B", 2), ("O", 4)];
    let (made, before, after) = check(text, &sizes, open_windows, sum_before_window);
    assert!(made > 0 && after <= before, "{made}: {before} to {after}");
}

#[test]
fn functions_are_computed_before_windows_are_opened() {
    // The elements of the largest intermediate of a sum over windows of 8 at 20 places.
    let largest = |factor: &str| {
        let text = format!(
            "fn f(x: f64[27], y: f64[27], s: f64, v: f64[8, 5]) -> (r: f64[5, 20]) {{ r[o,p] = v[u,o] * ({factor}) }}"
        );
        let (program, inputs) = program(&text, &[]);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let graph = pipeline::graph(&program);
        let plan = plan(&graph, &Settings::default()).expect("small");
        let found = interpret::run_plan(&plan, &inputs).expect("indices inside");
        let expected = interpret::run(&program, &inputs).expect("indices inside");
        assert_eq!(found[0].bytes(), expected[0].bytes(), "{factor}\n{graph}");
        let is_output = |id| graph.outputs.iter().any(|output| output.1 == id);
        let maps =
            graph.ids().into_iter().filter(|&id| matches!(graph.node(id).op, Op::Map(_)) && !is_output(id));
        maps.map(|id| graph.node(id).elems()).max()
    };
    for factor in [
        "relu(x[p + u])",
        "max(s * x[p + u], abs(y[p + u]) - 1)",
        "relu(x[p + u - 3 else 2]) + 1",
        "if x[(p + u - 9) % 27] > s then y[(p + u - 9) % 27] else -3",
    ] {
        assert_eq!(largest(factor), Some(27), "{factor}");
    }
    // Functions of more than the place, and reads that a condition keeps inside.
    for factor in [
        "relu(x[p + u]) + u",
        "relu(x[p + u] * y[p + 1])",
        "relu(x[p + u] * y[u + 1])",
        "if p >= u then relu(x[p - u]) else 2",
    ] {
        assert_eq!(largest(factor), Some(160), "{factor}");
    }
}

#[test]
fn rows_are_multiplied_before_tables_pick_them() {
    let gathered = |graph: &Graph, place: &_| contract_before_gather(graph, *place);
    let text = "fn f(e: f64[B, F, D], g: f64[F, B, D], s: f64[B]) -> (p: f64[B, R]) {
        first[r] = (r + count[q where q in 0..3](q > r)) % F    where r in 0..R
        second[r] = (r // 2 + count[q where q in 0..2](q > r)) % F    where r in 0..R
        p[b,r] = s[b] * sum[d](e[b, first[r], d] * g[second[r], b, d])
    }";
    let sizes = |b, f, d, r| [("B", b), ("F", f), ("D", d), ("R", r)];
    for f in SIZES {
        for d in SIZES {
            let (made, ..) = check(text, &sizes(2, f, d, f * f), gathered_products, gathered);
            assert!(made == 1 || f == 1, "{f}, {d}: {made}");
        }
    }
    // Few pairs of many are picked one by one.
    assert_eq!(check(text, &sizes(2, 8, 3, 5), gathered_products, gathered).0, 0);
    // So are those of tables that are not known, and those that the sum runs over.
    let others = [
        "fn f(e: f64[B, F, D], t: i64[R]) -> (p: f64[B, R]) {
            p[b,r] = sum[d](e[b, t[r] % F, d] * e[b, t[r] // 2 % F, d])
        }",
        "fn f(e: f64[B, F, D], x: f64[R]) -> (p: f64[B]) {
            first[r] = (r + count[q where q in 0..3](q > r)) % F    where r in 0..R
            second[r] = (r // 2 + count[q where q in 0..2](q > r)) % F    where r in 0..R
            p[b] = sum[d, r](e[b, first[r], d] * e[b, second[r], d]) + x[0]
        }",
    ];
    for text in others {
        assert_eq!(check(text, &sizes(2, 3, 2, 9), gathered_products, gathered).0, 0);
    }
}

#[test]
fn rows_that_no_table_picks_have_no_effect() {
    let text = "fn f(e: f64[B, F, D]) -> (p: f64[B, F*F]) {
        first[r] = 1 + (r + count[q where q in 0..3](q > r)) % (F - 1)    where r in 0..F*F
        second[r] = F - 1 - (r // 2 + count[q where q in 0..2](q > r)) % (F - 1)    where r in 0..F*F
        p[b,r] = e[b, first[r], d] * e[b, second[r], d]
    }";
    let (program, mut inputs) = program(text, &[("B", 3), ("F", 5), ("D", 4)]);
    for (at, value) in [(0, f64::NAN), (1, f64::INFINITY), (20, f64::NEG_INFINITY), (43, f64::NAN)] {
        inputs[0].set(at, Scalar::Real(value));
    }
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let graph = pipeline::graph(&program);
    let [place] = gathered_products(&graph)[..] else { panic!("one product\n{graph}") };
    let other = contract_before_gather(&graph, place).expect("a product");
    let plan = plan(&other, &Settings::default()).expect("small");
    let expected = interpret::run(&program, &inputs).expect("indices inside");
    let found = interpret::run_plan(&plan, &inputs).expect("indices inside");
    assert_eq!(found[0].bytes(), expected[0].bytes());
}

#[test]
fn complex_tensors_times_real_ones_are_products_of_reals() {
    let text = "fn f(x: f64[B, N, K], u: c128[K, M], v: c128[M, L]) -> (a: c128[B, N, L], b: f64[B, N, M]) {
        a[b,n,l] = x[b,n,k] as c128 * u[k,m] * v[m,l]
        b[b,n,m] = 1 + real((x[b,n,k] - 2j) * u[k,m])
    }";
    let plan_of = |sizes: &[(&str, i64)]| {
        let (program, _) = program(text, sizes);
        plan(&pipeline::graph(&program), &Settings::default()).expect("small").to_string()
    };
    for n in [1, 2, 5, 16, 33] {
        for k in [1, 3, 24, 40] {
            let sizes = [("B", 3), ("N", n), ("K", k), ("M", 20), ("L", 9)];
            check(text, &sizes, |_| vec![()], |graph, ()| Some(graph.clone()));
            let text = plan_of(&sizes);
            let made = text.lines().filter(|line| line.starts_with("contract") && line.contains("part"));
            // Where that is large enough for a product of matrices.
            assert!(n < 16 || k < 24 || made.count() == 2, "{text}");
        }
    }
}

#[test]
fn a_number_that_divides_complex_factors_is_part_of_their_contraction() {
    for (divisor, contracts) in [("4", true), ("(0.5 as c128)", true), ("w", false)] {
        let text = format!(
            "fn f(x: c128[N, M], y: c128[M, N], w: c128) -> (z: c128[N, N]) {{\n\
             z[i, k] = sum[j](x[i, j] * y[j, k] / {divisor})\n}}"
        );
        let (program, inputs) = program(&text, &[("N", 5), ("M", 9)]);
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let plan = plan(&pipeline::graph(&program), &Settings::default()).expect("small");
        let is_contract = |step: &plan::Step| matches!(step, plan::Step::Contract(_));
        assert_eq!(plan.steps.iter().any(is_contract), contracts, "{plan}");
        // Dividing by a power of two does not round, nor does multiplying by its inverse.
        let expected = interpret::run(&program, &inputs).expect("no index leaves a tensor");
        let found = interpret::run_plan(&plan, &inputs).expect("no index leaves a tensor");
        assert_eq!(found[0].bytes(), expected[0].bytes(), "{plan}");
    }
}

#[test]
fn sums_are_multiplied_out() {
    let text = "fn f(X: f64[N, I], W: f64[O, I], B: f64[O, R], A: f64[R, I]) -> (Y: f64[N, O]) {
        M[o,i] = W[o,i] + 2 * B[o,r] * A[r,i]
        Y[n,o] = X[n,i] * M[o,i]
    }";
    for n in SIZES {
        for r in SIZES {
            let sizes = [("N", n), ("I", 4), ("O", 3), ("R", r)];
            check(text, &sizes, distributable, |graph, place| distribute(graph, *place));
        }
    }
}

#[test]
fn slices_keep_intermediates_in_the_cache() {
    let text = "fn f(A: f64[B, N, N]) -> (q: f64[B]) {
        q[b] = A[b,k,l] * A[b,i,j] * A[b,i,k] * A[b,i,l] * A[b,j,k] * A[b,j,l]
    }";
    for n in [2, 3, 5] {
        check(text, &[("B", 2), ("N", n)], |_| vec![()], |graph, ()| Some(graph.clone()));
    }
    let (program, _) = program(text, &[("B", 16), ("N", 64)]);
    let plan = plan::plan(&pipeline::graph(&program), &Settings::default()).expect("small");
    // Sixteen parts may run at once, each with intermediates of its own.
    assert!(plan.arena <= 16 * 120_000, "{} bytes of intermediates", plan.arena);
    let fourth = 16.0 * 64f64.powi(4);
    assert!(
        cost(&plan, &Settings::default().rates).flops < 2.2 * fourth,
        "{} of {fourth}",
        cost(&plan, &Settings::default().rates).flops
    );
}

#[test]
fn equal_reductions_of_one_formula_are_computed_once() {
    let (program, _) = program(
        "fn f(x: f64[N, M]) -> (s: f64[N]) { s[i] = sqrt(var[j](x[i,j]) + 1) }",
        &[("N", 3), ("M", 9)],
    );
    let graph = pipeline::graph(&program);
    let plan = plan::plan(&graph, &Settings::default()).expect("small").to_string();
    assert_eq!(plan.matches("= sum[").count(), 2, "{plan}");
}

#[test]
fn kernels_of_one_operand_become_one() {
    let text = "fn f(z: f64[B, C, I, J], v: f64[O, C, 1, 1], w: f64[O, C, 3, 3], u: f64[O, C, 5, 3]) -> (y: f64[B, O, I, J]) {
        y[b,o,i,j] = v[o,c,r,s] * z[b,c, i + r, j + s else 0] + 2 * w[o,c,p,q] * z[b,c, i + p - 1, j + q - 1 else 0]
                   - u[o,c,m,n] * z[b,c, i + m - 2, j + n - 1 else 0]
    }";
    for i in SIZES {
        for c in SIZES {
            let sizes = [("B", 2), ("C", c), ("O", 3), ("I", i), ("J", 4)];
            check(text, &sizes, |_| vec![()], |graph, ()| Some(graph.clone()));
        }
    }
    let (program, _) = program(text, &[("B", 2), ("C", 8), ("O", 8), ("I", 20), ("J", 20)]);
    let plan = plan::plan(&pipeline::graph(&program), &Settings::default()).expect("small");
    assert_eq!(plan.to_string().lines().filter(|line| line.starts_with("contract")).count(), 1, "{plan}");
    // Kernels of other operands, and windows of which none holds the other, stay apart.
    let text =
        "fn f(z: f64[C, I], v: f64[C, I], w: f64[O, C, 3], u: f64[O, C, 3]) -> (y: f64[O, I], x: f64[O, I]) {
        y[o,i] = w[o,c,r] * z[c, i + r - 1 else 0] + u[o,c,r] * v[c, i + r - 1 else 0]
        x[o,i] = w[o,c,r] * z[c, i + r - 2 else 0] + u[o,c,r] * z[c, i + r else 0]
    }";
    for i in SIZES {
        check(text, &[("C", 5), ("O", 4), ("I", i)], |_| vec![()], |graph, ()| Some(graph.clone()));
    }
}

#[test]
fn a_softmax_over_two_indices_fits_a_small_memory() {
    let text =
        "fn f(Q: f64[I, D], K: f64[J, D], L: f64[M, D], V: f64[J, E], W: f64[M, E]) -> (Y: f64[I, E]) {
        P[i,j,k] = softmax[j, k where j <= i, k <= i](sum[d](Q[i,d] * K[j,d] * L[k,d]) / D)
        Y[i,e] = P[i,j,k] * V[j,e] * W[k,e]
    }";
    let (program, inputs) = program(text, &[("I", 24), ("J", 24), ("M", 24), ("D", 4), ("E", 3)]);
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let expected = interpret::run(&program, &inputs).expect("indices inside");
    // All scores together are 110,592 bytes.
    let settings = Settings { memory_limit: Some(40_000), ..Settings::default() };
    let plan = plan::plan(&pipeline::graph(&program), &settings).expect("it fits");
    let found = interpret::run_plan(&plan, &inputs).expect("indices inside");
    for at in 0..expected[0].elems() {
        let (found, expected) = (found[0].get(at).re(), expected[0].get(at).re());
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{at}: {found}, expected {expected}"
        );
    }
}

/// The largest difference between complex results of a program as written and after the passes, in parts of the largest
/// element, and how many transforms the passes have found.
fn transformed(text: &str, sizes: &[(&str, i64)]) -> (f64, usize) {
    let (program, inputs) = program(text, sizes);
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let expected = interpret::run(&program, &inputs).expect("indices inside");
    let graph = pipeline::graph(&program);
    let transforms = graph.ids().into_iter().filter(|&id| matches!(graph.node(id).op, Op::Along(_))).count();
    let planned = plan(&graph, &Settings::default()).expect("small");
    let mut all = vec![interpret::run_graph(&graph, &inputs).expect("indices inside")];
    #[cfg(feature = "cranelift")]
    {
        let loops = einc::loops::lower(&planned, &einc::machine::Machine::host());
        einc::loops::verify(&loops).unwrap_or_else(|law| panic!("{law}\n{loops}"));
        all.push(interpret::run_loops(&loops, &inputs).expect("indices inside"));
    }
    let settings = pipeline::Settings::default();
    let executable = pipeline::compile(program, &settings, &mut |_, _| ()).expect("it fits");
    let mut native = executable.results().expect("memory");
    executable.run(&inputs, &mut native).expect("indices inside");
    all.push(native);
    assert!(planned.steps.len() >= transforms);
    let complex = |tensor: &Tensor, at: usize| match tensor.get(at) {
        Scalar::Complex(re, im) => [re, im],
        other => panic!("{other:?} is not complex"),
    };
    let mut worst = 0f64;
    for found in &all {
        for (found, expected) in found.iter().zip(&expected) {
            let far = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            let elems = 0..expected.elems();
            let largest = elems.clone().map(|at| far(complex(expected, at), [0.0; 2])).fold(0.0, f64::max);
            let error = elems.map(|at| far(complex(found, at), complex(expected, at))).fold(0.0, f64::max);
            worst = worst.max(error / largest);
        }
    }
    (worst, transforms)
}

#[test]
fn products_with_tables_of_roots_are_transforms() {
    let one = "fn f(x: c64[B, N, M]) -> (y: c64[B, N, M]) {
        y[b,k,m] = exp(-2j * pi * n * k / N) * x[b,n,m] }";
    let rows = "fn f(x: c128[B, M, N], w: c128[N]) -> (y: c128[B, M, N]) {
        y[b,m,k] = exp(-2j * pi * n * k / N) * w[n] * x[b,m,n] }";
    let two = "fn f(x: c128[B, N, M]) -> (y: c128[B, N, M]) {
        y[b,k,l] = 3 * exp(-2j * pi * m * l / M) * exp(-2j * pi * k * m / (N * M)) * exp(-2j * pi * n * k / N) * x[b,n,m] }";
    let back = "fn f(x: c64[B, N, M], g: c64[M, N]) -> (y: c64[M, N, B]) {
        y[m,k,b] = g[m,k] * exp(2j * pi * n * k / N) * x[b,n,m] }";
    for (text, count) in [(one, 1), (rows, 1), (two, 2), (back, 1)] {
        for (n, m) in [(8, 9), (16, 16), (12, 35), (32, 20)] {
            let (error, found) = transformed(text, &[("B", 3), ("N", n), ("M", m)]);
            assert_eq!(found, count, "{text} at {n} by {m}");
            let bound = if text.contains("c64") { 1e-6 } else { 1e-13 };
            assert!(error < bound, "{text} at {n} by {m}: {error}");
        }
    }
}

#[test]
fn other_tables_are_no_transforms() {
    for (what, text) in [
        ("another length", "y[b,k] = exp(-2j * pi * n * k / (N + 1)) * x[b,n]"),
        ("half the turn", "y[b,k] = exp(-1j * pi * n * k / N) * x[b,n]"),
        ("a start", "y[b,k] = exp(-2j * pi * n * (k + 1) / N) * x[b,n]"),
        ("a damping", "y[b,k] = exp((-2j * pi - 0.001) * n * k / N) * x[b,n]"),
        ("another sum", "y[k] = exp(-2j * pi * n * k / N) * x[b,n]"),
        ("an order", "@order(keep) y[b,k] = exp(-2j * pi * n * k / N) * x[b,n]"),
    ] {
        let result = if what == "another sum" { "y: c128[N]" } else { "y: c128[B, N]" };
        let ranges = if what == "another sum" { "" } else { "    where k in 0..N" };
        let text = format!("fn f(x: c128[B, N]) -> ({result}) {{ {text}{ranges} }}");
        let (error, found) = transformed(&text, &[("B", 2), ("N", 16)]);
        assert_eq!(found, 0, "{what}");
        assert!(error < 1e-13, "{what}: {error}");
    }
    // 19 is a large prime, 4 is short.
    for n in [19, 4] {
        let text = "fn f(x: c64[B, N]) -> (y: c64[B, N]) { y[b,k] = exp(-2j * pi * n * k / N) * x[b,n] }";
        assert_eq!(transformed(text, &[("B", 2), ("N", n)]).1, 0, "{n}");
    }
}

/// What a condition leaves out of a sum of products is never added, whatever it is: with conditions that are one for all lanes
/// of a vector, and with those that are not.
#[test]
fn what_a_condition_leaves_out_of_a_sum_has_no_effect() {
    let text = "fn f(a: f32[N, K], b: f32[K, M], m: f32[K], n: f32[K, M]) -> (y: f32[N, M], z: f32[N, M]) {
        y[i,j] = sum[k where m[k] > 0, k <= i + 3](a[i,k] * b[k,j])
        z[i,j] = sum[k where n[k,j] > 0](a[i,k] * b[k,j]) }";
    for (n, k, m) in [(5, 7, 13), (3, 40, 4), (9, 70, 36)] {
        let sizes = [("N", n), ("K", k), ("M", m)].map(|(name, size)| (name, size as i64));
        let (program, inputs) = program(text, &sizes);
        let mut inputs = inputs;
        let kept: Vec<bool> = (0..k).map(|at| at % 3 != 1).collect();
        for at in 0..k {
            let sign = |keep: bool| Scalar::Real(if keep { 1.0 } else { -1.0 });
            inputs[2].set(at, sign(kept[at]));
            for j in 0..m {
                let is_kept = kept[at] && !(at + j).is_multiple_of(4);
                inputs[3].set(at * m + j, sign(is_kept));
                if !kept[at] {
                    let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][(at + j) % 3];
                    inputs[1].set(at * m + j, Scalar::Real(value));
                }
            }
        }
        let operands: Vec<&Tensor> = inputs.iter().collect();
        let settings = pipeline::Settings::default();
        let executable = pipeline::compile(program, &settings, &mut |_, _| ()).expect("it fits");
        let mut found = executable.results().expect("memory");
        executable.run(&operands, &mut found).expect("indices inside");
        let real = |tensor: &Tensor, at: usize| match tensor.get(at) {
            Scalar::Real(value) => value,
            other => panic!("{other:?} is not real"),
        };
        for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
            let sum = |keeps: &dyn Fn(usize) -> bool| -> f64 {
                let list = (0..k).filter(|&at| keeps(at));
                list.map(|at| real(&inputs[0], i * k + at) * real(&inputs[1], at * m + j)).sum()
            };
            // Small integers: exact in any order.
            assert_eq!(
                real(&found[0], i * m + j),
                sum(&|at| kept[at] && at <= i + 3),
                "{n} {k} {m}: {i} {j}"
            );
            let keeps = |at: usize| kept[at] && !(at + j).is_multiple_of(4);
            assert_eq!(real(&found[1], i * m + j), sum(&keeps), "{n} {k} {m}: {i} {j}");
        }
    }
}

/// Conditions that the softmax of a sum's weights has as well are taken to the other factor, which leaves contractions, and no
/// value changes: not where masked elements are infinite or NaN, where weights are, nor where nothing is taken.
#[test]
fn conditions_of_sums_over_softmax_weights_become_masks() {
    let text = "fn f(x: f64[B, T, T], v: f64[B, T, F], m: f64[B, T]) -> (y: f64[B, T, F], z: f64[F, B, T], u: f64[B, T, F], w: f64[B, T, F]) {
        p[b,t,s] = softmax[s where s <= t, m[b,s] > 0](x[b,t,s] / 2)
        y[b,t,f] = sum[s where s <= t, m[b,s] > 0](p[b,t,s] * v[b,s,f])
        q[b,s,t] = softmax[s where m[b,s] > 0](x[b,t,s])
        z[f,b,t] = sum[s where m[b,s] > 0](q[b,s,t] * v[b,s,f])
        u[b,t,f] = sum[s where m[b,s] > 0, s < t](q[b,s,t] * v[b,s,f])
        w[b,t,f] = sum[s where m[b,s] > 0](q[b,s,t] * v[b,s,f] * v[b,s,0]) }";
    for (t, f) in [(1, 3), (5, 1), (70, 12)] {
        let (program, mut inputs) = program(text, &[("B", 3), ("T", t as i64), ("F", f as i64)]);
        for (b, s) in (0..3).flat_map(|b| (0..t).map(move |s| (b, s))) {
            // The first of the batch sees nothing in the end, the last nothing at all.
            let seen = b == 1 && s % 3 != 1 || b == 0 && s < 4;
            inputs[2].set(b * t + s, Scalar::Real(if seen { 1.0 } else { -1.0 }));
            for at in (0..f).filter(|_| !seen) {
                let value = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0][(at + s) % 4];
                inputs[1].set((b * t + s) * f + at, Scalar::Real(value));
            }
        }
        for (row, s, value) in
            [(2, 0, f64::NAN), (3, 1, f64::NAN), (4, 2, f64::INFINITY), (4, 3, f64::INFINITY)]
        {
            if row < t {
                inputs[0].set((t + row) * t + s, Scalar::Real(value));
            }
        }
        let operands: Vec<&Tensor> = inputs.iter().collect();
        let graph = pipeline::graph(&program);
        let masked = graph.ids().into_iter().filter(|&id| graph.node(id).name == "v.masked").count();
        // The third sum asks for more than its weights, the last has three factors; of one row, nothing is used twice.
        assert_eq!(masked, if t > 1 { 2 } else { 0 }, "{graph}");
        let expected = interpret::run(&program, &operands).expect("indices inside");
        let mut all = vec![interpret::run_graph(&graph, &operands).expect("indices inside")];
        let executable =
            pipeline::compile(program, &pipeline::Settings::default(), &mut |_, _| ()).expect("it fits");
        let mut native = executable.results().expect("memory");
        executable.run(&operands, &mut native).expect("indices inside");
        all.push(native);
        for (found, expected) in all.iter().flat_map(|found| found.iter().zip(&expected)) {
            let [found, expected] = [found, expected].map(|tensor| tensor.as_slice::<f64>().expect("reals"));
            assert!(expected.iter().any(|value| value.is_finite()), "{t} {f}");
            for (&found, &expected) in found.iter().zip(expected) {
                let same = found == expected || found.is_nan() && expected.is_nan();
                assert!(same || (found - expected).abs() < 1e-13, "{t} {f}: {found} for {expected}");
            }
        }
    }
}

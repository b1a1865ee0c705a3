//! Calls from many threads, and reuse of what was compiled.

use super::*;
use einc_runtime::Scalar;

const LAYER: &str = "fn layer(x: f64[N, K], w: f64[K, M]) -> (y: f64[N, M], top: f64[N]) {
    y[n, m] = relu(sum[k](x[n, k] * w[k, m]))
    top[n] = max[m](y[n, m])
}";

/// A matrix whose elements tell the number `of`.
fn matrix(rows: u64, columns: u64, of: u64) -> Tensor {
    let mut tensor = Tensor::zeros(DType::F64, &[rows, columns]).unwrap();
    for k in 0..tensor.elems() {
        tensor.set(k, Scalar::Real(((k as u64 * 7 + of * 3) % 11) as f64 - 5.0));
    }
    tensor
}

/// The layer by its formula.
fn expected(x: &Tensor, w: &Tensor) -> Vec<f64> {
    let (n, k, m) = (x.shape()[0] as usize, x.shape()[1] as usize, w.shape()[1] as usize);
    let (x, w) = (x.as_slice::<f64>().unwrap(), w.as_slice::<f64>().unwrap());
    let element = |row: usize, column: usize| -> f64 {
        (0..k).map(|j| x[row * k + j] * w[j * m + column]).sum::<f64>().max(0.0)
    };
    (0..n * m).map(|at| element(at / m, at % m)).collect()
}

#[test]
fn one_function_is_called_from_many_threads_with_many_sizes() {
    let layer = Module::parse(LAYER).unwrap().function("layer", &Sizes::new(), &Settings::default()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let layer = &layer;
            scope.spawn(move || {
                for call in 0..12 {
                    let of = thread * 100 + call;
                    let (x, w) = (matrix(2 + call % 3, 5, of), matrix(5, 3, of + 1));
                    let results = layer.call(&[("x", &x), ("w", &w)]).unwrap();
                    let found = results.get("y").unwrap();
                    assert_eq!(
                        found.as_slice::<f64>().unwrap(),
                        expected(&x, &w),
                        "thread {thread}, call {call}"
                    );
                }
            });
        }
    });
}

#[test]
fn one_compiled_program_is_called_from_many_threads_at_once() {
    let sizes = Sizes::new().dim("N", 40).dim("K", 30).dim("M", 20);
    let layer = Module::parse(LAYER).unwrap().compile("layer", &sizes).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let layer = &layer;
            scope.spawn(move || {
                let (x, w) = (matrix(40, 30, thread), matrix(30, 20, thread + 1));
                let wanted = expected(&x, &w);
                let mut results = layer.results().unwrap();
                for _ in 0..20 {
                    layer.call_into(&[&x, &w], &mut results).unwrap();
                    assert_eq!(results[0].as_slice::<f64>().unwrap(), wanted);
                }
            });
        }
    });
}

#[test]
fn tensors_that_do_not_fit_are_errors_whatever_runs_the_program() {
    let module = Module::parse(LAYER).unwrap();
    let sizes = Sizes::new().dim("N", 2).dim("K", 3).dim("M", 4);
    for target in pipeline::Target::ALL {
        let settings = Settings { target: Some(*target), ..Settings::default() };
        let bindings = program::Bindings { dims: sizes.dims.clone(), ..Default::default() };
        let layer = module.build("layer", &bindings, &settings).unwrap();
        let (x, w) = (matrix(2, 3, 0), matrix(3, 4, 1));
        let mut results = layer.results().unwrap();
        layer.call_into(&[&x, &w], &mut results).unwrap();
        let error = layer.call_into(&[&w, &x], &mut results).unwrap_err();
        assert_eq!(error.diagnostics()[0].code, Code::InputExtent);
        assert!(error.to_string().contains("x: f64[2, 3]"), "{error}");
        assert!(layer.call_into(&[&x], &mut results).is_err());
        results.pop();
        assert!(layer.call_into(&[&x, &w], &mut results).is_err());
        // What is beside the typed interface refuses them too.
        assert!(layer.executable.run(&[&w, &x], &mut []).is_err());
    }
}

#[test]
fn a_function_of_many_operands_takes_known_trees_for_further_sizes() {
    // More operands than are always optimal, in a ring: a trace of a product of matrices, alternately N by K and K by N.
    let count = 14;
    let names: Vec<String> = (0..count).map(|k| format!("a{k}")).collect();
    let shape = |k: usize| if k.is_multiple_of(2) { "N, K" } else { "K, N" };
    let params: Vec<String> =
        names.iter().enumerate().map(|(k, name)| format!("{name}: f64[{}]", shape(k))).collect();
    let index = |k: usize| format!("i{}", k % count);
    let factors: Vec<String> =
        names.iter().enumerate().map(|(k, name)| format!("{name}[{}, {}]", index(k), index(k + 1))).collect();
    let all: Vec<String> = (0..count).map(index).collect();
    let text = format!(
        "fn ring({}) -> (s: f64) {{ s = sum[{}]({}) }}",
        params.join(", "),
        all.join(", "),
        factors.join(" * ")
    );
    let module = Module::parse(&text).unwrap();
    let ring = module.function("ring", &Sizes::new(), &Settings::default()).unwrap();
    let mut before = None;
    for (number, (n, k)) in [(3u64, 4u64), (6, 2), (2, 7), (5, 5)].into_iter().enumerate() {
        let matrices: Vec<Tensor> = (0..count as u64)
            .map(|of| {
                let (rows, columns) = if of.is_multiple_of(2) { (n, k) } else { (k, n) };
                let mut small = matrix(rows, columns, of);
                (0..small.elems()).for_each(|at| {
                    let value = small.get(at).re();
                    small.set(at, Scalar::Real(value / 8.0));
                });
                small
            })
            .collect();
        let arrays: Vec<(&str, &dyn Operand)> =
            names.iter().map(String::as_str).zip(matrices.iter().map(|m| m as &dyn Operand)).collect();
        let found = ring.call(&arrays).unwrap().number("s").unwrap();
        // The trace of the product, from left to right.
        let mut product = matrices[0].as_slice::<f64>().unwrap().to_vec();
        for (at, next) in matrices.iter().enumerate().skip(1) {
            let (inner, columns) = (next.shape()[0] as usize, next.shape()[1] as usize);
            let values = next.as_slice::<f64>().unwrap();
            let rows = n as usize;
            assert_eq!(product.len(), rows * inner, "{at}");
            product = (0..rows * columns)
                .map(|e| {
                    let (row, column) = (e / columns, e % columns);
                    (0..inner).map(|j| product[row * inner + j] * values[j * columns + column]).sum()
                })
                .collect();
        }
        let wanted: f64 = (0..n as usize).map(|at| product[at * n as usize + at]).sum();
        assert!((found - wanted).abs() <= 1e-10 * (1.0 + wanted.abs()), "{found} {wanted}");
        // The second sizes find trees for a range of sizes, the later ones change nothing.
        let known = format!("{:?}", ring.settings.plan.late.as_ref().unwrap());
        if number > 1 {
            assert_eq!(before.as_ref(), Some(&known));
        }
        before = Some(known);
    }
    assert_eq!(before.unwrap(), "Late { products: 1, searches: 2 }");
}

#[test]
fn a_function_of_many_operands_knows_trees_for_declared_sizes_from_the_first_call() {
    // A chain of fifteen matrices, the sizes of which alternate.
    let names: Vec<String> = (0..15).map(|k| format!("a{k}")).collect();
    let shape = |k: usize| if k.is_multiple_of(2) { "N, K" } else { "K, N" };
    let params: Vec<String> =
        names.iter().enumerate().map(|(k, name)| format!("{name}: f64[{}]", shape(k))).collect();
    let factors: Vec<String> =
        names.iter().enumerate().map(|(k, name)| format!("{name}[i{k}, i{}]", k + 1)).collect();
    let text = format!(
        "dim N in 2..=40, K in 1..20\nfn chain({}) -> (s: f64[N, K]) {{ s[i0, i15] = {} }}",
        params.join(", "),
        factors.join(" * ")
    );
    let module = Module::parse(&text).unwrap();
    let chain = module.function("chain", &Sizes::new(), &Settings::default()).unwrap();
    for (n, k) in [(3u64, 4u64), (40, 1), (2, 19), (5, 5), (40, 19)] {
        // All rows of ones: the product is known.
        let ones = |rows: u64, columns: u64| {
            let mut ones = Tensor::zeros(DType::F64, &[rows, columns]).unwrap();
            (0..ones.elems()).for_each(|at| ones.set(at, Scalar::Real(1.0 / columns as f64)));
            ones
        };
        let matrices: Vec<Tensor> =
            (0..15).map(|of| if of % 2 == 0 { ones(n, k) } else { ones(k, n) }).collect();
        let arrays: Vec<(&str, &dyn Operand)> =
            names.iter().map(String::as_str).zip(matrices.iter().map(|m| m as &dyn Operand)).collect();
        let results = chain.call(&arrays).unwrap();
        let found = results.first().as_slice::<f64>().unwrap();
        assert!(found.iter().all(|x| (x * k as f64 - 1.0).abs() < 1e-12), "{n} {k}: {found:?}");
        let known = format!("{:?}", chain.settings.plan.late.as_ref().unwrap());
        assert_eq!(known, "Late { products: 1, searches: 1 }", "{n} {k}");
    }
}

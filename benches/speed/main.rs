//! How fast programs are compiled, called and run: `cargo bench --bench speed [-- FILTER ..]`.
//!
//! Writes `target/speed.json`, one entry for each case with its best time in seconds; `benches/speed/compare.py` runs
//! the same cases with NumPy and PyTorch and prints ratios. Environment: `EINC_THREADS` (default 1).
//!
//! The 48 contractions of `tccg.json` are those of the HPAC tensor contraction benchmark 0.1 (Springer and Bientinesi),
//! with its rule for the sizes.

use einc::pipeline::{self, Executable, Settings};
use einc::{DType, Module, Sizes, Tensor, einsum};
use einc_runtime::pool;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a case may take, its first call aside.
const TIME: Duration = Duration::from_millis(600);

/// The best of several timed calls, in seconds.
fn best(mut call: impl FnMut()) -> f64 {
    call();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    let mut calls = 0;
    while calls < 3 || start.elapsed() < TIME {
        let call_start = Instant::now();
        call();
        best = best.min(call_start.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

/// The mean of many calls, in seconds: for calls too short to be timed alone.
fn mean(mut call: impl FnMut()) -> f64 {
    let batch = || {
        let start = Instant::now();
        (0..2000).for_each(|_| call());
        start.elapsed().as_secs_f64() / 2000.0
    };
    std::iter::repeat_with(batch).take(20).fold(f64::INFINITY, f64::min)
}

struct Bench {
    filters: Vec<String>,
    results: Vec<Value>,
}

impl Bench {
    fn run(&mut self, name: &str, flops: f64, measure: impl FnOnce() -> f64) {
        if !self.filters.is_empty() && !self.filters.iter().any(|filter| name.contains(filter)) {
            return;
        }
        let seconds = measure();
        let rate = if flops > 0.0 { format!("{:8.2} Gflop/s", flops / seconds / 1e9) } else { String::new() };
        println!("{name:<28} {:>12} {rate}", time_text(seconds));
        self.results.push(json!({ "name": name, "seconds": seconds, "flops": flops }));
    }
}

fn time_text(seconds: f64) -> String {
    if seconds < 1e-3 { format!("{:.3} us", seconds * 1e6) } else { format!("{:.3} ms", seconds * 1e3) }
}

/// An einsum string compiled for random operands, the operands, and room for the result.
fn contraction(spec: &str, dtype: DType, shapes: &[Vec<u64>]) -> (Executable, Vec<Tensor>, Vec<Tensor>) {
    let operands: Vec<Tensor> = shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| pipeline::random(k as u64, "x", dtype, shape).expect("memory"))
        .collect();
    let (program, _) = pipeline::einsum(spec, &operands.iter().collect::<Vec<_>>()).expect("a valid string");
    let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ()).expect("it fits");
    assert!(executable.hindrance().is_none(), "{spec} runs in native code");
    let results = executable.results().expect("memory");
    (executable, operands, results)
}

fn time_contraction(spec: &str, dtype: DType, shapes: &[Vec<u64>]) -> f64 {
    let (executable, operands, mut results) = contraction(spec, dtype, shapes);
    let operands: Vec<&Tensor> = operands.iter().collect();
    best(|| executable.run(&operands, &mut results).expect("no index leaves a tensor"))
}

fn main() {
    let threads = std::env::var("EINC_THREADS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    pool::set_threads(threads);
    let filters = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let mut bench = Bench { filters, results: Vec::new() };
    calls(&mut bench);
    compilation(&mut bench);
    for dtype in [DType::F32, DType::F64] {
        for n in [1024u64, 2048] {
            let flops = 2.0 * (n as f64).powi(3);
            bench.run(&format!("matmul {n} {dtype}"), flops, || {
                time_contraction("ij,jk->ik", dtype, &[vec![n, n], vec![n, n]])
            });
        }
    }
    let cases: Value = serde_json::from_str(include_str!("tccg.json")).expect("valid JSON");
    for dtype in [DType::F32, DType::F64] {
        for case in cases.as_array().expect("a list") {
            let spec = case["einsum"].as_str().expect("a string");
            let extent = |label: char| case[dtype.name()][label.to_string()].as_u64().expect("a size");
            let terms: Vec<&str> = spec.split([',', '-', '>']).filter(|term| !term.is_empty()).collect();
            let shapes: Vec<Vec<u64>> =
                terms[..2].iter().map(|term| term.chars().map(extent).collect()).collect();
            let mut labels: Vec<char> = terms.concat().chars().collect();
            labels.sort_unstable();
            labels.dedup();
            let flops = 2.0 * labels.into_iter().map(|label| extent(label) as f64).product::<f64>();
            let name = format!("{} {dtype}", case["id"].as_str().expect("a name"));
            bench.run(&name, flops, || time_contraction(spec, dtype, &shapes));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/speed.json");
    let value = json!({ "threads": threads, "cases": bench.results });
    std::fs::write(path, format!("{value:#}\n")).expect("the target folder");
    println!("written to target/speed.json");
}

/// What a call costs where there is next to nothing to compute.
fn calls(bench: &mut Bench) {
    let text = "fn chain(A: f64[N, N], B: f64[N, N], C: f64[N, N]) -> (D: f64[N, N]) {
        D[i, l] = A[i, j] * B[j, k] * C[k, l]
    }";
    let a = Tensor::from_slice(&[4, 4], &[0.5f64; 16]).expect("memory");
    bench.run("call 4x4x4", 0.0, || {
        let chain =
            Module::parse(text).expect("valid").compile("chain", &Sizes::new().dim("N", 4)).expect("valid");
        let mut results = chain.results().expect("memory");
        mean(|| chain.call_into(&[&a, &a, &a], &mut results).expect("it fits"))
    });
    bench.run("einsum 4x4x4", 0.0, || mean(|| drop(einsum("ij,jk,kl->il", &[&a, &a, &a]).expect("it fits"))));
}

/// What checking and compiling cost.
fn compilation(bench: &mut Bench) {
    let mut long = String::from("dim N\ninput x0: f64[N, N]\n");
    for k in 1..=100 {
        let before = k - 1;
        long.push_str(&format!(
            "x{k}[i, j] = tanh(sum[l](x{before}[i, l] * x{before}[l, j])) + {k}.0 * x{before}[i, j]\n"
        ));
    }
    bench.run("check 100 statements", 0.0, || {
        best(|| drop(Module::parse(&long).expect("valid").check().expect("valid")))
    });
    let mut short = String::from("fn f(x0: f64[N, N]) -> (x10: f64[N, N]) {\n");
    for k in 1..=10 {
        let before = k - 1;
        short.push_str(&format!(
            "x{k}[i, j] = tanh(sum[l](x{before}[i, l] * x{before}[l, j])) + {k}.0 * x{before}[i, j]\n"
        ));
    }
    short.push('}');
    let module = Module::parse(&short).expect("valid");
    bench.run("compile 10 statements", 0.0, || {
        best(|| drop(module.compile("f", &Sizes::new().dim("N", 64)).expect("valid")))
    });
}

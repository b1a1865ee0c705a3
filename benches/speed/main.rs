//! How fast programs are compiled, called and run: `cargo bench --bench speed -- [FILTER ..] [--full] [--threads N]`.
//!
//! Writes `target/speed.json`, one entry for each case with its best time in seconds. A filter is a part of a name.
//! `--full` measures the contractions with their own sizes; without it the largest extents are halved until each costs
//! about a gigaflop. `--serve` runs what another process asks for, see [`serve`]: `benches/speed/compare.py` uses that
//! to take turns with NumPy and PyTorch.
//!
//! The 48 contractions of `tccg.json` are those of the HPAC tensor contraction benchmark 0.1 (Springer and Bientinesi),
//! with its rule for the sizes.

mod cases;
mod measure;
mod memory;
mod serve;

use cases::Case;
use einc::pipeline::{self, Settings};
use einc::{DType, Module, Sizes, Tensor, einsum};
use einc_runtime::pool;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a case may take, its first call aside.
const TIME: Duration = Duration::from_millis(300);

struct Bench {
    filters: Vec<String>,
    threads: usize,
    results: Vec<Value>,
}

impl Bench {
    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
    }

    fn run(&mut self, name: &str, flops: f64, call: &mut dyn FnMut()) {
        let seconds = measure::best(self.threads, TIME, call);
        let rate = if flops > 0.0 { format!("{:8.2} Gflop/s", flops / seconds / 1e9) } else { String::new() };
        println!("{name:<28} {:>12} {rate}", time_text(seconds));
        self.results.push(json!({ "name": name, "seconds": seconds, "flops": flops }));
    }
}

fn time_text(seconds: f64) -> String {
    if seconds < 1e-3 { format!("{:.3} us", seconds * 1e6) } else { format!("{:.3} ms", seconds * 1e3) }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut filters, mut threads, mut full, mut serves) = (Vec::new(), 1, false, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--threads" => {
                threads = arguments.next().and_then(|text| text.parse().ok()).expect("a number of threads");
            }
            "--full" => full = true,
            "--serve" => serves = true,
            // Cargo's own.
            "--bench" => {}
            _ => filters.push(argument),
        }
    }
    pool::set_threads(threads);
    if serves {
        return serve::serve(threads);
    }
    let mut bench = Bench { filters, threads, results: Vec::new() };
    calls(&mut bench);
    compilation(&mut bench);
    for (name, program, n) in memory::RUNS {
        if bench.wants(name) {
            let (peak, needed) = memory::peak(program, n);
            let ratio = peak as f64 / needed as f64;
            println!("{name:<28} {:>9} MiB  {ratio:.3} of what the plan needs", peak >> 20);
            bench.results.push(json!({ "name": name, "bytes": peak, "planned_bytes": needed }));
        }
    }
    for case in cases::cases(full) {
        if bench.wants(&case.name) {
            contraction(&mut bench, &case);
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/speed.json");
    let value = json!({ "threads": threads, "full": full, "cases": bench.results });
    std::fs::write(path, format!("{value:#}\n")).expect("the target folder");
    println!("written to target/speed.json");
}

/// An einsum string compiled for random operands.
fn contraction(bench: &mut Bench, case: &Case) {
    let dtype = DType::from_name(case.dtype).expect("a type");
    let operands: Vec<Tensor> = case
        .shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| pipeline::random(k as u64, "x", dtype, shape).expect("memory"))
        .collect();
    let operands: Vec<&Tensor> = operands.iter().collect();
    let (program, _) = pipeline::einsum(&case.spec, &operands).expect("a valid string");
    let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| ()).expect("it fits");
    assert!(executable.hindrance().is_none(), "{} runs in native code", case.spec);
    let mut results = executable.results().expect("memory");
    bench.run(&case.name, case.flops, &mut || {
        executable.run(&operands, &mut results).expect("no index leaves a tensor");
    });
}

/// What a call costs where there is next to nothing to compute.
fn calls(bench: &mut Bench) {
    let text = "fn chain(A: f64[N, N], B: f64[N, N], C: f64[N, N]) -> (D: f64[N, N]) {
        D[i, l] = A[i, j] * B[j, k] * C[k, l]
    }";
    let a = Tensor::from_slice(&[4, 4], &[0.5f64; 16]).expect("memory");
    if bench.wants("call 4x4x4") {
        let chain =
            Module::parse(text).expect("valid").compile("chain", &Sizes::new().dim("N", 4)).expect("valid");
        let mut results = chain.results().expect("memory");
        bench.run("call 4x4x4", 0.0, &mut || {
            chain.call_into(&[&a, &a, &a], &mut results).expect("it fits");
        });
    }
    if bench.wants("einsum 4x4x4") {
        bench.run("einsum 4x4x4", 0.0, &mut || {
            einsum("ij,jk,kl->il", &[&a, &a, &a]).expect("it fits");
        });
    }
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
    if bench.wants("check 100 statements") {
        bench.run("check 100 statements", 0.0, &mut || {
            Module::parse(&long).expect("valid").check().expect("valid");
        });
    }
    let mut short = String::from("fn f(x0: f64[N, N]) -> (x10: f64[N, N]) {\n");
    for k in 1..=10 {
        let before = k - 1;
        short.push_str(&format!(
            "x{k}[i, j] = tanh(sum[l](x{before}[i, l] * x{before}[l, j])) + {k}.0 * x{before}[i, j]\n"
        ));
    }
    short.push('}');
    let module = Module::parse(&short).expect("valid");
    if bench.wants("compile 10 statements") {
        bench.run("compile 10 statements", 0.0, &mut || {
            module.compile("f", &Sizes::new().dim("N", 64)).expect("valid");
        });
    }
}

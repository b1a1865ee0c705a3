//! What running slices at once gains.

use einc::pipeline::{self, Settings};
use einc::{DType, Tensor};
use einc_runtime::pool;
use std::time::Instant;

/// A contraction whose intermediates do not fit: the sum over `l` of products of matrices, in slices of `l`.
const SPEC: &str = "iajl,jbkl,kcil->abc";

/// Prints the seconds of a contraction under a memory limit on one thread and on all.
pub fn run() {
    let (ring, open, sum) = (64u64, 12u64, 48u64);
    let shape = [ring, open, ring, sum];
    let inputs: Vec<Tensor> =
        (0..3).filter_map(|seed| pipeline::random(seed, "x", DType::F64, &shape)).collect();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let given: u64 = inputs.iter().map(|tensor| tensor.bytes().len() as u64).sum();
    let all = pool::threads();
    let seconds = |memory: Option<u64>, threads: usize| -> Option<f64> {
        pool::set_threads(threads);
        let (program, _) = pipeline::einsum(SPEC, &inputs).ok()?;
        let settings = Settings { memory, ..Settings::default() };
        let executable = pipeline::compile(program, &settings, &mut |_, _| {}).ok()?;
        let mut results = executable.results()?;
        let (mut best, start) = (f64::INFINITY, Instant::now());
        for run in 0.. {
            if run >= 3 && start.elapsed().as_secs_f64() > 2.0 {
                break;
            }
            let before = Instant::now();
            executable.run(&inputs, &mut results).ok()?;
            best = best.min(before.elapsed().as_secs_f64());
        }
        Some(best)
    };
    for (name, memory) in [("whole", None), ("64 MiB of intermediates", Some(given + (64 << 20)))] {
        let times: Vec<String> = [1, all]
            .map(|threads| match seconds(memory, threads) {
                Some(seconds) => format!("{threads} threads {seconds:.4} s"),
                None => format!("{threads} threads: does not run"),
            })
            .to_vec();
        println!("{SPEC} with {ring} {open} {sum}, {name}: {}", times.join(", "));
    }
    pool::set_threads(all);
}

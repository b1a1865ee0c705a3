//! `einc targets --calibrate`: measures the rates of this machine with einc's own kernels.

use super::failure::Failure;
use super::planning;
use crate::diagnostic::{Code, Diagnostic};
use crate::pipeline::{self, Settings};
use crate::plan::search::Rates;
use einc_runtime::{DType, Tensor, pool};
use std::path::PathBuf;
use std::time::Instant;

/// Measures this machine and writes the rates to the file of this machine.
pub fn calibrate() -> Result<(PathBuf, Rates), Failure> {
    let unwritable = |reason: String| {
        Failure::of(Diagnostic::error(
            Code::File,
            format!("the rates of this machine cannot be kept: {reason}"),
        ))
    };
    let path =
        planning::rates_file().ok_or_else(|| unwritable("neither EINC_HOME nor HOME is set".into()))?;
    let threads = pool::threads();
    pool::set_threads(1);
    let rates = measure();
    pool::set_threads(threads);
    let rates = rates.ok_or_else(|| {
        Failure::of(Diagnostic::error(Code::Unsupported, "this build has no native code to measure"))
    })?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(error.to_string()))?;
    }
    super::arrays::write_text(&path, &rates.json())?;
    Ok((path, rates))
}

/// The seconds of one run of an einsum, the least of several.
fn seconds(spec: &str, shapes: &[&[u64]]) -> Option<f64> {
    let inputs: Option<Vec<Tensor>> = shapes
        .iter()
        .enumerate()
        .map(|(k, shape)| pipeline::random(k as u64, "x", DType::F64, shape))
        .collect();
    let inputs = inputs?;
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let (program, _) = pipeline::einsum(spec, &inputs).ok()?;
    let executable = pipeline::compile(program, &Settings::default(), &mut |_, _| {}).ok()?;
    if executable.hindrance().is_some() {
        return None;
    }
    let mut results = executable.results()?;
    let mut best = f64::INFINITY;
    let start = Instant::now();
    let mut runs = 0;
    while runs < 3 || start.elapsed().as_secs_f64() < 0.05 {
        let before = Instant::now();
        executable.run(&inputs, &mut results).ok()?;
        best = best.min(before.elapsed().as_secs_f64());
        runs += 1;
    }
    Some(best)
}

/// The rates of this machine; none where programs are interpreted.
fn measure() -> Option<Rates> {
    let gemm = |m: u64, n: u64, k: u64| seconds("ij,jk->ik", &[&[m, k], &[k, n]]);
    // What is paid once for a call is in every measurement; steps cost less than a whole call.
    let call = seconds("i,i->i", &[&[8], &[8]])?;
    let macs = |m: u64, n: u64, k: u64| (m * n * k) as f64;
    let rate = macs(768, 768, 768) / (gemm(768, 768, 768)? - call);
    // One side is short: the time per multiply-add is (1 + half / short) of the full one.
    let half = |m: u64, n: u64, k: u64, short: u64| {
        let each = (gemm(m, n, k)? - call).max(1e-9) / macs(m, n, k);
        Some(((each * rate - 1.0) * short as f64).clamp(0.1, 200.0))
    };
    let halves = [half(4, 768, 768, 4)?, half(768, 4, 768, 4)?, half(768, 768, 4, 4)?];
    // Loops in the order of their operands, and loops whose operands have other orders: neither is the rule.
    let rate_of = |macs: u64, spec: &str, shapes: &[&[u64]]| {
        Some(macs as f64 / (seconds(spec, shapes)? - call).max(1e-9))
    };
    let straight = rate_of(64 * 64, "ij,j->i", &[&[64, 64], &[64]])?;
    let crossed = rate_of(4 * 4 * 4 * 256, "abc,cbd->bad", &[&[4, 256, 4], &[4, 256, 4]])?;
    let loops = (straight * crossed).sqrt();
    let maps = rate_of(16 * 16 * 16 * 32, "abc,dc->badc", &[&[16, 16, 32], &[16, 32]])?;
    let map =
        |elems: u64| Some((seconds("i,i->i", &[&[elems], &[elems]])? - call).max(1e-9) / (24 * elems) as f64);
    let cache = 1.0 / map(1 << 14)?;
    let memory = 1.0 / map(1 << 23)?;
    let shipped = Rates::SHIPPED;
    Some(Rates {
        step: call.min(1e-5),
        gemm: rate,
        half: halves,
        loops,
        map: maps,
        cache,
        memory: memory.min(cache),
        ..shipped
    })
}

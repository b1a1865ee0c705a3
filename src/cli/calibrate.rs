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

/// The geometric mean.
fn mean(rates: &[f64]) -> f64 {
    (rates.iter().map(|rate| rate.ln()).sum::<f64>() / rates.len() as f64).exp()
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
    // Loops that run straight through their operands, and loops over many short axes, as networks have them, in other orders
    // than those of the operands: neither is the rule.
    let rate_of = |work: u64, spec: &str, shapes: &[&[u64]]| {
        Some(work as f64 / (seconds(spec, shapes)? - call).max(1e-9))
    };
    let short = |axes: usize| vec![2u64; axes];
    let loops = mean(&[
        rate_of(1 << 12, "ij,j->i", &[&[64, 64], &[64]])?,
        rate_of(1 << 10, "abcdefghi,bdfj->acegjhi", &[&short(9), &short(4)])?,
        rate_of(1 << 16, "abcdefghijklmnop,bdf->acegijkmnophl", &[&short(16), &short(3)])?,
        rate_of(1 << 16, "abcdefghijklmnop,nop->acegijkmbdfhl", &[&short(16), &short(3)])?,
    ]);
    let maps = mean(&[
        rate_of(1 << 17, "abc,dc->badc", &[&[16, 16, 32], &[16, 32]])?,
        rate_of(1 << 14, "abcdefgh,ijklmn->aibjckdlmenfgh", &[&short(8), &short(6)])?,
        rate_of(1 << 14, "abcdefghijklmn,bdfhjl->nabcdefghijklm", &[&short(14), &short(6)])?,
    ]);
    // Bytes that are read and written in their order, and where an operand is turned.
    let bytes = |rows: u64, columns: u64| {
        let all = 24 * rows * columns;
        let straight = rate_of(all, "ij,ij->ij", &[&[rows, columns], &[rows, columns]])?;
        Some(mean(&[straight, rate_of(all, "ij,ji->ij", &[&[rows, columns], &[columns, rows]])?]))
    };
    let cache = bytes(128, 128)?;
    let memory = bytes(4096, 2048)?;
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

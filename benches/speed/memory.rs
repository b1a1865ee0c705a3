//! How much memory `einc run` takes, compared with what its plan needs: inputs, outputs, constants and the arena.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A run: its name, a program with an entry point `f`, and the value of its dim `N`.
pub const RUNS: [(&str, &str, u64); 4] = [
    (
        "peak matmul",
        "fn f(A: f32[N, N], B: f32[N, N]) -> (C: f32[N, N]) { C[i, k] = A[i, j] * B[j, k] }",
        4096,
    ),
    (
        "peak chain",
        "fn f(A: f64[N, N], B: f64[N, N], C: f64[N, N]) -> (D: f64[N, N]) {
            D[i, l] = tanh(sum[j, k](A[i, j] * B[j, k] * C[k, l]))
        }",
        2048,
    ),
    (
        "peak softmax",
        "fn f(A: f32[N, N]) -> (B: f32[N, N]) { B[i, j] = softmax[j](exp(A[i, j]) + A[j, i]) }",
        6144,
    ),
    ("peak permute", "fn f(A: f64[64, N, 64]) -> (B: f64[64, 64, N]) { B[k, i, j] = A[i, j, k] }", 8192),
];

/// Bytes at the peak of `einc run`, and what `einc plan` says is needed.
pub fn peak(program: &str, n: u64) -> (u64, u64) {
    let folder = std::env::temp_dir();
    let file = |extension| folder.join(format!("einc-speed-{}.{extension}", std::process::id()));
    let (path, output) = (file("ein"), file("npz"));
    std::fs::write(&path, program).expect("a folder for temporary files");
    let sizes = |command: &str| {
        let mut made = Command::new(env!("CARGO_BIN_EXE_einc"));
        made.arg(command).arg(entry(&path)).arg("--set").arg(format!("N={n}"));
        made
    };
    let plan = sizes("plan").args(["--format", "json"]).output().expect("the binary of this workspace");
    let plan: Value = serde_json::from_slice(&plan.stdout).expect("valid JSON");
    let needed = plan["memory_bytes"].as_f64().expect("a number") as u64;
    let mut run = sizes("run");
    run.args(["--random", "1", "-o"]).arg(&output).stdout(Stdio::null());
    let mut child = run.spawn().expect("the binary of this workspace");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The system keeps the peak while the process lives: what is missed is what grows right before its end.
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(1));
    }
    for path in [path, output] {
        std::fs::remove_file(path).ok();
    }
    (peak, needed)
}

fn entry(path: &Path) -> String {
    format!("{}::f", path.display())
}

//! Programs that run: every target computes what the interpreter computes.
//!
//! The programs are those of `run/` and of `examples/`; each says in comments how it is run, `# einc run FILE --set N=5`.

use crate::support::{difference, invocations, open, programs, run};
use einc::pipeline::Target;
use std::path::PathBuf;

/// Every target but the interpreter.
fn targets() -> Vec<Target> {
    Target::ALL.iter().copied().filter(|target| *target != Target::Interpret).collect()
}

fn agree(files: Vec<PathBuf>) {
    let mut faults = Vec::new();
    let mut runs = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a file that was just listed");
        let opened = open(&path.display().to_string(), Some(&path), &text);
        for invocation in invocations(&text) {
            let name = format!("{}::{}", path.display(), invocation.entry);
            let (program, _) = match opened.program(&invocation) {
                Ok(checked) => checked,
                Err(diagnostics) => {
                    faults.push(format!("{name}:\n{}", opened.text(&diagnostics)));
                    continue;
                }
            };
            let inputs = invocation.inputs(&program);
            let expected =
                run(&program, Target::Interpret, &inputs).expect("the interpreter runs everything");
            runs += 1;
            for target in targets() {
                let Some(results) = run(&program, target, &inputs) else { continue };
                for ((output, _), (result, expected)) in
                    program.outputs.iter().zip(results.iter().zip(&expected))
                {
                    if let Some(text) = difference(output, result, expected) {
                        faults.push(format!("{name} on {target:?}: {text}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(runs > 0, "no program was run");
}

#[test]
fn targets_agree_on_the_test_programs() {
    agree(programs("tests/run"));
}

#[test]
fn targets_agree_on_the_examples() {
    agree(programs("examples"));
}

#[test]
fn the_example_in_rust_runs() {
    crate::jit::main().expect("an example without errors");
}

#[cfg(feature = "cranelift")]
mod threads {
    use crate::support::{invocations, open, run_with};
    use einc::pipeline::{Settings, Target};

    /// Programs of sizes at which threads share the work, in sums of every kind.
    const SHARED: &str = "\
type F in f32, f64
fn square(A: F[N, N], B: F[N, N]) -> (C: F[N, N]) { C[i, k] = A[i, j] * B[j, k] }
fn long(A: F[M, L], B: F[L, M]) -> (C: F[M, M]) { C[i, k] = A[i, j] * B[j, k] }
fn batched(A: F[P, S, Q], B: F[R, Q, S, T]) -> (C: F[T, P, R]) { C[e, a, c] = A[a, d, b] * B[c, b, d, e] }
fn vector(A: F[N, L], x: F[L]) -> (y: F[N]) { y[i] = A[i, j] * x[j] }
fn total(A: F[N, L]) -> (s: F, m: F[L]) { s = sum[i, j](A[i, j] * A[i, j]); m[j] = sum[i](exp(A[i, j])) }
fn soft(A: F[N, L]) -> (p: F[N, L], q: F[N, L]) { p[i, j] = softmax[j](A[i, j]); q[i, j] = softmax[i](A[i, j]) }
fn running(A: F[N, L]) -> (p: F[N, L], q: F[N, L]) { p[i, j] = cumsum[j](A[i, j]); q[i, j] = cumsum[i](A[i, j]) }
fn scatter(A: F[N, L], t: i64[N]) -> (s: F[4, L]) { s[t[i], j] += A[i, j] }
fn recurrence(A: F[N, L], u: F[L]) -> (h: F[N, L]) { scan[t] h[t, j] = 0.5 * h[t - 1, j] + A[t, j] from u[j] }
";

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let opened = open("shared.ein", None, SHARED);
        let set = [("N", 300), ("L", 2000), ("M", 40), ("P", 50), ("Q", 30), ("R", 45), ("S", 40), ("T", 35)];
        let mut faults = Vec::new();
        let mut runs = 0;
        for dtype in ["f32", "f64"] {
            for entry in einc::program::entries(&opened.module, &opened.sources) {
                let shape = |name: &str| {
                    let has = |ty: &str| ty.split(['[', ',', ' ', ']']).any(|word| word == name);
                    entry.inputs.iter().any(|input| has(&input.ty))
                };
                let set = set.iter().filter(|(name, _)| shape(name));
                let words: String = set.map(|(name, value)| format!(" --set {name}={value}")).collect();
                let line = format!("# einc run shared.ein::{} --set F={dtype}{words}", entry.name);
                let [invocation] = &invocations(&line)[..] else { panic!("{line}") };
                let (program, _) = opened.program(invocation).expect("a right program");
                let inputs = invocation.inputs(&program);
                let run = |threads| {
                    let threads = Some(threads);
                    let target = Some(Target::Cranelift);
                    let settings = Settings { target, threads, deterministic: true, ..Settings::default() };
                    run_with(&program, &settings, &inputs).expect("native code for all of them")
                };
                let alone = run(1);
                for threads in [2, 3, 7] {
                    runs += 1;
                    for (one, many) in alone.iter().zip(&run(threads)) {
                        if one.bytes() != many.bytes() {
                            faults.push(format!("{} of {dtype} on {threads} threads", entry.name));
                        }
                    }
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert!(runs >= 50, "{runs}");
    }
}

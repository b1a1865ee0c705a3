//! Programs that run: every target computes what the interpreter computes.
//!
//! The programs are those of `run/` and of `examples/`; each says in comments how it is run, `# einc run FILE --set N=5`.

use crate::support::{difference, invocations, open, programs, run};
use einc::fault::{Checked, Stopped};
use einc::pipeline::{self, Settings, Target};
use einc_runtime::Tensor;
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

/// Ends of ranges that are read from tensors: every target stops at the same one.
#[test]
fn ends_of_ranges_are_checked() {
    let text = "fn rows(p: i64[I + 1], x: f64[Z, N]) -> (y: f64[I, N]) {
    y[i, n] = sum[e where e in p[i]..p[i + 1]](x[e, n]) where i in 0..I
}
fn heads(p: i64[I], x: f64[Z]) -> (y: f64[I]) { y[i] = sum[e where e in 0..=p[i]](x[e]) }
fn place(p: i64[I], x: f64[Z]) -> (y: f64[I]) { y[i] += x[e] where e in p[i]..Z }
";
    let opened = open("ends.ein", None, text);
    let cases: [(&str, &[i64], Option<(Checked, i64)>); 9] = [
        ("rows --set I=3", &[0, 2, 2, 4], None),
        ("rows --set I=3", &[0, 2, 2, 5], Some((Checked::End, 5))),
        ("rows --set I=3", &[0, 2, -7, 4], Some((Checked::End, -7))),
        ("rows --set I=3", &[0, 4, 1, 4], Some((Checked::Length, -3))),
        ("heads --set I=2", &[3, -1], None),
        ("heads --set I=2", &[3, 4], Some((Checked::End, 5))),
        ("heads --set I=2", &[-2, 3], Some((Checked::End, -1))),
        ("place --set I=2", &[0, 4], None),
        ("place --set I=2", &[0, i64::MIN], Some((Checked::End, i64::MIN))),
    ];
    for (entry, ends, expected) in cases {
        for n in [1, 9] {
            let more = if entry.starts_with("rows") { format!(" --set N={n}") } else { String::new() };
            let line = format!("# einc run ends.ein::{entry} --set Z=4{more}");
            let (program, _) = opened.program(&invocations(&line)[0]).expect("a right program");
            let mut inputs = invocations(&line)[0].inputs(&program);
            inputs[0] = Tensor::from_slice(&[ends.len() as u64], ends).expect("memory");
            for target in targets().into_iter().chain([Target::Interpret]) {
                let settings = Settings { target: Some(target), ..Settings::default() };
                let Ok(executable) = pipeline::compile(program.clone(), &settings, &mut |_, _| ()) else {
                    continue;
                };
                let mut results = executable.results().expect("memory");
                let found = match executable.run(&inputs.iter().collect::<Vec<_>>(), &mut results) {
                    Ok(()) => None,
                    Err(Stopped::Index(fault, _)) => Some((fault.tensor, fault.checked, fault.value)),
                    Err(other) => panic!("{other:?}"),
                };
                let expected = expected.map(|(checked, value)| ("p".to_string(), checked, value));
                assert_eq!(found, expected, "{line} with {ends:?} on {target:?}");
            }
        }
    }
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

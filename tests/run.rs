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

//! The programs of the papers against references in NumPy: `papers/run.py` has them.

use std::process::Command;

/// The papers all of whose programs run today; the others wait for gradients, decompositions and solves.
const PAPERS: [&str; 4] = ["01", "13", "19", "28"];

#[test]
fn programs_of_papers_give_the_numbers_of_their_references() {
    let Some(python) = crate::support::python() else { return };
    let mut command = Command::new(python);
    command.args(["tests/papers/run.py", "--quiet", "--einc", env!("CARGO_BIN_EXE_einc")]);
    for paper in PAPERS {
        command.args(["--paper", paper]);
    }
    let output = command.output().expect("python");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

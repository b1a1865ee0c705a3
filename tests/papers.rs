//! The programs of the papers against references in NumPy: `papers/run.py` has them.

use std::process::Command;

#[test]
fn programs_of_papers_give_the_numbers_of_their_references() {
    let Some(python) = crate::support::python() else { return };
    let output = Command::new(python)
        .args(["tests/papers/run.py", "--quiet", "-j", "2", "--einc", env!("CARGO_BIN_EXE_einc")])
        .output()
        .expect("python");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

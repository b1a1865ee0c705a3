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

/// The texts between backticks of a piece of Markdown.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// One row for each of the 34 papers, and a second one for the gated convolution.
#[test]
fn the_table_of_papers_says_what_its_commands_print() {
    let folder = std::path::Path::new("examples/papers");
    let text = std::fs::read_to_string(folder.join("README.md")).expect("the table");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[0].starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let [paper, _, headline, figure, command] = row[..] else { panic!("{row:?} has not five cells") };
        let [command] = code(command)[..] else { panic!("{paper} has no command") };
        let arguments = command.strip_prefix("einc ").expect("a command of einc");
        let output = Command::new(env!("CARGO_BIN_EXE_einc"))
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("the einc command");
        let printed = String::from_utf8_lossy(&output.stdout);
        if headline.is_empty() || code(figure).is_empty() || !output.status.success() {
            wrong.push(format!("{paper}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let missing = code(figure).into_iter().filter(|figure| !printed.contains(figure));
        wrong.extend(missing.map(|figure| format!("{paper}: `{figure}` is not in\n{printed}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows.len(), 35);
}

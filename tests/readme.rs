//! The README promises only what holds: its commands exist, and it has two of them.

use std::fs;

/// The commands of the README's `sh` blocks, one a line, without comments.
fn commands() -> Vec<String> {
    let text = fs::read_to_string("README.md").expect("the README");
    let mut commands = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            commands.push(line.to_string());
        }
    }
    commands
}

#[test]
fn two_commands_do_all_set_up() {
    let commands = commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(commands[1], "bash tests/all");
    let script = fs::read_to_string(".ci/run").expect("the CI script");
    assert!(script.contains(&commands[1]), "CI runs the README's second command");
}

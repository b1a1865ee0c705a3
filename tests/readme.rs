//! The README promises only what holds: its two commands do all set-up, its programs check, its files exist.

use crate::support::{has_errors, open};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The blocks of the README of one kind.
fn blocks(kind: &str) -> Vec<String> {
    let text = fs::read_to_string("README.md").expect("the README");
    let mut blocks = Vec::new();
    let mut inside = None;
    for line in text.lines() {
        match (&mut inside, line.strip_prefix("```")) {
            (None, Some(info)) => inside = Some((info == kind, String::new())),
            (Some((wanted, block)), Some(_)) => {
                if *wanted {
                    blocks.push(std::mem::take(block));
                }
                inside = None;
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The commands of its `sh` blocks.
fn commands() -> Vec<String> {
    blocks("sh").iter().flat_map(|block| block.lines().map(str::to_string).collect::<Vec<_>>()).collect()
}

#[test]
fn two_commands_do_all_set_up() {
    let commands = commands();
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(commands[1], "bash tests/all");
    let script = fs::read_to_string(".ci/run").expect("the CI script");
    assert!(script.contains(&commands[1]), "CI runs the README's second command");
}

#[test]
fn the_first_command_prints_something_worth_seeing() {
    let commands = commands();
    let arguments = commands[0].strip_prefix("cargo run --release -- ").expect("the first command runs einc");
    let output = Command::new(env!("CARGO_BIN_EXE_einc"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .expect("the einc command");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // As NumPy computes it: 528 of 599 by the nearest mean, 578 of 599 by the nearest image.
    assert!(text.contains("by_mean: f32 = 0.881469"), "{text}");
    assert!(text.contains("by_neighbour: f32 = 0.964942"), "{text}");
    assert!(text.contains("confusion: i32[10, 10]\n[[58  0  0  0  1"), "{text}");
}

#[test]
fn its_programs_check_and_its_links_lead_somewhere() {
    for block in blocks("ein") {
        let opened = open("README.md", None, &block);
        let diagnostics = opened.all_diagnostics(&[]);
        assert!(!has_errors(&diagnostics), "{}", opened.text(&diagnostics));
    }
    let text = fs::read_to_string("README.md").expect("the README");
    let prose: String = text.split("```").step_by(2).collect();
    for link in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(link.starts_with("http") || Path::new(link).exists(), "{link} does not exist");
    }
}

//! The blocks of `docs/language.md` are true: ` ```ein ` checks, ` ```ein run N=3 ` runs on every target,
//! ` ```ein error=EIN0301 ` is refused with that code.

use crate::support::{Invocation, difference, has_errors, open, run};
use einc::diagnostic::{Code, Severity};
use einc::pipeline::Target;

/// A block of a page: what stands behind its fence, its first line, its text.
struct Block {
    info: String,
    line: usize,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { info: info.trim().to_string(), line: number + 2, text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn blocks_are_found() {
    let found = blocks("a\n```ein run N=3\nx = 1\n```\n```text\ny\n```\n");
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].info.as_str(), found[0].line, found[0].text.as_str()),
        ("ein run N=3", 3, "x = 1\n")
    );
}

#[test]
fn the_language_page_is_true() {
    let page = std::fs::read_to_string("docs/language.md").expect("the language reference");
    let mut faults = Vec::new();
    let mut count = 0;
    for block in blocks(&page) {
        let mut words = block.info.split_whitespace();
        if words.next() != Some("ein") {
            continue;
        }
        count += 1;
        if let Err(text) = check(&block, words) {
            faults.push(format!("docs/language.md:{}: {text}", block.line));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 0, "the page has no examples");
}

fn check<'a>(block: &Block, words: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut invocation = Invocation { entry: "main".to_string(), ..Invocation::default() };
    let (mut runs, mut wanted, mut sized) = (false, None, false);
    for word in words {
        if word == "run" {
            runs = true;
        } else if let Some(code) = word.strip_prefix("error=") {
            wanted = Some(Code::parse(code).ok_or_else(|| format!("no code `{code}`"))?);
        } else if let Some(entry) = word.strip_prefix("entry=") {
            invocation.entry = entry.to_string();
        } else {
            invocation.set(word);
            sized = true;
        }
    }
    let opened = open("language.md", None, &block.text);
    let invocations = if runs || sized { vec![invocation.clone()] } else { Vec::new() };
    let diagnostics = opened.all_diagnostics(&invocations);
    match wanted {
        Some(code) => {
            let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
            let codes: Vec<Code> = errors.map(|diagnostic| diagnostic.code).collect();
            if codes.contains(&code) { Ok(()) } else { Err(format!("expected {code}, found {codes:?}")) }
        }
        None if has_errors(&diagnostics) => Err(opened.text(&diagnostics)),
        None if !runs => Ok(()),
        None => {
            let (program, _) =
                opened.program(&invocation).map_err(|diagnostics| opened.text(&diagnostics))?;
            let inputs = invocation.inputs(&program);
            let expected =
                run(&program, Target::Interpret, &inputs).expect("the interpreter runs everything");
            for &target in Target::ALL {
                let Some(results) = run(&program, target, &inputs) else { continue };
                for ((name, _), (result, expected)) in
                    program.outputs.iter().zip(results.iter().zip(&expected))
                {
                    if let Some(text) = difference(name, result, expected) {
                        return Err(format!("{target:?}: {text}"));
                    }
                }
            }
            Ok(())
        }
    }
}

#[test]
fn every_option_and_command_of_the_map_exists() {
    let text = std::fs::read_to_string("docs/command-line.md").expect("the map of the command line");
    let einc = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_einc")).args(arguments).output();
        String::from_utf8(output.expect("the einc command").stdout).expect("text")
    };
    let mut help = einc(&["--help"]);
    for command in ["check", "run", "plan", "graph", "fmt", "targets", "explain", "completions", "man"] {
        help += &einc(&[command, "--help"]);
    }
    let mut options = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        for word in quoted.split([' ', ',']).filter(|word| word.starts_with('-')) {
            options += 1;
            assert!(help.contains(word), "`{word}` is no option");
        }
    }
    assert!(options > 20, "{options}");
    for line in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let command = line.split([' ', '`']).next().unwrap_or_default();
        assert!(help.contains(&format!("\n  {command} ")), "`{command}` is no command");
    }
}

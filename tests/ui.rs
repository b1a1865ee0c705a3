//! Wrong programs and what we say: `ui/name.ein` and `ui/name.snap`.
//!
//! A file that is wrong only for certain sizes says them: `# einc run FILE --set N=3`.

use crate::assert_snapshot_in;
use crate::support::{Opened, invocations, open, programs, stem};
use einc::diagnostic::{Code, Diagnostic};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

/// A wrong program and what is said of it.
struct Case {
    path: PathBuf,
    text: String,
    opened: Opened,
    diagnostics: Vec<Diagnostic>,
}

/// Every program of the folder, read once.
fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| programs("tests/ui").into_iter().map(read).collect())
}

fn read(path: PathBuf) -> Case {
    let text = std::fs::read_to_string(&path).expect("a file that was just listed");
    let name = path.file_name().expect("a file with a name").to_string_lossy().into_owned();
    let opened = open(&name, Some(&path), &text);
    let diagnostics = opened.all_diagnostics(&invocations(&text));
    Case { path, text, opened, diagnostics }
}

#[test]
fn wrong_programs_are_told_what_is_wrong() {
    let fine = cases().iter().filter(|case| case.diagnostics.is_empty());
    let fine: Vec<String> = fine.map(|case| case.path.display().to_string()).collect();
    assert!(fine.is_empty(), "nothing is wrong with\n{}", fine.join("\n"));
    for case in cases() {
        assert_snapshot_in!("ui", stem(&case.path), case.opened.text(&case.diagnostics));
    }
}

/// A fix, applied, does away with what it is for.
#[test]
fn fixes_fix() {
    for Case { path, text, diagnostics, .. } in cases() {
        for diagnostic in diagnostics {
            let Some((span, replacement)) = &diagnostic.fix else { continue };
            assert_eq!(span.file, 0, "{}: a fix in another file", path.display());
            let mut fixed = text.clone();
            fixed.replace_range(span.start as usize..span.end as usize, replacement);
            let reopened = open("fixed.ein", Some(path), &fixed);
            let left = reopened.all_diagnostics(&invocations(&fixed));
            let count =
                |list: &[Diagnostic]| list.iter().filter(|other| other.code == diagnostic.code).count();
            assert!(
                count(&left) < count(diagnostics),
                "{}: the fix of {} leaves it:\n{}",
                path.display(),
                diagnostic.code,
                reopened.text(&left)
            );
        }
    }
}

/// Codes that no text of a reasonable length brings about: their tests are elsewhere.
fn not_from_text() -> Vec<Code> {
    let long = [Code::syntax(124), Code::syntax(125)];
    NOT_FROM_TEXT.iter().copied().chain(long).collect()
}

const NOT_FROM_TEXT: &[Code] = &[
    Code::MemoryLimit,
    Code::OutOfMemory,
    Code::MissingInput,
    Code::ExtraInput,
    Code::InputRank,
    Code::InputExtent,
    Code::InputType,
    Code::File,
    Code::IndexFault,
    Code::Unsupported,
    Code::Comparison,
    Code::Encryption,
    Code::ApproximationRange,
    Code::Internal,
];

#[test]
fn every_code_has_two_programs() {
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    for case in cases() {
        let mut codes: Vec<Code> = case.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        codes.sort();
        codes.dedup();
        for code in codes {
            *counts.entry(code).or_default() += 1;
        }
    }
    let few: Vec<String> = Code::all()
        .filter(|code| !not_from_text().contains(code) && counts.get(code).copied().unwrap_or(0) < 2)
        .map(|code| format!("{code} {}: {}", code.slug(), counts.get(&code).copied().unwrap_or(0)))
        .collect();
    assert!(few.is_empty(), "codes with fewer than two programs in tests/ui:\n{}", few.join("\n"));
}

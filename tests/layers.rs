//! Modules use what is above them in the table, never what is below.

use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the compiler may use, besides itself.
const TABLE: &[(&str, &[&str])] = &[
    ("id", &[]),
    ("source", &[]),
    ("machine", &[]),
    ("fault", &["source"]),
    ("expr", &["id", "source"]),
    ("pass", &["id"]),
    ("diagnostic", &["source"]),
    ("program", &["id", "source", "diagnostic", "expr"]),
    ("graph", &["id", "source", "pass", "expr", "program"]),
    ("plan", &["id", "source", "diagnostic", "pass", "machine", "expr", "program", "graph"]),
    ("loops", &["id", "source", "fault", "pass", "machine", "expr", "plan"]),
    ("slots", &["id", "source", "diagnostic", "pass", "machine", "expr", "program", "graph", "plan"]),
    ("backend", &["id", "source", "machine", "fault", "expr", "plan", "loops", "slots"]),
    ("interpret", &["id", "source", "fault", "expr", "program", "graph", "plan", "loops", "slots"]),
    ("pipeline", ALL_ABOVE),
    ("api", &["source", "diagnostic", "fault", "expr", "program", "plan", "machine", "backend", "pipeline"]),
    ("cli", ALL_ABOVE),
];

/// Imports that point down with good reason: file, module.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Constants are folded by the judge itself, so that they have the very values it would give.
    ("src/graph/fold_constants.rs", "interpret"),
];

/// Stands for every module above in the table.
const ALL_ABOVE: &[&str] = &["all above"];

/// Libraries that one place alone may name.
const LIBRARIES: &[(&str, &str)] = &[
    ("ariadne", "src/diagnostic/render.rs"),
    ("petgraph", "src/graph"),
    ("cranelift_codegen", "src/backend/cranelift"),
    ("cranelift_frontend", "src/backend/cranelift"),
    ("cranelift_jit", "src/backend/cranelift"),
    ("cranelift_module", "src/backend/cranelift"),
    ("cranelift_native", "src/backend/cranelift"),
    ("clap", "src/cli"),
    ("clap_complete", "src/cli"),
    ("clap_mangen", "src/cli"),
    ("indicatif", "src/cli"),
    ("ctrlc", "src/cli"),
    ("ndarray", "src/api"),
    ("mpi", "src/cli/processes.rs"),
    ("logos", "grammar/src"),
    ("lalrpop_util", "grammar/src"),
];

#[test]
fn imports_point_up() {
    let mut faults = Vec::new();
    for file in rust_files("src") {
        let text = fs::read_to_string(&file).expect("a source file that was just listed");
        faults.extend(downward_imports(&file, &text));
    }
    assert!(faults.is_empty(), "imports that point down:\n{}", faults.join("\n"));
}

#[test]
fn heavy_libraries_stay_in_one_place() {
    let mut faults = Vec::new();
    for file in ["src", "grammar/src", "runtime/src"].iter().flat_map(|folder| rust_files(folder)) {
        let text = fs::read_to_string(&file).expect("a source file that was just listed");
        for (number, line) in code_lines(&text) {
            for (library, place) in LIBRARIES {
                let home = file == Path::new(place)
                    || file.starts_with(place)
                    || file == Path::new(&format!("{place}.rs"));
                if names_crate(line, library) && !home {
                    faults.push(format!("{}:{number}: only {place} may name {library}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_downward_import_is_found() {
    let text =
        "use crate::{id::Id, plan::{Plan, Step}};\n// use crate::cli;\nfn f() -> crate::backend::X {}\n";
    let faults = downward_imports(Path::new("src/program/check.rs"), text);
    assert_eq!(
        faults,
        [
            "src/program/check.rs:1: `program` may not use `plan`",
            "src/program/check.rs:3: `program` may not use `backend`"
        ]
    );
    assert!(
        downward_imports(Path::new("src/plan/mod.rs"), "use crate::id_type;\nuse crate::graph::Graph;")
            .is_empty()
    );
}

/// The imports of a file that the table forbids.
fn downward_imports(file: &Path, text: &str) -> Vec<String> {
    let inside = file.strip_prefix("src").expect("a file of src/");
    let module = match inside.components().next() {
        Some(first) => first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string(),
        None => return Vec::new(),
    };
    if module == "lib" || module == "main" {
        return Vec::new();
    }
    let Some(row) = TABLE.iter().position(|(name, _)| *name == module) else {
        return vec![format!("{}:1: `{module}` has no row in the table of tests/layers.rs", file.display())];
    };
    if is_test(file) {
        return Vec::new();
    }
    let above: Vec<&str> = TABLE[..row].iter().map(|(name, _)| *name).collect();
    let allowed = if TABLE[row].1 == ALL_ABOVE { &above } else { TABLE[row].1 };
    // Tests may use the judge, wherever they stand.
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut faults = Vec::new();
    for (number, used) in crate_paths(code) {
        let used = if used == "id_type" { "id" } else { &used };
        let excepted = EXCEPTIONS.iter().any(|(path, module)| file == Path::new(path) && *module == used);
        if used != module && !allowed.contains(&used) && !excepted {
            faults.push(format!("{}:{number}: `{module}` may not use `{used}`", file.display()));
        }
    }
    faults
}

/// `tests.rs`, or a file in a folder `tests`.
fn is_test(file: &Path) -> bool {
    file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

/// The first segment after every `crate::` of a file, with its line; groups in braces are opened.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let code: String =
        text.lines().map(|line| if is_comment(line) { "" } else { line }).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let line = code[..at].matches('\n').count() + 1;
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => paths.push((line, leading_name(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (offset, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && (c.is_alphabetic() || c == '_') => {
                            let line = line + group[..offset].matches('\n').count();
                            paths.push((line, leading_name(&group[offset..])));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    paths
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(k, line)| (k + 1, line)).filter(|(_, line)| !is_comment(line))
}

/// Whether a line uses the crate of that name: `name::` with nothing but a border before it.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// Every Rust file under a folder of the repository, relative to its root.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

//! `einc check`.

use super::Told;
use super::args::CheckArgs;
use super::failure::Failure;
use super::open;
use crate::pipeline::{self, Phase};
use crate::program;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Checks programs and lists what they take and give.
pub fn check(args: &CheckArgs, told: &Told) -> Result<(i32, String), Failure> {
    let (dims, dtypes) = open::sizes(&args.sizes)?;
    let phases = open::phases(args.dump.as_slice())?;
    let mut out = String::new();
    for word in &args.programs {
        let opened = open::file(word)?;
        let fail = |diagnostics| Failure::Diagnostics(diagnostics, opened.sources.clone());
        let diagnostics = pipeline::check_all(&opened.module, &opened.sources);
        let (errors, warnings) = open::divided(diagnostics);
        if !errors.is_empty() {
            return Err(fail(errors.into_iter().chain(warnings).collect()));
        }
        told.warn(warnings, &opened.sources)?;
        if phases.contains(&Phase::Tree) {
            out.push_str(&open::dumped(Phase::Tree, &open::tree(&opened)));
        }
        let sized = !dims.is_empty() || !dtypes.is_empty();
        if sized || phases.contains(&Phase::Program) {
            let bindings = pipeline::bindings(dims.clone(), dtypes.clone(), BTreeMap::new());
            let (program, _) = pipeline::check(&opened.module, &opened.entry, &bindings).map_err(fail)?;
            if phases.contains(&Phase::Program) {
                out.push_str(&open::dumped(Phase::Program, &program.to_string()));
            }
        }
        if !told.quiet {
            let only = word.contains("::").then_some(opened.entry.as_str());
            signatures(&mut out, &program::entries(&opened.module, &opened.sources), only);
        }
    }
    Ok((0, out))
}

/// `A: f32[M, K]`, or as much of it as was written.
fn written(param: &program::Param) -> String {
    match (param.name.as_str(), param.ty.as_str()) {
        (name, "") => name.to_string(),
        ("", ty) => ty.to_string(),
        (name, ty) => format!("{name}: {ty}"),
    }
}

/// `fn name(A: f32[M, K]) -> (C: f32[M, N])` for each entry point, under its documentation.
fn signatures(out: &mut String, entries: &[program::Entry], only: Option<&str>) {
    for entry in entries.iter().filter(|entry| only.is_none_or(|name| name == entry.name)) {
        for line in entry.doc.iter().flat_map(|doc| doc.lines()) {
            let _ = writeln!(out, "## {}", line.trim());
        }
        let list = |params: &[program::Param]| {
            let texts: Vec<String> = params.iter().map(written).collect();
            texts.join(", ")
        };
        let outputs = list(&entry.outputs);
        let _ = writeln!(out, "{}({}) -> ({outputs})", entry.name, list(&entry.inputs));
    }
}

//! Finds the program that a command line names, and the sizes it gives.

use super::args::Sizes;
use super::arrays::Arrays;
use super::failure::Failure;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::pipeline::{self, Phase};
use crate::program::{self, Module};
use crate::source::Sources;
use einc_grammar::tree::{ItemKind, is_given};
use einc_runtime::DType;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A parsed program and which of its entry points is meant.
#[derive(Debug)]
pub struct Opened {
    pub sources: Sources,
    pub module: Arc<Module>,
    pub entry: String,
}

impl Opened {
    /// Whether a name stands anywhere in the program.
    pub fn mentions(&self, name: &str) -> bool {
        self.sources.files().iter().any(|file| has_word(&file.text, name))
    }
}

/// Whether a name stands in a text.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'').any(|word| word == name)
}

/// The longest text that is read at all; the grammar's limit is below it.
const LONGEST: u64 = 64 << 20;

/// Opens `FILE`, `FILE::FN` or `-`.
pub fn file(word: &str) -> Result<Opened, Failure> {
    let (path, entry) = match word.rsplit_once("::") {
        Some((path, entry)) if !path.is_empty() && !entry.contains(['/', '.']) => (path, entry),
        _ => (word, "main"),
    };
    let mut sources = Sources::default();
    let number = if path == "-" {
        sources.add("<stdin>", None, read_text(&mut std::io::stdin().lock(), "standard input")?)
    } else {
        let place = Path::new(path);
        sources.add(path, Some(place.to_path_buf()), read_file(place)?)
    };
    parsed(sources, number, entry)
}

/// Opens a text from the command line. Arrays that it reads without declaring them become inputs of their type and
/// shape.
pub fn text(name: &str, text: &str, arrays: &Arrays) -> Result<Opened, Failure> {
    let (tree, _) = einc_grammar::parse(text, 0);
    let mut declared = Vec::new();
    for item in &tree.items {
        if let ItemKind::Declare { names, qualifiers, .. } = &item.kind
            && is_given(qualifiers)
        {
            declared.extend(names.iter().map(|name| name.text.clone()));
        }
    }
    // Behind the text, so that places in it stay what they are.
    let mut full = text.trim_end().to_string() + "\n";
    for (name, tensor) in &arrays.tensors {
        if declared.contains(name) || !has_word(text, name) {
            continue;
        }
        let shape: Vec<String> = tensor.shape().iter().map(u64::to_string).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        full.push_str(&format!("input {name}: {}{shape}\n", tensor.dtype()));
    }
    let mut sources = Sources::default();
    let number = sources.add(name, None, full);
    parsed(sources, number, "main")
}

fn parsed(mut sources: Sources, number: u32, entry: &str) -> Result<Opened, Failure> {
    pipeline::enter("parse");
    let (module, diagnostics) = program::load(&mut sources, number);
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(Failure::Diagnostics(diagnostics, sources));
    }
    Ok(Opened { sources, module: Arc::new(module), entry: entry.to_string() })
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or folder".to_string(),
        _ => error.to_string(),
    }
}

/// Reads a regular file; a folder or a pipe could block or never end.
pub fn read_file(path: &Path) -> Result<String, Failure> {
    let failure = |message: String| {
        Failure::of(Diagnostic::error(Code::File, format!("cannot read `{}`: {message}", path.display())))
    };
    let meta = std::fs::metadata(path).map_err(|error| failure(plain(&error)))?;
    if !meta.is_file() {
        return Err(failure("not a regular file".to_string()));
    }
    let mut file = std::fs::File::open(path).map_err(|error| failure(plain(&error)))?;
    read_text(&mut file, &path.display().to_string())
}

/// Reads text that may come from anywhere: bounded, and refused if it is no UTF-8.
pub fn read_text(reader: &mut dyn Read, name: &str) -> Result<String, Failure> {
    let failure = |message: String| {
        Failure::of(Diagnostic::error(Code::File, format!("cannot read `{name}`: {message}")))
    };
    let mut bytes = Vec::new();
    reader.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| failure(plain(&error)))?;
    if bytes.len() as u64 > LONGEST {
        return Err(failure("it is longer than 64 MiB".to_string()));
    }
    String::from_utf8(bytes)
        .map_err(|error| failure(format!("it is no UTF-8 text (byte {})", error.utf8_error().valid_up_to())))
}

/// Dims and dtype variables from `--set` words.
pub fn sizes(sizes: &Sizes) -> Result<(BTreeMap<String, i64>, BTreeMap<String, DType>), Failure> {
    let (mut dims, mut dtypes) = (BTreeMap::new(), BTreeMap::new());
    for word in &sizes.set {
        let usage = || Failure::Usage(format!("expected --set NAME=NUMBER or NAME=DTYPE, found `{word}`"));
        let (name, value) = word.split_once('=').ok_or_else(usage)?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return Err(usage());
        }
        let twice = match value.replace('_', "").parse::<i64>() {
            Ok(number) => dims.insert(name.to_string(), number).is_some(),
            Err(_) => {
                let dtype = DType::from_name(value).ok_or_else(usage)?;
                dtypes.insert(name.to_string(), dtype).is_some()
            }
        };
        if twice {
            return Err(Failure::Usage(format!("`{name}` is set twice")));
        }
    }
    Ok((dims, dtypes))
}

/// Errors and warnings apart.
pub fn divided(diagnostics: Vec<Diagnostic>) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The stages that `--dump` words name.
pub fn phases(words: &[String]) -> Result<Vec<Phase>, Failure> {
    let mut phases = Vec::new();
    for word in words {
        if word == "all" {
            return Ok(Phase::ALL.to_vec());
        }
        let phase = Phase::ALL.into_iter().find(|phase| phase.name() == word).ok_or_else(|| {
            let names: Vec<&str> = Phase::ALL.iter().map(|phase| phase.name()).collect();
            Failure::Usage(format!("there is no phase `{word}`: expected {}, or all", names.join(", ")))
        })?;
        phases.push(phase);
    }
    Ok(phases)
}

/// The syntax tree of the program's file.
pub fn tree(opened: &Opened) -> String {
    let (tree, _) = einc_grammar::parse(&opened.sources.file(0).text, 0);
    format!("{tree:#?}")
}

/// The text of a stage under its name.
pub fn dumped(phase: Phase, text: &str) -> String {
    format!("== {phase}\n{}\n\n", text.trim_end())
}

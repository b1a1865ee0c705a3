//! The files of a program: the first one and all that it imports.

use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Sources, Span};
use einc_grammar::SyntaxError;
use einc_grammar::tree::{self, ExprKind, Function, Item, ItemKind, Name};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A parsed file with everything it imports.
#[derive(Clone, Debug)]
pub struct Module {
    /// The files, the first one in front.
    pub(super) units: Vec<Unit>,
}

/// One file of a module.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// What it is named in [`Sources`].
    file: u32,
    /// Its items.
    pub tree: tree::File,
    /// Which item defines the function of a name; the first of several.
    functions: HashMap<String, usize>,
    /// Further functions of such a name.
    doubled: Vec<usize>,
    /// The items that are no functions.
    others: Vec<usize>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// The texts of the plans that it names: path and text.
    pub plans: Vec<(String, Arc<str>)>,
}

/// `import "path" as alias` or `import "path" (names)`.
#[derive(Clone, Debug)]
pub(super) struct Import {
    /// The file.
    pub unit: usize,
    /// The name the file gets.
    pub alias: Option<String>,
    /// The functions taken from it.
    pub names: Vec<Name>,
}

/// Modules that come with the compiler.
const STANDARD: &[(&str, &str)] = &[("std/norm.ein", include_str!("std/norm.ein"))];

/// Largest file that is read, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

/// Most files of one program.
const FILES_LIMIT: usize = 1000;

impl Unit {
    /// The items that are no functions: what has to be looked at for every function of a file of many.
    pub fn declarations(&self) -> impl Iterator<Item = &Item> {
        self.others.iter().map(|&number| &self.tree.items[number])
    }

    /// The functions whose name another one has taken before.
    pub fn doubled(&self) -> impl Iterator<Item = &Function> {
        self.doubled.iter().filter_map(|&number| match &self.tree.items[number].kind {
            ItemKind::Function(function) => Some(function),
            _ => None,
        })
    }
}

impl Module {
    /// The function of that name in a file.
    pub(super) fn function(&self, unit: usize, name: &str) -> Option<&Function> {
        let unit = &self.units[unit];
        match &unit.tree.items[*unit.functions.get(name)?].kind {
            ItemKind::Function(function) => Some(function),
            _ => None,
        }
    }

    /// The function that a bare name means in a file: its own, or an imported one.
    pub(super) fn visible_function(&self, unit: usize, name: &str) -> Option<(usize, &Function)> {
        if let Some(function) = self.function(unit, name) {
            return Some((unit, function));
        }
        let import = self.units[unit].imports.iter().find(|i| i.names.iter().any(|n| n.text == name))?;
        Some((import.unit, self.function(import.unit, name)?))
    }

    /// The text of a plan that a file names.
    pub(super) fn plan(&self, unit: usize, path: &str) -> Option<Arc<str>> {
        let plans = &self.units[unit].plans;
        plans.iter().find(|(known, _)| known == path).map(|(_, text)| text.clone())
    }

    /// The file that an alias means.
    pub(super) fn alias(&self, unit: usize, alias: &str) -> Option<usize> {
        let import = self.units[unit].imports.iter().find(|import| import.alias.as_deref() == Some(alias))?;
        Some(import.unit)
    }
}

/// Parses a file of `sources` and everything it imports.
///
/// Whatever could be parsed is in the module; the diagnostics say what could not.
pub fn load(sources: &mut Sources, file: u32) -> (Module, Vec<Diagnostic>) {
    let root = sources.file(file).path.as_deref().map(folder);
    let mut loader = Loader {
        sources,
        root,
        module: Module { units: Vec::new() },
        diagnostics: Vec::new(),
        chain: Vec::new(),
    };
    loader.file(file);
    (loader.module, loader.diagnostics)
}

struct Loader<'a> {
    sources: &'a mut Sources,
    root: Option<PathBuf>,
    module: Module,
    diagnostics: Vec<Diagnostic>,
    /// The files that are being loaded, outermost first.
    chain: Vec<usize>,
}

fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf())
}

impl Loader<'_> {
    fn file(&mut self, file: u32) -> usize {
        let (tree, errors) = einc_grammar::parse(&self.sources.file(file).text, file);
        self.diagnostics.extend(errors.into_iter().map(syntax_diagnostic));
        let unit = self.module.units.len();
        let (mut functions, mut doubled, mut others) = (HashMap::new(), Vec::new(), Vec::new());
        for (number, item) in tree.items.iter().enumerate() {
            match &item.kind {
                ItemKind::Function(function) => match functions.entry(function.name.text.clone()) {
                    Entry::Vacant(vacant) => drop(vacant.insert(number)),
                    Entry::Occupied(_) => doubled.push(number),
                },
                _ => others.push(number),
            }
        }
        let unit_of = |plans| Unit { file, tree, functions, doubled, others, imports: Vec::new(), plans };
        self.module.units.push(unit_of(Vec::new()));
        self.chain.push(unit);
        let imports: Vec<_> = self.module.units[unit]
            .tree
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Import { path, alias, names } => Some((path.clone(), alias.clone(), names.clone())),
                _ => None,
            })
            .collect();
        for (path, alias, names) in imports {
            match self.import(file, &path) {
                Ok(target) => {
                    for name in &names {
                        let known = self.module.visible_function(unit, &name.text);
                        if known.is_some_and(|(known, _)| known != target) {
                            self.diagnostics.push(
                                Diagnostic::error(
                                    Code::DuplicateDefinition,
                                    format!("two functions are called `{name}` here"),
                                )
                                .label(name.span, "imported under a name that is taken")
                                .help("import the file under an alias: `import \"..\" as a`, then `a.f(..)`"),
                            );
                        }
                        if self.module.function(target, &name.text).is_none() {
                            self.diagnostics.push(
                                Diagnostic::error(
                                    Code::BadImport,
                                    format!("`{}` has no function `{}`", path.text, name.text),
                                )
                                .label(name.span, "no such function there"),
                            );
                        }
                    }
                    let alias = alias.map(|alias| alias.text);
                    self.module.units[unit].imports.push(Import { unit: target, alias, names });
                }
                Err(diagnostic) => self.diagnostics.push(*diagnostic),
            }
        }
        for path in plans(&self.module.units[unit].tree.items) {
            match self.text(file, &path) {
                Ok((_, text)) => self.module.units[unit].plans.push((path.text, text.into())),
                Err(reason) => self
                    .diagnostics
                    .push(Diagnostic::error(Code::LockedPlan, reason).label(path.span, "the plan to take")),
            }
        }
        self.chain.pop();
        unit
    }

    /// The place of a file that another one names, and what is in it.
    fn text(&self, from: u32, path: &Name) -> Result<(PathBuf, String), String> {
        let real = self.find(from, path)?;
        let meta = real.metadata().map_err(|error| format!("cannot read `{}`: {error}", path.text))?;
        if !meta.is_file() || meta.len() > FILE_LIMIT {
            return Err(format!("`{}` is no regular file of at most 16 MiB", path.text));
        }
        let text = std::fs::read_to_string(&real)
            .map_err(|error| format!("cannot read `{}`: {error}", path.text))?;
        Ok((real, text))
    }

    /// The place of a file that another one names.
    fn find(&self, from: u32, path: &Name) -> Result<PathBuf, String> {
        let Some(root) = self.root.clone() else {
            return Err(format!("`{}` cannot be found: this program was not read from a file", path.text));
        };
        if Path::new(&path.text).is_absolute() {
            return Err(format!("`{}` is an absolute path; paths are relative to the file", path.text));
        }
        let folder = self.sources.file(from).path.as_deref().map_or_else(|| root.clone(), folder);
        let found = folder.join(&path.text);
        let real = found.canonicalize().map_err(|error| format!("cannot read `{}`: {error}", path.text))?;
        if !real.starts_with(&root) {
            return Err(format!("`{}` lies outside the folder of the program", path.text));
        }
        Ok(real)
    }

    fn import(&mut self, from: u32, path: &Name) -> Result<usize, Box<Diagnostic>> {
        let bad = |text: String| {
            Box::new(Diagnostic::error(Code::BadImport, text).label(path.span, "imported here"))
        };
        if let Some((name, text)) = STANDARD.iter().find(|module| module.0 == path.text) {
            if let Some(unit) = self.loaded(|file| file.name == *name && file.path.is_none()) {
                return Ok(unit);
            }
            let file = self.sources.add(*name, None, *text);
            return Ok(self.file(file));
        }
        let real = self.find(from, path).map_err(bad)?;
        if let Some(unit) = self.loaded(|file| {
            file.path.as_deref().and_then(|path| path.canonicalize().ok()).as_ref() == Some(&real)
        }) {
            return self.not_a_cycle(unit, path).map(|()| unit);
        }
        if self.module.units.len() >= FILES_LIMIT {
            return Err(bad(format!("more than {FILES_LIMIT} files are imported")));
        }
        let (real, text) = self.text(from, path).map_err(bad)?;
        let root = self.root.clone().unwrap_or_default();
        let name = real.strip_prefix(&root).unwrap_or(&real).display().to_string();
        let file = self.sources.add(name, Some(real), text);
        Ok(self.file(file))
    }

    fn loaded(&self, is: impl Fn(&crate::source::SourceFile) -> bool) -> Option<usize> {
        self.module.units.iter().position(|unit| is(self.sources.file(unit.file)))
    }

    fn not_a_cycle(&self, unit: usize, path: &Name) -> Result<(), Box<Diagnostic>> {
        let Some(start) = self.chain.iter().position(|&open| open == unit) else { return Ok(()) };
        let name = |&unit: &usize| self.sources.file(self.module.units[unit].file).name.clone();
        let mut chain: Vec<String> = self.chain[start..].iter().map(name).collect();
        chain.push(name(&unit));
        let cycle = chain.join(" -> ");
        Err(Box::new(
            Diagnostic::error(Code::ImportCycle, format!("imports form a cycle: {cycle}"))
                .label(path.span, "closes the cycle"),
        ))
    }
}

/// The paths of `@plan("path")` in items and in the functions among them.
fn plans(items: &[Item]) -> Vec<Name> {
    let mut found = Vec::new();
    for item in items {
        for attribute in item.attributes.iter().filter(|attribute| attribute.name.text == "plan") {
            if let [argument] = &attribute.args[..]
                && let ExprKind::String(path) = &argument.value.kind
                && argument.name.is_none()
            {
                found.push(Name { text: path.clone(), span: attribute.span });
            }
        }
        if let ItemKind::Function(function) = &item.kind {
            found.extend(plans(&function.body));
        }
    }
    found
}

/// A syntax error as a diagnostic.
pub fn syntax_diagnostic(error: SyntaxError) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(Code::syntax(error.code), error.message);
    let main: Vec<(Span, String)> =
        if error.labels.is_empty() { vec![(error.span, "here".to_string())] } else { error.labels };
    diagnostic.labels = main;
    diagnostic.help = error.help;
    diagnostic.fix = error.fix;
    diagnostic
}

//! What a module can be called for: its own statements and its functions, with what each takes and gives.

use super::load::Module;
use crate::source::{Sources, Span};
use einc_grammar::tree::{Function, Item, ItemKind, Qualifier, is_given};

/// Something that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `main` for the file's own statements, else the function's name.
    pub name: String,
    /// The `##` lines above it.
    pub doc: Option<String>,
    /// What it takes, in order.
    pub inputs: Vec<Param>,
    /// What it gives, in order.
    pub outputs: Vec<Param>,
}

/// An input or a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Its name; empty for the single result of a function that gives it none.
    pub name: String,
    /// Its type as written; empty where none is.
    pub ty: String,
}

/// The entry points of a module's first file, its own statements first.
pub fn entries(module: &Module, sources: &Sources) -> Vec<Entry> {
    let Some(unit) = module.units.first() else { return Vec::new() };
    let items = &unit.tree.items;
    let mut entries: Vec<Entry> = own(items, sources).into_iter().collect();
    for item in items {
        if let ItemKind::Function(function) = &item.kind {
            entries.push(of_function(function, item.doc.clone(), sources));
        }
    }
    entries
}

/// The file's own statements, if it has any.
fn own(items: &[Item], sources: &Sources) -> Option<Entry> {
    let (mut inputs, mut outputs, mut defined) = (Vec::new(), Vec::new(), Vec::new());
    for item in items {
        match &item.kind {
            ItemKind::Declare { qualifiers, names, ty, .. } => {
                let has = |wanted| qualifiers.iter().any(|(qualifier, _)| *qualifier == wanted);
                let params = names.iter().map(|name| param(&name.text, ty.span, sources));
                if is_given(qualifiers) {
                    inputs.extend(params.clone());
                }
                if has(Qualifier::Output) || has(Qualifier::Inout) {
                    outputs.extend(params);
                }
            }
            ItemKind::Define { targets, .. } => {
                defined.extend(targets.iter().map(|target| target.name.text.clone()));
            }
            _ => {}
        }
    }
    if outputs.is_empty() {
        defined.dedup();
        outputs = defined.into_iter().map(|name| Param { name, ty: String::new() }).collect();
    }
    let any = !inputs.is_empty() || !outputs.is_empty();
    any.then(|| Entry { name: "main".to_string(), doc: None, inputs, outputs })
}

fn of_function(function: &Function, doc: Option<String>, sources: &Sources) -> Entry {
    let inputs = function.params.iter().map(|(name, ty)| param(&name.text, ty.span, sources)).collect();
    let results = function.results.iter();
    let outputs = results
        .map(|(name, ty)| param(name.as_ref().map_or("", |name| name.text.as_str()), ty.span, sources))
        .collect();
    Entry { name: function.name.text.clone(), doc, inputs, outputs }
}

fn param(name: &str, ty: Span, sources: &Sources) -> Param {
    let words: Vec<&str> = sources.text(ty).split_whitespace().collect();
    Param { name: name.to_string(), ty: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::load;

    #[test]
    fn own_statements_and_functions_are_entries() {
        let text = "dim N\ninput x, z: f32[N]\nparam w: f32[N]\noutput y: f32[N]\ny[i] = x[i] * w[i] + z[i]\n\
                    ## Doubles.\nfn twice(x: f64[...b,\n  N]) -> f64[...b, N] { return 2 * x[...b, i] }\n";
        let mut sources = Sources::default();
        let file = sources.add("a.ein", None, text);
        let (module, diagnostics) = load(&mut sources, file);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let entries = entries(&module, &sources);
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["main", "twice"]);
        let inputs: Vec<&str> = entries[0].inputs.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(inputs, ["x", "z", "w"]);
        assert_eq!(entries[1].doc.as_deref(), Some("Doubles."));
        assert_eq!(entries[1].inputs[0].ty, "f64[...b, N]");
        assert_eq!(entries[1].outputs[0].name, "");
    }
}

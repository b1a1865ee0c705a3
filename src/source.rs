//! Source files and places in them.

pub use einc_grammar::tree::Span;
use std::path::PathBuf;

/// The source files of one compilation; a [`Span`] names one by its number.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

/// One source file.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// What diagnostics call it.
    pub name: String,
    /// Where it was read from, if it was.
    pub path: Option<PathBuf>,
    /// Its text.
    pub text: String,
}

impl Sources {
    /// Adds a file and gives its number.
    pub fn add(&mut self, name: impl Into<String>, path: Option<PathBuf>, text: impl Into<String>) -> u32 {
        self.files.push(SourceFile { name: name.into(), path, text: text.into() });
        self.files.len() as u32 - 1
    }

    /// The file of that number.
    pub fn file(&self, number: u32) -> &SourceFile {
        &self.files[number as usize]
    }

    /// All files in the order of their numbers.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The text at a place; empty where the place is outside.
    pub fn text(&self, span: Span) -> &str {
        self.files
            .get(span.file as usize)
            .and_then(|file| file.text.get(span.start as usize..span.end as usize))
            .unwrap_or("")
    }

    /// Line and column, both from 1 and in characters, of the start of a place.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let text = &self.files[span.file as usize].text;
        let before = &text[..text.floor_char_boundary(span.start as usize)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

//! What we tell the user: one record for terminal, JSON and editor.

mod codes;
mod render;

pub use codes::Code;
pub use render::{Format, render};

use crate::source::Span;

/// How grave a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Severity {
    Warning,
    Error,
}

/// One message to the user.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// Its stable code.
    pub code: Code,
    /// One sentence without a full stop.
    pub message: String,
    /// Places with what there is to say of each; the first is the main one. Empty where there is no source.
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// Further facts.
    pub notes: Vec<String>,
    /// A replacement that a tool can apply.
    pub fix: Option<(Span, String)>,
}

impl Diagnostic {
    /// An error without places yet.
    pub fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            help: None,
            notes: Vec::new(),
            fix: None,
        }
    }

    /// A warning without places yet.
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// Adds a place and what there is to say of it.
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push((span, text.into()));
        self
    }

    /// Says what to do about it.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    /// Adds a fact.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Gives a replacement that a tool can apply.
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.fix = Some((span, text.into()));
        self
    }

    /// The exit code of a command that ends with it: 3 for a resource limit, 4 for data, 1 otherwise.
    pub fn exit_code(&self) -> i32 {
        match self.code.number() / 100 {
            5 => 3,
            7 => 4,
            9 => 101,
            _ => 1,
        }
    }
}

//! Errors as values.

use crate::diagnostic::{Code, Diagnostic, Format, render};
use crate::source::Sources;
use std::fmt;
use std::sync::Arc;

/// What is wrong with a program, its sizes or its arrays.
///
/// Displays as the command line does, with the lines of the source.
///
/// ```
/// let error = einc::Module::parse("input A: f64[N]\nC[i = A[i]").unwrap_err();
/// assert!(error.to_string().contains("EIN01"));
/// assert!(!error.diagnostics().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Error {
    diagnostics: Vec<Diagnostic>,
    sources: Arc<Sources>,
}

impl Error {
    pub(super) fn new(diagnostics: Vec<Diagnostic>, sources: &Arc<Sources>) -> Error {
        Error { diagnostics, sources: Arc::clone(sources) }
    }

    pub(super) fn one(diagnostic: Diagnostic) -> Error {
        Error { diagnostics: vec![diagnostic], sources: Arc::default() }
    }

    /// Each thing that is wrong.
    ///
    /// ```
    /// let module = einc::Module::parse("input x: f64[3]\ny[i] = x[i] + a[i] * b[i]")?;
    /// let error = module.check().unwrap_err();
    /// let codes: Vec<String> = error.diagnostics().iter().map(|one| one.code.to_string()).collect();
    /// assert_eq!(codes, ["EIN0201", "EIN0201"]);
    /// # Ok::<(), einc::Error>(())
    /// ```
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// One JSON object a line, as `--message-format json` prints.
    ///
    /// ```
    /// let error = einc::Module::parse("y = )").unwrap_err();
    /// assert!(error.to_json().starts_with("{"));
    /// ```
    pub fn to_json(&self) -> String {
        render(&self.diagnostics, &self.sources, Format::Json)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = render(&self.diagnostics, &self.sources, Format::Human { color: false });
        f.write_str(text.trim_end())
    }
}

impl std::error::Error for Error {}

pub(super) fn out_of_memory() -> Error {
    Error::one(Diagnostic::error(Code::OutOfMemory, "there is no memory for a tensor"))
}

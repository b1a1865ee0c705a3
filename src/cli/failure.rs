//! How a command ends when it does not succeed.

use crate::diagnostic::{Code, Diagnostic, Format, Severity, render};
use crate::source::Sources;

/// Why a command stopped.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong with the program, the data or the limits.
    Diagnostics(Vec<Diagnostic>, Sources),
    /// The command line makes no sense.
    Usage(String),
}

impl Failure {
    /// One diagnostic without places.
    pub fn of(diagnostic: Diagnostic) -> Failure {
        Failure::of_all(vec![diagnostic])
    }

    /// Diagnostics without places.
    pub fn of_all(diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::Diagnostics(diagnostics, Sources::default())
    }

    /// The exit code; of several diagnostics the first error decides.
    pub fn exit_code(&self) -> i32 {
        match self {
            Failure::Diagnostics(diagnostics, _) => diagnostics
                .iter()
                .find(|diagnostic| diagnostic.severity == Severity::Error)
                .map_or(1, |error| if error.code == Code::Comparison { 5 } else { error.exit_code() }),
            Failure::Usage(_) => 2,
        }
    }

    /// What goes to stderr.
    pub fn text(&self, format: Format) -> String {
        match self {
            Failure::Diagnostics(diagnostics, sources) => render(diagnostics, sources, format),
            Failure::Usage(message) => {
                format!("error: {message}\n\nFor more information, try '--help'.\n")
            }
        }
    }
}

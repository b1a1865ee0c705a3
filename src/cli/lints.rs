//! What becomes of warnings: said, not said, or taken for errors, by the options `-W`, `-A` and `-D`.

use super::args::Shared;
use super::failure::Failure;
use super::text;
use crate::diagnostic::{Code, Diagnostic, Severity};

/// What becomes of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Allow,
    Warn,
    Deny,
}

/// What becomes of each warning.
#[derive(Debug)]
pub struct Lints {
    named: Vec<(Code, Level)>,
    others: Level,
}

impl Lints {
    /// What the options say. A code of its own counts before `warnings`.
    ///
    /// # Errors
    /// Codes that there are not, and codes that two options name.
    pub fn new(shared: &Shared) -> Result<Lints, Failure> {
        let options =
            [(&shared.warn, Level::Warn), (&shared.deny, Level::Deny), (&shared.allow, Level::Allow)];
        let mut lints = Lints { named: Vec::new(), others: Level::Warn };
        let mut all = None;
        for (word, level) in
            options.into_iter().flat_map(|(words, level)| words.iter().map(move |w| (w, level)))
        {
            let known = if word == "warnings" {
                all.replace(level)
            } else {
                let code = text::code(word)?;
                let known = lints.named.iter().find(|named| named.0 == code).map(|named| named.1);
                lints.named.push((code, level));
                known
            };
            if known.is_some_and(|known| known != level) {
                return Err(Failure::Usage(format!("two of -W, -D and -A name `{word}`")));
            }
        }
        lints.others = all.unwrap_or(Level::Warn);
        Ok(lints)
    }

    /// Divides warnings into those that are errors now and those that are to be said.
    pub fn divide(&self, warnings: Vec<Diagnostic>) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let level = |code: Code| {
            let named = self.named.iter().find(|named| named.0 == code);
            named.map_or(self.others, |named| named.1)
        };
        let mut errors = Vec::new();
        let mut said = Vec::new();
        for warning in warnings {
            match level(warning.code) {
                Level::Allow => {}
                Level::Warn => said.push(warning),
                Level::Deny => {
                    let denied = Diagnostic { severity: Severity::Error, ..warning };
                    errors.push(denied.note("a warning that -D makes an error"));
                }
            }
        }
        (errors, said)
    }
}

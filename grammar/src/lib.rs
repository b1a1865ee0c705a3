//! The `.ein` language: source text to tokens to syntax tree.
//!
//! [`parse`] gives the tree of a file and every syntax error in it, up to [`MOST_ERRORS`]; a statement with an
//! error is absent from the tree. [`parse_expr`] reads one expression, and [`format()`] lays a text out.
//!
//! ```
//! let (file, errors) = einc_grammar::parse("C[i, k] = A[i, j] * B[j, k]\n", 0);
//! assert!(errors.is_empty());
//! assert_eq!(file.items.len(), 1);
//! ```
//!
//! How: `token` cuts the text, `statement` cuts the tokens into statements (newlines, comments and braces end
//! there), the generated parser of `ein.lalrpop` reads one statement with the helpers of `make`, and `slip`
//! says what is wrong with one that cannot be read.

mod codes;
mod format;
mod literal;
mod make;
mod slip;
mod statement;
mod token;
pub mod tree;

#[cfg(test)]
mod tests;

pub use codes::SYNTAX_CODES;

use tree::{Expr, File, Span};

#[allow(clippy::all, clippy::pedantic, missing_docs, unused, unreachable_pub)]
mod ein {
    include!(concat!(env!("OUT_DIR"), "/ein.rs"));
}

/// How many errors of one text are reported at most.
pub const MOST_ERRORS: usize = 20;

/// How deep brackets, blocks and nested operators may stand in each other.
pub const DEEPEST: usize = 256;

/// How many operators and commas one statement may hold.
pub const MOST_TERMS: usize = 65_536;

/// How many bytes a text may have.
pub const LONGEST: usize = 16 << 20;

/// A syntax error: what is wrong, where, and what may be meant.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// Its number, one of [`SYNTAX_CODES`].
    pub code: u16,
    /// One sentence without a full stop.
    pub message: String,
    /// Where it was noticed.
    pub span: Span,
    /// Places with what there is to say of each; the first is the main one.
    pub labels: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// A replacement that a tool can apply.
    pub fix: Option<(Span, String)>,
}

impl SyntaxError {
    fn new(code: u16, message: impl Into<String>, span: Span) -> SyntaxError {
        SyntaxError { code, message: message.into(), span, labels: Vec::new(), help: None, fix: None }
    }

    fn label(mut self, span: Span, text: impl Into<String>) -> SyntaxError {
        self.labels.push((span, text.into()));
        self
    }

    fn help(mut self, text: impl Into<String>) -> SyntaxError {
        self.help = Some(text.into());
        self
    }

    fn fix(mut self, span: Span, text: impl Into<String>) -> SyntaxError {
        self.fix = Some((span, text.into()));
        self
    }
}

/// The tree of a file, and its errors in the order of the text.
///
/// Spans carry the number `file`. A statement with an error is reported once and absent from the tree.
pub fn parse(text: &str, file: u32) -> (File, Vec<SyntaxError>) {
    if text.len() > LONGEST {
        return (File::default(), vec![codes::too_long(text, file)]);
    }
    let mut reader = statement::Reader::new(text, file);
    let items = reader.items();
    (File { items }, reader.into_errors())
}

/// The tree of one expression that fills the whole text.
pub fn parse_expr(text: &str, file: u32) -> Result<Expr, Vec<SyntaxError>> {
    if text.len() > LONGEST {
        return Err(vec![codes::too_long(text, file)]);
    }
    let mut reader = statement::Reader::new(text, file);
    reader.expr().ok_or_else(|| reader.into_errors())
}

/// The text in its one layout: spaces, indentation and blank lines are set, line breaks and comments stay.
///
/// Four spaces indent a block and a line that goes on; at most one blank line stands between lines; a product in
/// an index is written tight beside a sum, `x[2*i + 1]`. Formatting twice changes nothing more.
///
/// ```
/// let text = einc_grammar::format("y[ i ]=x[2 * i+1]# odd").unwrap();
/// assert_eq!(text, "y[i] = x[2*i + 1]  # odd\n");
/// ```
pub fn format(text: &str) -> Result<String, Vec<SyntaxError>> {
    if text.len() > LONGEST {
        return Err(vec![codes::too_long(text, 0)]);
    }
    let lexemes = statement::Reader::new(text, 0).into_lexemes()?;
    Ok(format::layout(text, &lexemes))
}

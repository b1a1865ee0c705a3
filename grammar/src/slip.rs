//! Says what is wrong with a statement that cannot be parsed.

use crate::SyntaxError;
use crate::codes;
use crate::token::{Lexeme, Token};
use crate::tree::Span;
use lalrpop_util::ParseError;

/// A statement that failed to parse.
pub struct Statement<'a> {
    /// The whole text.
    pub text: &'a str,
    /// The file's number.
    pub file: u32,
    /// The tokens of the statement.
    pub tokens: &'a [Lexeme],
    /// Whether one expression was to be read.
    pub is_expr: bool,
}

/// The error to report for a failure of the parser.
pub fn explain(statement: &Statement, error: ParseError<u32, Token, Box<SyntaxError>>) -> SyntaxError {
    let expected = match error {
        ParseError::User { error } => return *error,
        ParseError::UnrecognizedToken { token, expected } => (token.0, token.2, expected),
        ParseError::ExtraToken { token } => (token.0, token.2, Vec::new()),
        ParseError::UnrecognizedEof { location, expected } => (location, location, expected),
        ParseError::InvalidToken { location } => (location, location, Vec::new()),
    };
    let span = Span { file: statement.file, start: expected.0, end: expected.1 };
    let list: Vec<&str> = expected.2.iter().map(String::as_str).collect();
    let _ = statement.is_expr || statement.tokens.is_empty();
    codes::unexpected(&format!("`{}`", &statement.text[span.start as usize..span.end as usize]), &list, span)
}

//! Says what is wrong with a statement that cannot be parsed.
//!
//! The parser tells the first token it cannot take and what it could have taken. From that and from the tokens
//! around it the commonest slips are recognised, each by a function that gives its error or `None`; what none of
//! them knows is told as an unexpected token.

mod forms;
mod operators;

use crate::SyntaxError;
use crate::codes::{UNEXPECTED, unexpected};
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
    let (start, expected) = match error {
        ParseError::User { error } => return *error,
        ParseError::UnrecognizedToken { token, expected } => (Some(token.0), expected),
        ParseError::ExtraToken { token } => (Some(token.0), Vec::new()),
        ParseError::UnrecognizedEof { expected, .. } => (None, expected),
        ParseError::InvalidToken { location } => (Some(location), Vec::new()),
    };
    let tokens = statement.tokens;
    let at = start.map_or(tokens.len(), |start| tokens.partition_point(|token| token.start < start));
    let expected = expected.iter().map(|word| word.trim_matches('"').to_string()).collect();
    Slip { statement, at, expected, head: head(tokens) }.explain()
}

/// Where the statement behind its attributes begins.
fn head(tokens: &[Lexeme]) -> usize {
    let mut at = 0;
    while tokens.get(at).is_some_and(|lexeme| lexeme.token == Token::At) {
        at += 2;
        if tokens.get(at).is_some_and(|lexeme| lexeme.token == Token::OpenParen) {
            at = closer(tokens, at).map_or(tokens.len(), |end| end + 1);
        }
    }
    at.min(tokens.len())
}

/// The place of the bracket that closes the one at `open`.
fn closer(tokens: &[Lexeme], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, lexeme) in tokens.iter().enumerate().skip(open) {
        match lexeme.token {
            Token::OpenParen | Token::OpenBracket => depth += 1,
            Token::CloseParen | Token::CloseBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The place of the bracket that the one at `close` closes.
fn opener(tokens: &[Lexeme], close: usize) -> Option<usize> {
    let mut depth = 0usize;
    for at in (0..=close).rev() {
        match tokens[at].token {
            Token::CloseParen | Token::CloseBracket => depth += 1,
            Token::OpenParen | Token::OpenBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn is_comparison(token: Token) -> bool {
    use Token::*;
    matches!(token, EqEq | NotEq | LessEq | GreaterEq | Less | Greater)
}

fn is_definition(token: Token) -> bool {
    matches!(token, Token::Eq | Token::PlusEq | Token::Tilde)
}

/// A statement and the token it cannot go on with.
struct Slip<'a> {
    statement: &'a Statement<'a>,
    /// The place of that token; the number of tokens if the statement ends too early.
    at: usize,
    /// The terminals that could have stood there.
    expected: Vec<String>,
    /// The place of the first token behind the attributes.
    head: usize,
}

impl Slip<'_> {
    fn explain(&self) -> SyntaxError {
        let slips: [fn(&Self) -> Option<SyntaxError>; 16] = [
            Self::foreign_comment,
            Self::other_assignment,
            Self::foreign_operator,
            Self::decimal_point,
            Self::dangling_comma,
            Self::dots,
            Self::declaration,
            Self::parentheses_on_the_left,
            Self::run_together,
            Self::keyword_as_name,
            Self::no_left_side,
            Self::chained_comparison,
            Self::definition_or_equality,
            Self::missing_operator,
            Self::brackets,
            Self::incomplete,
        ];
        slips.iter().find_map(|slip| slip(self)).unwrap_or_else(|| self.unexpected())
    }

    fn tokens(&self) -> &[Lexeme] {
        self.statement.tokens
    }

    /// The kind of the token at `at`; [`Token::End`] outside the statement.
    fn kind(&self, at: usize) -> Token {
        self.tokens().get(at).map_or(Token::End, |lexeme| lexeme.token)
    }

    fn here(&self) -> Token {
        self.kind(self.at)
    }

    fn before(&self) -> Token {
        self.at.checked_sub(1).map_or(Token::End, |at| self.kind(at))
    }

    fn after(&self) -> Token {
        self.kind(self.at + 1)
    }

    fn expects(&self, terminal: &str) -> bool {
        self.expected.iter().any(|word| word == terminal)
    }

    fn span_of(&self, from: usize, to: usize) -> Span {
        let last = self.tokens().len().saturating_sub(1);
        let end = self.tokens().get(last).map_or(0, |lexeme| lexeme.end);
        let start = self.tokens().get(from).map_or(end, |lexeme| lexeme.start);
        let end = self.tokens().get(to).map_or(end, |lexeme| lexeme.end);
        Span { file: self.statement.file, start, end: end.max(start) }
    }

    fn span(&self) -> Span {
        self.span_of(self.at, self.at)
    }

    fn text_at(&self, span: Span) -> &str {
        &self.statement.text[span.start as usize..span.end as usize]
    }

    fn text(&self) -> &str {
        self.text_at(self.span())
    }

    /// The brackets that are open before the token, outermost first.
    fn open(&self) -> Vec<usize> {
        let mut open = Vec::new();
        for (at, lexeme) in self.tokens()[..self.at].iter().enumerate() {
            match lexeme.token {
                Token::OpenParen | Token::OpenBracket => open.push(at),
                Token::CloseParen | Token::CloseBracket => drop(open.pop()),
                _ => {}
            }
        }
        open
    }

    /// The place of the first token of that kind outside brackets, from `from` on.
    fn find_outside(&self, from: usize, wanted: fn(Token) -> bool) -> Option<usize> {
        let mut depth = 0usize;
        for (at, lexeme) in self.tokens().iter().enumerate().skip(from) {
            match lexeme.token {
                Token::OpenParen | Token::OpenBracket => depth += 1,
                Token::CloseParen | Token::CloseBracket => depth = depth.saturating_sub(1),
                token if depth == 0 && wanted(token) => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// Whether the statement begins as a definition does.
    fn begins_with_name(&self) -> bool {
        !self.statement.is_expr && self.kind(self.head) == Token::Name
    }

    /// Whether the token stands outside brackets and before the sign of its definition.
    fn on_the_left(&self) -> bool {
        !self.statement.is_expr
            && self.open().is_empty()
            && !self.tokens()[..self.at].iter().any(|lexeme| is_definition(lexeme.token))
    }

    fn unexpected(&self) -> SyntaxError {
        if self.here() == Token::Block && !self.expects("block") {
            let open = Span { end: self.span().start + 1, ..self.span() };
            return SyntaxError::new(UNEXPECTED, "no block can stand here", open)
                .label(open, "unexpected block")
                .help(
                    "blocks in braces belong to `fn`, `scan` and `target`; expressions are grouped by `( )`",
                );
        }
        let list = self.expected_words();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let mut error = unexpected(&format!("`{}`", self.text()), &list, self.span());
        error.help = self.form().map(|form| format!("the form is `{form}`"));
        error
    }

    /// What could have stood there, in words: operands and operators are not counted up.
    fn expected_words(&self) -> Vec<String> {
        if self.expects("import") {
            return vec!["a statement".into()];
        }
        let operand = self.expects("name") && self.expects("number");
        let operator = self.expects("*") && self.expects("+");
        let mut words = Vec::new();
        if operand {
            words.push("an operand".to_string());
        }
        if operator {
            words.push("an operator".to_string());
        }
        const OPERATORS: [&str; 19] = [
            "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<=", ">=", "<", ">", "and", "or", "in", "as",
            ".", "[",
        ];
        const OPERANDS: [&str; 7] = ["name", "number", "string", "(", "-", "not", "if"];
        for word in &self.expected {
            let told = operand && OPERANDS.contains(&word.as_str())
                || operator && (OPERATORS.contains(&word.as_str()) || word == "(");
            match word.as_str() {
                _ if told => {}
                "name" => words.push("a name".into()),
                "number" => words.push("a number".into()),
                "string" => words.push("a string".into()),
                "block" => words.push("`{`".into()),
                "item" | "expr" => {}
                word => words.push(format!("`{word}`")),
            }
        }
        words.truncate(6);
        words
    }
}

//! Says what is wrong with a statement that cannot be parsed.
//!
//! The parser tells the first token it cannot take and what it could have taken. From that and from the tokens
//! around it the commonest slips are recognised, each by a function that gives its error or `None`; what none of
//! them knows is told as an unexpected token.

use crate::SyntaxError;
use crate::codes::*;
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
        let slips: [fn(&Self) -> Option<SyntaxError>; 14] = [
            Self::foreign_comment,
            Self::other_assignment,
            Self::foreign_operator,
            Self::decimal_point,
            Self::dangling_comma,
            Self::declaration,
            Self::parentheses_on_the_left,
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

    fn foreign_comment(&self) -> Option<SyntaxError> {
        let error = |span: Span| {
            SyntaxError::new(FOREIGN_COMMENT, "a comment begins with `#`", span)
                .label(span, "this is an operator of the language")
        };
        for at in self.at.saturating_sub(1)..=self.at {
            let span = self.span_of(at, at + 1);
            if self.text_at(span).starts_with("/*") {
                return Some(error(span).help("there are no block comments; begin every line with `#`"));
            }
        }
        let slashes = (0..=self.at).rev().find(|&at| self.kind(at) == Token::SlashSlash)?;
        let span = self.span_of(slashes, slashes);
        let between = Span { start: span.start, end: self.span().start.max(span.start), ..span };
        if self.text_at(between).contains(['\n', '\r']) {
            return None;
        }
        let line = &self.statement.text[..span.start as usize];
        let first = line.rsplit(['\n', '\r']).next().is_none_or(|line| line.trim().is_empty());
        let words = slashes < self.at && self.before() == Token::Name && self.here() == Token::Name;
        (first || words).then(|| error(span).help("write `#`; `//` is division rounded down").fix(span, "#"))
    }

    fn other_assignment(&self) -> Option<SyntaxError> {
        let span = self.span();
        match self.here() {
            Token::ColonEq => Some(
                SyntaxError::new(COLON_EQUALS, "a definition is written with `=`", span)
                    .label(span, "not an operator of the language")
                    .help("write `=`")
                    .fix(span, "="),
            ),
            Token::OtherEq => {
                let help = match self.text() {
                    "-=" => "to subtract, add the negative: `c[i] += -a[i]`",
                    _ => "define a new tensor by `=` instead",
                };
                Some(
                    SyntaxError::new(
                        COMPOUND_ASSIGNMENT,
                        format!("there is no `{}`, only `+=`", self.text()),
                        span,
                    )
                    .label(span, "not an operator of the language")
                    .help(help),
                )
            }
            _ => None,
        }
    }

    fn foreign_operator(&self) -> Option<SyntaxError> {
        let span = self.span();
        let text = self.text();
        let error =
            SyntaxError::new(FOREIGN_OPERATOR, format!("`{text}` is not an operator of the language"), span)
                .label(span, "unknown operator");
        if self.here() == Token::If && self.before().ends_operand() {
            return Some(
                SyntaxError::new(FOREIGN_OPERATOR, "the condition of a choice comes first", span)
                    .label(span, "an operand stands before it")
                    .help("write `if c then a else b`"),
            );
        }
        if self.here() != Token::Foreign {
            return None;
        }
        let meant = |word: &str, help: &str| error.clone().help(help).fix(span, word);
        Some(match text {
            "^" => meant("**", "a power is written `**`; on bits use `bxor(a, b)`"),
            "&&" | "&" => meant("and", "write `and`; on bits use `band(a, b)`"),
            "||" | "|" => meant("or", "write `or`; on bits use `bor(a, b)`"),
            "!" => meant("not ", "write `not`"),
            "===" => meant("==", "write `==`"),
            "<-" => meant("=", "a definition is written with `=`"),
            "=>" => meant(">=", "write `>=` to compare"),
            "?" => error.help("a choice is written `if c then a else b`"),
            _ => meant("+", "write `+`"),
        })
    }

    fn decimal_point(&self) -> Option<SyntaxError> {
        if self.here() != Token::Dot {
            return None;
        }
        let touches = |a: usize, b: usize| self.span_of(a, a).end == self.span_of(b, b).start;
        let (span, fix) = if self.after() == Token::Number && touches(self.at, self.at + 1) {
            let span = self.span_of(self.at, self.at + 1);
            (span, format!("0{}", self.text_at(span)))
        } else if self.before() == Token::Number && touches(self.at - 1, self.at) {
            let span = self.span_of(self.at - 1, self.at);
            (span, format!("{}0", self.text_at(span)))
        } else {
            return None;
        };
        Some(
            SyntaxError::new(BAD_NUMBER, "digits stand on both sides of a decimal point", span)
                .label(span, "a digit is missing")
                .help(format!("write `{fix}`"))
                .fix(span, fix),
        )
    }

    fn dangling_comma(&self) -> Option<SyntaxError> {
        let ends = matches!(
            self.here(),
            Token::End
                | Token::CloseParen
                | Token::CloseBracket
                | Token::Where
                | Token::By
                | Token::With
                | Token::From
                | Token::Wrt
                | Token::For
                | Token::Block
        );
        (ends && self.before() == Token::Comma)
            .then(|| dangling_comma(self.span_of(self.at - 1, self.at - 1)))
    }

    fn declaration(&self) -> Option<SyntaxError> {
        let head = self.kind(self.head);
        let qualified =
            matches!(head, Token::Secret | Token::Input | Token::Param | Token::Output | Token::Inout);
        let span = self.span();
        let error = |message: String, label: &str| {
            SyntaxError::new(DECLARATION_FORM, message, span).label(span, label)
        };
        let form = "a declaration is written `input A: f32[M, K]`";
        if qualified && self.expects(":") && self.before() == Token::Name {
            let name = self.text_at(self.span_of(self.at - 1, self.at - 1));
            if self.here() == Token::OpenBracket {
                let error = error(format!("the sizes of `{name}` belong to its type"), "sizes stand here");
                let close = closer(self.tokens(), self.at)?;
                if self.kind(close + 1) == Token::Colon && self.kind(close + 2) == Token::Name {
                    let whole = self.span_of(self.at, close + 2);
                    let sizes = self.text_at(self.span_of(self.at, close));
                    let dtype = self.text_at(self.span_of(close + 2, close + 2));
                    let fix = format!(": {dtype}{sizes}");
                    return Some(error.help(format!("write `{name}{fix}`")).fix(whole, fix));
                }
                return Some(error.help(form));
            }
            let error = error(format!("`{name}` is declared without a type"), "`:` and a type are expected");
            return Some(match self.here() {
                Token::Name => {
                    let gap =
                        Span { start: self.span_of(self.at - 1, self.at - 1).end, end: span.start, ..span };
                    error.help(form).fix(gap, ": ")
                }
                _ => error.help(form),
            });
        }
        if self.here() == Token::OpenParen
            && self.expects("[")
            && self.before() == Token::Name
            && self.in_type()
        {
            let close = closer(self.tokens(), self.at)?;
            let whole = self.span_of(self.at, close);
            let inner = self.text_at(whole).trim_start_matches('(').trim_end_matches(')');
            let fix = format!("[{inner}]");
            return Some(
                error("the sizes of a type stand in square brackets".into(), "a parenthesis")
                    .help(format!("write `{fix}`"))
                    .fix(whole, fix),
            );
        }
        if head == Token::Fn && self.expects(":") && self.before() == Token::Name && !self.open().is_empty() {
            let name = self.text_at(self.span_of(self.at - 1, self.at - 1));
            return Some(
                error(format!("the parameter `{name}` has no type"), "`:` and a type are expected")
                    .help("a parameter is written `x: f32[M, K]`"),
            );
        }
        if head == Token::Fn && self.here() == Token::Colon && self.expects("->") {
            return Some(
                error("the result of a `fn` stands behind `->`".into(), "`->` is expected")
                    .help("write `->`")
                    .fix(span, "->"),
            );
        }
        let word = self.text_at(self.span_of(self.head, self.head));
        if self.begins_with_name()
            && self.at == self.head + 1
            && matches!(self.here(), Token::Name | Token::OpenParen)
        {
            let first = self.span_of(self.head, self.head);
            let error = |help: &str| {
                SyntaxError::new(DECLARATION_FORM, format!("`{word}` opens no statement"), first)
                    .label(first, "not a word of the language")
                    .help(help)
            };
            let gap = Span { end: span.start, ..first };
            return match word {
                "def" | "func" | "function" | "proc" => {
                    Some(error("a function is written `fn f(x: f32[N]) -> f32[N] { .. }`").fix(first, "fn"))
                }
                "let" | "var" | "val" | "auto" | "local" | "mut" => {
                    Some(error("a tensor is declared by the statement that defines it").fix(gap, ""))
                }
                "for" | "while" | "forall" | "parallel" => {
                    Some(error("there are no loops: an index on the left runs over its range"))
                }
                "assert" => Some(error("write `check`").fix(first, "check")),
                "tensor" | "array" | "matrix" => Some(error(form)),
                "use" | "include" | "from" => Some(error("write `import \"file.ein\" (name)`")),
                _ if self.here() == Token::Name && self.find_outside(self.at, is_definition).is_some() => {
                    Some(error("a definition begins with the tensor it defines").fix(gap, ""))
                }
                _ => None,
            };
        }
        None
    }

    /// Whether the token stands where a type is being read.
    fn in_type(&self) -> bool {
        let mut at = self.at.saturating_sub(1);
        at = at.saturating_sub(1);
        matches!(self.kind(at), Token::Colon | Token::Arrow)
    }

    fn parentheses_on_the_left(&self) -> Option<SyntaxError> {
        let begins = matches!(self.kind(self.head), Token::Name | Token::Scan | Token::Decompose);
        if !(begins && self.here() == Token::OpenParen && self.before() == Token::Name && self.on_the_left())
        {
            return None;
        }
        let close = closer(self.tokens(), self.at)?;
        if !(is_definition(self.kind(close + 1)) || self.kind(close + 1) == Token::Comma) {
            return None;
        }
        let name = self.text_at(self.span_of(self.at - 1, self.at - 1));
        let whole = self.span_of(self.at, close);
        let text = self.text_at(whole);
        let fix = format!("[{}]", &text[1..text.len() - 1]);
        let help = format!("write `{name}{fix}`");
        Some(
            SyntaxError::new(
                PARENTHESES_ON_THE_LEFT,
                format!("the indices of `{name}` stand in square brackets"),
                whole,
            )
            .label(whole, "parentheses are for calls")
            .help(help)
            .fix(whole, fix),
        )
    }

    fn keyword_as_name(&self) -> Option<SyntaxError> {
        use Token::*;
        let named = |token| {
            matches!(token, OpenBracket | Eq | PlusEq | ColonEq | Comma | Colon | CloseParen | CloseBracket)
        };
        let declares = matches!(
            self.before(),
            Secret | Input | Param | Output | Inout | Const | Dim | Fn | Target | Decompose | Grad | Import
        );
        let keyword = if self.here().is_keyword()
            && self.expects("name")
            && (named(self.after()) || declares || self.here().opens_statement() && self.at > self.head)
        {
            self.at
        } else if self.before().is_keyword()
            && self.at == self.head + 1
            && named(self.here())
            && !matches!(self.before(), Then | Else | And | Or | In | As | Where)
        {
            self.at - 1
        } else if self.kind(self.head) == Scan
            && self.here() == Eq
            && self.before() == CloseBracket
            && self.at <= self.head + 5
        {
            self.head
        } else {
            return None;
        };
        let span = self.span_of(keyword, keyword);
        let word = self.text_at(span);
        let fix = format!("{word}_");
        Some(
            SyntaxError::new(KEYWORD_AS_NAME, format!("`{word}` is a keyword and cannot be a name"), span)
                .label(span, "a name is expected")
                .help(format!("write `{fix}`"))
                .fix(span, fix),
        )
    }

    fn no_left_side(&self) -> Option<SyntaxError> {
        if self.statement.is_expr || !self.open().is_empty() && self.kind(self.head) != Token::OpenParen {
            return None;
        }
        let first = self.kind(self.head);
        let starts = match first {
            Token::Name => {
                // A target was read, and something else than `=` follows.
                self.expects("=")
                    && (self.here().is_operator() && !is_comparison(self.here())
                        || matches!(self.here(), Token::End | Token::Arrow | Token::OpenParen | Token::Where)
                        || is_comparison(self.here()) && self.find_outside(self.at, is_definition).is_some())
            }
            Token::Number | Token::OpenParen | Token::Minus | Token::String | Token::If | Token::Not => {
                self.at == self.head
            }
            _ => false,
        };
        if !starts || self.before() == Token::Comma {
            return None;
        }
        let last = self.tokens().len() - 1;
        if let Some(arrow) = self.find_outside(self.head, |token| token == Token::Arrow) {
            let span = self.span_of(arrow, arrow);
            let error = SyntaxError::new(ARROW_RESULT, "the result of an equation stands on its left", span)
                .label(span, "no arrow is expected");
            let target = self.kind(arrow + 1) == Token::Name
                && (arrow + 1 == last
                    || self.kind(arrow + 2) == Token::OpenBracket
                        && closer(self.tokens(), arrow + 2) == Some(last));
            if self.find_outside(self.head, |token| token == Token::Comma).is_some() {
                return Some(
                    error.help("write `C[i, k] = A[i, j] * B[j, k]`, or `C = einsum(\"ij,jk->ik\", A, B)`"),
                );
            }
            if target && arrow > self.head {
                let left = self.text_at(self.span_of(self.head, arrow - 1));
                let right = self.text_at(self.span_of(arrow + 1, last));
                let fix = format!("{right} = {left}");
                let help =
                    if fix.len() < 80 { format!("write `{fix}`") } else { format!("begin with `{right} =`") };
                return Some(error.help(help).fix(self.span_of(self.head, last), fix));
            }
            return Some(error.help("write `C[i, k] = A[i, j] * B[j, k]`"));
        }
        if let Some(sign) = self.find_outside(self.at, is_definition) {
            let span = self.span_of(self.head, sign.saturating_sub(1).max(self.head));
            return Some(
                SyntaxError::new(NO_LEFT_SIDE, "the left side of a definition is one tensor", span)
                    .label(span, "an expression stands on the left")
                    .help("define a tensor by the whole expression; `solve .. for X[..]` solves an equation"),
            );
        }
        let span = self.span_of(self.head, last);
        let error = SyntaxError::new(NO_LEFT_SIDE, "an expression stands alone", span)
            .label(span, "what does it define?");
        Some(error.help("write `name = ` or `name[indices] = ` before it"))
    }

    fn chained_comparison(&self) -> Option<SyntaxError> {
        if !(is_comparison(self.here()) || self.here() == Token::In) {
            return None;
        }
        let mut depth = 0usize;
        for at in (self.head..self.at).rev() {
            use Token::*;
            match self.kind(at) {
                CloseParen | CloseBracket => depth += 1,
                OpenParen | OpenBracket if depth == 0 => return None,
                OpenParen | OpenBracket => depth -= 1,
                _ if depth > 0 => {}
                And | Or | Not | Comma | If | Then | Else | Where | Eq | PlusEq => return None,
                token if is_comparison(token) || token == In => {
                    let (span, first) = (self.span(), self.span_of(at, at));
                    return Some(
                        SyntaxError::new(CHAINED_COMPARISON, "comparisons do not chain", span)
                            .label(span, "a second comparison")
                            .label(first, "the first")
                            .help("write `a < b and b < c`, or `b in a..c`"),
                    );
                }
                _ => {}
            }
        }
        None
    }

    fn definition_or_equality(&self) -> Option<SyntaxError> {
        let span = self.span();
        if self.here() == Token::EqEq && self.begins_with_name() && self.on_the_left() {
            return Some(
                SyntaxError::new(EQUALITY_FOR_DEFINITION, "a definition is written with `=`", span)
                    .label(span, "`==` compares")
                    .help("write `=`")
                    .fix(span, "="),
            );
        }
        if self.here() != Token::Eq {
            return None;
        }
        let error = |message: &str| {
            SyntaxError::new(DEFINITION_FOR_EQUALITY, message, span).label(span, "`=` defines")
        };
        if self.open().last().is_some_and(|&at| self.kind(at) == Token::OpenBracket) {
            return Some(
                error("`=` stands in square brackets")
                    .help("a range is written `where i in 0..4`, a comparison `i == j`"),
            );
        }
        let condition = self.tokens()[..self.at].iter().any(|lexeme| {
            matches!(
                lexeme.token,
                Token::If | Token::Where | Token::Check | Token::And | Token::Or | Token::Not
            )
        });
        if condition {
            return Some(error("a comparison is written with `==`").help("write `==`").fix(span, "=="));
        }
        let defined = self.tokens()[..self.at].iter().any(|lexeme| is_definition(lexeme.token));
        (defined || self.statement.is_expr || matches!(self.kind(self.head), Token::Return)).then(|| {
            error("`=` stands within an expression")
                .help("write `==` to compare; give each tensor a statement of its own")
        })
    }

    fn missing_operator(&self) -> Option<SyntaxError> {
        if !(self.before().ends_operand() && self.here().begins_operand()) {
            return None;
        }
        if !(self.expects("*") || self.expects(",") && self.expects("..")) {
            return None;
        }
        let (left, right) = (self.operand_before(), self.operand_after());
        let gap = Span { start: left.end, end: right.start, ..left };
        let span = left.to(right);
        let inner = self
            .open()
            .last()
            .map(|&at| (self.kind(at), at.checked_sub(1).map_or(Token::End, |at| self.kind(at))));
        let in_list = match inner {
            Some((Token::OpenBracket, _)) => self.before() == Token::Name && self.here() == Token::Name,
            Some((_, callee)) => {
                callee == Token::Name && self.before() == Token::Name && self.here() == Token::Name
            }
            None => self.after() == Token::In,
        };
        let shown = |span: Span, short: Span| {
            let text = self.text_at(span);
            let text =
                if text.len() > 40 || text.contains(['\n', '\r']) { self.text_at(short) } else { text };
            format!("`{text}`")
        };
        let left_text = shown(left, self.span_of(self.at - 1, self.at - 1));
        let right_text = shown(right, self.span());
        let (what, help, fix) = if in_list {
            ("a comma", "separate them by `,`, or multiply them by `*`", ", ")
        } else {
            ("an operator", "a product is written with `*`", " * ")
        };
        Some(
            SyntaxError::new(
                MISSING_OPERATOR,
                format!("{what} is missing between {left_text} and {right_text}"),
                span,
            )
            .label(left, "one operand")
            .label(right, "another")
            .help(help)
            .fix(gap, fix),
        )
    }

    /// The access, call or single token that ends before the token.
    fn operand_before(&self) -> Span {
        let last = self.at - 1;
        let mut from = last;
        while matches!(self.kind(from), Token::CloseParen | Token::CloseBracket) {
            let Some(open) = opener(&self.tokens()[..=last], from) else { break };
            from = open;
            match open.checked_sub(1).map(|at| self.kind(at)) {
                Some(Token::Name) => {
                    from -= 1;
                    break;
                }
                Some(Token::CloseParen | Token::CloseBracket) => from -= 1,
                _ => break,
            }
        }
        self.span_of(from, last)
    }

    /// The access, call or single token that begins with the token.
    fn operand_after(&self) -> Span {
        let mut to = self.at;
        if self.here() == Token::OpenParen {
            to = closer(self.tokens(), self.at).unwrap_or(to);
        }
        while matches!(self.kind(to + 1), Token::OpenBracket | Token::OpenParen) {
            match closer(self.tokens(), to + 1) {
                Some(close) => to = close,
                None => break,
            }
        }
        self.span_of(self.at, to)
    }

    /// Slices, lists and second brackets, which other languages have.
    fn brackets(&self) -> Option<SyntaxError> {
        let span = self.span();
        if self.here() == Token::OpenBracket && self.before() == Token::CloseBracket {
            let both = self.span_of(self.at - 1, self.at);
            return Some(
                SyntaxError::new(UNEXPECTED, "indices stand in one pair of brackets", span)
                    .label(span, "a second pair")
                    .help("write `A[i, j]`")
                    .fix(both, ", "),
            );
        }
        if self.here() == Token::OpenBracket && self.expects("number") {
            return Some(
                SyntaxError::new(UNEXPECTED, "there are no lists", span)
                    .label(span, "an operand is expected")
                    .help("a table is an `input` or `param`, or computed from its indices"),
            );
        }
        let in_brackets = self.open().last().is_some_and(|&at| self.kind(at) == Token::OpenBracket);
        if in_brackets && matches!(self.here(), Token::Colon | Token::DotDot | Token::DotDotEq) {
            return Some(
                SyntaxError::new(UNEXPECTED, "there are no slices", span)
                    .label(span, "an index is expected")
                    .help("name an index and give its range: `y[i] = x[i + 2] where i in 0..4`"),
            );
        }
        if self.here() == Token::Else && self.before().ends_operand() {
            return Some(
                SyntaxError::new(UNEXPECTED, "`else` belongs to no `if` and to no access", span)
                    .label(span, "not expected here")
                    .help("write `x[i + 1 else 0]` for a value outside the extents, `if c then a else b` for a choice"),
            );
        }
        if matches!(self.here(), Token::DotDot | Token::DotDotEq) && self.expects("in") {
            return Some(
                SyntaxError::new(UNEXPECTED, "a range stands only behind `in`", span)
                    .label(span, "not expected here")
                    .help("write `i in 0..4`"),
            );
        }
        if matches!(self.here(), Token::If | Token::Not) && self.expects("(") && !self.expects("if") {
            let word = self.text();
            return Some(
                SyntaxError::new(UNEXPECTED, format!("`{word}` stands within an expression"), span)
                    .label(span, "an operand is expected")
                    .help(format!("put it in parentheses: `({word} ..)`")),
            );
        }
        None
    }

    fn incomplete(&self) -> Option<SyntaxError> {
        let span = self.span();
        let error = |message: &str, label: &str, help: &str| {
            let place =
                if self.at == self.tokens().len() { self.span_of(self.at - 1, self.at - 1) } else { span };
            Some(SyntaxError::new(INCOMPLETE, message, place).label(place, label).help(help))
        };
        let head = self.kind(self.head);
        if self.tokens().is_empty() {
            return Some(
                SyntaxError::new(INCOMPLETE, "nothing stands here", span)
                    .label(span, "an expression is expected"),
            );
        }
        let has_if = self.tokens()[..self.at].iter().any(|lexeme| lexeme.token == Token::If);
        if self.expects("then") {
            return error("an `if` has no `then`", "`then` is expected", "write `if c then a else b`");
        }
        if has_if
            && self.expects("else")
            && self.open().last().is_none_or(|&at| self.kind(at) == Token::OpenParen)
        {
            return error("an `if` has no `else`", "`else` is expected", "write `if c then a else b`");
        }
        let at_end = matches!(self.here(), Token::End | Token::Block);
        match head {
            Token::Scan if self.here() == Token::End && self.expects("from") => error(
                "a scan has no `from`",
                "the scan ends here",
                "say where it starts: `scan[t] h[t] = h[t - 1] + x[t] from 0`",
            ),
            Token::Fn if at_end && self.expects("->") => error(
                "a `fn` does not say what it returns",
                "`->` is expected",
                "write `fn f(x: f32[N]) -> f32[N] { .. }`",
            ),
            Token::Fn if at_end && self.expects("block") => {
                error("a `fn` has no body", "`{` is expected", "write `fn f(x: f32[N]) -> f32[N] { .. }`")
            }
            Token::Target if self.expects("block") => {
                error("a `target` has no settings", "`{` is expected", "write `target cpu { threads = 2 }`")
            }
            Token::Grad if self.expects("wrt") => {
                error("a `grad` has no `wrt`", "`wrt` is expected", "write `grad L wrt W -> dW`")
            }
            Token::Grad if self.expects("->") => {
                error("a gradient has no name", "`->` is expected", "write `grad L wrt W -> dW`")
            }
            Token::Solve if self.expects("for") => error(
                "a `solve` does not name its unknown",
                "`for` is expected",
                "write `solve A[i, j] * x[j] = b[i] for x[j]`",
            ),
            Token::Decompose if self.expects("~") => error(
                "a `decompose` has no factors",
                "`~` is expected",
                "write `decompose W[o, i] ~ A[o, r] * B[r, i] where r in 0..8`",
            ),
            _ if self.here() == Token::End => {
                let list = self.expected_words();
                let list: Vec<&str> = list.iter().map(String::as_str).collect();
                let last = self.span_of(self.at - 1, self.at - 1);
                let label = if list.is_empty() {
                    "it ends here".into()
                } else {
                    format!("{} is expected", one_of(&list))
                };
                let what = if self.statement.is_expr { "the expression" } else { "the statement" };
                let mut error =
                    SyntaxError::new(INCOMPLETE, format!("{what} ends too early"), last).label(last, label);
                error.help = self.form().map(|form| format!("the form is `{form}`"));
                Some(error)
            }
            _ => None,
        }
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

    /// How a statement of this kind is written, where that fits a line.
    fn form(&self) -> Option<&'static str> {
        Some(match self.kind(self.head) {
            _ if self.statement.is_expr => return None,
            Token::Import => "import \"file.ein\" (name)",
            Token::Dim => "dim M, K in 1..=4096, G = K // 32",
            Token::Type => "type F in f32, f64",
            Token::Secret | Token::Input | Token::Param | Token::Output | Token::Inout => {
                "input A: f32[M, K]"
            }
            Token::Const => "const n = 4",
            Token::Fn => "fn f(x: f32[N]) -> f32[N] { .. }",
            Token::Target => "target cpu { threads = 2 }",
            Token::Scan => "scan[t] h[t] = h[t - 1] + x[t] from 0",
            Token::Decompose => "decompose W[o, i] ~ A[o, r] * B[r, i] where r in 0..8 by svd",
            Token::Solve => "solve A[i, j] * x[j] = b[i] for x[j]",
            Token::Grad => "grad L wrt W -> dW",
            _ => return None,
        })
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

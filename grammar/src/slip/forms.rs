//! Slips in the form of a statement: its left side, its declaration, its clauses.

use super::{Slip, closer, is_comparison, is_definition};
use crate::SyntaxError;
use crate::codes::*;
use crate::token::{KEYWORDS, STATEMENT_WORDS, Token};
use crate::tree::Span;

/// The word that opens statements and is at most a few letters away from `word`.
fn nearest_keyword(word: &str) -> Option<&'static str> {
    let openers = KEYWORDS.iter().filter(|entry| entry.1.is_item_keyword()).chain(&STATEMENT_WORDS);
    let near = openers.map(|entry| (distance(word, entry.0), entry.0)).min()?;
    (near.0 <= near.1.len() / 3).then_some(near.1)
}

/// How many letters must be added, removed, replaced or exchanged with their neighbour to make `b` of `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(16).collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

impl Slip<'_> {
    pub(super) fn declaration(&self) -> Option<SyntaxError> {
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
            && matches!(self.kind(self.at.saturating_sub(2)), Token::Colon | Token::Arrow)
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
        if self.here() == Token::For && !self.expects("for") && self.after() == Token::Name {
            // The word may go on with the line before, as a clause.
            return Some(
                SyntaxError::new(DECLARATION_FORM, "`for` opens no statement", span)
                    .label(span, "not a word of the language")
                    .help("there are no loops: an index on the left runs over its range"),
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
                _ if self.here() == Token::Name
                    && let Some(keyword) = nearest_keyword(word) =>
                {
                    Some(error(&format!("did you mean `{keyword}`?")).fix(first, keyword))
                }
                _ if self.here() == Token::Name && self.find_outside(self.at, is_definition).is_some() => {
                    Some(error("a definition begins with the tensor it defines").fix(gap, ""))
                }
                _ => None,
            };
        }
        None
    }

    pub(super) fn parentheses_on_the_left(&self) -> Option<SyntaxError> {
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

    pub(super) fn keyword_as_name(&self) -> Option<SyntaxError> {
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

    pub(super) fn no_left_side(&self) -> Option<SyntaxError> {
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

    /// A statement begins where the one before has not ended.
    pub(super) fn run_together(&self) -> Option<SyntaxError> {
        let goes_on = self.expects("name") || self.statement.is_expr || !self.open().is_empty();
        if !self.here().is_item_keyword() || !self.before().ends_operand() || goes_on {
            return None;
        }
        let (span, before) = (self.span(), self.span_of(self.at - 1, self.at - 1));
        let gap = Span { start: before.end, end: span.start, ..span };
        Some(
            SyntaxError::new(UNEXPECTED, format!("`{}` begins another statement", self.text()), span)
                .label(span, "the statement before has not ended")
                .help("put it on a line of its own, or write `;` before it")
                .fix(gap, "\n"),
        )
    }

    pub(super) fn incomplete(&self) -> Option<SyntaxError> {
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

    /// How a statement of this kind is written, where that fits a line.
    pub(super) fn form(&self) -> Option<&'static str> {
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
}

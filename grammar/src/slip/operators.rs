//! Slips within an expression: operators of other languages, missing ones, brackets and commas.

use super::{Slip, closer, is_comparison, is_definition, opener};
use crate::SyntaxError;
use crate::codes::*;
use crate::token::Token;
use crate::tree::Span;

impl Slip<'_> {
    pub(super) fn foreign_comment(&self) -> Option<SyntaxError> {
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

    pub(super) fn other_assignment(&self) -> Option<SyntaxError> {
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

    pub(super) fn foreign_operator(&self) -> Option<SyntaxError> {
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
        if self.here() == Token::At && self.before().ends_operand() && self.at > self.head {
            return Some(
                error.help("a product of matrices names its indices: `C[i, k] = A[i, j] * B[j, k]`"),
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

    pub(super) fn decimal_point(&self) -> Option<SyntaxError> {
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

    /// An ellipsis with two dots or four.
    pub(super) fn dots(&self) -> Option<SyntaxError> {
        let span = match (self.before(), self.here(), self.after()) {
            (
                Token::OpenBracket | Token::Comma,
                Token::DotDot,
                Token::Name | Token::CloseBracket | Token::Comma,
            ) => self.span(),
            (Token::Ellipsis, Token::Dot | Token::DotDot | Token::Ellipsis, _) => {
                self.span_of(self.at - 1, self.at)
            }
            _ => return None,
        };
        Some(
            SyntaxError::new(UNEXPECTED, "an ellipsis has three dots", span)
                .label(span, format!("{} dots", span.end - span.start))
                .help("write `...`, with a name behind it if you like")
                .fix(span, "..."),
        )
    }

    pub(super) fn dangling_comma(&self) -> Option<SyntaxError> {
        let opens = matches!(self.before(), Token::Comma | Token::OpenParen | Token::OpenBracket);
        if self.here() == Token::Comma && opens {
            let span = self.span();
            return Some(
                SyntaxError::new(DANGLING_COMMA, "nothing stands before the comma", span)
                    .label(span, "an entry of the list is missing")
                    .help("remove the comma, or write what belongs before it; a dim of extent 1 is `_`")
                    .fix(span, ""),
            );
        }
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

    pub(super) fn chained_comparison(&self) -> Option<SyntaxError> {
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

    pub(super) fn definition_or_equality(&self) -> Option<SyntaxError> {
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

    pub(super) fn missing_operator(&self) -> Option<SyntaxError> {
        if !(self.before().ends_operand() && self.here().begins_operand()) {
            return None;
        }
        let names = self.open().is_empty() && self.before() == Token::Name && self.here() == Token::Name;
        let in_dims = self.kind(self.head) == Token::Dim && names;
        if !(self.expects("*") || self.expects(",") && (self.expects("..") || in_dims)) {
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
            None => self.after() == Token::In || in_dims,
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
    pub(super) fn brackets(&self) -> Option<SyntaxError> {
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
}

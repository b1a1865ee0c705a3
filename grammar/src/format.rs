//! Lays the tokens of a text without errors out.
//!
//! Works on tokens and not on the tree, so that comments and line breaks stay where their writer put them; only
//! spaces, indentation, blank lines and needless semicolons change.

use crate::token::{Lexeme, Token};

/// The text that `lexemes` stand for, in its one layout.
pub fn layout(text: &str, lexemes: &[Lexeme]) -> String {
    let tight = tight_operators(lexemes);
    let mut writer = Writer { text, out: String::with_capacity(text.len()), ..Writer::default() };
    for (at, lexeme) in lexemes.iter().enumerate() {
        match lexeme.token {
            Token::Newline | Token::Continued => {
                writer.breaks += 1;
                writer.continued = lexeme.token == Token::Continued;
            }
            Token::End => {}
            Token::Semicolon => {
                let next = &lexemes[at + 1..];
                let next = next
                    .iter()
                    .find(|next| !matches!(next.token, Token::Comment | Token::Doc | Token::Semicolon));
                let last = next.is_none_or(|next| {
                    matches!(next.token, Token::Newline | Token::Continued | Token::CloseBrace | Token::End)
                });
                let needless = writer.breaks > 0
                    || matches!(writer.last, None | Some(Token::Semicolon | Token::OpenBrace));
                if !last && !needless {
                    writer.token(lexeme, false);
                }
            }
            _ => writer.token(lexeme, tight[at]),
        }
    }
    if !writer.out.is_empty() {
        writer.out.push('\n');
    }
    writer.out
}

/// Which product operators are written without spaces: those in an index that is a sum, as in `2*i + 1`.
fn tight_operators(lexemes: &[Lexeme]) -> Vec<bool> {
    /// One of the comma-separated parts between brackets.
    #[derive(Default)]
    struct Part {
        in_index: bool,
        products: Vec<usize>,
        is_sum: bool,
    }
    fn end(part: &mut Part, tight: &mut [bool]) {
        if part.in_index && part.is_sum {
            part.products.iter().for_each(|&at| tight[at] = true);
        }
        part.products.clear();
        part.is_sum = false;
    }
    let mut tight = vec![false; lexemes.len()];
    let mut parts = vec![Part::default()];
    let mut last = Token::Newline;
    for (at, lexeme) in lexemes.iter().enumerate() {
        use Token::*;
        let outer = parts.last().is_some_and(|part| part.in_index);
        let Some(part) = parts.last_mut() else { break };
        match lexeme.token {
            OpenBracket | OpenParen => {
                let in_index = lexeme.token == OpenBracket || outer;
                parts.push(Part { in_index, ..Part::default() });
            }
            CloseBracket | CloseParen => {
                end(part, &mut tight);
                if parts.len() > 1 {
                    parts.pop();
                }
            }
            Comma | Else | Where | DotDot | DotDotEq | In | Newline => end(part, &mut tight),
            Star | Slash | SlashSlash | Percent | StarStar if part.in_index => part.products.push(at),
            Plus => part.is_sum = true,
            Minus if last.ends_operand() => part.is_sum = true,
            _ => {}
        }
        if !matches!(lexeme.token, Continued | Comment | Doc) {
            last = lexeme.token;
        }
    }
    tight
}

/// Writes tokens with what belongs between them.
#[derive(Default)]
struct Writer<'t> {
    text: &'t str,
    out: String,
    /// The token before, comments left out.
    last: Option<Token>,
    /// Whether that token is a sign or a tight operator, to which the next token sticks.
    sticks: bool,
    /// Newlines since the last token or comment.
    breaks: usize,
    /// Whether the last of them is within a statement.
    continued: bool,
    /// How many blocks are open.
    blocks: usize,
    /// How many brackets are open.
    brackets: usize,
}

impl Writer<'_> {
    fn token(&mut self, lexeme: &Lexeme, tight: bool) {
        let token = lexeme.token;
        let text = self.text[lexeme.start as usize..lexeme.end as usize].trim_end();
        let comment = matches!(token, Token::Comment | Token::Doc);
        if token == Token::CloseBrace {
            self.blocks = self.blocks.saturating_sub(1);
        }
        let closes = matches!(token, Token::CloseParen | Token::CloseBracket);
        if closes {
            self.brackets = self.brackets.saturating_sub(1);
        }
        if self.out.is_empty() {
            self.breaks = 0;
        } else if self.breaks > 0 {
            let at_edge =
                self.last == Some(Token::OpenBrace) && self.out.ends_with('{') || token == Token::CloseBrace;
            self.out.push_str(if self.breaks > 1 && !at_edge { "\n\n" } else { "\n" });
            let levels = match (self.brackets, self.continued) {
                (0, true) if closes => 0,
                (0, true) => 1,
                (brackets, _) => brackets,
            };
            self.out.extend(std::iter::repeat_n("    ", self.blocks + levels));
        } else if comment {
            self.out.push_str("  ");
        } else if !tight && self.spaced(token) {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.breaks = 0;
        if comment {
            return;
        }
        let sign = token == Token::Minus && !self.last.is_some_and(Token::ends_operand);
        self.sticks = tight || sign;
        self.last = Some(token);
        match token {
            Token::OpenBrace => self.blocks += 1,
            Token::OpenParen | Token::OpenBracket => self.brackets += 1,
            _ => {}
        }
    }

    /// Whether a space stands between the token before and this one.
    fn spaced(&self, token: Token) -> bool {
        use Token::*;
        let Some(last) = self.last else { return false };
        match (last, token) {
            _ if self.sticks => false,
            (_, Comma | Semicolon | CloseParen | CloseBracket | Dot | Colon | DotDot | DotDotEq) => false,
            (OpenParen | OpenBracket | Dot | DotDot | DotDotEq | At, _) => false,
            (Ellipsis, Name) => false,
            (OpenBrace, CloseBrace) => false,
            (Name | CloseBracket, OpenParen) => false,
            (Name | CloseParen | Scan, OpenBracket) => false,
            _ => true,
        }
    }
}

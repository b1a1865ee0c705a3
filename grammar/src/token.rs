//! Cuts source text into tokens; the only module that names logos.
//!
//! A [`Lexeme`] is a token and its place and nothing more, so that a file of 16 MiB stays affordable; what a name
//! or a number says is read from the text again when the tree is built. What is no token at all becomes
//! [`Token::Bad`], which [`explain_bad`] explains when it is met, and lexing goes on.

use crate::literal;
use crate::tree::Span;
use crate::{SyntaxError, codes};
use logos::Logos;

/// The kinds of tokens.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[logos(skip r"[ \t\f]+")]
#[allow(missing_docs)]
pub enum Token {
    #[regex(r"\r\n|\n|\r")]
    Newline,
    /// `# ..`, to the end of the line.
    #[regex(r"#[^\r\n]*", allow_greedy = true)]
    Comment,
    /// `## ..`
    Doc,
    /// An identifier; keywords are told apart afterwards.
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Name,
    #[regex(r"[0-9]+(_[0-9]+)*(\.[0-9]+(_[0-9]+)*)?([eE][+-]?[0-9]+)?")]
    Number,
    #[regex(r#""([^"\\\r\n]|\\[^\r\n])*""#)]
    String,

    Import,
    Dim,
    Secret,
    Input,
    Param,
    Output,
    Inout,
    Const,
    Fn,
    Target,
    Scan,
    Decompose,
    Grad,
    Check,
    Return,
    If,
    Then,
    Else,
    And,
    Or,
    Not,
    In,
    As,
    Where,

    By,
    With,
    From,
    Wrt,
    For,
    Type,
    Solve,

    #[token("(")]
    OpenParen,
    #[token(")")]
    CloseParen,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token(";")]
    Semicolon,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("..=")]
    DotDotEq,
    #[token("...")]
    Ellipsis,
    Underscore,
    #[token("@")]
    At,
    #[token("~")]
    Tilde,
    #[token("->")]
    Arrow,
    #[token("=")]
    Eq,
    #[token("+=")]
    PlusEq,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("//")]
    SlashSlash,
    #[token("%")]
    Percent,
    #[token("**")]
    StarStar,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<=")]
    LessEq,
    #[token(">=")]
    GreaterEq,
    #[token("<")]
    Less,
    #[token(">")]
    Greater,
    /// `:=`, which the language does not have.
    #[token(":=")]
    ColonEq,
    /// `-=`, `*=`, `/=`, which the language does not have.
    #[token("-=")]
    #[token("*=")]
    #[token("/=")]
    OtherEq,
    /// Operators of other languages.
    #[token("^")]
    #[token("&")]
    #[token("&&")]
    #[token("|")]
    #[token("||")]
    #[token("!")]
    #[token("?")]
    #[token("++")]
    #[token("<-")]
    #[token("=>")]
    #[token("===")]
    Foreign,
    /// A newline that does not end its statement; told apart when statements are cut.
    Continued,
    /// What is no token.
    Bad,

    /// A block in braces that was parsed before.
    Block,
    /// Stands before a statement.
    StartItem,
    /// Stands before an expression.
    StartExpr,
    /// Stands behind the last token of a file.
    End,
}

/// The hard keywords: they are never names.
pub const KEYWORDS: [(&str, Token); 24] = [
    ("import", Token::Import),
    ("dim", Token::Dim),
    ("secret", Token::Secret),
    ("input", Token::Input),
    ("param", Token::Param),
    ("output", Token::Output),
    ("inout", Token::Inout),
    ("const", Token::Const),
    ("fn", Token::Fn),
    ("target", Token::Target),
    ("scan", Token::Scan),
    ("decompose", Token::Decompose),
    ("grad", Token::Grad),
    ("check", Token::Check),
    ("return", Token::Return),
    ("if", Token::If),
    ("then", Token::Then),
    ("else", Token::Else),
    ("and", Token::And),
    ("or", Token::Or),
    ("not", Token::Not),
    ("in", Token::In),
    ("as", Token::As),
    ("where", Token::Where),
];

/// Words that open a clause where a clause can stand, and are names elsewhere.
pub const CLAUSE_WORDS: [(&str, Token); 5] = [
    ("by", Token::By),
    ("with", Token::With),
    ("from", Token::From),
    ("wrt", Token::Wrt),
    ("for", Token::For),
];

/// Words that open a statement where one begins, and are names elsewhere.
pub const STATEMENT_WORDS: [(&str, Token); 2] = [("type", Token::Type), ("solve", Token::Solve)];

impl Token {
    /// Whether it is a hard keyword.
    pub fn is_keyword(self) -> bool {
        (Token::Import as u8..=Token::Where as u8).contains(&(self as u8))
    }

    /// Whether it is a hard keyword with which only a statement can begin.
    pub fn is_item_keyword(self) -> bool {
        (Token::Import as u8..=Token::Return as u8).contains(&(self as u8))
    }

    /// Whether only a statement can begin with it.
    pub fn opens_statement(self) -> bool {
        self.is_item_keyword() || matches!(self, Token::At | Token::Type | Token::Solve)
    }

    /// Whether an operand can end with it.
    pub fn ends_operand(self) -> bool {
        use Token::*;
        matches!(self, Name | Number | String | CloseParen | CloseBracket | Underscore | Block)
    }

    /// Whether an operand can begin with it.
    pub fn begins_operand(self) -> bool {
        matches!(self, Token::Name | Token::Number | Token::String | Token::OpenParen)
    }

    /// Whether it is an operator that stands between two operands.
    pub fn is_operator(self) -> bool {
        use Token::*;
        matches!(
            self,
            Plus | Minus
                | Star
                | Slash
                | SlashSlash
                | Percent
                | StarStar
                | EqEq
                | NotEq
                | LessEq
                | GreaterEq
                | Less
                | Greater
                | And
                | Or
                | In
                | As
        )
    }

    /// Whether a statement goes on behind a line that ends with it.
    pub fn continues_after(self) -> bool {
        use Token::*;
        self.is_operator()
            || matches!(
                self,
                Eq | PlusEq
                    | ColonEq
                    | OtherEq
                    | Foreign
                    | Bad
                    | Tilde
                    | Arrow
                    | Comma
                    | Colon
                    | Dot
                    | DotDot
                    | DotDotEq
                    | Not
                    | If
                    | Then
                    | Else
                    | Where
            )
    }

    /// Whether a line that begins with it goes on with the statement before.
    pub fn continues_before(self) -> bool {
        use Token::*;
        self.is_operator()
            || matches!(
                self,
                Eq | PlusEq
                    | ColonEq
                    | OtherEq
                    | Foreign
                    | Bad
                    | Tilde
                    | Arrow
                    | Comma
                    | Colon
                    | Dot
                    | DotDot
                    | DotDotEq
                    | Then
                    | Else
                    | Where
            )
    }
}

/// A token and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lexeme {
    /// Its kind.
    pub token: Token,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// Cuts a text of less than 4 GiB into tokens, comments and newlines among them; the last is [`Token::End`].
pub fn lex(text: &str) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lexer = Token::lexer(text);
    lexer.bump(start);
    while let Some(token) = lexer.next() {
        let start = lexer.span().start;
        let token = match token {
            Ok(Token::Name) => {
                lexer.bump(name_tail(lexer.remainder()));
                word(lexer.slice())
            }
            Ok(Token::Comment) => comment(lexer.slice()),
            Ok(Token::Number) => {
                lexer.bump(name_tail(lexer.remainder()));
                if literal::number(lexer.slice()).is_ok() { Token::Number } else { Token::Bad }
            }
            Ok(Token::String) if literal::string(lexer.slice()).is_err() => Token::Bad,
            Ok(token) => token,
            Err(()) => {
                // The generated matcher may have taken part of a character or several; take one, or a name.
                let rest = &text[start..];
                let first = rest.chars().next().unwrap_or('\0');
                let is_name = unicode_ident::is_xid_start(first);
                let length = match first {
                    _ if is_name => first.len_utf8() + name_tail(&rest[first.len_utf8()..]),
                    '"' => rest.find(['\r', '\n']).unwrap_or(rest.len()),
                    '\'' | '`' => match rest[1..].find([first, '\r', '\n']) {
                        Some(end) if rest[1 + end..].starts_with(first) => end + 2,
                        _ => 1,
                    },
                    _ => first.len_utf8(),
                };
                lexer.bump((start + length).saturating_sub(lexer.span().end));
                if is_name { Token::Name } else { Token::Bad }
            }
        };
        lexemes.push(Lexeme { token, start: start as u32, end: lexer.span().end as u32 });
    }
    let end = text.len() as u32;
    lexemes.push(Lexeme { token: Token::End, start: end, end });
    lexemes
}

/// What is wrong with a [`Token::Bad`] of that text.
pub fn explain_bad(text: &str, span: Span) -> SyntaxError {
    let problem = match text.as_bytes() {
        [b'0'..=b'9', ..] => literal::number(text).err(),
        [b'"', .., b'"'] => literal::string(text).err(),
        _ => None,
    };
    problem.map_or_else(|| codes::bad_character(text, span), |problem| problem.at(span))
}

/// How many bytes at the start of `rest` go on with a name: letters, digits, marks, then primes.
fn name_tail(rest: &str) -> usize {
    let letters = rest.find(|c| !unicode_ident::is_xid_continue(c)).unwrap_or(rest.len());
    let primes = rest[letters..].bytes().take_while(|&byte| byte == b'\'').count();
    letters + primes
}

fn word(text: &str) -> Token {
    if text == "_" {
        return Token::Underscore;
    }
    KEYWORDS.iter().find(|(keyword, _)| *keyword == text).map_or(Token::Name, |(_, token)| *token)
}

fn comment(text: &str) -> Token {
    if text.starts_with("##") && !text.starts_with("###") { Token::Doc } else { Token::Comment }
}

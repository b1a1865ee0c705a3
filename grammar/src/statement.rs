//! Cuts tokens into statements, and has each of them parsed.
//!
//! A statement ends at a `;` and at a newline, unless the newline stands in `(` or `[`, behind an operator, comma
//! or `=`, behind attributes, or before a line that begins with an operator or opens a clause. A block in braces
//! is read first, statement by statement, and stands in its statement as one token; so an error costs the
//! statement it stands in and nothing more. An unclosed bracket ends with the line before the next one that looks
//! like a statement.

use crate::codes;
use crate::ein::StartParser;
use crate::make::{Context, Root};
use crate::slip;
use crate::token::{self, CLAUSE_WORDS, Lexeme, STATEMENT_WORDS, Token};
use crate::tree::{Expr, Item, Span};
use crate::{DEEPEST, MOST_ERRORS, MOST_TERMS, SyntaxError};

/// What a run of tokens is read as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// A statement.
    Statement,
    /// A setting of a `target` block, which a comma ends too.
    Setting,
    /// One expression: newlines mean nothing.
    Expr,
}

/// The tokens of one statement, as far as they could be gathered.
#[derive(Default)]
struct Gathered {
    tokens: Vec<Lexeme>,
    block: Vec<Item>,
    /// Whether a `where` stands in it outside brackets.
    in_where: bool,
    /// The first thing wrong with it, which is what is reported.
    error: Option<SyntaxError>,
    /// Whether it is dropped without a report of its own.
    dropped: bool,
}

impl Gathered {
    fn last(&self) -> Option<Token> {
        self.tokens.last().map(|lexeme| lexeme.token)
    }

    /// Notes what is wrong, unless something was before.
    fn fail(&mut self, error: SyntaxError) {
        self.error.get_or_insert(error);
    }
}

/// How far the tokens so far are attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attributes {
    /// An attribute may begin here.
    Between,
    /// Behind `@`.
    Sign,
    /// Behind the name of one.
    Named,
    /// The statement itself has begun.
    Past,
}

/// Counts how deep operators nest between brackets: right-leaning chains are as deep as parentheses.
#[derive(Clone, Copy, Default)]
struct Chain {
    /// Unary operators, powers, casts and fields since the last operator that binds less.
    operators: usize,
    /// Conditionals since the last comma.
    conditionals: usize,
}

/// Reads the statements of one text.
pub struct Reader<'t> {
    text: &'t str,
    file: u32,
    lexemes: Vec<Lexeme>,
    at: usize,
    errors: Vec<SyntaxError>,
    parser: StartParser,
    /// How many blocks are open.
    blocks: usize,
}

impl<'t> Reader<'t> {
    /// A reader at the start of `text`.
    pub fn new(text: &'t str, file: u32) -> Reader<'t> {
        Reader {
            text,
            file,
            lexemes: token::lex(text),
            at: 0,
            errors: Vec::new(),
            parser: StartParser::new(),
            blocks: 0,
        }
    }

    /// The errors so far in the order of the text, as many as are shown.
    pub fn into_errors(mut self) -> Vec<SyntaxError> {
        self.errors.sort_by_key(|error| error.span.start);
        self.errors.truncate(MOST_ERRORS);
        self.errors
    }

    /// The tokens, with the keywords and newlines told apart that depend on their place; the errors otherwise.
    pub fn into_lexemes(mut self) -> Result<Vec<Lexeme>, Vec<SyntaxError>> {
        self.items();
        if self.errors.is_empty() { Ok(self.lexemes) } else { Err(self.into_errors()) }
    }

    /// Every statement of the text.
    pub fn items(&mut self) -> Vec<Item> {
        let mut items = self.block_items(Mode::Statement);
        while self.here().token == Token::CloseBrace && self.errors.len() < MOST_ERRORS {
            let span = self.span(self.here());
            self.errors.push(codes::unmatched("}", span));
            self.at += 1;
            items.extend(self.block_items(Mode::Statement));
        }
        items
    }

    /// The expression that fills the text; `None` after an error.
    pub fn expr(&mut self) -> Option<Expr> {
        let gathered = self.gather(Mode::Expr);
        let here = self.here();
        if here.token != Token::End && gathered.error.is_none() {
            let shown = format!("`{}`", self.slice(here));
            self.errors.push(codes::unexpected(&shown, &["an operator", "the end"], self.span(here)));
            return None;
        }
        match self.parse(gathered, Token::StartExpr)? {
            Root::Expr(expr) => Some(expr),
            Root::Item(_) => None,
        }
    }

    fn here(&self) -> Lexeme {
        self.lexemes[self.at]
    }

    fn span(&self, lexeme: Lexeme) -> Span {
        Span { file: self.file, start: lexeme.start, end: lexeme.end }
    }

    fn slice(&self, lexeme: Lexeme) -> &'t str {
        &self.text[lexeme.start as usize..lexeme.end as usize]
    }

    /// Reads statements up to a closing brace or the end of the text, which is left where it is.
    fn block_items(&mut self, mode: Mode) -> Vec<Item> {
        let mut items = Vec::new();
        let mut doc: Vec<&str> = Vec::new();
        loop {
            let here = self.here();
            match here.token {
                Token::End | Token::CloseBrace => return items,
                Token::Comment | Token::Semicolon => self.at += 1,
                Token::Comma if mode == Mode::Setting => self.at += 1,
                Token::Doc => {
                    let line = self.slice(here).trim_start_matches('#');
                    doc.push(line.strip_prefix(' ').unwrap_or(line).trim_end());
                    self.at += 1;
                    // The newline of the comment's own line is no blank line.
                    if self.here().token == Token::Newline {
                        self.at += 1;
                    }
                }
                Token::Newline => {
                    doc.clear();
                    self.at += 1;
                }
                _ => {
                    if self.errors.len() >= MOST_ERRORS {
                        self.at = self.lexemes.len() - 1;
                        return items;
                    }
                    let before = self.at;
                    let gathered = self.gather(mode);
                    if let Some(Root::Item(mut item)) = self.parse(gathered, Token::StartItem) {
                        item.doc = (!doc.is_empty()).then(|| doc.join("\n"));
                        items.push(*item);
                    }
                    doc.clear();
                    // A statement takes at least one token, or reading would never end.
                    self.at = self.at.max(before + 1).min(self.lexemes.len() - 1);
                }
            }
        }
    }

    /// Parses gathered tokens; reports what is wrong with them if nothing was reported before.
    fn parse(&mut self, gathered: Gathered, start: Token) -> Option<Root> {
        if let Some(error) = gathered.error {
            self.errors.push(error);
            return None;
        }
        if gathered.dropped {
            return None;
        }
        let at = gathered.tokens.first().map_or(self.here().start, |first| first.start);
        let mut context = Context { text: self.text, file: self.file, block: gathered.block };
        let marker = std::iter::once(Ok((at, start, at)));
        let tokens = gathered.tokens.iter().map(|lexeme| Ok((lexeme.start, lexeme.token, lexeme.end)));
        match self.parser.parse(&mut context, marker.chain(tokens)) {
            Ok(root) => Some(root),
            Err(error) => {
                let whole = slip::Statement {
                    text: self.text,
                    file: self.file,
                    tokens: &gathered.tokens,
                    is_expr: start == Token::StartExpr,
                };
                self.errors.push(slip::explain(&whole, error));
                None
            }
        }
    }

    /// Takes the tokens of one statement, and its block, if it has one.
    fn gather(&mut self, mode: Mode) -> Gathered {
        let mut gathered = Gathered::default();
        let mut open: Vec<usize> = Vec::new();
        let mut chains = vec![Chain::default()];
        let mut attributes = if mode == Mode::Expr { Attributes::Past } else { Attributes::Between };
        // The sum of the depths of `chains`.
        let mut chained = 0;
        let mut head = None;
        let mut terms = 0;
        let first = self.at;
        loop {
            self.retag(&gathered, open.is_empty(), attributes, mode);
            let here = self.here();
            match here.token {
                Token::Comment | Token::Doc => {
                    self.at += 1;
                    continue;
                }
                Token::Newline => {
                    if open.is_empty() && attributes != Attributes::Past && !gathered.tokens.is_empty() {
                        self.at += 1;
                        continue;
                    }
                    let next = self.next_token(self.at);
                    let goes_on = match (mode, open.last()) {
                        (Mode::Expr, _) => true,
                        (_, Some(_)) => !self.lexemes[next].token.is_item_keyword(),
                        (_, None) => self.goes_on(&mut gathered, next, head),
                    };
                    if goes_on {
                        let passed = self.lexemes[self.at..next].iter_mut();
                        passed.filter(|lexeme| lexeme.token == Token::Newline).for_each(|lexeme| {
                            lexeme.token = Token::Continued;
                        });
                        self.at = next;
                        continue;
                    }
                }
                _ => {}
            }
            let ends = match here.token {
                Token::Newline | Token::Semicolon | Token::CloseBrace | Token::End => true,
                Token::OpenBrace => !open.is_empty(),
                _ => false,
            };
            if ends {
                if !open.is_empty() {
                    self.unclosed(&mut gathered, &open, first);
                    if self.here().token == Token::OpenBrace {
                        self.block(&mut gathered, head);
                    }
                }
                return gathered;
            }
            match here.token {
                Token::Comma if mode == Mode::Setting && open.is_empty() => return gathered,
                Token::OpenBrace => {
                    self.block(&mut gathered, head);
                    if matches!(head, Some(Token::Fn | Token::Target)) {
                        return gathered;
                    }
                    continue;
                }
                Token::OpenParen | Token::OpenBracket => {
                    open.push(self.at);
                    chains.push(Chain::default());
                }
                Token::CloseParen | Token::CloseBracket => {
                    self.close(&mut gathered, &mut open);
                    while chains.len() > open.len() + 1 {
                        chained -= chains.pop().map_or(0, |chain| chain.depth());
                    }
                }
                Token::Bad if gathered.error.is_none() => {
                    gathered.fail(token::explain_bad(self.slice(here), self.span(here)));
                }
                _ => {}
            }
            if let Some(chain) = chains.last_mut() {
                chained -= chain.depth();
                chain.count(here.token, gathered.last());
                chained += chain.depth();
            }
            terms += usize::from(here.token.is_operator() || here.token == Token::Comma);
            if terms > MOST_TERMS && gathered.error.is_none() {
                gathered.fail(codes::too_many_terms(self.span(here)));
            }
            if self.blocks + open.len() + chained > DEEPEST && gathered.error.is_none() {
                gathered.fail(codes::too_deep(self.span(here)));
            }
            attributes = match (attributes, here.token) {
                (Attributes::Between, Token::At) => Attributes::Sign,
                (Attributes::Sign, Token::Name) => Attributes::Named,
                (Attributes::Named, Token::At) if open.is_empty() => Attributes::Sign,
                (Attributes::Named, Token::OpenParen) if gathered.last() == Some(Token::Name) => {
                    Attributes::Named
                }
                (Attributes::Named, _) if !open.is_empty() => Attributes::Named,
                (Attributes::Named, Token::CloseParen) => Attributes::Named,
                _ => Attributes::Past,
            };
            if attributes == Attributes::Past && head.is_none() {
                head = Some(here.token);
            }
            gathered.in_where |= here.token == Token::Where && open.is_empty();
            gathered.tokens.push(here);
            self.at += 1;
        }
    }

    /// Makes the name here a keyword if its word is one in this place.
    fn retag(&mut self, gathered: &Gathered, outside: bool, attributes: Attributes, mode: Mode) {
        let here = self.here();
        if here.token != Token::Name || !outside || mode == Mode::Expr {
            return;
        }
        let word = self.slice(here);
        let find =
            |words: &[(&str, Token)]| words.iter().find(|(text, _)| *text == word).map(|found| found.1);
        let begins = attributes == Attributes::Between
            || attributes == Attributes::Named
                && matches!(gathered.last(), Some(Token::Name | Token::CloseParen));
        let new = if begins {
            let next = self.lexemes[(self.at + 1).min(self.lexemes.len() - 1)].token;
            find(&STATEMENT_WORDS).filter(|token| match token {
                Token::Type => next == Token::Name,
                _ => matches!(next, Token::Name | Token::Number | Token::OpenParen | Token::Minus),
            })
        } else if attributes == Attributes::Past
            && gathered.last().is_some_and(Token::ends_operand)
            && !is_scan_axis(&gathered.tokens)
        {
            find(&CLAUSE_WORDS)
        } else {
            None
        };
        if let Some(token) = new {
            self.lexemes[self.at].token = token;
        }
    }

    /// The place of the next token that is neither newline nor comment, from `at` on.
    fn next_token(&self, mut at: usize) -> usize {
        while matches!(
            self.lexemes[at].token,
            Token::Newline | Token::Continued | Token::Comment | Token::Doc
        ) {
            at += 1;
        }
        at
    }

    /// Whether the statement goes on behind the newline here, where no bracket is open and the next token is at `at`.
    fn goes_on(&self, gathered: &mut Gathered, at: usize, head: Option<Token>) -> bool {
        let next = self.lexemes[at];
        let last = gathered.last().unwrap_or(Token::Newline);
        if matches!(next.token, Token::End | Token::CloseBrace) {
            return false;
        }
        if last == Token::Comma {
            if next.token.opens_statement() || gathered.in_where && self.defines(at) {
                let comma = gathered.tokens[gathered.tokens.len() - 1];
                gathered.fail(codes::dangling_comma(self.span(comma)));
                return false;
            }
            return true;
        }
        if last.continues_after()
            || matches!(last, Token::By | Token::With | Token::From | Token::Wrt | Token::For)
        {
            return !next.token.is_item_keyword();
        }
        if next.token == Token::OpenBrace {
            return matches!(head, Some(Token::Fn | Token::Target | Token::Scan)) && last != Token::Block;
        }
        if next.token.continues_before() {
            return true;
        }
        let follows = self.lexemes[(at + 1).min(self.lexemes.len() - 1)].token;
        next.token == Token::Name
            && last.ends_operand()
            && CLAUSE_WORDS.iter().any(|(word, _)| *word == self.slice(next))
            && !matches!(
                follows,
                Token::Eq
                    | Token::PlusEq
                    | Token::ColonEq
                    | Token::OtherEq
                    | Token::EqEq
                    | Token::OpenBracket
                    | Token::Comma
                    | Token::Colon
            )
    }

    /// Whether `name =`, `name[..] =` or the like stands at `at`.
    fn defines(&self, mut at: usize) -> bool {
        if self.lexemes[at].token != Token::Name {
            return false;
        }
        at += 1;
        if self.lexemes[at].token == Token::OpenBracket {
            let mut depth = 0usize;
            loop {
                match self.lexemes[at].token {
                    Token::OpenBracket | Token::OpenParen => depth += 1,
                    Token::CloseBracket | Token::CloseParen => depth -= 1,
                    Token::End | Token::Semicolon | Token::OpenBrace | Token::CloseBrace => return false,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        matches!(self.lexemes[at].token, Token::Eq | Token::PlusEq | Token::ColonEq | Token::OtherEq)
    }

    /// Takes the closing bracket here off the open ones.
    fn close(&mut self, gathered: &mut Gathered, open: &mut Vec<usize>) {
        let here = self.here();
        let opener = if here.token == Token::CloseParen { Token::OpenParen } else { Token::OpenBracket };
        let Some(&last) = open.last() else {
            let error = codes::unmatched(self.slice(here), self.span(here));
            gathered.fail(error);
            return;
        };
        if self.lexemes[last].token != opener {
            let wrong = self.lexemes[last];
            let depth = open.iter().rposition(|&at| self.lexemes[at].token == opener);
            let error = match depth {
                Some(_) => codes::unclosed_before(self.slice(wrong), self.span(wrong), self.span(here)),
                None => {
                    codes::mismatched(self.slice(wrong), self.span(wrong), self.slice(here), self.span(here))
                }
            };
            gathered.fail(error);
            open.truncate(depth.unwrap_or(open.len() - 1) + 1);
        }
        open.pop();
    }

    /// Reports a bracket that nothing closes, and goes back to the end of the line where its statement may end.
    fn unclosed(&mut self, gathered: &mut Gathered, open: &[usize], first: usize) {
        let margin = self.column(self.lexemes[first]);
        let mut end = open[0];
        while end < self.at {
            if matches!(self.lexemes[end].token, Token::Newline | Token::Continued) {
                let next = self.lexemes[self.next_token(end)];
                let statement = match next.token {
                    Token::Name => self.column(next) <= margin,
                    token => token.opens_statement() || matches!(token, Token::CloseBrace | Token::End),
                };
                if statement {
                    break;
                }
            }
            end += 1;
        }
        for lexeme in &mut self.lexemes[end..self.at] {
            if lexeme.token == Token::Continued {
                lexeme.token = Token::Newline;
            }
        }
        self.at = end;
        let opener = open.iter().rfind(|&&opener| opener < end).copied().unwrap_or(open[0]);
        let wrong = self.lexemes[opener];
        let line_end = self.lexemes[opener..end].iter().rfind(|lexeme| {
            !matches!(
                lexeme.token,
                Token::Newline | Token::Continued | Token::Comment | Token::Doc | Token::Semicolon
            )
        });
        let line_end = self.span(*line_end.unwrap_or(&wrong));
        let error = codes::unclosed(self.slice(wrong), self.span(wrong), line_end);
        // What was wrong behind the end belongs to the statements there.
        let end = self.lexemes[end].start;
        gathered.error = gathered.error.take().filter(|error| error.span.start < end).or(Some(error));
    }

    fn column(&self, lexeme: Lexeme) -> usize {
        let before = &self.text[..lexeme.start as usize];
        before.len() - before.rfind(['\n', '\r']).map_or(0, |at| at + 1)
    }

    /// Reads the block that opens here; passes over it where the `head` of the statement has none.
    fn block(&mut self, gathered: &mut Gathered, head: Option<Token>) {
        let opener = self.here();
        let head = head.filter(|head| matches!(head, Token::Fn | Token::Target | Token::Scan));
        let too_deep = self.blocks >= DEEPEST;
        if too_deep {
            gathered.fail(codes::too_deep(self.span(opener)));
        }
        self.at += 1;
        if too_deep || head.is_none() {
            let mut depth = 1usize;
            while depth > 0 && self.here().token != Token::End {
                match self.here().token {
                    Token::OpenBrace => depth += 1,
                    Token::CloseBrace => depth -= 1,
                    _ => {}
                }
                self.at += 1;
            }
            // The parser refuses it wherever it stands.
            let end = self.lexemes[self.at - 1].end;
            gathered.tokens.push(Lexeme { token: Token::Block, start: opener.start, end });
            return;
        }
        self.blocks += 1;
        let mode = if head == Some(Token::Target) { Mode::Setting } else { Mode::Statement };
        let items = self.block_items(mode);
        self.blocks -= 1;
        let closer = self.here();
        if closer.token == Token::CloseBrace {
            self.at += 1;
        } else if self.errors.len() < MOST_ERRORS {
            let end = self.span(opener);
            gathered.fail(codes::unclosed("{", self.span(opener), end));
        } else {
            gathered.dropped = true;
        }
        gathered.block.extend(items);
        gathered.tokens.push(Lexeme { token: Token::Block, start: opener.start, end: closer.end });
    }
}

impl Chain {
    fn depth(&self) -> usize {
        self.operators + self.conditionals
    }

    fn count(&mut self, token: Token, before: Option<Token>) {
        let unary = token == Token::Minus && !before.is_some_and(Token::ends_operand);
        match token {
            Token::StarStar | Token::As | Token::Not | Token::Dot => self.operators += 1,
            Token::Minus if unary => self.operators += 1,
            Token::If => self.conditionals += 1,
            Token::Comma => *self = Chain::default(),
            token if token.is_operator() || matches!(token, Token::Then | Token::Else) => self.operators = 0,
            _ => {}
        }
    }
}

/// Whether the tokens so far are `scan[t]`, behind which a name can stand.
fn is_scan_axis(tokens: &[Lexeme]) -> bool {
    let kinds: Vec<Token> = tokens.iter().rev().take(5).map(|lexeme| lexeme.token).collect();
    matches!(
        kinds[..],
        [Token::CloseBracket, Token::Name, Token::OpenBracket, Token::Scan, ..]
            | [Token::CloseBracket, Token::Name, Token::Name, Token::OpenBracket, Token::Scan, ..]
    )
}

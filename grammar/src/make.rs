//! Builds the tree for the actions of the grammar.

use crate::SyntaxError;
use crate::codes::{self, BAD_BINDER, UNEXPECTED};
use crate::literal;
use crate::token::Token;
use crate::tree::*;
use lalrpop_util::ParseError;

/// What a start symbol yields.
pub enum Root {
    /// A statement.
    Item(Box<Item>),
    /// An expression.
    Expr(Expr),
}

/// What stands in square brackets behind a name.
pub struct Brackets {
    /// The comma-separated parts.
    pub slots: Vec<Slot>,
    /// What follows them.
    pub tail: Tail,
    /// From bracket to bracket.
    pub span: Span,
}

/// One part in square brackets.
pub enum Slot {
    /// An index, or a binder that is written as one.
    Index(Index),
    /// `i -> r`.
    Rename(Name, Name),
}

/// The end of what stands in square brackets.
pub enum Tail {
    /// Nothing.
    None,
    /// `else 0`.
    Else(Expr),
    /// `where j in 0..3`.
    Where(Vec<Expr>),
}

/// The error type of an action.
type Failure = ParseError<u32, Token, Box<SyntaxError>>;

fn failure(error: SyntaxError) -> Failure {
    ParseError::User { error: Box::new(error) }
}

/// `list` with `part` at its end.
pub fn pushed<T>(mut list: Vec<T>, part: T) -> Vec<T> {
    list.push(part);
    list
}

/// What the actions need to know: the text, and the block that was parsed before its statement.
pub struct Context<'t> {
    /// The whole text.
    pub text: &'t str,
    /// The file's number.
    pub file: u32,
    /// The items of the block in the statement, if it has one.
    pub block: Vec<Item>,
}

impl Context<'_> {
    /// The place of those bytes.
    pub fn span(&self, start: u32, end: u32) -> Span {
        Span { file: self.file, start, end }
    }

    /// The text of those bytes.
    pub fn slice(&self, start: u32, end: u32) -> &str {
        &self.text[start as usize..end as usize]
    }

    /// An expression of that kind there.
    pub fn expr(&self, start: u32, end: u32, kind: ExprKind) -> Expr {
        Expr { kind, span: self.span(start, end) }
    }

    /// The name there. Compatibility characters that look like a Greek or Latin letter become that letter.
    pub fn name(&self, start: u32, end: u32) -> Name {
        let text = self.slice(start, end);
        let text = text.chars().map(|c| match c {
            '\u{b5}' => 'μ',
            '\u{2126}' => 'Ω',
            '\u{212a}' => 'K',
            '\u{212b}' => 'Å',
            c => c,
        });
        Name { text: text.collect(), span: self.span(start, end) }
    }

    /// The number there.
    pub fn number(&self, start: u32, end: u32) -> Result<Expr, Failure> {
        match literal::number(self.slice(start, end)) {
            Ok(number) => Ok(self.expr(start, end, ExprKind::Number(number))),
            Err(problem) => Err(failure(problem.at(self.span(start, end)))),
        }
    }

    /// The value of the string there.
    pub fn string(&self, start: u32, end: u32) -> Result<String, Failure> {
        literal::string(self.slice(start, end)).map_err(|problem| failure(problem.at(self.span(start, end))))
    }

    /// A sum, or its only term.
    pub fn sum(&self, start: u32, end: u32, mut terms: Vec<(bool, Expr)>) -> Expr {
        match (terms.len(), terms.pop()) {
            (1, Some((_, term))) => term,
            (_, last) => {
                terms.extend(last);
                self.expr(start, end, ExprKind::Sum(terms))
            }
        }
    }

    /// A product, or its only factor.
    pub fn product(&self, start: u32, end: u32, mut factors: Vec<(ProductOp, Expr)>) -> Expr {
        match (factors.len(), factors.pop()) {
            (1, Some((_, factor))) => factor,
            (_, last) => {
                factors.extend(last);
                self.expr(start, end, ExprKind::Product(factors))
            }
        }
    }

    /// A chain of `and` or `or`, or its only part.
    pub fn joined(
        &self,
        start: u32,
        end: u32,
        mut parts: Vec<Expr>,
        kind: fn(Vec<Expr>) -> ExprKind,
    ) -> Expr {
        match (parts.len(), parts.pop()) {
            (1, Some(part)) => part,
            (_, last) => {
                parts.extend(last);
                self.expr(start, end, kind(parts))
            }
        }
    }

    /// `base[..]`.
    pub fn access(&self, start: u32, end: u32, base: Expr, brackets: Brackets) -> Result<Expr, Failure> {
        let stray = |what: &str, span: Span| {
            let error =
                SyntaxError::new(BAD_BINDER, format!("{what} stands in the brackets of an access"), span);
            failure(
                error
                    .label(span, "only a reduction or a map has this")
                    .help("a reduction goes on with its body in parentheses: `sum[j where j in 0..3](x[j])`"),
            )
        };
        let otherwise = match brackets.tail {
            Tail::None => None,
            Tail::Else(value) => Some(Box::new(value)),
            Tail::Where(clauses) => {
                let last = clauses.last().map_or(brackets.span, |clause| clause.span);
                return Err(stray(
                    "`where`",
                    clauses.first().map_or(brackets.span, |first| first.span.to(last)),
                ));
            }
        };
        let mut indices = Vec::with_capacity(brackets.slots.len());
        for slot in brackets.slots {
            match slot {
                Slot::Index(index) => indices.push(index),
                Slot::Rename(from, to) => return Err(stray("`->`", from.span.to(to.span))),
            }
        }
        Ok(self.expr(start, end, ExprKind::Access { base: Box::new(base), indices, otherwise }))
    }

    /// `function[..](body)`.
    pub fn over(
        &self,
        start: u32,
        end: u32,
        function: Expr,
        brackets: Brackets,
        body: Expr,
    ) -> Result<Expr, Failure> {
        let function = match function.kind {
            ExprKind::Name(text) => Name { text, span: function.span },
            _ => {
                let error = SyntaxError::new(
                    BAD_BINDER,
                    "brackets and then parentheses follow the function of a module",
                    brackets.span.to(body.span),
                );
                return Err(failure(
                    error
                        .label(brackets.span, "only a reduction or a map binds indices")
                        .help("the arguments come first: `m.f(x)[i]`"),
                ));
            }
        };
        let conditions = match brackets.tail {
            Tail::None => Vec::new(),
            Tail::Where(conditions) => conditions,
            Tail::Else(value) => {
                let error =
                    SyntaxError::new(BAD_BINDER, "`else` stands in the brackets of a reduction", value.span);
                return Err(failure(
                    error
                        .label(value.span, "a reduction reads nothing here")
                        .help("`else` belongs to the access that may leave its range: `x[i + 1 else 0]`"),
                ));
            }
        };
        let mut binders = Vec::with_capacity(brackets.slots.len());
        for slot in brackets.slots {
            binders.push(self.binder(slot)?);
        }
        let body = Box::new(body);
        Ok(self.expr(start, end, ExprKind::Over { function, binders, conditions, body }))
    }

    fn binder(&self, slot: Slot) -> Result<Binder, Failure> {
        match slot {
            Slot::Rename(name, to) => Ok(Binder { name, ellipsis: false, rename: Some(to) }),
            Slot::Index(Index::Ellipsis(name, span)) => {
                let name = name.unwrap_or(Name { text: String::new(), span });
                Ok(Binder { name, ellipsis: true, rename: None })
            }
            Slot::Index(Index::Expr(Expr { kind: ExprKind::Name(text), span })) => {
                Ok(Binder { name: Name { text, span }, ellipsis: false, rename: None })
            }
            Slot::Index(index) => {
                let span = index.span();
                let shown = self.slice(span.start, span.end);
                let error = SyntaxError::new(BAD_BINDER, format!("`{shown}` is no name of an index"), span);
                Err(failure(
                    error
                        .label(span, "a reduction or map binds indices by name")
                        .help("name the indices: `sum[i, j](..)`; ranges and conditions come after `where`"),
                ))
            }
        }
    }

    /// The items of the block in the statement.
    pub fn take_block(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.block)
    }

    /// The items of a `target` block, each of which must be `name = value`.
    pub fn take_settings(&mut self) -> Result<Vec<(Name, Expr)>, Failure> {
        let mut settings = Vec::new();
        for item in self.take_block() {
            match item.kind {
                ItemKind::Define { mut targets, value, conditions }
                    if targets.len() == 1
                        && targets[0].indices.is_none()
                        && conditions.is_empty()
                        && item.attributes.is_empty() =>
                {
                    let name = targets.remove(0).name;
                    settings.push((name, value));
                }
                _ => {
                    let error =
                        SyntaxError::new(UNEXPECTED, "a `target` block holds only settings", item.span);
                    return Err(failure(
                        error.label(item.span, "not a setting").help("a setting is `name = value`"),
                    ));
                }
            }
        }
        Ok(settings)
    }

    /// Whether the word behind the index of a scan is `reversed`, which is a name elsewhere.
    pub fn reversed(&self, word: &Name) -> Result<(), Failure> {
        if word.text == "reversed" {
            return Ok(());
        }
        Err(failure(codes::unexpected(&format!("`{word}`"), &["`reversed`", "`]`"], word.span)))
    }

    /// A scan of one statement.
    #[allow(clippy::too_many_arguments)]
    pub fn short_scan(
        &self,
        (axis, reversed): (Name, bool),
        span: Span,
        target: Target,
        value: Expr,
        init: Vec<Argument>,
        before: Vec<Expr>,
        after: Vec<Expr>,
    ) -> Scan {
        let kind = ItemKind::Define { targets: vec![target], value, conditions: Vec::new() };
        let body = vec![Item { attributes: Vec::new(), doc: None, kind, span }];
        let conditions = before.into_iter().chain(after).collect();
        Scan { axis, reversed, body, init, conditions, block: false }
    }

    /// A scan of a block.
    pub fn block_scan(
        &mut self,
        (axis, reversed): (Name, bool),
        init: Vec<Argument>,
        before: Vec<Expr>,
        after: Vec<Expr>,
    ) -> Scan {
        let conditions = before.into_iter().chain(after).collect();
        Scan { axis, reversed, body: self.take_block(), init, conditions, block: true }
    }
}

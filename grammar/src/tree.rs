//! What was written, and where: the syntax tree of a `.ein` file.
//!
//! The tree keeps the order and the spelling of the source and decides nothing: whether `f(x)` is a function of
//! the language, a `fn` of the file or a mistake is for the checker. Sums and products are n-ary, so that a
//! million terms need no million levels.

use std::fmt;

/// A range of bytes of one source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// Which file, by the number the caller gave to `parse`.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Span {
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// An identifier and its place.
#[derive(Clone, Debug)]
pub struct Name {
    /// The text, NFC as written.
    pub text: String,
    /// Its place.
    pub span: Span,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A file: its items in order.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Declarations, functions and statements.
    pub items: Vec<Item>,
}

/// One declaration or statement with its attributes.
#[derive(Clone, Debug)]
pub struct Item {
    /// `@memory(limit = 2GiB)` and the like, in order.
    pub attributes: Vec<Attribute>,
    /// The `##` lines above it, joined by newlines.
    pub doc: Option<String>,
    /// What it is.
    pub kind: ItemKind,
    /// From the first attribute to the end.
    pub span: Span,
}

/// `@name(args)`.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// The name after `@`.
    pub name: Name,
    /// What stands in the parentheses.
    pub args: Vec<Argument>,
    /// From `@` to the closing parenthesis.
    pub span: Span,
}

/// `expr` or `name = expr` in a list of arguments.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The name, if given.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// The kinds of items.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `import "path"`, `import "path" as m`, `import "path" (a, b)`.
    Import {
        /// The path as written, and its place.
        path: Name,
        /// The name the module gets.
        alias: Option<Name>,
        /// The functions taken from it.
        names: Vec<Name>,
    },
    /// `dim M, K in 1..=4096, G = I / 32 where I % 32 == 0`.
    Dim {
        /// The dims in order.
        specs: Vec<DimSpec>,
        /// Conditions that must hold.
        conditions: Vec<Expr>,
    },
    /// `type F in f32, f64`.
    TypeVariable {
        /// The variable.
        name: Name,
        /// The dtypes it may stand for.
        choices: Vec<Name>,
    },
    /// `secret input x, y: f32[M] = expr`.
    Declare {
        /// Qualifiers in order.
        qualifiers: Vec<(Qualifier, Span)>,
        /// The declared names.
        names: Vec<Name>,
        /// Their type.
        ty: Type,
        /// A default value.
        init: Option<Expr>,
    },
    /// `const tau: f64 = 2 * pi`.
    Const {
        /// The name.
        name: Name,
        /// The type, if written.
        ty: Option<Type>,
        /// The value.
        value: Expr,
    },
    /// `fn f(x: f32[N]) -> f32[N] { .. }`.
    Function(Function),
    /// `target cuda { arch = "sm_90" }`.
    Target {
        /// `cpu`, `cuda`, `ckks`.
        name: Name,
        /// The settings in order.
        settings: Vec<(Name, Expr)>,
    },
    /// `C[i, k] = A[i, j] * B[j, k] where ..`, `s, t = f(x)`.
    Define {
        /// What is defined.
        targets: Vec<Target>,
        /// The value.
        value: Expr,
        /// The clauses after `where`.
        conditions: Vec<Expr>,
    },
    /// `C[i, n] += ..`.
    Accumulate {
        /// What is added to.
        target: Target,
        /// What is added.
        value: Expr,
        /// The clauses after `where`.
        conditions: Vec<Expr>,
    },
    /// `scan[t] h[t, n] = .. from 0`, `scan[t reversed] { .. } from m = m0, P = P0`.
    Scan(Scan),
    /// `decompose W[o, i] ~ A[o, r] * B[r, i] where r in 0..K by svd with ..`.
    Decompose {
        /// The tensor that is decomposed.
        target: Target,
        /// The product of factors.
        spec: Expr,
        /// The clauses after `where`.
        conditions: Vec<Expr>,
        /// The method after `by`, with arguments.
        method: Option<(Name, Vec<Argument>)>,
        /// The clauses after `with` (`name = expr` is an equation here).
        options: Vec<Argument>,
    },
    /// `solve A[i, j] * X[j, n] = B[i, n] for X[j, n] where .. with spd`.
    Solve {
        /// The left side.
        left: Expr,
        /// The right side.
        right: Expr,
        /// The unknown.
        unknown: Target,
        /// The clauses after `where`.
        conditions: Vec<Expr>,
        /// The clauses after `with`.
        options: Vec<Argument>,
    },
    /// `grad L wrt W -> dW, b -> db`, `grad Y with gy wrt ..`.
    Grad {
        /// What is differentiated.
        value: Name,
        /// The cotangent.
        cotangent: Option<Name>,
        /// Pairs of parameter and gradient.
        pairs: Vec<(Name, Name)>,
    },
    /// `check relerr(W, V) < 0.3`.
    Check(Expr),
    /// `return a, b`.
    Return(Vec<Expr>),
}

/// A qualifier of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Qualifier {
    Secret,
    Input,
    Param,
    Output,
    Inout,
}

/// Whether what is declared so comes from outside: what is only `secret` does.
pub fn is_given(qualifiers: &[(Qualifier, Span)]) -> bool {
    let has = |wanted| qualifiers.iter().any(|(qualifier, _)| *qualifier == wanted);
    has(Qualifier::Input)
        || has(Qualifier::Param)
        || has(Qualifier::Inout)
        || (has(Qualifier::Secret) && !has(Qualifier::Output))
}

/// One dim of a `dim` declaration.
#[derive(Clone, Debug)]
pub struct DimSpec {
    /// The name.
    pub name: Name,
    /// Free, bounded or computed.
    pub kind: DimKind,
}

/// How a dim gets its value.
#[derive(Clone, Debug)]
pub enum DimKind {
    /// Bound from the arguments' shapes or by `--set`.
    Free,
    /// `K in 1..=4096`: free, but within the range (an [`ExprKind::Range`]).
    Within(Expr),
    /// `G = I / 32`.
    Computed(Expr),
}

/// `f32[M, K] in csr`.
#[derive(Clone, Debug)]
pub struct Type {
    /// A dtype or a dtype variable.
    pub dtype: Name,
    /// The dims; empty for rank 0.
    pub dims: Vec<Index>,
    /// The storage format after `in`.
    pub format: Option<(Name, Vec<Argument>)>,
    /// Its place.
    pub span: Span,
}

/// A `fn`.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Name,
    /// Parameters in order.
    pub params: Vec<(Name, Type)>,
    /// Results in order; a single unnamed result has no name.
    pub results: Vec<(Option<Name>, Type)>,
    /// Clauses after `where` behind the signature (bounds of dims).
    pub conditions: Vec<Expr>,
    /// Its statements.
    pub body: Vec<Item>,
}

/// A left side: `C[i, k]`, or a bare `C`.
#[derive(Clone, Debug)]
pub struct Target {
    /// The tensor.
    pub name: Name,
    /// Its indices, `None` where no brackets stand.
    pub indices: Option<Vec<Index>>,
    /// Its place.
    pub span: Span,
}

/// A scan.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The index that runs.
    pub axis: Name,
    /// Whether it runs from the end.
    pub reversed: bool,
    /// The statements (a single one in the short form).
    pub body: Vec<Item>,
    /// Initial values after `from`: without a name in the short form.
    pub init: Vec<Argument>,
    /// The clauses after `where`.
    pub conditions: Vec<Expr>,
    /// Whether it was written with braces.
    pub block: bool,
}

/// One index position, in a type, on a left side, or in an access.
#[derive(Clone, Debug)]
pub enum Index {
    /// An expression: `i`, `2*s + u - 1`, `tok[b, t]`.
    Expr(Expr),
    /// `...` or `...b`.
    Ellipsis(Option<Name>, Span),
    /// `_`.
    Unit(Span),
    /// `(p r)`: the flattened axis, first name slowest.
    Group(Vec<Name>, Span),
}

impl Index {
    /// Its place.
    pub fn span(&self) -> Span {
        match self {
            Index::Expr(expr) => expr.span,
            Index::Ellipsis(_, span) | Index::Unit(span) | Index::Group(_, span) => *span,
        }
    }
}

/// An expression and its place.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A tensor without indices, an index, a dim, a constant, `pi`, `inf`, `true`.
    Name(String),
    /// `A[i, j]`, `x[2*s + u - 1 else 0]`, and what follows a call: `mlp(z, W)[b, t]`.
    Access {
        /// A [`ExprKind::Name`], a [`ExprKind::Call`], or a [`ExprKind::Field`].
        base: Box<Expr>,
        /// One for each dim.
        indices: Vec<Index>,
        /// The value outside the extents.
        otherwise: Option<Box<Expr>>,
    },
    /// `m.name`: a function of an imported module.
    Field(Box<Expr>, Name),
    /// `f(a, b, k = 3)`.
    Call {
        /// A name or a field.
        function: Box<Expr>,
        /// The arguments.
        args: Vec<Argument>,
    },
    /// `sum[j where j in 0..3](e)`, `softmax[j](e)`, `topk[e -> k](e)`.
    Over {
        /// The reduction or map.
        function: Name,
        /// The bound indices.
        binders: Vec<Binder>,
        /// The clauses after `where` within the brackets.
        conditions: Vec<Expr>,
        /// The body.
        body: Box<Expr>,
    },
    /// `-a`.
    Negate(Box<Expr>),
    /// `not a`.
    Not(Box<Expr>),
    /// `a + b - c`: terms with a sign (`true` for minus).
    Sum(Vec<(bool, Expr)>),
    /// `a * b / c % d // e`, left to right; the operator of the first factor is `Mul`.
    Product(Vec<(ProductOp, Expr)>),
    /// `a ** b`, right associative.
    Power(Box<Expr>, Box<Expr>),
    /// `a as f32`.
    Cast(Box<Expr>, Name),
    /// `a <= b`.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `r in 0..K`: the right side is a [`ExprKind::Range`].
    In(Box<Expr>, Box<Expr>),
    /// `a..b`, `a..=b`.
    Range {
        /// First value.
        start: Box<Expr>,
        /// Past the last value, or the last value.
        end: Box<Expr>,
        /// Whether `..=` was written.
        inclusive: bool,
    },
    /// `a and b and c`.
    And(Vec<Expr>),
    /// `a or b or c`.
    Or(Vec<Expr>),
    /// `if c then a else b`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
}

/// `i`, `i -> r`, or `...b` in the brackets of a reduction or map.
#[derive(Clone, Debug)]
pub struct Binder {
    /// The bound index; for an ellipsis its name (empty if unnamed).
    pub name: Name,
    /// Whether it is `...name`.
    pub ellipsis: bool,
    /// The index the result has in its place.
    pub rename: Option<Name>,
}

/// Operators of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProductOp {
    Mul,
    Div,
    Rem,
    FloorDiv,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Le,
    Ge,
    Lt,
    Gt,
}

/// A numeric literal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// `42`, `1_000`, and sizes such as `2GiB` (in bytes).
    Int(i128),
    /// `0.5`, `2e-3`.
    Real(f64),
    /// `2j`: the imaginary part.
    Imaginary(f64),
}

//! What names mean: dims, dtypes, tensors and constants of a file or of one call of a function.

use super::check::{Checker, Reported, Step};
use super::node::{Node, Symbol, Ty};
use super::size::{Size, Uncountable};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{self, DimKind, Expr, ExprKind, Index, ItemKind, Name, Number, ProductOp};
use einc_runtime::DType;
use std::collections::{HashMap, HashSet};

/// The names of a file, or of one call of a function.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The file.
    pub unit: usize,
    /// Dims by name.
    pub dims: HashMap<String, Dim>,
    /// Dtype variables that have a value.
    pub types: HashMap<String, DType>,
    /// The dims that named ellipses of the signature stand for.
    pub ellipses: HashMap<String, Vec<Size>>,
    /// Tensors that can be read.
    pub tensors: HashMap<String, Symbol>,
    /// Names in a function of single elements.
    pub values: HashMap<String, Node>,
    /// Tensors whose definition failed, or that are being defined.
    pub broken: HashSet<String>,
    /// Tensors that are defined further down, and where.
    pub later: HashMap<String, Span>,
    /// Declared results that statements define, with type and place.
    pub declared: HashMap<String, Declared>,
    /// Constants.
    pub constants: HashMap<String, Constant>,
    /// What stands before the names of tensors in dumps: `layernorm.`.
    pub prefix: String,
}

/// A dim of a scope.
#[derive(Clone, Debug)]
pub(super) enum Dim {
    /// Its size.
    Bound(Size),
    /// The expression that computes it.
    Computed(Expr),
}

/// A declared result.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub ty: DType,
    pub shape: Vec<Size>,
    pub place: Span,
}

/// A constant of the text.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub value: Expr,
    pub dtype: Option<Name>,
}

/// How deep constants and computed dims may refer to one another.
const UNFOLD_DEPTH: usize = 128;

/// How often the constants and computed dims of a program are replaced by their values at most.
const UNFOLD_LIMIT: usize = 1_000_000;

/// The dtype that a name of another language means.
pub(super) fn foreign_dtype(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 23] = [
        ("float64", "f64"),
        ("double", "f64"),
        ("float", "f64"),
        ("real", "f64"),
        ("float32", "f32"),
        ("single", "f32"),
        ("float16", "f16"),
        ("half", "f16"),
        ("bfloat16", "bf16"),
        ("complex", "c128"),
        ("complex128", "c128"),
        ("complex64", "c64"),
        ("int64", "i64"),
        ("int", "i64"),
        ("integer", "i64"),
        ("long", "i64"),
        ("int32", "i32"),
        ("int16", "i16"),
        ("int8", "i8"),
        ("uint64", "u64"),
        ("uint32", "u32"),
        ("uint16", "u16"),
        ("uint8", "u8"),
    ];
    NAMES.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
}

impl Checker<'_> {
    /// The scope of a file: its dims, dtype variables and constants.
    pub(super) fn file_scope(&mut self, unit: usize) -> Scope {
        if let Some(scope) = &self.file_scopes[unit] {
            return scope.clone();
        }
        let mut scope = Scope { unit, ..Scope::default() };
        let module = self.module;
        for item in module.units[unit].declarations() {
            self.declare_names(&mut scope, item);
        }
        for function in module.units[unit].doubled() {
            self.duplicate(&function.name, "function");
        }
        self.file_scopes[unit] = Some(scope.clone());
        scope
    }

    /// Adds the dims, dtype variables and constants that an item declares.
    pub(super) fn declare_names(&mut self, scope: &mut Scope, item: &tree::Item) {
        match &item.kind {
            ItemKind::Dim { specs, .. } => {
                for spec in specs {
                    let dim = match &spec.kind {
                        DimKind::Free | DimKind::Within(_) => Dim::Bound(self.sizes.dim(&spec.name.text)),
                        DimKind::Computed(value) => Dim::Computed(value.clone()),
                    };
                    if scope.dims.insert(spec.name.text.clone(), dim).is_some() {
                        self.duplicate(&spec.name, "dim");
                    }
                }
            }
            ItemKind::TypeVariable { name, choices } => {
                for choice in choices {
                    if DType::from_name(&choice.text).is_none() {
                        self.unknown_type(choice);
                    }
                }
                if self.type_choices.insert((scope.unit, name.text.clone()), choices.clone()).is_some() {
                    self.duplicate(name, "dtype variable");
                }
            }
            ItemKind::Const { name, ty, value } => {
                let constant =
                    Constant { value: value.clone(), dtype: ty.as_ref().map(|ty| ty.dtype.clone()) };
                if scope.constants.insert(name.text.clone(), constant).is_some() {
                    self.duplicate(name, "constant");
                }
            }
            _ => {}
        }
    }

    fn duplicate(&mut self, name: &Name, what: &str) {
        self.report(
            Diagnostic::error(Code::DuplicateDefinition, format!("{what} `{name}` is declared twice"))
                .label(name.span, "declared again here"),
        );
    }

    pub(super) fn unknown_type(&mut self, name: &Name) -> Reported {
        let known = DType::ALL.iter().map(|dtype| dtype.name());
        let mut diagnostic = Diagnostic::error(Code::UnknownType, format!("no dtype is called `{name}`"))
            .label(name.span, "unknown");
        if let Some(meant) = foreign_dtype(&name.text) {
            return self.report(diagnostic.help(format!("write `{meant}`")).fix(name.span, meant));
        }
        diagnostic.help = match similar(&name.text, known) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => Some(format!("declare a dtype variable: `type {name} in f32, f64`")),
        };
        self.report(diagnostic)
    }

    /// The dtype that a name stands for.
    pub(super) fn dtype(&mut self, scope: &Scope, name: &Name) -> Step<DType> {
        if let Some(dtype) = DType::from_name(&name.text) {
            return Ok(dtype);
        }
        if let Some(&dtype) = scope.types.get(&name.text) {
            return Ok(dtype);
        }
        match self.free_type(scope, &name.text) {
            Some(dtype) => Ok(dtype),
            None => Err(self.unknown_type(name)),
        }
    }

    /// The dtype of a variable that nothing binds: the choice that stands where the bound variables' choices stand,
    /// else the first one.
    fn free_type(&self, scope: &Scope, name: &str) -> Option<DType> {
        let choices = self.type_choices.get(&(scope.unit, name.to_string()))?;
        let at = |variable: &str, dtype: DType| {
            let others = self.type_choices.get(&(scope.unit, variable.to_string()))?;
            (others.len() == choices.len())
                .then(|| others.iter().position(|c| c.text == dtype.name()))
                .flatten()
        };
        let mut bound: Vec<_> = scope.types.iter().collect();
        bound.sort();
        let position = bound.into_iter().find_map(|(variable, &dtype)| at(variable, dtype)).unwrap_or(0);
        DType::from_name(&choices.get(position)?.text)
    }

    /// The size that a dim stands for.
    pub(super) fn dim(&mut self, scope: &Scope, name: &str, span: Span) -> Step<Option<Size>> {
        match scope.dims.get(name) {
            Some(Dim::Bound(size)) => Ok(Some(size.clone())),
            Some(Dim::Computed(value)) => {
                let value = value.clone();
                self.unfold(name, span, |checker| checker.size(scope, &value)).map(Some)
            }
            None => match scope.constants.get(name).cloned() {
                Some(constant) if is_size_like(&constant.value) => {
                    self.unfold(name, span, |checker| checker.size(scope, &constant.value)).map(Some)
                }
                _ => Ok(None),
            },
        }
    }

    /// Works out what a constant or a computed dim stands for.
    pub(super) fn unfold<T>(
        &mut self,
        name: &str,
        span: Span,
        value: impl FnOnce(&mut Self) -> Step<T>,
    ) -> Step<T> {
        if self.unfolding.iter().any(|outer| outer == name) {
            let message = format!("the value of `{name}` refers to itself");
            return Err(self.error(Code::Recursion, message, span, "here"));
        }
        self.unfolded += 1;
        if self.unfolding.len() >= UNFOLD_DEPTH || self.unfolded > UNFOLD_LIMIT {
            if self.unfolded > UNFOLD_LIMIT + 1 {
                return Err(Reported);
            }
            let message = format!(
                "constants and computed dims refer to one another more than {UNFOLD_DEPTH} deep, or {UNFOLD_LIMIT} times in all"
            );
            return Err(self.error(Code::TooBig, message, span, "here"));
        }
        self.unfolding.push(name.to_string());
        let value = value(self);
        self.unfolding.pop();
        value
    }

    /// The size that an expression of dims stands for.
    pub(super) fn size(&mut self, scope: &Scope, expr: &Expr) -> Step<Size> {
        let too_large = |checker: &mut Self| {
            checker.error(Code::SizeOverflow, "this size is too large to count", expr.span, "here")
        };
        match &expr.kind {
            ExprKind::Number(Number::Int(value)) => match i64::try_from(*value) {
                Ok(value) if value.abs() <= super::size::LIMIT => Ok(Size::constant(value)),
                _ => Err(too_large(self)),
            },
            ExprKind::Name(name) => match self.dim(scope, name, expr.span)? {
                Some(size) => Ok(size),
                None => Err(self.unknown_dim(scope, name, expr.span)),
            },
            ExprKind::Negate(inner) => {
                let size = self.size(scope, inner)?;
                Size::default().minus(&size).ok_or_else(|| too_large(self))
            }
            ExprKind::Sum(terms) => {
                let mut sum = Size::default();
                for (minus, term) in terms {
                    let size = self.size(scope, term)?;
                    let next = if *minus { sum.minus(&size) } else { sum.plus(&size) };
                    sum = next.ok_or_else(|| too_large(self))?;
                }
                Ok(sum)
            }
            ExprKind::Product(factors) => {
                let mut product = Size::constant(1);
                for (op, factor) in factors {
                    let size = self.size(scope, factor)?;
                    product = match op {
                        ProductOp::Mul => product.times(&size).ok_or_else(|| too_large(self))?,
                        ProductOp::Div | ProductOp::FloorDiv | ProductOp::Rem => {
                            let result = if *op == ProductOp::Rem {
                                self.sizes.rem(&product, &size)
                            } else {
                                self.sizes.div(&product, &size)
                            };
                            result.ok_or_else(|| {
                                self.error(
                                    Code::BadExtent,
                                    "a size is divided by zero",
                                    factor.span,
                                    "this is 0",
                                )
                            })?
                        }
                    };
                }
                Ok(product)
            }
            ExprKind::Power(base, exponent) => {
                let (base, exponent) = (self.size(scope, base)?, self.size(scope, exponent)?);
                self.sizes.pow(&base, &exponent).ok_or_else(|| too_large(self))
            }
            ExprKind::Call { function, args } => {
                let name = match &function.kind {
                    ExprKind::Name(name) => name.as_str(),
                    _ => "",
                };
                if !matches!(name, "min" | "max") || args.len() != 2 {
                    return Err(self.no_size(expr.span));
                }
                let a = self.size(scope, &args[0].value)?;
                let b = self.size(scope, &args[1].value)?;
                Ok(if name == "min" { self.sizes.min(&a, &b) } else { self.sizes.max(&a, &b) })
            }
            _ => Err(self.no_size(expr.span)),
        }
    }

    fn no_size(&mut self, span: Span) -> Reported {
        self.error(
            Code::BadExtent,
            "a size is computed from dims and integers with + - * // % ** min max only",
            span,
            "not a size",
        )
    }

    pub(super) fn unknown_dim(&mut self, scope: &Scope, name: &str, span: Span) -> Reported {
        let mut diagnostic = Diagnostic::error(Code::UnknownDim, format!("no dim is called `{name}`"))
            .label(span, "unknown dim");
        let known = scope.dims.keys().chain(scope.constants.keys()).map(String::as_str);
        diagnostic.help = Some(match similar(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if scope.tensors.contains_key(name) => {
                format!("`{name}` is a tensor; declare `dim {name}` and its value sizes the program")
            }
            None => format!("declare it: `dim {name}`"),
        });
        self.report(diagnostic)
    }

    /// The shape of a type; ellipses stand for what the scope says.
    pub(super) fn shape(&mut self, scope: &Scope, ty: &tree::Type) -> Step<Vec<Size>> {
        let mut shape = Vec::new();
        for dim in &ty.dims {
            match dim {
                Index::Expr(expr) => {
                    let size = self.size(scope, expr)?;
                    self.not_negative(&size, expr.span)?;
                    shape.push(size);
                }
                Index::Unit(_) => shape.push(Size::constant(1)),
                Index::Ellipsis(name, span) => {
                    let key = name.as_ref().map_or("", |name| name.text.as_str());
                    match scope.ellipses.get(key) {
                        Some(dims) => shape.extend(dims.iter().cloned()),
                        None => {
                            return Err(self.error(
                                Code::BadEllipsis,
                                format!("nothing says for how many dims `...{key}` stands"),
                                *span,
                                "no input has this ellipsis",
                            ));
                        }
                    }
                }
                Index::Group(names, _) => {
                    let mut product = Size::constant(1);
                    for name in names {
                        let expr = Expr { kind: ExprKind::Name(name.text.clone()), span: name.span };
                        let size = self.size(scope, &expr)?;
                        product = product.times(&size).ok_or_else(|| {
                            self.error(
                                Code::SizeOverflow,
                                "this size is too large to count",
                                name.span,
                                "here",
                            )
                        })?;
                    }
                    shape.push(product);
                }
            }
        }
        Ok(shape)
    }

    /// Says why a size has no value.
    pub(super) fn uncountable(&mut self, why: &Uncountable, span: Span) -> Reported {
        match why {
            Uncountable::TooLarge => {
                self.error(Code::SizeOverflow, "this size is too large to count", span, "here")
            }
            Uncountable::ZeroDivisor(divisor) => {
                let message = format!("a size is divided by zero: `{divisor}` is 0");
                self.error(Code::BadExtent, message, span, "in this size")
            }
            Uncountable::NegativeExponent(exponent) => {
                let message = format!("a size has the negative exponent {exponent}");
                self.error(Code::BadExtent, message, span, "in this size")
            }
        }
    }

    fn not_negative(&mut self, size: &Size, span: Span) -> Step<()> {
        match self.sizes.value(size) {
            Ok(Some(value)) if value < 0 => {
                let text = self.sizes.described(size);
                Err(self.error(Code::BadExtent, format!("an extent is negative: {text}"), span, "negative"))
            }
            Err(why) => Err(self.uncountable(&why, span)),
            _ => Ok(()),
        }
    }

    /// The declaration of a result.
    pub(super) fn declared(&mut self, scope: &Scope, ty: &tree::Type) -> Step<Declared> {
        self.refuse_format(ty)?;
        let dtype = self.dtype(scope, &ty.dtype)?;
        let shape = self.shape(scope, ty)?;
        Ok(Declared { ty: dtype, shape, place: ty.span })
    }

    /// The extent as a number; 0 where it is not known and only signatures are checked.
    pub(super) fn extent(&mut self, size: &Size, span: Span) -> Step<u64> {
        match self.sizes.value(size) {
            Ok(Some(value)) if value >= 0 => Ok(value as u64),
            Ok(Some(_)) => {
                let text = self.sizes.described(size);
                Err(self.error(Code::BadExtent, format!("an extent is negative: {text}"), span, "negative"))
            }
            Ok(None) => {
                if self.concrete {
                    for name in self.sizes.unknown_dims(size) {
                        if !self.free_dims.contains(&name) {
                            self.free_dims.push(name);
                        }
                    }
                    return Err(Reported);
                }
                Ok(0)
            }
            Err(why) => Err(self.uncountable(&why, span)),
        }
    }

    /// A symbol's extents as numbers, with the product within bounds.
    pub(super) fn extents(&mut self, name: &str, ty: Ty, shape: &[Size], place: Span) -> Step<Vec<u64>> {
        // All of them before giving up, so that one message lists every dim without a value.
        let found: Vec<Step<u64>> = shape.iter().map(|size| self.extent(size, place)).collect();
        let extents = found.into_iter().collect::<Step<Vec<u64>>>()?;
        let bytes = ty.computed().bytes() as u64;
        let total = extents.iter().filter(|&&extent| extent > 0).try_fold(bytes, |n, &e| n.checked_mul(e));
        if total.is_none_or(|total| total > super::size::LIMIT as u64) {
            let text: Vec<String> = shape.iter().map(|size| self.sizes.described(size)).collect();
            let message = format!("`{name}` has too many elements to count: {}", text.join(" x "));
            return Err(self.error(Code::SizeOverflow, message, place, "too large"));
        }
        Ok(extents)
    }
}

/// Whether a constant's value can stand for a size.
fn is_size_like(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Number(Number::Int(_)) | ExprKind::Name(_) => true,
        ExprKind::Negate(inner) => is_size_like(inner),
        ExprKind::Sum(terms) => terms.iter().all(|term| is_size_like(&term.1)),
        ExprKind::Product(factors) => factors.iter().all(|f| f.0 != ProductOp::Div && is_size_like(&f.1)),
        ExprKind::Power(base, exponent) => is_size_like(base) && is_size_like(exponent),
        _ => false,
    }
}

/// The known name nearest to a name, if it is near enough to be meant.
pub(crate) fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |a: &str, b: &str| {
        let b: Vec<char> = b.chars().collect();
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, x) in a.chars().enumerate() {
            let mut corner = row[0];
            row[0] = i + 1;
            for (j, y) in b.iter().enumerate() {
                let replaced = corner + usize::from(x != *y);
                corner = row[j + 1];
                row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
            }
        }
        row[b.len()]
    };
    known
        .filter(|candidate| !candidate.is_empty() && *candidate != name)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, candidate)| {
            *d <= 1.max(name.chars().count().min(candidate.chars().count()) / 3) && name.len() > 1
        })
        .min()
        .map(|found| found.1)
}

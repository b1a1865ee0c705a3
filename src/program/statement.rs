//! Statements: definitions, additions at computed places, and what else stands between declarations.

use super::check::{Checker, Reported, Step, plural};
use super::node::{Kind, Node, Position, Symbol, Ty, Var, VarId};
use super::refuse::constant;
use super::scope::{Declared, Scope};
use super::size::{Sameness, Size};
use super::{Approximation, Define, Role, Statement as Step_};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Binary, Expr as Value, Outside, Unary};
use crate::program::TensorId;
use crate::source::Span;
use einc_grammar::tree::{Attribute, Expr, ExprKind, Index, Item, Name, Number, Target};
use einc_runtime::DType;
use std::collections::{HashMap, HashSet};

/// What the attributes of a statement say.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// `@acc(f64)`: the dtype sums are formed in.
    pub acc: Option<DType>,
    /// `@bounds(..)`: what computed indices do outside the extents.
    pub bounds: Bounds,
    /// `@order(keep)`.
    pub keep_order: bool,
}

/// `@bounds(checked | clamp | trust)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Bounds {
    #[default]
    Checked,
    Clamp,
    Trust,
}

impl Bounds {
    pub fn outside(self) -> Outside<TensorId> {
        match self {
            Bounds::Checked => Outside::Checked,
            Bounds::Clamp => Outside::Clamp,
            Bounds::Trust => Outside::Trust,
        }
    }
}

/// What is known of the statement at hand (of all statements of a scan's block).
#[derive(Debug, Default)]
pub(super) struct Context {
    pub vars: Vec<Var>,
    /// Indices by name, innermost last.
    pub names: Vec<HashMap<String, VarId>>,
    /// Names that the statement uses as indices.
    pub implied: HashSet<String>,
    /// Indices that ellipses stand for.
    pub ellipses: HashMap<String, Vec<VarId>>,
    /// Where indices meet extents.
    pub uses: Vec<Use>,
    /// Indices of equal extent.
    pub links: Vec<(VarId, VarId)>,
    /// The index a map runs along and the one of its result, which is as long unless something else says.
    pub renamed: Vec<(VarId, VarId)>,
    /// Conditions of the statement that are no ranges.
    pub conditions: Vec<Node>,
    /// The states of the scan.
    pub states: Vec<State>,
    /// The scan's index, and whether it runs from the end.
    pub time: Option<(VarId, bool)>,
    pub options: Options,
}

/// An index position of an access and the extent of its dim.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub position: Position,
    pub extent: Size,
    pub tensor: String,
    pub dim: usize,
    pub span: Span,
    /// Whether a value is given for outside.
    pub guarded: bool,
}

/// A tensor that a scan defines step by step.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub name: Name,
    /// The indices of its left side.
    pub left: Left,
    /// What the left side's names and ellipses stand for.
    pub names: HashMap<String, VarId>,
    pub ellipses: HashMap<String, Vec<VarId>>,
    /// The position of the scan's index on its left side.
    pub time: Option<usize>,
    /// The value before the first step.
    pub init: Option<Node>,
    /// Whether its statement was passed already.
    pub defined: bool,
    /// All its steps, once the ranges are known.
    pub history: Option<Symbol>,
}

/// A left side.
#[derive(Clone, Debug, Default)]
pub(super) struct Left {
    pub dims: Vec<LeftDim>,
    /// Second and further occurrences of an index, with the first.
    pub diagonal: Vec<(VarId, VarId)>,
}

/// One dim of a left side.
#[derive(Clone, Debug)]
pub(super) enum LeftDim {
    Index(VarId),
    Group(Vec<VarId>),
    Unit,
}

impl LeftDim {
    /// The same dim as a position of an access.
    pub fn position(&self, span: Span) -> Position {
        match self {
            LeftDim::Index(var) => Position::Expr(Node { kind: Kind::Var(*var), span }),
            LeftDim::Group(vars) => Position::Group(vars.clone()),
            LeftDim::Unit => Position::Unit,
        }
    }
}

impl Left {
    /// The left side as the positions of an access.
    pub fn positions(&self, span: Span) -> Vec<Position> {
        self.dims.iter().map(|dim| dim.position(span)).collect()
    }

    /// All indices, in memory order.
    pub fn vars(&self) -> Vec<VarId> {
        self.dims
            .iter()
            .flat_map(|dim| match dim {
                LeftDim::Index(var) => vec![*var],
                LeftDim::Group(vars) => vars.clone(),
                LeftDim::Unit => Vec::new(),
            })
            .collect()
    }
}

impl Context {
    pub fn new(options: &Options) -> Context {
        Context { names: vec![HashMap::new()], options: options.clone(), ..Context::default() }
    }

    /// The index of that name.
    pub fn find(&self, name: &str) -> Option<VarId> {
        self.names.iter().rev().find_map(|names| names.get(name).copied())
    }

    /// A new index that no name finds yet.
    pub fn add(&mut self, name: &str, place: Span, summed: bool) -> VarId {
        self.vars.push(Var {
            name: name.to_string(),
            place,
            extent: None,
            fixed_by: None,
            low: Size::default(),
            explicit: false,
            summed,
            filters: Vec::new(),
            axis: None,
        });
        self.vars.len() - 1
    }

    /// Makes a name find an index, in the outermost scope.
    pub fn bind_first(&mut self, name: &str, var: VarId) {
        self.names[0].insert(name.to_string(), var);
    }

    /// Makes a name find an index, in the innermost scope.
    pub fn bind(&mut self, name: &str, var: VarId) {
        self.names.last_mut().expect("there is always a scope").insert(name.to_string(), var);
    }
}

impl<'a> Checker<'a> {
    /// Reads the attributes of a statement.
    pub(super) fn options(&mut self, scope: &Scope, item: &Item) -> Step<Options> {
        let mut options = Options::default();
        for attribute in &item.attributes {
            if attribute.name.text == "approx" {
                let approximation = self.approximation(attribute, item.span)?;
                if !self.program.approximations.contains(&approximation) {
                    self.program.approximations.push(approximation);
                }
                continue;
            }
            self.option(scope, attribute, &mut options)?;
        }
        self.acc = options.acc;
        Ok(options)
    }

    /// Reads `@approx(f, degree = 7, range = (-8, 8))`.
    fn approximation(&mut self, attribute: &Attribute, place: Span) -> Step<Approximation> {
        let help = "write `@approx(sigmoid, degree = 15, range = (-8, 8))`";
        let (mut function, mut degree, mut range) = (None, Some(15.0), None);
        for arg in &attribute.args {
            match (arg.name.as_ref().map(|name| name.text.as_str()), &arg.value.kind) {
                (None, ExprKind::Name(name)) if Unary::ALL.iter().any(|known| known.1 == name) => {
                    function = Some(name.clone());
                }
                (Some("degree"), _) => {
                    degree = constant(&arg.value).filter(|n| n.fract() == 0.0 && (1.0..=255.0).contains(n));
                    if degree.is_none() {
                        return Err(self.bad_attribute(attribute, "`degree` is a whole number from 1 to 255"));
                    }
                }
                (Some("range"), ExprKind::Tuple(ends)) if ends.len() == 2 => {
                    range = constant(&ends[0]).zip(constant(&ends[1]));
                    if !range.is_some_and(|(low, high)| low < high && (high - low).is_finite()) {
                        return Err(
                            self.bad_attribute(attribute, "`range` is two numbers, the lesser one first")
                        );
                    }
                }
                _ => return Err(self.bad_attribute(attribute, help)),
            }
        }
        match (function, degree, range) {
            (Some(function), Some(degree), Some(range)) => {
                Ok(Approximation { function, degree: degree as u32, range, place })
            }
            _ => Err(self.bad_attribute(attribute, help)),
        }
    }

    pub(super) fn option(&mut self, scope: &Scope, attribute: &Attribute, options: &mut Options) -> Step<()> {
        let word = attribute.args.first().and_then(|arg| match &arg.value.kind {
            ExprKind::Name(name) if arg.name.is_none() && attribute.args.len() == 1 => Some(name.as_str()),
            _ => None,
        });
        match (attribute.name.text.as_str(), word) {
            ("acc", Some(dtype)) if DType::from_name(dtype).is_some() || scope.types.contains_key(dtype) => {
                let name = Name { text: dtype.to_string(), span: attribute.span };
                options.acc = Some(self.dtype(scope, &name)?);
            }
            ("bounds", Some("checked")) => options.bounds = Bounds::Checked,
            ("bounds", Some("clamp")) => options.bounds = Bounds::Clamp,
            ("bounds", Some("trust")) => options.bounds = Bounds::Trust,
            ("order", Some("keep")) => options.keep_order = true,
            ("memory", None) => match &attribute.args[..] {
                [arg] if arg.name.as_ref().is_some_and(|name| name.text == "limit") => {
                    match &arg.value.kind {
                        ExprKind::Number(Number::Int(bytes)) if *bytes >= 0 => {
                            let known = self.program.memory_limit.unwrap_or(u64::MAX);
                            self.program.memory_limit =
                                u64::try_from(*bytes).ok().map(|bytes| bytes.min(known));
                        }
                        _ => {
                            return Err(self.bad_attribute(attribute, "`limit` is a number of bytes: `2GiB`"));
                        }
                    }
                }
                _ => return Err(self.bad_attribute(attribute, "write `@memory(limit = 2GiB)`")),
            },
            // Tiles are hints; the values do not depend on them.
            ("tile", None) if attribute.args.iter().all(|arg| arg.name.is_some()) => {}
            ("plan", None) => match &attribute.args[..] {
                [arg] if arg.name.is_none() && matches!(arg.value.kind, ExprKind::String(_)) => {
                    if let ExprKind::String(path) = &arg.value.kind
                        && let Some(text) = self.module.plan(scope.unit, path)
                        && self.program.plans.iter().all(|plan| plan.place != attribute.span)
                    {
                        self.program.plans.push(super::GivenPlan { text, place: attribute.span });
                    }
                }
                _ => return Err(self.bad_attribute(attribute, "write `@plan(\"orders.json\")`")),
            },
            ("acc", _) => return Err(self.bad_attribute(attribute, "write `@acc(f64)`, with a dtype")),
            ("bounds", _) => {
                return Err(self.bad_attribute(attribute, "write `@bounds(checked)`, `clamp` or `trust`"));
            }
            ("order", _) => return Err(self.bad_attribute(attribute, "write `@order(keep)`")),
            ("tile", _) => return Err(self.bad_attribute(attribute, "write `@tile(i = 64, j = 8)`")),
            _ => {
                return Err(self.bad_attribute(
                    attribute,
                    "the attributes are acc, bounds, memory, order, tile, approx, plan",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn bad_attribute(&mut self, attribute: &Attribute, help: &str) -> Reported {
        self.report(
            Diagnostic::error(Code::UnknownAttribute, format!("`@{}` is not understood", attribute.name))
                .label(attribute.span, "this attribute")
                .help(help),
        )
    }

    /// `C[i, k] = ..`, `s, t = f(x)`, `y = x`.
    pub(super) fn define(
        &mut self,
        scope: &mut Scope,
        targets: &[Target],
        value: &Expr,
        conditions: &[Expr],
        options: &Options,
        span: Span,
    ) -> Step<()> {
        for target in targets {
            self.definable(scope, &target.name)?;
        }
        let whole = targets.iter().all(|target| target.indices.is_none());
        if whole && let Some(results) = self.whole(scope, value, targets.len())? {
            for (target, symbol) in targets.iter().zip(results) {
                self.name_result(scope, &target.name, symbol, value.span)?;
            }
            return Ok(());
        }
        let [target] = targets else {
            return Err(self.error(
                Code::WrongArguments,
                "several tensors are defined by a call of a function with as many results only",
                value.span,
                "not such a call",
            ));
        };
        let mut context = Context::new(options);
        let left = self.prepare(scope, &mut context, target, &[value], conditions)?;
        // An error in one of both hides none in the other.
        let limited = self.conditions(scope, &mut context, conditions);
        let node = self.resolve(scope, &mut context, value)?;
        limited?;
        self.solve(&mut context)?;
        let declared = scope.declared.get(&target.name.text).cloned();
        let (statement, symbol) =
            self.build_define(scope, &mut context, &target.name, &left, &node, declared.as_ref(), span)?;
        self.program.statements.push(Step_::Define(statement));
        scope.tensors.insert(target.name.text.clone(), symbol);
        Ok(())
    }

    /// Whether a name may be defined.
    pub(super) fn definable(&mut self, scope: &Scope, name: &Name) -> Step<()> {
        let first = scope.tensors.get(&name.text).map(|symbol| symbol.place);
        if let Some(first) = first {
            let input = scope
                .tensors
                .get(&name.text)
                .is_some_and(|symbol| self.program.tensors[symbol.tensor].role != Role::Computed);
            let message = if input {
                format!("`{name}` is an input and cannot be defined")
            } else {
                format!("`{name}` is defined twice")
            };
            return Err(self.report(
                Diagnostic::error(Code::DuplicateDefinition, message)
                    .label(name.span, "defined again here")
                    .label(first, "first here")
                    .help("give one of them another name; `+=` adds to an `inout` tensor"),
            ));
        }
        if scope.constants.contains_key(&name.text) {
            return Err(self.error(
                Code::DuplicateDefinition,
                format!("`{name}` is a constant"),
                name.span,
                "defined again here",
            ));
        }
        Ok(())
    }

    /// Reads the left side and notes which names are indices.
    pub(super) fn prepare(
        &mut self,
        scope: &Scope,
        context: &mut Context,
        target: &Target,
        values: &[&Expr],
        conditions: &[Expr],
    ) -> Step<Left> {
        self.note_indices(scope, context, target.indices.as_deref().unwrap_or(&[]), values, conditions);
        let mut left = Left::default();
        let declared = scope.declared.get(&target.name.text).cloned();
        let indices = target.indices.as_deref().unwrap_or(&[]);
        for index in indices {
            match index {
                Index::Expr(Expr { kind: ExprKind::Name(name), span }) => {
                    let var = self.left_index(context, &mut left, name, *span);
                    left.dims.push(LeftDim::Index(var));
                }
                Index::Unit(_) => left.dims.push(LeftDim::Unit),
                Index::Group(names, _) => {
                    let vars =
                        names.iter().map(|n| self.left_index(context, &mut left, &n.text, n.span)).collect();
                    left.dims.push(LeftDim::Group(vars));
                }
                Index::Ellipsis(name, span) => {
                    let key = name.as_ref().map_or("", |name| name.text.as_str());
                    let rank = declared.as_ref().map(|declared| declared.shape.len());
                    let count = match scope.ellipses.get(key) {
                        Some(dims) => Some(dims.len()),
                        None => rank
                            .and_then(|rank| rank.checked_sub(indices.len() - 1))
                            .or_else(|| values.iter().find_map(|value| ellipsis_count(scope, value, key))),
                    };
                    let Some(count) = count else {
                        return Err(self.error(
                            Code::BadEllipsis,
                            format!("nothing says for how many dims `...{key}` stands"),
                            *span,
                            "on the left side only",
                        ));
                    };
                    let vars: Vec<VarId> =
                        (0..count).map(|k| context.add(&format!("{key}{k}"), *span, false)).collect();
                    left.dims.extend(vars.iter().map(|&var| LeftDim::Index(var)));
                    context.ellipses.insert(key.to_string(), vars);
                }
                Index::Expr(other) => {
                    return Err(self.report(
                        Diagnostic::error(Code::BadLeftSide, "the left side of `=` has plain indices only")
                            .label(other.span, "not an index")
                            .help("`+=` adds at computed positions"),
                    ));
                }
            }
        }
        if let Some(declared) = declared {
            if declared.shape.len() != left.dims.len() {
                let (want, got) = (declared.shape.len(), left.dims.len());
                let message = format!("`{}` has {want} {}, not {got}", target.name, plural(want, "dim"));
                return Err(self.report(
                    Diagnostic::error(Code::RankMismatch, message)
                        .label(
                            target.span,
                            format!("{got} {} here", if got == 1 { "index" } else { "indices" }),
                        )
                        .label(declared.place, "declared here"),
                ));
            }
            for (k, dim) in left.dims.iter().enumerate() {
                if matches!(dim, LeftDim::Unit) {
                    continue;
                }
                let position = dim.position(target.span);
                context.uses.push(Use {
                    position,
                    extent: declared.shape[k].clone(),
                    tensor: target.name.text.clone(),
                    dim: k,
                    span: indices.get(k).map_or(target.span, Index::span),
                    guarded: false,
                });
            }
        }
        Ok(left)
    }

    pub(super) fn left_index(
        &mut self,
        context: &mut Context,
        left: &mut Left,
        name: &str,
        span: Span,
    ) -> VarId {
        match context.names.last().and_then(|names| names.get(name).copied()) {
            None => {
                let var = context.add(name, span, false);
                context.bind(name, var);
                var
            }
            Some(first) => {
                let copy = context.add(name, span, false);
                context.links.push((first, copy));
                left.diagonal.push((copy, first));
                copy
            }
        }
    }

    pub(super) fn same_shape(
        &mut self,
        name: &str,
        shape: &[Size],
        declared: &Declared,
        span: Span,
    ) -> Step<()> {
        if shape.len() != declared.shape.len() {
            let (want, got) = (declared.shape.len(), shape.len());
            return Err(self.report(
                Diagnostic::error(
                    Code::RankMismatch,
                    format!("`{name}` is declared with {want} {}, but has {got}", plural(want, "dim")),
                )
                .label(span, format!("{got} {}", plural(got, "dim")))
                .label(declared.place, "declared here"),
            ));
        }
        for (k, (got, want)) in shape.iter().zip(&declared.shape).enumerate() {
            if self.sizes.same(got, want) == Sameness::Different {
                let (got, want) = (self.sizes.described(got), self.sizes.described(want));
                return Err(self.report(
                    Diagnostic::error(
                        Code::ShapeMismatch,
                        format!("dim {k} of `{name}` is {got} long, but declared as {want}"),
                    )
                    .label(span, format!("dim {k} is {got} long"))
                    .label(declared.place, format!("declared as {want}")),
                ));
            }
        }
        Ok(())
    }

    /// Builds the definition of a tensor from its resolved value.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn build_define(
        &mut self,
        scope: &Scope,
        context: &mut Context,
        name: &Name,
        left: &Left,
        node: &Node,
        declared: Option<&Declared>,
        span: Span,
    ) -> Step<(Define, Symbol)> {
        let shape = self.left_shape(context, left, span)?;
        let full = format!("{}{name}", scope.prefix);
        let (value, ty) = match declared {
            Some(declared) => {
                self.same_shape(&name.text, &shape, declared, span)?;
                (self.build_stored(context, node, declared.ty, &name.text, span)?, Ty::Of(declared.ty))
            }
            None => self.build_sum(context, node)?,
        };
        let stored = value.dtype();
        let value = match self.left_condition(context, &left.vars())? {
            Some(condition) => Value::Select(Box::new([condition, value, Value::number(0.0, stored)])),
            None => value,
        };
        let mut value = value;
        for (copy, first) in &left.diagonal {
            let axis = |var: VarId| context.vars[var].axis.map(Value::Index);
            let (Some(a), Some(b)) = (axis(*copy), axis(*first)) else { return Err(Reported) };
            let equal = Value::Binary(Binary::Eq, Box::new(a), Box::new(b));
            value = Value::Select(Box::new([equal, value, Value::number(0.0, stored)]));
        }
        self.check_reads(&mut value, name.span)?;
        let symbol = self.add_tensor(&full, ty, stored, &shape, Role::Computed, name.span)?;
        if self.concrete
            && ty == Ty::Int
            && let Some(range) = super::interval::interval(&value, &self.program)
        {
            self.program.ranges.insert(symbol.tensor, range);
        }
        let axis = |var: &VarId| context.vars[*var].axis;
        let dims = left
            .dims
            .iter()
            .map(|dim| match dim {
                LeftDim::Index(var) => axis(var).into_iter().collect(),
                LeftDim::Group(vars) => vars.iter().filter_map(axis).collect(),
                LeftDim::Unit => Vec::new(),
            })
            .collect();
        let keep_order = context.options.keep_order;
        Ok((Define { target: symbol.tensor, dims, value, keep_order, place: span }, symbol))
    }

    /// The extents that a left side has.
    pub(super) fn left_shape(&mut self, context: &Context, left: &Left, span: Span) -> Step<Vec<Size>> {
        let mut shape = Vec::new();
        for dim in &left.dims {
            let vars = match dim {
                LeftDim::Unit => Vec::new(),
                LeftDim::Index(var) => vec![*var],
                LeftDim::Group(vars) => vars.clone(),
            };
            let mut size = Size::constant(1);
            for var in vars {
                let Some(extent) = &context.vars[var].extent else { return Err(Reported) };
                if context.vars[var].low != Size::default() {
                    let message =
                        format!("`{}` starts at {}, but a dim starts at 0", context.vars[var].name, {
                            self.sizes.text(&context.vars[var].low)
                        });
                    return Err(self.error(
                        Code::BadRange,
                        message,
                        context.vars[var].place,
                        "on the left side",
                    ));
                }
                size = size.times(extent).ok_or_else(|| {
                    self.error(Code::SizeOverflow, "this size is too large to count", span, "here")
                })?;
            }
            shape.push(size);
        }
        Ok(shape)
    }
}

/// For how many dims an ellipsis stands in the first access of an expression that has it.
pub(super) fn ellipsis_count(scope: &Scope, expr: &Expr, key: &str) -> Option<usize> {
    if let ExprKind::Access { base, indices, .. } = &expr.kind
        && let ExprKind::Name(name) = &base.kind
        && let Some(symbol) = scope.tensors.get(name)
    {
        let is = |index: &Index| matches!(index, Index::Ellipsis(name, _) if name.as_ref().map_or("", |name| name.text.as_str()) == key);
        if indices.iter().any(is) {
            return symbol.shape.len().checked_sub(indices.len() - 1);
        }
    }
    super::resolve::parts(expr).into_iter().find_map(|part| ellipsis_count(scope, part, key))
}

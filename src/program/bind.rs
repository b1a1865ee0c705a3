//! What the arrays fix: dims, dtype variables and ellipses of an entry point; and conditions on sizes.

use super::check::{ArgInfo, Checker, Parameter, Reported, Step, plural};
use super::node::Ty;
use super::scope::{Dim, Scope, similar};
use super::size::Size;
use crate::diagnostic::{Code, Diagnostic};
use einc_grammar::tree::{CompareOp, DimKind, Expr, ExprKind, Index, ItemKind, Name, Type};
use einc_runtime::DType;

impl Checker<'_> {
    /// Finds the sizes and dtypes that the arrays fix; the dims of the types in `introduce` are declared by them.
    pub(super) fn bind(
        &mut self,
        scope: &mut Scope,
        parameters: &[Parameter],
        introduce: &[&Type],
    ) -> Step<()> {
        let bindings = self.bindings.clone();
        for (name, &dtype) in &bindings.dtypes {
            match self.type_choices.get(&(0, name.clone())) {
                Some(choices) if choices.iter().any(|choice| choice.text == dtype.name()) => {
                    scope.types.insert(name.clone(), dtype);
                }
                Some(_) => {
                    self.report(Diagnostic::error(
                        Code::InputType,
                        format!("`{name}` cannot be `{dtype}`: the file declares other choices"),
                    ));
                }
                None => {
                    self.report(Diagnostic::error(
                        Code::UnknownType,
                        format!("no dtype variable is called `{name}`"),
                    ));
                }
            }
        }
        for name in introduce.iter().flat_map(|ty| dim_names(ty)) {
            if !scope.dims.contains_key(&name.text) && !scope.constants.contains_key(&name.text) {
                let dim = self.sizes.dim(&name.text);
                scope.dims.insert(name.text.clone(), Dim::Bound(dim));
            }
        }
        for (name, &value) in &bindings.dims {
            match scope.dims.get(name) {
                Some(Dim::Bound(size)) => {
                    let size = size.clone();
                    self.sizes.set(&size, value);
                }
                Some(Dim::Computed(value)) => {
                    let span = value.span;
                    self.error(
                        Code::UnboundDim,
                        format!("`{name}` is computed and cannot be set"),
                        span,
                        "its value",
                    );
                }
                None => {
                    let known = scope.dims.keys().map(String::as_str);
                    let mut diagnostic =
                        Diagnostic::error(Code::UnknownDim, format!("no dim is called `{name}`"));
                    let mut known: Vec<&str> = known.collect();
                    known.sort_unstable();
                    diagnostic.help = match similar(name, known.iter().copied()) {
                        Some(near) => Some(format!("did you mean `{near}`?")),
                        None if known.is_empty() => Some("the program has no dims".to_string()),
                        None => Some(format!("the dims are {}", known.join(", "))),
                    };
                    self.report(diagnostic);
                }
            }
        }
        for parameter in parameters {
            if let Some(arg) = bindings.args.get(&parameter.name.text) {
                if let (Some(size), Some(value)) = (sizing(scope, parameter.name, parameter.ty), arg.value) {
                    match i64::try_from(value) {
                        Ok(value) if value.abs() <= super::size::LIMIT => self.sizes.set(&size, value),
                        _ => {
                            self.error(
                                Code::SizeOverflow,
                                "a size is too large",
                                parameter.ty.span,
                                "its value",
                            );
                        }
                    }
                }
                self.bind_dtype(scope, parameter, arg.dtype);
            }
        }
        let mut equations: Vec<(Size, u64, usize, usize)> = Vec::new();
        for (number, parameter) in parameters.iter().enumerate() {
            let arg = bindings.args.get(&parameter.name.text);
            self.bind_ellipsis(scope, parameter, arg)?;
            let Some(arg) = arg else { continue };
            let shape = self.shape(scope, parameter.ty)?;
            if shape.len() != arg.shape.len() {
                let (name, want, got) = (&parameter.name.text, shape.len(), arg.shape.len());
                let message = format!("`{name}` has {want} {}, but the array has {got}", plural(want, "dim"));
                return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
            }
            equations
                .extend(shape.into_iter().zip(&arg.shape).enumerate().map(|(d, (s, &e))| (s, e, number, d)));
        }
        self.solve_dims(scope, &equations);
        for (size, extent, number, dim) in &equations {
            let parameter = &parameters[*number];
            match self.sizes.value(size) {
                Ok(Some(value)) if value == *extent as i64 => {}
                Ok(Some(value)) => {
                    let text = self.sizes.text(size);
                    let is = if text == value.to_string() { String::new() } else { format!("`{text}` = ") };
                    let name = &parameter.name.text;
                    let mut diagnostic = Diagnostic::error(
                        Code::InputExtent,
                        format!("dim {dim} of `{name}` is {is}{value}, but the array has {extent}"),
                    )
                    .label(parameter.ty.span, "declared here");
                    if let Some(other) = equations
                        .iter()
                        .find(|other| other.2 != *number && other.0 == *size && other.1 != *extent)
                    {
                        let other_name = &parameters[other.2].name.text;
                        diagnostic = diagnostic.label(
                            parameters[other.2].ty.span,
                            format!("dim {} of `{other_name}` is {} long", other.3, other.1),
                        );
                    }
                    self.report(diagnostic);
                }
                Ok(None) => {
                    if let [unknown] = &self.sizes.unknown_dims(size)[..]
                        && self.sizes.is_linear(size)
                    {
                        let (name, text) = (&parameter.name.text, self.sizes.text(size));
                        let message = format!(
                            "dim {dim} of `{name}` is `{text}`, which is {extent}, the extent of the array, for no `{unknown}`"
                        );
                        self.error(Code::InputExtent, message, parameter.ty.span, "declared here");
                    }
                }
                Err(why) => {
                    self.uncountable(&why, parameter.ty.span);
                }
            }
        }
        self.check_dim_ranges(scope);
        self.keep_bound(scope);
        if self.diagnostics.iter().any(|d| d.severity == crate::diagnostic::Severity::Error) && self.concrete
        {
            return Err(Reported);
        }
        Ok(())
    }

    /// Solves the equations for the dims that occur alone in one of them.
    pub(super) fn solve_dims(&mut self, scope: &Scope, equations: &[(Size, u64, usize, usize)]) {
        loop {
            let mut changed = false;
            for (size, extent, ..) in equations {
                let [name] = &self.sizes.unknown_dims(size)[..] else { continue };
                let Some(Dim::Bound(dim)) = scope.dims.get(name) else { continue };
                let target = Size::constant(*extent as i64);
                if let Some(value) =
                    self.sizes.solve(size, dim, &target).and_then(|value| value.as_constant())
                {
                    self.sizes.set(dim, value);
                    changed = true;
                }
            }
            if !changed {
                return;
            }
        }
    }

    pub(super) fn bind_dtype(&mut self, scope: &mut Scope, parameter: &Parameter, dtype: DType) {
        let variable = &parameter.ty.dtype;
        let Some(choices) = self.type_choices.get(&(scope.unit, variable.text.clone())) else { return };
        let name = &parameter.name.text;
        if DType::from_name(&variable.text).is_some() || sizing(scope, parameter.name, parameter.ty).is_some()
        {
            return;
        }
        if !choices.iter().any(|choice| choice.text == dtype.name()) {
            let listed: Vec<&str> = choices.iter().map(|choice| choice.text.as_str()).collect();
            let message = format!("`{name}` is {}, but the array is {dtype}", listed.join(" or "));
            self.error(Code::InputType, message, parameter.ty.span, "declared here");
            return;
        }
        match scope.types.get(&variable.text) {
            Some(&bound) if bound != dtype => {
                let message =
                    format!("`{name}` has element type `{variable}` = {bound}, but the array is {dtype}");
                self.error(Code::InputType, message, parameter.ty.span, "declared here");
            }
            _ => {
                scope.types.insert(variable.text.clone(), dtype);
            }
        }
    }

    pub(super) fn bind_ellipsis(
        &mut self,
        scope: &mut Scope,
        parameter: &Parameter,
        arg: Option<&ArgInfo>,
    ) -> Step<()> {
        let Some((position, key)) = ellipsis_of(parameter.ty) else { return Ok(()) };
        let others = parameter.ty.dims.len() - 1;
        match arg {
            Some(arg) => {
                let Some(count) = arg.shape.len().checked_sub(others) else {
                    let message = format!(
                        "`{}` has at least {others} {}, but the array has {}",
                        parameter.name,
                        plural(others, "dim"),
                        arg.shape.len()
                    );
                    return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
                };
                let extents = &arg.shape[position..position + count];
                match scope.ellipses.get(&key).cloned() {
                    None => {
                        let dims = extents.iter().enumerate().map(|(k, &extent)| {
                            let dim = self.sizes.dim(&format!("{key}{k}"));
                            self.sizes.set(&dim, extent as i64);
                            dim
                        });
                        let dims = dims.collect();
                        scope.ellipses.insert(key, dims);
                    }
                    Some(dims) if dims.len() == count => {}
                    Some(dims) => {
                        let message =
                            format!("`...{key}` stands for {} dims, and for {count} here", dims.len());
                        return Err(self.error(Code::InputRank, message, parameter.ty.span, "declared here"));
                    }
                }
            }
            None => {
                // Any number of dims is allowed; one stands for all where only signatures are checked.
                let count = usize::from(!self.concrete);
                let (name, sizes) = (format!("{key}0"), &mut self.sizes);
                scope.ellipses.entry(key).or_insert_with(|| (0..count).map(|_| sizes.dim(&name)).collect());
            }
        }
        Ok(())
    }

    /// Checks `dim K in 1..=4096`.
    pub(super) fn check_dim_ranges(&mut self, scope: &Scope) {
        let module = self.module;
        for item in module.units[scope.unit].declarations() {
            let ItemKind::Dim { specs, .. } = &item.kind else { continue };
            for spec in specs {
                let (DimKind::Within(range), Some(Dim::Bound(dim))) =
                    (&spec.kind, scope.dims.get(&spec.name.text))
                else {
                    continue;
                };
                let ExprKind::Range { start, end, inclusive } = &range.kind else { continue };
                let (Ok(start), Ok(end)) = (self.size(scope, start), self.size(scope, end)) else { continue };
                let values = (self.sizes.value(dim), self.sizes.value(&start), self.sizes.value(&end));
                let (Ok(Some(value)), Ok(Some(low)), Ok(Some(end))) = values else { continue };
                let high = if *inclusive { end } else { end.saturating_sub(1) };
                if (low..=high).contains(&value) {
                    self.program.dim_ranges.insert(spec.name.text.clone(), (low, high));
                } else {
                    let message = format!("`{}` = {value} lies outside its range", spec.name);
                    self.error(Code::SizeCondition, message, range.span, "the declared range");
                }
            }
        }
    }

    /// Keeps the values of the free dims and of the dtype variables for who asks at which sizes the program is.
    fn keep_bound(&mut self, scope: &Scope) {
        for (name, dim) in &scope.dims {
            if let Dim::Bound(size) = dim
                && let Ok(Some(value)) = self.sizes.value(size)
            {
                self.program.bound.dims.insert(name.clone(), value);
            }
        }
        let types = scope.types.iter().map(|(name, &dtype)| (name.clone(), dtype));
        self.program.bound.dtypes.extend(types);
    }

    /// Checks conditions on sizes; those that equate sizes are taken for granted where values are missing.
    pub(super) fn size_conditions(&mut self, scope: &Scope, conditions: &[Expr]) {
        for condition in conditions {
            if let Ok(Some(false)) = self.size_condition(scope, condition) {
                let message = "the sizes break this condition";
                let mut names = Vec::new();
                condition_names(condition, &mut names);
                let mut values: Vec<String> = Vec::new();
                for name in names {
                    if let Ok(Some(size)) = self.dim(scope, &name, condition.span)
                        && let Ok(Some(value)) = self.sizes.value(&size)
                        && !values.iter().any(|known| known.starts_with(&format!("{name} = ")))
                    {
                        values.push(format!("{name} = {value}"));
                    }
                }
                let label = format!("does not hold for {}", values.join(", "));
                let label = if values.is_empty() { "does not hold" } else { &label };
                self.error(Code::SizeCondition, message, condition.span, label);
            }
        }
    }

    /// Whether a condition on sizes holds, if that is known.
    pub(super) fn size_condition(&mut self, scope: &Scope, condition: &Expr) -> Step<Option<bool>> {
        let all = |checker: &mut Self, parts: &[Expr], stop: bool| -> Step<Option<bool>> {
            let mut known = Some(!stop);
            for part in parts {
                match checker.size_condition(scope, part)? {
                    Some(value) if value == stop => return Ok(Some(stop)),
                    Some(_) => {}
                    None => known = None,
                }
            }
            Ok(known)
        };
        match &condition.kind {
            ExprKind::And(parts) => all(self, parts, false),
            ExprKind::Or(parts) => all(self, parts, true),
            ExprKind::Not(part) => Ok(self.size_condition(scope, part)?.map(|value| !value)),
            ExprKind::Compare(op, a, b) => {
                let (a, b) = (self.size(scope, a)?, self.size(scope, b)?);
                let values = (self.sizes.value(&a), self.sizes.value(&b));
                let (Ok(Some(x)), Ok(Some(y))) = values else {
                    if *op == CompareOp::Eq {
                        self.sizes.equate(&a, &b);
                    }
                    return Ok(None);
                };
                Ok(Some(match op {
                    CompareOp::Eq => x == y,
                    CompareOp::Ne => x != y,
                    CompareOp::Le => x <= y,
                    CompareOp::Ge => x >= y,
                    CompareOp::Lt => x < y,
                    CompareOp::Gt => x > y,
                }))
            }
            ExprKind::In(value, range) => {
                let ExprKind::Range { start, end, inclusive } = &range.kind else {
                    return Err(self.error(
                        Code::BadRange,
                        "no range stands after `in`",
                        range.span,
                        "not a range",
                    ));
                };
                let (value, start, end) =
                    (self.size(scope, value)?, self.size(scope, start)?, self.size(scope, end)?);
                let values = (self.sizes.value(&value), self.sizes.value(&start), self.sizes.value(&end));
                Ok(match values {
                    (Ok(Some(v)), Ok(Some(low)), Ok(Some(high))) => {
                        Some(v >= low && (v < high || (*inclusive && v == high)))
                    }
                    _ => None,
                })
            }
            _ => Err(self.error(
                Code::NotBoolean,
                "a condition on sizes compares them",
                condition.span,
                "not a comparison of sizes",
            )),
        }
    }

    /// Adds the inputs to the program and to the scope; those that only size the program are left out.
    pub(super) fn add_inputs(&mut self, scope: &mut Scope, parameters: &[Parameter]) {
        for parameter in parameters {
            if sizing(scope, parameter.name, parameter.ty).is_some() {
                continue;
            }
            let name = &parameter.name.text;
            if scope.tensors.contains_key(name) || scope.broken.contains(name) {
                self.error(
                    Code::DuplicateDefinition,
                    format!("`{name}` is declared twice"),
                    parameter.name.span,
                    "declared again here",
                );
                continue;
            }
            let symbol = self.declared(scope, parameter.ty).and_then(|declared| {
                let place = parameter.name.span;
                self.add_tensor(
                    name,
                    Ty::Of(declared.ty),
                    declared.ty,
                    &declared.shape,
                    parameter.role,
                    place,
                )
            });
            match symbol {
                Ok(symbol) => {
                    self.program.inputs.push(symbol.tensor);
                    scope.tensors.insert(name.clone(), symbol);
                }
                Err(Reported) => {
                    scope.broken.insert(name.clone());
                }
            }
        }
    }
}

/// The dim that a rank-0 integer input stands for.
pub(super) fn sizing(scope: &Scope, name: &Name, ty: &Type) -> Option<Size> {
    let integer = DType::from_name(&ty.dtype.text).is_some_and(DType::is_integer);
    match scope.dims.get(&name.text) {
        Some(Dim::Bound(size)) if ty.dims.is_empty() && integer => Some(size.clone()),
        _ => None,
    }
}

/// Position and name of the ellipsis of a type.
pub(super) fn ellipsis_of(ty: &Type) -> Option<(usize, String)> {
    ty.dims.iter().enumerate().find_map(|(k, dim)| match dim {
        Index::Ellipsis(name, _) => {
            Some((k, name.as_ref().map_or_else(String::new, |name| name.text.clone())))
        }
        _ => None,
    })
}

/// The names in the dims of a type.
pub(super) fn dim_names(ty: &Type) -> Vec<Name> {
    let mut names = Vec::new();
    for dim in &ty.dims {
        match dim {
            Index::Expr(expr) => {
                let mut found = Vec::new();
                expr_names(expr, &mut found);
                names.extend(found.into_iter().map(|text| Name { text, span: expr.span }));
            }
            Index::Group(group, _) => names.extend(group.iter().cloned()),
            _ => {}
        }
    }
    names
}

/// The names in a condition on sizes, in order.
fn condition_names(expr: &Expr, names: &mut Vec<String>) {
    if let ExprKind::Name(name) = &expr.kind {
        names.push(name.clone());
    }
    super::resolve::parts(expr).into_iter().for_each(|part| condition_names(part, names));
}

pub(super) fn expr_names(expr: &Expr, names: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Name(name) => names.push(name.clone()),
        ExprKind::Negate(inner) => expr_names(inner, names),
        ExprKind::Sum(terms) => terms.iter().for_each(|term| expr_names(&term.1, names)),
        ExprKind::Product(factors) => factors.iter().for_each(|factor| expr_names(&factor.1, names)),
        ExprKind::Power(a, b) => {
            expr_names(a, names);
            expr_names(b, names);
        }
        ExprKind::Call { args, .. } => args.iter().for_each(|arg| expr_names(&arg.value, names)),
        _ => {}
    }
}

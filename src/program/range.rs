//! Range inference: how many values each index of a statement takes.
//!
//! An index that stands alone at some position takes the extent of that dim, and all such extents must agree. Then
//! every access with one unknown index gives it the largest range that stays inside. What is still open then takes
//! the range of the index that a map renames to it, the extent of a position with `else`, or the greatest value of a
//! range that depends on other indices; what remains needs `where`.

use super::check::{Checker, Reported, Step};
use super::node::{Kind, Node, Position, VarId};
use super::size::{Sameness, Size};
use super::statement::{Context, Use};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{Axis, Binary};
use crate::source::Span;

/// `constant + sum of coefficient * index`, with sizes for numbers.
pub(super) struct Linear {
    constant: Size,
    terms: Vec<(VarId, Size)>,
}

impl Checker<'_> {
    /// Finds the extent of every index of the statement, and gives each its axis.
    pub(super) fn solve(&mut self, context: &mut Context) -> Step<()> {
        loop {
            if self.alone(context) || self.groups(context) || self.linear(context) || self.leftover(context) {
                continue;
            }
            break;
        }
        self.verify(context)?;
        let mut outcome = Ok(());
        for var in 0..context.vars.len() {
            let index = &context.vars[var];
            if index.axis.is_some() {
                continue;
            }
            let (name, place) = (index.name.clone(), index.place);
            let Some(size) = index.extent.clone() else {
                let inner = (0..context.vars.len()).find(|&k| k != var && context.vars[k].name == name);
                let renamed = context.renamed.iter().find(|pair| Some(pair.0) == inner);
                let help = match (inner, renamed) {
                    (_, Some(&(_, to))) => {
                        format!("the map renames `{name}`: write `{}` outside it", context.vars[to].name)
                    }
                    (Some(_), None) => {
                        format!(
                            "the reduction has an `{name}` of its own: leave this one out, or rename one of them"
                        )
                    }
                    (None, None) => format!("add `where {name} in 0..n`"),
                };
                outcome = Err(self.report(
                    Diagnostic::error(
                        Code::IndexWithoutRange,
                        format!("nothing says how many values `{name}` takes"),
                    )
                    .label(place, "no range")
                    .help(help),
                ));
                continue;
            };
            let Ok(extent) = self.extent(&size, place) else {
                outcome = Err(Reported);
                continue;
            };
            context.vars[var].axis = Some(self.program.axes.push(Axis { name, extent }));
        }
        outcome
    }

    fn fix(&mut self, context: &mut Context, var: VarId, extent: Size, span: Span, text: String) -> bool {
        let index = &mut context.vars[var];
        if index.extent.is_some() {
            return false;
        }
        index.extent = Some(extent);
        index.fixed_by = Some((span, text));
        true
    }

    /// Indices that stand alone, and indices of equal extent.
    fn alone(&mut self, context: &mut Context) -> bool {
        let mut changed = false;
        for k in 0..context.uses.len() {
            let known = &context.uses[k];
            if let Some(var) = known.position.var().filter(|_| !known.guarded) {
                let (extent, span, text) = (known.extent.clone(), known.span, self.source_text(known));
                changed |= self.fix(context, var, extent, span, text);
            }
        }
        for k in 0..context.links.len() {
            let (a, b) = context.links[k];
            for (from, to) in [(a, b), (b, a)] {
                if let Some(extent) = context.vars[from].extent.clone() {
                    let fixed = context.vars[from].fixed_by.clone();
                    let (span, text) = fixed.unwrap_or((context.vars[from].place, String::new()));
                    changed |= self.fix(context, to, extent, span, text);
                }
            }
        }
        changed
    }

    fn source_text(&self, known: &Use) -> String {
        format!("dim {} of `{}` is {}", known.dim, known.tensor, self.sizes.described(&known.extent))
    }

    /// Groups with one unknown index.
    fn groups(&mut self, context: &mut Context) -> bool {
        let mut changed = false;
        for k in 0..context.uses.len() {
            let Position::Group(vars) = context.uses[k].position.clone() else { continue };
            let mut product = Size::constant(1);
            let mut unknown = Vec::new();
            for &var in &vars {
                match &context.vars[var].extent {
                    Some(extent) => product = product.times(extent).unwrap_or_default(),
                    None => unknown.push(var),
                }
            }
            if let [var] = unknown[..] {
                let extent = context.uses[k].extent.clone();
                if let Some(quotient) = self.sizes.div(&extent, &product) {
                    let (span, text) = (context.uses[k].span, self.source_text(&context.uses[k]));
                    changed |= self.fix(context, var, quotient, span, text);
                }
            }
        }
        changed
    }

    /// Accesses with one unknown index: the largest range that stays inside, in all of them.
    fn linear(&mut self, context: &mut Context) -> bool {
        let mut found: Vec<(VarId, Size, Span, String)> = Vec::new();
        for k in 0..context.uses.len() {
            if context.uses[k].guarded {
                continue;
            }
            let Position::Expr(node) = &context.uses[k].position else { continue };
            let node = node.clone();
            let Some((var, size)) = self.largest(context, &node, &context.uses[k].extent.clone()) else {
                continue;
            };
            let (span, text) = (context.uses[k].span, self.source_text(&context.uses[k]));
            match found.iter_mut().find(|entry| entry.0 == var) {
                None => found.push((var, size, span, text)),
                Some(entry) => entry.1 = self.sizes.min(&entry.1, &size),
            }
        }
        let mut changed = false;
        for (var, size, span, text) in found {
            changed |= self.fix(context, var, size, span, text);
        }
        changed
    }

    /// The unknown index of a position and its largest range that stays inside.
    fn largest(&mut self, context: &Context, node: &Node, extent: &Size) -> Option<(VarId, Size)> {
        // `x[i // 2]` stays inside while `i` is below twice the extent.
        if let Kind::Binary(Binary::FloorDiv, pair) = &node.kind {
            let divisor = self.node_size(&pair[1])?;
            return self.largest(context, &pair[0], &extent.times(&divisor)?);
        }
        let linear = self.linear_form(context, node)?;
        let mut unknown = None;
        let mut constant = linear.constant;
        let mut reach = Size::default();
        let one = Size::constant(1);
        for (var, coefficient) in linear.terms {
            match &context.vars[var].extent {
                None if unknown.is_none() => unknown = Some((var, coefficient)),
                None => return None,
                Some(known) => {
                    let last = coefficient.times(&known.minus(&one)?)?;
                    if coefficient.is_nonnegative() {
                        reach = reach.plus(&last)?;
                    } else if coefficient.is_nonpositive() {
                        constant = constant.plus(&last)?;
                    } else {
                        return None;
                    }
                }
            }
        }
        let (var, coefficient) = unknown?;
        let size = if coefficient.is_nonnegative() {
            let room = extent.minus(&one)?.minus(&constant)?.minus(&reach)?;
            self.sizes.div(&room, &coefficient)?.plus(&one)?
        } else if coefficient.is_nonpositive() {
            let step = Size::default().minus(&coefficient)?;
            self.sizes.div(&constant, &step)?.plus(&one)?
        } else {
            return None;
        };
        Some((var, size))
    }

    /// A position as a linear form of indices.
    fn linear_form(&mut self, context: &Context, node: &Node) -> Option<Linear> {
        if let Some(constant) = self.node_size(node) {
            return Some(Linear { constant, terms: Vec::new() });
        }
        match &node.kind {
            Kind::Var(var) => Some(Linear {
                constant: context.vars[*var].low.clone(),
                terms: vec![(*var, Size::constant(1))],
            }),
            Kind::Negate(a) => self.linear_form(context, a)?.scaled(&Size::constant(-1)),
            Kind::Sum(terms) => {
                let mut sum = Linear { constant: Size::default(), terms: Vec::new() };
                for (minus, term) in terms {
                    let part = self.linear_form(context, term)?;
                    sum = sum.plus(if *minus { part.scaled(&Size::constant(-1))? } else { part })?;
                }
                Some(sum)
            }
            Kind::Product(factors) => {
                let mut form: Option<Linear> = None;
                let mut scale = Size::constant(1);
                for (divides, factor) in factors {
                    if *divides {
                        return None;
                    }
                    match self.node_size(factor) {
                        Some(size) => scale = scale.times(&size)?,
                        None if form.is_none() => form = Some(self.linear_form(context, factor)?),
                        None => return None,
                    }
                }
                form?.scaled(&scale)
            }
            _ => None,
        }
    }

    /// What gives a range where nothing better does.
    fn leftover(&mut self, context: &mut Context) -> bool {
        for k in 0..context.renamed.len() {
            let (from, to) = context.renamed[k];
            if let Some(extent) = context.vars[from].extent.clone() {
                let place = context.vars[from].place;
                let text = format!("as long as `{}`", context.vars[from].name);
                if self.fix(context, to, extent, place, text) {
                    return true;
                }
            }
        }
        for k in 0..context.uses.len() {
            if let Some(var) = context.uses[k].position.var() {
                let (extent, span, text) = (
                    context.uses[k].extent.clone(),
                    context.uses[k].span,
                    self.source_text(&context.uses[k]),
                );
                if self.fix(context, var, extent, span, text) {
                    return true;
                }
            }
        }
        for var in 0..context.vars.len() {
            if context.vars[var].extent.is_some() {
                continue;
            }
            for filter in context.vars[var].filters.clone() {
                if let Kind::Compare(einc_grammar::tree::CompareOp::Lt, pair) = &filter.kind
                    && matches!(pair[0].kind, Kind::Var(own) if own == var)
                    && let Some(size) = self.greatest(context, &pair[1])
                {
                    let span = filter.span;
                    return self.fix(context, var, size, span, "its range ends there at most".to_string());
                }
            }
        }
        false
    }

    /// The greatest value of a linear form of known indices.
    fn greatest(&mut self, context: &Context, node: &Node) -> Option<Size> {
        let linear = self.linear_form(context, node)?;
        let mut greatest = linear.constant;
        for (var, coefficient) in linear.terms {
            let extent = context.vars[var].extent.as_ref()?;
            if coefficient.is_nonnegative() {
                greatest = greatest.plus(&coefficient.times(&extent.minus(&Size::constant(1))?)?)?;
            } else if !coefficient.is_nonpositive() {
                return None;
            }
        }
        Some(greatest)
    }

    /// Checks that every position agrees with the extents found.
    fn verify(&mut self, context: &mut Context) -> Step<()> {
        let mut outcome = Ok(());
        for k in 0..context.uses.len() {
            let known = context.uses[k].clone();
            if known.guarded {
                continue;
            }
            if let Some(var) = known.position.var() {
                let index = &context.vars[var];
                let Some(extent) = index.extent.clone().filter(|_| !index.explicit) else { continue };
                if self.sizes.same(&extent, &known.extent) == Sameness::Different {
                    outcome = Err(self.mismatch(context, var, &extent, &known));
                }
            } else if let Position::Group(vars) = &known.position {
                let mut product = Size::constant(1);
                let mut explicit = false;
                for &var in vars {
                    let Some(extent) = &context.vars[var].extent else { return Err(Reported) };
                    explicit |= context.vars[var].explicit;
                    product = product.times(extent).unwrap_or_default();
                }
                let same = self.sizes.same(&product, &known.extent);
                let values = (self.sizes.value(&product), self.sizes.value(&known.extent));
                let shorter = matches!(values, (Ok(Some(a)), Ok(Some(b))) if a < b) && explicit;
                if same == Sameness::Different && !shorter {
                    let names: Vec<&str> = vars.iter().map(|&var| context.vars[var].name.as_str()).collect();
                    let (got, want) = (self.sizes.described(&product), self.sizes.described(&known.extent));
                    outcome = Err(self.report(
                        Diagnostic::error(
                            Code::ExtentMismatch,
                            format!(
                                "`({})` runs over {got} values, but dim {} of `{}` is {want}",
                                names.join(" "),
                                known.dim,
                                known.tensor
                            ),
                        )
                        .label(known.span, format!("{want} long")),
                    ));
                }
            }
        }
        for (a, b) in context.links.clone() {
            let (Some(x), Some(y)) = (context.vars[a].extent.clone(), context.vars[b].extent.clone()) else {
                continue;
            };
            if self.sizes.same(&x, &y) == Sameness::Different {
                let (x, y) = (self.sizes.described(&x), self.sizes.described(&y));
                let (name, place) = (context.vars[b].name.clone(), context.vars[b].place);
                outcome = Err(self.report(
                    Diagnostic::error(Code::ExtentMismatch, format!("`{name}` has two sizes: {x} and {y}"))
                        .label(place, format!("{y} here"))
                        .label(context.vars[a].place, format!("{x} here")),
                ));
            }
        }
        outcome
    }

    fn mismatch(&mut self, context: &Context, var: VarId, extent: &Size, known: &Use) -> Reported {
        let index = &context.vars[var];
        let (first, second) = (self.sizes.described(extent), self.sizes.described(&known.extent));
        let mut diagnostic = Diagnostic::error(
            Code::ExtentMismatch,
            format!("index `{}` has two sizes: {first} and {second}", index.name),
        )
        .label(known.span, format!("dim {} of `{}` is {second}", known.dim, known.tensor));
        if let Some((span, text)) = &index.fixed_by
            && *span != known.span
        {
            diagnostic = diagnostic.label(*span, text.clone());
        }
        let values = (self.sizes.value(extent), self.sizes.value(&known.extent));
        diagnostic.help = Some(match values {
            (Ok(Some(1)), _) | (_, Ok(Some(1))) => {
                "a dim of extent 1 is not stretched: write `_` there".to_string()
            }
            _ if self.other_dim_fits(context, known, extent) => {
                format!("if `{}` is transposed, exchange its indices", known.tensor)
            }
            _ => "if both are meant to be equal, use one dim for them".to_string(),
        });
        self.report(diagnostic)
    }

    /// Whether another dim of the same access has the wanted extent.
    fn other_dim_fits(&self, context: &Context, known: &Use, extent: &Size) -> bool {
        context
            .uses
            .iter()
            .filter(|other| other.tensor == known.tensor && other.dim != known.dim)
            .any(|other| self.sizes.same(&other.extent, extent) == Sameness::Equal)
    }
}

impl Linear {
    fn plus(mut self, other: Linear) -> Option<Linear> {
        self.constant = self.constant.plus(&other.constant)?;
        for (var, coefficient) in other.terms {
            match self.terms.iter_mut().find(|term| term.0 == var) {
                Some(term) => term.1 = term.1.plus(&coefficient)?,
                None => self.terms.push((var, coefficient)),
            }
        }
        self.terms.retain(|term| term.1 != Size::default());
        Some(self)
    }

    fn scaled(self, factor: &Size) -> Option<Linear> {
        let mut terms = Vec::new();
        for (var, coefficient) in self.terms {
            terms.push((var, coefficient.times(factor)?));
        }
        Some(Linear { constant: self.constant.times(factor)?, terms })
    }
}

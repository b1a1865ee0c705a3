//! Additions: to an `inout` tensor, and at computed positions.

use super::check::{Checker, Reported, Step};
use super::node::{Kind, Node, Position, Symbol, Ty, VarId};
use super::scope::{Declared, Scope};
use super::statement::{Context, Options};
use super::{Role, Scatter, Statement as Step_};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::Expr as Value;
use crate::source::Span;
use einc_grammar::tree::{Expr, ExprKind, Index, ItemKind, Target};
use std::collections::HashSet;

impl<'a> Checker<'a> {
    /// `C[i, n] += ..` and `cnt[tok[b, t]] += 1`.
    pub(super) fn accumulate(
        &mut self,
        scope: &mut Scope,
        target: &Target,
        value: &Expr,
        conditions: &[Expr],
        options: &Options,
        span: Span,
    ) -> Step<()> {
        let name = &target.name;
        let base = scope.tensors.get(&name.text).cloned();
        if scope.broken.contains(&name.text) {
            return Err(Reported);
        }
        let declared = scope.declared.get(&name.text).cloned();
        let (ty, shape) = match (&base, &declared) {
            (Some(base), _) => (base.ty, base.shape.clone()),
            (None, Some(declared)) => (Ty::Of(declared.ty), declared.shape.clone()),
            (None, None) => {
                return Err(self.report(
                    Diagnostic::error(
                        Code::BadLeftSide,
                        format!("`{name}` has no value that could be added to"),
                    )
                    .label(name.span, "not declared")
                    .help(format!(
                        "define it with `=`, or declare `inout {name}: ..` or `output {name}: ..`"
                    )),
                ));
            }
        };
        if let Some(base) = &base {
            let role = self.program.tensors[base.tensor].role;
            let inout = self.is_inout(scope, &name.text);
            if role != Role::Computed && !inout {
                return Err(self.report(
                    Diagnostic::error(
                        Code::BadLeftSide,
                        format!("`{name}` is an input and cannot be added to"),
                    )
                    .label(name.span, "added to here")
                    .label(base.place, "an input")
                    .help("declare it `inout`"),
                ));
            }
        }
        let Ty::Of(dtype) = ty else {
            return Err(self.error(
                Code::BadLeftSide,
                format!("`{name}` has no element type"),
                name.span,
                "here",
            ));
        };
        let indices = target.indices.as_deref().unwrap_or(&[]);
        let plain = is_plain(indices);
        let declared =
            Declared { ty: dtype, shape, place: declared.map_or(name.span, |declared| declared.place) };
        let mut context = Context::new(options);
        let symbol = if plain && let Some(base) = base.clone() {
            let mut inner = scope.clone();
            inner.declared.insert(name.text.clone(), declared.clone());
            let left = self.prepare(&inner, &mut context, target, &[value], conditions)?;
            self.conditions(scope, &mut context, conditions)?;
            let node = self.resolve(scope, &mut context, value)?;
            self.solve(&mut context)?;
            let positions = left.positions(span);
            let kind = Kind::Access { symbol: base, indices: positions, otherwise: None };
            let read = Node { kind, span: target.span };
            let sum = Node { kind: Kind::Sum(vec![(false, read), (false, node)]), span };
            let (statement, symbol) =
                self.build_define(scope, &mut context, name, &left, &sum, Some(&declared), span)?;
            self.program.statements.push(Step_::Define(statement));
            symbol
        } else {
            self.scatter(scope, &mut context, target, value, conditions, base, &declared, span)?
        };
        scope.tensors.insert(name.text.clone(), Symbol { place: name.span, ..symbol });
        Ok(())
    }

    pub(super) fn is_inout(&self, scope: &Scope, name: &str) -> bool {
        scope.prefix.is_empty()
            && self.module.units[scope.unit].declarations().any(|item| match &item.kind {
                ItemKind::Declare { qualifiers, names, .. } => {
                    qualifiers.iter().any(|q| q.0 == einc_grammar::tree::Qualifier::Inout)
                        && names.iter().any(|n| n.text == name)
                }
                _ => false,
            })
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn scatter(
        &mut self,
        scope: &mut Scope,
        context: &mut Context,
        target: &Target,
        value: &Expr,
        conditions: &[Expr],
        base: Option<Symbol>,
        declared: &Declared,
        span: Span,
    ) -> Step<Symbol> {
        let indices = target.indices.as_deref().unwrap_or(&[]);
        self.note_indices(scope, context, indices, &[value], conditions);
        for index in indices {
            if let Index::Expr(Expr { kind: ExprKind::Name(name), span }) = index
                && context.find(name).is_none()
            {
                let var = context.add(name, *span, false);
                context.bind(name, var);
            }
        }
        let name = &target.name.text;
        let positions = self.positions(scope, context, indices, &declared.shape, name, target.span, false)?;
        self.conditions(scope, context, conditions)?;
        // The points that add are those of the indices on the left side and in the conditions.
        let mut axes: Vec<VarId> = Vec::new();
        let mut found: Vec<VarId> = context.conditions.iter().flat_map(Node::uses).collect();
        for position in &positions {
            match position {
                Position::Expr(node) => found.extend(node.uses()),
                Position::Group(vars) => found.extend(vars),
                Position::Unit => {}
            }
        }
        while let Some(var) = found.pop() {
            if !axes.contains(&var) {
                context.vars[var].summed = false;
                axes.push(var);
                found.extend(context.vars[var].filters.iter().flat_map(Node::uses));
            }
        }
        axes.sort_unstable();
        let node = self.resolve(scope, context, value)?;
        self.solve(context)?;
        let (indices, computed) = self.build_positions(context, &positions)?;
        let value = self.build_stored(context, &node, declared.ty, name, span)?;
        let condition = self.left_condition(context, &axes)?;
        let (indices, mut value) = match condition {
            None => (indices, value),
            Some(condition) => {
                let dtype = value.dtype();
                let zero = Value::number(0.0, dtype);
                let value = Value::Select(Box::new([condition.clone(), value, zero]));
                let pick = |index| Value::Select(Box::new([condition.clone(), index, Value::int(0)]));
                (indices.into_iter().map(pick).collect(), value)
            }
        };
        let full = format!("{}{name}", scope.prefix);
        let ty = Ty::Of(declared.ty);
        let symbol = self.add_tensor(&full, ty, declared.ty, &declared.shape, Role::Computed, span)?;
        let outside = if computed {
            context.options.bounds.outside()
        } else {
            self.affine_outside(&indices, symbol.tensor, span)?
        };
        let axes = axes.into_iter().filter_map(|var| context.vars[var].axis).collect();
        let base = base.map(|base| base.tensor);
        self.check_reads(&mut value, span)?;
        self.program.statements.push(Step_::Scatter(Scatter {
            target: symbol.tensor,
            base,
            axes,
            indices,
            outside,
            value,
            place: span,
        }));
        Ok(symbol)
    }
}

/// Whether a left side has plain, distinct indices only.
pub(super) fn is_plain(indices: &[Index]) -> bool {
    let mut seen = HashSet::new();
    indices.iter().all(|index| match index {
        Index::Expr(Expr { kind: ExprKind::Name(name), .. }) => seen.insert(name.clone()),
        Index::Expr(_) => false,
        Index::Group(names, _) => names.iter().all(|name| seen.insert(name.text.clone())),
        Index::Ellipsis(..) | Index::Unit(_) => true,
    })
}

//! Whole tensors: results of calls, copies, einsum strings, arguments and returned values.

use super::Statement as Step_;
use super::check::{Checker, Reported, Step, plural};
use super::element::first_dependency;
use super::node::{Kind, Node, Position, Symbol, Ty, VarId};
use super::scope::{Declared, Scope};
use super::size::{Sameness, Size};
use super::statement::{Context, Left, LeftDim, Options, Use};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;
use einc_grammar::tree::{Expr, ExprKind, Name, Target, Type};
use einc_runtime::DType;
use std::collections::HashMap;

impl<'a> Checker<'a> {
    /// The results of an expression that stands for whole tensors: a call, a tensor's name, an einsum string.
    pub(super) fn whole(
        &mut self,
        scope: &mut Scope,
        value: &Expr,
        count: usize,
    ) -> Step<Option<Vec<Symbol>>> {
        match &value.kind {
            ExprKind::Call { function, args } => {
                let Some(target) = self.called(scope, function)? else {
                    return match &function.kind {
                        ExprKind::Name(name) if name == "einsum" => {
                            Ok(Some(vec![self.einsum(scope, args, value.span)?]))
                        }
                        _ => Ok(None),
                    };
                };
                let results = self.call(scope, target, args, value.span)?;
                if results.len() != count {
                    let (name, got) = (&target.1.name, results.len());
                    let message = format!("`{name}` has {got} {}, not {count}", plural(got, "result"));
                    return Err(self.error(Code::WrongArguments, message, value.span, "this call"));
                }
                Ok(Some(results))
            }
            ExprKind::Name(name) if count == 1 => Ok(scope
                .tensors
                .get(name)
                .filter(|symbol| !symbol.shape.is_empty())
                .map(|symbol| vec![symbol.clone()])),
            _ => Ok(None),
        }
    }

    /// Gives a whole tensor a name; a declared result gets a tensor of its own.
    pub(super) fn name_result(
        &mut self,
        scope: &mut Scope,
        name: &Name,
        symbol: Symbol,
        span: Span,
    ) -> Step<()> {
        let symbol = match scope.declared.get(&name.text).cloned() {
            None => Symbol { place: name.span, ..symbol },
            Some(declared) => {
                self.same_shape(&name.text, &symbol.shape, &declared, span)?;
                self.converted(&symbol, &name.text, declared.ty, span)?
            }
        };
        scope.tensors.insert(name.text.clone(), symbol);
        Ok(())
    }

    /// A copy of a tensor under another name, with that dtype.
    pub(super) fn converted(
        &mut self,
        symbol: &Symbol,
        name: &str,
        dtype: DType,
        span: Span,
    ) -> Step<Symbol> {
        let mut context = Context::new(&Options::default());
        let mut left = Left::default();
        let mut indices = Vec::new();
        for (k, size) in symbol.shape.iter().enumerate() {
            let var = context.add(&format!("i{k}"), span, false);
            context.vars[var].extent = Some(size.clone());
            left.dims.push(LeftDim::Index(var));
            indices.push(Position::Expr(Node { kind: Kind::Var(var), span }));
        }
        let kind = Kind::Access { symbol: symbol.clone(), indices, otherwise: None };
        let node = Node { kind, span };
        self.solve(&mut context)?;
        let declared = Declared { ty: dtype, shape: symbol.shape.clone(), place: span };
        let target = Name { text: name.to_string(), span };
        let scope = Scope::default();
        let (statement, symbol) =
            self.build_define(&scope, &mut context, &target, &left, &node, Some(&declared), span)?;
        self.program.statements.push(Step_::Define(statement));
        Ok(symbol)
    }

    /// Defines a rank-0 tensor.
    pub(super) fn define_scalar(&mut self, scope: &mut Scope, name: &Name, value: &Expr) -> Step<Symbol> {
        let target = Target { name: name.clone(), indices: None, span: name.span };
        let mut context = Context::new(&Options::default());
        let left = self.prepare(scope, &mut context, &target, &[value], &[])?;
        let node = self.resolve(scope, &mut context, value)?;
        self.solve(&mut context)?;
        let declared = scope.declared.get(&name.text).cloned();
        let (statement, symbol) =
            self.build_define(scope, &mut context, name, &left, &node, declared.as_ref(), value.span)?;
        self.program.statements.push(Step_::Define(statement));
        scope.tensors.insert(name.text.clone(), symbol.clone());
        Ok(symbol)
    }

    /// The tensor that an einsum string makes of its operands.
    pub(super) fn einsum_of(
        &mut self,
        scope: &Scope,
        text: &str,
        place: Span,
        symbols: &[Symbol],
        span: Span,
    ) -> Step<Symbol> {
        let ranks: Vec<usize> = symbols.iter().map(|symbol| symbol.shape.len()).collect();
        let spec = super::einsum::parse(text, &ranks)
            .map_err(|error| self.error(Code::BadEinsum, error.message, place, "this einsum string"))?;
        let mut context = Context::new(&Options::default());
        for name in &spec.names {
            context.add(name, place, true);
        }
        let one = Size::constant(1);
        let mut factors = Vec::new();
        for (operand, symbol) in spec.operands.iter().zip(symbols) {
            let mut indices = Vec::new();
            for (dim, (&label, extent)) in operand.iter().zip(&symbol.shape).enumerate() {
                let is_one = self.sizes.same(extent, &one) == Sameness::Equal;
                let longer = spec.operands.iter().zip(symbols).any(|(labels, other)| {
                    labels
                        .iter()
                        .zip(&other.shape)
                        .any(|(&l, size)| l == label && self.sizes.same(size, &one) != Sameness::Equal)
                });
                if is_one && longer {
                    if label >= spec.unnamed {
                        let message = format!("`{}` stretches a dim of extent 1", spec.names[label]);
                        self.report(
                            Diagnostic::warning(Code::SizeOneBroadcast, message)
                                .label(place, "as NumPy does"),
                        );
                    }
                    indices.push(Position::Unit);
                    continue;
                }
                let position = Position::Expr(Node { kind: Kind::Var(label), span: place });
                context.uses.push(Use {
                    position: position.clone(),
                    extent: extent.clone(),
                    tensor: self.program.tensors[symbol.tensor].name.clone(),
                    dim,
                    span: place,
                    guarded: false,
                });
                indices.push(position);
            }
            let kind = Kind::Access { symbol: symbol.clone(), indices, otherwise: None };
            factors.push((false, Node { kind, span }));
        }
        for &label in &spec.output {
            context.vars[label].summed = false;
        }
        self.solve(&mut context)?;
        let left = Left {
            dims: spec.output.iter().map(|&label| LeftDim::Index(label)).collect(),
            ..Left::default()
        };
        let node = match &factors[..] {
            [(_, only)] => only.clone(),
            _ => Node { kind: Kind::Product(factors), span },
        };
        let name = Name { text: format!("einsum.{}", self.program.tensors.len()), span };
        let (statement, symbol) = self.build_define(scope, &mut context, &name, &left, &node, None, span)?;
        self.program.statements.push(Step_::Define(statement));
        Ok(symbol)
    }

    /// An argument of a call: a whole tensor, a call, or an expression of rank 0.
    pub(super) fn argument(&mut self, scope: &mut Scope, arg: &Expr) -> Step<Symbol> {
        match &arg.kind {
            ExprKind::Name(name) => {
                if let Some(symbol) = scope.tensors.get(name) {
                    return Ok(symbol.clone());
                }
                if scope.broken.contains(name) {
                    return Err(Reported);
                }
            }
            ExprKind::Call { .. } => {
                if let Some(mut results) = self.whole(scope, arg, 1)? {
                    return Ok(results.remove(0));
                }
            }
            _ => {}
        }
        let mut probe = Context::new(&Options::default());
        self.note_indices(scope, &mut probe, &[], &[arg], &[]);
        if let Some(name) = first_dependency(scope, &probe, arg) {
            return Err(self.report(
                Diagnostic::error(
                    Code::AmbiguousSum,
                    format!("`{name}` is summed, but all its uses lie inside a call"),
                )
                .label(arg.span, format!("`{name}` occurs only here"))
                .help(format!("write the sum: `sum[{name}](..)`")),
            ));
        }
        let mut inner = scope.clone();
        let number = self.program.tensors.len();
        let name = Name { text: format!("arg.{number}"), span: arg.span };
        self.define_scalar(&mut inner, &name, arg)
    }

    /// A returned value as the result that the signature declares.
    pub(super) fn returned(
        &mut self,
        scope: &mut Scope,
        name: &str,
        value: &Expr,
        ty: &Type,
    ) -> Step<Symbol> {
        let declared = self.declared(scope, ty)?;
        if let Some(mut symbols) = self.whole(scope, value, 1)? {
            let symbol = symbols.remove(0);
            self.same_shape(name, &symbol.shape, &declared, value.span)?;
            if symbol.ty == Ty::Of(declared.ty) {
                return Ok(symbol);
            }
            let name = format!("{}{name}", scope.prefix);
            return self.converted(&symbol, &name, declared.ty, value.span);
        }
        if let ExprKind::Name(text) = &value.kind
            && let Some(symbol) = scope.tensors.get(text).cloned()
            && symbol.ty == Ty::Of(declared.ty)
        {
            self.same_shape(name, &symbol.shape, &declared, value.span)?;
            return Ok(symbol);
        }
        let mut context = Context::new(&Options::default());
        let target = Name { text: name.to_string(), span: value.span };
        let bare = Target { name: target.clone(), indices: None, span: value.span };
        self.prepare(scope, &mut context, &bare, &[value], &[])?;
        let node = self.resolve(scope, &mut context, value)?;
        let left = self.appearance(&mut context, &node, declared.shape.len(), value.span)?;
        for (k, dim) in left.dims.iter().enumerate() {
            if let LeftDim::Index(var) = dim {
                self.declared_use(&mut context, *var, &declared, name, k, value.span);
            }
        }
        self.solve(&mut context)?;
        let (statement, symbol) =
            self.build_define(scope, &mut context, &target, &left, &node, Some(&declared), value.span)?;
        self.program.statements.push(Step_::Define(statement));
        Ok(symbol)
    }

    /// The left side that a returned expression implies: its indices in order of appearance; where there are more
    /// than the result has dims, those that occur once (as in an einsum string without an arrow).
    pub(super) fn appearance(
        &mut self,
        context: &mut Context,
        node: &Node,
        rank: usize,
        span: Span,
    ) -> Step<Left> {
        let mut used: Vec<VarId> = node.uses().into_iter().filter(|&var| context.vars[var].summed).collect();
        if used.len() > rank {
            let mut counts: HashMap<VarId, usize> = HashMap::new();
            node.walk(&mut |part| {
                if let Kind::Access { indices, .. } = &part.kind {
                    for var in indices.iter().filter_map(Position::var) {
                        *counts.entry(var).or_insert(0) += 1;
                    }
                }
            });
            used.retain(|var| counts.get(var) == Some(&1));
        }
        if used.len() != rank {
            return Err(self.report(
                Diagnostic::error(
                    Code::RankMismatch,
                    format!(
                        "the result has {rank} {}, and it is not clear which indices they are",
                        plural(rank, "dim")
                    ),
                )
                .label(span, "this expression")
                .help("define a tensor with its indices on the left, `y[i, k] = ..`, and return `y`"),
            ));
        }
        for &var in &used {
            context.vars[var].summed = false;
        }
        Ok(Left { dims: used.into_iter().map(LeftDim::Index).collect(), diagonal: Vec::new() })
    }

    pub(super) fn declared_use(
        &mut self,
        context: &mut Context,
        var: VarId,
        declared: &Declared,
        name: &str,
        dim: usize,
        span: Span,
    ) {
        context.uses.push(Use {
            position: Position::Expr(Node { kind: Kind::Var(var), span }),
            extent: declared.shape[dim].clone(),
            tensor: name.to_string(),
            dim,
            span,
            guarded: false,
        });
    }
}

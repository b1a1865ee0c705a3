//! Reads: indices of accesses, values outside, states of scans.

use super::build::{Typed, converted};
use super::check::{Checker, Reported, Step};
use super::node::{Kind, Node, Position, Symbol, Ty, VarId};
use super::size::Size;
use super::statement::{Context, LeftDim};
use crate::diagnostic::{Code, Diagnostic};
use crate::expr::{AxisId, Binary, Expr, Outside, Read};
use crate::program::TensorId;
use crate::source::Span;
use einc_runtime::{DType, Scalar};

impl Checker<'_> {
    pub(super) fn size_value(&mut self, size: &Size, span: Span) -> Step<Expr<TensorId>> {
        match self.sizes.value(size) {
            Ok(Some(value)) => Ok(Expr::int(value)),
            Ok(None) => {
                // Where only signatures are checked, any value serves for the types.
                if self.concrete {
                    self.extent(size, span).map(|value| Expr::int(value as i64))
                } else {
                    Ok(Expr::int(1))
                }
            }
            Err(why) => Err(self.uncountable(&why, span)),
        }
    }

    pub(super) fn index_value(&mut self, context: &Context, var: VarId) -> Step<Expr<TensorId>> {
        let index = &context.vars[var];
        let axis = Expr::Index(index.axis.ok_or(Reported)?);
        if index.low == Size::default() {
            return Ok(axis);
        }
        let (low, place) = (index.low.clone(), index.place);
        Ok(Expr::Sum(vec![axis, self.size_value(&low, place)?]))
    }

    /// One integer expression for each position; and whether one of them reads a tensor.
    pub(super) fn build_positions(
        &mut self,
        context: &mut Context,
        positions: &[Position],
    ) -> Step<(Vec<Expr<TensorId>>, bool)> {
        let mut indices = Vec::new();
        let mut computed = false;
        for position in positions {
            indices.push(match position {
                Position::Unit => Expr::int(0),
                Position::Group(vars) => {
                    let mut flat: Option<Expr<TensorId>> = None;
                    for &var in vars {
                        let index = self.index_value(context, var)?;
                        let extent =
                            context.vars[var].axis.map_or(1, |axis| self.program.axes[axis].extent) as i64;
                        flat = Some(match flat {
                            None => index,
                            Some(flat) => {
                                Expr::Sum(vec![Expr::Product(vec![flat, Expr::int(extent)]), index])
                            }
                        });
                    }
                    flat.unwrap_or_else(|| Expr::int(0))
                }
                Position::Expr(node) => {
                    computed |= node.reads();
                    let (value, ty) = self.value(context, node)?;
                    match ty {
                        Ty::Int => value,
                        // What no `i64` holds is beyond every extent.
                        Ty::Of(DType::U64) => {
                            let most = Expr::Const(Scalar::Int(i64::MAX.into()), DType::U64);
                            converted(Expr::Binary(Binary::Min, Box::new(value), Box::new(most)), DType::I64)
                        }
                        Ty::Of(dtype) if dtype.is_integer() => converted(value, DType::I64),
                        _ => {
                            let mut diagnostic = Diagnostic::error(
                                Code::BadOperand,
                                format!("an index is an integer, not {}", ty.text()),
                            )
                            .label(node.span, "here");
                            diagnostic.help = Some("`//` divides integers, `as i64` truncates".to_string());
                            return Err(self.report(diagnostic));
                        }
                    }
                }
            });
        }
        Ok((indices, computed))
    }

    pub(super) fn read(
        &mut self,
        context: &mut Context,
        symbol: &Symbol,
        positions: &[Position],
        otherwise: Option<&Node>,
        span: Span,
    ) -> Step<Typed> {
        let (indices, computed) = self.build_positions(context, positions)?;
        let dtype = self.program.tensors[symbol.tensor].dtype;
        let mut ty = symbol.ty;
        let read = |indices, outside| {
            Expr::Read(Read { source: symbol.tensor, dtype, indices, outside, place: span })
        };
        let Some(otherwise) = otherwise else {
            let outside = if computed { context.options.bounds.outside() } else { Outside::Never };
            return Ok((converted(read(indices, outside), ty.computed()), ty));
        };
        let (mut value, other) = self.value(context, otherwise)?;
        let sure = self.concrete && self.surely_inside(symbol.tensor, &indices);
        if ty.is_flexible() {
            // A table of numbers takes the type of the value outside.
            let joined = self.joined((ty, span), (other, otherwise.span), span)?;
            let inner = read(indices.clone(), Outside::Else(Box::new(Expr::number(0.0, dtype))));
            if joined == ty {
                value = converted(value, dtype);
                return Ok((read(indices, Outside::Else(Box::new(value))), ty));
            }
            ty = joined;
            return Ok((converted(inner, ty.computed()), ty));
        }
        value = self.adopted((value, other), ty, otherwise.span)?;
        let outside = if sure { Outside::Never } else { Outside::Else(Box::new(converted(value, dtype))) };
        Ok((converted(read(indices, outside), ty.computed()), ty))
    }

    /// Whether indices stay inside a tensor whatever their axes are, so that `else` has nothing to give.
    fn surely_inside(&self, tensor: TensorId, indices: &[Expr<TensorId>]) -> bool {
        indices.iter().zip(&self.program.tensors[tensor].shape).all(|(index, &extent)| {
            let bounds = index.affine().and_then(|affine| affine.bounds(&self.program.axes));
            bounds.is_some_and(|(low, high)| low >= 0 && i128::from(high) < i128::from(extent))
        })
    }

    /// A read of a scan's state at an earlier step, or at this one where it is defined already.
    pub(super) fn state_read(
        &mut self,
        context: &mut Context,
        state: usize,
        positions: &[Position],
        span: Span,
    ) -> Step<Typed> {
        let Some((time, reversed)) = context.time else { return Err(Reported) };
        let (mut indices, _) = self.build_positions(context, positions)?;
        let known = &context.states[state];
        let (name, defined, at) = (known.name.text.clone(), known.defined, known.time);
        let axis = context.vars[time].axis.ok_or(Reported)?;
        let mut previous = true;
        match at {
            Some(at) => {
                let step =
                    indices[at].affine().filter(|form| form.terms == [(axis, 1)]).map(|form| form.constant);
                let back = step.map(|step| if reversed { -step } else { step });
                match back {
                    Some(back) if back < 0 => {}
                    Some(0) if defined => previous = false,
                    Some(_) => {
                        return Err(self.report(
                            Diagnostic::error(
                                Code::BadScan,
                                format!("`{name}` is read before this step has defined it"),
                            )
                            .label(span, "not an earlier step")
                            .help(if reversed {
                                "a reversed scan reads later positions: `t + 1`"
                            } else {
                                "read an earlier step, `t - 1`, or write `scan[t reversed]`"
                            }),
                        ));
                    }
                    None => {
                        return Err(self.error(
                            Code::BadScan,
                            format!("`{name}` is read at a step that is not a fixed number of steps back"),
                            span,
                            "not of the form `t - 1`",
                        ));
                    }
                }
            }
            None => {
                previous = !defined;
                let step = if !previous {
                    0
                } else if reversed {
                    1
                } else {
                    -1
                };
                let index = if step == 0 {
                    Expr::Index(axis)
                } else {
                    Expr::Sum(vec![Expr::Index(axis), Expr::int(step)])
                };
                indices.insert(0, index);
            }
        }
        let known = &context.states[state];
        let Some(history) = known.history.clone() else { return Err(Reported) };
        let init = known.init.clone();
        let dtype = self.program.tensors[history.tensor].dtype;
        let outside = if previous {
            let Some(init) = init else {
                let message = format!("`{name}` has no value before the first step");
                return Err(self.error(Code::BadScan, message, span, "give one after `from`"));
            };
            let own: Vec<Position> = positions
                .iter()
                .enumerate()
                .filter(|(k, _)| Some(*k) != at)
                .map(|(_, p)| p.clone())
                .collect();
            let value = self.initial(context, &init, &own)?;
            Outside::Else(Box::new(converted(value, dtype)))
        } else {
            Outside::Never
        };
        let read = Expr::Read(Read { source: history.tensor, dtype, indices, outside, place: span });
        Ok((converted(read, history.ty.computed()), history.ty))
    }

    /// The initial value of a state at given positions: a tensor is read there.
    pub(super) fn initial(
        &mut self,
        context: &mut Context,
        init: &Node,
        positions: &[Position],
    ) -> Step<Expr<TensorId>> {
        if let Kind::Access { symbol, indices, otherwise: None, .. } = &init.kind
            && indices.is_empty()
            && !symbol.shape.is_empty()
        {
            let symbol = symbol.clone();
            return Ok(self.read(context, &symbol, positions, None, init.span)?.0);
        }
        Ok(self.value(context, init)?.0)
    }

    /// The shape and the tensor of a state's steps: the scan's index stands first unless the left side has it.
    pub(super) fn history(
        &mut self,
        context: &mut Context,
        state: usize,
        ty: Ty,
        prefix: &str,
    ) -> Step<Symbol> {
        let Some((time, _)) = context.time else { return Err(Reported) };
        let known = context.states[state].clone();
        let mut shape = self.left_shape(context, &known.left, known.name.span)?;
        let name = match known.time {
            Some(_) => format!("{prefix}{}", known.name),
            None => {
                shape.insert(0, context.vars[time].extent.clone().ok_or(Reported)?);
                format!("{prefix}{}.steps", known.name)
            }
        };
        self.add_tensor(&name, ty, ty.computed(), &shape, super::Role::Computed, known.name.span)
    }

    /// The axes of a state's steps.
    pub(super) fn history_dims(&mut self, context: &Context, state: usize) -> Step<Vec<Vec<AxisId>>> {
        let Some((time, _)) = context.time else { return Err(Reported) };
        let known = &context.states[state];
        let axis = |var: VarId| context.vars[var].axis.ok_or(Reported);
        let mut dims = Vec::new();
        if known.time.is_none() {
            dims.push(vec![axis(time)?]);
        }
        for dim in &known.left.dims {
            dims.push(match dim {
                LeftDim::Index(var) => vec![axis(*var)?],
                LeftDim::Group(vars) => vars.iter().map(|&var| axis(var)).collect::<Step<_>>()?,
                LeftDim::Unit => Vec::new(),
            });
        }
        Ok(dims)
    }
}

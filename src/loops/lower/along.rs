//! Maps along axes: a row is computed into scratch memory, mapped there, and written to its place.

use super::build::Builder;
use super::expr::{Point, Scope, Val};
use super::nest::{PARALLEL_WORK, Task, size_of};
use super::reduce::Sums;
use crate::expr::{AlongOp, Axes, Axis, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary, points};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{AlongStep, Operand, Reduction, Source, View};

/// A row in scratch memory: over the map's axes as they are, or over one axis that counts them all.
struct Row {
    buffer: BufferId,
    dtype: DType,
    /// The single axis.
    flat: AxisId,
    length: u64,
    /// Strides of the map's axes.
    strides: Vec<(AxisId, i64)>,
}

/// The row as an operand with one dim.
fn operand(buffer: BufferId, length: u64) -> Operand {
    Operand { buffer: crate::plan::BufferId(buffer.0), offset: 0, dims: vec![(length, 1)] }
}

impl Builder {
    pub(super) fn along(&mut self, step: &AlongStep, axes: &Axes, point: &Point, machine: &Machine) {
        let volume = |list: &[AxisId]| points(axes, list);
        let length = volume(&step.axes);
        if volume(&step.rows) == 0 || volume(&step.out_axes) == 0 {
            return;
        }
        if matches!(step.op, AlongOp::Dft | AlongOp::Idft) {
            return self.transforms(step, axes, point, machine);
        }
        if self.running_rows(step, axes, point, machine) || self.columns(step, axes, point, machine) {
            return;
        }
        let mut axes = axes.clone();
        let flat = axes.push(Axis { name: "r".into(), extent: length });
        let dtype = match step.op {
            AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK => step.body.dtype(),
            _ => match step.body.dtype() {
                DType::F16 | DType::Bf16 => DType::F32,
                dtype => dtype,
            },
        };
        let buffer = self.scratch("row", dtype, length);
        let mut strides = Vec::new();
        let mut stride = 1i64;
        for &axis in step.axes.iter().rev() {
            strides.push((axis, stride));
            stride = stride.saturating_mul(i64::try_from(axes[axis].extent).unwrap_or(i64::MAX));
        }
        let row = Row { buffer, dtype, flat, length, strides };
        let work = volume(&step.rows).saturating_mul(length).saturating_mul(16 + size_of(&step.body) as u64);
        let parallel = work >= PARALLEL_WORK && !self.in_parallel();
        let mut order = step.rows.clone();
        if let (true, Some(at)) = (parallel, (0..order.len()).max_by_key(|&at| axes[order[at]].extent)) {
            let axis = order.remove(at);
            order.insert(0, axis);
        }
        self.along_rows(step, &axes, &order, parallel, point, &row, machine);
    }

    #[allow(clippy::too_many_arguments)]
    fn along_rows(
        &mut self,
        step: &AlongStep,
        axes: &Axes,
        order: &[AxisId],
        parallel: bool,
        point: &Point,
        row: &Row,
        machine: &Machine,
    ) {
        let Some((&axis, inner)) = order.split_first() else {
            // Inside one row nothing is worth another thread.
            return self.along_row(step, axes, point, row, machine);
        };
        let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        self.looped(&axes[axis].name.clone(), (0, extent, 1), parallel, &mut |builder, at| {
            builder.along_rows(step, axes, inner, false, &point.with(axis, at), row, machine);
        });
    }

    fn along_row(&mut self, step: &AlongStep, axes: &Axes, point: &Point, row: &Row, machine: &Machine) {
        let body = match step.body.dtype() {
            dtype if dtype == row.dtype => step.body.clone(),
            _ => Expr::Cast(row.dtype, Box::new(step.body.clone())),
        };
        let filled = View {
            buffer: crate::plan::BufferId(row.buffer.0),
            offset: 0,
            strides: row.strides.iter().copied().filter(|stride| stride.1 != 0).collect(),
        };
        self.row_nest(&step.axes, &step.operands, &body, &filled, &[], axes, point, machine);
        let source = operand(row.buffer, row.length);
        let flat = read(0, row.dtype, Expr::Index(row.flat));
        // The element that lies where the result goes.
        let own = read(0, row.dtype, position(&row.strides));
        match step.op {
            AlongOp::Softmax => {
                let most = self.row_reduce(ReduceOp::Max, &flat, &source, axes, row, point, machine);
                let ty = self.ty(most);
                let lowest = self.number(ty, f64::NEG_INFINITY);
                let (empty, zero) = (self.lang(Binary::Eq, most, lowest), self.number(ty, 0.0));
                let most = self.select(empty, zero, most);
                let minus = Expr::Unary(Unary::Neg, Box::new(given(0, row.dtype)));
                let value = Expr::Unary(Unary::Exp, Box::new(Expr::Sum(vec![flat.clone(), minus])));
                let whole = View { strides: vec![(row.flat, 1)], ..filled };
                let most = [Val::One(most)];
                self.row_nest(
                    &[row.flat],
                    std::slice::from_ref(&source),
                    &value,
                    &whole,
                    &most,
                    axes,
                    point,
                    machine,
                );
                let total = self.row_reduce(ReduceOp::Sum, &flat, &source, axes, row, point, machine);
                let one = self.number(ty, 1.0);
                let scale = self.lang(Binary::Div, one, total);
                let none = self.lang(Binary::Eq, total, zero);
                let scale = self.select(none, zero, scale);
                let value = Expr::Product(vec![own, given(0, row.dtype)]);
                self.row_out(step, source, value, &[Val::One(scale)], axes, point, machine);
            }
            AlongOp::LogSoftmax => {
                let total = self.row_reduce(ReduceOp::LogSumExp, &flat, &source, axes, row, point, machine);
                let minus = Expr::Unary(Unary::Neg, Box::new(given(0, row.dtype)));
                let value = Expr::Sum(vec![own, minus]);
                self.row_out(step, source, value, &[Val::One(total)], axes, point, machine);
            }
            AlongOp::Normalize => {
                let real = row.dtype.real_part();
                let parts = match row.dtype.is_complex() {
                    false => vec![flat.clone()],
                    true => {
                        [Unary::Real, Unary::Imag].map(|op| Expr::Unary(op, Box::new(flat.clone()))).into()
                    }
                };
                let sizes = parts.iter().map(|part| Expr::Unary(Unary::Abs, Box::new(part.clone())));
                let size = sizes.reduce(|a, b| Expr::Binary(Binary::Max, Box::new(a), Box::new(b)));
                let size = size.unwrap_or_else(|| Expr::number(0.0, real));
                let most = self.row_reduce(ReduceOp::Max, &size, &source, axes, row, point, machine);
                let factor = squarable(given(0, real), real);
                let factor = match row.dtype.is_complex() {
                    false => factor,
                    true => Expr::Cast(row.dtype, Box::new(factor)),
                };
                let whole = View { strides: vec![(row.flat, 1)], ..filled };
                let scaled = Expr::Product(vec![flat, factor]);
                let from = std::slice::from_ref(&source);
                self.row_nest(&[row.flat], from, &scaled, &whole, &[Val::One(most)], axes, point, machine);
                let squares = parts.into_iter().map(|part| Expr::Product(vec![part.clone(), part]));
                let square = squares.reduce(|a, b| Expr::Sum(vec![a, b]));
                let square = square.unwrap_or_else(|| Expr::number(0.0, real));
                let total = self.row_reduce(ReduceOp::Sum, &square, &source, axes, row, point, machine);
                let norm = self.unary(Unary::Sqrt, total);
                let zero = self.number(self.ty(norm), 0.0);
                let none = self.lang(Binary::Eq, norm, zero);
                let one = self.number(self.ty(norm), 1.0);
                let divisor = self.select(none, one, norm);
                let divisor_expr = match row.dtype.is_complex() {
                    false => given(0, real),
                    true => Expr::Cast(row.dtype, Box::new(given(0, real))),
                };
                let value = Expr::Binary(Binary::Div, Box::new(own), Box::new(divisor_expr));
                self.row_out(step, source, value, &[Val::One(divisor)], axes, point, machine);
            }
            AlongOp::CumSum | AlongOp::CumProd => self.running(step, axes, point, row),
            AlongOp::Dft | AlongOp::Idft => unreachable!("transforms have rows of their own"),
            AlongOp::Sort | AlongOp::ArgSort | AlongOp::TopK | AlongOp::ArgTopK => {
                let descending = matches!(step.op, AlongOp::TopK | AlongOp::ArgTopK);
                let values = matches!(step.op, AlongOp::Sort | AlongOp::TopK);
                let take = axes[step.out_axes[0]].extent.min(row.length);
                let positions = self.scratch("order", DType::I64, row.length);
                let start = |buffer| Address { buffer, offset: 0, terms: Vec::new(), dynamic: None };
                self.push(Stmt::Sort(Box::new(Sort {
                    dtype: row.dtype,
                    row: start(row.buffer),
                    len: row.length,
                    descending,
                    take,
                    positions: start(positions),
                })));
                self.forget();
                let at = read(1, DType::I64, Expr::Index(step.out_axes[0]));
                let value = if values { read(0, row.dtype, at) } else { at };
                let operands = [source, operand(positions, row.length)];
                self.row_nest(&step.out_axes, &operands, &value, &step.out, &[], axes, point, machine);
            }
        }
    }

    /// Writes the result from the row.
    #[allow(clippy::too_many_arguments)]
    fn row_out(
        &mut self,
        step: &AlongStep,
        source: Operand,
        value: Expr<Source>,
        known: &[Val],
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) {
        let value = if value.dtype() == step.dtype { value } else { Expr::Cast(step.dtype, Box::new(value)) };
        self.row_nest(&step.out_axes, &[source], &value, &step.out, known, axes, point, machine);
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn row_nest(
        &mut self,
        list: &[AxisId],
        operands: &[Operand],
        value: &Expr<Source>,
        out: &View,
        known: &[Val],
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) {
        let task = Task {
            axes: list,
            operands,
            reductions: &[],
            value,
            out,
            accumulate: false,
            given: known,
            alone: true,
        };
        self.nest(&task, axes, point, machine);
    }

    /// A reduction of the row to a scalar.
    #[allow(clippy::too_many_arguments)]
    fn row_reduce(
        &mut self,
        op: ReduceOp,
        body: &Expr<Source>,
        source: &Operand,
        axes: &Axes,
        row: &Row,
        point: &Point,
        machine: &Machine,
    ) -> ValueId {
        let reduction = Reduction { op, axes: vec![row.flat], body: body.clone() };
        let scopes = [Scope { axes, operands: std::slice::from_ref(source), reduced: Vec::new() }];
        if let Some(result) = self.fold_call(&reduction, &scopes[0], point, machine) {
            return result.one();
        }
        let vector = self.inner_lanes(&reduction, &scopes[0], machine);
        let sums = Sums {
            reduction: &reduction,
            points: std::slice::from_ref(point),
            scopes: &scopes,
            vector,
            ranges: Vec::new(),
        };
        self.reduce(&sums)[0].one()
    }

    /// A running sum or product.
    fn running(&mut self, step: &AlongStep, axes: &Axes, point: &Point, row: &Row) {
        let sum = step.op == AlongOp::CumSum;
        // A running sum is one long chain: `f32` would lose too much in it.
        let wide = match row.dtype {
            DType::F32 => DType::F64,
            DType::C64 => DType::C128,
            dtype => dtype,
        };
        let part = Type::scalar(wide.real_part());
        let first = self.number(part, if sum { 0.0 } else { 1.0 });
        let zero = self.number(part, 0.0);
        let registers: Vec<ValueId> = (0..1 + u8::from(wide.is_complex()))
            .map(|number| {
                let register = self.register(part);
                self.set(register, Op::Copy(if number == 0 { first } else { zero }));
                register
            })
            .collect();
        let (axis, out_axis) = (step.axes[0], step.out_axes[0]);
        let extent = i64::try_from(row.length).unwrap_or(i64::MAX);
        self.looped(&axes[axis].name.clone(), (0, extent, 1), false, &mut |builder, at| {
            let value = builder.load(row.dtype, row.buffer, at.clone(), None);
            let (value, old) = match (value, &registers[..]) {
                (Val::Pair(re, im), &[old_re, old_im]) => {
                    let [re, im] = [re, im].map(|v| builder.cast(part.dtype, v));
                    (Val::Pair(re, im), Val::Pair(old_re, old_im))
                }
                (value, registers) => {
                    (Val::One(builder.cast(part.dtype, value.one())), Val::One(registers[0]))
                }
            };
            let next = if sum { builder.plus(old, value) } else { builder.times(old, value) };
            let narrow = step.dtype.real_part();
            let written = match next {
                Val::Pair(re, im) => {
                    let written = Val::Pair(builder.cast(narrow, re), builder.cast(narrow, im));
                    builder.set(registers[0], Op::Copy(re));
                    builder.set(registers[1], Op::Copy(im));
                    written
                }
                Val::One(value) => {
                    let written = Val::One(builder.cast(narrow, value));
                    builder.set(registers[0], Op::Copy(value));
                    written
                }
            };
            let (lin, _) =
                super::expr::view_at(&point.with(out_axis, at), step.out.offset, &step.out.strides);
            builder.write(BufferId(step.out.buffer.0), &lin, 0, None, written);
        });
    }
}

/// A read of one element of operand `number`.
fn read(number: u32, dtype: DType, index: Expr<Source>) -> Expr<Source> {
    let source = Source::Operand(number);
    Expr::Read(Read { source, dtype, indices: vec![index], outside: Outside::Never, place: Span::default() })
}

/// A value known before the nest.
fn given(number: u32, dtype: DType) -> Expr<Source> {
    let source = Source::Reduced(number);
    Expr::Read(Read { source, dtype, indices: vec![], outside: Outside::Never, place: Span::default() })
}

/// The power of two that numbers up to that size are multiplied by so that the sum of their squares is neither 0 nor
/// infinite; 1 for numbers of usual sizes.
pub(super) fn squarable(most: Expr<Source>, real: DType) -> Expr<Source> {
    let (usual, down, up) = if real == DType::F64 { (400, -700, 700) } else { (50, -78, 100) };
    let power = |exponent: i32| Expr::number(2f64.powi(exponent), real);
    let compare = |op, bound| Expr::Binary(op, Box::new(most.clone()), Box::new(power(bound)));
    let small = Expr::Select(Box::new([compare(Binary::Lt, -usual), power(up), power(0)]));
    Expr::Select(Box::new([compare(Binary::Gt, usual), power(down), small]))
}

/// Where an element of the row is, by the map's axes.
pub(super) fn position(strides: &[(AxisId, i64)]) -> Expr<Source> {
    let mut terms: Vec<Expr<Source>> = strides
        .iter()
        .map(|&(axis, stride)| match stride {
            1 => Expr::Index(axis),
            by => Expr::Product(vec![Expr::int(by), Expr::Index(axis)]),
        })
        .collect();
    match terms.len() {
        0 => Expr::int(0),
        1 => terms.remove(0),
        _ => Expr::Sum(terms),
    }
}

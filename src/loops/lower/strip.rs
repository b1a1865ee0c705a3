//! Functions and folds of many numbers at once: what is not in memory yet is computed into a strip of scratch memory, a
//! part of the innermost axis, and one call works on the strip with the widest vectors that the machine has.
//!
//! ```text
//! for i2 in 0..1024 parallel {              y[i, j] = tanh(x[i, j] + 1)
//!   for j3 in 0..1024 step 512 {
//!     .. strip[0..512] = x[i, j3..] + 1
//!     y[1024*i2 + j3] = tanh of 512 f32 at strip[0] } }
//! ```

use super::build::{Builder, Lin};
use super::expr::{Point, Scope, Val, view_at};
use super::nest::{Piece, Task};
use crate::expr::{Affine, Axes, Axis, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{self, Operand, Reduction, Source, View};
use crate::source::Span;
use einc_runtime::Scalar;

/// Numbers of a strip.
const STRIP: u64 = 512;

/// Numbers below which a call does not pay.
const LEAST: u64 = 32;

/// Numbers below which folding them by a call does not pay.
const LEAST_FOLD: u64 = 64;

/// A function of an argument that is made of strips and operands.
struct Call {
    function: Mapped,
    dtype: DType,
    argument: Expr<Source>,
    /// Its strip.
    buffer: BufferId,
}

/// What is computed along an axis, strip by strip.
struct Strips<'a> {
    axes: Axes,
    /// The axis that strips are parts of.
    axis: AxisId,
    /// Stands for the start of a strip in what reads it.
    start: AxisId,
    /// The operands, and behind them the strips.
    operands: Vec<Operand>,
    calls: Vec<Call>,
    given: &'a [Val],
    machine: &'a Machine,
}

impl<'a> Strips<'a> {
    fn new(
        axes: &Axes,
        axis: AxisId,
        operands: &[Operand],
        given: &'a [Val],
        machine: &'a Machine,
    ) -> Strips<'a> {
        let mut axes = axes.clone();
        let start = axes.push(Axis { name: "start".into(), extent: 1 });
        Strips { axes, axis, start, operands: operands.to_vec(), calls: Vec::new(), given, machine }
    }

    /// Where an element of the strip of that buffer goes.
    fn view(&self, buffer: BufferId) -> View {
        let strides = vec![(self.axis, 1), (self.start, -1)];
        View { buffer: plan::BufferId(buffer.0), offset: 0, strides }
    }

    /// A read of a strip by the number of its operand.
    fn read(&self, operand: usize, dtype: DType) -> Expr<Source> {
        let source = Source::Operand(operand as u32);
        let minus = Expr::Unary(Unary::Neg, Box::new(Expr::Index(self.start)));
        let indices = vec![Expr::Sum(vec![Expr::Index(self.axis), minus])];
        Expr::Read(Read { source, dtype, indices, outside: Outside::Never, place: Span::default() })
    }

    fn operand(buffer: BufferId) -> Operand {
        Operand { buffer: plan::BufferId(buffer.0), offset: 0, dims: vec![(STRIP, 1)] }
    }

    /// The expression with functions that vary along the axis replaced by reads of their strips.
    fn extract(&mut self, expr: &Expr<Source>, builder: &mut Builder) -> Expr<Source> {
        match expr {
            _ if let Some((function, argument)) = mapped(expr, self.axis) => {
                let dtype = argument.dtype();
                // Where a read stands in the source makes no difference unless it can fail.
                let argument = self.extract(argument, builder).map_reads(&mut |read, indices, outside| {
                    let checked = matches!(outside, Outside::Checked);
                    let place = if checked { read.place } else { Span::default() };
                    Expr::Read(Read { source: read.source, dtype: read.dtype, indices, outside, place })
                });
                let known =
                    self.calls.iter().position(|call| call.function == function && call.argument == argument);
                let number = known.unwrap_or_else(|| {
                    let buffer = builder.strip(self.calls.len(), dtype);
                    self.operands.push(Strips::operand(buffer));
                    self.calls.push(Call { function, dtype, argument, buffer });
                    self.calls.len() - 1
                });
                self.read(self.operands.len() - self.calls.len() + number, dtype)
            }
            Expr::Unary(op, a) => Expr::Unary(*op, Box::new(self.extract(a, builder))),
            Expr::Cast(dtype, a) => Expr::Cast(*dtype, Box::new(self.extract(a, builder))),
            Expr::Binary(op, a, b) => {
                let (a, b) = (self.extract(a, builder), self.extract(b, builder));
                Expr::Binary(*op, Box::new(a), Box::new(b))
            }
            Expr::Sum(parts) => Expr::Sum(parts.iter().map(|part| self.extract(part, builder)).collect()),
            Expr::Product(parts) => {
                Expr::Product(parts.iter().map(|part| self.extract(part, builder)).collect())
            }
            // What a condition guards is computed only where it holds.
            _ => expr.clone(),
        }
    }
}

impl Builder {
    /// The scratch memory of a strip.
    fn strip(&mut self, number: usize, dtype: DType) -> BufferId {
        let name = format!("strip{number}");
        let known = self.loops.buffers.iter().find(|(_, buffer)| {
            buffer.name == name && buffer.dtype == dtype && matches!(buffer.place, Place::Scratch(_))
        });
        match known.map(|(id, _)| id) {
            Some(id) => id,
            None => self.scratch(&name, dtype, STRIP),
        }
    }

    /// Writes a nest without reductions strip by strip along its vector axis, if it calls functions; whether it does.
    pub(super) fn strips(
        &mut self,
        task: &Task,
        axes: &Axes,
        outer: &Point,
        (order, vector, parallel): (&[AxisId], Option<AxisId>, bool),
        machine: &Machine,
    ) -> bool {
        let Some(axis) = vector.filter(|&axis| axes[axis].extent >= LEAST) else { return false };
        if !task.reductions.is_empty() || !has_calls(task.value, axis) {
            return false;
        }
        let mut strips = Strips::new(axes, axis, task.operands, task.given, machine);
        let value = strips.extract(task.value, self);
        let order: Vec<AxisId> = order.iter().copied().filter(|&other| other != axis).collect();
        self.rows_of_strips(&strips, &order, parallel, outer, &mut |builder, point, len| {
            builder.strip_value(&strips, &value, task.out, task.accumulate, point, len);
        });
        true
    }

    /// Runs along an axis in strips: whole ones, then the rest.
    fn each_strip(
        &mut self,
        axes: &Axes,
        axis: AxisId,
        parallel: bool,
        body: &mut dyn FnMut(&mut Builder, &Lin, u64),
    ) {
        let extent = axes[axis].extent;
        let whole = extent / STRIP * STRIP;
        let [end, all] = [whole, extent].map(|end| i64::try_from(end).unwrap_or(i64::MAX));
        let name = axes[axis].name.clone();
        for (range, len) in [((0, end, STRIP as i64), STRIP), ((end, all, STRIP as i64), extent - whole)] {
            self.looped(&name, range, parallel, &mut |builder, start| body(builder, &start, len));
        }
    }

    /// Computes one strip of a value and writes it to its place. At `point` the axis is at the strip's start.
    fn strip_value(
        &mut self,
        strips: &Strips,
        value: &Expr<Source>,
        out: &View,
        accumulate: bool,
        point: &Point,
        len: u64,
    ) {
        // A value that is the last call goes where the result is.
        let last = strips.calls.len();
        let straight = !accumulate
            && out.strides.contains(&(strips.axis, 1))
            && matches!(value, Expr::Read(read) if read.source == strip_source(strips, last));
        for (number, call) in strips.calls.iter().enumerate() {
            let own = strips.view(call.buffer);
            let to = if straight && number + 1 == last { out } else { &own };
            let (place, _) = view_at(point, to.offset, &to.strides);
            let place = address(BufferId(to.buffer.0), place);
            let from = match self.plain_numbers(strips, &call.argument, call.dtype, point) {
                Some(from) if from == place || self.are_apart(from.buffer, place.buffer) => from,
                _ => {
                    self.strip_nest(strips, &call.argument, to, false, point, len);
                    place.clone()
                }
            };
            let (function, dtype) = (call.function, call.dtype);
            self.push(Stmt::Map(Box::new(Map { function, dtype, from, to: place, len })));
            self.forget();
        }
        if !straight {
            self.strip_nest(strips, value, out, accumulate, point, len);
        }
    }

    /// The nest of one strip.
    fn strip_nest(
        &mut self,
        strips: &Strips,
        value: &Expr<Source>,
        out: &View,
        accumulate: bool,
        point: &Point,
        len: u64,
    ) {
        let mut axes = strips.axes.clone();
        axes[strips.axis].extent = len;
        let task = Task {
            axes: &[strips.axis],
            operands: &strips.operands,
            reductions: &[],
            value,
            out,
            accumulate,
            given: strips.given,
            alone: true,
        };
        let extent = i64::try_from(len).unwrap_or(i64::MAX);
        let start = point.axis(strips.axis).clone();
        let piece = Piece { axis: strips.axis, start, extent, inside: None, cuts: Default::default() };
        self.one_piece(&task, &axes, piece, point, strips.machine);
    }

    /// Where the numbers of an expression lie, if it is a read of numbers side by side along the axis.
    fn plain_numbers(
        &self,
        strips: &Strips,
        expr: &Expr<Source>,
        dtype: DType,
        point: &Point,
    ) -> Option<Address> {
        plain_read(expr, &strips.operands, strips.axis, dtype)
            .map(|(buffer, affine)| address(buffer, point.lin(&affine)))
    }

    /// The reduction at a point by calls, if it is one over numbers side by side or over functions of numbers.
    pub(super) fn fold_call(
        &mut self,
        reduction: &Reduction,
        scope: &Scope,
        point: &Point,
        machine: &Machine,
    ) -> Option<Val> {
        let dtype = reduction.body.dtype();
        if point.vector.is_some() || !matches!(dtype, DType::F32 | DType::F64) {
            return None;
        }
        let &[axis] = &reduction.axes[..] else {
            return self.fold_of_axes(reduction, scope, point);
        };
        if scope.axes[axis].extent < LEAST_FOLD {
            return None;
        }
        match reduction.op {
            ReduceOp::ArgMax | ReduceOp::ArgMin => {
                let (buffer, affine) = plain_read(&reduction.body, scope.operands, axis, dtype)?;
                let from = address(buffer, point.with(axis, Lin::default()).lin(&affine));
                let result = self.loops.values.push(Type::scalar(DType::I64));
                let len = scope.axes[axis].extent;
                self.push(Stmt::Fold(result, Box::new(Fold { op: reduction.op, dtype, from, len })));
                Some(Val::One(result))
            }
            ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min => {
                self.fold_of(reduction.op, &reduction.body, axis, scope, point, machine)
            }
            ReduceOp::LogSumExp => {
                let body = &reduction.body;
                let most = self.fold_of(ReduceOp::Max, body, axis, scope, point, machine)?.one();
                let ty = self.ty(most);
                let (size, inf) = (self.unary(Unary::Abs, most), self.number(ty, f64::INFINITY));
                let (finite, zero) = (self.lang(Binary::Lt, size, inf), self.number(ty, 0.0));
                // Where the greatest is infinite or NaN, shifting by it would make NaN of the rest.
                let shift = self.select(finite, most, zero);
                let mut scope = scope.clone();
                scope.reduced.push(Val::One(shift));
                let shift_read = Expr::Read(Read {
                    source: Source::Reduced(scope.reduced.len() as u32 - 1),
                    dtype,
                    indices: Vec::new(),
                    outside: Outside::Never,
                    place: Span::default(),
                });
                let minus = Expr::Unary(Unary::Neg, Box::new(shift_read));
                let power = Expr::Unary(Unary::Exp, Box::new(Expr::Sum(vec![body.clone(), minus])));
                let total = self.fold_of(ReduceOp::Sum, &power, axis, &scope, point, machine)?;
                let log = self.unary(Unary::Log, total.one());
                Some(Val::One(self.add(log, shift)))
            }
            _ => None,
        }
    }

    /// A reduction over several axes of numbers that lie side by side along one of them.
    fn fold_of_axes(&mut self, reduction: &Reduction, scope: &Scope, point: &Point) -> Option<Val> {
        let (op, dtype) = (reduction.op, reduction.body.dtype());
        if !matches!(op, ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min) {
            return None;
        }
        let extent = |axis: AxisId| scope.axes[axis].extent;
        let (axis, (buffer, affine)) = reduction.axes.iter().find_map(|&axis| {
            let found = plain_read(&reduction.body, scope.operands, axis, dtype)?;
            (extent(axis) >= STRIP).then_some((axis, found))
        })?;
        let outer: Vec<AxisId> = reduction.axes.iter().copied().filter(|&other| other != axis).collect();
        // The folds are added up one after the other.
        if outer.iter().fold(1u64, |n, &axis| n.saturating_mul(extent(axis))) > 4096 {
            return None;
        }
        let ty = Type::scalar(dtype);
        let total = self.accumulator(op, dtype, 1);
        self.each(&outer, scope.axes, vec![point.with(axis, Lin::default())], &mut |builder, points| {
            let part = builder.loops.values.push(ty);
            let from = address(buffer, points[0].lin(&affine));
            builder.push(Stmt::Fold(part, Box::new(Fold { op, dtype, from, len: extent(axis) })));
            let sum = builder.joined(op, total, Val::One(part));
            builder.assign(total, sum);
        });
        Some(total)
    }

    /// Writes a nest that joins the rows of an operand; whether it is one.
    pub(super) fn row_folds(
        &mut self,
        task: &Task,
        axes: &Axes,
        outer: &Point,
        (order, parallel): (&[AxisId], bool),
        machine: &Machine,
    ) -> bool {
        let ([reduction], true) = (task.reductions, task.given.is_empty()) else { return false };
        let (&[summed], dtype) = (&reduction.axes[..], reduction.body.dtype()) else { return false };
        let foldable = matches!(reduction.op, ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min)
            && matches!(dtype, DType::F32 | DType::F64);
        let found = task.axes.iter().find_map(|&axis| {
            let found = plain_read(&reduction.body, task.operands, axis, dtype)?;
            (axes[axis].extent >= LEAST).then_some((axis, found))
        });
        let (true, Some((axis, (buffer, affine)))) = (foldable, found) else { return false };
        let stride = affine.coefficient(summed);
        let result = BufferId(task.out.buffer.0);
        if stride == 0 || axes[summed].extent < 4 || !self.are_apart(buffer, result) {
            return false;
        }
        let mut strips = Strips::new(axes, axis, task.operands, task.given, machine);
        let straight = !task.accumulate
            && task.out.strides.contains(&(axis, 1))
            && matches!(task.value, Expr::Read(read) if read.source == Source::Reduced(0));
        let (to, value) = if straight {
            (task.out.clone(), None)
        } else {
            let buffer = self.strip(0, dtype);
            strips.operands.push(Strips::operand(buffer));
            let own = strips.read(task.operands.len(), dtype);
            let value = task.value.map_reads(&mut |read, indices, outside| match read.source {
                Source::Reduced(_) => own.clone(),
                source => Expr::Read(Read { source, dtype: read.dtype, indices, outside, place: read.place }),
            });
            (strips.view(buffer), Some(value))
        };
        let order: Vec<AxisId> = order.iter().copied().filter(|&other| other != axis).collect();
        let fold = FoldRows {
            op: reduction.op,
            dtype,
            from: address(buffer, Lin::default()),
            stride,
            rows: axes[summed].extent,
            to: address(BufferId(to.buffer.0), Lin::default()),
            len: 0,
        };
        self.rows_of_strips(&strips, &order, parallel, outer, &mut |builder, point, len| {
            let from = address(buffer, point.with(summed, Lin::default()).lin(&affine));
            let (place, _) = view_at(point, to.offset, &to.strides);
            let to = address(BufferId(to.buffer.0), place);
            builder.push(Stmt::FoldRows(Box::new(FoldRows { from, to, len, ..fold.clone() })));
            builder.forget();
            if let Some(value) = &value {
                builder.strip_nest(&strips, value, task.out, task.accumulate, point, len);
            }
        });
        true
    }

    /// Runs over some axes, and inside them over the strips of the axis of strips.
    fn rows_of_strips(
        &mut self,
        strips: &Strips,
        order: &[AxisId],
        parallel: bool,
        point: &Point,
        body: &mut dyn FnMut(&mut Builder, &Point, u64),
    ) {
        let Some((&axis, inner)) = order.split_first() else {
            let axis = strips.axis;
            return self.each_strip(&strips.axes, axis, parallel, &mut |builder, start, len| {
                let point = point.with(strips.start, start.clone()).with(axis, start.clone());
                body(builder, &point, len);
            });
        };
        let extent = i64::try_from(strips.axes[axis].extent).unwrap_or(i64::MAX);
        let name = strips.axes[axis].name.clone();
        self.looped(&name, (0, extent, 1), parallel, &mut |builder, at| {
            builder.rows_of_strips(strips, inner, false, &point.with(axis, at), body);
        });
    }

    fn fold_of(
        &mut self,
        op: ReduceOp,
        body: &Expr<Source>,
        axis: AxisId,
        scope: &Scope,
        point: &Point,
        machine: &Machine,
    ) -> Option<Val> {
        let (dtype, extent) = (body.dtype(), scope.axes[axis].extent);
        let ty = Type::scalar(dtype);
        if let Some((buffer, affine)) = plain_read(body, scope.operands, axis, dtype) {
            let from = address(buffer, point.with(axis, Lin::default()).lin(&affine));
            let result = self.loops.values.push(ty);
            self.push(Stmt::Fold(result, Box::new(Fold { op, dtype, from, len: extent })));
            return Some(Val::One(result));
        }
        // The sums of strips are added up one after the other.
        if !has_calls(body, axis) || extent > STRIP * 64 {
            return None;
        }
        let mut strips = Strips::new(scope.axes, axis, scope.operands, &scope.reduced, machine);
        let value = strips.extract(body, self);
        let buffer = self.strip(strips.calls.len(), dtype);
        let out = match &value {
            // What is one call is folded where the call leaves it.
            Expr::Read(read) if read.source == strip_source(&strips, strips.calls.len()) => {
                strips.view(strips.calls.last()?.buffer)
            }
            _ => strips.view(buffer),
        };
        let start = match op {
            ReduceOp::Max => f64::NEG_INFINITY,
            ReduceOp::Min => f64::INFINITY,
            _ => 0.0,
        };
        let first = self.number(ty, start);
        let total = self.register(ty);
        self.set(total, Op::Copy(first));
        self.each_strip(scope.axes, axis, false, &mut |builder, start, len| {
            let point = point.with(strips.start, start.clone()).with(axis, start.clone());
            builder.strip_value(&strips, &value, &out, false, &point, len);
            let part = builder.loops.values.push(ty);
            let from = address(BufferId(out.buffer.0), Lin::default());
            builder.push(Stmt::Fold(part, Box::new(Fold { op, dtype, from, len })));
            let sum = builder.joined(op, Val::One(total), Val::One(part));
            builder.set(total, Op::Copy(sum.one()));
        });
        Some(Val::One(total))
    }
}

fn strip_source(strips: &Strips, calls: usize) -> Source {
    Source::Operand((strips.operands.len() - strips.calls.len() + calls).saturating_sub(1) as u32)
}

pub(super) fn address(buffer: BufferId, lin: Lin) -> Address {
    Address { buffer, offset: lin.offset, terms: lin.terms, dynamic: None }
}

/// Whether an expression calls a function that varies along an axis, where no condition guards it.
fn has_calls(expr: &Expr<Source>, axis: AxisId) -> bool {
    match expr {
        _ if mapped(expr, axis).is_some() => true,
        Expr::Read(_) | Expr::Select(_) => false,
        _ => expr.parts().into_iter().any(|part| has_calls(part, axis)),
    }
}

/// The function that an expression calls and its argument, if that varies along an axis and many can be called at once.
fn mapped(expr: &Expr<Source>, axis: AxisId) -> Option<(Mapped, &Expr<Source>)> {
    let (function, argument) = match expr {
        Expr::Unary(function, argument) => (Mapped::Unary(*function), argument),
        Expr::Binary(Binary::Pow, base, exponent) => match **exponent {
            Expr::Const(Scalar::Real(exponent), DType::F32) => {
                (Mapped::Power((exponent as f32).into()), base)
            }
            _ => return None,
        },
        _ => return None,
    };
    (function.exists(argument.dtype()) && argument.free_axes().contains(&axis))
        .then_some((function, argument))
}

/// The buffer and address of a read of numbers of that dtype that lie side by side along an axis.
pub(super) fn plain_read(
    expr: &Expr<Source>,
    operands: &[Operand],
    axis: AxisId,
    dtype: DType,
) -> Option<(BufferId, Affine)> {
    let (buffer, sum) = affine_read(expr, operands, dtype)?;
    let by = sum.coefficient(axis);
    (by == 1).then_some((buffer, sum))
}

/// The buffer and place that an expression is a plain read of, without a cast or a check.
pub(super) fn affine_read(
    expr: &Expr<Source>,
    operands: &[Operand],
    dtype: DType,
) -> Option<(BufferId, Affine)> {
    let Expr::Read(read) = expr else { return None };
    let Source::Operand(number) = read.source else { return None };
    if read.dtype != dtype || !matches!(read.outside, Outside::Never) {
        return None;
    }
    let operand = &operands[number as usize];
    let mut sum = Affine { terms: Vec::new(), constant: operand.offset };
    for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
        sum = sum.plus(&index.affine()?.scaled(stride)?)?;
    }
    Some((BufferId(operand.buffer.0), sum))
}

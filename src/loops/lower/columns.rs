//! Softmax and its like along an axis whose neighbours lie far apart: many rows at once, side by side, so that vectors
//! run along the axis on which they are neighbours.
//!
//! ```text
//! for j0 in 0..1000 step 64 parallel {            y[i, j] = softmax[i](x[i, j])
//!   block[i, j] = x[i, j0 + j]                    1000 by 64
//!   most[j] = max of the rows of block
//!   block[i, j] = exp(block[i, j] - most[j])
//!   scale[j] = 1 / sum of the rows of block
//!   y[i, j0 + j] = block[i, j] * scale[j] }
//! ```

use super::build::{Builder, Lin};
use super::expr::Point;
use super::nest::{PARALLEL_WORK, Piece, Task, size_of};
use crate::expr::{AlongOp, Axes, Axis, AxisId, Binary, Expr, Outside, Read, ReduceOp, Unary};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{self, AlongStep, Operand, Reduction, Source, View};
use crate::source::Span;

/// Rows side by side, at least and at most.
const ROWS: [u64; 2] = [32, 512];

/// Bytes of a block that stay in the cache while they are passed over.
const BLOCK_BYTES: u64 = 256 << 10;

/// The most bytes of a block.
const MOST_BYTES: u64 = 8 << 20;

/// Blocks that the rows are cut into for threads, if there are enough.
const BLOCKS: u64 = 8;

/// What all blocks share.
struct Columns<'a> {
    step: &'a AlongStep,
    machine: &'a Machine,
    dtype: DType,
    /// The axis along which rows lie side by side.
    beside: AxisId,
    /// Stands for where the block starts on that axis.
    start: AxisId,
    /// A row in the block, and a position on all axes of the map.
    column: AxisId,
    flat: AxisId,
    /// Strides of the map's axes and of its results, as positions.
    strides: Vec<(AxisId, i64)>,
    width: u64,
    length: u64,
    /// The values; what is added up of them; one number of each row, twice.
    values: BufferId,
    terms: BufferId,
    first: BufferId,
    second: BufferId,
}

impl Builder {
    /// Writes a map along axes for many rows side by side; `false` where one row after the other is better.
    pub(super) fn columns(
        &mut self,
        step: &AlongStep,
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) -> bool {
        let dtype = match step.body.dtype() {
            DType::F16 | DType::Bf16 | DType::F32 => DType::F32,
            DType::F64 => DType::F64,
            _ => return false,
        };
        if !matches!(step.op, AlongOp::Softmax | AlongOp::LogSoftmax | AlongOp::Normalize)
            || machine.vector_bytes < 16
        {
            return false;
        }
        let extent = |axis: AxisId| axes[axis].extent;
        let volume = |list: &[AxisId]| list.iter().fold(1u64, |n, &axis| n.saturating_mul(extent(axis)));
        let is_beside = |axis: &&AxisId| step.out.strides.contains(&(**axis, 1)) && extent(**axis) >= ROWS[0];
        let Some(&beside) = step.rows.iter().find(is_beside) else { return false };
        let length = volume(&step.axes);
        let bytes = dtype.bytes_of(length);
        if length < 4 || bytes.saturating_mul(ROWS[0]) > MOST_BYTES {
            return false;
        }
        let work = volume(&step.rows).saturating_mul(length).saturating_mul(16 + size_of(&step.body) as u64);
        let parallel = work >= PARALLEL_WORK && !self.in_parallel();
        let mut outer: Vec<AxisId> = step.rows.iter().copied().filter(|&axis| axis != beside).collect();
        outer.sort_by_key(|&axis| std::cmp::Reverse(extent(axis)));
        let by_block = outer.first().is_none_or(|&axis| extent(axis) < BLOCKS);
        let share = if parallel && by_block { extent(beside).div_ceil(BLOCKS) } else { extent(beside) };
        let width = (BLOCK_BYTES / bytes).min(share).clamp(ROWS[0], ROWS[1]) / 16 * 16;
        let mut axes = axes.clone();
        let mut axis = |name: &str, extent: u64| axes.push(Axis { name: name.into(), extent });
        let [start, column, flat] = [axis("start", 1), axis("c", width), axis("r", length)];
        let mut strides = Vec::new();
        let mut stride = 1i64;
        for &axis in step.axes.iter().rev() {
            strides.push((axis, stride));
            stride = stride.saturating_mul(i64::try_from(axes[axis].extent).unwrap_or(i64::MAX));
        }
        let mut scratch = |name: &str, elems: u64| self.scratch(name, dtype, elems);
        let block = length.saturating_mul(width);
        let values = scratch("block", block);
        let terms = if step.op == AlongOp::Softmax { values } else { scratch("terms", block) };
        let (first, second) = (scratch("first", width), scratch("second", width));
        let columns = Columns {
            step,
            machine,
            dtype,
            beside,
            start,
            column,
            flat,
            strides,
            width,
            length,
            values,
            terms,
            first,
            second,
        };
        self.column_blocks(&columns, &axes, &outer, (parallel, by_block), point);
        true
    }

    /// Runs over the blocks, outside or inside of the other axes of rows.
    fn column_blocks(
        &mut self,
        columns: &Columns,
        axes: &Axes,
        outer: &[AxisId],
        (parallel, by_block): (bool, bool),
        point: &Point,
    ) {
        if let (false, Some((&axis, rest))) = (by_block, outer.split_first()) {
            let end = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
            return self.looped(&axes[axis].name.clone(), (0, end, 1), parallel, &mut |builder, at| {
                builder.column_blocks(columns, axes, rest, (false, rest.is_empty()), &point.with(axis, at));
            });
        }
        let (extent, width) = (axes[columns.beside].extent, columns.width);
        let whole = extent / width * width;
        let [end, all, step] = [whole, extent, width].map(|end| i64::try_from(end).unwrap_or(i64::MAX));
        for (range, len) in [((0, end, step), width), ((end, all, step), extent - whole)] {
            let mut axes = axes.clone();
            axes[columns.beside].extent = len;
            axes[columns.column].extent = len;
            let name = axes[columns.beside].name.clone();
            self.looped(&name, range, parallel, &mut |builder, at| {
                let points = vec![point.with(columns.start, at)];
                builder.each(outer, &axes, points, &mut |builder, points| {
                    builder.column_block(columns, &axes, &points[0]);
                });
            });
        }
    }

    fn column_block(&mut self, columns: &Columns, axes: &Axes, point: &Point) {
        let Columns { step, dtype, .. } = *columns;
        let body = match step.body.dtype() {
            from if from == dtype => step.body.clone(),
            _ => Expr::Cast(dtype, Box::new(step.body.clone())),
        };
        let width = i64::try_from(columns.width).unwrap_or(i64::MAX);
        let mut strides: Vec<(AxisId, i64)> =
            columns.strides.iter().map(|&(axis, stride)| (axis, stride.saturating_mul(width))).collect();
        strides.extend([(columns.beside, 1), (columns.start, -1)]);
        let filled = View { buffer: plan::BufferId(columns.values.0), offset: 0, strides };
        self.column_pieces(columns, &step.axes, &step.operands, &body, &filled, axes, point);

        let (zero, one) = (Expr::number(0.0, dtype), Expr::number(1.0, dtype));
        let values = columns.read(columns.values, dtype);
        let first = columns.read(columns.first, dtype);
        let total = reduced(dtype);
        let either = |condition: Expr<Source>, a: Expr<Source>, b: Expr<Source>| {
            Expr::Select(Box::new([condition, a, b]))
        };
        let minus =
            |a: Expr<Source>, b: Expr<Source>| Expr::Sum(vec![a, Expr::Unary(Unary::Neg, Box::new(b))]);
        let binary =
            |op, a: &Expr<Source>, b: Expr<Source>| Expr::Binary(op, Box::new(a.clone()), Box::new(b));
        if step.op != AlongOp::Normalize {
            // Where the greatest is infinite, shifting by it may make NaN of the rest.
            let condition = match step.op {
                AlongOp::Softmax => binary(Binary::Ne, &total, Expr::number(f64::NEG_INFINITY, dtype)),
                _ => {
                    let size = Expr::Unary(Unary::Abs, Box::new(total.clone()));
                    binary(Binary::Lt, &size, Expr::number(f64::INFINITY, dtype))
                }
            };
            let shift = either(condition, total.clone(), zero.clone());
            self.column_fold(columns, (ReduceOp::Max, columns.values), shift, columns.first, axes, point);
        }
        let operands = columns.operands();
        let block = |buffer: BufferId| View {
            buffer: plan::BufferId(buffer.0),
            offset: 0,
            strides: vec![(columns.flat, width), (columns.column, 1)],
        };
        let list = [columns.flat, columns.column];
        let each = |builder: &mut Builder, value: &Expr<Source>, to: BufferId| {
            let to = block(to);
            let task = columns.task(&list, &[], value, &to);
            builder.nest(&Task { operands: &operands, ..task }, axes, point, columns.machine);
        };
        let term = match step.op {
            AlongOp::Normalize => {
                each(self, &Expr::Unary(Unary::Abs, Box::new(values.clone())), columns.terms);
                let factor = super::along::squarable(total.clone(), dtype);
                self.column_fold(columns, (ReduceOp::Max, columns.terms), factor, columns.first, axes, point);
                each(self, &Expr::Product(vec![values.clone(), first.clone()]), columns.values);
                Expr::Product(vec![values.clone(), values])
            }
            _ => Expr::Unary(Unary::Exp, Box::new(minus(values, first.clone()))),
        };
        each(self, &term, columns.terms);

        let factor = match step.op {
            AlongOp::Softmax => {
                either(binary(Binary::Eq, &total, zero.clone()), zero, binary(Binary::Div, &one, total))
            }
            AlongOp::LogSoftmax => Expr::Sum(vec![Expr::Unary(Unary::Log, Box::new(total)), first]),
            _ => {
                let norm = Expr::Unary(Unary::Sqrt, Box::new(total));
                either(binary(Binary::Eq, &norm, zero), one, norm)
            }
        };
        self.column_fold(columns, (ReduceOp::Sum, columns.terms), factor, columns.second, axes, point);

        let own = columns.own(columns.values, dtype, true);
        let factor = columns.own(columns.second, dtype, false);
        let value = match step.op {
            AlongOp::Softmax => Expr::Product(vec![own, factor]),
            AlongOp::LogSoftmax => minus(own, factor),
            _ => Expr::Binary(Binary::Div, Box::new(own), Box::new(factor)),
        };
        let value = if value.dtype() == step.dtype { value } else { Expr::Cast(step.dtype, Box::new(value)) };
        self.column_pieces(columns, &step.out_axes, &operands, &value, &step.out, axes, point);
    }

    /// Folds the rows of a block, and writes what is made of the result.
    fn column_fold(
        &mut self,
        columns: &Columns,
        (op, of): (ReduceOp, BufferId),
        value: Expr<Source>,
        to: BufferId,
        axes: &Axes,
        point: &Point,
    ) {
        let body = columns.read(of, columns.dtype);
        let reductions = [Reduction { op, axes: vec![columns.flat], body }];
        let out = View { buffer: plan::BufferId(to.0), offset: 0, strides: vec![(columns.column, 1)] };
        let list = [columns.column];
        let task = columns.task(&list, &reductions, &value, &out);
        let operands = columns.operands();
        self.nest(&Task { operands: &operands, ..task }, axes, point, columns.machine);
    }

    /// A nest over the axes of the map and the rows of a block where they stand in the program.
    #[allow(clippy::too_many_arguments)]
    fn column_pieces(
        &mut self,
        columns: &Columns,
        along: &[AxisId],
        operands: &[Operand],
        value: &Expr<Source>,
        out: &View,
        axes: &Axes,
        point: &Point,
    ) {
        let list: Vec<AxisId> = along.iter().copied().chain([columns.beside]).collect();
        let task = Task { operands, ..columns.task(&list, &[], value, out) };
        let pieces = list
            .iter()
            .map(|&axis| Piece {
                axis,
                start: if axis == columns.beside {
                    point.axis(columns.start).clone()
                } else {
                    Lin::default()
                },
                extent: i64::try_from(axes[axis].extent).unwrap_or(i64::MAX),
                inside: None,
                cuts: Default::default(),
            })
            .collect();
        self.pieces(&task, axes, pieces, point, columns.machine);
    }
}

impl Columns<'_> {
    fn task<'t>(
        &self,
        axes: &'t [AxisId],
        reductions: &'t [Reduction],
        value: &'t Expr<Source>,
        out: &'t View,
    ) -> Task<'t> {
        Task { axes, operands: &[], reductions, value, out, accumulate: false, given: &[], alone: true }
    }

    /// The scratch buffers; their numbers as operands are those of [`Columns::number`].
    fn operands(&self) -> [Operand; 4] {
        let width = i64::try_from(self.width).unwrap_or(i64::MAX);
        let operand = |buffer: BufferId, dims| Operand { buffer: plan::BufferId(buffer.0), offset: 0, dims };
        [self.values, self.terms, self.first, self.second].map(|buffer| match self.number(buffer) {
            0 | 1 => operand(buffer, vec![(self.length, width), (self.width, 1)]),
            _ => operand(buffer, vec![(self.width, 1)]),
        })
    }

    fn number(&self, buffer: BufferId) -> u32 {
        let list = [self.values, self.terms, self.first, self.second];
        list.iter().position(|&known| known == buffer).unwrap_or(0) as u32
    }

    /// A read of a scratch buffer by position and row of the block.
    fn read(&self, buffer: BufferId, dtype: DType) -> Expr<Source> {
        let column = Expr::Index(self.column);
        let number = self.number(buffer);
        let indices = if number < 2 { vec![Expr::Index(self.flat), column] } else { vec![column] };
        read(number, dtype, indices)
    }

    /// The same by the axes of the program, with a position or without.
    fn own(&self, buffer: BufferId, dtype: DType, positioned: bool) -> Expr<Source> {
        let minus = Expr::Unary(Unary::Neg, Box::new(Expr::Index(self.start)));
        let column = Expr::Sum(vec![Expr::Index(self.beside), minus]);
        let position = super::along::position(&self.strides);
        let indices = if positioned { vec![position, column] } else { vec![column] };
        read(self.number(buffer), dtype, indices)
    }
}

fn read(number: u32, dtype: DType, indices: Vec<Expr<Source>>) -> Expr<Source> {
    let source = Source::Operand(number);
    Expr::Read(Read { source, dtype, indices, outside: Outside::Never, place: Span::default() })
}

/// The result of the only reduction.
fn reduced(dtype: DType) -> Expr<Source> {
    let source = Source::Reduced(0);
    Expr::Read(Read { source, dtype, indices: Vec::new(), outside: Outside::Never, place: Span::default() })
}

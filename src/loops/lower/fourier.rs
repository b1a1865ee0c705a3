//! Fourier transforms of rows, and long convolutions by way of them: several rows at a time.
//!
//! ```text
//! for h0 in 0..768 step 32 parallel {
//!   f0 b2[2048*h0] = transform of 32 rows of 2048 c64 at b0[2048*h0] }
//! ```
//!
//! Rows that lie side by side, the columns of a matrix, are transformed where they are. Others that do not lie one after the
//! other are brought to scratch memory, as are results that do not.

use super::build::{Builder, Lin};
use super::expr::{Point, view_at};
use super::nest::{PARALLEL_WORK, size_of};
use super::strip::{address, affine_read};
use crate::expr::{Affine, AlongOp, Axes, Axis, AxisId, Binary, Expr, Outside, Read, points};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{self, AlongStep, Contract, LongSum, Operand, Source, View};
use einc_runtime::DType;
use einc_runtime::fourier::{Convolution, Transform};

/// Rows side by side below which they are brought to memory one by one: half of the smallest vector.
const LEAST_COLUMNS: u64 = 4;

/// Rows side by side: the axis that counts them, of which `lanes` are taken at once.
struct Rows {
    axis: AxisId,
    lanes: u64,
}

/// Numbers that are read as they are, and what they are multiplied by on the way.
struct Reads {
    from: (BufferId, Affine),
    factors: Option<(BufferId, Affine)>,
}

impl Reads {
    /// The ways to see an expression so.
    fn of(body: &Expr<Source>, operands: &[Operand], dtype: DType) -> Vec<Reads> {
        let read = |expr| affine_read(expr, operands, dtype);
        match body {
            Expr::Product(parts) => match &parts[..] {
                [a, b] => [(a, b), (b, a)]
                    .into_iter()
                    .filter_map(|(from, factor)| {
                        Some(Reads { from: read(from)?, factors: Some(read(factor)?) })
                    })
                    .collect(),
                _ => Vec::new(),
            },
            body => read(body).into_iter().map(|from| Reads { from, factors: None }).collect(),
        }
    }
}

/// What puts loops over rows in order: enough values for threads first, then as the result lies in memory.
fn outermost(out: &View, axis: AxisId, axes: &Axes) -> impl Ord + use<> {
    std::cmp::Reverse((axes[axis].extent.min(16), out.stride(axis)))
}

impl Builder {
    /// Whether a step reads its own result at the places that it writes.
    fn is_in_place(&self, step: &AlongStep, (buffer, affine): &(BufferId, Affine)) -> bool {
        let (axis, out_axis) = (step.axes[0], step.out_axes[0]);
        let held = step.out.strides.iter().map(|stride| stride.0).filter(|&held| held != out_axis);
        let read = affine.terms.iter().map(|term| term.0).filter(|&read| read != axis);
        buffer.0 == step.out.buffer.0
            && affine.constant == step.out.offset
            && affine.coefficient(axis) == step.out.stride(out_axis)
            && held.chain(read).all(|other| affine.coefficient(other) == step.out.stride(other))
    }

    /// Whether a transform can take the factors of its rows where they are: how far apart they are then.
    fn factors(&self, reads: &Reads, row: Option<AxisId>, axis: AxisId, to: BufferId) -> Option<[u64; 2]> {
        let (buffer, affine) = reads.factors.as_ref()?;
        let by = [row.map_or(0, |row| affine.coefficient(row)), affine.coefficient(axis)];
        let by = [u64::try_from(by[0]).ok()?, u64::try_from(by[1]).ok()?];
        self.are_apart(*buffer, to).then_some(by)
    }

    /// The number of a transform or convolution; equal ones have one.
    fn fourier(&mut self, fourier: Fourier) -> FourierId {
        let known = self.loops.fouriers.iter().find(|(_, known)| **known == fourier).map(|(id, _)| id);
        known.unwrap_or_else(|| self.loops.fouriers.push(fourier))
    }

    /// Runs over some axes, and inside them over blocks of rows; without rows there is one block.
    fn row_blocks(
        &mut self,
        rows: Option<&Rows>,
        outer: &[AxisId],
        axes: &Axes,
        point: &Point,
        parallel: bool,
        body: &mut dyn FnMut(&mut Builder, &Point, u64),
    ) {
        let extent = |axis: AxisId| i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
        if let Some((&axis, inner)) = outer.split_first() {
            return self.looped(&axes[axis].name, (0, extent(axis), 1), parallel, &mut |builder, at| {
                builder.row_blocks(rows, inner, axes, &point.with(axis, at), false, body);
            });
        }
        let Some(rows) = rows else { return body(self, point, 1) };
        let (end, by) = (extent(rows.axis), i64::try_from(rows.lanes).unwrap_or(i64::MAX).max(1));
        let whole = end / by * by;
        for (range, count) in [((0, whole, by), by), ((whole, end, by), end - whole)] {
            self.looped(&axes[rows.axis].name, range, parallel, &mut |builder, start| {
                body(builder, &point.with(rows.axis, start), count as u64);
            });
        }
    }

    /// Writes the transforms of all rows of a step.
    pub(super) fn transforms(&mut self, step: &AlongStep, axes: &Axes, point: &Point, machine: &Machine) {
        let (axis, out_axis) = (step.axes[0], step.out_axes[0]);
        let len = axes[axis].extent;
        let real_parts = !step.dtype.is_complex();
        let dtype = if real_parts { step.body.dtype() } else { step.dtype };
        let (body, real) = match &step.body {
            body if real_parts => (body.clone(), false),
            Expr::Cast(_, inner) if inner.dtype() == dtype.real_part() => ((**inner).clone(), true),
            body if body.dtype() == dtype.real_part() => (body.clone(), true),
            body if body.dtype() == dtype => (body.clone(), false),
            body => (Expr::Cast(dtype, Box::new(body.clone())), false),
        };
        let kept = len.min(axes[out_axis].extent);
        let inverse = step.op == AlongOp::Idft;
        let spec = Transform { real, inverse, real_parts, kept, ..Transform::new(dtype, len, 1) };
        if self.transforms_of_columns(step, (&body, spec), axes, point, machine) {
            return;
        }
        let [row_by, to_by] = [len, kept].map(|len| i64::try_from(len).unwrap_or(i64::MAX));
        let best = Transform::best_rows(dtype, len);
        let one_after_another = |axis: &AxisId| step.out.stride(*axis) == to_by;
        let rows = step
            .rows
            .iter()
            .filter(|&&axis| axes[axis].extent > 1)
            .max_by_key(|axis| (one_after_another(axis), axes[**axis].extent.min(best)))
            .map(|&axis| Rows { axis, lanes: best.min(axes[axis].extent) });
        let lanes = rows.as_ref().map_or(1, |rows| rows.lanes);
        let of = |lanes: u64| Transform { rows: lanes, ..spec };
        let row = rows.as_ref().map(|rows| rows.axis);
        let read_dtype = if real { dtype.real_part() } else { dtype };
        let out_buffer = BufferId(step.out.buffer.0);
        let straight = step.out.stride(out_axis) == 1
            && axes[out_axis].extent == kept
            && row.is_none_or(|row| one_after_another(&row));
        let to = if straight {
            out_buffer
        } else {
            self.scratch("spectra", step.dtype, lanes.saturating_mul(kept))
        };
        let plain = Reads::of(&body, &step.operands, read_dtype).into_iter().find(|reads| {
            let (buffer, affine) = &reads.from;
            let factors = self.factors(reads, row, axis, to);
            affine.coefficient(axis) == 1
                && row.is_none_or(|row| affine.coefficient(row) == row_by)
                && (self.are_apart(*buffer, to)
                    || straight && spec.fits_in_place() && self.is_in_place(step, &reads.from))
                && reads.factors.is_some() == factors.is_some_and(|by| of(lanes).takes_factors(by))
        });
        let factors = plain.as_ref().and_then(|reads| self.factors(reads, row, axis, to));
        let of = |lanes: u64| Transform { factors, ..of(lanes) };
        let from = match &plain {
            Some(reads) => reads.from.0,
            None => self.scratch("rows", read_dtype, lanes.saturating_mul(len)),
        };
        let work_elems = of(lanes).work_elems().unwrap_or(u64::MAX);
        let work = self.scratch("planes", dtype.real_part(), work_elems);
        let mut axes = axes.clone();
        let lane = axes.push(Axis { name: "lane".into(), extent: lanes });

        let parallel = self.are_worth_threads(step, len, &body, &axes);
        let mut outer: Vec<AxisId> = step.rows.iter().copied().filter(|&axis| Some(axis) != row).collect();
        outer.sort_by_key(|&axis| outermost(&step.out, axis, &axes));
        let start = |buffer| address(buffer, Lin::default());
        self.row_blocks(rows.as_ref(), &outer, &axes, point, parallel, &mut |builder, point, count| {
            let first = row.map_or(Lin::default(), |row| point.axis(row).clone());
            let at = |lane_at: &Lin| {
                let point = point.with(lane, lane_at.clone());
                row.map_or(point.clone(), |row| point.with(row, first.plus(lane_at, 1)))
            };
            let lanes = (0, i64::try_from(count).unwrap_or(i64::MAX), 1);
            let first_of = |(buffer, affine): &(BufferId, Affine)| {
                address(*buffer, point.with(axis, Lin::default()).lin(affine))
            };
            let from = match &plain {
                Some(reads) => first_of(&reads.from),
                None => {
                    let filled = View {
                        buffer: plan::BufferId(from.0),
                        offset: 0,
                        strides: vec![(axis, 1), (lane, row_by)],
                    };
                    builder.looped("lane", lanes, false, &mut |builder, lane_at| {
                        let point = at(&lane_at);
                        builder.row_nest(
                            &step.axes,
                            &step.operands,
                            &body,
                            &filled,
                            &[],
                            &axes,
                            &point,
                            machine,
                        );
                    });
                    start(from)
                }
            };
            let place = match straight {
                true => {
                    let point = point.with(out_axis, Lin::default());
                    address(to, view_at(&point, step.out.offset, &step.out.strides).0)
                }
                false => start(to),
            };
            let id = builder.fourier(Fourier::Transform(of(count)));
            let factors = plain.as_ref().and_then(|reads| reads.factors.as_ref()).map(first_of);
            let addresses = [Some(from), factors, Some(place), Some(start(work))];
            builder.push(Stmt::Fourier(id, addresses.into_iter().flatten().collect()));
            builder.forget();
            if straight {
                return;
            }
            // There may be more frequencies than elements, or fewer.
            let frequency = match axes[out_axis].extent > len {
                true => {
                    let len = Box::new(Expr::int(row_by));
                    Expr::Binary(Binary::Rem, Box::new(Expr::Index(out_axis)), len)
                }
                false => Expr::Index(out_axis),
            };
            let value = Expr::Read(Read {
                source: Source::Operand(0),
                dtype: step.dtype,
                indices: vec![Expr::Index(lane), frequency],
                outside: Outside::Never,
                place: step.place,
            });
            let dims = vec![(axes[lane].extent, to_by), (kept, 1)];
            let spectra = [Operand { buffer: plan::BufferId(to.0), offset: 0, dims }];
            builder.looped("lane", lanes, false, &mut |builder, lane_at| {
                let point = at(&lane_at);
                builder.row_nest(&step.out_axes, &spectra, &value, &step.out, &[], &axes, &point, machine);
            });
        });
    }

    /// Whether all transforms of a step, of rows of a length, are enough work for several threads.
    fn are_worth_threads(&self, step: &AlongStep, len: u64, body: &Expr<Source>, axes: &Axes) -> bool {
        let all = len.saturating_mul(points(axes, &step.rows));
        let each = 5 * u64::from(len.max(2).ilog2()) + size_of(body) as u64;
        !self.in_parallel() && all.saturating_mul(each) >= PARALLEL_WORK
    }

    /// Writes transforms of rows that lie side by side in the result, and in what they read unless that is computed first;
    /// whether they do.
    fn transforms_of_columns(
        &mut self,
        step: &AlongStep,
        (body, spec): (&Expr<Source>, Transform),
        axes: &Axes,
        point: &Point,
        machine: &Machine,
    ) -> bool {
        let (axis, out_axis) = (step.axes[0], step.out_axes[0]);
        let (len, dtype) = (spec.len, spec.dtype);
        let read_dtype = if spec.real { dtype.real_part() } else { dtype };
        let is_beside = |axis: &&AxisId| step.out.stride(**axis) == 1 && axes[**axis].extent >= LEAST_COLUMNS;
        let Some(&row) = step.rows.iter().find(is_beside) else { return false };
        let to_by = step.out.stride(out_axis);
        if to_by <= 0 || axes[out_axis].extent > len || !Transform::has_columns(dtype, len) {
            return false;
        }
        let to = BufferId(step.out.buffer.0);
        let of = |rows: u64, from_by: u64, factors: Option<[u64; 2]>| {
            let columns = Some([from_by, to_by.unsigned_abs()]);
            Transform { rows, columns, factors, ..spec }
        };
        let plain = Reads::of(body, &step.operands, read_dtype).into_iter().find(|reads| {
            let (from, affine) = &reads.from;
            let factors = self.factors(reads, Some(row), axis, to);
            affine.coefficient(row) == 1
                && affine.coefficient(axis) > 0
                && (self.are_apart(*from, to) || spec.fits_in_place() && self.is_in_place(step, &reads.from))
                && reads.factors.is_some() == factors.is_some_and(|by| of(1, 1, None).takes_factors(by))
        });
        let best = Transform::best_rows(dtype, len);
        if plain.is_none() && axes[row].extent > best {
            return false;
        }
        let lanes = best.min(axes[row].extent);
        let (from, from_by) = match &plain {
            Some(reads) => (reads.from.0, reads.from.1.coefficient(axis)),
            None => (self.scratch("rows", read_dtype, lanes.saturating_mul(len)), lanes as i64),
        };
        let factors = plain.as_ref().and_then(|reads| self.factors(reads, Some(row), axis, to));
        let of = |rows: u64| of(rows, from_by.unsigned_abs(), factors);
        let Some(work_elems) = of(lanes).work_elems() else { return false };
        let work = self.scratch("planes", dtype.real_part(), work_elems);
        let parallel = self.are_worth_threads(step, len, body, axes);
        let mut outer: Vec<AxisId> = step.rows.iter().copied().filter(|&axis| axis != row).collect();
        outer.sort_by_key(|&axis| outermost(&step.out, axis, axes));
        let start = |buffer| address(buffer, Lin::default());
        self.row_blocks(
            Some(&Rows { axis: row, lanes }),
            &outer,
            axes,
            point,
            parallel,
            &mut |builder, point, count| {
                let first_of = |(buffer, affine): &(BufferId, Affine)| {
                    address(*buffer, point.with(axis, Lin::default()).lin(affine))
                };
                let factors = plain.as_ref().and_then(|reads| reads.factors.as_ref()).map(first_of);
                let from = match &plain {
                    Some(reads) => first_of(&reads.from),
                    None => {
                        let buffer = plan::BufferId(from.0);
                        let filled = View { buffer, offset: 0, strides: vec![(axis, from_by), (row, 1)] };
                        let list = [axis, row];
                        builder.row_nest(&list, &step.operands, body, &filled, &[], axes, point, machine);
                        start(from)
                    }
                };
                let point = point.with(out_axis, Lin::default());
                let place = address(to, view_at(&point, step.out.offset, &step.out.strides).0);
                let id = builder.fourier(Fourier::Transform(of(count)));
                let addresses = [Some(from), factors, Some(place), Some(start(work))];
                builder.push(Stmt::Fourier(id, addresses.into_iter().flatten().collect()));
                builder.forget();
            },
        );
        true
    }

    /// Writes a contraction that is a long convolution by way of transforms; whether it is one.
    pub(super) fn convolution(&mut self, contract: &Contract, axes: &Axes, point: &Point) -> bool {
        let held = |axis: AxisId| point.axes.iter().any(|known| known.0 == axis);
        let Some(LongSum { x, k, time, tap, rows: rest }) = contract.long_sum(axes, &held) else {
            return false;
        };
        let (dtype, points, taps) = (contract.dtype, axes[time].extent, axes[tap].extent);
        let best = Convolution::BEST_ROWS;
        let rows = rest
            .iter()
            .max_by_key(|axis| axes[**axis].extent.min(best))
            .map(|&axis| Rows { axis, lanes: best.min(axes[axis].extent) });
        let after = i64::try_from(points).unwrap_or(0);
        let periodic = points == taps && x.stride(time).abs() == 1 && self.copies.repeat(x.buffer, after);
        let row_by = |view: &View| rows.as_ref().map_or(0, |rows| view.stride(rows.axis));
        let of = |lanes: u64| Convolution {
            dtype,
            rows: lanes,
            points,
            taps,
            backward: x.stride(tap) != x.stride(time),
            x: [row_by(x), x.stride(time)],
            k: [row_by(k), k.stride(tap)],
            y: [row_by(&contract.out), contract.out.stride(time)],
            accumulate: contract.accumulate,
            periodic,
        };
        let Some(elems) = of(rows.as_ref().map_or(1, |rows| rows.lanes)).work_elems() else { return false };
        let work = self.scratch("planes", dtype, elems);
        let mut outer: Vec<AxisId> =
            rest.iter().copied().filter(|&axis| rows.as_ref().is_none_or(|rows| rows.axis != axis)).collect();
        outer.sort_by_key(|&axis| std::cmp::Reverse(axes[axis].extent));
        let all = rest.iter().fold(points, |n, &axis| n.saturating_mul(axes[axis].extent));
        let parallel = !self.in_parallel() && all.saturating_mul(32) >= PARALLEL_WORK;
        // Rows start at the first point and term; axes of one value are not in the loops.
        let views = [&contract.a, &contract.b, &contract.out].into_iter().flat_map(|view| &view.strides);
        let still = views.map(|stride| stride.0).filter(|&axis| !rest.contains(&axis) && !held(axis));
        let point = still.fold(point.clone(), |point, axis| point.with(axis, Lin::default()));
        self.row_blocks(rows.as_ref(), &outer, axes, &point, parallel, &mut |builder, point, count| {
            let place =
                |view: &View| address(BufferId(view.buffer.0), view_at(point, view.offset, &view.strides).0);
            let addresses = vec![place(x), place(k), place(&contract.out), address(work, Lin::default())];
            let id = builder.fourier(Fourier::Convolution(of(count)));
            builder.push(Stmt::Fourier(id, addresses));
            builder.forget();
        });
        true
    }
}

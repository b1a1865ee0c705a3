//! Loop nests: which loop becomes the vector, which points are computed together, and in which order.
//!
//! The cost of a choice is counted in loads: a read along the lanes is one, a read that is the same in all lanes half
//! of one, any other as many as there are lanes, twice. Several points of the result are computed together (a tile)
//! where that shares loads between them or hides the latency of additions.

use super::build::{Builder, Lin};
use super::clamped::{inside_of, unclamped};
use super::cut::cuts;
use super::expr::{Point, Scope, Val, view_at};
use super::join;
use super::ranges;
use super::reduce::Sums;
use crate::expr::{Affine, Axes, AxisId, Binary, Expr, ReduceOp, Unary};
use crate::loops::*;
use crate::machine::Machine;
use crate::plan::{Nest, Operand, Reduction, Source, View};
use std::collections::BTreeSet;

/// Work below this many operations (about 50 us) stays on one thread.
pub(super) const PARALLEL_WORK: u64 = 1 << 20;

/// Values of an axis in a block.
const BLOCK: i64 = 16;

/// The largest bodies of reductions, by [`size_of`], that are computed for several points that share loads.
const MOST_SHARED: usize = 12;

/// The most vectors of a row that are summed up under one condition: they and what they are made of stay in registers.
const MOST_CHOSEN: u64 = 10;

/// A nest, or a contraction written as one.
pub(super) struct Task<'a> {
    pub(super) axes: &'a [AxisId],
    pub(super) operands: &'a [Operand],
    pub(super) reductions: &'a [Reduction],
    pub(super) value: &'a Expr<Source>,
    pub(super) out: &'a View,
    pub(super) accumulate: bool,
    /// Values that are known before the nest: what `Source::Reduced` names first.
    pub(super) given: &'a [Val],
    /// Whether it runs on one thread only.
    pub(super) alone: bool,
}

/// Values of an axis that are computed alike: `count` groups of `lanes` at once.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Segment {
    start: i64,
    end: i64,
    lanes: u8,
    count: i64,
}

impl Segment {
    fn step(&self) -> i64 {
        i64::from(self.lanes) * self.count
    }
}

/// A part of an axis: `extent` values from `start` on, and those of them, if not all, where no index needs a check.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) axis: AxisId,
    pub(super) start: Lin,
    pub(super) extent: i64,
    pub(super) inside: Option<(i64, i64)>,
    /// Where conditions on the axis change, ascending, and whether the parts between may fill vectors wherever they are.
    pub(super) cuts: (Vec<i64>, bool),
}

impl Task<'_> {
    /// All of a nest.
    pub(super) fn of(nest: &Nest) -> Task<'_> {
        Task {
            axes: &nest.axes,
            operands: &nest.operands,
            reductions: &nest.reductions,
            value: &nest.value,
            out: &nest.out,
            accumulate: false,
            given: &[],
            alone: false,
        }
    }
}

/// What was decided about a nest.
struct Choice {
    /// The axis along the lanes of the result, if one is.
    vector: Option<AxisId>,
    lanes: u8,
    /// How many groups of each axis are computed together.
    tile: Vec<(AxisId, i64)>,
    /// The loops, outermost first.
    order: Vec<AxisId>,
    /// Axes that run in blocks of so many values, outside all others but the first.
    blocks: Vec<(AxisId, i64)>,
    parallel: bool,
}

impl Builder {
    /// Writes the loops of a nest.
    pub(super) fn nest(&mut self, task: &Task, axes: &Axes, outer: &Point, machine: &Machine) {
        if task.axes.iter().any(|&axis| axes[axis].extent == 0) {
            return;
        }
        if self.permute(task, axes, outer) {
            return;
        }
        if let Some(joined) = join::short_rows(task, axes) {
            let task = Task { axes: &joined.order, value: &joined.value, out: &joined.out, ..*task };
            return self.nest(&task, &joined.axes, outer, machine);
        }
        let choice = self.choose_loops(task, axes, machine);
        if choice.blocks.is_empty()
            && self.strips(task, axes, outer, (&choice.order, choice.vector, choice.parallel), machine)
        {
            return;
        }
        if choice.blocks.is_empty()
            && self.hoist(task, axes, outer, (&choice.order, choice.parallel), machine)
        {
            return;
        }
        if self.row_folds(task, axes, outer, (&choice.order, choice.parallel), machine) {
            return;
        }
        let mut pieces: Vec<Piece> = Vec::new();
        // One axis is cut where indices are clamped: each cut triples the code.
        let outside = choice.order.iter().filter(|&&axis| choice.vector != Some(axis));
        let cut = outside.filter_map(|&axis| Some((axis, unclamped(task, axis, axes, outer, self)?))).next();
        for &axis in &choice.order {
            let extent = i64::try_from(axes[axis].extent).unwrap_or(i64::MAX);
            let inside = if choice.vector == Some(axis) {
                inside_of(task, axis, axes, outer, self)
                    .filter(|range| range.1 - range.0 >= choice.lanes.into())
            } else {
                cut.filter(|cut| cut.0 == axis).map(|cut| cut.1)
            };
            let cuts = match choice.order.last() {
                Some(&last) if last == axis => cuts(task, axis, extent),
                _ => Default::default(),
            };
            pieces.push(Piece { axis, start: Lin::default(), extent, inside, cuts });
        }
        let scope = Scope { axes, operands: task.operands, reduced: task.given.to_vec() };
        self.blocked(task, &scope, pieces, &choice.blocks, outer, &choice, machine);
    }

    /// Writes the loops of a nest over a part of its only axis.
    pub(super) fn one_piece(
        &mut self,
        task: &Task,
        axes: &Axes,
        piece: Piece,
        point: &Point,
        machine: &Machine,
    ) {
        self.pieces(task, axes, vec![piece], point, machine);
    }

    /// Writes the loops of a nest over a part of each of its axes.
    pub(super) fn pieces(
        &mut self,
        task: &Task,
        axes: &Axes,
        mut pieces: Vec<Piece>,
        point: &Point,
        machine: &Machine,
    ) {
        let choice = self.choose_loops(task, axes, machine);
        pieces.sort_by_key(|piece| choice.order.iter().position(|&axis| axis == piece.axis));
        let scope = Scope { axes, operands: task.operands, reduced: task.given.to_vec() };
        self.nest_loops(task, &scope, &pieces, false, vec![point.clone()], &choice, machine);
    }

    /// The loops over blocks, then those inside a block.
    #[allow(clippy::too_many_arguments)]
    fn blocked(
        &mut self,
        task: &Task,
        scope: &Scope,
        pieces: Vec<Piece>,
        blocks: &[(AxisId, i64)],
        outer: &Point,
        choice: &Choice,
        machine: &Machine,
    ) {
        let Some((&(axis, block), inner)) = blocks.split_first() else {
            let parallel = choice.parallel && choice.blocks.is_empty();
            return self.nest_loops(task, scope, &pieces, parallel, vec![outer.clone()], choice, machine);
        };
        let Some(at) = pieces.iter().position(|piece| piece.axis == axis) else { return };
        let extent = pieces[at].extent;
        let whole = extent / block * block;
        let name = scope.axes[axis].name.clone();
        let parallel = choice.parallel && blocks.len() == choice.blocks.len();
        for (from, to) in [(0, whole), (whole, extent)] {
            let length = block.min(to - from);
            self.looped(&name, (from, to, block), parallel, &mut |builder, start| {
                let mut pieces = pieces.clone();
                pieces[at] = Piece { axis, start, extent: length, inside: None, cuts: Default::default() };
                builder.blocked(task, scope, pieces, inner, outer, choice, machine);
            });
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn nest_loops(
        &mut self,
        task: &Task,
        scope: &Scope,
        pieces: &[Piece],
        parallel: bool,
        points: Vec<Point>,
        choice: &Choice,
        machine: &Machine,
    ) {
        let Some((piece, inner)) = pieces.split_first() else {
            return self.tile(task, scope, &points, choice, machine);
        };
        let axis = piece.axis;
        let name = scope.axes[axis].name.clone();
        for segment in choice.segments(piece) {
            let range = (segment.start, segment.end, segment.step());
            self.looped(&name, range, parallel, &mut |builder, at| {
                let at = piece.start.plus(&at, 1);
                let mut tile = Vec::new();
                for point in &points {
                    for group in 0..segment.count {
                        let point = point.with(axis, at.shifted(group * i64::from(segment.lanes)));
                        tile.push(match segment.lanes {
                            1 => point,
                            lanes => point.along(axis, lanes),
                        });
                    }
                }
                builder.nest_loops(task, scope, inner, false, tile, choice, machine);
            });
        }
    }

    /// Computes and writes the result at the points of one tile.
    fn tile(&mut self, task: &Task, scope: &Scope, points: &[Point], choice: &Choice, machine: &Machine) {
        let mut scopes = vec![scope.clone(); points.len()];
        for (number, reduction) in task.reductions.iter().enumerate() {
            let same = |other: &Reduction| {
                (other.op, &other.axes, &other.body) == (reduction.op, &reduction.axes, &reduction.body)
            };
            if let Some(known) = task.reductions[..number].iter().position(same) {
                let known = task.given.len() + known;
                scopes.iter_mut().for_each(|scope| scope.reduced.push(scope.reduced[known]));
                continue;
            }
            let alone = choice.vector.is_none() && points.len() == 1;
            if let Some(result) =
                alone.then(|| self.fold_call(reduction, &scopes[0], &points[0], machine)).flatten()
            {
                scopes[0].reduced.push(result);
                continue;
            }
            let lanes =
                if choice.vector.is_none() { self.inner_lanes(reduction, scope, machine) } else { None };
            let sums = Sums { reduction, points, scopes: &scopes, vector: lanes, ranges: Vec::new() };
            let results = self.reduce(&sums);
            scopes.iter_mut().zip(results).for_each(|(scope, result)| scope.reduced.push(result));
        }
        let buffer = BufferId(task.out.buffer.0);
        let dtype = task.value.dtype();
        let mut writes: Vec<(Lin, i64, Val)> = Vec::new();
        for (point, scope) in points.iter().zip(&scopes) {
            let alone: Vec<Point> = match point.vector {
                Some((_, lanes)) if fits_lanes(task.value, lanes) => vec![point.clone()],
                Some((_, lanes)) => (0..lanes).map(|lane| point.of_lane(lane)).collect(),
                None => vec![point.clone()],
            };
            for point in alone {
                let (lin, along) = view_at(&point, task.out.offset, &task.out.strides);
                let mut value = self.value(task.value, scope, &point);
                if let (Some((_, lanes)), Val::One(one)) = (point.vector, value) {
                    value = Val::One(self.widen(one, lanes));
                }
                if task.accumulate {
                    let old = self.load_lanes(dtype, buffer, &lin, along, &point);
                    value = self.plus(old, value);
                }
                writes.push((lin, along, value));
            }
        }
        for (lin, along, value) in writes {
            self.write(buffer, &lin, along, None, value);
        }
    }

    /// The elements a result at this point lands on.
    fn load_lanes(&mut self, dtype: DType, buffer: BufferId, lin: &Lin, along: i64, point: &Point) -> Val {
        match point.vector {
            Some((_, lanes)) if along == 1 => {
                let address = Address { buffer, offset: lin.offset, terms: lin.terms.clone(), dynamic: None };
                Val::One(self.make(Type { dtype, lanes }, Op::Load(dtype, address)))
            }
            Some((_, lanes)) => {
                let each: Vec<Val> = (0..i64::from(lanes))
                    .map(|lane| self.load(dtype, buffer, lin.shifted(along * lane), None))
                    .collect();
                self.pack(&each)
            }
            None => self.load(dtype, buffer, lin.clone(), None),
        }
    }

    /// The axis of a reduction that becomes its vector, where the result has none.
    pub(super) fn inner_lanes(
        &self,
        reduction: &Reduction,
        scope: &Scope,
        machine: &Machine,
    ) -> Option<(AxisId, u8)> {
        if matches!(reduction.op, ReduceOp::ArgMin | ReduceOp::ArgMax) {
            return None;
        }
        let lanes = lanes_of(&reduction.body, machine)?;
        let reads = reads_of(&reduction.body, scope.operands);
        let scalar = reads.len() as f64;
        let (cost, axis) = reduction
            .axes
            .iter()
            .filter(|&&axis| scope.axes[axis].extent >= 2 * u64::from(lanes))
            .map(|&axis| (reads_cost(&reads, axis, lanes) / f64::from(lanes), axis))
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        (cost < scalar || reads.is_empty()).then_some((axis, lanes))
    }

    fn choose_loops(&self, task: &Task, axes: &Axes, machine: &Machine) -> Choice {
        let extent = |axis: AxisId| axes[axis].extent;
        let volume = task.reductions.first().map_or(1, |reduction| {
            reduction.axes.iter().fold(1u64, |n, &axis| n.saturating_mul(extent(axis)))
        });
        let points = task.axes.iter().fold(1u64, |n, &axis| n.saturating_mul(extent(axis)));
        let inner: Vec<Reading> =
            task.reductions.iter().flat_map(|r| reads_of(&r.body, task.operands)).collect();
        let last = reads_of(task.value, task.operands);
        let lanes = common_lanes(task, machine);
        // Points with different ranges are not computed together.
        let pinned = ranges::pinned(task.reductions);
        let weight = volume as f64;
        let cost = |axis: AxisId, lanes: u8| {
            let store = match task.out.stride(axis) {
                1 => 1.0,
                _ => 2.0 * f64::from(lanes),
            };
            weight * reads_cost(&inner, axis, lanes) + reads_cost(&last, axis, lanes) + store
        };
        let scalar = weight * inner.len() as f64 + last.len() as f64 + 1.0;
        let inner_vector = task.reductions.first().and_then(|reduction| {
            let scope = Scope { axes, operands: task.operands, reduced: Vec::new() };
            let (axis, lanes) = self.inner_lanes(reduction, &scope, machine)?;
            let reads = reads_of(&reduction.body, task.operands);
            // The lanes of every sum are added up at the end.
            let end = 2.0 * f64::from(lanes) * task.reductions.len() as f64 + last.len() as f64 + 1.0;
            Some(weight * reads_cost(&reads, axis, lanes) / f64::from(lanes) + end)
        });
        let vector = lanes.and_then(|lanes| {
            let best = task
                .axes
                .iter()
                .filter(|&&axis| extent(axis) >= u64::from(lanes) && !pinned.contains(&axis))
                .map(|&axis| {
                    let whole = extent(axis) / u64::from(lanes);
                    let rest = extent(axis) % u64::from(lanes);
                    let each = whole as f64 * cost(axis, lanes) + rest as f64 * scalar;
                    (each / extent(axis) as f64, axis)
                })
                .min_by(|a, b| a.0.total_cmp(&b.0))?;
            (best.0 < scalar && inner_vector.is_none_or(|inner| best.0 <= inner)).then_some((best.1, lanes))
        });
        let mut order: Vec<AxisId> = task.axes.to_vec();
        // A read of far more elements than are written says in which order they lie.
        let reach = |read: &Affine| read.terms.iter().fold(1u64, |n, term| n.saturating_mul(extent(term.0)));
        let affine = inner.iter().filter(|read| read.computed.is_empty()).map(|read| &read.affine);
        if let Some(read) = affine.max_by_key(|read| reach(read))
            && reach(read) / 8 > points
        {
            let stride = |axis: &AxisId| read.coefficient(*axis).unsigned_abs();
            order.sort_by_key(|axis| std::cmp::Reverse(stride(axis)));
        }
        let mut tile = Vec::new();
        let mut registers = machine.vector_registers as i64 * 3 / 4;
        let size = size_of(task.value) + task.reductions.iter().map(|r| size_of(&r.body)).sum::<usize>();
        let shares = task.axes.iter().any(|&axis| {
            Some(axis) != vector.map(|v| v.0)
                && extent(axis) > 1
                && inner.iter().any(|read| stride_of(read, axis) == Some(0))
        });
        if let Some((axis, lanes)) = vector {
            order.retain(|&other| other != axis);
            order.push(axis);
            let groups = (extent(axis) / u64::from(lanes)) as i64;
            let most = match task.reductions.len() {
                0 => (24 / size.max(1) as i64).clamp(1, 4),
                // Without loads to share, whole cache lines of each row count most.
                _ if !shares && size <= 4 => 8,
                // A condition that is the same in all lanes is asked once for all of them.
                1 if size > MOST_SHARED && has_condition_without(&task.reductions[0].body, axis) => {
                    let tiles = (groups as u64).div_ceil(MOST_CHOSEN).max(1);
                    (groups as u64).div_ceil(tiles) as i64
                }
                _ => 3,
            };
            let groups = groups.min(most);
            tile.push((axis, groups));
            registers /= groups;
        }
        if volume > 1 && task.reductions.len() == 1 && size <= MOST_SHARED {
            // Axes that some read of the reduction does not have: its loads are shared along them.
            let mut shared: Vec<AxisId> = task
                .axes
                .iter()
                .copied()
                .filter(|&axis| Some(axis) != vector.map(|v| v.0) && extent(axis) > 1)
                .filter(|axis| !pinned.contains(axis))
                .filter(|&axis| inner.iter().any(|read| stride_of(read, axis) == Some(0)))
                .collect();
            shared.reverse();
            let wanted = if vector.is_some() { 1 } else { 2 };
            for axis in shared.into_iter().take(wanted) {
                let count = registers.min(4).min(extent(axis) as i64);
                if count < 2 {
                    break;
                }
                registers /= count;
                tile.push((axis, count));
                order.retain(|&other| other != axis);
                let at = order.len() - usize::from(vector.is_some());
                order.insert(at, axis);
            }
        }
        let work = points.saturating_mul(volume).saturating_mul(size as u64);
        let parallel = !task.alone && !self.in_parallel() && work >= PARALLEL_WORK;
        if parallel && order.first().is_some_and(|&axis| extent(axis) < 8) {
            // A long loop outside spreads more evenly.
            let inside = usize::from(vector.is_some());
            let outer = &order[..order.len() - inside.min(order.len() - 1)];
            if let Some(at) = (0..outer.len()).max_by_key(|&at| (extent(outer[at]), std::cmp::Reverse(at))) {
                let axis = order.remove(at);
                order.insert(0, axis);
            }
        }
        // A read that jumps along the innermost axis but goes step by step along another one would fetch each of its
        // cache lines many times: blocks of both keep them at hand.
        let mut blocks = Vec::new();
        if let Some(&innermost) = order.last() {
            let jumps = |read: &Reading| stride_of(read, innermost).is_some_and(|by| by.abs() >= 16);
            let steps = |axis: AxisId| {
                let long = extent(axis) > BLOCK as u64 && extent(innermost) > BLOCK as u64;
                long && last.iter().any(|read| jumps(read) && stride_of(read, axis) == Some(1))
            };
            if let Some(axis) = order.iter().copied().find(|&axis| axis != innermost && steps(axis)) {
                blocks = vec![(axis, BLOCK), (innermost, 2 * BLOCK)];
            }
        }
        Choice {
            vector: vector.map(|v| v.0),
            lanes: vector.map_or(1, |v| v.1),
            tile,
            order,
            blocks,
            parallel,
        }
    }
}

impl Choice {
    /// A piece of an axis cut into whole tiles, the rest of one, and single values; where indices need checks only at
    /// the ends, the ends are single values.
    fn segments(&self, piece: &Piece) -> Vec<Segment> {
        let lanes = if self.vector == Some(piece.axis) { self.lanes } else { 1 };
        let count = self.tile.iter().find(|tile| tile.0 == piece.axis).map_or(1, |tile| tile.1);
        let mut list = Vec::new();
        let mut start = 0;
        let mut cut = |end: i64, lanes: u8, count: i64| {
            let step = i64::from(lanes) * count;
            if count > 0 && end - start >= step {
                let end = start + (end - start) / step * step;
                list.push(Segment { start, end, lanes, count });
                start = end;
            }
            (end - start) / i64::from(lanes)
        };
        let (first, last) = piece.inside.unwrap_or((0, piece.extent));
        if !piece.cuts.0.is_empty() {
            let mut ends = piece.cuts.0.clone();
            ends.extend([first, last, piece.extent]);
            ends.sort_unstable();
            let mut from = 0;
            for end in ends {
                if piece.cuts.1 || from >= first && end <= last {
                    let rest = cut(end, lanes, count);
                    cut(end, lanes, rest);
                }
                cut(end, 1, 1);
                from = end;
            }
            return list;
        }
        cut(first, 1, 1);
        let rest = cut(last, lanes, count);
        cut(last, lanes, rest);
        if lanes > 1 || piece.inside.is_some() {
            cut(piece.extent, 1, 1);
        }
        list
    }
}

/// Whether a value can be made in vectors of that many lanes.
fn fits_lanes(expr: &Expr<Source>, lanes: u8) -> bool {
    expr.dtype() == DType::Bool || (vector_lanes(expr.dtype()) == lanes && !expr.dtype().is_complex())
}

/// How many lanes an expression is computed in; `None` where only one.
pub(super) fn lanes_of(expr: &Expr<Source>, machine: &Machine) -> Option<u8> {
    if machine.vector_bytes < 16 || has_complex(expr) {
        return None;
    }
    Some(vector_lanes(match expr.dtype() {
        DType::Bool => compared(expr).unwrap_or(DType::Bool),
        dtype => dtype,
    }))
}

fn common_lanes(task: &Task, machine: &Machine) -> Option<u8> {
    if has_complex(task.value) {
        return None;
    }
    let Some(first) = task.reductions.first() else { return lanes_of(task.value, machine) };
    let lanes = lanes_of(&first.body, machine)?;
    let fits = task.reductions.iter().all(|reduction| {
        !matches!(reduction.op, ReduceOp::ArgMin | ReduceOp::ArgMax)
            && lanes_of(&reduction.body, machine) == Some(lanes)
    });
    fits.then_some(lanes)
}

/// Whether complex numbers are computed with; one part of what is read is taken lane by lane.
fn has_complex(expr: &Expr<Source>) -> bool {
    if let Expr::Unary(Unary::Real | Unary::Imag, part) = expr
        && let Expr::Read(read) = &**part
    {
        return read.indices.iter().any(has_complex);
    }
    expr.dtype().is_complex() || expr.parts().into_iter().any(has_complex)
}

/// The dtype of the first comparison in a `bool` expression.
fn compared(expr: &Expr<Source>) -> Option<DType> {
    if let Expr::Read(_) = expr {
        return None;
    }
    expr.parts().into_iter().find_map(|part| match part.dtype() {
        DType::Bool => compared(part),
        dtype => Some(dtype),
    })
}

/// How many instructions an expression takes, about.
pub(super) fn size_of(expr: &Expr<Source>) -> usize {
    let own = match expr {
        Expr::Read(_) => return 1,
        Expr::Unary(op, _) if !is_simple(*op) => 16,
        Expr::Binary(Binary::Pow, _, b) if b.small_exponent().is_some() => 2,
        Expr::Binary(Binary::Pow | Binary::Rem | Binary::FloorDiv | Binary::Atan2, ..) => 8,
        _ => 1,
    };
    own + expr.parts().into_iter().map(size_of).sum::<usize>()
}

/// Whether an expression is something under a condition that is the same along an axis.
fn has_condition_without(expr: &Expr<Source>, axis: AxisId) -> bool {
    matches!(expr, Expr::Select(parts) if !parts[0].free_axes().contains(&axis))
}

/// Whether a function takes but a few instructions.
fn is_simple(op: Unary) -> bool {
    use Unary::*;
    matches!(op, Neg | Not | Abs | Sign | Floor | Ceil | Round | Sqrt | Rsqrt | Relu | Real | Imag | Conj)
}

/// What is known of the address of a read: a form of axes, and the axes on which the rest of it depends.
pub(super) struct Reading {
    affine: Affine,
    computed: BTreeSet<AxisId>,
}

/// The address of every read.
pub(super) fn reads_of(expr: &Expr<Source>, operands: &[Operand]) -> Vec<Reading> {
    let mut reads = Vec::new();
    expr.for_each_read(&mut |read| {
        let Source::Operand(number) = read.source else { return };
        let operand = &operands[number as usize];
        let affine = Affine { terms: Vec::new(), constant: operand.offset };
        let mut place = Reading { affine, computed: BTreeSet::new() };
        for (index, &(_, stride)) in read.indices.iter().zip(&operand.dims) {
            let sum = index.affine().and_then(|index| place.affine.plus(&index.scaled(stride)?));
            match sum {
                Some(sum) => place.affine = sum,
                None => place.computed.extend(index.free_axes()),
            }
        }
        reads.push(place);
    });
    reads
}

/// Elements from one value of an axis to the next, where that is always the same.
fn stride_of(read: &Reading, axis: AxisId) -> Option<i64> {
    let by = read.affine.coefficient(axis);
    (!read.computed.contains(&axis)).then_some(by)
}

fn reads_cost(reads: &[Reading], axis: AxisId, lanes: u8) -> f64 {
    reads
        .iter()
        .map(|read| match stride_of(read, axis) {
            Some(0) => 0.5,
            Some(1) => 1.0,
            _ => 2.0 * f64::from(lanes),
        })
        .sum()
}

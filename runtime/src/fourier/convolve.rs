//! Convolutions of long rows by way of their transforms, a block of each row at a time (overlap-save).
//!
//! Real numbers `a` of an even length `2 H` that wrap round with the other sign are half as many complex ones:
//! `z(n) = (a(n) + i a(n + H)) w^n` with `w^H = i`. Products of their transforms are the transforms of such convolutions, so
//! that one real row needs a transform of half its length, and no frequencies are taken apart. What wraps round is not
//! read. Rows that go round and round are transformed at their own length `2 H`, as `H` complex numbers
//! `x(2 n) + i x(2 n + 1)`, whose transform is that of the even elements and that of the odd ones.
//!
//! Rounding errors are those of the largest values of a row, not of each result; numbers that are not finite would
//! spread over a block. Where a result is not finite, its row is summed term by term instead.
//!
//! # Source
//! Nussbaumer, "Fast Fourier transform and convolution algorithms", 1981 (right-angle circular convolution).

use super::lines::{Pair, Real, root, with_vectors};
use super::row::{Memory, Row, as_lines, is_straight, straight_length};
use crate::DType;
use crate::vector::VectorFloat;
use std::f64::consts::PI;

/// `y[r, t] = sum over s of k[r, s] * x[r, t + s]`, or `x[r, t - s]`: rows `r` side by side, all of them real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// `f32` or `f64`.
    pub dtype: DType,
    /// How many rows.
    pub rows: u64,
    /// Results of a row.
    pub points: u64,
    /// Terms of a sum.
    pub taps: u64,
    /// Whether `x` runs back with `s`.
    pub backward: bool,
    /// Strides of `x` from row to row and from point to point.
    pub x: [i64; 2],
    /// Strides of `k` from row to row and from term to term.
    pub k: [i64; 2],
    /// Strides of `y` from row to row and from point to point.
    pub y: [i64; 2],
    /// Whether results are added to what is there.
    pub accumulate: bool,
    /// Whether `x` repeats itself after `points`, which are as many as the taps.
    pub periodic: bool,
}

impl Convolution {
    /// How many rows are best convolved in one call.
    pub const BEST_ROWS: u64 = 16;

    /// Multiply-adds of a row by way of its transforms, about: to compare with `points * taps`.
    pub fn work(points: u64, taps: u64) -> f64 {
        block(points, taps).1
    }

    /// How many real numbers of working memory a run needs; `None` where no memory holds them.
    pub fn work_elems(&self) -> Option<u64> {
        let length = self.points.checked_add(self.taps)?;
        if length >= 1 << 40 {
            return None;
        }
        Some(elems(block(self.points, self.taps).0 as usize) as u64)
    }
}

/// The numbers of a block of that length: its transform, and the filter's.
fn elems(len: usize) -> usize {
    Memory::<f32>::elems(len / 2) + len
}

/// The length of a block that costs least, and what it costs.
fn block(points: u64, taps: u64) -> (u64, f64) {
    let whole = points.saturating_add(taps).saturating_sub(1);
    let length = |least: u64| 2 * straight_length(least.div_ceil(2) as usize, f32::LINE) as u64;
    let cost = |len: u64| {
        let blocks = points.div_ceil((len + 1).saturating_sub(taps).max(1)) as f64;
        // Transforms of half the length, and the product.
        (2.0 * blocks + 1.0) * 1.25 * len as f64 * (len as f64).log2().max(1.0) + 8.0 * blocks * len as f64
    };
    let lengths = (1..=5).map(|shift| taps.saturating_mul(1 << shift)).chain([whole]);
    let lengths = lengths.filter(|&len| len <= whole && len >= taps).map(length);
    let mut best = (length(whole), f64::INFINITY);
    for len in lengths {
        let cost = cost(len);
        if cost < best.1 {
            best = (len, cost);
        }
    }
    best
}

/// A convolution made ready.
#[derive(Clone, Debug)]
pub struct ConvolutionPlan {
    spec: Convolution,
    tables: Tables,
}

#[derive(Clone, Debug)]
enum Tables {
    Single(Way<f32>),
    Double(Way<f64>),
}

/// How rows are convolved.
#[derive(Clone, Debug)]
enum Way<T> {
    /// Block by block.
    Blocks(Block<T>),
    /// Round and round.
    Round(Cycle<T>),
}

impl<T: Real> Way<T> {
    fn new(spec: &Convolution) -> Way<T> {
        let points = spec.points as usize;
        let is_round = spec.periodic && spec.points == spec.taps && points.is_multiple_of(2);
        match is_round && is_straight::<T>(points / 2) {
            true => Way::Round(Cycle::new(points / 2)),
            false => Way::Blocks(Block::new(block(spec.points, spec.taps).0 as usize)),
        }
    }
}

/// A row that goes round.
#[derive(Clone, Debug)]
struct Cycle<T> {
    half: Row<T>,
    /// `exp(-2 pi i f / half)`, as lines.
    roots: Vec<T>,
}

impl<T: Real> Cycle<T> {
    fn new(half: usize) -> Cycle<T> {
        Cycle { half: Row::new(half), roots: as_lines((0..half).map(|f| root(f, half))) }
    }
}

/// A block of a row.
#[derive(Clone, Debug)]
struct Block<T> {
    half: Row<T>,
    /// `w^n`, as lines.
    weights: Vec<T>,
}

impl<T: Real> Block<T> {
    fn new(len: usize) -> Block<T> {
        let half = len / 2;
        let weights = as_lines((0..half).map(|n| {
            let (sin, cos) = (PI * (n as f64 / len as f64)).sin_cos();
            [cos, sin]
        }));
        Block { half: Row::new(half), weights }
    }
}

impl ConvolutionPlan {
    /// Makes a convolution ready. `None` where it is empty or no memory holds it, or for other types.
    pub fn new(spec: &Convolution) -> Option<ConvolutionPlan> {
        spec.work_elems()?;
        if spec.points == 0 || spec.taps == 0 {
            return None;
        }
        let tables = match spec.dtype {
            DType::F32 => Tables::Single(Way::new(spec)),
            DType::F64 => Tables::Double(Way::new(spec)),
            _ => return None,
        };
        Some(ConvolutionPlan { spec: *spec, tables })
    }

    /// Convolves the rows; the pointers are those of `r = t = s = 0`.
    ///
    /// # Safety
    /// `x`, `k` and `y` are good for every index of the rows, aligned for their type, and `y` overlaps neither operand.
    /// `work` is good for [`Convolution::work_elems`] numbers, aligned for them, and used by nobody else meanwhile.
    pub unsafe fn run(&self, x: *const u8, k: *const u8, y: *mut u8, work: *mut u8) {
        match &self.tables {
            // SAFETY: the caller's promise.
            Tables::Single(way) => unsafe {
                convolve(&self.spec, way, x.cast(), k.cast(), y.cast(), work.cast())
            },
            // SAFETY: the caller's promise.
            Tables::Double(way) => unsafe {
                convolve(&self.spec, way, x.cast(), k.cast(), y.cast(), work.cast())
            },
        }
    }
}

unsafe fn convolve<T: Real>(
    spec: &Convolution,
    way: &Way<T>,
    x: *const T,
    k: *const T,
    y: *mut T,
    work: *mut T,
) {
    with_vectors!(rows::<T>(spec: &Convolution, way: &Way<T>, x: *const T, k: *const T, y: *mut T, work: *mut T))
}

/// Elements of a row in memory: from one to the next, and how many.
#[derive(Clone, Copy)]
struct Elements<T> {
    first: *const T,
    by: isize,
    count: usize,
}

impl<T: Real> Elements<T> {
    /// Elements `at..at + V::LANES`, zeros behind the last.
    #[inline(always)]
    unsafe fn lanes<V: VectorFloat<Elem = T>>(self, at: usize) -> V {
        // SAFETY: the caller's promise: every element is there.
        unsafe {
            if at >= self.count {
                return V::zero();
            }
            if at + V::LANES <= self.count {
                if self.by == 1 {
                    return V::load(self.first.add(at));
                }
                if self.by == -1 {
                    return V::load(self.first.offset(1 - (at + V::LANES) as isize)).reverse();
                }
            }
            let mut lanes = [T::default(); 16];
            for (lane, value) in lanes.iter_mut().enumerate().take((self.count - at).min(V::LANES)) {
                *value = *self.first.offset((at + lane) as isize * self.by);
            }
            V::load(lanes.as_ptr())
        }
    }

    /// Asks for two vectors from `2 at` on of a row so far from this one, if elements lie side by side.
    #[inline(always)]
    unsafe fn ahead_of_two<V: VectorFloat<Elem = T>>(self, at: usize, row: i64) {
        let first = self.first.wrapping_offset(row as isize + 2 * at as isize * self.by);
        // SAFETY: as the vector demands; addresses that hold nothing may be asked for.
        unsafe {
            V::prefetch(first);
            V::prefetch(first.wrapping_offset(V::LANES as isize * self.by));
        }
    }
}

/// The transform of a block of a row: its elements, zeros behind them.
#[inline(always)]
unsafe fn transformed<T: Real, V: VectorFloat<Elem = T>>(
    block: &Block<T>,
    elements: Elements<T>,
    memory: Memory<T>,
) {
    let (half, line) = (block.half.len, 2 * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..half).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let at = first + lane;
                let place = first / T::LINE * line + lane;
                let value = Pair(elements.lanes::<V>(at), elements.lanes::<V>(half + at));
                value.times(Pair::load(block.weights.as_ptr().add(place))).store(memory.lines.add(place));
            }
        }
        block.half.run(memory);
    }
}

#[inline(always)]
unsafe fn rows<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Convolution,
    way: &Way<T>,
    x: *const T,
    k: *const T,
    y: *mut T,
    work: *mut T,
) {
    let at = |by: [i64; 2], row: u64| row as isize * by[0] as isize;
    for row in 0..spec.rows {
        let is_new = row == 0 || spec.k[0] != 0;
        // SAFETY: the caller's promise.
        unsafe {
            let places = (x.offset(at(spec.x, row)), k.offset(at(spec.k, row)), y.offset(at(spec.y, row)));
            match way {
                Way::Blocks(block) => blocks::<T, V>(spec, block, places, work, is_new),
                Way::Round(cycle) => round::<T, V>(spec, cycle, places, work, is_new),
            }
        }
    }
}

/// Convolves one row; where the filter is not new, its transform is still there.
#[inline(always)]
unsafe fn blocks<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Convolution,
    block: &Block<T>,
    (x, k, y): (*const T, *const T, *mut T),
    work: *mut T,
    is_new: bool,
) {
    let (half, line) = (block.half.len, 2 * T::LINE);
    let (points, taps) = (spec.points as usize, spec.taps as usize);
    let (x_by, k_by) = (spec.x[1] as isize, spec.k[1] as isize);
    let last = taps as isize - 1;
    let step = 2 * half + 1 - taps;
    // SAFETY: the caller's promise.
    unsafe {
        let memory = Memory::new(work, half);
        let filter = work.add(Memory::<T>::elems(half));
        // In a block the sum is `y[t] = sum over s of filter[s] * x[t + taps - 1 - s]`, counted from the first `x` read:
        // elements of `k`, the last one first if `x` runs on.
        let (first_k, step_k, first_x) = match spec.backward {
            true => (k, k_by, x.offset(-last * x_by)),
            false => (k.offset(last * k_by), -k_by, x),
        };
        if is_new {
            transformed::<T, V>(block, Elements { first: first_k, by: step_k, count: taps }, memory);
            let scale = V::splat(T::of(1.0 / half as f64));
            for at in (0..half).step_by(V::LANES) {
                let place = filter.add(at / T::LINE * line + at % T::LINE);
                let value = Pair(V::load(memory.planes.re.add(at)), V::load(memory.planes.im.add(at)));
                value.scaled(scale).store(place);
            }
        }
        for first in (0..points).step_by(step) {
            let wanted = step.min(points - first);
            let start = first_x.offset(first as isize * x_by);
            let elements = Elements { first: start, by: x_by, count: wanted + taps - 1 };
            transformed::<T, V>(block, elements, memory);
            // Real and imaginary parts exchanged, a transform is the inverse one.
            for at in (0..half).step_by(V::LANES) {
                let place = at / T::LINE * line + at % T::LINE;
                let value = Pair(V::load(memory.planes.re.add(at)), V::load(memory.planes.im.add(at)));
                value.times(Pair::load(filter.add(place))).swapped().store(memory.lines.add(place));
            }
            block.half.run(memory);
            // The results lie one after the other in what was lines.
            let found = memory.lines;
            for at in (0..half).step_by(V::LANES) {
                let place = at / T::LINE * line + at % T::LINE;
                let value = Pair(V::load(memory.planes.im.add(at)), V::load(memory.planes.re.add(at)));
                let Pair(cos, sin) = Pair::<V>::load(block.weights.as_ptr().add(place));
                let Pair(re, im) = value.times(Pair(cos, V::zero().sub(sin)));
                re.store(found.add(at));
                im.store(found.add(half + at));
            }
            put::<T, V>(spec, (x, k, y), found.add(taps - 1), first, wanted);
        }
    }
}

/// Convolves one row that goes round.
#[inline(always)]
unsafe fn round<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Convolution,
    cycle: &Cycle<T>,
    (x, k, y): (*const T, *const T, *mut T),
    work: *mut T,
    is_new: bool,
) {
    let (half, line) = (cycle.half.len, 2 * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        let memory = Memory::new(work, half);
        let even = work.add(Memory::<T>::elems(half));
        let odd = even.add(2 * half);
        let place = |at: usize| at / T::LINE * line + at % T::LINE;
        // Rows come from far away, each from a page of its own: the next ones are asked for bit by bit meanwhile.
        let x = Elements { first: x, by: spec.x[1] as isize, count: 2 * half };
        let k = Elements { first: k, by: spec.k[1] as isize, count: 2 * half };
        let results = Elements { first: y.cast_const(), by: spec.y[1] as isize, count: 2 * half };
        if is_new {
            halved::<T, V>(cycle, k, memory);
            // Both parts of both operands are twice what they should be.
            let scale = V::splat(T::of(0.25 / half as f64));
            for at in (0..half).step_by(V::LANES) {
                k.ahead_of_two::<V>(at, spec.k[0]);
                let (mut first, mut second) = parts::<T, V>(memory, half, at);
                if !spec.backward {
                    // Where `x` runs on, the transform of the filter is its conjugate.
                    first = first.conjugate();
                    second = second.times(Pair::load(cycle.roots.as_ptr().add(place(at)))).conjugate();
                }
                first.scaled(scale).store(even.add(place(at)));
                second.scaled(scale).store(odd.add(place(at)));
            }
        }
        halved::<T, V>(cycle, x, memory);
        for at in (0..half).step_by(V::LANES) {
            x.ahead_of_two::<V>(at, spec.x[0]);
            results.ahead_of_two::<V>(at, 0);
            let (first, second) = parts::<T, V>(memory, half, at);
            let place = place(at);
            let (even, odd) = (Pair::load(even.add(place)), Pair::load(odd.add(place)));
            let turned = second.times(odd).times(Pair::load(cycle.roots.as_ptr().add(place)));
            let straight = first.times(even).plus(turned);
            let product = straight.plus_turned(first.times(odd).plus(second.times(even)));
            // Real and imaginary parts exchanged, a transform is the inverse one.
            product.swapped().store(memory.lines.add(place));
        }
        cycle.half.run(memory);
        let is_there = spec.y[1] == 1 && !spec.accumulate;
        let found = if is_there { y } else { memory.lines };
        for at in (0..half).step_by(V::LANES) {
            let [low, high] = V::load(memory.planes.im.add(at)).zip(V::load(memory.planes.re.add(at)));
            low.store(found.add(2 * at));
            high.store(found.add(2 * at + V::LANES));
        }
        put::<T, V>(spec, (x.first, k.first, y), found, 0, 2 * half);
    }
}

/// The transform of a row whose even elements are taken for real parts, the odd ones for imaginary parts.
#[inline(always)]
unsafe fn halved<T: Real, V: VectorFloat<Elem = T>>(
    cycle: &Cycle<T>,
    elements: Elements<T>,
    memory: Memory<T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..cycle.half.len).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let at = 2 * (first + lane);
                let [re, im] = elements.lanes::<V>(at).unzip(elements.lanes::<V>(at + V::LANES));
                Pair(re, im).store(memory.lines.add(first / T::LINE * 2 * T::LINE + lane));
            }
        }
        cycle.half.run(memory);
        let planes = memory.planes;
        (*planes.re.add(cycle.half.len), *planes.im.add(cycle.half.len)) = (*planes.re, *planes.im);
    }
}

/// Twice the transform of even elements, and of odd ones, from that of both.
#[inline(always)]
unsafe fn parts<T: Real, V: VectorFloat<Elem = T>>(
    memory: Memory<T>,
    half: usize,
    at: usize,
) -> (Pair<V>, Pair<V>) {
    let (re, im) = (memory.planes.re, memory.planes.im);
    let mirror = half + 1 - at - V::LANES;
    // SAFETY: the caller's promise; behind the last frequency there is the first one again.
    unsafe {
        let (a, b) = (V::load(re.add(at)), V::load(im.add(at)));
        let (c, d) = (V::load(re.add(mirror)).reverse(), V::load(im.add(mirror)).reverse());
        (Pair(a.add(c), b.sub(d)), Pair(b.add(d), c.sub(a)))
    }
}

/// Writes results from the first on, which may be there already, summed term by term where some are not finite.
#[inline(always)]
unsafe fn put<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Convolution,
    (x, k, y): (*const T, *const T, *mut T),
    found: *mut T,
    first: usize,
    wanted: usize,
) {
    let [x_by, k_by, y_by] = [spec.x[1], spec.k[1], spec.y[1]].map(|by| by as isize);
    // SAFETY: the caller's promise.
    unsafe {
        if !are_finite::<T, V>(found, wanted) {
            for t in 0..wanted as isize {
                let mut sum = T::default();
                for s in 0..spec.taps as isize {
                    let along = first as isize + t + if spec.backward { -s } else { s };
                    sum = sum + *k.offset(s * k_by) * *x.offset(along * x_by);
                }
                *found.offset(t) = sum;
            }
        }
        let y = y.offset(first as isize * y_by);
        if std::ptr::eq(found, y) {
            return;
        }
        if y_by == 1 && !spec.accumulate {
            return std::ptr::copy_nonoverlapping(found, y, wanted);
        }
        for t in 0..wanted {
            let place = y.offset(t as isize * y_by);
            *place = if spec.accumulate { *place + *found.add(t) } else { *found.add(t) };
        }
    }
}

/// Whether numbers are finite.
#[inline(always)]
unsafe fn are_finite<T: Real, V: VectorFloat<Elem = T>>(from: *const T, count: usize) -> bool {
    let whole = count / V::LANES * V::LANES;
    // SAFETY: the caller's promise: so many numbers are there.
    unsafe {
        // Nought times what is not finite is no number.
        let (mut all, nought) = (V::zero(), V::zero());
        for at in (0..whole).step_by(V::LANES) {
            all = V::load(from.add(at)).mul_add(nought, all);
        }
        let mut sum = all.sum();
        for at in whole..count {
            sum = sum + *from.add(at) * V::NOUGHT;
        }
        sum == T::default()
    }
}

//! Transforms of one row: its elements side by side in the lanes of lines.
//!
//! Of a length `LINE * M` element `i` lies in lane `i % LINE` of line `i / LINE`. A transform of length `M` in every lane,
//! factors `w^(lane k)` and one across the lanes give all frequencies, line by line in their order. Other lengths are
//! convolutions with a chirp over such a one (Bluestein).
//!
//! # Source
//! Bluestein, "A linear filtering approach to the computation of discrete Fourier transform", 1970.

use super::lines::{Lines, Pair, Real, across, radices, root, with_vectors};
use crate::permute::square::Square;
use crate::vector::VectorFloat;
use std::mem::MaybeUninit;

/// Real and imaginary parts of a row, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Planes<T> {
    pub re: *mut T,
    pub im: *mut T,
}

impl<T> Planes<T> {
    pub fn swapped(self) -> Planes<T> {
        Planes { re: self.im, im: self.re }
    }
}

/// The memory of a row while it is transformed.
#[derive(Clone, Copy)]
pub(super) struct Memory<T> {
    /// What is transformed, as lines; not kept.
    pub lines: *mut T,
    other: *mut T,
    /// The result; behind it there is a line that nothing writes.
    pub planes: Planes<T>,
}

impl<T: Real> Memory<T> {
    /// How many numbers that is for rows of a room.
    pub fn elems(room: usize) -> usize {
        6 * room + 2 * T::LINE
    }

    /// # Safety
    /// There are that many numbers.
    pub unsafe fn new(work: *mut T, room: usize) -> Memory<T> {
        // SAFETY: the caller's promise.
        unsafe {
            let re = work.add(4 * room);
            let planes = Planes { re, im: re.add(room + T::LINE) };
            Memory { lines: work, other: work.add(2 * room), planes }
        }
    }
}

/// A transform of one row.
#[derive(Clone, Debug)]
pub(super) struct Row<T> {
    pub len: usize,
    straight: Straight<T>,
    chirp: Option<Chirp<T>>,
}

#[derive(Clone, Debug)]
struct Straight<T> {
    lines: Lines<T>,
    /// The factors of every element of the lines, as lines.
    turns: Vec<T>,
    sixteenths: Vec<[T; 2]>,
    square: (usize, Square),
}

#[derive(Clone, Debug)]
struct Chirp<T> {
    /// `exp(-i pi k^2 / len)`, as lines, zeros behind.
    factors: Vec<T>,
    /// The transform of its conjugate, over the inner length, as lines.
    filter: Vec<T>,
}

/// Whether rows of that length need no chirp.
pub(super) fn is_straight<T: Real>(len: usize) -> bool {
    len > 0 && len.is_multiple_of(T::LINE * T::LINE) && radices(len / T::LINE).is_some()
}

/// The least length not below that of a row without a chirp.
pub(super) fn straight_length(least: usize, line: usize) -> usize {
    let is_smooth = |mut n: usize| {
        for factor in [2, 3, 5] {
            while n.is_multiple_of(factor) {
                n /= factor;
            }
        }
        n == 1
    };
    let square = line * line;
    let count = least.div_ceil(square).max(1);
    (count..).find(|&n| is_smooth(n)).unwrap_or(count) * square
}

/// How many elements the lines of such a row have.
pub(super) fn room<T: Real>(len: usize) -> usize {
    if is_straight::<T>(len) { len } else { straight_length(2 * len - 1, T::LINE) }
}

/// Complex numbers as lines; zeros up to the last lane.
pub(super) fn as_lines<T: Real>(values: impl ExactSizeIterator<Item = [f64; 2]>) -> Vec<T> {
    let mut lines = vec![T::default(); values.len().div_ceil(T::LINE) * 2 * T::LINE];
    for (at, [re, im]) in values.enumerate() {
        let place = at / T::LINE * 2 * T::LINE + at % T::LINE;
        (lines[place], lines[place + T::LINE]) = (T::of(re), T::of(im));
    }
    lines
}

impl<T: Real> Row<T> {
    /// A transform of that length, which is not 0.
    pub fn new(len: usize) -> Row<T> {
        let room = room::<T>(len);
        let chirp = (room != len).then(|| Chirp::new(len, room));
        Row { len, straight: Straight::new(room), chirp }
    }

    pub fn room(&self) -> usize {
        self.straight.lines.count * T::LINE
    }

    /// Transforms the lines into the planes; lanes behind the last element do not matter.
    ///
    /// # Safety
    /// The memory is that of a row of this room.
    pub unsafe fn run(&self, memory: Memory<T>) {
        // SAFETY: the caller's promise.
        unsafe { run(self, memory) }
    }
}

unsafe fn run<T: Real>(row: &Row<T>, memory: Memory<T>) {
    with_vectors!(row_with::<T>(row: &Row<T>, memory: Memory<T>))
}

#[inline(always)]
unsafe fn row_with<T: Real, V: VectorFloat<Elem = T>>(row: &Row<T>, memory: Memory<T>) {
    let Memory { lines, planes, .. } = memory;
    // SAFETY: the caller's promise.
    unsafe {
        let Some(chirp) = &row.chirp else { return row.straight.run::<V>(memory) };
        let line = 2 * T::LINE;
        for at in (0..chirp.factors.len()).step_by(line) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let at = at + lane;
                Pair::<V>::load(lines.add(at))
                    .times(Pair::load(chirp.factors.as_ptr().add(at)))
                    .store(lines.add(at));
            }
        }
        // What lies behind the last element is no number, perhaps.
        let (full, rest) = (row.len / T::LINE, row.len % T::LINE);
        for lane in rest..T::LINE {
            *lines.add(full * line + lane) = T::default();
            *lines.add(full * line + T::LINE + lane) = T::default();
        }
        for at in chirp.factors.len()..2 * row.room() {
            *lines.add(at) = T::default();
        }
        row.straight.run::<V>(memory);
        // Real and imaginary parts exchanged, a transform is the inverse one.
        for at in (0..row.room()).step_by(V::LANES) {
            let place = at / T::LINE * line + at % T::LINE;
            let value = Pair(V::load(planes.re.add(at)), V::load(planes.im.add(at)));
            value.times(Pair::load(chirp.filter.as_ptr().add(place))).swapped().store(lines.add(place));
        }
        row.straight.run::<V>(memory);
        for at in (0..row.len).step_by(V::LANES) {
            let place = at / T::LINE * line + at % T::LINE;
            let value = Pair(V::load(planes.im.add(at)), V::load(planes.re.add(at)));
            let Pair(re, im) = value.times(Pair::load(chirp.factors.as_ptr().add(place)));
            re.store(planes.re.add(at));
            im.store(planes.im.add(at));
        }
    }
}

/// Bytes of the first cache.
const NEAR: usize = 32 << 10;

/// Lines that change sides, aligned.
#[repr(align(64))]
struct Block<T>([T; 512]);

impl<T: Real> Straight<T> {
    fn new(len: usize) -> Straight<T> {
        let count = len / T::LINE;
        let single = |[re, im]: [f64; 2]| [T::of(re), T::of(im)];
        Straight {
            lines: Lines::new(count).expect("a count with small factors"),
            turns: as_lines((0..len).map(|at| root(at / T::LINE * (at % T::LINE), len))),
            sixteenths: (0..16).map(|turn| single(root(turn, 16))).collect(),
            square: Square::of(size_of::<T>()),
        }
    }

    #[inline(always)]
    unsafe fn run<V: VectorFloat<Elem = T>>(&self, memory: Memory<T>) {
        let (line, count) = (2 * T::LINE, self.lines.count);
        // SAFETY: the caller's promise; blocks have `LINE` lines.
        unsafe {
            // Factors on the way save a pass where the first cache holds them beside both arrays of lines.
            let is_near = 3 * count * line * size_of::<T>() <= NEAR;
            let turns = self.turns.as_ptr();
            let from = self.lines.run_by::<V>(memory.lines, memory.other, is_near.then_some(turns));
            let mut blocks = MaybeUninit::<[Block<T>; 2]>::uninit();
            let sides: *mut T = blocks.as_mut_ptr().cast();
            let other = sides.add(512);
            for first in (0..count).step_by(T::LINE) {
                let lines = from.add(first * line);
                if !is_near {
                    for at in (0..T::LINE * line).step_by(line) {
                        for lane in (0..T::LINE).step_by(V::LANES) {
                            let (at, turn) = (at + lane, turns.add(first * line + at + lane));
                            Pair::<V>::load(lines.add(at)).times(Pair::load(turn)).store(lines.add(at));
                        }
                    }
                }
                exchange(self.square, lines, sides);
                exchange(self.square, lines.add(T::LINE), sides.add(T::LINE));
                let planes = memory.planes;
                across::<T, V>(
                    sides,
                    other,
                    &self.sixteenths,
                    planes.re.add(first),
                    planes.im.add(first),
                    count,
                );
            }
        }
    }
}

/// Exchanges lines and lanes of one part of as many lines as there are lanes.
///
/// # Safety
/// Both are such lines, and not one.
#[inline(always)]
pub(super) unsafe fn exchange<T: Real>((side, square): (usize, Square), from: *const T, to: *mut T) {
    let line = 2 * T::LINE;
    let step = (line * size_of::<T>()) as isize;
    // SAFETY: the caller's promise.
    unsafe {
        if side == 1 {
            for row in 0..T::LINE {
                for lane in 0..T::LINE {
                    *to.add(lane * line + row) = *from.add(row * line + lane);
                }
            }
            return;
        }
        for row in (0..T::LINE).step_by(side) {
            for lane in (0..T::LINE).step_by(side) {
                let (from, to) = (from.add(row * line + lane), to.add(lane * line + row));
                square.run(from.cast(), step, to.cast(), step, false);
            }
        }
    }
}

impl<T: Real> Chirp<T> {
    fn new(len: usize, room: usize) -> Chirp<T> {
        // k^2 modulo 2 len: the angle is pi k^2 / len.
        let wave = |k: usize| root((k as u128 * k as u128 % (2 * len as u128)) as usize, 2 * len);
        let exact = Row::<f64>::new(room);
        let mut work = vec![0.0; Memory::<f64>::elems(room)];
        // SAFETY: the memory is that of the row.
        let spectrum = unsafe {
            let memory = Memory::new(work.as_mut_ptr(), room);
            for k in 0..len {
                let [c, s] = wave(k);
                for at in [k, (room - k) % room] {
                    let place = at / f64::LINE * 2 * f64::LINE + at % f64::LINE;
                    *memory.lines.add(place) = c;
                    *memory.lines.add(place + f64::LINE) = -s;
                }
            }
            exact.run(memory);
            let Planes { re, im } = memory.planes;
            [re, im].map(|part| std::slice::from_raw_parts(part, room).to_vec())
        };
        let scale = 1.0 / room as f64;
        Chirp {
            factors: as_lines((0..len).map(wave)),
            filter: as_lines((0..room).map(|at| [spectrum[0][at] * scale, spectrum[1][at] * scale])),
        }
    }
}

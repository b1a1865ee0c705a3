//! Transforms of rows side by side, a row in each lane of lines: for lengths without large factors. Rows of a matrix change
//! sides with its columns for that; where rows are the columns, they lie so.

use super::Transform;
use super::lines::{Lines, Pair, Real, with_vectors};
use crate::permute::square::Square;
use crate::vector::{Vector, VectorFloat};

/// How many numbers of working memory a block of rows needs.
pub(super) fn elems<T: Real>(len: usize) -> usize {
    6 * T::LINE * len
}

/// Transforms all rows, `LINE` complex ones at a time.
///
/// # Safety
/// As of [`super::TransformPlan::run`].
pub(super) unsafe fn run<T: Real>(
    spec: &Transform,
    lines: &Lines<T>,
    from: *const T,
    to: *mut T,
    work: *mut T,
) {
    with_vectors!(blocks::<T>(spec: &Transform, lines: &Lines<T>, from: *const T, to: *mut T, work: *mut T))
}

#[inline(always)]
unsafe fn blocks<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    lines: &Lines<T>,
    from: *const T,
    to: *mut T,
    work: *mut T,
) {
    let (len, rows, line) = (lines.count, spec.rows as usize, 2 * T::LINE);
    let side = Square::of::<T>();
    let block = if spec.real { 2 * T::LINE } else { T::LINE };
    // SAFETY: the caller's promise.
    unsafe {
        let (data, other, third) = (work, work.add(line * len), work.add(2 * line * len));
        for first in (0..rows).step_by(block) {
            let count = block.min(rows - first);
            if let Some([by, _]) = spec.columns {
                bring_columns::<T, V>(from.add(2 * first), Rows { by: 2 * by as usize, count, len }, data);
            } else if spec.real {
                let from = from.add(first * len);
                // Two rows are the two parts of one.
                let rows = Rows { by: 2 * len, count: count.div_ceil(2), len };
                bring(side, from, rows, data, line);
                let rows = Rows { count: count / 2, ..rows };
                bring(side, from.add(len), rows, data.add(T::LINE), line);
            } else {
                let rows = Rows { by: 2 * len, count, len: 2 * len };
                bring(side, from.add(first * 2 * len), rows, data, T::LINE);
            }
            let swap = spec.inverse && !spec.real;
            if swap {
                swap_parts::<T, V>(data, len);
            }
            let found = lines.run::<V>(data, other);
            let free = if found == data { other } else { data };
            let scale = T::of(if spec.inverse { 1.0 / len as f64 } else { 1.0 });
            if let Some([_, by]) = spec.columns {
                let parts = if swap { [T::LINE, 0] } else { [0, T::LINE] };
                let rows = Rows { by: 2 * by as usize, count, len };
                put_columns::<T, V>(found, parts, V::splat(scale), to.add(2 * first), rows);
                continue;
            }
            let to = to.add(first * 2 * len);
            if spec.real {
                let negative = if spec.inverse { -scale } else { scale };
                apart::<T, V>(found, free, third, len, [scale * T::of(0.5), negative * T::of(0.5)]);
                let rows = Rows { by: 4 * len, count: count.div_ceil(2), len: 2 * len };
                put(side, free, to, rows);
                put(side, third, to.add(2 * len), Rows { count: count / 2, ..rows });
                continue;
            }
            if spec.inverse {
                let scale = V::splat(scale);
                for at in (0..len * line).step_by(V::LANES) {
                    V::load(found.add(at)).mul(scale).store(found.add(at));
                }
            }
            if swap {
                swap_parts::<T, V>(found, len);
            }
            put(side, found, to, Rows { by: 2 * len, count, len: 2 * len });
        }
    }
}

/// Exchanges real and imaginary parts: so a transform is the inverse one.
#[inline(always)]
unsafe fn swap_parts<T: Real, V: VectorFloat<Elem = T>>(lines: *mut T, len: usize) {
    for at in 0..len {
        for lane in (0..T::LINE).step_by(V::LANES) {
            // SAFETY: the caller's promise: there are `len` lines.
            unsafe {
                let place = lines.add(at * 2 * T::LINE + lane);
                Pair::<V>::load(place).swapped().store(place);
            }
        }
    }
}

/// Of the transform of `x + i y` that of `x` and that of `y`, times a factor for real and one for imaginary parts.
#[inline(always)]
unsafe fn apart<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    x: *mut T,
    y: *mut T,
    len: usize,
    [re_by, im_by]: [T; 2],
) {
    let line = 2 * T::LINE;
    for f in 0..len {
        let mirror = if f == 0 { 0 } else { len - f };
        for lane in (0..T::LINE).step_by(V::LANES) {
            // SAFETY: the caller's promise: there are `len` lines.
            unsafe {
                let a = Pair::<V>::load(from.add(f * line + lane));
                let b = Pair::<V>::load(from.add(mirror * line + lane));
                let (re_by, im_by) = (V::splat(re_by), V::splat(im_by));
                Pair(a.0.add(b.0).mul(re_by), a.1.sub(b.1).mul(im_by)).store(x.add(f * line + lane));
                Pair(a.1.add(b.1).mul(re_by), b.0.sub(a.0).mul(im_by)).store(y.add(f * line + lane));
            }
        }
    }
}

/// Rows of numbers in memory: from row to row, how many, and how long.
#[derive(Clone, Copy)]
struct Rows {
    by: usize,
    count: usize,
    len: usize,
}

impl Rows {
    /// How many numbers of each of two vectors are there, of complex ones from a lane on.
    fn present<V: Vector>(self, lane: usize) -> [usize; 2] {
        let left = 2 * self.count.saturating_sub(lane);
        [left.min(V::LANES), left.saturating_sub(V::LANES).min(V::LANES)]
    }
}

/// Brings columns of complex numbers to lanes; `count` columns of `len` elements that are `by` numbers apart.
///
/// # Safety
/// The columns are there, and so is the memory of the lines.
#[inline(always)]
unsafe fn bring_columns<T: Real, V: VectorFloat<Elem = T>>(from: *const T, columns: Rows, to: *mut T) {
    for i in 0..columns.len {
        for lane in (0..T::LINE).step_by(V::LANES) {
            let [first, second] = columns.present::<V>(lane);
            // SAFETY: the caller's promise; lanes without a column are not touched.
            unsafe {
                let from = from.add(i * columns.by).wrapping_add(2 * lane);
                let next = from.wrapping_add(V::LANES);
                let [first, second] = match second == V::LANES {
                    true => [V::load(from), V::load(next)],
                    false => [V::load_part(from, V::mask(first)), V::load_part(next, V::mask(second))],
                };
                let [re, im] = first.unzip(second);
                Pair(re, im).store(to.add(i * 2 * T::LINE + lane));
            }
        }
    }
}

/// Writes lanes to columns of complex numbers: `parts` tells where real and imaginary parts are in a line.
///
/// # Safety
/// As of [`bring_columns`].
#[inline(always)]
unsafe fn put_columns<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    parts: [usize; 2],
    scale: V,
    to: *mut T,
    columns: Rows,
) {
    for i in 0..columns.len {
        for lane in (0..T::LINE).step_by(V::LANES) {
            let [first, second] = columns.present::<V>(lane);
            // SAFETY: as above.
            unsafe {
                let part = |at: usize| V::load(from.add(i * 2 * T::LINE + lane + at)).mul(scale);
                let [x, y] = part(parts[0]).zip(part(parts[1]));
                let to = to.add(i * columns.by).wrapping_add(2 * lane);
                let next = to.wrapping_add(V::LANES);
                if second == V::LANES {
                    x.store(to);
                    y.store(next);
                } else {
                    x.store_part(to, V::mask(first));
                    y.store_part(next, V::mask(second));
                }
            }
        }
    }
}

/// Brings rows to lanes: number `i` of row `l` to `to + i * step + l`. Lanes without rows become zeros.
///
/// # Safety
/// The rows are there, and so is the memory of the lanes.
#[inline(always)]
unsafe fn bring<T: Real>(
    (side, square): (usize, Square),
    from: *const T,
    rows: Rows,
    to: *mut T,
    step: usize,
) {
    let whole = if side > 1 { (rows.count / side * side, rows.len / side * side) } else { (0, 0) };
    let bytes = size_of::<T>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        for row in (0..whole.0).step_by(side) {
            for i in (0..whole.1).step_by(side) {
                let (from, to) = (from.add(row * rows.by + i), to.add(i * step + row));
                square.run(from.cast(), rows.by as isize * bytes, to.cast(), step as isize * bytes, false);
            }
        }
        for row in 0..rows.count {
            for i in if row < whole.0 { whole.1 } else { 0 }..rows.len {
                *to.add(i * step + row) = *from.add(row * rows.by + i);
            }
        }
        if rows.count < T::LINE {
            for i in 0..rows.len {
                for lane in rows.count..T::LINE {
                    *to.add(i * step + lane) = T::default();
                }
            }
        }
    }
}

/// Writes lanes to rows.
///
/// # Safety
/// As of [`bring`].
#[inline(always)]
unsafe fn put<T: Real>((side, square): (usize, Square), from: *const T, to: *mut T, rows: Rows) {
    let whole = if side > 1 { (rows.count / side * side, rows.len / side * side) } else { (0, 0) };
    let bytes = size_of::<T>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        for row in (0..whole.0).step_by(side) {
            for i in (0..whole.1).step_by(side) {
                let (from, to) = (from.add(i * T::LINE + row), to.add(row * rows.by + i));
                square.run(from.cast(), T::LINE as isize * bytes, to.cast(), rows.by as isize * bytes, false);
            }
        }
        for row in 0..rows.count {
            for i in if row < whole.0 { whole.1 } else { 0 }..rows.len {
                *to.add(row * rows.by + i) = *from.add(i * T::LINE + row);
            }
        }
    }
}

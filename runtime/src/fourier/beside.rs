//! Transforms of rows side by side, a row in each lane of lines: for lengths without large factors. Rows of a matrix change
//! sides with its columns for that; where rows are the columns, they lie so.

use super::lines::{Lines, Pair, Real, with_vectors};
use super::{Transform, is_finite};
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
    operands: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    with_vectors!(blocks::<T>(
        spec: &Transform,
        lines: &Lines<T>,
        operands: [*const T; 2],
        to: *mut T,
        work: *mut T,
    ))
}

#[inline(always)]
unsafe fn blocks<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    lines: &Lines<T>,
    [from, factors]: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    let (len, rows, line) = (lines.count, spec.rows as usize, 2 * T::LINE);
    let side = Square::of(size_of::<T>());
    // SAFETY: the caller's promise.
    unsafe {
        let (data, other, third) = (work, work.add(line * len), work.add(2 * line * len));
        let mut next = 0;
        // Real rows before this one are transformed alone.
        let mut alone = 0;
        while next < rows {
            let first = next;
            // Two real rows are the two parts of one.
            let by_pairs = spec.real && first >= alone;
            let count = if by_pairs { 2 * T::LINE } else { T::LINE }.min(rows - first);
            let [by, own, beside] = if by_pairs { [2, count.div_ceil(2), count / 2] } else { [1, count, 0] };
            if let Some([by, _]) = spec.columns {
                let rows = Rows { by: 2 * by as usize, count, len };
                let factors = spec.factors.map(|[row, element]| {
                    (factors.add(2 * first * row as usize), [row as usize, 2 * element as usize])
                });
                bring_columns::<T, V>(from.add(2 * first), factors, rows, data);
            } else if spec.real {
                let from = from.add(first * len);
                let rows = Rows { by: by * len, count: own, len };
                bring(side, from, rows, data, line);
                let rows = Rows { count: beside, ..rows };
                bring(side, from.add(len), rows, data.add(T::LINE), line);
            } else {
                let mut from = from.add(first * 2 * len);
                if let Some([by, _]) = spec.factors {
                    for row in 0..count {
                        let factors = factors.add((first + row) * 2 * by as usize);
                        multiply::<T, V>(from.add(row * 2 * len), factors, len, third.add(row * 2 * len));
                    }
                    from = third;
                }
                let rows = Rows { by: 2 * len, count, len: 2 * len };
                bring(side, from, rows, data, T::LINE);
            }
            let swap = spec.inverse && !spec.real;
            if swap {
                swap_parts::<T, V>(data, len);
            }
            let found = lines.run::<V>(data, other);
            // What is not finite in one row of a pair would spread to the other.
            if by_pairs && !(0..T::LINE).all(|lane| is_finite(*found.add(lane) + *found.add(T::LINE + lane)))
            {
                alone = first + count;
                continue;
            }
            next += count;
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
                let rows = Rows { by: by * 2 * len, count: own, len: 2 * len };
                put(side, free, to, rows);
                put(side, third, to.add(2 * len), Rows { count: beside, ..rows });
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

/// Two vectors of complex numbers side by side, of which so many numbers are there, as real and imaginary parts.
#[inline(always)]
unsafe fn load_parts<T: Real, V: VectorFloat<Elem = T>>(from: *const T, present: [usize; 2]) -> Pair<V> {
    let next = from.wrapping_add(V::LANES);
    // SAFETY: the caller's promise; numbers that are not there are not touched.
    let [re, im] = unsafe {
        match present[1] == V::LANES {
            true => V::load(from).unzip(V::load(next)),
            false => V::load_part(from, V::mask(present[0])).unzip(V::load_part(next, V::mask(present[1]))),
        }
    };
    Pair(re, im)
}

/// Writes what [`load_parts`] loads.
#[inline(always)]
unsafe fn store_parts<T: Real, V: VectorFloat<Elem = T>>(value: Pair<V>, to: *mut T, present: [usize; 2]) {
    let next = to.wrapping_add(V::LANES);
    // SAFETY: as above.
    unsafe {
        let [x, y] = value.0.zip(value.1);
        if present[1] == V::LANES {
            x.store(to);
            y.store(next);
        } else {
            x.store_part(to, V::mask(present[0]));
            y.store_part(next, V::mask(present[1]));
        }
    }
}

/// How many numbers of each of two vectors are there, of so many complex ones from a lane on.
fn present<V: Vector>(count: usize, lane: usize) -> [usize; 2] {
    let left = 2 * count.saturating_sub(lane);
    [left.min(V::LANES), left.saturating_sub(V::LANES).min(V::LANES)]
}

/// Multiplies rows of complex numbers.
///
/// # Safety
/// The rows are there.
#[inline(always)]
unsafe fn multiply<T: Real, V: VectorFloat<Elem = T>>(a: *const T, b: *const T, len: usize, to: *mut T) {
    for i in (0..len).step_by(V::LANES) {
        let present = present::<V>(len, i);
        // SAFETY: the caller's promise.
        unsafe {
            let product = load_parts::<T, V>(a.add(2 * i), present).times(load_parts(b.add(2 * i), present));
            store_parts(product, to.add(2 * i), present);
        }
    }
}

/// Brings columns of complex numbers to lanes, times factors if there are any: `count` columns of `len` elements that are
/// `by` numbers apart. Factors are side by side or one for all columns, their second step is from element to element.
///
/// # Safety
/// The columns and factors are there, and so is the memory of the lines.
#[inline(always)]
unsafe fn bring_columns<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    factors: Option<(*const T, [usize; 2])>,
    columns: Rows,
    to: *mut T,
) {
    for i in 0..columns.len {
        for lane in (0..T::LINE).step_by(V::LANES) {
            let present = present::<V>(columns.count, lane);
            // SAFETY: the caller's promise.
            unsafe {
                let mut value = load_parts::<T, V>(from.add(i * columns.by).wrapping_add(2 * lane), present);
                if let Some((factors, [column, element])) = factors {
                    let at = factors.add(i * element);
                    value = value.times(match column {
                        0 => Pair::splat([*at, *at.add(1)]),
                        _ => load_parts(at.wrapping_add(2 * lane), present),
                    });
                }
                value.store(to.add(i * 2 * T::LINE + lane));
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
            let present = present::<V>(columns.count, lane);
            // SAFETY: as above.
            unsafe {
                let part = |at: usize| V::load(from.add(i * 2 * T::LINE + lane + at)).mul(scale);
                let value = Pair(part(parts[0]), part(parts[1]));
                store_parts(value, to.add(i * columns.by).wrapping_add(2 * lane), present);
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

//! Transforms of rows side by side, a row in each lane of lines: for lengths without large factors. Rows of a matrix change
//! sides with its columns for that; where rows are the columns, they lie so.

use super::Transform;
use super::columns::{self, Columns, Read, Write};
use super::halves::{Half, Target};
use super::lines::{Lines, Pair, Real, copy, with_vectors};
use crate::permute::square::Square;
use crate::vector::{Vector, VectorFloat};

/// How many numbers of working memory a block of rows needs, by transforms of their length or of half of it.
pub(super) fn elems<T: Real>(inner: usize, len: usize) -> usize {
    if inner == len { 6 * T::LINE * len } else { 8 * T::LINE * inner }
}

/// Transforms all rows, `LINE` at a time; by halves if these are given.
///
/// # Safety
/// As of [`super::TransformPlan::run`].
pub(super) unsafe fn run<T: Real>(
    spec: &Transform,
    way: (&Lines<T>, Option<&Half<T>>),
    operands: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    let is_complex = !spec.real && !spec.real_parts;
    // SAFETY: the caller's promise.
    unsafe {
        // What one function of all ways prepares before its loop takes as long as a block of short rows.
        match spec.columns {
            Some(by) if is_complex => return columns::run(spec, (way.0, by), operands, to, work),
            None if is_complex => return complex_rows(spec, way.0, operands, to, work),
            _ => {}
        }
    }
    let operand = operands[0];
    with_vectors!(blocks::<T>(
        spec: &Transform,
        way: (&Lines<T>, Option<&Half<T>>),
        operand: *const T,
        to: *mut T,
        work: *mut T,
    ))
}

#[inline(always)]
unsafe fn blocks<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    (lines, half): (&Lines<T>, Option<&Half<T>>),
    operand: *const T,
    to: *mut T,
    work: *mut T,
) {
    let (len, kept, line, own) =
        (spec.len as usize, spec.kept as usize, 2 * T::LINE, 2 * T::LINE * lines.count);
    let side = Square::of(size_of::<T>());
    let scale = T::of(if spec.inverse { 1.0 / len as f64 } else { 1.0 });
    // Whole rows come before halves of them, or after.
    let places = if half.is_some() && spec.real_parts { [2 * own, 3 * own] } else { [own, 2 * own] };
    // Real and imaginary parts exchanged, a transform is the inverse one; of halves of real numbers it is the conjugate.
    let swap = spec.inverse && !(spec.real && half.is_some());
    let [re, im] = if swap { [T::LINE, 0] } else { [0, T::LINE] };
    let out_parts = if spec.real_parts { 1 } else { 2 };
    // SAFETY: the caller's promise.
    unsafe {
        let [data, other, third] = [work, work.add(places[0]), work.add(places[1])];
        for first in (0..spec.rows as usize).step_by(T::LINE) {
            let count = T::LINE.min(spec.rows as usize - first);
            match spec.real {
                true => bring_real::<T, V>(spec, half.is_some(), operand, data, [first, count]),
                false => bring_complex::<T, V>(spec, operand, data, [first, count]),
            }
            let found = match half {
                Some(half) if spec.real_parts => {
                    half.join_lines::<V>(data, other, scale);
                    lines.run::<V>(other, third)
                }
                _ => {
                    if swap {
                        swap_parts::<T, V>(data, len);
                    }
                    lines.run::<V>(data, other)
                }
            };
            if let Some([_, by]) = spec.columns {
                let (by, to) = (by as usize, to.add(out_parts * first));
                let rows = Rows { by: out_parts * by, count, len: kept };
                match half {
                    Some(half) if spec.real => {
                        let target = (to, Target::Columns { by, count });
                        half.apart_lines::<V>(found, kept, signed(spec, scale), target);
                    }
                    Some(_) => put_real_columns::<T, V>(found, [line, re, im], T::of(1.0), to, rows),
                    None if spec.real_parts => {
                        put_real_columns::<T, V>(found, [2 * line, re, line + re], scale, to, rows);
                    }
                    None => {
                        let columns = Columns { first: to, by: rows.by, count };
                        let sink = Write { columns, kept, swap, scale };
                        copy::<T, V>(kept, found.cast_const(), sink);
                    }
                }
                continue;
            }
            let to = to.add(out_parts * first * kept);
            let rows = Rows { by: out_parts * kept, count, len: out_parts * kept };
            match half {
                Some(half) if spec.real => {
                    half.apart_lines::<V>(found, kept, signed(spec, scale), (third, Target::Lines));
                    put(side, third, T::LINE, to, rows);
                }
                Some(_) => {
                    swap_parts::<T, V>(found, lines.count);
                    put(side, found, T::LINE, to, rows);
                }
                None => {
                    if spec.inverse {
                        scale_lines::<T, V>(found, len, scale);
                    }
                    if spec.real_parts {
                        put(side, found.add(re), line, to, rows);
                        continue;
                    }
                    if swap {
                        swap_parts::<T, V>(found, len);
                    }
                    put(side, found, T::LINE, to, rows);
                }
            }
        }
    }
}

/// Transforms complex rows into complex ones that lie one after the other.
///
/// # Safety
/// As of [`run`].
unsafe fn complex_rows<T: Real>(
    spec: &Transform,
    lines: &Lines<T>,
    operands: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    with_vectors!(rows_with::<T>(
        spec: &Transform,
        lines: &Lines<T>,
        operands: [*const T; 2],
        to: *mut T,
        work: *mut T,
    ))
}

#[inline(always)]
unsafe fn rows_with<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    lines: &Lines<T>,
    [from, factors]: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    let (len, kept, own) = (spec.len as usize, spec.kept as usize, 2 * T::LINE * lines.count);
    let side = Square::of(size_of::<T>());
    // SAFETY: the caller's promise.
    unsafe {
        let [data, other, third] = [work, work.add(own), work.add(2 * own)];
        for first in (0..spec.rows as usize).step_by(T::LINE) {
            let count = T::LINE.min(spec.rows as usize - first);
            let mut from = from.add(first * 2 * len);
            if let Some([by, _]) = spec.factors {
                for row in 0..count {
                    let factors = factors.add((first + row) * 2 * by as usize);
                    multiply::<T, V>(from.add(row * 2 * len), factors, len, third.add(row * 2 * len));
                }
                from = third;
            }
            bring(side, from, Rows { by: 2 * len, count, len: 2 * len }, data, T::LINE);
            // Real and imaginary parts exchanged, a transform is the inverse one.
            if spec.inverse {
                swap_parts::<T, V>(data, len);
            }
            let found = lines.run::<V>(data, other);
            if spec.inverse {
                scale_lines::<T, V>(found, len, T::of(1.0 / len as f64));
                swap_parts::<T, V>(found, len);
            }
            let rows = Rows { by: 2 * kept, count, len: 2 * kept };
            put(side, found, T::LINE, to.add(first * 2 * kept), rows);
        }
    }
}

/// What real and imaginary parts of a real row's transform are multiplied by: the inverse is its conjugate.
fn signed<T: Real>(spec: &Transform, scale: T) -> [T; 2] {
    [scale, if spec.inverse { -scale } else { scale }]
}

/// Brings real rows to lines: every other element to imaginary parts, or all of them to real parts beside zeros.
///
/// # Safety
/// The rows are there, and so is the memory of the lines.
#[inline(always)]
unsafe fn bring_real<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    by_halves: bool,
    from: *const T,
    to: *mut T,
    [first, count]: [usize; 2],
) {
    let len = spec.len as usize;
    let step = if by_halves { T::LINE } else { 2 * T::LINE };
    // SAFETY: the caller's promise; columns that are not there are not touched.
    unsafe {
        match spec.columns {
            Some([by, _]) => {
                let from = from.add(first);
                for i in 0..len {
                    for lane in (0..T::LINE).step_by(V::LANES) {
                        let from = from.add(i * by as usize).wrapping_add(lane);
                        let value = match count.saturating_sub(lane).min(V::LANES) {
                            lanes if lanes == V::LANES => V::load(from),
                            lanes => V::load_part(from, V::mask(lanes)),
                        };
                        value.store(to.add(i * step + lane));
                    }
                }
            }
            None => {
                let rows = Rows { by: len, count, len };
                bring(Square::of(size_of::<T>()), from.add(first * len), rows, to, step);
            }
        }
        for i in if by_halves { len..len } else { 0..len } {
            for lane in (0..T::LINE).step_by(V::LANES) {
                V::zero().store(to.add(i * step + T::LINE + lane));
            }
        }
    }
}

/// Brings complex rows to lines.
///
/// # Safety
/// The rows are there, and so is the memory of the lines.
#[inline(always)]
unsafe fn bring_complex<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    from: *const T,
    to: *mut T,
    [first, count]: [usize; 2],
) {
    let len = spec.len as usize;
    // SAFETY: the caller's promise.
    unsafe {
        if let Some([by, _]) = spec.columns {
            let columns = Columns { first: from.add(2 * first), by: 2 * by as usize, count };
            let target = Columns { first: to, by: 2 * T::LINE, count };
            let source = Read { columns, factors: None, swap: false, target };
            return copy::<T, V>(len, source, to);
        }
        let rows = Rows { by: 2 * len, count, len: 2 * len };
        bring(Square::of(size_of::<T>()), from.add(first * 2 * len), rows, to, T::LINE);
    }
}

/// Multiplies lines by a number.
#[inline(always)]
unsafe fn scale_lines<T: Real, V: VectorFloat<Elem = T>>(lines: *mut T, len: usize, scale: T) {
    // SAFETY: the caller's promise: there are `len` lines.
    unsafe {
        let scale = V::splat(scale);
        for at in (0..len * 2 * T::LINE).step_by(V::LANES) {
            V::load(lines.add(at)).mul(scale).store(lines.add(at));
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

/// Rows of numbers in memory: from row to row, how many, and how long.
#[derive(Clone, Copy)]
struct Rows {
    by: usize,
    count: usize,
    len: usize,
}

/// Two vectors of complex numbers side by side, of which so many numbers are there, as real and imaginary parts.
#[inline(always)]
pub(super) unsafe fn load_parts<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    present: [usize; 2],
) -> Pair<V> {
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
pub(super) unsafe fn store_parts<T: Real, V: VectorFloat<Elem = T>>(
    value: Pair<V>,
    to: *mut T,
    present: [usize; 2],
) {
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
pub(super) fn present<V: Vector>(count: usize, lane: usize) -> [usize; 2] {
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

/// Writes lanes to columns of real numbers times a factor: two numbers are at two places in every so many lanes.
///
/// # Safety
/// The columns are there, and so is the memory of the lines.
#[inline(always)]
unsafe fn put_real_columns<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    [step, even, odd]: [usize; 3],
    scale: T,
    to: *mut T,
    columns: Rows,
) {
    for i in 0..columns.len {
        let place = i / 2 * step + if i.is_multiple_of(2) { even } else { odd };
        for lane in (0..T::LINE).step_by(V::LANES) {
            // SAFETY: as above.
            unsafe {
                let value = V::load(from.add(place + lane)).mul(V::splat(scale));
                let to = to.add(i * columns.by).wrapping_add(lane);
                match columns.count.saturating_sub(lane).min(V::LANES) {
                    lanes if lanes == V::LANES => value.store(to),
                    lanes => value.store_part(to, V::mask(lanes)),
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

/// Writes lanes, so many numbers apart, to rows.
///
/// # Safety
/// As of [`bring`].
#[inline(always)]
unsafe fn put<T: Real>((side, square): (usize, Square), from: *const T, step: usize, to: *mut T, rows: Rows) {
    let whole = if side > 1 { (rows.count / side * side, rows.len / side * side) } else { (0, 0) };
    let bytes = size_of::<T>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        for row in (0..whole.0).step_by(side) {
            for i in (0..whole.1).step_by(side) {
                let (from, to) = (from.add(i * step + row), to.add(row * rows.by + i));
                square.run(from.cast(), step as isize * bytes, to.cast(), rows.by as isize * bytes, false);
            }
        }
        for row in 0..rows.count {
            for i in if row < whole.0 { whole.1 } else { 0 }..rows.len {
                *to.add(row * rows.by + i) = *from.add(i * step + row);
            }
        }
    }
}

//! Rows transformed one by one.

use super::Transform;
use super::halves::Half;
use super::lines::{Real, with_vectors};
use super::row::{Memory, Planes, Row};
use crate::vector::VectorFloat;

/// Transforms all rows; by halves if these are given.
///
/// # Safety
/// As of [`super::TransformPlan::run`].
pub(super) unsafe fn run<T: Real>(
    spec: &Transform,
    way: (&Row<T>, Option<&Half<T>>),
    from: *const T,
    to: *mut T,
    work: *mut T,
) {
    with_vectors!(each_row::<T>(
        spec: &Transform,
        way: (&Row<T>, Option<&Half<T>>),
        from: *const T,
        to: *mut T,
        work: *mut T,
    ))
}

#[inline(always)]
unsafe fn each_row<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    (row, half): (&Row<T>, Option<&Half<T>>),
    from: *const T,
    to: *mut T,
    work: *mut T,
) {
    let (len, kept) = (spec.len as usize, spec.kept as usize);
    let scale = T::of(if spec.inverse { 1.0 / len as f64 } else { 1.0 });
    for number in 0..spec.rows as usize {
        // SAFETY: the caller's promise.
        unsafe {
            let from = from.add(number * len * if spec.real { 1 } else { 2 });
            let to = to.add(number * kept * if spec.real_parts { 1 } else { 2 });
            let memory = Memory::new(work, row.room());
            match half {
                Some(half) if spec.real => {
                    bring_complex::<T, V>(from, row.len, memory.lines, 0);
                    row.run(memory);
                    // Of real numbers the inverse is the transform, conjugate.
                    let by = [scale, if spec.inverse { -scale } else { scale }];
                    half.apart::<V>(memory.planes, kept, by, to);
                }
                Some(half) => {
                    half.join::<V>(from, memory.lines, scale);
                    row.run(memory);
                    let planes = memory.planes.swapped();
                    put_complex::<T, V>(planes, kept / 2, T::of(1.0), to);
                    if !kept.is_multiple_of(2) {
                        *to.add(kept - 1) = *planes.re.add(kept / 2);
                    }
                }
                None => {
                    // Real and imaginary parts exchanged, a transform is the inverse one.
                    let swap = usize::from(spec.inverse);
                    match spec.real {
                        true => bring_real::<T, V>(from, len, memory.lines, swap),
                        false => bring_complex::<T, V>(from, len, memory.lines, swap),
                    }
                    row.run(memory);
                    let planes = if spec.inverse { memory.planes.swapped() } else { memory.planes };
                    match spec.real_parts {
                        true => put_real::<T, V>(planes.re, kept, scale, to),
                        false => put_complex::<T, V>(planes, kept, scale, to),
                    }
                }
            }
        }
    }
}

/// Brings a row of complex numbers to lines, its real parts to the first part or, `swap` being 1, to the second.
#[inline(always)]
unsafe fn bring_complex<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    len: usize,
    lines: *mut T,
    swap: usize,
) {
    let (line, whole) = (2 * T::LINE, len / T::LINE * T::LINE);
    let (re, im) = (swap * T::LINE, (1 - swap) * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..whole).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let from = from.add(2 * (first + lane));
                let [x, y] = V::load(from).unzip(V::load(from.add(V::LANES)));
                let to = lines.add(first / T::LINE * line + lane);
                x.store(to.add(re));
                y.store(to.add(im));
            }
        }
        for i in whole..len {
            let to = lines.add(whole / T::LINE * line + i - whole);
            (*to.add(re), *to.add(im)) = (*from.add(2 * i), *from.add(2 * i + 1));
        }
    }
}

/// Brings a row of real numbers to one part of lines, zeros to the other.
#[inline(always)]
unsafe fn bring_real<T: Real, V: VectorFloat<Elem = T>>(
    from: *const T,
    len: usize,
    lines: *mut T,
    swap: usize,
) {
    let (line, whole) = (2 * T::LINE, len / T::LINE * T::LINE);
    let (re, im) = (swap * T::LINE, (1 - swap) * T::LINE);
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..whole).step_by(T::LINE) {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let to = lines.add(first / T::LINE * line + lane);
                V::load(from.add(first + lane)).store(to.add(re));
                V::zero().store(to.add(im));
            }
        }
        for i in whole..len {
            let to = lines.add(whole / T::LINE * line + i - whole);
            (*to.add(re), *to.add(im)) = (*from.add(i), T::default());
        }
    }
}

/// Writes planes as a row of complex numbers.
#[inline(always)]
unsafe fn put_complex<T: Real, V: VectorFloat<Elem = T>>(
    planes: Planes<T>,
    len: usize,
    scale: T,
    to: *mut T,
) {
    let Planes { re, im } = planes;
    let whole = len / V::LANES * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        let by = V::splat(scale);
        for f in (0..whole).step_by(V::LANES) {
            let [x, y] = V::load(re.add(f)).mul(by).zip(V::load(im.add(f)).mul(by));
            x.store(to.add(2 * f));
            y.store(to.add(2 * f + V::LANES));
        }
        for f in whole..len {
            (*to.add(2 * f), *to.add(2 * f + 1)) = (*re.add(f) * scale, *im.add(f) * scale);
        }
    }
}

/// Writes one plane as a row of real numbers.
#[inline(always)]
unsafe fn put_real<T: Real, V: VectorFloat<Elem = T>>(re: *const T, len: usize, scale: T, to: *mut T) {
    let whole = len / V::LANES * V::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        let by = V::splat(scale);
        for i in (0..whole).step_by(V::LANES) {
            V::load(re.add(i)).mul(by).store(to.add(i));
        }
        for i in whole..len {
            *to.add(i) = *re.add(i) * scale;
        }
    }
}

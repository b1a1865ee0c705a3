//! Where passes read and write lines: in memory of their own, or in the columns of a matrix, a column in each lane.

use super::Transform;
use super::beside::{load_parts, present, store_parts};
use super::lines::{Lines, Pair, Real, with_vectors};
use crate::vector::VectorFloat;

/// Where a pass reads lanes of lines.
pub(super) trait Source<V>: Copy {
    /// # Safety
    /// The line is there, and the machine has the vectors.
    unsafe fn load(self, line: usize, lane: usize) -> Pair<V>;
}

/// Where a pass writes lanes of lines.
pub(super) trait Sink<V>: Copy {
    /// # Safety
    /// As of [`Source::load`].
    unsafe fn store(self, value: Pair<V>, line: usize, lane: usize);
}

impl<T: Real, V: VectorFloat<Elem = T>> Source<V> for *const T {
    #[inline(always)]
    unsafe fn load(self, line: usize, lane: usize) -> Pair<V> {
        // SAFETY: the caller's promise.
        unsafe { Pair::load(self.add(line * 2 * T::LINE + lane)) }
    }
}

impl<T: Real, V: VectorFloat<Elem = T>> Sink<V> for *mut T {
    #[inline(always)]
    unsafe fn store(self, value: Pair<V>, line: usize, lane: usize) {
        // SAFETY: the caller's promise.
        unsafe { value.store(self.add(line * 2 * T::LINE + lane)) }
    }
}

/// Columns of complex numbers: element `i` of the first one is at `first + i * by`, the other ones are beside it.
#[derive(Clone, Copy)]
pub(super) struct Columns<P> {
    pub first: P,
    pub by: usize,
    pub count: usize,
}

/// Columns to read.
#[derive(Clone, Copy)]
pub(super) struct Read<T> {
    pub columns: Columns<*const T>,
    /// What elements are multiplied by, if by anything, side by side or one for all columns, whose second step is from
    /// element to element.
    pub factors: Option<(*const T, [usize; 2])>,
    /// Whether real and imaginary parts are exchanged.
    pub swap: bool,
    /// Where elements are written later.
    pub target: Columns<*mut T>,
}

impl<T: Real, V: VectorFloat<Elem = T>> Source<V> for Read<T> {
    #[inline(always)]
    unsafe fn load(self, line: usize, lane: usize) -> Pair<V> {
        let Read { columns: Columns { first, by, count }, factors, swap, target } = self;
        let present = present::<V>(count, lane);
        let from = first.wrapping_add(line * by + 2 * lane);
        let to = target.first.cast_const().wrapping_add(line * target.by + 2 * lane);
        // SAFETY: the caller's promise; what is asked for ahead may be nothing.
        unsafe {
            // Elements of a column are too far apart for the machine to see what comes next.
            for ahead in [from.wrapping_add(2 * T::LINE), to] {
                V::prefetch(ahead);
                V::prefetch(ahead.wrapping_add(V::LANES));
            }
            let mut value = load_parts::<T, V>(from, present);
            if let Some((factors, [column, element])) = factors {
                let at = factors.wrapping_add(line * element);
                value = value.times(match column {
                    0 => Pair::splat([*at, *at.add(1)]),
                    _ => load_parts(at.wrapping_add(2 * lane), present),
                });
            }
            if swap { value.swapped() } else { value }
        }
    }
}

/// Columns to write.
#[derive(Clone, Copy)]
pub(super) struct Write<T> {
    pub columns: Columns<*mut T>,
    /// How many elements of each are written: the first ones.
    pub kept: usize,
    /// Whether real and imaginary parts are exchanged.
    pub swap: bool,
    pub scale: T,
}

impl<T: Real, V: VectorFloat<Elem = T>> Sink<V> for Write<T> {
    #[inline(always)]
    unsafe fn store(self, value: Pair<V>, line: usize, lane: usize) {
        let Write { columns: Columns { first, by, count }, kept, swap, scale } = self;
        if line >= kept {
            return;
        }
        // SAFETY: the caller's promise; columns that are not there are not touched.
        unsafe {
            let value = value.scaled(V::splat(scale));
            let value = if swap { value.swapped() } else { value };
            store_parts(value, first.wrapping_add(line * by + 2 * lane), present::<V>(count, lane));
        }
    }
}

/// Transforms columns of complex numbers, so far apart in what is read and in what is written, into others.
///
/// # Safety
/// As of [`super::TransformPlan::run`].
pub(super) unsafe fn run<T: Real>(
    spec: &Transform,
    way: (&Lines<T>, [u64; 2]),
    operands: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    with_vectors!(blocks::<T>(
        spec: &Transform,
        way: (&Lines<T>, [u64; 2]),
        operands: [*const T; 2],
        to: *mut T,
        work: *mut T,
    ))
}

#[inline(always)]
unsafe fn blocks<T: Real, V: VectorFloat<Elem = T>>(
    spec: &Transform,
    (lines, by): (&Lines<T>, [u64; 2]),
    [from, factors]: [*const T; 2],
    to: *mut T,
    work: *mut T,
) {
    // Real and imaginary parts exchanged, a transform is the inverse one.
    let (kept, swap) = (spec.kept as usize, spec.inverse);
    let scale = T::of(if spec.inverse { 1.0 / spec.len as f64 } else { 1.0 });
    let part = |by: u64| 2 * by as usize;
    for first in (0..spec.rows as usize).step_by(T::LINE) {
        let count = T::LINE.min(spec.rows as usize - first);
        // SAFETY: the caller's promise.
        unsafe {
            let columns = Columns { first: from.add(2 * first), by: part(by[0]), count };
            let target = Columns { first: to.add(2 * first), by: part(by[1]), count };
            let factors = spec.factors.map(|[row, element]| {
                (factors.wrapping_add(part(row) * first), [row as usize, part(element)])
            });
            let source = Read { columns, factors, swap, target };
            let sink = Write { columns: target, kept, swap, scale };
            lines.run_between::<V>(source, sink, [work, work.add(2 * T::LINE * lines.count)]);
        }
    }
}

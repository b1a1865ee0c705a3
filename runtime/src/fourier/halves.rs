//! Rows of real numbers as complex rows of half their length: every other element is an imaginary part.
//!
//! Of `z(j) = x(2 j) + i x(2 j + 1)` with the transform `Z`, of length `h`, even elements have the transform
//! `E(f) = (Z(f) + conj Z(h - f)) / 2` and odd ones `O(f) = (Z(f) - conj Z(h - f)) / 2i`; together they have
//! `X(f) = E(f) + w^f O(f)` and `X(f + h) = E(f) - w^f O(f)`, where `w = exp(-pi i / h)`. The other way round, real parts of an
//! inverse transform are the inverse transform of `H(f) = (X(f) + conj X(2 h - f)) / 2`, which is that of a real row: `E` and
//! `O` are found from `H(f)` and `H(f + h)`, and `Z` is `E + i O`.

use super::beside::{load_parts, present, store_parts};
use super::lines::{Pair, Real, root};
use super::row::{Planes, as_lines};
use crate::vector::VectorFloat;

/// Half a row.
#[derive(Clone, Debug)]
pub(super) struct Half<T> {
    len: usize,
    /// `w^f`, as lines.
    roots: Vec<T>,
}

/// Where complex lines or columns are written: to lines, or to `count` columns whose elements are so far apart.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Lines,
    Columns { by: usize, count: usize },
}

impl<T: Real> Half<T> {
    pub fn new(len: usize) -> Half<T> {
        Half { len, roots: as_lines((0..len).map(|f| root(f, 2 * len))) }
    }

    fn place(f: usize) -> usize {
        f / T::LINE * 2 * T::LINE + f % T::LINE
    }

    fn root(&self, f: usize) -> [T; 2] {
        let at = Self::place(f);
        [self.roots[at], self.roots[at + T::LINE]]
    }

    /// Writes the first frequencies of a real row, as complex numbers, times a factor for real and one for imaginary parts.
    ///
    /// # Safety
    /// The planes have half a row and one element behind it, `to` has room for what is kept, and the machine has the vectors.
    #[inline(always)]
    pub unsafe fn apart<V: VectorFloat<Elem = T>>(
        &self,
        Planes { re, im }: Planes<T>,
        kept: usize,
        by: [T; 2],
        to: *mut T,
    ) {
        let half = self.len;
        let by = by.map(|by| by * T::of(0.5));
        let whole = half / V::LANES * V::LANES;
        // SAFETY: the caller's promise.
        unsafe {
            // Frequency `half` is frequency 0.
            (*re.add(half), *im.add(half)) = (*re, *im);
            let factors = Pair(V::splat(by[0]), V::splat(by[1]));
            for f in (0..whole.min(kept)).step_by(V::LANES) {
                let mirror = half + 1 - f - V::LANES;
                let a = Pair(V::load(re.add(f)), V::load(im.add(f)));
                let b = Pair(V::load(re.add(mirror)).reverse(), V::load(im.add(mirror)).reverse());
                let root = Pair::load(self.roots.as_ptr().add(Self::place(f)));
                let found = parts(a, b, root, factors);
                store_parts(found[0], to.add(2 * f), present::<V>(kept, f));
                if f + half < kept {
                    store_parts(found[1], to.add(2 * (f + half)), present::<V>(kept, f + half));
                }
            }
            for f in whole..half.min(kept) {
                let (a, b, c, d) = (*re.add(f), *im.add(f), *re.add(half - f), *im.add(half - f));
                let [cos, sin] = self.root(f);
                let (even, odd) = ([a + c, b - d], [b + d, c - a]);
                let turned = [odd[0] * cos - odd[1] * sin, odd[0] * sin + odd[1] * cos];
                for part in 0..2 {
                    *to.add(2 * f + part) = (even[part] + turned[part]) * by[part];
                    if f + half < kept {
                        *to.add(2 * (f + half) + part) = (even[part] - turned[part]) * by[part];
                    }
                }
            }
        }
    }

    /// The same of rows in the lanes of lines.
    ///
    /// # Safety
    /// There are as many lines as half a row has elements, the target has room, and the machine has the vectors.
    #[inline(always)]
    pub unsafe fn apart_lines<V: VectorFloat<Elem = T>>(
        &self,
        from: *const T,
        kept: usize,
        by: [T; 2],
        (to, target): (*mut T, Target),
    ) {
        let (half, line) = (self.len, 2 * T::LINE);
        let by = by.map(|by| by * T::of(0.5));
        for f in 0..half.min(kept) {
            let mirror = if f == 0 { 0 } else { half - f };
            for lane in (0..T::LINE).step_by(V::LANES) {
                // SAFETY: the caller's promise.
                unsafe {
                    let a = Pair::<V>::load(from.add(f * line + lane));
                    let b = Pair::<V>::load(from.add(mirror * line + lane));
                    let factors = Pair(V::splat(by[0]), V::splat(by[1]));
                    let found = parts(a, b, Pair::splat(self.root(f)), factors);
                    target.put(found[0], to, f, lane);
                    if f + half < kept {
                        target.put(found[1], to, f + half, lane);
                    }
                }
            }
        }
    }

    /// Brings to lines what has the real parts of an inverse transform of a row for its inverse transform, `scale` being that
    /// of the row; real and imaginary parts exchanged.
    ///
    /// # Safety
    /// The row and the lines are there, and the machine has the vectors.
    #[inline(always)]
    pub unsafe fn join<V: VectorFloat<Elem = T>>(&self, from: *const T, lines: *mut T, scale: T) {
        let (half, len) = (self.len, 2 * self.len);
        let whole = half / V::LANES * V::LANES;
        let scale = scale * T::of(0.5);
        let full = [V::LANES; 2];
        // SAFETY: the caller's promise.
        unsafe {
            // The first mirrored elements end with element `len`, which is element 0.
            let mut first = [T::default(); 32];
            if whole > 0 {
                let before = 2 * (V::LANES - 1);
                std::ptr::copy_nonoverlapping(from.add(2 * len - before), first.as_mut_ptr(), before);
                (first[before], first[before + 1]) = (*from, *from.add(1));
            }
            for f in (0..whole).step_by(V::LANES) {
                let mirror = match f {
                    0 => first.as_ptr(),
                    _ => from.add(2 * (len + 1 - f - V::LANES)),
                };
                let Pair(re, im) = load_parts::<T, V>(mirror, full);
                let c = Pair(re.reverse(), im.reverse());
                let Pair(re, im) = load_parts::<T, V>(from.add(2 * (half + 1 - f - V::LANES)), full);
                let d = Pair(re.reverse(), im.reverse());
                let a = load_parts::<T, V>(from.add(2 * f), full);
                let b = load_parts::<T, V>(from.add(2 * (f + half)), full);
                let place = Self::place(f);
                let root = Pair::load(self.roots.as_ptr().add(place));
                joined([a, b, c, d], root, V::splat(scale)).store(lines.add(place));
            }
            for f in whole..half {
                let at = |f: usize| (*from.add(2 * f), *from.add(2 * f + 1));
                let (a, b, c, d) = (at(f), at(f + half), at(if f == 0 { 0 } else { len - f }), at(half - f));
                let (s, t) = ([a.0 + c.0, a.1 - c.1], [b.0 + d.0, b.1 - d.1]);
                let odd = [s[0] - t[0], s[1] - t[1]];
                let [cos, sin] = self.root(f);
                let turned = [odd[0] * cos + odd[1] * sin, odd[1] * cos - odd[0] * sin];
                let place = lines.add(Self::place(f));
                *place = (s[1] + t[1] + turned[0]) * scale;
                *place.add(T::LINE) = (s[0] + t[0] - turned[1]) * scale;
            }
        }
    }

    /// The same of rows in the lanes of lines.
    ///
    /// # Safety
    /// `from` has a line for each element of a row, `to` half of them, and the machine has the vectors.
    #[inline(always)]
    pub unsafe fn join_lines<V: VectorFloat<Elem = T>>(&self, from: *const T, to: *mut T, scale: T) {
        let (half, len, line) = (self.len, 2 * self.len, 2 * T::LINE);
        let scale = scale * T::of(0.5);
        for f in 0..half {
            let mirror = if f == 0 { 0 } else { len - f };
            for lane in (0..T::LINE).step_by(V::LANES) {
                // SAFETY: the caller's promise.
                unsafe {
                    let a = Pair::<V>::load(from.add(f * line + lane));
                    let b = Pair::<V>::load(from.add((f + half) * line + lane));
                    let c = Pair::<V>::load(from.add(mirror * line + lane));
                    let d = Pair::<V>::load(from.add((half - f) * line + lane));
                    let root = Pair::splat(self.root(f));
                    joined([a, b, c, d], root, V::splat(scale)).store(to.add(f * line + lane));
                }
            }
        }
    }
}

impl Target {
    #[inline(always)]
    unsafe fn put<T: Real, V: VectorFloat<Elem = T>>(
        self,
        value: Pair<V>,
        to: *mut T,
        at: usize,
        lane: usize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Target::Lines => value.store(to.add(at * 2 * T::LINE + lane)),
                Target::Columns { by, count } => {
                    let to = to.add(at * 2 * by).wrapping_add(2 * lane);
                    store_parts(value, to, present::<V>(count, lane));
                }
            }
        }
    }
}

/// Frequencies `f` and `f + h`, from `Z(f)` and `Z(h - f)`, times twice the factors.
#[inline(always)]
unsafe fn parts<T: Real, V: VectorFloat<Elem = T>>(
    a: Pair<V>,
    b: Pair<V>,
    root: Pair<V>,
    by: Pair<V>,
) -> [Pair<V>; 2] {
    // SAFETY: the caller's promise: the machine has the vectors.
    unsafe {
        let even = Pair(a.0.add(b.0), a.1.sub(b.1));
        let turned = Pair(a.1.add(b.1), b.0.sub(a.0)).times(root);
        let (sum, difference) = (even.plus(turned), even.minus(turned));
        let first = Pair(sum.0.mul(by.0), sum.1.mul(by.1));
        [first, Pair(difference.0.mul(by.0), difference.1.mul(by.1))]
    }
}

/// Four times `Z(f)`, times the scale, from `X(f)`, `X(f + h)`, `X(2 h - f)` and `X(h - f)`; parts exchanged.
#[inline(always)]
unsafe fn joined<T: Real, V: VectorFloat<Elem = T>>(
    [a, b, c, d]: [Pair<V>; 4],
    root: Pair<V>,
    scale: V,
) -> Pair<V> {
    // SAFETY: as above.
    unsafe {
        let (s, t) = (a.plus(c.conjugate()), b.plus(d.conjugate()));
        let turned = s.minus(t).times(root.conjugate());
        s.plus(t).plus_turned(turned).scaled(scale).swapped()
    }
}

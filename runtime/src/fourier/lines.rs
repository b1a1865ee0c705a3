//! Transforms of lines of numbers: lane by lane, passes over memory.
//!
//! A *line* is 64 bytes of real parts and 64 of imaginary ones. A transform over `count` lines is one of that length for
//! each lane. A pass of radix `r` takes a length apart into `r` of an `r`-th of it, from one array of lines to another
//! (Stockham's order, which needs no reversal of digits).
//!
//! # Source
//! Stockham, "High-speed convolution and correlation", 1966.

use super::columns::{Sink, Source};
use crate::vector::VectorFloat;
use std::f64::consts::{FRAC_1_SQRT_2, TAU};
use std::fmt::Debug;
use std::ops::{Add, Mul, Neg, Sub};

/// The largest prime factor that has a pass of its own.
const LARGEST: usize = 13;

/// A float of lines.
pub(super) trait Real:
    Copy
    + Debug
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + PartialEq
    + 'static
{
    /// Numbers of 64 bytes.
    const LINE: usize;
    /// The vectors of a machine with AVX-512, with AVX2, and of any other.
    type Wide: VectorFloat<Elem = Self>;
    type Half: VectorFloat<Elem = Self>;
    type Least: VectorFloat<Elem = Self>;

    fn of(value: f64) -> Self;
}

macro_rules! real {
    ($type:ty, $line:expr, $wide:ident, $half:ident, $neon:ident, $least:expr) => {
        impl Real for $type {
            const LINE: usize = $line;
            #[cfg(target_arch = "x86_64")]
            type Wide = crate::vector::x86::$wide;
            #[cfg(target_arch = "x86_64")]
            type Half = crate::vector::x86::$half;
            #[cfg(not(target_arch = "x86_64"))]
            type Wide = Self::Least;
            #[cfg(not(target_arch = "x86_64"))]
            type Half = Self::Least;
            #[cfg(target_arch = "aarch64")]
            type Least = crate::vector::neon::$neon;
            #[cfg(not(target_arch = "aarch64"))]
            type Least = crate::vector::Plain<$type, $least>;

            fn of(value: f64) -> $type {
                value as $type
            }
        }
    };
}

real!(f32, 16, F32x16, F32x8, F32x4, 4);
real!(f64, 8, F64x8, F64x4, F64x2, 2);

/// Calls a function with the widest vectors of the machine.
macro_rules! with_vectors {
    ($each:ident::<$t:ident>($($argument:ident: $type:ty),* $(,)?) $(-> $out:ty)?) => {{
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$t: Real>($($argument: $type),*) $(-> $out)? {
                // SAFETY: the caller's promise.
                unsafe { $each::<$t, $t::Half>($($argument),*) }
            }

            #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
            unsafe fn avx512<$t: Real>($($argument: $type),*) $(-> $out)? {
                // SAFETY: the caller's promise.
                unsafe { $each::<$t, $t::Wide>($($argument),*) }
            }

            match crate::math::level() {
                // SAFETY: the machine has been asked; the rest is the caller's promise.
                2 => return unsafe { avx512($($argument),*) },
                // SAFETY: as above.
                1 => return unsafe { avx2($($argument),*) },
                _ => {}
            }
        }
        // SAFETY: the caller's promise.
        unsafe { $each::<$t, $t::Least>($($argument),*) }
    }};
}
pub(super) use with_vectors;

/// Vectors of real and imaginary parts.
#[derive(Clone, Copy)]
pub(super) struct Pair<V>(pub V, pub V);

/// Methods may only be called where the machine has the vectors.
impl<T: Real, V: VectorFloat<Elem = T>> Pair<V> {
    #[inline(always)]
    pub unsafe fn zero() -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(V::zero(), V::zero()) }
    }

    #[inline(always)]
    pub unsafe fn splat([re, im]: [T; 2]) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(V::splat(re), V::splat(im)) }
    }

    /// Lanes of a line.
    #[inline(always)]
    pub unsafe fn load(line: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Pair(V::load(line), V::load(line.add(T::LINE))) }
    }

    #[inline(always)]
    pub unsafe fn store(self, line: *mut T) {
        // SAFETY: the caller's promise.
        unsafe {
            self.0.store(line);
            self.1.store(line.add(T::LINE));
        }
    }

    #[inline(always)]
    pub unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0.add(other.0), self.1.add(other.1)) }
    }

    #[inline(always)]
    pub unsafe fn minus(self, other: Self) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0.sub(other.0), self.1.sub(other.1)) }
    }

    /// `self - i other`.
    #[inline(always)]
    unsafe fn minus_turned(self, other: Self) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0.add(other.1), self.1.sub(other.0)) }
    }

    /// `self + i other`.
    #[inline(always)]
    pub unsafe fn plus_turned(self, other: Self) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0.sub(other.1), self.1.add(other.0)) }
    }

    #[inline(always)]
    pub unsafe fn times(self, other: Self) -> Self {
        // SAFETY: as the vector demands.
        unsafe {
            Pair(
                self.1.negated_mul_add(other.1, self.0.mul(other.0)),
                self.0.mul_add(other.1, self.1.mul(other.0)),
            )
        }
    }

    #[inline(always)]
    pub unsafe fn scaled(self, by: V) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0.mul(by), self.1.mul(by)) }
    }

    /// `self + other * by`.
    #[inline(always)]
    unsafe fn plus_scaled(self, other: Self, by: V) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(other.0.mul_add(by, self.0), other.1.mul_add(by, self.1)) }
    }

    #[inline(always)]
    pub unsafe fn conjugate(self) -> Self {
        // SAFETY: as the vector demands.
        unsafe { Pair(self.0, V::zero().sub(self.1)) }
    }

    #[inline(always)]
    pub fn swapped(self) -> Self {
        Pair(self.1, self.0)
    }
}

/// The transform of two pairs of every other element.
#[inline(always)]
unsafe fn four<T: Real, V: VectorFloat<Elem = T>>(x: [Pair<V>; 4]) -> [Pair<V>; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, less) = (x[0].plus(x[2]), x[0].minus(x[2]));
        let (odd, turned) = (x[1].plus(x[3]), x[1].minus(x[3]));
        [even.plus(odd), less.minus_turned(turned), even.minus(odd), less.plus_turned(turned)]
    }
}

/// `(1 - i) z`.
#[inline(always)]
unsafe fn eighth<T: Real, V: VectorFloat<Elem = T>>(z: Pair<V>) -> Pair<V> {
    // SAFETY: the caller's promise.
    unsafe { z.minus_turned(z) }
}

#[inline(always)]
unsafe fn eight<T: Real, V: VectorFloat<Elem = T>>(x: [Pair<V>; 8]) -> [Pair<V>; 8] {
    // SAFETY: the caller's promise.
    unsafe {
        let even = four([x[0], x[2], x[4], x[6]]);
        let odd = four([x[1], x[3], x[5], x[7]]);
        let (root, less) = (V::splat(T::of(FRAC_1_SQRT_2)), V::splat(T::of(-FRAC_1_SQRT_2)));
        let (first, third) = (eighth(odd[1]), odd[3].plus_turned(odd[3]));
        [
            even[0].plus(odd[0]),
            even[1].plus_scaled(first, root),
            even[2].minus_turned(odd[2]),
            even[3].plus_scaled(third, less),
            even[0].minus(odd[0]),
            even[1].plus_scaled(first, less),
            even[2].plus_turned(odd[2]),
            even[3].plus_scaled(third, root),
        ]
    }
}

/// The transform of `R` elements, 2 or an odd number; the roots are needed where it is odd.
#[inline(always)]
unsafe fn butterfly<T: Real, V: VectorFloat<Elem = T>, const R: usize>(
    x: [Pair<V>; R],
    roots: &[[T; 2]],
) -> [Pair<V>; R] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut y = x;
        match R {
            2 => {
                y[0] = x[0].plus(x[1]);
                y[1] = x[0].minus(x[1]);
            }
            _ => {
                let (mut sums, mut differences) = (x, x);
                for j in 1..=R / 2 {
                    sums[j] = x[j].plus(x[R - j]);
                    differences[j] = x[j].minus(x[R - j]);
                    y[0] = y[0].plus(sums[j]);
                }
                for k in 1..=R / 2 {
                    let (mut even, mut odd) = (x[0], Pair::zero());
                    for j in 1..=R / 2 {
                        // The table holds cosines and negated sines.
                        let [cos, sin] = roots[j * k % R];
                        even = even.plus_scaled(sums[j], V::splat(cos));
                        odd = odd.plus_scaled(differences[j], V::splat(-sin));
                    }
                    y[k] = even.minus_turned(odd);
                    y[R - k] = even.plus_turned(odd);
                }
            }
        }
        y
    }
}

/// `exp(-2 pi i turn / len)`; quarters of a turn are exact.
pub(super) fn root(turn: usize, len: usize) -> [f64; 2] {
    let turn = turn % len;
    let (sin, cos) = (TAU * (turn as f64 / len as f64)).sin_cos();
    if (turn as u128 * 4).is_multiple_of(len as u128) {
        return [cos.round(), -sin.round()];
    }
    [cos, -sin]
}

/// The radices of a length, if all its factors are small.
pub(super) fn radices(len: usize) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    let mut rest = len.max(1);
    let mut twos = rest.trailing_zeros();
    rest >>= twos;
    while twos > 0 {
        let take = if twos == 4 || twos < 3 { twos.min(2) } else { 3 };
        list.push(1 << take);
        twos -= take;
    }
    for radix in [3, 5, 7, 11, LARGEST] {
        while rest.is_multiple_of(radix) && rest > 1 {
            list.push(radix);
            rest /= radix;
        }
    }
    (rest <= 1).then_some(list)
}

/// What the results of a pass are multiplied by.
const BY_NONE: u8 = 0;
const BY_FACTORS: u8 = 1;
const BY_TURNS: u8 = 2;

/// A pass: for each of `groups` numbers `p` a transform of `radix` elements, then factors `w^(p k)`.
#[derive(Clone, Debug)]
struct Pass<T> {
    radix: usize,
    groups: usize,
    /// Factors of `k = 1..radix`, group by group.
    factors: Vec<[T; 2]>,
    /// `exp(-2 pi i k / radix)`.
    roots: Vec<[T; 2]>,
}

impl<T: Real> Pass<T> {
    fn new(radix: usize, len: usize) -> Pass<T> {
        let groups = len / radix;
        let single = |[re, im]: [f64; 2]| [T::of(re), T::of(im)];
        let factors = (0..groups).flat_map(|p| (1..radix).map(move |k| single(root(p * k, len)))).collect();
        Pass { radix, groups, factors, roots: (0..radix).map(|k| single(root(k, radix))).collect() }
    }

    /// Where there is one group, results are multiplied by `turns`, if there are any.
    ///
    /// # Safety
    /// Both places have all lines, and so have the turns; none of them is another.
    #[inline(always)]
    unsafe fn run<V: VectorFloat<Elem = T>, const R: usize>(
        &self,
        run: usize,
        from: impl Source<V>,
        to: impl Sink<V>,
        turns: Option<*const T>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if let (1, Some(turns)) = (self.groups, turns) {
                return self.group::<V, R, BY_TURNS>(0, run, from, to, turns);
            }
            let none = std::ptr::null();
            self.group::<V, R, BY_NONE>(0, run, from, to, none);
            for p in 1..self.groups {
                self.group::<V, R, BY_FACTORS>(p, run, from, to, none);
            }
        }
    }

    #[inline(always)]
    unsafe fn group<V: VectorFloat<Elem = T>, const R: usize, const BY: u8>(
        &self,
        p: usize,
        run: usize,
        from: impl Source<V>,
        to: impl Sink<V>,
        turns: *const T,
    ) {
        let (line, part) = (2 * T::LINE, self.groups * run);
        let factors = &self.factors[p * (R - 1)..][..R - 1];
        // SAFETY: the caller's promise: `R * groups * run` lines.
        unsafe {
            for q in 0..run {
                let (first, found) = (p * run + q, R * p * run + q);
                for lane in (0..T::LINE).step_by(V::LANES) {
                    let at = q * line + lane;
                    // Compilers keep vectors in registers for sure where no loop is to be unrolled.
                    macro_rules! straight {
                        ($transform:ident, $($k:literal)*) => {{
                            let y = $transform([$(from.load($k * part + first, lane)),*]);
                            $(let result = match BY {
                                BY_FACTORS if $k > 0 => {
                                    y[$k].times(Pair::splat(factors[usize::wrapping_sub($k, 1)]))
                                }
                                BY_TURNS => y[$k].times(Pair::load(turns.add($k * run * line + at))),
                                _ => y[$k],
                            };
                            to.store(result, $k * run + found, lane);)*
                        }};
                    }
                    match R {
                        4 => straight!(four, 0 1 2 3),
                        8 => straight!(eight, 0 1 2 3 4 5 6 7),
                        _ => {
                            let mut x = [Pair::<V>::zero(); R];
                            for k in 0..R {
                                x[k] = from.load(k * part + first, lane);
                            }
                            let mut y = butterfly::<T, V, R>(x, &self.roots);
                            for k in 0..R {
                                y[k] = match BY {
                                    BY_FACTORS if k > 0 => y[k].times(Pair::splat(factors[k - 1])),
                                    BY_TURNS => y[k].times(Pair::load(turns.add(k * run * line + at))),
                                    _ => y[k],
                                };
                                to.store(y[k], k * run + found, lane);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A transform over lines.
#[derive(Clone, Debug)]
pub(super) struct Lines<T> {
    pub count: usize,
    passes: Vec<Pass<T>>,
}

impl<T: Real> Lines<T> {
    /// `None` where the count has large prime factors or is 0.
    pub fn new(count: usize) -> Option<Lines<T>> {
        if count == 0 {
            return None;
        }
        let mut rest = count;
        let mut passes = Vec::new();
        for radix in radices(count)? {
            passes.push(Pass::new(radix, rest));
            rest /= radix;
        }
        Some(Lines { count, passes })
    }

    /// Transforms the lines of `data`; where they end: there or in the other array.
    ///
    /// # Safety
    /// Both arrays have `count` lines and are not one; the machine has the vectors.
    #[inline(always)]
    pub unsafe fn run<V: VectorFloat<Elem = T>>(&self, data: *mut T, other: *mut T) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.run_by::<V>(data, other, None) }
    }

    /// The same with the lines of the result times factors, a line of them for each; not for one line.
    ///
    /// # Safety
    /// As of [`Lines::run`]; there are as many lines of factors, apart from both arrays.
    #[inline(always)]
    pub unsafe fn run_by<V: VectorFloat<Elem = T>>(
        &self,
        data: *mut T,
        other: *mut T,
        turns: Option<*const T>,
    ) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { run_passes::<T, V>(&self.passes, 1, [data, other], turns) }
    }

    /// Transforms the lines of one place into those of another, which may be the same, through both arrays: the first pass
    /// reads there and the last one writes there, where their radices are the common ones.
    ///
    /// # Safety
    /// As of [`Lines::run`]; both places have `count` lines and are apart from both arrays.
    #[inline(always)]
    pub unsafe fn run_between<V: VectorFloat<Elem = T>>(
        &self,
        source: impl Source<V>,
        sink: impl Sink<V>,
        [data, other]: [*mut T; 2],
    ) {
        let (mut passes, mut run) = (&self.passes[..], 1);
        // SAFETY: the caller's promise; all lines are read before the first one is written.
        unsafe {
            match passes.first().map_or(1, |pass| pass.radix) {
                4 => passes[0].run::<V, 4>(1, source, data, None),
                8 => passes[0].run::<V, 8>(1, source, data, None),
                _ => copy::<T, V>(self.count, source, data),
            }
            if let [first @ Pass { radix: 4 | 8, .. }, rest @ ..] = passes {
                (passes, run) = (rest, first.radix);
            }
            let last = passes.split_last().filter(|(pass, _)| matches!(pass.radix, 4 | 8));
            let before = last.map_or(passes, |(_, before)| before);
            let found = run_passes::<T, V>(before, run, [data, other], None).cast_const();
            match last {
                Some((last @ Pass { radix: 4, .. }, _)) => {
                    last.run::<V, 4>(self.count / 4, found, sink, None)
                }
                Some((last, _)) => last.run::<V, 8>(self.count / 8, found, sink, None),
                None => copy::<T, V>(self.count, found, sink),
            }
        }
    }
}

/// Runs passes after others of so many lines together; where the lines end.
#[inline(always)]
unsafe fn run_passes<T: Real, V: VectorFloat<Elem = T>>(
    passes: &[Pass<T>],
    mut run: usize,
    [data, other]: [*mut T; 2],
    turns: Option<*const T>,
) -> *mut T {
    let (mut from, mut to) = (data, other);
    for pass in passes {
        let source = from.cast_const();
        // SAFETY: the caller's promise.
        unsafe {
            match pass.radix {
                2 => pass.run::<V, 2>(run, source, to, turns),
                3 => pass.run::<V, 3>(run, source, to, turns),
                4 => pass.run::<V, 4>(run, source, to, turns),
                5 => pass.run::<V, 5>(run, source, to, turns),
                7 => pass.run::<V, 7>(run, source, to, turns),
                8 => pass.run::<V, 8>(run, source, to, turns),
                11 => pass.run::<V, 11>(run, source, to, turns),
                _ => pass.run::<V, LARGEST>(run, source, to, turns),
            }
        }
        run *= pass.radix;
        (from, to) = (to, from);
    }
    from
}

/// Copies lines from one place to another.
///
/// # Safety
/// The lines are there, and the machine has the vectors.
#[inline(always)]
pub(super) unsafe fn copy<T: Real, V: VectorFloat<Elem = T>>(
    count: usize,
    from: impl Source<V>,
    to: impl Sink<V>,
) {
    for line in 0..count {
        for lane in (0..T::LINE).step_by(V::LANES) {
            // SAFETY: the caller's promise.
            unsafe { to.store(from.load(line, lane), line, lane) };
        }
    }
}

/// The transform across a line's lanes of as many lines: `LINE` lines, lane by lane, through memory of as many lines.
///
/// # Safety
/// Both arrays have `LINE` lines and are not one; result `j` may go to `re + j * by` and `im + j * by`.
#[inline(always)]
pub(super) unsafe fn across<T: Real, V: VectorFloat<Elem = T>>(
    lines: *mut T,
    other: *mut T,
    sixteenths: &[[T; 2]],
    re: *mut T,
    im: *mut T,
    by: usize,
) {
    let line = 2 * T::LINE;
    // SAFETY: the caller's promise.
    unsafe {
        if T::LINE == 8 {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let mut x = [Pair::<V>::zero(); 8];
                for k in 0..8 {
                    x[k] = Pair::load(lines.add(k * line + lane));
                }
                let y = eight(x);
                for k in 0..8 {
                    y[k].0.store(re.add(k * by + lane));
                    y[k].1.store(im.add(k * by + lane));
                }
            }
            return;
        }
        for p in 0..4 {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let mut x = [Pair::<V>::zero(); 4];
                for k in 0..4 {
                    x[k] = Pair::load(lines.add((4 * k + p) * line + lane));
                }
                let y = four(x);
                for k in 0..4 {
                    let y = if p * k == 0 { y[k] } else { y[k].times(Pair::splat(sixteenths[p * k])) };
                    y.store(other.add((4 * p + k) * line + lane));
                }
            }
        }
        for q in 0..4 {
            for lane in (0..T::LINE).step_by(V::LANES) {
                let mut x = [Pair::<V>::zero(); 4];
                for k in 0..4 {
                    x[k] = Pair::load(other.add((4 * k + q) * line + lane));
                }
                let y = four(x);
                for k in 0..4 {
                    y[k].0.store(re.add((4 * k + q) * by + lane));
                    y[k].1.store(im.add((4 * k + q) * by + lane));
                }
            }
        }
    }
}

//! Transforms of several rows side by side: passes over planes of real and imaginary parts.
//!
//! Element `i` of row `l` lies at `i * rows + l`, so that every pass works on runs of equal rows and fills vectors
//! whatever the length is. A pass of radix `r` takes a length apart into `r` of an `r`-th of it (Stockham's order, which
//! needs no reversal of digits). A length with a large prime factor is a convolution with a chirp (Bluestein).
//!
//! # Source
//! Stockham, "High-speed convolution and correlation", 1966; Bluestein, "A linear filtering approach to the computation of
//! discrete Fourier transform", 1970.

use std::f64::consts::TAU;
use std::fmt::Debug;
use std::ops::{Add, Mul, Neg, Sub};

/// The largest prime factor that has a pass of its own.
const LARGEST: usize = 13;

/// A float of the planes.
pub(super) trait Real:
    Copy + Debug + Default + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self>
{
    fn of(value: f64) -> Self;
    fn is_finite(self) -> bool;
    /// `self * b + c`, rounded once if the machine can.
    fn fma<const FMA: bool>(self, b: Self, c: Self) -> Self;
}

macro_rules! real {
    ($($type:ty),*) => {$(
        impl Real for $type {
            fn of(value: f64) -> $type {
                value as $type
            }

            fn is_finite(self) -> bool {
                self.is_finite()
            }

            #[inline(always)]
            fn fma<const FMA: bool>(self, b: $type, c: $type) -> $type {
                if FMA { self.mul_add(b, c) } else { self * b + c }
            }
        }
    )*};
}

real!(f32, f64);

/// Real and imaginary parts of rows side by side.
pub(super) struct Planes<'a, T> {
    pub re: &'a mut [T],
    pub im: &'a mut [T],
}

impl<T> Planes<'_, T> {
    pub fn again(&mut self) -> Planes<'_, T> {
        Planes { re: self.re, im: self.im }
    }
}

/// Numbers of a line that are worked on at once.
pub(super) const WIDTH: usize = 16;

/// Some lanes of a line.
#[inline(always)]
pub(super) fn lanes_at<T: Real>(plane: &[T], at: usize, count: usize) -> [T; WIDTH] {
    let mut lanes = [T::default(); WIDTH];
    if count == WIDTH {
        lanes.copy_from_slice(&plane[at..at + WIDTH]);
    } else {
        lanes[..count].copy_from_slice(&plane[at..at + count]);
    }
    lanes
}

/// Writes some lanes of a line.
#[inline(always)]
pub(super) fn put_lanes<T: Real>(lanes: &[T; WIDTH], plane: &mut [T], at: usize, count: usize) {
    if count == WIDTH {
        plane[at..at + WIDTH].copy_from_slice(lanes);
    } else {
        plane[at..at + count].copy_from_slice(&lanes[..count]);
    }
}

/// A pass: for each of `groups` numbers `p` a transform of `radix` elements, then factors `w^(p k)`.
#[derive(Clone, Debug)]
struct Stage<T> {
    radix: usize,
    groups: usize,
    /// Real and imaginary part of the factors of `k = 1..radix`, group by group.
    factors: Vec<[T; 2]>,
}

/// A transform of one length.
#[derive(Clone, Debug)]
pub(super) struct Stages<T> {
    pub len: usize,
    list: Vec<Stage<T>>,
    chirp: Option<Box<Chirp<T>>>,
}

#[derive(Clone, Debug)]
struct Chirp<T> {
    /// A transform of a length with small factors, at least twice as long.
    inner: Stages<T>,
    /// `exp(-i pi k^2 / len)`.
    factors: Vec<[T; 2]>,
    /// The transform of its conjugate, over the inner length.
    filter: Vec<[T; 2]>,
}

/// `exp(-2 pi i turn / len)`; quarters of a turn are exact.
fn root(turn: usize, len: usize) -> [f64; 2] {
    let turn = turn % len;
    let (sin, cos) = (TAU * (turn as f64 / len as f64)).sin_cos();
    if turn.is_multiple_of(len) || (turn * 4).is_multiple_of(len) {
        return [cos.round(), -sin.round()];
    }
    [cos, -sin]
}

/// The radices of a length, if all its factors are small.
fn radices(len: usize) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    let mut rest = len;
    for radix in [4, 2, 3, 5, 7, 11, LARGEST] {
        while rest.is_multiple_of(radix) && rest > 1 {
            list.push(radix);
            rest /= radix;
        }
    }
    (rest <= 1).then_some(list)
}

/// The least length not below that which has small factors alone.
pub(super) fn smooth_length(least: usize) -> usize {
    let is_smooth = |mut n: usize| {
        for factor in [2, 3, 5] {
            while n.is_multiple_of(factor) {
                n /= factor;
            }
        }
        n == 1
    };
    (least.max(1)..).find(|&n| is_smooth(n)).unwrap_or(least)
}

/// How many elements a plane of a row of that length needs.
pub(super) fn room(len: usize) -> usize {
    if radices(len).is_some() { len } else { smooth_length(2 * len - 1) }
}

impl<T: Real> Stages<T> {
    /// A transform of that length, which is not 0.
    pub fn new(len: usize) -> Stages<T> {
        let Some(radices) = radices(len) else {
            return Stages { len, list: Vec::new(), chirp: Some(Box::new(Chirp::new(len))) };
        };
        let mut rest = len;
        let mut list = Vec::new();
        for radix in radices {
            let groups = rest / radix;
            let factors =
                (0..groups).flat_map(|p| (1..radix).map(move |k| root(p * k, rest).map(T::of))).collect();
            list.push(Stage { radix, groups, factors });
            rest = groups;
        }
        Stages { len, list, chirp: None }
    }

    /// Transforms the first planes; the second ones are for intermediate values. Both have room for the rows.
    #[inline(always)]
    pub fn run<const FMA: bool>(&self, rows: usize, mut data: Planes<'_, T>, mut other: Planes<'_, T>) {
        match &self.chirp {
            Some(chirp) => chirp.run::<FMA>(self.len, rows, data, other),
            None => self.passes::<FMA>(rows, data.again(), other.again()),
        }
    }

    /// The transform of a length without large factors. A function that called itself would not be made with the
    /// caller's vectors.
    #[inline(always)]
    fn passes<const FMA: bool>(&self, rows: usize, mut data: Planes<'_, T>, mut other: Planes<'_, T>) {
        let mut run = rows;
        for (number, stage) in self.list.iter().enumerate() {
            let (from, to) = match number % 2 {
                0 => (data.again(), other.again()),
                _ => (other.again(), data.again()),
            };
            match stage.radix {
                2 => stage.run::<FMA, 2>(run, from, to),
                3 => stage.run::<FMA, 3>(run, from, to),
                4 => stage.run_four::<FMA>(run, from, to),
                5 => stage.run::<FMA, 5>(run, from, to),
                7 => stage.run::<FMA, 7>(run, from, to),
                11 => stage.run::<FMA, 11>(run, from, to),
                _ => stage.run::<FMA, LARGEST>(run, from, to),
            }
            run *= stage.radix;
        }
        if self.list.len() % 2 == 1 {
            let used = self.len * rows;
            data.re[..used].copy_from_slice(&other.re[..used]);
            data.im[..used].copy_from_slice(&other.im[..used]);
        }
    }
}

impl<T: Real> Stage<T> {
    #[inline(always)]
    fn run_four<const FMA: bool>(&self, run: usize, from: Planes<'_, T>, to: Planes<'_, T>) {
        let quarter = self.groups * run;
        for (group, factors) in self.factors.chunks_exact(3).enumerate() {
            let at = [0, 1, 2, 3].map(|k| k * quarter + group * run);
            let [a, b, c, d] = at.map(|at| (&from.re[at..at + run], &from.im[at..at + run]));
            let start = 4 * group * run;
            let (re0, rest) = to.re[start..start + 4 * run].split_at_mut(run);
            let (re1, rest) = rest.split_at_mut(run);
            let (re2, re3) = rest.split_at_mut(run);
            let (im0, rest) = to.im[start..start + 4 * run].split_at_mut(run);
            let (im1, rest) = rest.split_at_mut(run);
            let (im2, im3) = rest.split_at_mut(run);
            let [[r1, i1], [r2, i2], [r3, i3]] = [factors[0], factors[1], factors[2]];
            for q in 0..run {
                let (even_re, even_im) = (a.0[q] + c.0[q], a.1[q] + c.1[q]);
                let (odd_re, odd_im) = (b.0[q] + d.0[q], b.1[q] + d.1[q]);
                let (less_re, less_im) = (a.0[q] - c.0[q], a.1[q] - c.1[q]);
                // -i times the difference.
                let (turned_re, turned_im) = (b.1[q] - d.1[q], d.0[q] - b.0[q]);
                re0[q] = even_re + odd_re;
                im0[q] = even_im + odd_im;
                let (x, y) = (less_re + turned_re, less_im + turned_im);
                re1[q] = x.fma::<FMA>(r1, -(y * i1));
                im1[q] = x.fma::<FMA>(i1, y * r1);
                let (x, y) = (even_re - odd_re, even_im - odd_im);
                re2[q] = x.fma::<FMA>(r2, -(y * i2));
                im2[q] = x.fma::<FMA>(i2, y * r2);
                let (x, y) = (less_re - turned_re, less_im - turned_im);
                re3[q] = x.fma::<FMA>(r3, -(y * i3));
                im3[q] = x.fma::<FMA>(i3, y * r3);
            }
        }
    }

    #[inline(always)]
    fn run<const FMA: bool, const R: usize>(&self, run: usize, from: Planes<'_, T>, to: Planes<'_, T>) {
        let roots: [[T; 2]; R] = std::array::from_fn(|turn| root(turn, R).map(T::of));
        let part = self.groups * run;
        for (group, factors) in self.factors.chunks_exact(R - 1).enumerate() {
            let at = group * run;
            let re: [&[T]; R] = std::array::from_fn(|k| &from.re[k * part + at..][..run]);
            let im: [&[T]; R] = std::array::from_fn(|k| &from.im[k * part + at..][..run]);
            for k in 0..R {
                let [wr, wi] = if k == 0 { [T::of(1.0), T::of(0.0)] } else { factors[k - 1] };
                let start = (R * group + k) * run;
                let to_re = &mut to.re[start..start + run];
                let to_im = &mut to.im[start..start + run];
                for q in 0..run {
                    let (mut x, mut y) = (re[0][q], im[0][q]);
                    for j in 1..R {
                        let [c, s] = roots[j * k % R];
                        x = re[j][q].fma::<FMA>(c, x) - im[j][q] * s;
                        y = re[j][q].fma::<FMA>(s, y) + im[j][q] * c;
                    }
                    to_re[q] = x.fma::<FMA>(wr, -(y * wi));
                    to_im[q] = x.fma::<FMA>(wi, y * wr);
                }
            }
        }
    }
}

impl<T: Real> Chirp<T> {
    fn new(len: usize) -> Chirp<T> {
        let inner = smooth_length(2 * len - 1);
        // k^2 modulo 2 len: the angle is pi k^2 / len.
        let wave = |k: usize| root((k as u128 * k as u128 % (2 * len as u128)) as usize, 2 * len);
        let exact = Stages::<f64>::new(inner);
        let [mut re, mut im, mut other_re, mut other_im] = [(); 4].map(|()| vec![0.0; inner]);
        for k in 0..len {
            let [c, s] = wave(k);
            for at in [k, (inner - k) % inner] {
                (re[at], im[at]) = (c, -s);
            }
        }
        exact.passes::<false>(
            1,
            Planes { re: &mut re, im: &mut im },
            Planes { re: &mut other_re, im: &mut other_im },
        );
        let scale = 1.0 / inner as f64;
        let filter = re.iter().zip(&im).map(|(&re, &im)| [re, im].map(|part| T::of(part * scale))).collect();
        Chirp { inner: Stages::new(inner), factors: (0..len).map(|k| wave(k).map(T::of)).collect(), filter }
    }

    #[inline(always)]
    fn run<const FMA: bool>(
        &self,
        len: usize,
        rows: usize,
        mut data: Planes<'_, T>,
        mut other: Planes<'_, T>,
    ) {
        multiply(&self.factors, rows, data.again());
        data.re[len * rows..self.inner.len * rows].fill(T::default());
        data.im[len * rows..self.inner.len * rows].fill(T::default());
        self.inner.passes::<FMA>(rows, data.again(), other.again());
        multiply(&self.filter, rows, data.again());
        // Real and imaginary parts exchanged, a transform is the inverse one.
        let swapped = Planes { re: data.im, im: data.re };
        let other_swapped = Planes { re: other.im, im: other.re };
        self.inner.passes::<FMA>(rows, swapped, other_swapped);
        multiply(&self.factors, rows, data.again());
    }
}

/// Multiplies every element of each row by its factor.
#[inline(always)]
fn multiply<T: Real>(factors: &[[T; 2]], rows: usize, data: Planes<'_, T>) {
    let (re, im) = (data.re.chunks_exact_mut(rows), data.im.chunks_exact_mut(rows));
    for ((re, im), &[c, s]) in re.zip(im).zip(factors) {
        for (x, y) in re.iter_mut().zip(im) {
            (*x, *y) = (*x * c - *y * s, *x * s + *y * c);
        }
    }
}

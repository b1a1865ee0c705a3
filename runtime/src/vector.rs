//! Vectors of the machine behind one trait.

use num_complex::Complex;

/// A vector register.
///
/// # Safety
/// Every method may only be called where the machine has the instructions of the type.
pub(crate) unsafe trait Vector: Copy {
    /// What it holds.
    type Elem: Copy + 'static;
    /// Which lanes take part.
    type Mask: Copy;
    /// How many it holds.
    const LANES: usize;

    unsafe fn zero() -> Self;
    unsafe fn splat(value: Self::Elem) -> Self;
    /// The mask of the first `lanes` lanes.
    unsafe fn mask(lanes: usize) -> Self::Mask;
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// Zero in the other lanes, whose memory is not touched.
    unsafe fn load_part(from: *const Self::Elem, mask: Self::Mask) -> Self;
    unsafe fn store(self, to: *mut Self::Elem);
    unsafe fn store_part(self, to: *mut Self::Elem, mask: Self::Mask);
    /// `self * factor + term`.
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    /// The number at a place over and over, in the parts by which [`Vector::times_add`] multiplies: loads alone make them.
    #[inline(always)]
    unsafe fn factor(at: *const Self::Elem) -> [Self; 2] {
        // SAFETY: the place is good; the rest as the trait demands.
        let factor = unsafe { Self::splat(*at) };
        [factor, factor]
    }
    /// `self * factor + term`.
    #[inline(always)]
    unsafe fn times_add(self, [factor, _]: [Self; 2], term: Self) -> Self {
        // SAFETY: as the trait demands.
        unsafe { self.mul_add(factor, term) }
    }
    /// A sum of products that is not put together yet.
    type Sum: Copy;
    unsafe fn no_sum() -> Self::Sum;
    /// Adds `self` times a factor that is one number over and over.
    unsafe fn sum_up(self, factor: Self, sum: Self::Sum) -> Self::Sum;
    unsafe fn summed(sum: Self::Sum) -> Self;
    /// Asks for the line of memory to come near, if the machine can be asked.
    #[inline(always)]
    unsafe fn prefetch(_: *const Self::Elem) {}
    /// The sum of the lanes.
    unsafe fn sum(self) -> Self::Elem;
    /// The sum of two elements.
    fn plus(a: Self::Elem, b: Self::Elem) -> Self::Elem;
}

/// A vector register of floats.
///
/// # Safety
/// As [`Vector`].
pub(crate) unsafe trait VectorFloat: Vector<Elem: std::ops::Add<Output = Self::Elem>> {
    /// The lanes in memory.
    type Array: AsRef<[Self::Elem]> + AsMut<[Self::Elem]>;
    /// The number zero.
    const NOUGHT: Self::Elem;

    /// `term - self * factor`.
    unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn to_array(self) -> Self::Array;

    /// A complex number over and over: real part, imaginary part.
    #[inline(always)]
    unsafe fn splat_pair(value: Complex<Self::Elem>) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = Self::splat(value.re).to_array();
            lanes.as_mut().iter_mut().skip(1).step_by(2).for_each(|lane| *lane = value.im);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Of pairs of lanes the first one in both places.
    #[inline(always)]
    unsafe fn first_twice(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().chunks_exact_mut(2).for_each(|pair| pair[1] = pair[0]);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Of pairs of lanes the second one in both places.
    #[inline(always)]
    unsafe fn second_twice(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().chunks_exact_mut(2).for_each(|pair| pair[0] = pair[1]);
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// Pairs of lanes, taken for complex numbers, times the imaginary unit.
    #[inline(always)]
    unsafe fn turned(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            let negative = Self::zero().sub(self).to_array();
            for (pair, negative) in lanes.as_mut().chunks_exact_mut(2).zip(negative.as_ref().chunks_exact(2))
            {
                (pair[0], pair[1]) = (negative[1], pair[0]);
            }
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// The lanes, last one first.
    #[inline(always)]
    unsafe fn reverse(self) -> Self {
        // SAFETY: the array has that many lanes.
        unsafe {
            let mut lanes = self.to_array();
            lanes.as_mut().reverse();
            Self::load(lanes.as_ref().as_ptr())
        }
    }

    /// `a0 b0 a1 b1 ..`, in two vectors.
    #[inline(always)]
    unsafe fn zip(self, other: Self) -> [Self; 2] {
        // SAFETY: the arrays have that many lanes.
        unsafe {
            let (a, b) = (self.to_array(), other.to_array());
            let (mut low, mut high) = (self.to_array(), self.to_array());
            for lane in 0..Self::LANES {
                let from = if lane % 2 == 0 { a.as_ref() } else { b.as_ref() };
                low.as_mut()[lane] = from[lane / 2];
                high.as_mut()[lane] = from[(lane + Self::LANES) / 2];
            }
            [Self::load(low.as_ref().as_ptr()), Self::load(high.as_ref().as_ptr())]
        }
    }

    /// What was zipped.
    #[inline(always)]
    unsafe fn unzip(self, other: Self) -> [Self; 2] {
        // SAFETY: the arrays have that many lanes.
        unsafe {
            let (low, high) = (self.to_array(), other.to_array());
            let (mut a, mut b) = (self.to_array(), self.to_array());
            for lane in 0..Self::LANES {
                let (from, at) = match 2 * lane < Self::LANES {
                    true => (low.as_ref(), 2 * lane),
                    false => (high.as_ref(), 2 * lane - Self::LANES),
                };
                (a.as_mut()[lane], b.as_mut()[lane]) = (from[at], from[at + 1]);
            }
            [Self::load(a.as_ref().as_ptr()), Self::load(b.as_ref().as_ptr())]
        }
    }
}

/// A vector as an array: what every machine has, and what its compiler makes vectors of.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T, const LANES: usize>([T; LANES]);

macro_rules! plain {
    ($($type:ty, $zero:expr, |$a:ident, $b:ident, $c:ident| $mul_add:expr, |$x:ident, $y:ident| $add:expr;)*) => {$(
        // SAFETY: it needs nothing of the machine.
        unsafe impl<const N: usize> Vector for Plain<$type, N> {
            type Elem = $type;
            type Mask = usize;
            const LANES: usize = N;

            type Sum = Self;

            #[inline(always)]
            unsafe fn no_sum() -> Self {
                // SAFETY: as the trait demands.
                unsafe { Self::zero() }
            }

            #[inline(always)]
            unsafe fn sum_up(self, factor: Self, sum: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { self.mul_add(factor, sum) }
            }

            #[inline(always)]
            unsafe fn summed(sum: Self) -> Self {
                sum
            }

            #[inline(always)]
            unsafe fn zero() -> Self {
                Plain([$zero; N])
            }

            #[inline(always)]
            unsafe fn splat(value: $type) -> Self {
                Plain([value; N])
            }

            #[inline(always)]
            unsafe fn mask(lanes: usize) -> usize {
                lanes
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: the caller's promise.
                Plain(unsafe { from.cast::<[$type; N]>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn load_part(from: *const $type, lanes: usize) -> Self {
                // SAFETY: the caller's promise, for the first `lanes` lanes.
                Plain(std::array::from_fn(|lane| if lane < lanes { unsafe { *from.add(lane) } } else { $zero }))
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<[$type; N]>().write_unaligned(self.0) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut $type, lanes: usize) {
                // SAFETY: the caller's promise, for the first `lanes` lanes.
                self.0.iter().enumerate().take(lanes).for_each(|(lane, &value)| unsafe { *to.add(lane) = value });
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                Plain(std::array::from_fn(|lane| {
                    let ($a, $b, $c) = (self.0[lane], factor.0[lane], term.0[lane]);
                    $mul_add
                }))
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| {
                    let ($x, $y) = (self.0[lane], other.0[lane]);
                    $add
                }))
            }

            #[inline(always)]
            unsafe fn sum(self) -> $type {
                let mut lanes = self.0;
                let mut len = N;
                while len > 1 {
                    len /= 2;
                    for lane in 0..len {
                        lanes[lane] = Self::plus(lanes[lane], lanes[lane + len]);
                    }
                }
                lanes[0]
            }

            #[inline(always)]
            fn plus($x: $type, $y: $type) -> $type {
                $add
            }
        }
    )*};
}

plain! {
    f32, 0.0, |a, b, c| a * b + c, |a, b| a + b;
    f64, 0.0, |a, b, c| a * b + c, |a, b| a + b;
    i32, 0, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |a, b| a.wrapping_add(b);
    i64, 0, |a, b, c| a.wrapping_mul(b).wrapping_add(c), |a, b| a.wrapping_add(b);
}

macro_rules! plain_float {
    ($($type:ty;)*) => {$(
        // SAFETY: it needs nothing of the machine.
        unsafe impl<const N: usize> VectorFloat for Plain<$type, N> {
            type Array = [$type; N];
            const NOUGHT: $type = 0.0;

            #[inline(always)]
            unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                Plain(std::array::from_fn(|lane| term.0[lane] - self.0[lane] * factor.0[lane]))
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| self.0[lane] - other.0[lane]))
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Plain(std::array::from_fn(|lane| self.0[lane] * other.0[lane]))
            }

            #[inline(always)]
            unsafe fn to_array(self) -> [$type; N] {
                self.0
            }
        }
    )*};
}

plain_float! {
    f32;
    f64;
}

/// A vector of complex numbers, real and imaginary parts in turn.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<V>(V);

// SAFETY: as of the vector of floats.
unsafe impl<V: VectorFloat> Vector for Pairs<V> {
    type Elem = Complex<V::Elem>;
    type Mask = V::Mask;
    const LANES: usize = V::LANES / 2;
    /// What real parts of factors make, and what imaginary ones do.
    type Sum = [V; 2];

    #[inline(always)]
    unsafe fn no_sum() -> [V; 2] {
        // SAFETY: as the trait demands.
        unsafe { [V::zero(), V::zero()] }
    }

    #[inline(always)]
    unsafe fn sum_up(self, factor: Self, [real, imaginary]: [V; 2]) -> [V; 2] {
        // SAFETY: as the trait demands.
        unsafe {
            [self.0.mul_add(factor.0.first_twice(), real), self.0.mul_add(factor.0.second_twice(), imaginary)]
        }
    }

    #[inline(always)]
    unsafe fn summed([real, imaginary]: [V; 2]) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { real.add(imaginary.turned()) })
    }

    #[inline(always)]
    unsafe fn factor(at: *const Complex<V::Elem>) -> [Self; 2] {
        let parts: *const V::Elem = at.cast();
        // SAFETY: the place is good, and a complex number is two floats; the rest as the trait demands.
        unsafe { [Pairs(V::splat(*parts)), Pairs(V::splat(*parts.add(1)))] }
    }

    #[inline(always)]
    unsafe fn times_add(self, [real, imaginary]: [Self; 2], term: Self) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { self.0.turned().mul_add(imaginary.0, self.0.mul_add(real.0, term.0)) })
    }

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { V::zero() })
    }

    #[inline(always)]
    unsafe fn splat(value: Complex<V::Elem>) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { V::splat_pair(value) })
    }

    #[inline(always)]
    unsafe fn mask(lanes: usize) -> V::Mask {
        // SAFETY: as the trait demands.
        unsafe { V::mask(2 * lanes) }
    }

    #[inline(always)]
    unsafe fn load(from: *const Complex<V::Elem>) -> Self {
        // SAFETY: as the trait demands; a complex number is two floats.
        Pairs(unsafe { V::load(from.cast()) })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const Complex<V::Elem>, mask: V::Mask) -> Self {
        // SAFETY: as above.
        Pairs(unsafe { V::load_part(from.cast(), mask) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut Complex<V::Elem>) {
        // SAFETY: as above.
        unsafe { self.0.store(to.cast()) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut Complex<V::Elem>, mask: V::Mask) {
        // SAFETY: as above.
        unsafe { self.0.store_part(to.cast(), mask) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: as the trait demands.
        unsafe {
            let sum = self.0.first_twice().mul_add(factor.0, term.0);
            Pairs(self.0.second_twice().mul_add(factor.0.turned(), sum))
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as the trait demands.
        Pairs(unsafe { self.0.add(other.0) })
    }

    #[inline(always)]
    unsafe fn prefetch(from: *const Complex<V::Elem>) {
        // SAFETY: it touches nothing.
        unsafe { V::prefetch(from.cast()) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> Complex<V::Elem> {
        // SAFETY: as the trait demands.
        let lanes = unsafe { self.0.to_array() };
        let lanes = lanes.as_ref().chunks_exact(2).map(|pair| Complex::new(pair[0], pair[1]));
        lanes.reduce(Self::plus).unwrap_or(Complex::new(V::NOUGHT, V::NOUGHT))
    }

    #[inline(always)]
    fn plus(a: Complex<V::Elem>, b: Complex<V::Elem>) -> Complex<V::Elem> {
        Complex::new(a.re + b.re, a.im + b.im)
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::{Plain, Vector, VectorFloat};
    use num_complex::Complex;
    use std::arch::x86_64::*;

    macro_rules! vector {
        ($(
            $name:ident($register:ty): $type:ty, $lanes:expr, $mask:ty, |$count:ident| $make_mask:expr,
            $zero:ident, $splat:ident,
            |$from:ident| $load:expr, |$part_from:ident, $part_mask:ident| $load_part:expr,
            |$to:ident, $value:ident| $store:expr, |$part_to:ident, $store_mask:ident, $part_value:ident| $store_part:expr,
            |$a:ident, $b:ident, $c:ident| $mul_add:expr, $add:ident;
        )*) => {$(
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            // SAFETY: methods are only called where the machine has the instructions, as the trait demands.
            unsafe impl Vector for $name {
                type Elem = $type;
                type Mask = $mask;
                const LANES: usize = $lanes;

                type Sum = Self;

                #[inline(always)]
                unsafe fn no_sum() -> Self {
                    // SAFETY: as the trait demands.
                    unsafe { Self::zero() }
                }

                #[inline(always)]
                unsafe fn sum_up(self, factor: Self, sum: Self) -> Self {
                    // SAFETY: as the trait demands.
                    unsafe { self.mul_add(factor, sum) }
                }

                #[inline(always)]
                unsafe fn summed(sum: Self) -> Self {
                    sum
                }

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $zero() })
                }

                #[inline(always)]
                unsafe fn splat(value: $type) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn mask($count: usize) -> $mask {
                    // SAFETY: as the trait demands.
                    #[allow(unused_unsafe)]
                    unsafe { $make_mask }
                }

                #[inline(always)]
                unsafe fn load($from: *const $type) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $load })
                }

                #[inline(always)]
                unsafe fn load_part($part_from: *const $type, $part_mask: $mask) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $load_part })
                }

                #[inline(always)]
                unsafe fn store(self, $to: *mut $type) {
                    let $value = self.0;
                    // SAFETY: as the trait demands.
                    unsafe { $store }
                }

                #[inline(always)]
                unsafe fn store_part(self, $part_to: *mut $type, $store_mask: $mask) {
                    let $part_value = self.0;
                    // SAFETY: as the trait demands.
                    unsafe { $store_part }
                }

                #[inline(always)]
                unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                    let ($a, $b, $c) = (self.0, factor.0, term.0);
                    // SAFETY: as the trait demands.
                    $name(unsafe { $mul_add })
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $add(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn prefetch(from: *const $type) {
                    // SAFETY: it touches nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
                }

                #[inline(always)]
                unsafe fn sum(self) -> $type {
                    let mut lanes = [<$type>::default(); $lanes];
                    // SAFETY: the array has that many lanes.
                    unsafe {
                        self.store(lanes.as_mut_ptr());
                        Plain::<$type, $lanes>::load(lanes.as_ptr()).sum()
                    }
                }

                #[inline(always)]
                fn plus(a: $type, b: $type) -> $type {
                    Plain::<$type, $lanes>::plus(a, b)
                }
            }
        )*};
    }

    /// Lanes of 4 bytes that are all ones below `count`.
    #[inline(always)]
    unsafe fn mask_32(count: usize) -> __m256i {
        // SAFETY: called where AVX2 is.
        unsafe {
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
        }
    }

    /// Lanes of 8 bytes that are all ones below `count`.
    #[inline(always)]
    unsafe fn mask_64(count: usize) -> __m256i {
        // SAFETY: called where AVX2 is.
        unsafe { _mm256_cmpgt_epi64(_mm256_set1_epi64x(count as i64), _mm256_setr_epi64x(0, 1, 2, 3)) }
    }

    vector! {
        F32x16(__m512): f32, 16, __mmask16, |count| ((1u32 << count) - 1) as __mmask16,
            _mm512_setzero_ps, _mm512_set1_ps,
            |from| _mm512_loadu_ps(from), |from, mask| _mm512_maskz_loadu_ps(mask, from),
            |to, value| _mm512_storeu_ps(to, value), |to, mask, value| _mm512_mask_storeu_ps(to, mask, value),
            |a, b, c| _mm512_fmadd_ps(a, b, c), _mm512_add_ps;
        F64x8(__m512d): f64, 8, __mmask8, |count| ((1u32 << count) - 1) as __mmask8,
            _mm512_setzero_pd, _mm512_set1_pd,
            |from| _mm512_loadu_pd(from), |from, mask| _mm512_maskz_loadu_pd(mask, from),
            |to, value| _mm512_storeu_pd(to, value), |to, mask, value| _mm512_mask_storeu_pd(to, mask, value),
            |a, b, c| _mm512_fmadd_pd(a, b, c), _mm512_add_pd;
        I32x16(__m512i): i32, 16, __mmask16, |count| ((1u32 << count) - 1) as __mmask16,
            _mm512_setzero_si512, _mm512_set1_epi32,
            |from| _mm512_loadu_epi32(from), |from, mask| _mm512_maskz_loadu_epi32(mask, from),
            |to, value| _mm512_storeu_epi32(to, value), |to, mask, value| _mm512_mask_storeu_epi32(to, mask, value),
            |a, b, c| _mm512_add_epi32(_mm512_mullo_epi32(a, b), c), _mm512_add_epi32;
        I64x8(__m512i): i64, 8, __mmask8, |count| ((1u32 << count) - 1) as __mmask8,
            _mm512_setzero_si512, _mm512_set1_epi64,
            |from| _mm512_loadu_epi64(from), |from, mask| _mm512_maskz_loadu_epi64(mask, from),
            |to, value| _mm512_storeu_epi64(to, value), |to, mask, value| _mm512_mask_storeu_epi64(to, mask, value),
            |a, b, c| _mm512_add_epi64(_mm512_mullo_epi64(a, b), c), _mm512_add_epi64;
        F32x8(__m256): f32, 8, __m256i, |count| mask_32(count),
            _mm256_setzero_ps, _mm256_set1_ps,
            |from| _mm256_loadu_ps(from), |from, mask| _mm256_maskload_ps(from, mask),
            |to, value| _mm256_storeu_ps(to, value), |to, mask, value| _mm256_maskstore_ps(to, mask, value),
            |a, b, c| _mm256_fmadd_ps(a, b, c), _mm256_add_ps;
        F64x4(__m256d): f64, 4, __m256i, |count| mask_64(count),
            _mm256_setzero_pd, _mm256_set1_pd,
            |from| _mm256_loadu_pd(from), |from, mask| _mm256_maskload_pd(from, mask),
            |to, value| _mm256_storeu_pd(to, value), |to, mask, value| _mm256_maskstore_pd(to, mask, value),
            |a, b, c| _mm256_fmadd_pd(a, b, c), _mm256_add_pd;
        I32x8(__m256i): i32, 8, __m256i, |count| mask_32(count),
            _mm256_setzero_si256, _mm256_set1_epi32,
            |from| _mm256_loadu_si256(from.cast()), |from, mask| _mm256_maskload_epi32(from, mask),
            |to, value| _mm256_storeu_si256(to.cast(), value), |to, mask, value| _mm256_maskstore_epi32(to, mask, value),
            |a, b, c| _mm256_add_epi32(_mm256_mullo_epi32(a, b), c), _mm256_add_epi32;
    }

    macro_rules! vector_float {
        ($(
            $name:ident, $type:ty, $lanes:expr, $negated:ident, $store:ident, $sub:ident, $mul:ident,
            |$pair:ident| $splat_pair:expr, |$twice:ident| $first_twice:expr, $second_twice:expr, $turned:expr,
            |$v:ident| $reverse:expr, |$a:ident, $b:ident| $zip:expr, |$low:ident, $high:ident| $unzip:expr;
        )*) => {$(
            // SAFETY: as for `Vector`.
            unsafe impl VectorFloat for $name {
                type Array = [$type; $lanes];
                const NOUGHT: $type = 0.0;

                #[inline(always)]
                unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $negated(self.0, factor.0, term.0) })
                }

                #[inline(always)]
                unsafe fn to_array(self) -> [$type; $lanes] {
                    let mut array = [0.0; $lanes];
                    // SAFETY: the array has that many lanes.
                    unsafe { $store(array.as_mut_ptr(), self.0) };
                    array
                }

                #[inline(always)]
                unsafe fn sub(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $sub(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn mul(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $mul(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn splat_pair($pair: Complex<$type>) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $splat_pair })
                }

                #[inline(always)]
                unsafe fn first_twice(self) -> Self {
                    let $twice = self.0;
                    // SAFETY: as the trait demands.
                    $name(unsafe { $first_twice })
                }

                #[inline(always)]
                unsafe fn second_twice(self) -> Self {
                    let $twice = self.0;
                    // SAFETY: as the trait demands.
                    $name(unsafe { $second_twice })
                }

                #[inline(always)]
                unsafe fn turned(self) -> Self {
                    let $twice = self.0;
                    // SAFETY: as the trait demands.
                    $name(unsafe { $turned })
                }

                #[inline(always)]
                unsafe fn reverse(self) -> Self {
                    let $v = self.0;
                    // SAFETY: as the trait demands.
                    $name(unsafe { $reverse })
                }

                #[inline(always)]
                unsafe fn zip(self, other: Self) -> [Self; 2] {
                    let ($a, $b) = (self.0, other.0);
                    // SAFETY: as the trait demands.
                    let [x, y] = unsafe { $zip };
                    [$name(x), $name(y)]
                }

                #[inline(always)]
                unsafe fn unzip(self, other: Self) -> [Self; 2] {
                    let ($low, $high) = (self.0, other.0);
                    // SAFETY: as the trait demands.
                    let [x, y] = unsafe { $unzip };
                    [$name(x), $name(y)]
                }
            }
        )*};
    }

    vector_float! {
        F32x16, f32, 16, _mm512_fnmadd_ps, _mm512_storeu_ps, _mm512_sub_ps, _mm512_mul_ps,
            |pair| _mm512_castpd_ps(_mm512_set1_pd(f64::from_bits(
                u64::from(pair.re.to_bits()) | u64::from(pair.im.to_bits()) << 32))),
            |v| _mm512_moveldup_ps(v), _mm512_movehdup_ps(v),
            _mm512_xor_ps(_mm512_permute_ps::<0xb1>(v), _mm512_castsi512_ps(_mm512_set1_epi64(1 << 31))),
            |v| _mm512_permutexvar_ps(
                _mm512_setr_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), v),
            |a, b| [
                _mm512_permutex2var_ps(
                    a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b),
                _mm512_permutex2var_ps(
                    a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b),
            ],
            |low, high| [
                _mm512_permutex2var_ps(
                    low, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), high),
                _mm512_permutex2var_ps(
                    low, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), high),
            ];
        F64x8, f64, 8, _mm512_fnmadd_pd, _mm512_storeu_pd, _mm512_sub_pd, _mm512_mul_pd,
            |pair| _mm512_setr_pd(pair.re, pair.im, pair.re, pair.im, pair.re, pair.im, pair.re, pair.im),
            |v| _mm512_movedup_pd(v), _mm512_permute_pd::<0xff>(v),
            _mm512_xor_pd(_mm512_permute_pd::<0x55>(v), _mm512_setr_pd(-0.0, 0.0, -0.0, 0.0, -0.0, 0.0, -0.0, 0.0)),
            |v| _mm512_permutexvar_pd(_mm512_setr_epi64(7, 6, 5, 4, 3, 2, 1, 0), v),
            |a, b| [
                _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b),
                _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b),
            ],
            |low, high| [
                _mm512_permutex2var_pd(low, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), high),
                _mm512_permutex2var_pd(low, _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15), high),
            ];
        F32x8, f32, 8, _mm256_fnmadd_ps, _mm256_storeu_ps, _mm256_sub_ps, _mm256_mul_ps,
            |pair| _mm256_castpd_ps(_mm256_set1_pd(f64::from_bits(
                u64::from(pair.re.to_bits()) | u64::from(pair.im.to_bits()) << 32))),
            |v| _mm256_moveldup_ps(v), _mm256_movehdup_ps(v),
            _mm256_xor_ps(_mm256_permute_ps::<0xb1>(v), _mm256_castsi256_ps(_mm256_set1_epi64x(1 << 31))),
            |v| _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0)),
            |a, b| {
                let (x, y) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                [_mm256_permute2f128_ps::<0x20>(x, y), _mm256_permute2f128_ps::<0x31>(x, y)]
            },
            |low, high| {
                let x = _mm256_permute2f128_ps::<0x20>(low, high);
                let y = _mm256_permute2f128_ps::<0x31>(low, high);
                [_mm256_shuffle_ps::<0x88>(x, y), _mm256_shuffle_ps::<0xdd>(x, y)]
            };
        F64x4, f64, 4, _mm256_fnmadd_pd, _mm256_storeu_pd, _mm256_sub_pd, _mm256_mul_pd,
            |pair| _mm256_setr_pd(pair.re, pair.im, pair.re, pair.im),
            |v| _mm256_movedup_pd(v), _mm256_permute_pd::<0xf>(v),
            _mm256_xor_pd(_mm256_permute_pd::<0x5>(v), _mm256_setr_pd(-0.0, 0.0, -0.0, 0.0)),
            |v| _mm256_permute4x64_pd::<0x1b>(v),
            |a, b| {
                let (x, y) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
                [_mm256_permute2f128_pd::<0x20>(x, y), _mm256_permute2f128_pd::<0x31>(x, y)]
            },
            |low, high| {
                let x = _mm256_permute2f128_pd::<0x20>(low, high);
                let y = _mm256_permute2f128_pd::<0x31>(low, high);
                [_mm256_unpacklo_pd(x, y), _mm256_unpackhi_pd(x, y)]
            };
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon {
    use super::{Plain, Vector, VectorFloat};
    use std::arch::aarch64::*;

    macro_rules! vector {
        ($($name:ident($register:ty): $type:ty, $lanes:expr, $splat:ident, $load:ident, $store:ident, $fma:ident, $fms:ident, $add:ident, $sub:ident, $mul:ident;)*) => {$(
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            // SAFETY: every 64-bit ARM machine that Rust compiles for has these instructions.
            unsafe impl Vector for $name {
                type Elem = $type;
                type Mask = usize;
                const LANES: usize = $lanes;

                type Sum = Self;

                #[inline(always)]
                unsafe fn no_sum() -> Self {
                    // SAFETY: as the trait demands.
                    unsafe { Self::zero() }
                }

                #[inline(always)]
                unsafe fn sum_up(self, factor: Self, sum: Self) -> Self {
                    // SAFETY: as the trait demands.
                    unsafe { self.mul_add(factor, sum) }
                }

                #[inline(always)]
                unsafe fn summed(sum: Self) -> Self {
                    sum
                }

                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $splat(0.0) })
                }

                #[inline(always)]
                unsafe fn splat(value: $type) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn mask(lanes: usize) -> usize {
                    lanes
                }

                #[inline(always)]
                unsafe fn load(from: *const $type) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn load_part(from: *const $type, lanes: usize) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $load(Plain::<$type, $lanes>::load_part(from, lanes).to_array().as_ptr()) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut $type) {
                    // SAFETY: as the trait demands.
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                unsafe fn store_part(self, to: *mut $type, lanes: usize) {
                    // SAFETY: as the trait demands.
                    unsafe { Plain::<$type, $lanes>::load(self.to_array().as_ptr()).store_part(to, lanes) }
                }

                #[inline(always)]
                unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $fma(term.0, self.0, factor.0) })
                }

                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $add(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn sum(self) -> $type {
                    // SAFETY: the array has that many lanes.
                    unsafe { Plain::<$type, $lanes>::load(self.to_array().as_ptr()).sum() }
                }

                #[inline(always)]
                fn plus(a: $type, b: $type) -> $type {
                    a + b
                }
            }

            // SAFETY: as for `Vector`.
            unsafe impl VectorFloat for $name {
                type Array = [$type; $lanes];
                const NOUGHT: $type = 0.0;

                #[inline(always)]
                unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $fms(term.0, self.0, factor.0) })
                }

                #[inline(always)]
                unsafe fn to_array(self) -> [$type; $lanes] {
                    let mut array = [0.0; $lanes];
                    // SAFETY: the array has that many lanes.
                    unsafe { $store(array.as_mut_ptr(), self.0) };
                    array
                }

                #[inline(always)]
                unsafe fn sub(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $sub(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn mul(self, other: Self) -> Self {
                    // SAFETY: as the trait demands.
                    $name(unsafe { $mul(self.0, other.0) })
                }
            }
        )*};
    }

    vector! {
        F32x4(float32x4_t): f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vfmaq_f32, vfmsq_f32, vaddq_f32, vsubq_f32, vmulq_f32;
        F64x2(float64x2_t): f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, vfmaq_f64, vfmsq_f64, vaddq_f64, vsubq_f64, vmulq_f64;
    }
}

//! Vectors of AVX2 and AVX-512.

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
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
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

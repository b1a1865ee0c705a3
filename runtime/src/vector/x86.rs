//! Vectors of AVX2 and AVX-512.

use super::{Plain, Vector, VectorFloat};
use num_complex::Complex;
use std::arch::x86_64::*;

/// Asks for a line of memory to come near.
#[inline(always)]
fn prefetch(from: *const i8) {
    // SAFETY: it touches nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(from) }
}

/// Asks for it to come into the second cache.
#[inline(always)]
fn prefetch_far(from: *const i8) {
    // SAFETY: it touches nothing.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(from) }
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
        _mm512_set1_ps,
        |from| _mm512_loadu_ps(from), |from, mask| _mm512_maskz_loadu_ps(mask, from),
        |to, value| _mm512_storeu_ps(to, value), |to, mask, value| _mm512_mask_storeu_ps(to, mask, value),
        |a, b, c| _mm512_fmadd_ps(a, b, c), _mm512_add_ps;
    F64x8(__m512d): f64, 8, __mmask8, |count| ((1u32 << count) - 1) as __mmask8,
        _mm512_set1_pd,
        |from| _mm512_loadu_pd(from), |from, mask| _mm512_maskz_loadu_pd(mask, from),
        |to, value| _mm512_storeu_pd(to, value), |to, mask, value| _mm512_mask_storeu_pd(to, mask, value),
        |a, b, c| _mm512_fmadd_pd(a, b, c), _mm512_add_pd;
    I32x16(__m512i): i32, 16, __mmask16, |count| ((1u32 << count) - 1) as __mmask16,
        _mm512_set1_epi32,
        |from| _mm512_loadu_epi32(from), |from, mask| _mm512_maskz_loadu_epi32(mask, from),
        |to, value| _mm512_storeu_epi32(to, value), |to, mask, value| _mm512_mask_storeu_epi32(to, mask, value),
        |a, b, c| _mm512_add_epi32(_mm512_mullo_epi32(a, b), c), _mm512_add_epi32;
    I64x8(__m512i): i64, 8, __mmask8, |count| ((1u32 << count) - 1) as __mmask8,
        _mm512_set1_epi64,
        |from| _mm512_loadu_epi64(from), |from, mask| _mm512_maskz_loadu_epi64(mask, from),
        |to, value| _mm512_storeu_epi64(to, value), |to, mask, value| _mm512_mask_storeu_epi64(to, mask, value),
        |a, b, c| _mm512_add_epi64(_mm512_mullo_epi64(a, b), c), _mm512_add_epi64;
    F32x8(__m256): f32, 8, __m256i, |count| mask_32(count),
        _mm256_set1_ps,
        |from| _mm256_loadu_ps(from), |from, mask| _mm256_maskload_ps(from, mask),
        |to, value| _mm256_storeu_ps(to, value), |to, mask, value| _mm256_maskstore_ps(to, mask, value),
        |a, b, c| _mm256_fmadd_ps(a, b, c), _mm256_add_ps;
    F64x4(__m256d): f64, 4, __m256i, |count| mask_64(count),
        _mm256_set1_pd,
        |from| _mm256_loadu_pd(from), |from, mask| _mm256_maskload_pd(from, mask),
        |to, value| _mm256_storeu_pd(to, value), |to, mask, value| _mm256_maskstore_pd(to, mask, value),
        |a, b, c| _mm256_fmadd_pd(a, b, c), _mm256_add_pd;
    I32x8(__m256i): i32, 8, __m256i, |count| mask_32(count),
        _mm256_set1_epi32,
        |from| _mm256_loadu_si256(from.cast()), |from, mask| _mm256_maskload_epi32(from, mask),
        |to, value| _mm256_storeu_si256(to.cast(), value), |to, mask, value| _mm256_maskstore_epi32(to, mask, value),
        |a, b, c| _mm256_add_epi32(_mm256_mullo_epi32(a, b), c), _mm256_add_epi32;
}

vector_float! {
    F32x16, f32, 16, |x, y, z| _mm512_fnmadd_ps(x, y, z), _mm512_storeu_ps, _mm512_sub_ps, _mm512_mul_ps,
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
    F64x8, f64, 8, |x, y, z| _mm512_fnmadd_pd(x, y, z), _mm512_storeu_pd, _mm512_sub_pd, _mm512_mul_pd,
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
    F32x8, f32, 8, |x, y, z| _mm256_fnmadd_ps(x, y, z), _mm256_storeu_ps, _mm256_sub_ps, _mm256_mul_ps,
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
    F64x4, f64, 4, |x, y, z| _mm256_fnmadd_pd(x, y, z), _mm256_storeu_pd, _mm256_sub_pd, _mm256_mul_pd,
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

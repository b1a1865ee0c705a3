//! Squares of elements that change sides in registers.

/// How a square is exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Square {
    /// Not at all: one by one.
    None,
    /// 16 by 16 elements of 4 bytes, by AVX-512.
    #[cfg(target_arch = "x86_64")]
    Wide4,
    /// 8 by 8 elements of 8 bytes, by AVX-512.
    #[cfg(target_arch = "x86_64")]
    Wide8,
    /// 4 by 4 elements of 16 bytes, by AVX-512.
    #[cfg(target_arch = "x86_64")]
    Wide16,
    /// 8 by 8 elements of 4 bytes, by AVX.
    #[cfg(target_arch = "x86_64")]
    Half4,
    /// 4 by 4 elements of 8 bytes, by AVX.
    #[cfg(target_arch = "x86_64")]
    Half8,
}

impl Square {
    /// The best square of the machine for elements of so many bytes, and its side.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn of(element: usize) -> (usize, Square) {
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx512 = is_x86_feature_detected!("avx512f");
            let has_avx = is_x86_feature_detected!("avx");
            return match (element, has_avx512, has_avx) {
                (4, true, _) => (16, Square::Wide4),
                (8, true, _) => (8, Square::Wide8),
                (16, true, _) => (4, Square::Wide16),
                (4, false, true) => (8, Square::Half4),
                (8, false, true) => (4, Square::Half8),
                _ => (1, Square::None),
            };
        }
        #[allow(unreachable_code)]
        (1, Square::None)
    }

    /// Exchanges one square: element `u` of row `r`, at `from + r * from_step`, goes to element `r` of row `u`, at
    /// `to + u * to_step`; steps in bytes.
    ///
    /// # Safety
    /// The rows must be good; `past_caches` needs every row of `to` at a multiple of 64 bytes.
    #[inline(always)]
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub unsafe fn run(
        self,
        from: *const u8,
        from_step: isize,
        to: *mut u8,
        to_step: isize,
        past_caches: bool,
    ) {
        match self {
            Square::None => {}
            // SAFETY: `of` has asked the machine; the rest is the caller's promise.
            #[cfg(target_arch = "x86_64")]
            Square::Wide4 if past_caches => unsafe { x86::wide4::<true>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Wide4 => unsafe { x86::wide4::<false>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Wide8 if past_caches => unsafe { x86::wide8::<true>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Wide8 => unsafe { x86::wide8::<false>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Wide16 if past_caches => unsafe { x86::wide16::<true>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Wide16 => unsafe { x86::wide16::<false>(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Half4 => unsafe { x86::half4(from, from_step, to, to_step) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Square::Half8 => unsafe { x86::half8(from, from_step, to, to_step) },
        }
    }
}

/// Copies a run past the caches, if the machine can; whether it did.
///
/// # Safety
/// Both runs must be good; that of `to` starts at a multiple of 64 bytes and ends at one.
pub(super) unsafe fn copy_past_caches(from: *const u8, to: *mut u8, bytes: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the machine has been asked; the rest is the caller's promise.
        unsafe { x86::copy(from, to, bytes) };
        return true;
    }
    let _ = (from, to, bytes);
    false
}

/// Makes what was written past the caches seen by other threads before what follows.
pub(super) fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has this instruction.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    unsafe fn put<const PAST_CACHES: bool>(to: *mut u8, value: __m512) {
        // SAFETY: the caller's promise.
        unsafe {
            if PAST_CACHES { _mm512_stream_ps(to.cast(), value) } else { _mm512_storeu_ps(to.cast(), value) }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
        for at in (0..bytes).step_by(64) {
            // SAFETY: the caller's promise.
            unsafe { _mm512_stream_ps(to.add(at).cast(), _mm512_loadu_ps(from.add(at).cast())) };
        }
    }

    /// Writes the four columns whose quarters lie in the same lane of four vectors each.
    #[target_feature(enable = "avx512f")]
    unsafe fn put_lanes<const PAST_CACHES: bool>(lanes: [__m512; 4], to: [*mut u8; 4]) {
        let [a, b, c, d] = lanes;
        let even = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d));
        let odd = (_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d));
        // SAFETY: the caller's promise.
        unsafe {
            put::<PAST_CACHES>(to[0], _mm512_shuffle_f32x4::<0x88>(even.0, even.1));
            put::<PAST_CACHES>(to[1], _mm512_shuffle_f32x4::<0x88>(odd.0, odd.1));
            put::<PAST_CACHES>(to[2], _mm512_shuffle_f32x4::<0xdd>(even.0, even.1));
            put::<PAST_CACHES>(to[3], _mm512_shuffle_f32x4::<0xdd>(odd.0, odd.1));
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn wide4<const PAST_CACHES: bool>(
        from: *const u8,
        from_step: isize,
        to: *mut u8,
        to_step: isize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: isize| _mm512_loadu_ps(from.offset(r * from_step).cast());
            // After this, lane `l` of `fours[j][g]` holds rows 4g to 4g + 3 of column 4l + j.
            let mut fours = [[_mm512_setzero_ps(); 4]; 4];
            #[allow(clippy::needless_range_loop)]
            for g in 0..4 {
                let first = 4 * g as isize;
                let (a, b, c, d) = (row(first), row(first + 1), row(first + 2), row(first + 3));
                let ab = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let cd = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let pairs = |x: __m512, y: __m512| {
                    let (x, y) = (_mm512_castps_pd(x), _mm512_castps_pd(y));
                    (_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)))
                };
                (fours[0][g], fours[1][g]) = pairs(ab.0, cd.0);
                (fours[2][g], fours[3][g]) = pairs(ab.1, cd.1);
            }
            for (j, four) in fours.into_iter().enumerate() {
                let place = |l: usize| to.offset((4 * l + j) as isize * to_step);
                put_lanes::<PAST_CACHES>(four, [place(0), place(1), place(2), place(3)]);
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn wide8<const PAST_CACHES: bool>(
        from: *const u8,
        from_step: isize,
        to: *mut u8,
        to_step: isize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: isize| _mm512_loadu_pd(from.offset(r * from_step).cast());
            // After this, lane `l` of `twos[j][g]` holds rows 2g and 2g + 1 of column 2l + j.
            let mut twos = [[_mm512_setzero_ps(); 4]; 2];
            #[allow(clippy::needless_range_loop)]
            for g in 0..4 {
                let (a, b) = (row(2 * g as isize), row(2 * g as isize + 1));
                twos[0][g] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                twos[1][g] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
            for (j, two) in twos.into_iter().enumerate() {
                let place = |l: usize| to.offset((2 * l + j) as isize * to_step);
                put_lanes::<PAST_CACHES>(two, [place(0), place(1), place(2), place(3)]);
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn wide16<const PAST_CACHES: bool>(
        from: *const u8,
        from_step: isize,
        to: *mut u8,
        to_step: isize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: isize| _mm512_loadu_ps(from.offset(r * from_step).cast());
            let place = |u: isize| to.offset(u * to_step);
            put_lanes::<PAST_CACHES>(
                [row(0), row(1), row(2), row(3)],
                [place(0), place(1), place(2), place(3)],
            );
        }
    }

    #[target_feature(enable = "avx")]
    pub(super) unsafe fn half4(from: *const u8, from_step: isize, to: *mut u8, to_step: isize) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: isize| _mm256_loadu_ps(from.offset(r * from_step).cast());
            let pairs = |r: isize| {
                let (a, b) = (row(r), row(r + 1));
                (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))
            };
            let ((a, b), (c, d), (e, f), (g, h)) = (pairs(0), pairs(2), pairs(4), pairs(6));
            let fours = [
                (_mm256_shuffle_ps::<0x44>(a, c), _mm256_shuffle_ps::<0x44>(e, g)),
                (_mm256_shuffle_ps::<0xee>(a, c), _mm256_shuffle_ps::<0xee>(e, g)),
                (_mm256_shuffle_ps::<0x44>(b, d), _mm256_shuffle_ps::<0x44>(f, h)),
                (_mm256_shuffle_ps::<0xee>(b, d), _mm256_shuffle_ps::<0xee>(f, h)),
            ];
            for (u, (low, high)) in fours.into_iter().enumerate() {
                let place = |u: usize| to.offset(u as isize * to_step).cast();
                _mm256_storeu_ps(place(u), _mm256_permute2f128_ps::<0x20>(low, high));
                _mm256_storeu_ps(place(u + 4), _mm256_permute2f128_ps::<0x31>(low, high));
            }
        }
    }

    #[target_feature(enable = "avx")]
    pub(super) unsafe fn half8(from: *const u8, from_step: isize, to: *mut u8, to_step: isize) {
        // SAFETY: the caller's promise.
        unsafe {
            let row = |r: isize| _mm256_loadu_pd(from.offset(r * from_step).cast());
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let (ab, cd) = (_mm256_unpacklo_pd(a, b), _mm256_unpacklo_pd(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_pd(a, b), _mm256_unpackhi_pd(c, d));
            let place = |u: isize| to.offset(u * to_step).cast();
            _mm256_storeu_pd(place(0), _mm256_permute2f128_pd::<0x20>(ab, cd));
            _mm256_storeu_pd(place(1), _mm256_permute2f128_pd::<0x20>(ab_high, cd_high));
            _mm256_storeu_pd(place(2), _mm256_permute2f128_pd::<0x31>(ab, cd));
            _mm256_storeu_pd(place(3), _mm256_permute2f128_pd::<0x31>(ab_high, cd_high));
        }
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn narrower_squares_exchange_sides() {
            if !is_x86_feature_detected!("avx") {
                return;
            }
            let from: Vec<u32> = (0..64).collect();
            let mut to = [0u32; 64];
            // SAFETY: both are squares of that side.
            unsafe { super::half4(from.as_ptr().cast(), 32, to.as_mut_ptr().cast(), 32) };
            assert!((0..64).all(|k| to[k] == (k % 8 * 8 + k / 8) as u32));
            let from: Vec<u64> = (0..16).collect();
            let mut to = [0u64; 16];
            // SAFETY: both are squares of that side.
            unsafe { super::half8(from.as_ptr().cast(), 32, to.as_mut_ptr().cast(), 32) };
            assert!((0..16).all(|k| to[k] == (k % 4 * 4 + k / 4) as u64));
        }
    }
}

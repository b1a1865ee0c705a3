//! Row operations in vector registers of four words, for machines with AVX2 and without AVX-512.
//!
//! Products of 64 bits are put together from halves, which pays where a product with a known factor is wanted: two of the
//! three words of it suffice. Products of two unknown numbers go word by word, see [`super::lanes`]. Every function here
//! needs AVX2; [`super::lanes`] asks the machine before it calls one.

use super::modulus::Factor;
use super::ntt::Powers;
use std::arch::x86_64::*;

/// Words of a register.
pub(super) const LANES: usize = 4;

/// Whether the machine has what this module needs.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2")
}

#[inline(always)]
unsafe fn splat(x: u64) -> __m256i {
    // SAFETY: as all of this module.
    unsafe { _mm256_set1_epi64x(x as i64) }
}

#[inline(always)]
unsafe fn load(from: *const u64) -> __m256i {
    // SAFETY: the caller's promise of four words.
    unsafe { _mm256_loadu_si256(from.cast()) }
}

#[inline(always)]
unsafe fn store(to: *mut u64, x: __m256i) {
    // SAFETY: the caller's promise of four words.
    unsafe { _mm256_storeu_si256(to.cast(), x) }
}

/// `x` if below `bound`, `x - bound` otherwise; both are below 2^63.
#[inline(always)]
unsafe fn once(x: __m256i, bound: __m256i) -> __m256i {
    // SAFETY: as all of this module.
    unsafe {
        let less = _mm256_sub_epi64(x, bound);
        // The choice looks at the sign alone.
        let [x, less] = [_mm256_castsi256_pd(x), _mm256_castsi256_pd(less)];
        _mm256_castpd_si256(_mm256_blendv_pd(less, x, less))
    }
}

/// The low word of a product.
#[inline(always)]
unsafe fn low(x: __m256i, y: __m256i) -> __m256i {
    // SAFETY: as all of this module.
    unsafe {
        let (x1, y1) = (_mm256_srli_epi64::<32>(x), _mm256_srli_epi64::<32>(y));
        let cross = _mm256_add_epi64(_mm256_mul_epu32(x1, y), _mm256_mul_epu32(x, y1));
        _mm256_add_epi64(_mm256_mul_epu32(x, y), _mm256_slli_epi64::<32>(cross))
    }
}

/// The high word of a product, or up to two less.
#[inline(always)]
unsafe fn high(x: __m256i, y: __m256i) -> __m256i {
    // SAFETY: as all of this module.
    unsafe {
        let (x1, y1) = (_mm256_srli_epi64::<32>(x), _mm256_srli_epi64::<32>(y));
        let cross = _mm256_srli_epi64::<32>(_mm256_mul_epu32(x1, y));
        let other = _mm256_srli_epi64::<32>(_mm256_mul_epu32(x, y1));
        _mm256_add_epi64(_mm256_mul_epu32(x1, y1), _mm256_add_epi64(cross, other))
    }
}

/// A prime and twice it.
#[derive(Clone, Copy)]
struct Prime {
    q: __m256i,
    twice: __m256i,
}

/// A factor and its quotient, for each lane.
type Root = (__m256i, __m256i);

impl Prime {
    #[inline(always)]
    unsafe fn new(q: u64) -> Prime {
        // SAFETY: as all of this module.
        unsafe { Prime { q: splat(q), twice: splat(2 * q) } }
    }

    /// `y * w` up to a multiple of `q`, below `2 q`.
    #[inline(always)]
    unsafe fn lazily(self, y: __m256i, (w, quotient): Root) -> __m256i {
        // SAFETY: as all of this module.
        unsafe {
            // The quotient is up to three too small, so the rest is below 4 q.
            let times = low(high(y, quotient), self.q);
            once(_mm256_sub_epi64(low(y, w), times), self.twice)
        }
    }

    /// One step of a transform on two registers of numbers below `4 q`, which it leaves.
    #[inline(always)]
    unsafe fn apart(self, a: __m256i, b: __m256i, root: Root) -> (__m256i, __m256i) {
        // SAFETY: as all of this module.
        unsafe {
            let x = once(a, self.twice);
            let y = self.lazily(b, root);
            (_mm256_add_epi64(x, y), _mm256_sub_epi64(_mm256_add_epi64(x, self.twice), y))
        }
    }

    /// The step back, on numbers below `2 q`, which it leaves.
    #[inline(always)]
    unsafe fn together(self, a: __m256i, b: __m256i, root: Root) -> (__m256i, __m256i) {
        // SAFETY: as all of this module.
        unsafe {
            let sum = once(_mm256_add_epi64(a, b), self.twice);
            (sum, self.lazily(_mm256_sub_epi64(_mm256_add_epi64(a, self.twice), b), root))
        }
    }

    /// Below `q`, of a number below `4 q`.
    #[inline(always)]
    unsafe fn reduced(self, x: __m256i) -> __m256i {
        // SAFETY: as all of this module.
        unsafe { once(once(x, self.twice), self.q) }
    }
}

/// A factor in every lane.
#[inline(always)]
unsafe fn spread(factor: Factor) -> Root {
    // SAFETY: as all of this module.
    unsafe { (splat(factor.value), splat(factor.quotient)) }
}

/// The factors of a stage whose blocks are of two: each in two lanes.
#[inline(always)]
unsafe fn in_pairs(powers: &Powers, at: usize) -> Root {
    // SAFETY: as all of this module; the places are checked.
    unsafe {
        let pair = |words: &[u64]| {
            let (a, b) = (words[at] as i64, words[at + 1] as i64);
            _mm256_setr_epi64x(a, a, b, b)
        };
        (pair(&powers.values), pair(&powers.quotients))
    }
}

/// The factors of a stage whose blocks are of one.
#[inline(always)]
unsafe fn one_by_one(powers: &Powers, at: usize) -> Root {
    // SAFETY: the stage has four factors from there on, which slices of four show.
    unsafe { (load(powers.values[at..at + 4].as_ptr()), load(powers.quotients[at..at + 4].as_ptr())) }
}

/// # Safety
/// The machine must have AVX2; the row has a power of two of words, at least 8, below `q`, which is below 2^60.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transform(q: u64, powers: &Powers, row: &mut [u64]) {
    let ring = row.len();
    let data = row.as_mut_ptr();
    // SAFETY: all places are within the row, whose length is a power of two, at least 8.
    unsafe {
        let prime = Prime::new(q);
        let (mut gap, mut blocks) = (ring / 2, 1);
        while gap >= LANES {
            for block in 0..blocks {
                let root = spread(powers.get(blocks + block));
                let start = data.add(2 * gap * block);
                for k in (0..gap).step_by(LANES) {
                    let (low, high) = (start.add(k), start.add(k + gap));
                    let (a, b) = prime.apart(load(low), load(high), root);
                    store(low, a);
                    store(high, b);
                }
            }
            gap /= 2;
            blocks *= 2;
        }
        // Blocks of 4 and 2, two registers at a time.
        for start in (0..ring).step_by(2 * LANES) {
            let (first, second) = (data.add(start), data.add(start + LANES));
            let (v, w) = (load(first), load(second));
            let (a, b) = (_mm256_permute2x128_si256::<0x20>(v, w), _mm256_permute2x128_si256::<0x31>(v, w));
            let (a, b) = prime.apart(a, b, in_pairs(powers, ring / 4 + start / 4));
            let (c, d) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
            let (c, d) = prime.apart(c, d, one_by_one(powers, ring / 2 + start / 2));
            let (c, d) = (prime.reduced(c), prime.reduced(d));
            let (a, b) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
            store(first, _mm256_permute2x128_si256::<0x20>(a, b));
            store(second, _mm256_permute2x128_si256::<0x31>(a, b));
        }
    }
}

/// # Safety
/// As [`transform`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn transform_back(q: u64, powers: &Powers, last: Factor, row: &mut [u64]) {
    let ring = row.len();
    let data = row.as_mut_ptr();
    // SAFETY: all places are within the row, whose length is a power of two, at least 8.
    unsafe {
        let prime = Prime::new(q);
        for start in (0..ring).step_by(2 * LANES) {
            let (first, second) = (data.add(start), data.add(start + LANES));
            let (v, w) = (load(first), load(second));
            let (a, b) = (_mm256_permute2x128_si256::<0x20>(v, w), _mm256_permute2x128_si256::<0x31>(v, w));
            let (c, d) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
            let (c, d) = prime.together(c, d, one_by_one(powers, ring / 2 + start / 2));
            let (a, b) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
            let (a, b) = prime.together(a, b, in_pairs(powers, ring / 4 + start / 4));
            store(first, _mm256_permute2x128_si256::<0x20>(a, b));
            store(second, _mm256_permute2x128_si256::<0x31>(a, b));
        }
        let (mut gap, mut blocks) = (LANES, ring / (2 * LANES));
        while blocks >= 1 {
            for block in 0..blocks {
                let root = spread(powers.get(blocks + block));
                let start = data.add(2 * gap * block);
                for k in (0..gap).step_by(LANES) {
                    let (low, high) = (start.add(k), start.add(k + gap));
                    let (a, b) = prime.together(load(low), load(high), root);
                    store(low, a);
                    store(high, b);
                }
            }
            gap *= 2;
            blocks /= 2;
        }
        let last = spread(last);
        for k in (0..ring).step_by(LANES) {
            store(data.add(k), once(prime.lazily(load(data.add(k)), last), prime.q));
        }
    }
}

/// `a += b` modulo `q`.
///
/// # Safety
/// The machine must have AVX2; both rows have the same length, a multiple of 4, and numbers below `q`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add(q: u64, a: &mut [u64], b: &[u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let q = splat(q);
        for k in (0..a.len()).step_by(LANES) {
            let sum = _mm256_add_epi64(load(a.as_ptr().add(k)), load(b.as_ptr().add(k)));
            store(a.as_mut_ptr().add(k), once(sum, q));
        }
    }
}

/// `a -= b` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn sub(q: u64, a: &mut [u64], b: &[u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let q = splat(q);
        for k in (0..a.len()).step_by(LANES) {
            let more = _mm256_add_epi64(load(a.as_ptr().add(k)), q);
            store(a.as_mut_ptr().add(k), once(_mm256_sub_epi64(more, load(b.as_ptr().add(k))), q));
        }
    }
}

/// `row *= factor` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn scale(q: u64, factor: Factor, row: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (prime, factor) = (Prime::new(q), spread(factor));
        for k in (0..row.len()).step_by(LANES) {
            let at = row.as_mut_ptr().add(k);
            store(at, once(prime.lazily(load(at), factor), prime.q));
        }
    }
}

/// `rest = (value - rest) * inverse` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx2")]
pub(super) unsafe fn divide(q: u64, inverse: Factor, value: &[u64], rest: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (prime, inverse) = (Prime::new(q), spread(inverse));
        for k in (0..rest.len()).step_by(LANES) {
            let at = rest.as_mut_ptr().add(k);
            let more = _mm256_add_epi64(load(value.as_ptr().add(k)), prime.q);
            store(at, once(prime.lazily(_mm256_sub_epi64(more, load(at)), inverse), prime.q));
        }
    }
}

//! Row operations in vector registers of eight words: AVX-512, with the 52-bit multiplier where a prime is small enough.
//!
//! Every function here needs AVX-512 F, DQ and IFMA; [`super::lanes`] asks the machine before it calls one.

use super::modulus::{Factor, Modulus};
use super::ntt::Powers;
use std::arch::x86_64::*;

/// Words of a register.
pub(super) const LANES: usize = 8;

/// Primes below it are multiplied by the 52-bit multiplier: four times the prime fits its words.
pub(super) const SMALL: u64 = 1 << 50;

/// Whether the machine has what this module needs.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

#[inline(always)]
unsafe fn splat(x: u64) -> __m512i {
    // SAFETY: as all of this module.
    unsafe { _mm512_set1_epi64(x as i64) }
}

#[inline(always)]
unsafe fn load(from: *const u64) -> __m512i {
    // SAFETY: the caller's promise of eight words.
    unsafe { _mm512_loadu_si512(from.cast()) }
}

#[inline(always)]
unsafe fn store(to: *mut u64, x: __m512i) {
    // SAFETY: the caller's promise of eight words.
    unsafe { _mm512_storeu_si512(to.cast(), x) }
}

/// `x` if below `bound`, `x - bound` otherwise.
#[inline(always)]
unsafe fn once(x: __m512i, bound: __m512i) -> __m512i {
    // SAFETY: as all of this module.
    unsafe { _mm512_min_epu64(x, _mm512_sub_epi64(x, bound)) }
}

/// How to multiply modulo a prime.
///
/// # Safety
/// Every method may only be called where the machine has what this module needs.
unsafe trait Multiply: Copy {
    /// How far quotients of [`Factor`] are shifted to the right: 0 or 12.
    const SHIFT: u32;
    unsafe fn new(q: u64) -> Self;
    /// `y * w` up to a multiple of `q`, below `2 q`.
    unsafe fn lazily(self, y: __m512i, w: __m512i, quotient: __m512i) -> __m512i;
}

/// With 52-bit products, for primes below 2^50; numbers are below `4 q`.
#[derive(Clone, Copy)]
struct Narrow {
    minus: __m512i,
    mask: __m512i,
}

// SAFETY: it needs what the module needs.
unsafe impl Multiply for Narrow {
    const SHIFT: u32 = 12;

    #[inline(always)]
    unsafe fn new(q: u64) -> Narrow {
        // SAFETY: as all of this module.
        unsafe { Narrow { minus: splat((1 << 52) - q), mask: splat((1 << 52) - 1) } }
    }

    #[inline(always)]
    unsafe fn lazily(self, y: __m512i, w: __m512i, quotient: __m512i) -> __m512i {
        // SAFETY: as all of this module.
        unsafe {
            let zero = _mm512_setzero_si512();
            let times = _mm512_madd52hi_epu64(zero, y, quotient);
            let product = _mm512_madd52lo_epu64(zero, y, w);
            _mm512_and_si512(_mm512_madd52lo_epu64(product, times, self.minus), self.mask)
        }
    }
}

/// With 64-bit products put together from halves, for primes below 2^60.
#[derive(Clone, Copy)]
struct Wide {
    q: __m512i,
    twice: __m512i,
}

/// The high word of a product, or up to two less.
#[inline(always)]
unsafe fn high(x: __m512i, y: __m512i) -> __m512i {
    // SAFETY: as all of this module.
    unsafe {
        let (x1, y1) = (_mm512_srli_epi64::<32>(x), _mm512_srli_epi64::<32>(y));
        let cross = _mm512_srli_epi64::<32>(_mm512_mul_epu32(x1, y));
        let other = _mm512_srli_epi64::<32>(_mm512_mul_epu32(x, y1));
        _mm512_add_epi64(_mm512_mul_epu32(x1, y1), _mm512_add_epi64(cross, other))
    }
}

// SAFETY: it needs what the module needs.
unsafe impl Multiply for Wide {
    const SHIFT: u32 = 0;

    #[inline(always)]
    unsafe fn new(q: u64) -> Wide {
        // SAFETY: as all of this module.
        unsafe { Wide { q: splat(q), twice: splat(2 * q) } }
    }

    #[inline(always)]
    unsafe fn lazily(self, y: __m512i, w: __m512i, quotient: __m512i) -> __m512i {
        // SAFETY: as all of this module.
        unsafe {
            // The quotient is up to three too small, so the rest is below 4 q.
            let times = _mm512_mullo_epi64(high(y, quotient), self.q);
            once(_mm512_sub_epi64(_mm512_mullo_epi64(y, w), times), self.twice)
        }
    }
}

/// A factor and its quotient, for each lane.
type Root = (__m512i, __m512i);

/// A factor in every lane.
#[inline(always)]
unsafe fn spread<M: Multiply>(factor: Factor) -> Root {
    // SAFETY: as all of this module.
    unsafe { (splat(factor.value), splat(factor.quotient >> M::SHIFT)) }
}

#[inline(always)]
unsafe fn pick(a: __m512i, b: __m512i, places: [i64; 8]) -> __m512i {
    let [p0, p1, p2, p3, p4, p5, p6, p7] = places;
    // SAFETY: as all of this module.
    unsafe { _mm512_permutex2var_epi64(a, _mm512_setr_epi64(p0, p1, p2, p3, p4, p5, p6, p7), b) }
}

/// Each of the first `8 / TIMES` words of memory, `TIMES` times: 1, 2 or 4.
#[inline(always)]
unsafe fn repeated<const TIMES: u32>(from: *const u64) -> __m512i {
    // SAFETY: the caller's promise of `8 / TIMES` words.
    unsafe {
        let words = _mm512_maskz_loadu_epi64((0xff >> (8 - 8 / TIMES)) as u8, from.cast());
        let places = match TIMES {
            1 => return words,
            2 => _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3),
            _ => _mm512_setr_epi64(0, 0, 0, 0, 1, 1, 1, 1),
        };
        _mm512_permutexvar_epi64(places, words)
    }
}

/// The factors of a stage whose blocks are smaller than a register.
#[inline(always)]
unsafe fn factors<M: Multiply, const TIMES: u32>(powers: &Powers, at: usize) -> Root {
    // SAFETY: the stage has at least `8 / TIMES` factors from there on.
    unsafe {
        let quotients = repeated::<TIMES>(powers.quotients.as_ptr().add(at));
        let quotients = if M::SHIFT == 0 { quotients } else { _mm512_srli_epi64::<12>(quotients) };
        (repeated::<TIMES>(powers.values.as_ptr().add(at)), quotients)
    }
}

/// One step of a transform on two registers of numbers below `4 q`, which it leaves.
#[inline(always)]
unsafe fn apart<M: Multiply>(m: M, two: __m512i, a: __m512i, b: __m512i, root: Root) -> (__m512i, __m512i) {
    // SAFETY: as all of this module.
    unsafe {
        let x = once(a, two);
        let y = m.lazily(b, root.0, root.1);
        (_mm512_add_epi64(x, y), _mm512_sub_epi64(_mm512_add_epi64(x, two), y))
    }
}

/// The step back, on numbers below `2 q`, which it leaves.
#[inline(always)]
unsafe fn together<M: Multiply>(
    m: M,
    two: __m512i,
    a: __m512i,
    b: __m512i,
    root: Root,
) -> (__m512i, __m512i) {
    // SAFETY: as all of this module.
    unsafe {
        let sum = once(_mm512_add_epi64(a, b), two);
        (sum, m.lazily(_mm512_sub_epi64(_mm512_add_epi64(a, two), b), root.0, root.1))
    }
}

#[inline(always)]
unsafe fn forward<M: Multiply>(q: u64, powers: &Powers, row: &mut [u64]) {
    let ring = row.len();
    let data = row.as_mut_ptr();
    // SAFETY: all places are within the row, whose length is a power of two, at least 16.
    unsafe {
        let m = M::new(q);
        let (one, two) = (splat(q), splat(2 * q));
        let (mut gap, mut blocks) = (ring / 2, 1);
        // Two stages at a time, so that memory is read half as often.
        while gap >= 2 * LANES {
            let half = gap / 2;
            for block in 0..blocks {
                let first = spread::<M>(powers.get(blocks + block));
                let left = spread::<M>(powers.get(2 * (blocks + block)));
                let right = spread::<M>(powers.get(2 * (blocks + block) + 1));
                let start = data.add(2 * gap * block);
                for k in (0..half).step_by(LANES) {
                    let at = start.add(k);
                    let at = [at, at.add(half), at.add(2 * half), at.add(3 * half)];
                    let (a, c) = apart(m, two, load(at[0]), load(at[2]), first);
                    let (b, d) = apart(m, two, load(at[1]), load(at[3]), first);
                    let (a, b) = apart(m, two, a, b, left);
                    let (c, d) = apart(m, two, c, d, right);
                    store(at[0], a);
                    store(at[1], b);
                    store(at[2], c);
                    store(at[3], d);
                }
            }
            gap /= 4;
            blocks *= 4;
        }
        if gap == LANES {
            for block in 0..blocks {
                let factor = spread::<M>(powers.get(blocks + block));
                let (low, high) = (data.add(16 * block), data.add(16 * block + 8));
                let (a, b) = apart(m, two, load(low), load(high), factor);
                store(low, a);
                store(high, b);
            }
        }
        // Blocks of 8, 4 and 2, two registers at a time.
        for start in (0..ring).step_by(2 * LANES) {
            let (low, high) = (data.add(start), data.add(start + 8));
            let (v, w) = (load(low), load(high));
            let (a, b) = (pick(v, w, [0, 1, 2, 3, 8, 9, 10, 11]), pick(v, w, [4, 5, 6, 7, 12, 13, 14, 15]));
            let (a, b) = apart(m, two, a, b, factors::<M, 4>(powers, ring / 8 + start / 8));
            let (c, d) = (pick(a, b, [0, 1, 8, 9, 4, 5, 12, 13]), pick(a, b, [2, 3, 10, 11, 6, 7, 14, 15]));
            let (c, d) = apart(m, two, c, d, factors::<M, 2>(powers, ring / 4 + start / 4));
            let (a, b) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
            let (a, b) = apart(m, two, a, b, factors::<M, 1>(powers, ring / 2 + start / 2));
            let (a, b) = (once(once(a, two), one), once(once(b, two), one));
            store(low, pick(a, b, [0, 8, 1, 9, 2, 10, 3, 11]));
            store(high, pick(a, b, [4, 12, 5, 13, 6, 14, 7, 15]));
        }
    }
}

#[inline(always)]
unsafe fn inverse<M: Multiply>(q: u64, powers: &Powers, last: Factor, row: &mut [u64]) {
    let ring = row.len();
    let data = row.as_mut_ptr();
    // SAFETY: all places are within the row, whose length is a power of two, at least 16.
    unsafe {
        let m = M::new(q);
        let (one, two) = (splat(q), splat(2 * q));
        for start in (0..ring).step_by(2 * LANES) {
            let (low, high) = (data.add(start), data.add(start + 8));
            let (v, w) = (load(low), load(high));
            let (a, b) = (pick(v, w, [0, 2, 4, 6, 8, 10, 12, 14]), pick(v, w, [1, 3, 5, 7, 9, 11, 13, 15]));
            let (a, b) = together(m, two, a, b, factors::<M, 1>(powers, ring / 2 + start / 2));
            let (c, d) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            let (c, d) = together(m, two, c, d, factors::<M, 2>(powers, ring / 4 + start / 4));
            let (a, b) = (pick(c, d, [0, 1, 8, 9, 4, 5, 12, 13]), pick(c, d, [2, 3, 10, 11, 6, 7, 14, 15]));
            let (a, b) = together(m, two, a, b, factors::<M, 4>(powers, ring / 8 + start / 8));
            store(low, pick(a, b, [0, 1, 2, 3, 8, 9, 10, 11]));
            store(high, pick(a, b, [4, 5, 6, 7, 12, 13, 14, 15]));
        }
        let (mut gap, mut blocks) = (LANES, ring / (2 * LANES));
        if blocks.ilog2() % 2 == 0 {
            for block in 0..blocks {
                let factor = spread::<M>(powers.get(blocks + block));
                let (low, high) = (data.add(16 * block), data.add(16 * block + 8));
                let (a, b) = together(m, two, load(low), load(high), factor);
                store(low, a);
                store(high, b);
            }
            gap *= 2;
            blocks /= 2;
        }
        while blocks > 1 {
            blocks /= 2;
            for block in 0..blocks {
                let left = spread::<M>(powers.get(2 * (blocks + block)));
                let right = spread::<M>(powers.get(2 * (blocks + block) + 1));
                let first = spread::<M>(powers.get(blocks + block));
                let start = data.add(4 * gap * block);
                for k in (0..gap).step_by(LANES) {
                    let at = start.add(k);
                    let at = [at, at.add(gap), at.add(2 * gap), at.add(3 * gap)];
                    let (a, b) = together(m, two, load(at[0]), load(at[1]), left);
                    let (c, d) = together(m, two, load(at[2]), load(at[3]), right);
                    let (a, c) = together(m, two, a, c, first);
                    let (b, d) = together(m, two, b, d, first);
                    store(at[0], a);
                    store(at[1], b);
                    store(at[2], c);
                    store(at[3], d);
                }
            }
            gap *= 4;
            blocks /= 2;
        }
        let (w, quotient) = spread::<M>(last);
        for k in (0..ring).step_by(LANES) {
            store(data.add(k), once(m.lazily(load(data.add(k)), w, quotient), one));
        }
    }
}

/// # Safety
/// The machine must have what this module needs; the row has a power of two of words, at least 16, below `q`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn transform(q: u64, powers: &Powers, row: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        if q < SMALL {
            forward::<Narrow>(q, powers, row);
        } else {
            forward::<Wide>(q, powers, row);
        }
    }
}

/// # Safety
/// As [`transform`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn transform_back(q: u64, powers: &Powers, last: Factor, row: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        if q < SMALL {
            inverse::<Narrow>(q, powers, last, row);
        } else {
            inverse::<Wide>(q, powers, last, row);
        }
    }
}

/// `a += b` modulo `q`.
///
/// # Safety
/// The machine must have what this module needs; both rows have the same length, a multiple of 8.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn add(q: u64, a: &mut [u64], b: &[u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let q = splat(q);
        for k in (0..a.len()).step_by(LANES) {
            let sum = _mm512_add_epi64(load(a.as_ptr().add(k)), load(b.as_ptr().add(k)));
            store(a.as_mut_ptr().add(k), once(sum, q));
        }
    }
}

/// `a -= b` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn sub(q: u64, a: &mut [u64], b: &[u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let q = splat(q);
        for k in (0..a.len()).step_by(LANES) {
            let difference = _mm512_sub_epi64(load(a.as_ptr().add(k)), load(b.as_ptr().add(k)));
            // A negative difference is a large word, and less once `q` is added.
            let difference = _mm512_min_epu64(difference, _mm512_add_epi64(difference, q));
            store(a.as_mut_ptr().add(k), difference);
        }
    }
}

#[inline(always)]
unsafe fn scale_by<M: Multiply>(q: u64, factor: Factor, row: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (m, one) = (M::new(q), splat(q));
        let (w, quotient) = spread::<M>(factor);
        for k in (0..row.len()).step_by(LANES) {
            let at = row.as_mut_ptr().add(k);
            store(at, once(m.lazily(load(at), w, quotient), one));
        }
    }
}

/// `row *= factor` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn scale(q: u64, factor: Factor, row: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        if q < SMALL {
            scale_by::<Narrow>(q, factor, row);
        } else {
            scale_by::<Wide>(q, factor, row);
        }
    }
}

#[inline(always)]
unsafe fn divided<M: Multiply>(q: u64, inverse: Factor, value: &[u64], rest: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (m, one) = (M::new(q), splat(q));
        let (w, quotient) = spread::<M>(inverse);
        for k in (0..rest.len()).step_by(LANES) {
            let at = rest.as_mut_ptr().add(k);
            let difference = _mm512_sub_epi64(_mm512_add_epi64(load(value.as_ptr().add(k)), one), load(at));
            store(at, once(m.lazily(difference, w, quotient), one));
        }
    }
}

/// `rest = (value - rest) * inverse` modulo `q`.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn divide(q: u64, inverse: Factor, value: &[u64], rest: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        if q < SMALL {
            divided::<Narrow>(q, inverse, value, rest);
        } else {
            divided::<Wide>(q, inverse, value, rest);
        }
    }
}

/// `out = y - over * Q` modulo `q`, where `y` are any words and `minus` is `-Q` modulo `q`; `over` is 0 or 1.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn convert(modulus: &Modulus, minus: u64, y: &[u64], over: &[u32], out: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (q, two) = (splat(modulus.q), splat(2 * modulus.q));
        let (ratio, minus) = (splat(modulus.ratio), splat(minus));
        for k in (0..out.len()).step_by(LANES) {
            let y = load(y.as_ptr().add(k));
            // The quotient is up to three too small.
            let rest = _mm512_sub_epi64(y, _mm512_mullo_epi64(high(y, ratio), q));
            let reduced = once(once(rest, two), q);
            let over = _mm512_cvtepu32_epi64(_mm256_loadu_si256(over.as_ptr().add(k).cast()));
            let over = _mm512_test_epi64_mask(over, over);
            let sum = _mm512_mask_add_epi64(reduced, over, reduced, minus);
            store(out.as_mut_ptr().add(k), once(sum, q));
        }
    }
}

/// Sums of products of words below 2^52, as `high * 2^52 + low`, reduced modulo a prime below 2^50.
#[derive(Clone, Copy)]
struct Reduce {
    q: __m512i,
    two: __m512i,
    ratio: __m512i,
    narrow: Narrow,
    power: Root,
    unit: Root,
}

impl Reduce {
    #[inline(always)]
    unsafe fn new(modulus: &Modulus) -> Reduce {
        // SAFETY: as all of this module.
        unsafe {
            let q = modulus.q;
            Reduce {
                q: splat(q),
                two: splat(2 * q),
                ratio: splat(modulus.ratio),
                narrow: Narrow::new(q),
                power: spread::<Narrow>(modulus.factor((1 << 52) % q)),
                unit: spread::<Narrow>(modulus.factor(1)),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum(self, low: __m512i, above: __m512i) -> __m512i {
        // SAFETY: as all of this module.
        unsafe {
            let above = _mm512_add_epi64(above, _mm512_srli_epi64::<52>(low));
            let low = _mm512_and_si512(low, self.narrow.mask);
            let above = _mm512_sub_epi64(above, _mm512_mullo_epi64(high(above, self.ratio), self.q));
            let above = self.narrow.lazily(above, self.power.0, self.power.1);
            let low = self.narrow.lazily(low, self.unit.0, self.unit.1);
            once(once(_mm512_add_epi64(above, low), self.two), self.q)
        }
    }
}

/// `out = sum_d a(d) * b(d)` modulo a prime below 2^50, of up to 2^10 rows below the prime.
///
/// # Safety
/// As [`add`]; every pointer is good for as many words as `out` has.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn inner(modulus: &Modulus, pairs: &[(*const u64, *const u64)], out: &mut [u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let reduce = Reduce::new(modulus);
        for k in (0..out.len()).step_by(LANES) {
            let (mut low, mut above) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            for &(a, b) in pairs {
                let (a, b) = (load(a.add(k)), load(b.add(k)));
                low = _mm512_madd52lo_epu64(low, a, b);
                above = _mm512_madd52hi_epu64(above, a, b);
            }
            store(out.as_mut_ptr().add(k), reduce.sum(low, above));
        }
    }
}

/// `a *= b` modulo a prime below 2^50.
///
/// # Safety
/// As [`add`].
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn mul(modulus: &Modulus, a: &mut [u64], b: &[u64]) {
    // SAFETY: the caller's promise.
    unsafe {
        let reduce = Reduce::new(modulus);
        let zero = _mm512_setzero_si512();
        for k in (0..a.len()).step_by(LANES) {
            let (x, y) = (load(a.as_ptr().add(k)), load(b.as_ptr().add(k)));
            let (low, above) = (_mm512_madd52lo_epu64(zero, x, y), _mm512_madd52hi_epu64(zero, x, y));
            store(a.as_mut_ptr().add(k), reduce.sum(low, above));
        }
    }
}

/// `out = sum_i y_i * hats_i + over * minus` modulo a prime below 2^50.
///
/// The rows `y` follow each other; words may have 60 bits. `lifted_i` is `2^52 hats_i` modulo the prime.
///
/// # Safety
/// As [`add`]; `y` has `hats.len()` rows of the length of `out`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) unsafe fn convert_many(
    modulus: &Modulus,
    hats: &[u64],
    lifted: &[u64],
    minus: u64,
    y: &[u64],
    over: &[u32],
    out: &mut [u64],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let reduce = Reduce::new(modulus);
        let (ring, minus) = (out.len(), splat(minus));
        for k in (0..ring).step_by(LANES) {
            let over = _mm512_cvtepu32_epi64(_mm256_loadu_si256(over.as_ptr().add(k).cast()));
            let zero = _mm512_setzero_si512();
            let mut low = _mm512_madd52lo_epu64(zero, over, minus);
            let mut above = _mm512_madd52hi_epu64(zero, over, minus);
            for (i, (&hat, &lifted)) in hats.iter().zip(lifted).enumerate() {
                let y = load(y.as_ptr().add(i * ring + k));
                let (hat, lifted) = (splat(hat), splat(lifted));
                // The multiplier looks at the lowest 52 bits alone.
                low = _mm512_madd52lo_epu64(low, y, hat);
                above = _mm512_madd52hi_epu64(above, y, hat);
                let top = _mm512_srli_epi64::<52>(y);
                low = _mm512_madd52lo_epu64(low, top, lifted);
                above = _mm512_madd52hi_epu64(above, top, lifted);
            }
            store(out.as_mut_ptr().add(k), reduce.sum(low, above));
        }
    }
}

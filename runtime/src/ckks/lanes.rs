//! Operations on rows of numbers modulo a prime: in vector registers where the machine has them, plainly elsewhere.

use super::modulus::{Factor, Modulus};
#[cfg(target_arch = "x86_64")]
use super::{avx2, vector};

/// Whether rows of that length go through registers of eight words.
#[cfg(target_arch = "x86_64")]
pub(super) fn fits(length: usize) -> bool {
    use std::sync::LazyLock;
    static AVAILABLE: LazyLock<bool> = LazyLock::new(vector::available);
    length >= 2 * vector::LANES && length.is_multiple_of(2 * vector::LANES) && *AVAILABLE
}

/// Whether they go through registers of four, where [`fits`] says no.
#[cfg(target_arch = "x86_64")]
pub(super) fn fits_half(length: usize) -> bool {
    use std::sync::LazyLock;
    static AVAILABLE: LazyLock<bool> = LazyLock::new(avx2::available);
    length >= 2 * vector::LANES && length.is_multiple_of(2 * avx2::LANES) && *AVAILABLE
}

/// Whether they do, and the prime is small enough for the 52-bit multiplier.
#[cfg(target_arch = "x86_64")]
fn fits_narrow(modulus: &Modulus, length: usize) -> bool {
    modulus.q < vector::SMALL && fits(length)
}

/// `a += b`.
pub(crate) fn add(modulus: &Modulus, a: &mut [u64], b: &[u64]) {
    let b = &b[..a.len()];
    #[cfg(target_arch = "x86_64")]
    if fits(a.len()) {
        // SAFETY: the machine was asked, and the lengths are the same multiple of a register's.
        return unsafe { vector::add(modulus.q, a, b) };
    }
    #[cfg(target_arch = "x86_64")]
    if fits_half(a.len()) {
        // SAFETY: as above.
        return unsafe { avx2::add(modulus.q, a, b) };
    }
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = modulus.add(*a, b));
}

/// `a -= b`.
pub(crate) fn sub(modulus: &Modulus, a: &mut [u64], b: &[u64]) {
    let b = &b[..a.len()];
    #[cfg(target_arch = "x86_64")]
    if fits(a.len()) {
        // SAFETY: the machine was asked, and the lengths are the same multiple of a register's.
        return unsafe { vector::sub(modulus.q, a, b) };
    }
    #[cfg(target_arch = "x86_64")]
    if fits_half(a.len()) {
        // SAFETY: as above.
        return unsafe { avx2::sub(modulus.q, a, b) };
    }
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = modulus.sub(*a, b));
}

/// `a *= b`.
pub(crate) fn mul(modulus: &Modulus, a: &mut [u64], b: &[u64]) {
    let b = &b[..a.len()];
    #[cfg(target_arch = "x86_64")]
    if fits_narrow(modulus, a.len()) {
        // SAFETY: the machine was asked, and the lengths are the same multiple of a register's.
        return unsafe { vector::mul(modulus, a, b) };
    }
    a.iter_mut().zip(b).for_each(|(a, &b)| *a = modulus.mul(*a, b));
}

/// `row *= factor`.
pub(crate) fn scale(modulus: &Modulus, factor: Factor, row: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if fits(row.len()) {
        // SAFETY: the machine was asked, and the length is a multiple of a register's.
        return unsafe { vector::scale(modulus.q, factor, row) };
    }
    #[cfg(target_arch = "x86_64")]
    if fits_half(row.len()) {
        // SAFETY: as above.
        return unsafe { avx2::scale(modulus.q, factor, row) };
    }
    row.iter_mut().for_each(|x| *x = modulus.scale(*x, factor));
}

/// `rest = (value - rest) * inverse`.
pub(crate) fn divide(modulus: &Modulus, inverse: Factor, value: &[u64], rest: &mut [u64]) {
    let value = &value[..rest.len()];
    #[cfg(target_arch = "x86_64")]
    if fits(rest.len()) {
        // SAFETY: the machine was asked, and the lengths are the same multiple of a register's.
        return unsafe { vector::divide(modulus.q, inverse, value, rest) };
    }
    #[cfg(target_arch = "x86_64")]
    if fits_half(rest.len()) {
        // SAFETY: as above.
        return unsafe { avx2::divide(modulus.q, inverse, value, rest) };
    }
    for (rest, &x) in rest.iter_mut().zip(value) {
        *rest = modulus.scale(x + modulus.q - *rest, inverse);
    }
}

/// `out = y - over * Q`, `minus` being `-Q`; `over` is 0 or 1.
pub(crate) fn convert(modulus: &Modulus, minus: u64, y: &[u64], over: &[u32], out: &mut [u64]) {
    let (y, over) = (&y[..out.len()], &over[..out.len()]);
    #[cfg(target_arch = "x86_64")]
    if fits(out.len()) {
        // SAFETY: the machine was asked, and the lengths are the same multiple of a register's.
        return unsafe { vector::convert(modulus, minus, y, over, out) };
    }
    for ((out, &y), &over) in out.iter_mut().zip(y).zip(over) {
        *out = modulus.once(modulus.reduce(y) + u64::from(over) * minus);
    }
}

/// `out = sum_i y_i * hats_i + over * minus`; the rows `y` follow each other, and `lifted_i` is `2^52 hats_i`.
pub(crate) fn convert_many(
    modulus: &Modulus,
    (hats, lifted): (&[u64], &[u64]),
    minus: u64,
    y: &[u64],
    over: &[u32],
    out: &mut [u64],
) {
    let ring = out.len();
    let (y, over) = (&y[..hats.len() * ring], &over[..ring]);
    #[cfg(target_arch = "x86_64")]
    if fits_narrow(modulus, ring) {
        // SAFETY: the machine was asked, and the lengths are as it wants them.
        return unsafe { vector::convert_many(modulus, hats, lifted, minus, y, over, out) };
    }
    let _ = lifted;
    for (place, out) in out.iter_mut().enumerate() {
        // At most 2^7 products below 2^120.
        let rows = y[place..].iter().step_by(ring);
        let sum: u128 = rows.zip(hats).map(|(&y, &hat)| u128::from(y) * u128::from(hat)).sum();
        *out = modulus.reduce_wide(sum + u128::from(over[place]) * u128::from(minus));
    }
}

/// `out = sum_d a_d * b_d`, of up to 2^7 pairs of rows as long as `out`.
pub(crate) fn inner(modulus: &Modulus, pairs: &[(&[u64], &[u64])], out: &mut [u64]) {
    #[cfg(target_arch = "x86_64")]
    if fits_narrow(modulus, out.len()) {
        let length = out.len();
        let start = |&(a, b): &(&[u64], &[u64])| (a[..length].as_ptr(), b[..length].as_ptr());
        let starts: Vec<(*const u64, *const u64)> = pairs.iter().map(start).collect();
        // SAFETY: the machine was asked, every row is as long as `out`, a multiple of a register.
        return unsafe { vector::inner(modulus, &starts, out) };
    }
    const BLOCK: usize = 512;
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let at = block * BLOCK;
        // At most 2^7 products below 2^120.
        let mut sums = [0u128; BLOCK];
        for (a, b) in pairs {
            let (a, b) = (&a[at..][..out.len()], &b[at..][..out.len()]);
            for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
                *sum += u128::from(a) * u128::from(b);
            }
        }
        out.iter_mut().zip(&sums).for_each(|(out, &sum)| *out = modulus.reduce_wide(sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::{Parameters, Request};

    /// Numbers below a bound, the largest and zero among them.
    fn numbers(count: usize, bound: u64, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let next = |k: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            match k {
                0 => bound - 1,
                1 => 0,
                _ => (state ^ state >> 29) % bound,
            }
        };
        (0..count).map(next).collect()
    }

    fn moduli() -> Vec<Modulus> {
        let usual = Parameters::choose(&Request::toy(64, 3)).unwrap();
        let wide =
            Parameters::choose(&Request { scale_bits: 49, first_bits: 60, ..Request::toy(64, 3) }).unwrap();
        let all = [usual.primes, usual.special, wide.primes, wide.special];
        all.into_iter().flatten().map(Modulus::new).collect()
    }

    /// Rows of 16 and more numbers may go through registers, rows of 8 never do.
    #[test]
    fn long_rows_agree_with_short_ones() {
        for modulus in moduli() {
            let q = modulus.q;
            let (a, b, c) = (numbers(64, q, 1), numbers(64, q, 2), numbers(64, q, 3));
            let factor = modulus.factor(c[5]);
            let words = numbers(192, 1 << 60, 4);
            let over: Vec<u32> = numbers(64, 2, 5).iter().map(|&x| x as u32).collect();
            let many: Vec<u32> = numbers(64, 30, 6).iter().map(|&x| x as u32).collect();
            let hats = [q - 1, c[7], c[9]];
            let lifted = hats.map(|hat| modulus.mul(hat, (1 << 52) % q));
            let check = |name: &str, run: &dyn Fn(usize, usize, &mut [u64])| {
                let mut long = a.clone();
                run(0, 64, &mut long);
                let mut short = a.clone();
                short.chunks_exact_mut(8).enumerate().for_each(|(k, out)| run(8 * k, 8, out));
                assert_eq!(long, short, "{name} modulo {q}");
                assert!(long.iter().all(|&x| x < q));
            };
            check("add", &|at, n, out| add(&modulus, out, &b[at..at + n]));
            check("sub", &|at, n, out| sub(&modulus, out, &b[at..at + n]));
            check("mul", &|at, n, out| mul(&modulus, out, &b[at..at + n]));
            check("scale", &|_, _, out| scale(&modulus, factor, out));
            check("divide", &|at, n, out| divide(&modulus, factor, &b[at..at + n], out));
            check("convert", &|at, n, out| {
                convert(&modulus, c[3], &words[at..at + n], &over[at..at + n], out)
            });
            check("convert_many", &|at, n, out| {
                let rows: Vec<u64> =
                    (0..3).flat_map(|row| &words[64 * row + at..64 * row + at + n]).copied().collect();
                convert_many(&modulus, (&hats, &lifted), c[3], &rows, &many[at..at + n], out);
            });
            check("inner", &|at, n, out| {
                let rows = [&a[at..at + n], &b[at..at + n], &c[at..at + n]];
                let pairs: Vec<(&[u64], &[u64])> = (0..60).map(|k| (rows[k % 3], rows[k / 3 % 3])).collect();
                inner(&modulus, &pairs, out);
            });
        }
    }

    /// The registers of four words, whatever [`fits`] says of those of eight.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn registers_of_four_agree_with_single_words() {
        if !avx2::available() {
            eprintln!("skipped: no AVX2 here");
            return;
        }
        for modulus in moduli() {
            let q = modulus.q;
            let (a, b) = (numbers(64, q, 1), numbers(64, q, 2));
            let factor = modulus.factor(b[5]);
            let words = numbers(64, 1 << 60, 4);
            let mut found = [a.clone(), a.clone(), words.clone(), a.clone()];
            // SAFETY: the machine was asked; all rows have 64 words.
            unsafe {
                avx2::add(q, &mut found[0], &b);
                avx2::sub(q, &mut found[1], &b);
                avx2::scale(q, factor, &mut found[2]);
                avx2::divide(q, factor, &b, &mut found[3]);
            }
            let pairs = || a.iter().zip(&b).map(|(&a, &b)| (a, b));
            let expected: [Vec<u64>; 4] = [
                pairs().map(|(a, b)| modulus.add(a, b)).collect(),
                pairs().map(|(a, b)| modulus.sub(a, b)).collect(),
                words.iter().map(|&x| modulus.scale(x, factor)).collect(),
                pairs().map(|(a, b)| modulus.scale(b + q - a, factor)).collect(),
            ];
            assert_eq!(found, expected, "modulo {q}");
        }
    }
}

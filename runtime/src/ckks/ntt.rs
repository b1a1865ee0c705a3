//! The transform that turns products of polynomials modulo `X^N + 1` into products number by number.

#[cfg(target_arch = "x86_64")]
use super::lanes;
use super::modulus::{Factor, Modulus};
#[cfg(target_arch = "x86_64")]
use super::{avx2, vector};

/// The transform of one prime.
///
/// Place `k` of a transformed polynomial is its value at `root^(2 r + 1)`, `r` the bits of `k` in reverse and `root` a
/// primitive root of order `2 N`.
#[derive(Clone, Debug)]
pub(crate) struct Ntt {
    pub modulus: Modulus,
    pub ring: usize,
    /// The powers of the root, by their exponent's bits in reverse.
    forward: Powers,
    /// Their inverses.
    inverse: Powers,
    /// `1 / N`.
    last: Factor,
}

/// Factors, their values and their quotients apart.
#[derive(Clone, Debug)]
pub(crate) struct Powers {
    pub values: Vec<u64>,
    pub quotients: Vec<u64>,
}

impl Powers {
    #[inline(always)]
    pub fn get(&self, place: usize) -> Factor {
        Factor { value: self.values[place], quotient: self.quotients[place] }
    }
}

impl Ntt {
    pub fn new(q: u64, ring: usize) -> Ntt {
        let modulus = Modulus::new(q);
        let order = 2 * ring as u64;
        // A primitive root is one whose N-th power is -1.
        let root = (2..)
            .map(|base| modulus.power(base, (q - 1) / order))
            .find(|&root| modulus.power(root, ring as u64) == q - 1)
            .expect("the multiplicative group of a prime is cyclic");
        let unroot = modulus.invert(root);
        let bits = ring.ilog2();
        let powers = |root: u64| {
            let mut powers = Powers { values: vec![0; ring], quotients: vec![0; ring] };
            let mut power = 1;
            for k in 0..ring {
                let (place, factor) = (reverse(k, bits), modulus.factor(power));
                (powers.values[place], powers.quotients[place]) = (factor.value, factor.quotient);
                power = modulus.mul(power, root);
            }
            powers
        };
        let last = modulus.factor(modulus.invert(ring as u64));
        Ntt { modulus, ring, forward: powers(root), inverse: powers(unroot), last }
    }

    /// Transforms coefficients below `q`.
    pub fn forward(&self, row: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if lanes::fits(row.len()) {
            // SAFETY: the machine was asked, and the row has a power of two of words, at least two registers.
            return unsafe { vector::transform(self.modulus.q, &self.forward, row) };
        }
        #[cfg(target_arch = "x86_64")]
        if lanes::fits_half(row.len()) {
            // SAFETY: as above.
            return unsafe { avx2::transform(self.modulus.q, &self.forward, row) };
        }
        self.forward_plainly(row);
    }

    fn forward_plainly(&self, row: &mut [u64]) {
        let q = self.modulus.q;
        let (mut gap, mut blocks) = (self.ring, 1);
        while blocks < self.ring {
            gap /= 2;
            for (number, block) in row.chunks_exact_mut(2 * gap).enumerate() {
                let root = self.forward.get(blocks + number);
                let (low, high) = block.split_at_mut(gap);
                for (a, b) in low.iter_mut().zip(high) {
                    // Numbers stay below 4 q.
                    let x = (*a).min(a.wrapping_sub(2 * q));
                    let y = self.modulus.scale_lazily(*b, root);
                    *a = x + y;
                    *b = x + 2 * q - y;
                }
            }
            blocks *= 2;
        }
        for a in row {
            *a = self.modulus.once((*a).min(a.wrapping_sub(2 * q)));
        }
    }

    /// The coefficients of a transformed polynomial.
    pub fn inverse(&self, row: &mut [u64]) {
        #[cfg(target_arch = "x86_64")]
        if lanes::fits(row.len()) {
            // SAFETY: the machine was asked, and the row has a power of two of words, at least two registers.
            return unsafe { vector::transform_back(self.modulus.q, &self.inverse, self.last, row) };
        }
        #[cfg(target_arch = "x86_64")]
        if lanes::fits_half(row.len()) {
            // SAFETY: as above.
            return unsafe { avx2::transform_back(self.modulus.q, &self.inverse, self.last, row) };
        }
        self.inverse_plainly(row);
    }

    fn inverse_plainly(&self, row: &mut [u64]) {
        let q = self.modulus.q;
        let (mut gap, mut blocks) = (1, self.ring);
        while blocks > 1 {
            blocks /= 2;
            for (number, block) in row.chunks_exact_mut(2 * gap).enumerate() {
                let root = self.inverse.get(blocks + number);
                let (low, high) = block.split_at_mut(gap);
                for (a, b) in low.iter_mut().zip(high) {
                    // Numbers stay below 2 q.
                    let (x, y) = (*a, *b);
                    let sum = x + y;
                    *a = sum.min(sum.wrapping_sub(2 * q));
                    *b = self.modulus.scale_lazily(x + 2 * q - y, root);
                }
            }
            gap *= 2;
        }
        for a in row {
            *a = self.modulus.scale(*a, self.last);
        }
    }
}

/// The last `bits` bits of `k` in reverse.
pub(crate) fn reverse(k: usize, bits: u32) -> usize {
    if bits == 0 { 0 } else { k.reverse_bits() >> (usize::BITS - bits) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::parameters::{Parameters, Request};

    fn random(ring: usize, q: u64, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state ^ state >> 29) % q
        };
        (0..ring).map(|_| next()).collect()
    }

    /// The product modulo `X^N + 1`, coefficient by coefficient.
    fn schoolbook(a: &[u64], b: &[u64], modulus: &Modulus) -> Vec<u64> {
        let ring = a.len();
        let mut product = vec![0; ring];
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                let term = modulus.mul(x, y);
                let place = (i + j) % ring;
                product[place] = if i + j < ring {
                    modulus.add(product[place], term)
                } else {
                    modulus.sub(product[place], term)
                };
            }
        }
        product
    }

    #[test]
    fn products_are_those_of_the_schoolbook() {
        for ring in [8, 16, 32, 64, 256] {
            let parameters = Parameters::choose(&Request::toy(ring, 1)).unwrap();
            for &q in parameters.primes.iter().chain(&parameters.special) {
                let ntt = Ntt::new(q, ring as usize);
                let (a, b) = (random(ring as usize, q, 1), random(ring as usize, q, 2));
                let expected = schoolbook(&a, &b, &ntt.modulus);
                let (mut x, mut y) = (a.clone(), b);
                ntt.forward(&mut x);
                ntt.forward(&mut y);
                x.iter_mut().zip(&y).for_each(|(x, &y)| *x = ntt.modulus.mul(*x, y));
                ntt.inverse(&mut x);
                assert_eq!(x, expected, "ring {ring}, prime {q}");
                let mut back = a.clone();
                ntt.forward(&mut back);
                assert!(back.iter().all(|&x| x < q));
                ntt.inverse(&mut back);
                assert_eq!(back, a);
            }
        }
    }

    #[test]
    fn vector_registers_change_nothing() {
        for ring in [16u32, 32, 64, 128, 1 << 13] {
            let parameters = Parameters::choose(&Request::toy(ring, 1)).unwrap();
            for &q in parameters.primes.iter().chain(&parameters.special) {
                let ntt = Ntt::new(q, ring as usize);
                let mut row = random(ring as usize, q, 3);
                (row[0], row[1]) = (q - 1, 0);
                let mut plain = row.clone();
                #[cfg(target_arch = "x86_64")]
                let mut half = row.clone();
                ntt.forward(&mut row);
                ntt.forward_plainly(&mut plain);
                assert_eq!(row, plain, "ring {ring}, prime {q}");
                #[cfg(target_arch = "x86_64")]
                if lanes::fits_half(half.len()) {
                    let given = half.clone();
                    // SAFETY: the machine was asked, and the row has a power of two of words, at least 16.
                    unsafe { avx2::transform(q, &ntt.forward, &mut half) };
                    assert_eq!(half, plain, "ring {ring}, prime {q}");
                    // SAFETY: as above.
                    unsafe { avx2::transform_back(q, &ntt.inverse, ntt.last, &mut half) };
                    assert_eq!(half, given, "ring {ring}, prime {q}");
                }
                ntt.inverse(&mut row);
                ntt.inverse_plainly(&mut plain);
                assert_eq!(row, plain, "ring {ring}, prime {q}");
            }
        }
    }

    #[test]
    fn places_hold_values_at_odd_powers_of_the_root() {
        let parameters = Parameters::choose(&Request::toy(32, 1)).unwrap();
        let ntt = Ntt::new(parameters.primes[0], 32);
        let m = ntt.modulus;
        // X itself transforms to the points.
        let mut x = vec![0; 32];
        x[1] = 1;
        ntt.forward(&mut x);
        let root = x[0];
        assert_eq!(m.power(root, 32), m.q - 1);
        for (k, &point) in x.iter().enumerate() {
            assert_eq!(point, m.power(root, 2 * reverse(k, 5) as u64 + 1));
        }
    }
}

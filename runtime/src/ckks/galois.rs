//! Automorphisms: what rotates and conjugates slots.

use super::ntt::reverse;

/// The exponent `g` of `X -> X^g` that rotates slots to the left.
pub(crate) fn rotation(by: u32, ring: usize) -> usize {
    let order = 2 * ring;
    (0..by as usize % (ring / 2)).fold(1, |power, _| power * 5 % order)
}

/// The exponent that conjugates slots.
pub(crate) fn conjugation(ring: usize) -> usize {
    2 * ring - 1
}

/// The exponent that undoes another.
pub(crate) fn inverse(exponent: usize, ring: usize) -> usize {
    // Odd numbers modulo a power of two: each step doubles the bits that are right.
    let inverse = (0..6).fold(exponent, |x, _| x.wrapping_mul(2usize.wrapping_sub(exponent.wrapping_mul(x))));
    inverse % (2 * ring)
}

/// Where each number of a transformed polynomial comes from.
pub(crate) fn permutation(exponent: usize, ring: usize) -> Vec<u32> {
    let bits = ring.ilog2();
    let place = |k: usize| {
        let point = (2 * reverse(k, bits) + 1) * exponent % (2 * ring);
        reverse(point / 2, bits) as u32
    };
    (0..ring).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ckks::encode::Encoder;

    /// `p(X^g)` coefficient by coefficient.
    fn apply(coefficients: &[f64], exponent: usize) -> Vec<f64> {
        let ring = coefficients.len();
        let mut out = vec![0.0; ring];
        for (k, &c) in coefficients.iter().enumerate() {
            let power = k * exponent % (2 * ring);
            out[power % ring] = if power < ring { c } else { -c };
        }
        out
    }

    #[test]
    fn rotations_go_left() {
        let ring = 32;
        let encoder = Encoder::new(ring);
        let slots: Vec<f64> = (0..16).map(f64::from).collect();
        let coefficients = encoder.encode(&slots, 1.0);
        for by in 1..16 {
            let rotated = encoder.decode(&apply(&coefficients, rotation(by, ring)), 1.0);
            for (slot, value) in rotated.iter().enumerate() {
                assert!((value.re - slots[(slot + by as usize) % 16]).abs() < 1e-9);
            }
            assert_eq!(rotation(by, ring) * inverse(rotation(by, ring), ring) % (2 * ring), 1);
        }
    }

    #[test]
    fn conjugation_conjugates() {
        let ring = 32;
        let encoder = Encoder::new(ring);
        let coefficients: Vec<f64> = (0..ring).map(|k| (k as f64).sin()).collect();
        let before = encoder.decode(&coefficients, 1.0);
        let after = encoder.decode(&apply(&coefficients, conjugation(ring)), 1.0);
        for (a, b) in before.iter().zip(&after) {
            assert!((a.conj() - b).norm() < 1e-12);
        }
        assert_eq!(inverse(conjugation(ring), ring), conjugation(ring));
    }

    #[test]
    fn permutations_of_transforms_are_automorphisms() {
        use crate::ckks::{Parameters, Request, ntt::Ntt};
        let ring = 64;
        let q = Parameters::choose(&Request::toy(64, 1)).unwrap().primes[0];
        let ntt = Ntt::new(q, ring);
        let polynomial: Vec<u64> = (0..64).map(|k| k * k + 1).collect();
        for exponent in [rotation(1, ring), rotation(7, ring), conjugation(ring)] {
            let mut expected = vec![0; ring];
            for (k, &c) in polynomial.iter().enumerate() {
                let power = k * exponent % (2 * ring);
                expected[power % ring] = if power < ring { c } else { q - c };
            }
            let mut transformed = polynomial.clone();
            ntt.forward(&mut transformed);
            let mut moved: Vec<u64> =
                permutation(exponent, ring).iter().map(|&from| transformed[from as usize]).collect();
            ntt.inverse(&mut moved);
            assert_eq!(moved, expected);
        }
    }
}

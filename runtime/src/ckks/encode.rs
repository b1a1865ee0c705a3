//! Slots to polynomials and back.

use super::ntt::reverse;
use num_complex::Complex64;
use std::f64::consts::TAU;

/// The embedding: slot `j` of a polynomial is its value at `zeta^(5^j)`, `zeta = exp(2 pi i / 2N)`.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    slots: usize,
    /// The roots of each stage of the fast transform, one stage after the other: 1, 2, 4, ..
    roots: Vec<Complex64>,
}

impl Encoder {
    pub fn new(ring: usize) -> Encoder {
        let slots = ring / 2;
        let mut roots = Vec::with_capacity(slots);
        let mut half = 1;
        while half < slots {
            let order = 8 * half;
            let mut power = 1;
            for _ in 0..half {
                roots.push(Complex64::from_polar(1.0, TAU * power as f64 / order as f64));
                power = power * 5 % order;
            }
            half *= 2;
        }
        Encoder { slots, roots }
    }

    /// The slots of the polynomial with these coefficients: the first half real, the second half imaginary parts.
    fn to_slots(&self, values: &mut [Complex64]) {
        let bits = self.slots.ilog2();
        for k in 0..self.slots {
            let other = reverse(k, bits);
            if k < other {
                values.swap(k, other);
            }
        }
        let mut half = 1;
        while half < self.slots {
            let roots = &self.roots[half - 1..2 * half - 1];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
                    let turned = *b * root;
                    (*a, *b) = (*a + turned, *a - turned);
                }
            }
            half *= 2;
        }
    }

    /// Undoes [`Encoder::to_slots`], but for a factor of the number of slots.
    fn to_coefficients(&self, values: &mut [Complex64]) {
        let mut half = self.slots / 2;
        while half >= 1 {
            let roots = &self.roots[half - 1..2 * half - 1];
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(roots) {
                    (*a, *b) = (*a + *b, (*a - *b) * root.conj());
                }
            }
            half /= 2;
        }
        let bits = self.slots.ilog2();
        for k in 0..self.slots {
            let other = reverse(k, bits);
            if k < other {
                values.swap(k, other);
            }
        }
    }

    /// The coefficients, not yet rounded, of the polynomial whose slots are `scale` times these.
    pub fn encode(&self, slots: &[f64], scale: f64) -> Vec<f64> {
        let mut values: Vec<Complex64> = slots.iter().map(|&x| Complex64::new(x, 0.0)).collect();
        self.to_coefficients(&mut values);
        let factor = scale / self.slots as f64;
        let (real, imaginary) = (values.iter().map(|v| v.re), values.iter().map(|v| v.im));
        real.chain(imaginary).map(|coefficient| coefficient * factor).collect()
    }

    /// The slots of a polynomial, divided by `scale`.
    pub fn decode(&self, coefficients: &[f64], scale: f64) -> Vec<Complex64> {
        let (real, imaginary) = coefficients.split_at(self.slots);
        let mut values: Vec<Complex64> =
            real.iter().zip(imaginary).map(|(&re, &im)| Complex64::new(re / scale, im / scale)).collect();
        self.to_slots(&mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_transform_is_the_embedding() {
        for ring in [8usize, 16, 64, 256] {
            let encoder = Encoder::new(ring);
            let coefficients: Vec<f64> = (0..ring).map(|k| ((k * k + 3 * k) as f64).sin()).collect();
            let found = encoder.decode(&coefficients, 2.0);
            let mut power = 1;
            for (slot, &value) in found.iter().enumerate() {
                let expected: Complex64 = (0..ring)
                    .map(|k| {
                        let angle = TAU * (k * power % (2 * ring)) as f64 / (2 * ring) as f64;
                        Complex64::from_polar(coefficients[k] / 2.0, angle)
                    })
                    .sum();
                assert!((value - expected).norm() < 1e-12, "ring {ring}, slot {slot}: {value} {expected}");
                power = power * 5 % (2 * ring);
            }
        }
    }

    #[test]
    fn encoding_undoes_decoding() {
        let encoder = Encoder::new(1024);
        let slots: Vec<f64> = (0..512).map(|k| f64::from(k).cos()).collect();
        let coefficients = encoder.encode(&slots, 40f64.exp2());
        let back = encoder.decode(&coefficients, 40f64.exp2());
        for (value, expected) in back.iter().zip(&slots) {
            assert!((value.re - expected).abs() < 1e-14 && value.im.abs() < 1e-14);
        }
        // A constant is a constant polynomial.
        let coefficients = encoder.encode(&[3.0; 512], 1.0);
        assert!((coefficients[0] - 3.0).abs() < 1e-12);
        assert!(coefficients[1..].iter().all(|c| c.abs() < 1e-12));
    }
}

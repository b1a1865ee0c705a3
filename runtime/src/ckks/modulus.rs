//! Arithmetic modulo a prime below 2^60.

use super::parameters::{mul_mod, power_mod};

/// A prime and what makes dividing by it fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Modulus {
    pub q: u64,
    /// `floor(2^64 / q)`.
    pub ratio: u64,
    /// Bits of `q`.
    pub bits: u32,
    /// `floor(2^(2 bits) / q)`.
    pub barrett: u64,
    /// `2^64` modulo `q`.
    two64: Factor,
}

/// A factor that is used often, after Shoup: it and `floor(factor * 2^64 / q)`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Factor {
    pub value: u64,
    pub quotient: u64,
}

impl Modulus {
    pub fn new(q: u64) -> Modulus {
        let bits = 64 - q.leading_zeros();
        let mut modulus = Modulus {
            q,
            ratio: ((1u128 << 64) / u128::from(q)) as u64,
            bits,
            barrett: ((1u128 << (2 * bits)) / u128::from(q)) as u64,
            two64: Factor::default(),
        };
        modulus.two64 = modulus.factor(((1u128 << 64) % u128::from(q)) as u64);
        modulus
    }

    /// A factor below `q`, prepared.
    pub fn factor(&self, value: u64) -> Factor {
        Factor { value, quotient: ((u128::from(value) << 64) / u128::from(self.q)) as u64 }
    }

    /// `x` if below `q`, `x - q` otherwise; `x` is below `2 q`.
    #[inline(always)]
    pub fn once(&self, x: u64) -> u64 {
        x.min(x.wrapping_sub(self.q))
    }

    #[inline(always)]
    pub fn add(&self, a: u64, b: u64) -> u64 {
        self.once(a + b)
    }

    #[inline(always)]
    pub fn sub(&self, a: u64, b: u64) -> u64 {
        self.once(a + self.q - b)
    }

    #[inline(always)]
    pub fn negate(&self, a: u64) -> u64 {
        self.once(self.q - a)
    }

    /// `x * factor` up to a multiple of `q`, below `2 q`; `x` is any word.
    #[inline(always)]
    pub fn scale_lazily(&self, x: u64, factor: Factor) -> u64 {
        let quotient = ((u128::from(x) * u128::from(factor.quotient)) >> 64) as u64;
        x.wrapping_mul(factor.value).wrapping_sub(quotient.wrapping_mul(self.q))
    }

    /// `x * factor`; `x` is any word.
    #[inline(always)]
    pub fn scale(&self, x: u64, factor: Factor) -> u64 {
        self.once(self.scale_lazily(x, factor))
    }

    /// Any word, reduced.
    #[inline(always)]
    pub fn reduce(&self, x: u64) -> u64 {
        let quotient = ((u128::from(x) * u128::from(self.ratio)) >> 64) as u64;
        self.once(x.wrapping_sub(quotient.wrapping_mul(self.q)))
    }

    /// Any double word, reduced.
    #[inline(always)]
    pub fn reduce_wide(&self, x: u128) -> u64 {
        let (high, low) = ((x >> 64) as u64, x as u64);
        self.once(self.scale(high, self.two64) + self.reduce(low))
    }

    /// The product of two numbers below `q`.
    #[inline(always)]
    pub fn mul(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        let estimate = (product >> (self.bits - 1)) as u64;
        let quotient = ((u128::from(estimate) * u128::from(self.barrett)) >> (self.bits + 1)) as u64;
        let rest = (product as u64).wrapping_sub(quotient.wrapping_mul(self.q));
        self.once(self.once(rest))
    }

    pub fn power(&self, base: u64, exponent: u64) -> u64 {
        power_mod(base, exponent, self.q)
    }

    /// The inverse of a number that is no multiple of `q`.
    pub fn invert(&self, a: u64) -> u64 {
        self.power(a % self.q, self.q - 2)
    }

    /// A signed word, reduced.
    #[inline(always)]
    pub fn signed(&self, x: i64) -> u64 {
        let reduced = self.reduce(x.unsigned_abs());
        if x < 0 { self.negate(reduced) } else { reduced }
    }

    /// A float without a fraction, reduced.
    pub fn float(&self, x: f64) -> u64 {
        let magnitude = x.abs();
        if magnitude < 9e18 {
            return self.signed(x as i64);
        }
        // Above 2^63 a float is 53 bits times a power of two.
        let bits = magnitude.to_bits();
        let exponent = (bits >> 52) as i32 - 1075;
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        let reduced = mul_mod(mantissa % self.q, self.power(2, exponent.max(0) as u64), self.q);
        if x < 0.0 { self.negate(reduced) } else { reduced }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_plain_division() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        for q in [65_537, 1_099_511_480_321, (1 << 54) - 33, (1 << 60) - 93] {
            let m = Modulus::new(q);
            let wide = u128::from(q);
            for round in 0..2000 {
                let (x, y) = (next(), next());
                let (a, b) = match round {
                    0 => (q - 1, q - 1),
                    1 => (0, q - 1),
                    _ => (x % q, y % q),
                };
                assert_eq!(u128::from(m.mul(a, b)), u128::from(a) * u128::from(b) % wide);
                assert_eq!(u128::from(m.add(a, b)), (u128::from(a) + u128::from(b)) % wide);
                assert_eq!(u128::from(m.sub(a, b)), (u128::from(a) + wide - u128::from(b)) % wide);
                assert_eq!(m.negate(a), (q - a) % q);
                assert_eq!(m.reduce(x), x % q);
                let z = u128::from(x) << 64 | u128::from(y);
                assert_eq!(u128::from(m.reduce_wide(z)), z % wide);
                assert_eq!(u128::from(m.scale(x, m.factor(b))), u128::from(x) * u128::from(b) % wide);
                assert_eq!(i128::from(m.signed(x as i64)), i128::from(x as i64).rem_euclid(i128::from(q)));
                let float = (x as i64 as f64) * 2f64.powi((y % 60) as i32);
                assert_eq!(i128::from(m.float(float)), (float as i128).rem_euclid(i128::from(q)));
            }
            // The modulus of the test need not be prime for all but this.
            assert_eq!(Modulus::new(65_537).mul(Modulus::new(65_537).invert(3), 3), 1);
        }
    }
}

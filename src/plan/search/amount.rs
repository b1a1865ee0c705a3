//! Numbers of any magnitude: what a plan costs may lie far beyond 2^128.

use super::math;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Mul};

/// A number that is zero or positive, with the precision of an `f64` and an unbounded range.
///
/// Whole numbers below 2^53 are exact.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Amount {
    /// In `[1, 2)`, or zero.
    mantissa: f64,
    exponent: i64,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { mantissa: 0.0, exponent: 0 };
    /// One.
    pub const ONE: Amount = Amount { mantissa: 1.0, exponent: 0 };

    /// The amount of that value; negative numbers and NaN become zero.
    pub fn new(value: f64) -> Amount {
        if value > 0.0 {
            let (mantissa, exponent) = math::split(value.min(f64::MAX));
            Amount { mantissa, exponent }
        } else {
            Amount::ZERO
        }
    }

    /// The amount with that binary logarithm.
    pub fn from_log2(log: f64) -> Amount {
        if log == f64::NEG_INFINITY || log.is_nan() {
            return Amount::ZERO;
        }
        let log = log.clamp(-1e15, 1e15);
        let whole = log.floor();
        let part = Amount::new(math::exp2(log - whole));
        Amount { mantissa: part.mantissa, exponent: part.exponent + whole as i64 }
    }

    /// The factor in `[1, 2)`, or zero, and the power of two that it is multiplied by.
    pub(crate) fn parts(self) -> (f64, i64) {
        (self.mantissa, self.exponent)
    }

    /// The amount of these parts; none if they are not those of an amount.
    pub(crate) fn of_parts(mantissa: f64, exponent: i64) -> Option<Amount> {
        (mantissa == 0.0 || (1.0..2.0).contains(&mantissa)).then_some(Amount { mantissa, exponent })
    }

    /// As an `f64`; infinity beyond its range.
    pub fn value(self) -> f64 {
        match self.exponent {
            e if e > 1023 => f64::INFINITY,
            e if e < -1022 => 0.0,
            e => self.mantissa * math::power(e),
        }
    }

    /// The binary logarithm; minus infinity for zero.
    pub fn log2(self) -> f64 {
        if self.mantissa == 0.0 {
            f64::NEG_INFINITY
        } else {
            self.exponent as f64 + math::log2(self.mantissa)
        }
    }

    /// The decimal logarithm; minus infinity for zero.
    pub fn log10(self) -> f64 {
        self.log2() * std::f64::consts::LOG10_2
    }
}

impl Add for Amount {
    type Output = Amount;

    fn add(self, other: Amount) -> Amount {
        let (high, low) = if self >= other { (self, other) } else { (other, self) };
        let apart = high.exponent.saturating_sub(low.exponent);
        if low.mantissa == 0.0 || apart > 60 {
            return high;
        }
        let sum = high.mantissa + low.mantissa * math::power(-apart);
        let (mantissa, up) = math::split(sum);
        Amount { mantissa, exponent: high.exponent.saturating_add(up) }
    }
}

impl Mul for Amount {
    type Output = Amount;

    fn mul(self, other: Amount) -> Amount {
        if self.mantissa == 0.0 || other.mantissa == 0.0 {
            return Amount::ZERO;
        }
        let (mantissa, up) = math::split(self.mantissa * other.mantissa);
        Amount { mantissa, exponent: self.exponent.saturating_add(other.exponent).saturating_add(up) }
    }
}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Amount) -> Option<Ordering> {
        match (self.mantissa == 0.0, other.mantissa == 0.0) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Less),
            (false, true) => Some(Ordering::Greater),
            (false, false) => match self.exponent.cmp(&other.exponent) {
                Ordering::Equal => self.mantissa.partial_cmp(&other.mantissa),
                order => Some(order),
            },
        }
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Amount>>(amounts: I) -> Amount {
        amounts.fold(Amount::ZERO, Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.exponent < 53 {
            return write!(f, "{}", self.value());
        }
        let log = self.log10();
        let exponent = log.floor();
        let mantissa = math::exp2((log - exponent) * std::f64::consts::LOG2_10);
        write!(f, "{mantissa:.3}e{exponent}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact() {
        let mut sum = Amount::ZERO;
        for k in 1..1000u32 {
            sum = sum + Amount::new(f64::from(k)) * Amount::new(f64::from(k + 7));
        }
        assert_eq!(sum.value(), (1..1000u64).map(|k| k * (k + 7)).sum::<u64>() as f64);
        assert_eq!(sum.to_string(), "336330000");
    }

    #[test]
    fn numbers_beyond_any_float_keep_their_order() {
        let mut huge = Amount::ONE;
        for _ in 0..300 {
            huge = huge * Amount::new(1e10);
        }
        assert!((huge.log10() - 3000.0).abs() < 1e-9);
        assert_eq!(huge.value(), f64::INFINITY);
        assert_eq!(huge.to_string(), "1.000e3000");
        assert!(huge + Amount::ONE >= huge && huge > Amount::ONE && Amount::ONE > Amount::ZERO);
        assert!((Amount::from_log2(5000.25).log2() - 5000.25).abs() < 1e-9);
        assert_eq!(Amount::new(-1.0), Amount::ZERO);
        assert_eq!(Amount::ZERO.log2(), f64::NEG_INFINITY);
    }
}

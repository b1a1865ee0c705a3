//! One element, whatever its type.

use crate::DType;
use half::{bf16, f16};

/// One element of a tensor, wide enough for every [`crate::DType`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An integer, or a `bool` as 0 or 1.
    Int(i128),
    /// A real number.
    Real(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
}

impl Scalar {
    /// The real part; integers beyond 2^53 round.
    pub fn re(self) -> f64 {
        match self {
            Scalar::Int(value) => value as f64,
            Scalar::Real(re) | Scalar::Complex(re, _) => re,
        }
    }

    /// The imaginary part, 0 if it has none.
    pub fn im(self) -> f64 {
        match self {
            Scalar::Complex(_, im) => im,
            _ => 0.0,
        }
    }

    /// The integer part of the real part: truncated towards zero, saturated, 0 for NaN.
    pub fn int(self) -> i128 {
        match self {
            Scalar::Int(value) => value,
            Scalar::Real(re) | Scalar::Complex(re, _) => re as i128,
        }
    }

    /// Whether the value can be stored as that type and still be the same number.
    ///
    /// Reals may round to any float type, for that is what floats are for; everything else must stay exact: integers
    /// in range or representable, no fraction and no imaginary part lost, only 0 and 1 as `bool`.
    pub fn fits(self, dtype: DType) -> bool {
        match self {
            Scalar::Int(value) => match dtype.integer_range() {
                Some((low, high)) => (low..=high).contains(&value),
                None => float_holds(value, dtype.real_part()),
            },
            Scalar::Real(value) => match dtype.integer_range() {
                Some((low, high)) => {
                    value.trunc() == value && value.is_finite() && (low..=high).contains(&(value as i128))
                }
                None => true,
            },
            Scalar::Complex(re, im) => dtype.is_complex() || (im == 0.0 && Scalar::Real(re).fits(dtype)),
        }
    }

    /// The value as [`crate::Tensor::set`] stores it: rounded to the nearest float, wrapped to an integer type from an
    /// integer, truncated and saturated from a real, `!= 0` as `bool`, without its imaginary part as a real.
    pub fn cast(self, dtype: DType) -> Scalar {
        if dtype == DType::Bool {
            let is_zero = match self {
                Scalar::Int(value) => value == 0,
                Scalar::Real(value) => value == 0.0,
                Scalar::Complex(re, im) => re == 0.0 && im == 0.0,
            };
            return Scalar::Int((!is_zero).into());
        }
        if let Some((low, high)) = dtype.integer_range() {
            return Scalar::Int(match self {
                Scalar::Int(value) => low + (value.wrapping_sub(low)).rem_euclid(high - low + 1),
                _ => self.int().clamp(low, high),
            });
        }
        let round = |value: f64| match dtype.real_part() {
            DType::F32 => f64::from(value as f32),
            DType::F16 => f64::from(f16_of(value)),
            DType::Bf16 => f64::from(bf16_of(value)),
            _ => value,
        };
        let re = match (self, dtype.real_part()) {
            (Scalar::Int(value), DType::F32) => f64::from(value as f32),
            _ => round(self.re()),
        };
        if dtype.is_complex() { Scalar::Complex(re, round(self.im())) } else { Scalar::Real(re) }
    }
}

/// The `f32` from which a narrower float comes right: rounded to odd, so that rounding again does what rounding once
/// would have done.
fn odd_single(value: f64) -> f32 {
    let single = value as f32;
    let back = f64::from(single);
    if value.is_nan() || back == value {
        return single;
    }
    let towards_zero = single.to_bits() - u32::from(back.abs() > value.abs());
    f32::from_bits(towards_zero | 1)
}

/// The nearest `f16`, rounded once.
pub(crate) fn f16_of(value: f64) -> f16 {
    f16::from_f32(odd_single(value))
}

/// The nearest `bf16`, rounded once; `bf16::from_f64` ignores the lower half of the bits.
pub(crate) fn bf16_of(value: f64) -> bf16 {
    bf16::from_f32(odd_single(value))
}

/// Whether a float type has that very integer.
fn float_holds(value: i128, real: DType) -> bool {
    let (digits, top) = match real {
        DType::F64 => (53, 1024),
        DType::F32 => (24, 128),
        DType::F16 => (11, 16),
        _ => (8, 128),
    };
    let size = value.unsigned_abs();
    value == 0 || {
        let bits = 128 - size.leading_zeros();
        bits - size.trailing_zeros() <= digits && bits <= top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_fit_where_they_are_exact() {
        assert!(Scalar::Int(255).fits(DType::U8) && !Scalar::Int(256).fits(DType::U8));
        assert!(Scalar::Int(-8).fits(DType::I4) && !Scalar::Int(8).fits(DType::I4));
        assert!(Scalar::Int(1 << 24).fits(DType::F32) && !Scalar::Int((1 << 24) + 1).fits(DType::F32));
        assert!(Scalar::Int(1 << 60).fits(DType::F32));
        assert!(Scalar::Int(65504).fits(DType::F16) && !Scalar::Int(65536).fits(DType::F16));
        assert!(Scalar::Real(3.0).fits(DType::U2) && !Scalar::Real(3.5).fits(DType::U8));
        assert!(!Scalar::Real(f64::NAN).fits(DType::I64) && !Scalar::Real(2f64.powi(63)).fits(DType::I64));
        assert!(Scalar::Real(0.1).fits(DType::Bf16));
        assert!(!Scalar::Complex(1.0, 0.5).fits(DType::F64) && Scalar::Complex(1.0, 0.0).fits(DType::I8));
    }

    #[test]
    fn casts_wrap_truncate_and_round() {
        assert_eq!(Scalar::Int(200).cast(DType::I8), Scalar::Int(-56));
        assert_eq!(Scalar::Int(-1).cast(DType::U4), Scalar::Int(15));
        assert_eq!(Scalar::Int(6).cast(DType::I2), Scalar::Int(-2));
        assert_eq!(Scalar::Int(i128::MAX).cast(DType::I64), Scalar::Int(-1));
        assert_eq!(Scalar::Real(-3.9).cast(DType::I32), Scalar::Int(-3));
        assert_eq!(Scalar::Real(1e30).cast(DType::I16), Scalar::Int(32767));
        assert_eq!(Scalar::Real(f64::NAN).cast(DType::U8), Scalar::Int(0));
        assert_eq!(Scalar::Real(0.1).cast(DType::F32), Scalar::Real(0.1f32 as f64));
        assert_eq!(Scalar::Complex(0.0, 2.0).cast(DType::Bool), Scalar::Int(1));
        assert_eq!(Scalar::Complex(2.5, 2.0).cast(DType::I64), Scalar::Int(2));
        assert_eq!(Scalar::Int((1 << 24) + 1).cast(DType::C64), Scalar::Complex(16777216.0, 0.0));
    }

    #[test]
    fn halves_round_once() {
        // 1 + 2^-11 is a tie between two halves; a hair above it must go up although f32 cannot see the hair.
        let tie = 1.0 + 2f64.powi(-11);
        assert_eq!(f16_of(tie).to_bits(), 0x3c00);
        assert_eq!(f16_of(tie + 2f64.powi(-40)).to_bits(), 0x3c01);
        let odd = 1.0 + 3.0 * 2f64.powi(-11);
        assert_eq!(f16_of(odd).to_bits(), 0x3c02);
        assert_eq!(f16_of(odd - 2f64.powi(-40)).to_bits(), 0x3c01);
        assert_eq!(f16_of(-tie - 2f64.powi(-40)).to_bits(), 0xbc01);
        assert_eq!(f16_of(65519.999999999).to_bits(), 0x7bff);
        assert_eq!(f16_of(65520.0), f16::INFINITY);
        assert_eq!(f16_of(2f64.powi(-25)).to_bits(), 0);
        assert_eq!(f16_of(2f64.powi(-25) + 2f64.powi(-60)).to_bits(), 1);
        assert!(f16_of(f64::NAN).is_nan());
        let tie = 1.0 + 2f64.powi(-8);
        assert_eq!(bf16_of(tie).to_bits(), 0x3f80);
        assert_eq!(bf16_of(tie + 2f64.powi(-40)).to_bits(), 0x3f81);
        assert_eq!(bf16_of(-tie - 2f64.powi(-40)).to_bits(), 0xbf81);
        assert_eq!(bf16_of(1e300), bf16::INFINITY);
        assert_eq!(Scalar::Real(tie + 2f64.powi(-40)).cast(DType::Bf16), Scalar::Real(1.0 + 2f64.powi(-7)));
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            assert!(half.is_nan() || f16_of(half.into()).to_bits() == bits);
            let half = bf16::from_bits(bits);
            assert!(half.is_nan() || bf16_of(half.into()).to_bits() == bits);
        }
    }
}

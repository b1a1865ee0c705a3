//! The Rust types that tensors hold.

use crate::{DType, Scalar};
use half::{bf16, f16};
use num_complex::Complex;

mod sealed {
    pub trait Sealed {}
}

/// A Rust type whose values fill the memory of a tensor: `f64`, `f32`, [`struct@f16`], [`bf16`], `Complex<f64>`,
/// `Complex<f32>`, `i64` to `i8`, `u64` to `u8`, `bool`.
pub trait Element: sealed::Sealed + Copy + PartialEq + Send + Sync + 'static {
    /// The element type that tensors made from it have.
    const DTYPE: DType;

    /// Whether tensors of that element type hold values of this type. `i8` and `u8` also hold the narrower integers.
    fn holds(dtype: DType) -> bool {
        dtype == Self::DTYPE
    }

    /// The value as a scalar.
    fn to_scalar(self) -> Scalar;

    /// The value of a scalar, rounded, wrapped or truncated as [`Scalar::cast`] says.
    fn from_scalar(scalar: Scalar) -> Self;
}

macro_rules! integers {
    ($($type:ty = $dtype:ident $(| $narrow:ident)*;)*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: DType = DType::$dtype;

            fn holds(dtype: DType) -> bool {
                matches!(dtype, DType::$dtype $(| DType::$narrow)*)
            }

            fn to_scalar(self) -> Scalar {
                Scalar::Int(self.into())
            }

            fn from_scalar(scalar: Scalar) -> Self {
                match scalar {
                    Scalar::Int(value) => value as $type,
                    Scalar::Real(value) | Scalar::Complex(value, _) => value as $type,
                }
            }
        }
    )*};
}

integers! {
    i64 = I64;
    i32 = I32;
    i16 = I16;
    i8 = I8 | I4 | I2;
    u64 = U64;
    u32 = U32;
    u16 = U16;
    u8 = U8 | U4 | U2 | U1;
}

macro_rules! floats {
    ($($type:ty = $dtype:ident, $from_int:expr, $from_real:expr;)*) => {$(
        impl sealed::Sealed for $type {}

        impl Element for $type {
            const DTYPE: DType = DType::$dtype;

            fn to_scalar(self) -> Scalar {
                Scalar::Real(self.into())
            }

            fn from_scalar(scalar: Scalar) -> Self {
                match scalar {
                    Scalar::Int(value) => $from_int(value),
                    Scalar::Real(value) | Scalar::Complex(value, _) => $from_real(value),
                }
            }
        }
    )*};
}

floats! {
    f64 = F64, |value: i128| value as f64, |value: f64| value;
    f32 = F32, |value: i128| value as f32, |value: f64| value as f32;
    f16 = F16, |value: i128| f16::from_f32(value as f32), crate::scalar::f16_of;
    bf16 = Bf16, |value: i128| bf16::from_f32(value as f32), crate::scalar::bf16_of;
}

macro_rules! complex {
    ($($part:ty = $dtype:ident;)*) => {$(
        impl sealed::Sealed for Complex<$part> {}

        impl Element for Complex<$part> {
            const DTYPE: DType = DType::$dtype;

            fn to_scalar(self) -> Scalar {
                Scalar::Complex(self.re.into(), self.im.into())
            }

            fn from_scalar(scalar: Scalar) -> Self {
                Complex::new(<$part>::from_scalar(scalar), scalar.im() as $part)
            }
        }
    )*};
}

complex! {
    f64 = C128;
    f32 = C64;
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn to_scalar(self) -> Scalar {
        Scalar::Int(self.into())
    }

    fn from_scalar(scalar: Scalar) -> Self {
        scalar.cast(DType::Bool) == Scalar::Int(1)
    }
}

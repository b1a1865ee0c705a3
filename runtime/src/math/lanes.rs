//! The arithmetic of plain numbers, of which the compiler makes vector loops.

use super::formula::{self, Arithmetic};
use std::marker::PhantomData;

/// Arithmetic of `f32` or `f64`. `FMA` says whether the machine multiplies and adds in one instruction; elsewhere
/// `mul_add` would be a slow call.
pub(super) struct Lanes<T, const FMA: bool>(PhantomData<T>);

impl<T, const FMA: bool> Lanes<T, FMA> {
    pub(super) const NEW: Self = Lanes(PhantomData);
}

macro_rules! arithmetic {
    ($type:ty, $bits:ty, $wide:expr) => {
        impl<const FMA: bool> Arithmetic for Lanes<$type, FMA> {
            type Real = $type;
            type Bits = $bits;
            type Truth = bool;

            #[inline(always)]
            fn is_wide(&self) -> bool {
                $wide
            }
            #[inline(always)]
            fn has_fma(&self) -> bool {
                FMA
            }
            #[inline(always)]
            fn real(&self, value: f64) -> $type {
                value as $type
            }
            #[inline(always)]
            fn bits(&self, value: u64) -> $bits {
                value as $bits
            }
            #[inline(always)]
            fn add(&self, a: $type, b: $type) -> $type {
                a + b
            }
            #[inline(always)]
            fn sub(&self, a: $type, b: $type) -> $type {
                a - b
            }
            #[inline(always)]
            fn mul(&self, a: $type, b: $type) -> $type {
                a * b
            }
            #[inline(always)]
            fn div(&self, a: $type, b: $type) -> $type {
                a / b
            }
            #[inline(always)]
            fn fma(&self, a: $type, b: $type, c: $type) -> $type {
                if FMA { a.mul_add(b, c) } else { a * b + c }
            }
            #[inline(always)]
            fn neg(&self, a: $type) -> $type {
                -a
            }
            #[inline(always)]
            fn abs(&self, a: $type) -> $type {
                a.abs()
            }
            #[inline(always)]
            fn less(&self, a: $type, b: $type) -> bool {
                a < b
            }
            #[inline(always)]
            fn at_most(&self, a: $type, b: $type) -> bool {
                a <= b
            }
            #[inline(always)]
            fn equal(&self, a: $type, b: $type) -> bool {
                a == b
            }
            #[inline(always)]
            fn is_zero(&self, a: $bits) -> bool {
                a == 0
            }
            #[inline(always)]
            fn choose(&self, truth: bool, a: $type, b: $type) -> $type {
                if truth { a } else { b }
            }
            #[inline(always)]
            fn to_bits(&self, a: $type) -> $bits {
                a.to_bits()
            }
            #[inline(always)]
            fn float(&self, a: $bits) -> $type {
                <$type>::from_bits(a)
            }
            #[inline(always)]
            fn add_bits(&self, a: $bits, b: $bits) -> $bits {
                a.wrapping_add(b)
            }
            #[inline(always)]
            fn sub_bits(&self, a: $bits, b: $bits) -> $bits {
                a.wrapping_sub(b)
            }
            #[inline(always)]
            fn and(&self, a: $bits, b: $bits) -> $bits {
                a & b
            }
            #[inline(always)]
            fn or(&self, a: $bits, b: $bits) -> $bits {
                a | b
            }
            #[inline(always)]
            fn xor(&self, a: $bits, b: $bits) -> $bits {
                a ^ b
            }
            #[inline(always)]
            fn shift_left(&self, a: $bits, by: u32) -> $bits {
                a << by
            }
            #[inline(always)]
            fn shift_right(&self, a: $bits, by: u32) -> $bits {
                a >> by
            }
        }
    };
}

arithmetic!(f64, u64, true);
arithmetic!(f32, u32, false);

/// The sine of an `f32`, in `f64` where nothing is fused.
#[inline(always)]
pub(super) fn sin_f32<const FMA: bool>(m: &Lanes<f32, FMA>, x: f32) -> f32 {
    if FMA { formula::sin(m, x) } else { formula::sin(&Lanes::<f64, FMA>::NEW, x.into()) as f32 }
}

/// The cosine of an `f32`, in `f64` where nothing is fused.
#[inline(always)]
pub(super) fn cos_f32<const FMA: bool>(m: &Lanes<f32, FMA>, x: f32) -> f32 {
    if FMA { formula::cos(m, x) } else { formula::cos(&Lanes::<f64, FMA>::NEW, x.into()) as f32 }
}

/// A power of an `f32`: [`formula::power_of_narrow`].
#[inline(always)]
pub(super) fn power_f32<const FMA: bool>(_: &Lanes<f32, FMA>, x: f32, exponent: f64) -> f32 {
    formula::power_of_narrow(&Lanes::<f64, FMA>::NEW, x.into(), exponent) as f32
}

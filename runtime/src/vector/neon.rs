//! Vectors of NEON.

use super::{Plain, Vector, VectorFloat};
use std::arch::aarch64::*;

macro_rules! vector {
    ($($name:ident($register:ty): $type:ty, $lanes:expr, $splat:ident, $load:ident, $store:ident, $fma:ident, $fms:ident, $add:ident, $sub:ident, $mul:ident;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        // SAFETY: every 64-bit ARM machine that Rust compiles for has these instructions.
        unsafe impl Vector for $name {
            type Elem = $type;
            type Mask = usize;
            const LANES: usize = $lanes;

            type Sum = Self;

            #[inline(always)]
            unsafe fn no_sum() -> Self {
                // SAFETY: as the trait demands.
                unsafe { Self::zero() }
            }

            #[inline(always)]
            unsafe fn sum_up(self, factor: Self, sum: Self) -> Self {
                // SAFETY: as the trait demands.
                unsafe { self.mul_add(factor, sum) }
            }

            #[inline(always)]
            unsafe fn summed(sum: Self) -> Self {
                sum
            }

            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat(0.0) })
            }

            #[inline(always)]
            unsafe fn splat(value: $type) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn mask(lanes: usize) -> usize {
                lanes
            }

            #[inline(always)]
            unsafe fn load(from: *const $type) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn load_part(from: *const $type, lanes: usize) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $load(Plain::<$type, $lanes>::load_part(from, lanes).to_array().as_ptr()) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $type) {
                // SAFETY: as the trait demands.
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            unsafe fn store_part(self, to: *mut $type, lanes: usize) {
                // SAFETY: as the trait demands.
                unsafe { Plain::<$type, $lanes>::load(self.to_array().as_ptr()).store_part(to, lanes) }
            }

            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $fma(term.0, self.0, factor.0) })
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn sum(self) -> $type {
                // SAFETY: the array has that many lanes.
                unsafe { Plain::<$type, $lanes>::load(self.to_array().as_ptr()).sum() }
            }

            #[inline(always)]
            fn plus(a: $type, b: $type) -> $type {
                a + b
            }
        }

        // SAFETY: as for `Vector`.
        unsafe impl VectorFloat for $name {
            type Array = [$type; $lanes];
            const NOUGHT: $type = 0.0;

            #[inline(always)]
            unsafe fn negated_mul_add(self, factor: Self, term: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $fms(term.0, self.0, factor.0) })
            }

            #[inline(always)]
            unsafe fn to_array(self) -> [$type; $lanes] {
                let mut array = [0.0; $lanes];
                // SAFETY: the array has that many lanes.
                unsafe { $store(array.as_mut_ptr(), self.0) };
                array
            }

            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $sub(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                // SAFETY: as the trait demands.
                $name(unsafe { $mul(self.0, other.0) })
            }
        }
    )*};
}

vector! {
    F32x4(float32x4_t): f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, vfmaq_f32, vfmsq_f32, vaddq_f32, vsubq_f32, vmulq_f32;
    F64x2(float64x2_t): f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, vfmaq_f64, vfmsq_f64, vaddq_f64, vsubq_f64, vmulq_f64;
}

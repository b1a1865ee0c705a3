//! Vectors of NEON, which every 64-bit ARM machine has that Rust compiles for.
//!
//! On other machines an emulator runs the tests (Debian's `qemu-user` and `gcc-aarch64-linux-gnu`):
//!
//! ```text
//! rustup target add aarch64-unknown-linux-gnu
//! export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
//! export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu'
//! cargo test -p einc-runtime --target aarch64-unknown-linux-gnu --config profile.dev.opt-level=2 gemm fourier
//! ```

use super::{Plain, Vector, VectorFloat};
use num_complex::Complex;
use std::arch::aarch64::*;

/// Asks for a line of memory to come near: there is no stable function for that.
#[inline(always)]
fn prefetch(_: *const i8) {}

#[inline(always)]
fn prefetch_far(_: *const i8) {}

vector! {
    F32x4(float32x4_t): f32, 4, usize, |count| count,
        vdupq_n_f32,
        |from| vld1q_f32(from), |from, lanes| vld1q_f32(Plain::<f32, 4>::load_part(from, lanes).to_array().as_ptr()),
        |to, value| vst1q_f32(to, value), |to, lanes, value| Plain(F32x4(value).to_array()).store_part(to, lanes),
        |a, b, c| vfmaq_f32(c, a, b), vaddq_f32;
    F64x2(float64x2_t): f64, 2, usize, |count| count,
        vdupq_n_f64,
        |from| vld1q_f64(from), |from, lanes| vld1q_f64(Plain::<f64, 2>::load_part(from, lanes).to_array().as_ptr()),
        |to, value| vst1q_f64(to, value), |to, lanes, value| Plain(F64x2(value).to_array()).store_part(to, lanes),
        |a, b, c| vfmaq_f64(c, a, b), vaddq_f64;
}

vector_float! {
    F32x4, f32, 4, |x, y, z| vfmsq_f32(z, x, y), vst1q_f32, vsubq_f32, vmulq_f32,
        |pair| vreinterpretq_f32_u64(vdupq_n_u64(
            u64::from(pair.re.to_bits()) | u64::from(pair.im.to_bits()) << 32)),
        |v| vtrn1q_f32(v, v), vtrn2q_f32(v, v),
        vreinterpretq_f32_u32(veorq_u32(
            vreinterpretq_u32_f32(vrev64q_f32(v)), vreinterpretq_u32_u64(vdupq_n_u64(1 << 31)))),
        |v| { let halves = vrev64q_f32(v); vextq_f32::<2>(halves, halves) },
        |a, b| [vzip1q_f32(a, b), vzip2q_f32(a, b)],
        |low, high| [vuzp1q_f32(low, high), vuzp2q_f32(low, high)];
    F64x2, f64, 2, |x, y, z| vfmsq_f64(z, x, y), vst1q_f64, vsubq_f64, vmulq_f64,
        |pair| vcombine_f64(vdup_n_f64(pair.re), vdup_n_f64(pair.im)),
        |v| vtrn1q_f64(v, v), vtrn2q_f64(v, v),
        vreinterpretq_f64_u64(veorq_u64(
            vreinterpretq_u64_f64(vextq_f64::<1>(v, v)), vcombine_u64(vdup_n_u64(1 << 63), vdup_n_u64(0)))),
        |v| vextq_f64::<1>(v, v),
        |a, b| [vzip1q_f64(a, b), vzip2q_f64(a, b)],
        |low, high| [vuzp1q_f64(low, high), vuzp2q_f64(low, high)];
}

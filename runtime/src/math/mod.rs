//! Functions of one or two numbers for compiled code: one value at a time, and over arrays.
//!
//! Scalar functions are as exact as the system's library, `f32` ones are those of `f64` rounded. Array functions use
//! the widest vectors of the machine; [`formula`] says how, and how exact they are. Both follow IEEE at zeros,
//! infinities and NaN; where functions of arrays vanish, they do not go through subnormal numbers.

mod fold;
pub mod formula;
mod lanes;
#[cfg(test)]
mod tests;

pub use fold::{
    FIND_F32, FIND_F64, FOLD_F32, FOLD_F64, FOLD_ROWS_F32, FOLD_ROWS_F64, FindF32, FindF64, FoldF32, FoldF64,
    FoldRowsF32, FoldRowsF64,
};

use lanes::Lanes;

/// Arithmetic that any machine has.
type Plain = Lanes<f64, false>;

macro_rules! scalars {
    ($($f64:ident, $f32:ident, $name:literal: |$x:ident| $value:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "` of one `f64`.")]
            pub extern "C" fn $f64($x: f64) -> f64 {
                $value
            }

            #[doc = concat!("`", $name, "` of one `f32`.")]
            pub extern "C" fn $f32(x: f32) -> f32 {
                $f64(x.into()) as f32
            }
        )*

        /// The functions of one `f64`, by their names in the language.
        pub const SCALAR_F64: &[(&str, extern "C" fn(f64) -> f64)] = &[$(($name, $f64)),*];

        /// The functions of one `f32`, by their names in the language.
        pub const SCALAR_F32: &[(&str, extern "C" fn(f32) -> f32)] = &[$(($name, $f32)),*];
    };
}

scalars! {
    exp_f64, exp_f32, "exp": |x| x.exp();
    log_f64, log_f32, "log": |x| x.ln();
    log1p_f64, log1p_f32, "log1p": |x| x.ln_1p();
    expm1_f64, expm1_f32, "expm1": |x| x.exp_m1();
    sqrt_f64, sqrt_f32, "sqrt": |x| x.sqrt();
    rsqrt_f64, rsqrt_f32, "rsqrt": |x| 1.0 / x.sqrt();
    sin_f64, sin_f32, "sin": |x| x.sin();
    cos_f64, cos_f32, "cos": |x| x.cos();
    tan_f64, tan_f32, "tan": |x| x.tan();
    asin_f64, asin_f32, "asin": |x| x.asin();
    acos_f64, acos_f32, "acos": |x| x.acos();
    atan_f64, atan_f32, "atan": |x| x.atan();
    sinh_f64, sinh_f32, "sinh": |x| x.sinh();
    cosh_f64, cosh_f32, "cosh": |x| x.cosh();
    tanh_f64, tanh_f32, "tanh": |x| x.tanh();
    erf_f64, erf_f32, "erf": |x| formula::erf(&Plain::NEW, x);
    sigmoid_f64, sigmoid_f32, "sigmoid": |x| formula::sigmoid(&Plain::NEW, x);
    relu_f64, relu_f32, "relu": |x| if x > 0.0 || x.is_nan() { x } else { 0.0 };
    gelu_f64, gelu_f32, "gelu": |x| formula::gelu(&Plain::NEW, x);
    gelu_tanh_f64, gelu_tanh_f32, "gelu_tanh": |x| formula::gelu_tanh(&Plain::NEW, x);
    silu_f64, silu_f32, "silu": |x| formula::silu(&Plain::NEW, x);
    softplus_f64, softplus_f32, "softplus": |x| (-x.abs()).exp().ln_1p() + if x > 0.0 || x.is_nan() { x } else { 0.0 };
    abs_f64, abs_f32, "abs": |x| x.abs();
    sign_f64, sign_f32, "sign": |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x };
    floor_f64, floor_f32, "floor": |x| x.floor();
    ceil_f64, ceil_f32, "ceil": |x| x.ceil();
    round_f64, round_f32, "round": |x| x.round_ties_even();
}

macro_rules! pairs {
    ($($f64:ident, $f32:ident, $name:literal: |$x:ident, $y:ident| $value:expr;)*) => {
        $(
            #[doc = concat!("`", $name, "` of two `f64`.")]
            pub extern "C" fn $f64($x: f64, $y: f64) -> f64 {
                $value
            }

            #[doc = concat!("`", $name, "` of two `f32`.")]
            pub extern "C" fn $f32(x: f32, y: f32) -> f32 {
                $f64(x.into(), y.into()) as f32
            }
        )*

        /// The functions of two `f64`, by their names in the language.
        pub const PAIR_F64: &[(&str, extern "C" fn(f64, f64) -> f64)] = &[$(($name, $f64)),*];

        /// The functions of two `f32`, by their names in the language.
        pub const PAIR_F32: &[(&str, extern "C" fn(f32, f32) -> f32)] = &[$(($name, $f32)),*];
    };
}

pairs! {
    pow_f64, pow_f32, "**": |x, y| x.powf(y);
    atan2_f64, atan2_f32, "atan2": |x, y| x.atan2(y);
    rem_f64, rem_f32, "%": |x, y| floor_remainder(x, y);
}

/// The remainder with the sign of the divisor, 0 if that is 0.
fn floor_remainder(x: f64, y: f64) -> f64 {
    if y == 0.0 {
        return 0.0;
    }
    let rest = x % y;
    if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }
}

/// How many bits of the value are ones.
pub extern "C" fn popcount_i64(x: i64) -> i64 {
    x.count_ones().into()
}

/// `y[i] = f(x[i])` for `i` below `n`; `x` and `y` may be one array.
pub type ArrayF64 = unsafe extern "C" fn(x: *const f64, y: *mut f64, n: usize);

/// `y[i] = f(x[i])` for `i` below `n`; `x` and `y` may be one array.
pub type ArrayF32 = unsafe extern "C" fn(x: *const f32, y: *mut f32, n: usize);

/// Elements that are worked on at once, in memory of their own: that `x` and `y` may be one array costs nothing then.
const CHUNK: usize = 64;

/// Declares a function of arrays. What is given beside them is the same for all elements; where an argument is larger
/// than the most, all of a chunk go by the scalar function.
macro_rules! array {
    ($type:ty, $slice:ident, $function:path, $name:literal $(, fallback $most:expr, $scalar:ident)? $(, given $given:ident: $given_type:ty)?) => {
        #[doc = concat!("`y[i] = ", $name, "(x[i])` for `i` below `n`; `x` and `y` may be one array.")]
        ///
        /// # Safety
        /// Both pointers must be good for `n` elements; the arrays are one or do not overlap.
        pub unsafe extern "C" fn $slice(x: *const $type, y: *mut $type, n: usize $(, $given: $given_type)?) {
            #[inline(always)]
            fn chunk<const FMA: bool>(from: [$type; CHUNK] $(, $given: $given_type)?) -> [$type; CHUNK] {
                $(
                    if !from.iter().fold(true, |all, value| all & (value.abs() <= $most)) {
                        return from.map(|value| $scalar(value));
                    }
                )?
                let mut to = from;
                // A closure might be compiled on its own, without the features of the caller.
                for value in &mut to {
                    *value = $function(&Lanes::<$type, FMA>::NEW, *value $(, $given)?);
                }
                to
            }

            #[inline(always)]
            unsafe fn each<const FMA: bool>(x: *const $type, y: *mut $type, n: usize $(, $given: $given_type)?) {
                let whole = n / CHUNK * CHUNK;
                for at in (0..whole).step_by(CHUNK) {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let from = x.add(at).cast::<[$type; CHUNK]>().read_unaligned();
                        y.add(at).cast::<[$type; CHUNK]>().write_unaligned(chunk::<FMA>(from $(, $given)?));
                    }
                }
                if whole < n {
                    let mut from = [0.0; CHUNK];
                    // SAFETY: the caller's promise.
                    unsafe {
                        std::ptr::copy_nonoverlapping(x.add(whole), from.as_mut_ptr(), n - whole);
                        let to = chunk::<FMA>(from $(, $given)?);
                        std::ptr::copy_nonoverlapping(to.as_ptr(), y.add(whole), n - whole);
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                unsafe fn avx2(x: *const $type, y: *mut $type, n: usize $(, $given: $given_type)?) {
                    // SAFETY: the caller's promise.
                    unsafe { each::<true>(x, y, n $(, $given)?) }
                }

                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
                unsafe fn avx512(x: *const $type, y: *mut $type, n: usize $(, $given: $given_type)?) {
                    // SAFETY: the caller's promise.
                    unsafe { each::<true>(x, y, n $(, $given)?) }
                }

                match level() {
                    // SAFETY: the machine has been asked; the rest is the caller's promise.
                    2 => return unsafe { avx512(x, y, n $(, $given)?) },
                    // SAFETY: as above.
                    1 => return unsafe { avx2(x, y, n $(, $given)?) },
                    _ => {}
                }
            }
            // SAFETY: the caller's promise.
            unsafe { each::<{ cfg!(target_arch = "aarch64") }>(x, y, n $(, $given)?) }
        }
    };
}

macro_rules! arrays {
    ($type:ty, $table:ident, $array:ident, $($slice:ident, $function:path, $name:literal $(, fallback $most:expr, $scalar:ident)?;)*) => {
        $(array!($type, $slice, $function, $name $(, fallback $most, $scalar)?);)*

        #[doc = concat!("Functions over arrays of `", stringify!($type), "`, by their names in the language.")]
        pub const $table: &[(&str, $array)] = &[$(($name, $slice)),*];
    };
}

/// Which vectors the machine has: 2 for AVX-512, 1 for AVX2 with FMA.
#[cfg(target_arch = "x86_64")]
pub(crate) fn level() -> u8 {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw");
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match (avx512 && avx2, avx2) {
        (true, _) => 2,
        (_, true) => 1,
        _ => 0,
    }
}

arrays! {
    f64, ARRAY_F64, ArrayF64,
    exp_f64_slice, formula::exp, "exp";
    log_f64_slice, formula::log, "log";
    sin_f64_slice, formula::sin, "sin", fallback formula::MOST_ANGLE, sin_f64;
    cos_f64_slice, formula::cos, "cos", fallback formula::MOST_ANGLE, cos_f64;
    tanh_f64_slice, formula::tanh, "tanh";
    sigmoid_f64_slice, formula::sigmoid, "sigmoid";
    erf_f64_slice, formula::erf, "erf";
    gelu_f64_slice, formula::gelu, "gelu";
    gelu_tanh_f64_slice, formula::gelu_tanh, "gelu_tanh";
    silu_f64_slice, formula::silu, "silu";
    softplus_f64_slice, formula::softplus, "softplus";
}

arrays! {
    f32, ARRAY_F32, ArrayF32,
    exp_f32_slice, formula::exp, "exp";
    log_f32_slice, formula::log, "log";
    sin_f32_slice, lanes::sin_f32, "sin", fallback formula::MOST_ANGLE as f32, sin_f32;
    cos_f32_slice, lanes::cos_f32, "cos", fallback formula::MOST_ANGLE as f32, cos_f32;
    tanh_f32_slice, formula::tanh, "tanh";
    sigmoid_f32_slice, formula::sigmoid, "sigmoid";
    erf_f32_slice, formula::erf, "erf";
    gelu_f32_slice, formula::gelu, "gelu";
    gelu_tanh_f32_slice, formula::gelu_tanh, "gelu_tanh";
    silu_f32_slice, formula::silu, "silu";
    softplus_f32_slice, formula::softplus, "softplus";
}

array!(f32, powers_f32, lanes::power_f32, "(|x| x ** exponent)", given exponent: f64);

//! Functions of one or two numbers for compiled code: one value at a time, and over arrays.
//!
//! Scalar functions are as exact as the system's library, `f32` ones are those of `f64` rounded. Array functions use
//! the widest vectors of the machine and err by at most 2 units in the last place (`gelu_tanh` by as many as its
//! exponent is long: 8 in its tail). Both follow IEEE at zeros, infinities and NaN.

mod fold;
mod lanes;

pub use fold::{
    FIND_F32, FIND_F64, FOLD_F32, FOLD_F64, FOLD_ROWS_F32, FOLD_ROWS_F64, FindF32, FindF64, FoldF32, FoldF64,
    FoldRowsF32, FoldRowsF64,
};

use num_complex::Complex;

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
    erf_f64, erf_f32, "erf": |x| lanes::erf::<false>(x);
    sigmoid_f64, sigmoid_f32, "sigmoid": |x| lanes::sigmoid::<false>(x);
    relu_f64, relu_f32, "relu": |x| if x > 0.0 || x.is_nan() { x } else { 0.0 };
    gelu_f64, gelu_f32, "gelu": |x| lanes::gelu::<false>(x);
    gelu_tanh_f64, gelu_tanh_f32, "gelu_tanh": |x| lanes::gelu_tanh::<false>(x);
    silu_f64, silu_f32, "silu": |x| lanes::silu::<false>(x);
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

macro_rules! complexes {
    ($($name:ident, $text:literal: |$z:ident| $value:expr;)*) => {
        $(
            #[doc = concat!("`", $text, "` of one complex number, from `z` to `out`, which may be one place.")]
            ///
            /// # Safety
            /// Both pointers must be good.
            pub unsafe extern "C" fn $name(z: *const Complex<f64>, out: *mut Complex<f64>) {
                // SAFETY: the caller's promise.
                let $z = unsafe { *z };
                // SAFETY: the caller's promise.
                unsafe { *out = $value }
            }
        )*

        /// The functions of one `c128`, by their names in the language.
        pub const COMPLEX: &[(&str, ComplexFunction)] = &[$(($text, $name)),*];
    };
}

/// A function of one complex number, from the first place to the second.
pub type ComplexFunction = unsafe extern "C" fn(*const Complex<f64>, *mut Complex<f64>);

complexes! {
    exp_c128, "exp": |z| z.exp();
    log_c128, "log": |z| z.ln();
    sqrt_c128, "sqrt": |z| z.sqrt();
    rsqrt_c128, "rsqrt": |z| z.sqrt().inv();
    sin_c128, "sin": |z| z.sin();
    cos_c128, "cos": |z| z.cos();
    tan_c128, "tan": |z| z.tan();
    sinh_c128, "sinh": |z| z.sinh();
    cosh_c128, "cosh": |z| z.cosh();
    tanh_c128, "tanh": |z| z.tanh();
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

macro_rules! arrays {
    ($type:ty, $table:ident, $array:ident, $($slice:ident, $lanes:ident, $name:literal $(, fallback $most:expr, $scalar:ident)?;)*) => {
        $(
            #[doc = concat!("`y[i] = ", $name, "(x[i])` for `i` below `n`; `x` and `y` may be one array.")]
            ///
            /// # Safety
            /// Both pointers must be good for `n` elements; the arrays are one or do not overlap.
            pub unsafe extern "C" fn $slice(x: *const $type, y: *mut $type, n: usize) {
                #[inline(always)]
                unsafe fn each<const FMA: bool>(x: *const $type, y: *mut $type, n: usize) {
                    let mut at = 0;
                    while at < n {
                        let len = CHUNK.min(n - at);
                        let mut chunk = [0.0; CHUNK];
                        // SAFETY: the caller's promise.
                        unsafe { std::ptr::copy_nonoverlapping(x.add(at), chunk.as_mut_ptr(), len) };
                        $(
                            if chunk.iter().any(|value| value.is_nan() || value.abs() > $most) {
                                chunk.iter_mut().for_each(|value| *value = $scalar(*value));
                                // SAFETY: the caller's promise.
                                unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), y.add(at), len) };
                                at += len;
                                continue;
                            }
                        )?
                        // A closure might be compiled on its own, without the features of the caller.
                        for value in &mut chunk {
                            *value = lanes::$lanes::<FMA>(*value);
                        }
                        // SAFETY: the caller's promise.
                        unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), y.add(at), len) };
                        at += len;
                    }
                }

                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx2,fma")]
                    unsafe fn avx2(x: *const $type, y: *mut $type, n: usize) {
                        // SAFETY: the caller's promise.
                        unsafe { each::<true>(x, y, n) }
                    }

                    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,fma")]
                    unsafe fn avx512(x: *const $type, y: *mut $type, n: usize) {
                        // SAFETY: the caller's promise.
                        unsafe { each::<true>(x, y, n) }
                    }

                    match level() {
                        // SAFETY: the machine has been asked; the rest is the caller's promise.
                        2 => return unsafe { avx512(x, y, n) },
                        // SAFETY: as above.
                        1 => return unsafe { avx2(x, y, n) },
                        _ => {}
                    }
                }
                // SAFETY: the caller's promise.
                unsafe { each::<{ cfg!(target_arch = "aarch64") }>(x, y, n) }
            }
        )*

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
    exp_f64_slice, exp, "exp";
    log_f64_slice, log, "log";
    sin_f64_slice, sin, "sin", fallback lanes::MOST_ANGLE, sin_f64;
    cos_f64_slice, cos, "cos", fallback lanes::MOST_ANGLE, cos_f64;
    tanh_f64_slice, tanh, "tanh";
    sigmoid_f64_slice, sigmoid, "sigmoid";
    erf_f64_slice, erf, "erf";
    gelu_f64_slice, gelu, "gelu";
    gelu_tanh_f64_slice, gelu_tanh, "gelu_tanh";
    silu_f64_slice, silu, "silu";
}

arrays! {
    f32, ARRAY_F32, ArrayF32,
    exp_f32_slice, exp_f32, "exp";
    log_f32_slice, log_f32, "log";
    sin_f32_slice, sin_f32, "sin", fallback lanes::MOST_ANGLE as f32, sin_f32;
    cos_f32_slice, cos_f32, "cos", fallback lanes::MOST_ANGLE as f32, cos_f32;
    tanh_f32_slice, tanh_f32, "tanh";
    sigmoid_f32_slice, sigmoid_f32, "sigmoid";
    erf_f32_slice, erf_f32, "erf";
    gelu_f32_slice, gelu_f32, "gelu";
    gelu_tanh_f32_slice, gelu_tanh_f32, "gelu_tanh";
    silu_f32_slice, silu_f32, "silu";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many floats lie between two, at most.
    fn ulps(value: f64, expected: f64) -> f64 {
        if value == expected || value.is_nan() && expected.is_nan() {
            return 0.0;
        }
        let unit = f64::from_bits(expected.abs().to_bits() + 1) - expected.abs();
        (value - expected).abs() / unit
    }

    fn ulps_f32(value: f32, expected: f64) -> f64 {
        let rounded = expected as f32;
        if value == rounded || value.is_nan() && rounded.is_nan() {
            return 0.0;
        }
        let unit = f32::from_bits(rounded.abs().to_bits() + 1) - rounded.abs();
        (f64::from(value) - expected).abs() / f64::from(unit)
    }

    fn find<T: Copy>(table: &[(&str, T)], name: &str) -> T {
        table.iter().find(|(found, _)| *found == name).unwrap().1
    }

    /// Arguments of many sizes and both signs.
    fn arguments(most: f64) -> Vec<f64> {
        let mut arguments = vec![0.0, -0.0, 1.0, -1.0, f64::MIN_POSITIVE, 1e-310, 0.625, -0.625];
        for k in 0..20_001 {
            arguments.push((k as f64 / 10_000.0 - 1.0) * most + 1e-9);
        }
        for k in 0..2000 {
            let size = most * 1e-20f64.powf(k as f64 / 2000.0);
            arguments.extend([size, -size]);
        }
        arguments
    }

    const SPECIAL: [f64; 5] = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e300, -1e300];

    /// An independent value of functions that the system's library lacks, to about 1e-13.
    fn reference(name: &str, x: f64) -> Option<(f64, f64)> {
        Some(match name {
            "exp" => (x.exp(), 1.1),
            "log" => (x.ln(), 1.1),
            "sin" => (x.sin(), 1.6),
            "cos" => (x.cos(), 1.6),
            "tanh" => (x.tanh(), 2.0),
            "sigmoid" if x > 0.0 => (1.0 / (1.0 + (-x).exp()), 2.0),
            "sigmoid" => (x.exp() / (1.0 + x.exp()), 2.0),
            "silu" => (x * reference("sigmoid", x)?.0, 2.6),
            "gelu_tanh" => {
                let u = (8.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
                (x * reference("sigmoid", u)?.0, 4.0 + 4.0 * u.abs())
            }
            _ => return None,
        })
    }

    #[test]
    fn arrays_of_f64_are_close_to_the_systems_library() {
        for &(name, array) in ARRAY_F64 {
            let most = if matches!(name, "sin" | "cos") { 2e4 } else { 700.0 };
            let mut x = arguments(most);
            if !matches!(name, "silu" | "gelu" | "gelu_tanh") {
                x.extend(SPECIAL);
            }
            let mut y = vec![0.0; x.len()];
            // SAFETY: both are that long.
            unsafe { array(x.as_ptr(), y.as_mut_ptr(), x.len()) };
            for (&x, &y) in x.iter().zip(&y) {
                let Some((expected, bound)) = reference(name, x) else { continue };
                // Where the result is no normal number, one unit is coarse.
                let bound = if expected.abs() < 1e-290 { 4.0 + bound } else { bound };
                let error = ulps(y, expected);
                assert!(error <= bound, "{name}({x:e}) = {y:e}, expected {expected:e}: {error} ulps");
            }
        }
    }

    #[test]
    fn arrays_of_f32_are_close_to_scalars_of_f64() {
        for &(name, array) in ARRAY_F32 {
            let scalar = find(SCALAR_F64, name);
            let mut x: Vec<f32> = arguments(if matches!(name, "sin" | "cos") { 2e4 } else { 104.0 })
                .into_iter()
                .map(|x| x as f32)
                .collect();
            x.extend(SPECIAL.map(|x| x as f32));
            let mut y = x.clone();
            // SAFETY: it is that long; one array may be both.
            unsafe { array(y.as_ptr(), y.as_mut_ptr(), x.len()) };
            for (&x, &y) in x.iter().zip(&y) {
                let expected = scalar(x.into());
                let bound = match name {
                    "gelu_tanh" => 4.0 + 2.0 * f64::from(x.abs()).powi(3).min(100.0),
                    "silu" => 2.6,
                    _ => 2.0,
                };
                // A factor of a product may be no normal number before the product is.
                let bound = if expected.abs() < 1e-36 { 2.0 + bound + f64::from(x.abs()) } else { bound };
                let error = ulps_f32(y, expected);
                assert!(error <= bound, "{name}({x:e}) = {y:e}, expected {expected:e}: {error} ulps");
            }
        }
    }

    #[test]
    fn erf_and_gelu_are_those_of_longer_arithmetic() {
        // 40-digit values by mpmath.
        let erfs = [
            (0.1, 0.1124629160182849),
            (0.5, 0.5204998778130465),
            (0.9, 0.7969082124228322),
            (1.0, 0.8427007929497149),
            (1.5, 0.9661051464753108),
            (2.5, 0.999593047982555),
            (4.0, 0.9999999845827421),
            (5.5, 0.9999999999999927),
        ];
        let gelus = [
            (-30.0, -1.472014178144456e-196),
            (-8.5, -8.05760459887282e-17),
            (-3.25, -0.0018753313877699928),
            (-1.0, -0.15865525393145705),
            (-0.01, -0.004960106436853684),
            (0.3, 0.1853734266566858),
            (1.0, 0.8413447460685429),
            (2.75, 2.7418056511035998),
            (9.0, 9.0),
        ];
        let odd = erfs.map(|(x, y)| (-x, -y));
        let apply = |array: ArrayF64, x: f64| {
            let mut y = 0.0;
            // SAFETY: there is one of each.
            unsafe { array(&x, &mut y, 1) };
            y
        };
        for (x, expected) in erfs.into_iter().chain(odd) {
            assert!(
                ulps(apply(erf_f64_slice, x), expected) <= 2.0 && ulps(erf_f64(x), expected) <= 2.0,
                "{x}"
            );
            assert!(ulps_f32(erf_f32(x as f32), erf_f64((x as f32).into())) <= 1.0);
        }
        for (x, expected) in gelus {
            assert!(ulps(apply(gelu_f64_slice, x), expected) <= 3.0, "{x} {}", apply(gelu_f64_slice, x));
            assert!(ulps(gelu_f64(x), expected) <= 3.0, "{x} {}", gelu_f64(x));
        }
        // The derivative of erf is the bell curve, whichever of its formulas serves.
        for k in -3000..3000 {
            let (x, h) = (k as f64 / 1000.0, 1e-5);
            let slope = (apply(erf_f64_slice, x + h) - apply(erf_f64_slice, x - h)) / (2.0 * h);
            let bell = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
            assert!((slope - bell).abs() < 1e-9, "{x}");
        }
        assert_eq!((erf_f64(f64::INFINITY), erf_f64(-0.0).to_bits()), (1.0, (-0.0f64).to_bits()));
        assert!(gelu_f64(f64::NAN).is_nan() && apply(gelu_f64_slice, f64::NAN).is_nan());
        assert_eq!((gelu_f64(f64::INFINITY), gelu_f64(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
    }

    #[test]
    fn scalars_at_their_edges() {
        assert_eq!(softplus_f64(1000.0), 1000.0);
        assert_eq!(softplus_f64(0.0), std::f64::consts::LN_2);
        assert_eq!(softplus_f32(-1000.0), 0.0);
        assert!(
            softplus_f64(f64::NAN).is_nan() && relu_f64(f64::NAN).is_nan() && sign_f64(f64::NAN).is_nan()
        );
        assert_eq!([sign_f64(-3.0), sign_f64(0.0), relu_f64(-2.0), relu_f64(2.0)], [-1.0, 0.0, 0.0, 2.0]);
        assert_eq!([round_f64(0.5), round_f64(1.5), round_f64(-2.5)], [0.0, 2.0, -2.0]);
        assert_eq!(
            [rem_f64(-1.0, 5.0), rem_f64(1.0, -5.0), rem_f64(7.0, 0.0), rem_f64(6.0, 3.0)],
            [4.0, -4.0, 0.0, 0.0]
        );
        assert_eq!([pow_f64(2.0, 10.0), atan2_f64(1.0, 0.0)], [1024.0, std::f64::consts::FRAC_PI_2]);
        assert_eq!([sigmoid_f64(0.0), silu_f64(f64::NEG_INFINITY)], [0.5, 0.0]);
        assert_eq!(popcount_i64(-1), 64);
        let mut z = Complex::new(0.0, std::f64::consts::PI);
        // SAFETY: the place is good.
        unsafe { exp_c128(&z, &mut z) };
        assert!((z.re + 1.0).abs() < 1e-15 && z.im.abs() < 1e-15);
    }
}

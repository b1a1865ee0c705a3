//! The functions of the host that generated code calls.
//!
//! Functions of reals are the runtime's; complex ones are computed in `f64`.

use einc_runtime::{complex, math};
use num_complex::Complex64;

/// The address of a function by its name in generated code.
pub(super) fn address(name: &str) -> Option<*const u8> {
    match name {
        "einc_parallel" => Some(super::call::parallel as *const u8),
        "einc_shared" => Some(super::call::shared as *const u8),
        "einc_permute" => Some(super::call::permute as *const u8),
        "einc_fourier" => Some(super::call::fourier as *const u8),
        "einc_gemm" => Some(super::call::gemm as *const u8),
        "einc_gemm_alone" => Some(super::call::gemm_alone as *const u8),
        "einc_power_i64" => Some(power_i64 as *const u8),
        "einc_power_u64" => Some(power_u64 as *const u8),
        _ => {
            let name = name.strip_prefix("einc_")?;
            if let Some(name) = name.strip_prefix("many_") {
                return many_address(name);
            }
            complex_address(name).or_else(|| real_address(name)).or_else(|| super::sort::address(name))
        }
    }
}

/// `base ** exponent`, wrapping; a negative exponent gives the reciprocal rounded towards 0.
extern "C" fn power_i64(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, _) => 1 - 2 * (exponent & 1),
        (_, ..0) => 0,
        _ => power_u64(base as u64, exponent as u64) as i64,
    }
}

extern "C" fn power_u64(base: u64, exponent: u64) -> u64 {
    let (mut result, mut square, mut rest) = (1u64, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest >>= 1;
    }
    result
}

fn real_address(name: &str) -> Option<*const u8> {
    if let Some(name) = name.strip_suffix("_f32") {
        let one = || math::SCALAR_F32.iter().find(|entry| entry.0 == name).map(|entry| entry.1 as *const u8);
        let two = || math::PAIR_F32.iter().find(|entry| entry.0 == name).map(|entry| entry.1 as *const u8);
        return (name == "%").then_some(remainder_f32 as *const u8).or_else(one).or_else(two);
    }
    let name = name.strip_suffix("_f64")?;
    let one = || math::SCALAR_F64.iter().find(|entry| entry.0 == name).map(|entry| entry.1 as *const u8);
    let two = || math::PAIR_F64.iter().find(|entry| entry.0 == name).map(|entry| entry.1 as *const u8);
    (name == "%").then_some(remainder_f64 as *const u8).or_else(one).or_else(two)
}

/// A function over arrays: elementwise (`exp_f32`), a fold (`sum_f32`) or a fold of rows (`rows_sum_f32`).
fn many_address(name: &str) -> Option<*const u8> {
    macro_rules! find {
        ($table:ident, $name:expr) => {
            math::$table.iter().find(|entry| entry.0 == $name).map(|entry| entry.1 as *const u8)
        };
    }
    let (name, is_rows) = name.strip_prefix("rows_").map_or((name, false), |name| (name, true));
    match (name.strip_suffix("_f32"), name.strip_suffix("_f64")) {
        (Some(name), _) if is_rows => find!(FOLD_ROWS_F32, name),
        (_, Some(name)) if is_rows => find!(FOLD_ROWS_F64, name),
        (Some("**"), _) => Some(math::powers_f32 as *const u8),
        (Some(name), _) => {
            find!(ARRAY_F32, name).or_else(|| find!(FOLD_F32, name)).or_else(|| find!(FIND_F32, name))
        }
        (_, Some(name)) => {
            find!(ARRAY_F64, name).or_else(|| find!(FOLD_F64, name)).or_else(|| find!(FIND_F64, name))
        }
        _ => None,
    }
}

/// The remainder with the sign of the divisor.
extern "C" fn remainder_f64(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

extern "C" fn remainder_f32(a: f32, b: f32) -> f32 {
    remainder_f64(a.into(), b.into()) as f32
}

/// Declares the parts of functions of one complex value.
macro_rules! complexes {
    ($($name:literal => $value:expr;)*) => {
        fn complex_address(name: &str) -> Option<*const u8> {
            let name = name.strip_prefix("complex_")?;
            match name {
                "div_re" => return Some(div_re as *const u8),
                "div_im" => return Some(div_im as *const u8),
                "pow_re" => return Some(pow_re as *const u8),
                "pow_im" => return Some(pow_im as *const u8),
                _ => {}
            }
            let (name, real) = match name.strip_suffix("_re") {
                Some(name) => (name, true),
                None => (name.strip_suffix("_im")?, false),
            };
            match name {
                $($name => {
                    fn value(re: f64, im: f64) -> Complex64 {
                        let function: fn(Complex64) -> Complex64 = $value;
                        function(Complex64::new(re, im))
                    }
                    extern "C" fn re_part(re: f64, im: f64) -> f64 {
                        value(re, im).re
                    }
                    extern "C" fn im_part(re: f64, im: f64) -> f64 {
                        value(re, im).im
                    }
                    Some(if real { re_part as *const u8 } else { im_part as *const u8 })
                })*
                _ => None,
            }
        }
    };
}

const ONE: Complex64 = Complex64::new(1.0, 0.0);

complexes! {
    "abs" => |z| Complex64::new(z.re.hypot(z.im), 0.0);
    "sign" => |z| if z.re == 0.0 && z.im == 0.0 { z } else { z / z.re.hypot(z.im) };
    "exp" => |z| z.exp();
    "log" => |z| z.ln();
    "log1p" => |z| (ONE + z).ln();
    "expm1" => |z| {
        // exp(z) - 1 = expm1(re) cos(im) - 2 sin(im/2)^2 + i exp(re) sin(im)
        let half = (0.5 * z.im).sin();
        Complex64::new(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
    };
    "sqrt" => |z| z.sqrt();
    "rsqrt" => |z| complex::quotient(ONE, z.sqrt());
    "sin" => |z| z.sin();
    "cos" => |z| z.cos();
    "tan" => complex::tan;
    "asin" => |z| z.asin();
    "acos" => |z| z.acos();
    "atan" => |z| z.atan();
    "sinh" => |z| z.sinh();
    "cosh" => |z| z.cosh();
    "tanh" => complex::tanh;
    "sigmoid" => |z| complex::quotient(ONE, ONE + (-z).exp());
    "silu" => |z| complex::quotient(z, ONE + (-z).exp());
}

extern "C" fn div_re(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    complex::quotient(Complex64::new(ar, ai), Complex64::new(br, bi)).re
}

extern "C" fn div_im(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    complex::quotient(Complex64::new(ar, ai), Complex64::new(br, bi)).im
}

extern "C" fn pow_re(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    complex::power(Complex64::new(ar, ai), Complex64::new(br, bi)).re
}

extern "C" fn pow_im(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    complex::power(Complex64::new(ar, ai), Complex64::new(br, bi)).im
}

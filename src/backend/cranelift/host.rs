//! The functions of the host that generated code calls.
//!
//! Functions of `f32` are computed in `f32`, those of half-width floats too; complex ones in `f64`.

use num_complex::Complex64;

/// The address of a function by its name in generated code.
pub(super) fn address(name: &str) -> Option<*const u8> {
    match name {
        "einc_parallel" => Some(super::call::parallel as *const u8),
        "einc_gemm" => Some(super::call::gemm as *const u8),
        "einc_power_i64" => Some(power_i64 as *const u8),
        "einc_power_u64" => Some(power_u64 as *const u8),
        _ => {
            let name = name.strip_prefix("einc_")?;
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

/// Declares the functions of one and two reals of both widths.
macro_rules! reals {
    ($($name:literal($($arg:ident),+) => $wide:expr, $narrow:expr;)*) => {
        fn real_address(name: &str) -> Option<*const u8> {
            let (name, narrow) = match name.strip_suffix("_f32") {
                Some(name) => (name, true),
                None => (name.strip_suffix("_f64")?, false),
            };
            match name {
                $($name => {
                    extern "C" fn wide($($arg: f64),+) -> f64 {
                        $wide
                    }
                    extern "C" fn narrow_one($($arg: f32),+) -> f32 {
                        $narrow
                    }
                    Some(if narrow { narrow_one as *const u8 } else { wide as *const u8 })
                })*
                _ => None,
            }
        }
    };
}

reals! {
    "exp"(x) => x.exp(), x.exp();
    "log"(x) => x.ln(), x.ln();
    "log1p"(x) => x.ln_1p(), x.ln_1p();
    "expm1"(x) => x.exp_m1(), x.exp_m1();
    "sin"(x) => x.sin(), x.sin();
    "cos"(x) => x.cos(), x.cos();
    "tan"(x) => x.tan(), x.tan();
    "asin"(x) => x.asin(), x.asin();
    "acos"(x) => x.acos(), x.acos();
    "atan"(x) => x.atan(), x.atan();
    "sinh"(x) => x.sinh(), x.sinh();
    "cosh"(x) => x.cosh(), x.cosh();
    "tanh"(x) => x.tanh(), x.tanh();
    "erf"(x) => libm::erf(x), libm::erff(x);
    "sigmoid"(x) => sigmoid(x), sigmoid(x.into()) as f32;
    "gelu"(x) => gelu(x), gelu(x.into()) as f32;
    "gelu_tanh"(x) => gelu_tanh(x), gelu_tanh(x.into()) as f32;
    "silu"(x) => x * sigmoid(x), x * sigmoid(x.into()) as f32;
    "softplus"(x) => softplus(x), softplus(x.into()) as f32;
    "pow"(x, y) => x.powf(y), x.powf(y);
    "atan2"(x, y) => x.atan2(y), x.atan2(y);
    "rem"(x, y) => remainder(x, y), remainder(x.into(), y.into()) as f32;
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
    // (1 + tanh u)/2 = sigmoid(2 u)
    x * sigmoid(2.0 * inner)
}

fn softplus(x: f64) -> f64 {
    if x.is_nan() { x } else { x.max(0.0) + (-x.abs()).exp().ln_1p() }
}

/// The remainder with the sign of the divisor.
fn remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
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
    "rsqrt" => |z| ONE / z.sqrt();
    "sin" => |z| z.sin();
    "cos" => |z| z.cos();
    "tan" => |z| z.tan();
    "asin" => |z| z.asin();
    "acos" => |z| z.acos();
    "atan" => |z| z.atan();
    "sinh" => |z| z.sinh();
    "cosh" => |z| z.cosh();
    "tanh" => |z| z.tanh();
    "sigmoid" => |z| ONE / (ONE + (-z).exp());
    "silu" => |z| z / (ONE + (-z).exp());
}

extern "C" fn div_re(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    (Complex64::new(ar, ai) / Complex64::new(br, bi)).re
}

extern "C" fn div_im(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    (Complex64::new(ar, ai) / Complex64::new(br, bi)).im
}

extern "C" fn pow_re(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    power(Complex64::new(ar, ai), Complex64::new(br, bi)).re
}

extern "C" fn pow_im(ar: f64, ai: f64, br: f64, bi: f64) -> f64 {
    power(Complex64::new(ar, ai), Complex64::new(br, bi)).im
}

fn power(base: Complex64, exponent: Complex64) -> Complex64 {
    // Repeated products are exact where logarithms are not, as in (1 + 2j) ** 2.
    if exponent.im == 0.0 && exponent.re.fract() == 0.0 && exponent.re.abs() <= 1024.0 {
        base.powi(exponent.re as i32)
    } else if base == Complex64::new(0.0, 0.0) && exponent.re > 0.0 {
        base
    } else {
        base.powc(exponent)
    }
}

//! Arithmetic on single values: every function, operator and cast of the language.
//!
//! Integers are exact and wrap to the width of their dtype after every operation. Reals are computed in `f64` (complex
//! values in pairs of `f64`) whatever their dtype, and are rounded to it where the program says so: in constants, in
//! casts, and when a tensor stores them. The judge is therefore at least as accurate as any target.
//!
//! A `bool` is computed as the integer 0 or 1 and then compared with 0, so that a sum of `bool`s is their `or` and a
//! product their `and`.

use crate::expr::{Binary, Unary};
use einc_runtime::complex::{self, power, quotient};
use einc_runtime::{DType, Scalar};
use num_complex::Complex64;

/// The value that an integer of this dtype keeps of `value`: the low bits, sign extended for signed types.
pub fn wrap(value: i128, dtype: DType) -> i128 {
    match dtype {
        DType::I64 => value as i64 as i128,
        DType::I32 => value as i32 as i128,
        DType::I16 => value as i16 as i128,
        DType::I8 => value as i8 as i128,
        DType::U64 => value as u64 as i128,
        DType::U32 => value as u32 as i128,
        DType::U16 => value as u16 as i128,
        DType::U8 => value as u8 as i128,
        DType::Bool => (value != 0) as i128,
        _ => {
            let (low, high) = dtype.integer_range().expect("an integer dtype");
            (value.wrapping_sub(low) & (high - low)) + low
        }
    }
}

/// The value as an integer.
pub fn int(value: Scalar) -> i128 {
    match value {
        Scalar::Int(value) => value,
        other => panic!("bug: an integer was expected, not {other:?}"),
    }
}

/// The value as a real number; integers are rounded, imaginary parts dropped.
pub fn real(value: Scalar) -> f64 {
    match value {
        Scalar::Int(value) => value as f64,
        Scalar::Real(value) => value,
        Scalar::Complex(re, _) => re,
    }
}

/// The value as a complex number.
pub fn complex(value: Scalar) -> Complex64 {
    match value {
        Scalar::Complex(re, im) => Complex64::new(re, im),
        other => Complex64::new(real(other), 0.0),
    }
}

/// Whether the value is not zero.
pub fn truth(value: Scalar) -> bool {
    match value {
        Scalar::Int(value) => value != 0,
        Scalar::Real(value) => value != 0.0,
        Scalar::Complex(re, im) => re != 0.0 || im != 0.0,
    }
}

/// Whether the value is not a number.
pub fn is_nan(value: Scalar) -> bool {
    match value {
        Scalar::Int(_) => false,
        Scalar::Real(value) => value.is_nan(),
        Scalar::Complex(re, im) => re.is_nan() || im.is_nan(),
    }
}

/// Whether `a < b`; false where either is not a number.
pub fn less(a: Scalar, b: Scalar) -> bool {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => a < b,
        (Scalar::Real(a), Scalar::Real(b)) => a < b,
        (a, b) => panic!("bug: {a:?} and {b:?} have no order"),
    }
}

/// A truth value as a `bool` element.
pub fn boolean(value: bool) -> Scalar {
    Scalar::Int(value.into())
}

fn of_complex(value: Complex64) -> Scalar {
    Scalar::Complex(value.re, value.im)
}

/// Zero of that dtype.
pub fn zero(dtype: DType) -> Scalar {
    number(0, dtype)
}

/// A small whole number as a value of that dtype.
pub fn number(value: i32, dtype: DType) -> Scalar {
    if dtype.is_complex() {
        Scalar::Complex(value.into(), 0.0)
    } else if dtype.is_float() {
        Scalar::Real(value.into())
    } else {
        Scalar::Int(wrap(value.into(), dtype))
    }
}

/// `a + b` in that dtype.
pub fn add(a: Scalar, b: Scalar, dtype: DType) -> Scalar {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(wrap(a.wrapping_add(b), dtype)),
        (Scalar::Real(a), Scalar::Real(b)) => Scalar::Real(a + b),
        (a, b) => of_complex(complex(a) + complex(b)),
    }
}

/// `a * b` in that dtype.
pub fn multiply(a: Scalar, b: Scalar, dtype: DType) -> Scalar {
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(wrap(a.wrapping_mul(b), dtype)),
        (Scalar::Real(a), Scalar::Real(b)) => Scalar::Real(a * b),
        (a, b) => of_complex(complex(a) * complex(b)),
    }
}

/// The lesser of two values, `minimum` of IEEE 754-2019: not a number wins, and -0 is less than 0.
pub fn least(a: Scalar, b: Scalar) -> Scalar {
    if is_nan(a) || !(is_nan(b) || less(b, a) || (a == b && is_negative(b))) { a } else { b }
}

/// The greater of two values, `maximum` of IEEE 754-2019: not a number wins, and 0 is greater than -0.
pub fn greatest(a: Scalar, b: Scalar) -> Scalar {
    if is_nan(a) || !(is_nan(b) || less(a, b) || (a == b && is_negative(a))) { a } else { b }
}

/// Whether a real has the sign of negative numbers.
fn is_negative(value: Scalar) -> bool {
    matches!(value, Scalar::Real(value) if value.is_sign_negative())
}

/// A function of one value of that dtype.
pub fn unary(op: Unary, value: Scalar, dtype: DType) -> Scalar {
    match value {
        Scalar::Int(value) => unary_int(op, value, dtype),
        Scalar::Real(value) => Scalar::Real(unary_real(op, value)),
        Scalar::Complex(re, im) => unary_complex(op, Complex64::new(re, im)),
    }
}

fn unary_int(op: Unary, value: i128, dtype: DType) -> Scalar {
    let (low, high) = dtype.integer_range().expect("an integer dtype");
    let result = match op {
        Unary::Neg => -value,
        Unary::Not if dtype == DType::Bool => (value == 0).into(),
        Unary::Not => !value,
        Unary::Abs => value.abs(),
        Unary::Sign => value.signum(),
        Unary::Floor | Unary::Ceil | Unary::Round | Unary::Real | Unary::Conj => value,
        Unary::Imag => 0,
        Unary::Relu => value.max(0),
        Unary::Popcount => (value & (high - low)).count_ones().into(),
        _ => panic!("bug: `{}` of the integer type {dtype}", op.name()),
    };
    Scalar::Int(wrap(result, dtype))
}

fn unary_real(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Neg => -x,
        Unary::Abs => x.abs(),
        Unary::Sign if x == 0.0 || x.is_nan() => x,
        Unary::Sign => x.signum(),
        Unary::Floor => x.floor(),
        Unary::Ceil => x.ceil(),
        Unary::Round => x.round_ties_even(),
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Log1p => x.ln_1p(),
        Unary::Expm1 => x.exp_m1(),
        Unary::Sqrt => x.sqrt(),
        Unary::Rsqrt => 1.0 / x.sqrt(),
        Unary::Sin => x.sin(),
        Unary::Cos => x.cos(),
        Unary::Tan => x.tan(),
        Unary::Asin => x.asin(),
        Unary::Acos => x.acos(),
        Unary::Atan => x.atan(),
        Unary::Sinh => x.sinh(),
        Unary::Cosh => x.cosh(),
        Unary::Tanh => x.tanh(),
        Unary::Erf => libm::erf(x),
        Unary::Sigmoid => sigmoid(x),
        Unary::Relu if x.is_nan() => x,
        Unary::Relu => x.max(0.0),
        // The limits, which the formulas miss.
        Unary::Gelu | Unary::GeluTanh | Unary::Silu if x == f64::NEG_INFINITY => -0.0,
        // x/2 (1 + erf(x/sqrt 2)), without its cancellation for negative x.
        Unary::Gelu => {
            // Rounding the argument moves the tail by the difference of the squares, which is put right.
            let z = -x * std::f64::consts::FRAC_1_SQRT_2;
            let (square, half) = (z * z, 0.5 * x * x);
            let lost = (half - square) + ((0.5 * x).mul_add(x, -half) - z.mul_add(z, -square));
            let moved = if lost.abs() < 1.0 && z > 0.0 { lost } else { 0.0 };
            0.5 * x * libm::erfc(z) * (-moved).exp()
        }
        Unary::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            // (1 + tanh u)/2 = sigmoid(2 u)
            x * sigmoid(2.0 * inner)
        }
        Unary::Silu => x * sigmoid(x),
        Unary::Softplus if x.is_nan() => x,
        Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Unary::Real | Unary::Conj => x,
        Unary::Imag => 0.0,
        Unary::Arg if x.is_nan() => x,
        Unary::Arg => {
            if x.is_sign_negative() {
                std::f64::consts::PI
            } else {
                0.0
            }
        }
        Unary::Not | Unary::Popcount => panic!("bug: `{}` of a real", op.name()),
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let small = x.exp();
        small / (1.0 + small)
    }
}

fn unary_complex(op: Unary, z: Complex64) -> Scalar {
    let one = Complex64::new(1.0, 0.0);
    of_complex(match op {
        Unary::Abs => return Scalar::Real(z.re.hypot(z.im)),
        Unary::Real => return Scalar::Real(z.re),
        Unary::Imag => return Scalar::Real(z.im),
        Unary::Arg => return Scalar::Real(z.im.atan2(z.re)),
        Unary::Neg => -z,
        Unary::Conj => z.conj(),
        Unary::Sign if z.re == 0.0 && z.im == 0.0 => z,
        Unary::Sign => z / z.re.hypot(z.im),
        Unary::Exp => z.exp(),
        Unary::Log => z.ln(),
        Unary::Log1p => (one + z).ln(),
        Unary::Expm1 => {
            // exp(z) - 1 = expm1(re) cos(im) - 2 sin(im/2)^2 + i exp(re) sin(im)
            let half = (0.5 * z.im).sin();
            Complex64::new(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
        }
        Unary::Sqrt => z.sqrt(),
        Unary::Rsqrt => quotient(one, z.sqrt()),
        Unary::Sin => z.sin(),
        Unary::Cos => z.cos(),
        Unary::Tan => complex::tan(z),
        Unary::Asin => z.asin(),
        Unary::Acos => z.acos(),
        Unary::Atan => z.atan(),
        Unary::Sinh => z.sinh(),
        Unary::Cosh => z.cosh(),
        Unary::Tanh => complex::tanh(z),
        Unary::Sigmoid => quotient(one, one + (-z).exp()),
        Unary::Silu => quotient(z, one + (-z).exp()),
        _ => panic!("bug: `{}` of a complex value", op.name()),
    })
}

/// A function of two values of that dtype.
pub fn binary(op: Binary, a: Scalar, b: Scalar, dtype: DType) -> Scalar {
    match op {
        Binary::Min => return least(a, b),
        Binary::Max => return greatest(a, b),
        Binary::Eq => return boolean(a == b),
        Binary::Ne => return boolean(a != b),
        Binary::Lt => return boolean(less(a, b)),
        Binary::Gt => return boolean(less(b, a)),
        Binary::Le => return boolean(less(a, b) || a == b),
        Binary::Ge => return boolean(less(b, a) || a == b),
        Binary::And => return boolean(truth(a) && truth(b)),
        Binary::Or => return boolean(truth(a) || truth(b)),
        _ => {}
    }
    match (a, b) {
        (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(binary_int(op, a, b, dtype)),
        (Scalar::Real(a), Scalar::Real(b)) => Scalar::Real(binary_real(op, a, b)),
        (a, b) => {
            let (a, b) = (complex(a), complex(b));
            of_complex(match op {
                Binary::Div => quotient(a, b),
                Binary::Pow => power(a, b),
                _ => panic!("bug: `{}` of complex values", op.name()),
            })
        }
    }
}

fn binary_int(op: Binary, a: i128, b: i128, dtype: DType) -> i128 {
    let (low, high) = dtype.integer_range().expect("an integer dtype");
    let bits = i128::from((high - low).count_ones());
    let result = match op {
        Binary::Within => a,
        Binary::FloorDiv if b == 0 => 0,
        Binary::FloorDiv => a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0),
        Binary::Rem if b == 0 => 0,
        Binary::Rem => ((a % b) + b) % b,
        Binary::Pow => return int_power(a, b, dtype),
        Binary::BitAnd => a & b,
        Binary::BitOr => a | b,
        Binary::BitXor => a ^ b,
        Binary::Shl if (0..bits).contains(&b) => a << b,
        Binary::Shl => 0,
        Binary::Shr if (0..bits).contains(&b) => a >> b,
        Binary::Shr => -i128::from(a < 0),
        _ => panic!("bug: `{}` of the integer type {dtype}", op.name()),
    };
    wrap(result, dtype)
}

/// `base ** exponent`; a negative exponent gives the reciprocal rounded towards 0, and 0 for base 0.
fn int_power(base: i128, exponent: i128, dtype: DType) -> i128 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 => wrap(if exponent % 2 == 0 { 1 } else { -1 }, dtype),
            _ => 0,
        };
    }
    let (mut result, mut square, mut rest) = (wrap(1, dtype), base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = wrap(result.wrapping_mul(square), dtype);
        }
        square = wrap(square.wrapping_mul(square), dtype);
        rest >>= 1;
    }
    result
}

fn binary_real(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Div => a / b,
        Binary::FloorDiv => (a / b).floor(),
        Binary::Rem => {
            let rest = a % b;
            if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
        }
        Binary::Pow => a.powf(b),
        Binary::Atan2 => a.atan2(b),
        _ => panic!("bug: `{}` of reals", op.name()),
    }
}

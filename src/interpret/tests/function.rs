//! Functions, operators and casts.

use super::*;
use std::f64::consts::{E as EULER, LN_2, LN_10, PI, SQRT_2};

fn of_reals(op: Unary, values: &[f64]) -> Vec<f64> {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let x = build.reals(&[values.len() as u64], values);
    let y = build.define(&[i], unary(op, real(x, &[i])));
    build.run_reals(y)
}

fn of_complex(op: Unary, re: f64, im: f64) -> Scalar {
    let mut build = Build::new();
    let x = build.input(DType::C128, &[], &[Scalar::Complex(re, im)]);
    let y = build.define(&[], unary(op, read(x, DType::C128, &[])));
    build.run(y)[0]
}

#[track_caller]
fn assert_complex(found: Scalar, re: f64, im: f64) {
    assert!(matches!(found, Scalar::Complex(..)));
    assert_close(&[found.re(), found.im()], &[re, im], 1e-14);
}

fn of_ints(op: Unary, dtype: DType, values: &[i128]) -> Vec<i128> {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let values: Vec<Scalar> = values.iter().map(|&value| Scalar::Int(value)).collect();
    let x = build.input(dtype, &[values.len() as u64], &values);
    let y = build.define(&[i], unary(op, read(x, dtype, &[i])));
    build.run_ints(y)
}

fn pairs(op: Binary, dtype: DType, values: &[[i128; 2]]) -> Vec<i128> {
    let mut build = Build::new();
    let i = build.axis("i", values.len() as u64);
    let column = |k: usize| values.iter().map(|pair| Scalar::Int(pair[k])).collect::<Vec<_>>();
    let a = build.input(dtype, &[values.len() as u64], &column(0));
    let b = build.input(dtype, &[values.len() as u64], &column(1));
    let y = build.define(&[i], binary(op, read(a, dtype, &[i]), read(b, dtype, &[i])));
    build.run_ints(y)
}

fn real_pair(op: Binary, a: f64, b: f64) -> f64 {
    let mut build = Build::new();
    let (a, b) = (build.reals(&[], &[a]), build.reals(&[], &[b]));
    let y = build.define(&[], binary(op, real(a, &[]), real(b, &[])));
    build.run_reals(y)[0]
}

#[test]
fn real_functions_agree_with_known_values() {
    // From tables (Abramowitz and Stegun, and exact identities), to 15 digits.
    let known: &[(Unary, f64, f64)] = &[
        (Unary::Neg, 2.5, -2.5),
        (Unary::Abs, -2.5, 2.5),
        (Unary::Sign, -7.0, -1.0),
        (Unary::Sign, 0.0, 0.0),
        (Unary::Floor, -1.5, -2.0),
        (Unary::Ceil, -1.5, -1.0),
        (Unary::Round, 2.5, 2.0),
        (Unary::Round, 3.5, 4.0),
        (Unary::Exp, 1.0, EULER),
        (Unary::Log, 10.0, LN_10),
        (Unary::Log1p, 1e-10, 9.9999999995e-11),
        (Unary::Expm1, 1e-10, 1.00000000005e-10),
        (Unary::Sqrt, 2.0, SQRT_2),
        (Unary::Rsqrt, 4.0, 0.5),
        (Unary::Sin, PI / 6.0, 0.5),
        (Unary::Cos, PI / 3.0, 0.5),
        (Unary::Tan, PI / 4.0, 1.0),
        (Unary::Asin, 0.5, PI / 6.0),
        (Unary::Acos, 0.5, PI / 3.0),
        (Unary::Atan, 1.0, PI / 4.0),
        (Unary::Sinh, 1.0, 1.1752011936438014),
        (Unary::Cosh, 1.0, 1.5430806348152437),
        (Unary::Tanh, 1.0, 0.7615941559557649),
        (Unary::Erf, 0.5, 0.5204998778130465),
        (Unary::Erf, 1.0, 0.8427007929497149),
        (Unary::Erf, -2.0, -0.9953222650189527),
        (Unary::Sigmoid, 0.0, 0.5),
        (Unary::Sigmoid, 1.0, 0.7310585786300049),
        (Unary::Relu, -3.0, 0.0),
        (Unary::Relu, 3.0, 3.0),
        (Unary::Gelu, 1.0, 0.8413447460685429),
        (Unary::GeluTanh, 1.0, 0.8411919906082768),
        (Unary::Silu, 1.0, 0.7310585786300049),
        (Unary::Softplus, 0.0, LN_2),
        (Unary::Softplus, 800.0, 800.0),
        (Unary::Softplus, -800.0, 0.0),
        (Unary::Real, -2.0, -2.0),
        (Unary::Imag, -2.0, 0.0),
        (Unary::Conj, -2.0, -2.0),
        (Unary::Arg, -2.0, PI),
        (Unary::Arg, 2.0, 0.0),
    ];
    for &(op, x, expected) in known {
        let found = of_reals(op, &[x])[0];
        let close = (found - expected).abs() <= 2e-15 * expected.abs().max(1e-300);
        assert!(close, "{}({x}) is {expected}, not {found}", op.name());
    }
}

#[test]
fn gates_close_at_minus_infinity() {
    for op in [Unary::Gelu, Unary::GeluTanh, Unary::Silu] {
        assert_eq!(of_reals(op, &[f64::NEG_INFINITY, f64::INFINITY]), [0.0, f64::INFINITY], "{}", op.name());
    }
}

#[test]
fn tails_keep_their_digits() {
    // Gelu of -10 is -10 times the normal tail 7.619853024160526e-24.
    let found = of_reals(Unary::Gelu, &[-10.0])[0];
    assert!((found / -7.619853024160526e-23 - 1.0).abs() < 1e-13);
    // The same of -20 and -35.3, with 60 digits.
    for (x, exact) in [(-20.0, -5.507248237212468e-88), (-35.3, -1.0364700546569745e-271)] {
        let found = of_reals(Unary::Gelu, &[x])[0];
        assert!((found / exact - 1.0).abs() < 1e-15, "{x} gives {found}, not {exact}");
    }
    let found = of_reals(Unary::Sigmoid, &[-700.0])[0];
    assert!((found / (-700f64).exp() - 1.0).abs() < 1e-13);
}

#[test]
fn not_a_number_stays() {
    for op in
        [Unary::Relu, Unary::Sign, Unary::Softplus, Unary::Round, Unary::Gelu, Unary::Arg, Unary::Sigmoid]
    {
        assert!(of_reals(op, &[f64::NAN])[0].is_nan(), "{}", op.name());
    }
    assert!(real_pair(Binary::Min, f64::NAN, 1.0).is_nan() && real_pair(Binary::Min, 1.0, f64::NAN).is_nan());
    assert!(real_pair(Binary::Max, f64::NAN, 1.0).is_nan() && real_pair(Binary::Max, 1.0, f64::NAN).is_nan());
}

#[test]
fn functions_of_complex_values() {
    assert_eq!(of_complex(Unary::Abs, 3.0, -4.0), Scalar::Real(5.0));
    assert_eq!(of_complex(Unary::Real, 3.0, -4.0), Scalar::Real(3.0));
    assert_eq!(of_complex(Unary::Imag, 3.0, -4.0), Scalar::Real(-4.0));
    assert_eq!(of_complex(Unary::Arg, 0.0, -1.0), Scalar::Real(-PI / 2.0));
    assert_complex(of_complex(Unary::Conj, 3.0, -4.0), 3.0, 4.0);
    assert_complex(of_complex(Unary::Neg, 3.0, -4.0), -3.0, 4.0);
    assert_complex(of_complex(Unary::Sign, 3.0, -4.0), 0.6, -0.8);
    assert_complex(of_complex(Unary::Exp, 0.0, PI), -1.0, 0.0);
    assert_complex(of_complex(Unary::Log, 0.0, 1.0), 0.0, PI / 2.0);
    assert_complex(of_complex(Unary::Sqrt, -4.0, 0.0), 0.0, 2.0);
    assert_complex(of_complex(Unary::Rsqrt, -4.0, 0.0), 0.0, -0.5);
    assert_complex(of_complex(Unary::Expm1, 0.0, PI / 2.0), -1.0, 1.0);
    assert_complex(of_complex(Unary::Log1p, -1.0, 1.0), 0.0, PI / 2.0);
    // sin(iy) = i sinh y, cos(iy) = cosh y, tan(iy) = i tanh y
    assert_complex(of_complex(Unary::Sin, 0.0, 1.0), 0.0, 1f64.sinh());
    assert_complex(of_complex(Unary::Cos, 0.0, 1.0), 1f64.cosh(), 0.0);
    assert_complex(of_complex(Unary::Tan, 0.0, 1.0), 0.0, 1f64.tanh());
    assert_complex(of_complex(Unary::Sinh, 0.0, 1.0), 0.0, 1f64.sin());
    assert_complex(of_complex(Unary::Cosh, 0.0, 1.0), 1f64.cos(), 0.0);
    assert_complex(of_complex(Unary::Tanh, 0.0, 1.0), 0.0, 1f64.tan());
    assert_complex(of_complex(Unary::Asin, 0.0, 1.0), 0.0, 1f64.asinh());
    assert_complex(of_complex(Unary::Acos, 0.0, 1.0), PI / 2.0, -1f64.asinh());
    assert_complex(of_complex(Unary::Atan, 0.5, 0.0), 0.5f64.atan(), 0.0);
    assert_complex(of_complex(Unary::Sigmoid, 0.0, 0.0), 0.5, 0.0);
    assert_complex(of_complex(Unary::Silu, 2.0, 0.0), 2.0 / (1.0 + (-2f64).exp()), 0.0);
}

#[test]
fn operators_of_complex_values() {
    let pair = |op: Binary, a: (f64, f64), b: (f64, f64)| {
        let mut build = Build::new();
        let a = build.input(DType::C128, &[], &[Scalar::Complex(a.0, a.1)]);
        let b = build.input(DType::C128, &[], &[Scalar::Complex(b.0, b.1)]);
        let y = build.define(&[], binary(op, read(a, DType::C128, &[]), read(b, DType::C128, &[])));
        build.run(y)[0]
    };
    assert_complex(pair(Binary::Div, (1.0, 2.0), (3.0, -4.0)), -0.2, 0.4);
    assert_eq!(pair(Binary::Pow, (1.0, 2.0), (2.0, 0.0)), Scalar::Complex(-3.0, 4.0));
    assert_complex(pair(Binary::Pow, (0.0, 1.0), (0.0, 1.0)), (-PI / 2.0).exp(), 0.0);
    assert_complex(pair(Binary::Pow, (0.0, 0.0), (0.5, 0.0)), 0.0, 0.0);
    assert_eq!(pair(Binary::Eq, (1.0, 2.0), (1.0, 2.0)), Scalar::Int(1));
    assert_eq!(pair(Binary::Ne, (1.0, 2.0), (1.0, 2.5)), Scalar::Int(1));
}

#[test]
fn integers_wrap_to_their_width() {
    assert_eq!(of_ints(Unary::Neg, DType::I8, &[-128, 5]), [-128, -5]);
    assert_eq!(of_ints(Unary::Abs, DType::I64, &[i64::MIN.into(), -3]), [i64::MIN.into(), 3]);
    assert_eq!(of_ints(Unary::Not, DType::U4, &[5]), [10]);
    assert_eq!(of_ints(Unary::Not, DType::Bool, &[0, 1]), [1, 0]);
    assert_eq!(of_ints(Unary::Sign, DType::I32, &[-9, 0, 9]), [-1, 0, 1]);
    assert_eq!(of_ints(Unary::Relu, DType::I32, &[-9, 9]), [0, 9]);
    assert_eq!(of_ints(Unary::Popcount, DType::I8, &[-1, 5]), [8, 2]);
    assert_eq!(of_ints(Unary::Popcount, DType::U64, &[u64::MAX.into()]), [64]);
    assert_eq!(of_ints(Unary::Floor, DType::I32, &[-9]), [-9]);
    for dtype in DType::ALL.into_iter().filter(|dtype| dtype.is_integer()) {
        let (low, high) = dtype.integer_range().unwrap();
        let mut build = Build::new();
        let x = build.input(dtype, &[2], &[Scalar::Int(low), Scalar::Int(high)]);
        let at = |k: i64| read_outside(x, dtype, vec![Expr::int(k)], Outside::Never);
        let sum = Expr::Sum(vec![at(1), Expr::Const(Scalar::Int(1), dtype)]);
        let product = Expr::Product(vec![at(1), at(1)]);
        let (sum, product) = (build.define(&[], sum), build.define(&[], product));
        let both = build.axis("k", 2);
        let pick = select(
            binary(Binary::Eq, Expr::Index(both), Expr::int(0)),
            read(sum, dtype, &[]),
            read(product, dtype, &[]),
        );
        let y = build.define(&[both], pick);
        // high + 1 is low; (2^k - 1)^2 = 1 modulo 2^k and modulo 2^(k+1) for k > 1.
        let square = if dtype == DType::I2 { 1 } else { (high * (high % 4)) % 4 };
        assert_eq!(build.run_ints(y), [low, square.max(1)], "{dtype}");
    }
}

#[test]
fn integer_division_rounds_down() {
    let cases = [[7, 2], [-7, 2], [7, -2], [-7, -2], [6, -3], [5, 0], [0, 5]];
    assert_eq!(pairs(Binary::FloorDiv, DType::I32, &cases), [3, -4, -4, 3, -2, 0, 0]);
    assert_eq!(pairs(Binary::Rem, DType::I32, &cases), [1, 1, -1, -1, 0, 0, 0]);
    assert_eq!(pairs(Binary::Rem, DType::I64, &[[-1, 5]]), [4]);
    let low = i64::MIN.into();
    assert_eq!(pairs(Binary::FloorDiv, DType::I64, &[[low, -1]]), [low]);
    assert_eq!(pairs(Binary::FloorDiv, DType::U8, &[[250, 7]]), [35]);
}

#[test]
fn real_division() {
    assert_eq!(real_pair(Binary::Div, 7.0, 2.0), 3.5);
    assert_eq!(real_pair(Binary::FloorDiv, -7.0, 2.0), -4.0);
    assert_eq!(real_pair(Binary::Rem, -1.0, 5.0), 4.0);
    assert_eq!(real_pair(Binary::Rem, 1.0, -5.0), -4.0);
    assert!(real_pair(Binary::Rem, 1.0, 0.0).is_nan());
    assert_eq!(real_pair(Binary::Pow, 2.0, 0.5), 2f64.sqrt());
    assert_eq!(real_pair(Binary::Atan2, 1.0, -1.0), 0.75 * PI);
    for (a, b) in [(0.0, -0.0), (-0.0, 0.0)] {
        assert!(real_pair(Binary::Min, a, b).is_sign_negative());
        assert!(real_pair(Binary::Max, a, b).is_sign_positive());
    }
    assert_eq!(real_pair(Binary::Min, 1.0, -1.0), -1.0);
    assert_eq!(real_pair(Binary::Max, 1.0, -1.0), 1.0);
}

#[test]
fn integer_powers_bits_and_shifts() {
    let powers = [[3, 4], [-2, 3], [0, 0], [5, -1], [1, -1], [-1, -3], [0, -1], [10, 10]];
    assert_eq!(pairs(Binary::Pow, DType::I32, &powers), [81, -8, 1, 0, 1, -1, 0, 1410065408]);
    assert_eq!(pairs(Binary::BitAnd, DType::U8, &[[12, 10]]), [8]);
    assert_eq!(pairs(Binary::BitOr, DType::U8, &[[12, 10]]), [14]);
    assert_eq!(pairs(Binary::BitXor, DType::I8, &[[-1, 10]]), [-11]);
    assert_eq!(pairs(Binary::Shl, DType::I8, &[[1, 7], [1, 8], [3, 7], [1, -1]]), [-128, 0, -128, 0]);
    assert_eq!(pairs(Binary::Shr, DType::I8, &[[-128, 7], [-5, 100], [5, 100], [-5, 1]]), [-1, -1, 0, -3]);
    assert_eq!(pairs(Binary::Shr, DType::U8, &[[255, 4], [255, 8]]), [15, 0]);
    assert_eq!(pairs(Binary::Min, DType::I8, &[[3, -3]]), [-3]);
    assert_eq!(pairs(Binary::Max, DType::I8, &[[3, -3]]), [3]);
}

#[test]
fn comparisons_and_logic() {
    let cases = [[1, 2], [2, 2], [3, 2]];
    assert_eq!(pairs(Binary::Eq, DType::I64, &cases), [0, 1, 0]);
    assert_eq!(pairs(Binary::Ne, DType::I64, &cases), [1, 0, 1]);
    assert_eq!(pairs(Binary::Lt, DType::I64, &cases), [1, 0, 0]);
    assert_eq!(pairs(Binary::Le, DType::I64, &cases), [1, 1, 0]);
    assert_eq!(pairs(Binary::Gt, DType::I64, &cases), [0, 0, 1]);
    assert_eq!(pairs(Binary::Ge, DType::I64, &cases), [0, 1, 1]);
    let logic = [[0, 0], [0, 1], [1, 1]];
    assert_eq!(pairs(Binary::And, DType::Bool, &logic), [0, 0, 1]);
    assert_eq!(pairs(Binary::Or, DType::Bool, &logic), [0, 1, 1]);
    assert_eq!(real_pair(Binary::Le, f64::NAN, f64::NAN), 0.0);
    assert_eq!(real_pair(Binary::Ne, f64::NAN, f64::NAN), 1.0);
}

#[test]
fn casts() {
    let of = |from: DType, value: Scalar, to: DType| {
        let mut build = Build::new();
        let x = build.input(from, &[], &[value]);
        let y = build.define(&[], cast(to, read(x, from, &[])));
        build.run(y)[0]
    };
    let real = |x: f64| Scalar::Real(x);
    assert_eq!(of(DType::F64, real(-2.9), DType::I32), Scalar::Int(-2));
    assert_eq!(of(DType::F64, real(1e300), DType::I8), Scalar::Int(127));
    assert_eq!(of(DType::F64, real(-1.0), DType::U8), Scalar::Int(0));
    assert_eq!(of(DType::F64, real(f64::NAN), DType::I64), Scalar::Int(0));
    assert_eq!(of(DType::I64, Scalar::Int(200), DType::I8), Scalar::Int(-56));
    assert_eq!(of(DType::F64, real(0.25), DType::Bool), Scalar::Int(1));
    assert_eq!(of(DType::C128, Scalar::Complex(1.5, 2.0), DType::F64), real(1.5));
    assert_eq!(of(DType::I64, Scalar::Int(3), DType::C64), Scalar::Complex(3.0, 0.0));
    assert_eq!(of(DType::F64, real(1.0 + 1e-12), DType::F32), real(1.0));
    // A cast rounds in the middle of an expression too: 2049 is not an f16.
    let mut build = Build::new();
    let x = build.reals(&[], &[2049.0]);
    let y = build.define(&[], cast(DType::F64, cast(DType::F16, super::real(x, &[]))));
    assert_eq!(build.run_reals(y), [2048.0]);
}

#[test]
fn intermediates_of_narrow_floats_are_wide() {
    // (1 + 2^-30) - 1 in f32 would be 0; the judge keeps it until it is stored.
    let mut build = Build::new();
    let small = Expr::Const(Scalar::Real(2f64.powi(-30)), DType::F32);
    let one = |sign: f64| Expr::Const(Scalar::Real(sign), DType::F32);
    let y = build.define(&[], Expr::Sum(vec![one(1.0), small, one(-1.0)]));
    assert_eq!(build.run_reals(y), [2f64.powi(-30)]);
}

#[test]
fn a_select_evaluates_one_branch() {
    // The other branch would read outside, which is checked.
    let mut build = Build::new();
    let i = build.axis("i", 4);
    let x = build.ints(&[2], &[10, 20]);
    let inside = binary(Binary::Lt, Expr::Index(i), Expr::int(2));
    let value =
        select(inside, read_outside(x, DType::I64, vec![Expr::Index(i)], Outside::Checked), Expr::int(7));
    let y = build.define(&[i], value);
    assert_eq!(build.run_ints(y), [10, 20, 7, 7]);
}

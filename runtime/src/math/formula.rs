//! Functions as formulas over any arithmetic: the one source of what runs over arrays and of what compiled code
//! computes in line, which therefore agree to the last bit.
//!
//! A formula has neither branches nor tables. Polynomials of `exp`, `tanh`, `erf` and `gelu` were fitted in longer
//! arithmetic; those of the logarithm, sine and cosine are fdlibm's, the rational function of `tanh` of `f64` is that of
//! Cephes. They stand in all the digits of their sources.
//!
//! Values of `exp`, `sigmoid`, `silu`, `softplus`, `gelu` and `gelu_tanh` that would be no normal numbers are 0: subnormal operands
//! make the products behind them many times slower on some machines.
//!
//! Against exact values, in units in the last place: `exp` and `log` err by at most 1.1 (in `f32` 2), `sin`, `cos`, `tanh`,
//! `erf` and `sigmoid` by 2, `silu` by 2.6, `softplus` and `gelu_tanh` by 4, `gelu` by 3 (in `f32` 4). The tests
//! measure it. Powers of `f32` are rounded once from values that err by less than 2^-28.
#![allow(clippy::excessive_precision, clippy::approx_constant)]

use std::f64::consts::{FRAC_2_PI, LOG2_E, SQRT_2};

/// Instructions on floats of one width: on one of them, on many, or such as write code.
pub trait Arithmetic {
    /// A float.
    type Real: Copy;
    /// The bits of a float, as an unsigned integer.
    type Bits: Copy;
    /// Whether something holds.
    type Truth: Copy;

    /// Whether floats have 64 bits (else 32).
    fn is_wide(&self) -> bool;
    /// Whether [`Arithmetic::fma`] rounds once.
    fn has_fma(&self) -> bool;
    /// A constant, rounded to the format.
    fn real(&self, value: f64) -> Self::Real;
    /// Constant bits; of 32-bit floats, the low ones.
    fn bits(&self, value: u64) -> Self::Bits;
    /// `a + b`.
    fn add(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a - b`.
    fn sub(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a * b`.
    fn mul(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a / b`.
    fn div(&self, a: Self::Real, b: Self::Real) -> Self::Real;
    /// `a * b + c`.
    fn fma(&self, a: Self::Real, b: Self::Real, c: Self::Real) -> Self::Real;
    /// `-a`.
    fn neg(&self, a: Self::Real) -> Self::Real;
    /// `a` without its sign.
    fn abs(&self, a: Self::Real) -> Self::Real;
    /// `a < b`, false of NaN.
    fn less(&self, a: Self::Real, b: Self::Real) -> Self::Truth;
    /// `a <= b`, false of NaN.
    fn at_most(&self, a: Self::Real, b: Self::Real) -> Self::Truth;
    /// `a == b`, false of NaN.
    fn equal(&self, a: Self::Real, b: Self::Real) -> Self::Truth;
    /// Whether no bit is set.
    fn is_zero(&self, a: Self::Bits) -> Self::Truth;
    /// `a` where it holds, else `b`.
    fn choose(&self, truth: Self::Truth, a: Self::Real, b: Self::Real) -> Self::Real;
    /// The bits of a float.
    fn to_bits(&self, a: Self::Real) -> Self::Bits;
    /// The float of bits.
    fn float(&self, a: Self::Bits) -> Self::Real;
    /// `a + b`, which wraps.
    fn add_bits(&self, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// `a - b`, which wraps.
    fn sub_bits(&self, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bits of both.
    fn and(&self, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bits of any of both.
    fn or(&self, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Bits of one of both.
    fn xor(&self, a: Self::Bits, b: Self::Bits) -> Self::Bits;
    /// Shifts towards the high bits.
    fn shift_left(&self, a: Self::Bits, by: u32) -> Self::Bits;
    /// Shifts towards the low bits, and zeros in.
    fn shift_right(&self, a: Self::Bits, by: u32) -> Self::Bits;
}

/// Bits of the fraction of a format, and what is added to its exponent.
#[inline(always)]
fn fraction<A: Arithmetic>(m: &A) -> (u32, u64) {
    if m.is_wide() { (52, 1023) } else { (23, 127) }
}

/// The bits of a number of the format.
#[inline(always)]
fn bits_of<A: Arithmetic>(m: &A, value: f64) -> u64 {
    if m.is_wide() { value.to_bits() } else { u64::from((value as f32).to_bits()) }
}

/// Adding it to a small number leaves the nearest integer in the low bits.
#[inline(always)]
fn round<A: Arithmetic>(m: &A) -> f64 {
    if m.is_wide() { 6755399441055744.0 } else { 12582912.0 }
}

/// The logarithm of 2 in two parts, the first of so few digits that its products with exponents are exact.
const LN2: (f64, f64) = (6.93147180369123816490e-01, 1.90821492927058770002e-10);

/// The polynomial with these coefficients, the constant first.
#[inline(always)]
fn polynomial<A: Arithmetic, const N: usize>(m: &A, coefficients: [f64; N], x: A::Real) -> A::Real {
    let mut sum = m.real(coefficients[N - 1]);
    for at in (0..N - 1).rev() {
        sum = m.fma(sum, x, m.real(coefficients[at]));
    }
    sum
}

/// The lesser of `x` and a constant; NaN of NaN.
#[inline(always)]
fn at_most<A: Arithmetic>(m: &A, x: A::Real, most: f64) -> A::Real {
    let most = m.real(most);
    m.choose(m.less(most, x), most, x)
}

/// The greater of `x` and a constant; NaN of NaN.
#[inline(always)]
fn at_least<A: Arithmetic>(m: &A, x: A::Real, least: f64) -> A::Real {
    let least = m.real(least);
    m.choose(m.less(x, least), least, x)
}

/// A value that is not negative, with the sign of `x`.
#[inline(always)]
fn with_sign<A: Arithmetic>(m: &A, value: A::Real, x: A::Real) -> A::Real {
    let sign = m.and(m.to_bits(x), m.bits(bits_of(m, -0.0)));
    m.float(m.or(m.to_bits(value), sign))
}

/// What rounding the product of two numbers loses.
#[inline(always)]
fn product_rest<A: Arithmetic>(m: &A, a: A::Real, b: A::Real) -> A::Real {
    let product = m.mul(a, b);
    if m.has_fma() {
        return m.fma(a, b, m.neg(product));
    }
    let halves = |x| {
        let split = m.mul(x, m.real(if m.is_wide() { 134217729.0 } else { 4097.0 }));
        let high = m.sub(split, m.sub(split, x));
        (high, m.sub(x, high))
    };
    let ((a, a_low), (b, b_low)) = (halves(a), halves(b));
    let mixed = m.add(m.mul(a, b_low), m.mul(a_low, b));
    m.add(m.add(m.sub(m.mul(a, b), product), mixed), m.mul(a_low, b_low))
}

/// A constant in two parts, the second of which is what rounding `value + rest` to the format loses.
#[inline(always)]
fn parts<A: Arithmetic>(m: &A, value: f64, rest: f64) -> (A::Real, A::Real) {
    let rest = if m.is_wide() { rest } else { value - f64::from(value as f32) };
    (m.real(value), m.real(rest))
}

/// A power of e: `(1 + rest) * scales[0] * scales[1]`; two factors, as one alone may not be a normal number.
struct Power<R> {
    rest: R,
    scales: [R; 2],
}

impl<R: Copy> Power<R> {
    #[inline(always)]
    fn scaled<A: Arithmetic<Real = R>>(&self, m: &A, value: R) -> R {
        m.mul(m.mul(value, self.scales[0]), self.scales[1])
    }
}

/// The least exponent: below it powers of e are no normal numbers, and 0 here.
#[inline(always)]
fn least_exponent<A: Arithmetic>(m: &A) -> f64 {
    if m.is_wide() { -708.3964 } else { -87.3365 }
}

/// The greatest size of an exponent: beyond it powers of e are 0 or infinite.
#[inline(always)]
fn most_exponent<A: Arithmetic>(m: &A) -> f64 {
    if m.is_wide() { 800.0 } else { 110.0 }
}

/// The power of `x`, at most [`most_exponent`] large, plus a number that is small against it if there is one.
#[inline(always)]
fn power<A: Arithmetic>(m: &A, x: A::Real, more: Option<A::Real>) -> Power<A::Real> {
    let (fraction, bias) = fraction(m);
    let start = m.real(round(m));
    let shifted = m.fma(x, m.real(LOG2_E), start);
    let minus = m.sub(start, shifted);
    // Products of the first constant are exact.
    let (high, low) = if m.is_wide() { LN2 } else { (0.693359375, -2.121_944_4e-4) };
    let r = m.fma(minus, m.real(high), x);
    let r = m.fma(minus, m.real(low), r);
    let r = more.map_or(r, |more| m.add(r, more));
    let series = if m.is_wide() {
        const REST: [f64; 10] = [
            0.5000000000000001,
            0.16666666666666669,
            0.04166666666662399,
            0.008333333333330051,
            0.0013888888917281794,
            0.00019841269863105968,
            2.480152119021773e-05,
            2.7557268378684192e-06,
            2.7620138719733994e-07,
            2.5100424157005067e-08,
        ];
        polynomial(m, REST, r)
    } else {
        polynomial(m, [0.5, 0.166_665_77, 0.041_666_556, 0.008_363_203, 0.001_392_621_3], r)
    };
    let rest = m.fma(m.mul(r, r), series, r);
    // Half of the exponent and the rest of it, each with the bias.
    let away = m.bits((2 * bias).wrapping_sub(bits_of(m, round(m))));
    let twice = m.add_bits(m.to_bits(shifted), away);
    let first = m.shift_right(twice, 1);
    let second = m.sub_bits(twice, first);
    // No `map` here or elsewhere: it might be compiled on its own, without the features of the caller.
    let scales = [m.float(m.shift_left(first, fraction)), m.float(m.shift_left(second, fraction))];
    Power { rest, scales }
}

/// `e^x`.
#[inline(always)]
pub fn exp<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let least = least_exponent(m);
    let power = power(m, at_least(m, at_most(m, x, most_exponent(m)), least), None);
    let value = power.scaled(m, m.add(m.real(1.0), power.rest));
    m.choose(m.less(x, m.real(least)), m.real(0.0), value)
}

/// How much [`exponent_and_mantissa`] adds to exponents: an integer in the last bits of 2^52 or 2^23.
#[inline(always)]
fn exponent_start<A: Arithmetic>(m: &A) -> f64 {
    let (fraction, bias) = fraction(m);
    (1u64 << fraction) as f64 + (bias + 1) as f64
}

/// The exponent of a positive normal number that leaves a mantissa between the roots of 1/2 and 2, plus
/// [`exponent_start`], and that mantissa.
#[inline(always)]
fn exponent_and_mantissa<A: Arithmetic>(m: &A, x: A::Real) -> (A::Real, A::Real) {
    let (fraction, bias) = fraction(m);
    let root = if m.is_wide() { 0x3fe6_a09e_0000_0000 } else { 0x3f35_04f3 };
    let bits = m.to_bits(x);
    let plus = bias + 1;
    let exponent = m.shift_right(m.add_bits(bits, m.bits((plus << fraction).wrapping_sub(root))), fraction);
    let whole = m.sub_bits(m.shift_left(exponent, fraction), m.bits(plus << fraction));
    let mantissa = m.float(m.sub_bits(bits, whole));
    (m.float(m.or(exponent, m.bits(bits_of(m, (1u64 << fraction) as f64)))), mantissa)
}

/// The natural logarithm.
#[inline(always)]
pub fn log<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let (least, up) = if m.is_wide() { (f64::MIN_POSITIVE, 54) } else { (f64::from(f32::MIN_POSITIVE), 25) };
    let tiny = m.less(x, m.real(least));
    let scaled = m.choose(tiny, m.mul(x, m.real((1u64 << up) as f64)), x);
    let (k, mantissa) = exponent_and_mantissa(m, scaled);
    let start = exponent_start(m);
    let k = m.add(k, m.choose(tiny, m.real(-start - f64::from(up)), m.real(-start)));
    let f = m.sub(mantissa, m.real(1.0));
    let s = m.div(f, m.add(m.real(2.0), f));
    let z = m.mul(s, s);
    let rest = if m.is_wide() {
        const REST: [f64; 7] = [
            6.666666666666735130e-01,
            3.999999999940941908e-01,
            2.857142874366239149e-01,
            2.222219843214978396e-01,
            1.818357216161805012e-01,
            1.531383769920937332e-01,
            1.479819860511658591e-01,
        ];
        polynomial(m, REST, z)
    } else {
        polynomial(m, [0.666_666_626_93, 0.400_009_721_52, 0.284_987_866_88, 0.242_790_788_41], z)
    };
    let rest = m.mul(z, rest);
    let half = m.mul(m.mul(m.real(0.5), f), f);
    let (high, low) = if m.is_wide() { LN2 } else { (6.9313812256e-01, 9.0580006145e-06) };
    let tail = m.fma(s, m.add(half, rest), m.mul(k, m.real(low)));
    let tail = m.sub(m.sub(half, tail), f);
    let value = m.sub(m.mul(k, m.real(high)), tail);
    let (zero, inf) = (m.real(0.0), m.real(f64::INFINITY));
    let value = m.choose(m.equal(x, zero), m.real(f64::NEG_INFINITY), value);
    let value = m.choose(m.equal(x, inf), x, value);
    m.choose(m.at_most(zero, x), value, m.real(f64::NAN))
}

/// `x ** exponent` of an `x` that is an `f32`, to be rounded to one, in arithmetic of `f64`: `2 ** (exponent * log2(x))`
/// with relative errors of 2^-36 of the logarithm and 2^-34 of the power. The exponent is finite and not 0; where it is an
/// integer, powers of negative numbers are NaN all the same.
#[inline(always)]
pub fn power_of_narrow<A: Arithmetic>(m: &A, x: A::Real, exponent: A::Real) -> A::Real {
    // Of s^2 for log2((1 + s) / (1 - s)) / s, and of r for 2^r: Remez' algorithm, for the least relative error.
    const LOG: [f64; 5] = [
        2.88539008179014665,
        0.961796673275219811,
        0.577083596279109604,
        0.411672104249700923,
        0.340740543992582809,
    ];
    const POWER: [f64; 8] = [
        0.999999999961687501,
        0.693147180728517909,
        0.240226511980976817,
        0.0555041035314151464,
        0.00961802726043262519,
        0.0013333922843441671,
        0.000154692894064424666,
        0.0000152018544508613776,
    ];
    let (k, mantissa) = exponent_and_mantissa(m, x);
    let s = m.div(m.sub(mantissa, m.real(1.0)), m.add(mantissa, m.real(1.0)));
    let log = m.fma(s, polynomial(m, LOG, m.mul(s, s)), m.sub(k, m.real(exponent_start(m))));
    let (zero, inf) = (m.real(0.0), m.real(f64::INFINITY));
    let log = m.choose(m.less(zero, x), log, m.real(f64::NAN));
    let log = m.choose(m.equal(x, zero), m.real(f64::NEG_INFINITY), log);
    let log = m.choose(m.equal(m.abs(x), inf), inf, log);
    // Beyond 2^-150 and 2^128 results are 0 and infinite when they are rounded.
    let power = at_least(m, at_most(m, m.mul(exponent, log), 1000.0), -1000.0);
    let start = m.real(round(m));
    let shifted = m.add(power, start);
    let rest = m.sub(power, m.sub(shifted, start));
    let (fraction, bias) = fraction(m);
    let scale = m.float(m.shift_left(m.add_bits(m.to_bits(shifted), m.bits(bias)), fraction));
    m.mul(polynomial(m, POWER, rest), scale)
}

/// The greatest size of an argument for [`sin`] and [`cos`].
pub const MOST_ANGLE: f64 = 1e4;

/// The sine of `x` plus that many right angles. In `f32` it needs instructions that multiply and add at once.
#[inline(always)]
fn sin_shifted<A: Arithmetic>(m: &A, x: A::Real, shift: u64) -> A::Real {
    let start = m.real(round(m));
    let rounded = m.fma(x, m.real(FRAC_2_PI), start);
    let n = m.sub(rounded, start);
    let quadrant = m.add_bits(m.to_bits(rounded), m.bits(shift));
    let (sin, cos) = if m.is_wide() {
        // The first two parts have so few digits that their products are exact.
        let first = m.mul(n, m.real(1.57079632673412561417e+00));
        let second = m.mul(n, m.real(6.07710050630396597660e-11));
        let third = m.mul(n, m.real(2.02226624879595063154e-21));
        let first = m.sub(x, first);
        let high = m.sub(first, second);
        let low = m.sub(m.sub(m.sub(first, high), second), third);
        let r = m.add(high, low);
        let low = m.add(m.sub(high, r), low);
        const SIN: [f64; 5] = [
            8.33333333332248946124e-03,
            -1.98412698298579493134e-04,
            2.75573137070700676789e-06,
            -2.50507602534068634195e-08,
            1.58969099521155010221e-10,
        ];
        const COS: [f64; 6] = [
            4.16666666666666019037e-02,
            -1.38888888888741095749e-03,
            2.48015872894767294178e-05,
            -2.75573143513906633035e-07,
            2.08757232129817482790e-09,
            -1.13596475577881948265e-11,
        ];
        let z = m.mul(r, r);
        let cube = m.mul(z, r);
        let half = m.real(0.5);
        let sin = m.sub(m.mul(half, low), m.mul(cube, polynomial(m, SIN, z)));
        let sin = m.sub(m.mul(z, sin), low);
        let sin = m.sub(r, m.fma(cube, m.real(1.66666666666666324348e-01), sin));
        let halved = m.mul(half, z);
        let near = m.sub(m.real(1.0), halved);
        let lost = m.sub(m.sub(m.real(1.0), near), halved);
        let cos = m.sub(m.mul(m.mul(z, z), polynomial(m, COS, z)), m.mul(r, low));
        (sin, m.add(near, m.add(lost, cos)))
    } else {
        // Three numbers that add up to a right angle. The first difference is exact, as it is fused and a multiple of
        // the last digit of the first.
        let minus = m.neg(n);
        let r = m.fma(minus, m.real(1.570_796_4), x);
        let r = m.fma(minus, m.real(-4.371_139e-8), r);
        let r = m.fma(minus, m.real(-1.715_124_4e-15), r);
        let z = m.mul(r, r);
        let sin = polynomial(m, [-1.666_665_461_1e-1, 8.332_160_873_6e-3, -1.951_529_589_1e-4], z);
        const COS: [f64; 3] = [4.166_664_568_298_827e-2, -1.388_731_625_493_765e-3, 2.443_315_711_809_948e-5];
        let cos = m.mul(z, z);
        let cos = m.fma(cos, polynomial(m, COS, z), m.fma(z, m.real(-0.5), m.real(1.0)));
        (m.fma(m.mul(r, z), sin, r), cos)
    };
    let is_even = m.is_zero(m.and(quadrant, m.bits(1)));
    let value = m.choose(is_even, sin, cos);
    let sign = m.shift_left(m.and(quadrant, m.bits(2)), if m.is_wide() { 62 } else { 30 });
    m.float(m.xor(m.to_bits(value), sign))
}

/// The sine of an angle of at most [`MOST_ANGLE`]; in `f32` it needs instructions that multiply and add at once.
#[inline(always)]
pub fn sin<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    // Only the reduction loses the sign of zero.
    m.choose(m.equal(x, m.real(0.0)), x, sin_shifted(m, x, 0))
}

/// The cosine of an angle of at most [`MOST_ANGLE`]; in `f32` it needs instructions that multiply and add at once.
#[inline(always)]
pub fn cos<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    sin_shifted(m, x, 1)
}

/// The hyperbolic tangent.
#[inline(always)]
pub fn tanh<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let size = m.abs(x);
    let z = m.mul(x, x);
    let rest = if m.is_wide() {
        const ABOVE: [f64; 3] =
            [-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1];
        const BELOW: [f64; 4] =
            [4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1.0];
        m.div(polynomial(m, ABOVE, z), polynomial(m, BELOW, z))
    } else {
        polynomial(m, [-0.333_332_82, 0.133_314_42, -0.053_739_716, 0.020_639_09, -0.005_704_988_7], z)
    };
    let near = m.fma(m.mul(x, z), rest, x);
    let (one, two) = (m.real(1.0), m.real(2.0));
    let far = m.sub(one, m.div(two, m.add(exp(m, m.add(size, size)), one)));
    m.choose(m.less(size, m.real(0.625)), near, with_sign(m, far, x))
}

/// `factor / (1 + e^-x)`; `x` may have a part that is small against it.
#[inline(always)]
fn gated<A: Arithmetic>(m: &A, factor: A::Real, x: A::Real, more: Option<A::Real>) -> A::Real {
    let one = m.real(1.0);
    let negative = m.less(x, m.real(0.0));
    let size = at_most(m, m.abs(x), most_exponent(m));
    let more = more.map(|more| m.choose(negative, more, m.neg(more)));
    let power = power(m, m.neg(size), more);
    // Added as it is scaled: the power of a large size is no normal number, which takes many times as long to multiply.
    let below = m.fma(m.mul(m.add(one, power.rest), power.scales[0]), power.scales[1], one);
    // The power comes last: alone it may be no normal number.
    let above = m.choose(negative, m.fma(factor, power.rest, factor), factor);
    let value = m.div(above, below);
    m.choose(negative, power.scaled(m, value), value)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let least = least_exponent(m);
    let value = gated(m, m.real(1.0), at_least(m, x, least), None);
    m.choose(m.less(x, m.real(least)), m.real(0.0), value)
}

/// `x` times its sigmoid.
#[inline(always)]
pub fn silu<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let least = if m.is_wide() { -714.9683 } else { -91.8567 };
    let y = at_least(m, x, least);
    m.choose(m.less(x, m.real(least)), m.real(-0.0), gated(m, y, y, None))
}

/// `log(1 + e^x)`.
#[inline(always)]
pub fn softplus<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    // What 1 + y loses of y is put right by a quotient.
    let y = exp(m, m.neg(m.abs(x)));
    let (zero, one) = (m.real(0.0), m.real(1.0));
    let sum = m.add(one, y);
    let kept = m.sub(sum, one);
    let exact = m.mul(log(m, sum), m.div(y, kept));
    let rest = m.choose(m.equal(kept, zero), y, exact);
    m.add(m.choose(m.less(x, zero), zero, x), rest)
}

/// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, which is `x sigmoid` of twice that argument.
#[inline(always)]
pub fn gelu_tanh<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    // The argument is x (c + d x^2), in two parts as its power multiplies its error.
    let (c, c_low) = parts(m, 1.5957691216057308, -9.96930880911092e-17);
    let (d, d_low) = parts(m, 0.07135481627260025, -6.175149918155315e-19);
    let least = if m.is_wide() { -21.17688 } else { -10.1006 };
    let factor = at_least(m, x, least);
    let y = at_most(m, factor, 24.0);
    let (square, square_low) = (m.mul(y, y), product_rest(m, y, y));
    let cubic = m.mul(d, square);
    let cubic_low = m.fma(d, square_low, m.fma(d_low, square, product_rest(m, d, square)));
    let inner = m.add(c, cubic);
    let back = m.sub(inner, c);
    let lost = m.add(m.sub(c, m.sub(inner, back)), m.sub(cubic, back));
    let inner_low = m.add(lost, m.add(cubic_low, c_low));
    let u = m.mul(y, inner);
    let u_low = m.fma(y, inner_low, product_rest(m, y, inner));
    m.choose(m.less(x, m.real(least)), m.real(-0.0), gated(m, factor, u, Some(u_low)))
}

/// The complementary error function, times `z + 2` and less its exponential factor, by `(z - 2) / (z + 2)`.
const BELL: [f64; 25] = [
    1.021582705242023,
    -0.6871606844138107,
    0.2794720925560472,
    -0.03644223150686055,
    -0.02151066188904168,
    0.006479185067043882,
    0.0030906120488752506,
    -0.0008372960505667296,
    -0.0006630733806812135,
    3.437132347499336e-05,
    0.00014446984782779868,
    3.414954242910816e-05,
    -2.1691996160279536e-05,
    -1.6123253296994566e-05,
    -1.1390657822713735e-06,
    3.649115551163877e-06,
    2.032058152968992e-06,
    -5.151313592947865e-09,
    -6.180966770248528e-07,
    -3.2001443278588945e-07,
    4.624002786859279e-08,
    1.120824619736229e-07,
    2.4107696115186398e-08,
    -1.4966772746772726e-08,
    -5.898400779613349e-09,
];

/// Half of it for `z = x / sqrt(2)`, times `x + sqrt(8)`.
const HALF_BELL: [f64; 25] = {
    let (mut scaled, mut at) = (BELL, 0);
    while at < scaled.len() {
        scaled[at] *= SQRT_2 / 2.0;
        at += 1;
    }
    scaled
};

/// The value of such a polynomial about `centre` at `x`, times the exponential of `-square - rest`.
#[inline(always)]
fn bell<A: Arithmetic>(
    m: &A,
    (coefficients, centre): ([f64; 25], f64),
    x: A::Real,
    (square, rest): (A::Real, A::Real),
) -> A::Real {
    let centre = m.real(centre);
    let below = m.add(x, centre);
    let value = m.div(polynomial(m, coefficients, m.div(m.sub(x, centre), below)), below);
    let power = power(m, m.neg(square), Some(m.neg(rest)));
    power.scaled(m, m.fma(power.rest, value, value))
}

/// The error function.
#[inline(always)]
pub fn erf<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let size = m.abs(x);
    let one = m.real(1.0);
    let z = m.mul(x, x);
    if m.is_wide() {
        const SMALL: [f64; 13] = [
            1.1283791670955126,
            -0.3761263890318375,
            0.11283791670954879,
            -0.026866170645076792,
            0.0052239776248180145,
            -0.000854832698083379,
            0.0001205533111164271,
            -1.4925595266831182e-05,
            1.6461000484121368e-06,
            -1.6350312701054695e-07,
            1.4659775274047436e-08,
            -1.1372848856791674e-09,
            5.957176147748911e-11,
        ];
        let near = m.mul(x, polynomial(m, SMALL, z));
        let most = at_most(m, size, 27.0);
        let far = m.sub(one, bell(m, (BELL, 2.0), most, (m.mul(most, most), product_rest(m, most, most))));
        return m.choose(m.less(size, one), near, with_sign(m, far, x));
    }
    const SMALL: [f64; 6] = [
        0.1283791520253703,
        -0.3761251056974181,
        0.11281999076496227,
        -0.026773462126815268,
        0.005003522374646511,
        -0.0006045028961868016,
    ];
    // The logarithm of the complementary function.
    const LARGE: [f64; 7] = [
        -0.0001528225742604793,
        -1.127854519859557,
        -0.6368780432029104,
        -0.1042010558133178,
        0.022357943172351426,
        -0.003076354641451715,
        0.00019934111495016838,
    ];
    let near = m.fma(x, polynomial(m, SMALL, z), x);
    let power = power(m, polynomial(m, LARGE, at_most(m, size, 4.0)), None);
    let far = m.sub(one, power.scaled(m, m.add(one, power.rest)));
    m.choose(m.less(size, m.real(0.9)), near, with_sign(m, far, x))
}

/// `x` times the normal distribution's share below `x`.
#[inline(always)]
pub fn gelu<A: Arithmetic>(m: &A, x: A::Real) -> A::Real {
    let half = m.real(0.5);
    // What lies above |x|, times |x|: the value is that much below the positive part of x.
    let last = if m.is_wide() { 37.6158 } else { 13.1462 };
    let size = at_most(m, m.abs(x), last);
    let square = m.mul(half, m.mul(size, size));
    let rest = m.mul(half, product_rest(m, size, size));
    let above = if m.is_wide() {
        m.mul(size, bell(m, (HALF_BELL, 2.0 * SQRT_2), size, (square, rest)))
    } else {
        const BELL: [f64; 11] = [
            0.6724079928493413,
            -0.3314045644290694,
            0.02879839769401217,
            0.03672159604211118,
            -0.0004832155479230448,
            -0.0067515709087232105,
            -0.001890608206560051,
            0.000884211740859284,
            0.0007241505523098484,
            3.0758104689233335e-05,
            -7.631005128144377e-05,
        ];
        let two = m.real(2.0);
        let part = m.div(size, m.add(size, two));
        let value = m.mul(polynomial(m, BELL, m.fma(two, part, m.real(-1.0))), part);
        let power = power(m, m.neg(square), Some(m.neg(rest)));
        power.scaled(m, m.fma(power.rest, value, value))
    };
    let above = m.choose(m.less(m.real(last), m.abs(x)), m.real(0.0), above);
    m.sub(at_least(m, x, 0.0), above)
}

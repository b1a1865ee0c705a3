//! Functions without branches or tables, so that the compiler makes vector loops of them.
//!
//! `FMA` says whether the machine multiplies and adds in one instruction; elsewhere `mul_add` would be a slow call.
//! Polynomials were fitted at Chebyshev nodes in 60-digit arithmetic; those of the logarithm, sine and cosine are
//! fdlibm's. They stand in all the digits of their sources.
#![allow(clippy::excessive_precision, clippy::approx_constant)]

#[inline(always)]
fn fma<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn fma_f32<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// The polynomial with these coefficients, the constant first.
#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(coefficients: [f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    for at in (0..N - 1).rev() {
        sum = fma::<FMA>(sum, x, coefficients[at]);
    }
    sum
}

#[inline(always)]
fn polynomial_f32<const FMA: bool, const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for at in (0..N - 1).rev() {
        sum = fma_f32::<FMA>(sum, x, coefficients[at]);
    }
    sum
}

/// Adding it to a small number leaves the nearest integer in the low bits.
const ROUND: f64 = 6755399441055744.0;
const ROUND_F32: f32 = 12582912.0;

const LN2_HIGH: f64 = 6.93147180369123816490e-01;
const LN2_LOW: f64 = 1.90821492927058770002e-10;
const LN2_HIGH_F32: f32 = 0.693359375;
const LN2_LOW_F32: f32 = -2.121_944_4e-4;

/// `2^n`, for `n` as left in the low bits by [`ROUND`], down to -1022.
#[inline(always)]
fn power_of_two(rounded: f64) -> f64 {
    f64::from_bits((rounded.to_bits() << 52).wrapping_add(1f64.to_bits()))
}

#[inline(always)]
fn power_of_two_f32(rounded: f32) -> f32 {
    f32::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()))
}

#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f64) -> f64 {
    // Comparisons with NaN are false, so NaN passes; beyond 800 all is 0 or infinite anyway.
    let x = if x > 800.0 { 800.0 } else { x };
    let x = if x < -800.0 { -800.0 } else { x };
    let n = fma::<FMA>(x, std::f64::consts::LOG2_E, ROUND) - ROUND;
    let high = fma::<FMA>(-n, LN2_HIGH, x);
    let low = n * LN2_LOW;
    let r = high - low;
    let lost = (high - r) - low;
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
    let value = 1.0 + (r + fma::<FMA>(r * r, polynomial::<FMA, 10>(REST, r), lost));
    // Two factors, as 2^n alone may not be a normal number.
    let half = fma::<FMA>(n, 0.5, ROUND);
    value * power_of_two(half) * power_of_two(n - (half - ROUND) + ROUND)
}

#[inline(always)]
pub(super) fn exp_f32<const FMA: bool>(x: f32) -> f32 {
    let x = if x > 110.0 { 110.0 } else { x };
    let x = if x < -110.0 { -110.0 } else { x };
    let n = fma_f32::<FMA>(x, std::f32::consts::LOG2_E, ROUND_F32) - ROUND_F32;
    let high = fma_f32::<FMA>(-n, LN2_HIGH_F32, x);
    let low = n * LN2_LOW_F32;
    let r = high - low;
    let lost = (high - r) - low;
    const REST: [f32; 5] = [0.5, 0.166_665_77, 0.041_666_556, 0.008_363_203, 0.001_392_621_3];
    let value = 1.0 + (r + fma_f32::<FMA>(r * r, polynomial_f32::<FMA, 5>(REST, r), lost));
    let half = fma_f32::<FMA>(n, 0.5, ROUND_F32);
    value * power_of_two_f32(half) * power_of_two_f32(n - (half - ROUND_F32) + ROUND_F32)
}

#[inline(always)]
pub(super) fn log<const FMA: bool>(x: f64) -> f64 {
    let tiny = x < f64::MIN_POSITIVE;
    let scaled = if tiny { x * 18014398509481984.0 } else { x };
    let bits = scaled.to_bits();
    // The exponent that leaves a mantissa between the roots of 1/2 and 2, plus 1024.
    let exponent = bits.wrapping_sub(0x3fe6_a09e_0000_0000).wrapping_add(1024 << 52) >> 52;
    let mantissa = f64::from_bits(bits.wrapping_sub(exponent.wrapping_sub(1024) << 52));
    let k = f64::from_bits(0x4330_0000_0000_0000 | exponent) - (4503599627370496.0 + 1024.0);
    let k = if tiny { k - 54.0 } else { k };
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    const REST: [f64; 7] = [
        6.666666666666735130e-01,
        3.999999999940941908e-01,
        2.857142874366239149e-01,
        2.222219843214978396e-01,
        1.818357216161805012e-01,
        1.531383769920937332e-01,
        1.479819860511658591e-01,
    ];
    let rest = z * polynomial::<FMA, 7>(REST, z);
    let half = 0.5 * f * f;
    let value = k * LN2_HIGH - ((half - (s * (half + rest) + k * LN2_LOW)) - f);
    let value = if x == 0.0 { f64::NEG_INFINITY } else { value };
    let value = if x == f64::INFINITY { x } else { value };
    if x >= 0.0 { value } else { f64::NAN }
}

/// The greatest size of an argument for [`sin`] and [`cos`].
pub(super) const MOST_ANGLE: f64 = 1e4;

/// The argument less the nearest multiple of a right angle, in two parts, and which multiple, in the low bits.
#[inline(always)]
fn right_angles<const FMA: bool>(x: f64) -> (f64, f64, u64) {
    const FIRST: f64 = 1.57079632673412561417e+00;
    const SECOND: f64 = 6.07710050630396597660e-11;
    const THIRD: f64 = 2.02226624879595063154e-21;
    let rounded = fma::<FMA>(x, std::f64::consts::FRAC_2_PI, ROUND);
    let n = rounded - ROUND;
    // The first two parts have so few digits that their products are exact.
    let first = x - n * FIRST;
    let high = first - n * SECOND;
    let low = ((first - high) - n * SECOND) - n * THIRD;
    let sum = high + low;
    (sum, (high - sum) + low, rounded.to_bits())
}

/// The sine of `x` plus that many right angles.
#[inline(always)]
fn sin_shifted<const FMA: bool>(x: f64, shift: u64) -> f64 {
    let (r, low, quadrant) = right_angles::<FMA>(x);
    let quadrant = quadrant.wrapping_add(shift);
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
    let z = r * r;
    let cube = z * r;
    let sin = polynomial::<FMA, 5>(SIN, z);
    let sin = r - ((z * (0.5 * low - cube * sin) - low) + cube * 1.66666666666666324348e-01);
    let half = 0.5 * z;
    let near = 1.0 - half;
    let cos = near + (((1.0 - near) - half) + (z * z * polynomial::<FMA, 6>(COS, z) - r * low));
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f64::from_bits(value.to_bits() ^ (quadrant & 2) << 62)
}

#[inline(always)]
pub(super) fn sin<const FMA: bool>(x: f64) -> f64 {
    // Only the reduction loses the sign of zero.
    if x == 0.0 { x } else { sin_shifted::<FMA>(x, 0) }
}

#[inline(always)]
pub(super) fn cos<const FMA: bool>(x: f64) -> f64 {
    sin_shifted::<FMA>(x, 1)
}

#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f64) -> f64 {
    let size = x.abs();
    let z = x * x;
    let above = fma::<FMA>(
        fma::<FMA>(-9.64399179425052238628e-1, z, -9.92877231001918586564e1),
        z,
        -1.61468768441708447952e3,
    );
    let below = fma::<FMA>(
        fma::<FMA>(z + 1.12811678491632931402e2, z, 2.23548839060100448583e3),
        z,
        4.84406305325125486048e3,
    );
    let small = fma::<FMA>(x * z, above / below, x);
    let large = 1.0 - 2.0 / (exp::<FMA>(2.0 * size) + 1.0);
    if size < 0.625 { small } else { large.copysign(x) }
}

#[inline(always)]
pub(super) fn tanh_f32<const FMA: bool>(x: f32) -> f32 {
    const REST: [f32; 5] = [-0.333_332_82, 0.133_314_42, -0.053_739_716, 0.020_639_09, -0.005_704_988_7];
    let size = x.abs();
    let z = x * x;
    let small = fma_f32::<FMA>(x * z, polynomial_f32::<FMA, 5>(REST, z), x);
    let large = 1.0 - 2.0 / (exp_f32::<FMA>(2.0 * size) + 1.0);
    if size < 0.625 { small } else { large.copysign(x) }
}

#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f64) -> f64 {
    let e = exp::<FMA>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

#[inline(always)]
pub(super) fn sigmoid_f32<const FMA: bool>(x: f32) -> f32 {
    let e = exp_f32::<FMA>(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

#[inline(always)]
pub(super) fn silu<const FMA: bool>(x: f64) -> f64 {
    if x == f64::NEG_INFINITY { -0.0 } else { x * sigmoid::<FMA>(x) }
}

#[inline(always)]
pub(super) fn silu_f32<const FMA: bool>(x: f32) -> f32 {
    if x == f32::NEG_INFINITY { -0.0 } else { x * sigmoid_f32::<FMA>(x) }
}

/// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`, which is `x sigmoid` of twice that argument.
#[inline(always)]
pub(super) fn gelu_tanh<const FMA: bool>(x: f64) -> f64 {
    let u =
        std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::SQRT_2 * x * fma::<FMA>(x * x, 0.044715, 1.0);
    if x < -40.0 { -0.0 } else { x * sigmoid::<FMA>(u) }
}

#[inline(always)]
pub(super) fn gelu_tanh_f32<const FMA: bool>(x: f32) -> f32 {
    let u = std::f32::consts::FRAC_2_SQRT_PI
        * std::f32::consts::SQRT_2
        * x
        * fma_f32::<FMA>(x * x, 0.044715, 1.0);
    if x < -40.0 { -0.0 } else { x * sigmoid_f32::<FMA>(u) }
}

/// What rounding the square of `x` loses.
#[inline(always)]
fn square_rest<const FMA: bool>(x: f64) -> f64 {
    if FMA {
        return x.mul_add(x, -(x * x));
    }
    let split = x * 134217729.0;
    let high = split - (split - x);
    let low = x - high;
    ((high * high - x * x) + 2.0 * high * low) + low * low
}

/// The complementary error function of `z`, at least 0, whose square is `square + rest`.
#[inline(always)]
fn erfc_of<const FMA: bool>(z: f64, square: f64, rest: f64) -> f64 {
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
    let below = z + 2.0;
    let value = polynomial::<FMA, 25>(BELL, (z - 2.0) / below) / below;
    let e = exp::<FMA>(-square);
    value * (e - e * rest)
}

#[inline(always)]
pub(super) fn erf<const FMA: bool>(x: f64) -> f64 {
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
    let size = x.abs();
    let small = x * polynomial::<FMA, 13>(SMALL, x * x);
    let z = if size > 28.0 { 28.0 } else { size };
    let large = 1.0 - erfc_of::<FMA>(z, z * z, square_rest::<FMA>(z));
    if size < 1.0 { small } else { large.copysign(x) }
}

/// `x` times the normal distribution's share below `x`.
#[inline(always)]
pub(super) fn gelu<const FMA: bool>(x: f64) -> f64 {
    let size = x.abs();
    let size = if size > 40.0 { 40.0 } else { size };
    let (half, rest) = (0.5 * size * size, 0.5 * square_rest::<FMA>(size));
    let above = 0.5 * erfc_of::<FMA>(size * std::f64::consts::FRAC_1_SQRT_2, half, rest);
    if x < -40.0 { -0.0 } else { x * (if x < 0.0 { above } else { 1.0 - above }) }
}

/// The complementary error function to the accuracy of `f32`.
#[inline(always)]
fn erfc_short<const FMA: bool>(z: f64, square: f64) -> f64 {
    const BELL: [f64; 11] = [
        1.0740069073788705,
        -0.8833944940437978,
        0.5902283205252171,
        -0.3104658385186013,
        0.11952902059979421,
        -0.026840682319707806,
        -0.0012274901233353419,
        0.0030803119562648903,
        -0.00048036927814075497,
        -0.0003205212359938551,
        2.389326401708782e-06,
    ];
    let below = z + 3.0;
    polynomial::<FMA, 11>(BELL, (z - 3.0) / below) / below * exp::<FMA>(-square)
}

#[inline(always)]
pub(super) fn erf_f32<const FMA: bool>(x: f32) -> f32 {
    const SMALL: [f64; 7] = [
        1.1283791658483509,
        -0.37612626666720334,
        0.11283594715160218,
        -0.026854212010626412,
        0.005189087423433974,
        -0.000801686428716587,
        7.875875062685488e-05,
    ];
    let wide = f64::from(x);
    let size = wide.abs();
    let small = wide * polynomial::<FMA, 7>(SMALL, wide * wide);
    let z = if size > 11.0 { 11.0 } else { size };
    let large = 1.0 - erfc_short::<FMA>(z, z * z);
    (if size < 1.0 { small } else { large.copysign(wide) }) as f32
}

#[inline(always)]
pub(super) fn gelu_f32<const FMA: bool>(x: f32) -> f32 {
    let wide = f64::from(x);
    let size = wide.abs();
    let size = if size > 15.0 { 15.0 } else { size };
    let above = 0.5 * erfc_short::<FMA>(size * std::f64::consts::FRAC_1_SQRT_2, 0.5 * size * size);
    let value = wide * (if wide < 0.0 { above } else { 1.0 - above });
    if x < -15.0 { -0.0 } else { value as f32 }
}

#[inline(always)]
pub(super) fn log_f32<const FMA: bool>(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 33554432.0 } else { x };
    let bits = scaled.to_bits();
    // The exponent that leaves a mantissa between the roots of 1/2 and 2, plus 256.
    let exponent = bits.wrapping_sub(0x3f35_04f3).wrapping_add(256 << 23) >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub(exponent.wrapping_sub(256) << 23));
    let k = f32::from_bits(0x4b00_0000 | exponent) - (8388608.0 + 256.0);
    let k = if tiny { k - 25.0 } else { k };
    let f = mantissa - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    const REST: [f32; 4] = [0.666_666_626_93, 0.400_009_721_52, 0.284_987_866_88, 0.242_790_788_41];
    let rest = z * polynomial_f32::<FMA, 4>(REST, z);
    let half = 0.5 * f * f;
    const HIGH: f32 = 6.9313812256e-01;
    const LOW: f32 = 9.0580006145e-06;
    let value = k * HIGH - ((half - (s * (half + rest) + k * LOW)) - f);
    let value = if x == 0.0 { f32::NEG_INFINITY } else { value };
    let value = if x == f32::INFINITY { x } else { value };
    if x >= 0.0 { value } else { f32::NAN }
}

/// The sine of `x` plus that many right angles.
#[inline(always)]
fn sin_shifted_f32(x: f32, shift: u32) -> f32 {
    // Three numbers that add up to a right angle. The first difference is exact, as it is fused and a multiple of the
    // last digit of `FIRST`.
    const FIRST: f32 = 1.570_796_4;
    const SECOND: f32 = -4.371_139e-8;
    const THIRD: f32 = -1.715_124_4e-15;
    let rounded = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND_F32);
    let n = rounded - ROUND_F32;
    let quadrant = rounded.to_bits().wrapping_add(shift);
    let r = (-n).mul_add(FIRST, x);
    let r = (-n).mul_add(SECOND, r);
    let r = (-n).mul_add(THIRD, r);
    const SIN: [f32; 3] = [-1.666_665_461_1e-1, 8.332_160_873_6e-3, -1.951_529_589_1e-4];
    const COS: [f32; 3] = [4.166_664_568_298_827e-2, -1.388_731_625_493_765e-3, 2.443_315_711_809_948e-5];
    let z = r * r;
    let sin = (r * z).mul_add(polynomial_f32::<true, 3>(SIN, z), r);
    let cos = (z * z).mul_add(polynomial_f32::<true, 3>(COS, z), z.mul_add(-0.5, 1.0));
    let value = if quadrant & 1 == 0 { sin } else { cos };
    f32::from_bits(value.to_bits() ^ (quadrant & 2) << 30)
}

#[inline(always)]
pub(super) fn sin_f32<const FMA: bool>(x: f32) -> f32 {
    match FMA {
        true if x == 0.0 => x,
        true => sin_shifted_f32(x, 0),
        false => sin::<FMA>(x.into()) as f32,
    }
}

#[inline(always)]
pub(super) fn cos_f32<const FMA: bool>(x: f32) -> f32 {
    if FMA { sin_shifted_f32(x, 1) } else { cos::<FMA>(x.into()) as f32 }
}

//! Functions that are computed in line, the same way in one lane and in all.
//!
//! Errors against the exact value, measured by the tests: `exp`, `log`, `sigmoid` and `tanh` within 4 units in the last
//! place, `silu`, `softplus` and `gelu_tanh` within 8; in `f32` also `erf` and `gelu`, within 2e-7 of the larger of 1 and
//! the result. Results below 1e-300 (in `f32` 1e-36) may be 0. Ranges are reduced as in FreeBSD's libm, whose coefficients `log` has too; the rational function of
//! `tanh` is that of Cephes, the one of `erfc` that of Numerical Recipes (2nd edition, 6.2).

use super::ops::register;
use super::unit::Translator;
use crate::expr::Unary;
use crate::loops::{Number, Type};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// What the two float types differ in.
struct Format {
    wide: bool,
    /// The register of integers of the same width.
    ints: types::Type,
    /// Bits of the fraction, and what is added to the exponent.
    fraction: i64,
    bias: i64,
}

fn format(ty: Type) -> Format {
    let real = register(ty);
    let lanes = real.lane_count();
    let wide = real.lane_type() == types::F64;
    let int = if wide { types::I64 } else { types::I32 };
    let ints = int.by(lanes).expect("a vector type of 128 bits");
    let (fraction, bias) = if wide { (52, 1023) } else { (23, 127) };
    Format { wide, ints, fraction, bias }
}

impl Translator<'_, '_, '_> {
    /// A function of floats as instructions; `None` where it is called instead.
    pub(super) fn inline(&mut self, op: Unary, ty: Type, x: Value) -> Option<Value> {
        let wide = format(ty).wide;
        Some(match op {
            Unary::Exp => self.exp(ty, x),
            Unary::Log => self.log(ty, x),
            Unary::Tanh => self.tanh(ty, x),
            Unary::Sigmoid => self.sigmoid(ty, x),
            Unary::Silu => {
                let gate = self.sigmoid(ty, x);
                self.gated(ty, x, gate)
            }
            Unary::GeluTanh => {
                // x/2 (1 + tanh(c (x + a x^3))) = x sigmoid(2 c (x + a x^3))
                let c = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
                let square = self.builder.ins().fmul(x, x);
                let (a, c) = (self.real(ty, c * 0.044715), self.real(ty, c));
                let inner = self.multiply_add(square, a, c);
                let inner = self.builder.ins().fmul(inner, x);
                let gate = self.sigmoid(ty, inner);
                self.gated(ty, x, gate)
            }
            Unary::Softplus => self.softplus(ty, x),
            Unary::Erf if !wide => self.erf(ty, x),
            Unary::Gelu if !wide => {
                let by = self.real(ty, -FRAC_1_SQRT_2);
                let turned = self.builder.ins().fmul(x, by);
                let rest = self.erfc(ty, turned);
                let half = self.real(ty, 0.5);
                let gate = self.builder.ins().fmul(half, rest);
                self.gated(ty, x, gate)
            }
            _ => return None,
        })
    }

    /// `x * gate`, and its limit 0 where `x` is `-inf` and the gate 0.
    fn gated(&mut self, ty: Type, x: Value, gate: Value) -> Value {
        let product = self.builder.ins().fmul(x, gate);
        let (lowest, limit) = (self.real(ty, f64::NEG_INFINITY), self.real(ty, -0.0));
        let at_limit = self.builder.ins().fcmp(FloatCC::Equal, x, lowest);
        self.choose(ty, at_limit, limit, product)
    }

    pub(super) fn real(&mut self, ty: Type, value: f64) -> Value {
        self.number(ty, Number::Real(value))
    }

    /// `a * b + c`, rounded once where the machine can.
    fn multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.fma() {
            return self.builder.ins().fma(a, b, c);
        }
        let product = self.builder.ins().fmul(a, b);
        self.builder.ins().fadd(product, c)
    }

    /// A polynomial, highest coefficient first.
    fn polynomial(&mut self, ty: Type, x: Value, coefficients: &[f64]) -> Value {
        let mut sum = self.real(ty, coefficients[0]);
        for &coefficient in &coefficients[1..] {
            let next = self.real(ty, coefficient);
            sum = self.multiply_add(sum, x, next);
        }
        sum
    }

    fn clamp_real(&mut self, ty: Type, x: Value, low: f64, high: f64) -> Value {
        let (low, high) = (self.real(ty, low), self.real(ty, high));
        let below = self.builder.ins().fcmp(FloatCC::LessThan, x, low);
        let x = self.choose(ty, below, low, x);
        let above = self.builder.ins().fcmp(FloatCC::GreaterThan, x, high);
        self.choose(ty, above, high, x)
    }

    fn shift_left(&mut self, value: Value, by: i64) -> Value {
        let by = self.builder.ins().iconst(types::I32, by);
        self.builder.ins().ishl(value, by)
    }

    fn exp(&mut self, ty: Type, x: Value) -> Value {
        let format = format(ty);
        let (low, high) = if format.wide { (-746.0, 710.0) } else { (-104.0, 89.0) };
        let x = self.clamp_real(ty, x, low, high);
        // Adding this number rounds to an integer and leaves it in the last bits.
        let magic = 1.5 * 2f64.powi(format.fraction as i32);
        let (shift, log2e) = (self.real(ty, magic), self.real(ty, LOG2_E));
        let shifted = self.multiply_add(x, log2e, shift);
        let n = self.builder.ins().fsub(shifted, shift);
        let (high, low) = if format.wide {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        } else {
            (f64::from(f32::from_bits(0x3f31_7200)), 1.428_606_765_3e-6)
        };
        let (high, low) = (self.real(ty, -high), self.real(ty, -low));
        let r = self.multiply_add(n, high, x);
        let r = self.multiply_add(n, low, r);
        let degree = if format.wide { 13 } else { 7 };
        let mut series: Vec<f64> = vec![1.0];
        for k in 1..=degree {
            series.push(series[k - 1] / k as f64);
        }
        series.reverse();
        let power = self.polynomial(ty, r, &series);
        // 2^n in two steps, for n may leave the range of exponents. The bits of `shifted` are n and a constant whose
        // last bits are 0, so that half of it is half of n.
        let bits = self.bitcast(format.ints, shifted);
        let start = self.bitcast(format.ints, shift);
        let whole = self.builder.ins().isub(bits, start);
        let one = self.int(format.ints, 2 * format.bias);
        let twice = self.builder.ins().iadd(whole, one);
        let by = self.builder.ins().iconst(types::I32, 1);
        let first = self.builder.ins().ushr(twice, by);
        let second = self.builder.ins().isub(twice, first);
        let real = register(ty);
        let mut result = power;
        for part in [first, second] {
            let exponent = self.shift_left(part, format.fraction);
            let scale = self.bitcast(real, exponent);
            result = self.builder.ins().fmul(result, scale);
        }
        result
    }

    fn log(&mut self, ty: Type, x: Value) -> Value {
        let format = format(ty);
        let real = register(ty);
        let (least, up) =
            if format.wide { (f64::MIN_POSITIVE, 54) } else { (f64::from(f32::MIN_POSITIVE), 25) };
        let least = self.real(ty, least);
        let scale = self.real(ty, 2f64.powi(up));
        let small = self.builder.ins().fcmp(FloatCC::LessThan, x, least);
        let scaled = self.builder.ins().fmul(x, scale);
        let normal = self.choose(ty, small, scaled, x);
        // normal = 2^e m with m around 1, between the roots of 1/2 and of 2.
        let bits = self.bitcast(format.ints, normal);
        let root = if format.wide { 0x3fe6_a09e_667f_3bcd } else { 0x3f35_04f3 };
        let away = self.int(format.ints, (format.bias << format.fraction) - root);
        let moved = self.builder.ins().iadd(bits, away);
        let by = self.builder.ins().iconst(types::I32, format.fraction);
        let biased = self.builder.ins().ushr(moved, by);
        let bias = self.int(format.ints, format.bias);
        let exponent = self.builder.ins().isub(biased, bias);
        let exponent_bits = self.shift_left(exponent, format.fraction);
        let m = self.builder.ins().isub(bits, exponent_bits);
        let m = self.bitcast(real, m);
        // An integer below 2^52 in the last bits of 2^52.
        let magic = 2f64.powi(format.fraction as i32);
        let magic_bits = (format.bias + format.fraction) << format.fraction;
        let magic_bits = self.int(format.ints, magic_bits);
        let e = self.builder.ins().bor(biased, magic_bits);
        let e = self.bitcast(real, e);
        let away = self.real(ty, magic + format.bias as f64);
        let e = self.builder.ins().fsub(e, away);
        let (by, zero) = (self.real(ty, f64::from(-up)), self.real(ty, 0.0));
        let correction = self.choose(ty, small, by, zero);
        let e = self.builder.ins().fadd(e, correction);
        let one = self.real(ty, 1.0);
        let f = self.builder.ins().fsub(m, one);
        let two = self.real(ty, 2.0);
        let below = self.builder.ins().fadd(f, two);
        let s = self.builder.ins().fdiv(f, below);
        let z = self.builder.ins().fmul(s, s);
        let series: &[f64] = if format.wide {
            &[
                1.479_819_860_511_658_6e-1,
                1.531_383_769_920_937_3e-1,
                1.818_357_216_161_805e-1,
                2.222_219_843_214_978_4e-1,
                2.857_142_874_366_239e-1,
                3.999_999_999_940_942e-1,
                6.666_666_666_666_735e-1,
            ]
        } else {
            &[0.242_790_788_41, 0.284_987_866_88, 0.400_009_721_52, 0.666_666_626_93]
        };
        let rest = self.polynomial(ty, z, series);
        let rest = self.builder.ins().fmul(rest, z);
        let half = self.real(ty, 0.5);
        let square = self.builder.ins().fmul(f, f);
        let square = self.builder.ins().fmul(square, half);
        let inner = self.builder.ins().fadd(square, rest);
        let (high, low) = if format.wide {
            (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10)
        } else {
            (f64::from(f32::from_bits(0x3f31_7200)), 1.428_606_765_3e-6)
        };
        let low = self.real(ty, low);
        let tail = self.builder.ins().fmul(e, low);
        let tail = self.multiply_add(s, inner, tail);
        let tail = self.builder.ins().fsub(square, tail);
        let tail = self.builder.ins().fsub(tail, f);
        let high = self.real(ty, high);
        let head = self.builder.ins().fmul(e, high);
        let result = self.builder.ins().fsub(head, tail);
        // 0 gives -inf, less than 0 not a number, inf and NaN themselves.
        let (inf, lowest, nan) =
            (self.real(ty, f64::INFINITY), self.real(ty, f64::NEG_INFINITY), self.real(ty, f64::NAN));
        let finite = self.builder.ins().fcmp(FloatCC::LessThan, x, inf);
        let result = self.choose(ty, finite, result, x);
        let none = self.builder.ins().fcmp(FloatCC::Equal, x, zero);
        let result = self.choose(ty, none, lowest, result);
        let negative = self.builder.ins().fcmp(FloatCC::LessThan, x, zero);
        self.choose(ty, negative, nan, result)
    }

    fn sigmoid(&mut self, ty: Type, x: Value) -> Value {
        let turned = self.builder.ins().fneg(x);
        let power = self.exp(ty, turned);
        let one = self.real(ty, 1.0);
        let below = self.builder.ins().fadd(one, power);
        self.builder.ins().fdiv(one, below)
    }

    fn tanh(&mut self, ty: Type, x: Value) -> Value {
        let size = self.builder.ins().fabs(x);
        let square = self.builder.ins().fmul(x, x);
        let near = if format(ty).wide {
            let above = self.polynomial(
                ty,
                square,
                &[-9.643_991_794_250_522e-1, -9.928_772_310_019_186e1, -1.614_687_684_417_084_5e3],
            );
            let below = self.polynomial(
                ty,
                square,
                &[1.0, 1.128_116_784_916_329_3e2, 2.235_488_390_601_004_5e3, 4.844_063_053_251_255e3],
            );
            self.builder.ins().fdiv(above, below)
        } else {
            self.polynomial(
                ty,
                square,
                &[
                    -5.704_988_727_45e-3,
                    2.063_908_879_54e-2,
                    -5.373_971_555_31e-2,
                    1.333_144_220_36e-1,
                    -3.333_328_194_22e-1,
                ],
            )
        };
        let near = self.builder.ins().fmul(near, square);
        let near = self.multiply_add(near, x, x);
        // 1 - 2 / (exp(2 |x|) + 1), with the sign of x.
        let double = self.builder.ins().fadd(size, size);
        let power = self.exp(ty, double);
        let (one, two) = (self.real(ty, 1.0), self.real(ty, 2.0));
        let below = self.builder.ins().fadd(power, one);
        let rest = self.builder.ins().fdiv(two, below);
        let far = self.builder.ins().fsub(one, rest);
        let far = self.with_sign(ty, far, x);
        let limit = self.real(ty, 0.625);
        let small = self.builder.ins().fcmp(FloatCC::LessThan, size, limit);
        self.choose(ty, small, near, far)
    }

    /// A value that is not negative, with the sign of `x`.
    fn with_sign(&mut self, ty: Type, value: Value, x: Value) -> Value {
        let zero = self.real(ty, 0.0);
        let turned = self.builder.ins().fneg(value);
        let negative = self.builder.ins().fcmp(FloatCC::LessThan, x, zero);
        self.choose(ty, negative, turned, value)
    }

    fn softplus(&mut self, ty: Type, x: Value) -> Value {
        // max(x, 0) + log(1 + y) with y = exp(-|x|); what 1 + y loses of y is put right by a quotient.
        let size = self.builder.ins().fabs(x);
        let turned = self.builder.ins().fneg(size);
        let y = self.exp(ty, turned);
        let (one, zero) = (self.real(ty, 1.0), self.real(ty, 0.0));
        let sum = self.builder.ins().fadd(one, y);
        let kept = self.builder.ins().fsub(sum, one);
        let log = self.log(ty, sum);
        let ratio = self.builder.ins().fdiv(y, kept);
        let exact = self.builder.ins().fmul(log, ratio);
        let lost = self.builder.ins().fcmp(FloatCC::Equal, kept, zero);
        let log = self.choose(ty, lost, y, exact);
        let below = self.builder.ins().fcmp(FloatCC::LessThan, x, zero);
        let positive = self.choose(ty, below, zero, x);
        self.builder.ins().fadd(positive, log)
    }

    fn erf(&mut self, ty: Type, x: Value) -> Value {
        let size = self.builder.ins().fabs(x);
        let square = self.builder.ins().fmul(x, x);
        // The series of Maclaurin, to x^13.
        let mut series = Vec::new();
        let mut factorial = 1.0;
        for k in 0..7 {
            if k > 0 {
                factorial *= -f64::from(k);
            }
            series.push(FRAC_2_SQRT_PI / (factorial * f64::from(2 * k + 1)));
        }
        series.reverse();
        let near = self.polynomial(ty, square, &series);
        let near = self.builder.ins().fmul(near, x);
        let one = self.real(ty, 1.0);
        let rest = self.erfc(ty, size);
        let far = self.builder.ins().fsub(one, rest);
        let far = self.with_sign(ty, far, x);
        let limit = self.real(ty, 0.5);
        let small = self.builder.ins().fcmp(FloatCC::LessThan, size, limit);
        self.choose(ty, small, near, far)
    }

    fn erfc(&mut self, ty: Type, x: Value) -> Value {
        let size = self.builder.ins().fabs(x);
        let (half, one, two) = (self.real(ty, 0.5), self.real(ty, 1.0), self.real(ty, 2.0));
        let below = self.multiply_add(size, half, one);
        let t = self.builder.ins().fdiv(one, below);
        let exponent = self.polynomial(
            ty,
            t,
            &[
                0.170_872_77,
                -0.822_152_23,
                1.488_515_87,
                -1.135_203_98,
                0.278_868_07,
                -0.186_288_06,
                0.096_784_18,
                0.374_091_96,
                1.000_023_68,
                -1.265_512_23,
            ],
        );
        let turned = self.builder.ins().fneg(size);
        let exponent = self.multiply_add(turned, size, exponent);
        let power = self.exp(ty, exponent);
        let result = self.builder.ins().fmul(t, power);
        let zero = self.real(ty, 0.0);
        let negative = self.builder.ins().fcmp(FloatCC::LessThan, x, zero);
        let other = self.builder.ins().fsub(two, result);
        self.choose(ty, negative, other, result)
    }
}

//! Conversions between dtypes, and half-precision numbers as bits.

use super::ops::{bits, register, signed};
use super::unit::Translator;
use crate::loops::{Number, Type, vector_lanes};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use einc_runtime::DType;

impl Translator<'_, '_, '_> {
    /// A value in another dtype, in as many lanes.
    pub(super) fn cast(&mut self, from: Type, to: DType, value: Value) -> Value {
        let result = Type { dtype: to, ..from };
        if from.dtype == to {
            return value;
        }
        let four = from.lanes == 4;
        match (from.dtype, to) {
            (_, DType::Bool) => {
                if from.dtype.is_float() {
                    let zero = self.real(from, 0.0);
                    self.builder.ins().fcmp(FloatCC::NotEqual, value, zero)
                } else {
                    let zero = self.int(register(from), 0);
                    self.builder.ins().icmp(IntCC::NotEqual, value, zero)
                }
            }
            (DType::Bool, _) if from.lanes > 1 && vector_lanes(to) == from.lanes => {
                let number = if to.is_float() { Number::Real(1.0) } else { Number::Int(1) };
                let one = self.number(result, number);
                let mask = self.bitcast(register(result), value);
                self.builder.ins().band(mask, one)
            }
            (from_dtype, _) if from_dtype.is_float() && to.is_float() => {
                let single = |dtype: DType| dtype != DType::F64;
                if from.lanes > 1 && single(from_dtype) != single(to) {
                    return self.cast_by_lane(from, to, value);
                }
                let value = match (single(from_dtype), single(to)) {
                    (true, false) => self.builder.ins().fpromote(types::F64, value),
                    (false, true) if to.bytes() == 2 => self.odd_single(value),
                    (false, true) => self.builder.ins().fdemote(types::F32, value),
                    _ => value,
                };
                self.round_half(to, value)
            }
            (from_dtype, _) if from_dtype.is_float() => {
                if from.lanes > 1 && !(four && bits(to) == 32 && from_dtype != DType::F64) {
                    return self.cast_by_lane(from, to, value);
                }
                let kind = register(result);
                if bits(to) < 32 {
                    let wide = self.builder.ins().fcvt_to_sint_sat(types::I32, value);
                    let (low, high) = to.integer_range().unwrap_or((0, 1));
                    let (low, high) = (self.int(types::I32, low as i64), self.int(types::I32, high as i64));
                    let wide = self.builder.ins().smax(wide, low);
                    self.builder.ins().smin(wide, high)
                } else if signed(to) {
                    self.builder.ins().fcvt_to_sint_sat(kind, value)
                } else {
                    self.builder.ins().fcvt_to_uint_sat(kind, value)
                }
            }
            (from_dtype, _) if to.is_float() => {
                if from.lanes > 1 && !(four && to != DType::F64) {
                    return self.cast_by_lane(from, to, value);
                }
                let value = if from_dtype == DType::Bool {
                    self.builder.ins().uextend(types::I32, value)
                } else {
                    value
                };
                let kind = register(result);
                let made = if signed(from_dtype) {
                    self.builder.ins().fcvt_from_sint(kind, value)
                } else {
                    self.builder.ins().fcvt_from_uint(kind, value)
                };
                self.round_half(to, made)
            }
            (from_dtype, _) => {
                let (have, want) = (register(from).lane_type(), register(result).lane_type());
                if from.lanes > 1 && have != want {
                    return self.cast_by_lane(from, to, value);
                }
                let value = match (have.bits(), want.bits()) {
                    (a, b) if a < b && signed(from_dtype) => self.builder.ins().sextend(want, value),
                    (a, b) if a < b => self.builder.ins().uextend(want, value),
                    (a, b) if a > b => self.builder.ins().ireduce(want, value),
                    _ => value,
                };
                self.wrap(to, value)
            }
        }
    }

    pub(super) fn cast_by_lane(&mut self, from: Type, to: DType, value: Value) -> Value {
        let one = Type { lanes: 1, ..from };
        self.by_lane(Type { dtype: to, ..from }, from, &[value], &mut |this, v| this.cast(one, to, v[0]))
    }

    /// The `f32` from which a half-width float comes right: an `f64` rounded to odd, so that rounding again does what
    /// rounding once would have done.
    fn odd_single(&mut self, value: Value) -> Value {
        let single = self.builder.ins().fdemote(types::F32, value);
        let back = self.builder.ins().fpromote(types::F64, single);
        let [size, back_size] = [value, back].map(|v| self.builder.ins().fabs(v));
        let beyond = self.builder.ins().fcmp(FloatCC::GreaterThan, back_size, size);
        let exact = self.builder.ins().fcmp(FloatCC::UnorderedOrEqual, back, value);
        let bits = self.bitcast(types::I32, single);
        let beyond = self.builder.ins().uextend(types::I32, beyond);
        let towards_zero = self.builder.ins().isub(bits, beyond);
        let one = self.int(types::I32, 1);
        let odd = self.builder.ins().bor(towards_zero, one);
        let chosen = self.builder.ins().select(exact, bits, odd);
        self.bitcast(types::F32, chosen)
    }

    /// An `f32` rounded to what a half-width float can hold.
    pub(super) fn round_half(&mut self, to: DType, value: Value) -> Value {
        match to {
            DType::F16 | DType::Bf16 => {
                let bits = self.half_bits(to, value);
                self.half_value(to, bits)
            }
            _ => value,
        }
    }

    /// The bits of a half-width float nearest to an `f32`, in 32-bit lanes.
    pub(super) fn half_bits(&mut self, dtype: DType, value: Value) -> Value {
        let lanes = self.builder.func.dfg.value_type(value).lane_count();
        let ints = types::I32.by(lanes).expect("a vector type of 128 bits");
        let flags = self.bitcast(ints, value);
        let shift = |this: &mut Self, value: Value, by: i64| {
            let by = this.builder.ins().iconst(types::I32, by);
            this.builder.ins().ushr(value, by)
        };
        let pick = |this: &mut Self, code: IntCC, a: Value, limit: i64, yes: Value, no: Value| {
            let limit = this.int(ints, limit);
            let chosen = this.builder.ins().icmp(code, a, limit);
            if lanes == 1 {
                this.builder.ins().select(chosen, yes, no)
            } else {
                this.builder.ins().bitselect(chosen, yes, no)
            }
        };
        let all = self.int(ints, 0x7fff_ffff);
        let size = self.builder.ins().band(flags, all);
        if dtype == DType::Bf16 {
            let (one, half) = (self.int(ints, 1), self.int(ints, 0x7fff));
            let odd = shift(self, flags, 16);
            let odd = self.builder.ins().band(odd, one);
            let up = self.builder.ins().iadd(flags, half);
            let up = self.builder.ins().iadd(up, odd);
            let rounded = shift(self, up, 16);
            let quiet = self.int(ints, 0x40);
            let nan = shift(self, flags, 16);
            let nan = self.builder.ins().bor(nan, quiet);
            return pick(self, IntCC::SignedGreaterThan, size, 0x7f80_0000, nan, rounded);
        }
        let sign = self.builder.ins().bxor(flags, size);
        let sign = shift(self, sign, 16);
        // Below the least normal half: adding 0.5 leaves the rounded bits at the end.
        let magic_bits = self.int(ints, 0x3f00_0000);
        let real = self.builder.func.dfg.value_type(value);
        let magic = self.bitcast(real, magic_bits);
        let size_real = self.bitcast(real, size);
        let small = self.builder.ins().fadd(size_real, magic);
        let small = self.bitcast(ints, small);
        let small = self.builder.ins().isub(small, magic_bits);
        let (one, bias) = (self.int(ints, 1), self.int(ints, 0xc800_0fff_u32 as i64));
        let odd = shift(self, size, 13);
        let odd = self.builder.ins().band(odd, one);
        let normal = self.builder.ins().iadd(size, bias);
        let normal = self.builder.ins().iadd(normal, odd);
        let normal = shift(self, normal, 13);
        let (inf, nan) = (self.int(ints, 0x7c00), self.int(ints, 0x7e00));
        let beyond = pick(self, IntCC::SignedGreaterThan, size, 0x7f80_0000, nan, inf);
        let finite = pick(self, IntCC::SignedLessThan, size, 0x3880_0000, small, normal);
        let result = pick(self, IntCC::SignedGreaterThanOrEqual, size, 0x4780_0000, beyond, finite);
        self.builder.ins().bor(result, sign)
    }

    /// The `f32` of the bits of a half-width float, in 32-bit lanes.
    pub(super) fn half_value(&mut self, dtype: DType, bits: Value) -> Value {
        let ints = self.builder.func.dfg.value_type(bits);
        let real = types::F32.by(ints.lane_count()).expect("a vector type of 128 bits");
        let shift = |this: &mut Self, value: Value, by: i64| {
            let by = this.builder.ins().iconst(types::I32, by);
            this.builder.ins().ishl(value, by)
        };
        if dtype == DType::Bf16 {
            let up = shift(self, bits, 16);
            return self.bitcast(real, up);
        }
        let (sign_bit, rest) = (self.int(ints, 0x8000), self.int(ints, 0x7fff));
        let sign = self.builder.ins().band(bits, sign_bit);
        let sign = shift(self, sign, 16);
        let size = self.builder.ins().band(bits, rest);
        let size = shift(self, size, 13);
        // 2^112 moves the exponent's bias; subnormal halves come right by the same product.
        let scale = self.int(ints, 0x7780_0000);
        let scale = self.bitcast(real, scale);
        let size_real = self.bitcast(real, size);
        let scaled = self.builder.ins().fmul(size_real, scale);
        let scaled = self.bitcast(ints, scaled);
        let (limit, top) = (self.int(ints, 0x0f80_0000), self.int(ints, 0x7f80_0000));
        let infinite = self.builder.ins().bor(size, top);
        let beyond = self.builder.ins().icmp(IntCC::SignedGreaterThanOrEqual, size, limit);
        let result = if ints.is_vector() {
            self.builder.ins().bitselect(beyond, infinite, scaled)
        } else {
            self.builder.ins().select(beyond, infinite, scaled)
        };
        let result = self.builder.ins().bor(result, sign);
        self.bitcast(real, result)
    }
}

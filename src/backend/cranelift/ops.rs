//! Arithmetic: every op of the loops as instructions.

use super::unit::Translator;
use crate::expr::{Binary, Unary};
use crate::loops::{Arith, ComplexOp, Number, Op, Part, Type, ValueId};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, ConstantData, Endianness, InstBuilder, MemFlagsData, Value, types};
use einc_runtime::DType;

/// The register type that holds values of a type.
pub(super) fn register(ty: Type) -> types::Type {
    let one = match ty.dtype {
        DType::F64 | DType::C128 => types::F64,
        DType::F32 | DType::F16 | DType::Bf16 | DType::C64 => types::F32,
        DType::I64 | DType::U64 => types::I64,
        DType::Bool if ty.lanes == 1 => types::I8,
        DType::Bool if ty.lanes == 2 => types::I64,
        _ => types::I32,
    };
    one.by(ty.lanes.into()).expect("a vector type of 128 bits")
}

/// Whether an integer dtype is signed.
pub(super) fn signed(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::I4 | DType::I2)
}

/// How many bits an integer dtype has.
pub(super) fn bits(dtype: DType) -> i64 {
    let (low, high) = dtype.integer_range().unwrap_or((0, 1));
    i64::from((high - low).count_ones())
}

impl Translator<'_, '_, '_> {
    pub(super) fn op(&mut self, ty: Type, op: &Op) -> Value {
        match op {
            Op::Const(number) => self.number(ty, *number),
            Op::Affine(offset, terms) => match self.affine(terms, 1, None) {
                Some(sum) => self.builder.ins().iadd_imm_s(sum, *offset),
                None => self.builder.ins().iconst(types::I64, *offset),
            },
            Op::Iota => self.iota(ty),
            Op::Copy(v) => self.value(*v),
            Op::Load(mem, address) => self.load(*mem, ty, address),
            Op::Splat(v) => {
                let value = self.value(*v);
                self.splat(ty, value)
            }
            Op::Pack(parts) => {
                let parts: Vec<Value> = parts.iter().map(|&v| self.value(v)).collect();
                self.pack(ty, &parts)
            }
            Op::Lane(v, lane) => {
                let from = self.ty(*v);
                let value = self.value(*v);
                self.lane(from, value, *lane)
            }
            Op::Unary(op, v) => {
                let value = self.value(*v);
                self.unary(*op, ty, value)
            }
            Op::Binary(op, a, b) => {
                let from = self.ty(*a);
                let divisor = self.constants.get(b).copied();
                let (a, b) = (self.value(*a), self.value(*b));
                match op {
                    Arith::Add => self.add(from, a, b),
                    Arith::Sub => self.sub(from, a, b),
                    Arith::Mul => self.mul(from, a, b),
                    Arith::Lang(op) => self.binary(*op, from, a, b, divisor),
                }
            }
            Op::Fma(a, b, c) => {
                let [a, b, c] = [a, b, c].map(|v| self.value(*v));
                if self.fma() {
                    self.builder.ins().fma(a, b, c)
                } else {
                    let product = self.builder.ins().fmul(a, b);
                    self.builder.ins().fadd(product, c)
                }
            }
            Op::Select(c, a, b) => {
                let [c, a, b] = [c, a, b].map(|v| self.value(*v));
                self.choose(ty, c, a, b)
            }
            Op::Cast(v) => {
                let from = self.ty(*v);
                let value = self.value(*v);
                self.cast(from, ty.dtype, value)
            }
            Op::Complex(op, part, values) => self.complex(ty, *op, *part, values),
        }
    }

    /// Reads a vector register as another type of as many bits.
    pub(super) fn bitcast(&mut self, to: types::Type, value: Value) -> Value {
        let from = self.builder.func.dfg.value_type(value);
        if from == to {
            return value;
        }
        let flags = MemFlagsData::new();
        let flags = if from.lane_count() == to.lane_count() {
            flags
        } else {
            flags.with_endianness(Endianness::Little)
        };
        self.builder.ins().bitcast(to, flags, value)
    }

    pub(super) fn number(&mut self, ty: Type, number: Number) -> Value {
        let one = match (number, register(Type { lanes: 1, ..ty })) {
            (Number::Real(value), types::F64) => self.builder.ins().f64const(value),
            (Number::Real(value), _) => self.builder.ins().f32const(value as f32),
            (Number::Int(value), types::I8) => self.builder.ins().iconst(types::I8, value),
            (Number::Int(value), types::I64) => self.builder.ins().iconst(types::I64, value),
            (Number::Int(value), _) => self.builder.ins().iconst(types::I32, i64::from(value as u32)),
        };
        self.splat(ty, one)
    }

    /// An integer constant of a register type.
    pub(super) fn int(&mut self, register: types::Type, value: i64) -> Value {
        let one = register.lane_type();
        let value = if one == types::I32 { i64::from(value as u32) } else { value };
        let scalar = self.builder.ins().iconst(one, value);
        if register.is_vector() { self.builder.ins().splat(register, scalar) } else { scalar }
    }

    fn iota(&mut self, ty: Type) -> Value {
        let mut data = Vec::new();
        for lane in 0..ty.lanes {
            match register(ty).lane_type() {
                types::F64 => data.extend(f64::from(lane).to_le_bytes()),
                types::F32 => data.extend(f32::from(lane).to_le_bytes()),
                types::I64 => data.extend(u64::from(lane).to_le_bytes()),
                _ => data.extend(u32::from(lane).to_le_bytes()),
            }
        }
        if ty.lanes == 1 {
            let number = if ty.dtype.is_float() { Number::Real(0.0) } else { Number::Int(0) };
            return self.number(ty, number);
        }
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(data));
        self.builder.ins().vconst(register(ty), constant)
    }

    pub(super) fn splat(&mut self, ty: Type, value: Value) -> Value {
        if ty.lanes == 1 {
            return value;
        }
        let value = self.lane_of(ty, value);
        self.builder.ins().splat(register(ty), value)
    }

    /// A scalar as a lane holds it: of `bool`, all bits.
    fn lane_of(&mut self, ty: Type, value: Value) -> Value {
        if ty.dtype != DType::Bool || ty.lanes == 1 {
            return value;
        }
        let wide = self.builder.ins().uextend(register(ty).lane_type(), value);
        self.builder.ins().ineg(wide)
    }

    pub(super) fn pack(&mut self, ty: Type, parts: &[Value]) -> Value {
        if ty.lanes == 1 {
            return parts[0];
        }
        let first = self.lane_of(ty, parts[0]);
        let mut vector = self.builder.ins().scalar_to_vector(register(ty), first);
        for (lane, &part) in parts.iter().enumerate().skip(1) {
            let part = self.lane_of(ty, part);
            vector = self.builder.ins().insertlane(vector, part, lane as u8);
        }
        vector
    }

    /// One lane of a vector.
    pub(super) fn lane(&mut self, ty: Type, value: Value, lane: u8) -> Value {
        if ty.lanes == 1 {
            return value;
        }
        let one = self.builder.ins().extractlane(value, lane);
        if ty.dtype == DType::Bool {
            let bit = self.builder.ins().ireduce(types::I8, one);
            self.builder.ins().band_imm_u(bit, 1)
        } else {
            one
        }
    }

    /// Computes each lane alone; `result` is the type of the whole.
    pub(super) fn by_lane(
        &mut self,
        result: Type,
        from: Type,
        values: &[Value],
        each: &mut dyn FnMut(&mut Self, &[Value]) -> Value,
    ) -> Value {
        let parts: Vec<Value> = (0..from.lanes)
            .map(|lane| {
                let lanes: Vec<Value> = values.iter().map(|&value| self.lane(from, value, lane)).collect();
                each(self, &lanes)
            })
            .collect();
        self.pack(result, &parts)
    }

    /// The bits an integer dtype keeps.
    pub(super) fn wrap(&mut self, dtype: DType, value: Value) -> Value {
        let bits = bits(dtype);
        if bits >= 32 {
            return value;
        }
        if signed(dtype) {
            let by = self.builder.ins().iconst(types::I32, 32 - bits);
            let up = self.builder.ins().ishl(value, by);
            self.builder.ins().sshr(up, by)
        } else {
            let ty = self.builder.func.dfg.value_type(value);
            let mask = self.int(ty, (1 << bits) - 1);
            self.builder.ins().band(value, mask)
        }
    }

    fn add(&mut self, ty: Type, a: Value, b: Value) -> Value {
        if ty.dtype.is_float() {
            return self.builder.ins().fadd(a, b);
        }
        if ty.dtype == DType::Bool {
            return self.builder.ins().bor(a, b);
        }
        let sum = self.builder.ins().iadd(a, b);
        self.wrap(ty.dtype, sum)
    }

    fn sub(&mut self, ty: Type, a: Value, b: Value) -> Value {
        if ty.dtype.is_float() {
            return self.builder.ins().fsub(a, b);
        }
        if ty.dtype == DType::Bool {
            return self.builder.ins().bxor(a, b);
        }
        let difference = self.builder.ins().isub(a, b);
        self.wrap(ty.dtype, difference)
    }

    fn mul(&mut self, ty: Type, a: Value, b: Value) -> Value {
        if ty.dtype.is_float() {
            return self.builder.ins().fmul(a, b);
        }
        if ty.dtype == DType::Bool {
            return self.builder.ins().band(a, b);
        }
        let product = self.builder.ins().imul(a, b);
        self.wrap(ty.dtype, product)
    }

    pub(super) fn choose(&mut self, ty: Type, c: Value, a: Value, b: Value) -> Value {
        if ty.lanes == 1 {
            return self.builder.ins().select(c, a, b);
        }
        let mask = self.bitcast(register(ty), c);
        self.builder.ins().bitselect(mask, a, b)
    }

    /// A comparison of numbers that are not `bool`.
    fn compare(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Value {
        if ty.dtype.is_float() {
            let code = match op {
                Binary::Eq => FloatCC::Equal,
                Binary::Ne => FloatCC::NotEqual,
                Binary::Lt => FloatCC::LessThan,
                Binary::Le => FloatCC::LessThanOrEqual,
                Binary::Gt => FloatCC::GreaterThan,
                _ => FloatCC::GreaterThanOrEqual,
            };
            return self.builder.ins().fcmp(code, a, b);
        }
        let code = match op {
            Binary::Eq => IntCC::Equal,
            Binary::Ne => IntCC::NotEqual,
            Binary::Lt => IntCC::SignedLessThan,
            Binary::Le => IntCC::SignedLessThanOrEqual,
            Binary::Gt => IntCC::SignedGreaterThan,
            _ => IntCC::SignedGreaterThanOrEqual,
        };
        let code = if signed(ty.dtype) { code } else { code.unsigned() };
        self.builder.ins().icmp(code, a, b)
    }

    fn binary(&mut self, op: Binary, ty: Type, a: Value, b: Value, divisor: Option<Number>) -> Value {
        if ty.dtype == DType::Bool {
            return self.binary_bool(op, ty, a, b);
        }
        match op {
            Binary::Eq | Binary::Ne | Binary::Lt | Binary::Le | Binary::Gt | Binary::Ge => {
                self.compare(op, ty, a, b)
            }
            Binary::And | Binary::Or => {
                let [a, b] = [a, b].map(|v| self.cast(ty, DType::Bool, v));
                if op == Binary::And { self.builder.ins().band(a, b) } else { self.builder.ins().bor(a, b) }
            }
            Binary::Min if ty.dtype.is_float() => self.builder.ins().fmin(a, b),
            Binary::Max if ty.dtype.is_float() => self.builder.ins().fmax(a, b),
            Binary::Min | Binary::Max => {
                let order = if op == Binary::Min { Binary::Lt } else { Binary::Gt };
                let first = self.compare(order, ty, a, b);
                self.choose(ty, first, a, b)
            }
            Binary::Div => self.builder.ins().fdiv(a, b),
            Binary::FloorDiv if ty.dtype.is_float() => {
                let quotient = self.builder.ins().fdiv(a, b);
                self.builder.ins().floor(quotient)
            }
            Binary::BitAnd => self.builder.ins().band(a, b),
            Binary::BitOr => self.builder.ins().bor(a, b),
            Binary::BitXor => self.builder.ins().bxor(a, b),
            _ if ty.lanes > 1 => {
                let one = Type { lanes: 1, ..ty };
                self.by_lane(ty, ty, &[a, b], &mut |this, v| this.binary(op, one, v[0], v[1], divisor))
            }
            Binary::FloorDiv | Binary::Rem if !ty.dtype.is_float() => {
                self.divide(op == Binary::Rem, ty.dtype, a, b, divisor)
            }
            Binary::Shl | Binary::Shr => self.shift(op == Binary::Shl, ty.dtype, a, b),
            Binary::Pow if !ty.dtype.is_float() => {
                let wide = Type::scalar(ty.dtype);
                let [a, b] = [a, b].map(|v| self.cast(wide, DType::I64, v));
                let name = if signed(ty.dtype) { "einc_power_i64" } else { "einc_power_u64" };
                let power = self.call2(name, types::I64, a, b);
                let low = self.cast(Type::scalar(DType::I64), ty.dtype, power);
                self.wrap(ty.dtype, low)
            }
            Binary::Rem | Binary::Pow | Binary::Atan2 => self.call_real2(op, ty, a, b),
            Binary::FloorDiv => unreachable!("handled above"),
            Binary::Within => unreachable!("lowered to a check"),
        }
    }

    fn call2(&mut self, name: &str, ty: types::Type, a: Value, b: Value) -> Value {
        self.host(name, &[ty, ty], Some(ty), &[a, b]).expect("the function has a result")
    }

    fn call_real2(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Value {
        let (kind, suffix) =
            if register(ty) == types::F64 { (types::F64, "f64") } else { (types::F32, "f32") };
        self.call2(&format!("einc_{}_{suffix}", op.name()), kind, a, b)
    }

    fn binary_bool(&mut self, op: Binary, ty: Type, a: Value, b: Value) -> Value {
        let not = |this: &mut Self, value: Value| this.unary(Unary::Not, ty, value);
        match op {
            Binary::And | Binary::BitAnd | Binary::Min => self.builder.ins().band(a, b),
            Binary::Or | Binary::BitOr | Binary::Max => self.builder.ins().bor(a, b),
            Binary::Ne | Binary::BitXor => self.builder.ins().bxor(a, b),
            Binary::Eq => {
                let differ = self.builder.ins().bxor(a, b);
                not(self, differ)
            }
            Binary::Lt | Binary::Ge => {
                let a = not(self, a);
                let less = self.builder.ins().band(a, b);
                if op == Binary::Lt { less } else { not(self, less) }
            }
            Binary::Gt | Binary::Le => {
                let b = not(self, b);
                let more = self.builder.ins().band(a, b);
                if op == Binary::Gt { more } else { not(self, more) }
            }
            _ => {
                // The rest as one-bit integers.
                let one = Type { dtype: DType::U1, lanes: 1 };
                self.by_lane(ty, ty, &[a, b], &mut |this, v| {
                    let [a, b] = [v[0], v[1]].map(|v| this.builder.ins().uextend(types::I32, v));
                    let result = this.binary(op, one, a, b, None);
                    this.builder.ins().ireduce(types::I8, result)
                })
            }
        }
    }

    /// Integer division rounded down, or its remainder; 0 where the divisor is.
    fn divide(
        &mut self,
        remainder: bool,
        dtype: DType,
        a: Value,
        b: Value,
        divisor: Option<Number>,
    ) -> Value {
        let ty = self.builder.func.dfg.value_type(a);
        let known = match divisor {
            Some(Number::Int(value)) if value != 0 && value != -1 => Some(value),
            _ => None,
        };
        if !signed(dtype) {
            let zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
            let one = self.int(ty, 1);
            let by = if known.is_some() { b } else { self.builder.ins().select(zero, one, b) };
            let result =
                if remainder { self.builder.ins().urem(a, by) } else { self.builder.ins().udiv(a, by) };
            if known.is_some() {
                return result;
            }
            let nothing = self.int(ty, 0);
            return self.builder.ins().select(zero, nothing, result);
        }
        // By 0 and by -1 the processor may trap; both are put right afterwards.
        let special = {
            let up = self.builder.ins().iadd_imm_s(b, 1);
            self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, up, 1)
        };
        let one = self.int(ty, 1);
        let by = if known.is_some() { b } else { self.builder.ins().select(special, one, b) };
        let quotient = self.builder.ins().sdiv(a, by);
        let product = self.builder.ins().imul(quotient, by);
        let rest = self.builder.ins().isub(a, product);
        let signs = self.builder.ins().bxor(rest, by);
        let apart = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        let some = self.builder.ins().icmp_imm_s(IntCC::NotEqual, rest, 0);
        let below = self.builder.ins().band(apart, some);
        let result = if remainder {
            let other = self.builder.ins().iadd(rest, by);
            self.builder.ins().select(below, other, rest)
        } else {
            let other = self.builder.ins().iadd_imm_s(quotient, -1);
            self.builder.ins().select(below, other, quotient)
        };
        if known.is_some() {
            return result;
        }
        let negated = self.builder.ins().ineg(a);
        let nothing = self.int(ty, 0);
        let zero = self.builder.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let by_special = if remainder { nothing } else { self.builder.ins().select(zero, nothing, negated) };
        let result = self.builder.ins().select(special, by_special, result);
        self.wrap(dtype, result)
    }

    /// Shifts; by less than 0 or by the width and more, all bits leave.
    fn shift(&mut self, left: bool, dtype: DType, a: Value, by: Value) -> Value {
        let ty = self.builder.func.dfg.value_type(a);
        let width = bits(dtype);
        let fits = self.builder.ins().icmp_imm_u(IntCC::UnsignedLessThan, by, width);
        if left {
            let shifted = self.builder.ins().ishl(a, by);
            let shifted = self.wrap(dtype, shifted);
            let nothing = self.int(ty, 0);
            return self.builder.ins().select(fits, shifted, nothing);
        }
        let shifted =
            if signed(dtype) { self.builder.ins().sshr(a, by) } else { self.builder.ins().ushr(a, by) };
        let nothing = if signed(dtype) {
            let last = self.builder.ins().iconst(types::I32, i64::from(ty.lane_bits()) - 1);
            self.builder.ins().sshr(a, last)
        } else {
            self.int(ty, 0)
        };
        self.builder.ins().select(fits, shifted, nothing)
    }

    fn unary(&mut self, op: Unary, ty: Type, value: Value) -> Value {
        if ty.dtype == DType::Bool {
            return match op {
                Unary::Not if ty.lanes == 1 => self.builder.ins().bxor_imm_u(value, 1),
                Unary::Not => self.builder.ins().bnot(value),
                _ => value,
            };
        }
        if !ty.dtype.is_float() {
            return self.unary_int(op, ty, value);
        }
        if let Some(result) = self.inline(op, ty, value) {
            return result;
        }
        let zero = self.real(ty, 0.0);
        match op {
            Unary::Neg => self.builder.ins().fneg(value),
            Unary::Abs => self.builder.ins().fabs(value),
            Unary::Floor => self.builder.ins().floor(value),
            Unary::Ceil => self.builder.ins().ceil(value),
            Unary::Round => self.builder.ins().nearest(value),
            Unary::Sqrt => self.builder.ins().sqrt(value),
            Unary::Rsqrt => {
                let root = self.builder.ins().sqrt(value);
                let one = self.real(ty, 1.0);
                self.builder.ins().fdiv(one, root)
            }
            Unary::Sign => {
                let (one, minus) = (self.real(ty, 1.0), self.real(ty, -1.0));
                let above = self.builder.ins().fcmp(FloatCC::GreaterThan, value, zero);
                let below = self.builder.ins().fcmp(FloatCC::LessThan, value, zero);
                let result = self.choose(ty, below, minus, value);
                self.choose(ty, above, one, result)
            }
            Unary::Relu => {
                let below = self.builder.ins().fcmp(FloatCC::LessThan, value, zero);
                self.choose(ty, below, zero, value)
            }
            Unary::Real | Unary::Conj => value,
            _ => {
                let (kind, suffix) = if register(ty).lane_type() == types::F64 {
                    (types::F64, "f64")
                } else {
                    (types::F32, "f32")
                };
                let name = format!("einc_{}_{suffix}", op.name());
                self.by_lane(ty, ty, &[value], &mut |this, v| {
                    this.host(&name, &[kind], Some(kind), v).expect("the function has a result")
                })
            }
        }
    }

    fn unary_int(&mut self, op: Unary, ty: Type, value: Value) -> Value {
        let zero = self.int(register(ty), 0);
        match op {
            Unary::Neg => self.sub(ty, zero, value),
            Unary::Not => {
                let flipped = self.builder.ins().bnot(value);
                self.wrap(ty.dtype, flipped)
            }
            Unary::Abs | Unary::Relu | Unary::Sign if !signed(ty.dtype) && op != Unary::Sign => value,
            Unary::Abs => {
                let below = self.compare(Binary::Lt, ty, value, zero);
                let negated = self.sub(ty, zero, value);
                self.choose(ty, below, negated, value)
            }
            Unary::Relu => {
                let below = self.compare(Binary::Lt, ty, value, zero);
                self.choose(ty, below, zero, value)
            }
            Unary::Sign => {
                let (one, minus) = (self.int(register(ty), 1), self.int(register(ty), -1));
                let some = self.compare(Binary::Ne, ty, value, zero);
                let result = self.choose(ty, some, one, zero);
                if !signed(ty.dtype) {
                    return result;
                }
                let below = self.compare(Binary::Lt, ty, value, zero);
                self.choose(ty, below, minus, result)
            }
            Unary::Popcount => {
                let one = Type { lanes: 1, ..ty };
                self.by_lane(ty, ty, &[value], &mut |this, v| {
                    // Of a narrow signed value only its own bits count.
                    let width = bits(one.dtype);
                    let own = match width {
                        32 | 64 => v[0],
                        _ => this.builder.ins().band_imm_u(v[0], (1 << width) - 1),
                    };
                    let count = this.builder.ins().popcnt(own);
                    this.wrap(one.dtype, count)
                })
            }
            _ => value,
        }
    }

    fn complex(&mut self, ty: Type, op: ComplexOp, part: Part, values: &[ValueId]) -> Value {
        let double = Type::scalar(DType::F64);
        let mut args: Vec<Value> = Vec::new();
        for &value in values {
            let from = self.ty(value);
            let value = self.value(value);
            args.push(self.cast(from, DType::F64, value));
        }
        let name = match op {
            ComplexOp::Unary(op) => op.name(),
            ComplexOp::Binary(Binary::Div) => "div",
            ComplexOp::Binary(_) => "pow",
        };
        let part = if part == Part::Re { "re" } else { "im" };
        let params = vec![types::F64; args.len()];
        let result = self
            .host(&format!("einc_complex_{name}_{part}"), &params, Some(types::F64), &args)
            .expect("the function has a result");
        self.cast(double, ty.dtype, result)
    }
}

/// The type of a scalar in memory.
pub(super) fn memory(dtype: DType) -> ir::Type {
    match dtype.bytes() {
        8 if dtype == DType::F64 => types::F64,
        8 => types::I64,
        4 if dtype == DType::F32 => types::F32,
        4 => types::I32,
        2 => types::I16,
        _ => types::I8,
    }
}

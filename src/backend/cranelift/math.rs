//! Functions that are computed in line, in one lane or in all: the formulas of the runtime, written as instructions.

use super::ops::register;
use super::unit::Translator;
use crate::expr::Unary;
use crate::loops::{Number, Type};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use einc_runtime::math::formula::{self, Arithmetic};
use std::cell::RefCell;

/// Arithmetic that writes instructions on values of one type.
struct Writer<'t, 'a, 'b, 'f> {
    translator: RefCell<&'t mut Translator<'a, 'b, 'f>>,
    ty: Type,
    /// The register of integers of the same width.
    ints: types::Type,
}

impl Translator<'_, '_, '_> {
    /// A function of floats as instructions; `None` where it is called instead.
    pub(super) fn inline(&mut self, op: Unary, ty: Type, x: Value) -> Option<Value> {
        let real = register(ty);
        let is_wide = real.lane_type() == types::F64;
        let int = if is_wide { types::I64 } else { types::I32 };
        let ints = int.by(real.lane_count()).expect("a vector type of 128 bits");
        let writer = Writer { translator: RefCell::new(self), ty, ints };
        Some(match op {
            Unary::Exp => formula::exp(&writer, x),
            Unary::Log => formula::log(&writer, x),
            Unary::Tanh => formula::tanh(&writer, x),
            Unary::Sigmoid => formula::sigmoid(&writer, x),
            Unary::Silu => formula::silu(&writer, x),
            Unary::GeluTanh => formula::gelu_tanh(&writer, x),
            Unary::Softplus => formula::softplus(&writer, x),
            // Those of `f64` are too long to write again and again.
            Unary::Erf if !is_wide => formula::erf(&writer, x),
            Unary::Gelu if !is_wide => formula::gelu(&writer, x),
            _ => return None,
        })
    }

    pub(super) fn real(&mut self, ty: Type, value: f64) -> Value {
        self.number(ty, Number::Real(value))
    }
}

/// Declares methods that are one instruction of the builder.
macro_rules! instructions {
    ($($name:ident($($argument:ident),+) = $instruction:ident;)*) => {$(
        fn $name(&self, $($argument: Value),+) -> Value {
            self.translator.borrow_mut().builder.ins().$instruction($($argument),+)
        }
    )*};
}

impl Writer<'_, '_, '_, '_> {
    fn compare(&self, code: FloatCC, a: Value, b: Value) -> Value {
        self.translator.borrow_mut().builder.ins().fcmp(code, a, b)
    }

    fn bitcast(&self, to: types::Type, a: Value) -> Value {
        self.translator.borrow_mut().bitcast(to, a)
    }
}

impl Arithmetic for Writer<'_, '_, '_, '_> {
    type Real = Value;
    type Bits = Value;
    type Truth = Value;

    fn is_wide(&self) -> bool {
        self.ints.lane_type() == types::I64
    }

    fn has_fma(&self) -> bool {
        self.translator.borrow().fma()
    }

    fn real(&self, value: f64) -> Value {
        self.translator.borrow_mut().real(self.ty, value)
    }

    fn bits(&self, value: u64) -> Value {
        self.translator.borrow_mut().int(self.ints, value as i64)
    }

    instructions! {
        add(a, b) = fadd;
        sub(a, b) = fsub;
        mul(a, b) = fmul;
        div(a, b) = fdiv;
        neg(a) = fneg;
        abs(a) = fabs;
        add_bits(a, b) = iadd;
        sub_bits(a, b) = isub;
        and(a, b) = band;
        or(a, b) = bor;
        xor(a, b) = bxor;
    }

    fn fma(&self, a: Value, b: Value, c: Value) -> Value {
        if self.has_fma() {
            return self.translator.borrow_mut().builder.ins().fma(a, b, c);
        }
        self.add(self.mul(a, b), c)
    }

    fn less(&self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThan, a, b)
    }

    fn at_most(&self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::LessThanOrEqual, a, b)
    }

    fn equal(&self, a: Value, b: Value) -> Value {
        self.compare(FloatCC::Equal, a, b)
    }

    fn is_zero(&self, a: Value) -> Value {
        let zero = self.bits(0);
        self.translator.borrow_mut().builder.ins().icmp(IntCC::Equal, a, zero)
    }

    fn choose(&self, truth: Value, a: Value, b: Value) -> Value {
        self.translator.borrow_mut().choose(self.ty, truth, a, b)
    }

    fn to_bits(&self, a: Value) -> Value {
        self.bitcast(self.ints, a)
    }

    fn float(&self, a: Value) -> Value {
        self.bitcast(register(self.ty), a)
    }

    fn shift_left(&self, a: Value, by: u32) -> Value {
        let mut translator = self.translator.borrow_mut();
        let by = translator.builder.ins().iconst(types::I32, i64::from(by));
        translator.builder.ins().ishl(a, by)
    }

    fn shift_right(&self, a: Value, by: u32) -> Value {
        let mut translator = self.translator.borrow_mut();
        let by = translator.builder.ins().iconst(types::I32, i64::from(by));
        translator.builder.ins().ushr(a, by)
    }
}

//! Loads and stores, with the conversions between memory and registers.

use super::ops::{memory, register, signed};
use super::unit::Translator;
use crate::loops::{Address, Type, vector_lanes};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use einc_runtime::DType;

impl Translator<'_, '_, '_> {
    /// Elements side by side, as values of a type.
    pub(super) fn load(&mut self, mem: DType, ty: Type, address: &Address) -> Value {
        let (pointer, offset) = self.pointer(address, mem.bytes());
        let flags = self.load_flags(address);
        if ty.lanes == 1 {
            let value = self.load_one(mem, pointer, offset, flags);
            return self.cast(Type::scalar(mem), ty.dtype, value);
        }
        let own = Type { dtype: mem, lanes: ty.lanes };
        let two = ty.lanes == 2;
        let loaded = match mem {
            _ if mem != DType::Bool && two && vector_lanes(mem) == 4 => match (mem, ty.dtype) {
                (DType::F32, DType::F64) => {
                    let both = self.builder.ins().load(types::I64, flags, pointer, offset);
                    let wide = self.builder.ins().scalar_to_vector(types::I64X2, both);
                    let low = self.bitcast(types::F32X4, wide);
                    return self.builder.ins().fvpromote_low(low);
                }
                (DType::I32, DType::I64 | DType::U64) => {
                    return self.builder.ins().sload32x2(flags, pointer, offset);
                }
                (DType::U32, DType::I64 | DType::U64) => {
                    return self.builder.ins().uload32x2(flags, pointer, offset);
                }
                _ => return self.load_lanes(mem, ty, (pointer, offset), flags),
            },
            _ if mem != DType::Bool && ty.lanes == 4 && vector_lanes(mem) == 2 => {
                return self.load_lanes(mem, ty, (pointer, offset), flags);
            }
            DType::F64 | DType::F32 | DType::I64 | DType::U64 | DType::I32 | DType::U32 => {
                self.builder.ins().load(register(own), flags, pointer, offset)
            }
            DType::F16 | DType::Bf16 => {
                let bits = self.builder.ins().uload16x4(flags, pointer, offset);
                self.half_value(mem, bits)
            }
            DType::I16 => self.builder.ins().sload16x4(flags, pointer, offset),
            DType::U16 => self.builder.ins().uload16x4(flags, pointer, offset),
            DType::Bool if two => return self.load_lanes(mem, ty, (pointer, offset), flags),
            _ => {
                let four = self.builder.ins().load(types::I32, flags, pointer, offset);
                let bytes = self.builder.ins().scalar_to_vector(types::I32X4, four);
                let bytes = self.bitcast(types::I8X16, bytes);
                let wide = if signed(mem) {
                    let halves = self.builder.ins().swiden_low(bytes);
                    self.builder.ins().swiden_low(halves)
                } else {
                    let halves = self.builder.ins().uwiden_low(bytes);
                    self.builder.ins().uwiden_low(halves)
                };
                if mem == DType::Bool { self.builder.ins().ineg(wide) } else { wide }
            }
        };
        self.cast(own, ty.dtype, loaded)
    }

    fn load_lanes(
        &mut self,
        mem: DType,
        ty: Type,
        (pointer, offset): (Value, i32),
        flags: cranelift_codegen::ir::MemFlagsData,
    ) -> Value {
        let parts: Vec<Value> = (0..i32::from(ty.lanes))
            .map(|lane| {
                let value = self.load_one(mem, pointer, offset + lane * mem.bytes() as i32, flags);
                self.cast(Type::scalar(mem), ty.dtype, value)
            })
            .collect();
        self.pack(ty, &parts)
    }

    fn load_one(
        &mut self,
        mem: DType,
        pointer: Value,
        offset: i32,
        flags: cranelift_codegen::ir::MemFlagsData,
    ) -> Value {
        let raw = self.builder.ins().load(memory(mem), flags, pointer, offset);
        match mem {
            DType::F16 | DType::Bf16 => {
                let bits = self.builder.ins().uextend(types::I32, raw);
                self.half_value(mem, bits)
            }
            DType::Bool => raw,
            _ if mem.bytes() < 4 && signed(mem) => self.builder.ins().sextend(types::I32, raw),
            _ if mem.bytes() < 4 => self.builder.ins().uextend(types::I32, raw),
            _ => raw,
        }
    }

    /// Writes lanes side by side.
    pub(super) fn store(&mut self, ty: Type, address: &Address, value: Value) {
        let (pointer, offset) = self.pointer(address, ty.dtype.bytes());
        let flags = cranelift_codegen::ir::MemFlagsData::new().with_notrap();
        let value = match ty.dtype {
            DType::F16 | DType::Bf16 => self.half_bits(ty.dtype, value),
            _ => value,
        };
        let bytes = ty.dtype.bytes();
        if ty.lanes == 1 {
            let value = match bytes {
                2 => self.builder.ins().ireduce(types::I16, value),
                1 if ty.dtype != DType::Bool => self.builder.ins().ireduce(types::I8, value),
                _ => value,
            };
            self.builder.ins().store(flags, value, pointer, offset);
            return;
        }
        if bytes >= 4 {
            self.builder.ins().store(flags, value, pointer, offset);
            return;
        }
        if ty.lanes == 2 {
            for lane in 0..2 {
                let one = self.lane(ty, value, lane);
                self.builder.ins().store(flags, one, pointer, offset + i32::from(lane));
            }
            return;
        }
        // The low bytes of the lanes, moved together.
        let value = if ty.dtype == DType::Bool {
            let one = self.int(types::I32X4, 1);
            self.builder.ins().band(value, one)
        } else {
            value
        };
        let all = self.bitcast(types::I8X16, value);
        let picked: Vec<u8> = (0..16)
            .map(|byte| {
                let (lane, part) = (byte as usize / bytes, byte as usize % bytes);
                if lane < 4 { (lane * 4 + part) as u8 } else { 0 }
            })
            .collect();
        let mask = self.builder.func.dfg.immediates.push(picked.into());
        let near = self.builder.ins().shuffle(all, all, mask);
        let (kind, whole) = if bytes == 2 { (types::I64X2, types::I64) } else { (types::I32X4, types::I32) };
        let near = self.bitcast(kind, near);
        let low = self.builder.ins().extractlane(near, 0);
        debug_assert_eq!(self.builder.func.dfg.value_type(low), whole);
        self.builder.ins().store(flags, low, pointer, offset);
    }
}

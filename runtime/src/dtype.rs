//! Element types.

use std::fmt;

/// The type of one element of a tensor.
///
/// Sub-byte integers are stored one to a byte (`i4` and `i2` as `i8`, `u4`, `u2` and `u1` as `u8`), `bool` as
/// one byte that is 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum DType {
    F64,
    F32,
    F16,
    Bf16,
    C128,
    C64,
    I64,
    I32,
    I16,
    I8,
    I4,
    I2,
    U64,
    U32,
    U16,
    U8,
    U4,
    U2,
    U1,
    Bool,
}

impl DType {
    /// Every element type, widest first within a kind.
    pub const ALL: [DType; 20] = [
        DType::F64,
        DType::F32,
        DType::F16,
        DType::Bf16,
        DType::C128,
        DType::C64,
        DType::I64,
        DType::I32,
        DType::I16,
        DType::I8,
        DType::I4,
        DType::I2,
        DType::U64,
        DType::U32,
        DType::U16,
        DType::U8,
        DType::U4,
        DType::U2,
        DType::U1,
        DType::Bool,
    ];

    /// The name in source text: `f64`, `c64`, `u1`, `bool`.
    pub fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::C128 => "c128",
            DType::C64 => "c64",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I16 => "i16",
            DType::I8 => "i8",
            DType::I4 => "i4",
            DType::I2 => "i2",
            DType::U64 => "u64",
            DType::U32 => "u32",
            DType::U16 => "u16",
            DType::U8 => "u8",
            DType::U4 => "u4",
            DType::U2 => "u2",
            DType::U1 => "u1",
            DType::Bool => "bool",
        }
    }

    /// The element type of that name.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes that so many elements take in memory; saturates.
    pub fn bytes_of(self, elems: u64) -> u64 {
        elems.saturating_mul(self.bytes() as u64)
    }

    /// Bytes one element takes in memory.
    pub fn bytes(self) -> usize {
        match self {
            DType::C128 => 16,
            DType::F64 | DType::C64 | DType::I64 | DType::U64 => 8,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::F16 | DType::Bf16 | DType::I16 | DType::U16 => 2,
            _ => 1,
        }
    }

    /// Whether this is a real floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::Bf16)
    }

    /// Whether this is a complex type.
    pub fn is_complex(self) -> bool {
        matches!(self, DType::C128 | DType::C64)
    }

    /// Whether this is an integer type (`bool` is not).
    pub fn is_integer(self) -> bool {
        !self.is_float() && !self.is_complex() && self != DType::Bool
    }

    /// The least and greatest value of an integer type or `bool`.
    pub fn integer_range(self) -> Option<(i128, i128)> {
        let signed = |bits: u32| (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
        let unsigned = |bits: u32| (0, (1i128 << bits) - 1);
        Some(match self {
            DType::I64 => signed(64),
            DType::I32 => signed(32),
            DType::I16 => signed(16),
            DType::I8 => signed(8),
            DType::I4 => signed(4),
            DType::I2 => signed(2),
            DType::U64 => unsigned(64),
            DType::U32 => unsigned(32),
            DType::U16 => unsigned(16),
            DType::U8 => unsigned(8),
            DType::U4 => unsigned(4),
            DType::U2 => unsigned(2),
            DType::U1 | DType::Bool => unsigned(1),
            _ => return None,
        })
    }

    /// The real type of the parts of a complex type.
    pub fn real_part(self) -> DType {
        match self {
            DType::C128 => DType::F64,
            DType::C64 => DType::F32,
            other => other,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

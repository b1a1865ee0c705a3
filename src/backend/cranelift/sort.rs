//! The order of a row, for generated code.

use einc_runtime::DType;
use einc_runtime::sort::{Key, argsort, argtopk};
use half::{bf16, f16};

extern "C" fn entry<T: Key, const DESCENDING: bool>(row: *const T, positions: *mut i64, len: i64, take: i64) {
    let (len, take) = (len as usize, take as usize);
    if len == 0 {
        return;
    }
    // SAFETY: generated code passes the addresses of a row and of positions in scratch memory, each as long as `len`
    // says (`loops::verify` holds it to that), aligned to 64 bytes, and written by nobody else meanwhile. The row was
    // filled before.
    let (row, positions) =
        unsafe { (std::slice::from_raw_parts(row, len), std::slice::from_raw_parts_mut(positions, len)) };
    if DESCENDING {
        argtopk(row, &mut positions[..take]);
    } else {
        argsort(row, positions);
    }
}

/// The address of a function by its name, `sort_descending_f32`.
pub(super) fn address(name: &str) -> Option<*const u8> {
    let name = name.strip_prefix("sort_")?;
    let (dtype, descending) = match name.strip_prefix("descending_") {
        Some(dtype) => (dtype, true),
        None => (name.strip_prefix("ascending_")?, false),
    };
    macro_rules! of {
        ($type:ty) => {
            if descending { entry::<$type, true> as *const u8 } else { entry::<$type, false> as *const u8 }
        };
    }
    Some(match DType::from_name(dtype)? {
        DType::F64 => of!(f64),
        DType::F32 => of!(f32),
        DType::F16 => of!(f16),
        DType::Bf16 => of!(bf16),
        DType::I64 => of!(i64),
        DType::I32 => of!(i32),
        DType::I16 => of!(i16),
        DType::I8 | DType::I4 | DType::I2 => of!(i8),
        DType::U64 => of!(u64),
        DType::U32 => of!(u32),
        DType::U16 => of!(u16),
        DType::U8 | DType::U4 | DType::U2 | DType::U1 | DType::Bool => of!(u8),
        DType::C128 | DType::C64 => return None,
    })
}

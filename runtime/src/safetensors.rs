//! Files in the `safetensors` format.
//!
//! The header is parsed by the crate of that name and then held to the format's law here, before anything of a
//! claimed size is allocated: keys occur once, tensors lie back to back in the file and fill it. Integers narrower
//! than a byte are written as `I8` and `U8`, and come back as those; `c128` has no place in the format.

use crate::file::{self, FileError, FileErrorKind, Staged};
use crate::{DType, Tensor};
use ::safetensors::Dtype as Code;
use ::safetensors::tensor::{Metadata, TensorInfo};
use std::io::{Read, Write};
use std::path::Path;

/// The longest header that is read.
const MAX_HEADER: u64 = 16 << 20;

/// Reads every tensor of a file, in the order of their places in it.
///
/// # Errors
/// Where the file is missing or malformed, or a tensor has a type that ours cannot have.
pub fn read(path: &Path) -> Result<Vec<(String, Tensor)>, FileError> {
    let read = || {
        let (mut file, len) = file::open(path)?;
        read_from(&mut file, len)
    };
    read().map_err(|error| error.at(path))
}

/// Reads a file's bytes from memory.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, FileError> {
    read_from(&mut { bytes }, bytes.len() as u64)
}

fn read_from(reader: &mut impl Read, len: u64) -> Result<Vec<(String, Tensor)>, FileError> {
    let mut header_len = [0; 8];
    reader.read_exact(&mut header_len)?;
    let header_len = u64::from_le_bytes(header_len);
    if header_len > MAX_HEADER {
        return Err(FileError::new(
            FileErrorKind::TooLarge,
            format!("the header claims {header_len} bytes, more than {MAX_HEADER}"),
        ));
    }
    let Some(data_len) = len.checked_sub(8 + header_len) else {
        return Err(FileError::format("the file ends within its header"));
    };
    let mut header = vec![0; header_len as usize];
    reader.read_exact(&mut header)?;
    let header = std::str::from_utf8(&header).map_err(|_| FileError::format("the header is not text"))?;
    let entries = entries(header, data_len)?;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, dtype, shape) in entries {
        let mut tensor = file::read_elements(dtype, &shape, reader).map_err(|error| error.within(&name))?;
        if cfg!(target_endian = "big") {
            file::swap_endian(dtype, tensor.bytes_mut());
        }
        file::normalize_bools(&mut tensor);
        tensors.push((name, tensor));
    }
    Ok(tensors)
}

/// The tensors a header tells of, in the order of their places, checked to fill `data_len` bytes without gap or overlap.
fn entries(header: &str, data_len: u64) -> Result<Vec<(String, DType, Vec<u64>)>, FileError> {
    if !header.starts_with('{') {
        return Err(FileError::format("the header does not start with `{`"));
    }
    let metadata: Metadata = serde_json::from_str(header).map_err(|error| {
        FileError::format(format!("the header is malformed: {}", file::shortened(&error.to_string())))
    })?;
    let mut infos: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    if top_level_keys(header) != infos.len() + usize::from(metadata.metadata().is_some()) {
        return Err(FileError::format("a name occurs twice in the header"));
    }
    infos.sort_by(|(left_name, left), (right_name, right)| {
        left.data_offsets.cmp(&right.data_offsets).then_with(|| left_name.cmp(right_name))
    });
    let mut end = 0;
    let mut entries = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let (start, next) = info.data_offsets;
        if start != end || next < start {
            return Err(FileError::format("overlaps another tensor, or leaves a gap before it").within(&name));
        }
        end = next;
        let Some(dtype) = dtype_of(info.dtype) else {
            let message = format!("elements of type {} are not read", info.dtype);
            return Err(FileError::unsupported(message).within(&name));
        };
        let shape: Vec<u64> = info.shape.iter().map(|&extent| extent as u64).collect();
        if Tensor::bytes_needed(dtype, &shape) != Some(next - start) {
            return Err(FileError::format("its shape does not match its place in the file").within(&name));
        }
        entries.push((name, dtype, shape));
    }
    if end as u64 != data_len {
        return Err(FileError::format(format!(
            "the header tells of {end} bytes of elements, the file has {data_len}"
        )));
    }
    Ok(entries)
}

/// How many keys the outermost object of a well-formed JSON text has, each occurrence counted.
fn top_level_keys(json: &str) -> usize {
    let (mut depth, mut keys, mut in_string, mut escaped) = (0, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 1 => keys += 1,
            _ => {}
        }
    }
    keys
}

fn dtype_of(code: Code) -> Option<DType> {
    Some(match code {
        Code::F64 => DType::F64,
        Code::F32 => DType::F32,
        Code::F16 => DType::F16,
        Code::BF16 => DType::Bf16,
        Code::C64 => DType::C64,
        Code::I64 => DType::I64,
        Code::I32 => DType::I32,
        Code::I16 => DType::I16,
        Code::I8 => DType::I8,
        Code::U64 => DType::U64,
        Code::U32 => DType::U32,
        Code::U16 => DType::U16,
        Code::U8 => DType::U8,
        Code::BOOL => DType::Bool,
        _ => return None,
    })
}

fn code_of(dtype: DType) -> Option<Code> {
    Some(match dtype {
        DType::F64 => Code::F64,
        DType::F32 => Code::F32,
        DType::F16 => Code::F16,
        DType::Bf16 => Code::BF16,
        DType::C128 => return None,
        DType::C64 => Code::C64,
        DType::I64 => Code::I64,
        DType::I32 => Code::I32,
        DType::I16 => Code::I16,
        DType::I8 | DType::I4 | DType::I2 => Code::I8,
        DType::U64 => Code::U64,
        DType::U32 => Code::U32,
        DType::U16 => Code::U16,
        DType::U8 | DType::U4 | DType::U2 | DType::U1 => Code::U8,
        DType::Bool => Code::BOOL,
    })
}

/// Writes a file of named tensors, whole or not at all.
///
/// # Errors
/// Where the system refuses, two tensors have one name, or one is of type `c128`.
pub fn write(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<(), FileError> {
    stage(path, tensors)?.commit()
}

/// The first half of [`write()`]: everything but the move to the file's place.
///
/// # Errors
/// As [`write()`].
pub fn stage(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<Staged, FileError> {
    file::stage(path, |writer| write_to(writer, tensors))
}

/// The bytes of the file that [`write()`] writes.
///
/// # Errors
/// Where two tensors have one name, or one is of type `c128`.
pub fn write_bytes(tensors: &[(&str, &Tensor)]) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, tensors)?;
    Ok(bytes)
}

fn write_to(writer: &mut dyn Write, tensors: &[(&str, &Tensor)]) -> Result<(), FileError> {
    file::check_names(tensors)?;
    // Wide elements come first, so that every tensor starts at a multiple of its element's width.
    let mut order: Vec<&(&str, &Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().bytes()));
    let (mut infos, mut end) = (Vec::with_capacity(order.len()), 0usize);
    for (name, tensor) in &order {
        let refuse = || FileError::unsupported(format!("safetensors has no type {}", tensor.dtype()));
        if *name == "__metadata__" {
            return Err(FileError::unsupported("safetensors keeps this name for itself").within(name));
        }
        let start = end;
        end += tensor.bytes().len();
        infos.push((
            (*name).to_owned(),
            TensorInfo {
                dtype: code_of(tensor.dtype()).ok_or_else(|| refuse().within(name))?,
                shape: tensor.shape().iter().map(|&extent| extent as usize).collect(),
                data_offsets: (start, end),
            },
        ));
    }
    let wrong = |message: String| FileError::unsupported(message);
    let metadata = Metadata::new(None, infos).map_err(|error| wrong(error.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| wrong(error.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    for (_, tensor) in order {
        writer.write_all(&file::little_endian(tensor))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    fn refused(bytes: &[u8]) -> FileErrorKind {
        let error = read_bytes(bytes).expect_err("the file is bad");
        assert!(error.message.len() < 200, "{error}");
        error.kind
    }

    #[test]
    fn bytes_are_those_of_the_reference() {
        // safetensors.numpy.save of a: f4 [1.5], b: i2 [1, 2], t: bool true.
        let mut expected =
            b"\xa0\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":\
            {\"dtype\":\"I16\",\"shape\":[2],\"data_offsets\":[4,8]},\"t\":\
            {\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[8,9]}}"
                .to_vec();
        expected.resize(8 + 160, b' ');
        expected.extend(b"\0\0\xc0?\x01\0\x02\0\x01");
        let a = Tensor::from_slice(&[1], &[1.5f32]).unwrap();
        let b = Tensor::from_slice(&[2], &[1i16, 2]).unwrap();
        let t = Tensor::from_slice(&[], &[true]).unwrap();
        assert_eq!(write_bytes(&[("t", &t), ("b", &b), ("a", &a)]).unwrap(), expected);
        let read = read_bytes(&expected).unwrap();
        assert_eq!(read, [("a".to_owned(), a), ("b".to_owned(), b), ("t".to_owned(), t)]);
    }

    #[test]
    fn every_type_survives_but_c128() {
        for dtype in DType::ALL {
            let mut tensor = Tensor::zeros(dtype, &[2, 3]).unwrap();
            (0..6).for_each(|k| tensor.set(k, Scalar::Int(k as i128)));
            let empty = Tensor::zeros(dtype, &[0, 2]).unwrap();
            let written = write_bytes(&[("x", &tensor), ("none", &empty)]);
            if dtype == DType::C128 {
                assert_eq!(written.unwrap_err().kind, FileErrorKind::Unsupported);
                continue;
            }
            let back = read_bytes(&written.unwrap()).unwrap();
            let find = |name| &back.iter().find(|(found, _)| found == name).unwrap().1;
            assert_eq!((find("x").bytes(), find("x").shape()), (tensor.bytes(), &[2, 3][..]), "{dtype}");
            assert_eq!(find("none").shape(), [0, 2]);
        }
        let one = Tensor::zeros(DType::U8, &[]).unwrap();
        assert!(
            write_bytes(&[("__metadata__", &one)]).is_err()
                && write_bytes(&[("x", &one), ("x", &one)]).is_err()
        );
    }

    #[test]
    fn lies_are_refused() {
        let entry = |name: &str, start: u64, end: u64| {
            format!("\"{name}\":{{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[{start},{end}]}}")
        };
        let two = |a: String, b: String| file(&format!("{{{a},{b}}}"), &[1, 2, 3, 4]);
        assert!(read_bytes(&two(entry("a", 0, 2), entry("b", 2, 4))).is_ok());
        assert!(
            read_bytes(&two("\"__metadata__\":{\"a\":\"\\\"}{:\"}".into(), entry("b", 0, 2))[..]).is_err()
        );
        assert!(
            read_bytes(&file(
                &format!("{{\"__metadata__\":{{\"a\":\"\\\"}}{{:\"}},{}}}", entry("b", 0, 2)),
                &[1, 2]
            ))
            .is_ok()
        );
        for bad in [
            two(entry("a", 0, 2), entry("a", 2, 4)),
            two(entry("a", 0, 2), entry("\\u0061", 2, 4)),
            two(entry("a", 0, 2), entry("b", 1, 3)),
            two(entry("a", 0, 2), entry("b", 0, 2)),
            two(entry("a", 0, 1), entry("b", 1, 4)),
            file(&format!("{{{}}}", entry("a", 2, 4)), &[1, 2, 3, 4]),
            file(&format!("{{{}}}", entry("a", 0, 2)), &[1, 2, 3]),
            file(&format!("{{{}}}", entry("a", 0, 2)), &[1]),
            file(&format!("{{{}}}\0\0", entry("a", 0, 2)), &[1, 2]),
            file(&format!(" {{{}}}", entry("a", 0, 2)), &[1, 2]),
            file("{\"a\":{\"dtype\":\"U9\",\"shape\":[2],\"data_offsets\":[0,2]}}", &[1, 2]),
            file("{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", &[]),
            file("{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", &[]),
            file("{\"a\":{\"dtype\":\"U8\",\"shape\":[-2],\"data_offsets\":[0,2]}}", &[1, 2]),
            file("[]", &[]),
            file("", &[]),
            file("{\"a\":1", &[]),
            file(&"[".repeat(100_000), &[]),
            file(&format!("{{\"a\":{}", "[".repeat(100_000)), &[]),
            b"\x01\0\0".to_vec(),
            file("{}", &[0]),
        ] {
            assert_eq!(refused(&bad), FileErrorKind::Format);
        }
        assert_eq!(refused(&[255; 16]), FileErrorKind::TooLarge);
        assert_eq!(refused(&[0, 0, 0, 1, 0, 0, 0, 0, b'{']), FileErrorKind::Format);
        let odd = file("{\"a\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[0,2]}}", &[1, 2]);
        assert_eq!(refused(&odd), FileErrorKind::Unsupported);
        assert_eq!(read_bytes(&file("{}      ", &[])), Ok(Vec::new()));
    }

    #[test]
    fn mutants_do_not_panic() {
        let tensor = Tensor::from_slice(&[2], &[1i16, 2]).unwrap();
        let good = write_bytes(&[("a", &tensor), ("b", &tensor)]).unwrap();
        for at in 0..good.len() {
            for byte in [0, 1, b'"', b'{', b'9', b':', 0xff] {
                let mut bad = good.clone();
                bad[at] = byte;
                if let Ok(tensors) = read_bytes(&bad) {
                    assert!(tensors.len() <= 2);
                }
            }
            assert!(read_bytes(&good[..at]).is_err());
        }
    }
}

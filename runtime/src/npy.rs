//! NumPy's `.npy` files.
//!
//! Versions 1 to 3 are read, in any byte order and either element order; version 1 is written, byte for byte as NumPy
//! does. `bf16` stands in a file as `V2`, which is how `ml_dtypes` lets NumPy save it. Integers narrower than a byte
//! are written as `i1` and `u1`, and come back as those. Pickled objects, strings, dates and structured types are
//! refused, and so is a file whose length is not what its header says: before anything of that size is allocated.

use crate::file::{self, FileError, FileErrorKind, Staged};
use crate::{DType, Tensor};
use std::io::Read;
use std::path::Path;

/// The longest header that is read.
const MAX_HEADER: u32 = 64 << 10;

/// The most dims a file may have (NumPy's own limit).
const MAX_DIMS: usize = 64;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Reads a file.
///
/// # Errors
/// Where the file is missing, malformed, of a length other than its header says, or of a type no tensor has.
pub fn read(path: &Path) -> Result<Tensor, FileError> {
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
pub fn read_bytes(bytes: &[u8]) -> Result<Tensor, FileError> {
    read_from(&mut { bytes }, bytes.len() as u64)
}

/// Writes a file, whole or not at all.
///
/// # Errors
/// Where the system refuses.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), FileError> {
    stage(path, tensor)?.commit()
}

/// The first half of [`write()`]: everything but the move to the file's place.
///
/// # Errors
/// Where the system refuses.
pub fn stage(path: &Path, tensor: &Tensor) -> Result<Staged, FileError> {
    file::stage(path, |writer| {
        writer.write_all(&header_bytes(tensor))?;
        Ok(writer.write_all(&file::little_endian(tensor))?)
    })
}

/// The bytes of the file that [`write()`] writes.
pub fn write_bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = header_bytes(tensor);
    bytes.extend_from_slice(&file::little_endian(tensor));
    bytes
}

/// Reads a file of `len` bytes.
pub(crate) fn read_from(reader: &mut impl Read, len: u64) -> Result<Tensor, FileError> {
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    if &start[..6] != MAGIC {
        return Err(FileError::format("this is not a .npy file"));
    }
    let header_len = match start[6] {
        1 => {
            let mut length = [0; 2];
            reader.read_exact(&mut length)?;
            u16::from_le_bytes(length).into()
        }
        2 | 3 => {
            let mut length = [0; 4];
            reader.read_exact(&mut length)?;
            u32::from_le_bytes(length)
        }
        version => return Err(FileError::unsupported(format!("version {version} of .npy is unknown"))),
    };
    if header_len > MAX_HEADER {
        return Err(FileError::new(
            FileErrorKind::TooLarge,
            format!("the header claims {header_len} bytes, more than {MAX_HEADER}"),
        ));
    }
    let before = if start[6] == 1 { 10 } else { 12 } + u64::from(header_len);
    if before > len {
        return Err(FileError::format("the file ends within its header"));
    }
    let mut header = vec![0; header_len as usize];
    reader.read_exact(&mut header)?;
    let header = Header::parse(&header)?;
    let claimed = Tensor::bytes_needed(header.dtype, &header.shape)
        .ok_or_else(|| FileError::new(FileErrorKind::TooLarge, "the shape has more elements than memory"))?;
    if claimed as u64 != len - before {
        return Err(FileError::format(format!(
            "the header says {claimed} bytes of elements, the file has {}",
            len - before
        )));
    }
    let stored_shape: Vec<u64> =
        if header.fortran { header.shape.iter().rev().copied().collect() } else { header.shape.clone() };
    let mut tensor = file::read_elements(header.dtype, &stored_shape, reader)?;
    if header.swapped {
        file::swap_endian(header.dtype, tensor.bytes_mut());
    }
    file::normalize_bools(&mut tensor);
    if header.fortran && header.shape.len() > 1 { reversed(&tensor) } else { Ok(tensor) }
}

/// The tensor with its dims in reverse order.
fn reversed(tensor: &Tensor) -> Result<Tensor, FileError> {
    let shape: Vec<u64> = tensor.shape().iter().rev().copied().collect();
    let width = tensor.dtype().bytes();
    let mut result = Tensor::zeros(tensor.dtype(), &shape)
        .ok_or_else(|| FileError::new(FileErrorKind::TooLarge, "there is not enough memory for it"))?;
    let from = tensor.bytes();
    let mut index = vec![0u64; shape.len()];
    let mut at = 0;
    for place in result.bytes_mut().chunks_exact_mut(width) {
        place.copy_from_slice(&from[at * width..][..width]);
        // The first dim of the result has stride 1 in the source, so strides grow while the index carries down.
        for dim in (0..shape.len()).rev() {
            let stride: u64 = shape[..dim].iter().product();
            index[dim] += 1;
            at += stride as usize;
            if index[dim] < shape[dim] {
                break;
            }
            at -= (stride * shape[dim]) as usize;
            index[dim] = 0;
        }
    }
    Ok(result)
}

/// What a header says.
struct Header {
    dtype: DType,
    swapped: bool,
    fortran: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Header, FileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FileError::format("the header is not text"))?;
        let mut reader = Literal { rest: text };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        reader.expect("{")?;
        while !reader.take("}") {
            let key = reader.string()?;
            reader.expect(":")?;
            let again = match key {
                "descr" => descr.replace(reader.descr()?).is_some(),
                "fortran_order" => fortran.replace(reader.truth()?).is_some(),
                "shape" => shape.replace(reader.shape()?).is_some(),
                _ => return Err(reader.wrong()),
            };
            if again {
                return Err(FileError::format(format!("the header says `{key}` twice")));
            }
            if !reader.take(",") {
                reader.expect("}")?;
                break;
            }
        }
        if !reader.rest.trim().is_empty() {
            return Err(reader.wrong());
        }
        let missing = |key| FileError::format(format!("the header does not say `{key}`"));
        let (dtype, swapped) = descr.ok_or_else(|| missing("descr"))?;
        let fortran = fortran.ok_or_else(|| missing("fortran_order"))?;
        Ok(Header { dtype, swapped, fortran, shape: shape.ok_or_else(|| missing("shape"))? })
    }
}

/// Reads the Python literal of a header.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn wrong(&self) -> FileError {
        FileError::format(format!("the header is malformed at `{}`", file::shortened(self.rest.trim())))
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), FileError> {
        if self.take(token) { Ok(()) } else { Err(self.wrong()) }
    }

    fn string(&mut self) -> Result<&'a str, FileError> {
        let quote = if self.take("'") {
            '\''
        } else if self.take("\"") {
            '"'
        } else {
            return Err(self.wrong());
        };
        let (text, rest) = self.rest.split_once(quote).ok_or_else(|| self.wrong())?;
        self.rest = rest;
        Ok(text)
    }

    fn truth(&mut self) -> Result<bool, FileError> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False").map(|()| false)
    }

    fn shape(&mut self) -> Result<Vec<u64>, FileError> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.take(")") {
            if self.take("-") {
                return Err(FileError::format("the header has a negative extent"));
            }
            let rest = self.rest.trim_start();
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            if digits == 0 {
                return Err(self.wrong());
            }
            let extent = rest[..digits].parse().map_err(|_| {
                FileError::new(FileErrorKind::TooLarge, "the header has an extent beyond 2^64")
            })?;
            shape.push(extent);
            // Python 2 wrote its long integers as `3L`.
            self.rest = rest[digits..].strip_prefix('L').unwrap_or(&rest[digits..]);
            if shape.len() > MAX_DIMS {
                return Err(FileError::unsupported(format!("there are more than {MAX_DIMS} dims")));
            }
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn descr(&mut self) -> Result<(DType, bool), FileError> {
        if self.rest.trim_start().starts_with(['[', '{', '(']) {
            return Err(FileError::unsupported("structured types are not read"));
        }
        let text = self.string()?;
        let (order, code) = match text.split_at_checked(1) {
            Some((order @ ("<" | ">" | "|" | "="), code)) => (order, code),
            _ => ("=", text),
        };
        let dtype = match code {
            "f8" => DType::F64,
            "f4" => DType::F32,
            "f2" => DType::F16,
            "V2" => DType::Bf16,
            "c16" => DType::C128,
            "c8" => DType::C64,
            "i8" => DType::I64,
            "i4" => DType::I32,
            "i2" => DType::I16,
            "i1" => DType::I8,
            "u8" => DType::U64,
            "u4" => DType::U32,
            "u2" => DType::U16,
            "u1" => DType::U8,
            "b1" => DType::Bool,
            "O" | "O8" | "O4" => {
                return Err(FileError::unsupported(
                    "it holds Python objects, which are pickled and never read: save numbers instead",
                ));
            }
            _ => {
                return Err(FileError::unsupported(format!(
                    "elements of type `{}` are not read",
                    file::shortened(text)
                )));
            }
        };
        let swapped = match order {
            "<" => cfg!(target_endian = "big"),
            ">" => cfg!(target_endian = "little"),
            _ => false,
        };
        Ok((dtype, swapped))
    }
}

/// The bytes before the elements, for elements written least significant byte first.
pub(crate) fn header_bytes(tensor: &Tensor) -> Vec<u8> {
    let descr = match tensor.dtype() {
        DType::F64 => "<f8",
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::Bf16 => "<V2",
        DType::C128 => "<c16",
        DType::C64 => "<c8",
        DType::I64 => "<i8",
        DType::I32 => "<i4",
        DType::I16 => "<i2",
        DType::I8 | DType::I4 | DType::I2 => "|i1",
        DType::U64 => "<u8",
        DType::U32 => "<u4",
        DType::U16 => "<u2",
        DType::U8 | DType::U4 | DType::U2 | DType::U1 => "|u1",
        DType::Bool => "|b1",
    };
    let extents: Vec<String> = tensor.shape().iter().map(u64::to_string).collect();
    let shape = match &extents[..] {
        [one] => format!("({one},)"),
        _ => format!("({})", extents.join(", ")),
    };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // NumPy leaves room for the first extent to grow to 21 digits in place, then fills up to a multiple of 64.
    let growth = extents.first().map_or(0, |first| 21 - first.len());
    let used = MAGIC.len() + 4 + header.len() + growth + 1;
    header.push_str(&" ".repeat(growth + 64 - used % 64));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    match u16::try_from(header.len()) {
        Ok(len) => {
            bytes.extend([1, 0]);
            bytes.extend(len.to_le_bytes());
        }
        Err(_) => {
            bytes.extend([2, 0]);
            bytes.extend((header.len() as u32).to_le_bytes());
        }
    }
    bytes.extend(header.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scalar;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn refused(bytes: &[u8]) -> FileErrorKind {
        let error = read_bytes(bytes).expect_err("the file is bad");
        assert!(error.message.len() < 200, "{error}");
        error.kind
    }

    const F4: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

    #[test]
    fn bytes_are_those_of_numpy() {
        // np.save of np.array([[1,2,3],[4,5,6]], '<f4'), NumPy 2.
        let mut expected =
            b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".to_vec();
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend(b"\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@\x00\x00\xc0@");
        let tensor = Tensor::from_slice(&[2, 3], &[1f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(write_bytes(&tensor), expected);
        assert_eq!(read_bytes(&expected), Ok(tensor));
        // np.save of np.array(True): no dims, no room to grow.
        let mut expected =
            b"\x93NUMPY\x01\x00v\x00{'descr': '|b1', 'fortran_order': False, 'shape': (), }".to_vec();
        expected.resize(127, b' ');
        expected.extend(b"\n\x01");
        assert_eq!(write_bytes(&Tensor::from_slice(&[], &[true]).unwrap()), expected);
    }

    #[test]
    fn big_endian_and_fortran_order_are_converted() {
        // np.save of np.asfortranarray(np.array([[1,2,3],[4,5,6]], '>i2')).
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let bytes = file(1, header, b"\0\x01\0\x04\0\x02\0\x05\0\x03\0\x06");
        assert_eq!(read_bytes(&bytes), Ok(Tensor::from_slice(&[2, 3], &[1i16, 2, 3, 4, 5, 6]).unwrap()));
        let header = "{'descr': '>c8', 'fortran_order': True, 'shape': (1,), }";
        let bytes = file(2, header, &[0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0]);
        assert_eq!(read_bytes(&bytes).unwrap().get(0), Scalar::Complex(1.0, -2.0));
        let data: Vec<u8> = (0..24).collect();
        let bytes = file(3, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4)}", &data);
        let tensor = read_bytes(&bytes).unwrap();
        for (i, j, k) in [(0, 0, 0), (1, 0, 0), (0, 2, 1), (1, 2, 3)] {
            assert_eq!(tensor.get((i * 3 + j) * 4 + k), Scalar::Int((i + 2 * (j + 3 * k)) as i128));
        }
    }

    #[test]
    fn every_type_survives() {
        for dtype in DType::ALL {
            for shape in [&[][..], &[5], &[2, 0], &[1, 2, 3]] {
                let mut tensor = Tensor::zeros(dtype, shape).unwrap();
                (0..tensor.elems()).for_each(|k| tensor.set(k, Scalar::Int(k as i128 - 1)));
                let back = read_bytes(&write_bytes(&tensor)).unwrap();
                assert_eq!((back.shape(), back.bytes()), (shape, tensor.bytes()), "{dtype}");
                assert_eq!(back.dtype().bytes(), dtype.bytes());
                if !matches!(dtype, DType::I4 | DType::I2 | DType::U4 | DType::U2 | DType::U1) {
                    assert_eq!(back.dtype(), dtype);
                }
            }
        }
    }

    #[test]
    fn headers_may_vary_as_python_allows() {
        let six = [0; 24];
        assert!(read_bytes(&file(1, F4, &six)).is_ok());
        let other = "{\"shape\":(2L,3L),\"descr\":\"<f4\",'fortran_order':False}   \n";
        assert!(read_bytes(&file(1, other, &six)).is_ok());
        assert_eq!(
            read_bytes(&file(1, "{'descr':'b1','fortran_order':False,'shape':(2,)}", &[0, 9]))
                .unwrap()
                .bytes(),
            [0, 1]
        );
    }

    #[test]
    fn lengths_that_do_not_match_are_refused() {
        let good = file(1, F4, &[0; 24]);
        for len in 0..good.len() {
            assert_eq!(refused(&good[..len]), FileErrorKind::Format, "{len}");
        }
        assert_eq!(refused(&[&good[..], b"\0"].concat()), FileErrorKind::Format);
        let claim = |shape: &str| {
            file(1, &format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}"), &[0; 16])
        };
        assert_eq!(refused(&claim("(1099511627776,)")), FileErrorKind::Format);
        assert_eq!(refused(&claim("(4294967296, 4294967296)")), FileErrorKind::TooLarge);
        assert_eq!(refused(&claim("(99999999999999999999999,)")), FileErrorKind::TooLarge);
        assert_eq!(refused(&claim("(-4,)")), FileErrorKind::Format);
        assert_eq!(refused(&claim(&format!("({})", "1,".repeat(65)))), FileErrorKind::Unsupported);
        let mut huge = MAGIC.to_vec();
        huge.extend([2, 0, 255, 255, 255, 255]);
        assert_eq!(refused(&huge), FileErrorKind::TooLarge);
    }

    #[test]
    fn what_no_tensor_holds_is_refused() {
        for (descr, kind) in [
            ("'|O'", FileErrorKind::Unsupported),
            ("[('a', '<f4')]", FileErrorKind::Unsupported),
            ("'<U3'", FileErrorKind::Unsupported),
            ("'<M8[ns]'", FileErrorKind::Unsupported),
            ("'<f16'", FileErrorKind::Unsupported),
            ("'é4'", FileErrorKind::Unsupported),
            ("''", FileErrorKind::Unsupported),
            ("4", FileErrorKind::Format),
            ("'<f4', 'descr': '<f4'", FileErrorKind::Format),
            ("'<f4', 'extra': True", FileErrorKind::Format),
        ] {
            let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': ()}}");
            assert_eq!(refused(&file(3, &header, &[0; 4])), kind, "{descr}");
        }
        assert_eq!(refused(&file(4, F4, &[0; 24])), FileErrorKind::Unsupported);
        for header in [
            "",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
            "{'shape': (",
            &format!("{F4} x"),
        ] {
            assert_eq!(refused(&file(1, header, &[0; 24])), FileErrorKind::Format, "{header}");
        }
        assert_eq!(refused(b"PK\x03\x04aaaaaaaaaaaaaa"), FileErrorKind::Format);
    }

    #[test]
    fn files_are_read_and_written() {
        let path = std::env::temp_dir().join(format!("einc-npy-{}.npy", std::process::id()));
        let tensor = Tensor::from_slice(&[2], &[1i64, -2]).unwrap();
        write(&path, &tensor).unwrap();
        assert_eq!(read(&path), Ok(tensor));
        std::fs::remove_file(&path).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!((error.kind, &error.path), (FileErrorKind::NotFound, &path));
    }
}

//! NumPy's `.npz` archives: zip files of `.npy` members.
//!
//! Stored and deflated members are read, stored ones are written; equal tensors give equal bytes. A member's name
//! without `.npy` is the tensor's name.

use crate::file::{self, FileError, FileErrorKind, Staged};
use crate::{Tensor, npy, zip};
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

/// Reads every tensor of an archive, in its order. `limit` is the most bytes that all members together may unpack to.
///
/// # Errors
/// Where the file is missing, malformed or over the limit, a member is damaged or no `.npy` file, or a name occurs
/// twice.
pub fn read(path: &Path, limit: u64) -> Result<Vec<(String, Tensor)>, FileError> {
    let read = || {
        let (mut file, len) = file::open(path)?;
        read_from(&mut file, len, limit)
    };
    read().map_err(|error| error.at(path))
}

/// Reads an archive's bytes from memory.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(bytes: &[u8], limit: u64) -> Result<Vec<(String, Tensor)>, FileError> {
    read_from(&mut Cursor::new(bytes), bytes.len() as u64, limit)
}

fn read_from<R: Read + Seek>(
    reader: &mut R,
    len: u64,
    limit: u64,
) -> Result<Vec<(String, Tensor)>, FileError> {
    let members = zip::members(reader, len)?;
    let total = members.iter().try_fold(0u64, |sum, member| sum.checked_add(member.len));
    if total.is_none_or(|total| total > limit) {
        return Err(FileError::new(
            FileErrorKind::TooLarge,
            format!("the archive unpacks to more than the limit of {limit} bytes"),
        ));
    }
    let mut tensors = Vec::with_capacity(members.len());
    for member in members {
        let Some(name) = member.name.strip_suffix(".npy") else {
            return Err(FileError::unsupported("is not a .npy file").within(&member.name));
        };
        let tensor = zip::open(reader, &member, |mut contents| npy::read_from(&mut contents, member.len))
            .map_err(|error| error.within(&member.name))?;
        tensors.push((name.to_owned(), tensor));
    }
    Ok(tensors)
}

/// Writes an archive of named tensors, whole or not at all.
///
/// # Errors
/// Where the system refuses, or two tensors have one name.
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

/// The bytes of the archive that [`write()`] writes.
///
/// # Errors
/// Where two tensors have one name, or a name is longer than 64 KiB.
pub fn write_bytes(tensors: &[(&str, &Tensor)]) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, tensors)?;
    Ok(bytes)
}

fn write_to(writer: &mut dyn Write, tensors: &[(&str, &Tensor)]) -> Result<(), FileError> {
    file::check_names(tensors)?;
    let members = tensors.iter().map(|(name, tensor)| {
        (format!("{name}.npy"), vec![npy::header_bytes(tensor).into(), file::little_endian(tensor)])
    });
    zip::write(writer, members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use flate2::write::DeflateEncoder;

    const NO_LIMIT: u64 = u64::MAX;

    /// An archive with every member packed by deflate.
    fn deflated(members: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, contents) in members {
            let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(contents).unwrap();
            let packed = encoder.finish().unwrap();
            let mut crc = flate2::Crc::new();
            crc.update(contents);
            let at = bytes.len() as u32;
            let mut common = b"\x14\0\0\0\x08\0\0\0\x21\0".to_vec();
            common.extend(crc.sum().to_le_bytes());
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((contents.len() as u32).to_le_bytes());
            common.extend((name.len() as u32).to_le_bytes());
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&common);
            bytes.extend(name.as_bytes());
            bytes.extend(&packed);
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(at.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let (at, count) = (bytes.len() as u32, members.len() as u16);
        bytes.extend(&directory);
        bytes.extend(b"PK\x05\x06\0\0\0\0");
        bytes.extend(count.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    fn refused(bytes: &[u8]) -> FileErrorKind {
        read_bytes(bytes, NO_LIMIT).expect_err("the archive is bad").kind
    }

    #[test]
    fn archives_of_numpy_are_read() {
        // np.savez of a = np.array([1, 2], '<i2'): stored, with 64-bit sizes in the local header only.
        let contents = npy::write_bytes(&Tensor::from_slice(&[2], &[1i16, 2]).unwrap());
        let mut stored =
            b"PK\x03\x04-\0\0\0\0\0\0\0!\0\x9d2\x85:\xff\xff\xff\xff\xff\xff\xff\xff\x05\0\x14\0a.npy\
            \x01\0\x10\0\x84\0\0\0\0\0\0\0\x84\0\0\0\0\0\0\0"
                .to_vec();
        stored.extend(&contents);
        stored.extend(
            b"PK\x01\x02-\x03-\0\0\0\0\0\0\0!\0\x9d2\x85:\x84\0\0\0\x84\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x80\x01\
            \0\0\0\0a.npyPK\x05\x06\0\0\0\0\x01\0\x01\x003\0\0\0\xbb\0\0\0\0\0",
        );
        let tensors = read_bytes(&stored, NO_LIMIT).unwrap();
        assert_eq!(tensors, [("a".to_owned(), Tensor::from_slice(&[2], &[1i16, 2]).unwrap())]);
        // np.savez_compressed of a = np.zeros(1000, '<i2').
        let packed = b"PK\x03\x04-\0\0\0\x08\0\0\0!\0<\x86\xed\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x05\0\x14\0a.npy\
            \x01\0\x10\0P\x08\0\0\0\0\0\0V\0\0\0\0\0\0\0\x9b\xec\x17\xea\x1b\x10\xc9\xc8P\xc6P\xad\x9e\x92Z\x9c\\\
            \xa4n\xa5\xa0n\x93i\xa4\xae\xa3\xa0\x9e\x96_TR\x94\x98\x17\x9f_\x94\x92\n\x12wK\xcc)N\x05\x8a\x17g\
            $\x16\xa4\x02\xf9\x1a\x86\x06\x06\x06:\x9a:\n\xb5\n\xe4\x02.\x86Q0\nF\xc1(\x18\x05\xa3`\x14\x0cy\0\0\
            PK\x01\x02-\x03-\0\0\0\x08\0\0\0!\0<\x86\xed\x1bV\0\0\0P\x08\0\0\x05\0\0\0\0\0\0\0\0\0\0\0\x80\x01\
            \0\0\0\0a.npyPK\x05\x06\0\0\0\0\x01\0\x01\x003\0\0\0\x8d\0\0\0\0\0";
        let tensors = read_bytes(packed, NO_LIMIT).unwrap();
        assert_eq!(tensors, [("a".to_owned(), Tensor::zeros(DType::I16, &[1000]).unwrap())]);
    }

    fn sample() -> [Tensor; 2] {
        [
            Tensor::from_slice(&[2, 2], &[1.5f64, -2.0, 0.0, 4.0]).unwrap(),
            Tensor::from_slice(&[], &[7u8]).unwrap(),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_and_equal_every_time() {
        let [x, y] = sample();
        let bytes = write_bytes(&[("x", &x), ("é/y", &y)]).unwrap();
        assert_eq!(bytes, write_bytes(&[("x", &x), ("é/y", &y)]).unwrap());
        let expected = vec![("x".to_owned(), x.clone()), ("é/y".to_owned(), y.clone())];
        assert_eq!(read_bytes(&bytes, NO_LIMIT), Ok(expected));
        assert_eq!(read_bytes(&write_bytes(&[]).unwrap(), 0), Ok(Vec::new()));
        assert_eq!(write_bytes(&[("x", &x), ("x", &y)]).unwrap_err().kind, FileErrorKind::Unsupported);
        let path = std::env::temp_dir().join(format!("einc-npz-{}.npz", std::process::id()));
        write(&path, &[("x", &x)]).unwrap();
        assert_eq!(read(&path, 160), Ok(vec![("x".to_owned(), x)]));
        let error = read(&path, 159).unwrap_err();
        assert_eq!((error.kind, &error.path), (FileErrorKind::TooLarge, &path));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn damage_is_noticed() {
        let [x, y] = sample();
        let stored = write_bytes(&[("x", &x), ("y", &y)]).unwrap();
        let packed = deflated(&[("x.npy", &npy::write_bytes(&x)), ("y.npy", &npy::write_bytes(&y))]);
        for good in [stored, packed] {
            let tensors = read_bytes(&good, NO_LIMIT).unwrap();
            assert_eq!(tensors[0].1, x);
            for len in 0..good.len() {
                assert_eq!(refused(&good[..len]), FileErrorKind::Format, "{len}");
            }
            assert_eq!(refused(&[&good[..], b"\0"].concat()), FileErrorKind::Format);
            assert_eq!(refused(&[b"\0", &good[..]].concat()), FileErrorKind::Format);
            for at in 0..good.len() {
                for flip in [1, 0x80, 0xff] {
                    let mut bad = good.clone();
                    bad[at] ^= flip;
                    if let Ok(read) = read_bytes(&bad, 1 << 20) {
                        let same = read.iter().map(|(_, tensor)| tensor).eq([&x, &y]);
                        assert!(same, "byte {at} changed a tensor unnoticed");
                    }
                }
            }
        }
    }

    #[test]
    fn lies_are_refused() {
        let [x, _] = sample();
        let contents = npy::write_bytes(&x);
        assert_eq!(refused(&deflated(&[("x.npy", &contents), ("x.npy", &contents)])), FileErrorKind::Format);
        assert_eq!(refused(&deflated(&[("x.txt", b"hello")])), FileErrorKind::Unsupported);
        assert_eq!(refused(&deflated(&[("x.npy", b"hello, this is no array")])), FileErrorKind::Format);
        assert_eq!(refused(&contents), FileErrorKind::Format);
        // A size that deflate cannot reach is refused before it is allocated.
        let mut bomb = deflated(&[("x.npy", &contents)]);
        let directory = bomb.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
        bomb[directory + 24..][..4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
        assert_eq!(refused(&bomb), FileErrorKind::Format);
        // Two members of one place.
        let mut both = deflated(&[("x.npy", &contents), ("y.npy", &contents)]);
        let second = both.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
        both[second + 42..][..4].copy_from_slice(&0u32.to_le_bytes());
        assert_eq!(refused(&both), FileErrorKind::Format);
        let mut encrypted = deflated(&[("x.npy", &contents)]);
        encrypted[directory + 8] |= 1;
        assert_eq!(refused(&encrypted), FileErrorKind::Unsupported);
    }
}

//! The part of the zip format that array archives need: stored and deflated members, with 64-bit sizes.

use crate::file::{FileError, FileErrorKind};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom, Write};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// The longest central directory that is read.
const MAX_DIRECTORY: u64 = 64 << 20;

/// Deflate makes at most 1032 bytes of one, so a member that claims more lies.
const MAX_RATIO: u64 = 1032;

/// 1980-01-01, the earliest date a zip file can say: equal contents give equal bytes.
const DATE: u16 = 0x21;

/// One file of an archive.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name.
    pub name: String,
    /// Its length when unpacked.
    pub len: u64,
    deflated: bool,
    packed_len: u64,
    crc: u32,
    header_at: u64,
    directory_at: u64,
}

/// Bytes read as little-endian fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], FileError> {
        let (taken, rest) =
            self.0.split_at_checked(len).ok_or_else(|| FileError::format("a zip header is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, FileError> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().expect("two bytes were taken")))
    }

    fn u32(&mut self) -> Result<u32, FileError> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().expect("four bytes were taken")))
    }

    fn u64(&mut self) -> Result<u64, FileError> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }
}

fn read_at<R: Read + Seek>(reader: &mut R, at: u64, len: u64) -> Result<Vec<u8>, FileError> {
    reader.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; len as usize];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Lists the members of an archive of `len` bytes, and checks that they lie apart and have names of their own.
pub(crate) fn members<R: Read + Seek>(reader: &mut R, len: u64) -> Result<Vec<Member>, FileError> {
    let (directory_at, directory_len, count) = directory(reader, len)?;
    if directory_len > MAX_DIRECTORY {
        return Err(FileError::new(FileErrorKind::TooLarge, "the archive's directory is larger than 64 MiB"));
    }
    let bytes = read_at(reader, directory_at, directory_len)?;
    let mut fields = Fields(&bytes);
    let mut members = Vec::new();
    while !fields.0.is_empty() {
        members.push(member(&mut fields, directory_at)?);
    }
    if members.len() as u64 != count {
        return Err(FileError::format(format!(
            "the archive says it has {count} members, its directory lists {}",
            members.len()
        )));
    }
    let mut names = HashSet::new();
    if let Some(twice) = members.iter().find(|member| !names.insert(member.name.as_str())) {
        return Err(FileError::format("occurs twice in the archive").within(&twice.name));
    }
    let mut order: Vec<&Member> = members.iter().collect();
    order.sort_by_key(|member| member.header_at);
    // A local header takes at least 30 bytes; `open` checks the rest of it against the member's end.
    let end = |member: &Member| member.header_at.checked_add(30)?.checked_add(member.packed_len);
    let ends = order.iter().skip(1).map(|next| next.header_at).chain([directory_at]);
    for (member, limit) in order.iter().zip(ends) {
        if end(member).is_none_or(|end| end > limit) {
            return Err(FileError::format("overlaps what follows it in the archive").within(&member.name));
        }
    }
    Ok(members)
}

/// Finds the central directory: its position, its length, how many members it lists.
fn directory<R: Read + Seek>(reader: &mut R, len: u64) -> Result<(u64, u64, u64), FileError> {
    let wrong = || FileError::format("this is not a zip archive, or its end is missing");
    let tail_len = len.min(22 + 65535);
    let tail = read_at(reader, len - tail_len, tail_len)?;
    // The end record is the last one whose comment reaches exactly to the end of the file.
    let at = (0..=tail.len().saturating_sub(22))
        .rev()
        .find(|&at| {
            tail.get(at..at + 22).is_some_and(|record| {
                let comment = u16::from_le_bytes([record[20], record[21]]);
                record[..4] == END.to_le_bytes() && at + 22 + usize::from(comment) == tail.len()
            })
        })
        .ok_or_else(wrong)?;
    let mut fields = Fields(&tail[at + 4..]);
    let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
    let (here, count) = (fields.u16()?, fields.u16()?);
    let (directory_len, directory_at) = (fields.u32()?, fields.u32()?);
    let end_at = len - tail_len + at as u64;
    let is_64 = count == u16::MAX || directory_len == u32::MAX || directory_at == u32::MAX;
    let (directory_at, directory_len, count, end_at) = if is_64 {
        let locator_at = end_at.checked_sub(20).ok_or_else(wrong)?;
        let locator = read_at(reader, locator_at, 20)?;
        let mut fields = Fields(&locator);
        if fields.u32()? != LOCATOR_64 {
            return Err(wrong());
        }
        fields.u32()?;
        let record_at = fields.u64()?;
        if record_at.checked_add(56).is_none_or(|end| end > locator_at) {
            return Err(wrong());
        }
        let record = read_at(reader, record_at, 56)?;
        let mut fields = Fields(&record);
        if fields.u32()? != END_64 {
            return Err(wrong());
        }
        fields.take(20)?;
        let (here, count) = (fields.u64()?, fields.u64()?);
        let (directory_len, directory_at) = (fields.u64()?, fields.u64()?);
        if here != count {
            return Err(wrong());
        }
        (directory_at, directory_len, count, record_at)
    } else {
        if disk != 0 || directory_disk != 0 || here != count {
            return Err(FileError::unsupported("archives in several parts are not read"));
        }
        (directory_at.into(), directory_len.into(), count.into(), end_at)
    };
    if directory_at.checked_add(directory_len) != Some(end_at) {
        return Err(FileError::format("the archive's directory is not where its end says"));
    }
    Ok((directory_at, directory_len, count))
}

/// Reads one entry of the central directory.
fn member(fields: &mut Fields<'_>, directory_at: u64) -> Result<Member, FileError> {
    if fields.u32()? != CENTRAL {
        return Err(FileError::format("the archive's directory is malformed"));
    }
    fields.take(4)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(4)?;
    let crc = fields.u32()?;
    let (packed_len, len) = (fields.u32()?, fields.u32()?);
    let (name_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    fields.take(6)?;
    let header_at = fields.u32()?;
    let name = std::str::from_utf8(fields.take(name_len.into())?)
        .map_err(|_| FileError::format("a member's name is not UTF-8"))?
        .to_owned();
    let extra = fields.take(extra_len.into())?;
    fields.take(comment_len.into())?;
    let mut member = Member {
        len: len.into(),
        deflated: method == 8,
        packed_len: packed_len.into(),
        crc,
        header_at: header_at.into(),
        directory_at,
        name,
    };
    widen(&mut member, extra).map_err(|error| error.within(&member.name))?;
    let refuse = |message: &str| Err(FileError::unsupported(message).within(&member.name));
    if flags & 0x2041 != 0 {
        return refuse("is encrypted");
    }
    if method != 0 && method != 8 {
        return refuse("is packed by a method other than deflate");
    }
    if disk != 0 && disk != u16::MAX {
        return refuse("lies in another part of the archive");
    }
    let possible = if member.deflated {
        member.len <= member.packed_len.saturating_mul(MAX_RATIO)
    } else {
        member.len == member.packed_len
    };
    if !possible {
        return Err(FileError::format("claims a size it cannot have").within(&member.name));
    }
    Ok(member)
}

/// Replaces the fields that say "see the 64-bit extra field" by what it holds.
fn widen(member: &mut Member, extra: &[u8]) -> Result<(), FileError> {
    let mut extra = Fields(extra);
    let wide = [&mut member.len, &mut member.packed_len, &mut member.header_at];
    let mut missing: Vec<&mut u64> =
        wide.into_iter().filter(|field| **field == u64::from(u32::MAX)).collect();
    while extra.0.len() >= 4 && !missing.is_empty() {
        let (id, len) = (extra.u16()?, extra.u16()?);
        let mut body = Fields(extra.take(len.into())?);
        if id == 1 {
            for field in missing.drain(..) {
                *field = body.u64()?;
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(FileError::format("lacks its 64-bit sizes")) }
}

/// Unpacks one member by `read`, which must read all of it, and checks lengths and checksum.
pub(crate) fn open<R: Read + Seek, T>(
    reader: &mut R,
    member: &Member,
    read: impl FnOnce(&mut dyn Read) -> Result<T, FileError>,
) -> Result<T, FileError> {
    let header = read_at(reader, member.header_at, 30)?;
    let mut fields = Fields(&header);
    if fields.u32()? != LOCAL {
        return Err(FileError::format("has no header where the directory says"));
    }
    fields.take(2)?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    fields.take(16)?;
    let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
    if flags & 0x2041 != 0 || (method == 8) != member.deflated {
        return Err(FileError::format("its header contradicts the directory"));
    }
    let name = read_at(reader, member.header_at + 30, name_len.into())?;
    if name != member.name.as_bytes() {
        return Err(FileError::format("its header has another name than the directory"));
    }
    let start = member.header_at + 30 + u64::from(name_len) + u64::from(extra_len);
    if start.checked_add(member.packed_len).is_none_or(|end| end > member.directory_at) {
        return Err(FileError::format("reaches into the archive's directory"));
    }
    reader.seek(SeekFrom::Start(start))?;
    let packed = reader.take(member.packed_len);
    if !member.deflated {
        let mut counted = Counted::new(packed);
        let value = read(&mut counted)?;
        counted.check(member)?;
        return Ok(value);
    }
    let mut counted = Counted::new(DeflateDecoder::new(packed));
    let value = read(&mut counted).map_err(|error| match error.kind {
        FileErrorKind::Io => FileError::format(format!("cannot be unpacked: {}", error.message)),
        _ => error,
    })?;
    counted.check(member)?;
    if counted.inner.total_in() != member.packed_len {
        return Err(FileError::format("has bytes after its packed contents"));
    }
    Ok(value)
}

/// A reader that keeps length and checksum of what was read.
struct Counted<R> {
    inner: R,
    crc: Crc,
    len: u64,
}

impl<R: Read> Counted<R> {
    fn new(inner: R) -> Counted<R> {
        Counted { inner, crc: Crc::new(), len: 0 }
    }

    /// Checks that the member ends here and is intact.
    fn check(&mut self, member: &Member) -> Result<(), FileError> {
        let more = self.inner.read(&mut [0]).map_err(|_| FileError::format("cannot be unpacked"))?;
        if self.len != member.len || more != 0 {
            return Err(FileError::format("has another length than the directory says"));
        }
        if self.crc.sum() != member.crc {
            return Err(FileError::format("its checksum is wrong"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let len = self.inner.read(bytes)?;
        self.crc.update(&bytes[..len]);
        self.len += len as u64;
        Ok(len)
    }
}

/// Writes an archive of stored members, each given as parts to be joined.
pub(crate) fn write<'a>(
    writer: &mut dyn Write,
    members: impl Iterator<Item = (String, Vec<std::borrow::Cow<'a, [u8]>>)>,
) -> Result<(), FileError> {
    let (mut at, mut count, mut directory) = (0u64, 0u64, Vec::new());
    for (name, parts) in members {
        let mut crc = Crc::new();
        parts.iter().for_each(|part| crc.update(part));
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let name_len = u16::try_from(name.len())
            .map_err(|_| FileError::unsupported("has a name longer than 64 KiB").within(&name))?;
        let wide = len >= u32::MAX.into() || at >= u32::MAX.into();
        let narrow = |value: u64| if wide { u32::MAX } else { value as u32 };
        // Version, flags (the name is UTF-8), method (stored), time, date, checksum, lengths.
        let mut common = Vec::new();
        common.extend(if wide { 45u16 } else { 20 }.to_le_bytes());
        common.extend(0x800u16.to_le_bytes());
        common.extend([0; 4]);
        common.extend(DATE.to_le_bytes());
        common.extend(crc.sum().to_le_bytes());
        common.extend(narrow(len).to_le_bytes());
        common.extend(narrow(len).to_le_bytes());
        common.extend(name_len.to_le_bytes());
        let extra = |fields: &[u64]| {
            let mut extra = Vec::new();
            if wide {
                extra.extend(1u16.to_le_bytes());
                extra.extend((fields.len() as u16 * 8).to_le_bytes());
                fields.iter().for_each(|field| extra.extend(field.to_le_bytes()));
            }
            extra
        };
        let local_extra = extra(&[len, len]);
        let mut local = LOCAL.to_le_bytes().to_vec();
        local.extend(&common);
        local.extend((local_extra.len() as u16).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend(&local_extra);
        writer.write_all(&local)?;
        for part in &parts {
            writer.write_all(part)?;
        }
        let central_extra = extra(&[len, len, at]);
        directory.extend(CENTRAL.to_le_bytes());
        directory.extend(if wide { 45u16 } else { 20 }.to_le_bytes());
        directory.extend(&common);
        directory.extend((central_extra.len() as u16).to_le_bytes());
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(narrow(at).to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(&central_extra);
        at += local.len() as u64 + len;
        count += 1;
    }
    writer.write_all(&directory)?;
    let len = directory.len() as u64;
    let wide = count >= u16::MAX.into() || at >= u32::MAX.into() || len >= u32::MAX.into();
    let mut end = Vec::new();
    if wide {
        end.extend(END_64.to_le_bytes());
        end.extend(44u64.to_le_bytes());
        end.extend([45, 0, 45, 0]);
        end.extend([0; 8]);
        for field in [count, count, len, at] {
            end.extend(field.to_le_bytes());
        }
        end.extend(LOCATOR_64.to_le_bytes());
        end.extend([0; 4]);
        end.extend((at + len).to_le_bytes());
        end.extend(1u32.to_le_bytes());
    }
    let count = if wide { u16::MAX } else { count as u16 };
    end.extend(END.to_le_bytes());
    end.extend([0; 4]);
    end.extend(count.to_le_bytes());
    end.extend(count.to_le_bytes());
    end.extend(if wide { u32::MAX } else { len as u32 }.to_le_bytes());
    end.extend(if wide { u32::MAX } else { at as u32 }.to_le_bytes());
    end.extend([0; 2]);
    Ok(writer.write_all(&end)?)
}

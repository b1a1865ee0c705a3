//! Files of keys and ciphertexts.
//!
//! All numbers are little-endian. A file starts with the eight bytes `eincckks`, the version (u32), the kind (u32: 1
//! secret key, 2 evaluation keys, 3 ciphertexts), flags (u64: 1 is an insecure toy), the hash of the parameter set (u64),
//! the owner (u64), the length of what follows without the checksum (u64); it ends with the CRC-64/XZ of all before
//! (u64). Coefficients take as many whole bytes as their prime has. What comes from a public seed is not written.

use super::checksum::Checksum;
use super::cipher::Ciphertext;
use super::context::Context;
use super::error::{CkksError, Code};
use super::keys::{EvaluationKeys, SecretKey, SwitchKey};
use super::modulus::Modulus;
use crate::file::{self, FileErrorKind, Staged};
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"eincckks";
const VERSION: u32 = 1;
const HEADER: u64 = 48;
const TOY: u64 = 1;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret = 1,
    Evaluation = 2,
    Ciphertexts = 3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Secret => "a secret key",
            Kind::Evaluation => "evaluation keys",
            Kind::Ciphertexts => "ciphertexts",
        }
    }
}

/// What goes into a file, summed up on the way.
struct Writer<'a> {
    out: &'a mut dyn Write,
    sum: Checksum,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), CkksError> {
        self.sum.update(bytes);
        self.out.write_all(bytes).map_err(|error| CkksError::new(Code::Io, error.to_string()))
    }

    fn word(&mut self, word: u64) -> Result<(), CkksError> {
        self.bytes(&word.to_le_bytes())
    }

    fn half(&mut self, word: u32) -> Result<(), CkksError> {
        self.bytes(&word.to_le_bytes())
    }

    fn row(&mut self, row: &[u64], modulus: &Modulus) -> Result<(), CkksError> {
        let width = width(modulus);
        let mut packed = Zeroizing::new(Vec::with_capacity(row.len() * width));
        row.iter().for_each(|x| packed.extend(&x.to_le_bytes()[..width]));
        self.bytes(&packed)
    }
}

/// Bytes of a coefficient.
fn width(modulus: &Modulus) -> usize {
    modulus.bits.div_ceil(8) as usize
}

/// What comes out of a file, of which no more is read than there is.
struct Reader<'a> {
    input: &'a mut dyn Read,
    sum: Checksum,
    /// Bytes before the checksum that have not been read.
    left: u64,
}

impl Reader<'_> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CkksError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(short)?;
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => short(),
            _ => CkksError::new(Code::Io, error.to_string()),
        })?;
        self.sum.update(bytes);
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CkksError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u64, CkksError> {
        self.array().map(u64::from_le_bytes)
    }

    fn half(&mut self) -> Result<u32, CkksError> {
        self.array().map(u32::from_le_bytes)
    }

    fn row(&mut self, row: &mut [u64], modulus: &Modulus) -> Result<(), CkksError> {
        let width = width(modulus);
        let mut packed = vec![0; row.len() * width];
        self.fill(&mut packed)?;
        for (x, bytes) in row.iter_mut().zip(packed.chunks_exact(width)) {
            let mut word = [0; 8];
            word[..width].copy_from_slice(bytes);
            *x = u64::from_le_bytes(word);
            if *x >= modulus.q {
                return Err(CkksError::new(Code::Format, "a coefficient is not below its prime"));
            }
        }
        Ok(())
    }

    /// Refuses a file that does not have exactly so many bytes left, before memory is asked for.
    fn expect(&self, bytes: u64) -> Result<(), CkksError> {
        match self.left {
            left if left == bytes => Ok(()),
            left if left < bytes => Err(short()),
            _ => Err(CkksError::new(Code::Format, "the file is longer than it says")),
        }
    }
}

fn short() -> CkksError {
    CkksError::new(Code::Format, "the file ends too early")
}

fn write(
    out: &mut dyn Write,
    context: &Context,
    kind: Kind,
    owner: u64,
    length: u64,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), CkksError>,
) -> Result<(), CkksError> {
    let mut writer = Writer { out, sum: Checksum::new() };
    writer.bytes(MAGIC)?;
    writer.half(VERSION)?;
    writer.half(kind as u32)?;
    writer.word(if context.parameters().insecure_toy { TOY } else { 0 })?;
    writer.word(context.hash())?;
    writer.word(owner)?;
    writer.word(length)?;
    body(&mut writer)?;
    let sum = writer.sum.value();
    writer.word(sum)
}

/// Reads a file of that length: the header, then what `body` reads, then the checksum.
fn read<T>(
    input: &mut dyn Read,
    length: u64,
    context: &Context,
    kind: Kind,
    body: impl FnOnce(&mut Reader<'_>, u64) -> Result<T, CkksError>,
) -> Result<T, CkksError> {
    let mut reader = Reader { input, sum: Checksum::new(), left: length };
    if reader.array::<8>()? != *MAGIC {
        return Err(CkksError::new(Code::Format, "not a file of keys or ciphertexts"));
    }
    let version = reader.half()?;
    if version != VERSION {
        return Err(CkksError::new(Code::Version, format!("a file of version {version}, not {VERSION}")));
    }
    let found = reader.half()?;
    if found != kind as u32 {
        let kinds = [Kind::Secret, Kind::Evaluation, Kind::Ciphertexts];
        let is =
            kinds.iter().find(|&&kind| kind as u32 == found).map_or("something else", |kind| kind.name());
        return Err(CkksError::new(Code::Format, format!("the file holds {is}, not {}", kind.name())));
    }
    let (toy, hash, owner) = (reader.word()?, reader.word()?, reader.word()?);
    if hash != context.hash() || (toy == TOY) != context.parameters().insecure_toy {
        return Err(CkksError::new(Code::WrongParameters, "the file is of another parameter set"));
    }
    let told = reader.word()?;
    if told.checked_add(HEADER + 8) != Some(length) {
        return Err(CkksError::new(Code::Format, format!("the file has {length} bytes, not those it says")));
    }
    reader.left = told;
    let value = body(&mut reader, owner)?;
    reader.expect(0)?;
    let sum = reader.sum.value();
    reader.left = 8;
    if reader.word()? != sum {
        return Err(CkksError::new(Code::Checksum, "the checksum does not fit: the file was damaged"));
    }
    Ok(value)
}

/// Writes a file through a temporary name; a secret one is readable by its owner alone.
fn save(
    path: &Path,
    secret: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CkksError>,
) -> Result<(), CkksError> {
    let mut failure = None;
    let staged = file::stage_with(path, secret, |out| {
        write(out).map_err(|error| {
            let told = file::FileError::new(FileErrorKind::Io, error.message.clone());
            failure = Some(error);
            told
        })
    });
    match (failure, staged.and_then(Staged::commit)) {
        (Some(error), _) => Err(error.within(&path.display().to_string())),
        (None, Err(error)) => Err(CkksError::new(Code::Io, error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

fn load<T>(
    path: &Path,
    read: impl FnOnce(&mut dyn Read, u64) -> Result<T, CkksError>,
) -> Result<T, CkksError> {
    let (file, length) =
        file::open(path).map_err(|error| CkksError::new(Code::Io, error.at(path).to_string()))?;
    read(&mut BufReader::with_capacity(1 << 16, file), length)
        .map_err(|error| error.within(&path.display().to_string()))
}

impl SecretKey {
    /// Writes the key to a file that only its owner may read.
    pub fn save(&self, context: &Context, path: &Path) -> Result<(), CkksError> {
        save(path, true, |out| self.write(context, out))
    }

    /// Reads a key.
    pub fn load(context: &Context, path: &Path) -> Result<SecretKey, CkksError> {
        load(path, |input, length| SecretKey::read(context, input, length))
    }

    pub(crate) fn write(&self, context: &Context, out: &mut dyn Write) -> Result<(), CkksError> {
        write(out, context, Kind::Secret, self.owner, context.ring as u64, |writer| {
            let bytes: Zeroizing<Vec<u8>> =
                Zeroizing::new(self.ternary.iter().map(|&x| (x + 1) as u8).collect());
            writer.bytes(&bytes)
        })
    }

    pub(crate) fn read(context: &Context, input: &mut dyn Read, length: u64) -> Result<SecretKey, CkksError> {
        read(input, length, context, Kind::Secret, |reader, owner| {
            reader.expect(context.ring as u64)?;
            let mut bytes = Zeroizing::new(vec![0; context.ring]);
            reader.fill(&mut bytes)?;
            if bytes.iter().any(|&byte| byte > 2) {
                return Err(CkksError::new(Code::Format, "a coefficient of the secret is not -1, 0 or 1"));
            }
            let ternary = Zeroizing::new(bytes.iter().map(|&byte| byte as i8 - 1).collect());
            Ok(SecretKey::from_ternary(context, owner, ternary))
        })
    }
}

/// The kinds of evaluation keys in files.
const RELINEARIZE: u32 = 0;
const CONJUGATE: u32 = 1;
const ROTATE: u32 = 2;

impl EvaluationKeys {
    /// Writes the keys to a file.
    pub fn save(&self, context: &Context, path: &Path) -> Result<(), CkksError> {
        save(path, false, |out| self.write(context, out))
    }

    /// Reads keys.
    pub fn load(context: &Context, path: &Path) -> Result<EvaluationKeys, CkksError> {
        load(path, |input, length| EvaluationKeys::read(context, input, length))
    }

    pub(crate) fn write(&self, context: &Context, out: &mut dyn Write) -> Result<(), CkksError> {
        let single = |kind: u32, key: &'_ Option<SwitchKey>| key.as_ref().map(|key| (kind, 0, key.level));
        let table: Vec<(u32, u32, u32)> = single(RELINEARIZE, &self.relinearize)
            .into_iter()
            .chain(single(CONJUGATE, &self.conjugate))
            .chain(self.rotate.iter().map(|(&by, key)| (ROTATE, by, key.level)))
            .collect();
        let keys = self.relinearize.iter().chain(&self.conjugate).chain(self.rotate.values());
        let bytes: u64 = table.iter().map(|&(_, _, level)| 44 + key_bytes(context, level)).sum();
        write(out, context, Kind::Evaluation, self.owner, 4 + bytes, |writer| {
            writer.half(table.len() as u32)?;
            for ((kind, by, level), key) in table.iter().zip(keys.clone()) {
                writer.half(*kind)?;
                writer.half(*by)?;
                writer.half(*level)?;
                writer.bytes(&key.seed)?;
            }
            for key in keys {
                for (number, row) in key.rows.chunks_exact(context.ring).enumerate() {
                    if let Some(modulus) = masked_row(context, key.level, number) {
                        writer.row(row, modulus)?;
                    }
                }
            }
            Ok(())
        })
    }

    pub(crate) fn read(
        context: &Context,
        input: &mut dyn Read,
        length: u64,
    ) -> Result<EvaluationKeys, CkksError> {
        read(input, length, context, Kind::Evaluation, |reader, owner| {
            let count = reader.half()?;
            if u64::from(count) > reader.left / 44 {
                return Err(short());
            }
            let mut table = Vec::with_capacity(count as usize);
            let mut bytes = 0u64;
            for _ in 0..count {
                let (kind, by, level) = (reader.half()?, reader.half()?, reader.half()?);
                let seed: [u8; 32] = reader.array()?;
                let known = match kind {
                    RELINEARIZE | CONJUGATE => by == 0,
                    ROTATE => (1..context.slots() as u32).contains(&by),
                    _ => false,
                };
                if !known || level > context.parameters().levels() {
                    return Err(CkksError::new(Code::Format, "there is no such key"));
                }
                bytes = bytes.saturating_add(key_bytes(context, level));
                table.push((kind, by, level, seed));
            }
            reader.expect(bytes)?;
            let mut keys = EvaluationKeys {
                owner,
                parameters: context.hash(),
                relinearize: None,
                conjugate: None,
                rotate: BTreeMap::new(),
            };
            for (kind, by, level, seed) in table {
                let mut rows = SwitchKey::expand(context, level, seed);
                for (number, row) in rows.chunks_exact_mut(context.ring).enumerate() {
                    if let Some(modulus) = masked_row(context, level, number) {
                        reader.row(row, modulus)?;
                    }
                }
                let key = SwitchKey { level, seed, rows };
                let before = match kind {
                    RELINEARIZE => keys.relinearize.replace(key),
                    CONJUGATE => keys.conjugate.replace(key),
                    _ => keys.rotate.insert(by, key),
                };
                if before.is_some() {
                    return Err(CkksError::new(Code::Format, "a key comes twice"));
                }
            }
            Ok(keys)
        })
    }
}

/// The modulus of a row of a key that is written; `None` for one that comes from the seed.
fn masked_row(context: &Context, level: u32, number: usize) -> Option<&Modulus> {
    let rows_each = SwitchKey::rows_each(context, level);
    let masked = (number / rows_each).is_multiple_of(2);
    masked.then(|| &context.tables[context.prime_of(number % rows_each, level)].modulus)
}

/// Bytes of a key in a file, without its line of the table.
fn key_bytes(context: &Context, level: u32) -> u64 {
    let rows_each = SwitchKey::rows_each(context, level);
    let row: u64 = (0..rows_each).map(|row| row_bytes(context, context.prime_of(row, level))).sum();
    row * context.digits_of(level) as u64
}

fn row_bytes(context: &Context, prime: usize) -> u64 {
    (width(&context.tables[prime].modulus) * context.ring) as u64
}

/// Ciphertexts by name, as a file holds them.
pub type Bundle = BTreeMap<String, Vec<Ciphertext>>;

/// Flags of a ciphertext in a file.
const PRODUCT: u32 = 1;
const SEEDED: u32 = 2;

impl Context {
    /// Writes ciphertexts of one owner to a file.
    pub fn save(&self, bundle: &Bundle, path: &Path) -> Result<(), CkksError> {
        save(path, false, |out| self.write(bundle, out))
    }

    /// Reads ciphertexts.
    pub fn load(&self, path: &Path) -> Result<Bundle, CkksError> {
        load(path, |input, length| self.read(input, length))
    }

    pub(crate) fn write(&self, bundle: &Bundle, out: &mut dyn Write) -> Result<(), CkksError> {
        let all = || bundle.values().flatten();
        let owner = all().next().map_or(0, |value| value.owner);
        if let Some(other) = all().find(|value| value.owner != owner || value.parameters != self.hash()) {
            let (code, what) = match other.owner == owner {
                true => (Code::WrongParameters, "parameter sets"),
                false => (Code::WrongKey, "owners"),
            };
            return Err(CkksError::new(code, format!("ciphertexts of two {what} for one file")));
        }
        let names: u64 = bundle.keys().map(|name| name.len() as u64 + 8).sum();
        let values: u64 = all()
            .map(|value| {
                let seed = if value.seed.is_some() { 32 } else { 0 };
                12 + seed + self.value_bytes(value.level, value.parts, value.seed.is_some())
            })
            .sum();
        write(out, self, Kind::Ciphertexts, owner, 4 + names + values, |writer| {
            writer.half(bundle.len() as u32)?;
            for (name, values) in bundle {
                writer.half(name.len() as u32)?;
                writer.bytes(name.as_bytes())?;
                writer.half(values.len() as u32)?;
            }
            for value in all() {
                let product = if value.product { PRODUCT } else { 0 };
                let seeded = if value.seed.is_some() { SEEDED } else { 0 };
                writer.half(value.level)?;
                writer.half(value.parts)?;
                writer.half(product | seeded)?;
                value.seed.iter().try_for_each(|seed| writer.bytes(seed))?;
                let written = if value.seed.is_some() { 1 } else { value.parts as usize };
                let rows = value.level as usize + 1;
                for (number, row) in value.data.chunks_exact(self.ring).take(written * rows).enumerate() {
                    writer.row(row, &self.tables[number % rows].modulus)?;
                }
            }
            Ok(())
        })
    }

    pub(crate) fn read(&self, input: &mut dyn Read, length: u64) -> Result<Bundle, CkksError> {
        read(input, length, self, Kind::Ciphertexts, |reader, owner| {
            let wrong = |message: &str| CkksError::new(Code::Format, message);
            let mut names = Vec::new();
            for _ in 0..reader.half()? {
                let length = u64::from(reader.half()?);
                if length > reader.left {
                    return Err(short());
                }
                let mut name = vec![0; length as usize];
                reader.fill(&mut name)?;
                let name = String::from_utf8(name).map_err(|_| wrong("a name is not UTF-8"))?;
                names.push((name, reader.half()?));
            }
            let mut bundle = Bundle::new();
            for (name, count) in names {
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.read_value(reader, owner)?);
                }
                if bundle.insert(name, values).is_some() {
                    return Err(wrong("a name comes twice"));
                }
            }
            Ok(bundle)
        })
    }

    fn read_value(&self, reader: &mut Reader<'_>, owner: u64) -> Result<Ciphertext, CkksError> {
        let (level, parts, flags) = (reader.half()?, reader.half()?, reader.half()?);
        let (product, seeded) = (flags & PRODUCT != 0, flags & SEEDED != 0);
        let top = self.parameters().levels();
        let known = level <= top && (2..=3).contains(&parts) && flags & !(PRODUCT | SEEDED) == 0;
        if !known || seeded && (level != top || parts != 2 || product) {
            return Err(CkksError::new(Code::Format, "there is no such ciphertext"));
        }
        let seed = if seeded { Some(reader.array()?) } else { None };
        if reader.left < self.value_bytes(level, parts, seeded) {
            return Err(short());
        }
        let rows = level as usize + 1;
        let mut data = match seed {
            Some(seed) => Ciphertext::expand(self, seed),
            None => vec![0; parts as usize * rows * self.ring],
        };
        let read = if seeded { 1 } else { parts as usize };
        for (number, row) in data.chunks_exact_mut(self.ring).take(read * rows).enumerate() {
            reader.row(row, &self.tables[number % rows].modulus)?;
        }
        Ok(Ciphertext { owner, parameters: self.hash(), level, product, parts, data, seed })
    }

    /// Bytes of the coefficients of a ciphertext in a file.
    fn value_bytes(&self, level: u32, parts: u32, seeded: bool) -> u64 {
        let part: u64 = (0..=level as usize).map(|prime| row_bytes(self, prime)).sum();
        part * if seeded { 1 } else { u64::from(parts) }
    }
}

#[cfg(test)]
mod tests;

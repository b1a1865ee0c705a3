//! What the readers and writers of array files share: errors, checked reading, writing that leaves no half a file.

use crate::{DType, Tensor};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a file could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileErrorKind {
    /// There is no such file or folder.
    NotFound,
    /// The system refused: permissions, a full disk, a broken device.
    Io,
    /// The bytes are not what the format says.
    Format,
    /// The contents exceed a limit or the memory at hand.
    TooLarge,
    /// Well formed, but nothing a tensor can hold, or not written by this format.
    Unsupported,
}

/// A failure to read or write an array file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// What kind of failure it is.
    pub kind: FileErrorKind,
    /// The file; empty where the bytes came from memory.
    pub path: PathBuf,
    /// What is wrong, in one line, without the path.
    pub message: String,
}

impl FileError {
    pub(crate) fn new(kind: FileErrorKind, message: impl Into<String>) -> FileError {
        FileError { kind, path: PathBuf::new(), message: message.into() }
    }

    pub(crate) fn format(message: impl Into<String>) -> FileError {
        FileError::new(FileErrorKind::Format, message)
    }

    pub(crate) fn unsupported(message: impl Into<String>) -> FileError {
        FileError::new(FileErrorKind::Unsupported, message)
    }

    /// Names the file, unless it is named already.
    pub(crate) fn at(mut self, path: &Path) -> FileError {
        if self.path.as_os_str().is_empty() {
            self.path = path.to_owned();
        }
        self
    }

    /// Says which member of an archive it is about.
    pub(crate) fn within(mut self, member: &str) -> FileError {
        self.message = format!("`{}`: {}", shortened(member), self.message);
        self
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => FileErrorKind::NotFound,
            io::ErrorKind::UnexpectedEof => FileErrorKind::Format,
            _ => FileErrorKind::Io,
        };
        let message = match kind {
            FileErrorKind::NotFound => "no such file or folder".to_owned(),
            FileErrorKind::Format => "the file ends too early".to_owned(),
            _ => error.to_string(),
        };
        FileError::new(kind, message)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.as_os_str().is_empty() {
            write!(f, "{}: ", self.path.display())?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {}

/// A piece of text from a file as a message may show it: printable and short.
pub(crate) fn shortened(text: &str) -> String {
    let mut shown: String = text.escape_debug().take(60).collect();
    if shown.len() < text.len() && text.chars().count() > 60 {
        shown.push_str("...");
    }
    shown
}

/// Opens a regular file and gives its length; anything else (a folder, a pipe) could block or never end.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FileError> {
    if !fs::metadata(path)?.is_file() {
        return Err(FileError::new(FileErrorKind::Io, "not a regular file"));
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(FileError::new(FileErrorKind::Io, "not a regular file"));
    }
    Ok((file, meta.len()))
}

/// A new tensor whose memory is the next bytes of `reader`, which the caller has checked to hold that many.
pub(crate) fn read_elements(
    dtype: DType,
    shape: &[u64],
    reader: &mut impl Read,
) -> Result<Tensor, FileError> {
    let mut tensor = Tensor::zeros(dtype, shape)
        .ok_or_else(|| FileError::new(FileErrorKind::TooLarge, "there is not enough memory for it"))?;
    reader.read_exact(tensor.bytes_mut())?;
    Ok(tensor)
}

/// Makes every byte of a `bool` tensor 0 or 1, as every other value means true.
pub(crate) fn normalize_bools(tensor: &mut Tensor) {
    if tensor.dtype() == DType::Bool {
        tensor.bytes_mut().iter_mut().for_each(|byte| *byte = (*byte != 0).into());
    }
}

/// Reverses the bytes of every number (of each part of a complex one).
pub(crate) fn swap_endian(dtype: DType, bytes: &mut [u8]) {
    let width = dtype.real_part().bytes();
    if width > 1 {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// The bytes of a tensor with the least significant first, copied only on hosts that store them otherwise.
pub(crate) fn little_endian(tensor: &Tensor) -> std::borrow::Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return tensor.bytes().into();
    }
    let mut bytes = tensor.bytes().to_vec();
    swap_endian(tensor.dtype(), &mut bytes);
    bytes.into()
}

/// Refuses to write two tensors of one name.
pub(crate) fn check_names(tensors: &[(&str, &Tensor)]) -> Result<(), FileError> {
    let mut names = std::collections::HashSet::new();
    match tensors.iter().find(|(name, _)| !names.insert(*name)) {
        Some((twice, _)) => Err(FileError::unsupported("two tensors have this name").within(twice)),
        None => Ok(()),
    }
}

/// Writes a file through a temporary name in the same folder, so that the name holds either the old contents or all
/// of the new, and a failure leaves nothing behind. A device or pipe of that name is written to directly.
pub(crate) fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<(), FileError> {
    save_with(path, false, write)
}

/// As [`save`]; a private file is readable by its owner alone, where the system knows such a thing.
pub(crate) fn save_with(
    path: &Path,
    private: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let save = || {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(&target).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            let mut writer = BufWriter::new(OpenOptions::new().write(true).open(&target)?);
            write(&mut writer)?;
            return Ok(writer.flush()?);
        }
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = target.file_name().ok_or_else(|| FileError::new(FileErrorKind::Io, "not a file name"))?;
        let mut temporary_name = std::ffi::OsString::from(".");
        temporary_name.push(name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        temporary_name.push(format!(".{}-{count}.tmp", std::process::id()));
        let temporary = target.with_file_name(temporary_name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = private;
        let file = options.open(&temporary)?;
        let result = fill(file, write).and_then(|()| Ok(fs::rename(&temporary, &target)?));
        if result.is_err() {
            // The write has failed already; that the leftover cannot be removed either adds nothing.
            let _ = fs::remove_file(&temporary);
        }
        result
    };
    save().map_err(|error| error.at(path))
}

fn fill(file: File, write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>) -> Result<(), FileError> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("einc-file-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.bin");
        save(&path, |writer| Ok(writer.write_all(b"old")?)).unwrap();
        let error = save(&path, |writer| {
            writer.write_all(&[0; 1 << 20])?;
            Err(io::Error::from_raw_os_error(libc::ENOSPC).into())
        });
        let error = error.unwrap_err();
        assert_eq!((error.kind, error.path.as_path()), (FileErrorKind::Io, path.as_path()));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        save(&path, |writer| Ok(writer.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let missing = save(&folder.join("no/a.bin"), |_| Ok(())).unwrap_err();
        assert_eq!(missing.kind, FileErrorKind::NotFound);
        assert_eq!(open(&folder).unwrap_err().kind, FileErrorKind::Io);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_an_error() {
        let error = save(Path::new("/dev/full"), |writer| Ok(writer.write_all(b"x")?)).unwrap_err();
        assert_eq!(error.kind, FileErrorKind::Io);
    }

    #[test]
    fn names_in_messages_are_short_and_printable() {
        assert_eq!(shortened("a\n\u{7}"), "a\\n\\u{7}");
        assert!(shortened(&"x".repeat(100_000)).len() < 70);
    }
}

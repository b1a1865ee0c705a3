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

/// A file that is written beside its place and not there yet: [`commit`](Staged::commit) moves it, and dropping it
/// leaves nothing behind. Several of them make several files that come all or none.
#[derive(Debug)]
#[must_use = "the file comes to its place by `commit`"]
pub struct Staged {
    /// The path as it was given.
    path: PathBuf,
    /// Where the bytes are, and where they go; nothing for a device or pipe, which has them already.
    moves: Option<(PathBuf, PathBuf)>,
}

impl Staged {
    /// Moves the file to its place in one step.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn commit(mut self) -> Result<(), FileError> {
        if let Some((temporary, target)) = &self.moves {
            fs::rename(temporary, target).map_err(|error| FileError::from(error).at(&self.path))?;
            self.moves = None;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some((temporary, _)) = &self.moves {
            // Something has failed already; that the leftover cannot be removed either adds nothing.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Writes a file through a temporary name in the same folder, so that the name holds either the old contents or all
/// of the new, and a failure leaves nothing behind. A symbolic link is followed, and permissions are kept. A device or
/// pipe of that name is written to directly.
///
/// # Errors
/// Where the system refuses, or `write` does.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<(), FileError> {
    stage(path, write)?.commit()
}

/// The first half of [`save`]: everything but the move to the file's place.
///
/// # Errors
/// As [`save`].
pub fn stage(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<Staged, FileError> {
    stage_with(path, false, write)
}

/// As [`stage`]; a private file is readable by its owner alone, where the system knows such a thing.
pub(crate) fn stage_with(
    path: &Path,
    private: bool,
    write: impl FnOnce(&mut dyn Write) -> Result<(), FileError>,
) -> Result<Staged, FileError> {
    let stage = || {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let old = fs::metadata(&target).ok();
        if old.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(FileError::new(FileErrorKind::Io, "this is a folder"));
        }
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            let mut writer = BufWriter::new(OpenOptions::new().write(true).open(&target)?);
            write(&mut writer)?;
            writer.flush()?;
            return Ok(Staged { path: path.to_owned(), moves: None });
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
        let file = options.open(&temporary)?;
        let staged = Staged { path: path.to_owned(), moves: Some((temporary, target)) };
        if let Some(old) = old
            && !private
        {
            file.set_permissions(old.permissions())?;
        }
        fill(file, write)?;
        Ok(staged)
    };
    stage().map_err(|error: FileError| error.at(path))
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

    #[cfg(unix)]
    #[test]
    fn several_files_come_all_or_none_and_links_are_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = std::env::temp_dir().join(format!("einc-staged-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (real, link, other) = (folder.join("real"), folder.join("link"), folder.join("other"));
        let text = |text: &'static [u8]| move |writer: &mut dyn Write| Ok(writer.write_all(text)?);
        save(&real, text(b"old")).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        let staged = [stage(&link, text(b"new")).unwrap(), stage(&other, text(b"new")).unwrap()];
        assert_eq!(fs::read(&real).unwrap(), b"old");
        drop(staged);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        save(&link, text(b"new")).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(stage(&folder, text(b"new")).unwrap_err().message, "this is a folder");
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

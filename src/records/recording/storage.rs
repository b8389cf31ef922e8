//! Storage of an episode: an append-only file with another name until it is complete.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mcap::write::NoSeek;
use mcap::{Compression, WriteOptions, Writer};

use super::error::io_error;
use super::{RecordingError, WriterOptions};

/// The MCAP writer as used here: it never seeks, so flushed chunks never change.
pub(super) type Output = Writer<NoSeek<BufWriter<File>>>;

/// Suffix of a recording that is not complete yet.
pub(super) const PARTIAL: &str = ".mcap.partial";
/// Suffix of a complete recording.
pub(super) const WHOLE: &str = ".mcap";

/// Creates and locks `NAME.mcap.partial` in `folder`; returns its path and the final one.
pub(super) fn create(
    folder: &Path,
    name: &str,
    options: &WriterOptions,
) -> Result<(File, PathBuf, PathBuf), RecordingError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) || name.len() > 200 {
        return Err(RecordingError::Unfit {
            what: "name of an episode",
            found: format!("{name:?}"),
            expected: "1 to 200 bytes without `/`, not starting with `.`",
        });
    }
    require_room(folder, options.min_free_bytes)?;
    let whole = folder.join(format!("{name}{WHOLE}"));
    if whole.exists() {
        return Err(RecordingError::AlreadyThere { path: whole, fix: "choose another name or move it away" });
    }
    let partial = folder.join(format!("{name}{PARTIAL}"));
    let file = File::options().write(true).create_new(true).open(&partial).map_err(|source| {
        if source.kind() == io::ErrorKind::AlreadyExists {
            RecordingError::AlreadyThere {
                path: partial.clone(),
                fix: "it was cut off: recover it or move it away, or choose another name",
            }
        } else {
            unwritable(folder, &source)
        }
    })?;
    lock(&file, &partial)?;
    if let Err(source) = reserve(&file, options.reserve_bytes) {
        // Nothing was written: the file is not needed.
        let _ = std::fs::remove_file(&partial);
        let free = free_bytes(folder).unwrap_or(0);
        return Err(match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => RecordingError::Full {
                path: folder.to_path_buf(),
                free_mib: free >> 20,
                needed_mib: options.reserve_bytes.div_ceil(1 << 20),
            },
            _ => unwritable(folder, &source),
        });
    }
    Ok((file, partial, whole))
}

/// Reserves space on the disk without making the file longer; does nothing where the file system cannot.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let Ok(length) = libc::off_t::try_from(bytes) else { return Err(io::Error::from_raw_os_error(libc::ENOSPC)) };
    if length == 0 {
        return Ok(());
    }
    // SAFETY: the descriptor is open during the call; no memory is handed over.
    let answer = unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, 0, length) };
    if answer == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EOPNOTSUPP) { Ok(()) } else { Err(error) }
}

fn unwritable(folder: &Path, source: &io::Error) -> RecordingError {
    RecordingError::Folder {
        path: folder.to_path_buf(),
        found: format!("no file can be created in it ({source})"),
        fix: "give this user the right to write there, or record elsewhere with --out",
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) an error of that write. Otherwise its signal would end the
/// process, even while an arm moves.
pub fn survive_file_size_limit() {
    // SAFETY: a plain call with values; to ignore a signal needs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Refuses a folder that is missing, cannot be read, or has less free space on its disk than this \[bytes\].
pub fn require_room(folder: &Path, min_free_bytes: u64) -> Result<(), RecordingError> {
    let refuse = |found: String, fix| RecordingError::Folder { path: folder.to_path_buf(), found, fix };
    match std::fs::metadata(folder) {
        Err(source) => return Err(refuse(format!("{source}"), "create the folder first (mkdir -p)")),
        Ok(is) if !is.is_dir() => {
            return Err(refuse("it is a file, not a folder".into(), "name a folder"));
        }
        Ok(_) => {}
    }
    let free = free_bytes(folder).map_err(|source| refuse(format!("{source}"), "check the disk"))?;
    if free < min_free_bytes {
        return Err(RecordingError::Full {
            path: folder.to_path_buf(),
            free_mib: free >> 20,
            needed_mib: min_free_bytes.div_ceil(1 << 20),
        });
    }
    Ok(())
}

/// Free space for an ordinary user on the folder's disk \[bytes\].
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let mut file_system = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` is a NUL-terminated string and `file_system` is room for one `statvfs`, both alive during the call.
    let answer = unsafe { libc::statvfs(path.as_ptr(), file_system.as_mut_ptr()) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and filled it in; it was zeroed before, a valid value of a struct of integers.
    let file_system = unsafe { file_system.assume_init() };
    Ok(file_system.f_bavail.saturating_mul(file_system.f_frsize))
}

/// Marks the file as being written by this process; the mark ends with the process, however it ends.
pub(super) fn lock(file: &File, path: &Path) -> Result<(), RecordingError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RecordingError::Busy { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) if source.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => Err(RecordingError::unreadable(path, source)),
    }
}

/// The MCAP writer on a new file. Only `flush` closes a chunk.
pub(super) fn output(file: File) -> io::Result<Output> {
    WriteOptions::new()
        .profile("ros2")
        .library(concat!("visuomotor ", env!("CARGO_PKG_VERSION")))
        .compression(Some(Compression::Zstd))
        // 0 compresses on the calling thread; 1 would start a worker thread per episode.
        .compression_threads(0)
        .chunk_size(None)
        .disable_seeking(true)
        .create(NoSeek::new(BufWriter::with_capacity(1 << 16, file)))
        .map_err(io_error)
}

/// Writes the summary, syncs the file, renames it to its final name, and syncs the folder.
pub(super) fn finish(mut output: Output, partial: &Path, whole: &Path) -> io::Result<()> {
    output.finish().map_err(io_error)?;
    let mut buffered = output.into_inner().into_inner();
    buffered.flush()?;
    let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Reserved space that was not used is freed.
    file.set_len(file.metadata()?.len())?;
    file.sync_all()?;
    if whole.exists() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} appeared meanwhile", whole.display())));
    }
    std::fs::rename(partial, whole)?;
    match whole.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

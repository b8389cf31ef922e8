//! Copies of folders.

use std::io;
use std::path::Path;

use crate::staging::sync_folder;

/// How [`copy`] takes a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// By a hard link, or by its bytes where the file system has none.
    Link,
    /// By its bytes.
    Bytes,
}

/// Copies what a folder contains into `to`, which exists: files `by` link or bytes, folders with their content, symbolic links
/// as such. `skip` names entries of `from` itself that are not taken. Devices and pipes are errors.
pub(super) fn copy(from: &Path, to: &Path, by: By, skip: &dyn Fn(&str) -> bool) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if skip(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let (source, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&source, &target, by, &|_| false)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            if by == By::Bytes || std::fs::hard_link(&source, &target).is_err() {
                std::fs::copy(&source, &target)?;
                std::fs::File::open(&target)?.sync_all()?;
            }
        } else {
            let found = format!("{} is neither a file nor a folder", source.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, found));
        }
    }
    sync_folder(to)
}

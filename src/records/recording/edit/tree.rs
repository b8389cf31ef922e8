//! Copies of folders, and renaming that never writes over anything.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    super::draft::sync(to)
}

/// The folder that contains `path`.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Renames `from` to `to`, which must not exist.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename(from, to, libc::RENAME_NOREPLACE) {
        Err(error) if unsupported(&error) => {
            if to.symlink_metadata().is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(from, to)
        }
        other => other,
    }
}

/// Exchanges the names of two folders in one step.
pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    rename(a, b, libc::RENAME_EXCHANGE).map_err(|error| match unsupported(&error) {
        true => io::Error::new(
            io::ErrorKind::Unsupported,
            "this file system cannot exchange two folders in one step; use --out in place of --in-place",
        ),
        false => error,
    })
}

/// The file system or the kernel does not have this kind of renaming.
fn unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EXDEV | libc::EOPNOTSUPP))
}

fn rename(from: &Path, to: &Path, flags: libc::c_uint) -> io::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other);
    let (from, to) = (text(from)?, text(to)?);
    // SAFETY: both are NUL-terminated strings that are alive during the call.
    let code = unsafe {
        libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), flags)
    };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

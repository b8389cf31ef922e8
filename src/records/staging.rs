//! Output has another name until it is complete, and replaces nothing.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A folder or file `NAME.partial` that is renamed to `NAME` at the end, and removed if that end is not reached. A killed
/// process leaves it behind as `NAME.partial`.
#[derive(Debug)]
pub(crate) struct Staging {
    partial: PathBuf,
    whole: PathBuf,
    done: bool,
}

/// Why output cannot be staged; its users say it in their own words.
#[derive(Debug)]
pub(crate) enum StagingError {
    /// The path names no file or folder.
    NoName(PathBuf),
    /// The output exists.
    Exists(PathBuf),
    /// `NAME.partial` exists: another program is writing it, or one was killed.
    Busy(PathBuf),
    /// The operating system refused.
    System(PathBuf, io::Error),
}

impl Staging {
    /// Makes the folder `OUT.partial`; refuses an existing `OUT`.
    pub fn folder(out: &Path) -> Result<Self, StagingError> {
        Self::named(out)?.make(|partial| std::fs::create_dir(partial))
    }

    /// Reserves the file `OUT.partial`; refuses an existing `OUT`.
    #[cfg(feature = "exchange")]
    pub fn file(out: &Path) -> Result<Self, StagingError> {
        Self::named(out)?.make(|partial| File::create_new(partial).map(drop))
    }

    /// Makes the folder `WHOLE.partial`, also if `WHOLE` exists.
    pub fn beside(whole: &Path) -> Result<Self, StagingError> {
        Self::of(whole.to_path_buf()).make(|partial| std::fs::create_dir(partial))
    }

    fn of(whole: PathBuf) -> Self {
        Self { partial: with_ending(&whole, ".partial"), whole, done: true }
    }

    fn named(out: &Path) -> Result<Self, StagingError> {
        // Ends the path without a slash.
        let whole: PathBuf = out.components().collect();
        if whole.file_name().is_none() {
            return Err(StagingError::NoName(out.to_path_buf()));
        }
        if whole.symlink_metadata().is_ok() {
            return Err(StagingError::Exists(whole));
        }
        Ok(Self::of(whole))
    }

    fn make(mut self, create: impl FnOnce(&Path) -> io::Result<()>) -> Result<Self, StagingError> {
        let above = parent(&self.whole);
        std::fs::create_dir_all(above).map_err(|source| StagingError::System(above.to_path_buf(), source))?;
        create(&self.partial).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StagingError::Busy(self.partial.clone()),
            _ => StagingError::System(self.partial.clone(), source),
        })?;
        self.done = false;
        Ok(self)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Syncs to the disk and renames to the final name.
    pub fn finish(mut self) -> Result<PathBuf, StagingError> {
        let failed = |path: &Path, source| StagingError::System(path.to_path_buf(), source);
        sync(&self.partial).map_err(|source| failed(&self.partial, source))?;
        rename_new(&self.partial, &self.whole).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StagingError::Exists(self.whole.clone()),
            _ => failed(&self.whole, source),
        })?;
        self.done = true;
        sync_folder(parent(&self.whole)).map_err(|source| failed(&self.whole, source))?;
        Ok(self.whole.clone())
    }

    /// As a killed process would leave it.
    pub fn leave(mut self) {
        self.done = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            // If it cannot be removed, its name still marks it as incomplete.
            let _ = match self.partial.is_dir() {
                true => std::fs::remove_dir_all(&self.partial),
                false => std::fs::remove_file(&self.partial),
            };
        }
    }
}

/// `path` with `ending` after its name.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// The folder that contains `path`.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until a file, or a folder with its content, is on the disk.
fn sync(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_symlink() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            sync(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

/// Waits until a folder's entries are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Renames `from` to `to`, which must not exist.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
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
pub(crate) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
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

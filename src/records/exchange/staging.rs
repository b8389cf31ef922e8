//! Output has another name until it is complete.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::ExchangeError;
use super::error::write_error;

/// A folder or file `NAME.partial` that is renamed to `NAME` at the end, and removed if that end is not reached. A killed
/// process leaves it behind as `NAME.partial`.
#[derive(Debug)]
pub(super) struct Staging {
    partial: PathBuf,
    whole: PathBuf,
    done: bool,
}

impl Staging {
    /// Makes the folder `OUT.partial`; refuses an existing `OUT`.
    pub fn folder(out: &Path) -> Result<Self, ExchangeError> {
        let staging = Self::named(out)?;
        std::fs::create_dir(&staging.partial).map_err(write_error(&staging.partial))?;
        Ok(staging)
    }

    /// Reserves the file `OUT.partial`; refuses an existing `OUT`.
    pub fn file(out: &Path) -> Result<Self, ExchangeError> {
        let staging = Self::named(out)?;
        File::create_new(&staging.partial).map_err(write_error(&staging.partial))?;
        Ok(staging)
    }

    fn named(out: &Path) -> Result<Self, ExchangeError> {
        let refuse =
            |path: &Path, found: &str, fix| ExchangeError::Place { path: path.into(), found: found.into(), fix };
        let Some(name) = out.file_name() else {
            return Err(refuse(out, "is not a name for a new folder or file", "name a new folder or file"));
        };
        if out.symlink_metadata().is_ok() {
            return Err(refuse(out, "is there already and is not written over", "name another one, or move it away"));
        }
        let mut partial = name.to_os_string();
        partial.push(".partial");
        let partial = out.with_file_name(partial);
        if partial.symlink_metadata().is_ok() {
            let found = "is there: another export or import is at work, or one was killed";
            return Err(refuse(&partial, found, "if none is at work, move it away or name another output"));
        }
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(write_error(parent))?;
        Ok(Self { partial, whole: out.to_path_buf(), done: false })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Syncs to the disk and renames to the final name.
    pub fn finish(mut self) -> Result<PathBuf, ExchangeError> {
        sync(&self.partial).map_err(write_error(&self.partial))?;
        if self.whole.symlink_metadata().is_ok() {
            let found = "appeared meanwhile and is not written over".into();
            return Err(ExchangeError::Place { path: self.whole.clone(), found, fix: "name another one" });
        }
        std::fs::rename(&self.partial, &self.whole).map_err(write_error(&self.whole))?;
        self.done = true;
        Ok(self.whole.clone())
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

/// Waits until a file, or a folder with its content, is on the disk.
fn sync(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            sync(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}

/// Creates the folder of `path` and writes the file.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ExchangeError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    }
    std::fs::write(path, bytes).map_err(write_error(path))
}

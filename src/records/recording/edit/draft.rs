//! A folder that has another name until it is whole.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::super::RecordingError;
use super::tree::{parent, rename_new};

/// `OUT.partial`; removed again unless it is finished.
#[derive(Debug)]
pub(super) struct Draft {
    partial: PathBuf,
    whole: PathBuf,
    finished: bool,
}

impl Draft {
    /// Creates `OUT.partial`; neither it nor `OUT` may exist.
    pub fn create(out: &Path) -> Result<Self, RecordingError> {
        // Ends the path without a slash.
        let whole: PathBuf = out.components().collect();
        if whole.file_name().is_none() {
            return Err(super::unfit("new folder", out.display().to_string(), "the name of a folder to be created"));
        }
        if whole.symlink_metadata().is_ok() {
            return Err(RecordingError::FolderExists { path: whole, fix: "name a folder that does not exist yet" });
        }
        Self::create_beside(&whole)
    }

    /// Creates `WHOLE.partial`, also if `whole` exists.
    pub fn create_beside(whole: &Path) -> Result<Self, RecordingError> {
        let partial = with_ending(whole, ".partial");
        match std::fs::create_dir_all(parent(whole)).and_then(|()| std::fs::create_dir(&partial)) {
            Ok(()) => Ok(Self { partial, whole: whole.to_path_buf(), finished: false }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Err(RecordingError::FolderExists {
                path: partial,
                fix: "another edit is writing it or was cut off: move it away, or name another folder",
            }),
            Err(source) => Err(RecordingError::edit(&partial, source)),
        }
    }

    /// The folder to write into.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives it its final name; returns it.
    pub fn finish(mut self) -> Result<PathBuf, RecordingError> {
        let failed = |source| RecordingError::edit(&self.whole, source);
        sync(&self.partial).map_err(failed)?;
        rename_new(&self.partial, &self.whole).map_err(failed)?;
        sync(parent(&self.whole)).map_err(failed)?;
        self.finished = true;
        Ok(self.whole.clone())
    }

    /// As a killed process would leave it.
    pub fn leave(mut self) {
        self.finished = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_dir_all(&self.partial);
        }
    }
}

/// `path` with `ending` after its name.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Waits until a folder's entries are on the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

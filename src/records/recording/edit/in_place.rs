//! Replaces a folder by its edited copy: a process killed at any moment leaves the old one or the new one, whole.
//!
//! 1. `FOLDER.backup-TIME.partial` is filled with hard links, 2. gets its name; 3. `FOLDER.partial` is written; 4. both folders
//!    exchange their names in one step; 5. the old one, whose files the backup has, goes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::storage::{self, WHOLE};
use super::super::{Contents, RecordingError, list_partial};
use super::tree::{self, By};
use crate::calendar::Date;
use crate::staging::{Staging, exchange, parent, sync_folder, with_ending};
use visuomotor_core::untrusted;

/// A folder that is being replaced.
#[derive(Debug)]
pub(super) struct InPlace {
    folder: PathBuf,
    backup: PathBuf,
}

impl InPlace {
    /// Refused while a recording in the folder is being written.
    pub fn new(folder: &Path) -> Result<Self, RecordingError> {
        let unreadable = |source| RecordingError::unreadable(folder, source);
        for partial in list_partial(folder)? {
            storage::lock(&untrusted::open(&partial).map_err(unreadable)?, &partial)?;
        }
        let folder = folder.canonicalize().map_err(unreadable)?;
        let backup = backup_name(&folder, SystemTime::now());
        Ok(Self { folder, backup })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The copy of what was there before.
    pub fn backup(&self) -> &Path {
        &self.backup
    }

    /// Does the first `steps` steps (see above) and stops there, as if the process were killed; `write` fills the new folder.
    pub fn run(
        &mut self,
        steps: usize,
        write: impl FnOnce(&Path) -> Result<(), RecordingError>,
    ) -> Result<(), RecordingError> {
        let failed = |source| RecordingError::edit(&self.folder, source);
        // Created first: an edit that is refused makes no backup.
        let draft = Staging::beside(&self.folder)?;
        let backup = Staging::folder(&self.backup)?;
        tree::copy(&self.folder, backup.path(), By::Link, &|_| false).map_err(failed)?;
        if steps <= 1 {
            draft.leave();
            backup.leave();
            return Ok(());
        }
        let mut backup = Backup { path: backup.finish()?, kept: false };
        if steps <= 2 {
            draft.leave();
            backup.kept = true;
            return Ok(());
        }
        write(draft.path())?;
        sync_folder(draft.path()).map_err(failed)?;
        if steps <= 3 {
            draft.leave();
            backup.kept = true;
            return Ok(());
        }
        exchange(draft.path(), &self.folder).map_err(failed)?;
        backup.kept = true;
        let above = parent(&self.folder);
        sync_folder(above).map_err(|source| RecordingError::unreadable(above, source))?;
        if steps <= 4 {
            draft.leave();
        }
        // Otherwise the draft, now the old folder, whose files the backup has, is removed here.
        Ok(())
    }
}

/// The backup; removed again if the edit fails before the exchange, because the folder is then as it was.
struct Backup {
    path: PathBuf,
    kept: bool,
}

impl Drop for Backup {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Copies everything of `folder` but the episodes `done` and the description of contents, which the edit writes itself.
pub(super) fn keep_others(folder: &Path, draft: &Path, done: &[String]) -> Result<(), RecordingError> {
    let skip = |name: &str| {
        name == Contents::FILE || name.strip_suffix(WHOLE).is_some_and(|stem| done.iter().any(|other| other == stem))
    };
    tree::copy(folder, draft, By::Bytes, &skip).map_err(|source| RecordingError::edit(draft, source))
}

/// `FOLDER.backup-YYYYmmdd-HHMMSS` for a time, in UTC.
fn backup_name(folder: &Path, at: SystemTime) -> PathBuf {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let Date { year, month, day, hour, minute, second } = Date::of_unix(seconds);
    with_ending(folder, &format!(".backup-{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn backups_are_named_by_the_date() {
        for (seconds, name) in [
            (0, "d.backup-19700101-000000"),
            (951_782_400, "d.backup-20000229-000000"),
            (1_709_251_199, "d.backup-20240229-235959"),
            (1_735_689_600, "d.backup-20250101-000000"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(backup_name(Path::new("d"), at), Path::new(name));
        }
    }
}

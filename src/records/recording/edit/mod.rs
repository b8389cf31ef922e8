//! Edits of a data set: [`merge`], [`split`], [`delete`] and [`relabel`] write its episodes anew, message by message.
//!
//! Start reading at [`relabel`], then `copy.rs`. What is promised:
//! - The result is written to `OUT.partial` and renamed to `OUT` when it is whole and on the disk. Nothing that exists is
//!   written over.
//! - Images, numbers, attachments and settings are copied byte for byte; only what the edit names is changed, in the episode's
//!   start, its end, or by an added note.
//! - Each written episode gains an [`Edit`]: the command, its source with SHA-256, and what was changed.
//! - An episode that cannot be read, or not to its end, is left out and reported, or ends the edit if
//!   [`EditOptions::strict`].
//! - [`Placement::InPlace`] keeps the folder of before as `FOLDER.backup-YYYYmmdd-HHMMSS` (UTC) and replaces the folder in one
//!   step: a process killed at any moment leaves the old folder or the new one, whole.

mod change;
mod copy;
mod in_place;
mod names;
mod provenance;
#[cfg(test)]
pub(super) mod tests;
mod tree;

use std::path::{Path, PathBuf};

pub use change::EpisodeChange;
pub use provenance::Edit;

use self::copy::copy_episode;
use self::names::{Task, share_of, tasks_of, unique};
use super::{Contents, RecordingError, list_partial};
use crate::staging::Staging;

/// How an edit is done.
#[derive(Clone, Debug, Default)]
pub struct EditOptions {
    /// End at the first episode that cannot be read, and write nothing.
    pub strict: bool,
    /// The command line, for the episodes' [`Edit`].
    pub command: String,
}

/// Where an edited data set goes.
#[derive(Clone, Copy, Debug)]
pub enum Placement<'a> {
    /// Into this new folder.
    New(&'a Path),
    /// In place of the folder itself, which is kept as a backup.
    InPlace,
}

/// One written episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file that it was copied from.
    pub source: PathBuf,
    /// Its name in the new folder, without `.mcap`.
    pub name: String,
    /// Each change, in words; empty if nothing but the [`Edit`] was added.
    pub changed: Vec<String>,
}

/// What an edit did.
#[derive(Debug, Default)]
pub struct EditReport {
    /// The new folder.
    pub folder: PathBuf,
    /// Its episodes, in order of writing.
    pub written: Vec<Written>,
    /// Episodes that were not taken, and why.
    pub left_out: Vec<RecordingError>,
    /// What else the operator should know.
    pub remarks: Vec<String>,
    /// The folder of before, if the edit was in place.
    pub backup: Option<PathBuf>,
}

/// Writes the episodes of all `folders` to the new folder `out`. A name that an earlier folder has is continued by `-2`, `-3`
/// and so on, which the report names.
pub fn merge(folders: &[PathBuf], out: &Path, options: &EditOptions) -> Result<EditReport, RecordingError> {
    for (index, folder) in folders.iter().enumerate() {
        let place = |folder: &Path| folder.canonicalize().map_err(|source| RecordingError::unreadable(folder, source));
        for earlier in &folders[..index] {
            if place(earlier)? == place(folder)? {
                return Err(unfit("folders to merge", format!("{} twice", folder.display()), "each folder once"));
            }
        }
    }
    let mut report = EditReport::default();
    let mut tasks = Vec::new();
    for folder in folders {
        tasks.extend(tasks_of(folder)?);
        report.left_out.extend(unfinished(folder)?);
    }
    unique(&mut tasks);
    let draft = Staging::folder(out)?;
    write(&tasks, draft.path(), options, &mut report)?;
    let contents = folders.iter().map(|folder| Contents::read(folder)).collect::<Result<Vec<_>, _>>()?;
    if contents.iter().all(Option::is_some) {
        contents.into_iter().flatten().try_for_each(|contents| contents.add_to(draft.path()))?;
    } else if contents.iter().any(Option::is_some) {
        // Contents of a part would pass for contents of all in the check for leakage.
        report.remarks.push(format!("not every folder has {}: the merged one has none", Contents::FILE));
    }
    report.folder = draft.finish()?;
    Ok(report)
}

/// Writes about `share` (between 0 and 1) of a folder's episodes to the first new folder, the others to the second. An episode's
/// name and `seed` alone decide where it goes: adding episodes moves none of the others.
pub fn split(
    folder: &Path,
    out: [&Path; 2],
    share: f64,
    seed: u64,
    options: &EditOptions,
) -> Result<[EditReport; 2], RecordingError> {
    if !(share > 0.0 && share < 1.0) {
        return Err(unfit("--share", share.to_string(), "a number between 0 and 1"));
    }
    let all = tasks_of(folder)?;
    let count = all.len();
    let (first, second): (Vec<_>, Vec<_>) = all.into_iter().partition(|task| share_of(&task.name, seed) < share);
    if first.is_empty() || second.is_empty() {
        let found = format!("all {count} episodes of {} in one of the parts", folder.display());
        return Err(unfit("split", found, "episodes in both: choose another --share or --seed"));
    }
    let drafts = [Staging::folder(out[0])?, Staging::folder(out[1])?];
    let mut reports = [EditReport::default(), EditReport::default()];
    reports[0].left_out.extend(unfinished(folder)?);
    for ((tasks, draft), report) in [first, second].iter().zip(&drafts).zip(&mut reports) {
        write(tasks, draft.path(), options, report)?;
        keep_contents(folder, draft.path(), None)?;
    }
    for (draft, report) in drafts.into_iter().zip(&mut reports) {
        report.folder = draft.finish()?;
    }
    Ok(reports)
}

/// Writes a folder's episodes without those named.
pub fn delete(
    folder: &Path,
    episodes: &[PathBuf],
    placement: Placement<'_>,
    options: &EditOptions,
) -> Result<EditReport, RecordingError> {
    let mut tasks = tasks_of(folder)?;
    let named = names::find(folder, &tasks, episodes)?;
    tasks.retain(|task| !named.contains(&task.name));
    if tasks.is_empty() {
        return Err(unfit("episodes", format!("all of {}", folder.display()), "at least one to be left"));
    }
    place(folder, &tasks, placement, options, None, &named)
}

/// Writes a folder's episodes with `change` made to those named, or to all if none is.
pub fn relabel(
    folder: &Path,
    episodes: &[PathBuf],
    change: &EpisodeChange,
    placement: Placement<'_>,
    options: &EditOptions,
) -> Result<EditReport, RecordingError> {
    if *change == EpisodeChange::default() {
        return Err(unfit("changes", "none".into(), "--task, --instruction, --outcome or --note"));
    }
    let mut tasks = tasks_of(folder)?;
    let named = names::find(folder, &tasks, episodes)?;
    for task in tasks.iter_mut().filter(|task| episodes.is_empty() || named.contains(&task.name)) {
        task.change = change.clone();
    }
    place(folder, &tasks, placement, options, change.task.as_deref(), &[])
}

/// Writes `tasks` where `placement` says. `without` are the episodes that an edit in place drops.
fn place(
    folder: &Path,
    tasks: &[Task],
    placement: Placement<'_>,
    options: &EditOptions,
    task: Option<&str>,
    without: &[String],
) -> Result<EditReport, RecordingError> {
    let mut report = EditReport::default();
    match placement {
        Placement::New(out) => {
            report.left_out.extend(unfinished(folder)?);
            let draft = Staging::folder(out)?;
            write(tasks, draft.path(), options, &mut report)?;
            keep_contents(folder, draft.path(), task)?;
            report.folder = draft.finish()?;
        }
        Placement::InPlace => {
            let mut change = in_place::InPlace::new(folder)?;
            change.run(usize::MAX, |draft| {
                write(tasks, draft, options, &mut report)?;
                let mut done: Vec<String> = report.written.iter().map(|written| written.name.clone()).collect();
                done.extend_from_slice(without);
                // What was not edited stays as it was, also what could not be read.
                in_place::keep_others(folder, draft, &done)?;
                keep_contents(folder, draft, task)
            })?;
            report.folder = change.folder().to_path_buf();
            report.backup = Some(change.backup().to_path_buf());
        }
    }
    Ok(report)
}

fn write(tasks: &[Task], to: &Path, options: &EditOptions, report: &mut EditReport) -> Result<(), RecordingError> {
    if options.strict
        && let Some(error) = report.left_out.pop()
    {
        return Err(error);
    }
    for task in tasks {
        match copy_episode(task, to, &options.command) {
            Ok(written) => report.written.push(written),
            // The new folder cannot be written: no other episode could be either.
            Err(error @ RecordingError::Edit { .. }) => return Err(error),
            Err(error) if options.strict => return Err(error),
            Err(error) => report.left_out.push(error),
        }
    }
    Ok(())
}

/// Recordings that are cut off or still being written, as errors.
fn unfinished(folder: &Path) -> Result<Vec<RecordingError>, RecordingError> {
    let found = "its recording did not end".to_string();
    Ok(list_partial(folder)?.into_iter().map(|path| RecordingError::NotWhole { path, found: found.clone() }).collect())
}

/// Takes the description of the contents along, with the new task if there is one.
fn keep_contents(from: &Path, to: &Path, task: Option<&str>) -> Result<(), RecordingError> {
    let Some(mut contents) = Contents::read(from)? else { return Ok(()) };
    contents.tasks.extend(task.map(str::to_string));
    contents.add_to(to)
}

fn unfit(what: &'static str, found: String, expected: &'static str) -> RecordingError {
    RecordingError::Unfit { what, found, expected }
}

//! Errors of recordings, and how to fix them.

use std::path::{Path, PathBuf};

use super::FORMAT_VERSION;
use crate::staging::StagingError;
use visuomotor_core::episode::SinkError;
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::untrusted::shown;

/// A recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The folder is missing, is not a folder, or cannot be written to.
    #[error("{path}: cannot record here: {found}; {fix}", path = shown(path))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        found: String,
        /// What to do.
        fix: &'static str,
    },
    /// The disk has too little free space to start an episode.
    #[error(
        "{path}: only {free_mib} MiB free, {needed_mib} MiB are asked for before an episode starts; \
         make room or record to another disk", path = shown(path)
    )]
    Full {
        /// The folder.
        path: PathBuf,
        /// Free space \[MiB\].
        free_mib: u64,
        /// Required space \[MiB\].
        needed_mib: u64,
    },
    /// An episode of this name exists.
    #[error("{path}: there is a recording of this name already; {fix}", path = shown(path))]
    AlreadyThere {
        /// The existing file.
        path: PathBuf,
        /// What to do.
        fix: &'static str,
    },
    /// A folder of this name exists.
    #[error("{path}: exists already; {fix}", path = shown(path))]
    FolderExists {
        /// The existing folder.
        path: PathBuf,
        /// What to do.
        fix: &'static str,
    },
    /// An unusable name or option.
    #[error("{what}: found {found}, expected {expected}")]
    Unfit {
        /// Which option.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// Writing failed in the middle: nothing more is recorded of this episode, flushed data stay readable.
    #[error(
        "{path}: recording stopped after {steps} steps: {source}; make room or check the disk, \
         then `visuomotor recordings recover` keeps what was written", path = shown(path)
    )]
    Write {
        /// The file being written.
        path: PathBuf,
        /// Steps that are safe in the file.
        steps: u64,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The episode ended, but its recording had stopped before.
    #[error(
        "{path}: not finished, recording had stopped after {steps} steps; \
         `visuomotor recordings recover` keeps what was written", path = shown(path)
    )]
    Stopped {
        /// The file, still `.partial`.
        path: PathBuf,
        /// Steps that are safe in the file.
        steps: u64,
    },
    /// The writer was called out of order: a step before the start, a second start, anything after the end.
    #[error("{path}: {what}; one writer records one episode: start, steps and ticks, end", path = shown(path))]
    Order {
        /// The file.
        path: PathBuf,
        /// The call that came out of order.
        what: &'static str,
    },
    /// An image does not have the pixels that its size requires, or a JPEG cannot be encoded or decoded.
    #[error("image of camera `{camera}`, {width}x{height}: {found}")]
    Image {
        /// Camera name.
        camera: String,
        /// Width \[pixels\].
        width: u32,
        /// Height \[pixels\].
        height: u32,
        /// The cause.
        found: String,
    },
    /// The file cannot be read at all.
    #[error("{path}: cannot be read: {source}", path = shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A folder's `pretraining.json` cannot be written or read.
    #[error("{path}: {source}; correct it, or make the data again in another folder", path = shown(path))]
    Contents {
        /// The file.
        path: PathBuf,
        /// The operating system's or the parser's error.
        source: std::io::Error,
    },
    /// The file is not an MCAP file of this program.
    #[error("{path}: not a recorded episode: {found}", path = shown(path))]
    NotAnEpisode {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The file was written in another version of the format.
    #[error(
        "{path}: format version {found}, this program reads version {FORMAT_VERSION}; \
         read it with the program version that wrote it", path = shown(path)
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// The file is cut off before the episode's start: nothing can be saved.
    #[error("{path}: cut off after {bytes} bytes, before the episode started: nothing of it can be read", path = shown(path))]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Its length \[bytes\].
        bytes: u64,
    },
    /// The file is damaged before the episode's start: nothing can be saved.
    #[error("{path}: damaged before the episode started: {found}; copy it again from where it was recorded", path = shown(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        found: String,
    },
    /// The messages are not in the order in which they were recorded, or some are missing.
    #[error(
        "{path}: the order of its messages was changed by another program, or messages were taken out: \
         {found}; use the file as it was recorded", path = shown(path)
    )]
    Reordered {
        /// The file.
        path: PathBuf,
        /// Where the order is wrong.
        found: String,
    },
    /// A message passes its checksum but its content does not fit its topic.
    #[error("{path}: message on {topic} at {at_seconds:.3} s: {why}", path = shown(path))]
    Message {
        /// The file.
        path: PathBuf,
        /// Topic of the message.
        topic: String,
        /// Log time \[s\].
        at_seconds: f64,
        /// The cause.
        why: String,
    },
    /// The file would take too much memory.
    #[error("{path}: too large to be read: {found}; leave it out", path = shown(path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large, and the limit.
        found: String,
    },
    /// The file is an MCAP file of an unsupported kind.
    #[error(
        "{path}: {found} is not read by this program; write it again with zstd \
         (mcap compress --compression zstd FILE)", path = shown(path)
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The unsupported part.
        found: String,
    },
    /// An edit of a data set cannot write its result; the data set is as it was.
    #[error("{path}: cannot be written: {source}; the data set is as it was", path = shown(path))]
    Edit {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An episode was cut off or damaged and is not taken into an edited data set.
    #[error(
        "{path}: not whole: {found}; `visuomotor recordings recover {path}` keeps what can be read, \
         then repeat the edit", path = shown(path)
    )]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// What is missing.
        found: String,
    },
    /// Another process is still writing the file.
    #[error("{path}: still being written by a running process; end that episode first", path = shown(path))]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

impl From<RecordingError> for SinkError {
    fn from(error: RecordingError) -> Self {
        Self::new(error)
    }
}

impl From<StagingError> for RecordingError {
    fn from(error: StagingError) -> Self {
        match error {
            StagingError::NoName(path) => Self::Unfit {
                what: "new folder",
                found: path.display().to_string(),
                expected: "the name of a folder to be created",
            },
            StagingError::Exists(path) => Self::FolderExists { path, fix: "name a folder that does not exist yet" },
            StagingError::Busy(path) => Self::FolderExists {
                path,
                fix: "another edit is writing it or was cut off: move it away, or name another folder",
            },
            StagingError::System(path, source) => Self::Edit { path, source },
        }
    }
}

impl Failing for RecordingError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Write { .. } | Self::Stopped { .. } => FailureKind::Machine,
            Self::Unreadable { source, .. } | Self::Contents { source, .. } | Self::Edit { source, .. } => {
                source.failure()
            }
            _ => FailureKind::Usage,
        }
    }
}

impl RecordingError {
    pub(super) fn edit(path: &Path, source: std::io::Error) -> Self {
        Self::Edit { path: path.to_path_buf(), source }
    }

    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: path.to_path_buf(), source }
    }
}

/// The operating system's error inside an MCAP error, so that a full disk is reported as one.
pub(super) fn io_error(error: mcap::McapError) -> std::io::Error {
    match error {
        mcap::McapError::Io(source) => source,
        other => std::io::Error::other(other),
    }
}

//! Errors of exports and imports, and how to fix them.

use std::path::{Path, PathBuf};

use crate::recording::RecordingError;
use crate::staging::StagingError;
use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::untrusted::shown as shown_path;

/// Episodes cannot be exported or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A folder or file cannot be used.
    #[error("{path}: {found}; {fix}", path = shown_path(path))]
    Place {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        found: String,
        /// What to do.
        fix: &'static str,
    },
    /// The operating system refused.
    #[error("{path}: cannot be {what}: {source}", path = shown_path(path))]
    System {
        /// The file.
        path: PathBuf,
        /// `read`, `written`.
        what: &'static str,
        /// Its output.
        source: std::io::Error,
    },
    /// A file of another format lacks required content.
    #[error("{path}: `{key}`: found {found}, expected {expected}; {fix}", path = shown_path(path))]
    Source {
        /// The file.
        path: PathBuf,
        /// Column, key or member.
        key: String,
        /// The content found.
        found: String,
        /// The content expected.
        expected: String,
        /// What to do.
        fix: &'static str,
    },
    /// An episode of ours cannot be exported to the requested format.
    #[error("{path}: `{key}`: found {found}, expected {expected}; {fix}", path = shown_path(path))]
    Episode {
        /// The recording.
        path: PathBuf,
        /// The part concerned.
        key: &'static str,
        /// The content found.
        found: String,
        /// What the format or the other episodes require.
        expected: String,
        /// What to do.
        fix: &'static str,
    },
    /// The video program is missing or failed.
    #[error("{program}: {found}; {fix}")]
    Ffmpeg {
        /// The program.
        program: String,
        /// The cause.
        found: String,
        /// What to do.
        fix: &'static str,
    },
    /// A recording cannot be read or written.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

impl From<StagingError> for ExchangeError {
    fn from(error: StagingError) -> Self {
        let place = |path, found: &str, fix| Self::Place { path, found: found.into(), fix };
        match error {
            StagingError::NoName(path) => {
                place(path, "is not a name for a new folder or file", "name a new folder or file")
            }
            StagingError::Exists(path) => {
                place(path, "is there already and is not written over", "name another one, or move it away")
            }
            StagingError::Busy(path) => place(
                path,
                "is there: another export or import is at work, or one was killed",
                "if none is at work, move it away or name another output",
            ),
            StagingError::System(path, source) => Self::System { path, what: "written", source },
        }
    }
}

impl Failing for ExchangeError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::System { source, .. } => source.failure(),
            Self::Recording(error) => error.failure(),
            _ => FailureKind::Usage,
        }
    }
}

impl ExchangeError {
    /// Does it concern more than one episode, e.g. because the disk is full?
    pub(super) fn ends_the_batch(&self) -> bool {
        match self {
            Self::System { what, .. } => *what == "written",
            Self::Recording(error) => !matches!(error, RecordingError::Image { .. }),
            Self::Ffmpeg { .. } | Self::Place { .. } | Self::Source { .. } | Self::Episode { .. } => false,
        }
    }
}

/// Not damaged: larger than the limits.
pub(super) const TOO_LARGE: &str = "it would take too much memory: leave it out, or write it again in smaller parts";
/// Not damaged: of an unsupported kind.
pub(super) const UNSUPPORTED: &str = "write it again in the kind that is read";
pub(super) const DAMAGED: &str = "the file is damaged or was not written by this format's programs: fetch it again";

pub(super) fn read_error(path: &Path) -> impl FnOnce(std::io::Error) -> ExchangeError {
    |source| ExchangeError::System { path: path.to_path_buf(), what: "read", source }
}

pub(super) fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> ExchangeError {
    |source| ExchangeError::System { path: path.to_path_buf(), what: "written", source }
}

/// An error in imported data. Texts from the file are cut, because they may be of any length.
pub(super) fn source_error(
    path: &Path,
    key: impl Into<String>,
    found: impl ToString,
    expected: impl Into<String>,
    fix: &'static str,
) -> ExchangeError {
    ExchangeError::Source {
        path: path.to_path_buf(),
        key: shown(&key.into()),
        found: shown(&found.to_string()),
        expected: expected.into(),
        fix,
    }
}

/// An untrusted text, safe for a terminal: without control characters and not too long.
pub(super) fn shown(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars().take(200) {
        match letter.is_control() {
            true => out.extend(letter.escape_default()),
            false => out.push(letter),
        }
    }
    if text.chars().nth(200).is_some() {
        out.push_str("...");
    }
    out
}

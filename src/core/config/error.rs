//! What is wrong with a file.

use std::path::{Path, PathBuf};

use crate::failure::{Failing, FailureKind};
use crate::untrusted::shown;

/// A configuration file is missing, unreadable or invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: cannot be read ({source}); {fix}", path = shown(path))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
        /// What to do.
        fix: String,
    },
    /// The file is not TOML, has an unknown or missing key, or a value of the wrong kind.
    #[error("{path}:{line}: key `{key}`: {message}", path = shown(path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line of the offending key, counted from 1.
        line: usize,
        /// Path of the key, `protocol.trial_seconds`.
        key: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The value has the right type but is out of range, or inconsistent with another one.
    #[error("{path}: key `{key}`: found {found}, expected {expected}; {fix}", path = shown(path))]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Path of the key.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
        /// What to do.
        fix: String,
    },
}

impl Failing for ConfigError {
    fn failure(&self) -> FailureKind {
        match self {
            Self::Unreadable { source, .. } => source.failure(),
            Self::Malformed { .. } | Self::Unfit { .. } => FailureKind::Usage,
        }
    }
}

impl ConfigError {
    /// A value of the right type that is not acceptable.
    pub fn unfit(
        path: &Path,
        key: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::Unfit {
            path: path.to_path_buf(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.to_string(),
            fix: fix.into(),
        }
    }
}

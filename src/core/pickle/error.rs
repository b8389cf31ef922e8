//! Errors of the pickle reader.

/// Why a pickle is not read; each is a sentence without file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// Its bytes are inconsistent.
    #[error("{0}")]
    Malformed(String),
    /// It uses something that its kind of file does not need.
    #[error("{0}")]
    Unsupported(String),
    /// It is longer, or expands to more, than is allowed.
    #[error("{0}")]
    TooLarge(String),
}

//! Why a pickle is not read.

/// Why a pickle is not read; each is a sentence without file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// Its bytes contradict themselves.
    #[error("{0}")]
    Malformed(String),
    /// It asks for something that its kind of file does not need.
    #[error("{0}")]
    Unsupported(String),
    /// It is longer, or unfolds to more, than is read.
    #[error("{0}")]
    TooLarge(String),
}

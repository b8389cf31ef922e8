//! The error of this program: a message with the problem and the fix, and an exit code.

/// Why the program stops.
#[derive(Debug)]
pub struct Failure {
    /// For people: the problem and the fix.
    pub message: String,
    /// For scripts: 1 a stage failed, 2 wrong usage or no set-up.
    pub exit_code: u8,
}

impl Failure {
    /// The checkout could not be set up, or the call was wrong.
    pub fn setup(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    /// A build, a lint, a test or the demonstration failed.
    pub fn stage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }
}

//! Address of an arm's controller, comparable between two processes.

use serde::{Deserialize, Serialize};

/// Driver and address of an arm's controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkAddress {
    /// `dynamixel`, `ros2`, `fci`.
    pub driver: String,
    /// Port, address or topics.
    pub at: String,
}

impl std::fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.driver, self.at)
    }
}

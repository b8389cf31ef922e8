//! `builtin_interfaces`.

use serde::{Deserialize, Serialize};

use crate::transport::ros2::message::ros_messages;

/// `builtin_interfaces/msg/Time`: time since the epoch of whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds \[s\].
    pub sec: i32,
    /// The rest \[ns\].
    pub nanosec: u32,
}

/// `builtin_interfaces/msg/Duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duration {
    /// Whole seconds \[s\].
    pub sec: i32,
    /// The rest \[ns\].
    pub nanosec: u32,
}

ros_messages!("builtin_interfaces": Time, Duration);

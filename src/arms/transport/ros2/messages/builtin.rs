//! `builtin_interfaces`.

use serde::{Deserialize, Serialize};

use crate::transport::ros2::message::ros_messages;
use visuomotor_core::time::Timestamp;

/// `builtin_interfaces/msg/Time`: time since the epoch of whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Whole seconds \[s\].
    pub sec: i32,
    /// The rest \[ns\].
    pub nanosec: u32,
}

impl From<Timestamp> for Time {
    fn from(stamp: Timestamp) -> Self {
        let nanos = stamp.as_nanos();
        Self { sec: i32::try_from(nanos / 1_000_000_000).unwrap_or(i32::MAX), nanosec: (nanos % 1_000_000_000) as u32 }
    }
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

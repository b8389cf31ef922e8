//! `std_msgs`.

use serde::{Deserialize, Serialize};

use super::builtin::Time;
use crate::transport::ros2::message::ros_messages;

/// `std_msgs/msg/Header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the data was taken, by the sender's clock.
    pub stamp: Time,
    /// Frame the data is in.
    pub frame_id: String,
}

ros_messages!("std_msgs": Header);

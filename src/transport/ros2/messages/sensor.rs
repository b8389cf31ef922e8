//! `sensor_msgs`.

use serde::{Deserialize, Serialize};

use super::std::Header;
use crate::transport::ros2::message::ros_messages;

/// `sensor_msgs/msg/JointState`: arrays are empty or as long as `name`; their order is the sender's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointState {
    /// When it was measured.
    pub header: Header,
    /// Joint names.
    pub name: Vec<String>,
    /// Positions \[rad\] or \[m\].
    pub position: Vec<f64>,
    /// Velocities \[rad/s\] or \[m/s\].
    pub velocity: Vec<f64>,
    /// Efforts \[Nm\] or \[N\].
    pub effort: Vec<f64>,
}

/// `sensor_msgs/msg/Image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// When it was taken.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// `rgb8`, `bgr8`, `mono8`, ...
    pub encoding: String,
    /// 1 when numbers of more than one byte are big endian.
    pub is_bigendian: u8,
    /// Bytes per row.
    pub step: u32,
    /// `step * height` bytes.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

ros_messages!("sensor_msgs": JointState, Image up to 64 << 20);

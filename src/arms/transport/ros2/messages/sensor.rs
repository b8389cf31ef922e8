//! `sensor_msgs`.

use serde::{Deserialize, Serialize};

use super::array::Array;
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

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompressedImage {
    /// When it was taken.
    pub header: Header,
    /// `jpeg`, `png`, or `rgb8; jpeg compressed bgr8`.
    pub format: String,
    /// The file.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
}

/// `sensor_msgs/msg/RegionOfInterest`; all zero is the full image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionOfInterest {
    /// Leftmost column \[pixels\].
    pub x_offset: u32,
    /// Topmost row \[pixels\].
    pub y_offset: u32,
    /// Rows \[pixels\].
    pub height: u32,
    /// Columns \[pixels\].
    pub width: u32,
    /// Was the region rectified?
    pub do_rectify: bool,
}

/// `sensor_msgs/msg/CameraInfo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CameraInfo {
    /// When, and the camera's optical frame.
    pub header: Header,
    /// Rows \[pixels\].
    pub height: u32,
    /// Columns \[pixels\].
    pub width: u32,
    /// `plumb_bob`, `rational_polynomial`, ...
    pub distortion_model: String,
    /// Distortion, no unit.
    pub d: Vec<f64>,
    /// Camera matrix, rows first \[pixels\].
    pub k: Array<f64, 9>,
    /// Rectification, rows first, no unit.
    pub r: Array<f64, 9>,
    /// Projection, rows first \[pixels\].
    pub p: Array<f64, 12>,
    /// Pixels joined along a row \[pixels\].
    pub binning_x: u32,
    /// Pixels joined along a column \[pixels\].
    pub binning_y: u32,
    /// Part of the sensor.
    pub roi: RegionOfInterest,
}

/// `sensor_msgs/msg/Joy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Joy {
    /// When.
    pub header: Header,
    /// Sticks and triggers, -1 .. 1.
    pub axes: Vec<f32>,
    /// 1 while pressed.
    pub buttons: Vec<i32>,
}

ros_messages!("sensor_msgs": JointState, Image up to 64 << 20, CompressedImage up to 16 << 20, RegionOfInterest, CameraInfo, Joy);

//! `std_msgs`.

use serde::{Deserialize, Serialize};

use super::builtin::Time;
use crate::transport::ros2::RosMessage;
use crate::transport::ros2::message::ros_messages;

/// `std_msgs/msg/Header`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the data was taken, by the sender's clock.
    pub stamp: Time,
    /// Frame the data is in.
    pub frame_id: String,
}

/// `std_msgs/msg/Empty`; every request, response, goal or result without fields is written the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {
    /// ROS 2 writes one zero byte where a definition has no field.
    pub structure_needs_at_least_one_member: u8,
}

/// `std_msgs/msg/Bool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bool {
    /// The value.
    pub data: bool,
}

/// `std_msgs/msg/String`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub data: String,
}

impl RosMessage for Text {
    const PACKAGE: &'static str = "std_msgs";
    const NAME: &'static str = "String";
}

/// `std_msgs/msg/Int8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Int8 {
    /// The number, in the topic's unit.
    pub data: i8,
}

/// `std_msgs/msg/Int32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Int32 {
    /// The number, in the topic's unit.
    pub data: i32,
}

/// `std_msgs/msg/Float32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Float32 {
    /// The number, in the topic's unit.
    pub data: f32,
}

/// `std_msgs/msg/Float64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Float64 {
    /// The number, in the topic's unit.
    pub data: f64,
}

/// `std_msgs/msg/MultiArrayDimension`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiArrayDimension {
    /// Name of the dimension.
    pub label: String,
    /// Its length \[elements\].
    pub size: u32,
    /// Distance between neighbors of the dimension before \[elements\].
    pub stride: u32,
}

/// `std_msgs/msg/MultiArrayLayout`; controllers leave it empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MultiArrayLayout {
    /// Dimensions, outermost first.
    pub dim: Vec<MultiArrayDimension>,
    /// Elements to skip \[elements\].
    pub data_offset: u32,
}

/// `std_msgs/msg/Float64MultiArray`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Float64MultiArray {
    /// Shape.
    pub layout: MultiArrayLayout,
    /// The numbers, in the topic's unit.
    pub data: Vec<f64>,
}

ros_messages!(
    "std_msgs": Header, Empty, Bool, Int8, Int32, Float32, Float64, MultiArrayDimension, MultiArrayLayout, Float64MultiArray
);

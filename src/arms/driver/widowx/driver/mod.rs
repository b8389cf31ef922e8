//! A WidowX behind [`crate::driver::ArmDriver`]: over its own servo bus, or through the maker's ROS 2 node.

#[cfg(feature = "dynamixel")]
mod dynamixel;
#[cfg(feature = "ros2")]
mod xs_sdk;

#[cfg(feature = "dynamixel")]
pub use dynamixel::{
    BusCounters, BusError, DynamixelArm, DynamixelOptions, FaultKind, Grip, PositionServo, ServoBus, ServoFault,
    ServoHealth, check_bus, explain,
};
#[cfg(feature = "ros2")]
pub use xs_sdk::{GripperDrive, XsSdkArm, XsSdkBrake, XsSdkOptions, check_node};

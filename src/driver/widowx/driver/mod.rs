//! A WidowX behind [`crate::driver::ArmDriver`].

#[cfg(feature = "ros2")]
mod xs_sdk;

#[cfg(feature = "ros2")]
pub use xs_sdk::{GripperDrive, XsSdkArm, XsSdkOptions, check_node};

//! Bytes and messages to and from controllers: serial ports, ROS 2, and their stand-ins.
//!
//! Nothing here depends on an arm. Each link is a feature of its own.

#[cfg(feature = "dynamixel")]
mod bytes;
#[cfg(any(feature = "dynamixel", feature = "ros2", feature = "fci"))]
pub mod loss;
#[cfg(feature = "ros2")]
pub mod ros2;

#[cfg(feature = "dynamixel")]
pub use bytes::*;

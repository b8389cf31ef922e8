//! Bytes and messages to and from controllers: serial ports, ROS 2, and what stands in for them.
//!
//! Nothing here knows an arm. Each link is a feature of its own.

#[cfg(feature = "ros2")]
pub mod ros2;

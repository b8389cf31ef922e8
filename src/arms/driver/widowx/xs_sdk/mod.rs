//! The arm through the maker's ROS 2 node, xs_sdk.

pub mod driver;
pub mod emulator;
pub mod wire;

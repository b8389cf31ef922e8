//! The controller's side of the wire.

#[cfg(feature = "fci")]
pub mod fci;

#[cfg(feature = "ros2")]
pub mod ros2;

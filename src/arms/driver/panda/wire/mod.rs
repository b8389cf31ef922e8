//! What goes over the wire, pure.

#[cfg(feature = "fci")]
pub mod fci;

#[cfg(feature = "ros2")]
pub mod ros2;

//! The arm trait over the wire.

#[cfg(feature = "fci")]
pub mod fci;

#[cfg(feature = "ros2")]
mod brake;
#[cfg(feature = "ros2")]
pub mod ros2;

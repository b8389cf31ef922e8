//! What goes over the wire to a WidowX, pure.

#[cfg(feature = "ros2")]
pub mod xs_sdk;

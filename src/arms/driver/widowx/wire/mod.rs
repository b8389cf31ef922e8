//! What goes over the wire to a WidowX, pure: bytes of Dynamixel's protocol 2.0, messages of xs_sdk.

#[cfg(feature = "dynamixel")]
pub mod dynamixel;
#[cfg(feature = "ros2")]
pub mod xs_sdk;

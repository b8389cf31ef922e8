//! What goes over the wire to a WidowX, pure: bytes of Dynamixel's protocol 2.0, or messages of Interbotix's node.

#[cfg(feature = "dynamixel")]
pub mod dynamixel;
#[cfg(feature = "ros2")]
pub mod xs_sdk;

//! What goes over the wire to a WidowX, pure: bytes of Dynamixel's protocol 2.0.

#[cfg(feature = "dynamixel")]
pub mod dynamixel;

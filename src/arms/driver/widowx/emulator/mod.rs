//! The controller's side of a WidowX over a [`crate::driver::Plant`].

#[cfg(feature = "dynamixel")]
pub mod dynamixel;
#[cfg(feature = "ros2")]
pub mod xs_sdk;

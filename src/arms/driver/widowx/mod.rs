//! WidowX 250 6-DoF (Interbotix wx250s): nine Dynamixel servos, six joints and a gripper.
//!
//! - [`limits`]: the nine servos as the maker sets them up, and the check that a description stays within them
//! - [`crank`]: gripper motor angle to finger position
//! - [`wire`]: Dynamixel protocol 2.0; what the maker's ROS 2 node xs_sdk says
//! - [`driver`]: the arm on its own servo bus, or through xs_sdk
//! - [`emulator`]: the bus of servos, or the node, over a [`super::Plant`]
//!
//! Radians, meters, seconds. Two joints (shoulder, elbow) have two servos on one shaft: the second one ("shadow") obeys
//! the first one's id without answering.

pub mod crank;
pub mod driver;
pub mod emulator;
pub mod limits;
pub mod wire;

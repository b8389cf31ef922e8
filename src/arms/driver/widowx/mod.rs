//! WidowX 250 6-DoF (Interbotix wx250s): nine Dynamixel servos, six joints and a gripper.
//!
//! - [`limits`]: the nine servos as the maker sets them up, and the check that a description stays within them
//! - [`crank`]: gripper motor angle to finger position
//! - [`dynamixel`]: the arm on its own servo bus; [`xs_sdk`]: through the maker's ROS 2 node. Each has `wire` (bytes or messages,
//!   pure), `driver`, and `emulator` (the bus of servos, or the node, over a [`super::Plant`])
//!
//! Radians, meters, seconds. Two joints (shoulder, elbow) have two servos on one shaft: the second one ("shadow") obeys the first
//! one's id without replying.

pub mod crank;
#[cfg(feature = "dynamixel")]
pub mod dynamixel;
pub mod limits;
#[cfg(feature = "ros2")]
pub mod xs_sdk;

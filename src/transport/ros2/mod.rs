//! ROS 2 without a ROS installation: message types, names, a node, and the bridge thread between it and the control loop.

pub mod message;
pub mod messages;

pub use message::{RosAction, RosMessage, RosService};

//! Messages that changed between distributions, as in ROS 2 Jazzy.

pub mod control_state;
pub mod controller_manager;

//! Messages that changed between distributions, as in ROS 2 Humble.

pub mod control_state;
pub mod controller_manager;

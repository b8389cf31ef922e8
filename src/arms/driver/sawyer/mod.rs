//! Rethink Sawyer over ROS 2. The arm itself speaks ROS 1: a bridge process carries its messages
//! (`docs/sawyer-and-jaco-over-a-bridge.md` describes it and its costs).
//!
//! Start reading at [`driver::SawyerLink`]. Torques are on top of the arm's own gravity compensation.

pub mod driver;
pub mod emulator;
pub mod limits;
pub mod wire;

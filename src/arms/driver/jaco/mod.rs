//! Kinova Jaco (second generation: j2s7s300, j2n7s300, j2s6s300) over ROS 2, as the ports of kinova-ros have it. The maker's
//! own node is ROS 1 (`docs/sawyer-and-jaco-over-a-bridge.md`).
//!
//! On the wire everything is degrees and steps of 10 ms; everything here is radians and seconds. Start reading at
//! [`driver::JacoLink`].

pub mod brake;
pub mod cartesian;
pub mod driver;
pub mod emulator;
pub mod limits;
mod velocities;
pub mod wire;

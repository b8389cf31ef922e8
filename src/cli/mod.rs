//! The command line.
#[cfg(feature = "mujoco")]
pub mod setting;

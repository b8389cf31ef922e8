//! The maker's ros2_control stack.

mod brake;
pub mod driver;
pub mod emulator;
pub mod wire;

//! The arm on its own servo bus: Dynamixel's protocol 2.0.

pub mod driver;
pub mod emulator;
pub mod wire;

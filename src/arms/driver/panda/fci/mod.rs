//! Franka's own interface: TCP for requests, UDP at 1 kHz for states and commands.

pub mod driver;
pub mod emulator;
pub mod wire;

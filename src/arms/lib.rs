//! Hardware interfaces: links, cameras, arms with the emulators of their controllers, teleoperation devices.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod transport;
pub mod camera;
pub mod driver;
pub mod conformance;
pub mod teleop;

/// The checkout, where tests find arms and launch files.
#[cfg(test)]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

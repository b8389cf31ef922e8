//! Turns actions into safe commands: control laws, the safety filter, the two loops, and evaluation by protocol.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod control;
pub mod safety;
pub mod scripted;
pub mod runtime;
pub mod evaluation;

/// The checkout, where tests find arms and launch files.
#[cfg(test)]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

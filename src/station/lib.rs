//! Turns actions into safe commands: control laws, the safety filter, the two loops, and evaluation by protocol.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod control;
pub mod safety;
pub mod scripted;
pub mod runtime;
pub mod evaluation;

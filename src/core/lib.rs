//! Shared by every layer: values, descriptions of arms and stations, kinematics.
//!
//! Modules are listed in reading order; each uses only modules above it.

// Plain values.
pub mod failure;
pub mod time;
pub mod realtime;
pub mod protection;
pub mod untrusted;
pub mod chart;
pub mod geometry;
pub mod embedding;
pub mod observation;
pub mod action;
pub mod episode;
pub mod operator;
pub mod pickle;
pub mod onnx;
// Descriptions of the set-up.
pub mod config;
pub mod kinematics;

/// The checkout, where tests find arms and launch files.
#[cfg(test)]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

//! From image to action by networks, and how they are trained. The one layer that names libtorch.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod network;
pub mod encoder;
pub mod policy;
pub mod training;

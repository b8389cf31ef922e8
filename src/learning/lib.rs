//! Networks from image to action, and their training. The only layer that depends on libtorch.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod network;
pub mod encoder;
pub mod policy;
pub mod training;

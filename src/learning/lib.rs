//! Networks from image to action, and their training. The only layer that depends on libtorch.
//!
//! Modules are listed in reading order; each uses only modules above it.

pub mod network;
pub mod encoder;
pub mod policy;
pub mod training;

/// The checkout, where tests find arms and launch files, and onnxruntime is fetched to.
#[cfg(any(test, feature = "onnx"))]
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

//! The controller's side of the wire.

#[cfg(feature = "fci")]
pub mod fci;

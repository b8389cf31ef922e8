//! The arm trait over the wire.

#[cfg(feature = "fci")]
pub mod fci;

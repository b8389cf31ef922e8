//! What goes over the wire, pure.

#[cfg(feature = "fci")]
pub mod fci;

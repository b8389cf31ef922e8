//! The command line.

#[cfg(feature = "torch")]
pub mod convert;
#[cfg(feature = "torch")]
pub mod embed;

//! Episodes on disk: MCAP recordings, and exchange with other formats.

pub mod recording;
#[cfg(feature = "exchange")]
pub mod exchange;

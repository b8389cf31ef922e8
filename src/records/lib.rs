//! Episodes on disk: MCAP recordings, and the formats of others.

pub mod recording;
#[cfg(feature = "exchange")]
pub mod exchange;

//! Episodes on disk: MCAP recordings, and exchange with other formats.

mod calendar;
pub mod recording;
mod staging;
#[cfg(feature = "exchange")]
pub mod exchange;

//! Episodes on disk: MCAP recordings, and exchange with other formats.

mod calendar;
mod staging;

pub mod recording;
#[cfg(feature = "exchange")]
pub mod exchange;

//! Recordings: what is written is read back, whatever happens in between.

mod cut_off;
mod edits;
pub mod episodes;
mod independent_reader;
mod recorder;
mod refusals;
mod round_trip;

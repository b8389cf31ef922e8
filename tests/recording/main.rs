//! Recordings: what goes in comes out, whatever happens in between.

mod episodes;
mod round_trip;

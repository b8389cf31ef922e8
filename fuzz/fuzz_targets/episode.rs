//! Any bytes as a recorded episode: an error or an episode, never a panic, never memory out of proportion to the file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use visuomotor::recording::{ReadOptions, parse_episode};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_episode(Path::new("fuzz.mcap"), bytes, ReadOptions::default());
});

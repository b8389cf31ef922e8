//! Any text as a launch file: an error with the file in it, or settings that survive being written and read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use visuomotor::config::{Launch, parse};

fuzz_target!(|text: &str| {
    let path = Path::new("launch/fuzz.toml");
    match parse::<Launch>(path, text) {
        Ok(launch) => assert!(parse::<Launch>(path, &launch.to_toml()).is_ok()),
        Err(error) => assert!(error.to_string().contains("launch/fuzz.toml")),
    }
});

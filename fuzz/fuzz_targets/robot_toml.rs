//! Any text as an arm's description: an error with the file in it, or a description.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use visuomotor::config::{Robot, parse};

fuzz_target!(|text: &str| {
    if let Err(error) = parse::<Robot>(Path::new("robots/fuzz/robot.toml"), text) {
        assert!(error.to_string().contains("robots/fuzz/robot.toml"));
    }
});

//! Any bytes as a pickle of numpy arrays: refused, or no more numbers than requested.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visuomotor::pickle::{Vocabulary, run};

/// Most numbers requested.
const LIMIT: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let Ok(values) = run(bytes, Vocabulary::Numpy) else { return };
    // A pickle makes at most one value per byte, so these are all.
    for id in 0..bytes.len() {
        if let Ok((shape, numbers)) = values.numbers(id, LIMIT) {
            assert!(numbers.len() <= LIMIT);
            assert_eq!(shape.iter().product::<usize>(), numbers.len());
        }
    }
});

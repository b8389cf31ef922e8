//! Any bytes as a checkpoint of torch.save, and as the pickle in one: refused, or tensors no larger than the file allows.
//!
//! The reader needs only `pickle` of the crate, so it is included by itself: no libtorch here.
#![no_main]

use std::io::{Cursor, Write};
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;

#[allow(dead_code, missing_docs)]
#[path = "../../src/learning/encoder/checkpoint/mod.rs"]
mod checkpoint;

/// The archive torch.save would make around this pickle, with one storage.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("m/data.pkl", pickle), ("m/data/0", &[0u8; 64][..]), ("m/version", b"3\n"), ("m/byteorder", b"little")] {
        writer.start_file(name, stored).expect("a valid name");
        writer.write_all(bytes).expect("into memory");
    }
    writer.finish().expect("into memory").into_inner()
}

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzz.pt");
    let whole = if bytes.first() == Some(&b'P') { bytes.to_vec() } else { archive(bytes) };
    match checkpoint::read_bytes(path, &whole, None) {
        Ok(tensors) => {
            for tensor in tensors.values() {
                assert!(tensor.shape.iter().product::<usize>() <= whole.len().max(4 << 20));
            }
        }
        Err(error) => assert!(error.to_string().contains("fuzz.pt")),
    }
});

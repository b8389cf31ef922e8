//! Any bytes as an ONNX file: refused, or read without taking more memory than the file allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visuomotor::onnx::Model;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::read(bytes) {
        let names = model.inputs.iter().chain(&model.outputs).map(|port| port.name.len() + port.to_string().len());
        assert!(names.sum::<usize>() <= 1024 * (64 + bytes.len()));
    }
});

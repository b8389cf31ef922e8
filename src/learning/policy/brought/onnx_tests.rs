//! ONNX files that PyTorch and the `onnx` package wrote (`tests/golden/make_brought.py`), valid, damaged and hostile. They
//! need onnxruntime's library: `cargo xtask setup --onnx`.

use std::os::unix::fs::symlink;

use super::tests::{Expected, folder, golden, golden_actions, load, observation, offer, refused, single};
use super::*;
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::digest;
use visuomotor_core::time::Timestamp;

/// Replaces the module's bytes, and its digest with them.
fn spoil(folder: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut description = Description::load(folder).unwrap();
    let file = folder.join(&description.module.file);
    let mut bytes = std::fs::read(&file).unwrap();
    change(&mut bytes);
    description.module.digest = digest(&bytes);
    std::fs::write(file, &bytes).unwrap();
    std::fs::write(Checkpoint::path(folder), toml::to_string(&description).unwrap()).unwrap();
}

/// Takes the state and returns twice its numbers; the factors are in a file of their own.
fn beside(change: impl FnOnce(&mut Description)) -> tempfile::TempDir {
    let bytes = std::fs::read(golden().join("beside.data")).unwrap();
    let folder = folder("beside.onnx", |description| {
        single(description);
        description.input.truncate(2);
        description.input.remove(0);
        description.output.units = Units::Si;
        description.module.data = vec![Data { file: "beside.data".into(), digest: digest(&bytes) }];
        change(description);
    });
    std::fs::write(folder.path().join("beside.data"), bytes).unwrap();
    folder
}

#[test]
fn actions_are_pytorchs_and_a_chunk_is_executed_before_the_next_inference() {
    let folder = folder("policy.onnx", |_| ());
    let mut policy = load(folder.path(), &offer()).unwrap();
    let Expected { state, actions } = golden_actions();
    for at in 0..5u64 {
        let decision = policy.decide(&observation(at, state)).unwrap();
        let row = (at % 3) as usize;
        let expected = ActionBounds::BRIDGE.denormalize(actions[row].clone().try_into().unwrap());
        for (found, expected) in decision.action.to_array().iter().zip(expected.to_array()) {
            assert!((found - expected).abs() < 1e-6, "decision {at}: {found} is not {expected}");
        }
        assert_eq!(decision.planned.unwrap().image_captured_at, Timestamp::from_nanos(at - at % 3));
    }
}

#[test]
fn inputs_and_outputs_that_differ_are_named_before_anything_moves() {
    type Change = fn(&mut Description);
    let cases: [(Change, &[&str]); 6] = [
        (|d| d.input.truncate(1), &["2 inputs (image, state)", "names 1", "[[input]]"]),
        (|d| d.input.swap(0, 1), &["input 1 `image`", "f32 (1, 3, 32, 32)", "state", "f32 (1, 7)"]),
        (|d| d.input[1] = Input::Gripper, &["input 2 `state`", "f32 (1, 7)", "gripper", "f32 (1, 1)"]),
        (
            |d| {
                let Input::Image { size, .. } = &mut d.input[0] else { panic!() };
                *size = 64;
            },
            &["input 1 `image`", "(1, 3, 32, 32)", "(1, 3, 64, 64)"],
        ),
        (
            |d| {
                let Input::Image { pixels, .. } = &mut d.input[0] else { panic!() };
                *pixels = Pixels::Bytes;
            },
            &["input 1 `image`", "takes f32", "u8 (1, 3, 32, 32)"],
        ),
        (single, &["[1, 8, 7]", "(1, 1, 7)", "[output]"]),
    ];
    for (change, words) in cases {
        let message = refused(folder("policy.onnx", change).path(), &offer());
        assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
    }
}

#[test]
fn cut_off_and_garbled_files_are_refused_and_none_panics() {
    let whole = std::fs::read(golden().join("policy.onnx")).unwrap();
    for length in (0..whole.len()).step_by(whole.len() / 40) {
        let folder = folder("policy.onnx", |_| ());
        spoil(folder.path(), |bytes| bytes.truncate(length));
        let message = refused(folder.path(), &offer());
        assert!(message.contains("policy.onnx"), "{length}: {message}");
    }
    for seed in 0..40u64 {
        let folder = folder("policy.onnx", |_| ());
        spoil(folder.path(), |bytes| {
            for i in 0..8 {
                let at = crate::network::splitmix64(seed, i);
                let place = at as usize % bytes.len().min(2000);
                bytes[place] = (at >> 32) as u8;
            }
        });
        // A weight may have become another number; anything else is refused.
        if let Err(error) = load(folder.path(), &offer()) {
            assert!(error.to_string().contains("policy.onnx"), "{seed}: {error}");
        }
    }
    let folder = folder("policy.onnx", |_| ());
    spoil(folder.path(), |bytes| *bytes = b"PK\x03\x04 no graph".to_vec());
    let message = refused(folder.path(), &offer());
    assert!(message.contains("ONNX") && message.contains("torch.onnx.export"), "{message}");
}

#[test]
fn operators_of_other_libraries_are_unsupported_not_damaged() {
    let folder = folder("custom.onnx", |description| {
        single(description);
        description.input.remove(0);
    });
    let message = refused(folder.path(), &offer());
    assert!(
        message.contains("Shell") && message.contains("com.example") && message.contains("unsupported"),
        "{message}"
    );
    assert!(!message.contains("damaged"), "{message}");
}

#[test]
fn weights_in_a_file_of_the_same_folder_are_loaded() {
    let mut policy = load(beside(|_| ()).path(), &offer()).unwrap();
    let decision = policy.decide(&observation(0, [0.01, -0.02, 0.03, 0.1, 0.0, 0.0, 0.25])).unwrap();
    let expected = [0.02, -0.04, 0.06, 0.2, 0.0, 0.0, 0.5];
    for (found, expected) in decision.action.to_array().iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

#[test]
fn weights_elsewhere_without_a_digest_or_with_another_one_are_refused() {
    let message = refused(beside(|description| description.module.data.clear()).path(), &offer());
    assert!(message.contains("`beside.data`") && message.contains("[[module.data]]"), "{message}");
    let message = refused(beside(|description| description.module.data[0].digest = "0".repeat(64)).path(), &offer());
    assert!(message.contains("beside.data") && message.contains("digest"), "{message}");
    let left_over = Data { file: "more.data".into(), digest: String::new() };
    let message = refused(beside(|description| description.module.data.push(left_over)).path(), &offer());
    assert!(message.contains("more.data") && message.contains("leave the entry out"), "{message}");

    let outside = tempfile::tempdir().unwrap();
    let folder = beside(|_| ());
    let data = folder.path().join("beside.data");
    std::fs::rename(&data, outside.path().join("beside.data")).unwrap();
    symlink(outside.path().join("beside.data"), &data).unwrap();
    let message = refused(folder.path(), &offer());
    assert!(message.contains("leads out of its folder"), "{message}");
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_refused_even_when_it_is_named() {
    let name = |data: &mut Vec<Data>| data[0].file = "../out.data".into();
    let folder = beside(|description| name(&mut description.module.data));
    spoil(folder.path(), |bytes| {
        let from = b"beside.data";
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(b"../out.data");
    });
    let message = refused(folder.path(), &offer());
    assert!(message.contains("../out.data") && message.contains("no file beside it"), "{message}");
}

#[test]
fn another_file_than_the_one_named_is_refused() {
    let folder = folder("policy.onnx", |_| ());
    std::fs::copy(golden().join("nan.onnx"), folder.path().join("policy.onnx")).unwrap();
    let message = refused(folder.path(), &offer());
    assert!(message.contains("policy.onnx") && message.contains("digest"), "{message}");
}

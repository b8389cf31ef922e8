//! Files made by PyTorch (`tests/golden/make_encoders.py`) and files broken in every way.

use proptest::prelude::*;

use super::*;
use crate::network::filled;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(crate::CHECKOUT).join("tests/golden/checkpoints").join(name)).unwrap()
}

fn read_file(name: &str, key: Option<&str>) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    read_bytes(Path::new(name), &file(name), key)
}

fn refusal(name: &str, key: Option<&str>) -> String {
    read_file(name, key).unwrap_err().to_string()
}

fn floats(tensor: &CheckpointTensor) -> &[f32] {
    match &tensor.values {
        Array::F32(values) => values,
        Array::I64(_) | Array::Other(_) => panic!("no floats"),
    }
}

const SEED: u64 = 7;

#[test]
fn the_layout_of_vips_checkpoint_is_read() {
    for key in [Some("vip"), None] {
        let tensors = read_file("vip.pt", key).unwrap();
        assert_eq!(tensors.len(), 5);
        let weight = &tensors["module.convnet.conv1.weight"];
        assert_eq!(weight.shape, [4, 3, 3, 3]);
        assert_eq!(floats(weight), filled("conv1.weight", &[4, 3, 3, 3], SEED));
        assert_eq!(tensors["module.convnet.bn1.num_batches_tracked"].values, Array::I64(vec![12]));
        assert!(tensors["module.convnet.bn1.num_batches_tracked"].shape.is_empty());
        // Stored transposed, read row-major.
        let head = &tensors["module.convnet.fc.weight"];
        let source = filled("fc.weight", &[5, 4], SEED);
        assert_eq!(head.shape, [4, 5]);
        assert!((0..20).all(|i| floats(head)[i] == source[i % 5 * 4 + i / 5]));
        // A parameter that is part of a longer storage.
        assert_eq!(floats(&tensors["module.convnet.fc.bias"]), &filled("fc.bias", &[6], SEED)[1..5]);
    }
}

#[test]
fn half_bfloat16_and_strided_tensors_are_read() {
    let tensors = read_file("kinds.pt", None).unwrap();
    let source = filled("conv1.weight", &[4, 3, 3, 3], SEED);
    for (name, step) in [("half", 2f32.powi(-11)), ("brain", 2f32.powi(-8))] {
        for (value, exact) in floats(&tensors[name]).iter().zip(&source) {
            assert!((value - exact).abs() <= exact.abs() * step, "{name}: {value} {exact}");
        }
    }
    // weight[1:, ::2, :, 1:].permute(2, 0, 3, 1)
    let strided = &tensors["strided"];
    assert_eq!(strided.shape, [3, 3, 2, 2]);
    let mut expected = Vec::new();
    for y in 0..3 {
        for out in 1..4 {
            for x in 1..3 {
                for input in [0, 2] {
                    expected.push(source[((out * 3 + input) * 3 + y) * 3 + x]);
                }
            }
        }
    }
    assert_eq!(floats(strided), expected);
}

#[test]
fn a_plain_state_dict_is_read() {
    let tensors = read_file("module.pt", None).unwrap();
    assert_eq!(tensors.len(), 7);
    assert_eq!(floats(&tensors["0.weight"]), filled("0.weight", &[3, 2, 1, 1], SEED));
}

#[test]
fn a_name_outside_the_list_is_refused_with_the_name() {
    let text = refusal("hostile.pt", None);
    assert!(text.contains("`posix.system`") && text.contains("nothing was executed"), "{text}");
    assert!(refusal("complex.pt", None).contains("`torch.ComplexFloatStorage`"));
}

#[test]
fn refusals_say_what_to_do() {
    assert!(refusal("two.pt", None).contains("several dicts of tensors: `a`, `b`; name the one"));
    assert!(refusal("vip.pt", Some("r3m")).contains("no dict of tensors called `r3m`; it has `vip`"));
    assert_eq!(floats(&read_file("legacy.pt", None).unwrap()["x"]), [0.0, 0.0]);
    assert!(refusal("repeated.pt", None).contains("key `x`: found shape [1048576, 1048576], strides [0, 0]"));
    assert!(refusal("outside.pt", None).contains("expected at most the 16 values that are stored"));
    let missing = read(Path::new("/nowhere/model.pt"), None).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/model.pt: cannot be read"), "{missing}");
}

#[test]
fn half_precision_is_exact() {
    let cases: [(u16, f32); 7] = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x7c00, f32::INFINITY),
        (0x8000, -0.0),
    ];
    for (bits, value) in cases {
        assert_eq!(element::half(bits), value, "{bits:x}");
    }
    assert!(element::half(0x7e00).is_nan());
}

#[test]
fn every_truncation_is_an_error_and_no_panic() {
    for name in ["vip.pt", "two.pt"] {
        let bytes = file(name);
        for length in 0..bytes.len() {
            assert!(read_bytes(Path::new(name), &bytes[..length], None).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn deep_nesting_and_cycles_do_not_overflow_the_stack() {
    // A list that contains itself, and a tuple in a tuple in a tuple, half a million times.
    assert!(pickle::run(b"\x80\x02]q\x00h\x00a.", Vocabulary::Torch).is_ok());
    let mut deep = b"\x80\x02)".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 500_000));
    deep.push(b'.');
    assert!(pickle::run(&deep, Vocabulary::Torch).is_ok());
    // More of it would take more memory than a file of weights needs.
    deep.splice(2..2, std::iter::repeat_n(b')', 2_000_000));
    let message = pickle::run(&deep, Vocabulary::Torch).unwrap_err();
    assert!(matches!(message, pickle::PickleError::TooLarge(_)), "{message}");
}

#[test]
fn announced_lengths_allocate_nothing() {
    for bomb in
        [&b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx"[..], b"\x80\x02X\xff\xff\xff\xffx", b"\x80\x02\x8a\xff\x00"]
    {
        assert!(pickle::run(bomb, Vocabulary::Torch).unwrap_err().to_string().contains("bytes are announced"));
    }
}

/// The pickle of a checkpoint; only there do changed bytes get past the archive's checksum.
fn pickle_of(name: &str) -> Vec<u8> {
    let bytes = file(name);
    Archive::open_zip(Path::new(name), &bytes, u64::MAX).unwrap().pickle().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_archives_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = file("kinds.pt");
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = read_bytes(Path::new("changed.pt"), &bytes, None);
    }

    #[test]
    fn changed_pickles_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..12),
    ) {
        let mut bytes = pickle_of("vip.pt");
        for (at, value, what) in edits {
            let at = at.index(bytes.len());
            match what {
                0 => bytes[at] = value,
                1 => bytes.insert(at, value),
                _ => drop(bytes.drain(at..(at + usize::from(value % 9)).min(bytes.len() - 1).max(at))),
            }
        }
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, content) in [("a/data.pkl", &bytes[..]), ("a/data/0", &[0; 432][..]), ("a/data/1", &[0; 16][..])] {
            zip.start_file(name, options).unwrap();
            std::io::Write::write_all(&mut zip, content).unwrap();
        }
        let _ = read_bytes(Path::new("changed.pt"), &zip.finish().unwrap().into_inner(), None);
    }

    #[test]
    fn random_instructions_never_panic(bytes in proptest::collection::vec(
        prop_oneof![
            prop::sample::select(&b"\x80\x95(01N\x88J K M\x8aGX\x8cBC)\x85\x86\x87t]ae}suqr\x94hjcQRb."[..]),
            0..8u8,
            any::<u8>(),
        ],
        0..200,
    )) {
        let _ = pickle::run(&bytes, Vocabulary::Torch);
    }
}

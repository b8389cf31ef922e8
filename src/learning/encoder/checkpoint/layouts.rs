//! What `torch.load(weights_only=True)` opens is opened, files of other kinds are named (`tests/golden/make_checkpoints.py`
//! makes them), and storages of random formats, shapes and strides are read back.

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn read_file(name: &str, key: Option<&str>) -> Result<BTreeMap<String, CheckpointTensor>, CheckpointError> {
    read(&Path::new(crate::CHECKOUT).join("tests/golden/checkpoints_by_hand").join(name), key)
}

fn refusal(name: &str, key: Option<&str>, words: &[&str]) {
    let said = read_file(name, key).unwrap_err().to_string();
    for word in words {
        assert!(said.contains(word), "{name}: `{word}` is not in: {said}");
    }
}

/// Two tensors: `conv.weight` (2, 3) and `conv.bias`.
fn weights(name: &str, key: Option<&str>, prefix: &str) {
    let tensors = read_file(name, key).unwrap();
    assert_eq!(tensors.len(), 2, "{name}");
    let weight = &tensors[&format!("{prefix}conv.weight")];
    assert_eq!((&weight.shape[..], weight.format), (&[2, 3][..], "float32"));
    assert_eq!(weight.values, Array::F32(vec![0.5, -1.0, 2.0, 4.0, 8.0, 0.25]));
    assert_eq!(tensors[&format!("{prefix}conv.bias")].values, Array::F32(vec![1.0, 3.0]));
}

#[test]
fn every_format_and_layout_is_read() {
    let tensors = read_file("formats.pt", None).unwrap();
    let floats = |numbers: &[f32]| Array::F32(numbers.to_vec());
    let integers = |numbers: &[i64]| Array::I64(numbers.to_vec());
    for (name, format, shape, values) in [
        ("weight", "float32", &[2][..], floats(&[0.5, -2.0])),
        ("double", "float64", &[2], floats(&[0.1, 2.0])),
        ("half", "float16", &[2], floats(&[0.5, -4.0])),
        ("brain", "bfloat16", &[2], floats(&[1.0, -3.0])),
        ("eight", "float8_e4m3fn", &[3], floats(&[1.0, -2.0, 2f32.powi(-9)])),
        ("int64", "int64", &[], integers(&[-3])),
        ("int32", "int32", &[2], integers(&[-3, 1 << 30])),
        ("int16", "int16", &[1], integers(&[-300])),
        ("int8", "int8", &[2], integers(&[-3, 100])),
        ("uint8", "uint8", &[2], integers(&[200, 1])),
        ("bool", "bool", &[2], integers(&[1, 0])),
        ("complex", "torch.ComplexFloatStorage", &[1], Array::Other("torch.ComplexFloatStorage")),
        ("expanded", "float32", &[3, 2], floats(&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0])),
        ("transposed", "float32", &[3, 2], floats(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0])),
        ("tied", "float32", &[4], floats(&[3.0, 4.0, 5.0, 6.0])),
        ("tied_again", "float32", &[2, 2], floats(&[1.0, 3.0, 5.0, 7.0])),
        ("empty", "float32", &[0, 5], floats(&[])),
        ("scalar", "float32", &[], floats(&[7.0])),
    ] {
        let tensor = &tensors[name];
        assert_eq!((tensor.format, &tensor.shape[..], &tensor.values), (format, shape, &values), "{name}");
    }
    assert_eq!(tensors.len(), 18);
}

#[test]
fn settings_arrays_and_counters_beside_the_weights_are_no_obstacle() {
    weights("settings.pt", None, "");
    weights("settings.pt", Some("model"), "");
    let arrays = read_file("arrays.pt", None).unwrap();
    assert_eq!(arrays["mean"].values, Array::F32(vec![1.5, -2.0]));
    assert_eq!(arrays.len(), 2);
}

#[test]
fn the_weights_are_found_in_dicts_within_dicts() {
    refusal("nested.pt", None, &["several dicts of tensors: `state.encoder`, `state.head`", "--key"]);
    refusal("nested.pt", Some("state"), &["`state.encoder`, `state.head`"]);
    refusal("nested.pt", Some("state.body"), &["called `state.body`; it has `state.encoder`, `state.head`"]);
    weights("nested.pt", Some("state.encoder"), "");
    weights("lightning.pt", None, "model.");
    weights("compiled.pt", None, "module._orig_mod.");
}

#[test]
fn files_of_pytorch_before_1_6_are_read_and_cut_off_ones_refused() {
    weights("before_1.6.pt", None, "");
    let path = Path::new(crate::CHECKOUT).join("tests/golden/checkpoints_by_hand/before_1.6.pt");
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        assert!(read_bytes(&path, &bytes[..length], None).is_err(), "cut to {length}");
    }
}

#[test]
fn files_of_other_kinds_are_named_with_what_to_do() {
    refusal("pointer.pt", None, &["Git LFS pointer", "90000000 bytes", "git lfs pull"]);
    refusal("page.pt", None, &["HTML page (`Virus scan warning`)", "raw", "gdown"]);
    refusal("arrays.npz", None, &["*.npz", "torch.from_numpy(a[k])"]);
    refusal("scripted.pt", None, &["TorchScript", "torch.jit.load(\"FILE\", map_location=\"cpu\").state_dict()"]);
    refusal("whole.pt", None, &["whole module", "`__main__.Net`", "torch.save(model.state_dict(), \"weights.pt\")"]);
    refusal("numbered.pt", None, &["under numbers", "d.items()"]);
    refusal("listed.pt", None, &["`model` is a list of 2", "enumerate(d)"]);
    for (bytes, word) in [
        (&b""[..], "empty"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "archive"),
        (b"\x93NUMPY\x01\x00", "*.npy"),
        (b"\x02\0\0\0\0\0\0\0{}xx", "safetensors file already"),
        (b"no kind of file", "torch.save did not write it"),
    ] {
        let said = read_bytes(Path::new("x.pt"), bytes, None).unwrap_err().to_string();
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn eight_bit_floats_are_exact() {
    for (element, cases) in [
        (Element::F8E4M3, [(0x38u8, 1.0f32), (0xfe, -448.0), (0x08, 2f32.powi(-6))]),
        (Element::F8E5M2, [(0x3c, 1.0), (0x7b, 57344.0), (0x01, 2f32.powi(-16))]),
        (Element::F8E4M3Fnuz, [(0x40, 1.0), (0x7f, 240.0), (0x01, 2f32.powi(-10))]),
        (Element::F8E5M2Fnuz, [(0x40, 1.0), (0x7f, 57344.0), (0x01, 2f32.powi(-17))]),
        (Element::F8E8M0, [(127, 1.0), (128, 2.0), (0, 2f32.powi(-127))]),
    ] {
        for (bits, value) in cases {
            assert_eq!(
                element::decode(element, [&[bits][..]].into_iter()),
                Array::F32(vec![value]),
                "{element:?} {bits:x}"
            );
        }
    }
    for (element, bits) in [(Element::F8E4M3, 0x7f), (Element::F8E4M3Fnuz, 0x80), (Element::F8E8M0, 0xff)] {
        let Array::F32(values) = element::decode(element, [&[bits][..]].into_iter()) else { panic!("no floats") };
        assert!(values[0].is_nan(), "{element:?}");
    }
}

/// A checkpoint of one tensor `x`, as torch.save writes it.
fn checkpoint(kind: &str, stored: &[u8], length: usize, offset: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n".to_vec();
    let integer = |out: &mut Vec<u8>, number: usize| {
        out.push(b'J');
        out.extend((number as u32).to_le_bytes());
    };
    pickle.extend(kind.as_bytes());
    pickle.extend(b"\nX\x01\0\0\x000X\x03\0\0\0cpu");
    integer(&mut pickle, length);
    pickle.extend(b"tQ");
    integer(&mut pickle, offset);
    for numbers in [shape, strides] {
        pickle.push(b'(');
        numbers.iter().for_each(|number| integer(&mut pickle, *number));
        pickle.push(b't');
    }
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtRs.");
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("x/data.pkl", &pickle[..]), ("x/byteorder", b"little"), ("x/data/0", stored)] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Values of a view, by recursion over its dimensions.
fn view(all: &[f64], at: usize, shape: &[usize], strides: &[usize], out: &mut Vec<f64>) {
    match shape {
        [] => out.push(all[at]),
        [size, inner @ ..] => (0..*size).for_each(|i| view(all, at + i * strides[0], inner, &strides[1..], out)),
    }
}

/// A name of torch's, and each number (one byte's worth) as that format stores it.
type Format = (&'static str, fn(u8) -> Vec<u8>);
const FORMATS: [Format; 9] = [
    ("FloatStorage", |number| f32::from(number).to_le_bytes().to_vec()),
    ("DoubleStorage", |number| f64::from(number).to_le_bytes().to_vec()),
    // Numbers below 256 have at most the 8 bits that the upper half of a float keeps.
    ("BFloat16Storage", |number| f32::from(number).to_le_bytes()[2..].to_vec()),
    ("LongStorage", |number| i64::from(number).to_le_bytes().to_vec()),
    ("IntStorage", |number| i32::from(number).to_le_bytes().to_vec()),
    ("ShortStorage", |number| i16::from(number).to_le_bytes().to_vec()),
    ("CharStorage", |number| vec![number]),
    ("ByteStorage", |number| vec![number]),
    ("BoolStorage", |number| vec![number]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_views_are_read_back(
        (kind, store) in prop::sample::select(&FORMATS[..]),
        layout in prop::collection::vec((0usize..4, 0usize..5), 0..5),
        offset in 0usize..4,
        spare in 0usize..3,
        seed in any::<u8>(),
    ) {
        let (shape, strides): (Vec<usize>, Vec<usize>) = layout.into_iter().unzip();
        let (_, end) = reach(offset, &shape, &strides).unwrap();
        let length = end + spare;
        let limit = if kind == "BoolStorage" { 2 } else { 128 };
        let numbers: Vec<u8> = (0..length).map(|i| (i as u8).wrapping_mul(37).wrapping_add(seed) % limit).collect();
        let stored: Vec<u8> = numbers.iter().flat_map(|number| store(*number)).collect();
        let mut expected = Vec::new();
        let all: Vec<f64> = numbers.into_iter().map(f64::from).collect();
        if !shape.contains(&0) {
            view(&all, offset, &shape, &strides, &mut expected);
        }
        let file = checkpoint(kind, &stored, length, offset, &shape, &strides);
        let tensor = read_bytes(Path::new("x.pt"), &file, None).unwrap().remove("x").unwrap();
        prop_assert_eq!(&tensor.shape, &shape);
        let values: Vec<f64> = match tensor.values {
            Array::F32(values) => values.into_iter().map(f64::from).collect(),
            Array::I64(values) => values.into_iter().map(|value| value as f64).collect(),
            Array::Other(name) => panic!("{name}"),
        };
        prop_assert_eq!(values, expected);
        // One value less, and the view reaches out of its storage.
        if end > 0 {
            let size = stored.len() / length;
            let short = checkpoint(kind, &stored[..(end - 1) * size], end - 1, offset, &shape, &strides);
            prop_assert!(read_bytes(Path::new("x.pt"), &short, None).is_err());
        }
    }
}

//! Against PyTorch: `tests/golden/make_encoders.py` made the expected numbers.

use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::Value;
use tch::Kind;

use super::*;
use crate::network::{Layout, choose_device, filled, splitmix64};
use visuomotor_core::time::Timestamp;

fn golden(name: &str) -> Value {
    let path = PathBuf::from(crate::CHECKOUT).join("tests/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The same as `image` in the script.
fn image(width: u32, height: u32, number: u64) -> Image {
    let (w, h) = (u64::from(width), u64::from(height));
    let pixel = |y, x, c| {
        let slope = (x * (c + 1) * 160 / w + y * (3 - c) * 64 / h) % 224;
        (slope + (splitmix64(number, (y * w + x) * 3 + c) >> 59)) as u8
    };
    let pixels = (0..h).flat_map(|y| (0..w).flat_map(move |x| (0..3).map(move |c| pixel(y, x, c)))).collect();
    Image { camera: "golden".into(), width, height, pixels, captured_at: Timestamp::ZERO, sequence: number }
}

fn of(entry: &Value) -> Image {
    let number = |key: &str| entry[key].as_u64().unwrap();
    image(number("width") as u32, number("height") as u32, number("number"))
}

fn largest_difference(ours: impl IntoIterator<Item = f64>, theirs: &[f64]) -> f64 {
    let ours: Vec<f64> = ours.into_iter().collect();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn embeddings_equal_pytorch() {
    let golden = golden("encoders.json");
    let seed = golden["seed"].as_u64().unwrap();
    for kind in EncoderKind::ALL {
        let encoder = Encoder::random(kind, seed, choose_device()).unwrap();
        let mut found = 0;
        for entry in golden["embeddings"].as_array().unwrap() {
            if entry["encoder"] != kind.to_string() {
                continue;
            }
            let embedding = encoder.encode(&of(entry)).unwrap();
            found += 1;
            let difference =
                largest_difference(embedding.values.iter().map(|v| f64::from(*v)), &numbers(&entry["values"]));
            println!("{kind} {}x{}: largest difference {difference:.2e}", entry["width"], entry["height"]);
            assert!(difference <= 1e-4, "{kind} {}x{}: {difference}", entry["width"], entry["height"]);
        }
        assert!(found > 0, "nothing to compare {kind} with");
    }
}

#[test]
fn preprocessing_equals_torchvision_and_pillow() {
    for entry in golden("preprocess.json").as_array().unwrap() {
        let image = of(entry);
        let squashed = policy_image(&image, 128).unwrap();
        let row = squashed.pixels[41 * 384..42 * 384].iter().map(|v| f64::from(*v));
        let difference = largest_difference(row, &numbers(&entry["squashed_row_41"]));
        println!("{}x{} squashed: {difference}", image.width, image.height);
        assert!(difference == 0.0, "{difference}");
        for (name, kind, zoom) in
            [("vip", EncoderKind::Vip, false), ("vip_zoom", EncoderKind::Vip, true), ("vptr", EncoderKind::Vptr, false)]
        {
            let x = preprocess::prepare(kind, &image, zoom).unwrap();
            let row = x.select(0, 0).select(1, 100).slice(1, None, None, 7).contiguous().view(-1);
            let difference = largest_difference(
                Vec::<f64>::try_from(row.to_kind(Kind::Double)).unwrap(),
                &numbers(&entry[format!("{name}_row_100")]),
            );
            assert!(difference < 1e-5, "{name} {}x{}: {difference}", image.width, image.height);
        }
    }
}

#[test]
fn every_way_of_computing_gives_the_same_embedding() {
    let images = tch::no_grad(|| preprocess::prepare(EncoderKind::Vip, &image(224, 224, 5), false).unwrap());
    for kind in [EncoderKind::Vip, EncoderKind::Vptr, EncoderKind::Mvp] {
        let embed = |inference: Option<Inference>| {
            let mut variables = VarStore::new(Device::Cpu);
            let mut network = kind.network(&variables.root()).unwrap();
            network::fill(&variables, 3).unwrap();
            variables.freeze();
            if let Some(inference) = inference {
                network.prepare(inference).unwrap();
            }
            tch::no_grad(|| network.forward(&images, false).unwrap())
        };
        let plain = embed(None);
        let norm = f64::try_from(plain.norm()).unwrap();
        let error = |other: &Tensor| f64::try_from((&plain - other).norm()).unwrap() / norm;
        for fold in [false, true] {
            for layout in [Layout::Planes, Layout::Pixels] {
                let error = error(&embed(Some(Inference { fold, layout, ..Inference::default() })));
                assert!(error < 1e-5, "{kind} fold {fold} {layout:?}: {error}");
            }
        }
        let rounded = embed(Some(Inference { precision: Precision::Bf16, ..Inference::default() }));
        let cosine = f64::try_from(Tensor::cosine_similarity(&plain, &rounded, 1, 1e-12)).unwrap();
        println!("{kind} bf16: cosine {cosine:.6}, relative distance {:.4}", error(&rounded));
        // Untrained V-PTR weights amplify noise through 50 layers of group normalization.
        let least = if kind == EncoderKind::Vptr { 0.99 } else { 0.999 };
        assert!(cosine > least, "{kind}: {cosine}");
    }
}

#[test]
fn an_embedding_does_not_depend_on_its_neighbors() {
    let encoder = Encoder::random(EncoderKind::Small, 1, choose_device()).unwrap();
    let images = [image(64, 48, 1), image(128, 128, 2)];
    let together = encoder.encode_batch(&images).unwrap();
    let alone = encoder.encode(&images[1]).unwrap();
    assert!(together[1].distance(&alone).unwrap() < 1e-5);
    assert!(encoder.encode_batch(&[]).unwrap().is_empty());
}

#[test]
fn a_dark_image_is_not_taken_for_a_scaled_one() {
    let dark = Image { pixels: vec![2; 224 * 224 * 3].into(), ..image(224, 224, 0) };
    let x = preprocess::prepare(EncoderKind::Vip, &dark, false).unwrap();
    let expected = (2.0 / 255.0 - 0.485) / 0.229;
    assert!((x.double_value(&[0, 0, 0, 0]) - expected).abs() < 1e-5);
}

#[test]
fn an_image_whose_buffer_does_not_fit_is_refused() {
    let broken = Image { width: 65, ..image(64, 64, 0) };
    let empty = Image { width: 0, pixels: Vec::new().into(), ..image(64, 64, 0) };
    let encoder = Encoder::random(EncoderKind::Small, 1, choose_device()).unwrap();
    for image in [broken, empty] {
        assert!(matches!(encoder.encode(&image), Err(EncoderError::Image(ImageError::Buffer { .. }))));
        assert!(policy_image(&image, 128).is_err());
    }
    assert!(policy_image(&image(64, 64, 0), 0).is_err());
}

#[test]
fn a_kind_in_a_file_is_its_name_and_an_unknown_one_is_refused_with_the_known_ones() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Settings {
        encoder: EncoderKind,
    }
    let read = |word: &str| {
        let text = format!("encoder = \"{word}\"\n");
        visuomotor_core::config::parse::<Settings>(Path::new("vip.toml"), &text).map(|settings| settings.encoder)
    };
    for kind in EncoderKind::ALL {
        assert_eq!(read(&kind.to_string()).unwrap(), kind);
        assert_eq!(toml::to_string(&Settings { encoder: kind }).unwrap(), format!("encoder = \"{kind}\"\n"));
    }
    let message = read("vgg").unwrap_err().to_string();
    for word in ["vip.toml:1: key `encoder`", "`vgg`", "`vip`", "`vptr`", "`r3m`", "`mvp`", "`small`"] {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn kinds_have_names() {
    for kind in EncoderKind::ALL {
        assert_eq!(kind.to_string().parse::<EncoderKind>().unwrap(), kind);
    }
    let error = "clip".parse::<EncoderKind>().unwrap_err().to_string();
    assert!(error.contains("clip") && error.contains("vip, vptr, r3m, mvp or small"), "{error}");
}

/// The small encoder's weights as a file, changed by `edit`.
fn small_file(edit: impl FnOnce(&mut Vec<(String, Vec<i64>, Vec<f32>)>)) -> (tempfile::TempDir, PathBuf) {
    let variables = VarStore::new(Device::Cpu);
    let _network = SmallNetwork::new(&variables.root()).unwrap();
    let mut arrays: Vec<_> = variables
        .variables()
        .into_iter()
        .map(|(name, variable)| {
            let values = filled(&name, &variable.size(), 9);
            (name, variable.size(), values)
        })
        .collect();
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    edit(&mut arrays);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    weights::write(&path, &arrays, "a test").unwrap();
    (folder, path)
}

#[test]
fn weights_from_a_file_equal_weights_from_the_seed() {
    let (_folder, path) = small_file(|_| {});
    let loaded = Encoder::load(EncoderKind::Small, &path, choose_device()).unwrap();
    let random = Encoder::random(EncoderKind::Small, 9, choose_device()).unwrap();
    let image = image(128, 128, 4);
    assert_eq!(loaded.encode(&image).unwrap().values, random.encode(&image).unwrap().values);
    assert_eq!(loaded.digest(), digest(&std::fs::read(&path).unwrap()));
    assert_ne!(loaded.digest(), random.digest());
    assert_eq!((loaded.dimension(), loaded.image_size()), (128, 128));
}

#[test]
fn saved_variables_load_again_under_a_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.safetensors");
    let variables = VarStore::new(Device::Cpu);
    let _network = SmallNetwork::new(&(variables.root() / "encoder")).unwrap();
    let _other = variables.root().zeros("policy", &[3]);
    network::fill(&variables, 2).unwrap();
    weights::save(&variables, &path, "a test").unwrap();
    Encoder::load_with(EncoderKind::Small, &path, "encoder.", EncoderOptions::default(), choose_device()).unwrap();
    assert!(Encoder::load(EncoderKind::Small, &path, choose_device()).is_err());
}

#[test]
fn files_that_do_not_fit_are_refused_with_file_key_found_expected_and_fix() {
    type Edit = fn(&mut Vec<(String, Vec<i64>, Vec<f32>)>);
    let cases: [(Edit, &str); 4] = [
        (|arrays| drop(arrays.remove(1)), "key `conv1.weight`: found nothing, expected shape [32, 5, 5, 5]"),
        (|arrays| arrays.push(("extra".into(), vec![1], vec![0.0])), "key `extra`: found a tensor, expected no tensor"),
        (|arrays| arrays[0].1 = vec![2, 16], "key `conv1.bias`: found shape [2, 16], expected shape [32]"),
        (|arrays| arrays[0].2[3] = f32::NAN, "key `conv1.bias`: found 1 values that are NaN"),
    ];
    for (edit, expected) in cases {
        let (_folder, path) = small_file(edit);
        let text = Encoder::load(EncoderKind::Small, &path, choose_device()).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.starts_with(path.to_str().unwrap()) && text.contains("; "), "{text}");
    }
    let (_folder, path) = small_file(|_| {});
    let text = Encoder::load(EncoderKind::Vip, &path, choose_device()).unwrap_err().to_string();
    assert!(text.contains("another network"), "{text}");
}

#[test]
fn files_of_another_kind_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    assert!(matches!(Weights::read(&path), Err(WeightsError::File { .. })));
    std::fs::write(&path, b"PK this is a zip file").unwrap();
    let text = Encoder::load(EncoderKind::Small, &path, choose_device()).unwrap_err().to_string();
    assert!(text.contains("visuomotor convert"), "{text}");
    let view = TensorView::new(Dtype::I64, vec![1], &[0; 8]).unwrap();
    let bytes = serialize([("log_temperature", view)], None).unwrap();
    let variables = VarStore::new(Device::Cpu);
    let _variable = variables.root().zeros("log_temperature", &[1]);
    let text = Weights::from_bytes(&path, bytes).unwrap().fill(&variables, "").unwrap_err().to_string();
    assert!(text.contains("found I64, expected f32"), "{text}");
}

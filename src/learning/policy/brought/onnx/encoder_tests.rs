//! Encoders written as ONNX (`encoder/write.rs`), compared with libtorch.

use super::*;
use crate::encoder::{Encoder, EncoderKind};
use crate::network::choose_device;
use visuomotor_core::observation::Image;
use visuomotor_core::onnx::Graph;
use visuomotor_core::time::Timestamp;

/// An image without a repeating pattern.
fn image(side: u32, seed: u64) -> Image {
    let pixels: Vec<u8> = (0..3 * u64::from(side) * u64::from(side))
        .map(|i| {
            let smooth = 40 * (i / 3 % u64::from(side)) / u64::from(side) + 90 * i / (3 * u64::from(side * side));
            (smooth + crate::network::splitmix64(seed, i) % 100) as u8
        })
        .collect();
    Image {
        camera: "front".into(),
        width: side,
        height: side,
        pixels: pixels.into(),
        captured_at: Timestamp::ZERO,
        sequence: 0,
    }
}

/// Largest difference of embeddings, relative to the largest number, of images of that side.
fn difference(kind: EncoderKind, side: u32) -> f64 {
    let encoder = Encoder::random(kind, 3, choose_device()).unwrap();
    let mut graph = Graph::default();
    let input = graph.input("image", &[1, 3, i64::from(side), i64::from(side)]);
    let embedding = encoder.write(&mut graph, &input, side).unwrap();
    let bytes = graph.finish("encoder", (&embedding, "embedding", &[1, encoder.dimension() as i64]));
    let mut onnx = Onnx { session: library::session(&bytes, Vec::new()).unwrap(), names: vec!["image".into()] };
    let mut worst = 0.0f64;
    for seed in 0..2 {
        let image = image(side, seed);
        let expected = encoder.encode(&image).unwrap().values;
        let planes = crate::encoder::preprocess::planes(&image).unwrap();
        let planes = planes.to_kind(Kind::Float).f_div_scalar(255.0).unwrap().contiguous();
        let Returned { shape, numbers } = onnx.forward(&[planes]).unwrap();
        assert_eq!(shape, [1, encoder.dimension() as i64]);
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        assert!(largest > 0.0);
        for (found, expected) in numbers.iter().zip(&expected) {
            worst = worst.max((found - f64::from(*expected)).abs() / f64::from(largest));
        }
    }
    worst
}

#[test]
fn the_small_encoder_is_the_same() {
    let worst = difference(EncoderKind::Small, 128);
    assert!(worst < 1e-5, "{worst:.1e}");
}

#[test]
fn large_encoders_are_the_same() {
    for kind in [EncoderKind::Vip, EncoderKind::R3m, EncoderKind::Mvp] {
        // As they are, and enlarged within the graph.
        for side in [224, 128] {
            let worst = difference(kind, side);
            assert!(worst < 1e-4, "{kind} at {side}: {worst:.1e}");
        }
    }
    // Random weights: norms divide by small spreads, and the two libraries sum in different orders (2.6e-4 was seen).
    let worst = difference(EncoderKind::Vptr, 128);
    assert!(worst < 1e-3, "{worst:.1e}");
}

#[test]
fn preprocessing_that_a_graph_cannot_do_is_refused() {
    let encoder = Encoder::random(EncoderKind::Small, 1, choose_device()).unwrap();
    let mut graph = Graph::default();
    let input = graph.input("image", &[1, 3, 96, 96]);
    let message = encoder.write(&mut graph, &input, 96).unwrap_err().to_string();
    assert!(message.contains("small") && message.contains("96") && message.contains("128"), "{message}");
}

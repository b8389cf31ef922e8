//! Encoders as ONNX graphs, including their image preprocessing.

use tch::TchError;

use super::preprocess::{IMAGENET_DEVIATION, IMAGENET_MEAN, LARGE_SIZE, POLICY_SIZE, VIP_SHORTER_SIDE};
use super::{Encoder, EncoderError, EncoderKind};
use visuomotor_core::onnx::{Attribute, Graph, Value};

impl EncoderKind {
    /// Image side of a graph of the encoder alone \[pixels\]: images squashed to this size need arithmetic only, no resizing.
    pub fn graph_size(self) -> u32 {
        if self.sees_policy_images() { POLICY_SIZE } else { LARGE_SIZE as u32 }
    }
}

impl Encoder {
    /// Writes the encoder into a graph: an image (1, 3, side, side), RGB in 0..1 -> embedding (1, dimension).
    pub fn write(&self, graph: &mut Graph, image: &Value, side: u32) -> Result<Value, EncoderError> {
        let kind = self.kind();
        let prepared = match kind {
            EncoderKind::Small | EncoderKind::Vptr if side != POLICY_SIZE => {
                return Err(kind.cannot_be_written(side, &format!("it takes images of {POLICY_SIZE} pixels")));
            }
            EncoderKind::Small => image.clone(),
            EncoderKind::Vptr => resize(graph, image, LARGE_SIZE),
            EncoderKind::Vip | EncoderKind::R3m | EncoderKind::Mvp => vip(kind, graph, image, side)?,
        };
        self.network.write(graph, &prepared).map_err(|error: TchError| kind.refused(error))
    }
}

impl EncoderKind {
    fn cannot_be_written(self, side: u32, why: &str) -> EncoderError {
        EncoderError::NotWritten { kind: self, side, why: why.into() }
    }
}

/// VIP's preprocessing (see [`super::preprocess`]).
fn vip(kind: EncoderKind, graph: &mut Graph, image: &Value, side: u32) -> Result<Value, EncoderError> {
    let mut x = image.clone();
    if i64::from(side) != LARGE_SIZE {
        if i64::from(side) > VIP_SHORTER_SIDE {
            let why = format!(
                "images above {VIP_SHORTER_SIDE} pixels are reduced with antialiasing, which opset 17 does not have"
            );
            return Err(kind.cannot_be_written(side, &why));
        }
        // Enlarging needs no antialiasing.
        x = resize(graph, &x, VIP_SHORTER_SIDE);
        let corner = (VIP_SHORTER_SIDE - LARGE_SIZE) / 2;
        for axis in [2, 3] {
            x = graph.narrow(&x, axis, corner, corner + LARGE_SIZE);
        }
    }
    let (mean, deviation) =
        (graph.constant(&[1, 3, 1, 1], &IMAGENET_MEAN), graph.constant(&[1, 3, 1, 1], &IMAGENET_DEVIATION));
    let x = graph.apply("Sub", &[&x, &mean], &[]);
    Ok(graph.apply("Div", &[&x, &deviation], &[]))
}

/// Bilinear, with half-pixel centers: (1, 3, H, W) -> (1, 3, side, side).
fn resize(graph: &mut Graph, image: &Value, side: i64) -> Value {
    let sizes = graph.integers(&[1, 3, side, side]);
    let nothing = Graph::nothing();
    let attributes =
        [("mode", Attribute::Text("linear")), ("coordinate_transformation_mode", Attribute::Text("half_pixel"))];
    graph.apply("Resize", &[image, &nothing, &nothing, &sizes], &attributes)
}

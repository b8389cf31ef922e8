//! Where to grasp and release, seen in the image before acting.
//!
//! From the embedding and the task alone it predicts where the tool will be when the fingers close and when they open next
//! (`places`). The labels come from hindsight: where the demonstrator's tool was at those moments. Heads take these places
//! and their offset from the tool, so that aiming is mostly a subtraction.

use tch::nn::{self, Module};
use tch::{TchError, Tensor};

use super::head::STATE;
use crate::network::write;
use visuomotor_core::onnx::{Attribute, Graph, Value};

/// Numbers of `places`: grasp x, y, yaw; release x, y; in the scaled units of the state.
pub const PLACES: i64 = 5;
/// Which state numbers the places are compared with.
const COMPARED: [i64; PLACES as usize] = [0, 1, 5, 0, 1];
/// Hidden width.
const LOCATE: i64 = 128;

/// Variables: `locate0`, `places`, each `{weight,bias}`.
pub(super) struct Locator {
    locate: nn::Linear,
    places: nn::Linear,
}

impl Locator {
    /// For embeddings of `dimension` numbers and `tasks` one-hot numbers.
    pub fn new(path: &nn::Path, dimension: i64, tasks: i64) -> Self {
        let linear = |name: &str, from: i64, to: i64| nn::linear(path / name, from, to, Default::default());
        Self { locate: linear("locate0", dimension + tasks, LOCATE), places: linear("places", LOCATE, PLACES) }
    }

    /// Embeddings (B, D) and conditions (B, 7 + tasks) -> places (B, 5). The state is not used, so that the places cannot
    /// follow the tool.
    pub fn places(&self, embedding: &Tensor, condition: &Tensor) -> Result<Tensor, TchError> {
        let task = condition.f_narrow(1, STATE, condition.size()[1] - STATE)?;
        let located = apply(&self.locate, &Tensor::f_cat(&[embedding, &task], 1)?)?.f_relu_()?;
        apply(&self.places, &located)
    }

    /// Offset from the tool to the places (B, 5), in scaled units.
    pub fn way(places: &Tensor, condition: &Tensor) -> Result<Tensor, TchError> {
        let compared = Tensor::f_from_slice(&COMPARED)?.f_to_device(condition.device())?;
        places.f_sub(&condition.f_index_select(1, &compared)?)
    }

    /// Writes [`Locator::places`] and [`Locator::way`] into an ONNX graph.
    pub fn write(&self, graph: &mut Graph, embedding: &Value, condition: &Value) -> Result<[Value; 2], TchError> {
        let task = graph.narrow(condition, 1, STATE, i64::MAX);
        let seen = graph.concatenate(&[embedding, &task], 1);
        let located = write::linear(graph, &seen, &self.locate)?;
        let located = write::relu(graph, &located);
        let places = write::linear(graph, &located, &self.places)?;
        let compared = graph.integers(&COMPARED);
        let compared = graph.apply("Gather", &[condition, &compared], &[("axis", Attribute::Int(1))]);
        let way = graph.apply("Sub", &[&places, &compared], &[]);
        Ok([places, way])
    }
}

/// A linear layer whose shape mismatch is an error instead of a panic.
pub(super) fn apply(layer: &nn::Linear, x: &Tensor) -> Result<Tensor, TchError> {
    let (width, expected) = (x.size().last().copied(), layer.ws.size()[1]);
    if width != Some(expected) {
        return Err(TchError::Shape(format!("features {:?} were given, (B, {expected}) are expected", x.size())));
    }
    Ok(layer.forward(x))
}

//! The action head: embedding and condition -> where to grasp and release ([`Locator`](super::locator)) -> a tanh-Gaussian
//! action. Executed at its mean: `tanh(mean)`, in the action bounds' normalized units.

use tch::nn;
use tch::{TchError, Tensor};

use super::locator::{Locator, PLACES, apply};
use crate::network::write;
use visuomotor_core::onnx::{Graph, Value};

/// Range the log standard deviation is clipped to (PTR, V-PTR).
pub const LOG_STD_RANGE: (f64, f64) = (-5.0, 2.0);

/// Number of action dimensions.
pub(super) const ACTIONS: i64 = 7;
/// Numbers of a state in a condition: x, y, z, roll, pitch, yaw, gripper.
pub(super) const STATE: i64 = 7;

/// Multilayer perceptrons with ReLU.
///
/// Variables: `locate0`, `places`, `hidden0..`, `mean`, `log_std`, each `{weight,bias}`.
pub struct ActionHead {
    locator: Locator,
    hidden: Vec<nn::Linear>,
    mean: nn::Linear,
    log_std: nn::Linear,
}

/// Output for a batch of B.
pub struct Output {
    /// tanh(mean) (B, 7) in \[-1, 1\].
    pub mean: Tensor,
    /// Log standard deviation (B, 7) of the pre-tanh action; its gradient stays in its own layer.
    pub log_std: Tensor,
    /// Where to grasp and release (B, 5), scaled as the state.
    pub places: Tensor,
}

impl ActionHead {
    /// A head for embeddings of `dimension` numbers and conditions of a state and `tasks` one-hot numbers, with hidden
    /// layers of `widths` units.
    pub fn new(path: &nn::Path, dimension: i64, tasks: i64, widths: &[i64]) -> Self {
        let linear = |name: String, from: i64, to: i64| nn::linear(path / name, from, to, Default::default());
        let locator = Locator::new(path, dimension, tasks);
        let mut hidden = Vec::new();
        let mut from = dimension + STATE + tasks + 2 * PLACES;
        for (i, width) in widths.iter().enumerate() {
            hidden.push(linear(format!("hidden{i}"), from, *width));
            from = *width;
        }
        let (mean, log_std) = (linear("mean".into(), from, ACTIONS), linear("log_std".into(), from, ACTIONS));
        Self { locator, hidden, mean, log_std }
    }

    /// Embeddings (B, D) and conditions (B, 7 + tasks) -> action and places.
    pub fn forward(&self, embedding: &Tensor, condition: &Tensor) -> Result<Output, TchError> {
        // Locate, and aim at the places.
        let places = self.locator.places(embedding, condition)?;
        let way = Locator::way(&places, condition)?;
        // Act.
        let mut x = Tensor::f_cat(&[embedding, condition, &places, &way], 1)?;
        for layer in &self.hidden {
            x = apply(layer, &x)?.f_relu_()?;
        }
        let mean = apply(&self.mean, &x)?.f_tanh()?;
        // Its loss measures the error of the mean and must not change the mean's features: no gradient reaches the layers
        // below.
        let log_std = apply(&self.log_std, &x.f_detach()?)?.f_clamp(LOG_STD_RANGE.0, LOG_STD_RANGE.1)?;
        Ok(Output { mean, log_std, places })
    }

    /// Writes what is executed, tanh(mean), into an ONNX graph.
    pub fn write(&self, graph: &mut Graph, embedding: &Value, condition: &Value) -> Result<Value, TchError> {
        let [places, way] = self.locator.write(graph, embedding, condition)?;
        let mut x = graph.concatenate(&[embedding, condition, &places, &way], 1);
        for layer in &self.hidden {
            let y = write::linear(graph, &x, layer)?;
            x = write::relu(graph, &y);
        }
        let mean = write::linear(graph, &x, &self.mean)?;
        Ok(graph.apply("Tanh", &[&mean], &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn shapes_fit_and_the_places_do_not_depend_on_the_state() {
        let store = nn::VarStore::new(Device::Cpu);
        let head = ActionHead::new(&store.root(), 8, 4, &[16]);
        let embedding = Tensor::rand([3, 8], (Kind::Float, Device::Cpu));
        let condition = |state: f64| {
            Tensor::cat(
                &[
                    Tensor::full([3, 7], state, (Kind::Float, Device::Cpu)),
                    Tensor::ones([3, 4], (Kind::Float, Device::Cpu)),
                ],
                1,
            )
        };
        let (a, b) =
            (head.forward(&embedding, &condition(0.0)).unwrap(), head.forward(&embedding, &condition(1.0)).unwrap());
        assert_eq!((a.mean.size(), a.log_std.size(), a.places.size()), (vec![3, 7], vec![3, 7], vec![3, PLACES]));
        assert!(a.places.equal(&b.places));
        assert!(!a.mean.equal(&b.mean));
    }

    #[test]
    fn the_spread_trains_only_its_own_layer() {
        let store = nn::VarStore::new(Device::Cpu);
        let options = (Kind::Float, Device::Cpu);
        let head = ActionHead::new(&store.root(), 8, 4, &[16, 16]);
        let embedding = Tensor::rand([3, 8], options).set_requires_grad(true);
        let output = head.forward(&embedding, &Tensor::rand([3, 11], options)).unwrap();
        output.log_std.sum(Kind::Float).backward();
        for (name, variable) in store.variables() {
            assert_eq!(variable.grad().defined(), name.starts_with("log_std"), "{name}");
        }
        assert!(!embedding.grad().defined(), "the encoder was moved by the spread");
    }

    #[test]
    fn an_embedding_of_another_length_is_an_error() {
        let store = nn::VarStore::new(Device::Cpu);
        let head = ActionHead::new(&store.root(), 8, 4, &[16]);
        let options = (Kind::Float, Device::Cpu);
        assert!(head.forward(&Tensor::zeros([1, 9], options), &Tensor::zeros([1, 11], options)).is_err());
    }
}

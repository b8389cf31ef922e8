//! The tanh-Gaussian action head: features -> mean and log standard deviation of the pre-tanh action.
//!
//! Executed at its mean: `tanh(mean)`, in the action bounds' normalized units.

use tch::nn::{self, Module};
use tch::{TchError, Tensor};

/// Range the log standard deviation is clipped to (PTR, V-PTR).
pub const LOG_STD_RANGE: (f64, f64) = (-5.0, 2.0);

/// Number of action dimensions.
const ACTIONS: i64 = 7;

/// A multilayer perceptron with ReLU and two linear outputs.
///
/// Variables: `hidden0..`, `mean`, `log_std`, each `{weight,bias}`.
pub struct ActionHead {
    hidden: Vec<nn::Linear>,
    mean: nn::Linear,
    log_std: nn::Linear,
}

impl ActionHead {
    /// `inputs` features, hidden layers of `widths` units.
    pub fn new(path: &nn::Path, inputs: i64, widths: &[i64]) -> Self {
        let mut hidden = Vec::new();
        let mut from = inputs;
        for (i, width) in widths.iter().enumerate() {
            hidden.push(nn::linear(path / format!("hidden{i}"), from, *width, Default::default()));
            from = *width;
        }
        let mean = nn::linear(path / "mean", from, ACTIONS, Default::default());
        let log_std = nn::linear(path / "log_std", from, ACTIONS, Default::default());
        Self { hidden, mean, log_std }
    }

    /// Features (B, inputs) -> tanh(mean) (B, 7) in \[-1, 1\] and log standard deviation (B, 7) of the pre-tanh action.
    pub fn forward(&self, features: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let mut x = features.shallow_clone();
        for layer in &self.hidden {
            x = apply(layer, &x)?.f_relu_()?;
        }
        let mean = apply(&self.mean, &x)?.f_tanh()?;
        let log_std = apply(&self.log_std, &x)?.f_clamp(LOG_STD_RANGE.0, LOG_STD_RANGE.1)?;
        Ok((mean, log_std))
    }
}

/// A linear layer whose shape mismatch is an error instead of a panic.
fn apply(layer: &nn::Linear, x: &Tensor) -> Result<Tensor, TchError> {
    let (width, expected) = (x.size().last().copied(), layer.ws.size()[1]);
    if width != Some(expected) {
        return Err(TchError::Shape(format!("features {:?} were given, (B, {expected}) are expected", x.size())));
    }
    Ok(layer.forward(x))
}

//! Multilayer perceptrons with ReLU whose conditioning may be appended again after every hidden layer.
//!
//! V-PTR found that a critic on images ignores its action in a wide network unless the action enters every layer: after each
//! hidden layer, the last one included, `again` is concatenated to the output (V-PTR `networks/mlp.py`).

use tch::nn::{self, Init};
use tch::{TchError, Tensor};

use super::write;
use visuomotor_core::onnx::{Graph, Value};

/// A dense layer that starts with an orthogonal kernel; `weight`: (out, in), `bias`: (out), zero.
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// A layer from `input` to `output` numbers whose kernel starts orthogonal, times `gain`.
    pub fn new(path: &nn::Path, input: i64, output: i64, gain: f64) -> Result<Self, TchError> {
        let weight = path.f_var("weight", &[output, input], Init::Orthogonal { gain })?;
        Ok(Self { weight, bias: path.f_zeros("bias", &[output])? })
    }

    /// (..., in) -> (..., out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let expected = self.weight.size()[1];
        if x.size().last() != Some(&expected) {
            return Err(TchError::Shape(format!("features {:?} were given, (..., {expected}) are expected", x.size())));
        }
        x.f_linear(&self.weight, Some(&self.bias))
    }

    /// Writes the layer into an ONNX graph: (B, in) -> (B, out).
    pub fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        write::dense(graph, x, &self.weight, &self.bias)
    }
}

/// Hidden layers: (..., input) -> (..., [`Perceptron::dimension`]).
///
/// Variables: `hidden0..`, each `{weight,bias}`.
pub struct Perceptron {
    hidden: Vec<Linear>,
    dimension: i64,
}

impl Perceptron {
    /// Hidden layers of `widths` units behind `input` numbers; `again` numbers are appended after each of them.
    pub fn new(path: &nn::Path, input: i64, again: i64, widths: &[i64]) -> Result<Self, TchError> {
        let (mut hidden, mut dimension) = (Vec::new(), input);
        for (i, width) in widths.iter().enumerate() {
            hidden.push(Linear::new(&(path / format!("hidden{i}")), dimension, *width, std::f64::consts::SQRT_2)?);
            dimension = width + again;
        }
        Ok(Self { hidden, dimension })
    }

    /// Length of the output.
    pub fn dimension(&self) -> i64 {
        self.dimension
    }

    /// (..., input) and (..., again) -> (..., dimension); `again` is `None` where nothing is appended.
    pub fn forward(&self, input: &Tensor, again: Option<&Tensor>) -> Result<Tensor, TchError> {
        let mut x = input.shallow_clone();
        for layer in &self.hidden {
            x = layer.forward(&x)?.f_relu()?;
            if let Some(again) = again {
                x = Tensor::f_cat(&[&x, again], -1)?;
            }
        }
        Ok(x)
    }

    /// Writes hidden layers after which nothing is appended into an ONNX graph: (B, input) -> (B, dimension).
    pub fn write(&self, graph: &mut Graph, input: &Value) -> Result<Value, TchError> {
        self.hidden.iter().try_fold(input.clone(), |x, layer| {
            let y = layer.write(graph, &x)?;
            Ok(write::relu(graph, &y))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn what_is_appended_again_reaches_the_output_untouched() {
        let store = nn::VarStore::new(Device::Cpu);
        let net = Perceptron::new(&store.root(), 4, 2, &[6, 5]).unwrap();
        assert_eq!(net.dimension(), 7);
        let again = Tensor::rand([3, 2], OPTIONS);
        let out = net.forward(&Tensor::rand([3, 4], OPTIONS), Some(&again)).unwrap();
        assert_eq!(out.size(), [3, 7]);
        assert!(out.narrow(1, 5, 2).equal(&again));
    }

    #[test]
    fn forgetting_what_is_appended_again_is_an_error() {
        let store = nn::VarStore::new(Device::Cpu);
        let net = Perceptron::new(&store.root(), 4, 2, &[6, 5]).unwrap();
        assert!(net.forward(&Tensor::rand([3, 4], OPTIONS), None).is_err());
    }

    #[test]
    fn kernels_start_orthogonal() {
        let store = nn::VarStore::new(Device::Cpu);
        let layer = Linear::new(&store.root(), 6, 4, 0.5).unwrap();
        let product = layer.weight.matmul(&layer.weight.tr());
        let expected = Tensor::eye(4, OPTIONS) * 0.25;
        assert!(f64::try_from((product - expected).abs().max()).unwrap() < 1e-5);
    }
}

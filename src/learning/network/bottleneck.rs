//! What PTR and V-PTR put between an encoder and its heads: Dense -> LayerNorm -> tanh.
//!
//! (B, D) embedding -> (B, L) latent in \[-1, 1\]. The actor and the critic have one each. A bounded latent keeps the
//! heads' inputs in a fixed range however far the encoder's features drift while it is fine-tuned.

use tch::nn::{self, Init};
use tch::{TchError, Tensor};

use super::layers::LayerNorm;
use super::write;
use visuomotor_core::onnx::{Graph, Value};

/// Embeddings (B, D) -> latents (B, L).
///
/// Variables: `dense.weight` (L, D), `dense.bias` (L), `norm.weight` (L), `norm.bias` (L).
pub struct Bottleneck {
    weight: Tensor,
    bias: Tensor,
    norm: LayerNorm,
}

impl Bottleneck {
    /// A bottleneck for embeddings of `dimension` numbers with `latent` outputs; the kernel starts Xavier-normal.
    pub fn new(path: &nn::Path, dimension: i64, latent: i64) -> Result<Self, TchError> {
        let dense = path / "dense";
        let stdev = (2.0 / (dimension + latent) as f64).sqrt();
        Ok(Self {
            weight: dense.f_var("weight", &[latent, dimension], Init::Randn { mean: 0.0, stdev })?,
            bias: dense.f_zeros("bias", &[latent])?,
            norm: LayerNorm::new(&(path / "norm"), latent)?,
        })
    }

    /// (B, D) -> (B, L), each number in \[-1, 1\].
    pub fn forward(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        let expected = self.weight.size()[1];
        if embedding.size().last() != Some(&expected) {
            let found = embedding.size();
            return Err(TchError::Shape(format!("embeddings {found:?} were given, (B, {expected}) are expected")));
        }
        let x = embedding.f_linear(&self.weight, Some(&self.bias))?;
        self.norm.forward(&x)?.f_tanh()
    }

    /// Writes it into an ONNX graph.
    pub fn write(&self, graph: &mut Graph, embedding: &Value) -> Result<Value, TchError> {
        let x = write::dense(graph, embedding, &self.weight, &self.bias)?;
        let y = self.norm.write(graph, &x)?;
        Ok(graph.apply("Tanh", &[&y], &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_latent_is_bounded_and_blind_to_the_embeddings_scale() {
        let store = nn::VarStore::new(Device::Cpu);
        let bottleneck = Bottleneck::new(&store.root(), 5, 8).unwrap();
        let x = Tensor::rand([3, 5], (Kind::Float, Device::Cpu));
        let (small, large) = (bottleneck.forward(&x).unwrap(), bottleneck.forward(&(&x * 1000.0)).unwrap());
        assert_eq!(small.size(), [3, 8]);
        assert!(f64::try_from(large.abs().max()).unwrap() <= 1.0);
        // The bias starts at zero, so LayerNorm takes the scale out.
        assert!(f64::try_from((small - large).abs().max()).unwrap() < 1e-3);
    }

    #[test]
    fn an_embedding_of_another_length_is_an_error() {
        let store = nn::VarStore::new(Device::Cpu);
        let bottleneck = Bottleneck::new(&store.root(), 5, 8).unwrap();
        let error = bottleneck.forward(&Tensor::zeros([1, 6], (Kind::Float, Device::Cpu))).unwrap_err().to_string();
        assert!(error.contains("[1, 6]") && error.contains("(B, 5)"), "{error}");
    }
}

//! An image encoder during training: network, preprocessing and number format in one.

use std::path::Path;

use anyhow::Context;
use tch::{Device, Kind, TchError, Tensor, nn};

use crate::encoder::weights::{self, Weights};
use crate::encoder::{EncoderKind, preprocess};
use crate::network::ImageNetwork;

/// An encoder over its own variables.
pub struct TrainedEncoder {
    /// The network's variables, named as in its weights file.
    pub variables: nn::VarStore,
    kind: EncoderKind,
    network: Box<dyn ImageNetwork>,
    bf16: bool,
    zoom: bool,
    frozen: bool,
}

impl TrainedEncoder {
    /// An encoder on `device` with the weights of a file; without one, libtorch's generator draws them, which the caller has seeded. With
    /// `bf16` activations are in bf16 (about twice as fast on a CPU with AMX); variables, their gradients and the embedding
    /// stay f32.
    pub fn new(kind: EncoderKind, weights: Option<&Path>, bf16: bool, device: Device) -> anyhow::Result<Self> {
        let variables = nn::VarStore::new(device);
        let network = kind.network(&variables.root())?;
        if let Some(file) = weights {
            Weights::read(file)?.fill(&variables, "").with_context(|| format!("encoder `{kind}`"))?;
        }
        Ok(Self { variables, kind, network, bf16, zoom: false, frozen: false })
    }

    /// VIP only: zooms by 8/7 into 224x224 images too, as VIP's training does after its random crop.
    pub fn with_zoom(mut self, zoom: bool) -> Self {
        self.zoom = zoom;
        self
    }

    /// Freezes it: its variables get no gradients and BatchNorm keeps its statistics.
    pub fn freeze(&mut self) {
        self.variables.freeze();
        self.frozen = true;
    }

    /// Is it frozen?
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Its kind.
    pub fn kind(&self) -> EncoderKind {
        self.kind
    }

    /// Embeddings (B, D), f32, of images (B, 3, S, S), f32, RGB in 0..1, on any device.
    ///
    /// `train` lets BatchNorm use and update the batch's statistics, unless the encoder is frozen.
    pub fn embed(&self, images: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let images = images.f_to_device(self.variables.device())?;
        let images = preprocess::network_input(self.kind, &images, 1.0, self.zoom)?;
        let images = if self.bf16 { images.f_to_kind(Kind::BFloat16)? } else { images };
        self.network.forward(&images, train && !self.frozen)?.f_to_kind(Kind::Float)
    }

    /// Length D of an embedding.
    pub fn dimension(&self) -> i64 {
        self.network.dimension()
    }

    /// Side of the network's input images \[pixels\]; images for `small` must have this size.
    pub fn image_size(&self) -> i64 {
        self.network.image_size()
    }

    /// A frozen encoder with the same weights: a target network, updated with [`soft_update`]. Making it draws from
    /// libtorch's generator.
    pub fn copy(&self) -> anyhow::Result<Self> {
        let mut copy = Self::new(self.kind, None, self.bf16, self.variables.device())?.with_zoom(self.zoom);
        soft_update(&copy.variables, &self.variables, 1.0)?;
        copy.freeze();
        Ok(copy)
    }

    /// Writes the weights atomically as f32 safetensors; programs that embed images load them.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        super::checkpoint::write_files(&[(file.to_path_buf(), self.to_bytes(file)?)])
    }

    /// The bytes that [`TrainedEncoder::save`] writes; `file` is for messages only.
    pub fn to_bytes(&self, file: &Path) -> anyhow::Result<Vec<u8>> {
        weights_bytes(&self.variables, file)
    }
}

/// The variables of a store as the bytes of a weights file; `file` is for messages only.
pub fn weights_bytes(variables: &nn::VarStore, file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut arrays = Vec::new();
    for (name, variable) in variables.variables() {
        let flat = variable.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
        arrays.push((name, variable.size(), Vec::<f32>::try_from(flat)?));
    }
    Ok(weights::to_bytes(file, &arrays, "training")?)
}

/// Moves a target's variables towards a source's, in place: target <- (1 - rate) target + rate source. The two stores hold
/// variables of the same names and shapes; a rate of 1 copies.
pub fn soft_update(target: &nn::VarStore, source: &nn::VarStore, rate: f64) -> Result<(), TchError> {
    let source = source.variables();
    tch::no_grad(|| {
        for (name, mut variable) in target.variables() {
            let Some(value) = source.get(&name) else {
                return Err(TchError::TensorNameNotFound(name, "the network a target follows".into()));
            };
            if rate == 1.0 {
                variable.f_copy_(value)?;
            } else {
                let _ = variable.f_mul_scalar_(1.0 - rate)?.f_add_(&value.f_mul_scalar(rate)?)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{self, choose_device};

    fn images() -> Tensor {
        let shape = [2, 3, 128, 128];
        let values = network::filled("images", &shape, 3);
        let most = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        (Tensor::from_slice(&values).reshape(shape) / f64::from(most)).abs()
    }

    fn encoder(bf16: bool) -> TrainedEncoder {
        let encoder = TrainedEncoder::new(EncoderKind::Small, None, bf16, choose_device()).unwrap();
        network::fill(&encoder.variables, 5).unwrap();
        encoder
    }

    fn gap(a: &Tensor, b: &Tensor) -> f64 {
        f64::try_from((a - b).abs().max()).unwrap()
    }

    #[test]
    fn a_copy_embeds_the_same_and_gets_no_gradients() {
        let encoder = encoder(false);
        let copy = encoder.copy().unwrap();
        let out = encoder.embed(&images(), true).unwrap();
        assert_eq!(out.size(), [2, encoder.dimension()]);
        assert_eq!(gap(&out, &copy.embed(&images(), true).unwrap()), 0.0);
        assert!(out.requires_grad() && copy.is_frozen() && !copy.embed(&images(), true).unwrap().requires_grad());
        out.sum(Kind::Float).backward();
        assert!(copy.variables.variables().values().all(|variable| !variable.grad().defined()));
    }

    #[test]
    fn a_target_moves_by_its_rate_and_nothing_else_does() {
        let (encoder, target) = (encoder(false), encoder(false).copy().unwrap());
        tch::no_grad(|| {
            for (_, mut variable) in encoder.variables.variables() {
                let _ = variable.f_add_scalar_(1.0).unwrap();
            }
        });
        let before = target.variables.variables()["conv1.weight"].copy();
        let source = encoder.variables.variables()["conv1.weight"].copy();
        soft_update(&target.variables, &encoder.variables, 0.25).unwrap();
        let after = &target.variables.variables()["conv1.weight"];
        assert!(gap(after, &(before + 0.25)) < 1e-6);
        assert_eq!(gap(&source, &encoder.variables.variables()["conv1.weight"]), 0.0);
    }

    #[test]
    fn bf16_changes_the_activations_only() {
        let (exact, fast) = (encoder(false), encoder(true));
        let (a, b) = (exact.embed(&images(), true).unwrap(), fast.embed(&images(), true).unwrap());
        assert_eq!(b.kind(), Kind::Float);
        let off = gap(&a, &b);
        assert!(off > 0.0 && off < 0.1, "{off}");
        assert!(fast.variables.variables().values().all(|variable| variable.kind() == Kind::Float));
    }

    #[test]
    fn saved_weights_are_the_ones_an_encoder_loads_and_another_network_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("encoder.safetensors");
        encoder(false).save(&file).unwrap();
        let back = TrainedEncoder::new(EncoderKind::Small, Some(&file), false, choose_device()).unwrap();
        let (a, b) = (encoder(false).embed(&images(), false).unwrap(), back.embed(&images(), false).unwrap());
        assert_eq!(gap(&a, &b), 0.0);
        let error = TrainedEncoder::new(EncoderKind::Vptr, Some(&file), false, choose_device()).err().unwrap();
        let message = format!("{error:#}");
        assert!(message.contains("encoder.safetensors") && message.contains("another network"), "{message}");
    }

    #[test]
    fn the_large_encoder_trains_in_bf16_and_keeps_its_statistics_when_frozen() {
        let mut encoder = TrainedEncoder::new(EncoderKind::Vip, None, true, choose_device()).unwrap();
        let mean = |encoder: &TrainedEncoder| encoder.variables.variables()["bn1.running_mean"].copy();
        let before = mean(&encoder);
        let out = encoder.embed(&images(), true).unwrap();
        assert_eq!((out.size(), out.kind()), (vec![2, 1024], Kind::Float));
        out.square().sum(Kind::Float).backward();
        assert!(encoder.variables.variables()["conv1.weight"].grad().defined());
        let moved = mean(&encoder);
        assert!(gap(&before, &moved) > 0.0);
        encoder.freeze();
        let out = encoder.embed(&images(), true).unwrap();
        assert!(!out.requires_grad());
        assert_eq!(gap(&moved, &mean(&encoder)), 0.0);
    }
}

//! Turns camera images into embeddings with pretrained weights.
//!
//! [`Encoder`] = preprocessing ([`preprocess`]) + network (`network/`) + weights file ([`weights`]); [`checkpoint`]
//! reads the files PyTorch writes, without executing anything in them. Images are u8 RGB of any size, embeddings plain
//! `f32` with the digest of the weights. What is refused, with the file, the key, what was found, what was expected and
//! what to do: weights that are missing, too many, of another shape or not finite; images whose buffer does not fit
//! their size; embeddings that are not finite.
//! Start reading at [`Encoder`].

pub mod checkpoint;
pub mod preprocess;
mod squash;
pub mod weights;
mod write;

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::nn::VarStore;
use tch::{Device, TchError, Tensor};

use crate::network::{
    self, ImageNetwork, Inference, Precision, Recording, ResNet50, ResNetV2, SmallNetwork, VisionTransformer,
};
use visuomotor_core::config::digest;
use visuomotor_core::embedding::Embedding;
use visuomotor_core::observation::Image;

use preprocess::ImageError;
use weights::{Weights, WeightsError};

pub use preprocess::policy_image;

/// Which network, and with it which preprocessing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderKind {
    /// VIP's ResNet-50 with BatchNorm: 1024-d, ImageNet statistics removed.
    Vip,
    /// V-PTR's ResNetV2-50 (ICVF-pretrained): 2048-d, images in 0..1.
    Vptr,
    /// R3M's ResNet-50 without a head: 2048-d, ImageNet statistics removed.
    R3m,
    /// MVP's ViT-B/16: 768-d, ImageNet statistics removed.
    Mvp,
    /// The keypoint network for a CPU: 128-d, 128x128 images in 0..1.
    Small,
}

impl EncoderKind {
    /// All kinds.
    pub const ALL: [EncoderKind; 5] =
        [EncoderKind::Vip, EncoderKind::Vptr, EncoderKind::R3m, EncoderKind::Mvp, EncoderKind::Small];

    /// Are images squashed to the policy's 128x128 before anything else?
    pub fn sees_policy_images(self) -> bool {
        matches!(self, EncoderKind::Vptr | EncoderKind::Small)
    }

    /// Licence of the weights that the authors published; the other kinds have no published weights.
    pub fn license_of_published_weights(self) -> Option<&'static str> {
        match self {
            EncoderKind::Vip => Some("CC BY-NC 4.0: not for commercial use (facebookresearch/vip)"),
            EncoderKind::R3m => Some("MIT (facebookresearch/r3m)"),
            EncoderKind::Mvp => Some("none is stated (ir413/mvp); ask its authors"),
            EncoderKind::Vptr | EncoderKind::Small => None,
        }
    }

    /// A network of this kind over the variables of `path`, trainable, initialized by libtorch's generator.
    pub fn network(self, path: &tch::nn::Path) -> Result<Box<dyn ImageNetwork>, TchError> {
        Ok(match self {
            EncoderKind::Vip => Box::new(ResNet50::new(path)?),
            EncoderKind::Vptr => Box::new(ResNetV2::new(path)?),
            EncoderKind::R3m => Box::new(ResNet50::headless(path)?),
            EncoderKind::Mvp => Box::new(VisionTransformer::new(path)?),
            EncoderKind::Small => Box::new(SmallNetwork::new(path)?),
        })
    }
}

impl fmt::Display for EncoderKind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            EncoderKind::Vip => "vip",
            EncoderKind::Vptr => "vptr",
            EncoderKind::R3m => "r3m",
            EncoderKind::Mvp => "mvp",
            EncoderKind::Small => "small",
        })
    }
}

impl FromStr for EncoderKind {
    type Err = EncoderError;
    fn from_str(text: &str) -> Result<Self, EncoderError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| EncoderError::UnknownKind { found: text.into() })
    }
}

/// Why there is no embedding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// No encoder has this name.
    #[error("`{found}` is not an encoder; choose vip, vptr, r3m, mvp or small")]
    UnknownKind {
        /// The name.
        found: String,
    },
    /// The weights file does not fit.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// libtorch refused.
    #[error("the {kind} encoder could not be evaluated: {message}")]
    Network {
        /// Which encoder.
        kind: EncoderKind,
        /// libtorch's first line.
        message: String,
    },
    /// An ONNX graph of it cannot be written.
    #[error("the {kind} encoder cannot be written as ONNX for images of {side} pixels: {why}")]
    NotWritten {
        /// Which encoder.
        kind: EncoderKind,
        /// Side of the images \[pixels\].
        side: u32,
        /// What is in the way.
        why: String,
    },
    /// A value of the embedding is not finite.
    #[error("the {kind} encoder gave a value that is not finite: the weights do not fit this network")]
    NotFinite {
        /// Which encoder.
        kind: EncoderKind,
    },
}

/// How an [`Encoder`] computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Number format; `Bf16` is faster and changes the embedding slightly (docs/encoder-speed.md).
    pub precision: Precision,
    /// VIP only: zoom by 8/7 into 224x224 images too, as VIP's first public version did.
    pub zoom: bool,
}

/// A network with its weights, ready to turn images into embeddings.
///
/// ```no_run
/// use std::path::Path;
///
/// use visuomotor_core::observation::Image;
/// use visuomotor_learning::encoder::{Encoder, EncoderError, EncoderKind};
/// use visuomotor_learning::network::choose_device;
///
/// fn embed(image: &Image) -> Result<usize, EncoderError> {
///     let weights = Path::new("policies/kitchen/encoder.safetensors");
///     let encoder = Encoder::load(EncoderKind::Small, weights, choose_device())?;
///     let embedding = encoder.encode(image)?;
///     Ok(embedding.values.len())
/// }
/// ```
pub struct Encoder {
    kind: EncoderKind,
    options: EncoderOptions,
    network: Box<dyn ImageNetwork>,
    device: Device,
    /// CUDA graph for a batch of one; `None` where none can be recorded.
    recording: RefCell<Option<Recording>>,
    digest: String,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Encoder { kind, options, device, digest, .. } = self;
        write!(f, "Encoder {{ {kind}, {options:?}, {device:?}, {digest} }}")
    }
}

impl Encoder {
    /// The encoder with the weights of a safetensors file, on `device`.
    pub fn load(kind: EncoderKind, weights: &Path, device: Device) -> Result<Encoder, EncoderError> {
        Self::load_with(kind, weights, "", EncoderOptions::default(), device)
    }

    /// As [`Encoder::load`], from the tensors whose names begin with `prefix` (`"encoder."` in a policy's file).
    pub fn load_with(
        kind: EncoderKind,
        weights: &Path,
        prefix: &str,
        options: EncoderOptions,
        device: Device,
    ) -> Result<Encoder, EncoderError> {
        let weights = Weights::read(weights)?;
        Self::build(kind, options, device, weights.digest().to_string(), |variables| {
            Ok(weights.fill(variables, prefix)?)
        })
    }

    /// The encoder with weights from a seed ([`network::fill`]): untrained, equal on every machine.
    pub fn random(kind: EncoderKind, seed: u64, device: Device) -> Result<Encoder, EncoderError> {
        Self::random_with(kind, seed, EncoderOptions::default(), device)
    }

    /// As [`Encoder::random`].
    pub fn random_with(
        kind: EncoderKind,
        seed: u64,
        options: EncoderOptions,
        device: Device,
    ) -> Result<Encoder, EncoderError> {
        // There is no file; seed and kind determine the weights.
        let name = digest(format!("visuomotor {kind} encoder, weights filled from seed {seed}").as_bytes());
        Self::build(kind, options, device, name, |variables| {
            network::fill(variables, seed).map_err(|e| kind.refused(e))
        })
    }

    fn build(
        kind: EncoderKind,
        options: EncoderOptions,
        device: Device,
        digest: String,
        fill: impl FnOnce(&VarStore) -> Result<(), EncoderError>,
    ) -> Result<Encoder, EncoderError> {
        let mut variables = VarStore::new(Device::Cpu);
        let mut network = kind.network(&variables.root()).map_err(|e| kind.refused(e))?;
        variables.freeze();
        fill(&variables)?;
        let inference = Inference { precision: options.precision, device, ..Inference::default() };
        tch::no_grad(|| network.prepare(inference)).map_err(|e| kind.refused(e))?;
        let recording = RefCell::new(record(&*network, device));
        Ok(Encoder { kind, options, network, device, recording, digest })
    }

    /// The image's embedding, shape (dimension,).
    pub fn encode(&self, image: &Image) -> Result<Embedding, EncoderError> {
        let mut embeddings = self.encode_batch(std::slice::from_ref(image))?;
        embeddings.pop().ok_or_else(|| self.kind.refused(TchError::Shape("no embedding came out".into())))
    }

    /// The images' embeddings, in order. The images may differ in size.
    pub fn encode_batch(&self, images: &[Image]) -> Result<Vec<Embedding>, EncoderError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let prepared = images
            .iter()
            .map(|image| preprocess::prepare(self.kind, image, self.options.zoom))
            .collect::<Result<Vec<_>, _>>()?;
        let values = tch::no_grad(|| self.forward(&prepared)).map_err(|e| self.kind.refused(e))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(EncoderError::NotFinite { kind: self.kind });
        }
        Ok(values
            .chunks_exact(self.dimension())
            .map(|values| Embedding { values: values.to_vec(), encoder_digest: self.digest.clone() })
            .collect())
    }

    fn forward(&self, prepared: &[Tensor]) -> Result<Vec<f32>, TchError> {
        let out = match (prepared, &mut *self.recording.borrow_mut()) {
            ([image], Some(recording)) => recording.run(image)?,
            _ => {
                let images = Tensor::f_cat(prepared, 0)?.f_to_device(self.device)?;
                self.network.forward(&images, false)?.f_to_device(Device::Cpu)?
            }
        };
        Vec::try_from(out.f_contiguous()?.f_view(-1)?)
    }

    /// Its kind.
    pub fn kind(&self) -> EncoderKind {
        self.kind
    }

    /// Length of an embedding.
    pub fn dimension(&self) -> usize {
        // Networks have a few thousand outputs.
        self.network.dimension().unsigned_abs() as usize
    }

    /// SHA-256 of the weights file, hexadecimal; of kind and seed for random weights.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Side of the square image the network sees \[pixels\].
    pub fn image_size(&self) -> u32 {
        self.network.image_size().unsigned_abs() as u32
    }
}

/// Largest difference between the CUDA graph's embedding and that of the separate layers, relative to the embedding's largest
/// number: cuDNN may choose other kernels.
const RECORDED_OFF: f64 = 0.02;

/// Records the inference of one image as a CUDA graph, on a GPU where the library for it is found; `None` if the graph's
/// embedding differs from that of the separate layers.
fn record(network: &dyn ImageNetwork, device: Device) -> Option<Recording> {
    if device == Device::Cpu {
        return None;
    }
    let recorded = tch::no_grad(|| {
        let size = network.image_size();
        let forward = |images: &Tensor| network.forward(images, false);
        let mut recording = Recording::new(&[1, 3, size, size], device, &forward)?;
        let image =
            Tensor::f_from_slice(&network::filled("image", &[1, 3, size, size], 1))?.f_reshape([1, 3, size, size])?;
        let expected = forward(&image.f_to_device(device)?)?.f_to_device(Device::Cpu)?;
        let off = f64::try_from(recording.run(&image)?.f_sub(&expected)?.f_abs()?.f_max()?)?;
        let most = f64::try_from(expected.f_abs()?.f_max()?)?;
        if off <= RECORDED_OFF * most {
            return Ok(recording);
        }
        Err(TchError::Torch(format!("one launch gives an embedding that is off by {off:.1e} of {most:.1e}")))
    });
    recorded.inspect_err(|error| tracing::warn!("the encoder launches each layer on its own: {error}")).ok()
}

impl EncoderKind {
    fn refused(self, error: TchError) -> EncoderError {
        // libtorch appends a C++ backtrace.
        let message = error.to_string().lines().next().unwrap_or_default().to_string();
        EncoderError::Network { kind: self, message }
    }
}

#[cfg(test)]
mod tests;

//! The networks that turn images into embeddings, and the device they run on.
//!
//! [`SmallNetwork`] (128x128 images, made for a CPU), [`ResNet50`] (VIP, R3M), [`ResNetV2`] (V-PTR) and [`VisionTransformer`]
//! (MVP) implement [`ImageNetwork`]: trainable over an [`nn::VarStore`](tch::nn::VarStore), with a faster inference-only form
//! ([`ImageNetwork::prepare`]). Heads are made of [`Bottleneck`] and [`Perceptron`]; [`IntentionValues`] are the heads that
//! ICVF trains over an embedding. [`fill`] sets deterministic weights; [`choose_device`] and [`set_threads`] choose where
//! networks run; [`Recording`] runs a whole inference in one launch on a GPU.
//! Input images are preprocessed (`encoder/preprocess.rs`), shape (B, 3, S, S), RGB.
//! What is refused: an image batch of another shape is an error, never a panic.
//! Start reading at [`ImageNetwork`].

mod bottleneck;
mod cuda_graph;
mod device;
mod fill;
mod group_norm_relu;
mod intention_value;
mod layers;
mod noise;
mod perceptron;
mod resnet;
mod resnet_v2;
mod small;
mod vision_transformer;
pub(crate) mod write;

use tch::{Device, Kind, TchError, Tensor};

pub use bottleneck::Bottleneck;
pub use cuda_graph::Recording;
pub use device::{choose_device, computes_bf16, describe_device, set_threads};
pub(crate) use fill::splitmix64;
pub use fill::{fill, filled};
pub use intention_value::{IntentionValue, IntentionValues, Part, PerceptronShape};
pub use noise::{normals, uniforms};
pub use perceptron::{Linear, Perceptron};
pub use resnet::ResNet50;
pub use resnet_v2::ResNetV2;
pub use small::SmallNetwork;
pub use vision_transformer::VisionTransformer;

use visuomotor_core::onnx::{Graph, Value};

/// Number format of the weights and activations during inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, 8 bits of mantissa. With weights from a seed VIP's embedding keeps a cosine of 0.99999 to the f32 one,
    /// V-PTR's 0.998 (docs/encoder-speed.md); check trained weights before relying on it.
    Bf16,
}

/// Order of an image tensor's values in memory (its shape stays (B, C, H, W)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Planes, PyTorch's default.
    Planes,
    /// Pixels (NHWC, "channels last"): what oneDNN and cuDNN convolve without reordering.
    #[default]
    Pixels,
}

/// How a network is prepared for inference. The default is the fastest form that keeps 32-bit accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inference {
    /// Merge constants into the convolutions: BatchNorm, weight standardization.
    pub fold: bool,
    /// Order of the values in memory.
    pub layout: Layout,
    /// Number format.
    pub precision: Precision,
    /// Where it runs.
    pub device: Device,
}

impl Default for Inference {
    fn default() -> Self {
        Self { fold: true, layout: Layout::Pixels, precision: Precision::F32, device: Device::Cpu }
    }
}

impl Inference {
    /// A constant of the network in this layout and number format, on this device; 4-d ones are convolution kernels.
    fn constant(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        let kind = match self.precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let tensor = tensor.f_detach()?.f_to_device(self.device)?.f_to_kind(kind)?;
        self.arrange(&tensor)
    }

    /// A 4-d tensor in this layout and number format, shape unchanged; others as they are.
    fn arrange(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        match self.layout {
            Layout::Pixels if tensor.dim() == 4 => {
                // tch has no memory-format argument; oneDNN and cuDNN read the strides.
                tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])
            }
            _ => tensor.f_contiguous(),
        }
    }
}

/// A network from images to embeddings.
pub trait ImageNetwork: Send {
    /// Embeddings, shape (B, dimension), f32, of preprocessed `images`, shape (B, 3, S, S), f32, RGB.
    ///
    /// `train` lets BatchNorm (only [`ResNet50`] has it) use and update the batch's statistics; with `false` the
    /// result for an image does not depend on its neighbors in the batch. Gradients flow either way, unless the
    /// network was prepared for inference.
    fn forward(&self, images: &Tensor, train: bool) -> Result<Tensor, TchError>;

    /// Writes the network into an ONNX graph: preprocessed images (1, 3, S, S) -> embedding (1, dimension).
    fn write(&self, graph: &mut Graph, images: &Value) -> Result<Value, TchError>;

    /// Length of an embedding.
    fn dimension(&self) -> i64;

    /// Side S of the images \[pixels\].
    fn image_size(&self) -> i64;

    /// Replaces the weights by constants fit for inference. The variables of the `VarStore` stay as they are; later changes
    /// to them do not reach the network.
    fn prepare(&mut self, inference: Inference) -> Result<(), TchError>;
}

/// Is this an image batch of shape (B, 3, size, size)?
fn check_images(images: &Tensor, size: i64) -> Result<(), TchError> {
    let shape = images.size();
    match shape[..] {
        [batch, 3, height, width] if batch > 0 && height == size && width == size => Ok(()),
        _ => Err(TchError::Shape(format!("images of shape {shape:?} were given, (B, 3, {size}, {size}) is expected"))),
    }
}

//! The layers the networks are made of, each over variables of an [`nn::Path`] and each able to become constants.

use tch::nn::{self, Init};
use tch::{Kind, TchError, Tensor};

use super::Inference;
use super::group_norm_relu as fused;
use super::write::{constant, relu};
use visuomotor_core::onnx::{Attribute, Graph, Value};

const BATCH_NORM_EPSILON: f64 = 1e-5;
const BATCH_NORM_MOMENTUM: f64 = 0.1;
const GROUP_NORM_EPSILON: f64 = 1e-5;
/// Flax's default epsilon, which V-PTR and ICVF were trained with; also MAE's.
const LAYER_NORM_EPSILON: f64 = 1e-6;
/// Epsilon under the root of weight standardization (BiT's `bigvision_resnetv2.py`).
const STANDARDIZATION_EPSILON: f64 = 1e-10;

/// A square convolution; `weight`: (out, in, k, k), `bias`: (out).
pub(super) struct Convolution {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    padding: i64,
    standardize: bool,
}

/// Size of a [`Convolution`].
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// Channels in.
    pub input: i64,
    /// Channels out.
    pub output: i64,
    /// Side of the kernel \[pixels\]; the padding keeps the image's size at stride 1.
    pub kernel: i64,
    /// Step \[pixels\].
    pub stride: i64,
}

impl Convolution {
    pub fn new(path: &nn::Path, shape: Shape, bias: bool) -> Result<Self, TchError> {
        let Shape { input, output, kernel, stride } = shape;
        let bound = (6.0 / (input * kernel * kernel) as f64).sqrt();
        let weight = path.f_var("weight", &[output, input, kernel, kernel], Init::Uniform { lo: -bound, up: bound })?;
        let bias = if bias { Some(path.f_zeros("bias", &[output])?) } else { None };
        Ok(Self { weight, bias, stride, padding: kernel / 2, standardize: false })
    }

    /// The same with the kernel standardized over (in, k, k) before use.
    pub fn standardized(path: &nn::Path, shape: Shape) -> Result<Self, TchError> {
        Ok(Self { standardize: true, ..Self::new(path, shape, false)? })
    }

    /// The same without pixels around the image: patches side by side.
    pub fn without_padding(self) -> Self {
        Self { padding: 0, ..self }
    }

    /// The convolution whose output is `factor`, one number, times this one's.
    pub fn times(&self, factor: &Tensor) -> Result<Self, TchError> {
        let bias = self.bias.as_ref().map(|bias| bias.f_mul(factor)).transpose()?;
        Ok(Self { weight: self.weight.f_mul(factor)?, bias, ..*self })
    }

    /// (B, in, H, W) -> (B, out, H / stride, W / stride).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let weight = if self.standardize { standardize(&self.weight)? } else { self.weight.shallow_clone() };
        let weight = in_format_of(x, &weight)?;
        let bias = self.bias.as_ref().map(|bias| in_format_of(x, bias)).transpose()?;
        x.f_conv2d(&weight, bias.as_ref(), stride, padding, [1, 1], 1)
    }

    /// Writes [`forward`](Self::forward).
    pub fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let weight = if self.standardize { standardize(&self.weight)? } else { self.weight.shallow_clone() };
        let weight = constant(graph, &weight)?;
        let bias = self.bias.as_ref().map(|bias| constant(graph, bias)).transpose()?.unwrap_or_else(Graph::nothing);
        let (strides, pads) = ([self.stride; 2], [self.padding; 4]);
        let attributes = [("strides", Attribute::Ints(&strides)), ("pads", Attribute::Ints(&pads))];
        Ok(graph.apply("Conv", &[x, &weight, &bias], &attributes))
    }

    pub fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        if self.standardize && inference.fold {
            self.weight = standardize(&self.weight)?;
            self.standardize = false;
        }
        self.weight = inference.constant(&self.weight)?;
        self.bias = self.bias.as_ref().map(|bias| inference.constant(bias)).transpose()?;
        Ok(())
    }
}

/// A constant in the number format of the activations: training runs bf16 images through f32 variables.
fn in_format_of(x: &Tensor, constant: &Tensor) -> Result<Tensor, TchError> {
    if x.kind() == constant.kind() { Ok(constant.shallow_clone()) } else { constant.f_to_kind(x.kind()) }
}

fn standardize(weight: &Tensor) -> Result<Tensor, TchError> {
    let dims = [1i64, 2, 3];
    let mean = weight.f_mean_dim(&dims[..], true, None)?;
    let centered = weight.f_sub(&mean)?;
    let variance = centered.f_square()?.f_mean_dim(&dims[..], true, None)?;
    centered.f_div(&variance.f_add_scalar(STANDARDIZATION_EPSILON)?.f_sqrt()?)
}

/// Batch normalization with torchvision's names, all of shape (C).
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
}

impl BatchNorm {
    pub fn new(path: &nn::Path, channels: i64) -> Result<Self, TchError> {
        Ok(Self {
            weight: path.f_ones("weight", &[channels])?,
            bias: path.f_zeros("bias", &[channels])?,
            running_mean: path.f_zeros_no_train("running_mean", &[channels])?,
            running_var: path.f_ones_no_train("running_var", &[channels])?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let (mean, variance) = (Some(&self.running_mean), Some(&self.running_var));
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        x.f_batch_norm(weight, bias, mean, variance, train, BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON, true)
    }

    fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let BatchNorm { weight, bias, running_mean, running_var } = self;
        let [weight, bias, mean, variance] = [
            constant(graph, weight)?,
            constant(graph, bias)?,
            constant(graph, running_mean)?,
            constant(graph, running_var)?,
        ];
        let epsilon = [("epsilon", Attribute::Float(BATCH_NORM_EPSILON as f32))];
        Ok(graph.apply("BatchNormalization", &[x, &weight, &bias, &mean, &variance], &epsilon))
    }
}

/// A convolution followed by batch normalization, which [`Normalized::prepare`] may merge into it.
pub(super) struct Normalized {
    convolution: Convolution,
    norm: Option<BatchNorm>,
}

impl Normalized {
    pub fn new(convolution: &nn::Path, norm: &nn::Path, shape: Shape) -> Result<Self, TchError> {
        let norm = Some(BatchNorm::new(norm, shape.output)?);
        Ok(Self { convolution: Convolution::new(convolution, shape, false)?, norm })
    }

    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let y = self.convolution.forward(x)?;
        match &self.norm {
            Some(norm) => norm.forward(&y, train),
            None => Ok(y),
        }
    }

    /// Writes [`forward`](Self::forward).
    pub fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let y = self.convolution.write(graph, x)?;
        match &self.norm {
            Some(norm) => norm.write(graph, &y),
            None => Ok(y),
        }
    }

    pub fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        if inference.fold
            && let Some(norm) = self.norm.take()
        {
            // y = w * (conv(x) - mean) / sqrt(var + eps) + b is a convolution with a scaled kernel and a bias.
            let scale = norm.weight.f_div(&norm.running_var.f_add_scalar(BATCH_NORM_EPSILON)?.f_sqrt()?)?;
            let bias = norm.bias.f_sub(&norm.running_mean.f_mul(&scale)?)?;
            self.convolution.weight = self.convolution.weight.f_mul(&scale.f_reshape([-1, 1, 1, 1])?)?;
            self.convolution.bias = Some(bias);
        }
        if let Some(norm) = &mut self.norm {
            for tensor in [&mut norm.weight, &mut norm.bias, &mut norm.running_mean, &mut norm.running_var] {
                *tensor = inference.constant(tensor)?;
            }
        }
        self.convolution.prepare(inference)
    }
}

/// Group normalization; `weight`, `bias`: (C).
pub(super) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
}

impl GroupNorm {
    pub fn new(path: &nn::Path, groups: i64, channels: i64) -> Result<Self, TchError> {
        let (weight, bias) = (path.f_ones("weight", &[channels])?, path.f_zeros("bias", &[channels])?);
        Ok(Self { weight, bias, groups })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (in_format_of(x, &self.weight)?, in_format_of(x, &self.bias)?);
        x.f_group_norm(self.groups, Some(&weight), Some(&bias), GROUP_NORM_EPSILON, true)
    }

    /// max(0, [`forward`](Self::forward)).
    pub fn forward_relu(&self, x: &Tensor) -> Result<Tensor, TchError> {
        // Prepared for inference, the weights are bf16, too.
        if fused::serves(x) && self.weight.kind() == Kind::Float {
            return fused::group_norm_relu(x, &self.weight, &self.bias, self.groups, GROUP_NORM_EPSILON);
        }
        self.forward(x)?.f_relu_()
    }

    /// Writes [`forward_relu`](Self::forward_relu). Opset 17 has no group normalization: each group becomes a channel of an
    /// instance normalization.
    pub fn write_relu(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let groups = self.groups;
        let shape = graph.apply("Shape", &[x], &[]);
        let grouped = graph.reshape(x, &[0, groups, -1]);
        let count = usize::try_from(groups).unwrap_or_default();
        let (ones, zeros) =
            (graph.constant(&[groups], &vec![1.0; count]), graph.constant(&[groups], &vec![0.0; count]));
        let epsilon = [("epsilon", Attribute::Float(GROUP_NORM_EPSILON as f32))];
        let y = graph.apply("InstanceNormalization", &[&grouped, &ones, &zeros], &epsilon);
        let y = graph.apply("Reshape", &[&y, &shape], &[]);
        let (weight, bias) = (self.weight.f_reshape([-1, 1, 1])?, self.bias.f_reshape([-1, 1, 1])?);
        let (weight, bias) = (constant(graph, &weight)?, constant(graph, &bias)?);
        let y = graph.apply("Mul", &[&y, &weight], &[]);
        let y = graph.apply("Add", &[&y, &bias], &[]);
        Ok(relu(graph, &y))
    }

    pub fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        self.weight = inference.constant(&self.weight)?;
        self.bias = inference.constant(&self.bias)?;
        Ok(())
    }
}

/// Layer normalization over the last dimension; `weight`, `bias`: (N).
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    pub fn new(path: &nn::Path, width: i64) -> Result<Self, TchError> {
        Ok(Self { weight: path.f_ones("weight", &[width])?, bias: path.f_zeros("bias", &[width])? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (in_format_of(x, &self.weight)?, in_format_of(x, &self.bias)?);
        x.f_layer_norm(weight.size(), Some(&weight), Some(&bias), LAYER_NORM_EPSILON, true)
    }

    /// Writes [`forward`](Self::forward).
    pub fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let (weight, bias) = (constant(graph, &self.weight)?, constant(graph, &self.bias)?);
        let epsilon = [("epsilon", Attribute::Float(LAYER_NORM_EPSILON as f32))];
        Ok(graph.apply("LayerNormalization", &[x, &weight, &bias], &epsilon))
    }

    pub fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        self.weight = inference.constant(&self.weight)?;
        self.bias = inference.constant(&self.bias)?;
        Ok(())
    }
}

/// A dense layer; `weight`: (out, in), `bias`: (out).
pub(super) struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    pub fn new(path: &nn::Path, input: i64, output: i64) -> Result<Self, TchError> {
        let bound = 1.0 / (input as f64).sqrt();
        let weight = path.f_var("weight", &[output, input], Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, bias: path.f_zeros("bias", &[output])? })
    }

    /// (..., in) -> (..., out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&in_format_of(x, &self.weight)?, Some(&in_format_of(x, &self.bias)?))
    }

    /// Writes [`forward`](Self::forward).
    pub fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let (weight, bias) = (constant(graph, &self.weight.f_transpose(0, 1)?)?, constant(graph, &self.bias)?);
        let y = graph.apply("MatMul", &[x, &weight], &[]);
        Ok(graph.apply("Add", &[&y, &bias], &[]))
    }

    pub fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        self.weight = inference.constant(&self.weight)?;
        self.bias = inference.constant(&self.bias)?;
        Ok(())
    }
}

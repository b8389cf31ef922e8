//! ResNetV2-50 of BiT (Kolesnikov et al. 2020), the encoder V-PTR pretrains: pre-activation blocks, weight-standardized
//! convolutions without bias, group normalization with 32 groups, no batch statistics.
//!
//! Variables follow the original's names with `/` written as `.`, kernels in (out, in, k, k) order:
//! `root_block.conv_root.weight`, `block{1..4}.unit{01..}.{gn1,gn2,gn3}.{weight,bias}`,
//! `block{1..4}.unit{01..}.{conv1,conv2,conv3,conv_proj}.weight`, `norm-pre-head.{weight,bias}`
//! (original: `kernel` for a convolution, `scale` for a norm's weight).

use tch::nn;
use tch::{Kind, TchError, Tensor};

use super::layers::{Convolution, GroupNorm, Shape};
use super::write::{mean_of_maps, pool};
use super::{ImageNetwork, Inference, check_images};
use visuomotor_core::onnx::{Graph, Value};

const IMAGE_SIZE: i64 = 224;
const DIMENSION: i64 = 2048;
const GROUPS: i64 = 32;
/// Units and inner width of each block; a unit's output is four times as wide.
const BLOCKS: [(usize, i64); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];

struct Unit {
    norms: [GroupNorm; 3],
    convolutions: [Convolution; 3],
    projection: Option<Convolution>,
}

/// Images (B, 3, 224, 224), RGB in 0..1 -> embeddings (B, 2048), mean over the last map after ReLU, so not negative.
pub struct ResNetV2 {
    stem: Convolution,
    units: Vec<Unit>,
    norm: GroupNorm,
    inference: Option<Inference>,
}

impl ResNetV2 {
    /// A network over the variables of `path`, initialized by libtorch's generator.
    pub fn new(path: &nn::Path) -> Result<Self, TchError> {
        let shape = Shape { input: 3, output: 64, kernel: 7, stride: 2 };
        let stem = Convolution::standardized(&(path / "root_block" / "conv_root"), shape)?;
        let mut units = Vec::new();
        let mut input = 64;
        for (block, (count, width)) in (1..).zip(BLOCKS) {
            for unit in 1..=count {
                let path = path / format!("block{block}") / format!("unit{unit:02}");
                let stride = if unit == 1 && block > 1 { 2 } else { 1 };
                units.push(Unit::new(&path, input, width, stride)?);
                input = 4 * width;
            }
        }
        Ok(Self { stem, units, norm: GroupNorm::new(&(path / "norm-pre-head"), GROUPS, input)?, inference: None })
    }
}

impl Unit {
    fn new(path: &nn::Path, input: i64, width: i64, stride: i64) -> Result<Self, TchError> {
        let output = 4 * width;
        let norm = |i: i64, channels| GroupNorm::new(&(path / format!("gn{i}")), GROUPS, channels);
        let convolution = |name: &str, input, output, kernel, stride| {
            Convolution::standardized(&(path / name), Shape { input, output, kernel, stride })
        };
        let norms = [norm(1, input)?, norm(2, width)?, norm(3, width)?];
        let convolutions = [
            convolution("conv1", input, width, 1, 1)?,
            convolution("conv2", width, width, 3, stride)?,
            convolution("conv3", width, output, 1, 1)?,
        ];
        let projection = if input == output { None } else { Some(convolution("conv_proj", input, output, 1, stride)?) };
        Ok(Self { norms, convolutions, projection })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mut y = self.norms[0].forward_relu(x)?;
        let shortcut = self.projection.as_ref().map(|projection| projection.forward(&y)).transpose()?;
        y = self.convolutions[0].forward(&y)?;
        for (norm, convolution) in self.norms.iter().zip(&self.convolutions).skip(1) {
            y = convolution.forward(&norm.forward_relu(&y)?)?;
        }
        y.f_add_(shortcut.as_ref().unwrap_or(x))
    }

    fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let mut y = self.norms[0].write_relu(graph, x)?;
        let shortcut = self.projection.as_ref().map(|projection| projection.write(graph, &y)).transpose()?;
        y = self.convolutions[0].write(graph, &y)?;
        for (norm, convolution) in self.norms.iter().zip(&self.convolutions).skip(1) {
            y = norm.write_relu(graph, &y)?;
            y = convolution.write(graph, &y)?;
        }
        Ok(graph.apply("Add", &[&y, shortcut.as_ref().unwrap_or(x)], &[]))
    }
}

impl ImageNetwork for ResNetV2 {
    fn forward(&self, images: &Tensor, _train: bool) -> Result<Tensor, TchError> {
        check_images(images, IMAGE_SIZE)?;
        let x = match &self.inference {
            Some(inference) => inference.constant(images)?,
            None => images.shallow_clone(),
        };
        let mut x = self.stem.forward(&x)?.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for unit in &self.units {
            x = unit.forward(&x)?;
        }
        self.norm.forward_relu(&x)?.f_mean_dim(&[2i64, 3][..], false, Kind::Float)
    }

    fn write(&self, graph: &mut Graph, images: &Value) -> Result<Value, TchError> {
        let x = self.stem.write(graph, images)?;
        let x = pool(graph, &x);
        let x = self.units.iter().try_fold(x, |x, unit| unit.write(graph, &x))?;
        let x = self.norm.write_relu(graph, &x)?;
        Ok(mean_of_maps(graph, &x))
    }

    fn dimension(&self) -> i64 {
        DIMENSION
    }

    fn image_size(&self) -> i64 {
        IMAGE_SIZE
    }

    fn prepare(&mut self, inference: Inference) -> Result<(), TchError> {
        self.stem.prepare(&inference)?;
        for unit in &mut self.units {
            for norm in &mut unit.norms {
                norm.prepare(&inference)?;
            }
            for convolution in unit.convolutions.iter_mut().chain(&mut unit.projection) {
                convolution.prepare(&inference)?;
            }
        }
        self.norm.prepare(&inference)?;
        self.inference = Some(inference);
        Ok(())
    }
}

//! ResNet-50 (He et al. 2015) as torchvision builds and names it, with VIP's 1024-d head or, for R3M, with none.
//!
//! The stride of a stage sits in the 3x3 convolution (torchvision's "v1.5"). Variables: `conv1.weight`,
//! `bn1.{weight,bias,running_mean,running_var}`, `layer{1..4}.{i}.{conv1..3,bn1..3,downsample.0,downsample.1}.*`,
//! with the head `fc.{weight (1024, 2048), bias (1024)}`.

use tch::nn;
use tch::{Kind, TchError, Tensor};

use super::layers::{Dense, Normalized, Shape};
use super::write::{mean_of_maps, pool, relu};
use super::{ImageNetwork, Inference, check_images};
use visuomotor_core::onnx::{Graph, Value};

const IMAGE_SIZE: i64 = 224;
const DIMENSION: i64 = 1024;
const FEATURES: i64 = 2048;
/// Blocks and inner width of each stage; a block's output is four times as wide.
const STAGES: [(usize, i64); 4] = [(3, 64), (4, 128), (6, 256), (3, 512)];

struct Block {
    convolutions: [Normalized; 3],
    shortcut: Option<Normalized>,
}

/// Images (B, 3, 224, 224), RGB with ImageNet's mean and deviation removed -> embeddings (B, 1024), without the head
/// (B, 2048), neither normalized nor activated.
pub struct ResNet50 {
    stem: Normalized,
    blocks: Vec<Block>,
    head: Option<Dense>,
    inference: Option<Inference>,
}

impl ResNet50 {
    /// A network with VIP's head over the variables of `path`, initialized by libtorch's generator.
    pub fn new(path: &nn::Path) -> Result<Self, TchError> {
        let head = Some(Dense::new(&(path / "fc"), FEATURES, DIMENSION)?);
        Ok(Self { head, ..Self::headless(path)? })
    }

    /// The same without a head.
    pub fn headless(path: &nn::Path) -> Result<Self, TchError> {
        let shape = Shape { input: 3, output: 64, kernel: 7, stride: 2 };
        let stem = Normalized::new(&(path / "conv1"), &(path / "bn1"), shape)?;
        let mut blocks = Vec::new();
        let mut input = 64;
        for (stage, (count, width)) in (1..).zip(STAGES) {
            for i in 0..count {
                let path = path / format!("layer{stage}") / i;
                let stride = if i == 0 && stage > 1 { 2 } else { 1 };
                blocks.push(Block::new(&path, input, width, stride)?);
                input = 4 * width;
            }
        }
        Ok(Self { stem, blocks, head: None, inference: None })
    }
}

impl Block {
    fn new(path: &nn::Path, input: i64, width: i64, stride: i64) -> Result<Self, TchError> {
        let output = 4 * width;
        let layer = |i: i64, input, output, kernel, stride| {
            let shape = Shape { input, output, kernel, stride };
            Normalized::new(&(path / format!("conv{i}")), &(path / format!("bn{i}")), shape)
        };
        let convolutions =
            [layer(1, input, width, 1, 1)?, layer(2, width, width, 3, stride)?, layer(3, width, output, 1, 1)?];
        let shortcut = if input == output {
            None
        } else {
            let path = path / "downsample";
            Some(Normalized::new(&(&path / 0), &(&path / 1), Shape { input, output, kernel: 1, stride })?)
        };
        Ok(Self { convolutions, shortcut })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let [reduce, middle, expand] = &self.convolutions;
        let y = reduce.forward(x, train)?.f_relu_()?;
        let y = middle.forward(&y, train)?.f_relu_()?;
        let mut y = expand.forward(&y, train)?;
        match &self.shortcut {
            Some(shortcut) => y.f_add_(&shortcut.forward(x, train)?)?,
            None => y.f_add_(x)?,
        }
        .f_relu_()
    }

    fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let [reduce, middle, expand] = &self.convolutions;
        let y = reduce.write(graph, x)?;
        let y = relu(graph, &y);
        let y = middle.write(graph, &y)?;
        let y = relu(graph, &y);
        let y = expand.write(graph, &y)?;
        let beside = self.shortcut.as_ref().map(|shortcut| shortcut.write(graph, x)).transpose()?;
        let y = graph.apply("Add", &[&y, beside.as_ref().unwrap_or(x)], &[]);
        Ok(relu(graph, &y))
    }
}

impl ImageNetwork for ResNet50 {
    fn forward(&self, images: &Tensor, train: bool) -> Result<Tensor, TchError> {
        check_images(images, IMAGE_SIZE)?;
        let x = match &self.inference {
            Some(inference) => inference.constant(images)?,
            None => images.shallow_clone(),
        };
        let x = self.stem.forward(&x, train)?.f_relu_()?;
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        let features = x.f_mean_dim(&[2i64, 3][..], false, None)?;
        match &self.head {
            Some(head) => head.forward(&features)?,
            None => features,
        }
        .f_to_kind(Kind::Float)
    }

    fn write(&self, graph: &mut Graph, images: &Value) -> Result<Value, TchError> {
        let x = self.stem.write(graph, images)?;
        let x = relu(graph, &x);
        let x = pool(graph, &x);
        let x = self.blocks.iter().try_fold(x, |x, block| block.write(graph, &x))?;
        let features = mean_of_maps(graph, &x);
        match &self.head {
            Some(head) => head.write(graph, &features),
            None => Ok(features),
        }
    }

    fn dimension(&self) -> i64 {
        if self.head.is_some() { DIMENSION } else { FEATURES }
    }

    fn image_size(&self) -> i64 {
        IMAGE_SIZE
    }

    fn prepare(&mut self, inference: Inference) -> Result<(), TchError> {
        self.stem.prepare(&inference)?;
        for block in &mut self.blocks {
            for layer in block.convolutions.iter_mut().chain(&mut block.shortcut) {
                layer.prepare(&inference)?;
            }
        }
        if let Some(head) = &mut self.head {
            head.prepare(&inference)?;
        }
        self.inference = Some(inference);
        Ok(())
    }
}

//! The encoder for a CPU: five convolutions on 128x128 images, ending in spatial keypoints.
//!
//! (B, 3, 128, 128) RGB in 0..1, two coordinate planes appended -> 5x5/2 -> 3x3/2 -> 3x3 -> 3x3 -> 1x1, each but the
//! last followed by GroupNorm and ReLU -> 64 maps of 32x32. A spatial softmax (Finn et al. 2016, "Deep spatial
//! autoencoders") turns each map into the expected position of its mass: what a hand-eye policy needs is where things
//! are, and positions change smoothly when the network is fine-tuned on little data.

use tch::nn;
use tch::{Device, Kind, TchError, Tensor};

use super::layers::{Convolution, GroupNorm, Shape};
use super::write::constant;
use super::{ImageNetwork, Inference, check_images, group_norm_relu};
use visuomotor_core::onnx::{Attribute, Graph, Value};

const IMAGE_SIZE: i64 = 128;
const MAP_SIZE: i64 = 32;
const STEM: i64 = 32;
const WIDTH: i64 = 64;
const KEYPOINTS: i64 = 64;
const GROUPS: i64 = 8;
/// Logarithm of the initial temperature. At 0 the maps of a randomly initialized network are so flat that all keypoints lie
/// at the center of every image (standard deviation over images 0.01; 0.09 here), and learning waits until they have spread.
const FIRST_LOG_TEMPERATURE: f64 = -2.0;

/// Images (B, 3, 128, 128), RGB in 0..1 -> embeddings (B, 128): x and y of 64 keypoints, `[x0, y0, x1, y1, ...]`, each
/// in \[-1, 1\], x to the right, y down.
///
/// Variables: `conv1..conv5.{weight,bias}`, `norm1..norm4.{weight,bias}`, `log_temperature` (1).
pub struct SmallNetwork {
    stages: Vec<(Convolution, GroupNorm)>,
    keypoints: Convolution,
    log_temperature: Tensor,
    /// Coordinate planes (1, 2, 128, 128): x then y, each -1 .. 1.
    planes: Tensor,
    /// Position of each cell of a map (1024, 2): x, y.
    positions: Tensor,
    inference: Option<Inference>,
}

impl SmallNetwork {
    /// A network over the variables of `path`, initialized by libtorch's generator ([`fill`](super::fill) for weights
    /// that are equal everywhere).
    pub fn new(path: &nn::Path) -> Result<Self, TchError> {
        let shapes = [(5, STEM, 5, 2), (STEM, WIDTH, 3, 2), (WIDTH, WIDTH, 3, 1), (WIDTH, WIDTH, 3, 1)];
        let stages = (1..)
            .zip(shapes)
            .map(|(i, (input, output, kernel, stride))| {
                let shape = Shape { input, output, kernel, stride };
                let convolution = Convolution::new(&(path / format!("conv{i}")), shape, true)?;
                Ok((convolution, GroupNorm::new(&(path / format!("norm{i}")), GROUPS, output)?))
            })
            .collect::<Result<_, TchError>>()?;
        let shape = Shape { input: WIDTH, output: KEYPOINTS, kernel: 1, stride: 1 };
        let device = path.device();
        Ok(Self {
            stages,
            keypoints: Convolution::new(&(path / "conv5"), shape, true)?,
            log_temperature: path.f_var("log_temperature", &[1], nn::Init::Const(FIRST_LOG_TEMPERATURE))?,
            planes: grid(IMAGE_SIZE, device)?.f_transpose(0, 1)?.f_reshape([1, 2, IMAGE_SIZE, IMAGE_SIZE])?,
            positions: grid(MAP_SIZE, device)?,
            inference: None,
        })
    }

    /// Heat maps (B, 64, 32, 32), each of sum 1: where each keypoint is looked for. For images.
    pub fn heat_maps(&self, images: &Tensor) -> Result<Tensor, TchError> {
        check_images(images, IMAGE_SIZE)?;
        let planes = self.planes.f_expand([images.size()[0], 2, IMAGE_SIZE, IMAGE_SIZE], false)?;
        let mut x = Tensor::f_cat(&[images, &planes.f_to_kind(images.kind())?], 1)?;
        match &self.inference {
            Some(inference) => x = inference.constant(&x)?,
            // Convolutions are fast in this memory order, and the norms between them keep it.
            None if group_norm_relu::serves(&x) => x = Inference::default().arrange(&x)?,
            None => {}
        }
        for (convolution, norm) in &self.stages {
            x = norm.forward_relu(&convolution.forward(&x)?)?;
        }
        let maps = match &self.inference {
            Some(_) => self.keypoints.forward(&x)?.f_to_kind(Kind::Float)?.f_div(&self.log_temperature.f_exp()?)?,
            // Equivalent, with a gradient of 64 numbers instead of one of the maps' size.
            None => {
                self.keypoints.times(&self.log_temperature.f_neg()?.f_exp()?)?.forward(&x)?.f_to_kind(Kind::Float)?
            }
        };
        maps.f_reshape([-1, KEYPOINTS, MAP_SIZE * MAP_SIZE])?
            .f_softmax(-1, Kind::Float)?
            .f_reshape([-1, KEYPOINTS, MAP_SIZE, MAP_SIZE])
    }
}

impl ImageNetwork for SmallNetwork {
    fn forward(&self, images: &Tensor, _train: bool) -> Result<Tensor, TchError> {
        let maps = self.heat_maps(images)?.f_reshape([-1, KEYPOINTS, MAP_SIZE * MAP_SIZE])?;
        maps.f_matmul(&self.positions)?.f_reshape([-1, KEYPOINTS * 2])
    }

    fn write(&self, graph: &mut Graph, images: &Value) -> Result<Value, TchError> {
        let planes = constant(graph, &self.planes)?;
        let mut x = graph.concatenate(&[images, &planes], 1);
        for (convolution, norm) in &self.stages {
            let y = convolution.write(graph, &x)?;
            x = norm.write_relu(graph, &y)?;
        }
        let maps = self.keypoints.write(graph, &x)?;
        let temperature = constant(graph, &self.log_temperature.f_exp()?)?;
        let maps = graph.apply("Div", &[&maps, &temperature], &[]);
        let maps = graph.reshape(&maps, &[1, KEYPOINTS, MAP_SIZE * MAP_SIZE]);
        let maps = graph.apply("Softmax", &[&maps], &[("axis", Attribute::Int(-1))]);
        let positions = constant(graph, &self.positions)?;
        let keypoints = graph.apply("MatMul", &[&maps, &positions], &[]);
        Ok(graph.reshape(&keypoints, &[1, KEYPOINTS * 2]))
    }

    fn dimension(&self) -> i64 {
        KEYPOINTS * 2
    }

    fn image_size(&self) -> i64 {
        IMAGE_SIZE
    }

    fn prepare(&mut self, inference: Inference) -> Result<(), TchError> {
        for (convolution, norm) in &mut self.stages {
            convolution.prepare(&inference)?;
            norm.prepare(&inference)?;
        }
        self.keypoints.prepare(&inference)?;
        // The softmax stays in f32: positions are means over 1024 cells.
        for tensor in [&mut self.log_temperature, &mut self.planes, &mut self.positions] {
            *tensor = tensor.f_detach()?.f_to_device(inference.device)?;
        }
        self.inference = Some(inference);
        Ok(())
    }
}

/// Positions of the cells of a `size` x `size` grid, row-major, shape (size * size, 2): x, y in \[-1, 1\].
fn grid(size: i64, device: Device) -> Result<Tensor, TchError> {
    // Not linspace: its last bits differ between devices and versions.
    let at = |i: i64| (2.0 * i as f64 / (size - 1) as f64 - 1.0) as f32;
    let values: Vec<f32> = (0..size).flat_map(|row| (0..size).flat_map(move |column| [at(column), at(row)])).collect();
    Tensor::f_from_slice(&values)?.f_reshape([size * size, 2])?.f_to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fill;
    use tch::nn::OptimizerConfig;

    fn network(seed: u64) -> (nn::VarStore, SmallNetwork) {
        let variables = nn::VarStore::new(Device::Cpu);
        let network = SmallNetwork::new(&variables.root()).unwrap();
        fill(&variables, seed).unwrap();
        (variables, network)
    }

    #[test]
    fn the_embedding_is_a_list_of_positions() {
        let (_variables, network) = network(1);
        let images = Tensor::rand([2, 3, 128, 128], (Kind::Float, Device::Cpu));
        let out = network.forward(&images, false).unwrap();
        assert_eq!(out.size(), [2, 128]);
        assert!(f64::try_from(out.abs().max()).unwrap() <= 1.0);
    }

    #[test]
    fn another_image_size_is_an_error() {
        let (_variables, network) = network(1);
        let images = Tensor::zeros([1, 3, 64, 64], (Kind::Float, Device::Cpu));
        let error = network.forward(&images, false).unwrap_err().to_string();
        assert!(error.contains("[1, 3, 64, 64]") && error.contains("(B, 3, 128, 128)"), "{error}");
    }

    #[test]
    fn gradients_reach_every_variable_and_a_step_lowers_the_loss() {
        let (variables, network) = network(1);
        let mut optimizer = nn::Adam::default().build(&variables, 1e-3).unwrap();
        let images = Tensor::rand([2, 3, 128, 128], (Kind::Float, Device::Cpu));
        let loss = |network: &SmallNetwork| network.forward(&images, true).unwrap().square().mean(Kind::Float);
        let before = loss(&network);
        optimizer.backward_step(&before);
        for (name, variable) in variables.variables() {
            assert!(variable.grad().defined(), "{name} got no gradient");
        }
        assert!(f64::try_from(loss(&network)).unwrap() < f64::try_from(before).unwrap());
    }

    #[test]
    fn preparing_keeps_the_embedding() {
        let (_variables, mut network) = network(1);
        let images = Tensor::rand([1, 3, 128, 128], (Kind::Float, Device::Cpu));
        let plain = network.forward(&images, false).unwrap();
        network.prepare(Inference::default()).unwrap();
        let prepared = network.forward(&images, false).unwrap();
        assert!(f64::try_from((plain - prepared).abs().max()).unwrap() < 1e-5);
    }
}

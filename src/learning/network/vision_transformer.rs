//! ViT-B/16 (Dosovitskiy et al. 2020) as timm and MAE build and name it: MVP's encoder.
//!
//! (B, 3, 224, 224) -> patches of 16x16, each a token of 768 numbers, behind a class token; positions are added; twelve
//! blocks x + attention(norm(x)), x + mlp(norm(x)); the class token, normalized, is the embedding. Variables: `cls_token`
//! (1, 1, 768), `pos_embed` (1, 197, 768), `patch_embed.proj.{weight,bias}`,
//! `blocks.{i}.{norm1,attn.qkv,attn.proj,norm2,mlp.fc1,mlp.fc2}.{weight,bias}`, `norm.{weight,bias}`.

use tch::nn::{self, Init};
use tch::{Kind, TchError, Tensor};

use super::layers::{Convolution, Dense, LayerNorm, Shape};
use super::write::constant;
use super::{ImageNetwork, Inference, check_images};
use visuomotor_core::onnx::{Attribute, Graph, Value};

const IMAGE_SIZE: i64 = 224;
const PATCH: i64 = 16;
const TOKENS: i64 = 1 + (IMAGE_SIZE / PATCH) * (IMAGE_SIZE / PATCH);
const WIDTH: i64 = 768;
const HEADS: i64 = 12;
const DEPTH: usize = 12;
/// Hidden width of a block's perceptron, in widths.
const EXPANSION: i64 = 4;
/// Spread of tokens and positions at the start (timm's `trunc_normal_`, not truncated here).
const DEVIATION: f64 = 0.02;

struct Block {
    before_attention: LayerNorm,
    query_key_value: Dense,
    project: Dense,
    before_perceptron: LayerNorm,
    expand: Dense,
    contract: Dense,
}

/// Images (B, 3, 224, 224), RGB with ImageNet's mean and deviation removed -> embeddings (B, 768).
pub struct VisionTransformer {
    patches: Convolution,
    class_token: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    inference: Option<Inference>,
}

impl VisionTransformer {
    /// A network over the variables of `path`, initialized by libtorch's generator.
    pub fn new(path: &nn::Path) -> Result<Self, TchError> {
        let shape = Shape { input: 3, output: WIDTH, kernel: PATCH, stride: PATCH };
        let random = Init::Randn { mean: 0.0, stdev: DEVIATION };
        Ok(Self {
            patches: Convolution::new(&(path / "patch_embed" / "proj"), shape, true)?.without_padding(),
            class_token: path.f_var("cls_token", &[1, 1, WIDTH], random)?,
            positions: path.f_var("pos_embed", &[1, TOKENS, WIDTH], random)?,
            blocks: (0..DEPTH).map(|i| Block::new(&(path / "blocks" / i))).collect::<Result<_, _>>()?,
            norm: LayerNorm::new(&(path / "norm"), WIDTH)?,
            inference: None,
        })
    }
}

impl Block {
    fn new(path: &nn::Path) -> Result<Self, TchError> {
        let (attention, perceptron) = (path / "attn", path / "mlp");
        Ok(Self {
            before_attention: LayerNorm::new(&(path / "norm1"), WIDTH)?,
            query_key_value: Dense::new(&(&attention / "qkv"), WIDTH, 3 * WIDTH)?,
            project: Dense::new(&(&attention / "proj"), WIDTH, WIDTH)?,
            before_perceptron: LayerNorm::new(&(path / "norm2"), WIDTH)?,
            expand: Dense::new(&(&perceptron / "fc1"), WIDTH, EXPANSION * WIDTH)?,
            contract: Dense::new(&(&perceptron / "fc2"), EXPANSION * WIDTH, WIDTH)?,
        })
    }

    /// Tokens (B, T, 768) -> (B, T, 768).
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let x = x.f_add(&self.attend(&self.before_attention.forward(x)?)?)?;
        let y = self.expand.forward(&self.before_perceptron.forward(&x)?)?.f_gelu("none")?;
        x.f_add(&self.contract.forward(&y)?)
    }

    fn attend(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (batch, tokens, _) = x.size3()?;
        let all = self.query_key_value.forward(x)?.f_reshape([batch, tokens, 3, HEADS, WIDTH / HEADS])?;
        let all = all.f_permute([2, 0, 3, 1, 4])?;
        let part = |i| all.f_select(0, i);
        let y = Tensor::f_scaled_dot_product_attention(
            &part(0)?,
            &part(1)?,
            &part(2)?,
            None::<Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        self.project.forward(&y.f_transpose(1, 2)?.f_reshape([batch, tokens, WIDTH])?)
    }

    fn write(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let y = self.before_attention.write(graph, x)?;
        let y = self.write_attention(graph, &y)?;
        let x = graph.apply("Add", &[x, &y], &[]);
        let y = self.before_perceptron.write(graph, &x)?;
        let y = self.expand.write(graph, &y)?;
        let y = write_gelu(graph, &y);
        let y = self.contract.write(graph, &y)?;
        Ok(graph.apply("Add", &[&x, &y], &[]))
    }

    fn write_attention(&self, graph: &mut Graph, x: &Value) -> Result<Value, TchError> {
        let width = WIDTH / HEADS;
        let all = self.query_key_value.write(graph, x)?;
        // (T, 3, heads, width) -> (3, heads, T, width)
        let all = graph.reshape(&all, &[TOKENS, 3, HEADS, width]);
        let all = graph.apply("Transpose", &[&all], &[("perm", Attribute::Ints(&[1, 2, 0, 3]))]);
        let [query, key, value] = [0, 1, 2].map(|i| {
            let part = graph.narrow(&all, 0, i, i + 1);
            graph.reshape(&part, &[HEADS, TOKENS, width])
        });
        let key = graph.apply("Transpose", &[&key], &[("perm", Attribute::Ints(&[0, 2, 1]))]);
        let fit = graph.apply("MatMul", &[&query, &key], &[]);
        let scale = graph.constant(&[], &[1.0 / (width as f32).sqrt()]);
        let fit = graph.apply("Mul", &[&fit, &scale], &[]);
        let fit = graph.apply("Softmax", &[&fit], &[("axis", Attribute::Int(-1))]);
        let y = graph.apply("MatMul", &[&fit, &value], &[]);
        let y = graph.apply("Transpose", &[&y], &[("perm", Attribute::Ints(&[1, 0, 2]))]);
        let y = graph.reshape(&y, &[1, TOKENS, WIDTH]);
        self.project.write(graph, &y)
    }

    fn prepare(&mut self, inference: &Inference) -> Result<(), TchError> {
        for norm in [&mut self.before_attention, &mut self.before_perceptron] {
            norm.prepare(inference)?;
        }
        for dense in [&mut self.query_key_value, &mut self.project, &mut self.expand, &mut self.contract] {
            dense.prepare(inference)?;
        }
        Ok(())
    }
}

/// x / 2 (1 + erf(x / sqrt 2)).
fn write_gelu(graph: &mut Graph, x: &Value) -> Value {
    let [one, half, root] = [1.0, 0.5, std::f32::consts::FRAC_1_SQRT_2].map(|number| graph.constant(&[], &[number]));
    let y = graph.apply("Mul", &[x, &root], &[]);
    let y = graph.apply("Erf", &[&y], &[]);
    let y = graph.apply("Add", &[&y, &one], &[]);
    let y = graph.apply("Mul", &[&y, x], &[]);
    graph.apply("Mul", &[&y, &half], &[])
}

impl ImageNetwork for VisionTransformer {
    fn forward(&self, images: &Tensor, _train: bool) -> Result<Tensor, TchError> {
        check_images(images, IMAGE_SIZE)?;
        let x = match &self.inference {
            Some(inference) => inference.constant(images)?,
            None => images.shallow_clone(),
        };
        let patches = self.patches.forward(&x)?.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let class_token = self.class_token.f_expand([x.size()[0], 1, WIDTH], false)?.f_to_kind(x.kind())?;
        let mut x = Tensor::f_cat(&[&class_token, &patches], 1)?.f_add(&self.positions.f_to_kind(x.kind())?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.norm.forward(&x.f_select(1, 0)?)?.f_to_kind(Kind::Float)
    }

    fn write(&self, graph: &mut Graph, images: &Value) -> Result<Value, TchError> {
        let patches = self.patches.write(graph, images)?;
        let patches = graph.reshape(&patches, &[1, WIDTH, TOKENS - 1]);
        let patches = graph.apply("Transpose", &[&patches], &[("perm", Attribute::Ints(&[0, 2, 1]))]);
        let class_token = constant(graph, &self.class_token)?;
        let positions = constant(graph, &self.positions)?;
        let x = graph.concatenate(&[&class_token, &patches], 1);
        let x = graph.apply("Add", &[&x, &positions], &[]);
        let x = self.blocks.iter().try_fold(x, |x, block| block.write(graph, &x))?;
        let first = graph.narrow(&x, 1, 0, 1);
        let first = graph.reshape(&first, &[1, WIDTH]);
        self.norm.write(graph, &first)
    }

    fn dimension(&self) -> i64 {
        WIDTH
    }

    fn image_size(&self) -> i64 {
        IMAGE_SIZE
    }

    fn prepare(&mut self, inference: Inference) -> Result<(), TchError> {
        self.patches.prepare(&inference)?;
        self.class_token = inference.constant(&self.class_token)?;
        self.positions = inference.constant(&self.positions)?;
        for block in &mut self.blocks {
            block.prepare(&inference)?;
        }
        self.norm.prepare(&inference)?;
        self.inference = Some(inference);
        Ok(())
    }
}

//! The intention-conditioned value function (Ghosh et al. 2023, "Reinforcement learning from passive data via latent
//! intentions"): how near an outcome is from here, for an agent that intends something.
//!
//! ```text
//! V(s, g, z) = sum_j [A (T * phi(f(s)))]_j [B (T * psi(f(g)))]_j          T = T_net(psi(f(z))),  * elementwise
//! ```
//!
//! f is an image network and not part of this file; phi, psi and T_net are multilayer perceptrons, A and B dense layers
//! with bias. V-PTR's text writes phi(s)^T T(z) psi(g) with T of f(z); its code, followed here, feeds T_net with
//! psi(f(z)), and the d x d matrix of the text is diag(T) A^T B diag(T) plus what the biases add.

use tch::nn::{self, Init};
use tch::{Device, TchError, Tensor};

use super::layers::LayerNorm;

/// Smallest standard deviation that an embedding's number is divided by, so that almost constant numbers are not amplified.
const LEAST_SPREAD: f64 = 0.05;

/// How the perceptrons of an [`IntentionValue`] are made.
#[derive(Clone, Debug, PartialEq)]
pub struct PerceptronShape {
    /// Units of each layer; the last number is d, the length of phi, psi and T.
    pub hidden: Vec<i64>,
    /// Dense -> GELU -> layer normalization instead of dense -> ReLU.
    pub layer_norm: bool,
    /// Share of units dropped after each layer while training; 0 drops none.
    pub dropout: f64,
}

/// A dense layer; `weight`: (out, in), `bias`: (out), which begins at zero.
struct Dense {
    weight: Tensor,
    bias: Tensor,
}

impl Dense {
    /// `bound`: the weights start uniform in +-this.
    fn new(path: &nn::Path, input: i64, output: i64, bound: f64) -> Result<Self, TchError> {
        let weight = path.f_var("weight", &[output, input], Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, bias: path.f_zeros("bias", &[output])? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, Some(&self.bias))
    }
}

/// Dense layers, each followed by an activation, the last one too.
struct Perceptron {
    layers: Vec<(Dense, Option<LayerNorm>)>,
    dropout: f64,
}

impl Perceptron {
    fn new(path: &nn::Path, input: i64, shape: &PerceptronShape) -> Result<Self, TchError> {
        let mut layers = Vec::new();
        let mut from = input;
        for (i, &width) in shape.hidden.iter().enumerate() {
            // Glorot's uniform initialization, as the published code has it.
            let bound = (6.0 / (from + width) as f64).sqrt();
            let dense = Dense::new(&(path / format!("dense{i}")), from, width, bound)?;
            let norm = shape.layer_norm.then(|| LayerNorm::new(&(path / format!("norm{i}")), width)).transpose()?;
            layers.push((dense, norm));
            from = width;
        }
        Ok(Self { layers, dropout: shape.dropout })
    }

    /// (B, in) -> (B, d).
    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let mut x = x.shallow_clone();
        for (dense, norm) in &self.layers {
            x = dense.forward(&x)?;
            x = match norm {
                None => x.f_relu()?,
                Some(norm) => norm.forward(&x.f_gelu("tanh")?)?,
            };
            if self.dropout > 0.0 {
                x = x.f_dropout(self.dropout, train)?;
            }
        }
        Ok(x)
    }
}

/// One value head over embeddings of D numbers; in units of discounted steps: 0 at the outcome, down to
/// -1 / (1 - discount) where it is out of reach.
///
/// Variables: `phi`, `psi`, `t`, each `dense0.. norm0..`; `a`, `b`; each `{weight,bias}`.
pub struct IntentionValue {
    phi: Perceptron,
    psi: Perceptron,
    t: Perceptron,
    a: Dense,
    b: Dense,
}

/// phi, psi and T of embeddings, each (B, d). Values of several triples share them.
pub struct Part(Tensor);

impl IntentionValue {
    /// A head for embeddings of `dimension` numbers, initialized by libtorch's generator.
    pub fn new(path: &nn::Path, dimension: i64, shape: &PerceptronShape) -> Result<Self, TchError> {
        let Some(&width) = shape.hidden.last() else {
            return Err(TchError::Shape("an intention value needs at least one hidden layer".into()));
        };
        // LeCun's initialization: the variance of flax's dense layers.
        let bound = (3.0 / width as f64).sqrt();
        Ok(Self {
            phi: Perceptron::new(&(path / "phi"), dimension, shape)?,
            psi: Perceptron::new(&(path / "psi"), dimension, shape)?,
            t: Perceptron::new(&(path / "t"), width, shape)?,
            a: Dense::new(&(path / "a"), width, width, bound)?,
            b: Dense::new(&(path / "b"), width, width, bound)?,
        })
    }

    /// Starts psi as phi and B as A, with A scaled by `share`, so that V(s, g, z) starts high where s looks like g. Scales
    /// the input of the first layers to mean 0 and standard deviation 1, measured on `sample` (B, D). With independent
    /// weights V cannot discriminate until phi and psi have aligned, which takes too long on a CPU. Not in the published
    /// code, which trains for a million steps.
    pub fn begin_alike(&mut self, share: f64, sample: &Tensor) -> Result<(), TchError> {
        tch::no_grad(|| {
            let mean = sample.f_mean_dim([0i64].as_slice(), false, None)?;
            let spread = sample.f_std_dim([0i64].as_slice(), true, false)?.f_clamp_min(LEAST_SPREAD)?;
            for (i, (phi, psi)) in self.phi.layers.iter_mut().zip(&mut self.psi.layers).enumerate() {
                if i == 0 {
                    // W (x - mean) / spread = (W / spread) x - (W / spread) mean
                    let _ = phi.0.weight.f_div_(&spread)?;
                    phi.0.bias.f_copy_(&phi.0.weight.f_matmul(&mean)?.f_neg()?)?;
                }
                psi.0.weight.f_copy_(&phi.0.weight)?;
                psi.0.bias.f_copy_(&phi.0.bias)?;
            }
            let _ = self.a.weight.f_mul_scalar_(share)?;
            self.b.weight.f_copy_(&self.a.weight)
        })
    }

    /// phi of where one is; `embedding`: f(s), (B, D).
    pub fn phi(&self, embedding: &Tensor, train: bool) -> Result<Part, TchError> {
        Ok(Part(self.phi.forward(embedding, train)?))
    }

    /// psi of an outcome; `embedding`: f(g), (B, D).
    pub fn psi(&self, embedding: &Tensor, train: bool) -> Result<Part, TchError> {
        Ok(Part(self.psi.forward(embedding, train)?))
    }

    /// T of an intent, from psi of the image that shows the intent fulfilled.
    pub fn t(&self, intent: &Part, train: bool) -> Result<Part, TchError> {
        Ok(Part(self.t.forward(&intent.0, train)?))
    }

    /// V of phi(f(s)), psi(f(g)) and T(psi(f(z))): (B).
    pub fn value(&self, phi: &Part, psi: &Part, t: &Part) -> Result<Tensor, TchError> {
        let from = self.a.forward(&t.0.f_mul(&phi.0)?)?;
        let to = self.b.forward(&t.0.f_mul(&psi.0)?)?;
        from.f_mul(&to)?.f_sum_dim_intlist(-1, false, None)
    }

    /// V(s, g, z) of embeddings f(s), f(g), f(z), each (B, D): (B).
    pub fn of(&self, s: &Tensor, g: &Tensor, z: &Tensor, train: bool) -> Result<Tensor, TchError> {
        let t = self.t(&self.psi(z, train)?, train)?;
        self.value(&self.phi(s, train)?, &self.psi(g, train)?, &t)
    }
}

/// Two heads over one embedding ("double V"), so that the smaller value curbs overestimation.
///
/// Variables: those of [`IntentionValue`] under `v1` and `v2`.
pub struct IntentionValues {
    /// V1 and V2.
    pub heads: [IntentionValue; 2],
    dimension: i64,
    device: Device,
}

impl IntentionValues {
    /// Two heads for embeddings of `dimension` numbers.
    pub fn new(path: &nn::Path, dimension: i64, shape: &PerceptronShape) -> Result<Self, TchError> {
        let head = |name: &str| IntentionValue::new(&(path / name), dimension, shape);
        Ok(Self { heads: [head("v1")?, head("v2")?], dimension, device: path.device() })
    }

    /// [`IntentionValue::begin_alike`] for both heads.
    pub fn begin_alike(&mut self, share: f64, sample: &Tensor) -> Result<(), TchError> {
        self.heads.iter_mut().try_for_each(|head| head.begin_alike(share, sample))
    }

    /// Length D of the embeddings it expects.
    pub fn dimension(&self) -> i64 {
        self.dimension
    }

    /// Where its variables are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// min(V1, V2)(s, g, z) of embeddings, each (B, D): (B).
    pub fn least(&self, s: &Tensor, g: &Tensor, z: &Tensor) -> Result<Tensor, TchError> {
        let [v1, v2] = &self.heads;
        v1.of(s, g, z, false)?.f_minimum(&v2.of(s, g, z, false)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::fill;
    use tch::{Device, Kind};

    fn shape(layer_norm: bool) -> PerceptronShape {
        PerceptronShape { hidden: vec![6, 4], layer_norm, dropout: 0.0 }
    }

    fn random(size: &[i64]) -> Tensor {
        Tensor::rand(size, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn the_value_is_the_bilinear_form_with_the_biases_written_out() {
        let store = nn::VarStore::new(Device::Cpu);
        let head = IntentionValue::new(&store.root(), 5, &shape(false)).unwrap();
        fill(&store, 3).unwrap();
        let (s, g, z) = (random(&[7, 5]), random(&[7, 5]), random(&[7, 5]));
        let (phi, psi) = (head.phi(&s, false).unwrap().0, head.psi(&g, false).unwrap().0);
        let t = head.t(&head.psi(&z, false).unwrap(), false).unwrap().0;
        // [A (T phi) + a] . [B (T psi) + b], as four products.
        let v = store.variables();
        let (a, a0, b, b0) = (&v["a.weight"], &v["a.bias"], &v["b.weight"], &v["b.bias"]);
        let (x, y) = (&t * &phi, &t * &psi);
        let matrix = a.transpose(0, 1).matmul(b);
        let expected = (x.matmul(&matrix) * &y).sum_dim_intlist(-1, false, None)
            + x.matmul(&a.transpose(0, 1)).matmul(b0)
            + y.matmul(&b.transpose(0, 1)).matmul(a0)
            + a0.dot(b0);
        let off = f64::try_from((head.of(&s, &g, &z, false).unwrap() - expected).abs().max()).unwrap();
        assert!(off < 1e-5, "{off}");
    }

    #[test]
    fn heads_that_begin_alike_return_high_values_where_images_look_alike() {
        let store = nn::VarStore::new(Device::Cpu);
        let shape = PerceptronShape { hidden: vec![32, 32], layer_norm: true, dropout: 0.0 };
        let mut values = IntentionValues::new(&store.root(), 5, &shape).unwrap();
        let sample = random(&[64, 5]) * 1e-1 + 7.0;
        values.begin_alike(0.5, &sample).unwrap();
        // As if the inputs of the first layers had mean 0 and standard deviation 1 over the sample.
        let v = store.variables();
        let first = |x: &Tensor| x.linear(&v["v1.phi.dense0.weight"], Some(&v["v1.phi.dense0.bias"]));
        assert!(f64::try_from(first(&sample).mean_dim([0i64].as_slice(), false, None).abs().max()).unwrap() < 1e-4);
        assert!(f64::try_from(first(&sample).std(true)).unwrap() > 0.1);
        let random = |size: &[i64]| random(size) * 1e-1 + 7.0;
        let (s, g) = (random(&[64, 5]), random(&[64, 5]));
        let at_goal = values.least(&s, &s, &s).unwrap().mean(Kind::Float);
        let elsewhere = values.least(&s, &g, &g).unwrap().mean(Kind::Float);
        assert!(f64::try_from(at_goal).unwrap() > f64::try_from(elsewhere).unwrap() + 0.1);
        // Two variables, not one: training makes them differ.
        assert!(v["v1.psi.dense0.weight"].equal(&v["v1.phi.dense0.weight"]));
        assert!(v["v1.psi.dense0.weight"].data_ptr() != v["v1.phi.dense0.weight"].data_ptr());
        assert!(!v["v1.a.weight"].equal(&v["v2.a.weight"]));
    }

    #[test]
    fn the_heads_differ_and_the_least_is_the_smaller_of_the_two() {
        let store = nn::VarStore::new(Device::Cpu);
        let values = IntentionValues::new(&store.root(), 5, &shape(true)).unwrap();
        fill(&store, 3).unwrap();
        let (s, g, z) = (random(&[64, 5]), random(&[64, 5]), random(&[64, 5]));
        let [v1, v2] =
            values.heads.each_ref().map(|head| Vec::<f32>::try_from(head.of(&s, &g, &z, false).unwrap()).unwrap());
        let least = Vec::<f32>::try_from(values.least(&s, &g, &z).unwrap()).unwrap();
        assert!(v1.iter().zip(&v2).any(|(a, b)| a < b) && v1.iter().zip(&v2).any(|(a, b)| a > b));
        for i in 0..64 {
            assert_eq!(least[i], v1[i].min(v2[i]));
        }
    }

    #[test]
    fn dropout_acts_while_training_only() {
        let store = nn::VarStore::new(Device::Cpu);
        let shape = PerceptronShape { dropout: 0.5, ..shape(false) };
        let head = IntentionValue::new(&store.root(), 5, &shape).unwrap();
        // With so few units, all may be dead after a random initialization.
        fill(&store, 3).unwrap();
        let x = random(&[32, 5]);
        let of = |train| head.of(&x, &x, &x, train).unwrap();
        assert!(of(false).equal(&of(false)));
        // Do not compare two trained ones: another test may reseed the process's generator in between.
        assert!(!of(true).equal(&of(false)));
    }

    #[test]
    fn another_dimension_and_no_layers_are_errors() {
        let store = nn::VarStore::new(Device::Cpu);
        let head = IntentionValue::new(&store.root(), 5, &shape(false)).unwrap();
        let x = random(&[2, 4]);
        assert!(head.of(&x, &x, &x, false).is_err());
        let none = PerceptronShape { hidden: vec![], ..shape(false) };
        assert!(IntentionValue::new(&(store.root() / "other"), 5, &none).is_err());
    }
}

//! V-PTR's actor: embedding, state and task -> a tanh-Gaussian over actions.
//!
//! (B, D) embedding -> bottleneck -> (B, L) latent; latent, scaled state and task one-hot -> hidden layers with ReLU ->
//! mean and log standard deviation of the action before tanh, (B, 7) each. Nothing is appended again: only the critic does
//! that. With `locates` (not V-PTR's) the hidden layers also see where to grasp and release and the way there
//! ([`Locator`](super::locator)). Executed at its mode `tanh(mean)`, in the action bounds' normalized units.

use tch::{Kind, TchError, Tensor, nn};

use super::head::{ACTIONS, LOG_STD_RANGE, STATE};
use super::locator::{Locator, PLACES};
use crate::network::{Bottleneck, Linear, Perceptron};
use visuomotor_core::onnx::{Graph, Value};

/// Gain of the last layers' kernels at the start: the first policy is close to tanh of a standard normal.
const LAST_GAIN: f64 = 1e-2;

/// The actor's layers.
///
/// Variables: `bottleneck.{dense,norm}.{weight,bias}`, `hidden0..`, `mean`, `log_std`, and where it locates `locate0` and
/// `places`, each `{weight,bias}`.
pub struct Actor {
    bottleneck: Bottleneck,
    locator: Option<Locator>,
    hidden: Perceptron,
    mean: Linear,
    log_std: Linear,
}

/// The distribution of `tanh(u)`, `u ~ N(mean, exp(log_std))`, for each of B states.
pub struct TanhGaussian {
    /// Mean before tanh (B, 7).
    pub mean: Tensor,
    /// Log standard deviation before tanh (B, 7).
    pub log_std: Tensor,
    /// Input of both: the last hidden layer (B, W).
    hidden: Tensor,
    /// Where to grasp and release (B, 5), scaled as the state; `None` for an actor that does not locate.
    pub places: Option<Tensor>,
}

impl Actor {
    /// An actor for embeddings of `dimension` numbers, `latent` numbers in the bottleneck, conditions of a state and
    /// `tasks` one-hot numbers, and hidden layers of `widths` units.
    pub fn new(
        path: &nn::Path,
        dimension: i64,
        latent: i64,
        tasks: i64,
        widths: &[i64],
        locates: bool,
    ) -> Result<Self, TchError> {
        let seen = latent + STATE + tasks + if locates { 2 * PLACES } else { 0 };
        let hidden = Perceptron::new(path, seen, 0, widths)?;
        Ok(Self {
            bottleneck: Bottleneck::new(&(path / "bottleneck"), dimension, latent)?,
            locator: locates.then(|| Locator::new(path, dimension, tasks)),
            mean: Linear::new(&(path / "mean"), hidden.dimension(), ACTIONS, LAST_GAIN)?,
            log_std: Linear::new(&(path / "log_std"), hidden.dimension(), ACTIONS, LAST_GAIN)?,
            hidden,
        })
    }

    /// Embeddings (B, D) and conditions (B, 7 + tasks) -> pi(. | s), and the places (B, 5) of an actor that locates.
    pub fn forward(&self, embedding: &Tensor, condition: &Tensor) -> Result<TanhGaussian, TchError> {
        let latent = self.bottleneck.forward(embedding)?;
        let places = self.locator.as_ref().map(|locator| locator.places(embedding, condition)).transpose()?;
        let mut seen = vec![latent, condition.shallow_clone()];
        if let Some(places) = &places {
            seen.extend([places.shallow_clone(), Locator::way(places, condition)?]);
        }
        let x = self.hidden.forward(&Tensor::f_cat(&seen, 1)?, None)?;
        let log_std = self.log_std.forward(&x)?.f_clamp(LOG_STD_RANGE.0, LOG_STD_RANGE.1)?;
        Ok(TanhGaussian { mean: self.mean.forward(&x)?, log_std, hidden: x, places })
    }

    /// Writes what is executed, tanh(mean), into an ONNX graph.
    pub fn write(&self, graph: &mut Graph, embedding: &Value, condition: &Value) -> Result<Value, TchError> {
        let latent = self.bottleneck.write(graph, embedding)?;
        let mut seen = vec![latent, condition.clone()];
        if let Some(locator) = &self.locator {
            seen.extend(locator.write(graph, embedding, condition)?);
        }
        let seen = graph.concatenate(&seen.iter().collect::<Vec<_>>(), 1);
        let hidden = self.hidden.write(graph, &seen)?;
        let mean = self.mean.write(graph, &hidden)?;
        Ok(graph.apply("Tanh", &[&mean], &[]))
    }

    /// The numbers of `policy.log_std`, (B, 7), with gradients to their own layer only: imitation trains the spread with
    /// these, so that it does not change the features behind the mean.
    pub fn log_std_alone(&self, policy: &TanhGaussian) -> Result<Tensor, TchError> {
        self.log_std.forward(&policy.hidden.f_detach()?)?.f_clamp(LOG_STD_RANGE.0, LOG_STD_RANGE.1)
    }
}

impl TanhGaussian {
    /// The action that is executed, tanh(mean): (B, 7) in \[-1, 1\].
    pub fn mode(&self) -> Result<Tensor, TchError> {
        self.mean.f_tanh()
    }

    /// The same without gradients.
    pub fn detached(&self) -> Result<Self, TchError> {
        let places = self.places.as_ref().map(Tensor::f_detach).transpose()?;
        let (mean, log_std, hidden) = (self.mean.f_detach()?, self.log_std.f_detach()?, self.hidden.f_detach()?);
        Ok(Self { mean, log_std, hidden, places })
    }

    /// K actions of each state, (B, K, 7), with their log densities, (B, K), from standard normal numbers (B, K, 7).
    ///
    /// Reparameterized: gradients flow to mean and log_std.
    pub fn sample(&self, normals: &Tensor) -> Result<(Tensor, Tensor), TchError> {
        let (mean, log_std) = (self.mean.f_unsqueeze(1)?, self.log_std.f_unsqueeze(1)?);
        let u = log_std.f_exp()?.f_mul(normals)?.f_add(&mean)?;
        // log N(u) = -e^2 / 2 - log sigma - log(2 pi) / 2
        let half_log_two_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let normal = normals.f_square()?.f_mul_scalar(-0.5)?.f_sub(&log_std)?.f_sub_scalar(half_log_two_pi)?;
        // log |d tanh(u) / du| = log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), which does not round to log 0.
        let squash = u.f_mul_scalar(-2.0)?.f_softplus()?.f_add(&u)?.f_mul_scalar(-2.0)?;
        let squash = squash.f_add_scalar(2.0 * std::f64::consts::LN_2)?;
        let log_density = normal.f_sub(&squash)?.f_sum_dim_intlist(-1, false, Kind::Float)?;
        Ok((u.f_tanh()?, log_density))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn shapes_fit_and_the_first_policy_is_nearly_a_standard_normal() {
        let store = nn::VarStore::new(Device::Cpu);
        let actor = Actor::new(&store.root(), 6, 8, 2, &[16, 16], false).unwrap();
        let policy = actor.forward(&Tensor::rand([3, 6], OPTIONS), &Tensor::rand([3, 9], OPTIONS)).unwrap();
        assert_eq!((policy.mean.size(), policy.log_std.size()), (vec![3, 7], vec![3, 7]));
        assert!(f64::try_from(policy.mean.abs().max()).unwrap() < 0.2);
        assert!(f64::try_from(policy.log_std.abs().max()).unwrap() < 0.2);
        let (actions, log_density) = policy.sample(&Tensor::randn([3, 4, 7], OPTIONS)).unwrap();
        assert_eq!((actions.size(), log_density.size()), (vec![3, 4, 7], vec![3, 4]));
    }

    #[test]
    fn an_imitated_spread_trains_only_its_own_layer() {
        let store = nn::VarStore::new(Device::Cpu);
        let actor = Actor::new(&store.root(), 6, 8, 2, &[16, 16], false).unwrap();
        let embedding = Tensor::rand([3, 6], OPTIONS).set_requires_grad(true);
        let policy = actor.forward(&embedding, &Tensor::rand([3, 9], OPTIONS)).unwrap();
        let alone = actor.log_std_alone(&policy).unwrap();
        assert!(alone.equal(&policy.log_std));
        alone.sum(Kind::Float).backward();
        for (name, variable) in store.variables() {
            assert_eq!(variable.grad().defined(), name.starts_with("log_std"), "{name}");
        }
        assert!(!embedding.grad().defined(), "the encoder was moved by the spread");
    }

    #[test]
    fn an_actor_that_locates_returns_places_and_uses_them() {
        let store = nn::VarStore::new(Device::Cpu);
        let actor = Actor::new(&store.root(), 6, 8, 2, &[16], true).unwrap();
        let (embedding, task) = (Tensor::rand([3, 6], OPTIONS), Tensor::ones([3, 2], OPTIONS));
        let at = |state: f64| {
            let condition = Tensor::cat(&[&Tensor::full([3, 7], state, OPTIONS), &task], 1);
            actor.forward(&embedding, &condition).unwrap()
        };
        let (here, there) = (at(0.0), at(1.0));
        let [places, others] = [here.places.unwrap(), there.places.unwrap()];
        assert_eq!(places.size(), [3, PLACES]);
        assert!(places.equal(&others), "the places followed the tool");
        assert!(!here.mean.equal(&there.mean));
        // The action's gradient reaches the places: the action depends on them.
        here.mean.sum(Kind::Float).backward();
        assert!(f64::try_from(store.variables()["places.weight"].grad().abs().max()).unwrap() > 0.0);
    }

    #[test]
    fn the_density_integrates_to_one() {
        // One dimension varies over a fine grid of actions a; the other six sit at u = 0, where their density is known.
        let (mean, log_std, count) = (0.3f64, -0.4f64, 4000);
        let step = 2.0 / f64::from(count);
        let at_zero = |i: usize| {
            let mean = if i == 0 { mean } else { 0.0 };
            let log_std = if i == 0 { log_std } else { 0.0 };
            (mean as f32, log_std as f32)
        };
        let (means, stds): (Vec<f32>, Vec<f32>) = (0..7).map(at_zero).unzip();
        let policy = TanhGaussian {
            mean: Tensor::from_slice(&means).reshape([1, 7]),
            log_std: Tensor::from_slice(&stds).reshape([1, 7]),
            hidden: Tensor::new(),
            places: None,
        };
        let mut normals = vec![0.0f32; count as usize * 7];
        for i in 0..count as usize {
            let a = -1.0 + (i as f64 + 0.5) * step;
            normals[i * 7] = ((a.atanh() - mean) / log_std.exp()) as f32;
        }
        let (_, log_density) = policy.sample(&Tensor::from_slice(&normals).reshape([1, -1, 7])).unwrap();
        let others = 6.0 * 0.5 * (2.0 * std::f64::consts::PI).ln();
        let total = f64::try_from((log_density + others).exp().sum(Kind::Double)).unwrap() * step;
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }

    #[test]
    fn actions_at_the_edge_keep_a_finite_density() {
        let policy = TanhGaussian {
            mean: Tensor::full([1, 7], 60.0, OPTIONS),
            log_std: Tensor::zeros([1, 7], OPTIONS),
            hidden: Tensor::new(),
            places: None,
        };
        let (actions, log_density) = policy.sample(&Tensor::zeros([1, 1, 7], OPTIONS)).unwrap();
        assert_eq!(f64::try_from(actions.min()).unwrap(), 1.0);
        assert!(f64::try_from(log_density).unwrap().is_finite());
    }
}

//! Adam with decoupled weight decay (AdamW), written in tensor operations because tch cannot save an optimizer's state.

use tch::{TchError, Tensor, nn};

/// Moments of every trainable variable, in the order of their sorted names.
pub struct Adam {
    variables: Vec<(String, Tensor)>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    step: i64,
    weight_decay: f64,
    epsilon: f64,
    /// Share of the learning rate that each variable moves at.
    shares: Vec<f64>,
}

impl Adam {
    const BETA1: f64 = 0.9;
    const BETA2: f64 = 0.999;
    const EPSILON: f64 = 1e-8;

    /// An optimizer of the trainable variables of `stores`, each name prefixed by its store's.
    pub fn new(stores: &[(&str, &nn::VarStore)], weight_decay: f64) -> Self {
        let mut variables: Vec<(String, Tensor)> = stores
            .iter()
            .flat_map(|(prefix, store)| {
                store.variables().into_iter().map(move |(name, tensor)| (format!("{prefix}.{name}"), tensor))
            })
            .filter(|(_, tensor)| tensor.requires_grad())
            .collect();
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let zeros = |variables: &[(String, Tensor)]| variables.iter().map(|(_, t)| t.zeros_like()).collect();
        Self {
            first: zeros(&variables),
            second: zeros(&variables),
            shares: vec![1.0; variables.len()],
            variables,
            step: 0,
            weight_decay,
            epsilon: Self::EPSILON,
        }
    }

    /// The same with another epsilon than 1e-8 (ICVF: 3.125e-4).
    pub fn with_epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The same, but the variables of the store with this prefix learn at a share of the learning rate.
    pub fn with_share(mut self, prefix: &str, share: f64) -> Self {
        for ((name, _), own) in self.variables.iter().zip(&mut self.shares) {
            if name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.')) {
                *own = share;
            }
        }
        self
    }

    /// Number of steps taken.
    pub fn steps(&self) -> i64 {
        self.step
    }

    /// Clears the gradients.
    pub fn zero_grad(&mut self) {
        for (_, variable) in &mut self.variables {
            variable.zero_grad();
        }
    }

    /// One step with the present gradients: Kingma and Ba 2015, algorithm 1, with AdamW's decay; gradients are first scaled
    /// to a global norm of at most `clip`. Returns the norm before clipping.
    pub fn step(&mut self, rate: f64, clip: f64) -> Result<f64, TchError> {
        self.step += 1;
        let (b1, b2) = (Self::BETA1, Self::BETA2);
        let correction1 = 1.0 - b1.powi(self.step as i32);
        let correction2 = 1.0 - b2.powi(self.step as i32);
        tch::no_grad(|| {
            let mut squares = Vec::with_capacity(self.variables.len());
            for (_, variable) in &self.variables {
                let gradient = variable.grad();
                if gradient.defined() {
                    squares.push(gradient.square().sum(tch::Kind::Double));
                }
            }
            // Copied at once: one wait for the GPU, not one per variable.
            let squares = match squares.is_empty() {
                true => Vec::new(),
                false => Vec::<f64>::try_from(Tensor::stack(&squares, 0).to_device(tch::Device::Cpu))?,
            };
            let norm = squares.iter().sum::<f64>().sqrt();
            // A norm that is not finite must not scale the gradients: the caller stops.
            let scale = if norm > clip { clip / norm } else { 1.0 };
            for (i, (_, variable)) in self.variables.iter_mut().enumerate() {
                let gradient = variable.grad();
                if !gradient.defined() {
                    continue;
                }
                let gradient = gradient * scale;
                let rate = rate * self.shares[i];
                let (m, v) = (&mut self.first[i], &mut self.second[i]);
                *m *= b1;
                *m += &gradient * (1.0 - b1);
                *v *= b2;
                *v += gradient.square() * (1.0 - b2);
                let update = (&*m / correction1) / ((&*v / correction2).sqrt() + self.epsilon);
                if self.weight_decay > 0.0 && variable.dim() > 1 {
                    *variable *= 1.0 - rate * self.weight_decay;
                }
                *variable -= update * rate;
            }
            Ok(norm)
        })
    }

    /// The whole state as named tensors, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut out = vec![("adam.step".to_string(), Tensor::from_slice(&[self.step]))];
        for (i, (name, _)) in self.variables.iter().enumerate() {
            out.push((format!("adam.first.{name}"), self.first[i].copy()));
            out.push((format!("adam.second.{name}"), self.second[i].copy()));
        }
        out
    }

    /// Restores a saved state.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        let find = |key: &str| {
            state
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, t)| t)
                .ok_or_else(|| anyhow::anyhow!("the checkpoint lacks `{key}`; it belongs to another network"))
        };
        self.step = i64::try_from(find("adam.step")?.f_reshape([-1])?.f_get(0)?)?;
        for (i, (name, _)) in self.variables.iter().enumerate() {
            self.first[i].f_copy_(find(&format!("adam.first.{name}"))?)?;
            self.second[i].f_copy_(find(&format!("adam.second.{name}"))?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_first_step_moves_each_parameter_by_the_rate_against_its_gradient() {
        let store = nn::VarStore::new(Device::Cpu);
        let x = store.root().var("x", &[2], nn::Init::Const(1.0));
        let mut adam = Adam::new(&[("net", &store)], 0.0);
        let loss = (&x * Tensor::from_slice(&[3.0f32, -5.0])).sum(Kind::Float);
        loss.backward();
        let norm = adam.step(0.1, 100.0).unwrap();
        assert!((norm - 34.0f64.sqrt()).abs() < 1e-5);
        let after = Vec::<f32>::try_from(&x).unwrap();
        assert!((after[0] - 0.9).abs() < 1e-6 && (after[1] - 1.1).abs() < 1e-6, "{after:?}");
    }

    #[test]
    fn a_share_slows_its_store_alone() {
        let (slow, fast) = (nn::VarStore::new(Device::Cpu), nn::VarStore::new(Device::Cpu));
        let x = slow.root().var("x", &[1], nn::Init::Const(1.0));
        let y = fast.root().var("x", &[1], nn::Init::Const(1.0));
        let mut adam = Adam::new(&[("net", &slow), ("network", &fast)], 0.0).with_share("net", 0.5);
        (&x + &y).sum(Kind::Float).backward();
        adam.step(0.1, 100.0).unwrap();
        let after = [&x, &y].map(|v| f64::try_from(v.detach()).unwrap());
        assert!((after[0] - 0.95).abs() < 1e-6 && (after[1] - 0.9).abs() < 1e-6, "{after:?}");
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_it_had_not_stopped() {
        let run = |stop_after: Option<usize>| {
            let store = nn::VarStore::new(Device::Cpu);
            let mut x = store.root().var("x", &[3], nn::Init::Const(1.0));
            let mut adam = Adam::new(&[("net", &store)], 0.01);
            for step in 0..6 {
                if stop_after == Some(step) {
                    let state = adam.state();
                    let value = x.copy();
                    adam = Adam::new(&[("net", &store)], 0.01);
                    adam.restore(&state).unwrap();
                    tch::no_grad(|| x.copy_(&value));
                }
                adam.zero_grad();
                let target = Tensor::from_slice(&[0.3f32, -2.0, step as f32]);
                (&x - target).square().sum(Kind::Float).backward();
                adam.step(0.05, 10.0).unwrap();
            }
            Vec::<f32>::try_from(&x).unwrap()
        };
        assert_eq!(run(None), run(Some(3)));
    }
}

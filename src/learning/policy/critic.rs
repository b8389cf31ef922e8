//! V-PTR's critic: two Q heads over one bottleneck.
//!
//! (B, D) embedding -> bottleneck -> (B, L) latent. Each head: actions, latent and task one-hot -> hidden layers with ReLU
//! -> Q. After every hidden layer, the last one included, the conditioning of [`CriticShape::reappend`] is appended again.
//! The released code appends actions and latent; the paper's text has task and actions. The critic does not see the
//! state (the release's `include_state_critic` is off).

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor, nn};

use super::head::ACTIONS;
use crate::network::{Bottleneck, Linear, Perceptron};

/// Gain of the last layer's kernel at the start: the first Q values are close to 0.
const LAST_GAIN: f64 = 1e-2;

/// What may be appended again after every hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reappended {
    /// The 7 numbers of the action.
    Actions,
    /// The latent of the image.
    Latent,
    /// The task's one-hot.
    Task,
}

/// Sizes of a [`Critic`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CriticShape {
    /// Width L of the bottleneck.
    pub latent: i64,
    /// Hidden widths of each head.
    pub hidden: Vec<i64>,
    /// What is appended again after every hidden layer.
    pub reappend: Vec<Reappended>,
}

/// The critic's layers.
///
/// Variables: `bottleneck.{dense,norm}.{weight,bias}`, `head0` and `head1`, each `{hidden0..,q}.{weight,bias}`.
pub struct Critic {
    bottleneck: Bottleneck,
    heads: [(Perceptron, Linear); 2],
    reappend: Vec<Reappended>,
}

impl Critic {
    /// A critic for embeddings of `dimension` numbers and `tasks` one-hot numbers.
    pub fn new(path: &nn::Path, dimension: i64, tasks: i64, shape: &CriticShape) -> Result<Self, TchError> {
        let width = |part: &Reappended| match part {
            Reappended::Actions => ACTIONS,
            Reappended::Latent => shape.latent,
            Reappended::Task => tasks,
        };
        let again = shape.reappend.iter().map(width).sum();
        let head = |name: &str| {
            let path = path / name;
            let hidden = Perceptron::new(&path, ACTIONS + shape.latent + tasks, again, &shape.hidden)?;
            let q = Linear::new(&(&path / "q"), hidden.dimension(), 1, LAST_GAIN)?;
            Ok::<_, TchError>((hidden, q))
        };
        Ok(Self {
            bottleneck: Bottleneck::new(&(path / "bottleneck"), dimension, shape.latent)?,
            heads: [head("head0")?, head("head1")?],
            reappend: shape.reappend.clone(),
        })
    }

    /// Embeddings (B, D) -> latents (B, L).
    pub fn latent(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        self.bottleneck.forward(embedding)
    }

    /// Both Q's of K actions in each of B states: latents (B, L), actions (B, K, 7), tasks (B, T) -> (2, B, K).
    ///
    /// The latent is repeated for the K actions, so that an image is encoded once for any K.
    pub fn q(&self, latent: &Tensor, actions: &Tensor, task: &Tensor) -> Result<Tensor, TchError> {
        let [batch, count, ACTIONS] = actions.size()[..] else {
            let found = actions.size();
            return Err(TchError::Shape(format!("actions {found:?} were given, (B, K, {ACTIONS}) are expected")));
        };
        let repeat = |x: &Tensor| x.f_unsqueeze(1)?.f_expand([batch, count, -1], false);
        let (latent, task) = (repeat(latent)?, repeat(task)?);
        let input = Tensor::f_cat(&[actions, &latent, &task], -1)?;
        let parts: Vec<&Tensor> = self
            .reappend
            .iter()
            .map(|part| match part {
                Reappended::Actions => actions,
                Reappended::Latent => &latent,
                Reappended::Task => &task,
            })
            .collect();
        let again = if parts.is_empty() { None } else { Some(Tensor::f_cat(&parts, -1)?) };
        let mut q = Vec::with_capacity(2);
        for (hidden, output) in &self.heads {
            q.push(output.forward(&hidden.forward(&input, again.as_ref())?)?.f_squeeze_dim(-1)?);
        }
        Tensor::f_stack(&q, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn critic(reappend: &[Reappended]) -> (nn::VarStore, Critic) {
        let store = nn::VarStore::new(Device::Cpu);
        let shape = CriticShape { latent: 4, hidden: vec![8, 8], reappend: reappend.to_vec() };
        let critic = Critic::new(&store.root(), 6, 3, &shape).unwrap();
        (store, critic)
    }

    #[test]
    fn q_of_an_action_does_not_depend_on_the_other_actions() {
        let (_store, critic) = critic(&[Reappended::Actions, Reappended::Latent]);
        let latent = critic.latent(&Tensor::rand([2, 6], OPTIONS)).unwrap();
        let (actions, task) = (Tensor::rand([2, 5, 7], OPTIONS), Tensor::rand([2, 3], OPTIONS));
        let all = critic.q(&latent, &actions, &task).unwrap();
        assert_eq!(all.size(), [2, 2, 5]);
        let alone = critic.q(&latent, &actions.narrow(1, 3, 1), &task).unwrap();
        assert!(f64::try_from((all.narrow(2, 3, 1) - alone).abs().max()).unwrap() < 1e-6);
    }

    #[test]
    fn every_part_can_be_appended_again_or_none() {
        let last = |store: &nn::VarStore| store.variables()["head0.q.weight"].size()[1];
        for (parts, width) in [
            (vec![], 8),
            (vec![Reappended::Actions, Reappended::Latent], 8 + 7 + 4),
            (vec![Reappended::Actions, Reappended::Task], 8 + 7 + 3),
        ] {
            let (store, critic) = critic(&parts);
            assert_eq!(last(&store), width);
            let latent = critic.latent(&Tensor::rand([2, 6], OPTIONS)).unwrap();
            let q = critic.q(&latent, &Tensor::rand([2, 1, 7], OPTIONS), &Tensor::rand([2, 3], OPTIONS)).unwrap();
            assert_eq!(q.size(), [2, 2, 1]);
        }
    }

    #[test]
    fn actions_without_a_count_are_an_error() {
        let (_store, critic) = critic(&[]);
        let latent = Tensor::zeros([2, 4], OPTIONS);
        assert!(critic.q(&latent, &Tensor::zeros([2, 7], OPTIONS), &Tensor::zeros([2, 3], OPTIONS)).is_err());
    }
}

//! Multi-task conservative Q-learning: V-PTR's phases 2 and 3, the whole algorithm.
//!
//! A batch of transitions (s, a, r, m, s') with tasks; pi the actor (tanh-Gaussian), Q_1, Q_2 the critic's heads, Q' its
//! target. One step ([`ActorCritic::step`]):
//!
//! ```text
//! 1. y = r + gamma m max_j min_i Q'_i(s', a'_j),  a'_1..k ~ pi(. | s')     no entropy in the backup; k = n in the release
//! 2. critic   mean_i (Q_i(s, a) - y)^2
//!           + alpha mean_i [ log( sum_j exp(Q_i(s, a_j) - log pi(a_j | s)) + sum_j exp(Q_i(s, u_j) - log 0.5^7) ) - Q_i(s, a) ]
//!             a_1..n ~ pi(. | s) without gradient, u_1..n uniform in [-1, 1]^7
//! 3. target   Q' <- (1 - tau) Q' + tau Q
//! 4. actor    mean( T log pi(b | s) - min_i Q_i(s, b) ),  b ~ pi(. | s) reparameterized, Q after its step
//!           + w mean( 1[success] ( |tanh mu(s) - a|^2 + v / 7 nll(a | tanh mu(s) [fixed], sigma(s)) ) )
//!           + p h(places - where the fingers closed and opened)                      w = v = p = 0 in the release
//! 5. temperature   T (H - H'),  H = -mean log pi(b | s),  H' = -7
//! ```
//!
//! each with its own Adam. Phase 2 learns from the data of many tasks; phase 3 resumes from it, optimizers included, with the
//! target task's data mixed in ([`Mixture`](super::transitions::Mixture)). This file does not distinguish the two.
//!
//! Actor and critic have an image encoder each, started from the same weights, and the target follows the critic's. An image
//! is encoded once per network and step, four passes of B images (critic on s, target on s', actor on s and s'); the n
//! actions repeat latents. The released code repeats the images instead and encodes s a fifth time for the actor's loss
//! ([`Settings::encode_again`]).
//!
//! Deviations from the release, for runs that are a hundred times shorter: the weights w and v of imitation
//! ([`Settings::bc_weight`], [`Settings::bc_std_weight`]), as in TD3+BC (Fujimoto & Gu 2021), and p of locating
//! ([`Settings::places_weight`], with the h of [`Places::error`](super::Places::error)), another number of actions in the backup
//! ([`Settings::backup_n_actions`]), a share of successes in the prior data ([`Settings::successes`]), and a moving average of
//! the actor's weights as what is saved ([`Settings::ema_decay`]). Always: the state is scaled; angles of relabelled actions are
//! wrapped ([`Labels`](super::transitions::Labels)).
//!
//! [`train()`] and [`finetune`] go from data to a policy folder. [`losses`] defines the losses, [`Cql`] the encoders and the saved files, [`Settings`] every number.

mod learner;
pub mod losses;
mod settings;
mod train;

use anyhow::bail;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::checkpoint::{named, restore_named};
use super::imitation::{spread, squared_error};
use super::transitions::TransitionBatch;
use super::{Adam, Terms, soft_update};
use crate::network::{normals, splitmix64, uniforms};
use crate::policy::{Actor, Critic};

pub use learner::{Cql, Passes, continued, described};
pub use settings::Settings;
pub use train::{finetune, train};

/// Length of an action, and of a state at the start of a condition.
const SEVEN: i64 = 7;

/// Actor, critic and target on embeddings, with the optimizers of all.
pub struct ActorCritic {
    settings: Settings,
    actor_variables: nn::VarStore,
    critic_variables: nn::VarStore,
    target_variables: nn::VarStore,
    temperature_variables: nn::VarStore,
    actor: Actor,
    critic: Critic,
    target: Critic,
    /// log T, (1).
    log_temperature: Tensor,
    actor_adam: Adam,
    critic_adam: Adam,
    temperature_adam: Adam,
}

/// Embeddings of a batch for each network, each (B, D).
pub struct Embedded {
    /// s by the critic's encoder, with gradient where it is trained.
    pub critic: Tensor,
    /// s' by the target's encoder, without gradient.
    pub target_next: Tensor,
    /// s by the actor's encoder, with gradient where it is trained.
    pub actor: Tensor,
    /// s' by the actor's encoder, without gradient.
    pub actor_next: Tensor,
}

/// All random numbers of one step.
pub struct Draws {
    /// Standard normal numbers behind a'_1..k, (B, k, 7).
    pub next: Tensor,
    /// Standard normal numbers behind a_1..n, (B, n, 7).
    pub policy: Tensor,
    /// u_1..n, uniform in \[-1, 1\], (B, n, 7).
    pub uniform: Tensor,
    /// Standard normal numbers behind b, (B, 1, 7).
    pub actor: Tensor,
}

impl Draws {
    /// Draws for B states, n actions of each and k of each next one, from `seed` alone.
    pub fn new(seed: u64, batch: i64, (samples, next): (i64, i64), device: Device) -> Result<Self, TchError> {
        let shaped = |numbers: fn(usize, u64) -> Vec<f32>, stream, count: i64| {
            let length = (batch * count * SEVEN).unsigned_abs() as usize;
            let values = numbers(length, splitmix64(seed, stream));
            Tensor::f_from_slice(&values)?.f_reshape([batch, count, SEVEN])?.f_to_device(device)
        };
        Ok(Self {
            next: shaped(normals, 0, next)?,
            policy: shaped(normals, 1, samples)?,
            uniform: shaped(uniforms, 2, samples)?,
            actor: shaped(normals, 3, 1)?,
        })
    }
}

/// The critic's targets and losses on a batch, before it steps.
struct CriticLoss {
    bellman: Tensor,
    conservative: Tensor,
    loss: Tensor,
    data_q: Tensor,
    policy_q: Tensor,
}

impl ActorCritic {
    /// Networks on `device` for embeddings of `dimension` numbers. `encoders` are the variables of the actor's and the critic's encoder,
    /// where they are trained.
    pub fn new(
        settings: &Settings,
        dimension: i64,
        encoders: Option<(&nn::VarStore, &nn::VarStore)>,
        device: Device,
    ) -> anyhow::Result<Self> {
        let store = || nn::VarStore::new(device);
        let (actor_variables, critic_variables, mut target_variables) = (store(), store(), store());
        let temperature_variables = store();
        let (tasks, shape) = (settings.tasks.len() as i64, settings.critic_shape());
        let actor = Actor::new(
            &actor_variables.root(),
            dimension,
            settings.latent,
            tasks,
            &settings.hidden,
            settings.places_weight.get() > 0.0,
        )?;
        let critic = Critic::new(&critic_variables.root(), dimension, tasks, &shape)?;
        let target = Critic::new(&target_variables.root(), dimension, tasks, &shape)?;
        soft_update(&target_variables, &critic_variables, 1.0)?;
        target_variables.freeze();
        let log_temperature = temperature_variables.root().f_var(
            "log_temperature",
            &[1],
            nn::Init::Const(settings.init_temperature.get().ln()),
        )?;
        let mut actor_group = vec![("actor", &actor_variables)];
        let mut critic_group = vec![("critic", &critic_variables)];
        if let Some((of_actor, of_critic)) = encoders {
            actor_group.push(("actor_encoder", of_actor));
            critic_group.push(("critic_encoder", of_critic));
        }
        let (actor_adam, critic_adam) = (Adam::new(&actor_group, 0.0), Adam::new(&critic_group, 0.0));
        let temperature_adam = Adam::new(&[("temperature", &temperature_variables)], 0.0);
        Ok(Self {
            settings: settings.clone(),
            actor_variables,
            critic_variables,
            target_variables,
            temperature_variables,
            actor,
            critic,
            target,
            log_temperature,
            actor_adam,
            critic_adam,
            temperature_adam,
        })
    }

    /// One step of all networks on `batch`, with `factor` times the settings' learning rates. `follow` updates the target's
    /// encoder and returns s encoded again by the critic's new encoder, where wanted.
    pub fn step(
        &mut self,
        seen: &Embedded,
        batch: &TransitionBatch,
        draws: &Draws,
        factor: f64,
        follow: impl FnOnce() -> anyhow::Result<Option<Tensor>>,
    ) -> anyhow::Result<Terms> {
        let clip = self.settings.gradient_limit();
        let task = task_of(&batch.conditions)?;
        // pi(. | s): without gradient for the CQL term, with it for the actor, whose weights change last.
        let policy = self.actor.forward(&seen.actor, &batch.conditions)?;

        // 1. Target.
        let y = self.backup(seen, batch, draws)?;

        // 2. Critic.
        let (actions, log_density) = policy.detached()?.sample(&draws.policy)?;
        let sampled = [&actions, &draws.uniform];
        let critic = self.critic_loss(&seen.critic, batch, sampled, &log_density, &y)?;
        finite("critic_loss", &critic.loss, "critic_lr")?;
        self.critic_adam.zero_grad();
        critic.loss.backward();
        self.critic_adam.step(factor * self.settings.critic_lr.get(), clip)?;

        // 3. The target follows.
        soft_update(&self.target_variables, &self.critic_variables, self.settings.tau.get())?;
        let again = follow()?;

        // 4. Actor, against the new critic: the gradient goes through b alone, the latent is a constant.
        let (action, log_density) = policy.sample(&draws.actor)?;
        let latent = tch::no_grad(|| self.critic.latent(again.as_ref().unwrap_or(&seen.critic)))?;
        let q = self.critic.q(&latent, &action, &task)?.squeeze_dim(-1);
        let log_density = log_density.squeeze_dim(-1);
        let temperature = self.log_temperature.detach().exp();
        let greedy = losses::actor(&temperature, &log_density, &q);
        let mode = policy.mode()?;
        let log_std = self.actor.log_std_alone(&policy)?;
        let spread = (spread(&mode, &log_std, &batch.shown) * &batch.imitated).mean(Kind::Float);
        let cloning = squared_error(&mode, &batch.shown, &batch.imitated);
        let imitation = &cloning + &spread * self.settings.bc_std_weight;
        let places = match &policy.places {
            Some(places) => batch.places.error(places)?,
            None => cloning.zeros_like(),
        };
        let (bc_weight, places_weight) = (self.settings.bc_weight.get(), self.settings.places_weight.get());
        let actor_loss = greedy + imitation * bc_weight + &places * places_weight;
        finite("actor_loss", &actor_loss, "actor_lr")?;
        self.actor_adam.zero_grad();
        actor_loss.backward();
        self.actor_adam.step(factor * self.settings.actor_lr.get(), clip)?;

        // 5. Temperature.
        let entropy = (-log_density.detach()).mean(Kind::Float);
        let temperature_loss = losses::temperature(&self.log_temperature, &entropy, self.settings.target_entropy);
        self.temperature_adam.zero_grad();
        temperature_loss.backward();
        self.temperature_adam.step(factor * self.settings.temperature_lr.get(), clip)?;

        numbers(&[
            ("critic_loss", &critic.loss),
            ("bellman", &critic.bellman),
            ("conservative", &critic.conservative),
            ("actor_loss", &actor_loss),
            ("cloning", &cloning),
            ("spread", &spread),
            ("places", &places),
            ("temperature_loss", &temperature_loss),
            ("temperature", &temperature),
            ("entropy", &entropy),
            ("data_q", &critic.data_q),
            ("policy_q", &critic.policy_q),
            ("target_q", &y),
        ])
    }

    /// Validation terms on a batch: the critic's terms, the squared error of the executed action, and the error of the places
    /// where the actor locates.
    pub fn judge(&self, seen: &Embedded, batch: &TransitionBatch, draws: &Draws) -> anyhow::Result<Terms> {
        tch::no_grad(|| {
            let policy = self.actor.forward(&seen.actor, &batch.conditions)?;
            let (actions, log_density) = policy.sample(&draws.policy)?;
            let y = self.backup(seen, batch, draws)?;
            let critic = self.critic_loss(&seen.critic, batch, [&actions, &draws.uniform], &log_density, &y)?;
            let error = (policy.mode()? - &batch.shown).square();
            let places = policy.places.as_ref().map(|places| batch.places.error(places)).transpose()?;
            let mut terms = vec![
                ("bellman", &critic.bellman),
                ("conservative", &critic.conservative),
                ("data_q", &critic.data_q),
                ("policy_q", &critic.policy_q),
                ("action_error", &error),
            ];
            terms.extend(places.as_ref().map(|places| ("places", places)));
            numbers(&terms)
        })
    }

    /// y (B).
    fn backup(&self, seen: &Embedded, batch: &TransitionBatch, draws: &Draws) -> Result<Tensor, TchError> {
        tch::no_grad(|| {
            let next = self.actor.forward(&seen.actor_next, &batch.next_conditions)?;
            let (actions, _) = next.sample(&draws.next)?;
            let latent = self.target.latent(&seen.target_next)?;
            let q = self.target.q(&latent, &actions, &task_of(&batch.next_conditions)?)?;
            Ok(losses::backup(&batch.rewards, &batch.masks, &q, self.settings.discount))
        })
    }

    /// The critic's loss on the data's actions, n of the policy and n uniform ones (`sampled`, each (B, n, 7)), all evaluated
    /// in one pass.
    fn critic_loss(
        &self,
        embedding: &Tensor,
        batch: &TransitionBatch,
        sampled: [&Tensor; 2],
        log_density: &Tensor,
        y: &Tensor,
    ) -> Result<CriticLoss, TchError> {
        let [policy, uniform] = sampled;
        let actions = Tensor::cat(&[&batch.actions.unsqueeze(1), policy, uniform], 1);
        let latent = self.critic.latent(embedding)?;
        let q = self.critic.q(&latent, &actions, &task_of(&batch.conditions)?)?;
        let n = policy.size()[1];
        let (data_q, policy_q) = (q.select(-1, 0), q.narrow(-1, 1, n));
        let uniform_q = q.narrow(-1, 1 + n, n);
        let bellman = losses::bellman(&data_q, y);
        let weighed = if self.settings.bound_with_returns {
            losses::bounded(&policy_q, &batch.returns)
        } else {
            policy_q.shallow_clone()
        };
        let conservative = losses::conservative(&weighed, log_density, &uniform_q, &data_q);
        let loss = &bellman + &conservative * self.settings.cql_alpha;
        Ok(CriticLoss { bellman, conservative, loss, data_q, policy_q })
    }

    /// Stores with the prefixes of their variables' names in a state.
    fn stores(&self) -> [(&'static str, &nn::VarStore); 4] {
        [
            ("actor", &self.actor_variables),
            ("critic", &self.critic_variables),
            ("target", &self.target_variables),
            ("temperature", &self.temperature_variables),
        ]
    }

    /// All variables and the optimizers' moments.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let mut state: Vec<_> = self.stores().iter().flat_map(|(prefix, store)| named(prefix, store)).collect();
        for (owner, adam) in
            [("actor", &self.actor_adam), ("critic", &self.critic_adam), ("temperature", &self.temperature_adam)]
        {
            state.extend(adam.state().into_iter().map(|(name, tensor)| (format!("{owner}_{name}"), tensor)));
        }
        state
    }

    /// Restores a saved state.
    pub fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        for (prefix, store) in self.stores() {
            restore_named(prefix, store, state)?;
        }
        for (owner, adam) in [
            ("actor", &mut self.actor_adam),
            ("critic", &mut self.critic_adam),
            ("temperature", &mut self.temperature_adam),
        ] {
            let prefix = format!("{owner}_");
            let of_owner: Vec<(String, Tensor)> = state
                .iter()
                .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_string(), tensor.shallow_clone())))
                .collect();
            adam.restore(&of_owner)?;
        }
        Ok(())
    }
}

/// The task's one-hot (B, T) of a condition (B, 7 + T).
fn task_of(conditions: &Tensor) -> Result<Tensor, TchError> {
    conditions.f_narrow(1, SEVEN, conditions.size()[1] - SEVEN)
}

/// Stops before a gradient step that would corrupt the weights.
fn finite(term: &str, value: &Tensor, rate: &str) -> anyhow::Result<()> {
    let value = f64::try_from(value)?;
    if !value.is_finite() {
        bail!("`{term}` became {value}; lower {rate}, or set max_grad_norm");
    }
    Ok(())
}

/// Means of tensors as numbers, copied from the device at once.
fn numbers(terms: &[(&'static str, &Tensor)]) -> anyhow::Result<Terms> {
    let means: Vec<Tensor> =
        terms.iter().map(|(_, tensor)| tensor.f_detach()?.f_mean(Kind::Double)).collect::<Result<_, TchError>>()?;
    let values = Vec::<f64>::try_from(Tensor::f_stack(&means, 0)?)?;
    Ok(terms.iter().map(|(name, _)| *name).zip(values).collect())
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod learner_tests;

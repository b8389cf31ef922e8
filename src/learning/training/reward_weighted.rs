//! Reward-weighted regression with VIP's reward: the whole algorithm (the baseline that V-PTR's table 2 calls VIP_reward).
//!
//! The pretrained encoder phi measures how much nearer each step of an episode came to the task's goal,
//!
//! ```text
//! d(o) = |phi(o) - g|,  g = mean of phi over the last images of the task's successful episodes
//! R_t  = d(o_t) - d(o_t+1),  0 at the last step        (divided by the episode's d(o_0), where `relative`)
//! w_t  = min(exp(tau R_t), w_max) / mean of these over the data
//! L    = mean_t w_t |tanh(mu(o_t, s_t, c)) - a_t|^2
//! ```
//!
//! so that behavior cloning gives more weight to steps that helped, in failures too. phi stays fixed for the reward; the
//! policy's encoder starts from the same weights. The policy is CQL's actor, executed at its mode; its spread is not trained.
//! The papers do not give tau, the normalization and the network; they are settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::checkpoint::{named, restore_named, write_files};
use super::diagnostics::{mean_goal, potential_rewards, rows};
use super::imitation::squared_error;
use super::settings::settings;
use super::transitions::{Labels, TransitionBatch, Transitions, assemble};
use super::{
    Adam, Batches, ClipAugmentation, Learner, NonNegative, Positive, Run, Terms, TrainedEncoder, learn, step_seed,
    weights_bytes,
};
use crate::encoder::EncoderKind;
use crate::policy::{Actor, Checkpoint, HeadKind, TanhGaussian};
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::digest;

/// Images embedded at once to compute the rewards.
const CHUNK: usize = 64;

settings! {
    /// Settings, one flat file.
    pub struct Settings {
        // --- what is made
        /// Name of the policy.
        pub name: String,
        /// Encoder kind: `small`, `vip`, `vptr`, `r3m`, `mvp`.
        pub encoder: EncoderKind,
        /// Pretrained weights of the reward's encoder, from which the policy's encoder starts.
        pub encoder_weights: PathBuf,
        /// Freeze the policy's encoder, too.
        pub freeze_encoder: bool,
        /// Width of the bottleneck between encoder and actor.
        pub latent: i64,
        /// Hidden widths of the actor.
        pub hidden: Vec<i64>,
        /// Side of the image the policy sees \[pixels\].
        pub image_size: u32,
        /// Width and height of the camera's images \[pixels\].
        pub camera_size: [u32; 2],
        /// Tasks, in the order of the one-hot input.
        pub tasks: Vec<String>,
        /// Action bounds.
        pub bounds: ActionBounds,
        /// Weight of the error of where to grasp and release; 0: the actor does not locate.
        #[serde(default, alias = "places")]
        pub places_weight: NonNegative,
        // --- reward
        /// Weight of the reward: tau; 0 is plain behavior cloning.
        pub temperature: f64,
        /// Largest weight before normalization to a mean of 1.
        #[serde(alias = "largest_weight")]
        pub max_weight: Positive,
        /// Divide the distances of an episode by its first one.
        pub relative: bool,
        /// Largest learning rate.
        pub learning_rate: Positive,
        // --- data
        /// Image augmentation.
        pub augmentation: ClipAugmentation,
        /// Noise on the scaled state, uniform in +-this.
        pub state_jitter: f64,
    }
}

impl Settings {
    /// Refuses values that cannot work; `file` is for messages.
    pub fn check(&self, file: &Path) -> anyhow::Result<()> {
        let file = file.display();
        ensure!(self.steps > 0 && self.batch_size > 0, "{file}: steps and batch_size must be at least 1");
        ensure!(!self.tasks.is_empty(), "{file}: key `tasks`: found none; name every task of the data");
        ensure!(self.temperature >= 0.0, "{file}: key `temperature`: found {}, expected 0 or more", self.temperature);
        Ok(())
    }

    /// How episodes are read: only the intended actions are used.
    pub fn labels(&self) -> Labels {
        Labels { rewarded_steps: 0, discount: 0.0, relabel: false, binarize_gripper: false }
    }

    /// The `policy.toml` of a policy trained on `data`; the weights add its digests.
    pub fn described(&self, data: &Transitions) -> Checkpoint {
        Checkpoint {
            version: Checkpoint::VERSION,
            name: self.name.clone(),
            robot: data.robot.clone(),
            encoder: self.encoder,
            encoder_digest: String::new(),
            head_digest: String::new(),
            image_size: self.image_size,
            camera_size: self.camera_size,
            rate_hz: data.rate_hz,
            bounds: self.bounds,
            tasks: self.tasks.clone(),
            state: data.state_scale(),
            hidden: self.hidden.clone(),
            head: HeadKind::Actor,
            latent: Some(self.latent),
            locates: self.places_weight.get() > 0.0,
            joints: None,
            critic: None,
        }
    }
}

/// Trains to the end, or until asked to stop. Returns whether it came to the end.
pub fn train(settings: &Settings, data: &Transitions, run: &Run<'_>) -> anyhow::Result<bool> {
    let checkpoint = settings.described(data);
    let weighted = Weighted::new(settings, &checkpoint, data, run.device)?;
    (run.tell)(&weighted.describe());
    let mut learner = RewardWeighted::new(settings, &checkpoint, weighted.held_out()?, run.device)?;
    let record = serde_json::json!({
        "algorithm": "reward-weighted",
        "settings": settings,
        "data": data.record(),
    });
    learn(&mut learner, &weighted, &settings.schedule(), record, run)
}

/// min(exp(tau R), w_max), normalized to a mean of 1.
pub fn weights(rewards: &[f64], temperature: f64, largest: f64) -> Vec<f32> {
    let raw: Vec<f64> = rewards.iter().map(|r| (temperature * r).exp().min(largest)).collect();
    let mean = raw.iter().sum::<f64>() / raw.len().max(1) as f64;
    raw.iter().map(|w| (w / mean) as f32).collect()
}

/// Steps of episodes with their weights.
pub struct Weighted<'a> {
    settings: &'a Settings,
    checkpoint: &'a Checkpoint,
    data: &'a Transitions,
    /// Weight of every step of the data.
    weights: Vec<f32>,
    training: Vec<usize>,
    validation: Vec<usize>,
}

/// A batch of B steps.
pub struct WeightedBatch {
    /// The steps.
    pub steps: TransitionBatch,
    /// Their weights (B).
    pub weights: Tensor,
}

impl<'a> Weighted<'a> {
    /// Embeds every image of `data` with the pretrained encoder and weights its steps.
    pub fn new(
        settings: &'a Settings,
        checkpoint: &'a Checkpoint,
        data: &'a Transitions,
        device: Device,
    ) -> anyhow::Result<Self> {
        let mut encoder =
            TrainedEncoder::new(settings.encoder, Some(&settings.encoder_weights), settings.bf16, device)?;
        encoder.freeze();
        let all: Vec<usize> = (0..data.len()).collect();
        let mut embeddings = Vec::with_capacity(data.len());
        for steps in all.chunks(CHUNK) {
            embeddings.extend(tch::no_grad(|| rows(&data.images(steps)?, |part| encoder.embed(part, false)))?);
        }
        let goals: Vec<_> = (0..settings.tasks.len()).map(|task| mean_goal(&last(data, &embeddings, task))).collect();
        let mut rewarded = Vec::with_capacity(data.len());
        for episode in 0..data.episodes() {
            let steps = data.steps(episode);
            let task = data.task(steps.start);
            let goal = goals[task].as_ref().with_context(|| {
                let name = &settings.tasks[task];
                format!("task `{name}`: no episode of it succeeded, so nothing shows its goal; add some that do")
            })?;
            rewarded.extend(potential_rewards(&embeddings[steps], goal, settings.relative));
        }
        let weights = weights(&rewarded, settings.temperature, settings.max_weight.get());
        let (training, validation) = data.split(settings.validation);
        ensure!(
            !training.is_empty(),
            "validation: found {}, which keeps every episode of {} back and leaves none to train on; use 0, or 2 and more",
            settings.validation,
            data.episodes()
        );
        Ok(Self { settings, checkpoint, data, weights, training, validation })
    }

    /// One line for the log: the range of the weights.
    pub fn describe(&self) -> String {
        let mut sorted = self.weights.clone();
        sorted.sort_by(f32::total_cmp);
        let at = |share: f64| sorted.get((share * (sorted.len() - 1) as f64) as usize).copied().unwrap_or(f32::NAN);
        format!(
            "weights of {} steps: smallest {:.3}, 10 % below {:.3}, 10 % above {:.3}, largest {:.3} (mean 1)",
            sorted.len(),
            at(0.0),
            at(0.1),
            at(0.9),
            at(1.0)
        )
    }

    fn put_together(
        &self,
        steps: &[usize],
        augmentation: &ClipAugmentation,
        jitter: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<WeightedBatch, TchError> {
        let picks: Vec<(&Transitions, usize)> = steps.iter().map(|step| (self.data, *step)).collect();
        let weights: Vec<f32> = steps.iter().map(|step| self.weights[*step]).collect();
        Ok(WeightedBatch {
            steps: assemble(&picks, self.checkpoint, augmentation, jitter, rng)?,
            weights: Tensor::f_from_slice(&weights)?,
        })
    }

    /// The held-out data, without augmentation, in batches; at most 512 steps, evenly spread.
    pub fn held_out(&self) -> anyhow::Result<Vec<WeightedBatch>> {
        let none = ClipAugmentation::NONE;
        let stride = self.validation.len().div_ceil(512).max(1);
        let steps: Vec<usize> = self.validation.iter().step_by(stride).copied().collect();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let batches = steps.chunks(self.settings.batch_size.max(1));
        Ok(batches.map(|steps| self.put_together(steps, &none, 0.0, &mut rng)).collect::<Result<_, _>>()?)
    }
}

/// Embeddings of the last images of a task's successes.
fn last(data: &Transitions, embeddings: &[Vec<f32>], task: usize) -> Vec<Vec<f32>> {
    (0..data.episodes())
        .filter(|episode| data.succeeded(*episode))
        .map(|episode| data.steps(episode))
        .filter(|steps| data.task(steps.start) == task)
        .map(|steps| embeddings[steps.end - 1].clone())
        .collect()
}

impl Batches for Weighted<'_> {
    type Batch = WeightedBatch;

    fn batch(&self, step: u64) -> anyhow::Result<WeightedBatch> {
        let settings = self.settings;
        let mut rng = ChaCha8Rng::seed_from_u64(step_seed(settings.seed, step));
        let steps: Vec<usize> =
            (0..settings.batch_size).filter_map(|_| self.training.choose(&mut rng).copied()).collect();
        Ok(self.put_together(&steps, &settings.augmentation, settings.state_jitter, &mut rng)?)
    }
}

/// Reward-weighted regression as a [`Learner`].
pub struct RewardWeighted {
    settings: Settings,
    checkpoint: Checkpoint,
    encoder: TrainedEncoder,
    actor_variables: nn::VarStore,
    actor: Actor,
    adam: Adam,
    held_out: Vec<WeightedBatch>,
}

impl RewardWeighted {
    /// A learner whose encoder starts from the pretrained weights and whose actor starts from the seed.
    pub fn new(
        settings: &Settings,
        checkpoint: &Checkpoint,
        held_out: Vec<WeightedBatch>,
        device: Device,
    ) -> anyhow::Result<Self> {
        tch::manual_seed(settings.seed as i64);
        let mut encoder =
            TrainedEncoder::new(settings.encoder, Some(&settings.encoder_weights), settings.bf16, device)?;
        if settings.freeze_encoder {
            encoder.freeze();
        }
        let actor_variables = nn::VarStore::new(device);
        let tasks = settings.tasks.len() as i64;
        let (dimension, locates) = (encoder.dimension(), settings.places_weight.get() > 0.0);
        let root = actor_variables.root();
        let actor = Actor::new(&root, dimension, settings.latent, tasks, &settings.hidden, locates)?;
        let adam = Adam::new(&[("actor", &actor_variables), ("encoder", &encoder.variables)], 0.0);
        let (settings, checkpoint) = (settings.clone(), checkpoint.clone());
        Ok(Self { settings, checkpoint, encoder, actor_variables, actor, adam, held_out })
    }

    fn here(&self, tensor: &Tensor) -> Result<Tensor, TchError> {
        tensor.f_to_device(self.actor_variables.device())
    }

    /// pi(. | s). BatchNorm statistics stay as they were pretrained.
    fn act(&self, batch: &TransitionBatch) -> Result<TanhGaussian, TchError> {
        let embedding = self.encoder.embed(&batch.images, false)?;
        self.actor.forward(&embedding, &self.here(&batch.conditions)?)
    }
}

impl Learner for RewardWeighted {
    type Batch = WeightedBatch;

    fn update(&mut self, batch: &WeightedBatch, step: u64) -> anyhow::Result<Terms> {
        let policy = self.act(&batch.steps)?;
        let imitation = squared_error(&policy.mode()?, &self.here(&batch.steps.shown)?, &self.here(&batch.weights)?);
        let loss = match &policy.places {
            Some(places) => imitation + batch.steps.places.error(places)? * self.settings.places_weight.get(),
            None => imitation,
        };
        let value = f64::try_from(&loss)?;
        ensure!(value.is_finite(), "`loss` became {value}; lower learning_rate, or set max_grad_norm");
        self.adam.zero_grad();
        loss.backward();
        let rate = self.settings.learning_rate.get() * self.settings.lr_factor(step);
        self.adam.step(rate, self.settings.gradient_limit())?;
        Ok(vec![("loss", value)])
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = named("encoder", &self.encoder.variables);
        state.extend(named("actor", &self.actor_variables));
        state.extend(self.adam.state());
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        restore_named("encoder", &self.encoder.variables, state)?;
        restore_named("actor", &self.actor_variables, state)?;
        self.adam.restore(state)
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let (encoder_file, head_file) = (folder.join("encoder.safetensors"), folder.join("head.safetensors"));
        let encoder = self.encoder.to_bytes(&encoder_file)?;
        let head = weights_bytes(&self.actor_variables, &head_file)?;
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.encoder_digest = digest(&encoder);
        checkpoint.head_digest = digest(&head);
        let description = toml::to_string_pretty(&checkpoint)?.into_bytes();
        write_files(&[(encoder_file, encoder), (head_file, head), (Checkpoint::path(folder), description)])
    }

    fn validate(&self) -> anyhow::Result<Terms> {
        let (mut weighted, mut plain, mut count) = (0.0, 0.0, 0.0);
        for batch in &self.held_out {
            let mode = tch::no_grad(|| self.act(&batch.steps)?.mode())?;
            let actions = self.here(&batch.steps.shown)?;
            let size = actions.size()[0] as f64;
            weighted += size * f64::try_from(squared_error(&mode, &actions, &self.here(&batch.weights)?))?;
            plain += size * f64::try_from((mode - &actions).square().mean(Kind::Double))?;
            count += size;
        }
        if count == 0.0 {
            return Ok(Terms::new());
        }
        Ok(vec![("loss", weighted / count), ("action_error", plain / count)])
    }
}

#[cfg(test)]
#[path = "reward_weighted_tests.rs"]
mod tests;

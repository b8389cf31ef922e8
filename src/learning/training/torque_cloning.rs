//! Cloning of joint torques: the whole algorithm.
//!
//! Given steps (embedding e of the image by a frozen encoder, state s, task c, joints q and their velocities v, torques t,
//! gripper target g), t in standard deviations and g from -1 to 1, minimize
//!
//! ```text
//! L = mean_i (t_i(e, s, c, q, v) - t_i)^2 + w (g(e, s, c, q, v) - g)^2
//!   + p h(places(e, c) - where the tool closed and opened)            in hindsight, as behavior cloning does
//! ```
//!
//! over the head, by AdamW with linear warm-up and cosine decay; the executed policy is an exponential moving average of its
//! weights. The images are embedded once, before the first step; the encoder comes from a policy of the same camera view.
//!
//! Some arms report their state less often than the policy acts. For them s, q and v are those of up to `max_state_age` steps before:
//! the head learns the present torques from earlier measurements. A head trained without late states oscillates on such an
//! arm.

use std::path::Path;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::average::MovingAverage;
use super::checkpoint::{named, restore_named, write_files};
use super::hindsight::Places;
use super::image_encoder::weights_bytes;
use super::settings::{fraction_of, settings};
use super::{
    Adam, Augmentation, Batches, Dataset, Decay, Learner, NonNegative, Positive, Run, Terms, TrainedEncoder, learn,
};
use crate::encoder::EncoderKind;
use crate::network;
use crate::policy::{Checkpoint, HeadKind, JointScale, TorqueHead};
use visuomotor_core::config::digest;

/// Images embedded at once.
const CHUNK: usize = 128;

settings! {
    former = Settings::take_over;
    /// Settings, one flat file.
    pub struct Settings {
        // --- what is made
        /// Name of the policy.
        pub name: String,
        /// Encoder kind: `small`, `vip`, `vptr`, `r3m`, `mvp`.
        pub encoder: EncoderKind,
        /// Hidden widths of the head.
        pub hidden: Vec<i64>,
        /// Side of the image the policy sees \[pixels\].
        pub image_size: u32,
        /// Width and height of the camera's images \[pixels\].
        pub camera_size: [u32; 2],
        /// Tasks, in the order of the one-hot input.
        pub tasks: Vec<String>,
        /// Largest learning rate.
        pub learning_rate: Positive,
        /// Before `final_lr_fraction`: the learning rate at the last step.
        #[doc(hidden)]
        #[serde(default, skip_serializing)]
        pub final_learning_rate: Option<f64>,
        /// Decoupled weight decay.
        pub weight_decay: NonNegative,
        /// Share of the old average of the weights kept per step.
        #[serde(alias = "average")]
        pub ema_decay: Decay,
        /// Weight w of the gripper's error.
        #[serde(alias = "gripper")]
        pub gripper_weight: NonNegative,
        /// Weight p of the error of where to grasp and release.
        #[serde(alias = "places")]
        pub places_weight: NonNegative,
        // --- data
        /// Largest age of the measured state in policy steps, drawn for every step of a batch.
        #[serde(default, alias = "stale")]
        pub max_state_age: usize,
        /// Image augmentation.
        pub augmentation: Augmentation,
    }
}

impl Settings {
    /// Takes over `final_learning_rate`.
    fn take_over(&mut self) -> Result<(), String> {
        if let Some(last) = self.final_learning_rate.take() {
            self.final_lr_fraction = fraction_of(last, self.learning_rate)?;
        }
        Ok(())
    }
}

/// Trains to the end, or until asked to stop. Returns whether it came to the end.
pub fn train(settings: &Settings, data: &Dataset, encoder_weights: &Path, run: &Run<'_>) -> anyhow::Result<bool> {
    ensure!(settings.steps > 0 && settings.batch_size > 0, "steps and batch_size must be at least 1");
    let (training, validation) = data.split(settings.validation);
    ensure!(
        !training.is_empty(),
        "validation: found {}, which keeps every episode of {} back and leaves none to train on; use 0, or 2 and more",
        settings.validation,
        data.episodes()
    );
    let scale = data.joint_scale()?;
    let checkpoint = describe(settings, data, &scale);
    let mut encoder = TrainedEncoder::new(settings.encoder, Some(encoder_weights), settings.bf16, run.device)?;
    encoder.freeze();
    let table = Table::new(settings, data, &checkpoint, &encoder)?;
    // The head is small: with more threads, waiting would take longer than the work.
    network::set_threads(1);
    // Every age in turn.
    let starts = data.starts();
    let kept =
        validation.iter().enumerate().map(|(i, &step)| Pick::late(step, i % (settings.max_state_age + 1), starts));
    let mut learner = TorqueCloning::new(settings, checkpoint, encoder, table, kept.collect())?;
    let record = serde_json::json!({
        "algorithm": "torque-cloning",
        "settings": settings,
        "encoder_weights": encoder_weights,
        "data": {
            "digest": data.digest, "episodes": data.episodes(), "steps": data.len(),
            "tasks": data.task_names, "robot": data.robot, "rate_hz": data.rate_hz,
        },
    });
    learn(&mut learner, &Draws { settings, starts, training }, &settings.schedule(), record, run)
}

/// The policy's `policy.toml`, before its weights are known.
fn describe(s: &Settings, data: &Dataset, scale: &JointScale) -> Checkpoint {
    Checkpoint {
        version: Checkpoint::VERSION,
        name: s.name.clone(),
        robot: data.robot.clone(),
        encoder: s.encoder,
        encoder_digest: String::new(),
        head_digest: String::new(),
        image_size: s.image_size,
        camera_size: s.camera_size,
        rate_hz: data.rate_hz,
        bounds: data.bounds,
        tasks: s.tasks.clone(),
        state: data.state_scale(),
        hidden: s.hidden.clone(),
        head: HeadKind::Torques,
        latent: None,
        locates: true,
        joints: Some(scale.clone()),
        critic: None,
    }
}

/// Every step of the data, as the head's inputs and labels.
struct Table {
    /// (N, D).
    embeddings: Tensor,
    /// Scaled states and task one-hots (N, 7 + tasks).
    conditions: Tensor,
    /// Scaled joint positions and velocities (N, 2 n).
    bodies: Tensor,
    /// Scaled torques, then the gripper target from -1 to 1 (N, n + 1).
    labels: Tensor,
    places: Places,
}

impl Table {
    fn new(
        settings: &Settings,
        data: &Dataset,
        checkpoint: &Checkpoint,
        encoder: &TrainedEncoder,
    ) -> anyhow::Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let all: Vec<usize> = (0..data.len()).collect();
        let bar = ProgressBar::new(all.len() as u64).with_message("embedding");
        let (mut embeddings, mut conditions) = (Vec::new(), Vec::new());
        for chunk in all.chunks(CHUNK) {
            let batch = data.batch(chunk, checkpoint, &settings.augmentation, 0.0, &mut rng)?;
            embeddings.push(tch::no_grad(|| encoder.embed(&batch.images, false))?.f_to_device(Device::Cpu)?);
            conditions.push(batch.conditions);
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        let torques = data.torques(checkpoint.joints.as_ref().context("a torque policy scales its joints")?)?;
        Ok(Self {
            embeddings: Tensor::f_cat(&embeddings, 0)?,
            conditions: Tensor::f_cat(&conditions, 0)?,
            bodies: torques.bodies,
            labels: torques.labels,
            places: data.places(&checkpoint.state)?,
        })
    }
}

/// A step, and the step whose state the arm has reported by then.
#[derive(Clone, Copy, Debug)]
struct Pick {
    step: i64,
    sensed: i64,
}

impl Pick {
    /// A state that is `by` steps late, or the episode's first; `starts` are the first steps of all episodes.
    fn late(step: usize, by: usize, starts: &[usize]) -> Self {
        let begun = starts.partition_point(|start| *start <= step);
        let first = begun.checked_sub(1).map_or(0, |episode| starts[episode]);
        Self { step: step as i64, sensed: step.saturating_sub(by).max(first) as i64 }
    }
}

/// Random steps of the training episodes.
struct Draws<'a> {
    settings: &'a Settings,
    /// First step of each episode.
    starts: &'a [usize],
    training: Vec<usize>,
}

impl Batches for Draws<'_> {
    type Batch = Vec<Pick>;

    fn batch(&self, step: u64) -> anyhow::Result<Vec<Pick>> {
        let s = self.settings;
        let mut rng = ChaCha8Rng::seed_from_u64(s.seed.wrapping_mul(0x9e37_79b9).wrapping_add(step));
        let mut batch = Vec::with_capacity(s.batch_size);
        for _ in 0..s.batch_size {
            let Some(&step) = self.training.choose(&mut rng) else { break };
            let late = if s.max_state_age > 0 { rng.random_range(0..=s.max_state_age) } else { 0 };
            batch.push(Pick::late(step, late, self.starts));
        }
        Ok(batch)
    }
}

struct TorqueCloning<'a> {
    settings: &'a Settings,
    checkpoint: Checkpoint,
    encoder: TrainedEncoder,
    table: Table,
    /// Held-out steps.
    validation: Vec<Pick>,
    variables: nn::VarStore,
    head: TorqueHead,
    adam: Adam,
    average: MovingAverage,
}

/// The terms of L, each a number.
struct Loss {
    total: Tensor,
    torques: Tensor,
    gripper: Tensor,
    places: Tensor,
}

impl<'a> TorqueCloning<'a> {
    fn new(
        settings: &'a Settings,
        checkpoint: Checkpoint,
        encoder: TrainedEncoder,
        table: Table,
        validation: Vec<Pick>,
    ) -> anyhow::Result<Self> {
        // The sign is irrelevant for a seed.
        tch::manual_seed(settings.seed as i64);
        // On a CPU: the head is small, and its table is there already.
        let variables = nn::VarStore::new(Device::Cpu);
        let joints = checkpoint.joints.as_ref().map_or(0, JointScale::joints) as i64;
        let (root, tasks) = (variables.root(), settings.tasks.len() as i64);
        let head = TorqueHead::new(&root, encoder.dimension(), tasks, joints, &settings.hidden)?;
        let adam = Adam::new(&[("head", &variables)], settings.weight_decay.get());
        let average = MovingAverage::new(settings.ema_decay, named("head", &variables));
        Ok(Self { settings, checkpoint, encoder, table, validation, variables, head, adam, average })
    }

    fn loss(&self, picks: &[Pick]) -> Result<Loss, TchError> {
        let rows = |of: fn(&Pick) -> i64| Tensor::f_from_slice(&picks.iter().map(of).collect::<Vec<_>>());
        let (steps, sensed) = (rows(|pick| pick.step)?, rows(|pick| pick.sensed)?);
        let Table { embeddings, conditions, bodies, labels, places } = &self.table;
        let seen = embeddings.index_select(0, &steps);
        let (condition, body) = (conditions.index_select(0, &sensed), bodies.index_select(0, &sensed));
        let output = self.head.forward(&seen, &condition, &body)?;
        let label = labels.index_select(0, &steps);
        let squared = (output.torques - label).square().mean_dim([0i64].as_slice(), false, Kind::Float);
        let joints = squared.size()[0] - 1;
        let torques = squared.narrow(0, 0, joints).mean(Kind::Float);
        let gripper = squared.narrow(0, joints, 1).mean(Kind::Float);
        let places = places.of_steps(&steps)?.error(&output.places)?;
        let s = self.settings;
        let total = &torques + &gripper * s.gripper_weight.get() + &places * s.places_weight.get();
        Ok(Loss { total, torques, gripper, places })
    }

    fn learning_rate_at(&self, step: u64) -> f64 {
        self.settings.learning_rate.get() * self.settings.lr_factor(step)
    }
}

impl Loss {
    fn terms(&self) -> Result<Terms, TchError> {
        Ok(vec![
            ("loss", f64::try_from(&self.total)?),
            ("torques", f64::try_from(&self.torques)?),
            ("gripper", f64::try_from(&self.gripper)?),
            ("places", f64::try_from(&self.places)?),
        ])
    }
}

impl Learner for TorqueCloning<'_> {
    type Batch = Vec<Pick>;

    fn update(&mut self, batch: &Vec<Pick>, step: u64) -> anyhow::Result<Terms> {
        self.adam.zero_grad();
        let loss = self.loss(batch)?;
        loss.total.backward();
        let gradient_norm = self.adam.step(self.learning_rate_at(step), self.settings.gradient_limit())?;
        self.average.follow(step);
        let mut terms = loss.terms()?;
        terms.push(("gradient_norm", gradient_norm));
        Ok(terms)
    }

    /// Terms of the averaged weights on the held-out steps.
    fn validate(&self) -> anyhow::Result<Terms> {
        if self.validation.is_empty() {
            return Ok(Vec::new());
        }
        self.average.instead(|| Ok(tch::no_grad(|| self.loss(&self.validation)?.terms())?))
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = self.adam.state();
        let trained = named("head", &self.variables).into_iter();
        state.extend(trained.map(|(name, tensor)| (format!("trained.{name}"), tensor)));
        state.extend(self.average.state());
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.adam.restore(state)?;
        restore_named("trained.head", &self.variables, state)?;
        self.average.restore(state)
    }

    /// Saves the policy, with the averaged weights.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let (encoder, head) = (folder.join("encoder.safetensors"), folder.join("head.safetensors"));
        let encoder_bytes = self.encoder.to_bytes(&encoder)?;
        let head_bytes = self.average.instead(|| weights_bytes(&self.variables, &head))?;
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.encoder_digest = digest(&encoder_bytes);
        checkpoint.head_digest = digest(&head_bytes);
        let described = toml::to_string_pretty(&checkpoint)?.into_bytes();
        // Together: `policy.toml` contains the digests of the weights.
        write_files(&[(encoder, encoder_bytes), (head, head_bytes), (Checkpoint::path(folder), described)])
    }
}

#[cfg(test)]
#[path = "torque_cloning_tests.rs"]
mod tests;

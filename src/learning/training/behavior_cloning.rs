//! Behavior cloning: the whole algorithm.
//!
//! One file because it is the whole algorithm.
//!
//! Given steps (image o, state s, task c, action a), a in the bounds' normalized units, minimize
//!
//! ```text
//! L = sum_i w_i (tanh(mu_i(o, s, c)) - a_i)^2                      the mean, which is what gets executed
//!   + 0.01 * -log N(atanh a | atanh tanh(mu) [fixed], sigma(o, s, c))   the spread, which never moves the mean
//!   + p h(places(o, c) - where the tool closed and opened)            in hindsight, while it lies ahead, in grasp widths;
//!                                                                     h(x) = 2 (sqrt(1 + x^2) - 1)
//! ```
//!
//! over encoder and head together (or the head alone, on a frozen encoder), by AdamW with linear warm-up and cosine decay.
//! The executed weights are an exponential moving average of the trained ones. The tanh-Gaussian head is PTR's actor; squared
//! error on the mean instead of its likelihood keeps rare confident errors from dominating (as Bridge's fixed-spread BC
//! does).

use std::path::{Path, PathBuf};

use anyhow::ensure;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, TchError, Tensor, nn};

use super::average::MovingAverage;
use super::checkpoint::{named, restore_named, write_files};
use super::image_encoder::weights_bytes;
use super::settings::{fraction_of, settings};
use super::{
    Adam, Augmentation, Batch, Batches, Dataset, Decay, Learner, NonNegative, Positive, Run, Terms, TrainedEncoder,
    imitation, learn,
};
use crate::encoder::EncoderKind;
use crate::policy::{ActionHead, Checkpoint, HeadKind, Output};
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::digest;

settings! {
    former = Settings::take_over;
    /// Settings, one flat file.
    pub struct Settings {
        // --- what is made
        /// Name of the policy.
        pub name: String,
        /// Encoder kind: `small`, `vip`, `vptr`, `r3m`, `mvp`.
        pub encoder: EncoderKind,
        /// Weights the encoder starts from; without them: from the seed.
        #[serde(default)]
        pub encoder_weights: Option<PathBuf>,
        /// Freeze the encoder and train the head only: the baselines on frozen R3M, MVP and VIP features.
        #[serde(default)]
        pub freeze_encoder: bool,
        /// Hidden widths of the head.
        pub hidden: Vec<i64>,
        /// Side of the image the policy sees \[pixels\].
        pub image_size: u32,
        /// Width and height of the camera's images \[pixels\].
        pub camera_size: [u32; 2],
        /// Tasks, in the order of the one-hot input.
        pub tasks: Vec<String>,
        /// Action bounds; without them those of the launch file of the demonstrations.
        #[serde(default)]
        pub bounds: Option<ActionBounds>,
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
        /// Weight of each action dimension's squared error.
        #[serde(alias = "weights")]
        pub action_weights: [f64; 7],
        /// Weight p of the error of where to grasp and release.
        #[serde(alias = "places")]
        pub places_weight: NonNegative,
        // --- data
        /// Image augmentation.
        pub augmentation: Augmentation,
        /// Noise on the scaled state, uniform in +-this.
        pub state_jitter: f64,
    }
}

impl Settings {
    /// Learning rate at a step: linear warm-up, then cosine decay.
    fn learning_rate_at(&self, step: u64) -> f64 {
        self.learning_rate.get() * self.lr_factor(step)
    }

    /// Takes over `final_learning_rate`.
    fn take_over(&mut self) -> Result<(), String> {
        if let Some(last) = self.final_learning_rate.take() {
            self.final_lr_fraction = fraction_of(last, self.learning_rate)?;
        }
        Ok(())
    }
}

/// Trains to the end, or until asked to stop. Returns whether it came to the end.
pub fn train(settings: &Settings, data: &Dataset, run: &Run<'_>) -> anyhow::Result<bool> {
    ensure!(settings.steps > 0 && settings.batch_size > 0, "steps and batch_size must be at least 1");
    ensure!(
        !data.asks_torques(),
        "found joint torques, expected changes of the tool's pose; use `train torque-cloning`"
    );
    let (training, validation) = data.split(settings.validation);
    ensure!(
        !training.is_empty(),
        "validation: found {}, which keeps every episode of {} back and leaves none to train on; use 0, or 2 and more",
        settings.validation,
        data.episodes()
    );
    let checkpoint = describe(settings, data);
    let batches = Draws { settings, data, training, checkpoint: checkpoint.clone() };
    let mut learner = BehaviorCloning::new(settings, data, checkpoint, validation, run.device)?;
    let record = serde_json::json!({
        "algorithm": "behavior-cloning",
        "settings": settings,
        "data": {
            "digest": data.digest, "episodes": data.episodes(), "steps": data.len(),
            "tasks": data.task_names, "robot": data.robot, "rate_hz": data.rate_hz,
        },
    });
    learn(&mut learner, &batches, &settings.schedule(), record, run)
}

/// The policy's `policy.toml`, before its weights are known.
fn describe(s: &Settings, data: &Dataset) -> Checkpoint {
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
        bounds: s.bounds.unwrap_or(data.bounds),
        tasks: s.tasks.clone(),
        state: data.state_scale(),
        hidden: s.hidden.clone(),
        head: HeadKind::Places,
        latent: None,
        locates: false,
        joints: None,
        critic: None,
    }
}

/// Random steps of the training episodes.
struct Draws<'a> {
    settings: &'a Settings,
    data: &'a Dataset,
    /// Steps to draw from.
    training: Vec<usize>,
    checkpoint: Checkpoint,
}

impl Batches for Draws<'_> {
    type Batch = Batch;

    fn batch(&self, step: u64) -> anyhow::Result<Batch> {
        let s = self.settings;
        let mut rng = ChaCha8Rng::seed_from_u64(s.seed.wrapping_mul(0x9e37_79b9).wrapping_add(step));
        let picks: Vec<usize> = (0..s.batch_size).filter_map(|_| self.training.choose(&mut rng).copied()).collect();
        Ok(self.data.batch(&picks, &self.checkpoint, &s.augmentation, s.state_jitter, &mut rng)?)
    }
}

struct BehaviorCloning<'a> {
    settings: &'a Settings,
    data: &'a Dataset,
    checkpoint: Checkpoint,
    /// Held-out steps.
    validation: Vec<usize>,
    encoder: TrainedEncoder,
    head_variables: nn::VarStore,
    head: ActionHead,
    adam: Adam,
    /// Averages of the trained variables; a frozen encoder has none.
    average: MovingAverage,
}

/// The terms of L, each a number.
struct Loss {
    total: Tensor,
    mean: Tensor,
    spread: Tensor,
    places: Tensor,
}

impl Loss {
    /// Terms of the loss of `output`, the head's result for the images and conditions of `batch`.
    fn of(output: &Output, batch: &Batch, settings: &Settings) -> Result<Self, TchError> {
        let Output { mean, log_std, places } = output;
        let here = |tensor: &Tensor| tensor.f_to_device(mean.device());
        // The mean.
        let actions = here(&batch.actions)?;
        let weights = here(&Tensor::f_from_slice(&settings.action_weights.map(|w| w as f32))?)?;
        let squared = ((mean - &actions).square() * weights).sum_dim_intlist(-1, false, Kind::Float);
        // The spread, with the mean held fixed.
        let spread = imitation::spread(mean, log_std, &actions).mean(Kind::Float);
        // The places, where they lie ahead.
        let places = batch.places.error(places)?;
        let mean = squared.mean(Kind::Float);
        let total = &mean + &spread * 0.01 + &places * settings.places_weight.get();
        Ok(Self { total, mean, spread, places })
    }
}

impl<'a> BehaviorCloning<'a> {
    fn new(
        settings: &'a Settings,
        data: &'a Dataset,
        checkpoint: Checkpoint,
        validation: Vec<usize>,
        device: Device,
    ) -> anyhow::Result<Self> {
        // The sign is irrelevant for a seed.
        tch::manual_seed(settings.seed as i64);
        let weights = settings.encoder_weights.as_deref();
        let mut encoder = TrainedEncoder::new(settings.encoder, weights, settings.bf16, device)?;
        if settings.freeze_encoder {
            encoder.freeze();
        }
        let head_variables = nn::VarStore::new(device);
        let tasks = settings.tasks.len() as i64;
        let head = ActionHead::new(&head_variables.root(), encoder.dimension(), tasks, &settings.hidden);
        // Only trainable variables get moments.
        let adam =
            Adam::new(&[("encoder", &encoder.variables), ("head", &head_variables)], settings.weight_decay.get());
        let mut moving = if encoder.is_frozen() { Vec::new() } else { named("encoder", &encoder.variables) };
        moving.extend(named("head", &head_variables));
        let average = MovingAverage::new(settings.ema_decay, moving);
        Ok(Self { settings, data, checkpoint, validation, encoder, head_variables, head, adam, average })
    }

    fn loss(&self, batch: &Batch, train: bool) -> Result<Loss, TchError> {
        let embedding = self.encoder.embed(&batch.images, train)?;
        let condition = batch.conditions.f_to_device(self.head_variables.device())?;
        Loss::of(&self.head.forward(&embedding, &condition)?, batch, self.settings)
    }
}

impl Learner for BehaviorCloning<'_> {
    type Batch = Batch;

    fn update(&mut self, batch: &Batch, step: u64) -> anyhow::Result<Terms> {
        self.adam.zero_grad();
        let loss = self.loss(batch, true)?;
        loss.total.backward();
        let gradient_norm = self.adam.step(self.settings.learning_rate_at(step), self.settings.gradient_limit())?;
        self.average.follow(step);
        Ok(vec![
            ("loss", f64::try_from(&loss.total)?),
            ("mean", f64::try_from(&loss.mean)?),
            ("spread", f64::try_from(&loss.spread)?),
            ("places", f64::try_from(&loss.places)?),
            ("gradient_norm", gradient_norm),
        ])
    }

    /// Loss of the averaged weights on unvaried validation steps (at most 1024 of them).
    fn validate(&self) -> anyhow::Result<Terms> {
        if self.validation.is_empty() {
            return Ok(Vec::new());
        }
        let none = Augmentation { shift: 0, brightness: 0.0, contrast: 0.0, color: 0.0 };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let stride = (self.validation.len() / 1024).max(1);
        let picks: Vec<usize> = self.validation.iter().step_by(stride).copied().collect();
        let (mut sum, mut count) = (0.0, 0.0);
        self.average.instead(|| {
            for chunk in picks.chunks(64) {
                let batch = self.data.batch(chunk, &self.checkpoint, &none, 0.0, &mut rng)?;
                let loss = tch::no_grad(|| self.loss(&batch, false))?;
                sum += f64::try_from(&loss.total)? * chunk.len() as f64;
                count += chunk.len() as f64;
            }
            Ok(())
        })?;
        Ok(vec![("loss", sum / count)])
    }

    fn state(&self) -> anyhow::Result<Vec<(String, Tensor)>> {
        let mut state = self.adam.state();
        let trained = [named("encoder", &self.encoder.variables), named("head", &self.head_variables)];
        state.extend(trained.into_iter().flatten().map(|(name, tensor)| (format!("trained.{name}"), tensor)));
        state.extend(self.average.state());
        Ok(state)
    }

    fn restore(&mut self, state: &[(String, Tensor)]) -> anyhow::Result<()> {
        self.adam.restore(state)?;
        restore_named("trained.encoder", &self.encoder.variables, state)?;
        restore_named("trained.head", &self.head_variables, state)?;
        self.average.restore(state)
    }

    /// Saves the policy, with the averaged weights.
    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        let (encoder, head) = (folder.join("encoder.safetensors"), folder.join("head.safetensors"));
        let mut files = Vec::new();
        self.average.instead(|| {
            files.push((encoder.clone(), self.encoder.to_bytes(&encoder)?));
            files.push((head.clone(), weights_bytes(&self.head_variables, &head)?));
            Ok(())
        })?;
        let mut checkpoint = self.checkpoint.clone();
        checkpoint.encoder_digest = digest(&files[0].1);
        checkpoint.head_digest = digest(&files[1].1);
        files.push((Checkpoint::path(folder), toml::to_string_pretty(&checkpoint)?.into_bytes()));
        // Together: `policy.toml` contains the digests of the weights.
        write_files(&files)
    }
}

#[cfg(test)]
#[path = "behavior_cloning_tests.rs"]
mod tests;

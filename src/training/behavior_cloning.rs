//! Behavior cloning: the whole algorithm.
//!
//! One file because it is the whole algorithm.
//!
//! Given steps (image o, state s, task c, action a), a in the bounds' normalized units, minimize
//!
//! ```text
//! L = sum_i w_i (tanh(mu_i(o, s, c)) - a_i)^2                      the mean, which is what gets executed
//!   + 0.01 * -log N(atanh a | atanh tanh(mu) [fixed], sigma(o, s, c))   the spread, which never moves the mean
//!   + p |places(o, c) - where the tool closed and opened|^2           in hindsight, while it lies ahead, in grasp widths
//! ```
//!
//! over encoder and head together, by AdamW with linear warm-up and cosine decay. The executed weights are an
//! exponential moving average of the trained ones. The tanh-Gaussian head is PTR's actor; squared error on the mean
//! instead of its likelihood keeps rare confident errors from dominating (as Bridge's fixed-spread BC does).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor, nn};

use super::{Adam, Augmentation, Batch, Curves, Dataset, curves_svg};
use crate::action::ActionBounds;
use crate::config::digest;
use crate::encoder::weights::Weights;
use crate::encoder::{EncoderKind, preprocess};
use crate::network::ImageNetwork;
use crate::policy::{ActionHead, Checkpoint, Output};

/// Settings, one flat file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    // --- what is made
    /// Name of the policy.
    pub name: String,
    /// Encoder kind: `small`, `vip`, `vptr`.
    pub encoder: String,
    /// Weights the encoder starts from; none: from the seed.
    #[serde(default)]
    pub encoder_weights: Option<PathBuf>,
    /// Hidden widths of the head.
    pub hidden: Vec<i64>,
    /// Side of the image the policy sees \[pixels\].
    pub image_size: u32,
    /// Width and height of the camera's images \[pixels\].
    pub camera_size: [u32; 2],
    /// Tasks, in the order of the one-hot input.
    pub tasks: Vec<String>,
    /// Action bounds.
    pub bounds: ActionBounds,
    // --- optimization
    /// Seed of everything random.
    pub seed: u64,
    /// Gradient steps.
    pub steps: u64,
    /// Steps per batch.
    pub batch: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Learning rate at the end.
    pub final_learning_rate: f64,
    /// Warm-up \[gradient steps\].
    pub warm_up: u64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest gradient norm.
    pub clip: f64,
    /// Share of the old average kept per step.
    pub average: f64,
    /// Run the encoder's activations in bf16 while training: about twice as fast where the CPU has AMX.
    #[serde(default)]
    pub bf16: bool,
    /// Weight of each action dimension's squared error.
    pub weights: [f64; 7],
    /// Weight p of the squared error of where to grasp and release.
    pub places: f64,
    // --- data
    /// Image augmentation.
    pub augmentation: Augmentation,
    /// Noise on the scaled state, uniform in +-this.
    pub state_jitter: f64,
    /// Every n-th episode is kept for validation; 0 keeps none.
    pub validation: usize,
    // --- reporting
    /// Gradient steps between validation losses and checkpoints.
    pub checkpoint_every: u64,
}

/// What a training run is told besides its settings.
pub struct Run<'a> {
    /// Folder for policy, checkpoint and curves.
    pub out: &'a Path,
    /// Go on from the checkpoint in `out`.
    pub resume: bool,
    /// The command line, for the record.
    pub command: String,
    /// Asked between steps: stop now?
    pub stop: &'a dyn Fn() -> bool,
    /// Told a line of progress.
    pub tell: &'a dyn Fn(&str),
    /// Success rate of the policy saved in a folder, asked at each checkpoint; `None` where nobody can tell.
    pub score: &'a dyn Fn(&Path) -> anyhow::Result<Option<f64>>,
}

struct Learner {
    settings: Settings,
    kind: EncoderKind,
    encoder_variables: nn::VarStore,
    encoder: Box<dyn ImageNetwork>,
    head_variables: nn::VarStore,
    head: ActionHead,
    adam: Adam,
    average: BTreeMap<String, Tensor>,
}

/// Trains to the end, or until asked to stop. Answers whether it came to the end.
pub fn train(settings: &Settings, data: &Dataset, run: &Run<'_>) -> anyhow::Result<bool> {
    ensure!(settings.steps > 0 && settings.batch > 0, "steps and batch must be at least 1");
    std::fs::create_dir_all(run.out)
        .with_context(|| format!("{}: cannot be created; choose another --out", run.out.display()))?;
    let mut learner = Learner::new(settings)?;
    let (training, validation) = data.split(settings.validation);
    ensure!(
        !training.is_empty(),
        "validation: found {}, which keeps every episode of {} back and leaves none to train on; use 0, or 2 and more",
        settings.validation,
        data.episodes()
    );
    let checkpoint = learner.describe(data);
    let mut curves = Curves::default();
    let mut step = 0;
    let state_file = run.out.join("checkpoint.safetensors");
    if run.resume {
        learner.restore(&state_file)?;
        step = learner.adam.steps() as u64;
        curves = serde_json::from_slice(&std::fs::read(run.out.join("curves.json"))?)
            .with_context(|| format!("{}: not a curves file", run.out.join("curves.json").display()))?;
    }
    let bar = ProgressBar::new(settings.steps).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {elapsed} (left {eta})")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let begin = Instant::now();
    let before = curves.series.get("seconds").and_then(|s| s.last()).map_or(0.0, |p| p.1);
    let mut sum = (0.0, 0u64);
    let started = step;
    let mut waited = 0.0;
    std::thread::scope(|scope| -> anyhow::Result<()> {
        // The next batches are put together while the network learns from this one.
        let (send, batches) = std::sync::mpsc::sync_channel(3);
        let (training, first, described) = (&training, step, checkpoint.clone());
        scope.spawn(move || {
            for step in first..settings.steps {
                if send.send(draw_batch(settings, data, training, &described, step)).is_err() {
                    return;
                }
            }
        });
        while step < settings.steps && !(run.stop)() {
            let asked = Instant::now();
            let batch = batches.recv().context("the thread that puts batches together ended")??;
            waited += asked.elapsed().as_secs_f64();
            let loss = learner.update(&batch, step)?;
            ensure!(loss.is_finite(), "the loss became {loss} at step {step}; lower learning_rate");
            step += 1;
            sum = (sum.0 + loss, sum.1 + 1);
            bar.set_position(step);
            if step % 50 == 0 {
                if bar.is_hidden() && step % 500 == 0 {
                    (run.tell)(&format!(
                        "step {step}: {:.3} s per step",
                        begin.elapsed().as_secs_f64() / (step - started) as f64
                    ));
                }
                bar.set_message(format!("loss {:.4}", sum.0 / sum.1 as f64));
            }
            if step % settings.checkpoint_every == 0 || step == settings.steps {
                curves.push("train_loss", step, sum.0 / sum.1.max(1) as f64);
                curves.push("waiting_share", step, waited / begin.elapsed().as_secs_f64().max(1e-9));
                curves.push("seconds", step, before + begin.elapsed().as_secs_f64());
                sum = (0.0, 0);
                curves.push("validation_loss", step, learner.validate(data, &checkpoint, &validation)?);
                learner.save(run, data, &checkpoint, &state_file)?;
                if let Some(rate) = (run.score)(run.out)? {
                    curves.push("success", step, rate);
                }
                let last = |name: &str| curves.series.get(name).and_then(|s| s.last()).map_or(f64::NAN, |p| p.1);
                bar.suspend(|| {
                    (run.tell)(&format!(
                        "step {step}: loss {:.4}, validation {:.4}, success {}, {:.0} s",
                        last("train_loss"),
                        last("validation_loss"),
                        if last("success").is_nan() { "not tried".into() } else { format!("{:.2}", last("success")) },
                        last("seconds")
                    ));
                });
                std::fs::write(run.out.join("curves.json"), serde_json::to_vec_pretty(&curves)?)?;
                let chart = curves_svg(&curves, &["train_loss", "validation_loss", "success"]);
                std::fs::write(run.out.join("curves.svg"), chart)?;
            }
        }
        drop(batches);
        Ok(())
    })?;
    bar.finish_and_clear();
    Ok(step >= settings.steps)
}

impl Learner {
    fn new(settings: &Settings) -> anyhow::Result<Self> {
        tch::manual_seed(settings.seed as i64);
        let kind: EncoderKind = settings.encoder.parse()?;
        let encoder_variables = nn::VarStore::new(Device::Cpu);
        let encoder = kind.network(&encoder_variables.root())?;
        if let Some(file) = &settings.encoder_weights {
            Weights::read(file)?.fill(&encoder_variables, "")?;
        }
        let head_variables = nn::VarStore::new(Device::Cpu);
        let tasks = settings.tasks.len() as i64;
        let head = ActionHead::new(&head_variables.root(), encoder.dimension(), tasks, &settings.hidden);
        let stores = [("encoder", &encoder_variables), ("head", &head_variables)];
        let adam = Adam::new(&stores, settings.weight_decay);
        let average = named(&encoder_variables, &head_variables).map(|(n, t)| (n, t.copy())).collect();
        Ok(Self { settings: settings.clone(), kind, encoder_variables, encoder, head_variables, head, adam, average })
    }

    fn describe(&self, data: &Dataset) -> Checkpoint {
        let s = &self.settings;
        Checkpoint {
            version: Checkpoint::VERSION,
            name: s.name.clone(),
            robot: data.robot.clone(),
            encoder: s.encoder.clone(),
            encoder_digest: String::new(),
            head_digest: String::new(),
            image_size: s.image_size,
            camera_size: s.camera_size,
            rate_hz: data.rate_hz,
            bounds: s.bounds,
            tasks: s.tasks.clone(),
            state: data.state_scale(),
            hidden: s.hidden.clone(),
        }
    }

    /// Linear warm-up, then cosine decay.
    fn learning_rate(&self, step: u64) -> f64 {
        let s = &self.settings;
        let warm = ((step + 1) as f64 / s.warm_up.max(1) as f64).min(1.0);
        let progress = step as f64 / s.steps as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        warm * (s.final_learning_rate + (s.learning_rate - s.final_learning_rate) * cosine)
    }

    fn loss(&self, batch: &Batch, train: bool) -> Result<Tensor, TchError> {
        // Encode, (B, D).
        let images = match self.kind {
            EncoderKind::Small => batch.images.shallow_clone(),
            EncoderKind::Vptr => preprocess::vptr(&batch.images, 1.0)?,
            EncoderKind::Vip => preprocess::vip(&batch.images, 1.0, false)?,
        };
        // Activations in bf16 where asked for; variables, their gradients and the head stay f32.
        let images = if self.settings.bf16 { images.f_to_kind(Kind::BFloat16)? } else { images };
        let embedding = self.encoder.forward(&images, train)?.f_to_kind(Kind::Float)?;
        // Act, (B, 7).
        let Output { mean, log_std, places } = self.head.forward(&embedding, &batch.conditions)?;
        // The mean.
        let weights = Tensor::f_from_slice(&self.settings.weights.map(|w| w as f32))?;
        let squared =
            mean.f_sub(&batch.actions)?.f_square()?.f_mul(&weights)?.f_sum_dim_intlist(-1, false, Kind::Float)?;
        // The spread, with the mean held fixed.
        let pre = |t: &Tensor| t.f_clamp(-0.999, 0.999)?.f_atanh();
        let error = pre(&batch.actions)?.f_sub(&pre(&mean.f_detach()?)?)?;
        let scaled = error.f_div(&log_std.f_exp()?)?.f_square()?.f_mul_scalar(0.5)?;
        let spread = scaled.f_add(&log_std)?.f_mean(Kind::Float)?;
        // The places, where they lie ahead.
        let off = places.f_sub(&batch.places)?.f_mul(&batch.place_units)?.f_square()?.f_mul(&batch.ahead)?;
        let off = off.f_sum_dim_intlist(-1, false, Kind::Float)?.f_mean(Kind::Float)?;
        squared.f_mean(Kind::Float)?.f_add(&spread.f_mul_scalar(0.01)?)?.f_add(&off.f_mul_scalar(self.settings.places)?)
    }

    fn update(&mut self, batch: &Batch, step: u64) -> anyhow::Result<f64> {
        self.adam.zero_grad();
        let loss = self.loss(batch, true)?;
        loss.f_backward()?;
        let rate = self.learning_rate(step);
        self.adam.step(rate, self.settings.clip)?;
        // Average, from a short window in the beginning to the full one.
        let keep = self.settings.average.min((1.0 + step as f64) / (10.0 + step as f64));
        tch::no_grad(|| -> Result<(), TchError> {
            for (name, value) in named(&self.encoder_variables, &self.head_variables) {
                if let Some(average) = self.average.get_mut(&name) {
                    let _ = average.f_mul_scalar_(keep)?.f_add_(&value.f_mul_scalar(1.0 - keep)?)?;
                }
            }
            Ok(())
        })?;
        Ok(f64::try_from(&loss)?)
    }

    /// Loss of the averaged weights on unvaried validation steps (at most 1024 of them).
    fn validate(&self, data: &Dataset, checkpoint: &Checkpoint, steps: &[usize]) -> anyhow::Result<f64> {
        if steps.is_empty() {
            return Ok(f64::NAN);
        }
        let none = Augmentation { shift: 0, brightness: 0.0, contrast: 0.0, color: 0.0 };
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let stride = (steps.len() / 1024).max(1);
        let picks: Vec<usize> = steps.iter().step_by(stride).copied().collect();
        let (mut sum, mut count) = (0.0, 0.0);
        self.with_average(|| {
            for chunk in picks.chunks(64) {
                let batch = data.batch(chunk, checkpoint, &none, 0.0, &mut rng)?;
                let loss = tch::no_grad(|| self.loss(&batch, false))?;
                sum += f64::try_from(&loss)? * chunk.len() as f64;
                count += chunk.len() as f64;
            }
            Ok(())
        })?;
        Ok(sum / count)
    }

    /// Runs `work` with the averaged weights in place of the trained ones.
    fn with_average(&self, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let trained: Vec<(String, Tensor)> =
            named(&self.encoder_variables, &self.head_variables).map(|(n, t)| (n, t.copy())).collect();
        let put = |values: &dyn Fn(&str) -> Option<Tensor>| {
            tch::no_grad(|| -> Result<(), TchError> {
                for (name, mut variable) in named(&self.encoder_variables, &self.head_variables) {
                    if let Some(value) = values(&name) {
                        variable.f_copy_(&value)?;
                    }
                }
                Ok(())
            })
        };
        put(&|name| self.average.get(name).map(Tensor::shallow_clone))?;
        let result = work();
        put(&|name| trained.iter().find(|(n, _)| n == name).map(|(_, t)| t.shallow_clone()))?;
        result
    }

    /// Saves the policy (averaged weights), the resumable state and the record.
    fn save(&self, run: &Run<'_>, data: &Dataset, checkpoint: &Checkpoint, state_file: &Path) -> anyhow::Result<()> {
        self.with_average(|| {
            self.encoder_variables.save(run.out.join("encoder.safetensors"))?;
            self.head_variables.save(run.out.join("head.safetensors"))?;
            Ok(())
        })?;
        let mut checkpoint = checkpoint.clone();
        checkpoint.encoder_digest = digest(&std::fs::read(run.out.join("encoder.safetensors"))?);
        checkpoint.head_digest = digest(&std::fs::read(run.out.join("head.safetensors"))?);
        std::fs::write(Checkpoint::path(run.out), toml::to_string_pretty(&checkpoint)?)?;
        let mut state = self.adam.state();
        state.extend(named(&self.encoder_variables, &self.head_variables).map(|(n, t)| (format!("trained.{n}"), t)));
        state.extend(self.average.iter().map(|(n, t)| (format!("average.{n}"), t.shallow_clone())));
        let partial = state_file.with_extension("partial");
        Tensor::write_safetensors(&state, &partial)?;
        std::fs::rename(&partial, state_file)?;
        let record = serde_json::json!({
            "command": run.command,
            "settings": self.settings,
            "data": {
                "digest": data.digest, "episodes": data.episodes(), "steps": data.len(),
                "tasks": data.task_names, "robot": data.robot, "rate_hz": data.rate_hz,
            },
            "gradient_steps": self.adam.steps(),
        });
        std::fs::write(run.out.join("record.json"), serde_json::to_vec_pretty(&record)?)?;
        Ok(())
    }

    /// Takes the resumable state back.
    fn restore(&mut self, file: &Path) -> anyhow::Result<()> {
        ensure!(file.is_file(), "{}: no checkpoint to resume from; start without --resume", file.display());
        let state = Tensor::read_safetensors(file).with_context(|| file.display().to_string())?;
        self.adam.restore(&state)?;
        let find = |key: String| {
            state
                .iter()
                .find(|(n, _)| *n == key)
                .map(|(_, t)| t.shallow_clone())
                .with_context(|| format!("{}: lacks `{key}`; it belongs to another network", file.display()))
        };
        for (name, mut variable) in named(&self.encoder_variables, &self.head_variables) {
            let value = find(format!("trained.{name}"))?;
            tch::no_grad(|| variable.f_copy_(&value))?;
        }
        for (name, average) in &mut self.average {
            average.f_copy_(&find(format!("average.{name}"))?)?;
        }
        Ok(())
    }
}

/// The batch of a step. Its randomness comes from the step's number: a resumed run draws what an unbroken one would have.
fn draw_batch(
    settings: &Settings,
    data: &Dataset,
    training: &[usize],
    checkpoint: &Checkpoint,
    step: u64,
) -> Result<Batch, TchError> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed.wrapping_mul(0x9e37_79b9).wrapping_add(step));
    let picks: Vec<usize> = (0..settings.batch).filter_map(|_| training.choose(&mut rng).copied()).collect();
    data.batch(&picks, checkpoint, &settings.augmentation, settings.state_jitter, &mut rng)
}

/// All variables with their store's prefix, sorted.
fn named(encoder: &nn::VarStore, head: &nn::VarStore) -> impl Iterator<Item = (String, Tensor)> {
    let of = |prefix: &str, store: &nn::VarStore| {
        store.variables().into_iter().map(|(n, t)| (format!("{prefix}.{n}"), t)).collect::<BTreeMap<_, _>>()
    };
    of("encoder", encoder).into_iter().chain(of("head", head))
}

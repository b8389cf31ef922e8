//! Recorded episodes as batches.

use std::path::Path;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use super::augment::Augmentation;
use super::hindsight::{Ahead, Places, look_ahead};
use crate::encoder::policy_image;
use crate::policy::{Checkpoint, JointScale, StateScale};
use visuomotor_core::action::{Action, ActionBounds, MotionKind};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_records::recording::{dataset_digest, list_episodes, read_episode};

/// Every step of a folder of episodes, images in memory.
pub struct Dataset {
    size: usize,
    images: Vec<u8>,
    states: Vec<[f64; 7]>,
    labels: Vec<[f64; 7]>,
    tasks: Vec<usize>,
    ahead: Vec<Ahead>,
    joints: Vec<Joints>,
    /// First step of each episode, and one past the last of all.
    starts: Vec<usize>,
    /// Names of the tasks, in the order of their numbers.
    pub task_names: Vec<String>,
    /// Arm the episodes were recorded on.
    pub robot: String,
    /// Policy rate of the episodes \[Hz\].
    pub rate_hz: f64,
    /// Action bounds of the launch file they were made with; Bridge's where unknown.
    pub bounds: ActionBounds,
    /// Digest of the folder.
    pub digest: String,
    /// Why episodes were left out that cannot be read.
    pub left_out: Vec<String>,
}

/// What the joints of a step did, and their targets.
#[derive(Clone, Copy, Debug)]
struct Joints {
    sensed: Proprioception,
    /// Torques that a torque policy is to ask for \[Nm\]; `None` for steps of other policies.
    torques: Option<JointVector>,
}

/// The joints of all N steps, scaled.
pub(super) struct Torques {
    /// Positions, then velocities (N, 2 n).
    pub bodies: Tensor,
    /// Torques, then the gripper target from -1 to 1 (N, n + 1).
    pub labels: Tensor,
}

/// One batch of B steps.
pub struct Batch {
    /// Augmented images (B, 3, size, size), f32 in 0..1.
    pub images: Tensor,
    /// Scaled state and task one-hot (B, 7 + tasks).
    pub conditions: Tensor,
    /// Normalized actions (B, 7), clipped to +-0.99.
    pub actions: Tensor,
    /// Where the tool will close and open its fingers.
    pub places: Places,
}

impl Dataset {
    /// Reads all finished episodes of `folder` whose outcome is success; images are resized to `size` pixels. Episodes that cannot be
    /// read are left out and listed.
    pub fn read(folder: &Path, task_names: &[String], size: u32) -> anyhow::Result<Self> {
        let files = list_episodes(folder)?;
        ensure!(!files.is_empty(), "{}: no episodes; make some with `visuomotor demonstrate`", folder.display());
        let bar = ProgressBar::new(files.len() as u64);
        let mut set = Self {
            size: size as usize,
            images: Vec::new(),
            states: Vec::new(),
            labels: Vec::new(),
            tasks: Vec::new(),
            ahead: Vec::new(),
            joints: Vec::new(),
            starts: vec![0],
            task_names: task_names.to_vec(),
            robot: String::new(),
            rate_hz: 0.0,
            bounds: ActionBounds::BRIDGE,
            digest: dataset_digest(folder)?,
            left_out: Vec::new(),
        };
        for file in &files {
            bar.inc(1);
            let episode = match read_episode(file) {
                Ok(episode) => episode,
                Err(error) => {
                    bar.suspend(|| tracing::warn!("left out: {error}"));
                    set.left_out.push(error.to_string());
                    continue;
                }
            };
            if !episode.end.as_ref().is_some_and(|end| end.outcome.is_success()) {
                continue;
            }
            let task = task_names.iter().position(|t| *t == episode.start.task).with_context(|| {
                format!("{}: task `{}` is not among {}", file.display(), episode.start.task, task_names.join(", "))
            })?;
            if set.robot.is_empty() {
                set.bounds = bounds_of(&episode.start.settings).unwrap_or(ActionBounds::BRIDGE);
            }
            set.fits(file, &episode.start.robot, episode.start.policy_rate_hz)?;
            for step in &episode.steps {
                let image =
                    step.image().with_context(|| format!("{}: a step without an image", file.display()))?.decode()?;
                let image = policy_image(&image, size)?;
                set.images.extend_from_slice(&image.pixels);
                set.states.push(step.bridge_state);
                set.labels.push(step.label.to_array());
                let torques = step.motion.and_then(|motion| motion.torques()).map(|torques| torques.label);
                let kind = MotionKind::of(step.motion.as_ref());
                ensure!(
                    matches!(kind, MotionKind::PoseChange | MotionKind::JointTorques),
                    "{}: found {kind}, expected changes of the tool's pose or joint torques; keep such episodes in a folder of \
                     their own",
                    file.display()
                );
                set.joints.push(Joints { sensed: step.proprioception, torques });
                set.tasks.push(task);
            }
            let first = set.ahead.len();
            set.ahead.extend(look_ahead(&set.states[first..], &set.labels[first..]));
            set.starts.push(set.states.len());
        }
        bar.finish_and_clear();
        ensure!(!set.states.is_empty(), "{}: no successful episode", folder.display());
        Ok(set)
    }

    fn fits(&mut self, file: &Path, robot: &str, rate_hz: f64) -> anyhow::Result<()> {
        if self.robot.is_empty() {
            self.robot = robot.to_string();
            self.rate_hz = rate_hz;
        }
        ensure!(
            self.robot == robot && (self.rate_hz - rate_hz).abs() < 1e-9,
            "{}: recorded on {robot} at {rate_hz} Hz, the others on {} at {} Hz; keep such episodes in separate folders",
            file.display(),
            self.robot,
            self.rate_hz
        );
        Ok(())
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// First step of each episode, and one past the last of all.
    pub(super) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Number of episodes.
    pub fn episodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// Splits off every `nth` episode for validation: returns step numbers for training and for validation.
    pub fn split(&self, nth: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for (episode, range) in self.starts.windows(2).enumerate() {
            let part = if nth > 0 && episode % nth == nth - 1 { &mut validation } else { &mut train };
            part.extend(range[0]..range[1]);
        }
        (train, validation)
    }

    /// Mean and standard deviation of the states.
    pub fn state_scale(&self) -> StateScale {
        state_scale(&self.states)
    }

    /// Is any step one of joint torques in place of a pose change?
    pub(super) fn asks_torques(&self) -> bool {
        self.joints.iter().any(|step| step.torques.is_some())
    }

    /// Scales of joints and torques. Refuses steps without torques.
    pub(super) fn joint_scale(&self) -> anyhow::Result<JointScale> {
        let missing =
            "a step without joint torques; make demonstrations with a launch file whose control.law is `torque`";
        let torques = self.joints.iter().map(|step| step.torques.context(missing)).collect::<Result<Vec<_>, _>>()?;
        let spread = |values: &mut dyn Iterator<Item = JointVector>, least: f64| {
            let values: Vec<JointVector> = values.collect();
            let (mut mean, count) = (JointVector::zeros(values[0].len()), values.len() as f64);
            let mut std = mean;
            for joint in 0..mean.len() {
                mean[joint] = values.iter().map(|v| v[joint]).sum::<f64>() / count;
                let variance = values.iter().map(|v| (v[joint] - mean[joint]).powi(2)).sum::<f64>() / count;
                std[joint] = variance.sqrt().max(least);
            }
            (mean, std)
        };
        let sensed = || self.joints.iter().map(|step| step.sensed);
        // Scaling must not amplify joints that hardly move in the data.
        let (position_mean, position_std) = spread(&mut sensed().map(|body| body.joint_positions), 0.05);
        let (_, velocity_std) = spread(&mut sensed().map(|body| body.joint_velocities), 0.02);
        let (_, torque_std) = spread(&mut torques.into_iter(), 0.05);
        Ok(JointScale { position_mean, position_std, velocity_std, torque_std })
    }

    /// Joints and torques of all steps. Refuses steps without torques.
    pub(super) fn torques(&self, scale: &JointScale) -> anyhow::Result<Torques> {
        let (mut bodies, mut labels) = (Vec::new(), Vec::new());
        for (step, label) in self.joints.iter().zip(&self.labels) {
            bodies.extend(scale.body(&step.sensed));
            let torques = step.torques.context("a step without joint torques")?;
            labels.extend(torques.iter().zip(scale.torque_std.iter()).map(|(torque, std)| (torque / std) as f32));
            labels.push((2.0 * label[6] - 1.0) as f32);
        }
        let rows = self.joints.len() as i64;
        let matrix = |values: &[f32]| Tensor::f_from_slice(values)?.f_reshape([rows, -1]);
        Ok(Torques { bodies: matrix(&bodies)?, labels: matrix(&labels)? })
    }

    /// The places where the tool closed and opened its fingers, ahead of all steps.
    pub(super) fn places(&self, scale: &StateScale) -> Result<Places, tch::TchError> {
        Places::of(&self.ahead, scale)
    }

    /// A batch of the steps in `picks`; `jitter` is noise on the scaled state.
    pub fn batch(
        &self,
        picks: &[usize],
        checkpoint: &Checkpoint,
        augmentation: &Augmentation,
        jitter: f64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Batch, tch::TchError> {
        let (size, pixels) = (self.size, self.size * self.size * 3);
        let mut images = vec![0.0f32; picks.len() * pixels];
        let mut conditions = Vec::new();
        let mut actions = Vec::with_capacity(picks.len() * 7);
        for (slot, &step) in images.chunks_exact_mut(pixels).zip(picks) {
            augmentation.apply(&self.images[step * pixels..(step + 1) * pixels], size, slot, rng);
            let mut condition = checkpoint.condition(&self.states[step], self.tasks[step]);
            for value in &mut condition[..7] {
                if jitter > 0.0 {
                    *value += rng.random_range(-jitter..=jitter) as f32;
                }
            }
            conditions.extend(condition);
            actions.extend(normalized(&self.labels[step], &checkpoint.bounds));
        }
        let ahead: Vec<Ahead> = picks.iter().map(|step| self.ahead[*step]).collect();
        let (b, s) = (picks.len() as i64, size as i64);
        Ok(Batch {
            images: Tensor::f_from_slice(&images)?.f_reshape([b, 3, s, s])?,
            conditions: Tensor::f_from_slice(&conditions)?.f_reshape([b, -1])?,
            actions: Tensor::f_from_slice(&actions)?.f_reshape([b, 7])?,
            places: Places::of(&ahead, &checkpoint.state)?,
        })
    }
}

/// Action bounds in a launch file's text; `None` for a recording from elsewhere.
fn bounds_of(settings: &str) -> Option<ActionBounds> {
    let settings: toml::Table = toml::from_str(settings).ok()?;
    settings.get("policy")?.get("bounds")?.clone().try_into().ok()
}

/// Mean and standard deviation of states.
pub(super) fn state_scale(states: &[[f64; 7]]) -> StateScale {
    let n = states.len().max(1) as f64;
    let mean: [f64; 7] = std::array::from_fn(|i| states.iter().map(|s| s[i]).sum::<f64>() / n);
    let std = std::array::from_fn(|i| {
        let variance = states.iter().map(|s| (s[i] - mean[i]).powi(2)).sum::<f64>() / n;
        // Scaling must not amplify angles that hardly move in the data.
        variance.sqrt().max(if i < 3 { 0.01 } else { 0.1 })
    });
    StateScale { mean, std }
}

/// Actions in the bounds' units, clipped to +-0.99 as PTR does, so that tanh can reach them.
pub(super) fn normalized(label: &[f64; 7], bounds: &ActionBounds) -> [f32; 7] {
    bounds.normalize(&Action::from_array(*label)).map(|v| v.clamp(-0.99, 0.99) as f32)
}

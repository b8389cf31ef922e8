//! Recorded episodes, successes and failures, as transitions (s, a, r, m, s').
//!
//! One transition per policy step: image and state before it, the action asked for (or the change it achieved), the reward r
//! and mask m of [`Labels`], and image and state of the next step. The last step of a success has no next one; it is its own,
//! and the mask hides it. The last step of a failure would need a next one and is left out. Aborted attempts, and recordings
//! cut off before their end, have no outcome and are skipped.
//!
//! [`Mixture`] draws batches from prior and target data.

mod batch;
mod labels;
mod mixture;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use tch::{TchError, Tensor};

use super::hindsight::{Ahead, look_ahead};
use crate::encoder::policy_image;
use crate::policy::StateScale;
use visuomotor_core::action::MotionKind;
use visuomotor_core::episode::Outcome;
use visuomotor_records::recording::{RecordedEpisode, dataset_digest, list_episodes, read_episode};

pub use batch::{TransitionBatch, assemble};
pub use labels::{Labels, STEP_REWARD, SUCCESS_REWARD};
pub use mixture::Mixture;

/// Every step of some folders of episodes, images in memory.
pub struct Transitions {
    size: usize,
    images: Vec<Arc<[u8]>>,
    states: Vec<[f64; 7]>,
    actions: Vec<[f64; 7]>,
    shown: Vec<[f64; 7]>,
    ahead: Vec<Ahead>,
    rewards: Vec<(f32, f32)>,
    returns: Vec<f32>,
    tasks: Vec<usize>,
    /// First step of each episode, and one past the last of all.
    starts: Vec<usize>,
    successes: Vec<bool>,
    camera_size: (u32, u32),
    /// Episodes skipped: aborted or cut off.
    pub passed_over: usize,
    /// Names of the tasks, in the order of their numbers.
    pub task_names: Vec<String>,
    /// Arm the episodes were recorded on.
    pub robot: String,
    /// Policy rate of the episodes \[Hz\].
    pub rate_hz: f64,
    /// Digest of the folders' episodes.
    pub digest: String,
    /// Why episodes were left out that cannot be read.
    pub left_out: Vec<String>,
}

impl Transitions {
    /// The data's entry in the record of a training run.
    pub fn record(&self) -> serde_json::Value {
        serde_json::json!({
            "digest": self.digest, "episodes": self.episodes(), "successes": self.successes(), "steps": self.len(),
            "tasks": self.task_names, "robot": self.robot, "rate_hz": self.rate_hz,
        })
    }

    /// Reads the finished episodes of `folders` and of the folders directly in them; images are resized to `size` pixels.
    pub fn read(folders: &[PathBuf], task_names: &[String], size: u32, labels: &Labels) -> anyhow::Result<Self> {
        let mut set = Self {
            size: size as usize,
            images: Vec::new(),
            states: Vec::new(),
            actions: Vec::new(),
            shown: Vec::new(),
            ahead: Vec::new(),
            rewards: Vec::new(),
            returns: Vec::new(),
            tasks: Vec::new(),
            starts: vec![0],
            successes: Vec::new(),
            camera_size: (0, 0),
            passed_over: 0,
            task_names: task_names.to_vec(),
            robot: String::new(),
            rate_hz: 0.0,
            digest: String::new(),
            left_out: Vec::new(),
        };
        let (mut files, mut digests) = (Vec::new(), String::new());
        for folder in folders {
            let before = files.len();
            for folder in episode_folders(folder)? {
                let found = list_episodes(&folder)?;
                if !found.is_empty() {
                    digests += &dataset_digest(&folder)?;
                    files.extend(found);
                }
            }
            ensure!(
                files.len() > before,
                "{}: no episodes; make some with `visuomotor demonstrate` or name another folder",
                folder.display()
            );
        }
        set.digest = visuomotor_core::config::digest(digests.as_bytes());
        let bar = ProgressBar::new(files.len() as u64);
        for file in &files {
            bar.inc(1);
            match read_episode(file) {
                Ok(episode) => set.add(file, &episode, size, labels)?,
                Err(error) => {
                    bar.suspend(|| tracing::warn!("left out: {error}"));
                    set.left_out.push(error.to_string());
                }
            }
        }
        bar.finish_and_clear();
        ensure!(
            !set.states.is_empty(),
            "{}: {} episodes, none of which came to an end; record some that do",
            folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", "),
            files.len()
        );
        Ok(set)
    }

    fn add(&mut self, file: &Path, episode: &RecordedEpisode, size: u32, labels: &Labels) -> anyhow::Result<()> {
        let name = file.display();
        let success = match episode.end.as_ref().map(|end| &end.outcome) {
            Some(Outcome::Success { .. }) => true,
            Some(Outcome::Failure { .. }) => false,
            Some(Outcome::Aborted { .. }) | None => {
                self.passed_over += 1;
                return Ok(());
            }
        };
        let steps = &episode.steps;
        ensure!(
            steps.len() >= 2,
            "{name}: found {} steps, expected at least 2, from one state to the next; remove the file",
            steps.len()
        );
        let task = self.task_names.iter().position(|t| *t == episode.start.task).with_context(|| {
            let known = self.task_names.join(", ");
            format!("{name}: task `{}` is not among {known}; add it to `tasks`", episode.start.task)
        })?;
        self.fits(file, episode)?;
        let (mut asked, mut meant) = (Vec::with_capacity(steps.len()), Vec::with_capacity(steps.len()));
        for step in steps {
            let picture = step.image().with_context(|| {
                format!("{name}: step {} has no image; record with a camera, or remove the file", step.index)
            })?;
            let image = policy_image(&picture.decode().with_context(|| name.to_string())?, size)?;
            let kind = MotionKind::of(step.motion.as_ref());
            ensure!(
                kind == MotionKind::PoseChange,
                "{name}: found {kind}, expected changes of the tool's pose; keep such episodes in a folder of their own"
            );
            let (state, action, label) = (step.bridge_state, step.action.to_array(), step.label.to_array());
            ensure!(
                state.iter().chain(&action).chain(&label).all(|value| value.is_finite()),
                "{name}: step {}: found state {state:?} and action {action:?}, expected finite numbers; remove the file",
                step.index
            );
            self.images.push(image.pixels);
            self.states.push(state);
            self.tasks.push(task);
            asked.push(action);
            meant.push(label);
        }
        let first = self.starts.last().copied().unwrap_or(0);
        let actions = |asked: &[_]| labels.actions(&self.states[first..], asked);
        let (actions, shown) = (actions(&asked), actions(&meant));
        self.actions.extend(actions);
        self.ahead.extend(match success {
            true => look_ahead(&self.states[first..], &shown),
            false => vec![Ahead::default(); steps.len()],
        });
        self.shown.extend(shown);
        let rewards = labels.rewards(steps.len(), success);
        self.returns.extend(labels.returns(&rewards));
        self.rewards.extend(rewards);
        self.starts.push(self.states.len());
        self.successes.push(success);
        Ok(())
    }

    /// Refuses an episode of another arm, rate or camera than the first.
    fn fits(&mut self, file: &Path, episode: &RecordedEpisode) -> anyhow::Result<()> {
        let (robot, rate_hz) = (&episode.start.robot, episode.start.policy_rate_hz);
        if self.states.is_empty() {
            self.robot.clone_from(robot);
            self.rate_hz = rate_hz;
            self.camera_size = episode.steps.iter().find_map(|s| s.image()).map_or((0, 0), |image| image.camera_size);
        }
        ensure!(
            self.robot == *robot && (self.rate_hz - rate_hz).abs() < 1e-9,
            "{}: recorded on {robot} at {rate_hz} Hz, the others on {} at {} Hz; keep such episodes in separate folders",
            file.display(),
            self.robot,
            self.rate_hz
        );
        let (width, height) = self.camera_size;
        if let Some(other) = episode.steps.iter().filter_map(|s| s.image()).find(|i| i.camera_size != (width, height)) {
            anyhow::bail!(
                "{}: found an image of {}x{} pixels, the first episode's are {width}x{height}; keep the images of \
                 different cameras in separate folders",
                file.display(),
                other.camera_size.0,
                other.camera_size.1
            );
        }
        Ok(())
    }

    /// Number of steps, the last ones of failures included.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Number of episodes.
    pub fn episodes(&self) -> usize {
        self.successes.len()
    }

    /// Number of episodes that succeeded.
    pub fn successes(&self) -> usize {
        self.successes.iter().filter(|success| **success).count()
    }

    /// Width and height of the cameras' images \[pixels\].
    pub fn camera_size(&self) -> [u32; 2] {
        [self.camera_size.0, self.camera_size.1]
    }

    /// Steps of an episode: from the first to one past the last.
    pub fn steps(&self, episode: usize) -> std::ops::Range<usize> {
        self.starts[episode]..self.starts[episode + 1]
    }

    /// The episode a step belongs to.
    fn episode(&self, step: usize) -> usize {
        self.starts.partition_point(|start| *start <= step) - 1
    }

    /// Did an episode succeed?
    pub fn succeeded(&self, episode: usize) -> bool {
        self.successes[episode]
    }

    /// Is a step of a success?
    pub fn succeeds(&self, step: usize) -> bool {
        self.successes[self.episode(step)]
    }

    /// Task number of a step.
    pub fn task(&self, step: usize) -> usize {
        self.tasks[step]
    }

    /// Splits off every `nth` episode for validation: returns the transitions' steps for training and for validation. The
    /// last steps of failures are in neither.
    pub fn split(&self, nth: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for episode in 0..self.episodes() {
            let part = if nth > 0 && episode % nth == nth - 1 { &mut validation } else { &mut train };
            let mut steps = self.steps(episode);
            if !self.successes[episode] {
                steps.end -= 1;
            }
            part.extend(steps);
        }
        (train, validation)
    }

    /// The step after `step`; the last of an episode is its own.
    pub fn next(&self, step: usize) -> usize {
        if self.starts.binary_search(&(step + 1)).is_ok() { step } else { step + 1 }
    }

    /// Mean and standard deviation of the states.
    pub fn state_scale(&self) -> StateScale {
        super::dataset::state_scale(&self.states)
    }

    /// Images of the steps in `steps` without augmentation, (B, 3, size, size), f32 in 0..1.
    pub fn images(&self, steps: &[usize]) -> Result<Tensor, TchError> {
        let pixels: Vec<u8> = steps.iter().flat_map(|step| self.images[*step].iter().copied()).collect();
        let (count, size) = (steps.len() as i64, self.size as i64);
        let images = Tensor::f_from_data_size(&pixels, &[count, size, size, 3], tch::Kind::Uint8)?;
        images.f_permute([0, 3, 1, 2])?.f_to_kind(tch::Kind::Float)?.f_div_scalar(255.0)?.f_contiguous()
    }
}

/// The folders in which a data set's episodes may be: `folder` and those directly in it, sorted by name.
pub fn episode_folders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = || format!("{}: cannot be read; check the path of the data", folder.display());
    let mut inside = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_dir() {
            inside.push(path);
        }
    }
    inside.sort();
    inside.insert(0, folder.to_path_buf());
    Ok(inside)
}

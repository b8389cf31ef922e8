//! The recording of an episode beside an arm: where it goes, what it takes, what is kept with it.

use std::path::Path;

use anyhow::Context;

use super::station::StationSetting;
use crate::config::Robot;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Outcome, Step, StepSink};
use crate::observation::Observation;
use crate::operator::{Operator, Wish};
use crate::recording::{Attachment, Note, Recorder};

/// Bytes of a JPEG per pixel, generously.
const JPEG_BYTES: f64 = 0.4;
/// Bytes of a step's numbers and its control ticks.
const STEP_BYTES: f64 = 15e3;

/// Room that an episode of this length may take with images of this size (the cameras' own without) \[bytes\].
pub fn room(station: &StationSetting, seconds: f64, size: Option<(u32, u32)>) -> u64 {
    let [width, height] = station.image_size();
    let (width, height) = size.unwrap_or((width, height));
    let images = f64::from(width) * f64::from(height) * JPEG_BYTES * station.launch.camera.len() as f64;
    let bytes = seconds * station.launch.policy.rate_hz * (images + STEP_BYTES);
    bytes.clamp(0.0, 64e9) as u64
}

/// The files that describe arm and policy camera, to be kept with a recording.
pub fn set_up_files(station: &StationSetting) -> anyhow::Result<Vec<Attachment>> {
    let robot = Robot::path(&station.root, &station.launch.robot);
    let camera = station.root.join(&station.launch.camera[0].calibration);
    let files = [("robot.toml", robot), ("calibration.toml", camera)].into_iter().map(|(name, path)| {
        let data = crate::untrusted::read(&path, crate::untrusted::LARGEST_TEXT)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        Ok(Attachment { name: name.into(), media_type: "application/toml".into(), data })
    });
    files.collect()
}

/// The first name of a task that no recording has, whole, cut off or damaged.
pub fn free_name(folder: &Path, task: &str) -> anyhow::Result<(String, usize)> {
    let taken: Vec<String> = std::fs::read_dir(folder)
        .with_context(|| format!("{}: cannot be read", folder.display()))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    (0..1_000_000)
        .map(|number| (format!("{task}-{number:04}"), number))
        .find(|(name, _)| !taken.iter().any(|file| file.starts_with(&format!("{name}.mcap"))))
        .context("a million episodes are there already; choose another --out")
}

/// An outcome in a line.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success { judge } => format!("accepted, {judge}"),
        Outcome::Failure { judge, why } | Outcome::Aborted { judge, why } => {
            format!("{}, {judge}: {why}", outcome.word())
        }
    }
}

/// The recorder, with what people write meanwhile.
pub struct Notes {
    /// The recorder.
    pub recorder: Recorder,
    /// Whose notes they are.
    pub operator: Operator,
}

impl StepSink for Notes {
    fn episode_started(&mut self, start: &EpisodeStart) -> anyhow::Result<()> {
        self.recorder.episode_started(start)
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        while let Some((Wish::Note { text }, by)) = self.operator.take(|wish| matches!(wish, Wish::Note { .. })) {
            self.recorder.note(Note { at_ns: step.decided_at.as_nanos(), by, text });
        }
        if let Some(trouble) = self.recorder.state().trouble {
            self.operator.show(|panel| panel.warning = trouble);
        }
        self.recorder.step(step)
    }

    fn paused(&mut self, observation: &Observation) -> anyhow::Result<()> {
        self.recorder.paused(observation)
    }

    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()> {
        self.recorder.control_tick(tick)
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> anyhow::Result<()> {
        self.recorder.episode_ended(end)
    }
}

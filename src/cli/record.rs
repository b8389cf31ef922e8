//! The recording of an episode on an arm: file name, disk space and attachments.

use std::path::Path;

use anyhow::Context;

use super::station::StationSetting;
use crate::config::Robot;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Outcome, SinkError, Step, StepSink};
use crate::observation::Observation;
use crate::operator::{Operator, Wish};
use crate::recording::{Attachment, Note, Recorder};

/// Generous estimate of JPEG bytes per pixel.
const JPEG_BYTES: f64 = 0.4;
/// Bytes per step for its numbers and control ticks.
const STEP_BYTES: f64 = 15e3;

/// Disk space for an episode of this length with images of this size (default: the cameras' own) \[bytes\].
pub fn room(station: &StationSetting, seconds: f64, size: Option<(u32, u32)>) -> u64 {
    let [width, height] = station.image_size();
    let (width, height) = size.unwrap_or((width, height));
    let images = f64::from(width) * f64::from(height) * JPEG_BYTES * station.launch.camera.len() as f64;
    let bytes = seconds * station.launch.policy.rate_hz * (images + STEP_BYTES);
    bytes.clamp(0.0, 64e9) as u64
}

/// Description files of the arm and the policy camera, to attach to a recording.
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

/// The first file name of a task without a recording, be it complete, cut off or damaged.
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

/// An outcome as one line of text.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success { judge } => format!("accepted, {judge}"),
        Outcome::Failure { judge, why } | Outcome::Aborted { judge, why } => {
            format!("{}, {judge}: {why}", outcome.word())
        }
    }
}

/// The recorder, with the operator's notes.
pub struct Notes {
    /// The recorder.
    pub recorder: Recorder,
    /// Source of the notes.
    pub operator: Operator,
}

impl StepSink for Notes {
    fn episode_started(&mut self, start: &EpisodeStart) -> Result<(), SinkError> {
        self.recorder.episode_started(start)
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        while let Some((Wish::Note { text }, by)) = self.operator.take(|wish| matches!(wish, Wish::Note { .. })) {
            self.recorder.note(Note { at_ns: step.decided_at.as_nanos(), by, text });
        }
        if let Some(trouble) = self.recorder.state().trouble {
            self.operator.show(|panel| panel.warning = trouble);
        }
        self.recorder.step(step)
    }

    fn paused(&mut self, observation: &Observation) -> Result<(), SinkError> {
        self.recorder.paused(observation)
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        self.recorder.control_tick(tick)
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError> {
        self.recorder.episode_ended(end)
    }
}

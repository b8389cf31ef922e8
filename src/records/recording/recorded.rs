//! A recorded episode, and what of it to read.

use std::path::PathBuf;

use super::edit::Edit;
use super::events::{Gap, Note};
use super::picture::RecordedImage;
use super::{Attachment, RecordingError};
use visuomotor_core::action::{Action, Decider, Motion};
use visuomotor_core::embedding::Embedding;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart};
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::{Observation, Proprioception};
use visuomotor_core::time::Timestamp;

/// What to read of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Keep the images (as JPEG); without, [`RecordedStep::images`] have empty `jpeg`.
    pub images: bool,
    /// Keep the control ticks.
    pub control_ticks: bool,
}

impl Default for ReadOptions {
    /// Images, no control ticks: what training and reports need.
    fn default() -> Self {
        Self { images: true, control_ticks: false }
    }
}

/// One recorded policy step.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStep {
    /// Index from 0.
    pub index: u64,
    /// Decision time for which the observation was assembled.
    pub observed_at: Timestamp,
    /// When the decision was published to the control loop.
    pub decided_at: Timestamp,
    /// Image of each camera, in launch-file order; the first is the policy's.
    pub images: Vec<RecordedImage>,
    /// Proprioception.
    pub proprioception: Proprioception,
    /// Tool pose in the base frame \[m\].
    pub base_from_tool: Pose,
    /// x, y, z \[m\], roll, pitch, yaw \[rad\], gripper (0 closed .. 1 open).
    pub bridge_state: [f64; 7],
    /// The action asked for.
    pub action: Action,
    /// The action without the demonstrator's noise.
    pub label: Action,
    /// The motion asked for instead of a pose change.
    pub motion: Option<Motion>,
    /// Who decided, in a run in which control can change hands.
    pub decided_by: Option<Decider>,
    /// Embedding of the policy's image, where one was recorded.
    pub embedding: Option<Embedding>,
    /// Time spent turning images into embeddings \[s\].
    pub encoder_seconds: f64,
    /// Time spent turning embeddings into an action \[s\].
    pub policy_seconds: f64,
}

impl RecordedStep {
    /// The policy camera's image.
    pub fn image(&self) -> Option<&RecordedImage> {
        self.images.first()
    }

    /// The observation as the policy got it, except for JPEG's error and the recorded size; decodes every image.
    pub fn observation(&self) -> Result<Observation, RecordingError> {
        Ok(Observation {
            images: self.images.iter().map(RecordedImage::decode).collect::<Result<_, _>>()?,
            proprioception: self.proprioception,
            base_from_tool: self.base_from_tool,
            bridge_state: self.bridge_state,
            observed_at: self.observed_at,
        })
    }
}

/// One recorded episode.
#[derive(Clone, Debug)]
pub struct RecordedEpisode {
    /// The file it came from.
    pub path: PathBuf,
    /// What was known before the first step.
    pub start: EpisodeStart,
    /// Policy steps, in order.
    pub steps: Vec<RecordedStep>,
    /// Control ticks, in order; empty unless [`ReadOptions::control_ticks`].
    pub ticks: Vec<ControlTick>,
    /// How it ended; `None` when the recording was cut off before.
    pub end: Option<EpisodeEnd>,
    /// The operators' notes.
    pub notes: Vec<Note>,
    /// Steps that were not recorded.
    pub gaps: Vec<Gap>,
    /// Files recorded with it, the settings among them.
    pub attachments: Vec<Attachment>,
    /// What edits of the data set did to it, oldest first.
    pub edits: Vec<Edit>,
    /// The file is complete, contains the end, and as many steps as the end states.
    pub complete: bool,
    /// What was lost; `None` when complete.
    pub lost: Option<String>,
    /// Wall-clock time of the start, nanoseconds since 1970, where it was annotated.
    pub started_at_unix_ns: Option<u64>,
}

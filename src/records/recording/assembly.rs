//! Reassembles the messages of a recording into steps and control ticks.

use std::path::Path;

use mcap::records::MessageHeader;
use serde::de::DeserializeOwned;

use super::RecordingError;
use super::events::{Gap, Note, SafetyEvent, StepEvent};
use super::messages::{CompressedImage, JointState, decode_f32_array, decode_f64_array, decode_pose};
use super::picture::RecordedImage;
use super::recorded::{ReadOptions, RecordedStep};
use super::schemas as topic;
use visuomotor_core::action::{Action, JointCommand};
use visuomotor_core::embedding::Embedding;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered};
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

/// Largest message read besides images \[bytes\]; the start of an episode with its settings has 50 kB.
const LARGEST_MESSAGE: usize = 4 << 20;

/// Messages of the step whose closing `/episode/step` has not been read yet.
#[derive(Default)]
struct OpenStep {
    /// Log time of its messages \[ns\]: all have the same.
    at: Option<u64>,
    images: Vec<CompressedImage>,
    proprioception: Option<Proprioception>,
    pose: Option<Pose>,
    state: Option<[f64; 7]>,
    action: Option<[f64; 7]>,
    label: Option<[f64; 7]>,
    embedding: Option<Embedding>,
}

/// Messages of the control tick whose closing `/control_tick` has not been read yet.
#[derive(Default)]
struct OpenTick {
    /// Log time of its messages \[ns\]: all have the same.
    at: Option<u64>,
    measured: Option<(JointVector, f64)>,
    wished: Option<JointCommand>,
    sent: Option<JointCommand>,
    filtered: Option<Filtered>,
}

/// The episode as far as it was read.
pub(super) struct Assembly<'a> {
    path: &'a Path,
    options: ReadOptions,
    start: Option<EpisodeStart>,
    steps: Vec<RecordedStep>,
    ticks: Vec<ControlTick>,
    end: Option<EpisodeEnd>,
    notes: Vec<Note>,
    gaps: Vec<Gap>,
    open_step: OpenStep,
    open_tick: OpenTick,
}

/// All that was read of an episode.
pub(super) struct Assembled {
    pub start: Option<EpisodeStart>,
    pub steps: Vec<RecordedStep>,
    pub ticks: Vec<ControlTick>,
    pub end: Option<EpisodeEnd>,
    pub notes: Vec<Note>,
    pub gaps: Vec<Gap>,
}

impl<'a> Assembly<'a> {
    pub fn new(path: &'a Path, options: ReadOptions) -> Self {
        Self {
            path,
            options,
            start: None,
            steps: Vec::new(),
            ticks: Vec::new(),
            end: None,
            notes: Vec::new(),
            gaps: Vec::new(),
            open_step: OpenStep::default(),
            open_tick: OpenTick::default(),
        }
    }

    /// All complete parts; messages of a step that was never closed are dropped.
    pub fn finish(self) -> Assembled {
        let Self { start, steps, ticks, end, notes, gaps, .. } = self;
        Assembled { start, steps, ticks, end, notes, gaps }
    }

    /// Adds the next message; topics of other programs are skipped.
    pub fn message(&mut self, name: &str, header: &MessageHeader, data: &[u8]) -> Result<(), RecordingError> {
        let path = self.path;
        let bad = |why: String| damaged(path, name, header, why);
        let control = self.options.control_ticks;
        if data.len() > LARGEST_MESSAGE && is_read(name) {
            return Err(bad(format!("{} bytes, at most {LARGEST_MESSAGE} are read of such a message", data.len())));
        }
        let out_of_order = |why: String| {
            let at = Timestamp::from_nanos(header.log_time).as_secs_f64();
            reordered(path, format!("{name} at {at:.3} s: {why}"))
        };
        let open = match group_of(name) {
            Some(Group::Step) => Some(&mut self.open_step.at),
            Some(Group::Tick) if control => Some(&mut self.open_tick.at),
            _ => None,
        };
        if let Some(at) = open {
            let first = *at.get_or_insert(header.log_time);
            if first != header.log_time {
                return Err(out_of_order("it comes between the messages of another step or control tick".into()));
            }
        }
        match name {
            topic::EPISODE_START => self.start = Some(json(data).map_err(bad)?),
            topic::EPISODE_END => self.end = Some(json(data).map_err(bad)?),
            topic::EPISODE_NOTE => self.notes.push(json(data).map_err(bad)?),
            topic::EPISODE_GAP => self.gaps.push(json(data).map_err(bad)?),
            topic::EPISODE_STEP => {
                let event = json(data).map_err(bad)?;
                let step = close_step(std::mem::take(&mut self.open_step), event);
                self.steps.push(step.map_err(|unfit| match unfit {
                    Unfit::Missing(why) => out_of_order(why),
                    Unfit::Content(why) => bad(why),
                })?);
            }
            topic::OBSERVED_JOINTS => {
                let message = JointState::decode(data).map_err(|e| bad(e.to_string()))?;
                self.open_step.proprioception = Some(proprioception(&message).map_err(bad)?);
            }
            topic::TOOL_POSE => {
                self.open_step.pose = Some(decode_pose(data).map_err(|e| bad(e.to_string()))?.1);
            }
            topic::BRIDGE_STATE => self.open_step.state = Some(seven(data).map_err(bad)?),
            topic::ACTION => self.open_step.action = Some(seven(data).map_err(bad)?),
            topic::ACTION_LABEL => self.open_step.label = Some(seven(data).map_err(bad)?),
            topic::EMBEDDING => {
                let (encoder_digest, values) = decode_f32_array(data).map_err(|e| bad(e.to_string()))?;
                self.open_step.embedding = Some(Embedding { values, encoder_digest });
            }
            topic::JOINT_STATES if control => self.open_tick.measured = Some(joints(data).map_err(bad)?),
            topic::WISHED_COMMAND if control => self.open_tick.wished = Some(command(data).map_err(bad)?),
            topic::SENT_COMMAND if control => self.open_tick.sent = Some(command(data).map_err(bad)?),
            topic::EPISODE_SAFETY if control => {
                self.open_tick.filtered = Some(json::<SafetyEvent>(data).map_err(bad)?.filtered);
            }
            topic::CONTROL_TICK if control => {
                let rest = decode_f64_array::<10>(data).map_err(|e| bad(e.to_string()))?;
                let at = Timestamp::from_nanos(header.log_time);
                let tick = close_tick(std::mem::take(&mut self.open_tick), at, &rest);
                self.ticks.push(tick.map_err(out_of_order)?);
            }
            _ if is_picture(name) => {
                let mut image = CompressedImage::decode(data).map_err(|e| bad(e.to_string()))?;
                if !self.options.images {
                    image.data = Vec::new();
                }
                self.open_step.images.push(image);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The message with this header cannot be read.
pub(super) fn damaged(path: &Path, topic: &str, header: &MessageHeader, why: impl ToString) -> RecordingError {
    RecordingError::Message {
        path: path.to_path_buf(),
        topic: topic.to_string(),
        at_seconds: Timestamp::from_nanos(header.log_time).as_secs_f64(),
        why: why.to_string(),
    }
}

/// The messages are not in the order in which they were recorded.
pub(super) fn reordered(path: &Path, found: String) -> RecordingError {
    RecordingError::Reordered { path: path.to_path_buf(), found }
}

/// What a message is a part of.
enum Group {
    Step,
    Tick,
}

/// The group whose messages are recorded one after the other, at the same log time.
fn group_of(name: &str) -> Option<Group> {
    match name {
        topic::EPISODE_STEP
        | topic::OBSERVED_JOINTS
        | topic::TOOL_POSE
        | topic::BRIDGE_STATE
        | topic::ACTION
        | topic::ACTION_LABEL
        | topic::EMBEDDING => Some(Group::Step),
        topic::JOINT_STATES
        | topic::WISHED_COMMAND
        | topic::SENT_COMMAND
        | topic::EPISODE_SAFETY
        | topic::CONTROL_TICK => Some(Group::Tick),
        _ if is_picture(name) => Some(Group::Step),
        _ => None,
    }
}

/// Is it an image topic?
pub(super) fn is_picture(name: &str) -> bool {
    name.starts_with(topic::CAMERA_PREFIX) && name.ends_with(topic::CAMERA_SUFFIX)
}

/// Is it a topic that is decoded here, other than images?
fn is_read(name: &str) -> bool {
    matches!(
        name,
        topic::EPISODE_START
            | topic::EPISODE_END
            | topic::EPISODE_NOTE
            | topic::EPISODE_GAP
            | topic::EPISODE_STEP
            | topic::EPISODE_SAFETY
            | topic::OBSERVED_JOINTS
            | topic::TOOL_POSE
            | topic::BRIDGE_STATE
            | topic::ACTION
            | topic::ACTION_LABEL
            | topic::EMBEDDING
            | topic::JOINT_STATES
            | topic::WISHED_COMMAND
            | topic::SENT_COMMAND
            | topic::CONTROL_TICK
    )
}

fn json<T: DeserializeOwned>(data: &[u8]) -> Result<T, String> {
    serde_json::from_slice(data).map_err(|error| error.to_string())
}

fn seven(data: &[u8]) -> Result<[f64; 7], String> {
    decode_f64_array(data).map_err(|error| error.to_string())
}

fn vector(values: &[f64]) -> Result<JointVector, String> {
    JointVector::try_from(values.to_vec())
}

/// Joint positions \[rad\], then the gripper fraction.
fn joints(data: &[u8]) -> Result<(JointVector, f64), String> {
    let message = JointState::decode(data).map_err(|error| error.to_string())?;
    let (gripper, positions) = message.positions.split_last().ok_or("no positions")?;
    Ok((vector(positions)?, *gripper))
}

/// A command as [`super::messages::encode_command`] wrote it.
fn command(data: &[u8]) -> Result<JointCommand, String> {
    let message = JointState::decode(data).map_err(|error| error.to_string())?;
    let (gripper, positions) = message.positions.split_last().ok_or("no positions")?;
    let front = |values: &[f64]| vector(&values[..values.len().saturating_sub(1)]);
    Ok(match (message.velocities.is_empty(), message.efforts.is_empty()) {
        (true, true) => JointCommand::position(vector(positions)?, *gripper),
        (false, true) => JointCommand::velocity(front(&message.velocities)?, *gripper),
        (true, false) => JointCommand::torque(front(&message.efforts)?, *gripper),
        (false, false) => return Err("a command with both velocities and efforts".into()),
    })
}

fn proprioception(message: &JointState) -> Result<Proprioception, String> {
    let [positions @ .., gripper, finger] = message.positions.as_slice() else {
        return Err(format!("{} positions, at least gripper and finger are expected", message.positions.len()));
    };
    let front = |values: &[f64]| vector(&values[..values.len().saturating_sub(2)]);
    Ok(Proprioception {
        joint_positions: vector(positions)?,
        joint_velocities: front(&message.velocities)?,
        joint_efforts: front(&message.efforts)?,
        finger_position: *finger,
        gripper: *gripper,
        measured_at: message.stamp,
    })
}

/// Why a step cannot be put together.
enum Unfit {
    /// A message of it was not found before its closing one.
    Missing(String),
    /// The closing message makes no sense.
    Content(String),
}

fn close_step(open: OpenStep, event: StepEvent) -> Result<RecordedStep, Unfit> {
    let missing = |what: &str| Unfit::Missing(format!("the step has no {what}"));
    if open.images.len() != event.images.len() {
        let (found, listed) = (open.images.len(), event.images.len());
        return Err(Unfit::Missing(format!("{found} images were found, {listed} are listed")));
    }
    let images = open
        .images
        .into_iter()
        .zip(event.images)
        .map(|(image, about)| RecordedImage {
            camera: image.camera.into(),
            captured_at: Timestamp::from_nanos(about.captured_at_ns),
            sequence: about.sequence,
            camera_size: (about.camera_width, about.camera_height),
            jpeg: image.data,
        })
        .collect();
    Ok(RecordedStep {
        index: event.index,
        observed_at: Timestamp::from_nanos(event.observed_at_ns),
        decided_at: Timestamp::from_nanos(event.decided_at_ns),
        images,
        proprioception: open.proprioception.ok_or_else(|| missing("joints"))?,
        base_from_tool: open.pose.ok_or_else(|| missing("tool pose"))?,
        bridge_state: open.state.ok_or_else(|| missing("state"))?,
        action: Action::from_array(open.action.ok_or_else(|| missing("action"))?),
        label: Action::from_array(open.label.ok_or_else(|| missing("label"))?),
        motion: event.motion.read().map_err(Unfit::Content)?,
        decided_by: event.decided_by,
        embedding: open.embedding,
        encoder_seconds: event.encoder_seconds,
        policy_seconds: event.policy_seconds,
    })
}

fn close_tick(open: OpenTick, at: Timestamp, rest: &[f64; 10]) -> Result<ControlTick, String> {
    let missing = |what: &str| format!("the control tick has no {what}");
    let (measured, measured_gripper) = open.measured.ok_or_else(|| missing("measured joints"))?;
    let [index, image_age_seconds, tick_seconds, action @ ..] = *rest;
    Ok(ControlTick {
        at,
        measured,
        measured_gripper,
        wished: open.wished.ok_or_else(|| missing("wished command"))?,
        sent: open.sent.ok_or_else(|| missing("sent command"))?,
        action: Action::from_array(action),
        step_index: (index >= 0.0).then_some(index as u64),
        filtered: open.filtered.unwrap_or(Filtered::Passed),
        image_age_seconds,
        tick_seconds,
    })
}

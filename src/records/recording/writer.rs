//! Writes one episode; start here to see what a recording contains. A little over 400 lines because its test needs the
//! writer's own fields; the code itself is shorter.
//!
//! One file because the order in which a step is written is the format.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use mcap::records::{MessageHeader, Metadata};

use super::error::io_error;
use super::events::{Gap, ImageEvent, MotionEvent, Note, SafetyEvent, StepEvent};
use super::messages::{
    CompressedImage, encode_command, encode_f32_array, encode_f64_array, encode_joint_state, encode_pose,
};
use super::picture::{JpegMaker, RecordedImage};
use super::schemas::{self as topic, SchemaText};
use super::storage::{self, Output};
use super::{FORMAT_VERSION, METADATA_NAME, RecordingError, SETTINGS_ATTACHMENT, WriterOptions};
use visuomotor_core::action::JointCommand;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, SinkError, Step, StepSink};
use visuomotor_core::time::Timestamp;

#[derive(Debug, PartialEq)]
enum Stage {
    Created,
    Running,
    /// A write failed; reported once, then all calls are ignored until the end.
    Failed,
    Ended,
}

/// Writes one episode to `NAME.mcap.partial` and renames it to `NAME.mcap` at the end.
///
/// A policy step and the control ticks before it are passed to the operating system before [`EpisodeWriter::step`] returns.
/// The first failure is returned once; later steps and ticks are ignored (the arm continues, the runtime decides) and the end
/// returns [`RecordingError::Stopped`].
///
/// ```no_run
/// use std::path::Path;
///
/// use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, Step};
/// use visuomotor_records::recording::{EpisodeWriter, RecordingError, WriterOptions};
///
/// fn record(start: &EpisodeStart, ticks: &[ControlTick], step: &Step<'_>, end: &EpisodeEnd) -> Result<(), RecordingError> {
///     let mut writer = EpisodeWriter::create(Path::new("results/episodes"), &start.name, WriterOptions::default())?;
///     writer.start(start)?;
///     for tick in ticks {
///         writer.record_tick(tick)?;
///     }
///     writer.record_step(step)?;
///     writer.end(end)
/// }
/// ```
pub struct EpisodeWriter {
    output: Option<Output>,
    /// Second handle of the file, for `fdatasync`.
    disk: File,
    partial: PathBuf,
    whole: PathBuf,
    options: WriterOptions,
    jpeg: JpegMaker,
    stage: Stage,
    steps: u64,
    /// Names of joints, then `gripper`, then `finger`.
    names: Vec<String>,
    joints: usize,
    channels: BTreeMap<String, u16>,
    latest: Timestamp,
}

impl EpisodeWriter {
    /// Opens the recording. Every reason not to record that is known by now is an error now, before motion.
    pub fn create(folder: &Path, name: &str, options: WriterOptions) -> Result<Self, RecordingError> {
        options.check()?;
        let (file, partial, whole) = storage::create(folder, name, &options)?;
        Self::on(file, partial, whole, options)
    }

    fn on(file: File, partial: PathBuf, whole: PathBuf, options: WriterOptions) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Write { path: partial.clone(), steps: 0, source };
        let disk = file.try_clone().map_err(failed)?;
        let mut output = storage::output(file).map_err(failed)?;
        let mut about = BTreeMap::from([
            ("format_version".to_string(), FORMAT_VERSION.to_string()),
            ("program".to_string(), concat!("visuomotor ", env!("CARGO_PKG_VERSION")).to_string()),
        ]);
        if let Some(age) = options.wall_clock.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok()) {
            about.insert("started_at_unix_ns".into(), age.as_nanos().to_string());
        }
        output
            .write_metadata(&Metadata { name: METADATA_NAME.into(), metadata: about })
            .and_then(|()| output.flush())
            .map_err(|error| failed(io_error(error)))?;
        disk.sync_data().map_err(failed)?;
        Ok(Self {
            output: Some(output),
            disk,
            partial,
            whole,
            jpeg: JpegMaker::new(options.jpeg_quality, options.record_size),
            latest: options.started_at,
            options,
            stage: Stage::Created,
            steps: 0,
            names: Vec::new(),
            joints: 0,
            channels: BTreeMap::new(),
        })
    }

    /// Path of the file while it is written, `NAME.mcap.partial`.
    pub fn partial_path(&self) -> &Path {
        &self.partial
    }

    /// Path of the file after the end, `NAME.mcap`.
    pub fn path(&self) -> &Path {
        &self.whole
    }

    /// Steps that are safe in the file.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Records the episode's start.
    pub fn start(&mut self, start: &EpisodeStart) -> Result<(), RecordingError> {
        if self.stage != Stage::Created {
            return Err(self.order("a second start was asked for"));
        }
        self.joints = start.joint_names.len();
        self.names = start.joint_names.clone();
        self.names.extend(["gripper".to_string(), "finger".to_string()]);
        let done = self.write_start(start);
        self.stage = Stage::Running;
        self.settle(done)
    }

    /// Records a policy step.
    pub fn record_step(&mut self, step: &Step<'_>) -> Result<(), RecordingError> {
        let images = match self.stage {
            Stage::Running => step.observation.images.iter().map(|image| self.jpeg.recorded(image)).collect(),
            _ => Ok(Vec::new()),
        };
        match images {
            Ok(images) => self.record_step_with(step, &images),
            Err(error) => self.settle(Err(error)),
        }
    }

    /// As [`EpisodeWriter::record_step`], with images that are JPEG already: their bytes are written unchanged, and the
    /// observation's own images are ignored. For recordings imported from another format.
    pub fn record_step_with(&mut self, step: &Step<'_>, images: &[RecordedImage]) -> Result<(), RecordingError> {
        match self.stage {
            Stage::Running => {}
            Stage::Failed => return Ok(()),
            Stage::Created => return Err(self.order("a step came before the start")),
            Stage::Ended => return Err(self.order("a step came after the end")),
        }
        let done = self.write_step(step, images);
        if done.is_ok() {
            self.steps += 1;
        }
        self.settle(done)
    }

    /// Records a control tick; it reaches the file with the next step or the end.
    pub fn record_tick(&mut self, tick: &ControlTick) -> Result<(), RecordingError> {
        match self.stage {
            Stage::Running => {}
            Stage::Failed => return Ok(()),
            Stage::Created => return Err(self.order("a control tick came before the start")),
            Stage::Ended => return Err(self.order("a control tick came after the end")),
        }
        let done = self.write_tick(tick);
        self.settle(done)
    }

    /// Records an operator's note; it is passed to the operating system at once.
    pub fn record_note(&mut self, note: &Note) -> Result<(), RecordingError> {
        let at = Timestamp::from_nanos(note.at_ns);
        self.record_aside(topic::EPISODE_NOTE, topic::NOTE_EVENT, at, note)
    }

    /// Records that steps are missing from here on.
    pub fn record_gap(&mut self, gap: &Gap) -> Result<(), RecordingError> {
        let at = self.latest;
        self.record_aside(topic::EPISODE_GAP, topic::GAP_EVENT, at, gap)
    }

    fn record_aside<T: serde::Serialize>(
        &mut self,
        name: &str,
        schema: SchemaText,
        at: Timestamp,
        value: &T,
    ) -> Result<(), RecordingError> {
        match self.stage {
            Stage::Running => {}
            Stage::Failed => return Ok(()),
            Stage::Created => return Err(self.order("a note came before the start")),
            Stage::Ended => return Err(self.order("a note came after the end")),
        }
        let done = self.put_json(name, schema, at, at, value).and_then(|()| self.close_chunk(false));
        self.settle(done)
    }

    /// Records the end, completes the file and renames it to its final name.
    pub fn end(&mut self, end: &EpisodeEnd) -> Result<(), RecordingError> {
        match self.stage {
            Stage::Running => {}
            Stage::Failed => {
                self.stage = Stage::Ended;
                return Err(RecordingError::Stopped { path: self.partial.clone(), steps: self.steps });
            }
            Stage::Created => return Err(self.order("the end came before the start")),
            Stage::Ended => return Err(self.order("a second end was asked for")),
        }
        let done = self.write_end(end);
        self.settle(done)?;
        self.stage = Stage::Ended;
        let Some(output) = self.output.take() else { return Err(self.order("the end came after the end")) };
        storage::finish(output, &self.partial, &self.whole).map_err(|source| self.failed(source))
    }

    fn order(&self, what: &'static str) -> RecordingError {
        RecordingError::Order { path: self.partial.clone(), what }
    }

    fn failed(&self, source: std::io::Error) -> RecordingError {
        RecordingError::Write { path: self.partial.clone(), steps: self.steps, source }
    }

    /// Stores a failure: an error is reported once.
    fn settle(&mut self, done: Result<(), RecordingError>) -> Result<(), RecordingError> {
        if done.is_err() {
            self.stage = Stage::Failed;
        }
        done
    }

    fn write_start(&mut self, start: &EpisodeStart) -> Result<(), RecordingError> {
        let at = self.options.started_at;
        let settings = (SETTINGS_ATTACHMENT, "application/toml", start.settings.as_bytes());
        let others = self.options.attachments.iter().map(|file| (&*file.name, &*file.media_type, &*file.data));
        let Some(output) = &mut self.output else { return Err(self.order("the file is closed")) };
        let attached = std::iter::once(settings).chain(others).try_for_each(|(name, media_type, data)| {
            output.attach(&mcap::Attachment {
                log_time: at.as_nanos(),
                create_time: at.as_nanos(),
                name: name.into(),
                media_type: media_type.into(),
                data: data.into(),
            })
        });
        attached.map_err(|error| self.failed(io_error(error)))?;
        self.put_json(topic::EPISODE_START, topic::START_EVENT, at, at, start)?;
        self.close_chunk(true)
    }

    fn write_step(&mut self, step: &Step<'_>, pictures: &[RecordedImage]) -> Result<(), RecordingError> {
        let (seen, decision, at) = (step.observation, step.decision, step.decided_at);
        let observed = seen.observed_at;
        let mut images = Vec::with_capacity(pictures.len());
        for image in pictures {
            let message = CompressedImage {
                stamp: image.captured_at,
                camera: image.camera.to_string(),
                format: "jpeg".into(),
                data: image.jpeg.clone(),
            };
            let name = format!("{}{}{}", topic::CAMERA_PREFIX, image.camera, topic::CAMERA_SUFFIX);
            self.put(&name, topic::COMPRESSED_IMAGE, at, image.captured_at, &message.encode())?;
            images.push(ImageEvent {
                camera: image.camera.to_string(),
                sequence: image.sequence,
                captured_at_ns: image.captured_at.as_nanos(),
                camera_width: image.camera_size.0,
                camera_height: image.camera_size.1,
            });
        }
        let body = &seen.proprioception;
        let with = |joints: &[f64], gripper: f64, finger: f64| [joints, &[gripper, finger]].concat();
        let joints = encode_joint_state(
            body.measured_at,
            &self.names,
            &with(&body.joint_positions, body.gripper, body.finger_position),
            &with(&body.joint_velocities, 0.0, 0.0),
            &with(&body.joint_efforts, 0.0, 0.0),
        );
        self.put(topic::OBSERVED_JOINTS, topic::JOINT_STATE, at, body.measured_at, &joints)?;
        let pose = encode_pose(body.measured_at, "base", &seen.base_from_tool);
        self.put(topic::TOOL_POSE, topic::POSE_STAMPED, at, body.measured_at, &pose)?;
        let (state, action, label) = (seen.bridge_state, decision.action.to_array(), decision.label.to_array());
        for (name, meaning, values) in [
            (topic::BRIDGE_STATE, "x y z roll pitch yaw gripper", state),
            (topic::ACTION, "dx dy dz droll dpitch dyaw gripper", action),
            (topic::ACTION_LABEL, "dx dy dz droll dpitch dyaw gripper", label),
        ] {
            self.put(name, topic::FLOAT64_ARRAY, at, observed, &encode_f64_array(meaning, &values))?;
        }
        let embedding = decision.embedding.as_ref().filter(|_| self.options.keep_embeddings);
        if let Some(embedding) = embedding {
            let message = encode_f32_array(&embedding.encoder_digest, &embedding.values);
            self.put(topic::EMBEDDING, topic::FLOAT32_ARRAY, at, observed, &message)?;
        }
        let event = StepEvent {
            index: step.index,
            observed_at_ns: observed.as_nanos(),
            decided_at_ns: at.as_nanos(),
            encoder_seconds: decision.encoder_seconds,
            policy_seconds: decision.policy_seconds,
            bridge_state: state,
            action,
            label,
            motion: MotionEvent::of(decision.motion),
            decided_by: decision.decided_by,
            images,
            encoder_digest: embedding.map(|embedding| embedding.encoder_digest.clone()),
        };
        self.put_json(topic::EPISODE_STEP, topic::STEP_EVENT, at, observed, &event)?;
        let every = self.options.sync_every_steps;
        self.close_chunk(every != 0 && (self.steps + 1).is_multiple_of(every))
    }

    fn write_tick(&mut self, tick: &ControlTick) -> Result<(), RecordingError> {
        let at = tick.at;
        // Names without `finger`: a command has none.
        let names = &self.names[..self.joints + 1];
        let measured = JointCommand::position(tick.measured, tick.measured_gripper);
        let messages = [
            (topic::JOINT_STATES, &measured),
            (topic::WISHED_COMMAND, &tick.wished),
            (topic::SENT_COMMAND, &tick.sent),
        ]
        .map(|(name, command)| (name, encode_command(at, names, command)));
        for (name, message) in messages {
            self.put(name, topic::JOINT_STATE, at, at, &message)?;
        }
        if tick.filtered != Filtered::Passed {
            let event = SafetyEvent { at_ns: at.as_nanos(), step_index: tick.step_index, filtered: tick.filtered };
            self.put_json(topic::EPISODE_SAFETY, topic::SAFETY_EVENT, at, at, &event)?;
        }
        let mut rest = [0.0; 10];
        // -1 for "before the first action"; whole numbers up to 2^53 are exact.
        rest[0] = tick.step_index.map_or(-1.0, |index| index as f64);
        rest[1] = tick.image_age_seconds;
        rest[2] = tick.tick_seconds;
        rest[3..].copy_from_slice(&tick.action.to_array());
        let message =
            encode_f64_array("step_index image_age_seconds tick_seconds dx dy dz droll dpitch dyaw gripper", &rest);
        self.put(topic::CONTROL_TICK, topic::FLOAT64_ARRAY, at, at, &message)
    }

    fn write_end(&mut self, end: &EpisodeEnd) -> Result<(), RecordingError> {
        let at = self.latest;
        self.put_json(topic::EPISODE_END, topic::END_EVENT, at, at, end)?;
        self.close_chunk(false)
    }

    fn put_json<T: serde::Serialize>(
        &mut self,
        name: &str,
        schema: SchemaText,
        log_time: Timestamp,
        publish_time: Timestamp,
        value: &T,
    ) -> Result<(), RecordingError> {
        let text = serde_json::to_vec(value).map_err(|error| self.failed(std::io::Error::other(error)))?;
        self.put(name, schema, log_time, publish_time, &text)
    }

    fn put(
        &mut self,
        name: &str,
        schema: SchemaText,
        log_time: Timestamp,
        publish_time: Timestamp,
        bytes: &[u8],
    ) -> Result<(), RecordingError> {
        self.latest = self.latest.max(log_time);
        let sequence = self.steps as u32;
        let Some(output) = &mut self.output else { return Err(self.order("the file is closed")) };
        let done = match self.channels.get(name) {
            Some(&id) => Ok(id),
            None => output
                .add_schema(schema.name, schema.encoding, schema.text.as_bytes())
                .and_then(|id| output.add_channel(id, name, schema.message_encoding(), &BTreeMap::new()))
                .inspect(|&id| {
                    self.channels.insert(name.to_string(), id);
                }),
        }
        .and_then(|channel_id| {
            let header = MessageHeader {
                channel_id,
                sequence,
                log_time: log_time.as_nanos(),
                publish_time: publish_time.as_nanos(),
            };
            output.write_to_known_channel(&header, bytes)
        });
        done.map_err(|error| self.failed(io_error(error)))
    }

    /// Passes everything so far to the operating system, and to the disk if `sync`.
    fn close_chunk(&mut self, sync: bool) -> Result<(), RecordingError> {
        let Some(output) = &mut self.output else { return Err(self.order("the file is closed")) };
        super::slow::wait();
        output.flush().map_err(|error| self.failed(io_error(error)))?;
        if sync {
            self.disk.sync_data().map_err(|source| self.failed(source))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for EpisodeWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EpisodeWriter")
            .field("partial", &self.partial)
            .field("stage", &self.stage)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl StepSink for EpisodeWriter {
    fn episode_started(&mut self, start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(self.start(start)?)
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        Ok(self.record_step(step)?)
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        Ok(self.record_tick(tick)?)
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(self.end(end)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use visuomotor_core::episode::Outcome;

    fn start() -> EpisodeStart {
        EpisodeStart {
            name: "a".into(),
            task: String::new(),
            instruction: String::new(),
            robot: String::new(),
            action_source: String::new(),
            policy_rate_hz: 5.0,
            control_rate_hz: 50.0,
            joint_names: Vec::new(),
            seed: 0,
            settings: String::new(),
        }
    }

    #[test]
    fn a_full_disk_is_reported_once_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EpisodeWriter::create(folder.path(), "a", WriterOptions::default()).unwrap();
        writer.start(&start()).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        writer.output = Some(storage::output(full).unwrap());
        writer.channels.clear();
        let observation = visuomotor_core::observation::Observation {
            images: Vec::new(),
            proprioception: visuomotor_core::observation::Proprioception {
                joint_positions: visuomotor_core::observation::JointVector::zeros(0),
                joint_velocities: visuomotor_core::observation::JointVector::zeros(0),
                joint_efforts: visuomotor_core::observation::JointVector::zeros(0),
                finger_position: 0.0,
                gripper: 0.0,
                measured_at: Timestamp::ZERO,
            },
            base_from_tool: visuomotor_core::geometry::Pose::identity(),
            bridge_state: [0.0; 7],
            observed_at: Timestamp::ZERO,
        };
        let decision = visuomotor_core::action::Decision::plain(visuomotor_core::action::Action::stay(0.0));
        let step = Step { index: 0, observation: &observation, decision: &decision, decided_at: Timestamp::ZERO };
        let failure = writer.record_step(&step).unwrap_err();
        assert!(
            matches!(&failure, RecordingError::Write { steps: 0, source, .. }
                if source.kind() == std::io::ErrorKind::StorageFull),
            "{failure:?}"
        );
        writer.record_step(&step).unwrap();
        let end = EpisodeEnd { outcome: Outcome::Success { judge: String::new() }, steps: 2, seconds: 0.4 };
        assert!(matches!(writer.end(&end), Err(RecordingError::Stopped { steps: 0, .. })));
        assert!(!writer.path().exists());
    }
}

//! An episode from another format, before it is recorded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::error::{shown, source_error};
use super::task::task_name;
use super::{ExchangeError, LeftOut, Statements};
use crate::recording::{EpisodeWriter, RecordedImage, RecordingError, WriterOptions};
use crate::recording::{jpeg, png};
use visuomotor_core::action::{Action, Decision};
use visuomotor_core::episode::{EpisodeEnd, EpisodeStart, Outcome, Step};
use visuomotor_core::geometry::pose_from_bridge;
use visuomotor_core::observation::{Image, JointVector, Observation, Proprioception};
use visuomotor_core::time::Timestamp;
use visuomotor_core::untrusted::Budget;

/// JPEG quality for images of other formats; a little above a recording's, because they lost quality before.
const QUALITY: u8 = 95;

/// Most steps of an episode: 11 hours at 25 Hz.
pub(super) const MOST_STEPS: usize = 1_000_000;

/// Most memory for the images of one episode \[bytes\]: 3000 steps of four cameras with 64 kB each.
pub(super) fn picture_budget() -> Budget {
    Budget::new("the images of an episode", 768 << 20)
}

/// The expectation in an error when [`picture_budget`] is exceeded.
pub(super) const PICTURES_FIT: &str = "an episode whose images fit the memory";

/// Values of an import that the data do not contain.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Outcome of episodes whose source does not state it: demonstrations are usually kept because they succeeded.
    pub outcome: Outcome,
    /// The ffmpeg program; needed only for videos.
    pub ffmpeg: Option<PathBuf>,
    /// The cameras to import, by name, in this order; all if `None`.
    pub cameras: Option<Vec<String>>,
    /// What is stated about the numbers of states and actions.
    pub statements: Statements,
    /// End at the first episode that cannot be imported, instead of leaving it out.
    pub strict: bool,
}

/// Result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The new folder of episodes.
    pub folder: PathBuf,
    /// Number of episodes.
    pub episodes: usize,
    /// Policy steps of all episodes.
    pub steps: u64,
    /// What the source lacked and how it was filled in, and what was assumed.
    pub notes: BTreeSet<String>,
    /// Episodes that were left out.
    pub left_out: Vec<LeftOut>,
}

/// An image, compressed or not.
#[derive(Debug)]
pub(super) enum Picture {
    /// An untrusted JPEG or PNG file.
    File(Vec<u8>),
    /// A JPEG file that we encoded, with its width and height \[pixels\].
    Made(Vec<u8>, (u32, u32)),
}

impl Picture {
    /// Length of the file \[bytes\].
    pub fn len(&self) -> usize {
        match self {
            Picture::File(bytes) | Picture::Made(bytes, _) => bytes.len(),
        }
    }

    /// Compresses RGB bytes at once: an episode of raw images may not fit into memory.
    pub fn of_pixels(image: jpeg::Decoded) -> Result<Self, RecordingError> {
        let jpeg::Decoded { width, height, pixels } = image;
        let (camera, captured_at) = ("".into(), Timestamp::ZERO);
        let image = Image { camera, width, height, pixels: pixels.into(), captured_at, sequence: 0 };
        Ok(Self::Made(RecordedImage::encode(&image, QUALITY)?.jpeg, (width, height)))
    }
}

/// One policy step of an imported episode.
#[derive(Debug)]
pub(super) struct ArrivedStep {
    /// Bridge's state.
    pub state: [f64; 7],
    /// Bridge's action.
    pub action: [f64; 7],
    /// The action without the demonstrator's noise.
    pub label: [f64; 7],
    /// Joint positions \[rad\], velocities \[rad/s\], efforts \[Nm\].
    pub joints: [JointVector; 3],
    /// Time of the observation \[s\], on any clock.
    pub seconds: f64,
    /// Per camera: capture time \[s\], on the same clock, and the image.
    pub pictures: Vec<(f64, Picture)>,
}

/// An imported episode before it is recorded.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The file named in errors.
    pub path: PathBuf,
    /// Name of the format.
    pub format: &'static str,
    /// Location in the source.
    pub origin: String,
    pub start: EpisodeStart,
    /// `None` where the source does not state it.
    pub outcome: Option<Outcome>,
    /// Length \[s\]; `None` where the source does not state it.
    pub seconds: Option<f64>,
    pub cameras: Vec<Arc<str>>,
    pub steps: Vec<ArrivedStep>,
    pub started_at: Option<SystemTime>,
    /// What was filled in or assumed, in words that other episodes share.
    pub notes: BTreeSet<String>,
    /// What concerns this episode alone.
    pub remarks: Vec<String>,
}

impl Arrived {
    /// Records the episode into `folder`.
    pub fn record(mut self, folder: &Path, options: &ImportOptions) -> Result<BTreeSet<String>, ExchangeError> {
        self.check()?;
        self.notes.insert("decision and joint stamps: those of the observation".into());
        self.notes.insert("finger position: 0, no distance is known".into());
        let outcome = self.outcome.clone().unwrap_or_else(|| {
            self.notes.insert(format!("outcome: {}, as given to the import", options.outcome.word()));
            options.outcome.clone()
        });
        self.start.settings = self.settings();
        let wall_clock = self.started_at;
        let options = WriterOptions { sync_every_steps: 0, wall_clock, ..WriterOptions::default() };
        let mut writer = EpisodeWriter::create(folder, &self.start.name, options)?;
        writer.start(&self.start)?;
        // The earliest stamp becomes zero: an image is captured before its observation.
        let stamps = |step: &ArrivedStep| step.pictures.iter().map(|p| p.0).fold(step.seconds, f64::min);
        let origin = self.steps.iter().map(stamps).fold(f64::INFINITY, f64::min);
        let at = |seconds: f64| Timestamp::from_secs_f64(seconds - origin);
        for (index, step) in (0u64..).zip(&self.steps) {
            let mut images = Vec::with_capacity(step.pictures.len());
            for (camera, (seconds, picture)) in self.cameras.iter().zip(&step.pictures) {
                images.push(self.jpeg(camera, index, at(*seconds), picture)?);
            }
            let [x, y, z, roll, pitch, yaw, gripper] = step.state;
            let [joint_positions, joint_velocities, joint_efforts] = step.joints;
            let measured_at = at(step.seconds);
            let observation = Observation {
                images: Vec::new(),
                proprioception: Proprioception {
                    joint_positions,
                    joint_velocities,
                    joint_efforts,
                    finger_position: 0.0,
                    gripper,
                    measured_at,
                },
                base_from_tool: pose_from_bridge([x, y, z, roll, pitch, yaw]),
                bridge_state: step.state,
                observed_at: measured_at,
            };
            let mut decision = Decision::plain(Action::from_array(step.action));
            decision.label = Action::from_array(step.label);
            let step = Step { index, observation: &observation, decision: &decision, decided_at: measured_at };
            writer.record_step_with(&step, &images)?;
        }
        let length = || {
            let last = self.steps.last().map_or(0.0, |step| step.seconds);
            last - self.steps.first().map_or(0.0, |step| step.seconds) + 1.0 / self.start.policy_rate_hz
        };
        let seconds = self.seconds.unwrap_or_else(length);
        writer.end(&EpisodeEnd { outcome, steps: self.steps.len() as u64, seconds })?;
        Ok(self.notes)
    }

    fn check(&self) -> Result<(), ExchangeError> {
        let refuse = |key: &str, found: String, expected: &str| {
            Err(source_error(&self.path, key, found, expected, "leave the episode out, or repair the source"))
        };
        if !(1..=MOST_STEPS).contains(&self.steps.len()) {
            return refuse("steps", self.steps.len().to_string(), "1 to 1000000");
        }
        let mut before = f64::NEG_INFINITY;
        for (index, step) in self.steps.iter().enumerate() {
            for (key, numbers) in [
                ("state", &step.state[..]),
                ("action", &step.action),
                ("action", &step.label),
                ("joints", &step.joints[0]),
                ("joints", &step.joints[1]),
                ("joints", &step.joints[2]),
            ] {
                if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                    return refuse(key, format!("{number} at step {index}"), "finite numbers");
                }
            }
            let stamps = step.pictures.iter().map(|picture| picture.0).chain([step.seconds]);
            // f64 keeps microseconds on any clock.
            if let Some(stamp) = stamps.into_iter().find(|stamp| !(stamp.abs() < 4e9)) {
                return refuse("time", format!("{stamp} s at step {index}"), "times within a century");
            }
            if step.seconds < before {
                return refuse(
                    "time",
                    format!("{} s after {before} s, at step {index}", step.seconds),
                    "growing times",
                );
            }
            if step.pictures.len() != self.cameras.len() {
                let found = format!("{} images at step {index}", step.pictures.len());
                return refuse("pictures", found, "one per camera");
            }
            before = step.seconds;
        }
        Ok(())
    }

    /// The run's resolved settings, if the source has them, and the notes of the import.
    fn settings(&self) -> String {
        let mut settings: toml::Table = toml::from_str(&self.start.settings).unwrap_or_default();
        let mut import = toml::Table::new();
        import.insert("format".into(), self.format.into());
        import.insert("origin".into(), shown(&self.origin).into());
        import.insert("filled_in".into(), self.notes.iter().chain(&self.remarks).cloned().collect::<Vec<_>>().into());
        settings.insert("import".into(), import.into());
        // A table of strings and of already parsed values cannot fail.
        toml::to_string(&settings).unwrap_or_default()
    }

    fn jpeg(
        &self,
        camera: &Arc<str>,
        sequence: u64,
        captured_at: Timestamp,
        picture: &Picture,
    ) -> Result<RecordedImage, ExchangeError> {
        let unfit = |found: String| {
            let key = format!("image {sequence} of `{camera}`");
            source_error(&self.path, key, found, "a JPEG or PNG file", "restore the image, or leave the episode out")
        };
        let recorded = |jpeg: Vec<u8>, camera_size| RecordedImage {
            camera: camera.clone(),
            captured_at,
            sequence,
            camera_size,
            jpeg,
        };
        match picture {
            Picture::Made(jpeg, size) => Ok(recorded(jpeg.clone(), *size)),
            Picture::File(bytes) if bytes.starts_with(b"\x89PNG") => {
                let made = png::decode(bytes).map_err(unfit)?;
                let made = Picture::of_pixels(made).map_err(|error| unfit(error.to_string()))?;
                self.jpeg(camera, sequence, captured_at, &made)
            }
            Picture::File(bytes) => {
                // A recording must contain only images that can be decoded.
                let jpeg::Decoded { width, height, .. } = jpeg::decode(bytes, false).map_err(unfit)?;
                Ok(recorded(bytes.clone(), (width, height)))
            }
        }
    }
}

/// The start of an imported episode, with the fields that every format lacks.
pub(super) fn plain_start(index: usize, robot: String, instruction: String, rate: f64) -> EpisodeStart {
    EpisodeStart {
        name: format!("episode-{index:06}"),
        task: task_name(&instruction),
        instruction,
        robot,
        action_source: "unknown".into(),
        policy_rate_hz: rate,
        control_rate_hz: 0.0,
        joint_names: Vec::new(),
        seed: 0,
        settings: String::new(),
    }
}

/// The fields that [`plain_start`] filled in.
pub(super) const PLAIN_START: [&str; 2] =
    ["task: made of the instruction", "action source `unknown`, control rate 0, seed 0: the source does not say"];

/// Nanoseconds since 1970 as a wall-clock time.
pub(super) fn wall_clock(unix_nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nanos)
}

/// The start and end of an episode of ours, stored as JSON beside another format's data. The name must be usable as a file
/// name, and each must be unique.
pub(super) fn own_start(path: &Path, text: &str, names: &mut BTreeSet<String>) -> Result<EpisodeStart, ExchangeError> {
    let unfit =
        |found: String, expected: &str| source_error(path, "episode_start", found, expected, super::error::DAMAGED);
    let start: EpisodeStart =
        serde_json::from_str(text).map_err(|error| unfit(error.to_string(), "what an export of ours writes"))?;
    let plain = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    let name = &start.name;
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(unfit(format!("name {name:?}"), "a name of 1 to 200 letters, digits, `_`, `-`, `.`"));
    }
    if !names.insert(name.clone()) {
        return Err(unfit(format!("name {name:?} twice"), "a name of its own per episode"));
    }
    if !(start.policy_rate_hz.is_finite() && start.policy_rate_hz > 0.0) {
        return Err(unfit(format!("policy_rate_hz {}", start.policy_rate_hz), "a rate above zero"));
    }
    Ok(start)
}

/// See [`own_start`].
pub(super) fn own_end(path: &Path, text: &str) -> Result<Option<EpisodeEnd>, ExchangeError> {
    serde_json::from_str(text).map_err(|error| {
        source_error(path, "episode_end", error, "what an export of ours writes", super::error::DAMAGED)
    })
}

//! Recordings of a folder: a list, an episode without its images, one image.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::action::Decider;
use crate::episode::Outcome;
use crate::recording::{ReadOptions, RecordedEpisode, RecordingError, list_episodes, list_partial, read_episode_with};

/// Episodes per response.
const PAGE: usize = 20;
/// Episodes kept in memory with their images.
const KEPT: usize = 2;
/// Largest recording that can be played \[bytes\]; a minute of two cameras at 5 Hz has about 60 MB.
const LARGEST: u64 = 256 << 20;

/// Reason why a recording is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaybackError {
    #[error("no folder of recordings was named when the program was started")]
    NoFolder,
    #[error("there is no such episode in the folder")]
    NoEpisode,
    #[error("the episode has no such image")]
    NoPicture,
    #[error("the recording has {bytes} bytes; the page plays up to {LARGEST}")]
    TooLarge { bytes: u64 },
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// Version of a file: length and time of change.
type Stamp = (u64, Option<SystemTime>);

/// Recordings of a folder.
pub(super) struct Playback {
    folder: PathBuf,
    rows: Mutex<HashMap<PathBuf, (Stamp, Row)>>,
    episodes: Mutex<VecDeque<(PathBuf, Stamp, Arc<RecordedEpisode>)>>,
}

/// One line of the list. It does not name the policy: comparisons are blind.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    name: String,
    bytes: u64,
    /// When it was written \[s since 1970\].
    written: Option<f64>,
    /// Cut off, or still being written.
    partial: bool,
    task: String,
    instruction: String,
    steps: usize,
    outcome: Option<Outcome>,
    seconds: Option<f64>,
    /// Its defect, as text.
    trouble: Option<String>,
}

/// Part of the list, newest first.
#[derive(Debug, Serialize)]
pub(super) struct List {
    total: usize,
    from: usize,
    episodes: Vec<Row>,
}

/// An episode without its images.
#[derive(Debug, Serialize)]
pub(super) struct Played {
    name: String,
    task: String,
    instruction: String,
    robot: String,
    policy_rate_hz: f64,
    cameras: Vec<String>,
    steps: Vec<PlayedStep>,
    outcome: Option<Outcome>,
    lost: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlayedStep {
    /// Time since the first step \[s\].
    seconds: f64,
    action: [f64; 7],
    gripper: f64,
    /// Set in a run with handovers.
    decided_by: Option<Decider>,
}

impl Playback {
    /// Recordings of this folder; nothing is read yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, rows: Mutex::default(), episodes: Mutex::default() }
    }

    /// The folder's recordings with their stamps, newest first.
    fn files(&self) -> Result<Vec<(PathBuf, Stamp)>, RecordingError> {
        let mut paths = list_episodes(&self.folder)?;
        paths.extend(list_partial(&self.folder)?);
        // A file that has disappeared meanwhile (a partial one was completed) is left out.
        let stamped = |path: PathBuf| stamp(&path).map(|stamp| (path, stamp));
        let mut files: Vec<_> = paths.into_iter().filter_map(stamped).collect();
        files.sort_by(|(a, (_, a_at)), (b, (_, b_at))| b_at.cmp(a_at).then_with(|| b.cmp(a)));
        Ok(files)
    }

    /// The part of the list that begins at `from`.
    pub fn list(&self, from: usize) -> Result<List, PlaybackError> {
        let files = self.files()?;
        let total = files.len();
        let shown: Vec<_> = files.into_iter().skip(from).take(PAGE).collect();
        Ok(List { total, from, episodes: shown.into_iter().map(|(path, stamp)| self.row(path, stamp)).collect() })
    }

    fn row(&self, path: PathBuf, stamp: Stamp) -> Row {
        let kept = self.rows.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        if let Some((_, row)) = kept.filter(|(old, _)| *old == stamp) {
            return row;
        }
        let row = summary(&path, stamp);
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(path, (stamp, row.clone()));
        row
    }

    /// The recording of this name: names are looked up in the folder's list, so that none can lead out of it.
    fn recorded(&self, name: &str) -> Result<Arc<RecordedEpisode>, PlaybackError> {
        let files = self.files()?;
        let (path, stamp) =
            files.into_iter().find(|(path, _)| file_name(path) == name).ok_or(PlaybackError::NoEpisode)?;
        // Locked while reading: twenty simultaneous image requests must not read the file twenty times.
        let mut episodes = self.episodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = episodes.iter().position(|(kept, old, _)| *kept == path && *old == stamp) {
            let kept = episodes.remove(at).ok_or(PlaybackError::NoEpisode)?;
            let episode = kept.2.clone();
            episodes.push_back(kept);
            return Ok(episode);
        }
        if stamp.0 > LARGEST {
            return Err(PlaybackError::TooLarge { bytes: stamp.0 });
        }
        let episode = Arc::new(read_episode_with(&path, ReadOptions::default())?);
        episodes.retain(|(kept, ..)| *kept != path);
        while episodes.len() >= KEPT {
            episodes.pop_front();
        }
        episodes.push_back((path, stamp, episode.clone()));
        Ok(episode)
    }

    /// An episode without its images.
    pub fn episode(&self, name: &str) -> Result<Played, PlaybackError> {
        let episode = self.recorded(name)?;
        let began = episode.steps.first().map(|step| step.observed_at).unwrap_or_default();
        Ok(Played {
            name: name.into(),
            task: episode.start.task.clone(),
            instruction: episode.start.instruction.clone(),
            robot: episode.start.robot.clone(),
            policy_rate_hz: episode.start.policy_rate_hz,
            cameras: episode
                .steps
                .first()
                .map_or_else(Vec::new, |step| step.images.iter().map(|image| image.camera.to_string()).collect()),
            steps: episode
                .steps
                .iter()
                .map(|step| PlayedStep {
                    seconds: step.observed_at.since(began).as_secs_f64(),
                    action: step.action.to_array(),
                    gripper: step.proprioception.gripper,
                    decided_by: step.decided_by,
                })
                .collect(),
            outcome: episode.end.as_ref().map(|end| end.outcome.clone()),
            lost: episode.lost.clone(),
        })
    }

    /// The JPEG of a camera and step, both counted from 0.
    pub fn picture(&self, name: &str, camera: usize, step: usize) -> Result<Vec<u8>, PlaybackError> {
        let episode = self.recorded(name)?;
        let image = episode.steps.get(step).and_then(|step| step.images.get(camera));
        image.map(|image| image.jpeg.clone()).ok_or(PlaybackError::NoPicture)
    }
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok().filter(|about| about.is_file())?;
    Some((about.len(), about.modified().ok()))
}

fn summary(path: &Path, (bytes, modified): Stamp) -> Row {
    let name = file_name(path).into_owned();
    let mut row = Row {
        partial: !name.ends_with(".mcap"),
        name,
        bytes,
        written: modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs_f64()),
        task: String::new(),
        instruction: String::new(),
        steps: 0,
        outcome: None,
        seconds: None,
        trouble: None,
    };
    if bytes > LARGEST {
        row.trouble = Some(PlaybackError::TooLarge { bytes }.to_string());
        return row;
    }
    match read_episode_with(path, ReadOptions { images: false, control_ticks: false }) {
        Ok(episode) => {
            row.task = episode.start.task;
            row.instruction = episode.start.instruction;
            row.steps = episode.steps.len();
            row.seconds = episode.end.as_ref().map(|end| end.seconds);
            row.outcome = episode.end.map(|end| end.outcome);
            row.trouble = episode.lost;
        }
        Err(error) => row.trouble = Some(error.to_string()),
    }
    row
}

//! Imports a LeRobot data set as our episodes. Start at [`import_lerobot`].

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::cameras::{Source, cameras, order_by_columns, path_inside};
use super::info::{Info, check_seven, read_info};
use super::places::{Place, places};
use super::reading::{Batch, Rows};
use super::*;
use crate::exchange::arrived::{
    Arrived, ArrivedStep, PICTURES_FIT, PLAIN_START, Picture, own_end, own_start, picture_budget, plain_start,
};
use crate::exchange::error::{DAMAGED, TOO_LARGE, read_error, source_error};
use crate::exchange::ffmpeg::{VideoReader, find_ffmpeg};
use crate::exchange::staging::Staging;
use crate::exchange::{ExchangeError, ImportOptions, Imported};
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::untrusted;

/// Reads a LeRobot data set into recordings in the new folder `out`; `progress` gets the number of finished episodes and the
/// total.
pub fn import_lerobot(
    source: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ExchangeError> {
    let mut set = DataSet::open(source, options)?;
    let staging = Staging::folder(out)?;
    let (mut steps, mut notes, mut names) = (0, BTreeSet::new(), BTreeSet::new());
    let places = std::mem::take(&mut set.episodes);
    for (index, place) in places.iter().enumerate() {
        let arrived = set.episode(index, place, &mut names)?;
        steps += arrived.steps.len() as u64;
        notes.extend(arrived.record(staging.path(), options)?);
        progress(index + 1, places.len());
    }
    set.finish()?;
    Ok(Imported { folder: staging.finish()?, episodes: places.len(), steps, notes })
}

/// One row of the data.
struct Row {
    episode: u64,
    state: Vec<f64>,
    action: Vec<f64>,
    label: Option<Vec<f64>>,
    joints: Option<Vec<f64>>,
    measured: Option<f64>,
    timestamp: f64,
    captured: Vec<Option<f64>>,
    files: VecDeque<Vec<u8>>,
}

struct DataSet {
    root: PathBuf,
    info_path: PathBuf,
    info: Info,
    cameras: Vec<Source>,
    joints: Vec<String>,
    ffmpeg: Option<PathBuf>,
    episodes: Vec<Place>,
    /// The open data file, its rows that are not used yet.
    data: Option<((u64, u64), Rows, VecDeque<Row>)>,
    /// Per camera the open video.
    videos: Vec<Option<((u64, u64), VideoReader)>>,
    notes: BTreeSet<String>,
}

impl DataSet {
    fn open(root: &Path, options: &ImportOptions) -> Result<Self, ExchangeError> {
        let info_path = root.join("meta/info.json");
        let info = read_info(root, &info_path)?;
        let refuse = |key: &str, found: String, expected: &str| source_error(&info_path, key, found, expected, CONVERT);
        let feature = |key: &str| {
            info.features.get(key).ok_or_else(|| refuse("features", format!("no `{key}`"), "a feature of this name"))
        };
        let mut notes = BTreeSet::new();
        for key in [STATE, ACTION] {
            check_seven(&info_path, key, feature(key)?, &mut notes)?;
        }
        let joints = match info.features.get(JOINT_POSITIONS) {
            Some(of) => of.flat_names().unwrap_or_default(),
            None => Vec::new(),
        };
        if joints.len() > MAX_JOINTS {
            return Err(refuse(JOINT_POSITIONS, format!("{} joints", joints.len()), "at most 8"));
        }
        if joints.is_empty() {
            notes.insert("joint positions: none, the source has none".into());
        }
        let cameras = cameras(&info_path, &info)?;
        if cameras.is_empty() {
            notes.insert("images: none, the source has none".into());
        }
        let has_video = cameras.iter().any(|camera| camera.is_video);
        let ffmpeg = has_video.then(|| find_ffmpeg(options.ffmpeg.as_deref())).transpose()?;
        let mut set = Self {
            root: root.to_path_buf(),
            info_path: info_path.clone(),
            videos: cameras.iter().map(|_| None).collect(),
            info,
            cameras,
            joints,
            ffmpeg,
            episodes: Vec::new(),
            data: None,
            notes,
        };
        set.order_cameras()?;
        let videos = set.cameras.iter().filter(|camera| camera.is_video);
        let videos: Vec<String> = videos.map(|camera| camera.key.clone()).collect();
        set.episodes = places(&set.root, &videos)?;
        Ok(set)
    }

    /// See [`order_by_columns`].
    fn order_cameras(&mut self) -> Result<(), ExchangeError> {
        let path = self.path(&self.info.data_path, "", (0, 0))?;
        order_by_columns(&mut self.cameras, &self.root, &path);
        Ok(())
    }

    fn path(&self, template: &str, key: &str, at: (u64, u64)) -> Result<PathBuf, ExchangeError> {
        path_inside(&self.root, &self.info_path, template, key, at)
    }

    fn episode(&mut self, index: usize, place: &Place, names: &mut BTreeSet<String>) -> Result<Arrived, ExchangeError> {
        let path = self.path(&self.info.data_path, "", place.data)?;
        let rows = self.rows(&path, place)?;
        let mut notes = self.notes.clone();
        let mut start = match &place.start {
            Some(text) => own_start(&path, text, names)?,
            None => {
                notes.extend(PLAIN_START.map(String::from));
                let robot = self.info.robot_type.clone().unwrap_or_else(|| "unknown".into());
                plain_start(index, robot, place.task.clone(), self.info.fps)
            }
        };
        start.joint_names = self.joints.clone();
        let end = place.end.as_deref().map(|text| own_end(&path, text)).transpose()?.flatten();
        if rows.iter().any(|row| row.measured.is_none()) {
            notes.insert("observation times: the source's timestamps, which are frame_index / fps".into());
        }
        if rows.iter().any(|row| row.captured.iter().any(Option::is_none)) {
            notes.insert("capture times: those of the observations, the source has none".into());
        }
        if !self.joints.is_empty() {
            notes.insert("joint velocities and efforts: 0, the source has none".into());
        }
        let mut videos = self.pictures(place)?;
        let mut steps = Vec::with_capacity(rows.len());
        for mut row in rows {
            let seven = |numbers: &[f64]| std::array::from_fn(|i| numbers.get(i).copied().unwrap_or(f64::NAN));
            let seconds = row.measured.unwrap_or(row.timestamp);
            let mut pictures = Vec::with_capacity(self.cameras.len());
            for (camera, captured) in self.cameras.iter().zip(&row.captured) {
                // `rows` and `pictures` returned one per step and camera.
                let picture = match camera.is_video {
                    true => videos.pop_front(),
                    false => row.files.pop_front().map(Picture::File),
                };
                pictures.extend(picture.map(|picture| (captured.unwrap_or(seconds), picture)));
            }
            let zeros = JointVector::zeros(self.joints.len());
            steps.push(ArrivedStep {
                state: seven(&row.state),
                action: seven(&row.action),
                label: seven(row.label.as_ref().unwrap_or(&row.action)),
                joints: [row.joints.map_or(zeros, |joints| JointVector::from_slice(&joints)), zeros, zeros],
                seconds,
                pictures,
            });
        }
        Ok(Arrived {
            path,
            format: "LeRobot v3.0",
            origin: format!("episode {}", place.index),
            start,
            seconds: end.as_ref().map(|end| end.seconds),
            outcome: end.map(|end| end.outcome),
            cameras: self.cameras.iter().map(|camera| camera.name.clone()).collect(),
            steps,
            started_at: None,
            notes,
        })
    }

    /// The rows of an episode, which must be the next ones of its file.
    fn rows(&mut self, path: &Path, place: &Place) -> Result<Vec<Row>, ExchangeError> {
        if self.data.as_ref().is_none_or(|(open, ..)| *open != place.data) {
            self.finish()?;
            let mut wished: Vec<String> = self.cameras.iter().map(|c| format!("{CAPTURE_TIME}{}", c.name)).collect();
            wished.extend([JOINT_POSITIONS, MEASURED_TIME, NOISE_FREE_ACTION].map(String::from));
            let mut needed = vec![STATE, ACTION, "timestamp", "episode_index"];
            needed.extend(self.cameras.iter().filter(|camera| !camera.is_video).map(|camera| camera.key.as_str()));
            let wished: Vec<&str> = wished.iter().map(String::as_str).collect();
            let rows = Rows::open(&self.root, path, &needed, &wished)?;
            self.data = Some((place.data, rows, VecDeque::new()));
        }
        let (cameras, joints) = (&self.cameras, self.joints.len());
        let Some((_, file, waiting)) = &mut self.data else { return Ok(Vec::new()) };
        let mut budget = picture_budget();
        let mut rows = Vec::new();
        while (rows.len() as u64) < place.length {
            if waiting.is_empty() {
                match file.next()? {
                    Some(batch) => waiting.extend(taken(&batch, cameras, joints)?),
                    None => {
                        let found = format!("{} of {} rows of episode {}", rows.len(), place.length, place.index);
                        return Err(source_error(path, "episode_index", found, "as many as its length says", DAMAGED));
                    }
                }
            }
            match waiting.pop_front() {
                Some(row) if row.episode == place.index => {
                    // One image may occur in every row and take space in the file only once.
                    let bytes = row.files.iter().map(Vec::len).sum::<usize>() + size_of::<Row>();
                    budget.take(bytes as u64).map_err(|error| {
                        let found = format!("{error} by row {} of {}", rows.len(), place.length);
                        source_error(path, format!("episode {}", place.index), found, PICTURES_FIT, TOO_LARGE)
                    })?;
                    rows.push(row);
                }
                Some(row) => {
                    let found = format!("{} after {} rows of episode {}", row.episode, rows.len(), place.index);
                    let expected = format!("{} rows in one stretch, as meta/episodes says", place.length);
                    return Err(source_error(path, "episode_index", found, expected, DAMAGED));
                }
                None => {}
            }
        }
        Ok(rows)
    }

    /// Checks that the open data file has no more rows.
    fn finish(&mut self) -> Result<(), ExchangeError> {
        let Some((of, mut file, waiting)) = self.data.take() else { return Ok(()) };
        if waiting.is_empty() && file.next()?.is_none() {
            return Ok(());
        }
        let path = self.path(&self.info.data_path, "", of)?;
        let found = format!("rows beyond the last episode, of {} rows", file.announced);
        Err(source_error(&path, "episode_index", found, "rows of episodes that meta/episodes names", DAMAGED))
    }

    /// The images of an episode from its videos: step by step, in each the video cameras in order.
    fn pictures(&mut self, place: &Place) -> Result<VecDeque<Picture>, ExchangeError> {
        let Some(ffmpeg) = self.ffmpeg.clone() else { return Ok(VecDeque::new()) };
        let cameras: Vec<usize> = (0..self.cameras.len()).filter(|index| self.cameras[*index].is_video).collect();
        let mut per_camera = Vec::new();
        for (camera, (of, from)) in cameras.into_iter().zip(&place.videos) {
            let source = &self.cameras[camera];
            let template = self.info.video_path.as_deref().unwrap_or_default();
            let path = self.path(template, &source.key, *of)?;
            let refuse = |found: String, expected: String| source_error(&path, "video", found, expected, DAMAGED);
            let first = (from * self.info.fps).round();
            if !(0.0..1e9).contains(&first) {
                return Err(refuse(format!("from_timestamp {from}"), "seconds within the video".into()));
            }
            untrusted::open_inside(&self.root, &path).map_err(read_error(&path))?;
            let open = &mut self.videos[camera];
            let reader = match open {
                Some((path, reader)) if path == of && reader.next <= first as u64 => reader,
                other => &mut other.insert((*of, VideoReader::open(&ffmpeg, &path)?)).1,
            };
            let mut budget = picture_budget();
            let mut pictures = VecDeque::new();
            while (pictures.len() as u64) < place.length {
                let at = reader.next;
                let Some(image) = reader.read()? else {
                    let expected = format!("{} from {first} on, for episode {}", place.length, place.index);
                    return Err(refuse(format!("{at} images"), expected));
                };
                if (u64::from(image.width), u64::from(image.height)) != source.size {
                    let (w, h) = source.size;
                    let found = format!("{}x{}", image.width, image.height);
                    return Err(refuse(found, format!("{w}x{h}, as info.json says")));
                }
                if at >= first as u64 {
                    let picture = Picture::of_pixels(image)?;
                    budget.take(picture.len() as u64).map_err(|error| {
                        source_error(&path, format!("episode {}", place.index), error, PICTURES_FIT, TOO_LARGE)
                    })?;
                    pictures.push_back(picture);
                }
            }
            per_camera.push(pictures);
        }
        let mut all = VecDeque::new();
        for _ in 0..place.length {
            all.extend(per_camera.iter_mut().filter_map(VecDeque::pop_front));
        }
        Ok(all)
    }
}

fn taken(batch: &Batch, cameras: &[Source], joints: usize) -> Result<Vec<Row>, ExchangeError> {
    let vectors = |key, width| batch.vectors(key, width).map(Vec::into_iter);
    let optional = |key, width| batch.has(key).then(|| batch.vectors(key, width)).transpose();
    let numbers = |key: &str| batch.has(key).then(|| batch.numbers(key)).transpose();
    let (mut states, mut actions) = (vectors(STATE, 7)?, vectors(ACTION, 7)?);
    let labels = optional(NOISE_FREE_ACTION, 7)?;
    let positions = if joints > 0 { optional(JOINT_POSITIONS, joints)? } else { None };
    let (measured, stamps) = (numbers(MEASURED_TIME)?, batch.numbers("timestamp")?);
    let episodes = batch.counts("episode_index")?;
    let mut captured = Vec::new();
    let mut files = Vec::new();
    for camera in cameras {
        captured.push(numbers(&format!("{CAPTURE_TIME}{}", camera.name))?);
        if !camera.is_video {
            files.push(batch.files(&camera.key)?.into_iter());
        }
    }
    let rows = (0..batch.len()).map(|row| Row {
        episode: episodes[row],
        state: states.next().unwrap_or_default(),
        action: actions.next().unwrap_or_default(),
        label: labels.as_ref().map(|rows| rows[row].clone()),
        joints: positions.as_ref().map(|rows| rows[row].clone()),
        measured: measured.as_ref().map(|rows| rows[row]),
        timestamp: stamps[row],
        captured: captured.iter().map(|rows| rows.as_ref().map(|rows| rows[row])).collect(),
        files: files.iter_mut().filter_map(Iterator::next).collect(),
    });
    Ok(rows.collect())
}

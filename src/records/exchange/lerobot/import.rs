//! Imports a LeRobot data set as our episodes. Start at [`import_lerobot`].

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use super::cameras::{Source, cameras, order_by_columns, path_inside};
use super::data::{DataFile, Row};
use super::info::{Feature, Info, read_info};
use super::places::{Place, places};
use super::video::{Paired, TimedVideo};
use super::*;
use crate::exchange::arrived::{
    Arrived, ArrivedStep, PICTURES_FIT, PLAIN_START, Picture, own_end, own_start, picture_budget, plain_start,
};
use crate::exchange::batch::Batch;
use crate::exchange::error::{DAMAGED, TOO_LARGE, read_error, source_error};
use crate::exchange::ffmpeg::find_ffmpeg;
use crate::exchange::meaning::{Bounds, Converted, Meaning, MotionCheck, Numbers};
use crate::exchange::{ExchangeError, ImportOptions, Imported};
use crate::staging::Staging;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::untrusted;

/// Reads a LeRobot data set into recordings in the new folder `out`; `progress` gets the number of finished episodes and the
/// total. Episodes that cannot be imported are left out and listed, unless `options` are strict.
pub fn import_lerobot(
    source: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ExchangeError> {
    let mut set = DataSet::open(source, options)?;
    let mut batch = Batch::new(Staging::folder(out)?, options);
    let places = std::mem::take(&mut set.episodes);
    let mut names = BTreeSet::new();
    for (index, place) in places.iter().enumerate() {
        let arrived = set.episode(index, place, &mut names);
        batch.take(format!("episode {}", place.index), arrived)?;
        progress(index + 1, places.len());
    }
    if batch.left_out.is_empty() {
        set.finish()?;
    }
    set.judge(&mut batch)?;
    batch.finish(source)
}

struct DataSet {
    root: PathBuf,
    info_path: PathBuf,
    info: Info,
    meaning: Meaning,
    widths: [usize; 2],
    cameras: Vec<Source>,
    joints: Vec<String>,
    ffmpeg: Option<PathBuf>,
    episodes: Vec<Place>,
    data: Option<DataFile>,
    /// Per camera the open video.
    videos: Vec<Option<((u64, u64), TimedVideo)>>,
    notes: BTreeSet<String>,
    /// Over all episodes; `None` for data of our own, and where it is not wanted.
    motion: Option<MotionCheck>,
    bounds: Bounds,
    /// Episodes with numbers that cannot be, and the first of them.
    impossible: (usize, Option<String>),
    /// Episodes that name several tasks.
    several_tasks: usize,
    /// Largest distance of an image from its row \[s\].
    largest_offset: f64,
}

/// Impossible numbers in at most one of this many episodes are glitches; in more, they show another convention.
const GLITCHES: usize = 50;

impl DataSet {
    fn open(root: &Path, options: &ImportOptions) -> Result<Self, ExchangeError> {
        let info_path = root.join("meta/info.json");
        let info = read_info(root, &info_path)?;
        let refuse = |key: &str, found: String, expected: &str| source_error(&info_path, key, found, expected, CONVERT);
        let feature = |key: &str| {
            info.features.get(key).ok_or_else(|| refuse("features", format!("no `{key}`"), "a feature of this name"))
        };
        let mut notes = BTreeSet::new();
        let [state, action] =
            [numbers_of(&info_path, STATE, feature(STATE)?)?, numbers_of(&info_path, ACTION, feature(ACTION)?)?];
        let widths = [state.width, action.width];
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
        let mut cameras = cameras(&info_path, &info, options.cameras.as_deref(), &mut notes)?;
        if cameras.is_empty() {
            notes.insert("images: none, the source has none".into());
        }
        let has_video = cameras.iter().any(|camera| camera.is_video);
        let ffmpeg = has_video.then(|| find_ffmpeg(options.ffmpeg.as_deref())).transpose()?;
        // JSON has no order; the columns of the first data file have one.
        order_by_columns(&mut cameras, root, &path_inside(root, &info_path, &info.data_path, "", (0, 0))?);
        if let Some(wanted) = &options.cameras {
            cameras.sort_by_key(|camera| wanted.iter().position(|name| camera.is_called(name)));
        }
        let videos = cameras.iter().filter(|camera| camera.is_video);
        let videos: Vec<String> = videos.map(|camera| camera.key.clone()).collect();
        let episodes = places(root, &info, &videos)?;
        let is_own = episodes.iter().all(|place| place.start.is_some());
        let meaning = match is_own {
            true => Meaning::bridge(),
            false => {
                let robot = info.robot_type.as_deref();
                Meaning::of(&info_path, robot, &state, &action, &options.statements, &mut notes)?
            }
        };
        let unchecked = is_own || options.statements.without_motion_check;
        if unchecked && !is_own {
            notes.insert("actions: not compared with the motion of the states, as stated".into());
        }
        Ok(Self {
            root: root.to_path_buf(),
            videos: cameras.iter().map(|_| None).collect(),
            motion: (!unchecked).then(|| MotionCheck::new(info.fps)),
            info_path: info_path.clone(),
            info,
            meaning,
            widths,
            cameras,
            joints,
            ffmpeg,
            episodes,
            data: None,
            notes,
            bounds: Bounds::default(),
            impossible: (0, None),
            several_tasks: 0,
            largest_offset: 0.0,
        })
    }

    fn path(&self, template: &str, key: &str, at: (u64, u64)) -> Result<PathBuf, ExchangeError> {
        path_inside(&self.root, &self.info_path, template, key, at)
    }

    fn episode(&mut self, index: usize, place: &Place, names: &mut BTreeSet<String>) -> Result<Arrived, ExchangeError> {
        let path = self.path(&self.info.data_path, "", place.data)?;
        let read = self.rows(&path, place);
        if read.is_err() {
            // The next episode opens its file again, where it begins.
            self.data = None;
        }
        let rows = read?;
        let (mut notes, mut remarks) = (self.notes.clone(), Vec::new());
        let mut start = match &place.start {
            Some(text) => own_start(&path, text, names)?,
            None => {
                notes.extend(PLAIN_START.map(String::from));
                let robot = self.info.robot_type.clone().unwrap_or_else(|| "unknown".into());
                plain_start(index, robot, place.task().to_string(), self.info.fps)
            }
        };
        start.joint_names = self.joints.clone();
        let end = place.end.as_deref().map(|text| own_end(&path, text)).transpose()?.flatten();
        if place.start.is_none() && place.task().trim().is_empty() {
            notes.insert("instruction: none in some episodes, the source left their task blank".into());
        }
        if place.tasks.len() > 1 {
            self.several_tasks += 1;
            remarks.push(format!(
                "tasks: the first of {}; left out: {}",
                place.tasks.len(),
                place.tasks[1..].join("; ")
            ));
        }
        if rows.iter().any(|row| row.measured.is_none()) {
            notes.insert("observation times: the source's timestamps, which are frame_index / fps".into());
        }
        if rows.iter().any(|row| row.captured.iter().any(Option::is_none)) {
            notes.insert("capture times: those of the observations, the source has none".into());
        }
        if !self.joints.is_empty() {
            notes.insert("joint velocities and efforts: 0, the source has none".into());
        }
        let converted = self.convert(&path, place, &rows)?;
        let stamps: Vec<f64> = rows.iter().map(|row| row.timestamp).collect();
        let read = self.pictures(place, &stamps);
        if read.is_err() {
            self.videos.iter_mut().for_each(|video| *video = None);
        }
        let mut videos = read?;
        let mut steps = Vec::with_capacity(rows.len());
        for (mut row, Converted { state, action }) in rows.into_iter().zip(converted) {
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
            // A column of this name in data of others may hold anything.
            let label = row.label.filter(|_| place.start.is_some());
            let label =
                label.map_or(action, |label| std::array::from_fn(|i| label.get(i).copied().unwrap_or(f64::NAN)));
            steps.push(ArrivedStep {
                state,
                action,
                label,
                joints: [row.joints.map_or(zeros, |joints| JointVector::from_slice(&joints)), zeros, zeros],
                seconds,
                pictures,
            });
        }
        Ok(Arrived {
            path,
            format: if self.info.is_version_2() { "LeRobot v2" } else { "LeRobot v3.0" },
            origin: format!("episode {}", place.index),
            start,
            seconds: end.as_ref().map(|end| end.seconds),
            outcome: end.map(|end| end.outcome),
            cameras: self.cameras.iter().map(|camera| camera.name.clone()).collect(),
            steps,
            started_at: None,
            notes,
            remarks,
        })
    }

    /// Bridge's states and actions; refuses what no arm does.
    fn convert(&mut self, path: &Path, place: &Place, rows: &[Row]) -> Result<Vec<Converted>, ExchangeError> {
        let fix = "state what the numbers are (visuomotor recordings import --help), or repair the source";
        let refuse = |found: String, expected: &str| {
            source_error(path, format!("episode {}", place.index), found, expected, fix)
        };
        let mut converted = Vec::with_capacity(rows.len());
        let mut bounds = Bounds::default();
        for (step, row) in rows.iter().enumerate() {
            let Some(converted_step) = self.meaning.convert(&row.state, &row.action) else {
                return Err(refuse(format!("numbers that are no rotation at step {step}"), "a rotation"));
            };
            if place.start.is_none()
                && let Err(found) = bounds.check(&converted_step)
            {
                self.impossible.0 += 1;
                self.impossible.1.get_or_insert_with(|| format!("{found}, at step {step} of episode {}", place.index));
                return Err(refuse(format!("{found}, at step {step}"), "what an arm can do"));
            }
            converted.push(converted_step);
        }
        let is_finite = |step: &Converted| step.state.iter().chain(&step.action).all(|number| number.is_finite());
        if let Some(motion) = &mut self.motion
            && converted.iter().all(is_finite)
        {
            motion.add(&converted);
            self.bounds.add(&bounds);
        }
        Ok(converted)
    }

    /// After the last episode: are the numbers what they were taken for?
    fn judge(&self, batch: &mut Batch<'_>) -> Result<(), ExchangeError> {
        let fix =
            "the numbers mean something else than was taken: state what they are (visuomotor recordings import --help)";
        let refuse = |key: &str, found: String| {
            Err(source_error(&self.info_path, key, found, "states and actions that fit each other and an arm", fix))
        };
        if let (count, Some(first)) = &self.impossible
            && count * GLITCHES > batch.left_out.len() + batch.episodes
        {
            return refuse("features", format!("impossible numbers in {count} episodes: {first}"));
        }
        if let Some(motion) = &self.motion {
            match motion.judge(self.meaning.gripper_is_stated()) {
                Ok(note) => batch.notes.insert(note),
                Err(found) => return refuse(ACTION, found),
            };
            batch.notes.extend(self.bounds.notes());
        }
        if self.several_tasks > 0 {
            batch
                .notes
                .insert(format!("tasks: {} episodes name several, of which the first is kept", self.several_tasks));
        }
        if self.videos.iter().any(Option::is_some) {
            let most = 1000.0 * self.largest_offset;
            batch.notes.insert(format!("images: by their time stamps, at most {most:.1} ms from their rows'"));
        }
        Ok(())
    }

    /// The rows of an episode.
    fn rows(&mut self, path: &Path, place: &Place) -> Result<Vec<Row>, ExchangeError> {
        if self.data.as_ref().is_none_or(|open| !open.continues_with(place)) {
            if self.data.as_ref().is_some_and(|open| open.place != place.data && place.first_row == 0) {
                self.finish()?;
            }
            self.data = Some(DataFile::open(&self.root, path, place, &self.cameras)?);
        }
        let (joints, widths) = (self.joints.len(), self.widths);
        match &mut self.data {
            Some(file) => file.take(path, place, &self.cameras, joints, widths),
            None => Ok(Vec::new()),
        }
    }

    /// Checks that the open data file has no more rows.
    fn finish(&mut self) -> Result<(), ExchangeError> {
        match self.data.take() {
            Some(file) => {
                let path = self.path(&self.info.data_path, "", file.place)?;
                file.finish(&path)
            }
            None => Ok(()),
        }
    }

    /// The images of an episode from its videos: step by step, in each the video cameras in order. `stamps` are the rows' times
    /// since the start of the episode \[s\].
    fn pictures(&mut self, place: &Place, stamps: &[f64]) -> Result<VecDeque<Picture>, ExchangeError> {
        let Some(ffmpeg) = self.ffmpeg.clone() else { return Ok(VecDeque::new()) };
        let cameras: Vec<usize> = (0..self.cameras.len()).filter(|index| self.cameras[*index].is_video).collect();
        let mut per_camera = Vec::new();
        for (camera, (of, from)) in cameras.into_iter().zip(&place.videos) {
            let source = &self.cameras[camera];
            let template = self.info.video_path.as_deref().unwrap_or_default();
            let path = self.path(template, &source.key, *of)?;
            let first = from + stamps.first().copied().unwrap_or_default();
            if !(0.0..1e9).contains(&first) {
                let found = format!("from_timestamp {from}");
                return Err(source_error(&path, "video", found, "seconds within the video", DAMAGED));
            }
            untrusted::open_inside(&self.root, &path).map_err(read_error(&path))?;
            let open = &mut self.videos[camera];
            let video = match open {
                Some((path, video)) if path == of && video.reaches(first) => video,
                other => {
                    let video = TimedVideo::open(&ffmpeg, &path, first, self.info.fps, source.size)?;
                    &mut other.insert((*of, video)).1
                }
            };
            let mut budget = picture_budget();
            let mut pictures = VecDeque::new();
            for stamp in stamps {
                let Paired { image, offset } = video.at(from + stamp)?;
                self.largest_offset = self.largest_offset.max(offset);
                let picture = Picture::of_pixels(image)?;
                budget.take(picture.len() as u64).map_err(|error| {
                    source_error(&path, format!("episode {}", place.index), error, PICTURES_FIT, TOO_LARGE)
                })?;
                pictures.push_back(picture);
            }
            per_camera.push(pictures);
        }
        let mut all = VecDeque::new();
        for _ in stamps {
            all.extend(per_camera.iter_mut().filter_map(VecDeque::pop_front));
        }
        Ok(all)
    }
}

/// The numbers of a state or an action, by `info.json`.
fn numbers_of<'a>(info_path: &Path, key: &'a str, feature: &Feature) -> Result<Numbers<'a>, ExchangeError> {
    let [width] = feature.shape[..] else {
        let fix = "only one list of numbers per step is imported";
        return Err(source_error(info_path, key, format!("shape {:?}", feature.shape), "one dimension", fix));
    };
    let width = usize::try_from(width).ok().filter(|width| (1..=MOST_NUMBERS).contains(width));
    let width = width.ok_or_else(|| {
        let found = format!("{:?} numbers", feature.shape);
        source_error(info_path, key, found, format!("1 to {MOST_NUMBERS} numbers"), "leave the rest out")
    })?;
    Ok(Numbers { key, width, names: feature.flat_names() })
}

/// Most numbers of a state or an action.
const MOST_NUMBERS: usize = 1024;

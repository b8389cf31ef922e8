//! A LeRobot data set as our episodes. Start at [`import_lerobot`].

use std::collections::{BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::info::{Feature, Info};
use super::reading::{Batch, Rows};
use super::*;
use crate::exchange::arrived::{
    Arrived, ArrivedStep, MOST_STEPS, PLAIN_START, Picture, own_end, own_start, plain_start,
};
use crate::exchange::error::{DAMAGED, read_error, source_error};
use crate::exchange::ffmpeg::{VideoReader, find_ffmpeg};
use crate::exchange::staging::Staging;
use crate::exchange::{ExchangeError, ImportOptions, Imported};
use crate::observation::{JointVector, MAX_JOINTS};

/// Largest `info.json` read \[bytes\].
const LARGEST_INFO: u64 = 16 << 20;
const CONVERT: &str = "convert it with LeRobot's own script to v3.0, or repair it";

/// Reads a LeRobot data set into recordings in the new folder `out`; `progress` hears how many of how many are done.
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

/// Where an episode's data are.
struct Place {
    index: u64,
    length: u64,
    task: String,
    /// Chunk and file of the steps.
    data: (u64, u64),
    /// Per video camera: chunk and file, and when the episode begins in it \[s\].
    videos: Vec<((u64, u64), f64)>,
    start: Option<String>,
    end: Option<String>,
}

/// A camera, and whether it is a video.
struct Source {
    key: String,
    name: Arc<str>,
    is_video: bool,
    /// Width, height \[pixels\].
    size: (u64, u64),
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
    /// The data file being read, its rows that are not used yet.
    data: Option<((u64, u64), Rows, VecDeque<Row>)>,
    /// Per camera the video being read.
    videos: Vec<Option<((u64, u64), VideoReader)>>,
    notes: BTreeSet<String>,
}

impl DataSet {
    fn open(root: &Path, options: &ImportOptions) -> Result<Self, ExchangeError> {
        let info_path = root.join("meta/info.json");
        let info = read_info(&info_path)?;
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
        let mut cameras = Vec::new();
        for (key, of) in &info.features {
            let is_video = of.dtype == "video";
            if !is_video && of.dtype != "image" {
                continue;
            }
            let name = key.strip_prefix(IMAGES).unwrap_or(key);
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            if name.is_empty() || name.len() > 80 || name.starts_with('.') || !name.chars().all(plain) {
                return Err(refuse("features", format!("camera `{name}`"), "a name of letters, digits, `_`, `-`, `.`"));
            }
            let [height, width, 3] = of.shape[..] else {
                return Err(refuse(key, format!("shape {:?}", of.shape), "height, width, 3"));
            };
            cameras.push(Source { key: key.clone(), name: name.into(), is_video, size: (width, height) });
        }
        if cameras.is_empty() {
            notes.insert("pictures: none, the source has none".into());
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
        set.episodes = set.places()?;
        Ok(set)
    }

    /// The first camera is the policy's. JSON has no order; the columns of an export of ours do.
    fn order_cameras(&mut self) -> Result<(), ExchangeError> {
        let path = self.path(&self.info.data_path, "", (0, 0))?;
        let Ok(rows) = Rows::open(&path, &[], &[]) else { return Ok(()) };
        let place = |key: &str| rows.columns.iter().position(|column| column == key).unwrap_or(usize::MAX);
        self.cameras.sort_by_cached_key(|camera| {
            (place(&format!("{CAPTURE_TIME}{}", camera.name)), place(&camera.key), camera.name.clone())
        });
        Ok(())
    }

    /// The rows of the episodes table.
    fn places(&self) -> Result<Vec<Place>, ExchangeError> {
        let video = |camera: &Source, what: &str| format!("videos/{}/{what}", camera.key);
        let videos: Vec<&Source> = self.cameras.iter().filter(|camera| camera.is_video).collect();
        let more: Vec<String> = videos
            .iter()
            .flat_map(|camera| ["chunk_index", "file_index", "from_timestamp"].map(|what| video(camera, what)))
            .collect();
        let mut needed = vec!["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"];
        needed.extend(more.iter().map(String::as_str));
        let mut places = Vec::new();
        for path in tables(&self.root.join("meta/episodes"))? {
            let mut rows = Rows::open(&path, &needed, &[EPISODE_START, EPISODE_END])?;
            while let Some(batch) = rows.next()? {
                let (indices, lengths) = (batch.counts("episode_index")?, batch.counts("length")?);
                let (chunks, files) = (batch.counts("data/chunk_index")?, batch.counts("data/file_index")?);
                let tasks = batch.text_lists("tasks")?;
                let optional = |key| batch.has(key).then(|| batch.texts(key)).transpose();
                let (starts, ends) = (optional(EPISODE_START)?, optional(EPISODE_END)?);
                let mut of_videos = Vec::new();
                for camera in &videos {
                    let count = |what| batch.counts(&video(camera, what));
                    let from = batch.numbers(&video(camera, "from_timestamp"))?;
                    of_videos.push((count("chunk_index")?, count("file_index")?, from));
                }
                for row in 0..batch.len() {
                    if !(1..=MOST_STEPS as u64).contains(&lengths[row]) {
                        let found = format!("{} of episode {}", lengths[row], indices[row]);
                        return Err(source_error(&path, "length", found, "1 to 1000000", CONVERT));
                    }
                    places.push(Place {
                        index: indices[row],
                        length: lengths[row],
                        task: tasks[row].first().cloned().unwrap_or_default(),
                        data: (chunks[row], files[row]),
                        videos: of_videos.iter().map(|(c, f, from)| ((c[row], f[row]), from[row])).collect(),
                        start: starts.as_ref().map(|texts| texts[row].clone()),
                        end: ends.as_ref().map(|texts| texts[row].clone()),
                    });
                }
            }
        }
        if places.is_empty() {
            return Err(source_error(&self.root.join("meta/episodes"), "rows", 0, "at least one episode", CONVERT));
        }
        places.sort_by_key(|place| (place.data, place.index));
        Ok(places)
    }

    /// A path of the data set; what its templates and names say must stay inside.
    fn path(&self, template: &str, key: &str, (chunk, file): (u64, u64)) -> Result<PathBuf, ExchangeError> {
        let filled = template
            .replace("{video_key}", key)
            .replace("{chunk_index:03d}", &format!("{chunk:03}"))
            .replace("{file_index:03d}", &format!("{file:03}"));
        let inside = Path::new(&filled).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || filled.contains(['{', '}', '\0']) || filled.len() > 4000 {
            let expected = "a path within the data set, of {video_key}, {chunk_index:03d} and {file_index:03d}";
            return Err(source_error(&self.info_path, "data_path, video_path", filled, expected, CONVERT));
        }
        Ok(self.root.join(filled))
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
                // `rows` and `pictures` gave one per step and camera.
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
            let rows = Rows::open(path, &needed, &wished)?;
            self.data = Some((place.data, rows, VecDeque::new()));
        }
        let (cameras, joints) = (&self.cameras, self.joints.len());
        let Some((_, file, waiting)) = &mut self.data else { return Ok(Vec::new()) };
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
                Some(row) if row.episode == place.index => rows.push(row),
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

    /// The pictures of an episode out of its videos: step by step, in each the video cameras in order.
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
            let open = &mut self.videos[camera];
            let reader = match open {
                Some((path, reader)) if path == of && reader.next <= first as u64 => reader,
                other => &mut other.insert((*of, VideoReader::open(&ffmpeg, &path)?)).1,
            };
            let mut pictures = VecDeque::new();
            while (pictures.len() as u64) < place.length {
                let at = reader.next;
                let Some((width, height, pixels)) = reader.read()? else {
                    let expected = format!("{} from {first} on, for episode {}", place.length, place.index);
                    return Err(refuse(format!("{at} pictures"), expected));
                };
                if (u64::from(width), u64::from(height)) != source.size {
                    let (w, h) = source.size;
                    return Err(refuse(format!("{width}x{height}"), format!("{w}x{h}, as info.json says")));
                }
                if at >= first as u64 {
                    pictures.push_back(Picture::of_pixels(width, height, pixels)?);
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

fn read_info(path: &Path) -> Result<Info, ExchangeError> {
    let about = path.metadata().map_err(read_error(path))?;
    if about.len() > LARGEST_INFO {
        let expected = format!("at most {LARGEST_INFO}");
        return Err(source_error(path, "file", format!("{} bytes", about.len()), expected, DAMAGED));
    }
    let bytes = std::fs::read(path).map_err(read_error(path))?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    let info: Info = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        source_error(path, error.path().to_string(), error.inner(), "what LeRobot v3.0 writes", CONVERT)
    })?;
    if info.codebase_version != VERSION {
        return Err(source_error(path, "codebase_version", &info.codebase_version, VERSION, CONVERT));
    }
    if !(info.fps > 0.0 && info.fps <= 1e6) {
        return Err(source_error(path, "fps", info.fps, "a rate above 0", CONVERT));
    }
    Ok(info)
}

/// Refuses seven numbers that say they are something else than Bridge's: joint positions, for one.
fn check_seven(path: &Path, key: &str, feature: &Feature, notes: &mut BTreeSet<String>) -> Result<(), ExchangeError> {
    let meaning = match key {
        STATE => "x, y, z, roll, pitch, yaw, gripper",
        _ => "changes of x, y, z, roll, pitch, yaw, and the gripper",
    };
    let fix = "only Bridge's kind of state and action can be imported; convert the data set";
    if feature.shape != [7] {
        return Err(source_error(path, key, format!("shape {:?}", feature.shape), format!("[7]: {meaning}"), fix));
    }
    let Some(names) = feature.flat_names() else {
        notes.insert(format!("{key}: unnamed, taken for {meaning}"));
        return Ok(());
    };
    let fits = ["x", "y", "z"].iter().zip(&names).all(|(letter, name)| name.to_lowercase().ends_with(letter));
    if fits && names.len() == 7 {
        return Ok(());
    }
    Err(source_error(path, key, names.join(", "), meaning, fix))
}

/// The parquet files two levels below a folder, in order.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, ExchangeError> {
    let mut out = Vec::new();
    let list = |folder: &Path| -> Result<Vec<PathBuf>, ExchangeError> {
        let entries = std::fs::read_dir(folder).map_err(read_error(folder))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        if let Ok(paths) = &mut paths {
            paths.sort();
        }
        paths.map_err(read_error(folder))
    };
    for chunk in list(folder)?.iter().filter(|path| path.is_dir()) {
        out.extend(list(chunk)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "parquet")));
    }
    Ok(out)
}

//! Imports Bridge's raw folders as our episodes. Start at [`import_bridge`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::MOST_NUMBERS;
use super::cameras::{Camera, cameras};
use crate::exchange::arrived::{
    Arrived, ArrivedStep, MOST_STEPS, PICTURES_FIT, PLAIN_START, Picture, own_end, own_start, picture_budget,
    plain_start, wall_clock,
};
use crate::exchange::batch::Batch;
use crate::exchange::error::{DAMAGED, TOO_LARGE, read_error, source_error};
use crate::exchange::{ExchangeError, ImportOptions, Imported};
use crate::staging::Staging;
use visuomotor_core::observation::{JointVector, MAX_JOINTS};
use visuomotor_core::pickle::{Id, PickleError, Value, Values, Vocabulary, run};
use visuomotor_core::untrusted::{self, LARGEST_PICTURE, LARGEST_TEXT};

/// Depth of the search for trajectories below the source.
const DEEPEST: usize = 10;
/// Bridge's policy rate \[Hz\]: a move takes 0.2 s.
const RATE: f64 = 5.0;

/// Reads every trajectory in or below `source` into recordings in the new folder `out`; `progress` gets the number of
/// finished trajectories and the total. Trajectories that cannot be imported are left out and listed, unless `options` are strict.
pub fn import_bridge(
    source: &Path,
    out: &Path,
    options: &ImportOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ExchangeError> {
    let mut found = Vec::new();
    look(source, DEEPEST, &mut found)?;
    if found.is_empty() {
        let what = "holds no trajectory (a folder with obs_dict.pkl)".into();
        let fix = "name the folder of a trajectory, or one above it";
        return Err(ExchangeError::Place { path: source.to_path_buf(), found: what, fix });
    }
    let mut batch = Batch::new(Staging::folder(out)?, options);
    let mut names = BTreeSet::new();
    for (index, folder) in found.iter().enumerate() {
        let origin = folder.strip_prefix(source).unwrap_or(folder).to_string_lossy().into_owned();
        let arrived = trajectory(source, folder, origin.clone(), index, options, &mut names);
        batch.take(if origin.is_empty() { folder.display().to_string() } else { origin }, arrived)?;
        progress(index + 1, found.len());
    }
    batch.finish(source)
}

/// Folders with an `obs_dict.pkl`, sorted by name with numbers by value. Links are not followed.
fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), ExchangeError> {
    if folder.join("obs_dict.pkl").is_file() {
        found.push(folder.to_path_buf());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    let mut below = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read_error(folder))? {
        let entry = entry.map_err(read_error(folder))?;
        if entry.file_type().map_err(read_error(folder))?.is_dir() {
            below.push(entry.path());
        }
    }
    below.sort_by_key(|path| by_number(&path.file_name().unwrap_or_default().to_string_lossy()));
    below.iter().try_for_each(|path| look(path, depth - 1, found))
}

/// `traj10` after `traj9`.
fn by_number(name: &str) -> (String, u64, String) {
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (word.to_string(), name[word.len()..].parse().unwrap_or(0), name.to_string())
}

/// A pickle's values with the file they came from.
pub(super) struct Pickled {
    pub path: PathBuf,
    pub values: Values,
}

impl Pickled {
    fn read(root: &Path, path: PathBuf) -> Result<Self, ExchangeError> {
        let bytes = untrusted::read_inside(root, &path, Vocabulary::Numpy.longest() as u64);
        let bytes = bytes.map_err(read_error(&path))?;
        let values = run(&bytes, Vocabulary::Numpy).map_err(|error| {
            let fix = match error {
                PickleError::Malformed(_) => DAMAGED,
                PickleError::Unsupported(_) => "leave the trajectory out: it was not written by Bridge's programs",
                PickleError::TooLarge(_) => TOO_LARGE,
            };
            source_error(&path, "pickle", error, "arrays, lists, dicts and strings", fix)
        })?;
        Ok(Self { path, values })
    }

    fn refuse(&self, key: &str, found: impl ToString, expected: &str) -> ExchangeError {
        source_error(&self.path, key, found, expected, "leave the trajectory out, or repair it")
    }

    /// Rows of numbers under a key of the root dict: (rows, columns); `None` where the key is missing.
    fn rows(&self, key: &str, columns: Option<usize>) -> Result<Option<Vec<Vec<f64>>>, ExchangeError> {
        let Some(id) = self.values.entry(self.values.root(), key) else { return Ok(None) };
        let numbers = self.values.numbers(id, MOST_NUMBERS);
        let (shape, numbers) = numbers.map_err(|found| self.refuse(key, found, "an array of numbers"))?;
        let width = match shape[..] {
            [_] => 1,
            [_, width] => width,
            _ => return Err(self.refuse(key, format!("shape {shape:?}"), "an array of one or two dimensions")),
        };
        if let Some(columns) = columns.filter(|columns| *columns != width) {
            return Err(self.refuse(key, format!("shape {shape:?}"), &format!("{columns} columns")));
        }
        if width == 0 {
            return Ok(None);
        }
        Ok(Some(numbers.chunks_exact(width).map(<[f64]>::to_vec).collect()))
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.values.get(self.values.entry(self.values.root(), key)?) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The trajectory in `folder`, below `root`: links out of `root` are refused.
fn trajectory(
    root: &Path,
    folder: &Path,
    origin: String,
    index: usize,
    options: &ImportOptions,
    names: &mut BTreeSet<String>,
) -> Result<Arrived, ExchangeError> {
    let mut notes = BTreeSet::new();
    let observed = Pickled::read(root, folder.join("obs_dict.pkl"))?;
    let decided = Pickled::read(root, folder.join("policy_out.pkl"))?;
    let about = match folder.join("agent_data.pkl") {
        path if path.is_file() => Pickled::read(root, path).ok(),
        _ => None,
    };
    let decisions = actions(&decided)?;
    let count = decisions.len();
    let (key, states) = match observed.rows("full_state", Some(7))? {
        Some(states) => ("full_state", Some(states)),
        None => ("state", observed.rows("state", Some(7))?),
    };
    let Some(states) = states else {
        return Err(observed.refuse("full_state", "nothing", "an array of 7 columns"));
    };
    // The observation after the last action exists only in Bridge's data; our recordings end with the action.
    if states.len() != count + 1 && states.len() != count {
        let expected = format!("{} or {count}, for policy_out.pkl has {count} actions", count + 1);
        return Err(observed.refuse(key, format!("{} observations", states.len()), &expected));
    }
    let same_length = |name: &str, rows: Option<Vec<Vec<f64>>>| match rows {
        Some(rows) if rows.len() != states.len() => {
            Err(observed.refuse(name, format!("{} rows", rows.len()), &format!("{}, as {key} has", states.len())))
        }
        rows => Ok(rows),
    };
    let joints = |key: &str| -> Result<Option<Vec<Vec<f64>>>, ExchangeError> {
        let rows = same_length(key, observed.rows(key, None)?)?;
        match rows.as_ref().and_then(|rows| rows.first()).map(Vec::len) {
            Some(width) if width > MAX_JOINTS => {
                Err(observed.refuse(key, format!("{width} joints"), &format!("at most {MAX_JOINTS}")))
            }
            _ => Ok(rows),
        }
    };
    let [positions, velocities, efforts] = [joints("qpos")?, joints("qvel")?, joints("joint_effort")?];
    let width = positions.as_ref().and_then(|rows| rows.first()).map_or(0, Vec::len);
    if width == 0 {
        notes.insert("joint positions, velocities, efforts: none, the source has no qpos".to_string());
    }
    let mut start = match about.as_ref().and_then(|about| Some((about, about.text("episode_start")?))) {
        Some((about, text)) => own_start(&about.path, text, names)?,
        None => {
            notes.extend(PLAIN_START.map(String::from));
            notes.insert(format!("policy rate: {RATE} Hz, Bridge's own"));
            notes.insert("robot: `widowx`, Bridge's own".into());
            plain_start(index, "widowx".into(), instruction(root, folder, &mut notes)?, RATE)
        }
    };
    if start.joint_names.len() != width {
        notes.insert("joint names: numbered, the source has none".into());
        start.joint_names = (1..=width).map(|joint| format!("joint_{joint}")).collect();
    }
    let cameras = cameras(folder, about.as_ref(), options, &mut notes)?;
    let stamps = same_length("time_stamp", observed.rows("time_stamp", Some(1))?)?;
    let captured = same_length("image_capture_time", observed.rows("image_capture_time", None)?)?;
    let widest = cameras.iter().map(|camera| camera.number + 1).max().unwrap_or(0);
    let captured = captured.filter(|rows| rows.first().is_some_and(|row| row.len() >= widest));
    if stamps.is_none() {
        notes.insert("observation times: step / rate, the source has no time_stamp".into());
    }
    if captured.is_none() {
        notes.insert("capture times: those of the observations, the source has none".into());
    }
    let origin_seconds = stamps.as_ref().and_then(|rows| rows.first()).map_or(0.0, |row| row[0]);
    let vector = |rows: &Option<Vec<Vec<f64>>>, step: usize| match rows.as_ref().and_then(|rows| rows.get(step)) {
        Some(row) if row.len() == width => JointVector::from_slice(row),
        _ => JointVector::zeros(width),
    };
    let is_own = about.as_ref().is_some_and(|about| about.text("episode_start").is_some());
    let late = !is_own && count > 1 && is_late(folder, origin_seconds);
    if late {
        notes.insert(
            "actions: each with the observation one step later, as Bridge's own converter does for data before 2021-07-23, whose \
             observations lag by a step"
                .into(),
        );
    }
    let shift = usize::from(late);
    let mut budget = picture_budget();
    let mut steps = Vec::with_capacity(count);
    for (step, (action, label)) in decisions.into_iter().take(count - shift).enumerate() {
        let step = step + shift;
        let seconds = match &stamps {
            Some(rows) => rows[step][0] - origin_seconds,
            None => step as f64 / start.policy_rate_hz,
        };
        let mut pictures = Vec::with_capacity(cameras.len());
        for Camera { number, .. } in &cameras {
            let at = captured.as_ref().map_or(seconds, |rows| rows[step][*number] - origin_seconds);
            let file = folder.join(format!("images{number}/im_{step}.jpg"));
            let bytes = untrusted::read_inside(root, &file, LARGEST_PICTURE).map_err(read_error(&file))?;
            budget
                .take(bytes.len() as u64)
                .map_err(|error| source_error(&file, "pictures", error, PICTURES_FIT, TOO_LARGE))?;
            pictures.push((at, Picture::File(bytes)));
        }
        steps.push(ArrivedStep {
            state: seven(&states[step]),
            action,
            label,
            joints: [vector(&positions, step), vector(&velocities, step), vector(&efforts, step)],
            seconds,
            pictures,
        });
    }
    let end = match about.as_ref().and_then(|about| Some((about, about.text("episode_end")?))) {
        Some((about, text)) => own_end(&about.path, text)?,
        None => None,
    };
    // Stamps since 1970 are wall-clock times of the start; smaller ones are on some other clock.
    let started_at = (origin_seconds > 1e9 && origin_seconds < 4e9).then(|| wall_clock((origin_seconds * 1e9) as u64));
    Ok(Arrived {
        path: observed.path,
        format: "Bridge raw",
        origin,
        start,
        seconds: end.as_ref().map(|end| end.seconds),
        outcome: end.map(|end| end.outcome),
        cameras: cameras.into_iter().map(|camera| camera.name).collect(),
        steps,
        started_at,
        notes,
        remarks: Vec::new(),
    })
}

fn seven(numbers: &[f64]) -> [f64; 7] {
    std::array::from_fn(|index| numbers.get(index).copied().unwrap_or(f64::NAN))
}

/// An action, and the action without the demonstrator's noise.
type Asked = ([f64; 7], [f64; 7]);

/// The actions, and those without the demonstrator's noise where our export stored them. Older data are a bare list of
/// actions.
fn actions(decided: &Pickled) -> Result<Vec<Asked>, ExchangeError> {
    let values = &decided.values;
    let list = "a list of actions, or of dicts with `actions`";
    let Some(items) = values.items(values.root()) else {
        return Err(decided.refuse("policy_out", "something else", list));
    };
    if !(1..=MOST_STEPS).contains(&items.len()) {
        return Err(decided.refuse("policy_out", format!("{} actions", items.len()), "1 to 1000000"));
    }
    let action = |id: Id| match values.numbers(id, 7) {
        Ok((shape, numbers)) if shape == [7] => Ok(seven(&numbers)),
        Ok((shape, _)) => Err(decided.refuse("actions", format!("shape {shape:?}"), "7 numbers")),
        Err(found) => Err(decided.refuse("actions", found, "7 numbers")),
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let done = match values.get(*item) {
            Value::Dict(_) => values.entry(*item, "actions"),
            _ => Some(*item),
        };
        let done = action(done.ok_or_else(|| decided.refuse("policy_out", "a dict without `actions`", list))?)?;
        let label = values.entry(*item, "noise_free_actions").map(action).transpose()?;
        out.push((done, label.unwrap_or(done)));
    }
    Ok(out)
}

/// The first line of `lang.txt`; the line with the annotator's confidence is not an instruction.
fn instruction(root: &Path, folder: &Path, notes: &mut BTreeSet<String>) -> Result<String, ExchangeError> {
    let path = folder.join("lang.txt");
    let text = match path.is_file() {
        true => {
            let bytes = untrusted::read_inside(root, &path, LARGEST_TEXT).map_err(read_error(&path))?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        false => String::new(),
    };
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("confidence"));
    let first = lines.next().unwrap_or_default().chars().take(1000).collect::<String>();
    if first.is_empty() {
        notes.insert("instruction: none, the source has no lang.txt".into());
    }
    if lines.next().is_some() {
        notes.insert("instruction: the first of several in lang.txt".into());
    }
    Ok(first)
}

/// Are the observations of this trajectory a step late? Those recorded before 2021-07-23 are: by the dated folder that it lies in,
/// or else by its wall-clock stamps.
fn is_late(folder: &Path, first_stamp: f64) -> bool {
    /// 2021-07-23T00:00:00Z \[s since 1970\].
    const MENDED: f64 = 1_626_998_400.0;
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    // Bridge's own folders: DATE/raw/traj_group0/traj0. A date farther up is another's.
    let dated = absolute.components().rev().take(4).find_map(|part| {
        let name = part.as_os_str().to_str()?;
        let is_date = name.len() == 19
            && name.bytes().zip("dddd-dd-dd_dd-dd-dd".bytes()).all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                form => byte == form,
            });
        is_date.then(|| name.to_string())
    });
    match dated {
        // Dates of this form are in order as texts.
        Some(date) => date.as_str() < "2021-07-23",
        None => (1e9..MENDED).contains(&first_stamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_trajectories_are_known_by_folder_or_stamp() {
        for (folder, stamp, late) in [
            ("/data/toykitchen1/2021-06-01_12-00-00/raw/traj0", 0.0, true),
            ("/data/toykitchen1/2021-07-22_23-59-59/raw/traj0", 1.7e9, true),
            ("/data/toykitchen1/2021-07-23_00-00-00/raw/traj0", 1.6e9, false),
            ("/downloads/2020-01-01_00-00-00/toykitchen1/00/raw/traj_group0/traj0", 1.7e9, false),
            ("/data/traj0", 1.62e9, true),
            ("/data/traj0", 1.63e9, false),
            ("/data/traj0", 12.5, false),
        ] {
            assert_eq!(is_late(Path::new(folder), stamp), late, "{folder} {stamp}");
        }
    }
}

//! Location of a data set's episodes: the table `meta/episodes`.

use std::path::{Path, PathBuf};

use super::info::Info;
use super::lines::places_of_lines;
use super::reading::Rows;
use super::{CONVERT, EPISODE_END, EPISODE_START};
use crate::exchange::ExchangeError;
use crate::exchange::arrived::MOST_STEPS;
use crate::exchange::error::{TOO_LARGE, read_error, source_error};
use visuomotor_core::untrusted::Budget;

/// Most memory that the table of episodes may take \[bytes\]: a million episodes with a sentence each.
const LARGEST_TABLE: u64 = 256 << 20;

/// Location of an episode's data.
pub(super) struct Place {
    pub index: u64,
    pub length: u64,
    /// Its instructions; LeRobot allows several.
    pub tasks: Vec<String>,
    /// Its first row in its data file.
    pub first_row: u64,
    /// Chunk and file of the steps.
    pub data: (u64, u64),
    /// Per video camera: chunk and file, and when the episode starts in it \[s\].
    pub videos: Vec<((u64, u64), f64)>,
    pub start: Option<String>,
    pub end: Option<String>,
}

impl Place {
    /// Its first instruction; empty if it has none.
    pub fn task(&self) -> &str {
        self.tasks.first().map_or("", String::as_str)
    }
}

/// The episodes of a data set; `videos` are the features stored as videos.
pub(super) fn places(root: &Path, info: &Info, videos: &[String]) -> Result<Vec<Place>, ExchangeError> {
    match info.is_version_2() {
        true => places_of_lines(root, videos.len(), info.chunks_size),
        false => places_of_table(root, videos),
    }
}

/// The rows of the episodes table.
fn places_of_table(root: &Path, videos: &[String]) -> Result<Vec<Place>, ExchangeError> {
    let video = |camera: &str, what: &str| format!("videos/{camera}/{what}");
    let more: Vec<String> = videos
        .iter()
        .flat_map(|camera| ["chunk_index", "file_index", "from_timestamp"].map(|what| video(camera, what)))
        .collect();
    let mut needed = vec!["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"];
    needed.extend(more.iter().map(String::as_str));
    let mut budget = Budget::new("the table of episodes", LARGEST_TABLE);
    let mut places = Vec::new();
    for path in tables(&root.join("meta/episodes"))? {
        let mut rows = Rows::open(root, &path, &needed, &[EPISODE_START, EPISODE_END])?;
        while let Some(batch) = rows.next()? {
            let (indices, lengths) = (batch.counts("episode_index")?, batch.counts("length")?);
            let (chunks, files) = (batch.counts("data/chunk_index")?, batch.counts("data/file_index")?);
            let tasks = batch.text_lists("tasks")?;
            let optional = |key| batch.has(key).then(|| batch.texts(key)).transpose();
            let (starts, ends) = (optional(EPISODE_START)?, optional(EPISODE_END)?);
            let mut of_videos = Vec::new();
            for camera in videos {
                let count = |what| batch.counts(&video(camera, what));
                let from = batch.numbers(&video(camera, "from_timestamp"))?;
                of_videos.push((count("chunk_index")?, count("file_index")?, from));
            }
            for row in 0..batch.len() {
                if !(1..=MOST_STEPS as u64).contains(&lengths[row]) {
                    let found = format!("{} of episode {}", lengths[row], indices[row]);
                    return Err(source_error(&path, "length", found, "1 to 1000000", CONVERT));
                }
                let place = Place {
                    index: indices[row],
                    length: lengths[row],
                    tasks: tasks[row].clone(),
                    first_row: 0,
                    data: (chunks[row], files[row]),
                    videos: of_videos.iter().map(|(c, f, from)| ((c[row], f[row]), from[row])).collect(),
                    start: starts.as_ref().map(|texts| texts[row].clone()),
                    end: ends.as_ref().map(|texts| texts[row].clone()),
                };
                fits_memory(&path, &mut budget, &place)?;
                places.push(place);
            }
        }
    }
    if places.is_empty() {
        return Err(source_error(&root.join("meta/episodes"), "rows", 0, "at least one episode", CONVERT));
    }
    places.sort_by_key(|place| (place.data, place.index));
    let mut next = None;
    for place in &mut places {
        place.first_row = match next {
            Some((file, row)) if file == place.data => row,
            _ => 0,
        };
        next = Some((place.data, place.first_row + place.length));
    }
    Ok(places)
}

/// Takes a place's memory from the budget.
pub(super) fn fits_memory(path: &Path, budget: &mut Budget, place: &Place) -> Result<(), ExchangeError> {
    let texts = place.tasks.iter().chain(&place.start).chain(&place.end);
    let own = size_of::<Place>() + size_of_val(place.videos.as_slice());
    let bytes = own + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>();
    budget
        .take(bytes as u64)
        .map_err(|error| source_error(path, "rows", error, "a list of episodes that fits the memory", TOO_LARGE))
}

/// The parquet files two levels below a folder, in order. Names that begin with a dot are of other programs.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, ExchangeError> {
    let mut out = Vec::new();
    let list = |folder: &Path| -> Result<Vec<PathBuf>, ExchangeError> {
        let entries = std::fs::read_dir(folder).map_err(read_error(folder))?;
        let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
        let mut paths = paths.map(|paths| paths.into_iter().filter(|path| !hidden(path)).collect::<Vec<_>>());
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

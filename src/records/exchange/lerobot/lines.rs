//! Location of the episodes of a data set in version 2.0 or 2.1: a file per episode, listed in `meta/episodes.jsonl`.

use std::path::Path;

use serde::Deserialize;

use super::places::{Place, fits_memory};
use super::{CONVERT, OLDER};
use crate::exchange::ExchangeError;
use crate::exchange::arrived::MOST_STEPS;
use crate::exchange::error::source_error;
use visuomotor_core::untrusted::{self, Budget};

/// Largest list read \[bytes\]: a million episodes with a sentence each.
const LARGEST_LIST: u64 = 256 << 20;

#[derive(Deserialize)]
struct Line {
    episode_index: u64,
    #[serde(default)]
    tasks: Vec<String>,
    length: u64,
}

/// The episodes; `cameras` is the number of those stored as videos, `chunk` the number of episodes in a folder.
pub(super) fn places_of_lines(root: &Path, cameras: usize, chunk: u64) -> Result<Vec<Place>, ExchangeError> {
    let path = root.join("meta/episodes.jsonl");
    let bytes = untrusted::read_inside(root, &path, LARGEST_LIST).map_err(|error| {
        source_error(&path, "codebase_version v2", error, "the list of episodes that this version has", OLDER)
    })?;
    let mut budget = Budget::new("the list of episodes", LARGEST_LIST);
    let mut places = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let line: Line = serde_json::from_slice(line).map_err(|error| {
            let key = format!("line {}", number + 1);
            source_error(&path, key, error, "episode_index, tasks and length, as LeRobot writes them", CONVERT)
        })?;
        if !(1..=MOST_STEPS as u64).contains(&line.length) {
            let found = format!("{} of episode {}", line.length, line.episode_index);
            return Err(source_error(&path, "length", found, "1 to 1000000", CONVERT));
        }
        let file = (line.episode_index / chunk.max(1), line.episode_index);
        let place = Place {
            index: line.episode_index,
            length: line.length,
            tasks: line.tasks,
            first_row: 0,
            data: file,
            videos: vec![(file, 0.0); cameras],
            start: None,
            end: None,
        };
        fits_memory(&path, &mut budget, &place)?;
        places.push(place);
    }
    if places.is_empty() {
        return Err(source_error(&path, "lines", 0, "at least one episode", CONVERT));
    }
    places.sort_by_key(|place| place.index);
    if let Some(pair) = places.windows(2).find(|pair| pair[0].index == pair[1].index) {
        let found = format!("{} twice", pair[0].index);
        return Err(source_error(&path, "episode_index", found, "each once", CONVERT));
    }
    Ok(places)
}

//! The rows of a data file, episode by episode.

use std::collections::VecDeque;
use std::path::Path;

use super::cameras::Source;
use super::places::Place;
use super::reading::{Batch, Rows};
use super::{ACTION, CAPTURE_TIME, JOINT_POSITIONS, MEASURED_TIME, NOISE_FREE_ACTION, STATE};
use crate::exchange::ExchangeError;
use crate::exchange::arrived::{PICTURES_FIT, picture_budget};
use crate::exchange::error::{DAMAGED, TOO_LARGE, source_error};

/// One row of the data.
pub(super) struct Row {
    pub episode: u64,
    pub state: Vec<f64>,
    pub action: Vec<f64>,
    pub label: Option<Vec<f64>>,
    pub joints: Option<Vec<f64>>,
    pub measured: Option<f64>,
    pub timestamp: f64,
    pub captured: Vec<Option<f64>>,
    pub files: VecDeque<Vec<u8>>,
}

/// A data file that is read forward.
pub(super) struct DataFile {
    pub place: (u64, u64),
    rows: Rows,
    waiting: VecDeque<Row>,
    /// The row that comes next, counted from the start of the file.
    next: u64,
}

impl DataFile {
    /// Opens the file at the first row of an episode.
    pub fn open(root: &Path, path: &Path, place: &Place, cameras: &[Source]) -> Result<Self, ExchangeError> {
        let mut optional: Vec<String> = cameras.iter().map(|c| format!("{CAPTURE_TIME}{}", c.name)).collect();
        optional.extend([JOINT_POSITIONS, MEASURED_TIME, NOISE_FREE_ACTION].map(String::from));
        let mut needed = vec![STATE, ACTION, "timestamp", "episode_index"];
        needed.extend(cameras.iter().filter(|camera| !camera.is_video).map(|camera| camera.key.as_str()));
        let optional: Vec<&str> = optional.iter().map(String::as_str).collect();
        let rows = match place.first_row {
            0 => Rows::open(root, path, &needed, &optional)?,
            first => Rows::open_part(root, path, &needed, &optional, (first, u64::MAX))?,
        };
        Ok(Self { place: place.data, rows, waiting: VecDeque::new(), next: place.first_row })
    }

    /// Does this episode come next?
    pub fn continues_with(&self, place: &Place) -> bool {
        (self.place, self.next) == (place.data, place.first_row)
    }

    /// The rows of an episode, which comes next.
    pub fn take(
        &mut self,
        path: &Path,
        place: &Place,
        cameras: &[Source],
        joints: usize,
        widths: [usize; 2],
    ) -> Result<Vec<Row>, ExchangeError> {
        let mut budget = picture_budget();
        let mut rows = Vec::new();
        while (rows.len() as u64) < place.length {
            if self.waiting.is_empty() {
                match self.rows.next()? {
                    Some(batch) => self.waiting.extend(taken(&batch, cameras, joints, widths)?),
                    None => {
                        let found = format!("{} of {} rows of episode {}", rows.len(), place.length, place.index);
                        return Err(source_error(path, "episode_index", found, "as many as its length says", DAMAGED));
                    }
                }
            }
            match self.waiting.pop_front() {
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
        self.next += place.length;
        Ok(rows)
    }

    /// Checks that there are no more rows.
    pub fn finish(mut self, path: &Path) -> Result<(), ExchangeError> {
        if self.waiting.is_empty() && self.rows.next()?.is_none() {
            return Ok(());
        }
        let found = format!("rows beyond the last episode, of {} rows", self.rows.announced);
        Err(source_error(path, "episode_index", found, "rows of episodes that meta/episodes names", DAMAGED))
    }
}

fn taken(batch: &Batch, cameras: &[Source], joints: usize, widths: [usize; 2]) -> Result<Vec<Row>, ExchangeError> {
    let vectors = |key, width| batch.vectors(key, width).map(Vec::into_iter);
    let optional = |key, width| batch.has(key).then(|| batch.vectors(key, width)).transpose();
    let numbers = |key: &str| batch.has(key).then(|| batch.numbers(key)).transpose();
    let (mut states, mut actions) = (vectors(STATE, widths[0])?, vectors(ACTION, widths[1])?);
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

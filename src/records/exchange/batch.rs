//! Many episodes, imported one by one: what is good is kept, the rest is listed.

use std::collections::BTreeSet;
use std::path::Path;

use super::arrived::Arrived;
use super::left_out::{LeftOut, reasons, write};
use super::{ExchangeError, ImportOptions, Imported};
use crate::staging::Staging;

/// Episodes on their way into a new folder.
pub(super) struct Batch<'a> {
    staging: Staging,
    options: &'a ImportOptions,
    /// What was filled in or assumed.
    pub notes: BTreeSet<String>,
    /// Number of episodes imported.
    pub episodes: usize,
    steps: u64,
    /// Episodes that were not.
    pub left_out: Vec<LeftOut>,
    first: Option<ExchangeError>,
}

impl<'a> Batch<'a> {
    pub fn new(staging: Staging, options: &'a ImportOptions) -> Self {
        let (notes, left_out) = (BTreeSet::new(), Vec::new());
        Self { staging, options, notes, episodes: 0, steps: 0, left_out, first: None }
    }

    /// Records an episode, or lists it as left out. Returns an error that ends the import.
    pub fn take(&mut self, item: String, arrived: Result<Arrived, ExchangeError>) -> Result<(), ExchangeError> {
        let recorded = arrived.and_then(|arrived| {
            let (steps, name) = (arrived.steps.len() as u64, arrived.start.name.clone());
            match arrived.record(self.staging.path(), self.options) {
                Ok(notes) => Ok((steps, notes)),
                Err(error) => {
                    // What was written of it goes with it; if it cannot be removed, its name says that it is not whole.
                    let _ = std::fs::remove_file(self.staging.path().join(format!("{name}.mcap.partial")));
                    Err(error)
                }
            }
        });
        match recorded {
            Ok((steps, notes)) => {
                self.episodes += 1;
                self.steps += steps;
                self.notes.extend(notes);
                Ok(())
            }
            Err(error) if self.options.strict || error.ends_the_batch() => Err(error),
            Err(error) => {
                self.left_out.push(LeftOut { item, reason: error.to_string() });
                self.first.get_or_insert(error);
                Ok(())
            }
        }
    }

    /// Ends the import; refuses one without a single episode.
    pub fn finish(self, source: &Path) -> Result<Imported, ExchangeError> {
        if self.episodes == 0 {
            return Err(match (self.left_out.len(), self.first) {
                (1, Some(only)) => only,
                (count, _) => {
                    let all = reasons(self.left_out.iter().map(|left| left.reason.as_str()));
                    let found = format!("none of its {count} episodes can be imported: {}", super::error::shown(&all));
                    let fix = "--strict shows the first reason in full";
                    ExchangeError::Place { path: source.to_path_buf(), found, fix }
                }
            });
        }
        write(self.staging.path(), &self.left_out)?;
        let folder = self.staging.finish()?;
        Ok(Imported { folder, episodes: self.episodes, steps: self.steps, notes: self.notes, left_out: self.left_out })
    }
}

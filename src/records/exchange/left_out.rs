//! Items that an import or export leaves out, and why.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::ExchangeError;
use super::error::write_error;
use crate::recording::LEFT_OUT;

/// An episode that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The episode, as its source names it.
    pub item: String,
    /// Why.
    pub reason: String,
}

/// Writes the list into `folder`, if there is anything to list.
pub(super) fn write(folder: &Path, list: &[LeftOut]) -> Result<(), ExchangeError> {
    if list.is_empty() {
        return Ok(());
    }
    let path = folder.join(LEFT_OUT);
    // Strings alone cannot fail.
    let text = serde_json::to_string_pretty(list).unwrap_or_default();
    std::fs::write(&path, text).map_err(write_error(&path))
}

/// The reasons, each once with its count: `3: no end; 1: no steps`.
pub(super) fn reasons<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    all.for_each(|why| *counts.entry(why).or_default() += 1);
    counts.iter().map(|(why, count)| format!("{count}: {why}")).collect::<Vec<_>>().join("; ")
}

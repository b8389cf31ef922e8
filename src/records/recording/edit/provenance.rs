//! Where an edited episode came from.

use std::collections::BTreeMap;

/// What one edit did to an episode: the MCAP metadata record `visuomotor.edited`, one per edit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The command line.
    pub command: String,
    /// Name of the file that it was copied from.
    pub source: String,
    /// SHA-256 of that file, hexadecimal.
    pub sha256: String,
    /// What was changed, in words.
    pub changed: String,
}

impl Edit {
    /// Name of the metadata record.
    pub const METADATA_NAME: &str = "visuomotor.edited";

    /// From the record's entries; a missing one is empty.
    pub fn from_metadata(entries: &BTreeMap<String, String>) -> Self {
        let entry = |name: &str| entries.get(name).cloned().unwrap_or_default();
        Self {
            command: entry("command"),
            source: entry("source"),
            sha256: entry("source_sha256"),
            changed: entry("changed"),
        }
    }

    /// The record's entries.
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let entries = [
            ("command", &self.command),
            ("source", &self.source),
            ("source_sha256", &self.sha256),
            ("changed", &self.changed),
        ];
        entries.map(|(name, value)| (name.to_string(), value.clone())).into()
    }
}

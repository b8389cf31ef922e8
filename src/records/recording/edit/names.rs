//! Which episodes an edit takes, and their names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::storage::WHOLE;
use super::super::{RecordingError, list_episodes};
use super::EpisodeChange;

/// One episode to be written.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub source: PathBuf,
    /// Name in the new folder, without `.mcap`.
    pub name: String,
    pub change: EpisodeChange,
}

/// The finished episodes of a folder, unchanged.
pub(super) fn tasks_of(folder: &Path) -> Result<Vec<Task>, RecordingError> {
    let files = list_episodes(folder)?;
    if files.is_empty() {
        return Err(super::unfit("folder", folder.display().to_string(), "a folder with episodes (NAME.mcap)"));
    }
    let task = |source: PathBuf| Task { name: name_of(&source), source, change: EpisodeChange::default() };
    Ok(files.into_iter().map(task).collect())
}

/// The file's name without `.mcap`.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(WHOLE).unwrap_or(&name).to_string()
}

/// Names of the episodes that `episodes` mean: a name, with or without `.mcap`, or a path.
pub(super) fn find(folder: &Path, tasks: &[Task], episodes: &[PathBuf]) -> Result<Vec<String>, RecordingError> {
    let names: Vec<String> = episodes.iter().map(|episode| name_of(episode)).collect();
    match names.iter().find(|name| !tasks.iter().any(|task| task.name == **name)) {
        None => Ok(names),
        Some(name) => Err(super::unfit(
            "episode",
            format!("{name:?}, which is not in {}", folder.display()),
            "the name of one of its episodes (`visuomotor recordings list`)",
        )),
    }
}

/// Renames every episode whose name an earlier one has: `NAME-2`, `NAME-3` and so on, past names that are taken.
pub(super) fn unique(tasks: &mut [Task]) {
    let mut taken: HashSet<String> = tasks.iter().map(|task| task.name.clone()).collect();
    let mut seen = HashSet::new();
    for task in tasks {
        if seen.insert(task.name.clone()) {
            continue;
        }
        let free = (2u64..).map(|number| format!("{}-{number}", task.name)).find(|name| !taken.contains(name));
        if let Some(name) = free {
            taken.insert(name.clone());
            seen.insert(name.clone());
            task.change.name = Some(name.clone());
            task.name = name;
        }
    }
}

/// Where an episode lies between 0 and 1: the first 53 bits of the SHA-256 of the seed (little-endian u64) and the name.
pub(super) fn share_of(name: &str, seed: u64) -> f64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    (u64::from_be_bytes(first) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(names: &[&str]) -> Vec<String> {
        let task = |name: &&str| Task {
            source: PathBuf::from(name),
            name: name.to_string(),
            change: EpisodeChange::default(),
        };
        let mut tasks: Vec<Task> = names.iter().map(task).collect();
        unique(&mut tasks);
        tasks.into_iter().map(|task| task.name).collect()
    }

    #[test]
    fn names_that_collide_are_continued_past_those_that_are_taken() {
        assert_eq!(renamed(&["a", "b", "a", "a-2", "a"]), ["a", "b", "a-3", "a-2", "a-4"]);
    }

    #[test]
    fn a_share_depends_on_name_and_seed_alone() {
        // Golden: another value would move episodes between the parts of earlier splits.
        assert_eq!(share_of("knife_in_pot-0003", 0), share_of("knife_in_pot-0003", 0));
        assert_ne!(share_of("knife_in_pot-0003", 0), share_of("knife_in_pot-0003", 1));
        let below = (0..10_000).filter(|index| share_of(&format!("episode-{index}"), 7) < 0.9).count();
        assert!((8_900..9_100).contains(&below), "{below}");
    }
}

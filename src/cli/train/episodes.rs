//! Reads episodes, successes and failures, for commands that learn from transitions.

use std::path::PathBuf;

use crate::training::transitions::{Labels, Transitions, episode_folders};

/// Repairs cut-off recordings in `folders` and reads all; `what` describes them in the output.
pub(super) fn read(
    what: &str,
    folders: &[PathBuf],
    tasks: &[String],
    size: u32,
    labels: &Labels,
) -> anyhow::Result<Transitions> {
    for folder in folders {
        for folder in episode_folders(folder)? {
            crate::cli::recordings::finish(&folder)?;
        }
    }
    let data = Transitions::read(folders, tasks, size, labels)?;
    let shown: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    say!(
        "{what}: {} episodes, {} of them successes, {} steps from {}{}",
        data.episodes(),
        data.successes(),
        data.len(),
        shown.join(", "),
        if data.passed_over > 0 { format!(" ({} aborted or cut off)", data.passed_over) } else { String::new() }
    );
    Ok(data)
}

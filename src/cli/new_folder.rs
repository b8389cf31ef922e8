//! The folder that a command makes for its results, before anything moves.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Folders that were made, deepest first; those that are empty at the end are removed again.
#[derive(Debug)]
pub struct NewFolder {
    made: Vec<PathBuf>,
}

impl NewFolder {
    /// Makes `folder` and what is missing above it; `option` is the one that names it, for the message.
    pub fn create(folder: &Path, option: &str) -> anyhow::Result<Self> {
        let missing = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let new = Self { made: missing.map(Path::to_path_buf).collect() };
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{}: cannot be created; choose another {option}", folder.display()))?;
        Ok(new)
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        for folder in &self.made {
            // One that holds something is not removed, and need not be.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_at_the_end_is_removed_and_what_was_there_or_holds_something_stays() {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("there");
        std::fs::create_dir(&there).unwrap();
        drop(NewFolder::create(&there, "--out").unwrap());
        drop(NewFolder::create(&there.join("a/b"), "--out").unwrap());
        assert!(there.is_dir() && !there.join("a").exists());
        let kept = NewFolder::create(&there.join("a/b"), "--out").unwrap();
        std::fs::write(there.join("a/file"), "").unwrap();
        drop(kept);
        assert!(there.join("a/file").exists() && !there.join("a/b").exists());
        let said = format!("{:#}", NewFolder::create(&there.join("a/file/c"), "--record").unwrap_err());
        assert!(said.contains("a/file/c") && said.contains("--record"), "{said}");
        assert_eq!(std::fs::read_dir(there.join("a")).unwrap().count(), 1);
    }
}

//! Creates a command's results folder before anything moves.

use std::path::{Path, PathBuf};

use anyhow::Context;

/// Created folders, deepest first; those still empty at the end are removed.
#[derive(Debug)]
pub struct NewFolder {
    made: Vec<PathBuf>,
}

impl NewFolder {
    /// Creates `folder` and its missing parents; `option` is the command-line option for the error message.
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
            // A folder that is not empty stays.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_created_folders_are_removed_and_existing_or_used_ones_stay() {
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

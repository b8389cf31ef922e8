//! `pretraining.json`: scenes, objects and tasks in a folder of data, to check for leakage of the target.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RecordingError;

/// Scenes, objects and tasks of a folder of data, each sorted and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Names of the scenes and of their fixtures.
    pub scenes: Vec<String>,
    /// Names of the objects and containers.
    pub objects: Vec<String>,
    /// Names of the tasks.
    pub tasks: Vec<String>,
    /// Seed of the newest call that added data.
    pub seed: u64,
    /// That call.
    pub command: String,
}

impl Contents {
    /// File name in the folder.
    pub const FILE: &str = "pretraining.json";

    /// The contents that the running program adds, with its own command line.
    pub fn new(scenes: Vec<String>, objects: Vec<String>, tasks: Vec<String>, seed: u64) -> Self {
        // The program's folder is not about the data.
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = format!("visuomotor {}", words.join(" "));
        let mut contents = Self { scenes, objects, tasks, seed, command };
        contents.sort();
        contents
    }

    /// Merges them into the folder's file. Written before the data, so that a call that is cut off never leaves undescribed
    /// data.
    pub fn add_to(mut self, folder: &Path) -> Result<(), RecordingError> {
        if let Some(earlier) = Self::read(folder)? {
            self.scenes.extend(earlier.scenes);
            self.objects.extend(earlier.objects);
            self.tasks.extend(earlier.tasks);
            self.sort();
        }
        let file = folder.join(Self::FILE);
        let part = folder.join(format!("{}.partial", Self::FILE));
        let unfit = |source| RecordingError::Contents { path: file.clone(), source };
        let mut text = serde_json::to_vec_pretty(&self).map_err(|error| unfit(error.into()))?;
        text.push(b'\n');
        std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, &file)).map_err(unfit)
    }

    /// The contents that a folder's file states; `None` without a file.
    pub fn read(folder: &Path) -> Result<Option<Self>, RecordingError> {
        let file = folder.join(Self::FILE);
        let unfit = |source| RecordingError::Contents { path: file.clone(), source };
        match visuomotor_core::untrusted::read(&file, visuomotor_core::untrusted::LARGEST_TEXT) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| unfit(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unfit(error)),
        }
    }

    fn sort(&mut self) {
        for names in [&mut self.scenes, &mut self.objects, &mut self.tasks] {
            names.sort();
            names.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_call_adds_and_forgets_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Contents::read(folder.path()).unwrap(), None);
        let names = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let first = Contents::new(names(&["loft"]), names(&["pear", "die"]), names(&["a", "a"]), 1);
        first.clone().add_to(folder.path()).unwrap();
        assert_eq!(Contents::read(folder.path()).unwrap(), Some(first));
        Contents::new(names(&["patio"]), names(&["die"]), names(&["b"]), 2).add_to(folder.path()).unwrap();
        let both = Contents::read(folder.path()).unwrap().unwrap();
        assert_eq!((both.scenes, both.objects), (names(&["loft", "patio"]), names(&["die", "pear"])));
        assert_eq!((both.tasks, both.seed), (names(&["a", "b"]), 2));
        std::fs::write(folder.path().join(Contents::FILE), "{").unwrap();
        assert!(Contents::read(folder.path()).unwrap_err().to_string().contains(Contents::FILE));
    }
}

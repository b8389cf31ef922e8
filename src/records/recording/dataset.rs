//! A folder of recordings: its files and its digest.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::RecordingError;
use super::storage::{PARTIAL, WHOLE};

/// The finished episodes of a folder, sorted by file name.
pub fn list_episodes(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    list(folder, WHOLE)
}

/// The recordings of a folder that are cut off or still being written, sorted by file name.
pub fn list_partial(folder: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    list(folder, PARTIAL)
}

fn list(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, RecordingError> {
    let unreadable = |source| RecordingError::unreadable(folder, source);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(ending) && !name.starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// SHA-256 over the finished episodes of a folder, hexadecimal: for each, in order of file names, the length of the
/// name and the name, the length of the file and its bytes (lengths as little-endian u64).
pub fn dataset_digest(folder: &Path) -> Result<String, RecordingError> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in list_episodes(folder)? {
        let unreadable = |source| RecordingError::unreadable(&path, source);
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        let mut file = visuomotor_core::untrusted::open(&path).map_err(unreadable)?;
        digest.update(file.metadata().map_err(unreadable)?.len().to_le_bytes());
        loop {
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                count => digest.update(&buffer[..count]),
            }
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

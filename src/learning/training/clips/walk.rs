//! Finds the contents of a folder: numbered images, videos, trajectories, recordings.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::natural::natural;

/// Depth of the search.
const DEEPEST: usize = 10;
/// Extensions of videos, and their containers.
const VIDEOS: [(&str, &str); 6] =
    [("mp4", "mp4"), ("m4v", "mp4"), ("mov", "mov"), ("webm", "matroska"), ("mkv", "matroska"), ("avi", "avi")];

/// A folder of numbered images.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbered {
    pub folder: PathBuf,
    /// Names of the files, in order of their numbers.
    pub files: Vec<(u64, String)>,
}

/// The contents found, sorted by name with numbers by value.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub frames: Vec<Numbered>,
    pub videos: Vec<PathBuf>,
    /// Folders that hold `images0`.
    pub trajectories: Vec<PathBuf>,
    /// Finished recordings.
    pub episodes: Vec<PathBuf>,
    /// Remarks: what was left out and why.
    pub remarks: Vec<String>,
}

/// Searches `folder`, or takes one file. Links to folders are not followed.
pub(crate) fn walk(path: &Path) -> anyhow::Result<Found> {
    let mut found = Found::default();
    if path.is_file() {
        found.file(path.to_path_buf());
        return Ok(found);
    }
    found.look(path, DEEPEST)?;
    Ok(found)
}

/// The lower-case extension of a file.
fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The demuxer for a video, by its extension.
pub(crate) fn container(path: &Path) -> Option<&'static str> {
    let ending = ending(path);
    VIDEOS.iter().find(|(known, _)| *known == ending).map(|(_, container)| *container)
}

/// The number of a frame's file: `12.png`, `000012.jpg`, `frame_12.jpeg`, `im_12.jpg`.
fn number(name: &str) -> Option<u64> {
    let (stem, ending) = name.rsplit_once('.')?;
    if !["jpg", "jpeg", "png"].contains(&ending.to_lowercase().as_str()) {
        return None;
    }
    let word = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = ["", "frame", "img", "im", "image"];
    let plain = word.trim_end_matches(['_', '-']).to_lowercase();
    known.contains(&plain.as_str()).then(|| stem[word.len()..].parse().ok())?
}

/// The numbered images of a folder; two with the same number are an error.
pub(super) fn numbered(folder: &Path) -> anyhow::Result<Vec<(u64, String)>> {
    let fail = || format!("{}: cannot be read", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(fail)? {
        let name = entry.with_context(fail)?.file_name();
        let Some(name) = name.to_str() else { continue };
        files.extend(number(name).map(|number| (number, name.to_string())));
    }
    files.sort();
    if let Some(pair) = files.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        anyhow::bail!(
            "{}: found {} and {}, both frame {}; keep one of them",
            folder.display(),
            pair[0].1,
            pair[1].1,
            pair[0].0
        );
    }
    Ok(files)
}

impl Found {
    fn look(&mut self, folder: &Path, depth: usize) -> anyhow::Result<()> {
        if folder.join("images0").is_dir() {
            self.trajectories.push(folder.to_path_buf());
            return Ok(());
        }
        let fail = || format!("{}: cannot be read", folder.display());
        let (mut folders, mut files, mut pictures) = (Vec::new(), Vec::new(), false);
        for entry in std::fs::read_dir(folder).with_context(fail)? {
            let entry = entry.with_context(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            match entry.file_type().with_context(fail)?.is_dir() {
                true => folders.push(name),
                false => match number(&name) {
                    Some(_) => pictures = true,
                    None => files.push(name),
                },
            }
        }
        if pictures {
            self.frames.push(Numbered { folder: folder.to_path_buf(), files: numbered(folder)? });
            if !folders.is_empty() {
                let remark = "has numbered images and is one clip; its folders are ignored";
                self.remarks.push(format!("{}: {remark}", folder.display()));
            }
            return Ok(());
        }
        files.sort_by_cached_key(|name| natural(name));
        files.into_iter().for_each(|name| self.file(folder.join(name)));
        folders.sort_by_cached_key(|name| natural(name));
        if depth == 0 && !folders.is_empty() {
            self.remarks.push(format!("{}: folders in it are too deep and are ignored", folder.display()));
            return Ok(());
        }
        folders.into_iter().try_for_each(|name| self.look(&folder.join(name), depth - 1))
    }

    fn file(&mut self, path: PathBuf) {
        if container(&path).is_some() {
            self.videos.push(path);
        } else if ending(&path) == "mcap" {
            self.episodes.push(path);
        } else if ending(&path) == "partial" {
            self.remarks.push(format!("{}: a recording that was not finished is left out", path.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_by_its_number() {
        for (name, expected) in [
            ("0.png", Some(0)),
            ("000012.jpg", Some(12)),
            ("frame_7.JPEG", Some(7)),
            ("im_10.jpg", Some(10)),
            ("12.txt", None),
            ("photo_of_2.jpg", None),
            ("cover.jpg", None),
            ("99999999999999999999.jpg", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
    }
}

//! Ego4D as R3M and VIP prepared it: a manifest of clips, each a row of numbered JPEG files.
//!
//! `manifest.csv` has the columns `path` and `len` (R3M, VIP) or `directory` and `num_frames` (the ICVF trainer, which adds
//! `text`); other columns are ignored. A path is a prefix, which usually ends in `/`: frame i is `{path}{i:06}.jpg`.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::csv::{Record, records};
use super::picture;
use super::source::{Listed, Source, Take};
use visuomotor_core::untrusted;

/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.csv";
/// Names of the columns in the two variants.
const COLUMNS: [[&str; 2]; 2] = [["path", "len"], ["directory", "num_frames"]];
/// Largest manifest read \[bytes\]: Ego4D's 72,000 clips take 6 MB.
const LARGEST_MANIFEST: u64 = 256 << 20;
/// Most frames of a clip: 90 hours at 30 Hz.
const MOST_FRAMES: u64 = 10_000_000;

/// The clips of a manifest.
pub(super) struct Ego4d {
    listed: Vec<Listed>,
    /// Per clip the path up to the frame's number.
    prefixes: Vec<PathBuf>,
}

/// Reads a manifest. Frames must be in its folder or in `root`.
pub(super) fn open(manifest: &Path, root: Option<&Path>, remarks: &mut Vec<String>) -> anyhow::Result<Ego4d> {
    let text = untrusted::read_text(manifest, LARGEST_MANIFEST)
        .with_context(|| format!("{}: cannot be read", manifest.display()))?;
    let at = |line: usize| format!("{}:{line}", manifest.display());
    let all = records(&text).map_err(|(line, found)| anyhow::anyhow!("{}: {found}; repair the line", at(line)))?;
    let Some((header, rows)) = all.split_first() else {
        bail!("{}: found nothing, expected a line with the columns path,len; prepare it again", manifest.display());
    };
    let place = |name: &str| header.fields.iter().position(|field| field.trim() == name);
    let columns = COLUMNS.iter().find_map(|[path, len]| Some((*path, place(path)?, *len, place(len)?)));
    let Some((path_key, path_at, len_key, len_at)) = columns else {
        bail!(
            "{}: found the columns {}, expected path,len or directory,num_frames; rename them",
            at(header.line),
            header.fields.join(",")
        );
    };
    let absolute = |path: &Path| std::path::absolute(path).with_context(|| format!("{}: no path", path.display()));
    let folder = absolute(manifest)?.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut roots = vec![normal(&folder).unwrap_or(folder.clone())];
    if let Some(root) = root {
        let root = absolute(root)?;
        roots.push(normal(&root).unwrap_or(root));
    }
    let (mut listed, mut prefixes, mut seen) = (Vec::new(), Vec::new(), HashMap::new());
    for Record { line, fields } in rows {
        ensure!(
            fields.len() == header.fields.len(),
            "{}: found {} values, expected {}, as the first line has; repair the line",
            at(*line),
            fields.len(),
            header.fields.len()
        );
        let (path, len) = (fields[path_at].trim(), fields[len_at].trim());
        let Some(frames) = whole(len).filter(|frames| *frames <= MOST_FRAMES) else {
            bail!("{}: {len_key}: found `{len}`, expected a number of frames, 0 to {MOST_FRAMES}", at(*line));
        };
        let prefix = inside(&folder, path, &roots).map_err(|found| {
            anyhow::anyhow!(
                "{}: {path_key}: found `{path}`, {found}; frames must lie in the manifest's folder: move them there, or \
                 name the folder they lie in (root)",
                at(*line)
            )
        })?;
        if let Some(before) = seen.insert(prefix.clone(), *line) {
            remarks.push(format!("{}: `{path}` is in line {before} too; it is used once", at(*line)));
            continue;
        }
        if frames == 0 {
            remarks.push(format!("{}: `{path}`: {len_key} is 0; the clip is left out", at(*line)));
            continue;
        }
        for index in [0, frames - 1] {
            let file = frame_file(&prefix, index as usize);
            ensure!(
                file.is_file(),
                "{}: {len_key}: found {frames}, but there is no {}; correct the number or restore the frames",
                at(*line),
                file.display()
            );
        }
        if frame_file(&prefix, frames as usize).exists() {
            remarks
                .push(format!("{}: `{path}` has more frames than {len_key} = {frames}; they are left out", at(*line)));
        }
        // Line and path identify a clip in a manifest of thousands.
        listed.push(Listed { name: format!("{} ({path})", at(*line)), frames: Some(frames as usize) });
        prefixes.push(prefix);
    }
    ensure!(!listed.is_empty(), "{}: no clip in it; {}", manifest.display(), remarks.join("; "));
    Ok(Ego4d { listed, prefixes })
}

/// A whole number, also in the format of a pandas column with gaps: `12.0`.
fn whole(text: &str) -> Option<u64> {
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

fn frame_file(prefix: &Path, index: usize) -> PathBuf {
    let mut file = prefix.as_os_str().to_os_string();
    file.push(format!("{index:06}.jpg"));
    file.into()
}

/// The prefix of a row as an absolute path, if its frames are in one of the folders; the error describes the path.
fn inside(folder: &Path, path: &str, roots: &[PathBuf]) -> Result<PathBuf, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("which is no path".into());
    }
    let prefix = folder.join(path);
    let first = normal(&frame_file(&prefix, 0)).ok_or("which leads above the root")?;
    if roots.iter().any(|root| first.starts_with(root)) {
        return Ok(prefix);
    }
    let listed: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    Err(format!("which leads out of {}", listed.join(" and ")))
}

/// An absolute path without `.` and `..`; links are not resolved.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    Some(out)
}

impl Source for Ego4d {
    fn clips(&self) -> &[Listed] {
        &self.listed
    }

    fn is_sequential(&self) -> bool {
        false
    }

    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()> {
        let end = frames.end.min(self.listed[clip].frames.unwrap_or(0));
        for index in frames.start..end {
            let picture = picture::read(&frame_file(&self.prefixes[clip], index));
            take(picture.with_context(|| self.listed[clip].name.clone())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_folders_that_were_named() {
        let roots = [PathBuf::from("/data/ego4d"), PathBuf::from("/frames")];
        let go = |path| inside(&roots[0], path, &roots);
        for fine in ["a/b/", "./a/", "a/../b/", "..", "/data/ego4d/x/", "/frames/", "/data/ego4d/../ego4d/y/"] {
            assert!(go(fine).is_ok(), "{fine}: {:?}", go(fine));
        }
        for out in
            ["", "../", "../ego4d2/", "a/../../x/", "/etc/", "/data/ego4d2/", "/frames/../etc/", "/../../x", "a\0"]
        {
            assert!(go(out).is_err(), "{out}: {:?}", go(out));
        }
        assert_eq!(frame_file(&go("a/b/").unwrap(), 7), Path::new("/data/ego4d/a/b/000007.jpg"));
    }
}

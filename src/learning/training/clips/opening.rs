//! Detects the layout of a folder or file, and opens it.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::source::Source;
use super::store::{Form, load};
use super::walk::walk;
use super::{Clips, bridge, ego4d, episodes, frames};

/// Remarks reported one by one; the others are counted.
const MOST_REMARKS: usize = 20;

/// Memory for decoded frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Bytes; a frame takes 3 size size of them.
    pub bytes: u64,
}

impl Default for Cache {
    /// 4 GiB: 87,000 frames of 128 pixels a side, 28,000 of 224.
    fn default() -> Self {
        Self { bytes: 4 << 30 }
    }
}

/// Which camera, if there are several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Camera {
    /// By its index, from 0.
    Index(usize),
    /// By its name.
    Name(String),
}

impl Default for Camera {
    fn default() -> Self {
        Self::Index(0)
    }
}

impl fmt::Display for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Camera::Index(index) => write!(f, "{index}"),
            Camera::Name(name) => write!(f, "`{name}`"),
        }
    }
}

/// How an image that is not square becomes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The central square, resized.
    Crop,
    /// The whole image, resized without keeping its aspect ratio.
    Squash,
}

/// Layout of a set of clips on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A manifest of clips of numbered JPEG files.
    Ego4d,
    /// Folders of numbered images.
    Frames,
    /// Videos.
    Videos,
    /// Our recordings.
    Episodes,
    /// Bridge's raw trajectories.
    Bridge,
    /// A LeRobot v3.0 data set.
    Lerobot,
}

impl Layout {
    /// Default fit: images filmed by people are cropped, robot images squashed.
    pub fn fit(self) -> Fit {
        match self {
            Layout::Ego4d | Layout::Frames | Layout::Videos => Fit::Crop,
            Layout::Episodes | Layout::Bridge | Layout::Lerobot => Fit::Squash,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Ego4d => "an Ego4D manifest",
            Layout::Frames => "folders of numbered images",
            Layout::Videos => "videos",
            Layout::Episodes => "recorded episodes",
            Layout::Bridge => "Bridge's raw trajectories",
            Layout::Lerobot => "a LeRobot v3.0 data set",
        })
    }
}

/// Options for opening clips.
#[derive(Clone, Debug, PartialEq)]
pub struct Opening {
    /// Side of the frames \[pixels\].
    pub size: u32,
    /// Memory for decoded frames.
    pub cache: Cache,
    /// Camera of episodes, trajectories and LeRobot data sets.
    pub camera: Camera,
    /// How images become frames; without it: by the layout ([`Layout::fit`]).
    pub fit: Option<Fit>,
    /// A second folder in which a manifest's paths may be, besides the manifest's own.
    pub root: Option<PathBuf>,
    /// The ffmpeg program that decodes videos; without it, the one found.
    pub ffmpeg: Option<PathBuf>,
}

impl Opening {
    /// The first camera, the layout's fit, no second folder.
    pub fn new(size: u32, cache: Cache) -> Self {
        Self { size, cache, camera: Camera::default(), fit: None, root: None, ffmpeg: None }
    }
}

/// Clips, and remarks on them.
pub struct Opened {
    /// The clips.
    pub clips: Box<dyn Clips>,
    /// Detected layout.
    pub layout: Layout,
    /// Remarks on what was left out or is odd.
    pub remarks: Vec<String>,
    path: PathBuf,
}

impl Opened {
    /// One line: layout and number of clips and frames.
    pub fn summary(&self) -> String {
        let frames: usize = (0..self.clips.len()).map(|clip| self.clips.frames(clip)).sum();
        let clips = self.clips.len();
        format!("{}: {}: {clips} clips, {frames} frames", self.path.display(), self.layout)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("summary", &self.summary()).field("remarks", &self.remarks).finish()
    }
}

/// Opens the clips at `path` as frames of `size` x `size`, and logs what was found.
pub fn open(path: &Path, size: u32, cache: Cache) -> anyhow::Result<Box<dyn Clips>> {
    let opened = open_with(path, &Opening::new(size, cache))?;
    tracing::info!("{}", opened.summary());
    opened.remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
    Ok(opened.clips)
}

/// Opens the clips at `path`.
pub fn open_with(path: &Path, opening: &Opening) -> anyhow::Result<Opened> {
    let mut remarks = Vec::new();
    let (layout, source) = recognize(path, opening, &mut remarks)?;
    let fit = opening.fit.unwrap_or(layout.fit());
    let form = Form { size: opening.size, fit, limit: opening.cache.bytes };
    let clips = load(source, form, &mut remarks)?;
    if remarks.len() > MOST_REMARKS {
        let more = remarks.len() - MOST_REMARKS;
        remarks.truncate(MOST_REMARKS);
        remarks.push(format!("{}: and {more} more such remarks", path.display()));
    }
    Ok(Opened { clips, layout, remarks, path: path.to_path_buf() })
}

fn recognize(path: &Path, opening: &Opening, remarks: &mut Vec<String>) -> anyhow::Result<(Layout, Box<dyn Source>)> {
    ensure!(path.exists(), "{}: there is no such file or folder; correct the path to the clips", path.display());
    let is_manifest = path.is_file() && path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let manifest = if is_manifest { path.to_path_buf() } else { path.join(ego4d::MANIFEST) };
    if manifest.is_file() {
        let source = ego4d::open(&manifest, opening.root.as_deref(), remarks)?;
        return Ok((Layout::Ego4d, Box::new(source)));
    }
    if path.join("meta/info.json").is_file() {
        return Ok((Layout::Lerobot, lerobot(path, opening)?));
    }
    let found = walk(path)?;
    remarks.extend(found.remarks);
    let layouts = [
        (Layout::Frames, found.frames.len()),
        (Layout::Videos, found.videos.len()),
        (Layout::Bridge, found.trajectories.len()),
        (Layout::Episodes, found.episodes.len()),
    ];
    let there: Vec<_> = layouts.into_iter().filter(|(_, count)| *count > 0).collect();
    match there[..] {
        [(Layout::Frames, _)] => Ok((Layout::Frames, Box::new(frames::open(found.frames, remarks)))),
        [(Layout::Videos, _)] => Ok((Layout::Videos, videos(found.videos, opening)?)),
        [(Layout::Bridge, _)] => {
            let source = bridge::open(&found.trajectories, &opening.camera, remarks)?;
            Ok((Layout::Bridge, Box::new(source)))
        }
        [(Layout::Episodes, _)] => {
            Ok((Layout::Episodes, Box::new(episodes::open(found.episodes, opening.camera.clone()))))
        }
        [] => bail!(
            "{}: no clips were recognized; supported are a manifest.csv of numbered frames (Ego4D), folders of numbered \
             images (0.png, 000000.jpg), videos (mp4, m4v, mov, webm, mkv, avi), recorded episodes (.mcap), Bridge's raw \
             trajectories (images0/im_0.jpg) and LeRobot v3.0 (meta/info.json)",
            path.display()
        ),
        _ => {
            let there: Vec<String> = there.iter().map(|(layout, count)| format!("{layout} ({count})")).collect();
            let there = there.join(" and ");
            bail!("{}: found {there}, expected one kind; name the folder of one of them", path.display())
        }
    }
}

#[cfg(feature = "exchange")]
fn lerobot(root: &Path, opening: &Opening) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(super::lerobot::open(root, &opening.camera, opening.ffmpeg.as_deref())?))
}

#[cfg(feature = "exchange")]
fn videos(paths: Vec<PathBuf>, opening: &Opening) -> anyhow::Result<Box<dyn Source>> {
    Ok(Box::new(super::videos::open(paths, opening.ffmpeg.as_deref())?))
}

#[cfg(not(feature = "exchange"))]
fn lerobot(root: &Path, _: &Opening) -> anyhow::Result<Box<dyn Source>> {
    bail!("{}: LeRobot data sets need the feature `exchange`, which this program was built without", root.display())
}

#[cfg(not(feature = "exchange"))]
fn videos(paths: Vec<PathBuf>, _: &Opening) -> anyhow::Result<Box<dyn Source>> {
    let first = paths.first().map_or(String::new(), |path| path.display().to_string());
    bail!("{first}: videos need the feature `exchange`, which this program was built without")
}

//! Videos, each a clip, decoded by ffmpeg.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::picture::Picture;
use super::source::{Listed, Source, Take};
use super::walk::container;
use visuomotor_records::exchange::{VideoReader, find_ffmpeg};
use visuomotor_records::recording::Decoded;

/// Some videos.
pub(super) struct Videos {
    listed: Vec<Listed>,
    paths: Vec<PathBuf>,
    ffmpeg: PathBuf,
}

/// The fix without ffmpeg.
pub(super) const WITHOUT: &str = "install ffmpeg (Debian: apt-get install ffmpeg) or name one (ffmpeg), or make folders of \
                                  numbered images of the videos on another machine";

/// Makes a clip of each video, decoded by `ffmpeg` or the one found.
pub(super) fn open(paths: Vec<PathBuf>, ffmpeg: Option<&Path>) -> anyhow::Result<Videos> {
    let first = paths.first().map_or(String::new(), |path| path.display().to_string());
    let ffmpeg = find_ffmpeg(ffmpeg).map_err(|error| anyhow!("{first}: videos need ffmpeg: {error}; {WITHOUT}"))?;
    let listed = |path: &PathBuf| Listed { name: path.display().to_string(), frames: None };
    Ok(Videos { listed: paths.iter().map(listed).collect(), paths, ffmpeg })
}

impl Source for Videos {
    fn clips(&self) -> &[Listed] {
        &self.listed
    }

    fn is_sequential(&self) -> bool {
        true
    }

    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()> {
        let path = &self.paths[clip];
        // Only files with such an extension count as videos.
        let container = container(path).with_context(|| format!("{}: no video", path.display()))?;
        let mut reader = VideoReader::open_at(&self.ffmpeg, path, container, 0.0)?;
        for index in 0..frames.end {
            let Some(Decoded { width, height, pixels }) = reader.read()? else { return Ok(reader.finish()?) };
            if index >= frames.start {
                take(Picture { width, height, pixels })?;
            }
        }
        Ok(())
    }
}

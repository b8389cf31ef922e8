//! LeRobot v3.0 data sets of any robot: the images of one camera; states and actions are ignored.

use std::ops::Range;
use std::path::Path;

use anyhow::anyhow;

use super::Camera;
use super::picture::Picture;
use super::source::{Listed, Source, Take};
use super::videos::WITHOUT;
use visuomotor_records::exchange::{ExchangeError, LerobotFrames};
use visuomotor_records::recording::Decoded;

/// The episodes of a data set.
pub(super) struct Lerobot {
    listed: Vec<Listed>,
    frames: LerobotFrames,
}

/// Opens a data set; videos are decoded with `ffmpeg`, or the one found.
pub(super) fn open(root: &Path, camera: &Camera, ffmpeg: Option<&Path>) -> anyhow::Result<Lerobot> {
    let choose = |names: &[String]| match camera {
        Camera::Index(index) => Some(*index),
        Camera::Name(name) => names.iter().position(|known| known == name),
    };
    let frames = LerobotFrames::open(root, &choose, ffmpeg).map_err(|error| match error {
        ExchangeError::Ffmpeg { .. } => anyhow!("{}: its images are videos: {error}; {WITHOUT}", root.display()),
        error => error.into(),
    })?;
    let listed = (0..frames.episodes()).filter_map(|place| frames.episode(place)).map(|(number, length)| Listed {
        name: format!("{}: episode {number}", root.display()),
        frames: usize::try_from(length).ok(),
    });
    Ok(Lerobot { listed: listed.collect(), frames })
}

impl Source for Lerobot {
    fn clips(&self) -> &[Listed] {
        &self.listed
    }

    fn is_sequential(&self) -> bool {
        true
    }

    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()> {
        let mut index = 0;
        self.frames.read(clip, &mut |Decoded { width, height, pixels }| {
            index += 1;
            if frames.contains(&(index - 1)) { take(Picture { width, height, pixels }) } else { Ok(()) }
        })
    }
}

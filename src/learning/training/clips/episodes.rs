//! Our recordings: one frame per policy step.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::Context;

use super::Camera;
use super::picture::Picture;
use super::source::{Listed, Source, Take};
use visuomotor_records::recording::read_episode;

/// The images of one camera of these recordings.
pub(super) struct Episodes {
    listed: Vec<Listed>,
    paths: Vec<PathBuf>,
    camera: Camera,
}

/// Makes a clip of each recording.
pub(super) fn open(paths: Vec<PathBuf>, camera: Camera) -> Episodes {
    let listed = |path: &PathBuf| Listed { name: path.display().to_string(), frames: None };
    Episodes { listed: paths.iter().map(listed).collect(), paths, camera }
}

impl Source for Episodes {
    fn clips(&self) -> &[Listed] {
        &self.listed
    }

    fn is_sequential(&self) -> bool {
        true
    }

    fn decode(&self, clip: usize, frames: Range<usize>, take: &mut Take<'_>) -> anyhow::Result<()> {
        let path = &self.paths[clip];
        let episode = read_episode(path)?;
        for step in episode.steps.iter().take(frames.end).skip(frames.start) {
            let image = match &self.camera {
                Camera::Index(index) => step.images.get(*index),
                Camera::Name(name) => step.images.iter().find(|image| *image.camera == **name),
            };
            let image = image.with_context(|| {
                let names: Vec<&str> = step.images.iter().map(|image| &*image.camera).collect();
                format!(
                    "{}: step {}: no image of camera {}, but of {}; choose another camera",
                    path.display(),
                    step.index,
                    self.camera,
                    if names.is_empty() { "none".into() } else { names.join(", ") }
                )
            })?;
            let image = image.decode().with_context(|| format!("{}: step {}", path.display(), step.index))?;
            take(Picture { width: image.width, height: image.height, pixels: image.pixels.to_vec() })?;
        }
        Ok(())
    }
}

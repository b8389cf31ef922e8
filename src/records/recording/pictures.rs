//! Thumbnails of an episode for reports, in memory.

use super::RecordingError;
use super::picture::JpegMaker;
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

/// Keeps small JPEGs of the policy's camera: the first step, every k-th, and the last (once the episode ended).
#[derive(Debug)]
pub struct Pictures {
    every: u64,
    largest: (u32, u32),
    quality: u8,
    maker: Option<JpegMaker>,
    began: Option<Timestamp>,
    /// The newest image, if it was not kept.
    newest: Option<Image>,
    kept: Vec<(f64, Vec<u8>)>,
}

impl Pictures {
    /// An image every `every` steps (0 and 1: each), fitted into 160x120 pixels, JPEG quality 80.
    pub fn every(every: u64) -> Self {
        Self::with_size(every, (160, 120), 80)
    }

    /// An image every `every` steps (0 and 1: each), fitted into `largest` (width, height \[pixels\]) with its own
    /// aspect ratio, never enlarged; JPEG quality 1..=100.
    pub fn with_size(every: u64, largest: (u32, u32), quality: u8) -> Self {
        Self {
            every: every.max(1),
            largest: (largest.0.max(1), largest.1.max(1)),
            quality: quality.clamp(1, 100),
            maker: None,
            began: None,
            newest: None,
            kept: Vec::new(),
        }
    }

    /// The images of the last episode: time since the first image \[s\] and the JPEG file.
    pub fn taken(&self) -> Vec<(f64, Vec<u8>)> {
        self.kept.clone()
    }

    /// The images, without a copy.
    pub fn into_taken(self) -> Vec<(f64, Vec<u8>)> {
        self.kept
    }

    fn keep(&mut self, image: &Image) -> Result<(), RecordingError> {
        let began = *self.began.get_or_insert(image.captured_at);
        let (quality, size) = (self.quality, fit((image.width, image.height), self.largest));
        let jpeg = self.maker.get_or_insert_with(|| JpegMaker::new(quality, Some(size))).encode(image)?;
        self.kept.push((image.captured_at.since(began).as_secs_f64(), jpeg));
        Ok(())
    }
}

/// The largest size with the aspect ratio of `size` that fits into `largest` without enlarging \[pixels\].
fn fit(size: (u32, u32), largest: (u32, u32)) -> (u32, u32) {
    let scale =
        (f64::from(largest.0) / f64::from(size.0.max(1))).min(f64::from(largest.1) / f64::from(size.1.max(1))).min(1.0);
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    (scaled(size.0), scaled(size.1))
}

impl StepSink for Pictures {
    fn episode_started(&mut self, _: &EpisodeStart) -> Result<(), SinkError> {
        *self = Self::with_size(self.every, self.largest, self.quality);
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        let Some(image) = step.observation.images.first() else { return Ok(()) };
        if step.index.is_multiple_of(self.every) || self.kept.is_empty() {
            self.newest = None;
            return Ok(self.keep(image)?);
        }
        // Pixels are shared, not copied.
        self.newest = Some(image.clone());
        Ok(())
    }

    fn control_tick(&mut self, _: &ControlTick) -> Result<(), SinkError> {
        Ok(())
    }

    fn episode_ended(&mut self, _: &EpisodeEnd) -> Result<(), SinkError> {
        match self.newest.take() {
            Some(image) => Ok(self.keep(&image)?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_fitted_with_their_aspect_ratio_and_never_enlarged() {
        assert_eq!(fit((640, 480), (160, 120)), (160, 120));
        assert_eq!(fit((1280, 720), (160, 120)), (160, 90));
        assert_eq!(fit((128, 128), (160, 120)), (120, 120));
        assert_eq!(fit((32, 24), (160, 120)), (32, 24));
    }
}

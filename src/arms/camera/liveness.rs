//! Is a camera alive? Judged by what its images show, how they are numbered and when they were taken. Pure: time is an argument.
//!
//! A camera that hangs may go on sending its last image, with new stamps and new numbers. Where a sensor adds noise, two images of
//! one scene are never equal to the byte. Where nothing adds noise (a simulated camera), equal images are a fault only when the arm
//! moved meanwhile. The rules:
//!
//! | fault | rule |
//! |---|---|
//! | silent | a streaming camera sent nothing new for 3 of its periods, or for longer than the oldest usable image |
//! | frozen | 3 images in a row are equal, and the sensor promises noise or a joint moved 0.05 rad since the first of them |
//! | black, saturated, flat | nothing can be seen: nearly all pixels dark, nearly all saturated, or all alike |
//! | size | another size than the camera's first image, or fewer or more bytes than its size needs |
//! | back, future | the capture time is not after the previous image's, or is later than now |
//!
//! The age of an image is checked by [`super::check_age`].

use std::time::Duration;

use super::content::Content;
use visuomotor_core::config::CameraSetting;
use visuomotor_core::observation::{Image, JointVector};
use visuomotor_core::time::Timestamp;

/// Periods without a new image after which a camera is silent.
const SILENT_PERIODS: u32 = 3;
/// Least silence limit: images are polled every 20 ms.
const SILENT_SOONEST: Duration = Duration::from_millis(60);
/// Images before the learned period is used.
const LEARN: u32 = 8;
/// Equal images in a row that are a fault.
const FROZEN_IMAGES: u32 = 3;
/// Joint motion that changes what the camera sees \[rad\].
const MOVED: f64 = 0.05;
/// Share of dark pixels from which an image is black \[1\].
const BLACK: f64 = 0.98;
/// Share of saturated pixels that makes an image useless \[1\].
const SATURATED: f64 = 0.9;
/// Standard deviation of brightness below which an image shows nothing \[0..255\].
const FLAT: f64 = 1.5;
/// Tolerance for a capture time after now: the arm's thread may stamp a snapshot after a decision began.
const AHEAD: Duration = Duration::from_millis(100);

/// Does sensor noise make two images of a static scene differ?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SensorNoise {
    /// Not guaranteed: equal images are a fault only while the arm moves.
    #[default]
    Unknown,
    /// Always: equal images are a fault.
    Promised,
}

/// How a camera delivers images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// On request: each request renders one, and the camera is never silent.
    #[default]
    OnDemand,
    /// As a stream: requesting the newest costs nothing.
    Stream {
        /// Time between two images; learned where it is not set.
        period: Option<Duration>,
    },
}

/// What a camera guarantees, and the limits for recovering from its faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LivenessSettings {
    /// Whether its sensor noise can be relied on.
    pub noise: SensorNoise,
    /// How images are delivered.
    pub delivery: Delivery,
    /// Good new images in a row before the arm moves again.
    pub good_images: u32,
    /// How long the arm holds for the camera before the episode ends.
    pub patience: Duration,
}

impl Default for LivenessSettings {
    fn default() -> Self {
        Self {
            noise: SensorNoise::default(),
            delivery: Delivery::default(),
            good_images: 3,
            patience: Duration::from_secs(5),
        }
    }
}

impl LivenessSettings {
    /// A streaming camera with the launch file's settings.
    pub fn streaming(setting: &CameraSetting) -> Self {
        let period = setting.rate_hz.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            noise: if setting.sensor_noise { SensorNoise::Promised } else { SensorNoise::Unknown },
            delivery: Delivery::Stream { period },
            good_images: setting.good_images,
            patience: Duration::from_secs_f64(setting.patience),
        }
    }
}

/// Why an image must not be used for a decision.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// No new image.
    #[error("no new image for {seconds:.3} s, the limit is {limit:.3} s; is its driver running, is its cable in?")]
    Silent {
        /// Time since the newest image \[s\].
        seconds: f64,
        /// Limit \[s\].
        limit: f64,
    },
    /// The same image repeated.
    #[error(
        "{images} images in a row are the same to the last pixel, while a joint moved {moved:.3} rad: it is frozen; restart \
         its driver or plug it in again"
    )]
    Frozen {
        /// Number of equal images.
        images: u32,
        /// Farthest a joint moved since the first of them \[rad\].
        moved: f64,
    },
    /// Black image.
    #[error("{:.0} % of the image is black, the limit is {:.0} %; is the lens covered, is it dark?", .share * 100.0, BLACK * 100.0)]
    Black {
        /// Share of dark pixels \[1\].
        share: f64,
    },
    /// Saturated image.
    #[error("{:.0} % of the image is saturated, the limit is {:.0} %; lower the exposure or the light", .share * 100.0, SATURATED * 100.0)]
    Saturated {
        /// Share of saturated pixels \[1\].
        share: f64,
    },
    /// One color all over.
    #[error(
        "the image is one color all over: brightness varies by {contrast:.2} of 255, at least {} is expected",
        FLAT
    )]
    Flat {
        /// Standard deviation of brightness \[0..255\].
        contrast: f64,
    },
    /// Another size than the first image, or a number of bytes that does not fit the size.
    #[error("the image is {width}x{height} with {bytes} bytes, expected {}x{}; set the camera's profile", .expected.0, .expected.1)]
    Size {
        /// Columns \[pixels\].
        width: u32,
        /// Rows \[pixels\].
        height: u32,
        /// Bytes of its pixels.
        bytes: usize,
        /// Columns and rows of its first image \[pixels\].
        expected: (u32, u32),
    },
    /// Captured no later than an earlier image.
    #[error("a new image was taken {seconds:.3} s before the one that came earlier; restart the camera's driver")]
    Back {
        /// How far back \[s\].
        seconds: f64,
    },
    /// Captured after now.
    #[error("the image's capture time lies {seconds:.3} s in the future; its clock is wrong")]
    Future {
        /// How far ahead \[s\].
        seconds: f64,
    },
}

/// An image that may be used for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Another image than at the last check.
    New,
    /// The same image as at the last check.
    Same,
}

/// The newest image that was checked.
#[derive(Clone, Copy, Debug)]
struct Seen {
    sequence: u64,
    captured_at: Timestamp,
    at: Timestamp,
    /// Result of its check; reported again at each call.
    fault: Option<ImageFault>,
}

/// Equal images so far.
#[derive(Clone, Copy, Debug)]
struct Equal {
    fingerprint: u64,
    images: u32,
    /// Where the joints were at the first of them \[rad\].
    joints: JointVector,
}

/// Watches the images of one camera.
#[derive(Clone, Debug)]
pub struct Liveness {
    noise: SensorNoise,
    delivery: Delivery,
    /// Oldest image a decision may use \[s\].
    max_age: f64,
    seen: Option<Seen>,
    equal: Option<Equal>,
    size: Option<(u32, u32)>,
    learned: Duration,
    lessons: u32,
    /// Opened again, and nothing new came since: image numbers restart.
    reopened: bool,
}

impl Liveness {
    /// No image checked yet. `max_age` is the oldest image a decision may use \[s\].
    pub fn new(settings: &LivenessSettings, max_age: f64) -> Self {
        Self {
            noise: settings.noise,
            delivery: settings.delivery,
            max_age,
            seen: None,
            equal: None,
            size: None,
            learned: Duration::ZERO,
            lessons: 0,
            reopened: false,
        }
    }

    /// Checks the camera's newest image at `now`; `joints` are the arm's joint positions \[rad\].
    pub fn check(&mut self, image: &Image, now: Timestamp, joints: &JointVector) -> Result<Freshness, ImageFault> {
        let renumbered = self.reopened;
        let same =
            |seen: &Seen| seen.captured_at == image.captured_at && (seen.sequence == image.sequence || renumbered);
        if let Some(seen) = self.seen.filter(same) {
            let since = now.since(seen.at);
            return match (seen.fault, self.silence_limit()) {
                (Some(fault), _) => Err(fault),
                (None, Some(limit)) if since > limit => {
                    Err(ImageFault::Silent { seconds: since.as_secs_f64(), limit: limit.as_secs_f64() })
                }
                (None, _) => Ok(Freshness::Same),
            };
        }
        self.reopened = false;
        let before = self.seen;
        let fault = self.inspect(image, now, joints, before.as_ref());
        self.seen = Some(Seen { sequence: image.sequence, captured_at: image.captured_at, at: now, fault });
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(before) = before.filter(|_| !renumbered) {
            self.learn(&before, image);
        }
        Ok(Freshness::New)
    }

    /// After the camera was opened again: image numbers restart. The last image's content and capture time are kept, so that a
    /// camera whose firmware is frozen is detected again.
    pub fn reopened(&mut self) {
        self.reopened = true;
    }

    /// Longest allowed silence; `None` before the period is known, and for a camera that delivers on request.
    pub fn silence_limit(&self) -> Option<Duration> {
        let Delivery::Stream { period } = self.delivery else { return None };
        let period = period.or_else(|| (self.lessons >= LEARN).then_some(self.learned))?;
        let oldest = Duration::try_from_secs_f64(self.max_age).unwrap_or(Duration::ZERO);
        Some((period * SILENT_PERIODS).max(SILENT_SOONEST).min(oldest))
    }

    fn inspect(
        &mut self,
        image: &Image,
        now: Timestamp,
        joints: &JointVector,
        before: Option<&Seen>,
    ) -> Option<ImageFault> {
        let (width, height, bytes) = (image.width, image.height, image.pixels.len());
        let expected = *self.size.get_or_insert((width, height));
        let full = width as usize * height as usize * 3;
        if expected != (width, height) || bytes != full || full == 0 {
            return Some(ImageFault::Size { width, height, bytes, expected });
        }
        let ahead = image.captured_at.since(now);
        if ahead > AHEAD {
            return Some(ImageFault::Future { seconds: ahead.as_secs_f64() });
        }
        if let Some(before) = before.filter(|before| image.captured_at <= before.captured_at) {
            return Some(ImageFault::Back { seconds: before.captured_at.since(image.captured_at).as_secs_f64() });
        }
        let content = Content::of(&image.pixels);
        // Written so that NaN is a fault.
        if !(content.dark < BLACK) {
            return Some(ImageFault::Black { share: content.dark });
        }
        if !(content.bright < SATURATED) {
            return Some(ImageFault::Saturated { share: content.bright });
        }
        if !(content.contrast >= FLAT) {
            return Some(ImageFault::Flat { contrast: content.contrast });
        }
        self.repeats(content.fingerprint, joints)
    }

    /// Counts equal images.
    fn repeats(&mut self, fingerprint: u64, joints: &JointVector) -> Option<ImageFault> {
        match self.equal.as_mut().filter(|equal| equal.fingerprint == fingerprint) {
            None => {
                self.equal = Some(Equal { fingerprint, images: 1, joints: *joints });
                None
            }
            Some(equal) => {
                equal.images = equal.images.saturating_add(1);
                let moved = equal.joints.iter().zip(joints.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let promised = self.noise == SensorNoise::Promised;
                (equal.images >= FROZEN_IMAGES && (promised || moved >= MOVED))
                    .then_some(ImageFault::Frozen { images: equal.images, moved })
            }
        }
    }

    /// Learns the period from two consecutive images.
    fn learn(&mut self, before: &Seen, image: &Image) {
        let between = image.captured_at.since(before.captured_at);
        let count = image.sequence.saturating_sub(before.sequence).clamp(1, 1000) as u32;
        let period = between / count;
        // A pause is not a usual period.
        if self.lessons >= LEARN && period > self.learned * SILENT_PERIODS {
            return;
        }
        self.lessons = self.lessons.saturating_add(1);
        let (old, weight) = (self.learned.as_secs_f64(), 1.0 / f64::from(self.lessons.min(LEARN)));
        self.learned = Duration::from_secs_f64((old + (period.as_secs_f64() - old) * weight).max(0.0));
    }
}

#[cfg(test)]
#[path = "liveness_tests.rs"]
mod tests;

//! Cameras behind one trait: the newest image with its capture time.
//!
//! [`liveness`] checks whether an image may be used, [`watch`] handles faults, [`stamps`] computes capture times.

// `!(x < max)` is not `x >= max`: both comparisons are false for NaN.
#![allow(clippy::neg_cmp_op_on_partial_ord)]

pub mod content;
pub mod liveness;
#[cfg(feature = "ros2")]
pub mod ros2;
pub mod stamps;
pub mod watch;

use visuomotor_core::failure::{Failing, FailureKind};
use visuomotor_core::observation::Image;
use visuomotor_core::time::Timestamp;

pub use liveness::{Delivery, ImageFault, Liveness, LivenessSettings, SensorNoise};
pub use watch::{CameraStatus, CameraWatch};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// No image yet, or none for too long.
    #[error("camera `{camera}` gives no image: {why}")]
    Silent {
        /// Camera name.
        camera: String,
        /// Details.
        why: String,
    },
    /// The newest image is too old to use.
    #[error("camera `{camera}`: the newest image is {age:.3} s old, the limit is {limit:.3} s")]
    Stale {
        /// Camera name.
        camera: String,
        /// Age \[s\].
        age: f64,
        /// Limit \[s\].
        limit: f64,
    },
    /// The newest image failed the liveness checks.
    #[error("camera `{camera}`: {fault}")]
    Unusable {
        /// Camera name.
        camera: String,
        /// What is wrong with it.
        fault: ImageFault,
    },
    /// Messages are rejected before they become images.
    #[error("camera `{camera}`: the last {count} messages were refused: {why}")]
    Refused {
        /// Camera name.
        camera: String,
        /// Messages in a row.
        count: u64,
        /// Why the newest message was rejected.
        why: String,
    },
    /// The arm held for the camera as long as it may.
    #[error(
        "{fault}; the arm held for camera `{camera}` for {held:.1} s, the limit is {limit:.1} s (`patience` of its \
         [[camera]]): mend the camera, then start again"
    )]
    Lost {
        /// Camera name.
        camera: String,
        /// The last fault, as text.
        fault: String,
        /// How long the arm held \[s\].
        held: f64,
        /// Limit \[s\].
        limit: f64,
    },
}

impl Failing for CameraError {
    fn failure(&self) -> FailureKind {
        FailureKind::Machine
    }
}

/// A camera.
pub trait Camera {
    /// Name, as in the launch file.
    fn name(&self) -> &str;
    /// The newest image at `now`; its capture time gives its age.
    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError>;
    /// What its images guarantee, and how long the arm waits for them. Default: rendered on request, without noise.
    fn liveness(&self) -> LivenessSettings {
        LivenessSettings::default()
    }
    /// Closes and reopens it, after a fault that lasts; image numbers restart. By default there is nothing to open.
    fn reopen(&mut self) -> Result<(), CameraError> {
        Ok(())
    }
}

/// Refuses an image older than `limit` seconds at `now`.
pub fn check_age(image: &Image, now: Timestamp, limit: f64) -> Result<(), CameraError> {
    let age = now.since(image.captured_at).as_secs_f64();
    // Written so that a NaN limit refuses.
    if age <= limit {
        return Ok(());
    }
    Err(CameraError::Stale { camera: image.camera.to_string(), age, limit })
}

//! Cameras behind one trait: the newest image with its capture time.

#[cfg(feature = "ros2")]
pub mod ros2;

use crate::observation::Image;
use crate::time::Timestamp;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CameraError {
    /// No image yet, or none for too long.
    #[error("camera `{camera}` gives no image: {why}")]
    Silent {
        /// Camera name.
        camera: String,
        /// What is known.
        why: String,
    },
    /// The newest image is too old to decide on.
    #[error("camera `{camera}`: the newest image is {age:.3} s old, the limit is {limit:.3} s")]
    Stale {
        /// Camera name.
        camera: String,
        /// Age \[s\].
        age: f64,
        /// Limit \[s\].
        limit: f64,
    },
}

/// A camera.
pub trait Camera {
    /// Name, as in the launch file.
    fn name(&self) -> &str;
    /// The newest image at `now`; its own stamp tells how old it is.
    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError>;
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

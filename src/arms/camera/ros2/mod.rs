//! A camera behind a `sensor_msgs/Image` topic: the newest image as RGB, with the time it was taken on our clock.
//!
//! Accepts `rgb8`, `bgr8` and `mono8`. Anything else, a wrong size or step, or truncated data is counted as a [`PictureError`] and
//! never becomes an image. Its own thread receives; [`RosCamera::newest`] only reads the result.
//!
//! The capture time comes from the message's stamp ([`super::stamps`]); a message whose stamp does not advance is rejected as well.
//! Three rejected messages in a row are a fault, however recent the last good image.

mod pixels;
mod receiver;
mod stamp;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::stamps::Stamps;
use super::{Camera, CameraError, Delivery, LivenessSettings};
use crate::transport::ros2::{RosError, RosNode};
use visuomotor_core::config::{CameraSetting, ImageClock};
use visuomotor_core::observation::Image;
use visuomotor_core::time::{Clock, Timestamp};

pub use pixels::{PictureError, rgb};
pub use stamp::stamp;

use receiver::{Receiving, lock};

/// How a camera's images are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RosCameraOptions {
    /// Required size of images (columns, rows) \[pixels\], from the calibration; `None` accepts any.
    pub size: Option<(u32, u32)>,
    /// Which clock the stamps are from.
    pub clock: ImageClock,
    /// Age of an image on arrival, where its stamp cannot give it.
    pub latency: Duration,
    /// What the images guarantee.
    pub liveness: LivenessSettings,
}

impl Default for RosCameraOptions {
    fn default() -> Self {
        Self {
            size: None,
            clock: ImageClock::Auto,
            latency: Duration::from_millis(50),
            liveness: LivenessSettings { delivery: Delivery::Stream { period: None }, ..LivenessSettings::default() },
        }
    }
}

impl RosCameraOptions {
    /// From the launch file, for images of the calibration's size \[pixels\].
    pub fn of(setting: &CameraSetting, size: (u32, u32)) -> Self {
        Self {
            size: Some(size),
            clock: setting.clock,
            latency: Duration::from_secs_f64(setting.latency),
            liveness: LivenessSettings::streaming(setting),
        }
    }
}

/// Messages rejected in a row after which the last good image is no longer used.
const REFUSED_IN_A_ROW: u64 = 3;

/// A camera behind a topic.
pub struct RosCamera {
    node: RosNode,
    name: Arc<str>,
    topic: String,
    options: RosCameraOptions,
    clock: Arc<dyn Clock>,
    /// Kept when the camera is opened again: an old image stays old.
    stamps: Arc<Mutex<Stamps>>,
    receiving: Receiving,
}

impl RosCamera {
    /// Subscribes to a topic.
    pub fn open(
        node: &RosNode,
        name: &str,
        topic: &str,
        options: RosCameraOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RosError> {
        let name: Arc<str> = name.into();
        let stamps = Arc::new(Mutex::new(Stamps::new(options.clock, options.latency)));
        let receiving = Receiving::start(node, &name, topic, options.size, &clock, &stamps)?;
        Ok(Self { node: node.clone(), name, topic: topic.into(), options, clock, stamps, receiving })
    }

    /// Messages rejected so far, and why the last one was.
    pub fn refused(&self) -> (u64, Option<PictureError>) {
        let latest = lock(&self.receiving.latest);
        (latest.refused, latest.last_refusal.clone())
    }
}

impl Camera for RosCamera {
    fn name(&self) -> &str {
        &self.name
    }

    fn newest(&mut self, _now: Timestamp) -> Result<Image, CameraError> {
        let latest = lock(&self.receiving.latest);
        let count = latest.refused_in_a_row;
        if let Some(error) = latest.last_refusal.as_ref().filter(|_| count >= REFUSED_IN_A_ROW) {
            return Err(CameraError::Refused { camera: self.name.to_string(), count, why: error.to_string() });
        }
        if let Some(image) = &latest.image {
            return Ok(image.clone());
        }
        let why = match &latest.last_refusal {
            Some(error) => format!("{} refused; {error}", latest.refused),
            None => latest.silence.clone(),
        };
        Err(CameraError::Silent { camera: self.name.to_string(), why })
    }

    fn liveness(&self) -> LivenessSettings {
        self.options.liveness
    }

    /// With a new DDS participant: it may receive what the old one no longer could.
    fn reopen(&mut self) -> Result<(), CameraError> {
        let failed = |error: RosError| CameraError::Silent {
            camera: self.name.to_string(),
            why: format!("it cannot be opened again: {error}"),
        };
        let node = RosNode::start(self.node.settings().clone()).map_err(failed)?;
        let receiving = Receiving::start(&node, &self.name, &self.topic, self.options.size, &self.clock, &self.stamps)
            .map_err(failed)?;
        let old = (std::mem::replace(&mut self.receiving, receiving), std::mem::replace(&mut self.node, node));
        // Not waited for: a participant that does not respond may take long to end.
        let ended = std::thread::Builder::new().name("ros-camera-end".into()).spawn(move || drop(old));
        if let Err(error) = ended {
            tracing::warn!("the old participant of camera `{}` was ended at once: {error}", self.name);
        }
        Ok(())
    }
}

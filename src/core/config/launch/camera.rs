//! A `[[camera]]` table.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// One camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSetting {
    /// Name, as in recordings.
    pub name: String,
    /// ROS 2 image topic, for an arm that is not simulated in this process; default the RealSense wrapper's.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Calibration file.
    pub calibration: PathBuf,
    /// Size the simulated camera renders at.
    #[serde(default)]
    pub rendering: Rendering,
    /// Maximum image age for a decision \[s\].
    #[serde(default = "default_max_age")]
    pub max_age: f64,
    /// Images per second of a camera that is not simulated in this process \[Hz\]; measured by default. The camera counts as
    /// silent after three periods without an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f64>,
    /// Does sensor noise make any two images of a static scene differ? Then equal images are always a fault, not only while
    /// the arm moves. True for a real sensor without much compression; never for a simulated one.
    #[serde(default)]
    pub sensor_noise: bool,
    /// Clock of its stamps.
    #[serde(default)]
    pub clock: ImageClock,
    /// Age of an image on arrival \[s\], for images without a stamp or with one of another clock.
    #[serde(default = "default_latency")]
    pub latency: f64,
    /// Consecutive good new images after a fault before the arm moves again.
    #[serde(default = "default_good_images")]
    pub good_images: u32,
    /// How long the arm holds for a camera fault before the episode ends \[s\].
    #[serde(default = "default_patience")]
    pub patience: f64,
}

/// Clock of an image's stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageClock {
    /// This computer's if the first stamp is within a minute of it, else another one's.
    #[default]
    Auto,
    /// This computer's wall clock, or one synchronized with it: the stamp is the capture time.
    Ours,
    /// Another clock: stamps only give the order of images.
    Other,
}

fn default_latency() -> f64 {
    0.05
}

fn default_good_images() -> u32 {
    3
}

fn default_patience() -> f64 {
    5.0
}

fn default_topic() -> String {
    "/camera/camera/color/image_raw".into()
}

fn default_max_age() -> f64 {
    0.3
}

/// Size the simulated camera renders at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// At the camera's size, as from the real one; the policy's preprocessing scales it down.
    #[default]
    Camera,
    /// At the policy's size: faster, no preprocessing.
    Policy,
}

impl CameraSetting {
    /// `i` is its index in the launch file's cameras.
    pub(super) fn check(&self, path: &Path, i: usize) -> Result<(), ConfigError> {
        if !(self.max_age > 0.0 && self.max_age <= 10.0) {
            return Err(ConfigError::unfit(
                path,
                format!("camera[{i}].max_age"),
                self.max_age,
                "more than 0 and at most 10 s",
                "two policy periods are a good choice",
            ));
        }
        let refuse = |key: &str, found: String, expected: &str, fix: &str| {
            Err(ConfigError::unfit(path, format!("camera[{i}].{key}"), found, expected, fix))
        };
        if let Some(rate) = self.rate_hz.filter(|rate| !(*rate >= 1.0 && *rate <= 1000.0)) {
            return refuse("rate_hz", rate.to_string(), "1 to 1000 Hz", "leave it out: it is learned");
        }
        if !(self.latency >= 0.0 && self.latency <= self.max_age) {
            let expected = format!("0 to max_age = {} s", self.max_age);
            return refuse("latency", self.latency.to_string(), &expected, "measure it with a blinking light");
        }
        if !(1..=1000).contains(&self.good_images) {
            return refuse("good_images", self.good_images.to_string(), "1 to 1000", "3 is a good choice");
        }
        if !(self.patience >= 0.0 && self.patience <= 600.0) {
            return refuse("patience", self.patience.to_string(), "0 to 600 s", "5 s is a good choice");
        }
        Ok(())
    }
}

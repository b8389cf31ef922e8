//! A camera at 15 images a second with sensor noise; its timestamps become capture times like those of a ROS 2 camera.

use std::time::Duration;

use visuomotor::camera::stamps::Stamps;
use visuomotor::camera::{Camera, CameraError, Delivery, LivenessSettings, SensorNoise};
use visuomotor::config::ImageClock;
use visuomotor::observation::Image;
use visuomotor::time::Timestamp;

use super::fault::{BEGIN, Fault, IMAGE_PERIOD};

/// The wall clock at the start of the row \[ns since 1970\].
const WALL: i128 = 1_700_000_000_000_000_000;
/// How far it is set \[ns\].
const HOUR: i128 = 3_600_000_000_000;

pub struct Camera15 {
    fault: Fault,
    newest: Option<Image>,
    stamps: Stamps,
}

impl Camera15 {
    pub fn new(fault: Fault) -> Self {
        Self { fault, newest: None, stamps: Stamps::new(ImageClock::Auto, Duration::ZERO) }
    }

    /// The wall clock of this computer, which is the camera's too \[ns since 1970\].
    fn wall(&self, at: Timestamp) -> i128 {
        let set = match self.fault {
            _ if !self.fault.on(at) => 0,
            Fault::WallClockForward => HOUR,
            Fault::WallClockBack => -HOUR,
            _ => 0,
        };
        WALL + i128::from(at.as_nanos()) + set
    }
}

impl Camera for Camera15 {
    fn name(&self) -> &str {
        "camera"
    }

    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
        let frame = (now.as_secs_f64() / IMAGE_PERIOD).floor();
        let mut taken = Timestamp::from_secs_f64(frame * IMAGE_PERIOD);
        let faulty = self.fault.on(taken);
        let mut sequence = frame as u64 + 1;
        if matches!(self.fault, Fault::WallClockForward | Fault::WallClockBack) {
            if let Some(newest) = self.newest.as_ref().filter(|newest| newest.sequence == sequence) {
                return Ok(newest.clone());
            }
            match self.stamps.captured(Some(self.wall(taken)), now, self.wall(now)) {
                Ok(captured) => taken = captured,
                // The receiver of a ROS 2 camera refuses it: the previous one stays the newest.
                Err(error) => {
                    let silent = CameraError::Silent { camera: "camera".into(), why: error.to_string() };
                    return self.newest.clone().ok_or(silent);
                }
            }
        }
        let (width, height) = if self.fault == Fault::CameraWrongSize && faulty { (32, 16) } else { (32, 24) };
        let mut noise = sequence;
        let mut pixels: Vec<u8> = (0..width * height * 3)
            .map(|i| {
                // A gradient, and a little random noise.
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                60 + (i % 97) as u8 + (noise >> 61) as u8
            })
            .collect();
        match self.fault {
            Fault::CameraSilent | Fault::CameraRepeats if faulty => {
                return self
                    .newest
                    .clone()
                    .ok_or_else(|| CameraError::Silent { camera: "camera".into(), why: "none yet".into() });
            }
            Fault::CameraFrozen if faulty => {
                if let Some(newest) = &self.newest {
                    pixels = newest.pixels.to_vec();
                }
            }
            Fault::CameraBlack if faulty => pixels.fill(0),
            Fault::CameraSaturated if faulty => pixels.fill(255),
            Fault::CameraFlat if faulty => pixels.fill(128),
            Fault::CameraStampsBack if faulty => {
                taken = Timestamp::from_secs_f64(BEGIN - 0.3 - 0.01 * (frame - BEGIN / IMAGE_PERIOD));
            }
            Fault::CameraStampsAhead if faulty => taken = now + Duration::from_secs(3),
            Fault::CameraLate if faulty => {
                let late = (now.as_secs_f64() - 0.6) / IMAGE_PERIOD;
                taken = Timestamp::from_secs_f64(late.floor() * IMAGE_PERIOD);
                sequence = late.floor() as u64 + 1;
            }
            _ => {}
        }
        let image =
            Image { camera: "camera".into(), width, height, pixels: pixels.into(), captured_at: taken, sequence };
        if !(faulty && self.fault == Fault::CameraFrozen) {
            self.newest = Some(image.clone());
        }
        Ok(image)
    }

    fn liveness(&self) -> LivenessSettings {
        LivenessSettings {
            noise: SensorNoise::Promised,
            delivery: Delivery::Stream { period: Some(Duration::from_secs_f64(IMAGE_PERIOD)) },
            ..LivenessSettings::default()
        }
    }
}

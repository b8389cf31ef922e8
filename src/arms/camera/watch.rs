//! Handling of a faulty camera: the arm holds, the camera is reopened with growing pauses, and the arm moves again after some good
//! new images. When that takes too long the episode ends.

use std::time::Duration;

use super::liveness::{Freshness, Liveness, LivenessSettings};
use super::{Camera, CameraError, check_age};
use visuomotor_core::observation::{Image, JointVector};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// How long a fault lasts before the camera is opened again; the pause doubles each time.
const FIRST_REOPENING: Duration = Duration::from_secs(1);

/// Result of a check.
#[derive(Clone, Debug)]
pub enum CameraStatus {
    /// An image that may be used for a decision.
    Image(Image),
    /// No usable image: the arm holds until the camera has recovered.
    Hold,
}

/// A fault that lasts.
#[derive(Clone, Debug)]
struct Trouble {
    since: Timestamp,
    /// The newest reason, as text.
    words: String,
    good: u32,
    reopen_at: Timestamp,
    pause: Duration,
}

/// Watches one camera over an episode.
#[derive(Clone, Debug)]
pub struct CameraWatch {
    settings: LivenessSettings,
    max_age: f64,
    liveness: Liveness,
    trouble: Option<Trouble>,
    faults: Vec<String>,
}

impl CameraWatch {
    /// A camera without faults so far; `max_age` is the oldest image a decision may use \[s\].
    pub fn new(camera: &dyn Camera, max_age: f64) -> Self {
        let settings = camera.liveness();
        let liveness = Liveness::new(&settings, max_age);
        Self { settings, max_age, liveness, trouble: None, faults: Vec::new() }
    }

    /// Checks the camera at `now`; `joints` are the joint positions \[rad\]. An error ends the episode.
    pub fn check(
        &mut self,
        camera: &mut dyn Camera,
        now: Timestamp,
        joints: &JointVector,
    ) -> Result<CameraStatus, CameraError> {
        if !Protection::ImageLiveness.is_on() {
            let image = camera.newest(now)?;
            if Protection::ActionAge.is_on() {
                check_age(&image, now, self.max_age)?;
            }
            return Ok(CameraStatus::Image(image));
        }
        let looked = self.inspect(camera, now, joints);
        let Some(trouble) = &mut self.trouble else {
            return match looked {
                Ok((image, _)) => Ok(CameraStatus::Image(image)),
                Err(error) => {
                    self.begin(now, &error);
                    Ok(CameraStatus::Hold)
                }
            };
        };
        match looked {
            Ok((image, look)) => {
                trouble.good += u32::from(look == Freshness::New);
                if trouble.good >= self.settings.good_images {
                    let held = now.since(trouble.since).as_secs_f64();
                    self.end(camera.name(), held);
                    return Ok(CameraStatus::Image(image));
                }
            }
            Err(error) => {
                trouble.good = 0;
                trouble.words = error.to_string();
            }
        }
        let held = now.since(trouble.since);
        if held > self.settings.patience {
            return Err(CameraError::Lost {
                camera: camera.name().into(),
                fault: trouble.words.clone(),
                held: held.as_secs_f64(),
                limit: self.settings.patience.as_secs_f64(),
            });
        }
        if trouble.good == 0 && now >= trouble.reopen_at {
            trouble.pause *= 2;
            trouble.reopen_at = now + trouble.pause;
            self.liveness.reopened();
            match camera.reopen() {
                Ok(()) => tracing::warn!("camera `{}` is opened again", camera.name()),
                Err(error) => trouble.words = error.to_string(),
            }
        }
        Ok(CameraStatus::Hold)
    }

    /// Does the arm hold for this camera?
    pub fn holds(&self) -> bool {
        self.trouble.is_some()
    }

    /// Faults so far, one line for each time the arm held.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn inspect(
        &mut self,
        camera: &mut dyn Camera,
        now: Timestamp,
        joints: &JointVector,
    ) -> Result<(Image, Freshness), CameraError> {
        let image = camera.newest(now)?;
        let look = self
            .liveness
            .check(&image, now, joints)
            .map_err(|fault| CameraError::Unusable { camera: image.camera.to_string(), fault })?;
        check_age(&image, now, self.max_age)?;
        Ok((image, look))
    }

    fn begin(&mut self, now: Timestamp, error: &CameraError) {
        let words = error.to_string();
        tracing::warn!("{words}; the arm holds");
        self.faults.push(words.clone());
        self.trouble =
            Some(Trouble { since: now, words, good: 0, reopen_at: now + FIRST_REOPENING, pause: FIRST_REOPENING });
    }

    fn end(&mut self, camera: &str, held: f64) {
        tracing::warn!("camera `{camera}` is well again; the arm held for {held:.2} s");
        if let Some(told) = self.faults.last_mut() {
            told.push_str(&format!("; the arm held for {held:.2} s"));
        }
        self.trouble = None;
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;

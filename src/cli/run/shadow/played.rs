//! The arm and the cameras of a recording.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{ControlMode, JointCommand};
use crate::camera::{Camera, CameraError, LivenessSettings};
use crate::cli::run::playback::Playback;
use crate::config::Robot;
use crate::driver::{ArmDriver, Capabilities, ConnectError, DriverError};
use crate::observation::{Image, Proprioception};
use crate::time::Timestamp;

/// Follows the recorded arm and ignores its commands.
pub struct PlayedArm {
    capabilities: Capabilities,
    playback: Arc<Playback>,
}

impl PlayedArm {
    /// The arm of a recording.
    pub fn new(robot: &Robot, playback: Arc<Playback>) -> Self {
        let capabilities = Capabilities {
            robot: robot.identity.name.clone(),
            driver: "recording".into(),
            joints: robot.joint.len(),
            control_rate_hz: robot.identity.control_rate_hz,
            modes: vec![ControlMode::Position, ControlMode::Velocity, ControlMode::Torque],
        };
        Self { capabilities, playback }
    }
}

impl ArmDriver for PlayedArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, _now: Timestamp, _mode: ControlMode) -> Result<(), DriverError> {
        Ok(())
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        Ok(self.playback.read(now))
    }

    fn write(&mut self, _now: Timestamp, _command: &JointCommand) -> Result<(), DriverError> {
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        Ok(())
    }

    fn recover(&mut self, _now: Timestamp) -> Result<(), ConnectError> {
        Ok(())
    }

    fn is_driven(&self) -> bool {
        false
    }
}

/// A camera that returns recorded images.
pub struct PlayedCamera {
    name: String,
    playback: Arc<Playback>,
    /// Its index among the images of each step.
    place: Vec<usize>,
    /// The newest image and its step.
    newest: Option<(usize, Image)>,
}

impl PlayedCamera {
    /// `None` if a step has no image of it.
    pub fn new(name: &str, playback: Arc<Playback>) -> Option<Self> {
        let place = playback.steps.iter().map(|step| step.images.iter().position(|image| *image.camera == *name));
        let place = place.collect::<Option<Vec<usize>>>()?;
        Some(Self { name: name.into(), playback, place, newest: None })
    }

    fn decoded(&mut self, step: usize) -> Result<Image, CameraError> {
        if let Some((of, image)) = &self.newest
            && *of == step
        {
            return Ok(image.clone());
        }
        let image = self.playback.steps[step].images[self.place[step]].decode();
        let image = image.map_err(|error| CameraError::Silent { camera: self.name.clone(), why: error.to_string() })?;
        self.newest = Some((step, image.clone()));
        Ok(image)
    }
}

impl Camera for PlayedCamera {
    fn name(&self) -> &str {
        &self.name
    }

    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
        let image = self.decoded(self.playback.image(now, &self.place))?;
        Ok(Image { captured_at: self.playback.played(image.captured_at, now), ..image })
    }

    /// Missing steps in a recording, as during a pause, do not end it.
    fn liveness(&self) -> LivenessSettings {
        LivenessSettings { good_images: 1, patience: Duration::MAX, ..LivenessSettings::default() }
    }
}

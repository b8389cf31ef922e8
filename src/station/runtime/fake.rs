//! An ideal arm and camera with injectable faults, for tests, benches and dry runs without a simulator.
//!
//! The arm follows commands at once. The switches may be changed from any thread while a loop runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use visuomotor_arms::camera::{Camera, CameraError, LivenessSettings};
use visuomotor_arms::driver::{ArmDriver, Capabilities, ConnectError, DriverError, FaultCode};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::{Image, JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

#[derive(Debug, Default)]
struct Shared {
    silent: AtomicBool,
    frozen: AtomicBool,
    stuck: AtomicBool,
    panics: AtomicBool,
    faulty: AtomicBool,
    holds: AtomicBool,
    hold_count: AtomicU64,
    write_count: AtomicU64,
    reopen_count: AtomicU64,
    delay_nanos: AtomicU64,
    view: AtomicU8,
}

/// Faults to inject, and counters of commands.
#[derive(Clone, Debug, Default)]
pub struct Switches(Arc<Shared>);

impl Switches {
    /// The arm (or camera) sends nothing from now on.
    pub fn silence(&self, on: bool) {
        self.0.silent.store(on, Ordering::SeqCst);
    }

    /// Sets the content of the camera's images.
    pub fn show(&self, view: View) {
        self.0.view.store(view as u8, Ordering::SeqCst);
    }

    /// Sets the age of the camera's images, as in their stamps.
    pub fn delay(&self, by: Duration) {
        self.0.delay_nanos.store(by.as_nanos() as u64, Ordering::SeqCst);
    }

    /// Number of times the camera was reopened.
    pub fn reopen_count(&self) -> u64 {
        self.0.reopen_count.load(Ordering::SeqCst)
    }

    fn view(&self) -> View {
        let view = self.0.view.load(Ordering::SeqCst);
        let views = [View::Scene, View::Still, View::Black, View::White, View::Gray];
        views.into_iter().find(|known| *known as u8 == view).unwrap_or_default()
    }

    /// The camera repeats its last image with the old stamp.
    pub fn freeze(&self, on: bool) {
        self.0.frozen.store(on, Ordering::SeqCst);
    }

    /// The arm reports a fault from now on.
    pub fn fault(&self, on: bool) {
        self.0.faulty.store(on, Ordering::SeqCst);
    }

    /// The arm accepts commands and does not move.
    pub fn stick(&self, on: bool) {
        self.0.stuck.store(on, Ordering::SeqCst);
    }

    /// Reading panics from now on.
    pub fn panic(&self, on: bool) {
        self.0.panics.store(on, Ordering::SeqCst);
    }

    /// Was the arm's last command a hold?
    pub fn holds(&self) -> bool {
        self.0.holds.load(Ordering::SeqCst)
    }

    /// Number of hold commands.
    pub fn hold_count(&self) -> u64 {
        self.0.hold_count.load(Ordering::SeqCst)
    }

    /// Number of commands.
    pub fn write_count(&self) -> u64 {
        self.0.write_count.load(Ordering::SeqCst)
    }

    fn is(&self, switch: impl Fn(&Shared) -> &AtomicBool) -> bool {
        switch(&self.0).load(Ordering::SeqCst)
    }
}

/// An arm that follows position commands at once.
#[derive(Debug)]
pub struct FakeArm {
    capabilities: Capabilities,
    active: Option<ControlMode>,
    at: JointCommand,
    switches: Switches,
}

impl FakeArm {
    /// An active arm with this many joints, at zero with the gripper open.
    pub fn new(joints: usize) -> (Self, Switches) {
        Self::at(JointVector::zeros(joints), 1.0)
    }

    /// An arm at these joint positions \[rad\] with this gripper fraction, active as the arm of a station is.
    pub fn at(joint_positions: JointVector, gripper: f64) -> (Self, Switches) {
        let capabilities = Capabilities {
            robot: "fake".into(),
            driver: "fake".into(),
            joints: joint_positions.len(),
            control_rate_hz: 50.0,
            modes: vec![ControlMode::Position],
        };
        let switches = Switches::default();
        let at = JointCommand::position(joint_positions, gripper);
        (Self { capabilities, active: Some(ControlMode::Position), at, switches: switches.clone() }, switches)
    }

    /// The arm as it would be just after connecting: no commands before [`ArmDriver::activate`].
    pub fn inactive(mut self) -> Self {
        self.active = None;
        self
    }
}

impl ArmDriver for FakeArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if !self.capabilities.modes.contains(&mode) {
            return Err(DriverError::Mode(mode));
        }
        self.active = Some(mode);
        self.hold(now)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        if self.switches.is(|s| &s.panics) {
            panic!("the fake arm was told to panic");
        }
        if self.switches.is(|s| &s.silent) {
            return Err(DriverError::Silent);
        }
        if self.switches.is(|s| &s.faulty) {
            return Err(DriverError::Fault(FaultCode(7)));
        }
        let still = JointVector::zeros(self.capabilities.joints);
        Ok(Proprioception {
            joint_positions: self.at.joints(),
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.0,
            gripper: self.at.gripper(),
            measured_at: now,
        })
    }

    fn write(&mut self, _now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let mode = self.active.ok_or(DriverError::Inactive)?;
        if command.mode() != mode || command.joints().len() != self.capabilities.joints {
            return Err(DriverError::Mode(command.mode()));
        }
        if !(command.joints().is_finite() && command.gripper().is_finite()) {
            return Err(DriverError::NotFinite);
        }
        self.switches.0.write_count.fetch_add(1, Ordering::SeqCst);
        self.switches.0.holds.store(false, Ordering::SeqCst);
        if !self.switches.is(|s| &s.stuck) {
            self.at = *command;
        }
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        self.switches.0.hold_count.fetch_add(1, Ordering::SeqCst);
        self.switches.0.holds.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn recover(&mut self, _now: Timestamp) -> Result<(), ConnectError> {
        self.active = None;
        Ok(())
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        format!("the elbow hit {} cups", fault.0)
    }
}

/// A call to an arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call<'a> {
    /// [`ArmDriver::activate`].
    Activate(ControlMode),
    /// [`ArmDriver::read`].
    Read,
    /// [`ArmDriver::write`].
    Write(&'a JointCommand),
    /// [`ArmDriver::hold`].
    Hold,
    /// [`ArmDriver::recover`].
    Recover,
}

/// An arm whose calls can be observed beforehand, to record, count or delay them.
pub struct SeenArm<F> {
    arm: Box<dyn ArmDriver>,
    see: F,
}

impl<F: FnMut(Timestamp, Call<'_>) + Send> SeenArm<F> {
    /// `see` is called first, on the thread that calls.
    pub fn new(arm: Box<dyn ArmDriver>, see: F) -> Self {
        Self { arm, see }
    }
}

impl<F: FnMut(Timestamp, Call<'_>) + Send> ArmDriver for SeenArm<F> {
    fn capabilities(&self) -> &Capabilities {
        self.arm.capabilities()
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        (self.see)(now, Call::Activate(mode));
        self.arm.activate(now, mode)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        (self.see)(now, Call::Read);
        self.arm.read(now)
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        (self.see)(now, Call::Write(command));
        self.arm.write(now, command)
    }

    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        (self.see)(now, Call::Hold);
        self.arm.hold(now)
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        (self.see)(now, Call::Recover);
        self.arm.recover(now)
    }

    fn fault_text(&self, fault: FaultCode) -> String {
        self.arm.fault_text(fault)
    }
}

/// Content of a fake camera's images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum View {
    /// A scene that differs in each image.
    #[default]
    Scene,
    /// The same image again with a new stamp and number.
    Still,
    /// Black, with some noise.
    Black,
    /// White.
    White,
    /// Uniform gray.
    Gray,
}

/// A camera that returns a new image on each call.
#[derive(Debug)]
pub struct FakeCamera {
    newest: Image,
    liveness: LivenessSettings,
    switches: Switches,
}

impl FakeCamera {
    /// A camera of this image size \[pixels\].
    pub fn new(name: &str, width: u32, height: u32) -> (Self, Switches) {
        let switches = Switches::default();
        let newest = Image {
            camera: name.into(),
            width,
            height,
            pixels: vec![128; (width * height * 3) as usize].into(),
            captured_at: Timestamp::ZERO,
            sequence: 0,
        };
        (Self { newest, liveness: LivenessSettings::default(), switches: switches.clone() }, switches)
    }

    /// With other camera properties.
    pub fn with_liveness(mut self, liveness: LivenessSettings) -> Self {
        self.liveness = liveness;
        self
    }

    fn picture(&self) -> Option<Arc<[u8]>> {
        let sequence = self.newest.sequence;
        let bytes = 0..self.newest.pixels.len() as u64;
        Some(match self.switches.view() {
            View::Still => return None,
            // A gradient that moves by one step for each image.
            View::Scene => bytes.map(|i| 20 + ((i * 37 + sequence * 3) % 200) as u8).collect(),
            View::Black => bytes.map(|i| ((i + sequence) % 7) as u8).collect(),
            View::White => bytes.map(|_| 255).collect(),
            View::Gray => bytes.map(|_| 128).collect(),
        })
    }
}

impl Camera for FakeCamera {
    fn name(&self) -> &str {
        &self.newest.camera
    }

    fn newest(&mut self, now: Timestamp) -> Result<Image, CameraError> {
        if self.switches.is(|s| &s.silent) {
            return Err(CameraError::Silent { camera: self.newest.camera.to_string(), why: "switched off".into() });
        }
        if !self.switches.is(|s| &s.frozen) {
            let delay = self.switches.0.delay_nanos.load(Ordering::SeqCst);
            self.newest.captured_at = Timestamp::from_nanos(now.as_nanos().saturating_sub(delay));
            self.newest.sequence += 1;
            if let Some(pixels) = self.picture() {
                self.newest.pixels = pixels;
            }
        }
        Ok(self.newest.clone())
    }

    fn liveness(&self) -> LivenessSettings {
        self.liveness
    }

    fn reopen(&mut self) -> Result<(), CameraError> {
        self.switches.0.reopen_count.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use visuomotor_arms::conformance::{check_arm, check_camera};
    use visuomotor_core::time::{Clock, ManualClock};

    use super::*;

    #[test]
    fn the_arm_conforms() {
        let (arm, _switches) = FakeArm::at(JointVector::from_slice(&[0.1, -0.2, 0.3]), 0.5);
        let clock = ManualClock::new();
        let mut pass = |duration: Duration| {
            clock.advance(duration);
            clock.now()
        };
        check_arm(&mut arm.inactive(), &mut pass).unwrap();
    }

    #[test]
    fn the_camera_conforms() {
        let (mut camera, _switches) = FakeCamera::new("front", 8, 6);
        let mut now = Timestamp::ZERO;
        let mut pass = |duration: Duration| {
            now = now + duration;
            now
        };
        check_camera(&mut camera, &mut pass).unwrap();
    }
}

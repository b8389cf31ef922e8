//! An arm of points that obeys every rule, for the suite's own tests.

use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

use crate::driver::{ArmDriver, Capabilities, ConnectError, Drive, DriverError, Plant, PointPlant};

/// One frictionless point per joint behind the arm trait; it obeys at once.
#[derive(Clone, Debug)]
pub(super) struct PointArm {
    capabilities: Capabilities,
    plant: PointPlant,
    active: Option<ControlMode>,
}

impl PointArm {
    /// An arm of this name at rest at these joints \[rad\], commanded at this rate \[Hz\] in every mode.
    pub(super) fn at(robot: &str, joints: JointVector, control_rate_hz: f64) -> Self {
        let modes = vec![ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];
        let (robot, driver, count) = (robot.to_owned(), "point".to_owned(), joints.len());
        let capabilities = Capabilities { robot, driver, joints: count, control_rate_hz, modes };
        Self { capabilities, plant: PointPlant::at(joints), active: None }
    }
}

impl ArmDriver for PointArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        self.active = Some(mode);
        self.hold(now)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.plant.advance_to(now);
        Ok(self.plant.sense())
    }

    fn write(&mut self, now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let mode = self.active.ok_or(DriverError::Inactive)?;
        if mode != command.mode() {
            return Err(DriverError::Mode(command.mode()));
        }
        let joints = command.joints();
        if joints.len() != self.capabilities.joints || !joints.is_finite() || !command.gripper().is_finite() {
            self.hold(now)?;
            return Err(DriverError::NotFinite);
        }
        self.plant.advance_to(now);
        self.plant.drive(match mode {
            ControlMode::Position => Drive::Position(joints),
            ControlMode::Velocity => Drive::Velocity(joints),
            ControlMode::Torque => Drive::Floating(joints),
        });
        self.plant.drive_gripper(command.gripper());
        Ok(())
    }

    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        self.plant.advance_to(now);
        self.plant.drive(Drive::Position(self.plant.sense().joint_positions));
        Ok(())
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        self.active = None;
        // It is always connected.
        let _ = self.hold(now);
        Ok(())
    }
}

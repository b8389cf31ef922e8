//! The simulated arm: MuJoCo behind [`ArmDriver`]. Returns only what the real arm returns.
//!
//! Physics is advanced to the given time: `read(now)` steps until the simulated time reaches `now`, with the last written
//! command in force, as a servo does between two commands. [`MujocoPlant`] is the mechanics.

use triple_buffer::Output;

use super::SimulationError;
use super::kitchen::Kitchen;
use super::pedestal::Pedestal;
use super::plant::{MujocoPlant, Snapshot};
use visuomotor_arms::driver::{ArmDriver, Capabilities, ConnectError, Drive, DriverError, Plant};
use visuomotor_core::action::{ControlMode, JointCommand};
use visuomotor_core::config::Robot;
use visuomotor_core::observation::Proprioception;
use visuomotor_core::time::Timestamp;

/// MuJoCo behind the arm trait.
pub struct SimulatedArm {
    plant: MujocoPlant,
    capabilities: Capabilities,
    active: Option<ControlMode>,
}

impl SimulatedArm {
    /// The arm in a settled kitchen, with two receivers of snapshots: the camera's and the judge's.
    pub fn new(
        robot: &Robot,
        kitchen: &Kitchen,
    ) -> Result<(Self, Output<Snapshot>, Output<Snapshot>), SimulationError> {
        let (plant, for_camera, for_judge) = MujocoPlant::in_kitchen(robot, kitchen)?;
        Ok((Self::over(robot, plant), for_camera, for_judge))
    }

    /// The bare arm on its pedestal, with one receiver of snapshots for a camera.
    pub fn on_pedestal(robot: &Robot, pedestal: &Pedestal) -> Result<(Self, Output<Snapshot>), SimulationError> {
        let (plant, for_camera) = MujocoPlant::on_pedestal(robot, pedestal)?;
        Ok((Self::over(robot, plant), for_camera))
    }

    fn over(robot: &Robot, plant: MujocoPlant) -> Self {
        let capabilities = Capabilities {
            robot: robot.identity.name.clone(),
            driver: "mujoco".into(),
            joints: robot.joint.len(),
            control_rate_hz: robot.identity.control_rate_hz,
            modes: vec![ControlMode::Position, ControlMode::Velocity, ControlMode::Torque],
        };
        Self { plant, capabilities, active: None }
    }

    fn stay(&mut self) {
        let here = self.plant.positions();
        self.plant.drive(Drive::Position(here));
    }
}

impl ArmDriver for SimulatedArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, mode: ControlMode) -> Result<(), DriverError> {
        if !self.capabilities.modes.contains(&mode) {
            return Err(DriverError::Mode(mode));
        }
        if self.active.is_some_and(|active| active != mode) {
            self.stay();
        }
        self.plant.advance_to(now);
        self.active = Some(mode);
        Ok(())
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.plant.advance_to(now);
        Ok(self.plant.sense())
    }

    fn write(&mut self, _now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        let Some(mode) = self.active else {
            return Err(DriverError::Inactive);
        };
        if command.mode() != mode {
            return Err(DriverError::Mode(command.mode()));
        }
        // A joint that the command lacks counts as NaN, too.
        let complete = command.joints().len() == self.capabilities.joints;
        if !(complete && command.joints().is_finite() && command.gripper().is_finite()) {
            return Err(DriverError::NotFinite);
        }
        self.plant.drive(match mode {
            ControlMode::Position => Drive::Position(command.joints()),
            ControlMode::Velocity => Drive::Velocity(command.joints()),
            ControlMode::Torque => Drive::Floating(command.joints()),
        });
        self.plant.drive_gripper(command.gripper());
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        self.stay();
        Ok(())
    }

    fn recover(&mut self, _now: Timestamp) -> Result<(), ConnectError> {
        // Physics has no faults to clear; only standing still remains.
        self.stay();
        Ok(())
    }
}

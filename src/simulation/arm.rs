//! The simulated arm: MuJoCo behind [`ArmDriver`]. Says only what the real arm says.
//!
//! Physics is advanced to the time that is passed in: `read(now)` steps until the simulated time reaches `now`, with
//! the last written command in force, as a servo does between two commands.

use mujoco_rs::prelude::*;
use std::sync::Arc;
use triple_buffer::{Input, Output, triple_buffer};

use super::kitchen::{Kitchen, PHYSICS_STEP};
use crate::action::{ControlMode, JointCommand};
use crate::config::{Gripper, Robot};
use crate::driver::{ArmDriver, Capabilities, ConnectError, DriverError};
use crate::observation::{JointVector, Proprioception};
use crate::time::Timestamp;

/// Everything's coordinates at one time: what a simulated camera needs to take a picture and a success rule to judge.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Simulated time.
    pub at: Timestamp,
    /// All position coordinates.
    pub(super) qpos: Vec<f64>,
}

/// MuJoCo behind the arm trait.
pub struct SimulatedArm {
    data: MjData<Arc<MjModel>>,
    kitchen: Kitchen,
    capabilities: Capabilities,
    gripper: Gripper,
    /// Time at the first call: simulated time counts from there.
    origin: Option<Timestamp>,
    steps: u64,
    finger_target: f64,
    finger_step: f64,
    active: bool,
    snapshots: [Input<Snapshot>; 2],
}

impl SimulatedArm {
    /// The arm in a settled kitchen, with the two ends that receive snapshots: the camera's and the judge's.
    pub fn new(robot: &Robot, kitchen: &Kitchen) -> (Self, Output<Snapshot>, Output<Snapshot>) {
        let mut data = MjData::new(kitchen.model.clone());
        data.qpos_mut().copy_from_slice(&kitchen.start_qpos);
        let joints = robot.joint.len();
        for (i, address) in kitchen.joint_qpos.iter().enumerate() {
            let q = kitchen.start_qpos[*address];
            data.ctrl_mut()[i] = q;
        }
        let finger = kitchen.start_qpos[kitchen.finger_qpos[0]];
        data.ctrl_mut()[joints..joints + 2].fill(finger);
        data.forward();
        let first = Snapshot { at: Timestamp::ZERO, qpos: kitchen.start_qpos.clone() };
        let (to_camera, for_camera) = triple_buffer(&first);
        let (to_judge, for_judge) = triple_buffer(&first);
        let arm = Self {
            data,
            kitchen: kitchen.clone(),
            capabilities: Capabilities {
                robot: robot.robot.name.clone(),
                driver: "mujoco".into(),
                joints,
                control_rate_hz: robot.robot.control_rate_hz,
                modes: vec![ControlMode::Position],
            },
            gripper: robot.gripper.clone(),
            origin: None,
            steps: 0,
            finger_target: finger,
            finger_step: robot.gripper.finger_velocity * PHYSICS_STEP,
            active: false,
            snapshots: [to_camera, to_judge],
        };
        (arm, for_camera, for_judge)
    }

    fn advance_to(&mut self, now: Timestamp) {
        let origin = *self.origin.get_or_insert(now);
        let target = (now.since(origin).as_secs_f64() / PHYSICS_STEP).round() as u64;
        let joints = self.capabilities.joints;
        while self.steps < target {
            // The finger servo's own speed limit.
            let ctrl = self.data.ctrl_mut();
            let error = (self.finger_target - ctrl[joints]).clamp(-self.finger_step, self.finger_step);
            ctrl[joints] += error;
            ctrl[joints + 1] = ctrl[joints];
            self.data.step();
            self.steps += 1;
        }
        for slot in &mut self.snapshots {
            let snapshot = slot.input_buffer_mut();
            snapshot.at = now;
            snapshot.qpos.copy_from_slice(self.data.qpos());
            slot.publish();
        }
    }

    fn measure(&self, now: Timestamp) -> Proprioception {
        let n = self.capabilities.joints;
        let (qpos, qvel, effort) = (self.data.qpos(), self.data.qvel(), self.data.actuator_force());
        let mut positions = JointVector::zeros(n);
        let mut velocities = JointVector::zeros(n);
        let mut efforts = JointVector::zeros(n);
        for (i, address) in self.kitchen.joint_qpos.iter().enumerate() {
            positions[i] = qpos[*address];
            velocities[i] = qvel[self.kitchen.joint_dof[i]];
            efforts[i] = effort[i];
        }
        let finger = qpos[self.kitchen.finger_qpos[0]];
        Proprioception {
            joint_positions: positions,
            joint_velocities: velocities,
            joint_efforts: efforts,
            finger_position: finger,
            gripper: self.gripper.fraction_from_finger(finger),
            measured_at: now,
        }
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
        self.origin.get_or_insert(now);
        self.active = true;
        Ok(())
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.advance_to(now);
        Ok(self.measure(now))
    }

    fn write(&mut self, _now: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        if !self.active {
            return Err(DriverError::Inactive);
        }
        if command.mode != ControlMode::Position {
            return Err(DriverError::Mode(command.mode));
        }
        if !command.joints.is_finite() || !command.gripper.is_finite() {
            return Err(DriverError::NotFinite);
        }
        let n = self.capabilities.joints;
        self.data.ctrl_mut()[..n].copy_from_slice(&command.joints);
        self.finger_target = self.gripper.finger_from_fraction(command.gripper);
        Ok(())
    }

    fn hold(&mut self, _now: Timestamp) -> Result<(), DriverError> {
        for (i, address) in self.kitchen.joint_qpos.iter().enumerate() {
            let q = self.data.qpos()[*address];
            self.data.ctrl_mut()[i] = q;
        }
        Ok(())
    }

    fn recover(&mut self, now: Timestamp) -> Result<(), ConnectError> {
        // Physics has no faults; what is left is to stand still.
        let _ = self.hold(now);
        Ok(())
    }
}

//! MuJoCo as the mechanics behind a controller: any arm on its pedestal, or the arm in the kitchen.
//!
//! There are two models with the same layout. In the servo model the arm's actuators are position servos. Positions are
//! passed to them unchanged; velocities become a moving position with velocity feed-forward (so that a stop leaves no
//! position error to catch up), never further ahead than the servo's largest torque. In the motor model the actuators are
//! torque motors, and the joints have the passive damping that remains without servos; there is no Coulomb friction, so a
//! limp arm falls faster than a geared one. Changing between the two swaps a pointer.
//!
//! Arms whose controllers compensate gravity get the compensation from our own [`Dynamics`] at each physics step, as
//! [`Drive::Floating`] does for every arm; it does not include a payload. Torques are clipped to the maker's efforts. A drive
//! with another number of joints, or with a number that is not finite, is ignored: the last one stays. Nothing allocates
//! after the plant is made. Start reading at [`MujocoPlant::advance_to`].

use std::sync::Arc;

use mujoco_rs::prelude::*;
use triple_buffer::{Input, Output, triple_buffer};

use super::SimulationError;
use super::arm_model::ArmPlaces;
use super::kitchen::Kitchen;
use super::pedestal::Pedestal;
use visuomotor_arms::driver::{Drive, Plant};
use visuomotor_core::config::{Gripper, Robot};
use visuomotor_core::kinematics::Dynamics;
use visuomotor_core::observation::{JointVector, MAX_JOINTS, Proprioception};
use visuomotor_core::time::{Clock, Timestamp};

/// All coordinates at one time: input of a simulated camera and of the success rules.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time: simulated, or on the clock of [`MujocoPlant::stamped_by`].
    pub at: Timestamp,
    /// All position coordinates.
    pub(super) qpos: Vec<f64>,
}

/// Constants of one joint for every physics step.
#[derive(Clone, Copy, Debug, Default)]
struct Motor {
    /// Servo stiffness \[Nm/rad\].
    stiffness: f64,
    /// Servo damping \[Nm s/rad\].
    damping: f64,
    /// How far ahead of the joint a moving position may be \[rad\].
    lead: f64,
    /// Largest torque \[Nm\].
    effort: f64,
    /// Range of positions \[rad\].
    lower: f64,
    upper: f64,
}

/// MuJoCo behind [`Plant`].
pub struct MujocoPlant {
    data: MjData<Arc<MjModel>>,
    servos: Arc<MjModel>,
    motors: Arc<MjModel>,
    in_motor_model: bool,
    arm: ArmPlaces,
    motor: [Motor; MAX_JOINTS],
    joints: usize,
    gripper: Gripper,
    dynamics: Dynamics,
    compensates: bool,
    drive: Drive,
    /// The moving position of a velocity drive \[rad\].
    reference: JointVector,
    /// Physics step \[s\].
    step: f64,
    /// Time of the first call: simulated time counts from there.
    origin: Option<Timestamp>,
    now: Timestamp,
    steps: u64,
    finger_target: f64,
    finger_step: f64,
    snapshots: [Input<Snapshot>; 2],
    /// Clock that stamps the snapshots; without it, the caller's time.
    stamps: Option<Arc<dyn Clock>>,
}

impl MujocoPlant {
    /// The arm in a settled kitchen, with two receivers of snapshots: the camera's and the judge's.
    pub fn in_kitchen(
        robot: &Robot,
        kitchen: &Kitchen,
    ) -> Result<(Self, Output<Snapshot>, Output<Snapshot>), SimulationError> {
        Self::new(robot, &kitchen.model, &kitchen.arm, &kitchen.start_qpos)
    }

    /// The bare arm on its pedestal, with one receiver of snapshots for a camera.
    pub fn on_pedestal(robot: &Robot, pedestal: &Pedestal) -> Result<(Self, Output<Snapshot>), SimulationError> {
        let (plant, for_camera, _) = Self::new(robot, &pedestal.model, &pedestal.arm, &pedestal.start_qpos)?;
        Ok((plant, for_camera))
    }

    fn new(
        robot: &Robot,
        model: &Arc<MjModel>,
        arm: &ArmPlaces,
        start_qpos: &[f64],
    ) -> Result<(Self, Output<Snapshot>, Output<Snapshot>), SimulationError> {
        let unfit = |why: String| SimulationError::Scene { file: Robot::path(".".as_ref(), &robot.identity.name), why };
        let dynamics = Dynamics::from_robot(robot).map_err(|error| unfit(error.to_string()))?;
        let mut data = MjData::new(Arc::clone(model));
        data.qpos_mut().copy_from_slice(start_qpos);
        let joints = robot.joint.len();
        let mut reference = JointVector::zeros(joints);
        for (i, address) in arm.joint_qpos.iter().enumerate() {
            reference[i] = start_qpos[*address];
            data.ctrl_mut()[i] = reference[i];
        }
        let finger = start_qpos[arm.finger_qpos[0]];
        data.ctrl_mut()[joints..joints + arm.finger_qpos.len()].fill(finger);
        data.forward();
        let mut motor = [Motor::default(); MAX_JOINTS];
        for (i, to) in motor.iter_mut().enumerate().take(joints) {
            let (servo, joint) = (&robot.simulation, &robot.joint[i]);
            *to = Motor {
                stiffness: servo.stiffness[i],
                damping: servo.damping[i],
                lead: servo.force[i] / servo.stiffness[i],
                effort: joint.effort,
                lower: joint.lower,
                upper: joint.upper,
            };
        }
        let first = Snapshot { at: Timestamp::ZERO, qpos: start_qpos.to_vec() };
        let (to_camera, for_camera) = triple_buffer(&first);
        let (to_judge, for_judge) = triple_buffer(&first);
        let step = model.opt().timestep;
        let plant = Self {
            data,
            servos: Arc::clone(model),
            motors: Arc::new(motor_model(model, robot, arm)),
            in_motor_model: false,
            arm: arm.clone(),
            motor,
            joints,
            gripper: robot.gripper.clone(),
            dynamics,
            compensates: robot.simulation.gravity_compensation,
            drive: Drive::Position(reference),
            reference,
            step,
            origin: None,
            now: Timestamp::ZERO,
            steps: 0,
            finger_target: finger,
            finger_step: robot.gripper.finger_velocity * step,
            snapshots: [to_camera, to_judge],
            stamps: None,
        };
        Ok((plant, for_camera, for_judge))
    }

    /// The same, with snapshots stamped by this clock: an emulated controller may have its own time, which falls behind.
    pub fn stamped_by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.stamps = Some(clock);
        self
    }

    /// Present joint positions \[rad\].
    pub fn positions(&self) -> JointVector {
        let mut positions = JointVector::zeros(self.joints);
        for (to, address) in positions.iter_mut().zip(&self.arm.joint_qpos) {
            *to = self.data.qpos()[*address];
        }
        positions
    }

    /// Torques that hold the arm still at its present position \[Nm\].
    fn gravity(&mut self) -> JointVector {
        self.dynamics.set_finger(self.data.qpos()[self.arm.finger_qpos[0]]);
        self.dynamics.gravity(&self.positions())
    }

    /// Sets controls and applied torques for one physics step.
    fn actuate(&mut self) {
        let joints = self.joints;
        match self.drive {
            Drive::Position(to) => self.data.ctrl_mut()[..joints].copy_from_slice(&to),
            Drive::Velocity(at) => {
                let positions = self.positions();
                for i in 0..joints {
                    let motor = &self.motor[i];
                    let ahead = (self.reference[i] + at[i] * self.step)
                        .clamp(positions[i] - motor.lead, positions[i] + motor.lead)
                        .clamp(motor.lower, motor.upper);
                    self.reference[i] = ahead;
                    // The servo damps the joint's whole velocity: compensate the damping of the desired velocity.
                    self.data.ctrl_mut()[i] = ahead + at[i] * motor.damping / motor.stiffness;
                }
            }
            Drive::Limp => self.data.ctrl_mut()[..joints].fill(0.0),
            Drive::Torque(torque) => self.apply(&torque),
            Drive::Floating(torque) => {
                let mut total = self.gravity();
                for (total, torque) in total.iter_mut().zip(torque.iter()) {
                    *total += torque;
                }
                self.apply(&total);
            }
        }
        if self.compensates {
            let gravity = if self.in_motor_model { JointVector::zeros(joints) } else { self.gravity() };
            for (dof, torque) in self.arm.joint_dof.iter().zip(gravity.iter()) {
                self.data.qfrc_applied_mut()[*dof] = *torque;
            }
        }
    }

    /// Motor torques \[Nm\], clipped to the efforts; the motor model multiplies controls by the servo's stiffness.
    fn apply(&mut self, torque: &JointVector) {
        for i in 0..self.joints {
            let motor = &self.motor[i];
            self.data.ctrl_mut()[i] = torque[i].clamp(-motor.effort, motor.effort) / motor.stiffness;
        }
    }

    fn use_motors(&mut self, motors: bool) {
        if self.in_motor_model != motors {
            let model = if motors { &self.motors } else { &self.servos };
            // The two have one layout; if they had not, the arm would keep its present model.
            if self.data.try_swap_model(Arc::clone(model)).is_ok() {
                self.in_motor_model = motors;
            }
        }
    }
}

impl Plant for MujocoPlant {
    fn joints(&self) -> usize {
        self.joints
    }

    fn drive(&mut self, drive: Drive) {
        let motors = match &drive {
            Drive::Limp => true,
            Drive::Position(v) | Drive::Velocity(v) | Drive::Floating(v) | Drive::Torque(v)
                if v.len() != self.joints || !v.is_finite() =>
            {
                return;
            }
            Drive::Position(_) | Drive::Velocity(_) => false,
            Drive::Floating(_) | Drive::Torque(_) => true,
        };
        if matches!(drive, Drive::Velocity(_)) && !matches!(self.drive, Drive::Velocity(_)) {
            self.reference = self.positions();
        }
        self.use_motors(motors);
        self.drive = drive;
    }

    fn drive_gripper(&mut self, fraction: f64) {
        if fraction.is_finite() {
            self.finger_target = self.gripper.finger_from_fraction(fraction);
        }
    }

    fn advance_to(&mut self, now: Timestamp) {
        let origin = *self.origin.get_or_insert(now);
        self.now = now;
        let target = (now.since(origin).as_secs_f64() / self.step).round() as u64;
        let fingers = self.joints..self.joints + self.arm.finger_qpos.len();
        while self.steps < target {
            self.actuate();
            // The finger servo's own speed limit.
            let ctrl = &mut self.data.ctrl_mut()[fingers.clone()];
            let error = (self.finger_target - ctrl[0]).clamp(-self.finger_step, self.finger_step);
            let finger = ctrl[0] + error;
            ctrl.fill(finger);
            self.data.step();
            self.steps += 1;
        }
        let at = self.stamps.as_ref().map_or(now, |clock| clock.now());
        for slot in &mut self.snapshots {
            let snapshot = slot.input_buffer_mut();
            snapshot.at = at;
            snapshot.qpos.copy_from_slice(self.data.qpos());
            slot.publish();
        }
    }

    fn weight(&mut self) -> JointVector {
        self.gravity()
    }

    fn sense(&self) -> Proprioception {
        let n = self.joints;
        let (qpos, qvel, effort) = (self.data.qpos(), self.data.qvel(), self.data.actuator_force());
        let mut velocities = JointVector::zeros(n);
        let mut efforts = JointVector::zeros(n);
        for (i, dof) in self.arm.joint_dof.iter().enumerate() {
            velocities[i] = qvel[*dof];
            efforts[i] = effort[i];
            if self.compensates {
                efforts[i] += self.data.qfrc_applied()[*dof];
            }
        }
        let finger = qpos[self.arm.finger_qpos[0]];
        Proprioception {
            joint_positions: self.positions(),
            joint_velocities: velocities,
            joint_efforts: efforts,
            finger_position: finger,
            gripper: self.gripper.fraction_from_finger(finger),
            measured_at: self.now,
        }
    }
}

/// The same model with the arm's servos turned into motors: force = stiffness x control, and the joints' own damping.
fn motor_model(model: &MjModel, robot: &Robot, arm: &ArmPlaces) -> MjModel {
    let mut motors = model.clone();
    for (i, joint) in robot.joint.iter().enumerate() {
        motors.actuator_biasprm_mut()[i].fill(0.0);
        let range = joint.effort / robot.simulation.stiffness[i];
        motors.actuator_ctrlrange_mut()[i] = [-range, range];
        motors.dof_damping_mut()[arm.joint_dof[i]] = robot.simulation.passive_damping[i];
    }
    motors
}

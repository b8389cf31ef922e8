//! An arm of one point per joint, held by its drive when commanded to hold; its history is kept.

use std::sync::{Arc, Mutex};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::{ArmDriver, Capabilities, ConnectError, Drive, DriverError, Plant, PointPlant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::Timestamp;

use super::fault::Fault;

/// Friction of a gear, so that an arm at zero torque comes to rest like a real one \[Nm s/rad\].
const DAMPING: f64 = 8.0;

/// State of the arm at one control period.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at: Timestamp,
    pub positions: JointVector,
    pub velocities: JointVector,
    /// Command of the motors, by mode.
    pub told: Option<JointCommand>,
    /// Was that a hold?
    pub held: bool,
}

/// History of the arm.
#[derive(Clone, Default)]
pub struct Story {
    pub moments: Vec<Moment>,
    /// When it was commanded to hold.
    pub holds: Vec<Timestamp>,
}

pub struct PlantArm {
    capabilities: Capabilities,
    plant: PointPlant,
    fault: Fault,
    told: Option<JointCommand>,
    held: bool,
    /// Position to which a torque drive's hold pulls.
    resting: Option<JointVector>,
    story: Arc<Mutex<Story>>,
}

impl PlantArm {
    /// At this robot's home; the history is the second value.
    pub fn new(robot: &Robot, mode: ControlMode, fault: Fault) -> (Self, Arc<Mutex<Story>>) {
        let home = JointVector::from_slice(&robot.identity.home);
        let story = Arc::new(Mutex::new(Story::default()));
        let mut plant = PointPlant::at(home);
        let limits = robot.limits.joint_velocity.iter().copied();
        plant.speed = match fault {
            // A servo that comes free moves as fast as it can.
            Fault::ArmBlocked => 1.2 * limits.fold(f64::INFINITY, f64::min),
            // Otherwise it reaches its command at once, however far, so that a jump shows.
            _ => 3.0 * limits.fold(0.0, f64::max),
        };
        plant.inertia = 3.0;
        let capabilities = Capabilities {
            robot: robot.identity.name.clone(),
            driver: "simulated".into(),
            joints: home.len(),
            control_rate_hz: robot.identity.control_rate_hz,
            modes: vec![mode],
        };
        let arm = Self { capabilities, plant, fault, told: None, held: true, resting: None, story: Arc::clone(&story) };
        (arm, story)
    }

    fn step(&mut self, now: Timestamp) {
        let blocked = self.fault == Fault::ArmBlocked && self.fault.on(now);
        if let Some(told) = self.told {
            let still = JointVector::zeros(told.joints().len());
            let state = self.plant.sense();
            self.plant.drive(match told.mode() {
                _ if blocked => Drive::Velocity(still),
                ControlMode::Position => Drive::Position(told.joints()),
                ControlMode::Velocity => Drive::Velocity(told.joints()),
                ControlMode::Torque => {
                    let mut torque = told.joints();
                    for joint in 0..torque.len() {
                        torque[joint] -= DAMPING * state.joint_velocities[joint];
                        if let Some(resting) = &self.resting {
                            torque[joint] += 100.0 * (resting[joint] - state.joint_positions[joint])
                                - 20.0 * state.joint_velocities[joint];
                        }
                    }
                    Drive::Floating(torque)
                }
            });
        }
        self.plant.advance_to(now);
        let state = self.plant.sense();
        self.story.lock().expect("nothing panics with it").moments.push(Moment {
            at: now,
            positions: state.joint_positions,
            velocities: state.joint_velocities,
            told: self.told,
            held: self.held,
        });
    }
}

impl ArmDriver for PlantArm {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn activate(&mut self, now: Timestamp, _: ControlMode) -> Result<(), DriverError> {
        self.hold(now)
    }

    fn read(&mut self, now: Timestamp) -> Result<Proprioception, DriverError> {
        self.step(now);
        let mut state = self.plant.sense();
        match self.fault {
            Fault::StateNan if self.fault.on(now) => state.joint_positions[0] = f64::NAN,
            Fault::StateSilent if self.fault.on(now) => return Err(DriverError::Silent),
            _ => {}
        }
        Ok(state)
    }

    fn write(&mut self, _: Timestamp, command: &JointCommand) -> Result<(), DriverError> {
        (self.told, self.held, self.resting) = (Some(*command), false, None);
        Ok(())
    }

    fn hold(&mut self, now: Timestamp) -> Result<(), DriverError> {
        let here = self.plant.sense().joint_positions;
        let mode = self.told.map_or(ControlMode::Position, |told| told.mode());
        let joints = if mode == ControlMode::Position { here } else { JointVector::zeros(here.len()) };
        self.told = Some(JointCommand::of(mode, joints, 1.0));
        (self.held, self.resting) = (true, Some(here));
        self.story.lock().expect("nothing panics with it").holds.push(now);
        Ok(())
    }

    fn recover(&mut self, _: Timestamp) -> Result<(), ConnectError> {
        Ok(())
    }
}

//! The mechanics behind an emulated controller: MuJoCo, or in tests one point mass per joint.

use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

/// How the emulated controller drives its motors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drive {
    /// Torque off: the arm falls.
    Limp,
    /// Servo to joint positions \[rad\].
    Position(JointVector),
    /// Servo to joint velocities \[rad/s\].
    Velocity(JointVector),
    /// Apply joint torques on top of gravity compensation \[Nm\], for controllers that compensate gravity.
    Floating(JointVector),
    /// Apply motor torques \[Nm\] alone: zero is limp.
    Torque(JointVector),
}

/// The mechanics behind an emulated controller.
pub trait Plant: Send {
    /// Number of joints.
    fn joints(&self) -> usize;
    /// Sets the drive of the motors from now on.
    fn drive(&mut self, drive: Drive);
    /// Sets the gripper target: 0 closed .. 1 open.
    fn drive_gripper(&mut self, fraction: f64);
    /// Advances to `now`; the first call sets its start time.
    fn advance_to(&mut self, now: Timestamp);
    /// True joint state, measured at the time moved to.
    fn sense(&self) -> Proprioception;
    /// The share of its joint efforts that carries its own weight at this pose \[Nm\]; zero for a plant without weight.
    fn weight(&mut self) -> JointVector {
        JointVector::zeros(self.joints())
    }
}

/// One frictionless point per joint, no gravity: positions are reached at a set speed, torques accelerate.
#[derive(Clone, Debug)]
pub struct PointPlant {
    state: Proprioception,
    drive: Drive,
    gripper: f64,
    started: bool,
    /// Speed at which a position drive closes its error \[rad/s\].
    pub speed: f64,
    /// Inertia of each joint \[kg m2\].
    pub inertia: f64,
}

impl PointPlant {
    /// At rest at these joints \[rad\], limp, gripper open.
    pub fn at(joints: JointVector) -> Self {
        let still = JointVector::zeros(joints.len());
        let state = Proprioception {
            joint_positions: joints,
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.035,
            gripper: 1.0,
            measured_at: Timestamp::ZERO,
        };
        Self { state, drive: Drive::Limp, gripper: 1.0, started: false, speed: 20.0, inertia: 1.0 }
    }
}

impl Plant for PointPlant {
    fn joints(&self) -> usize {
        self.state.joint_positions.len()
    }

    fn drive(&mut self, drive: Drive) {
        self.drive = drive;
    }

    fn drive_gripper(&mut self, fraction: f64) {
        self.gripper = fraction;
    }

    fn advance_to(&mut self, now: Timestamp) {
        let elapsed = if self.started { now.since(self.state.measured_at).as_secs_f64() } else { 0.0 };
        self.started = true;
        let state = &mut self.state;
        state.measured_at = now;
        state.joint_efforts.fill(0.0);
        for joint in 0..state.joint_positions.len() {
            let (q, v) = (state.joint_positions[joint], state.joint_velocities[joint]);
            let (next, velocity) = match self.drive {
                Drive::Limp => (q, 0.0),
                Drive::Position(to) => {
                    let step = (to[joint] - q).clamp(-self.speed * elapsed, self.speed * elapsed);
                    (q + step, if elapsed > 0.0 { step / elapsed } else { v })
                }
                Drive::Velocity(at) => (q + at[joint] * elapsed, at[joint]),
                Drive::Floating(torque) | Drive::Torque(torque) => {
                    state.joint_efforts[joint] = torque[joint];
                    let faster = v + torque[joint] / self.inertia * elapsed;
                    (q + 0.5 * (v + faster) * elapsed, faster)
                }
            };
            state.joint_positions[joint] = next;
            state.joint_velocities[joint] = velocity;
        }
        state.gripper += (self.gripper - state.gripper).clamp(-4.0 * elapsed, 4.0 * elapsed);
        state.finger_position = 0.010 + 0.025 * state.gripper;
    }

    fn sense(&self) -> Proprioception {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_follows_each_drive() {
        let mut plant = PointPlant::at(JointVector::from_slice(&[0.0, 1.0]));
        let at = |ms: u64| Timestamp::from_nanos(ms * 1_000_000);
        plant.advance_to(at(1000));
        assert_eq!(&*plant.sense().joint_positions, &[0.0, 1.0]);
        plant.drive(Drive::Velocity(JointVector::from_slice(&[0.5, -0.5])));
        plant.advance_to(at(1100));
        assert!((plant.sense().joint_positions[0] - 0.05).abs() < 1e-12);
        plant.drive(Drive::Position(JointVector::from_slice(&[0.1, 0.95])));
        plant.advance_to(at(1200));
        assert_eq!(&*plant.sense().joint_positions, &[0.1, 0.95]);
        plant.drive(Drive::Floating(JointVector::from_slice(&[1.0, 0.0])));
        plant.drive(Drive::Limp);
        plant.advance_to(at(1300));
        assert_eq!(&*plant.sense().joint_positions, &[0.1, 0.95]);
    }
}

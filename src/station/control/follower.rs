//! The control laws other than `interpolate`: commands between two decisions.
//!
//! Start at [`Follower::command`]. A law follows one of four references: joints (a jerk-limited motion, at the start, on
//! the way to a posture, for joint-position actions, and always for the joint laws), a pose that moves evenly to the
//! action's target (velocity and Cartesian impedance), velocities (the velocity law), or torques (the torque law). Until
//! the first action every law holds the measured joints.
//!
//! | law | reference of an action | command |
//! |---|---|---|
//! | `jerk_limited` | joints | position |
//! | `velocity` | pose, or velocities | velocity, by damped least squares or as given, jerk-limited |
//! | `torque` | torques | torque, rate-limited |
//! | `joint_impedance` | joints | torque, rate-limited |
//! | `cartesian_impedance` | pose | torque, rate-limited |

use std::time::Duration;

use nalgebra::UnitQuaternion;

use super::cartesian_impedance::CartesianImpedance;
use super::differential::{Differential, DifferentialSettings};
use super::error::ControlError;
use super::impedance_of::springs;
use super::joint_impedance::JointImpedance;
use super::torque::TorqueRamp;
use super::trajectory::{JerkLimited, MotionLimits, NoMotion, VelocityRamp};
use visuomotor_core::action::ControlMode;
use visuomotor_core::config::{ControlLaw, ControlSetting, Robot};
use visuomotor_core::geometry::{Pose, Twist};
use visuomotor_core::kinematics::{Chain, Dynamics, pose_error};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::time::Timestamp;

/// Gain of the velocity law on a joint error \[1/s\].
const JOINT_GAIN: f64 = 5.0;
/// Maximum control periods counted as elapsed between two commands: nothing may jump after a stall.
const MOST_PERIODS: f64 = 2.0;

/// A pose that moves evenly from one to another.
#[derive(Clone, Copy, Debug)]
struct PoseWay {
    from: Pose,
    starts_at: Timestamp,
    duration: Duration,
    /// Total displacement \[m\], \[rad\].
    way: Twist,
}

impl PoseWay {
    fn new(from: Pose, to: &Pose, starts_at: Timestamp, duration: Duration) -> Self {
        let (linear, angular) = pose_error(&from, to);
        Self { from, starts_at, duration, way: Twist { linear, angular } }
    }

    fn share(&self, now: Timestamp) -> f64 {
        let elapsed = now.since(self.starts_at);
        // The duration exceeds the elapsed time here, so it is not zero.
        if elapsed >= self.duration { 1.0 } else { elapsed.as_secs_f64() / self.duration.as_secs_f64() }
    }

    fn at(&self, now: Timestamp) -> Pose {
        let share = self.share(now);
        let place = self.from.translation.vector + share * self.way.linear;
        Pose::from_parts(place.into(), UnitQuaternion::from_scaled_axis(share * self.way.angular) * self.from.rotation)
    }

    fn twist(&self, now: Timestamp) -> Twist {
        if self.share(now) >= 1.0 {
            return Twist::default();
        }
        let seconds = self.duration.as_secs_f64();
        Twist { linear: self.way.linear / seconds, angular: self.way.angular / seconds }
    }
}

/// The reference.
#[derive(Clone, Copy, Debug)]
enum Reference {
    /// The jerk-limited motion.
    Joints,
    /// A moving pose.
    Pose(PoseWay),
    /// Requested velocities \[rad/s\].
    Velocities(JointVector),
    /// Requested torques \[Nm\].
    Torques(JointVector),
}

/// Follows a reference by one law.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    law: ControlLaw,
    horizon: f64,
    chain: Chain,
    period: f64,
    limits: MotionLimits,
    motion: JerkLimited,
    dynamics: Dynamics,
    differential: Differential,
    velocities: VelocityRamp,
    torques: TorqueRamp,
    joint_impedance: JointImpedance,
    cartesian_impedance: CartesianImpedance,
    reference: Reference,
    /// Last measured joints; NaN before the first seed \[rad\].
    here: JointVector,
    commanded: Option<Timestamp>,
}

impl Follower {
    /// For this arm; `Interpolate` needs none.
    pub(super) fn new(robot: &Robot, chain: &Chain, setting: &ControlSetting) -> Result<Self, ControlError> {
        let limits = MotionLimits::of(robot);
        let here = JointVector::filled(chain.joints(), f64::NAN);
        let dynamics = Dynamics::from_robot(robot)?;
        let (joint_impedance, cartesian_impedance) = springs(robot, chain, &dynamics, setting)?;
        Ok(Self {
            law: setting.law,
            horizon: setting.horizon,
            period: 1.0 / robot.identity.control_rate_hz,
            motion: JerkLimited::new(&limits, chain.usable_limits()),
            dynamics,
            differential: Differential::new(robot, chain.clone(), DifferentialSettings::default()),
            velocities: VelocityRamp::new(&limits, chain.joints()),
            torques: TorqueRamp::new(robot),
            joint_impedance,
            cartesian_impedance,
            limits,
            chain: chain.clone(),
            reference: Reference::Joints,
            here,
            commanded: None,
        })
    }

    pub(super) fn law(&self) -> ControlLaw {
        self.law
    }

    /// Does the law follow poses, so that the joints may differ from the inverse-kinematics solution?
    pub(super) fn follows_poses(&self) -> bool {
        matches!(self.law, ControlLaw::Velocity | ControlLaw::CartesianImpedance)
    }

    /// Holds the measured joints, from rest.
    pub(super) fn seed(&mut self, measured: &Proprioception) {
        self.here = measured.joint_positions;
        self.motion.hold(self.here);
        self.reference = Reference::Joints;
        self.velocities.rest();
        self.torques.rest();
        self.commanded = None;
    }

    /// Moves to these joints \[rad\] in no less than `duration`.
    pub(super) fn move_to(&mut self, now: Timestamp, joints: &JointVector, duration: Duration) -> Result<(), NoMotion> {
        if !matches!(self.reference, Reference::Joints) {
            self.motion.hold(self.here);
        }
        self.motion.retarget(now, joints, duration)?;
        self.reference = Reference::Joints;
        Ok(())
    }

    /// Moves to a policy's joint positions \[rad\], as to those of an action's target.
    pub(super) fn go_to_joints(
        &mut self,
        now: Timestamp,
        joints: &JointVector,
        period: Duration,
    ) -> Result<(), NoMotion> {
        self.move_to(now, joints, period.mul_f64(self.horizon))
    }

    /// Moves to an action's target, whose inverse-kinematics solution is `joints` \[rad\].
    pub(super) fn go(
        &mut self,
        now: Timestamp,
        target: &Pose,
        joints: &JointVector,
        period: Duration,
    ) -> Result<(), NoMotion> {
        if !self.follows_poses() {
            return self.go_to_joints(now, joints, period);
        }
        let from = match &self.reference {
            Reference::Pose(way) => way.at(now),
            Reference::Velocities(_) => self.chain.forward(&self.here),
            Reference::Joints | Reference::Torques(_) => self.chain.forward(&self.motion.state(now).position),
        };
        self.reference = Reference::Pose(PoseWay::new(from, target, now, period));
        Ok(())
    }

    /// Keeps these velocities \[rad/s\] until the next action.
    pub(super) fn keep(&mut self, velocities: &JointVector) {
        self.reference = Reference::Velocities(*velocities);
    }

    /// Is it following a policy's velocities?
    pub(super) fn keeps_velocities(&self) -> bool {
        matches!(self.reference, Reference::Velocities(_))
    }

    /// Applies these torques \[Nm\] until the next ones.
    pub(super) fn apply(&mut self, torques: &JointVector) {
        self.reference = Reference::Torques(*torques);
    }

    /// Has the reference reached its end?
    pub(super) fn arrived(&self, now: Timestamp) -> bool {
        match &self.reference {
            Reference::Joints => self.motion.ended(now),
            Reference::Pose(way) => way.share(now) >= 1.0,
            Reference::Velocities(_) | Reference::Torques(_) => true,
        }
    }

    /// The law's mode and numbers at `now`: rad, rad/s or Nm. NaN without a finite measurement.
    pub(super) fn command(&mut self, now: Timestamp, measured: &Proprioception) -> (ControlMode, JointVector) {
        let mode = self.law.mode();
        let finite = measured.joint_positions.is_finite() && measured.joint_velocities.is_finite();
        if !self.here.is_finite() || !finite || measured.joint_positions.len() != self.here.len() {
            return (mode, JointVector::filled(self.here.len(), f64::NAN));
        }
        self.here = measured.joint_positions;
        // The first tick after a start has zero elapsed time.
        let elapsed = self.commanded.map_or(0.0, |last| now.since(last).as_secs_f64());
        let elapsed = elapsed.min(MOST_PERIODS * self.period);
        self.commanded = Some(now);
        let numbers = match mode {
            ControlMode::Position => self.motion.state(now).position,
            ControlMode::Velocity => {
                let wished = self.velocity(now);
                self.velocities.toward(&wished, elapsed)
            }
            ControlMode::Torque => {
                let wished = self.torque(now, measured);
                self.torques.toward(&wished, elapsed)
            }
        };
        (mode, numbers)
    }

    /// Joint velocities that follow the reference \[rad/s\].
    fn velocity(&self, now: Timestamp) -> JointVector {
        let wished = match &self.reference {
            Reference::Pose(way) => {
                return self.differential.toward(&self.here, &way.at(now), &way.twist(now), self.period).velocity;
            }
            Reference::Velocities(velocities) => *velocities,
            Reference::Joints | Reference::Torques(_) => {
                let state = self.motion.state(now);
                state.velocity + JOINT_GAIN * (state.position - self.here)
            }
        };
        // All joints are slowed equally, so that the direction stays.
        let over = wished.zip_map(self.limits.velocity, |speed, limit| speed.abs() / limit).max_abs();
        wished / over.max(1.0)
    }

    /// Joint torques that follow the reference, before limits \[Nm\].
    fn torque(&self, now: Timestamp, measured: &Proprioception) -> JointVector {
        // Requested torques already include everything.
        if let Reference::Torques(torques) = &self.reference {
            return *torques;
        }
        let coriolis = self.dynamics.coriolis(&measured.joint_positions, &measured.joint_velocities);
        match &self.reference {
            Reference::Pose(way) => self.cartesian_impedance.torque(&self.chain, &way.at(now), measured, &coriolis),
            Reference::Joints | Reference::Velocities(_) | Reference::Torques(_) => {
                let reference = self.motion.state(now).position;
                self.joint_impedance.torque(&reference, measured, &coriolis)
            }
        }
    }
}

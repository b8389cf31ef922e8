//! The target pose and the motion toward it.
//!
//! One file because target, segment and gripper move together.

mod motion;

use std::time::Duration;

use nalgebra::Vector3;

use super::error::ControlError;
use super::follower::Follower;
use super::gripper::GripperFilter;
use super::segment::{Pace, Segment};
use visuomotor_core::action::{Action, ActionBounds, JointCommand};
use visuomotor_core::config::{ControlLaw, ControlSetting, GripperPolicy, Robot};
use visuomotor_core::geometry::{Pose, rotation_from_euler};
use visuomotor_core::kinematics::{Chain, InverseSettings};
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

/// Result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The target moved, and a new segment leads to it.
    Taken,
    /// The arm cannot reach the new target: target and segment are unchanged; the gripper follows the action.
    NoSolution,
    /// The action is of a kind the law does not take ([`ControlLaw::takes`]): nothing changed.
    WrongAction,
    /// A number of the action or of the measured joints is not finite, or the number of joints is wrong: nothing changed.
    NotFinite,
}

/// Turns actions into joint commands.
///
/// Until [`Controller::seed`] was called with a finite measurement, commands are NaN, which the safety filter stops.
#[derive(Clone, Debug)]
pub struct Controller {
    chain: Chain,
    bounds: ActionBounds,
    workspace_low: [f64; 3],
    workspace_high: [f64; 3],
    policy_period: Duration,
    /// Speed limits of the joints \[rad/s\].
    joint_velocity: JointVector,
    inverse: InverseSettings,
    target: Pose,
    segment: Segment,
    gripper: GripperFilter,
    gripper_target: f64,
    /// Follower of every law but `interpolate`.
    follower: Option<Box<Follower>>,
}

impl Controller {
    /// A controller for this arm with the law `interpolate`; actions are clipped to `bounds` and executed over `policy_period`.
    pub fn new(
        robot: &Robot,
        chain: Chain,
        bounds: ActionBounds,
        gripper: GripperPolicy,
        policy_period: Duration,
    ) -> Self {
        let nowhere = JointVector::filled(chain.joints(), f64::NAN);
        Self {
            target: chain.forward(&nowhere),
            chain,
            bounds,
            workspace_low: robot.limits.workspace_low,
            workspace_high: robot.limits.workspace_high,
            policy_period,
            joint_velocity: JointVector::from_slice(&robot.limits.joint_velocity),
            inverse: InverseSettings::tracking(),
            segment: Segment::hold(nowhere, Timestamp::ZERO),
            gripper: GripperFilter::new(gripper),
            gripper_target: 1.0,
            follower: None,
        }
    }

    /// The same with another law.
    pub fn with_law(mut self, robot: &Robot, setting: &ControlSetting) -> Result<Self, ControlError> {
        self.follower = match setting.law {
            ControlLaw::Interpolate => None,
            _ => Some(Box::new(Follower::new(robot, &self.chain, setting)?)),
        };
        Ok(self)
    }

    /// The control law; it determines the mode of the commands.
    pub fn law(&self) -> ControlLaw {
        self.follower.as_ref().map_or(ControlLaw::Interpolate, |follower| follower.law())
    }

    /// Resets to the measurement: target = measured pose, command = measured positions and gripper until the next action.
    /// The gripper policy is reset to open.
    pub fn seed(&mut self, now: Timestamp, measured: &Proprioception) {
        self.gripper.restart(1.0);
        self.gripper_target = measured.gripper.clamp(0.0, 1.0);
        self.resume(now, measured);
    }

    /// After a stop or a reconnect within an episode: as [`Controller::seed`], but the gripper keeps its target and its
    /// policy's state, so that a held object is not released.
    pub fn resume(&mut self, now: Timestamp, measured: &Proprioception) {
        self.target = self.chain.forward(&measured.joint_positions);
        self.segment = Segment::hold(measured.joint_positions, now);
        if let Some(follower) = &mut self.follower {
            follower.seed(measured);
        }
    }

    /// Takes an action: moves the target and starts a segment from the present command to it.
    ///
    /// The action is clipped to the bounds and means `target = D * target`, `D` turning by `Rz Ry Rx` of the action's
    /// angles about the measured tool position (base axes) and then moving along the base axes. The target's position is
    /// clipped to the workspace box; its orientation is not.
    pub fn accept(&mut self, now: Timestamp, action: &Action, measured: &Proprioception) -> Accepted {
        let joints = &measured.joint_positions;
        // A non-finite target: not seeded, or seeded from non-finite numbers.
        let finite = action.is_finite() && joints.is_finite() && self.segment.to.is_finite();
        if joints.len() != self.chain.joints() || (!finite && Protection::Finite.is_on()) {
            return Accepted::NotFinite;
        }
        if self.law() == ControlLaw::Torque {
            return Accepted::WrongAction;
        }
        self.take_over_from_velocities(now, measured);
        let action = if Protection::ActionBounds.is_on() { self.bounds.clip(action) } else { *action };
        self.gripper_target = self.gripper.decide(action.gripper);
        let pivot = self.chain.forward(joints).translation.vector;
        let target = self.inside_workspace(moved(&self.target, &action, &pivot));
        self.lead_to(now, target, joints)
    }

    /// Starts a segment from the present command to a new target, with the arm measured at `joints`.
    fn lead_to(&mut self, now: Timestamp, target: Pose, joints: &JointVector) -> Accepted {
        // Inverse kinematics starts from the present target's joints: they are the commanded ones, and nearest to the
        // solution. With a law that follows poses, the joints may differ from them.
        let strays = self.follower.as_ref().is_some_and(|follower| follower.follows_poses());
        let seed = if strays { joints } else { &self.segment.to };
        let Ok(to) = self.chain.inverse(seed, &target, &self.inverse) else {
            return Accepted::NoSolution;
        };
        if let Some(follower) = &mut self.follower
            && follower.go(now, &target, &to, self.policy_period).is_err()
        {
            return Accepted::NoSolution;
        }
        self.target = target;
        self.start(now, to, self.policy_period, Pace::Even);
        Accepted::Taken
    }

    /// Takes joint torques \[Nm\] and a gripper target (0 closed .. 1 open), the action of a torque policy, for the law
    /// `torque`. They are applied until the next action, within the arm's torque-rate limits.
    pub fn accept_torques(&mut self, torques: &JointVector, gripper: f64) -> Accepted {
        if !torques.is_finite() || torques.len() != self.chain.joints() || !gripper.is_finite() {
            return Accepted::NotFinite;
        }
        if !self.segment.to.is_finite() {
            return Accepted::NotFinite;
        }
        match &mut self.follower {
            Some(follower) if follower.law() == ControlLaw::Torque => follower.apply(torques),
            _ => return Accepted::WrongAction,
        }
        self.gripper_target = self.gripper.decide(gripper);
        Accepted::Taken
    }

    /// Moves to joint positions \[rad\] in one minimum-jerk motion of this duration, gripper at once: for start poses.
    ///
    /// Joints are clamped to the usable limits. Afterwards the target is the pose of those joints, and the gripper policy is
    /// reset to `gripper`. Non-finite numbers change nothing.
    pub fn move_to(&mut self, now: Timestamp, joints: &JointVector, duration: Duration, gripper: f64) -> Accepted {
        if !joints.is_finite()
            || joints.len() != self.chain.joints()
            || !gripper.is_finite()
            || !self.segment.to.is_finite()
        {
            return Accepted::NotFinite;
        }
        let to = self.usable(joints);
        if let Some(follower) = &mut self.follower
            && follower.move_to(now, &to, duration).is_err()
        {
            return Accepted::NoSolution;
        }
        self.target = self.chain.forward(&to);
        self.start(now, to, duration, Pace::RestToRest);
        self.gripper.restart(gripper);
        self.gripper_target = gripper.clamp(0.0, 1.0);
        Accepted::Taken
    }

    /// The command at `now` by the law; only `interpolate` ignores the measurement.
    pub fn command(&mut self, now: Timestamp, measured: &Proprioception) -> JointCommand {
        match &mut self.follower {
            None => JointCommand::position(self.segment.at(now), self.gripper_target),
            Some(follower) => {
                let (mode, joints) = follower.command(now, measured);
                JointCommand::of(mode, joints, self.gripper_target)
            }
        }
    }

    /// Has the motion reached its end?
    pub fn arrived(&self, now: Timestamp) -> bool {
        self.follower.as_ref().map_or_else(|| self.segment.ended(now), |follower| follower.arrived(now))
    }

    /// Joint solution of the last target \[rad\]; a law that follows poses may reach it with other joints.
    pub fn goal(&self) -> JointVector {
        self.segment.to
    }

    /// Pose of the tool in the base frame that the next action changes.
    pub fn target(&self) -> Pose {
        self.target
    }

    /// Joints clamped to their usable ranges \[rad\].
    fn usable(&self, joints: &JointVector) -> JointVector {
        let mut inside = *joints;
        for (joint, limit) in inside.iter_mut().zip(self.chain.usable_limits()) {
            *joint = joint.clamp(limit.lower, limit.upper);
        }
        inside
    }

    fn start(&mut self, now: Timestamp, to: JointVector, duration: Duration, pace: Pace) {
        self.segment = Segment { from: self.segment.at(now), to, starts_at: now, duration, pace };
    }

    fn inside_workspace(&self, mut pose: Pose) -> Pose {
        for axis in 0..3 {
            if !Protection::Workspace.is_on() {
                break;
            }
            let (low, high) = (self.workspace_low[axis], self.workspace_high[axis]);
            let value = &mut pose.translation.vector[axis];
            // Not `max` and `min`: they would turn NaN into a position.
            if *value < low {
                *value = low;
            } else if *value > high {
                *value = high;
            }
        }
        pose
    }
}

/// `target` after `action`, turned about `pivot` \[m\], all in the base frame.
fn moved(target: &Pose, action: &Action, pivot: &Vector3<f64>) -> Pose {
    let [roll, pitch, yaw] = action.rotation;
    let turn = rotation_from_euler(roll, pitch, yaw);
    let position = turn * (target.translation.vector - pivot) + pivot + Vector3::from(action.translation);
    let mut rotation = turn * target.rotation;
    // The norm would drift over thousands of products.
    rotation.renormalize();
    Pose::from_parts(position.into(), rotation)
}

#[cfg(test)]
mod tests;

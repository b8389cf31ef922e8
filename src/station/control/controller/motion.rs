//! Actions other than pose changes: poses, joint positions, joint velocities, torques.

use std::time::Duration;

use super::{Accepted, Controller};
use crate::control::segment::{Pace, Segment};
use visuomotor_core::action::{ActionBounds, Motion};
use visuomotor_core::config::ControlLaw;
use visuomotor_core::geometry::Pose;
use visuomotor_core::kinematics::pose_error;
use visuomotor_core::observation::{JointVector, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::Timestamp;

impl Controller {
    /// Takes an action other than a pose change, and a gripper target (0 closed .. 1 open).
    ///
    /// Commands approach a far target within the arm's limits: a pose by at most the action bounds per decision, joint
    /// positions at most at the joints' speed limits.
    pub fn accept_motion(
        &mut self,
        now: Timestamp,
        motion: &Motion,
        gripper: f64,
        measured: &Proprioception,
    ) -> Accepted {
        let finite = motion.is_finite() && gripper.is_finite() && self.segment.to.is_finite();
        if !finite && Protection::Finite.is_on() {
            return Accepted::NotFinite;
        }
        match motion {
            Motion::ToolPose(pose) => self.accept_pose(now, pose, gripper, measured),
            Motion::JointPositions(joints) => self.accept_positions(now, joints, gripper),
            Motion::JointVelocities(velocities) => self.accept_velocities(velocities, gripper),
            Motion::JointTorques(torques) => self.accept_torques(&torques.asked, gripper),
        }
    }

    /// A pose of the tool in the base frame, as the new target, independent of the measured pose so that it is reached
    /// exactly. For every law but `torque`.
    fn accept_pose(&mut self, now: Timestamp, pose: &Pose, gripper: f64, measured: &Proprioception) -> Accepted {
        let joints = &measured.joint_positions;
        if joints.len() != self.chain.joints() || (!joints.is_finite() && Protection::Finite.is_on()) {
            return Accepted::NotFinite;
        }
        if self.law() == ControlLaw::Torque {
            return Accepted::WrongAction;
        }
        self.take_over_from_velocities(now, measured);
        self.gripper_target = self.gripper.decide(gripper);
        let pose = if Protection::ActionBounds.is_on() { toward(&self.target, pose, &self.bounds) } else { *pose };
        let target = self.inside_workspace(pose);
        self.lead_to(now, target, joints)
    }

    /// Joint positions \[rad\], clamped to the usable range: the next target, reached in one policy period or as soon as the
    /// joints' speed limits allow. For every law but `torque`.
    fn accept_positions(&mut self, now: Timestamp, joints: &JointVector, gripper: f64) -> Accepted {
        if joints.len() != self.chain.joints() {
            return Accepted::NotFinite;
        }
        if self.law() == ControlLaw::Torque {
            return Accepted::WrongAction;
        }
        let to = self.usable(joints);
        if let Some(follower) = &mut self.follower
            && follower.go_to_joints(now, &to, self.policy_period).is_err()
        {
            return Accepted::NoSolution;
        }
        self.gripper_target = self.gripper.decide(gripper);
        self.target = self.chain.forward(&to);
        let way = to - self.segment.at(now);
        let fastest = way.zip_map(self.joint_velocity, |way, limit| way.abs() / limit).max_abs();
        // With a limit of 0 or NaN, the safety filter limits the speed.
        let needed = Duration::try_from_secs_f64(fastest).unwrap_or(Duration::ZERO);
        self.start(now, to, self.policy_period.max(needed), Pace::Even);
        Accepted::Taken
    }

    /// Joint velocities \[rad/s\], kept until the next action, within the joints' limits. For the law `velocity`.
    fn accept_velocities(&mut self, velocities: &JointVector, gripper: f64) -> Accepted {
        if velocities.len() != self.chain.joints() {
            return Accepted::NotFinite;
        }
        match &mut self.follower {
            Some(follower) if follower.law() == ControlLaw::Velocity => follower.keep(velocities),
            _ => return Accepted::WrongAction,
        }
        self.gripper_target = self.gripper.decide(gripper);
        Accepted::Taken
    }

    /// Joint velocities do not move the target, so the next pose starts from the arm's current pose.
    pub(super) fn take_over_from_velocities(&mut self, now: Timestamp, measured: &Proprioception) {
        if self.follower.as_ref().is_some_and(|follower| follower.keeps_velocities()) {
            self.target = self.chain.forward(&measured.joint_positions);
            self.segment = Segment::hold(measured.joint_positions, now);
        }
    }
}

/// From `target` toward `goal`, at most as far as one action may: straight, and about one axis.
fn toward(target: &Pose, goal: &Pose, bounds: &ActionBounds) -> Pose {
    let (way, turn) = pose_error(target, goal);
    let share = |values: &[f64], first: usize| {
        let shares = values.iter().enumerate().map(|(axis, value)| {
            let bound = if *value < 0.0 { bounds.low[first + axis] } else { bounds.high[first + axis] };
            if *value == 0.0 { 1.0 } else { (bound / value).max(0.0) }
        });
        shares.fold(1.0, f64::min)
    };
    let (straight, about) = (share(way.as_slice(), 0), share(turn.as_slice(), 3));
    let place = if straight < 1.0 { target.translation.vector + straight * way } else { goal.translation.vector };
    let mut rotation = goal.rotation;
    if about < 1.0 {
        rotation = nalgebra::UnitQuaternion::from_scaled_axis(about * turn) * target.rotation;
        // The norm would drift over many products.
        rotation.renormalize();
    }
    Pose::from_parts(place.into(), rotation)
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;

    use super::*;

    #[test]
    fn a_pose_is_approached_straight_and_about_one_axis_by_no_more_than_the_bounds() {
        let here = Pose::identity();
        let about = Vector3::new(0.2, -1.0, 0.4);
        let goal = Pose::new(Vector3::new(0.1, -0.2, 0.0), about);
        let next = toward(&here, &goal, &ActionBounds::BRIDGE);
        assert!((next.translation.vector - Vector3::new(0.025, -0.05, 0.0)).norm() < 1e-12);
        assert!((next.rotation.scaled_axis() - 0.25 * about).norm() < 1e-12);
        let near = Pose::new(Vector3::new(0.01, 0.0, -0.05), 0.2 * about);
        assert_eq!(toward(&here, &near, &ActionBounds::BRIDGE), near);
    }
}

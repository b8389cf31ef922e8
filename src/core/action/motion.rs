//! Motions that may be commanded instead of a change of the tool's pose.

use std::fmt;

use crate::geometry::Pose;
use crate::observation::JointVector;

/// Joint torques of a decision, on top of gravity compensation \[Nm\], chain order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskedTorques {
    /// Torques for the arm.
    pub asked: JointVector,
    /// A demonstrator's torques without the added noise; otherwise equal to `asked`.
    pub label: JointVector,
}

impl AskedTorques {
    /// Torques of a source without added noise.
    #[inline]
    pub fn plain(asked: JointVector) -> Self {
        Self { asked, label: asked }
    }
}

/// Motion of a decision that replaces the pose change of an [`Action`](super::Action), whose gripper target still applies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Motion {
    /// Pose of the tool in the base frame (`base_from_tool`) to go to \[m\].
    ToolPose(Pose),
    /// Joint positions to go to \[rad\], chain order.
    JointPositions(JointVector),
    /// Joint velocities to keep until the next decision \[rad/s\], chain order.
    JointVelocities(JointVector),
    /// Joint torques to apply until the next decision.
    JointTorques(AskedTorques),
}

impl Motion {
    /// Its kind.
    #[inline]
    pub fn kind(&self) -> MotionKind {
        match self {
            Motion::ToolPose(_) => MotionKind::ToolPose,
            Motion::JointPositions(_) => MotionKind::JointPositions,
            Motion::JointVelocities(_) => MotionKind::JointVelocities,
            Motion::JointTorques(_) => MotionKind::JointTorques,
        }
    }

    /// The torques, if it is a torque motion.
    #[inline]
    pub fn torques(&self) -> Option<AskedTorques> {
        match self {
            Motion::JointTorques(torques) => Some(*torques),
            _ => None,
        }
    }

    /// Is every number finite?
    #[inline]
    pub fn is_finite(&self) -> bool {
        match self {
            Motion::ToolPose(pose) => is_finite(pose),
            Motion::JointPositions(joints) | Motion::JointVelocities(joints) => joints.is_finite(),
            Motion::JointTorques(torques) => torques.asked.is_finite() && torques.label.is_finite(),
        }
    }
}

impl From<AskedTorques> for Motion {
    #[inline]
    fn from(torques: AskedTorques) -> Self {
        Motion::JointTorques(torques)
    }
}

fn is_finite(pose: &Pose) -> bool {
    let rotation = pose.rotation.coords;
    pose.translation.vector.iter().chain(rotation.iter()).all(|value| value.is_finite())
}

/// Kinds of motion that a decision may command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MotionKind {
    /// A change of the tool's target pose: [`Action`](super::Action).
    PoseChange,
    /// [`Motion::ToolPose`].
    ToolPose,
    /// [`Motion::JointPositions`].
    JointPositions,
    /// [`Motion::JointVelocities`].
    JointVelocities,
    /// [`Motion::JointTorques`].
    JointTorques,
}

impl MotionKind {
    /// The kind of motion of a decision or a step.
    #[inline]
    pub fn of(motion: Option<&Motion>) -> Self {
        motion.map_or(MotionKind::PoseChange, Motion::kind)
    }
}

impl fmt::Display for MotionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MotionKind::PoseChange => "changes of the tool's pose",
            MotionKind::ToolPose => "poses of the tool",
            MotionKind::JointPositions => "joint positions",
            MotionKind::JointVelocities => "joint velocities",
            MotionKind::JointTorques => "joint torques",
        })
    }
}

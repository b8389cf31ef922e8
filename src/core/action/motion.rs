//! What may be asked of an arm in place of a change of the tool's pose.

use std::fmt;

use crate::geometry::Pose;
use crate::observation::JointVector;

/// Joint torques a decision asks for, on top of gravity compensation \[Nm\], chain order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskedTorques {
    /// What is asked of the arm.
    pub asked: JointVector,
    /// What a demonstrator would have wished without the noise it was disturbed by; equals `asked` otherwise.
    pub label: JointVector,
}

impl AskedTorques {
    /// Torques of a source that is not disturbed.
    pub fn plain(asked: JointVector) -> Self {
        Self { asked, label: asked }
    }
}

/// What a decision asks for in place of the pose change of an [`Action`](super::Action), whose gripper target still counts.
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
    /// Which of the variants it is.
    pub fn kind(&self) -> MotionKind {
        match self {
            Motion::ToolPose(_) => MotionKind::ToolPose,
            Motion::JointPositions(_) => MotionKind::JointPositions,
            Motion::JointVelocities(_) => MotionKind::JointVelocities,
            Motion::JointTorques(_) => MotionKind::JointTorques,
        }
    }

    /// The torques, where it is torques.
    pub fn torques(&self) -> Option<AskedTorques> {
        match self {
            Motion::JointTorques(torques) => Some(*torques),
            _ => None,
        }
    }

    /// Is every number finite?
    pub fn is_finite(&self) -> bool {
        match self {
            Motion::ToolPose(pose) => is_finite(pose),
            Motion::JointPositions(joints) | Motion::JointVelocities(joints) => joints.is_finite(),
            Motion::JointTorques(torques) => torques.asked.is_finite() && torques.label.is_finite(),
        }
    }
}

impl From<AskedTorques> for Motion {
    fn from(torques: AskedTorques) -> Self {
        Motion::JointTorques(torques)
    }
}

fn is_finite(pose: &Pose) -> bool {
    let rotation = pose.rotation.coords;
    pose.translation.vector.iter().chain(rotation.iter()).all(|value| value.is_finite())
}

/// Kinds of what a decision asks of the arm.
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
    /// The kind of what a decision or a step asks for.
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

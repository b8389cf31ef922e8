//! `control_msgs`, the part common to all distributions; [`super::control_state`] has the rest.

use serde::{Deserialize, Serialize};

use super::action::ros_actions;
use super::builtin::Duration;
use super::sensor::JointState;
use super::std::Header;
use super::trajectory::{JointTrajectory, JointTrajectoryPoint, MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint};
use crate::transport::ros2::message::ros_messages;

/// `control_msgs/msg/GripperCommand`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GripperCommand {
    /// Where to: by the server, the gap or one finger's way \[m\].
    pub position: f64,
    /// Most force; 0 is the server's own \[N\].
    pub max_effort: f64,
}

/// `control_msgs/msg/JointJog`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointJog {
    /// When.
    pub header: Header,
    /// Joints.
    pub joint_names: Vec<String>,
    /// Ways to go \[rad\].
    pub displacements: Vec<f64>,
    /// Velocities \[rad/s\].
    pub velocities: Vec<f64>,
    /// For how long \[s\].
    pub duration: f64,
}

/// `control_msgs/msg/JointTolerance`: 0 is the controller's own, -1 none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointTolerance {
    /// Joint.
    pub name: String,
    /// \[rad\].
    pub position: f64,
    /// \[rad/s\].
    pub velocity: f64,
    /// \[rad/s2\].
    pub acceleration: f64,
}

/// `control_msgs/msg/JointComponentTolerance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointComponentTolerance {
    /// Joint.
    pub joint_name: String,
    /// 1 x, 2 y, 3 z, 4 translation, 5 rotation, code.
    pub component: u16,
    /// \[m\] or \[rad\].
    pub position: f64,
    /// \[m/s\] or \[rad/s\].
    pub velocity: f64,
    /// \[m/s2\] or \[rad/s2\].
    pub acceleration: f64,
}

ros_messages!("control_msgs": GripperCommand, JointJog, JointTolerance, JointComponentTolerance);

/// Goal of [`GripperCommandAction`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GripperCommandGoal {
    /// The goal.
    pub command: GripperCommand,
}

/// Result and feedback of [`GripperCommandAction`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GripperCommandState {
    /// Where it is \[m\].
    pub position: f64,
    /// Force it feels \[N\].
    pub effort: f64,
    /// Does it push without moving?
    pub stalled: bool,
    /// Is it where it was sent?
    pub reached_goal: bool,
}

/// `control_msgs/action/GripperCommand`.
#[derive(Clone, Copy, Debug)]
pub struct GripperCommandAction;

impl crate::transport::ros2::RosAction for GripperCommandAction {
    const PACKAGE: &'static str = "control_msgs";
    const NAME: &'static str = "GripperCommand";
    type Goal = GripperCommandGoal;
    type Result = GripperCommandState;
    type Feedback = GripperCommandState;
}

/// Goal of [`ParallelGripperCommand`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParallelGripperCommandGoal {
    /// The goal.
    pub command: JointState,
}

/// Result of [`ParallelGripperCommand`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParallelGripperCommandResult {
    /// How it stands.
    pub state: JointState,
    /// Does it push without moving?
    pub stalled: bool,
    /// Is it where it was sent?
    pub reached_goal: bool,
}

/// Feedback of [`ParallelGripperCommand`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParallelGripperCommandFeedback {
    /// How it stands.
    pub state: JointState,
}

/// Goal of [`FollowJointTrajectory`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FollowJointTrajectoryGoal {
    /// The joints' way.
    pub trajectory: JointTrajectory,
    /// The way of joints with several axes.
    pub multi_dof_trajectory: MultiDOFJointTrajectory,
    /// How far the joints may be off on the way.
    pub path_tolerance: Vec<JointTolerance>,
    /// The same for joints with several axes.
    pub component_path_tolerance: Vec<JointComponentTolerance>,
    /// How far they may be off at the end.
    pub goal_tolerance: Vec<JointTolerance>,
    /// The same for joints with several axes.
    pub component_goal_tolerance: Vec<JointComponentTolerance>,
    /// How late they may be.
    pub goal_time_tolerance: Duration,
}

/// Result of [`FollowJointTrajectory`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowJointTrajectoryResult {
    /// 0 done, -1 bad goal, -2 bad joints, -3 old stamp, -4 off the way, -5 off at the end, code.
    pub error_code: i32,
    /// The same in words.
    pub error_string: String,
}

/// Feedback of [`FollowJointTrajectory`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FollowJointTrajectoryFeedback {
    /// When.
    pub header: Header,
    /// Joints.
    pub joint_names: Vec<String>,
    /// Where they should be.
    pub desired: JointTrajectoryPoint,
    /// Where they are.
    pub actual: JointTrajectoryPoint,
    /// The difference.
    pub error: JointTrajectoryPoint,
    /// Point gone to, counted from 0.
    pub index: i32,
    /// Joints with several axes.
    pub multi_dof_joint_names: Vec<String>,
    /// Where they should be.
    pub multi_dof_desired: MultiDOFJointTrajectoryPoint,
    /// Where they are.
    pub multi_dof_actual: MultiDOFJointTrajectoryPoint,
    /// The difference.
    pub multi_dof_error: MultiDOFJointTrajectoryPoint,
    /// Point gone to, counted from 0.
    pub multi_dof_index: i32,
}

ros_actions!(
    "control_msgs":
    /// `control_msgs/action/ParallelGripperCommand`.
    ParallelGripperCommand(ParallelGripperCommandGoal, ParallelGripperCommandResult, ParallelGripperCommandFeedback),
    /// `control_msgs/action/FollowJointTrajectory`, as in Jazzy and later.
    FollowJointTrajectory(FollowJointTrajectoryGoal, FollowJointTrajectoryResult, FollowJointTrajectoryFeedback),
);

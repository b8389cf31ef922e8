//! `control_msgs/msg/JointTrajectoryControllerState` as in Humble.

use serde::{Deserialize, Serialize};

use crate::transport::ros2::message::ros_messages;
use crate::transport::ros2::messages::std::Header;
use crate::transport::ros2::messages::trajectory::{JointTrajectoryPoint, MultiDOFJointTrajectoryPoint};

/// What a joint trajectory controller does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointTrajectoryControllerState {
    /// When.
    pub header: Header,
    /// Joints.
    pub joint_names: Vec<String>,
    /// Where they should be.
    pub reference: JointTrajectoryPoint,
    /// Where they are.
    pub feedback: JointTrajectoryPoint,
    /// The difference.
    pub error: JointTrajectoryPoint,
    /// What was sent to them.
    pub output: JointTrajectoryPoint,
    /// `reference` under its old name.
    pub desired: JointTrajectoryPoint,
    /// `feedback` under its old name.
    pub actual: JointTrajectoryPoint,
    /// Joints with several axes.
    pub multi_dof_joint_names: Vec<String>,
    /// Where they should be.
    pub multi_dof_reference: MultiDOFJointTrajectoryPoint,
    /// Where they are.
    pub multi_dof_feedback: MultiDOFJointTrajectoryPoint,
    /// The difference.
    pub multi_dof_error: MultiDOFJointTrajectoryPoint,
    /// What was sent to them.
    pub multi_dof_output: MultiDOFJointTrajectoryPoint,
    /// `multi_dof_reference` under its old name.
    pub multi_dof_desired: MultiDOFJointTrajectoryPoint,
    /// `multi_dof_feedback` under its old name.
    pub multi_dof_actual: MultiDOFJointTrajectoryPoint,
}

ros_messages!("control_msgs": JointTrajectoryControllerState);

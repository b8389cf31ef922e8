//! `trajectory_msgs`.

use serde::{Deserialize, Serialize};

use super::builtin::Duration;
use super::geometry::{Transform, Twist};
use super::std::Header;
use crate::transport::ros2::message::ros_messages;

/// `trajectory_msgs/msg/JointTrajectoryPoint`: each list is empty or has one number per joint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointTrajectoryPoint {
    /// \[rad\] or \[m\].
    pub positions: Vec<f64>,
    /// \[rad/s\] or \[m/s\].
    pub velocities: Vec<f64>,
    /// \[rad/s2\] or \[m/s2\].
    pub accelerations: Vec<f64>,
    /// \[Nm\] or \[N\].
    pub effort: Vec<f64>,
    /// When, counted from the trajectory's start.
    pub time_from_start: Duration,
}

/// `trajectory_msgs/msg/JointTrajectory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointTrajectory {
    /// When it starts; zero is now.
    pub header: Header,
    /// Joint names.
    pub joint_names: Vec<String>,
    /// Points in time order.
    pub points: Vec<JointTrajectoryPoint>,
}

/// `trajectory_msgs/msg/MultiDOFJointTrajectoryPoint`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MultiDOFJointTrajectoryPoint {
    /// Poses, one per joint.
    pub transforms: Vec<Transform>,
    /// Velocities, one per joint.
    pub velocities: Vec<Twist>,
    /// Accelerations, one per joint; `linear` \[m/s2\], `angular` \[rad/s2\].
    pub accelerations: Vec<Twist>,
    /// When, counted from the trajectory's start.
    pub time_from_start: Duration,
}

/// `trajectory_msgs/msg/MultiDOFJointTrajectory`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MultiDOFJointTrajectory {
    /// When it starts; zero is now.
    pub header: Header,
    /// Joint names.
    pub joint_names: Vec<String>,
    /// Points in time order.
    pub points: Vec<MultiDOFJointTrajectoryPoint>,
}

ros_messages!(
    "trajectory_msgs": JointTrajectoryPoint, JointTrajectory, MultiDOFJointTrajectoryPoint, MultiDOFJointTrajectory
);

//! `interbotix_xs_msgs`: the node `xs_sdk` of WidowX and its relatives.
//!
//! `cmd_type` is `group` or `single`; `name` is then the group's (`arm`) or the joint's name.

use serde::{Deserialize, Serialize};

use super::ros_services;
use super::std::Empty;
use super::trajectory::JointTrajectory;
use crate::transport::ros2::message::ros_messages;

/// `interbotix_xs_msgs/msg/JointGroupCommand`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointGroupCommand {
    /// Group (`arm`).
    pub name: String,
    /// One number per joint of the group: rad, rad/s, mA or PWM counts, by the operating mode.
    pub cmd: Vec<f32>,
}

/// `interbotix_xs_msgs/msg/JointSingleCommand`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointSingleCommand {
    /// Joint (`gripper`).
    pub name: String,
    /// rad, rad/s, mA, PWM counts, or the opening in m (`linear_position`), by the operating mode.
    pub cmd: f32,
}

/// `interbotix_xs_msgs/msg/JointTrajectoryCommand`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointTrajectoryCommand {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// The points; the node reads only `nanosec` of successive times.
    pub traj: JointTrajectory,
}

/// `interbotix_xs_msgs/msg/JointTemps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JointTemps {
    /// Joints.
    pub names: Vec<String>,
    /// Temperatures \[degC\].
    pub temps: Vec<i32>,
}

/// `interbotix_xs_msgs/msg/ArmJoy`: 0 is nothing, the other codes are 1 .. 24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmJoy {
    /// Tool along x: 1 forward, 2 backward, code.
    pub ee_x_cmd: i8,
    /// Tool along y: 3, 4, code.
    pub ee_y_cmd: i8,
    /// Tool along z: 5, 6, code.
    pub ee_z_cmd: i8,
    /// Tool roll: 7, 8, code.
    pub ee_roll_cmd: i8,
    /// Tool pitch: 9, 10, code.
    pub ee_pitch_cmd: i8,
    /// Waist: 11, 12, code.
    pub waist_cmd: i8,
    /// Gripper: 13 open, 14 close, code.
    pub gripper_cmd: i8,
    /// Pose: 15 home, 16 sleep, code.
    pub pose_cmd: i8,
    /// Speed: 17, 18, code.
    pub speed_cmd: i8,
    /// Speed range: 19 coarse, 20 fine, code.
    pub speed_toggle_cmd: i8,
    /// Gripper pressure: 21, 22, code.
    pub gripper_pwm_cmd: i8,
    /// Torque: 23 on, 24 off, code.
    pub torque_cmd: i8,
}

ros_messages!(
    "interbotix_xs_msgs": JointGroupCommand, JointSingleCommand, JointTrajectoryCommand, JointTemps, ArmJoy
);

/// Request of [`TorqueEnable`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorqueEnableRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// Torque on?
    pub enable: bool,
}

/// Request of [`Reboot`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// Torque on afterwards?
    pub enable: bool,
    /// Only those that report a fault?
    pub smart_reboot: bool,
}

/// Request of [`OperatingModes`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingModesRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// `position`, `velocity`, `current`, `current_based_position`, `pwm`, `linear_position`.
    pub mode: String,
    /// `time` or `velocity`.
    pub profile_type: String,
    /// \[ms\], or velocity counts of 0.229 rev/min.
    pub profile_velocity: i32,
    /// \[ms\], or acceleration counts of 214.577 rev/min2.
    pub profile_acceleration: i32,
}

/// Request of [`MotorGains`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MotorGainsRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// Position P, register counts.
    pub kp_pos: i32,
    /// Position I, register counts.
    pub ki_pos: i32,
    /// Position D, register counts.
    pub kd_pos: i32,
    /// Feed-forward 1, register counts.
    pub k1: i32,
    /// Feed-forward 2, register counts.
    pub k2: i32,
    /// Velocity P, register counts.
    pub kp_vel: i32,
    /// Velocity I, register counts.
    pub ki_vel: i32,
}

/// Request of [`RegisterValues`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterValuesRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
    /// Register name (`Bus_Watchdog`).
    pub reg: String,
    /// Value to write, register counts; ignored when reading.
    pub value: i32,
}

/// Response of [`RegisterValues`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterValuesResponse {
    /// One per joint, register counts; empty after writing.
    pub values: Vec<i32>,
}

/// Request of [`RobotInfo`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotInfoRequest {
    /// `group` or `single`.
    pub cmd_type: String,
    /// Group or joint.
    pub name: String,
}

/// Response of [`RobotInfo`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RobotInfoResponse {
    /// Operating mode.
    pub mode: String,
    /// `time` or `velocity`.
    pub profile_type: String,
    /// Joints of the group.
    pub joint_names: Vec<String>,
    /// Servo ids.
    pub joint_ids: Vec<i16>,
    /// \[rad\].
    pub joint_lower_limits: Vec<f32>,
    /// \[rad\].
    pub joint_upper_limits: Vec<f32>,
    /// \[rad/s\].
    pub joint_velocity_limits: Vec<f32>,
    /// \[rad\].
    pub joint_sleep_positions: Vec<f32>,
    /// Where each stands in `joint_states`.
    pub joint_state_indices: Vec<i16>,
    /// Joints of the group.
    pub num_joints: i16,
    /// Names as in the node's configuration.
    pub name: Vec<String>,
}

ros_services!(
    "interbotix_xs_msgs":
    /// `interbotix_xs_msgs/srv/TorqueEnable`.
    TorqueEnable(TorqueEnableRequest, Empty),
    /// `interbotix_xs_msgs/srv/Reboot`.
    Reboot(RebootRequest, Empty),
    /// `interbotix_xs_msgs/srv/OperatingModes`.
    OperatingModes(OperatingModesRequest, Empty),
    /// `interbotix_xs_msgs/srv/MotorGains`.
    MotorGains(MotorGainsRequest, Empty),
    /// `interbotix_xs_msgs/srv/RegisterValues`.
    RegisterValues(RegisterValuesRequest, RegisterValuesResponse),
    /// `interbotix_xs_msgs/srv/RobotInfo`.
    RobotInfo(RobotInfoRequest, RobotInfoResponse),
);

//! `intera_core_msgs`: Sawyer's controller. The arm speaks ROS 1; these are the field-for-field ROS 2 copies that bridges
//! carry (ROS 1 `time` is `builtin_interfaces/Time`).

use serde::{Deserialize, Serialize};

use super::builtin::Time;
use super::geometry::{Pose, PoseStamped, Twist, Wrench};
use super::ros_services;
use super::sensor::JointState;
use super::std::Header;
use crate::transport::ros2::message::ros_messages;

/// `intera_core_msgs/msg/JointCommand`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointCommand {
    /// When, by the sender's clock; the controller's time-out counts from receipt.
    pub header: Header,
    /// One of the constants, code.
    pub mode: i32,
    /// Joints commanded.
    pub names: Vec<String>,
    /// \[rad\]; modes 1 and 4.
    pub position: Vec<f64>,
    /// \[rad/s\]; modes 2 and 4.
    pub velocity: Vec<f64>,
    /// \[rad/s2\]; mode 4.
    pub acceleration: Vec<f64>,
    /// \[Nm\]; mode 3.
    pub effort: Vec<f64>,
}

impl JointCommand {
    /// Positions through the arm's own filter.
    pub const POSITION_MODE: i32 = 1;
    /// Velocities.
    pub const VELOCITY_MODE: i32 = 2;
    /// Torques on top of gravity compensation.
    pub const TORQUE_MODE: i32 = 3;
    /// Positions with velocities and accelerations, fed raw.
    pub const TRAJECTORY_MODE: i32 = 4;
}

/// `intera_core_msgs/msg/EndpointState`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointState {
    /// When and in which frame.
    pub header: Header,
    /// Where the tool is.
    pub pose: Pose,
    /// How it moves.
    pub twist: Twist,
    /// What it feels.
    pub wrench: Wrench,
    /// Is all this known?
    pub valid: bool,
}

/// `intera_core_msgs/msg/EndpointStates`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointStates {
    /// When.
    pub header: Header,
    /// Names of the endpoints.
    pub names: Vec<String>,
    /// The endpoints.
    pub states: Vec<EndpointState>,
}

/// `intera_core_msgs/msg/RobotAssemblyState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotAssemblyState {
    /// Are all joints homed?
    pub homed: bool,
    /// Ready for motion?
    pub ready: bool,
    /// Torque on?
    pub enabled: bool,
    /// Stopped by the operator or a fault?
    pub stopped: bool,
    /// Is there a fault?
    pub error: bool,
    /// Is the supply too low?
    #[serde(rename = "lowVoltage")]
    pub low_voltage: bool,
    /// 0 unpressed, 1 pressed, 2 unknown, 3 released but not reset, code.
    pub estop_button: u8,
    /// 0 none, 1 person, 2 unknown, 3 fault, 4 engine, code.
    pub estop_source: u8,
}

impl RobotAssemblyState {
    /// The button is out.
    pub const BUTTON_UNPRESSED: u8 = 0;
    /// The button is in.
    pub const BUTTON_PRESSED: u8 = 1;
    /// The button was let out; a reset is needed.
    pub const BUTTON_RELEASED: u8 = 3;
    /// The arm was not stopped.
    pub const SOURCE_NONE: u8 = 0;
    /// A person did.
    pub const SOURCE_USER: u8 = 1;
    /// A fault did.
    pub const SOURCE_FAULT: u8 = 3;
}

/// `intera_core_msgs/msg/JointLimits`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JointLimits {
    /// Joints.
    pub joint_names: Vec<String>,
    /// \[rad\].
    pub position_lower: Vec<f64>,
    /// \[rad\].
    pub position_upper: Vec<f64>,
    /// \[rad/s\].
    pub velocity: Vec<f64>,
    /// \[rad/s2\].
    pub accel: Vec<f64>,
    /// \[Nm\].
    pub effort: Vec<f64>,
}

/// `intera_core_msgs/msg/SEAJointState`: the springs' view of the joints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SEAJointState {
    /// When.
    pub header: Header,
    /// Joints.
    pub name: Vec<String>,
    /// \[rad\].
    pub commanded_position: Vec<f64>,
    /// \[rad/s\].
    pub commanded_velocity: Vec<f64>,
    /// \[rad/s2\].
    pub commanded_acceleration: Vec<f64>,
    /// \[Nm\].
    pub commanded_effort: Vec<f64>,
    /// \[rad\].
    pub actual_position: Vec<f64>,
    /// \[rad/s\].
    pub actual_velocity: Vec<f64>,
    /// \[Nm\].
    pub actual_effort: Vec<f64>,
    /// Gravity and motion \[Nm\].
    pub gravity_model_effort: Vec<f64>,
    /// Gravity \[Nm\].
    pub gravity_only: Vec<f64>,
    /// \[Nm\].
    pub interaction_torque: Vec<f64>,
    /// \[Nm\].
    pub hysteresis_model_effort: Vec<f64>,
    /// \[Nm\].
    pub crosstalk_model_effort: Vec<f64>,
    /// State of the hysteresis model, no unit.
    #[serde(rename = "hystState")]
    pub hyst_state: f64,
}

/// `intera_core_msgs/msg/CollisionDetectionState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollisionDetectionState {
    /// When.
    pub header: Header,
    /// Does it push against something?
    pub collision_state: bool,
}

/// `intera_core_msgs/msg/CollisionAvoidanceState`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollisionAvoidanceState {
    /// When.
    pub header: Header,
    /// Is another arm in the way?
    pub other_arm: bool,
    /// What is in the way.
    pub collision_object: Vec<String>,
}

/// `intera_core_msgs/msg/IOComponentCommand`: `set` with JSON arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IOComponentCommand {
    /// When; repeated in `commands` of the device's state once it is done.
    pub time: Time,
    /// `set`.
    pub op: String,
    /// JSON.
    pub args: String,
}

/// `intera_core_msgs/msg/IOComponentConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IOComponentConfiguration {
    /// Name.
    pub name: String,
    /// JSON.
    pub config: String,
}

/// `intera_core_msgs/msg/IOStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IOStatus {
    /// `down`, `ready`, `busy`, `unready` or `error`.
    pub tag: String,
    /// Machine-readable name.
    pub id: String,
    /// For the operator.
    pub detail: String,
}

/// `intera_core_msgs/msg/IOComponentStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IOComponentStatus {
    /// Name.
    pub name: String,
    /// How it is.
    pub status: IOStatus,
}

/// `intera_core_msgs/msg/IODataStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IODataStatus {
    /// Signal or port.
    pub name: String,
    /// JSON: type and dimensions.
    pub format: String,
    /// JSON: an array of values.
    pub data: String,
    /// How it is.
    pub status: IOStatus,
}

/// `intera_core_msgs/msg/IODeviceConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IODeviceConfiguration {
    /// When.
    pub time: Time,
    /// Firmware required.
    pub commanded: String,
    /// Firmware there.
    pub upgraded: String,
    /// The device.
    pub device: IOComponentConfiguration,
    /// Its ports.
    pub ports: Vec<IOComponentConfiguration>,
    /// Its signals.
    pub signals: Vec<IOComponentConfiguration>,
}

/// `intera_core_msgs/msg/IODeviceStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IODeviceStatus {
    /// When.
    pub time: Time,
    /// The device.
    pub device: IOComponentStatus,
    /// Its ports.
    pub ports: Vec<IODataStatus>,
    /// Its signals.
    pub signals: Vec<IODataStatus>,
    /// Commands done, by their `time`.
    pub commands: Vec<Time>,
    /// Their responses.
    pub responses: Vec<String>,
}

/// `intera_core_msgs/msg/IONodeConfiguration`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IONodeConfiguration {
    /// When.
    pub time: Time,
    /// The node.
    pub node: IOComponentConfiguration,
    /// Its devices.
    pub devices: Vec<IOComponentConfiguration>,
    /// Its plugins.
    pub plugins: Vec<IOComponentConfiguration>,
}

/// `intera_core_msgs/msg/IONodeStatus`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IONodeStatus {
    /// When.
    pub time: Time,
    /// The node.
    pub node: IOComponentStatus,
    /// Its devices.
    pub devices: Vec<IOComponentStatus>,
    /// Commands done, by their `time`.
    pub commands: Vec<Time>,
}

ros_messages!(
    "intera_core_msgs": JointCommand, EndpointState, EndpointStates, RobotAssemblyState, JointLimits, SEAJointState,
    CollisionDetectionState, CollisionAvoidanceState, IOComponentCommand, IOComponentConfiguration, IOStatus,
    IOComponentStatus, IODataStatus, IODeviceConfiguration, IODeviceStatus, IONodeConfiguration, IONodeStatus
);

/// Request of [`SolvePositionIK`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SolvePositionIKRequest {
    /// Poses wanted.
    pub pose_stamp: Vec<PoseStamped>,
    /// Where to start from.
    pub seed_angles: Vec<JointState>,
    /// 0 automatic, 1 given, 2 present, 3 nullspace map, code.
    pub seed_mode: i8,
    /// Pull towards the nullspace goal?
    pub use_nullspace_goal: Vec<bool>,
    /// Postures to pull towards.
    pub nullspace_goal: Vec<JointState>,
    /// How strongly, no unit.
    pub nullspace_gain: Vec<f64>,
    /// Tip of each pose.
    pub tip_names: Vec<String>,
}

/// Response of [`SolvePositionIK`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SolvePositionIKResponse {
    /// Solutions.
    pub joints: Vec<JointState>,
    /// -1 failed, -2 in collision, -3 no such tip, otherwise the seed used, code.
    pub result_type: Vec<i8>,
}

/// Request of [`SolvePositionFK`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SolvePositionFKRequest {
    /// Joint positions.
    pub configuration: Vec<JointState>,
    /// Tip of each.
    pub tip_names: Vec<String>,
}

/// Response of [`SolvePositionFK`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SolvePositionFKResponse {
    /// Poses.
    pub pose_stamp: Vec<PoseStamped>,
    /// Is each known?
    #[serde(rename = "isValid")]
    pub is_valid: Vec<bool>,
    /// Is each in collision?
    #[serde(rename = "inCollision")]
    pub in_collision: Vec<bool>,
}

ros_services!(
    "intera_core_msgs":
    /// `intera_core_msgs/srv/SolvePositionIK`.
    SolvePositionIK(SolvePositionIKRequest, SolvePositionIKResponse),
    /// `intera_core_msgs/srv/SolvePositionFK`.
    SolvePositionFK(SolvePositionFKRequest, SolvePositionFKResponse),
);

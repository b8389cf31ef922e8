//! `franka_msgs`, as franka_ros2 2.x has them: its release drives FR3 only; Panda bridges mirror these types.

use serde::{Deserialize, Serialize};

use super::action::ros_actions;
use super::array::Array;
use super::geometry::{AccelStamped, InertiaStamped, PoseStamped, TwistStamped, Vector3, WrenchStamped};
use super::ros_services;
use super::sensor::JointState;
use super::std::{Empty, Header};
use crate::transport::ros2::message::ros_messages;

/// `franka_msgs/msg/CollisionIndicators`: 0 none, 1 touched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollisionIndicators {
    /// By axis, flag.
    pub is_cartesian_linear_collision: Vector3,
    /// By axis, flag.
    pub is_cartesian_angular_collision: Vector3,
    /// By axis, flag.
    pub is_cartesian_linear_contact: Vector3,
    /// By axis, flag.
    pub is_cartesian_angular_contact: Vector3,
    /// By joint, flag.
    pub is_joint_collision: Array<f64, 7>,
    /// By joint, flag.
    pub is_joint_contact: Array<f64, 7>,
}

/// `franka_msgs/msg/Elbow`: joint 3 \[rad\] and the sign of joint 4, with their derivatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Elbow {
    /// Measured \[rad\].
    pub position: Array<f64, 2>,
    /// Desired \[rad\].
    pub desired_position: Array<f64, 2>,
    /// Commanded \[rad\].
    pub commanded_position: Array<f64, 2>,
    /// Commanded \[rad/s\].
    pub commanded_velocity: Array<f64, 2>,
    /// Commanded \[rad/s2\].
    pub commanded_acceleration: Array<f64, 2>,
}

macro_rules! errors {
    ($($field:ident),+ $(,)?) => {
        /// `franka_msgs/msg/Errors`: the field names are the maker's.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Errors {
            $(
                #[doc = concat!("`", stringify!($field), "`.")]
                pub $field: bool,
            )+
        }

        impl Errors {
            /// The makers' names, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            /// One flag per name.
            pub fn flags(&self) -> impl Iterator<Item = bool> {
                [$(self.$field),+].into_iter()
            }
        }
    };
}

errors!(
    joint_position_limits_violation,
    cartesian_position_limits_violation,
    self_collision_avoidance_violation,
    joint_velocity_violation,
    cartesian_velocity_violation,
    force_control_safety_violation,
    joint_reflex,
    cartesian_reflex,
    max_goal_pose_deviation_violation,
    max_path_pose_deviation_violation,
    cartesian_velocity_profile_safety_violation,
    joint_position_motion_generator_start_pose_invalid,
    joint_motion_generator_position_limits_violation,
    joint_motion_generator_velocity_limits_violation,
    joint_motion_generator_velocity_discontinuity,
    joint_motion_generator_acceleration_discontinuity,
    cartesian_position_motion_generator_start_pose_invalid,
    cartesian_motion_generator_elbow_limit_violation,
    cartesian_motion_generator_velocity_limits_violation,
    cartesian_motion_generator_velocity_discontinuity,
    cartesian_motion_generator_acceleration_discontinuity,
    cartesian_motion_generator_elbow_sign_inconsistent,
    cartesian_motion_generator_start_elbow_invalid,
    cartesian_motion_generator_joint_position_limits_violation,
    cartesian_motion_generator_joint_velocity_limits_violation,
    cartesian_motion_generator_joint_velocity_discontinuity,
    cartesian_motion_generator_joint_acceleration_discontinuity,
    cartesian_position_motion_generator_invalid_frame,
    force_controller_desired_force_tolerance_violation,
    controller_torque_discontinuity,
    start_elbow_sign_inconsistent,
    communication_constraints_violation,
    power_limit_violation,
    joint_p2p_insufficient_torque_for_planning,
    tau_j_range_violation,
    instability_detected,
);

/// `franka_msgs/msg/FrankaRobotState`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrankaRobotState {
    /// When.
    pub header: Header,
    /// What is touched.
    pub collision_indicators: CollisionIndicators,
    /// Joints as measured.
    pub measured_joint_state: JointState,
    /// Desired joint state.
    pub desired_joint_state: JointState,
    /// Motors as measured.
    pub measured_joint_motor_state: JointState,
    /// Desired accelerations \[rad/s2\].
    pub ddq_d: Array<f64, 7>,
    /// Change of the measured torques \[Nm/s\].
    pub dtau_j: Array<f64, 7>,
    /// Torques from outside.
    pub tau_ext_hat_filtered: JointState,
    /// The elbow.
    pub elbow: Elbow,
    /// Wrench from outside, in the stiffness frame.
    pub k_f_ext_hat_k: WrenchStamped,
    /// Wrench from outside, in the base frame.
    pub o_f_ext_hat_k: WrenchStamped,
    /// The hand.
    pub inertia_ee: InertiaStamped,
    /// What it carries.
    pub inertia_load: InertiaStamped,
    /// Both.
    pub inertia_total: InertiaStamped,
    /// Tool in base, measured.
    pub o_t_ee: PoseStamped,
    /// Tool in base, desired.
    pub o_t_ee_d: PoseStamped,
    /// Tool in base, commanded.
    pub o_t_ee_c: PoseStamped,
    /// Tool in flange.
    pub f_t_ee: PoseStamped,
    /// Stiffness frame in tool.
    pub ee_t_k: PoseStamped,
    /// Tool's motion, desired.
    pub o_dp_ee_d: TwistStamped,
    /// Tool's motion, commanded.
    pub o_dp_ee_c: TwistStamped,
    /// Tool's acceleration, commanded.
    pub o_ddp_ee_c: AccelStamped,
    /// Robot's time \[s\].
    pub time: f64,
    /// Share of the last 100 commands that came in time, 0 .. 1.
    pub control_command_success_rate: f64,
    /// One of the constants, code.
    pub robot_mode: u8,
    /// Present errors.
    pub current_errors: Errors,
    /// Errors that ended the last motion.
    pub last_motion_errors: Errors,
}

impl FrankaRobotState {
    /// Ready.
    pub const MODE_IDLE: u8 = 1;
    /// Under command.
    pub const MODE_MOVE: u8 = 2;
    /// Guided by hand.
    pub const MODE_GUIDING: u8 = 3;
    /// Stopped itself.
    pub const MODE_REFLEX: u8 = 4;
    /// The user's stop button is in.
    pub const MODE_USER_STOPPED: u8 = 5;
    /// Recovering.
    pub const MODE_RECOVERY: u8 = 6;
}

/// `franka_msgs/msg/GraspEpsilon`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraspEpsilon {
    /// How much narrower the object may be \[m\].
    pub inner: f64,
    /// How much wider the object may be \[m\].
    pub outer: f64,
}

impl Default for GraspEpsilon {
    fn default() -> Self {
        Self { inner: 0.005, outer: 0.005 }
    }
}

ros_messages!("franka_msgs": CollisionIndicators, Elbow, Errors, FrankaRobotState, GraspEpsilon);

/// Goal of [`Grasp`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GraspGoal {
    /// Width of the object \[m\].
    pub width: f64,
    /// How exactly it is known.
    pub epsilon: GraspEpsilon,
    /// Speed \[m/s\].
    pub speed: f64,
    /// Force \[N\].
    pub force: f64,
}

/// Goal of [`Move`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MoveGoal {
    /// Gap between the fingers \[m\].
    pub width: f64,
    /// Speed \[m/s\].
    pub speed: f64,
}

/// Result of [`Grasp`], [`Move`] and [`Homing`]; answer of the `Set...` services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Did it work?
    pub success: bool,
    /// Why not.
    pub error: String,
}

/// Feedback of [`Grasp`], [`Move`] and [`Homing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Width {
    /// Gap between the fingers \[m\].
    pub current_width: f64,
}

ros_actions!(
    "franka_msgs":
    /// `franka_msgs/action/ErrorRecovery`.
    ErrorRecovery(Empty, Empty, Empty),
    /// `franka_msgs/action/Grasp`.
    Grasp(GraspGoal, Outcome, Width),
    /// `franka_msgs/action/Move`.
    Move(MoveGoal, Outcome, Width),
    /// `franka_msgs/action/Homing`.
    Homing(Empty, Outcome, Width),
);

/// Request of [`SetJointStiffness`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetJointStiffnessRequest {
    /// \[Nm/rad\].
    pub joint_stiffness: Array<f64, 7>,
}

/// Request of [`SetCartesianStiffness`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetCartesianStiffnessRequest {
    /// \[N/m\] and \[Nm/rad\].
    pub cartesian_stiffness: Array<f64, 6>,
}

/// Request of [`SetLoad`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetLoadRequest {
    /// \[kg\].
    pub mass: f64,
    /// In the flange \[m\].
    pub center_of_mass: Array<f64, 3>,
    /// Columns first \[kg m2\].
    pub load_inertia: Array<f64, 9>,
}

/// Request of [`SetTCPFrame`] and [`SetStiffnessFrame`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FrameRequest {
    /// 4x4, columns first; translation \[m\].
    pub transformation: Array<f64, 16>,
}

/// Request of [`SetForceTorqueCollisionBehavior`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetForceTorqueCollisionBehaviorRequest {
    /// Contact \[Nm\].
    pub lower_torque_thresholds_nominal: Array<f64, 7>,
    /// Collision \[Nm\].
    pub upper_torque_thresholds_nominal: Array<f64, 7>,
    /// Contact \[N\] and \[Nm\].
    pub lower_force_thresholds_nominal: Array<f64, 6>,
    /// Collision \[N\] and \[Nm\].
    pub upper_force_thresholds_nominal: Array<f64, 6>,
}

/// Request of [`SetFullCollisionBehavior`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetFullCollisionBehaviorRequest {
    /// Contact while accelerating \[Nm\].
    pub lower_torque_thresholds_acceleration: Array<f64, 7>,
    /// Collision while accelerating \[Nm\].
    pub upper_torque_thresholds_acceleration: Array<f64, 7>,
    /// Contact \[Nm\].
    pub lower_torque_thresholds_nominal: Array<f64, 7>,
    /// Collision \[Nm\].
    pub upper_torque_thresholds_nominal: Array<f64, 7>,
    /// Contact while accelerating \[N\] and \[Nm\].
    pub lower_force_thresholds_acceleration: Array<f64, 6>,
    /// Collision while accelerating \[N\] and \[Nm\].
    pub upper_force_thresholds_acceleration: Array<f64, 6>,
    /// Contact \[N\] and \[Nm\].
    pub lower_force_thresholds_nominal: Array<f64, 6>,
    /// Collision \[N\] and \[Nm\].
    pub upper_force_thresholds_nominal: Array<f64, 6>,
}

ros_services!(
    "franka_msgs":
    /// `franka_msgs/srv/SetJointStiffness`.
    SetJointStiffness(SetJointStiffnessRequest, Outcome),
    /// `franka_msgs/srv/SetCartesianStiffness`.
    SetCartesianStiffness(SetCartesianStiffnessRequest, Outcome),
    /// `franka_msgs/srv/SetLoad`.
    SetLoad(SetLoadRequest, Outcome),
    /// `franka_msgs/srv/SetTCPFrame`.
    SetTCPFrame(FrameRequest, Outcome),
    /// `franka_msgs/srv/SetStiffnessFrame`.
    SetStiffnessFrame(FrameRequest, Outcome),
    /// `franka_msgs/srv/SetForceTorqueCollisionBehavior`.
    SetForceTorqueCollisionBehavior(SetForceTorqueCollisionBehaviorRequest, Outcome),
    /// `franka_msgs/srv/SetFullCollisionBehavior`.
    SetFullCollisionBehavior(SetFullCollisionBehaviorRequest, Outcome),
);

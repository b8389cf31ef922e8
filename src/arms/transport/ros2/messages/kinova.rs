//! `kinova_msgs`: the node of Kinova's second-generation arms (Jaco, Mico). Angles are degrees here, not radians.

use serde::{Deserialize, Serialize};

use super::action::ros_actions;
use super::geometry::{PoseStamped, Vector3};
use super::ros_services;
use super::std::Empty;
use crate::transport::ros2::message::ros_messages;

/// Messages of seven numbers; `joint7` is 0 on arms of six joints.
macro_rules! seven {
    ($($(#[$doc:meta])* $name:ident in $unit:literal),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                #[doc = concat!("Joint 1 ", $unit, ".")]
                pub joint1: f32,
                #[doc = concat!("Joint 2 ", $unit, ".")]
                pub joint2: f32,
                #[doc = concat!("Joint 3 ", $unit, ".")]
                pub joint3: f32,
                #[doc = concat!("Joint 4 ", $unit, ".")]
                pub joint4: f32,
                #[doc = concat!("Joint 5 ", $unit, ".")]
                pub joint5: f32,
                #[doc = concat!("Joint 6 ", $unit, ".")]
                pub joint6: f32,
                #[doc = concat!("Joint 7 ", $unit, ".")]
                pub joint7: f32,
            }

            impl $name {
                #[doc = concat!("The seven numbers ", $unit, ".")]
                pub fn to_array(self) -> [f32; 7] {
                    [self.joint1, self.joint2, self.joint3, self.joint4, self.joint5, self.joint6, self.joint7]
                }

                #[doc = concat!("From the seven numbers ", $unit, ".")]
                pub fn from_array([joint1, joint2, joint3, joint4, joint5, joint6, joint7]: [f32; 7]) -> Self {
                    Self { joint1, joint2, joint3, joint4, joint5, joint6, joint7 }
                }
            }
        )+
    };
}

seven! {
    /// `kinova_msgs/msg/JointAngles`; `out/joint_torques` has this type too, its numbers then are Nm.
    JointAngles in "\\[deg\\]",
    /// `kinova_msgs/msg/JointVelocity`.
    JointVelocity in "\\[deg/s\\]",
    /// `kinova_msgs/msg/JointTorque`.
    JointTorque in "\\[Nm\\]",
}

/// `kinova_msgs/msg/PoseVelocity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseVelocity {
    /// \[m/s\].
    pub twist_linear_x: f32,
    /// \[m/s\].
    pub twist_linear_y: f32,
    /// \[m/s\].
    pub twist_linear_z: f32,
    /// \[rad/s\].
    pub twist_angular_x: f32,
    /// \[rad/s\].
    pub twist_angular_y: f32,
    /// \[rad/s\].
    pub twist_angular_z: f32,
}

/// `kinova_msgs/msg/PoseVelocityWithFingers`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseVelocityWithFingers {
    /// \[m/s\].
    pub twist_linear_x: f32,
    /// \[m/s\].
    pub twist_linear_y: f32,
    /// \[m/s\].
    pub twist_linear_z: f32,
    /// \[rad/s\].
    pub twist_angular_x: f32,
    /// \[rad/s\].
    pub twist_angular_y: f32,
    /// \[rad/s\].
    pub twist_angular_z: f32,
    /// 0 open .. 100 closed \[percent\].
    pub fingers_closure_percentage: f32,
}

/// `kinova_msgs/msg/PoseVelocityWithFingerVelocity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoseVelocityWithFingerVelocity {
    /// \[m/s\].
    pub twist_linear_x: f32,
    /// \[m/s\].
    pub twist_linear_y: f32,
    /// \[m/s\].
    pub twist_linear_z: f32,
    /// \[rad/s\].
    pub twist_angular_x: f32,
    /// \[rad/s\].
    pub twist_angular_y: f32,
    /// \[rad/s\].
    pub twist_angular_z: f32,
    /// Turns units per second.
    pub finger1: f32,
    /// Turns units per second.
    pub finger2: f32,
    /// Turns units per second.
    pub finger3: f32,
}

/// `kinova_msgs/msg/KinovaPose`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KinovaPose {
    /// \[m\].
    pub x: f32,
    /// \[m\].
    pub y: f32,
    /// \[m\].
    pub z: f32,
    /// Euler angle about x \[rad\].
    pub theta_x: f32,
    /// Euler angle about y \[rad\].
    pub theta_y: f32,
    /// Euler angle about z \[rad\].
    pub theta_z: f32,
}

/// `kinova_msgs/msg/CartesianForce`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CartesianForce {
    /// \[N\].
    pub force_x: f32,
    /// \[N\].
    pub force_y: f32,
    /// \[N\].
    pub force_z: f32,
    /// \[Nm\].
    pub torque_x: f32,
    /// \[Nm\].
    pub torque_y: f32,
    /// \[Nm\].
    pub torque_z: f32,
}

/// `kinova_msgs/msg/FingerPosition`: 0 open .. 6800 closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FingerPosition {
    /// Turns units.
    pub finger1: f32,
    /// Turns units.
    pub finger2: f32,
    /// Turns units; 0 on hands of two fingers.
    pub finger3: f32,
}

ros_messages!(
    "kinova_msgs": JointAngles, JointVelocity, JointTorque, PoseVelocity, PoseVelocityWithFingers,
    PoseVelocityWithFingerVelocity, KinovaPose, CartesianForce, FingerPosition
);

/// Answers of one text, which differ in the field's name only.
macro_rules! told {
    ($($(#[$doc:meta])* $name:ident { $field:ident }),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
            pub struct $name {
                /// What the driver has to say.
                pub $field: String,
            }
        )+
    };
}

told! {
    /// Response of [`ZeroTorques`], [`ClearTrajectories`], [`RunCOMParametersEstimation`], [`SetTorqueControlParameters`].
    Told { result },
    /// Response of [`Start`].
    StartResponse { start_result },
    /// Response of [`Stop`].
    StopResponse { stop_result },
    /// Response of [`HomeArm`].
    HomeArmResponse { homearm_result },
}

/// Request of [`SetTorqueControlMode`] (1 torque, 0 position) and [`SetNullSpaceModeState`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRequest {
    /// Code.
    pub state: u16,
}

/// Request of [`SetEndEffectorOffset`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetEndEffectorOffsetRequest {
    /// 1 on, 0 off, code.
    pub status: u16,
    /// \[m\].
    pub offset: Vector3,
}

/// Request of [`SetForceControlParams`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetForceControlParamsRequest {
    /// \[kg\].
    pub inertia_linear: Vector3,
    /// \[kg m2\].
    pub inertia_angular: Vector3,
    /// \[N s/m\].
    pub damping_linear: Vector3,
    /// \[Nm s/rad\].
    pub damping_angular: Vector3,
    /// \[N\].
    pub force_min_linear: Vector3,
    /// \[Nm\].
    pub force_min_angular: Vector3,
    /// \[N\].
    pub force_max_linear: Vector3,
    /// \[Nm\].
    pub force_max_angular: Vector3,
}

ros_services!(
    "kinova_msgs":
    /// `kinova_msgs/srv/Start`: takes commands again after [`Stop`].
    Start(Empty, StartResponse),
    /// `kinova_msgs/srv/Stop`: stops and refuses commands.
    Stop(Empty, StopResponse),
    /// `kinova_msgs/srv/HomeArm`.
    HomeArm(Empty, HomeArmResponse),
    /// `kinova_msgs/srv/ClearTrajectories`: empties the queue of steps.
    ClearTrajectories(Empty, Told),
    /// `kinova_msgs/srv/ZeroTorques`: calls the present torques zero.
    ZeroTorques(Empty, Told),
    /// `kinova_msgs/srv/RunCOMParametersEstimation`.
    RunCOMParametersEstimation(Empty, Told),
    /// `kinova_msgs/srv/SetTorqueControlMode`.
    SetTorqueControlMode(StateRequest, Empty),
    /// `kinova_msgs/srv/SetTorqueControlParameters`: reads the limits from the node's parameters.
    SetTorqueControlParameters(Empty, Told),
    /// `kinova_msgs/srv/SetNullSpaceModeState`.
    SetNullSpaceModeState(StateRequest, Empty),
    /// `kinova_msgs/srv/AddPoseToCartesianTrajectory`.
    AddPoseToCartesianTrajectory(KinovaPose, Empty),
    /// `kinova_msgs/srv/SetEndEffectorOffset`.
    SetEndEffectorOffset(SetEndEffectorOffsetRequest, Empty),
    /// `kinova_msgs/srv/SetForceControlParams`.
    SetForceControlParams(SetForceControlParamsRequest, Empty),
);

/// Goal, result and feedback of [`ArmJointAngles`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmJointAnglesPart {
    /// Where to, or where.
    pub angles: JointAngles,
}

/// Goal, result and feedback of [`ArmPose`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmPosePart {
    /// Where to, or where.
    pub pose: PoseStamped,
}

/// Goal, result and feedback of [`SetFingersPosition`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SetFingersPositionPart {
    /// Where to, or where.
    pub fingers: FingerPosition,
}

ros_actions!(
    "kinova_msgs":
    /// `kinova_msgs/action/ArmJointAngles`.
    ArmJointAngles(ArmJointAnglesPart, ArmJointAnglesPart, ArmJointAnglesPart),
    /// `kinova_msgs/action/ArmPose`.
    ArmPose(ArmPosePart, ArmPosePart, ArmPosePart),
    /// `kinova_msgs/action/SetFingersPosition`.
    SetFingersPosition(SetFingersPositionPart, SetFingersPositionPart, SetFingersPositionPart),
);

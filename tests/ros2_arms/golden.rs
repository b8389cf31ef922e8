//! Every message, service part and action part against bytes that `rosbags` wrote (`tests/golden/make_ros_messages.py`).

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::prelude::*;
use rustdds::no_key::{DeserializerAdapter, SerializerAdapter};
use rustdds::{CDRDeserializerAdapter, CDRSerializerAdapter, RepresentationIdentifier};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use visuomotor::transport::ros2::messages::{
    action, builtin, control, control_state, controller_manager, franka, geometry, intera, interbotix, kinova, sensor,
    std as std_msgs, std_srvs, trajectory,
};
use visuomotor::transport::ros2::{RosAction, RosMessage, RosService};

/// The tests' view of one type.
struct Case {
    name: &'static str,
    /// The value as JSON -> bytes, and the bytes -> the same value.
    agrees: fn(&Value, &[u8]) -> Result<(), String>,
    /// Reads these bytes; returns how many bytes it would write again.
    reads: fn(&[u8]) -> Option<usize>,
}

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    CDRSerializerAdapter::<T>::to_bytes(value).unwrap().to_vec()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    CDRDeserializerAdapter::<T>::from_bytes(bytes, RepresentationIdentifier::CDR_LE).map_err(|error| error.to_string())
}

fn agrees<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &Value, golden: &[u8]) -> Result<(), String> {
    let value: T = serde_json::from_value(value.clone()).map_err(|error| format!("field names: {error}"))?;
    let ours = write(&value);
    if ours != golden {
        return Err(format!("{}: wrote {ours:02x?}, not {golden:02x?}", type_name::<T>()));
    }
    let back: T = read(golden)?;
    if back != value {
        return Err(format!("{}: read {back:?}, not {value:?}", type_name::<T>()));
    }
    Ok(())
}

fn reads<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<usize> {
    read::<T>(bytes).ok().map(|value| write(&value).len())
}

macro_rules! case {
    ($name:expr, $type:ty) => {
        Case { name: $name, agrees: agrees::<$type>, reads: reads::<$type> }
    };
}

macro_rules! cases {
    ($($name:literal => $type:ty),+ $(,)?) => { vec![$(case!($name, $type)),+] };
}

fn cases() -> Vec<Case> {
    use franka::{Outcome as FrankaOutcome, Width};
    use kinova::*;
    type MoveGoal = action::SendGoalRequest<franka::MoveGoal>;
    cases! {
        "builtin_interfaces/Time" => builtin::Time,
        "builtin_interfaces/Duration" => builtin::Duration,
        "std_msgs/Header" => std_msgs::Header,
        "std_msgs/Empty" => std_msgs::Empty,
        "std_msgs/Bool" => std_msgs::Bool,
        "std_msgs/String" => std_msgs::Text,
        "std_msgs/Int8" => std_msgs::Int8,
        "std_msgs/Int32" => std_msgs::Int32,
        "std_msgs/Float32" => std_msgs::Float32,
        "std_msgs/Float64" => std_msgs::Float64,
        "std_msgs/MultiArrayDimension" => std_msgs::MultiArrayDimension,
        "std_msgs/MultiArrayLayout" => std_msgs::MultiArrayLayout,
        "std_msgs/Float64MultiArray" => std_msgs::Float64MultiArray,
        "geometry_msgs/Vector3" => geometry::Vector3,
        "geometry_msgs/Point" => geometry::Point,
        "geometry_msgs/Quaternion" => geometry::Quaternion,
        "geometry_msgs/Pose" => geometry::Pose,
        "geometry_msgs/Transform" => geometry::Transform,
        "geometry_msgs/Twist" => geometry::Twist,
        "geometry_msgs/Accel" => geometry::Accel,
        "geometry_msgs/Wrench" => geometry::Wrench,
        "geometry_msgs/Inertia" => geometry::Inertia,
        "geometry_msgs/PoseStamped" => geometry::PoseStamped,
        "geometry_msgs/TwistStamped" => geometry::TwistStamped,
        "geometry_msgs/AccelStamped" => geometry::AccelStamped,
        "geometry_msgs/WrenchStamped" => geometry::WrenchStamped,
        "geometry_msgs/InertiaStamped" => geometry::InertiaStamped,
        "geometry_msgs/TransformStamped" => geometry::TransformStamped,
        "sensor_msgs/JointState" => sensor::JointState,
        "sensor_msgs/Image" => sensor::Image,
        "sensor_msgs/CompressedImage" => sensor::CompressedImage,
        "sensor_msgs/RegionOfInterest" => sensor::RegionOfInterest,
        "sensor_msgs/CameraInfo" => sensor::CameraInfo,
        "sensor_msgs/Joy" => sensor::Joy,
        "trajectory_msgs/JointTrajectoryPoint" => trajectory::JointTrajectoryPoint,
        "trajectory_msgs/JointTrajectory" => trajectory::JointTrajectory,
        "trajectory_msgs/MultiDOFJointTrajectoryPoint" => trajectory::MultiDOFJointTrajectoryPoint,
        "trajectory_msgs/MultiDOFJointTrajectory" => trajectory::MultiDOFJointTrajectory,
        "action_msgs/GoalInfo" => action::GoalInfo,
        "action_msgs/GoalStatus" => action::GoalStatus,
        "action_msgs/GoalStatusArray" => action::GoalStatusArray,
        "unique_identifier_msgs/UUID" => action::Uuid,
        "action_msgs/CancelGoal_Request" => action::CancelGoalRequest,
        "action_msgs/CancelGoal_Response" => action::CancelGoalResponse,
        "std_srvs/Trigger_Response" => <std_srvs::Trigger as RosService>::Response,
        "std_srvs/SetBool_Request" => <std_srvs::SetBool as RosService>::Request,
        "interbotix_xs_msgs/JointGroupCommand" => interbotix::JointGroupCommand,
        "interbotix_xs_msgs/JointSingleCommand" => interbotix::JointSingleCommand,
        "interbotix_xs_msgs/JointTrajectoryCommand" => interbotix::JointTrajectoryCommand,
        "interbotix_xs_msgs/JointTemps" => interbotix::JointTemps,
        "interbotix_xs_msgs/ArmJoy" => interbotix::ArmJoy,
        "interbotix_xs_msgs/TorqueEnable_Request" => <interbotix::TorqueEnable as RosService>::Request,
        "interbotix_xs_msgs/Reboot_Request" => <interbotix::Reboot as RosService>::Request,
        "interbotix_xs_msgs/OperatingModes_Request" => <interbotix::OperatingModes as RosService>::Request,
        "interbotix_xs_msgs/MotorGains_Request" => <interbotix::MotorGains as RosService>::Request,
        "interbotix_xs_msgs/RegisterValues_Request" => <interbotix::RegisterValues as RosService>::Request,
        "interbotix_xs_msgs/RegisterValues_Response" => <interbotix::RegisterValues as RosService>::Response,
        "interbotix_xs_msgs/RobotInfo_Request" => <interbotix::RobotInfo as RosService>::Request,
        "interbotix_xs_msgs/RobotInfo_Response" => <interbotix::RobotInfo as RosService>::Response,
        "intera_core_msgs/JointCommand" => intera::JointCommand,
        "intera_core_msgs/EndpointState" => intera::EndpointState,
        "intera_core_msgs/EndpointStates" => intera::EndpointStates,
        "intera_core_msgs/RobotAssemblyState" => intera::RobotAssemblyState,
        "intera_core_msgs/JointLimits" => intera::JointLimits,
        "intera_core_msgs/SEAJointState" => intera::SEAJointState,
        "intera_core_msgs/CollisionDetectionState" => intera::CollisionDetectionState,
        "intera_core_msgs/CollisionAvoidanceState" => intera::CollisionAvoidanceState,
        "intera_core_msgs/IOComponentCommand" => intera::IOComponentCommand,
        "intera_core_msgs/IOComponentConfiguration" => intera::IOComponentConfiguration,
        "intera_core_msgs/IOStatus" => intera::IOStatus,
        "intera_core_msgs/IOComponentStatus" => intera::IOComponentStatus,
        "intera_core_msgs/IODataStatus" => intera::IODataStatus,
        "intera_core_msgs/IODeviceConfiguration" => intera::IODeviceConfiguration,
        "intera_core_msgs/IODeviceStatus" => intera::IODeviceStatus,
        "intera_core_msgs/IONodeConfiguration" => intera::IONodeConfiguration,
        "intera_core_msgs/IONodeStatus" => intera::IONodeStatus,
        "intera_core_msgs/SolvePositionIK_Request" => <intera::SolvePositionIK as RosService>::Request,
        "intera_core_msgs/SolvePositionIK_Response" => <intera::SolvePositionIK as RosService>::Response,
        "intera_core_msgs/SolvePositionFK_Request" => <intera::SolvePositionFK as RosService>::Request,
        "intera_core_msgs/SolvePositionFK_Response" => <intera::SolvePositionFK as RosService>::Response,
        "kinova_msgs/JointAngles" => JointAngles,
        "kinova_msgs/JointVelocity" => JointVelocity,
        "kinova_msgs/JointTorque" => JointTorque,
        "kinova_msgs/PoseVelocity" => PoseVelocity,
        "kinova_msgs/PoseVelocityWithFingers" => PoseVelocityWithFingers,
        "kinova_msgs/PoseVelocityWithFingerVelocity" => PoseVelocityWithFingerVelocity,
        "kinova_msgs/KinovaPose" => KinovaPose,
        "kinova_msgs/CartesianForce" => CartesianForce,
        "kinova_msgs/FingerPosition" => FingerPosition,
        "kinova_msgs/ZeroTorques_Response" => <ZeroTorques as RosService>::Response,
        "kinova_msgs/Start_Response" => <Start as RosService>::Response,
        "kinova_msgs/Stop_Response" => <Stop as RosService>::Response,
        "kinova_msgs/HomeArm_Response" => <HomeArm as RosService>::Response,
        "kinova_msgs/SetTorqueControlMode_Request" => <SetTorqueControlMode as RosService>::Request,
        "kinova_msgs/AddPoseToCartesianTrajectory_Request" => <AddPoseToCartesianTrajectory as RosService>::Request,
        "kinova_msgs/SetEndEffectorOffset_Request" => <SetEndEffectorOffset as RosService>::Request,
        "kinova_msgs/SetForceControlParams_Request" => <SetForceControlParams as RosService>::Request,
        "kinova_msgs/ArmJointAngles_Goal" => <ArmJointAngles as RosAction>::Goal,
        "kinova_msgs/ArmPose_Goal" => <ArmPose as RosAction>::Goal,
        "kinova_msgs/SetFingersPosition_Goal" => <SetFingersPosition as RosAction>::Goal,
        "franka_msgs/CollisionIndicators" => franka::CollisionIndicators,
        "franka_msgs/Elbow" => franka::Elbow,
        "franka_msgs/Errors" => franka::Errors,
        "franka_msgs/GraspEpsilon" => franka::GraspEpsilon,
        "franka_msgs/FrankaRobotState" => franka::FrankaRobotState,
        "franka_msgs/Grasp_Goal" => <franka::Grasp as RosAction>::Goal,
        "franka_msgs/Grasp_Result" => <franka::Grasp as RosAction>::Result,
        "franka_msgs/Grasp_Feedback" => <franka::Grasp as RosAction>::Feedback,
        "franka_msgs/Move_Goal" => <franka::Move as RosAction>::Goal,
        "franka_msgs/Move_SendGoal_Request" => MoveGoal,
        "franka_msgs/Move_SendGoal_Response" => action::SendGoalResponse,
        "franka_msgs/Move_GetResult_Request" => action::GetResultRequest,
        "franka_msgs/Move_GetResult_Response" => action::GetResultResponse<FrankaOutcome>,
        "franka_msgs/Move_FeedbackMessage" => action::FeedbackMessage<Width>,
        "franka_msgs/ErrorRecovery_SendGoal_Request" => action::SendGoalRequest<std_msgs::Empty>,
        "franka_msgs/SetJointStiffness_Request" => <franka::SetJointStiffness as RosService>::Request,
        "franka_msgs/SetJointStiffness_Response" => <franka::SetJointStiffness as RosService>::Response,
        "franka_msgs/SetCartesianStiffness_Request" => <franka::SetCartesianStiffness as RosService>::Request,
        "franka_msgs/SetLoad_Request" => <franka::SetLoad as RosService>::Request,
        "franka_msgs/SetTCPFrame_Request" => <franka::SetTCPFrame as RosService>::Request,
        "franka_msgs/SetForceTorqueCollisionBehavior_Request" =>
            <franka::SetForceTorqueCollisionBehavior as RosService>::Request,
        "franka_msgs/SetFullCollisionBehavior_Request" => <franka::SetFullCollisionBehavior as RosService>::Request,
        "control_msgs/GripperCommand" => control::GripperCommand,
        "control_msgs/JointJog" => control::JointJog,
        "control_msgs/JointTolerance" => control::JointTolerance,
        "control_msgs/JointComponentTolerance" => control::JointComponentTolerance,
        "control_msgs/GripperCommand_Goal" => <control::GripperCommandAction as RosAction>::Goal,
        "control_msgs/GripperCommand_Result" => <control::GripperCommandAction as RosAction>::Result,
        "control_msgs/ParallelGripperCommand_Goal" => <control::ParallelGripperCommand as RosAction>::Goal,
        "control_msgs/ParallelGripperCommand_Result" => <control::ParallelGripperCommand as RosAction>::Result,
        "control_msgs/ParallelGripperCommand_Feedback" => <control::ParallelGripperCommand as RosAction>::Feedback,
        "control_msgs/FollowJointTrajectory_Goal" => <control::FollowJointTrajectory as RosAction>::Goal,
        "control_msgs/FollowJointTrajectory_Result" => <control::FollowJointTrajectory as RosAction>::Result,
        "control_msgs/FollowJointTrajectory_Feedback" => <control::FollowJointTrajectory as RosAction>::Feedback,
        "control_msgs/JointTrajectoryControllerState" => control_state::JointTrajectoryControllerState,
        "controller_manager_msgs/ChainConnection" => controller_manager::ChainConnection,
        "controller_manager_msgs/ControllerState" => controller_manager::ControllerState,
        "controller_manager_msgs/ListControllers_Response" =>
            <controller_manager::ListControllers as RosService>::Response,
        "controller_manager_msgs/SwitchController_Request" =>
            <controller_manager::SwitchController as RosService>::Request,
        "controller_manager_msgs/SwitchController_Response" =>
            <controller_manager::SwitchController as RosService>::Response,
    }
}

/// Name -> value and bytes, with what the chosen distribution has changed.
fn golden() -> BTreeMap<String, (Value, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ros_messages.json");
    let all: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut answer = BTreeMap::new();
    let distributions: &[&str] = if cfg!(feature = "humble") { &["jazzy", "humble"] } else { &["jazzy"] };
    for distribution in distributions {
        for (name, case) in all[*distribution].as_object().unwrap() {
            let hex = case["cdr"].as_str().unwrap();
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
            answer.insert(name.clone(), (case["value"].clone(), bytes));
        }
    }
    answer
}

#[test]
fn every_message_agrees_with_the_other_implementation_both_ways() {
    let golden = golden();
    let cases = cases();
    let ours: BTreeSet<_> = cases.iter().map(|case| case.name.to_string()).collect();
    assert_eq!(ours, golden.keys().cloned().collect(), "the table here and the golden file list different types");
    let complaints: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let (value, bytes) = &golden[case.name];
            (case.agrees)(value, bytes).err().map(|error| format!("{}: {error}", case.name))
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_message_cut_anywhere_is_refused() {
    let golden = golden();
    for case in cases() {
        let (_, bytes) = &golden[case.name];
        for length in 0..bytes.len() {
            assert_eq!((case.reads)(&bytes[..length]), None, "{} cut to {length} bytes", case.name);
        }
    }
}

/// How long a message read from this number of bytes can be: every element takes bytes, a text of no bytes (not even the final
/// zero) the fewest: 4, and 8 when written again.
fn most(bytes: usize) -> usize {
    2 * bytes + 8
}

#[test]
fn counts_that_promise_more_than_there_is_are_refused_or_read_as_less() {
    let golden = golden();
    for case in cases() {
        let (_, bytes) = &golden[case.name];
        for at in (0..bytes.len().saturating_sub(3)).step_by(4) {
            for bomb in [u32::MAX, i32::MAX as u32, 1 << 24] {
                let mut bytes = bytes.clone();
                bytes[at..at + 4].copy_from_slice(&bomb.to_le_bytes());
                if let Some(length) = (case.reads)(&bytes) {
                    assert!(length <= most(bytes.len()), "{} at {at}: {length} bytes", case.name);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for case in cases() {
            if let Some(length) = (case.reads)(&bytes) {
                prop_assert!(length <= most(bytes.len()), "{}: {length} of {} bytes", case.name, bytes.len());
            }
        }
    }
}

#[test]
fn types_are_named_as_their_makers_do() {
    fn message<M: RosMessage>() -> String {
        format!("{}/msg/{}", M::PACKAGE, M::NAME)
    }
    fn service<S: RosService>() -> String {
        format!("{}/srv/{}", S::PACKAGE, S::NAME)
    }
    fn action<A: RosAction>() -> String {
        format!("{}/action/{}", A::PACKAGE, A::NAME)
    }
    assert_eq!(message::<std_msgs::Text>(), "std_msgs/msg/String");
    assert_eq!(message::<intera::IODeviceStatus>(), "intera_core_msgs/msg/IODeviceStatus");
    assert_eq!(message::<franka::FrankaRobotState>(), "franka_msgs/msg/FrankaRobotState");
    assert_eq!(service::<kinova::ZeroTorques>(), "kinova_msgs/srv/ZeroTorques");
    assert_eq!(service::<interbotix::TorqueEnable>(), "interbotix_xs_msgs/srv/TorqueEnable");
    assert_eq!(action::<control::GripperCommandAction>(), "control_msgs/action/GripperCommand");
    assert_eq!(action::<franka::ErrorRecovery>(), "franka_msgs/action/ErrorRecovery");
}

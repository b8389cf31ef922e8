//! Cyclone DDS in the role of each manufacturer's node: an independent implementation moves, and reports how our side
//! appears from outside.

use std::collections::BTreeMap;

use serde_json::Value;
use visuomotor::driver::sawyer::driver::SawyerOptions;
use visuomotor::transport::ros2::{RosSettings, ServiceLayout};

use super::*;
use crate::ros2::peer::Peer;

fn settings(domain: u16) -> RosSettings {
    RosSettings::loopback("visuomotor", domain).with_services(ServiceLayout::Cyclone)
}

/// Type, reliability and durability of each topic.
fn by_topic(list: &Value) -> BTreeMap<String, (String, bool, bool)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let flags = |e: &Value| (e["reliable"].as_bool().unwrap(), e["volatile"].as_bool().unwrap());
    let list = list.as_array().unwrap();
    list.iter().map(|e| (text(&e["topic"]), (text(&e["type"]), flags(e).0, flags(e).1))).collect()
}

/// Moves by 0.1 rad in position mode, and returns what the peer received.
fn move_and_look(peer: Peer, arm: &mut dyn ArmDriver, clock: &SystemClock, robot: &Robot) -> Value {
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let goal = near_home(robot, 0.1);
    go_to(arm, clock, robot, ControlMode::Position, &goal);
    stop(arm, clock);
    let seen = peer.end();
    assert!(seen["commands"].as_u64().unwrap() > 5, "{seen}");
    for (found, goal) in seen["here"].as_array().unwrap().iter().zip(goal.iter()) {
        assert!((found.as_f64().unwrap() - goal).abs() < 0.05, "{} instead of {goal}", found);
    }
    seen
}

fn command(kind: &str) -> (String, bool, bool) {
    let (package, name) = kind.split_once('/').unwrap();
    (format!("{package}::msg::dds_::{name}_"), true, true)
}

fn state(kind: &str) -> (String, bool, bool) {
    (command(kind).0, false, true)
}

#[test]
fn sawyer_is_driven_and_seen_as_ros_2_would() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let peer = Peer::start("ros2_arms/peer.py", "sawyer", domain);
    let options = SawyerOptions { link: patient(), ..Default::default() };
    let connected = visuomotor::driver::sawyer::driver::connect(&robot, settings(domain), options, clock.clone());
    let mut arm = connected.unwrap_or_else(|error| panic!("{error}"));
    let seen = move_and_look(peer, &mut arm, &clock, &robot);
    assert_eq!(seen["modes"], serde_json::json!([1]));
    assert_eq!(seen["timeout"], 0.2);
    let (published, subscribed) = (by_topic(&seen["publications"]), by_topic(&seen["subscriptions"]));
    assert_eq!(published["rt/robot/limb/right/joint_command"], command("intera_core_msgs/JointCommand"));
    assert_eq!(published["rt/robot/limb/right/joint_command_timeout"], command("std_msgs/Float64"));
    assert_eq!(published["rt/robot/limb/right/set_speed_ratio"], command("std_msgs/Float64"));
    assert_eq!(published["rt/robot/set_super_enable"], command("std_msgs/Bool"));
    assert_eq!(published["rt/robot/set_super_reset"], command("std_msgs/Empty"));
    let gripper = "rt/io/end_effector/right_gripper";
    assert_eq!(published[&format!("{gripper}/command")], command("intera_core_msgs/IOComponentCommand"));
    assert_eq!(subscribed[&format!("{gripper}/state")], state("intera_core_msgs/IODeviceStatus"));
    assert_eq!(subscribed["rt/robot/joint_states"], state("sensor_msgs/JointState"));
    assert_eq!(subscribed["rt/robot/state"], state("intera_core_msgs/RobotAssemblyState"));
    assert_eq!(subscribed["rt/robot/limb/right/endpoint_state"], state("intera_core_msgs/EndpointState"));
}

#[test]
fn jaco_is_driven_and_seen_as_ros_2_would() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let peer = Peer::start("ros2_arms/peer.py", "jaco", domain);
    let connected = visuomotor::driver::jaco::driver::connect(&robot, settings(domain), patient(), clock.clone());
    let mut arm = connected.unwrap_or_else(|error| panic!("{error}"));
    let seen = move_and_look(peer, &mut arm, &clock, &robot);
    assert_eq!(seen["calls"], serde_json::json!(["/j2s7s300_driver/in/clear_trajectories"]));
    // Degrees per second: 0.45 rad/s is 26 of them, and more than 1 of anything was needed.
    let fastest = seen["fastest"].as_f64().unwrap();
    assert!(fastest > 1.0 && fastest < 26.0, "{fastest} deg/s");
    let (published, subscribed) = (by_topic(&seen["publications"]), by_topic(&seen["subscriptions"]));
    let space = "rt/j2s7s300_driver";
    assert_eq!(published[&format!("{space}/in/joint_velocity")], command("kinova_msgs/JointVelocity"));
    assert_eq!(published[&format!("{space}/in/joint_torque")], command("kinova_msgs/JointTorque"));
    assert_eq!(subscribed[&format!("{space}/out/joint_state")], state("sensor_msgs/JointState"));
    assert_eq!(subscribed[&format!("{space}/out/joint_torques")], state("kinova_msgs/JointAngles"));
    assert_eq!(subscribed[&format!("{space}/out/finger_position")], state("kinova_msgs/FingerPosition"));
    let mode = &published["rq/j2s7s300_driver/in/set_torque_control_modeRequest"];
    assert_eq!(mode.0, "kinova_msgs::srv::dds_::SetTorqueControlMode_Request_");
}

#[cfg(not(feature = "humble"))]
#[test]
fn panda_is_driven_and_seen_as_ros_2_would() {
    let (domain, clock, mut robot) = (domain(), clock(), robot("panda"));
    robot.identity.control_rate_hz = 100.0;
    let peer = Peer::start("ros2_arms/peer.py", "panda", domain);
    let connected =
        visuomotor::driver::panda::ros2::driver::connect(&robot, settings(domain), patient(), clock.clone());
    let mut arm = connected.unwrap_or_else(|error| panic!("{error}"));
    let seen = move_and_look(peer, &mut arm, &clock, &robot);
    assert_eq!(seen["modes"]["position"], "active");
    let (published, subscribed) = (by_topic(&seen["publications"]), by_topic(&seen["subscriptions"]));
    for mode in ["position", "velocity", "effort"] {
        assert_eq!(published[&format!("rt/forward_{mode}_controller/commands")], command("std_msgs/Float64MultiArray"));
    }
    assert_eq!(subscribed["rt/franka/joint_states"], state("sensor_msgs/JointState"));
    let broadcaster = "rt/franka_robot_state_broadcaster/robot_state";
    assert_eq!(subscribed[broadcaster], state("franka_msgs/FrankaRobotState"));
    let recovery = &published["rq/action_server/error_recovery/_action/send_goalRequest"];
    assert_eq!(recovery.0, "franka_msgs::action::dds_::ErrorRecovery_SendGoal_Request_");
    let gripper = &published["rq/franka_gripper/move/_action/send_goalRequest"];
    assert_eq!(gripper.0, "franka_msgs::action::dds_::Move_SendGoal_Request_");
}

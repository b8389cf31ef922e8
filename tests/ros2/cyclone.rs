//! Cyclone DDS in the role of a WidowX's node, and our names, types, quality of service and bytes as it sees them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::ArmDriver;
use visuomotor::driver::widowx::xs_sdk::driver::{XsSdkArm, XsSdkOptions};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};
use visuomotor::transport::ros2::messages::sensor::JointState;
use visuomotor::transport::ros2::{Qos, RosSettings, ServiceLayout};

use super::peer::Peer;
use super::xs_sdk::widowx;
use super::{LONG, domain, node};

/// Type and reliability of each topic in a list of endpoints.
fn by_topic(list: &Value) -> BTreeMap<String, (String, bool)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    list.as_array()
        .unwrap()
        .iter()
        .map(|e| (text(&e["topic"]), (text(&e["type"]), e["reliable"].as_bool().unwrap())))
        .collect()
}

#[test]
fn the_driver_moves_an_arm_played_by_cyclone_dds_and_is_seen_as_ros_2_would() {
    let domain = domain();
    let peer = Peer::start("ros2/peer.py", "xs_sdk", domain);
    let clock = Arc::new(SystemClock::new());
    let settings =
        RosSettings::loopback("visuomotor", domain).with_namespace("wx250s").with_services(ServiceLayout::Cyclone);
    let options = XsSdkOptions { patience: 30.0, silence: 5.0, ..XsSdkOptions::new(settings) };
    let mut arm = XsSdkArm::connect(&widowx(), options, clock.clone()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let goal = [0.1, -0.8, 0.8, 0.05, 0.25, -0.05];
    let start = arm.read(clock.now()).unwrap().joint_positions;
    let deadline = Instant::now() + LONG;
    for share in (1..=10).map(|tenth| 0.1 * f64::from(tenth)) {
        let mut target = start;
        for (value, goal) in target.iter_mut().zip(goal) {
            *value += share * (goal - *value);
        }
        arm.write(clock.now(), &JointCommand::position(target, 1.0)).unwrap();
        while arm
            .read(clock.now())
            .unwrap()
            .joint_positions
            .iter()
            .zip(target.iter())
            .any(|(a, b)| (a - b).abs() > 1e-6)
        {
            assert!(Instant::now() < deadline, "the arm did not follow");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    arm.hold(clock.now()).unwrap();
    let seen = peer.end();
    drop(arm);
    assert!(seen["group"].as_u64().unwrap() >= 10 && seen["mangled"] == 0, "{seen}");
    assert!(seen["single"].as_u64().unwrap() > 0);
    for (found, goal) in seen["here"].as_array().unwrap().iter().zip(goal) {
        assert!((found.as_f64().unwrap() - goal).abs() < 1e-6);
    }
    assert_eq!(seen["registers"]["Torque_Enable"], serde_json::json!([1, 1, 1, 1, 1, 1, 1]));
    assert_eq!(seen["registers"]["Bus_Watchdog"], serde_json::json!([10, 10, 10, 10, 10, 10, 10]));
    assert_eq!(seen["registers"]["Profile_Velocity"][0], 40);
    let published = by_topic(&seen["publications"]);
    let command = |name: &str| (format!("interbotix_xs_msgs::msg::dds_::{name}_"), true);
    assert_eq!(published["rt/wx250s/commands/joint_group"], command("JointGroupCommand"));
    assert_eq!(published["rt/wx250s/commands/joint_single"], command("JointSingleCommand"));
    let ask = ("interbotix_xs_msgs::srv::dds_::TorqueEnable_Request_".to_string(), true);
    assert_eq!(published["rq/wx250s/torque_enableRequest"], ask);
    let graph = ("rmw_dds_common::msg::dds_::ParticipantEntitiesInfo_".to_string(), true);
    assert_eq!(published["ros_discovery_info"], graph);
    assert_eq!(published["rt/rosout"].0, "rcl_interfaces::msg::dds_::Log_");
    // Every name is a valid ROS 2 name: no doubled slash, no relative name.
    assert!(published.keys().all(|topic| !topic.contains("//")), "{published:?}");
    // Both sides subscribe here; the peer's own reader of this topic does not exist, so this one is ours.
    let subscribed = by_topic(&seen["subscriptions"]);
    assert_eq!(subscribed["rt/wx250s/joint_states"], ("sensor_msgs::msg::dds_::JointState_".to_string(), false));
}

#[test]
fn a_joint_state_goes_to_cyclone_dds_and_comes_back_the_same() {
    let domain = domain();
    let mut peer = Peer::start("ros2/peer.py", "echo-state", domain);
    let node = node("visuomotor", domain);
    let publisher = node.publisher::<JointState>("/ping", Qos::Reliable).unwrap();
    let mut subscriber = node.subscriber::<JointState>("/pong", Qos::Reliable).unwrap();
    let mut state = JointState {
        name: (0..7).map(|i| format!("right_j{i}")).collect(),
        position: JointVector::from_slice(&[0.1, -2.5, 3.0, 1e-300, f64::MAX, -0.0, 7.0]).to_vec(),
        velocity: vec![],
        effort: vec![1.5; 7],
        ..JointState::default()
    };
    state.header.frame_id = "base".into();
    publisher.wait_for_subscriber(LONG).unwrap();
    let deadline = Instant::now() + LONG;
    loop {
        publisher.publish(state.clone()).unwrap();
        if let Some(back) = subscriber.wait(Duration::from_millis(200)).unwrap() {
            assert_eq!(back, state);
            break;
        }
        assert!(Instant::now() < deadline, "nothing came back");
    }
    assert!(peer.process.try_wait().unwrap().is_none());
}

#[test]
fn other_fields_under_the_same_type_name_are_dropped_and_counted() {
    let domain = domain();
    let _peer = Peer::start("ros2/peer.py", "malformed", domain);
    let node = node("visuomotor", domain);
    let mut subscriber = node.subscriber::<JointState>("/joint_states", Qos::State).unwrap();
    let deadline = Instant::now() + LONG;
    while subscriber.dropped() < 3 {
        assert_eq!(subscriber.wait(Duration::from_millis(100)).unwrap(), None);
        assert!(Instant::now() < deadline, "nothing arrived");
    }
}

//! Nodes that are refused, and what `check` reports about them.

use super::*;

fn refused(bench: &Bench, patience: f64) -> String {
    let options = XsSdkOptions { patience, ..bench.options() };
    match XsSdkArm::connect(&widowx(), options, bench.clock.clone()) {
        Ok(_) => panic!("it was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_unfit_node_is_refused_before_torque() {
    let bench = Bench::new(START);
    bench.node().inject(Fault::FailedReads(true));
    let text = refused(&bench, 2.0);
    assert!(
        text.contains("widowx") && text.contains("-pi on all joints") && text.contains("/wx250s/joint_states"),
        "{text}"
    );
    bench.node().inject(Fault::FailedReads(false));
    bench.node().inject(Fault::NanStates(true));
    let text = refused(&bench, 2.0);
    assert!(text.contains("elbow = NaN"), "{text}");
    bench.node().inject(Fault::NanStates(false));
    assert!(!bench.node().torque());
    // A watchdog that cannot be armed is found when it is read back.
    bench.node().inject(Fault::DeafWatchdog(true));
    let mut arm = bench.connect();
    assert!(arm.activate(bench.clock.now(), ControlMode::Position).is_err());
    assert!(!bench.node().torque());
}

#[test]
fn a_second_commander_is_noticed_before_and_after() {
    let bench = Bench::new(START);
    let other = RosNode::start(bench.settings("teleop")).unwrap();
    let rival = other.publisher::<JointGroupCommand>("commands/joint_group", Qos::Command).unwrap();
    rival.wait_for_subscriber(LONG).unwrap();
    let text = refused(&bench, 30.0);
    assert!(text.contains("other programs that publish commands") && text.contains("stop the other program"), "{text}");
    drop(rival);
    drop(other);
    let mut arm = bench.connect();
    arm.activate(bench.clock.now(), ControlMode::Position).unwrap();
    arm.read(bench.clock.now()).unwrap();
    let other = RosNode::start(bench.settings("teleop")).unwrap();
    let _rival = other.publisher::<JointGroupCommand>("commands/joint_group", Qos::Command).unwrap();
    until("it is noticed", || arm.read(bench.clock.now()) == Err(DriverError::SecondCommander));
    arm.hold(bench.clock.now()).unwrap();
}

/// A domain in which something other than an arm is at the arm's place.
fn instead<M: visuomotor::transport::ros2::RosMessage>(qos: Qos, message: M, patience: f64) -> ConnectError {
    let mut bench = Bench::new(START);
    bench.power_off();
    let node = RosNode::start(bench.settings("somebody")).unwrap();
    let publisher = node.publisher::<M>("joint_states", qos).unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = stop.clone();
    let thread = std::thread::spawn(move || {
        while !seen.load(std::sync::atomic::Ordering::Acquire) {
            let _ = publisher.publish(message.clone());
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let options = XsSdkOptions { patience, ..bench.options() };
    let error = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).err().expect("it was accepted");
    stop.store(true, std::sync::atomic::Ordering::Release);
    thread.join().unwrap();
    error
}

#[test]
fn another_arm_a_missing_joint_another_type_and_nobody_are_told_apart() {
    let names = |names: &[&str]| JointState {
        name: names.iter().map(|name| name.to_string()).collect(),
        position: vec![0.0; names.len()],
        velocity: vec![0.0; names.len()],
        effort: vec![0.0; names.len()],
        ..JointState::default()
    };
    let sawyer = names(&["right_j0", "right_j1", "right_j2", "right_j3", "right_j4", "right_j5", "right_j6"]);
    let error = instead(Qos::State, sawyer, 30.0);
    assert!(matches!(error, ConnectError::Unfit { .. }) && error.to_string().contains("right_j0"), "{error}");
    let short =
        names(&["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "gripper", "left_finger", "right_finger"]);
    let error = instead(Qos::State, short, 30.0);
    assert!(error.to_string().contains("wrist_rotate missing"), "{error}");
    let error = instead(Qos::State, Image::default(), 1.0);
    assert!(matches!(error, ConnectError::Silent { .. }), "{error}");
    assert!(error.to_string().contains("sensor_msgs::msg::dds_::Image_"), "{error}");
    let mut bench = Bench::new(START);
    bench.power_off();
    let text = refused(&bench, 0.3);
    assert!(text.contains(&format!("ROS domain {}", bench.domain)) && text.contains("joint_states"), "{text}");
}

#[test]
fn the_check_names_what_is_wrong() {
    let bench = Bench::new(START);
    bench.node().inject(Fault::Hardware(4, 1 << 2));
    let report = check_node(&widowx(), bench.options()).unwrap();
    assert_eq!((report.robot.as_str(), report.driver.as_str()), ("widowx", "ros2"));
    assert_eq!(report.round_trips.len(), 20);
    let finding = |what: &str| report.findings.iter().find(|finding| finding.what == what).unwrap();
    assert_eq!(finding("servo wrist_angle error").grade, Grade::Bad);
    assert_eq!(finding("servo wrist_angle error").found, "overheating");
    assert_eq!(finding("servo waist error").grade, Grade::Good);
    assert_eq!(finding("command time-out of the node").grade, Grade::Doubtful);
    assert_eq!(finding("joints, limits, commanders").grade, Grade::Good);
    assert_eq!(report.verdict(), Grade::Bad);
    assert!(!bench.node().torque() && bench.node().commands().is_empty(), "a check changes nothing");
}

//! Jaco against an emulated Kinova node.

use visuomotor::driver::guard::Guarding;
use visuomotor::driver::jaco::cartesian::ToolVelocity;
use visuomotor::driver::jaco::driver::{Jaco, connect};
use visuomotor::driver::jaco::emulator::{Inactivity, JacoEmulator, start};
use visuomotor::driver::jaco::limits::{STEP, kind};
use visuomotor::driver::jaco::wire::namespace;
use visuomotor::driver::{Drive, FaultCode, Plant};
use visuomotor::kinematics::Chain;
use visuomotor::time::Timestamp;
use visuomotor::transport::ros2::messages::kinova::{JointTorque, SetTorqueControlMode, StateRequest, ZeroTorques};
use visuomotor::transport::ros2::messages::sensor::JointState;
use visuomotor::transport::ros2::messages::std::Empty;
use visuomotor::transport::ros2::{Qos, RosNode, RosSettings, RosSubscriber};

use super::*;

fn emulated(domain: u16, robot: &Robot, by: f64, clock: &Arc<SystemClock>) -> JacoEmulator {
    emulated_over(domain, robot, plant(robot, by), clock)
}

fn emulated_over(domain: u16, robot: &Robot, plant: Box<dyn Plant>, clock: &Arc<SystemClock>) -> JacoEmulator {
    let settings = RosSettings::loopback("kinova", domain).with_namespace(&namespace(kind(robot)));
    start(&RosNode::start(settings).unwrap(), robot, plant, clock.clone()).unwrap()
}

fn connected(domain: u16, robot: &Robot, clock: &Arc<SystemClock>) -> Jaco {
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = connect(robot, settings, patient(), clock.clone()).unwrap_or_else(|error| panic!("{error}"));
    arm.guarded_by(Guarding::Waived)
}

/// Joints that carry weight in every pose but the candle pose, and controllers that compensate it.
struct Heavy(PointPlant);

impl Heavy {
    fn at(joints: JointVector) -> Box<Self> {
        Box::new(Self(PointPlant::at(joints)))
    }

    fn carried(&self) -> JointVector {
        let mut weight = self.0.sense().joint_positions;
        weight.iter_mut().for_each(|angle| *angle = 6.0 * (*angle - std::f64::consts::PI).sin());
        weight
    }
}

impl Plant for Heavy {
    fn joints(&self) -> usize {
        self.0.joints()
    }
    fn drive(&mut self, drive: Drive) {
        self.0.drive(drive);
    }
    fn drive_gripper(&mut self, fraction: f64) {
        self.0.drive_gripper(fraction);
    }
    fn advance_to(&mut self, now: Timestamp) {
        self.0.advance_to(now);
    }
    fn sense(&self) -> Proprioception {
        let mut state = self.0.sense();
        for (effort, weight) in state.joint_efforts.iter_mut().zip(self.carried().iter()) {
            *effort += weight;
        }
        state
    }
    fn weight(&mut self) -> JointVector {
        self.carried()
    }
}

/// The operator's fix for torques that are not near zero.
fn zero_torques(domain: u16, robot: &Robot) {
    let settings = RosSettings::loopback("person", domain).with_namespace(&namespace(kind(robot)));
    let mut zero = RosNode::start(settings).unwrap().client::<ZeroTorques>("in/set_zero_torques").unwrap();
    zero.call(Empty::default(), LONG).unwrap_or_else(|error| panic!("{error}"));
}

/// Why torque mode is refused.
fn refusal(arm: &mut Jaco, clock: &dyn Clock) -> String {
    match arm.activate(clock.now(), ControlMode::Torque) {
        Err(DriverError::Fault(code)) => arm.fault_text(code),
        other => format!("{other:?}"),
    }
}

/// Never more messages than periods: the arm's queue would keep them for later.
fn never_faster_than_the_arm(log: &CommandLog) {
    let all = log.all();
    let (first, last) = (all.first().unwrap(), all.last().unwrap());
    let periods = last.at.since(first.at).as_secs_f64() / STEP.as_secs_f64();
    // The first may have waited in the emulator's turn, and the grid's phase is not the emulator's.
    assert!(all.len() as f64 <= periods + 4.0, "{} messages in {periods} periods", all.len());
}

#[test]
fn it_moves_in_every_mode_never_jumps_and_never_queues() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated(domain, &robot, 0.0, &clock);
    let mut arm = connected(domain, &robot, &clock);
    three_poses_in_every_mode(&mut arm, &*clock, &robot, emulator.log());
    never_faster_than_the_arm(emulator.log());
    assert!(!emulator.torque_mode(), "a stop leaves torque mode");
    until("the fingers", || (read(&mut arm, &*clock).gripper - 0.5).abs() < 0.02);
    // A command enters it again; the end of the program leaves it.
    until("torque mode", || {
        arm.write(clock.now(), &JointCommand::torque(JointVector::zeros(7), 0.5)).unwrap();
        emulator.torque_mode()
    });
    drop(arm);
    until("torque mode to be left", || !emulator.torque_mode());
}

#[test]
fn it_conforms() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let _emulator = emulated(domain, &robot, 0.0, &clock);
    conforms(&mut connected(domain, &robot, &clock), &*clock);
}

#[test]
fn a_stop_is_explicit_zeros() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated(domain, &robot, 0.0, &clock);
    let mut arm = connected(domain, &robot, &clock);
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    let speed = JointVector::from_slice(&[0.2; 7]);
    until("motion", || {
        arm.write(clock.now(), &JointCommand::velocity(speed, 0.5)).unwrap();
        read(&mut arm, &*clock).joint_velocities[0] > 0.15
    });
    stop(&mut arm, &*clock);
    drop(arm);
    let all = emulator.log().all();
    let zeros = all.iter().rev().take_while(|received| received.joints.iter().all(|v| *v == 0.0)).count();
    assert!(zeros >= 2, "{zeros} explicit zeros at the end");
    no_jump(&robot, emulator.log());
    never_faster_than_the_arm(emulator.log());
}

/// Turns the first joint by torques until it is fast, then sends nothing; returns how far it moves in a second after detection.
fn falls_silent(emulator: &JacoEmulator, domain: u16, robot: &Robot) -> f64 {
    let settings = RosSettings::loopback("torques", domain).with_namespace(&namespace(kind(robot)));
    let node = RosNode::start(settings).unwrap();
    let mut mode = node.client::<SetTorqueControlMode>("in/set_torque_control_mode").unwrap();
    let torques = node.publisher("in/joint_torque", Qos::Command).unwrap();
    let mut states = node.subscriber::<JointState>("out/joint_state", Qos::State).unwrap();
    torques.wait_for_subscriber(LONG).unwrap();
    mode.call(StateRequest { state: 1 }, LONG).unwrap();
    until("torque mode", || emulator.torque_mode());
    until("motion", || {
        torques.publish(JointTorque { joint1: 0.3, ..Default::default() }).unwrap();
        std::thread::sleep(STEP);
        states.newest().unwrap().is_some_and(|state| state.velocity[0] > 0.15)
    });
    let newer = |states: &mut RosSubscriber<JointState>| states.wait(LONG).unwrap().unwrap().position[0];
    // Longer than the silence that counts, at ten states a second.
    for _ in 0..10 {
        newer(&mut states);
    }
    let from = newer(&mut states);
    for _ in 0..10 {
        newer(&mut states);
    }
    newer(&mut states) - from
}

/// Type 1 is the default. An emulated arm once held, so that no test saw a real one's reaction without commands.
#[test]
fn without_torques_an_arm_of_inactivity_type_1_coasts_and_one_of_type_0_holds() {
    let (clock, robot) = (clock(), robot("jaco_j2s7s300"));
    for (inactivity, holds) in [(Inactivity::default(), false), (Inactivity::Hold, true)] {
        let domain = domain();
        let emulator = emulated(domain, &robot, 0.0, &clock);
        emulator.set_inactivity(inactivity);
        let went = falls_silent(&emulator, domain, &robot);
        assert_eq!(emulator.torque_mode(), !holds);
        // A point without friction, observed for a second.
        assert!(if holds { went == 0.0 } else { went > 0.05 }, "{inactivity:?}: {went} rad");
    }
}

#[test]
fn torque_mode_is_not_entered_with_torques_that_were_not_zeroed() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated(domain, &robot, 0.0, &clock);
    emulator.bias_torques(5.0);
    let mut arm = connected(domain, &robot, &clock);
    let Err(DriverError::Fault(code)) = arm.activate(clock.now(), ControlMode::Torque) else { panic!("entered") };
    assert!(arm.fault_text(code).contains("candle pose"), "{}", arm.fault_text(code));
    assert_ne!(code, FaultCode(0));
    emulator.bias_torques(0.0);
    until("torque mode", || arm.activate(clock.now(), ControlMode::Torque).is_ok());
    until("torque mode", || emulator.torque_mode());
}

/// An emulated arm once felt its own weight in every bent pose and refused torque mode there, which a real one does not.
#[test]
fn an_arm_is_let_into_torque_mode_under_its_own_weight() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated_over(domain, &robot, Heavy::at(near_home(&robot, 0.0)), &clock);
    let mut arm = connected(domain, &robot, &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap_or_else(|error| panic!("{error}"));
    until("torque mode", || emulator.torque_mode());
}

#[test]
fn a_node_that_publishes_the_weight_is_refused_and_its_parameter_named() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated_over(domain, &robot, Heavy::at(near_home(&robot, 0.0)), &clock);
    emulator.publish_weight(true);
    let mut arm = connected(domain, &robot, &clock);
    until("a refusal", || refusal(&mut arm, &*clock).contains("publish_torque_with_gravity_compensation"));
    emulator.publish_weight(false);
    until("torque mode", || arm.activate(clock.now(), ControlMode::Torque).is_ok() && emulator.torque_mode());
}

#[test]
fn torques_are_zeroed_by_a_person_in_the_candle_pose_and_never_by_a_recovery() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let candle = JointVector::from_slice(&[std::f64::consts::PI; 7]);
    let emulator = emulated_over(domain, &robot, Heavy::at(candle), &clock);
    emulator.bias_torques(5.0);
    let mut arm = connected(domain, &robot, &clock);
    until("a refusal", || refusal(&mut arm, &*clock).contains("candle pose"));
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    assert!(refusal(&mut arm, &*clock).contains("candle pose"), "a new zero was requested");
    zero_torques(domain, &robot);
    until("torque mode", || arm.activate(clock.now(), ControlMode::Torque).is_ok() && emulator.torque_mode());
}

#[test]
fn torques_that_were_zeroed_under_weight_are_not_zero() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let _emulator = emulated_over(domain, &robot, Heavy::at(near_home(&robot, 0.0)), &clock);
    zero_torques(domain, &robot);
    let mut arm = connected(domain, &robot, &clock);
    until("a refusal", || refusal(&mut arm, &*clock).contains("candle pose"));
}

/// An arm that turns its first joint and reports its angle from home as the torque there.
struct Telling(PointPlant, f64);

impl Plant for Telling {
    fn joints(&self) -> usize {
        self.0.joints()
    }
    fn drive(&mut self, _: Drive) {}
    fn drive_gripper(&mut self, _: f64) {}
    fn advance_to(&mut self, now: Timestamp) {
        self.1 = 0.02 * now.since(Timestamp::ZERO).as_secs_f64();
    }
    fn sense(&self) -> Proprioception {
        let mut state = self.0.sense();
        state.joint_positions[0] += self.1;
        state.joint_efforts[0] = self.1;
        state
    }
}

/// Named after a bug: torques were read before the states they came with, so efforts were 0.1 s old, and commands with an
/// effect appeared to have none.
#[test]
fn a_state_comes_with_its_own_torques() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let plant = Telling(PointPlant::at(near_home(&robot, 0.0)), 0.0);
    let emulator = emulated_over(domain, &robot, Box::new(plant), &clock);
    let mut arm = connected(domain, &robot, &clock);
    until("torque mode", || arm.activate(clock.now(), ControlMode::Torque).is_ok() && emulator.torque_mode());
    // The first joint is upright and carries no weight, so its efforts equal its sensor's.
    let mut off = Vec::new();
    let mut before = read(&mut arm, &*clock).joint_positions[0];
    until("ten states", || {
        arm.write(clock.now(), &JointCommand::torque(JointVector::zeros(7), 0.5)).unwrap();
        let state = read(&mut arm, &*clock);
        if state.joint_positions[0] != before {
            before = state.joint_positions[0];
            off.push((state.joint_efforts[0] - (before - robot.identity.home[0])).abs());
        }
        off.len() == 10
    });
    // One state later is 0.002 away. A machine that stalls may part a pair.
    let apart = off.iter().filter(|off| **off > 1e-4).count();
    assert!(apart <= 2, "{apart} of 10 states: {off:?}");
}

#[test]
fn a_node_that_was_restarted_elsewhere_is_met_where_it_is() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated(domain, &robot, 0.0, &clock);
    let mut arm = connected(domain, &robot, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    drop(emulator);
    assert_eq!(first_error(&mut arm, &*clock), DriverError::Silent);
    let emulator = emulated(domain, &robot, 0.3, &clock);
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    // Nothing pulls back to the arm's earlier position.
    until("commands", || emulator.log().all().len() >= 20);
    assert!(emulator.log().all().iter().all(|received| received.joints.iter().all(|v| v.abs() < 1e-3)));
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.25));
    no_jump(&robot, emulator.log());
}

#[test]
fn six_joints_and_a_curved_wrist_are_only_other_descriptions() {
    for name in ["jaco_j2s6s300", "jaco_j2n7s300"] {
        let (domain, clock, robot) = (domain(), clock(), robot(name));
        let emulator = emulated(domain, &robot, 0.0, &clock);
        let mut arm = connected(domain, &robot, &clock);
        assert_eq!(arm.capabilities().joints, robot.joint.len());
        arm.activate(clock.now(), ControlMode::Velocity).unwrap();
        go_to(&mut arm, &*clock, &robot, ControlMode::Velocity, &near_home(&robot, 0.05));
        no_jump(&robot, emulator.log());
    }
}

#[test]
fn tool_velocities_move_the_tool_along_the_base_axes() {
    let (domain, clock, robot) = (domain(), clock(), robot("jaco_j2s7s300"));
    let emulator = emulated(domain, &robot, 0.0, &clock);
    let mut arm = connected(domain, &robot, &clock);
    let chain = Chain::from_robot(&robot).unwrap();
    let tool = |q: &JointVector| chain.forward(q).translation.vector;
    let start = tool(&read(&mut arm, &*clock).joint_positions);
    let settings = RosSettings::loopback("teleoperation", domain);
    let mut stream = ToolVelocity::connect(&robot, settings, LONG, clock.clone()).unwrap();
    until("3 cm upwards", || {
        stream.send([0.0, 0.0, 0.05, 0.0, 0.0, 0.0]);
        tool(&read(&mut arm, &*clock).joint_positions).z - start.z > 0.03
    });
    drop(stream);
    let end = tool(&read(&mut arm, &*clock).joint_positions);
    assert!((end.x - start.x).abs() < 0.01 && (end.y - start.y).abs() < 0.01, "{start} to {end}");
    until("zeros", || emulator.log().all().last().unwrap().joints.iter().all(|v| v.abs() < 1e-6));
}

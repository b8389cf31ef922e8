//! Wrong arms, wrong types, impossible numbers, second commanders: refused before torque, held afterwards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use visuomotor::driver::ConnectError;
use visuomotor::driver::ros2::LinkOptions;
use visuomotor::driver::sawyer::driver::{Sawyer, SawyerOptions, connect};
use visuomotor::driver::sawyer::wire;
use visuomotor::transport::ros2::messages::intera::{JointCommand as Intera, RobotAssemblyState};
use visuomotor::transport::ros2::messages::sensor::JointState;
use visuomotor::transport::ros2::messages::std::{Float64, Text};
use visuomotor::transport::ros2::{Qos, RosSettings};

use super::*;

/// Publishes any joint state it is given, as a Sawyer that is ready and enabled.
struct Feed {
    state: Arc<Mutex<JointState>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    fn start(domain: u16, state: JointState) -> Self {
        let state = Arc::new(Mutex::new(state));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, seen) = (Arc::clone(&state), Arc::clone(&stop));
        let node = node("feed", domain);
        let thread = std::thread::spawn(move || {
            let joints = node.publisher::<JointState>(wire::JOINT_STATES, Qos::State).unwrap();
            let assembly = node.publisher::<RobotAssemblyState>(wire::ASSEMBLY, Qos::State).unwrap();
            let _commands = node.subscriber::<Intera>(wire::COMMAND, Qos::Command).unwrap();
            let _timeout = node.subscriber::<Float64>(wire::TIMEOUT, Qos::Command).unwrap();
            let ready = RobotAssemblyState { homed: true, ready: true, enabled: true, ..Default::default() };
            while !seen.load(Ordering::Acquire) {
                joints.publish(shared.lock().unwrap().clone()).unwrap();
                assembly.publish(ready).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { state, stop, thread: Some(thread) }
    }

    fn set(&self, change: impl FnOnce(&mut JointState)) {
        change(&mut self.state.lock().unwrap());
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn good() -> JointState {
    let robot = robot("sawyer");
    let zeros = vec![0.0; 7];
    let (name, position) = (robot.joint_names(), robot.identity.home.clone());
    JointState { name, position, velocity: zeros.clone(), effort: zeros, ..Default::default() }
}

fn try_connect(domain: u16, patience: Duration) -> Result<Sawyer, ConnectError> {
    let options = SawyerOptions { link: LinkOptions { patience, ..patient() }, ..Default::default() };
    connect(&robot("sawyer"), RosSettings::loopback("visuomotor", domain), options, clock())
}

/// Enough for discovery on a busy machine, short enough where no peer is.
const SHORT: Duration = Duration::from_secs(6);

fn refusal(change: impl FnOnce(&mut JointState)) -> String {
    let domain = domain();
    let mut state = good();
    change(&mut state);
    let _feed = Feed::start(domain, state);
    match try_connect(domain, SHORT) {
        Ok(_) => panic!("connected"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn another_arms_joints_are_refused_by_name() {
    let text = refusal(|state| state.name.iter_mut().for_each(|name| *name = name.replace("right_j", "panda_joint")));
    assert!(text.contains("panda_joint0") && text.contains("right_j6") && text.contains("sawyer"), "{text}");
}

#[test]
fn a_joint_too_few_is_refused() {
    let text = refusal(|state| {
        for list in [&mut state.position, &mut state.velocity, &mut state.effort] {
            list.pop();
        }
        state.name.pop();
    });
    assert!(text.contains("without right_j6"), "{text}");
}

#[test]
fn lists_that_do_not_fit_their_names_are_refused() {
    let text = refusal(|state| {
        state.position.pop();
    });
    assert!(text.contains("6 positions"), "{text}");
}

#[test]
fn numbers_that_cannot_be_are_refused_before_torque_and_end_the_motion_after() {
    assert!(refusal(|state| state.position[2] = f64::NAN).contains("right_j2"));
    let text = refusal(|state| state.position[4] = 30.0);
    assert!(text.contains("right_j4") && text.contains("30") && text.contains("within"), "{text}");
    let (domain, clock) = (domain(), clock());
    let feed = Feed::start(domain, good());
    let options = SawyerOptions { link: patient(), ..Default::default() };
    let settings = RosSettings::loopback("visuomotor", domain);
    let mut arm = connect(&robot("sawyer"), settings, options, clock.clone()).unwrap();
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    feed.set(|state| state.velocity[1] = f64::INFINITY);
    let error = first_error(&mut arm, &*clock);
    assert!(matches!(error, DriverError::Implausible { joint: 1, .. }), "{error}");
    let still = JointCommand::velocity(JointVector::zeros(7), 0.5);
    assert_eq!(arm.write(clock.now(), &still), Err(DriverError::Inactive));
    feed.set(|state| state.velocity[1] = 0.0);
    // Valid numbers do not resume the motion; a caller must.
    until(
        "the reason to be kept",
        || matches!(arm.read(clock.now()), Err(DriverError::Implausible { joint: 1, value, .. }) if value.is_infinite()),
    );
    until("an activation", || arm.activate(clock.now(), ControlMode::Velocity).is_ok());
    read(&mut arm, &*clock);
}

#[test]
fn commands_that_are_not_finite_or_of_another_mode_are_refused() {
    let (domain, clock) = (domain(), clock());
    let _feed = Feed::start(domain, good());
    let options = SawyerOptions { link: patient(), ..Default::default() };
    let settings = RosSettings::loopback("visuomotor", domain);
    let mut arm = connect(&robot("sawyer"), settings, options, clock.clone()).unwrap();
    let mut joints = JointVector::zeros(7);
    assert_eq!(arm.write(clock.now(), &JointCommand::velocity(joints, 0.5)), Err(DriverError::Inactive));
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    let torque = JointCommand::torque(joints, 0.5);
    assert_eq!(arm.write(clock.now(), &torque), Err(DriverError::Mode(ControlMode::Torque)));
    joints[3] = f64::NAN;
    assert_eq!(arm.write(clock.now(), &JointCommand::velocity(joints, 0.5)), Err(DriverError::NotFinite));
    let fewer = JointCommand::velocity(JointVector::zeros(6), 0.5);
    assert_eq!(arm.write(clock.now(), &fewer), Err(DriverError::NotFinite));
}

#[test]
fn nobody_and_another_type_are_told_apart() {
    let text = try_connect(domain(), Duration::from_secs(1)).err().unwrap().to_string();
    assert!(text.contains("no reply") && text.contains(wire::JOINT_STATES), "{text}");
    let domain = domain();
    let node = node("stranger", domain);
    let _other = node.publisher::<Text>(wire::JOINT_STATES, Qos::State).unwrap();
    let text = try_connect(domain, SHORT).err().unwrap().to_string();
    assert!(text.contains("std_msgs::msg::dds_::String_"), "{text}");
}

#[test]
fn a_second_commander_is_refused_at_first_and_ends_the_motion_later() {
    let (domain, clock) = (domain(), clock());
    let _feed = Feed::start(domain, good());
    let other = node("somebody", domain);
    let rival = other.publisher::<Intera>(wire::COMMAND, Qos::Command).unwrap();
    rival.wait_for_subscriber(LONG).unwrap();
    let mut refused = String::new();
    // Discovery may be slower than the arm's first state.
    until("the refusal", || match try_connect(domain, LONG) {
        Ok(_) => false,
        Err(error) => {
            refused = error.to_string();
            true
        }
    });
    assert!(refused.contains(wire::COMMAND) && refused.contains("stop the other program"), "{refused}");
    drop((rival, other));
    let mut arm = None;
    until("a connection", || {
        arm = try_connect(domain, LONG).ok();
        arm.is_some()
    });
    drop(arm);
    let options = SawyerOptions { link: patient(), ..Default::default() };
    let settings = RosSettings::loopback("visuomotor", domain);
    let mut arm = connect(&robot("sawyer"), settings, options, clock.clone()).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let other = node("somebody", domain);
    let _rival = other.publisher::<Intera>(wire::COMMAND, Qos::Command).unwrap();
    assert_eq!(first_error(&mut arm, &*clock), DriverError::SecondCommander);
}

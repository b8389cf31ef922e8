//! The WidowX driver against the emulated node `xs_sdk`, on loopback.

mod hearing;
mod losses;
mod unfit;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::guard::Guarding;
use visuomotor::driver::widowx::limits::JOINTS;
use visuomotor::driver::widowx::xs_sdk::driver::{GripperDrive, XsSdkArm, XsSdkOptions, check_node};
use visuomotor::driver::widowx::xs_sdk::emulator::{Fault, ReceivedCommand, XsSdk};
use visuomotor::driver::{ArmDriver, ConnectError, Drive, DriverError, Grade, Plant, PointPlant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::{Clock, SystemClock, Timestamp};
use visuomotor::transport::ros2::messages::interbotix::JointGroupCommand;
use visuomotor::transport::ros2::messages::sensor::{Image, JointState};
use visuomotor::transport::ros2::{Qos, RosNode, RosSettings};

use super::{LONG, domain};

/// Largest change of a joint position per tick \[rad\].
const STEP: f64 = 0.04;
/// Largest change of a joint velocity per tick \[rad/s\].
const KICK: f64 = 0.25;
const START: [f64; 6] = [0.0, -0.9, 0.9, 0.0, 0.3, 0.0];
const POSES: [[f64; 6]; 3] =
    [[0.5, -0.6, 0.6, 0.2, 0.5, -0.3], [-0.4, -1.0, 1.1, -0.2, 0.1, 0.4], [0.0, -0.9, 0.9, 0.0, 0.3, 0.0]];

pub fn widowx() -> Robot {
    Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap()
}

/// An emulated node with its own participant.
struct Bench {
    domain: u16,
    clock: Arc<SystemClock>,
    emulator: Option<(XsSdk, RosNode)>,
}

impl Bench {
    fn new(at: [f64; 6]) -> Self {
        let mut bench = Self { domain: domain(), clock: Arc::new(SystemClock::new()), emulator: None };
        bench.power_on(at);
        bench
    }

    fn settings(&self, name: &str) -> RosSettings {
        RosSettings::loopback(name, self.domain).with_namespace("wx250s")
    }

    fn power_on(&mut self, at: [f64; 6]) {
        self.power_on_with(Box::new(PointPlant::at(JointVector::from_slice(&at))));
    }

    fn power_on_with(&mut self, plant: Box<dyn Plant>) {
        let node = RosNode::start(self.settings("xs_sdk")).unwrap();
        let emulator = XsSdk::start(&node, &widowx(), plant, self.clock.clone()).unwrap();
        self.emulator = Some((emulator, node));
    }

    fn power_off(&mut self) {
        self.emulator = None;
    }

    fn node(&self) -> &XsSdk {
        &self.emulator.as_ref().unwrap().0
    }

    fn options(&self) -> XsSdkOptions {
        // A stall of this machine is not tested here.
        XsSdkOptions {
            patience: 30.0,
            silence: 2.0,
            command_gap: 5.0,
            health_period: 0.2,
            // The death of this program is tested elsewhere.
            guarding: Guarding::Waived,
            ..XsSdkOptions::new(self.settings("visuomotor"))
        }
    }

    fn connect(&self) -> XsSdkArm {
        XsSdkArm::connect(&widowx(), self.options(), self.clock.clone()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Sends a command and waits until the node has it: ticks follow each other exactly, however slow this machine is.
    fn send(&self, arm: &mut XsSdkArm, command: &JointCommand) {
        arm.write(self.clock.now(), command).unwrap();
        // Exactly this one: a hold's last message may still be on its way.
        until("the command arrives", || {
            self.node().commands().back().is_some_and(|newest| {
                newest.values.iter().zip(command.joints().iter()).all(|(got, sent)| *got == *sent as f32)
            })
        });
    }

    /// Moves to a pose by steps that are within the limits.
    fn go(&self, arm: &mut XsSdkArm, mode: ControlMode, pose: &[f64; 6]) {
        let goal = JointVector::from_slice(pose);
        let mut target = arm.read(self.clock.now()).unwrap().joint_positions;
        let mut speed = JointVector::zeros(6);
        until("the pose is reached", || {
            let here = arm.read(self.clock.now()).unwrap().joint_positions;
            let far = here.iter().zip(goal.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            match mode {
                ControlMode::Position => {
                    for (joint, value) in target.iter_mut().enumerate() {
                        *value += (goal[joint] - *value).clamp(-STEP, STEP);
                    }
                    self.send(arm, &JointCommand::position(target, 1.0));
                    far < 1e-3
                }
                _ => {
                    for (joint, value) in speed.iter_mut().enumerate() {
                        let wanted = (2.0 * (goal[joint] - here[joint])).clamp(-0.6, 0.6);
                        *value += (wanted - *value).clamp(-KICK, KICK);
                    }
                    self.send(arm, &JointCommand::velocity(speed, 1.0));
                    std::thread::sleep(Duration::from_millis(5));
                    far < 0.02 && speed.iter().all(|v| v.abs() < KICK)
                }
            }
        });
        arm.hold(self.clock.now()).unwrap();
        if mode == ControlMode::Velocity {
            // The newest message wins: a command right after the stop would replace it.
            until("the stop arrives", || {
                self.node().commands().back().is_some_and(|newest| newest.values.iter().all(|value| *value == 0.0))
            });
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Each command differs from the previous one, or the first one from the arm's position, by at most a tick's limit.
fn no_jump<'a>(commands: impl IntoIterator<Item = &'a ReceivedCommand>) -> usize {
    let (mut last, mut count): (Option<&ReceivedCommand>, usize) = (None, 0);
    for command in commands {
        let velocity = command.mode == "velocity";
        // After a hold the next step starts where the arm is, which is up to 1e-3 rad (a pose counts as reached) from there.
        let limit = if velocity { KICK + 1e-5 } else { STEP + 1e-3 };
        for (joint, value) in command.values.iter().enumerate() {
            let before = match last.filter(|last| last.mode == command.mode) {
                Some(last) => f64::from(last.values[joint]),
                None if velocity => 0.0,
                None => command.measured[joint],
            };
            let jump = (f64::from(*value) - before).abs();
            assert!(
                jump <= limit,
                "{}: a jump of {jump} in command {count}: {last:?}, then {command:?}",
                JOINTS[joint]
            );
        }
        (last, count) = (Some(command), count + 1);
    }
    count
}

#[test]
fn it_conforms() {
    let bench = Bench::new(START);
    crate::conforms(&mut bench.connect(), &*bench.clock);
}

#[test]
fn connects_moves_holds_recovers_from_a_fault_and_reconnects() {
    for mode in [ControlMode::Position, ControlMode::Velocity] {
        let mut bench = Bench::new(START);
        let mut arm = bench.connect();
        assert!(!bench.node().torque(), "connecting must not turn the torque on");
        assert_eq!(
            arm.write(bench.clock.now(), &JointCommand::velocity(JointVector::zeros(6), 1.0)),
            Err(DriverError::Inactive)
        );
        arm.activate(bench.clock.now(), mode).unwrap();
        assert!(bench.node().torque());
        for pose in &POSES {
            bench.go(&mut arm, mode, pose);
        }
        // A servo overloads: a named fault, a hold, a reboot, and on.
        bench.node().inject(Fault::Hardware(1, 1 << 5));
        let mut found = None;
        until("the fault is reported", || {
            found = arm.read(bench.clock.now()).err();
            found.is_some()
        });
        let Some(DriverError::Fault(code)) = found else { panic!("{found:?}") };
        assert_eq!(arm.fault_text(code), "servo shoulder: overload");
        arm.hold(bench.clock.now()).unwrap();
        arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
        arm.activate(bench.clock.now(), mode).unwrap();
        bench.go(&mut arm, mode, &POSES[0]);
        let first_life = no_jump(&bench.node().commands());
        // The node is killed and comes back with the arm somewhere else: it fell.
        bench.power_off();
        until("silence is noticed", || arm.read(bench.clock.now()) == Err(DriverError::Silent));
        let fallen = [0.5, -0.2, 0.9, 0.2, 0.5, -0.3];
        bench.power_on(fallen);
        arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
        arm.activate(bench.clock.now(), mode).unwrap();
        let after = arm.read(bench.clock.now()).unwrap();
        assert!((after.joint_positions[1] - fallen[1]).abs() < 1e-3);
        bench.go(&mut arm, mode, &POSES[1]);
        let second_life = no_jump(&bench.node().commands());
        assert!(first_life > 20 && second_life > 10, "{first_life} and {second_life} commands");
    }
}

#[test]
fn the_gripper_opens_and_closes_in_both_drives() {
    for drive in [GripperDrive::Pwm, GripperDrive::LinearPosition] {
        let bench = Bench::new(START);
        let options = XsSdkOptions { gripper: drive, ..bench.options() };
        let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
        arm.activate(bench.clock.now(), ControlMode::Position).unwrap();
        for (wanted, low, high) in [(0.0, -0.1, 0.3), (1.0, 0.8, 1.2)] {
            until("the fingers moved", || {
                let at = arm.read(bench.clock.now()).unwrap();
                bench.send(&mut arm, &JointCommand::position(JointVector::from_slice(&START), wanted));
                (low..high).contains(&at.gripper)
            });
        }
    }
}

#[test]
fn velocity_stops_when_the_control_loop_falls_silent() {
    let bench = Bench::new(START);
    let options = XsSdkOptions { command_gap: 0.1, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    let mut turning = JointVector::zeros(6);
    turning[0] = 0.2;
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    until("a stop is sent", || bench.node().commands().back().is_some_and(|last| last.values == [0.0; 6]));
    let there = bench.node().positions()[0];
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    // Ending the driver while the arm turns is a stop too.
    drop(arm);
    until("a stop is sent", || bench.node().commands().back().is_some_and(|last| last.values == [0.0; 6]));
    assert!(bench.node().positions()[0] >= there);
}

#[test]
fn bad_commands_and_modes_are_refused_and_the_arm_holds() {
    let bench = Bench::new(START);
    let mut arm = bench.connect();
    assert_eq!(arm.activate(bench.clock.now(), ControlMode::Torque), Err(DriverError::Mode(ControlMode::Torque)));
    arm.activate(bench.clock.now(), ControlMode::Position).unwrap();
    let mut nan = JointVector::from_slice(&START);
    nan[3] = f64::NAN;
    let now = bench.clock.now();
    assert_eq!(arm.write(now, &JointCommand::position(nan, 1.0)), Err(DriverError::NotFinite));
    let zero = JointVector::zeros(6);
    assert_eq!(arm.write(now, &JointCommand::velocity(zero, 1.0)), Err(DriverError::Mode(ControlMode::Velocity)));
    until("a hold arrives", || !bench.node().commands().is_empty());
    assert!(bench.node().commands().iter().all(|command| command.values.iter().all(|value| value.is_finite())));
    no_jump(&bench.node().commands());
}

#[test]
fn states_that_cannot_be_are_never_positions() {
    let bench = Bench::new(START);
    let options = XsSdkOptions { silence: 0.3, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    let mut read = |wanted: fn(&Result<(), DriverError>) -> bool| {
        until("the driver says so", || {
            let found = arm.read(bench.clock.now()).map(|state| {
                assert!(state.joint_positions.iter().zip(START).all(|(q, start)| (q - start).abs() < 1e-3));
            });
            wanted(&found)
        })
    };
    read(|found| found.is_ok());
    bench.node().inject(Fault::NanStates(true));
    read(|found| matches!(found, Err(DriverError::Implausible { joint: 2, value, .. }) if value.is_nan()));
    bench.node().inject(Fault::NanStates(false));
    read(|found| found.is_ok());
    bench.node().inject(Fault::FailedReads(true));
    read(|found| *found == Err(DriverError::Silent));
    bench.node().inject(Fault::FailedReads(false));
    read(|found| found.is_ok());
    bench.node().inject(Fault::Silence(true));
    read(|found| *found == Err(DriverError::Silent));
    bench.node().inject(Fault::Silence(false));
    read(|found| found.is_ok());
    assert!(arm.bad_states() > 0);
}

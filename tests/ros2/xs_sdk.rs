//! The WidowX driver against the emulated node `xs_sdk`, on loopback.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::guard::Guarding;
use visuomotor::driver::widowx::driver::{GripperDrive, XsSdkArm, XsSdkOptions, check_node};
use visuomotor::driver::widowx::emulator::xs_sdk::{Fault, ReceivedCommand, XsSdk};
use visuomotor::driver::widowx::limits::JOINTS;
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
        // A stall of this machine is not what is tested here.
        XsSdkOptions {
            patience: 30.0,
            silence: 2.0,
            command_gap: 5.0,
            health_period: 0.2,
            // What happens when this program dies is tested elsewhere.
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
        // This very one: a hold's last word may still be on its way.
        until("the command arrives", || {
            self.node().commands().back().is_some_and(|newest| {
                newest.values.iter().zip(command.joints.iter()).all(|(got, sent)| *got == *sent as f32)
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
            // The newest word wins: a command right behind the stop would replace it.
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

/// No command is further from the one before it, or a first one from where the arm is, than a tick may go.
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
        // A servo overloads: a fault by name, a hold, a reboot, and on.
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

/// States lost, commands lost, both, in both modes: the arm stands, and what is said afterwards waits for an activation.
#[test]
fn whatever_is_lost_the_arm_comes_to_rest() {
    for mode in [ControlMode::Position, ControlMode::Velocity] {
        for (states_lost, commands_lost) in [(true, false), (false, true), (true, true)] {
            let what = format!("{mode}, states lost {states_lost}, commands lost {commands_lost}");
            let bench = Bench::new(START);
            let options = XsSdkOptions { silence: 0.4, command_gap: 0.3, ..bench.options() };
            let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
            arm.activate(bench.clock.now(), mode).unwrap();
            let mut joints = JointVector::from_slice(&START);
            let mut motion = |turn: u32| {
                match mode {
                    ControlMode::Position => joints[0] = 0.002 * f64::from(turn),
                    _ => {
                        joints.fill(0.0);
                        joints[0] = 0.2;
                    }
                }
                JointCommand { mode, joints, gripper: 1.0 }
            };
            for turn in 0..40 {
                bench.send(&mut arm, &motion(turn));
            }
            bench.node().inject(Fault::Silence(states_lost));
            let mut turn = 40;
            let (mut last, mut since) = (None, Instant::now());
            until(&what, || {
                turn += 1;
                if !commands_lost {
                    // Refused once the driver knows, and then a hold, as the loops do.
                    let command = motion(turn);
                    if arm.write(bench.clock.now(), &command).is_err() {
                        let _ = arm.hold(bench.clock.now());
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
                let at = bench.node().positions();
                if last.as_ref() != Some(&at) {
                    (last, since) = (Some(at), Instant::now());
                }
                since.elapsed() > Duration::from_millis(700)
            });
            let commands = bench.node().commands();
            let newest = commands.back().unwrap();
            if mode == ControlMode::Velocity {
                assert_eq!(newest.values, [0.0; 6], "{what}");
            } else {
                assert!((f64::from(newest.values[0]) - bench.node().positions()[0]).abs() < 1e-3, "{what}");
            }
            no_jump(&commands);
            if states_lost {
                assert_eq!(arm.read(bench.clock.now()), Err(DriverError::Silent), "{what}");
                // Nothing more is said, whatever is asked, until it is activated again.
                bench.node().inject(Fault::Silence(false));
                let said = bench.node().commands().len();
                until("states come again", || arm.read(bench.clock.now()).is_ok());
                arm.write(bench.clock.now(), &motion(turn + 1)).unwrap();
                arm.hold(bench.clock.now()).unwrap();
                // The thread ends behind whatever it still had to say.
                drop(arm);
                let after: Vec<_> = bench.node().commands().into_iter().skip(said).collect();
                assert!(after.iter().all(|command| command.values == [0.0; 6]), "{what}: {after:?}");
                assert!(mode == ControlMode::Velocity || after.is_empty(), "{what}: {after:?}");
            }
        }
    }
}

/// The node is in position mode after a restart: zeros that were velocities would be a place to go to.
#[test]
fn a_node_that_was_started_again_in_another_mode_is_told_nothing() {
    let mut bench = Bench::new(START);
    let mut arm = bench.connect();
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    let mut turning = JointVector::zeros(6);
    turning[0] = 0.2;
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    bench.power_off();
    until("silence is noticed", || arm.read(bench.clock.now()) == Err(DriverError::Silent));
    arm.hold(bench.clock.now()).unwrap();
    // All that is said blindly was said before a node could start again.
    std::thread::sleep(Duration::from_secs(1));
    bench.power_on(POSES[0]);
    until("states come again", || arm.read(bench.clock.now()).is_ok());
    arm.hold(bench.clock.now()).unwrap();
    arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
    drop(arm);
    let commands = bench.node().commands();
    assert!(commands.is_empty(), "in position mode it was told {commands:?}");
}

/// Another mode means other numbers: what was said last in the old one must not be said in the new one.
#[test]
fn changing_the_mode_says_nothing_of_the_old_one_in_the_new_one() {
    let bench = Bench::new(START);
    let options = XsSdkOptions { command_gap: 0.1, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    for mode in [ControlMode::Velocity, ControlMode::Position, ControlMode::Velocity, ControlMode::Position] {
        arm.activate(bench.clock.now(), mode).unwrap();
        bench.node().slow_bus(Duration::from_millis(20));
        let still = if mode == ControlMode::Velocity { JointVector::zeros(6) } else { JointVector::from_slice(&START) };
        bench.send(&mut arm, &JointCommand { mode, joints: still, gripper: 1.0 });
    }
    for command in bench.node().commands() {
        let wanted = if command.mode == "velocity" { [0.0; 6] } else { START };
        for (value, wanted) in command.values.iter().zip(wanted) {
            assert!((f64::from(*value) - wanted).abs() < 1e-3, "{command:?}");
        }
    }
}

/// A point that carries its weight on shoulder and elbow, as an arm does.
struct Loaded(PointPlant);

impl Plant for Loaded {
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
        let mut sensed = self.0.sense();
        sensed.joint_efforts = JointVector::from_slice(&[0.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
        sensed
    }
}

/// A servo dies: how many states later is it known? They come at 100 Hz while the USB adapter's latency is 1 ms; at 16 ms, where a
/// register and a state take 17 ms each and alternate, seven of them are a quarter of a second.
#[test]
fn a_servo_error_is_known_within_a_quarter_of_a_second_at_either_latency() {
    let (fast, slow) = ((1, 25), (17, 7));
    for ((bus, most), servo, mode) in [
        (fast, 1, ControlMode::Position),
        (fast, 0, ControlMode::Velocity),
        (slow, 1, ControlMode::Velocity),
        (slow, 1, ControlMode::Position),
        // It carries nothing and does not move: nothing but its register says so.
        (slow, 0, ControlMode::Position),
        (slow, 3, ControlMode::Velocity),
    ] {
        let mut bench = Bench::new(START);
        bench.power_off();
        bench.power_on_with(Box::new(Loaded(PointPlant::at(JointVector::from_slice(&START)))));
        let options = XsSdkOptions { health_period: 0.1, ..bench.options() };
        let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
        arm.activate(bench.clock.now(), mode).unwrap();
        bench.node().slow_bus(Duration::from_millis(bus));
        let mut joints =
            if mode == ControlMode::Position { JointVector::from_slice(&START) } else { JointVector::zeros(6) };
        let mut measured = arm.read(bench.clock.now()).unwrap().measured_at;
        let (mut states, mut died, mut known) = (0, None, None);
        until("the fault is known", || {
            match arm.read(bench.clock.now()) {
                Ok(state) if state.measured_at > measured => {
                    measured = state.measured_at;
                    states += 1;
                    joints[1] = if mode == ControlMode::Position { joints[1] + 0.002 } else { 0.3 };
                    arm.write(bench.clock.now(), &JointCommand { mode, joints, gripper: 1.0 }).unwrap();
                    if states == 40 {
                        died = Some((bench.node().published(), Instant::now()));
                        bench.node().inject(Fault::Hardware(servo, 1 << 5));
                    }
                }
                Ok(_) => {}
                Err(DriverError::Fault(_)) => known = Some(bench.node().published()),
                Err(other) => panic!("{other}"),
            }
            known.is_some()
        });
        let (then, at) = died.expect("a fault before one was made");
        let (states, ms) = (known.unwrap() - then, at.elapsed().as_millis());
        println!("{bus} ms bus, servo {servo}, {mode} mode: known after {states} states, {ms} ms");
        assert!(states <= most, "{bus} ms bus, servo {servo}, {mode} mode: known after {states} states, {ms} ms");
    }
}

/// Commands are lost on their topic while states arrive, and the node turns on at the last velocity: the arm is stopped by service.
#[test]
fn an_arm_that_does_not_hear_its_topic_is_stopped_by_service() {
    let bench = Bench::new(START);
    let mut arm = bench.connect();
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    let mut turning = JointVector::zeros(6);
    turning[0] = 0.5;
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    bench.node().inject(Fault::LostCommands(true));
    // It does what it was told last, which is what it is told: nothing can be seen of the loss.
    let begun = bench.node().positions()[0];
    until("it turns on", || {
        arm.write(bench.clock.now(), &JointCommand::velocity(turning, 1.0)).unwrap();
        bench.node().positions()[0] > begun + 0.2
    });
    arm.hold(bench.clock.now()).unwrap();
    let mut found = None;
    until("the loss is noticed", || {
        found = arm.read(bench.clock.now()).err();
        found.is_some()
    });
    assert_eq!(found, Some(DriverError::Runaway { joint: 0 }));
    assert!(found.unwrap().to_string().contains("hardware stop"));
    let (mut last, mut since) = (bench.node().positions()[0], Instant::now());
    until("it stands", || {
        let at = bench.node().positions()[0];
        if at != last {
            (last, since) = (at, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    });
    assert!(bench.node().torque(), "an arm without torque falls");
    // Heard again, it is commanded again once it recovered and was activated.
    bench.node().inject(Fault::LostCommands(false));
    arm.recover(bench.clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(bench.clock.now(), ControlMode::Velocity).unwrap();
    bench.send(&mut arm, &JointCommand::velocity(turning, 1.0));
    until("it turns", || bench.node().positions()[0] > last + 0.05);
}

/// The states that a register read keeps back are no silence; those that nothing keeps back are.
#[test]
fn a_register_read_is_no_silence() {
    let bench = Bench::new(START);
    // Without the read's excuse a quarter of all looks would find silence; what a busy machine adds is granted.
    let options = XsSdkOptions { silence: 0.03, health_period: 0.1, ..bench.options() };
    let mut arm = XsSdkArm::connect(&widowx(), options, bench.clock.clone()).unwrap();
    bench.node().slow_bus(Duration::from_millis(20));
    until("activation", || arm.activate(bench.clock.now(), ControlMode::Position).is_ok());
    // The first reads are not known to be slow.
    let reads = bench.node().register_reads() + 10;
    until("ten reads", || bench.node().register_reads() >= reads);
    let (mut silent, mut turns) = (0, 0);
    until("thirty reads", || {
        turns += 1;
        silent += u32::from(arm.read(bench.clock.now()) == Err(DriverError::Silent));
        bench.node().register_reads() >= reads + 30
    });
    assert!(silent * 20 <= turns, "{silent} of {turns} looks found silence");
}

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

/// A domain in which somebody else than an arm is at the arm's place.
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

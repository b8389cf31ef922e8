//! Sawyer against an emulated Intera controller.

use std::sync::atomic::{AtomicU64, Ordering};
use visuomotor::driver::sawyer::driver::{Sawyer, SawyerOptions, check, connect};
use visuomotor::driver::sawyer::emulator::{SawyerEmulator, start};
use visuomotor::driver::sawyer::wire::{PositionFeed, fault};

use visuomotor::driver::{FaultCode, Grade};
use visuomotor::time::Timestamp;
use visuomotor::transport::ros2::RosSettings;

use super::*;

fn options() -> SawyerOptions {
    SawyerOptions { link: patient(), ..Default::default() }
}

fn emulated(domain: u16, by: f64, clock: &Arc<SystemClock>) -> SawyerEmulator {
    let robot = robot("sawyer");
    start(&node("intera", domain), &robot, plant(&robot, by), clock.clone()).unwrap()
}

fn connected(domain: u16, options: SawyerOptions, clock: &Arc<SystemClock>) -> Sawyer {
    let settings = RosSettings::loopback("visuomotor", domain);
    connect(&robot("sawyer"), settings, options, clock.clone()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn it_moves_in_every_mode_and_never_jumps() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, options(), &clock);
    assert!(!emulator.enabled(), "connecting must not enable");
    three_poses_in_every_mode(&mut arm, &*clock, &robot, emulator.log());
    until("the gripper", || (read(&mut arm, &*clock).gripper - 0.5).abs() < 0.02);
}

#[test]
fn it_conforms() {
    let (domain, clock) = (domain(), clock());
    let _emulator = emulated(domain, 0.0, &clock);
    conforms(&mut connected(domain, options(), &clock), &*clock);
}

#[test]
fn the_raw_feed_moves_too() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, SawyerOptions { feed: PositionFeed::Raw, ..options() }, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.1));
    no_jump(&robot, emulator.log());
}

#[test]
fn an_emergency_stop_is_a_fault_that_only_a_person_clears() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, options(), &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    emulator.press_stop(true);
    let DriverError::Fault(code) = first_error(&mut arm, &*clock) else { panic!("not a fault") };
    assert!(code.0 & fault::BUTTON_PRESSED != 0 && arm.fault_text(code).contains("emergency stop"));
    let command = JointCommand::position(near_home(&robot, 0.0), 0.5);
    assert_eq!(arm.write(clock.now(), &command), Err(DriverError::Inactive));
    // Turning the button out is not enough, and neither is activating.
    emulator.press_stop(false);
    until(
        "the button to be seen",
        || matches!(arm.read(clock.now()), Err(DriverError::Fault(FaultCode(code))) if code & fault::BUTTON_RELEASED != 0),
    );
    assert!(matches!(arm.activate(clock.now(), ControlMode::Position), Err(DriverError::Fault(_))));
    assert!(!emulator.enabled(), "enabled after a stop without a request");
    arm.recover(clock.now()).unwrap();
    assert!(!emulator.enabled());
    emulator.log().clear();
    let at = read(&mut arm, &*clock).joint_positions;
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    starts_at(emulator.log(), &at);
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.0));
    no_jump(&robot, emulator.log());
}

#[test]
fn a_controller_that_was_restarted_elsewhere_is_met_where_it_is() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, options(), &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    drop(emulator);
    assert_eq!(first_error(&mut arm, &*clock), DriverError::Silent);
    let command = JointCommand::position(near_home(&robot, 0.05), 0.5);
    assert_eq!(arm.write(clock.now(), &command), Err(DriverError::Inactive));
    let emulator = emulated(domain, 0.3, &clock);
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    starts_at(emulator.log(), &near_home(&robot, 0.3));
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.2));
    no_jump(&robot, emulator.log());
}

#[test]
fn velocities_lapse_when_the_program_ends_and_the_arm_stands() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, options(), &clock);
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    let speed = JointVector::from_slice(&[0.2; 7]);
    until("motion", || {
        arm.write(clock.now(), &JointCommand::velocity(speed, 0.5)).unwrap();
        read(&mut arm, &*clock).joint_velocities[0] > 0.15
    });
    drop(arm);
    until("the last word to be a hold", || {
        emulator.log().all().last().is_some_and(|last| last.mode == ControlMode::Position)
    });
    no_jump(&robot, emulator.log());
}

/// Sets the first joint in motion; returns its command.
fn set_in_motion(arm: &mut Sawyer, clock: &dyn Clock, mode: ControlMode) -> JointCommand {
    arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{error}"));
    let mut joints = JointVector::zeros(7);
    joints[0] = 0.25;
    let command = JointCommand::of(mode, joints, 0.5);
    until("motion", || {
        arm.write(clock.now(), &command).unwrap();
        read(arm, clock).joint_velocities[0] > 0.2
    });
    command
}

/// Waits for a position; everything else sent since the log was cleared must be the earlier commands.
fn only_positions_follow(log: &CommandLog, commanded: &JointCommand) {
    until("a position", || log.all().iter().any(|received| received.mode == ControlMode::Position));
    let all = log.all();
    let first = all.iter().position(|received| received.mode == ControlMode::Position).unwrap();
    let before = all[..first].iter().all(|received| received.joints == commanded.joints());
    assert!(before, "another command came first: {:?}", &all[..first]);
    assert!(all[first..].iter().all(|received| received.mode == ControlMode::Position), "the commands changed");
}

/// A spring of torques took 0.8 s to stop it and let it travel a fifth farther than its braking distance allowed.
#[test]
fn a_stop_under_torque_goes_over_to_position_mode_at_once() {
    let (domain, clock, robot) = (domain(), clock(), robot("sawyer"));
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, options(), &clock);
    let command = set_in_motion(&mut arm, &*clock, ControlMode::Torque);
    emulator.log().clear();
    stop(&mut arm, &*clock);
    only_positions_follow(emulator.log(), &command);
    // It is braked in the direction of its motion, and nothing pulls it back.
    let all = emulator.log().all();
    let positions = all.iter().filter(|received| received.mode == ControlMode::Position).map(|it| it.joints[0]);
    assert!(positions.collect::<Vec<_>>().is_sorted(), "{all:?}");
    no_jump(&robot, emulator.log());
}

/// The system's clock, which a test sets forward: to a program this looks like a suspension.
struct Suspended {
    clock: SystemClock,
    slept: AtomicU64,
}

impl Clock for Suspended {
    fn now(&self) -> Timestamp {
        self.clock.now() + Duration::from_nanos(self.slept.load(Ordering::Acquire))
    }
}

/// Fading from the last velocity once took an arm that already held its position out of that, and moved it on.
#[test]
fn commands_that_lapsed_while_the_program_was_suspended_are_not_repeated() {
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let (domain, time) = (domain(), clock());
        let emulator = emulated(domain, 0.0, &time);
        let clock = Arc::new(Suspended { clock: SystemClock::new(), slept: AtomicU64::new(0) });
        let settings = RosSettings::loopback("visuomotor", domain);
        let link = LinkOptions { deadline: Duration::from_secs(1), ..patient() };
        let options = SawyerOptions { link, command_timeout: 1.0, ..options() };
        let mut arm = connect(&robot("sawyer"), settings, options, clock.clone()).unwrap();
        let command = set_in_motion(&mut arm, &*clock, mode);
        // The newest command is sent before the program sleeps.
        emulator.log().clear();
        until("a few turns", || emulator.log().all().len() > 4);
        emulator.log().clear();
        clock.slept.store(Duration::from_millis(1500).as_nanos() as u64, Ordering::Release);
        only_positions_follow(emulator.log(), &command);
    }
}

#[test]
fn check_tells_what_cannot_be_verified() {
    let (domain, clock) = (domain(), clock());
    let emulator = emulated(domain, 0.0, &clock);
    let report =
        check(&robot("sawyer"), RosSettings::loopback("visuomotor", domain), options(), clock.clone()).unwrap();
    assert_eq!(report.verdict(), Grade::Doubtful, "{:#?}", report.findings);
    let timeout = report.findings.iter().find(|finding| finding.what == "joint_command_timeout").unwrap();
    assert!(timeout.fix.contains("cannot be read back"));
    assert!(report.rate_hz.unwrap() > 1.0);
    assert!(!emulator.enabled() && emulator.log().all().is_empty(), "a check moved or enabled the arm");
}

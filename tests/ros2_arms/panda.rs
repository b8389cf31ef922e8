//! Panda against an emulated ros2_control stack.

use visuomotor::driver::guard::Guarding;
use visuomotor::driver::panda::ros2::driver::{Panda, check, connect};
use visuomotor::driver::panda::ros2::emulator::{PandaEmulator, start};
use visuomotor::driver::{ConnectError, Grade};
use visuomotor::transport::ros2::messages::std::Float64MultiArray;
use visuomotor::transport::ros2::{Qos, RosSettings};

use super::*;

/// At 200 commands a second: the stack's 1000 are too many for a busy machine.
fn panda() -> Robot {
    let mut robot = robot("panda");
    robot.identity.control_rate_hz = 200.0;
    robot
}

fn emulated(domain: u16, by: f64, clock: &Arc<SystemClock>) -> PandaEmulator {
    let robot = panda();
    start(&node("stack", domain), &robot, plant(&robot, by), clock.clone()).unwrap()
}

fn connected(domain: u16, clock: &Arc<SystemClock>) -> Panda {
    let settings = RosSettings::loopback("visuomotor", domain);
    let arm = connect(&panda(), settings, patient(), clock.clone()).unwrap_or_else(|error| panic!("{error}"));
    // The death of this program is tested elsewhere.
    arm.guarded_by(Guarding::Waived)
}

#[test]
fn it_moves_in_every_mode_and_never_jumps() {
    let (domain, clock, robot) = (domain(), clock(), panda());
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, &clock);
    assert_eq!(emulator.active(), None, "connecting must not switch controllers");
    three_poses_in_every_mode(&mut arm, &*clock, &robot, emulator.log());
    assert_eq!(emulator.active(), Some(ControlMode::Torque));
    until("the gripper", || (read(&mut arm, &*clock).gripper - 0.5).abs() < 0.02);
    drop(arm);
    assert_eq!(emulator.active(), None, "a forward controller left running holds its last command forever");
}

#[test]
fn it_conforms() {
    let (domain, clock) = (domain(), clock());
    let _emulator = emulated(domain, 0.0, &clock);
    conforms(&mut connected(domain, &clock), &*clock);
}

#[test]
fn the_stop_button_is_a_fault_that_is_recovered_once_it_is_out() {
    let (domain, clock, robot) = (domain(), clock(), panda());
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    emulator.press_stop(true);
    let DriverError::Fault(code) = first_error(&mut arm, &*clock) else { panic!("not a fault") };
    assert!(arm.fault_text(code).contains("stop button"), "{}", arm.fault_text(code));
    assert!(matches!(arm.activate(clock.now(), ControlMode::Position), Err(DriverError::Fault(_))));
    assert!(arm.recover(clock.now()).is_err(), "recovered with the button in");
    emulator.press_stop(false);
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    emulator.log().clear();
    let at = read(&mut arm, &*clock).joint_positions;
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    starts_at(emulator.log(), &at);
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.0));
    no_jump(&robot, emulator.log());
}

#[test]
fn a_second_commander_that_jumps_ends_in_a_hold_and_is_recovered_from() {
    let (domain, clock, robot) = (domain(), clock(), panda());
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    let other = node("somebody", domain);
    let topic = other.publisher::<Float64MultiArray>("/forward_position_controller/commands", Qos::Command).unwrap();
    topic.wait_for_subscriber(LONG).unwrap();
    // One of six numbers is silently ignored by the controller; one that jumps is a reflex.
    topic.publish(Float64MultiArray { data: vec![0.0; 6], ..Default::default() }).unwrap();
    topic.publish(Float64MultiArray { data: vec![0.0; 7], ..Default::default() }).unwrap();
    let mut reflex = None;
    until("the reflex", || {
        match arm.read(clock.now()) {
            Err(DriverError::Fault(code)) => reflex = Some(arm.fault_text(code)),
            other => assert!(matches!(other, Ok(_) | Err(DriverError::SecondCommander)), "{other:?}"),
        }
        reflex.is_some()
    });
    assert!(reflex.unwrap().contains("velocity_discontinuity"));
    // A recovery while the other is there is refused by name.
    let refused = arm.recover(clock.now());
    assert!(matches!(&refused, Err(ConnectError::Unfit { what, .. }) if what.contains("publishers")), "{refused:?}");
    drop((topic, other));
    until("a recovery", || arm.recover(clock.now()).is_ok());
    emulator.log().clear();
    let at = read(&mut arm, &*clock).joint_positions;
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    starts_at(emulator.log(), &at);
    no_jump(&robot, emulator.log());
}

#[test]
fn a_stack_that_was_restarted_elsewhere_is_met_where_it_is() {
    let (domain, clock, robot) = (domain(), clock(), panda());
    let emulator = emulated(domain, 0.0, &clock);
    let mut arm = connected(domain, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.05));
    drop(emulator);
    assert_eq!(first_error(&mut arm, &*clock), DriverError::Silent);
    let emulator = emulated(domain, 0.15, &clock);
    arm.recover(clock.now()).unwrap_or_else(|error| panic!("{error}"));
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    starts_at(emulator.log(), &near_home(&robot, 0.15));
    go_to(&mut arm, &*clock, &robot, ControlMode::Position, &near_home(&robot, 0.1));
    no_jump(&robot, emulator.log());
}

#[test]
fn check_measures_round_trips_and_names_the_missing_watchdog() {
    let (domain, clock) = (domain(), clock());
    let emulator = emulated(domain, 0.0, &clock);
    let report = check(&panda(), RosSettings::loopback("visuomotor", domain), patient(), clock.clone()).unwrap();
    assert_eq!(report.verdict(), Grade::Doubtful, "{:#?}", report.findings);
    assert_eq!(report.round_trips.len(), 5);
    assert!(report.findings.iter().any(|finding| finding.fix.contains("for ever")));
    assert!(emulator.log().all().is_empty() && emulator.active().is_none());
}

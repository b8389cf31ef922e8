//! The whole driver against the emulated FER over loopback sockets, both in real time; the emulator waits for replies that
//! a busy computer delays, so that only intended losses happen.

use std::sync::Arc;
use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::panda::fci::driver::report::{COMMUNICATION, USER_STOPPED};
use visuomotor::driver::panda::fci::driver::{FciArm, FciSettings, HandSettings, Model, Phase, check};
use visuomotor::driver::panda::fci::emulator::{Emulator, EmulatorOptions, error};
use visuomotor::driver::panda::fci::wire::{Generator, Version};
use visuomotor::driver::panda::limits::{FER, JOINTS};
use visuomotor::driver::{ArmDriver, ConnectError, DriverError, FaultCode, Grade, PointPlant};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock};

use super::laws::{HOME, distance, poses, shares_of_positions, towards};

/// Longest wait for anything; only a failing test takes it.
pub const LONG: Duration = Duration::from_secs(60);

fn emulator(options: EmulatorOptions) -> Emulator {
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
    Emulator::start(plant, EmulatorOptions { patience: Duration::from_secs(1), ..options }).unwrap()
}

/// A computer that runs many tests at once may be silent for long.
fn patient() -> FciSettings {
    FciSettings { silence: 5.0, command_age: 5.0, ..FciSettings::of(Model::Fer) }
}

fn connect(emulator: &Emulator, clock: &Arc<SystemClock>) -> FciArm {
    FciArm::connect(&emulator.address().to_string(), Model::Fer, patient(), Arc::clone(clock) as Arc<dyn Clock>)
        .unwrap()
}

/// Commands the pose each 20 ms until the arm is there.
pub fn go(arm: &mut FciArm, clock: &SystemClock, mode: ControlMode, pose: &[f64; JOINTS]) -> Result<(), DriverError> {
    let until = clock.now() + LONG;
    loop {
        let now = clock.now();
        let state = arm.read(now)?;
        let slow = state.joint_velocities.iter().all(|v| v.abs() < 0.01);
        if slow && distance(pose, &state.joint_positions) < 5e-3 {
            return Ok(());
        }
        assert!(now < until, "{mode}: {} rad away after a minute", distance(pose, &state.joint_positions));
        arm.write(now, &towards(mode, pose, &state.joint_positions, &state.joint_velocities))?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until reading returns an error.
pub fn wait_for_trouble(arm: &mut FciArm, clock: &SystemClock) -> DriverError {
    let until = clock.now() + LONG;
    loop {
        match arm.read(clock.now()) {
            Err(trouble) => return trouble,
            Ok(_) => assert!(clock.now() < until, "no error within a minute"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn three_poses_in_each_mode_then_leaving_without_a_jump() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    let command = JointCommand::position(JointVector::from_slice(&HOME), 1.0);
    assert_eq!(arm.write(clock.now(), &command), Err(DriverError::Inactive));
    for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
        arm.activate(clock.now(), mode).unwrap();
        for pose in poses() {
            go(&mut arm, &clock, mode, &pose).unwrap();
        }
    }
    drop(arm);
    let taken = emulator.taken();
    // Each motion ended by itself, and no command of it was refused.
    let finished = taken.iter().filter(|taken| taken.command.finished).count();
    assert_eq!(finished, 3);
    let positions: Vec<_> = taken
        .iter()
        .filter(|taken| taken.generator == Generator::JointPosition)
        .map(|taken| taken.command.q_c)
        .collect();
    assert!(distance(&HOME, &positions[0]) < 1e-12, "a motion starts where the arm is");
    let [v, a, j] = shares_of_positions(&positions, &FER);
    assert!(v <= 0.91 && a <= 0.91 && j <= 0.91, "{v} {a} {j} of the manufacturer's limits");
}

#[test]
fn it_conforms() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    crate::conforms(&mut arm, &*clock);
}

/// The robot tolerates 20 ms without the program; states that wait to be read meanwhile are not silence.
#[test]
fn states_as_old_as_a_borne_pause_are_read_and_a_second_without_any_is_silence() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let settings = FciSettings { silence: FciSettings::of(Model::Fer).silence, ..patient() };
    let address = emulator.address().to_string();
    let mut arm = FciArm::connect(&address, Model::Fer, settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let received = arm.health().received_at;
    assert!(arm.read(received + Duration::from_millis(30)).is_ok());
    assert_eq!(arm.read(received + LONG), Err(DriverError::Silent));
}

#[test]
fn a_reflex_is_named_recovered_from_and_followed_by_no_jump() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &poses()[0]).unwrap();
    emulator.reflex(error::JOINT_VELOCITY);
    let trouble = wait_for_trouble(&mut arm, &clock);
    assert_eq!(trouble, DriverError::Fault(FaultCode(error::JOINT_VELOCITY + 1)));
    assert!(arm.fault_text(FaultCode(error::JOINT_VELOCITY + 1)).contains("joint velocity violation"));
    assert!(arm.activate(clock.now(), ControlMode::Position).is_err(), "a fault needs a recovery first");
    arm.recover(clock.now()).unwrap();
    emulator.taken();
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    go(&mut arm, &clock, ControlMode::Velocity, &poses()[1]).unwrap();
    let taken = emulator.taken();
    assert_eq!(taken[0].command.dq_c, [0.0; JOINTS]);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &poses()[2]).unwrap();
}

#[test]
fn a_robot_in_a_reflex_connects_as_it_is_and_only_recover_clears_it() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    emulator.reflex(error::JOINT_VELOCITY);
    wait_for_trouble(&mut arm, &clock);
    drop(arm);
    // A later connection or link check must not recover the arm without consent.
    let report = check(&emulator.address().to_string(), Model::Fer, patient(), clock.clone()).unwrap();
    let mode = report.findings.iter().find(|finding| finding.what == "robot mode").unwrap();
    assert_eq!((mode.grade, mode.found.as_str()), (Grade::Bad, "Reflex"), "{mode:?}");
    let mut arm = connect(&emulator, &clock);
    let fault = DriverError::Fault(FaultCode(error::JOINT_VELOCITY + 1));
    assert_eq!(arm.activate(clock.now(), ControlMode::Position), Err(fault));
    assert_eq!(arm.read(clock.now()), Err(fault));
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &poses()[0]).unwrap();
}

#[test]
fn a_communication_fault_is_recovered_from_without_a_new_connection() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    go(&mut arm, &clock, ControlMode::Torque, &poses()[0]).unwrap();
    emulator.lose(15);
    go(&mut arm, &clock, ControlMode::Torque, &poses()[1]).unwrap();
    assert_eq!(arm.health().fault, None, "15 lost replies are tolerated");
    emulator.lose(50);
    assert_eq!(wait_for_trouble(&mut arm, &clock), DriverError::Fault(COMMUNICATION));
    emulator.lose(0);
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    go(&mut arm, &clock, ControlMode::Torque, &poses()[2]).unwrap();
}

#[test]
fn the_user_stop_is_told_and_ends_every_motion() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    emulator.user_stop(true);
    let DriverError::Fault(fault) = wait_for_trouble(&mut arm, &clock) else { panic!("no fault") };
    assert!(arm.fault_text(fault).contains("User Stop"), "{}", arm.fault_text(fault));
    let settings = FciSettings { recovery: 0.3, ..patient() };
    drop(arm);
    let address = emulator.address().to_string();
    let refused = FciArm::connect(&address, Model::Fer, settings.clone(), Arc::clone(&clock) as Arc<dyn Clock>);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("user stop is pressed") && message.contains("panda"), "{message}");
    emulator.user_stop(false);
    let until = clock.now() + LONG;
    let mut arm = loop {
        match FciArm::connect(&address, Model::Fer, settings.clone(), Arc::clone(&clock) as Arc<dyn Clock>) {
            Ok(arm) => break arm,
            Err(error) => assert!(clock.now() < until, "{error}"),
        }
    };
    emulator.user_stop(true);
    let until = clock.now() + LONG;
    let activated = loop {
        let result = arm.activate(clock.now(), ControlMode::Position);
        if result.is_err() || clock.now() >= until {
            break result;
        }
    };
    assert!(matches!(activated, Err(DriverError::Fault(_))), "{activated:?}");
    if arm.health().fault == Some(USER_STOPPED) {
        assert!(arm.recover(clock.now()).is_err(), "the user stop cannot be cleared from here");
    }
}

#[test]
fn a_controller_that_is_killed_and_started_again_is_found_again_without_a_jump() {
    let clock = Arc::new(SystemClock::new());
    let first = emulator(EmulatorOptions::default());
    let port = first.address().port();
    let mut arm = connect(&first, &clock);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &poses()[0]).unwrap();
    drop(first);
    let trouble = wait_for_trouble(&mut arm, &clock);
    assert!(matches!(trouble, DriverError::Fault(_) | DriverError::Silent), "{trouble:?}");
    // The arm stood still somewhere else meanwhile; the previous command must not pull it back.
    let moved: [f64; JOINTS] = std::array::from_fn(|i| HOME[i] - 0.1);
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&moved)));
    let options = EmulatorOptions { port, patience: Duration::from_secs(1), ..EmulatorOptions::default() };
    let second = Emulator::start(plant, options).unwrap();
    arm.recover(clock.now()).unwrap();
    assert_eq!(arm.health().phase, Phase::Idle);
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    let (mut waiting, until) = (Vec::new(), clock.now() + LONG);
    while waiting.len() < 50 {
        assert!(clock.now() < until, "only {} commands after the recovery", waiting.len());
        std::thread::sleep(Duration::from_millis(5));
        waiting.extend(second.taken());
    }
    assert!(waiting.iter().all(|taken| distance(&moved, &taken.command.q_c) < 1e-9));
    go(&mut arm, &clock, ControlMode::Position, &poses()[1]).unwrap();
    let positions: Vec<_> = second.taken().iter().map(|taken| taken.command.q_c).collect();
    let [v, a, j] = shares_of_positions(&positions, &FER);
    assert!(v <= 0.91 && a <= 0.91 && j <= 0.91, "{v} {a} {j} of the manufacturer's limits");
}

#[test]
fn another_version_and_nobody_at_all_are_refused_in_words() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let fr3 = emulator(EmulatorOptions { version: Version::V10, ..EmulatorOptions::default() });
    let error = FciArm::connect(&fr3.address().to_string(), Model::Fer, patient(), Arc::clone(&clock)).err().unwrap();
    let message = error.to_string();
    assert!(matches!(error, ConnectError::Unfit { .. }));
    for word in ["panda", "10 (Franka Research 3)", "5 (Franka Emika Robot (Panda))", "choose robot = \"fr3\""] {
        assert!(message.contains(word), "{message}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = FciArm::connect(&free.to_string(), Model::Fer, patient(), clock).err().unwrap();
    assert!(error.to_string().contains("FCI"), "{error}");
}

#[test]
fn bad_commands_are_refused_and_the_arm_holds() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    let nan = JointCommand::torque(JointVector::from_slice(&[f64::NAN; JOINTS]), 1.0);
    assert_eq!(arm.write(clock.now(), &nan), Err(DriverError::NotFinite));
    let other = JointCommand::position(JointVector::from_slice(&HOME), 1.0);
    assert_eq!(arm.write(clock.now(), &other), Err(DriverError::Mode(ControlMode::Position)));
    let until = clock.now() + LONG;
    while !arm.health().held {
        assert!(clock.now() < until);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(emulator.taken().iter().all(|taken| taken.command.tau_j_d.iter().all(|t| t.is_finite())));
}

#[test]
fn the_hand_opens_and_closes() {
    let emulator = emulator(EmulatorOptions::default());
    let clock = Arc::new(SystemClock::new());
    let hand = HandSettings {
        address: Some(emulator.hand_address().to_string()),
        closed: 0.0,
        open: 0.08,
        speed: 0.1,
        force: 40.0,
    };
    let settings = FciSettings { hand: Some(hand), ..patient() };
    let address = emulator.address().to_string();
    let mut arm = FciArm::connect(&address, Model::Fer, settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    for wanted in [0.0, 1.0] {
        let until = clock.now() + LONG;
        loop {
            let now = clock.now();
            let state = arm.read(now).unwrap();
            if (state.gripper - wanted).abs() < 0.02 {
                assert!((state.finger_position - 0.04 * wanted).abs() < 1e-3);
                break;
            }
            assert!(now < until, "gripper at {} instead of {wanted}", state.gripper);
            arm.write(now, &JointCommand::position(state.joint_positions, wanted)).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_check_tells_rate_success_and_mode_without_moving_the_arm() {
    let emulator = emulator(EmulatorOptions::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let report = check(&emulator.address().to_string(), Model::Fer, patient(), clock).unwrap();
    assert!(report.rate_hz.is_some_and(|rate| rate > 1.0), "{report:?}");
    for what in ["control interface", "states that came", "robot mode", "lowest success rate"] {
        assert!(report.findings.iter().any(|finding| finding.what == what), "{what} is missing: {report:#?}");
    }
    assert!(emulator.taken().iter().all(|taken| distance(&HOME, &taken.command.q_c) < 1e-9));
}

//! Our driver against the emulated FR3 (FCI version 10): call by call, and over loopback sockets; and its control box, by bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use franka::JointVelocityLimitsConfig;
use proptest::prelude::*;
use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::panda::fci::driver::envelope::Envelope;
use visuomotor::driver::panda::fci::driver::report::COMMUNICATION;
use visuomotor::driver::panda::fci::driver::{FciArm, FciSettings, Model};
use visuomotor::driver::panda::fci::emulator::{Controller, Emulator, EmulatorOptions, Taken, error, robot_model};
use visuomotor::driver::panda::fci::wire::{
    Command, Generator, HEADER, Header, MoveStatus, Regulator, RobotMode, Version,
};
use visuomotor::driver::panda::limits::{FR3, FR3_CURVE, JOINTS};
use visuomotor::driver::{ArmDriver, ConnectError, DriverError, FaultCode, PointPlant};
use visuomotor::observation::JointVector;
use visuomotor::time::{Clock, SystemClock, Timestamp};

use super::emulated::{LONG, go, wait_for_trouble};
use super::laws::{HOME, distance, poses, shares_of_positions};
use super::line::Line;

const MODES: [ControlMode; 3] = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];

/// The FR3's own description.
pub fn model() -> String {
    robot_model(&Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "fr3").unwrap())
}

fn emulator() -> Emulator {
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
    let options = EmulatorOptions {
        version: Version::V10,
        robot_model: Some(model()),
        patience: Duration::from_secs(1),
        ..EmulatorOptions::default()
    };
    Emulator::start(plant, options).unwrap()
}

/// A computer that runs many tests at once may be silent for long.
fn patient() -> FciSettings {
    FciSettings { silence: 5.0, command_age: 5.0, ..FciSettings::of(Model::Fr3) }
}

fn connect(emulator: &Emulator, clock: &Arc<SystemClock>) -> FciArm {
    FciArm::connect(&emulator.address().to_string(), Model::Fr3, patient(), Arc::clone(clock) as Arc<dyn Clock>)
        .unwrap()
}

fn controller(version: Version, place: &[f64; JOINTS]) -> Controller {
    Controller::new(Box::new(PointPlant::at(JointVector::from_slice(place))), version, None, Timestamp::ZERO)
}

fn line(mode: ControlMode, place: &[f64; JOINTS]) -> Line {
    let settings = FciSettings::of(Model::Fr3);
    let curve = JointVelocityLimitsConfig::from_urdf(&model()).unwrap();
    let plant = Box::new(PointPlant::at(JointVector::from_slice(place)));
    Line::of(plant, Version::V10, mode, &settings, Envelope::of_robot(&settings.motion, &curve))
}

#[test]
fn three_poses_in_each_mode_end_by_themselves() {
    for mode in MODES {
        let mut line = line(mode, &HOME);
        for pose in poses() {
            line.go(&pose, 20, 4000);
            assert!(distance(&pose, &line.controller.state().q) < 5e-3, "{mode}");
        }
        line.pilot.end();
        for _ in 0..2000 {
            if line.mode() == RobotMode::Move {
                line.cycle(true);
            }
        }
        assert_eq!(line.controller.take_ended().map(|ended| ended.status), Some(MoveStatus::Success), "{mode}");
        assert_eq!((line.mode(), line.pilot.replaced()), (RobotMode::Idle, 0));
    }
}

/// Farther than the arm reaches: it slows down along the robot's own curve and stops short of the end.
#[test]
fn joints_are_driven_to_both_ends_of_their_ranges_within_the_robot_s_own_curve() {
    for (ends, beyond) in [(&FR3_CURVE.upper, 1.0), (&FR3_CURVE.lower, -1.0)] {
        let mut line = line(ControlMode::Position, &HOME);
        let wished: [f64; JOINTS] = std::array::from_fn(|i| ends[i] + beyond);
        for _ in 0..6000 {
            line.follow(JointCommand::position(JointVector::from_slice(&wished), 1.0));
            line.cycle(true);
            assert_eq!(line.mode(), RobotMode::Move, "errors {:b}", line.controller.state().errors);
        }
        assert!(distance(ends, &line.controller.state().q) < 0.2, "{:?}", line.controller.state().q);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Commands get lost in any pattern short of 20 in a row, and states are in single precision: the robot finds no
    /// jump in the motion planned from them.
    #[test]
    fn lost_commands_never_make_a_jump(
        runs in proptest::collection::vec((1u64..60, 0u64..19), 1..14),
        mode in prop_oneof![Just(ControlMode::Position), Just(ControlMode::Velocity), Just(ControlMode::Torque)],
    ) {
        line(mode, &HOME).bears_losses(runs);
    }
}

/// A command to a controller's present state, at rest.
fn answering(controller: &Controller) -> Command {
    let state = controller.state();
    let still = [0.0; JOINTS];
    Command {
        message_id: state.message_id,
        q_c: state.q_d,
        dq_c: still,
        twist: [0.0; 6],
        finished: false,
        tau_j_d: still,
        torque_finished: false,
    }
}

#[test]
fn torques_alone_are_version_10_s_and_end_by_their_own_flag() {
    let mut fer = controller(Version::V5, &HOME);
    assert_eq!(fer.start(1, Regulator::External, Generator::None), MoveStatus::InvalidArgument);
    let mut fr3 = controller(Version::V10, &HOME);
    assert_eq!(fr3.start(1, Regulator::JointImpedance, Generator::None), MoveStatus::InvalidArgument);
    let motions = [
        (Regulator::External, Generator::None, true),
        (Regulator::External, Generator::JointVelocity, false),
        (Regulator::JointImpedance, Generator::JointPosition, false),
    ];
    let mut ms = 0;
    for (regulator, generator, by_torques) in motions {
        assert_eq!(fr3.start(2, regulator, generator), MoveStatus::MotionStarted);
        assert_eq!((fr3.state().generator, fr3.state().regulator), (generator, regulator));
        for (torque_finished, ends) in [(!by_torques, false), (by_torques, true)] {
            ms += 1;
            let command = Command { torque_finished, finished: !torque_finished, ..answering(&fr3) };
            fr3.tick(Timestamp::from_nanos(ms * 1_000_000), Some(&command));
            let ended = fr3.take_ended().map(|ended| ended.status);
            assert_eq!(ended, ends.then_some(MoveStatus::Success), "{generator:?}");
        }
        assert_eq!((fr3.state().generator, fr3.state().mode), (Generator::Idle, RobotMode::Idle));
    }
}

/// The same ramp of velocity near the end of joint 1's range: the FR3 objects, the FER does not.
#[test]
fn the_fr3_judges_a_velocity_by_where_the_joint_is() {
    let mut place = HOME;
    place[0] = 2.7;
    for (version, errors) in [(Version::V5, 0), (Version::V10, 1 << error::VELOCITY_LIMITS)] {
        let mut arm = controller(version, &place);
        arm.start(1, Regulator::JointImpedance, Generator::JointVelocity);
        let (mut velocity, mut acceleration) = (0.0, 0.0f64);
        for ms in 1..=60 {
            acceleration = (acceleration + 4.0).min(9.0);
            velocity += acceleration * 1e-3;
            let mut command = answering(&arm);
            command.dq_c[0] = velocity;
            arm.tick(Timestamp::from_nanos(ms * 1_000_000), Some(&command));
            if arm.state().mode != RobotMode::Move {
                break;
            }
        }
        assert_eq!(arm.state().errors, errors, "{version:?}");
        assert!(velocity < FR3.velocity[0], "{velocity}");
    }
}

#[test]
fn over_sockets_three_poses_in_each_mode_and_each_motion_ends_by_itself() {
    let emulator = emulator();
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    for mode in MODES {
        arm.activate(clock.now(), mode).unwrap();
        for pose in poses() {
            go(&mut arm, &clock, mode, &pose).unwrap();
        }
    }
    drop(arm);
    let taken = emulator.taken();
    let (torques, others): (Vec<&Taken>, Vec<&Taken>) =
        taken.iter().partition(|taken| taken.generator == Generator::None);
    assert!(torques.iter().all(|taken| taken.regulator == Regulator::External && !taken.command.finished));
    assert_eq!(torques.iter().filter(|taken| taken.command.torque_finished).count(), 1);
    assert_eq!(others.iter().filter(|taken| taken.command.finished).count(), 2);
    let positions: Vec<_> = others
        .iter()
        .filter(|taken| taken.generator == Generator::JointPosition)
        .map(|taken| taken.command.q_c)
        .collect();
    // Single precision at 3 rad.
    assert!(distance(&HOME, &positions[0]) < 1.3e-7, "a motion starts where the arm is");
    let [v, a, j] = shares_of_positions(&positions, &FR3);
    assert!(v <= 0.91 && a <= 0.91 && j <= 0.91, "{v} {a} {j} of the manufacturer's limits");
}

#[test]
fn over_sockets_reflexes_lost_packets_and_the_user_stop_are_named_and_recovered_from() {
    let emulator = emulator();
    let clock = Arc::new(SystemClock::new());
    let mut arm = connect(&emulator, &clock);
    arm.activate(clock.now(), ControlMode::Torque).unwrap();
    go(&mut arm, &clock, ControlMode::Torque, &poses()[0]).unwrap();
    emulator.reflex(error::JOINT_VELOCITY);
    let fault = FaultCode(error::JOINT_VELOCITY + 1);
    assert_eq!(wait_for_trouble(&mut arm, &clock), DriverError::Fault(fault));
    assert!(arm.last_error_text().contains("motion aborted by reflex"), "{}", arm.last_error_text());
    assert_eq!(arm.activate(clock.now(), ControlMode::Position), Err(DriverError::Fault(fault)));
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Position).unwrap();
    go(&mut arm, &clock, ControlMode::Position, &poses()[1]).unwrap();
    emulator.lose(50);
    assert_eq!(wait_for_trouble(&mut arm, &clock), DriverError::Fault(COMMUNICATION));
    emulator.lose(0);
    arm.recover(clock.now()).unwrap();
    arm.activate(clock.now(), ControlMode::Velocity).unwrap();
    go(&mut arm, &clock, ControlMode::Velocity, &poses()[2]).unwrap();
    emulator.user_stop(true);
    let DriverError::Fault(fault) = wait_for_trouble(&mut arm, &clock) else { panic!("no fault") };
    assert!(arm.fault_text(fault).contains("User Stop"), "{}", arm.fault_text(fault));
}

#[test]
fn each_version_refuses_the_other_s_driver_in_words() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let fr3 = emulator();
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
    let fer = Emulator::start(plant, EmulatorOptions::default()).unwrap();
    for (control_box, asking, words) in [
        (&fr3, Model::Fer, ["10 (Franka Research 3)", "choose robot = \"fr3\""]),
        (&fer, Model::Fr3, ["5 (Franka Emika Robot (Panda))", "choose robot = \"panda\""]),
    ] {
        let settings = FciSettings::of(asking);
        let refused =
            FciArm::connect(&control_box.address().to_string(), asking, settings, Arc::clone(&clock)).err().unwrap();
        assert!(matches!(refused, ConnectError::Unfit { .. }), "{refused}");
        for word in words {
            assert!(refused.to_string().contains(word), "{refused}");
        }
    }
}

/// A client by its bytes.
struct Client(TcpStream);

impl Client {
    fn connect(emulator: &Emulator) -> Self {
        let tcp = TcpStream::connect(emulator.address()).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        Self(tcp)
    }

    /// The payload of the reply.
    fn ask(&mut self, command: u32, id: u32, payload: &[u8]) -> Vec<u8> {
        self.0.write_all(&Header::message(command, id, payload)).unwrap();
        let mut bytes = [0; HEADER];
        self.0.read_exact(&mut bytes).unwrap();
        let header = Header::decode(&bytes).unwrap();
        assert_eq!((header.command, header.id), (command, id));
        let mut payload = vec![0; header.size as usize - HEADER];
        self.0.read_exact(&mut payload).unwrap();
        payload
    }
}

#[test]
fn requests_have_version_10_s_numbers_lengths_and_statuses() {
    let emulator = emulator();
    let mut client = Client::connect(&emulator);
    assert_eq!(client.ask(0, 1, &[9, 0, 1, 2]), [1, 10, 0]);
    assert_eq!(client.ask(0, 2, &[10, 0, 1, 2]), [0, 10, 0]);
    let given = client.ask(11, 3, &[]);
    assert_eq!((given[0], std::str::from_utf8(&given[1..]).unwrap()), (0, model().as_str()));
    // Collision thresholds, then a NaN load.
    assert_eq!(client.ask(3, 4, &[0; 416]), [0]);
    let mut load = [0; 104];
    load[..8].copy_from_slice(&f64::NAN.to_le_bytes());
    assert_eq!(client.ask(9, 5, &load), [2]);
    assert_eq!(client.ask(10, 6, &[]), [0]);
    // Version 5's length; torques alone under the robot's own controller; a Cartesian motion; then torques alone.
    let motion = |regulator: u8, generator: u8| {
        let mut request = [0; 113];
        (request[0], request[4]) = (regulator, generator);
        request
    };
    assert_eq!(client.ask(1, 7, &[0; 56]), [7]);
    assert_eq!(client.ask(1, 8, &motion(0, 4)), [7]);
    assert_eq!(client.ask(1, 9, &motion(0, 2)), [7]);
    assert_eq!(client.ask(1, 10, &motion(2, 4)), [1]);
    assert_eq!(client.ask(1, 11, &motion(0, 0)), [5]);
    emulator.reflex(error::JOINT_VELOCITY);
    let mut ended = [0; HEADER + 1];
    client.0.read_exact(&mut ended).unwrap();
    assert_eq!(ended[..], Header::message(1, 10, &[8])[..]);
    // Version 5's model library.
    client.0.write_all(&Header::message(13, 12, &[])).unwrap();
    assert_eq!(client.0.read(&mut [0; 1]).unwrap(), 0, "the connection is closed");
}

//! Each wrong condition on the bus is refused before torque, or makes the arm hold, with a message that names arm, link, value
//! and limit.

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::widowx::dynamixel::driver::check_bus;
use visuomotor::driver::widowx::dynamixel::emulator::EmulatedBus;
use visuomotor::driver::widowx::dynamixel::wire::{Instruction, Packet, Register, registers};
use visuomotor::driver::{ConnectError, Drive, DriverError, Grade, Plant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::Timestamp;
use visuomotor::transport::ByteLink;

use super::bench_station::*;

/// Connecting is refused with this message, torque stays off, and `check` reports it as bad.
fn refused(bus: &EmulatedBus, words: &[&str]) -> ConnectError {
    let error = connect(bus).err().expect("refused");
    let text = error.to_string();
    for word in [&["widowx", "emulated bus"][..], words].concat() {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!((1..=9).all(|id| bus.with(|bus| bus.servo(id).is_none_or(|servo| !servo.torque_on()))));
    assert_eq!(check_bus(bus.link(), &robot()).verdict(), Grade::Bad);
    error
}

/// An arm moved by hand: joint 1 turns at a speed \[rad/s\], whatever the motors do.
struct Led {
    joints: JointVector,
    speed: f64,
    began: Option<Timestamp>,
}

impl Plant for Led {
    fn joints(&self) -> usize {
        6
    }
    fn drive(&mut self, _: Drive) {}
    fn drive_gripper(&mut self, _: f64) {}
    fn advance_to(&mut self, now: Timestamp) {
        let before = self.began.replace(now).unwrap_or(now);
        self.joints[1] += self.speed * now.since(before).as_secs_f64();
    }
    fn sense(&self) -> Proprioception {
        let still = JointVector::zeros(6);
        Proprioception {
            joint_positions: self.joints,
            joint_velocities: still,
            joint_efforts: still,
            finger_position: 0.03,
            gripper: 0.8,
            measured_at: Timestamp::ZERO,
        }
    }
}

fn with(id: u8, register: &Register, value: i32) -> EmulatedBus {
    let bus = bus();
    bus.with(|bus| bus.set(id, register, value));
    bus
}

#[test]
fn a_missing_servo_is_named_shadows_too() {
    for (id, name) in [(3, "servo 3 (shoulder_shadow)"), (7, "servo 7 (wrist_angle)"), (9, "servo 9 (gripper)")] {
        let bus = bus();
        bus.with(|bus| bus.unplug_servo(id, true));
        assert!(matches!(refused(&bus, &[name, "12 V"]), ConnectError::Silent { .. }));
    }
}

/// Named after a bug: servos were read one after the other, and a falling arm was refused because its servos seemed to disagree.
#[test]
fn an_arm_that_moves_while_it_is_looked_at_has_no_fighting_servos() {
    let bus = bus();
    bus.with(|bus| {
        bus.replace_plant(Box::new(Led { joints: JointVector::from_slice(&SLEEP), speed: 60.0, began: None }))
    });
    let report = check_bus(bus.link(), &robot());
    let pairs: Vec<_> = report.findings.iter().filter(|f| f.what.contains("position against servo")).collect();
    assert_eq!(pairs.len(), 2, "{:?}", report.findings);
    assert!(pairs.iter().all(|finding| finding.grade == Grade::Good), "{pairs:?}");
}

#[test]
fn a_duplicated_id_is_found_whether_answers_collide_or_follow_each_other() {
    // Servo 8 replies as 7 too: another model, so the bits collide; its own id is then missing, but 7 comes first.
    refused(&with(8, &registers::ID, 7), &["servo 7 (wrist_angle)", "garbled", "own id"]);
    // Same, but it waits a little longer: two whole replies.
    let bus = with(8, &registers::RETURN_DELAY, 100);
    bus.with(|bus| bus.set(8, &registers::ID, 7));
    refused(&bus, &["servo 7 (wrist_angle)", "2 replies"]);
    // Two of the same model and firmware: their replies to a ping are equal, those to reads are not.
    let bus = with(7, &registers::ID, 6);
    bus.with(|bus| bus.set(7, &registers::PRESENT_TEMPERATURE, 41));
    refused(&bus, &["servo 6 (forearm_roll)", "garbled"]);
}

#[test]
fn another_arm_or_a_wrongly_set_up_one_is_refused() {
    let model = |number: i32| with(1, &registers::MODEL_NUMBER, number);
    refused(&model(1120), &["servo 1 (waist) model", "XM540-W270", "XM430-W350"]);
    refused(&with(8, &registers::MODEL_NUMBER, 1020), &["servo 8 (wrist_rotate)", "XL430-W250"]);
    refused(&with(4, &registers::FIRMWARE, 37), &["firmware is 37", "at least 42"]);
    refused(&with(3, &registers::DRIVE_MODE, 0), &["servo 3", "drive mode"]);
    refused(&with(5, &registers::SECONDARY_ID, 255), &["servo 5", "secondary id is 255, expected 4"]);
    refused(&with(2, &registers::MIN_POSITION, 0), &["least position is 0 ticks, expected 819"]);
    refused(&with(7, &registers::MAX_POSITION, 4095), &["largest position"]);
    refused(&with(6, &registers::VELOCITY_LIMIT, 60), &["velocity limit is 60"]);
    refused(&with(6, &registers::RETURN_DELAY, 250), &["return delay is 500 us"]);
    refused(&with(1, &registers::HARDWARE_ERROR, 4), &["hardware error is overheating"]);
    refused(&with(1, &registers::PRESENT_TEMPERATURE, 75), &["temperature is 75 degC", "let it cool"]);
    refused(&with(1, &registers::PRESENT_VOLTAGE, 50), &["voltage is 5.0 V"]);
}

#[test]
fn a_servo_that_holds_in_another_mode_is_refused_and_stays_under_torque() {
    let bus = with(1, &registers::OPERATING_MODE, 1);
    // Time-based profiles as an earlier run left them: only the mode prevents a start.
    bus.with(|bus| bus.set(1, &registers::DRIVE_MODE, 4));
    bus.with(|bus| bus.set(1, &registers::TORQUE_ENABLE, 1));
    let text = connect(&bus).err().unwrap().to_string();
    assert!(text.contains("Operating Mode is 1 under torque, expected 3"), "{text}");
    bus.with(|bus| {
        let servo = bus.servo(1).unwrap();
        assert!(servo.torque_on() && servo.get(&registers::OPERATING_MODE) == 1);
    });
}

#[test]
fn a_description_of_another_arm_is_refused() {
    let mut other = robot();
    other.joint[0].name = "panda_joint1".into();
    let error =
        visuomotor::driver::widowx::dynamixel::driver::DynamixelArm::connect(bus().link(), &other, Default::default());
    let text = error.err().unwrap().to_string();
    assert!(text.contains("panda_joint1") && text.contains("waist"), "{text}");
}

#[test]
fn commands_that_are_not_finite_or_too_far_never_reach_the_servos() {
    let mut station = Station::active(ControlMode::Position);
    let here = station.read().unwrap().joint_positions;
    for (joint, value) in [(0, f64::NAN), (5, f64::INFINITY)] {
        let mut joints = here;
        joints[joint] = value;
        assert_eq!(station.tick(JointCommand::position(joints, 1.0)), Err(DriverError::NotFinite));
    }
    assert_eq!(station.tick(JointCommand::position(here, f64::NAN)), Err(DriverError::NotFinite));
    let short = JointCommand::position(JointVector::zeros(5), 1.0);
    assert_eq!(station.tick(short), Err(DriverError::Mode(ControlMode::Position)));
    // A goal far away is approached at the manufacturer's top speed, within the limits.
    let far = JointCommand::position(JointVector::from_slice(&[1e9, -1e9, 9.0, 9.0, 9.0, -9.0]), 7.0);
    for _ in 0..300 {
        station.tick(far).unwrap();
    }
    let robot = robot();
    for (joint, q) in station.read().unwrap().joint_positions.iter().enumerate() {
        let (low, high) = (robot.joint[joint].lower, robot.joint[joint].upper);
        assert!((low - 0.002..=high + 0.002).contains(q), "joint {joint} at {q}");
    }
    station.assert_no_jump();
}

#[test]
fn a_position_that_cannot_be_is_refused_with_its_range() {
    let mut station = Station::active(ControlMode::Position);
    station.read().unwrap();
    // The encoder of joint 1 loses its zero: the emulated motor is displaced between two ticks.
    let link = station.bus.clone();
    let mut wrong = JointVector::from_slice(&SLEEP);
    wrong[0] = 1.0;
    link.with(|bus| bus.replace_plant(Box::new(Led { joints: wrong, speed: 0.0, began: None })));
    let error = station.read().unwrap_err();
    let DriverError::Implausible { joint: 0, value, low, high } = error else { panic!("{error:?}") };
    assert!((value - 1.0).abs() < 0.001 && low > -0.4 && high < 0.4, "{error}");
}

#[test]
fn a_second_commander_is_found_and_the_arm_holds() {
    let mut station = Station::active(ControlMode::Position);
    let here = station.move_to([0.2, -1.2, 1.0, 0.0, 1.0, 0.0], 1.0, 2.0).joint_positions;
    let mut other = station.bus.link();
    let mut packet = Packet::default();
    let mut found = None;
    for _ in 0..60 {
        if let Err(error) = station.tick(JointCommand::position(here, 1.0)) {
            found = Some(error);
            break;
        }
        // Another program moves the waist slightly, all the time.
        let write = Instruction::SyncWrite { address: 116, length: 4, blocks: &[1, 0x10, 0x09, 0, 0] };
        other.write_all(write.encode(&mut packet).unwrap()).unwrap();
    }
    assert_eq!(found, Some(DriverError::SecondCommander));
}

#[test]
fn truncated_and_oversized_packets_harm_neither_side() {
    let mut station = Station::active(ControlMode::Position);
    let mut other = station.bus.link();
    let here = station.read().unwrap().joint_positions;
    let mut packet = Packet::default();
    let whole = Instruction::Write { id: 1, address: 116, data: &[0, 0, 0, 0] }.encode(&mut packet).unwrap().to_vec();
    let oversized = [0xFF, 0xFF, 0xFD, 0x00, 0x01, 0xFF, 0xFF, 0x03];
    for garbage in [&whole[..9], &oversized[..], &[0xFF; 300]] {
        other.write_all(garbage).unwrap();
        for _ in 0..3 {
            // A truncated packet swallows the next one at most.
            station.tick(JointCommand::position(here, 1.0)).unwrap();
        }
        assert!(station.read().unwrap().joint_positions[0].abs() < 0.01);
    }
    assert!(station.read().unwrap().measured_at == station.next);
}

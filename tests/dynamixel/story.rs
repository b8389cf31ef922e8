//! Connect, activate, move to three poses in each mode, stop, fault and recover, peer killed and restarted; goals
//! never jump.

use std::time::Duration;

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::driver::widowx::dynamixel::driver::{
    DynamixelArm, DynamixelOptions, FaultKind, PositionServo, ServoFault, check_bus,
};
use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, EmulatedBus};
use visuomotor::driver::widowx::dynamixel::wire::registers;
use visuomotor::driver::{ArmDriver, ConnectError, DriverError, Grade, PointPlant};
use visuomotor::observation::JointVector;

use super::bench_station::*;

const POSES: [[f64; 6]; 3] =
    [[0.3, -1.2, 1.0, 0.4, 1.0, -0.5], [-0.4, -0.6, 0.4, -0.3, 1.6, 0.6], [0.0, -1.0, 0.9, 0.0, 1.2, 0.0]];

#[test]
fn it_moves_to_three_poses_in_position_mode_and_grips() {
    let mut station = Station::active(ControlMode::Position);
    for (pose, gripper) in POSES.into_iter().zip([1.0, 0.4, 0.8]) {
        let sensed = station.move_to(pose, gripper, 2.0);
        assert_near(&sensed.joint_positions, &pose);
        assert!((sensed.gripper - gripper).abs() < 0.1, "{} is not {gripper}", sensed.gripper);
        assert!(sensed.joint_velocities.iter().all(|v| v.abs() < 0.05));
    }
    assert!(station.assert_no_jump() > 100);
    // Profiles fit the control period, and both servos of a shaft got the same goal.
    station.bus.with(|bus| {
        let get = |id: u8, register| bus.servo(id).unwrap().get(register);
        assert_eq!(get(2, &registers::PROFILE_VELOCITY), 25);
        assert_eq!(get(2, &registers::GOAL_POSITION), get(3, &registers::GOAL_POSITION));
        assert_eq!(get(4, &registers::GOAL_POSITION), get(5, &registers::GOAL_POSITION));
        assert!((1..=9).all(|id| get(id, &registers::BUS_WATCHDOG) == 10));
    });
    assert!(station.arm.reads_fast());
    assert!(station.arm.health().iter().all(|servo| servo.temperature == 35.0 && servo.voltage == 12.0));
}

#[test]
fn it_conforms() {
    let plant = PointPlant::at(JointVector::from_slice(&POSES[2]));
    let bus = EmulatedBus::new(BusEmulator::new(&robot(), Box::new(plant)).unwrap());
    let mut arm = connect(&bus).unwrap();
    let mut pass = |duration| {
        bus.pass(duration);
        bus.now()
    };
    visuomotor::conformance::check_arm(&mut arm, &mut pass).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn it_moves_to_three_poses_in_velocity_mode_and_a_blocked_joint_stores_up_no_jump() {
    let mut station = Station::active(ControlMode::Velocity);
    let mut sensed = station.read().unwrap();
    for pose in POSES {
        for _ in 0..400 {
            let mut velocity = JointVector::zeros(6);
            for joint in 0..6 {
                velocity[joint] = (8.0 * (pose[joint] - sensed.joint_positions[joint])).clamp(-1.5, 1.5);
            }
            sensed = station.tick(JointCommand::velocity(velocity, 1.0)).unwrap();
        }
        assert_near(&sensed.joint_positions, &pose);
    }
    station.assert_no_jump();
    // Toward a limit for ten seconds: the goal stops there.
    let up = JointVector::from_slice(&[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    for _ in 0..500 {
        sensed = station.tick(JointCommand::velocity(up, 1.0)).unwrap();
    }
    assert!((sensed.joint_positions[1] - robot().joint[1].upper).abs() < 0.002);
    station.assert_no_jump();
    // Commands of another mode are refused.
    let other = JointCommand::position(sensed.joint_positions, 1.0);
    assert_eq!(station.arm.write(station.next, &other), Err(DriverError::Mode(ControlMode::Position)));
    assert_eq!(station.arm.activate(station.next, ControlMode::Torque), Err(DriverError::Mode(ControlMode::Torque)));
}

#[test]
fn a_yielding_arm_runs_in_current_based_mode_with_its_limit() {
    let bus = bus();
    let options = DynamixelOptions { servo: PositionServo::Limited(0.5) };
    let arm = DynamixelArm::connect(bus.link(), &robot(), options).unwrap();
    let mut station = Station { next: bus.now(), bus, arm };
    station.activate(ControlMode::Position).unwrap();
    let sensed = station.move_to(POSES[0], 1.0, 2.0);
    assert_near(&sensed.joint_positions, &POSES[0]);
    station.bus.with(|bus| {
        let get = |id: u8, register| bus.servo(id).unwrap().get(register);
        assert!((1..=7).all(|id| get(id, &registers::OPERATING_MODE) == 5 && get(id, &registers::GOAL_CURRENT) == 597));
        // An XL430 has no such mode.
        assert_eq!(get(8, &registers::OPERATING_MODE), 3);
    });
    for share in [0.0, 1.5, f64::NAN] {
        let options = DynamixelOptions { servo: PositionServo::Limited(share) };
        assert!(DynamixelArm::connect(station.bus.link(), &robot(), options).is_err(), "{share}");
    }
}

#[test]
fn a_stop_in_full_motion_holds_near_by_and_outlasts_any_silence() {
    let mut station = Station::active(ControlMode::Position);
    let mut joints = JointVector::from_slice(&SLEEP);
    for _ in 0..20 {
        joints[0] += 0.04;
        station.tick(JointCommand::position(joints, 0.5)).unwrap();
    }
    let before = station.read().unwrap();
    station.arm.hold(station.next).unwrap();
    let mut after = before;
    for _ in 0..50 {
        after = station.read().unwrap();
    }
    assert!((after.joint_positions[0] - before.joint_positions[0]).abs() < 0.08 + 0.002);
    assert!(after.joint_velocities[0].abs() < 0.05);
    // Between two runs there are no calls for minutes; the watchdogs expire, the arm stands, and continues from there.
    station.bus.pass(Duration::from_secs(60));
    assert_eq!(station.bus.with(|bus| bus.servo(5).unwrap().get(&registers::BUS_WATCHDOG)), 255);
    let later = station.read().unwrap();
    assert_near(&later.joint_positions, &after.joint_positions);
    station.move_to(POSES[2], 0.5, 2.0);
    assert!((1..=9).all(|id| station.bus.with(|bus| bus.servo(id).unwrap().get(&registers::BUS_WATCHDOG)) == 10));
    station.assert_no_jump();
}

#[test]
fn an_overloaded_servo_is_named_and_rebooted_only_after_the_arm_holds() {
    for id in [4u8, 5, 8, 9] {
        let mut station = Station::active(ControlMode::Position);
        station.move_to(POSES[0], 1.0, 2.0);
        station.bus.with(|bus| bus.inject_fault(id, 32, false));
        let here = station.bus.with(|bus| bus.plant().sense().joint_positions);
        let command = JointCommand::position(here, 1.0);
        let error = (0..12).find_map(|_| station.tick(command).err()).expect("found within a round of polls");
        let DriverError::Fault(code) = error else { panic!("{error:?}") };
        assert_eq!(FaultKind::of(code), Some(ServoFault { kind: FaultKind::Hardware, id, bits: 32 }));
        let text = station.arm.fault_text(code);
        assert!(text.contains(&format!("servo {id} (")) && text.contains("overload"), "{text}");
        // Nothing moves it until it is recovered.
        assert_eq!(station.arm.write(station.next, &command), Err(DriverError::Fault(code)));
        assert_eq!(station.arm.activate(station.next, ControlMode::Position), Err(DriverError::Fault(code)));
        let others = (1..=9u8).filter(|other| *other != id);
        station.bus.with(|bus| bus.set(1, &registers::LED, 1));
        station.arm.recover(station.next).unwrap();
        station.bus.with(|bus| {
            assert!(others.clone().all(|other| bus.servo(other).unwrap().torque_on()));
            assert!(bus.servo(id).unwrap().torque_on(), "servo {id} carries its load again");
            assert_eq!(bus.servo(id).unwrap().get(&registers::HARDWARE_ERROR), 0);
            // Only the faulty one was rebooted: a reboot would have switched the light off.
            assert_eq!(bus.servo(1).unwrap().get(&registers::LED), 1);
        });
        station.activate(ControlMode::Position).unwrap();
        let sensed = station.move_to(POSES[1], 1.0, 2.0);
        assert_near(&sensed.joint_positions, &POSES[1]);
        station.assert_no_jump();
    }
}

#[test]
fn a_servo_whose_error_lasts_is_not_recovered() {
    let mut station = Station::active(ControlMode::Position);
    station.bus.with(|bus| bus.inject_fault(2, 4, true));
    let error = (0..12).find_map(|_| station.read().err()).unwrap();
    assert!(matches!(error, DriverError::Fault(_)));
    let refused = station.arm.recover(station.next).unwrap_err();
    assert!(matches!(refused, ConnectError::Unfit { .. }));
    let text = refused.to_string();
    assert!(text.contains("servo 2 (shoulder)") && text.contains("overheating"), "{text}");
}

#[test]
fn a_killed_and_restarted_peer_is_met_again_without_a_jump() {
    let mut station = Station::active(ControlMode::Position);
    station.move_to(POSES[0], 1.0, 2.0);
    // The adapter is unplugged, the supply goes off and on, the arm sinks back to its rest pose.
    station.bus.plug(false);
    assert_eq!(station.read(), Err(DriverError::Silent));
    assert_eq!(station.arm.hold(station.next), Err(DriverError::Silent));
    let text = station.arm.recover(station.next).unwrap_err().to_string();
    assert!(text.contains("widowx on emulated bus") && text.contains("plug the adapter in"), "{text}");
    station.bus.with(|bus| bus.power_cycle());
    station.bus.pass(Duration::from_secs(1));
    station.bus.plug(true);
    assert_eq!(station.read(), Err(DriverError::Silent), "only recover opens the link again");
    station.arm.recover(station.next).unwrap();
    let command = JointCommand::position(JointVector::from_slice(&POSES[0]), 1.0);
    assert_eq!(station.arm.write(station.next, &command), Err(DriverError::Inactive));
    assert!(!station.bus.with(|bus| bus.servo(1).unwrap().torque_on()), "torque stays off until it is requested");
    station.activate(ControlMode::Position).unwrap();
    let sensed = station.move_to(POSES[1], 0.5, 2.0);
    assert_near(&sensed.joint_positions, &POSES[1]);
    station.assert_no_jump();
}

#[test]
fn a_silent_bus_is_unknown_then_silent_and_never_an_invented_position() {
    let mut station = Station::active(ControlMode::Position);
    let last = station.move_to(POSES[0], 1.0, 2.0);
    station.bus.with(|bus| bus.unplug_servo(6, true));
    let told = station.read().unwrap();
    assert_eq!(told, last, "the last complete measurement, with its own time");
    // Two reads in a row without the same servo: 40 ms at 50 Hz.
    assert_eq!(station.read(), Err(DriverError::Silent));
    station.bus.with(|bus| bus.unplug_servo(6, false));
    assert!(station.read().unwrap().measured_at > last.measured_at);
    station.assert_no_jump();
}

#[test]
fn a_lost_shadow_is_found_by_its_polls() {
    let mut station = Station::active(ControlMode::Position);
    let here = station.read().unwrap().joint_positions;
    station.bus.with(|bus| bus.unplug_servo(3, true));
    let command = JointCommand::position(here, 1.0);
    let error = (0..40).find_map(|_| station.tick(command).err()).unwrap();
    assert_eq!(error, DriverError::Fault(FaultKind::ServoSilent.code(3, 0)));
}

#[test]
fn a_stalled_computer_finds_its_arm_standing_and_is_told() {
    let mut station = Station::active(ControlMode::Position);
    let mut joints = JointVector::from_slice(&SLEEP);
    for _ in 0..10 {
        joints[0] += 0.03;
        station.tick(JointCommand::position(joints, 1.0)).unwrap();
    }
    station.bus.pass(Duration::from_secs(2));
    let stood = station.bus.with(|bus| bus.plant().sense().joint_positions);
    assert_eq!(station.read(), Err(DriverError::Fault(FaultKind::Watchdog.code(1, 0))));
    station.arm.recover(station.next).unwrap();
    station.activate(ControlMode::Position).unwrap();
    assert_near(&station.read().unwrap().joint_positions, &stood);
    station.assert_no_jump();
}

#[test]
fn attaching_to_a_holding_arm_does_not_move_it_or_let_it_go() {
    let mut first = Station::active(ControlMode::Position);
    first.move_to(POSES[0], 1.0, 2.0);
    let bus = first.bus.clone();
    drop(first);
    bus.pass(Duration::from_secs(5));
    let before = bus.with(|bus| bus.plant().sense().joint_positions);
    let arm = connect(&bus).unwrap();
    let mut station = Station { next: bus.now(), bus, arm };
    assert!((1..=9).all(|id| station.bus.with(|bus| bus.servo(id).unwrap().torque_on())));
    station.activate(ControlMode::Position).unwrap();
    assert_near(&station.read().unwrap().joint_positions, &before);
    station.assert_no_jump();
}

#[test]
fn a_check_of_a_good_bus_is_good_and_changes_nothing() {
    let bus = bus();
    let before: Vec<i32> =
        bus.with(|bus| (1..=9).map(|id| bus.servo(id).unwrap().get(&registers::OPERATING_MODE)).collect());
    let report = check_bus(bus.link(), &robot());
    // The gripper's mode is set at the first start.
    assert_eq!(report.verdict(), Grade::Doubtful);
    let doubtful: Vec<&str> =
        report.findings.iter().filter(|f| f.grade != Grade::Good).map(|f| f.what.as_str()).collect();
    assert_eq!(doubtful, ["servo 9 (gripper) operating mode"]);
    assert_eq!(report.round_trips.len(), 200);
    // 14 + 7 bytes one way, 7 * 21 back, at 10 us each: 1.64 ms and no more, for the emulated bus simulates wire time.
    let rate = report.rate_hz.unwrap();
    assert!((500.0..700.0).contains(&rate), "{rate}");
    assert!(report.round_trips.iter().all(|t| (0.0015..0.0020).contains(t)));
    bus.with(|bus| {
        for id in 1..=9 {
            let servo = bus.servo(id).unwrap();
            assert!(!servo.torque_on());
            assert_eq!(servo.get(&registers::BUS_WATCHDOG), 0);
            assert_eq!(servo.get(&registers::OPERATING_MODE), before[usize::from(id) - 1]);
        }
    });
    connect(&bus).unwrap();
    assert_eq!(check_bus(bus.link(), &robot()).verdict(), Grade::Good);
}

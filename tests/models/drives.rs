//! MuJoCo held by our gravity compensation, and under each drive of a plant.
//!
//! Joints have the passive damping of their descriptions (WidowX 0.1, Panda 1, Sawyer 1 to 10, Jaco 0.01 to 0.1 Nm s/rad)
//! and no Coulomb friction: only the right torque keeps a floating arm in place.

use std::sync::Arc;

use visuomotor::driver::{Drive, Plant};
use visuomotor::kinematics::Dynamics;
use visuomotor::observation::JointVector;
use visuomotor::simulation::MujocoPlant;
use visuomotor::simulation::mujoco_rs::prelude::*;
use visuomotor::time::{ManualClock, Timestamp};

use super::{ARMS, at_home, robot};

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_nanos(milliseconds * 1_000_000)
}

fn plant(name: &str) -> (MujocoPlant, JointVector) {
    let robot = robot(name);
    let (mut plant, _) = MujocoPlant::on_pedestal(&robot, &at_home(&robot)).unwrap();
    plant.advance_to(at(0));
    (plant, JointVector::from_slice(&robot.identity.home))
}

fn furthest(plant: &MujocoPlant, from: &JointVector) -> f64 {
    plant.positions().iter().zip(from.iter()).map(|(q, from)| (q - from).abs()).fold(0.0, f64::max)
}

/// Named after a bug: an emulated control box counts its own milliseconds and falls behind on a busy computer; its images aged.
#[test]
fn snapshots_are_stamped_by_the_clock_and_not_by_a_controllers_own_time() {
    let robot = robot("panda");
    let (plant, mut snapshots) = MujocoPlant::on_pedestal(&robot, &at_home(&robot)).unwrap();
    let clock = Arc::new(ManualClock::new());
    let mut plant = plant.stamped_by(clock.clone());
    clock.advance_to(at(5000));
    plant.advance_to(at(1));
    assert_eq!(snapshots.read().at, at(5000));
}

#[test]
fn every_arm_floats_at_home_for_ten_seconds() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        plant.drive(Drive::Floating(JointVector::zeros(home.len())));
        let mut off: f64 = 0.0;
        for tick in 1..=1000 {
            plant.advance_to(at(tick * 10));
            off = off.max(furthest(&plant, &home));
        }
        println!("{name}: floats away {off:.2e} rad in 10 s");
        assert!(off < 1e-3, "{name}: {off} rad");
    }
}

#[test]
fn a_limp_arm_falls() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        plant.drive(Drive::Limp);
        plant.advance_to(at(1000));
        let off = furthest(&plant, &home);
        assert!(off > 0.05, "{name}: {off} rad: held by something other than its motors");
    }
}

#[test]
fn torques_alone_hold_as_well_as_floating_does() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        let robot = robot(name);
        let mut dynamics = Dynamics::from_robot(&robot).unwrap();
        let mut off: f64 = 0.0;
        for tick in 1..=1000 {
            let sensed = plant.sense();
            dynamics.set_finger(sensed.finger_position);
            plant.drive(Drive::Torque(dynamics.gravity(&sensed.joint_positions)));
            plant.advance_to(at(tick));
            off = off.max(furthest(&plant, &home));
        }
        assert!(off < 1e-3, "{name}: {off} rad");
    }
}

#[test]
fn positions_are_reached() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        let mut goal = home;
        goal.iter_mut().for_each(|q| *q += 0.15);
        plant.drive(Drive::Position(goal));
        plant.advance_to(at(4000));
        let off = furthest(&plant, &goal);
        // Hobby servos sag; the others compensate gravity.
        assert!(off < if name == "widowx" { 0.01 } else { 1e-3 }, "{name}: {off} rad");
        let effort = plant.sense().joint_efforts;
        assert!(effort.iter().any(|torque| torque.abs() > 0.1), "{name}: {effort:?}");
    }
}

#[test]
fn velocities_are_kept_and_zero_stops() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        let n = home.len();
        let mut speed = JointVector::zeros(n);
        speed.fill(0.2);
        plant.drive(Drive::Velocity(speed));
        plant.advance_to(at(1000));
        let sensed = plant.sense();
        for joint in 0..n {
            let found = sensed.joint_velocities[joint];
            assert!((found - 0.2).abs() < 0.02, "{name} joint {joint}: {found} rad/s");
            let moved = sensed.joint_positions[joint] - home[joint];
            assert!((moved - 0.2).abs() < 0.03, "{name} joint {joint}: {moved} rad");
        }
        plant.drive(Drive::Velocity(JointVector::zeros(n)));
        plant.advance_to(at(1300));
        let stopped = plant.positions();
        plant.advance_to(at(2000));
        assert!(furthest(&plant, &stopped) < 2e-3, "{name} moves on by {} rad", furthest(&plant, &stopped));
        assert!(furthest(&plant, &sensed.joint_positions) < 0.03, "{name} overshot");
    }
}

#[test]
fn changing_drives_makes_no_jump() {
    for name in ARMS {
        let (mut plant, home) = plant(name);
        let zero = JointVector::zeros(home.len());
        let mut now = 0;
        for drive in [Drive::Floating(zero), Drive::Velocity(zero), Drive::Position(home), Drive::Floating(zero)] {
            plant.drive(drive);
            now += 200;
            plant.advance_to(at(now));
            let off = furthest(&plant, &home);
            assert!(off < 0.01, "{name} under {drive:?}: {off} rad");
        }
    }
}

#[test]
fn grippers_close_and_open() {
    for name in ARMS {
        let (mut plant, _) = plant(name);
        assert!((plant.sense().gripper - 1.0).abs() < 0.02, "{name}");
        plant.drive_gripper(0.0);
        plant.advance_to(at(3000));
        let closed = plant.sense().gripper;
        // The WidowX's fingers meet their stops before Bridge's closed position.
        let (low, high) = if name == "widowx" { (0.1, 0.3) } else { (-0.05, 0.05) };
        assert!(closed > low && closed < high, "{name}: {closed}");
        plant.drive_gripper(1.0);
        plant.advance_to(at(6000));
        assert!((plant.sense().gripper - 1.0).abs() < 0.05, "{name}: {}", plant.sense().gripper);
    }
}

#[test]
fn a_drive_that_is_not_finite_or_of_another_arm_is_not_taken() {
    let (mut plant, home) = plant("panda");
    let mut bad = home;
    bad[3] = f64::NAN;
    plant.drive(Drive::Position(bad));
    plant.drive(Drive::Torque(JointVector::zeros(6)));
    plant.drive_gripper(f64::INFINITY);
    plant.advance_to(at(1000));
    assert!(furthest(&plant, &home) < 1e-3);
    assert!(plant.sense().joint_positions.is_finite() && plant.sense().gripper.is_finite());
}

#[test]
fn nothing_touches_at_home() {
    for name in ARMS {
        let robot = robot(name);
        let pedestal = at_home(&robot);
        let mut data = MjData::new(Arc::clone(pedestal.model()));
        data.qpos_mut().copy_from_slice(pedestal.start());
        data.forward();
        let touching: Vec<_> = data.contact().iter().map(|contact| contact.geom).collect();
        assert!(touching.is_empty(), "{name}: {touching:?}");
    }
}

/// The kitchen's results were measured with controls written straight into the model: a position drive must equal
/// that to the last bit, also after the arm was limp.
#[test]
fn a_position_drive_is_the_bare_servo_to_the_last_bit() {
    let robot = robot("widowx");
    let pedestal = at_home(&robot);
    let (mut plant, home) = plant("widowx");
    let mut data = MjData::new(Arc::clone(pedestal.model()));
    data.qpos_mut().copy_from_slice(pedestal.start());
    let (joints, open) = (home.len(), robot.gripper.finger_open);
    data.ctrl_mut()[..joints].copy_from_slice(&home);
    data.ctrl_mut()[joints..].fill(open);
    data.forward();
    let finger_step = robot.gripper.finger_velocity * pedestal.model().opt().timestep;
    for tick in 1..=100u64 {
        let mut goal = home;
        goal.iter_mut().enumerate().for_each(|(i, q)| *q += 0.2 * (tick as f64 * 0.1 + i as f64).sin());
        let fraction = if tick % 40 < 20 { 0.0 } else { 1.0 };
        if tick == 50 {
            // Switching to another drive and back without a step in between has no effect.
            plant.drive(Drive::Limp);
        }
        plant.drive(Drive::Position(goal));
        plant.drive_gripper(fraction);
        plant.advance_to(at(tick * 20));
        data.ctrl_mut()[..joints].copy_from_slice(&goal);
        for _ in 0..20 {
            let ctrl = data.ctrl_mut();
            let target = robot.gripper.finger_from_fraction(fraction);
            ctrl[joints] += (target - ctrl[joints]).clamp(-finger_step, finger_step);
            ctrl[joints + 1] = ctrl[joints];
            data.step();
        }
        let sensed = plant.sense();
        for (i, (position, dof)) in pedestal.joint_addresses().iter().enumerate() {
            assert_eq!(sensed.joint_positions[i].to_bits(), data.qpos()[*position].to_bits(), "tick {tick} joint {i}");
            assert_eq!(sensed.joint_velocities[i].to_bits(), data.qvel()[*dof].to_bits(), "tick {tick} joint {i}");
            assert_eq!(sensed.joint_efforts[i].to_bits(), data.actuator_force()[i].to_bits(), "tick {tick} joint {i}");
        }
    }
}

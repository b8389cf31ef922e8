//! Drivers of Sawyer, Jaco and Panda against emulated controllers, on loopback, each test in a DDS domain of its own.

/// Refusals and their messages.
mod bad_input;
/// Every message against bytes that another implementation wrote.
mod golden;
mod dry_run;
mod jaco;
mod panda;
/// Cyclone DDS in the role of the manufacturers' nodes.
mod peer;
mod sawyer;
/// States lost, commands lost, both.
mod silence;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::ros2::{CommandLog, LinkOptions};
use visuomotor::driver::{ArmDriver, DriverError, PointPlant};
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::time::{Clock, SystemClock};

use crate::conforms;
use crate::ros2::{LONG, domain, node};

/// Time-outs that a busy machine does not exhaust.
fn patient() -> LinkOptions {
    LinkOptions { stale: Duration::from_secs(3), deadline: Duration::from_secs(2), patience: LONG }
}

fn robot(name: &str) -> Robot {
    Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap()
}

fn clock() -> Arc<SystemClock> {
    Arc::new(SystemClock::new())
}

/// The home pose with every joint moved by this much \[rad\].
fn near_home(robot: &Robot, by: f64) -> JointVector {
    JointVector::from_slice(&robot.identity.home.iter().map(|q| q + by).collect::<Vec<_>>())
}

fn plant(robot: &Robot, by: f64) -> Box<PointPlant> {
    // Slower than twice any joint's limit, beyond which a reading is refused, and faster than any test moves.
    let mut plant = PointPlant::at(near_home(robot, by));
    plant.speed = 1.2;
    Box::new(plant)
}

/// Calls `done` every few milliseconds until it returns true.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: did not happen within {LONG:?}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn read(arm: &mut dyn ArmDriver, clock: &dyn Clock) -> Proprioception {
    arm.read(clock.now()).unwrap_or_else(|error| panic!("{error}"))
}

/// Reads until that fails.
fn first_error(arm: &mut dyn ArmDriver, clock: &dyn Clock) -> DriverError {
    let mut error = None;
    until("an error", || {
        error = arm.read(clock.now()).err();
        error.is_some()
    });
    error.unwrap()
}

/// Moves to a pose in a mode with the simplest possible controller, and stops there.
fn go_to(arm: &mut dyn ArmDriver, clock: &dyn Clock, robot: &Robot, mode: ControlMode, goal: &JointVector) {
    let mut target = read(arm, clock).joint_positions;
    let mut before = clock.now();
    until("a pose", || {
        let state = read(arm, clock);
        let now = clock.now();
        let elapsed = now.since(before).as_secs_f64();
        before = now;
        let mut joints = JointVector::zeros(goal.len());
        for j in 0..goal.len() {
            let (q, v) = (state.joint_positions[j], state.joint_velocities[j]);
            joints[j] = match mode {
                ControlMode::Position => {
                    let step = 0.5 * robot.limits.joint_velocity[j] * elapsed;
                    target[j] += (goal[j] - target[j]).clamp(-step, step);
                    target[j]
                }
                ControlMode::Velocity => {
                    let limit = 0.5 * robot.limits.joint_velocity[j];
                    (1.5 * (goal[j] - q)).clamp(-limit, limit)
                }
                // A point of 1 kg m2 on a spring, damped critically.
                ControlMode::Torque => 4.0 * (goal[j] - q) - 4.0 * v,
            };
        }
        arm.write(now, &JointCommand::of(mode, joints, 0.5)).unwrap();
        (0..goal.len()).all(|j| (state.joint_positions[j] - goal[j]).abs() < 0.02)
    });
}

/// Stops, and waits until the arm stands.
fn stop(arm: &mut dyn ArmDriver, clock: &dyn Clock) {
    arm.hold(clock.now()).unwrap();
    until("standstill", || read(arm, clock).joint_velocities.iter().all(|v| v.abs() < 1e-3));
}

/// Three poses in each mode the arm has, a stop after each mode, and no jump on the way.
fn three_poses_in_every_mode(arm: &mut dyn ArmDriver, clock: &dyn Clock, robot: &Robot, log: &CommandLog) {
    for mode in arm.capabilities().modes.clone() {
        log.clear();
        arm.activate(clock.now(), mode).unwrap_or_else(|error| panic!("{mode}: {error}"));
        for by in [0.1, -0.05, 0.05] {
            go_to(arm, clock, robot, mode, &near_home(robot, by));
        }
        stop(arm, clock);
        no_jump(robot, log);
    }
}

/// No command differs from the previous one by more than one control period's limit and the quarter of it that the drivers
/// take to catch up. Where the emulated controller was delayed by several periods, messages in between were overtaken.
fn no_jump(robot: &Robot, log: &CommandLog) {
    let all = log.all();
    assert!(!all.is_empty(), "nothing was commanded");
    let period = 1.0 / robot.identity.control_rate_hz;
    for pair in all.windows(2) {
        let [before, after] = pair else { continue };
        if before.mode != after.mode {
            continue;
        }
        let elapsed = after.at.since(before.at).as_secs_f64();
        let periods = if elapsed <= 2.0 * period { 1.0 } else { 1.0 + (elapsed / period).ceil() };
        for j in 0..after.joints.len() {
            let limit = match after.mode {
                ControlMode::Position => robot.limits.joint_velocity[j],
                ControlMode::Velocity => robot.limits.joint_acceleration[j],
                ControlMode::Torque => robot.limits.joint_torque_rate[j],
            };
            let most = 1.25 * limit * period * periods;
            let step = (after.joints[j] - before.joints[j]).abs();
            // Degrees in single precision round.
            assert!(step <= most + 1e-5, "{:?} of joint {j}: {step} after {elapsed} s, at most {most}", after.mode);
        }
    }
}

/// The first position command is the arm's position.
fn starts_at(log: &CommandLog, at: &JointVector) {
    until("a command", || log.all().iter().any(|received| received.mode == ControlMode::Position));
    let first = log.all().into_iter().find(|received| received.mode == ControlMode::Position).unwrap();
    for (asked, measured) in first.joints.iter().zip(at.iter()) {
        assert!((asked - measured).abs() < 0.01, "{:?} is not at {at:?}", first.joints);
    }
}

//! Driver and emulated FER, millisecond by millisecond.

use proptest::prelude::*;
use visuomotor::action::{ControlMode, JointCommand};
use visuomotor::config::Robot;
use visuomotor::driver::PointPlant;
use visuomotor::driver::Setpoint;
use visuomotor::driver::panda::fci::driver::FciSettings;
use visuomotor::driver::panda::fci::emulator::error;
use visuomotor::driver::panda::fci::wire::{MoveStatus, RobotMode};
use visuomotor::driver::panda::limits::{FER, JOINTS};
use visuomotor::episode::Filtered;
use visuomotor::kinematics::Chain;
use visuomotor::observation::{JointVector, Proprioception};
use visuomotor::safety::SafetyFilter;
use visuomotor::time::Timestamp;

use super::laws::{HOME, distance, poses, shares_of_positions, towards};
use super::line::Line;

#[test]
fn three_poses_in_each_mode_from_a_50_hz_and_a_1_khz_loop() {
    for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
        for every_ms in [1, 20] {
            let mut line = Line::start(mode);
            for pose in poses() {
                line.go(&pose, every_ms, 4000);
                let far = distance(&pose, &line.controller.state().q);
                assert!(far < 5e-3, "{mode}, a command each {every_ms} ms: {far} rad away");
            }
            line.pilot.end();
            for _ in 0..2000 {
                if line.mode() == RobotMode::Move {
                    line.cycle(true);
                }
            }
            assert_eq!(line.mode(), RobotMode::Idle);
            assert_eq!(line.controller.take_ended().map(|ended| ended.status), Some(MoveStatus::Success));
            assert_eq!(line.pilot.replaced(), 0);
        }
    }
}

/// A policy at 5 Hz and one at 50 Hz: the output at 1 kHz stays well within the limits, and a stream of
/// commands is followed without stopping at each.
#[test]
fn slow_policies_are_brought_to_1_khz_within_the_limits() {
    for (every_ms, speed) in [(200u64, 0.5), (20, 0.5)] {
        let mut line = Line::start(ControlMode::Position);
        for step in 0..4000 {
            if step % every_ms == 0 {
                // Back and forth, at most `speed` rad/s.
                let phase = step as f64 * 1e-3;
                let pose: [f64; JOINTS] = std::array::from_fn(|i| HOME[i] + 0.25 * speed * (2.0 * phase).sin());
                line.follow(JointCommand::position(JointVector::from_slice(&pose), 1.0));
            }
            line.cycle(true);
            assert_eq!(line.mode(), RobotMode::Move);
        }
        let [v, a, j] = shares_of_positions(&line.sent, &FER);
        assert!(v < 0.9 && a < 0.91 && j < 0.91, "each {every_ms} ms: {v} {a} {j} of the manufacturer's limits");
        println!(
            "a command each {every_ms} ms: speed {v:.3}, acceleration {a:.3}, jerk {j:.3} of the manufacturer's limits"
        );
    }
}

#[test]
fn a_command_that_grows_old_brakes_the_arm_and_the_next_moves_it_on() {
    for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
        let mut line = Line::start(mode);
        let far = poses()[0];
        line.go(&far, 20, 300);
        assert!(!line.pilot.holds());
        for _ in 0..1500 {
            line.cycle(true);
        }
        assert!(line.pilot.holds());
        let speed = line.controller.state().dq.iter().fold(0.0f64, |worst, v| worst.max(v.abs()));
        assert!(speed < 0.02, "{mode}: still {speed} rad/s after 1.5 s without a command");
        assert_eq!(line.mode(), RobotMode::Move);
        line.go(&far, 20, 3000);
        assert!(distance(&far, &line.controller.state().q) < 5e-3);
    }
}

#[test]
fn a_hold_stops_within_the_limits() {
    let mut line = Line::start(ControlMode::Position);
    line.go(&poses()[0], 20, 250);
    line.send(Setpoint::Hold);
    let mut stopped_after = None;
    for ms in 0..600 {
        line.cycle(true);
        let moving = line.controller.state().dq_d.iter().any(|v| v.abs() > 1e-3);
        if !moving && stopped_after.is_none() {
            stopped_after = Some(ms);
        }
    }
    assert!(stopped_after.is_some_and(|ms| ms < 300), "{stopped_after:?}");
    let [v, a, j] = shares_of_positions(&line.sent, &FER);
    assert!(v < 1.0 && a < 1.0 && j < 1.0);
}

fn panda() -> Robot {
    Robot::load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")), "panda").unwrap()
}

/// A description may request gentler motion than the manufacturer allows, but not a longer stopping distance.
#[test]
fn a_hold_stops_a_velocity_motion_as_fast_as_nine_tenths_of_the_maker_s_limits_allow_and_no_faster() {
    let (_, settings) = FciSettings::from_robot(&panda()).unwrap();
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
    let mut line = Line::over(plant, ControlMode::Velocity, &settings);
    let speed = 0.34;
    for _ in 0..400 {
        line.follow(JointCommand::velocity(JointVector::from_slice(&[speed; JOINTS]), 1.0));
        line.cycle(true);
    }
    let before = *line.controller.state();
    assert!(before.dq_d.iter().all(|v| (v - speed).abs() < 1e-9), "{:?}", before.dq_d);
    line.send(Setpoint::Hold);
    for _ in 0..300 {
        line.cycle(true);
        assert_eq!(line.mode(), RobotMode::Move);
    }
    let after = *line.controller.state();
    for i in 0..JOINTS {
        let (acceleration, jerk) = (0.9 * FER.acceleration[i], 0.9 * FER.jerk[i]);
        let braking = speed * speed / (2.0 * acceleration) + speed * acceleration / (2.0 * jerk);
        // The setpoint waits for one state, and its plan starts from the next.
        let allowed = 2e-3 * speed + braking;
        let way = after.q_d[i] - before.q_d[i];
        assert!(after.dq_d[i].abs() < 1e-6 && way <= allowed + 1e-6, "joint {i}: {way} rad, {allowed} allowed");
        let mut sent: Vec<f64> = line.sent.iter().map(|v| v[i]).collect();
        for limit in [acceleration, jerk] {
            sent = sent.windows(2).map(|w| (w[1] - w[0]) / 1e-3).collect();
            assert!(sent.iter().all(|value| value.abs() <= 1.001 * limit), "joint {i} breaks {limit}");
        }
    }
}

/// The emulated arm follows velocities exactly; a servo's lag would move it on after the commanded stop.
#[cfg(feature = "mujoco")]
#[test]
fn an_emulated_arm_that_moved_by_velocities_has_nothing_to_catch_up_when_they_end() {
    use visuomotor::simulation::{MujocoPlant, Pedestal};
    let robot = panda();
    let pedestal = Pedestal::build(&robot, &JointVector::from_slice(&robot.identity.home)).unwrap();
    let (plant, _) = MujocoPlant::on_pedestal(&robot, &pedestal).unwrap();
    let (_, settings) = FciSettings::from_robot(&robot).unwrap();
    let mut line = Line::over(Box::new(plant), ControlMode::Velocity, &settings);
    let mut velocity = JointVector::zeros(JOINTS);
    velocity[0] = 0.34;
    for _ in 0..600 {
        line.follow(JointCommand::velocity(velocity, 1.0));
        line.cycle(true);
    }
    let before = *line.controller.state();
    assert!((before.dq[0] - 0.34).abs() < 0.01, "{:?}", before.dq);
    line.send(Setpoint::Hold);
    for _ in 0..600 {
        line.cycle(true);
    }
    let after = *line.controller.state();
    let (told, went) = (after.q_d[0] - before.q_d[0], after.q[0] - before.q[0]);
    assert!(told < 0.006 && (went - told).abs() < 0.004, "commanded {told} rad, moved {went} rad");
}

/// A program that is stopped for 15 ms in the middle of a stream of positions continues it: neither the filter nor
/// the robot, whose own extrapolation has moved the arm on, finds a jump.
#[test]
fn a_stream_of_positions_outlasts_a_pause_of_15_ms() {
    let robot = panda();
    let (_, settings) = FciSettings::from_robot(&robot).unwrap();
    let plant = Box::new(PointPlant::at(JointVector::from_slice(&HOME)));
    let mut line = Line::over(plant, ControlMode::Position, &settings);
    let mut filter = SafetyFilter::new(&robot, Chain::from_robot(&robot).unwrap());
    // Back and forth, up to 0.75 rad/s and 3 rad/s2.
    let wished = |ms: u64| {
        let mut joints = HOME;
        joints[6] += 0.1875 * (1.0 - (4e-3 * ms as f64).cos());
        JointCommand::position(JointVector::from_slice(&joints), 1.0)
    };
    let mut worst = 0.0f64;
    while line.ms < 3000 {
        let now = Timestamp::from_nanos(line.ms * 1_000_000);
        let state = *line.controller.state();
        let measured = Proprioception {
            joint_positions: JointVector::from_slice(&state.q),
            joint_velocities: JointVector::from_slice(&state.dq),
            joint_efforts: JointVector::zeros(JOINTS),
            finger_position: 0.02,
            gripper: 1.0,
            measured_at: now,
        };
        let verdict = filter.filter(now, &wished(line.ms), &measured, None);
        assert_eq!(verdict.filtered, Filtered::Passed, "at {} ms", line.ms);
        line.follow(verdict.sent);
        line.cycle(true);
        assert_eq!(line.mode(), RobotMode::Move, "errors {:b} at {} ms", line.controller.state().errors, line.ms);
        if line.ms % 97 == 50 {
            (0..15).for_each(|_| line.tick(None));
        } else if line.ms % 97 > 75 {
            // Before the next pause it is back on its line.
            worst = worst.max((state.q_d[6] - wished(line.ms).joints()[6]).abs());
        }
    }
    assert!(worst < 5e-3, "{worst} rad off");
}

#[test]
fn numbers_that_are_not_finite_and_other_modes_hold_and_nothing_of_them_is_sent() {
    let nan = JointCommand::position(JointVector::from_slice(&[f64::NAN; JOINTS]), 1.0);
    let other = JointCommand::torque(JointVector::from_slice(&[5.0; JOINTS]), 1.0);
    let short = JointCommand::position(JointVector::from_slice(&[0.0; 6]), 1.0);
    for bad in [nan, other, short] {
        let mut line = Line::start(ControlMode::Position);
        line.go(&poses()[0], 20, 200);
        line.follow(bad);
        for _ in 0..500 {
            line.cycle(true);
        }
        assert!(line.pilot.holds());
        assert_eq!(line.mode(), RobotMode::Move);
        assert!(line.sent.iter().flatten().all(|v| v.is_finite()));
    }
}

#[test]
fn two_hundred_newton_meters_become_a_ramp() {
    let mut line = Line::start(ControlMode::Torque);
    let mut torque = [0.0; JOINTS];
    torque[6] = 200.0;
    for _ in 0..10 {
        line.follow(JointCommand::torque(JointVector::from_slice(&torque), 1.0));
        line.cycle(true);
        assert_eq!(line.mode(), RobotMode::Move);
    }
    let last = line.sent.last().unwrap()[6];
    assert!((last - 9.0).abs() < 1e-9, "{last} Nm after 10 ms at 900 Nm/s");
}

/// Franka's own numbers: 15 ms are tolerated, 50 ms are not (20 lost commands).
#[test]
fn a_stall_of_15_ms_is_borne_and_one_of_50_ms_is_a_communication_fault() {
    for mode in [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque] {
        for (stall, borne) in [(15, true), (50, false)] {
            let mut line = Line::start(mode);
            line.go(&poses()[0], 1, 150);
            for _ in 0..stall {
                line.tick(None);
            }
            let pose = poses()[0];
            for _ in 0..1000 {
                if line.mode() == RobotMode::Move {
                    let state = *line.controller.state();
                    line.follow(towards(mode, &pose, &state.q, &state.dq));
                    line.cycle(true);
                }
            }
            let errors = line.controller.state().errors;
            if borne {
                assert_eq!((line.mode(), errors), (RobotMode::Move, 0), "{mode} after {stall} ms");
            } else {
                assert_eq!((line.mode(), errors), (RobotMode::Reflex, 1 << error::COMMUNICATION), "{mode}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Commands get lost in any pattern short of 20 in a row: the robot never finds a jump in those that arrive.
    #[test]
    fn lost_commands_never_make_a_jump(
        runs in proptest::collection::vec((1u64..60, 0u64..19), 1..14),
        mode in prop_oneof![Just(ControlMode::Position), Just(ControlMode::Velocity), Just(ControlMode::Torque)],
    ) {
        Line::start(mode).bears_losses(runs);
    }
}

//! Tests of the filter in velocity and torque mode, for six and for seven joints.
//!
//! One file because every mode must satisfy the same properties.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn robot(name: &str) -> (Robot, Chain) {
    let robot = Robot::load(Path::new(crate::CHECKOUT), name).unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    (robot, chain)
}

fn at_home(chain: &Chain) -> Proprioception {
    let still = JointVector::zeros(chain.joints());
    Proprioception {
        joint_positions: *chain.home(),
        joint_velocities: still,
        joint_efforts: still,
        finger_position: 0.02,
        gripper: 0.5,
        measured_at: Timestamp::ZERO,
    }
}

struct Rig {
    robot: Robot,
    chain: Chain,
    filter: SafetyFilter,
    arm: Proprioception,
    now: Timestamp,
    period: Duration,
}

impl Rig {
    fn new(name: &str) -> Self {
        let (robot, chain) = robot(name);
        let arm = at_home(&chain);
        let mut filter = SafetyFilter::new(&robot, chain.clone());
        filter.seed(Timestamp::ZERO, &arm);
        let period = Duration::from_secs_f64(1.0 / robot.identity.control_rate_hz);
        Self { robot, chain, filter, arm, now: Timestamp::ZERO, period }
    }

    fn joints(&self) -> usize {
        self.chain.joints()
    }

    fn all(&self, value: f64) -> JointVector {
        let mut vector = JointVector::zeros(self.joints());
        vector.fill(value);
        vector
    }

    /// One tick; the arm does not move.
    fn tick(&mut self, wished: &JointCommand) -> Verdict {
        self.now = self.now + self.period;
        self.arm.measured_at = self.now;
        self.filter.filter(self.now, wished, &self.arm, Some(Duration::ZERO))
    }

    /// One tick after which the arm has moved by the velocity command.
    fn move_with(&mut self, wished: &JointCommand) -> Verdict {
        let verdict = self.tick(wished);
        for (angle, velocity) in self.arm.joint_positions.iter_mut().zip(verdict.sent.joints().iter()) {
            *angle += velocity * self.period.as_secs_f64();
        }
        self.arm.joint_velocities = verdict.sent.joints();
        verdict
    }

    fn outside(&self) -> f64 {
        let tool = self.chain.forward(&self.arm.joint_positions).translation.vector;
        self.filter.workspace.distance_outside(&tool)
    }
}

#[test]
fn a_mode_starts_from_zero_and_a_change_of_mode_resets() {
    let mut rig = Rig::new("widowx");
    let velocity = JointCommand::velocity(rig.all(0.1), 0.5);
    let first = rig.tick(&velocity);
    assert_eq!((first.sent.mode(), first.sent.joints()), (ControlMode::Velocity, rig.all(0.0)));
    assert_eq!(first.filtered, Filtered::Limited(LimitReason::JointAcceleration));
    assert_eq!(rig.tick(&velocity), Verdict { sent: velocity, filtered: Filtered::Passed });

    let torque = JointCommand::torque(rig.all(0.1), 0.5);
    let first = rig.tick(&torque);
    assert_eq!((first.sent.mode(), first.sent.joints()), (ControlMode::Torque, rig.all(0.0)));
    assert_eq!(first.filtered, Filtered::Limited(LimitReason::JointTorqueRate));
    assert_eq!(rig.tick(&torque), Verdict { sent: torque, filtered: Filtered::Passed });

    let position = JointCommand::position(rig.arm.joint_positions, 0.5);
    assert_eq!(rig.tick(&position), Verdict { sent: position, filtered: Filtered::Passed });
    assert_eq!(rig.tick(&velocity).sent.joints(), rig.all(0.0), "the previous velocity is forgotten");
}

#[test]
fn a_stop_sets_velocity_and_torque_to_zero() {
    for make in [JointCommand::velocity as fn(JointVector, f64) -> JointCommand, JointCommand::torque] {
        for name in ["widowx", "panda"] {
            let mut rig = Rig::new(name);
            let good = make(rig.all(0.05), 0.5);
            rig.tick(&good);
            assert_ne!(rig.tick(&good).sent.joints(), rig.all(0.0));
            let bad = make(rig.all(f64::NAN), 0.5);
            let verdict = rig.tick(&bad);
            assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite));
            assert_eq!((verdict.sent.mode(), verdict.sent.joints()), (good.mode(), rig.all(0.0)));
            rig.tick(&good);
            let old = rig.robot.limits.command_age + 0.001;
            rig.now = rig.now + rig.period;
            let verdict = rig.filter.filter(rig.now, &good, &rig.arm, Some(Duration::from_secs_f64(old)));
            assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::CommandAge));
            assert_eq!(verdict.sent.joints(), rig.all(0.0));
            let short = make(JointVector::zeros(5), 0.5);
            assert_eq!(rig.tick(&short).filtered, Filtered::Stopped(LimitReason::NotFinite));
        }
    }
}

#[test]
fn too_fast_a_velocity_is_reached_at_the_acceleration_limit_and_keeps_its_direction() {
    let mut rig = Rig::new("widowx");
    let mut wished = JointCommand::velocity(rig.all(0.0), 0.5);
    wished.joints_mut()[0] = 0.8;
    wished.joints_mut()[5] = 100.0;
    rig.tick(&wished);
    let mut last = rig.all(0.0);
    for _ in 0..10 {
        let sent = rig.tick(&wished).sent.joints();
        for joint in 0..6 {
            let step = (sent[joint] - last[joint]).abs() / rig.period.as_secs_f64();
            assert!(step <= rig.robot.limits.joint_acceleration[joint] * (1.0 + 1e-9), "{step}");
        }
        assert!((sent[0] / sent[5] - 0.8 / 100.0).abs() < 1e-12);
        last = sent;
    }
    assert!((last[5] - rig.robot.limits.joint_velocity[5]).abs() < 1e-9, "{last:?}");
}

#[test]
fn a_joint_driven_at_its_limit_brakes_in_time_and_the_others_go_on() {
    for name in ["widowx", "panda"] {
        let mut rig = Rig::new(name);
        // The last joint turns the tool about itself, so no wall of the box is near.
        let last = rig.joints() - 1;
        let limit = rig.chain.usable_limits()[last];
        rig.arm.joint_positions[last] = limit.upper - 0.5;
        rig.filter.seed(rig.now, &rig.arm);
        let mut wished = JointCommand::velocity(rig.all(0.0), 0.5);
        wished.joints_mut()[last] = 1.0;
        wished.joints_mut()[0] = 1e-3;
        let (mut before, mut seen) = (0.0, false);
        for tick in 0..3000 {
            let verdict = rig.move_with(&wished);
            let speed = verdict.sent.joints()[last];
            let brake = rig.robot.limits.joint_acceleration[last] * rig.period.as_secs_f64();
            assert!(speed >= before - brake * (1.0 + 1e-6), "{name}: a step at tick {tick}: {before} to {speed}");
            assert!(rig.arm.joint_positions[last] <= limit.upper + 1e-9);
            seen |= verdict.filtered == Filtered::Limited(LimitReason::JointPosition);
            before = speed;
        }
        assert!(
            seen && limit.upper - rig.arm.joint_positions[last] < 1e-3,
            "{name}: {}",
            rig.arm.joint_positions[last]
        );
        assert!(rig.arm.joint_velocities[0] > 0.0, "{name}: a joint at its limit holds the others");
        // The way back is free.
        wished.joints_mut()[last] = -0.1;
        rig.move_with(&wished);
        assert!(rig.move_with(&wished).sent.joints()[last] < -0.01, "{name}");
    }
}

#[test]
fn the_tool_brakes_before_the_walls_of_its_box_and_is_never_too_fast() {
    for name in ["widowx", "panda"] {
        for joint in 0..4 {
            for sign in [-1.0, 1.0] {
                let mut rig = Rig::new(name);
                let start = rig.outside();
                let mut wished = JointCommand::velocity(rig.all(0.0), 0.5);
                wished.joints_mut()[joint] = 100.0 * sign;
                let mut before = rig.chain.forward(&rig.arm.joint_positions).translation.vector;
                for _ in 0..4000 {
                    rig.move_with(&wished);
                    assert!(rig.outside() <= start.max(TOLERANCE_WITH_CURVE), "{name} {joint}: {} m", rig.outside());
                    let tool = rig.chain.forward(&rig.arm.joint_positions).translation.vector;
                    let speed = (tool - before).norm() / rig.period.as_secs_f64();
                    assert!(speed <= rig.robot.limits.tool_velocity * 1.001, "{speed} m/s");
                    before = tool;
                }
            }
        }
    }
}

/// The box's own tolerance, and a little for what a tick moves along a curve \[m\].
const TOLERANCE_WITH_CURVE: f64 = super::super::workspace::TOLERANCE + 1e-3;

#[test]
fn torque_changes_with_exactly_the_rate_limit_and_ends_at_the_torque_limit() {
    for name in ["widowx", "panda"] {
        let mut rig = Rig::new(name);
        let wished = JointCommand::torque(rig.all(1e3), 0.5);
        let limits = rig.robot.limits.clone();
        let period = rig.period.as_secs_f64();
        assert_eq!(rig.tick(&wished).sent.joints(), rig.all(0.0));
        for tick in 1..500 {
            let sent = rig.tick(&wished).sent.joints();
            for joint in 0..rig.joints() {
                // At rest and away from the ends of the range the whole torque is allowed.
                let slope = limits.joint_torque_rate[joint] * period * f64::from(tick);
                let expected = slope.min(limits.joint_torque[joint]);
                assert!((sent[joint] - expected).abs() < 1e-9, "{name} joint {joint} tick {tick}: {sent:?}");
            }
        }
        // And back down with the same slope, through zero.
        let down = rig.tick(&JointCommand::torque(rig.all(-1e3), 0.5)).sent.joints();
        for joint in 0..rig.joints() {
            let expected = limits.joint_torque[joint] - limits.joint_torque_rate[joint] * period;
            assert!((down[joint] - expected.max(-limits.joint_torque[joint])).abs() < 1e-9, "{name}: {down:?}");
        }
    }
}

#[test]
fn a_joint_that_becomes_too_fast_is_braked_and_then_stopped() {
    let mut rig = Rig::new("panda");
    let wished = JointCommand::torque(rig.all(5.0), 0.5);
    let limit = rig.robot.limits.joint_velocity[6];
    let settle = |rig: &mut Rig, speed: f64| {
        rig.arm.joint_velocities[6] = speed;
        (0..200).map(|_| rig.tick(&wished)).last().unwrap()
    };
    assert_eq!(settle(&mut rig, 0.5 * limit).sent.joints()[6], 5.0);
    // At the limit forward torque is zero; beyond it the joint is braked, harder with more excess.
    assert!(settle(&mut rig, limit).sent.joints()[6].abs() < 1e-9);
    let beyond = settle(&mut rig, 1.1 * limit);
    assert!((beyond.sent.joints()[6] + 0.5 * rig.robot.limits.joint_torque[6]).abs() < 1e-9, "{beyond:?}");
    assert_eq!(beyond.filtered, Filtered::Limited(LimitReason::JointVelocity));
    assert_eq!(beyond.sent.joints()[0], 5.0, "the others are not braked");
    assert_eq!(settle(&mut rig, 1.6 * limit).filtered, Filtered::Stopped(LimitReason::JointVelocity));
}

#[test]
fn at_the_end_of_its_range_a_joint_is_not_pushed_on_and_beyond_it_stops() {
    let mut rig = Rig::new("panda");
    let (usable, hard) = (rig.chain.usable_limits()[6], rig.chain.limits()[6]);
    let mut wished = JointCommand::torque(rig.all(0.0), 0.5);
    wished.joints_mut()[6] = 3.0;
    rig.arm.joint_positions[6] = usable.upper + 0.01;
    rig.tick(&wished);
    let held = rig.tick(&wished);
    assert_eq!((held.sent.joints()[6], held.filtered), (0.0, Filtered::Limited(LimitReason::JointPosition)));
    wished.joints_mut()[6] = -3.0;
    let back = (0..100).map(|_| rig.tick(&wished)).last().unwrap();
    assert_eq!(back.sent.joints()[6], -3.0, "the way back is free");
    rig.arm.joint_positions[6] = hard.upper + 0.01;
    assert!(matches!(rig.tick(&wished).filtered, Filtered::Passed | Filtered::Limited(_)), "at rest it may come back");
    rig.arm.joint_velocities[6] = 0.2;
    assert_eq!(rig.tick(&wished).filtered, Filtered::Stopped(LimitReason::JointPosition));
}

#[test]
fn a_tool_that_is_pushed_out_of_its_box_is_braked_and_stopped() {
    let mut rig = Rig::new("widowx");
    // Point masses without friction: only the filter brakes them.
    let inertia = 0.05;
    let mut wished = JointCommand::torque(rig.all(0.0), 0.5);
    wished.joints_mut()[0] = 0.5;
    let mut reasons = Vec::new();
    for _ in 0..400 {
        let verdict = rig.tick(&wished);
        if let Filtered::Stopped(reason) = verdict.filtered {
            reasons.push(reason);
            break;
        }
        if let Filtered::Limited(reason) = verdict.filtered {
            reasons.push(reason);
        }
        let seconds = rig.period.as_secs_f64();
        for joint in 0..6 {
            let faster = rig.arm.joint_velocities[joint] + verdict.sent.joints()[joint] / inertia * seconds;
            rig.arm.joint_positions[joint] += 0.5 * (rig.arm.joint_velocities[joint] + faster) * seconds;
            rig.arm.joint_velocities[joint] = faster;
        }
        assert!(rig.outside() < 0.05, "{} m outside", rig.outside());
    }
    assert!(reasons.contains(&LimitReason::Workspace), "{reasons:?}");
}

#[test]
fn an_arm_that_takes_a_stream_is_never_sent_a_jump() {
    let mut rig = Rig::new("panda");
    let mut wished = JointCommand::position(rig.arm.joint_positions, 0.5);
    // A smooth start: acceleration at the limit.
    let acceleration = rig.robot.limits.joint_acceleration[0];
    for tick in 0..20 {
        let seconds = f64::from(tick) * 1e-3;
        wished.joints_mut()[0] = rig.arm.joint_positions[0] + 0.5 * acceleration * seconds * seconds;
        assert_eq!(rig.tick(&wished).filtered, Filtered::Passed, "{tick}");
    }
    // A step of one milliradian is 1 rad/s within 1 ms: within the speed limit, but a jump.
    wished.joints_mut()[0] += 1e-3;
    assert_eq!(rig.tick(&wished).filtered, Filtered::Stopped(LimitReason::JointAcceleration));
    // An arm with its own servo smooths it.
    let mut slow = Rig::new("widowx");
    let mut wished = JointCommand::position(slow.arm.joint_positions, 0.5);
    wished.joints_mut()[0] += 0.03;
    assert_eq!(slow.tick(&wished).filtered, Filtered::Passed);
}

/// A stream with irregular ticks, as on a busy machine, that speeds up and slows down with nine tenths of a joint's
/// acceleration limit.
struct Uneven {
    rig: Rig,
    home: JointVector,
    seconds: f64,
}

impl Uneven {
    fn new() -> Self {
        let rig = Rig::new("panda");
        Self { home: rig.arm.joint_positions, rig, seconds: 0.0 }
    }

    /// The tick `since` \[s\] after the previous one, with a command `off` its curve \[rad\].
    fn tick(&mut self, since: f64, off: f64) -> Filtered {
        self.seconds += since;
        self.rig.now = Timestamp::from_nanos((self.seconds * 1e9) as u64);
        self.rig.arm.measured_at = self.rig.now;
        let (last, turns) = (self.rig.joints() - 1, 12.0);
        let reach = 0.9 * self.rig.robot.limits.joint_acceleration[last] / (turns * turns);
        let phase = turns * self.rig.now.as_nanos() as f64 * 1e-9;
        let mut wished = JointCommand::position(self.home, 0.5);
        wished.joints_mut()[last] += reach * (phase - phase.sin()) + off;
        let filtered = self.rig.filter.filter(self.rig.now, &wished, &self.rig.arm, None).filtered;
        self.rig.arm.joint_positions = wished.joints();
        filtered
    }
}

#[test]
fn a_late_tick_of_a_stream_and_the_next_one_are_not_jumps() {
    for late in [2e-3, 5e-3, 8e-3, 15e-3, 19e-3] {
        let mut stream = Uneven::new();
        for tick in 0..600 {
            let since = if tick % 20 == 19 { late } else { 1e-3 };
            assert_eq!(stream.tick(since, 0.0), Filtered::Passed, "{late} s late, tick {tick}");
        }
    }
}

#[test]
fn a_jump_at_a_late_tick_or_after_it_still_stops_a_stream() {
    for at in [20, 21, 22, 30] {
        let mut stream = Uneven::new();
        for tick in 0..at {
            let since = if tick == 20 { 15e-3 } else { 1e-3 };
            assert_eq!(stream.tick(since, 0.0), Filtered::Passed);
        }
        let (since, jump) = if at == 20 { (15e-3, 4e-3) } else { (1e-3, 1e-3) };
        let filtered = stream.tick(since, jump);
        assert_eq!(filtered, Filtered::Stopped(LimitReason::JointAcceleration), "{at}");
    }
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -4.0..4.0f64,
        2 => -0.2..0.2f64,
        2 => -200.0..200.0f64,
        1 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(1e308),
    ]
}

/// Numbers of a tick: command, position in the range and speed of each joint, and whether values may be invalid.
fn any_tick() -> impl Strategy<Value = (Vec<f64>, Vec<f64>, Vec<f64>, u64, f64)> {
    let usual = proptest::collection::vec(-60.0..60.0f64, 7);
    let unusual = proptest::collection::vec(any_number(), 7);
    (
        prop_oneof![3 => usual, 1 => unusual],
        proptest::collection::vec(-0.1..1.1f64, 7),
        proptest::collection::vec(prop_oneof![9 => -1.2..1.2f64, 1 => any_number()], 7),
        0u64..4,
        prop_oneof![9 => 0.0..1.0f64, 1 => any_number()],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_sent_velocity_and_torque_keeps_every_limit(
        name in proptest::sample::select(&["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"][..]),
        torque in any::<bool>(),
        ticks in proptest::collection::vec(any_tick(), 1..20),
    ) {
        let mut rig = Rig::new(name);
        let limits = rig.robot.limits.clone();
        let mode = if torque { ControlMode::Torque } else { ControlMode::Velocity };
        let mut last: Option<JointVector> = None;
        for (numbers, shares, speeds, periods, gripper) in ticks {
            for joint in 0..rig.joints() {
                let range = rig.chain.limits()[joint];
                // Nothing moves in zero time.
                if periods > 0 {
                    rig.arm.joint_positions[joint] = range.lower + shares[joint] * (range.upper - range.lower);
                }
                rig.arm.joint_velocities[joint] = speeds[joint] * limits.joint_velocity[joint];
            }
            let wished = JointCommand::of(mode, JointVector::from_slice(&numbers[..rig.joints()]), gripper);
            rig.now = rig.now + rig.period * periods as u32;
            rig.arm.measured_at = rig.now;
            let elapsed = rig.period.as_secs_f64() * (periods as f64).min(MOST_PERIODS);
            let verdict = rig.filter.filter(rig.now, &wished, &rig.arm, Some(Duration::ZERO));
            let sent = verdict.sent;
            prop_assert!(finite::command_is_finite(&sent, rig.joints()));
            prop_assert!((0.0..=1.0).contains(&sent.gripper()));
            if let Filtered::Stopped(_) = verdict.filtered {
                if sent.mode() != ControlMode::Position {
                    prop_assert_eq!(sent.joints(), rig.all(0.0));
                }
                last = (sent.mode() == mode).then_some(sent.joints());
                continue;
            }
            prop_assert_eq!(sent.mode(), mode);
            let before = last.unwrap_or(rig.all(0.0));
            let elapsed = if last.is_some() { elapsed } else { 0.0 };
            for joint in 0..rig.joints() {
                let (value, change) = (sent.joints()[joint], (sent.joints()[joint] - before[joint]).abs());
                if torque {
                    prop_assert!(value.abs() <= limits.joint_torque[joint]);
                    prop_assert!(change <= limits.joint_torque_rate[joint] * elapsed + 1e-9, "{change}");
                } else {
                    prop_assert!(value.abs() <= limits.joint_velocity[joint] * (1.0 + 1e-8));
                    let range = rig.chain.usable_limits()[joint];
                    let (here, brake) = (rig.arm.joint_positions[joint], limits.joint_acceleration[joint]);
                    let stops_at = here + value * rig.period.as_secs_f64() + value * value.abs() / (2.0 * brake);
                    prop_assert!(value <= 0.0 || stops_at <= range.upper + 1e-9, "{stops_at}");
                    prop_assert!(value >= 0.0 || stops_at >= range.lower - 1e-9, "{stops_at}");
                }
            }
            if !torque {
                let mut columns = nalgebra::SVector::<f64, { visuomotor_core::observation::MAX_JOINTS }>::zeros();
                columns.as_mut_slice()[..sent.joints().len()].copy_from_slice(&sent.joints());
                let tool = rig.chain.jacobian(&rig.arm.joint_positions) * columns;
                prop_assert!(tool.fixed_rows::<3>(0).norm() <= limits.tool_velocity * (1.0 + 1e-8));
                prop_assert!(tool.fixed_rows::<3>(3).norm() <= limits.tool_rotation_velocity * (1.0 + 1e-8));
            }
            // Filtering the result again at the same time sends the same.
            let again = rig.filter.filter(rig.now, &sent, &rig.arm, Some(Duration::ZERO));
            let same = again.sent.joints().iter().zip(sent.joints().iter()).all(|(a, b)| (a - b).abs() <= 1e-9);
            prop_assert!(same, "{:?} then {:?}", sent, again);
            last = Some(sent.joints());
        }
    }

    #[test]
    fn a_stream_within_its_limits_passes_however_unevenly_it_is_sampled(
        times in proptest::collection::vec(prop_oneof![4 => 0.9e-3..1.1e-3f64, 1 => 1e-6..20e-3f64], 1..300),
    ) {
        let mut stream = Uneven::new();
        for late in times {
            prop_assert_eq!(stream.tick(late, 0.0), Filtered::Passed);
        }
    }

    #[test]
    fn away_from_every_other_limit_velocities_change_no_faster_than_joints_accelerate(
        wishes in proptest::collection::vec((proptest::collection::vec(-0.3..0.3f64, 7), 0u64..4), 1..40),
    ) {
        let mut rig = Rig::new("panda");
        let mut last = rig.all(0.0);
        for (tick, (numbers, periods)) in wishes.iter().enumerate() {
            let wished = JointCommand::velocity(JointVector::from_slice(numbers), 0.5);
            rig.now = rig.now + rig.period * (*periods as u32);
            rig.arm.measured_at = rig.now;
            let verdict = rig.filter.filter(rig.now, &wished, &rig.arm, None);
            let elapsed = if tick == 0 { 0.0 } else { (*periods as f64).min(MOST_PERIODS) * 1e-3 };
            for joint in 0..7 {
                let change = (verdict.sent.joints()[joint] - last[joint]).abs();
                let most = rig.robot.limits.joint_acceleration[joint] * elapsed;
                prop_assert!(change <= most * (1.0 + 1e-8) + 1e-15, "{change} {most}");
            }
            last = verdict.sent.joints();
        }
    }
}

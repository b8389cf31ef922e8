//! Truth tables and properties of the filter for every arm in `robots/` and every mode.

use std::path::Path;

use proptest::prelude::*;

use super::*;

const ARMS: [&str; 7] = ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"];
const MODES: [ControlMode; 3] = [ControlMode::Position, ControlMode::Velocity, ControlMode::Torque];

fn load(name: &str) -> Robot {
    Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), name).unwrap()
}

/// An arm that does at once what it is told, and tells where it was `delay` ticks ago.
struct Follower {
    robot: Robot,
    chain: Chain,
    filter: SafetyFilter,
    arm: Proprioception,
    past: Vec<JointVector>,
    delay: usize,
    now: Timestamp,
    period: Duration,
    blocked: bool,
}

impl Follower {
    fn new(robot: Robot) -> Self {
        let chain = Chain::from_robot(&robot).unwrap();
        let still = JointVector::zeros(chain.joints());
        let arm = Proprioception {
            joint_positions: *chain.home(),
            joint_velocities: still,
            joint_efforts: still,
            finger_position: robot.gripper.finger_open,
            gripper: 0.5,
            measured_at: Timestamp::ZERO,
        };
        let filter = SafetyFilter::new(&robot, chain.clone());
        let period = Duration::from_secs_f64(1.0 / robot.robot.control_rate_hz);
        let mut rig = Self {
            robot,
            chain,
            filter,
            arm,
            past: Vec::new(),
            delay: 0,
            now: Timestamp::ZERO,
            period,
            blocked: false,
        };
        rig.stand(rig.arm.joint_positions);
        rig
    }

    /// Stands still at these joints.
    fn stand(&mut self, joints: JointVector) {
        self.arm.joint_positions = joints;
        self.arm.measured_at = self.now;
        self.past = vec![joints];
        self.filter.seed(self.now, &self.arm);
    }

    fn joints(&self) -> usize {
        self.chain.joints()
    }

    fn still(&self) -> JointVector {
        JointVector::zeros(self.joints())
    }

    /// Where the arm is.
    fn here(&self) -> JointVector {
        *self.past.last().unwrap()
    }

    /// What it tells.
    fn measured(&self) -> Proprioception {
        let told = self.past[self.past.len().saturating_sub(1 + self.delay)];
        let age = self.period * self.delay as u32;
        Proprioception {
            joint_positions: told,
            measured_at: Timestamp::from_nanos(self.now.as_nanos().saturating_sub(age.as_nanos() as u64)),
            ..self.arm
        }
    }

    fn tick(&mut self, wished: &JointCommand) -> Verdict {
        self.now = self.now + self.period;
        let measured = self.measured();
        let verdict = self.filter.filter(self.now, wished, &measured, Some(Duration::ZERO));
        let mut next = self.here();
        let sent = verdict.sent;
        if !self.blocked {
            match sent.mode {
                ControlMode::Position => next = sent.joints,
                ControlMode::Velocity => {
                    for (angle, velocity) in next.iter_mut().zip(sent.joints.iter()) {
                        *angle += velocity * self.period.as_secs_f64();
                    }
                }
                ControlMode::Torque => {}
            }
        }
        self.past.push(next);
        verdict
    }

    /// The command that asks for nothing.
    fn nothing(&self, mode: ControlMode) -> JointCommand {
        let joints = if mode == ControlMode::Position { self.here() } else { self.still() };
        JointCommand { mode, joints, gripper: 0.5 }
    }
}

#[test]
fn numbers_that_are_none_stop_and_the_smallest_and_negative_zero_pass() {
    for name in ARMS {
        for mode in MODES {
            for joint in 0..load(name).joint.len() {
                for (bad, passes) in [
                    (f64::NAN, false),
                    (f64::INFINITY, false),
                    (f64::NEG_INFINITY, false),
                    (-0.0, true),
                    (f64::MIN_POSITIVE / 2.0, true),
                    (-f64::MIN_POSITIVE / 2.0, true),
                ] {
                    let mut rig = Follower::new(load(name));
                    let good = rig.nothing(mode);
                    rig.tick(&good);
                    let mut wished = good;
                    wished.joints[joint] = if passes { wished.joints[joint] + bad } else { bad };
                    let verdict = rig.tick(&wished);
                    let expected = if passes { Filtered::Passed } else { Filtered::Stopped(LimitReason::NotFinite) };
                    assert_eq!(verdict.filtered, expected, "{name} {mode:?} joint {joint}: {bad}");
                    assert!(verdict.sent.joints.is_finite());
                }
            }
            for length in [0, load(name).joint.len() - 1, load(name).joint.len() + 1] {
                let mut rig = Follower::new(load(name));
                let mut wished = rig.nothing(mode);
                rig.tick(&wished);
                wished.joints = JointVector::zeros(length);
                let verdict = rig.tick(&wished);
                assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite), "{name} {mode:?} {length}");
                assert_eq!(verdict.sent.joints.len(), rig.joints());
            }
        }
    }
}

/// The last joint of every arm turns its tool about itself, so that no wall and no speed of the tool comes in.
fn wish_last(rig: &Follower, mode: ControlMode, value: f64) -> JointCommand {
    let mut wished = rig.nothing(mode);
    let last = rig.joints() - 1;
    wished.joints[last] = value;
    wished
}

#[test]
fn velocities_just_inside_their_limit_pass_and_just_outside_are_brought_to_it() {
    for name in ARMS {
        let limits = load(name).limits;
        let last = limits.joint_velocity.len() - 1;
        let (most, reason) = if limits.joint_velocity[last] <= limits.tool_rotation_velocity {
            (limits.joint_velocity[last], LimitReason::JointVelocity)
        } else {
            (limits.tool_rotation_velocity, LimitReason::ToolVelocity)
        };
        for (share, expected) in [(1.0 - 1e-9, Filtered::Passed), (1.0 + 1e-6, Filtered::Limited(reason))] {
            let mut rig = Follower::new(load(name));
            let wished = wish_last(&rig, ControlMode::Velocity, -share * most);
            let ticks = 2 + (0.5 / rig.period.as_secs_f64()) as usize;
            let verdict = (0..ticks).map(|_| rig.tick(&wished)).last().unwrap();
            assert_eq!(verdict.filtered, expected, "{name} {share}");
            assert!(verdict.sent.joints[last].abs() <= most * (1.0 + 1e-9), "{name}: {:?}", verdict.sent);
        }
    }
}

#[test]
fn torques_and_their_steps_just_inside_pass_and_just_outside_are_limited() {
    for name in ARMS {
        let limits = load(name).limits;
        let period = 1.0 / load(name).robot.control_rate_hz;
        let step = |joint: usize| limits.joint_torque_rate[joint] * period;
        // The WidowX's last joint reaches its whole torque within a tick.
        let joint = (0..limits.joint_torque.len()).find(|joint| step(*joint) < limits.joint_torque[*joint]).unwrap();
        let (step, most) = (step(joint), limits.joint_torque[joint]);
        let ask = |rig: &Follower, torque: f64| {
            let mut wished = rig.nothing(ControlMode::Torque);
            wished.joints[joint] = torque;
            wished
        };
        let inside = 1.0 - 1e-9;
        let outside = 1.0 + 1e-6;
        for (torque, ticks, expected) in [
            (step * inside, 1, Filtered::Passed),
            (step * outside, 1, Filtered::Limited(LimitReason::JointTorqueRate)),
            (most * inside, 2 + (most / step) as usize, Filtered::Passed),
            (most * outside, 2 + (most / step) as usize, Filtered::Limited(LimitReason::JointTorque)),
        ] {
            let mut rig = Follower::new(load(name));
            let nothing = rig.nothing(ControlMode::Torque);
            rig.tick(&nothing);
            let wished = ask(&rig, torque);
            let verdict = (0..ticks).map(|_| rig.tick(&wished)).last().unwrap();
            assert_eq!(verdict.filtered, expected, "{name}: {torque} Nm");
            let allowed = if ticks == 1 { step } else { most };
            assert!(verdict.sent.joints[joint] <= allowed * (1.0 + 1e-12), "{name}: {verdict:?}");
        }
    }
}

#[test]
fn a_step_just_inside_the_joint_speed_passes_and_just_outside_is_shortened() {
    for name in ARMS.into_iter().filter(|name| !load(name).streams_positions()) {
        let last = load(name).joint.len() - 1;
        let step = load(name).limits.joint_velocity[last] / load(name).robot.control_rate_hz;
        for (share, expected) in
            [(1.0 - 1e-9, Filtered::Passed), (1.0 + 1e-6, Filtered::Limited(LimitReason::JointVelocity))]
        {
            let mut rig = Follower::new(load(name));
            let home = rig.here();
            let wished = wish_last(&rig, ControlMode::Position, home[last] - share * step);
            let verdict = rig.tick(&wished);
            assert_eq!(verdict.filtered, expected, "{name} {share}");
            assert!((verdict.sent.joints[last] - home[last]).abs() <= step * (1.0 + 1e-12), "{name}");
        }
    }
}

#[test]
fn the_tool_is_no_faster_than_it_may_be_whatever_the_joints_may() {
    let mut robot = load("widowx");
    (robot.limits.tool_speed, robot.limits.tool_velocity) = (0.1, 0.1);
    let mut rig = Follower::new(robot);
    for _ in 0..5 {
        // Within the joint's own speed.
        let mut wished = rig.nothing(ControlMode::Position);
        wished.joints[0] += 0.039;
        let before = rig.chain.place(&rig.here());
        let verdict = rig.tick(&wished);
        let way = rig.chain.place(&verdict.sent.joints).longest_way(&before);
        assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::ToolVelocity));
        assert!(way <= 0.1 * 0.02 + 1e-9 && way > 0.098 * 0.02, "{way} m");
    }
}

/// A command that runs at the end of the range at full speed could not be braked there: it stood within one tick.
#[test]
fn a_commanded_position_brakes_before_the_end_of_its_range() {
    for name in ARMS.into_iter().filter(|name| !load(name).streams_positions()) {
        let mut rig = Follower::new(load(name));
        let last = rig.joints() - 1;
        let limit = rig.chain.usable_limits()[last];
        let mut start = rig.here();
        start[last] = limit.upper - 0.7;
        rig.stand(start);
        let wished = wish_last(&rig, ControlMode::Position, limit.upper + 1.0);
        let (mut before, mut limited) = (0.0, false);
        let seconds = rig.period.as_secs_f64();
        for _ in 0..2000 {
            let at = rig.here()[last];
            let verdict = rig.tick(&wished);
            let speed = (verdict.sent.joints[last] - at) / seconds;
            let braking = (before - speed) / seconds;
            assert!(braking <= rig.robot.limits.joint_acceleration[last] * (1.0 + 1e-6), "{name}: {braking} rad/s2");
            assert!(verdict.sent.joints[last] <= limit.upper, "{name}");
            limited |= verdict.filtered == Filtered::Limited(LimitReason::JointPosition);
            before = speed;
        }
        assert!(limited && limit.upper - rig.here()[last] < 1e-3, "{name}: {:?}", rig.here());
    }
}

#[test]
fn a_stream_of_positions_brakes_before_the_end_of_its_range_and_a_jump_stops_it() {
    for name in ["panda", "fr3"] {
        let mut rig = Follower::new(load(name));
        let last = rig.joints() - 1;
        let limit = rig.chain.usable_limits()[last];
        let mut start = rig.here();
        start[last] = limit.upper - 0.3;
        rig.stand(start);
        // A smooth start to 0.5 rad/s, then on and on.
        let (mut speed, mut at, mut acceleration) = (0.0_f64, start[last], 0.0_f64);
        let mut limited = false;
        for tick in 0..2000 {
            acceleration = if speed < 0.5 { (acceleration + 1.0).min(4.0) } else { (acceleration - 1.0).max(0.0) };
            speed += acceleration * 1e-3;
            at += speed * 1e-3;
            let wished = wish_last(&rig, ControlMode::Position, at);
            let verdict = rig.tick(&wished);
            assert!(!matches!(verdict.filtered, Filtered::Stopped(_)), "{name} tick {tick}: {verdict:?}");
            assert!(verdict.sent.joints[last] <= limit.upper, "{name}");
            limited |= verdict.filtered == Filtered::Limited(LimitReason::JointPosition);
        }
        assert!(limited && limit.upper - rig.here()[last] < 1e-3, "{name}: {:?}", rig.here());
        // Accelerations within the limit that change too suddenly.
        let mut rig = Follower::new(load(name));
        let home = rig.here();
        let nothing = rig.nothing(ControlMode::Position);
        rig.tick(&nothing);
        let jerk = 2.2 * rig.robot.limits.joint_jerk[last] * 1e-9;
        let wished = wish_last(&rig, ControlMode::Position, home[last] - jerk);
        assert_eq!(rig.tick(&wished).filtered, Filtered::Stopped(LimitReason::JointJerk), "{name}");
    }
}

/// Where a joint comes to at most, driven at its end at full speed while the measurement is `delay` ticks old.
fn farthest_of(name: &str, delay: usize, tells_the_age: bool) -> f64 {
    let mut rig = Follower::new(load(name));
    let last = rig.joints() - 1;
    let limit = rig.chain.usable_limits()[last];
    let mut start = rig.here();
    start[last] = limit.upper - 1.0;
    rig.stand(start);
    rig.delay = delay;
    let wished = wish_last(&rig, ControlMode::Velocity, 100.0);
    let mut beyond = f64::NEG_INFINITY;
    for _ in 0..(8.0 / rig.period.as_secs_f64()) as usize {
        if tells_the_age {
            rig.tick(&wished);
        } else {
            // The same old place, under a new stamp.
            rig.now = rig.now + rig.period;
            let lie = Proprioception { measured_at: rig.now, ..rig.measured() };
            let sent = rig.filter.filter(rig.now, &wished, &lie, Some(Duration::ZERO)).sent;
            let mut next = rig.here();
            next[last] += sent.joints[last] * rig.period.as_secs_f64();
            rig.past.push(next);
        }
        beyond = f64::max(beyond, rig.here()[last] - limit.upper);
    }
    beyond
}

#[test]
fn the_braking_distance_counts_the_age_of_the_measurement() {
    for name in ["widowx", "panda", "sawyer"] {
        let delay = if name == "panda" { 20 } else { 3 };
        let beyond = farthest_of(name, delay, true);
        assert!(beyond <= 1e-9 && beyond > -0.1, "{name}: {beyond} rad beyond the end");
        let lied_to = farthest_of(name, delay, false);
        assert!(lied_to > 1e-3, "{name}: {lied_to} rad: the age makes no difference here");
    }
}

#[test]
fn an_arm_that_is_measured_no_more_brakes_before_the_end_of_its_range_all_the_same() {
    let mut rig = Follower::new(load("widowx"));
    let last = rig.joints() - 1;
    let limit = rig.chain.usable_limits()[last];
    let mut start = rig.here();
    start[last] = limit.upper - 1.5;
    rig.stand(start);
    let wished = wish_last(&rig, ControlMode::Velocity, 2.0);
    for _ in 0..20 {
        rig.tick(&wished);
    }
    // From here on the old measurement comes again and again, under its old stamp.
    let old = rig.measured();
    for _ in 0..100 {
        rig.now = rig.now + rig.period;
        let sent = rig.filter.filter(rig.now, &wished, &old, Some(Duration::ZERO)).sent;
        let mut next = rig.here();
        next[last] += sent.joints[last] * rig.period.as_secs_f64();
        rig.past.push(next);
    }
    let left = limit.upper - rig.here()[last];
    assert!((-1e-9..0.2).contains(&left), "{left} rad before the end");
}

#[test]
fn a_blocked_joint_s_position_is_taken_back_and_followed_again_when_it_is_free() {
    for name in ARMS.into_iter().filter(|name| !load(name).streams_positions()) {
        let mut rig = Follower::new(load(name));
        let last = rig.joints() - 1;
        let home = rig.here();
        let (error, time) = (rig.robot.limits.following_error, rig.robot.limits.following_time);
        let wished = wish_last(&rig, ControlMode::Position, home[last] - 1.0);
        rig.blocked = true;
        let ticks = |seconds: f64, rig: &Follower| (seconds / rig.period.as_secs_f64()) as usize;
        let way = 1.0 / rig.robot.limits.joint_velocity[last];
        let mut sent = rig.here();
        let mut farthest = 0.0_f64;
        for _ in 0..ticks(way + time + 2.0 * error / (TAKING_BACK * rig.robot.limits.joint_velocity[last]) + 1.0, &rig)
        {
            sent = rig.tick(&wished).sent.joints;
            farthest = farthest.max((sent[last] - home[last]).abs());
        }
        assert!(farthest > error, "{name}: it did push first: {farthest}");
        assert!((sent[last] - home[last]).abs() <= 0.5 * error + 1e-9, "{name}: still pushing at {sent:?}");
        assert_eq!(rig.tick(&wished).filtered, Filtered::Limited(LimitReason::Residual), "{name}");
        // The others go on.
        assert_eq!(sent[0], home[0], "{name}");
        rig.blocked = false;
        let end = (0..ticks(way + 6.0, &rig)).map(|_| rig.tick(&wished)).last().unwrap();
        assert_eq!(end, Verdict { sent: wished, filtered: Filtered::Passed }, "{name}");
    }
}

#[test]
fn a_blocked_stream_of_positions_is_stopped() {
    let mut rig = Follower::new(load("panda"));
    let last = rig.joints() - 1;
    rig.blocked = true;
    let (mut speed, mut at) = (0.0_f64, rig.here()[last]);
    let mut stopped = None;
    for tick in 0..2000 {
        speed = (speed - 2e-3).max(-0.3);
        at += speed * 1e-3;
        let wished = wish_last(&rig, ControlMode::Position, at);
        if let Filtered::Stopped(reason) = rig.tick(&wished).filtered {
            stopped = Some((tick, reason));
            break;
        }
    }
    let (tick, reason) = stopped.expect("it pushes for ever");
    assert!(reason == LimitReason::Residual && (500..1500).contains(&tick), "{reason:?} at {tick}");
}

#[test]
fn a_blocked_joint_is_commanded_no_speed_and_tried_again() {
    for name in ARMS {
        let mut rig = Follower::new(load(name));
        let last = rig.joints() - 1;
        let most = rig.robot.limits.joint_velocity[last].min(rig.robot.limits.tool_rotation_velocity);
        let wished = wish_last(&rig, ControlMode::Velocity, -0.9 * most);
        rig.blocked = true;
        let (mut pushed, mut rested, mut stood) = (0.0_f64, 0.0_f64, false);
        let seconds = rig.period.as_secs_f64();
        for _ in 0..(12.0 / seconds) as usize {
            let verdict = rig.tick(&wished);
            if stood {
                let speed = verdict.sent.joints[last].abs();
                *(if speed > 0.0 { &mut pushed } else { &mut rested }) += seconds;
            }
            stood |= verdict.filtered == Filtered::Limited(LimitReason::Residual) && verdict.sent.joints[last] == 0.0;
        }
        assert!(stood, "{name}: it pushes for ever");
        assert!(rested > 0.0 && pushed < 12.0, "{name}: {pushed} s pushed, {rested} s rested");
        // The other way is free at once.
        rig.blocked = false;
        let back = wish_last(&rig, ControlMode::Velocity, 0.5 * most);
        let sent = (0..(1.0 / seconds) as usize).map(|_| rig.tick(&back)).last().unwrap();
        assert_eq!(sent.sent.joints[last], 0.5 * most, "{name}");
    }
}

#[test]
fn an_arm_that_lags_at_full_speed_is_not_taken_for_blocked() {
    for name in ARMS {
        for mode in [ControlMode::Position, ControlMode::Velocity] {
            let mut rig = Follower::new(load(name));
            if mode == ControlMode::Position && rig.robot.streams_positions() {
                continue;
            }
            let last = rig.joints() - 1;
            rig.delay = (0.1 / rig.period.as_secs_f64()) as usize;
            let most = rig.robot.limits.joint_velocity[last].min(rig.robot.limits.tool_rotation_velocity);
            let mut at = rig.here()[last];
            for tick in 0..(1.0 / rig.period.as_secs_f64()) as usize {
                at -= 0.95 * most * rig.period.as_secs_f64();
                let value = if mode == ControlMode::Position { at } else { -0.95 * most };
                let wished = wish_last(&rig, mode, value);
                let verdict = rig.tick(&wished);
                assert_ne!(verdict.filtered, Filtered::Limited(LimitReason::Residual), "{name} {mode:?} at {tick}");
            }
        }
    }
}

#[test]
fn home_and_sleep_of_every_arm_are_clear_of_themselves_and_of_the_table() {
    for name in ARMS {
        let robot = load(name);
        let chain = Chain::from_robot(&robot).unwrap();
        assert!(robot.capsule.len() >= 7, "{name} has no capsules");
        for pose in [&robot.robot.home, &robot.robot.sleep] {
            let placed = chain.place(pose);
            let (gap, plane) = (chain.bodies().least_gap(&placed), chain.bodies().least_plane_gap(&placed));
            assert!(chain.bodies().are_clear(&placed), "{name} {pose:?}: {gap} m to itself, {plane} m to a plane");
        }
    }
}

#[test]
fn the_elbow_does_not_go_through_the_table_while_the_tool_is_in_its_box() {
    // A box as large as the arm: nothing but the plane holds it.
    let mut robot = load("panda");
    (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
    let mut rig = Follower::new(robot);
    let mut wished = rig.nothing(ControlMode::Velocity);
    // Forward and down with the shoulder.
    wished.joints[1] = 0.4;
    let (mut least, mut reasons) = (f64::INFINITY, Vec::new());
    for _ in 0..8000 {
        let verdict = rig.tick(&wished);
        if let Filtered::Limited(reason) = verdict.filtered
            && !reasons.contains(&reason)
        {
            reasons.push(reason);
        }
        let placed = rig.chain.place(&rig.here());
        least = least.min(rig.chain.bodies().least_plane_gap(&placed));
    }
    assert!(reasons.contains(&LimitReason::Plane), "{reasons:?}");
    assert!(least >= rig.robot.collision.margin - 1e-3 && least < 0.05, "{least} m above the table");
}

#[test]
fn the_hand_does_not_meet_the_arm_s_own_base() {
    let mut robot = load("panda");
    (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
    robot.limits.plane.clear();
    let mut rig = Follower::new(robot);
    // A place in which the hand is in the base: straight there, as fast as may be.
    let inside = [0.0, 1.39, 0.25, -2.48, 0.0, 1.22, 0.78];
    assert!(rig.chain.bodies().least_gap(&rig.chain.place(&inside)) < -0.1);
    let (mut least, mut met) = (f64::INFINITY, false);
    for _ in 0..8000 {
        let mut wished = rig.nothing(ControlMode::Velocity);
        let here = rig.here();
        for joint in 0..7 {
            wished.joints[joint] = 2.0 * (inside[joint] - here[joint]);
        }
        met |= rig.tick(&wished).filtered == Filtered::Limited(LimitReason::SelfCollision);
        let placed = rig.chain.place(&rig.here());
        least = least.min(rig.chain.bodies().least_gap(&placed));
    }
    assert!(least >= rig.robot.collision.margin - 1e-3, "{least} m");
    assert!(met, "it came as near as {least} m only");
}

fn any_arm() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&ARMS[..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Positions of arms with a servo of their own: every limit, from any posture, to anywhere.
    #[test]
    fn positions_keep_every_limit_and_never_bring_parts_nearer_than_they_may_be(
        name in proptest::sample::select(&["widowx", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"][..]),
        start in proptest::collection::vec(0.0..1.0f64, 7),
        wishes in proptest::collection::vec((proptest::collection::vec(-0.1..1.1f64, 7), 1u32..12), 1..12),
    ) {
        let mut rig = Follower::new(load(name));
        let range = rig.chain.limits().to_vec();
        let at = |shares: &[f64]| {
            let angle = |(limit, share): (&crate::kinematics::JointLimit, &f64)| {
                limit.lower + share * (limit.upper - limit.lower)
            };
            JointVector::from_slice(&range.iter().zip(shares).map(angle).collect::<Vec<_>>())
        };
        rig.stand(at(&start));
        let (margin, seconds) = (rig.robot.collision.margin, rig.period.as_secs_f64());
        for (shares, ticks) in wishes {
            let wished = JointCommand::position(at(&shares), 0.5);
            for _ in 0..ticks {
                let before = rig.here();
                let mut same = rig.filter.clone();
                let sent = rig.tick(&wished).sent;
                prop_assert!(finite::command_is_finite(&sent, rig.joints()));
                for joint in 0..rig.joints() {
                    let limit = rig.chain.usable_limits()[joint];
                    let out = |q: f64| (limit.lower - q).max(q - limit.upper).max(0.0);
                    prop_assert!(out(sent.joints[joint]) <= out(before[joint]));
                    let way = (sent.joints[joint] - before[joint]).abs();
                    prop_assert!(way <= rig.robot.limits.joint_velocity[joint] * seconds + 1e-9);
                }
                let (there, here) = (rig.chain.place(&sent.joints), rig.chain.place(&before));
                prop_assert!(there.longest_way(&here) <= rig.robot.limits.tool_speed * seconds + 1e-9);
                let bodies = rig.chain.bodies();
                for (gap, was) in [
                    (bodies.least_gap(&there), bodies.least_gap(&here)),
                    (bodies.least_plane_gap(&there), bodies.least_plane_gap(&here)),
                ] {
                    prop_assert!(gap >= margin.min(was), "{} after {}", gap, was);
                }
                let measured = Proprioception { joint_positions: before, ..rig.arm };
                let again = same.filter(rig.now, &sent, &measured, Some(Duration::ZERO));
                prop_assert_eq!(again, Verdict { sent, filtered: Filtered::Passed });
            }
        }
    }

    /// Whatever is wished, in any mode, of any arm: a NaN stops, what is sent is finite and of the arm's length.
    #[test]
    fn no_number_that_is_none_passes(
        name in any_arm(),
        mode in proptest::sample::select(&MODES[..]),
        numbers in proptest::collection::vec(
            prop_oneof![6 => -4.0..4.0f64, 1 => any::<f64>(), 1 => Just(f64::NAN)], 6..=8),
        gripper in prop_oneof![6 => -0.5..1.5f64, 1 => any::<f64>()],
        speeds in proptest::collection::vec(prop_oneof![8 => -0.5..0.5f64, 1 => any::<f64>()], 7),
    ) {
        let mut rig = Follower::new(load(name));
        let nothing = rig.nothing(mode);
        rig.tick(&nothing);
        rig.arm.joint_velocities = JointVector::from_slice(&speeds[..rig.joints()]);
        let wished = JointCommand { mode, joints: JointVector::from_slice(&numbers), gripper };
        let fine = finite::command_is_finite(&wished, rig.joints()) && rig.arm.joint_velocities.is_finite();
        let verdict = rig.tick(&wished);
        prop_assert!(finite::command_is_finite(&verdict.sent, rig.joints()));
        if !fine {
            prop_assert_eq!(verdict.filtered, Filtered::Stopped(LimitReason::NotFinite));
        }
    }

    /// Velocities of every arm: wherever it is driven, its parts and the table stay apart but for the curve of a tick.
    #[test]
    fn velocities_keep_the_arm_s_parts_and_the_table_apart(
        name in any_arm(),
        wishes in proptest::collection::vec(proptest::collection::vec(-1.0..1.0f64, 7), 1..8),
    ) {
        let mut robot = load(name);
        (robot.limits.workspace_low, robot.limits.workspace_high) = ([-2.0; 3], [2.0; 3]);
        // Coarser ticks than an arm of 1 kHz has, so that it gets somewhere.
        robot.robot.control_rate_hz = robot.robot.control_rate_hz.min(100.0);
        let mut rig = Follower::new(robot);
        let (margin, mut least) = (rig.robot.collision.margin, f64::INFINITY);
        for shares in wishes {
            let mut wished = rig.nothing(ControlMode::Velocity);
            for joint in 0..rig.joints() {
                wished.joints[joint] = shares[joint] * rig.robot.limits.joint_velocity[joint];
            }
            for _ in 0..60 {
                rig.tick(&wished);
                let placed = rig.chain.place(&rig.here());
                least = least.min(rig.chain.bodies().least_gap(&placed)).min(rig.chain.bodies().least_plane_gap(&placed));
            }
        }
        prop_assert!(least >= margin - 5e-3, "{} m", least);
    }
}

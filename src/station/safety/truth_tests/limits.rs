//! Speeds, torques and ranges: a command just inside a limit passes, one just outside is limited.

use super::*;

#[test]
fn velocities_just_inside_their_limit_pass_and_just_outside_are_limited() {
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
            assert!(verdict.sent.joints()[last].abs() <= most * (1.0 + 1e-9), "{name}: {:?}", verdict.sent);
        }
    }
}

#[test]
fn torques_and_their_steps_just_inside_pass_and_just_outside_are_limited() {
    for name in ARMS {
        let limits = load(name).limits;
        let period = 1.0 / load(name).identity.control_rate_hz;
        let step = |joint: usize| limits.joint_torque_rate[joint] * period;
        // The WidowX's last joint reaches its full torque within a tick.
        let joint = (0..limits.joint_torque.len()).find(|joint| step(*joint) < limits.joint_torque[*joint]).unwrap();
        let (step, most) = (step(joint), limits.joint_torque[joint]);
        let ask = |rig: &Follower, torque: f64| {
            let mut wished = rig.nothing(ControlMode::Torque);
            wished.joints_mut()[joint] = torque;
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
            assert!(verdict.sent.joints()[joint] <= allowed * (1.0 + 1e-12), "{name}: {verdict:?}");
        }
    }
}

#[test]
fn a_step_just_inside_the_joint_speed_passes_and_just_outside_is_shortened() {
    for name in ARMS.into_iter().filter(|name| !load(name).streams_positions()) {
        let last = load(name).joint.len() - 1;
        let step = load(name).limits.joint_velocity[last] / load(name).identity.control_rate_hz;
        for (share, expected) in
            [(1.0 - 1e-9, Filtered::Passed), (1.0 + 1e-6, Filtered::Limited(LimitReason::JointVelocity))]
        {
            let mut rig = Follower::new(load(name));
            let home = rig.here();
            let wished = wish_last(&rig, ControlMode::Position, home[last] - share * step);
            let verdict = rig.tick(&wished);
            assert_eq!(verdict.filtered, expected, "{name} {share}");
            assert!((verdict.sent.joints()[last] - home[last]).abs() <= step * (1.0 + 1e-12), "{name}");
        }
    }
}

#[test]
fn the_tool_keeps_its_speed_limit_whatever_the_joints_allow() {
    let mut robot = load("widowx");
    (robot.limits.tool_speed, robot.limits.tool_velocity) = (0.1, 0.1);
    let mut rig = Follower::new(robot);
    for _ in 0..5 {
        // Within the joint's own speed.
        let mut wished = rig.nothing(ControlMode::Position);
        wished.joints_mut()[0] += 0.039;
        let before = rig.chain.place(&rig.here());
        let verdict = rig.tick(&wished);
        let way = rig.chain.place(&verdict.sent.joints()).longest_way(&before);
        assert_eq!(verdict.filtered, Filtered::Limited(LimitReason::ToolVelocity));
        assert!(way <= 0.1 * 0.02 + 1e-9 && way > 0.098 * 0.02, "{way} m");
    }
}

/// Regression: a command at full speed was stopped within one tick at the end of the range, which no joint can do.
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
            let speed = (verdict.sent.joints()[last] - at) / seconds;
            let braking = (before - speed) / seconds;
            assert!(braking <= rig.robot.limits.joint_acceleration[last] * (1.0 + 1e-6), "{name}: {braking} rad/s2");
            assert!(verdict.sent.joints()[last] <= limit.upper, "{name}");
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
        // A smooth start to 0.5 rad/s, then constant.
        let (mut speed, mut at, mut acceleration) = (0.0_f64, start[last], 0.0_f64);
        let mut limited = false;
        for tick in 0..2000 {
            acceleration = if speed < 0.5 { (acceleration + 1.0).min(4.0) } else { (acceleration - 1.0).max(0.0) };
            speed += acceleration * 1e-3;
            at += speed * 1e-3;
            let wished = wish_last(&rig, ControlMode::Position, at);
            let verdict = rig.tick(&wished);
            assert!(!matches!(verdict.filtered, Filtered::Stopped(_)), "{name} tick {tick}: {verdict:?}");
            assert!(verdict.sent.joints()[last] <= limit.upper, "{name}");
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

/// Farthest position of a joint driven at its end at full speed while the measurement is `delay` ticks old.
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
            // The same old position with a new stamp.
            rig.now = rig.now + rig.period;
            let lie = Proprioception { measured_at: rig.now, ..rig.measured() };
            let sent = rig.filter.filter(rig.now, &wished, &lie, Some(Duration::ZERO)).sent;
            let mut next = rig.here();
            next[last] += sent.joints()[last] * rig.period.as_secs_f64();
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
fn an_arm_without_new_measurements_still_brakes_before_the_end_of_its_range() {
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
    // From here on the old measurement repeats with its old stamp.
    let old = rig.measured();
    for _ in 0..100 {
        rig.now = rig.now + rig.period;
        let sent = rig.filter.filter(rig.now, &wished, &old, Some(Duration::ZERO)).sent;
        let mut next = rig.here();
        next[last] += sent.joints()[last] * rig.period.as_secs_f64();
        rig.past.push(next);
    }
    let left = limit.upper - rig.here()[last];
    assert!((-1e-9..0.2).contains(&left), "{left} rad before the end");
}

//! An arm that does not go where it is commanded.

use super::*;

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
            sent = rig.tick(&wished).sent.joints();
            farthest = farthest.max((sent[last] - home[last]).abs());
        }
        assert!(farthest > error, "{name}: it did push first: {farthest}");
        assert!((sent[last] - home[last]).abs() <= 0.5 * error + 1e-9, "{name}: still pushing at {sent:?}");
        assert_eq!(rig.tick(&wished).filtered, Filtered::Limited(LimitReason::Residual), "{name}");
        // The others continue.
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
    let (tick, reason) = stopped.expect("it never stops pushing");
    assert!(reason == LimitReason::Residual && (500..1500).contains(&tick), "{reason:?} at {tick}");
}

#[test]
fn a_blocked_joint_gets_zero_velocity_and_is_tried_again() {
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
                let speed = verdict.sent.joints()[last].abs();
                *(if speed > 0.0 { &mut pushed } else { &mut rested }) += seconds;
            }
            stood |= verdict.filtered == Filtered::Limited(LimitReason::Residual) && verdict.sent.joints()[last] == 0.0;
        }
        assert!(stood, "{name}: it never stops pushing");
        assert!(rested > 0.0 && pushed < 12.0, "{name}: {pushed} s pushed, {rested} s rested");
        // The opposite direction is free at once.
        rig.blocked = false;
        let back = wish_last(&rig, ControlMode::Velocity, 0.5 * most);
        let sent = (0..(1.0 / seconds) as usize).map(|_| rig.tick(&back)).last().unwrap();
        assert_eq!(sent.sent.joints()[last], 0.5 * most, "{name}");
    }
}

#[test]
fn an_arm_that_lags_at_full_speed_does_not_count_as_blocked() {
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

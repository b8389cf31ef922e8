//! For each kind of loss: how far the arm moves, and what is sent afterwards.

use super::*;

#[test]
fn whatever_is_lost_the_arm_comes_to_rest_within_its_braking_distance() {
    for (robot, states) in arms() {
        for mode in [ControlMode::Position, ControlMode::Velocity] {
            for loss in LOSSES {
                let mut bench = Bench::new(robot, states, mode);
                bench.go(60);
                assert!((bench.speed() - SPEED).abs() < 1e-6, "{robot} {mode}: it does not move");
                let before = bench.at();
                let sent = bench.lose(loss);
                let way = bench.at() - before;
                let most = bench.longest_way(loss);
                assert!(way > -1e-9 && way <= most, "{robot} {mode} {loss:?}: {way} rad, at most {most}");
                assert!(bench.speed() < 1e-9, "{robot} {mode} {loss:?}: it still moves");
                let last = *sent.last().unwrap();
                match mode {
                    ControlMode::Velocity => assert_eq!(last, 0.0),
                    _ => assert!((last - bench.at()).abs() < 1e-9),
                }
            }
        }
    }
}

#[test]
fn whatever_is_lost_torques_go_to_rest_within_their_rate() {
    for (robot, states) in arms() {
        for loss in LOSSES {
            let mut bench = Bench::new(robot, states, ControlMode::Torque);
            bench.go(20);
            let sent = bench.lose(loss);
            let first = sent.iter().position(|torque| *torque < PUSH).expect("it was never let go");
            let noticed = if loss == Loss::Commands { bench.options.deadline } else { bench.options.stale };
            let turns = noticed.as_secs_f64() / bench.period.as_secs_f64() + 2.0;
            assert!(first as f64 <= turns, "{robot} {loss:?}: let go after {first} turns");
            let most = 1.25 * bench.robot.limits.joint_torque_rate[0] * bench.period.as_secs_f64() + 1e-9;
            assert!(sent.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= most), "{robot} {loss:?}: a jump");
            if loss != Loss::Commands {
                // Without states there is no position to pull back to: only the weight is carried until it is off.
                let zeros = sent.iter().rev().take_while(|torque| **torque == 0.0).count();
                assert!(zeros >= 5, "{robot} {loss:?}: {zeros} zeros");
                assert!(!bench.link.wire().on, "{robot} {loss:?}: its controller runs");
            }
            assert!(bench.speed() < 0.05, "{robot} {loss:?}: {} rad/s", bench.speed());
        }
    }
}

#[test]
fn the_controller_is_switched_off_and_nothing_is_sent_to_it_afterwards() {
    for mode in MODES {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.go(60);
        bench.lose(Loss::Both);
        assert!(!bench.link.wire().on, "{mode}");
        bench.link.wire().sent.clear();
        bench.go(50);
        assert!(bench.link.wire().sent.is_empty(), "{mode}: a controller that is off was commanded");
    }
}

#[test]
fn a_controller_that_does_not_answer_gets_zeros_for_ever_and_no_old_place() {
    for (mode, off) in [
        (ControlMode::Velocity, Off::Pending),
        (ControlMode::Torque, Off::Pending),
        (ControlMode::Velocity, Off::None),
        (ControlMode::Position, Off::None),
        (ControlMode::Position, Off::Pending),
    ] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().off = off;
        bench.go(60);
        bench.lose(Loss::States);
        bench.link.wire().sent.clear();
        // It comes back in another pose.
        bench.link.wire().muted = false;
        bench.go(300);
        let sent = bench.link.wire().sent.clone();
        if mode == ControlMode::Position {
            assert!(sent.is_empty(), "{off:?}: it would go to where it was");
        } else {
            assert!(sent.len() == 300 && sent.iter().all(|joints| joints.iter().all(|value| *value == 0.0)));
        }
    }
}

#[test]
fn states_that_come_back_in_time_change_nothing_and_too_late_wait_for_an_activation() {
    let mut bench = Bench::new("panda", Duration::from_millis(1), ControlMode::Velocity);
    bench.go(60);
    bench.link.wire().muted = true;
    bench.go(3);
    bench.link.wire().muted = false;
    bench.go(10);
    let newest = bench.link.wire().sent.last().unwrap()[0];
    assert!((newest - SPEED).abs() < 1e-9, "30 ms are no silence, nor would they be at the next look");
    bench.link.wire().muted = true;
    bench.go(7);
    bench.link.wire().muted = false;
    let state = bench.turn(true).unwrap();
    assert_eq!(state.condition, Condition::Lost(DriverError::Silent), "the control thread learns why");
    bench.go(100);
    assert!(bench.link.wire().sent.last().unwrap()[0] == 0.0 && bench.speed() < 1e-9);
    let now = bench.clock.now();
    assert!(matches!(bench.worker.request(now, Request::Activate(bench.mode, None)), Reply::Activated(Ok(()))));
    bench.go(60);
    assert!((bench.speed() - SPEED).abs() < 1e-6, "it is commanded again");
}

#[test]
fn a_fault_ramps_to_rest_too() {
    let mut bench = Bench::new("panda", Duration::from_millis(1), ControlMode::Velocity);
    bench.go(60);
    bench.link.wire().fault = Some(FaultCode(7));
    bench.go(60);
    let sent = bench.link.wire().sent.clone();
    assert_eq!(sent.last().unwrap()[0], 0.0, "a controller would go on with the last velocity");
    let most = 1.25 * bench.robot.limits.joint_acceleration[0] * bench.period.as_secs_f64() + 1e-9;
    assert!(sent.windows(2).all(|pair| (pair[1][0] - pair[0][0]).abs() <= most));
}

/// A program that is suspended for 50 ms finds an arm that stood still by itself meanwhile, and continues.
#[test]
fn an_arm_that_stood_during_a_pause_begins_at_rest() {
    for stands in [false, true] {
        let mut bench = Bench::new("jaco_j2s7s300", Duration::from_millis(100), ControlMode::Velocity);
        bench.link.wire().stands_after = stands.then_some(Duration::from_millis(30));
        bench.go(60);
        assert!((bench.link.wire().sent.last().unwrap()[0] - SPEED).abs() < 1e-9);
        bench.clock.advance(Duration::from_millis(50));
        bench.go(1);
        let first = bench.link.wire().sent.last().unwrap()[0];
        let step = 1.25 * bench.robot.limits.joint_acceleration[0] * bench.period.as_secs_f64();
        let expected = if stands { step } else { SPEED };
        assert!((first - expected).abs() < 1e-9, "stands {stands}: {first}");
    }
}

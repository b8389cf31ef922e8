//! Other ways to an arm that does not receive commands: its controller's service, its guard, a new link.

use super::*;

/// States arrive and commands do not: an arm that keeps moving against its commands is switched off by its controller's service,
/// which uses another path.
#[test]
fn an_arm_that_does_not_hear_is_switched_off_by_its_service() {
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().endless = true;
        bench.go(60);
        bench.link.wire().deaf = true;
        bench.go(60);
        assert!(bench.link.wire().on, "{mode}: it does what it is commanded, and nothing can be seen of the loss");
        let (before, speed) = (bench.at(), bench.speed());
        bench.back = true;
        let mut condition = None;
        for _ in 0..100 {
            condition = bench.turn(true).map(|state| state.condition);
        }
        assert_eq!(condition, Some(Condition::Lost(DriverError::Runaway { joint: 0 })), "{mode}");
        assert!(!bench.link.wire().on, "{mode}: its controller runs");
        let found = found_within(&bench.robot, mode, speed) + 2.0 * bench.period.as_secs_f64();
        // Under torque it accelerates meanwhile.
        let faster = if mode == ControlMode::Torque { 0.5 * PUSH / 5.0 * found * found } else { 0.0 };
        let (way, most) = (bench.at() - before, speed * found + faster);
        assert!(way <= most, "{mode}: {way} rad, at most {most}");
    }
}

/// The same arm receives its commands: nothing is detected, whatever it is commanded.
#[test]
fn an_arm_that_hears_is_commanded_on() {
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.link.wire().endless = true;
        for turn in 0..12 {
            bench.back = turn % 2 == 1;
            bench.go(10);
        }
        assert!(bench.link.wire().on, "{mode}");
    }
}

/// A guard that is fed while no states arrive would not stop the arm.
#[test]
fn a_guard_is_told_to_stop_an_arm_of_which_nothing_is_heard_and_is_fed_no_more() {
    use std::io::Read;
    for mode in [ControlMode::Velocity, ControlMode::Torque] {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        let heartbeat = Heartbeat::over(ours, 7, bench.clock.clone());
        let now = bench.clock.now();
        let answer = bench.worker.request(now, Request::Activate(mode, Some(heartbeat.clone())));
        assert!(matches!(answer, Reply::Activated(Ok(()))));
        bench.go(60);
        assert!(!heartbeat.stop_was_requested());
        bench.link.wire().muted = true;
        bench.go(100);
        assert!(heartbeat.stop_was_requested(), "{mode}");
        heartbeat.done();
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();
        let frames: Vec<&[u8]> = bytes[..bytes.len() - 4].chunks(2 + 7 * 8).collect();
        assert!(frames.iter().all(|frame| frame[0] == b'B'), "{mode}: beats until then");
        assert!(frames[frames.len() - 1][2..].iter().all(|byte| *byte == 0), "{mode}: the last command was rest");
        assert_eq!(&bytes[bytes.len() - 4..], b"S\x00D\x00", "{mode}: and nothing afterwards");
    }
}

/// The way back from an arm's own hold may take longer than its guard allows; until that hold is active the guard counts.
#[test]
fn a_guard_is_fed_until_the_arms_own_hold_has_it_and_again_once_it_is_commanded() {
    let mut bench = Bench::new("jaco_j2s7s300", Duration::from_millis(100), ControlMode::Torque);
    bench.link.wire().hands_over = Some(Duration::from_secs(1));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let heartbeat = Heartbeat::over(ours, 7, bench.clock.clone());
    let now = bench.clock.now();
    let answer = bench.worker.request(now, Request::Activate(ControlMode::Torque, Some(heartbeat.clone())));
    assert!(matches!(answer, Reply::Activated(Ok(()))));
    for _ in 0..3 {
        bench.go(20);
        bench.left = Setpoint::Hold;
        bench.turn(false);
        assert_eq!(bench.link.own_hold(), OwnHold::Requested);
        assert!(heartbeat.is_beating(), "it may still move");
        // A command that comes too early waits.
        bench.turn(true);
        assert_eq!(bench.link.own_hold(), OwnHold::Yes);
        assert!(!heartbeat.is_beating(), "it stands by itself");
        bench.turn(true);
        assert_eq!(bench.link.own_hold(), OwnHold::No);
        assert!(heartbeat.is_beating(), "it is commanded");
        assert_eq!(heartbeat.fault(bench.clock.now()), None);
    }
}

#[test]
fn a_link_that_died_is_said_made_anew_and_used_to_ramp_to_rest() {
    for mode in MODES {
        let mut bench = Bench::new("panda", Duration::from_millis(1), mode);
        bench.go(60);
        bench.link.wire().sent.clear();
        bench.link.wire().dead = true;
        let mut told = None;
        for turn in 0..40 {
            if let Some(state) = bench.turn(true)
                && state.condition == Condition::Lost(DriverError::LinkDied)
            {
                told.get_or_insert(turn);
            }
        }
        let told = told.expect("the fault was never reported");
        assert!(told <= 6, "{mode}: told after {told} turns of 10 ms");
        assert_eq!(bench.link.wire().rebuilt, 1, "{mode}");
        bench.go(100);
        assert!(!bench.link.wire().on, "{mode}: its controller runs");
        if mode == ControlMode::Velocity {
            let sent = bench.link.wire().sent.clone();
            let most = 1.25 * bench.robot.limits.joint_acceleration[0] * bench.period.as_secs_f64() + 1e-9;
            assert!(SPEED - sent[0][0] <= most, "the ramp begins where the last command was: {}", sent[0][0]);
            assert_eq!(sent.last().unwrap()[0], 0.0);
        }
    }
}

#[test]
fn a_program_that_ends_while_nothing_is_known_ramps_to_rest_first() {
    for mode in MODES {
        let mut bench = Bench::new("sawyer", Duration::from_millis(10), mode);
        bench.go(60);
        bench.link.wire().muted = true;
        bench.clock.advance(Duration::from_millis(60));
        let now = bench.clock.now();
        bench.worker.ended(now);
        let sent = bench.link.wire().sent.clone();
        let (last, before) = (sent[sent.len() - 1][0], sent[sent.len() - 2][0]);
        match mode {
            ControlMode::Position => assert_eq!(last, before),
            _ => assert_eq!(last, 0.0),
        }
        assert!(!bench.link.wire().on, "{mode}");
    }
}

//! Tests of the control loop with a fake arm and a manual clock.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::runtime::fake::{FakeArm, Switches};
use crate::runtime::latest;
use visuomotor_core::action::ActionBounds;
use visuomotor_core::config::{GripperPolicy, Robot};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::time::ManualClock;

/// A loop over a fake WidowX, driven tick by tick.
struct Bench {
    arm: FakeArm,
    switches: Switches,
    controller: Controller,
    safety: SafetyFilter,
    period: Duration,
}

impl Bench {
    fn new() -> Self {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let (arm, switches) = FakeArm::at(*chain.home(), 1.0);
        let (bounds, period) = (ActionBounds::BRIDGE, Duration::from_millis(200));
        let controller = Controller::new(&robot, chain.clone(), bounds, GripperPolicy::Direct, period);
        let safety = SafetyFilter::new(&robot, chain);
        Self { arm, switches, controller, safety, period: Duration::from_millis(20) }
    }

    /// Runs `ticks` ticks; `each` gets every tick's index and may publish an action before it.
    fn run(
        &mut self,
        ticks: u32,
        ring: usize,
        mut each: impl FnMut(u32, Timestamp) -> (Option<TimedAction>, Strain),
    ) -> (Vec<Result<ControlTick, DriverError>>, ControlCounts) {
        let (mut action_writer, actions) = latest();
        let (states, _reader) = latest();
        let (producer, _consumer) = rtrb::RingBuffer::new(ring);
        let parts: ControlParts<'_> = (&mut self.arm, &mut self.controller, &mut self.safety);
        let mut control = ControlLoop::new(parts, actions, states, producer, Timestamp::ZERO);
        let stopwatch = ManualClock::new();
        let mut now = Timestamp::ZERO;
        let mut results = Vec::new();
        for index in 0..ticks {
            let (action, strain) = each(index, now);
            if let Some(action) = action {
                action_writer.publish(now, action);
            }
            results.push(control.tick(Due::on_time(now), strain, &stopwatch));
            now = now + self.period;
        }
        (results, control.counts)
    }
}

fn lift(step_index: u64, now: Timestamp) -> TimedAction {
    let action = Action { translation: [0.0, 0.0, 0.01], rotation: [0.0; 3], gripper: 1.0 };
    TimedAction {
        action,
        motion: None,
        step_index,
        image_captured_at: now,
        decided_at: now,
        expires_at: Timestamp::NEVER,
        paused: false,
    }
}

fn filtered(results: &[Result<ControlTick, DriverError>]) -> Vec<Filtered> {
    results.iter().map(|tick| tick.unwrap().filtered).collect()
}

#[test]
fn until_the_first_action_the_measured_position_is_sent() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(5, 16, |_, _| (None, Strain::None));
    for tick in results {
        let tick = tick.unwrap();
        assert_eq!((tick.sent.joints(), tick.sent.gripper()), (tick.measured, 1.0));
        assert_eq!((tick.filtered, tick.step_index), (Filtered::Passed, None));
        assert!(tick.image_age_seconds.is_nan());
    }
    assert_eq!(counts, ControlCounts { ticks: 5, ..Default::default() });
}

#[test]
fn an_old_action_makes_the_arm_hold_once_and_a_new_one_moves_it_again() {
    let mut bench = Bench::new();
    // Actions at ticks 0 and 40; the first is too old (0.5 s) from tick 26 on.
    let (results, counts) =
        bench.run(50, 64, |index, now| (matches!(index, 0 | 40).then(|| lift(u64::from(index), now)), Strain::None));
    let filtered = filtered(&results);
    assert!(filtered[..26].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
    assert!(filtered[26..40].iter().all(|f| *f == Filtered::Stopped(LimitReason::CommandAge)), "{filtered:?}");
    assert!(filtered[40..].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
    assert_eq!((counts.stopped, counts.resumed), (1, 1));
    assert_eq!(bench.switches.hold_count(), 2, "one for the stop, one by the guard at the end");
    // It continues from the measured position, not from an old target.
    let resumed = results[40].unwrap();
    for (sent, measured) in resumed.sent.joints().iter().zip(resumed.measured.iter()) {
        assert!((sent - measured).abs() < 1e-9);
    }
}

#[test]
fn an_action_that_is_not_finite_is_refused_and_the_arm_holds_until_the_next() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(30, 64, |index, now| {
        let mut action = (index % 10 == 0).then(|| lift(u64::from(index), now));
        if let (10, Some(action)) = (index, &mut action) {
            action.action.rotation[1] = f64::NAN;
        }
        (action, Strain::None)
    });
    let filtered = filtered(&results);
    assert!(filtered[10..20].iter().all(|f| *f == Filtered::Stopped(LimitReason::NotFinite)), "{filtered:?}");
    assert!(filtered[20..].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
    assert_eq!((counts.stopped, counts.resumed), (1, 1));
}

#[test]
fn a_strained_loop_holds_and_takes_no_action_until_it_is_on_time() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(6, 16, |index, now| {
        let strain = if (1..4).contains(&index) { Strain::Hold } else { Strain::None };
        (Some(lift(u64::from(index), now)), strain)
    });
    let held = Filtered::Stopped(LimitReason::Deadlines);
    let filtered = filtered(&results);
    assert_eq!(filtered.iter().map(|f| *f == held).collect::<Vec<_>>(), [false, true, true, true, false, false]);
    assert_eq!((counts.stopped, counts.resumed), (1, 1));
}

#[test]
fn an_unreachable_target_keeps_the_last_one() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(100, 128, |index, now| {
        let mut action = (index % 10 == 0).then(|| lift(u64::from(index), now));
        if let Some(action) = &mut action {
            // More and more roll about the base x axis: the wrist reaches its limits.
            action.action = Action { translation: [0.0; 3], rotation: [0.25, 0.25, 0.25], gripper: 1.0 };
        }
        (action, Strain::None)
    });
    assert!(counts.no_solution > 0);
    assert!(filtered(&results).contains(&Filtered::Limited(LimitReason::NoSolution)));
    assert!(results.iter().all(|tick| tick.unwrap().sent.joints().is_finite()));
    assert_eq!(counts.stopped, 0);
}

#[test]
fn an_action_is_as_old_as_its_observation() {
    let mut bench = Bench::new();
    // Decided just now, on an observation that is valid until 0.1 s.
    let (results, counts) = bench.run(20, 64, |index, now| {
        let expires_at = Timestamp::from_nanos(100_000_000);
        ((index == 0).then(|| TimedAction { expires_at, ..lift(0, now) }), Strain::None)
    });
    let filtered = filtered(&results);
    assert!(filtered[..6].iter().all(|f| !matches!(f, Filtered::Stopped(_))), "{filtered:?}");
    assert!(filtered[6..].iter().all(|f| *f == Filtered::Stopped(LimitReason::ImageAge)), "{filtered:?}");
    assert_eq!((counts.stopped, bench.switches.hold_count()), (1, 1), "commanded once, and the guard knows");
}

#[test]
fn a_result_that_comes_after_a_stall_is_not_executed_and_the_one_before_goes_on() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(24, 64, |index, now| {
        let late = TimedAction { expires_at: Timestamp::from_nanos(1), ..lift(1, now) };
        let action = match index {
            0 => Some(lift(0, now)),
            5 => Some(late),
            _ => None,
        };
        (action, Strain::None)
    });
    assert!(results[1..].iter().all(|tick| tick.unwrap().step_index == Some(0)));
    assert_eq!(counts.stopped, 0);
}

#[test]
fn a_withdrawn_action_holds_at_the_next_tick_and_a_new_one_moves_again() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(20, 64, |index, now| {
        let action = match index {
            0 => Some(lift(0, now)),
            5 => Some(lift(0, Timestamp::ZERO).taken_back()),
            // Withdrawn before it was seen.
            8 => Some(lift(1, now).taken_back()),
            12 => Some(lift(2, now)),
            _ => None,
        };
        (action, Strain::None)
    });
    let held: Vec<bool> = filtered(&results).iter().map(|f| *f == Filtered::Stopped(LimitReason::ImageAge)).collect();
    let expected: Vec<bool> = (0..20).map(|tick| (5..12).contains(&tick)).collect();
    assert_eq!(held, expected);
    assert_eq!((counts.stopped, counts.resumed), (1, 1));
    assert!(results[12..].iter().all(|tick| tick.unwrap().step_index == Some(2)));
}

#[test]
fn a_paused_run_holds_although_the_withdrawn_action_was_never_seen() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(20, 64, |index, now| {
        let action = match index {
            0 => Some(lift(0, now)),
            5 => Some(lift(1, now).paused()),
            12 => Some(lift(2, now)),
            _ => None,
        };
        (action, Strain::None)
    });
    let held: Vec<bool> = filtered(&results).iter().map(|f| *f == Filtered::Stopped(LimitReason::Paused)).collect();
    let expected: Vec<bool> = (0..20).map(|tick| (5..12).contains(&tick)).collect();
    assert_eq!(held, expected);
    assert_eq!((counts.stopped, counts.resumed), (1, 1));
}

#[test]
fn after_a_jump_of_the_clock_nothing_old_moves_the_arm() {
    let mut bench = Bench::new();
    // The process was suspended for 0.6 s between two ticks, as by SIGSTOP.
    bench.period = Duration::from_millis(600);
    let (results, _) = bench.run(3, 8, |index, now| {
        let expires_at = now + Duration::from_millis(500);
        ((index == 0).then(|| TimedAction { expires_at, ..lift(0, now) }), Strain::None)
    });
    let home = results[0].unwrap().measured;
    for tick in &results[1..] {
        let tick = tick.unwrap();
        assert_eq!(tick.filtered, Filtered::Stopped(LimitReason::ImageAge));
        assert_eq!(tick.measured, home);
    }
}

#[test]
fn a_full_ring_drops_ticks_and_counts_them() {
    let mut bench = Bench::new();
    let (results, counts) = bench.run(10, 4, |_, _| (None, Strain::None));
    assert_eq!((results.len(), counts.ticks, counts.dropped), (10, 10, 6));
}

#[test]
fn a_silent_arm_is_commanded_to_hold_at_once() {
    let mut bench = Bench::new();
    let switches = bench.switches.clone();
    let (results, counts) = bench.run(3, 16, |index, now| {
        if index == 2 {
            assert!(!switches.holds());
            switches.silence(true);
        }
        (Some(lift(0, now)), Strain::None)
    });
    assert_eq!(results[2], Err(DriverError::Silent));
    assert_eq!(counts.ticks, 2);
    assert!(bench.switches.holds());
    assert_eq!(bench.switches.hold_count(), 1, "the guard knows that it holds");
}

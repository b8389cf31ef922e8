//! Lockstep: order, repeatability, and every end of a run with the arm holding.

use visuomotor::action::{Action, ActionError};
use visuomotor::camera::CameraError;
use visuomotor::driver::DriverError;
use visuomotor::episode::{Filtered, LimitReason, Outcome};
use visuomotor::runtime::fake::Switches;
use visuomotor::runtime::{EpisodeReport, RuntimeError, Station, StopFlag, Timing, run_episode};
use visuomotor::time::{Clock, ManualClock, Timestamp};

use crate::station::{Clockwatcher, Listener, Script, request, station, wave};

fn episode(station: &mut Station, seconds: f64, listener: &mut Listener) -> EpisodeReport {
    let (clock, stopwatch, stop) = (ManualClock::new(), ManualClock::new(), StopFlag::new());
    let (mut source, mut judge) = (Script::new(wave), Clockwatcher::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
    run_episode(station, request(seconds, &mut source, listener, &mut judge, &stop), timing)
}

fn assert_aborted(report: &EpisodeReport, listener: &Listener, arm: &Switches, word: &str) {
    let Outcome::Aborted { judge, why } = &report.outcome else { panic!("{:?}", report.outcome) };
    assert_eq!(judge, "runtime");
    assert!(why.contains(word), "{why}");
    assert!(arm.holds());
    assert_eq!(listener.end.as_ref().map(|end| &end.outcome), Some(&report.outcome));
    assert!(listener.events.ends_with('>'));
}

#[test]
fn ticks_and_steps_come_in_order_and_the_first_tick_holds_the_measured_position() {
    let (mut station, arm, _) = station();
    let home = *station.chain.home();
    let mut listener = Listener::default();
    let report = episode(&mut station, 1.0, &mut listener);
    let block = "tS".to_string() + &"t".repeat(9);
    assert_eq!(listener.events, format!("<{}>", block.repeat(5)));
    assert_eq!((report.steps, report.control_ticks, report.seconds), (5, 50, 1.0));
    assert_eq!(report.outcome.word(), "failure");
    assert!(report.fault.is_none() && arm.holds());

    let (first, second) = (&listener.ticks[0], &listener.ticks[1]);
    assert_eq!((first.sent.joints(), first.step_index, first.filtered), (home, None, Filtered::Passed));
    assert_eq!(second.step_index, Some(0), "an action acts from the next control tick");
    assert_eq!(second.image_age_seconds, 0.02);
    assert_ne!(listener.ticks[9].sent.joints(), home);

    let ledger = report.ledger.summary().0;
    assert_eq!(ledger["image_age"].count, 49);
    assert!((ledger["image_age"].max - 200.0).abs() < 0.2, "{ledger:?}");
    assert!((ledger["encoder"].p50 - 4.0).abs() < 0.01, "{ledger:?}");
    assert_eq!((ledger["decision"].count, ledger["control_jitter"].count), (5, 0));
}

#[test]
fn the_same_episode_twice_gives_the_same_control_ticks() {
    let run = || {
        let (mut station, _, _) = station();
        let mut listener = Listener::default();
        episode(&mut station, 2.0, &mut listener);
        // As text: the image age of the first tick is NaN, which equals nothing.
        format!("{:?}", listener.ticks)
    };
    assert_eq!(run(), run());
}

#[test]
fn time_goes_on_from_episode_to_episode_on_the_same_clock() {
    let (mut station, _, _) = station();
    let (clock, stopwatch, stop) = (ManualClock::new(), ManualClock::new(), StopFlag::new());
    for _ in 0..2 {
        let (mut source, mut judge, mut listener) = (Script::new(wave), Clockwatcher::default(), Listener::default());
        let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
        let report = run_episode(&mut station, request(0.6, &mut source, &mut listener, &mut judge, &stop), timing);
        assert_eq!((report.steps, report.control_ticks), (3, 30));
        assert_eq!(judge.asked, 3);
    }
    assert_eq!(clock.now(), Timestamp::from_secs_f64(1.2));
}

#[test]
fn a_verdict_ends_the_episode_after_its_step() {
    let (mut station, arm, _) = station();
    let (clock, stop) = (ManualClock::new(), StopFlag::new());
    let mut judge = Clockwatcher { success_after: Some(3), ..Default::default() };
    let (mut source, mut listener) = (Script::new(wave), Listener::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, request(60.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert!(report.outcome.is_success() && arm.holds());
    assert_eq!((report.steps, report.seconds), (3, 0.4));
    assert!(listener.events.ends_with("tS>"));
}

#[test]
fn a_stale_image_holds_the_arm_and_aborts_when_it_lasts() {
    let (mut station, arm, camera) = station();
    let mut listener = Listener::at_step(move |step| {
        camera.freeze(step >= 1);
        Ok(())
    });
    let report = episode(&mut station, 9.0, &mut listener);
    // Frozen at 0.2 s: 0.2 s old at the next decision, 0.4 s at the one after, and 0.3 s is the limit. Held for 5 s.
    assert_eq!((report.steps, report.stopped, report.seconds), (3, 1, 5.8));
    assert!(matches!(report.fault, Some(RuntimeError::Camera(CameraError::Lost { .. }))), "{:?}", report.fault);
    assert_aborted(&report, &listener, &arm, "5.600 s old");
}

#[test]
fn a_silent_camera_aborts_with_the_arm_holding() {
    let (mut station, arm, camera) = station();
    camera.silence(true);
    let mut listener = Listener::default();
    let report = episode(&mut station, 9.0, &mut listener);
    assert_eq!(report.steps, 0);
    assert_aborted(&report, &listener, &arm, "over_shoulder");
}

#[test]
fn a_silent_arm_aborts_and_is_told_to_hold() {
    let (mut station, arm, _) = station();
    let switches = arm.clone();
    let mut listener = Listener::at_step(move |step| {
        switches.silence(step == 2);
        Ok(())
    });
    let report = episode(&mut station, 5.0, &mut listener);
    assert!(matches!(report.fault, Some(RuntimeError::Driver(DriverError::Silent))), "{:?}", report.fault);
    assert_aborted(&report, &listener, &arm, "silent");
}

#[test]
fn an_action_that_is_not_finite_holds_the_arm_and_the_next_one_moves_it_again() {
    let (mut station, arm, _) = station();
    let (clock, stop) = (ManualClock::new(), StopFlag::new());
    let mut source = Script::new(|step| match step {
        1 => Ok(Action { translation: [f64::NAN, 0.0, 0.0], rotation: [0.0; 3], gripper: 1.0 }),
        _ => wave(step),
    });
    let (mut judge, mut listener) = (Clockwatcher::default(), Listener::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, request(1.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert_eq!((report.stopped, report.resumed, report.steps), (1, 1, 5));
    let refused: Vec<_> =
        listener.ticks.iter().filter(|t| t.filtered == Filtered::Stopped(LimitReason::NotFinite)).collect();
    assert_eq!(refused.len(), 10);
    assert!(refused.iter().all(|tick| tick.sent.joints().is_finite() && tick.step_index == Some(1)));
    assert!(report.fault.is_none() && arm.holds());
}

#[test]
fn a_source_that_gives_up_aborts() {
    let (mut station, arm, _) = station();
    let (clock, stop) = (ManualClock::new(), StopFlag::new());
    let mut source = Script::new(|step| if step < 2 { wave(step) } else { Err(ActionError::Ended("no more".into())) });
    let (mut judge, mut listener) = (Clockwatcher::default(), Listener::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, request(5.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert_aborted(&report, &listener, &arm, "no more");
}

#[test]
fn a_panic_in_the_source_leaves_the_arm_holding() {
    let (mut station, arm, _) = station();
    let (clock, stop) = (ManualClock::new(), StopFlag::new());
    let mut source = Script::new(|step| if step < 2 { wave(step) } else { panic!("index out of bounds") });
    let (mut judge, mut listener) = (Clockwatcher::default(), Listener::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, request(5.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert!(matches!(report.fault, Some(RuntimeError::Panicked(_))));
    assert_aborted(&report, &listener, &arm, "index out of bounds");
}

#[test]
fn a_panic_in_the_driver_leaves_the_arm_holding() {
    let (mut station, arm, _) = station();
    let switches = arm.clone();
    let mut listener = Listener::at_step(move |step| {
        switches.panic(step == 1);
        Ok(())
    });
    let report = episode(&mut station, 5.0, &mut listener);
    assert_aborted(&report, &listener, &arm, "told to panic");
}

#[test]
fn a_listener_that_fails_is_told_nothing_more_but_the_end_and_the_arm_goes_on() {
    let (mut station, arm, _) = station();
    let mut listener = Listener::at_step(|step| if step == 3 { Err(anyhow::anyhow!("disk full")) } else { Ok(()) });
    let report = episode(&mut station, 5.0, &mut listener);
    assert_eq!((report.steps, report.control_ticks, report.outcome.word()), (25, 250, "failure"));
    assert!(matches!(&report.fault, Some(RuntimeError::Sink(why)) if why.to_string().contains("disk full")));
    assert_eq!(listener.steps, 4);
    assert!(listener.events.ends_with("S>") && arm.holds(), "{}", listener.events);
    assert_eq!(listener.end.map(|end| end.outcome), Some(report.outcome));
}

#[test]
fn the_stop_flag_aborts_with_the_arm_holding() {
    let (mut station, arm, _) = station();
    let (clock, stop) = (ManualClock::new(), StopFlag::new());
    let button = stop.clone();
    let mut listener = Listener::at_step(move |step| {
        if step == 1 {
            button.raise("red button");
        }
        Ok(())
    });
    let (mut source, mut judge) = (Script::new(wave), Clockwatcher::default());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, request(5.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert_eq!(report.outcome, Outcome::Aborted { judge: "operator".into(), why: "red button".into() });
    assert!(report.fault.is_none() && arm.holds());
    assert_eq!(clock.now(), Timestamp::from_secs_f64(0.22), "no control tick after the flag went up");
    assert_eq!(listener.end.unwrap().outcome, report.outcome);
}

#[test]
fn nonsense_lengths_end_at_once() {
    for seconds in [0.0, -1.0, f64::NAN] {
        let (mut station, arm, _) = station();
        let mut listener = Listener::default();
        let report = episode(&mut station, seconds, &mut listener);
        assert_eq!((report.steps, listener.events.as_str()), (0, "<>"));
        assert!(arm.holds());
    }
}

//! Real time: only counts and order, never durations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use visuomotor::driver::DriverError;
use visuomotor::episode::Outcome;
use visuomotor::runtime::fake::{Call, SeenArm};
use visuomotor::runtime::{
    DeadlineBudget, EpisodeReport, Posture, Realtime, RuntimeError, Station, StopFlag, Timing, WallOptions, go_to,
    run_episode,
};
use visuomotor::time::{SystemClock, Timestamp};

use crate::station::{Clockwatcher, Listener, Script, request, station, wave, wrap};

/// A machine busy with other tests may miss deadlines for a long time.
pub const PATIENT: WallOptions = WallOptions {
    budget: DeadlineBudget {
        warn: Duration::from_millis(20),
        hold: Duration::from_secs(200),
        stop: Duration::from_secs(400),
    },
    realtime: Realtime { priority: None, lock_memory: false, cpu: None },
};

fn episode(
    station: &mut Station,
    seconds: f64,
    listener: &mut Listener,
    stop: &StopFlag,
    options: &WallOptions,
) -> EpisodeReport {
    // A decision must not go stale on a busy machine either.
    station.cameras.iter_mut().for_each(|(_, max_age)| *max_age = 60.0);
    let (mut source, mut judge) = (Script::new(wave), Clockwatcher::default());
    let timing = Timing::Wall { clock: &SystemClock::new(), options };
    run_episode(station, request(seconds, &mut source, listener, &mut judge, stop), timing)
}

#[test]
fn both_loops_run_and_the_listener_hears_everything_in_order() {
    let (mut station, arm, _) = station();
    let mut listener = Listener::default();
    let report = episode(&mut station, 0.6, &mut listener, &StopFlag::new(), &PATIENT);
    assert!(report.fault.is_none(), "{:?}", report.fault);
    assert_eq!(report.outcome.word(), "failure");
    assert!(arm.holds());
    assert!(listener.events.starts_with("<t") && listener.events.ends_with('>'), "{}", listener.events);
    assert_eq!(listener.events.matches('>').count(), 1);
    assert_eq!(listener.steps, report.steps);
    assert!(report.steps >= 1 && report.steps <= 3, "{}", report.steps);
    assert_eq!(listener.ticks.len() as u64 + report.dropped_ticks, report.control_ticks);
    assert!(listener.ticks.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].step_index <= pair[1].step_index));
    // Every planned start was either run or counted as missed; the last few may fall after the end.
    let planned = report.control_ticks + report.deadline_misses.control;
    assert!(planned >= 30, "{planned}");
    assert_eq!(report.ledger.summary().0["control_jitter"].count, report.control_ticks - 1);
}

#[test]
fn a_silent_arm_ends_the_episode_from_the_control_thread() {
    let (mut station, arm, _) = station();
    let switches = arm.clone();
    let mut listener = Listener::at_step(move |_| {
        switches.silence(true);
        Ok(())
    });
    let report = episode(&mut station, 60.0, &mut listener, &StopFlag::new(), &PATIENT);
    assert!(matches!(report.fault, Some(RuntimeError::Driver(DriverError::Silent))), "{:?}", report.fault);
    assert!(arm.holds() && listener.end.unwrap().outcome.word() == "aborted");
}

#[test]
fn a_fault_is_told_in_the_words_of_the_arm() {
    let (mut station, arm, _) = station();
    let switches = arm.clone();
    let mut listener = Listener::at_step(move |_| {
        switches.fault(true);
        Ok(())
    });
    let report = episode(&mut station, 60.0, &mut listener, &StopFlag::new(), &PATIENT);
    let words = "the arm stopped: the elbow hit 7 cups";
    assert_eq!(report.fault.map(|fault| fault.to_string()).as_deref(), Some(words));
    let Outcome::Aborted { why, .. } = listener.end.unwrap().outcome else { panic!("not aborted") };
    assert_eq!(why, words);
    assert!(arm.holds());
}

#[test]
fn a_panic_on_either_thread_leaves_the_arm_holding() {
    let (mut on_control, arm, _) = station();
    let switches = arm.clone();
    let mut listener = Listener::at_step(move |_| {
        switches.panic(true);
        Ok(())
    });
    let report = episode(&mut on_control, 60.0, &mut listener, &StopFlag::new(), &PATIENT);
    assert!(matches!(report.fault, Some(RuntimeError::Panicked(_))) && arm.holds(), "{:?}", report.fault);

    let (mut on_decision, arm, _) = station();
    let mut listener = Listener::at_step(|_| panic!("the recorder fell over"));
    let report = episode(&mut on_decision, 60.0, &mut listener, &StopFlag::new(), &PATIENT);
    assert!(matches!(report.fault, Some(RuntimeError::Panicked(_))) && arm.holds(), "{:?}", report.fault);
}

#[test]
fn the_control_thread_stops_even_while_a_decision_hangs() {
    let (mut station, arm, _) = station();
    let stop = StopFlag::new();
    let (button, switches) = (stop.clone(), arm.clone());
    let mut listener = Listener::at_step(move |_| {
        button.raise("red button");
        // The decision side is busy here until the control thread, on its own, has commanded the arm to hold.
        while !switches.holds() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let report = episode(&mut station, 60.0, &mut listener, &stop, &PATIENT);
    assert_eq!(report.outcome, Outcome::Aborted { judge: "operator".into(), why: "red button".into() });
    assert!(report.fault.is_none(), "{:?}", report.fault);
}

#[test]
fn a_loop_that_keeps_missing_deadlines_is_ended() {
    let (mut station, arm, _) = station();
    // A slow bus. The time is real, and none of what is asserted depends on how long a sleep took.
    let slow = |_: Timestamp, call: Call<'_>| {
        if call == Call::Read {
            std::thread::sleep(Duration::from_millis(70));
        }
    };
    wrap(&mut station, |arm| Box::new(SeenArm::new(arm, slow)));
    let millis = Duration::from_millis;
    let budget = DeadlineBudget { warn: millis(20), hold: millis(80), stop: millis(240) };
    let options = WallOptions { budget, ..Default::default() };
    let mut listener = Listener::default();
    let report = episode(&mut station, 60.0, &mut listener, &StopFlag::new(), &options);
    assert!(matches!(report.fault, Some(RuntimeError::Deadlines { limit, .. }) if limit == 0.24), "{:?}", report.fault);
    assert!(report.deadline_misses.control >= 12 && arm.holds());
}

#[test]
fn a_posture_is_reached_in_real_time_too() {
    let (mut station, arm, _) = station();
    let mut joints = *station.chain.home();
    joints[0] += 0.1;
    let posture = Posture { joints, gripper: 1.0, duration: Duration::from_millis(200) };
    let timing = Timing::Wall { clock: &SystemClock::new(), options: &PATIENT };
    let arrival = go_to(&mut station, &posture, timing, &StopFlag::new()).unwrap();
    assert!(arrival.off < 0.02 && arm.holds(), "{arrival:?}");
}

/// Processors the calling thread may run on.
fn processors() -> usize {
    // SAFETY: an all-zero cpu_set_t is the empty set; it outlives the call, which fills it for the calling thread (0).
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set), 0);
        libc::CPU_COUNT(&set) as usize
    }
}

/// Named after a bug: a motion to a start posture ran on the calling thread, without the requested scheduling.
#[test]
fn a_motion_to_a_posture_has_the_control_loops_real_time_wishes_and_says_what_became_of_them() {
    let (mut station, _, _) = station();
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&noted);
    let note = move |_: Timestamp, call: Call<'_>| {
        if matches!(call, Call::Write(_)) {
            notes.lock().unwrap().push(processors());
        }
    };
    wrap(&mut station, |arm| Box::new(SeenArm::new(arm, note)));
    let joints = *station.chain.home();
    let posture = Posture { joints, gripper: 1.0, duration: Duration::from_millis(100) };
    // Every process may choose among its processors; few may choose priorities.
    let realtime = Realtime { cpu: Some(0), ..Default::default() };
    let options = WallOptions { realtime, ..PATIENT };
    let timing = Timing::Wall { clock: &SystemClock::new(), options: &options };
    let before = processors();
    let arrival = go_to(&mut station, &posture, timing, &StopFlag::new()).unwrap();
    let noted = noted.lock().unwrap();
    assert!(!noted.is_empty() && noted.iter().all(|processors| *processors == 1), "{noted:?}");
    assert_eq!(processors(), before, "the calling thread is unchanged");
    assert_eq!(arrival.realtime.len(), 1);
    assert!(arrival.realtime[0].granted && arrival.realtime[0].request == "CPU 0", "{:?}", arrival.realtime);
}

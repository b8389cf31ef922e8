//! Camera faults and late decisions: the arm holds, and moves again only on fresh data. The clock is manual.

use std::time::Duration;

use visuomotor::action::{Action, ActionError, ActionSource, Decision};
use visuomotor::camera::{CameraError, Delivery, LivenessSettings};
use visuomotor::episode::{ControlTick, Filtered, LimitReason};
use visuomotor::observation::{JointVector, Observation};
use visuomotor::runtime::fake::{FakeCamera, Switches, View};
use visuomotor::runtime::{EpisodeReport, RuntimeError, Station, StopFlag, Timing, run_episode};
use visuomotor::time::{ManualClock, SystemClock, Timestamp};

use crate::station::{Clockwatcher, Listener, Script, request, station, wave};
use crate::wall::PATIENT;

const HELD: Filtered = Filtered::Stopped(LimitReason::ImageAge);

/// A source that always goes the same way, fast, and acts on the clock or a camera before it returns.
struct Sweep<F>(u64, F);

impl<F: FnMut(u64, Timestamp)> ActionSource for Sweep<F> {
    fn name(&self) -> &str {
        "sweep"
    }
    fn reset(&mut self) {}
    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        (self.1)(self.0, observation.observed_at);
        self.0 += 1;
        let back = if (self.0 / 4).is_multiple_of(2) { 1.0 } else { -1.0 };
        Ok(Decision::plain(Action { translation: [0.0, 0.03 * back, 0.0], rotation: [0.0; 3], gripper: 1.0 }))
    }
}

fn lockstep(
    station: &mut Station,
    seconds: f64,
    clock: &ManualClock,
    source: &mut dyn ActionSource,
) -> (EpisodeReport, Listener) {
    let (mut judge, mut listener, stop) = (Clockwatcher::default(), Listener::default(), StopFlag::new());
    let timing = Timing::Lockstep { clock, stopwatch: &ManualClock::new() };
    let report = run_episode(station, request(seconds, source, &mut listener, &mut judge, &stop), timing);
    (report, listener)
}

/// Shows `view` from the decision at `from` on, permanently.
fn shown(view: View, seconds: f64) -> (EpisodeReport, Listener, Switches) {
    let (mut station, arm, camera) = station();
    let mut source = Sweep(0, move |step, _| {
        if step == 4 {
            camera.show(view);
        }
    });
    let (report, listener) = lockstep(&mut station, seconds, &ManualClock::new(), &mut source);
    (report, listener, arm)
}

/// The first tick of the last stretch in which the arm held [s].
fn held_since(listener: &Listener) -> f64 {
    let moving = listener.ticks.iter().rposition(|tick| tick.filtered != HELD).unwrap();
    listener.ticks[moving + 1].at.as_secs_f64()
}

fn travelled(ticks: &[ControlTick]) -> f64 {
    let apart =
        |a: &JointVector, b: &JointVector| a.iter().zip(b.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    ticks.windows(2).map(|pair| apart(&pair[0].measured, &pair[1].measured)).sum()
}

#[test]
fn an_image_frozen_under_new_stamps_holds_a_moving_arm_and_the_episode_ends_when_it_lasts() {
    let (report, listener, arm) = shown(View::Still, 60.0);
    // The camera freezes after the image of the decision at 0.8 s; the two after it are still decided on.
    assert_eq!(report.steps, 6);
    assert_eq!(held_since(&listener), 1.22, "two ticks after the decision at 1.2 s observed");
    let Some(RuntimeError::Camera(CameraError::Lost { camera, fault, held, limit })) = &report.fault else {
        panic!("{:?}", report.fault)
    };
    assert_eq!((camera.as_str(), *limit), ("over_shoulder", 5.0));
    assert!(fault.contains("same to the last pixel") && *held > 5.0, "{fault}");
    assert!(arm.holds() && report.outcome.word() == "aborted");
    assert_eq!(report.camera_faults.len(), 1);
}

#[test]
fn a_still_scene_before_an_arm_at_rest_does_not_hold_it() {
    let (mut station, _, camera) = station();
    let mut rest = Script::new(move |step| {
        if step == 1 {
            camera.show(View::Still);
        }
        Ok(Action::stay(1.0))
    });
    let (report, listener) = lockstep(&mut station, 20.0, &ManualClock::new(), &mut rest);
    assert_eq!((report.steps, report.stopped), (100, 0));
    assert!(listener.ticks.iter().all(|tick| tick.filtered != HELD) && report.camera_faults.is_empty());
}

#[test]
fn a_sensor_that_promises_noise_is_frozen_before_an_arm_at_rest_too() {
    let (mut station, _, _) = station();
    let (camera, switches) = FakeCamera::new("over_shoulder", 8, 6);
    let noise = visuomotor::camera::SensorNoise::Promised;
    let camera = camera.with_liveness(LivenessSettings { noise, ..LivenessSettings::default() });
    station.cameras[0].0 = Box::new(camera);
    let mut rest = Script::new(move |step| {
        if step == 1 {
            switches.show(View::Still);
        }
        Ok(Action::stay(1.0))
    });
    let (report, _) = lockstep(&mut station, 60.0, &ManualClock::new(), &mut rest);
    assert!(matches!(report.fault, Some(RuntimeError::Camera(CameraError::Lost { .. }))), "{:?}", report.fault);
    assert_eq!(report.steps, 3);
}

#[test]
fn black_white_and_gray_images_are_never_decided_on() {
    for (view, word) in [(View::Black, "black"), (View::White, "saturated"), (View::Gray, "one color")] {
        let (report, listener, _) = shown(view, 60.0);
        assert_eq!(report.steps, 5, "{view:?}");
        assert_eq!(held_since(&listener), 1.02);
        assert!(report.fault.as_ref().is_some_and(|fault| fault.to_string().contains(word)), "{:?}", report.fault);
    }
}

#[test]
fn a_constant_delay_beyond_the_limit_holds_the_arm_however_often_images_come() {
    let (mut station, _, camera) = station();
    camera.delay(Duration::from_millis(310));
    // The clock's start is as old as an image can be.
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(10));
    let (report, listener) = lockstep(&mut station, 60.0, &clock, &mut Script::new(wave));
    assert_eq!((report.steps, travelled(&listener.ticks)), (0, 0.0));
    assert!(report.fault.unwrap().to_string().contains("0.310 s old"));
}

#[test]
fn a_camera_that_gets_well_moves_the_arm_again_after_three_good_images_and_the_episode_goes_on() {
    let (mut station, _, camera) = station();
    struct Healing {
        camera: Switches,
        ticks: u64,
    }
    impl visuomotor::episode::Judge for Healing {
        // Polled once per decision, also while the arm holds.
        fn judge(&mut self, _: Timestamp) -> Option<visuomotor::episode::Outcome> {
            self.ticks += 1;
            match self.ticks {
                5 => self.camera.show(View::Black),
                20 => self.camera.show(View::Scene),
                _ => {}
            }
            None
        }
        fn time_out(&mut self, _: Timestamp) -> visuomotor::episode::Outcome {
            visuomotor::episode::Outcome::Failure { judge: "test".into(), why: "time ran out".into() }
        }
    }
    let switches = camera.clone();
    let mut judge = Healing { camera, ticks: 0 };
    let (mut listener, stop, mut source) = (Listener::default(), StopFlag::new(), Script::new(wave));
    let mut unused = Clockwatcher::default();
    let mut asked = request(10.0, &mut source, &mut listener, &mut unused, &stop);
    asked.judge = &mut judge;
    let timing = Timing::Lockstep { clock: &ManualClock::new(), stopwatch: &ManualClock::new() };
    let report = run_episode(&mut station, asked, timing);
    assert!(report.fault.is_none(), "{:?}", report.fault);
    assert_eq!((report.outcome.word(), report.stopped, report.resumed), ("failure", 1, 1));
    // Decisions 5 to 19 saw black, 20 and 21 were the first two good ones, 22 moved the arm.
    assert_eq!(report.steps, 50 - 17);
    let held: Vec<f64> = listener.ticks.iter().filter(|t| t.filtered == HELD).map(|t| t.at.as_secs_f64()).collect();
    assert_eq!((held[0], held[held.len() - 1]), (1.02, 4.4));
    // Opened again after one second and two more; the camera recovered before the third time.
    assert_eq!(switches.reopen_count(), 1);
    // No jump: it continues from where it stood.
    let resumed = listener.ticks.iter().position(|tick| tick.at.as_secs_f64() == 4.42).unwrap();
    let (before, after) = (&listener.ticks[resumed - 1], &listener.ticks[resumed]);
    assert!(travelled(&[*before, *after]) == 0.0 && after.filtered != HELD);
    assert_eq!(report.camera_faults.len(), 1);
    assert!(report.camera_faults[0].contains("the arm held for 3.40 s"), "{:?}", report.camera_faults);
}

#[test]
fn a_decision_that_comes_after_a_stall_is_thrown_away_and_the_next_one_moves_the_arm() {
    // An encoder that hangs once, or the whole process: between observation and decision the clock advances by 0.6 s.
    let (mut station, _, _) = station();
    let clock = ManualClock::new();
    let mut source = Sweep(0, |step, _| {
        if step == 3 {
            clock.advance(Duration::from_millis(600));
        }
    });
    let (report, listener) = lockstep(&mut station, 4.0, &clock, &mut source);
    assert_eq!((report.discarded, report.stopped, report.resumed), (1, 1, 1));
    assert!(report.fault.is_none(), "{:?}", report.fault);
    // Observed at 0.6 s, decided at 1.2 s: the action in force is of the image of 0.4 s, and too old since 0.9 s.
    let at = |seconds: f64| listener.ticks.iter().find(|tick| tick.at.as_secs_f64() >= seconds - 1e-9).unwrap();
    assert_eq!(at(1.2).filtered, HELD);
    let later: Vec<_> = listener.ticks.iter().filter(|tick| tick.at.as_secs_f64() >= 1.2).collect();
    let first_moving = later.iter().find(|tick| tick.filtered != HELD).unwrap();
    assert_eq!(first_moving.step_index, Some(3), "the next decision, numbered as if the late one had not happened");
}

#[test]
fn decisions_that_always_come_too_late_never_move_the_arm_and_end_the_episode() {
    let (mut station, arm, _) = station();
    let home = *station.chain.home();
    let clock = ManualClock::new();
    let mut source = Sweep(0, |_, _| clock.advance(Duration::from_millis(501)));
    let (report, listener) = lockstep(&mut station, 60.0, &clock, &mut source);
    let Some(RuntimeError::LateDecisions { took, limit }) = report.fault else { panic!("{:?}", report.fault) };
    assert_eq!((took, limit), (0.501, 0.5));
    assert!(listener.ticks.iter().all(|tick| tick.sent.joints() == home) && arm.holds());
    assert_eq!((report.steps, listener.steps), (0, 0));
    assert!(report.discarded > 9, "{}", report.discarded);
}

/// Decides with another source, and ignores images.
struct Blind<S>(S);

impl<S: ActionSource> ActionSource for Blind<S> {
    fn name(&self) -> &str {
        "blind"
    }
    fn reset(&mut self) {}
    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError> {
        self.0.decide(observation)
    }
    fn looks_at_images(&self) -> bool {
        false
    }
}

#[test]
fn whoever_does_not_look_at_images_is_bound_by_when_it_was_asked() {
    // Images are 0.25 s old, and decisions take 0.3 s: together more than the limit of 0.5 s.
    let run = |blind: bool| {
        let (mut station, _, camera) = station();
        camera.delay(Duration::from_millis(250));
        let clock = ManualClock::new();
        clock.advance(Duration::from_secs(10));
        let slow = Sweep(0, |_, _| clock.advance(Duration::from_millis(300)));
        if blind {
            lockstep(&mut station, 3.0, &clock, &mut Blind(slow)).0
        } else {
            let mut slow = slow;
            lockstep(&mut station, 3.0, &clock, &mut slow).0
        }
    };
    let (looking, blind) = (run(false), run(true));
    assert_eq!((looking.steps, blind.discarded), (0, 0));
    assert!(looking.discarded > 5 && blind.steps > 5, "{} {}", looking.discarded, blind.steps);
}

#[test]
fn a_stream_that_falls_silent_between_two_decisions_holds_the_arm_before_the_next_one() {
    let (mut station, _, _) = station();
    let (camera, switches) = FakeCamera::new("over_shoulder", 8, 6);
    let delivery = Delivery::Stream { period: Some(Duration::from_millis(33)) };
    let camera = camera.with_liveness(LivenessSettings { delivery, ..LivenessSettings::default() });
    // Decisions are far apart, and images may be old: only the watch between decisions can detect it.
    station.cameras = vec![(Box::new(camera), 60.0)];
    station.policy_period = Duration::from_secs(60);
    let mut listener = Listener::at_step(move |_| {
        switches.freeze(true);
        Ok(())
    });
    let (mut source, mut judge, stop) = (Script::new(wave), Clockwatcher::default(), StopFlag::new());
    let timing = Timing::Wall { clock: &SystemClock::new(), options: &PATIENT };
    let report = run_episode(&mut station, request(1.0, &mut source, &mut listener, &mut judge, &stop), timing);
    assert!(report.fault.is_none(), "{:?}", report.fault);
    assert_eq!((report.steps, report.stopped), (1, 1));
    assert!(listener.ticks.iter().any(|tick| tick.filtered == HELD));
    assert!(report.camera_faults[0].contains("no new image"), "{:?}", report.camera_faults);
}

//! A run that changes hands, through the real loops: the arm holds during a pause and continues from where it is.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::{Action, ActionBounds, ActionError, ActionSource, Decision, Planned};
use visuomotor::config::{Robot, TeleopSetting};
use visuomotor::episode::{ControlTick, Filtered, LimitReason};
use visuomotor::kinematics::Chain;
use visuomotor::observation::Observation;
use visuomotor::operator::{Operator, Wish};
use visuomotor::runtime::{EpisodeReport, StopFlag, Timing, run_episode};
use visuomotor::teleop::{DeviceError, Handover, Handovers, Motion, Reading, TeleopDevice, TeleopSource};
use visuomotor::time::{ManualClock, Timestamp};

use crate::station::{Clockwatcher, Listener, request, station};

/// Presses buttons at set times, once each, when the device or the policy is polled.
struct Presses {
    operator: Operator,
    left: Vec<(f64, Wish)>,
}

impl Presses {
    fn press(&mut self, now: Timestamp) {
        while self.left.first().is_some_and(|(at, _)| now.as_secs_f64() >= at - 1e-9) {
            let (_, wish) = self.left.remove(0);
            assert!(self.operator.wish(wish, "page"));
        }
    }
}

/// Turns the waist with chunks of eight actions, longer than any pause here; only a new observation plans again.
#[derive(Default)]
struct Chunks {
    planned: Option<(Timestamp, u32)>,
    /// When each plan was made.
    looks: Vec<f64>,
}

impl ActionSource for Chunks {
    fn name(&self) -> &str {
        "chunks"
    }
    fn reset(&mut self) {}
    fn decide(&mut self, seen: &Observation) -> Result<Decision, ActionError> {
        let (image_captured_at, step) = match self.planned.take().filter(|(_, step)| *step < 8) {
            Some(plan) => plan,
            None => {
                self.looks.push(seen.observed_at.as_secs_f64());
                (seen.observed_at, 0)
            }
        };
        self.planned = Some((image_captured_at, step + 1));
        let planned = Some(Planned { image_captured_at, ahead: Duration::from_millis(200) * step });
        Ok(Decision { planned, ..Decision::plain(Action { translation: [0.0, 0.01, 0.0], ..Action::stay(1.0) }) })
    }
    fn look_anew(&mut self) {
        self.planned = None;
    }
}

/// Pushes up; disappears after some time.
struct Stick {
    gone: f64,
}

impl TeleopDevice for Stick {
    fn name(&self) -> &'static str {
        "stick"
    }
    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        if now.as_secs_f64() >= self.gone {
            return Err(DeviceError::Gone { device: "stick", cause: "unplugged".into() });
        }
        let motion = Motion::Deflection { along: [0.0, 0.0, 0.3], about: [0.0; 3] };
        Ok(Some(Reading { motion, engaged: true, gripper: Some(1.0), at: now }))
    }
}

/// The run's source, whose buttons are pressed at set times.
struct Pressed<'a> {
    run: Handover<'a>,
    presses: Presses,
}

impl ActionSource for Pressed<'_> {
    fn name(&self) -> &str {
        self.run.name()
    }
    fn reset(&mut self) {
        self.run.reset();
    }
    fn decide(&mut self, seen: &Observation) -> Result<Decision, ActionError> {
        self.run.decide(seen)
    }
    fn looks_at_images(&self) -> bool {
        self.run.looks_at_images()
    }
    fn is_paused(&mut self, now: Timestamp) -> bool {
        self.presses.press(now);
        self.run.is_paused(now)
    }
}

struct Ran {
    report: EpisodeReport,
    listener: Listener,
    handovers: Handovers,
    looks: Vec<f64>,
    operator: Operator,
}

fn drive(presses: &[(f64, Wish)], gone: f64, seconds: f64) -> Ran {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
    let chain = Chain::from_robot(&robot).unwrap();
    let (mut station, _, _) = station();
    let operator = Operator::default();
    let stick: Box<dyn TeleopDevice> = Box::new(Stick { gone });
    let (setting, period) = (TeleopSetting::default(), Duration::from_millis(200));
    let device = TeleopSource::new(stick, &setting, ActionBounds::BRIDGE, chain, period, operator.clone());
    let mut chunks = Chunks::default();
    let presses = Presses { operator: operator.clone(), left: presses.to_vec() };
    let mut source = Pressed { run: Handover::new(&mut chunks, Some(device), operator.clone()), presses };
    let (mut listener, mut judge, stop) = (Listener::default(), Clockwatcher::default(), StopFlag::new());
    let (clock, stopwatch) = (ManualClock::new(), ManualClock::new());
    let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
    let request = request(seconds, &mut source, &mut listener, &mut judge, &stop);
    let report = run_episode(&mut station, request, timing);
    let handovers = source.run.finish();
    Ran { report, listener, handovers, looks: chunks.looks, operator }
}

impl Ran {
    /// Ticks whose time is within these bounds \[s\].
    fn ticks(&self, from: f64, to: f64) -> Vec<&ControlTick> {
        let within = |at: f64| at > from + 1e-9 && at < to - 1e-9;
        let ticks: Vec<_> = self.listener.ticks.iter().filter(|tick| within(tick.at.as_secs_f64())).collect();
        assert!(!ticks.is_empty());
        ticks
    }

    /// How far the waist and the shoulder moved within this time \[rad\].
    fn way(&self, from: f64, to: f64) -> [f64; 2] {
        let ticks = self.ticks(from, to);
        let (first, last) = (ticks[0].measured, ticks[ticks.len() - 1].measured);
        [0, 1].map(|joint| (last[joint] - first[joint]).abs())
    }
}

#[test]
fn a_pause_holds_the_arm_within_a_tick_and_the_policy_looks_anew_afterwards() {
    // In the middle of a chunk, and so short that no decision is due meanwhile: it observes again all the same.
    for (pause, resume) in [(1.1, 3.5), (1.1, 1.16)] {
        let ran = drive(&[(pause, Wish::Pause), (resume, Wish::Resume)], 9e9, 5.0);
        assert!(ran.report.fault.is_none(), "{:?}", ran.report.fault);
        assert!(ran.way(0.3, pause)[0] > 0.02, "the arm did not move before");
        // The decision after the resumption acts from the next tick on.
        let again = (resume / 0.2).ceil() * 0.2;
        for tick in ran.ticks(pause + 0.02, again) {
            assert_eq!(tick.filtered, Filtered::Stopped(LimitReason::Paused), "{:?}", tick.at);
        }
        assert_eq!(ran.way(pause + 0.02, again), [0.0; 2]);
        assert!(ran.way(again + 0.1, again + 1.0)[0] > 0.02, "the arm did not move on");
        assert!((ran.looks[1] - again).abs() < 1e-6, "it observed at {:?}", ran.looks);
        assert_eq!(ran.handovers, Handovers { pauses: 1, interventions: 0, operator_steps: 0 });
        assert_eq!((ran.report.stopped, ran.report.resumed), (1, 1));
    }
}

#[test]
fn the_operator_drives_between_take_over_and_hand_back() {
    let ran = drive(&[(1.1, Wish::TakeOver), (3.1, Wish::HandBack)], 9e9, 5.0);
    assert!(ran.report.fault.is_none(), "{:?}", ran.report.fault);
    // Taking over holds the arm until the operator's first decision, and handing back until the policy's.
    assert_eq!(ran.way(1.12, 1.2), [0.0; 2]);
    assert_eq!(ran.way(3.12, 3.2), [0.0; 2]);
    let [waist, shoulder] = ran.way(1.4, 3.1);
    assert!(waist < 1e-3 && shoulder > 0.02, "the stick pushes up: {waist} {shoulder}");
    let [waist, _] = ran.way(3.4, 4.4);
    assert!(waist > 0.02, "the policy did not continue");
    assert_eq!(ran.handovers, Handovers { pauses: 0, interventions: 1, operator_steps: 10 });
    assert_eq!(ran.report.steps, 25);
}

#[test]
fn a_device_that_is_unplugged_while_it_drives_leaves_the_arm_holding_and_the_run_paused() {
    let ran = drive(&[(1.1, Wish::TakeOver)], 2.5, 5.0);
    assert!(ran.report.fault.is_none(), "{:?}", ran.report.fault);
    assert!(ran.way(1.4, 2.4)[1] > 0.01, "the arm did not move before");
    assert_eq!(ran.way(2.52, 5.0), [0.0; 2]);
    assert_eq!(ran.handovers, Handovers { pauses: 1, interventions: 1, operator_steps: 7 });
    assert!(ran.operator.panel().warning.contains("unplugged"), "{}", ran.operator.panel().warning);
}

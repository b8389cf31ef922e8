//! The operator drives through the real loops: whatever happens to the device, the arm stops within its time-out.

use std::path::Path;
use std::time::Duration;

use visuomotor::action::ActionBounds;
use visuomotor::config::{Robot, TeleopSetting};
use visuomotor::episode::Outcome;
use visuomotor::kinematics::Chain;
use visuomotor::operator::{Operator, OperatorJudge, Wish};
use visuomotor::runtime::{EpisodeReport, EpisodeRequest, StopFlag, Timing, run_episode};
use visuomotor::teleop::{DeviceError, Motion, Reading, TeleopDevice, TeleopSource};
use visuomotor::time::{ManualClock, Timestamp};

use crate::station::{Listener, start, station};

/// What happens to the device.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Fine,
    Silent,
    Garbage,
    Jumping,
    LetGo,
    Gone,
}

/// Pushes forward; after a second this happens.
struct Stick {
    fate: Fate,
    last: Option<Reading>,
    back: Option<f64>,
}

impl TeleopDevice for Stick {
    fn name(&self) -> &'static str {
        "stick"
    }

    fn newest(&mut self, now: Timestamp) -> Result<Option<Reading>, DeviceError> {
        let time = now.as_secs_f64();
        let met = time >= 1.0 && self.back.is_none_or(|back| time < back);
        let push = Motion::Deflection { along: [0.5, 0.0, 0.0], about: [0.0; 3] };
        let mut reading = Reading { motion: push, engaged: true, gripper: Some(1.0), at: now };
        match (met, self.fate) {
            (false, _) | (_, Fate::Fine) => {}
            (true, Fate::Silent) => return Ok(self.last),
            (true, Fate::Garbage) => reading.motion = Motion::Deflection { along: [f64::NAN; 3], about: [0.0; 3] },
            (true, Fate::Jumping) => reading.motion = Motion::Deflection { along: [1e9; 3], about: [0.0; 3] },
            (true, Fate::LetGo) => reading.engaged = false,
            (true, Fate::Gone) => return Err(DeviceError::Gone { device: "stick", cause: "unplugged".into() }),
        }
        self.last = Some(reading);
        Ok(self.last)
    }
}

fn drive(stick: Stick, seconds: f64, operator: &Operator) -> (EpisodeReport, Listener) {
    let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
    let (mut station, _, _) = station();
    let setting = TeleopSetting::default();
    let chain = Chain::from_robot(&robot).unwrap();
    let period = Duration::from_millis(200);
    let mut source = TeleopSource::new(stick, &setting, ActionBounds::BRIDGE, chain, period, operator.clone());
    let mut listener = Listener::default();
    let (clock, stopwatch) = (ManualClock::new(), ManualClock::new());
    let request = EpisodeRequest {
        start: start(),
        seconds,
        source: &mut source,
        sinks: vec![&mut listener],
        judge: &mut OperatorJudge(operator.clone()),
        stop: &StopFlag::new(),
    };
    let report = run_episode(&mut station, request, Timing::Lockstep { clock: &clock, stopwatch: &stopwatch });
    (report, listener)
}

/// How far joint 1 (shoulder) and 2 (elbow) were commanded over a stretch of time.
fn sent_way(listener: &Listener, from: f64, to: f64) -> f64 {
    let within: Vec<_> = listener
        .ticks
        .iter()
        .filter(|tick| (from..=to).contains(&tick.at.as_secs_f64()))
        .map(|tick| tick.sent)
        .collect();
    assert!(within.len() > 2, "{} ticks", within.len());
    within.windows(2).map(|pair| (pair[1].joints()[1] - pair[0].joints()[1]).abs()).sum()
}

#[test]
fn whatever_becomes_of_the_device_the_arm_stands_within_its_time_out() {
    for fate in [Fate::Silent, Fate::Garbage, Fate::Jumping, Fate::LetGo] {
        let operator = Operator::default();
        let (report, listener) = drive(Stick { fate, last: None, back: None }, 3.0, &operator);
        assert!(report.fault.is_none(), "{:?}", report.fault);
        assert!(sent_way(&listener, 0.3, 0.9) > 0.01, "the arm did not move before");
        // The last good reading was at 0.8 s, the time-out of a keyboard is 0.4 s.
        let after = sent_way(&listener, 1.0 + 0.4, 3.0);
        assert_eq!(after, 0.0, "the arm moved on");
        let said = operator.panel().device;
        let expected = match fate {
            Fate::Silent => "fell silent",
            Fate::Garbage | Fate::Jumping => "cannot be",
            _ => "let go",
        };
        assert!(said.contains(expected), "{said}");
    }
    let (_, listener) = drive(Stick { fate: Fate::Fine, last: None, back: None }, 3.0, &Operator::default());
    assert!(sent_way(&listener, 1.4, 1.8) > 0.01, "the test sees no motion at all");
}

#[test]
fn a_device_that_comes_back_while_it_is_held_is_not_followed() {
    for (fate, follows) in [(Fate::Silent, false), (Fate::Garbage, false), (Fate::LetGo, true)] {
        let operator = Operator::default();
        let (_, listener) = drive(Stick { fate, last: None, back: Some(1.6) }, 3.0, &operator);
        assert_eq!(sent_way(&listener, 2.0, 2.4) > 0.0, follows);
    }
}

#[test]
fn a_device_that_is_gone_ends_the_episode_and_says_so() {
    let (report, _) = drive(Stick { fate: Fate::Gone, last: None, back: None }, 3.0, &Operator::default());
    let Outcome::Aborted { why, .. } = report.outcome else { panic!("{:?}", report.outcome) };
    assert!(why.contains("stick is gone (unplugged)"), "{why}");
}

#[test]
fn the_persons_verdict_ends_the_episode() {
    let operator = Operator::default();
    operator.wish(Wish::Accept, "page");
    let (report, _) = drive(Stick { fate: Fate::Fine, last: None, back: None }, 3.0, &operator);
    assert_eq!(report.outcome, Outcome::Success { judge: "operator (page)".into() });
    assert!(report.seconds < 1.0);
    let (late, _) = drive(Stick { fate: Fate::Fine, last: None, back: None }, 1.0, &Operator::default());
    assert_eq!(late.outcome, Outcome::Failure { judge: "clock".into(), why: "time ran out".into() });
}

//! State of an episode for the page, and its JSON.

use std::collections::VecDeque;

use serde::Serialize;

use super::pictures::CameraView;
use super::settings::JointRange;
use super::words;
use crate::action::{Action, ControlMode};
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, Outcome};
use crate::evaluation::LatencySeries;
use crate::operator::Panel;
use crate::time::Timestamp;

/// Samples in a gauge's window.
const SAMPLES: usize = 512;
/// Maximum points of the distance curve; beyond, every second one is dropped.
const MOST_POINTS: usize = 2000;
/// An intervention of a limit is shown for this long \[s\], so that it can be read.
const SHOWN_SECONDS: f64 = 1.0;

/// Newest samples of one timing \[ms\].
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    samples: VecDeque<f64>,
    /// Samples over the limit since the episode started.
    over: u64,
    limit_ms: Option<f64>,
}

impl Gauge {
    fn within(limit_ms: Option<f64>) -> Self {
        Self { limit_ms: limit_ms.filter(|limit| limit.is_finite()), ..Self::default() }
    }

    /// Adds a sample; non-finite ones are left out.
    pub fn add(&mut self, seconds: f64) {
        let ms = seconds * 1e3;
        if !ms.is_finite() {
            return;
        }
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(ms);
        self.over += u64::from(self.limit_ms.is_some_and(|limit| ms > limit));
    }

    fn view(&self, name: &'static str) -> GaugeView {
        let summary = LatencySeries::from_ms(self.samples.iter().copied()).summary();
        GaugeView {
            name,
            latest_ms: self.samples.back().copied(),
            p50_ms: summary.p50,
            p99_ms: summary.p99,
            max_ms: summary.max,
            count: summary.count,
            limit_ms: self.limit_ms,
            over: self.over,
        }
    }
}

/// Distance between embeddings, or a value, over an episode.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    /// Changes when points already sent become invalid.
    pub generation: u64,
    /// Seconds and distance.
    pub points: Vec<[f64; 2]>,
}

impl Curve {
    fn clear(&mut self) {
        self.generation += 1;
        self.points.clear();
    }

    /// Adds a point; non-finite ones are left out.
    pub fn add(&mut self, seconds: f64, distance: f64) {
        if !(seconds.is_finite() && distance.is_finite()) {
            return;
        }
        if self.points.len() >= MOST_POINTS {
            self.generation += 1;
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.points.push([seconds, distance]);
    }
}

/// Newest data from the sink.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    /// A sink exists: there is something to watch.
    pub expected: bool,
    pub ranges: Vec<JointRange>,
    pub start: Option<EpisodeStart>,
    pub running: bool,
    pub ended: Option<EpisodeEnd>,
    pub steps: u64,
    pub seconds: f64,
    pub joints: Vec<f64>,
    pub gripper: Option<f64>,
    pub asked: Option<Action>,
    pub tick: Option<ControlTick>,
    /// The filter's last intervention, and when the page received it.
    pub acted: Option<(Timestamp, Filtered)>,
    pub limited: u64,
    pub stopped: u64,
    pub heard_at: Option<Timestamp>,
    pub image_age: Gauge,
    pub tick_time: Gauge,
    pub encoder: Gauge,
    pub policy: Gauge,
    pub curve: Curve,
    began: Option<f64>,
}

impl Live {
    /// An episode starts: measurements of the last one are cleared, the arm's description stays.
    pub fn start(&mut self, start: &EpisodeStart) {
        let mut curve = std::mem::take(&mut self.curve);
        curve.clear();
        let (control_ms, policy_ms) = (1e3 / start.control_rate_hz, 1e3 / start.policy_rate_hz);
        *self = Self {
            expected: true,
            ranges: std::mem::take(&mut self.ranges),
            start: Some(start.clone()),
            running: true,
            joints: std::mem::take(&mut self.joints),
            gripper: self.gripper,
            tick_time: Gauge::within(Some(control_ms)),
            encoder: Gauge::within(Some(policy_ms)),
            policy: Gauge::within(Some(policy_ms)),
            curve,
            ..Self::default()
        };
    }

    /// Adds one control tick.
    pub fn tick(&mut self, tick: &ControlTick, now: Timestamp) {
        self.joints = tick.measured.to_vec();
        self.gripper = Some(tick.measured_gripper);
        self.image_age.add(tick.image_age_seconds);
        self.tick_time.add(tick.tick_seconds);
        match tick.filtered {
            Filtered::Passed => {}
            Filtered::Limited(_) => self.limited += 1,
            Filtered::Stopped(_) => self.stopped += 1,
        }
        if tick.filtered != Filtered::Passed {
            self.acted = Some((now, tick.filtered));
        }
        let at = tick.at.as_secs_f64();
        self.seconds = at - *self.began.get_or_insert(at);
        self.tick = Some(*tick);
        self.heard_at = Some(now);
    }

    /// The filter's current or recent intervention.
    fn safety(&self, now: Timestamp) -> SafetyView {
        let newest = self.tick.map(|tick| tick.filtered);
        let recent =
            self.acted.filter(|(at, _)| now.since(*at).as_secs_f64() < SHOWN_SECONDS).map(|(_, filtered)| filtered);
        let shown = match newest {
            Some(stopped @ Filtered::Stopped(_)) => Some(stopped),
            Some(_) => recent.or(newest),
            None => None,
        };
        SafetyView {
            word: shown.map_or("none", words::word),
            text: shown.map_or_else(|| "Nothing is sent to the arm.".into(), words::sentence),
            limited: self.limited,
            stopped: self.stopped,
        }
    }

    /// The state as the browsers get it.
    pub fn snapshot(&self, panel: Panel, cameras: Vec<CameraView>, playback: bool, now: Timestamp) -> Snapshot {
        let tick = self.tick.as_ref();
        let names = self.start.as_ref().map(|start| start.joint_names.as_slice()).unwrap_or_default();
        let joints = (0..self.joints.len())
            .map(|i| {
                let range = self.ranges.get(i);
                JointView {
                    name: range.map(|range| range.name.clone()).or_else(|| names.get(i).cloned()).unwrap_or_default(),
                    measured: self.joints[i],
                    wished: tick.and_then(|tick| tick.wished.joints().get(i).copied()),
                    sent: tick.and_then(|tick| tick.sent.joints().get(i).copied()),
                    low: range.map(|range| range.low),
                    high: range.map(|range| range.high),
                }
            })
            .collect();
        Snapshot {
            panel,
            live: self.expected,
            playback,
            episode: self.start.as_ref().map(|start| EpisodeNow {
                name: start.name.clone(),
                robot: start.robot.clone(),
                policy_rate_hz: start.policy_rate_hz,
                control_rate_hz: start.control_rate_hz,
                running: self.running,
                steps: self.steps,
                seconds: self.seconds,
                outcome: self.ended.as_ref().map(|end| end.outcome.clone()),
            }),
            joints,
            mode: tick.map(|tick| tick.sent.mode()),
            gripper: [self.gripper, tick.map(|tick| tick.wished.gripper()), tick.map(|tick| tick.sent.gripper())],
            asked: self.asked.map(Action::to_array),
            in_force: tick.map(|tick| tick.action.to_array()),
            safety: self.safety(now),
            gauges: [
                self.image_age.view("image age"),
                self.encoder.view("encoder"),
                self.policy.view("policy"),
                self.tick_time.view("control tick"),
            ],
            age_seconds: self.heard_at.map(|at| now.since(at).as_secs_f64()),
            cameras,
        }
    }
}

/// The state as the browsers get it.
#[derive(Debug, Serialize)]
pub(super) struct Snapshot {
    panel: Panel,
    live: bool,
    playback: bool,
    episode: Option<EpisodeNow>,
    joints: Vec<JointView>,
    mode: Option<ControlMode>,
    /// Measured, desired, sent.
    gripper: [Option<f64>; 3],
    asked: Option<[f64; 7]>,
    in_force: Option<[f64; 7]>,
    safety: SafetyView,
    gauges: [GaugeView; 4],
    age_seconds: Option<f64>,
    cameras: Vec<CameraView>,
}

#[derive(Debug, Serialize)]
struct EpisodeNow {
    name: String,
    robot: String,
    policy_rate_hz: f64,
    control_rate_hz: f64,
    running: bool,
    steps: u64,
    seconds: f64,
    outcome: Option<Outcome>,
}

#[derive(Debug, Serialize)]
struct JointView {
    name: String,
    measured: f64,
    wished: Option<f64>,
    sent: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

#[derive(Debug, PartialEq, Serialize)]
struct SafetyView {
    word: &'static str,
    text: String,
    limited: u64,
    stopped: u64,
}

#[derive(Debug, Serialize)]
struct GaugeView {
    name: &'static str,
    latest_ms: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    count: u64,
    limit_ms: Option<f64>,
    over: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::JointCommand;
    use crate::episode::LimitReason;
    use crate::observation::JointVector;
    use crate::time::Timestamp;
    use std::time::Duration;

    fn tick(filtered: Filtered) -> ControlTick {
        let joints = JointVector::zeros(6);
        ControlTick {
            at: Timestamp::ZERO,
            measured: joints,
            measured_gripper: 1.0,
            wished: JointCommand::position(joints, 1.0),
            sent: JointCommand::position(joints, 1.0),
            action: Action::stay(1.0),
            step_index: None,
            filtered,
            image_age_seconds: f64::NAN,
            tick_seconds: 0.001,
        }
    }

    #[test]
    fn a_limit_that_acted_for_one_tick_stays_readable_for_a_second() {
        let (mut live, now) = (Live::default(), Timestamp::ZERO);
        assert_eq!(live.safety(now).word, "none");
        live.tick(&tick(Filtered::Limited(LimitReason::Workspace)), now);
        live.tick(&tick(Filtered::Passed), now);
        assert_eq!((live.safety(now).word, live.limited), ("limited", 1));
        assert_eq!(live.safety(now + Duration::from_secs(2)).word, "passed");
        live.tick(&tick(Filtered::Stopped(LimitReason::CommandAge)), now);
        assert_eq!(live.safety(now + Duration::from_secs(20)).word, "stopped", "the arm still holds");
    }

    #[test]
    fn a_long_curve_is_thinned_and_changes_its_generation() {
        let mut curve = Curve::default();
        curve.add(0.0, f64::NAN);
        for i in 0..=MOST_POINTS {
            curve.add(i as f64, 1.0);
        }
        assert_eq!((curve.generation, curve.points.len()), (1, MOST_POINTS / 2 + 1));
        assert_eq!(curve.points.last().unwrap()[0], MOST_POINTS as f64);
    }

    #[test]
    fn a_gauge_counts_what_is_over_its_limit_and_skips_nan() {
        let mut gauge = Gauge::within(Some(20.0));
        for seconds in [0.001, 0.030, f64::NAN] {
            gauge.add(seconds);
        }
        let view = gauge.view("control tick");
        assert_eq!((view.count, view.over, view.max_ms), (2, 1, 30.0));
    }
}

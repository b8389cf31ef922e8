//! Runs an episode: the decision loop (policy rate), the control loop (control rate), and the slot between them.
//!
//! ```text
//! cameras -> decision_loop -> [newest action] -> control_loop -> arm
//!                 ^   |                              |    |
//!                 |   `-> sinks, judge               |    `-> [ring of ticks] -> sinks
//!                 `----------- [newest state] <------'
//! ```
//!
//! The same two tick functions run in both timing modes: [`Timing::Lockstep`] runs them on one thread with a manual
//! clock, as fast as possible and repeatably; [`Timing::Wall`] runs them on two threads in real time.
//! Start reading at `lockstep.rs`, then `decision_loop.rs` and `control_loop.rs`.
//!
//! Seconds, radians, base frame. The runtime is independent of source, listeners and arm. It neither activates nor releases
//! the arm: however an episode ends, the arm is commanded to hold, and in real time it is watched until its controller's
//! states show it at rest ([`Hold`]).

mod control_loop;
mod decision_loop;
mod error;
pub mod fake;
mod go_to;
mod latest;
mod ledger;
mod lockstep;
mod pace;
mod schedule;
mod sleep;
mod standing;
mod stop;
mod wall;

use std::time::Duration;

use crate::control::Controller;
use crate::safety::SafetyFilter;
use visuomotor_arms::camera::{Camera, CameraWatch};
use visuomotor_arms::driver::{ArmDriver, DriverError};
use visuomotor_core::action::ActionSource;
use visuomotor_core::episode::{EpisodeEnd, EpisodeStart, Judge, Outcome, StepSink};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::time::{Clock, ManualClock, SystemClock, Timestamp};

use decision_loop::Asides;

pub use control_loop::{ControlCounts, ControlLoop, ControlParts};
pub use decision_loop::DecisionLoop;
pub use error::RuntimeError;
pub use go_to::{Arrival, Posture, go_to};
pub use latest::{LatestReader, LatestWriter, latest};
pub use ledger::{Ledger, LedgerSummary, Series, SeriesSummary};
pub use schedule::{DeadlineBudget, DeadlineWatch, Due, PAYBACK, Schedule, Strain};
pub use sleep::Sleeper;
pub use standing::{Doubt, Hold, StandingWatch};
pub use stop::{HoldGuard, StopFlag};
pub use visuomotor_core::realtime::{Granted, Realtime};
pub use wall::WallOptions;

/// A camera with the maximum image age for a decision \[s\].
pub type AgedCamera = (Box<dyn Camera>, f64);

/// The parts of a running station. The arm is active.
pub struct Station {
    /// The arm; used only by the control loop.
    pub arm: Box<dyn ArmDriver>,
    /// Cameras in launch-file order, the policy's first, each with the maximum image age for a decision \[s\].
    pub cameras: Vec<AgedCamera>,
    /// The arm's kinematics.
    pub chain: Chain,
    /// From slow actions to fast commands.
    pub controller: Controller,
    /// The filter before the driver.
    pub safety: SafetyFilter,
    /// Time between control ticks.
    pub control_period: Duration,
    /// Time between decisions.
    pub policy_period: Duration,
}

/// Inputs of an episode.
pub struct EpisodeRequest<'a> {
    /// Metadata known before the first step.
    pub start: EpisodeStart,
    /// Longest duration \[s\]; the judge then decides that time is up.
    pub seconds: f64,
    /// Action source.
    pub source: &'a mut dyn ActionSource,
    /// Listeners, called in this order.
    pub sinks: Vec<&'a mut dyn StepSink>,
    /// Judge of the outcome.
    pub judge: &'a mut dyn Judge,
    /// Stop flag.
    pub stop: &'a StopFlag,
}

/// How time passes.
#[derive(Clone, Copy)]
pub enum Timing<'a> {
    /// Both loops on one thread, as fast as possible, repeatable.
    Lockstep {
        /// The clock that the loops advance; simulation time.
        clock: &'a ManualClock,
        /// Only measures durations for the ledger; with a stopped one recordings are byte-identical.
        stopwatch: &'a dyn Clock,
    },
    /// Two threads in real time.
    Wall {
        /// The clock of all stamps.
        clock: &'a SystemClock,
        /// Deadline budget and real-time requests.
        options: &'a WallOptions,
    },
}

/// Missed deadlines: whole periods skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeadlineMisses {
    /// Control periods.
    pub control: u64,
    /// Policy periods.
    pub decision: u64,
}

/// Report of an episode.
#[derive(Debug)]
pub struct EpisodeReport {
    /// Outcome, as passed to the sinks.
    pub outcome: Outcome,
    /// Policy steps.
    pub steps: u64,
    /// Duration \[s\].
    pub seconds: f64,
    /// Timings.
    pub ledger: Ledger,
    /// Deadlines missed.
    pub deadline_misses: DeadlineMisses,
    /// Control ticks whose command the safety filter changed.
    pub limited: u64,
    /// Times the arm was commanded to hold before the end (safety filter, refused action, deadline budget).
    pub stopped: u64,
    /// Times a new action resumed motion after that.
    pub resumed: u64,
    /// Actions without an inverse-kinematics solution.
    pub no_solution: u64,
    /// Control ticks run.
    pub control_ticks: u64,
    /// Control ticks lost because the ring was full.
    pub dropped_ticks: u64,
    /// Decisions discarded because they were too late after their image.
    pub discarded: u64,
    /// Camera faults, one line for each time the arm held.
    pub camera_faults: Vec<String>,
    /// Results of the real-time requests.
    pub realtime: Vec<Granted>,
    /// Result of watching the arm after the final hold; `None` in lockstep, where the arm is part of the loop.
    pub hold: Option<Hold>,
    /// The fault, if any. The outcome is then aborted, unless only a sink failed, without which the arm went on.
    pub fault: Option<RuntimeError>,
}

/// Runs one episode to its end. In every case the arm is commanded to hold and the sinks receive the outcome;
/// [`EpisodeReport::hold`] reports whether the arm was seen at rest.
///
/// ```no_run
/// use visuomotor_core::time::ManualClock;
/// use visuomotor_station::runtime::{EpisodeRequest, Station, Timing, run_episode};
///
/// /// In lockstep, as fast as it goes. `examples/fake_arm.rs` makes the station and the request.
/// fn run(station: &mut Station, request: EpisodeRequest<'_>) {
///     let clock = ManualClock::new();
///     let report = run_episode(station, request, Timing::Lockstep { clock: &clock, stopwatch: &clock });
///     println!("{:?} after {} s", report.outcome, report.seconds);
/// }
/// ```
pub fn run_episode(station: &mut Station, request: EpisodeRequest<'_>, timing: Timing<'_>) -> EpisodeReport {
    match timing {
        Timing::Lockstep { clock, stopwatch } => lockstep::run(station, request, clock, stopwatch),
        Timing::Wall { clock, options } => wall::run(station, request, clock, options),
    }
}

impl Station {
    /// Both loops, connected, for one episode.
    fn loops<'a, 'r: 'a>(
        &'a mut self,
        source: &'a mut dyn ActionSource,
        sinks: Vec<&'r mut dyn StepSink>,
        now: Timestamp,
    ) -> (ControlLoop<'a>, DecisionLoop<'a>) {
        let (action_writer, action_reader) = latest();
        let (state_writer, state_reader) = latest();
        let (tick_writer, tick_reader) = rtrb::RingBuffer::new(ring_capacity(self.control_period));
        let parts: ControlParts<'_> = (&mut *self.arm, &mut self.controller, &mut self.safety);
        let control = ControlLoop::new(parts, action_reader, state_writer, tick_writer, now);
        let watches = self.cameras.iter().map(|(camera, max_age)| CameraWatch::new(&**camera, *max_age)).collect();
        let max_age = self.cameras.first().map_or(0.0, |(_, max_age)| *max_age);
        let decision = DecisionLoop {
            cameras: &mut self.cameras,
            watches,
            chain: &self.chain,
            source,
            lost: sinks.iter().map(|_| None).collect(),
            sinks: sinks.into_iter().map(|sink| sink as &mut dyn StepSink).collect(),
            states: state_reader,
            actions: action_writer,
            ticks: tick_reader,
            state_max_age: self.policy_period.max(self.control_period * 10).as_secs_f64(),
            lifetime: length(max_age) + self.policy_period,
            published: None,
            late_since: None,
            discarded: 0,
            ledger: Ledger::new(),
            steps: 0,
        };
        (control, decision)
    }
}

/// Capacity for about four seconds of ticks: longer than any valid decision takes.
fn ring_capacity(control_period: Duration) -> usize {
    ((4.0 / control_period.as_secs_f64().max(1e-4)) as usize).clamp(64, 8192)
}

/// Result of the control loop.
struct ControlEnd {
    result: Result<(), RuntimeError>,
    ledger: Ledger,
    counts: ControlCounts,
    missed: u64,
    realtime: Vec<Granted>,
    /// The arm's last fault as text.
    fault: Option<String>,
    hold: Option<Hold>,
}

impl ControlLoop<'_> {
    /// Commands the arm to hold. In real time it is then watched until it is seen at rest.
    fn end(mut self, timing: Timing<'_>, result: Result<(), RuntimeError>) -> ControlEnd {
        let (held, hold) = match timing {
            Timing::Lockstep { clock, .. } => (self.arm.hold(clock.now()), None),
            Timing::Wall { clock, .. } => {
                let (held, hold) = self.arm.hold_and_confirm(clock);
                (held, Some(hold))
            }
        };
        let fault = self.arm.fault_text();
        let (ledger, counts) = (self.ledger, self.counts);
        let result = result.and(held.map_err(RuntimeError::from));
        ControlEnd { result, ledger, counts, missed: 0, realtime: Vec::new(), fault, hold }
    }
}

impl ControlEnd {
    /// Combines the results of both loops; the control loop's error comes first, because it is the cause. A fault code
    /// becomes text.
    fn and<T>(&mut self, ended: Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        std::mem::replace(&mut self.result, Ok(())).and(ended).map_err(|error| match (error, self.fault.take()) {
            (RuntimeError::Driver(DriverError::Fault(_)), Some(words)) => RuntimeError::Fault(words),
            (error, _) => error,
        })
    }
}

/// Passes the outcome to the sinks and makes the report. `ended` is the decision loop's result.
fn close(
    mut decision: DecisionLoop<'_>,
    mut control: ControlEnd,
    ended: Result<Outcome, RuntimeError>,
    seconds: f64,
    decision_misses: u64,
) -> EpisodeReport {
    let aborted = |why: String| Outcome::Aborted { judge: "runtime".into(), why };
    let (outcome, mut fault) = match control.and(ended) {
        Ok(outcome) => (outcome, None),
        Err(error) => (aborted(error.to_string()), Some(error)),
    };
    let end = EpisodeEnd { outcome, steps: decision.steps, seconds };
    if let Err(error) = stop::guarded(|| decision.end(&end)) {
        fault.get_or_insert(error);
    }
    let Asides { discarded, camera_faults } = decision.asides();
    let mut ledger = control.ledger;
    ledger.merge(&decision.ledger);
    let counts = control.counts;
    EpisodeReport {
        outcome: end.outcome,
        steps: end.steps,
        seconds,
        ledger,
        deadline_misses: DeadlineMisses { control: control.missed, decision: decision_misses },
        limited: counts.limited,
        stopped: counts.stopped,
        resumed: counts.resumed,
        no_solution: counts.no_solution,
        control_ticks: counts.ticks,
        dropped_ticks: counts.dropped,
        discarded,
        camera_faults,
        realtime: control.realtime,
        hold: control.hold,
        fault,
    }
}

/// Seconds as a duration; negative numbers and NaN become zero.
fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

//! How the loops end, and the report of an episode.

use super::control_loop::{ControlCounts, ControlLoop};
use super::decision_loop::{Asides, DecisionLoop};
use super::error::RuntimeError;
use super::ledger::Ledger;
use super::standing::{Doubt, Hold};
use super::station::Timing;
use super::stop;
use visuomotor_arms::driver::DriverError;
use visuomotor_core::episode::{EpisodeEnd, Outcome};
use visuomotor_core::realtime::Granted;
use visuomotor_core::time::Clock;

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

/// Result of the control loop.
pub(super) struct ControlEnd {
    pub(super) result: Result<(), RuntimeError>,
    pub(super) ledger: Ledger,
    pub(super) counts: ControlCounts,
    pub(super) missed: u64,
    pub(super) realtime: Vec<Granted>,
    /// The arm's last fault as text.
    pub(super) fault: Option<String>,
    pub(super) hold: Option<Hold>,
}

impl ControlLoop<'_> {
    /// Commands the arm to hold. In real time it is then watched until it is seen at rest.
    pub(super) fn end(mut self, timing: Timing<'_>, result: Result<(), RuntimeError>) -> ControlEnd {
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
    pub(super) fn without_loop(error: RuntimeError) -> Self {
        Self {
            result: Err(error),
            ledger: Ledger::new(),
            counts: ControlCounts::default(),
            missed: 0,
            realtime: Vec::new(),
            fault: None,
            hold: Some(Hold::Unconfirmed(Doubt::NotWatched)),
        }
    }

    /// Combines the results of both loops; the control loop's error comes first, because it is the cause. A fault code
    /// becomes text.
    pub(super) fn and<T>(&mut self, ended: Result<T, RuntimeError>) -> Result<T, RuntimeError> {
        std::mem::replace(&mut self.result, Ok(())).and(ended).map_err(|error| match (error, self.fault.take()) {
            (RuntimeError::Driver(DriverError::Fault(_)), Some(words)) => RuntimeError::Fault(words),
            (error, _) => error,
        })
    }
}

/// Passes the outcome to the sinks and makes the report. `ended` is the decision loop's result.
pub(super) fn close(
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

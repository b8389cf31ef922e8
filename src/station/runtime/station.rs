//! The parts of a running station, and what an episode needs besides.

use std::time::Duration;

use super::control_loop::{ControlLoop, ControlParts};
use super::decision_loop::{AgedCamera, DecisionLoop};
use super::latest::latest;
use super::ledger::Ledger;
use super::schedule::DeadlineBudget;
use super::stop::StopFlag;
use crate::control::Controller;
use crate::safety::SafetyFilter;
use visuomotor_arms::camera::CameraWatch;
use visuomotor_arms::driver::ArmDriver;
use visuomotor_core::action::ActionSource;
use visuomotor_core::episode::{EpisodeStart, Judge, StepSink};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::realtime::Realtime;
use visuomotor_core::time::{Clock, ManualClock, SystemClock, Timestamp};

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

/// Settings of a run in real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallOptions {
    /// Budget for missed control periods.
    pub budget: DeadlineBudget,
    /// Real-time requests to the operating system.
    pub realtime: Realtime,
}

impl Station {
    /// Both loops, connected, for one episode.
    pub(super) fn loops<'a, 'r: 'a>(
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

/// Seconds as a duration; negative numbers and NaN become zero.
pub(super) fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

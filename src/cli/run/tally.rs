//! Counts of the safety filter's interventions in a run, by reason.

use std::collections::BTreeMap;

use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, SinkError, Step, StepSink};
use crate::time::Timestamp;

/// Control ticks by the safety filter's result.
#[derive(Debug, Default)]
pub struct Tally {
    /// Ticks whose command was changed, by reason.
    pub limited: BTreeMap<String, u64>,
    /// Ticks at which the arm held, by reason.
    pub held: BTreeMap<String, u64>,
    /// Time of the first decision.
    pub first_decision: Option<Timestamp>,
    /// Time of the first tick that executed a decision.
    pub first_command: Option<Timestamp>,
}

impl StepSink for Tally {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        self.first_decision.get_or_insert(step.decided_at);
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        if tick.step_index.is_some() {
            self.first_command.get_or_insert(tick.at);
        }
        let (counts, reason) = match tick.filtered {
            Filtered::Passed => return Ok(()),
            Filtered::Limited(reason) => (&mut self.limited, reason),
            Filtered::Stopped(reason) => (&mut self.held, reason),
        };
        *counts.entry(format!("{reason:?}")).or_default() += 1;
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

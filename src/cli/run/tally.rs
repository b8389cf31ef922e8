//! What the safety filter did in a run, reason by reason.

use std::collections::BTreeMap;

use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Filtered, Step, StepSink};

/// Control ticks by what became of their command.
#[derive(Debug, Default)]
pub struct Tally {
    /// Ticks whose command was changed, by reason.
    pub limited: BTreeMap<String, u64>,
    /// Ticks at which the arm held, by reason.
    pub held: BTreeMap<String, u64>,
}

impl StepSink for Tally {
    fn episode_started(&mut self, _start: &EpisodeStart) -> anyhow::Result<()> {
        Ok(())
    }

    fn step(&mut self, _step: &Step<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()> {
        let (counts, reason) = match tick.filtered {
            Filtered::Passed => return Ok(()),
            Filtered::Limited(reason) => (&mut self.limited, reason),
            Filtered::Stopped(reason) => (&mut self.held, reason),
        };
        *counts.entry(format!("{reason:?}")).or_default() += 1;
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> anyhow::Result<()> {
        Ok(())
    }
}

//! Embedding distance of each step's image to the goal image, along a trial.

use super::live::Live;
use crate::action::Decision;
use crate::embedding::Embedding;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use crate::time::Timestamp;

/// Embedding distance to the goal image over a trial.
pub struct Distances<'a> {
    /// The goal image's embedding.
    pub goal: Option<Embedding>,
    /// When the first step was taken.
    pub start: Option<Timestamp>,
    /// Seconds since then, and distances.
    pub curve: Vec<(f64, f64)>,
    /// Viewers of the growing curve.
    pub live: Option<&'a Live>,
}

impl Distances<'_> {
    fn of(&self, decision: &Decision) -> Option<f64> {
        decision.embedding.as_ref()?.distance(self.goal.as_ref()?).ok()
    }
}

impl StepSink for Distances<'_> {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        if let Some(distance) = self.of(step.decision) {
            // The clock runs on from trial to trial; a curve counts from the start of its trial.
            let at = step.observation.observed_at;
            let seconds = at.as_secs_f64() - self.start.get_or_insert(at).as_secs_f64();
            self.curve.push((seconds, distance));
            if let Some(live) = self.live {
                live.curve_point(seconds, distance);
            }
        }
        Ok(())
    }

    fn control_tick(&mut self, _tick: &ControlTick) -> Result<(), SinkError> {
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

//! Passes data of the loops to the page.

use std::sync::Arc;

use super::shared::Shared;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use crate::observation::Observation;

/// Passes an episode to the page; never waits for a browser. Clones share the page.
#[derive(Clone)]
pub struct PageSink {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for PageSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageSink").finish_non_exhaustive()
    }
}

impl PageSink {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.live().expected = true;
        Self { shared }
    }

    /// Shows images and arm state outside an episode: while the scene is set up, or the arm moves to its start.
    pub fn observe(&self, observation: &Observation) {
        let now = self.shared.now();
        for image in &observation.images {
            self.shared.pictures.put(image, now);
        }
        let mut live = self.shared.live();
        live.joints = observation.proprioception.joint_positions.to_vec();
        live.gripper = Some(observation.proprioception.gripper);
        live.heard_at = Some(now);
    }

    /// Adds a point to the curve of the episode: embedding distance or value, `seconds` after its start. Non-finite points are
    /// left out.
    pub fn curve_point(&self, seconds: f64, distance: f64) {
        self.shared.live().curve.add(seconds, distance);
    }
}

impl StepSink for PageSink {
    fn episode_started(&mut self, start: &EpisodeStart) -> Result<(), SinkError> {
        self.shared.live().start(start);
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        self.observe(step.observation);
        let mut live = self.shared.live();
        live.steps = step.index + 1;
        live.asked = Some(step.decision.action);
        live.encoder.add(step.decision.encoder_seconds);
        live.policy.add(step.decision.policy_seconds);
        Ok(())
    }

    fn paused(&mut self, observation: &Observation) -> Result<(), SinkError> {
        self.observe(observation);
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError> {
        let now = self.shared.now();
        self.shared.live().tick(tick, now);
        Ok(())
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError> {
        let mut live = self.shared.live();
        live.running = false;
        live.ended = Some(end.clone());
        Ok(())
    }
}

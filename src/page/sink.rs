//! What the loops tell the page.

use std::sync::Arc;
use std::time::Instant;

use super::server::Shared;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Step, StepSink};
use crate::observation::Observation;

/// Takes in an episode for the page; never waits for a browser. Clones tell the same page.
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

    /// Shows what is seen and sensed outside an episode: while the scene is laid, or the arm goes to its start.
    pub fn observe(&self, observation: &Observation) {
        let now = Instant::now();
        for image in &observation.images {
            self.shared.pictures.put(image, now);
        }
        let mut live = self.shared.live();
        live.joints = observation.proprioception.joint_positions.to_vec();
        live.gripper = Some(observation.proprioception.gripper);
        live.heard_at = Some(now);
    }

    /// Adds a point to the curve of the episode: distance of embeddings, or a value, `seconds` after its start. What is
    /// not finite is left out.
    pub fn curve_point(&self, seconds: f64, distance: f64) {
        self.shared.live().curve.add(seconds, distance);
    }
}

impl StepSink for PageSink {
    fn episode_started(&mut self, start: &EpisodeStart) -> anyhow::Result<()> {
        self.shared.live().start(start);
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        self.observe(step.observation);
        let mut live = self.shared.live();
        live.steps = step.index + 1;
        live.asked = Some(step.decision.action);
        live.encoder.add(step.decision.encoder_seconds);
        live.policy.add(step.decision.policy_seconds);
        Ok(())
    }

    fn paused(&mut self, observation: &Observation) -> anyhow::Result<()> {
        self.observe(observation);
        Ok(())
    }

    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()> {
        self.shared.live().tick(tick, Instant::now());
        Ok(())
    }

    fn episode_ended(&mut self, end: &EpisodeEnd) -> anyhow::Result<()> {
        let mut live = self.shared.live();
        live.running = false;
        live.ended = Some(end.clone());
        Ok(())
    }
}

//! The decision loop: look, decide, publish, tell. Policy rate; may allocate, and may be slow.

use rtrb::Consumer;

use super::latest::{LatestReader, LatestWriter};
use super::ledger::{Ledger, Series};
use super::{AgedCamera, RuntimeError};
use crate::action::{ActionSource, TimedAction};
use crate::camera::check_age;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Step, StepSink};
use crate::kinematics::Chain;
use crate::observation::{Observation, Proprioception};
use crate::time::{Clock, Timestamp};

/// The slow side: from images to the newest action, and everything that listens.
pub struct DecisionLoop<'a> {
    pub(super) cameras: &'a mut [AgedCamera],
    pub(super) chain: &'a Chain,
    pub(super) source: &'a mut dyn ActionSource,
    pub(super) sinks: Vec<&'a mut dyn StepSink>,
    pub(super) states: LatestReader<Proprioception>,
    pub(super) actions: LatestWriter<TimedAction>,
    pub(super) ticks: Consumer<ControlTick>,
    /// Oldest proprioception a decision may use \[s\].
    pub(super) state_max_age: f64,
    pub(super) ledger: Ledger,
    pub(super) steps: u64,
}

impl DecisionLoop<'_> {
    /// One decision at `now`. `clock` tells when it was published (the same moment in lockstep), `stopwatch` only how
    /// long it took.
    pub fn tick(&mut self, now: Timestamp, clock: &dyn Clock, stopwatch: &dyn Clock) -> Result<(), RuntimeError> {
        let started = stopwatch.now();
        let observation = self.observe(now)?;
        let decision = self.source.decide(&observation)?;
        let decided_at = clock.now();
        self.actions.publish(
            decided_at,
            TimedAction {
                action: decision.action,
                joint_torques: decision.joint_torques,
                step_index: self.steps,
                image_captured_at: observation.images.first().map_or(now, |image| image.captured_at),
                decided_at,
            },
        );
        self.ledger.record(Series::Decision, stopwatch.now().since(started));
        self.ledger.record_seconds(Series::Encoder, decision.encoder_seconds);
        self.ledger.record_seconds(Series::Policy, decision.policy_seconds);
        let step = Step { index: self.steps, observation: &observation, decision: &decision, decided_at };
        self.steps += 1;
        self.tell(|sink| sink.step(&step))
    }

    /// The newest image of each camera and the newest proprioception, none of them too old.
    fn observe(&mut self, now: Timestamp) -> Result<Observation, RuntimeError> {
        let mut images = Vec::with_capacity(self.cameras.len());
        for (camera, max_age) in self.cameras.iter_mut() {
            let image = camera.newest(now)?;
            check_age(&image, now, *max_age)?;
            images.push(image);
        }
        let (proprioception, age) = self.states.newest(now).ok_or(RuntimeError::NoState)?;
        let (age, limit) = (age.as_secs_f64(), self.state_max_age);
        let fresh = age <= limit;
        if !fresh {
            return Err(RuntimeError::StaleState { age, limit });
        }
        let base_from_tool = self.chain.forward(&proprioception.joint_positions);
        Ok(Observation { images, proprioception, base_from_tool, observed_at: now })
    }

    /// Before the first step.
    pub(super) fn start(&mut self, start: &EpisodeStart) -> Result<(), RuntimeError> {
        self.source.reset();
        self.tell(|sink| sink.episode_started(start))
    }

    /// Hands on the control ticks that have come in.
    pub(super) fn hand_on_ticks(&mut self) -> Result<(), RuntimeError> {
        while let Ok(tick) = self.ticks.pop() {
            self.tell(|sink| sink.control_tick(&tick))?;
        }
        Ok(())
    }

    /// After the last step: every sink is told, even when one before it fails; the first error counts.
    pub(super) fn end(&mut self, end: &EpisodeEnd) -> Result<(), RuntimeError> {
        let ticks = self.hand_on_ticks();
        let mut first = None;
        for sink in &mut self.sinks {
            if let Err(error) = sink.episode_ended(end) {
                first.get_or_insert(RuntimeError::Sink(error));
            }
        }
        first.map_or(ticks, Err)
    }

    fn tell(&mut self, mut what: impl FnMut(&mut dyn StepSink) -> anyhow::Result<()>) -> Result<(), RuntimeError> {
        for sink in &mut self.sinks {
            what(*sink).map_err(RuntimeError::Sink)?;
        }
        Ok(())
    }
}

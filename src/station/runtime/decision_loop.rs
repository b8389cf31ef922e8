//! The decision loop: observe, decide, publish, notify. Runs at policy rate; may allocate, and may be slow.
//!
//! Between two decisions it only checks that the cameras are alive. A camera fault makes the arm hold: the action in force
//! is withdrawn, and nothing is decided until the camera recovers. A paused run holds the same way. A decision that is
//! too much later than its observation is discarded. A listener that fails is not called again, and the arm goes on.

use std::time::Duration;

use rtrb::Consumer;

use super::error::RuntimeError;
use super::latest::{LatestReader, LatestWriter};
use super::ledger::{Ledger, Series};
use visuomotor_arms::camera::{Camera, CameraStatus, CameraWatch, Delivery};
use visuomotor_core::action::{ActionSource, TimedAction};
use visuomotor_core::episode::{ControlTick, EpisodeEnd, EpisodeStart, SinkError, Step, StepSink};
use visuomotor_core::kinematics::Chain;
use visuomotor_core::observation::{Image, Observation, Proprioception};
use visuomotor_core::protection::Protection;
use visuomotor_core::time::{Clock, Timestamp};

/// A camera with the maximum image age for a decision \[s\].
pub type AgedCamera = (Box<dyn Camera>, f64);

/// How long all decisions may be too late before the episode ends.
const LATE: Duration = Duration::from_secs(5);

/// Report on the episode's listeners and cameras.
#[derive(Debug, Default)]
pub(super) struct Asides {
    /// Decisions discarded because they were too late.
    pub discarded: u64,
    /// Camera faults, one line for each time the arm held.
    pub camera_faults: Vec<String>,
}

/// The slow loop, from images to the newest action, with all listeners.
pub struct DecisionLoop<'a> {
    pub(super) cameras: &'a mut [AgedCamera],
    /// One for each camera.
    pub(super) watches: Vec<CameraWatch>,
    pub(super) chain: &'a Chain,
    pub(super) source: &'a mut dyn ActionSource,
    pub(super) sinks: Vec<&'a mut dyn StepSink>,
    /// The error of each listener that has failed.
    pub(super) lost: Vec<Option<SinkError>>,
    pub(super) states: LatestReader<Proprioception>,
    pub(super) actions: LatestWriter<TimedAction>,
    pub(super) ticks: Consumer<ControlTick>,
    /// Maximum age of the proprioception used by a decision \[s\].
    pub(super) state_max_age: f64,
    /// How long after its image (or its observation, if the source uses no images) an action may move the arm.
    pub(super) lifetime: Duration,
    /// The last published action.
    pub(super) published: Option<TimedAction>,
    /// Time since which every decision has been too late.
    pub(super) late_since: Option<Timestamp>,
    pub(super) discarded: u64,
    pub(super) ledger: Ledger,
    pub(super) steps: u64,
}

impl DecisionLoop<'_> {
    /// One decision at `now`. `clock` gives the time of publication (the same as `now` in lockstep), `stopwatch` only the
    /// duration.
    pub fn tick(&mut self, now: Timestamp, clock: &dyn Clock, stopwatch: &dyn Clock) -> Result<(), RuntimeError> {
        let started = stopwatch.now();
        let Some(observation) = self.observe(now)? else {
            self.take_back(now, TimedAction::taken_back);
            return Ok(());
        };
        if self.source.is_paused(now) {
            self.take_back(now, TimedAction::paused);
            return self.tell(|sink| sink.paused(&observation));
        }
        let decision = self.source.decide(&observation)?;
        let decided_at = clock.now();
        self.ledger.record(Series::Decision, stopwatch.now().since(started));
        self.ledger.record_seconds(Series::Encoder, decision.encoder_seconds);
        self.ledger.record_seconds(Series::Policy, decision.policy_seconds);
        let image = observation.images.first().filter(|_| self.source.looks_at_images());
        let image_captured_at = observation.images.first().map_or(now, |image| image.captured_at);
        let based_on = image.map_or(now, |image| image.captured_at);
        // An action of a chunk is as old as its observation, and lives longer by the time it was planned ahead.
        let (image_captured_at, based_on, ahead) = match decision.planned {
            Some(planned) if image.is_some() => (planned.image_captured_at, planned.image_captured_at, planned.ahead),
            _ => (image_captured_at, based_on, Duration::ZERO),
        };
        let action = TimedAction {
            action: decision.action,
            motion: decision.motion,
            step_index: self.steps,
            image_captured_at,
            decided_at,
            expires_at: based_on + ahead + self.lifetime,
            paused: false,
        };
        if action.is_expired(decided_at) {
            return self.discard(based_on, decided_at);
        }
        self.late_since = None;
        self.actions.publish(decided_at, action);
        self.published = Some(action);
        let step = Step { index: self.steps, observation: &observation, decision: &decision, decided_at };
        self.steps += 1;
        self.tell(|sink| sink.step(&step))
    }

    /// Checks between two decisions: are the streaming cameras still alive, and was the run paused?
    pub(super) fn watch(&mut self, now: Timestamp) -> Result<(), RuntimeError> {
        let Some((state, _)) = self.states.newest(now) else { return Ok(()) };
        let mut hold = false;
        for ((camera, _), watch) in self.cameras.iter_mut().zip(&mut self.watches) {
            if matches!(camera.liveness().delivery, Delivery::Stream { .. }) {
                hold |= matches!(watch.check(&mut **camera, now, &state.joint_positions)?, CameraStatus::Hold);
            }
        }
        if hold {
            self.take_back(now, TimedAction::taken_back);
        }
        if self.source.is_paused(now) {
            self.take_back(now, TimedAction::paused);
        }
        Ok(())
    }

    /// The newest image of each camera and the newest proprioception, none of them too old. `None`: a camera is at fault, and
    /// the arm must hold.
    fn observe(&mut self, now: Timestamp) -> Result<Option<Observation>, RuntimeError> {
        let (proprioception, age) = self.states.newest(now).ok_or(RuntimeError::NoState)?;
        let (age, limit) = (age.as_secs_f64(), self.state_max_age);
        let fresh = age <= limit || !Protection::StateCheck.is_on();
        if !fresh {
            return Err(RuntimeError::StaleState { age, limit });
        }
        let mut images: Vec<Option<Image>> = Vec::with_capacity(self.cameras.len());
        for ((camera, _), watch) in self.cameras.iter_mut().zip(&mut self.watches) {
            // Every camera is checked, so that each can recover while another one holds the arm.
            images.push(match watch.check(&mut **camera, now, &proprioception.joint_positions)? {
                CameraStatus::Image(image) => Some(image),
                CameraStatus::Hold => None,
            });
        }
        let Some(images) = images.into_iter().collect() else { return Ok(None) };
        Ok(Some(self.chain.observation(images, proprioception, now)))
    }

    /// Makes the arm hold: withdraws the action in force or in the slot.
    fn take_back(&mut self, now: Timestamp, how: impl FnOnce(TimedAction) -> TimedAction) {
        if let Some(action) = self.published.take() {
            self.actions.publish(now, how(action));
        }
    }

    /// Discards a decision that was too late.
    fn discard(&mut self, based_on: Timestamp, decided_at: Timestamp) -> Result<(), RuntimeError> {
        self.discarded += 1;
        let since = *self.late_since.get_or_insert(decided_at);
        let (took, limit) = (decided_at.since(based_on).as_secs_f64(), self.lifetime.as_secs_f64());
        tracing::warn!(
            "a decision came {took:.3} s after what it was decided on, the limit is {limit:.3} s: thrown away"
        );
        if decided_at.since(since) > LATE {
            return Err(RuntimeError::LateDecisions { took, limit });
        }
        Ok(())
    }

    /// The report on listeners, cameras and late decisions.
    pub(super) fn asides(&self) -> Asides {
        let camera_faults = self.watches.iter().flat_map(CameraWatch::faults).cloned().collect();
        Asides { discarded: self.discarded, camera_faults }
    }

    /// Call before the first step.
    pub(super) fn start(&mut self, start: &EpisodeStart) -> Result<(), RuntimeError> {
        self.source.reset();
        self.tell(|sink| sink.episode_started(start))
    }

    /// Passes on the control ticks that have arrived.
    pub(super) fn hand_on_ticks(&mut self) -> Result<(), RuntimeError> {
        while let Ok(tick) = self.ticks.pop() {
            self.tell(|sink| sink.control_tick(&tick))?;
        }
        Ok(())
    }

    /// Call after the last step: calls every sink, even one that failed before; the first error counts.
    pub(super) fn end(&mut self, end: &EpisodeEnd) -> Result<(), RuntimeError> {
        let ticks = self.hand_on_ticks();
        let mut first = None;
        for (sink, lost) in self.sinks.iter_mut().zip(&mut self.lost) {
            let ended = sink.episode_ended(end);
            if let Some(error) = lost.take().or(ended.err()) {
                first.get_or_insert(RuntimeError::Sink(error));
            }
        }
        first.map_or(ticks, Err)
    }

    /// Notifies every listener that has not failed. One that fails now gets only the end of the episode.
    fn tell(&mut self, mut what: impl FnMut(&mut dyn StepSink) -> Result<(), SinkError>) -> Result<(), RuntimeError> {
        for (sink, lost) in self.sinks.iter_mut().zip(&mut self.lost).filter(|(_, lost)| lost.is_none()) {
            let Err(error) = what(*sink) else { continue };
            if !Protection::Recording.is_on() {
                return Err(RuntimeError::Sink(error));
            }
            tracing::warn!("a listener of the episode failed, the arm goes on without it: {error:#}");
            *lost = Some(error);
        }
        Ok(())
    }
}

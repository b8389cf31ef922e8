//! Decisions: what a source of actions returns, and how long it counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Action, Motion};
use crate::embedding::Embedding;
use crate::observation::Observation;
use crate::protection::Protection;
use crate::time::Timestamp;

/// The observation on which an action of a chunk was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Capture time of its image.
    pub image_captured_at: Timestamp,
    /// Planned time of the action after that observation.
    pub ahead: Duration,
}

/// Decider of a step in a run with handovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    /// The policy.
    Policy,
    /// The operator at a teleoperation device: an intervention.
    Operator,
}

/// Decision of an [`ActionSource`], with its computation times.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The action.
    pub action: Action,
    /// A demonstrator's action without the added noise; otherwise equal to `action`.
    pub label: Action,
    /// Replaces the pose change of `action` and `label`, whose gripper targets still apply; `None` for a source of pose
    /// changes.
    pub motion: Option<Motion>,
    /// Set for an action planned on an earlier observation; `None`: on this one.
    pub planned: Option<Planned>,
    /// Decider, in a run with handovers; `None` if one source decides throughout.
    pub decided_by: Option<Decider>,
    /// Embedding of the policy camera's image, when the source made one.
    pub embedding: Option<Embedding>,
    /// Time to encode images \[s\].
    pub encoder_seconds: f64,
    /// Time from embeddings to an action \[s\].
    pub policy_seconds: f64,
}

impl Decision {
    /// A decision with negligible computation time and without noise.
    #[inline]
    pub fn plain(action: Action) -> Self {
        Self {
            action,
            label: action,
            motion: None,
            planned: None,
            decided_by: None,
            embedding: None,
            encoder_seconds: 0.0,
            policy_seconds: 0.0,
        }
    }

    /// A decision for this motion instead of a pose change, with a gripper target (0 closed .. 1 open).
    #[inline]
    pub fn moving(motion: impl Into<Motion>, gripper: f64) -> Self {
        Self { motion: Some(motion.into()), ..Self::plain(Action::stay(gripper)) }
    }
}

/// Reason why there is no action.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// The observation lacks an input of the source, or has it in another shape.
    #[error("the observation does not fit the policy: {0}")]
    Observation(String),
    /// A number in the result is not finite.
    #[error("the policy returned {0} that is not finite; the arm holds")]
    NotFinite(&'static str),
    /// The network library failed.
    #[error("the policy could not be evaluated: {0}")]
    Network(String),
    /// The source has no more actions (a replay or a script that ended).
    #[error("the action source ended: {0}")]
    Ended(String),
}

/// A source of actions: a policy, an operator at a device, a script, a recording. The runtime treats all alike.
pub trait ActionSource {
    /// Name for records and reports.
    fn name(&self) -> &str;
    /// Resets all state of the last episode.
    fn reset(&mut self);
    /// The action for this observation; called at the policy rate.
    fn decide(&mut self, observation: &Observation) -> Result<Decision, ActionError>;
    /// Does it use the images? Then its actions are as old as their image. An operator who watches the scene, a script and a
    /// recording do not.
    #[inline]
    fn looks_at_images(&self) -> bool {
        true
    }
    /// Must the arm hold at `now` instead of following decisions? Polled before every decision and, more often, in between.
    #[inline]
    fn is_paused(&mut self, now: Timestamp) -> bool {
        let _ = now;
        false
    }
    /// Decisions were skipped, or another source decided: plans and memory from earlier observations are out of date.
    #[inline]
    fn look_anew(&mut self) {}
}

/// An action in the slot between the loops.
#[derive(Clone, Copy, Debug)]
pub struct TimedAction {
    /// The action.
    pub action: Action,
    /// Motion instead of the pose change.
    pub motion: Option<Motion>,
    /// Step of the episode it belongs to.
    pub step_index: u64,
    /// Capture time of its image.
    pub image_captured_at: Timestamp,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Until when it may move the arm, independent of the decision time: afterwards its observation is too old.
    pub expires_at: Timestamp,
    /// Withdrawn because the run was paused.
    pub paused: bool,
}

impl TimedAction {
    /// May it no longer move the arm?
    #[inline]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        Protection::ActionAge.is_on() && now > self.expires_at
    }

    /// The same action, withdrawn: expired at any time after the clock's start.
    #[inline]
    pub fn taken_back(self) -> Self {
        Self { expires_at: Timestamp::ZERO, ..self }
    }

    /// The same action, withdrawn because the run was paused.
    #[inline]
    pub fn paused(self) -> Self {
        Self { paused: true, ..self.taken_back() }
    }
}

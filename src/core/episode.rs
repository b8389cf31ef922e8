//! An episode: uninterrupted from reset to end; made of steps (policy rate) and control ticks (control rate).

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Decision, JointCommand};
use crate::observation::{JointVector, Observation};
use crate::time::Timestamp;

/// Outcome of a trial or demonstration in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// The task was done.
    Success,
    /// Time ran out or the task was spoiled.
    Failure,
    /// The attempt does not count.
    Aborted,
}

impl OutcomeKind {
    /// `success`, `failure` or `aborted`.
    pub fn word(self) -> &'static str {
        match self {
            OutcomeKind::Success => "success",
            OutcomeKind::Failure => "failure",
            OutcomeKind::Aborted => "aborted",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Outcome of a trial or demonstration, and its judge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The task was done, according to `judge`.
    Success {
        /// Judge: `success_rule`, `operator`.
        judge: String,
    },
    /// Time ran out or the task was spoiled.
    Failure {
        /// Judge.
        judge: String,
        /// Why, in a few words.
        why: String,
    },
    /// The attempt does not count: a fault, an operator's stop. Not a failure.
    Aborted {
        /// Who aborted.
        judge: String,
        /// Why, in a few words.
        why: String,
    },
}

impl Outcome {
    /// The kind alone, without judge and reason.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Success { .. } => OutcomeKind::Success,
            Outcome::Failure { .. } => OutcomeKind::Failure,
            Outcome::Aborted { .. } => OutcomeKind::Aborted,
        }
    }

    /// `success`, `failure` or `aborted`.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// Was the task done?
    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Success { .. })
    }
}

/// Metadata known before the first step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeStart {
    /// Name of the episode, unique within its folder; becomes the file name.
    pub name: String,
    /// Task name, as in the launch file (`croissant_out_of_bowl`).
    pub task: String,
    /// Instruction in plain words.
    pub instruction: String,
    /// Arm name (`widowx`).
    pub robot: String,
    /// Decision source (`expert`, `random`, a policy's name).
    pub action_source: String,
    /// Policy rate \[Hz\].
    pub policy_rate_hz: f64,
    /// Control rate \[Hz\].
    pub control_rate_hz: f64,
    /// Names of the arm's joints, chain order.
    pub joint_names: Vec<String>,
    /// Random seed of this episode.
    pub seed: u64,
    /// Resolved settings of the run, as TOML.
    pub settings: String,
}

/// One policy step: observation and decision.
#[derive(Debug)]
pub struct Step<'a> {
    /// Counts from 0.
    pub index: u64,
    /// The policy's input.
    pub observation: &'a Observation,
    /// Its action, with computation times.
    pub decision: &'a Decision,
    /// When the decision was published to the control loop.
    pub decided_at: Timestamp,
}

/// Result of the safety filter for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filtered {
    /// Sent unchanged.
    Passed,
    /// Sent with changes; the reason for the largest one.
    Limited(LimitReason),
    /// Not sent: the arm was commanded to hold.
    Stopped(LimitReason),
}

/// The limit that changed or stopped a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitReason {
    /// A number was NaN or infinite.
    NotFinite,
    /// Joint position limit.
    JointPosition,
    /// Joint velocity limit.
    JointVelocity,
    /// Joint acceleration limit.
    JointAcceleration,
    /// Joint jerk limit.
    JointJerk,
    /// Joint torque limit.
    JointTorque,
    /// Limit of the joint torque rate.
    JointTorqueRate,
    /// Limit of the tool's speed or turning speed.
    ToolVelocity,
    /// Tool outside the workspace box.
    Workspace,
    /// A part of the arm at a plane that it must not cross: the table, a wall.
    Plane,
    /// Two parts of the arm too near to each other.
    SelfCollision,
    /// The arm does not follow its command: it is blocked.
    Residual,
    /// The newest action is too old.
    CommandAge,
    /// The observation behind the newest action is too old, or its camera is at fault.
    ImageAge,
    /// Inverse kinematics had no solution.
    NoSolution,
    /// The control law does not take this kind of action: joint torques need the law `torque`, which takes nothing else, and
    /// joint velocities the law `velocity`.
    WrongAction,
    /// The deadline budget was used up.
    Deadlines,
    /// The operator paused the run, or there is a handover.
    Paused,
}

/// One control tick: measured, desired and sent. `Copy`, so that the control thread can pass it on without allocating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlTick {
    /// Planned start of the tick.
    pub at: Timestamp,
    /// Measured joint positions \[rad\].
    pub measured: JointVector,
    /// Measured gripper fraction.
    pub measured_gripper: f64,
    /// Desired command, before the safety filter.
    pub wished: JointCommand,
    /// Command sent, after the safety filter.
    pub sent: JointCommand,
    /// The action in force.
    pub action: Action,
    /// Policy step the action belongs to; `None` before the first.
    pub step_index: Option<u64>,
    /// Result of the safety filter.
    pub filtered: Filtered,
    /// Age of the image behind the action when the command was sent \[s\]; NaN before the first action.
    pub image_age_seconds: f64,
    /// Duration of the tick \[s\].
    pub tick_seconds: f64,
}

/// Metadata known at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// Outcome.
    pub outcome: Outcome,
    /// Number of policy steps.
    pub steps: u64,
    /// Duration \[s\].
    pub seconds: f64,
}

/// Why a listener failed: the listener's own error, whatever its type.
///
/// `{}` prints that error alone, `{:#}` that error and its causes, each after a colon.
#[derive(Debug)]
pub struct SinkError(Box<dyn Error + Send + Sync>);

impl SinkError {
    /// From an error, or from a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The listener's own error.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if f.alternate() {
            let mut next = self.source();
            while let Some(cause) = next {
                write!(f, ": {cause}")?;
                next = cause.source();
            }
        }
        Ok(())
    }
}

/// Prints as the error inside does, so its source is that error's.
impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Listener of an episode: a recorder, a display, a trial's judge. Called only from the decision loop, so it may be slow,
/// but in lockstep the loops wait for it.
pub trait StepSink {
    /// Before the first step.
    fn episode_started(&mut self, start: &EpisodeStart) -> Result<(), SinkError>;
    /// After each policy step.
    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError>;
    /// Instead of each policy step while the run is paused: the current observation.
    fn paused(&mut self, observation: &Observation) -> Result<(), SinkError> {
        let _ = observation;
        Ok(())
    }
    /// For each control tick, in order, some time after it happened.
    fn control_tick(&mut self, tick: &ControlTick) -> Result<(), SinkError>;
    /// After the last step.
    fn episode_ended(&mut self, end: &EpisodeEnd) -> Result<(), SinkError>;
}

/// Judge of an episode: a success rule in simulation, or the operator at a button.
pub trait Judge {
    /// Judges the scene at `now`, once per policy step; an outcome ends the episode.
    fn judge(&mut self, now: Timestamp) -> Option<Outcome>;
    /// The verdict when time is up.
    fn time_out(&mut self, now: Timestamp) -> Outcome;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write")]
    struct Write(#[source] std::io::Error);

    #[test]
    fn a_listeners_error_prints_as_its_own_and_once() {
        let error = SinkError::new(Write(std::io::Error::other("no space")));
        assert_eq!((error.to_string(), format!("{error:#}")), ("cannot write".into(), "cannot write: no space".into()));
        assert_eq!(error.source().map(ToString::to_string), Some("no space".into()));
        assert!(error.into_inner().downcast_ref::<Write>().is_some());
        assert_eq!(format!("{:#}", SinkError::new("no space")), "no space");
    }
}

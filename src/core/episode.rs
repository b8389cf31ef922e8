//! An episode: reset to end, one unbroken stretch; made of steps (policy rate) and control ticks (control rate).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Decision, JointCommand};
use crate::observation::{JointVector, Observation};
use crate::time::Timestamp;

/// How a trial or demonstration ended, in one word.
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

/// How a trial or demonstration ended, and who judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// The task was done, as `judge` saw it.
    Success {
        /// Who or what judged: `success_rule`, `operator`.
        judge: String,
    },
    /// Time ran out or the task was spoiled.
    Failure {
        /// Who or what judged.
        judge: String,
        /// Why, in a few words.
        why: String,
    },
    /// The attempt does not count: a fault, an operator's stop. Not a failure.
    Aborted {
        /// Who or what aborted.
        judge: String,
        /// Why, in a few words.
        why: String,
    },
}

impl Outcome {
    /// In one word, without who judged and why.
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

/// What is known before the first step.
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
    /// Who decides (`expert`, `random`, a policy's name).
    pub action_source: String,
    /// Policy rate \[Hz\].
    pub policy_rate_hz: f64,
    /// Control rate \[Hz\].
    pub control_rate_hz: f64,
    /// Names of the arm's joints, chain order.
    pub joint_names: Vec<String>,
    /// Seed everything random of this episode came from.
    pub seed: u64,
    /// Resolved settings of the run, as TOML.
    pub settings: String,
}

/// One policy step: what was seen and what was asked for.
#[derive(Debug)]
pub struct Step<'a> {
    /// Counts from 0.
    pub index: u64,
    /// What the policy looked at.
    pub observation: &'a Observation,
    /// What it asked for, and at what cost.
    pub decision: &'a Decision,
    /// When the decision was published to the control loop.
    pub decided_at: Timestamp,
}

/// What the safety filter did to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filtered {
    /// Sent as wished.
    Passed,
    /// Sent changed; the reason of the largest change.
    Limited(LimitReason),
    /// Not sent: the arm was commanded to hold.
    Stopped(LimitReason),
}

/// Which limit changed or stopped a command.
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
    /// Limit of the change of joint torque.
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
    /// What the newest action was decided on is too old, or its camera is at fault.
    ImageAge,
    /// Inverse kinematics had no solution.
    NoSolution,
    /// The action is of a kind the control law does not take: joint torques belong to the law `torque`, which takes nothing
    /// else, and joint velocities to the law `velocity`.
    WrongAction,
    /// The deadline budget was used up.
    Deadlines,
    /// The operator paused the run, or it changes hands.
    Paused,
}

/// One control tick: measured, wished and sent. `Copy`, so that the control thread can hand it over without allocating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ControlTick {
    /// Planned start of the tick.
    pub at: Timestamp,
    /// Measured joint positions \[rad\].
    pub measured: JointVector,
    /// Measured gripper fraction.
    pub measured_gripper: f64,
    /// What control wished for.
    pub wished: JointCommand,
    /// What was sent after the safety filter.
    pub sent: JointCommand,
    /// The action in force.
    pub action: Action,
    /// Policy step the action belongs to; `None` before the first.
    pub step_index: Option<u64>,
    /// What the safety filter did.
    pub filtered: Filtered,
    /// Age of the image behind the action when the command was sent \[s\]; NaN before the first action.
    pub image_age_seconds: f64,
    /// How long the tick took \[s\].
    pub tick_seconds: f64,
}

/// What is known at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// Number of policy steps.
    pub steps: u64,
    /// Length \[s\].
    pub seconds: f64,
}

/// Who listens to an episode: a recorder, a display, a trial's judge. Called from the decision side only, so it may be
/// slow, but the loop waits for it in lockstep.
pub trait StepSink {
    /// Before the first step.
    fn episode_started(&mut self, start: &EpisodeStart) -> anyhow::Result<()>;
    /// After each policy step.
    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()>;
    /// In place of each policy step while the run is paused: what is seen meanwhile.
    fn paused(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let _ = observation;
        Ok(())
    }
    /// For each control tick, in order, some time after it happened.
    fn control_tick(&mut self, tick: &ControlTick) -> anyhow::Result<()>;
    /// After the last step.
    fn episode_ended(&mut self, end: &EpisodeEnd) -> anyhow::Result<()>;
}

/// Who says how an episode ends: a success rule in simulation, a person at a button.
pub trait Judge {
    /// Looks at the scene at `now`, once per policy step; an answer ends the episode.
    fn judge(&mut self, now: Timestamp) -> Option<Outcome>;
    /// The verdict when time ran out.
    fn time_out(&mut self, now: Timestamp) -> Outcome;
}

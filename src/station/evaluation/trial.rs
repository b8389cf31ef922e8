//! What runs a trial, and what it returns.

use std::collections::BTreeMap;

use super::latency::LatencySeries;
use super::protocol::TrialPlan;
use visuomotor_core::episode::Outcome;

/// Runs one trial: resets the scene as planned, lets the policy act, judges.
pub trait TrialRunner {
    /// Runs `plan` and records it under `episode_name`. An error stops the evaluation; the trial runs again on resume.
    /// A trial that was broken off (a fault, an operator's stop) returns [`Outcome::Aborted`], not an error.
    /// `None`: it was not begun because the operator quit.
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>>;
}

/// Result of one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRun {
    /// Outcome and judge.
    pub outcome: Outcome,
    /// Number of policy steps.
    pub steps: u64,
    /// Duration of the trial \[s\]; for a success the time to success.
    pub seconds: f64,
    /// File of the recorded episode, as named in the report.
    pub episode: String,
    /// Images of the trial in order of time: time \[s since the trial's start\] and JPEG file. Use about 160 pixels of width
    /// and one image per policy step: the page embeds as many of them as its size allows.
    pub pictures: Vec<(f64, Vec<u8>)>,
    /// Embedding distance to the goal image: time \[s since the trial's start\] and distance. Empty if the policy has no
    /// encoder; non-finite points are left out of the records.
    pub goal_distance: Vec<(f64, f64)>,
    /// Critic value V(s_t) of each state: time \[s since the trial's start\] and value. Empty if there is no critic, or it was
    /// not evaluated.
    pub state_value: Vec<(f64, f64)>,
    /// Every timing of the trial by name (`inference`, `image_age`, `tick`).
    pub latency: BTreeMap<String, LatencySeries>,
    /// Control ticks that missed their deadline.
    pub deadline_misses: u64,
    /// Gaps in the trial's record and their reasons: a full disk does not end a trial.
    pub missing: Vec<String>,
}

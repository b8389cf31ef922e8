//! Scores a policy by the protocol of the V-PTR paper and writes down how it went.
//!
//! [`protocol`] lays out the trials (twelve per task), a [`TrialRunner`] runs them one by one, [`journal`] keeps every
//! finished trial on disk so that a stopped evaluation resumes without repeating or losing one, [`statistics`] says
//! what the counts mean, and [`report`] and [`page`] turn them into `report.json` and `report.html`. [`comparison`] runs
//! several policies in turns on the same trials.
//! Start reading at [`evaluate`].
//!
//! Places are in the base frame \[m\] (x forward, y left), times in \[s\] unless a name says otherwise. An aborted trial
//! (a fault, an operator's stop) is written down but counts neither as success nor as failure.
//!
//! What this module refuses to do: to mix results of different settings, weights, seeds or policies in one folder.

mod card;
pub mod comparison;
mod distractors;
mod draw;
pub mod journal;
pub mod latency;
pub mod methods;
pub mod page;
pub mod paper;
mod placement;
pub mod protocol;
pub mod report;
mod run;
pub mod statistics;

use std::collections::BTreeMap;

use visuomotor_core::episode::Outcome;

pub use card::Card;
pub use comparison::{ComparisonReport, Contest, compare, letters};
pub use journal::{Journal, JournalError, JournalHeader, TrialRecord};
pub use latency::{LatencySeries, LatencySummary};
pub use protocol::{Distractor, Placement, Scenario, TrialPlan, plans};
pub use report::{Control, Machine, Report, revision};
pub use run::{EvaluationOptions, Progress, evaluate, report_again};

/// Runs one trial: resets the scene as planned, lets the policy act, judges.
pub trait TrialRunner {
    /// Runs `plan` and records it under `episode_name`. An error stops the evaluation; the trial runs again on resume.
    /// A trial that was broken off (a fault, an operator's stop) is an answer with [`Outcome::Aborted`], not an error.
    /// `None`: it was not begun, because no more trials are wanted now.
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>>;
}

/// What came of one trial.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRun {
    /// How it ended, and who judged.
    pub outcome: Outcome,
    /// Number of policy steps.
    pub steps: u64,
    /// Length of the trial \[s\]; for a success the time to success.
    pub seconds: f64,
    /// File of the recorded episode, as the reader of the report shall find it.
    pub episode: String,
    /// Images of the trial in order of time: moment \[s since the trial's start\] and JPEG file. About 160 pixels wide
    /// and one per policy step is right: the page embeds as many of them as its size allows.
    pub pictures: Vec<(f64, Vec<u8>)>,
    /// Embedding distance to the goal image: moment \[s since the trial's start\] and distance. Empty where the policy
    /// has no encoder; points that are not finite are left out of the records.
    pub goal_distance: Vec<(f64, f64)>,
    /// What the policy's critic expected of each state, V(s_t): moment \[s since the trial's start\] and value. Empty where
    /// there is no critic, or it was not evaluated.
    pub state_value: Vec<(f64, f64)>,
    /// Every timing of the trial by name (`inference`, `image_age`, `tick`).
    pub latency: BTreeMap<String, LatencySeries>,
    /// Control ticks that missed their deadline.
    pub deadline_misses: u64,
    /// What the record of the trial lacks and why, in words: a disk that was full did not end it.
    pub missing: Vec<String>,
}

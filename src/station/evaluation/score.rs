//! Counts of successes, with their intervals: what reports, comparisons and pages are made of.

use serde::{Deserialize, Serialize};

use super::journal::TrialRecord;
use super::protocol::Scenario;
use super::statistics::{Interval, clopper_pearson95, wilson95};

/// Successes of valid trials, with confidence intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Successful trials.
    pub successes: u64,
    /// Valid trials.
    pub trials: u64,
    /// Aborted attempts, which do not count.
    pub aborted: u64,
    /// Wilson's 95 % interval of the success rate.
    pub wilson95: Interval,
    /// Clopper and Pearson's exact 95 % interval of the success rate.
    pub clopper_pearson95: Interval,
}

impl Score {
    /// Sum of several scores.
    pub(super) fn together<'a>(scores: impl Iterator<Item = &'a Score>) -> Self {
        let (mut successes, mut trials, mut aborted) = (0, 0, 0);
        for score in scores {
            successes += score.successes;
            trials += score.trials;
            aborted += score.aborted;
        }
        let (wilson95, clopper_pearson95) = (wilson95(successes, trials), clopper_pearson95(successes, trials));
        Self { successes, trials, aborted, wilson95, clopper_pearson95 }
    }

    /// Counts records.
    pub(super) fn of<'a>(records: impl Iterator<Item = &'a TrialRecord>) -> Self {
        let (mut successes, mut trials, mut aborted) = (0, 0, 0);
        for record in records {
            successes += u64::from(record.is_success());
            trials += u64::from(record.counts());
            aborted += u64::from(!record.counts());
        }
        let (wilson95, clopper_pearson95) = (wilson95(successes, trials), clopper_pearson95(successes, trials));
        Self { successes, trials, aborted, wilson95, clopper_pearson95 }
    }
}

/// Score of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScore {
    /// Task name.
    pub task: String,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
}

/// Score of one object: in scenario 3 a task has several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectScore {
    /// Object name.
    pub object: String,
    /// Its score.
    #[serde(flatten)]
    pub score: Score,
}

/// Another policy scored by the same protocol: the upper (`expert`) or lower (`random`) reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Who decided.
    pub policy: String,
    /// Scenario it was scored in.
    pub scenario: Scenario,
    /// Seed of its layout.
    pub seed: u64,
    /// Digest of its settings.
    pub settings_digest: String,
    /// Digest of its weights; empty if it has none.
    pub weights_digest: String,
    /// Revision of the program.
    pub revision: String,
    /// Scores per task.
    pub tasks: Vec<TaskScore>,
    /// Score of all tasks together.
    pub total: Score,
}

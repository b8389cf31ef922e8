//! The real-robot results of V-PTR (table 1), shown next to ours. They are not directly comparable: another arm, a real
//! kitchen, another training set.

use serde::{Deserialize, Serialize};

use super::protocol::Scenario;

/// A real-robot result of the paper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaperScore {
    /// Task, or object in scenario 3, in the paper's words.
    pub label: String,
    /// Successes.
    pub successes: u64,
    /// Trials.
    pub trials: u64,
}

/// One row: a word that our task's (scenario 3: object's) name contains, label, successes, trials.
type Row = (&'static str, &'static str, u64, u64);

const PLAIN: [Row; 4] = [
    ("croissant", "croissant from bowl", 7, 12),
    ("sweet_potato", "sweet potato on plate", 6, 12),
    ("knife", "knife in pot", 6, 12),
    ("cucumber", "cucumber in pot", 5, 12),
];
const DISTRACTORS: [Row; 4] = [
    ("croissant", "croissant from bowl", 8, 12),
    ("sweet_potato", "sweet potato on plate", 4, 12),
    ("knife", "knife in pot", 4, 12),
    ("cucumber", "cucumber in pot", 4, 12),
];
const NOVEL: [Row; 3] = [("carrot", "carrot", 2, 3), ("cucumber", "cucumber", 1, 3), ("ice_cream", "ice-cream", 0, 3)];

fn rows(scenario: Scenario) -> &'static [Row] {
    match scenario {
        Scenario::Plain => &PLAIN,
        Scenario::Distractors => &DISTRACTORS,
        Scenario::NovelTargets => &NOVEL,
    }
}

fn score(&(_, label, successes, trials): &Row) -> PaperScore {
    PaperScore { label: label.into(), successes, trials }
}

/// All rows of the paper for a scenario.
pub fn scores(scenario: Scenario) -> Vec<PaperScore> {
    rows(scenario).iter().map(score).collect()
}

/// The paper's total for a scenario: 24/48, 20/48, 3/9.
pub fn total(scenario: Scenario) -> PaperScore {
    let rows = rows(scenario);
    let successes = rows.iter().map(|row| row.2).sum();
    PaperScore { label: "total".into(), successes, trials: rows.iter().map(|row| row.3).sum() }
}

/// The paper's row for one of our tasks (scenario 3: objects), by name.
pub fn beside(scenario: Scenario, name: &str) -> Option<PaperScore> {
    rows(scenario).iter().find(|row| name.contains(row.0)).map(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_the_papers() {
        let of = |scenario| (total(scenario).successes, total(scenario).trials);
        assert_eq!(of(Scenario::Plain), (24, 48));
        assert_eq!(of(Scenario::Distractors), (20, 48));
        assert_eq!(of(Scenario::NovelTargets), (3, 9));
    }

    #[test]
    fn a_task_finds_its_row_by_name() {
        assert_eq!(beside(Scenario::Distractors, "croissant_out_of_bowl").map(|row| row.successes), Some(8));
        assert_eq!(beside(Scenario::NovelTargets, "ice_cream").map(|row| row.successes), Some(0));
        assert_eq!(beside(Scenario::Plain, "lemon_on_plate"), None);
    }
}

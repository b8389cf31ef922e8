//! The table of a paper: methods down, tasks across; the trials of a method's training seeds are pooled.
//!
//! Made from comparisons ([`ComparisonReport`]) whose policies are named `METHOD-SEED`. Fisher's exact test compares the
//! first method with each other one, with Holm's correction for their number. Trials of one training seed are not
//! independent, so the totals of each seed are shown as well: disagreement between seeds says more than p.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::comparison::ComparisonReport;
use super::score::{Score, TaskScore};
use super::statistics::{fisher_exact, holm};

/// A method of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodName {
    /// Prefix of its policies' names.
    pub name: String,
    /// What the table calls it.
    pub label: String,
    /// The paper's successes in scenarios 1, 2, 3 (of 48, 48, 9), if it reports the method.
    pub paper: Option<[u64; 3]>,
}

/// One method in one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodRow {
    /// What the table calls it.
    pub label: String,
    /// Training seed and score of each policy.
    pub seeds: Vec<(u64, Score)>,
    /// Scores per task, all seeds together.
    pub tasks: Vec<TaskScore>,
    /// Total score.
    pub total: Score,
    /// The paper's successes and trials, on a real robot.
    pub paper: Option<(u64, u64)>,
    /// Compared with the first method: Fisher's exact p of the totals, and the same after Holm's correction.
    pub against_first: Option<(f64, f64)>,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioTable {
    /// Number of the scenario.
    pub scenario: u8,
    /// Its title.
    pub title: String,
    /// Rows, in the order of the methods; methods without a policy are left out.
    pub rows: Vec<MethodRow>,
}

/// Trials of the paper's tables in scenarios 1, 2, 3.
const PAPER_TRIALS: [u64; 3] = [48, 48, 9];

impl ScenarioTable {
    /// The table of one comparison.
    pub fn new(methods: &[MethodName], report: &ComparisonReport) -> Self {
        let number = report.scenario.number();
        let mut rows: Vec<MethodRow> = Vec::new();
        for method in methods {
            let mut seeds = Vec::new();
            let mut tasks: Vec<(String, Vec<Score>)> = Vec::new();
            for standing in &report.standings {
                let Some((name, seed)) = standing.policy.rsplit_once('-') else { continue };
                let (true, Ok(seed)) = (name == method.name, seed.parse()) else { continue };
                seeds.push((seed, standing.total));
                for task in &standing.tasks {
                    match tasks.iter_mut().find(|(name, _)| *name == task.task) {
                        Some((_, scores)) => scores.push(task.score),
                        None => tasks.push((task.task.clone(), vec![task.score])),
                    }
                }
            }
            if seeds.is_empty() {
                continue;
            }
            seeds.sort_by_key(|(seed, _)| *seed);
            let index = usize::from(number.clamp(1, 3)) - 1;
            rows.push(MethodRow {
                label: method.label.clone(),
                total: Score::together(seeds.iter().map(|(_, score)| score)),
                tasks: tasks
                    .into_iter()
                    .map(|(task, scores)| TaskScore { task, score: Score::together(scores.iter()) })
                    .collect(),
                seeds,
                paper: method.paper.map(|paper| (paper[index], PAPER_TRIALS[index])),
                against_first: None,
            });
        }
        let counted = |row: &MethodRow| (row.total.successes, row.total.trials);
        let chances: Vec<f64> = rows.iter().skip(1).map(|row| fisher_exact(counted(&rows[0]), counted(row))).collect();
        for ((row, p), corrected) in rows.iter_mut().skip(1).zip(&chances).zip(holm(&chances)) {
            row.against_first = Some((*p, corrected));
        }
        Self { scenario: number, title: report.scenario.title().to_string(), rows }
    }

    /// As text for the terminal.
    pub fn text(&self) -> String {
        let mut out = format!("scenario {} ({})\n", self.scenario, self.title);
        let width = self.rows.iter().map(|row| row.label.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            let seeds: Vec<String> = row.seeds.iter().map(|(_, s)| format!("{}/{}", s.successes, s.trials)).collect();
            let paper = row.paper.map_or(String::new(), |(k, n)| format!("  paper {k}/{n}"));
            let against = row.against_first.map_or(String::new(), |(p, corrected)| {
                let word = if corrected < 0.05 { "differs from the first" } else { "could be chance" };
                format!("  p = {p:.3} ({corrected:.3}): {word}")
            });
            // Writing to a String cannot fail.
            let _ = writeln!(
                out,
                "  {:width$}  {:>7}  95 %: {:>3.0} .. {:>3.0} %  seeds {}{paper}{against}",
                row.label,
                format!("{}/{}", row.total.successes, row.total.trials),
                row.total.wilson95.low * 100.0,
                row.total.wilson95.high * 100.0,
                seeds.join(", "),
            );
        }
        out
    }
}

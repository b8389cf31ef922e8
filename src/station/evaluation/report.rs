//! `report.json`: results of an evaluation with everything needed to repeat it, also as text for a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::journal::TrialRecord;
use super::latency::{LatencySeries, LatencySummary};
use super::options::{EvaluationOptions, Machine};
use super::paper::{self, PaperScore};
use super::protocol::{Placement, Scenario, TrialPlan};
use super::score::{Control, ObjectScore, Score, TaskScore};
use super::statistics::{fisher_exact, p_words, plain_words};
use visuomotor_core::episode::OutcomeKind;

/// File name within the results folder.
pub const REPORT_FILE: &str = "report.json";

/// Summary of one trial; the journal has the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialRow {
    /// Task name.
    pub task: String,
    /// Number of the trial, from 1.
    pub trial: u32,
    /// Attempt, from 1.
    pub attempt: u32,
    /// Starting gripper transform.
    pub start: String,
    /// Placement of the object.
    pub placement: Placement,
    /// Object.
    pub object: String,
    /// Outcome.
    pub outcome: OutcomeKind,
    /// Judge.
    pub judge: String,
    /// Reason if not a success.
    pub why: String,
    /// Duration \[s\]; for a success the time to success.
    pub seconds: f64,
    /// Number of policy steps.
    pub steps: u64,
    /// Control ticks that missed their deadline.
    pub deadline_misses: u64,
    /// File of the recorded episode.
    pub episode: String,
}

impl Control {
    /// The control row from a report.
    pub fn from_report(report: &Report) -> Self {
        Self {
            policy: report.policy.clone(),
            scenario: report.scenario,
            seed: report.seed,
            settings_digest: report.settings_digest.clone(),
            weights_digest: report.weights_digest.clone(),
            revision: report.revision.clone(),
            tasks: report.tasks.clone(),
            total: report.total,
        }
    }

    /// Reads the `report.json` of an earlier evaluation.
    pub fn load(report: &Path) -> anyhow::Result<Self> {
        let text = visuomotor_core::untrusted::read_text(report, visuomotor_core::untrusted::LARGEST_TEXT)
            .with_context(|| format!("{}: cannot be read; name a report.json", report.display()))?;
        let report: Report = serde_json::from_str(&text)
            .with_context(|| format!("{}: not a report.json of this version", report.display()))?;
        Ok(Self::from_report(&report))
    }
}

/// Comparison of our total with another policy's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The other policy.
    pub policy: String,
    /// Fisher's exact two-sided p of both totals: the probability of such a difference if both were equally good.
    pub fisher_p: f64,
}

/// Results of an evaluation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Who decided.
    pub policy: String,
    /// Scenario.
    pub scenario: Scenario,
    /// Seed of the layout.
    pub seed: u64,
    /// Scene name.
    pub scene: String,
    /// Trials planned.
    pub planned: u64,
    /// Does every planned trial have a valid result?
    pub complete: bool,
    /// Scores per task, in run order.
    pub tasks: Vec<TaskScore>,
    /// Score of all tasks together.
    pub total: Score,
    /// Scores per object, sorted by name (the order of trials is shuffled).
    pub objects: Vec<ObjectScore>,
    /// Statistical interpretation of the total.
    pub plain_words: String,
    /// Other policies scored by the same protocol.
    pub controls: Vec<Control>,
    /// Our total against theirs.
    pub comparisons: Vec<Comparison>,
    /// The paper's real-robot results, not directly comparable.
    pub paper: Vec<PaperScore>,
    /// Every attempt, in run order.
    pub trials: Vec<TrialRow>,
    /// Timings over all attempts \[ms\].
    pub latency_ms: BTreeMap<String, LatencySummary>,
    /// Control ticks that missed their deadline, over all attempts.
    pub deadline_misses: u64,
    /// Gaps in the record and their reasons, one line each; empty if complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// SHA-256 of the resolved settings.
    pub settings_digest: String,
    /// SHA-256 of the policy's weights.
    pub weights_digest: String,
    /// Git revision of the program.
    pub revision: String,
    /// Command line to repeat it.
    pub command: String,
    /// Machine it ran on.
    pub machine: Machine,
    /// Resolved settings, TOML.
    pub settings: String,
}

/// All samples of all attempts by name.
pub(super) fn merged_latency(records: &[TrialRecord]) -> BTreeMap<String, LatencySeries> {
    let mut merged: BTreeMap<String, LatencySeries> = BTreeMap::new();
    for record in records {
        for (name, series) in &record.latency {
            merged.entry(name.clone()).or_default().merge(series);
        }
    }
    merged
}

impl Report {
    /// Sums up the records of an evaluation.
    pub fn new(options: &EvaluationOptions, scene: &str, plans: &[TrialPlan], records: &[TrialRecord]) -> Self {
        let total = Score::of(records.iter());
        Self {
            policy: options.policy.clone(),
            scenario: options.scenario,
            seed: options.seed,
            scene: scene.into(),
            planned: plans.len() as u64,
            complete: total.trials == plans.len() as u64,
            tasks: distinct(plans, |plan| &plan.task)
                .into_iter()
                .map(|task| TaskScore { score: Score::of(records.iter().filter(|r| r.plan.task == task)), task })
                .collect(),
            total,
            objects: sorted(distinct(plans, |plan| &plan.object))
                .into_iter()
                .map(|object| {
                    let score = Score::of(records.iter().filter(|r| r.plan.object == object));
                    ObjectScore { score, object }
                })
                .collect(),
            plain_words: plain_words(total.successes, total.trials),
            controls: options.controls.clone(),
            comparisons: options
                .controls
                .iter()
                .map(|control| Comparison {
                    policy: control.policy.clone(),
                    fisher_p: fisher_exact(
                        (total.successes, total.trials),
                        (control.total.successes, control.total.trials),
                    ),
                })
                .collect(),
            paper: paper::scores(options.scenario),
            trials: records.iter().map(row).collect(),
            latency_ms: merged_latency(records).into_iter().map(|(name, series)| (name, series.summary())).collect(),
            deadline_misses: records.iter().map(|record| record.deadline_misses).sum(),
            missing: records
                .iter()
                .flat_map(|record| {
                    let (name, attempt) = (record.plan.name(), record.attempt);
                    record.missing.iter().map(move |what| format!("{name}, attempt {attempt}: {what}"))
                })
                .collect(),
            settings_digest: options.settings_digest.clone(),
            weights_digest: options.weights_digest.clone(),
            revision: options.revision.clone(),
            command: options.command.clone(),
            machine: options.machine.clone(),
            settings: options.settings.clone(),
        }
    }

    /// A table for the terminal.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{} in scenario {} ({}), seed {}{}\n",
            self.policy,
            self.scenario.number(),
            self.scenario.title(),
            self.seed,
            if self.complete { "" } else { ", not complete" }
        );
        let width = self.tasks.iter().map(|task| task.task.len()).max().unwrap_or(0).max(5);
        let mut line = |name: &str, score: &Score, note: &str| {
            let counted = format!("{}/{}", score.successes, score.trials);
            let percent = |rate: f64| (rate * 100.0).round();
            let (low, high) = (percent(score.wilson95.low), percent(score.wilson95.high));
            let aborted = if score.aborted > 0 { format!("  {} aborted", score.aborted) } else { String::new() };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:width$}  {counted:>6}  95 %: {low:>3.0} .. {high:>3.0} %{note}{aborted}");
        };
        for task in &self.tasks {
            line(&task.task, &task.score, "");
        }
        if self.scenario == Scenario::NovelTargets {
            for object in &self.objects {
                line(&object.object, &object.score, "");
            }
        }
        line("total", &self.total, "");
        for (control, comparison) in self.controls.iter().zip(&self.comparisons) {
            line(&control.policy, &control.total, &format!("  p {}", p_words(comparison.fisher_p)));
        }
        let _ = writeln!(out, "  {}", self.plain_words);
        for (name, latency) in &self.latency_ms {
            let _ = writeln!(
                out,
                "  {name}: p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms ({} samples)",
                latency.p50, latency.p99, latency.max, latency.count
            );
        }
        let _ = writeln!(out, "  deadline misses: {}", self.deadline_misses);
        if !self.missing.is_empty() {
            let _ = writeln!(out, "  missing in the record ({}):", self.missing.len());
        }
        for line in &self.missing {
            let _ = writeln!(out, "    {line}");
        }
        out
    }
}

fn row(record: &TrialRecord) -> TrialRow {
    TrialRow {
        task: record.plan.task.clone(),
        trial: record.plan.trial,
        attempt: record.attempt,
        start: record.plan.start.clone(),
        placement: record.plan.placement,
        object: record.plan.object.clone(),
        outcome: record.outcome,
        judge: record.judge.clone(),
        why: record.why.clone(),
        seconds: record.seconds,
        steps: record.steps,
        deadline_misses: record.deadline_misses,
        episode: record.episode.clone(),
    }
}

/// The distinct values of `key`, in order of first appearance.
fn distinct(plans: &[TrialPlan], key: impl Fn(&TrialPlan) -> &String) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for plan in plans {
        if !found.contains(key(plan)) {
            found.push(key(plan).clone());
        }
    }
    found
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

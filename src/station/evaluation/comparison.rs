//! Results of several policies on the same trials.
//!
//! Each policy has an uninformative letter. Because the layouts are the same, a pair of policies is compared by McNemar's
//! exact test on the trials in which only one of them succeeded; Holm's correction accounts for the number of pairs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::draw::Draw;
use super::journal::TrialRecord;
use super::options::Machine;
use super::protocol::Scenario;
use super::report::Report;
use super::score::{Score, TaskScore};
use super::statistics::{fisher_exact, holm, mcnemar_exact};

/// File name of the comparison within its folder.
pub const COMPARISON_FILE: &str = "comparison.json";
/// File name of its page.
pub const COMPARISON_PAGE: &str = "comparison.html";

/// Results of one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The letter it ran under.
    pub letter: char,
    /// Its name.
    pub policy: String,
    /// SHA-256 of its weights; empty if it has none.
    pub weights_digest: String,
    /// Its results, relative to the comparison's folder.
    pub folder: String,
    /// Scores per task.
    pub tasks: Vec<TaskScore>,
    /// Score of all tasks together.
    pub total: Score,
}

/// Comparison of two policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Letter of the first.
    pub left: char,
    /// Letter of the second.
    pub right: char,
    /// Trials valid for both.
    pub both_ran: u64,
    /// Trials in which only `left` succeeded.
    pub only_left: u64,
    /// Trials in which only `right` succeeded.
    pub only_right: u64,
    /// McNemar's exact two-sided p.
    pub mcnemar_p: f64,
    /// The same after Holm's correction for the number of pairs: the difference is significant below 0.05.
    pub corrected_p: f64,
    /// Fisher's exact two-sided p of the totals, which ignores that the layouts were the same.
    pub fisher_p: f64,
}

/// Results of a comparison so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// Scenario.
    pub scenario: Scenario,
    /// Seed of the layouts, the letters and the order.
    pub seed: u64,
    /// Scene name.
    pub scene: String,
    /// Trials planned for each policy.
    pub planned: u64,
    /// Does every policy have a valid result for every trial?
    pub complete: bool,
    /// The policies, best first.
    pub standings: Vec<Standing>,
    /// Every pair, in the order of the standings.
    pub pairs: Vec<Pair>,
    /// Gaps in the record and their reasons, one line each; empty if complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Git revision of the program.
    pub revision: String,
    /// Command line to repeat it.
    pub command: String,
    /// Machine it ran on.
    pub machine: Machine,
}

/// The letters of the policies, in their order; drawn at random, so that a letter does not reveal the order of naming.
pub fn letters(seed: u64, policies: &[String]) -> Vec<char> {
    let mut order: Vec<usize> = (0..policies.len()).collect();
    Draw::new(seed, &["letters"]).shuffle(&mut order);
    let mut letters = vec!['?'; policies.len()];
    for (letter, policy) in ('A'..='Z').zip(order) {
        letters[policy] = letter;
    }
    letters
}

impl ComparisonReport {
    pub(super) fn new(folder: &Path, parts: &[(&PathBuf, Report, &[TrialRecord])]) -> Self {
        let first = &parts[0].1;
        let names: Vec<String> = parts.iter().map(|(_, report, _)| report.policy.clone()).collect();
        let letters = letters(first.seed, &names);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&i| (std::cmp::Reverse(parts[i].1.total.successes), letters[i]));
        let mut pairs = Vec::new();
        for (place, &left) in order.iter().enumerate() {
            for &right in &order[place + 1..] {
                pairs.push(Pair::new((letters[left], parts[left].2), (letters[right], parts[right].2)));
            }
        }
        let chances: Vec<f64> = pairs.iter().map(|pair| pair.mcnemar_p).collect();
        for (pair, corrected) in pairs.iter_mut().zip(holm(&chances)) {
            pair.corrected_p = corrected;
        }
        let standing = |i: usize| {
            let (place, report, _) = &parts[i];
            Standing {
                letter: letters[i],
                policy: report.policy.clone(),
                weights_digest: report.weights_digest.clone(),
                folder: place.strip_prefix(folder).unwrap_or(place).display().to_string(),
                tasks: report.tasks.clone(),
                total: report.total,
            }
        };
        Self {
            scenario: first.scenario,
            seed: first.seed,
            scene: first.scene.clone(),
            planned: first.planned,
            complete: parts.iter().all(|(_, report, _)| report.complete),
            standings: order.into_iter().map(standing).collect(),
            pairs,
            missing: parts
                .iter()
                .zip(&letters)
                .flat_map(|((_, report, _), letter)| report.missing.iter().map(move |line| format!("{letter}: {line}")))
                .collect(),
            revision: first.revision.clone(),
            command: first.command.clone(),
            machine: first.machine.clone(),
        }
    }

    /// A table for the terminal.
    pub fn table(&self) -> String {
        let mut out = format!(
            "scenario {} ({}), seed {}{}\n",
            self.scenario.number(),
            self.scenario.title(),
            self.seed,
            if self.complete { "" } else { ", not complete" }
        );
        let width = self.standings.iter().map(|s| s.policy.chars().count()).max().unwrap_or(0);
        for standing in &self.standings {
            let (total, percent) = (&standing.total, |rate: f64| (rate * 100.0).round());
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "  {}  {:width$}  {:>6}  95 %: {:>3.0} .. {:>3.0} %",
                standing.letter,
                standing.policy,
                format!("{}/{}", total.successes, total.trials),
                percent(total.wilson95.low),
                percent(total.wilson95.high)
            );
            for task in &standing.tasks {
                let _ = write!(out, "  {} {}/{}", task.task, task.score.successes, task.score.trials);
            }
            let _ = writeln!(out);
        }
        for pair in &self.pairs {
            let _ = writeln!(out, "  {}", pair.words());
        }
        if !self.missing.is_empty() {
            let _ = writeln!(out, "  missing in the record ({}):", self.missing.len());
        }
        for line in &self.missing {
            let _ = writeln!(out, "    {line}");
        }
        out
    }
}

impl Pair {
    fn new((left, ours): (char, &[TrialRecord]), (right, theirs): (char, &[TrialRecord])) -> Self {
        let counted = |records: &[TrialRecord]| {
            let counting = records.iter().filter(|r| r.counts());
            (counting.clone().filter(|r| r.is_success()).count() as u64, counting.count() as u64)
        };
        let (mut both_ran, mut only_left, mut only_right) = (0, 0, 0);
        for our in ours.iter().filter(|r| r.counts()) {
            let same = |their: &&TrialRecord| {
                their.counts() && their.plan.task == our.plan.task && their.plan.trial == our.plan.trial
            };
            let Some(their) = theirs.iter().find(same) else { continue };
            both_ran += 1;
            only_left += u64::from(our.is_success() && !their.is_success());
            only_right += u64::from(!our.is_success() && their.is_success());
        }
        let mcnemar_p = mcnemar_exact(only_left, only_right);
        Self {
            left,
            right,
            both_ran,
            only_left,
            only_right,
            mcnemar_p,
            corrected_p: mcnemar_p,
            fisher_p: fisher_exact(counted(ours), counted(theirs)),
        }
    }

    /// Is the difference significant at the 5 % level, corrected for all pairs?
    pub fn differs(&self) -> bool {
        self.corrected_p < 0.05
    }

    /// Summary of the pair's trials.
    pub fn words(&self) -> String {
        format!(
            "{} against {}: alone successful in {} and {} of {} trials, p = {:.3} ({:.3} for all pairs): {}",
            self.left,
            self.right,
            self.only_left,
            self.only_right,
            self.both_ran,
            self.mcnemar_p,
            self.corrected_p,
            if self.differs() { "a real difference" } else { "could be chance" }
        )
    }
}

//! Several policies on the same trials, interleaved: each layout is run by all policies before the next one, in an order
//! drawn for each layout, so that drift (light, wear, a judge's mood) affects all alike.
//!
//! Each policy has an uninformative letter. Each has its own folder with a journal, so that a stopped comparison
//! resumes. Because the layouts are the same, a pair of policies is compared by McNemar's exact test on the trials in
//! which only one of them succeeded; Holm's correction accounts for the number of pairs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use super::draw::{Draw, derived_seed};
use super::page;
use super::protocol::{Scenario, TrialPlan};
use super::report::{Machine, Report, Score, TaskScore};
use super::run::{Evaluation, EvaluationOptions, Progress, replace};
use super::statistics::{fisher_exact, holm, mcnemar_exact};
use super::{TrialRecord, TrialRun, TrialRunner};
use visuomotor_core::config::Scene;
use visuomotor_core::protection::Protection;

/// File name of the comparison within its folder.
pub const COMPARISON_FILE: &str = "comparison.json";
/// File name of its page.
pub const COMPARISON_PAGE: &str = "comparison.html";
/// Most policies of one comparison: one letter each.
const MOST: usize = 26;

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

/// Runs one trial of one of several policies.
pub trait Contest {
    /// Runs `plan` with policy number `policy`, as [`TrialRunner::run`].
    fn run(&mut self, policy: usize, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>>;
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

/// Runs the trials of `plans` that are missing in the journals, for each policy of `entrants` in turn.
///
/// `entrants` share scenario and seed; their folders lie under `folder`. `progress` receives the policy's number.
pub fn compare(
    folder: &Path,
    entrants: &[EvaluationOptions],
    scene: &Scene,
    plans: &[TrialPlan],
    contest: &mut dyn Contest,
    progress: &mut dyn FnMut(usize, Progress<'_>),
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<ComparisonReport> {
    ensure!(
        (2..=MOST).contains(&entrants.len()),
        "--policy: found {} policies, a comparison takes 2 to {MOST}; name each with its own --policy",
        entrants.len()
    );
    let seed = entrants[0].seed;
    ensure!(
        entrants.iter().all(|e| e.seed == seed && e.scenario == entrants[0].scenario),
        "all policies of a comparison must run the same scenario and seed"
    );
    let mut evaluations =
        entrants.iter().map(|options| Evaluation::open(options, scene, plans)).collect::<anyhow::Result<Vec<_>>>()?;
    for (i, evaluation) in evaluations.iter().enumerate() {
        evaluation.tell_resumed(&mut |p| progress(i, p));
    }
    'trials: for plan in plans {
        for policy in turns(seed, plan, entrants.len()) {
            let evaluation = &mut evaluations[policy];
            if !evaluation.remaining().contains(&plan) {
                continue;
            }
            if stop() {
                break 'trials;
            }
            let mut one = One { contest, policy };
            if !evaluation.run(plan, &mut one, &mut |p| progress(policy, p))? {
                break 'trials;
            }
        }
    }
    let mut parts = Vec::new();
    for (i, evaluation) in evaluations.iter_mut().enumerate() {
        let report = evaluation.finish(&mut |p| progress(i, p))?;
        parts.push((&entrants[i].folder, report, evaluation.records()));
    }
    let mut report = ComparisonReport::new(folder, &parts);
    match write(folder, &report) {
        Err(error) if Protection::Recording.is_on() => report.missing.push(format!("this comparison: {error:#}")),
        written => written?,
    }
    Ok(report)
}

fn write(folder: &Path, report: &ComparisonReport) -> anyhow::Result<()> {
    let mut json = serde_json::to_string_pretty(report)?;
    json.push('\n');
    replace(&folder.join(COMPARISON_FILE), json.as_bytes())?;
    replace(&folder.join(COMPARISON_PAGE), page::render_comparison(report).as_bytes())
}

/// The order in which the policies run a trial.
fn turns(seed: u64, plan: &TrialPlan, policies: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..policies).collect();
    Draw::new(derived_seed(seed, &["turns"]), &[&plan.name()]).shuffle(&mut order);
    order
}

/// One policy of a contest, as an evaluation sees it.
struct One<'a> {
    contest: &'a mut dyn Contest,
    policy: usize,
}

impl TrialRunner for One<'_> {
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        self.contest.run(self.policy, plan, episode_name)
    }
}

impl ComparisonReport {
    fn new(folder: &Path, parts: &[(&PathBuf, Report, &[TrialRecord])]) -> Self {
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

//! Several policies on the same trials, interleaved: each layout is run by all policies before the next one, in an order
//! drawn for each layout, so that drift (light, wear, a judge's mood) affects all alike.
//!
//! Each policy has its own folder with a journal, so that a stopped comparison resumes.

use std::path::Path;

use anyhow::ensure;

use super::comparison::{COMPARISON_FILE, COMPARISON_PAGE, ComparisonReport};
use super::draw::{Draw, derived_seed};
use super::options::EvaluationOptions;
use super::page;
use super::protocol::TrialPlan;
use super::run::{Evaluation, Progress, replace};
use super::trial::{TrialRun, TrialRunner};
use visuomotor_core::config::Scene;
use visuomotor_core::protection::Protection;

/// Most policies of one comparison: one letter each.
const MOST: usize = 26;

/// Runs one trial of one of several policies.
pub trait Contest {
    /// Runs `plan` with policy number `policy`, as [`TrialRunner::run`].
    fn run(&mut self, policy: usize, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>>;
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

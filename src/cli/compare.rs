//! `visuomotor compare`: several policies interleaved on the same trials; `--blind` hides their names from the judge.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;

use super::entrant::Entrant;
use super::evaluate::{TrialArguments, told};
use super::kitchen::KitchenSetting;
use super::new_folder::NewFolder;
use super::trial::Runner;
use crate::config::PolicySource;
use crate::evaluation::comparison::COMPARISON_PAGE;
use crate::evaluation::{
    ComparisonReport, Contest, EvaluationOptions, Progress, TrialPlan, TrialRun, TrialRunner, compare as run_trials,
    letters,
};
use crate::operator::Phase;
use crate::runtime::StopFlag;

/// Arguments of `visuomotor compare`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor compare launch/widowx_kitchen.toml --policy results/a --policy results/b --seed 7 --out results/a-and-b\n  visuomotor compare launch/widowx_kitchen.toml --policy results/a --policy results/b --driver dynamixel --port /dev/ttyDXL --page --blind --out results/arm\n\nEach layout is run with every policy before the next one. A stopped comparison resumes when started again with the same --out."
)]
pub struct CompareArguments {
    #[command(flatten)]
    pub trial: TrialArguments,
    /// Policy folder, `expert` or `random`; twice or more
    #[arg(long, required = true)]
    pub policy: Vec<PolicySource>,
}

/// Runs the command.
pub fn compare(arguments: &CompareArguments) -> anyhow::Result<u8> {
    let trial = &arguments.trial;
    let (mut setting, scenario) = trial.setting()?;
    // The decision source is set per policy; the launch file's must not change the comparison.
    setting.station.launch.policy.source = PolicySource::compared();
    let stop = StopFlag::on_signals()?;
    let mut names = BTreeMap::new();
    let mut entrants = Vec::new();
    for source in &arguments.policy {
        let entrant = Entrant::open(&setting.station, &setting.protocol.tasks, source)?;
        if let Some(other) = names.insert(entrant.name.clone(), source) {
            anyhow::bail!(
                "--policy: {other} and {source} are both called `{}`; give one of them another `name` in its policy.toml",
                entrant.name
            );
        }
        entrants.push(entrant);
    }
    ensure!(
        entrants.len() > 1,
        "--policy: found one policy, a comparison takes two or more; name each with its own --policy"
    );
    let names: Vec<String> = entrants.iter().map(|entrant| entrant.name.clone()).collect();
    let letters = letters(trial.seed, &names);
    // Must outlive the entrants' folders, which are inside it.
    let _folder = NewFolder::create(&trial.out, "--out")?;
    let lettered = |(mut entrant, letter): (Entrant, &char)| {
        if trial.blind {
            entrant.shown = format!("policy {letter}");
        }
        entrant.keep_in(&trial.out.join(letter.to_string()))
    };
    let entrants = entrants.into_iter().zip(&letters).map(lettered).collect::<anyhow::Result<Vec<_>>>()?;
    let options = entrants.iter().map(|entrant| trial.options(&setting, scenario, entrant)).collect();
    let plans = trial.plans(&setting, scenario)?;
    let mut turns = Turns::new(setting, entrants, &stop)?;
    turns.runner.connect(&trial.page, &trial.link, trial.consent, None)?;
    let report = turns.play(&trial.out, options, &plans, &|| stop.is_raised())?;
    say!("{}", report.table());
    super::last_words::say_where(&trial.out.join(COMPARISON_PAGE));
    if turns.runner.faulted() {
        return Ok(super::exit::FAULT);
    }
    Ok(u8::from(!report.complete || !report.missing.is_empty()))
}

/// One runner, several policies.
pub(super) struct Turns {
    runner: Runner,
    /// Entrants that wait for their turn; the runner holds the current one, initially the first.
    waiting: Vec<Option<Entrant>>,
    now: usize,
    /// Name of each while it runs.
    shown: Vec<String>,
}

impl Turns {
    /// In the in-process simulator, unless another link is given.
    pub fn new(setting: KitchenSetting, entrants: Vec<Entrant>, stop: &StopFlag) -> anyhow::Result<Self> {
        let shown = entrants.iter().map(|entrant| format!("{}  ", entrant.shown)).collect();
        let mut entrants = entrants.into_iter();
        let first = entrants.next().context("no policy")?;
        let waiting = std::iter::once(None).chain(entrants.map(Some)).collect();
        Ok(Self { runner: Runner::new(setting, first, stop.clone()), waiting, now: 0, shown })
    }

    /// Runs the remaining trials and writes the comparison into `folder`.
    pub fn play(
        &mut self,
        folder: &Path,
        options: Vec<EvaluationOptions>,
        plans: &[TrialPlan],
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<ComparisonReport> {
        let scene = self.runner.setting.scene.clone();
        let operator = self.runner.operator.clone();
        let total = plans.len() * options.len();
        let mut done = vec![0; options.len()];
        operator.show(|panel| panel.episodes = (0, total));
        let (shown, board) = (self.shown.clone(), operator.clone());
        let mut tell = |policy: usize, progress: Progress<'_>| {
            if let Progress::Resumed { done: of_it, .. } | Progress::Ended { done: of_it, .. } = &progress {
                done[policy] = *of_it;
                board.show(|panel| panel.episodes = (done.iter().sum(), total));
            }
            told(&shown[policy], progress);
        };
        let report = run_trials(folder, &options, &scene, plans, self, &mut tell, stop);
        operator.show(|panel| panel.phase = Phase::Idle);
        report
    }
}

impl Contest for Turns {
    fn run(&mut self, policy: usize, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        if let Some(next) = self.waiting[policy].take() {
            self.waiting[self.now] = Some(std::mem::replace(&mut self.runner.entrant, next));
            self.now = policy;
        }
        self.runner.run(plan, episode_name)
    }
}

//! `visuomotor pipeline`: from data to scored policies and the table that compares them.
//!
//! Every stage is an ordinary command of this program, run in its own process. Its output folder records completion. A
//! stopped pipeline resumes, also in the middle of a training run, so that a table of many hours can be made in pieces
//! (`--minutes`). All finished policies are scored, interleaved, on the same trials.

mod plan;
mod schedule;
mod stage;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::compare::Turns;
use super::entrant::Entrant;
use super::evaluate::evaluation_options;
use super::kitchen::KitchenSetting;
use crate::config::{PolicySource, project_root};
use crate::evaluation::{ComparisonReport, Scenario, plans};
use crate::runtime::StopFlag;
use plan::{Job, Plan, Scored};
use stage::Done;
use table::Table;

/// Arguments of `visuomotor pipeline`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor pipeline launch/vptr_kitchen.toml --out results/table\n  visuomotor pipeline launch/vptr_kitchen.toml --scale smoke --out results/smoke\n  visuomotor pipeline launch/vptr_kitchen.toml --method vptr --method ptr --jobs 2 --minutes 60 --out results/table\n  visuomotor pipeline launch/vptr_kitchen.toml --without-training --scenario 1 --out results/table\n  visuomotor pipeline launch/vptr_kitchen.toml --list --out results/table\n\nA stopped pipeline resumes when started again with the same --out."
)]
pub struct PipelineArguments {
    /// Pipeline file
    pub file: PathBuf,
    /// Folder for all outputs
    #[arg(long)]
    pub out: PathBuf,
    /// Size of everything: `smoke` (minutes), `small` (hours on two cores), `paper` (the published settings, for a GPU)
    #[arg(long, default_value = "small")]
    pub scale: String,
    /// Only this method; may be given several times (all of the file otherwise)
    #[arg(long)]
    pub method: Vec<String>,
    /// Stop after this many minutes, if need be in the middle of a stage
    #[arg(long)]
    pub minutes: Option<f64>,
    /// List the stages, finished and pending, and run nothing
    #[arg(long)]
    pub list: bool,
    /// Stages to run at once; each gets an equal share of the cores
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub jobs: usize,
    /// Score only this scenario; may be given several times (all of the file otherwise)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub scenario: Vec<u8>,
    /// Score only what is ready
    #[arg(long, conflicts_with = "without_evaluation")]
    pub without_training: bool,
    /// Train only
    #[arg(long)]
    pub without_evaluation: bool,
}

/// Runs the command.
pub fn pipeline(arguments: &PipelineArguments) -> anyhow::Result<u8> {
    let plan = Plan::load(&arguments.file)?;
    let root = project_root(&arguments.file);
    let out = std::path::absolute(&arguments.out)?;
    let (jobs, scored) = plan.jobs(&arguments.file, &arguments.scale, &arguments.method, &out)?;
    let mut digests: Vec<String> = Vec::new();
    for job in &jobs {
        let needed: Vec<String> = job.needs.iter().map(|need| digests[*need].clone()).collect();
        digests.push(job.digest(&root, &needed));
    }
    let mut done = BTreeMap::new();
    for (number, job) in jobs.iter().enumerate() {
        if let Some(was) = stage::done(job, &digests[number])? {
            done.insert(number, was);
        }
    }
    if arguments.list {
        list(&jobs, &done);
        return Ok(0);
    }
    std::fs::create_dir_all(&out)?;
    let flag = StopFlag::on_signals()?;
    let until = arguments.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes.max(0.0) * 60.0));
    let stop = || flag.is_raised() || until.is_some_and(|until| Instant::now() >= until);
    if !arguments.without_training {
        schedule::run_all(&jobs, &digests, &root, arguments.jobs, &mut done, &stop)?;
    }
    let ready: Vec<&Scored> = scored.iter().filter(|policy| done.contains_key(&policy.job)).collect();
    let mut table = Table::new(&plan, &arguments.scale, &jobs, &scored, &done);
    if !arguments.without_evaluation {
        let most = plan.scale.get(&arguments.scale).and_then(|numbers| numbers.get("trials")).copied();
        let wanted = |number: &&u8| arguments.scenario.is_empty() || arguments.scenario.contains(number);
        for number in plan.evaluation.scenarios.iter().filter(wanted) {
            let scenario = Scenario::try_from(*number).map_err(|error| anyhow::anyhow!("{error}"))?;
            let folder = out.join(format!("scenario{number}"));
            let trials = (scenario, most);
            if let Some(report) = evaluate(&plan, &root, (&jobs, &ready), trials, &folder, (&flag, &stop))? {
                table.add(&report);
            }
        }
    }
    table.write(&out)?;
    say!("{}", table.text());
    say!("table: {}", out.join(table::PAGE_FILE).display());
    Ok(u8::from(done.len() < jobs.len()))
}

fn list(jobs: &[Job], done: &BTreeMap<usize, Done>) {
    for (number, job) in jobs.iter().enumerate() {
        let state = done.get(&number).map_or("to do".to_string(), |was| format!("done in {:.0} s", was.seconds));
        say!("[{}/{}] {:16} {state:14} visuomotor {}", number + 1, jobs.len(), job.name, job.words.join(" "));
    }
}

/// Scores all finished policies, interleaved.
fn evaluate(
    plan: &Plan,
    root: &Path,
    (jobs, ready): (&[Job], &[&Scored]),
    (scenario, most): (Scenario, Option<u64>),
    folder: &Path,
    (flag, stop): (&StopFlag, &dyn Fn() -> bool),
) -> anyhow::Result<Option<ComparisonReport>> {
    if ready.len() < 2 || stop() {
        return Ok(None);
    }
    let mut setting = KitchenSetting::load(&root.join(&plan.evaluation.launch))?;
    setting.station.launch.policy.source = PolicySource::compared();
    let mut entrants = Vec::new();
    for policy in ready {
        let source = PolicySource::Folder(jobs[policy.job].folder.clone());
        let mut entrant = Entrant::open(&setting.station, &setting.protocol.tasks, &source)?;
        entrant.name = format!("{}-{}", plan.method[policy.method].name, policy.seed);
        entrant.shown.clone_from(&entrant.name);
        let place = folder.join(&entrant.name);
        entrants.push(entrant.keep_in(&place)?);
    }
    let seed = plan.evaluation.seed;
    let options = entrants.iter().map(|entrant| evaluation_options(&setting, scenario, seed, entrant)).collect();
    let mut plans = plans(&setting.scene, scenario, &setting.protocol.tasks, seed)?;
    plans.retain(|trial| most.is_none_or(|most| u64::from(trial.trial) <= most));
    let mut turns = Turns::new(setting, entrants, flag)?;
    turns.play(folder, options, &plans, stop).map(Some)
}

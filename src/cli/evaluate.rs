//! `visuomotor evaluate`: the protocol's trials, one by one, with a journal and a report.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::consent::ConsentArguments;
use super::entrant::Entrant;
use super::kitchen::KitchenSetting;
use super::link::LinkArguments;
use super::live::PageArguments;
use super::realtime;
use super::trial::Runner;
use crate::config::{ClockKind, PolicySource, digest};
use crate::evaluation::{
    Control, EvaluationOptions, Machine, Progress, Report, Scenario, TrialPlan, evaluate as run_trials, plans,
    report_again, revision,
};
use crate::operator::Phase;
use crate::runtime::StopFlag;
use crate::scripted::ActionSpace;

/// What is tried, and how: common to scoring one policy and comparing several.
#[derive(Args, Debug)]
pub struct TrialArguments {
    /// Launch file
    pub launch: PathBuf,
    /// Results folder
    #[arg(long)]
    pub out: PathBuf,
    /// 1: as trained; 2: with distractors; 3: novel targets
    #[arg(long, default_value = "1", value_parser = scenario_parser())]
    pub scenario: u8,
    /// How time passes, instead of the launch file's
    #[arg(long)]
    pub clock: Option<ClockName>,
    /// Seed of order and placements
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Only this task (all of the launch file otherwise)
    #[arg(long)]
    pub task: Option<String>,
    /// Run only the first N trials of each task
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: Option<u32>,
    /// Do not show the policy's name, so that the judge does not know it
    #[arg(long)]
    pub blind: bool,
    #[command(flatten)]
    pub page: PageArguments,
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// Shows its values in the help.
fn scenario_parser() -> impl TypedValueParser<Value = u8> {
    PossibleValuesParser::new(["1", "2", "3"]).try_map(|scenario| scenario.parse::<u8>())
}

/// How time passes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ClockName {
    /// One thread, hand-moved clock, as fast as it goes, repeatable
    Lockstep,
    /// Real threads in real time
    Wall,
}

impl TrialArguments {
    /// The launch file with what the command line says instead, and the scenario.
    pub(super) fn setting(&self) -> anyhow::Result<(KitchenSetting, Scenario)> {
        let mut setting = KitchenSetting::load(&self.launch)?;
        self.link.apply(&mut setting.station.launch);
        if let Some(clock) = self.clock {
            setting.station.launch.clock = match clock {
                ClockName::Lockstep => ClockKind::Lockstep,
                ClockName::Wall => ClockKind::Wall,
            };
        }
        if let Some(task) = &self.task {
            setting.protocol.tasks = vec![setting.scene.task(&setting.scene_file, task)?.name.clone()];
        }
        let scenario = Scenario::try_from(self.scenario).map_err(|e| anyhow::anyhow!("--scenario: {e}"))?;
        Ok((setting, scenario))
    }

    /// The trials to run.
    pub(super) fn plans(&self, setting: &KitchenSetting, scenario: Scenario) -> anyhow::Result<Vec<TrialPlan>> {
        let mut plans = plans(&setting.scene, scenario, &setting.protocol.tasks, self.seed)?;
        if let Some(most) = self.trials {
            plans.retain(|plan| plan.trial <= most);
        }
        Ok(plans)
    }

    /// What the report of `entrant` says it was run with.
    pub(super) fn options(&self, setting: &KitchenSetting, scenario: Scenario, entrant: &Entrant) -> EvaluationOptions {
        evaluation_options(setting, scenario, self.seed, entrant)
    }
}

/// What the report of `entrant` says it was run with.
pub(super) fn evaluation_options(
    setting: &KitchenSetting,
    scenario: Scenario,
    seed: u64,
    entrant: &Entrant,
) -> EvaluationOptions {
    EvaluationOptions {
        folder: entrant.folder.clone(),
        scenario,
        seed,
        policy: entrant.name.clone(),
        settings: setting.settings().to_toml(),
        settings_digest: setting.settings().digest(),
        weights_digest: entrant.weights_digest.clone(),
        revision: revision(&setting.station.root),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: Machine { realtime: told_of(setting), ..Machine::this() },
        controls: Vec::new(),
    }
}

/// What the operating system granted the control loop, one line per wish; nothing is asked for in lockstep.
fn told_of(setting: &KitchenSetting) -> Vec<String> {
    if setting.station.launch.clock == ClockKind::Lockstep {
        return Vec::new();
    }
    realtime::granted(&setting.station.launch).iter().map(ToString::to_string).collect()
}

/// Arguments of `visuomotor evaluate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor evaluate launch/widowx_kitchen.toml --scenario 1 --seed 7 --out results/scenario1\n  visuomotor evaluate launch/widowx_kitchen.toml --task knife_in_pot --policy expert --out results/expert\n  visuomotor evaluate launch/widowx_kitchen.toml --clock wall --task cucumber_in_pot --trials 1 --out results/wall\n  visuomotor evaluate launch/widowx_kitchen.toml --driver dynamixel --port /dev/ttyDXL --out results/arm\n\nA stopped evaluation goes on where it stopped when it is started again with the same --out."
)]
pub struct EvaluateArguments {
    #[command(flatten)]
    pub trial: TrialArguments,
    /// Policy folder, `expert` or `random`, instead of the launch file's
    #[arg(long)]
    pub policy: Option<PolicySource>,
    /// A report.json to stand beside as a control row (`expert`, `random`); may be given twice
    #[arg(long)]
    pub control: Vec<PathBuf>,
    /// Do not run the control rows that are not given
    #[arg(long)]
    pub without_controls: bool,
}

/// Runs the command: the policy, then the control rows that are not given.
pub fn evaluate(arguments: &EvaluateArguments) -> anyhow::Result<u8> {
    let trial = &arguments.trial;
    let (mut setting, scenario) = trial.setting()?;
    if let Some(policy) = &arguments.policy {
        setting.station.launch.policy.source = policy.clone();
    }
    let stop = StopFlag::on_signals()?;
    let source = setting.station.launch.policy.source.clone();
    let mut controls = arguments.control.iter().map(|file| Control::load(file)).collect::<Result<Vec<_>, _>>()?;
    // A policy that does not fit is refused before anything is connected.
    let mut entrant = Entrant::open(&setting.station, &setting.protocol.tasks, &source)?.keep_in(&trial.out)?;
    if trial.blind {
        // The same policy has the same name in every run, and the name does not give it away.
        entrant.shown = format!("policy {}", &digest(entrant.name.as_bytes())[..4]);
    }
    let mut runner = Runner::new(setting, entrant, stop.clone());
    runner.connect(&trial.page, &trial.link, trial.consent, Some(trial.out.join("episodes")))?;
    let mut report = score(trial, scenario, &mut runner, controls.clone(), &stop)?;
    say!("{}", report.table());
    let is_control = !matches!(source, PolicySource::Folder(_));
    let has_controls = !is_control && !arguments.without_controls;
    if has_controls && !stop.is_raised() && runner.setting.station.launch.clock == ClockKind::Lockstep {
        // After the score, which they stand beside: it is what is waited for.
        score_controls(trial, scenario, &runner, &mut controls, &stop)?;
        let plans = trial.plans(&runner.setting, scenario)?;
        let options = EvaluationOptions { controls, ..trial.options(&runner.setting, scenario, &runner.entrant) };
        report = report_again(&options, &runner.setting.scene, &plans, &mut |progress| told("", progress))?;
        say!("{}", report.table());
    }
    super::last_words::say_where(&trial.out.join("report.html"));
    if runner.faulted() {
        return Ok(super::exit::FAULT);
    }
    let is_whole = report.complete && report.total.aborted == 0 && report.missing.is_empty();
    // Stopped before its control rows: started again with the same folder it goes on with them.
    Ok(u8::from(!is_whole || stop.is_raised()))
}

/// Scores the control rows that are not there yet: the same trials by the scripted expert, by random actions and, under torque, by
/// none at all, since gravity compensation alone must not do the task.
fn score_controls(
    trial: &TrialArguments,
    scenario: Scenario,
    runner: &Runner,
    controls: &mut Vec<Control>,
    stop: &StopFlag,
) -> anyhow::Result<()> {
    let under_torque = matches!(runner.setting.station.action_space(), ActionSpace::Torques(_));
    let rows = [PolicySource::Expert, PolicySource::Random, PolicySource::Still];
    let rows = if under_torque { &rows[..] } else { &rows[..2] };
    for row in rows {
        let name = row.to_string();
        if controls.iter().any(|control| control.policy == name) || stop.is_raised() {
            continue;
        }
        say!("control row: {name}");
        let mut setting = KitchenSetting::load(&trial.launch)?;
        setting.station.launch = runner.setting.station.launch.clone();
        setting.protocol = runner.setting.protocol.clone();
        setting.station.launch.policy.source = row.clone();
        let entrant = Entrant::open(&setting.station, &setting.protocol.tasks, row)?
            .keep_in(&trial.out.join("controls").join(&name))?;
        let report = score(trial, scenario, &mut Runner::new(setting, entrant, stop.clone()), Vec::new(), stop)?;
        if report.complete {
            controls.push(Control::from_report(&report));
        }
    }
    Ok(())
}

/// Scores one policy.
fn score(
    arguments: &TrialArguments,
    scenario: Scenario,
    runner: &mut Runner,
    controls: Vec<Control>,
    stop: &StopFlag,
) -> anyhow::Result<Report> {
    let plans = arguments.plans(&runner.setting, scenario)?;
    let options = EvaluationOptions { controls, ..arguments.options(&runner.setting, scenario, &runner.entrant) };
    let scene = runner.setting.scene.clone();
    let operator = runner.operator.clone();
    operator.show(|panel| panel.episodes = (0, plans.len()));
    let mut tell = |progress: Progress<'_>| {
        if let Progress::Resumed { done, planned, .. } | Progress::Ended { done, planned, .. } = &progress {
            operator.show(|panel| panel.episodes = (*done, *planned));
        }
        told("", progress);
    };
    let report = run_trials(&options, &scene, &plans, runner, &mut tell, &|| stop.is_raised());
    operator.show(|panel| panel.phase = Phase::Idle);
    report
}

/// One line per trial: long work shows progress, on a terminal and in a log alike. `who` stands before it.
pub(super) fn told(who: &str, progress: Progress<'_>) {
    match progress {
        Progress::Resumed { done, planned, dropped_bytes } => {
            say!("{who}resuming: {done} of {planned} trials are done");
            if dropped_bytes > 0 {
                say!("{who}a half-written trial ({dropped_bytes} bytes) was dropped; it runs again");
            }
        }
        Progress::Ended { record, done, planned } => {
            say!(
                "{who}[{done:2}/{planned}] {:24} trial {:2} {:12} {:8} {:8} {:5.1} s",
                record.plan.task,
                record.plan.trial,
                record.plan.start,
                record.plan.placement.word(),
                record.outcome,
                record.seconds
            );
        }
        Progress::Waiting { trials, why } => {
            say!(
                "{who}the results of {trials} trials are not on disk yet and are kept until they can be written: {why}"
            );
        }
        Progress::Unwritten { lines, why } => {
            say!("{who}the results of {} trials could not be written: {why}", lines.len());
            say!("{who}make room and append these lines to the journal, or they are lost with this output:");
            for line in lines {
                say!("{line}");
            }
        }
        Progress::Started { .. } | Progress::Reported { .. } => {}
    }
}

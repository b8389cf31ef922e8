//! `visuomotor evaluate`: the protocol's trials, one by one, with a journal and a report.
//!
//! One file because the command and its trial runner share every part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::link::LinkArguments;
use super::live::Live;
use super::rig::Rig;
use super::setting::{SetUp, Setting};
use super::stage::{Operated, Person, Stage, StageJudge, layout_text};
use crate::action::{ActionSource, Decision};
use crate::config::{ClockKind, DriverKind, digest};
use crate::embedding::Embedding;
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Judge, Step, StepSink};
use crate::evaluation::{
    Control, EvaluationOptions, LatencySeries, Machine, Progress, Report, Scenario, TrialPlan, TrialRun, TrialRunner,
    evaluate as run_trials, plans, revision,
};
use crate::operator::{Operator, Phase};
use crate::recording::{EpisodeWriter, Pictures, WriterOptions, recover};
use crate::runtime::{EpisodeReport, EpisodeRequest, Series, Station, StopFlag, Timing, WallOptions, run_episode};
use crate::simulation::{Assignment, Demonstrator, Disturbance, RandomActions};
use crate::time::{ManualClock, SystemClock};

/// Arguments of `visuomotor evaluate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor evaluate launch/widowx_kitchen.toml --scenario 1 --seed 7 --out results/scenario1\n  visuomotor evaluate launch/widowx_kitchen.toml --task knife_in_pot --policy expert --out results/expert\n  visuomotor evaluate launch/widowx_kitchen.toml --clock wall --task cucumber_in_pot --trials 1 --out results/wall\n  visuomotor evaluate launch/widowx_kitchen.toml --driver dynamixel --port /dev/ttyDXL --out results/arm\n\nA stopped evaluation goes on where it stopped when it is started again with the same --out."
)]
pub struct EvaluateArguments {
    /// Launch file
    pub launch: PathBuf,
    /// Results folder
    #[arg(long)]
    pub out: PathBuf,
    /// 1: as trained; 2: with distractors; 3: novel targets
    #[arg(long, default_value_t = 1)]
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
    /// Policy folder, `expert` or `random`, instead of the launch file's
    #[arg(long)]
    pub policy: Option<String>,
    /// Only the first so many trials of each task
    #[arg(long)]
    pub trials: Option<u32>,
    /// A report.json to stand beside as a control row (`expert`, `random`); may be given twice
    #[arg(long)]
    pub control: Vec<PathBuf>,
    /// Do not run the control rows that are not given
    #[arg(long)]
    pub without_controls: bool,
    /// Do not show the policy's name on the page, so that whoever judges does not know it
    #[arg(long)]
    pub blind: bool,
    #[command(flatten)]
    pub page: super::live::PageArguments,
    #[command(flatten)]
    pub link: LinkArguments,
}

/// How time passes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ClockName {
    /// One thread, hand-moved clock, as fast as it goes, repeatable
    Lockstep,
    /// Real threads in real time
    Wall,
}

/// Runs the command: the control rows that are not given, then the policy.
pub fn evaluate(arguments: &EvaluateArguments) -> anyhow::Result<u8> {
    let mut setting = Setting::load(&arguments.launch)?;
    arguments.link.apply(&mut setting.launch);
    if let Some(clock) = arguments.clock {
        setting.launch.clock = match clock {
            ClockName::Lockstep => ClockKind::Lockstep,
            ClockName::Wall => ClockKind::Wall,
        };
    }
    if let Some(policy) = &arguments.policy {
        setting.launch.policy.source = policy.clone();
    }
    if let Some(task) = &arguments.task {
        setting.launch.protocol.tasks = vec![setting.scene.task(&setting.scene_file, task)?.name.clone()];
    }
    let scenario = Scenario::try_from(arguments.scenario).map_err(|e| anyhow::anyhow!("--scenario: {e}"))?;
    let stop = StopFlag::on_signals()?;
    let source = setting.launch.policy.source.clone();
    let mut controls = arguments.control.iter().map(|file| Control::load(file)).collect::<Result<Vec<_>, _>>()?;
    // A policy that does not fit is refused before the control rows cost anyone's time.
    let mut runner = Runner::new(setting, &arguments.out, &source, stop.clone())?;
    let raised = stop.clone();
    let operator = Operator::new(move |by| raised.raise(format!("stop pressed ({by})")));
    if arguments.blind {
        // The same policy has the same name in every run, and nobody can tell which it is.
        runner.shown = format!("policy {}", &digest(runner.name.as_bytes())[..4]);
    }
    runner.operator = operator.clone();
    runner.live = Some(arguments.page.start(&operator, &runner.setting, Some(arguments.out.join("episodes")))?);
    if runner.setting.launch.driver != DriverKind::Mujoco {
        // An arm has no hand-moved clock.
        runner.setting.launch.clock = ClockKind::Wall;
        let (operator, stop) = (operator.clone(), stop.clone());
        // With a page its buttons lay and judge; without one, lines typed at the terminal.
        let paged = arguments.page.page.is_some();
        let person = move || -> Box<dyn Stage> {
            if paged {
                Box::new(Operated::new(operator.clone(), stop.clone()))
            } else {
                Box::new(Person::at_the_terminal())
            }
        };
        let clock = Arc::new(SystemClock::new());
        runner.rig = Some(Rig::connect(&runner.setting, &arguments.link, clock, person)?);
    }
    let is_control = matches!(source.as_str(), "expert" | "random");
    if !is_control && !arguments.without_controls && runner.setting.launch.clock == ClockKind::Lockstep {
        for name in ["expert", "random"] {
            if controls.iter().all(|c| c.policy != name) && !stop.is_raised() {
                let folder = arguments.out.join("controls").join(name);
                let mut control = Runner::new(Setting::load(&arguments.launch)?, &folder, name, stop.clone())?;
                control.setting.launch = runner.setting.launch.clone();
                control.setting.launch.policy.source = name.into();
                let report = score(arguments, &folder, scenario, &mut control, Vec::new(), &stop)?;
                if report.complete {
                    controls.push(Control::from_report(&report));
                }
            }
        }
    }
    let report = score(arguments, &arguments.out, scenario, &mut runner, controls, &stop)?;
    say!("{}", report.table());
    say!("report: {}", arguments.out.join("report.html").display());
    Ok(u8::from(!report.complete || report.total.aborted > 0))
}

/// Scores one policy.
fn score(
    arguments: &EvaluateArguments,
    folder: &Path,
    scenario: Scenario,
    runner: &mut Runner,
    controls: Vec<Control>,
    stop: &StopFlag,
) -> anyhow::Result<Report> {
    let launch = runner.setting.launch.clone();
    let mut plans = plans(&runner.setting.scene, scenario, &launch.protocol.tasks, arguments.seed)?;
    if let Some(most) = arguments.trials {
        plans.retain(|plan| plan.trial <= most);
    }
    let options = EvaluationOptions {
        folder: folder.to_path_buf(),
        scenario,
        seed: arguments.seed,
        policy: runner.name.clone(),
        settings: launch.to_toml(),
        settings_digest: launch.digest(),
        weights_digest: runner.weights_digest.clone(),
        revision: revision(&runner.setting.root),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: Machine::this(),
        controls,
    };
    let scene = runner.setting.scene.clone();
    let operator = runner.operator.clone();
    operator.show(|panel| panel.episodes = (0, plans.len()));
    let mut tell = |progress: Progress<'_>| {
        if let Progress::Resumed { done, planned, .. } | Progress::Ended { done, planned, .. } = &progress {
            operator.show(|panel| panel.episodes = (*done, *planned));
        }
        told(progress);
    };
    let report = run_trials(&options, &scene, &plans, runner, &mut tell, &|| stop.is_raised());
    operator.show(|panel| panel.phase = Phase::Idle);
    report
}

/// One line per trial: long work shows progress, on a terminal and in a log alike.
fn told(progress: Progress<'_>) {
    match progress {
        Progress::Resumed { done, planned, dropped_bytes } => {
            say!("resuming: {done} of {planned} trials are done");
            if dropped_bytes > 0 {
                say!("a half-written trial ({dropped_bytes} bytes) was dropped; it runs again");
            }
        }
        Progress::Ended { record, done, planned } => {
            say!(
                "[{done:2}/{planned}] {:24} trial {:2} {:12} {:8} {:8} {:5.1} s",
                record.plan.task,
                record.plan.trial,
                record.plan.start,
                record.plan.placement.word(),
                record.outcome,
                record.seconds
            );
        }
        Progress::Started { .. } | Progress::Reported { .. } => {}
    }
}

/// Runs trials in the simulated kitchen.
struct Runner {
    setting: Setting,
    name: String,
    folder: PathBuf,
    weights_digest: String,
    policy: Option<PolicyFolder>,
    /// The arm, when it is not the simulator of this process.
    rig: Option<Rig>,
    stop: StopFlag,
    operator: Operator,
    live: Option<Live>,
    /// What the page calls the policy.
    shown: String,
}

struct PolicyFolder(PathBuf);

impl Runner {
    fn new(setting: Setting, folder: &Path, source: &str, stop: StopFlag) -> anyhow::Result<Self> {
        let mut runner = Self {
            name: source.to_string(),
            folder: folder.to_path_buf(),
            weights_digest: String::new(),
            policy: None,
            rig: None,
            operator: Operator::default(),
            live: None,
            shown: source.to_string(),
            stop,
            setting,
        };
        if !matches!(source, "expert" | "random") {
            runner.open_policy(source)?;
        }
        // A results folder that cannot be written is found before anything moves.
        let episodes = folder.join("episodes");
        std::fs::create_dir_all(&episodes)
            .with_context(|| format!("{}: cannot be created; choose another --out", episodes.display()))?;
        Ok(runner)
    }

    #[cfg(feature = "torch")]
    fn open_policy(&mut self, source: &str) -> anyhow::Result<()> {
        use crate::policy::{Checkpoint, VisualPolicy};
        let folder = self.setting.root.join(source);
        let checkpoint = Checkpoint::load(&folder)?;
        let launch = &self.setting.launch;
        let robot = &self.setting.robot.robot.name;
        for task in &launch.protocol.tasks {
            let camera = self.setting.image_size();
            checkpoint.check(&folder, robot, launch.policy.rate_hz, &launch.policy.bounds, camera, task)?;
            // Weights that do not fit the network, or are not finite, are found here.
            VisualPolicy::load(&folder, task, Arc::new(SystemClock::new()))?;
        }
        if checkpoint.encoder == "small" {
            // One picture through the small encoder takes 2 ms on one core; a second thread would spin beside the
            // control thread.
            crate::network::set_threads(1);
        }
        say!("{}", crate::network::describe_device());
        self.name = checkpoint.name.clone();
        self.weights_digest = checkpoint.weights_digest();
        self.policy = Some(PolicyFolder(folder));
        Ok(())
    }

    #[cfg(not(feature = "torch"))]
    fn open_policy(&mut self, source: &str) -> anyhow::Result<()> {
        anyhow::bail!("{source}: this program was built without libtorch; use expert or random, or build with it")
    }

    fn source(&self, set_up: &SetUp, assignment: Option<Assignment>) -> anyhow::Result<Source> {
        let bounds = self.setting.launch.policy.bounds;
        Ok(match &self.policy {
            #[cfg(feature = "torch")]
            Some(PolicyFolder(folder)) => Source::Policy(Box::new(crate::policy::VisualPolicy::load(
                folder,
                &set_up.task.name,
                Arc::new(SystemClock::new()),
            )?)),
            #[cfg(not(feature = "torch"))]
            Some(PolicyFolder(folder)) => anyhow::bail!("{}: built without libtorch", folder.display()),
            None if self.name == "random" => Source::Other(Box::new(RandomActions::new(bounds, set_up.seed))),
            None => {
                let assignment = assignment.context("nobody tells the scripted expert where things are")?;
                Source::Other(Box::new(Demonstrator::new(assignment, bounds, Disturbance::NONE, set_up.seed)))
            }
        })
    }

    /// Distance of each step's embedding to that of the goal image.
    fn goal(&self, source: &Source, set_up: &SetUp) -> anyhow::Result<Option<Embedding>> {
        match source {
            #[cfg(feature = "torch")]
            Source::Policy(policy) => {
                let goal = self.setting.prepare_goal(set_up)?;
                let (mut station, _) = self.setting.station(set_up, &goal)?;
                let image = station.cameras[0].0.newest(crate::time::Timestamp::ZERO)?;
                Ok(Some(policy.embed(&image)?))
            }
            Source::Other(_) => Ok(None),
        }
    }
}

/// Who decides in a trial.
enum Source {
    #[cfg(feature = "torch")]
    Policy(Box<crate::policy::VisualPolicy>),
    Other(Box<dyn ActionSource>),
}

impl Source {
    fn as_dyn(&mut self) -> &mut dyn ActionSource {
        match self {
            #[cfg(feature = "torch")]
            Source::Policy(policy) => policy.as_mut(),
            Source::Other(other) => other.as_mut(),
        }
    }
}

impl TrialRunner for Runner {
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<TrialRun> {
        let set_up = self.set_up(plan)?;
        let name = self.shown.clone();
        self.operator.forget();
        self.operator.show(|panel| {
            panel.phase = Phase::Approaching;
            panel.task.clone_from(&set_up.task.name);
            panel.instruction.clone_from(&set_up.task.instruction);
            panel.prompt = layout_text(&set_up);
            panel.action_source = name;
        });
        let Some(mut rig) = self.rig.take() else { return self.run_here(&set_up, episode_name) };
        let run = self.run_there(&mut rig, &set_up, episode_name);
        self.rig = Some(rig);
        run
    }
}

impl Runner {
    fn set_up(&self, plan: &TrialPlan) -> anyhow::Result<SetUp> {
        let scene = &self.setting.scene;
        Ok(SetUp {
            object: plan.object.clone(),
            object_at: plan.object_at,
            object_yaw: plan.object_yaw,
            container_at: plan.container_at,
            others: plan.distractors.iter().map(|d| (d.object.clone(), d.at, d.yaw)).collect(),
            start: [plan.start_at[0], plan.start_at[1], scene.start_height, 0.0, 0.0, 0.0],
            seed: plan.seed,
            task: scene.task(&self.setting.scene_file, &plan.task)?.clone(),
        })
    }

    /// A trial in the simulator of this process.
    fn run_here(&self, set_up: &SetUp, episode_name: &str) -> anyhow::Result<TrialRun> {
        let prepared = self.setting.prepare(set_up)?;
        let mut source = self.source(set_up, Some(prepared.assignment))?;
        let (mut station, mut judge) = self.setting.station(set_up, &prepared)?;
        let clock = SystemClock::new();
        match self.setting.launch.clock {
            ClockKind::Lockstep => {
                let timing = Timing::Lockstep { clock: &ManualClock::new(), stopwatch: &clock };
                self.episode(set_up, episode_name, &mut source, (&mut station, &mut judge), timing)
            }
            ClockKind::Wall => {
                let timing = Timing::Wall { clock: &clock, options: &WallOptions::default() };
                self.episode(set_up, episode_name, &mut source, (&mut station, &mut judge), timing)
            }
        }
    }

    /// A trial with the connected arm.
    fn run_there(&self, rig: &mut Rig, set_up: &SetUp, episode_name: &str) -> anyhow::Result<TrialRun> {
        let assignment = rig.set_up(&self.setting, set_up, &self.stop)?;
        let mut source = self.source(set_up, assignment)?;
        let Rig { station, stage, clock, .. } = rig;
        let timing = Timing::Wall { clock, options: &WallOptions::default() };
        self.episode(set_up, episode_name, &mut source, (station, &mut StageJudge(stage.as_mut())), timing)
    }

    fn episode(
        &self,
        set_up: &SetUp,
        episode_name: &str,
        source: &mut Source,
        (station, judge): (&mut Station, &mut dyn Judge),
        timing: Timing<'_>,
    ) -> anyhow::Result<TrialRun> {
        let goal = self.goal(source, set_up)?;
        let episodes = self.folder.join("episodes");
        keep_cut_off(&episodes, episode_name)?;
        let size = super::setting::POLICY_IMAGE;
        let options = WriterOptions {
            record_size: Some((size, size)),
            sync_every_steps: 0,
            attachments: vec![set_up.attachment()?],
            ..WriterOptions::default()
        };
        let mut writer = EpisodeWriter::create(&episodes, episode_name, options)?;
        let mut pictures = Pictures::every(1);
        let mut distances = Distances { goal, curve: Vec::new(), live: self.live.as_ref() };
        self.operator.show(|panel| panel.phase = Phase::Running);
        let mut page = self.live.as_ref().and_then(Live::sink);
        let mut sinks: Vec<&mut dyn StepSink> = vec![&mut writer, &mut pictures, &mut distances];
        if let Some(page) = &mut page {
            sinks.push(page.as_mut());
        }
        let request = EpisodeRequest {
            start: self.setting.episode_start(episode_name, set_up, &self.name),
            seconds: self.setting.launch.protocol.trial_seconds,
            source: source.as_dyn(),
            sinks,
            judge,
            stop: &self.stop,
        };
        let report = run_episode(station, request, timing);
        if let Some(fault) = &report.fault {
            tracing::warn!("{episode_name}: {fault}");
        }
        Ok(TrialRun {
            latency: latencies(&report),
            deadline_misses: report.deadline_misses.control + report.deadline_misses.decision,
            outcome: report.outcome,
            steps: report.steps,
            seconds: report.seconds,
            episode: format!("episodes/{episode_name}.mcap"),
            pictures: pictures.into_taken(),
            goal_distance: distances.curve,
        })
    }
}

/// A trial that was killed before it was written down is run again from the start; what was recorded of it is finished
/// and kept under a name of its own.
fn keep_cut_off(episodes: &Path, name: &str) -> anyhow::Result<()> {
    let partial = episodes.join(format!("{name}.mcap.partial"));
    let whole = episodes.join(format!("{name}.mcap"));
    if partial.exists() {
        match recover(&partial) {
            Ok(recovered) => tracing::warn!("{name}: a cut-off recording of {} steps is kept", recovered.steps),
            // Killed before its first step: there is nothing to keep.
            Err(error) => {
                tracing::warn!("{name}: {error}");
                std::fs::remove_file(&partial)?;
            }
        }
    }
    if whole.exists() {
        let free = (1..).map(|n| episodes.join(format!("{name}-cut-off-{n}.mcap"))).find(|p| !p.exists());
        std::fs::rename(&whole, free.unwrap_or_else(|| whole.with_extension("old")))?;
    }
    Ok(())
}

/// The ledger's histograms as samples, three digits each.
fn latencies(report: &EpisodeReport) -> BTreeMap<String, LatencySeries> {
    Series::ALL
        .iter()
        .map(|&series| {
            let samples = report.ledger.histogram(series).iter_recorded().flat_map(|value| {
                let millis = value.value_iterated_to() as f64 * 1e-6;
                std::iter::repeat_n(millis, value.count_at_value() as usize)
            });
            (series.name().to_string(), LatencySeries::from_ms(samples))
        })
        .filter(|(_, samples)| !samples.samples_ms().is_empty())
        .collect()
}

/// Embedding distance to the goal image over a trial.
struct Distances<'a> {
    goal: Option<Embedding>,
    curve: Vec<(f64, f64)>,
    live: Option<&'a Live>,
}

impl Distances<'_> {
    fn of(&self, decision: &Decision) -> Option<f64> {
        decision.embedding.as_ref()?.distance(self.goal.as_ref()?).ok()
    }
}

impl StepSink for Distances<'_> {
    fn episode_started(&mut self, _start: &EpisodeStart) -> anyhow::Result<()> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> anyhow::Result<()> {
        if let Some(distance) = self.of(step.decision) {
            let seconds = step.observation.observed_at.as_secs_f64();
            self.curve.push((seconds, distance));
            if let Some(live) = self.live {
                // The page counts from the episode's start.
                live.curve_point(seconds - self.curve[0].0, distance);
            }
        }
        Ok(())
    }

    fn control_tick(&mut self, _tick: &ControlTick) -> anyhow::Result<()> {
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> anyhow::Result<()> {
        Ok(())
    }
}

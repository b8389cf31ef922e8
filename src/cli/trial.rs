//! One trial: resets the scene, runs the policy, records the episode, scores it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::consent::ConsentArguments;
use super::distances::Distances;
use super::entrant::Entrant;
use super::granted;
use super::kitchen::KitchenSetting;
use super::link::LinkArguments;
use super::live::{Live, PageArguments};
use super::realtime::{self, wall_options};
use super::rig::{Begun, Rig, Watch};
use super::set_up::{LyingThing, SetUp};
use super::source::{Part, Source};
use super::stage::{Operated, Person, Stage, StageJudge, layout_text};
use crate::config::{ClockKind, DriverKind};
use crate::embedding::Embedding;
use crate::episode::{Judge, Outcome, StepSink};
use crate::evaluation::{LatencySeries, TrialPlan, TrialRun, TrialRunner};
use crate::operator::{Operator, Phase};
use crate::protection::Protection;
use crate::recording::{Attachment, EpisodeWriter, Pictures, WriterOptions, recover};
use crate::runtime::{EpisodeReport, EpisodeRequest, RuntimeError, Series, Station, StopFlag, Timing, run_episode};
use crate::scripted::Assignment;
use crate::time::{ManualClock, SystemClock};

/// Runs trials in the simulated kitchen, or on an arm.
pub(super) struct Runner {
    /// The set-up.
    pub setting: KitchenSetting,
    /// The current decision source.
    pub entrant: Entrant,
    /// The operator's buttons and panel.
    pub operator: Operator,
    /// The arm, if it is not the in-process simulator.
    rig: Option<Rig>,
    stop: StopFlag,
    live: Option<Live>,
    /// Number of trials ended by a fault of arm, camera, link or program.
    faults: Cell<u32>,
}

impl Runner {
    /// A runner in the in-process simulator, without an operator.
    pub fn new(setting: KitchenSetting, entrant: Entrant, stop: StopFlag) -> Self {
        Self { rig: None, operator: Operator::default(), live: None, stop, setting, entrant, faults: Cell::new(0) }
    }

    /// Did a fault of arm, camera, link or program end a trial?
    pub fn faulted(&self) -> bool {
        self.faults.get() > 0
    }

    /// Starts the page and connects the arm, if requested.
    pub fn connect(
        &mut self,
        page: &PageArguments,
        link: &LinkArguments,
        allowed: ConsentArguments,
        listed: Option<PathBuf>,
    ) -> anyhow::Result<()> {
        let raised = self.stop.clone();
        self.operator = Operator::new(move |by| raised.raise(format!("stop pressed ({by})")));
        self.live = Some(page.start(&self.operator, &self.setting.station.robot, listed)?);
        if self.setting.station.launch.driver == DriverKind::Mujoco {
            return Ok(());
        }
        // An arm has no manual clock.
        self.setting.station.launch.clock = ClockKind::Wall;
        let (operator, stop) = (self.operator.clone(), self.stop.clone());
        // The operator uses the page's buttons if there is a page, else lines typed at the terminal.
        let paged = page.page.is_some();
        let person = move || -> Box<dyn Stage> {
            if paged {
                Box::new(Operated::new(operator.clone(), stop.clone()))
            } else {
                Box::new(Person::at_the_terminal(stop.clone()))
            }
        };
        let watched = paged || std::io::stdin().is_terminal();
        let watch = Watch { person, watched, allowed, dry_run: false };
        self.rig = Some(Rig::connect(&self.setting.station, link, Arc::new(SystemClock::new()), watch)?);
        Ok(())
    }

    fn source(&self, set_up: &SetUp, assignment: Option<Assignment>) -> anyhow::Result<Source> {
        let station = &self.setting.station;
        let (task, instruction) = (&set_up.task.name, &set_up.task.instruction);
        let part = Part { task, instruction, assignment, station, seed: set_up.seed };
        self.entrant.source(part)
    }

    /// Goal embedding; `None` without a goal image or without a policy that embeds it.
    #[cfg(feature = "torch")]
    fn goal(&self, source: &Source, set_up: &SetUp) -> anyhow::Result<Option<Embedding>> {
        let Source::Policy(policy) = source else { return Ok(None) };
        let station = &self.setting.station;
        let image = if station.launch.driver == DriverKind::Mujoco {
            Some(self.setting.goal_image(set_up)?)
        } else {
            // For an arm, the station's own goal image: a simulated one shows another place.
            station.goal_image(&set_up.task.name)?
        };
        Ok(image.map(|image| policy.embed(&image)).transpose()?)
    }

    /// None: without libtorch no policy embeds.
    #[cfg(not(feature = "torch"))]
    fn goal(&self, _source: &Source, _set_up: &SetUp) -> anyhow::Result<Option<Embedding>> {
        Ok(None)
    }
}

impl TrialRunner for Runner {
    fn run(&mut self, plan: &TrialPlan, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        let set_up = self.set_up(plan)?;
        let name = self.entrant.shown.clone();
        self.operator.forget();
        self.operator.show(|panel| {
            panel.phase = Phase::Approaching;
            panel.task.clone_from(&set_up.task.name);
            panel.instruction.clone_from(&set_up.task.instruction);
            panel.prompt = layout_text(&set_up);
            panel.action_source = name;
        });
        let mut run = match self.rig.take() {
            None => self.run_here(&set_up, episode_name).map(Some),
            Some(mut rig) => {
                let run = self.run_there(&mut rig, &set_up, episode_name);
                self.rig = Some(rig);
                run
            }
        }?;
        // Once per task, and only for valid trials: the arm waits meanwhile.
        let asked = |run: &&mut TrialRun| {
            plan.trial == 1 && !self.stop.is_raised() && !matches!(run.outcome, Outcome::Aborted { .. })
        };
        if let Some(run) = run.as_mut().filter(asked) {
            run.state_value = self.entrant.state_value(&run.episode).unwrap_or_else(|error| {
                tracing::warn!("{episode_name}: V(s_t) is left out of the report: {error:#}");
                Vec::new()
            });
        }
        Ok(run)
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
            others: plan
                .distractors
                .iter()
                .map(|d| LyingThing { object: d.object.clone(), at: d.at, yaw: d.yaw })
                .collect(),
            start: [plan.start_at[0], plan.start_at[1], scene.start_height, 0.0, 0.0, 0.0],
            seed: plan.seed,
            task: scene.task(&self.setting.scene_file, &plan.task)?.clone(),
        })
    }

    /// A trial in the in-process simulator.
    fn run_here(&self, set_up: &SetUp, episode_name: &str) -> anyhow::Result<TrialRun> {
        let prepared = self.setting.prepare(set_up)?;
        let mut source = self.source(set_up, Some(prepared.assignment))?;
        let (mut station, mut judge) = self.setting.running(set_up, &prepared)?;
        let clock = SystemClock::new();
        let trial = match self.setting.station.launch.clock {
            ClockKind::Lockstep => {
                let timing = Timing::Lockstep { clock: &ManualClock::new(), stopwatch: &clock };
                self.episode((set_up, Vec::new()), episode_name, &mut source, (&mut station, &mut judge), timing)
            }
            ClockKind::Wall => {
                let options = wall_options(&self.setting.station.launch);
                let files =
                    granted::attachment(&realtime::granted(&self.setting.station.launch))?.into_iter().collect();
                let timing = Timing::Wall { clock: &clock, options: &options };
                self.episode((set_up, files), episode_name, &mut source, (&mut station, &mut judge), timing)
            }
        };
        self.entrant.give_back(source);
        Ok(trial?.run)
    }

    /// A trial with the connected arm; `None` when the operator quits.
    fn run_there(&self, rig: &mut Rig, set_up: &SetUp, episode_name: &str) -> anyhow::Result<Option<TrialRun>> {
        let assignment = match rig.set_up(self.setting.start_joints(set_up.start)?, set_up, &self.stop) {
            Err(error) if self.stop.is_raised() => {
                say!("no more trials: {error:#}");
                return Ok(None);
            }
            answer => answer?,
        };
        let mut source = self.source(set_up, assignment)?;
        let files = rig.attachments()?;
        let Begun { station, stage, clock, options, .. } = rig.begin()?;
        let timing = Timing::Wall { clock, options };
        let judge = &mut StageJudge(stage);
        let trial = self.episode((set_up, files), episode_name, &mut source, (station, judge), timing);
        self.entrant.give_back(source);
        let trial = trial?;
        rig.note(trial.fault.as_ref());
        Ok(Some(trial.run))
    }

    fn episode(
        &self,
        (set_up, files): (&SetUp, Vec<Attachment>),
        episode_name: &str,
        source: &mut Source,
        (station, judge): (&mut Station, &mut dyn Judge),
        timing: Timing<'_>,
    ) -> anyhow::Result<Trial> {
        let goal = self.goal(source, set_up)?;
        let episodes = self.entrant.folder.join("episodes");
        let size = super::station::POLICY_IMAGE;
        let options = WriterOptions {
            record_size: Some((size, size)),
            sync_every_steps: 0,
            attachments: std::iter::once(set_up.attachment()?).chain(files).collect(),
            ..WriterOptions::default()
        };
        let opened = keep_cut_off(&episodes, episode_name)
            .and_then(|()| Ok(EpisodeWriter::create(&episodes, episode_name, options)?));
        let mut writer = match opened {
            // There was space when the trials began; now the trials go on, and the report names what is missing.
            Err(error) if Protection::Recording.is_on() => Err(error),
            opened => Ok(opened?),
        };
        let mut pictures = Pictures::every(1);
        let mut distances = Distances { goal, start: None, curve: Vec::new(), live: self.live.as_ref() };
        self.operator.show(|panel| panel.phase = Phase::Running);
        let mut page = self.live.as_ref().and_then(Live::sink);
        let mut sinks: Vec<&mut dyn StepSink> = vec![&mut pictures, &mut distances];
        if let Ok(writer) = &mut writer {
            sinks.push(writer);
        }
        if let Some(page) = &mut page {
            sinks.push(page.as_mut());
        }
        let request = EpisodeRequest {
            start: self.setting.episode_start(episode_name, set_up, &self.entrant.name),
            seconds: self.setting.protocol.trial_seconds,
            source: source.as_dyn(),
            sinks,
            judge,
            stop: &self.stop,
        };
        let report = run_episode(station, request, timing);
        super::last_words::say_hold(&report);
        if let Some(fault) = &report.fault {
            tracing::warn!("{episode_name}: {fault}");
            // A failed recording is reported as missing; arm and link are fine.
            self.faults.set(self.faults.get() + u32::from(!matches!(fault, RuntimeError::Sink(_))));
        }
        let (episode, missing) = kept(&writer, report.fault.as_ref());
        for what in &missing {
            say!("{episode_name}: {what}");
            self.operator.show(|panel| panel.warning.clone_from(what));
        }
        let run = TrialRun {
            missing,
            episode,
            latency: latencies(&report),
            deadline_misses: report.deadline_misses.control + report.deadline_misses.decision,
            outcome: report.outcome,
            steps: report.steps,
            seconds: report.seconds,
            pictures: pictures.into_taken(),
            goal_distance: distances.curve,
            state_value: Vec::new(),
        };
        Ok(Trial { run, fault: report.fault })
    }
}

/// A completed trial, and the fault that ended it, if any.
struct Trial {
    run: TrialRun,
    fault: Option<RuntimeError>,
}

/// The recording of a trial, relative to the results folder, and what is missing from it.
fn kept(writer: &anyhow::Result<EpisodeWriter>, fault: Option<&RuntimeError>) -> (String, Vec<String>) {
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => return (String::new(), vec![format!("recording: {error:#}")]),
    };
    let whole = writer.path().is_file();
    let path = if whole { writer.path() } else { writer.partial_path() };
    let file = path.file_name().map(|name| format!("episodes/{}", name.to_string_lossy())).unwrap_or_default();
    let why = match fault {
        _ if whole => return (file, Vec::new()),
        Some(RuntimeError::Sink(error)) => format!("recording: {error:#}"),
        _ => format!("recording: it was not finished after {} steps", writer.steps()),
    };
    (file, vec![why])
}

/// A trial that was killed before it was journaled is run again from the start; its partial recording is repaired and
/// kept under another name.
fn keep_cut_off(episodes: &Path, name: &str) -> anyhow::Result<()> {
    let partial = episodes.join(format!("{name}.mcap.partial"));
    let whole = episodes.join(format!("{name}.mcap"));
    if partial.exists() {
        match recover(&partial) {
            Ok(recovered) => tracing::warn!("{name}: a cut-off recording of {} steps is kept", recovered.steps),
            // Killed before its first step: nothing to keep.
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

/// The ledger's histograms as samples, with three digits each.
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

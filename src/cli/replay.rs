//! `visuomotor replay`: replays a recorded episode in the simulator, on the arm behind the safety filter, or through a policy.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use maud::html;

use super::consent::ConsentArguments;
use super::kitchen::KitchenSetting;
use super::layout::draw;
use super::link::LinkArguments;
use super::rig::{Begun, Rig, Watch};
use super::set_up::SetUp;
use super::stage::{Person, Stage, StageJudge};
use crate::action::{ActionError, ActionSource, Decision, MotionKind};
use crate::chart::{Scale, points, range};
use crate::config::{ControlLaw, DriverKind};
use crate::episode::{ControlTick, EpisodeEnd, EpisodeStart, Judge, Outcome, SinkError, Step, StepSink};
use crate::observation::Observation;
use crate::recording::{RecordedEpisode, RecordedStep, read_episode};
use crate::runtime::{EpisodeReport, EpisodeRequest, Station, StopFlag, Timing, run_episode};
use crate::time::{ManualClock, SystemClock, Timestamp};

/// Names of the action's components.
#[cfg(feature = "torch")]
const PARTS: [&str; 7] = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"];

/// Arguments of `visuomotor replay`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor replay results/demos/knife_in_pot-0000.mcap\n  visuomotor replay results/demos/knife_in_pot-0000.mcap --policy policies/kitchen --plot difference.svg\n  visuomotor replay results/demos/knife_in_pot-0000.mcap --driver dynamixel --port /dev/ttyDXL"
)]
pub struct ReplayArguments {
    /// Recorded episode
    pub episode: PathBuf,
    /// Launch file of the arm
    #[arg(long, default_value = "launch/widowx_kitchen.toml")]
    pub launch: PathBuf,
    /// Compare this policy's actions at each step with the recorded ones, instead of moving anything
    #[arg(long)]
    pub policy: Option<PathBuf>,
    /// Plot the two courses (tool, or actions) as an SVG image
    #[arg(long)]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// Runs the command; returns 1 when the arm left the recorded course or the episode was aborted.
pub fn replay(arguments: &ReplayArguments) -> anyhow::Result<u8> {
    let recorded = read_episode(&arguments.episode)?;
    if let Some(lost) = &recorded.lost {
        say!("{}: {lost}", recorded.path.display());
    }
    anyhow::ensure!(!recorded.steps.is_empty(), "{}: it has no steps to replay", recorded.path.display());
    let mut setting = KitchenSetting::load(&arguments.launch)?;
    arguments.link.apply(&mut setting.station.launch);
    let name = &setting.station.robot.identity.name;
    anyhow::ensure!(
        recorded.start.robot == *name,
        "{}: recorded on {}, but {} is for {name}; give the launch file of that arm (--launch)",
        recorded.path.display(),
        recorded.start.robot,
        arguments.launch.display()
    );
    let law = setting.station.launch.control.law;
    let mut kinds = recorded.steps.iter().map(|step| MotionKind::of(step.motion.as_ref()));
    let refused = if arguments.policy.is_none() { kinds.find(|kind| !law.takes(*kind)) } else { None };
    if let Some(kind) = refused {
        anyhow::bail!(
            "{}: it asks for {kind}, which control.law = \"{law}\" of {} does not take; {}",
            recorded.path.display(),
            arguments.launch.display(),
            ControlLaw::CHOICE
        );
    }
    match &arguments.policy {
        Some(folder) => through_policy(&recorded, folder, arguments.plot.as_deref()),
        None => open_loop(&recorded, &setting, arguments),
    }
}

/// Repeats the recorded actions in order, regardless of their effect.
struct Replay<'a> {
    steps: &'a [RecordedStep],
    next: usize,
}

impl ActionSource for Replay<'_> {
    fn name(&self) -> &str {
        "replay"
    }

    fn reset(&mut self) {
        self.next = 0;
    }

    fn decide(&mut self, _observation: &Observation) -> Result<Decision, ActionError> {
        let step = self.steps.get(self.next).ok_or_else(|| ActionError::Ended("the recording is over".into()))?;
        self.next += 1;
        Ok(Decision { motion: step.motion, ..Decision::plain(step.action) })
    }

    fn looks_at_images(&self) -> bool {
        false
    }
}

/// The tool's course.
#[derive(Default)]
struct Course(Vec<[f64; 3]>);

impl StepSink for Course {
    fn episode_started(&mut self, _start: &EpisodeStart) -> Result<(), SinkError> {
        Ok(())
    }

    fn step(&mut self, step: &Step<'_>) -> Result<(), SinkError> {
        self.0.push(step.observation.base_from_tool.translation.vector.into());
        Ok(())
    }

    fn control_tick(&mut self, _tick: &ControlTick) -> Result<(), SinkError> {
        Ok(())
    }

    fn episode_ended(&mut self, _end: &EpisodeEnd) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Wraps another judge, and ends with the recording.
struct UntilOver<J> {
    judge: J,
    steps: usize,
    judged: usize,
}

impl<J: Judge> Judge for UntilOver<J> {
    fn judge(&mut self, now: Timestamp) -> Option<Outcome> {
        self.judged += 1;
        let said = self.judge.judge(now);
        if said.is_none() && self.judged >= self.steps {
            return Some(Outcome::Failure { judge: "replay".into(), why: "the recording is over".into() });
        }
        said
    }

    fn time_out(&mut self, now: Timestamp) -> Outcome {
        self.judge.time_out(now)
    }
}

fn open_loop(recorded: &RecordedEpisode, setting: &KitchenSetting, arguments: &ReplayArguments) -> anyhow::Result<u8> {
    let set_up = set_up(recorded, setting)?;
    let stop = StopFlag::on_signals()?;
    let mut course = Course::default();
    let report = if setting.station.launch.driver == DriverKind::Mujoco {
        let joints = recorded.steps[0].proprioception.joint_positions;
        let prepared = setting.prepare_around(&set_up, joints)?;
        let (mut station, rule) = setting.running(&set_up, &prepared)?;
        let (clock, stopwatch) = (ManualClock::new(), ManualClock::new());
        let timing = Timing::Lockstep { clock: &clock, stopwatch: &stopwatch };
        again(recorded, setting, &set_up, (&mut station, rule), &mut course, &stop, timing)
    } else {
        let person = || Box::new(Person::at_the_terminal(stop.clone())) as Box<dyn Stage>;
        let watch =
            Watch { person, watched: std::io::stdin().is_terminal(), allowed: arguments.consent, dry_run: false };
        let mut rig = Rig::connect(&setting.station, &arguments.link, Arc::new(SystemClock::new()), watch)?;
        say!("when it stands at its start, the arm repeats {} recorded actions", recorded.steps.len());
        rig.set_up(setting.start_joints(set_up.start)?, &set_up, &stop)?;
        let Begun { station, stage, clock, options, .. } = rig.begin()?;
        let timing = Timing::Wall { clock, options };
        again(recorded, setting, &set_up, (station, StageJudge(stage)), &mut course, &stop, timing)
    };
    let outcome = &report.outcome;
    let then: Vec<[f64; 3]> = recorded.steps.iter().map(|step| step.base_from_tool.translation.vector.into()).collect();
    let apart = |a: &[f64; 3], b: &[f64; 3]| (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f64>().sqrt();
    let off: Vec<f64> = then.iter().zip(&course.0).map(|(a, b)| apart(a, b)).collect();
    let most = off.iter().copied().fold(0.0, f64::max);
    say!(
        "{} of {} steps; the tool was at most {:.1} mm and at the end {:.1} mm from the recorded course; outcome: {}",
        course.0.len(),
        recorded.steps.len(),
        1e3 * most,
        1e3 * off.last().copied().unwrap_or(f64::NAN),
        outcome.word()
    );
    if let Outcome::Aborted { why, .. } = outcome {
        say!("  {why}");
    }
    if let Some(path) = &arguments.plot {
        let rows = |course: &[[f64; 3]], axis: usize| course.iter().map(|place| place[axis]).collect::<Vec<_>>();
        let plots = ["x [m]", "y [m]", "z [m]"].iter().enumerate();
        let plots: Vec<_> = plots.map(|(i, name)| (name.to_string(), rows(&then, i), rows(&course.0, i))).collect();
        draw_plots(path, "recorded", "replayed", &plots)?;
    }
    if report.fault.is_some() {
        return Ok(super::exit::FAULT);
    }
    Ok(u8::from(matches!(outcome, Outcome::Aborted { .. })))
}

fn again(
    recorded: &RecordedEpisode,
    setting: &KitchenSetting,
    set_up: &SetUp,
    (station, judge): (&mut Station, impl Judge),
    course: &mut Course,
    stop: &StopFlag,
    timing: Timing<'_>,
) -> EpisodeReport {
    let steps = recorded.steps.len();
    let mut source = Replay { steps: &recorded.steps, next: 0 };
    let request = EpisodeRequest {
        start: setting.episode_start("replay", set_up, "replay"),
        seconds: (steps + 1) as f64 / recorded.start.policy_rate_hz,
        source: &mut source,
        sinks: vec![course],
        judge: &mut UntilOver { judge, steps, judged: 0 },
        stop,
    };
    let report = run_episode(station, request, timing);
    super::last_words::say_hold(&report);
    report
}

/// The scene's set-up: as recorded, else drawn from the seed.
pub(super) fn set_up(recorded: &RecordedEpisode, setting: &KitchenSetting) -> anyhow::Result<SetUp> {
    let file = recorded.attachments.iter().find(|file| file.name == SetUp::FILE);
    if let Some(file) = file {
        return serde_json::from_slice(&file.data)
            .with_context(|| format!("{}: its {} cannot be read", recorded.path.display(), SetUp::FILE));
    }
    let task = setting.scene.task(&setting.scene_file, &recorded.start.task)?;
    Ok(draw(setting, task, recorded.start.seed))
}

#[cfg(feature = "torch")]
fn through_policy(recorded: &RecordedEpisode, folder: &Path, plot: Option<&Path>) -> anyhow::Result<u8> {
    let (task, device) = (&recorded.start.task, super::compute_device());
    let mut policy = crate::policy::VisualPolicy::load(folder, task, device, Arc::new(SystemClock::new()))?;
    let (mut then, mut now) = (Vec::new(), Vec::new());
    for step in &recorded.steps {
        let decision = policy.decide(&step.observation()?)?;
        if let Some(motion) = step.motion.or(decision.motion) {
            anyhow::bail!(
                "{}, {}: found {}, and changes of the tool's pose alone are compared; leave --policy out",
                recorded.path.display(),
                folder.display(),
                motion.kind()
            );
        }
        then.push(step.label.to_array());
        now.push(decision.action.to_array());
    }
    say!("{} at each of {} recorded steps, against what was asked then (root mean square):", policy.name(), then.len());
    for (i, part) in PARTS.iter().enumerate() {
        let squares: f64 = then.iter().zip(&now).map(|(a, b)| (a[i] - b[i]).powi(2)).sum();
        say!("  {part:8} {:.4}", (squares / then.len() as f64).sqrt());
    }
    if let Some(path) = plot {
        let rows = |all: &[[f64; 7]], i: usize| all.iter().map(|action| action[i]).collect::<Vec<_>>();
        let plots: Vec<_> =
            PARTS.iter().enumerate().map(|(i, part)| (part.to_string(), rows(&then, i), rows(&now, i))).collect();
        draw_plots(path, "recorded", "policy", &plots)?;
    }
    Ok(0)
}

#[cfg(not(feature = "torch"))]
fn through_policy(_recorded: &RecordedEpisode, folder: &Path, _plot: Option<&Path>) -> anyhow::Result<u8> {
    anyhow::bail!("--policy {}: this program was built without libtorch", folder.display())
}

/// SVG plot with one row per component, two courses each.
fn draw_plots(path: &Path, first: &str, second: &str, plots: &[(String, Vec<f64>, Vec<f64>)]) -> anyhow::Result<()> {
    const COLORS: [&str; 2] = ["#3b7dd8", "#d8643b"];
    let (width, row) = (760.0, 90.0);
    let height = row * plots.len() as f64 + 30.0;
    let component = |k: usize, (name, a, b): &(String, Vec<f64>, Vec<f64>)| {
        let top = 24.0 + row * k as f64;
        let (low, high) = range(a.iter().chain(b).copied()).unwrap_or((0.0, 0.0));
        let x = Scale::new((0.0, (a.len().max(b.len()).max(2) - 1) as f64), (130.0, width - 10.0));
        let y = Scale::new((low, high), (top + 76.0, top + 8.0));
        let line = |values: &[f64]| {
            let finite = values.iter().enumerate().filter(|(_, value)| value.is_finite());
            points(finite.map(|(i, value)| (x.at(i as f64), y.at(*value))))
        };
        html! {
            text x="6" y=(top + 30.0) { (name) }
            text x="6" y=(top + 48.0) fill="#777" { (format!("{low:.3} .. {high:.3}")) }
            @for (values, color) in [a, b].into_iter().zip(COLORS) {
                polyline fill="none" stroke=(color) stroke-width="1.5" points=(line(values)) {}
            }
        }
    };
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) font-family="sans-serif" font-size="12" {
            rect width="100%" height="100%" fill="white" {}
            text x="90" y="16" fill=(COLORS[0]) { (first) }
            text x="190" y="16" fill=(COLORS[1]) { (second) }
            @for (k, plot) in plots.iter().enumerate() { (component(k, plot)) }
        }
    };
    std::fs::write(path, drawing.into_string())
        .with_context(|| format!("{}: cannot be written; choose another --plot", path.display()))?;
    say!("{}", path.display());
    Ok(())
}

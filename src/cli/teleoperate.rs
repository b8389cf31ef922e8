//! `visuomotor teleoperate`: the operator drives, and judges each recorded episode.
//!
//! One file because a session is one sequence: start, episodes, verdicts, end.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;

use super::consent::ConsentArguments;
use super::device;
use super::granted;
use super::kitchen::KitchenSetting;
use super::layout::{derived_seed, draw};
use super::link::LinkArguments;
use super::new_folder::NewFolder;
use super::realtime::{self, wall_options};
use super::record::{self, Notes, describe, free_name};
use super::rig::{Begun, Rig, Watch};
use super::scripted::{ScriptedDevice, ScriptedJudge};
use super::set_up::SetUp;
use super::stage::{Operated, StageJudge, await_begin, layout_text};
use super::station::POLICY_IMAGE;
use super::terminal::TerminalView;
use crate::config::{ClockKind, DeviceKind, DriverKind};
use crate::episode::{Judge, Outcome, StepSink};
use crate::operator::{Operator, OperatorJudge, Phase, Wish};
use crate::recording::{Attachment, Recorder, WriterOptions, finish_partial, require_room};
use crate::runtime::{EpisodeRequest, RuntimeError, Station, StopFlag, Timing, run_episode};
use crate::scripted::Assignment;
use crate::teleop::{TeleopDevice, TeleopSource};
use crate::time::{Clock, ManualClock, SystemClock, Timestamp};

/// Arguments of `visuomotor teleoperate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor teleoperate launch/widowx_kitchen.toml --task knife_in_pot --device keyboard --out results/demos\n  visuomotor teleoperate launch/widowx_kitchen.toml --task knife_in_pot --device scripted --episodes 10 --out results/demos\n  visuomotor teleoperate launch/widowx_kitchen.toml --task knife_in_pot --device quest --driver dynamixel --out results/demos\n\nKeys: w s a d r f drive, i k j l u o turn, space gripper; b begin, Enter accept, Backspace reject, x does not count,\nc let an arm that failed recover, Esc stop, q no more episodes. Recordings that an earlier run left cut off are finished first, and what was lost is said."
)]
pub struct TeleoperateArguments {
    /// Launch file
    pub launch: PathBuf,
    /// Folder for the episodes
    #[arg(long, default_value = "results/demonstrations")]
    pub out: PathBuf,
    /// Task (needed when the launch file has several)
    #[arg(long)]
    pub task: Option<String>,
    /// Device, instead of the launch file's
    #[arg(long, value_parser = device::kinds())]
    pub device: Option<DeviceKind>,
    /// Device file or serial port of the device
    #[arg(long)]
    pub device_path: Option<PathBuf>,
    /// Serial number of the Quest, as `adb devices` lists it (needed when several devices are connected)
    #[arg(long, value_name = "SERIAL")]
    pub device_serial: Option<String>,
    /// Episodes to keep
    #[arg(long, default_value_t = 10)]
    pub episodes: usize,
    /// Longest episode [s]
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Seed of object placement in the simulated kitchen
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Record 128x128 images instead of the camera's
    #[arg(long)]
    pub policy_size: bool,
    /// As fast as possible instead of in real time; only for `--device scripted`
    #[arg(long)]
    pub lockstep: bool,
    #[command(flatten)]
    pub page: super::live::PageArguments,
    #[command(flatten)]
    pub link: LinkArguments,
    #[command(flatten)]
    pub consent: ConsentArguments,
}

/// Runs the command; returns 0 when all episodes were kept, 1 when it ended early.
pub fn teleoperate(arguments: &TeleoperateArguments) -> anyhow::Result<u8> {
    let mut setting = KitchenSetting::load(&arguments.launch)?;
    arguments.link.apply(&mut setting.station.launch);
    let teleop = &mut setting.station.launch.teleop;
    if let Some(device) = arguments.device {
        teleop.device = device;
    }
    teleop.path = arguments.device_path.clone().or(teleop.path.take());
    device::choose_headset(teleop, arguments.device_serial.as_deref())?;
    setting.station.launch.clock = if arguments.lockstep { ClockKind::Lockstep } else { ClockKind::Wall };
    let scripted = setting.station.launch.teleop.device == DeviceKind::Scripted;
    let simulated = setting.station.launch.driver == DriverKind::Mujoco;
    anyhow::ensure!(
        !arguments.lockstep || (scripted && simulated),
        "--lockstep: only `--device scripted` in the simulator of this process can do without real time; leave it out"
    );
    anyhow::ensure!(arguments.episodes > 0, "--episodes: found 0, expected at least 1; 10 is the default");
    // Written so that NaN fails it.
    anyhow::ensure!(
        arguments.seconds > 0.0 && arguments.seconds <= 86_400.0,
        "--seconds: found {}, expected more than 0 and at most 86400; 60 is a good choice",
        arguments.seconds
    );
    setting.protocol.tasks = vec![task(&setting, arguments.task.as_deref())?];
    let _folder = NewFolder::create(&arguments.out, "--out")?;
    // Disk space is checked before an arm is connected.
    require_room(&arguments.out, needed(&setting, arguments) + WriterOptions::default().floor_bytes)?;
    for finished in finish_partial(&arguments.out)? {
        say!("{finished}");
    }
    let stop = StopFlag::on_signals()?;
    let raised = stop.clone();
    let operator = Operator::new(move |by| raised.raise(format!("stop pressed ({by})")));
    let clock = Arc::new(SystemClock::new());
    let live = arguments.page.start(&operator, &setting.station.robot, Some(arguments.out.clone()))?;
    let shared: Arc<dyn Clock> = clock.clone();
    let device = device::open(&setting.station, &operator, &live, &shared)?;
    let rig = if simulated {
        None
    } else {
        let person = || Box::new(Operated::new(operator.clone(), stop.clone())) as Box<_>;
        // A script presses no button, and a page may be watched.
        let watched = device.is_some() || arguments.page.page.is_some();
        let watch = Watch { person, watched, allowed: arguments.consent, dry_run: false };
        Some(Rig::connect(&setting.station, &arguments.link, clock.clone(), watch)?)
    };
    let mut session = Session { setting, arguments, stop, operator, clock, live, device, rig, faulted: false };
    session.run()
}

/// The one task of the session.
fn task(setting: &KitchenSetting, asked: Option<&str>) -> anyhow::Result<String> {
    match (asked, setting.protocol.tasks.as_slice()) {
        (Some(name), _) => Ok(setting.scene.task(&setting.scene_file, name)?.name.clone()),
        (None, [only]) => Ok(only.clone()),
        (None, several) => anyhow::bail!("--task is missing: choose one of {}", several.join(", ")),
    }
}

/// An episode that ended.
struct Recorded {
    outcome: Outcome,
    /// Its file once complete.
    path: PathBuf,
    /// Is the file complete, except for steps reported as left out?
    whole: bool,
    /// The fault that ended it.
    fault: Option<RuntimeError>,
}

struct Session<'a> {
    setting: KitchenSetting,
    arguments: &'a TeleoperateArguments,
    stop: StopFlag,
    operator: Operator,
    clock: Arc<SystemClock>,
    live: super::live::Live,
    /// `None`: the script, which is created for each scene.
    device: Option<Box<dyn TeleopDevice>>,
    rig: Option<Rig>,
    /// Did a fault of arm, camera, link or program end an episode?
    faulted: bool,
}

impl Session<'_> {
    fn run(&mut self) -> anyhow::Result<u8> {
        let wanted = self.arguments.episodes;
        let mut kept = 0;
        while kept < wanted && !self.stop.is_raised() {
            self.operator.show(|panel| {
                panel.episodes = (kept, wanted);
                panel.phase = Phase::Approaching;
            });
            let Some(Recorded { outcome, path, whole, .. }) = self.episode()? else { break };
            kept += usize::from(outcome.is_success() && whole);
            say!("{}: {}", path.display(), describe(&outcome));
            if outcome.is_success() && !whole {
                say!("{}: its recording is incomplete, so it does not count", path.display());
            }
            if self.operator.take(|wish| *wish == Wish::Quit).is_some() {
                break;
            }
        }
        self.operator.show(|panel| {
            panel.episodes = (kept, wanted);
            panel.phase = Phase::Idle;
            panel.prompt.clear();
        });
        say!("{kept} of {wanted} episodes accepted, in {}", self.arguments.out.display());
        if kept < wanted && self.faulted {
            return Ok(super::exit::FAULT);
        }
        Ok(u8::from(kept < wanted))
    }

    /// One episode and its file; `None` when the operator quits.
    fn episode(&mut self) -> anyhow::Result<Option<Recorded>> {
        let task_name = &self.setting.protocol.tasks[0];
        let task = self.setting.scene.task(&self.setting.scene_file, task_name)?.clone();
        let (name, number) = free_name(&self.arguments.out, &task.name)?;
        let seed = derived_seed(&format!("{} {} {number}", self.arguments.seed, task.name));
        let set_up = draw(&self.setting, &task, seed);
        let device_name = self.setting.station.launch.teleop.device.name();
        self.operator.show(|panel| {
            panel.task = task.name.clone();
            panel.instruction = task.instruction.clone();
            panel.prompt = format!("{}; begin when ready", layout_text(&set_up));
            panel.action_source = format!("teleop ({device_name})");
            panel.device = format!("{device_name}: not driving yet");
            panel.warning.clear();
        });
        let Some(mut rig) = self.rig.take() else { return self.episode_here(&set_up, &name) };
        let done = self.episode_there(&mut rig, &set_up, &name);
        self.rig = Some(rig);
        done
    }

    fn episode_here(&mut self, set_up: &SetUp, name: &str) -> anyhow::Result<Option<Recorded>> {
        let prepared = self.setting.prepare(set_up)?;
        let lockstep = self.arguments.lockstep;
        let clock = self.clock.clone();
        let now = || if lockstep { Timestamp::ZERO } else { clock.now() };
        let (mut still, _) = self.setting.running_at(set_up, &prepared, now())?;
        self.live.preview(&mut still, now());
        if !self.begin()? {
            return Ok(None);
        }
        // Recreated: the operator may take minutes, and simulated time begins with the episode.
        let (mut station, rule) = self.setting.running_at(set_up, &prepared, now())?;
        let (by_hand, options) = (ManualClock::new(), wall_options(&self.setting.station.launch));
        let timing = if lockstep {
            Timing::Lockstep { clock: &by_hand, stopwatch: clock.as_ref() }
        } else {
            Timing::Wall { clock: &clock, options: &options }
        };
        let granted = if lockstep { Vec::new() } else { realtime::granted(&self.setting.station.launch) };
        let files = granted::attachment(&granted)?.into_iter().collect();
        let recorded = self.record((set_up, files), name, Some(prepared.assignment), (&mut station, rule), timing)?;
        Ok(Some(recorded))
    }

    fn episode_there(&mut self, rig: &mut Rig, set_up: &SetUp, name: &str) -> anyhow::Result<Option<Recorded>> {
        let assignment = rig.set_up(self.setting.start_joints(set_up.start)?, set_up, &self.stop)?;
        self.live.preview(rig.station(), self.clock.now());
        // The operator who allowed the motion to the start was at the scene, and needs time to take the device.
        self.operator.show(|panel| panel.prompt = "the arm stands at its start; begin when ready".into());
        if !self.begin()? {
            return Ok(None);
        }
        let files = rig.attachments()?;
        let Begun { station, stage, clock, options, .. } = rig.begin()?;
        let timing = Timing::Wall { clock, options };
        let judge = StageJudge(stage);
        let recorded = self.record((set_up, files), name, assignment, (station, judge), timing)?;
        rig.note(recorded.fault.as_ref());
        Ok(Some(recorded))
    }

    /// Waits for the operator; a script is always ready.
    fn begin(&self) -> anyhow::Result<bool> {
        if self.device.is_none() {
            return Ok(true);
        }
        say!("{} - press b to begin", self.operator.panel().prompt);
        Ok(await_begin(&self.operator, &self.stop)?.is_some())
    }

    fn record(
        &mut self,
        (set_up, files): (&SetUp, Vec<Attachment>),
        name: &str,
        assignment: Option<Assignment>,
        (station, rule): (&mut Station, impl Judge),
        timing: Timing<'_>,
    ) -> anyhow::Result<Recorded> {
        let mut options = self.writer_options()?;
        options.attachments.extend(files);
        options.attachments.push(set_up.attachment()?);
        let mut recorder =
            Notes { recorder: Recorder::create(&self.arguments.out, name, options)?, operator: self.operator.clone() };
        let period = station.policy_period;
        let teleop = self.setting.station.launch.teleop.clone();
        let scripted = self.device.is_none();
        let device: Box<dyn TeleopDevice> = match self.device.take() {
            Some(device) => device,
            None => {
                let assignment = assignment.context(
                    "--device scripted: a script cannot see where things lie; it needs the simulator's stage (--stage)",
                )?;
                Box::new(ScriptedDevice::new(assignment, &teleop, period.as_secs_f64(), set_up.seed))
            }
        };
        let bounds = self.setting.station.launch.policy.bounds;
        let chain = self.setting.station.chain.clone();
        let mut source = TeleopSource::new(device, &teleop, bounds, chain, period, self.operator.clone());
        let mut judge: Box<dyn Judge + '_> = if scripted {
            Box::new(ScriptedJudge { rule, operator: self.operator.clone() })
        } else {
            Box::new(OperatorJudge(self.operator.clone()))
        };
        self.operator.forget();
        self.operator.show(|panel| {
            panel.phase = Phase::Running;
            panel.prompt = "accept when it is done, reject when it went wrong".into();
        });
        let start = self.setting.episode_start(name, set_up, "teleop");
        let mut view = TerminalView::new(self.operator.clone());
        let mut page = self.live.sink();
        let mut sinks: Vec<&mut dyn StepSink> = vec![&mut recorder, &mut view];
        if let Some(page) = &mut page {
            sinks.push(page.as_mut());
        }
        let request = EpisodeRequest {
            start,
            seconds: self.arguments.seconds,
            source: &mut source,
            sinks,
            judge: judge.as_mut(),
            stop: &self.stop,
        };
        let report = run_episode(station, request, timing);
        super::last_words::say_hold(&report);
        if !scripted {
            self.device = Some(source.into_device());
        }
        if let Some(fault) = &report.fault {
            tracing::warn!("{name}: {fault}");
            self.faulted = true;
            self.operator.show(|panel| panel.warning = fault.to_string());
        }
        for fault in &report.camera_faults {
            say!("{name}: {fault}");
        }
        let state = recorder.recorder.state();
        if state.dropped > 0 {
            say!("{name}: {} steps were left out, the recorder could not keep up", state.dropped);
        }
        let path = recorder.recorder.path().to_path_buf();
        let whole = state.trouble.is_none() && path.is_file();
        if let Some(trouble) = state.trouble {
            say!("{name}: {trouble}");
        }
        Ok(Recorded { outcome: report.outcome, path, whole, fault: report.fault })
    }

    fn writer_options(&self) -> anyhow::Result<WriterOptions> {
        let reserve_bytes = needed(&self.setting, self.arguments);
        let attachments = record::set_up_files(&self.setting.station)?;
        Ok(WriterOptions {
            record_size: record_size(self.arguments),
            reserve_bytes,
            attachments,
            started_at: if self.arguments.lockstep { Timestamp::ZERO } else { self.clock.now() },
            wall_clock: Some(SystemTime::now()),
            ..WriterOptions::default()
        })
    }
}

fn record_size(arguments: &TeleoperateArguments) -> Option<(u32, u32)> {
    arguments.policy_size.then_some((POLICY_IMAGE, POLICY_IMAGE))
}

/// Disk space for the longest episode \[bytes\].
fn needed(setting: &KitchenSetting, arguments: &TeleoperateArguments) -> u64 {
    record::room(&setting.station, arguments.seconds, record_size(arguments))
}

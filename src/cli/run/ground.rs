//! Target of a run: the station's arm, the in-process simulator, or a recording.

use std::path::PathBuf;
use std::sync::Arc;

use super::RunArguments;
use super::drive::{Drive, Watchers};
use super::ending::Ended;
use super::inside::outside;
use super::job::{Job, Place};
use super::shadow::Shadow;
use super::start_up::StartUp;
use super::take_over::TakeOver;
use super::until::Until;
use crate::cli::granted;
use crate::cli::kitchen::KitchenSetting;
use crate::cli::layout::{derived_seed, draw};
use crate::cli::realtime::{self, wall_options};
use crate::cli::rig::{Begun, Rig, Watch};
use crate::cli::set_up::SetUp;
use crate::cli::simulated::Prepared;
use crate::cli::stage::{NoOperator, Operated, Person, Stage, StageJudge};
use crate::config::{ClockKind, DriverKind};
use crate::driver::Undriven;
use crate::operator::Operator;
use crate::runtime::{Station, StopFlag, Timing, WallOptions};
use crate::scripted::Assignment;
use crate::time::{Clock, ManualClock, SystemClock, Timestamp};

/// Target of a run.
pub enum Ground<'a> {
    /// An arm over its link, with its cameras.
    Arm(Box<OnArm>),
    /// The in-process simulator.
    Here(Box<Here<'a>>),
    /// A recorded episode.
    Shadow(Box<Shadow>),
}

/// A connected arm, and the scene of an emulated one.
pub struct OnArm {
    rig: Rig,
    /// The scene that the emulating process sets up.
    scene: Option<SetUp>,
    assignment: Option<Assignment>,
    record: Option<PathBuf>,
    dry_run: bool,
}

/// A simulated kitchen.
pub struct Here<'a> {
    setting: &'a KitchenSetting,
    scene: SetUp,
    prepared: Prepared,
    /// For inspection before the run.
    station: Station,
    clock: Arc<SystemClock>,
    options: WallOptions,
    lockstep: bool,
    record: Option<PathBuf>,
    dry_run: bool,
}

impl<'a> Ground<'a> {
    /// Connects the arm, or sets up the simulator. Nothing moves.
    pub fn connect(
        job: &'a Job,
        arguments: &RunArguments,
        clock: Arc<SystemClock>,
        (operator, stop): (&Operator, &StopFlag),
    ) -> anyhow::Result<Self> {
        let station = job.place.station();
        let scene = match &job.place {
            Place::Kitchen(kitchen) => {
                let task = kitchen.scene.task(&kitchen.scene_file, &job.task.name)?;
                Some((kitchen, draw(kitchen, task, derived_seed(&format!("run {} {}", job.seed, task.name)))))
            }
            Place::Station(_) => None,
        };
        let (record, dry_run) = (arguments.record.clone(), arguments.dry_run);
        if station.launch.driver == DriverKind::Mujoco
            && let Some((kitchen, scene)) = scene
        {
            let named = job.task.start.as_deref().map(|name| station.start(name)).transpose()?;
            let joints = named.map_or_else(|| kitchen.start_joints(scene.start), Ok)?;
            let prepared = kitchen.prepare_around(&scene, joints)?;
            let watched = arguments.page.page.is_some() || arguments.take_over.is_some();
            let lockstep = station.launch.clock == ClockKind::Lockstep && !watched;
            let now = if lockstep { Timestamp::ZERO } else { clock.now() };
            let (running, _) = kitchen.running_at(&scene, &prepared, now)?;
            let options = wall_options(&station.launch);
            return Ok(Ground::Here(Box::new(Here {
                setting: kitchen,
                scene,
                prepared,
                station: running,
                clock,
                options,
                lockstep,
                record,
                dry_run,
            })));
        }
        let (buttons, lines) = (arguments.has_buttons(), arguments.has_lines());
        let person = || -> Box<dyn Stage> {
            match (buttons, lines) {
                (true, _) => Box::new(Operated::new(operator.clone(), stop.clone())),
                (_, true) => Box::new(Person::at_the_terminal(stop.clone()).pausing(operator.clone())),
                _ => Box::new(NoOperator),
            }
        };
        let watch = Watch { person, watched: buttons || lines, allowed: arguments.consent, dry_run };
        let rig = Rig::connect(station, &arguments.link, clock, watch)?;
        let scene = scene.map(|(_, scene)| scene).filter(|_| rig.is_simulated());
        Ok(Ground::Arm(Box::new(OnArm { rig, scene, assignment: None, record, dry_run })))
    }

    /// The station, for reading.
    pub fn station(&mut self) -> &mut Station {
        match self {
            Ground::Arm(on_arm) => on_arm.rig.station(),
            Ground::Here(here) => &mut here.station,
            Ground::Shadow(shadow) => &mut shadow.station,
        }
    }

    /// The time on the clock of all stamps.
    pub fn now(&self) -> Timestamp {
        match self {
            Ground::Arm(on_arm) => on_arm.rig.clock.now(),
            Ground::Here(here) if here.lockstep => Timestamp::ZERO,
            Ground::Here(here) => here.clock.now(),
            Ground::Shadow(shadow) => shadow.now(),
        }
    }

    /// Does simulated time run as fast as possible?
    pub fn is_lockstep(&self) -> bool {
        match self {
            Ground::Arm(_) => false,
            Ground::Here(here) => here.lockstep,
            Ground::Shadow(shadow) => shadow.is_lockstep(),
        }
    }

    /// Waits for every camera's first image.
    pub fn await_images(&mut self) -> anyhow::Result<()> {
        match self {
            Ground::Arm(on_arm) => on_arm.rig.await_images(),
            Ground::Here(_) | Ground::Shadow(_) => Ok(()),
        }
    }

    /// Refuses a start with the tool outside of its workspace.
    pub fn refuse_outside(&mut self, job: &Job) -> anyhow::Result<()> {
        let Ground::Arm(on_arm) = self else { return Ok(()) };
        if on_arm.dry_run || on_arm.scene.is_some() || job.task.start.is_some() {
            return Ok(());
        }
        let (now, station) = (on_arm.rig.clock.now(), on_arm.rig.station());
        let tool = station.chain.forward(&station.arm.read(now)?.joint_positions);
        match outside(&job.place.station().robot.limits, &tool.translation.vector) {
            Some(why) => anyhow::bail!("{}: {why}", job.place.station().launch_file.display()),
            None => Ok(()),
        }
    }

    /// Brings the arm to the task's posture, if there is one and the operator allows it; sets up the scene of an emulated arm.
    pub fn go_to_start(&mut self, job: &Job, stop: &StopFlag) -> anyhow::Result<()> {
        let Ground::Arm(on_arm) = self else { return Ok(()) };
        let OnArm { rig, scene, assignment, dry_run, .. } = &mut **on_arm;
        let named = job.task.start.as_deref().map(|name| job.place.station().start(name)).transpose()?;
        if *dry_run {
            if named.is_some() {
                say!(
                    "dry run: the arm stays where it is instead of going to `{}`",
                    job.task.start.as_deref().unwrap_or_default()
                );
            }
            if let Some(scene) = scene {
                *assignment = rig.stage.set_up(scene, None)?.assignment;
            }
            return rig.await_images();
        }
        if let (Some(scene), Place::Kitchen(kitchen)) = (&*scene, &job.place) {
            let joints = named.map_or_else(|| kitchen.start_joints(scene.start), Ok)?;
            *assignment = rig.set_up(joints, scene, stop)?;
        } else if let Some(joints) = named {
            rig.go_to_start(joints, stop)?;
        }
        rig.await_images()
    }

    /// Runs the episode.
    pub fn drive(
        &mut self,
        job: &Job,
        take_over: Option<TakeOver>,
        watchers: &Watchers<'_>,
        start: StartUp,
    ) -> anyhow::Result<Ended> {
        match self {
            Ground::Shadow(shadow) => shadow.drive(job, watchers, start),
            Ground::Arm(on_arm) => {
                let OnArm { rig, scene, assignment, record, dry_run } = &mut **on_arm;
                let part = Drive::prepare(job, *assignment, record.take(), *dry_run, start)?.taken_over_with(take_over);
                let mut files = rig.attachments()?;
                files.extend(scene.as_ref().map(SetUp::attachment).transpose()?);
                let simulated = rig.is_simulated();
                let Begun { station, stage, person, clock, options } = rig.begin()?;
                let person = person.map(|person| person as &mut dyn Stage);
                let until = match (simulated, &*scene) {
                    (true, Some(_)) => Until::ruled(StageJudge(stage), watchers.operator).heard(person),
                    (true, None) => Until::buttons(watchers.operator).heard(person),
                    (false, _) => Until::person(stage, watchers.operator),
                };
                part.run(station, until, Timing::Wall { clock, options }, files, watchers)
            }
            Ground::Here(here) => {
                let Here { setting, scene, prepared, clock, options, lockstep, record, dry_run, .. } = &mut **here;
                let part = Drive::prepare(job, Some(prepared.assignment), record.take(), *dry_run, start)?
                    .taken_over_with(take_over);
                // Recreated: loading weights takes a while, and simulated time begins with the run.
                let now = if *lockstep { Timestamp::ZERO } else { clock.now() };
                let (mut station, rule) = setting.running_at(scene, prepared, now)?;
                if *dry_run {
                    station = Station { arm: Box::new(Undriven::new(station.arm)), ..station };
                }
                let (by_hand, mut person) = (ManualClock::new(), watchers.person(*lockstep));
                let until = Until::ruled(rule, watchers.operator).heard(person.as_mut().map(|person| person as _));
                let mut files = vec![scene.attachment()?];
                let timing = if *lockstep {
                    Timing::Lockstep { clock: &by_hand, stopwatch: clock.as_ref() }
                } else {
                    files.extend(granted::attachment(&realtime::granted(&setting.station.launch))?);
                    Timing::Wall { clock, options }
                };
                part.run(&mut station, until, timing, files, watchers)
            }
        }
    }
}

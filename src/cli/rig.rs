//! A connected arm with its cameras and its stage, for trials outside the in-process simulator.
//!
//! Nothing moves or recovers here without the operator's consent. The exception is an arm that another process of this
//! program emulates, as its stage reports: it moves to its start without asking, and with `--yes` recovers.
//!
//! Between episodes the arm is in position mode where it has one: an arm in torque mode floats until the first torque comes,
//! and some enter torque mode only while nothing presses on them. [`Rig::begin`] changes to the mode of the episode's commands.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::approach::Approach;
use super::consent::{Consent, ConsentArguments, Said, attachment};
use super::granted;
use super::link::LinkArguments;
use super::realtime::{self, wall_options};
use super::set_up::SetUp;
use super::stage::{Laid, Remote, Stage, default_socket};
use super::standing::{activate, recover, what_recovery_does};
use super::station::StationSetting;
use crate::action::ControlMode;
use crate::camera::CameraError;
use crate::control::Controller;
use crate::driver::{ArmDriver, DriverError, Undriven};
use crate::observation::JointVector;
use crate::recording::Attachment;
use crate::runtime::{Granted, Posture, RuntimeError, Station, StopFlag, Timing, WallOptions, go_to};
use crate::scripted::Assignment;
use crate::time::{Clock, SystemClock};

/// Time-out for the first image \[s\].
const FIRST_IMAGE: f64 = 5.0;
/// Consecutive faults on the way to a start after which the trial is given up.
const MOST_FAULTS: usize = 3;

/// The active arm with its cameras, stage and operator.
pub struct Rig {
    /// Arm, cameras, control and safety filter. Episodes get it from [`Rig::begin`].
    station: Station,
    /// Sets up the scene and judges the task.
    pub stage: Box<dyn Stage>,
    /// The clock of all stamps.
    pub clock: Arc<SystemClock>,
    /// How the loops run in real time.
    options: WallOptions,
    /// The settings that the operating system granted.
    granted: Vec<Granted>,
    /// Mode of the episode's commands.
    mode: ControlMode,
    /// Control law for the way to a start, if the episode's commands are torques and the arm has a position mode.
    way: Option<Controller>,
    /// Mode the arm is in.
    active: ControlMode,
    /// The operator, if the stage is a process; `None` if no operator watches.
    person: Option<Box<dyn Stage>>,
    /// Does another process of this program emulate the arm?
    simulated: bool,
    /// Recover without asking; only if it is simulated.
    yes: bool,
    joint_names: Vec<String>,
    /// Largest joint speed on the way to a start \[rad/s\].
    approach_speed: f64,
    /// Effect of recovering this arm, as text.
    does: String,
    /// The arm's failure in the last trial.
    failed: Option<String>,
    /// Consents for the next episode.
    consents: Vec<Consent>,
}

/// The rig during an episode: the arm is in the mode of its commands.
pub struct Begun<'a> {
    /// Arm, camera, control and safety.
    pub station: &'a mut Station,
    /// Sets up the scene and judges the task.
    pub stage: &'a mut dyn Stage,
    /// The operator, if the stage is a process.
    pub person: Option<&'a mut (dyn Stage + 'static)>,
    /// The clock of all stamps.
    pub clock: &'a SystemClock,
    /// How the loops run in real time.
    pub options: &'a WallOptions,
}

/// How the operator takes part.
pub struct Watch<F> {
    /// Makes the operator's stage, which sets up, consents and judges if no process does.
    pub person: F,
    /// Is an operator present although a process sets up the scene?
    pub watched: bool,
    /// Consent given on the command line.
    pub allowed: ConsentArguments,
    /// Is the arm only to be read?
    pub dry_run: bool,
}

impl Rig {
    /// Connects the launch file's arm and cameras, and activates the arm where it is.
    pub fn connect<F: Fn() -> Box<dyn Stage>>(
        setting: &StationSetting,
        link: &LinkArguments,
        clock: Arc<SystemClock>,
        watch: Watch<F>,
    ) -> anyhow::Result<Self> {
        let (launch, robot) = (&setting.launch, &setting.robot);
        let Watch { person, watched, allowed, dry_run } = watch;
        let default = default_socket(&robot.identity.name);
        let socket = match link.stage.as_deref() {
            Some("person") => None,
            Some(socket) => Some(Path::new(socket)),
            None => default.exists().then_some(default.as_path()),
        };
        let simulated = socket.is_some();
        let stage: Box<dyn Stage> = match socket {
            Some(socket) => Box::new(emulating(socket, setting)?),
            None => person(),
        };
        anyhow::ensure!(
            simulated || !allowed.yes,
            "--yes: nothing shows that {} is simulated (no stage of `visuomotor simulate`), and a real arm recovers only when \
             the operator beside it says so; leave it out",
            robot.identity.name
        );
        let mut arm: Box<dyn ArmDriver> = if dry_run {
            Box::new(Undriven::new(super::link::connect_to_watch(launch, robot, &clock)?))
        } else {
            super::link::connect(launch, robot, &clock)?
        };
        let cameras = super::link::cameras(launch, &setting.cameras, &clock)?;
        let mode = launch.control.law.mode();
        let positions = mode == ControlMode::Torque && arm.capabilities().modes.contains(&ControlMode::Position);
        let way = positions.then(|| setting.approach_controller()).transpose()?;
        let active = if positions { ControlMode::Position } else { mode };
        activate(&mut *arm, clock.now(), active)
            .context("an arm that failed is let recover by `visuomotor recover`, with the same link")?;
        Ok(Self {
            stage,
            person: (simulated && watched).then(person),
            simulated,
            yes: allowed.yes,
            mode,
            way,
            active,
            joint_names: robot.joint_names(),
            approach_speed: launch.motion.approach_speed(robot),
            does: what_recovery_does(launch.driver.name(), &robot.identity.name),
            options: wall_options(launch),
            granted: realtime::granted(launch),
            failed: None,
            consents: Vec::new(),
            station: setting.joined(arm, cameras)?,
            clock,
        })
    }

    /// Notes the arm's fault that ended the last episode, if any. Before the next one the arm recovers only with consent,
    /// even if the fault has gone by then.
    pub fn note(&mut self, fault: Option<&RuntimeError>) {
        if let Some(fault @ (RuntimeError::Driver(_) | RuntimeError::Fault(_))) = fault {
            self.failed = Some(fault.to_string());
        }
    }

    /// Attachments for the current episode: consents, and the real-time settings that were granted.
    pub fn attachments(&mut self) -> anyhow::Result<Vec<Attachment>> {
        let mut files = vec![attachment(&std::mem::take(&mut self.consents))?];
        files.extend(granted::attachment(&self.granted)?);
        Ok(files)
    }

    /// Has the scene set up and brings the arm to the start of an episode (`joints` in rad), gripper open. The operator's
    /// confirmation of the scene is also consent to the motion. An emulated arm moves first, since its scene is set up around it.
    pub fn set_up(
        &mut self,
        joints: JointVector,
        set_up: &SetUp,
        stop: &StopFlag,
    ) -> anyhow::Result<Option<Assignment>> {
        let mut faults = 0;
        let laid = loop {
            self.ready().context("the arm is not ready")?;
            match self.bring(joints, set_up, stop) {
                Err(error) => {
                    let fault = error.downcast_ref::<RuntimeError>();
                    self.note(fault);
                    faults += 1;
                    if self.failed.is_none() || faults >= MOST_FAULTS || stop.is_raised() {
                        return Err(error);
                    }
                }
                laid => break laid?,
            }
        };
        self.await_images()?;
        Ok(laid.assignment)
    }

    /// Brings the arm to a posture \[rad\], gripper open, if the operator allows the motion.
    pub fn go_to_start(&mut self, joints: JointVector, stop: &StopFlag) -> anyhow::Result<()> {
        loop {
            let approach = self.plan(joints)?;
            let by = if self.simulated {
                "simulated".into()
            } else {
                match self.stage.may_move(&approach)? {
                    Said::Yes(by) => by,
                    Said::No(by) => {
                        return Err(RuntimeError::Interrupted(format!("the motion was not allowed ({by})")).into());
                    }
                    Said::Nobody => anyhow::bail!(
                        "no operator can allow the motion to the start: run it at a terminal, add --page, or leave the start out"
                    ),
                }
            };
            // People take minutes, and an arm may be pushed: what was allowed is the motion that was announced.
            if approach.starts_at(&self.plan(joints)?.from) {
                self.allow(&approach, &by);
                return Ok(self.go(&approach, stop)?);
            }
            say!("the arm was moved meanwhile: another motion is to be allowed");
        }
    }

    /// Does another process of this program emulate the arm?
    pub fn is_simulated(&self) -> bool {
        self.simulated
    }

    fn bring(&mut self, joints: JointVector, set_up: &SetUp, stop: &StopFlag) -> anyhow::Result<Laid> {
        let mut approach = self.plan(joints)?;
        if self.simulated {
            self.allow(&approach, "simulated");
            self.go(&approach, stop)?;
            return self.stage.set_up(set_up, None);
        }
        loop {
            let laid = self.stage.set_up(set_up, Some(&approach))?;
            // People take minutes, and an arm may be pushed: what was allowed is the motion that was announced.
            let now = self.plan(joints)?;
            if approach.starts_at(&now.from) {
                self.allow(&approach, &laid.by);
                self.go(&approach, stop)?;
                return Ok(laid);
            }
            say!("the arm was moved meanwhile: another motion is to be allowed");
            approach = now;
        }
    }

    fn plan(&mut self, to: JointVector) -> anyhow::Result<Approach> {
        let now = self.clock.now();
        let here = self.station.arm.read(now).map_err(|error| self.words(error))?.joint_positions;
        Ok(Approach::plan(&self.joint_names, here, to, self.approach_speed))
    }

    fn allow(&mut self, what: &impl std::fmt::Display, by: &str) {
        say!("{what} (allowed: {by})");
        self.consents.push(Consent { to: what.to_string(), by: by.into() });
    }

    fn go(&mut self, approach: &Approach, stop: &StopFlag) -> Result<(), RuntimeError> {
        self.change_to(self.resting())?;
        self.change_control();
        let timing = Timing::Wall { clock: &self.clock, options: &self.options };
        let posture = Posture { joints: approach.to, gripper: 1.0, duration: approach.duration };
        let arrival = go_to(&mut self.station, &posture, timing, stop);
        self.change_control();
        for refused in arrival?.realtime.iter().filter(|one| !one.granted && !self.granted.contains(one)) {
            say!("motion to the start: {refused}");
        }
        Ok(())
    }

    /// Switches the arm to the mode of the episode's commands, and returns the station.
    pub fn begin(&mut self) -> Result<Begun<'_>, RuntimeError> {
        self.change_to(self.mode)?;
        let Self { station, stage, person, clock, options, .. } = self;
        Ok(Begun { station, stage: stage.as_mut(), person: person.as_deref_mut(), clock, options })
    }

    /// The station, for reading.
    pub fn station(&mut self) -> &mut Station {
        &mut self.station
    }

    /// Mode between episodes.
    fn resting(&self) -> ControlMode {
        if self.way.is_some() { ControlMode::Position } else { self.mode }
    }

    fn change_to(&mut self, mode: ControlMode) -> Result<(), RuntimeError> {
        if self.active != mode {
            let now = self.clock.now();
            self.station.arm.activate(now, mode).map_err(|error| self.words(error))?;
            self.active = mode;
        }
        Ok(())
    }

    /// Swaps the episode's control law for that of the way to a start, or back.
    fn change_control(&mut self) {
        if let Some(way) = &mut self.way {
            std::mem::swap(way, &mut self.station.controller);
        }
    }

    fn words(&self, error: DriverError) -> RuntimeError {
        match error {
            DriverError::Fault(code) => RuntimeError::Fault(self.station.arm.fault_text(code)),
            error => RuntimeError::Driver(error),
        }
    }

    /// After a fault: asks and recovers until the arm is seen to stand, or the operator declines.
    fn ready(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let trouble = match (self.failed.take(), self.station.arm.read(now)) {
            (None, Ok(_)) => return Ok(()),
            (Some(failed), _) => failed,
            (None, Err(error)) => self.words(error).to_string(),
        };
        let mut trouble = trouble;
        loop {
            let by = match self.ask(&trouble)? {
                Said::Yes(by) => by,
                Said::No(_) => return Err(RuntimeError::NotRecovered(trouble).into()),
                Said::Nobody => return Err(RuntimeError::NobodyToRecover(trouble).into()),
            };
            self.allow(&format!("recover from: {trouble}"), &by);
            let mode = self.resting();
            match recover(&mut *self.station.arm, &*self.clock, mode, &mut std::thread::sleep) {
                Ok(stands) => {
                    self.active = mode;
                    say!("{stands}");
                    return Ok(());
                }
                // `--yes` would consent forever.
                Err(error) if self.yes => return Err(error),
                Err(error) => trouble = format!("{error:#}"),
            }
        }
    }

    fn ask(&mut self, trouble: &str) -> anyhow::Result<Said> {
        if self.simulated && self.yes {
            return Ok(Said::Yes("--yes, simulated".into()));
        }
        let who = self.person.as_deref_mut().unwrap_or(&mut *self.stage);
        who.may_recover(trouble, &self.does)
    }

    /// Waits for a new image of each camera.
    pub fn await_images(&mut self) -> anyhow::Result<()> {
        let asked = self.clock.now();
        for (camera, _) in &mut self.station.cameras {
            loop {
                let now = self.clock.now();
                let late = now.since(asked).as_secs_f64() > FIRST_IMAGE;
                match camera.newest(now) {
                    Ok(image) if image.captured_at > asked => break,
                    Err(error) if late => return Err(error.into()),
                    _ if late => {
                        let why = format!("none was taken within {FIRST_IMAGE} s; is it still publishing?");
                        return Err(CameraError::Silent { camera: camera.name().into(), why }.into());
                    }
                    _ => {}
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }
}

/// Connects to the stage, and checks that it emulates the launch file's arm. Any other arm may be a real one.
fn emulating(socket: &Path, setting: &StationSetting) -> anyhow::Result<Remote> {
    let mut remote = Remote::connect(socket)?;
    let (theirs, ours) = (remote.plays()?, super::link::link_address(&setting.launch, &setting.robot)?);
    anyhow::ensure!(
        theirs == ours,
        "stage {}: it emulates {theirs}, but the launch file's arm is {ours}; name the emulated arm, or pass `--stage person` to lay \
         and judge the scene of a real one yourself",
        socket.display()
    );
    Ok(remote)
}

#[cfg(test)]
#[path = "rig_tests.rs"]
mod tests;

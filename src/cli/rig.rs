//! A connected arm with its camera and its stage: what a trial needs when the simulator is not in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::link::LinkArguments;
use super::setting::{SetUp, Setting};
use super::stage::{Remote, Stage, default_socket};
use super::station::activate;
use crate::action::ControlMode;
use crate::runtime::{Posture, Station, StopFlag, Timing, WallOptions, go_to};
use crate::simulation::Assignment;
use crate::time::{Clock, SystemClock};

/// Joint speed between trials \[rad/s\].
const APPROACH: f64 = 0.8;
/// How long a first picture is waited for after the scene was laid \[s\].
const FIRST_PICTURE: f64 = 5.0;

/// The arm, active, with what stands around it.
pub struct Rig {
    /// Arm, camera, control and safety.
    pub station: Station,
    /// Who lays the scene and judges.
    pub stage: Box<dyn Stage>,
    /// The clock of all stamps.
    pub clock: Arc<SystemClock>,
    /// Mode the arm is activated in.
    pub mode: ControlMode,
}

impl Rig {
    /// Connects arm and camera as the launch file says, activates the arm where it stands. `person` is asked where no
    /// process stands for the scene.
    pub fn connect(
        setting: &Setting,
        link: &LinkArguments,
        clock: Arc<SystemClock>,
        person: impl Fn() -> Box<dyn Stage>,
    ) -> anyhow::Result<Self> {
        let stage: Box<dyn Stage> = match link.stage.as_deref() {
            Some("person") => person(),
            Some(socket) => Box::new(Remote::connect(Path::new(socket))?),
            None => {
                let socket = default_socket(&setting.robot.robot.name);
                if socket.exists() { Box::new(Remote::connect(&socket)?) } else { person() }
            }
        };
        let mut arm = super::link::connect(&setting.launch, &setting.robot, &clock)?;
        let camera = super::link::camera(&setting.launch, &setting.camera, &clock)?;
        activate(&mut *arm, clock.now(), setting.launch.control.law.mode())?;
        let station = setting.station_of(arm, camera)?;
        let mode = setting.launch.control.law.mode();
        Ok(Self { station, stage, clock, mode })
    }

    /// Brings the arm to the start of an episode, gripper open, and has the scene laid.
    pub fn set_up(&mut self, setting: &Setting, set_up: &SetUp, stop: &StopFlag) -> anyhow::Result<Option<Assignment>> {
        let joints = setting.start_joints(set_up.start)?;
        self.ready().context("the arm is not ready for the next trial")?;
        let now = self.clock.now();
        let measured = self.station.arm.read(now)?.joint_positions;
        let farthest = measured.iter().zip(joints.iter()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let duration = Duration::from_secs_f64((farthest / APPROACH).clamp(0.5, 10.0));
        let options = WallOptions::default();
        let timing = Timing::Wall { clock: &self.clock, options: &options };
        go_to(&mut self.station, &Posture { joints, gripper: 1.0, duration }, timing, stop)?;
        let assignment = self.stage.set_up(set_up)?;
        self.await_picture()?;
        Ok(assignment)
    }

    /// After a fault of the last trial: clears it and activates again, holding where the arm is.
    fn ready(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        if self.station.arm.read(now).is_ok() {
            return Ok(());
        }
        self.station.arm.recover(now)?;
        activate(&mut *self.station.arm, self.clock.now(), self.mode)?;
        Ok(())
    }

    /// Waits for a picture that was taken after the scene was laid.
    fn await_picture(&mut self) -> anyhow::Result<()> {
        let laid = self.clock.now();
        loop {
            let now = self.clock.now();
            for (camera, _) in &mut self.station.cameras {
                match camera.newest(now) {
                    Ok(image) if image.captured_at > laid => return Ok(()),
                    Err(error) if now.since(laid).as_secs_f64() > FIRST_PICTURE => return Err(error.into()),
                    _ => {}
                }
            }
            anyhow::ensure!(
                now.since(laid).as_secs_f64() <= FIRST_PICTURE,
                "no picture was taken within {FIRST_PICTURE} s; is the camera still publishing?"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

//! Which arm, over what: the arguments that `evaluate`, `check` and `simulate` share, and the driver they name.
//!
//! One file per wire; `absent.rs` stands in for a wire that this program was built without.

#[cfg_attr(not(feature = "dynamixel"), path = "absent.rs")]
mod dynamixel;
#[cfg_attr(not(feature = "fci"), path = "absent.rs")]
mod fci;
#[cfg_attr(not(feature = "ros2"), path = "absent.rs")]
mod ros2;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::camera::Camera;
use crate::config::{CameraCalibration, DriverKind, Launch, Robot};
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::time::SystemClock;

#[cfg(feature = "ros2")]
pub use ros2::settings as ros_settings;

/// Where the arm is, instead of what the launch file says.
#[derive(Args, Debug, Default, Clone)]
pub struct LinkArguments {
    /// What stands behind the arm, instead of the launch file's
    #[arg(long)]
    pub driver: Option<DriverName>,
    /// Serial port of `dynamixel`
    #[arg(long)]
    pub port: Option<PathBuf>,
    /// Address of `fci`
    #[arg(long)]
    pub address: Option<String>,
    /// Namespace of the arm's `ros2` topics
    #[arg(long)]
    pub namespace: Option<String>,
    /// Who lays the scene and judges: a socket of `visuomotor simulate`, or `person` at this terminal
    #[arg(long)]
    pub stage: Option<String>,
}

/// What stands behind the arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// The simulator in this process
    Mujoco,
    /// Dynamixel servos on a serial bus (WidowX)
    Dynamixel,
    /// The maker's ROS 2 interface
    Ros2,
    /// Franka's own interface (Panda, FR3)
    Fci,
}

impl From<DriverName> for DriverKind {
    fn from(name: DriverName) -> Self {
        match name {
            DriverName::Mujoco => DriverKind::Mujoco,
            DriverName::Dynamixel => DriverKind::Dynamixel,
            DriverName::Ros2 => DriverKind::Ros2,
            DriverName::Fci => DriverKind::Fci,
        }
    }
}

impl LinkArguments {
    /// Puts what is given here over what the launch file says.
    pub fn apply(&self, launch: &mut Launch) {
        if let Some(driver) = self.driver {
            launch.driver = driver.into();
        }
        let link = &mut launch.link;
        link.port = self.port.clone().or(link.port.take());
        link.address = self.address.clone().or(link.address.take());
        link.namespace = self.namespace.clone().or(link.namespace.take());
    }
}

/// An emulated controller at work; it ends with this value.
pub struct Emulated {
    /// Where it is to be found, for a person.
    pub place: String,
    _running: Box<dyn std::any::Any>,
}

impl Emulated {
    fn new(place: impl Into<String>, running: impl std::any::Any) -> Self {
        Self { place: place.into(), _running: Box::new(running) }
    }
}

/// Times that only `ros2` links know must not be believed to act elsewhere.
fn timeouts_fit(launch: &Launch) -> anyhow::Result<()> {
    let named = launch.link.state_timeout.is_some() || launch.link.command_timeout.is_some();
    anyhow::ensure!(
        !named || launch.driver == DriverKind::Ros2,
        "link.state_timeout and link.command_timeout are for driver ros2, not {}: leave them out",
        launch.driver
    );
    Ok(())
}

/// Connects the arm that the launch file names; torque stays as it is.
pub fn connect(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    timeouts_fit(launch)?;
    match launch.driver {
        DriverKind::Mujoco => {
            anyhow::bail!("driver mujoco is the simulator of this process: there is nothing to connect")
        }
        DriverKind::Dynamixel => dynamixel::connect(launch, robot, clock),
        DriverKind::Ros2 => ros2::connect(launch, robot, clock),
        DriverKind::Fci => fci::connect(launch, robot, clock),
    }
}

/// Looks at the link without moving anything.
pub fn check(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    timeouts_fit(launch)?;
    match launch.driver {
        DriverKind::Mujoco => {
            anyhow::bail!("driver mujoco is the simulator of this process: there is no link to check")
        }
        DriverKind::Dynamixel => dynamixel::check(launch, robot, clock),
        DriverKind::Ros2 => ros2::check(launch, robot, clock),
        DriverKind::Fci => fci::check(launch, robot, clock),
    }
}

/// Plays the controller of an arm.
pub fn emulate(
    launch: &Launch,
    robot: &Robot,
    plant: Box<dyn Plant>,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Emulated> {
    match launch.driver {
        DriverKind::Mujoco => {
            anyhow::bail!("driver mujoco is the simulator inside the other commands; choose dynamixel, ros2 or fci")
        }
        DriverKind::Dynamixel => dynamixel::emulate(launch, robot, plant, clock),
        DriverKind::Ros2 => ros2::emulate(launch, robot, plant, clock),
        DriverKind::Fci => fci::emulate(launch, robot, plant, clock),
    }
}

/// The policy's camera where the arm is not simulated in this process.
pub fn camera(
    launch: &Launch,
    calibration: &CameraCalibration,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn Camera>> {
    ros2::camera(launch, calibration, clock)
}

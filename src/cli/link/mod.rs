//! The arm and its link: arguments shared by commands, and the driver they select.
//!
//! One file per link; `absent.rs` replaces a link that this program was built without.

#[cfg(not(all(feature = "dynamixel", feature = "fci", feature = "ros2")))]
mod absent;
#[cfg(feature = "dynamixel")]
mod dynamixel;
#[cfg(feature = "fci")]
mod fci;
#[cfg(feature = "ros2")]
mod ros2;
mod address;

#[cfg(not(feature = "dynamixel"))]
use absent as dynamixel;
#[cfg(not(feature = "fci"))]
use absent as fci;
#[cfg(not(feature = "ros2"))]
use absent as ros2;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::camera::Camera;
use crate::config::{CameraCalibration, DriverKind, Launch, Robot};
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::time::SystemClock;

pub use address::LinkAddress;
#[cfg(feature = "ros2")]
pub use ros2::settings as ros_settings;

/// The arm's link, overriding the launch file.
#[derive(Args, Debug, Default, Clone)]
pub struct LinkArguments {
    /// Driver, instead of the launch file's
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
    /// Start no guard: an arm in velocity or torque mode over `ros2` keeps moving if this program is killed
    #[arg(long = "unguarded-arm-moves-on-if-this-program-dies")]
    pub unguarded: bool,
    /// Who sets up the scene and judges: a socket of `visuomotor simulate`, or `person` at this terminal
    #[arg(long)]
    pub stage: Option<String>,
}

/// The arm of a command that drives none: `check` and `recover`.
#[derive(Args, Debug)]
pub struct ArmArguments {
    /// Arm: a folder under robots/
    #[arg(long)]
    pub robot: String,
    /// Launch file with a `[link]` table to start from
    #[arg(long, default_value = "launch/widowx_kitchen.toml")]
    pub launch: PathBuf,
    /// Link to the arm
    #[command(flatten)]
    pub link: LinkArguments,
}

impl ArmArguments {
    /// The launch file's settings with these overrides, and the arm's description.
    pub fn load(&self) -> anyhow::Result<(Launch, Robot)> {
        let (mut launch, root) = Launch::load(&self.launch)?;
        let robot = Robot::load(&root, &self.robot)?;
        anyhow::ensure!(self.link.driver.is_some(), "--driver is missing: dynamixel, ros2 or fci");
        self.link.apply(&mut launch);
        Ok((launch, robot))
    }
}

/// Driver of the arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// The in-process simulator
    Mujoco,
    /// Dynamixel servos on a serial bus (WidowX)
    Dynamixel,
    /// The manufacturer's ROS 2 interface
    Ros2,
    /// Franka Control Interface (Panda, FR3)
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
    /// Applies these overrides to the launch file's settings.
    pub fn apply(&self, launch: &mut Launch) {
        if let Some(driver) = self.driver {
            launch.driver = driver.into();
        }
        let link = &mut launch.link;
        link.port = self.port.clone().or(link.port.take());
        link.address = self.address.clone().or(link.address.take());
        link.namespace = self.namespace.clone().or(link.namespace.take());
        link.unguarded |= self.unguarded;
    }
}

/// A running emulated controller; dropping it ends it.
pub struct Emulated {
    /// Its address, as text for the user.
    pub place: String,
    /// Its address, for the process that connects to it.
    pub address: LinkAddress,
    _running: Box<dyn std::any::Any>,
}

impl Emulated {
    /// A controller that runs until `running` is dropped.
    pub fn new(place: impl Into<String>, address: LinkAddress, running: impl std::any::Any) -> Self {
        Self { place: place.into(), address, _running: Box::new(running) }
    }
}

/// Refuses launch-file settings of a driver that is not in use: they would be ignored.
fn check_tables(launch: &Launch) -> anyhow::Result<()> {
    let tables = [
        ("fci", DriverKind::Fci, launch.fci == Default::default()),
        ("dynamixel", DriverKind::Dynamixel, launch.dynamixel == Default::default()),
    ];
    for (table, driver, empty) in tables {
        anyhow::ensure!(
            empty || launch.driver == driver,
            "[{table}] of the launch file is kept by driver {driver} alone, and the driver is {}: leave the table out, or choose \
             --driver {driver}",
            launch.driver
        );
    }
    Ok(())
}

/// Refuses time-outs that only `ros2` links have: other drivers would ignore them.
fn timeouts_fit(launch: &Launch) -> anyhow::Result<()> {
    let named = launch.link.state_timeout.is_some() || launch.link.command_timeout.is_some();
    anyhow::ensure!(
        !named || launch.driver == DriverKind::Ros2,
        "link.state_timeout and link.command_timeout are for driver ros2, not {}: leave them out",
        launch.driver
    );
    Ok(())
}

/// Connects the launch file's arm; torque stays as it is.
pub fn connect(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    check_tables(launch)?;
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

/// Connects read-only: torque, motion and commands stay as they are.
pub fn connect_to_watch(
    launch: &Launch,
    robot: &Robot,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn ArmDriver>> {
    match launch.driver {
        DriverKind::Dynamixel => {
            check_tables(launch)?;
            dynamixel::connect_to_watch(launch, robot, clock)
        }
        DriverKind::Fci => fci::connect_to_watch(launch, robot, clock),
        // There, connecting sends no command.
        _ => connect(launch, robot, clock),
    }
}

/// Connects an arm whose faults prevent a normal connection; call [`ArmDriver::recover`] first.
pub fn connect_faulted(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    match launch.driver {
        DriverKind::Mujoco => {
            anyhow::bail!("driver mujoco is the simulator of this process: there is nothing to recover")
        }
        DriverKind::Dynamixel => dynamixel::connect_faulted(launch, robot, clock),
        DriverKind::Ros2 => ros2::connect(launch, robot, clock),
        DriverKind::Fci => fci::connect_faulted(launch, robot, clock),
    }
}

/// Address of the launch file's arm, in the form that an emulating process reports.
pub fn link_address(launch: &Launch, robot: &Robot) -> anyhow::Result<LinkAddress> {
    match launch.driver {
        DriverKind::Mujoco => anyhow::bail!("driver mujoco is the simulator of this process: it has no link"),
        DriverKind::Dynamixel => dynamixel::link_address(launch, robot),
        DriverKind::Ros2 => ros2::link_address(launch, robot),
        DriverKind::Fci => fci::link_address(launch, robot),
    }
}

/// Checks the link without moving anything.
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

/// Emulates the controller of an arm.
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

/// The cameras of an arm outside this process, in the order of the launch file and of the calibrations.
pub fn cameras(
    launch: &Launch,
    calibrations: &[CameraCalibration],
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Vec<Box<dyn Camera>>> {
    ros2::cameras(launch, calibrations, clock)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_of_another_driver_are_refused_before_connecting() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut launch, _) = Launch::load(&root.join("launch/widowx_kitchen.toml")).unwrap();
        launch.dynamixel.yielding = Some(0.5);
        launch.driver = DriverKind::Dynamixel;
        check_tables(&launch).unwrap();
        launch.driver = DriverKind::Ros2;
        let robot = Robot::load(root, "widowx").unwrap();
        let error = connect(&launch, &robot, &Arc::new(SystemClock::new())).err().unwrap().to_string();
        assert!(error.contains("[dynamixel]") && error.contains("driver is ros2"), "{error}");
    }
}

//! Dynamixel servos on a serial bus.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use super::{Emulated, LinkAddress};
use crate::config::{Launch, Robot};
use crate::driver::widowx::dynamixel::driver::{DynamixelArm, DynamixelOptions, PositionServo, check_bus};
use crate::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::time::SystemClock;
use crate::transport::{BAUD, SerialLink};

/// The adapter's name by the manufacturer's udev rule.
const USUAL_PORT: &str = "/dev/ttyDXL";

fn port(launch: &Launch) -> PathBuf {
    launch.link.port.clone().unwrap_or_else(|| PathBuf::from(USUAL_PORT))
}

fn open(launch: &Launch, robot: &Robot) -> anyhow::Result<SerialLink> {
    only_widowx(robot)?;
    let port = port(launch);
    SerialLink::open(&port.to_string_lossy(), BAUD).map_err(|error| {
        let text = format!("{}: serial port {}: {error}; {}", robot.identity.name, port.display(), error.fix());
        // Keep the error type: it decides the exit code.
        anyhow::Error::new(error).context(text)
    })
}

fn only_widowx(robot: &Robot) -> anyhow::Result<()> {
    if robot.identity.name != "widowx" {
        bail!("driver dynamixel drives the widowx; {} has another driver (ros2, fci)", robot.identity.name);
    }
    Ok(())
}

/// The launch file's settings; the driver checks them.
fn options(launch: &Launch) -> DynamixelOptions {
    DynamixelOptions { servo: launch.dynamixel.yielding.map_or_else(Default::default, PositionServo::Limited) }
}

pub fn connect(launch: &Launch, robot: &Robot, _clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    Ok(Box::new(DynamixelArm::connect(open(launch, robot)?, robot, options(launch))?))
}

/// Connects read-only: nothing is written.
pub fn connect_to_watch(
    launch: &Launch,
    robot: &Robot,
    _clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn ArmDriver>> {
    Ok(Box::new(DynamixelArm::connect_to_watch(open(launch, robot)?, robot, options(launch))?))
}

pub fn connect_faulted(
    launch: &Launch,
    robot: &Robot,
    _clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn ArmDriver>> {
    Ok(Box::new(DynamixelArm::connect_faulted(open(launch, robot)?, robot, options(launch))?))
}

/// The port with symbolic links resolved.
fn at(port: &Path) -> LinkAddress {
    let port = std::fs::canonicalize(port).unwrap_or_else(|_| port.to_path_buf());
    LinkAddress { driver: "dynamixel".into(), at: port.display().to_string() }
}

pub fn link_address(launch: &Launch, _robot: &Robot) -> anyhow::Result<LinkAddress> {
    Ok(at(&port(launch)))
}

pub fn check(launch: &Launch, robot: &Robot, _clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    Ok(check_bus(open(launch, robot)?, robot))
}

pub fn emulate(
    launch: &Launch,
    robot: &Robot,
    plant: Box<dyn Plant>,
    _clock: &Arc<SystemClock>,
) -> anyhow::Result<Emulated> {
    only_widowx(robot)?;
    let bus = BusEmulator::new(robot, plant)?;
    let symlink: Option<&Path> = launch.link.port.as_deref();
    let server = BusServer::start(bus, symlink)?;
    Ok(Emulated::new(format!("port: {}", server.path()), at(Path::new(server.path())), server))
}

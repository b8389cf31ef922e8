//! Franka Control Interface (FCI).

use std::sync::Arc;

use anyhow::Context;

use super::{Emulated, LinkAddress};
use crate::cli::exit::Failure;
use crate::cli::realtime::wall_options;
use crate::config::{Launch, Robot};
use crate::driver::panda::fci::driver::{FciArm, FciSettings, Model, check as check_fci};
use crate::driver::panda::fci::emulator::{Emulator, EmulatorOptions, robot_model};
use crate::driver::panda::fci::wire::Version;
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::kinematics::Chain;
use crate::time::SystemClock;

/// The address used in the manufacturer's manual.
const USUAL_ADDRESS: &str = "172.16.0.2";
/// Ports of the arm and its hand.
const PORTS: (u16, u16) = (1337, 1338);

fn address(launch: &Launch) -> String {
    launch.link.address.clone().unwrap_or_else(|| USUAL_ADDRESS.into())
}

/// Settings from the description and the launch file, both checked against the manufacturer's limits.
fn model(launch: &Launch, robot: &Robot) -> anyhow::Result<(Model, FciSettings)> {
    // Before the link is used, any error is one of the settings.
    let (model, mut settings) = FciSettings::from_robot(robot).map_err(Failure::usage)?;
    settings.lock_memory = wall_options(launch).realtime.lock_memory;
    Ok((model, settings.with(model, &launch.fci).map_err(Failure::usage)?))
}

pub fn connect(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    let (model, settings) = model(launch, robot)?;
    Ok(Box::new(FciArm::connect(&address(launch), model, settings, clock.clone())?))
}

/// Connects read-only, without the drive settings: nothing is sent.
pub fn connect_to_watch(
    launch: &Launch,
    robot: &Robot,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn ArmDriver>> {
    let (model, settings) = model(launch, robot)?;
    let settings = FciSettings { watch_only: true, ..settings };
    Ok(Box::new(FciArm::connect(&address(launch), model, settings, clock.clone())?))
}

fn at(address: &str) -> LinkAddress {
    let host = address.strip_suffix(&format!(":{}", PORTS.0)).unwrap_or(address);
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    LinkAddress { driver: "fci".into(), at: host.into() }
}

pub fn link_address(launch: &Launch, _robot: &Robot) -> anyhow::Result<LinkAddress> {
    Ok(at(&address(launch)))
}

/// A robot in a reflex connects as it is; only [`ArmDriver::recover`] clears it.
pub fn connect_faulted(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    connect(launch, robot, clock)
}

pub fn check(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    let (model, settings) = model(launch, robot)?;
    Ok(check_fci(&address(launch), model, settings, clock.clone())?)
}

/// The emulated control box of this arm.
fn options_of(model: Model, robot: &Robot) -> EmulatorOptions {
    match model {
        Model::Fer => EmulatorOptions { version: Version::V5, ..EmulatorOptions::default() },
        Model::Fr3 => EmulatorOptions {
            version: Version::V10,
            robot_model: Some(robot_model(robot)),
            ..EmulatorOptions::default()
        },
    }
}

pub fn emulate(
    launch: &Launch,
    robot: &Robot,
    plant: Box<dyn Plant>,
    _clock: &Arc<SystemClock>,
) -> anyhow::Result<Emulated> {
    let (model, _) = model(launch, robot)?;
    let options = EmulatorOptions {
        port: PORTS.0,
        hand_port: PORTS.1,
        chain: Some(Chain::from_robot(robot)?),
        ..options_of(model, robot)
    };
    let emulator = Emulator::start(plant, options)
        .with_context(|| format!("127.0.0.1:{}: is another controller emulated already?", PORTS.0))?;
    Ok(Emulated::new("address: 127.0.0.1", at("127.0.0.1"), emulator))
}

//! Franka's own interface.

use std::sync::Arc;

use anyhow::Context;

use super::Emulated;
use crate::config::{Launch, Robot};
use crate::driver::panda::driver::fci::{FciArm, FciSettings, Model, check as check_fci};
use crate::driver::panda::emulator::fci::{Emulator, EmulatorOptions};
use crate::driver::{ArmDriver, CheckReport, Plant};
use crate::kinematics::Chain;
use crate::time::SystemClock;

/// The address the maker's manual uses.
const USUAL_ADDRESS: &str = "172.16.0.2";
/// Port of the arm, and of its hand.
const PORTS: (u16, u16) = (1337, 1338);

fn address(launch: &Launch) -> String {
    launch.link.address.clone().unwrap_or_else(|| USUAL_ADDRESS.into())
}

fn model(robot: &Robot) -> anyhow::Result<(Model, FciSettings)> {
    Ok(FciSettings::from_robot(robot)?)
}

pub fn connect(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    let (model, settings) = model(robot)?;
    Ok(Box::new(FciArm::connect(&address(launch), model, settings, clock.clone())?))
}

pub fn check(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    let (model, settings) = model(robot)?;
    Ok(check_fci(&address(launch), model, settings, clock.clone())?)
}

pub fn emulate(
    _launch: &Launch,
    robot: &Robot,
    plant: Box<dyn Plant>,
    _clock: &Arc<SystemClock>,
) -> anyhow::Result<Emulated> {
    let (model, _) = model(robot)?;
    anyhow::ensure!(
        model == Model::Fer,
        "{}: the emulated controller speaks FCI version {}, this arm speaks {}; use panda",
        robot.robot.name,
        Model::Fer.version(),
        model.version()
    );
    let chain = Some(Chain::from_robot(robot)?);
    let options = EmulatorOptions { port: PORTS.0, hand_port: PORTS.1, chain, ..EmulatorOptions::default() };
    let emulator = Emulator::start(plant, options)
        .with_context(|| format!("127.0.0.1:{}: is another controller emulated already?", PORTS.0))?;
    Ok(Emulated::new("address: 127.0.0.1", emulator))
}

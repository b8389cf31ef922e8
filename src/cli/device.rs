//! Opens the launch file's teleoperation device.

use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::live::Live;
use super::station::StationSetting;
use crate::config::{DeviceKind, TeleopSetting};
use crate::operator::Operator;
use crate::teleop::{Keyboard, TeleopDevice, UdpTwist, connect_quest, open_gamepad, open_spacemouse};
use crate::time::{Clock, Timestamp};

/// Parses a device name of the command line; the error of an unknown one lists all.
pub fn kinds() -> impl TypedValueParser<Value = DeviceKind> {
    PossibleValuesParser::new(DeviceKind::ALL.map(DeviceKind::name))
        .try_map(|name| DeviceKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or("no such device"))
}

/// Sets the serial number of the command line, which only a Quest has.
pub fn choose_headset(teleop: &mut TeleopSetting, serial: Option<&str>) -> anyhow::Result<()> {
    let Some(serial) = serial else { return Ok(()) };
    anyhow::ensure!(
        teleop.device == DeviceKind::Quest,
        "--device-serial: only a Quest is chosen by serial number; the device here is {}; choose quest or leave it out",
        teleop.device.name()
    );
    teleop.serial = Some(serial.into());
    Ok(())
}

/// The device; `None` for the script, which is created for each scene. A terminal, if there is one, provides the
/// buttons of the other devices.
pub fn open(
    setting: &StationSetting,
    operator: &Operator,
    live: &Live,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Box<dyn TeleopDevice>>> {
    let teleop = &setting.launch.teleop;
    let (path, address) = (teleop.path.as_deref(), teleop.address.as_deref());
    let (mine, clock) = (operator.clone(), clock.clone());
    let device: Box<dyn TeleopDevice> = match teleop.device {
        DeviceKind::Scripted => return Ok(None),
        DeviceKind::Keyboard => return Ok(Some(Box::new(Keyboard::open(mine, true, clock)?))),
        DeviceKind::Gamepad => {
            let (pad, controls) = open_gamepad(path, mine, clock.clone())?;
            say!("{controls}");
            Box::new(pad)
        }
        DeviceKind::Spacemouse => Box::new(open_spacemouse(path, mine, clock.clone())?),
        DeviceKind::Quest => {
            Box::new(connect_quest(address, teleop.serial.as_deref(), mine, teleop.stand, clock.clone())?)
        }
        DeviceKind::Udp => Box::new(UdpTwist::open(address, mine, clock.clone())?),
        DeviceKind::Ros2 => ros2(setting)?,
        DeviceKind::Leader => leader(setting, operator, clock.clone())?,
        DeviceKind::Page => live.device(operator)?,
    };
    match Keyboard::open(operator.clone(), false, clock) {
        Ok(buttons) => Ok(Some(Box::new(WithButtons { device, _buttons: Box::new(buttons) }))),
        // No terminal: the device's own buttons and the page remain.
        Err(_) => Ok(Some(device)),
    }
}

/// A device with a terminal whose keys are its buttons.
struct WithButtons {
    device: Box<dyn TeleopDevice>,
    _buttons: Box<dyn TeleopDevice>,
}

impl TeleopDevice for WithButtons {
    fn name(&self) -> &'static str {
        self.device.name()
    }

    fn newest(&mut self, now: Timestamp) -> Result<Option<crate::teleop::Reading>, crate::teleop::DeviceError> {
        self.device.newest(now)
    }

    fn feel(&mut self, observation: &crate::observation::Observation) {
        self.device.feel(observation);
    }

    fn reset(&mut self) {
        self.device.reset();
    }
}

#[cfg(feature = "ros2")]
fn ros2(setting: &StationSetting) -> anyhow::Result<Box<dyn TeleopDevice>> {
    let settings = super::link::ros_settings("visuomotor_teleop")?;
    Ok(Box::new(crate::teleop::RosTwist::open(settings, &setting.launch.teleop)?))
}

#[cfg(not(feature = "ros2"))]
fn ros2(_setting: &StationSetting) -> anyhow::Result<Box<dyn TeleopDevice>> {
    anyhow::bail!("device ros2: this program was built without the feature `ros2`")
}

#[cfg(feature = "dynamixel")]
fn leader(
    setting: &StationSetting,
    operator: &Operator,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Box<dyn TeleopDevice>> {
    use crate::teleop::{DeviceError, Leader};
    use crate::transport::{BAUD, SerialLink};
    anyhow::ensure!(
        setting.robot.identity.name == "widowx",
        "device leader: a WidowX leads a WidowX; this launch file's arm is {}",
        setting.robot.identity.name
    );
    let port = setting.launch.teleop.path.clone().unwrap_or_else(|| "/dev/ttyDXL_leader".into());
    let port = port.to_string_lossy().into_owned();
    let link = SerialLink::open(&port, BAUD).map_err(|error| DeviceError::Unusable {
        device: "leader",
        place: port,
        cause: error.to_string(),
        fix: format!("{} (--device-path)", error.fix()),
    })?;
    Ok(Box::new(Leader::open(link, setting.robot.gripper.clone(), operator.clutch(), clock)?))
}

#[cfg(not(feature = "dynamixel"))]
fn leader(
    _setting: &StationSetting,
    _operator: &Operator,
    _clock: Arc<dyn Clock>,
) -> anyhow::Result<Box<dyn TeleopDevice>> {
    anyhow::bail!("device leader: this program was built without the feature `dynamixel`")
}

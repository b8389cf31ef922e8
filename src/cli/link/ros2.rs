//! Arms and cameras over ROS 2.
//!
//! The graph stays on this machine unless the environment says otherwise (ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET): nothing
//! here listens on a network without being asked.

use std::sync::Arc;

use anyhow::bail;

use super::{Emulated, Whereabouts};
use crate::camera::Camera;
use crate::camera::ros2::{RosCamera, RosCameraOptions};
use crate::config::{CameraCalibration, Launch, Robot};
use crate::driver::guard::Guarding;
use crate::driver::ros2::LinkOptions;
use crate::driver::sawyer::driver::SawyerOptions;
use crate::driver::widowx::driver::{XsSdkArm, XsSdkOptions, check_node};
use crate::driver::widowx::emulator::xs_sdk::XsSdk;
use crate::driver::{ArmDriver, CheckReport, Plant, jaco, panda, sawyer};
use crate::time::SystemClock;
use crate::transport::ros2::{DiscoveryRange, RosNode, RosSettings};

/// Namespace that the maker's launch files give a WidowX 250 6-DoF.
const WIDOWX: &str = "/wx250s";

/// What a robot's name stands for.
enum Arm {
    WidowX,
    Panda,
    Sawyer,
    Jaco,
}

fn arm(robot: &Robot) -> anyhow::Result<Arm> {
    Ok(match robot.robot.name.as_str() {
        "widowx" => Arm::WidowX,
        "panda" | "fr3" => Arm::Panda,
        "sawyer" => Arm::Sawyer,
        name if name.starts_with("jaco") => Arm::Jaco,
        name => bail!("{name}: no ROS 2 driver for this arm; there is one for widowx, panda, fr3, sawyer and jaco_*"),
    })
}

/// As the environment says, on this machine unless it says more.
pub fn settings(node: &str) -> anyhow::Result<RosSettings> {
    let mut settings = RosSettings::from_environment(node)?;
    if std::env::var_os("ROS_AUTOMATIC_DISCOVERY_RANGE").is_none() {
        settings.range = settings.range.min(DiscoveryRange::Localhost);
    }
    Ok(settings)
}

fn settings_of(launch: &Launch, robot: &Robot, node: &str) -> anyhow::Result<RosSettings> {
    let settings = settings(node)?.with_remap(launch.link.remap.clone());
    Ok(match (&launch.link.namespace, arm(robot)?) {
        (Some(namespace), _) => settings.with_namespace(namespace),
        (None, Arm::WidowX) => settings.with_namespace(WIDOWX),
        (None, _) => settings,
    })
}

fn options(robot: &Robot) -> LinkOptions {
    LinkOptions::for_period(std::time::Duration::from_secs_f64(1.0 / robot.robot.control_rate_hz))
}

/// What stops an arm whose controller would go on for ever, when this program is gone.
fn guarding(launch: &Launch) -> anyhow::Result<Guarding> {
    if launch.link.unguarded {
        return Ok(Guarding::Waived);
    }
    let limit = std::time::Duration::from_secs_f64(launch.guard.limit);
    Ok(match &launch.guard.address {
        None => Guarding::by_this_program(limit),
        Some(address) => {
            let token = crate::cli::guard::token(launch.guard.token_file.as_deref())?;
            Guarding::Remote { address: address.clone(), token, limit }
        }
    })
}

pub fn connect(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<Box<dyn ArmDriver>> {
    let settings = settings_of(launch, robot, "visuomotor")?;
    let clock = clock.clone();
    Ok(match arm(robot)? {
        Arm::WidowX => {
            let options = XsSdkOptions { guarding: guarding(launch)?, ..XsSdkOptions::new(settings) };
            Box::new(XsSdkArm::connect(robot, options, clock)?)
        }
        Arm::Panda => {
            let arm = panda::driver::ros2::connect(robot, settings, options(robot), clock)?;
            Box::new(arm.guarded_by(guarding(launch)?))
        }
        Arm::Sawyer => Box::new(sawyer::driver::connect(robot, settings, SawyerOptions::default(), clock)?),
        Arm::Jaco => Box::new(jaco::driver::connect(robot, settings, options(robot), clock)?),
    })
}

fn at(settings: &RosSettings) -> Whereabouts {
    let at = format!("domain {}, namespace {}", settings.domain, settings.namespace);
    Whereabouts { driver: "ros2".into(), at }
}

pub fn whereabouts(launch: &Launch, robot: &Robot) -> anyhow::Result<Whereabouts> {
    Ok(at(&settings_of(launch, robot, "visuomotor")?))
}

pub fn check(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    let settings = settings_of(launch, robot, "visuomotor_check")?;
    let clock = clock.clone();
    Ok(match arm(robot)? {
        Arm::WidowX => check_node(robot, XsSdkOptions::new(settings))?,
        Arm::Panda => panda::driver::ros2::check(robot, settings, options(robot), clock),
        Arm::Sawyer => sawyer::driver::check(robot, settings, SawyerOptions::default(), clock),
        Arm::Jaco => jaco::driver::check(robot, settings, options(robot), clock),
    })
}

pub fn emulate(
    launch: &Launch,
    robot: &Robot,
    plant: Box<dyn Plant>,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Emulated> {
    let settings = settings_of(launch, robot, "emulated_controller")?;
    let whereabouts = at(&settings);
    let place = format!("ROS 2 {}", whereabouts.at);
    let clock = clock.clone();
    let node = RosNode::start(settings)?;
    Ok(match arm(robot)? {
        Arm::WidowX => Emulated::new(place, whereabouts, (XsSdk::start(&node, robot, plant, clock)?, node)),
        Arm::Panda => {
            Emulated::new(place, whereabouts, (panda::emulator::ros2::start(&node, robot, plant, clock)?, node))
        }
        Arm::Sawyer => Emulated::new(place, whereabouts, (sawyer::emulator::start(&node, robot, plant, clock)?, node)),
        Arm::Jaco => Emulated::new(place, whereabouts, (jaco::emulator::start(&node, robot, plant, clock)?, node)),
    })
}

pub fn camera(
    launch: &Launch,
    calibration: &CameraCalibration,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Box<dyn Camera>> {
    let setting = &launch.camera[0];
    let node = RosNode::start(settings("visuomotor_images")?.with_remap(launch.link.remap.clone()))?;
    let options = RosCameraOptions::of(setting, (calibration.width, calibration.height));
    Ok(Box::new(RosCamera::open(&node, &setting.name, &setting.topic, options, clock.clone())?))
}

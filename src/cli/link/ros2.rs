//! Arms and cameras over ROS 2.
//!
//! The graph stays on this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET is set: nothing here listens on a
//! network by default.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::{Emulated, LinkAddress};
use crate::camera::Camera;
use crate::camera::ros2::{RosCamera, RosCameraOptions};
use crate::config::{CameraCalibration, Launch, Robot};
use crate::driver::guard::Guarding;
use crate::driver::ros2::LinkOptions;
use crate::driver::sawyer::driver::SawyerOptions;
use crate::driver::widowx::xs_sdk::driver::{XsSdkArm, XsSdkOptions, check_node};
use crate::driver::widowx::xs_sdk::emulator::XsSdk;
use crate::driver::{ArmDriver, CheckReport, Plant, jaco, panda, sawyer};
use crate::time::SystemClock;
use crate::transport::ros2::{DiscoveryRange, RosNode, RosSettings};

/// Namespace of a WidowX 250 6-DoF in the manufacturer's launch files.
const WIDOWX: &str = "/wx250s";

/// The arm of a robot name.
enum Arm {
    WidowX,
    Panda,
    Sawyer,
    Jaco,
}

fn arm(robot: &Robot) -> anyhow::Result<Arm> {
    Ok(match robot.identity.name.as_str() {
        "widowx" => Arm::WidowX,
        "panda" | "fr3" => Arm::Panda,
        "sawyer" => Arm::Sawyer,
        name if name.starts_with("jaco") => Arm::Jaco,
        name => bail!("{name}: no ROS 2 driver for this arm; there is one for widowx, panda, fr3, sawyer and jaco_*"),
    })
}

/// Settings from the environment; local to this machine by default.
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
        (None, Arm::Jaco) => jaco::driver::in_namespace(robot, settings),
        (None, _) => settings,
    })
}

/// A time-out of this link, or a shorter one of the launch file.
fn tightened(launch: &Launch, key: &str, asked: Option<f64>, own: Duration) -> anyhow::Result<Duration> {
    let Some(seconds) = asked else { return Ok(own) };
    let most = own.as_secs_f64();
    // NaN is refused too.
    if !(seconds > 0.0 && seconds <= most) {
        bail!(
            "link.{key} is {seconds} s in the launch file of {}, expected more than 0 and at most this link's own {most} s: it \
             may only be tightened; correct it or leave it out",
            launch.robot
        );
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// The driver's own time-outs, or shorter ones.
fn patience(launch: &Launch, own: LinkOptions) -> anyhow::Result<LinkOptions> {
    Ok(LinkOptions {
        stale: tightened(launch, "state_timeout", launch.link.state_timeout, own.stale)?,
        deadline: tightened(launch, "command_timeout", launch.link.command_timeout, own.deadline)?,
        ..own
    })
}

fn sawyer_options(launch: &Launch) -> anyhow::Result<SawyerOptions> {
    let own = SawyerOptions::default();
    Ok(SawyerOptions { link: patience(launch, own.link)?, ..own })
}

fn xs_sdk_options(launch: &Launch, settings: RosSettings) -> anyhow::Result<XsSdkOptions> {
    let own = XsSdkOptions::new(settings);
    let shorter = |key, asked, own| {
        tightened(launch, key, asked, Duration::from_secs_f64(own)).map(|duration| duration.as_secs_f64())
    };
    Ok(XsSdkOptions {
        silence: shorter("state_timeout", launch.link.state_timeout, own.silence)?,
        command_gap: shorter("command_timeout", launch.link.command_timeout, own.command_gap)?,
        ..own
    })
}

/// The guard that stops an arm whose controller would continue forever after this program has ended.
fn guarding(launch: &Launch) -> anyhow::Result<Guarding> {
    if launch.link.unguarded {
        return Ok(Guarding::Waived);
    }
    let limit = std::time::Duration::from_secs_f64(launch.guard.limit);
    Ok(match &launch.guard.address {
        None => Guarding::local(limit),
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
            let options = XsSdkOptions { guarding: guarding(launch)?, ..xs_sdk_options(launch, settings)? };
            Box::new(XsSdkArm::connect(robot, options, clock)?)
        }
        Arm::Panda => {
            let options = patience(launch, panda::ros2::driver::default_options())?;
            let arm = panda::ros2::driver::connect(robot, settings, options, clock)?;
            Box::new(arm.guarded_by(guarding(launch)?))
        }
        Arm::Sawyer => Box::new(sawyer::driver::connect(robot, settings, sawyer_options(launch)?, clock)?),
        Arm::Jaco => {
            let options = patience(launch, jaco::driver::default_options())?;
            Box::new(jaco::driver::connect(robot, settings, options, clock)?.guarded_by(guarding(launch)?))
        }
    })
}

fn at(settings: &RosSettings) -> LinkAddress {
    let at = format!("domain {}, namespace {}", settings.domain, settings.namespace);
    LinkAddress { driver: "ros2".into(), at }
}

pub fn link_address(launch: &Launch, robot: &Robot) -> anyhow::Result<LinkAddress> {
    Ok(at(&settings_of(launch, robot, "visuomotor")?))
}

pub fn check(launch: &Launch, robot: &Robot, clock: &Arc<SystemClock>) -> anyhow::Result<CheckReport> {
    let settings = settings_of(launch, robot, "visuomotor_check")?;
    let clock = clock.clone();
    Ok(match arm(robot)? {
        Arm::WidowX => check_node(robot, xs_sdk_options(launch, settings)?)?,
        Arm::Panda => {
            let options = patience(launch, panda::ros2::driver::default_options())?;
            panda::ros2::driver::check(robot, settings, options, clock)?
        }
        Arm::Sawyer => sawyer::driver::check(robot, settings, sawyer_options(launch)?, clock)?,
        Arm::Jaco => {
            let options = patience(launch, jaco::driver::default_options())?;
            jaco::driver::check(robot, settings, options, clock)?
        }
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
            Emulated::new(place, whereabouts, (panda::ros2::emulator::start(&node, robot, plant, clock)?, node))
        }
        Arm::Sawyer => Emulated::new(place, whereabouts, (sawyer::emulator::start(&node, robot, plant, clock)?, node)),
        Arm::Jaco => Emulated::new(place, whereabouts, (jaco::emulator::start(&node, robot, plant, clock)?, node)),
    })
}

pub fn cameras(
    launch: &Launch,
    calibrations: &[CameraCalibration],
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Vec<Box<dyn Camera>>> {
    let node = RosNode::start(settings("visuomotor_images")?.with_remap(launch.link.remap.clone()))?;
    let opened = launch.camera.iter().zip(calibrations).map(|(setting, calibration)| {
        let options = RosCameraOptions::of(setting, (calibration.width, calibration.height));
        let camera = RosCamera::open(&node, &setting.name, &setting.topic, options, clock.clone())?;
        Ok(Box::new(camera) as Box<dyn Camera>)
    });
    opened.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn launch() -> Launch {
        Launch::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("launch/widowx_kitchen.toml")).unwrap().0
    }

    /// Two and a half states of each arm, at least 50 ms.
    #[test]
    fn every_arm_has_its_own_time_outs_and_jacos_fit_ten_states_a_second() {
        let ms = Duration::from_millis;
        let mut launch = launch();
        assert_eq!(patience(&launch, jaco::driver::default_options()).unwrap().stale, ms(250));
        assert_eq!(patience(&launch, panda::ros2::driver::default_options()).unwrap().stale, ms(50));
        assert_eq!(sawyer_options(&launch).unwrap().link.stale, ms(50));
        let xs_sdk = xs_sdk_options(&launch, RosSettings::loopback("test", 1)).unwrap();
        assert_eq!((xs_sdk.silence, xs_sdk.command_gap), (0.05, 0.1));
        launch.link.state_timeout = Some(0.2);
        launch.link.command_timeout = Some(0.06);
        let tight = patience(&launch, jaco::driver::default_options()).unwrap();
        assert_eq!((tight.stale, tight.deadline), (ms(200), ms(60)));
    }

    /// Regression: an emulated Jaco was outside the namespace that its driver uses.
    #[test]
    fn an_emulated_arm_uses_its_drivers_namespace() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (name, namespace) in [("jaco_j2s7s300", "/j2s7s300_driver"), ("widowx", "/wx250s")] {
            let robot = Robot::load(root, name).unwrap();
            assert_eq!(settings_of(&launch(), &robot, "controller").unwrap().namespace, namespace);
        }
    }

    #[test]
    fn a_launch_file_may_only_tighten_time_outs() {
        let mut launch = launch();
        for loose in [0.051, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            launch.link.state_timeout = Some(loose);
            let error = sawyer_options(&launch).unwrap_err().to_string();
            for word in ["link.state_timeout", "0.05 s", "widowx", "tightened"] {
                assert!(error.contains(word), "{word}: {error}");
            }
            assert!(xs_sdk_options(&launch, RosSettings::loopback("test", 1)).is_err(), "{loose}");
        }
        launch.link.state_timeout = None;
        launch.link.command_timeout = Some(0.2);
        assert!(sawyer_options(&launch).unwrap_err().to_string().contains("link.command_timeout"));
    }
}

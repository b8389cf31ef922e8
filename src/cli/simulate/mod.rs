//! `visuomotor simulate`: an emulated controller in its own process, with the arm simulated in MuJoCo.
//!
//! ```text
//! evaluate  --(serial port, ROS 2, FCI)-->  emulated controller --> mechanics (MuJoCo)
//!           <--(sensor_msgs/Image)--------  camera              <------'  |
//!           --(stage socket)------------->  scene and judge     <---------'
//! ```
//!
//! Everything above the link is real: driver, timing, camera transport. Only the stage knows the object poses.

mod bare;
mod camera;
mod mechanics;
mod scene;
mod trace;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::kitchen::KitchenSetting;
use super::link::{self, LinkArguments};
use super::stage::{Server, default_socket};
use super::station::StationSetting;
use crate::config::{Launch, Robot};
use crate::observation::JointVector;
use crate::runtime::StopFlag;
use crate::simulation::{MujocoPlant, Pedestal};
use crate::time::SystemClock;

use bare::Bare;
use mechanics::SharedPlant;
use scene::{CameraFeed, Place};
use trace::Trace;

/// Polling interval of the stop flag when idle.
const NAP: Duration = Duration::from_millis(50);

/// Arguments of `visuomotor simulate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor simulate --robot widowx --driver dynamixel --port results/widowx.tty\n  visuomotor simulate --robot widowx --driver ros2 --fps 10\n  visuomotor simulate --robot panda --driver fci --trace results/joints.txt\n\nIn a second terminal:\n  visuomotor check --robot widowx --driver dynamixel --port results/widowx.tty\n  visuomotor evaluate launch/widowx_kitchen.toml --driver dynamixel --port results/widowx.tty --out results/emulated\n\nAn arm that is the launch file's stands in its kitchen, or alone where there is none, with a camera and a stage; any other stands alone. ROS 2 stays on this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET is set. Ctrl-C ends it."
)]
pub struct SimulateArguments {
    /// Arm: a folder under robots/
    #[arg(long)]
    pub robot: String,
    /// Launch file whose kitchen, camera and stage are used when its arm is this one
    #[arg(long, default_value = "launch/widowx_kitchen.toml")]
    pub launch: PathBuf,
    /// Published images per second
    #[arg(long, default_value_t = 15.0)]
    pub fps: f64,
    /// Write the joint positions into this file, 100 times a second: seconds, then positions [rad]
    #[arg(long)]
    pub trace: Option<PathBuf>,
    /// Controller to emulate, and its address; `--port` is the symbolic link to create to the serial port
    #[command(flatten)]
    pub link: LinkArguments,
}

/// Runs until it is stopped.
pub fn simulate(arguments: &SimulateArguments) -> anyhow::Result<u8> {
    anyhow::ensure!(
        arguments.fps > 0.0 && arguments.fps <= 120.0,
        "--fps: found {}, expected more than 0 and at most 120; 15 is a good choice",
        arguments.fps
    );
    anyhow::ensure!(arguments.link.driver.is_some(), "--driver is missing: dynamixel, ros2 or fci");
    let stop = StopFlag::on_signals()?;
    let clock = Arc::new(SystemClock::new());
    let (mut launch, root) = Launch::load(&arguments.launch)?;
    arguments.link.apply(&mut launch);
    if launch.robot == arguments.robot {
        return match launch.scene {
            Some(_) => in_kitchen(arguments, &launch, &clock, &stop),
            None => at_station(arguments, &launch, &clock, &stop),
        };
    }
    let robot = Robot::load(&root, &arguments.robot)?;
    let pedestal = Pedestal::build(&robot, &JointVector::from_slice(&robot.identity.home))?;
    let (plant, _) = MujocoPlant::on_pedestal(&robot, &pedestal)?;
    let plant = SharedPlant::new(plant);
    let controller = link::emulate(&launch, &robot, Box::new(plant.clone()), &clock)?;
    let _trace = trace(arguments, &plant, &clock)?;
    say!("{}\nready; Ctrl-C ends it", controller.place);
    while !stop.is_raised() {
        std::thread::sleep(NAP);
    }
    Ok(0)
}

/// The launch file's arm without a scene, seen by its camera.
fn at_station(
    arguments: &SimulateArguments,
    launch: &Launch,
    clock: &Arc<SystemClock>,
    stop: &StopFlag,
) -> anyhow::Result<u8> {
    let station = StationSetting::load(&arguments.launch)?;
    let server = Server::bind(&stage(arguments, launch))?;
    let robot = &station.robot;
    let pedestal = Pedestal::seen_by(robot, &JointVector::from_slice(&robot.identity.home), &station.cameras[0])?;
    let (plant, snapshots) = MujocoPlant::on_pedestal(robot, &pedestal)?;
    let plant = SharedPlant::new(plant.stamped_by(clock.clone()));
    let controller = link::emulate(launch, robot, Box::new(plant.clone()), clock)?;
    let _trace = trace(arguments, &plant, clock)?;
    let (to_camera, feed) = std::sync::mpsc::channel();
    // Its receiver is alive.
    let _ = to_camera.send(CameraFeed { place: Place::Pedestal(Box::new(pedestal)), snapshots });
    let camera = camera::Publisher::start(&arguments.launch, arguments.fps, feed, clock)?;
    let place = stage(arguments, launch);
    say!("{}\n{}\nstage: {}\nready; Ctrl-C ends it", controller.place, camera.place, place.display());
    server.serve(&mut Bare { plays: controller.address.clone() }, stop)?;
    Ok(0)
}

/// The joint trace, if requested.
fn trace(
    arguments: &SimulateArguments,
    plant: &SharedPlant,
    clock: &Arc<SystemClock>,
) -> anyhow::Result<Option<Trace>> {
    arguments.trace.as_deref().map(|file| Trace::start(file, plant.clone(), clock.clone())).transpose()
}

/// The stage's socket.
fn stage(arguments: &SimulateArguments, launch: &Launch) -> PathBuf {
    arguments.link.stage.as_ref().map_or_else(|| default_socket(&launch.robot), PathBuf::from)
}

/// The launch file's arm, with its scene, camera and stage.
fn in_kitchen(
    arguments: &SimulateArguments,
    launch: &Launch,
    clock: &Arc<SystemClock>,
    stop: &StopFlag,
) -> anyhow::Result<u8> {
    let setting = KitchenSetting::load(&arguments.launch)?;
    let path = stage(arguments, launch);
    let server = Server::bind(&path)?;
    let robot = setting.station.robot.clone();
    let (mut scene, plant, feed) = scene::Scene::empty(setting, clock)?;
    let controller = link::emulate(launch, &robot, Box::new(plant.clone()), clock)?;
    let _trace = trace(arguments, &plant, clock)?;
    scene.plays = Some(controller.address.clone());
    let camera = camera::Publisher::start(&arguments.launch, arguments.fps, feed, clock)?;
    say!("{}\n{}\nstage: {}\nready; Ctrl-C ends it", controller.place, camera.place, path.display());
    server.serve(&mut scene, stop)?;
    Ok(0)
}

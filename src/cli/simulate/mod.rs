//! `visuomotor simulate`: an emulated controller in its own process, with MuJoCo as the arm.
//!
//! ```text
//! evaluate  --(serial port, ROS 2, FCI)-->  emulated controller --> mechanics (MuJoCo)
//!           <--(sensor_msgs/Image)--------  camera              <------'  |
//!           --(stage socket)------------->  scene and judge     <---------'
//! ```
//!
//! Everything above the wire is the real thing: driver, timing, camera transport. Only the stage knows where objects are.

mod camera;
mod mechanics;
mod scene;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;

use super::link::DriverName;
use super::setting::Setting;
use super::stage::{Server, default_socket, runtime_folder};
use crate::config::{DriverKind, Launch, Robot, project_root};
use crate::runtime::StopFlag;
use crate::simulation::MujocoPlant;
use crate::time::SystemClock;

use mechanics::SharedPlant;

/// Arguments of `visuomotor simulate`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  visuomotor simulate --robot widowx --driver dynamixel\n  visuomotor simulate --robot widowx --driver ros2 --fps 10\n  visuomotor simulate --robot panda --driver fci --launch launch/widowx_kitchen.toml\n\nIn a second terminal, with the port that is printed:\n  visuomotor check --robot widowx --driver dynamixel --port PORT\n  visuomotor evaluate launch/widowx_kitchen.toml --driver dynamixel --port PORT --out results/emulated\n\nROS 2 stays on this machine unless ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET is set. Ctrl-C ends it."
)]
pub struct SimulateArguments {
    /// Arm: a folder under robots/
    #[arg(long)]
    pub robot: String,
    /// Which of its controllers to play
    #[arg(long)]
    pub driver: DriverName,
    /// Launch file whose kitchen and camera are used when its arm is this one
    #[arg(long, default_value = "launch/widowx_kitchen.toml")]
    pub launch: PathBuf,
    /// Pictures per second that are published
    #[arg(long, default_value_t = 15.0)]
    pub fps: f64,
    /// Namespace of the arm's ROS 2 topics, instead of the maker's
    #[arg(long)]
    pub namespace: Option<String>,
    /// Where to put a link to the serial port that is made
    #[arg(long)]
    pub port: Option<PathBuf>,
    /// Socket of the stage
    #[arg(long)]
    pub stage: Option<PathBuf>,
}

/// Runs until it is stopped.
pub fn simulate(arguments: &SimulateArguments) -> anyhow::Result<u8> {
    anyhow::ensure!(
        arguments.fps > 0.0 && arguments.fps <= 120.0,
        "--fps: found {}, expected more than 0 and at most 120; 15 is a good choice",
        arguments.fps
    );
    let driver = DriverKind::from(arguments.driver);
    if driver == DriverKind::Mujoco {
        bail!("--driver mujoco is the simulator inside the other commands; choose dynamixel, ros2 or fci");
    }
    let stop = StopFlag::on_signals()?;
    let clock = Arc::new(SystemClock::new());
    let (launch, root) = Launch::load(&arguments.launch)?;
    let robot = Robot::load(&root, &arguments.robot)?;
    if launch.robot != arguments.robot {
        return bare(arguments, driver, &robot, &clock, &stop);
    }
    let setting = Setting::load(&arguments.launch)?;
    let (mut scene, plant, feed) = scene::Scene::empty(setting, &clock)?;
    let controller = controller(arguments, driver, &robot, plant, &clock)?;
    say!("{}", controller.place);
    let _camera = camera::Publisher::start(&arguments.launch, arguments.fps, feed, &clock)?;
    let path = arguments.stage.clone().unwrap_or_else(|| default_socket(&arguments.robot));
    let server = Server::bind(&path)?;
    say!("stage: {}", path.display());
    say!("ready; Ctrl-C ends it");
    server.serve(&mut scene, &stop)?;
    drop(controller);
    Ok(0)
}

/// An arm on a pedestal, without scene and camera.
fn bare(
    arguments: &SimulateArguments,
    driver: DriverKind,
    robot: &Robot,
    clock: &Arc<SystemClock>,
    stop: &StopFlag,
) -> anyhow::Result<u8> {
    let plant = SharedPlant::new(MujocoPlant::on_pedestal(robot)?);
    let controller = controller(arguments, driver, robot, plant, clock)?;
    say!("{}", controller.place);
    say!("ready; Ctrl-C ends it");
    while !stop.is_raised() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(0)
}

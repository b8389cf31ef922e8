//! An emulated arm of this process with a count of its commands, and a camera's images, for `visuomotor run` as another process.

use std::any::Any;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use visuomotor::config::{Launch, Robot};
use visuomotor::driver::panda::fci::emulator::{Emulator, EmulatorOptions};
use visuomotor::driver::widowx::dynamixel::emulator::{BusEmulator, BusServer};
use visuomotor::driver::widowx::xs_sdk::emulator::XsSdk;
use visuomotor::driver::{Orders, Plant, PointPlant, jaco, panda, sawyer};
use visuomotor::kinematics::Chain;
use visuomotor::observation::JointVector;
use visuomotor::time::SystemClock;
use visuomotor::transport::ros2::messages::sensor::Image;
use visuomotor::transport::ros2::{Qos, RosNode, RosSettings};

use crate::program::root;
use crate::ros2::{domain, node};

/// Time between two images.
const IMAGES: Duration = Duration::from_millis(66);
/// Size of the station's images \[pixels\].
const SIZE: (u32, u32) = (640, 480);

/// Which emulated controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Servos,
    XsSdk,
    Fci,
    Ros2Control,
    Sawyer,
    Jaco,
}

impl Link {
    /// Its launch file under `launch/stations`.
    pub fn station(self) -> &'static str {
        match self {
            Link::Servos => "widowx_servos",
            Link::XsSdk => "widowx_xs_sdk",
            Link::Fci => "panda_fci",
            Link::Ros2Control => "panda_ros2",
            Link::Sawyer => "sawyer",
            Link::Jaco => "jaco",
        }
    }
}

/// An emulated arm and a camera; both end with this value.
pub struct Bench {
    pub link: Link,
    pub orders: Orders,
    domain: u16,
    place: Vec<String>,
    _arm: Box<dyn Any>,
    _camera: Images,
}

impl Bench {
    /// An arm at its home posture, without torque if the link allows it.
    pub fn start(link: Link) -> Self {
        let domain = domain();
        let (launch, _) = Launch::load(&launch(link)).unwrap();
        let robot = Robot::load(root(), &launch.robot).unwrap();
        let camera = Images::start(&launch.camera[0].topic, domain);
        let (arm, orders, place) = emulate(link, &robot, domain);
        Self { link, orders, domain, place, _arm: arm, _camera: camera }
    }

    /// `visuomotor run` of this station with random actions, as on a real arm: nothing shows that it is emulated.
    pub fn run(&self, folder: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_visuomotor"));
        command.current_dir(folder).env("ROS_DOMAIN_ID", self.domain.to_string()).stdin(Stdio::null());
        command.arg("run").arg(launch(self.link)).args(["--policy", "random", "--stage", "person"]);
        command.args(&self.place).args(more);
        command
    }
}

fn launch(link: Link) -> std::path::PathBuf {
    root().join(format!("launch/stations/{}.toml", link.station()))
}

/// The controller, its commands so far, and its address.
fn emulate(link: Link, robot: &Robot, domain: u16) -> (Box<dyn Any>, Orders, Vec<String>) {
    let mut plant = PointPlant::at(JointVector::from_slice(&robot.identity.home));
    // Slower than twice any joint's limit, beyond which a reading is refused.
    plant.speed = 1.2;
    let plant: Box<dyn Plant> = Box::new(plant);
    let clock = Arc::new(SystemClock::new());
    let nowhere = Vec::new();
    match link {
        Link::Servos => {
            let bus = BusEmulator::new(robot, plant).unwrap();
            let orders = bus.orders().clone();
            let server = BusServer::start(bus, None).unwrap();
            let place = vec!["--port".into(), server.path().to_string()];
            (Box::new(server), orders, place)
        }
        Link::XsSdk => {
            let node = RosNode::start(RosSettings::loopback("xs_sdk", domain).with_namespace("wx250s")).unwrap();
            let arm = XsSdk::start(&node, robot, plant, clock).unwrap();
            let orders = arm.orders().clone();
            (Box::new((arm, node)), orders, nowhere)
        }
        Link::Fci => {
            let chain = Some(Chain::from_robot(robot).unwrap());
            // The hand is at the usual port of the arm's host.
            let options = EmulatorOptions { hand_port: panda::fci::wire::PORT + 1, chain, ..Default::default() };
            let arm = Emulator::start(plant, options).unwrap();
            let place = vec!["--address".into(), arm.address().to_string()];
            let orders = arm.orders().clone();
            (Box::new(arm), orders, place)
        }
        Link::Ros2Control => {
            let node = node("stack", domain);
            let arm = panda::ros2::emulator::start(&node, robot, plant, clock).unwrap();
            let orders = arm.orders().clone();
            (Box::new((arm, node)), orders, nowhere)
        }
        Link::Sawyer => {
            let node = node("intera", domain);
            let arm = sawyer::emulator::start(&node, robot, plant, clock).unwrap();
            let orders = arm.orders().clone();
            (Box::new((arm, node)), orders, nowhere)
        }
        Link::Jaco => {
            let namespace = jaco::wire::namespace(jaco::limits::kind(robot));
            let node = RosNode::start(RosSettings::loopback("kinova", domain).with_namespace(&namespace)).unwrap();
            let arm = jaco::emulator::start(&node, robot, plant, clock).unwrap();
            let orders = arm.orders().clone();
            (Box::new((arm, node)), orders, nowhere)
        }
    }
}

/// Publishes images that differ, like a camera's.
struct Images {
    quit: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Images {
    fn start(topic: &str, domain: u16) -> Self {
        let node = node("camera", domain);
        let publisher = node.publisher::<Image>(topic, Qos::Sensor).unwrap();
        let quit = Arc::new(AtomicBool::new(false));
        let ended = quit.clone();
        let publish = move || {
            let (_node, pattern) = (node, pattern());
            for count in 0_u64.. {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                publisher.publish(image(&pattern, count)).unwrap();
                std::thread::sleep(IMAGES);
            }
        };
        Self { quit, thread: Some(std::thread::spawn(publish)) }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A pattern with enough contrast to be an image.
fn pattern() -> Vec<u8> {
    (0..(3 * SIZE.0 * SIZE.1) as usize).map(|byte| (byte / 7 % 251) as u8).collect()
}

/// The pattern with the image's number in its first pixels, stamped with this machine's date.
fn image(pattern: &[u8], count: u64) -> Image {
    let (width, height) = SIZE;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut image =
        Image { height, width, encoding: "rgb8".into(), step: 3 * width, data: pattern.to_vec(), ..Image::default() };
    image.data[..8].copy_from_slice(&count.to_le_bytes());
    image.header.stamp.sec = since.as_secs() as i32;
    image.header.stamp.nanosec = since.subsec_nanos();
    image
}

//! The arms and links of the matrix, and how each is emulated and connected.

use std::path::Path;
use std::sync::Arc;

use visuomotor::action::ControlMode;
use visuomotor::cli::link;
use visuomotor::config::{ControlLaw, DriverKind, Launch, Robot};
use visuomotor::driver::ArmDriver;
use visuomotor::driver::panda::fci::emulator::{Emulator, EmulatorOptions};
use visuomotor::kinematics::Chain;
use visuomotor::observation::JointVector;
use visuomotor::simulation::{MujocoPlant, Pedestal};
use visuomotor::time::SystemClock;

use super::trace::Watched;

/// An arm on a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    WidowxDynamixel,
    WidowxXsSdk,
    PandaFci,
    PandaRos2Control,
    Sawyer,
    Jaco,
}

impl Link {
    pub const ALL: [Link; 6] =
        [Link::WidowxDynamixel, Link::WidowxXsSdk, Link::PandaFci, Link::PandaRos2Control, Link::Sawyer, Link::Jaco];

    pub fn name(self) -> &'static str {
        match self {
            Link::WidowxDynamixel => "widowx-dynamixel",
            Link::WidowxXsSdk => "widowx-xs_sdk",
            Link::PandaFci => "panda-fci",
            Link::PandaRos2Control => "panda-ros2_control",
            Link::Sawyer => "sawyer",
            Link::Jaco => "jaco",
        }
    }

    pub fn named(name: &str) -> Link {
        Self::ALL.into_iter().find(|link| link.name() == name).unwrap_or_else(|| panic!("no link {name}"))
    }

    /// Modes the link's driver takes commands in.
    pub fn modes(self) -> &'static [ControlMode] {
        use ControlMode::{Position, Torque, Velocity};
        match self {
            Link::WidowxDynamixel => &[Position],
            Link::WidowxXsSdk => &[Position, Velocity],
            Link::PandaFci | Link::PandaRos2Control | Link::Sawyer => &[Position, Velocity, Torque],
            Link::Jaco => &[Velocity, Torque],
        }
    }

    pub fn robot(self) -> Robot {
        let name = match self {
            Link::WidowxDynamixel | Link::WidowxXsSdk => "widowx",
            Link::PandaFci | Link::PandaRos2Control => "panda",
            Link::Sawyer => "sawyer",
            Link::Jaco => "jaco_j2s7s300",
        };
        let mut robot = Robot::load(root(), name).expect("the description is in the project");
        if self == Link::PandaRos2Control {
            // Messages at 1 kHz are more than two cores carry beside the arm's physics.
            robot.identity.control_rate_hz = 100.0;
        }
        robot
    }

    /// The law that makes commands of this mode.
    pub fn law(self, mode: ControlMode) -> ControlLaw {
        match mode {
            // An arm with its own servo accepts straight lines; one that follows each position does not.
            ControlMode::Position if !self.robot().streams_positions() => ControlLaw::Interpolate,
            ControlMode::Position => ControlLaw::JerkLimited,
            ControlMode::Velocity => ControlLaw::Velocity,
            ControlMode::Torque => ControlLaw::JointImpedance,
        }
    }

    /// A launch file's settings for this link; `port` is where the serial port's link is created.
    pub fn launch(self, mode: ControlMode, port: &Path) -> Launch {
        let (mut launch, _) = Launch::load(&root().join("launch/widowx_kitchen.toml")).expect("a shipped launch file");
        launch.robot = self.robot().identity.name;
        launch.driver = match self {
            Link::WidowxDynamixel => DriverKind::Dynamixel,
            Link::PandaFci => DriverKind::Fci,
            _ => DriverKind::Ros2,
        };
        launch.link.port = (self == Link::WidowxDynamixel).then(|| port.to_path_buf());
        launch.link.address = (self == Link::PandaFci).then(|| "127.0.0.1".into());
        launch.control.law = self.law(mode);
        // A watchdog on the controller's side, in the rows that have one.
        launch.guard.address = std::env::var(super::processes::GUARD).ok();
        launch
    }

    /// Does the arm's controller execute the last command of this mode forever, or let the arm coast?
    pub fn is_endless(self, mode: ControlMode) -> bool {
        match self {
            Link::WidowxXsSdk | Link::PandaRos2Control => mode != ControlMode::Position,
            // Of inactivity type 1, its default.
            Link::Jaco => mode == ControlMode::Torque,
            _ => false,
        }
    }

    /// Does the arm's controller stop by its own time-out when it receives nothing?
    pub fn times_out(self, mode: ControlMode) -> bool {
        !matches!(self, Link::WidowxXsSdk | Link::PandaRos2Control) && !self.is_endless(mode)
    }

    /// Joints of the arm.
    pub fn joints(self) -> usize {
        self.robot().joint.len()
    }

    /// Emulates the controller over MuJoCo; the arm's motion is written to `trace`.
    pub fn emulate(
        self,
        port: &Path,
        trace: &Path,
        clock: &Arc<SystemClock>,
    ) -> anyhow::Result<Box<dyn std::any::Any>> {
        let robot = self.robot();
        let pedestal = Pedestal::build(&robot, &JointVector::from_slice(&robot.identity.home))?;
        let (plant, _) = MujocoPlant::on_pedestal(&robot, &pedestal)?;
        let plant = Box::new(Watched::new(plant, trace)?);
        if self == Link::PandaFci {
            // It waits a little for replies of a busy computer, so that only intended losses happen.
            let options = EmulatorOptions {
                port: 1337,
                hand_port: 1338,
                chain: Some(Chain::from_robot(&robot)?),
                patience: std::time::Duration::from_millis(8),
                ..EmulatorOptions::default()
            };
            return Ok(Box::new(Emulator::start(plant, options)?));
        }
        Ok(Box::new(link::emulate(&self.launch(ControlMode::Position, port), &robot, plant, clock)?))
    }

    /// Connects the driver as the program does.
    pub fn connect(
        self,
        mode: ControlMode,
        port: &Path,
        clock: &Arc<SystemClock>,
    ) -> anyhow::Result<Box<dyn ArmDriver>> {
        link::connect(&self.launch(mode, port), &self.robot(), clock)
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn mode_named(name: &str) -> ControlMode {
    match name {
        "position" => ControlMode::Position,
        "velocity" => ControlMode::Velocity,
        "torque" => ControlMode::Torque,
        other => panic!("no mode {other}"),
    }
}

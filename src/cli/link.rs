//! Which arm, over what: the arguments that `evaluate`, `check` and `simulate` share, and the driver they name.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{DriverKind, Launch};

/// Where the arm is, instead of what the launch file says.
#[derive(Args, Debug, Default, Clone)]
pub struct LinkArguments {
    /// What stands behind the arm, instead of the launch file's
    #[arg(long)]
    pub driver: Option<DriverName>,
    /// Serial port of `dynamixel`
    #[arg(long)]
    pub port: Option<PathBuf>,
    /// Address of `fci`
    #[arg(long)]
    pub address: Option<String>,
    /// Namespace of the arm's `ros2` topics
    #[arg(long)]
    pub namespace: Option<String>,
    /// Who lays the scene and judges: a socket of `visuomotor simulate`, or `person` at this terminal
    #[arg(long)]
    pub stage: Option<String>,
}

/// What stands behind the arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// The simulator in this process
    Mujoco,
    /// Dynamixel servos on a serial bus (WidowX)
    Dynamixel,
    /// The maker's ROS 2 interface
    Ros2,
    /// Franka's own interface (Panda, FR3)
    Fci,
}

impl From<DriverName> for DriverKind {
    fn from(name: DriverName) -> Self {
        match name {
            DriverName::Mujoco => DriverKind::Mujoco,
            DriverName::Dynamixel => DriverKind::Dynamixel,
            DriverName::Ros2 => DriverKind::Ros2,
            DriverName::Fci => DriverKind::Fci,
        }
    }
}

impl LinkArguments {
    /// Puts what is given here over what the launch file says.
    pub fn apply(&self, launch: &mut Launch) {
        if let Some(driver) = self.driver {
            launch.driver = driver.into();
        }
        let link = &mut launch.link;
        link.port = self.port.clone().or(link.port.take());
        link.address = self.address.clone().or(link.address.take());
        link.namespace = self.namespace.clone().or(link.namespace.take());
    }
}

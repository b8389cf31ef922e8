//! Driver and link of the arm.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// Driver behind the arm trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverKind {
    /// The in-process simulator.
    Mujoco,
    /// Dynamixel servos on a serial bus (WidowX).
    Dynamixel,
    /// The manufacturer's ROS 2 interface, or ROS 1 behind a bridge.
    Ros2,
    /// Franka Control Interface, 1 kHz (Panda, FR3).
    Fci,
}

impl DriverKind {
    /// Name in launch files.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Mujoco => "mujoco",
            DriverKind::Dynamixel => "dynamixel",
            DriverKind::Ros2 => "ros2",
            DriverKind::Fci => "fci",
        }
    }
}

impl std::fmt::Display for DriverKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Link to the arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSetting {
    /// Serial port of `dynamixel`; default `/dev/ttyDXL` (the manufacturer's udev rule).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PathBuf>,
    /// Address of `fci`; default 172.16.0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Namespace of the arm's `ros2` topics; default the manufacturer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `ros2`: remapping of our names to this robot's, `/joint_states = "/arm/joint_states"`.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub remap: std::collections::BTreeMap<String, String>,
    /// `ros2`: silence of the arm's state after which it is stopped \[s\]; default, and at most, the driver's own (two and a
    /// half states, at least 0.05 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_timeout: Option<f64>,
    /// `ros2`: silence of the control loop after which the arm is ramped to a hold \[s\]; default, and at most, the driver's
    /// own (0.1 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_timeout: Option<f64>,
    /// Move an arm over `ros2` without a guard. Only on the command line, never in a file.
    #[serde(skip)]
    pub unguarded: bool,
}

impl LinkSetting {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        for (key, timeout) in [("state_timeout", self.state_timeout), ("command_timeout", self.command_timeout)] {
            if timeout.is_some_and(|timeout| !(timeout > 0.0 && timeout <= 1.0)) {
                return Err(ConfigError::unfit(
                    path,
                    format!("link.{key}"),
                    timeout.unwrap_or_default(),
                    "more than 0 and at most the link's own",
                    "leave it out: it may only be tightened",
                ));
            }
        }
        Ok(())
    }
}

//! `launch/<job>.toml`: which parts run together. Nothing here that belongs to an arm or a camera.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, digest, load, project_root};
use crate::action::{ActionBounds, ControlMode};

/// A job: arm, camera, scene, policy, protocol. Paths are relative to the project folder (the one that holds `robots/`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Arm: a folder under `robots/`.
    pub robot: String,
    /// What stands behind the arm trait.
    pub driver: DriverKind,
    /// Where the arm is; every key has a default that fits the arm as its maker ships it.
    #[serde(default)]
    pub link: LinkSetting,
    /// How time passes.
    pub clock: ClockKind,
    /// Cameras; the first is the policy's.
    pub camera: Vec<CameraSetting>,
    /// The simulated kitchen.
    pub scene: SceneSetting,
    /// Who decides.
    pub policy: PolicySetting,
    /// How actions become commands; without the table as the shipped policies were evaluated.
    #[serde(default)]
    pub control: ControlSetting,
    /// Rules of an evaluation.
    pub protocol: ProtocolSetting,
}

/// What stands behind the arm trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverKind {
    /// The simulator in this process.
    Mujoco,
    /// Dynamixel servos on a serial bus (WidowX).
    Dynamixel,
    /// The maker's ROS 2 interface, or ROS 1 behind a bridge.
    Ros2,
    /// Franka's own 1 kHz interface (Panda, FR3).
    Fci,
}

impl DriverKind {
    /// As in launch files.
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

/// Where the arm is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSetting {
    /// Serial port of `dynamixel`; default `/dev/ttyDXL` (the maker's udev rule).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PathBuf>,
    /// Address of `fci`; default 172.16.0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Namespace of the arm's `ros2` topics; default the maker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `ros2` names of ours and what they are on this robot, `/joint_states = "/arm/joint_states"`.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub remap: std::collections::BTreeMap<String, String>,
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Both loops on one thread, clock moved by hand, as fast as it goes, repeatable.
    Lockstep,
    /// Real threads in real time.
    Wall,
}

/// One camera.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraSetting {
    /// Name, as recorded.
    pub name: String,
    /// Where its images come from; default the simulator for a simulated arm and ROS 2 for any other.
    #[serde(default)]
    pub source: CameraSource,
    /// ROS 2 image topic; default the RealSense wrapper's.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Calibration file.
    pub calibration: PathBuf,
    /// Size the simulated camera renders at.
    #[serde(default)]
    pub rendering: Rendering,
    /// Oldest image a decision may use \[s\].
    #[serde(default = "default_max_age")]
    pub max_age: f64,
}

/// Where a camera's images come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameraSource {
    /// `mujoco` for the driver `mujoco`, `ros2` for any other.
    #[default]
    Auto,
    /// The simulated kitchen.
    Mujoco,
    /// A `sensor_msgs/Image` topic.
    Ros2,
}

fn default_topic() -> String {
    "/camera/camera/color/image_raw".into()
}

fn default_max_age() -> f64 {
    0.3
}

/// Size the simulated camera renders at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// At the camera's size, as the real one delivers; the policy's preprocessing makes it small.
    #[default]
    Camera,
    /// At the policy's size: faster, no preprocessing.
    Policy,
}

/// The simulated scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneSetting {
    /// Scene file.
    pub file: PathBuf,
    /// Vary colors, light and camera pose from the seed (training wants this; a trial repeats its own).
    #[serde(default)]
    pub vary_appearance: bool,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySetting {
    /// Folder of a trained policy, or `expert`, or `random`.
    pub source: String,
    /// Decision rate \[Hz\].
    pub rate_hz: f64,
    /// How the gripper value becomes a gripper target.
    pub gripper: GripperPolicy,
    /// Bounds asked actions are clipped to.
    #[serde(default = "bridge_bounds")]
    pub bounds: ActionBounds,
}

fn bridge_bounds() -> ActionBounds {
    ActionBounds::BRIDGE
}

/// How the policy's gripper value becomes a gripper target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum GripperPolicy {
    /// Sent as it is.
    Direct,
    /// Bridge's: closed below one half, open above; toggles after `steps` decisions that differ from the present target.
    Sticky {
        /// Decisions in a row that must ask for the other target.
        steps: u32,
    },
    /// V-PTR's: on the normalized value (-1 closed, +1 open), at most `closing` down and `opening` up per decision.
    RateLimit {
        /// Largest decrease per decision, normalized units (V-PTR: 0.3).
        closing: f64,
        /// Largest increase per decision, normalized units (V-PTR: 1.0).
        opening: f64,
    },
}

/// How actions become commands at control rate. What is left out fits the arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSetting {
    /// The law.
    pub law: ControlLaw,
    /// Least length of a jerk-limited motion to an action's target, in policy periods: at 1 the arm is there, at rest, when
    /// the next action comes; longer is smoother and later.
    pub horizon: f64,
    /// Joint stiffness of the impedance laws, chain order \[Nm/rad\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stiffness: Option<Vec<f64>>,
    /// Joint damping of the impedance laws, chain order \[Nm s/rad\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damping: Option<Vec<f64>>,
    /// Tool stiffness of `cartesian_impedance` along \[N/m\] and about \[Nm/rad\] the base axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_stiffness: Option<[f64; 6]>,
    /// Tool damping of `cartesian_impedance` along \[N s/m\] and about \[Nm s/rad\] the base axes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_damping: Option<[f64; 6]>,
}

impl ControlSetting {
    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if !(self.horizon >= 1.0 && self.horizon <= 10.0) {
            return Err(ConfigError::unfit(
                path,
                "control.horizon",
                self.horizon,
                "1 to 10 policy periods",
                "1.5 is smooth and half a period late",
            ));
        }
        let lists: [(&str, &[f64]); 4] = [
            ("stiffness", self.stiffness.as_deref().unwrap_or_default()),
            ("damping", self.damping.as_deref().unwrap_or_default()),
            ("tool_stiffness", self.tool_stiffness.as_ref().map_or(&[], |values| values)),
            ("tool_damping", self.tool_damping.as_ref().map_or(&[], |values| values)),
        ];
        for (key, list) in lists {
            for (i, value) in list.iter().enumerate() {
                // Written so that NaN fails it.
                if !(*value > 0.0 && *value <= 1e5) {
                    return Err(ConfigError::unfit(
                        path,
                        format!("control.{key}[{i}]"),
                        value,
                        "more than 0 and at most 100000",
                        "leave the key out for what fits the arm",
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Default for ControlSetting {
    fn default() -> Self {
        Self {
            law: ControlLaw::Interpolate,
            horizon: 1.5,
            stiffness: None,
            damping: None,
            tool_stiffness: None,
            tool_damping: None,
        }
    }
}

/// What is done between two actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlLaw {
    /// Joint positions on a straight line at constant speed over the policy period: Bridge's.
    #[default]
    Interpolate,
    /// Joint positions within the arm's velocity, acceleration and jerk limits.
    JerkLimited,
    /// Joint velocities that follow the target pose.
    Velocity,
    /// The policy's own joint torques.
    Torque,
    /// Joint torques: each joint a spring.
    JointImpedance,
    /// Joint torques: the tool on a spring.
    CartesianImpedance,
}

impl ControlLaw {
    /// The mode of the commands it makes, which the arm is activated with.
    pub fn mode(self) -> ControlMode {
        match self {
            ControlLaw::Interpolate | ControlLaw::JerkLimited => ControlMode::Position,
            ControlLaw::Velocity => ControlMode::Velocity,
            ControlLaw::Torque | ControlLaw::JointImpedance | ControlLaw::CartesianImpedance => ControlMode::Torque,
        }
    }
}

/// Rules of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolSetting {
    /// Length of a trial \[s\].
    pub trial_seconds: f64,
    /// Tasks, names as in the scene file.
    pub tasks: Vec<String>,
}

impl Launch {
    /// Reads and checks a launch file; answers it with its project folder.
    pub fn load(path: &Path) -> Result<(Self, PathBuf), ConfigError> {
        let launch: Launch = load(path)?;
        launch.check(path)?;
        Ok((launch, project_root(path)))
    }

    /// The resolved settings as TOML, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# settings could not be written: {error}\n"))
    }

    /// SHA-256 of the resolved settings.
    pub fn digest(&self) -> String {
        digest(self.to_toml().as_bytes())
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if self.camera.is_empty() {
            return Err(ConfigError::unfit(path, "camera", "none", "at least one", "add a [[camera]] table"));
        }
        for (i, camera) in self.camera.iter().enumerate() {
            if !(camera.max_age > 0.0 && camera.max_age <= 10.0) {
                return Err(ConfigError::unfit(
                    path,
                    format!("camera[{i}].max_age"),
                    camera.max_age,
                    "more than 0 and at most 10 s",
                    "two policy periods are a good choice",
                ));
            }
        }
        if !(self.policy.rate_hz > 0.0 && self.policy.rate_hz <= 100.0) {
            return Err(ConfigError::unfit(
                path,
                "policy.rate_hz",
                self.policy.rate_hz,
                "more than 0 and at most 100 Hz",
                "Bridge policies run at 5 Hz",
            ));
        }
        self.control.check(path)?;
        if !(self.protocol.trial_seconds > 0.0 && self.protocol.trial_seconds <= 3600.0) {
            return Err(ConfigError::unfit(
                path,
                "protocol.trial_seconds",
                self.protocol.trial_seconds,
                "more than 0 and at most 3600 s",
                "the V-PTR protocol uses 60 s",
            ));
        }
        if self.protocol.tasks.is_empty() {
            return Err(ConfigError::unfit(path, "protocol.tasks", "none", "at least one task", "name a task"));
        }
        for i in 0..7 {
            if !(self.policy.bounds.low[i] < self.policy.bounds.high[i]) {
                return Err(ConfigError::unfit(
                    path,
                    format!("policy.bounds.low[{i}]"),
                    self.policy.bounds.low[i],
                    format!("less than high = {}", self.policy.bounds.high[i]),
                    "Bridge's are +-0.05 m, +-0.25 rad, 0..1",
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str) -> Result<ControlSetting, String> {
        let setting: ControlSetting = toml::from_str(text).map_err(|error| error.to_string())?;
        setting.check(Path::new("launch/test.toml")).map_err(|error| error.to_string())?;
        Ok(setting)
    }

    #[test]
    fn an_empty_control_table_is_the_law_of_the_shipped_policies() {
        let setting = control("").unwrap();
        assert_eq!((setting.law, setting.law.mode()), (ControlLaw::Interpolate, ControlMode::Position));
        let torque = control("law = \"joint_impedance\"\nstiffness = [600.0, 50.0]").unwrap();
        assert_eq!((torque.law.mode(), torque.stiffness), (ControlMode::Torque, Some(vec![600.0, 50.0])));
    }

    #[test]
    fn unknown_keys_laws_and_numbers_out_of_range_are_refused_by_name() {
        for (text, named) in [
            ("gain = 1.0", "gain"),
            ("law = \"magic\"", "magic"),
            ("horizon = 0.5", "control.horizon"),
            ("horizon = nan", "control.horizon"),
            ("damping = [1.0, -1.0]", "control.damping[1]"),
            ("tool_stiffness = [1.0, 1.0, nan, 1.0, 1.0, 1.0]", "control.tool_stiffness[2]"),
        ] {
            let error = control(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}

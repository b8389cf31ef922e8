//! `launch/<job>.toml`: which parts run together. Nothing here that belongs to an arm or a camera.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    ConfigError, ControlLaw, ControlSetting, DynamixelSetting, FciSetting, MotionSetting, RealtimeSetting, Robot,
    TeleopSetting, TighterLimits, digest, driver, load, project_root, tighter,
};
use crate::action::ActionBounds;

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
    /// What stops the arm when this program is gone, where its controller would not.
    #[serde(default, skip_serializing_if = "GuardSetting::is_usual")]
    pub guard: GuardSetting,
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
    /// Limits that are tighter than the robot file's.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub limits: TighterLimits,
    /// How the arm goes to the start of an episode.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub motion: MotionSetting,
    /// What is asked of the operating system for the control loop.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub realtime: RealtimeSetting,
    /// What a Franka arm is told over FCI.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub fci: FciSetting,
    /// What the WidowX's servos are told on their bus.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub dynamixel: DynamixelSetting,
    /// How a person drives, where one does.
    #[serde(default)]
    pub teleop: TeleopSetting,
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
    /// `ros2`: silence of the arm's state after which it is stopped \[s\]; default, and at most, the driver's own (two and a
    /// half states, at least 0.05 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_timeout: Option<f64>,
    /// `ros2`: silence of the control loop after which the arm is ramped to a hold \[s\]; default, and at most, the driver's
    /// own (0.1 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_timeout: Option<f64>,
    /// Move an arm over `ros2` without a guard. Said at the command line each time, never in a file.
    #[serde(skip)]
    pub unguarded: bool,
}

/// What stops an arm whose controller goes on with its last command for ever, when this program is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardSetting {
    /// Host and port of a `visuomotor guard --listen` on the controller's host; without it, a process on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// File with its token; default the environment's VISUOMOTOR_GUARD_TOKEN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Longest silence of this program before the guard stops the arm \[s\].
    #[serde(default = "longest_silence")]
    pub limit: f64,
}

/// As shipped, and the most there may be \[s\].
fn longest_silence() -> f64 {
    0.1
}

impl Default for GuardSetting {
    fn default() -> Self {
        Self { address: None, token_file: None, limit: longest_silence() }
    }
}

impl GuardSetting {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        // Beats come every 20 ms; one may be late.
        if !(self.limit >= 0.05 && self.limit <= longest_silence()) {
            return Err(ConfigError::unfit(
                path,
                "guard.limit",
                self.limit,
                format!("0.05 to {} s", longest_silence()),
                "leave it out for the longest",
            ));
        }
        if let (Some(file), None) = (&self.token_file, &self.address) {
            return Err(ConfigError::unfit(
                path,
                "guard.token_file",
                file.display(),
                "none without guard.address",
                "a guard on this machine needs no token: leave it out, or name the host with guard.address",
            ));
        }
        Ok(())
    }
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
    /// ROS 2 image topic of an arm that is not simulated here; default the RealSense wrapper's.
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
    /// Images per second of a camera that is not simulated here \[Hz\]; learned when not said. It is silent after three of its
    /// periods without an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_hz: Option<f64>,
    /// Noise of its sensor makes two images of a scene that stands still differ: then equal images are a fault at once, and not
    /// only while the arm moves. True of a real sensor without much compression; never of a simulated one.
    #[serde(default)]
    pub sensor_noise: bool,
    /// Whose clock its stamps are of.
    #[serde(default)]
    pub clock: ImageClock,
    /// How old an image is when it comes \[s\], where its stamp cannot tell: stamps of another clock, or none.
    #[serde(default = "default_latency")]
    pub latency: f64,
    /// Good new images in a row after a fault before the arm moves again.
    #[serde(default = "default_good_images")]
    pub good_images: u32,
    /// How long the arm holds for a camera at fault before the episode ends \[s\].
    #[serde(default = "default_patience")]
    pub patience: f64,
}

/// Whose clock an image's stamp is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageClock {
    /// Ours when the first stamp is within a minute of it, else another one's.
    #[default]
    Auto,
    /// This computer's wall clock, or one synchronized with it: the stamp is the capture time.
    Ours,
    /// Another one's: the stamp tells only which images came later than others.
    Other,
}

fn default_latency() -> f64 {
    0.05
}

fn default_good_images() -> u32 {
    3
}

fn default_patience() -> f64 {
    5.0
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
    /// Bounds asked actions are clipped to; default Bridge's, no wider than what the arm may do within a policy period.
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

    /// Makes settings and description one: tightens the description's limits as the launch file says and fits to the arm what
    /// was left out. Refuses what is looser, or what this arm cannot do. `path` is the launch file, for the message.
    pub fn fit(&mut self, path: &Path, robot: &mut Robot) -> Result<(), ConfigError> {
        let policy_period = 1.0 / self.policy.rate_hz;
        self.limits.tighten(path, robot, policy_period)?;
        if self.policy.bounds == ActionBounds::BRIDGE {
            self.policy.bounds = tighter::usual_bounds(robot, policy_period);
        }
        self.check_for(path, robot)
    }

    /// Refuses what this arm cannot do. `path` is the launch file, for the message.
    pub fn check_for(&self, path: &Path, robot: &Robot) -> Result<(), ConfigError> {
        driver::check_for(path, robot, &self.fci, &self.dynamixel)?;
        self.motion.check_for(path, robot)?;
        tighter::check_bounds(path, &self.policy.bounds, robot, 1.0 / self.policy.rate_hz)?;
        if robot.streams_positions() && self.control.law == ControlLaw::Interpolate {
            return Err(ConfigError::unfit(
                path,
                "control.law",
                "interpolate",
                format!(
                    "a law without jumps of speed: {} takes positions at {} Hz and follows each of them",
                    robot.robot.name, robot.robot.control_rate_hz
                ),
                "write law = \"jerk_limited\" under [control]",
            ));
        }
        Ok(())
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
            let refuse = |key: &str, found: String, expected: &str, fix: &str| {
                Err(ConfigError::unfit(path, format!("camera[{i}].{key}"), found, expected, fix))
            };
            if let Some(rate) = camera.rate_hz.filter(|rate| !(*rate >= 1.0 && *rate <= 1000.0)) {
                return refuse("rate_hz", rate.to_string(), "1 to 1000 Hz", "leave it out: it is learned");
            }
            if !(camera.latency >= 0.0 && camera.latency <= camera.max_age) {
                let expected = format!("0 to max_age = {} s", camera.max_age);
                return refuse("latency", camera.latency.to_string(), &expected, "measure it with a blinking light");
            }
            if !(1..=1000).contains(&camera.good_images) {
                return refuse("good_images", camera.good_images.to_string(), "1 to 1000", "3 is a good choice");
            }
            if !(camera.patience >= 0.0 && camera.patience <= 600.0) {
                return refuse("patience", camera.patience.to_string(), "0 to 600 s", "5 s is a good choice");
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
        self.guard.check(path)?;
        for (key, timeout) in
            [("state_timeout", self.link.state_timeout), ("command_timeout", self.link.command_timeout)]
        {
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
        self.control.check(path)?;
        self.realtime.check(path)?;
        self.teleop.check(path, self.policy.rate_hz)?;
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

    #[test]
    fn a_guard_is_on_this_machine_unless_told_otherwise_and_its_limit_may_only_be_tighter() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("launch/widowx_kitchen.toml")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.toml");
        let load = |more: &str| {
            std::fs::write(&file, format!("{text}\n{more}\n")).unwrap();
            Launch::load(&file).map(|(launch, _)| launch).map_err(|error| error.to_string())
        };
        let plain = load("").unwrap();
        assert_eq!(plain.guard, GuardSetting::default());
        assert!(!plain.to_toml().contains("guard"), "runs of before keep their digest");
        assert_eq!(load("[guard]\naddress = \"10.0.0.2:7411\"\nlimit = 0.06").unwrap().guard.limit, 0.06);
        for limit in ["0.2", "0.0", "nan", "-1.0"] {
            assert!(load(&format!("[guard]\nlimit = {limit}")).unwrap_err().contains("guard.limit"), "{limit}");
        }
        assert!(load("[guard]\ntoken_file = \"t\"").unwrap_err().contains("guard.token_file"));
        let unguarded = text.replace("[protocol]", "[link]\nunguarded = true\n\n[protocol]");
        std::fs::write(&file, unguarded).unwrap();
        assert!(Launch::load(&file).is_err(), "it is said at the command line, each time");
    }

    #[test]
    fn straight_lines_between_actions_are_refused_for_an_arm_that_follows_every_position() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = root.join("launch/widowx_kitchen.toml");
        let (mut launch, _) = Launch::load(&file).unwrap();
        let [widowx, panda] = ["widowx", "panda"].map(|name| Robot::load(root, name).unwrap());
        launch.check_for(&file, &widowx).unwrap();
        let error = launch.check_for(&file, &panda).unwrap_err().to_string();
        for word in ["widowx_kitchen.toml", "control.law", "interpolate", "1000 Hz", "jerk_limited"] {
            assert!(error.contains(word), "{word}: {error}");
        }
        launch.control.law = ControlLaw::JerkLimited;
        launch.check_for(&file, &panda).unwrap();
    }
}

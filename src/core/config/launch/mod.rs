//! `launch/<job>.toml`: the parts that run together. Properties of an arm or a camera are in their own files.

mod camera;
mod guard;
mod link;
mod policy;
mod start;
mod task;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    ConfigError, ControlLaw, ControlSetting, DynamixelSetting, FciSetting, MotionSetting, RealtimeSetting, Robot,
    TeleopSetting, TighterLimits, digest, driver, load, project_root, tighter,
};
use crate::action::ActionBounds;

pub use camera::{CameraSetting, ImageClock, Rendering};
pub use guard::GuardSetting;
pub use link::{DriverKind, LinkSetting};
pub use policy::{GripperPolicy, PolicySetting, PolicySource};
pub use start::StartPosture;
pub use task::StationTask;

/// A station (arm, link, cameras, start postures) with its tasks and its policy; for the simulator and for evaluations, a scene
/// and a protocol. Paths are relative to the project folder (the one that holds `robots/`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Arm: a folder under `robots/`.
    pub robot: String,
    /// Driver behind the arm trait.
    pub driver: DriverKind,
    /// Link to the arm; every key defaults to the manufacturer's setting.
    #[serde(default)]
    pub link: LinkSetting,
    /// The guard that stops the arm after this program has ended, if its controller would not.
    #[serde(default, skip_serializing_if = "GuardSetting::is_usual")]
    pub guard: GuardSetting,
    /// How time passes.
    pub clock: ClockKind,
    /// Cameras; the first is the policy's.
    pub camera: Vec<CameraSetting>,
    /// The simulated scene; a real station has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<SceneSetting>,
    /// Start postures of the arm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<StartPosture>,
    /// Tasks of the station; those of a scene are in its file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task: Vec<StationTask>,
    /// Decision source.
    pub policy: PolicySetting,
    /// Conversion of actions to commands; the default is the one used to evaluate the shipped policies.
    #[serde(default)]
    pub control: ControlSetting,
    /// Limits that are tighter than the robot file's.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub limits: TighterLimits,
    /// Motion to the start of an episode.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub motion: MotionSetting,
    /// Real-time settings of the control loop.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub realtime: RealtimeSetting,
    /// Settings for a Franka arm over FCI.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub fci: FciSetting,
    /// Settings for the WidowX's servos.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub dynamixel: DynamixelSetting,
    /// Teleoperation settings.
    #[serde(default)]
    pub teleop: TeleopSetting,
    /// Rules of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ProtocolSetting>,
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Both loops on one thread with a manual clock, as fast as possible, repeatable.
    Lockstep,
    /// Real threads in real time.
    Wall,
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

/// Rules of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolSetting {
    /// Duration of a trial \[s\].
    pub trial_seconds: f64,
    /// Tasks, names as in the scene file.
    pub tasks: Vec<String>,
}

impl Launch {
    /// Reads and checks a launch file; returns it with its project folder.
    pub fn load(path: &Path) -> Result<(Self, PathBuf), ConfigError> {
        let launch: Launch = load(path)?;
        launch.check(path)?;
        Ok((launch, project_root(path)))
    }

    /// Its simulated scene, for a command that needs one. `path` is the launch file, for the message.
    pub fn scene_setting(&self, path: &Path) -> Result<&SceneSetting, ConfigError> {
        self.scene.as_ref().ok_or_else(|| {
            let fix = "a station without a scene is driven by `visuomotor run`; add the table for the simulator";
            ConfigError::unfit(path, "scene", "none", "a [scene] table with a scene file", fix)
        })
    }

    /// Its rules of an evaluation, for a command that needs them. `path` is the launch file, for the message.
    pub fn protocol_setting(&self, path: &Path) -> Result<&ProtocolSetting, ConfigError> {
        self.protocol.as_ref().ok_or_else(|| {
            let fix = "a station without a protocol is driven by `visuomotor run`; add the table for an evaluation";
            ConfigError::unfit(path, "protocol", "none", "a [protocol] table with tasks", fix)
        })
    }

    /// The resolved settings as TOML, every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# settings could not be written: {error}\n"))
    }

    /// SHA-256 of the resolved settings.
    pub fn digest(&self) -> String {
        digest(self.to_toml().as_bytes())
    }

    /// Resolves settings and description: tightens the description's limits by the launch file, and fills in defaults for the
    /// arm. Refuses looser limits, and settings that this arm does not support. `path` is the launch file, for the message.
    pub fn fit(&mut self, path: &Path, robot: &mut Robot) -> Result<(), ConfigError> {
        let policy_period = 1.0 / self.policy.rate_hz;
        self.limits.tighten(path, robot, policy_period)?;
        if self.policy.bounds == ActionBounds::BRIDGE {
            self.policy.bounds = tighter::usual_bounds(robot, policy_period);
        }
        self.check_for(path, robot)
    }

    /// Refuses settings that this arm does not support. `path` is the launch file, for the message.
    pub fn check_for(&self, path: &Path, robot: &Robot) -> Result<(), ConfigError> {
        driver::check_for(path, robot, &self.fci, &self.dynamixel)?;
        self.motion.check_for(path, robot)?;
        for (i, start) in self.start.iter().enumerate() {
            start.check_for(path, i, robot)?;
        }
        tighter::check_bounds(path, &self.policy.bounds, robot, 1.0 / self.policy.rate_hz)?;
        if robot.streams_positions() && self.control.law == ControlLaw::Interpolate {
            return Err(ConfigError::unfit(
                path,
                "control.law",
                "interpolate",
                format!(
                    "a law without jumps of speed: {} takes positions at {} Hz and follows each of them",
                    robot.identity.name, robot.identity.control_rate_hz
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
            camera.check(path, i)?;
        }
        self.policy.check(path)?;
        self.guard.check(path)?;
        self.link.check(path)?;
        self.control.check(path)?;
        self.realtime.check(path)?;
        self.teleop.check(path, self.policy.rate_hz)?;
        self.check_tasks(path)?;
        self.protocol.as_ref().map_or(Ok(()), |protocol| protocol.check(path))
    }

    fn check_tasks(&self, path: &Path) -> Result<(), ConfigError> {
        let starts: Vec<&str> = self.start.iter().map(|start| start.name.as_str()).collect();
        let tasks: Vec<&str> = self.task.iter().map(|task| task.name.as_str()).collect();
        for (key, names) in [("start", &starts), ("task", &tasks)] {
            if let Some(i) = (1..names.len()).find(|&i| names[..i].contains(&names[i])) {
                let limit = "a name of its own";
                return Err(ConfigError::unfit(
                    path,
                    format!("{key}[{i}].name"),
                    names[i],
                    limit,
                    "rename one of them",
                ));
            }
        }
        for (i, task) in self.task.iter().enumerate() {
            task.check(path, i, &starts)?;
        }
        Ok(())
    }
}

impl ProtocolSetting {
    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if !(self.trial_seconds > 0.0 && self.trial_seconds <= 3600.0) {
            return Err(ConfigError::unfit(
                path,
                "protocol.trial_seconds",
                self.trial_seconds,
                "more than 0 and at most 3600 s",
                "the V-PTR protocol uses 60 s",
            ));
        }
        if self.tasks.is_empty() {
            return Err(ConfigError::unfit(path, "protocol.tasks", "none", "at least one task", "name a task"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_is_local_by_default_and_its_limit_may_only_be_tighter() {
        let root = Path::new(crate::CHECKOUT);
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
        assert!(Launch::load(&file).is_err(), "it is given at the command line, each time");
    }

    #[test]
    fn a_station_needs_neither_scene_nor_protocol_and_its_tasks_name_its_postures() {
        let root = Path::new(crate::CHECKOUT);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("station.toml");
        let load = |more: &str| {
            let station = "robot = \"widowx\"\ndriver = \"ros2\"\nclock = \"wall\"\n\n[[camera]]\nname = \"front\"\n\
                           calibration = \"calibration/kitchen/over_shoulder.toml\"\n\n[policy]\nsource = \"random\"\n\
                           rate_hz = 5.0\ngripper = { kind = \"direct\" }\n";
            std::fs::write(&file, format!("{station}\n{more}\n")).unwrap();
            let (mut launch, _) = Launch::load(&file)?;
            launch.fit(&file, &mut Robot::load(root, "widowx").unwrap())?;
            Ok(launch)
        };
        let refused = |more: &str| load(more).map_err(|error: ConfigError| error.to_string()).unwrap_err();
        let start = "[[start]]\nname = \"ready\"\njoints = [0.0, -0.8, 0.4, 0.0, 1.7, 0.0]\n";
        let task = "[[task]]\nname = \"stack\"\ninstruction = \"stack the cups\"\nstart = \"ready\"\n";
        let launch = load(&format!("{start}{task}")).unwrap();
        assert_eq!((launch.scene, launch.protocol, launch.task[0].seconds), (None, None, 60.0));
        assert!(!load("").unwrap().to_toml().contains("start"), "runs of before keep their digest");
        let cases = [
            (task.to_string(), vec!["task[0].start", "ready"]),
            (format!("{start}{start}"), vec!["start[1].name", "ready"]),
            (start.replace("-0.8", "-3.0"), vec!["start[0].joints[1]", "-3", "shoulder"]),
            (start.replace("-0.8", "nan"), vec!["start[0].joints[1]", "NaN"]),
            (start.replace("-0.8, ", ""), vec!["start[0].joints", "5 numbers", "widowx"]),
            (format!("{start}{task}seconds = 0.0"), vec!["task[0].seconds"]),
        ];
        for (text, words) in cases {
            let error = refused(&text);
            for word in words {
                assert!(error.contains(word), "{word}: {error}");
            }
        }
    }

    #[test]
    fn interpolate_is_refused_for_an_arm_that_follows_every_position() {
        let root = Path::new(crate::CHECKOUT);
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

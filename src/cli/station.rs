//! A station loaded from its files: arm, link, cameras, control, safety. No scene and no simulator.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::action::ActionSource;
use crate::camera::Camera;
use crate::config::{
    CameraCalibration, ConfigError, ControlLaw, ControlSetting, Launch, Rendering, Robot, StationTask,
};
use crate::control::Controller;
use crate::driver::ArmDriver;
use crate::episode::EpisodeStart;
use crate::kinematics::Chain;
#[cfg(feature = "torch")]
use crate::observation::Image;
use crate::observation::JointVector;
#[cfg(feature = "torch")]
use crate::policy::Offer;
use crate::runtime::Station;
use crate::safety::SafetyFilter;
use crate::scripted::{ActionSpace, Assignment, Demonstrator, Disturbance, TorqueDemonstrator, TorqueNoise};

/// Side of the shipped policies' input images \[pixels\].
pub const POLICY_IMAGE: u32 = 128;

/// Station settings of a launch file, read and checked together with the files it names.
pub struct StationSetting {
    /// Project folder.
    pub root: PathBuf,
    /// The launch file.
    pub launch_file: PathBuf,
    /// Its settings, with the command line's overrides.
    pub launch: Launch,
    /// The arm.
    pub robot: Robot,
    /// The arm's kinematic chain.
    pub chain: Chain,
    /// Calibrations of the cameras, in the launch file's order; the policy's first.
    pub cameras: Vec<CameraCalibration>,
    /// Instructions of tasks that the launch file does not describe or that were overridden.
    instructions: BTreeMap<String, String>,
}

impl StationSetting {
    /// Reads the launch file, the arm and the cameras.
    pub fn load(launch_file: &Path) -> anyhow::Result<Self> {
        let (mut launch, root) = Launch::load(launch_file)?;
        let mut robot = Robot::load(&root, &launch.robot)?;
        launch.fit(launch_file, &mut robot)?;
        let chain =
            Chain::from_robot(&robot).with_context(|| Robot::path(&root, &launch.robot).display().to_string())?;
        check_postures(launch_file, &launch, &chain)?;
        let calibrations = launch.camera.iter().map(|camera| CameraCalibration::load(&root.join(&camera.calibration)));
        let cameras = calibrations.collect::<Result<_, _>>()?;
        let (launch_file, instructions) = (launch_file.to_path_buf(), BTreeMap::new());
        Ok(Self { root, launch_file, launch, robot, chain, cameras, instructions })
    }

    /// Width and height of the policy camera's images \[pixels\].
    pub fn image_size(&self) -> [u32; 2] {
        let (setting, camera) = (&self.launch.camera[0], &self.cameras[0]);
        match setting.rendering {
            Rendering::Camera => [camera.width, camera.height],
            Rendering::Policy => [POLICY_IMAGE; 2],
        }
    }

    /// Joints of a posture of the launch file \[rad\].
    pub fn start(&self, name: &str) -> Result<JointVector, ConfigError> {
        let starts = &self.launch.start;
        let start = starts.iter().find(|start| start.name == name).ok_or_else(|| {
            let known: Vec<&str> = starts.iter().map(|start| start.name.as_str()).collect();
            let limit = if known.is_empty() { "none, it has no [[start]] table".into() } else { known.join(", ") };
            ConfigError::unfit(&self.launch_file, "start", name, limit, "add the posture or choose another one")
        })?;
        Ok(JointVector::from_slice(&start.joints))
    }

    /// Overrides the launch file's goal image of a task.
    pub fn set_goal(&mut self, task: &str, goal: &Path) {
        let tasks = &mut self.launch.task;
        match tasks.iter_mut().find(|known| known.name == task) {
            Some(known) => known.goal = Some(goal.into()),
            None => tasks.push(StationTask::of_goal(task, goal)),
        }
    }

    /// Overrides the launch file's instruction of a task.
    pub fn set_instruction(&mut self, task: &str, instruction: &str) {
        self.instructions.insert(task.into(), instruction.into());
    }

    /// Instruction of a task; empty if there is none.
    #[cfg(feature = "torch")]
    pub fn instruction(&self, task: &str) -> &str {
        let own = self.launch.task.iter().find(|known| known.name == task).map(|task| task.instruction.as_str());
        self.instructions.get(task).map(String::as_str).or(own).unwrap_or_default()
    }

    /// Goal image of a task, if the launch file names one.
    #[cfg(feature = "torch")]
    pub fn goal_image(&self, task: &str) -> anyhow::Result<Option<Image>> {
        let goal = self.launch.task.iter().find(|known| known.name == task).and_then(|task| task.goal.as_ref());
        goal.map(|goal| super::image_file::read_image(&self.root.join(goal))).transpose()
    }

    /// Action space of its control law.
    pub fn action_space(&self) -> ActionSpace {
        match self.launch.control.law {
            ControlLaw::Torque => ActionSpace::Torques(JointVector::from_slice(&self.robot.limits.joint_torque)),
            _ => ActionSpace::Pose(self.launch.policy.bounds),
        }
    }

    /// Names of its cameras, the policy's first.
    #[cfg(feature = "torch")]
    pub fn camera_names(&self) -> Vec<&str> {
        self.launch.camera.iter().map(|camera| camera.name.as_str()).collect()
    }

    /// Its interface to a policy.
    #[cfg(feature = "torch")]
    pub fn offer(&self) -> Offer<'_> {
        Offer {
            robot: &self.robot.identity.name,
            joints: self.robot.joint.len(),
            rate_hz: self.launch.policy.rate_hz,
            bounds: &self.launch.policy.bounds,
            camera_size: self.image_size(),
            law: self.launch.control.law,
            approach: self.robot.identity.tool.approach,
        }
    }

    /// The scripted expert for this arm and its control law, with noise of this strength (0: none).
    pub fn expert(&self, assignment: Assignment, strength: f64, seed: u64) -> anyhow::Result<Box<dyn ActionSource>> {
        let chance = |chance: f64| (chance * strength).min(1.0);
        Ok(match self.action_space() {
            ActionSpace::Pose(bounds) => {
                let (translation, rotation) = (0.008 * strength, 0.03 * strength);
                let noise = Disturbance { translation, rotation, push: chance(0.03), slip: chance(0.01) };
                Box::new(Demonstrator::new(assignment, bounds, noise, seed))
            }
            ActionSpace::Torques(_) => {
                let noise = TorqueNoise { share: 0.06 * strength, push: chance(0.01), strength: 0.25 * strength };
                let (robot, control) = (&self.robot, &self.launch.control);
                Box::new(TorqueDemonstrator::new(assignment, robot, &self.chain, control, noise, seed)?)
            }
        })
    }

    /// Builds the station from an arm and its cameras, in the launch file's order.
    pub fn joined(&self, arm: Box<dyn ArmDriver>, cameras: Vec<Box<dyn Camera>>) -> anyhow::Result<Station> {
        let policy_period = Duration::from_secs_f64(1.0 / self.launch.policy.rate_hz);
        let control_period = Duration::from_secs_f64(1.0 / self.robot.identity.control_rate_hz);
        let controller = self.controller(&self.launch.control)?;
        let max_ages = self.launch.camera.iter().map(|camera| camera.max_age);
        Ok(Station {
            arm,
            cameras: cameras.into_iter().zip(max_ages).collect(),
            chain: self.chain.clone(),
            controller,
            safety: SafetyFilter::new(&self.robot, self.chain.clone()),
            control_period,
            policy_period,
        })
    }

    /// Position control for the way to a start, if the episode uses another mode.
    pub fn approach_controller(&self) -> anyhow::Result<Controller> {
        self.controller(&ControlSetting { law: ControlLaw::JerkLimited, ..self.launch.control.clone() })
    }

    fn controller(&self, control: &ControlSetting) -> anyhow::Result<Controller> {
        let policy = &self.launch.policy;
        let period = Duration::from_secs_f64(1.0 / policy.rate_hz);
        Controller::new(&self.robot, self.chain.clone(), policy.bounds, policy.gripper, period)
            .with_law(&self.robot, control)
            .context("the control law cannot be set up")
    }

    /// Metadata known before the first step, without a task.
    pub fn episode_start(&self, name: &str, action_source: &str) -> EpisodeStart {
        EpisodeStart {
            name: name.into(),
            task: String::new(),
            instruction: String::new(),
            robot: self.robot.identity.name.clone(),
            action_source: action_source.into(),
            policy_rate_hz: self.launch.policy.rate_hz,
            control_rate_hz: self.robot.identity.control_rate_hz,
            joint_names: self.robot.joint_names(),
            seed: 0,
            settings: self.launch.to_toml(),
        }
    }
}

/// Refuses postures in which a part of the arm intersects the table, a wall or another part.
fn check_postures(launch_file: &Path, launch: &Launch, chain: &Chain) -> Result<(), ConfigError> {
    for (i, start) in launch.start.iter().enumerate() {
        let (bodies, at) = (chain.bodies(), chain.place(&start.joints));
        let (planes, parts) = (bodies.least_plane_gap(&at), bodies.least_gap(&at));
        // Written so that NaN fails it.
        if !(planes >= bodies.margin() && parts >= bodies.margin()) {
            let found = if planes < parts {
                format!("{planes:.3} m from a plane of the arm's limits (the table)")
            } else {
                format!("two parts of the arm {parts:.3} m from each other")
            };
            return Err(ConfigError::unfit(
                launch_file,
                format!("start[{i}].joints"),
                found,
                format!("at least {} m", bodies.margin()),
                format!("correct the posture `{}`", start.name),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posture_that_hits_the_table_or_the_arm_is_refused() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("launch/stations/panda_fci.toml")).unwrap();
        let folder = tempfile::tempdir_in(root.join("launch")).unwrap();
        let load = |joints: &str| {
            let home = "[0, -0.785398, 0, -2.35619, 0, 1.5708, 0.785398]";
            assert!(text.contains(home));
            let file = folder.path().join("station.toml");
            std::fs::write(&file, text.replace(home, joints)).unwrap();
            StationSetting::load(&file).map(|_| ()).map_err(|error| error.to_string())
        };
        load("[0, -0.785398, 0, -2.35619, 0, 1.5708, 0.785398]").unwrap();
        // The forearm lies down.
        let said = load("[0, 1.6, 0, -0.5, 0, 1.0, 0.785398]").unwrap_err();
        assert!(said.contains("start[0].joints") && said.contains("plane") && said.contains("`home`"), "{said}");
    }

    #[test]
    fn the_postures_of_every_station_are_clear() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(root.join("launch/stations")).unwrap() {
            StationSetting::load(&entry.unwrap().path()).unwrap();
        }
    }
}

//! A kitchen loaded from its files: a station, its scene, and its evaluation protocol.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::set_up::SetUp;
use super::station::StationSetting;
use crate::config::{ConfigError, ContainerPlace, Launch, Object, ProtocolSetting, Robot, Scene, SceneSetting, Task};
use crate::episode::EpisodeStart;
use crate::kinematics::InverseSettings;
use crate::observation::JointVector;
#[cfg(feature = "mujoco")]
use crate::simulation::SharedRenderer;

/// Everything the launch file names, read and checked.
pub struct KitchenSetting {
    /// Arm, link, cameras. Scene and protocol are moved from its launch file to the fields below.
    pub station: StationSetting,
    /// Scene settings of the launch file.
    pub place: SceneSetting,
    /// Evaluation protocol, with the command line's overrides.
    pub protocol: ProtocolSetting,
    /// The scene.
    pub scene: Scene,
    /// Scene file.
    pub scene_file: PathBuf,
    /// Object data by name.
    pub objects: BTreeMap<String, Object>,
    /// Renders the policy camera's images.
    #[cfg(feature = "mujoco")]
    pub renderer: SharedRenderer,
}

impl KitchenSetting {
    /// Reads the launch file and all files it names.
    pub fn load(launch_file: &Path) -> anyhow::Result<Self> {
        Self::around(StationSetting::load(launch_file)?)
    }

    /// The kitchen that a station's launch file names.
    pub fn around(mut station: StationSetting) -> anyhow::Result<Self> {
        let place = station.launch.scene_setting(&station.launch_file)?.clone();
        let protocol = station.launch.protocol_setting(&station.launch_file)?.clone();
        (station.launch.scene, station.launch.protocol) = (None, None);
        let scene_file = station.root.join(&place.file);
        let (scene, objects) = Scene::load(&scene_file)?;
        for task in &protocol.tasks {
            station.set_instruction(task, &scene.task(&scene_file, task)?.instruction);
        }
        check_counter(&scene, &scene_file, &station.robot)?;
        #[cfg(feature = "mujoco")]
        let renderer = {
            let [width, height] = station.image_size();
            SharedRenderer::new(width, height)
        };
        Ok(Self {
            station,
            place,
            protocol,
            scene,
            scene_file,
            objects,
            #[cfg(feature = "mujoco")]
            renderer,
        })
    }

    /// The whole launch file, with the command line's overrides.
    pub fn settings(&self) -> Launch {
        Launch { scene: Some(self.place.clone()), protocol: Some(self.protocol.clone()), ..self.station.launch.clone() }
    }

    /// Data of a named object.
    pub fn object(&self, name: &str) -> anyhow::Result<&Object> {
        self.objects.get(name).with_context(|| format!("{}: no object `{name}`", self.scene_file.display()))
    }

    /// Position of a task's container when its object's grasp point is at `object_at`.
    pub fn container_at(&self, task: &Task, object_at: [f64; 2]) -> Option<[f64; 2]> {
        task.container_at.map(|place| match place {
            ContainerPlace::Object => object_at,
            ContainerPlace::Fixed { x, y } => [x, y],
        })
    }

    /// Joint positions \[rad\] that put the tool at a start transform (Bridge pose, m and rad), gripper down.
    pub fn start_joints(&self, start: [f64; 6]) -> anyhow::Result<JointVector> {
        let base_from_tool = self.station.chain.pose_from_bridge(start);
        let home = JointVector::from_slice(&self.station.robot.identity.home);
        self.station.chain.inverse(&home, &base_from_tool, &InverseSettings::reach()).map_err(|error| {
            ConfigError::unfit(
                &self.scene_file,
                "start",
                format!("a tool pose at {start:?} ({error})"),
                "a pose the arm reaches",
                "move the start transform closer to the arm",
            )
            .into()
        })
    }

    /// Metadata known before the first step.
    pub fn episode_start(&self, name: &str, set_up: &SetUp, action_source: &str) -> EpisodeStart {
        EpisodeStart {
            task: set_up.task.name.clone(),
            instruction: set_up.task.instruction.clone(),
            seed: set_up.seed,
            settings: self.settings().to_toml(),
            ..self.station.episode_start(name, action_source)
        }
    }
}

/// Refuses a counter beyond the tool's workspace.
fn check_counter(scene: &Scene, scene_file: &Path, robot: &Robot) -> Result<(), ConfigError> {
    let Some(counter) = &scene.counter else { return Ok(()) };
    let (low, high) = (robot.limits.workspace_low, robot.limits.workspace_high);
    if (0..2).all(|axis| counter.low[axis] >= low[axis] && counter.high[axis] <= high[axis]) {
        return Ok(());
    }
    Err(ConfigError::unfit(
        scene_file,
        "counter",
        format!("{:?} to {:?}", counter.low, counter.high),
        format!("inside the arm's workspace, {:?} to {:?}", &low[..2], &high[..2]),
        "make it smaller",
    ))
}

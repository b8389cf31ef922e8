//! Puts a set-up together from its files: the only place that names concrete arms, cameras, scenes and policies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::config::{
    CameraCalibration, ConfigError, ContainerPlace, Launch, Object, Rendering, Robot, Rule, Scene, Task,
};
use crate::geometry::{Pose, pose_from_bridge};
use crate::kinematics::{Chain, InverseSettings};
use crate::observation::JointVector;
use crate::recording::Attachment;
use crate::simulation::{Appearance, Assignment, Kitchen, KitchenParts, Layout, Placed, SharedRenderer};

/// Side of the image the shipped policies see \[pixels\].
pub const POLICY_IMAGE: u32 = 128;

/// Everything the launch file names, read and checked.
pub struct Setting {
    /// Project folder.
    pub root: PathBuf,
    /// The launch file.
    pub launch_file: PathBuf,
    /// What it says, with the command line's overrides.
    pub launch: Launch,
    /// The arm.
    pub robot: Robot,
    /// The arm's kinematic chain.
    pub chain: Chain,
    /// The scene.
    pub scene: Scene,
    /// Scene file.
    pub scene_file: PathBuf,
    /// Object data by name.
    pub objects: BTreeMap<String, Object>,
    /// The policy camera.
    pub camera: CameraCalibration,
    /// Its renderer.
    pub renderer: SharedRenderer,
}

/// What lies where in one episode, as the person who sets it up knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// Task.
    pub task: Task,
    /// Object to move (scenario 3 replaces the task's own).
    pub object: String,
    /// Where the object's grasp point is, base frame x, y \[m\].
    pub object_at: [f64; 2],
    /// The object's yaw \[rad\].
    pub object_yaw: f64,
    /// Where the container stands, base frame x, y \[m\].
    pub container_at: [f64; 2],
    /// Other things lying about: name, place \[m\], yaw \[rad\].
    pub others: Vec<(String, [f64; 2], f64)>,
    /// Tool position and Bridge angles at the start \[m, rad\].
    pub start: [f64; 6],
    /// Seed of everything random in this episode.
    pub seed: u64,
}

impl SetUp {
    /// Name of the file that says it in a recording.
    pub const FILE: &str = "set_up.json";

    /// As recorded with an episode, so that the scene can be laid again.
    pub fn attachment(&self) -> anyhow::Result<Attachment> {
        let data = serde_json::to_vec_pretty(self)?;
        Ok(Attachment { name: Self::FILE.into(), media_type: "application/json".into(), data })
    }
}

/// A kitchen set up for one episode.
pub struct Prepared {
    /// The compiled, settled kitchen.
    pub kitchen: Kitchen,
    /// Joint positions at the start \[rad\].
    pub joints: JointVector,
    /// What a demonstrator is given.
    pub assignment: Assignment,
}

impl Setting {
    /// Reads the launch file and everything it names.
    pub fn load(launch_file: &Path) -> anyhow::Result<Self> {
        let (mut launch, root) = Launch::load(launch_file)?;
        let mut robot = Robot::load(&root, &launch.robot)?;
        launch.fit(launch_file, &mut robot)?;
        let chain =
            Chain::from_robot(&robot).with_context(|| Robot::path(&root, &launch.robot).display().to_string())?;
        let scene_file = root.join(&launch.scene.file);
        let (scene, objects) = Scene::load(&scene_file)?;
        let camera = CameraCalibration::load(&root.join(&launch.camera[0].calibration))?;
        for task in &launch.protocol.tasks {
            scene.task(&scene_file, task)?;
        }
        check_counter(&scene, &scene_file, &robot)?;
        let (width, height) = match launch.camera[0].rendering {
            Rendering::Camera => (camera.width, camera.height),
            Rendering::Policy => (POLICY_IMAGE, POLICY_IMAGE),
        };
        Ok(Self {
            root,
            launch_file: launch_file.to_path_buf(),
            launch,
            robot,
            chain,
            scene,
            scene_file,
            objects,
            camera,
            renderer: SharedRenderer::new(width, height),
        })
    }

    /// Size of the images the camera delivers \[pixels\].
    pub fn image_size(&self) -> [u32; 2] {
        let (width, height) = self.renderer.size();
        [width, height]
    }

    /// Data of a named object.
    pub fn object(&self, name: &str) -> anyhow::Result<&Object> {
        self.objects.get(name).with_context(|| format!("{}: no object `{name}`", self.scene_file.display()))
    }

    fn folder(&self) -> PathBuf {
        self.scene_file.parent().unwrap_or(Path::new(".")).to_path_buf()
    }

    /// Composes, compiles and settles the kitchen of one episode.
    pub fn prepare(&self, set_up: &SetUp) -> anyhow::Result<Prepared> {
        self.prepare_around(set_up, self.start_joints(set_up.start)?)
    }

    /// The same around an arm that stands at these joints \[rad\].
    pub fn prepare_around(&self, set_up: &SetUp, joints: JointVector) -> anyhow::Result<Prepared> {
        let kitchen = self.build(set_up, self.layout(set_up)?, &joints)?;
        let assignment = self.assignment(set_up, &kitchen)?;
        Ok(Prepared { kitchen, joints, assignment })
    }

    /// The kitchen with nothing in it but the arm at its home pose.
    pub fn empty_kitchen(&self) -> anyhow::Result<Kitchen> {
        let folder = self.folder();
        let fixtures = folder.join(&self.scene.fixtures);
        let objects = folder.join(&self.scene.objects);
        let parts =
            KitchenParts { robot: &self.robot, fixtures, objects, object_data: &self.objects, camera: &self.camera };
        let home = JointVector::from_slice(&self.robot.robot.home);
        Ok(Kitchen::build(&parts, &Layout::default(), &Appearance::plain(), &home)?)
    }

    /// The same episode as it should end: for the goal image.
    pub fn prepare_goal(&self, set_up: &SetUp) -> anyhow::Result<Prepared> {
        let joints = self.start_joints(set_up.start)?;
        let mut layout = self.layout(set_up)?;
        let container = self.object(&set_up.task.container)?;
        if let Some(placed) = layout.placed.iter_mut().find(|p| p.object == set_up.object) {
            match set_up.task.rule {
                Rule::PutIn => {
                    placed.at = set_up.container_at;
                    placed.support = container.floor_height.unwrap_or(0.0);
                }
                Rule::TakeOut => {
                    placed.at = set_up.task.set_down;
                    placed.support = 0.0;
                }
            }
        }
        let kitchen = self.build(set_up, layout, &joints)?;
        let assignment = self.assignment(set_up, &kitchen)?;
        Ok(Prepared { kitchen, joints, assignment })
    }

    /// Where a task's container stands when its object's grasp point is at `object_at`.
    pub fn container_at(&self, task: &Task, object_at: [f64; 2]) -> [f64; 2] {
        match task.container_at {
            ContainerPlace::Object => object_at,
            ContainerPlace::Fixed { x, y } => [x, y],
        }
    }

    fn build(&self, set_up: &SetUp, layout: Layout, joints: &JointVector) -> anyhow::Result<Kitchen> {
        let folder = self.folder();
        let parts = KitchenParts {
            robot: &self.robot,
            fixtures: folder.join(self.scene.fixtures_of(&set_up.task)),
            objects: folder.join(&self.scene.objects),
            object_data: &self.objects,
            camera: &self.camera,
        };
        let appearance = if self.launch.scene.vary_appearance {
            Appearance::varied(self.scene.variation, set_up.seed)
        } else {
            Appearance::plain()
        };
        Ok(Kitchen::build(&parts, &layout, &appearance, joints)?)
    }

    /// Joint positions \[rad\] that put the tool at a start transform (Bridge pose, m and rad), gripper down.
    pub fn start_joints(&self, start: [f64; 6]) -> anyhow::Result<JointVector> {
        let base_from_tool: Pose = pose_from_bridge(start);
        let home = JointVector::from_slice(&self.robot.robot.home);
        self.chain.inverse(&home, &base_from_tool, &InverseSettings::reach()).map_err(|error| {
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

    fn layout(&self, set_up: &SetUp) -> anyhow::Result<Layout> {
        let object = self.object(&set_up.object)?;
        let container = self.object(&set_up.task.container)?;
        let (sin, cos) = set_up.object_yaw.sin_cos();
        // The object is put so that the point to grasp it at lies at `object_at`.
        let [gx, gy, _] = object.grasp_offset;
        let origin = [set_up.object_at[0] - (cos * gx - sin * gy), set_up.object_at[1] - (sin * gx + cos * gy)];
        let support = match set_up.task.container_at {
            ContainerPlace::Object => container.floor_height.unwrap_or(0.0),
            ContainerPlace::Fixed { .. } => 0.0,
        };
        let mut placed = vec![
            Placed { object: set_up.task.container.clone(), at: set_up.container_at, support: 0.0, yaw: 0.0 },
            Placed { object: set_up.object.clone(), at: origin, support, yaw: set_up.object_yaw },
        ];
        for (name, at, yaw) in &set_up.others {
            placed.push(Placed { object: name.clone(), at: *at, support: 0.0, yaw: *yaw });
        }
        Ok(Layout { placed })
    }

    fn assignment(&self, set_up: &SetUp, kitchen: &Kitchen) -> anyhow::Result<Assignment> {
        let object = self.object(&set_up.object)?;
        let container = self.object(&set_up.task.container)?;
        let pose = kitchen.placed_pose(&set_up.object).context("the object is not in the kitchen")?;
        let grasp = pose * nalgebra::Point3::from(object.grasp_offset);
        let (_, _, yaw) = pose.rotation.euler_angles();
        // Jaws are the same when turned by half a turn; the lower half of the object hangs below the tool.
        let half_turn = std::f64::consts::PI;
        let mut grasp_yaw = yaw + object.grasp_yaw;
        while grasp_yaw > half_turn / 2.0 {
            grasp_yaw -= half_turn;
        }
        while grasp_yaw < -half_turn / 2.0 {
            grasp_yaw += half_turn;
        }
        let hang = object.rest_height + object.grasp_offset[2];
        let ([x, y], height) = match set_up.task.rule {
            Rule::PutIn => (set_up.container_at, container.rim_height.unwrap_or(0.04) + 0.012),
            Rule::TakeOut => (set_up.task.set_down, 0.012),
        };
        // The grasp point, not the object's origin, goes to the tool: the object's middle shall land in the middle.
        let floor = self.robot.limits.workspace_low[2] + 0.005;
        Ok(Assignment {
            grasp: [grasp.x, grasp.y, grasp.z.max(floor)],
            grasp_yaw,
            release: [x + object.grasp_offset[0], y + object.grasp_offset[1], (height + hang).max(floor)],
        })
    }
}

/// Nothing is laid where the tool may not go.
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

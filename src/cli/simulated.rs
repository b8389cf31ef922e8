//! The kitchen in the in-process simulator: set up for an episode, and as a running station.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::kitchen::KitchenSetting;
use super::set_up::{LyingThing, SetUp};
use super::standing::activate;
use crate::config::{ContainerPlace, Rule, Task};
use crate::observation::{Image, JointVector};
use crate::runtime::Station;
use crate::scripted::{Assignment, Then};
use crate::simulation::{
    Appearance, Kitchen, KitchenParts, Layout, Placed, SimulatedArm, SimulatedCamera, SuccessRule,
};
use crate::time::Timestamp;

/// Extra distance beyond a button's travel that the tool is sent \[m\]: the press cannot be sensed.
const FURTHER: f64 = 0.006;

/// A kitchen set up for one episode.
pub struct Prepared {
    /// The compiled, settled kitchen.
    pub kitchen: Kitchen,
    /// Joint positions at the start \[rad\].
    pub joints: JointVector,
    /// The demonstrator's assignment.
    pub assignment: Assignment,
}

impl KitchenSetting {
    /// The station of one prepared episode, arm active, and the judge of its task.
    pub fn running(&self, set_up: &SetUp, prepared: &Prepared) -> anyhow::Result<(Station, SuccessRule)> {
        self.running_at(set_up, prepared, Timestamp::ZERO)
    }

    /// The same on a clock that already shows `now`. The arm's physics starts at `now`; otherwise it would have to catch up
    /// in the control loop's first tick.
    pub fn running_at(
        &self,
        set_up: &SetUp,
        prepared: &Prepared,
        now: Timestamp,
    ) -> anyhow::Result<(Station, SuccessRule)> {
        let (mut arm, for_camera, for_judge) = SimulatedArm::new(&self.station.robot, &prepared.kitchen)?;
        let setting = &self.station.launch.camera[0];
        let camera = SimulatedCamera::new(&setting.name, &prepared.kitchen, self.renderer.clone(), for_camera)?;
        let judge = SuccessRule::new(&prepared.kitchen, for_judge, &set_up.task, &set_up.object, &self.objects);
        activate(&mut arm, now, self.station.launch.control.law.mode())?;
        Ok((self.station.joined(Box::new(arm), vec![Box::new(camera)])?, judge))
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

    /// The kitchen without objects, with the arm at its home pose.
    pub fn empty_kitchen(&self) -> anyhow::Result<Kitchen> {
        let folder = self.folder();
        let fixtures = folder.join(&self.scene.fixtures);
        let objects = folder.join(&self.scene.objects);
        let parts = KitchenParts {
            robot: &self.station.robot,
            fixtures,
            objects,
            object_data: &self.objects,
            camera: &self.station.cameras[0],
        };
        let home = JointVector::from_slice(&self.station.robot.identity.home);
        Ok(Kitchen::build(&parts, &Layout::default(), &Appearance::plain(), &home)?)
    }

    /// The same episode as it should end: for the goal image.
    pub fn prepare_goal(&self, set_up: &SetUp) -> anyhow::Result<Prepared> {
        let joints = self.start_joints(set_up.start)?;
        let mut layout = self.layout(set_up)?;
        if let Some(placed) = layout.placed.iter_mut().find(|p| p.object == set_up.object) {
            match (set_up.task.rule, set_up.container_at, set_up.task.set_down) {
                (Rule::PutIn, Some(at), _) => (placed.at, placed.support) = (at, self.floor_height(&set_up.task)?),
                (Rule::TakeOut, _, Some(at)) => (placed.at, placed.support) = (at, 0.0),
                // A button looks the same when it was pressed.
                _ => {}
            }
        }
        let kitchen = self.build(set_up, layout, &joints)?;
        let assignment = self.assignment(set_up, &kitchen)?;
        Ok(Prepared { kitchen, joints, assignment })
    }

    /// Image of the episode as it should end, from the policy's camera.
    pub fn goal_image(&self, set_up: &SetUp) -> anyhow::Result<Image> {
        let goal = self.prepare_goal(set_up)?;
        let (mut station, _) = self.running(set_up, &goal)?;
        Ok(station.cameras[0].0.newest(Timestamp::ZERO)?)
    }

    fn build(&self, set_up: &SetUp, layout: Layout, joints: &JointVector) -> anyhow::Result<Kitchen> {
        let folder = self.folder();
        let parts = KitchenParts {
            robot: &self.station.robot,
            fixtures: folder.join(self.scene.fixtures_of(&set_up.task)),
            objects: folder.join(&self.scene.objects),
            object_data: &self.objects,
            camera: &self.station.cameras[0],
        };
        let appearance = if self.place.vary_appearance {
            Appearance::varied(self.scene.variation, set_up.seed)
        } else {
            Appearance::plain()
        };
        Ok(Kitchen::build(&parts, &layout, &appearance, joints)?)
    }

    fn layout(&self, set_up: &SetUp) -> anyhow::Result<Layout> {
        let object = self.object(&set_up.object)?;
        let (sin, cos) = set_up.object_yaw.sin_cos();
        // The object is placed with its grasp point at `object_at`.
        let [gx, gy, _] = object.grasp_offset;
        let origin = [set_up.object_at[0] - (cos * gx - sin * gy), set_up.object_at[1] - (sin * gx + cos * gy)];
        let support = match set_up.task.container_at {
            Some(ContainerPlace::Object) => self.floor_height(&set_up.task)?,
            Some(ContainerPlace::Fixed { .. }) | None => 0.0,
        };
        let mut placed = Vec::new();
        if let (Some(container), Some(at)) = (&set_up.task.container, set_up.container_at) {
            placed.push(Placed { object: container.clone(), at, support: 0.0, yaw: 0.0 });
        }
        placed.push(Placed { object: set_up.object.clone(), at: origin, support, yaw: set_up.object_yaw });
        for LyingThing { object, at, yaw } in &set_up.others {
            placed.push(Placed { object: object.clone(), at: *at, support: 0.0, yaw: *yaw });
        }
        Ok(Layout { placed })
    }

    fn assignment(&self, set_up: &SetUp, kitchen: &Kitchen) -> anyhow::Result<Assignment> {
        let object = self.object(&set_up.object)?;
        let pose = kitchen.placed_pose(&set_up.object).context("the object is not in the kitchen")?;
        let grasp = pose * nalgebra::Point3::from(object.grasp_offset);
        let (_, _, yaw) = pose.rotation.euler_angles();
        // The jaws are symmetric under half a turn; the lower half of the object hangs below the tool.
        let half_turn = std::f64::consts::PI;
        let mut grasp_yaw = yaw + object.grasp_yaw;
        while grasp_yaw > half_turn / 2.0 {
            grasp_yaw -= half_turn;
        }
        while grasp_yaw < -half_turn / 2.0 {
            grasp_yaw += half_turn;
        }
        // Targets stay inside the tool's workspace.
        let floor = self.station.robot.limits.workspace_low[2] + 0.005;
        let hang = object.rest_height + object.grasp_offset[2];
        // The grasp point, not the object's origin, is at the tool; the object's middle should land in the middle.
        let release = |[x, y]: [f64; 2], height: f64| Then::Release {
            at: [x + object.grasp_offset[0], y + object.grasp_offset[1], (height + hang).max(floor)],
        };
        let then = match (set_up.task.rule, set_up.container_at, set_up.task.set_down) {
            (Rule::PutIn, Some(at), _) => release(at, self.rim_height(&set_up.task)? + 0.012),
            (Rule::TakeOut, _, Some(at)) => release(at, 0.012),
            _ => {
                let top = pose.translation.z - object.rest_height + object.height;
                Then::Press { height: (top - object.stroke.unwrap_or(0.0) - FURTHER).max(floor) }
            }
        };
        Ok(Assignment { grasp: [grasp.x, grasp.y, grasp.z.max(floor)], grasp_yaw, then })
    }

    /// Height of the inner floor of a task's container above the counter \[m\].
    fn floor_height(&self, task: &Task) -> anyhow::Result<f64> {
        let container = task.container.as_deref().map(|name| self.object(name)).transpose()?;
        Ok(container.and_then(|container| container.floor_height).unwrap_or(0.0))
    }

    /// Height of the rim of a task's container above the counter \[m\].
    fn rim_height(&self, task: &Task) -> anyhow::Result<f64> {
        let container = task.container.as_deref().map(|name| self.object(name)).transpose()?;
        Ok(container.and_then(|container| container.rim_height).unwrap_or(0.04))
    }

    fn folder(&self) -> PathBuf {
        self.scene_file.parent().unwrap_or(Path::new(".")).to_path_buf()
    }
}

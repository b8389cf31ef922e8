//! The kitchen for one episode: fixtures, the arm, the objects of a [`Layout`], one camera; compiled and settled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mujoco_rs::prelude::*;
use mujoco_rs::wrappers::mj_model::MjtObjBase;
use nalgebra::{Quaternion, UnitQuaternion, Vector3};

use super::SimulationError;
use super::appearance::Appearance;
use super::arm_model::{ArmPlaces, TOOL_SITE, arm_mjcf};
use super::camera_mjcf::{POLICY_CAMERA, camera_mjcf};
use visuomotor_core::config::{CameraCalibration, Gripper, Object, Robot};
use visuomotor_core::geometry::Pose;
use visuomotor_core::observation::JointVector;

/// Longest physics step \[s\].
const PHYSICS_STEP: f64 = 0.002;
/// How long objects settle before an episode starts \[s\].
const SETTLE: f64 = 0.6;

/// One object and its initial position.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Object name.
    pub object: String,
    /// Position of its origin, base frame x, y \[m\].
    pub at: [f64; 2],
    /// Height of its support above the counter \[m\].
    pub support: f64,
    /// Yaw \[rad\].
    pub yaw: f64,
}

/// The objects at the start of an episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// All movable objects. Their names are distinct.
    pub placed: Vec<Placed>,
}

/// The compiled kitchen and the indices of its parts in MuJoCo's arrays.
#[derive(Clone)]
pub struct Kitchen {
    /// The compiled model.
    pub(super) model: Arc<MjModel>,
    /// First position coordinate of each movable object.
    pub(super) object_qpos: BTreeMap<String, usize>,
    /// Position coordinate of each cap that can be pushed down, by its object.
    cap_qpos: BTreeMap<String, usize>,
    gripper: Gripper,
    /// Indices of the arm.
    pub(super) arm: ArmPlaces,
    /// Camera id.
    pub(super) camera: usize,
    /// Settled coordinates at the start of the episode.
    pub(super) start_qpos: Vec<f64>,
}

/// The parts of a kitchen.
#[derive(Clone, Debug)]
pub struct KitchenParts<'a> {
    /// The arm.
    pub robot: &'a Robot,
    /// MJCF file of the fixtures.
    pub fixtures: PathBuf,
    /// Folder of the objects' MJCF files.
    pub objects: PathBuf,
    /// Object data by name.
    pub object_data: &'a BTreeMap<String, Object>,
    /// Camera calibration.
    pub camera: &'a CameraCalibration,
}

impl Kitchen {
    /// Composes, compiles and settles a kitchen with the arm at `joints` and the gripper open.
    pub fn build(
        parts: &KitchenParts<'_>,
        layout: &Layout,
        appearance: &Appearance,
        joints: &JointVector,
    ) -> Result<Self, SimulationError> {
        let text = compose(parts, layout, appearance)?;
        let mut model = MjModel::from_xml_string(&text)
            .map_err(|error| SimulationError::Scene { file: parts.fixtures.clone(), why: error.to_string() })?;
        appearance.paint(&mut model);
        let model = Arc::new(model);
        let position = |joint: &str| {
            model.name_to_id(MjtObjBase::mjOBJ_JOINT, joint).map(|id| model.jnt_qposadr()[id] as usize).ok_or_else(
                || SimulationError::Scene { file: parts.objects.clone(), why: format!("joint `{joint}` is missing") },
            )
        };
        let arm = ArmPlaces::find(&model, parts.robot)
            .map_err(|why| SimulationError::Scene { file: parts.fixtures.clone(), why })?;
        let (mut object_qpos, mut cap_qpos) = (BTreeMap::new(), BTreeMap::new());
        for placed in &layout.placed {
            object_qpos.insert(placed.object.clone(), position(&format!("{}_free", placed.object))?);
            if let Ok(cap) = position(&format!("{}_cap", placed.object)) {
                cap_qpos.insert(placed.object.clone(), cap);
            }
        }
        let camera = model.name_to_id(MjtObjBase::mjOBJ_CAMERA, POLICY_CAMERA).unwrap_or(0);
        let gripper = parts.robot.gripper.clone();
        let mut kitchen = Self { model, object_qpos, cap_qpos, gripper, arm, camera, start_qpos: Vec::new() };
        kitchen.settle(parts, layout, joints);
        Ok(kitchen)
    }

    /// Pose of an object in given coordinates, base frame. For set-up and success checks only.
    pub(super) fn object_pose(&self, qpos: &[f64], object: &str) -> Option<Pose> {
        let at = *self.object_qpos.get(object)?;
        let q = qpos.get(at..at + 7)?;
        let rotation = UnitQuaternion::from_quaternion(Quaternion::new(q[3], q[4], q[5], q[6]));
        Some(Pose::from_parts(Vector3::new(q[0], q[1], q[2]).into(), rotation))
    }

    /// Depth of an object's pressed cap in given coordinates \[m\]; its joint counts upward.
    pub(super) fn cap_depth(&self, qpos: &[f64], object: &str) -> Option<f64> {
        qpos.get(*self.cap_qpos.get(object)?).map(|height| -height)
    }

    /// Gripper opening in given coordinates: 0 closed .. 1 open.
    pub(super) fn gripper_opening(&self, qpos: &[f64]) -> f64 {
        self.gripper.fraction_from_finger(qpos[self.arm.finger_qpos[0]])
    }

    /// Pose of an object at rest before the episode, base frame: for scene set-up.
    pub fn placed_pose(&self, object: &str) -> Option<Pose> {
        self.object_pose(&self.start_qpos, object)
    }

    fn settle(&mut self, parts: &KitchenParts<'_>, layout: &Layout, joints: &JointVector) {
        let mut data = MjData::new(self.model.clone());
        {
            let qpos = data.qpos_mut();
            for (address, value) in self.arm.joint_qpos.iter().zip(joints.iter()) {
                qpos[*address] = *value;
            }
            for address in &self.arm.finger_qpos {
                qpos[*address] = parts.robot.gripper.finger_open;
            }
            for placed in &layout.placed {
                let at = self.object_qpos[&placed.object];
                let rest = parts.object_data.get(&placed.object).map_or(0.02, |o| o.rest_height);
                let half = placed.yaw * 0.5;
                // Slightly above the support, so that nothing starts in penetration.
                let pose =
                    [placed.at[0], placed.at[1], placed.support + rest + 0.0015, half.cos(), 0.0, 0.0, half.sin()];
                qpos[at..at + 7].copy_from_slice(&pose);
            }
        }
        {
            let ctrl = data.ctrl_mut();
            for (to, from) in ctrl.iter_mut().zip(joints.iter()) {
                *to = *from;
            }
            let n = joints.len();
            for finger in &mut ctrl[n..n + self.arm.finger_qpos.len()] {
                *finger = parts.robot.gripper.finger_open;
            }
        }
        let step = self.model.opt().timestep;
        for _ in 0..(SETTLE / step) as usize {
            data.step();
        }
        self.start_qpos = data.qpos().to_vec();
    }

    /// Position and velocity coordinate of each arm joint, chain order.
    pub fn joint_addresses(&self) -> Vec<(usize, usize)> {
        self.arm.joint_qpos.iter().copied().zip(self.arm.joint_dof.iter().copied()).collect()
    }

    /// Id of the tool site.
    pub fn tool_site(&self) -> Option<usize> {
        self.model.name_to_id(MjtObjBase::mjOBJ_SITE, TOOL_SITE)
    }

    /// The compiled model.
    pub fn model(&self) -> &Arc<MjModel> {
        &self.model
    }
}

fn compose(parts: &KitchenParts<'_>, layout: &Layout, appearance: &Appearance) -> Result<String, SimulationError> {
    let mut out = String::from("<mujoco model=\"visuomotor\">\n<compiler angle=\"radian\" autolimits=\"true\"/>\n");
    // An arm with a higher control rate is simulated in smaller steps.
    let step = PHYSICS_STEP.min(1.0 / parts.robot.identity.control_rate_hz);
    out.push_str(&format!(
        "<option timestep=\"{step}\" integrator=\"implicitfast\" cone=\"elliptic\" impratio=\"10\"/>\n"
    ));
    out.push_str(&format!(
        // Few triangles, no multisampling: software rendering of an image then takes 6 to 10 ms instead of 20. The fixtures
        // have their own lamps; with the headlight, white surfaces would be overexposed.
        "<visual><global offwidth=\"{}\" offheight=\"{}\"/>\
         <quality shadowsize=\"0\" offsamples=\"0\" numslices=\"16\" numstacks=\"8\" numquads=\"1\"/>\
         <headlight active=\"0\"/></visual>\n",
        parts.camera.width.max(640),
        parts.camera.height.max(480)
    ));
    include(&mut out, &parts.fixtures)?;
    for placed in &layout.placed {
        include(&mut out, &parts.objects.join(format!("{}.xml", placed.object)))?;
    }
    out.push_str(&arm_mjcf(parts.robot));
    let base_from_camera = parts.camera.base_from_camera() * appearance.camera_shift;
    out.push_str(&camera_mjcf(parts.camera, &base_from_camera));
    out.push_str("</mujoco>\n");
    Ok(out)
}

fn include(out: &mut String, file: &Path) -> Result<(), SimulationError> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    if !absolute.is_file() {
        return Err(SimulationError::Scene {
            file: file.to_path_buf(),
            why: "the file does not exist; restore it".to_string(),
        });
    }
    out.push_str(&format!("<include file=\"{}\"/>\n", absolute.display()));
    Ok(())
}

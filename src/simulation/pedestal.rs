//! A bare arm on a low pedestal above a checkered floor: any arm of `robots/`, with nothing else to touch.

use std::sync::Arc;

use mujoco_rs::prelude::*;
use mujoco_rs::wrappers::mj_model::MjtObjBase;

use super::SimulationError;
use super::arm_model::{ArmPlaces, TOOL_SITE, arm_mjcf};
use super::camera_mjcf::{POLICY_CAMERA, camera_mjcf};
use visuomotor_core::config::{CameraCalibration, Robot};
use visuomotor_core::observation::JointVector;

/// Physics step \[s\]: the fastest control period.
const STEP: f64 = 0.001;
/// The camera's pose if none is given: in front of the arm and above it, looking at the middle of its reach.
const OVERVIEW: &str = "<worldbody><camera name=\"policy\" pos=\"1.9 -1.1 1.1\" xyaxes=\"0.5 0.866 0 -0.34 0.2 0.92\" \
                        fovy=\"45\"/></worldbody>\n";

/// One arm on its pedestal, compiled.
#[derive(Clone)]
pub struct Pedestal {
    pub(super) model: Arc<MjModel>,
    pub(super) arm: ArmPlaces,
    pub(super) camera: usize,
    pub(super) start_qpos: Vec<f64>,
}

impl Pedestal {
    /// The arm at `joints` \[rad\] with its gripper open.
    pub fn build(robot: &Robot, joints: &JointVector) -> Result<Self, SimulationError> {
        Self::with_camera(robot, joints, OVERVIEW)
    }

    /// The same, with a camera of this calibration.
    pub fn seen_by(
        robot: &Robot,
        joints: &JointVector,
        calibration: &CameraCalibration,
    ) -> Result<Self, SimulationError> {
        Self::with_camera(robot, joints, &camera_mjcf(calibration, &calibration.base_from_camera()))
    }

    fn with_camera(robot: &Robot, joints: &JointVector, camera: &str) -> Result<Self, SimulationError> {
        let unfit = |why: String| SimulationError::Scene { file: Robot::path(".".as_ref(), &robot.identity.name), why };
        if joints.len() != robot.joint.len() {
            return Err(unfit(format!("{} start positions for {} joints", joints.len(), robot.joint.len())));
        }
        let text = format!(
            "<mujoco model=\"{}\">\n<compiler angle=\"radian\" autolimits=\"true\"/>\n\
             <option timestep=\"{STEP}\" integrator=\"implicitfast\" cone=\"elliptic\" impratio=\"10\"/>\n\
             <visual><quality shadowsize=\"0\" offsamples=\"0\"/></visual>\n{FLOOR}{camera}{}</mujoco>\n",
            robot.identity.name,
            arm_mjcf(robot)
        );
        let model = MjModel::from_xml_string(&text).map_err(|error| unfit(error.to_string()))?;
        let model = Arc::new(model);
        let arm = ArmPlaces::find(&model, robot).map_err(unfit)?;
        let camera = model.name_to_id(MjtObjBase::mjOBJ_CAMERA, POLICY_CAMERA).unwrap_or(0);
        let mut start_qpos = MjData::new(Arc::clone(&model)).qpos().to_vec();
        for (address, value) in arm.joint_qpos.iter().zip(joints.iter()) {
            start_qpos[*address] = *value;
        }
        for address in &arm.finger_qpos {
            start_qpos[*address] = robot.gripper.finger_open;
        }
        Ok(Self { model, arm, camera, start_qpos })
    }

    /// The compiled model.
    pub fn model(&self) -> &Arc<MjModel> {
        &self.model
    }

    /// All position coordinates at the start.
    pub fn start(&self) -> &[f64] {
        &self.start_qpos
    }

    /// Position and velocity coordinate of each arm joint, chain order.
    pub fn joint_addresses(&self) -> Vec<(usize, usize)> {
        self.arm.joint_qpos.iter().copied().zip(self.arm.joint_dof.iter().copied()).collect()
    }

    /// Id of the tool site.
    pub fn tool_site(&self) -> Option<usize> {
        self.model.name_to_id(MjtObjBase::mjOBJ_SITE, TOOL_SITE)
    }
}

/// The floor is a little lower than the arm's base, which is fixed and stands on a plate.
const FLOOR: &str = r#"<asset>
<texture name="floor" type="2d" builtin="checker" rgb1="0.82 0.84 0.86" rgb2="0.74 0.76 0.79" width="256" height="256"/>
<material name="floor" texture="floor" texrepeat="8 8" reflectance="0.05"/>
<material name="plate" rgba="0.5 0.52 0.55 1"/>
</asset>
<worldbody>
<light name="sky" directional="true" castshadow="false" pos="0 0 3" dir="-0.3 0.4 -0.85" ambient="0.35 0.35 0.35" diffuse="0.6 0.6 0.6"/>
<geom name="floor" type="plane" size="4 4 0.1" pos="0 0 -0.02" material="floor"/>
<geom name="plate" type="cylinder" size="0.14 0.01" pos="0 0 -0.01" material="plate" contype="0" conaffinity="0"/>
</worldbody>
"#;

//! `robots/<robot>/robot.toml`: the one description of an arm that kinematics, limits and simulation read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, load};
use crate::observation::MAX_JOINTS;

/// An arm. Units: m, kg, s, rad, N, Nm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// Name, frames and poses.
    pub robot: RobotIdentity,
    /// Limits the safety filter keeps.
    pub limits: Limits,
    /// The two-finger gripper.
    pub gripper: Gripper,
    /// How the simulated servos behave.
    pub simulation: Simulation,
    /// Bodies, base first.
    pub link: Vec<Link>,
    /// Moving joints in chain order.
    pub joint: Vec<Joint>,
    /// Body shapes for the simulation.
    pub primitive: Vec<Primitive>,
    /// Forward-kinematics vectors computed by an independent tool.
    #[serde(default)]
    pub fk_test: Vec<FkTest>,
}

/// Name, frames and poses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotIdentity {
    /// Short name, as in launch files and checkpoints.
    pub name: String,
    /// Maker's name for it.
    pub model: String,
    /// Link that stands still.
    pub base_link: String,
    /// Rate of the control loop \[Hz\].
    pub control_rate_hz: f64,
    /// Neutral pose \[rad\].
    pub home: Vec<f64>,
    /// Pose in which torque can be released \[rad\].
    pub sleep: Vec<f64>,
    /// The controlled point.
    pub tool: Tool,
}

/// The controlled point, fixed in the last link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Link it is fixed to.
    pub parent: String,
    /// Position in that link \[m\].
    pub xyz: [f64; 3],
    /// Orientation in that link, fixed axes x, y, z \[rad\].
    pub rpy: [f64; 3],
}

/// Limits the safety filter keeps; always tighter than the maker's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest joint speed sent \[rad/s\], chain order.
    pub joint_velocity: Vec<f64>,
    /// Largest joint acceleration sent \[rad/s2\], chain order.
    pub joint_acceleration: Vec<f64>,
    /// Largest joint jerk sent \[rad/s3\], chain order.
    pub joint_jerk: Vec<f64>,
    /// Largest joint torque sent, on top of gravity compensation \[Nm\], chain order.
    pub joint_torque: Vec<f64>,
    /// Largest change of joint torque sent \[Nm/s\], chain order.
    pub joint_torque_rate: Vec<f64>,
    /// Largest speed of the tool point \[m/s\].
    pub tool_velocity: f64,
    /// Largest turning speed of the tool \[rad/s\].
    pub tool_rotation_velocity: f64,
    /// Margin kept from each joint's hard limit \[rad\].
    pub joint_margin: f64,
    /// Lower corner of the tool's box in the base frame \[m\].
    pub workspace_low: [f64; 3],
    /// Upper corner of the tool's box in the base frame \[m\].
    pub workspace_high: [f64; 3],
    /// Oldest action that may still move the arm \[s\].
    pub command_age: f64,
}

/// A parallel two-finger gripper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gripper {
    /// Finger position that counts as gripper 0 \[m from center\].
    pub finger_closed: f64,
    /// Finger position that counts as gripper 1 \[m from center\].
    pub finger_open: f64,
    /// Finger's inner stop \[m from center\].
    pub finger_min: f64,
    /// Finger's outer stop \[m from center\].
    pub finger_max: f64,
    /// Fastest finger motion \[m/s\].
    pub finger_velocity: f64,
    /// Largest force of one finger \[N\].
    pub finger_force: f64,
    /// Simulated finger servo stiffness \[N/m\].
    pub finger_stiffness: f64,
    /// Simulated finger servo damping \[N s/m\].
    pub finger_damping: f64,
    /// Simulated finger servo's reflected mass \[kg\].
    pub finger_armature: f64,
    /// Sliding friction coefficient of the pads.
    pub pad_friction: f64,
    /// The fingers.
    pub finger: Vec<Finger>,
}

impl Gripper {
    /// Finger position \[m\] for a gripper fraction (0 closed .. 1 open).
    pub fn finger_from_fraction(&self, fraction: f64) -> f64 {
        self.finger_closed + fraction * (self.finger_open - self.finger_closed)
    }

    /// Gripper fraction for a finger position \[m\].
    pub fn fraction_from_finger(&self, finger: f64) -> f64 {
        (finger - self.finger_closed) / (self.finger_open - self.finger_closed)
    }
}

/// One finger on its slide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finger {
    /// Joint name.
    pub name: String,
    /// Link the slide is fixed to.
    pub parent: String,
    /// Slide origin in that link \[m\].
    pub xyz: [f64; 3],
    /// Direction of opening in that link.
    pub axis: [f64; 3],
    /// The finger's own link.
    pub link: String,
}

/// How the simulated position servos behave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Servo stiffness \[Nm/rad\], chain order.
    pub stiffness: Vec<f64>,
    /// Servo damping \[Nm s/rad\], chain order.
    pub damping: Vec<f64>,
    /// Largest servo torque \[Nm\], chain order.
    pub force: Vec<f64>,
    /// Reflected rotor inertia \[kg m2\].
    pub armature: f64,
}

/// A rigid body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Name.
    pub name: String,
    /// Mass \[kg\].
    pub mass: f64,
    /// Center of mass in the link frame \[m\].
    pub com: [f64; 3],
    /// ixx, iyy, izz, ixy, ixz, iyz about the center of mass, in the link frame \[kg m2\].
    pub inertia: [f64; 6],
}

/// A revolute joint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    /// Name.
    pub name: String,
    /// Link before it.
    pub parent: String,
    /// Link it moves.
    pub child: String,
    /// Child frame's origin in the parent at q = 0 \[m\].
    pub xyz: [f64; 3],
    /// Child frame's orientation in the parent at q = 0, fixed axes x, y, z \[rad\].
    pub rpy: [f64; 3],
    /// Axis in the child frame.
    pub axis: [f64; 3],
    /// Hard lower limit \[rad\].
    pub lower: f64,
    /// Hard upper limit \[rad\].
    pub upper: f64,
    /// Maker's largest speed \[rad/s\].
    pub velocity: f64,
    /// Maker's largest effort \[Nm\].
    pub effort: f64,
    /// Maker's largest acceleration \[rad/s2\]; none where the maker gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceleration: Option<f64>,
    /// Maker's largest jerk \[rad/s3\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jerk: Option<f64>,
    /// Maker's largest change of effort \[Nm/s\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort_rate: Option<f64>,
}

/// A body shape, in its link's frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primitive {
    /// Link it belongs to.
    pub link: String,
    /// Box or cylinder.
    #[serde(rename = "type")]
    pub kind: PrimitiveKind,
    /// Half sizes of a box \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<[f64; 3]>,
    /// Radius of a cylinder \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<f64>,
    /// Half height of a cylinder, along its z \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_height: Option<f64>,
    /// Center \[m\].
    pub pos: [f64; 3],
    /// Orientation (w, x, y, z).
    pub quat_wxyz: [f64; 4],
    /// Is it a finger pad (grips, with pad friction)?
    #[serde(default)]
    pub pad: bool,
}

/// Shape of a [`Primitive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimitiveKind {
    /// `half` sizes.
    Box,
    /// `radius`, `half_height`.
    Cylinder,
}

/// One forward-kinematics vector: joints to the tool in the base link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FkTest {
    /// Joint positions \[rad\].
    pub q: Vec<f64>,
    /// Tool position in base \[m\].
    pub xyz: [f64; 3],
    /// Tool orientation in base (w, x, y, z).
    pub quat_wxyz: [f64; 4],
}

impl Robot {
    /// Path of an arm's description.
    pub fn path(root: &Path, name: &str) -> PathBuf {
        root.join("robots").join(name).join("robot.toml")
    }

    /// Reads and checks `robots/<name>/robot.toml`.
    pub fn load(root: &Path, name: &str) -> Result<Self, ConfigError> {
        let path = Self::path(root, name);
        let robot: Robot = load(&path)?;
        robot.check(&path)?;
        Ok(robot)
    }

    /// Names of the joints, chain order.
    pub fn joint_names(&self) -> Vec<String> {
        self.joint.iter().map(|j| j.name.clone()).collect()
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let n = self.joint.len();
        if n == 0 || n > MAX_JOINTS {
            return Err(ConfigError::unfit(
                path,
                "joint",
                n,
                format!("1 to {MAX_JOINTS} joints"),
                "list each moving joint once",
            ));
        }
        let lists: [(&str, &[f64]); 10] = [
            ("robot.home", &self.robot.home),
            ("robot.sleep", &self.robot.sleep),
            ("limits.joint_velocity", &self.limits.joint_velocity),
            ("limits.joint_acceleration", &self.limits.joint_acceleration),
            ("limits.joint_jerk", &self.limits.joint_jerk),
            ("limits.joint_torque", &self.limits.joint_torque),
            ("limits.joint_torque_rate", &self.limits.joint_torque_rate),
            ("simulation.stiffness", &self.simulation.stiffness),
            ("simulation.damping", &self.simulation.damping),
            ("simulation.force", &self.simulation.force),
        ];
        for (key, list) in lists {
            if list.len() != n {
                return Err(ConfigError::unfit(
                    path,
                    key,
                    format!("{} values", list.len()),
                    format!("{n}"),
                    "give one value per joint",
                ));
            }
        }
        for (i, joint) in self.joint.iter().enumerate() {
            let (ours, none) = (&self.limits, f64::MAX);
            let limits = [
                ("joint_velocity", ours.joint_velocity[i], joint.velocity, "rad/s"),
                ("joint_acceleration", ours.joint_acceleration[i], joint.acceleration.unwrap_or(none), "rad/s2"),
                ("joint_jerk", ours.joint_jerk[i], joint.jerk.unwrap_or(none), "rad/s3"),
                ("joint_torque", ours.joint_torque[i], joint.effort, "Nm"),
                ("joint_torque_rate", ours.joint_torque_rate[i], joint.effort_rate.unwrap_or(none), "Nm/s"),
            ];
            for (key, limit, maker, unit) in limits {
                // Written so that NaN fails it.
                if !(limit > 0.0 && limit <= maker) {
                    return Err(ConfigError::unfit(
                        path,
                        format!("limits.{key}[{i}]"),
                        limit,
                        format!("more than 0 and at most the maker's {maker} {unit}"),
                        "limits may only be tighter than the maker's",
                    ));
                }
            }
            if !(joint.lower < joint.upper) {
                return Err(ConfigError::unfit(
                    path,
                    format!("joint[{i}].lower"),
                    joint.lower,
                    format!("less than upper = {}", joint.upper),
                    "swap them",
                ));
            }
        }
        for axis in 0..3 {
            if !(self.limits.workspace_low[axis] < self.limits.workspace_high[axis]) {
                return Err(ConfigError::unfit(
                    path,
                    format!("limits.workspace_low[{axis}]"),
                    self.limits.workspace_low[axis],
                    format!("less than workspace_high = {}", self.limits.workspace_high[axis]),
                    "swap them",
                ));
            }
        }
        if !(self.robot.control_rate_hz >= 1.0 && self.robot.control_rate_hz <= 1000.0) {
            return Err(ConfigError::unfit(
                path,
                "robot.control_rate_hz",
                self.robot.control_rate_hz,
                "1 to 1000 Hz",
                "use the arm's own command rate",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widowx_description_is_complete() {
        let robot = Robot::load(Path::new(env!("CARGO_MANIFEST_DIR")), "widowx").unwrap();
        assert_eq!(robot.joint.len(), 6);
        assert_eq!(robot.gripper.finger_from_fraction(0.0), 0.010);
        assert!(robot.fk_test.len() >= 4);
    }

    #[test]
    fn a_missing_arm_names_the_file() {
        let error = Robot::load(Path::new("/nonexistent"), "widowx").unwrap_err().to_string();
        assert!(error.contains("robots/widowx/robot.toml"), "{error}");
    }
}

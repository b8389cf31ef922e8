//! `robots/<robot>/robot.toml`: the description of an arm, read by kinematics, limits and simulation.
//!
//! Long because it is one schema with its checks: fields in the order of the file, then the validation.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ConfigError, Gripper, load};
use crate::geometry::Approach;
use crate::observation::MAX_JOINTS;

/// An arm. Units: m, kg, s, rad, N, Nm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// Name, frames and poses.
    #[serde(rename = "robot")]
    pub identity: RobotIdentity,
    /// Limits kept by the safety filter.
    pub limits: Limits,
    /// The gripper.
    pub gripper: Gripper,
    /// Properties of the simulated servos.
    pub simulation: Simulation,
    /// Colors of the simulated arm.
    #[serde(default)]
    pub look: Look,
    /// Bodies, base first.
    pub link: Vec<Link>,
    /// Moving joints in chain order.
    pub joint: Vec<Joint>,
    /// Body shapes for the simulation.
    pub primitive: Vec<Primitive>,
    /// Clearances between parts of the arm.
    #[serde(default)]
    pub collision: Collision,
    /// Enclosing shapes that the safety filter keeps apart and above its planes; without any, neither is checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capsule: Vec<Capsule>,
    /// Forward-kinematics vectors computed by an independent tool.
    #[serde(default)]
    pub fk_test: Vec<FkTest>,
    /// Gravity torques computed by an independent tool.
    #[serde(default)]
    pub gravity_test: Vec<GravityTest>,
}

/// Name, frames and poses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobotIdentity {
    /// Short name, as in launch files and checkpoints.
    pub name: String,
    /// Manufacturer's name.
    pub model: String,
    /// Fixed base link.
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
    /// Parent link.
    pub parent: String,
    /// Position in that link \[m\].
    pub xyz: [f64; 3],
    /// Orientation in that link, fixed axes x, y, z \[rad\].
    pub rpy: [f64; 3],
    /// The axis that points out of the fingers.
    #[serde(default)]
    pub approach: Approach,
}

/// Limits kept by the safety filter; always tighter than the manufacturer's.
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
    /// Largest speed of the tool point commanded by a velocity law \[m/s\].
    pub tool_velocity: f64,
    /// Largest speed of the tool point in any mode \[m/s\]: the manufacturer's, or our choice if there is none.
    pub tool_speed: f64,
    /// Largest turning speed of the tool \[rad/s\].
    pub tool_rotation_velocity: f64,
    /// Margin kept from each joint's hard limit \[rad\].
    pub joint_margin: f64,
    /// Lower corner of the tool's box in the base frame \[m\].
    pub workspace_low: [f64; 3],
    /// Upper corner of the tool's box in the base frame \[m\].
    pub workspace_high: [f64; 3],
    /// Maximum age of an action that may move the arm \[s\].
    pub command_age: f64,
    /// How far a joint's command may lead the measured joint \[rad\]: more than its servo lags and sags.
    pub following_error: f64,
    /// How long it may exceed this \[s\]; then the joint counts as blocked and its command is taken back.
    pub following_time: f64,
    /// Planes that no part of the arm crosses: a table, a wall.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plane: Vec<Plane>,
}

/// A half-space the arm stays in, base frame: the points with `normal . point >= offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plane {
    /// Unit normal, pointing away from the forbidden side.
    pub normal: [f64; 3],
    /// Distance of the plane from the base frame's origin along the normal \[m\].
    pub offset: f64,
}

/// Clearances between parts of the arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collision {
    /// Least distance between two capsules, and between a capsule and a plane \[m\].
    pub margin: f64,
    /// Links with at most this many joints between them are not compared: their enclosing shapes overlap at the joint.
    pub neighbors: usize,
}

impl Default for Collision {
    fn default() -> Self {
        Self { margin: 0.01, neighbors: 2 }
    }
}

/// A capsule that encloses a part of a link, in the link's frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capsule {
    /// Link it belongs to.
    pub link: String,
    /// Center of one cap \[m\].
    pub from: [f64; 3],
    /// Center of the other cap \[m\].
    pub to: [f64; 3],
    /// Radius \[m\].
    pub radius: f64,
}

/// Properties of the simulated position servos.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Servo stiffness \[Nm/rad\], chain order.
    pub stiffness: Vec<f64>,
    /// Servo damping \[Nm s/rad\], chain order.
    pub damping: Vec<f64>,
    /// Largest servo torque \[Nm\], chain order.
    pub force: Vec<f64>,
    /// Reflected rotor inertia \[kg m2\], chain order.
    pub armature: Vec<f64>,
    /// Damping when the servos are off or apply torques \[Nm s/rad\], chain order; under servo control only `damping` applies.
    pub passive_damping: Vec<f64>,
    /// Does the arm's controller compensate gravity? Hobby servos do not, and sag.
    #[serde(default)]
    pub gravity_compensation: bool,
}

/// Colors of the simulated arm: red, green, blue, each 0..1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// Housings.
    pub body: [f64; 3],
    /// Cylinders and shapes marked as accent.
    pub joint: [f64; 3],
    /// Finger pads.
    pub pad: [f64; 3],
}

impl Default for Look {
    /// Black plastic and gray servos.
    fn default() -> Self {
        Self { body: [0.16, 0.16, 0.19], joint: [0.30, 0.31, 0.35], pad: [0.08, 0.08, 0.09] }
    }
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
    /// Parent link.
    pub parent: String,
    /// Child link.
    pub child: String,
    /// Child frame's origin in the parent at q = 0 \[m\].
    pub xyz: [f64; 3],
    /// Child frame's orientation in the parent at q = 0, fixed axes x, y, z \[rad\].
    pub rpy: [f64; 3],
    /// Axis in the child frame.
    pub axis: [f64; 3],
    /// Is it continuous? Its limits are then a choice, not a mechanical stop, and the arm may report any number of turns.
    #[serde(default)]
    pub continuous: bool,
    /// Hard lower limit \[rad\].
    pub lower: f64,
    /// Hard upper limit \[rad\].
    pub upper: f64,
    /// Manufacturer's largest speed \[rad/s\].
    pub velocity: f64,
    /// Manufacturer's largest effort \[Nm\].
    pub effort: f64,
    /// Manufacturer's largest acceleration \[rad/s2\], if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acceleration: Option<f64>,
    /// Manufacturer's largest jerk \[rad/s3\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jerk: Option<f64>,
    /// Manufacturer's largest rate of effort \[Nm/s\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort_rate: Option<f64>,
}

/// A body shape, in its link's frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primitive {
    /// Link it belongs to.
    pub link: String,
    /// Box, cylinder or capsule.
    #[serde(rename = "type")]
    pub kind: PrimitiveKind,
    /// Half sizes of a box \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<[f64; 3]>,
    /// Radius of a cylinder or capsule \[m\].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius: Option<f64>,
    /// Half height along its z \[m\]: of a cylinder, or of a capsule without its caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_height: Option<f64>,
    /// Center \[m\].
    pub pos: [f64; 3],
    /// Orientation (w, x, y, z).
    pub quat_wxyz: [f64; 4],
    /// Is it a finger pad (grips, with pad friction)?
    #[serde(default)]
    pub pad: bool,
    /// Is it drawn in the joint color?
    #[serde(default)]
    pub accent: bool,
}

/// Shape of a [`Primitive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrimitiveKind {
    /// `half` sizes.
    Box,
    /// `radius`, `half_height`.
    Cylinder,
    /// `radius`, `half_height` between the centers of its caps.
    Capsule,
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

/// One gravity vector: the joint torques that hold the arm still, base upright, 9.81 m/s2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GravityTest {
    /// Joint positions \[rad\].
    pub q: Vec<f64>,
    /// Finger position it was computed for \[m\] or \[rad\].
    pub finger: f64,
    /// Was it computed without the fingers' masses?
    #[serde(default)]
    pub massless_fingers: bool,
    /// Torques, chain order \[Nm\].
    pub torque: Vec<f64>,
}

/// The most capsules of an arm.
pub const MAX_CAPSULES: usize = 16;

/// The most planes around an arm.
pub const MAX_PLANES: usize = 4;

/// Rate from which a position is a point on a smooth curve and not a goal for the arm's own servo \[Hz\].
const STREAMING_RATE: f64 = 500.0;

impl Robot {
    /// Does the arm follow each position as a stream (Panda, FR3), instead of moving to it as a goal?
    pub fn streams_positions(&self) -> bool {
        self.identity.control_rate_hz >= STREAMING_RATE
    }

    /// Path of an arm's description.
    pub fn path(root: &Path, name: &str) -> PathBuf {
        root.join("robots").join(name).join("robot.toml")
    }

    /// Reads and checks `robots/<name>/robot.toml`.
    pub fn load(root: &Path, name: &str) -> Result<Self, ConfigError> {
        let path = Self::path(root, name);
        if !path.exists() {
            let expected = match Self::known(root).as_slice() {
                [] => "an arm with a description, and there is none".to_string(),
                known => format!("one of {}", known.join(", ")),
            };
            return Err(ConfigError::unfit(&path, "robot", name, expected, "choose one"));
        }
        let robot: Robot = load(&path)?;
        robot.check(&path)?;
        Ok(robot)
    }

    /// Names of the arms that have a description, sorted.
    fn known(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root.join("robots")).into_iter().flatten().flatten();
        let described = entries.filter(|entry| entry.path().join("robot.toml").is_file());
        let mut names: Vec<String> = described.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// The link with this name.
    pub fn link_named(&self, name: &str) -> Option<&Link> {
        self.link.iter().find(|link| link.name == name)
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
        let lists: [(&str, &[f64]); 12] = [
            ("robot.home", &self.identity.home),
            ("robot.sleep", &self.identity.sleep),
            ("limits.joint_velocity", &self.limits.joint_velocity),
            ("limits.joint_acceleration", &self.limits.joint_acceleration),
            ("limits.joint_jerk", &self.limits.joint_jerk),
            ("limits.joint_torque", &self.limits.joint_torque),
            ("limits.joint_torque_rate", &self.limits.joint_torque_rate),
            ("simulation.stiffness", &self.simulation.stiffness),
            ("simulation.damping", &self.simulation.damping),
            ("simulation.force", &self.simulation.force),
            ("simulation.armature", &self.simulation.armature),
            ("simulation.passive_damping", &self.simulation.passive_damping),
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
        // Launch files tighten these and action bounds are checked against them; written so that NaN fails.
        let ours = &self.limits;
        for (key, value, most, unit) in [
            ("tool_velocity", ours.tool_velocity, 3.0, "m/s"),
            ("tool_rotation_velocity", ours.tool_rotation_velocity, 6.3, "rad/s"),
            ("command_age", ours.command_age, 2.0, "s"),
        ] {
            if !(value > 0.0 && value <= most) {
                return Err(ConfigError::unfit(
                    path,
                    format!("limits.{key}"),
                    value,
                    format!("more than 0 and at most {most} {unit}"),
                    "no arm described here is allowed more by its maker",
                ));
            }
        }
        self.check_bodies(path)?;
        self.gripper.check(path)?;
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
        self.check_reach(path)?;
        if !(self.identity.control_rate_hz >= 1.0 && self.identity.control_rate_hz <= 1000.0) {
            return Err(ConfigError::unfit(
                path,
                "robot.control_rate_hz",
                self.identity.control_rate_hz,
                "1 to 1000 Hz",
                "use the arm's own command rate",
            ));
        }
        Ok(())
    }

    /// Checks speeds, following errors, planes and capsules.
    fn check_reach(&self, path: &Path) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let bounds = [
            ("limits.tool_speed", limits.tool_speed, 1e-3, 10.0, "0.001 to 10 m/s"),
            ("limits.tool_velocity", limits.tool_velocity, 1e-3, limits.tool_speed, "at most limits.tool_speed"),
            ("limits.following_error", limits.following_error, 1e-3, 1.0, "0.001 to 1 rad"),
            ("limits.following_time", limits.following_time, 0.0, 5.0, "0 to 5 s"),
            ("collision.margin", self.collision.margin, 0.0, 0.2, "0 to 0.2 m"),
        ];
        for (key, value, low, high, range) in bounds {
            // Written so that NaN fails it.
            if !(value >= low && value <= high) {
                return Err(ConfigError::unfit(path, key, value, range, "give a number in this range"));
            }
        }
        for (i, plane) in limits.plane.iter().enumerate() {
            let length = plane.normal.iter().map(|n| n * n).sum::<f64>().sqrt();
            if !((length - 1.0).abs() <= 1e-6 && plane.offset.is_finite()) || i >= MAX_PLANES {
                return Err(ConfigError::unfit(
                    path,
                    format!("limits.plane[{i}]"),
                    format!("normal of length {length}, offset {}", plane.offset),
                    format!("at most {MAX_PLANES} planes, each with a normal of length 1 and a finite offset"),
                    "divide the normal by its length",
                ));
            }
        }
        for (i, capsule) in self.capsule.iter().enumerate() {
            let known = capsule.link == self.identity.base_link || self.joint.iter().any(|j| j.child == capsule.link);
            let finite = capsule.from.iter().chain(&capsule.to).all(|value| value.is_finite());
            if !(known && finite && capsule.radius > 0.0 && capsule.radius <= 1.0) || i >= MAX_CAPSULES {
                return Err(ConfigError::unfit(
                    path,
                    format!("capsule[{i}]"),
                    format!("link `{}`, radius {} m", capsule.link, capsule.radius),
                    format!(
                        "at most {MAX_CAPSULES}, each on the base link or on one that a joint moves, radius 0 to 1 m"
                    ),
                    "check the name of the link and the numbers",
                ));
            }
        }
        Ok(())
    }

    /// Checks that every moving link has a body with valid mass and inertia.
    fn check_bodies(&self, path: &Path) -> Result<(), ConfigError> {
        let moved = self.joint.iter().map(|joint| &joint.child).chain(self.gripper.finger.iter().map(|f| &f.link));
        for name in moved {
            let Some(link) = self.link_named(name) else {
                return Err(ConfigError::unfit(
                    path,
                    "link",
                    format!("no link `{name}`"),
                    "a link for every joint and finger",
                    "add its mass, center of mass and inertia",
                ));
            };
            let [ixx, iyy, izz, ..] = link.inertia;
            let finite = link.com.iter().chain(&link.inertia).all(|value| value.is_finite());
            // The triangle inequality of moments of inertia, with tolerance for published rounding.
            let body = ixx + iyy >= izz * 0.999 && iyy + izz >= ixx * 0.999 && izz + ixx >= iyy * 0.999;
            if !(finite && body && ixx > 0.0 && iyy > 0.0 && izz > 0.0 && link.mass > 0.0 && link.mass < f64::MAX) {
                return Err(ConfigError::unfit(
                    path,
                    format!("link `{name}`"),
                    format!("mass {} kg, moments {ixx} {iyy} {izz} kg m2", link.mass),
                    "a mass above 0 and moments none of which exceeds the sum of the others",
                    "check the inertia and the frame it is given in",
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
    fn the_widowx_description_is_complete() {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap();
        assert_eq!(robot.joint.len(), 6);
        assert_eq!(robot.gripper.finger_from_fraction(0.0), 0.010);
        assert!(robot.fk_test.len() >= 4);
        assert!(robot.gravity_test.len() >= 4);
    }

    #[test]
    fn every_arm_in_the_repository_is_complete() {
        let root = Path::new(crate::CHECKOUT);
        for (name, joints, fingers) in [
            ("widowx", 6, 2),
            ("panda", 7, 2),
            ("fr3", 7, 2),
            ("sawyer", 7, 2),
            ("jaco_j2s7s300", 7, 3),
            ("jaco_j2n7s300", 7, 3),
            ("jaco_j2s6s300", 6, 3),
        ] {
            let robot = Robot::load(root, name).unwrap();
            assert_eq!((robot.joint.len(), robot.gripper.finger.len()), (joints, fingers), "{name}");
            assert_eq!(robot.identity.name, name);
            assert!(robot.fk_test.len() >= 3, "{name}");
        }
    }

    fn refusal(change: impl FnOnce(&mut Robot)) -> String {
        let mut robot = Robot::load(Path::new(crate::CHECKOUT), "panda").unwrap();
        change(&mut robot);
        robot.check(Path::new("panda.toml")).unwrap_err().to_string()
    }

    #[test]
    fn limits_looser_than_the_makers_are_refused_with_both_values() {
        let text = refusal(|robot| robot.limits.joint_jerk[1] = 4000.0);
        assert!(text.contains("limits.joint_jerk[1]") && text.contains("4000") && text.contains("3750"), "{text}");
        let text = refusal(|robot| robot.limits.tool_velocity = f64::NAN);
        assert!(text.contains("limits.tool_velocity") && text.contains("3 m/s"), "{text}");
        let text = refusal(|robot| robot.limits.command_age = 60.0);
        assert!(text.contains("limits.command_age") && text.contains("60"), "{text}");
        let text = refusal(|robot| robot.limits.joint_torque_rate[6] = f64::NAN);
        assert!(text.contains("limits.joint_torque_rate[6]") && text.contains("1000"), "{text}");
    }

    #[test]
    fn invalid_speeds_planes_and_capsules_are_refused_by_name() {
        let text = refusal(|robot| robot.limits.tool_speed = f64::NAN);
        assert!(text.contains("limits.tool_speed") && text.contains("NaN"), "{text}");
        let text = refusal(|robot| robot.limits.tool_velocity = 1.8);
        assert!(text.contains("limits.tool_velocity") && text.contains("1.8"), "{text}");
        let text = refusal(|robot| robot.limits.following_error = 0.0);
        assert!(text.contains("limits.following_error"), "{text}");
        let text = refusal(|robot| robot.limits.plane.push(Plane { normal: [0.0, 0.0, 2.0], offset: 0.0 }));
        assert!(text.contains("limits.plane") && text.contains("length 2"), "{text}");
        let (from, to) = ([0.0; 3], [0.0, 0.0, 0.1]);
        let text = refusal(|robot| robot.capsule = vec![Capsule { link: "no_such".into(), from, to, radius: 0.05 }]);
        assert!(text.contains("no_such"), "{text}");
        let text =
            refusal(|robot| robot.capsule = vec![Capsule { link: "panda_link3".into(), from, to, radius: f64::NAN }]);
        assert!(text.contains("capsule[0]") && text.contains("NaN"), "{text}");
    }

    #[test]
    fn invalid_bodies_are_refused_by_name() {
        // The CAD-like link 4 of franka_description: Ixx + Iyy < Izz.
        let text = refusal(|robot| robot.link[4].inertia = [0.00368, 0.00796, 0.01274, 0.0, 0.0, 0.0]);
        assert!(text.contains("panda_link4"), "{text}");
        let text = refusal(|robot| drop(robot.link.remove(9)));
        assert!(text.contains("panda_rightfinger"), "{text}");
        let text = refusal(|robot| robot.link[2].mass = f64::NAN);
        assert!(text.contains("panda_link2"), "{text}");
    }

    #[test]
    fn a_missing_arm_names_the_file() {
        let error = Robot::load(Path::new("/nonexistent"), "widowx").unwrap_err().to_string();
        assert!(error.contains("robots/widowx/robot.toml"), "{error}");
    }
}

//! The chain of joints: forward kinematics and the geometric Jacobian.

use nalgebra::{SMatrix, Unit, UnitQuaternion, Vector3};

use super::bodies::{Bodies, Placement};
use super::error::KinematicsError;
use crate::config::Robot;
use crate::geometry::{Approach, Pose, rotation_from_euler, wrap_angle};
use crate::observation::{JointVector, MAX_JOINTS};

/// Geometric Jacobian of the tool point in the base frame: tool velocity per joint velocity.
///
/// Rows 0..3 are linear \[m/rad\], rows 3..6 angular \[rad/rad\] (MuJoCo separates them, KDL has the same order).
/// Columns from [`Chain::joints`] on are zero: the size is fixed so that nothing allocates.
pub type Jacobian = SMatrix<f64, 6, MAX_JOINTS>;

/// Range of one joint \[rad\].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JointLimit {
    /// Lower end \[rad\].
    pub lower: f64,
    /// Upper end \[rad\].
    pub upper: f64,
}

impl JointLimit {
    /// Is the angle \[rad\] inside, ends included? NaN is not.
    pub fn contains(&self, angle: f64) -> bool {
        angle >= self.lower && angle <= self.upper
    }

    /// The angle \[rad\] shifted by whole turns to be nearest to `from`; `None` if that is outside.
    pub fn nearest_turn(&self, angle: f64, from: f64) -> Option<f64> {
        Some(from + wrap_angle(angle - from)).filter(|turned| self.contains(*turned))
    }
}

/// One revolute joint, ready to compute with.
#[derive(Clone, Copy, Debug)]
struct Revolute {
    /// Child frame in the parent at q = 0.
    parent_from_child: Pose,
    /// Axis in the child frame.
    axis: Unit<Vector3<f64>>,
}

/// A serial arm from base to tool.
#[derive(Clone, Debug)]
pub struct Chain {
    count: usize,
    revolute: [Revolute; MAX_JOINTS],
    last_from_tool: Pose,
    /// The tool axis that points out of the fingers.
    pub(super) approach: Approach,
    hard: [JointLimit; MAX_JOINTS],
    usable: [JointLimit; MAX_JOINTS],
    home: JointVector,
    bodies: Bodies,
}

/// Frames for one joint vector, shared by pose and Jacobian.
pub(super) struct Frames {
    /// Joint axes in the base frame.
    axes: [Vector3<f64>; MAX_JOINTS],
    /// Joint origins in the base frame \[m\].
    origins: [Vector3<f64>; MAX_JOINTS],
    /// The tool in the base frame.
    pub(super) base_from_tool: Pose,
}

impl Chain {
    /// Builds the chain of an arm; refuses joints that do not follow each other from the base link to the tool's.
    pub fn from_robot(robot: &Robot) -> Result<Self, KinematicsError> {
        let count = robot.joint.len();
        if count == 0 || count > MAX_JOINTS {
            return Err(KinematicsError::JointCount { found: count });
        }
        let still = Revolute { parent_from_child: Pose::identity(), axis: Vector3::z_axis() };
        let mut revolute = [still; MAX_JOINTS];
        let mut hard = [JointLimit::default(); MAX_JOINTS];
        let mut usable = [JointLimit::default(); MAX_JOINTS];
        let margin = robot.limits.joint_margin;
        let mut reached = &robot.identity.base_link;
        for (i, joint) in robot.joint.iter().enumerate() {
            if joint.parent != *reached {
                return Err(KinematicsError::Broken {
                    joint: joint.name.clone(),
                    found: joint.parent.clone(),
                    expected: reached.clone(),
                });
            }
            reached = &joint.child;
            let axis = Vector3::from(joint.axis);
            if !(axis.norm() > 1e-9 && axis.norm().is_finite()) {
                return Err(KinematicsError::Axis { joint: joint.name.clone(), axis: format!("{:?}", joint.axis) });
            }
            revolute[i] = Revolute { parent_from_child: fixed(joint.xyz, joint.rpy), axis: Unit::new_normalize(axis) };
            hard[i] = JointLimit { lower: joint.lower, upper: joint.upper };
            usable[i] = JointLimit { lower: joint.lower + margin, upper: joint.upper - margin };
            if !(usable[i].lower < usable[i].upper) || !(margin >= 0.0) {
                return Err(KinematicsError::NoRoom {
                    joint: joint.name.clone(),
                    lower: joint.lower.to_string(),
                    upper: joint.upper.to_string(),
                });
            }
        }
        let tool = &robot.identity.tool;
        if tool.parent != *reached {
            return Err(KinematicsError::ToolParent { found: tool.parent.clone(), expected: reached.clone() });
        }
        let home = JointVector::from_slice(&robot.identity.home);
        let bodies = Bodies::of(robot)?;
        let last_from_tool = fixed(tool.xyz, tool.rpy);
        Ok(Self { count, revolute, last_from_tool, approach: tool.approach, hard, usable, home, bodies })
    }

    /// Number of joints.
    pub fn joints(&self) -> usize {
        self.count
    }

    /// Hard limits of the joints \[rad\], chain order.
    pub fn limits(&self) -> &[JointLimit] {
        &self.hard[..self.count]
    }

    /// Limits less the arm's margin \[rad\], chain order, as kept by inverse kinematics and `safety`.
    pub fn usable_limits(&self) -> &[JointLimit] {
        &self.usable[..self.count]
    }

    /// The arm's neutral pose \[rad\], chain order.
    pub fn home(&self) -> &JointVector {
        &self.home
    }

    /// Pose of the tool in the base frame for joint positions `q` \[rad\]. A joint missing from `q` counts as NaN.
    pub fn forward(&self, q: &[f64]) -> Pose {
        let mut pose = Pose::identity();
        for (i, revolute) in self.revolute[..self.count].iter().enumerate() {
            pose *= revolute.parent_from_child;
            pose.rotation *= UnitQuaternion::from_axis_angle(&revolute.axis, q.get(i).copied().unwrap_or(f64::NAN));
        }
        pose * self.last_from_tool
    }

    /// The arm's capsules and planes.
    pub fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// Tool and capsules for joint positions `q` \[rad\]. A joint missing from `q` counts as NaN.
    pub fn place(&self, q: &[f64]) -> Placement {
        let mut links = [Pose::identity(); MAX_JOINTS + 1];
        let mut pose = Pose::identity();
        for (i, revolute) in self.revolute[..self.count].iter().enumerate() {
            pose *= revolute.parent_from_child;
            pose.rotation *= UnitQuaternion::from_axis_angle(&revolute.axis, q.get(i).copied().unwrap_or(f64::NAN));
            links[i + 1] = pose;
        }
        self.bodies.place(&links, (pose * self.last_from_tool).translation.vector)
    }

    /// Geometric [`Jacobian`] of the tool point in the base frame at joint positions `q` \[rad\].
    pub fn jacobian(&self, q: &[f64]) -> Jacobian {
        self.jacobian_of(&self.frames(q))
    }

    pub(super) fn frames(&self, q: &[f64]) -> Frames {
        let mut axes = [Vector3::zeros(); MAX_JOINTS];
        let mut origins = [Vector3::zeros(); MAX_JOINTS];
        let mut pose = Pose::identity();
        for (i, revolute) in self.revolute[..self.count].iter().enumerate() {
            pose *= revolute.parent_from_child;
            axes[i] = pose.rotation * revolute.axis.into_inner();
            origins[i] = pose.translation.vector;
            pose.rotation *= UnitQuaternion::from_axis_angle(&revolute.axis, q.get(i).copied().unwrap_or(f64::NAN));
        }
        Frames { axes, origins, base_from_tool: pose * self.last_from_tool }
    }

    pub(super) fn jacobian_of(&self, frames: &Frames) -> Jacobian {
        let mut jacobian = Jacobian::zeros();
        let tool = frames.base_from_tool.translation.vector;
        for i in 0..self.count {
            let linear = frames.axes[i].cross(&(tool - frames.origins[i]));
            jacobian.fixed_view_mut::<3, 1>(0, i).copy_from(&linear);
            jacobian.fixed_view_mut::<3, 1>(3, i).copy_from(&frames.axes[i]);
        }
        jacobian
    }
}

fn fixed(xyz: [f64; 3], rpy: [f64; 3]) -> Pose {
    Pose::from_parts(Vector3::from(xyz).into(), rotation_from_euler(rpy[0], rpy[1], rpy[2]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    fn widowx() -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
    }

    #[test]
    fn forward_agrees_with_every_independent_vector() {
        let root = Path::new(crate::CHECKOUT);
        for name in ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"] {
            agrees_with_its_vectors(&Robot::load(root, name).unwrap());
        }
    }

    fn agrees_with_its_vectors(robot: &Robot) {
        let chain = Chain::from_robot(robot).unwrap();
        assert!(robot.fk_test.len() >= 3);
        for test in &robot.fk_test {
            let pose = chain.forward(&test.q);
            for axis in 0..3 {
                let error = pose.translation.vector[axis] - test.xyz[axis];
                assert!(error.abs() < 1e-9, "q {:?}, axis {axis}: {error} m", test.q);
            }
            let [w, x, y, z] = test.quat_wxyz;
            let got = pose.rotation.quaternion();
            // The file keeps nine digits; q and -q are one orientation.
            let sign = if got.w * w + got.i * x + got.j * y + got.k * z < 0.0 { -1.0 } else { 1.0 };
            for (found, expected) in [(got.w, w), (got.i, x), (got.j, y), (got.k, z)] {
                assert!((sign * found - expected).abs() < 1e-9, "q {:?}: {found} vs {expected}", test.q);
            }
        }
    }

    #[test]
    fn a_joint_missing_from_the_vector_does_not_count_as_zero() {
        let chain = Chain::from_robot(&widowx()).unwrap();
        assert!(chain.forward(&[0.0; 5]).translation.vector.iter().any(|v| v.is_nan()));
    }

    #[test]
    fn joints_out_of_order_are_refused_by_name() {
        let mut robot = widowx();
        robot.joint.swap(1, 2);
        let error = Chain::from_robot(&robot).unwrap_err();
        assert!(matches!(&error, KinematicsError::Broken { joint, .. } if joint == "elbow"), "{error}");
    }

    #[test]
    fn a_tool_that_is_not_on_the_last_link_is_refused() {
        let mut robot = widowx();
        robot.identity.tool.parent = "wrist_link".into();
        assert!(matches!(Chain::from_robot(&robot), Err(KinematicsError::ToolParent { .. })));
    }

    #[test]
    fn an_axis_without_direction_and_a_margin_without_room_are_refused() {
        let mut robot = widowx();
        robot.joint[3].axis = [0.0; 3];
        assert!(matches!(Chain::from_robot(&robot), Err(KinematicsError::Axis { .. })));
        for margin in [3.0, -0.1, f64::NAN] {
            let mut robot = widowx();
            robot.limits.joint_margin = margin;
            assert!(matches!(Chain::from_robot(&robot), Err(KinematicsError::NoRoom { .. })));
        }
    }

    #[test]
    fn no_joints_and_too_many_joints_are_refused() {
        let mut robot = widowx();
        robot.joint.clear();
        assert_eq!(Chain::from_robot(&robot).unwrap_err(), KinematicsError::JointCount { found: 0 });
        let mut robot = widowx();
        let more: Vec<_> = robot.joint.iter().cycle().take(9).cloned().collect();
        robot.joint = more;
        assert_eq!(Chain::from_robot(&robot).unwrap_err(), KinematicsError::JointCount { found: 9 });
    }

    proptest! {
        #[test]
        fn the_jacobian_is_the_derivative_of_forward(q in proptest::array::uniform6(-1.5..1.5f64)) {
            let chain = Chain::from_robot(&widowx()).unwrap();
            let jacobian = chain.jacobian(&q);
            let step = 1e-6;
            for joint in 0..6 {
                let (mut before, mut after) = (q, q);
                before[joint] -= step;
                after[joint] += step;
                let (before, after) = (chain.forward(&before), chain.forward(&after));
                let linear = (after.translation.vector - before.translation.vector) / (2.0 * step);
                let angular = (after.rotation * before.rotation.inverse()).scaled_axis() / (2.0 * step);
                for axis in 0..3 {
                    prop_assert!((jacobian[(axis, joint)] - linear[axis]).abs() < 1e-8);
                    prop_assert!((jacobian[(axis + 3, joint)] - angular[axis]).abs() < 1e-8);
                }
            }
            prop_assert_eq!(jacobian.columns(6, MAX_JOINTS - 6).norm(), 0.0);
        }
    }
}

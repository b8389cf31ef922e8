//! Dynamics of the arm: gravity, mass matrix, Coriolis and centrifugal torques, separately and together.
//!
//! Units: rad, rad/s, rad/s2, Nm, kg, kg m2. The base stands upright: gravity points along the base frame's -z with
//! [`GRAVITY`]. Everything that is fixed to a link moves with it: fingers at the position last set
//! ([`Dynamics::set_finger`], at first half open) and a payload ([`Dynamics::set_payload`]). Rotors, gears and friction
//! are not in here: a simulated joint's armature comes on top of the mass matrix's diagonal.
//!
//! All quantities are spatial vectors about the base frame's origin (Featherstone, "Rigid Body Dynamics Algorithms",
//! 2008: composite rigid bodies in section 6.2, recursive Newton-Euler in section 5.3). With one reference point, the
//! bodies behind a joint are summed without transforms. Nothing allocates; non-finite numbers propagate.
//!
//! One file because the terms share one placement of the bodies; a third of it is tests. Start reading at [`Dynamics::terms`].

use nalgebra::{Matrix3, SMatrix, Vector3};

use super::chain::Chain;
use super::error::KinematicsError;
use crate::config::{FingerJoint, Link, Robot};
use crate::geometry::rotation_from_euler;
use crate::observation::{JointVector, MAX_JOINTS};

/// Gravity \[m/s2\], as in the arms' controllers and the vectors of `robots/`.
pub const GRAVITY: f64 = 9.81;
/// Maximum number of fingers.
const MAX_FINGERS: usize = 4;

/// Joint-space mass matrix \[kg m2\], symmetric. Rows and columns from [`Dynamics::joints`] on are zero: the size is fixed
/// so that nothing allocates.
pub type MassMatrix = SMatrix<f64, MAX_JOINTS, MAX_JOINTS>;

/// Terms of the arm's equation of motion at one position and velocity: `torque = mass * acceleration + coriolis + gravity`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Torques that hold the arm still \[Nm\].
    pub gravity: JointVector,
    /// Mass matrix \[kg m2\].
    pub mass: MassMatrix,
    /// Coriolis and centrifugal torques \[Nm\].
    pub coriolis: JointVector,
}

/// Object held by the gripper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Mass \[kg\].
    pub mass: f64,
    /// Center of mass in the tool frame \[m\].
    pub com: [f64; 3],
    /// ixx, iyy, izz, ixy, ixz, iyz about the center of mass, in the tool frame \[kg m2\].
    pub inertia: [f64; 6],
}

impl Payload {
    /// Nothing held.
    pub const NONE: Payload = Payload { mass: 0.0, com: [0.0; 3], inertia: [0.0; 6] };
}

/// A rigid body in its link's frame.
#[derive(Clone, Copy, Debug)]
struct Body {
    mass: f64,
    com: Vector3<f64>,
    /// About the center of mass.
    inertia: Matrix3<f64>,
}

impl Body {
    const NOTHING: Body =
        Body { mass: 0.0, com: Vector3::new(0.0, 0.0, 0.0), inertia: SMatrix::from_array_storage(ZERO) };

    fn new(mass: f64, com: [f64; 3], [xx, yy, zz, xy, xz, yz]: [f64; 6]) -> Self {
        Self { mass, com: com.into(), inertia: Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz) }
    }

    fn of_link(link: &Link) -> Self {
        Self::new(link.mass, link.com, link.inertia)
    }

    /// The same body seen from a frame in which its own sits at `offset`, turned by `rotation`.
    fn seen_from(&self, rotation: &Matrix3<f64>, offset: &Vector3<f64>) -> Self {
        Self {
            mass: self.mass,
            com: rotation * self.com + offset,
            inertia: rotation * self.inertia * rotation.transpose(),
        }
    }

    /// Both bodies combined.
    fn with(&self, other: &Self) -> Self {
        let mass = self.mass + other.mass;
        if mass == 0.0 {
            return Self::NOTHING;
        }
        let com = (self.com * self.mass + other.com * other.mass) / mass;
        let about = |body: &Self| body.inertia + point_inertia(body.mass, &(body.com - com));
        Self { mass, com, inertia: about(self) + about(other) }
    }
}

const ZERO: nalgebra::ArrayStorage<f64, 3, 3> = nalgebra::ArrayStorage([[0.0; 3]; 3]);

/// Inertia about the origin of a point mass `at` this position.
fn point_inertia(mass: f64, at: &Vector3<f64>) -> Matrix3<f64> {
    (Matrix3::from_diagonal_element(at.norm_squared()) - at * at.transpose()) * mass
}

/// One joint and the link it moves.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// Child frame in the parent at q = 0.
    rotation: Matrix3<f64>,
    offset: Vector3<f64>,
    /// Axis in the child frame, and the two matrices of Rodrigues' formula.
    axis: Vector3<f64>,
    cross: Matrix3<f64>,
    cross_squared: Matrix3<f64>,
    /// The link alone.
    bare: Body,
    /// The link with everything now fixed to it.
    body: Body,
}

/// A finger fixed to a link.
#[derive(Clone, Copy, Debug)]
struct CarriedFinger {
    /// Stage of its link.
    stage: usize,
    rotation: Matrix3<f64>,
    offset: Vector3<f64>,
    axis: Vector3<f64>,
    joint: FingerJoint,
    body: Body,
}

/// An arm's equation of motion.
#[derive(Clone, Debug)]
pub struct Dynamics {
    count: usize,
    stage: [Stage; MAX_JOINTS],
    fingers: usize,
    finger: [CarriedFinger; MAX_FINGERS],
    /// Tool in the last link.
    tool_rotation: Matrix3<f64>,
    tool_offset: Vector3<f64>,
    payload: Payload,
    finger_position: f64,
}

/// Everything in the base frame, about its origin.
struct Placed {
    /// Direction of each joint axis.
    axis: [Vector3<f64>; MAX_JOINTS],
    /// Velocity of the origin moving with the turning joint: joint origin x axis.
    moment: [Vector3<f64>; MAX_JOINTS],
    /// Mass of each link.
    mass: [f64; MAX_JOINTS],
    /// Mass times center of mass of each link.
    first: [Vector3<f64>; MAX_JOINTS],
    /// Inertia of each link about the origin.
    inertia: [Matrix3<f64>; MAX_JOINTS],
}

impl Dynamics {
    /// Builds the equation of motion of an arm without payload, fingers half open; refuses what [`Chain::from_robot`]
    /// refuses, and links without a body.
    pub fn from_robot(robot: &Robot) -> Result<Self, KinematicsError> {
        // Refuses broken or too long chains, and joints without axes.
        let chain = Chain::from_robot(robot)?;
        let body_of = |name: &str| {
            robot.link_named(name).map(Body::of_link).ok_or_else(|| KinematicsError::Bodiless { link: name.to_owned() })
        };
        let nothing = Stage {
            rotation: Matrix3::identity(),
            offset: Vector3::zeros(),
            axis: Vector3::z(),
            cross: Matrix3::zeros(),
            cross_squared: Matrix3::zeros(),
            bare: Body::NOTHING,
            body: Body::NOTHING,
        };
        let mut stage = [nothing; MAX_JOINTS];
        for (to, joint) in stage.iter_mut().zip(&robot.joint) {
            let axis = Vector3::from(joint.axis).normalize();
            let bare = body_of(&joint.child)?;
            *to = Stage {
                rotation: rotation(joint.rpy),
                offset: joint.xyz.into(),
                axis,
                cross: axis.cross_matrix(),
                cross_squared: axis.cross_matrix() * axis.cross_matrix(),
                bare,
                body: bare,
            };
        }
        let mut finger = [CarriedFinger {
            stage: 0,
            rotation: Matrix3::identity(),
            offset: Vector3::zeros(),
            axis: Vector3::z(),
            joint: FingerJoint::Slide,
            body: Body::NOTHING,
        }; MAX_FINGERS];
        let described = &robot.gripper.finger;
        if described.len() > MAX_FINGERS {
            return Err(KinematicsError::FingerCount { found: described.len() });
        }
        for (to, from) in finger.iter_mut().zip(described) {
            let Some(stage) = robot.joint.iter().position(|joint| joint.child == from.parent) else {
                return Err(KinematicsError::FingerParent { finger: from.name.clone(), found: from.parent.clone() });
            };
            *to = CarriedFinger {
                stage,
                rotation: rotation(from.rpy),
                offset: from.xyz.into(),
                axis: Vector3::from(from.axis).normalize(),
                joint: robot.gripper.finger_joint,
                body: body_of(&from.link)?,
            };
        }
        let tool = &robot.identity.tool;
        let mut dynamics = Self {
            count: chain.joints(),
            stage,
            fingers: described.len(),
            finger,
            tool_rotation: rotation(tool.rpy),
            tool_offset: tool.xyz.into(),
            payload: Payload::NONE,
            finger_position: 0.0,
        };
        dynamics.set_finger(robot.gripper.finger_from_fraction(0.5));
        Ok(dynamics)
    }

    /// Number of joints.
    pub fn joints(&self) -> usize {
        self.count
    }

    /// Sets the fingers' position, the same for all \[m\] or \[rad\].
    pub fn set_finger(&mut self, position: f64) {
        self.finger_position = position;
        self.gather();
    }

    /// Sets the payload. Refuses a physically impossible mass or inertia.
    pub fn set_payload(&mut self, payload: Payload) -> Result<(), KinematicsError> {
        let [xx, yy, zz, ..] = payload.inertia;
        let finite = payload.com.iter().chain(&payload.inertia).all(|value| value.is_finite());
        if !(finite && payload.mass >= 0.0 && payload.mass < f64::MAX && xx >= 0.0 && yy >= 0.0 && zz >= 0.0) {
            return Err(KinematicsError::Payload { found: format!("{payload:?}") });
        }
        self.payload = payload;
        self.gather();
        Ok(())
    }

    /// Sums the bodies fixed to each link.
    fn gather(&mut self) {
        for stage in &mut self.stage[..self.count] {
            stage.body = stage.bare;
        }
        for finger in &self.finger[..self.fingers] {
            let (turn, shift) = match finger.joint {
                FingerJoint::Slide => (Matrix3::identity(), finger.axis * self.finger_position),
                FingerJoint::Hinge => (turned(&finger.axis, self.finger_position), Vector3::zeros()),
            };
            let rotation = finger.rotation * turn;
            let offset = finger.offset + finger.rotation * shift;
            let body = &mut self.stage[finger.stage].body;
            *body = body.with(&finger.body.seen_from(&rotation, &offset));
        }
        if let Some(last) = self.stage[..self.count].last_mut() {
            let Payload { mass, com, inertia } = self.payload;
            let held = Body::new(mass, com, inertia).seen_from(&self.tool_rotation, &self.tool_offset);
            last.body = last.body.with(&held);
        }
    }

    /// Gravity, mass matrix and Coriolis torques at joint positions `q` \[rad\] and velocities `v` \[rad/s\].
    /// A joint missing from either counts as NaN.
    pub fn terms(&self, q: &[f64], v: &[f64]) -> Terms {
        let placed = self.place(q);
        Terms {
            gravity: self.gravity_of(&placed),
            mass: self.mass_of(&placed),
            coriolis: self.newton_euler(&placed, v, None, &Vector3::zeros()),
        }
    }

    /// Torques that hold the arm still at `q` \[rad\] \[Nm\].
    pub fn gravity(&self, q: &[f64]) -> JointVector {
        self.gravity_of(&self.place(q))
    }

    /// Mass matrix at `q` \[rad\] \[kg m2\].
    pub fn mass_matrix(&self, q: &[f64]) -> MassMatrix {
        self.mass_of(&self.place(q))
    }

    /// Coriolis and centrifugal torques at `q` \[rad\] and `v` \[rad/s\] \[Nm\].
    pub fn coriolis(&self, q: &[f64], v: &[f64]) -> JointVector {
        self.newton_euler(&self.place(q), v, None, &Vector3::zeros())
    }

    /// Torques \[Nm\] for accelerations `a` \[rad/s2\] at `q` \[rad\] and `v` \[rad/s\], gravity included.
    pub fn inverse_dynamics(&self, q: &[f64], v: &[f64], a: &[f64]) -> JointVector {
        // An arm at rest in gravity is equivalent to one accelerated upward without gravity.
        self.newton_euler(&self.place(q), v, Some(a), &Vector3::new(0.0, 0.0, GRAVITY))
    }

    fn place(&self, q: &[f64]) -> Placed {
        let mut placed = Placed {
            axis: [Vector3::zeros(); MAX_JOINTS],
            moment: [Vector3::zeros(); MAX_JOINTS],
            mass: [0.0; MAX_JOINTS],
            first: [Vector3::zeros(); MAX_JOINTS],
            inertia: [Matrix3::zeros(); MAX_JOINTS],
        };
        let mut rotation = Matrix3::identity();
        let mut origin = Vector3::zeros();
        for (i, stage) in self.stage[..self.count].iter().enumerate() {
            let (sin, cos) = q.get(i).copied().unwrap_or(f64::NAN).sin_cos();
            origin += rotation * stage.offset;
            // Rodrigues: 1 + sin K + (1 - cos) K^2.
            let turn = Matrix3::identity() + stage.cross * sin + stage.cross_squared * (1.0 - cos);
            rotation = rotation * stage.rotation * turn;
            let axis = rotation * stage.axis;
            placed.axis[i] = axis;
            placed.moment[i] = origin.cross(&axis);
            let body = stage.body.seen_from(&rotation, &origin);
            placed.mass[i] = body.mass;
            placed.first[i] = body.com * body.mass;
            placed.inertia[i] = body.inertia + point_inertia(body.mass, &body.com);
        }
        placed
    }

    fn gravity_of(&self, placed: &Placed) -> JointVector {
        let mut torque = JointVector::zeros(self.count);
        let up = Vector3::new(0.0, 0.0, GRAVITY);
        let (mut mass, mut first) = (0.0, Vector3::zeros());
        for i in (0..self.count).rev() {
            mass += placed.mass[i];
            first += placed.first[i];
            torque[i] = placed.axis[i].dot(&first.cross(&up)) + placed.moment[i].dot(&up) * mass;
        }
        torque
    }

    fn mass_of(&self, placed: &Placed) -> MassMatrix {
        let mut matrix = MassMatrix::zeros();
        let (mut mass, mut first, mut inertia) = (0.0, Vector3::zeros(), Matrix3::zeros());
        for j in (0..self.count).rev() {
            mass += placed.mass[j];
            first += placed.first[j];
            inertia += placed.inertia[j];
            // Momentum of everything behind joint j when it turns at 1 rad/s.
            let (turning, moving) = (&placed.axis[j], &placed.moment[j]);
            let linear = moving * mass + turning.cross(&first);
            let angular = inertia * turning + first.cross(moving);
            for i in 0..=j {
                let value = placed.axis[i].dot(&angular) + placed.moment[i].dot(&linear);
                matrix[(i, j)] = value;
                matrix[(j, i)] = value;
            }
        }
        matrix
    }

    fn newton_euler(&self, placed: &Placed, v: &[f64], a: Option<&[f64]>, lift: &Vector3<f64>) -> JointVector {
        let mut moments = [Vector3::zeros(); MAX_JOINTS];
        let mut forces = [Vector3::zeros(); MAX_JOINTS];
        // Velocity and acceleration of the link, as angular part and that of its point at the origin.
        let (mut turning, mut moving) = (Vector3::zeros(), Vector3::zeros());
        let (mut turning_faster, mut moving_faster) = (Vector3::zeros(), *lift);
        for i in 0..self.count {
            let speed = v.get(i).copied().unwrap_or(f64::NAN);
            let faster = a.map_or(0.0, |a| a.get(i).copied().unwrap_or(f64::NAN));
            let (axis, moment) = (&placed.axis[i], &placed.moment[i]);
            turning_faster += axis * faster + turning.cross(axis) * speed;
            moving_faster += moment * faster + (turning.cross(moment) + moving.cross(axis)) * speed;
            turning += axis * speed;
            moving += moment * speed;
            let (mass, first, inertia) = (placed.mass[i], &placed.first[i], &placed.inertia[i]);
            let linear = moving * mass + turning.cross(first);
            let angular = inertia * turning + first.cross(&moving);
            forces[i] = moving_faster * mass + turning_faster.cross(first) + turning.cross(&linear);
            moments[i] = inertia * turning_faster
                + first.cross(&moving_faster)
                + turning.cross(&angular)
                + moving.cross(&linear);
        }
        let mut torque = JointVector::zeros(self.count);
        let (mut moment, mut force) = (Vector3::zeros(), Vector3::zeros());
        for i in (0..self.count).rev() {
            moment += moments[i];
            force += forces[i];
            torque[i] = placed.axis[i].dot(&moment) + placed.moment[i].dot(&force);
        }
        torque
    }
}

fn rotation(rpy: [f64; 3]) -> Matrix3<f64> {
    rotation_from_euler(rpy[0], rpy[1], rpy[2]).to_rotation_matrix().into_inner()
}

fn turned(axis: &Vector3<f64>, angle: f64) -> Matrix3<f64> {
    let cross = axis.cross_matrix();
    Matrix3::identity() + cross * angle.sin() + cross * cross * (1.0 - angle.cos())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    const ARMS: [&str; 7] = ["widowx", "panda", "fr3", "sawyer", "jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"];

    fn robot(name: &str) -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), name).unwrap()
    }

    #[test]
    fn gravity_agrees_with_every_independent_vector() {
        let mut compared = 0;
        for name in ARMS {
            let robot = robot(name);
            for test in &robot.gravity_test {
                let mut robot = robot.clone();
                if test.massless_fingers {
                    for finger in &robot.gripper.finger {
                        let link = robot.link.iter_mut().find(|link| link.name == finger.link).unwrap();
                        (link.mass, link.inertia) = (0.0, [0.0; 6]);
                    }
                }
                let mut dynamics = Dynamics::from_robot(&robot).unwrap();
                dynamics.set_finger(test.finger);
                for (joint, (found, expected)) in dynamics.gravity(&test.q).iter().zip(&test.torque).enumerate() {
                    // The files keep nine digits of torques up to 44 Nm, and of masses, centers and angles.
                    let off = (found - expected).abs();
                    assert!(off < 5e-7, "{name} joint {joint} at {:?}: {found} Nm vs {expected} Nm", test.q);
                    compared += 1;
                }
            }
        }
        assert!(compared > 100, "{compared}");
    }

    #[test]
    fn a_payload_weighs_what_it_weighs_at_the_tool() {
        let robot = robot("panda");
        let chain = Chain::from_robot(&robot).unwrap();
        let mut dynamics = Dynamics::from_robot(&robot).unwrap();
        let q = [0.3, -0.5, 0.2, -2.0, 0.4, 1.8, -0.6];
        let before = dynamics.gravity(&q);
        dynamics.set_payload(Payload { mass: 1.5, com: [0.0; 3], inertia: [0.0; 6] }).unwrap();
        let after = dynamics.gravity(&q);
        let jacobian = chain.jacobian(&q);
        for joint in 0..7 {
            // A force of 1.5 * 9.81 N upwards at the tool, by virtual work.
            let expected = jacobian[(2, joint)] * 1.5 * GRAVITY;
            assert!((after[joint] - before[joint] - expected).abs() < 1e-9);
        }
        dynamics.set_payload(Payload::NONE).unwrap();
        assert_eq!(dynamics.gravity(&q), before);
    }

    #[test]
    fn physically_impossible_payloads_are_refused() {
        let mut dynamics = Dynamics::from_robot(&robot("panda")).unwrap();
        for mass in [-1.0, f64::NAN, f64::INFINITY] {
            let refused = dynamics.set_payload(Payload { mass, ..Payload::NONE });
            assert!(matches!(refused, Err(KinematicsError::Payload { .. })));
        }
        let refused = dynamics.set_payload(Payload { inertia: [0.0, -1.0, 0.0, 0.0, 0.0, 0.0], ..Payload::NONE });
        assert!(matches!(refused, Err(KinematicsError::Payload { .. })));
    }

    #[test]
    fn links_without_a_body_and_fingers_without_a_parent_are_refused_by_name() {
        let mut broken = robot("sawyer");
        broken.link.retain(|link| link.name != "right_l3");
        let error = Dynamics::from_robot(&broken).unwrap_err();
        assert_eq!(error, KinematicsError::Bodiless { link: "right_l3".into() });
        let mut broken = robot("sawyer");
        broken.gripper.finger[1].parent = "nowhere".into();
        assert!(Dynamics::from_robot(&broken).unwrap_err().to_string().contains("nowhere"));
    }

    #[test]
    fn a_missing_joint_does_not_count_as_zero() {
        let dynamics = Dynamics::from_robot(&robot("panda")).unwrap();
        assert!(!dynamics.gravity(&[0.0; 6]).is_finite());
        assert!(!dynamics.coriolis(&[0.0; 7], &[0.0; 6]).is_finite());
    }

    proptest! {
        #[test]
        fn the_terms_are_one_equation_of_motion(
            arm in 0..ARMS.len(),
            q in proptest::array::uniform7(-2.5..2.5f64),
            v in proptest::array::uniform7(-2.0..2.0f64),
            a in proptest::array::uniform7(-5.0..5.0f64),
        ) {
            let dynamics = Dynamics::from_robot(&robot(ARMS[arm])).unwrap();
            let n = dynamics.joints();
            let terms = dynamics.terms(&q, &v);
            let torque = dynamics.inverse_dynamics(&q, &v, &a);
            for i in 0..n {
                let mut sum = terms.gravity[i] + terms.coriolis[i];
                for (j, faster) in a.iter().enumerate().take(n) {
                    sum += terms.mass[(i, j)] * faster;
                    prop_assert_eq!(terms.mass[(i, j)], terms.mass[(j, i)]);
                }
                prop_assert!((torque[i] - sum).abs() < 1e-10, "{} vs {}", torque[i], sum);
            }
            let block = terms.mass.view((0, 0), (n, n)).into_owned();
            prop_assert!(block.symmetric_eigenvalues().min() > 0.0);
            prop_assert_eq!(terms.gravity, dynamics.gravity(&q));
            prop_assert_eq!(terms.mass, dynamics.mass_matrix(&q));
            prop_assert_eq!(terms.coriolis, dynamics.coriolis(&q, &v));
        }

        /// Velocity-product torques conserve energy: v.c = v.M'v / 2.
        #[test]
        fn coriolis_torques_keep_the_energy(
            arm in 0..ARMS.len(),
            q in proptest::array::uniform7(-2.5..2.5f64),
            v in proptest::array::uniform7(-2.0..2.0f64),
        ) {
            let dynamics = Dynamics::from_robot(&robot(ARMS[arm])).unwrap();
            let n = dynamics.joints();
            let step = 1e-5;
            let at = |sign: f64| -> f64 {
                let moved: [f64; 7] = std::array::from_fn(|i| q[i] + sign * step * v[i]);
                let mass = dynamics.mass_matrix(&moved);
                (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| v[i] * mass[(i, j)] * v[j]).sum()
            };
            let power: f64 = dynamics.coriolis(&q, &v).iter().zip(&v).map(|(c, v)| c * v).sum();
            let expected = 0.5 * (at(1.0) - at(-1.0)) / (2.0 * step);
            prop_assert!((power - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{} vs {}", power, expected);
        }
    }
}

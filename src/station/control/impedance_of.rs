//! Default springs and dampers for an arm.
//!
//! Stiffness follows the joints' torque limits: a joint reaches its limit at a fixed distance from its reference, so that
//! a wrong reference pushes no harder than the limits, and a hand can move the arm. It stays below what is stable at the
//! arm's control rate. Damping follows the mass that a spring moves in the home posture.

use nalgebra::SMatrix;

use super::cartesian_impedance::CartesianImpedance;
use super::error::ControlError;
use super::joint_impedance::JointImpedance;
use visuomotor_core::config::{ControlSetting, Robot};
use visuomotor_core::kinematics::{Chain, Dynamics};
use visuomotor_core::observation::{JointVector, MAX_JOINTS};

/// Distance from its reference at which a joint's default spring reaches the joint's torque limit \[rad\].
const FULL_TORQUE_AT: f64 = 0.15;
/// Clip distance \[m\] and angle \[rad\] of the tool's springs, at which the joints' torque limits are reached.
const CLIP: (f64, f64) = (0.1, 0.5);
/// Largest phase of a default spring's natural oscillation per control period \[rad\]: about twenty periods per swing.
const SWING_PER_PERIOD: f64 = 0.3;
/// Default damping ratio of a spring; 1 is critical.
const DAMPING_RATIO: f64 = 1.0;
/// Nullspace stiffness as a share of the joint springs', for redundant arms.
const POSTURE_SHARE: f64 = 0.05;

/// The springs of the joint law and of the Cartesian law.
pub(super) fn springs(
    robot: &Robot,
    chain: &Chain,
    dynamics: &Dynamics,
    setting: &ControlSetting,
) -> Result<(JointImpedance, CartesianImpedance), ControlError> {
    let count = chain.joints();
    let torque = &robot.limits.joint_torque;
    let given = |key: &'static str, values: &Option<Vec<f64>>, default: JointVector| match values {
        None => Ok(default),
        Some(values) if values.len() == count => Ok(JointVector::from_slice(values)),
        Some(values) => {
            let (robot, found) = (robot.identity.name.clone(), values.len());
            Err(ControlError::Count { key, robot, found, expected: count })
        }
    };
    // Largest stable stiffness for this mass at this rate.
    let swing = (SWING_PER_PERIOD * robot.identity.control_rate_hz).powi(2);

    let mut mass = dynamics.mass_matrix(chain.home());
    for joint in 0..MAX_JOINTS {
        // Adds rotor inertia; unused rows get a mass, so that the matrix is invertible.
        mass[(joint, joint)] += robot.simulation.armature.get(joint).copied().unwrap_or(1.0);
    }
    let (mut stiff, mut damp) = (JointVector::zeros(count), JointVector::zeros(count));
    for joint in 0..count {
        stiff[joint] = (torque[joint] / FULL_TORQUE_AT).min(mass[(joint, joint)] * swing);
    }
    let stiffness = given("stiffness", &setting.stiffness, stiff)?;
    for joint in 0..count {
        damp[joint] = 2.0 * DAMPING_RATIO * (stiffness[joint] * mass[(joint, joint)]).sqrt();
    }
    let joints = JointImpedance { stiffness, damping: given("damping", &setting.damping, damp)? };

    // The mass that the tool's springs move: the arm's effective mass at the tool.
    let felt = felt_mass(chain, &mass);
    let strongest = torque.iter().copied().fold(0.0, f64::max);
    let weakest = torque.iter().copied().fold(f64::INFINITY, f64::min);
    let reach = chain.forward(chain.home()).translation.vector.norm().max(0.1);
    let (along, about) = (strongest / reach / CLIP.0, weakest / CLIP.1);
    let wished = [along, along, along, about, about, about];
    let default = std::array::from_fn(|axis| f64::min(wished[axis], felt[axis] * swing));
    let tool_stiffness = setting.tool_stiffness.unwrap_or(default);
    let damping = std::array::from_fn(|axis| 2.0 * DAMPING_RATIO * f64::sqrt(tool_stiffness[axis] * felt[axis]));
    let share = |values: &JointVector, share: f64| {
        let mut out = *values;
        out.iter_mut().for_each(|value| *value *= share);
        out
    };
    let tool = CartesianImpedance {
        stiffness: tool_stiffness,
        damping: setting.tool_damping.unwrap_or(damping),
        longest: CLIP.0,
        widest: CLIP.1,
        posture_stiffness: share(&joints.stiffness, POSTURE_SHARE),
        // Damping scales with the root of the stiffness.
        posture_damping: share(&joints.damping, POSTURE_SHARE.sqrt()),
    };
    Ok((joints, tool))
}

impl CartesianImpedance {
    /// The launch file's springs and dampers, or the arm's defaults.
    pub fn fitting(robot: &Robot, chain: &Chain, setting: &ControlSetting) -> Result<Self, ControlError> {
        let (_, tool) = springs(robot, chain, &Dynamics::from_robot(robot)?, setting)?;
        Ok(tool)
    }
}

/// Effective mass along \[kg\] and inertia about \[kg m2\] the base axes at the tool in the home posture, pushed along one
/// axis and free along the others (Khatib, 1995).
fn felt_mass(chain: &Chain, mass: &SMatrix<f64, MAX_JOINTS, MAX_JOINTS>) -> [f64; 6] {
    let jacobian = chain.jacobian(chain.home());
    let mobility = mass.try_inverse().map(|inverse| jacobian * inverse * jacobian.transpose());
    // In a singular home posture the effective mass along the lost axis is infinite; the small number keeps the damping
    // finite.
    std::array::from_fn(|axis| mobility.map_or(1.0, |matrix| 1.0 / (matrix[(axis, axis)].max(0.0) + 1e-3)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn default_springs_reach_the_torque_limit_at_their_distance_and_are_damped() {
        for (name, first) in [("widowx", 2.0 / FULL_TORQUE_AT), ("panda", 40.0 / FULL_TORQUE_AT)] {
            let robot = Robot::load(Path::new(crate::CHECKOUT), name).unwrap();
            let chain = Chain::from_robot(&robot).unwrap();
            let dynamics = Dynamics::from_robot(&robot).unwrap();
            let (joints, tool) = springs(&robot, &chain, &dynamics, &ControlSetting::default()).unwrap();
            assert!((joints.stiffness[0] - first).abs() < 1e-9, "{name}: {joints:?}");
            assert!(joints.damping.iter().all(|value| *value > 0.0 && value.is_finite()));
            assert!(tool.stiffness.iter().chain(&tool.damping).all(|value| *value > 0.0 && value.is_finite()));
            println!("{name}: joints {joints:?}, tool {tool:?}");
        }
    }

    #[test]
    fn the_launch_files_values_are_used() {
        let robot = Robot::load(Path::new(crate::CHECKOUT), "panda").unwrap();
        let chain = Chain::from_robot(&robot).unwrap();
        let dynamics = Dynamics::from_robot(&robot).unwrap();
        let setting = ControlSetting {
            stiffness: Some(vec![600.0, 600.0, 600.0, 600.0, 250.0, 150.0, 50.0]),
            damping: Some(vec![50.0, 50.0, 50.0, 50.0, 30.0, 25.0, 15.0]),
            tool_stiffness: Some([150.0, 150.0, 150.0, 10.0, 10.0, 10.0]),
            tool_damping: Some([24.0, 24.0, 24.0, 6.0, 6.0, 6.0]),
            ..ControlSetting::default()
        };
        let (joints, tool) = springs(&robot, &chain, &dynamics, &setting).unwrap();
        assert_eq!((joints.stiffness[6], joints.damping[4]), (50.0, 30.0));
        assert_eq!((tool.stiffness[3], tool.damping[0]), (10.0, 24.0));
    }
}

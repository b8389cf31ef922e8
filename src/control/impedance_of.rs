//! Springs and dampers that fit an arm, where the launch file does not say otherwise.
//!
//! Stiffness follows what the joints can do: a joint's torque limit is reached [`FULL_TORQUE_AT`] from its reference.
//! A person's hand moves such an arm, and a fault in the reference pushes no harder than the limits.

use super::cartesian_impedance::CartesianImpedance;
use super::follower::ControlError;
use super::joint_impedance::JointImpedance;
use crate::config::{ControlSetting, Robot};
use crate::kinematics::Chain;
use crate::observation::JointVector;

/// Distance from its reference at which a joint's default spring pulls with the joint's torque limit \[rad\].
const FULL_TORQUE_AT: f64 = 0.15;
/// Default damping over stiffness \[s\]: a joint released from its spring's end is back in about three of these.
const TIME_CONSTANT: f64 = 0.1;
/// Largest distance \[m\] and angle \[rad\] the tool's springs see.
const CLIP: (f64, f64) = (0.1, 0.5);
/// Share of the joint springs that holds the posture of an arm with joints to spare.
const POSTURE_SHARE: f64 = 0.02;

/// The springs of the joint law and of the Cartesian law.
pub(super) fn springs(
    robot: &Robot,
    chain: &Chain,
    setting: &ControlSetting,
) -> Result<(JointImpedance, CartesianImpedance), ControlError> {
    let count = chain.joints();
    let torque = &robot.limits.joint_torque;
    let given = |key: &'static str, values: &Option<Vec<f64>>, default: JointVector| match values {
        None => Ok(default),
        Some(values) if values.len() == count => Ok(JointVector::from_slice(values)),
        Some(values) => {
            let (robot, found) = (robot.robot.name.clone(), values.len());
            Err(ControlError::Count { key, robot, found, expected: count })
        }
    };
    let scaled = |values: &[f64], factor: f64| {
        let mut out = JointVector::from_slice(values);
        out.iter_mut().for_each(|value| *value *= factor);
        out
    };
    let stiffness = given("stiffness", &setting.stiffness, scaled(torque, 1.0 / FULL_TORQUE_AT))?;
    let damping = given("damping", &setting.damping, scaled(&stiffness, TIME_CONSTANT))?;
    let joints = JointImpedance { stiffness, damping };

    // The tool's springs end where the joints' torque limits do: the strongest joint at the arm's reach, and the weakest
    // about its own axis.
    let strongest = torque.iter().copied().fold(0.0, f64::max);
    let weakest = torque.iter().copied().fold(f64::INFINITY, f64::min);
    let reach = chain.forward(chain.home()).translation.vector.norm().max(0.1);
    let (along, about) = (strongest / reach / CLIP.0, weakest / CLIP.1);
    let tool_stiffness = setting.tool_stiffness.unwrap_or([along, along, along, about, about, about]);
    let tool_damping = setting.tool_damping.unwrap_or(tool_stiffness.map(|value| value * TIME_CONSTANT));
    let tool = CartesianImpedance {
        stiffness: tool_stiffness,
        damping: tool_damping,
        longest: CLIP.0,
        widest: CLIP.1,
        posture_stiffness: scaled(&stiffness, POSTURE_SHARE),
        posture_damping: scaled(&damping, POSTURE_SHARE),
    };
    Ok((joints, tool))
}

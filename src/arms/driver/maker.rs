//! What an arm's maker allows per joint, and the check that a description stays within it.

use super::ConnectError;
use visuomotor_core::config::Robot;

/// The maker's limits of one joint; a description may be tighter, never wider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakerJoint {
    /// Lower stop \[rad\]; -infinity for a continuous joint.
    pub lower: f64,
    /// Upper stop \[rad\].
    pub upper: f64,
    /// Largest speed \[rad/s\].
    pub velocity: f64,
    /// Largest torque \[Nm\].
    pub torque: f64,
}

/// Refuses a description with another number of joints, or one that allows more than the maker does.
pub fn check_limits(robot: &Robot, driver: &str, maker: &[MakerJoint]) -> Result<(), ConnectError> {
    let unfit = |what: String, found: String, expected: String| {
        Err(ConnectError::Unfit {
            arm: robot.identity.name.clone(),
            link: driver.into(),
            what,
            found,
            expected,
            fix: format!("correct robots/{}/robot.toml", robot.identity.name),
        })
    };
    if robot.joint.len() != maker.len() {
        return unfit("number of joints".into(), robot.joint.len().to_string(), maker.len().to_string());
    }
    // Descriptions round to six digits or so.
    let slack = 1e-4;
    for (index, (joint, allowed)) in robot.joint.iter().zip(maker).enumerate() {
        if !(joint.lower >= allowed.lower - slack && joint.upper <= allowed.upper + slack) {
            return unfit(
                format!("range of {}", joint.name),
                format!("{} .. {} rad", joint.lower, joint.upper),
                format!("within {} .. {} rad", allowed.lower, allowed.upper),
            );
        }
        let speed = robot.limits.joint_velocity.get(index).copied().unwrap_or(f64::NAN);
        if !(speed <= allowed.velocity + slack) {
            let expected = format!("at most {} rad/s", allowed.velocity);
            return unfit(format!("speed limit of {}", joint.name), format!("{speed} rad/s"), expected);
        }
        let torque = robot.limits.joint_torque.get(index).copied().unwrap_or(f64::NAN);
        if !(torque <= allowed.torque + slack) {
            let expected = format!("at most {} Nm", allowed.torque);
            return unfit(format!("torque limit of {}", joint.name), format!("{torque} Nm"), expected);
        }
    }
    Ok(())
}

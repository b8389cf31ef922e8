//! What Kinova allows its second-generation arms, and the check that a description stays within it.
//!
//! Ranges and speeds: kinova_description. Torques: the actuators' data-sheet peaks (30.5 and 6.8 Nm), because the URDF's 40 to 80
//! Nm exceed the motors. The spherical wrist's sixth joint and a curved wrist differ in range.

use std::f64::consts::PI;
use std::time::Duration;

use crate::driver::{ConnectError, MakerJoint, check_limits};
use visuomotor_core::config::Robot;

/// The arm's own step: one velocity or torque message acts for this long.
pub const STEP: Duration = Duration::from_millis(10);

/// Capacity of the arm's queue \[messages\].
pub const QUEUE: usize = 2000;

/// Silence after which torque mode ends by itself.
pub const TORQUE_SILENCE: Duration = Duration::from_millis(250);

/// Largest torque at rest, beside the arm's own weight, with which torque mode may be entered \[Nm\].
pub const TORQUE_AT_REST: f64 = 2.0;

const fn degrees(value: f64) -> f64 {
    value * PI / 180.0
}

const fn joint(range: Option<(f64, f64)>, speed: f64, torque: f64) -> MakerJoint {
    let (lower, upper) = match range {
        Some((low, high)) => (degrees(low), degrees(high)),
        None => (f64::NEG_INFINITY, f64::INFINITY),
    };
    MakerJoint { lower, upper, velocity: degrees(speed), torque }
}

/// j2s7s300.
pub const J2S7S300: [MakerJoint; 7] = [
    joint(None, 36.0, 30.5),
    joint(Some((47.0, 313.0)), 36.0, 30.5),
    joint(None, 36.0, 30.5),
    joint(Some((30.0, 330.0)), 36.0, 30.5),
    joint(None, 48.0, 6.8),
    joint(Some((65.0, 295.0)), 48.0, 6.8),
    joint(None, 48.0, 6.8),
];

/// j2n7s300: the curved wrist is continuous.
pub const J2N7S300: [MakerJoint; 7] = [
    joint(None, 36.0, 30.5),
    joint(Some((30.0, 330.0)), 36.0, 30.5),
    joint(None, 36.0, 30.5),
    joint(Some((30.0, 330.0)), 36.0, 30.5),
    joint(None, 48.0, 6.8),
    joint(None, 48.0, 6.8),
    joint(None, 48.0, 6.8),
];

/// j2s6s300.
pub const J2S6S300: [MakerJoint; 6] = [
    joint(None, 36.0, 30.5),
    joint(Some((47.0, 313.0)), 36.0, 30.5),
    joint(Some((19.0, 341.0)), 36.0, 30.5),
    joint(None, 48.0, 6.8),
    joint(Some((30.0, 330.0)), 48.0, 6.8),
    joint(None, 48.0, 6.8),
];

/// Kinova's name of the arm, as its topics have it (`j2s7s300`).
pub fn kind(robot: &Robot) -> &str {
    robot.identity.name.strip_prefix("jaco_").unwrap_or(&robot.identity.name)
}

/// Refuses a description that is not of one of these arms or allows more than Kinova does.
pub fn check(robot: &Robot) -> Result<(), ConnectError> {
    match kind(robot) {
        "j2s7s300" => check_limits(robot, "ros2", &J2S7S300),
        "j2n7s300" => check_limits(robot, "ros2", &J2N7S300),
        "j2s6s300" => check_limits(robot, "ros2", &J2S6S300),
        other => Err(ConnectError::Unfit {
            arm: robot.identity.name.clone(),
            link: "ros2".into(),
            what: "the arm".into(),
            found: other.into(),
            expected: "j2s7s300, j2n7s300 or j2s6s300".into(),
            fix: "correct `robot` in the launch file".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn three_arms_stay_within_the_makers_limits_and_others_are_none_of_his() {
        let root = Path::new(crate::CHECKOUT);
        for name in ["jaco_j2s7s300", "jaco_j2n7s300", "jaco_j2s6s300"] {
            check(&Robot::load(root, name).unwrap()).unwrap();
        }
        assert!(check(&Robot::load(root, "panda").unwrap()).is_err());
    }
}

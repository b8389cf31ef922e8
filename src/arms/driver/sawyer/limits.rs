//! What Rethink allows Sawyer (sawyer_description's URDF), and the check that a description stays within it.

use crate::driver::{ConnectError, MakerJoint, check_limits};
use visuomotor_core::config::Robot;

/// Longest `joint_command_timeout` the controller takes \[s\]; it clamps to 0 .. 1 s.
pub const LONGEST_TIMEOUT: f64 = 1.0;

/// Largest position-mode speed ratio.
pub const LARGEST_SPEED_RATIO: f64 = 1.0;

const fn joint(lower: f64, upper: f64, velocity: f64, torque: f64) -> MakerJoint {
    MakerJoint { lower, upper, velocity, torque }
}

/// right_j0 .. right_j6.
pub const JOINTS: [MakerJoint; 7] = [
    joint(-3.0503, 3.0503, 1.74, 80.0),
    joint(-3.8095, 2.2736, 1.328, 80.0),
    joint(-3.0426, 3.0426, 1.957, 40.0),
    joint(-3.0439, 3.0439, 1.957, 40.0),
    joint(-2.9761, 2.9761, 3.485, 9.0),
    joint(-2.9761, 2.9761, 3.485, 9.0),
    joint(-4.7124, 4.7124, 4.545, 9.0),
];

/// Refuses a description that is not of a Sawyer or allows more than Rethink does.
pub fn check(robot: &Robot) -> Result<(), ConnectError> {
    check_limits(robot, "ros2", &JOINTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_description_stays_within_the_makers_limits_and_another_arm_does_not() {
        let root = Path::new(crate::CHECKOUT);
        let mut robot = Robot::load(root, "sawyer").unwrap();
        check(&robot).unwrap();
        robot.limits.joint_velocity[1] = f64::NAN;
        assert!(check(&robot).unwrap_err().to_string().contains("right_j1"));
        assert!(check(&Robot::load(root, "widowx").unwrap()).unwrap_err().to_string().contains("number of joints"));
    }
}

//! The maker's limits of the Franka Emika Robot (FER, "Panda") and the Franka Research 3 (FR3), as the Franka control interface
//! (FCI) enforces them, and the check that a description stays within them.
//!
//! Sources: Franka's robot specifications page for both arms, libfranka's rate limiter for the margins it keeps. The two
//! arms differ in every row; a number of one is never right for the other. The FER's Cartesian speed is the page's
//! 1.7 m/s; libfranka 0.9's limiter constant of 2.0 m/s is not used. The FR3's joint speed also falls towards the end of
//! a joint's range; the driver reads that curve from the connected robot's own model, and [`FR3_CURVE`] is the one that the
//! emulated robot reports.

use crate::driver::ConnectError;
use visuomotor_core::config::Robot;

/// Joints of both arms.
pub const JOINTS: usize = 7;

/// Period of the control interface \[s\].
pub const CYCLE: f64 = 1e-3;

/// Commands lost in a row after which the robot stops with `communication_constraints_violation`.
pub const LOST_IN_A_ROW: u32 = 20;

/// Number of commands in the robot's success rate.
pub const SUCCESS_WINDOW: usize = 100;

/// Success rate below which the operator should check the link (libfranka's communication test).
pub const SUCCESS_DOUBTFUL: f64 = 0.95;

/// Success rate below which the link is not fit (libfranka's communication test).
pub const SUCCESS_UNFIT: f64 = 0.90;

/// Largest payload of both arms, end effector included \[kg\] (data sheets).
pub const PAYLOAD: f64 = 3.0;

/// Largest stiffness of the robot's joint controller \[Nm/rad\] (libfranka's `setJointImpedance`).
pub const JOINT_IMPEDANCE: f64 = 14250.0;

/// Largest collision threshold \[Nm, N\]: the largest in use. The maker documents no bound; above it a collision may not be
/// detected at all.
pub const COLLISION_THRESHOLD: f64 = 100.0;

/// Largest speed, acceleration and jerk along one Cartesian quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CartesianLimit {
    /// Largest speed \[m/s or rad/s\].
    pub velocity: f64,
    /// Largest acceleration \[m/s2 or rad/s2\].
    pub acceleration: f64,
    /// Largest jerk \[m/s3 or rad/s3\].
    pub jerk: f64,
}

/// One arm's limits; joints in chain order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MakerLimits {
    /// Arm name, as in `robots/`.
    pub robot: &'static str,
    /// Lowest joint positions \[rad\].
    pub lower: [f64; JOINTS],
    /// Highest joint positions \[rad\].
    pub upper: [f64; JOINTS],
    /// Largest joint speeds \[rad/s\].
    pub velocity: [f64; JOINTS],
    /// Largest joint accelerations \[rad/s2\].
    pub acceleration: [f64; JOINTS],
    /// Largest joint jerks \[rad/s3\].
    pub jerk: [f64; JOINTS],
    /// Largest joint torques \[Nm\].
    pub torque: [f64; JOINTS],
    /// Largest change of joint torque \[Nm/s\].
    pub torque_rate: [f64; JOINTS],
    /// Translation of the end effector.
    pub translation: CartesianLimit,
    /// Rotation of the end effector.
    pub rotation: CartesianLimit,
    /// Motion of the elbow.
    pub elbow: CartesianLimit,
}

/// Franka Emika Robot, "Panda".
pub const FER: MakerLimits = MakerLimits {
    robot: "panda",
    lower: [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973],
    upper: [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973],
    velocity: [2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61],
    acceleration: [15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0],
    jerk: [7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0],
    torque: [87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0],
    torque_rate: [1000.0; JOINTS],
    translation: CartesianLimit { velocity: 1.7, acceleration: 13.0, jerk: 6500.0 },
    rotation: CartesianLimit { velocity: 2.5, acceleration: 25.0, jerk: 12500.0 },
    elbow: CartesianLimit { velocity: 2.175, acceleration: 10.0, jerk: 5000.0 },
};

/// Franka Research 3.
pub const FR3: MakerLimits = MakerLimits {
    robot: "fr3",
    lower: [-2.9007, -1.8361, -2.9007, -3.0770, -2.8763, 0.4398, -3.0508],
    upper: [2.9007, 1.8361, 2.9007, -0.1169, 2.8763, 4.6216, 3.0508],
    velocity: [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26],
    acceleration: [10.0; JOINTS],
    jerk: [5000.0; JOINTS],
    torque: [87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0],
    torque_rate: [1000.0; JOINTS],
    translation: CartesianLimit { velocity: 3.0, acceleration: 9.0, jerk: 4500.0 },
    rotation: CartesianLimit { velocity: 2.5, acceleration: 17.0, jerk: 8500.0 },
    elbow: CartesianLimit { velocity: 2.62, acceleration: 10.0, jerk: 5000.0 },
};

/// How a joint's largest speed falls towards the ends of its range: `min(v_max, sqrt(2 d (end - q)) - offset)`, never below 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeedCurve {
    /// Lowest joint positions \[rad\].
    pub lower: [f64; JOINTS],
    /// Highest joint positions \[rad\].
    pub upper: [f64; JOINTS],
    /// Largest joint speeds, mid-range \[rad/s\].
    pub velocity: [f64; JOINTS],
    /// Speed taken off \[rad/s\].
    pub offset: [f64; JOINTS],
    /// Deceleration with which the end is approached \[rad/s2\].
    pub deceleration: [f64; JOINTS],
}

/// The curve in the FR3's own model (the URDF in libfranka 0.21's tests). Its ranges are not those of the specifications page.
pub const FR3_CURVE: SpeedCurve = SpeedCurve {
    lower: [-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196],
    upper: [2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196],
    velocity: FR3.velocity,
    offset: [0.3, 0.2, 0.2, 0.3, 0.35, 0.35, 0.35],
    deceleration: [6.0, 2.585, 3.5, 4.0, 17.0, 5.5, 17.0],
};

impl SpeedCurve {
    /// Lowest and highest velocity of a joint at a position \[rad/s\].
    pub fn velocities(&self, joint: usize, q: f64) -> (f64, f64) {
        let towards = |distance: f64| {
            let curve = (2.0 * self.deceleration[joint] * distance.max(0.0)).sqrt() - self.offset[joint];
            curve.clamp(0.0, self.velocity[joint])
        };
        (-towards(q - self.lower[joint]), towards(self.upper[joint] - q))
    }
}

impl MakerLimits {
    /// The limits of the arm in a description.
    pub fn of(robot: &str) -> Option<&'static MakerLimits> {
        [&FER, &FR3].into_iter().find(|limits| limits.robot == robot)
    }

    /// Refuses a description that exceeds the maker's limits.
    pub fn check(&self, robot: &Robot) -> Result<(), ConnectError> {
        let unfit = |what: String, found: String, expected: String| ConnectError::Unfit {
            arm: self.robot.into(),
            link: format!("robots/{}/robot.toml", robot.identity.name),
            what,
            found,
            expected,
            fix: "limits may only be tighter than the maker's: correct the description".into(),
        };
        if robot.joint.len() != JOINTS {
            return Err(unfit("the number of joints".into(), robot.joint.len().to_string(), JOINTS.to_string()));
        }
        for (i, joint) in robot.joint.iter().enumerate() {
            let ours = &robot.limits;
            // Positions: a range may only be narrower. Written so that NaN fails.
            if !(joint.lower >= self.lower[i] && joint.upper <= self.upper[i]) {
                return Err(unfit(
                    format!("the range of joint {}", joint.name),
                    format!("{} .. {} rad", joint.lower, joint.upper),
                    format!("within {} .. {} rad", self.lower[i], self.upper[i]),
                ));
            }
            let rows = [
                ("speed", ours.joint_velocity[i], self.velocity[i], "rad/s"),
                ("acceleration", ours.joint_acceleration[i], self.acceleration[i], "rad/s2"),
                ("jerk", ours.joint_jerk[i], self.jerk[i], "rad/s3"),
                ("torque", ours.joint_torque[i], self.torque[i], "Nm"),
                ("torque rate", ours.joint_torque_rate[i], self.torque_rate[i], "Nm/s"),
            ];
            for (what, ours, maker, unit) in rows {
                if !(ours > 0.0 && ours <= maker) {
                    let what = format!("the largest {what} of joint {}", joint.name);
                    return Err(unfit(
                        what,
                        format!("{ours} {unit}"),
                        format!("more than 0 and at most {maker} {unit}"),
                    ));
                }
            }
        }
        let cartesian = [
            ("the largest speed of the tool", robot.limits.tool_velocity, self.translation.velocity, "m/s"),
            ("the tool's speed in any mode", robot.limits.tool_speed, self.translation.velocity, "m/s"),
            (
                "the largest turning speed of the tool",
                robot.limits.tool_rotation_velocity,
                self.rotation.velocity,
                "rad/s",
            ),
        ];
        for (what, ours, maker, unit) in cartesian {
            if !(ours > 0.0 && ours <= maker) {
                return Err(unfit(
                    what.into(),
                    format!("{ours} {unit}"),
                    format!("more than 0 and at most {maker} {unit}"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn both_descriptions_are_within_and_a_wider_one_is_refused() {
        for limits in [&FER, &FR3] {
            let mut robot = Robot::load(Path::new(crate::CHECKOUT), limits.robot).unwrap();
            limits.check(&robot).unwrap();
            robot.limits.joint_jerk[2] = limits.jerk[2] + 1.0;
            let message = limits.check(&robot).unwrap_err().to_string();
            assert!(message.contains("jerk of joint") && message.contains(limits.robot), "{message}");
            robot.limits.joint_jerk[2] = f64::NAN;
            assert!(limits.check(&robot).is_err());
        }
    }

    #[test]
    fn the_fr3_s_speed_is_full_in_the_middle_and_none_at_the_ends() {
        for joint in 0..JOINTS {
            let (lower, upper) = (FR3_CURVE.lower[joint], FR3_CURVE.upper[joint]);
            let most = FR3.velocity[joint];
            assert_eq!(FR3_CURVE.velocities(joint, 0.5 * (lower + upper)), (-most, most));
            assert_eq!(FR3_CURVE.velocities(joint, upper), (-most, 0.0));
            assert_eq!(FR3_CURVE.velocities(joint, lower), (0.0, most));
        }
        // sqrt(12 * 0.1) - 0.3
        let (_, highest) = FR3_CURVE.velocities(0, 2.6501);
        assert!((highest - 0.795445).abs() < 1e-6, "{highest}");
    }

    #[test]
    fn each_arm_has_its_own_limits_and_others_have_none() {
        assert_eq!(MakerLimits::of("panda").map(|l| l.acceleration[0]), Some(15.0));
        assert_eq!(MakerLimits::of("fr3").map(|l| l.acceleration[0]), Some(10.0));
        assert!(MakerLimits::of("widowx").is_none());
        for limits in [&FER, &FR3] {
            for i in 0..JOINTS {
                assert!(limits.lower[i] < limits.upper[i]);
            }
        }
    }
}

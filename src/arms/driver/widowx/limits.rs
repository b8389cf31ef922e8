//! The nine servos as configured by Interbotix, and their limits.
//!
//! Sources: Interbotix wx250s.yaml (drive mode, secondary id, position limits), the servo list of the maker's manual
//! (models), ROBOTIS e-manual (temperatures, voltages). A description (`robots/widowx/robot.toml`) must stay within them.

use ServoModel::{Xl430, Xm430};

use crate::driver::ConnectError;
use visuomotor_core::config::Robot;

/// Name of the joints in chain order.
pub const JOINTS: [&str; 6] = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"];

/// The maker's largest joint speed \[rad/s\]; the servos' velocity limit of 131 units is the same.
pub const TOP_SPEED: f64 = std::f64::consts::PI;

/// A servo model; the numbers are those of the register Model Number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServoModel {
    /// XM430-W350.
    Xm430,
    /// XL430-W250.
    Xl430,
}

/// A servo's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Moves this joint, counted from 0.
    Joint(usize),
    /// The second servo on this joint's shaft.
    Shadow(usize),
    /// Moves the fingers.
    Gripper,
}

/// One servo with the maker's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Servo {
    /// Own id.
    pub id: u8,
    /// Maker's name for it.
    pub name: &'static str,
    /// Kind.
    pub model: ServoModel,
    /// Its role.
    pub role: Role,
    /// Does it turn the other way round (drive mode bit 0)?
    pub reversed: bool,
    /// Id it also obeys; 255 none.
    pub secondary: u8,
    /// Least position \[ticks\].
    pub min_position: i32,
    /// Largest position \[ticks\].
    pub max_position: i32,
}

const fn servo(
    (id, name): (u8, &'static str),
    model: ServoModel,
    role: Role,
    (reversed, secondary): (bool, u8),
    (min_position, max_position): (i32, i32),
) -> Servo {
    Servo { id, name, model, role, reversed, secondary, min_position, max_position }
}

/// The bus, by id.
pub const SERVOS: [Servo; 9] = [
    servo((1, "waist"), Xm430, Role::Joint(0), (false, 255), (0, 4095)),
    servo((2, "shoulder"), Xm430, Role::Joint(1), (false, 255), (819, 3345)),
    servo((3, "shoulder_shadow"), Xm430, Role::Shadow(1), (true, 2), (819, 3345)),
    servo((4, "elbow"), Xm430, Role::Joint(2), (false, 255), (648, 3094)),
    servo((5, "elbow_shadow"), Xm430, Role::Shadow(2), (true, 4), (648, 3094)),
    servo((6, "forearm_roll"), Xm430, Role::Joint(3), (false, 255), (0, 4095)),
    servo((7, "wrist_angle"), Xm430, Role::Joint(4), (true, 255), (910, 3447)),
    servo((8, "wrist_rotate"), Xl430, Role::Joint(5), (false, 255), (0, 4095)),
    servo((9, "gripper"), Xl430, Role::Gripper, (false, 255), (0, 4095)),
];

/// Servo that moves each joint.
pub const JOINT_IDS: [u8; 6] = [1, 2, 4, 6, 7, 8];

/// Servo that moves the fingers.
pub const GRIPPER_ID: u8 = 9;

/// The servo of this id.
pub fn servo_of(id: u8) -> Option<&'static Servo> {
    SERVOS.get(usize::from(id).checked_sub(1)?)
}

/// The servo that moves this joint.
pub fn servo_of_joint(joint: usize) -> &'static Servo {
    &SERVOS[usize::from(JOINT_IDS[joint]) - 1]
}

impl ServoModel {
    /// Value of the register Model Number.
    pub fn number(self) -> u16 {
        match self {
            Xm430 => 1020,
            Xl430 => 1060,
        }
    }

    /// Name of an X-series model number that may be found on a bus.
    pub fn name_of(number: u16) -> String {
        match number {
            1020 => "XM430-W350".into(),
            1030 => "XM430-W210".into(),
            1060 => "XL430-W250".into(),
            1070 => "XC430-W150".into(),
            1120 => "XM540-W270".into(),
            other => format!("model {other}"),
        }
    }

    /// Does it support this operating mode (0 current, 1 velocity, 3 position, 4 extended, 5 current-based, 16 PWM)?
    pub fn has_mode(self, mode: u8) -> bool {
        match self {
            Xm430 => matches!(mode, 0 | 1 | 3 | 4 | 5 | 16),
            Xl430 => matches!(mode, 1 | 3 | 4 | 16),
        }
    }

    /// Shut-down temperature as shipped \[degC\].
    pub fn max_temperature(self) -> u8 {
        match self {
            Xm430 => 80,
            Xl430 => 72,
        }
    }
}

/// Refuses a description of another arm or one that exceeds the servos' configuration.
pub fn fits(robot: &Robot, link: &str) -> Result<(), ConnectError> {
    let unfit = |what: String, found: String, expected: String, fix: &str| ConnectError::Unfit {
        arm: robot.identity.name.clone(),
        link: link.into(),
        what,
        found,
        expected,
        fix: fix.into(),
    };
    let names = robot.joint_names();
    if names != JOINTS {
        return Err(unfit(
            "the description's list of joints".into(),
            names.join(", "),
            JOINTS.join(", "),
            "this link needs a WidowX 250 6-DoF: name that robot in the launch file",
        ));
    }
    // A position limit is a whole number of ticks; the description's radians are rounded.
    let tick = std::f64::consts::TAU / 4096.0;
    for (index, joint) in robot.joint.iter().enumerate() {
        let servo = servo_of_joint(index);
        let angle = |ticks: i32| f64::from(ticks - 2048) * tick;
        let (low, high) = (angle(servo.min_position) - tick, angle(servo.max_position) + tick);
        if !(joint.lower >= low && joint.upper <= high) {
            return Err(unfit(
                format!("the description's range of {}", joint.name),
                format!("{} .. {} rad", joint.lower, joint.upper),
                format!("within {low:.4} .. {high:.4} rad, the servo's own limits"),
                "limits may only be tighter than the maker's",
            ));
        }
        if !(robot.limits.joint_velocity[index] <= TOP_SPEED) {
            return Err(unfit(
                format!("the description's speed limit of {}", joint.name),
                format!("{} rad/s", robot.limits.joint_velocity[index]),
                format!("at most {TOP_SPEED:.4} rad/s"),
                "limits may only be tighter than the maker's",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn widowx() -> Robot {
        Robot::load(Path::new(crate::CHECKOUT), "widowx").unwrap()
    }

    #[test]
    fn the_table_is_consistent() {
        for (index, servo) in SERVOS.iter().enumerate() {
            assert_eq!(usize::from(servo.id), index + 1);
            match servo.role {
                Role::Joint(joint) => assert_eq!((JOINTS[joint], JOINT_IDS[joint]), (servo.name, servo.id)),
                Role::Shadow(joint) => assert_eq!(servo.secondary, JOINT_IDS[joint]),
                Role::Gripper => assert_eq!(servo.id, GRIPPER_ID),
            }
            assert_eq!(servo_of(servo.id), Some(servo));
        }
        assert_eq!((servo_of(0), servo_of(10)), (None, None));
    }

    #[test]
    fn the_shipped_description_fits_and_a_wider_one_is_refused() {
        let mut robot = widowx();
        assert_eq!(fits(&robot, "bus"), Ok(()));
        robot.joint[2].upper = 1.7;
        let error = fits(&robot, "bus").unwrap_err().to_string();
        assert!(error.contains("elbow") && error.contains("1.7"), "{error}");
        let mut robot = widowx();
        robot.limits.joint_velocity[0] = f64::NAN;
        assert!(fits(&robot, "bus").is_err());
        let mut robot = widowx();
        robot.joint.pop();
        assert!(fits(&robot, "bus").unwrap_err().to_string().contains("wrist_rotate"));
    }
}

//! Messages from and to the node `xs_sdk`, pure: names, order, units.
//!
//! `joint_states` lists the six joints and the gripper motor in the order of the node's configuration, then two
//! pseudo-joints, the fingers. Angles in rad, fingers in m, efforts in mA. A failed read of the bus is published as -pi on
//! all joints (or NaN, by configuration): such a message is a [`BadState`], never a position.
//! Source: `interbotix_xs_sdk` and `interbotix_xs_driver` (Humble).

use std::f64::consts::PI;

use crate::driver::widowx::limits::JOINTS;
use crate::transport::ros2::messages::interbotix::{JointGroupCommand, JointSingleCommand};
use crate::transport::ros2::messages::sensor::JointState;
use visuomotor_core::observation::JointVector;

/// Namespace of the arm's topics as its maker ships it.
pub const NAMESPACE: &str = "wx250s";
/// The group of the six joints.
pub const ARM: &str = "arm";
/// The group of the six joints and the gripper.
pub const ALL: &str = "all";
/// The gripper motor.
pub const GRIPPER: &str = "gripper";
/// The pseudo-joint that carries the finger's distance from the center \[m\].
pub const FINGER: &str = "left_finger";
/// Its mirror image.
pub const OTHER_FINGER: &str = "right_finger";
/// Rate of `joint_states` as shipped \[Hz\].
pub const STATE_RATE: f64 = 100.0;

/// Torque per motor current \[Nm/A\], chain order, as Interbotix's gravity compensation has it. The wrist's XL430 reports
/// load and not current, so its torque is unknown.
const TORQUE_PER_AMPERE: [f64; 6] = [1.793, 1.793, 1.793, 0.897, 0.897, 0.0];

/// How far beyond a joint's hard limit an encoder may read \[rad\]: the maker's assembly tolerance is a few degrees.
const BEYOND: f64 = 0.15;

/// Index of each joint in the node's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    joints: [usize; 6],
    finger: usize,
    count: usize,
}

/// The arm's state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArmState {
    /// Positions \[rad\], chain order.
    pub positions: JointVector,
    /// Velocities \[rad/s\], chain order.
    pub velocities: JointVector,
    /// Torques estimated from currents \[Nm\], chain order.
    pub torques: JointVector,
    /// Distance of one finger from the center \[m\].
    pub finger: f64,
}

/// Why a `joint_states` message is not a state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BadState {
    /// Another number of names, positions, velocities or efforts than at the start.
    Counts,
    /// The names changed.
    Names,
    /// A failed read: -pi on all joints.
    FailedRead,
    /// A joint (counted from 0) reports this impossible value.
    Value(usize, f64),
}

impl Order {
    /// From the names of a message; the error is what is wrong with them.
    pub fn of(names: &[String]) -> Result<Self, String> {
        let mut wanted: Vec<&str> = JOINTS.to_vec();
        wanted.extend([GRIPPER, FINGER, OTHER_FINGER]);
        let missing: Vec<&str> = wanted.iter().copied().filter(|name| !names.iter().any(|n| n == name)).collect();
        if !missing.is_empty() {
            return Err(format!("{} missing of {}", missing.join(", "), names.join(", ")));
        }
        if names.len() != wanted.len() {
            return Err(format!("{} names ({})", names.len(), names.join(", ")));
        }
        let at = |name: &str| names.iter().position(|n| n == name).unwrap_or(0);
        Ok(Self { joints: JOINTS.map(at), finger: at(FINGER), count: names.len() })
    }

    /// The message's state, or why it is none. `range` is each joint's hard limits \[rad\].
    pub fn read(&self, message: &JointState, range: &[(f64, f64); 6]) -> Result<ArmState, BadState> {
        let lengths = [message.name.len(), message.position.len(), message.velocity.len(), message.effort.len()];
        if lengths != [self.count; 4] {
            return Err(BadState::Counts);
        }
        if self.joints.iter().zip(JOINTS).any(|(&at, name)| message.name[at] != name) {
            return Err(BadState::Names);
        }
        if self.joints.iter().all(|&at| (message.position[at] + PI).abs() < 1e-6) {
            return Err(BadState::FailedRead);
        }
        let mut state = ArmState {
            positions: JointVector::zeros(6),
            velocities: JointVector::zeros(6),
            torques: JointVector::zeros(6),
            finger: message.position[self.finger],
        };
        for (joint, &at) in self.joints.iter().enumerate() {
            let (position, velocity, current) = (message.position[at], message.velocity[at], message.effort[at]);
            let (low, high) = range[joint];
            if !(position >= low - BEYOND && position <= high + BEYOND) {
                return Err(BadState::Value(joint, position));
            }
            if !(velocity.is_finite() && current.is_finite()) {
                return Err(BadState::Value(joint, if current.is_finite() { velocity } else { current }));
            }
            state.positions[joint] = position;
            state.velocities[joint] = velocity;
            state.torques[joint] = 1e-3 * current * TORQUE_PER_AMPERE[joint];
        }
        // The crank reaches 0.010 to 0.038 m.
        if !(state.finger > 0.0 && state.finger < 0.06) {
            return Err(BadState::Value(6, state.finger));
        }
        Ok(state)
    }
}

impl BadState {
    /// As text.
    pub fn text(&self) -> String {
        match self {
            BadState::Counts => "a message with another number of values than names".into(),
            BadState::Names => "a message with other joint names than before".into(),
            BadState::FailedRead => "-pi on all joints, which the node publishes when it cannot read the servos".into(),
            BadState::Value(6, value) => format!("{FINGER} = {value} m"),
            BadState::Value(joint, value) => format!("{} = {value}", JOINTS.get(*joint).unwrap_or(&"?")),
        }
    }
}

/// Values for the six joints: rad or rad/s, by the operating mode.
pub fn group_command(joints: &JointVector) -> JointGroupCommand {
    JointGroupCommand { name: ARM.into(), cmd: joints.iter().map(|value| *value as f32).collect() }
}

/// A value for the gripper: PWM counts or the opening \[m\], by the operating mode.
pub fn gripper_command(value: f64) -> JointSingleCommand {
    JointSingleCommand { name: GRIPPER.into(), cmd: value as f32 }
}

/// Bus watchdog register for a time \[s\]: 1 to 127 counts of 20 ms (ROBOTIS e-manual, address 98).
pub fn watchdog_counts(seconds: f64) -> i32 {
    (seconds / 0.02).round().clamp(1.0, 127.0) as i32
}

/// Hardware error bits as text (register Hardware_Error_Status).
pub fn hardware_error_text(bits: u32) -> String {
    let names = [(0, "input voltage"), (2, "overheating"), (3, "encoder"), (4, "electrical shock"), (5, "overload")];
    let found: Vec<&str> = names.iter().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name).collect();
    if found.is_empty() { format!("error bits {bits:#x}") } else { found.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> JointState {
        let mut name: Vec<String> = JOINTS.iter().rev().map(|name| name.to_string()).collect();
        name.extend([GRIPPER, FINGER, OTHER_FINGER].map(String::from));
        JointState {
            name,
            position: vec![0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.7, 0.03, -0.03],
            velocity: vec![0.0; 9],
            effort: vec![100.0; 9],
            ..JointState::default()
        }
    }

    const RANGE: [(f64, f64); 6] = [(-PI, PI); 6];

    #[test]
    fn joints_are_found_by_name_and_currents_become_torques() {
        let order = Order::of(&message().name).unwrap();
        let state = order.read(&message(), &RANGE).unwrap();
        assert_eq!(&*state.positions, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        assert_eq!(state.finger, 0.03);
        assert!((state.torques[0] - 0.1793).abs() < 1e-12);
        assert_eq!(state.torques[5], 0.0);
    }

    #[test]
    fn missing_extra_and_other_names_are_said() {
        let mut names = message().name;
        names[0] = "wrist".into();
        assert!(Order::of(&names).unwrap_err().starts_with("wrist_rotate missing"));
        names[0] = "wrist_rotate".into();
        names.push("extra".into());
        assert!(Order::of(&names).unwrap_err().contains("10 names"));
        assert!(Order::of(&[]).is_err());
    }

    #[test]
    fn what_cannot_be_is_no_state() {
        let order = Order::of(&message().name).unwrap();
        let read = |change: &dyn Fn(&mut JointState)| {
            let mut state = message();
            change(&mut state);
            order.read(&state, &RANGE).unwrap_err()
        };
        assert_eq!(read(&|s| s.position.truncate(8)), BadState::Counts);
        assert_eq!(read(&|s| s.effort.clear()), BadState::Counts);
        assert_eq!(read(&|s| s.name.swap(0, 1)), BadState::Names);
        assert_eq!(read(&|s| s.position[..7].fill(-PI)), BadState::FailedRead);
        assert_eq!(read(&|s| s.position[5] = 4.0), BadState::Value(0, 4.0));
        assert!(matches!(read(&|s| s.position[0] = f64::NAN), BadState::Value(5, v) if v.is_nan()));
        assert!(matches!(read(&|s| s.velocity[0] = f64::INFINITY), BadState::Value(5, _)));
        assert!(matches!(read(&|s| s.position[7] = f64::NAN), BadState::Value(6, _)));
    }

    #[test]
    fn registers_have_units_and_words() {
        assert_eq!((watchdog_counts(0.2), watchdog_counts(0.0), watchdog_counts(9.0)), (10, 1, 127));
        assert_eq!(hardware_error_text(0b10_0100), "overheating and overload");
    }
}

//! What the name of a number says about it.

use super::rotation::RotationForm;
use super::{ActionKind, GripperForm};

/// What one number is, by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Position along an axis, 0 .. 2.
    Position(usize),
    /// Component of a turn.
    Turn(Turn, usize),
    /// The gripper.
    Gripper(Option<GripperForm>),
    /// A filler without a meaning.
    Padding,
    /// A velocity, a force, or another quantity that is no pose.
    Other,
    /// The name says nothing.
    Unknown,
}

/// The form of a turn, by its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Roll, pitch, yaw.
    Euler,
    /// Rotation vector.
    Vector,
    /// Three numbers about x, y, z: Euler angles or a rotation vector.
    Three,
    /// Quaternion; components are x, y, z, w.
    Quaternion,
    /// Six numbers.
    Six,
}

impl Turn {
    /// The form, where the name leaves no choice.
    pub fn form(self) -> Option<RotationForm> {
        match self {
            Self::Euler => Some(RotationForm::EulerXyz),
            Self::Vector => Some(RotationForm::RotationVector),
            Self::Quaternion => Some(RotationForm::QuaternionXyzw),
            Self::Six => Some(RotationForm::SixNumbers),
            Self::Three => None,
        }
    }
}

/// Words of a name: `ee.gripper_pos` is `ee`, `gripper`, `pos`.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_string).collect()
}

/// What the name says about the kind of an action.
pub(super) fn kind(name: &str) -> Option<ActionKind> {
    let words = words(name);
    let is = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    if is(&["delta", "d", "rel", "relative", "dx", "dy", "dz", "droll", "dpitch", "dyaw", "diff"]) {
        return Some(ActionKind::Delta);
    }
    is(&["abs", "absolute", "target", "goal", "desired"]).then_some(ActionKind::Absolute)
}

/// What one number is.
pub(super) fn role(name: &str) -> Role {
    let words = words(name);
    let is = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    let has = |parts: &[&str]| words.iter().any(|word| parts.iter().any(|part| word.contains(part)));
    let Some(last) = words.last().map(String::as_str) else { return Role::Unknown };
    if is(&["pad", "padding", "dummy", "unused"]) {
        return Role::Padding;
    }
    if has(&["vel", "force", "torque", "accel", "effort", "wrench", "current"]) {
        return Role::Other;
    }
    if has(&["gripper", "grip", "finger", "jaw", "claw"]) {
        return Role::Gripper(gripper(last));
    }
    if has(&["quat"]) {
        return axis(last).map_or(Role::Unknown, |axis| Role::Turn(Turn::Quaternion, axis));
    }
    if let Some(axis) = ["qx", "qy", "qz", "qw"].iter().position(|known| *known == last) {
        return Role::Turn(Turn::Quaternion, axis);
    }
    if has(&["rot6d", "r6d", "6d"]) {
        return number(last).filter(|n| *n < 6).map_or(Role::Unknown, |n| Role::Turn(Turn::Six, n));
    }
    for (known, turn) in [
        (["roll", "pitch", "yaw"], Turn::Euler),
        (["droll", "dpitch", "dyaw"], Turn::Euler),
        (["wx", "wy", "wz"], Turn::Vector),
        (["rx", "ry", "rz"], Turn::Three),
        (["drx", "dry", "drz"], Turn::Three),
    ] {
        if let Some(axis) = known.iter().position(|known| *known == last) {
            return Role::Turn(turn, axis);
        }
    }
    let three = axis(last).filter(|axis| *axis < 3);
    if has(&["rotvec", "axisangle", "angleaxis"]) || (is(&["axis"]) && is(&["angle"])) || is(&["aa"]) {
        return three.map_or(Role::Unknown, |axis| Role::Turn(Turn::Vector, axis));
    }
    if has(&["euler", "rpy"]) {
        return three.map_or(Role::Unknown, |axis| Role::Turn(Turn::Euler, axis));
    }
    if has(&["rot", "ori", "ang"]) {
        return three.map_or(Role::Unknown, |axis| Role::Turn(Turn::Three, axis));
    }
    if let Some(axis) = ["dx", "dy", "dz"].iter().position(|known| *known == last) {
        return Role::Position(axis);
    }
    three.map_or(Role::Unknown, Role::Position)
}

fn axis(word: &str) -> Option<usize> {
    ["x", "y", "z", "w"].iter().position(|known| *known == word)
}

fn number(word: &str) -> Option<usize> {
    let digits = word.trim_start_matches(|c: char| !c.is_ascii_digit());
    word.parse().or_else(|_| digits.parse()).ok()
}

/// The sense of a gripper's number, where its name says it. `gripper_pos` does not: of programs in use, one counts 0 (closed) to
/// 100, another 0 (open) to 1.
fn gripper(last: &str) -> Option<GripperForm> {
    match last {
        "open" | "opened" | "openness" => Some(GripperForm::OpenIsOne),
        "close" | "closed" | "closedness" => Some(GripperForm::OpenIsZero),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_read() {
        for (name, role_of) in [
            ("x", Role::Position(0)),
            ("ee.z", Role::Position(2)),
            ("eef_pos_y", Role::Position(1)),
            ("dx", Role::Position(0)),
            ("delta_z", Role::Position(2)),
            ("roll", Role::Turn(Turn::Euler, 0)),
            ("dyaw", Role::Turn(Turn::Euler, 2)),
            ("ee.wy", Role::Turn(Turn::Vector, 1)),
            ("rx", Role::Turn(Turn::Three, 0)),
            ("axis_angle_z", Role::Turn(Turn::Vector, 2)),
            ("axis_angle3", Role::Unknown),
            ("qw", Role::Turn(Turn::Quaternion, 3)),
            ("eef_quat_x", Role::Turn(Turn::Quaternion, 0)),
            ("rot6d_5", Role::Turn(Turn::Six, 5)),
            ("gripper", Role::Gripper(None)),
            ("ee.gripper_pos", Role::Gripper(None)),
            ("gripper_open", Role::Gripper(Some(GripperForm::OpenIsOne))),
            ("gripper_closed", Role::Gripper(Some(GripperForm::OpenIsZero))),
            ("pad", Role::Padding),
            ("x_velocity", Role::Other),
            ("shoulder_pan.pos", Role::Unknown),
            ("joint_3", Role::Unknown),
            ("", Role::Unknown),
        ] {
            assert_eq!(role(name), role_of, "{name}");
        }
        assert_eq!(kind("dx"), Some(ActionKind::Delta));
        assert_eq!(kind("target.x"), Some(ActionKind::Absolute));
        assert_eq!(kind("x"), None);
    }
}
